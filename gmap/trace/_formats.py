"""The formats a trace may come in, behind one interface. Floor 4.

A `Format` turns a `Source` into arrays of records, a piece at a time. To teach this package
another one (a simulator's binary records, a profiler's text), write a function like `read_csv`
below and add a line to `FORMATS`: `read`, `chunks` and the command line then know it.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from os import PathLike
from types import MappingProxyType
from typing import Any, Self, TypeAlias

import numpy as np

from gmap.errors import ConfigError, TraceFormatError
from gmap.trace._csv import CsvScanner
from gmap.trace._errors import TraceDependencyError
from gmap.trace._files import BrokenStreamError, Output, Source
from gmap.trace._lackey import LackeyScanner
from gmap.trace._lines import LineScanner
from gmap.trace._model import (
    ACCESS,
    DEFAULT_WINDOW,
    LAST_PAGE,
    MAX_ORDER,
    Access,
    PageTrace,
    Records,
    check_meta,
    check_records,
)

__all__ = ["FORMATS", "Format", "TraceFile", "chunks", "read", "write", "write_chunks"]

Path: TypeAlias = str | PathLike[str]
Meta: TypeAlias = dict[str, str]

CHUNK_RECORDS = 1 << 16
VERSION = "gmap-trace/1"
_HEAD_LIMIT = 1 << 20
_OURS = b"gmap."  # prefix of this package's keys in a Parquet file
_COMPRESSED = (".gz", ".xz")


# --- text -----------------------------------------------------------------------------------


def _scan(source: Source, pieces: Iterable[bytes], scanner: LineScanner) -> Iterator[Records]:
    """Yield what a scanner makes of the pieces; a fault of compression gets its line here."""
    try:
        for piece in pieces:
            yield scanner.feed(piece)
    except BrokenStreamError as error:
        raise TraceFormatError(f"{source.name}: line {scanner.lines + 1}: {error}") from None
    yield scanner.finish()


def read_lackey(source: Source, meta: Meta, window: int) -> Iterator[Records]:
    """Return the filtered records of lackey's text; `meta` is complete once they are read."""
    scanner = LackeyScanner(source.name, window)
    meta["filter"] = str(window)

    def records() -> Iterator[Records]:
        yield from _scan(source, source, scanner)
        if scanner.accesses == 0:
            raise TraceFormatError(
                f"{source.name}: line {scanner.lines + 1}: the file ends before any access"
            )
        meta.update(lackey_meta(scanner))

    return records()


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


def _is_lackey(head: bytes) -> bool:
    return re.match(rb"I  | [LSM] |SB |==|--|\*\*", head.lstrip(b"\r\n")) is not None


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
        self.pieces = iter(source)
        self.rest = b""
        while self._line(meta):
            pass

    def _next(self) -> bytes:
        """Return the next line without its end."""
        while b"\n" not in self.rest:
            try:
                piece = next(self.pieces, b"")
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
        found = re.fullmatch(r"#([A-Za-z_][\w.-]*):(?: (.*)|)", _decode(line), re.ASCII | re.DOTALL)
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


def _decode(text: bytes) -> str:
    # A command line may hold bytes that are no text: they come back as they were.
    return text.decode("utf-8", "surrogateescape")


def read_csv(source: Source, meta: Meta, window: int) -> Iterator[Records]:
    """Return the records of a CSV trace, having read its metadata; `window` is not used."""
    head = _CsvHead(source, meta)
    scanner = CsvScanner(source.name, head.lines, head.has_order)

    def pieces() -> Iterator[bytes]:
        yield head.rest
        yield from head.pieces

    def records() -> Iterator[Records]:
        yield from _scan(source, pieces(), scanner)
        if head.records not in (None, scanner.records):
            raise TraceFormatError(
                f"{source.name}: line {scanner.lines}: the file ends after {scanner.records} "
                f"records, its metadata promises {head.records}: it is truncated or was edited"
            )

    return records()


def _is_csv(head: bytes) -> bool:
    return head.startswith((b"page,access", b"#"))


