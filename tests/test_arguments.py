"""What the functions of `gmap.ipa` have in common: their arguments, answers and documentation."""

import doctest
import threading
import time

import numpy as np
import pytest

import gmap
from gmap import _ipa, _native, ipa
from gmap._defs import Level
from gmap.errors import AddressError, AddressTypeError, ConfigError

U64_MAX = 2**64 - 1
POSTED = ("v1", "v4")
WITHOUT_PA_RANGE = ("v1", "v4", "queued")
GRANULES = (4096, 16384, 65536)
FUNCTIONS = [name for name in ipa.__all__ if callable(getattr(ipa, name)) and name.islower()]


def test_the_public_module_has_all_of_both():
    assert sorted(_ipa.__all__ + _native.__all__) == ipa.__all__
    for module in (_ipa, _native):
        assert all(getattr(ipa, name) is getattr(module, name) for name in module.__all__)
    assert (gmap.ipa_shift, gmap.ipa_limit) == (ipa.ipa_shift, ipa.ipa_limit)


# --- shapes and types -----------------------------------------------------------------------

def test_shapes_broadcast():
    got = ipa.slot_fits(np.zeros((3, 1), int), [4096, 8192], ipa_bits=40)
    assert got.shape == (3, 2)
    assert ipa.gmap_type(np.full((2, 3, 4), 40)).shape == (2, 3, 4)
    assert ipa.vm_limits([40, 41], hamaxpow=[[44], [48], [0]]).shape == (3, 2)
    assert ipa.stage2_geometry([[40]], GRANULES).shape == (1, 3)
    with pytest.raises(ValueError, match="broadcast"):
        ipa.slot_fits([0, 1, 2], [1, 2], ipa_bits=40)


@pytest.mark.parametrize("values", [[], np.empty((0, 3), np.uint64)], ids=["list", "array"])
def test_empty_arrays(values):
    shape = np.shape(values)
    assert ipa.ipa_shift(values).shape == shape
    assert ipa.stage2_geometry(values).shape == shape
    assert ipa.decode_vtcr(values)["t0sz"].shape == shape


@pytest.mark.parametrize(
    "values",
    [
        np.array([40, 44], dtype=">u8"), np.array([40, 44], np.int8), np.array([40, 44], np.uint16),
        np.array([40, 0, 44, 0], np.uint64)[::2], [np.uint64(40), 44], (40, 44), range(40, 45, 4),
    ],
    ids=repr,
)
def test_any_integer_array(values):
    assert ipa.ipa_shift(values).tolist() == [40, 44]


class Forty:
    """An integer to Python, though no int."""

    def __index__(self):
        return 40


@pytest.mark.parametrize("value", [40, np.uint8(40), np.int64(40), np.array(40), Forty()], ids=type)
def test_any_integer(value):
    got = ipa.ipa_shift(value)
    assert got == 40
    assert type(got) is int


@pytest.mark.parametrize(
    ("got", "dtype"),
    [
        (ipa.ipa_shift([40]), np.int32),
        (ipa.guest_phys_size([40]), np.uint64),
        (ipa.max_guest_address([40]), np.uint64),
        (ipa.ipa_limit([40]), np.uint32),
        (ipa.cap_ipa_size([40]), np.int32),
        (ipa.table_type([40]), np.int8),
        (ipa.gmap_type([40]), np.int8),
        (ipa.asce_control_bits([1]), np.uint64),
        (ipa.asce_last_address([1]), np.uint64),
        (ipa.vm_limits([40]), ipa.VM_LIMITS),
        (ipa.slot_fits([0], 4096, ipa_bits=40), np.int32),
        (ipa.fault_limit([0], ipa_bits=40), np.int32),
        (ipa.msl_intercept([0], 1), np.int32),
        (ipa.table_bytes([0], 40), np.uint64),
        (ipa.native_ipa_limit([5]), np.int32),
        (ipa.stage2_geometry([40]), ipa.STAGE2_GEOMETRY),
        (ipa.vtcr_el2([40], parange=5), np.uint64),
        (ipa.decode_vtcr([0])["other"], np.uint64),
    ],
    ids=lambda value: "" if isinstance(value, np.ndarray) else np.dtype(value).name,
)
def test_dtypes(got, dtype):
    assert got.dtype == dtype


