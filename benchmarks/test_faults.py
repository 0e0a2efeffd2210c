"""The fault-in path, phase by phase, beside the host kernel's own first-touch faults.

``tables-only``: a synthetic guest, whose pages have no memory. ``populated``: a buffer guest,
whose pages had memory before. ``host-populates``: a buffer guest whose pages the host finds and
zeroes meanwhile; only these do the same work as the kernel does in each of its faults.
"""

from functools import partial

import numpy as np
import pytest
from _measure import usable_cpus

from gmap.bench._hostfaults import AnonymousMemory
from gmap.bench.phases import PHASES
from gmap.bench.timing import together
from gmap.bench.workloads import FIRST_GFN, workload

ROUNDS = 30
FAULTS = {"4k": 1 << 14, "1m": 1 << 12, "2g": 1 << 10}
FOLIO = {"4k": 1 << 12, "1m": 1 << 20, "2g": 1 << 31}
HOSTS = {
    "tables-only": {"host": "synthetic"},
    "populated": {"host": "buffer", "populate": True},
    "host-populates": {"host": "buffer"},
}
GROUPS = [
    (phase.name, pattern, backing)
    for phase in PHASES.values()
    for backing in phase.backings
    for pattern in ("sequential", "random")
    if backing == "4k" or phase.name.startswith("huge")
]
CASES = [
    (phase, pattern, backing, host)
    for phase, pattern, backing in GROUPS
    for host in HOSTS
    if host == "tables-only" or backing == "4k"
    if host != "host-populates" or PHASES[phase].fresh
]


def load_of(pattern, backing):
    return workload(pattern, backing, FAULTS[backing] * FOLIO[backing])


@pytest.mark.parametrize(("phase", "pattern", "backing", "host"), CASES)
def test_gmap(benchmark, note, make_guest, phase, pattern, backing, host):
    benchmark.group = f"{phase}/{pattern}/{backing}"
    make = partial(make_guest, load=load_of(pattern, backing), **HOSTS[host])
    kind = PHASES[phase]
    guests = [] if kind.fresh else [make(mapped=True)]

    def setup():
        if kind.fresh:
            for old in guests:
                old.close()
            guests[:] = [make()]
        faults = kind.prepare(guests[0])
        g = guests[0].g
        if kind.splits:
            return (g.split, faults.gfns), {}
        return (g.fault_in, faults.gfns, faults.writes), {"errors": "status"}

    def resolve(call, *faults, **options):
        return call(*faults, **options)

    codes = benchmark.pedantic(resolve, setup=setup, rounds=ROUNDS)
    assert not codes.any()
    note(len(codes), "fault")


@pytest.mark.parametrize(("phase", "pattern", "backing"), GROUPS)
def test_host_kernel(benchmark, note, phase, pattern, backing):
    benchmark.group = f"{phase}/{pattern}/{backing}"
    areas = []

    def setup():
        for old in areas:
            old.close()
        areas[:] = [AnonymousMemory(FAULTS[backing] << 12)]
        return (areas[0],), {}

    faults = benchmark.pedantic(AnonymousMemory.touch, setup=setup, rounds=ROUNDS)
    areas[0].close()
    note(faults, "fault", peer=True)


@pytest.mark.skipif(usable_cpus() < 2, reason="one CPU")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("pattern", ["sequential", "random"])
def test_threads(benchmark, note, make_guest, pattern, threads):
    """Minor faults: both halves of a guest by one thread, or each by its own."""
    benchmark.group = f"threads/{pattern}"
    load = load_of(pattern, "4k")
    guest = make_guest("synthetic", load, mapped=True)
    lower = load.gfns < np.uint64(FIRST_GFN + load.pages // 2)
    halves = [load.gfns[lower], load.gfns[~lower]]
    parts = halves if threads == 2 else [np.concatenate(halves)]
    calls = [partial(guest.g.fault_in, part, errors="status") for part in parts]

    def setup():
        guest.for_each_area(guest.g.age)

    _, codes = benchmark.pedantic(together, args=(calls,), setup=setup, rounds=ROUNDS)
    assert not any(part.any() for part in codes)
    note(len(load.gfns), "fault", peer=threads == 1)


def test_one_call(benchmark, note, make_guest):
    benchmark.group = "call/fault_in"
    guest = make_guest("synthetic", load_of("sequential", "4k"), mapped=True)
    assert benchmark(guest.g.fault_in, FIRST_GFN) == 0
    note(1, "call")


def test_empty_call(benchmark, note, empty):
    benchmark.group = "call/fault_in"
    benchmark(empty)
    note(1, "call", peer=True)
