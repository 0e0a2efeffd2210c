"""Faults of a running vCPU that meet a change from another thread (faultin.md 2, 3 and 14)."""

import contextlib
import threading
import time

import numpy as np
import pytest

from saecore import kvm
from saecore.kvm import reg
from saecore.kvm._playback import SlotReader, last_fault

RAM, HOLE, NBYTES = 0x4000_0000, 0x8000_0000, 1 << 20
LOAD = RAM + 4
VBAR = RAM + 0x1000
CODE = [
    0xD2B00000,  # mov x0, #0x80000000
    0xF9400401,  # ldr x1, [x0, #8]
    0x17FFFFFF,  # b -4
]
#: Read one page after the other, x0 the first.
SWEEP = [
    0xF9400001,  # ldr x1, [x0]
    0x91400400,  # add x0, x0, #4096
    0x17FFFFFE,  # b -8
]


@pytest.fixture
def m(machine):
    """A machine with a second slot, at `HOLE`, and a guest that reads there."""
    m = machine(CODE)
    m.second = m.vm.host.map(NBYTES)
    m.second.array[8] = 77
    m.vcpu.set_one_reg(reg.VBAR_EL1, VBAR)
    m.vcpu.run(max_insns=1)
    return m


def slot(m, nbytes=NBYTES):
    m.vm.set_user_memory_region(1, HOLE, nbytes, m.second.hva)


@contextlib.contextmanager
def thread(function, *args, **options):
    """Run a function beside the body; its result is in the list, and it has ended."""
    results = []
    running = threading.Thread(target=lambda: results.append(function(*args, **options)))
    running.start()
    try:
        yield results
    finally:
        running.join(20)
        assert not running.is_alive()


def wait_for(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.0005)


def stays(results):
    """Nothing comes of it as long as nothing changes."""
    time.sleep(0.02)
    return results == []


def test_a_fault_is_retried_while_its_page_is_invalidated(m):
    slot(m)
    with contextlib.ExitStack() as after, m.vm.gmap.invalidating(HOLE >> 12, 1):
        results = after.enter_context(thread(m.vcpu.run, max_insns=1))
        wait_for(lambda: last_fault(m.vcpu) == LOAD)
        assert stays(results)
        assert m.vm.gmap.translate(HOLE)[1] != 0
    assert results == [kvm.Budget()]
    assert m.vcpu.regs.x[1] == 77
    assert m.vm.gmap.stats()["retries"] > 0


def test_a_mapped_page_is_lost_while_it_is_invalidated(m):
    slot(m)
    m.vcpu.run(max_insns=2)
    before = m.vm.gmap.stats()["major"]
    with contextlib.ExitStack() as after, m.vm.gmap.invalidating(HOLE >> 12, 1):
        m.second.array[8] = 78
        results = after.enter_context(thread(m.vcpu.run, max_insns=1))
        assert stays(results)
    assert results == [kvm.Budget()]
    assert m.vcpu.regs.x[1] == 78
    assert m.vm.gmap.stats()["major"] == before + 1


def test_pages_beside_an_invalidation_do_not_wait(m):
    slot(m)
    with m.vm.gmap.invalidating((HOLE >> 12) + 1, 100):
        assert m.vcpu.run(max_insns=1) == kvm.Budget()
    assert m.vcpu.regs.x[1] == 77


def test_a_slot_that_goes_between_two_turns_is_a_size_fault(m):
    """The handler found the slot, the lookup does not."""
    slot(m)
    with contextlib.ExitStack() as after, m.vm.gmap.invalidating(HOLE >> 12, 1):
        results = after.enter_context(thread(m.vcpu.run, max_insns=1))
        wait_for(lambda: last_fault(m.vcpu) == LOAD)
        assert stays(results)
        slot(m, 0)
    assert results == [kvm.Budget()]
    assert m.vcpu.get_one_reg(reg.PC) == VBAR + 0x200
    assert m.vcpu.get_one_reg(reg.ELR_EL1) == LOAD
    assert m.vcpu.read_saved("ESR_EL1") == 0x25 << 26 | 1 << 25
    assert m.vm.gmap.stats()["error_addressing"] == 1


def test_a_slot_that_moves_between_two_turns(m):
    """A move is a deletion for who waits at the old place."""
    slot(m)
    with contextlib.ExitStack() as after, m.vm.gmap.invalidating(HOLE >> 12, 1):
        results = after.enter_context(thread(m.vcpu.run, max_insns=1))
        wait_for(lambda: last_fault(m.vcpu) == LOAD)
        m.vm.set_user_memory_region(1, HOLE + NBYTES, NBYTES, m.second.hva)
    assert results == [kvm.Budget()]
    assert m.vcpu.get_one_reg(reg.ELR_EL1) == LOAD
    m.vcpu.regs.pc, m.vcpu.regs.x[0] = LOAD, HOLE + NBYTES
    assert m.vcpu.run(max_insns=1) == kvm.Budget()
    assert m.vcpu.regs.x[1] == 77


def read_until_memory(vcpu):
    """Read until it is no MMIO."""
    while isinstance(exit := vcpu.run(max_insns=1), kvm.Mmio):
        vcpu.immediate_exit = True  # finish it, and read once more
        vcpu.run()
        vcpu.immediate_exit = False
        vcpu.set_one_reg(reg.PC, LOAD)
    return exit


