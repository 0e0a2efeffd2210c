"""Sizes and limits of guest memory on s390, against the fact sheet and against plain Python.

The tables of fact sheet ipa.md are transcribed as data, section by section; its native ones are
in test_native.py, and what all the functions do with arguments is in test_arguments.py. The
oracle in the middle of this file says the same rules again in other words, for random inputs.
"""

import errno
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmap import _ipa
from gmap._defs import CRSTE_HOLE, MMU_CACHE_CRSTS, MMU_CACHE_PTS, Level
from gmap.errors import ConfigError

EINVAL = -errno.EINVAL
KIB, MIB, GIB, TIB, PIB = (1 << shift for shift in (10, 20, 30, 40, 50))
U64_MAX = 2**64 - 1
POSTED = ("v1", "v4")
WITHOUT_PA_RANGE = ("v1", "v4", "queued")
PA_RANGES = (32, 36, 40, 42, 44, 48)


@pytest.fixture(autouse=True, scope="module")
def default_warned_about():
    """The warning about a refused default has been given, but for the tests of it."""
    before = _ipa._warned_of_default
    _ipa._warned_of_default = True
    yield
    _ipa._warned_of_default = before


def create_vm(vm_type, hamaxpow=48, revision="queued"):
    """What the sheet calls CREATE_VM: the shift, or -EINVAL."""
    limit = _ipa.ipa_limit(hamaxpow, revision=revision)
    return _ipa.ipa_shift(vm_type, ipa_limit=limit, errors="status")


# --- section 1: the VM type -----------------------------------------------------------------

@pytest.mark.parametrize("bit", range(8, 64))
def test_bits_outside_the_size_are_refused(bit):
    assert _ipa.ipa_shift(1 << bit | 40, errors="status") == EINVAL
    with pytest.raises(ConfigError, match="bits outside 0xff"):
        _ipa.ipa_shift(1 << bit | 40)


def test_protected_vm_is_named_in_the_message():
    with pytest.raises(ConfigError, match="bit 31, protected VM"):
        _ipa.ipa_shift(1 << 31)


@pytest.mark.parametrize(
    ("vm_type", "shift"),
    [(0, 40), (0x28, 40), (0x20, 32), (0x30, 48), (33, 33), (37, 37), (41, 41)],
)
def test_accepted_types(vm_type, shift):
    assert _ipa.ipa_shift(vm_type) == shift
    assert _ipa.guest_phys_size(shift) == 2**shift


@pytest.mark.parametrize("limit", [31, 32, 36, 39, 40, 44, 48, 63])
def test_any_value_from_32_to_the_limit_works(limit):
    answers = _ipa.ipa_shift(np.arange(1, 256), ipa_limit=limit, errors="status")
    expected = [n if 32 <= n <= limit else EINVAL for n in range(1, 256)]
    assert answers.tolist() == expected


@pytest.mark.parametrize(("limit", "expected"), [(39, EINVAL), (40, 40), (41, 40)])
def test_default_is_40_bits_where_the_limit_allows(limit, expected):
    assert _ipa.ipa_shift(0, ipa_limit=limit, errors="status") == expected


@pytest.mark.parametrize(
    ("vm_type", "limit", "message"),
    [
        (45, 44, r"VM type 0x2d asks for 45 bits, above the limit of 44: pass 32 to 44, "),
        (31, 44, r"VM type 0x1f asks for 31 bits, fewer than 32: pass 32 to 44, "),
        (0, 36, r"VM type 0x0 asks for the default of 40 bits, above the limit of 36: pass 32 to"),
        (0x128, 48, r"VM type 0x128 has bits outside 0xff: pass 32 to 48, "),
        (40, 31, r"above the limit of 31: a limit of 31 allows no VM at all"),
        (31, 0xFFFFFFFF, r"pass 32 to 255, "),
    ],
)
def test_refusal_names_the_value_and_the_remedy(vm_type, limit, message):
    with pytest.raises(ConfigError, match=message) as caught:
        _ipa.ipa_shift(vm_type, ipa_limit=limit)
    assert caught.value.errno == errno.EINVAL


def test_refused_array_names_the_first_and_counts():
    with pytest.raises(ConfigError, match=r"VM type 0x1f .* \(the first of 2 refused\)$"):
        _ipa.ipa_shift([40, 31, 33, 64])
    with pytest.raises(ConfigError, match=r"0x1f .* guest's size$"):
        _ipa.ipa_shift([40, 31, 33])


def test_refused_element_is_found_in_what_broadcasting_makes():
    with pytest.raises(ConfigError, match="asks for 44 bits, above the limit of 40"):
        _ipa.ipa_shift([[40], [44]], ipa_limit=[48, 40])


