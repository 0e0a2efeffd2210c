"""Trace files, read a chunk at a time and written whole or not at all. Floor 4."""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Self

import numpy as np

from gmap.errors import ConfigError, TraceFormatError
from gmap.trace._files import BrokenStreamError, Output, Source
from gmap.trace._formats import Format, format_named, format_of, writer_of
from gmap.trace._model import (
    DEFAULT_WINDOW,
    PageTrace,
    Records,
    check_meta,
    check_records,
    check_window,
)
from gmap.trace._position import HEAD_BYTES, Position, State, check_head
from gmap.trace._reader import CHUNK_RECORDS, Meta, Path, rechunked

__all__ = ["Chunks", "TraceFile", "chunks", "read", "write", "write_chunks"]


class TraceFile:
    """A trace file open for reading in pieces of bounded size.

    Parameters
    ----------
    path : path-like
        The file; `-` is standard input.
    window : int, optional
        The window of the page filter; 0 keeps every access. Left out, it is 64 for formats of
        single accesses, and there is no filter for CSV and Parquet, which hold page traces.
    format : str, optional
        The name of the format, instead of going by the file's name and content.
    start : Position or str, optional
        Go on from this place, or the place this token stands for.

    Attributes
    ----------
    name, format : str
        The file and its format's name.
    meta : Mapping of str to str
        What the file says about the trace. A format without a head fills it while it is read,
        and then the counts are of what was read, from `start` on.
    position : Position
        The place after the last chunk handed out.

    Examples
    --------
    >>> from gmap.trace import bundled
    >>> with TraceFile(bundled()["paths"].path) as file:
    ...     file.format, max(len(chunk) for chunk in file.chunks(1000))
    ('csv', 1000)
    """

    def __init__(
        self,
        path: Path,
        *,
        window: int | None = None,
        format: str | None = None,
        start: Position | str | None = None,
    ) -> None:
        place = Position.from_token(start) if isinstance(start, str) else start
        if place is not None and not isinstance(place, Position):
            raise ConfigError(f"start must be a Position or its token, got {start!r}")
        if window is not None:
            window = check_window(window)
        if format is not None:
            format_named(format)
        self._source = Source(path)
        self._meta: Meta = {}
        self.name = self._source.name
        self.meta: Mapping[str, str] = MappingProxyType(self._meta)
        try:
            self._open(window, format, place)
        except BrokenStreamError as error:
            self.close()
            raise TraceFormatError(f"{self.name}: line 1: {error}") from None
        except BaseException:
            self.close()
            raise

    def _open(self, window: int | None, name: str | None, place: Position | None) -> None:
        head = self._source.peek()[:HEAD_BYTES]
        if place is not None:
            window, name = self._agreed(window, name, place)
            check_head(self.name, head, place)
        found: Format = format_named(name) if name else format_of(self._source)
        self.format = found.name
        if window is None and found.single:
            window = DEFAULT_WINDOW
        if place is None:
            place = Position(found.name, window, 0, 0, State(), len(head), zlib.crc32(head))
        self._place = place
        self._skip = place.skip
        self._reader = found.read(self._source, self._meta, window, place.state)
        # Where a reader could start, and how many records after that have been handed out.
        self._at: tuple[State, int] = place.state, place.skip

    def _agreed(
        self, window: int | None, name: str | None, place: Position
    ) -> tuple[int | None, str]:
        """Return window and format of a position, refusing others that were asked for."""
        for what, asked, there in (
            ("filter window", window, place.window),
            ("format", name, place.format),
        ):
            if asked is not None and asked != there:
                raise ConfigError(
                    f"{self.name}: the position was taken with {what} {there}, not {asked}: "
                    "leave it out, or start from the beginning"
                )
        return place.window, place.format

    @property
    def position(self) -> Position:
        """The place after the last chunk handed out."""
        state, skip = self._at
        place = self._place
        return Position(
            self.format,
            place.window,
            state.records + skip,
            skip,
            state,
            place.head_bytes,
            place.head_crc,
        )

    def fraction(self) -> float | None:
        """Return how much of the file has been read, 0 to 1, or None if that is not known."""
        return self._reader.fraction()

    def chunks(
        self, chunk_records: int = CHUNK_RECORDS, limit: int | None = None
    ) -> Iterator[Records]:
        """Yield the records, once, in arrays of `chunk_records`; the last may be shorter.

        With a limit the chunks end after so many records, and `position` is there.
        """
        if chunk_records < 1:
            raise ConfigError(f"chunk_records must be at least 1, got {chunk_records}")
        if limit is not None and limit < 1:
            raise ConfigError(f"limit must be at least 1, got {limit}")
        held: list[Records] = []
        n_held = given = 0
        size = chunk_records if limit is None else min(chunk_records, limit)
        for state, piece, start in self._pieces():
            while len(piece) - start >= size - n_held:
                end = start + size - n_held
                chunk = np.concatenate([*held, piece[start:end]])
                held, n_held, start = [], 0, end
                self._at = state, end
                yield chunk
                if limit is not None:
                    given += size
                    if given == limit:
                        return
                    size = min(size, limit - given)
            if start < len(piece):
                held.append(piece[start:])
                n_held += len(piece) - start
        self._at = self._reader.state(), 0
        if held:
            yield np.concatenate(held)

    def _pieces(self) -> Iterator[tuple[State, Records, int]]:
        """Yield the reader's state before each piece, the piece, and where in it to begin."""
        pieces = self._reader.pieces()
        while True:
            state = self._reader.state()
            piece = next(pieces, None)
            if piece is None:
                break
            dropped = min(self._skip, len(piece))
            self._skip -= dropped
            yield state, piece, dropped
        if self._skip:
            raise ConfigError(
                f"{self.name}: the position lies {self._skip} records beyond the end: give the "
                "file it was made from"
            )

    def read(self) -> PageTrace:
        """Return the whole trace, or what is left of it."""
        records = [piece[start:] for _, piece, start in self._pieces()]
        self._at = self._reader.state(), 0
        return PageTrace.from_chunks(records, self.meta)

    def close(self) -> None:
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Chunks:
    """The chunks of a trace file, one after another, and where they end; see `chunks`.

    Attributes
    ----------
    position : Position or None
        The place after the last chunk; None before the first one.

    Examples
    --------
    >>> from gmap.trace import bundled
    >>> parts = Chunks(bundled()["triad"].path, 100_000)
    >>> [len(part) for part in parts], parts.position.records
    ([100000, 38001], 138001)
    """

    def __init__(
        self,
        path: Path,
        chunk_records: int = CHUNK_RECORDS,
        *,
        window: int | None = None,
        format: str | None = None,
        start: Position | str | None = None,
    ) -> None:
        opened: list[TraceFile] = []

        # Without a reference to this object: the file is closed as soon as nobody has it.
        def run() -> Iterator[Records]:
            with TraceFile(path, window=window, format=format, start=start) as file:
                opened.append(file)
                yield from file.chunks(chunk_records)

        self._opened = opened
        self._chunks = run()

    @property
    def position(self) -> Position | None:
        """The place after the last chunk; None before the first one."""
        return self._opened[0].position if self._opened else None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Records:
        return next(self._chunks)


