"""Tables: their frames, the mmu cache, splits, the entry walk, the range walk. Floor 2.

Everything here works on one ASCE and one arena of table frames and knows nothing of
memory slots' contents or hosts. Callers hold the mmu_lock as dat-gmap.md section 9 says.

Differences from the kernel, each the right thing where the fact sheet names a trap:

* A 2 GiB frame's origin is masked to 2 GiB, so the children of a split are always right
  (the kernel masks to 1 MiB, dat-gmap.md 6.2).
* Lowering the ASCE limit frees every table it cuts off (the kernel forgets all but the
  first, dat-gmap.md 8).
* A table is reused only after the translations that may still read it are over.
"""

from libc.errno cimport EFAULT, EFBIG, EINVAL, ENOENT, ENOMEM
from libc.stdint cimport uint64_t, uintptr_t
from libc.string cimport memcpy
from posix.mman cimport (
    MAP_ANONYMOUS, MAP_FAILED, MAP_NORESERVE, MAP_PRIVATE, PROT_READ, PROT_WRITE, madvise, mmap,
    munmap,
)

from gmap._atomic cimport add, cas, load, load_entry, store, store_release
from gmap._defs cimport (
    ASCE_DT, ASCE_ORIGIN, COUNTER_REMOVED_1M, COUNTER_REMOVED_2G, COUNTER_REMOVED_4K,
    COUNTER_SPLIT_1M, COUNTER_SPLIT_2G, COUNTER_TABLES_ALLOCATED, COUNTER_TABLES_FREED,
    COUNTER_TOPUPS, CRST_BYTES, CRST_ENTRIES, CRSTE_HOLE, CRSTE_I, CRSTE_ORIGIN,
    CRSTE_P, CRSTE_SW_D, CRSTE_SW_PR, CRSTE_SW_PREFIX_NOTIF, CRSTE_SW_SD, CRSTE_SW_VSIE_NOTIF,
    CRSTE_SW_W, CRSTE_SW_Y, CRSTE_TL, CRSTE_TT, LEVEL_PAGE, LEVEL_REGION3, LEVEL_SEGMENT,
    PAGE_SHIFT, PAGE_SIZE, PGSTE_CMMA_D, PGSTE_PREFIX_NOTIF, PGSTE_VSIE_GMEM, PGSTE_VSIE_NOTIF,
    PIC_ADDRESSING, PIC_TRANSLATION_SPEC, PT_BYTES, PT_ENTRIES, PTE_D, PTE_I, PTE_P, PTE_PR,
    PTE_SD, PTE_W, PTE_Y, SEGMENT_FRAME, SEGMENT_SIZE, TOKEN_PAR, TOKEN_PAR_SHIFT, TOKEN_PIC,
    TOKEN_TYPE, TOKEN_TYPE_SHIFT, WALK_ALLOC, WALK_ANY, WALK_CONTINUE, WALK_IGN_HOLES,
    WALK_LEAF, WALK_SPLIT,
)
from gmap._geometry cimport level_shift
from gmap._memory cimport allocation_fails, release, zalloc
from gmap._sync cimport spin_lock, spin_unlock, synchronize_srcu
from gmap._walk cimport (
    asce_dt, asce_end, crste_leaf, crste_table, dat_walk, dat_walk_t,
)

cdef extern from *:
    """
    #include <sys/mman.h>
    #ifndef MADV_HUGEPAGE
    #define MADV_HUGEPAGE 14
    #endif
    #ifndef MADV_COLLAPSE
    #define MADV_COLLAPSE 25
    #endif
    """
    int MADV_HUGEPAGE
    int MADV_COLLAPSE


cdef enum:
    HUGE_PAGE = 2 << 20
    # The first reservation fills page by page, so that a small guest costs what its tables
    # cost; the later ones are backed by huge host pages, whose last one may be part empty.
    FIRST_SPAN = 48 << 20
    LATER_SPAN = 256 << 20
    DEAD_BATCH = 64


# --- table frames ---------------------------------------------------------------------------

cdef void arena_init(arena_t *arena, uint64_t *counters, srcu_t *tlb) noexcept nogil:
    arena.lock = 0
    arena.free[KIND_CRST] = arena.free[KIND_PT] = NULL
    arena.cursor = arena.limit = arena.pt_cursor = arena.pt_limit = NULL
    arena.spans = NULL
    arena.huge = False
    arena.live[KIND_CRST] = arena.live[KIND_PT] = 0
    arena.counters = counters
    arena.tlb = tlb


