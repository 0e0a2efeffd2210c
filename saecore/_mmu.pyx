"""Guest memory as instructions reach it: two TLBs, both stages, and the faults. Floor 7.

A load or store looks in the first level (page_t, in the loop) and comes here if that has no page
for it. The second level is gmap's TLB of two-level translations, which follows the gmap's
invalidations entry by entry; the first level is simply dropped whenever anything changes.

A stage-1 fault is an exception to EL1. A stage-2 fault ends SAE with HOST_ACCESS_EXCEPTION, or
GUEST_ADDRESS_SIZE beyond the main-storage limit, with the data a host needs to resolve it
(fact sheet sae.md 4, 5).
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset

from gmap._atomic cimport load_acquire
from gmap._defs cimport (
    ACCESS_FETCH, ACCESS_READ, ACCESS_WRITE, FSC_ADDRESS_SIZE, FSC_TRANSLATION, PAGE_SHIFT,
    PAGE_SIZE, S1_GP, STATUS_FSC,
    STATUS_PIC_SHIFT, STATUS_S1PTW, STATUS_STAGE_2,
)
from gmap._nested cimport two_walk, two_walk_t
from gmap._stage1 cimport (
    s1_allow_bit, s1_allowance, s1_attributes, s1_configure, s1_not_global, s1_regime_t,
    s1_shareability, s1_untagged,
)
from gmap._tlb cimport (
    GLOBAL_ASID, tlb_clear, tlb_drop_pages, tlb_enter, tlb_entry_t, tlb_fill, tlb_find, tlb_host,
)
from saecore._debug cimport debug_check_access
from saecore._defs cimport (
    EC_DABT_CUR, EC_DABT_LOW, EC_IABT_CUR, EC_IABT_LOW, ESR_CM, ESR_S1PTW, ESR_WNR,
    EVENT_INTERCEPT, FEATURE_BTI, FEATURE_PAUTH, FSC_ALIGNMENT, FSI_FETCH, FSI_STORE,
    ICPTR_GUEST_ADDRESS_SIZE, ICPTR_HOST_ACCESS_EXCEPTION, PSTATE_PAN, PSTATE_UAO, REG_MAIR_EL1,
    REG_SCTLR_EL1, REG_TCR_EL1, REG_TTBR0_EL1, REG_TTBR1_EL1, SCTLR_A, TCR_TBID_SHIFT,
    TEID_FSI_SHIFT, ZVA_BYTES,
)
from saecore._exceptions cimport esr_of, mode_follow, take_exception_far
from saecore._pe cimport (
    ACCESS_ALIGNED, ACCESS_ATOMIC, ACCESS_NO_ISV, ACCESS_PLAIN, ACCESS_STORE, ACCESS_USER,
    CAREFUL_DEBUG, CAREFUL_TRACE, OP_BLOCK, OP_PC,
    PE_LEFT, PE_OK, SAE_LE32, TLB0_PAGES, op_t, page_t, pe_t,
)
from saecore._processor cimport mmu_t, page_list_t, processor_t, trace_event_t, trace_t
from saecore.a64._blocks cimport code_holds, code_new_epoch, code_written
from saecore.a64._emit_memory cimport isv_syndrome


cdef enum:
    NO_TAG = 2              # of an empty page_t; no page has it, nor with bit 0
    # Beside an entry's allowance: Device memory; a guarded page (FEAT_BTI).
    DEVICE = 1 << 8
    GUARDED = 1 << 9
    # Of an allowance: writes, by EL0, EL1, EL1 with PAN (1 << s1_allow_bit(ACCESS_WRITE, ...)).
    WRITES = 1 << 1 | 1 << 4 | 1 << 7


cdef inline processor_t *processor_of(pe_t *pe) noexcept nogil:
    return <processor_t *>pe


# --- the first level ------------------------------------------------------------------------

cdef inline void empty(page_t *page) noexcept nogil:
    page.read = page.write = page.aligned = NO_TAG


cdef void mmu_drop_pages(processor_t *p) noexcept nogil:
    cdef page_list_t *pages
    cdef int i
    cdef uint32_t k
    for i in range(3):
        pages = &p.mmu.lists[i]
        for k in range(pages.n_used):
            empty(&pages.pages[pages.used[k]])
        pages.n_used = 0


cdef void mmu_protect_code(processor_t *p, uint64_t host) noexcept nogil:
    cdef page_list_t *pages
    cdef page_t *page
    cdef int i
    cdef uint32_t k
    for i in range(3):
        pages = &p.mmu.lists[i]
        for k in range(pages.n_used):
            page = &pages.pages[pages.used[k]]
            if page.write != NO_TAG and page.write + page.delta == host:
                page.write = NO_TAG
            if page.aligned & 1 and (page.aligned & ~(PAGE_SIZE - 1)) + page.delta == host:
                page.aligned &= ~<uint64_t>1


cdef inline int list_of(pe_t *pe, bint user) noexcept nogil:
    """Which first level an access uses."""
    if pe.el == 0 or (user and not pe.pstate & PSTATE_UAO):
        return 0
    return 2 if pe.pstate & PSTATE_PAN else 1


cdef void enter_page(processor_t *p, int which, uint64_t va, uint64_t host, uint64_t allowed,
                     int read_bit) noexcept nogil:
    """Note in the first level where the page of an address is, and what may be done there."""
    cdef page_list_t *pages = &p.mmu.lists[which]
    cdef uint64_t tag = va & ~(PAGE_SIZE - 1)
    cdef uint64_t at = va >> PAGE_SHIFT & (TLB0_PAGES - 1)
    cdef page_t *page = &pages.pages[at]
    cdef bint reads = allowed >> read_bit & 1
    cdef bint writes = allowed >> (read_bit + 1) & 1
    if page.read == NO_TAG and page.write == NO_TAG and page.aligned == NO_TAG:
        if pages.n_used == TLB0_PAGES:
            mmu_drop_pages(p)
        pages.used[pages.n_used] = <uint16_t>at
        pages.n_used += 1
    empty(page)
    host &= ~(PAGE_SIZE - 1)
    page.delta = host - tag
    writes = writes and not code_holds(p, host)
    if allowed & DEVICE or p.pe.sctlr & SCTLR_A:
        if reads:
            page.aligned = tag | <uint64_t>writes
    else:
        if reads:
            page.read = tag
        if writes:
            page.write = tag


# --- faults ---------------------------------------------------------------------------------

cdef int take_abort(pe_t *pe, uint64_t far, int access, uint64_t iss,
                    uint64_t return_pc) noexcept nogil:
    cdef int ec
    if access == ACCESS_FETCH:
        ec = EC_IABT_CUR if pe.el else EC_IABT_LOW
    else:
        ec = EC_DABT_CUR if pe.el else EC_DABT_LOW
    return take_exception_far(pe, esr_of(ec, iss), far, return_pc)


cdef int refused(processor_t *p, uint64_t pc, uint64_t va, int access, uint64_t iss,
                 two_walk_t *w) noexcept nogil:
    """What a walk refused: an exception, or the end of SAE. `iss` is what the kind of access
    adds to the syndrome."""
    cdef pe_t *pe = &p.pe
    iss |= w.status & STATUS_FSC
    if not w.status & STATUS_STAGE_2:
        # Only a hypervisor is told how to emulate the access.
        return take_abort(pe, va, access, iss & (ESR_WNR | ESR_CM | STATUS_FSC), pc)
    if w.status & STATUS_S1PTW:
        iss = (iss & (ESR_WNR | ESR_CM | STATUS_FSC)) | ESR_S1PTW
        pe.gltl = <uint8_t>w.s1.level
    else:
        pe.gltl = 0
    pe.esr = esr_of(EC_IABT_LOW if access == ACCESS_FETCH else EC_DABT_LOW, iss)
    pe.far = va
    pe.pic = <uint16_t>(w.status >> STATUS_PIC_SHIFT)
    pe.teid = (w.ipa & ~(PAGE_SIZE - 1)) | <uint64_t>(
        FSI_STORE if w.writes else FSI_FETCH) << TEID_FSI_SHIFT
    pe.icptr = ICPTR_HOST_ACCESS_EXCEPTION
    if w.ipa >= p.mmu.msl:
        pe.icptr = ICPTR_GUEST_ADDRESS_SIZE
    pe.pc = pc
    pe.event = EVENT_INTERCEPT
    return PE_LEFT


cdef inline uint32_t word_of(const op_t *op) noexcept nogil:
    return SAE_LE32(OP_BLOCK(op).words[op.insn])


cdef uint64_t syndrome(const op_t *op, unsigned int flags, int access) noexcept nogil:
    """What an instruction adds to the syndrome of a data abort."""
    cdef uint64_t iss = 0
    if not flags & ACCESS_NO_ISV:
        iss = isv_syndrome(word_of(op))
    if access == ACCESS_WRITE:
        iss |= ESR_WNR
    return iss


# --- translation ----------------------------------------------------------------------------

cdef bint find(processor_t *p, uint64_t va, int el, bint pan, int access, int which,
               two_walk_t *w, uint64_t *allowed) noexcept nogil:
    """Translate through the second level or both stages: `w.pa`, and what else is allowed there;
    False with `w.status`. `which` is the first level to enter a data page in, or -1.
    """
    cdef mmu_t *m = &p.mmu
    cdef s1_regime_t *r = &m.two.regime
    cdef int high = <int>(va >> 55 & 1)
    cdef uint64_t untagged = s1_untagged(va, r.half[high].tbi)
    cdef uint64_t asid = r.half[high].asid
    cdef int bit = s1_allow_bit(access, el, pan)
    cdef tlb_entry_t *entry = tlb_find(&m.tlb, untagged, asid, bit)
    if entry != NULL:
        w.pa = tlb_host(entry, untagged)
        w.s1.out = (entry.frame & ~(PAGE_SIZE - 1)) | (va & (PAGE_SIZE - 1))
        allowed[0] = entry.frame & (PAGE_SIZE - 1)
    else:
        r.pan = pan
        two_walk(&m.two, m.asce, va, el, access, &m.tlb, w)
        if w.status:
            return False
        if w.s1.out >= m.msl:
            w.status = STATUS_STAGE_2
            return False
        allowed[0] = s1_allowance(r, &w.s1)
        if access != ACCESS_WRITE:
            # A read has not asked whether stage 2, or a clean descriptor, would let it write.
            allowed[0] &= ~<uint64_t>WRITES
        if not s1_attributes(r, &w.s1, ACCESS_READ) & 0xF0:
            allowed[0] |= DEVICE
        if w.s1.half != NULL and w.s1.desc & S1_GP:
            allowed[0] |= GUARDED
        tlb_fill(&m.tlb, untagged, asid if s1_not_global(&w.s1) else <uint64_t>GLOBAL_ASID,
                 w.s1.out, w.pa, w.s1.shift, <unsigned int>allowed[0])
    if which >= 0:
        enter_page(p, which, va, w.pa, allowed[0], s1_allow_bit(ACCESS_READ, el, pan))
    return True


cdef void record(processor_t *p, uint64_t pc, uint64_t va, uint64_t ipa, unsigned int size,
                 int kind) noexcept nogil:
    cdef trace_t *trace = p.trace
    cdef trace_event_t *event
    if trace.n < trace.room:
        event = &trace.events[trace.n]
        event.insn = p.n_insns
        event.pc = pc
        event.va = va
        event.ipa = ipa
        event.size = <uint8_t>size
        event.kind = <uint8_t>kind
        trace.n += 1


cdef int locate(pe_t *pe, const op_t *op, uint64_t va, unsigned int size, int access,
                unsigned int flags, unsigned int misaligned, uint64_t *host) noexcept nogil:
    """The host address of a data access that lies in one page."""
    cdef processor_t *p = processor_of(pe)
    cdef bint user = (flags & ACCESS_USER) != 0
    cdef int which = list_of(pe, user)
    cdef two_walk_t w
    cdef uint64_t allowed
    if not find(p, va, 0 if which == 0 else 1, which == 2, access,
                -1 if pe.careful else which, &w, &allowed):
        return refused(p, OP_PC(op), va, access, syndrome(op, flags, access), &w)
    if misaligned and allowed & DEVICE:
        return take_abort(pe, va, access, FSC_ALIGNMENT | (ESR_WNR if access == ACCESS_WRITE
                                                           else 0), OP_PC(op))
    host[0] = w.pa
    if pe.careful & CAREFUL_TRACE:
        record(p, OP_PC(op), va, w.s1.out, size, access)
    if pe.careful & CAREFUL_DEBUG:
        return debug_check_access(pe, op, va, size, access == ACCESS_WRITE, flags, False)
    return PE_OK


cdef inline page_t *aligned_page(pe_t *pe, uint64_t va, unsigned int size, unsigned int flags,
                                 bint write) noexcept nogil:
    """The first level's entry, if it is of memory that only takes aligned accesses."""
    cdef page_t *tlb = pe.tlb_user if flags & ACCESS_USER else pe.tlb
    cdef page_t *page = &tlb[va >> PAGE_SHIFT & (TLB0_PAGES - 1)]
    if va & (size - 1) or (page.aligned & ~<uint64_t>1) != (va & ~(PAGE_SIZE - 1)):
        return NULL
    return NULL if write and not page.aligned & 1 else page


