# Memory of the kernels, with allocation failures on request. Floor 0.
from libc.stddef cimport size_t

cdef void *zalloc(size_t nbytes) noexcept nogil
cdef void *zalloc_lines(size_t nbytes) noexcept nogil
cdef void release(void *memory) noexcept nogil
cdef bint allocation_fails() noexcept nogil