def write_csv(
    output: Output, arrays: Iterator[Records], meta: Mapping[str, str], order: bool, n: int
) -> None:
    """Write a CSV trace; `n` records will come."""
    lines = [f"#format: {VERSION}", *(f"#{key}: {_escape(meta[key])}" for key in meta)]
    lines += [f"#records: {n}", "page,access,order" if order else "page,access", ""]
    stream = _compressing(output)
    stream.write("\n".join(lines).encode("utf-8", "surrogateescape"))
    for array in arrays:
        stream.write(_csv_lines(array, order).encode())
    if stream is not output:
        stream.close()


def _csv_lines(array: Records, order: bool) -> str:
    kinds = Access._member_names_
    if order:
        return "".join(f"{page:#x},{kinds[kind]},{size}\n" for page, kind, size in array.tolist())
    return "".join(f"{page:#x},{kinds[kind]}\n" for page, kind, _ in array.tolist())


def _compressing(output: Any) -> Any:
    """Return a stream that compresses as the file's name says."""
    name = output.name.lower()
    if name.endswith(".gz"):
        import gzip

        # No name and no time inside: the same trace makes the same file.
        return gzip.GzipFile("", "wb", 6, output, mtime=0)
    if name.endswith(".xz"):
        try:
            import lzma
        except ImportError:
            raise TraceDependencyError(
                "this Python was built without xz support (module lzma): write .csv.gz instead"
            ) from None
        return lzma.LZMAFile(output, "wb", preset=6)
    return output


# --- Parquet --------------------------------------------------------------------------------


def _pyarrow() -> tuple[Any, Any]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise TraceDependencyError(
            "Parquet traces need pyarrow: pip install 'gmap[trace]', or use CSV"
        ) from None


def read_parquet(source: Source, meta: Meta, window: int) -> Iterator[Records]:
    """Return the records of a Parquet trace, having read its metadata; `window` is not used."""
    pa, parquet = _pyarrow()
    faults = (pa.ArrowException, OSError, ValueError, OverflowError)
    try:
        seekable = not source.compressed and source.raw.seekable()
        whole = None if seekable else b"".join(source)
        file = parquet.ParquetFile(
            source.raw if whole is None else BytesIO(whole), page_checksum_verification=True
        )
    except BrokenStreamError as error:
        raise TraceFormatError(f"{source.name}: {error}") from None
    except faults as error:
        raise TraceFormatError(
            f"{source.name}: this is no Parquet file, or it is truncated: {_first_line(error)}"
        ) from None
    columns = _parquet_columns(source.name, file.schema_arrow, pa)
    for key, value in (file.schema_arrow.metadata or {}).items():
        if key.startswith(_OURS):
            meta[_decode(key.removeprefix(_OURS))] = _decode(value)
    version = meta.pop("format", VERSION)
    if version != VERSION:
        raise TraceFormatError(
            f"{source.name}: format {version[:60]!r}: this version of gmap reads {VERSION}"
        )
    promised = {meta.pop("records", str(file.metadata.num_rows)), str(file.metadata.num_rows)}
    try:
        check_meta(meta)
    except ConfigError as error:
        raise TraceFormatError(f"{source.name}: {error}") from None

    def records() -> Iterator[Records]:
        row = 0
        batches = file.iter_batches(CHUNK_RECORDS, columns=columns)
        while True:
            try:
                batch = next(batches, None)
                plain = {} if batch is None else _without_dictionaries(batch, pa)
            except faults as error:
                raise TraceFormatError(
                    f"{source.name}: damaged after row {row}: {_first_line(error)}"
                ) from None
            if batch is None:
                break
            yield _from_columns(source.name, plain, row, pa)
            row += batch.num_rows
        # A damaged footer can hide rows without any other sign.
        if promised != {str(row)}:
            raise TraceFormatError(
                f"{source.name}: it has {row} rows, its metadata promises "
                f"{' and '.join(sorted(text[:60] for text in promised))}: it is damaged"
            )

    return records()


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", 1)[0]


