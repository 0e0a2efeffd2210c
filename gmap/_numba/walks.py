"""Page-table walks: which entries they read, and the caches that spare them some. Floor 4.

Heights count from the bottom: 0 is a page-table entry, 1 the level above it, and so on to the
root. A *number* is a page number (address >> 12); a *frame* is one of guest-physical memory.

A walk of one dimension reads one entry a level. In a walk of two dimensions a guest-physical
address has to be translated before each stage-1 entry can be read, and once more for the page
itself: with n and m levels and no caches that is n * (m + 1) + m = (n + 1) * (m + 1) - 1 reads.
"""

from typing import Final

import numpy as np

from gmap._numba._kernel import Word, Words, kernel
from gmap._numba.caches import access
from gmap._numba.state import NONE, ONE, TAG_SHIFT, ZERO, Fixed, LevelColumn, Plan

__all__ = ["guest_frame", "table_frame", "translate", "walk_stage2"]

_STAGE1: Final = ZERO
_STAGE2: Final = ONE
_SHIFT: Final = np.uint64(LevelColumn.SHIFT)
_CACHE: Final = np.uint64(LevelColumn.CACHE)
_READS: Final = np.uint64(LevelColumn.READS)
_LEVELS1: Final = np.uint64(Fixed.LEVELS1)
_LEVELS2: Final = np.uint64(Fixed.LEVELS2)
_LEAF1: Final = np.uint64(Fixed.LEAF1)
_TABLE_ORDER: Final = np.uint64(Fixed.TABLE_ORDER)
_NESTED_CACHE: Final = np.uint64(Plan.NESTED_CACHE)
_NESTED_SIZE: Final = np.uint64(Plan.NESTED_SIZE)
_LEAF: Final = np.uint64(Plan.LEAF)


@kernel
def guest_frame(number: Word) -> Word:
    """The frame of a guest page: change it to lay the guest out otherwise."""
    return number


@kernel
def table_frame(number: Word, height: Word, shift: Word) -> Word:
    """The frame with the stage-1 entry of `height`, which covers 2**shift pages, for a page.

    The tables of one height lie one after another in the order of the addresses they are for,
    512 entries of 8 bytes a frame, and those of each height in an area of their own.
    """
    return (height + ONE) << np.uint64(52) | number >> (shift + np.uint64(9))


@kernel
def _start(
    rows: Words,
    sets: Words,
    levels: Words,
    stage: Word,
    number: Word,
    leaf: Word,
    top: Word,
) -> Word:
    """The height a walk begins at: below the lowest entry that is cached, or at the top.

    The caches that are missed on the way are filled, for the walk is about to read those entries.
    """
    for height in range(leaf + ONE, top + ONE):
        cache = levels[stage, height, _CACHE]
        if cache != NONE:
            prefix = number >> levels[stage, height, _SHIFT]
            hit, _ = access(rows, sets, cache, prefix, prefix)
            if hit:
                return height - ONE
    return top


@kernel
def walk_stage2(
    rows: Words,
    sets: Words,
    plan: Words,
    levels: Words,
    fixed: Words,
    frame: Word,
    order: Word,
) -> Word:
    """Walk stage 2 to a frame that a page of `order` maps; the entries read."""
    leaf = plan[order, _LEAF]
    start = _start(rows, sets, levels, _STAGE2, frame, leaf, fixed[_LEVELS2] - ONE)
    for height in range(leaf, start + ONE):
        levels[_STAGE2, height, _READS] += ONE
    return start - leaf + ONE


@kernel
def _nested(
    rows: Words,
    sets: Words,
    plan: Words,
    levels: Words,
    fixed: Words,
    frame: Word,
    order: Word,
) -> Word:
    """Translate a frame: the nested TLB, if there is one, or stage 2; the entries read."""
    cache = plan[order, _NESTED_CACHE]
    if cache != NONE:
        size = plan[order, _NESTED_SIZE]
        unit = frame >> size
        hit, _ = access(rows, sets, cache, unit, unit << TAG_SHIFT | size)
        if hit:
            return ZERO
    return walk_stage2(rows, sets, plan, levels, fixed, frame, order)


@kernel
def translate(
    rows: Words,
    sets: Words,
    plan: Words,
    levels: Words,
    fixed: Words,
    number: Word,
    order: Word,
) -> Word:
    """Do what a TLB miss needs; the entries read."""
    steps = ZERO
    start = ZERO
    levels1 = fixed[_LEVELS1]
    if levels1 != ZERO:
        leaf = fixed[_LEAF1]
        start = _start(rows, sets, levels, _STAGE1, number, leaf, levels1 - ONE)
        steps = start - leaf + ONE
    reads = ZERO
    # Down through stage 1, if there is one, then to the page itself.
    for step in range(steps + ONE):
        if step < steps:
            height = start - step
            frame = table_frame(number, height, levels[_STAGE1, height, _SHIFT])
            size = fixed[_TABLE_ORDER]
            levels[_STAGE1, height, _READS] += ONE
            reads += ONE
        else:
            frame = guest_frame(number)
            size = order
        reads += _nested(rows, sets, plan, levels, fixed, frame, size)
    return reads
