"""The lackey reader against a parser written down plainly."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gmap.errors import TraceFormatError
from gmap.trace import Access, LackeyScanner, chunks, read

KINDS = {b"I  ": Access.X, b" L ": Access.R, b" S ": Access.W, b" M ": Access.W}


class NaiveError(Exception):
    pass


def naive(text: bytes) -> list[tuple[int, int]]:
    """Page accesses of lackey's text, or NaiveError(line number, field)."""
    touched = []
    lines = text.split(b"\n")
    for number, line in enumerate(lines, 1):
        if number == len(lines):
            if line:
                raise NaiveError(number, "truncated")
            break
        line = line.removesuffix(b"\r")
        if not line or line[:2] in (b"==", b"--", b"**") or line[:3] == b"SB ":
            continue
        if line[:3] not in KINDS:
            raise NaiveError(number, "kind")
        found = re.match(rb"([0-9a-fA-F]+),", line[3:])
        if not found or len(found[1]) > 16:
            raise NaiveError(number, "address")
        size = line[3 + found.end() :]
        address = int(found[1], 16)
        if not re.fullmatch(rb"[0-9]{1,19}", size) or not 1 <= int(size) <= 65536:
            raise NaiveError(number, "size")
        if address + int(size) > 1 << 64:
            raise NaiveError(number, "size")
        last = (address + int(size) - 1) >> 12
        touched += [(page, KINDS[line[:3]].value) for page in range(address >> 12, last + 1)]
    return touched


def scanned(text: bytes, cuts: list[int]) -> tuple[list[tuple[int, int]], LackeyScanner]:
    scanner = LackeyScanner("demo", 0)
    edges = [0, *sorted(cuts), len(text)]
    parts = [scanner.feed(text[a:b]) for a, b in pairwise(edges)]
    parts.append(scanner.finish())
    records = np.concatenate(parts).tolist()
    return [(page, access) for page, access, _ in records], scanner


addresses = st.one_of(
    st.integers(0, (1 << 64) - 1),
    st.builds(lambda page, back: (page << 12) - back, st.integers(1, 50), st.integers(0, 9)),
)
hexes = st.builds(
    lambda address, style: format(address, style).encode(),
    addresses,
    st.sampled_from(["x", "08x", "016x", "X"]),
)
sizes = st.one_of(st.integers(1, 64), st.integers(0, 70000)).map(lambda n: b"%d" % n)
accesses = st.tuples(st.sampled_from(sorted(KINDS)), hexes, st.just(b","), sizes).map(b"".join)
noise = st.sampled_from([b"==12== Counted", b"--12-- x", b"**12** y", b"", b"SB 04001000", b"\r"])
good_lines = st.one_of(accesses, accesses, accesses, noise)
endings = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n"])
good_texts = st.lists(st.tuples(good_lines, endings).map(b"".join), max_size=30).map(b"".join)


def bent(text: bytes, at: int, drop: int, put: bytes) -> bytes:
    at %= len(text) + 1
    return text[:at] + put + text[at + drop :]


bad_texts = st.builds(
    bent,
    good_texts,
    st.integers(0, 10_000),
    st.integers(0, 3),
    st.one_of(st.binary(max_size=3), st.sampled_from([b" ", b",", b"I", b"g", b"0" * 20, b"\n"])),
)


