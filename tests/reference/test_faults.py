"""The oracle against the fact sheets: minor faults, links, and what the host may answer
(dat-gmap.md 11.1 and 11.2, faultin.md 2 and 5)."""

import errno

import pytest
from reference_space import (
    BIG_D,
    BIG_I,
    BIG_P,
    BIG_W,
    BIG_Y,
    FC,
    GIB2,
    HVA,
    KIB4,
    MIB,
    PAGE,
    PFN,
    PR,
    READONLY,
    REGION3,
    SD,
    SEGMENT,
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

from gmap._defs import (
    PFN_ERR_FAULT,
    PFN_ERR_HWPOISON,
    PFN_ERR_NEEDS_IO,
    PFN_ERR_RO_FAULT,
    PFN_ERR_SIGPENDING,
    PFN_NOSLOT,
    TOKEN_HOLE,
    Pic,
    Walk,
)
from gmap.reference.entries import (
    leaf,
    token_entry,
)

# --- 11.1: minor faults -------------------------------------------------------------------

SLOW = None
MINOR_PTE = [  # entry, write, entry afterwards
    (W | Y | P | PR, False, W | Y | P | PR),  # valid: nothing to do
    (W | P | PR, False, W | P | PR),  # and young is not set by it
    (W | D | Y | PR, True, W | D | Y | PR),
    (I, False, SLOW),  # EMPTY
    (I, True, SLOW),
    (Y | P | PR, True, SLOW),  # write, not writable
    (I | P | PR, True, SLOW),
    (W | Y | P | PR, True, W | D | Y | SD | PR),
    (I | W | P | PR, False, W | Y | P | PR),  # old
    (I | W | P | SD | PR, False, W | Y | P | SD | PR),
    (I | W | P | PR, True, W | D | Y | SD | PR),
    (I | P | PR, False, Y | P | PR),
    (I | W | D | P | PR, False, W | D | Y | P | PR),  # no upgrade for a PTE
]


@pytest.mark.parametrize(("entry", "write", "after"), MINOR_PTE)
def test_minor_fault_of_a_pte(entry, write, after):
    host = FakeHost(pfn=PFN_ERR_FAULT)
    space = space_with(host, size=MIB)
    frame = 0 if entry == I else 0x12345000
    poke(space, 7, frame | entry)
    assert space.fault_in(7, write) == (-errno.EFAULT if after is SLOW else 0)
    assert len(host.asked) == (after is SLOW)
    assert value(space, 7) == frame | (entry if after is SLOW else after)


MINOR_CRSTE = [
    (BIG_W | BIG_Y | BIG_P | PR, False, BIG_W | BIG_Y | BIG_P | PR),
    (BIG_W | BIG_D | BIG_Y | PR, True, BIG_W | BIG_D | BIG_Y | PR),
    (BIG_W | BIG_Y | BIG_P | PR, True, BIG_W | BIG_D | BIG_Y | SD | PR),
    (BIG_I | BIG_W | BIG_P | PR, False, BIG_W | BIG_Y | BIG_P | PR),
    (BIG_I | BIG_W | BIG_P | PR, True, BIG_W | BIG_D | BIG_Y | SD | PR),
    (BIG_I | BIG_P | PR, False, BIG_Y | BIG_P | PR),
    (BIG_I | BIG_W | BIG_D | BIG_P | PR, False, BIG_W | BIG_D | BIG_Y | SD | PR),  # upgrade
    (BIG_I | BIG_D | BIG_P | PR, False, BIG_D | BIG_Y | BIG_P | PR),  # only if writable
    (BIG_Y | BIG_P | PR, True, SLOW),
    (BIG_I | BIG_P | PR, True, SLOW),
]


@pytest.mark.parametrize("level", [SEGMENT, REGION3])
@pytest.mark.parametrize(("entry", "write", "after"), MINOR_CRSTE)
def test_minor_fault_of_a_crste(level, entry, write, after):
    host = FakeHost(pfn=PFN_ERR_FAULT)
    space = space_with(host)
    fixed = 0x8000_0000 | FC | (level << 2)
    poke(space, 0, fixed | entry, level)
    assert space.fault_in(7, write) == (-errno.EFAULT if after is SLOW else 0)
    assert len(host.asked) == (after is SLOW)
    assert value(space, 7, level) == fixed | (entry if after is SLOW else after)


# --- 11.2: link ---------------------------------------------------------------------------


def test_first_read_then_write():  # faultin.md 14, rows 1 and 2
    host = FakeHost()
    space = space_with(host, base=0x4000_0000, size=MIB)
    gfn = 0x4000_0000 >> 12
    assert space.translate(0x4000_0000) == (0, Pic.SEGMENT_TRANSLATION)
    assert space.fault_in(gfn) == 0
    assert value(space, gfn) == PFN << 12 | 0x225  # writable, yet protected
    assert space.translate(0x4000_0123) == (PFN << 12 | 0x123, 0)
    assert space.translate(0x4000_0123, write=True) == (0, Pic.PROTECTION)
    assert space.fault_in(gfn, write=True) == 0
    assert value(space, gfn) == PFN << 12 | 0x2F
    assert space.translate(0x4000_0123, write=True) == (PFN << 12 | 0x123, 0)
    assert host.asked == [(HVA, False)]
    assert space.counters == {"lookups": 2, "minor": 1, "major": 1, "errors": 0}


def test_first_write_has_no_soft_dirty():
    space = space_with(size=MIB)
    space.fault_in(0, write=True)
    assert value(space, 0) == PFN << 12 | 0x2D
    space = space_with(FakeHost(order=8), size=MIB)
    space.fault_in(0, write=True)
    assert value(space, 0) == PFN << 12 | 0x5C01


@pytest.mark.parametrize("level", [PAGE, SEGMENT, REGION3])
def test_link_inherits_dirty_and_soft_dirty_of_the_same_frame(level):
    order = {PAGE: 0, SEGMENT: 8, REGION3: 19}[level]
    space = space_with(FakeHost(order=order), allow_2g=True)
    old = leaf(PFN, level, writable=False, dirty=True)  # not writable: the slow path
    protect = P if level == PAGE else BIG_P
    poke(space, 0, old | protect, level)
    assert space.fault_in(0, write=True) == 0
    assert value(space, 0, level) == leaf(PFN, level, writable=True, dirty=True)
    poke(space, 0, (old | protect) & ~SD, level)
    assert space.fault_in(0, write=True) == 0
    assert value(space, 0, level) == leaf(PFN, level, writable=True, dirty=True) & ~SD


@pytest.mark.parametrize("level", [PAGE, SEGMENT, REGION3])
def test_link_over_another_frame_would_never_end(level):
    order = {PAGE: 0, SEGMENT: 8, REGION3: 19}[level]
    space = space_with(FakeHost(order=order), allow_2g=True)
    poke(space, 0, leaf(PFN + (1 << 19), level, writable=False, dirty=False), level)
    with pytest.raises(AssertionError, match="for ever"):
        space.fault_in(0, write=True)


def test_link_over_a_forgotten_soft_dirty():
    space = space_with(size=MIB)
    poke(space, 0, I | SD)
    assert space.fault_in(0) == 0
    assert value(space, 0) == PFN << 12 | 0x227


def test_2g_frames_are_compared_as_2g_frames():
    space = space_with(FakeHost(order=19), allow_2g=True)
    poke(space, 0, leaf(PFN, REGION3, writable=False, dirty=False), REGION3)
    assert space.fault_in(0x12345, write=True) == 0
    assert value(space, 0, REGION3) == PFN << 12 | 0x5C05


@pytest.mark.parametrize(
    ("order", "allow_1m", "allow_2g", "level"),
    [
        (0, True, True, PAGE), (7, True, True, PAGE), (8, True, True, SEGMENT),
        (18, True, True, SEGMENT), (19, True, True, REGION3), (20, True, True, REGION3),
        (19, True, False, SEGMENT), (19, False, True, REGION3), (19, False, False, PAGE),
        (8, False, True, PAGE),
    ],
)  # fmt: skip
def test_link_level_by_folio_and_flags(order, allow_1m, allow_2g, level):
    space = space_with(FakeHost(order=order), allow_1m=allow_1m, allow_2g=allow_2g)
    assert space.fault_in(0x1FF) == 0
    assert [place["level"] for place in space.leaves()] == [level]


def test_link_level_without_struct_page():
    space = space_with(FakeHost(order=19, page=False), allow_2g=True)
    assert space.fault_in(3) == 0
    assert value(space, 3) == (PFN + 3) << 12 | 0x265  # special


@pytest.mark.parametrize(
    ("base", "size", "gfn", "level"),
    [
        (0, MIB, 0x80, SEGMENT),
        (KIB4, MIB, 0x80, PAGE),  # the slot begins inside the frame
        (0, MIB - KIB4, 0x80, PAGE),  # or ends inside it
        (KIB4, 2 * MIB, 0x180, PAGE),  # whole frame inside, but the offsets differ
    ],
)
def test_1m_leaf_must_fit(base, size, gfn, level):
    space = space_with(FakeHost(order=8), base=base, size=size)
    assert space.fault_in(gfn) == 0
    assert space.leaves()[0]["level"] == level


@pytest.mark.parametrize(("base", "size", "gfn"), [(KIB4, MIB - KIB4, 0x80), (0, MIB - KIB4, 0x80)])
def test_1m_leaf_must_fit_even_if_no_page_table_says_so(base, size, gfn):
    host = FakeHost(order=8)
    space = space_with(host, base=base, size=size)
    poke(space, 0, 0x20, SEGMENT)  # as if painted EMPTY beyond the slot
    host.pfn = PFN + gfn
    assert space.fault_in(gfn) == 0
    assert space.leaves()[0]["level"] == PAGE


def test_2g_leaf_must_fit():
    for base, size, level in [(0, GIB2, REGION3), (MIB, GIB2, PAGE), (0, GIB2 - MIB, SEGMENT)]:
        host = FakeHost(order=19)
        space = space_with(host, base=base, size=size, allow_2g=True)
        host.pfn = None if base == 0 else PFN + 1  # nothing fits an odd frame
        assert space.fault_in(0x300) == 0
        assert space.leaves()[0]["level"] == level


def test_link_goes_on_into_an_existing_page_table():
    space = space_with(FakeHost(order=8), size=MIB)
    space.walk(0, PAGE, Walk.ALLOC)
    assert space.fault_in(3) == 0
    assert value(space, 3) == (PFN + 3) << 12 | 0x225


@pytest.mark.parametrize(("allow_1m", "level"), [(True, SEGMENT), (False, PAGE)])
def test_2g_link_over_a_sparse_segment_table(allow_1m, level):
    space = space_with(FakeHost(order=19), allow_1m=allow_1m, allow_2g=True)
    space.walk(0, SEGMENT, Walk.ALLOC)
    assert space.fault_in(0x105) == 0
    assert space.leaves()[0]["level"] == level
    assert space.translate(0x105 << 12) == ((PFN + 0x105) << 12, 0)


def test_2g_link_over_a_1m_leaf_that_needs_the_slow_path():
    space = space_with(FakeHost(order=19), allow_2g=True)
    poke(space, 0, leaf(PFN, SEGMENT, writable=False, dirty=False), SEGMENT)
    assert space.fault_in(5, write=True) == 0
    assert value(space, 0) == PFN << 12 | 0x5C01


def test_page_link_over_a_1m_leaf_would_never_end():
    space = space_with(FakeHost(order=0), size=MIB)
    poke(space, 0, leaf(PFN, SEGMENT, writable=False, dirty=False), SEGMENT)
    with pytest.raises(AssertionError, match="for ever"):
        space.fault_in(5, write=True)


def test_hole_inside_a_slot_would_never_end():  # faultin.md 14, last row
    host = FakeHost()
    space = space_with(host, size=MIB)
    poke(space, 5, token_entry(TOKEN_HOLE, PAGE))
    with pytest.raises(AssertionError, match="for ever"):
        space.fault_in(5)


def test_a_2g_folio_below_a_segment_asce_is_mapped_in_1m():
    """The kernel asks its walk for a level there is none of, and calls that a bug."""
    space = space_with(FakeHost(order=19), allow_2g=True)
    space.set_limit(GIB2)
    assert space.fault_in(0) == 0
    assert [leaf["level"] for leaf in space.leaves()] == [SEGMENT]


# --- faultin.md 2 and 5: what the host may answer ------------------------------------------


@pytest.mark.parametrize(
    ("pfn", "rc"),
    [
        (PFN_NOSLOT, Pic.ADDRESSING),
        (PFN_ERR_SIGPENDING, -errno.EINTR),
        (PFN_ERR_RO_FAULT, -errno.EOPNOTSUPP),
        (PFN_ERR_FAULT, -errno.EFAULT),
        (PFN_ERR_HWPOISON, -errno.EFAULT),
        (PFN_ERR_HWPOISON + 77, -errno.EFAULT),
        (PFN_ERR_NEEDS_IO, -errno.EAGAIN),
    ],
)
def test_host_errors(pfn, rc):
    host = FakeHost(next_pfns=[pfn])
    space = space_with(host, size=MIB)
    before = space.tables()
    assert space.fault_in(3, write=True) == rc
    assert host.asked == [(HVA + 3 * KIB4, True)]
    assert space.tables() == before
    assert space.fault_in(3, write=True) == 0
    assert space.counters == {"lookups": 2, "minor": 0, "major": 1, "errors": 1}


def test_outside_every_slot():
    host = FakeHost()
    space = space_with(host, size=MIB)
    assert space.fault_in(0x100) == Pic.ADDRESSING
    assert space.fault_in(1 << 30) == Pic.ADDRESSING
    space.set_memory_region(0, 0, 0, 0)
    assert space.fault_in(0) == Pic.ADDRESSING
    assert host.asked == []


def test_read_only_slot():
    host = FakeHost()
    space = space_with(host, size=MIB, flags=READONLY, readonly_mem=True)
    assert space.fault_in(0, write=True) == -errno.EOPNOTSUPP
    assert host.asked == []
    assert space.fault_in(0) == 0
    assert value(space, 0) == PFN << 12 | 0x205  # what the host allows does not count
    assert space.fault_in(0, write=True) == -errno.EOPNOTSUPP
    assert host.asked == [(HVA, False)]
