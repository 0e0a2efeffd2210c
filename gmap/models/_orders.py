"""How large the page of an access is: what the trace says, one size, or a space. Floor 4."""

from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from gmap._defs import PAGE_SHIFT
from gmap.dtypes import LEAF
from gmap.errors import ConfigError
from gmap.models._config import page_bytes, page_order

__all__ = ["FixedOrder", "Orders", "SpaceOrders", "TraceOrders", "orders_from"]

_SHIFT: Final = np.uint64(PAGE_SHIFT)


class Orders(Protocol):
    """Gives the order of each page: it has 2**order pages of 4 KiB.

    >>> isinstance(TraceOrders().unmapped, int)
    True
    """

    unmapped: int

    def __call__(self, pages: NDArray[np.uint64], order: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the orders of a block, given its page numbers and its own orders."""
        ...


class TraceOrders:
    """The trace's own `order` field.

    >>> TraceOrders()(np.array([7], np.uint64), np.array([9], np.uint8))
    array([9], dtype=uint8)
    """

    unmapped = 0

    def __call__(self, pages: NDArray[np.uint64], order: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return order


class FixedOrder:
    """One size for every page.

    >>> FixedOrder(65536)(np.array([7], np.uint64), np.array([0], np.uint8))
    array([4], dtype=uint8)
    """

    unmapped = 0

    def __init__(self, nbytes: int) -> None:
        self._order = page_order(nbytes)
        self._block = np.empty(0, np.uint8)

    def __call__(self, pages: NDArray[np.uint64], order: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if len(pages) > len(self._block):
            self._block = np.full(len(pages), self._order, np.uint8)
        return self._block[: len(pages)]


class SpaceOrders:
    """The leaf of an address space that maps the page, as the space is when this is made.

    Parameters
    ----------
    space : object with `regions()`, or array of dtype `gmap.dtypes.LEAF`

    Attributes
    ----------
    unmapped : int
        Accesses so far to pages no leaf maps. They count as pages of 4 KiB.

    >>> leaves = np.zeros(1, LEAF)
    >>> leaves["gpa"], leaves["size"], leaves["level"] = 1 << 20, 1 << 21, 0
    >>> orders = SpaceOrders(leaves)
    >>> orders(np.array([0, 0x100, 0x2ff], np.uint64), np.zeros(3, np.uint8)), orders.unmapped
    (array([0, 8, 8], dtype=uint8), 1)
    """

    def __init__(self, space: Any) -> None:
        leaves = space if isinstance(space, np.ndarray) else _regions(space)
        if leaves.dtype != LEAF or leaves.ndim != 1:
            raise ConfigError(
                f"leaves must be one row of gmap.dtypes.LEAF, got {leaves.dtype}, {leaves.shape}"
            )
        leaves = leaves[np.argsort(leaves["gpa"], kind="stable")]
        self._start = leaves["gpa"] >> _SHIFT
        self._end = self._start + (leaves["size"] >> _SHIFT)
        if (self._end[:-1] > self._start[1:]).any():
            raise ConfigError("leaves overlap: an address has one leaf or none")
        # By `gmap.Level`: a page, a segment, a region-third entry.
        known = np.array([page_order(page_bytes(size)) for size in ("4K", "1M", "2G")], np.uint8)
        level = leaves["level"].astype(np.intp) + 1
        if ((level < 0) | (level >= len(known))).any():
            raise ConfigError("leaves must be of level -1, 0 or 1: a page, 1 MiB or 2 GiB")
        self._order = known[level]
        self.unmapped = 0

    def __call__(self, pages: NDArray[np.uint64], order: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if not len(self._start):
            self.unmapped += len(pages)
            return np.zeros(len(pages), np.uint8)
        at = np.searchsorted(self._start, pages, side="right") - 1
        mapped = (at >= 0) & (pages < self._end[at])
        self.unmapped += len(pages) - int(np.count_nonzero(mapped))
        return np.where(mapped, self._order[at], np.uint8(0))


def _regions(space: Any) -> NDArray[np.void]:
    if not callable(getattr(space, "regions", None)) or hasattr(space, "n_accesses"):
        raise ConfigError(f"space must be a Gmap, a snapshot or an array of leaves, got {space!r}")
    leaves = space.regions()
    if not isinstance(leaves, np.ndarray):
        raise ConfigError(f"space.regions() must give an array of leaves, got {leaves!r}")
    return leaves


def orders_from(space: Any, page_size: str | int | None) -> Orders:
    """Return where the page sizes of a replay come from.

    >>> type(orders_from(None, None)).__name__, type(orders_from(None, "1M")).__name__
    ('TraceOrders', 'FixedOrder')
    """
    if space is not None:
        if page_size is not None:
            raise ConfigError(
                f"page sizes come from the space or from page_size={page_size!r}: leave one out"
            )
        return SpaceOrders(space)
    if page_size is None:
        return TraceOrders()
    nbytes = page_bytes(page_size)
    return FixedOrder(nbytes)
