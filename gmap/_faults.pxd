# Faults as Python asks for them: arrays in, codes out. Floor 3.
from libc.stdint cimport uint64_t

from gmap._faultin cimport fault_vcpu_t
from gmap._gmap cimport gmap_t
from gmap._host cimport Host
from gmap._memslots cimport Memslots


# Owner of an address space's C side; what the ufuncs keep alive.
cdef class Space:
    cdef gmap_t *c
    cdef readonly Host host
    cdef Memslots slots
    cdef int check_open(self) except -1


cdef object fault_in(Space space, fault_vcpu_t *vcpu, object gfn, object write, str errors,
                     bint pfault)
cdef object histogram_array(const uint64_t *counts)
cdef object timed_faults(Space space, object gfn, object write)
cdef object guest_pages(Space space, object gfn, object n, object write)
