"""What a guest accesses, on its way to a trace file. Floor 10."""

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gmap._defs import PAGE_SHIFT
from gmap.trace import ACCESS, DEFAULT_WINDOW, PageFilter, PageTrace, write_chunks
from gmap.trace._formats import writer_of
from gmap.trace._spool import Spool

__all__ = ["Recording", "page_accesses"]


def page_accesses(events: NDArray[Any]) -> NDArray[Any]:
    """Return the pages of accesses, in order; one that crosses into another page gives two.

    Parameters
    ----------
    events : structured array
        What the recorder of a VM takes: of its fields `va`, `size` (bytes, at most a page) and
        `kind` (`gmap.trace.Access`) are used.

    Returns
    -------
    array of dtype `gmap.trace.ACCESS`

    >>> event = np.dtype([("va", "u8"), ("size", "u1"), ("kind", "u1")])
    >>> page_accesses(np.array([(0x5008, 4, 0), (0x5ffc, 8, 1)], event))["page"].tolist()
    [5, 5, 6]
    """
    shift = np.uint64(PAGE_SHIFT)
    first = events["va"] >> shift
    last = events["va"] + (events["size"].astype(np.uint64) - np.uint64(1)) >> shift
    count = 1 + (last != first)
    found = np.zeros(int(count.sum()), ACCESS)
    found["page"] = np.repeat(first, count)
    found["page"][np.cumsum(count) - 1] = last
    found["access"] = np.repeat(events["kind"], count)
    return found


class Recording:
    """Page accesses that go through the page filter into a trace of `gmap.trace`.

    The file appears whole, when `write` is called.

    Parameters
    ----------
    path : path-like
        .csv, .csv.gz, .csv.xz or .parquet.
    window : int
        Of the page filter (docs/traces.md); 0 keeps every access.

    Attributes
    ----------
    records : int
        How many the filter has kept so far.

    Raises
    ------
    ConfigError
        The name ends in no format that can be written.
    TraceWriteError
        There is no such directory, or the disk is full.

    >>> import tempfile, gmap.trace
    >>> event = np.dtype([("va", "u8"), ("size", "u1"), ("kind", "u1")])
    >>> events = np.array([(0x5000, 4, 2), (0x7000, 8, 1), (0x5004, 4, 2)], event)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Recording(f"{folder}/guest.csv", window=0) as recording:
    ...         recording.feed(events)
    ...         recording.write({"program": "guest"})
    ...     gmap.trace.read(f"{folder}/guest.csv")
    <PageTrace guest: 3 records, 2 pages>
    """

    def __init__(self, path: str | os.PathLike[str], *, window: int = DEFAULT_WINDOW) -> None:
        writer_of(path)
        self.path = path
        self._window = window
        self._filter = PageFilter(window)
        self._spool = Spool(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def records(self) -> int:
        """How many the filter has kept so far."""
        return self._spool.records

    def feed(self, events: NDArray[Any]) -> None:
        """Add accesses, in the order they were made, as `page_accesses` takes them."""
        self._spool.append(self._filter.feed(page_accesses(events)))

    def write(self, meta: Mapping[str, str]) -> None:
        """Write the file. Call it once, at the end."""
        self._spool.append(self._filter.finish())
        kept = {
            "filter": str(self._window),
            "accesses": str(self._filter.accesses),
            **PageTrace((), (), meta=meta).meta,
        }
        write_chunks(self.path, self._spool.chunks(), kept, n=self.records)

    def close(self) -> None:
        """Forget what was not written."""
        self._spool.close()
