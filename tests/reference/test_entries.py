"""The oracle against the fact sheets: constants, values of entries, splits (dat-gmap.md 1, 2
and 6)."""

import errno
import re

import pytest
from reference_space import (
    FOREIGN,
    GIB2,
    HVA,
    MIB,
    PAGE,
    READONLY,
    REGION1,
    REGION2,
    REGION3,
    SEGMENT,
    FakeHost,
    refused,
)

from gmap import _defs
from gmap._defs import (
    CRST_ENTRIES,
    CRSTE_SW_PREFIX_NOTIF,
    CRSTE_SW_VSIE_NOTIF,
    PT_ENTRIES,
    TOKEN_HOLE,
    Walk,
)
from gmap.reference import ReferenceGmap
from gmap.reference.entries import (
    asce_end,
    entry_gfns,
    entry_index,
    is_hole,
    is_leaf,
    is_table,
    leaf,
    pointer,
    split_entries,
    token_entry,
)
from gmap.reference.tables import Tables

# --- 1, 2: constants ----------------------------------------------------------------------

SHEET_CONSTANTS = re.findall(
    r"(\S+) (\S+)",
    """
VA_RFX ffe0000000000000 VA_RSX 001ffc0000000000 VA_RTX 000003ff80000000 VA_SX 000000007ff00000
VA_PX 00000000000ff000 VA_BX 0000000000000fff
ASCE_ORIGIN fffffffffffff000 ASCE_G 200 ASCE_P 100 ASCE_S 80 ASCE_X 40 ASCE_R 20 ASCE_DT c
ASCE_TL 3
CRSTE_ORIGIN fffffffffffff000 CRSTE_FC 400 CRSTE_P 200 CRSTE_IEP 100 CRSTE_TF c0 CRSTE_I 20
CRSTE_CR 10 CRSTE_TT c CRSTE_TL 3 CRSTE_AV 10000 CRSTE_ACC f000 CRSTE_F 800
REGION3_FRAME ffffffff80000000 SEGMENT_FRAME fffffffffff00000 SEGMENT_PTO fffffffffffff800
CRSTE_SW_S 8000 CRSTE_SW_W 4000 CRSTE_SW_R 2000 CRSTE_SW_D 1000 CRSTE_SW_Y 800
CRSTE_SW_PREFIX_NOTIF 80 CRSTE_SW_VSIE_NOTIF 40 CRSTE_SW_SD 2 CRSTE_SW_PR 1
PTE_PFRA fffffffffffff000 PTE_Z 800 PTE_I 400 PTE_P 200 PTE_IEP 100 PTE_SW ff PTE_U 80 PTE_S 40
PTE_W 20 PTE_R 10 PTE_D 8 PTE_Y 4 PTE_SD 2 PTE_PR 1
PGSTE_ACC f000000000000000 PGSTE_FP 0800000000000000 PGSTE_PCL 0080000000000000
PGSTE_HR 0040000000000000 PGSTE_HC 0020000000000000 PGSTE_GR 0004000000000000
PGSTE_GC 0002000000000000 PGSTE_VAL16 0000ffff00000000 PGSTE_ZERO 80000000
PGSTE_NODAT 40000000 PGSTE_USAGE 03000000 PGSTE_CMMA_D 8000 PGSTE_PREFIX_NOTIF 4000
PGSTE_VSIE_NOTIF 2000 PGSTE_VSIE_GMEM 1000
PTE_EMPTY 0000000000000400 PTE_HOLE 0001000500000400
CRSTE_EMPTY 20 CRSTE_HOLE 0001000500000020
CRST_ENTRIES 800 CRST_BYTES 4000 PT_ENTRIES 100 PT_BYTES 1000 SEGMENT_PAGES 100
REGION3_PAGES 80000 SEGMENT_SHIFT 14 REGION3_SHIFT 1f REGION2_SHIFT 2a REGION1_SHIFT 35
MMU_CACHE_CRSTS 6 MMU_CACHE_PTS 2 MEM_SLOTS_NUM 7fff MEM_MAX_NR_PAGES 7fffffff
PFN_ERR_FAULT 7ff0000000000000 PFN_ERR_HWPOISON 7ff0000000000001
PFN_ERR_RO_FAULT 7ff0000000000002 PFN_ERR_SIGPENDING 7ff0000000000003
PFN_ERR_NEEDS_IO 7ff0000000000004 PFN_NOSLOT 8000000000000000
""",
)


