"""Every branch of the fault-in state machine (faultin.md sections 2, 5, 6 and 14)."""

import errno
import signal
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gmap

# Bits of an entry under the manual's names.
W, D, Y, SD, PR, S, P, I = 0x20, 0x08, 0x04, 0x02, 0x01, 0x40, 0x200, 0x400  # noqa: E741


def pte(space, gfn):
    return space.walk(gfn, flags=gmap.Walk.IGN_HOLES).pte & 0xFFF


def test_read_maps_clean_and_protected(any_host, make_space, check_laws):
    space, _ = make_space(any_host)
    assert space.fault_in(7) == 0
    assert pte(space, 7) == P | W | Y | PR
    assert space.translate_write(7 << 12)[1] == gmap.Pic.PROTECTION
    check_laws(space)


def test_store_after_read_is_minor(any_host, make_space, check_laws):
    space, _ = make_space(any_host)
    space.fault_in(7)
    assert space.fault_in(7, write=True) == 0
    assert pte(space, 7) == W | D | Y | SD | PR
    stats = space.stats()
    assert (stats["major"], stats["minor"], stats["host_dirtied"]) == (1, 1, 1)
    check_laws(space)


def test_first_write_is_dirty_without_soft_dirty(any_host, make_space):
    space, _ = make_space(any_host)
    space.fault_in(7, write=True)
    assert pte(space, 7) == W | D | Y | PR


def test_old_page_comes_back_young(any_host, make_space):
    space, _ = make_space(any_host)
    space.fault_in(7, write=True)
    assert space.age(7, 1)
    assert pte(space, 7) == I | P | W | SD | PR     # soft-dirty keeps the unlogged write
    assert space.translate(7 << 12)[1] == gmap.Pic.PAGE_TRANSLATION
    space.fault_in(7)
    assert pte(space, 7) == P | W | Y | SD | PR
    assert space.stats()["minor"] == 1


def test_upstream_aging_on_request(host, make_space):
    space, _ = make_space(host, quirks=["age-loses-dirty"])
    space.fault_in(7, write=True)
    space.age(7, 1)
    assert pte(space, 7) == I | P | W | PR


def test_no_slot_is_addressing(any_host, make_space, check_laws):
    space, _ = make_space(any_host)
    beyond = [0x800, 1 << 28, 1 << 30, (1 << 52) - 1]
    assert (space.fault_in(beyond, errors="status") == gmap.Pic.ADDRESSING).all()
    with pytest.raises(gmap.FaultError, match=r"gfn 0x800.*no memory slot") as caught:
        space.fault_in(0x800)
    assert (caught.value.gfn, caught.value.code) == (0x800, 5)
    check_laws(space)


@pytest.mark.parametrize(
    ("outcome", "write", "code"),
    [
        ("signal", False, -errno.EINTR),
        ("read_only", True, -errno.EOPNOTSUPP),
        ("hwpoison", False, -errno.EFAULT),
        ("no_mapping", False, -errno.EFAULT),
        ("needs_io", False, 0),
        ("needs_io_always", False, -errno.EFAULT),
    ],
)
def test_lookup_outcomes(any_host, make_space, check_laws, outcome, write, code):
    space, region = make_space(any_host)
    any_host.answer(region.hva + 4096, 4096, outcome)
    codes = space.fault_in([0, 1, 2], write, errors="status")
    if outcome == "needs_io_always":
        code = -errno.EAGAIN        # not asked to go asynchronous: S5a
    assert codes.tolist() == [0, code, 0]
    any_host.answer(region.hva, region.nbytes, "ok")
    assert space.fault_in([0, 1, 2], write).tolist() == [0, 0, 0]
    check_laws(space)


def test_read_only_outcome_maps_reads_unwritable(any_host, make_space):
    space, region = make_space(any_host)
    any_host.answer(region.hva, 4096, "read_only")
    assert space.fault_in(0) == 0
    assert pte(space, 0) == P | Y | PR
    assert space.fault_in(0, write=True, errors="status") == -errno.EOPNOTSUPP