@pytest.mark.parametrize("errors", ["ignore", None, 1])
def test_errors_argument(errors):
    with pytest.raises(ConfigError, match="use 'raise' or 'status'"):
        _ipa.ipa_shift(40, errors=errors)


@pytest.mark.parametrize(
    ("vm_type", "limit"), [(0, 36), ([40, 0], 36), ([0, 0], [40, 39])], ids=repr
)
def test_refused_default_warns_once_in_a_process(vm_type, limit, monkeypatch):
    monkeypatch.setattr(_ipa, "_warned_of_default", False)
    with warnings.catch_warnings(record=True) as given_warnings:
        warnings.simplefilter("always")
        for _ in range(2):
            _ipa.ipa_shift(vm_type, ipa_limit=limit, errors="status")
    warning, = given_warnings
    assert warning.category is RuntimeWarning
    assert "default IPA size of 40 bits" in str(warning.message)
    assert "upgrade your VMM" in str(warning.message)
    assert warning.filename == __file__


def test_refused_default_raises_after_it_warns(monkeypatch):
    monkeypatch.setattr(_ipa, "_warned_of_default", False)
    with pytest.warns(RuntimeWarning, match="default IPA size"), pytest.raises(ConfigError):
        _ipa.ipa_shift(0, ipa_limit=36)


