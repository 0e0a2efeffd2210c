# Tables: their frames, the mmu cache, splits, the entry walk, the range walk. Floor 2.
from libc.stdint cimport uint32_t, uint64_t

from gmap._atomic cimport backoff, load, or_acquire, store_release
from gmap._defs cimport MMU_CACHE_CRSTS, MMU_CACHE_PTS, PGSTE_PCL, PT_ENTRIES
from gmap._sync cimport srcu_t
from gmap._walk cimport dat_walk_t


cdef enum:
    KIND_CRST = 0
    KIND_PT = 1


# A reservation of address space tables are cut from.
ctypedef struct span_t:
    span_t *next
    void *base
    uint64_t nbytes


# Where the tables of one address space live.
ctypedef struct arena_t:
    uint32_t lock
    uint64_t *free[2]       # by kind; linked through the first word
    char *cursor            # 16 KiB blocks from here to `limit` are untouched
    char *limit
    char *pt_cursor         # the rest of the block page tables are being cut from
    char *pt_limit
    span_t *spans
    bint huge               # spans are backed by huge host pages
    uint64_t live[2]        # tables in use, by kind
    uint64_t *counters      # of the address space
    srcu_t *tlb             # the domain translations run in: drained before a table is reused


# Tables at hand for use under a spin lock. Sizes: dat-gmap.md section 3.
ctypedef struct mmu_cache_t:
    int n[2]
    uint64_t *tables[2][6]


ctypedef struct range_walk_t:
    uint64_t start          # gfns; callbacks clip against them
    uint64_t end
    int flags
    long (*crste_op)(uint64_t *crstep, uint64_t gfn, uint64_t next, int level,
                     range_walk_t *walk) noexcept nogil
    long (*pte_op)(uint64_t *ptep, uint64_t gfn, range_walk_t *walk) noexcept nogil
    void *priv


cdef inline uint64_t *pgste_slot(uint64_t *ptep) noexcept nogil:
    return ptep + PT_ENTRIES


cdef inline uint64_t pgste_lock(uint64_t *ptep) noexcept nogil:
    """Take the lock of a page-table entry; returns the PGSTE with its lock bit set."""
    cdef uint64_t *pgstep = pgste_slot(ptep)
    cdef uint64_t pgste
    cdef unsigned int spins = 0
    while True:
        if not load(pgstep) & PGSTE_PCL:
            pgste = or_acquire(pgstep, PGSTE_PCL)
            if not pgste & PGSTE_PCL:
                return pgste | PGSTE_PCL
        backoff(&spins)


cdef inline void pgste_unlock(uint64_t *ptep, uint64_t pgste) noexcept nogil:
    """Store the whole PGSTE and give the lock back."""
    store_release(pgste_slot(ptep), pgste & ~PGSTE_PCL)


cdef void arena_init(arena_t *arena, uint64_t *counters, srcu_t *tlb) noexcept nogil
cdef void arena_destroy(arena_t *arena) noexcept nogil
cdef uint64_t arena_mapped_bytes(arena_t *arena) noexcept nogil

cdef int mmu_cache_topup(arena_t *arena, mmu_cache_t *mc) noexcept nogil
cdef void mmu_cache_drain(arena_t *arena, mmu_cache_t *mc) noexcept nogil

cdef uint64_t *alloc_table(arena_t *arena, mmu_cache_t *mc, int kind) noexcept nogil
cdef uint64_t *alloc_crst(arena_t *arena, mmu_cache_t *mc, uint64_t init) noexcept nogil
cdef void free_tables_below(arena_t *arena, uint64_t crste) noexcept nogil
cdef void fill_table(uint64_t *table, uint64_t init) noexcept nogil

cdef int dat_split(arena_t *arena, mmu_cache_t *mc, uint64_t *crstep) noexcept nogil
cdef int dat_entry_walk(arena_t *arena, mmu_cache_t *mc, uint64_t gfn, uint64_t asce, int flags,
                        int level, dat_walk_t *walk) noexcept nogil
cdef long dat_walk_range(uint64_t asce, range_walk_t *walk) noexcept nogil
cdef int dat_set_slot(arena_t *arena, mmu_cache_t *mc, uint64_t asce, uint64_t start,
                      uint64_t end, uint64_t token) noexcept nogil
cdef int dat_replace_asce(arena_t *arena, mmu_cache_t *mc, uint64_t *asce) noexcept nogil
cdef int dat_set_asce_limit(arena_t *arena, mmu_cache_t *mc, uint64_t *asce,
                            int new_type) noexcept nogil
