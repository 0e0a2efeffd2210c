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
