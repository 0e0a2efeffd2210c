"""Native arm64 stage 2, against the fact sheet and against plain Python.

The tables of fact sheet ipa.md sections 6 and 7 are transcribed as data. The oracle in the middle
of this file says the same rules again in other words, for random inputs.
"""

import errno

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmap import _ipa, _native
from gmap._defs import Level
from gmap.errors import ConfigError

EINVAL = -errno.EINVAL
KIB = 1024
U64_MAX = 2**64 - 1
GRANULES = (4 * KIB, 16 * KIB, 64 * KIB)


# --- section 6: the native limit ------------------------------------------------------------

PARANGES = {0: 32, 1: 36, 2: 40, 3: 42, 4: 44, 5: 48, 6: 52}


@pytest.mark.parametrize(("parange", "bits"), PARANGES.items())
@pytest.mark.parametrize("page_size", GRANULES)
@pytest.mark.parametrize("lpa2", [False, True])
def test_native_limit_table(parange, bits, page_size, lpa2):
    capped = bits if lpa2 or page_size == 64 * KIB else min(bits, 48)
    assert _native.native_ipa_limit(parange, page_size=page_size, lpa2=lpa2) == capped


@pytest.mark.parametrize("parange", range(7, 16))
def test_parange_of_the_future(parange):
    assert _native.native_ipa_limit(parange) == 48
    assert _native.native_ipa_limit(parange, lpa2=True) == 52


@pytest.mark.parametrize("field", range(16))
@pytest.mark.parametrize("page_size", GRANULES)
def test_stage_2_granule_support(field, page_size):
    options = {"page_size": page_size, "tgran_stage2": field}
    if field == 0 or 2 <= field <= 7:
        assert _native.native_ipa_limit(5, **options) == 48
        return
    assert _native.native_ipa_limit(5, **options, errors="status") == EINVAL
    with pytest.raises(ConfigError, match=f"tgran_stage2 {field}: .* {page_size} bytes") as caught:
        _native.native_ipa_limit(5, **options)
    assert caught.value.errno == errno.EINVAL


def test_unsupported_granule_in_an_array():
    with pytest.raises(ConfigError, match=r"tgran_stage2 1: .* \(the first of 2 refused\)"):
        _native.native_ipa_limit([4, 5], tgran_stage2=1)
    got = _native.native_ipa_limit(5, tgran_stage2=[0, 1], errors="status")
    assert got.tolist() == [48, EINVAL]


def test_native_capability_reaches_52_bits_with_lpa2_or_64k_pages():
    assert _native.native_ipa_limit(6) == 48
    assert _native.native_ipa_limit(6, lpa2=True) == 52
    assert _native.native_ipa_limit(6, page_size=64 * KIB) == 52


# --- section 7: native stage-2 tables -------------------------------------------------------

GEOMETRY_4K = [  # IPA bits, levels, start, index bits, tables, pgd bytes, s390 levels, s390 type
    (32, 2, 2, 11, 4, 16384, 3, Level.REGION3),
    (36, 3, 1, 6, 1, 4096, 3, Level.REGION3),
    (39, 3, 1, 9, 1, 4096, 3, Level.REGION3),
    (40, 3, 1, 10, 2, 8192, 3, Level.REGION3),
    (42, 3, 1, 12, 8, 32768, 3, Level.REGION3),
    (43, 3, 1, 13, 16, 65536, 4, Level.REGION2),
    (44, 4, 0, 5, 1, 4096, 4, Level.REGION2),
    (47, 4, 0, 8, 1, 4096, 4, Level.REGION2),
    (48, 4, 0, 9, 1, 4096, 4, Level.REGION2),
    (52, 4, 0, 13, 16, 65536, 4, Level.REGION2),
]
GEOMETRY_16K = [    # IPA bits, levels, start, tables
    (32, 2, 2, 1), (36, 2, 2, 1), (39, 2, 2, 8), (40, 2, 2, 16), (42, 3, 1, 1), (44, 3, 1, 1),
    (47, 3, 1, 1), (48, 3, 1, 2), (52, 4, 0, 1),
]
GEOMETRY_64K = [
    (32, 2, 2, 1), (36, 2, 2, 1), (40, 2, 2, 1), (42, 2, 2, 1), (43, 2, 2, 2), (44, 2, 2, 4),
    (47, 3, 1, 1), (48, 3, 1, 1), (52, 3, 1, 1),
]