@pytest.mark.parametrize(("vm_type", "limit"), [(0, 40), (36, 36), (44, 40), ([36, 44], 40)])
def test_nothing_else_warns(vm_type, limit, monkeypatch):
    monkeypatch.setattr(_ipa, "_warned_of_default", False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _ipa.ipa_shift(vm_type, ipa_limit=limit, errors="status")
    assert not _ipa._warned_of_default


# --- section 2: the host --------------------------------------------------------------------

UNLIMITED_MAX = 0xFFFFFFFFBFFFFFFF
HOSTS = [   # hamaxpow, last guest address, limit
    *((pow_, UNLIMITED_MAX, 63) for pow_ in (0, 64, 65, 128, 255)),
    (30, 0x3FFFFFFF, 30),
    (31, 0x7FFFFFFF, 31),
    (36, 0xFFFFFFFFF, 36),
    (40, 0xFFFFFFFFFF, 40),
    (42, 0x3FFFFFFFFFF, 42),
    (44, 0xFFFFFFFFFFF, 44),
    (48, 0xFFFFFFFFFFFF, 48),
    (53, 0x1FFFFFFFFFFFFF, 53),
    (63, 0x7FFFFFFFFFFFFFFF, 63),
]


@pytest.mark.parametrize("revision", WITHOUT_PA_RANGE)
@pytest.mark.parametrize(("hamaxpow", "last", "limit"), HOSTS)
def test_host_table(hamaxpow, last, limit, revision):
    assert _ipa.max_guest_address(hamaxpow, revision=revision) == last
    assert _ipa.ipa_limit(hamaxpow, revision=revision) == limit
    assert _ipa.cap_ipa_size(hamaxpow, revision=revision) == limit


@pytest.mark.parametrize("pa_range", PA_RANGES)
@pytest.mark.parametrize(("hamaxpow", "last", "limit"), HOSTS)
def test_sysreg_is_bounded_by_the_physical_address_range_too(hamaxpow, last, limit, pa_range):
    options = {"revision": "sysreg", "pa_range": pa_range}
    assert _ipa.max_guest_address(hamaxpow, **options) == min(last, 2**pa_range - 1)
    assert _ipa.ipa_limit(hamaxpow, **options) == min(limit, pa_range) <= 48


@pytest.mark.parametrize("hamaxpow", range(1, 30))
def test_less_than_a_gib(hamaxpow):
    for revision in POSTED:
        assert _ipa.max_guest_address(hamaxpow, revision=revision) == U64_MAX
        assert _ipa.ipa_limit(hamaxpow, revision=revision) == 0xFFFFFFFF
    assert _ipa.max_guest_address(hamaxpow) == 0x3FFFFFFF
    assert _ipa.ipa_limit(hamaxpow) == 30
    assert _ipa.ipa_limit(hamaxpow, revision="sysreg", pa_range=48) == 30


def test_unlimited_host_loses_its_topmost_gib():
    task_size_max = 2**64 - 4 * KIB
    assert task_size_max == 0xFFFFFFFFFFFFF000
    assert (task_size_max + 1) // GIB * GIB - 1 == UNLIMITED_MAX == _ipa.max_guest_address(0)


@pytest.mark.parametrize("hamaxpow", [30, 31])
def test_no_vm_below_32_bits(hamaxpow):
    types = np.arange(256)
    assert (create_vm(types, hamaxpow) == EINVAL).all()


def test_revisions():
    assert _ipa.REVISIONS == ("v1", "v4", "queued", "sysreg")
    for hamaxpow in (0, 20, 44):
        assert _ipa.max_guest_address(hamaxpow) == _ipa.max_guest_address(
            hamaxpow, revision="queued")


# --- section 3: limits of a VM --------------------------------------------------------------

@pytest.mark.parametrize("bits", [32, 40, 44])
@pytest.mark.parametrize("hamaxpow", [44, 48, 0])
def test_limits_table(bits, hamaxpow):
    host_last = _ipa.max_guest_address(hamaxpow)
    host_end = 1 << _ipa.ipa_limit(hamaxpow)
    for revision, mem_limit in [("v1", host_last), ("v4", host_last), ("queued", 1 << bits)]:
        limits = _ipa.vm_limits(bits, hamaxpow=hamaxpow, revision=revision)
        assert limits.dtype == _ipa.VM_LIMITS
        assert limits.tolist() == (1 << bits, mem_limit, mem_limit, 0, host_end, 1 << bits)
    limits = _ipa.vm_limits(bits, hamaxpow=hamaxpow, revision="sysreg", pa_range=42)
    assert limits.tolist() == (1 << bits, 1 << bits, 1 << bits, 0, 1 << 42, 1 << bits)


@pytest.mark.parametrize("revision", POSTED)
def test_slot_beyond_guest_size_is_accepted_but_unreachable(revision):
    options = {"ipa_bits": 40, "hamaxpow": 44, "revision": revision}
    assert _ipa.slot_fits(TIB, GIB, **options) == 0
    assert _ipa.fault_limit([TIB, TIB + GIB - 1], **options).tolist() == [2, 2]


def test_slot_beyond_guest_size_is_refused_when_queued():
    assert _ipa.slot_fits(TIB, GIB, ipa_bits=40, hamaxpow=44) == EINVAL


@pytest.mark.parametrize("revision", POSTED)
def test_any_end_below_the_inclusive_limit_is_fine(revision):
    options = {"ipa_bits": 44, "hamaxpow": 44, "revision": revision}
    assert _ipa.slot_fits(16 * TIB - GIB, GIB, **options) == EINVAL
    assert _ipa.slot_fits(16 * TIB - GIB, GIB - MIB, **options) == 0


@pytest.mark.parametrize(
    ("base", "nbytes"),
    [
        (0, 0), (1, 4 * KIB), (4 * KIB, 4097), (2048, 4 * KIB), (2**64 - 4 * KIB, 4 * KIB),
        (2**64 - 4 * KIB, 8 * KIB), (4 * KIB, 2**64 - 4 * KIB), (0, 2**64 - 4 * KIB),
    ],
)
@pytest.mark.parametrize("revision", WITHOUT_PA_RANGE)
def test_slots_no_kvm_accepts(base, nbytes, revision):
    assert _ipa.slot_fits(base, nbytes, ipa_bits=63, hamaxpow=0, revision=revision) == EINVAL


@pytest.mark.parametrize("pages", [1, 255, 256, 257])
def test_only_v1_and_v2_want_whole_mebibytes(pages):
    nbytes = pages * 4 * KIB
    assert _ipa.slot_fits(0, nbytes, ipa_bits=40, revision="v1") == (EINVAL if pages % 256 else 0)
    assert _ipa.slot_fits(0, nbytes, ipa_bits=40, revision="v4") == 0
    assert _ipa.slot_fits(0, nbytes, ipa_bits=40) == 0
    assert _ipa.slot_fits(4 * KIB, MIB, ipa_bits=40, revision="v1") == 0


def test_the_rule_about_the_asce_came_with_v4():
    slot = {"base_gpa": 8 * PIB, "nbytes": GIB, "ipa_bits": 41, "hamaxpow": 0}
    assert _ipa.asce_last_address(_ipa.gmap_type(41, revision="v1")) < slot["base_gpa"]
    assert _ipa.slot_fits(**slot, revision="v1") == 0
    assert _ipa.slot_fits(**slot, revision="v4") == EINVAL


@pytest.mark.parametrize("bits", [42, 53])
@pytest.mark.parametrize("revision", ["v4", "queued"])
def test_a_slot_may_end_with_the_asce(bits, revision):
    end = _ipa.asce_last_address(_ipa.gmap_type(bits)) + 1
    options = {"ipa_bits": bits, "hamaxpow": 60, "revision": revision}
    assert end == 2**bits
    assert _ipa.slot_fits(end - GIB, GIB, **options) == 0
    assert _ipa.slot_fits(end - GIB, GIB + 4 * KIB, **options) == EINVAL


MSL_CASES = [   # meaning, offset from 1 GiB of the first byte stopped when msl is 1 GiB
    ("exclusive", 0),
    ("inclusive", 1),
    ("block", MIB),
]


@pytest.mark.parametrize(("meaning", "offset"), MSL_CASES)
def test_meanings_of_the_main_storage_limit(meaning, offset):
    first = GIB + offset
    got = _ipa.msl_intercept([0, first - 1, first, U64_MAX], GIB, meaning=meaning)
    assert got.tolist() == [0, 0, 6, 6]
    assert _ipa.msl_intercept(first, GIB, meaning=meaning) == 6


@pytest.mark.parametrize(
    ("revision", "meaning"), [("v1", "inclusive"), ("v4", "inclusive"), ("queued", "exclusive")]
)
def test_main_storage_limit_of_a_revision_in_its_own_meaning(revision, meaning):
    end = 16 * TIB      # of the host's addresses and of the guest
    msl = _ipa.vm_limits(44, hamaxpow=44, revision=revision)["msl"]
    assert _ipa.msl_intercept([end - 1, end], msl, meaning=meaning).tolist() == [0, 6]


# --- section 4: the gmap's table type -------------------------------------------------------

COVERS = {
    Level.SEGMENT: 2 * GIB, Level.REGION3: 4 * TIB, Level.REGION2: 8 * PIB, Level.REGION1: 2**64,
}
GMAP_TYPES = [  # IPA bits, type, type in v1 and v2
    (32, Level.REGION3, Level.REGION2),
    (36, Level.REGION3, Level.REGION2),
    (40, Level.REGION3, Level.REGION2),
    (41, Level.REGION3, Level.REGION2),
    (42, Level.REGION3, Level.REGION1),
    *((bits, Level.REGION2, Level.REGION1) for bits in (*range(43, 49), 52, 53)),
    *((bits, Level.REGION1, Level.REGION1) for bits in range(54, 64)),
]


@pytest.mark.parametrize(("bits", "right", "first"), GMAP_TYPES)
def test_type_table(bits, right, first):
    for revision, expected in [("v1", first), ("v4", right), ("queued", right), ("sysreg", right)]:
        got = _ipa.gmap_type(bits, revision=revision)
        assert got is expected
        assert _ipa.asce_last_address(got) == COVERS[expected] - 1 >= 2**bits - 1


def test_42_bits_fill_their_asce_exactly():
    assert _ipa.asce_last_address(_ipa.gmap_type(42)) == 2**42 - 1


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (0, Level.REGION1),
        (1, Level.SEGMENT), (2**19, Level.SEGMENT),
        (2**19 + 1, Level.REGION3), (2**30, Level.REGION3),
        (2**30 + 1, Level.REGION2), (2**41, Level.REGION2),
        (2**41 + 1, Level.REGION1), (U64_MAX, Level.REGION1),
    ],
)
def test_limit_to_type(limit, expected):
    assert _ipa.table_type(limit) is expected


