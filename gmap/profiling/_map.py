"""Where leaves of which size are, in few enough bins to draw. Floor 4."""

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gmap.layout._model import Geometry
from gmap.layout._spans import gaps, merge_runs
from gmap.profiling._sources import Source

__all__ = ["address_map", "holes"]

U64: TypeAlias = NDArray[np.uint64]
Ranges: TypeAlias = NDArray[np.void]

_BINS: Final = 120


def _below(at: U64, start: U64, size: U64) -> U64:
    """Bytes of runs below each of some addresses."""
    before = np.concatenate([[np.uint64(0)], np.cumsum(size, dtype=np.uint64)])
    run = np.searchsorted(start, at, side="right")
    inside = np.zeros(len(at), np.uint64)
    some = run > 0
    last = run[some] - 1
    inside[some] = np.minimum(at[some] - start[last], size[last])
    result: U64 = before[np.maximum(run, 1) - 1] + inside
    return result


def address_map(source: Source) -> dict[str, Any]:
    """Return two views of the address space in bins: all of it, and its mapped bytes alone.

    Each bin has its first address (or its first mapped byte), its size, the bytes mapped in it
    by leaves of each height, and the bytes that belong to slots.
    """
    geometry = source.layout.geometry
    leaves = source.leaves()
    slot_start, slot_size, _ = source.slot_runs()
    starts = [int(a[0]) for a in (leaves["start"], slot_start) if len(a)]
    ends = [int(s[-1]) + int(n[-1]) for s, n in (
        (leaves["start"], leaves["size"]), (slot_start, slot_size)) if len(s)]  # fmt: skip
    if not starts:
        return {"linear": [], "mapped": []}
    page = 1 << geometry.levels[0].shift
    bins = _edges(min(starts), max(ends), page)
    linear = _bins(geometry, leaves, bins)
    for row, nbytes in zip(linear, _inside(bins, slot_start, slot_size), strict=True):
        row["slot_bytes"] = nbytes
    # The same with everything moved together: runs start where the bytes before them end.
    packed = leaves.copy()
    packed["start"] = np.cumsum(leaves["size"], dtype=np.uint64) - leaves["size"]
    total = int(leaves["size"].sum())
    mapped = _bins(geometry, packed, _edges(0, total, page)) if total else []
    return {"linear": linear, "mapped": mapped}


def _edges(first: int, end: int, page: int) -> list[int]:
    """Edges of equal bins of whole pages, the last one perhaps shorter; `end` may be 2**64."""
    width = max(page, -(-(end - first) // (_BINS * page)) * page)
    return [*range(first, end, width), end]


def _inside(edges: list[int], start: U64, size: U64) -> list[int]:
    """Bytes of runs in each bin; all runs lie between the first and the last edge."""
    below = _below(np.array(edges[:-1], dtype=np.uint64), start, size)
    total = np.array([size.sum(dtype=np.uint64)])
    inside: list[int] = np.diff(np.concatenate([below, total])).tolist()
    return inside


def _bins(geometry: Geometry, leaves: Ranges, edges: list[int]) -> list[dict[str, Any]]:
    heights = [height for height, level in enumerate(geometry.levels) if level.leaf]
    heights += sorted(set(np.unique(leaves["height"]).tolist()) - set(heights))
    filled = {}
    for height in heights:
        rows = leaves[leaves["height"] == height]
        filled[height] = _inside(edges, rows["start"], rows["size"])
    return [
        {
            "first_byte": edges[i],
            "bin_bytes": edges[i + 1] - edges[i],
            "mapped_bytes_by_height": {str(height): filled[height][i] for height in heights},
        }
        for i in range(len(edges) - 1)
    ]


def holes(source: Source) -> dict[str, Any]:
    """Return the gaps between the lowest and the highest mapped address."""
    rows = source.leaves()
    start, size, _ = merge_runs(rows["start"], rows["size"])
    sizes = gaps(start, size)
    power = np.frexp(sizes.astype(np.float64))[1] - 1
    classes = []
    for exponent in np.unique(power).tolist():
        here = sizes[power == exponent]
        classes.append(
            {
                "from_bytes": 1 << exponent,
                "below_bytes": 2 << exponent,
                "holes": len(here),
                "hole_bytes": int(here.sum()),
            }
        )
    slot_bytes = sum(slot.memory_size for slot in source.slots)
    mapped = int(size.sum())
    return {
        "holes": len(sizes),
        "hole_bytes": int(sizes.sum()),
        "largest_hole_bytes": int(sizes.max()) if len(sizes) else 0,
        "mapped_runs": len(start),
        "slot_bytes": slot_bytes if source.slots else None,
        "unmapped_slot_bytes": slot_bytes - mapped if source.slots else None,
        "sizes": classes,
    }
