# An address space: its tables, slots and locks, and what changes single entries. Floor 3.
#
# Source: fact sheet dat-gmap.md sections 9 to 11, faultin.md section 3.
from libc.errno cimport EAGAIN, EFBIG, EINVAL, ENOENT, ENOMEM
from libc.stdint cimport int32_t, uint32_t, uint64_t

from gmap._atomic cimport add, cas, load, load_acquire, store_release
from gmap._defs cimport (
    COUNTER_HOST_DIRTIED, COUNTER_LINKED_1M, COUNTER_LINKED_2G, COUNTER_LINKED_4K, COUNTER_LOOKUPS,
    COUNTER_MINOR, CRSTE_EMPTY,
    CRSTE_FC, CRSTE_I, CRSTE_P, CRSTE_SW_D, CRSTE_SW_PR, CRSTE_SW_S, CRSTE_SW_SD, CRSTE_SW_W,
    CRSTE_SW_Y, CRSTE_TT, FOLIO_ORDER_1M, FOLIO_ORDER_2G, GMAP_FLAG_ALLOW_HPAGE_1M,
    GMAP_FLAG_ALLOW_HPAGE_2G, LEVEL_PAGE, LEVEL_REGION3, LEVEL_SEGMENT, PAGE_SHIFT, PGSTE_ZERO,
    PTE_D, PTE_EMPTY, PTE_I, PTE_P, PTE_PFRA, PTE_PR, PTE_S, PTE_SD, PTE_W, PTE_Y, REGION3_FRAME,
    REGION3_PAGES, SEGMENT_FRAME, SEGMENT_PAGES, WALK_ALLOC_CONTINUE,
)
from gmap._regions cimport host_page_t, host_t, mmu_notifier_t
from gmap._slots cimport memslot_t, memslots_t
from gmap._sync cimport read_trylock, read_unlock, rwlock_t, srcu_t
from gmap._tables cimport (
    arena_t, dat_entry_walk, mmu_cache_t, pgste_lock, pgste_slot, pgste_unlock,
)
from gmap._tlb cimport shootdown_log_t
from gmap._walk cimport (
    asce_dt, asce_end, crste_leaf, dat_walk, dat_walk_cached, dat_walk_t, walk_cache_t,
)


cdef enum:
    N_COUNTERS = 32
    N_EVENTS = 256

    # Upstream behaviour on request (Gmap(quirks=...)).
    QUIRK_AGE_LOSES_DIRTY = 1
    QUIRK_UNMAP_LOSES_DIRTY = 2


# As dtypes.PFAULT_EVENT.
ctypedef struct pfault_event_t:
    int32_t id
    uint64_t pstate
    uint64_t pc
    uint64_t gfn


# What is written often is kept off the cache lines of what is read by every fault.
ctypedef struct gmap_t:
    uint64_t asce
    uint64_t guest_phys_size        # exclusive
    uint64_t flags                  # GmapFlag
    uint64_t quirks
    host_t *host
    memslots_t *memslots
    # The invalidation protocol (faultin.md 3).
    uint64_t invalidate_seq
    uint64_t invalidate_in_progress
    uint64_t invalidate_start       # gfns
    uint64_t invalidate_end
    uint64_t pad_0[6]
    rwlock_t mmu_lock
    srcu_t srcu                     # slots and regions; fault-in runs inside
    srcu_t tlb                      # translations run inside, and take no lock there
    shootdown_log_t shootdowns      # of gfns, for who keeps translations across sections
    uint32_t mn_lock
    uint64_t mn_active_invalidate_count
    mmu_notifier_t notifier
    arena_t arena
    uint64_t counters[N_COUNTERS]
    # The trace event kvm_s390_major_guest_pfault: the last N_EVENTS of them.
    uint32_t events_lock
    uint64_t n_events
    pfault_event_t events[N_EVENTS]


# One frame being faulted in (faultin.md 1). `host` is what the tables or the host said of it;
# a walk sets `ptep`, or `crstep` with the value read from it.
ctypedef struct guest_fault_t:
    uint64_t gfn
    uint64_t *ptep
    uint64_t *crstep
    uint64_t crste
    host_page_t host
    bint write_attempt
    bint valid              # host came from a lookup that may be used


cdef int gmap_init(gmap_t *g, host_t *host, uint64_t guest_phys_size, int asce_type,
                   uint64_t flags) noexcept nogil