def test_no_arm64_guest_has_a_segment_table_on_top():
    assert (_ipa.gmap_type(np.arange(32, 64)) > Level.SEGMENT).all()


@pytest.mark.parametrize(
    ("top", "control", "hole"),
    [
        (Level.SEGMENT, 0x1C3, 0x0001000500000020),
        (Level.REGION3, 0x1C7, 0x0001000500000024),
        (Level.REGION2, 0x1CB, 0x0001000500000028),
        (Level.REGION1, 0x1CF, 0x000100050000002C),
    ],
)
def test_fresh_asce_and_the_holes_below_it(top, control, hole):
    assert _ipa.asce_control_bits(top) == control == 0x1C3 | top << 2
    assert CRSTE_HOLE | top << 2 == hole


# --- section 5: what user space sees --------------------------------------------------------

@pytest.mark.parametrize("revision", WITHOUT_PA_RANGE)
def test_summary(revision):
    assert _ipa.cap_ipa_size(44, revision=revision) == 44
    assert create_vm(0, 36, revision) == EINVAL
    assert create_vm(45, 44, revision) == EINVAL
    assert create_vm(31, 44, revision) == EINVAL


# --- section 8: s390 levels -----------------------------------------------------------------

@pytest.mark.parametrize(
    ("row", "level", "high", "low", "entries", "covers"),
    [
        (0, Level.REGION1, 63, 53, 2048, 8 * PIB),
        (1, Level.REGION2, 52, 42, 2048, 4 * TIB),
        (2, Level.REGION3, 41, 31, 2048, 2 * GIB),
        (3, Level.SEGMENT, 30, 20, 2048, MIB),
        (4, Level.PAGE, 19, 12, 256, 4 * KIB),
    ],
)
def test_level_table(row, level, high, low, entries, covers):
    assert _ipa.DAT_LEVELS[row].tolist() == (level, high, low, entries, covers)


