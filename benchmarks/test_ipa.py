"""IPA sizes, one at a time and in arrays, beside a formula in NumPy that checks nothing."""

import numpy as np
import pytest

from gmap import ipa

N = 1 << 16
RNG = np.random.default_rng(0)
KIB, MIB, GIB, TIB = (1 << shift for shift in (10, 20, 30, 40))


def shift_in_numpy(vm_type):
    known = (vm_type >= 32) & (vm_type <= 48)
    return np.where(known, vm_type, np.where(vm_type == 0, 40, -22)).astype(np.int32)


def type_in_numpy(bits):
    return np.searchsorted([31, 42, 53], bits).astype(np.int8)


def table_bytes_in_numpy(nbytes, ipa_bits):
    crsts = 1 + -(-nbytes // (4 * TIB)) + -(-nbytes // (2 * GIB))
    return 16 * KIB * crsts + 4 * KIB * -(-nbytes // MIB)


CASES = {
    "ipa_shift": (RNG.integers(0, 64, N), {}, {"errors": "status"}, shift_in_numpy),
    "gmap_type": (RNG.integers(32, 64, N), {}, {}, type_in_numpy),
    "table_bytes": (RNG.integers(0, 64 * TIB, N), {"ipa_bits": 48}, {}, table_bytes_in_numpy),
}


@pytest.mark.parametrize("name", CASES)
def test_array(benchmark, note, name):
    benchmark.group = f"ipa/{name}"
    values, sizes, options, formula = CASES[name]
    result = benchmark(getattr(ipa, name), values.astype(np.uint64), **sizes, **options)
    assert (result == formula(values, **sizes)).all()
    note(N, "value")


@pytest.mark.parametrize("name", CASES)
def test_numpy(benchmark, note, name):
    benchmark.group = f"ipa/{name}"
    values, sizes, _, formula = CASES[name]
    benchmark(formula, values, **sizes)
    note(N, "value", peer=True)


@pytest.mark.parametrize("name", CASES)
def test_one_call(benchmark, note, name):
    benchmark.group = "call/ipa"
    _, sizes, options, formula = CASES[name]
    value = 40
    result = benchmark(getattr(ipa, name), value, **sizes, **options)
    assert result == formula(np.array(value), **sizes)
    note(1, "call")


def test_empty_call(benchmark, note, empty):
    benchmark.group = "call/ipa"
    benchmark(empty)
    note(1, "call", peer=True)
