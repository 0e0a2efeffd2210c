"""What one way to map memory costs: a row that all comparisons share. Floor 4."""

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gmap.layout._geometries import arm64_stage1_geometry
from gmap.layout._model import Geometry
from gmap.layout._spans import count_tables

__all__ = [
    "GUESTS",
    "cost_row",
    "leaf_sizes",
    "mean_reads",
    "nested_reads",
    "ratio",
    "round_out",
    "size_name",
    "table_bytes_of",
]

Ranges: TypeAlias = NDArray[np.void]
U64: TypeAlias = NDArray[np.uint64]

_VA_BITS: Final = 48
#: Guests whose two-dimensional walks are counted: name, granule, height of the stage-1 leaf.
GUESTS: Final = tuple(
    (f"{granule >> 10}K guest, {what}", granule, height)
    for granule in (4096, 16384, 65536)
    for height, what in ((0, "pages"), (1, "blocks"))
)


def size_name(nbytes: int) -> str:
    """Return a power of two of bytes as dumps print it.

    >>> size_name(4096), size_name(1 << 20), size_name(1 << 31)
    ('4K', '1M', '2G')
    """
    for unit, shift in (("E", 60), ("P", 50), ("T", 40), ("G", 30), ("M", 20), ("K", 10)):
        if nbytes >= 1 << shift:
            return f"{nbytes >> shift}{unit}"
    return f"{nbytes}B"


def ratio(part: float, whole: float) -> float | None:
    """`part / whole`, or None where there is no whole.

    >>> ratio(1, 2), ratio(1, 0)
    (0.5, None)
    """
    return part / whole if whole else None


def nested_reads(stage1_levels: int, stage2_reads: float) -> float:
    """Memory reads of a two-dimensional walk with nothing cached, (n + 1)(m + 1) - 1.

    >>> nested_reads(4, 3)
    19
    """
    return (stage1_levels + 1) * (stage2_reads + 1) - 1


def stage1_levels(granule: int, height: int) -> int:
    """Table reads of a stage-1 walk of a 48-bit guest that ends at a height."""
    return arm64_stage1_geometry(_VA_BITS, granule).depth - height


def mean_reads(geometry: Geometry, leaves: Ranges) -> float | None:
    """Table reads of a one-dimensional walk, averaged over the mapped bytes."""
    total = int(leaves["size"].sum())
    reads = 0
    for height in range(geometry.depth):
        here = int(leaves["size"][leaves["height"] == height].sum())
        reads += here * (geometry.depth - height)
    return ratio(reads, total)


def leaf_sizes(geometry: Geometry, leaves: Ranges) -> list[dict[str, Any]]:
    """Count leaves of each size a geometry has: entries, bytes, and their share."""
    total = int(leaves["size"].sum())
    rows = []
    for height, level in enumerate(geometry.levels):
        here = leaves["height"] == height
        mapped = int(leaves["size"][here].sum())
        if not level.leaf and not mapped:
            continue
        rows.append(
            {
                "height": height,
                "level": level.name,
                "name": size_name(1 << level.shift),
                "leaf_bytes": 1 << level.shift,
                "leaves": mapped >> level.shift,
                "runs": int(np.count_nonzero(here)),
                "mapped_bytes": mapped,
                "mapped_ratio": ratio(mapped, total),
                "walk_reads": geometry.depth - height,
            }
        )
    return rows


def table_bytes_of(geometry: Geometry, tables: list[int]) -> int:
    """Bytes of so many tables of each height."""
    return sum(n * level.table_bytes for n, level in zip(tables, geometry.levels, strict=True))


def cost_row(
    name: str,
    geometry: Geometry,
    leaves: Ranges,
    *,
    edges: U64 | None = None,
    tables: list[int] | None = None,
) -> dict[str, Any]:
    """Return what mapping memory by these leaves costs.

    Parameters
    ----------
    name : str
    geometry : Geometry
    leaves : RANGE array
    edges : uint64 array, optional
        Where slots split the tables.
    tables : list of int, optional
        Tables of each height, if they are known; else those the leaves and edges need.
    """
    if tables is None:
        tables = count_tables(geometry, leaves["start"], leaves["size"], leaves["height"], edges)
    mapped = int(leaves["size"].sum())
    table_bytes = table_bytes_of(geometry, tables)
    sizes = leaf_sizes(geometry, leaves)
    reads = mean_reads(geometry, leaves)
    n = stage1_levels(4096, 0)
    return {
        "name": name,
        "geometry": geometry.name,
        "levels": geometry.depth,
        "tables": sum(tables),
        "table_bytes": table_bytes,
        "mapped_bytes": mapped,
        "table_ratio": ratio(table_bytes, mapped),
        "leaves": sum(row["leaves"] for row in sizes),
        "leaves_by_size": {row["name"]: row["leaves"] for row in sizes if row["leaves"]},
        "mean_walk_reads": reads,
        "mean_nested_reads": None if reads is None else nested_reads(n, reads),
    }


def round_out(start: U64, size: U64, unit: int) -> tuple[U64, U64]:
    """Widen runs to whole units; they may then touch or overlap."""
    low = np.uint64(unit - 1)
    first = start & ~low
    return first, ((start + (size - np.uint64(1))) | low) - first + np.uint64(1)
