"""What there is to say about a trace, gathered a chunk at a time. Floor 4."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmap._defs import PAGE_SIZE
from gmap.trace._model import Access, Records, runs_of

__all__ = ["Summary"]

_LARGEST = 8


class _PageSet:
    """Distinct pages; memory goes with how many these are, not with how often they come."""

    def __init__(self) -> None:
        self._known: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._new: list[NDArray[np.uint64]] = []
        self._n_new = 0

    def add(self, pages: NDArray[np.uint64]) -> None:
        distinct = np.unique(pages)
        self._new.append(distinct)
        self._n_new += len(distinct)
        # Sorting again only once there is as much to add as there was: the cost stays linear.
        if self._n_new > max(len(self._known), 1 << 16):
            self.sorted()

    def sorted(self) -> NDArray[np.uint64]:
        if self._new:
            self._known = np.unique(np.concatenate([self._known, *self._new]))
            self._new, self._n_new = [], 0
        return self._known


class Summary:
    """Counts of a trace that comes in chunks.

    Examples
    --------
    >>> from gmap.trace import ACCESS
    >>> summary = Summary()
    >>> summary.add(np.array([(5, 0, 0), (6, 1, 0)], ACCESS))
    >>> summary.add(np.array([(5, 1, 0)], ACCESS))
    >>> facts = summary.facts()
    >>> facts["records"], facts["footprint_pages"], facts["pages_written"]
    (3, 2, 2)
    """

    def __init__(self) -> None:
        self._kinds = np.zeros(len(Access), np.int64)
        self._pages = {name: _PageSet() for name in ("all", "written", "fetched")}
        self._order = 0

    def add(self, records: Records) -> None:
        """Count the records of the next chunk, dtype `ACCESS`."""
        if not len(records):
            return
        pages, access = records["page"], records["access"]
        self._kinds += np.bincount(access, minlength=len(Access))
        self._pages["all"].add(pages)
        self._pages["written"].add(pages[access == Access.W])
        self._pages["fetched"].add(pages[access == Access.X])
        self._order = max(self._order, int(records["order"].max()))

    def facts(self) -> dict[str, Any]:
        """Return what `gmap trace info` tells, as plain values."""
        pages = self._pages["all"].sorted()
        regions = runs_of(pages)
        largest = regions[np.argsort(regions["n_pages"], kind="stable")[::-1][:_LARGEST]]
        reads, writes, fetches = self._kinds.tolist()
        return {
            "records": reads + writes + fetches,
            "reads": reads,
            "writes": writes,
            "fetches": fetches,
            "footprint_pages": len(pages),
            "footprint_bytes": len(pages) * PAGE_SIZE,
            "pages_written": len(self._pages["written"].sorted()),
            "pages_fetched": len(self._pages["fetched"].sorted()),
            "first_page": int(pages[0]) if len(pages) else None,
            "last_page": int(pages[-1]) if len(pages) else None,
            "largest_order": self._order,
            "regions": len(regions),
            "largest_regions": [
                {"page": int(page), "pages": int(n_pages)} for page, n_pages in largest.tolist()
            ],
        }
