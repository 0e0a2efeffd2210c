# Accesses to memory that is not there. Floor 9.
from libc.stdint cimport uint64_t

from saecore.kvm._state cimport vcpu_t


cdef int io_mem_abort(vcpu_t *v, uint64_t ipa) noexcept nogil
cdef void finish_mmio(vcpu_t *v) noexcept nogil