def test_level_table_is_read_only():
    assert len(_ipa.DAT_LEVELS) == 5
    with pytest.raises(ValueError, match="read-only"):
        _ipa.DAT_LEVELS["covers"][0] = 1


# --- section 9: table memory ----------------------------------------------------------------

def test_memory_of_tables():
    top, segment_table, page_table = 16 * KIB, 16 * KIB, 4 * KIB
    for nbytes in (2 * GIB, 16 * GIB, TIB, 4 * TIB):
        page_tables = nbytes // MIB * page_table
        assert page_tables / nbytes == pytest.approx(0.0039, abs=1e-5)
        segment_tables = nbytes // (2 * GIB) * segment_table
        assert _ipa.table_bytes(nbytes, 42) == top + segment_tables + page_tables


@pytest.mark.parametrize(
    ("nbytes", "bits", "region1", "region2", "region3", "segment", "page"),
    [   # tables of each type, top ones included
        (0, 40, 0, 0, 1, 0, 0),
        (1, 40, 0, 0, 1, 1, 1),
        (MIB, 40, 0, 0, 1, 1, 1),
        (MIB + 1, 40, 0, 0, 1, 1, 2),
        (2 * GIB, 40, 0, 0, 1, 1, 2048),
        (2 * GIB + 4 * KIB, 40, 0, 0, 1, 2, 2049),
        (0, 43, 0, 1, 0, 0, 0),
        (4 * TIB, 43, 0, 1, 1, 2048, 4 * MIB),
        (8 * TIB, 43, 0, 1, 2, 4096, 8 * MIB),
        (4 * KIB, 63, 1, 1, 1, 1, 1),
        (2**63, 63, 1, 1024, 2**21, 2**32, 2**43),
    ],
)
def test_tables_counted(nbytes, bits, region1, region2, region3, segment, page):
    crsts = region1 + region2 + region3 + segment
    assert _ipa.table_bytes(nbytes, bits) == crsts * 16 * KIB + page * 4 * KIB


def test_worst_fault_allocates_three_region_or_segment_tables_and_a_page_table():
    worst = _ipa.table_bytes(4 * KIB, 63) - _ipa.table_bytes(0, 63)
    assert worst == 3 * 16 * KIB + 4 * KIB
    assert (MMU_CACHE_CRSTS, MMU_CACHE_PTS) == (6, 2)


def test_no_more_is_mapped_than_the_guest_has():
    assert _ipa.table_bytes(TIB, 40) > 0
    with pytest.raises(ConfigError, match="nbytes 0x10000000001: the guest has 0x10000000000"):
        _ipa.table_bytes(TIB + 1, 40)
    with pytest.raises(ConfigError, match=r"nbytes 0x20000000000: .* \(the first of 2 refused\)"):
        _ipa.table_bytes([0, 2 * TIB, 3 * TIB], [40, 40, 41])


# --- section 10: traps ----------------------------------------------------------------------

def test_trap_1_highest_slot_is_refused():
    slot = {"base_gpa": 16 * TIB - GIB, "nbytes": GIB, "ipa_bits": 44, "hamaxpow": 44}
    assert _ipa.slot_fits(**slot, revision="v1") == EINVAL
    assert _ipa.slot_fits(**slot, revision="v4") == EINVAL
    assert _ipa.slot_fits(**slot) == 0


def test_trap_2_bytes_for_frames_cost_a_level_and_its_table():
    assert _ipa.gmap_type(40, revision="v1") == _ipa.gmap_type(40) + 1
    assert _ipa.table_bytes(GIB, 40, revision="v1") == _ipa.table_bytes(GIB, 40) + 16 * KIB


def test_trap_3_unlimited_is_63_bits():
    assert _ipa.ipa_limit(0) == 63
    assert _ipa.ipa_limit(0, revision="sysreg", pa_range=48) == 48
    assert create_vm(63, 0) == 63
    assert _ipa.guest_phys_size(63) == 0x8000000000000000 == _ipa.vm_limits(63)["mem_limit"]
    assert _ipa.gmap_type(63) is Level.REGION1
    assert _ipa.slot_fits(2**63 - GIB, GIB, ipa_bits=63, hamaxpow=0) == 0
    assert _ipa.slot_fits(2**64 - GIB, GIB, ipa_bits=63, hamaxpow=0) == EINVAL


