"""Every allocation fails once: -ENOMEM or a retry, nothing half-changed, nothing lost."""

import errno
import gc

import numpy as np
import pytest
from guest import Guest

import gmap
from gmap._memory import failing_allocation, live_allocations

LOG = gmap.SlotFlag.LOG_DIRTY_PAGES


def state(host, space):
    """All that can be seen of an address space and its host; counters of work left out."""
    tables = {} if space is None else {k: v.tobytes() for k, v in space.tables().items()}
    slots = [] if space is None else space.memslots
    seen = []
    for region in host.regions.values():
        pages = region.hva + (np.arange(min(region.nbytes >> 12, 2048)) << 12)
        seen.append(host.lookup(pages).tobytes())
    return tables, slots, seen, sorted(host.regions)


def failures(prepare, act, *, may_succeed=True):
    """Run `act` with its first, second, ... allocation failing, until none fails.

    Each time on a fresh set-up. Yields (host, space, result or exception, state before).
    """
    for nth in range(1, 400):
        for forever in (False, True):
            host, space = prepare()
            before = state(host, space)
            with failing_allocation(nth, forever=forever) as happened:
                try:
                    result = act(host, space)
                except gmap.HostMemoryError as error:
                    result = error
                failed = happened()
            if not failed:
                assert nth > 1, "the action allocates nothing"
                return
            yield host, space, result, before
    pytest.fail("the action never stops allocating")


def fresh():
    host = gmap.SyntheticHost()
    region = host.map(64 << 20)
    space = gmap.Gmap(host, ipa_bits=44)
    space.set_memory_region(0, 1 << 30, 8 << 20, region.hva, LOG)
    space.fault_in(range(1 << 18, (1 << 18) + 600), write=True)
    return host, space


def hva(host):
    return next(iter(host.regions))


CHANGES = {
    "create": lambda h, s: s.set_memory_region(1, (1 << 40) + 4096, 4 << 20, hva(h)),
    "create with log": lambda h, s: s.set_memory_region(1, 5 << 30, 4 << 20, hva(h), LOG),
    "move": lambda h, s: s.set_memory_region(0, (1 << 42) + 8192, 8 << 20, hva(h), LOG),
    "move, log off": lambda h, s: s.set_memory_region(0, 1 << 35, 8 << 20, hva(h)),
    "delete": lambda h, s: s.set_memory_region(0, 0, 0, 0),
    "flags": lambda h, s: s.set_memory_region(0, 1 << 30, 8 << 20, hva(h), 0),
    "limit": lambda h, s: s.set_limit(0),
    "replace asce": lambda h, s: s.replace_asce(),
    "discard": lambda h, s: h.discard(hva(h) + 4096, 3 << 20),
    "move pages": lambda h, s: h.move(hva(h) + 4096, 3 << 20),
    "protect": lambda h, s: h.protect(hva(h) + 4096, 3 << 20, False),
    "collapse": lambda h, s: h.reback(hva(h), 2 << 20, "1m"),
    "answer": lambda h, s: h.answer(hva(h), 4096, "signal"),
    "map": lambda h, s: h.map(1 << 20),
    "unmap": lambda h, s: h.unmap(h.regions[hva(h)]),
}
HOST_CHANGES = ("discard", "move pages", "protect", "collapse", "answer", "unmap")


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_happens_or_does_not(name, check_laws):
    n = 0
    for host, space, result, before in failures(fresh, CHANGES[name]):
        n += 1
        if isinstance(result, Exception):
            after = state(host, space)
            assert after[1:] == before[1:]
            if name not in HOST_CHANGES:    # those may have unmapped what they meant to change
                assert after[0] == before[0]
        CHANGES[name](host, space)      # it goes through now, or has already
        check_laws(space)
    assert n


@pytest.mark.parametrize("write", [False, True])
def test_faults(write, check_laws):
    gfns = np.concatenate([np.arange(1 << 18, (1 << 18) + 2048, 100), [1 << 18, 5]])

    def act(host, space):
        return space.fault_in(gfns.astype(np.uint64), write, errors="status")

    def fewer_tables():
        host = gmap.SyntheticHost(seed=2, fragmentation=0.5)
        region = host.map(64 << 20, folio="1m")
        space = gmap.Gmap(host, ipa_bits=44)
        space.set_memory_region(0, 1 << 30, 8 << 20, region.hva)
        return host, space

    out_of_memory = 0
    for host, space, codes, _ in failures(fewer_tables, act):
        assert codes[-1] in (gmap.Pic.ADDRESSING, -errno.ENOMEM)
        assert set(codes[:-1].tolist()) <= {0, -errno.ENOMEM}
        mapped = space.translate(gfns[:-1].astype(np.uint64) << np.uint64(12))[1] == 0
        assert (mapped == (codes[:-1] == 0)).all() or (mapped[-1] and mapped[0])
        out_of_memory += (codes == -errno.ENOMEM).any()
        check_laws(space)
        assert not act(host, space)[:-1].any()
        check_laws(space)
    assert out_of_memory


