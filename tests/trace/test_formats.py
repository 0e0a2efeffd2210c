"""CSV there and back, what a damaged file is answered with, and how a format is told."""

import gzip
import io
import lzma
import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_samples import (
    MAKERS,
    PACKERS,
    READ_AS,
    SUFFIXES,
    accesses,
    csv,
    pages_or_message,
    rows,
    sample,
    traces,
    without_module,
)

from gmap.errors import AddressError, AddressTypeError, ConfigError, TraceFormatError
from gmap.trace import (
    ACCESS,
    FORMATS,
    PageTrace,
    TraceDependencyError,
    TraceFile,
    _files,
    chunks,
    read,
    write,
    write_chunks,
)
from gmap.trace._csv import CsvScanner

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
    for name in ("t", "t.csv", "t.lackey", "t.parquet", "t.csv.xz", "t.drview"):
        with pytest.raises(TraceFormatError) as caught:
            read(csv(folder, b"#" + content, name))
        assert name in str(caught.value)


def test_files_of_no_format(tmp_path: Path) -> None:
    with pytest.raises(TraceFormatError, match="in none of the formats parquet, csv"):
        read(csv(tmp_path, "hello\n", "t.txt"))
    with pytest.raises(TraceFormatError, match="it is empty"):
        read(csv(tmp_path, "", "t.txt"))
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "missing.csv")
    with pytest.raises(IsADirectoryError):
        read(tmp_path)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        *("t", "t.csv", "t.csv.gz", "t.csv.xz", "t.lackey", "t.lackey.gz", "t.pq", "t.pq.xz"),
        *("t.perf", "t.drview", "t.memtrace.xz", "t.champsim", "t.champsimtrace.gz"),
    ],
)
def test_an_empty_file_is_refused(tmp_path: Path, name: str, packed: bool) -> None:
    content = (gzip.compress if name.endswith(".gz") else lzma.compress)(b"") if packed else b""
    with pytest.raises(TraceFormatError) as caught:
        read(csv(tmp_path, content, name))
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    if "pq" not in name:
        place = ": record 1 (byte 0): " if "champsim" in name else ": line 1: "
        assert place in str(caught.value)


def test_a_head_without_end(tmp_path: Path) -> None:
    with pytest.raises(TraceFormatError, match="line 1: longer than"):
        read(csv(tmp_path, b"#" * (3 << 20)))


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    for packed in (bytes, gzip.compress):
        text = packed(b"page,access\n5,W\n")
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
        assert read("-").pages.tolist() == [5]


# --- compressed files that are damaged ------------------------------------------------------


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


def test_without_lzma(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "t.csv.xz", sample())
    without_module(monkeypatch, "lzma")
    with pytest.raises(TraceDependencyError, match="xz -d"):
        read(tmp_path / "t.csv.xz")
    with pytest.raises(TraceDependencyError, match=r"\.csv\.gz"):
        write(tmp_path / "u.csv.xz", sample())
    assert os.listdir(tmp_path) == ["t.csv.xz"]


# --- how a format is told -------------------------------------------------------------------


@pytest.mark.parametrize("packed", ["", *PACKERS])
@pytest.mark.parametrize("kind", MAKERS)
def test_a_format_is_told_by_name_by_content_and_by_word(
    tmp_path: Path, kind: str, packed: str
) -> None:
    suffix, make = MAKERS[kind]
    content, expected = make(accesses(60))
    packer = PACKERS.get(packed, bytes)
    for name, word in ((f"t{suffix}{packed}", None), ("plain", None), ("t.csv", READ_AS[kind])):
        path = csv(tmp_path, packer(content), name)
        window = None if kind in ("csv", "parquet") else 0
        with TraceFile(path, window=window, format=word) as file:
            assert file.format == READ_AS[kind]
            assert file.read().records().tolist() == expected


def test_every_format_is_among_the_samples() -> None:
    assert {known.name for known in FORMATS} == set(READ_AS.values())


def test_a_format_nobody_knows(tmp_path: Path) -> None:
    path = csv(tmp_path, "page,access\n1,R\n")
    with pytest.raises(ConfigError, match="format 'gem5' is not known: use one of parquet, csv"):
        read(path, format="gem5")
    with pytest.raises(AddressError, match="window"):
        read(path, window=65537)
    with pytest.raises(AddressTypeError, match="window"):
        read(path, window=1.5)  # type: ignore[arg-type]


def test_csv_is_filtered_if_asked(tmp_path: Path) -> None:
    path = csv(tmp_path, "#filter: 32\npage,access\n" + "1,R\n" * 5 + "2,W\n")
    assert len(read(path)) == 6
    assert read(path).meta["filter"] == "32"
    trace = read(path, window=64)
    assert trace.records().tolist() == [(1, 0, 0), (2, 1, 0)]
    assert trace.meta["filter"] == "64"
    csv(tmp_path, "#records: 3\npage,access\n1,R\n", "short.csv")
    with pytest.raises(TraceFormatError, match="promises 3"):
        read(tmp_path / "short.csv", window=64)
    # A list of fewer than 32 pages may have missed elsewhere.
    assert read(path, window=8).meta["filter"] == "32"
