# Stage-2 aborts. Floor 9.
from saecore.kvm._state cimport vcpu_t


cdef int handle_guest_abort(vcpu_t *v) noexcept nogil