@pytest.mark.parametrize(("name", "digits"), SHEET_CONSTANTS)
def test_constants_have_the_values_of_the_sheets(name, digits):
    assert getattr(_defs, name) == int(digits, 16)


def test_walk_flags():
    flags = (Walk.LEAF, Walk.ANY, Walk.ALLOC, Walk.SPLIT, Walk.IGN_HOLES, Walk.CONTINUE)
    assert [int(flag) for flag in flags] == [1, 2, 4, 8, 0x10, 0x20]
    assert Walk.USES_SKEYS == 0x40
    assert (Walk.SPLIT_ALLOC, Walk.ALLOC_CONTINUE, Walk.LEAF_ALLOC) == (0x0C, 0x24, 0x05)


@pytest.mark.parametrize(
    ("level", "shift", "end"),
    [(SEGMENT, 8, 19), (REGION3, 19, 30), (REGION2, 30, 41), (REGION1, 41, 52)],
)
def test_table_geometry(level, shift, end):
    assert entry_gfns(level) == 1 << shift
    assert asce_end(level) == 1 << end


def test_index_fields():
    gfn = (5 << 41) | (7 << 30) | (9 << 19) | (11 << 8) | 13
    levels = (REGION1, REGION2, REGION3, SEGMENT, PAGE)
    assert [entry_index(gfn, level) for level in levels] == [5, 7, 9, 11, 13]


# --- 2.5 to 2.9: entry values -------------------------------------------------------------


@pytest.mark.parametrize(
    ("writable", "dirty", "flags"),
    [(True, True, 0x5C03), (True, False, 0x4E01), (False, False, 0x0E01)],
)
def test_large_leaf_values(writable, dirty, flags):
    assert leaf(0x100, SEGMENT, writable=writable, dirty=dirty) == 0x100000 | flags
    region3 = leaf(0x80000, REGION3, writable=writable, dirty=dirty)
    assert region3 == 0x80000000 | flags | 0x04


def test_large_leaves_are_aligned_to_their_own_size():
    assert leaf(0x1FF, SEGMENT, writable=False, dirty=False) == 0x100E01
    assert leaf(0x80100, REGION3, writable=False, dirty=False) == 0x80000E05


@pytest.mark.parametrize(
    ("writable", "dirty", "special", "flags"),
    [
        (True, False, False, 0x225),
        (True, True, False, 0x02F),
        (False, False, False, 0x205),
        (False, False, True, 0x245),
    ],
)
def test_pte_values(writable, dirty, special, flags):
    pte = leaf(0x12345, PAGE, writable=writable, dirty=dirty, special=special)
    assert pte == 0x12345000 | flags


def test_pointers():
    assert pointer(0x12340000, SEGMENT) == 0x12340000
    assert pointer(0x12340000, REGION3) == 0x12340007
    assert pointer(0x12340000, REGION2) == 0x1234000B
    assert pointer(0x12340000, REGION1) == 0x1234000F


@pytest.mark.parametrize(
    ("level", "empty"), [(PAGE, 0x400), (SEGMENT, 0x20), (REGION3, 0x24), (REGION2, 0x28)]
)
def test_tokens(level, empty):
    hole = 0x0001_0005_0000_0000 | empty
    assert token_entry(0, level) == empty
    assert token_entry(TOKEN_HOLE, level) == hole
    assert not is_hole(empty, level)
    assert is_hole(hole, level)
    assert is_hole(FOREIGN | empty, level)
    assert not is_hole(hole | 1, level)  # present: an old mapping of a very high frame
    assert not is_hole(hole ^ (empty & ~0x0C), level)  # valid: a table or frame up there
    if level != PAGE:
        assert not is_leaf(empty)
        assert not is_table(hole)


