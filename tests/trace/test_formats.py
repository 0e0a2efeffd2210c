"""CSV and Parquet, there and back, and what a damaged file is answered with."""

import builtins
import errno
import gzip
import io
import lzma
import os
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmap.errors import AddressError, AddressTypeError, ConfigError, TraceFormatError
from gmap.trace import (
    ACCESS,
    FORMATS,
    PageTrace,
    TraceDependencyError,
    TraceFile,
    TraceWriteError,
    _files,
    chunks,
    read,
    write,
    write_chunks,
)
from gmap.trace._csv import CsvScanner

SUFFIXES = [".csv", ".csv.gz", ".csv.xz", ".parquet"]

rows = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 20), st.integers(0, (1 << 52) - 1)),
        st.integers(0, 2),
        st.one_of(st.just(0), st.integers(0, 40)),
    ),
    max_size=50,
)
keys = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True).filter(
    lambda key: key not in ("format", "records")
)
values = st.text(st.characters(codec="utf-8"), max_size=30)
traces = st.builds(
    lambda records, meta: PageTrace.from_records(np.array(records, ACCESS), meta),
    rows,
    st.dictionaries(keys, values, max_size=4),
)


def sample(n: int = 300) -> PageTrace:
    rng = np.random.default_rng(3)
    return PageTrace(
        rng.integers(0x7F000, 0x7F800, n), rng.integers(0, 3, n), meta={"program": "demo"}
    )


def pages_or_message(path: Path) -> tuple[list[int], str]:
    """What is in a file that may be damaged; no other exception may come of it."""
    try:
        return read(path).pages.tolist(), ""
    except TraceFormatError as error:
        return [], str(error)