def test_a_fault_waits_for_the_commit_of_a_new_slot(m):
    """The slot is published and its range still a hole: the link fails until it is painted."""
    with contextlib.ExitStack() as after, SlotReader(m.vm.gmap):
        created = after.enter_context(thread(slot, m))
        results = after.enter_context(thread(read_until_memory, m.vcpu))
        wait_for(lambda: last_fault(m.vcpu) == LOAD)
        assert stays(results)
        assert created == []
        assert m.vm.gmap.translate(HOLE)[1] != 0
    assert results == [kvm.Budget()]
    assert m.vcpu.regs.x[1] == 77
    assert m.vm.gmap.stats()["retries"] > 0
    assert m.vm.gmap.stats()["error_addressing"] == 0


def test_a_slot_on_its_way_out(m):
    """Mapped pages are there until whoever found the slot is done; others are memory no more."""
    slot(m)
    m.vcpu.run(max_insns=2)
    retries = m.vm.gmap.stats()["retries"]
    with contextlib.ExitStack() as after, SlotReader(m.vm.gmap):
        deleted = after.enter_context(thread(slot, m, 0))
        m.load(SWEEP)
        m.vcpu.regs.pc, m.vcpu.regs.x[0] = RAM, HOLE + 4096
        # Until the deletion is published, pages are still found: a page at a time, so that there
        # are some left when it is.
        exit = m.vcpu.run(max_insns=3)
        while exit == kvm.Budget() and m.vcpu.regs.x[0] < HOLE + NBYTES:
            time.sleep(0.005)
            exit = m.vcpu.run(max_insns=3)
        assert isinstance(exit, kvm.Mmio)
        assert deleted == []
        m.vcpu.immediate_exit = True
        m.vcpu.run()
        m.vcpu.immediate_exit = False
        m.vcpu.regs.pc, m.vcpu.regs.x[0] = RAM, HOLE
        assert m.vcpu.run(max_insns=1) == kvm.Budget()
    assert m.vm.gmap.stats()["retries"] == retries  # the sequence has not moved
    assert len(m.vm.gmap.leaves(HOLE, HOLE + NBYTES)) == 0
    m.vcpu.regs.pc, m.vcpu.regs.x[0] = RAM, HOLE
    assert isinstance(m.vcpu.run(max_insns=1), kvm.Mmio)


def test_no_write_is_lost_to_a_host_that_moves_pages(machine):
    """The invalidation protocol as a whole: the guest counts in a page that moves all the time."""
    m = machine(
        [
            0xF9400001,  # ldr x1, [x0]
            0x91000421,  # add x1, x1, #1
            0xF9000001,  # str x1, [x0]
            0x17FFFFFD,  # b -12
        ]
    )
    page = RAM + 0x10_0000
    m.vcpu.regs.x[0] = page
    stop = threading.Event()

    def count():
        while not stop.is_set():
            assert m.vcpu.run(max_insns=4000) == kvm.Budget()

    moves = 0
    with thread(count):
        end = time.monotonic() + 0.4
        while time.monotonic() < end:
            m.vm.host.move(m.region.hva + page - RAM, 4096)
            moves += 1
        stop.set()
    counted = m.region.array[page - RAM :][:8].view("<u8")[0]
    assert counted * 4 == m.vcpu.n_insns
    assert moves > 10
    assert m.vm.gmap.stats()["major"] > 5


def test_slots_come_and_go_under_a_guest(machine):
    """Whatever turn a fault takes, it ends as one of the three that are documented, and nothing
    of a slot that is gone stays mapped."""
    m = machine(SWEEP)
    second = m.vm.host.map(NBYTES)
    skip = [
        0xD5384021,  # mrs x1, elr_el1
        0x91001021,  # add x1, x1, #4
        0xD5184021,  # msr elr_el1, x1
        0xD69F03E0,  # eret
    ]
    m.load(skip, at=VBAR + 0x200)
    m.vcpu.set_one_reg(reg.VBAR_EL1, VBAR)
    stop = threading.Event()
    seen = set()

    def sweep():
        while not stop.is_set():
            m.vcpu.regs.pc, m.vcpu.regs.x[0] = RAM, HOLE
            while int(m.vcpu.regs.x[0]) < HOLE + NBYTES and not stop.is_set():
                exit = m.vcpu.run(max_insns=30)
                seen.add(type(exit))
                assert isinstance(exit, kvm.Budget | kvm.Mmio)

    with thread(sweep):
        end = time.monotonic() + 0.4
        while time.monotonic() < end:
            m.vm.set_user_memory_region(1, HOLE, NBYTES, second.hva)
            time.sleep(0.001)
            m.vm.set_user_memory_region(1, HOLE, 0, second.hva)
            assert len(m.vm.gmap.leaves(HOLE, HOLE + NBYTES)) == 0
        stop.set()
    assert seen == {kvm.Budget, kvm.Mmio}
    stats = m.vm.gmap.stats()
    assert stats["lookups"] == stats["minor"] + stats["major"] + stats["error_addressing"]
    assert np.array_equal(second.array, np.zeros(NBYTES, np.uint8))