def test_asce_of_a_fresh_arm64_guest():  # ipa.md 4
    for bits, level, control in [
        (32, REGION3, 0x1C7), (36, REGION3, 0x1C7), (40, REGION3, 0x1C7), (42, REGION3, 0x1C7),
        (43, REGION2, 0x1CB), (48, REGION2, 0x1CB), (53, REGION2, 0x1CB), (54, REGION1, 0x1CF),
        (63, REGION1, 0x1CF),
    ]:  # fmt: skip
        space = ReferenceGmap(FakeHost(), bits)
        assert space.asce & 0xFFF == control
        assert space.tables() == {(level, 0): [token_entry(TOKEN_HOLE, level)] * 2048}
        assert space.table_bytes() == 16384


@pytest.mark.parametrize("bits", [0, 31, 64])
def test_ipa_sizes_that_do_not_exist(bits):
    refused(errno.EINVAL, ReferenceGmap, FakeHost(), bits)


def test_unknown_quirk():
    refused(errno.EINVAL, ReferenceGmap, FakeHost(), quirks=["age-loses-dirt"])


def test_defaults_are_those_of_an_arm64_guest():
    space = ReferenceGmap(FakeHost(order=19))
    space.set_memory_region(0, 0, GIB2, HVA)
    space.fault_in(0)
    assert space.asce & 0xFFF == 0x1C7
    assert space.leaves()[0]["size"] == MIB
    refused(errno.ENOENT, space.get_dirty_log, 0)
    refused(errno.EINVAL, space.set_memory_region, 1, GIB2, MIB, HVA, READONLY)


# --- 6: splits ----------------------------------------------------------------------------


def test_split_of_a_segment_leaf():
    crste = 0x100000 | 0xDE03 | 0x20  # every bit a PTE can take over, and special
    entries = split_entries(crste)
    assert entries[:3] == [0x100000 | 0x62F, 0x101000 | 0x62F, 0x102000 | 0x62F]
    assert entries[255] == 0x1FF000 | 0x62F
    assert entries[PT_ENTRIES:] == [0] * PT_ENTRIES


@pytest.mark.parametrize(
    ("crste", "pte"),
    [(0x5C03, 0x02F), (0x5C01, 0x02D), (0x4E01, 0x225), (0x0E01, 0x205), (0x0621, 0x601)],
)
def test_split_copies_each_bit_to_its_place(crste, pte):
    assert split_entries(crste)[0] == pte


def test_split_copies_notification_bits_to_the_pgstes():
    clean = leaf(0x100, SEGMENT, writable=True, dirty=False)
    assert split_entries(clean | CRSTE_SW_PREFIX_NOTIF)[PT_ENTRIES:] == [0x4000] * PT_ENTRIES
    assert split_entries(clean | CRSTE_SW_VSIE_NOTIF)[PT_ENTRIES:] == [0x3000] * PT_ENTRIES


@pytest.mark.parametrize(("token", "pte"), [(0, 0x400), (TOKEN_HOLE, 0x0001_0005_0000_0400)])
def test_split_of_an_absent_segment(token, pte):
    entries = split_entries(token_entry(token, SEGMENT))
    assert entries == [pte] * PT_ENTRIES + [0] * PT_ENTRIES


@pytest.mark.parametrize("level", [REGION3, REGION2, REGION1])
def test_split_of_an_absent_region(level):
    for token in (0, TOKEN_HOLE):
        children = split_entries(token_entry(token, level))
        assert children == [token_entry(token, level - 1)] * CRST_ENTRIES


def test_split_of_a_region_leaf():
    entries = split_entries(0x80000000 | 0x5C07 | CRSTE_SW_PREFIX_NOTIF)
    assert entries[:2] == [0x80005C83, 0x80105C83]
    assert entries[2047] == 0xFFF05C83


def test_split_installs_a_table():
    tables = Tables(REGION3, token=0)
    place = next(tables.visit(0, 1))
    tables.split(place)
    assert place.value & 0xFFF == 0x07
    first = place.value
    tables.split(place)  # a table already: nothing happens
    assert place.value == first
    assert tables.nbytes == 2 * 16384
