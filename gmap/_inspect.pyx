"""Looking at the tables of an address space without changing them. Floor 3."""

from libc.stdint cimport int8_t, uint8_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset

import numpy as np

from gmap._atomic cimport load
from gmap._defs cimport (
    ASCE_ORIGIN, CRST_ENTRIES, CRSTE_ORIGIN, CRSTE_P, CRSTE_SW_D, CRSTE_SW_W, CRSTE_SW_Y,
    LEVEL_PAGE, LEVEL_REGION3, LEVEL_SEGMENT, PAGE_SHIFT, PAGE_SIZE, PT_ENTRIES, PTE_D, PTE_P,
    PTE_PFRA, PTE_PR, PTE_W, PTE_Y, REGION3_FRAME, SEGMENT_FRAME, SEGMENT_PTO, WALK_IGN_HOLES,
)
from gmap._geometry cimport level_shift
from gmap._memory cimport release, zalloc
from gmap._sync cimport read_lock, read_unlock
from gmap._tables cimport dat_walk_range, range_walk_t
from gmap._walk cimport asce_dt, crste_leaf, crste_table

from gmap.dtypes import LEAF
from gmap.errors import HostMemoryError


# As dtypes.LEAF.
ctypedef struct leaf_t:
    uint64_t gpa
    uint64_t pa
    uint64_t size
    uint64_t entry
    int8_t level
    uint8_t writable
    uint8_t dirty
    uint8_t young
    uint8_t protected


cdef struct leaves_t:
    leaf_t *rows
    uint64_t n
    uint64_t capacity
    bint merge


# --- leaves ---------------------------------------------------------------------------------

cdef inline bint continues(leaf_t *last, leaf_t *row) noexcept nogil:
    """`row` goes on where `last` ends, with the same size, flags and distance to its frames."""
    return (last.gpa + last.size == row.gpa and last.pa + last.size == row.pa
            and last.level == row.level and last.writable == row.writable
            and last.dirty == row.dirty and last.young == row.young
            and last.protected == row.protected)


cdef long add_leaf(leaves_t *leaves, leaf_t *row) noexcept nogil:
    cdef leaf_t *grown
    if leaves.merge and leaves.n and continues(&leaves.rows[leaves.n - 1], row):
        leaves.rows[leaves.n - 1].size += row.size
        return 0
    if leaves.n == leaves.capacity:
        grown = <leaf_t *>zalloc((2 * leaves.capacity + 256) * sizeof(leaf_t))
        if grown == NULL:
            return 1
        if leaves.n:
            memcpy(grown, leaves.rows, leaves.n * sizeof(leaf_t))
        release(leaves.rows)
        leaves.rows = grown
        leaves.capacity = 2 * leaves.capacity + 256
    leaves.rows[leaves.n] = row[0]
    leaves.n += 1
    return 0


cdef long leaf_of_pte(uint64_t *ptep, uint64_t gfn, range_walk_t *walk) noexcept nogil:
    cdef uint64_t pte = load(ptep)
    cdef leaf_t row
    if not pte & PTE_PR:
        return 0
    row.gpa = gfn << PAGE_SHIFT
    row.pa = pte & PTE_PFRA
    row.size = PAGE_SIZE
    row.entry = pte
    row.level = LEVEL_PAGE
    row.writable = (pte & PTE_W) != 0
    row.dirty = (pte & PTE_D) != 0
    row.young = (pte & PTE_Y) != 0
    row.protected = (pte & PTE_P) != 0
    return add_leaf(<leaves_t *>walk.priv, &row)


cdef long leaf_of_crste(uint64_t *crstep, uint64_t gfn, uint64_t following, int level,
                        range_walk_t *walk) noexcept nogil:
    cdef uint64_t crste = load(crstep)
    cdef leaf_t row
    if not crste_leaf(crste) or asce_dt(crste) != level:
        return 0
    row.gpa = gfn << PAGE_SHIFT
    row.pa = crste & (REGION3_FRAME if level == LEVEL_REGION3 else SEGMENT_FRAME)
    row.size = (following - gfn) << PAGE_SHIFT
    row.entry = crste
    row.level = <int8_t>level
    row.writable = (crste & CRSTE_SW_W) != 0
    row.dirty = (crste & CRSTE_SW_D) != 0
    row.young = (crste & CRSTE_SW_Y) != 0
    row.protected = (crste & CRSTE_P) != 0
    return add_leaf(<leaves_t *>walk.priv, &row)


cdef object leaf_array(gmap_t *g, uint64_t start, uint64_t end, bint merge):
    """Leaves that overlap gfns [start, end), ascending, as dtypes.LEAF."""
    cdef leaves_t leaves
    cdef range_walk_t walk
    cdef long rc
    cdef uint8_t[::1] raw
    memset(&leaves, 0, sizeof(leaves))
    leaves.merge = merge
    walk.start = start
    walk.end = end
    walk.flags = WALK_IGN_HOLES
    walk.crste_op = leaf_of_crste
    walk.pte_op = leaf_of_pte
    walk.priv = &leaves
    with nogil:
        read_lock(&g.mmu_lock)
        rc = dat_walk_range(load(&g.asce), &walk)
        read_unlock(&g.mmu_lock)
    try:
        if rc:
            raise HostMemoryError(f"no memory to list the leaves (got {leaves.n} of them): "
                                  "ask for a smaller range")
        result = np.empty(leaves.n, dtype=LEAF)
        if leaves.n:
            raw = result.view(np.uint8)
            memcpy(&raw[0], leaves.rows, leaves.n * sizeof(leaf_t))
        return result
    finally:
        release(leaves.rows)


# --- whole tables ---------------------------------------------------------------------------

cdef void add_tables(dict tables, uint64_t *table, int level, uint64_t first_gfn):
    """Copy a table and those below it; entries that point to a table lose their origin."""
    cdef uint64_t i, entry
    cdef uint64_t n = CRST_ENTRIES if level > LEVEL_PAGE else 2 * PT_ENTRIES
    cdef uint64_t[::1] words
    copy = np.empty(n, dtype=np.uint64)
    words = copy
    for i in range(n):
        entry = load(&table[i])
        if level > LEVEL_PAGE and crste_table(entry, level):
            add_tables(tables,
                       <uint64_t *><uintptr_t>(
                           entry & (CRSTE_ORIGIN if level > LEVEL_SEGMENT else SEGMENT_PTO)),
                       level - 1, first_gfn + (i << (level_shift(level) - PAGE_SHIFT)))
            entry &= ~<uint64_t>(CRSTE_ORIGIN if level > LEVEL_SEGMENT else SEGMENT_PTO)
        words[i] = entry
    tables[(level, first_gfn)] = copy


cdef object table_dict(gmap_t *g):
    """Every table, as {(level, first gfn): uint64 array}. For tests: nothing else may run."""
    cdef dict tables = {}
    cdef uint64_t asce = load(&g.asce)
    add_tables(tables, <uint64_t *><uintptr_t>(asce & ASCE_ORIGIN), asce_dt(asce), 0)
    return tables
