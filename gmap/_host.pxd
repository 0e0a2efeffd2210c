# Host memory as Python has it. Floor 2.
from libc.stdint cimport int64_t, uint64_t

from gmap._regions cimport host_t, region_t


cdef class Host:
    cdef host_t c
    cdef readonly int hamaxpow
    cdef readonly dict regions      # by hva
    cdef object __weakref__
    cdef int make_backing(self, region_t *region) except -1
    cdef void free_backing(self, region_t *region) noexcept nogil
    cdef int change_frames(self, region_t *region, uint64_t index, uint64_t npages,
                           int why) noexcept nogil
    cdef void forget_region(self, object region)
    cdef int change(self, uint64_t hva, uint64_t nbytes, int what, int argument,
                    int64_t times) noexcept nogil
    cdef int change_folio(self, region_t *region, uint64_t index, uint64_t npages,
                          int order) noexcept nogil


cdef class HostRegion:
    cdef readonly Host host
    cdef readonly object hva
    cdef readonly object nbytes
    cdef readonly str folio
    cdef readonly bint writable
    cdef readonly bint pfnmap
    cdef object mapping
    cdef bint _closed
    cdef object __weakref__