def test_inputs_are_left_alone():
    values = np.array([40, 41], np.uint64)
    values.flags.writeable = False
    ipa.ipa_shift(values)
    ipa.decode_vtcr(values)
    assert values.tolist() == [40, 41]


def test_large_arrays_release_the_gil():
    """Another thread runs while a call is under way, in one of a few attempts at least."""
    values = np.broadcast_to(np.uint64(1 << 40), 20_000_000)

    def longest_pause():
        worker = threading.Thread(target=ipa.table_type, args=(values,))
        worker.start()
        start = last = time.perf_counter()
        pause = 0.0
        while worker.is_alive():
            now = time.perf_counter()
            pause, last = max(pause, now - last), now
        return pause / (last - start)

    assert min(longest_pause() for _ in range(5)) < 0.5


# --- what is refused ------------------------------------------------------------------------

INTEGERS = {    # every integer argument of every function
    "ipa_shift.vm_type": lambda x: ipa.ipa_shift(x),
    "ipa_shift.ipa_limit": lambda x: ipa.ipa_shift(40, ipa_limit=x),
    "guest_phys_size": lambda x: ipa.guest_phys_size(x),
    "max_guest_address.hamaxpow": lambda x: ipa.max_guest_address(x),
    "max_guest_address.pa_range":
        lambda x: ipa.max_guest_address(44, revision="sysreg", pa_range=x),
    "ipa_limit.hamaxpow": lambda x: ipa.ipa_limit(x),
    "ipa_limit.pa_range": lambda x: ipa.ipa_limit(44, revision="sysreg", pa_range=x),
    "cap_ipa_size.hamaxpow": lambda x: ipa.cap_ipa_size(x),
    "cap_ipa_size.pa_range": lambda x: ipa.cap_ipa_size(44, revision="sysreg", pa_range=x),
    "table_type": lambda x: ipa.table_type(x),
    "gmap_type": lambda x: ipa.gmap_type(x),
    "asce_control_bits": lambda x: ipa.asce_control_bits(x),
    "asce_last_address": lambda x: ipa.asce_last_address(x),
    "vm_limits.ipa_bits": lambda x: ipa.vm_limits(x),
    "vm_limits.hamaxpow": lambda x: ipa.vm_limits(40, hamaxpow=x),
    "vm_limits.pa_range": lambda x: ipa.vm_limits(40, revision="sysreg", pa_range=x),
    "slot_fits.base_gpa": lambda x: ipa.slot_fits(x, 4096, ipa_bits=40),
    "slot_fits.nbytes": lambda x: ipa.slot_fits(0, x, ipa_bits=40),
    "slot_fits.ipa_bits": lambda x: ipa.slot_fits(0, 4096, ipa_bits=x),
    "slot_fits.hamaxpow": lambda x: ipa.slot_fits(0, 4096, ipa_bits=40, hamaxpow=x),
    "slot_fits.pa_range":
        lambda x: ipa.slot_fits(0, 4096, ipa_bits=40, revision="sysreg", pa_range=x),
    "fault_limit.ipa": lambda x: ipa.fault_limit(x, ipa_bits=40),
    "fault_limit.ipa_bits": lambda x: ipa.fault_limit(0, ipa_bits=x),
    "fault_limit.hamaxpow": lambda x: ipa.fault_limit(0, ipa_bits=40, hamaxpow=x),
    "fault_limit.pa_range":
        lambda x: ipa.fault_limit(0, ipa_bits=40, revision="sysreg", pa_range=x),
    "msl_intercept.ipa": lambda x: ipa.msl_intercept(x, 0),
    "msl_intercept.msl": lambda x: ipa.msl_intercept(0, x),
    "table_bytes.nbytes": lambda x: ipa.table_bytes(x, 40),
    "table_bytes.ipa_bits": lambda x: ipa.table_bytes(0, x),
    "native_ipa_limit.parange": lambda x: ipa.native_ipa_limit(x),
    "native_ipa_limit.page_size": lambda x: ipa.native_ipa_limit(5, page_size=x),
    "native_ipa_limit.tgran_stage2": lambda x: ipa.native_ipa_limit(5, tgran_stage2=x),
    "stage2_geometry.ipa_bits": lambda x: ipa.stage2_geometry(x),
    "stage2_geometry.granule": lambda x: ipa.stage2_geometry(40, x),
    "vtcr_el2.ipa_bits": lambda x: ipa.vtcr_el2(x, parange=5),
    "vtcr_el2.granule": lambda x: ipa.vtcr_el2(40, x, parange=5),
    "vtcr_el2.parange": lambda x: ipa.vtcr_el2(40, parange=x),
    "decode_vtcr": lambda x: ipa.decode_vtcr(x),
}
OUT_OF_RANGE = [-1, 2**64, [40, -1], [2**64], np.array([40, -1]), np.int64(-1)]
NOT_INTEGERS = [
    1.5, 40.0, float("nan"), True, "40", b"40", np.True_, np.float64(40), 1j,
    [40.0], [1, 0.5], [True], ["40"], [[40], [40, 41]], {}, object(),
    np.array([40.0]), np.array([np.nan]), np.array([True]), np.array([40], dtype=object),
    np.array([1], "m8[s]"), np.ma.array([40, 41], mask=[False, True]),
]


