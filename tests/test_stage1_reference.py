"""The reference for stage 1 against the manual's own numbers, worked out by hand.

What Unicorn can judge is judged in `differential/test_stage1_at.py`; here is the rest too:
52-bit addresses, hardware updates, EPAN, small tables. Sizes are in `test_stage1_limits.py`.
"""

import pytest
import stage1_cases as cases
from hypothesis import given, settings
from hypothesis import strategies as st
from stage1_guest import (
    AF,
    DBM,
    DS,
    EE,
    EPAN,
    FETCH,
    HA,
    HD,
    IPS48,
    IPS52,
    MMFR0_52,
    PXN,
    READ,
    TG16K,
    TG64K,
    UXN,
    WIDE,
    WRITE,
    WXN,
    Words,
    Zeros,
    one_page,
)

from gmap import Pic
from gmap.reference._stage1_par import effective_attributes, par_el1
from gmap.reference.stage1 import (
    DEFAULT_MMFR1,
    Stage1Regime,
    Walk,
)

# --- worked addresses ---------------------------------------------------------------------

VA = 0x7F12_3456_789A
# name, features, TCR_EL1, TTBR0_EL1, address, descriptors read as (level, address, value), IPA
WORKED = [
    ("4K, 48 bits", {}, 16 | IPS48, 0x1000, VA,
     [(0, 0x17F0, 0x2003), (1, 0x2240, 0x3003), (2, 0x3D10, 0x4003), (3, 0x4B38, 0x5403)],
     0x589A),
    ("4K, 39 bits", {}, 25 | IPS48, 0x1000, VA & (1 << 39) - 1,
     [(1, 0x1240, 0x2003), (2, 0x2D10, 0x3003), (3, 0x3B38, 0x5403)], 0x589A),
    ("4K, 30 bits", {}, 34 | IPS48, 0x1000, VA & (1 << 30) - 1,
     [(2, 0x1D10, 0x2003), (3, 0x2B38, 0x5403)], 0x589A),
    ("4K, 16 bits, a table of 128 bytes", {}, 48 | IPS48, 0x10F8, 0x789A,
     [(3, 0x10B8, 0x5403)], 0x589A),
    ("4K, 48 bits, 1 GiB block", {}, 16 | IPS48, 0x1000, VA,
     [(0, 0x17F0, 0x2003), (1, 0x2240, 0x40000401)], 0x7456789A),
    ("4K, 48 bits, 2 MiB block", {}, 16 | IPS48, 0x1000, VA,
     [(0, 0x17F0, 0x2003), (1, 0x2240, 0x3003), (2, 0x3D10, 0x40000401)], 0x4016789A),
    ("4K, 52 bits", WIDE, 12 | IPS52 | DS, 0x40004, 0xF_7F12_3456_789A,
     [(-1, 0x1_0000_0004_0078, 0x2003), (0, 0x27F0, 0x3003), (1, 0x3240, 0x4003),
      (2, 0x4D10, 0x5003), (3, 0x5B38, 0x2_0000_0000_6503)], 0x6_0000_0000_689A),
    ("4K, 52 bits, 512 GiB block", WIDE, 16 | IPS52 | DS, 0x1000, VA,
     [(0, 0x17F0, 0x3_0000_0000_0601)], 0xB_0012_3456_789A),
    ("16K, 48 bits", {}, 16 | IPS48 | TG16K, 0x4000, VA,
     [(0, 0x4000, 0x8003), (1, 0xBF88, 0xC003), (2, 0xC8D0, 0x10003), (3, 0x10AC8, 0x14403)],
     0x1789A),
    ("16K, 47 bits", {}, 17 | IPS48 | TG16K, 0x4000, VA,
     [(1, 0x7F88, 0xC003), (2, 0xC8D0, 0x10003), (3, 0x10AC8, 0x14403)], 0x1789A),
    ("16K, 48 bits, 32 MiB block", {}, 16 | IPS48 | TG16K, 0x4000, VA,
     [(0, 0x4000, 0x8003), (1, 0xBF88, 0xC003), (2, 0xC8D0, 0x4000401)], 0x456789A),
    ("16K, 47 bits, 64 GiB block", WIDE, 17 | IPS52 | TG16K | DS, 0x4000, VA,
     [(1, 0x7F88, 0x1000000501)], 0x4_0012_3456_789A),
    ("64K, 48 bits", {}, 16 | IPS48 | TG64K, 0x10000, VA,
     [(1, 0x100F8, 0x20003), (2, 0x2C488, 0x30003), (3, 0x3A2B0, 0x40403)], 0x4789A),
    ("64K, 48 bits, 512 MiB block", {}, 16 | IPS48 | TG64K, 0x10000, VA,
     [(1, 0x100F8, 0x20003), (2, 0x2C488, 0x40000401)], 0x5456789A),
    ("64K, 52 bits", WIDE, 12 | IPS52 | TG64K, 0x10000 | 0xF << 2, 0xF_7F12_3456_789A,
     [(1, 0xF_0000_0001_1EF8, 0x2A003), (2, 0xA_0000_0002_C488, 0x30003),
      (3, 0x3A2B0, 0x45403)], 0x5_0000_0004_789A),
    ("64K, 52 bits, 4 TiB block", WIDE, 12 | IPS52 | TG64K, 0x10000, 0xF_7F12_3456_789A,
     [(1, 0x11EF8, 0x40000003401)], 0x3_0712_3456_789A),
]  # fmt: skip


