# A software TLB, and the logs of invalidations it follows. Floor 2.
#
# Entries hold a whole two-level translation of 4 KiB: guest virtual page to host page. A TLB
# belongs to one user at a time (a batch, a vCPU) and is touched by nobody else. Whoever
# invalidates appends to a log and then waits for the sections of the address space's readers;
# a user reads the logs when it enters a section. So no entry outlives an invalidation that
# has returned, and a lookup takes no lock.
#
# Two ways a set, the older one replaced, and the set by all bits of the page number folded
# together: buffers a power of two apart do not fall on the same sets. A set has at most one
# entry of a page, so two address spaces take turns there.
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from gmap._atomic cimport likely, load_acquire, store_release
from gmap._defs cimport PAGE_SHIFT, PAGE_SIZE
from gmap._sync cimport spin_lock, spin_unlock


cdef enum:
    SHOOTDOWNS = 64         # ranges a log remembers
    TLB_SET_BITS = 10
    TLB_SETS = 1 << TLB_SET_BITS
    TLB_ENTRIES = 2 * TLB_SETS
    TABLE_WORDS = 64        # of the filter of frames that hold tables
    GLOBAL_ASID = 1 << 16
    ANY_ASID = 1 << 17      # of an invalidation
    AND_GLOBAL = 1 << 18    # added to one ASID: and global pages


# Invalidated ranges of page numbers, and of which address space. Counted from 1.
ctypedef struct shootdown_log_t:
    uint64_t seq
    uint32_t lock
    uint64_t start[SHOOTDOWNS]
    uint64_t end[SHOOTDOWNS]
    uint32_t asid[SHOOTDOWNS]


ctypedef struct tlb_entry_t:
    uint64_t page           # guest virtual, bit 0 set; 0: no entry
    uint64_t host           # host page; below: log2 of what the stage-1 leaf maps
    uint64_t frame          # guest physical page; below: what it allows, a bit each
    uint64_t asid           # or GLOBAL_ASID


ctypedef struct tlb_t:
    tlb_entry_t entries[TLB_ENTRIES]
    uint64_t frames_seq     # how much of the address space's log is done
    uint64_t pages_seq      # how much of the flushes' log is done
    uint64_t tables[TABLE_WORDS]    # a filter: frames the tables behind the entries are in
    uint64_t n_flushed      # entries dropped
    tlb_t *next             # while nobody uses it


cdef inline void shootdown_add(shootdown_log_t *log, uint64_t start, uint64_t end,
                               uint32_t asid) noexcept nogil:
    """Log that translations of pages or frames [start, end) are over. The tables have changed
    already; wait for the readers afterwards."""
    cdef uint64_t at
    spin_lock(&log.lock)
    at = log.seq % SHOOTDOWNS
    log.start[at] = start
    log.end[at] = end
    log.asid[at] = asid
    store_release(&log.seq, log.seq + 1)
    spin_unlock(&log.lock)


cdef inline void tlb_clear(tlb_t *tlb) noexcept nogil:
    cdef uint64_t i
    for i in range(TLB_ENTRIES):
        tlb.n_flushed += tlb.entries[i].page != 0
        tlb.entries[i].page = 0
    memset(tlb.tables, 0, sizeof(tlb.tables))


cdef inline void tlb_note_table(tlb_t *tlb, uint64_t gfn) noexcept nogil:
    """Entries to come depend on a table in this frame."""
    tlb.tables[gfn >> 6 & (TABLE_WORDS - 1)] |= <uint64_t>1 << (gfn & 63)


cdef inline bint tlb_may_use(tlb_t *tlb, uint64_t start, uint64_t end) noexcept nogil:
    """A table behind some entry may be in frames [start, end)."""
    cdef uint64_t gfn
    if end - start >= 64 * TABLE_WORDS:
        return True
    for gfn in range(start, end):
        if tlb.tables[gfn >> 6 & (TABLE_WORDS - 1)] >> (gfn & 63) & 1:
            return True
    return False


cdef inline void tlb_drop_frames(tlb_t *tlb, uint64_t start, uint64_t end) noexcept nogil:
    """Stage 2 of frames [start, end) has changed."""
    cdef uint64_t i, gfn
    if tlb_may_use(tlb, start, end):
        tlb_clear(tlb)
        return
    for i in range(TLB_ENTRIES):
        gfn = tlb.entries[i].frame >> PAGE_SHIFT
        if tlb.entries[i].page and start <= gfn < end:
            tlb.entries[i].page = 0
            tlb.n_flushed += 1