# --- there and back -------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(deadline=None)
@given(trace=traces)
def test_round_trip(trace: PageTrace, suffix: str, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("round") / f"t{suffix}"
    write(path, trace)
    assert read(path) == trace
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_trace_makes_the_same_file(tmp_path: Path, suffix: str) -> None:
    one, two = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
    write(one, sample())
    write(two, sample())
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("size", [1, 7, 299, 300, 301, 1 << 16])
def test_chunks_have_the_size_asked_for(tmp_path: Path, suffix: str, size: int) -> None:
    path = tmp_path / f"t{suffix}"
    trace = sample()
    write(path, trace)
    parts = list(chunks(path, size))
    assert all(part.dtype == ACCESS for part in parts)
    assert [len(part) for part in parts[:-1]] == [size] * (len(parts) - 1)
    assert 0 < len(parts[-1]) <= size
    assert PageTrace.from_chunks(parts, trace.meta) == trace


def test_chunk_sizes_are_guarded(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", sample())
    with pytest.raises(ConfigError, match="chunk_records"):
        next(chunks(tmp_path / "t.csv", 0))


def test_many_records_in_pieces(tmp_path: Path) -> None:
    trace = sample(250_000)
    for suffix in SUFFIXES:
        write(tmp_path / f"t{suffix}", trace)
        assert read(tmp_path / f"t{suffix}") == trace


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_bytes_of_a_command_line_that_are_no_text(tmp_path: Path, suffix: str) -> None:
    trace = PageTrace([1], [0], meta={"command": os.fsdecode(b"cat \xff\n\\n\r")})
    write(tmp_path / f"t{suffix}", trace)
    assert read(tmp_path / f"t{suffix}") == trace


def test_write_chunks_counts(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    with pytest.raises(ConfigError, match="3 records were announced, 1 came"):
        write_chunks(path, [np.array([(1, 0, 0)], ACCESS)], {}, n=3)
    with pytest.raises(AddressTypeError, match="ACCESS"):
        write_chunks(path, [np.zeros(1)], {}, n=1)  # type: ignore[list-item]
    with pytest.raises(AddressError, match="access"):
        write_chunks(path, [np.array([(1, 7, 0)], ACCESS)], {}, n=1)
    assert os.listdir(tmp_path) == []


def test_metadata_is_there_before_the_records(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        write(tmp_path / f"t{suffix}", sample())
        with TraceFile(tmp_path / f"t{suffix}") as file:
            assert file.meta["program"] == "demo"
            assert file.format in ("csv", "parquet")


# --- files made by others -------------------------------------------------------------------


def csv(tmp_path: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        "page,access\n0x10,R\n17,W\n",
        "page,access\r\n0X10,R\r\n17,W\r\n",
        "page,access\n16,R\n\n0x0011,W",
        "page,access,order\n16,R,0\n17,W,0\n",
    ],
)
def test_csv_by_others(tmp_path: Path, text: str) -> None:
    trace = read(csv(tmp_path, text))
    assert trace.records().tolist() == [(16, 0, 0), (17, 1, 0)]
    assert read(csv(tmp_path, text, "no-suffix")) == trace
    assert read(csv(tmp_path, gzip.compress(text.encode()), "zipped")) == trace
    assert read(csv(tmp_path, lzma.compress(text.encode()), "t.csv.xz")) == trace


def test_metadata_lines(tmp_path: Path) -> None:
    path = csv(tmp_path, "#note:  two  spaces \n#empty:\n#program: ls\npage,access\n1,X\n")
    assert dict(read(path).meta) == {"note": " two  spaces ", "empty": "", "program": "ls"}


BAD_CSV = [
    ("", 1, "the file ends"),
    ("\n", 1, "header"),
    ("page;access\n", 1, "header"),
    ("#a: b\n", 2, "header"),
    ("#a b\npage,access\n", 1, "metadata"),
    ("#a: b\n#a: c\npage,access\n", 2, "twice"),
    ("#records: many\npage,access\n", 1, "records"),
    ("#records: 1\n#records: 1\npage,access\n1,R\n", 2, "twice"),
    ("#format: gmap-trace/2\npage,access\n", 1, "gmap-trace/1"),
    ("#records: 2\npage,access\n1,R\n", 3, "truncated"),
    ("#records: 0\npage,access\n1,R\n", 3, "promises 0"),
    ("page,access\n1,R\nx,R\n", 3, "page"),
    ("page,access\n-1,R\n", 2, "page"),
    ("page,access\n0x,R\n", 2, "page"),
    ("page,access\n,R\n", 2, "page"),
    ("page,access\n0x10000000000000,R\n", 2, "page"),
    ("page,access\n99999999999999999999999999,R\n", 2, "page"),
    ("page,access\n1\n", 2, "page"),
    ("page,access\n1,\n", 2, "access"),
    ("page,access\n1,r\n", 2, "access"),
    ("page,access\n1,RW\n", 2, "more on the line"),
    ("page,access\n1,R,3\n", 2, "more on the line"),
    ("page,access\n1,R\n#late: x\n", 3, "page"),
    ("page,access,order\n1,R\n", 2, "order"),
    ("page,access,order\n1,R,\n", 2, "order"),
    ("page,access,order\n1,R,41\n", 2, "order"),
    ("page,access\n1,R\n2", 3, "page"),
]


@pytest.mark.parametrize(("text", "line", "field"), BAD_CSV)
def test_malformed_csv_names_line_and_field(
    tmp_path: Path, text: str, line: int, field: str
) -> None:
    for path in (csv(tmp_path, text), csv(tmp_path, lzma.compress(text.encode()), "t.csv.xz")):
        with pytest.raises(TraceFormatError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: line {line}: ")
        assert field in str(caught.value)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_after_the_header(text: bytes) -> None:
    scanner = CsvScanner("noise", 1)
    message = "noise: line "
    try:
        scanner.feed(text)
        scanner.finish()
    except TraceFormatError as error:
        message = str(error)
    assert message.startswith("noise: line ")


@settings(deadline=None)
@given(rows, st.lists(st.integers(0, 400), max_size=6))
def test_csv_in_any_pieces(records: list[tuple[int, int, int]], cuts: list[int]) -> None:
    text = "".join(f"{page},{'RWX'[kind]},{order}\n" for page, kind, order in records).encode()
    edges = [0, *sorted(cuts), len(text)]
    scanner = CsvScanner("x", 1, True)
    parts = [scanner.feed(text[a:b]) for a, b in pairwise(edges)]
    parts.append(scanner.finish())
    assert np.concatenate(parts).tolist() == records
    assert scanner.records == len(records)


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_any_file_is_read_or_refused(tmp_path_factory: Any, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    for name in ("t", "t.csv", "t.lackey", "t.parquet", "t.csv.xz"):
        with pytest.raises(TraceFormatError) as caught:
            read(csv(folder, b"#" + content, name))
        assert name in str(caught.value)


def test_files_of_no_format(tmp_path: Path) -> None:
    with pytest.raises(TraceFormatError, match="neither lackey text, nor CSV"):
        read(csv(tmp_path, "hello\n", "t.txt"))
    with pytest.raises(TraceFormatError, match="it is empty"):
        read(csv(tmp_path, "", "t.txt"))
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "missing.csv")
    with pytest.raises(IsADirectoryError):
        read(tmp_path)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "name", ["t", "t.csv", "t.csv.gz", "t.csv.xz", "t.lackey", "t.lackey.gz", "t.pq", "t.pq.xz"]
)
def test_an_empty_file_is_refused(tmp_path: Path, name: str, packed: bool) -> None:
    content = (gzip.compress if name.endswith(".gz") else lzma.compress)(b"") if packed else b""
    with pytest.raises(TraceFormatError) as caught:
        read(csv(tmp_path, content, name))
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    if "pq" not in name:
        assert ": line 1: " in str(caught.value)


def test_a_head_without_end(tmp_path: Path) -> None:
    with pytest.raises(TraceFormatError, match="line 1: longer than"):
        read(csv(tmp_path, b"#" * (3 << 20)))


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    for packed in (bytes, gzip.compress):
        text = packed(b"page,access\n5,W\n")
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
        assert read("-").pages.tolist() == [5]


# --- compressed files that are damaged ------------------------------------------------------


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".xz": lzma.compress,
}


@pytest.mark.parametrize("suffix", PACKERS)
@settings(deadline=None)
@given(data=st.data())
def test_a_cut_file_is_read_never(suffix: str, data: st.DataObject, tmp_path_factory: Any) -> None:
    text = b"page,access\n" + b"".join(b"%d,R\n" % page for page in range(1000))
    whole = PACKERS[suffix](text)
    cut = data.draw(st.integers(0, len(whole) - 1))
    path = csv(tmp_path_factory.mktemp("cut"), whole[:cut], "t.csv" + suffix)
    with pytest.raises(TraceFormatError, match=r"t\.csv\.[gx]z: line \d+: "):
        read(path)


@pytest.mark.parametrize("suffix", PACKERS)
def test_the_line_of_a_cut_is_named(suffix: str, tmp_path: Path) -> None:
    """What stands before the cut is read, so that the line is known."""
    rng = np.random.default_rng(1)
    text = b"page,access\n" + b"".join(b"%d,R\n" % n for n in rng.integers(0, 1 << 50, 9000))
    whole = PACKERS[suffix](text)
    half = csv(tmp_path, whole[: len(whole) // 2], "t.csv" + suffix)
    with pytest.raises(TraceFormatError, match="truncated") as caught:
        read(half)
    line = int(str(caught.value).split(": line ")[1].split(":")[0])
    assert 3000 < line < 6000


@pytest.mark.parametrize("suffix", PACKERS)
@settings(deadline=None)
@given(data=st.data())
def test_a_changed_byte_is_found_or_harmless(
    suffix: str, data: st.DataObject, tmp_path_factory: Any
) -> None:
    text = b"page,access\n" + b"".join(b"%d,R\n" % page for page in range(200))
    whole = bytearray(PACKERS[suffix](text))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    path = csv(tmp_path_factory.mktemp("flip"), bytes(whole), "t.csv" + suffix)
    pages, message = pages_or_message(path)
    assert pages == list(range(200)) or ": line " in message


@pytest.mark.parametrize("suffix", PACKERS)
def test_streams_one_after_another_and_padding(suffix: str, tmp_path: Path) -> None:
    pack = PACKERS[suffix]
    content = pack(b"page,access\n1,R\n") + b"\0" * 8 + pack(b"2,R\n") + b"\0" * 4
    assert read(csv(tmp_path, content, "t.csv" + suffix)).pages.tolist() == [1, 2]
    with pytest.raises(TraceFormatError, match="line 2: the compressed data is damaged"):
        read(csv(tmp_path, pack(b"page,access\n") + b"rubbish that is no header", "t.csv" + suffix))


def test_a_bomb_is_read_in_pieces(tmp_path: Path) -> None:
    bomb = gzip.compress(b"\n" * (64 << 20))
    with _files.Source(csv(tmp_path, bomb)) as source:
        sizes = [len(piece) for piece in source]
    assert sum(sizes) == 64 << 20
    assert max(sizes) <= _files.PIECE


def test_an_xz_file_that_asks_for_much_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_files, "_XZ_MEMORY", 1 << 16)
    with pytest.raises(TraceFormatError, match="Memory usage limit"):
        read(csv(tmp_path, lzma.compress(b"page,access\n"), "t.csv.xz"))


# --- Parquet --------------------------------------------------------------------------------


def parquet(tmp_path: Path, columns: dict[str, Any], name: str = "t.parquet") -> Path:
    pq.write_table(pa.table(columns), tmp_path / name)
    return tmp_path / name


@pytest.mark.parametrize(
    "access",
    [
        ["R", "W", "X"],
        pa.array(["R", "W", "X"], pa.large_string()),
        pa.array(["R", "W", "X"]).dictionary_encode(),
        pa.array([0, 1, 2], pa.uint8()),
        [0, 1, 2],
    ],
)
def test_parquet_by_others(tmp_path: Path, access: Any) -> None:
    columns = {"time": [0.5, 1.5, 2.5], "access": access, "page": [1, 2, (1 << 52) - 1]}
    trace = read(parquet(tmp_path, columns))
    assert trace.records().tolist() == [(1, 0, 0), (2, 1, 0), ((1 << 52) - 1, 2, 0)]
    assert dict(trace.meta) == {}


BAD_PARQUET: list[tuple[dict[str, Any], str]] = [
    ({"page": [1], "kind": ["R"]}, "'access'"),
    ({"address": [1], "access": ["R"]}, "'page'"),
    ({"page": [1.5], "access": ["R"]}, "'page' has type double"),
    ({"page": ["1"], "access": ["R"]}, "'page' has type string"),
    ({"page": [1], "access": [0.0]}, "'access' has type double"),
    ({"page": [1, -1], "access": ["R", "R"]}, "row 2: page: expected 0 to .*, got -1"),
    ({"page": [1 << 52], "access": ["R"]}, "row 1: page"),
    ({"page": [1, None], "access": ["R", "R"]}, "row 2: page: .* got None"),
    ({"page": [1, 1], "access": ["R", "w"]}, "row 2: access: .* got 'w'"),
    ({"page": [1, 1], "access": ["R", None]}, "row 2: access: .* got None"),
    ({"page": [1, 1], "access": [0, 3]}, "row 2: access: .* got 3"),
    ({"page": [1], "access": ["R"], "order": [41]}, "row 1: order"),
]


@pytest.mark.parametrize(("columns", "message"), BAD_PARQUET)
def test_malformed_parquet_names_row_and_column(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(TraceFormatError, match=message) as caught:
        read(parquet(tmp_path, columns))
    assert str(caught.value).startswith(f"{tmp_path / 't.parquet'}: ")


def test_rows_are_counted_over_batches(tmp_path: Path) -> None:
    columns = {"page": [1] * 70_000 + [-1], "access": ["R"] * 70_001}
    with pytest.raises(TraceFormatError, match="row 70001: page"):
        read(parquet(tmp_path, columns))


@settings(deadline=None)
@given(data=st.data())
def test_damaged_parquet_is_found_or_harmless(data: st.DataObject, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp("pq")
    write(folder / "t.parquet", sample())
    whole = bytearray((folder / "t.parquet").read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        del whole[at:]
    else:
        whole[at] ^= data.draw(st.integers(1, 255))
    (folder / "t.parquet").write_bytes(bytes(whole))
    pages, message = pages_or_message(folder / "t.parquet")
    assert pages == sample().pages.tolist() or "t.parquet" in message


DAMAGED_FOOTERS = [
    ({"gmap.records": "3"}, "it has 2 rows, its metadata promises 2 and 3: it is damaged"),
    ({"gmap.records": "many"}, "promises 2 and many"),
    ({"gmap.a b": "c"}, "metadata key 'a b'"),
]


@pytest.mark.parametrize(("meta", "message"), DAMAGED_FOOTERS)
def test_a_damaged_footer_of_parquet(tmp_path: Path, meta: dict[str, str], message: str) -> None:
    table = pa.table({"page": [1, 2], "access": ["R", "W"]}).replace_schema_metadata(meta)
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(TraceFormatError, match=message) as caught:
        read(tmp_path / "t.parquet")
    assert str(caught.value).startswith(f"{tmp_path / 't.parquet'}: ")


def test_any_changed_byte_of_a_footer_is_found_or_harmless(tmp_path: Path) -> None:
    """Parquet has no checksum there: without a count of ours, rows could get lost."""
    write(tmp_path / "t.parquet", sample(3))
    whole = (tmp_path / "t.parquet").read_bytes()
    footer = 8 + int.from_bytes(whole[-8:-4], "little")
    for at in range(len(whole) - footer, len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 2
        (tmp_path / "t.parquet").write_bytes(damaged)
        pages, message = pages_or_message(tmp_path / "t.parquet")
        assert pages == sample(3).pages.tolist() or "t.parquet: " in message


def test_a_later_version_is_refused(tmp_path: Path) -> None:
    table = pa.table({"page": [1], "access": ["R"]}).replace_schema_metadata(
        {"gmap.format": "gmap-trace/2", "pandas": "{}"}
    )
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(TraceFormatError, match="gmap-trace/1"):
        read(tmp_path / "t.parquet")


@pytest.mark.parametrize("suffix", PACKERS)
def test_parquet_inside_a_compressed_file(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / "t.parquet", sample())
    whole = PACKERS[suffix]((tmp_path / "t.parquet").read_bytes())
    assert read(csv(tmp_path, whole, "t.parquet" + suffix)) == sample()
    with pytest.raises(TraceFormatError, match="truncated"):
        read(csv(tmp_path, whole[:-9], "t.parquet" + suffix))
    with pytest.raises(ConfigError, match="compressed already"):
        write(tmp_path / f"u.parquet{suffix}", sample())


def without_module(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    real = builtins.__import__

    def importing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == missing:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    for name in [name for name in sys.modules if name.split(".")[0] == missing]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(builtins, "__import__", importing)


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "t.parquet", sample())
    without_module(monkeypatch, "pyarrow")
    with pytest.raises(TraceDependencyError, match=r"pip install 'gmap\[trace\]'"):
        read(tmp_path / "t.parquet")
    with pytest.raises(TraceDependencyError, match=r"pip install 'gmap\[trace\]'"):
        write(tmp_path / "u.parquet", sample())
    write(tmp_path / "t.csv", sample())
    assert sorted(os.listdir(tmp_path)) == ["t.csv", "t.parquet"]


def test_without_lzma(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "t.csv.xz", sample())
    without_module(monkeypatch, "lzma")
    with pytest.raises(TraceDependencyError, match="xz -d"):
        read(tmp_path / "t.csv.xz")
    with pytest.raises(TraceDependencyError, match=r"\.csv\.gz"):
        write(tmp_path / "u.csv.xz", sample())
    assert os.listdir(tmp_path) == ["t.csv.xz"]


# --- writing all or nothing -----------------------------------------------------------------


class FullDisk:
    """The `os` module, on a disk with room for so many bytes."""

    def __init__(self, room: int) -> None:
        self.room = room

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, fd: int, data: memoryview) -> int:
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = os.write(fd, data[: self.room])
        self.room -= done
        return done


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("room", [0, 1, 50, 400])
def test_a_full_disk(
    tmp_path: Path, suffix: str, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / f"old{suffix}"
    old.write_bytes(b"what was there")
    for path in (old, tmp_path / f"new{suffix}"):
        monkeypatch.setattr(_files, "os", FullDisk(room))
        with pytest.raises(TraceWriteError, match="No space left on device") as caught:
            write(path, sample())
        assert caught.value.errno == errno.ENOSPC
        assert str(caught.value).startswith(f"{path}: ")
        assert "free some space" in str(caught.value)
    assert os.listdir(tmp_path) == [old.name]
    assert old.read_bytes() == b"what was there"


def test_a_disk_that_is_full_only_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(TraceWriteError, match="No space left"):
        write(tmp_path / "t.csv", sample())
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has /dev/full")
def test_a_device_is_written_to_and_stays() -> None:
    with pytest.raises(TraceWriteError, match="/dev/full: No space left on device"):
        write("/dev/full", sample())
    write("/dev/null", sample())
    assert not os.path.isfile("/dev/full")
    assert not os.path.isfile("/dev/null")


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Any:
        yield sample().records()
        raise KeyboardInterrupt

    for suffix in SUFFIXES:
        with pytest.raises(KeyboardInterrupt):
            write_chunks(tmp_path / f"t{suffix}", broken(), {}, n=300)
    assert os.listdir(tmp_path) == []


def test_other_failures_name_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(TraceWriteError, match="make the directory first"):
        write(tmp_path / "missing" / "t.csv", sample())
    (tmp_path / "dir.csv").mkdir()
    with pytest.raises(TraceWriteError, match="not a directory"):
        write(tmp_path / "dir.csv", sample())
    with pytest.raises(ConfigError, match=r"end the name in \.csv\.xz"):
        write(tmp_path / "t.json", sample())
    with pytest.raises(ConfigError, match=r"end the name in \.csv\.xz"):
        write(tmp_path / "t.lackey", sample())


def test_a_trace_gets_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", sample())
    (tmp_path / "other").touch()
    assert (tmp_path / "t.csv").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    write(tmp_path / "link.csv", sample())
    assert (tmp_path / "link.csv").is_symlink()
    assert read(tmp_path / "real.csv") == sample()


def test_every_format_can_be_told_by_its_content(tmp_path: Path) -> None:
    texts = {
        "csv": b"#program: x\npage,access\n1,R\n",
        "lackey": b"\n==1== Lackey\nI  1000,2\n",
        "parquet": parquet(tmp_path, {"page": [1], "access": ["R"]}).read_bytes(),
    }
    assert {known.name for known in FORMATS} == set(texts)
    for name, text in texts.items():
        with TraceFile(csv(tmp_path, text, "plain")) as file:
            assert file.format == name
            assert file.read().pages.tolist() == [1]
