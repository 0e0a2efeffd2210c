"""Counting tables and entries from runs of addresses, exactly and without making any. Floor 4.

Runs are ascending and do not overlap. A table of height h exists for each naturally aligned
span of the addresses it covers that holds an entry of height h or lower; the root is always
there. So tables are counted by counting spans, whatever the number of entries.
"""

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gmap.layout._model import RANGE, Geometry, Kind, Layout

__all__ = [
    "Fill",
    "choose_leaves",
    "count_entries",
    "count_spans",
    "count_tables",
    "gaps",
    "leaf_ranges",
    "merge_runs",
    "spans_filled",
    "table_shift",
]

U64: TypeAlias = NDArray[np.uint64]
Ranges: TypeAlias = NDArray[np.void]

_ONE = np.uint64(1)


def table_shift(geometry: Geometry, height: int) -> int:
    """Log2 of the bytes one table of a height covers.

    >>> from gmap.layout._geometries import gmap_geometry
    >>> table_shift(gmap_geometry(1), 0)
    20
    """
    return geometry.levels[height].shift + geometry.levels[height].bits


def _indexes(start: U64, size: U64, shift: int) -> tuple[U64, U64]:
    """First and last span of each run; sizes are above 0, and ends may reach 2**64."""
    if shift >= 64:
        return np.zeros(len(start), np.uint64), np.zeros(len(start), np.uint64)
    return start >> np.uint64(shift), (start + (size - _ONE)) >> np.uint64(shift)


def count_spans(start: U64, size: U64, shift: int) -> int:
    """Count the aligned spans of 2**shift bytes that runs reach into.

    Parameters
    ----------
    start, size : uint64 array
        Bytes; ascending, not overlapping, no size 0.

    >>> count_spans(np.array([0, 8192], np.uint64), np.array([4096, 4096], np.uint64), 13)
    2
    """
    first, last = _indexes(start, size, shift)
    shared = int(np.count_nonzero(first[1:] == last[:-1]))
    return int((last - first).sum(dtype=np.uint64)) + len(start) - shared


def count_tables(
    geometry: Geometry,
    start: U64,
    size: U64,
    height: NDArray[np.int8],
    edges: U64 | None = None,
) -> list[int]:
    """Count the tables of each height that runs of entries are in.

    Parameters
    ----------
    geometry : Geometry
    start, size : uint64 array
        Runs of entries, bytes.
    height : int8 array
        Of the entries of each run.
    edges : uint64 array, optional
        Addresses where slots begin or end: the tables are split down to them.

    >>> from gmap.layout._geometries import gmap_geometry
    >>> runs = np.array([0], np.uint64), np.array([4 << 20], np.uint64), np.array([0], np.int8)
    >>> count_tables(gmap_geometry(1), *runs)
    [4, 1, 1]
    """
    result = []
    for level in range(geometry.depth - 1):
        here = height <= level
        shift = table_shift(geometry, level)
        first, last = start[here], size[here]
        n = count_spans(first, last, shift)
        if edges is not None and len(edges) and shift < 64:
            n += _edge_spans(first, last, edges, shift)
        result.append(n)
    return [*result, geometry.root_tables]


def _edge_spans(start: U64, size: U64, edges: U64, shift: int) -> int:
    """Count the spans that an edge lies inside of and no run reaches into."""
    inside = np.unique(edges[edges & np.uint64((1 << shift) - 1) != 0] >> np.uint64(shift))
    first, last = _indexes(start, size, shift)
    before = np.searchsorted(first, inside, side="right") - 1
    if not len(first):
        return len(inside)
    return int(np.count_nonzero((before < 0) | (last[before] < inside)))


class Entries(NamedTuple):
    """Entries of one height, by what they are."""

    leaf: int
    table: int
    none: int
    hole: int
    unknown: int
    young: int
    dirty: int
    writable: int


def count_entries(layout: Layout) -> tuple[list[int], list[Entries]]:
    """Count tables and entries of each height; `unknown` are those no range tells about.

    >>> from gmap.layout._geometries import gmap_geometry
    >>> layout = Layout("one", gmap_geometry(1), leaf_ranges([0], [8192], [0]))
    >>> tables, entries = count_entries(layout)
    >>> tables, entries[0].leaf, entries[1].table
    ([1, 1, 1], 2, 1)
    """
    ranges, geometry = layout.ranges, layout.geometry
    tables = count_tables(geometry, ranges["start"], ranges["size"], ranges["height"])
    result = []
    for height, level in enumerate(geometry.levels):
        rows = ranges[ranges["height"] == height]
        n = rows["size"] >> np.uint64(level.shift)
        of = {kind: int(n[rows["kind"] == kind].sum()) for kind in Kind}
        leaf = rows["kind"] == Kind.LEAF
        below = tables[height - 1] if height else 0
        result.append(
            Entries(
                leaf=of[Kind.LEAF],
                table=below,
                none=of[Kind.NONE],
                hole=of[Kind.HOLE],
                unknown=tables[height] * level.entries - sum(of.values()) - below,
                young=int(n[leaf & rows["young"]].sum()),
                dirty=int(n[leaf & rows["dirty"]].sum()),
                writable=int(n[leaf & rows["writable"]].sum()),
            )
        )
    return tables, result


# --- runs -----------------------------------------------------------------------------------


def leaf_ranges(start: object, size: object, height: object) -> Ranges:
    """Return leaves as `RANGE`, every flag but `readable` False.

    >>> leaf_ranges([4096], [4096], [0])["kind"]
    array([2], dtype=uint8)
    """
    first = np.asarray(start, dtype=np.uint64)
    result = np.zeros(len(first), dtype=RANGE)
    result["start"], result["size"], result["height"] = first, size, height
    result["kind"], result["readable"] = Kind.LEAF, True
    return result