def _parquet_columns(name: str, schema: Any, pa: Any) -> list[str]:
    """Return the columns to read, having checked their types."""
    wanted = ["page", "access", *(["order"] if "order" in schema.names else [])]
    for column in wanted:
        if schema.names.count(column) != 1:
            raise TraceFormatError(
                f"{name}: expected one column {column!r}, the columns are {schema.names}"
            )
        kind = schema.field(column).type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        texts = (pa.string(), pa.large_string(), pa.string_view()) if column == "access" else ()
        if not pa.types.is_integer(kind) and kind not in texts:
            raise TraceFormatError(f"{name}: column {column!r} has type {kind}, expected integers")
    return wanted


def _without_dictionaries(batch: Any, pa: Any) -> dict[str, Any]:
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    for name, values in columns.items():
        if pa.types.is_dictionary(values.type):
            columns[name] = values.dictionary_decode()
    return columns


def _from_columns(name: str, columns: Mapping[str, Any], row: int, pa: Any) -> Records:
    result: Records = np.zeros(len(columns["page"]), ACCESS)
    limits = {"page": LAST_PAGE, "access": max(Access), "order": MAX_ORDER}
    for column, given in columns.items():
        values = given
        if not pa.types.is_integer(values.type):
            letters = pa.array(Access._member_names_, values.type)
            values = import_module("pyarrow.compute").index_in(values, letters)
        numbers = values.to_numpy(zero_copy_only=False)
        bad = values.is_null().to_numpy(zero_copy_only=False)
        if not bad.any():
            bad = (numbers < 0) | (numbers > limits[column])
        if bad.any():
            at = int(np.argmax(bad))
            expected = f"expected 0 to {limits[column]:#x}"
            if column == "access":
                expected = "expected R, W or X, or their codes 0, 1 and 2"
            raise TraceFormatError(
                f"{name}: row {row + at + 1}: {column}: {expected}, "
                f"got {given[at].as_py()!r}"
            )
        result[column] = numbers
    return result


def _is_parquet(head: bytes) -> bool:
    return head.startswith(b"PAR1")


def write_parquet(
    output: Output, arrays: Iterator[Records], meta: Mapping[str, str], order: bool, n: int
) -> None:
    """Write a Parquet trace; `n` records will come."""
    pa, parquet = _pyarrow()
    letters = pa.array(Access._member_names_)
    fields = {"page": pa.uint64(), "access": pa.dictionary(pa.uint8(), pa.string())}
    if order:
        fields["order"] = pa.uint8()
    texts = {"format": VERSION, **meta, "records": str(n)}
    ours = {_OURS + key.encode(): texts[key].encode("utf-8", "surrogateescape") for key in texts}
    schema = pa.schema(fields, metadata=ours)
    sink = pa.PythonFile(output, "w")
    # Without checksums a changed byte in a page could pass for another page number.
    options = {"compression": "zstd", "write_page_checksum": True}
    with parquet.ParquetWriter(sink, schema, **options) as writer:
        for array in rechunked(arrays, 16 * CHUNK_RECORDS):
            columns = [
                pa.array(np.ascontiguousarray(array["page"])),
                pa.DictionaryArray.from_arrays(np.ascontiguousarray(array["access"]), letters),
            ]
            if order:
                columns.append(pa.array(np.ascontiguousarray(array["order"])))
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


# --- the formats ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Format:
    """One format of traces.

    Attributes
    ----------
    name : str
        What `gmap trace info` calls it.
    suffixes : tuple of str
        Endings of file names, before .gz or .xz.
    recognises : callable
        Whether the first bytes of a file, decompressed, look like this format.
    read : callable
        From a source, a dict to fill with metadata and the filter's window for formats that
        are not filtered yet, to an iterator of arrays (dtype `ACCESS`) of any length.
    write : callable, optional
        Writes arrays, metadata, whether there are orders, and the number of records.

    Examples
    --------
    >>> [known.name for known in FORMATS if known.write]
    ['parquet', 'csv']
    """

    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[bytes], bool]
    read: Callable[[Source, Meta, int], Iterator[Records]]
    write: Callable[[Output, Iterator[Records], Mapping[str, str], bool, int], None] | None = None


