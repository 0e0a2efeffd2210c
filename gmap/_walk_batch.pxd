# Many DAT walks at once: the kernels of every vector translation. Floor 1.
#
# A group inside one segment needs one walk and then one table read an address. For any other
# group every walk is made as far as the page-table slot, which is prefetched; the slots are
# read afterwards, so that the misses of a whole group are under way together. Single walks
# one after another cost several times as much once the tables outgrow the caches
# (docs/performance.md).
#
# The caller is inside a section of the address space's readers.
from libc.stdint cimport uint16_t, uint64_t

from gmap._atomic cimport likely, load, prefetch
from gmap._defs cimport (
    LEVEL_PAGE, PAGE_SHIFT, PAGE_SIZE, PT_ENTRIES, PTE_PFRA, SEGMENT_SHIFT,
)
from gmap._walk cimport (
    dat_walk, dat_walk_cached, dat_walk_t, leaf_translate, pte_refuses, pte_translate,
    walk_cache_t,
)


cdef enum:
    GROUP = 64          # walks under way at once, a power of two


cdef inline void one_segment(
    uint64_t asce, bint write, const uint64_t *gpa, uint64_t *pa, uint16_t *pic, uint64_t n
) noexcept nogil:
    """A group whose addresses all lie in one segment."""
    cdef dat_walk_t walk
    cdef uint64_t pte, i
    cdef const uint64_t *table
    cdef int code = dat_walk(asce, gpa[0], LEVEL_PAGE, &walk)
    if code or walk.ptep == NULL:
        for i in range(n):
            finish_above(code, &walk, gpa[i], write, &pa[i], &pic[i])
        return
    table = walk.ptep - <Py_ssize_t>((gpa[0] >> PAGE_SHIFT) & (PT_ENTRIES - 1))
    for i in range(n):
        pte = load(table + ((gpa[i] >> PAGE_SHIFT) & (PT_ENTRIES - 1)))
        finish(pte, gpa[i], walk.protect, write, &pa[i], &pic[i])


cdef inline void finish_above(int code, dat_walk_t *walk, uint64_t gpa, bint write, uint64_t *pa,
                              uint16_t *pic) noexcept nogil:
    """What a walk that met no page table makes of an address, which `pa` may overwrite."""
    pa[0] = 0
    pic[0] = <uint16_t>(code if code else leaf_translate(walk.crste, gpa, walk.protect, write, pa))


cdef inline void finish(uint64_t pte, uint64_t gpa, uint64_t protect, bint write, uint64_t *pa,
                        uint16_t *pic) noexcept nogil:
    """What a page-table entry makes of an address."""
    if likely(not pte_refuses(pte, protect, write)):
        pa[0] = (pte & PTE_PFRA) | (gpa & (PAGE_SIZE - 1))
        pic[0] = 0
        return
    pa[0] = 0
    pic[0] = <uint16_t>pte_translate(pte, gpa, protect, write, pa)


# Walks under way, by the index of their address modulo GROUP.
cdef struct walks_t:
    uint64_t *ptep[GROUP]       # NULL: ended above the page tables, and finished
    uint64_t protect[GROUP]


cdef inline void begin(uint64_t asce, walk_cache_t *cache, walks_t *walks, bint write,
                       const uint64_t *gpa, uint64_t *pa, uint16_t *pic, uint64_t i) noexcept nogil:
    """Walk to the page-table entry of address `i` and ask for it."""
    cdef dat_walk_t walk
    cdef uint64_t k = i & (GROUP - 1)
    cdef int code = dat_walk_cached(asce, gpa[i], cache, &walk)
    walks.ptep[k] = walk.ptep
    if write:
        walks.protect[k] = walk.protect
    if likely(walk.ptep != NULL):
        prefetch(walk.ptep)
    else:
        finish_above(code, &walk, gpa[i], write, &pa[i], &pic[i])


cdef inline void end(walks_t *walks, bint write, const uint64_t *gpa, uint64_t *pa, uint16_t *pic,
                     uint64_t i) noexcept nogil:
    """Finish the walk of address `i`, whose page-table entry has come by now."""
    cdef uint64_t k = i & (GROUP - 1)
    if likely(walks.ptep[k] != NULL):
        finish(load(walks.ptep[k]), gpa[i], walks.protect[k] if write else 0, write, &pa[i],
               &pic[i])


cdef inline void any_segments(
    uint64_t asce, walk_cache_t *cache, bint write, const uint64_t *gpa, uint64_t *pa,
    uint16_t *pic, uint64_t n
) noexcept nogil:
    """Unrelated addresses: the page-table entries of the next GROUP are always on the way."""
    cdef walks_t walks
    cdef uint64_t under_way = min(n, <uint64_t>GROUP)
    cdef uint64_t i
    for i in range(under_way):
        begin(asce, cache, &walks, write, gpa, pa, pic, i)
    for i in range(under_way, n):
        end(&walks, write, gpa, pa, pic, i - under_way)
        begin(asce, cache, &walks, write, gpa, pa, pic, i)
    for i in range(n - under_way, n):
        end(&walks, write, gpa, pa, pic, i)


cdef inline bint in_one_segment(const uint64_t *gpa, uint64_t n) noexcept nogil:
    cdef uint64_t apart = 0, i
    for i in range(1, n):
        apart |= gpa[0] ^ gpa[i]
    return apart >> SEGMENT_SHIFT == 0
