"""What a row of the speed table times: always beside its peer, pair by pair.

Each function here is a generator that makes its state once and then gives pairs without
end: what gmap took and what its peer took, one right after the other, each first in turn.
A machine that is slow for a while is slow for both halves of a pair.
"""

import ctypes
import gc
import hashlib
import itertools
import multiprocessing
import os
import time
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from _peers import NotMeasured, empty_method
from numpy.typing import NDArray

from gmap._defs import PAGE_SHIFT
from gmap.bench.phases import PHASES, Faults, Guest, check
from gmap.bench.timing import host_first_touch, together
from gmap.bench.workloads import FIRST_GFN, Workload, workload

__all__ = ["FULL", "QUICK", "Pair", "Scale"]

GIB: Final = 1 << 30
TIB: Final = 1 << 40
_SPARSE_AREAS: Final = 4  # a slot holds less than 8 TiB
_SPARSE_GFN: Final = 4 * TIB >> PAGE_SHIFT  # what a region-third table covers


class Pair(NamedTuple):
    """What gmap took for one item and what its peer took, in the same unit."""

    ours: float
    peer: float


Pairs: TypeAlias = Generator[Pair, None, None]


@dataclass(frozen=True)
class Scale:
    """How much is measured; sizes are bytes of guest memory.

    Attributes
    ----------
    guest, shared, buffer : int
        What is faulted in: by one thread, by two, and with memory behind it.
    translated : int
        The guest whose pages are translated.
    nested : int
        The guest whose pages are translated by both stages.
    others, other_calls : int
        The guest of packages that translate one address a call, and calls of a sample.
    lookups, lookup_sample : int
        Addresses to translate, and how many of them a sample takes.
    calls : int
        Calls of one scalar sample.
    host : int
        Anonymous memory the host kernel is timed with, for each sample.
    growth : tuple of int
        Sizes of the growth curve.
    sparse, sparse_pages : int
        The sparse guest at its end, and the pages spread over it.
    rounds, growth_rounds : int
        Pairs of a row; guests of each point of the curve.
    """

    guest: int = GIB
    shared: int = 4 * GIB
    buffer: int = GIB >> 3
    translated: int = 64 * GIB
    nested: int = 16 * GIB
    others: int = GIB >> 2
    other_calls: int = 1 << 12
    lookups: int = 1 << 22
    lookup_sample: int = 1 << 18
    calls: int = 1 << 14
    host: int = 64 << 20
    growth: tuple[int, ...] = (GIB, 16 * GIB, 64 * GIB)
    sparse: int = 16 * TIB
    sparse_pages: int = 1 << 20
    rounds: int = 21
    growth_rounds: int = 3


FULL: Final = Scale()
QUICK: Final = Scale(
    guest=GIB >> 2, shared=GIB, buffer=GIB >> 4, translated=4 * GIB, nested=2 * GIB,
    other_calls=1 << 10, lookups=1 << 20, growth=(GIB >> 2, GIB, 4 * GIB), sparse_pages=1 << 16,
    rounds=7, growth_rounds=2,
)  # fmt: skip


# --- the clock, and guests ------------------------------------------------------------------


def elapsed(call: Callable[[], object]) -> int:
    """Return the nanoseconds a call takes."""
    start = time.perf_counter_ns()
    call()
    return time.perf_counter_ns() - start


def pairs(ours: Callable[[], float], peer: Callable[[], float]) -> Pairs:
    """Measure both again and again, each first in turn."""
    for turn in itertools.count():
        first = peer() if turn % 2 else None
        mine = ours()
        yield Pair(mine, peer() if first is None else first)


def fault_ns(guest: Guest, *parts: Faults) -> float:
    """Return the nanoseconds a fault of `parts`, each of which a thread of its own takes."""

    def take(faults: Faults) -> NDArray[np.int32]:
        return guest.g.fault_in(faults.gfns, faults.writes, errors="status")

    ns, codes = together([partial(take, part) for part in parts])
    for status in codes:
        check(status)
    return ns / sum(len(part.gfns) for part in parts)


def fill(guest: Guest) -> None:
    """Map all of a workload, some at a time: little memory is used besides the tables."""
    for gfns in np.array_split(guest.workload.gfns, max(1, len(guest.workload.gfns) >> 18)):
        guest.fault(gfns, True)


