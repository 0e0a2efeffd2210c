"""Which geometry a dump comes from: its lines say only levels and sizes. Floor 4.

A boundary of a range is a boundary of entries of its level. That rules geometries out; of those
that are left the coarsest is taken if there are pages among the ranges, for a finer one would
hardly have put every boundary so, and the finest if there are none. An arm64 hypervisor frees a
table with its last entry, so a dump that would have an empty one is rather a gmap's.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from gmap import ipa
from gmap._defs import PAGE_SHIFT
from gmap.layout import Geometry
from gmap.layout._geometries import (
    arm64_stage1_geometry,
    arm64_stage2_geometry,
    gmap_geometry,
    s390_geometry,
)

__all__ = ["Edges", "gmap_of", "s390_of", "stage1_of", "stage2_of"]

_GRANULES: Final = (4096, 16384, 65536)  # finest first
_IPA_BITS: Final = range(32, 53)
_VA_BITS_MAX: Final = 52
_END: Final = 1 << 64


class Edges:
    """The boundaries of a dump's ranges, by height.

    >>> edges = Edges()
    >>> edges.add(0, 0x1000, 0x3000)
    >>> edges.fit(0, 12), edges.fit(0, 14)
    (True, False)
    """

    def __init__(self) -> None:
        self._bits: dict[int, int] = {}
        self._absent: dict[int, int] = {}
        self.end = 0

    def add(self, height: int, start: int, end: int) -> None:
        """Note a range."""
        # Or-ed, the boundaries have the alignment of the least aligned one.
        self._bits[height] = self._bits.get(height, 0) | start | end
        self.end = max(self.end, end)

    def add_absent(self, height: int, shift: int) -> None:
        """Note that all of an aligned block of `2**shift` bytes is absent at a height."""
        self._absent[height] = max(self._absent.get(height, 0), shift)

    def has_empty_table(self, geometry: Geometry) -> bool:
        """Tell whether a table below the root would have no entry.

        >>> edges = Edges()
        >>> edges.add_absent(1, 30)
        >>> [edges.has_empty_table(g) for g in (arm64_stage2_geometry(40), gmap_geometry(1))]
        [True, False]
        """
        return any(
            height + 1 < geometry.depth and shift >= geometry.levels[height + 1].shift
            for height, shift in self._absent.items()
        )

    @property
    def top(self) -> int:
        """The highest height there is; -1 of nothing."""
        return max(self._bits, default=-1)

    @property
    def heights(self) -> Iterator[int]:
        """The heights there are."""
        return iter(self._bits)

    def fit(self, height: int, shift: int) -> bool:
        """Tell whether all boundaries of a height are those of entries of `2**shift` bytes."""
        return self._bits[height] % (1 << shift) == 0


def _fits(edges: Edges, geometry: Geometry) -> bool:
    return edges.top < geometry.depth and all(
        edges.fit(height, geometry.levels[height].shift) for height in edges.heights
    )


def _choose(
    edges: Edges, granules: Iterable[int], make: Callable[[int], Iterable[Geometry]]
) -> Geometry | None:
    """Return the geometry of the coarsest or finest granule that fits."""
    fitting = []
    for granule in granules:
        found = next((geometry for geometry in make(granule) if _fits(edges, geometry)), None)
        if found is not None:
            fitting.append(found)
    if not fitting:
        return None
    return fitting[-1] if 0 in edges.heights else fitting[0]


def _bits_of(edges: Edges) -> int:
    """Return how many bits the addresses of a dump from 0 on have."""
    return max(edges.end - 1, 0).bit_length()


def stage2_of(
    edges: Edges, granule: int | None, ipa_bits: int | None, tables: str | None
) -> Geometry | None:
    """Return the geometry of a dump of stage-2 tables, or None if none fits.

    A granule, a size or "arm64" or "gmap" narrow the choice.

    >>> edges = Edges()
    >>> edges.add(2, 0, 1 << 30)
    >>> edges.add(1, 1 << 30, (1 << 30) + (2 << 20))
    >>> stage2_of(edges, None, None, None).name
    'arm64 stage 2, 4K granule, 35-bit IPA'
    """
    least = max(_bits_of(edges), _IPA_BITS[0])
    sizes: Sequence[int] = (ipa_bits,) if ipa_bits is not None else range(least, _IPA_BITS[-1] + 1)

    def native(size: int) -> Iterator[Geometry]:
        return (arm64_stage2_geometry(bits, size) for bits in sizes if bits >= _bits_of(edges))

    found = None
    if tables != "gmap":
        found = _choose(edges, _GRANULES if granule is None else (granule,), native)
    doubtful = found is None or (
        tables is None
        and found.levels[0].shift == PAGE_SHIFT
        and edges.has_empty_table(found)
    )
    if doubtful and tables != "arm64" and granule in (None, 1 << PAGE_SHIFT):
        other = gmap_of(edges)
        if _fits(edges, other):
            found = other
    return found


def gmap_of(edges: Edges) -> Geometry:
    """Return the geometry of a gmap that has all levels and addresses of a dump.

    >>> edges = Edges()
    >>> edges.add(0, 0, 1 << 40)
    >>> gmap_of(edges).depth
    3
    """
    smallest = int(ipa.table_type(max(edges.end >> PAGE_SHIFT, 1)))
    return gmap_geometry(max(smallest, edges.top - 1, 0))


def stage1_of(
    edges: Edges, start: int, granule: int | None, va_bits: int | None
) -> Geometry | None:
    """Return the geometry of a dump of an arm64 kernel's own tables, or None if none fits.

    >>> edges = Edges()
    >>> edges.add(0, 2**64 - 2**48, 2**64 - 2**48 + 4096)
    >>> stage1_of(edges, 2**64 - 2**48, None, None).name
    'arm64 stage 1, 4K granule, 48-bit VA'
    """
    width = min((_END - start - 1).bit_length(), _VA_BITS_MAX) if va_bits is None else va_bits

    def kernel(size: int) -> Iterator[Geometry]:
        if width > size.bit_length() - 1:
            yield arm64_stage1_geometry(width, size)

    return _choose(edges, _GRANULES if granule is None else (granule,), kernel)


def s390_of(edges: Edges) -> Geometry:
    """Return the geometry of an s390 kernel's tables that has all levels and addresses.

    >>> edges = Edges()
    >>> edges.add(2, 0, 1 << 53)
    >>> s390_of(edges).depth
    4
    """
    smallest = int(ipa.table_type(max(edges.end >> PAGE_SHIFT, 1)))
    return s390_geometry(max(smallest, edges.top - 1, 1))
