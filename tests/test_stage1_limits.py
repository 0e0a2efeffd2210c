"""The reference for stage 1 at its limits: address sizes, blocks, disabled walks, bad input."""

import pytest
from stage1_guest import (
    DS,
    FETCH,
    IPS48,
    IPS52,
    MMFR0_52,
    READ,
    TG16K,
    TG64K,
    WIDE,
    WRITE,
    Words,
    Zeros,
    one_page,
)

from gmap import AddressError, ConfigError
from gmap.reference._stage1_fields import (
    fault_status,
    lower_half,
    stage2_status,
    upper_half,
)
from gmap.reference._stage1_par import effective_attributes
from gmap.reference.stage1 import (
    DEFAULT_MMFR0,
    DEFAULT_MMFR2,
    Rights,
    Stage1Regime,
    Stage2Fault,
)

# --- address sizes ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ips", "bits"),
    [(0, 32), (1, 36), (2, 40), (3, 42), (4, 44), (5, 48), (6, 48), (7, 48)],
)
def test_output_sizes(ips, bits):
    """At every level an address below 2**bits is good, and any above is not."""
    for high in range(32, 48):
        top = 1 << high
        good = high < bits
        for start, levels in ((16, 4), (25, 3), (34, 2)):
            tables = [0x1000 * (n + 1) for n in range(levels)]
            for at in range(-1, levels):
                words = {t: t + 0x1003 for t in tables}
                words[tables[-1]] = 0x9403
                ttbr = tables[0]
                if at < 0:
                    ttbr |= top
                    words[ttbr] = words[tables[0]]
                elif at < levels - 1:
                    words[tables[at]] |= top
                    words[tables[at + 1] | top] = words[tables[at + 1]]
                else:
                    words[tables[at]] |= top
                walk = Stage1Regime(ttbr0=ttbr, tcr=start | ips << 32).walk(0, READ, Words(words))
                assert walk.ok == good
                if not good:
                    level = 0 if at < 0 else 4 - levels + at
                    assert (walk.fsc, walk.level, walk.ipa) == (level, level, None)
                    assert len(walk.steps) == at + 1


def test_the_implemented_size_limits_the_register():
    leaf = 0x5403 | 1 << 40
    regime, memory = one_page(leaf, mmfr0=DEFAULT_MMFR0 & ~0xF | 2)  # 40 bits
    assert (regime.walk(0, READ, memory).fsc, regime.walk(0, READ, memory).ok) == (3, False)


def test_address_size_at_level_minus_1():
    regime = Stage1Regime(ttbr0=0x40000, tcr=12 | IPS48 | DS, **WIDE)
    walk = regime.walk(0, READ, Words({0x40000: 0x2003 | 1 << 48}))
    assert (walk.fsc, walk.level) == (0x29, -1)
    walk = regime.walk(0, READ, Words({0x40000: 0}))
    assert (walk.fsc, walk.level) == (0x2B, -1)


def test_64k_descriptors_have_bits_51_to_48_only_with_lpa():
    for mmfr0, ips, fsc in ((DEFAULT_MMFR0, IPS52, 0), (MMFR0_52, IPS52, 0), (MMFR0_52, IPS48, 3)):
        regime = Stage1Regime(ttbr0=0x10000, tcr=47 | ips | TG64K, mmfr0=mmfr0)
        walk = regime.walk(0, READ, Words({0x10000: 0x21403}))
        assert walk.fsc == fsc
        if walk.ok:
            assert walk.ipa == (0x20000 if mmfr0 == DEFAULT_MMFR0 else 0x1_0000_0002_0000)


def test_ttbr_has_bits_51_to_48_only_with_a_52_bit_output_size():
    memory = Words({0x10000: 0x20003, 0x20000: 0x40403})
    ttbr = 0x10000 | 0xF << 2  # below the alignment of a table of 64K
    for tcr in (22 | TG64K | IPS48, 22 | TG64K | 4 << 32):
        assert Stage1Regime(ttbr0=ttbr, tcr=tcr, **WIDE).walk(0, READ, memory).ok
    wide = Stage1Regime(ttbr0=ttbr, tcr=22 | TG64K | IPS52, **WIDE).walk(0, READ, memory)
    assert (wide.stage, wide.s1ptw) == (2, True)  # it looked at 0xf_0000_0001_0000


