"""Translation through both stages, beside single-stage, scalar walks, and np.take."""

from types import SimpleNamespace

import numpy as np
import pytest
from _peers import NotMeasured, walk_one_by_one
from _translators import TRANSLATORS, crash_dump, four_levels
from _two_level import Nested

import gmap

MIB = 1 << 20
NBYTES = 256 * MIB
LOOKUPS = 1 << 18
CALLS = 1 << 10
PATTERNS = ["sequential", "random"]


@pytest.fixture(scope="module")
def nested():
    """A guest mapped in 4K by both stages, and pages of it to translate."""
    guest = Nested(NBYTES)
    index = {
        "sequential": np.arange(LOOKUPS) % guest.pages,
        "random": np.random.default_rng(0).integers(0, guest.pages, LOOKUPS),
    }
    va = {pattern: index[pattern].astype(np.uint64) << np.uint64(12) for pattern in PATTERNS}
    return SimpleNamespace(guest=guest, index=index, va=va)


@pytest.fixture
def out():
    return np.empty(LOOKUPS, dtype=np.uint64), np.empty(LOOKUPS, dtype=np.uint32)


@pytest.mark.parametrize("tlb", [True, False], ids=["tlb", "no-tlb"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_two_level(benchmark, note, nested, out, pattern, tlb):
    benchmark.group = f"two-level/{pattern}"
    two = gmap.TwoLevel(nested.guest.two.stage1, nested.guest.g, tlb=tlb)
    pa, status = benchmark(two.translate, nested.va[pattern], out=out)
    assert np.array_equal(pa, nested.guest.expected(nested.va[pattern]))
    assert not status.any()
    note(LOOKUPS, "address")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_three_kinds_of_access(benchmark, note, nested, pattern):
    """Reads and writes: what stage 1 lets EL0 write, EL1 never fetches."""
    benchmark.group = f"two-level/{pattern}"
    access = np.random.default_rng(1).integers(0, 3, LOOKUPS, dtype=np.uint8)
    _, status = benchmark(nested.guest.two.translate_access, nested.va[pattern], access)
    assert np.array_equal(status != 0, access == gmap.Access.FETCH)
    note(LOOKUPS, "address")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_single_stage(benchmark, note, nested, out, pattern):
    benchmark.group = f"two-level/{pattern}"
    results = out[0], np.empty(LOOKUPS, dtype=np.uint16)
    pa, _ = benchmark(nested.guest.g.translate, nested.va[pattern], out=results)
    assert np.array_equal(pa, nested.guest.expected(nested.va[pattern]))
    note(LOOKUPS, "address", peer=True)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_one_walk_after_another(benchmark, note, nested, out, pattern):
    benchmark.group = f"two-level/{pattern}"
    try:
        walk = walk_one_by_one()
    except NotMeasured as missing:
        pytest.skip(str(missing))
    benchmark(walk, nested.guest.two, nested.va[pattern], *out)
    assert np.array_equal(out[0], nested.guest.expected(nested.va[pattern]))
    assert not out[1].any()
    note(LOOKUPS, "address")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_numpy_take(benchmark, note, nested, out, pattern):
    benchmark.group = f"two-level/{pattern}"
    entries = np.arange(nested.guest.pages, dtype=np.uint64)
    benchmark(np.take, entries, nested.index[pattern], out=out[0], mode="clip")
    note(LOOKUPS, "address")


# --- one address ----------------------------------------------------------------------------


def test_ufunc_on_one_value(benchmark, note, nested):
    benchmark.group = "call/two-level"
    benchmark(nested.guest.two.translate, np.uint64(0x5123))
    note(1, "call")


def test_explain(benchmark, note, nested):
    benchmark.group = "call/two-level"
    story = benchmark(nested.guest.two.explain, 0x5123)
    assert story.refs == (4 + 1) * (3 + 1) - 1
    note(1, "call")


def test_empty_call(benchmark, note, empty):
    benchmark.group = "call/two-level"
    benchmark(empty)
    note(1, "call", peer=True)


# --- packages -------------------------------------------------------------------------------


@pytest.mark.parametrize("package", TRANSLATORS)
def test_what_else_translates(benchmark, note, package):
    benchmark.group = "two-level/random"
    index = np.random.default_rng(0).integers(0, NBYTES >> 12, CALLS)
    addresses = ((index << 12) + 0x123).tolist()
    try:
        with TRANSLATORS[package](NBYTES) as translate:
            found = benchmark(lambda: [translate(address) for address in addresses])
    except NotMeasured as missing:
        pytest.skip(str(missing))
    assert found == addresses
    note(CALLS, "address")


def test_the_packages_tables_say_what_they_should():
    """Walked here, in case no package is installed to do it."""
    nbytes = 1028 * MIB
    memory = four_levels(nbytes, 3, 3 | 1 << 10)
    words = np.frombuffer(memory, dtype="<u8")
    for page in (0, 1, 511, 512, 262143, 262144, (nbytes >> 12) - 1):
        table = 4096
        for level in range(3):
            entry = int(words[table // 8 + (page >> 9 * (3 - level) & 511)])
            assert entry & 0xFFF == 3
            table = entry & ~0xFFF
        assert words[table // 8 + (page & 511)] == page << 12 | 0x403
    assert np.count_nonzero(words) == (nbytes >> 12) + (nbytes >> 21) + 2 + 1


def test_the_crash_dump_is_an_elf_file():
    memory = four_levels(4 * MIB, 3, 3)
    dump = crash_dump(memory, 4 * MIB)
    assert dump.startswith(b"\x7fELF\x02\x01")
    assert dump.endswith(memory)
    assert b"VMCOREINFO\0" in dump