@pytest.mark.parametrize("revision", POSTED)
def test_trap_4_small_hosts_of_v1_to_v4(revision):
    assert _ipa.cap_ipa_size(29, revision=revision) == -errno.EPERM
    types = np.arange(256)
    assert create_vm(types[32:], 29, revision).tolist() == types[32:].tolist()
    assert (create_vm(types[1:32], 29, revision) == EINVAL).all()
    assert create_vm(0, 29, revision) == 40
    # An s390 shifts by the low six bits: 64 by 0, and the limit 0xffffffff by 63.
    assert _ipa.guest_phys_size([63, 64, 104, 255], revision=revision).tolist() == [
        2**63, 1, 2**40, 2**63]
    limits = _ipa.vm_limits(40, hamaxpow=29, revision=revision)
    assert limits["mem_limit"] == U64_MAX
    assert limits["fault_limit_1"] == 2**63


@pytest.mark.parametrize("revision", ["queued", "sysreg"])
def test_trap_4_is_gone(revision):
    with pytest.raises(ConfigError, match="ipa_bits 64: use 32 to 63"):
        _ipa.guest_phys_size(64, revision=revision)


def test_trap_5_guest_size_is_a_limit_for_comparisons_only():
    assert _ipa.asce_last_address(_ipa.gmap_type(40)) > _ipa.guest_phys_size(40)


def test_trap_6_default_fails_on_a_36_bit_host():
    assert create_vm(0, 36) == EINVAL
    assert create_vm(36, 36) == 36


def test_trap_7_equal_to_a_limit_is_out_of_range():
    addresses = [TIB - 1, TIB, 16 * TIB - 1, 16 * TIB]
    for revision in WITHOUT_PA_RANGE:
        got = _ipa.fault_limit(addresses, ipa_bits=40, hamaxpow=44, revision=revision)
        assert got.tolist() == [0, 2, 2, 1]
    options = {"ipa_bits": 40, "hamaxpow": 48, "revision": "sysreg"}
    assert _ipa.fault_limit(addresses, pa_range=44, **options).tolist() == [0, 2, 2, 1]
    assert _ipa.fault_limit(addresses, pa_range=40, **options).tolist() == [0, 1, 1, 1]


def test_trap_8_protection_faults_meet_no_limit():
    got = _ipa.fault_limit([0, TIB, U64_MAX], ipa_bits=40, translation=False)
    assert got.tolist() == [0, 0, 0]
    assert _ipa.fault_limit(U64_MAX, ipa_bits=40, translation=False) == 0


def test_trap_9_limit_is_a_function_of_its_inputs():
    assert {_ipa.ipa_limit(44) for _ in range(3)} == {44}


# Trap 10, a capability that is not answered, is for whoever answers KVM_CHECK_EXTENSION.


# --- section 11: test vectors ---------------------------------------------------------------

CREATE_VM = [   # VM type, hamaxpow, expected
    (0, 44, 40),
    (31, 48, EINVAL),
    (32, 48, 32),
    (44, 44, 44),
    (45, 44, EINVAL),
    (0x128, 48, EINVAL),
    (0x80000028, 48, EINVAL),
    (0, 36, EINVAL),
    (36, 36, 36),
]


@pytest.mark.parametrize("revision", WITHOUT_PA_RANGE)
@pytest.mark.parametrize(("vm_type", "hamaxpow", "expected"), CREATE_VM)
def test_vectors_of_create_vm(vm_type, hamaxpow, expected, revision):
    assert create_vm(vm_type, hamaxpow, revision) == expected


@pytest.mark.parametrize(
    ("bits", "size", "top", "control"),
    [(40, 0x10000000000, Level.REGION3, 0x1C7), (32, 0x100000000, Level.REGION3, 0x1C7),
     (44, 0x100000000000, Level.REGION2, 0x1CB)],
)
def test_vectors_of_what_is_created(bits, size, top, control):
    for revision in ("v4", "queued"):
        assert _ipa.guest_phys_size(bits, revision=revision) == size
        assert _ipa.gmap_type(bits, revision=revision) is top
    assert _ipa.asce_control_bits(top) & 0xFFF == control


SLOTS = [   # base, bytes, IPA bits, hamaxpow, revision, expected
    (0, TIB, 40, 44, "queued", 0),
    (0, TIB, 40, 44, "v4", 0),
    (16 * TIB - GIB, GIB, 44, 44, "v4", EINVAL),
    (16 * TIB - GIB, GIB, 44, 44, "queued", 0),
    *((0, 8 * TIB, 44, 48, revision, EINVAL) for revision in WITHOUT_PA_RANGE),
    (TIB, GIB, 40, 44, "v4", 0),
    (TIB, GIB, 40, 44, "queued", EINVAL),
    *((4 * TIB, GIB, 40, pow_, "v4", EINVAL) for pow_ in (42, 43, 44, 48)),
    *((4 * TIB, GIB, 40, pow_, "queued", EINVAL) for pow_ in (42, 43, 44, 48)),
    *((4 * TIB, GIB, 40, pow_, "v1", 0) for pow_ in (43, 44, 48)),
    (4 * TIB, GIB, 40, 42, "v1", EINVAL),
]