HALVES = {
    "txsz": (0, 16, 6), "epd": (7, 23, 1), "sh": (12, 28, 2), "tg": (14, 30, 2),
    "tbi": (37, 38, 1), "hpd": (41, 42, 1), "e0pd": (55, 56, 1),
}  # fmt: skip


def test_fields_of_the_halves():
    for name, (low, high, width) in HALVES.items():
        for value in (1, (1 << width) - 1):
            for tcr, halves in ((value << low, (value, 0)), (value << high, (0, value))):
                found = getattr(lower_half(tcr), name), getattr(upper_half(tcr), name)
                assert found == halves, name


# --- which descriptors are blocks ---------------------------------------------------------

BLOCKS = [(0, 0, {1, 2}), (0, DS, {0, 1, 2}), (TG16K, 0, {2}), (TG16K, DS, {1, 2})]


@pytest.mark.parametrize(("granule", "ds", "levels"), BLOCKS)
def test_blocks(granule, ds, levels):
    shift = 14 if granule else 12
    for level in range(4):
        words, table = {}, 1 << shift
        for _ in range(level):
            words[table] = table + (1 << shift) | 3
            table += 1 << shift
        words[table] = 0x401
        regime = Stage1Regime(ttbr0=1 << shift, tcr=16 | granule | ds | IPS48, **WIDE)
        walk = regime.walk(0, READ, Words(words))
        assert (walk.fsc, walk.level) == (0 if level in levels else 4 | level, level)
        if walk.ok:
            assert walk.size == 1 << shift + (shift - 3) * (3 - level)


@pytest.mark.parametrize(("mmfr0", "ok"), [(DEFAULT_MMFR0, False), (MMFR0_52, True)])
def test_a_64k_block_of_4_tib_needs_52_bits(mmfr0, ok):
    regime = Stage1Regime(ttbr0=0x10000, tcr=16 | TG64K | IPS48, mmfr0=mmfr0)
    walk = regime.walk(0, READ, Words({0x10000: 0x401}))
    assert (walk.ok, walk.fsc) == (ok, 0 if ok else 0x05)


# --- before the tables --------------------------------------------------------------------


def test_walks_disabled():
    for bit, va in ((7, 0), (23, 2**64 - 1)):
        regime = Stage1Regime(tcr=16 | 16 << 16 | 2 << 30 | IPS48 | 1 << bit)
        assert regime.walk(va, READ, Words()).fsc == 0x04
        assert regime.walk(~va & 2**64 - 1, READ, Words()).stage == 2  # the other half walks


def test_e0pd_keeps_el0_out_of_a_half():
    mmfr2 = DEFAULT_MMFR2 | 1 << 60
    for bit, va in ((55, 0), (56, 2**64 - 1)):
        tcr = 16 | 16 << 16 | 2 << 30 | IPS48 | 1 << bit
        assert Stage1Regime(tcr=tcr, el=0, mmfr2=mmfr2).walk(va, READ, Zeros()).steps == ()
        assert Stage1Regime(tcr=tcr, el=1, mmfr2=mmfr2).walk(va, READ, Zeros()).steps
        assert Stage1Regime(tcr=tcr, el=0).walk(va, READ, Zeros()).steps  # not implemented


@pytest.mark.parametrize("access", [READ, FETCH])
def test_tags(access):
    """TBI covers fetches too: TBID belongs to a feature that is not here."""
    leaf = Words({0x1000: 0x5403})
    for tag in (0x0100_0000_0000_0000, 0x8000_0000_0000_0000, 0xFF00_0000_0000_0000):
        plain = Stage1Regime(ttbr0=0x1000, tcr=48 | IPS48)
        tagged = Stage1Regime(ttbr0=0x1000, tcr=48 | IPS48 | 1 << 37)
        assert plain.walk(tag, access, leaf).fsc == 0x04
        assert tagged.walk(tag, access, leaf).ipa == 0x5000
    high = Stage1Regime(ttbr1=0x1000, tcr=48 << 16 | 2 << 30 | IPS48 | 1 << 38)
    assert high.walk(0x12FF_FFFF_FFFF_0000, access, leaf).ipa == 0x5000
    assert high.walk(0x12FF_FFFF_FFFE_0000, access, leaf).fsc == 0x04


