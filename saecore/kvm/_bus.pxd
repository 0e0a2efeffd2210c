# The bus of one VM, and what is kept for the whole VM. Floor 9.
from libc.stdint cimport uint8_t, uint64_t

from saecore.kvm._state cimport vm_t


cdef int bus_write(vm_t *vm, uint64_t addr, uint64_t nbytes, const uint8_t *data) noexcept nogil


# Owner of a VM's C side.
cdef class VmState:
    cdef vm_t c
    cdef readonly object gmap
    cdef object ring_array
    cdef insert(self, uint64_t addr, uint64_t nbytes, int bus, int fd, datamatch,
                uint64_t context)
    cdef int remove(self, uint64_t index) except -1
