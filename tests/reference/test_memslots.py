"""The oracle against the fact sheets: the rules of memory slots (faultin.md 8)."""

import errno

import pytest
from reference_space import (
    GIB2,
    HVA,
    KIB4,
    LOG,
    MIB,
    READONLY,
    REGION3,
    FakeHost,
    refused,
    space_with,
)

from gmap._defs import (
    SlotFlag,
)
from gmap.reference import ReferenceGmap

# --- faultin.md 8: memory slots -----------------------------------------------------------

TOP = 1 << 64
BAD_REQUESTS = [
    (32767, 0, MIB, HVA, 0),  # 0: slot number
    (0xFFFF, 0, MIB, HVA, 0),
    (0, 0, MIB, HVA, READONLY),  # 1: flags
    (0, 0, MIB, HVA, 4),
    (0, 0, MIB, HVA, SlotFlag.INVALID),
    (0, 0, MIB + 1, HVA, 0),  # 2: alignment
    (0, 1, MIB, HVA, 0),
    (0, 0, MIB, HVA + 1, 0),
    (0, 0, MIB, TOP - KIB4, 0),
    (1 << 16, 0, MIB, HVA, 0),  # 3: address space
    (0, TOP - KIB4, KIB4, HVA, 0),  # 4: wraps
    (0, 0, 1 << 43, HVA, 0),  # 5: 2^31 pages
    (0, 0, 0, HVA, 0),  # 6: nothing to delete
    (0, 1 << 40, MIB, HVA, 0),  # 13: beyond the IPA size
    (0, (1 << 40) - MIB, 2 * MIB, HVA, 0),
]


@pytest.mark.parametrize("request_", BAD_REQUESTS)
def test_refused_slots(request_):
    space = ReferenceGmap(FakeHost())
    before = space.tables()
    refused(errno.EINVAL, space.set_memory_region, *request_)
    assert space.tables() == before


def test_slots_up_to_the_very_end():
    space = ReferenceGmap(FakeHost())
    space.set_memory_region(32766, (1 << 40) - MIB, MIB, HVA)
    space = ReferenceGmap(FakeHost())
    space.set_memory_region(0, 0, 1 << 40, HVA)
    assert space.tables()[REGION3, 0][511:513] == [0x24, 0x0001_0005_0000_0024]
    space = ReferenceGmap(FakeHost(), 63)
    space.set_memory_region(0, 0, (2**31 - 1) * KIB4, HVA)
    space.set_memory_region(1, (1 << 63) - MIB, MIB, TOP - MIB)


def test_slot_must_lie_inside_the_asce():
    space = ReferenceGmap(FakeHost())
    space.set_limit(GIB2)
    refused(errno.EINVAL, space.set_memory_region, 0, GIB2 - MIB, 2 * MIB, HVA)
    space.set_memory_region(0, GIB2 - MIB, MIB, HVA)


def test_changing_a_slot():
    space = space_with(base=0, size=MIB, flags=READONLY, readonly_mem=True)
    refused(errno.EINVAL, space.set_memory_region, 0, 0, MIB, HVA + KIB4, READONLY)  # rule 9
    refused(errno.EINVAL, space.set_memory_region, 0, 0, 2 * MIB, HVA, READONLY)
    refused(errno.EINVAL, space.set_memory_region, 0, 0, MIB, HVA, 0)
    space.set_memory_region(0, 0, MIB, HVA, READONLY)  # rule 10: nothing
    space.set_memory_region(0, 0, MIB, HVA, READONLY | LOG)
    assert space.get_dirty_log(0) == []
    refused(errno.EINVAL, space.set_memory_region, 0, 1 << 40, MIB, HVA, READONLY)
    assert space.fault_in(0) == 0  # a refused move leaves the slot where it was


def test_overlaps():
    space = space_with(base=MIB, size=MIB)
    for base in (KIB4, MIB, 2 * MIB - KIB4):
        refused(errno.EEXIST, space.set_memory_region, 1, base, MIB, HVA)
    refused(errno.EEXIST, space.set_memory_region, 1, 0, 4 * MIB, HVA)
    space.set_memory_region(1, 0, MIB, HVA)
    space.set_memory_region(2, 2 * MIB, MIB, HVA)
    refused(errno.EEXIST, space.set_memory_region, 2, 2 * MIB - KIB4, MIB, HVA)
    # Rule 11 comes before rule 13, and rule 9 before rule 11.
    space.set_memory_region(3, (1 << 40) - MIB, MIB, HVA)
    refused(errno.EEXIST, space.set_memory_region, 4, (1 << 40) - MIB, 2 * MIB, HVA)
    refused(errno.EINVAL, space.set_memory_region, 2, MIB, 2 * MIB, HVA)
