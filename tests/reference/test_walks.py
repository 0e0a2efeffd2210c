"""The oracle against the fact sheets: walks, to an entry and of a range (dat-gmap.md 4, 5)."""

import errno

import pytest
from reference_space import (
    CRST_LEVELS,
    FOREIGN,
    MIB,
    PAGE,
    REGION1,
    REGION2,
    REGION3,
    SEGMENT,
    space_with,
)

from gmap._defs import (
    TOKEN_HOLE,
    Pic,
    Walk,
)
from gmap.reference.entries import (
    entry_gfns,
    leaf,
    token_entry,
)
from gmap.reference.tables import Tables

# --- 4: the entry walk --------------------------------------------------------------------


def chain(depth, entry, *, top=REGION1):
    """Tables from `top` down to the level `depth`, whose entry 0 is `entry`; all else EMPTY."""
    tables = Tables(top, token=0)
    tables.walk(0, depth, Walk.ALLOC)
    walked = tables.walk(0, depth)
    (walked.pte or walked.crste).value = entry
    return tables


def outcome(tables, level, flags=0, gfn=0):
    """rc and the levels of the deepest CRSTE and PTE reached."""
    walked = tables.walk(gfn, level, flags)
    return (
        walked.rc,
        None if walked.crste is None else walked.crste.level,
        None if walked.pte is None else walked.pte.level,
    )


def test_walk_prechecks():
    tables = Tables(REGION3)
    assert outcome(tables, REGION2) == (-errno.EINVAL, None, None)
    assert outcome(tables, REGION2, gfn=1 << 30) == (-errno.EINVAL, None, None)  # the first wins
    assert outcome(tables, PAGE, gfn=1 << 30) == (Pic.ADDRESSING, None, None)


@pytest.mark.parametrize("level", CRST_LEVELS)
def test_walk_step_1_table_type(level):
    tables = chain(level, token_entry(0, (level + 1) % 4))
    assert outcome(tables, PAGE) == (-errno.EINVAL, level, None)


@pytest.mark.parametrize("level", CRST_LEVELS)
def test_walk_step_2_hole(level):
    tables = chain(level, token_entry(TOKEN_HOLE, level))
    assert outcome(tables, PAGE) == (Pic.ADDRESSING, level, None)
    assert outcome(tables, level) == (Pic.ADDRESSING, level, None)
    assert outcome(tables, level, Walk.IGN_HOLES) == (0, level, None)
    assert outcome(tables, PAGE, Walk.IGN_HOLES) == (-errno.ENOENT, level, None)
    assert outcome(tables, PAGE, Walk.IGN_HOLES | Walk.ANY) == (0, level, None)
    assert outcome(tables, PAGE, Walk.IGN_HOLES | Walk.ALLOC) == (0, SEGMENT, PAGE)
    pte = tables.walk(0, PAGE, Walk.IGN_HOLES).pte
    assert pte.value == 0x0001_0005_0000_0400  # the token went to all the children
    assert outcome(tables, PAGE) == (Pic.ADDRESSING, SEGMENT, PAGE)
    tables = chain(level, token_entry(FOREIGN, level))
    assert outcome(tables, PAGE) == (-errno.EFAULT, level, None)


def test_walk_step_3_continue_at_region3():
    tables = chain(SEGMENT, token_entry(0, SEGMENT))
    flags = Walk.ALLOC_CONTINUE
    # The region-third entry is a pointer: on to the page table, but nothing new is installed.
    assert outcome(tables, REGION3, flags) == (-errno.ENOENT, SEGMENT, None)
    assert outcome(tables, REGION3, flags | Walk.ANY) == (0, SEGMENT, None)
    tables = chain(PAGE, 0x400)
    assert outcome(tables, REGION3, flags) == (0, SEGMENT, PAGE)
    tables = chain(SEGMENT, leaf(0x100, SEGMENT, writable=True, dirty=False))
    assert outcome(tables, REGION3, flags) == (-errno.EFBIG, SEGMENT, None)
    assert outcome(tables, REGION3, flags | Walk.LEAF) == (0, SEGMENT, None)
    tables = chain(REGION3, token_entry(0, REGION3))
    assert outcome(tables, REGION3, flags) == (0, REGION3, None)
    # At another level the region-third entry is nothing special, and ALLOC stays on.
    assert outcome(tables, SEGMENT, flags) == (0, SEGMENT, None)
    assert outcome(tables, REGION2, flags) == (0, REGION2, None)


def test_walk_step_3_continue_at_segment():
    tables = chain(PAGE, 0x400)
    assert outcome(tables, SEGMENT, Walk.CONTINUE) == (0, SEGMENT, PAGE)
    assert outcome(tables, SEGMENT) == (0, SEGMENT, None)
    tables = chain(SEGMENT, token_entry(0, SEGMENT))
    assert outcome(tables, SEGMENT, Walk.CONTINUE) == (0, SEGMENT, None)
    tables = chain(PAGE, token_entry(TOKEN_HOLE, PAGE))
    assert outcome(tables, SEGMENT, Walk.CONTINUE) == (Pic.ADDRESSING, SEGMENT, PAGE)


@pytest.mark.parametrize("level", CRST_LEVELS)
def test_walk_step_4_stop(level):
    tables = chain(level, token_entry(0, level))
    assert outcome(tables, level) == (0, level, None)
    assert outcome(chain(PAGE, 0x400), level) == (0, level, None)


