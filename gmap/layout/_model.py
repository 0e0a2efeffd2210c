"""What a layout is made of. Floor 4; reads no files and no tables.

Levels are counted from the bottom, so that tables of all architectures compare: height 0 is a
page-table entry (s390 PTE, arm64 level 3), 1 a segment or PMD (arm64 level 2), and so on up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["RANGE", "Geometry", "Kind", "Layout", "TableLevel"]

#: A run of neighbouring entries of one height that say the same. `start` and `size` are bytes,
#: `height` counts levels from the bottom, `kind` is a `Kind`. The flags are those of leaves;
#: a source that does not know one leaves it False.
RANGE: Final = np.dtype(
    [
        ("start", np.uint64),
        ("size", np.uint64),
        ("height", np.int8),
        ("kind", np.uint8),
        ("readable", np.bool_),
        ("writable", np.bool_),
        ("executable", np.bool_),
        ("young", np.bool_),
        ("dirty", np.bool_),
    ],
    align=True,
)


class Kind(IntEnum):
    """What the entries of a range are.

    >>> Kind.LEAF.name
    'LEAF'
    """

    NONE = 0  # nothing mapped (s390: the EMPTY token; arm64: an invalid descriptor)
    HOLE = 1  # outside every memory slot (s390: the HOLE token)
    LEAF = 2  # maps memory


@dataclass(frozen=True)
class TableLevel:
    """One level of tables: `2**bits` entries that cover `2**shift` bytes each.

    `table_bytes` is what one full table takes; `leaf` tells whether its entries may map memory.

    >>> TableLevel("SEG", shift=20, bits=11, table_bytes=16384, leaf=True).entries
    2048
    """

    name: str
    shift: int
    bits: int
    table_bytes: int
    leaf: bool

    @property
    def entries(self) -> int:
        """Entries of a full table."""
        return 1 << self.bits


@dataclass(frozen=True)
class Geometry:
    """The levels of an address space, from the bottom (height 0) to the root.

    `root_tables` counts the concatenated tables an arm64 stage 2 starts with; the root level's
    `bits` and `table_bytes` are those of a single one.
    """

    name: str
    levels: tuple[TableLevel, ...]
    root_tables: int = 1

    @property
    def depth(self) -> int:
        """Table accesses of a walk to a page."""
        return len(self.levels)


@dataclass(frozen=True)
class Layout:
    """Ranges in address order, none overlapping, and the tables they are in.

    Addresses no range covers are not known to the source.
    """

    name: str
    geometry: Geometry
    ranges: NDArray[np.void]  # dtype RANGE
    start: int = 0
    end: int = 1 << 64  # exclusive, bytes
    markers: Sequence[tuple[int, str]] = ()  # names of areas, as a dump has them
