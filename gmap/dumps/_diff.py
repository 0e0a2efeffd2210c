"""What is different between two layouts. Floor 4."""

from collections.abc import Collection
from enum import IntFlag
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gmap._readable import AddressSpace
from gmap.errors import ConfigError
from gmap.layout import Kind, Layout
from gmap.layout._from_gmap import layout_of, merge_neighbours

__all__ = ["CHANGE", "SIDE", "UNKNOWN", "Change", "diff"]

Comparable: TypeAlias = AddressSpace | Layout

#: The `kind` of addresses that one of the two sources says nothing of.
UNKNOWN: Final = 255

#: What one of the two sources says of a range: its `Kind` or UNKNOWN, log2 of the bytes an
#: entry covers, and the flags as `gmap.layout.RANGE` has them.
SIDE: Final = np.dtype(
    [
        ("kind", np.uint8),
        ("shift", np.uint8),
        ("readable", np.bool_),
        ("writable", np.bool_),
        ("executable", np.bool_),
        ("young", np.bool_),
        ("dirty", np.bool_),
    ]
)

#: A range of addresses (bytes) in which the same has changed; `change` is `Change` bits.
CHANGE: Final = np.dtype(
    [
        ("start", np.uint64),
        ("size", np.uint64),
        ("change", np.uint8),
        ("before", SIDE),
        ("after", SIDE),
    ],
    align=True,
)

_PERMISSIONS: Final = ("readable", "writable", "executable")
_STATES: Final = ("young", "dirty")


class Change(IntFlag):
    """What has changed in a range.

    >>> (Change.PERMISSION | Change.STATE).name
    'PERMISSION|STATE'
    """

    ADDED = 1  # mapped now
    REMOVED = 2  # mapped no more
    SIZE = 4  # mapped by entries of another size
    PERMISSION = 8  # readable, writable, executable
    STATE = 16  # young, dirty; or absent for another reason
    TABLE = 32  # absent at another level: a table came or went


def _layout(source: Comparable, which: str) -> Layout:
    if isinstance(source, Layout):
        return source
    if isinstance(source, AddressSpace):
        return layout_of(source)
    raise ConfigError(
        f"{which} {source!r} is no layout: give a Gmap, a Snapshot, or what read_ptdump returned"
    )


def diff(a: Comparable, b: Comparable, *, ignore: Collection[str] = ()) -> NDArray[np.void]:
    """Return what is different in `b` from what was in `a`.

    Parameters
    ----------
    a, b : Gmap, Snapshot or Layout
    ignore : collection of str
        Flags not to compare, of readable, writable, executable, young, dirty; "hole" to take
        the two reasons of being absent for one; "table" not to report absent entries that
        are at another level. For sources that do not know them: no dump of a kernel tells of
        dirty pages.

    Returns
    -------
    structured array
        dtype `gmap.dumps.CHANGE`, ascending; empty if there is no difference. Where a source
        says nothing, nothing is taken to be mapped.

    Raises
    ------
    ConfigError
        Something else to compare, or another name to ignore.

    >>> import gmap
    >>> host = gmap.SyntheticHost()
    >>> region = host.map(1 << 20)
    >>> g = gmap.Gmap(host)
    >>> g.set_memory_region(0, 0, region.nbytes, region.hva)
    >>> before = gmap.from_bytes(g.to_bytes(), g.asce, ipa_bits=40)
    >>> g.fault_in([4, 5])
    array([0, 0], dtype=int32)
    >>> [(hex(row["start"]), hex(row["size"]), Change(int(row["change"])).name)
    ...     for row in diff(before, g)]
    [('0x0', '0x4000', 'TABLE'), ('0x4000', '0x2000', 'ADDED'), ('0x6000', '0xfa000', 'TABLE')]
    """
    known = {*_PERMISSIONS, *_STATES, "hole", "table"}
    if isinstance(ignore, str) or not known.issuperset(ignore):
        raise ConfigError(f"ignore {ignore!r}: use some of {', '.join(sorted(known))}")
    layouts = _layout(a, "a"), _layout(b, "b")
    edges = _edges(layouts)
    result = np.zeros(len(edges), dtype=CHANGE)
    result["start"] = edges
    # The last one reaches to 2**64, which is 0 here; no range may reach so far.
    result["size"] = np.append(edges[1:], np.zeros(1, np.uint64))[: len(edges)] - edges
    for name, layout in zip(("before", "after"), layouts, strict=True):
        result[name] = _sides(layout, edges, ignore)
    result["change"] = _changes(result["before"], result["after"], ignore)
    return merge_neighbours(result[result["change"] != 0])


def _edges(layouts: tuple[Layout, Layout]) -> NDArray[np.uint64]:
    """Return where a range begins or the byte behind one, ascending."""
    found = []
    for layout in layouts:
        starts, sizes = layout.ranges["start"], layout.ranges["size"]
        last = starts + (sizes - np.uint64(1))
        found += [starts, last[last != np.uint64(2**64 - 1)] + np.uint64(1)]
    edges: NDArray[np.uint64] = np.unique(np.concatenate(found))
    return edges


def _sides(layout: Layout, starts: NDArray[np.uint64], ignore: Collection[str]) -> NDArray[np.void]:
    """Return what a layout says from each start on."""
    ranges = layout.ranges
    sides = np.zeros(len(starts), dtype=SIDE)
    sides["kind"] = UNKNOWN
    if not len(ranges):
        return sides
    which = np.searchsorted(ranges["start"], starts, side="right") - 1
    covered = (which >= 0) & (starts - ranges["start"][which] < ranges["size"][which])
    rows = ranges[which[covered]]
    shifts = np.array([level.shift for level in layout.geometry.levels], dtype=np.uint8)
    sides["kind"][covered] = rows["kind"]
    sides["shift"][covered] = shifts[rows["height"]]
    for name in (*_PERMISSIONS, *_STATES):
        if name not in ignore:
            sides[name][covered] = rows[name]
    return sides


def _changes(
    before: NDArray[np.void], after: NDArray[np.void], ignore: Collection[str]
) -> NDArray[np.uint8]:
    was, now = before["kind"] == Kind.LEAF, after["kind"] == Kind.LEAF
    both, neither = was & now, ~was & ~now
    known = (before["kind"] != UNKNOWN) & (after["kind"] != UNKNOWN)
    resized = before["shift"] != after["shift"]
    permission = np.any([before[name] != after[name] for name in _PERMISSIONS], axis=0)
    state = np.any([before[name] != after[name] for name in _STATES], axis=0)
    reason = neither & known & (before["kind"] != after["kind"]) & ("hole" not in ignore)
    table = neither & known & resized & ("table" not in ignore)
    found: NDArray[np.uint8] = (
        np.where(now & ~was, Change.ADDED, 0)
        | np.where(was & ~now, Change.REMOVED, 0)
        | np.where(both & resized, Change.SIZE, 0)
        | np.where(both & permission, Change.PERMISSION, 0)
        | np.where((both & state) | reason, Change.STATE, 0)
        | np.where(table, Change.TABLE, 0)
    ).astype(np.uint8)
    return found
