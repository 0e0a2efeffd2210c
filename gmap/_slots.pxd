# Memory slots: the table of them, published whole, and lookup by gfn. Floor 2.
from libc.stdint cimport uint32_t, uint64_t

from gmap._atomic cimport load, store


ctypedef struct memslot_t:
    uint64_t base_gfn
    uint64_t npages
    uint64_t userspace_addr     # hva
    uint64_t *dirty_bitmap      # NULL unless dirty pages are logged
    uint32_t flags
    int id


# One published set of slots. Never changed once it is out, but for the hint.
ctypedef struct memslots_t:
    uint64_t generation
    uint64_t n
    uint64_t last_used          # index; a hint
    memslot_t **slots           # ascending by base_gfn


# A lookup cache of one vCPU: valid while the generation is the one it was made in.
ctypedef struct slot_cache_t:
    uint64_t generation
    uint64_t index


cdef memslots_t *memslots_with(
    memslots_t *old, memslot_t *removed, memslot_t *added
) noexcept nogil
cdef uint64_t memslots_search(memslots_t *slots, uint64_t gfn) noexcept nogil
cdef memslot_t *memslots_overlap(memslots_t *slots, uint64_t base_gfn, uint64_t npages,
                                 memslot_t *ignored) noexcept nogil


cdef inline memslot_t *find_memslot(
    memslots_t *slots, uint64_t gfn, slot_cache_t *cache
) noexcept nogil:
    """The slot that holds `gfn`, INVALID ones included, or NULL.

    `cache` is a vCPU's; without one the hint of the whole VM is used.
    """
    cdef uint64_t index
    cdef memslot_t *slot
    if cache != NULL:
        index = cache.index if cache.generation == slots.generation else 0
    else:
        index = load(&slots.last_used)
    if index < slots.n:
        slot = slots.slots[index]
        if gfn - slot.base_gfn < slot.npages:
            return slot
    index = memslots_search(slots, gfn)
    if index == slots.n:
        return NULL
    if cache != NULL:
        cache.generation = slots.generation
        cache.index = index
    else:
        store(&slots.last_used, index)
    return slots.slots[index]
