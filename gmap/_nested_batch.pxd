# Many two-level translations at once. Floor 3.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from gmap._nested cimport two_t


# What a batch is asked. `access_step` 0: one kind of access for all.
ctypedef struct two_batch_t:
    const uint64_t *va
    const uint8_t *access
    uint64_t access_step
    uint64_t *pa
    uint32_t *status
    uint64_t n
    bint interrupted        # out: a signal handler raised; the rest has not been translated


cdef void two_translate(two_t *two, two_batch_t *batch) noexcept nogil
cdef void two_flush(two_t *two, uint64_t start, uint64_t end, uint32_t asid) noexcept nogil
cdef void two_release(two_t *two) noexcept nogil
