# KVM_RUN. Floor 9.
from posix.types cimport sigset_t

from saecore.kvm._state cimport vcpu_t


# Where signals of Python's are heard while a guest runs.
ctypedef struct watch_t:
    bint on
    int old                 # the wake-up descriptor it took the place of


cdef void block_signals(vcpu_t *v, sigset_t *before) noexcept nogil
cdef void unblock_signals(const sigset_t *before) noexcept nogil
cdef int vcpu_run_briefly(vcpu_t *v, bint immediate) noexcept nogil
cdef int vcpu_run(vcpu_t *v, watch_t *watch, bint immediate) noexcept nogil
cdef void watch_end(watch_t *watch) noexcept