cdef void gmap_destroy(gmap_t *g) noexcept nogil
cdef int gmap_set_limit(gmap_t *g, int new_type) noexcept nogil
cdef int gmap_replace_asce(gmap_t *g) noexcept nogil
cdef void gmap_invalidate_start(gmap_t *g, uint64_t start, uint64_t end) noexcept nogil
cdef void gmap_invalidate_end(gmap_t *g) noexcept nogil
cdef void gmap_publish_slots(gmap_t *g, memslots_t *slots) noexcept nogil
cdef void gmap_shoot_down(gmap_t *g, uint64_t start, uint64_t end) noexcept nogil
cdef void gmap_unmap(gmap_t *g, uint64_t start, uint64_t end) noexcept nogil
cdef bint gmap_age(gmap_t *g, uint64_t start, uint64_t end, bint test_only) noexcept nogil
cdef void gmap_sync_dirty_log(gmap_t *g, memslot_t *slot) noexcept nogil
cdef void gmap_split_huge_pages(gmap_t *g) noexcept nogil
cdef void log_pfault(gmap_t *g, int id, uint64_t pstate, uint64_t pc, uint64_t gfn) noexcept nogil
cdef bint crste_xchg(gmap_t *g, uint64_t *crstep, uint64_t old, uint64_t new,
                     uint64_t *counters) noexcept nogil


cdef inline bint keeps_log(gmap_t *g, memslot_t *slot) noexcept nogil:
    """What an unmapping drops must go into the slot's dirty log."""
    return slot.dirty_bitmap != NULL and not g.quirks & QUIRK_UNMAP_LOSES_DIRTY


# --- retry predicates (faultin.md 3) --------------------------------------------------------

cdef inline bint invalidate_retry_gfn(gmap_t *g, uint64_t seq, uint64_t gfn) noexcept nogil:
    """The lookup of `gfn` made after reading `seq` may be stale. With the mmu_lock held the
    answer is final; without it, only "true" is."""
    if load_acquire(&g.invalidate_in_progress):
        if load(&g.invalidate_start) <= gfn < load(&g.invalidate_end):
            return True
    return load(&g.invalidate_seq) != seq


cdef inline bint invalidate_retry_folio(gmap_t *g, uint64_t seq, guest_fault_t *f) noexcept nogil:
    """The same for all that linking `f` may map: a large frame reaches beyond its gfn."""
    cdef uint64_t npages = <uint64_t>1 << f.host.order
    cdef uint64_t first = f.gfn & ~(npages - 1)
    if load_acquire(&g.invalidate_in_progress):
        if load(&g.invalidate_start) < first + npages and first < load(&g.invalidate_end):
            return True
    return load(&g.invalidate_seq) != seq


cdef inline bint invalidate_quiet(gmap_t *g, uint64_t seq) noexcept nogil:
    """No gfn at all needs the retry."""
    return not load_acquire(&g.invalidate_in_progress) and load(&g.invalidate_seq) == seq


# --- minor faults (dat-gmap.md 11.1), mmu_lock held for read --------------------------------

cdef inline int minor_pte(guest_fault_t *f, uint64_t *counters) noexcept nogil:
    """0: fixed, or nothing to fix. 1: the slow path is needed, and `f` is as it was."""
    cdef uint64_t pte = load(f.ptep)
    cdef uint64_t pgste, new
    cdef bint write = f.write_attempt
    if pte & PTE_I or (write and pte & PTE_P):
        if not pte & PTE_PR or (write and not pte & PTE_W):
            return 1
        pgste = pgste_lock(f.ptep)
        pte = load(f.ptep)
        if pte & PTE_I or (write and pte & PTE_P):
            if not pte & PTE_PR or (write and not pte & PTE_W):
                pgste_unlock(f.ptep, pgste)
                return 1
            new = (pte & ~<uint64_t>PTE_I) | PTE_Y
            if write:
                new = (new & ~<uint64_t>PTE_P) | PTE_D | PTE_SD
            put_pte(f.ptep, pgste, pte, new, counters)
        else:
            pgste_unlock(f.ptep, pgste)
    f.host.pfn = pte >> PAGE_SHIFT
    f.host.writable = (pte & PTE_W) != 0
    return 0