cdef inline void tlb_drop_pages(tlb_t *tlb, uint64_t start, uint64_t end,
                                uint32_t asid) noexcept nogil:
    """Stage 1 of pages [start, end) has changed, of one address space, with or without the
    global pages, or of any. A page of a block goes with any other page of the block."""
    cdef uint64_t i, first, leaf, owner
    for i in range(TLB_ENTRIES):
        if tlb.entries[i].page == 0:
            continue
        leaf = <uint64_t>1 << ((tlb.entries[i].host & (PAGE_SIZE - 1)) - PAGE_SHIFT)
        first = (tlb.entries[i].page >> PAGE_SHIFT) & ~(leaf - 1)
        owner = tlb.entries[i].asid
        if first < end and start < first + leaf and (
                asid == ANY_ASID or owner == (asid & (GLOBAL_ASID - 1))
                or (owner == GLOBAL_ASID and asid & AND_GLOBAL)):
            tlb.entries[i].page = 0
            tlb.n_flushed += 1


cdef inline uint64_t tlb_follow(tlb_t *tlb, shootdown_log_t *log, uint64_t seen,
                                bint frames) noexcept nogil:
    """Do what a log says since `seen`; returns how far it goes now."""
    cdef uint64_t at
    spin_lock(&log.lock)
    if log.seq - seen > SHOOTDOWNS:
        tlb_clear(tlb)
    else:
        while seen < log.seq:
            at = seen % SHOOTDOWNS
            if frames:
                tlb_drop_frames(tlb, log.start[at], log.end[at])
            else:
                tlb_drop_pages(tlb, log.start[at], log.end[at], log.asid[at])
            seen += 1
    seen = log.seq
    spin_unlock(&log.lock)
    return seen


cdef inline void tlb_enter(tlb_t *tlb, shootdown_log_t *frames,
                           shootdown_log_t *pages) noexcept nogil:
    """Catch up with both logs; inside a section of the readers, before any lookup in it."""
    if load_acquire(&frames.seq) != tlb.frames_seq:
        tlb.frames_seq = tlb_follow(tlb, frames, tlb.frames_seq, True)
    if load_acquire(&pages.seq) != tlb.pages_seq:
        tlb.pages_seq = tlb_follow(tlb, pages, tlb.pages_seq, False)


cdef inline tlb_entry_t *tlb_set(tlb_t *tlb, uint64_t va) noexcept nogil:
    cdef uint64_t page = va >> PAGE_SHIFT
    page ^= page >> TLB_SET_BITS ^ page >> 2 * TLB_SET_BITS ^ page >> 3 * TLB_SET_BITS
    return &tlb.entries[2 * (page & (TLB_SETS - 1))]


cdef inline bint tlb_serves(const tlb_entry_t *entry, uint64_t page, uint64_t asid,
                            int bit) noexcept nogil:
    return entry.page == page and entry.frame >> bit & 1 and (
        entry.asid == asid or entry.asid == GLOBAL_ASID)


cdef inline tlb_entry_t *tlb_find(tlb_t *tlb, uint64_t va, uint64_t asid, int bit) noexcept nogil:
    """The entry that translates an untagged address and allows the access, or NULL."""
    cdef tlb_entry_t *entry = tlb_set(tlb, va)
    cdef uint64_t page = (va & ~(PAGE_SIZE - 1)) | 1
    # The second way without a branch on the first: which one it is cannot be foretold.
    entry += entry[1].page == page
    return entry if likely(tlb_serves(entry, page, asid, bit)) else NULL


cdef inline uint64_t tlb_host(const tlb_entry_t *entry, uint64_t va) noexcept nogil:
    """The host address of an address the entry translates."""
    return (entry.host & ~(PAGE_SIZE - 1)) | (va & (PAGE_SIZE - 1))


cdef inline void tlb_fill(tlb_t *tlb, uint64_t va, uint64_t asid, uint64_t ipa, uint64_t pa,
                          int shift, unsigned int allowed) noexcept nogil:
    """Enter a translation. It replaces what the set held of the same page, whosever it was, or
    the older entry. `shift` is log2 of what the stage-1 leaf maps."""
    cdef tlb_entry_t *entry = tlb_set(tlb, va)
    cdef uint64_t page = (va & ~(PAGE_SIZE - 1)) | 1
    if entry[1].page == page:
        entry += 1
    elif entry.page != page:
        entry[1] = entry[0]
    entry.page = page
    entry.host = (pa & ~(PAGE_SIZE - 1)) | <uint64_t>shift
    entry.frame = (ipa & ~(PAGE_SIZE - 1)) | allowed
    entry.asid = asid
