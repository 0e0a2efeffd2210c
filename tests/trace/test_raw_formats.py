"""perf script, DynamoRIO and ChampSim: what is read, against readers written down plainly."""

import re
from collections.abc import Callable
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
    SINGLE,
    accesses,
    champsim_bytes,
    csv,
    made_file,
    perf_text,
    simple_text,
    view_text,
)

from gmap.errors import TraceFormatError
from gmap.trace import ACCESS, DynamorioScanner, LackeyScanner, PageFilter, PerfScanner, read
from gmap.trace._champsim import ChampsimScanner
from gmap.trace._scanner import PageScanner

SCANNERS: dict[str, type[PageScanner]] = {
    "lackey": LackeyScanner,
    "view": DynamorioScanner,
    "memtrace": DynamorioScanner,
    "perf": PerfScanner,
}
R, W, X = 0, 1, 2


def scanned(kind: str, text: bytes, cuts: list[int] | None = None) -> list[tuple[int, int, int]]:
    scanner = SCANNERS[kind]("demo", 0)
    edges = [0, *sorted(cuts or []), len(text)]
    parts = [scanner.feed(text[a:b]) for a, b in pairwise(edges)]
    records: list[tuple[int, int, int]] = np.concatenate([*parts, scanner.finish()]).tolist()
    return records


# --- every format ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SCANNERS)
@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 6000), max_size=8), st.booleans(), st.integers(0, 1 << 16))
def test_text_in_any_pieces(kind: str, cuts: list[int], dos: bool, seed: int) -> None:
    text, expected = MAKERS[kind][1](accesses(40, seed))
    if dos:
        text = text.replace(b"\n", b"\r\n")
    assert scanned(kind, text, cuts) == expected


@pytest.mark.parametrize("packed", ["", *PACKERS])
@pytest.mark.parametrize("kind", SINGLE)
def test_what_is_read_went_through_the_filter(tmp_path: Path, kind: str, packed: str) -> None:
    path, expected = made_file(tmp_path, kind, 900, packed)
    assert read(path, window=0).records().tolist() == expected
    filter_ = PageFilter(3)
    kept = [filter_.feed(np.array(expected, ACCESS)), filter_.finish()]
    trace = read(path, window=3)
    assert trace.records().tolist() == np.concatenate(kept).tolist()
    assert trace.meta["filter"] == "3"
    assert trace.meta["accesses"] == str(len(expected))


@pytest.mark.parametrize("kind", SINGLE)
@settings(deadline=None, max_examples=60)
@given(content=st.binary(max_size=300), cut=st.integers(0, 1 << 12), whole=st.booleans())
def test_any_bytes_are_read_or_refused(
    kind: str, content: bytes, cut: int, whole: bool, tmp_path_factory: Any
) -> None:
    """Alone, or in the middle of a sound file."""
    suffix, make = MAKERS[kind]
    sound = make(accesses(20))[0] if whole else b""
    cut = min(cut, len(sound))
    path = csv(tmp_path_factory.mktemp("any"), sound[:cut] + content + sound[cut:], f"t{suffix}")
    message = f"{path}: "
    try:
        assert len(read(path, window=0)) > 0
    except TraceFormatError as error:
        message = str(error)
    assert re.match(rf"{re.escape(str(path))}: ((line|record) \d+|$)", message)


@pytest.mark.parametrize("kind", SINGLE)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_changed_byte_is_found_or_is_another_trace(
    kind: str, data: st.DataObject, tmp_path_factory: Any
) -> None:
    suffix, make = MAKERS[kind]
    content = bytearray(make(accesses(8))[0])
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] = data.draw(st.integers(0, 255))
    path = csv(tmp_path_factory.mktemp("flip"), bytes(content), f"t{suffix}")
    try:
        read(path)
    except TraceFormatError as error:
        assert re.match(rf"{re.escape(str(path))}: (line|record) \d+", str(error))  # noqa: PT017


