"""Any number of threads fault, unmap, age, sync, change slots and translate at once.

Each page of a buffer host holds its own identity for ever. The host moves, discards and
re-backs pages under the guest's feet; frames nobody uses are poisoned and used again for
other pages. So a translation that survives an invalidation that has returned reads another
page's identity, or poison, and fails the test.
"""

import contextlib
import errno
import threading
import time

import numpy as np
import pytest

import gmap

NPAGES = 2048
BASE = 1 << 30
TAG = np.uint64(0x1DE0_0000_0000_0000)


class Campaign:
    """One address space on a buffer host, and threads that do one thing each for a while."""

    def __init__(self, folio, seed, outside):
        self.outside = outside
        self.folio = folio
        self.seeds = np.random.SeedSequence(seed)
        self.host = gmap.BufferHost()
        self.region = self.host.map(NPAGES << 12, folio=folio)
        self.words = self.region.array.view(np.uint64)
        self.tags = TAG | np.arange(NPAGES, dtype=np.uint64)
        self.words[::512] = self.tags
        self.space = gmap.Gmap(self.host)
        self.log = gmap.SlotFlag.LOG_DIRTY_PAGES
        self.space.set_memory_region(0, BASE, NPAGES << 12, self.region.hva, self.log)
        self.other = gmap.Gmap(self.host)   # the same memory seen by another guest
        self.other.set_memory_region(7, 0, NPAGES << 12, self.region.hva)
        self.host_changes = threading.Lock()    # this process writes what a move may lose
        self.stop = threading.Event()
        self.failures = []
        self.turns = {}

    def span(self, rng, align=1, most=96):
        n = int(rng.integers(1, most)) * align
        first = int(rng.integers(0, NPAGES)) // align * align
        return first, min(n, NPAGES - first)

    # What each kind of thread does over and over.

    def fault(self, rng):
        gfns = (BASE >> 12) + rng.integers(0, NPAGES, 256).astype(np.uint64)
        codes = self.space.fault_in(gfns, rng.integers(0, 2, 256).astype(bool), errors="status")
        # No slot, or a write to what the host has protected for a moment.
        assert set(codes.tolist()) <= {0, 5, -errno.EFAULT}, codes
        self.other.fault_in(int(rng.integers(0, NPAGES)), bool(rng.integers(0, 2)), "status")

    def check(self, rng):
        for space, base in ((self.space, BASE), (self.other, 0)):
            pages = rng.integers(0, NPAGES, 512)
            gpa = base + (pages.astype(np.uint64) << np.uint64(12))
            reads, wrong, found = self.outside.check_words(space, gpa, self.tags[pages])
            assert wrong < 0, f"page {pages[wrong]:#x} reads {found:#x}"
            self.turns["reads"] = self.turns.get("reads", 0) + reads

    def translate(self, rng):
        gpa = BASE + (rng.integers(0, NPAGES, 5000).astype(np.uint64) << np.uint64(12))
        _, pic = self.space.translate(gpa)
        assert set(np.unique(pic).tolist()) <= {0, 0x10, 0x11, 0x3B}
        self.space.leaves(BASE, BASE + (1 << 20))

    def move(self, rng):
        with self.host_changes:
            first, n = self.span(rng)
            self.host.move(self.region.hva + (first << 12), n << 12)

    def discard(self, rng):
        with self.host_changes:
            first, n = self.span(rng, most=8)
            self.host.discard(self.region.hva + (first << 12), n << 12)
            self.words[first * 512: (first + n) * 512: 512] = self.tags[first: first + n]

    def reback(self, rng):
        with self.host_changes:
            first, n = self.span(rng, align=256, most=3)
            folio = ["4k", "1m"][int(rng.integers(0, 2))]
            self.host.reback(self.region.hva + (first << 12), n << 12, folio)

    def protect(self, rng):
        first, n = self.span(rng)
        self.host.protect(self.region.hva + (first << 12), n << 12, False)
        self.host.protect(self.region.hva + (first << 12), n << 12, True)

    def age(self, rng):
        first, n = self.span(rng)
        self.space.age((BASE >> 12) + first, n)
        self.space.test_age((BASE >> 12) + first, n)

    def unmap(self, rng):
        first, n = self.span(rng)
        self.space.unmap((BASE >> 12) + first, n)

    def sync(self, rng):
        with contextlib.suppress(gmap.ConfigError):  # the slot is on its way
            self.space.get_dirty_log(0)

    def split(self, rng):
        self.space.split_huge_pages()
        self.space.split((BASE >> 12) + int(rng.integers(0, NPAGES)))

    def slots(self, rng):
        time.sleep(0.002)
        self.space.set_memory_region(0, 0, 0, 0)
        self.space.set_memory_region(0, BASE, NPAGES << 12, self.region.hva, self.log)

    # Running them.

    def repeat(self, work, seed):
        rng = np.random.default_rng(seed)
        turns = 0
        try:
            while not self.stop.is_set():
                work(rng)
                turns += 1
        except BaseException as error:  # the main thread raises it
            self.failures.append(error)
            self.stop.set()
        self.turns[work.__name__] = self.turns.get(work.__name__, 0) + turns

    def run(self, seconds, works):
        threads = [
            threading.Thread(target=self.repeat, args=(getattr(self, work), seed))
            for work, seed in zip(works, self.seeds.spawn(len(works)), strict=True)
        ]
        for thread in threads:
            thread.start()
        self.stop.wait(seconds)
        self.stop.set()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), f"a thread hangs; turns so far {self.turns}"
        if self.failures:
            raise self.failures[0]


