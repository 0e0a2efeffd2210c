"""The oracle against the fact sheets: unmapping, invalidation and ageing (dat-gmap.md 11.3,
11.4 and 11.6)."""

import pytest
from reference_space import (
    BIG_I,
    BIG_P,
    BIG_W,
    BIG_Y,
    FC,
    GIB2,
    HVA,
    KIB4,
    LOG,
    MIB,
    PAGE,
    PFN,
    PR,
    REGION3,
    SD,
    SEGMENT,
    TIB4,
    D,
    FakeHost,
    I,
    P,
    W,
    Y,
    poke,
    space_with,
    value,
)

from gmap._defs import Pic
from gmap.reference import ReferenceGmap

# --- 11.3, 11.6: unmap, invalidate, split_huge_pages --------------------------------------


def test_unmap_acts_on_slots_only():
    space = ReferenceGmap(FakeHost())
    space.set_memory_region(0, 0, 4 * KIB4, HVA)
    space.set_memory_region(1, 8 * KIB4, 4 * KIB4, HVA + MIB)
    for gfn in (0, 3, 8, 11):
        space.fault_in(gfn)
    space.unmap(3, 6)  # holes between the slots do not stop it
    assert [place["gpa"] >> 12 for place in space.leaves()] == [0, 11]
    assert value(space, 3) == 0x400
    space.unmap(0, 1 << 40)
    assert space.leaves() == []


def test_empty_ranges_touch_nothing():
    space = space_with(FakeHost(order=8), size=2 * MIB)
    space.fault_in(0, write=True)
    before = space.tables()
    space.unmap(5, 0)
    space.invalidate(HVA + 5 * KIB4, HVA + 5 * KIB4)
    assert not space.age(5, 0)
    assert not space.test_age(5, 0)
    assert space.tables() == before


def test_unmap_drops_a_large_leaf_whole():
    space = space_with(FakeHost(order=8), size=2 * MIB)
    space.fault_in(0)
    space.fault_in(0x100)
    space.unmap(0x1FF, 1)
    assert [place["gpa"] for place in space.leaves()] == [0]
    assert value(space, 0x100, SEGMENT) == 0x20


def test_invalidate_translates_host_ranges():
    space = ReferenceGmap(FakeHost())
    space.set_memory_region(0, 0, 4 * KIB4, HVA)
    space.set_memory_region(1, MIB, 4 * KIB4, HVA + KIB4)  # shows part of the same memory

    def left_after(start, end):
        for gfn in (0, 1, 2, 3, 0x100, 0x101, 0x102, 0x103):
            space.fault_in(gfn)
        space.invalidate(start, end)
        return [place["gpa"] >> 12 for place in space.leaves()]

    assert left_after(HVA + KIB4, HVA + 2 * KIB4) == [0, 2, 3, 0x101, 0x102, 0x103]
    assert left_after(HVA + 1, HVA + KIB4 + 1) == [2, 3, 0x101, 0x102, 0x103]
    assert left_after(HVA + 4 * KIB4, HVA + MIB) == [0, 1, 2, 3, 0x100, 0x101, 0x102]
    assert len(left_after(HVA - MIB, HVA)) == 8
    assert len(left_after(HVA, HVA)) == 8
    assert left_after(0, 1 << 64) == []