cdef inline void put_pte(
    uint64_t *ptep, uint64_t pgste, uint64_t old, uint64_t new, uint64_t *counters
) noexcept nogil:
    """Store an entry and unlock it (9.1; prefix and shadow notification join here)."""
    if new & PTE_D and not old & PTE_D and not new & PTE_S:
        counters[COUNTER_HOST_DIRTIED] += 1
    store_release(ptep, new)
    pgste_unlock(ptep, pgste & ~<uint64_t>PGSTE_ZERO)


cdef inline int minor_crste(gmap_t *g, guest_fault_t *f, uint64_t *counters) noexcept nogil:
    """The same for an entry that may map a larger frame, as read before.

    A read of a frame already dirty makes it writable at once. The kernel keeps that upgrade
    when it loses the race for the entry, and may then link a frame it never asked to write.
    """
    cdef uint64_t crste = f.crste
    cdef bint writable = (crste & CRSTE_SW_W) != 0
    cdef bint write = f.write_attempt
    cdef uint64_t new
    if not crste_leaf(crste):
        return 1
    if crste & CRSTE_I or (write and crste & CRSTE_P):
        if write and not writable:
            return 1
        write = write or (writable and crste & CRSTE_SW_D)
        new = (crste & ~<uint64_t>CRSTE_I) | CRSTE_SW_Y
        if write:
            new = (new & ~<uint64_t>CRSTE_P) | CRSTE_SW_D | CRSTE_SW_SD
        if not crste_xchg(g, f.crstep, crste, new, counters):
            return 1
    if crste & CRSTE_TT:
        f.host.pfn = ((crste & REGION3_FRAME) >> PAGE_SHIFT) | (f.gfn & (REGION3_PAGES - 1))
    else:
        f.host.pfn = ((crste & SEGMENT_FRAME) >> PAGE_SHIFT) | (f.gfn & (SEGMENT_PAGES - 1))
    f.host.writable = writable
    f.write_attempt = write
    return 0


cdef inline int try_fixup_minor(gmap_t *g, guest_fault_t *f, uint64_t *counters) noexcept nogil:
    """Resolve a fault from the tables alone, after a walk to the page with any result."""
    if f.ptep != NULL:
        return minor_pte(f, counters)
    return minor_crste(g, f, counters)


cdef inline void fault_walk(uint64_t asce, walk_cache_t *cache, guest_fault_t *f) noexcept nogil:
    """Walk to the page of a fault, or as far as the tables go. A cache is optional."""
    cdef dat_walk_t walk
    if cache == NULL:
        dat_walk(asce, f.gfn << PAGE_SHIFT, LEVEL_PAGE, &walk)
    else:
        dat_walk_cached(asce, f.gfn << PAGE_SHIFT, cache, &walk)
    f.ptep = walk.ptep
    f.crstep = walk.crstep
    f.crste = walk.crste


cdef inline bint fault_from_tables(gmap_t *g, uint64_t gfn, bint write) noexcept nogil:
    """Resolve one fault from the tables alone: the first state of the state machine, tried
    without waiting for anybody."""
    cdef guest_fault_t f
    cdef uint64_t counters[N_COUNTERS]
    cdef bint fixed
    if not read_trylock(&g.mmu_lock):
        return False
    f.gfn = gfn
    f.write_attempt = write
    counters[COUNTER_HOST_DIRTIED] = 0      # the only one a minor fault touches
    fault_walk(load(&g.asce), NULL, &f)
    fixed = try_fixup_minor(g, &f, counters) == 0
    read_unlock(&g.mmu_lock)
    if fixed:
        add(&g.counters[COUNTER_LOOKUPS], 1)
        add(&g.counters[COUNTER_MINOR], 1)
        if counters[COUNTER_HOST_DIRTIED]:
            add(&g.counters[COUNTER_HOST_DIRTIED], 1)
    return fixed


# --- link (dat-gmap.md 11.2), mmu_lock held for read ----------------------------------------

cdef inline bint frame_fits(guest_fault_t *f, memslot_t *slot, uint64_t npages) noexcept nogil:
    """A frame of `npages` around gfn is congruent with its pfn and wholly inside the slot."""
    return (not (f.gfn ^ f.host.pfn) & (npages - 1)
            and slot.base_gfn <= f.gfn & ~(npages - 1)
            and slot.base_gfn + slot.npages >= (f.gfn | (npages - 1)) + 1)