def test_reserved_granules_are_the_smallest():
    memory = Words({0x1000: 0x5403})
    assert Stage1Regime(ttbr0=0x1000, tcr=48 | IPS48 | 3 << 14).walk(0, READ, memory).ok
    upper = Stage1Regime(ttbr1=0x1000, tcr=48 << 16 | IPS48)
    assert upper.walk(0xFFFF_FFFF_FFFF_0000, READ, memory).ok
    no_4k = {"mmfr0": DEFAULT_MMFR0 | 0xF << 28}
    sixteen = Stage1Regime(ttbr0=0x4000, tcr=34 | IPS48, **no_4k)
    walk = sixteen.walk(0, READ, Words({0x4000: 0x8003, 0x8000: 0xC403}))
    assert (walk.ipa, walk.size) == (0xC000, 1 << 14)


# --- stage 1 off --------------------------------------------------------------------------


@pytest.mark.parametrize(("pa_range", "bits"), [(0, 32), (2, 40), (5, 48), (6, 52)])
def test_off(pa_range, bits):
    mmfr0 = DEFAULT_MMFR0 & ~0xF | pa_range
    for tbi in (0, 3 << 37):
        off = Stage1Regime(sctlr=0, el=0, tcr=tbi, mmfr0=mmfr0)
        assert off.walk((1 << bits) - 1, WRITE, Words()).ipa == (1 << bits) - 1
        for high in range(bits, 64):
            walk = off.walk(1 << high, READ, Words())
            assert walk.ok == bool(tbi and high > 55)
            assert (walk.fsc, walk.level, walk.steps) == (0, 0, ())
            assert walk.ipa == (0 if walk.ok else None)


def test_attributes_with_stage_1_off():
    for sctlr, fetched in ((0, 0x44), (1 << 12, 0xAA)):
        regime = Stage1Regime(sctlr=sctlr)
        for access, attr in ((READ, 0), (WRITE, 0), (FETCH, fetched)):
            walk = regime.walk(0x4000, access, Words())
            assert (walk.attr, walk.sh, walk.el0, walk.el1) == (attr, 2, *[Rights(1, 1, 1)] * 2)
            assert effective_attributes(regime, walk, access) == (attr, 2)


# --- codes, input -------------------------------------------------------------------------


def test_fault_codes():
    codes = [[fault_status(kind, level) for level in range(4)] for kind in range(4)]
    assert codes == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]


@pytest.mark.parametrize(
    ("pic", "fsc", "level"),
    [(4, 0x0F, 3), (5, 0x04, 0), (0x10, 0x06, 2), (0x11, 0x07, 3), (0x12, 0x04, 0),
     (0x38, 0x04, 0), (0x39, 0x2B, -1), (0x3A, 0x04, 0), (0x3B, 0x05, 1)],
)  # fmt: skip
def test_stage_2_codes(pic, fsc, level):
    assert stage2_status(pic) == (fsc, level)
    fault = Stage2Fault(pic)
    assert (fault.pic, fault.fsc, fault.level) == (pic, fsc, level)


@pytest.mark.parametrize("name", ["ttbr0", "ttbr1", "tcr", "mair", "sctlr", "mmfr0", "mmfr2"])
@pytest.mark.parametrize("value", [-1, 1 << 64, 1.0, None, True])
def test_bad_registers(name, value):
    with pytest.raises(AddressError, match=f"{name} .*64"):
        Stage1Regime(**{name: value})


def test_bad_configurations():
    for el in (2, -1, 1.0, None):
        with pytest.raises(ConfigError, match=f"exception level {el}"):
            Stage1Regime(el=el)
    with pytest.raises(ConfigError, match="PARange"):
        Stage1Regime(mmfr0=8)
    with pytest.raises(ConfigError, match="no granule"):
        Stage1Regime(mmfr0=5 | 0xF << 28 | 0xF << 24)


@pytest.mark.parametrize("va", [-1, 1 << 64, 0.5, "0"])
def test_bad_addresses(va):
    with pytest.raises(AddressError, match="va "):
        Stage1Regime().walk(va, READ, Words())


@pytest.mark.parametrize("access", [3, -1, 1.0, None])
def test_bad_access(access):
    with pytest.raises(ConfigError, match=f"access {access}"):
        Stage1Regime().walk(0, access, Words())
