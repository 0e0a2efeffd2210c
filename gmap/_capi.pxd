# The walk as a function with an address, for code that is no Cython: see _capi.pyx. Floor 3.
from libc.stdint cimport uint64_t


cdef int dat_translate_one(uint64_t asce, uint64_t gpa, int write, uint64_t *pa) noexcept nogil
