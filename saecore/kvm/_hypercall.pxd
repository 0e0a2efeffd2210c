# HVC: PSCI and SMCCC. Floor 9.
from saecore.kvm._state cimport vcpu_t


cdef int handle_hvc(vcpu_t *v) noexcept nogil