@pytest.mark.parametrize("row", WORKED, ids=lambda row: row[0])
def test_worked_addresses(row):
    _, has, tcr, ttbr, va, steps, ipa = row
    regime = Stage1Regime(ttbr0=ttbr, tcr=tcr, **has)
    memory = Words({address: value for _, address, value in steps})
    walk = regime.walk(va, READ, memory)
    assert [tuple(step) for step in walk.steps] == steps
    assert hex(walk.ipa) == hex(ipa)
    assert (walk.ok, walk.level, walk.stage) == (True, steps[-1][0], 1)


def test_the_upper_half_has_tables_of_its_own():
    tcr = 16 | 25 << 16 | 2 << 30 | IPS48
    regime = Stage1Regime(ttbr0=0xDEAD000, ttbr1=0x1000, tcr=tcr)
    memory = Words({0x1240: 0x2003, 0x2D10: 0x3003, 0x3B38: 0x5403})
    assert regime.walk(0xFFFF_FF92_3456_789A, READ, memory).ipa == 0x589A


# granule, extra of TCR_EL1, then the level at which a walk starts for a range of T0SZ
START_LEVELS = [
    (0, 0, [(16, 24, 0), (25, 33, 1), (34, 42, 2), (43, 48, 3)]),
    (TG16K, 0, [(16, 16, 0), (17, 27, 1), (28, 38, 2), (39, 48, 3)]),
    (TG64K, 0, [(12, 21, 1), (22, 34, 2), (35, 47, 3)]),
    (0, DS, [(12, 15, -1), (16, 24, 0), (25, 33, 1), (34, 42, 2), (43, 48, 3)]),
    (TG16K, DS, [(12, 16, 0), (17, 27, 1), (28, 38, 2), (39, 48, 3)]),
]


@pytest.mark.parametrize(("granule", "extra", "ranges"), START_LEVELS)
def test_start_levels_and_limits(granule, extra, ranges):
    levels = {txsz: level for low, high, level in ranges for txsz in range(low, high + 1)}
    for txsz in range(64):
        tcr = txsz | granule | extra | IPS48
        walk = Stage1Regime(ttbr0=0x10000, tcr=tcr, **WIDE).walk(0, READ, Zeros())
        assert not walk.ok
        if txsz not in levels:
            assert (walk.fsc, walk.steps) == (0x04, ())  # refused before any table
        else:
            assert [step.level for step in walk.steps] == [levels[txsz]] == [walk.level]


@pytest.mark.parametrize("granule", [0, TG16K, TG64K])
def test_limits_without_extensions(granule):
    """Without ST, LVA and LPA2 sizes are 16 to 39."""
    for txsz in range(64):
        regime = Stage1Regime(ttbr0=0x10000, tcr=txsz | granule | IPS48 | DS, mmfr2=0)
        assert bool(regime.walk(0, READ, Zeros()).steps) == (16 <= txsz <= 39)


