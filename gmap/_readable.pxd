# An address space as one reads it. Floor 3.
from libc.stdint cimport uint64_t

from gmap._gmap cimport gmap_t
from gmap._tables cimport mmu_cache_t
from gmap._walk cimport dat_walk_t


cdef class AddressSpace:
    cdef gmap_t *c
    cdef readonly object translate
    cdef readonly object translate_write
    cdef readonly int ipa_bits
    cdef object __weakref__
    cdef gmap_t *tables_of(self) except NULL


cdef int locked_walk(gmap_t *g, mmu_cache_t *mc, uint64_t gfn, int flags, int level,
                     dat_walk_t *walk) noexcept nogil
