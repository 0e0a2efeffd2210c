"""The facade with guests that run: what the example in its documentation promises."""

import contextlib
import errno
import os
import signal
import threading
import time

import numpy as np
import pytest

from saecore import kvm
from saecore.kvm import reg

RAM = 0x4000_0000
POWER_OFF = [
    0x52800100,  # mov w0, #8
    0x72B08000,  # movk w0, #0x8400, lsl #16
    0xD4000002,  # hvc #0
]
HELLO = [
    0xD2A12000,  # mov x0, #0x09000000
    0x52800821,  # mov w1, #'A'
    0x39000001,  # strb w1, [x0]
    0x79803005,  # ldrsh x5, [x0, #0x18]
    *POWER_OFF,
]
TOUCH = [
    0xD2A80020,  # mov x0, #0x40010000
    0xD2800201,  # mov x1, #16
    0xF9000001,  # str x1, [x0]
    0x91400400,  # add x0, x0, #4096
    0xF1000421,  # subs x1, x1, #1
    0x54FFFFA1,  # b.ne -12
    *POWER_OFF,
]
SPIN = [
    0x91000400,  # add x0, x0, #1
    0x17FFFFFF,  # b -4
]
WAIT = [
    0xD503207F,  # wfi
    0x17FFFFFF,  # b -4
]


def test_mmio_and_power_off(machine):
    m = machine(HELLO)
    assert m.vcpu.run() == kvm.Mmio(0x0900_0000, b"A", 1, True)
    exit = m.vcpu.run()
    match exit:
        case kvm.Mmio(phys_addr=0x0900_0018, len=2, is_write=False):
            exit.reply(0x8001)
    assert m.vcpu.run() == kvm.SystemEvent(kvm.uapi.SystemEventType.SHUTDOWN, (0,))
    assert m.vcpu.regs.x[5] == 0xFFFF_FFFF_FFFF_8001
    assert m.vcpu.n_insns == len(HELLO)
    assert m.vcpu.stats()["mmio_exit_user"] == 2


def test_demand_paging(machine):
    m = machine(TOUCH, slot_flags=kvm.uapi.MemFlag.LOG_DIRTY_PAGES)
    assert isinstance(m.vcpu.run(), kvm.SystemEvent)
    words = m.region.array.view("<u8").reshape(-1, 512)[16:32, 0]
    assert list(words) == list(range(16, 0, -1))
    dirty = np.unpackbits(m.vm.get_dirty_log(0).view(np.uint8), bitorder="little")
    assert set(np.flatnonzero(dirty)) == set(range(16, 32))
    stats = m.vm.gmap.stats()
    assert stats["major"] == 17     # the code's page, and each page touched
    assert stats["lookups"] == stats["major"] + stats["minor"]


def test_pages_that_age_are_minor_faults(machine):
    m = machine(TOUCH)
    m.vcpu.run()
    before = m.vm.gmap.stats()["minor"]
    assert m.vm.gmap.age(RAM >> 12, 64)
    m.vcpu.init(m.vm.preferred_target())
    m.vcpu.set_one_reg(reg.PC, RAM)
    m.vcpu.run()
    assert m.vm.gmap.stats()["minor"] - before == 17


@pytest.mark.parametrize("steps", [[1] * 50, [7, 13, 30], [50]])
def test_budget_is_exact(steps, machine):
    m = machine(SPIN)
    for n in steps:
        assert m.vcpu.run(max_insns=n) == kvm.Budget()
    assert m.vcpu.n_insns == sum(steps)
    assert m.vcpu.regs.x[0] == 25
    assert m.vcpu.regs.pc == RAM


@pytest.mark.parametrize("budget", [1, 2, 3, 10, 11, 100, 5000])
@pytest.mark.parametrize("traced", [False, True])
def test_wfi_counts_once(budget, traced, machine):
    m = machine([
        0xD503207F,  # wfi
        0x91000400,  # add x0, x0, #1
        0x17FFFFFE,  # b -8
    ])
    with m.vm.trace() if traced else contextlib.nullcontext() as recorder:
        m.vcpu.run(max_insns=budget)
        fetches = len(recorder.take()) if traced else budget
    assert m.vcpu.n_insns == fetches == budget
    assert m.vcpu.regs.x[0] == (budget + 1) // 3
    assert m.vcpu.regs.pc == RAM + budget % 3 * 4