def test_the_list_of_arguments_is_complete():
    assert {name.split(".")[0] for name in INTEGERS} == set(FUNCTIONS)


@pytest.mark.parametrize("call", INTEGERS.values(), ids=INTEGERS)
@pytest.mark.parametrize("value", OUT_OF_RANGE, ids=repr)
def test_out_of_range(call, value):
    with pytest.raises(AddressError, match="out of range"):
        call(value)


@pytest.mark.parametrize("call", INTEGERS.values(), ids=INTEGERS)
@pytest.mark.parametrize("value", NOT_INTEGERS, ids=lambda value: repr(value).split(" at ")[0])
def test_not_integers(call, value):
    with pytest.raises(AddressTypeError):
        call(value)


@pytest.mark.parametrize("name", [name for name in INTEGERS if not name.endswith("pa_range")])
def test_none_is_not_an_integer(name):
    with pytest.raises(AddressTypeError):
        INTEGERS[name](None)


@pytest.mark.parametrize(
    ("name", "first_refused"),
    [("ipa_shift.ipa_limit", 2**32), ("max_guest_address.hamaxpow", 256),
     ("ipa_limit.hamaxpow", 256), ("cap_ipa_size.hamaxpow", 256), ("vm_limits.hamaxpow", 256),
     ("slot_fits.hamaxpow", 256), ("fault_limit.hamaxpow", 256), ("asce_control_bits", 4),
     ("asce_last_address", 4), ("native_ipa_limit.parange", 16),
     ("native_ipa_limit.tgran_stage2", 16), ("vtcr_el2.parange", 16)],
)
def test_widths(name, first_refused):
    for value in (first_refused, [0, first_refused]):
        with pytest.raises(AddressError, match=f"{first_refused} is out of range"):
            INTEGERS[name](value)


@pytest.mark.parametrize("name", [name for name in INTEGERS if name.endswith("ipa_bits")])
def test_sizes(name):
    last = 52 if name.startswith(("stage2", "vtcr")) else 63
    for value in (0, 31, last + 1, U64_MAX):
        with pytest.raises(ConfigError, match=f"ipa_bits {value}: use 32 to {last}$"):
            INTEGERS[name](value)
        with pytest.raises(ConfigError, match=f"ipa_bits {value}: .*first of 2 refused"):
            INTEGERS[name]([40, value, value])


