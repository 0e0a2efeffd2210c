# Looking at the tables of an address space without changing them. Floor 3.
from libc.stdint cimport uint64_t

from gmap._gmap cimport gmap_t

cdef object leaf_array(gmap_t *g, uint64_t start, uint64_t end, bint merge)
cdef object table_dict(gmap_t *g)
