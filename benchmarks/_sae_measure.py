"""What a row of the processor's speed table times, always beside its peer, pair by pair.

As in `_measure`: a generator makes its state once and gives pairs without end.
"""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Final

from _measure import Pairs, pairs
from _peers import NotMeasured
from _sae_peers import (
    GuestFile,
    IcicleWork,
    UnicornGuest,
    UnicornLoop,
    icicle_faults,
    load,
    unicorn_faults,
)

from gmap.bench.phases import PHASES
from gmap.bench.workloads import workload
from saecore import kvm
from saecore.bench._guest import VmGuest
from saecore.bench._words import assemble
from saecore.bench.faults import exit_ns
from saecore.machine import Machine, Pl011, Program, Segment, read_program

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))
import guest_programs

__all__ = [
    "FULL", "QUICK", "SaeScale", "demand_faults", "interrupts", "mmio_exits", "start_time",
    "workload_row",
]  # fmt: skip

_DEVICE: Final = 0x0900_0000
_PAGE_SHIFT: Final = 12
#: Write to one page after the other: X0 the first, X1 how many.
_TOUCH: Final = b"".join(
    word.to_bytes(4, "little")
    for word in (
        0xF9000001,  # str x1, [x0]
        0x91400400,  # add x0, x0, #4096
        0xF1000421,  # subs x1, x1, #1
        0x54FFFFA1,  # b.ne #-12
    )
)
_SPIN: Final = (0x14000000).to_bytes(4, "little")  # b .
_START: Final = {
    "sae": """
from saecore import kvm
with kvm.System() as system:
    vm = system.create_vm(ipa_bits=40)
    region = vm.host.map(64 << 20)
    vm.set_user_memory_region(slot=0, guest_phys_addr=0x40000000, memory_size=region.nbytes,
                              userspace_addr=region.hva)
    region.array[:4] = list((0xd503201f).to_bytes(4, "little"))
    vcpu = vm.create_vcpu(0)
    vcpu.init(vm.preferred_target())
    vcpu.set_one_reg(kvm.reg.PC, 0x40000000)
    assert isinstance(vcpu.run(max_insns=1), kvm.Budget)
""",
    "unicorn": """
import unicorn
uc = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
uc.mem_map(0x40000000, 64 << 20)
uc.mem_write(0x40000000, (0xd503201f).to_bytes(4, "little"))
uc.emu_start(0x40000000, 0x40000004)
""",
}


@dataclass(frozen=True)
class SaeScale:
    """How much is measured.

    Attributes
    ----------
    work : tuple of (str, int)
        How much each workload does.
    exits, peer_exits : int
        MMIO exits of a sample, and of the peer's.
    pages : int
        First touches of a sample.
    icicle_pages, unicorn_pages : int
        Those of the peers: Unicorn's time a page grows with the pages it has.
    rounds : int
        Pairs of a row.
    """

    work: tuple[tuple[str, int], ...] = (
        ("crc", 8_000_000), ("sort", 24), ("chase", 1_000_000), ("mixed", 4_000_000),
        ("bytes", 120), ("fib", 31),
        ("nbody", 60_000), ("ints", 3_000), ("doubles", 500), ("aes", 1_500), ("sha256", 3_000),
        ("copy", 3_000), ("strlen", 3_000),
    )  # fmt: skip
    exits: int = 100_000
    peer_exits: int = 2_000
    pages: int = 16_384
    icicle_pages: int = 4_096
    unicorn_pages: int = 500
    rounds: int = 7


