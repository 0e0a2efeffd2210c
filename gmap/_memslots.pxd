# The memory slots of one address space: changing them, and their dirty logs. Floor 3.
from libc.stdint cimport uint64_t

from gmap._gmap cimport gmap_t
from gmap._slots cimport memslot_t
from gmap._tables cimport mmu_cache_t


cdef class SlotRef:
    cdef memslot_t *c
    cdef bint owns_bitmap


cdef class Memslots:
    cdef gmap_t *g
    cdef dict by_id             # id -> SlotRef
    cdef object lock
    cdef bint readonly_mem
    cdef SlotRef logged(self, slot)
    cdef int check_id(self, slot) except -1
    cdef int paint(self, mmu_cache_t *mc, memslot_t *slot, uint64_t token) noexcept nogil