@pytest.mark.parametrize("packed", PACKERS)
@pytest.mark.parametrize("kind", SINGLE)
def test_a_cut_file_is_never_read(tmp_path: Path, kind: str, packed: str) -> None:
    path, _ = made_file(tmp_path, kind, 300, packed)
    whole = path.read_bytes()
    for cut in (3, 20, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(TraceFormatError, match=r"t\.\w+(\.[gx]z)?: (line|record) \d+"):
            read(path)


# --- perf script ----------------------------------------------------------------------------

PERF_LINES = [
    # by default, after perf mem record; without |OP, as older versions print data_src
    (
        b" a b  7 [000]  1.5: 1 cpu/mem-loads,ldlat=30/P: 7f00 68100142 |OP LOAD|LVL L1 hit|SNP "
        b"None|TLB L1 or L2 hit|LCK No|BLK  N/A 7 0 401136 main+0x1 (/bin/a)",
        [(7, R, 0)],
    ),
    (b" ls 7 [011] 3.078: 1 cpu/mem-stores/P: 8fff 88000182 L1 miss|SNP N/A", [(8, W, 0)]),
    # -F tid,time,event,addr and its like
    (b" 4711 12.000001: mem-loads: 7f00", [(7, R, 0)]),
    (b"x 1/2 5.000000001:  mem_inst_retired.all_stores:u:  7f00 401136", [(7, W, 0)]),
    (b"9.1: MEM_UOPS_RETIRED.LOAD_LATENCY: ffffffffff600123", [(0xFFFFFFFFFF600, R, 0)]),
    # data_src says more than the event's name
    (b" a 1.5: mem-loads: 7f00 5 |OP EXEC|LVL", [(7, X, 0)]),
    # the size of the page
    (b" a 1.5: mem-loads: 7f00 401136 main (/bin/a)     17f00 4K", [(7, R, 0)]),
    (b" a 1.5: mem-loads: 7f00 401136 2M", [(7, R, 9)]),
    (b" a 1.5: mem-stores: 7f00 64K", [(7, W, 4)]),
    (b" a 1.5: mem-loads: 7f00 401136 1G 4K", [(7, R, 18)]),
    (b" a 1.5: mem-loads: 7f00 401136 3M 12 N/A", [(7, R, 0)]),
    # no access, or nobody knows where
    (b" a 1.5: mem-loads: 7f00 1 |OP PFETCH|LVL L1 hit", []),
    (b" a 1.5: mem-loads: 7f00 1 |OP N/A|LVL N/A", []),
    (b" a 1.5: mem-loads: 0 1 |OP LOAD|LVL N/A", []),
    # a program's name may hold anything but a time
    (b"1.5 4711 a: [b] 7 1.5: mem-loads: 7f00", [(7, R, 0)]),
    (b"\x00\xff 7 1.5: mem-loads: 7f00", [(7, R, 0)]),
]


@pytest.mark.parametrize(("line", "expected"), PERF_LINES)
def test_lines_of_perf(line: bytes, expected: list[tuple[int, int, int]]) -> None:
    for text in (line + b"\n", b"# head\n\n" + line + b"\r\n\t 401136 main\n"):
        assert scanned("perf", text) == expected


BAD_PERF = [
    (b"ls 4711 cycles: 7f00", "time"),
    (b"ls", "time"),
    (b"ls 1.: mem-loads: 7f00", "time"),
    (b"ls 1.5:", "event"),
    (b"ls 1.5: 100", "event"),
    (b"ls 1.5: mem-loads 7f00", "event"),
    (b"ls 1.5: mem-loads:", "addr"),
    (b"ls 1.5: mem-loads: main", "addr"),
    (b"ls 1.5: mem-loads: 0x7f00", "addr"),
    (b"ls 1.5: mem-loads: 12345678901234567", "addr"),
    (b"ls 1.5: cycles: 401136 main (/bin/ls)", "kind"),
    (b"ls 1.5: load_store: 401136", "kind"),
]

# --- DynamoRIO ------------------------------------------------------------------------------

VIEW_LINES = [
    (
        b"  16  1:   4711 ifetch       4 byte(s) @ 0x0000000000401ffe 48 8b 45 f8 mov",
        [(0x401, X, 0), (0x402, X, 0)],
    ),
    (b"  16  1: W0.T4711 read         8 byte(s) @ 0x00007f00 by PC 0x401000", [(7, R, 0)]),
    (b"   173: T4711 write        8 byte(s) @ 0x00007ffc by PC 0x401000", [(7, W, 0), (8, W, 0)]),
    (b"  16  1:   4711 ifetch       4 byte(s) @ 0x00007f00 non-branch", [(7, X, 0)]),
    (b"  16  1:   4711 read         0 byte(s) @ 0x00007fff by PC 0x401000", [(7, R, 0)]),
    (b"  16  1:   4711 <marker: timestamp 13270239527782712>", []),
    (b"  16  1:   4711 pref-r-L1    1 byte(s) @ 0x00007f00 by PC 0x401000", []),
    (b"  16  1:   4711 iflush       0 byte(s) @ 0x00007f00 by PC 0x401000", []),
    (b"  16  1:   4711                                            00 00 00", []),
    (b"  16  1:   4711 d2800000", []),
    (b"0x7f00: 65536, w", [(page, W, 0) for page in range(7, 24)]),
    (b"0x00007f59c2d002d3:  5, call", [(0x7F59C2D00, X, 0)]),
    (b"0x7f00:8,r", [(7, R, 0)]),
    (b"0x7f00:  2, rol", [(7, X, 0)]),
    (b"0x401136,w,8,0x7ffc", [(0x401, X, 0), (7, W, 0), (8, W, 0)]),
    (b"0x401136,r,1,0xffffffffffffffff", [(0x401, X, 0), (0xFFFFFFFFFFFFF, R, 0)]),
    (b"Format: <instr address>,<(r)ead/(w)rite>,<data size>,<data address>", []),
]


@pytest.mark.parametrize(("line", "expected"), VIEW_LINES)
def test_lines_of_dynamorio(line: bytes, expected: list[tuple[int, int, int]]) -> None:
    for text in (line + b"\n", b"Output format:\n\n" + line + b"\r\n-----\n"):
        assert scanned("view", text) == expected


BAD_VIEW = [
    (b"Adios world!", "record"),
    (b"16 1 4711 read 8 byte(s) @ 0x7f00", "record"),
    (b"16 1: read 8 byte(s) @ 0x7f00", "record"),
    (b"T468608   0x0000000000467c45  4c 8b 54 24 08  mov", "record"),
    (b"16 1: 4711 fetch 8 byte(s) @ 0x7f00", "kind"),
    (b"16 1: 4711 ", "kind"),
    (b"16 1: 4711 read eight byte(s) @ 0x7f00", "size"),
    (b"16 1: 4711 read 8 bytes @ 0x7f00", "size"),
    (b"16 1: 4711 read 65537 byte(s) @ 0x7f00", "size"),
    (b"16 1: 4711 read 8 byte(s) @ 0xfffffffffffffff9", "size"),
    (b"16 1: 4711 read 8 byte(s) @ 7f00", "address"),
    (b"16 1: 4711 read 8 byte(s) @ 0x", "address"),
    (b"16 1: 4711 read 8 byte(s) @ 0x11112222333344445", "address"),
    (b"16 1: 4711 read 8 byte(s) @ 0x7f00by", "address"),
    (b"0x: 8, w", "address"),
    (b"0x7f00; 8, w", "address"),
    (b"0x7f00: 8; w", "size"),
    (b"0x7f00: 99999999999999999999, w", "size"),
    (b"0x7f00: 8,", "kind"),
    (b"0x7f00: 8, w more", "more on the line"),
    (b"0x7f00,x,8,0x7f00", "kind"),
    (b"0x7f00,r,eight,0x7f00", "size"),
    (b"0x7f00,r,8,7f00", "address"),
    (b"0x7f00,r,8,0x", "address"),
    (b"0x7f00,r,8,0x7f00,1", "more on the line"),
    (b"0x7f00: 8, w\x00", ""),
]

BAD_LINES: list[tuple[str, Callable[..., Any], bytes, str]] = [
    *(("perf", perf_text, line, field) for line, field in BAD_PERF),
    *(("view", view_text, line, field) for line, field in BAD_VIEW[:-1]),
    *(("memtrace", simple_text, line, field) for line, field in BAD_VIEW[:-1]),
]


@pytest.mark.parametrize(("kind", "make", "line", "field"), BAD_LINES)
@pytest.mark.parametrize("packed", ["", ".xz"])
def test_a_malformed_line_is_named(
    tmp_path: Path, kind: str, make: Callable[..., Any], line: bytes, field: str, packed: str
) -> None:
    before = make(accesses(5))[0]
    content = PACKERS.get(packed, bytes)(before + line + b"\n" + before)
    path = csv(tmp_path, content, f"t{MAKERS[kind][0]}{packed}")
    with pytest.raises(TraceFormatError) as caught:
        read(path)
    number = before.count(b"\n") + 1
    assert str(caught.value).startswith(f"{path}: line {number}: {field}")
    assert str(caught.value).endswith(f"; the line is {line[:60]!r}")


@pytest.mark.parametrize("kind", SCANNERS)
def test_a_line_without_end(tmp_path: Path, kind: str) -> None:
    suffix, make = MAKERS[kind]
    content = make(accesses(5))[0]
    with pytest.raises(TraceFormatError, match="line 1: longer than 4194304 bytes"):
        read(csv(tmp_path, b"x" * (6 << 20), f"t{suffix}"))
    with pytest.raises(TraceFormatError, match="the file ends inside this line"):
        read(csv(tmp_path, content[:-1], f"t{suffix}"))


def test_text_without_any_access(tmp_path: Path) -> None:
    for name, text in (
        ("t.perf", "# head\n\n a 1.5: mem-loads: 0\n"),
        ("t.drview", "Output format:\n"),
        ("t.memtrace", "Format: <data address>: <data size>, <(r)ead/(w)rite/opcode>\n"),
    ):
        with pytest.raises(TraceFormatError, match="ends before any access"):
            read(csv(tmp_path, text, name))


def test_counts_of_what_was_read(tmp_path: Path) -> None:
    path = csv(tmp_path, " a 1.5: mem-loads: 0\n a 1.6: mem-loads: 7f00\n", "t.perf")
    assert dict(read(path).meta) == {
        "filter": "64",
        "samples": "2",
        "skipped": "1",
        "accesses": "1",
    }
    path = csv(tmp_path, "0x1000,r,8,0x7ffc\n0x1000: 3, nop\n", "t.memtrace")
    assert dict(read(path).meta) == {
        "filter": "64",
        "instructions": "2",
        "loads": "1",
        "stores": "0",
        "accesses": "4",
    }


# --- ChampSim -------------------------------------------------------------------------------


def test_an_instruction_fetches_then_loads_then_stores(tmp_path: Path) -> None:
    words = np.zeros((1, 8), "<u8")
    words[0] = [0x1000, 0x0101, 0x2000, 0x3000, 0x4000, 0, 0x5FFF, (1 << 64) - 1]
    trace = read(csv(tmp_path, words.tobytes(), "t.champsim"), window=0)
    expected = [(1, X, 0), (4, R, 0), (5, R, 0), ((1 << 52) - 1, R, 0), (2, W, 0), (3, W, 0)]
    assert trace.records().tolist() == expected
    assert dict(trace.meta) == {
        "filter": "0",
        "instructions": "1",
        "loads": "3",
        "stores": "2",
        "accesses": "6",
    }


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (8, 2, "is_branch: expected 0 or 1, got 2"),
        (9, 255, "branch_taken: expected 0 or 1, got 255"),
    ],
)
@pytest.mark.parametrize("record", [0, 1, 20_000])
def test_a_malformed_record_is_named(
    tmp_path: Path, offset: int, value: int, message: str, record: int
) -> None:
    content = bytearray(champsim_bytes(accesses(100))[0] * 210)
    content[64 * record + offset] = value
    path = csv(tmp_path, bytes(content), "t.champsimtrace")
    with pytest.raises(TraceFormatError) as caught:
        read(path)
    start = f"{path}: record {record + 1} (byte {64 * record}): {message}"
    assert str(caught.value).startswith(start)


@pytest.mark.parametrize("packed", ["", *PACKERS])
@pytest.mark.parametrize("extra", [1, 32, 63])
def test_half_a_record(tmp_path: Path, extra: int, packed: str) -> None:
    content = champsim_bytes(accesses(10))[0] + b"\0" * extra
    path = csv(tmp_path, PACKERS.get(packed, bytes)(content), f"t.champsimtrace{packed}")
    with pytest.raises(TraceFormatError, match=rf"record 11 \(byte 640\): the file ends {extra} "):
        read(path)


def test_other_binary_data_are_not_taken_for_champsim(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for content in (b"\0" * 640, rng.bytes(640), b"\x7fELF" + b"\0" * 700):
        with pytest.raises(TraceFormatError, match="in none of the formats"):
            read(csv(tmp_path, content, "t"))


def test_the_scanner_wants_records() -> None:
    for bad in (np.zeros((1, 7), np.uint64), np.zeros((1, 8), np.int64), np.zeros(8, np.uint64)):
        with pytest.raises(ValueError, match=r"8 words|Buffer"):
            ChampsimScanner().feed(bad)  # type: ignore[arg-type]
