# The address space as outside Cython modules may use it. Floor 3, top.
#
# Part of the public C contract, with `_walk.pxd` and `_defs.pxd`: a module that cimports
# `Gmap` reaches its `asce` without Python, and translates with `_walk.dat_translate`
# between `srcu_read_lock(&g.c.tlb)` and `srcu_read_unlock`.
from libc.stdint cimport uint64_t

from gmap._faults cimport Space
from gmap._readable cimport AddressSpace


cdef class Gmap(AddressSpace):
    cdef readonly Space space
    cdef object split_each(self, object gfn, uint64_t *histogram)