FORMATS: tuple[Format, ...] = (
    Format("parquet", (".parquet", ".pq"), _is_parquet, read_parquet, write_parquet),
    Format("csv", (".csv",), _is_csv, read_csv, write_csv),
    Format("lackey", (".lackey",), _is_lackey, read_lackey),
)


def _named(path: Path) -> Format | None:
    """Return the format a file's name asks for."""
    name = str(path).lower()
    for suffix in _COMPRESSED:
        name = name.removesuffix(suffix)
    return next((known for known in FORMATS if name.endswith(known.suffixes)), None)


def _format_of(source: Source) -> Format:
    """Return a source's format: by its name, and where that says nothing by its content."""
    named = _named(source.name)
    if named is not None:
        return named
    head = source.peek()
    for known in FORMATS:
        if known.recognises(head):
            return known
    for _ in source:  # a file damaged from the start says so itself
        break
    start = f"it starts with {head[:20]!r}" if head else "it is empty"
    raise TraceFormatError(
        f"{source.name}: line 1: this is neither lackey text, nor CSV (page,access), nor Parquet: "
        f"{start}"
    )


def writer_of(path: Path) -> Format:
    """Return the format to write a file in, by its name, once it can be written.

    Raises
    ------
    ConfigError
        The name ends in nothing that can be written.
    TraceDependencyError
        The format needs a package that is not installed.
    """
    named = _named(path)
    if named is None and os.path.exists(path) and not os.path.isfile(path):
        # A device or a FIFO has no suffix to choose by. (A directory is refused later.)
        named = next(known for known in FORMATS if known.name == "csv")
    if named is None or named.write is None:
        raise ConfigError(f"{path}: end the name in .csv.xz, .csv.gz, .csv or .parquet")
    if named.name == "parquet":
        if str(path).lower().endswith(_COMPRESSED):
            raise ConfigError(f"{path}: Parquet is compressed already, end the name in .parquet")
        _pyarrow()
    return named


def rechunked(arrays: Iterable[Records], size: int) -> Iterator[Records]:
    """Yield the same records in arrays of `size`; the last one may be shorter."""
    held: list[Records] = []
    n_held = 0
    for array in arrays:
        start = 0
        while len(array) - start >= size - n_held:
            end = start + size - n_held
            yield np.concatenate([*held, array[start:end]])
            held, n_held, start = [], 0, end
        if start < len(array):
            held.append(array[start:])
            n_held += len(array) - start
    if held:
        yield np.concatenate(held)


class TraceFile:
    """A trace file open for reading in pieces of bounded size.

    Parameters
    ----------
    path : path-like
        The file; `-` is standard input.
    window : int
        The window of the page filter for formats that are not filtered yet (lackey).

    Attributes
    ----------
    name, format : str
        The file and its format's name.
    meta : Mapping of str to str
        What the file says about the trace. A format without a head fills it while it is read.

    Examples
    --------
    >>> from gmap.trace import bundled
    >>> with TraceFile(bundled()["paths"].path) as file:
    ...     file.format, max(len(chunk) for chunk in file.chunks(1000))
    ('csv', 1000)
    """

    def __init__(self, path: Path, *, window: int = DEFAULT_WINDOW) -> None:
        self._source = Source(path)
        self._meta: Meta = {}
        self.name = self._source.name
        self.meta: Mapping[str, str] = MappingProxyType(self._meta)
        try:
            found = _format_of(self._source)
            self.format = found.name
            self._records = found.read(self._source, self._meta, window)
        except BrokenStreamError as error:
            self.close()
            raise TraceFormatError(f"{self.name}: line 1: {error}") from None
        except BaseException:
            self.close()
            raise

    def chunks(self, chunk_records: int = CHUNK_RECORDS) -> Iterator[Records]:
        """Yield the records, once, in arrays of `chunk_records`; the last may be shorter."""
        if chunk_records < 1:
            raise ConfigError(f"chunk_records must be at least 1, got {chunk_records}")
        return rechunked(self._records, chunk_records)

    def read(self) -> PageTrace:
        """Return the whole trace."""
        records = list(self._records)
        return PageTrace.from_chunks(records, self.meta)

    def close(self) -> None:
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read(path: Path, *, window: int = DEFAULT_WINDOW) -> PageTrace:
    """Return the trace in a file: lackey text, CSV or Parquet, as it is or in .gz or .xz.

    Parameters
    ----------
    path : path-like
        The file. Its name decides the format, or its content if the name says nothing.
    window : int
        The window of the page filter that lackey text goes through; 0 keeps every access.

    Raises
    ------
    TraceFormatError
        The file is malformed or truncated; the message names the line and the field.
    TraceDependencyError
        Parquet without pyarrow.
    OSError
        The file cannot be read.

    Examples
    --------
    >>> from gmap.trace import bundled
    >>> read(bundled()["triad"].path).meta["program"]
    'triad'
    """
    with TraceFile(path, window=window) as file:
        return file.read()