@settings(deadline=None)
@given(st.one_of(good_texts, bad_texts), st.lists(st.integers(0, 1000), max_size=6))
@example(b"I  ffffffffffffffff,1\n", [])
@example(b"I  ffffffffffffffff,2\n", [])
@example(b" L 10000000000000000,1\n", [])
@example(b" S 1000,00000000000000000008\n", [])
@example(b" S fff,65536\r\n", [12])
@example(b"I", [])
@example(b" \n", [])
@example(b"S\nB ", [])
@example(b"=\n=", [1])
def test_against_the_naive_parser(text: bytes, cuts: list[int]) -> None:
    try:
        expected = naive(text)
    except NaiveError as error:
        line, field = error.args
        with pytest.raises(TraceFormatError) as caught:
            scanned(text, cuts)
        assert str(caught.value).startswith(f"demo: line {line}: ")
        assert field in str(caught.value)
    else:
        touched, scanner = scanned(text, cuts)
        assert touched == expected
        assert scanner.accesses == len(expected)
        assert scanner.lines == text.count(b"\n")


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_records_or_the_documented_error(text: bytes) -> None:
    try:
        scanned(text, [])
    except TraceFormatError as error:
        message = str(error)
    else:
        message = "demo: line "
    assert message.startswith("demo: line ")


def test_counts() -> None:
    _, scanner = scanned(b"I  1000,4\n L 1ffc,8\n S 3000,8\n M 4000,8\n==1== hi\n", [])
    assert (scanner.fetches, scanner.loads, scanner.stores, scanner.modifies) == (1, 1, 1, 1)
    assert (scanner.accesses, scanner.lines) == (5, 5)


def test_straddling_accesses_touch_both_pages() -> None:
    touched, _ = scanned(b" L 1fff,2\n S 1ffe,2\n", [])
    assert touched == [(1, Access.R), (2, Access.R), (1, Access.W)]


def test_banner_and_noise() -> None:
    head = b"==7== Using Valgrind-3.19.0 and LibVEX\n==7== Command: ls -l\n"
    _, scanner = scanned(head + b"I  1000,4\n==7== at the end\n", [])
    assert scanner.banner == head.decode()
    assert scanner.noise.endswith("at the end\n")


def test_noise_is_bounded() -> None:
    scanner = LackeyScanner("x")
    for _ in range(100):
        scanner.feed(b"==1== " + b"a" * 300 + b"\n")
    scanner.feed(b"==1== " + b"b" * 9000 + b"\n")
    assert 0 < len(scanner.noise) <= 4096
    assert 0 < len(scanner.banner) <= 4096


def test_a_file_without_lines_is_refused_early() -> None:
    scanner = LackeyScanner("blob")
    for _ in range(4):
        scanner.feed(b"=" * (1 << 20))
    with pytest.raises(TraceFormatError, match="blob: line 1: longer than"):
        scanner.feed(b"=")


def test_cut_off_recordings_lose_only_the_unfinished_line() -> None:
    scanner = LackeyScanner("x", 0)
    first = scanner.feed(b" L 1000,4\n L 20")
    assert np.concatenate([first, scanner.finish(cut_off=True)])["page"].tolist() == [1]


def test_buffers_of_other_kinds() -> None:
    scanner = LackeyScanner("x", 0)
    assert len(scanner.feed(bytearray(b" L 1000,4\n"))) == 1
    assert len(scanner.feed(memoryview(b" L 1000,4\n"))) == 1
    assert len(scanner.feed(b"")) == 0
    with pytest.raises(TypeError):
        scanner.feed(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        scanner.feed("text")  # type: ignore[arg-type]


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes(b"==1== Command: demo\nI  1000,4\n L 2000,8\n L 2008,8\n")
    trace = read(path)
    assert trace.pages.tolist() == [1, 2]
    assert trace.meta["command"] == "demo"
    assert (trace.meta["accesses"], trace.meta["filter"]) == ("3", "64")
    assert len(read(path, window=0)) == 3
    assert [len(chunk) for chunk in chunks(path, 2, window=0)] == [2, 1]


def test_a_file_without_an_access_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "refused.lackey"
    path.write_bytes(b"==1== Lackey\n==1== Fatal error: cannot run this\n")
    with pytest.raises(TraceFormatError, match=r"refused\.lackey: line 3: .* before any access"):
        read(path)


def test_a_truncated_file_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "cut.lackey"
    path.write_bytes(b"I  1000,4\n L 2000,")
    with pytest.raises(TraceFormatError, match=r"cut\.lackey: line 2: .*truncated"):
        read(path)