@pytest.mark.parametrize(
    ("bits", "levels", "start", "index", "tables", "pgd", "s390_levels", "s390_type"), GEOMETRY_4K
)
def test_geometry_with_4k(bits, levels, start, index, tables, pgd, s390_levels, s390_type):
    got = _native.stage2_geometry(bits, 4 * KIB)
    assert got.dtype == _native.STAGE2_GEOMETRY
    assert got.tolist() == (bits, 4 * KIB, levels, start, index, tables, pgd)
    assert _ipa.gmap_type(bits) is s390_type
    assert s390_type + 2 == s390_levels


@pytest.mark.parametrize(
    ("granule", "bits", "levels", "start", "tables"),
    [(16 * KIB, *row) for row in GEOMETRY_16K] + [(64 * KIB, *row) for row in GEOMETRY_64K],
)
def test_geometry_with_larger_granules(granule, bits, levels, start, tables):
    got = _native.stage2_geometry(bits, granule)
    assert (got["levels"], got["start_level"]) == (levels, start)
    assert (got["concatenated"], got["pgd_bytes"]) == (tables, tables * granule)


VTCR_TABLE = [  # field, bits, value for a 40-bit guest of a 44-bit host, 4 KiB, all options on
    ("t0sz", (5, 0), 24),
    ("sl0", (7, 6), 1),
    ("irgn0", (9, 8), 1),
    ("orgn0", (11, 10), 1),
    ("sh0", (13, 12), 3),
    ("tg0", (15, 14), 0),
    ("ps", (18, 16), 4),
    ("vs", (19, 19), 1),
    ("ha", (21, 21), 1),
    ("res1", (31, 31), 1),
    ("ds", (32, 32), 1),
]


@pytest.mark.parametrize(("name", "position", "value"), VTCR_TABLE)
def test_vtcr_field_table(name, position, value):
    high, low = position
    register = _native.vtcr_el2(40, 4 * KIB, parange=4, vmid16=True, hw_af=True, lpa2=True)
    assert _native.VTCR_FIELDS[name] == (low, high - low + 1)
    assert register >> low & (2 ** (high - low + 1) - 1) == value
    assert _native.decode_vtcr(register)[name] == value


def test_vtcr_has_no_other_fields():
    assert set(_native.VTCR_FIELDS) == {name for name, _, _ in VTCR_TABLE}
    register = _native.vtcr_el2(40, 4 * KIB, parange=4, vmid16=True, hw_af=True, lpa2=True)
    assert _native.decode_vtcr(register)["other"] == 0


def test_vtcr_options_are_off_unless_asked_for():
    fields = _native.decode_vtcr(_native.vtcr_el2(40, parange=5))
    assert (fields["vs"], fields["ha"], fields["ds"], fields["res1"]) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("granule", "tg0", "sl0_of_levels"),
    [(4 * KIB, 0, {4: 2, 3: 1, 2: 0}), (16 * KIB, 2, {4: 3, 3: 2, 2: 1}),
     (64 * KIB, 1, {3: 2, 2: 1})],
)
def test_sl0_and_tg0(granule, tg0, sl0_of_levels):
    levels_met = set()
    for bits in range(32, 53):
        fields = _native.decode_vtcr(_native.vtcr_el2(bits, granule, parange=6, lpa2=True))
        levels = int(_native.stage2_geometry(bits, granule)["levels"])
        levels_met.add(levels)
        assert fields["tg0"] == tg0
        assert fields["sl0"] == sl0_of_levels[levels]
    assert levels_met == set(sl0_of_levels)


def test_named_values_of_vtcr_fields():
    assert (_native.VTCR_TG0_4K, _native.VTCR_TG0_64K, _native.VTCR_TG0_16K) == (0, 1, 2)
    assert (_native.VTCR_RGN_WBWA, _native.VTCR_SH_INNER) == (1, 3)
    for name, (low, _) in _native.VTCR_FIELDS.items():
        assert getattr(_native, f"VTCR_{name.upper()}_SHIFT") == low


@pytest.mark.parametrize(
    ("granule", "lpa2", "ps", "ds"),
    [(4 * KIB, False, 5, 0), (4 * KIB, True, 6, 1), (16 * KIB, False, 5, 0), (16 * KIB, True, 6, 1),
     (64 * KIB, False, 6, 0), (64 * KIB, True, 6, 0)],
)
def test_52_bit_hosts(granule, lpa2, ps, ds):
    fields = _native.decode_vtcr(_native.vtcr_el2(40, granule, parange=6, lpa2=lpa2))
    assert (fields["ps"], fields["ds"]) == (ps, ds)


