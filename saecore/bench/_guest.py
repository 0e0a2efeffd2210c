"""The guest a benchmark runs: it accesses the pages of a workload, in order. Floor 10.

::

    Workload -> VmGuest -> touch(Faults) -> nanoseconds, or those of each access

Its own memory (code, stage-1 tables, the list of what to access) is there before; stage 1 maps
everything to itself by blocks of 1 GiB, so that nothing but the workload's memory is faulted in.
"""

import time
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gmap._buffer import BufferHost
from gmap._defs import PAGE_SHIFT, PAGE_SIZE
from gmap.bench.phases import BenchError, Faults, Guest
from gmap.bench.workloads import Workload
from gmap.errors import ConfigError
from saecore import kvm
from saecore.bench._words import assemble

__all__ = ["IPA_BITS", "VmGuest", "run_to_exit"]

IPA_BITS: Final = 48
_GIB: Final = 1 << 30
_OWN_SLOT: Final = 400
_LEVELS: Final = (39, 30)  # what an entry of the first two levels covers
_TABLE, _BLOCK = 3, 1 | 1 << 10 | 3 << 8  # valid; accessed, inner shareable, index 0 of MAIR
#: T0SZ 16, write-back walks, no TTBR1, 48-bit addresses.
_TCR: Final = 16 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 2 << 30 | 5 << 32
_MAIR: Final = 0xFF
_SCTLR: Final = 0x30D0_0800 | 1 << 12 | 1 << 2 | 1
_PROGRAM, _ROOT = 0, PAGE_SIZE  # offsets in the guest's own memory; tables, then lists behind


def run_to_exit(vcpu: Any) -> Any:
    """Run until the guest tells that it is done, by a write to where nothing is."""
    exit = vcpu.run()
    if not isinstance(exit, kvm.Mmio):
        raise BenchError(f"the guest ended with {exit}: nothing was measured")
    return exit


