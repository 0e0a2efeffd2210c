# Runs of equal entries, absent ones too. Floor 3.
from libc.stdint cimport uint64_t

from gmap._gmap cimport gmap_t

cdef object run_array(gmap_t *g, uint64_t start, uint64_t end, uint64_t most)
