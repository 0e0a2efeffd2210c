"""An address space: limits, the invalidation protocol, unmap, age, dirty log. Floor 3.

Source: fact sheet dat-gmap.md sections 8 to 11, faultin.md section 3. Differences from the
kernel, each the right thing where the fact sheet names a trap:

* Aging keeps a write that is not in the dirty log yet: it sets soft-dirty where it sets
  protection (11.4; `quirks={"age-loses-dirty"}` asks for the kernel's behaviour).
* Unmapping a page, or dropping a large frame, first moves a write that is not in the dirty
  log yet there (the kernel forgets it; `quirks={"unmap-loses-dirty"}`).
* Aging decides on what the entry says once it is locked.
* unmap, age and the dirty-log sync return only when no translation under way can still
  use the old entries: the model's IPTE, IDTE and CRDTE.
"""

from libc.errno cimport ENOMEM
from libc.stdint cimport uint64_t, uintptr_t
from libc.string cimport memset

from gmap._atomic cimport add, backoff, load, load_ptr, or_acquire, store, store_ptr, store_release
from gmap._defs cimport (
    ASCE_P, ASCE_S, ASCE_TL, ASCE_X, COUNTER_AGED, COUNTER_DIRTY_LOGGED, COUNTER_INVALIDATIONS,
    COUNTER_LINKED_1M, COUNTER_LINKED_2G, COUNTER_REMOVED_1M, COUNTER_REMOVED_2G,
    COUNTER_REMOVED_4K, CRSTE_HOLE, PAGE_SHIFT, PGSTE_PREFIX_NOTIF, REGION3_PAGES, SEGMENT_PAGES,
)
from gmap._memory cimport release
from gmap._regions cimport notifier_register, notifier_unregister
from gmap._sync cimport (
    read_lock, read_unlock, spin_lock, spin_unlock, srcu_destroy, srcu_init, srcu_read_lock,
    srcu_read_unlock, synchronize_srcu, write_lock, write_unlock,
)
from gmap._tables cimport (
    alloc_crst, arena_destroy, arena_init, dat_replace_asce, dat_set_asce_limit, dat_walk_range,
    mmu_cache_drain, mmu_cache_topup, range_walk_t,
)
from gmap._tlb cimport ANY_ASID, shootdown_add

# One more than the last gfn there can be.
cdef uint64_t ALL_GFNS = <uint64_t>1 << (64 - PAGE_SHIFT)
# A walk over a long range gives the mmu_lock up after so many frames.
cdef uint64_t WALK_BATCH = 1 << 20


# --- making and unmaking --------------------------------------------------------------------

cdef void on_invalidate_start(void *priv, uint64_t start, uint64_t end) noexcept nogil:
    host_invalidate_start(<gmap_t *>priv, start, end)


cdef void on_invalidate_end(void *priv, uint64_t start, uint64_t end) noexcept nogil:
    host_invalidate_end(<gmap_t *>priv, start, end)


cdef int gmap_init(gmap_t *g, host_t *host, uint64_t guest_phys_size, int asce_type,
                   uint64_t flags) noexcept nogil:
    """An empty address space: the whole top-level table is a hole. 0 or -ENOMEM."""
    cdef mmu_cache_t mc
    cdef uint64_t *table
    memset(g, 0, sizeof(gmap_t))
    memset(&mc, 0, sizeof(mc))
    arena_init(&g.arena, g.counters, &g.tlb)
    if mmu_cache_topup(&g.arena, &mc):
        arena_destroy(&g.arena)
        return -ENOMEM
    table = alloc_crst(&g.arena, &mc, CRSTE_HOLE | <uint64_t>asce_type << 2)
    mmu_cache_drain(&g.arena, &mc)
    srcu_init(&g.srcu)
    srcu_init(&g.tlb)
    g.asce = (<uint64_t><uintptr_t>table | ASCE_P | ASCE_S | ASCE_X | ASCE_TL
              | <uint64_t>asce_type << 2)
    g.guest_phys_size = guest_phys_size
    g.flags = flags
    g.host = host
    g.notifier.priv = g
    g.notifier.invalidate_start = on_invalidate_start
    g.notifier.invalidate_end = on_invalidate_end
    g.notifier.srcu = &g.srcu
    notifier_register(host, &g.notifier)
    return 0


