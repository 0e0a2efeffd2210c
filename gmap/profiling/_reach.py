"""How far a TLB and a cache of table entries reach in a layout. Floor 4.

docs/profile.md defines the figures. All come from the counts of leaves alone: caches are fully
associative, and nothing of a real machine's sizes or policies is modelled here (see the trace
models for that).
"""

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gmap.layout._model import Geometry
from gmap.layout._spans import spans_filled, table_shift

__all__ = ["ENTRIES", "random_hit_ratio", "tlb_reach", "walk_cache_reach"]

#: Sizes of the caches that are asked about, in entries.
ENTRIES: Final = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)

Ranges: TypeAlias = NDArray[np.void]
_HALVINGS: Final = 200  # of the interval the characteristic time lies in


def _leaf_bytes(geometry: Geometry, leaves: Ranges) -> NDArray[np.int64]:
    """Bytes of one leaf of each run."""
    sizes = np.array([1 << level.shift for level in geometry.levels], dtype=np.int64)
    result: NDArray[np.int64] = sizes[leaves["height"]]
    return result


def tlb_reach(
    geometry: Geometry, leaves: Ranges, entries: tuple[int, ...] = ENTRIES
) -> list[dict[str, Any]]:
    """Return the bytes a TLB of so many entries covers.

    Parameters
    ----------
    geometry : Geometry
    leaves : RANGE array
        Leaves, ascending.
    entries : tuple of int

    Returns
    -------
    list of dict
        For each size: `in_order_bytes` (mean over all sets of neighbouring leaves),
        `best_bytes` (the largest leaves), `random_hit_ratio`.

    >>> from gmap.layout._geometries import gmap_geometry
    >>> from gmap.layout._spans import leaf_ranges
    >>> leaves = leaf_ranges([0], [32 * 4096], [0])
    >>> tlb_reach(gmap_geometry(1), leaves, (16,))[0]["random_hit_ratio"]
    0.5
    """
    unit = _leaf_bytes(geometry, leaves)
    count = leaves["size"].astype(np.int64) // np.maximum(unit, 1)
    classes = [(int(size), int(count[unit == size].sum())) for size in np.unique(unit)[::-1]]
    total = sum(size * n for size, n in classes)
    n_leaves = sum(n for _, n in classes)
    rows = []
    for n in entries:
        best, left = 0, n
        for size, available in classes:
            best += size * min(left, available)
            left -= min(left, available)
        in_order = total if n >= n_leaves else _mean_window(unit, count, n)
        rows.append(
            {
                "entries": n,
                "in_order_bytes": in_order,
                "best_bytes": best,
                "random_hit_ratio": random_hit_ratio(classes, n),
            }
        )
    return rows


def _mean_window(unit: NDArray[np.int64], count: NDArray[np.int64], n: int) -> int:
    """Mean bytes of `n` neighbouring leaves; there are more than `n`.

    With P(k) the bytes of the first k leaves, the mean is that of P(i + n) - P(i), which is
    piecewise linear: its sums have a closed form for each run.
    """
    last = np.cumsum(count)
    total = int(last[-1])
    wide, runs = unit.astype(np.float64), count.astype(np.float64)
    bytes_before = np.cumsum(wide * runs) - wide * runs
    run_sums = runs * bytes_before + wide * runs * (runs + 1) / 2
    sums_before = np.cumsum(run_sums) - run_sums

    def sum_to(k: int) -> float:
        """P(0) + ... + P(k)."""
        if k < 1:
            return 0.0
        i = int(np.searchsorted(last, k))
        inside = float(k - (last[i] - count[i]))
        return float(
            sums_before[i] + inside * bytes_before[i] + wide[i] * inside * (inside + 1) / 2
        )

    spread = sum_to(total) - sum_to(n - 1) - sum_to(total - n)
    return round(spread / (total - n + 1))


def random_hit_ratio(classes: list[tuple[int, int]], entries: int) -> float:
    """Hit ratio of an LRU cache of leaves under accesses uniform over the mapped bytes.

    Parameters
    ----------
    classes : list of (int, int)
        Bytes of a leaf, and how many there are.
    entries : int

    Notes
    -----
    With leaves of one size it is entries over leaves, exactly. With several it is Che's
    approximation: a leaf is in the cache if it was used within a time that makes the expected
    number of such leaves the size of the cache.

    >>> random_hit_ratio([(4096, 64)], 16), random_hit_ratio([(4096, 64)], 100)
    (0.25, 1.0)
    """
    classes = [(size, n) for size, n in classes if n]
    n_leaves = sum(n for _, n in classes)
    if entries >= n_leaves:
        return 1.0
    if len(classes) == 1:
        return entries / n_leaves
    total = sum(size * n for size, n in classes)
    share = np.array([size / total for size, _ in classes])
    number = np.array([n for _, n in classes], dtype=np.float64)
    low, high = 0.0, 1.0 / float(share.min())
    while float((number * -np.expm1(-share * high)).sum()) < entries:
        high *= 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if float((number * -np.expm1(-share * middle)).sum()) < entries:
            low = middle
        else:
            high = middle
    return float((number * share * -np.expm1(-share * high)).sum())


def walk_cache_reach(
    geometry: Geometry, leaves: Ranges, entries: tuple[int, ...] = ENTRIES
) -> list[dict[str, Any]]:
    """Return the mapped bytes that cached entries, which point to tables, lead to.

    Parameters
    ----------
    geometry : Geometry
    leaves : RANGE array
        Leaves, ascending.
    entries : tuple of int

    Returns
    -------
    list of dict
        For each height above 0 and each size: `tables` that such entries point to and that
        hold mapped memory, `mean_bytes` and `best_bytes` below as many of them.

    >>> from gmap.layout._geometries import gmap_geometry
    >>> from gmap.layout._spans import leaf_ranges
    >>> row = walk_cache_reach(gmap_geometry(1), leaf_ranges([0], [1 << 21], [0]), (16,))[0]
    >>> row["height"], row["tables"], row["best_bytes"]
    (1, 2, 2097152)
    """
    rows = []
    for height in range(1, geometry.depth):
        below = leaves[leaves["height"] < height]
        shift = table_shift(geometry, height - 1)
        fill = spans_filled(below["start"], below["size"], shift)
        tables = fill.full + len(fill.partial)
        mapped = int(below["size"].sum())
        partial = np.cumsum(np.sort(fill.partial)[::-1], dtype=np.uint64)
        for n in entries:
            best = min(n, fill.full) << shift
            more = min(n - min(n, fill.full), len(partial))
            rows.append(
                {
                    "height": height,
                    "level": geometry.levels[height].name,
                    "entries": n,
                    "tables": tables,
                    "mean_bytes": mapped if n >= tables else round(mapped * n / tables),
                    "best_bytes": best + (int(partial[more - 1]) if more else 0),
                }
            )
    return rows