cdef inline bint must_be_aligned(pe_t *pe, unsigned int flags) noexcept nogil:
    return flags & ACCESS_ALIGNED or pe.sctlr & SCTLR_A


cdef int mmu_read(pe_t *pe, const op_t *op, uint64_t va, unsigned int size, unsigned int flags,
                  void *to) noexcept nogil:
    cdef page_t *page = aligned_page(pe, va, size, flags, False)
    cdef unsigned int misaligned = <unsigned int>va & (size - 1)
    cdef unsigned int first = <unsigned int>(PAGE_SIZE - (va & (PAGE_SIZE - 1)))
    cdef uint64_t host = 0, rest = 0
    if page != NULL:
        memcpy(to, <void *><uintptr_t>(va + page.delta), size)
        return PE_OK
    if misaligned and must_be_aligned(pe, flags):
        return take_abort(pe, va, ACCESS_READ, FSC_ALIGNMENT, OP_PC(op))
    if locate(pe, op, va, min(first, size), ACCESS_READ, flags, misaligned, &host):
        return PE_LEFT
    if first >= size:
        memcpy(to, <void *><uintptr_t>host, size)
        return PE_OK
    if locate(pe, op, va + first, size - first, ACCESS_READ, flags | ACCESS_NO_ISV, misaligned,
              &rest):
        return PE_LEFT
    memcpy(to, <void *><uintptr_t>host, first)
    memcpy(<char *>to + first, <void *><uintptr_t>rest, size - first)
    return PE_OK


