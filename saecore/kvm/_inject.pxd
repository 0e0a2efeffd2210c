# Exceptions for the guest. Floor 9.
from libc.stdint cimport uint64_t

from saecore.kvm._state cimport vcpu_t


cdef void inject_undefined(vcpu_t *v) noexcept nogil
cdef void inject_abort(vcpu_t *v, bint iabt, uint64_t address) noexcept nogil
cdef void inject_size_fault(vcpu_t *v, uint64_t ipa) noexcept nogil
cdef void adjust_pc(vcpu_t *v) noexcept nogil