def chunks(
    path: Path, chunk_records: int = CHUNK_RECORDS, *, window: int = DEFAULT_WINDOW
) -> Iterator[Records]:
    """Yield the records of a file in arrays (dtype `ACCESS`) of `chunk_records`.

    Memory stays bounded whatever the size of the file. Errors are those of `read`.

    >>> from gmap.trace import bundled
    >>> sum(len(chunk) for chunk in chunks(bundled()["triad"].path, 10_000))
    138001
    """
    with TraceFile(path, window=window) as file:
        yield from file.chunks(chunk_records)


def write(path: Path, trace: PageTrace) -> None:
    """Write a trace as CSV (.csv, .csv.gz, .csv.xz) or Parquet (.parquet), all of it or none.

    Raises
    ------
    TraceWriteError
        The disk is full, or whatever else went wrong; a file that was there is still there.
    ConfigError
        The name ends in none of these.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write(f"{folder}/demo.csv.xz", PageTrace([0x400, 0x7f0], [2, 1]))
    ...     read(f"{folder}/demo.csv.xz").pages
    array([1024, 2032], dtype=uint64)
    """
    write_chunks(path, [trace.records()], trace.meta, n=len(trace), order=bool(trace.order.any()))


def write_chunks(
    path: Path,
    arrays: Iterable[Records],
    meta: Mapping[str, str],
    *,
    n: int,
    order: bool = False,
) -> None:
    """Write `n` records that come in arrays; see `write`.

    Parameters
    ----------
    path : path-like
        The file; its name decides the format.
    arrays : iterable of arrays
        dtype `ACCESS`, of any lengths, `n` records together.
    meta : mapping of str to str
        The keys `format` and `records` are the file's own.
    n : int
        How many records come: a reader can tell a truncated file by it.
    order : bool
        Whether to write a column of orders.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> parts = [np.array([(0x400, 2, 0)], ACCESS), np.array([(0x7f0, 1, 0)], ACCESS)]
    >>> with TemporaryDirectory() as folder:
    ...     write_chunks(f"{folder}/demo.csv.gz", parts, {"program": "demo"}, n=2)
    ...     read(f"{folder}/demo.csv.gz")
    <PageTrace demo: 2 records, 2 pages>
    """
    writer = writer_of(path)
    kept = check_meta({key: meta[key] for key in meta if key not in ("format", "records")})
    with Output(path) as output:
        assert writer.write is not None
        pieces = rechunked(map(check_records, arrays), CHUNK_RECORDS)
        writer.write(output, _counted(pieces, n), kept, order, n)


def _counted(arrays: Iterable[Records], n: int) -> Iterator[Records]:
    count = 0
    for array in arrays:
        count += len(array)
        yield array
    if count != n:
        raise ConfigError(f"{n} records were announced, {count} came")
