"""What the tests of traces share: sample traces and files of every format."""

import builtins
import gzip
import io
import lzma
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from hypothesis import strategies as st

from gmap.errors import TraceFormatError
from gmap.trace import ACCESS, PageTrace, read
from gmap.trace._format_champsim import INSTRUCTION

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

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".xz": lzma.compress,
}


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


def csv(tmp_path: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def parquet(tmp_path: Path, columns: dict[str, Any], name: str = "t.parquet") -> Path:
    pq.write_table(pa.table(columns), tmp_path / name)
    return tmp_path / name


def without_module(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    real = builtins.__import__

    def importing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == missing:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    for name in [name for name in sys.modules if name.split(".")[0] == missing]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(builtins, "__import__", importing)


# --- files of every format ------------------------------------------------------------------

Accesses = list[tuple[int, int, int]]  # address, Access code, bytes
Expected = list[tuple[int, int, int]]  # page, Access code, order


def accesses(n: int, seed: int = 1) -> Accesses:
    """A program that stays a while where it is, with accesses over the ends of pages."""
    rng = np.random.default_rng(seed)
    pages = np.repeat(rng.integers(1, 200, n // 3 + 1), 3)[:n] + 0x400
    offsets = np.where(rng.random(n) < 0.1, 4093, rng.integers(0, 4000, n))
    kinds = rng.integers(0, 3, n)
    return [
        (int(page) << 12 | int(offset), int(kind), 8)
        for page, offset, kind in zip(pages, offsets, kinds, strict=True)
    ]


def touched(made: Accesses) -> Expected:
    """Each page each access touches."""
    return [
        (page, kind, 0)
        for address, kind, size in made
        for page in range(address >> 12, (address + size - 1 >> 12) + 1)
    ]


def first_pages(made: Accesses) -> Expected:
    return [(address >> 12, kind, 0) for address, kind, _ in made]


def lackey_text(made: Accesses) -> tuple[bytes, Expected]:
    names = [" L", " S", "I "]
    lines = [f"{names[kind]} {address:08x},{size}\n" for address, kind, size in made]
    return ("==1== Lackey\n==1== Command: demo\n" + "".join(lines)).encode(), touched(made)


def view_text(made: Accesses) -> tuple[bytes, Expected]:
    """DynamoRIO's view tool, with what it prints between the accesses."""
    names = ["read", "write", "ifetch"]
    head = (
        "Output format:\n<--record#-> <--instr#->: <---tid---> <record details>\n"
        + "-" * 60
        + "\n           1           0:        4711 <marker: version 6>\n"
    )
    lines = []
    for i, (address, kind, size) in enumerate(made, 2):
        tail = " by PC 0x0000000000401000" if kind < 2 else " 48 8b 45    mov    (%rbp), %rax"
        lines.append(
            f"{i:12}{i // 2:12}: {4711:11} {names[kind]:12}{size:2} byte(s) @ 0x{address:016x}"
            f"{tail}\n"
        )
        if i % 50 == 0:
            lines.append(f"{i:12}{i // 2:12}: {4711:11} {'':42}00 00 00\n" + "-" * 60 + "\n")
            lines.append(f"{i:12}{i // 2:12}: {4711:11} <thread 4711 exited>\n")
    tail = "View tool results:\n              7 : total instructions\n"
    return (head + "".join(lines) + tail).encode(), touched(made)


def simple_text(made: Accesses) -> tuple[bytes, Expected]:
    """DynamoRIO's sample memtrace_simple."""
    names = ["r", "w", "call"]
    head = "Format: <data address>: <data size>, <(r)ead/(w)rite/opcode>\n"
    lines = [f"0x{address:x}: {size:2}, {names[kind]}\n" for address, kind, size in made]
    return (head + "".join(lines)).encode(), touched(made)


def perf_text(made: Accesses) -> tuple[bytes, Expected]:
    """perf script by its defaults after perf mem record, call chains and headers among it."""
    ops = ["LOAD", "STORE", "EXEC"]
    lines = ["# ========\n# captured on : today\n#\n"]
    for i, (address, kind, _) in enumerate(made):
        lines.append(
            f"{'my demo':>16} {4711:5} [001] {12 + i}.{i:06}: {1:10} cpu/mem-loads,ldlat=30/P: "
            f"{address:16x} {0x10268100142:16x} |OP {ops[kind]}|LVL L1 hit|SNP None|TLB L1 or L2 "
            f"hit|LCK No|BLK  N/A {7:16} {0x401136:16x} main+0x10 (/usr/bin/my demo)\n"
        )
        if i % 40 == 0:
            lines.append("\t          401136 main+0x10 (/usr/bin/my demo)\n\n")
    return "".join(lines).encode(), first_pages(made)


def champsim_bytes(made: Accesses) -> tuple[bytes, Expected]:
    """An instruction for each access, at an address that follows from its number."""
    records = np.zeros(len(made), INSTRUCTION)
    expected: Expected = []
    for i, (address, kind, _) in enumerate(made):
        ip = 0x7000_0000 + 256 * i
        records[i]["ip"] = ip
        records[i]["is_branch"] = i % 2
        expected.append((ip >> 12, 2, 0))
        if kind == 1:
            records[i]["destination_memory"][i % 2] = address
        elif kind == 0:
            records[i]["source_memory"][i % 4] = address
        if kind < 2:
            expected.append((address >> 12, kind, 0))
    return records.tobytes(), expected


def csv_text(made: Accesses) -> tuple[bytes, Expected]:
    lines = [f"{address >> 12:#x},{'RWX'[kind]}\n" for address, kind, _ in made]
    head = f"#program: demo\n#records: {len(made)}\npage,access\n"
    return (head + "".join(lines)).encode(), first_pages(made)


def parquet_bytes(made: Accesses) -> tuple[bytes, Expected]:
    columns = {
        "page": [a >> 12 for a, _, _ in made],
        "access": ["RWX"[kind] for _, kind, _ in made],
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, row_group_size=max(1, len(made) // 3))
    return buffer.getvalue(), first_pages(made)


#: For each format, and each tool that writes it, a suffix of its own and a maker of files.
MAKERS: dict[str, tuple[str, Callable[[Accesses], tuple[bytes, Expected]]]] = {
    "lackey": (".lackey", lackey_text),
    "view": (".drview", view_text),
    "memtrace": (".memtrace", simple_text),
    "perf": (".perf", perf_text),
    "champsim": (".champsimtrace", champsim_bytes),
    "csv": (".csv", csv_text),
    "parquet": (".parquet", parquet_bytes),
}
#: The format each is read as.
READ_AS = {kind: kind for kind in MAKERS} | {"view": "dynamorio", "memtrace": "dynamorio"}
SINGLE = [kind for kind in MAKERS if kind not in ("csv", "parquet")]


def made_file(folder: Path, kind: str, n: int = 300, packed: str = "") -> tuple[Path, Expected]:
    """A file of that kind, and what is in it without a filter."""
    suffix, make = MAKERS[kind]
    content, expected = make(accesses(n))
    path = folder / f"t{suffix}{packed}"
    path.write_bytes(PACKERS[packed](content) if packed else content)
    return path, expected
