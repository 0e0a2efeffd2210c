# Stage-2 aborts. Floor 9.
from saecore.kvm._state cimport vcpu_t


cdef int handle_guest_abort(vcpu_t *v, bint only_mmio) noexcept nogil
# Will that be an access to userspace's devices, for which nobody has to be waited for?
