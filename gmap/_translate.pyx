# cython: binding=False
"""Translation of many addresses at once: a NumPy ufunc for each address space. Floor 3.

Addresses go through the walk in groups (`_walk_batch.pxd`). Each stretch runs inside the
address space's `tlb` section, which an unmapping waits for.
"""

cimport numpy as cnp
from libc.stdint cimport uint16_t, uint64_t

from gmap._atomic cimport load_entry
from gmap._sync cimport srcu_read_lock, srcu_read_unlock
from gmap._ufunc cimport make_address_ufunc
from gmap._walk cimport walk_cache_clear, walk_cache_t
from gmap._walk_batch cimport GROUP, any_segments, in_one_segment, one_segment


cdef enum:
    STRETCH = 4096      # addresses translated in one section
    GAPS = 256          # addresses taken at once from an array that is not contiguous


cdef void translate_array(gmap_t *g, bint write, const uint64_t *gpa, uint64_t *pa, uint16_t *pic,
                          uint64_t n) noexcept nogil:
    cdef uint64_t at = 0, end, run, asce
    cdef unsigned int token
    cdef walk_cache_t cache
    cdef bint cache_ready
    while at < n:
        end = min(n, at + STRETCH)
        token = srcu_read_lock(&g.tlb)
        asce = load_entry(&g.asce)
        cache_ready = False
        while at < end:
            run = min(<uint64_t>GROUP, end - at)
            if in_one_segment(gpa + at, run):
                one_segment(asce, write, gpa + at, pa + at, pic + at, run)
            else:
                while at + run < end and not in_one_segment(
                        gpa + at + run, min(<uint64_t>GROUP, end - at - run)):
                    run += min(<uint64_t>GROUP, end - at - run)
                if not cache_ready:
                    walk_cache_clear(&cache)
                    cache_ready = True
                any_segments(asce, &cache, write, gpa + at, pa + at, pic + at, run)
            at += run
        srcu_read_unlock(&g.tlb, token)


cdef inline void translate_loop(char **args, const cnp.npy_intp *dims, const cnp.npy_intp *steps,
                                gmap_t *g, bint write) noexcept nogil:
    """The loop NumPy calls; arrays with gaps go through a buffer."""
    cdef uint64_t gpa[GAPS]
    cdef uint64_t pa[GAPS]
    cdef uint16_t pic[GAPS]
    cdef cnp.npy_intp at = 0, n, i
    if steps[0] == sizeof(uint64_t) and steps[1] == sizeof(uint64_t) and (
            steps[2] == sizeof(uint16_t)):
        translate_array(g, write, <const uint64_t *>args[0], <uint64_t *>args[1],
                        <uint16_t *>args[2], <uint64_t>dims[0])
        return
    while at < dims[0]:
        n = min(<cnp.npy_intp>GAPS, dims[0] - at)
        for i in range(n):
            gpa[i] = (<const uint64_t *>(args[0] + (at + i) * steps[0]))[0]
        translate_array(g, write, gpa, pa, pic, <uint64_t>n)
        for i in range(n):
            (<uint64_t *>(args[1] + (at + i) * steps[1]))[0] = pa[i]
            (<uint16_t *>(args[2] + (at + i) * steps[2]))[0] = pic[i]
        at += n


cdef void read_loop(char **args, cnp.npy_intp *dims, cnp.npy_intp *steps,
                    void *data) noexcept nogil:
    translate_loop(args, dims, steps, <gmap_t *>data, False)


cdef void write_loop(char **args, cnp.npy_intp *dims, cnp.npy_intp *steps,
                     void *data) noexcept nogil:
    translate_loop(args, dims, steps, <gmap_t *>data, True)


_DOC = b"""%s(gpa, /, out=None, *, where=True) -> (pa, pic)

Translate guest addresses for %s.

Parameters
----------
gpa : array_like of uint64
    Guest addresses in bytes. Signed and Python integers are looked at first: a negative one
    is refused, as are floats.

Returns
-------
pa : uint64 array
    Host addresses in bytes, 0 where the translation failed.
pic : uint16 array
    Program interruption codes, 0 where it succeeded (`gmap.Pic`).

Notes
-----
A NumPy ufunc of this address space: it broadcasts, takes out= and where=, and lets other
threads run. An unmapping returns only when no call still uses what it removed.
"""


cdef object make_translate(gmap_t *g, bint write, object owner):
    """The ufunc of an address space; it keeps `owner` alive."""
    cdef bytes name = b"translate_write" if write else b"translate"
    return make_address_ufunc(
        <void *>write_loop if write else <void *>read_loop, g, owner, name,
        _DOC % (name, b"writing" if write else b"reading"), cnp.NPY_UINT16)
