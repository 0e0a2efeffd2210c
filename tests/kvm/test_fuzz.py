"""Guests that do anything at all behind the facade, and a user who calls any ioctl in between.

Memory lies in several slots with holes between them; one is read-only for the host, the memory
around all of it may not be touched by anybody, and some lies beside slots that no guest was given.
"""

import contextlib
import ctypes
import errno
import hashlib
import os
import signal
import time

import numpy as np
import pytest
from fuzz_guest import fill, registers, values

from gmap.errors import AddressError, ConfigError
from saecore import kvm
from saecore._defs import MODE_EL0T, MODE_EL1H, MODE_EL1T, PSTATE_DAIF

RAM, PIECE, GUARD = 0x4000_0000, 1 << 18, 1 << 16
N_PIECES = 3
#: Pieces of memory: guest addresses with holes between. The first holds the code at the start.
PLACES = [RAM, RAM + 2 * PIECE, RAM + 3 * PIECE]
READ_ONLY = RAM + 8 * PIECE
DEVICE = 0x0900_0000
PSCI_OFF = 0x8400_0008
BUDGET = 1_000
#: What KVM_RUN fails with when a guest misbehaves, or its memory does.
DOCUMENTED = {errno.ENOSYS, errno.EFAULT, errno.EOPNOTSUPP, errno.EAGAIN}
PROT_NONE, PROT_READ_WRITE = 0, 3
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def protect(address, nbytes, how):
    assert _libc.mprotect(address, nbytes, how) == 0, os.strerror(ctypes.get_errno())


