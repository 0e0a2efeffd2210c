"""Translation of many addresses, and of one, beside what NumPy offers for it."""

from types import SimpleNamespace

import numpy as np
import pytest
from _peers import LevelByLevel

import gmap
from gmap.bench.phases import Guest
from gmap.bench.workloads import FIRST_GFN, workload

NBYTES = 1 << 30
LOOKUPS = 1 << 18
PATTERNS = ["sequential", "random"]


@pytest.fixture(scope="module")
def mapped():
    """A guest mapped in 4K, and pages of it to translate."""
    guest = Guest("synthetic", workload("sequential", "4k", NBYTES))
    guest.fault(guest.workload.gfns, True)
    gfns = guest.workload.gfns
    index = {
        "sequential": np.arange(LOOKUPS) % len(gfns),
        "random": np.random.default_rng(0).integers(0, len(gfns), LOOKUPS),
    }
    gpa = {pattern: gfns[index[pattern]] << np.uint64(12) for pattern in PATTERNS}
    yield SimpleNamespace(g=guest.g, pages=len(gfns), index=index, gpa=gpa)
    guest.close()


@pytest.fixture
def out():
    return np.empty(LOOKUPS, dtype=np.uint64), np.empty(LOOKUPS, dtype=np.uint16)


@pytest.mark.parametrize("name", ["translate", "translate_write"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_gmap(benchmark, note, mapped, out, pattern, name):
    benchmark.group = f"translate/{pattern}"
    translate = getattr(mapped.g, name)
    _, pic = benchmark(translate, mapped.gpa[pattern], out=out)
    assert not pic.any()
    note(LOOKUPS, "address")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_gmap_with_new_arrays(benchmark, note, mapped, pattern):
    benchmark.group = f"translate/{pattern}"
    benchmark(mapped.g.translate, mapped.gpa[pattern])
    note(LOOKUPS, "address")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_numpy_take(benchmark, note, mapped, out, pattern):
    """One entry a page: what is left of a lookup when nothing has to be walked."""
    benchmark.group = f"translate/{pattern}"
    entries = np.arange(mapped.pages, dtype=np.uint64)
    benchmark(np.take, entries, mapped.index[pattern], out=out[0], mode="clip")
    note(LOOKUPS, "address", peer=True)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_numpy_level_by_level(benchmark, note, mapped, pattern):
    benchmark.group = f"translate/{pattern}"
    walk = LevelByLevel(mapped.g)
    pa = benchmark(walk, mapped.gpa[pattern])
    assert (pa == mapped.g.translate(mapped.gpa[pattern])[0]).all()
    note(LOOKUPS, "address")


def test_level_by_level_finds_holes(make_guest):
    load = workload("sequential", "4k", 4 << 20)
    guest = make_guest("synthetic", load)
    guest.fault(load.gfns[::3], True)
    gpa = np.arange(FIRST_GFN - 512, FIRST_GFN + 2048, dtype=np.uint64) << np.uint64(12)
    assert (LevelByLevel(guest.g)(gpa) == guest.g.translate(gpa)[0]).all()


# --- one address ----------------------------------------------------------------------------


def test_one_call(benchmark, note, mapped):
    benchmark.group = "call/translate"
    benchmark(mapped.g.translate_one, FIRST_GFN << 12)
    note(1, "call")


def test_ufunc_on_one_value(benchmark, note, mapped):
    benchmark.group = "call/translate"
    benchmark(mapped.g.translate, np.uint64(FIRST_GFN << 12))
    note(1, "call")


def test_one_call_that_fails(benchmark, note, mapped):
    benchmark.group = "call/translate"

    def refused():
        try:
            mapped.g.translate_one(0)
        except gmap.TranslationError as error:
            return error.pic
        return 0

    assert benchmark(refused)
    note(1, "call")


def test_empty_call(benchmark, note, empty):
    benchmark.group = "call/translate"
    benchmark(empty)
    note(1, "call", peer=True)
