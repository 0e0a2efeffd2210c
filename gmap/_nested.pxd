# Two-level translation: stage 1 in guest memory, every access of it through the gmap. Floor 3.
#
# A scalar walk, for what is slow anyway, and the state a batch and a vCPU share. Host pages
# are pointers here, so the address space is one over a BufferHost, or stage 1 is off.
# The caller is inside a section of the address space's readers.
from libc.stdint cimport uint32_t, uint64_t, uintptr_t

from gmap._atomic cimport be64, cas, le64, load, load_entry
from gmap._defs cimport (
    ACCESS_WRITE, FSC_PERMISSION, FSC_TRANSLATION, PAGE_SHIFT, PIC_ADDRESSING, PIC_ASCE_TYPE,
    PIC_PROTECTION, PIC_TRANSLATION_SPEC, STATUS_PIC_SHIFT, STATUS_S1PTW, STATUS_STAGE_1,
    STATUS_STAGE_2,
)
from gmap._gmap cimport gmap_t
from gmap._stage1 cimport (
    S1_DONE, S1_FETCH, s1_allow_bit, s1_begin, s1_check, s1_fsc, s1_regime_t, s1_step, s1_updated,
    s1_walk_t,
)
from gmap._tlb cimport shootdown_log_t, tlb_note_table, tlb_t
from gmap._walk cimport (
    dat_translate, dat_walk_cached, dat_walk_t, leaf_translate, pte_translate, walk_cache_t,
)


cdef enum:
    N_TWO_COUNTERS = 8


# A regime and an address space, and what translations through both have in common.
ctypedef struct two_t:
    s1_regime_t regime
    gmap_t *g
    bint faults             # an access is a real one: it faults in, and updates descriptors
    bint caches             # translations may go into TLBs
    shootdown_log_t flushes
    uint32_t lock           # of the list
    tlb_t *idle             # TLBs nobody uses
    uint64_t counters[N_TWO_COUNTERS]


# How one two-level walk went. `status` is what the ufuncs return.
ctypedef struct two_walk_t:
    s1_walk_t s1
    dat_walk_t s2           # of the last stage-2 walk
    uint64_t ipa            # that it translated
    uint64_t pa
    uint32_t status
    bint writes             # the stage-2 access is a write


cdef inline int arm_level(int level) noexcept nogil:
    """The level of a DAT table entry (Level) as stage 2 counts: 3 is a page."""
    return 2 - level


cdef inline uint32_t stage2_status(int pic, int level, bint s1ptw) noexcept nogil:
    """The status of an access the gmap refuses. Without a table at some level (no memory slot,
    beyond the end of the address space, a malformed table) the fault is of level 0."""
    cdef int fsc
    level = arm_level(level)
    if pic == PIC_PROTECTION:
        fsc = s1_fsc(FSC_PERMISSION, level)
    elif pic == PIC_ASCE_TYPE or pic == PIC_TRANSLATION_SPEC or pic == PIC_ADDRESSING:
        fsc = FSC_TRANSLATION
    else:
        fsc = s1_fsc(FSC_TRANSLATION, level)
    return <uint32_t>(fsc | STATUS_STAGE_2 | (STATUS_S1PTW if s1ptw else 0)
                      | <uint32_t>pic << STATUS_PIC_SHIFT)


cdef inline uint64_t descriptor(const s1_regime_t *r, uint64_t word) noexcept nogil:
    """A doubleword of guest memory as the table walk reads it, or the other way."""
    return be64(word) if r.big_endian else le64(word)


cdef inline int stage2(two_t *two, uint64_t asce, bint write, uint64_t ipa,
                       two_walk_t *w) noexcept nogil:
    """Translate one intermediate physical address; its interruption code."""
    w.ipa = ipa
    w.writes = write
    return dat_translate(asce, ipa, write, &w.pa, &w.s2)


cdef inline int stage2_cached(uint64_t asce, walk_cache_t *cache, uint64_t ipa,
                              uint64_t *pa) noexcept nogil:
    """The same for a read, past the tables a cache remembers."""
    cdef dat_walk_t walk
    cdef int pic = dat_walk_cached(asce, ipa, cache, &walk)
    if pic:
        return pic
    if walk.ptep == NULL:
        return leaf_translate(walk.crste, ipa, walk.protect, False, pa)
    return pte_translate(load_entry(walk.ptep), ipa, walk.protect, False, pa)


cdef inline bint update_descriptor(two_t *two, uint64_t asce, uint64_t desc,
                                   two_walk_t *w) noexcept nogil:
    """Store the access flag and the dirty state hardware manages; False if it was refused, with
    the status, or if the descriptor has changed, without one."""
    cdef int pic = stage2(two, asce, True, w.s1.desc_ipa, w)
    if pic:
        w.status = stage2_status(pic, w.s2.level, True)
        return False
    w.status = 0
    return cas(<uint64_t *><uintptr_t>w.pa, descriptor(&two.regime, w.s1.desc),
               descriptor(&two.regime, desc))


cdef inline void two_walk(two_t *two, uint64_t asce, uint64_t va, int el, int access,
                          tlb_t *tlb, two_walk_t *w) noexcept nogil:
    """Translate one address through both stages: `w.status` 0 and `w.pa`, or what refused it.
    A TLB, unless NULL, is told of the tables on the way.

    Where `two.faults`, updates descriptors on the way; faulting in is the caller's, who finds
    the frame in `w.ipa`.
    """
    cdef int rc, pic
    cdef uint64_t desc
    while True:
        rc = s1_begin(&two.regime, va, el, &w.s1)
        while rc == S1_FETCH:
            pic = stage2(two, asce, False, w.s1.desc_ipa, w)
            if pic:
                w.pa = 0
                w.status = stage2_status(pic, w.s2.level, True)
                return
            if tlb != NULL:
                tlb_note_table(tlb, w.s1.desc_ipa >> PAGE_SHIFT)
            rc = s1_step(&two.regime, &w.s1,
                         descriptor(&two.regime, load(<uint64_t *><uintptr_t>w.pa)))
        if rc == S1_DONE:
            rc = s1_check(&two.regime, &w.s1, s1_allow_bit(access, el, two.regime.pan))
        if rc != S1_DONE:
            w.pa = 0
            w.status = <uint32_t>rc | STATUS_STAGE_1
            return
        if not two.faults:
            break
        desc = s1_updated(&two.regime, &w.s1, access)
        if desc == w.s1.desc or update_descriptor(two, asce, desc, w):
            break
        if w.status:
            w.pa = 0
            return
    pic = stage2(two, asce, access == ACCESS_WRITE, w.s1.out, w)
    w.status = stage2_status(pic, w.s2.level, False) if pic else 0


cdef class TwoLevel:
    cdef two_t *c
    cdef object pair        # owns `c`
    cdef object by_access
    cdef readonly object translate
    cdef readonly object stage1
    cdef readonly object gmap
    cdef readonly bint fault_in
    cdef uint32_t tell_stage2(self, list steps, uint64_t asce, uint64_t ipa, bint write,
                              bint s1ptw, uint64_t *pa)