def sparse_workload(nbytes: int, pages: int, *, ascending: bool, seed: int = 0) -> Workload:
    """Return pages spread at random over a guest too large for one slot.

    It begins where no slot's edge needs a table that no page needs.
    """
    rng = np.random.default_rng(seed)
    frames = np.unique(rng.integers(0, nbytes >> PAGE_SHIFT, pages, dtype=np.uint64))
    gfns = np.uint64(_SPARSE_GFN) + (frames if ascending else rng.permutation(frames))
    npages = nbytes // _SPARSE_AREAS >> PAGE_SHIFT
    areas = [[_SPARSE_GFN + k * npages, npages] for k in range(_SPARSE_AREAS)]
    writes = np.ones(len(gfns), dtype=np.bool_)
    return Workload("sparse", "4k", gfns, writes, np.array(areas, dtype=np.uint64))


def usable_cpus() -> int:
    """Return how many CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory() -> int | None:
    """Return the bytes this machine could still give, if it says."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    fields = dict(line.split(":") for line in lines)
    return int(fields["MemAvailable"].split()[0]) << 10


def need_memory(nbytes: int) -> None:
    """Refuse to measure what would not fit."""
    available = available_memory()
    if available is not None and nbytes > available:
        raise NotMeasured(f"needs {nbytes / GIB:.1f} GiB of free memory")


# --- faults ---------------------------------------------------------------------------------


def first_touch(
    scale: Scale, pattern: str, host: str = "synthetic", *, populate: bool = False
) -> Pairs:
    """Faults of a guest with empty tables; first touches of the host kernel."""
    load = workload(pattern, "4k", scale.buffer if host == "buffer" else scale.guest)

    def ours() -> float:
        with closing(Guest(host, load, populate=populate)) as guest:
            return fault_ns(guest, PHASES["first-touch"].prepare(guest))

    yield from pairs(ours, partial(host_first_touch, scale.host))


def minor(scale: Scale, pattern: str) -> Pairs:
    """Faults of an aged guest; first touches of the host kernel."""
    with closing(Guest("synthetic", workload(pattern, "4k", scale.guest))) as guest:
        fill(guest)

        def ours() -> float:
            return fault_ns(guest, PHASES["minor-young"].prepare(guest))

        yield from pairs(ours, partial(host_first_touch, scale.host))