cdef inline void put(processor_t *p, uint64_t host, const void *source,
                     unsigned int size) noexcept nogil:
    """Store bytes, which may be instructions."""
    memcpy(<void *><uintptr_t>host, source, size)
    code_written(p, host, size)


cdef int mmu_write(pe_t *pe, const op_t *op, uint64_t va, unsigned int size, unsigned int flags,
                   const void *source) noexcept nogil:
    cdef processor_t *p = processor_of(pe)
    cdef page_t *page = aligned_page(pe, va, size, flags, True)
    cdef unsigned int misaligned = <unsigned int>va & (size - 1)
    cdef unsigned int first = <unsigned int>(PAGE_SIZE - (va & (PAGE_SIZE - 1)))
    cdef uint64_t host = 0, rest = 0
    if page != NULL:
        memcpy(<void *><uintptr_t>(va + page.delta), source, size)
        return PE_OK
    if misaligned and must_be_aligned(pe, flags):
        return take_abort(pe, va, ACCESS_WRITE, FSC_ALIGNMENT | ESR_WNR, OP_PC(op))
    if locate(pe, op, va, min(first, size), ACCESS_WRITE, flags, misaligned, &host):
        return PE_LEFT
    if first >= size:
        put(p, host, source, size)
        return PE_OK
    if locate(pe, op, va + first, size - first, ACCESS_WRITE, flags | ACCESS_NO_ISV, misaligned,
              &rest):
        return PE_LEFT
    put(p, host, source, first)
    put(p, rest, <const char *>source + first, size - first)
    return PE_OK