MIXES = {
    "host": ["fault", "fault", "check", "check", "move", "discard", "reback", "protect"],
    "guest": ["fault", "check", "translate", "age", "unmap", "sync", "split", "move"],
    "slots": ["fault", "fault", "check", "translate", "slots", "discard", "sync", "move"],
}


def campaign(mix, folio, seconds, outside, check_laws, seed):
    work = Campaign(folio, seed, outside)
    work.run(seconds, MIXES[mix])
    assert all(work.turns[name] > 0 for name in MIXES[mix]), work.turns
    assert work.turns["reads"] > 0
    check_laws(work.space)
    check_laws(work.other)
    # And it still works: everything maps, and every page is itself.
    work.space.fault_in((BASE >> 12) + np.arange(NPAGES, dtype=np.uint64))
    gpa = BASE + (np.arange(NPAGES, dtype=np.uint64) << np.uint64(12))
    assert (work.words[::512] == work.tags).all()
    reads, wrong, _ = outside.check_words(work.space, gpa, work.tags)
    assert (reads, wrong) == (NPAGES, -1)


@pytest.mark.parametrize("folio", ["4k", "1m"])
@pytest.mark.parametrize("mix", MIXES)
def test_short(mix, folio, outside, check_laws):
    campaign(mix, folio, 1.0, outside, check_laws, seed=1)


@pytest.mark.campaign
@pytest.mark.parametrize("folio", ["4k", "1m"])
@pytest.mark.parametrize("mix", MIXES)
def test_ten_minutes(mix, folio, outside, check_laws):
    campaign(mix, folio, 100.0, outside, check_laws, seed=int(time.time()))


def test_disjoint_faults_add_up(check_laws):
    """Threads on ranges of their own: every frame is linked once."""
    host = gmap.SyntheticHost(seed=3, fragmentation=0.3)
    region = host.map(1 << 30, folio="1m")
    space = gmap.Gmap(host)
    space.set_memory_region(0, 0, 1 << 30, region.hva)
    parts = np.array_split(np.random.default_rng(5).permutation(1 << 18).astype(np.uint64), 4)
    threads = [threading.Thread(target=space.fault_in, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert space.leaves()["size"].sum() == 1 << 30
    check_laws(space)


def test_same_faults_from_many_threads(check_laws):
    host = gmap.SyntheticHost()
    region = host.map(64 << 20)
    space = gmap.Gmap(host)
    space.set_memory_region(0, 0, 64 << 20, region.hva)
    gfns = np.arange(16384, dtype=np.uint64)
    threads = [threading.Thread(target=space.fault_in, args=(gfns, write))
               for write in (False, True) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert space.stats()["linked_4k"] == 16384
    assert not space.translate_write(gfns << np.uint64(12))[1].any()
    check_laws(space)
