"""What every format's reader is: records a piece at a time, and where it is between. Floor 4."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from os import PathLike
from typing import Protocol, TypeAlias

import numpy as np

from gmap.errors import TraceFormatError
from gmap.trace._csv import CsvScanner
from gmap.trace._files import BrokenStreamError, Source
from gmap.trace._filter import PageFilter
from gmap.trace._model import Records
from gmap.trace._position import State
from gmap.trace._scanner import PageScanner

__all__ = ["Filtered", "Meta", "Path", "Reader", "TextReader", "filtered", "rechunked"]

Path: TypeAlias = str | PathLike[str]
Meta: TypeAlias = dict[str, str]

CHUNK_RECORDS = 1 << 16


class Reader(Protocol):
    """Reads a source in pieces of bounded size."""

    def pieces(self) -> Iterator[Records]:
        """Yield the records, once; dtype `ACCESS`, any lengths, none included."""

    def state(self) -> State:
        """Return where a new reader can start to get what `pieces` has not yielded yet."""

    def fraction(self) -> float | None:
        """Return how much has been read, 0 to 1, or None if that is not known."""


class TextReader:
    """The records a scanner finds in a source's text.

    Parameters
    ----------
    source : Source
        Not read yet, or up to where `pieces` starts.
    pieces : iterable of bytes
        The text from `state.offset` on.
    scanner : PageScanner or CsvScanner
        Made for `state`.
    state : State
        Where the text starts.
    done : callable
        Called at the end of the text: checks what can be checked only there.
    """

    def __init__(
        self,
        source: Source,
        pieces: Iterable[bytes],
        scanner: PageScanner | CsvScanner,
        state: State,
        done: Callable[[], None],
    ) -> None:
        self._source = source
        self._pieces = pieces
        self._scanner = scanner
        self._fed = state.offset
        self._records = state.records
        self._done = done

    def pieces(self) -> Iterator[Records]:
        scanner = self._scanner
        try:
            for piece in self._pieces:
                yield self._counted(scanner.feed(piece), len(piece))
        except BrokenStreamError as error:
            raise TraceFormatError(
                f"{self._source.name}: line {scanner.lines + 1}: {error}"
            ) from None
        yield self._counted(scanner.finish(), 0)
        self._done()

    def _counted(self, records: Records, fed: int) -> Records:
        self._fed += fed
        self._records += len(records)
        return records

    def state(self) -> State:
        scanner = self._scanner
        kept = scanner.state() if isinstance(scanner, PageScanner) else b""
        return State(self._fed - scanner.held, scanner.lines, self._records, kept)

    def fraction(self) -> float | None:
        return self._source.fraction()


class Filtered:
    """A reader behind the page filter."""

    def __init__(self, reader: Reader, window: int, state: State) -> None:
        self._reader = reader
        self.filter = PageFilter(window, state.kept)
        self._records = state.records

    def pieces(self) -> Iterator[Records]:
        for records in self._reader.pieces():
            yield self._counted(self.filter.feed(records))
        yield self._counted(self.filter.finish())

    def _counted(self, records: Records) -> Records:
        self._records += len(records)
        return records

    def state(self) -> State:
        return replace(self._reader.state(), records=self._records, kept=self.filter.state())

    def fraction(self) -> float | None:
        return self._reader.fraction()


def filtered(reader: Reader, window: int | None, state: State, meta: Meta) -> Reader:
    """Return a reader of a page trace, behind a filter of its own if one was asked for."""
    if window is None:
        return reader
    # What was filtered by a longer window already is exact for that one only.
    before = meta.get("filter", "0")
    meta["filter"] = str(max(window, int(before) if before.isdecimal() else 0))
    return Filtered(reader, window, state)


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