cdef int mmu_pointer(pe_t *pe, const op_t *op, uint64_t va, unsigned int size,
                     unsigned int flags, void **host) noexcept nogil:
    """For accesses that are done in place. One that also writes says so with ACCESS_ATOMIC; a
    fault of it is one of a read if reading would fault as well."""
    cdef uint64_t at = 0
    if va & (size - 1):
        return take_abort(pe, va, ACCESS_READ,
                          FSC_ALIGNMENT | (ESR_WNR if flags & ACCESS_STORE else 0), OP_PC(op))
    if not flags & ACCESS_STORE and locate(pe, op, va, size, ACCESS_READ, flags, 0, &at):
        return PE_LEFT
    if flags & (ACCESS_ATOMIC | ACCESS_STORE):
        if locate(pe, op, va, size, ACCESS_WRITE, flags, 0, &at):
            return PE_LEFT
        code_written(processor_of(pe), at, size)
    host[0] = <void *><uintptr_t>at
    return PE_OK


cdef inline bint has_false_tag(processor_t *p, uint64_t pc) noexcept nogil:
    """Has the address of an instruction what would be a tag in one of data? (TCR_EL1.TBIDx)"""
    cdef int high = <int>(pc >> 55 & 1)
    return (p.mmu.two.regime.half[high].tbi and not p.pe.tbi >> high & 1
            and s1_untagged(pc, True) != pc)


