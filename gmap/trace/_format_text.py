"""The text formats whose lines are single accesses: lackey, perf script, DynamoRIO. Floor 4."""

import re
from collections.abc import Callable

from gmap.errors import TraceFormatError
from gmap.trace._dynamorio import DynamorioScanner
from gmap.trace._files import Source
from gmap.trace._lackey import LackeyScanner
from gmap.trace._perf import PerfScanner
from gmap.trace._position import State
from gmap.trace._reader import Meta, Reader, TextReader
from gmap.trace._scanner import PageScanner

__all__ = ["read_dynamorio", "read_lackey", "read_perf"]


def _read(
    source: Source,
    meta: Meta,
    scanner: PageScanner,
    state: State,
    window: int,
    learnt: Callable[[], Meta],
) -> Reader:
    meta["filter"] = str(window)
    if state.offset:
        source.seek(state.offset)

    def done() -> None:
        if scanner.accesses == 0:
            raise TraceFormatError(
                f"{source.name}: line {scanner.lines + 1}: the file ends before any access"
            )
        meta.update(learnt())

    return TextReader(source, source, scanner, state, done)


def read_lackey(source: Source, meta: Meta, window: int, state: State) -> Reader:
    """Return the filtered records of lackey's text; `meta` is complete once they are read."""
    scanner = LackeyScanner(source.name, window, state.line, state.kept)
    return _read(source, meta, scanner, state, window, lambda: lackey_meta(scanner))


def lackey_meta(scanner: LackeyScanner) -> Meta:
    """Return what a scanner has learnt about the program beside its records."""
    meta = {
        "instructions": str(scanner.fetches),
        "loads": str(scanner.loads),
        "stores": str(scanner.stores),
        "modifies": str(scanner.modifies),
        "accesses": str(scanner.accesses),
    }
    for key, pattern in (("tool", r"Using (Valgrind-\S+)"), ("command", r"== Command: (.*)")):
        if found := re.search(pattern, scanner.banner):
            meta[key] = found[1].strip()
    return meta


def is_lackey(head: bytes) -> bool:
    return re.match(rb"I  | [LSM] |SB |==|--|\*\*", head.lstrip(b"\r\n")) is not None


def read_perf(source: Source, meta: Meta, window: int, state: State) -> Reader:
    """Return the filtered records of a `perf script`."""
    scanner = PerfScanner(source.name, window, state.line, state.kept)

    def learnt() -> Meta:
        counts = {"samples": scanner.samples, "skipped": scanner.skipped}
        return {key: str(counts[key]) for key in counts} | {"accesses": str(scanner.accesses)}

    return _read(source, meta, scanner, state, window, learnt)


def is_perf(head: bytes) -> bool:
    lines = (line for line in head[:65536].splitlines() if line.strip() and line[:1] not in b"#\t")
    first = b" " + next(lines, b"")[:4096] + b" "
    return re.match(rb".*?\s[0-9]+\.[0-9]+: .*\S:\s", first) is not None


def read_dynamorio(source: Source, meta: Meta, window: int, state: State) -> Reader:
    """Return the filtered records of DynamoRIO's text."""
    scanner = DynamorioScanner(source.name, window, state.line, state.kept)

    def learnt() -> Meta:
        return {
            "instructions": str(scanner.fetches),
            "loads": str(scanner.loads),
            "stores": str(scanner.stores),
            "accesses": str(scanner.accesses),
        }

    return _read(source, meta, scanner, state, window, learnt)


def is_dynamorio(head: bytes) -> bool:
    pattern = (
        rb"Output format:|Format: <|0x[0-9a-fA-F]+(: +[0-9]|,[rw],)"
        rb"| *[0-9]+( +[0-9]+)?: +([WT0-9.]+) +(<|ifetch|read|write)"
    )
    return re.match(pattern, head.lstrip(b"\r\n")) is not None
