"""The recorder of a VM's accesses. Floor 9."""

from libc.stdint cimport uint64_t, uintptr_t

import numpy as np

from saecore._pe cimport CAREFUL_TRACE
from saecore._processor cimport processor_t, trace_event_t

from gmap.errors import ConfigError

#: An access: how many instructions were executed before it, its pc, its guest virtual and guest
#: physical address, bytes, and `gmap.Access` (0 read, 1 write, 2 fetch).
EVENT = np.dtype(
    {
        "names": ["insn", "pc", "va", "ipa", "size", "kind"],
        "formats": ["u8", "u8", "u8", "u8", "u1", "u1"],
        "offsets": [0, 8, 16, 24, 32, 33],
        "itemsize": sizeof(trace_event_t),
    }
)


cdef class Recorder:
    """What a VM's guest accesses, in order; made by `Vm.trace`.

    While it is open instructions run one by one, many times slower than without. Accesses that
    fault, and those to devices, are not there.

    Attributes
    ----------
    lost : int
        Accesses there was no memory for.
    """

    def __init__(self, vm, Py_ssize_t room=1 << 16):
        if room < 1024:
            raise ConfigError(f"room {room}: use 1024 events or more")
        self.vm = vm
        self.chunks = []
        self.events = np.zeros(room, EVENT)
        self.c.events = <trace_event_t *><uintptr_t>self.events.ctypes.data
        self.c.room = <uint64_t>room
        self.c.owner = <void *>self

    def __enter__(self):
        for vcpu in self.vm.vcpus.values():
            vcpu.record(self)
        return self

    def __exit__(self, *exception):
        for vcpu in self.vm.vcpus.values():
            vcpu.record(None)

    cdef int attach(self, processor_t *processor) except -1:
        if processor.trace != NULL:
            raise ConfigError("the VM is being recorded already: leave that recorder first")
        processor.trace = &self.c
        processor.pe.careful |= CAREFUL_TRACE
        return 0

    cdef int detach(self, processor_t *processor) except -1:
        if processor.trace == &self.c:
            processor.trace = NULL
            processor.pe.careful &= ~<uint64_t>CAREFUL_TRACE
        return 0

    cdef void drain(self) noexcept:
        """Make room; the run loop calls it when there is little."""
        try:
            self.chunks.append(self.events[:self.c.n].copy())
        except MemoryError:
            self.lost += self.c.n
        self.c.n = 0

    def take(self):
        """What was recorded since it was last taken, and forget it.

        Returns
        -------
        ndarray
            Of dtype `EVENT`: insn, pc, va, ipa, size, kind.

        >>> from saecore import kvm
        >>> vm = kvm.System().create_vm()
        >>> ram = vm.host.map(1 << 20)
        >>> vm.set_user_memory_region(0, 0x4000_0000, ram.nbytes, ram.hva)
        >>> vcpu = vm.create_vcpu(0)
        >>> vcpu.init(vm.preferred_target())
        >>> ram.array[:8].view("<u4")[:] = 0xF8008400, 0x17FFFFFF    # str x0, [x0], #8; b to it
        >>> vcpu.regs.pc, vcpu.regs.x[0] = 0x4000_0000, 0x4000_1000
        >>> with vm.trace() as recorder:
        ...     vcpu.run(max_insns=3)
        Budget()
        >>> events = recorder.take()
        >>> [(hex(ipa), int(kind)) for ipa, kind in zip(events["ipa"], events["kind"])]
        [('0x40000000', 2), ('0x40001000', 1), ('0x40000004', 2), ('0x40000000', 2),
         ('0x40001008', 1)]
        >>> events["insn"].tolist()
        [0, 0, 1, 2, 2]
        """
        self.drain()
        chunks, self.chunks = self.chunks, []
        return np.concatenate(chunks)