@pytest.mark.parametrize(("base", "nbytes", "bits", "hamaxpow", "revision", "expected"), SLOTS)
def test_vectors_of_slots(base, nbytes, bits, hamaxpow, revision, expected):
    got = _ipa.slot_fits(base, nbytes, ipa_bits=bits, hamaxpow=hamaxpow, revision=revision)
    assert got == expected


def test_largest_slot_is_one_page_less():
    assert 8 * TIB // (4 * KIB) == 2**31
    assert _ipa.slot_fits(0, 8 * TIB - 4 * KIB, ipa_bits=44) == 0


# --- the oracle: the same rules in other words ----------------------------------------------

def oracle_shift(vm_type, limit):
    if vm_type == 0:
        return 40 if limit >= 40 else EINVAL
    return vm_type if vm_type in range(32, min(limit, 255) + 1) else EINVAL


def oracle_max(hamaxpow, revision, pa_range):
    candidates = [2**64 - 4096]
    if hamaxpow in range(1, 64):
        candidates.append(2**hamaxpow - 1)
    if revision == "sysreg":
        candidates.append(2**pa_range)
    gibs = (min(candidates) + 1) // GIB
    if revision in ("queued", "sysreg"):
        gibs = max(gibs, 1)
    return (gibs * GIB - 1) % 2**64


def oracle_limit(hamaxpow, revision, pa_range):
    return (((oracle_max(hamaxpow, revision, pa_range) + 1) % 2**64).bit_length() - 1) % 2**32


def oracle_cap(hamaxpow, revision, pa_range):
    limit = oracle_limit(hamaxpow, revision, pa_range)
    return limit if limit < 2**31 else limit - 2**32


def oracle_type(gfns):
    levels = [level for level in Level if level != Level.PAGE]
    return min((level for level in levels if 0 < gfns * 4096 <= COVERS[level]),
               default=Level.REGION1)


