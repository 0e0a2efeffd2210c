"""The arrays a model runs on, and what their columns are. Floor 4.

Plain arrays of uint64 with named columns, passed one by one: Numba would count references of
whatever is taken out of a tuple or an object, and that costs more than the model itself.
"""

from enum import IntEnum
from typing import Final

import numpy as np

__all__ = [
    "L1",
    "L2",
    "NOBODY",
    "NONE",
    "ONE",
    "TAG_SHIFT",
    "WALK",
    "ZERO",
    "Fixed",
    "LevelColumn",
    "Plan",
    "Row",
    "Total",
]

ZERO: Final = np.uint64(0)
ONE: Final = np.uint64(1)
NOBODY: Final = np.uint64(0xFFFF_FFFF_FFFF_FFFF)  # the tag of an empty way
NONE: Final = np.uint64(0xFFFF)  # in place of a cache: there is none
TAG_SHIFT: Final = np.uint64(6)  # a tag: a page number in units of the entry's size, its order

# Where an access found its translation.
L1: Final = np.uint64(0)
L2: Final = np.uint64(1)
WALK: Final = np.uint64(2)


class Row(IntEnum):
    """Columns of `rows`, a row for each cache: its shape, its state, its counters.

    >>> len(Row)
    10
    """

    FIRST = 0  # where the cache's first set is in `sets`
    MASK = 1  # sets - 1
    WAYS = 2
    POLICY = 3
    LATEST = 4  # the tag used last: found again without a search
    RANDOM = 5  # state of the cache's own random numbers
    HITS = 6
    MISSES = 7
    EVICTIONS = 8  # tags that made room for others
    REMOVALS = 9  # tags that `remove` took out


class Plan(IntEnum):
    """Columns of `plan`, a row for each order of a page: where it goes.

    A cache is a row of `rows`, or `NONE`; its size is the order of the entry the page takes
    there, at most that of the page.

    >>> Plan.L2_SIZE - Plan.L2_CACHE
    1
    """

    DATA_CACHE = 0  # the first level, of loads and stores
    DATA_SIZE = 1
    FETCH_CACHE = 2  # of fetches; may be the same
    FETCH_SIZE = 3
    L2_CACHE = 4
    L2_SIZE = 5
    NESTED_CACHE = 6
    NESTED_SIZE = 7
    LEAF = 8  # height of the stage-2 entry that maps the page


class LevelColumn(IntEnum):
    """Last index of `levels`, after the stage (0: stage 1, 1: stage 2) and the height.

    >>> LevelColumn.READS.name
    'READS'
    """

    SHIFT = 0  # log2 of the pages one entry covers
    CACHE = 1  # the walk cache of these entries, or NONE
    READS = 2  # counter: entries read


class Fixed(IntEnum):
    """What `fixed` holds.

    >>> len(Fixed)
    5
    """

    INCLUSIVE = 0  # what leaves the second level leaves the first
    LEVELS1 = 1  # of stage 1; 0: walks of one dimension
    LEVELS2 = 2
    LEAF1 = 3  # height of the stage-1 entry that maps a page
    TABLE_ORDER = 4  # order of the pages behind the guest's tables


class Total(IntEnum):
    """What `totals` and each row of `ticks` hold: counters.

    >>> [total.name for total in Total]
    ['ACCESSES', 'L2_HITS', 'WALKS', 'READS']
    """

    ACCESSES = 0
    L2_HITS = 1
    WALKS = 2
    READS = 3