def test_split(check_laws):
    def large():
        host = gmap.SyntheticHost()
        region = host.map(4 << 30, folio="2g")
        space = gmap.Gmap(host, allow_2g=True)
        space.set_memory_region(0, 0, 4 << 30, region.hva)
        space.fault_in([0, 1 << 19])
        return host, space

    for _, space, codes, _ in failures(large, lambda h, s: s.split([5, 300, (1 << 19) + 7])):
        assert set(codes.tolist()) <= {0, -errno.ENOMEM}
        assert space.leaves()["size"].sum() == 4 << 30
        check_laws(space)
        assert not space.split([5, 300, (1 << 19) + 7]).any()


def growth(act):
    """Allocations `act` leaves behind, once what earlier tests left is gone."""
    counts = []
    for _ in range(2):
        act()
        for _ in range(5):      # what one collection frees may hold the next one's last reference
            gc.collect()
        counts.append(live_allocations())
    return counts[1] - counts[0]


MAKE = {
    "space": lambda h, s: gmap.Gmap(h),
    "context": lambda h, s: gmap.FaultContext(s, async_limit=4),
    "leaves": lambda h, s: s.leaves(),
    "two levels": lambda h, s: gmap.TwoLevel(gmap.Stage1(sctlr=0), s),
}


@pytest.mark.parametrize("name", MAKE)
def test_making_things(name):
    def act():
        for _, space, result, _ in failures(fresh, MAKE[name]):
            assert isinstance(result, Exception)
            assert len(space.leaves()) == 600

    assert growth(act) == 0


@pytest.mark.parametrize("kind", [gmap.SyntheticHost, gmap.BufferHost])
def test_making_regions(kind):
    def act():
        for host, _, result, _ in failures(lambda: (kind(), None), lambda h, s: h.map(1 << 20)):
            assert isinstance(result, Exception)
            assert not host.regions
            host.map(1 << 20)

    assert growth(act) == 0


def test_buffer_host_keeps_contents():
    def prepare():
        host = gmap.BufferHost()
        region = host.map(4 << 20)
        region.array.view(np.uint64)[::512] = np.arange(1024)
        return host, None

    for act in (lambda h, s: h.move(hva(h) + 4096, 2 << 20),
                lambda h, s: h.reback(hva(h), 1 << 20, "1m")):
        for host, _, _, _ in failures(prepare, act):
            (region,) = host.regions.values()
            assert (region.array.view(np.uint64)[::512] == np.arange(1024)).all()
            act(host, None)
            assert (region.array.view(np.uint64)[::512] == np.arange(1024)).all()


def test_without_memory_for_a_tlb_translations_go_on():
    guest = Guest()
    for page in range(8):
        guest.map(page << 30, page * 4096)
    va = np.arange(8, dtype=np.uint64) << np.uint64(30)
    two = gmap.TwoLevel(guest.stage1(), guest.g)
    guest.fault_in_all()
    for nth in (1, 2):
        with failing_allocation(nth) as happened:
            pa, status = two.translate(va)
            assert happened() == (nth == 1)
        assert not status.any()
        assert pa.tolist() == [guest.hva(page * 4096) for page in range(8)]


def test_faulting_in_below_stage_1_without_memory():
    def prepare():
        guest = Guest()
        guest.map(0x5000, 0x7000)
        two = gmap.TwoLevel(guest.stage1(), guest.g, fault_in=True)
        return guest.host, (guest, two)

    for nth in range(1, 40):
        host, (guest, two) = prepare()
        with failing_allocation(nth, forever=True) as happened:
            pa, status = two.translate(np.uint64(0x5000))
            failed = happened()
        assert (int(pa), int(status)) in ((0, int(status)), (guest.hva(0x7000), 0))
        assert int(status) or pa
        assert int(two.translate(np.uint64(0x5000))[0]) == guest.hva(0x7000)
        if not failed:
            break
    assert nth > 2
    assert host.regions


def test_nothing_is_leaked():
    def act():
        host, space = fresh()
        for name in ("create", "discard", "move pages", "protect", "answer", "move", "limit"):
            CHANGES[name](host, space)
        vcpu = gmap.FaultContext(space, async_limit=3)
        assert live_allocations()
        assert vcpu.space is space.space

    assert growth(act) == 0