@pytest.mark.parametrize("level", [REGION3, SEGMENT])
@pytest.mark.parametrize("invalid", [0, 0x20], ids=["valid", "old"])
def test_walk_steps_4_and_6_leaf(level, invalid):
    entry = leaf(0x80000, level, writable=True, dirty=False) | invalid
    tables = chain(level, entry)
    assert outcome(tables, PAGE, Walk.LEAF) == (0, level, None)
    assert outcome(tables, PAGE, Walk.ANY) == (0, level, None)
    assert outcome(tables, level) == (0, level, None)
    assert outcome(tables, PAGE) == (-errno.EFBIG, level, None)
    assert outcome(tables, PAGE, Walk.ALLOC) == (-errno.EFBIG, level, None)  # never absent
    assert outcome(tables, PAGE, Walk.SPLIT) == (0, SEGMENT, PAGE)
    assert tables.walk(3, PAGE).pte.value >> 12 == 0x80003


def test_walk_step_6_stops_splitting_at_the_level_asked_for():
    tables = chain(REGION3, leaf(0x80000, REGION3, writable=True, dirty=False))
    assert outcome(tables, SEGMENT, Walk.SPLIT, gfn=0x300) == (0, SEGMENT, None)
    assert tables.walk(0x300, SEGMENT).crste.value == 0x80300000 | 0x4E01


@pytest.mark.parametrize("level", CRST_LEVELS)
def test_walk_step_5_absent(level):
    tables = chain(level, token_entry(0, level))
    assert outcome(tables, PAGE) == (-errno.ENOENT, level, None)
    assert outcome(tables, PAGE, Walk.SPLIT) == (-errno.ENOENT, level, None)
    assert outcome(tables, PAGE, Walk.ANY) == (0, level, None)
    assert outcome(tables, PAGE, Walk.ALLOC) == (0, SEGMENT, PAGE)
    assert tables.walk(0, PAGE).pte.value == 0x400


def test_walk_step_7_page_holes():
    tables = chain(PAGE, token_entry(TOKEN_HOLE, PAGE))
    assert outcome(tables, PAGE) == (Pic.ADDRESSING, SEGMENT, PAGE)
    assert outcome(tables, PAGE, Walk.IGN_HOLES) == (0, SEGMENT, PAGE)
    assert outcome(tables, PAGE, gfn=1) == (0, SEGMENT, PAGE)
    tables = chain(PAGE, token_entry(FOREIGN, PAGE))
    assert outcome(tables, PAGE) == (-errno.EFAULT, SEGMENT, PAGE)


def test_public_walk_shows_values():
    space = space_with(size=MIB)
    assert space.walk(0, PAGE, 0) == (-errno.ENOENT, 0x20, None)
    assert space.walk(0, PAGE, Walk.LEAF_ALLOC)[::2] == (0, 0x400)
    assert space.walk(0, REGION2, 0) == (-errno.EINVAL, None, None)


# --- 5: the range walk --------------------------------------------------------------------


def visited(tables, start, end, flags=0):
    return [(place.level, place.gfn) for place in tables.visit(start, end, flags)]


def test_range_walk_order_and_clipping():
    tables = Tables(REGION3, token=0)
    tables.walk(0x100, PAGE, Walk.ALLOC)
    assert visited(tables, 0x1FE, 0x301) == [
        (REGION3, 0), (SEGMENT, 0x100), (PAGE, 0x1FE), (PAGE, 0x1FF), (SEGMENT, 0x200),
        (SEGMENT, 0x300),
    ]  # fmt: skip
    assert visited(tables, (1 << 30) - 1, 1 << 40) == [(REGION3, (1 << 30) - (1 << 19))]
    assert visited(tables, 1 << 30, 1 << 40) == []


@pytest.mark.parametrize("level", [REGION3, SEGMENT, PAGE])
def test_range_walk_holes(level):
    size = entry_gfns(level)
    tables = Tables(REGION3, token=0)
    tables.walk(0, level, Walk.ALLOC)
    walked = tables.walk(size, level)
    (walked.pte or walked.crste).value = token_entry(TOKEN_HOLE, level)
    seen = [
        [gfn for at, gfn in visited(tables, 0, 3 * size, flags) if at == level]
        for flags in (0, Walk.IGN_HOLES, Walk.IGN_HOLES | Walk.ANY)
    ]
    assert seen == [[0], [0, 2 * size], [0, size, 2 * size]]


@pytest.mark.parametrize("level", [SEGMENT, PAGE])
def test_a_hole_deep_down_ends_the_whole_range_walk(level):
    tables = Tables(REGION3, token=0)
    tables.walk(0, level, Walk.ALLOC)
    walked = tables.walk(0, level)
    (walked.pte or walked.crste).value = token_entry(TOKEN_HOLE, level)
    above = [(at, 0) for at in (REGION3, SEGMENT) if at > level]
    assert visited(tables, 0, 3 << 19) == above


def test_range_walk_looks_again_after_the_callback():
    tables = Tables(SEGMENT, token=0)
    levels = []
    for place in tables.visit(0, 2):
        levels.append(place.level)
        if place.level == SEGMENT:
            tables.split(place)
    assert levels == [SEGMENT, PAGE, PAGE]
