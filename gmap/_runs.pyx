"""Runs of neighbouring entries that say the same, absent ones too. Floor 3.

What a dump prints and a layout counts. Leaves, aged leaves, and entries that map nothing are
all listed, at the level where the walk stops; what an entry says is given in bits that are the
same for all levels, since page-table and segment-table entries keep theirs in different places.
"""

from libc.stdint cimport int8_t, uint64_t
from libc.string cimport memset

from enum import IntFlag

import numpy as np

from gmap._atomic cimport load
from gmap._defs cimport (
    CRSTE_FC, CRSTE_I, CRSTE_IEP, CRSTE_P, CRSTE_SW_D, CRSTE_SW_PR, CRSTE_SW_PREFIX_NOTIF,
    CRSTE_SW_S, CRSTE_SW_SD, CRSTE_SW_VSIE_NOTIF, CRSTE_SW_W, CRSTE_SW_Y, LEVEL_PAGE, PAGE_SHIFT,
    PGSTE_PREFIX_NOTIF, PGSTE_VSIE_NOTIF, PTE_D, PTE_I, PTE_IEP, PTE_P, PTE_PR, PTE_S, PTE_SD,
    PTE_W, PTE_Y, PTE_Z, TOKEN_PAR, TOKEN_PAR_SHIFT, TOKEN_TYPE, WALK_ANY, WALK_IGN_HOLES,
)
from gmap._sync cimport read_lock, read_unlock
from gmap._tables cimport dat_walk_range, pgste_slot, range_walk_t
from gmap._walk cimport asce_dt, crste_leaf, crste_table


cdef enum:
    BIT_LEAF = 1 << 0
    BIT_INVALID = 1 << 1
    BIT_PRESENT = 1 << 2
    BIT_WRITABLE = 1 << 3
    BIT_PROTECT = 1 << 4
    BIT_NOEXEC = 1 << 5
    BIT_YOUNG = 1 << 6
    BIT_BLOCK = 1 << 7
    BIT_DIRTY = 1 << 8
    BIT_SOFT_DIRTY = 1 << 9
    BIT_SPECIAL = 1 << 10
    BIT_PREFIX = 1 << 11
    BIT_VSIE = 1 << 12
    BIT_HOLE = 1 << 13
    BIT_BAD = 1 << 14


class EntryBit(IntFlag):
    """What an entry says, whatever its level; `RUN` arrays have them in `bits`.

    >>> EntryBit.LEAF | EntryBit.YOUNG
    <EntryBit.LEAF|YOUNG: 65>
    """

    LEAF = BIT_LEAF                 # maps a frame, or did before it aged
    INVALID = BIT_INVALID           # i
    PRESENT = BIT_PRESENT           # pr; the bits below are those of leaves
    WRITABLE = BIT_WRITABLE         # w
    PROTECT = BIT_PROTECT           # p
    NOEXEC = BIT_NOEXEC             # iep
    YOUNG = BIT_YOUNG               # y
    BLOCK = BIT_BLOCK               # fc: a frame larger than a page
    DIRTY = BIT_DIRTY               # d
    SOFT_DIRTY = BIT_SOFT_DIRTY     # sd
    SPECIAL = BIT_SPECIAL           # s
    PREFIX = BIT_PREFIX             # prefix_notif, of a page in its PGSTE
    VSIE = BIT_VSIE                 # vsie_notif, likewise
    HOLE = BIT_HOLE                 # absent, with a token that is not NONE; `token` has it
    BAD = BIT_BAD                   # valid, but malformed: a translation-specification exception


#: Neighbouring entries that say the same. `start` and `size` are bytes, `level` is a
#: `gmap.Level`, `bits` are `EntryBit`, `token` is type << 16 | parameter of a hole's token.
RUN = np.dtype([
    ("start", np.uint64), ("size", np.uint64), ("bits", np.uint32), ("token", np.uint32),
    ("level", np.int8),
], align=True)


# As RUN; `says` is bits and token together.
ctypedef struct run_t:
    uint64_t start
    uint64_t size
    uint64_t says
    int8_t level


cdef struct listing_t:
    run_t *rows
    uint64_t n
    uint64_t capacity
    uint64_t resume     # the gfn that found no room


cdef inline uint64_t says(unsigned int bits, unsigned int token) noexcept nogil:
    """Both halves as they lie in memory, whatever the byte order."""
    cdef uint64_t result
    cdef unsigned int *halves = <unsigned int *>&result
    halves[0] = bits
    halves[1] = token
    return result


cdef inline uint64_t says_absent(uint64_t entry, bint hole) noexcept nogil:
    if not hole:
        return says(BIT_INVALID, 0)
    return says(BIT_INVALID | BIT_HOLE,
                <unsigned int>((entry & (TOKEN_TYPE | TOKEN_PAR)) >> TOKEN_PAR_SHIFT))


cdef inline unsigned int bit_if(uint64_t set, unsigned int bit) noexcept nogil:
    return bit if set else 0


