# A saved address space. Floor 3.
from gmap._gmap cimport gmap_t
from gmap._readable cimport AddressSpace


# Owner of a snapshot's C side; what its ufuncs keep alive.
cdef class Tables:
    cdef gmap_t *c


cdef class Snapshot(AddressSpace):
    cdef Tables owner
    cdef readonly tuple memslots
    cdef readonly tuple host_regions