# --- permissions --------------------------------------------------------------------------

# AP[2:1], UXN: rights of EL1 and of EL0, each for WXN 0 and 1; PXN is 0.
PERMISSIONS = {
    "no PAN": """
        00 0  rwx --x   rw- --x
        00 1  rwx ---   rw- ---
        01 0  rw- rwx   rw- rw-
        01 1  rw- rw-   rw- rw-
        10 0  r-x --x   r-x --x
        10 1  r-x ---   r-x ---
        11 0  r-x r-x   r-x r-x
        11 1  r-x r--   r-x r--
    """,
    "PAN": """
        00 0  rwx --x   rw- --x
        00 1  rwx ---   rw- ---
        01 0  --- rwx   --- rw-
        01 1  --- rw-   --- rw-
        10 0  r-x --x   r-x --x
        10 1  r-x ---   r-x ---
        11 0  --x r-x   --x r-x
        11 1  --x r--   --x r--
    """,
    "PAN and EPAN": """
        00 0  --x --x   --- --x
        00 1  rwx ---   rw- ---
        01 0  --- rwx   --- rw-
        01 1  --- rw-   --- rw-
        10 0  --x --x   --x --x
        10 1  r-x ---   r-x ---
        11 0  --x r-x   --x r-x
        11 1  --x r--   --x r--
    """,
}
ROWS = [
    (name, wxn, pxn, int(ap, 2), int(uxn), el1 if not pxn else el1.replace("x", "-"), el0)
    for name, text in PERMISSIONS.items()
    for line in text.split("\n") if line.strip()
    for ap, uxn, *rights in [line.split()]
    for wxn, (el1, el0) in enumerate([rights[:2], rights[2:]])
    for pxn in (0, 1)
]  # fmt: skip


def letters(rights):
    return "".join(letter if has else "-" for letter, has in zip("rwx", rights, strict=True))


@pytest.mark.parametrize("el", [0, 1])
def test_permissions(el):
    assert len(ROWS) == 3 * 8 * 2 * 2
    for name, wxn, pxn, ap, uxn, el1, el0 in ROWS:
        leaf = 0x5003 | AF | ap << 6 | uxn * UXN | pxn * PXN
        sctlr = 1 | wxn * WXN | ("EPAN" in name) * EPAN
        regime, memory = one_page(leaf, sctlr=sctlr, el=el, pan=name != "no PAN")
        for access, letter in enumerate("rwx"):
            walk = regime.walk(0, access, memory)
            assert (letters(walk.el1), letters(walk.el0)) == (el1, el0), (name, leaf)
            allowed = letter in (el1 if el else el0)
            assert (walk.ok, walk.fsc) == ((True, 0) if allowed else (False, 0x0F))


@pytest.mark.parametrize(("pan_field", "sees_pan", "sees_epan"), [(0, 0, 0), (1, 1, 0), (2, 1, 0),
                                                                  (3, 1, 1)])
def test_pan_needs_the_feature(pan_field, sees_pan, sees_epan):
    mmfr1 = DEFAULT_MMFR1 & ~(0xF << 20) | pan_field << 20
    for leaf, denied in ((0x5003 | AF | 1 << 6, sees_pan), (0x5003 | AF, sees_epan)):
        regime, memory = one_page(leaf, sctlr=1 | EPAN, pan=True, mmfr1=mmfr1)
        assert regime.walk(0, READ, memory).ok == (not denied)


# bits 62:59 of a table descriptor: what a page that allows all has left at EL1 and EL0
TABLE_BITS = [
    (0b0000, "rw-", "rwx"),
    (0b0100, "rwx", "--x"),  # APTable[0]: not for EL0, so EL1 may execute what it writes
    (0b1000, "r-x", "r-x"),  # APTable[1]: read-only
    (0b1100, "r-x", "--x"),
    (0b0010, "rw-", "rw-"),  # UXNTable
    (0b0001, "rw-", "rwx"),  # PXNTable: EL0 writes, so EL1 does not execute anyway
    (0b1001, "r--", "r-x"),
    (0b1111, "r--", "---"),
]