cdef int mmu_fetch(pe_t *pe, uint64_t pc, uint64_t *host, bint *guarded) noexcept nogil:
    cdef processor_t *p = processor_of(pe)
    cdef two_walk_t w
    cdef uint64_t allowed
    if has_false_tag(p, pc):
        return take_abort(pe, pc, ACCESS_FETCH,
                          FSC_TRANSLATION if p.mmu.two.regime.mmu_on else FSC_ADDRESS_SIZE, pc)
    if not find(p, pc, <int>pe.el, False, ACCESS_FETCH, -1, &w, &allowed):
        return refused(p, pc, pc, ACCESS_FETCH, 0, &w)
    host[0] = w.pa
    guarded[0] = (pe.features & FEATURE_BTI) != 0 and (allowed & GUARDED) != 0
    if pe.careful & CAREFUL_TRACE:
        record(p, pc, pc, w.s1.out, 4, ACCESS_FETCH)
    return PE_OK


cdef int mmu_cache_check(pe_t *pe, const op_t *op, uint64_t va, bint write) noexcept nogil:
    cdef processor_t *p = processor_of(pe)
    cdef int which = list_of(pe, False)
    cdef two_walk_t w
    cdef uint64_t allowed
    # A cache operation counts as a write in the syndrome, whatever permission it needs.
    if not find(p, va, 0 if which == 0 else 1, which == 2, ACCESS_WRITE if write else ACCESS_READ,
                -1, &w, &allowed):
        return refused(p, OP_PC(op), va, ACCESS_READ, ESR_CM | ESR_WNR, &w)
    if pe.careful & CAREFUL_DEBUG:
        return debug_check_access(pe, op, va, 1, True, ACCESS_PLAIN, True)
    return PE_OK


cdef int mmu_zero(pe_t *pe, const op_t *op, uint64_t va) noexcept nogil:
    cdef uint64_t host = 0, start = va & ~(ZVA_BYTES - 1)
    cdef page_t *page = &pe.tlb[va >> PAGE_SHIFT & (TLB0_PAGES - 1)]
    if page.write == va & ~(PAGE_SIZE - 1):
        memset(<void *><uintptr_t>(start + page.delta), 0, ZVA_BYTES)
        return PE_OK
    # On Device memory it is an alignment fault; the address reported is the one given.
    if locate(pe, op, va, ZVA_BYTES, ACCESS_WRITE, ACCESS_NO_ISV, 1, &host):
        return PE_LEFT
    host &= ~(ZVA_BYTES - 1)
    memset(<void *><uintptr_t>host, 0, ZVA_BYTES)
    code_written(processor_of(pe), host, ZVA_BYTES)
    return PE_OK