@pytest.mark.parametrize("call", [ipa.guest_phys_size, ipa.gmap_type])
def test_sizes_of_v1_to_v4_end_with_the_byte(call):
    for revision in POSTED:
        call(255, revision=revision)
        with pytest.raises(ConfigError, match="ipa_bits 256: use 32 to 255"):
            call(256, revision=revision)


def test_a_page_table_is_not_on_top():
    for call in (ipa.asce_control_bits, ipa.asce_last_address):
        with pytest.raises(AddressError, match="out of range"):
            call(Level.PAGE)


@pytest.mark.parametrize("name", [name for name in INTEGERS if name.endswith(("size", "granule"))
                                  and name != "guest_phys_size"])
@pytest.mark.parametrize("value", [0, 4095, 8192, 2**20, U64_MAX, [4096, 8192]], ids=repr)
def test_granules(name, value):
    with pytest.raises(ConfigError, match="use 4096, 16384 or 65536"):
        INTEGERS[name](value)


@pytest.mark.parametrize("name", [name for name in INTEGERS if name.endswith("pa_range")])
@pytest.mark.parametrize("value", [0, 5, 33, 52, 64, [48, 52]], ids=repr)
def test_physical_address_ranges(name, value):
    with pytest.raises(ConfigError, match=r"pa_range \d+: use one of .*; wider ones count as 48"):
        INTEGERS[name](value)


WITH_REVISION = {
    "guest_phys_size": lambda **o: ipa.guest_phys_size(40, **o),
    "max_guest_address": lambda **o: ipa.max_guest_address(44, **o),
    "ipa_limit": lambda **o: ipa.ipa_limit(44, **o),
    "cap_ipa_size": lambda **o: ipa.cap_ipa_size(44, **o),
    "gmap_type": lambda **o: ipa.gmap_type(40, **o),
    "vm_limits": lambda **o: ipa.vm_limits(40, **o),
    "slot_fits": lambda **o: ipa.slot_fits(0, 4096, ipa_bits=40, **o),
    "fault_limit": lambda **o: ipa.fault_limit(0, ipa_bits=40, **o),
    "table_bytes": lambda **o: ipa.table_bytes(0, 40, **o),
}
WITH_PA_RANGE = {name.split(".")[0] for name in INTEGERS if name.endswith("pa_range")}


@pytest.mark.parametrize("name", WITH_REVISION)
@pytest.mark.parametrize("revision", ["v2", "V1", "", None, 1, ["v1"]], ids=repr)
def test_unknown_revisions(name, revision):
    with pytest.raises(ConfigError, match="use one of v1, v4, queued, sysreg"):
        WITH_REVISION[name](revision=revision)


@pytest.mark.parametrize("name", sorted(WITH_PA_RANGE))
def test_pa_range_goes_with_sysreg(name):
    call = WITH_REVISION[name]
    call(revision="sysreg", pa_range=48)
    with pytest.raises(ConfigError, match="revision 'sysreg' needs pa_range"):
        call(revision="sysreg")
    for revision in WITHOUT_PA_RANGE:
        with pytest.raises(ConfigError, match="knows no pa_range: pass revision='sysreg'"):
            call(revision=revision, pa_range=48)


@pytest.mark.parametrize("meaning", ["sie", None, 0])
def test_unknown_meanings(meaning):
    with pytest.raises(ConfigError, match="use one of exclusive, inclusive, block"):
        ipa.msl_intercept(0, 0, meaning=meaning)


# --- documentation --------------------------------------------------------------------------

@pytest.mark.parametrize("name", FUNCTIONS)
def test_documentation(name):
    function = getattr(ipa, name)
    text = function.__doc__
    for part in ("Parameters\n", "Returns\n", "Raises\n", "Notes\n", "ipa.md section", ">>> "):
        assert part in text, f"{name} has no {part.strip()}"
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder().find(function, name, module=False, globs=vars(ipa)):
        runner.run(example)
    assert runner.summarize().failed == 0
    assert runner.tries > 0