@pytest.mark.parametrize(
    "word", [0xD4000003, 0x00000000, 0xD538CC00], ids=["smc", "udf", "mrs of a GIC register"]
)
def test_what_gets_an_exception_counts_once(word, machine):
    """Whether the processor takes it or it is injected: EL1's handler goes on behind it."""
    vector = [
        0xD5384021,  # mrs x1, elr_el1
        0x91001021,  # add x1, x1, #4
        0xD5184021,  # msr elr_el1, x1
        0xD69F03E0,  # eret
    ]
    m = machine([word, 0x17FFFFFF, *[0] * 126, *vector])   # b -4
    m.vcpu.write_saved("VBAR_EL1", RAM)
    for budget in [*range(1, 20), 100, 5000]:
        before = m.vcpu.n_insns
        assert m.vcpu.run(max_insns=budget) == kvm.Budget()
        assert m.vcpu.n_insns - before == budget
    done = m.vcpu.n_insns % 6
    assert m.vcpu.regs.pc == RAM + [0, 0x200, 0x204, 0x208, 0x20C, 4][done]


def test_budget_over_an_mmio(machine):
    m = machine(HELLO)
    assert isinstance(m.vcpu.run(max_insns=100), kvm.Mmio)
    assert m.vcpu.n_insns == 2
    assert m.vcpu.run(max_insns=1) == kvm.Budget()
    assert m.vcpu.n_insns == 3
    assert m.vcpu.regs.pc == RAM + 12


def test_trapped_registers(machine):
    m = machine([
        0xD5380400,  # mrs x0, id_aa64pfr0_el1
        0xD53B0021,  # mrs x1, ctr_el0
        0xD5390022,  # mrs x2, clidr_el1
        0xD53800C3,  # mrs x3, revidr_el1
    ])
    get = m.vcpu.get_one_reg
    pfr0 = get(reg.ID_AA64PFR0_EL1) & ~(0xF << 56)
    m.vcpu.set_one_reg(reg.ID_AA64PFR0_EL1, pfr0)
    m.vcpu.run(max_insns=4)
    assert [int(x) for x in m.vcpu.regs.x[:4]] == [
        pfr0, get(reg.CTR_EL0), get(reg.CLIDR_EL1), get(reg.REVIDR_EL1)
    ]


def test_an_access_beyond_guest_memory(machine):
    m = machine([
        0xD2C02000,  # mov x0, #1 << 40
        0xF9400401,  # ldr x1, [x0, #8]
    ])
    m.vcpu.set_one_reg(reg.VBAR_EL1, RAM + 0x1000)
    m.vcpu.run(max_insns=2)
    assert m.vcpu.get_one_reg(reg.ELR_EL1) == RAM + 4
    assert m.vcpu.read_saved("FAR_EL1") == 1 << 40 | 8
    assert m.vcpu.read_saved("ESR_EL1") == 0x25 << 26 | 1 << 25 | 0x10


def test_no_syndrome(machine):
    m = machine([0xA9400801])   # ldp x1, x2, [x0]
    with pytest.raises(kvm.KvmError, match="no syndrome") as caught:
        m.vcpu.run()
    assert caught.value.errno == errno.ENOSYS
    assert m.vcpu.get_one_reg(reg.PC) == RAM


def test_registers_reach_the_guest(machine):
    m = machine([
        0x8B020020,  # add x0, x1, x2
        0x3D800061,  # str q1, [x3]
        0xD51BD042,  # msr tpidr_el0, x2
    ])
    m.vcpu.set_one_reg(reg.CPACR_EL1, 3 << 20)
    m.vcpu.regs.x[1:4] = 5, 6, RAM + 64
    m.vcpu.regs.vregs[1] = 0x1111, 0x2222
    m.vcpu.run(max_insns=3)
    assert m.vcpu.regs.x[0] == 11
    assert list(m.region.array[64:80].view("<u8")) == [0x1111, 0x2222]
    assert m.vcpu.read_saved("TPIDR_EL0") == 6