cdef inline int link_level(gmap_t *g, guest_fault_t *f, memslot_t *slot) noexcept nogil:
    """The largest entry that may map the folio behind `f`."""
    if f.host.page and f.host.order >= FOLIO_ORDER_1M:
        if (f.host.order >= FOLIO_ORDER_2G and g.flags & GMAP_FLAG_ALLOW_HPAGE_2G
                and frame_fits(f, slot, REGION3_PAGES)):
            return LEVEL_REGION3
        if g.flags & GMAP_FLAG_ALLOW_HPAGE_1M and frame_fits(f, slot, SEGMENT_PAGES):
            return LEVEL_SEGMENT
    return LEVEL_PAGE


cdef inline int link_pte(guest_fault_t *f, uint64_t *counters) noexcept nogil:
    cdef uint64_t pgste = pgste_lock(f.ptep)
    cdef uint64_t old = load(f.ptep)
    cdef uint64_t new
    if old & ~<uint64_t>PTE_SD != PTE_EMPTY and old >> PAGE_SHIFT != f.host.pfn:
        pgste_unlock(f.ptep, pgste)
        return -EAGAIN
    new = f.host.pfn << PAGE_SHIFT | PTE_PR | PTE_Y | (old & PTE_SD)
    if f.host.writable:
        new |= PTE_W
    if not f.host.page:
        new |= PTE_S
    if f.write_attempt or old & PTE_D:
        new |= PTE_D
    else:
        new |= PTE_P
    if not old & PTE_PR:
        counters[COUNTER_LINKED_4K] += 1
    put_pte(f.ptep, pgste, old, new, counters)
    return 0


cdef inline int link_crste(gmap_t *g, guest_fault_t *f, int level,
                           uint64_t *counters) noexcept nogil:
    cdef uint64_t frame = REGION3_FRAME if level == LEVEL_REGION3 else SEGMENT_FRAME
    cdef uint64_t origin = (f.host.pfn << PAGE_SHIFT) & frame
    cdef uint64_t type_bits = <uint64_t>level << 2
    cdef uint64_t old, new
    while True:
        old = load(f.crstep)
        if old != CRSTE_EMPTY | type_bits and (not crste_leaf(old) or old & frame != origin):
            return -EAGAIN
        new = origin | type_bits | CRSTE_FC | CRSTE_SW_PR | CRSTE_SW_Y | (old & CRSTE_SW_SD)
        if f.host.writable:
            new |= CRSTE_SW_W
        if not f.host.page:
            new |= CRSTE_SW_S
        if f.write_attempt or old & CRSTE_SW_D:
            new |= CRSTE_SW_D
        else:
            new |= CRSTE_P
        if crste_xchg(g, f.crstep, old, new, counters):
            break
    if not crste_leaf(old):
        counters[COUNTER_LINKED_2G if level == LEVEL_REGION3 else COUNTER_LINKED_1M] += 1
    return 0


cdef inline int gmap_link(gmap_t *g, mmu_cache_t *mc, guest_fault_t *f, memslot_t *slot,
                          uint64_t asce, uint64_t *counters) noexcept nogil:
    """Map the frame a host lookup found. 0, -EAGAIN, -ENOMEM (top up), -EINVAL (a bug).

    The kernel loops for ever when a 2 GiB folio is linked where a segment table already is
    that has nothing, or a 1 MiB frame, at this gfn (11.2, last trap), and calls it a bug when
    the address space has become too small for 2 GiB entries; here the next smaller size is
    tried.
    """
    cdef dat_walk_t walk
    cdef int level = min(link_level(g, f, slot), asce_dt(asce))
    cdef int rc
    while True:
        rc = dat_entry_walk(&g.arena, mc, f.gfn, asce, WALK_ALLOC_CONTINUE, level, &walk)
        if level == LEVEL_PAGE or (rc != -ENOENT and rc != -EFBIG):
            break
        level -= 1
        if level == LEVEL_SEGMENT and not g.flags & GMAP_FLAG_ALLOW_HPAGE_1M:
            level = LEVEL_PAGE
    if rc == -ENOMEM or rc == -EINVAL:
        return rc
    if rc:
        return -EAGAIN
    f.ptep = walk.ptep
    f.crstep = walk.crstep
    if walk.ptep != NULL:
        return link_pte(f, counters)
    if walk.level > level:
        return -EINVAL
    return link_crste(g, f, level, counters)