def test_answers_run_out(host, make_space):
    space, region = make_space(host)
    host.answer(region.hva, 4096, "hwpoison", times=2)
    assert [space.fault_in(0, errors="status") for _ in range(3)] == [-errno.EFAULT] * 2 + [0]


class TestNeedsIo:
    """S5a: the host would have to wait."""

    @pytest.fixture
    def space(self, host, make_space):
        space, region = make_space(host, pfault=True)
        host.answer(region.hva, region.nbytes, "needs_io", times=1)
        return space

    def test_without_a_vcpu(self, space):
        assert space.fault_in(0, errors="status", pfault=True) == -errno.EINVAL

    def test_asynchronous(self, space, check_laws):
        vcpu = gmap.FaultContext(space, id=3, async_limit=1)
        vcpu.pstate, vcpu.pc = 0x3C5, 0x8000_1000
        assert vcpu.fault_in(9, pfault=True) == 0
        assert len(space.leaves()) == 0
        assert vcpu.take_async().tolist() == [9]
        assert vcpu.take_async().tolist() == []
        (event,) = space.pfault_events()
        assert event.tolist() == (3, 0x3C5, 0x8000_1000, 9)
        assert space.stats()["async"] == 1
        check_laws(space)

    def test_no_room_resolves_synchronously(self, space, check_laws):
        vcpu = gmap.FaultContext(space, async_limit=0)
        assert vcpu.fault_in(9, pfault=True) == 0
        assert len(space.leaves()) == 1
        assert space.stats()["pfault_sync"] == 1
        assert len(space.pfault_events()) == 1
        check_laws(space)

    def test_not_enabled_resolves_synchronously(self, host, make_space):
        space, region = make_space(host)
        host.answer(region.hva, 4096, "needs_io", times=1)
        vcpu = gmap.FaultContext(space, async_limit=8)
        assert vcpu.fault_in(0, pfault=True) == 0
        assert space.stats()["pfault_sync"] == 1

    def test_io_error_after_waiting(self, host, make_space):
        space, region = make_space(host, pfault=True)
        host.answer(region.hva, 4096, "needs_io_always")
        vcpu = gmap.FaultContext(space)
        assert vcpu.fault_in(0, errors="status", pfault=True) == -errno.EFAULT

    def test_event_ring_keeps_the_last(self, host, make_space):
        space, region = make_space(host)
        host.answer(region.hva, region.nbytes, "needs_io")
        gmap.FaultContext(space).fault_in(range(300), pfault=True)
        assert space.pfault_events()["gfn"].tolist() == list(range(44, 300))


def test_protected_host_page(any_host, make_space, check_laws):
    space, region = make_space(any_host)
    space.fault_in(range(4), write=True)
    any_host.protect(region.hva, 8192, False)
    assert space.translate_write(np.arange(4) << 12)[1].tolist() == [0x11, 0x11, 0, 0]
    codes = space.fault_in(range(4), write=True, errors="status")
    assert codes.tolist() == [-errno.EFAULT] * 2 + [0, 0]
    assert space.fault_in(range(2)).tolist() == [0, 0]
    assert [pte(space, gfn) for gfn in range(2)] == [P | Y | PR] * 2
    any_host.protect(region.hva, 4096, True)
    assert space.fault_in(0, write=True) == 0
    check_laws(space)


def test_read_only_region(host, make_space):
    region = host.map(1 << 20, writable=False)
    space = gmap.Gmap(host)
    space.set_memory_region(0, 0, region.nbytes, region.hva)
    assert space.fault_in(0, write=True, errors="status") == -errno.EFAULT
    assert space.fault_in(0) == 0


def test_read_only_slot(host, make_space):
    space, _ = make_space(host, readonly_mem=True, flags=gmap.SlotFlag.READONLY)
    assert space.fault_in(0, write=True, errors="status") == -errno.EOPNOTSUPP
    assert space.fault_in(0) == 0
    assert pte(space, 0) == P | Y | PR
    assert space.fault_in(0, write=True, errors="status") == -errno.EOPNOTSUPP


