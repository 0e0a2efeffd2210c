"""Two-level rows of the speed table: a guest mapped in 4K by both stages, and its peers."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

import numpy as np
from _measure import GIB, Pairs, Scale, elapsed, need_memory, pairs
from _peers import walk_one_by_one
from _translators import TRANSLATORS
from numpy.typing import NDArray

import gmap
from gmap._defs import PAGE_SHIFT, PAGE_SIZE

__all__ = ["Nested", "against_others", "against_scalar", "against_single_stage", "against_take"]

Addresses: TypeAlias = NDArray[np.uint64]

_ENTRY: Final = 8
_FANOUT: Final = PAGE_SIZE // _ENTRY
_ROOT: Final = 1 << 20  # of the stage-1 tables; all lie in the first memory slot
_TABLE: Final = 3
_PAGE: Final = 3 | 1 << 6 | 1 << 10  # for EL0 too, accessed
_TCR: Final = 16 | 16 << 16 | 2 << 30 | 5 << 32  # 48-bit halves of 4K granules, 48-bit IPS


class Nested:
    """A guest of any size on little memory: every memory slot is the same host region.

    So the tables of both stages are as large as those of a guest with that much memory, and
    the pages behind them are 1 GiB. Virtual page i is guest page i.

    Parameters
    ----------
    nbytes : int
        Of the guest: up to 1 GiB, or whole GiB.

    Attributes
    ----------
    g : Gmap
    two : TwoLevel
        A probe with a TLB.
    pages : int
    """

    def __init__(self, nbytes: int) -> None:
        self.slot_bytes = min(nbytes, GIB)
        self.pages = nbytes >> PAGE_SHIFT
        # Stage 2 takes 16 bytes a page, stage 1 takes 8 of the slot's memory.
        need_memory(self.slot_bytes + 32 * self.pages)
        self.host = gmap.BufferHost()
        self.ram = self.host.map(self.slot_bytes, folio="4k")
        self.g = gmap.Gmap(self.host, ipa_bits=40)
        for slot in range(nbytes // self.slot_bytes):
            self.g.set_memory_region(slot, slot * self.slot_bytes, self.slot_bytes, self.ram.hva)
        self.g.fault_in(np.arange(self.pages, dtype=np.uint64), True, errors="status")
        self._write_tables()
        self.two = gmap.TwoLevel(gmap.Stage1(ttbr0=_ROOT, tcr=_TCR), self.g)

    def _write_tables(self) -> None:
        """Write each level behind the one above it."""
        words = self.ram.array.view(np.uint64)
        entries = [self.pages]
        while len(entries) < 4:
            entries.insert(0, -(-entries[0] // _FANOUT))
        table = _ROOT
        for level, count in enumerate(entries):
            below = table + -(-count // _FANOUT) * PAGE_SIZE
            targets = np.arange(count, dtype=np.uint64) << np.uint64(PAGE_SHIFT)
            if level < 3:
                targets += np.uint64(below)
            at = table // _ENTRY
            words[at : at + count] = targets | np.uint64(_TABLE if level < 3 else _PAGE)
            table = below

    def expected(self, va: Addresses) -> Addresses:
        """Return the host addresses that are right."""
        return np.uint64(self.ram.hva) + va % np.uint64(self.slot_bytes)


class Sample:
    """Addresses of a guest, `n` at a time: each call of `next` goes on where the last one ended.

    So none is in a cache because it was just used, once the guest's tables outgrow it.
    """

    def __init__(self, pages: int, scale: Scale, pattern: str) -> None:
        self.n = min(scale.lookup_sample, scale.lookups)
        index = np.arange(scale.lookups, dtype=np.uint64) % np.uint64(pages)
        if pattern != "sequential":
            index = np.random.default_rng(0).integers(0, pages, scale.lookups, dtype=np.uint64)
        samples = np.split(index << np.uint64(PAGE_SHIFT), scale.lookups // self.n)
        self._cycle = itertools.cycle(samples)
        self.pa = np.zeros(self.n, dtype=np.uint64)
        self.status = np.zeros(self.n, dtype=np.uint32)
        self.pic = np.zeros(self.n, dtype=np.uint16)

    def __next__(self) -> Addresses:
        return next(self._cycle)

    def two_level(self, guest: Nested, *, flush: bool = False) -> float:
        """Return the nanoseconds an address takes through both stages."""
        va = next(self)
        if flush:
            guest.two.flush()
        ns = elapsed(lambda: guest.two.translate(va, out=(self.pa, self.status)))
        assert not self.status.any()
        return ns / self.n

    def single_stage(self, guest: Nested) -> float:
        """Return the nanoseconds an address takes through the gmap alone."""
        gpa = next(self)
        ns = elapsed(lambda: guest.g.translate(gpa, out=(self.pa, self.pic)))
        assert not self.pic.any()
        return ns / self.n


def against_single_stage(scale: Scale, pattern: str) -> Pairs:
    """Both stages with the TLB on; the gmap alone, with as many addresses."""
    guest = Nested(scale.nested)
    sample = Sample(guest.pages, scale, pattern)
    yield from pairs(partial(sample.two_level, guest), partial(sample.single_stage, guest))


def against_scalar(scale: Scale) -> Pairs:
    """Random pages, the TLB flushed before; the same walks one after another, in C."""
    walk = walk_one_by_one()
    guest = Nested(scale.nested)
    sample = Sample(guest.pages, scale, "random")

    def one_by_one() -> float:
        va = next(sample)
        ns = elapsed(lambda: walk(guest.two, va, sample.pa, sample.status))
        assert not sample.status.any()
        return ns / sample.n

    check(guest, next(sample), walk)
    yield from pairs(partial(sample.two_level, guest, flush=True), one_by_one)


def check(guest: Nested, va: Addresses, walk: Callable[..., None]) -> None:
    """Both give the same answers, and the right ones, also where something is refused."""
    va = np.concatenate([va, np.array([1 << 47, 1 << 63, guest.pages << PAGE_SHIFT], np.uint64)])
    pa, status = np.zeros_like(va), np.zeros(len(va), dtype=np.uint32)
    walk(guest.two, va, pa, status)
    ours = guest.two.translate(va)
    assert np.array_equal(pa, ours[0])
    assert np.array_equal(status, ours[1])
    assert np.array_equal(pa[:-3], guest.expected(va[:-3]))
    assert status[-3:].all()
    assert not status[:-3].any()


def against_take(scale: Scale) -> Pairs:
    """Random pages, the TLB flushed before; `np.take` over one entry a page."""
    guest = Nested(scale.nested)
    sample = Sample(guest.pages, scale, "random")
    entries = np.arange(guest.pages, dtype=np.uint64)

    def take() -> float:
        index = (next(sample) >> np.uint64(PAGE_SHIFT)).astype(np.intp)
        return elapsed(lambda: np.take(entries, index, out=sample.pa, mode="clip")) / sample.n

    yield from pairs(partial(sample.two_level, guest, flush=True), take)


def against_others(scale: Scale, package: str, stages: str, pattern: str) -> Pairs:
    """Ours through these stages; one call an address of an installed package.

    The package has a guest of its own, all of which it has seen: its caches are warm. The `for`
    loop around its calls is in its time. Patterns: "sequential" and "random" in a guest as
    large as the package's, "cold" at random in the large one, the TLB flushed.
    """
    cold = pattern == "cold"
    with TRANSLATORS[package](scale.others) as translate:
        addresses = _few(scale, pattern)
        for address in addresses:
            assert translate(address | 0x123) == address | 0x123

        def one_call_each() -> float:
            def loop() -> None:
                for address in addresses:
                    translate(address)

            return elapsed(loop) / len(addresses)

        guest = Nested(scale.nested if cold else scale.others)
        sample = Sample(guest.pages, scale, pattern)
        ours = {
            "two-level": partial(sample.two_level, guest, flush=cold),
            "single-stage": partial(sample.single_stage, guest),
        }
        yield from pairs(ours[stages], one_call_each)


def _few(scale: Scale, pattern: str) -> list[int]:
    """Addresses for the package: as many as one has the patience for."""
    pages = scale.others >> PAGE_SHIFT
    index = np.arange(scale.other_calls) % pages
    if pattern != "sequential":
        index = np.random.default_rng(1).integers(0, pages, scale.other_calls)
    addresses: list[int] = (index << PAGE_SHIFT).tolist()
    return addresses