def test_changed_instructions_are_seen(machine):
    m = machine(SPIN)
    m.vcpu.run(max_insns=1000)
    m.load([0x91000800])    # add x0, x0, #2
    m.vcpu.regs.x[0] = 0
    m.vcpu.run(max_insns=10)
    assert m.vcpu.regs.x[0] == 10


# --- interrupting -----------------------------------------------------------------------------

@pytest.mark.parametrize("code", [SPIN, WAIT], ids=["spin", "wfi"])
def test_kick_from_another_thread(code, machine):
    m = machine(code)
    timer = threading.Timer(0.02, m.vcpu.kick)
    timer.start()
    assert m.vcpu.run() == kvm.Intr()
    assert m.vcpu.kvm_run.exit_reason == 10
    timer.join()
    assert m.vcpu.run(max_insns=3) == kvm.Budget()


def test_a_running_vcpu_is_refused_to_others(machine):
    m = machine(SPIN)
    thread = threading.Thread(target=m.vcpu.run)
    thread.start()
    while not m.vm.has_run:
        time.sleep(0.001)
    time.sleep(0.01)
    for call in (m.vcpu.run, lambda: m.vcpu.get_one_reg(reg.PC)):
        with pytest.raises(kvm.KvmError) as caught:
            call()
        assert caught.value.errno == errno.EBUSY
    m.vcpu.kick()
    thread.join(5)
    assert not thread.is_alive()
    assert m.vcpu.get_one_reg(reg.X(0)) > 0


class Ring(Exception):
    pass


@pytest.fixture
def alarm():
    """Call a handler in a moment, in the main thread."""
    old = signal.getsignal(signal.SIGALRM)

    def arm(handler, seconds=0.03):
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    yield arm
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, old)


@pytest.mark.parametrize("code", [SPIN, WAIT, [0xD4200000]], ids=["spin", "wfi", "exceptions"])
def test_a_handler_that_returns_is_intr(code, machine, alarm):
    m = machine(code)
    seen = []
    alarm(lambda *_: seen.append(time.perf_counter()))
    start = time.perf_counter()
    assert m.vcpu.run() == kvm.Intr()
    assert len(seen) == 1
    assert seen[0] - start < 1
    assert m.vcpu.kvm_run.exit_reason == 10
    assert m.vcpu.run(max_insns=1) == kvm.Budget()


def test_a_handler_that_raises(machine, alarm):
    m = machine(SPIN)

    def ring(*_):
        raise Ring

    alarm(ring)
    with pytest.raises(Ring):
        m.vcpu.run()
    before = m.vcpu.n_insns
    assert before > 0
    assert m.vcpu.run(max_insns=5) == kvm.Budget()
    assert m.vcpu.n_insns == before + 5


def test_a_stopped_vcpu_waits_for_a_signal(machine, alarm):
    m = machine(POWER_OFF)
    assert isinstance(m.vcpu.run(), kvm.SystemEvent)
    alarm(lambda *_: None)
    assert m.vcpu.run() == kvm.Intr()
    assert m.vcpu.n_insns == len(POWER_OFF)


def test_the_wakeup_descriptor_is_handed_on(machine, alarm):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer)
    try:
        m = machine(SPIN)
        alarm(lambda *_: None)
        assert m.vcpu.run() == kvm.Intr()
        assert os.read(reader, 10) == bytes([signal.SIGALRM])
        assert signal.set_wakeup_fd(before) == writer
    finally:
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)


# --- determinism ------------------------------------------------------------------------------

def test_the_instruction_clock_is_deterministic(machine):
    code = [
        0xD53BE040,  # mrs x0, cntvct_el0
        0x8B000021,  # add x1, x1, x0
        0x17FFFFFE,  # b -8
    ]
    ends = []
    for _ in range(2):
        m = machine(code, clock="insns")
        for n in (100, 1000, 17):
            m.vcpu.run(max_insns=n)
        ends.append((list(m.vcpu.regs.x), int(m.vcpu.regs.pc), m.vcpu.get_one_reg(reg.TIMER_CNT)))
    assert ends[0] == ends[1]
    assert ends[0][2] == 1117