def oracle_gmap_type(bits, revision):
    size = 2 ** (bits % 64)
    return oracle_type(size if revision == "v1" else size // 4096)


def oracle_slot(base, nbytes, bits, hamaxpow, revision, pa_range):
    end = base + nbytes
    mem_limit = 2 ** (bits % 64)
    if revision in POSTED:
        mem_limit = oracle_max(hamaxpow, revision, pa_range)
    good = [
        base % 4096 == 0, nbytes % 4096 == 0, 0 < nbytes < 2**43, end < 2**64, end <= mem_limit,
        nbytes % MIB == 0 or revision != "v1",
        end <= COVERS[oracle_gmap_type(bits, revision)] or revision == "v1",
    ]
    return 0 if all(good) else EINVAL


def oracle_fault_limit(ipa, bits, hamaxpow, revision, pa_range):
    host_bits = pa_range if revision == "sysreg" else oracle_limit(hamaxpow, revision, None) % 64
    if ipa.bit_length() > host_bits:
        return 1
    return 2 if ipa.bit_length() > bits % 64 else 0


def oracle_table_bytes(nbytes, top):
    def touched(size):
        return -(-nbytes // size)
    lower = sum(touched(COVERS[level]) for level in COVERS if level < top)
    return 16384 * (1 + lower) + 4096 * touched(MIB)


# --- random inputs: scalar, vector and oracle agree -----------------------------------------

# Values near powers of two and small ones are where the rules change their mind.
U64 = st.one_of(
    st.integers(0, U64_MAX),
    st.integers(0, 300),
    st.builds(lambda shift, delta: max(0, min((1 << shift) + delta, U64_MAX)),
              st.integers(0, 64), st.integers(-4096, 4096)),
)
PAGES = st.one_of(
    U64.map(lambda value: value & ~0xFFF),
    st.builds(lambda shift, delta: (1 << shift) + delta * 4096,
              st.integers(20, 63), st.integers(-256, 256)),
)
HAMAXPOW = st.one_of(st.integers(0, 70), st.integers(0, 255))
VM_BITS = st.integers(32, 63)


@st.composite
def revisions(draw):
    """A revision with the pa_range it takes."""
    revision = draw(st.sampled_from(_ipa.REVISIONS))
    return revision, draw(st.sampled_from(PA_RANGES)) if revision == "sysreg" else None


def rows(*columns):
    """A few rows of these columns."""
    return st.lists(st.tuples(*columns), min_size=1, max_size=20)


@given(rows(U64, st.one_of(st.integers(0, 70), st.integers(0, 2**32 - 1))))
def test_random_vm_types(agree, cases):
    agree(lambda vm_type, limit: _ipa.ipa_shift(vm_type, ipa_limit=limit, errors="status"),
          oracle_shift, cases)


@given(rows(HAMAXPOW), revisions())
def test_random_hosts(agree, cases, chosen):
    revision, pa_range = chosen
    options = {"revision": revision, "pa_range": pa_range}
    agree(_ipa.max_guest_address, lambda pow_: oracle_max(pow_, *chosen), cases, **options)
    agree(_ipa.ipa_limit, lambda pow_: oracle_limit(pow_, *chosen), cases, **options)
    agree(_ipa.cap_ipa_size, lambda pow_: oracle_cap(pow_, *chosen), cases, **options)


@given(rows(st.sampled_from(PA_RANGES), HAMAXPOW))
def test_random_physical_address_ranges(agree, cases):
    agree(lambda pa, pow_: _ipa.max_guest_address(pow_, revision="sysreg", pa_range=pa),
          lambda pa, pow_: oracle_max(pow_, "sysreg", pa), cases)


@given(rows(U64))
def test_random_limits_in_frames(agree, cases):
    agree(_ipa.table_type, oracle_type, cases)


@given(rows(VM_BITS), st.sampled_from(_ipa.REVISIONS))
def test_random_gmap_types(agree, cases, revision):
    agree(_ipa.gmap_type, lambda bits: oracle_gmap_type(bits, revision), cases, revision=revision)
    agree(_ipa.guest_phys_size, lambda bits: 2**bits, cases, revision=revision)


@given(rows(st.integers(32, 255)), st.sampled_from(POSTED))
def test_random_sizes_only_v1_to_v4_let_in(agree, cases, revision):
    agree(_ipa.gmap_type, lambda bits: oracle_gmap_type(bits, revision), cases, revision=revision)
    agree(_ipa.guest_phys_size, lambda bits: 2 ** (bits % 64), cases, revision=revision)


@given(rows(st.integers(0, 3)))
def test_random_table_types(agree, cases):
    agree(_ipa.asce_control_bits, lambda top: 0x1C3 + 4 * top, cases)
    agree(_ipa.asce_last_address, lambda top: COVERS[Level(top)] - 1, cases)


@given(rows(PAGES, st.one_of(PAGES, st.sampled_from([4096, MIB, GIB])), VM_BITS, HAMAXPOW),
       revisions())
def test_random_slots(agree, cases, chosen):
    revision, pa_range = chosen
    agree(
        lambda base, nbytes, bits, pow_: _ipa.slot_fits(
            base, nbytes, ipa_bits=bits, hamaxpow=pow_, revision=revision, pa_range=pa_range),
        lambda *case: oracle_slot(*case, *chosen), cases,
    )


@given(rows(U64, VM_BITS, HAMAXPOW), revisions())
def test_random_faults(agree, cases, chosen):
    revision, pa_range = chosen
    agree(
        lambda ipa, bits, pow_: _ipa.fault_limit(
            ipa, ipa_bits=bits, hamaxpow=pow_, revision=revision, pa_range=pa_range),
        lambda *case: oracle_fault_limit(*case, *chosen), cases,
    )


@given(rows(U64, U64))
def test_random_main_storage_limits(agree, cases):
    agree(_ipa.msl_intercept, lambda ipa, msl: 6 * (ipa not in range(msl)), cases)
    agree(_ipa.msl_intercept, lambda ipa, msl: 6 * (ipa not in range(msl + 1)), cases,
          meaning="inclusive")
    agree(_ipa.msl_intercept, lambda ipa, msl: 6 * (ipa // MIB not in range(msl // MIB + 1)), cases,
          meaning="block")


@given(rows(st.integers(0, 2**63), VM_BITS), st.sampled_from(_ipa.REVISIONS))
def test_random_table_bytes(agree, cases, revision):
    cases = [(nbytes % (2**bits + 1), bits) for nbytes, bits in cases]
    agree(_ipa.table_bytes,
          lambda nbytes, bits: oracle_table_bytes(nbytes, oracle_gmap_type(bits, revision)),
          cases, revision=revision)


@given(rows(VM_BITS, HAMAXPOW), revisions())
def test_random_vm_limits(cases, chosen):
    revision, pa_range = chosen
    options = {"revision": revision, "pa_range": pa_range}
    bits, hamaxpow = zip(*cases, strict=True)
    whole = _ipa.vm_limits(bits, hamaxpow=hamaxpow, **options)
    for row, (shift, pow_) in zip(whole, cases, strict=True):
        assert row == _ipa.vm_limits(shift, hamaxpow=pow_, **options)
        host_bits = pa_range or oracle_limit(pow_, *chosen) % 64
        mem_limit = oracle_max(pow_, *chosen) if revision in POSTED else 2**shift
        assert row.tolist() == (2**shift, mem_limit, mem_limit, 0, 2**host_bits, 2**shift)
