"""The oracle against the fact sheets: their tables, row by row.

Section numbers are those of dat-gmap.md unless another sheet is named.
"""

import errno
import re
from dataclasses import dataclass, field

import pytest

from gmap import _defs
from gmap._defs import (
    CRST_ENTRIES,
    CRSTE_SW_PREFIX_NOTIF,
    CRSTE_SW_VSIE_NOTIF,
    PFN_ERR_FAULT,
    PFN_ERR_HWPOISON,
    PFN_ERR_NEEDS_IO,
    PFN_ERR_RO_FAULT,
    PFN_ERR_SIGPENDING,
    PFN_NOSLOT,
    PT_ENTRIES,
    TOKEN_HOLE,
    Level,
    Pic,
    SlotFlag,
    Walk,
)
from gmap.dtypes import LEAF
from gmap.errors import ConfigError
from gmap.reference import ReferenceGmap
from gmap.reference.entries import (
    asce_end,
    entry_gfns,
    entry_index,
    is_hole,
    is_leaf,
    is_table,
    leaf,
    level_for_limit,
    pointer,
    split_entries,
    token_entry,
)
from gmap.reference.tables import Place, Tables

PAGE, SEGMENT, REGION3, REGION2, REGION1 = (Level(n) for n in range(-1, 4))
KIB4, MIB, GIB2, TIB4 = 1 << 12, 1 << 20, 1 << 31, 1 << 42
LOG, READONLY = SlotFlag.LOG_DIRTY_PAGES, SlotFlag.READONLY
HVA = 0x7F00_0000_0000
PFN = 0x4000_0000  # frame of HVA: aligned to 2 GiB
FOREIGN = 2 << 48 | 7 << 32  # a token that is neither NONE nor PIC


@dataclass
class FakeHost:
    """Memory from HVA on whose frames follow each other; answers can be put in front."""

    order: int = 0
    writable: bool = True
    page: bool = True
    pfn: int | None = None
    asked: list[tuple[int, bool]] = field(default_factory=list)
    next_pfns: list[int] = field(default_factory=list)

    def lookup(self, hva: int, write: bool = False) -> dict[str, int]:
        self.asked.append((hva, write))
        pfn = PFN + ((hva - HVA) >> 12) if self.pfn is None else self.pfn
        if self.next_pfns:
            pfn = self.next_pfns.pop(0)
        return {"pfn": pfn, "order": self.order, "writable": self.writable, "page": self.page}


def space_with(host=None, *, base=0, size=GIB2, flags=0, **options):
    space = ReferenceGmap(host or FakeHost(), **options)
    space.set_memory_region(0, base, size, HVA, flags)
    return space


def value(space, gfn, level=PAGE):
    """The entry at a level, or at the leaf above it."""
    rc, crste, pte = space.walk(gfn, level, Walk.LEAF | Walk.IGN_HOLES)
    assert rc == 0
    return crste if pte is None else pte


def poke(space, gfn, entry, level=PAGE):
    """Put an entry in place of the one a walk to this level ends at."""
    walked = space._tables.walk(gfn, level, Walk.ALLOC | Walk.IGN_HOLES)
    assert walked.rc == 0
    (walked.pte or walked.crste).value = entry


def refused(code, call, *args, **kwargs):
    with pytest.raises(ConfigError) as caught:
        call(*args, **kwargs)
    assert caught.value.errno == code


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


CRST_LEVELS = [REGION1, REGION2, REGION3, SEGMENT]


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


# --- 11.1: minor faults -------------------------------------------------------------------

SLOW = None
W, D, Y, SD, PR, P, I = 0x20, 0x08, 0x04, 0x02, 0x01, 0x200, 0x400  # noqa: E741
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


BIG_W, BIG_D, BIG_Y, BIG_P, BIG_I = 0x4000, 0x1000, 0x800, 0x200, 0x20
FC = 0x400
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


# --- the hardware's view ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bits", "gpa", "pic"),
    [
        (40, 1 << 42, 0x38),  # ipa.md 4, faultin.md 14
        (40, 1 << 40, 0x3B),
        (40, 0, 0x3B),
        (48, 0, 0x3A),
        (48, 1 << 53, 0x38),
        (63, 0, 0x39),
        (63, (1 << 64) - 1, 0x39),
    ],
)
def test_interruption_of_an_empty_address_space(bits, gpa, pic):
    assert ReferenceGmap(FakeHost(), bits).translate(gpa) == (0, pic)