FULL: Final = SaeScale()
QUICK: Final = SaeScale(
    # Each step of fib takes 1.6 times as long.
    work=tuple((name, scale - 5 if name == "fib" else scale // 8) for name, scale in FULL.work),
    exits=10_000, peer_exits=500, pages=2_048, icicle_pages=512, unicorn_pages=250, rounds=3,
)  # fmt: skip


# --- workloads ------------------------------------------------------------------------------


@cache
def guest_file(name: str, scale: int) -> tuple[Path, GuestFile]:
    try:
        path = guest_programs.build(name, scale=scale)
    except guest_programs.NoToolchain as missing:
        raise NotMeasured(f"{missing}: pip install ziglang") from None
    return path, GuestFile(path)


class SaeGuest:
    """A workload's guest on the machine under test, at the point where its work begins.

    Attributes
    ----------
    insns : int
        What the work took, once it is done.
    """

    def __init__(self, path: Path) -> None:
        self._console = bytearray()
        self._machine = machine = Machine()
        self.insns = 0
        machine.bus.attach(_DEVICE, Pl011(self._console.extend))
        machine.load(read_program(path, machine.memory.start), tree=False)
        while not self._console.endswith(b"\n"):
            self._step()

    def _step(self) -> None:
        """Run to an access of the console, and answer it."""
        exit = self._machine.vcpu.run()
        assert isinstance(exit, kvm.Mmio), exit
        if exit.is_write:
            self._machine.bus.write(exit.phys_addr, exit.len, exit.value)
        else:
            exit.reply(self._machine.bus.read(exit.phys_addr, exit.len))

    def work_ns(self) -> int:
        """The nanoseconds between "start" and the first byte of the answer."""
        vcpu = self._machine.vcpu
        before = vcpu.n_insns
        start = time.perf_counter_ns()
        exit = vcpu.run()
        ns = time.perf_counter_ns() - start
        self.insns = vcpu.n_insns - before
        exit.reply(self._machine.bus.read(exit.phys_addr, exit.len))
        return ns

    def answer(self) -> str:
        """Run to the end; what the guest printed last."""
        self._machine.run()
        return self._console.decode().split()[-1]

    def close(self) -> None:
        self._machine.close()


@cache
def instructions(name: str, scale: int) -> int:
    """How many instructions a workload takes; the answer is checked against this machine's."""
    path, _ = guest_file(name, scale)
    with closing(SaeGuest(path)) as guest:
        guest.work_ns()
        expected = guest_programs.native(name, scale)
        if (found := guest.answer()) != expected:
            raise RuntimeError(f"{name} answers {found}, and {expected} as a native program")
        return guest.insns


def workload_row(scale: SaeScale, name: str, peer: str) -> Pairs:
    """A workload from its beginning to its answer: nanoseconds an instruction."""
    amount = dict(scale.work)[name]
    load(peer)
    path, file = guest_file(name, amount)
    insns = instructions(name, amount)

    def ours() -> float:
        with closing(SaeGuest(path)) as guest:
            return guest.work_ns() / insns

    def unicorn() -> float:
        return UnicornGuest(file).work_ns() / insns

    def icicle() -> float:
        return IcicleWork(file, amount).work_ns() / insns

    yield from pairs(ours, unicorn if peer == "unicorn" else icicle)


# --- exits, faults, and the start -----------------------------------------------------------


def mmio_exits(scale: SaeScale) -> Pairs:
    """Exit to Python and resume; Unicorn stopped by a device's write, and started again."""
    load("unicorn")
    loop = UnicornLoop(assemble("mmio-write"), _DEVICE)
    yield from pairs(
        partial(exit_ns, "mmio-write", scale.exits),
        lambda: loop.exits_ns(scale.peer_exits) / scale.peer_exits,
    )


def demand_faults(scale: SaeScale, peer: str) -> Pairs:
    """First touches of a guest, memory there before; a peer that maps pages as they are touched."""
    load(peer)
    pages = {"unicorn": scale.unicorn_pages, "icicle": scale.icicle_pages}[peer]
    function: Callable[[bytes, int], float]
    function = unicorn_faults if peer == "unicorn" else icicle_faults
    work = workload("sequential", "4k", scale.pages << _PAGE_SHIFT)

    def ours() -> float:
        with kvm.System() as system, closing(VmGuest(system, work, populate=True)) as guest:
            faults = PHASES["first-touch"].prepare(guest)
            return guest.touch(faults) / len(faults.gfns)

    yield from pairs(ours, partial(function, _TOUCH, pages))


def interrupts(scale: SaeScale) -> Pairs:
    """A Ctrl-C until its exception is in Python's hands, from a guest that spins; from a loop of
    Python's."""
    sent = [0]
    with Machine() as machine:
        machine.load(
            Program(
                "spin", machine.memory.start, (Segment(machine.memory.start, _SPIN, len(_SPIN)),)
            ),
            tree=False,
        )

        def interrupt() -> None:
            time.sleep(0.02)
            sent[0] = time.perf_counter_ns()
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        def time_of(run: Callable[[], object]) -> float:
            old = signal.signal(signal.SIGINT, signal.default_int_handler)
            thread = threading.Thread(target=interrupt)
            try:
                thread.start()
                run()
            except KeyboardInterrupt:
                return float(time.perf_counter_ns() - sent[0])
            finally:
                thread.join()
                signal.signal(signal.SIGINT, old)
            raise RuntimeError("the guest ended by itself")

        yield from pairs(partial(time_of, machine.vcpu.run), partial(time_of, _spin))


def _spin() -> None:
    while True:
        pass


def start_time(scale: SaeScale) -> Pairs:
    """Python from nothing to the first instruction of a guest with 64 MiB; Unicorn likewise."""
    load("unicorn")

    def start(what: str) -> float:
        begin = time.perf_counter_ns()
        subprocess.run([sys.executable, "-P", "-c", _START[what]], check=True)
        return float(time.perf_counter_ns() - begin)

    yield from pairs(partial(start, "sae"), partial(start, "unicorn"))