cdef void arena_destroy(arena_t *arena) noexcept nogil:
    """Give every table back to the machine at once."""
    cdef span_t *span = arena.spans
    cdef span_t *following
    while span != NULL:
        following = span.next
        munmap(span.base, span.nbytes)
        release(span)
        span = following
    arena.spans = NULL


cdef uint64_t arena_mapped_bytes(arena_t *arena) noexcept nogil:
    """Bytes cut from the reservations so far, spare tables included."""
    cdef uint64_t total = 0
    cdef span_t *span = arena.spans
    spin_lock(&arena.lock)
    while span != NULL:
        total += span.nbytes
        span = span.next
    total -= arena.limit - arena.cursor
    spin_unlock(&arena.lock)
    return total


cdef void arena_grow(arena_t *arena) noexcept nogil:
    """Reserve more address space; called with the arena locked. Failure shows as no growth."""
    cdef uint64_t nbytes = FIRST_SPAN if arena.spans == NULL else LATER_SPAN
    cdef span_t *span = <span_t *>zalloc(sizeof(span_t))
    cdef char *base
    cdef uintptr_t aligned
    if span == NULL:
        return
    base = <char *>mmap(NULL, nbytes + HUGE_PAGE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    if <void *>base == MAP_FAILED:
        release(span)
        return
    span.base = base
    span.nbytes = nbytes + HUGE_PAGE
    if arena.spans != NULL and not arena.huge:
        # What is there already is full: have it backed by huge pages now, if the host can.
        madvise(arena.spans.base, arena.spans.nbytes, MADV_HUGEPAGE)
        aligned = (<uintptr_t>arena.spans.base + HUGE_PAGE - 1) & ~<uintptr_t>(HUGE_PAGE - 1)
        madvise(<void *>aligned, FIRST_SPAN, MADV_COLLAPSE)
        arena.huge = True
    span.next = arena.spans
    arena.spans = span
    if arena.huge:
        madvise(span.base, span.nbytes, MADV_HUGEPAGE)
    arena.cursor = <char *>((<uintptr_t>base + HUGE_PAGE - 1) & ~<uintptr_t>(HUGE_PAGE - 1))
    arena.limit = arena.cursor + nbytes


cdef char *arena_block(arena_t *arena, bint may_sleep) noexcept nogil:
    """16 KiB never used before; called with the arena locked."""
    cdef char *block
    if arena.cursor == arena.limit:
        if may_sleep:
            arena_grow(arena)
        if arena.cursor == arena.limit:
            return NULL
    block = arena.cursor
    arena.cursor += CRST_BYTES
    return block


cdef uint64_t *arena_take(arena_t *arena, int kind, bint may_sleep) noexcept nogil:
    cdef uint64_t *table
    if allocation_fails():
        return NULL
    spin_lock(&arena.lock)
    table = arena.free[kind]
    if table != NULL:
        arena.free[kind] = <uint64_t *><uintptr_t>table[0]
    elif kind == KIND_CRST:
        table = <uint64_t *>arena_block(arena, may_sleep)
    else:
        if arena.pt_cursor == arena.pt_limit:
            arena.pt_cursor = arena_block(arena, may_sleep)
            arena.pt_limit = arena.pt_cursor + (CRST_BYTES if arena.pt_cursor != NULL else 0)
        table = <uint64_t *>arena.pt_cursor
        if table != NULL:
            arena.pt_cursor += PT_BYTES
    spin_unlock(&arena.lock)
    return table


cdef void arena_put(arena_t *arena, int kind, uint64_t *table) noexcept nogil:
    spin_lock(&arena.lock)
    table[0] = <uint64_t><uintptr_t>arena.free[kind]
    arena.free[kind] = table
    spin_unlock(&arena.lock)


# --- mmu cache ------------------------------------------------------------------------------

cdef int mmu_cache_topup(arena_t *arena, mmu_cache_t *mc) noexcept nogil:
    """Fill the cache; -ENOMEM leaves what was got. Never under a spin lock."""
    cdef int kind, capacity
    cdef uint64_t *table
    add(&arena.counters[COUNTER_TOPUPS], 1)
    for kind in range(2):
        capacity = <int>MMU_CACHE_CRSTS if kind == KIND_CRST else <int>MMU_CACHE_PTS
        while mc.n[kind] < capacity:
            table = arena_take(arena, kind, True)
            if table == NULL:
                return -ENOMEM
            mc.tables[kind][mc.n[kind]] = table
            mc.n[kind] += 1
    return 0


cdef void mmu_cache_drain(arena_t *arena, mmu_cache_t *mc) noexcept nogil:
    """Give back what a temporary cache still holds."""
    cdef int kind
    for kind in range(2):
        while mc.n[kind]:
            mc.n[kind] -= 1
            arena_put(arena, kind, mc.tables[kind][mc.n[kind]])


cdef uint64_t *alloc_table(arena_t *arena, mmu_cache_t *mc, int kind) noexcept nogil:
    """A table for use now, under a lock: from the cache, else without sleeping, else NULL."""
    cdef uint64_t *table
    if mc.n[kind]:
        mc.n[kind] -= 1
        table = mc.tables[kind][mc.n[kind]]
    else:
        table = arena_take(arena, kind, False)
        if table == NULL:
            return NULL
    add(&arena.live[kind], 1)
    add(&arena.counters[COUNTER_TABLES_ALLOCATED], 1)
    return table


cdef void free_table(arena_t *arena, int kind, uint64_t *table) noexcept nogil:
    arena_put(arena, kind, table)
    add(&arena.live[kind], <uint64_t>-1)
    add(&arena.counters[COUNTER_TABLES_FREED], 1)


cdef void fill_table(uint64_t *table, uint64_t init) noexcept nogil:
    cdef uint64_t i
    for i in range(CRST_ENTRIES):
        table[i] = init


cdef uint64_t *alloc_crst(arena_t *arena, mmu_cache_t *mc, uint64_t init) noexcept nogil:
    cdef uint64_t *table = alloc_table(arena, mc, KIND_CRST)
    if table != NULL:
        fill_table(table, init)
    return table


cdef void free_tables_below(arena_t *arena, uint64_t crste) noexcept nogil:
    """Free the tables an entry leads to; nobody may be reading them any more."""
    cdef uint64_t *table
    cdef uint64_t i, present = 0
    if crste_leaf(crste):       # an aged one, too
        add(&arena.counters[COUNTER_REMOVED_2G if crste & CRSTE_TT else COUNTER_REMOVED_1M], 1)
        return
    if crste & CRSTE_I:
        return
    table = <uint64_t *><uintptr_t>(crste & CRSTE_ORIGIN)
    if crste & CRSTE_TT:
        for i in range(CRST_ENTRIES):
            free_tables_below(arena, load(&table[i]))
        free_table(arena, KIND_CRST, table)
    else:
        for i in range(PT_ENTRIES):
            present += load(&table[i]) & PTE_PR
        add(&arena.counters[COUNTER_REMOVED_4K], present)
        free_table(arena, KIND_PT, table)


# --- splits (dat-gmap.md 6) -----------------------------------------------------------------

cdef inline bint needs_split(uint64_t entry) noexcept nogil:
    return (entry & CRSTE_I) != 0 or crste_leaf(entry)


cdef int split_segment(arena_t *arena, mmu_cache_t *mc, uint64_t *crstep) noexcept nogil:
    """Put a page table where a 1 MiB frame, an old one, or nothing was (6.1)."""
    cdef uint64_t old = load(crstep)
    cdef uint64_t pte, pgste
    cdef uint64_t *table
    cdef uint64_t i
    if not needs_split(old):
        return 0
    table = alloc_table(arena, mc, KIND_PT)
    if table == NULL:
        return -ENOMEM
    while needs_split(old):
        pte = old & SEGMENT_FRAME       # of an absent entry: its token
        pgste = 0
        if old & CRSTE_P:
            pte |= PTE_P
        if old & CRSTE_I:
            pte |= PTE_I
        if crste_leaf(old):
            pte |= ((PTE_D if old & CRSTE_SW_D else 0) | (PTE_W if old & CRSTE_SW_W else 0)
                    | (PTE_Y if old & CRSTE_SW_Y else 0) | (PTE_SD if old & CRSTE_SW_SD else 0)
                    | (PTE_PR if old & CRSTE_SW_PR else 0))
            if old & CRSTE_SW_PREFIX_NOTIF:
                pgste |= PGSTE_PREFIX_NOTIF
            if old & CRSTE_SW_VSIE_NOTIF:
                pgste |= PGSTE_VSIE_NOTIF | PGSTE_VSIE_GMEM
            for i in range(PT_ENTRIES):
                table[i] = pte | i * PAGE_SIZE
        else:
            for i in range(PT_ENTRIES):
                table[i] = pte
        for i in range(PT_ENTRIES):
            table[PT_ENTRIES + i] = pgste
        if cas(crstep, old, <uint64_t><uintptr_t>table):
            if crste_leaf(old):
                add(&arena.counters[COUNTER_SPLIT_1M], 1)
            return 0
        old = load(crstep)
    free_table(arena, KIND_PT, table)
    return 0


cdef int dat_split(arena_t *arena, mmu_cache_t *mc, uint64_t *crstep) noexcept nogil:
    """Put the next lower table where a frame or nothing was. 0 or -ENOMEM (6.2)."""
    cdef uint64_t old = load(crstep)
    cdef uint64_t type_bits = old & CRSTE_TT
    cdef uint64_t child
    cdef uint64_t *table
    cdef uint64_t i
    if not type_bits:
        return split_segment(arena, mc, crstep)
    if not needs_split(old):
        return 0
    table = alloc_table(arena, mc, KIND_CRST)
    if table == NULL:
        return -ENOMEM
    while needs_split(old):
        child = (old & ~<uint64_t>CRSTE_TT) | (type_bits - 4)
        if crste_leaf(old):
            for i in range(CRST_ENTRIES):
                table[i] = child | i * SEGMENT_SIZE
        else:
            fill_table(table, child)
        if cas(crstep, old, <uint64_t><uintptr_t>table | type_bits | CRSTE_TL):
            if crste_leaf(old):
                add(&arena.counters[COUNTER_SPLIT_2G], 1)
            return 0
        old = load(crstep)
    free_table(arena, KIND_CRST, table)
    return 0


# --- entry walk (dat-gmap.md 4) -------------------------------------------------------------

cdef inline int token_code(uint64_t token) noexcept nogil:
    """What meeting a hole returns: its PIC, or -EFAULT for a token of another kind."""
    if (token & TOKEN_TYPE) >> TOKEN_TYPE_SHIFT == TOKEN_PIC:
        return <int>((token & TOKEN_PAR) >> TOKEN_PAR_SHIFT)
    return -EFAULT


cdef inline bint crste_hole(uint64_t entry) noexcept nogil:
    return (entry & (CRSTE_I | CRSTE_SW_PR)) == CRSTE_I and (entry & TOKEN_TYPE) != 0


cdef inline bint pte_hole(uint64_t pte) noexcept nogil:
    return (pte & (PTE_I | PTE_PR)) == PTE_I and (pte & TOKEN_TYPE) != 0


cdef int dat_entry_walk(arena_t *arena, mmu_cache_t *mc, uint64_t gfn, uint64_t asce, int flags,
                        int level, dat_walk_t *walk) noexcept nogil:
    """Find the entry of `gfn` at `level`, by the flags.

    0; a PIC from a hole's token; -EFAULT, -EINVAL, -EFBIG, -ENOENT or -ENOMEM. On error the
    walk keeps the deepest entry reached. `mc` may be NULL without ALLOC and SPLIT.
    """
    cdef int pic, rc
    cdef uint64_t entry
    walk.crstep = NULL
    walk.ptep = NULL
    if not asce or level > asce_dt(asce):
        return -EINVAL
    if gfn >= asce_end(asce):
        return PIC_ADDRESSING
    while True:
        pic = dat_walk(asce, gfn << PAGE_SHIFT, level, walk)
        if pic == PIC_TRANSLATION_SPEC or walk.crstep == NULL:
            return -EINVAL
        if walk.ptep != NULL:
            entry = load(walk.ptep)
            if pte_hole(entry) and not flags & WALK_IGN_HOLES:
                return token_code(entry)
            return 0
        entry = walk.crste
        if crste_hole(entry) and not flags & WALK_IGN_HOLES:
            return token_code(entry)
        if flags & WALK_CONTINUE and not needs_split(entry):
            # It stopped at the requested level on a table: go on to the page below it.
            if walk.level <= LEVEL_REGION3:
                level = LEVEL_PAGE
                flags &= ~WALK_ALLOC
                continue
        if walk.level == level:
            return 0
        if crste_leaf(entry):
            if flags & (WALK_LEAF | WALK_ANY):
                return 0
            if not flags & WALK_SPLIT:
                return -EFBIG
        elif not flags & WALK_ALLOC:
            return 0 if flags & WALK_ANY else -ENOENT
        rc = dat_split(arena, mc, walk.crstep)
        if rc:
            return rc


# --- range walk (dat-gmap.md 5) -------------------------------------------------------------

cdef long walk_page_table(uint64_t *table, uint64_t start, uint64_t end,
                          range_walk_t *walk) noexcept nogil:
    cdef long rc
    cdef uint64_t gfn = start
    cdef uint64_t *ptep
    while gfn < end:
        ptep = table + (gfn & (PT_ENTRIES - 1))
        if pte_hole(load(ptep)):
            if not walk.flags & WALK_IGN_HOLES:
                return -EFAULT
            if not walk.flags & WALK_ANY:
                gfn += 1
                continue
        rc = walk.pte_op(ptep, gfn, walk)
        if rc:
            return rc
        gfn += 1
    return 0


cdef long walk_crst(uint64_t *table, int level, uint64_t start, uint64_t end,
                    range_walk_t *walk) noexcept nogil:
    cdef long rc
    cdef int shift = level_shift(level) - <int>PAGE_SHIFT
    cdef uint64_t size = <uint64_t>1 << shift
    cdef uint64_t gfn = start & ~(size - 1)
    cdef uint64_t following, entry, low, high
    cdef uint64_t *crstep
    while gfn < end:
        following = gfn + size
        crstep = table + ((gfn >> shift) & (CRST_ENTRIES - 1))
        entry = load_entry(crstep)
        if crste_hole(entry):
            if not walk.flags & WALK_IGN_HOLES:
                return -EFAULT
            if not walk.flags & WALK_ANY:
                gfn = following
                continue
        if walk.crste_op != NULL:
            rc = walk.crste_op(crstep, gfn, following, level, walk)
            if rc:
                return rc
            entry = load_entry(crstep)
        if crste_table(entry, level):
            low = start if start > gfn else gfn
            high = end if end < following else following
            rc = 0
            if level > LEVEL_SEGMENT:
                rc = walk_crst(<uint64_t *><uintptr_t>(entry & CRSTE_ORIGIN), level - 1, low, high,
                               walk)
            elif walk.pte_op != NULL:
                rc = walk_page_table(<uint64_t *><uintptr_t>(entry & CRSTE_ORIGIN), low, high, walk)
            if rc:
                return rc
        gfn = following
    return 0


cdef long dat_walk_range(uint64_t asce, range_walk_t *walk) noexcept nogil:
    """Call back for every entry that overlaps the range, ascending; a result not 0 ends it.

    Holes abort with -EFAULT, are skipped (IGN_HOLES) or called back for (IGN_HOLES | ANY).
    """
    cdef uint64_t limit
    if not asce:
        return -EINVAL
    if walk.start >= walk.end:
        return 0        # the kernel would visit the entries around an empty range
    limit = asce_end(asce)
    if walk.start >= limit:
        return 0 if walk.flags & WALK_IGN_HOLES else -EFAULT
    if walk.end > limit:
        walk.end = limit
    return walk_crst(<uint64_t *><uintptr_t>(asce & ASCE_ORIGIN), asce_dt(asce), walk.start,
                     walk.end, walk)


# --- slot painting (dat-gmap.md 7) ----------------------------------------------------------

cdef struct paint_t:
    arena_t *arena
    mmu_cache_t *mc
    uint64_t token          # CRSTE_I or CRSTE_HOLE, without a table type
    uint64_t dead[DEAD_BATCH]   # entries cut out, whose tables translations may still read
    int n_dead


cdef void bury(paint_t *paint) noexcept nogil:
    cdef int i
    if paint.n_dead:
        synchronize_srcu(paint.arena.tlb)
        for i in range(paint.n_dead):
            free_tables_below(paint.arena, paint.dead[i])
        paint.n_dead = 0


cdef long paint_crste(uint64_t *crstep, uint64_t gfn, uint64_t following, int level,
                      range_walk_t *walk) noexcept nogil:
    cdef paint_t *paint = <paint_t *>walk.priv
    cdef uint64_t target = paint.token | <uint64_t>level << 2
    cdef uint64_t old = load(crstep)
    if old == target:
        return 0
    if gfn >= walk.start and following <= walk.end:
        if not cas(crstep, old, target):
            return -EINVAL
        if crste_leaf(old) or not old & CRSTE_I:
            paint.dead[paint.n_dead] = old
            paint.n_dead += 1
            if paint.n_dead == DEAD_BATCH:
                bury(paint)
        return 0
    if needs_split(old):
        return dat_split(paint.arena, paint.mc, crstep)
    return 0


cdef long paint_pte(uint64_t *ptep, uint64_t gfn, range_walk_t *walk) noexcept nogil:
    cdef paint_t *paint = <paint_t *>walk.priv
    cdef uint64_t target = (paint.token & ~<uint64_t>CRSTE_I) | PTE_I
    cdef uint64_t pgste
    if load(ptep) == target:
        return 0
    pgste = pgste_lock(ptep)
    if load(ptep) & PTE_PR:
        add(&paint.arena.counters[COUNTER_REMOVED_4K], 1)
    store(ptep, target)
    pgste_unlock(ptep, pgste & ~<uint64_t>PGSTE_CMMA_D)
    return 0


cdef int dat_set_slot(arena_t *arena, mmu_cache_t *mc, uint64_t asce, uint64_t start,
                      uint64_t end, uint64_t token) noexcept nogil:
    """Paint [start, end) with CRSTE_I (empty) or CRSTE_HOLE. 0, -ENOMEM or -EINVAL.

    With a full cache it cannot run out: each edge of the range needs at most three
    region or segment tables and one page table. Called with the mmu_lock held for write.
    """
    cdef paint_t paint
    cdef range_walk_t walk
    cdef int rc
    paint.arena = arena
    paint.mc = mc
    paint.token = token
    paint.n_dead = 0
    walk.start = start
    walk.end = end
    walk.flags = WALK_IGN_HOLES | WALK_ANY
    walk.crste_op = paint_crste
    walk.pte_op = paint_pte
    walk.priv = &paint
    rc = <int>dat_walk_range(asce, &walk)
    bury(&paint)
    return rc


# --- ASCE limit (dat-gmap.md 8) -------------------------------------------------------------

cdef int dat_set_asce_limit(arena_t *arena, mmu_cache_t *mc, uint64_t *asce,
                            int new_type) noexcept nogil:
    """Make the top-level table one of `new_type`. 0 or -ENOMEM (grown as far as it got).

    Shrinking stops, with 0, where a 2 GiB frame is mapped at address 0.
    """
    cdef uint64_t value = load(asce)
    cdef uint64_t entry
    cdef uint64_t *table
    cdef uint64_t i
    while asce_dt(value) > new_type:
        table = <uint64_t *><uintptr_t>(value & ASCE_ORIGIN)
        entry = load(table)
        if crste_leaf(entry):
            return 0
        if entry & CRSTE_I:
            entry = (entry & ~<uint64_t>CRSTE_TT) | ((entry & CRSTE_TT) - 4)
            store_release(asce, value - 4)
            synchronize_srcu(arena.tlb)
            for i in range(1, CRST_ENTRIES):
                free_tables_below(arena, load(&table[i]))
            fill_table(table, entry)
            value -= 4
        else:
            value = (value & ~<uint64_t>(ASCE_ORIGIN | ASCE_DT)) | (entry & CRSTE_ORIGIN) | (
                ((value & ASCE_DT) - 4))
            store_release(asce, value)
            synchronize_srcu(arena.tlb)
            for i in range(1, CRST_ENTRIES):
                free_tables_below(arena, load(&table[i]))
            free_table(arena, KIND_CRST, table)
    while asce_dt(value) < new_type:
        entry = (value & ASCE_DT) + 4
        table = alloc_crst(arena, mc, CRSTE_HOLE | entry)
        if table == NULL:
            return -ENOMEM
        table[0] = (value & ASCE_ORIGIN) | entry | CRSTE_TL
        value = (value & ~<uint64_t>(ASCE_ORIGIN | ASCE_DT)) | <uint64_t><uintptr_t>table | entry
        store_release(asce, value)
    return 0


cdef int dat_replace_asce(arena_t *arena, mmu_cache_t *mc, uint64_t *asce) noexcept nogil:
    """Copy the top-level table and go on with the copy (section 10). 0, -EINVAL or -ENOMEM."""
    cdef uint64_t value = load(asce)
    cdef uint64_t *old = <uint64_t *><uintptr_t>(value & ASCE_ORIGIN)
    cdef uint64_t *table
    if asce_dt(value) == LEVEL_SEGMENT:
        return -EINVAL
    table = alloc_table(arena, mc, KIND_CRST)
    if table == NULL:
        return -ENOMEM
    memcpy(table, old, CRST_BYTES)
    store_release(asce, (value & ~<uint64_t>ASCE_ORIGIN) | <uint64_t><uintptr_t>table)
    synchronize_srcu(arena.tlb)
    free_table(arena, KIND_CRST, old)
    return 0