def test_device_mapping_is_special(any_host, make_space, check_laws):
    space, region = make_space(any_host, pfnmap=True, folio="1m")
    assert space.fault_in([0, 1], write=np.array([False, True])).tolist() == [0, 0]
    assert [pte(space, gfn) for gfn in (0, 1)] == [S | P | W | Y | PR, S | W | D | Y | PR]
    assert space.stats()["host_dirtied"] == 0
    any_host.protect(region.hva, 4096, False)
    assert space.fault_in(0, write=True, errors="status") == -errno.EOPNOTSUPP
    check_laws(space)


def test_unmapped_host_memory(any_host, make_space, check_laws):
    space, region = make_space(any_host)
    space.fault_in(range(8), write=True)
    region.close()
    assert len(space.leaves()) == 0
    assert space.fault_in(0, errors="status") == -errno.EFAULT
    check_laws(space)


class TestLargeFrames:
    """Link levels (dat-gmap.md 11.2)."""

    @pytest.mark.parametrize(
        ("folio", "options", "level", "size"),
        [
            ("4k", {}, -1, 1 << 12),
            ("1m", {}, 0, 1 << 20),
            ("1m", {"allow_1m": False}, -1, 1 << 12),
            ("2g", {}, 0, 1 << 20),
            ("2g", {"allow_2g": True}, 1, 2 << 30),
            ("2g", {"allow_1m": False, "allow_2g": True}, 1, 2 << 30),
            ("2g", {"allow_1m": False}, -1, 1 << 12),
        ],
    )
    def test_level_by_folio_and_permission(self, host, make_space, folio, options, level, size,
                                           check_laws):
        space, _ = make_space(host, 4 << 30, folio=folio, **options)
        space.fault_in(0x80234)
        (leaf,) = space.leaves()
        assert (leaf["level"], leaf["size"]) == (level, size)
        assert leaf["gpa"] == 0x80234 << 12 & ~(size - 1)
        check_laws(space)

    def test_entry_values(self, host, make_space):
        space, _ = make_space(host, 4 << 30, folio="1m")
        space.fault_in(0)
        space.fault_in(256, write=True)
        clean, dirty = space.leaves()["entry"] & np.uint64(0xFFFFF)
        assert (clean, dirty) == (0x4E01, 0x5C01)       # dat-gmap.md 2.5
        space.fault_in(5, write=True)
        assert space.leaves()["entry"][0] & np.uint64(0xFFFFF) == 0x5C03

    def test_region3_entry_value(self, host, make_space):
        space, _ = make_space(host, 4 << 30, folio="2g", allow_2g=True)
        space.fault_in(0x12345, write=True)
        (leaf,) = space.leaves()
        assert leaf["entry"] & np.uint64(0x7FFFFFFF) == 0x5C05
        assert leaf["pa"] % (2 << 30) == 0
        assert space.translate_one(0x12345 << 12) == leaf["pa"] + (0x12345 << 12)

    @pytest.mark.parametrize("base", [4096, 1 << 19])
    def test_misaligned_slot_uses_pages(self, host, make_space, base):
        space, _ = make_space(host, 4 << 20, base=base, folio="1m")
        space.fault_in(base + (1 << 20) >> 12)
        assert space.leaves()["level"].tolist() == [-1]

    def test_slot_that_holds_part_of_a_frame(self, host):
        region = host.map(4 << 20, folio="1m")
        space = gmap.Gmap(host)
        space.set_memory_region(0, 0, (1 << 20) + 4096, region.hva)
        space.fault_in([0, 256])
        assert space.leaves()["level"].tolist() == [0, -1]

    def test_2g_over_a_sparse_segment_table(self, host, make_space, check_laws):
        """The kernel loops for ever here (11.2, last trap)."""
        space, region = make_space(host, 2 << 30, folio="2g", allow_2g=True)
        host.reback(region.hva, 1 << 20, "4k")
        space.fault_in(0)
        host.reback(region.hva, 2 << 30, "2g")
        assert space.fault_in([300, 0]).tolist() == [0, 0]
        assert space.leaves()["level"].tolist() == [-1, 0]
        check_laws(space)

    def test_young_and_dirty_by_minor_fault(self, host, make_space, check_laws):
        space, _ = make_space(host, 4 << 20, folio="1m")
        space.fault_in(0, write=True)
        space.age(0, 1)
        assert space.leaves()["young"].tolist() == [False]
        space.fault_in(17)
        (leaf,) = space.leaves()
        assert (leaf["young"], leaf["dirty"], leaf["protected"]) == (True, False, True)
        space.fault_in(17, write=True)
        assert space.stats()["minor"] == 2
        check_laws(space)


