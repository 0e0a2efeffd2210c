# System registers the hypervisor answers for. Floor 9.
from saecore.kvm._state cimport vcpu_t


cdef int handle_sys_reg(vcpu_t *v) noexcept nogil