cdef void gmap_destroy(gmap_t *g) noexcept nogil:
    notifier_unregister(g.host, &g.notifier)
    arena_destroy(&g.arena)
    release(g.memslots)
    srcu_destroy(&g.srcu)
    srcu_destroy(&g.tlb)


cdef int gmap_set_limit(gmap_t *g, int new_type) noexcept nogil:
    """Change the type of the top-level table. 0, or -ENOMEM and nothing has changed."""
    cdef mmu_cache_t mc
    cdef int rc
    memset(&mc, 0, sizeof(mc))
    rc = mmu_cache_topup(&g.arena, &mc)
    if rc == 0:
        # A full cache holds more tables than there are levels to add.
        write_lock(&g.mmu_lock)
        rc = dat_set_asce_limit(&g.arena, &mc, &g.asce, new_type)
        write_unlock(&g.mmu_lock)
        gmap_shoot_down(g, 0, ALL_GFNS)
    mmu_cache_drain(&g.arena, &mc)
    return rc


cdef int gmap_replace_asce(gmap_t *g) noexcept nogil:
    """Give the address space a new top-level table with the same entries.

    0, -EINVAL (the top-level table is a segment table) or -ENOMEM.
    """
    cdef mmu_cache_t mc
    cdef int rc
    memset(&mc, 0, sizeof(mc))
    rc = mmu_cache_topup(&g.arena, &mc)
    if rc == 0:
        write_lock(&g.mmu_lock)
        rc = dat_replace_asce(&g.arena, &mc, &g.asce)
        write_unlock(&g.mmu_lock)
    mmu_cache_drain(&g.arena, &mc)
    return rc


cdef void log_shootdown(gmap_t *g, uint64_t start, uint64_t end) noexcept nogil:
    """Log that the entries of gfns [start, end) have changed: of all of a larger frame with any."""
    cdef uint64_t npages = 1
    if load(&g.counters[COUNTER_LINKED_2G]):
        npages = REGION3_PAGES
    elif load(&g.counters[COUNTER_LINKED_1M]):
        npages = SEGMENT_PAGES
    shootdown_add(&g.shootdowns, start & ~(npages - 1), (end + npages - 1) & ~(npages - 1),
                  ANY_ASID)


cdef void gmap_shoot_down(gmap_t *g, uint64_t start, uint64_t end) noexcept nogil:
    """The entries of gfns [start, end) have changed: return when nobody uses what they were."""
    log_shootdown(g, start, end)
    synchronize_srcu(&g.tlb)


cdef bint crste_xchg(gmap_t *g, uint64_t *crstep, uint64_t old, uint64_t new,
                     uint64_t *counters) noexcept nogil:
    """Exchange a region- or segment-table entry if it still is `old` (dat-gmap.md 9.2)."""
    if not cas(crstep, old, new):
        return False
    if new & CRSTE_SW_D and not old & CRSTE_SW_D and crste_leaf(new) and not new & CRSTE_SW_S:
        counters[COUNTER_HOST_DIRTIED] += 1
    return True


cdef void log_pfault(gmap_t *g, int id, uint64_t pstate, uint64_t pc, uint64_t gfn) noexcept nogil:
    """Record the trace event of faultin.md section 6."""
    cdef pfault_event_t *event
    spin_lock(&g.events_lock)
    event = &g.events[g.n_events % N_EVENTS]
    event.id = id
    event.pstate = pstate
    event.pc = pc
    event.gfn = gfn
    g.n_events += 1
    spin_unlock(&g.events_lock)


# --- the invalidation protocol (faultin.md 3) -----------------------------------------------