def two_threads(scale: Scale, phase: str, pattern: str) -> Pairs:
    """Two threads in a half of a guest each; one thread in one half after the other."""
    if usable_cpus() < 2:
        raise NotMeasured("one CPU")
    load = workload(pattern, "4k", scale.shared)
    lower = load.gfns < np.uint64(FIRST_GFN + load.pages // 2)
    halves = [load.gfns[lower], load.gfns[~lower]]
    fresh = PHASES[phase].fresh
    one = [Faults(np.concatenate(halves), fresh)]  # first touches are writes
    two = [Faults(half, fresh) for half in halves]

    def in_new_guest(parts: list[Faults]) -> float:
        with closing(Guest("synthetic", load)) as guest:
            return fault_ns(guest, *parts)

    def in_this_guest(parts: list[Faults]) -> float:
        PHASES[phase].prepare(guest)
        return fault_ns(guest, *parts)

    with closing(Guest("synthetic", load)) as guest:
        if not fresh:
            fill(guest)
        run = in_new_guest if fresh else in_this_guest
        yield from pairs(partial(run, two), partial(run, one))


def control(scale: Scale) -> Pairs:
    """SHA-256 of 4 KiB, which shares nothing, by two threads and by one."""
    if usable_cpus() < 2:
        raise NotMeasured("one CPU")
    data = bytes(scale.host // 8)

    def work() -> None:
        hashlib.sha256(data)

    def work_twice() -> None:
        work()
        work()

    def run(*calls: Callable[[], None]) -> float:
        return together(calls)[0] / (2 * len(data) >> PAGE_SHIFT)

    yield from pairs(partial(run, work, work), partial(run, work_twice))


def one_call(scale: Scale) -> Pairs:
    """`fault_in` of one aged page from Python; a call of an empty Cython method.

    What the loop around the calls takes is in neither.
    """
    empty = empty_method()
    with closing(Guest("synthetic", workload("random", "4k", scale.calls << PAGE_SHIFT))) as guest:
        fill(guest)
        gfns: list[int] = guest.workload.gfns.tolist()
        fault_in = guest.g.fault_in

        def loop() -> float:
            start = time.perf_counter_ns()
            for _ in gfns:
                pass
            return (time.perf_counter_ns() - start) / len(gfns)

        def ours() -> float:
            guest.for_each_area(guest.g.age)
            bare = loop()
            start = time.perf_counter_ns()
            for gfn in gfns:
                fault_in(gfn)
            return (time.perf_counter_ns() - start) / len(gfns) - bare

        def peer() -> float:
            bare = loop()
            start = time.perf_counter_ns()
            for _ in gfns:
                empty()
            return (time.perf_counter_ns() - start) / len(gfns) - bare

        yield from pairs(ours, peer)


# --- translation ----------------------------------------------------------------------------


class Lookups:
    """Translations of some pages of a guest, and `np.take` over as many entries as it has.

    Both read indexes from an array and write to arrays that are there. A sample goes on where
    the last one ended: short enough to be left alone by other programs mostly, and still none
    finds in the caches what it looks up because it has just done so.

    Parameters
    ----------
    guest : Guest
    frames : uint64 array
        The frames it has mapped, ascending.
    scale : Scale
    """

    def __init__(self, guest: Guest, frames: NDArray[np.uint64], scale: Scale) -> None:
        index = np.random.default_rng(0).integers(0, len(frames), scale.lookups, dtype=np.intp)
        run = np.arange(scale.lookups, dtype=np.intp) % len(frames)
        shift = np.uint64(PAGE_SHIFT)
        gpas = {"random": frames[index] << shift, "sequential": frames[run] << shift}
        self.n = min(scale.lookup_sample, scale.lookups)
        samples = scale.lookups // self.n
        self._gpas = {name: itertools.cycle(np.split(gpa, samples)) for name, gpa in gpas.items()}
        self._indexes = itertools.cycle(np.split(index, samples))
        self._entries = np.arange(len(frames), dtype=np.uint64)
        self._out = (np.zeros(self.n, dtype=np.uint64), np.zeros(self.n, dtype=np.uint16))
        self._taken = np.zeros(self.n, dtype=np.uint64)
        self._translate = guest.g.translate

    def translate_ns(self, pattern: str) -> float:
        """Return the nanoseconds an address takes."""
        gpa = next(self._gpas[pattern])
        ns = elapsed(lambda: self._translate(gpa, out=self._out))
        assert not self._out[1].any()
        return ns / self.n

    def take_ns(self) -> float:
        """Return the nanoseconds a lookup of `np.take` takes, at random.

        With mode="clip" and indexes of NumPy's own type nothing is checked or converted: what
        is left is a cache miss a lookup.
        """
        index = next(self._indexes)
        ns = elapsed(lambda: np.take(self._entries, index, out=self._taken, mode="clip"))
        return ns / self.n


def translate(scale: Scale, pattern: str) -> Pairs:
    """Translations for reading; `np.take` at random over one entry a page of the guest."""
    load = workload("sequential", "4k", scale.translated)
    with closing(Guest("synthetic", load)) as guest:
        fill(guest)
        lookups = Lookups(guest, load.gfns, scale)
        yield from pairs(partial(lookups.translate_ns, pattern), lookups.take_ns)


# --- table memory ---------------------------------------------------------------------------


def architected_bytes(gfns: NDArray[np.uint64]) -> int:
    """Return what the tables of a guest of 48 bits take that maps `gfns` in pages of 4 KiB.

    4 KiB for each segment that has a page; 16 KiB for each 2 GiB and each 4 TiB that have
    one, and 16 KiB for the region-second table above them.
    """
    crsts = len(np.unique(gfns >> np.uint64(19))) + len(np.unique(gfns >> np.uint64(30))) + 1
    return 4096 * len(np.unique(gfns >> np.uint64(8))) + 16384 * crsts


def resident_bytes() -> int:
    """Return the memory this process really has, nothing kept for later."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # only glibc keeps much, and has it
    if trim is not None:
        trim(0)
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except OSError:
        raise NotMeasured("no /proc/self/statm") from None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def measure_tables(scale: Scale) -> list[dict[str, int]]:
    """Map guests in this process; what tables they have, and what these should take."""
    loads: list[Callable[[], Workload]] = [
        partial(workload, "sequential", "4k", 1 << 20),  # for what a process needs once
        partial(workload, "sequential", "4k", scale.guest),
        partial(workload, "sequential", "4k", scale.translated),
        partial(sparse_workload, scale.sparse, scale.sparse_pages // 4, ascending=True),
    ]
    found = []
    for make in loads:
        load = make()
        expected = architected_bytes(load.gfns)
        need_memory(expected + expected // 4)
        before = resident_bytes()
        with closing(Guest("synthetic", load)) as guest:
            fill(guest)
            resident = resident_bytes() - before
            accounted = guest.g.table_bytes()
        del guest, load  # and its tables, before the next one is measured
        found.append({"expected": expected, "accounted": accounted, "resident": resident})
    return found[1:]


@cache
def tables_of_a_process(scale: Scale) -> list[dict[str, int]]:
    """Return what `measure_tables` finds in a process where nothing else comes and goes."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure_tables, scale).result()


def table_memory(scale: Scale, what: str) -> Pairs:
    """Bytes of tables that are accounted for, or that are resident; what they should take."""
    for tables in itertools.cycle(tables_of_a_process(scale)):
        yield Pair(tables[what], tables["expected"])