@pytest.mark.parametrize(("table", "el1", "el0"), TABLE_BITS)
def test_table_bits(table, el1, el0):
    leaf = 0x5003 | AF | 1 << 6
    memory = Words({0x1000: 0x2003 | table << 59, 0x2000: leaf})
    regime = Stage1Regime(ttbr0=0x1000, tcr=34 | IPS48)
    walk = regime.walk(0, READ, memory)
    assert (letters(walk.el1), letters(walk.el0)) == (el1, el0)
    # TCR_EL1.HPD0 switches them off, if the CPU has it.
    off = Stage1Regime(ttbr0=0x1000, tcr=34 | IPS48 | 1 << 41).walk(0, READ, memory)
    assert (letters(off.el1), letters(off.el0)) == ("rw-", "rwx")
    none = Stage1Regime(ttbr0=0x1000, tcr=34 | IPS48 | 1 << 41, mmfr1=0)
    assert none.walk(0, READ, memory).el1 == walk.el1


@pytest.mark.parametrize(
    ("first", "second", "el1", "el0"),
    [(0b0100, 0b1000, "r-x", "--x"), (0b1000, 0b0100, "r-x", "--x"), (0b1111, 0, "r--", "---"),
     (0, 0b1111, "r--", "---"), (0b0010, 0b0001, "rw-", "rw-")],
)  # fmt: skip
def test_table_bits_add_up(first, second, el1, el0):
    memory = Words({0x1000: 0x2003 | first << 59, 0x2000: 0x3003 | second << 59, 0x3000: 0x5443})
    walk = Stage1Regime(ttbr0=0x1000, tcr=25 | IPS48).walk(0, READ, memory)
    assert (letters(walk.el1), letters(walk.el0)) == (el1, el0)


def test_read_only_tables_outdo_dirty_state():
    memory = Words({0x1000: 0x2003 | 1 << 62, 0x2000: 0x5003 | AF | 1 << 7 | DBM})
    walk = Stage1Regime(ttbr0=0x1000, tcr=34 | IPS48 | HA | HD).walk(0, WRITE, memory)
    assert (walk.fsc, memory.writes) == (0x0F, [])


# --- access flag and dirty state ----------------------------------------------------------

PAGE = 0x5003
RO = 1 << 7
# TCR_EL1, HAFDBS, leaf, access: fault status code, and the leaf afterwards if it changes
UPDATES = [
    (0, 2, PAGE, READ, 0x0B, None),
    (HA, 0, PAGE, READ, 0x0B, None),  # not implemented
    (HA, 1, PAGE, READ, 0, PAGE | AF),
    (HA, 1, PAGE | RO, READ, 0, PAGE | RO | AF),
    (HA, 1, PAGE | RO, WRITE, 0x0F, None),  # not permitted: no update
    (HA | HD, 1, PAGE | RO | DBM | AF, WRITE, 0x0F, None),  # HD not implemented
    (HD, 2, PAGE | RO | DBM | AF, WRITE, 0x0F, None),  # HD needs HA
    (HA | HD, 2, PAGE | RO | DBM | AF, WRITE, 0, PAGE | DBM | AF),
    (HA | HD, 2, PAGE | RO | DBM, WRITE, 0, PAGE | DBM | AF),  # both at once
    (HA | HD, 2, PAGE | RO | DBM, READ, 0, PAGE | RO | DBM | AF),  # stays clean
    (HA | HD, 2, PAGE | RO | DBM | AF, READ, 0, None),
    (HA | HD, 2, PAGE | DBM | AF, WRITE, 0, None),  # dirty already
    (HA | HD, 2, PAGE | RO | AF, WRITE, 0x0F, None),  # no DBM
]


