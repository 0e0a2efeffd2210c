# The DAT walk: the only one in this project. Floor 1.
#
# Inline, noexcept, nogil, no objects: it sees one table word after another and nothing
# else. Translation, the gmap's entry walk, the fault-in path and outside Cython modules
# all cimport it. `dat_walk` follows the hardware's rules (ASCE type, table length and
# offset, invalid bit, table type, format control, accumulated protection) and stops
# where it is told to; what a stop means is its caller's business.
#
# Source: z/Architecture dynamic address translation with enhanced DAT 2; fact sheet
# dat-gmap.md sections 1 and 2; interruption codes per level: ipa.md section 4.
from libc.stdint cimport uint64_t, uintptr_t

from gmap._atomic cimport load_entry
from gmap._defs cimport (
    ASCE_DT, ASCE_ORIGIN, ASCE_TL, CRST_BITS, CRST_ENTRIES, CRSTE_FC, CRSTE_I,
    CRSTE_ORIGIN, CRSTE_P, CRSTE_TF, CRSTE_TL, CRSTE_TT, LEVEL_PAGE, LEVEL_REGION1,
    LEVEL_REGION3, LEVEL_SEGMENT, PAGE_SHIFT, PAGE_SIZE, PIC_ASCE_TYPE, PIC_PAGE_TRANSLATION,
    PIC_PROTECTION, PIC_REGION_THIRD_TRANS, PIC_SEGMENT_TRANSLATION, PIC_TRANSLATION_SPEC,
    PT_ENTRIES, PTE_I, PTE_P, PTE_PFRA, PTE_Z, REGION3_FRAME, REGION3_SHIFT, REGION3_SIZE,
    SEGMENT_FRAME, SEGMENT_PTO, SEGMENT_SIZE,
)
from gmap._geometry cimport level_shift, type_end


# Where a walk stands. `crstep` is NULL before the first table, `ptep` until a page table
# was reached; `crste` is the one value read from `crstep`.
ctypedef struct dat_walk_t:
    uint64_t *crstep
    uint64_t crste
    uint64_t *ptep
    uint64_t protect    # CRSTE_P if a table entry on the way protects everything below it
    int level           # of the entry at crstep, LEVEL_PAGE once ptep is set


cdef enum:
    WALK_CACHE_ENTRIES = 64     # by the region of 2 GiB an address lies in


ctypedef struct walk_cache_entry_t:
    uint64_t region
    uint64_t crste      # the region-third-table entry: where the segment table is
    uint64_t protect


# The segment tables some walks went through. Good for as long as nobody can free a table:
# within one section of the readers, or one hold of the mmu_lock.
ctypedef struct walk_cache_t:
    walk_cache_entry_t entries[WALK_CACHE_ENTRIES]


cdef inline void walk_cache_clear(walk_cache_t *cache) noexcept nogil:
    cdef int i
    for i in range(WALK_CACHE_ENTRIES):
        cache.entries[i].region = ~<uint64_t>0


cdef inline int asce_dt(uint64_t asce) noexcept nogil:
    """Table type of the ASCE's top-level table."""
    return <int>((asce & ASCE_DT) >> 2)


cdef inline uint64_t asce_end(uint64_t asce) noexcept nogil:
    """First gfn the ASCE does not cover."""
    return type_end(asce_dt(asce))


cdef inline int translation_pic(int level) noexcept nogil:
    """The translation exception of an invalid entry at `level`."""
    if level == LEVEL_PAGE:
        return PIC_PAGE_TRANSLATION
    if level == LEVEL_SEGMENT:
        return PIC_SEGMENT_TRANSLATION
    return PIC_REGION_THIRD_TRANS + LEVEL_REGION3 - level


cdef inline bint crste_leaf(uint64_t crste) noexcept nogil:
    """The entry maps a frame, valid or old."""
    return (crste & CRSTE_FC) != 0 and (crste & CRSTE_TT) <= (<uint64_t>LEVEL_REGION3 << 2)


cdef inline bint crste_table(uint64_t crste, int level) noexcept nogil:
    """An entry found at `level` leads to a lower table: valid, of its level's type, no frame."""
    return (not crste & CRSTE_I and (crste & CRSTE_TT) >> 2 == <uint64_t>level
            and not crste_leaf(crste))


cdef inline uint64_t *pte_slot(uint64_t crste, uint64_t address) noexcept nogil:
    """The page-table slot of `address` below a valid segment-table entry."""
    return (<uint64_t *><uintptr_t>(crste & SEGMENT_PTO)
            + ((address >> PAGE_SHIFT) & (PT_ENTRIES - 1)))