cdef inline uint64_t pte_says(uint64_t pte, uint64_t pgste) noexcept nogil:
    if pte & PTE_I and not pte & PTE_PR:
        return says_absent(pte, (pte & TOKEN_TYPE) != 0)
    if not pte & PTE_I and pte & PTE_Z:
        return says(BIT_BAD, 0)
    return says(
        BIT_LEAF | bit_if(pte & PTE_I, BIT_INVALID) | bit_if(pte & PTE_PR, BIT_PRESENT)
        | bit_if(pte & PTE_W, BIT_WRITABLE) | bit_if(pte & PTE_P, BIT_PROTECT)
        | bit_if(pte & PTE_IEP, BIT_NOEXEC) | bit_if(pte & PTE_Y, BIT_YOUNG)
        | bit_if(pte & PTE_D, BIT_DIRTY) | bit_if(pte & PTE_SD, BIT_SOFT_DIRTY)
        | bit_if(pte & PTE_S, BIT_SPECIAL) | bit_if(pgste & PGSTE_PREFIX_NOTIF, BIT_PREFIX)
        | bit_if(pgste & PGSTE_VSIE_NOTIF, BIT_VSIE), 0)


cdef inline uint64_t crste_says(uint64_t crste, int level) noexcept nogil:
    """Of an entry that leads to no table."""
    if asce_dt(crste) != level or not crste_leaf(crste):
        if not crste & CRSTE_I:
            return says(BIT_BAD, 0)
        return says_absent(crste, not crste & (CRSTE_SW_PR | CRSTE_FC)
                           and (crste & TOKEN_TYPE) != 0)
    return says(
        BIT_LEAF | BIT_BLOCK | bit_if(crste & CRSTE_I, BIT_INVALID)
        | bit_if(crste & CRSTE_SW_PR, BIT_PRESENT) | bit_if(crste & CRSTE_SW_W, BIT_WRITABLE)
        | bit_if(crste & CRSTE_P, BIT_PROTECT) | bit_if(crste & CRSTE_IEP, BIT_NOEXEC)
        | bit_if(crste & CRSTE_SW_Y, BIT_YOUNG) | bit_if(crste & CRSTE_SW_D, BIT_DIRTY)
        | bit_if(crste & CRSTE_SW_SD, BIT_SOFT_DIRTY) | bit_if(crste & CRSTE_SW_S, BIT_SPECIAL)
        | bit_if(crste & CRSTE_SW_PREFIX_NOTIF, BIT_PREFIX)
        | bit_if(crste & CRSTE_SW_VSIE_NOTIF, BIT_VSIE), 0)


cdef inline long add_run(listing_t *listing, uint64_t gfn, uint64_t following, int level,
                         uint64_t what, range_walk_t *walk) noexcept nogil:
    cdef run_t *row
    cdef uint64_t first = max(gfn, walk.start)
    cdef uint64_t size = (min(following, walk.end) - first) << PAGE_SHIFT
    if listing.n:
        row = &listing.rows[listing.n - 1]
        if row.says == what and row.level == level:
            row.size += size
            return 0
        if listing.n == listing.capacity:
            listing.resume = first
            return 1
    row = &listing.rows[listing.n]
    row.start = first << PAGE_SHIFT
    row.size = size
    row.says = what
    row.level = <int8_t>level
    listing.n += 1
    return 0


cdef long run_of_pte(uint64_t *ptep, uint64_t gfn, range_walk_t *walk) noexcept nogil:
    return add_run(<listing_t *>walk.priv, gfn, gfn + 1, LEVEL_PAGE,
                   pte_says(load(ptep), load(pgste_slot(ptep))), walk)


cdef long run_of_crste(uint64_t *crstep, uint64_t gfn, uint64_t following, int level,
                       range_walk_t *walk) noexcept nogil:
    cdef uint64_t crste = load(crstep)
    if crste_table(crste, level):
        return 0
    return add_run(<listing_t *>walk.priv, gfn, following, level, crste_says(crste, level), walk)


cdef object run_array(gmap_t *g, uint64_t start, uint64_t end, uint64_t most):
    """Runs from gfn `start` to gfn `end`, up to `most` of them: (RUN array, gfn to go on at).

    The array covers all it lists without a gap, up to that gfn: `end`, or that of the ASCE.
    """
    cdef listing_t listing
    cdef range_walk_t walk
    cdef run_t[::1] rows
    found = np.zeros(max(most, 1), dtype=RUN)
    rows = found.view(np.dtype([
        ("start", np.uint64), ("size", np.uint64), ("says", np.uint64), ("level", np.int8),
    ], align=True))
    memset(&listing, 0, sizeof(listing))
    listing.rows = &rows[0]
    listing.capacity = found.size
    listing.resume = end
    walk.start = start
    walk.end = end
    walk.flags = WALK_IGN_HOLES | WALK_ANY
    walk.crste_op = run_of_crste
    walk.pte_op = run_of_pte
    walk.priv = &listing
    with nogil:
        read_lock(&g.mmu_lock)
        dat_walk_range(load(&g.asce), &walk)
        read_unlock(&g.mmu_lock)
    return found[:listing.n], listing.resume
