"""The oracle against the fact sheets: the hardware's view of the oracle's tables, and people's."""

import pytest
from reference_space import (
    CRST_LEVELS,
    GIB2,
    MIB,
    PAGE,
    PFN,
    REGION1,
    REGION2,
    REGION3,
    SEGMENT,
    FakeHost,
    poke,
    space_with,
    value,
)

from gmap._defs import TOKEN_HOLE, Pic, Walk
from gmap.dtypes import LEAF
from gmap.reference import ReferenceGmap
from gmap.reference.entries import leaf, token_entry
from gmap.reference.tables import Place, Tables

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