def test_split_huge_pages_drops_leaves_and_leaves_pages():
    host = FakeHost(order=19)
    space = space_with(host, size=GIB2 + MIB, allow_2g=True, flags=LOG)
    space.fault_in(0, write=True)
    space.fault_in(0x80000, write=True)
    host.order = 0
    space.set_memory_region(1, TIB4 // 8, MIB, HVA)
    space.fault_in(TIB4 // 8 >> 12)
    assert [place["level"] for place in space.leaves()] == [REGION3, SEGMENT, PAGE]
    space.split_huge_pages()
    assert [place["level"] for place in space.leaves()] == [PAGE]
    assert space.walk(0, REGION3, 0) == (0, 0x24, None)
    assert space.get_dirty_log(0) == list(range((GIB2 + MIB) >> 12))


@pytest.mark.parametrize("quirk", [False, True])
def test_taking_back_logs_what_was_written(quirk):
    space = space_with(size=MIB, flags=LOG, quirks=["unmap-loses-dirty"] if quirk else [])
    for gfn in range(6):
        space.fault_in(gfn, write=gfn % 2 == 1)
    space.age(1, 1)  # protected again, soft-dirty
    space.unmap(0, 2)
    space.invalidate(HVA + 2 * KIB4, HVA + 4 * KIB4)
    space.set_memory_region(0, MIB, MIB, HVA, LOG)  # a move
    assert space.leaves() == []
    assert space.get_dirty_log(0) == ([] if quirk else [1, 3, 5])


def test_taking_back_logs_nothing_without_a_bitmap():
    space = space_with(size=MIB)
    space.fault_in(1, write=True)
    space.unmap(0, 256)
    space.set_memory_region(0, 0, MIB, HVA, LOG)
    assert space.get_dirty_log(0) == []


# --- 11.4: ageing -------------------------------------------------------------------------

AGE_PTE = [  # entry, aged entry (or unchanged and not young), as the kernel does it
    (I, None, None),
    (W | P | PR | I, None, None),  # old already
    (W | Y | P | PR, I | W | P | PR, I | W | P | PR),
    (W | P | PR, I | W | P | PR, I | W | P | PR),  # valid counts as young
    (I | W | Y | P | PR, I | W | P | PR, I | W | P | PR),
    (W | D | Y | PR, I | W | P | SD | PR, I | W | P | PR),
    (W | D | Y | SD | PR, I | W | P | SD | PR, I | W | P | SD | PR),
    (W | D | Y | P | PR, I | W | P | PR, I | W | P | PR),  # logged already: d alone says nothing
    (W | D | Y | P | SD | PR, I | W | P | SD | PR, I | W | P | SD | PR),
]


@pytest.mark.parametrize("quirk", [False, True])
@pytest.mark.parametrize(("entry", "aged", "kernel"), AGE_PTE)
def test_age_pte(entry, aged, kernel, quirk):
    space = space_with(size=MIB, quirks=["age-loses-dirty"] if quirk else [])
    frame = 0 if entry == I else 0x12345000
    poke(space, 7, frame | entry)
    expected = kernel if quirk else aged
    assert space.age(0, 256) == (expected is not None)
    assert value(space, 7) == frame | (entry if expected is None else expected)


@pytest.mark.parametrize("quirk", [False, True])
@pytest.mark.parametrize("level", [SEGMENT, REGION3])
def test_age_crste(level, quirk):
    space = space_with(quirks=["age-loses-dirty"] if quirk else [])
    fixed = 0x8000_0000 | FC | (level << 2)
    old = fixed | BIG_I | BIG_W | BIG_P | PR
    for entry, aged in [
        (fixed | 0x4A01, old),  # writable, young, clean
        (fixed | 0x5801, old if quirk else old | SD),
        (fixed | 0x5803, old | SD),
        (old | BIG_Y, old),
    ]:
        poke(space, 0, entry, level)
        assert space.test_age(5, 1) == bool(entry & BIG_Y)
        assert space.age(5, 1)
        assert value(space, 0, level) == aged
        assert not space.test_age(5, 1)
        assert not space.age(5, 1)
        assert value(space, 0, level) == aged


def test_age_acts_on_slots_only_and_a_read_makes_young():
    space = space_with(size=MIB)
    assert not space.test_age(0, 256)
    space.fault_in(3, write=True)
    assert space.test_age(3, 1)
    assert not space.test_age(4, 100)
    assert not space.age(0x100, 0x1000)
    assert space.age(0, 0x1000)
    assert space.translate(3 << 12) == (0, Pic.PAGE_TRANSLATION)
    assert [place["young"] for place in space.leaves()] == [False]
    assert space.fault_in(3) == 0
    assert space.counters["minor"] == 1
    assert value(space, 3) == (PFN + 3) << 12 | 0x227
    assert space.test_age(0, 256)


def test_ageing_does_not_lose_a_write():
    for quirks, log in [([], [3]), (["age-loses-dirty"], [])]:
        space = space_with(size=MIB, flags=LOG, quirks=quirks)
        space.fault_in(3, write=True)
        space.age(0, 256)
        assert space.get_dirty_log(0) == log
