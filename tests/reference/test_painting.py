"""The oracle against the fact sheets: what slots paint, and the limit (dat-gmap.md 7 and 8)."""

import errno

import pytest
from reference_space import (
    GIB2,
    HVA,
    KIB4,
    LOG,
    MIB,
    PAGE,
    REGION1,
    REGION2,
    REGION3,
    SEGMENT,
    FakeHost,
    refused,
    space_with,
)

from gmap._defs import (
    TOKEN_HOLE,
    Pic,
    Walk,
)
from gmap.reference import ReferenceGmap
from gmap.reference.entries import (
    leaf,
    level_for_limit,
    token_entry,
)
from gmap.reference.tables import Tables

# --- 7: painting --------------------------------------------------------------------------


def test_create_paints_whole_entries_without_tables():
    space = space_with(size=GIB2)
    assert space.tables()[1, 0][:2] == [0x24, 0x0001_0005_0000_0024]
    assert len(space.tables()) == 1


def test_create_splits_at_its_ends():
    space = space_with(base=MIB + KIB4, size=2 * MIB)
    tables = space.tables()
    assert sorted(tables) == [(PAGE, 0x100), (PAGE, 0x300), (SEGMENT, 0), (REGION3, 0)]
    hole = 0x0001_0005_0000_0400
    assert tables[PAGE, 0x100][:3] == [hole, 0x400, 0x400]
    assert tables[PAGE, 0x300][:3] == [0x400, hole, hole]
    assert tables[SEGMENT, 0][:5] == [hole - 0x3E0, 0, 0x20, 0, hole - 0x3E0]
    assert tables[REGION3, 0][0] == 0x07
    assert space.table_bytes() == 2 * 16384 + 2 * 4096


def test_delete_paints_holes_and_frees_tables():
    space = space_with(size=GIB2)
    space.fault_in(5, write=True)
    assert space.table_bytes() == 2 * 16384 + 4096
    space.set_memory_region(0, 0, 0, 0)
    assert space.tables() == {(REGION3, 0): [0x0001_0005_0000_0024] * 2048}


def test_delete_of_part_of_a_table_keeps_the_table():
    space = space_with(base=0, size=MIB)
    space.fault_in(3)
    space.set_memory_region(0, 0, 0, 0)
    assert sorted(space.tables()) == [(SEGMENT, 0), (REGION3, 0)]


def test_move_paints_old_then_new_even_where_they_overlap():
    space = space_with(base=0, size=2 * MIB)
    space.set_memory_region(0, MIB, 2 * MIB, HVA)
    hole = token_entry(TOKEN_HOLE, SEGMENT)
    assert space.tables()[SEGMENT, 0][:4] == [hole, 0x20, 0x20, hole]


def test_flags_only_paints_nothing():
    space = space_with(size=MIB)
    space.fault_in(3)
    before = space.tables()
    space.set_memory_region(0, 0, MIB, HVA, LOG)
    assert space.tables() == before


def test_painting_a_leaf_in_part_keeps_the_rest_of_it():
    tables = Tables(REGION3, token=0)
    place = next(tables.visit(0, 1))
    place.value = leaf(0x80000, REGION3, writable=True, dirty=False)
    tables.paint(0, 0x80, TOKEN_HOLE)
    assert tables.walk(0x7F, PAGE).rc == Pic.ADDRESSING
    assert tables.walk(0x80, PAGE).pte.value == 0x80080225
    assert tables.walk(0x100, SEGMENT).crste.value == 0x80104E01


# --- 8: the limit -------------------------------------------------------------------------


def test_limit_to_level():
    limits = [0, 1, 1 << 19, (1 << 19) + 1, 1 << 30, (1 << 30) + 1, 1 << 41, (1 << 41) + 1]
    assert [level_for_limit(gfns) for gfns in limits] == [
        REGION1, SEGMENT, SEGMENT, REGION3, REGION3, REGION2, REGION2, REGION1,
    ]  # fmt: skip


def test_raising_the_limit():
    space = space_with(size=MIB)
    space.fault_in(3)
    below = space.tables()
    space.set_limit(0)
    assert space.asce & 0xFFF == 0x1CF
    tables = space.tables()
    assert tables.pop((REGION1, 0)) == [0x0F] + [0x0001_0005_0000_002C] * 2047
    assert tables.pop((REGION2, 0)) == [0x0B] + [0x0001_0005_0000_0028] * 2047
    assert tables == below


def test_lowering_the_limit_keeps_what_entry_0_covers():
    space = space_with(size=MIB)
    space.fault_in(3)
    before = space.tables()
    space.set_limit(0)
    space.set_limit(GIB2)
    assert space.asce & 0xFFF == 0x1C3
    del before[REGION3, 0]
    assert space.tables() == before
    assert space.leaves()[0]["gpa"] == 3 * KIB4


@pytest.mark.parametrize(("size", "entry"), [(0, 0x0001_0005_0000_0020), (GIB2, 0x20)])
def test_lowering_over_an_absent_entry_0_refills_the_table(size, entry):
    space = ReferenceGmap(FakeHost())
    if size:
        space.set_memory_region(0, 0, size, HVA)
    origin = space.asce & ~0xFFF
    space.set_limit(GIB2)
    assert space.asce == origin | 0x1C3
    assert space.tables() == {(SEGMENT, 0): [entry] * 2048}


def test_lowering_frees_what_it_cuts_off():
    space = ReferenceGmap(FakeHost())
    space.walk(1 << 19, PAGE, Walk.ALLOC | Walk.IGN_HOLES)
    assert space.table_bytes() == 2 * 16384 + 4096
    space.set_limit(GIB2)
    assert space.table_bytes() == 16384
    assert len(space._tables._at) == 1


def test_lowering_stops_at_a_leaf():
    space = space_with(FakeHost(order=19), allow_2g=True)
    space.fault_in(0)
    space.set_limit(0)
    space.set_limit(GIB2)
    assert space.asce & 0xFFF == 0x1C7
    assert len(space.leaves()) == 1


def test_lowering_refuses_to_cut_off_a_slot():
    space = space_with(base=GIB2 - MIB, size=MIB + KIB4)
    before = space.tables()
    refused(errno.EBUSY, space.set_limit, GIB2)
    assert space.tables() == before
    space.set_limit(GIB2 + KIB4)
    assert space.asce & 0xFFF == 0x1C7


def test_part_of_a_page_is_a_page():
    space = ReferenceGmap(FakeHost())
    space.set_limit(GIB2 + 1)
    assert space.asce & 0xFFF == 0x1C7
    space.set_limit(1)
    assert space.asce & 0xFFF == 0x1C3
