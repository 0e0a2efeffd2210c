"""The oracle against the fact sheets: the dirty log (dat-gmap.md 11.5)."""

import errno

import pytest
from reference_space import (
    FC,
    HVA,
    KIB4,
    LOG,
    MIB,
    PR,
    REGION3,
    SD,
    SEGMENT,
    D,
    I,
    P,
    W,
    Y,
    poke,
    refused,
    space_with,
    value,
)

from gmap.reference.entries import (
    entry_gfns,
)

# --- 11.5: dirty log sync -----------------------------------------------------------------

SYNC_PTE = [  # entry, afterwards, logged
    (I, I, False),
    (W | Y | P | PR, W | Y | P | PR, False),
    (W | D | Y | P | PR, W | D | Y | P | PR, False),
    (W | D | Y | PR, W | D | Y | P | PR, True),  # dirty stays
    (W | D | Y | SD | PR, W | D | Y | P | PR, True),
    (W | Y | P | SD | PR, W | Y | P | PR, True),
    (I | W | P | SD | PR, I | W | P | PR, True),
    (I | W | P | PR, I | W | P | PR, False),
]


@pytest.mark.parametrize(("entry", "after", "logged"), SYNC_PTE)
def test_sync_pte(entry, after, logged):
    space = space_with(size=MIB, flags=LOG)
    frame = 0 if entry == I else 0x12345000
    poke(space, 7, frame | entry)
    assert space.get_dirty_log(0) == ([7] if logged else [])
    assert value(space, 7) == frame | after
    assert space.get_dirty_log(0) == []


@pytest.mark.parametrize("level", [SEGMENT, REGION3])
def test_sync_crste_logs_the_whole_frame(level):
    space = space_with(flags=LOG)
    fixed = 0x8000_0000 | FC | (level << 2)
    for entry, after in [(0x5801, 0x5A01), (0x5803, 0x5A01), (0x4A23, 0x4A21)]:
        poke(space, 0, fixed | entry, level)
        assert space.get_dirty_log(0) == list(range(entry_gfns(level)))
        assert value(space, 0, level) == fixed | after
        assert space.get_dirty_log(0) == []


def test_get_dirty_log_counts_from_the_slots_start():
    space = space_with(base=MIB, size=MIB, flags=LOG)
    space.fault_in(0x103, write=True)
    space.fault_in(0x101)
    assert space.get_dirty_log(0, clear=False) == [3]
    assert space.fault_in(0x103, write=True) == 0
    assert space.fault_in(0x101, write=True) == 0
    assert space.counters["minor"] == 2
    assert space.get_dirty_log(0) == [1, 3]
    assert space.get_dirty_log(0) == []


def test_bitmap_lives_as_long_as_logging():
    space = space_with(size=MIB, flags=LOG)
    space.fault_in(3, write=True)
    assert space.get_dirty_log(0, clear=False) == [3]
    space.set_memory_region(0, MIB, MIB, HVA, LOG)
    assert space.get_dirty_log(0, clear=False) == [3]  # kept by a move
    space.fault_in(0x105, write=True)
    space.set_memory_region(0, MIB, MIB, HVA, 0)
    refused(errno.ENOENT, space.get_dirty_log, 0)
    space.set_memory_region(0, MIB, MIB, HVA, LOG)
    assert space.get_dirty_log(0) == [5]  # begins at zero; the tables still know of the write


def test_dirty_log_errors():
    space = space_with(size=MIB)
    for call in (space.get_dirty_log, lambda slot: space.clear_dirty_log(slot, 0, 64, [])):
        refused(errno.ENOENT, call, 0)
        refused(errno.ENOENT, call, 1)
        refused(errno.ENOENT, call, 32766)
        refused(errno.EINVAL, call, 32767)
        refused(errno.EINVAL, call, 1 << 16)
    refused(errno.EINVAL, space.clear_dirty_log, 0, 1, 64, [])  # alignment before existence


CLEAR = [  # first page, number, accepted; the slot has 200 pages
    (0, 64, True), (64, 64, True), (128, 64, True), (0, 128, True), (0, 200, True),
    (128, 72, True), (192, 8, True), (0, 0, True), (1, 64, False), (63, 64, False),
    (0, 63, False), (0, 65, False), (0, 199, False), (192, 7, False), (0, 201, False),
    (192, 9, False), (192, 64, False), (256, 0, False), (256, 64, False),
]  # fmt: skip


@pytest.mark.parametrize(("first", "number", "accepted"), CLEAR)
def test_clear_dirty_log_alignment(first, number, accepted):
    space = space_with(size=200 * KIB4, flags=LOG)
    if accepted:
        space.clear_dirty_log(0, first, number, [])
    else:
        refused(errno.EINVAL, space.clear_dirty_log, 0, first, number, [])


def test_clear_dirty_log_clears_bits_only():
    space = space_with(size=MIB, flags=LOG)
    space.clear_dirty_log(0, 256, 0, [])  # nothing, at the very end
    for gfn in (1, 65, 66, 128, 130):
        space.fault_in(gfn, write=True)
    assert space.get_dirty_log(0, clear=False) == [1, 65, 66, 128, 130]
    space.fault_in(65, write=True)
    before = space.tables()
    space.clear_dirty_log(0, 64, 64, [1, 2, 64, 66])
    assert space.tables() == before
    assert space.get_dirty_log(0) == [1, 65, 128, 130]  # 65 was written again