@pytest.mark.parametrize(("tcr", "hafdbs", "leaf", "access", "fsc", "after"), UPDATES)
def test_updates(tcr, hafdbs, leaf, access, fsc, after):
    mmfr1 = DEFAULT_MMFR1 & ~0xF | hafdbs
    regime, memory = one_page(leaf, tcr=tcr, mmfr1=mmfr1)
    probed = regime.walk(0, access, memory, probe=True)
    assert memory == {0x1000: leaf}
    walk = regime.walk(0, access, memory)
    assert (walk.fsc, walk.ok) == (probed.fsc, probed.ok) == (fsc, fsc == 0)
    assert memory.writes == ([(0x1000, after)] if after else [])
    assert (walk.updated, probed.updated) == (after is not None, False)
    assert not regime.walk(0, access, memory).updated


def test_an_access_flag_fault_comes_before_a_permission_fault():
    regime, memory = one_page(PAGE | RO)
    assert regime.walk(0, WRITE, memory).fsc == 0x0B


def test_dirty_state_makes_a_page_writable_for_the_other_rules():
    """A clean page of EL0 counts as writable: EL1 cannot execute it, nor anybody with WXN."""
    leaf = PAGE | AF | RO | DBM | 1 << 6
    regime, memory = one_page(leaf, tcr=HA | HD, sctlr=1 | WXN)
    walk = regime.walk(0, READ, memory)
    assert (letters(walk.el1), letters(walk.el0)) == ("rw-", "rw-")
    regime, memory = one_page(leaf)
    assert letters(regime.walk(0, READ, memory).el1) == "r-x"


def test_an_update_refused_by_stage_2():
    regime, memory = one_page(PAGE, tcr=HA)
    memory.read_only = (0x1000,)
    walk = regime.walk(0, READ, memory)
    assert (walk.stage, walk.s1ptw, walk.pic, walk.fsc) == (2, True, Pic.PROTECTION, 0x0F)
    assert regime.walk(0, READ, memory, probe=True).ok


def test_an_update_that_loses_a_race_walks_again():
    regime, memory = one_page(PAGE, tcr=HA)
    memory.losing = 2
    walk = regime.walk(0, READ, memory)
    assert walk.updated
    assert memory[0x1000] == PAGE | AF | 1 << 55
    assert len(walk.steps) == 1


def test_big_endian_descriptors():
    def swapped(word):
        return int.from_bytes(word.to_bytes(8, "big"), "little")

    memory = Words({0x1000: swapped(0x2003), 0x2000: swapped(PAGE)})
    regime = Stage1Regime(ttbr0=0x1000, tcr=34 | IPS48 | HA, sctlr=1 | EE)
    walk = regime.walk(0x10, READ, memory)
    assert (walk.ipa, walk.steps[1].descriptor) == (0x5010, PAGE)
    assert memory.writes == [(0x2000, swapped(PAGE | AF))]


# --- attributes ---------------------------------------------------------------------------


@pytest.mark.parametrize("index", range(8))
def test_attributes(index):
    mair = 0xFFEE_DDCC_BBAA_0400
    for sh in range(4):
        regime, memory = one_page(PAGE | AF | index << 2 | sh << 8, mair=mair)
        walk = regime.walk(0, READ, memory)
        assert (walk.attr, walk.sh) == (mair.to_bytes(8, "little")[index], sh)
    ds = Stage1Regime(ttbr0=0x1000, tcr=48 | IPS52 | DS | 3 << 12, **WIDE)
    assert ds.walk(0, READ, Words({0x1000: 0x5403})).sh == 3


@pytest.mark.parametrize(
    ("bit", "name"), [(11, "ng"), (52, "contiguous")]
)
def test_bits_of_the_leaf(bit, name):
    for value in (0, 1):
        regime, memory = one_page(PAGE | AF | value << bit)
        walk = regime.walk(0x123, READ, memory)
        assert getattr(walk, name) is bool(value)
        assert walk.ipa == 0x5123  # the hint changes no address


@pytest.mark.parametrize(
    ("tcr", "leaf"), [(16 | TG64K | IPS52, 0x401), (17 | TG16K | DS | IPS52, 0x401),
                      (16 | DS | IPS52, 0x401)]
)  # fmt: skip
def test_the_largest_blocks_have_no_contiguous_bit(tcr, leaf):
    walk = Stage1Regime(ttbr0=0x10000, tcr=tcr, **WIDE).walk(
        0, READ, Words({0x10000: leaf | 1 << 52})
    )
    assert (walk.ok, walk.contiguous) == (True, False)