class TestInvalidation:
    """Section 3: a lookup that may be stale is made again."""

    def test_fault_waits_for_an_invalidation(self, host, make_space, check_laws):
        space, _ = make_space(host)
        done = threading.Event()
        results = []

        def fault():
            results.append(space.fault_in([10, 11]).tolist())
            done.set()

        with space.invalidating(0, 16):
            thread = threading.Thread(target=fault)
            thread.start()
            assert not done.wait(0.05)
            assert space.fault_in(100) == 0     # outside the range nothing waits
            assert len(space.leaves()) == 1
        thread.join(10)
        assert results == [[0, 0]]
        assert space.stats()["retries"] > 0
        check_laws(space)

    def test_a_batch_outside_the_range_does_not_wait(self, host, make_space):
        space, _ = make_space(host)
        with space.invalidating(0, 16):
            assert not space.fault_in(range(16, 200)).any()

    def test_every_change_of_the_host_unmaps(self, any_host, make_space, check_laws):
        space, region = make_space(any_host, 4 << 20)
        changes = [
            lambda hva: any_host.discard(hva, 8192),
            lambda hva: any_host.move(hva, 8192),
            lambda hva: any_host.protect(hva, 8192, True),
            lambda hva: any_host.answer(hva, 8192, "ok"),
        ]
        for change in changes:
            space.fault_in(range(8))
            change(region.hva + 8192)
            assert (space.leaves()["gpa"] >> np.uint64(12)).tolist() == [0, 1, 4, 5, 6, 7]
        space.fault_in(range(8))
        any_host.reback(region.hva, 1 << 20, "1m")
        assert len(space.leaves()) == 0
        check_laws(space)

    def test_every_space_of_a_host_hears(self, host, make_space):
        first, region = make_space(host)
        second = gmap.Gmap(host)
        second.set_memory_region(5, 1 << 30, region.nbytes, region.hva)
        first.fault_in(0)
        second.fault_in(1 << 18)
        host.discard(region.hva, 4096)
        assert len(first.leaves()) == len(second.leaves()) == 0


class TestGuestPages:
    def test_frames_are_those_of_the_host(self, any_host, make_space, check_laws):
        space, region = make_space(any_host)
        with space.get_guest_pages(3, 4, write=True) as pages:
            expected = any_host.lookup(region.hva + (np.arange(3, 7) << 12))["pfn"]
            assert (pages.pfn == expected).all()
            assert pages.writable.all()
            assert space.stats()["pages_pinned"] == 4
            assert space.stats()["pages_released"] == 0
        check_laws(space)
        assert len(space.leaves()) == 0

    def test_no_pages(self, host, make_space):
        """The kernel returns whatever was on the stack (section 4)."""
        space, _ = make_space(host)
        assert space.get_guest_pages(0, 0).pfn.size == 0

    @pytest.mark.parametrize(
        ("outcome", "code"),
        [("signal", -errno.EINTR), ("read_only", -errno.EFAULT), ("hwpoison", -errno.EFAULT),
         ("needs_io_always", -errno.EAGAIN)],
    )
    def test_errors(self, host, make_space, check_laws, outcome, code):
        space, region = make_space(host)
        host.answer(region.hva + 8192, 4096, outcome)
        with pytest.raises(gmap.FaultError) as caught:
            space.get_guest_pages(0, 4, write=True)
        assert (caught.value.gfn, caught.value.code) == (2, code)
        check_laws(space)

    def test_no_slot(self, host, make_space):
        space, _ = make_space(host)
        with pytest.raises(gmap.FaultError) as caught:
            space.get_guest_pages((8 << 20 >> 12) - 1, 2)
        assert caught.value.code == gmap.Pic.ADDRESSING

    def test_need_retry(self, host, make_space):
        space, _ = make_space(host)
        pages = space.get_guest_pages(0, 2)
        assert not pages.need_retry()
        with space.invalidating(1, 1):
            assert pages.need_retry()
        assert pages.need_retry()
        pages.release()
        pages.release()
        assert space.stats()["pages_released"] == 2