cdef void gmap_invalidate_start(gmap_t *g, uint64_t start, uint64_t end) noexcept nogil:
    """Open an invalidation of a range of gfns; the mmu_lock is held for write."""
    if load(&g.invalidate_in_progress) == 0:
        store(&g.invalidate_start, start)
        store(&g.invalidate_end, end)
    else:
        if start < g.invalidate_start:
            store(&g.invalidate_start, start)
        if end > g.invalidate_end:
            store(&g.invalidate_end, end)
    store_release(&g.invalidate_in_progress, g.invalidate_in_progress + 1)


cdef void gmap_invalidate_end(gmap_t *g) noexcept nogil:
    """Close it; the mmu_lock is held for write."""
    store_release(&g.invalidate_seq, g.invalidate_seq + 1)
    store_release(&g.invalidate_in_progress, g.invalidate_in_progress - 1)


cdef bint slot_overlap(memslot_t *slot, uint64_t start, uint64_t end, uint64_t *first,
                       uint64_t *last) noexcept nogil:
    """The gfns of a slot whose host addresses overlap [start, end), partial pages included."""
    cdef uint64_t low = slot.userspace_addr
    cdef uint64_t high = low + (slot.npages << PAGE_SHIFT)
    if start >= high or end <= low:
        return False
    low = start if start > low else low
    high = end if end < high else high
    first[0] = slot.base_gfn + ((low - slot.userspace_addr) >> PAGE_SHIFT)
    last[0] = slot.base_gfn + ((high - slot.userspace_addr + 0xFFF) >> PAGE_SHIFT)
    return True


cdef void host_invalidate_start(gmap_t *g, uint64_t start, uint64_t end) noexcept nogil:
    """The host is about to change [start, end) of its addresses: drop what maps it."""
    cdef unsigned int token
    cdef memslots_t *slots
    cdef uint64_t i, first, last
    cdef bint opened = False
    spin_lock(&g.mn_lock)
    g.mn_active_invalidate_count += 1
    spin_unlock(&g.mn_lock)
    token = srcu_read_lock(&g.srcu)
    slots = <memslots_t *>load_ptr(<void **>&g.memslots)
    if slots != NULL:
        for i in range(slots.n):
            if not slot_overlap(slots.slots[i], start, end, &first, &last):
                continue
            if not opened:
                write_lock(&g.mmu_lock)
                opened = True
                gmap_invalidate_start(g, first, last)
            else:
                store(&g.invalidate_start, min(g.invalidate_start, first))
                store(&g.invalidate_end, max(g.invalidate_end, last))
            unmap_range(g, slots.slots[i], first, last, False)
            log_shootdown(g, first, last)
    if opened:
        write_unlock(&g.mmu_lock)
    srcu_read_unlock(&g.srcu, token)
    if opened:
        add(&g.counters[COUNTER_INVALIDATIONS], 1)
        synchronize_srcu(&g.tlb)


cdef void host_invalidate_end(gmap_t *g, uint64_t start, uint64_t end) noexcept nogil:
    cdef unsigned int token = srcu_read_lock(&g.srcu)
    cdef memslots_t *slots = <memslots_t *>load_ptr(<void **>&g.memslots)
    cdef uint64_t i, first, last
    if slots != NULL:
        for i in range(slots.n):
            if slot_overlap(slots.slots[i], start, end, &first, &last):
                write_lock(&g.mmu_lock)
                gmap_invalidate_end(g)
                write_unlock(&g.mmu_lock)
                break
    srcu_read_unlock(&g.srcu, token)
    spin_lock(&g.mn_lock)
    g.mn_active_invalidate_count -= 1
    spin_unlock(&g.mn_lock)


cdef void gmap_publish_slots(gmap_t *g, memslots_t *slots) noexcept nogil:
    """Make a table of slots the current one and wait until nobody uses the one before.

    Waits for invalidations under way first: they must end on the slots they began on.
    """
    cdef unsigned int spins = 0
    while True:
        spin_lock(&g.mn_lock)
        if g.mn_active_invalidate_count == 0:
            break
        spin_unlock(&g.mn_lock)
        backoff(&spins)
    store_ptr(<void **>&g.memslots, slots)
    spin_unlock(&g.mn_lock)
    synchronize_srcu(&g.srcu)