cdef inline int dat_walk_below(uint64_t entry, int level, uint64_t address, int stop,
                               dat_walk_t *walk) noexcept nogil:
    """Go on with a walk in the table at `level` that `entry`, an ASCE or a table entry, names."""
    cdef uint64_t index, quarter
    while True:
        index = (address >> level_shift(level)) & (CRST_ENTRIES - 1)
        quarter = index >> (CRST_BITS - 2)
        walk.level = level
        if quarter > (entry & CRSTE_TL) or quarter < (entry & CRSTE_TF) >> 6:
            walk.crstep = NULL
            walk.crste = 0
            return translation_pic(level)
        walk.crstep = <uint64_t *><uintptr_t>(entry & CRSTE_ORIGIN) + index
        entry = load_entry(walk.crstep)
        walk.crste = entry
        if entry & CRSTE_I:
            return translation_pic(level)
        if (entry & CRSTE_TT) >> 2 != <uint64_t>level:
            return PIC_TRANSLATION_SPEC
        walk.protect |= entry & CRSTE_P
        if level == stop or crste_leaf(entry):
            return 0
        if level == LEVEL_SEGMENT:
            walk.ptep = pte_slot(entry, address)
            walk.level = LEVEL_PAGE
            return 0
        level -= 1


cdef inline int dat_walk(uint64_t asce, uint64_t address, int stop,
                         dat_walk_t *walk) noexcept nogil:
    """Walk from `asce` towards the entry of `address` at level `stop`.

    Ends at the first of: the entry at `stop`, an entry that maps a frame, a fault. Returns 0
    or the program interruption code. The page-table entry is located, not read.
    """
    cdef int level = asce_dt(asce)
    walk.crstep = NULL
    walk.ptep = NULL
    walk.crste = 0
    walk.protect = 0
    walk.level = level
    if level != LEVEL_REGION1 and address >> level_shift(level + 1):
        return PIC_ASCE_TYPE
    # An ASCE has no table offset.
    return dat_walk_below(asce & ~<uint64_t>CRSTE_TF, level, address, stop, walk)


cdef inline int dat_walk_cached(uint64_t asce, uint64_t address, walk_cache_t *cache,
                                dat_walk_t *walk) noexcept nogil:
    """Walk to the page of `address` as `dat_walk` does, past the tables the cache remembers."""
    cdef uint64_t region = address >> REGION3_SHIFT
    cdef walk_cache_entry_t *cached = &cache.entries[region & (WALK_CACHE_ENTRIES - 1)]
    cdef int code
    if cached.region != region:
        if asce_dt(asce) < LEVEL_REGION3:
            return dat_walk(asce, address, LEVEL_PAGE, walk)
        code = dat_walk(asce, address, LEVEL_REGION3, walk)
        if code or crste_leaf(walk.crste):
            return code
        cached.region = region
        cached.crste = walk.crste
        cached.protect = walk.protect
    walk.ptep = NULL
    walk.protect = cached.protect
    return dat_walk_below(cached.crste, LEVEL_SEGMENT, address, LEVEL_PAGE, walk)


cdef inline int leaf_translate(
    uint64_t crste, uint64_t address, uint64_t protect, bint write, uint64_t *pa
) noexcept nogil:
    """Finish a walk that ended at a valid entry that maps a frame."""
    if write and protect:
        return PIC_PROTECTION
    if crste & CRSTE_TT:
        pa[0] = (crste & REGION3_FRAME) | (address & (REGION3_SIZE - 1))
    else:
        pa[0] = (crste & SEGMENT_FRAME) | (address & (SEGMENT_SIZE - 1))
    return 0


cdef inline int pte_translate(
    uint64_t pte, uint64_t address, uint64_t protect, bint write, uint64_t *pa
) noexcept nogil:
    """Finish a walk that ended at a page-table entry."""
    if pte_refuses(pte, protect, write):
        if pte & PTE_I:
            return PIC_PAGE_TRANSLATION
        if pte & PTE_Z:
            return PIC_TRANSLATION_SPEC
        return PIC_PROTECTION
    pa[0] = (pte & PTE_PFRA) | (address & (PAGE_SIZE - 1))
    return 0


cdef inline bint pte_refuses(uint64_t pte, uint64_t protect, bint write) noexcept nogil:
    """The entry refuses the access: invalid, malformed, or protected against this write."""
    if write:
        return ((pte | protect) & (PTE_I | PTE_Z | PTE_P)) != 0
    return (pte & (PTE_I | PTE_Z)) != 0


cdef inline int dat_translate(
    uint64_t asce, uint64_t address, bint write, uint64_t *pa, dat_walk_t *walk
) noexcept nogil:
    """Translate one address: 0 and `pa`, or the program interruption code and pa 0."""
    cdef int pic = dat_walk(asce, address, LEVEL_PAGE, walk)
    pa[0] = 0
    if pic:
        return pic
    if walk.ptep == NULL:
        return leaf_translate(walk.crste, address, walk.protect, write, pa)
    return pte_translate(load_entry(walk.ptep), address, walk.protect, write, pa)