def merge_runs(start: U64, size: U64, delta: U64 | None = None) -> tuple[U64, U64, U64 | None]:
    """Join runs that touch or overlap; with `delta` only those that have the same.

    Parameters
    ----------
    start, size, delta : uint64 array
        Ascending by start. `delta` is what leads from an address to its frame.

    >>> merge_runs(np.array([0, 4, 9], np.uint64), np.array([4, 4, 1], np.uint64))[:2]
    (array([0, 9], dtype=uint64), array([8, 1], dtype=uint64))
    """
    if not len(start):
        return start, size, delta
    last = np.maximum.accumulate(start + (size - _ONE))
    new = np.empty(len(start), np.bool_)
    new[0] = True
    new[1:] = (start[1:] > last[:-1]) & (start[1:] - last[:-1] > _ONE)
    if delta is not None:
        new[1:] |= delta[1:] != delta[:-1]
    at = np.flatnonzero(new)
    ends = last[np.append(at[1:] - 1, len(start) - 1)]
    return start[at], ends - start[at] + _ONE, None if delta is None else delta[at]


def gaps(start: U64, size: U64) -> U64:
    """Return the sizes of the gaps between merged runs, in order.

    >>> gaps(np.array([0, 4, 9], np.uint64), np.array([4, 4, 1], np.uint64))
    array([1], dtype=uint64)
    """
    between = start[1:] - (start[:-1] + size[:-1])
    return between[between > 0]


class Fill(NamedTuple):
    """How full aligned spans are: spans that are full, and the bytes in each of the others."""

    full: int
    partial: U64


def spans_filled(start: U64, size: U64, shift: int) -> Fill:
    """Tell how full the aligned spans of 2**shift bytes are that runs reach into.

    >>> spans_filled(np.array([4096], np.uint64), np.array([12288], np.uint64), 13)
    Fill(full=1, partial=array([4096], dtype=uint64))
    """
    if shift >= 64:
        return Fill(0, np.array([int(size.sum())], np.uint64) if len(size) else size)
    first, last = _indexes(start, size, shift)
    unit = np.uint64(1 << shift)
    inner = int((last - first).sum(dtype=np.uint64)) - int(np.count_nonzero(last > first))
    # What lies in the first span of each run, and in the last if that is another one.
    head = np.where(last > first, unit - (start & (unit - _ONE)), size)
    tail = (start + (size - _ONE)) & (unit - _ONE)
    other = last > first
    span = np.concatenate([first, last[other]])
    part = np.concatenate([head, tail[other] + _ONE])
    order = np.argsort(span, kind="stable")
    span, part = span[order], part[order]
    if not len(span):
        return Fill(0, part)
    at = np.flatnonzero(np.concatenate([[True], span[1:] != span[:-1]]))
    filled = np.add.reduceat(part, at)
    full = filled == unit
    return Fill(inner + int(np.count_nonzero(full)), filled[~full])


# --- leaves for runs ------------------------------------------------------------------------


def choose_leaves(
    geometry: Geometry,
    start: U64,
    size: U64,
    delta: U64 | None = None,
    *,
    largest: int | None = None,
) -> Ranges:
    """Map runs with the largest leaves that alignment allows.

    Parameters
    ----------
    geometry : Geometry
    start, size : uint64 array
        Runs of bytes, multiples of the smallest leaf.
    delta : uint64 array, optional
        Frame minus address of each run: a leaf needs both aligned. Left out, frames do not
        stand in the way.
    largest : int, optional
        The greatest height to use; 0 maps pages only.

    Returns
    -------
    numpy.ndarray
        `RANGE`, ascending.

    >>> from gmap.layout._geometries import gmap_geometry
    >>> runs = np.array([0], np.uint64), np.array([(1 << 20) + 4096], np.uint64)
    >>> choose_leaves(gmap_geometry(1), *runs)["height"].tolist()
    [1, 0]
    """
    heights = [
        height
        for height, level in enumerate(geometry.levels)
        if level.leaf and (largest is None or height <= largest)
    ]
    parts = list(_pieces(geometry, heights, start, size, delta))
    first = np.concatenate([part[0] for part in parts]) if parts else start[:0]
    order = np.argsort(first, kind="stable")
    if not parts:
        return leaf_ranges([], [], [])
    sizes = np.concatenate([part[1] for part in parts])
    height = np.concatenate([np.full(len(part[0]), part[2], np.int8) for part in parts])
    return leaf_ranges(first[order], sizes[order], height[order])


def _pieces(
    geometry: Geometry, heights: list[int], start: U64, size: U64, delta: U64 | None
) -> Iterator[tuple[U64, U64, int]]:
    """The leaves of runs, the largest ones first: starts, sizes, height."""
    for height in reversed(heights[1:]):
        low = np.uint64((1 << geometry.levels[height].shift) - 1)
        end = start + size
        first = (start + low) & ~low
        last = end & ~low
        fits = (last > first) & (first >= start)  # the second fails if rounding up wraps
        if delta is not None:
            fits &= delta & low == 0
        if not fits.any():
            continue
        yield first[fits], last[fits] - first[fits], height
        # What is left: runs without such a leaf, and what is before and after those with one.
        begins = np.concatenate([start[~fits], start[fits], last[fits]])
        sizes = np.concatenate([size[~fits], first[fits] - start[fits], end[fits] - last[fits]])
        if delta is not None:
            delta = np.concatenate([delta[~fits], delta[fits], delta[fits]])[sizes > 0]
        start, size = begins[sizes > 0], sizes[sizes > 0]
    if len(start):
        yield start, size, heights[0]
