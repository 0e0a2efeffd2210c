"""Readers of traces, beside what a Python program would use, and beside counting the lines."""

import re

import numpy as np
import pytest

from gmap import trace

LINES = 1 << 15
RNG = np.random.default_rng(0)
KINDS = {"I ": trace.Access.X, " L": trace.Access.R, " S": trace.Access.W, " M": trace.Access.W}


@pytest.fixture(scope="module")
def lackey(tmp_path_factory):
    """What valgrind's lackey prints for a program that mostly stays where it is."""
    path = tmp_path_factory.mktemp("lackey") / "demo.lackey"
    pages = np.repeat(RNG.integers(0, 1 << 36, LINES // 8), 8)
    addresses = (pages << 12 | RNG.integers(0, 512, LINES) << 3).tolist()
    kinds = RNG.choice(list(KINDS), LINES).tolist()
    lines = [f"{kind} {address:08x},8\n" for kind, address in zip(kinds, addresses, strict=True)]
    path.write_text("".join(lines))
    return path


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The same trace in each format this package writes."""
    page_trace = trace.PageTrace(
        RNG.integers(0, 1 << 36, LINES).astype(np.uint64), RNG.integers(0, 3, LINES)
    )
    folder = tmp_path_factory.mktemp("traces")

    def path(suffix):
        name = folder / f"demo{suffix}"
        if not name.exists():
            trace.write(name, page_trace)
        return name

    return path


def rate(note, path, **options):
    note(LINES, "record", nbytes=path.stat().st_size, **options)


# --- lackey text ----------------------------------------------------------------------------


@pytest.mark.parametrize("window", [trace.DEFAULT_WINDOW, 0])
def test_lackey(benchmark, note, lackey, window):
    benchmark.group = "trace/lackey"
    result = benchmark(trace.read, lackey, window=window)
    assert window or len(result) == LINES
    rate(note, lackey)


def test_lackey_in_python(benchmark, note, lackey):
    """A loop over the lines, no filter: what one writes first."""
    benchmark.group = "trace/lackey"
    line = re.compile(r"(I | L| S| M) ([0-9a-f]+),(\d+)")

    def read():
        pages, access = [], []
        with lackey.open() as file:
            for text in file:
                kind, address, _ = line.match(text).groups()
                pages.append(int(address, 16) >> 12)
                access.append(KINDS[kind])
        return trace.PageTrace(pages, access)

    assert benchmark(read) == trace.PageTrace.from_chunks(trace.chunks(lackey, window=0))
    rate(note, lackey)


def test_lackey_lines(benchmark, note, lackey):
    """The floor: read the file and look at every byte once."""
    benchmark.group = "trace/lackey"
    assert benchmark(lambda: lackey.read_bytes().count(b"\n")) == LINES
    rate(note, lackey, peer=True)


# --- the other formats of single accesses ---------------------------------------------------


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """The same accesses as other tools write them."""
    from gmap.trace._format_champsim import INSTRUCTION

    folder = tmp_path_factory.mktemp("others")
    pages = np.repeat(RNG.integers(1, 1 << 36, LINES // 8), 8)
    addresses = (pages << 12 | RNG.integers(0, 512, LINES) << 3).astype(np.uint64)
    stores = (RNG.random(LINES) < 0.3).tolist()
    rows = list(zip(range(LINES), addresses.tolist(), stores, strict=True))

    def champsim():
        records = np.zeros(LINES, INSTRUCTION)
        records["ip"] = 0x401136
        records["source_memory"][:, 0] = addresses
        return records.tobytes()

    texts = {
        "perf": lambda: "".join(
            f"{'demo':>16} {4711:5} {n}.000001: {1:10} cpu/mem-loads,ldlat=30/P: {address:16x} "
            f"{0x10268100142:16x} |OP {'STORE' if store else 'LOAD'}|LVL L1 hit|SNP None|TLB L1 or "
            f"L2 hit|LCK No|BLK  N/A {7:16} {0x401136:16x} main+0x10 (/usr/bin/demo)\n"
            for n, address, store in rows
        ),
        "drview": lambda: "".join(
            f"{n:12}{n:12}: {4711:11} {'write' if store else 'read':12} 8 byte(s) @ "
            f"0x{address:016x} by PC 0x0000000000401136\n"
            for n, address, store in rows
        ),
        "memtrace": lambda: "".join(
            f"0x{address:x}:  8, {'w' if store else 'r'}\n" for n, address, store in rows
        ),
    }

    def path(suffix):
        name = folder / f"demo.{suffix}"
        if not name.exists():
            made = texts[suffix]().encode() if suffix in texts else champsim()
            name.write_bytes(made)
        return name

    return path


@pytest.mark.parametrize("suffix", ["perf", "drview", "memtrace", "champsimtrace"])
@pytest.mark.parametrize("window", [trace.DEFAULT_WINDOW, 0])
def test_other_formats(benchmark, note, others, suffix, window):
    benchmark.group = f"trace/{suffix}"
    path = others(suffix)
    result = benchmark(trace.read, path, window=window)
    assert window or len(result) == LINES * (2 if suffix == "champsimtrace" else 1)
    rate(note, path)


@pytest.mark.parametrize("suffix", ["perf", "drview", "memtrace"])
def test_other_lines(benchmark, note, others, suffix):
    """The floor: read the file and look at every byte once."""
    benchmark.group = f"trace/{suffix}"
    path = others(suffix)
    assert benchmark(lambda: path.read_bytes().count(b"\n")) == LINES
    rate(note, path, peer=True)


def test_champsim_in_numpy(benchmark, note, others):
    """Pages and kinds by NumPy alone, no filter and no checks."""
    benchmark.group = "trace/champsimtrace"
    path = others("champsimtrace")

    def read():
        words = np.fromfile(path, "<u8").reshape(-1, 8)[:, [0, 4, 5, 6, 7, 2, 3]]
        made = words != 0
        kinds = np.broadcast_to(np.array([2, 0, 0, 0, 0, 1, 1], np.uint8), words.shape)
        return trace.PageTrace(words[made] >> np.uint64(12), kinds[made])

    assert benchmark(read) == trace.PageTrace.from_chunks(trace.chunks(path, window=0))
    rate(note, path, peer=True)


# --- CSV and Parquet ------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".csv.xz"])
def test_csv(benchmark, note, recorded, suffix):
    benchmark.group = "trace/csv"
    assert len(benchmark(trace.read, recorded(suffix))) == LINES
    rate(note, recorded(suffix))


def test_csv_in_arrow(benchmark, note, recorded):
    benchmark.group = "trace/csv"
    csv = pytest.importorskip("pyarrow.csv")
    path = recorded(".csv")
    header = path.read_text().splitlines().index("page,access")
    options = csv.ReadOptions(skip_rows=header, use_threads=False)
    table = benchmark(lambda: csv.read_csv(path, read_options=options))
    assert table.num_rows == LINES
    rate(note, path, peer=True)


def test_parquet(benchmark, note, recorded):
    pytest.importorskip("pyarrow")
    benchmark.group = "trace/parquet"
    assert len(benchmark(trace.read, recorded(".parquet"))) == LINES
    rate(note, recorded(".parquet"))


def test_parquet_in_arrow(benchmark, note, recorded):
    parquet = pytest.importorskip("pyarrow.parquet")
    benchmark.group = "trace/parquet"
    path = recorded(".parquet")
    table = benchmark(lambda: parquet.read_table(path, use_threads=False))
    assert table.num_rows == LINES
    rate(note, path, peer=True)
