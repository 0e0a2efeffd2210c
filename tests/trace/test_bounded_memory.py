"""A trace ten times larger than the memory allowed is read, in every format."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from trace_samples import MAKERS, PACKERS, READ_AS, accesses

ALLOWED = 14 << 20
SIZE = 10 * ALLOWED

# What the process takes at its most, less what it took once everything had been used once.
READER = r"""
import sys
from gmap.trace import TraceFile, convert

def peak():
    return next(int(line.split()[1]) << 10 for line in open("/proc/self/status")
                if line.startswith("VmHWM"))

def run(path, kind):
    window = None if kind in ("csv", "parquet") else 0
    if target:
        return convert(path, target, format=kind, window=window).records
    with TraceFile(path, format=kind, window=window) as file:
        return sum(len(part) for part in file.chunks(1 << 16))

small, large, kind, target = sys.argv[1:]
run(small, kind)
before = peak()
print(run(large, kind), peak() - before)
"""

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="Linux tells the peak of a process"
)


def repeated(kind: str) -> tuple[bytes, bytes, int]:
    """The start of a file, a block that may follow any number of times, and its records."""
    content, expected = MAKERS[kind][1](accesses(20_000))
    if kind == "csv":
        at = content.index(b"page,access\n") + len(b"page,access\n")
        return b"page,access\n", content[at:], len(expected)
    return b"", content, len(expected)


def measured(
    small: Path, large: str, kind: str, pieces: Iterator[bytes], target: str = ""
) -> tuple[int, int]:
    """Records read and the memory it took; the large trace comes from the pieces, or a file."""
    command = [sys.executable, "-P", "-c", READER, str(small), large, kind, target]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for piece in pieces:
            process.stdin.write(piece)
        process.stdin.close()
        records, grown = process.stdout.read().split()
    assert process.returncode == 0
    return int(records), int(grown)


@pytest.mark.parametrize("kind", [kind for kind in MAKERS if kind != "parquet"])
def test_a_stream(kind: str, tmp_path: Path) -> None:
    head, block, n = repeated(kind)
    times = SIZE // len(block) + 1
    small = tmp_path / "small"
    small.write_bytes(head + block)

    def pieces() -> Iterator[bytes]:
        yield head
        for _ in range(times):
            yield block

    records, grown = measured(small, "-", READ_AS[kind], pieces())
    assert records == n * times
    assert grown < ALLOWED


@pytest.mark.parametrize("packed", PACKERS)
def test_a_compressed_file(packed: str, tmp_path: Path) -> None:
    _, block, n = repeated("champsim")
    times = SIZE // len(block) + 1
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(PACKERS[packed](block))
    # Streams may follow one another.
    large.write_bytes(PACKERS[packed](block) * times)
    records, grown = measured(small, str(large), "champsim", iter(()))
    assert records == n * times
    assert grown < ALLOWED


def test_parquet(tmp_path: Path) -> None:
    n = SIZE // 8 // 4
    rng = np.random.default_rng(1)
    small, large = tmp_path / "small.parquet", tmp_path / "large.parquet"
    table = pa.table({"page": rng.integers(0, 1 << 52, n), "access": np.zeros(n, np.uint8)})
    options = {"compression": "none", "use_dictionary": False}
    pq.write_table(table.slice(0, n // 16), small, **options)
    with pq.ParquetWriter(large, table.schema, **options) as writer:
        for _ in range(4):
            writer.write_table(table, row_group_size=n)
    assert large.stat().st_size >= SIZE
    records, grown = measured(small, str(large), "parquet", iter(()))
    assert records == 4 * n
    assert grown < ALLOWED


@pytest.mark.campaign
@pytest.mark.parametrize("target", ["o.csv", "o.csv.gz", "o.parquet"])
def test_a_conversion(target: str, tmp_path: Path) -> None:
    _, block, n = repeated("champsim")
    times = SIZE // len(block) + 1
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(block)
    large.write_bytes(block * times)
    records, grown = measured(small, str(large), "champsim", iter(()), str(tmp_path / target))
    assert records == n * times
    # A group of a million rows is put together before it is written to Parquet.
    assert grown < (5 * ALLOWED if target == "o.parquet" else ALLOWED)