@pytest.mark.parametrize(
    ("bits", "granule", "parange", "lpa2", "limit"),
    [(41, 4 * KIB, 2, False, 40), (52, 4 * KIB, 6, False, 48), (49, 16 * KIB, 6, False, 48),
     (52, 64 * KIB, 5, False, 48), (45, 4 * KIB, 4, True, 44)],
)
def test_no_vtcr_for_a_guest_too_large(bits, granule, parange, lpa2, limit):
    with pytest.raises(ConfigError, match=f"ipa_bits {bits}: this host's limit is {limit}"):
        _native.vtcr_el2(bits, granule, parange=parange, lpa2=lpa2)


def test_decoding_keeps_every_bit():
    fields = _native.decode_vtcr(U64_MAX)
    assert fields["other"] == U64_MAX & ~sum(
        (2**width - 1) << low for low, width in _native.VTCR_FIELDS.values())
    assert all(fields[name] == 2**width - 1 for name, (_, width) in _native.VTCR_FIELDS.items())


# --- the oracle: the same rules in other words ----------------------------------------------

def oracle_geometry(bits, granule):
    """Start with one level and add levels until the first one needs 16 tables at most."""
    page_shift = granule.bit_length() - 1
    levels = 2
    while bits - page_shift - levels * (page_shift - 3) > 4:
        levels += 1
    index = bits - page_shift - (levels - 1) * (page_shift - 3)
    tables = max(1, 2**index * 8 // granule)
    return bits, granule, levels, 4 - levels, index, tables, tables * granule


def oracle_native_limit(parange, page_size, lpa2):
    if page_size != 64 * KIB and not lpa2:
        parange = min(parange, 5)
    return PARANGES.get(parange, 52)


def oracle_vtcr(bits, granule, parange, vmid16, hw_af, lpa2):
    """The register written as text, field by field from bit 32 down."""
    _, _, _, start, *_ = oracle_geometry(bits, granule)
    sl0 = (2 if granule == 4 * KIB else 3) - start
    tg0 = {4 * KIB: "00", 16 * KIB: "10", 64 * KIB: "01"}[granule]
    ps = min(parange, 6 if lpa2 or granule == 64 * KIB else 5)
    ds = lpa2 and granule != 64 * KIB
    high = f"{ds:b} 1 000000000 {hw_af:b} 0 {vmid16:b} {ps:03b}"
    low = f"{tg0} 11 01 01 {sl0:02b} {64 - bits:06b}"
    return int((high + low).replace(" ", ""), 2)


# --- random inputs: scalar, vector and oracle agree -----------------------------------------

# Registers at random, and with each bit as likely set as not; the latter shrink bit by bit.
REGISTERS = st.one_of(
    st.integers(0, U64_MAX), st.integers(0, 300),
    st.sets(st.integers(0, 63)).map(lambda bits: sum(1 << bit for bit in bits)),
)


def rows(*columns):
    """A few rows of these columns."""
    return st.lists(st.tuples(*columns), min_size=1, max_size=20)


@given(rows(st.integers(32, 52), st.sampled_from(GRANULES)))
def test_random_geometries(cases):
    whole = _native.stage2_geometry(*zip(*cases, strict=True))
    for row, case in zip(whole, cases, strict=True):
        assert row == _native.stage2_geometry(*case)
        assert row.tolist() == oracle_geometry(*case)


@given(rows(st.integers(0, 15), st.sampled_from(GRANULES)), st.booleans())
def test_random_native_limits(agree, cases, lpa2):
    agree(lambda parange, size: _native.native_ipa_limit(parange, page_size=size, lpa2=lpa2),
          lambda parange, size: oracle_native_limit(parange, size, lpa2), cases)


@given(rows(st.integers(0, 20), st.sampled_from(GRANULES), st.integers(0, 15)), st.booleans(),
       st.booleans(), st.booleans())
def test_random_vtcr(agree, cases, vmid16, hw_af, lpa2):
    def legal(below, granule, parange):
        return max(32, oracle_native_limit(parange, granule, lpa2) - below), granule, parange

    agree(
        lambda bits, granule, parange: _native.vtcr_el2(
            bits, granule, parange=parange, vmid16=vmid16, hw_af=hw_af, lpa2=lpa2),
        lambda *case: oracle_vtcr(*case, vmid16, hw_af, lpa2), [legal(*case) for case in cases],
    )


@given(rows(REGISTERS))
def test_random_decoding(cases):
    values = [value for value, in cases]
    whole = _native.decode_vtcr(np.array(values, dtype=np.uint64))
    for i, value in enumerate(values):
        fields = _native.decode_vtcr(value)
        assert fields == {name: int(column[i]) for name, column in whole.items()}
        rebuilt = fields.pop("other")
        for name, field in fields.items():
            rebuilt += field << _native.VTCR_FIELDS[name][0]
        assert rebuilt == value