class Fuzz:
    """A VM, its guest, and a user with a random hand."""

    def __init__(self, seed, model="default"):
        self.rng = np.random.default_rng(seed)
        self.system = kvm.System(cpu=model)
        self.exits = {}
        self.ioctls = {}
        self.eventfd = os.eventfd(0, os.EFD_NONBLOCK)
        self.make()

    def make(self):
        self.vm = self.system.create_vm(clock="insns", manual_dirty_log=True)
        self.host = self.vm.host
        # guard, piece, guard, piece, guard, piece, guard: the outer two not to be touched.
        self.region = self.host.map(N_PIECES * PIECE + (N_PIECES + 1) * GUARD)
        memory = self.region.array
        memory[:] = 0xA5
        self.hvas = [self.region.hva + GUARD + n * (PIECE + GUARD) for n in range(N_PIECES)]
        self.pieces = [memory[hva - self.region.hva :][:PIECE] for hva in self.hvas]
        self.between = [memory[hva - self.region.hva + PIECE :][:GUARD] for hva in self.hvas[:-1]]
        self.constant = self.host.map(PIECE)
        self.constant.array[:] = 0xA5
        self.host.protect(self.constant.hva, PIECE, False)
        self.edges = [self.region.hva, self.hvas[-1] + PIECE]
        for address in self.edges:
            protect(address, GUARD, PROT_NONE)
        for slot, (place, hva) in enumerate(zip(PLACES, self.hvas, strict=True)):
            self.vm.set_user_memory_region(slot, place, PIECE, hva, slot & 1)
        self.vm.set_user_memory_region(9, READ_ONLY, PIECE, self.constant.hva)
        self.vcpu = self.vm.create_vcpu(0)
        self.vcpu.init(self.vm.preferred_target())
        self.refill()

    def close(self):
        self.check()
        for address in self.edges:
            protect(address, GUARD, PROT_READ_WRITE)
        os.close(self.eventfd)

    def refill(self):
        """The same in every piece, shifted by some pages; tables lead to the first."""
        first, *others = self.pieces
        fill(self.rng, first, RAM)
        for n, piece in enumerate(others, 1):
            piece[:] = np.roll(first, n * 4096)

    def check(self):
        assert all((piece == 0xA5).all() for piece in self.between)
        assert (self.constant.array == 0xA5).all()

    def digest(self):
        regs = self.vcpu.regs
        seen = [*self.pieces, regs.x, regs.pc, regs.pstate, regs.sp, regs.vregs]
        return hashlib.sha256(b"".join(np.asarray(part).tobytes() for part in seen)).hexdigest()

    # --- the guest -----------------------------------------------------------------------------

    def start(self):
        """Any state of the processor."""
        rng, vcpu = self.rng, self.vcpu
        vcpu.immediate_exit = False
        for name, value in registers(rng, RAM, PIECE).items():
            vcpu.write_saved(name, value)
        vcpu.regs.x[:] = values(rng, 31, int(rng.choice([*PLACES, READ_ONLY])), PIECE)
        vcpu.regs.x[0] = int(
            rng.choice([vcpu.regs.x[0], PSCI_OFF, PSCI_OFF + 1], p=[0.8, 0.1, 0.1])
        )
        vcpu.regs.x[rng.random(31) < 0.05] = DEVICE + int(rng.integers(0, 4096))
        vcpu.regs.sp, vcpu.regs.sp_el1 = values(rng, 2, RAM, PIECE) & ~np.uint64(15)
        vcpu.regs.pc = int(rng.choice(PLACES)) + (int(rng.integers(0, PIECE // 2)) & ~3)
        vcpu.regs.pstate = (
            int(rng.choice([MODE_EL0T, MODE_EL1T, MODE_EL1H])) | PSTATE_DAIF
            | int(rng.integers(0, 16)) << 28
        )  # fmt: skip

    def run(self):
        rng, vcpu = self.rng, self.vcpu
        before = vcpu.n_insns
        try:
            exit = vcpu.run(max_insns=BUDGET)
        except kvm.KvmError as error:
            if error.errno not in DOCUMENTED:
                raise
            name = errno.errorcode[error.errno]
        else:
            name = type(exit).__name__
            assert isinstance(
                exit, kvm.Mmio | kvm.Budget | kvm.Intr | kvm.SystemEvent | kvm.ArmLdst64b
            )
            if isinstance(exit, kvm.Mmio) and not exit.is_write and rng.random() < 0.9:
                exit.reply(rng.bytes(exit.len))
        assert vcpu.n_insns - before <= BUDGET
        self.exits[name] = self.exits.get(name, 0) + 1
        return name

    # --- the user ------------------------------------------------------------------------------

    def number(self):
        """An argument: small, a place, a size, or anything."""
        rng = self.rng
        return int(rng.choice([
            int(rng.integers(0, 12)), 4096 * int(rng.integers(0, 300)), PIECE, DEVICE,
            int(rng.choice(PLACES)), 1 << int(rng.integers(0, 64)), int(rng.integers(0, 1 << 63)),
        ]))  # fmt: skip

    def slots(self):
        """Bring a piece elsewhere, take it away, or log it; the first stays for the code."""
        rng, slot = self.rng, int(self.rng.integers(1, N_PIECES))
        what = rng.random()
        put = self.vm.set_user_memory_region
        if what < 0.3:
            put(slot, 0, 0, 0)
        elif what < 0.9:
            place = RAM + PIECE * int(rng.integers(0, 10))
            put(slot, place, PIECE, self.hvas[slot], int(rng.integers(0, 2)))
        else:
            # Nothing is mapped at addresses below all of this.
            put(self.number(), self.number(), self.number(), self.number() & 0xFFFF_FFFF)

    def memory(self):
        """Something of the host's, under the guest's feet."""
        rng = self.rng
        hva = int(rng.choice(self.hvas)) + 4096 * int(rng.integers(0, PIECE // 4096))
        what = int(rng.integers(0, 6))
        if what == 0:
            self.host.move(hva, 4096)
        elif what == 1:
            self.host.discard(hva, 4096)
        elif what == 2:
            self.host.protect(hva, 4096, bool(rng.integers(0, 2)))
        elif what == 3:
            self.host.answer(
                hva, 4096, str(rng.choice(["hwpoison", "no_mapping", "read_only"])), times=1
            )
        elif what == 4:
            self.vm.gmap.age(RAM >> 12, 4096)
        else:
            self.vm.gmap.unmap(RAM >> 12, int(rng.integers(0, 4096)))

    def log(self):
        slot = int(self.rng.integers(0, 4))
        if self.number() & 1:
            self.vm.enable_cap(kvm.uapi.Cap.MANUAL_DIRTY_LOG_PROTECT2, self.number() & 3)
        bitmap = self.vm.get_dirty_log(slot)
        first = int(self.rng.choice([0, 64, self.number()]))
        self.vm.clear_dirty_log(slot, first, int(self.rng.choice([64, self.number()])), bitmap)

    def registers(self):
        vcpu, rng = self.vcpu, self.rng
        ids = vcpu.get_reg_list()
        id = int(rng.choice(ids)) if rng.random() < 0.9 else self.number()
        value = vcpu.get_one_reg(id)
        if rng.random() < 0.5:
            vcpu.set_one_reg(id, value ^ 1 << int(rng.integers(0, 32)))

    def bus(self):
        at = DEVICE + int(self.rng.integers(0, 64))
        what = int(self.rng.integers(0, 6))
        if what < 2:
            self.vm.ioeventfd(self.eventfd, at, self.number() & 15, self.number() & 1, what << 2)
        elif what == 2:
            self.vm.register_coalesced_mmio(at, self.number() & 0xFFFF, self.number() & 1)
        elif what == 3:
            self.vm.unregister_coalesced_mmio(at, 1)
        elif what == 4:
            self.vm.irqfd(self.eventfd, self.number() & 63, self.number() & 7)
        else:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self.eventfd)
            self.vm.drain_coalesced_mmio()

    def pages(self):
        """The shared pages are the user's to scribble on."""
        rng = self.rng
        if rng.random() < 0.5:
            self.vm.coalesced_mmio_ring.last = self.number() & 0xFF
            self.vm.coalesced_mmio_ring.first = self.number() % kvm.uapi.COALESCED_MMIO_MAX
            self.vm.coalesced_mmio_ring.last = self.number() % kvm.uapi.COALESCED_MMIO_MAX
        else:
            run = self.vcpu.kvm_run
            run.exit_reason = self.number() & 63
            run.mmio.len = self.number() & 0xFFFF_FFFF
            run.mmio.phys_addr = self.number()
            run.immediate_exit = self.number() & 1

    def life(self):
        vm, vcpu, what = self.vm, self.vcpu, int(self.rng.integers(0, 8))
        if what == 0:
            vcpu.init(kvm.VcpuInit(5 if self.number() & 3 else 4))
        elif what == 1:
            vcpu.kick()
        elif what == 2:
            vcpu.set_signal_mask([signal.SIGUSR2] if self.number() & 1 else None)
        elif what == 3:
            vcpu.immediate_exit = True
        elif what == 4:
            vm.create_vcpu(self.number() & 1)
        elif what == 5:
            assert len(vcpu.get_stats_fd().read()) > 100
        elif what == 6:
            vcpu.finalize(self.number() & 7)
        else:
            vm.check_extension(self.number() & 255)

    def meddle(self):
        actions = (self.slots, self.memory, self.log, self.registers, self.bus, self.pages,
                   self.life)  # fmt: skip
        action = actions[int(self.rng.integers(0, len(actions)))]
        name = action.__name__
        try:
            action()
        except (kvm.KvmError, ConfigError, AddressError):
            name += " refused"
        self.ioctls[name] = self.ioctls.get(name, 0) + 1


def fuzz(seed, rounds, model="default", until=None):
    """Random starts, each followed by what the guest asks for and by what the user thinks of."""
    one = Fuzz(seed, model)
    try:
        for number in range(rounds):
            one.start()
            for _ in range(int(one.rng.integers(1, 6))):
                ended = one.run()
                if one.rng.random() < 0.5:
                    one.meddle()
                if ended not in ("Mmio", "Budget", "Intr"):
                    break
            if number % 128 == 127:
                one.check()
                one.refill()
            if until is not None and time.monotonic() > until:
                break
    finally:
        one.close()
    return one


@pytest.mark.parametrize("model", ["default", "base"])
def test_nothing_outside_is_touched_and_it_ends(model):
    one = fuzz([1, model == "base"], 250, model)
    assert {"Mmio", "Budget", "Intr", "ENOSYS", "EFAULT"} <= set(one.exits)
    done = {"memory", "pages", "slots", "registers", "bus", "life"}
    refused = {f"{name} refused" for name in ("slots", "registers", "bus", "life", "log")}
    assert done | refused <= set(one.ioctls)
    assert one.vcpu.n_insns > 20_000
    assert not one.vm._state.dead


def test_twice_is_the_same():
    first, again = fuzz(2, 60), fuzz(2, 60)
    assert (first.exits, first.ioctls) == (again.exits, again.ioctls)
    assert first.vcpu.n_insns == again.vcpu.n_insns
    assert first.digest() == again.digest()


@pytest.mark.campaign
def test_campaign_of_fuzzing():
    """As many minutes as KVM_FUZZ_MINUTES says, or ten; under AddressSanitizer as well."""
    end = time.monotonic() + 60 * float(os.environ.get("KVM_FUZZ_MINUTES", "10"))
    seed, exits = 0, {}
    while time.monotonic() < end:
        one = fuzz([3, seed], 2_000, ("default", "base", "max")[seed % 3], until=end)
        for name, count in one.exits.items():
            exits[name] = exits.get(name, 0) + count
        seed += 1
    print(seed, exits)
    assert {"Mmio", "Budget", "Intr", "ENOSYS", "EFAULT"} <= set(exits)