# --- unmap (dat-gmap.md 11.3) ---------------------------------------------------------------

cdef struct unmap_t:
    gmap_t *g
    memslot_t *slot
    uint64_t removed[3]     # by level, from LEVEL_PAGE
    uint64_t logged


cdef inline void mark_pages_dirty(memslot_t *slot, uint64_t gfn, uint64_t end,
                                  uint64_t *logged) noexcept nogil:
    """Log the frames from `gfn` to before `end`: a large folio is logged whole."""
    cdef uint64_t at = gfn - slot.base_gfn
    cdef uint64_t n, left = end - gfn
    logged[0] += left
    while left:
        n = min(left, 64 - (at & 63))
        or_acquire(&slot.dirty_bitmap[at >> 6], (~<uint64_t>0 >> (64 - n)) << (at & 63))
        at += n
        left -= n


cdef long unmap_pte(uint64_t *ptep, uint64_t gfn, range_walk_t *walk) noexcept nogil:
    cdef unmap_t *unmap = <unmap_t *>walk.priv
    cdef uint64_t old = load(ptep)
    cdef uint64_t pgste
    if old == PTE_EMPTY and not load(pgste_slot(ptep)) & PGSTE_ZERO:
        return 0
    pgste = pgste_lock(ptep)
    old = load(ptep)
    store(ptep, PTE_EMPTY)
    pgste_unlock(ptep, pgste & ~<uint64_t>PGSTE_ZERO)
    if old & PTE_PR:
        unmap.removed[0] += 1
        if (not old & PTE_P or old & PTE_SD) and keeps_log(unmap.g, unmap.slot):
            mark_pages_dirty(unmap.slot, gfn, gfn + 1, &unmap.logged)
    return 0


cdef long unmap_crste(uint64_t *crstep, uint64_t gfn, uint64_t following, int level,
                      range_walk_t *walk) noexcept nogil:
    cdef unmap_t *unmap = <unmap_t *>walk.priv
    cdef uint64_t old = load(crstep)
    while crste_leaf(old):
        if cas(crstep, old, CRSTE_EMPTY | <uint64_t>level << 2):
            unmap.removed[level - LEVEL_PAGE] += 1
            if (not old & CRSTE_P or old & CRSTE_SW_SD) and keeps_log(unmap.g, unmap.slot):
                mark_pages_dirty(unmap.slot, gfn, following, &unmap.logged)
            return 0
        old = load(crstep)
    return 0


cdef void unmap_range(gmap_t *g, memslot_t *slot, uint64_t start, uint64_t end,
                      bint only_large) noexcept nogil:
    """Make every mapping a slot holds of [start, end) EMPTY; a hole ends it."""
    cdef range_walk_t walk
    cdef unmap_t unmap
    memset(&unmap, 0, sizeof(unmap))
    unmap.g = g
    unmap.slot = slot
    walk.start = max(start, slot.base_gfn)
    walk.end = min(end, slot.base_gfn + slot.npages)
    walk.flags = 0
    walk.crste_op = unmap_crste
    walk.pte_op = NULL
    if not only_large:
        walk.pte_op = unmap_pte
    walk.priv = &unmap
    dat_walk_range(load(&g.asce), &walk)
    add(&g.counters[COUNTER_REMOVED_4K], unmap.removed[0])
    add(&g.counters[COUNTER_REMOVED_1M], unmap.removed[1])
    add(&g.counters[COUNTER_REMOVED_2G], unmap.removed[2])
    add(&g.counters[COUNTER_DIRTY_LOGGED], unmap.logged)


