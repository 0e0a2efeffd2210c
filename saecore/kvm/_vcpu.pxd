# A vCPU: its memory, its processor, KVM_RUN. Floor 9.
from libc.stdint cimport uint64_t

from gmap._faults cimport Space
from saecore.kvm._bus cimport VmState
from saecore.kvm._run cimport watch_t
from saecore.kvm._state cimport vcpu_t
from saecore.kvm._trace cimport Recorder


cdef class VcpuState:
    cdef vcpu_t c
    cdef watch_t watch
    cdef bint running
    cdef unsigned long main_thread
    cdef readonly VmState state
    cdef Space space            # keeps the tables alive
    cdef object memory          # the pages of `c`, an array views keep alive
    cdef readonly object regs
    cdef readonly object kvm_run
    cdef Recorder recorder      # that hears of its accesses, or None
    cdef object outcome(self, int ret)
    cdef int put(self) except -1
