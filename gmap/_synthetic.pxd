# A host without bytes. Floor 2.
from libc.stdint cimport uint64_t

from gmap._host cimport Host


cdef class SyntheticHost(Host):
    cdef uint64_t _seed
    cdef uint64_t _broken_below
    cdef uint64_t _next_hva
    cdef uint64_t _n_regions
