"""What a guest touches, and in which order. Floor 4.

A `Workload` is the faults a guest with empty tables takes, at the granule its memory is
backed with: one for each folio it touches, and for a trace another where it writes to a
folio it has only read before.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gmap._defs import PAGE_SHIFT
from gmap._host import FOLIO_ORDERS
from gmap.errors import ConfigError
from gmap.trace import Access, PageTrace, load

__all__ = ["PATTERNS", "TRACE", "Backing", "Workload", "from_trace", "workload"]

Backing: TypeAlias = Literal["4k", "1m", "2g"]

TRACE: Final = "trace:"
FIRST_GFN: Final = 1 << 19  # patterns start at 2 GiB, where every folio is aligned
_AREA_ORDER: Final = 9  # slots around what a trace touches are multiples of 2 MiB
_STRIDE: Final = 256  # folios: in 4 KiB pages, a page table for each step
_ZIPF_EXPONENT: Final = 0.99  # as in YCSB


@dataclass(frozen=True)
class Workload:
    """The faults of a guest with empty tables, in order.

    Attributes
    ----------
    name : str
        The pattern, or ``trace:`` and the name of the trace.
    backing : str
        "4k", "1m" or "2g": the folios the host backs the guest with.
    gfns : uint64 array
        The frames whose access faults.
    writes : bool array
        Which of these accesses are writes.
    areas : uint64 array, shape (n, 2)
        The guest memory around them: first gfn and pages, whole folios.
    """

    name: str
    backing: Backing
    gfns: NDArray[np.uint64]
    writes: NDArray[np.bool_]
    areas: NDArray[np.uint64]

    @property
    def pages(self) -> int:
        """Pages of guest memory."""
        return int(self.areas[:, 1].sum())

    @cached_property
    def touched(self) -> NDArray[np.uint64]:
        """A frame of each folio that is accessed, in the order of the first access."""
        return self.gfns[_first_of_each(self.gfns, FOLIO_ORDERS[self.backing])]

    @cached_property
    def written(self) -> NDArray[np.uint64]:
        """A frame of each folio that is written to, in the order of the first write."""
        gfns = self.gfns[self.writes]
        return gfns[_first_of_each(gfns, FOLIO_ORDERS[self.backing])]


def _first_of_each(gfns: NDArray[np.uint64], order: int) -> NDArray[np.intp]:
    """Where each folio comes first, in the order of `gfns`."""
    return np.sort(np.unique(gfns >> np.uint64(order), return_index=True)[1])


# --- patterns: folios 0 to n-1, in an order ---------------------------------------------------


def _sequential(n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    return np.arange(n)


def _random(n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    return rng.permutation(n)


def _strided(n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    grid = np.arange(-(-n // _STRIDE) * _STRIDE).reshape(-1, _STRIDE).T.reshape(-1)
    return grid[grid < n]


def _zipf(n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """First touches of `n` accesses, of which the k-th most popular folio gets 1/k**0.99."""
    popularity = np.cumsum(1 / np.arange(1, n + 1) ** _ZIPF_EXPONENT)
    ranks = np.searchsorted(popularity, rng.random(n) * popularity[-1])
    folios: NDArray[np.intp] = rng.permutation(n)[ranks]
    return folios[np.sort(np.unique(folios, return_index=True)[1])]


PATTERNS: Final[dict[str, Callable[[int, np.random.Generator], NDArray[np.intp]]]] = {
    "sequential": _sequential,
    "random": _random,
    "strided": _strided,
    "zipf": _zipf,
}


def workload(name: str, backing: Backing, nbytes: int, seed: int = 0) -> Workload:
    """Return a workload by its name.

    Parameters
    ----------
    name : str
        One of `PATTERNS`: "sequential", "random", "strided" (every 256th folio, then their
        neighbours), "zipf" (the first touches of as many accesses as there are folios). Or
        ``trace:NAME``: a bundled trace, or a trace file.
    backing : str
        "4k", "1m" or "2g".
    nbytes : int
        Guest memory. A trace brings its own.
    seed : int

    Raises
    ------
    ConfigError
        There is no such pattern or backing, or the size is no whole number of folios.

    >>> workload("strided", "4k", 512 * 4096).gfns[:3] - np.uint64(FIRST_GFN)
    array([  0, 256,   1], dtype=uint64)
    >>> len(workload("trace:triad", "1m", 0).areas) > 0
    True
    """
    if backing not in FOLIO_ORDERS:
        raise ConfigError(f"backing {backing!r}: use one of {', '.join(FOLIO_ORDERS)}")
    if name.startswith(TRACE):
        return from_trace(load(name.removeprefix(TRACE)), name, backing)
    if name not in PATTERNS:
        raise ConfigError(f"pattern {name!r}: use one of {', '.join(PATTERNS)}, or {TRACE}NAME")
    order = FOLIO_ORDERS[backing]
    folios, rest = divmod(nbytes, 1 << (order + PAGE_SHIFT))
    if rest or not folios:
        raise ConfigError(f"size {nbytes:#x} is no whole number of {backing} folios, one or more")
    index = PATTERNS[name](folios, np.random.default_rng(seed)).astype(np.uint64)
    areas = np.array([[FIRST_GFN, folios << order]], dtype=np.uint64)
    gfns = np.uint64(FIRST_GFN) + (index << np.uint64(order))
    return Workload(name, backing, gfns, np.ones(len(gfns), dtype=np.bool_), areas)


def from_trace(trace: PageTrace, name: str, backing: Backing) -> Workload:
    """Return the faults a program's accesses cause: guest frame = virtual page of the trace.

    >>> w = from_trace(PageTrace([7, 8, 7, 7], [0, 1, 0, 1]), "trace:demo", "4k")
    >>> w.gfns.tolist(), w.writes.tolist()
    ([7, 8, 7], [False, True, True])
    """
    order = FOLIO_ORDERS[backing]
    is_write = trace.access == Access.W
    first = _first_of_each(trace.pages, order)
    written = np.flatnonzero(is_write)
    first_write = written[_first_of_each(trace.pages[written], order)]
    index = np.union1d(first, first_write)
    areas = _areas(trace.pages[first], max(order, _AREA_ORDER))
    return Workload(name, backing, trace.pages[index], is_write[index], areas)


def _areas(gfns: NDArray[np.uint64], order: int) -> NDArray[np.uint64]:
    """Runs of neighbouring aligned blocks of 2**order pages that hold all of `gfns`."""
    blocks = np.unique(gfns >> np.uint64(order))
    starts = np.flatnonzero(np.diff(blocks, prepend=blocks[:1] - np.uint64(2)) != 1)
    lengths = np.diff(np.append(starts, len(blocks)))
    shift = np.uint64(order)
    return np.column_stack([blocks[starts] << shift, lengths.astype(np.uint64) << shift])
