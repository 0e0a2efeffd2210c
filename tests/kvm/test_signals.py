"""Signals and a guest that runs: Ctrl-C, and KVM_SET_SIGNAL_MASK."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from saecore import kvm
from saecore.kvm import reg

SPIN = [
    0x91000400,  # add x0, x0, #1
    0x17FFFFFF,  # b -4
]
WAIT = [
    0xD503207F,  # wfi
    0x17FFFFFF,  # b -4
]
UNDEFINED = [0]  # the vectors are at 0: an exception for ever
MMIO = [0xF9400021]  # ldr x1, [x1]
#: Far more than it takes; the figure is a row of benchmarks/sae.py.
SOON = 2.0


def signal_later(number, thread=None, seconds=0.03):
    """Send a signal to a thread of this process in a moment."""
    target = thread or threading.main_thread()
    timer = threading.Timer(seconds, lambda: signal.pthread_kill(target.ident, number))
    timer.start()
    return timer


@pytest.fixture
def interruptible():
    """A process started in the background ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("code", [SPIN, WAIT, UNDEFINED], ids=["spin", "wfi", "exceptions"])
def test_ctrl_c_stops_a_guest_and_the_vm_stays_usable(code, machine):
    m = machine(code)
    for _ in range(3):
        timer = signal_later(signal.SIGINT)
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            m.vcpu.run()
        stopped = time.monotonic()
        timer.join()
        assert stopped - started < SOON
        executed = m.vcpu.n_insns
        assert m.vcpu.run(max_insns=10) == kvm.Budget()
        assert m.vcpu.n_insns == executed + 10
    extra = m.vm.host.map(1 << 20)
    m.vm.set_user_memory_region(1, 0x8000_0000, extra.nbytes, extra.hva)
    m.load([0x52800100, 0x72B08000, 0xD4000002])  # x0 = SYSTEM_OFF; hvc
    m.vcpu.init(m.vm.preferred_target())
    m.vcpu.set_one_reg(reg.PC, 0x4000_0000)
    assert isinstance(m.vcpu.run(), kvm.SystemEvent)


def test_ctrl_c_in_a_process_of_its_own():
    script = (
        "import sys, time\n"
        "import numpy as np\n"
        "from saecore import kvm\n"
        "vm = kvm.System().create_vm()\n"
        "region = vm.host.map(1 << 20)\n"
        "vm.set_user_memory_region(0, 0, region.nbytes, region.hva)\n"
        "region.array[:4] = np.array([0x14000000], '<u4').view(np.uint8)\n"
        "vcpu = vm.create_vcpu(0)\n"
        "vcpu.init(vm.preferred_target())\n"
        "print('ready', flush=True)\n"
        "try:\n"
        "    vcpu.run()\n"
        "except KeyboardInterrupt:\n"
        "    print('stopped', vcpu.run(max_insns=1))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", script], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=10)
    assert out == "stopped Budget()\n"


# --- KVM_SET_SIGNAL_MASK ----------------------------------------------------------------------


@pytest.fixture
def usr1():
    """SIGUSR1 has a handler; what it has heard."""
    heard = []
    old = signal.signal(signal.SIGUSR1, lambda *_: heard.append(time.monotonic()))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    yield heard
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    signal.signal(signal.SIGUSR1, old)


@pytest.mark.parametrize("code", [SPIN, WAIT, UNDEFINED], ids=["spin", "wfi", "exceptions"])
def test_a_blocked_signal_that_the_mask_lets_in(code, machine, usr1):
    m = machine(code)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    m.vcpu.set_signal_mask([])
    timer = signal_later(signal.SIGUSR1)
    started = time.monotonic()
    assert m.vcpu.run() == kvm.Intr()
    assert time.monotonic() - started < SOON
    timer.join()
    assert m.vcpu.kvm_run.exit_reason == kvm.uapi.Exit.INTR
    assert m.vcpu.run() == kvm.Intr()  # it is still pending
    assert m.vcpu.stats()["signal_exits"] == 2
    assert usr1 == []
    assert signal.sigwait([signal.SIGUSR1]) == signal.SIGUSR1
    assert m.vcpu.run(max_insns=1000) == kvm.Budget()


def test_it_is_seen_before_the_first_instruction(machine, usr1):
    m = machine(MMIO)
    m.vcpu.regs.x[1] = 0x0900_0000
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    signal.raise_signal(signal.SIGUSR1)
    assert isinstance(m.vcpu.run(), kvm.Mmio)  # without a mask nobody looks
    m.vcpu.set_signal_mask(set())
    m.vcpu.immediate_exit = True
    m.vcpu.run()
    m.vcpu.immediate_exit = False
    executed = m.vcpu.n_insns
    assert m.vcpu.run() == kvm.Intr()
    assert m.vcpu.n_insns == executed
    signal.sigwait([signal.SIGUSR1])


def test_a_masked_signal_waits_for_the_end(machine, usr1):
    m = machine(SPIN)
    m.vcpu.set_signal_mask([signal.SIGUSR1, signal.SIGUSR2])
    timer = signal_later(signal.SIGUSR1, seconds=0.01)
    kick = threading.Timer(0.06, m.vcpu.kick)
    kick.start()
    started = time.monotonic()
    assert m.vcpu.run() == kvm.Intr()
    assert time.monotonic() - started > 0.05  # the kick, not the signal
    timer.join()
    kick.join()
    assert len(usr1) == 1
    assert signal.SIGUSR2 not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_signal_both_let_in_is_handled_as_ever(machine, usr1):
    m = machine(SPIN)
    m.vcpu.set_signal_mask([signal.SIGUSR2])
    timer = signal_later(signal.SIGUSR1)
    assert m.vcpu.run() == kvm.Intr()
    timer.join()
    assert len(usr1) == 1


def test_a_vcpu_on_a_thread_of_its_own(machine, usr1):
    """The way VMMs stop a vCPU: a signal to its thread, blocked but in KVM_RUN."""
    m = machine(SPIN)
    m.vcpu.set_signal_mask([])
    exits = []

    def loop():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        exits.append(m.vcpu.run())
        exits.append(signal.sigtimedwait([signal.SIGUSR1], 0).si_signo)

    thread = threading.Thread(target=loop)
    thread.start()
    while not m.vm.has_run:
        time.sleep(0.001)
    timer = signal_later(signal.SIGUSR1, thread, 0)
    thread.join(5)
    timer.join()
    assert exits == [kvm.Intr(), signal.SIGUSR1]
    assert usr1 == []


def test_a_handler_that_raises_leaves_the_threads_mask(machine, usr1):
    m = machine(SPIN)
    m.vcpu.set_signal_mask([signal.SIGUSR2])

    def fail(*_):
        raise ZeroDivisionError

    signal.signal(signal.SIGUSR1, fail)
    timer = signal_later(signal.SIGUSR1)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with pytest.raises(ZeroDivisionError):
        m.vcpu.run()
    timer.join()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_no_mask_again(machine, usr1):
    m = machine(SPIN)
    m.vcpu.set_signal_mask([])
    m.vcpu.set_signal_mask(None)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    signal.raise_signal(signal.SIGUSR1)
    assert m.vcpu.run(max_insns=100_000) == kvm.Budget()
    signal.sigwait([signal.SIGUSR1])


@pytest.mark.parametrize("bad", [[0], [65], [-1], 1, "x", [1.5]])
def test_bad_masks(bad, machine):
    m = machine(SPIN)
    with pytest.raises((ValueError, TypeError)):
        m.vcpu.set_signal_mask(bad)
    assert m.vcpu.run(max_insns=2) == kvm.Budget()