class VmGuest(Guest):
    """A guest of `gmap.bench` whose faults a vCPU takes.

    Parameters
    ----------
    load : Workload
    populate : bool
        Have this machine give every page memory now, so that no fault has to wait for that.

    >>> from gmap.bench.workloads import workload
    >>> with kvm.System() as system:
    ...     guest = VmGuest(system, workload("sequential", "4k", 1 << 20))
    ...     ns = guest.touch(Faults(guest.workload.gfns, True))
    >>> ns > 0
    True
    """

    def __init__(self, system: Any, load: Workload, *, populate: bool = False) -> None:
        self.workload = load
        self.vm = system.create_vm(ipa_bits=IPA_BITS)
        self.host: BufferHost = self.vm.host
        self.g = self.vm.gmap
        self.region = self.host.map(load.pages << PAGE_SHIFT, load.backing)
        self.set_slots()
        self._own_gpa = self._free_gib()
        nbytes = self._own_bytes()
        self._own = self.host.map(nbytes)
        self.vm.set_user_memory_region(
            slot=_OWN_SLOT, guest_phys_addr=self._own_gpa, memory_size=nbytes,
            userspace_addr=self._own.hva,
        )  # fmt: skip
        self._write_tables()
        first = self._own_gpa >> PAGE_SHIFT
        self.fault(np.arange(first, first + (nbytes >> PAGE_SHIFT), dtype=np.uint64), True)
        self.host.populate(self._own.hva, nbytes)
        if populate:
            self.host.populate(self.region.hva, self.region.nbytes)
        self.vcpu = self.vm.create_vcpu(0)
        self.vcpu.init(self.vm.preferred_target())

    def set_slots(self, flags: int = 0) -> None:
        """Create the memory slots of the workload, or change their flags."""
        hva = self.region.hva
        for slot, (gfn, npages) in enumerate(self.workload.areas.tolist()):
            nbytes = npages << PAGE_SHIFT
            self.vm.set_user_memory_region(
                slot=slot, guest_phys_addr=gfn << PAGE_SHIFT, memory_size=nbytes,
                userspace_addr=hva, flags=flags,
            )  # fmt: skip
            hva += nbytes

    def close(self) -> None:
        """Give the memory back."""
        self.vm.close()

    # --- the guest's own memory -------------------------------------------------------------

    def _gibs(self) -> set[int]:
        """Which GiB of guest addresses the workload has something in."""
        shift = 30 - PAGE_SHIFT
        return {
            gib
            for gfn, npages in self.workload.areas.tolist()
            for gib in range(gfn >> shift, (gfn + npages - 1 >> shift) + 1)
        }

    def _free_gib(self) -> int:
        """Return an address, a multiple of 1 GiB, that the workload is not near."""
        taken = self._gibs()
        return next(gib for gib in range(1, 1 << 18) if gib not in taken) * _GIB

    def _own_bytes(self) -> int:
        """Program, tables, a list of two entries at most a fault, and as many times."""
        tables = 2 + len({gib >> 9 for gib in self._gibs()})
        self._list = PAGE_SIZE * (1 + tables)
        self._times = self._list + -(-8 * len(self.workload.gfns) // PAGE_SIZE) * PAGE_SIZE
        return 2 * self._times - self._list

    def _write_tables(self) -> None:
        """Map what the workload has, and the guest's own GiB, to itself."""
        words: NDArray[np.uint64] = self._own.array.view(np.uint64)
        free = _ROOT + PAGE_SIZE
        for gib in sorted({*self._gibs(), self._own_gpa >> 30}):
            address = gib << 30
            above = (_ROOT >> 3) + (address >> _LEVELS[0] & 511)
            if not words[above]:
                words[above] = self._own_gpa + free | _TABLE
                free += PAGE_SIZE
            table = (int(words[above]) & ~0xFFF) - self._own_gpa
            words[(table >> 3) + (address >> _LEVELS[1] & 511)] = address | _BLOCK

    # --- running ----------------------------------------------------------------------------

    def _start(self, program: str, faults: Faults) -> None:
        """Put the list into memory and run to where the guest is about to begin with it."""
        n = len(faults.gfns)
        if not 0 < n <= len(self.workload.gfns):
            raise ConfigError(f"{n} faults: use 1 to {len(self.workload.gfns)}")
        words: NDArray[np.uint64] = self._own.array.view(np.uint64)
        first = self._list >> 3
        writes = np.broadcast_to(np.asarray(faults.writes), faults.gfns.shape)
        words[first : first + n] = faults.gfns << np.uint64(PAGE_SHIFT) | writes
        code = np.frombuffer(assemble(program), np.uint8)
        self._own.array[_PROGRAM : _PROGRAM + len(code)] = code
        self.vcpu.init(self.vm.preferred_target())
        registers = {
            0: self._own_gpa + self._list,
            1: n,
            4: self._own_gpa + self._own.nbytes,
            7: self._own_gpa + self._times,
            10: self._own_gpa + _ROOT,
            11: _TCR,
            12: _MAIR,
            13: _SCTLR,
        }
        for number, value in registers.items():
            self.vcpu.set_one_reg(kvm.reg.X(number), value)
        self.vcpu.set_one_reg(kvm.reg.PC, self._own_gpa + _PROGRAM)
        run_to_exit(self.vcpu)

    def touch(self, faults: Faults) -> int:
        """Return the nanoseconds the guest takes for these accesses."""
        self._start("touch", faults)
        start = time.perf_counter_ns()
        run_to_exit(self.vcpu)
        return time.perf_counter_ns() - start

    def touch_latency(self, faults: Faults) -> NDArray[np.uint64]:
        """Return what each access took in nanoseconds, by the guest's own counter."""
        self._start("time", faults)
        run_to_exit(self.vcpu)
        first = self._times >> 3
        words: NDArray[np.uint64] = self._own.array.view(np.uint64)
        return words[first : first + len(faults.gfns)].copy()