cdef void gmap_unmap(gmap_t *g, uint64_t start, uint64_t end) noexcept nogil:
    """Unmap what the slots hold of [start, end), as a notifier would."""
    cdef unsigned int token = srcu_read_lock(&g.srcu)
    cdef memslots_t *slots = <memslots_t *>load_ptr(<void **>&g.memslots)
    cdef memslot_t *slot
    cdef uint64_t i
    write_lock(&g.mmu_lock)
    gmap_invalidate_start(g, start, end)
    if slots != NULL:
        for i in range(slots.n):
            slot = slots.slots[i]
            if slot.base_gfn < end and start < slot.base_gfn + slot.npages:
                unmap_range(g, slot, start, end, False)
    gmap_invalidate_end(g)
    write_unlock(&g.mmu_lock)
    srcu_read_unlock(&g.srcu, token)
    add(&g.counters[COUNTER_INVALIDATIONS], 1)
    gmap_shoot_down(g, start, end)


cdef void gmap_split_huge_pages(gmap_t *g) noexcept nogil:
    """Replace every mapping larger than a page by EMPTY; faults bring pages back (11.6)."""
    cdef unsigned int token = srcu_read_lock(&g.srcu)
    cdef memslots_t *slots = <memslots_t *>load_ptr(<void **>&g.memslots)
    cdef memslot_t *slot
    cdef uint64_t i
    read_lock(&g.mmu_lock)
    if slots != NULL:
        for i in range(slots.n):
            slot = slots.slots[i]
            unmap_range(g, slot, slot.base_gfn, slot.base_gfn + slot.npages, True)
    read_unlock(&g.mmu_lock)
    srcu_read_unlock(&g.srcu, token)
    gmap_shoot_down(g, 0, ALL_GFNS)


# --- age and test-age (dat-gmap.md 11.4) ----------------------------------------------------

cdef struct age_t:
    gmap_t *g
    bint test_only
    bint young
    uint64_t aged
    uint64_t host_dirtied


cdef long age_pte(uint64_t *ptep, uint64_t gfn, range_walk_t *walk) noexcept nogil:
    cdef age_t *age = <age_t *>walk.priv
    cdef uint64_t pte = load(ptep)
    cdef uint64_t pgste, new
    if age.test_only:
        if pte & PTE_Y:
            age.young = True
            return 1
        return 0
    if not pte & PTE_PR or (pte & (PTE_Y | PTE_I)) == PTE_I:
        return 0
    pgste = pgste_lock(ptep)
    pte = load(ptep)
    if not pte & PTE_PR or (pte & (PTE_Y | PTE_I)) == PTE_I:
        pgste_unlock(ptep, pgste)
        return 0
    new = (pte & ~<uint64_t>(PTE_Y | PTE_D)) | PTE_I | PTE_P
    if not pte & PTE_P and not age.g.quirks & QUIRK_AGE_LOSES_DIRTY:
        new |= PTE_SD
    if (pte & PTE_D or not pte & PTE_P) and not pte & PTE_S:
        age.host_dirtied += 1
    store(ptep, new)
    pgste_unlock(ptep, pgste & ~<uint64_t>PGSTE_PREFIX_NOTIF)
    age.young = True
    age.aged += 1
    return 0


cdef long age_crste(uint64_t *crstep, uint64_t gfn, uint64_t following, int level,
                    range_walk_t *walk) noexcept nogil:
    cdef age_t *age = <age_t *>walk.priv
    cdef uint64_t crste = load(crstep)
    cdef uint64_t new
    while crste_leaf(crste):
        if age.test_only:
            if crste & CRSTE_SW_Y:
                age.young = True
                return 1
            return 0
        if (crste & (CRSTE_SW_Y | CRSTE_I)) == CRSTE_I:
            return 0
        new = (crste & ~<uint64_t>(CRSTE_SW_Y | CRSTE_SW_D)) | CRSTE_I | CRSTE_P
        if not crste & CRSTE_P and not age.g.quirks & QUIRK_AGE_LOSES_DIRTY:
            new |= CRSTE_SW_SD
        if cas(crstep, crste, new):
            if (crste & CRSTE_SW_D or not crste & CRSTE_P) and not crste & CRSTE_SW_S:
                age.host_dirtied += 1
            age.young = True
            age.aged += 1
            return 0
        crste = load(crstep)
    return 0