def chunks(
    path: Path,
    chunk_records: int = CHUNK_RECORDS,
    *,
    window: int | None = None,
    format: str | None = None,
    start: Position | str | None = None,
) -> Chunks:
    """Yield the records of a file in arrays (dtype `ACCESS`) of `chunk_records`.

    Memory stays bounded whatever the size of the file. The other parameters are those of
    `TraceFile`, errors those of `read`.

    >>> from gmap.trace import bundled
    >>> sum(len(chunk) for chunk in chunks(bundled()["triad"].path, 10_000))
    138001
    """
    return Chunks(path, chunk_records, window=window, format=format, start=start)


def read(path: Path, *, window: int | None = None, format: str | None = None) -> PageTrace:
    """Return the trace in a file, of any format in `FORMATS`, as it is or in .gz or .xz.

    Parameters
    ----------
    path : path-like
        The file. Its name decides the format, or its content if the name says nothing.
    window : int, optional
        The window of the page filter; 0 keeps every access. Left out, it is 64 for formats of
        single accesses, and there is no filter for CSV and Parquet, which hold page traces.
    format : str, optional
        The name of the format, instead.

    Raises
    ------
    TraceFormatError
        The file is malformed or truncated; the message names the line and the field.
    TraceDependencyError
        Parquet without pyarrow.
    ConfigError, AddressError
        No such format; a window out of range.
    OSError
        The file cannot be read.

    Examples
    --------
    >>> from gmap.trace import bundled
    >>> read(bundled()["triad"].path).meta["program"]
    'triad'
    """
    with TraceFile(path, window=window, format=format) as file:
        return file.read()


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
    >>> from gmap.trace import ACCESS
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
