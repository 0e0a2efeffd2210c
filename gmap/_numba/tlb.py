"""The loop over a trace: first level, second level, walk. Floor 4."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gmap._numba._kernel import Word, Words, kernel
from gmap._numba.caches import access, remove
from gmap._numba.state import (
    L1,
    L2,
    NOBODY,
    NONE,
    ONE,
    TAG_SHIFT,
    WALK,
    ZERO,
    Fixed,
    Plan,
    Total,
)
from gmap._numba.walks import translate

__all__ = ["replay_block"]

_FETCH: Final = np.uint64(2)  # gmap.trace.Access.X
_ORDER: Final = (ONE << TAG_SHIFT) - ONE
_DATA_CACHE: Final = np.uint64(Plan.DATA_CACHE)
_DATA_SIZE: Final = np.uint64(Plan.DATA_SIZE)
_FETCH_CACHE: Final = np.uint64(Plan.FETCH_CACHE)
_FETCH_SIZE: Final = np.uint64(Plan.FETCH_SIZE)
_L2_CACHE: Final = np.uint64(Plan.L2_CACHE)
_L2_SIZE: Final = np.uint64(Plan.L2_SIZE)
_INCLUSIVE: Final = np.uint64(Fixed.INCLUSIVE)
_ACCESSES: Final = np.uint64(Total.ACCESSES)
_L2_HITS: Final = np.uint64(Total.L2_HITS)
_WALKS: Final = np.uint64(Total.WALKS)
_READS: Final = np.uint64(Total.READS)


@kernel
def replay_block(
    rows: Words,
    sets: Words,
    plan: Words,
    levels: Words,
    fixed: Words,
    outcomes: Words,
    totals: Words,
    pages: Words,
    kinds: NDArray[np.uint8],
    orders: NDArray[np.uint8],
    each: NDArray[np.uint8],
    ticks: Words,
    interval: Word,
) -> int:
    """Replay accesses; the state is in the arrays, so that blocks may follow one another.

    `outcomes` counts by order, kind of access, and where the access ended. `each` is empty, or
    takes a row an access: L1, L2 or WALK, and the entries read. After every `interval` accesses
    (a power of two, counted from the first block on) the totals are written to the next row of
    `ticks`; returns the number of rows.
    """
    keep = each.shape[0] > 0
    n_ticks = 0
    accesses = totals[_ACCESSES]
    l2_hits = totals[_L2_HITS]
    walks = totals[_WALKS]
    all_reads = totals[_READS]
    for i in range(pages.shape[0]):
        order = np.uint64(orders[i])
        kind = np.uint64(kinds[i])
        page = pages[i]
        reads = ZERO
        where = L1
        if not _first_level(rows, sets, plan, page, kind, order):
            if _second_level(rows, sets, plan, fixed, page, order):
                where = L2
                l2_hits += ONE
            else:
                where = WALK
                reads = translate(rows, sets, plan, levels, fixed, page, order)
                walks += ONE
                all_reads += reads
        outcomes[order, kind, where] += ONE
        if keep:
            each[i, 0] = where
            each[i, 1] = reads
        accesses += ONE
        if accesses & (interval - ONE) == ZERO:
            ticks[n_ticks, _ACCESSES] = accesses
            ticks[n_ticks, _L2_HITS] = l2_hits
            ticks[n_ticks, _WALKS] = walks
            ticks[n_ticks, _READS] = all_reads
            n_ticks += 1
    totals[_ACCESSES] = accesses
    totals[_L2_HITS] = l2_hits
    totals[_WALKS] = walks
    totals[_READS] = all_reads
    return n_ticks


@kernel
def _first_level(
    rows: Words, sets: Words, plan: Words, page: Word, kind: Word, order: Word
) -> bool:
    """Look a page up in the first level, and put it in if it is not there."""
    if kind == _FETCH:
        cache = plan[order, _FETCH_CACHE]
        size = plan[order, _FETCH_SIZE]
    else:
        cache = plan[order, _DATA_CACHE]
        size = plan[order, _DATA_SIZE]
    if cache == NONE:
        return False
    unit = page >> size
    hit, _ = access(rows, sets, cache, unit, unit << TAG_SHIFT | size)
    return hit


@kernel
def _second_level(
    rows: Words, sets: Words, plan: Words, fixed: Words, page: Word, order: Word
) -> bool:
    """The same for the second level; an inclusive one takes what it loses from the first."""
    cache = plan[order, _L2_CACHE]
    if cache == NONE:
        return False
    size = plan[order, _L2_SIZE]
    unit = page >> size
    hit, victim = access(rows, sets, cache, unit, unit << TAG_SHIFT | size)
    if victim != NOBODY and fixed[_INCLUSIVE] != ZERO:
        # Both levels hold the same sizes, so the tag is the same in both.
        gone = victim & _ORDER
        data = plan[gone, _DATA_CACHE]
        fetch = plan[gone, _FETCH_CACHE]
        remove(rows, sets, data, victim >> TAG_SHIFT, victim)
        if fetch != data:
            remove(rows, sets, fetch, victim >> TAG_SHIFT, victim)
    return hit
