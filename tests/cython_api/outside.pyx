# cython: language_level=3
"""An outside module that uses the public C contract: the walk and the address space."""

from libc.stdint cimport uint64_t, uintptr_t

from gmap._atomic cimport load
from gmap._defs cimport PTE_PFRA
from gmap._space cimport Gmap
from gmap._sync cimport srcu_read_lock, srcu_read_unlock
from gmap._walk cimport dat_translate, dat_walk_t


def translate_all(Gmap space, uint64_t[::1] gpa, uint64_t[::1] pa):
    """Translate for reading; returns the number that failed."""
    cdef dat_walk_t walk
    cdef Py_ssize_t i
    cdef int failed = 0
    cdef unsigned int token = srcu_read_lock(&space.c.tlb)
    for i in range(gpa.shape[0]):
        if dat_translate(space.c.asce, gpa[i], False, &pa[i], &walk):
            failed += 1
    srcu_read_unlock(&space.c.tlb, token)
    return failed


def pfra_mask():
    return PTE_PFRA


def check_words(Gmap space, const uint64_t[::1] gpa, const uint64_t[::1] words):
    """Read each address through its translation; a word may be as given, or 0.

    Translation and read are one section: what an unmapping that has returned took away must
    not be seen. Returns (reads made, first index read wrong or -1, what was read).
    """
    cdef dat_walk_t walk
    cdef Py_ssize_t i, wrong = -1
    cdef uint64_t pa, found = 0, reads = 0
    cdef unsigned int token
    with nogil:
        for i in range(gpa.shape[0]):
            token = srcu_read_lock(&space.c.tlb)
            if dat_translate(space.c.asce, gpa[i], False, &pa, &walk) == 0:
                reads += 1
                found = load(<uint64_t *><uintptr_t>pa)
                if found != words[i] and found != 0:
                    wrong = i
            srcu_read_unlock(&space.c.tlb, token)
            if wrong >= 0:
                break
    return reads, wrong, found