cdef int mmu_probe(pe_t *pe, const op_t *op, uint64_t va, int el, int access, bint pan,
                   uint64_t *par) noexcept nogil:
    cdef processor_t *p = processor_of(pe)
    cdef two_walk_t w
    cdef bint updates = p.mmu.two.faults
    cdef uint64_t attributes, shareability
    p.mmu.two.regime.pan = pan
    p.mmu.two.faults = False
    two_walk(&p.mmu.two, p.mmu.asce, va, el, access, &p.mmu.tlb, &w)
    p.mmu.two.faults = updates
    if w.status & STATUS_STAGE_2 and w.status & STATUS_S1PTW:
        # The tables themselves are not there yet: the host brings them in, then it is tried again.
        return refused(p, OP_PC(op), va, ACCESS_READ, ESR_CM, &w)
    if w.status and not w.status & STATUS_STAGE_2:
        par[0] = 1 | (w.status & STATUS_FSC) << 1 | <uint64_t>1 << 11
        return PE_OK
    # The ipa is the answer: stage 2 has no part in it.
    attributes = s1_attributes(&p.mmu.two.regime, &w.s1, access)
    shareability = s1_shareability(&w.s1)
    if not attributes & 0xF0 or attributes == 0x44:
        shareability = 2
    par[0] = ((w.s1.out & ~(PAGE_SIZE - 1)) | attributes << 56 | shareability << 7
              | <uint64_t>1 << 11)
    return PE_OK


# --- maintenance ----------------------------------------------------------------------------

cdef void mmu_flush_all(pe_t *pe) noexcept nogil:
    cdef processor_t *p = processor_of(pe)
    tlb_clear(&p.mmu.tlb)
    mmu_drop_pages(p)
    code_new_epoch(p)


cdef void mmu_flush_va(pe_t *pe, uint64_t va, unsigned int asid) noexcept nogil:
    cdef processor_t *p = processor_of(pe)
    cdef uint64_t page = va >> PAGE_SHIFT
    tlb_drop_pages(&p.mmu.tlb, page, page + 1, asid)
    mmu_drop_pages(p)
    code_new_epoch(p)


cdef void mmu_flush_asid(pe_t *pe, unsigned int asid) noexcept nogil:
    cdef processor_t *p = processor_of(pe)
    tlb_drop_pages(&p.mmu.tlb, 0, <uint64_t>1 << 52, asid)
    mmu_drop_pages(p)
    code_new_epoch(p)


cdef void mmu_configure(processor_t *p) noexcept nogil:
    cdef mmu_t *m = &p.mmu
    cdef pe_t *pe = &p.pe
    cdef uint64_t now[5]
    cdef int i
    # The last word says that there is a regime at all.
    cdef bint changed = m.seen[5] == 0, rules = m.seen[5] == 0
    now[0] = pe.regs[<int>REG_TTBR0_EL1]
    now[1] = pe.regs[<int>REG_TTBR1_EL1]
    now[2] = pe.regs[<int>REG_TCR_EL1]
    now[3] = pe.regs[<int>REG_MAIR_EL1]
    now[4] = pe.regs[<int>REG_SCTLR_EL1]
    pe.sctlr = now[4]
    for i in range(5):
        if m.seen[i] != now[i]:
            changed = True
            rules = rules or i >= 2
            m.seen[i] = now[i]
    if not changed:
        return
    m.seen[5] = 1
    s1_configure(&m.two.regime, &m.cpu, now[0], now[1], now[2], now[3], now[4], 1, False)
    pe.tbi = <uint64_t>m.two.regime.half[0].tbi | <uint64_t>m.two.regime.half[1].tbi << 1
    if pe.features & FEATURE_PAUTH:
        pe.tbi &= ~(now[2] >> TCR_TBID_SHIFT)
    if rules:
        # What entries allow was decided by these registers.
        tlb_clear(&m.tlb)
    mmu_drop_pages(p)
    code_new_epoch(p)
    mode_follow(pe)


cdef bint mmu_catch_up(processor_t *p) noexcept nogil:
    cdef mmu_t *m = &p.mmu
    if load_acquire(&p.gmap.shootdowns.seq) == m.tlb.frames_seq:
        return False
    tlb_enter(&m.tlb, &p.gmap.shootdowns, &m.two.flushes)
    mmu_drop_pages(p)
    code_new_epoch(p)
    return True