cdef bint gmap_age(gmap_t *g, uint64_t start, uint64_t end, bint test_only) noexcept nogil:
    """Make every mapping the slots hold of [start, end) old; True if one was young."""
    cdef unsigned int token = srcu_read_lock(&g.srcu)
    cdef memslots_t *slots = <memslots_t *>load_ptr(<void **>&g.memslots)
    cdef memslot_t *slot
    cdef range_walk_t walk
    cdef age_t age
    cdef uint64_t i, at, slot_end
    memset(&age, 0, sizeof(age))
    age.g = g
    age.test_only = test_only
    walk.flags = 0
    walk.crste_op = age_crste
    walk.pte_op = age_pte
    walk.priv = &age
    if slots != NULL:
        for i in range(slots.n):
            slot = slots.slots[i]
            at = max(start, slot.base_gfn)
            slot_end = min(end, slot.base_gfn + slot.npages)
            while at < slot_end and not (test_only and age.young):
                walk.start = at
                walk.end = min(slot_end, at + WALK_BATCH)
                at = walk.end
                read_lock(&g.mmu_lock)
                dat_walk_range(load(&g.asce), &walk)
                read_unlock(&g.mmu_lock)
    srcu_read_unlock(&g.srcu, token)
    add(&g.counters[COUNTER_AGED], age.aged)
    add(&g.counters[COUNTER_HOST_DIRTIED], age.host_dirtied)
    if age.aged:
        gmap_shoot_down(g, start, end)
    return age.young


# --- dirty-log sync (dat-gmap.md 11.5) ------------------------------------------------------

cdef struct sync_t:
    memslot_t *slot
    uint64_t logged


cdef long sync_pte(uint64_t *ptep, uint64_t gfn, range_walk_t *walk) noexcept nogil:
    cdef sync_t *sync = <sync_t *>walk.priv
    cdef uint64_t pte = load(ptep)
    cdef uint64_t pgste
    if not pte & PTE_PR or (pte & (PTE_P | PTE_SD)) == PTE_P:
        return 0
    pgste = pgste_lock(ptep)
    pte = load(ptep)
    if not pte & PTE_PR or (pte & (PTE_P | PTE_SD)) == PTE_P:
        pgste_unlock(ptep, pgste)
        return 0
    store(ptep, (pte & ~<uint64_t>PTE_SD) | PTE_P)
    pgste_unlock(ptep, pgste & ~<uint64_t>PGSTE_ZERO)
    mark_pages_dirty(sync.slot, gfn, gfn + 1, &sync.logged)
    return 0


cdef long sync_crste(uint64_t *crstep, uint64_t gfn, uint64_t following, int level,
                     range_walk_t *walk) noexcept nogil:
    cdef sync_t *sync = <sync_t *>walk.priv
    cdef uint64_t crste = load(crstep)
    while crste_leaf(crste) and (crste & (CRSTE_P | CRSTE_SW_SD)) != CRSTE_P:
        if cas(crstep, crste, (crste & ~<uint64_t>CRSTE_SW_SD) | CRSTE_P):
            mark_pages_dirty(sync.slot, gfn, following, &sync.logged)
            return 0
        crste = load(crstep)
    return 0


cdef void gmap_sync_dirty_log(gmap_t *g, memslot_t *slot) noexcept nogil:
    """Move what was written since the last time into the slot's bitmap."""
    cdef range_walk_t walk
    cdef sync_t sync
    cdef uint64_t at = slot.base_gfn
    cdef uint64_t end = slot.base_gfn + slot.npages
    sync.slot = slot
    sync.logged = 0
    walk.flags = 0
    walk.crste_op = sync_crste
    walk.pte_op = sync_pte
    walk.priv = &sync
    while at < end:
        walk.start = at
        walk.end = min(end, at + WALK_BATCH)
        at = walk.end
        read_lock(&g.mmu_lock)
        dat_walk_range(load(&g.asce), &walk)
        read_unlock(&g.mmu_lock)
    add(&g.counters[COUNTER_DIRTY_LOGGED], sync.logged)
    if sync.logged:
        gmap_shoot_down(g, slot.base_gfn, end)
