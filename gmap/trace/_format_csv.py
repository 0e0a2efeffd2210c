"""CSV traces, `gmap-trace/1`: metadata, a header, and a line a record. Floor 4."""

import re
from collections.abc import Iterator, Mapping

from gmap.errors import ConfigError, TraceFormatError
from gmap.trace._csv import CsvScanner, csv_lines
from gmap.trace._files import BrokenStreamError, Output, Source, compressing
from gmap.trace._model import Records
from gmap.trace._position import State
from gmap.trace._reader import Meta, Reader, TextReader, filtered

__all__ = ["VERSION", "read_csv", "write_csv"]

VERSION = "gmap-trace/1"
_HEAD_LIMIT = 1 << 20


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def _unescape(value: str) -> str:
    return re.sub(r"\\([\\nr])", lambda found: {"n": "\n", "r": "\r"}.get(found[1], "\\"), value)


class _CsvHead:
    """The lines before the records of a CSV trace, and the bytes already read beyond them."""

    def __init__(self, source: Source, meta: Meta) -> None:
        self.name = source.name
        self.lines = 0
        self.records: int | None = None
        self.has_order = False
        self._pieces = iter(source)
        self.rest = b""
        while self._line(meta):
            pass

    def _next(self) -> bytes:
        """Return the next line without its end."""
        while b"\n" not in self.rest:
            try:
                piece = next(self._pieces, b"")
            except BrokenStreamError as error:
                raise self.error(str(error)) from None
            if not piece:
                line, self.rest = self.rest, b""
                return line
            self.rest += piece
            if b"\n" not in self.rest[:_HEAD_LIMIT] and len(self.rest) > _HEAD_LIMIT:
                raise self.error(f"longer than {_HEAD_LIMIT} bytes, this is no CSV trace")
        line, self.rest = self.rest.split(b"\n", 1)
        return line.removesuffix(b"\r")

    def _line(self, meta: Meta) -> bool:
        """Read one line; false once it was the header."""
        line = self._next()
        if line in (b"page,access", b"page,access,order"):
            self.has_order = line.endswith(b"order")
        elif line.startswith(b"#"):
            self._meta(line, meta)
        else:
            found = f"got {line[:60]!r}" if line or self.rest else "the file ends"
            raise self.error(
                f"header: expected 'page,access' or 'page,access,order' after any "
                f"'#key: value' lines, {found}"
            )
        self.lines += 1
        return line.startswith(b"#")

    def _meta(self, line: bytes, meta: Meta) -> None:
        found = re.fullmatch(r"#([A-Za-z_][\w.-]*):(?: (.*)|)", decode(line), re.ASCII | re.DOTALL)
        if found is None:
            raise self.error(f"metadata: expected '#key: value', got {line[:60]!r}")
        key, value = found[1], _unescape(found[2] or "")
        if key in meta or (key == "records" and self.records is not None):
            raise self.error(f"metadata: key {key!r} appears twice")
        if key == "records":
            if not re.fullmatch(r"[0-9]{1,18}", value):
                raise self.error(f"metadata: records must be a count, got {value[:60]!r}")
            self.records = int(value)
        elif key == "format":
            if value != VERSION:
                raise self.error(f"format {value[:60]!r}: this version of gmap reads {VERSION}")
        else:
            meta[key] = value

    def error(self, what: str) -> TraceFormatError:
        return TraceFormatError(f"{self.name}: line {self.lines + 1}: {what}")


def decode(text: bytes) -> str:
    # A command line may hold bytes that are no text: they come back as they were.
    return text.decode("utf-8", "surrogateescape")


def read_csv(source: Source, meta: Meta, window: int | None, state: State) -> Reader:
    """Return the records of a CSV trace, having read its metadata."""
    head = _CsvHead(source, meta)
    start = source.offset - len(head.rest)
    # Behind a filter of its own, a position counts what that kept, not the lines.
    countable = window is None or not state.offset
    if not state.offset:
        state = State(start, head.lines)
    elif state.offset < start:
        raise ConfigError(f"{source.name}: the position lies before the records")
    scanner = CsvScanner(source.name, state.line, head.has_order, state.records)
    rest = head.rest[state.offset - start :]
    if state.offset > source.offset:
        source.seek(state.offset)

    def pieces() -> Iterator[bytes]:
        if rest:
            yield rest
        yield from source

    def done() -> None:
        if countable and head.records not in (None, scanner.records):
            raise TraceFormatError(
                f"{source.name}: line {scanner.lines}: the file ends after {scanner.records} "
                f"records, its metadata promises {head.records}: it is truncated or was edited"
            )

    return filtered(TextReader(source, pieces(), scanner, state, done), window, state, meta)


def is_csv(head: bytes) -> bool:
    return re.match(rb"page,access|#[A-Za-z_]", head) is not None


def write_csv(
    output: Output, arrays: Iterator[Records], meta: Mapping[str, str], order: bool, n: int
) -> None:
    """Write a CSV trace; `n` records will come."""
    lines = [f"#format: {VERSION}", *(f"#{key}: {_escape(meta[key])}" for key in meta)]
    lines += [f"#records: {n}", "page,access,order" if order else "page,access", ""]
    stream = compressing(output)
    stream.write("\n".join(lines).encode("utf-8", "surrogateescape"))
    for array in arrays:
        stream.write(csv_lines(array, order))
    if stream is not output:
        stream.close()
