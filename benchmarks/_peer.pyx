# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""What gmap is held against that has to be compiled: a call, and walks one after another."""

from libc.stdint cimport uint32_t, uint64_t

from gmap._atomic cimport load_entry
from gmap._defs cimport ACCESS_READ
from gmap._nested cimport TwoLevel, two_walk, two_walk_t
from gmap._sync cimport srcu_read_lock, srcu_read_unlock


cdef enum:
    STRETCH = 4096      # addresses in one section of the readers, as in the vector form


cdef class Peer:
    """A method that does nothing, compiled as the methods of gmap are."""

    def empty(self):
        pass


def walk_one_by_one(TwoLevel two, const uint64_t[::1] va, uint64_t[::1] pa,
                    uint32_t[::1] status):
    """Translate for reading, each walk after the one before, with every check."""
    cdef two_walk_t w
    cdef Py_ssize_t i, end, at = 0, n = va.shape[0]
    cdef uint64_t asce
    cdef unsigned int token
    if pa.shape[0] != n or status.shape[0] != n:
        raise ValueError(f"{n} addresses need results of {n}: {pa.shape[0]}, {status.shape[0]}")
    with nogil:
        while at < n:
            end = min(n, at + STRETCH)
            token = srcu_read_lock(&two.c.g.tlb)
            asce = load_entry(&two.c.g.asce)
            for i in range(at, end):
                two_walk(two.c, asce, va[i], two.c.regime.el, ACCESS_READ, &w)
                pa[i] = w.pa if w.status == 0 else 0
                status[i] = w.status
            srcu_read_unlock(&two.c.g.tlb, token)
            at = end