@pytest.mark.parametrize(
    ("level", "pic"),
    [(REGION1, 0x39), (REGION2, 0x3A), (REGION3, 0x3B), (SEGMENT, 0x10), (PAGE, 0x11)],
)
@pytest.mark.parametrize("token", [0, TOKEN_HOLE])
def test_interruption_names_the_level_of_the_invalid_entry(level, pic, token):
    space = ReferenceGmap(FakeHost(), 63)
    poke(space, 0, leaf(PFN, PAGE, writable=True, dirty=True))
    assert space.translate(0xABC) == (PFN << 12 | 0xABC, 0)
    walked = space._tables.walk(0, level)
    (walked.pte or walked.crste).value = token_entry(token, level)
    assert space.translate(0xABC) == (0, pic)
    assert space.translate(0xABC, write=True) == (0, pic)


def whole_chain():
    """A space with a valid, unprotected PTE at address 0, and the place at every level."""
    space = ReferenceGmap(FakeHost(), 63)
    poke(space, 0, leaf(PFN, PAGE, writable=True, dirty=True))
    places = {}
    for level in CRST_LEVELS:
        places[level] = space._tables.walk(0, level).crste
    places[PAGE] = space._tables.walk(0, PAGE).pte
    return space, places


@pytest.mark.parametrize("level", [*CRST_LEVELS, PAGE])
def test_protection_at_any_level_stops_a_store(level):
    space, places = whole_chain()
    assert space.translate(8, write=True) == (PFN << 12 | 8, 0)
    places[level].value |= 0x200
    assert space.translate(8, write=True) == (0, Pic.PROTECTION)
    assert space.translate(8) == (PFN << 12 | 8, 0)


@pytest.mark.parametrize("level", CRST_LEVELS)
def test_wrong_table_type(level):
    space, places = whole_chain()
    places[level].value ^= 0x08
    assert space.translate(8) == (0, Pic.TRANSLATION_SPEC)
    places[level].value |= 0x20  # invalid comes first
    assert space.translate(8)[1] in (0x39, 0x3A, 0x3B, 0x10)


def test_pte_bit_52():
    space, places = whole_chain()
    places[PAGE].value |= 0x800 | 0x200
    assert space.translate(8, write=True) == (0, Pic.TRANSLATION_SPEC)
    places[PAGE].value |= 0x400
    assert space.translate(8) == (0, Pic.PAGE_TRANSLATION)


@pytest.mark.parametrize("order", [8, 19])
def test_large_frames_translate_with_their_offset(order):
    space = space_with(FakeHost(order=order), allow_2g=True)
    assert space.fault_in(0x12345, write=True) == 0
    assert space.translate(0x1234_5DEF, write=True) == ((PFN << 12) + 0x1234_5DEF, 0)


# --- looking at it ------------------------------------------------------------------------


def test_leaves_have_the_fields_of_the_dtype():
    space = space_with(FakeHost(order=8), size=MIB)
    space.fault_in(0x80, write=True)
    (only,) = space.leaves()
    assert tuple(only) == LEAF.names
    assert only == {
        "gpa": 0, "pa": PFN << 12, "size": MIB, "entry": PFN << 12 | 0x5C01, "level": SEGMENT,
        "writable": True, "dirty": True, "young": True, "protected": False,
    }  # fmt: skip


def test_leaves_tell_a_clean_one():
    space = space_with(FakeHost(writable=False), size=MIB)
    space.fault_in(0)
    space.age(0, 1)
    (only,) = space.leaves()
    assert [only[name] for name in LEAF.names[4:]] == [PAGE, False, False, False, True]


def test_leaves_include_old_ones_in_order():
    space = space_with(size=GIB2)
    for gfn in (0x7FFFF, 0, 0x200):
        space.fault_in(gfn)
    space.age(0x200, 1)
    seen = [(place["gpa"] >> 12, place["young"]) for place in space.leaves()]
    assert seen == [(0, True), (0x200, False), (0x7FFFF, True)]


def test_tables_hide_origins_only():
    space = space_with(size=MIB)
    space.fault_in(0)
    tables = space.tables()
    assert tables[REGION3, 0][0] == 0x07
    assert tables[SEGMENT, 0][0] == 0
    assert tables[PAGE, 0][0] == PFN << 12 | 0x225
    assert len(tables[PAGE, 0]) == 512
    tables[PAGE, 0][0] = 0  # a copy
    assert value(space, 0) == PFN << 12 | 0x225


def test_places_know_what_they_cover():
    assert Place([0], 0, REGION3, 0x80000).end == 0x100000
    assert Tables(REGION3).walk(0x80123, REGION3, Walk.IGN_HOLES).crste.gfn == 0x80000
