# The recorder of a VM's accesses. Floor 9.
from saecore._processor cimport processor_t, trace_t


cdef class Recorder:
    cdef trace_t c
    cdef object events      # the array `c` points to
    cdef list chunks
    cdef object vm
    cdef readonly unsigned long long lost
    cdef void drain(self) noexcept
    cdef int attach(self, processor_t *processor) except -1
    cdef int detach(self, processor_t *processor) except -1