@pytest.mark.parametrize(("folio", "first"), [("1m", 5), ("2g", 5), ("2g", 1 << 18)])
def test_a_large_frame_is_not_mapped_over_an_invalidation(host, make_space, folio, first):
    space, _ = make_space(host, 2 << 30, folio=folio, allow_2g=True)
    fault = threading.Thread(target=space.fault_in, args=(first,))
    with space.invalidating(0, 1):
        fault.start()
        time.sleep(0.05)
        assert len(space.leaves(0, 4096)) == 0
    fault.join()
    assert len(space.leaves(first << 12, (first + 1) << 12)) == 1


@pytest.fixture
def interruptible():
    """A process started in the background ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interrupt_ends_a_fault_that_waits(host, make_space, check_laws):
    space, _ = make_space(host)
    with space.invalidating(0, 16):
        timer = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
        timer.start()
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            space.fault_in(np.arange(1000, dtype=np.uint64))
        assert time.monotonic() - started < 20
        timer.join()
    assert space.stats()["error_eintr"] > 0
    assert not space.fault_in(range(1000)).any()
    check_laws(space)


@settings(deadline=None, max_examples=60)
@given(
    faults=st.lists(st.tuples(st.integers(0, 1100), st.booleans()), min_size=1, max_size=300),
    folio=st.sampled_from(["4k", "1m"]),
    aged=st.booleans(),
)
def test_a_batch_is_its_faults_in_order(faults, folio, aged):
    """Duplicates, mixed reads and writes: the tables end as after single faults."""
    twins = []
    for _ in range(2):
        host = gmap.SyntheticHost(seed=1, fragmentation=0.5)
        region = host.map(4 << 20, folio=folio)
        space = gmap.Gmap(host)
        space.set_memory_region(0, 0, region.nbytes, region.hva)
        space.fault_in(range(0, 1024, 3), write=True)
        if aged:
            space.age(0, 512)
        twins.append(space)
    gfns = np.array([gfn for gfn, _ in faults], dtype=np.uint64)
    writes = np.array([write for _, write in faults])
    batch = twins[0].fault_in(gfns, writes, errors="status")
    single = [twins[1].fault_in(gfn, write, errors="status") for gfn, write in faults]
    assert batch.tolist() == single
    one, other = (space.tables() for space in twins)
    assert one.keys() == other.keys()
    for key, table in one.items():
        assert (table == other[key]).all()
    # A batch asks the host twice for a frame that is in it twice.
    ignored = ("topups", "pages_pinned", "pages_released", "table_bytes_mapped")
    counts = [{k: v for k, v in s.stats().items() if k not in ignored} for s in twins]
    assert counts[0] == counts[1]


def test_what_a_batch_remembers_of_tables_dies_with_them(host):
    """Faults keep segment tables in mind between holds of the lock: not past a slot change.

    What is linked into a table nobody leads to any more is never unmapped.
    """
    region = host.map(8 << 30)
    space = gmap.Gmap(host, ipa_bits=44)
    gfns = np.random.default_rng(2).integers(0, 1 << 21, 200_000).astype(np.uint64)
    codes = set()

    def fault():
        while not stop.is_set():
            codes.update(np.unique(space.fault_in(gfns, True, errors="status")).tolist())

    stop = threading.Event()
    thread = threading.Thread(target=fault)
    thread.start()
    try:
        for _ in range(40):
            space.set_memory_region(0, 0, 8 << 30, region.hva)
            time.sleep(0.002)
            space.set_memory_region(0, 0, 0, 0)
    finally:
        stop.set()
        thread.join()
    assert codes == {0, gmap.Pic.ADDRESSING}
    assert len(space.leaves()) == 0
    stats = space.stats()
    assert stats["major"] == stats["removed_4k"]