def test_ds_is_not_for_64k():
    regime = Stage1Regime(ttbr0=0x10000, tcr=47 | TG64K | IPS48 | DS, **WIDE)
    walk = regime.walk(0, READ, Words({0x10000: 0x40403 | 3 << 8 | 3 << 48}))
    assert (walk.ipa, walk.sh) == (0x40000, 3)
    no_lva = Stage1Regime(ttbr0=0x10000, tcr=12 | TG64K | IPS48 | DS, mmfr0=MMFR0_52)
    assert no_lva.walk(0, READ, Zeros()).steps == ()


@pytest.mark.parametrize("bit", [5, 16, 50, 55, 56, 57, 58, 59, 60, 61, 62, 63])
def test_bits_that_are_ignored_in_a_block(bit):
    """NS, nT, GP, software bits, PBHA, and in leaves the table bits."""
    regime = Stage1Regime(ttbr0=0x1000, tcr=34 | IPS48)
    plain = regime.walk(0, READ, Words({0x1000: 0x40000401}))
    other = regime.walk(0, READ, Words({0x1000: 0x40000401 | 1 << bit}))
    assert (other.ipa, other.el0, other.el1) == (plain.ipa, plain.el0, plain.el1)


def test_par():
    regime = Stage1Regime(sctlr=1 | 1 << 2)
    normal = Walk(ipa=0x12345678, attr=0xFF, sh=3)
    assert par_el1(regime, normal) == 0xFF00_0000_1234_5980
    assert par_el1(Stage1Regime(sctlr=1), normal) == 0x4400_0000_1234_5900
    assert par_el1(regime, Walk(ipa=0, attr=0x04, sh=0)) == 0x0400_0000_0000_0900
    assert par_el1(regime, Walk(fsc=0x0B, level=3)) == 0x817
    refused = Walk(fsc=0x07, level=3, stage=2, s1ptw=True)
    assert par_el1(regime, refused) == 0xB0F


@pytest.mark.parametrize(
    ("attr", "sh", "sctlr", "access", "effective"),
    [
        (0xFF, 3, 1, READ, (0x44, 2)),  # C is off
        (0xFF, 3, 1 | 1 << 2, READ, (0xFF, 3)),
        (0xFF, 1, 1 | 1 << 2, READ, (0xFF, 2)),  # reserved shareability
        (0x44, 3, 1 | 1 << 2, READ, (0x44, 2)),
        (0x04, 3, 1, READ, (0x04, 2)),  # Device stays Device
        (0x04, 3, 1 | 1 << 12, FETCH, (0x44, 2)),  # but not for fetches
        (0xFF, 3, 1 | 1 << 2, FETCH, (0x44, 2)),  # I is off
        (0xFF, 3, 1 | 1 << 12, FETCH, (0xFF, 3)),
    ],
)
def test_effective_attributes(attr, sh, sctlr, access, effective):
    walk = Walk(ipa=0, attr=attr, sh=sh)
    assert effective_attributes(Stage1Regime(sctlr=sctlr), walk, access) == effective


# --- laws ---------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), cpu=st.sampled_from(sorted(cases.CPUS)))
def test_laws(seed, cpu):
    """Of random walks: a probe predicts, an update lasts, offsets do not matter."""
    batch = cases.make(seed, cpu, registers=8, addresses=8)
    memory = cases.Memory(batch)
    for registers, vas in batch.rows():
        regime = Stage1Regime(**registers, el=seed & 1, **batch.mmfr)
        for va in vas:
            access = va % 3
            probed = regime.walk(va, access, memory, probe=True)
            walk = regime.walk(va, access, memory)
            assert (walk.ipa, walk.fsc, walk.level) == (probed.ipa, probed.fsc, probed.level)
            if not walk.ok:
                assert not walk.updated
                continue
            assert (walk.el1 if regime.el else walk.el0).allow(access)
            assert not regime.walk(va, access, memory).updated
            other = regime.walk(va ^ 0xFF8, access, memory)
            assert other.ipa == walk.ipa ^ 0xFF8
