"""Many two-level translations at once. Floor 3.

A batch goes through in stretches, each inside one section of the address space's readers,
and a stretch in groups of 64 addresses:

* A group whose addresses share one last-level table reads its descriptors side by side, and
  then goes through the gmap's own kernels for stage 2 (`_walk_batch.pxd`).
* For any other group the TLB is asked first. The rest walk together, the addresses of one half
  after those of the other: each phase takes one memory access of every walk and asks for the
  next, so that the cache misses of all of them are under way at once. Tables above level 2 are
  remembered for the length of the stretch.

Whatever does not succeed on this way is walked again alone (`two_walk`), which knows every
code; so there is one place that decides about faults.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memset

from gmap._atomic cimport add, le64, likely, load, load_entry, prefetch, unlikely
from gmap._defs cimport (
    ACCESS_WRITE, PAGE_SHIFT, PIC_ADDRESSING, S1_ADDRESS, S1_AF, S1_AP_TABLE_EL0,
    S1_AP_TABLE_RO, S1_NG, S1_PXN_TABLE, S1_TABLE, S1_UXN_TABLE, S1_VALID, STATUS_S1PTW,
    STATUS_STAGE_1, STATUS_STAGE_2,
    TWO_COUNTER_FAULTED_IN, TWO_COUNTER_FLUSHED, TWO_COUNTER_LOOKUPS, TWO_COUNTER_STAGE1_FAULTS,
    TWO_COUNTER_STAGE2_FAULTS, TWO_COUNTER_TABLE_HITS, TWO_COUNTER_TLB_HITS, TWO_COUNTER_WALKS,
)
from gmap._faultin cimport fault_batch_t, fault_vcpu_t, faultin
from gmap._memory cimport release, zalloc_lines
from gmap._nested cimport (
    N_TWO_COUNTERS, descriptor, stage2_cached, stage2_status, two_walk, two_walk_t,
)
from gmap._stage1 cimport (
    S1_FETCH, S1_FORM_48, s1_address, s1_allow_bit, s1_allowance, s1_begin, s1_half_t,
    s1_level_shift, s1_regime_t, s1_step, s1_untagged, s1_updated, s1_walk_t,
)
from gmap._sync cimport (
    spin_lock, spin_unlock, srcu_read_lock, srcu_read_unlock, synchronize_srcu,
)
from gmap._tables cimport mmu_cache_drain
from gmap._tlb cimport (
    GLOBAL_ASID, shootdown_add, tlb_enter, tlb_entry_t, tlb_fill, tlb_find, tlb_host,
    tlb_note_table, tlb_t,
)
from gmap._walk cimport (
    dat_walk_cached, dat_walk_t, leaf_translate, pte_translate, walk_cache_clear, walk_cache_t,
)
from gmap._walk_batch cimport GROUP, any_segments, in_one_segment, one_segment


cdef enum:
    STRETCH = 4096          # addresses translated in one section
    PIECE_BITS = 9          # descriptors in one page of the gmap, whatever the granule
    PIECES = 64             # level-2 tables remembered
    KINDS = 16              # of leaf descriptors remembered
    TRIAL = 256             # lookups of a stretch after which the TLB must have been of use
    SAMPLE = 1 << 10        # where it is not, one group in so many addresses still asks it
    WRITES = 1 << 1 | 1 << 4 | 1 << 7   # the bits of an allowance that are writes


cdef uint64_t TABLE_LIMITS = S1_PXN_TABLE | S1_UXN_TABLE | S1_AP_TABLE_EL0 | S1_AP_TABLE_RO


# A page of a table some walk went through.
cdef struct piece_t:
    uint64_t key            # address bits above what the page covers, bit 0 set
    uint64_t *table         # host
    uint64_t limits


# What descriptors of one kind allow: they differ in their address alone.
cdef struct kind_t:
    uint64_t bits           # all others of the descriptor
    uint64_t limits
    unsigned int free       # accesses that succeed and update nothing, one bit each


# What is known within one section.
cdef struct section_t:
    two_t *two
    uint64_t asce
    tlb_t *tlb              # NULL: none
    uint64_t asked          # of the TLB in this stretch
    uint64_t hits
    walk_cache_t tables     # of the gmap
    bint tables_ready
    piece_t pieces[PIECES]
    kind_t kinds[KINDS]
    piece_t leaf            # of the last-level table the group before was in; key 0: none
    uint64_t counters[N_TWO_COUNTERS]
    # Offsets in the stretch that are left for real accesses.
    uint16_t missing[STRETCH]
    uint64_t n_missing


# Walks under way together, all of addresses in one half.
cdef struct lanes_t:
    const s1_half_t *half
    uint64_t n
    int index[GROUP]            # in the group
    uint64_t va[GROUP]          # without tags
    uint64_t limits[GROUP]      # the *_TABLE bits of the tables above
    uint64_t *word[GROUP]       # the descriptor or entry to read; NULL: over
    uint64_t ipa[GROUP]         # that the entry translates
    uint64_t protect[GROUP]     # CRSTE_P of the tables above it
    uint64_t desc[GROUP]        # the leaf's; 0: none was found, walk alone
    int shift[GROUP]            # log2 of what it maps
    unsigned int allowed[GROUP]  # by it


# One group of a batch.
cdef struct group_t:
    uint64_t at                 # its offset in the stretch
    uint64_t n
    const uint64_t *va
    const uint8_t *access
    uint64_t step               # of `access`: 0 or 1
    uint64_t *pa
    uint32_t *status


# --- one address -----------------------------------------------------------------------------

cdef inline int kind(const group_t *b, uint64_t k) noexcept nogil:
    return b.access[k * b.step]


cdef inline void count_fault(section_t *s, uint32_t status) noexcept nogil:
    if status & STATUS_STAGE_1:
        s.counters[TWO_COUNTER_STAGE1_FAULTS] += 1
    else:
        s.counters[TWO_COUNTER_STAGE2_FAULTS] += 1


cdef void walk_alone(section_t *s, group_t *b, uint64_t k) noexcept nogil:
    """Walk one address, whatever becomes of it."""
    cdef two_walk_t w
    two_walk(s.two, s.asce, b.va[k], s.two.regime.el, kind(b, k), NULL, &w)
    b.pa[k] = w.pa if w.status == 0 else 0
    b.status[k] = w.status
    s.counters[TWO_COUNTER_WALKS] += 1
    if w.status & STATUS_STAGE_2 and s.two.faults:
        s.missing[s.n_missing] = <uint16_t>(b.at + k)
        s.n_missing += 1
    elif w.status:
        count_fault(s, w.status)


cdef void group_alone(section_t *s, group_t *b) noexcept nogil:
    """Any group, one walk after another."""
    cdef uint64_t i
    for i in range(b.n):
        walk_alone(s, b, i)


# --- what a leaf allows ----------------------------------------------------------------------

cdef unsigned int judge(two_t *two, const s1_half_t *half, uint64_t desc,
                        uint64_t limits) noexcept nogil:
    """The accesses a leaf lets through with nothing to update."""
    cdef s1_walk_t w
    cdef unsigned int free
    w.half = half
    w.desc = desc
    w.limits = limits
    if not desc & S1_AF and (two.faults or not two.regime.ha):
        return 0
    free = s1_allowance(&two.regime, &w)
    if two.faults and s1_updated(&two.regime, &w, ACCESS_WRITE) != desc:
        free &= ~WRITES
    return free


cdef inline unsigned int free_accesses(section_t *s, const s1_half_t *half, uint64_t desc,
                                       uint64_t limits) noexcept nogil:
    """The same, from memory where a leaf of that kind has been met."""
    cdef uint64_t bits = desc & ~S1_ADDRESS
    cdef kind_t *known = &s.kinds[(bits >> 6 ^ bits >> 51 ^ limits >> 59) & (KINDS - 1)]
    limits &= TABLE_LIMITS
    if unlikely(known.bits != bits or known.limits != limits):
        known.bits = bits
        known.limits = limits
        known.free = judge(s.two, half, desc, limits)
    return known.free


# --- groups in one last-level table ----------------------------------------------------------

cdef inline uint64_t piece_key(const s1_half_t *half, int level, uint64_t va) noexcept nogil:
    """The address bits above one page of a table at `level`."""
    return va >> (s1_level_shift(half, level) + PIECE_BITS) << 1 | 1


cdef inline uint64_t *first_of_piece(uint64_t pa, uint64_t va, int shift) noexcept nogil:
    """Where a piece begins, one descriptor of which is at `pa`. Only a first table may begin
    elsewhere than at a page, and then it ends within it."""
    return <uint64_t *><uintptr_t>pa - <Py_ssize_t>(va >> shift & ((1 << PIECE_BITS) - 1))


cdef bint leaf_table(section_t *s, uint64_t va, int el) noexcept nogil:
    """Find the page of the last-level table that maps `va`; False if there is none to read."""
    cdef const s1_regime_t *r = &s.two.regime
    cdef s1_walk_t w
    cdef uint64_t pa, key
    cdef int rc = s1_begin(r, va, el, &w)
    if rc != S1_FETCH:
        return False
    key = piece_key(w.half, 3, w.va)
    if key == s.leaf.key:
        return True
    s.leaf.key = 0
    while rc == S1_FETCH:
        if stage2_cached(s.asce, &s.tables, w.desc_ipa, &pa):
            return False
        if w.level == 3:
            s.leaf.table = first_of_piece(pa, w.va, w.shift)
            s.leaf.key = key
            s.leaf.limits = w.limits
            return True
        rc = s1_step(r, &w, descriptor(r, load(<uint64_t *><uintptr_t>pa)))
    return False


cdef inline bint usual_tables(const s1_regime_t *r, uint64_t va) noexcept nogil:
    """Pages of 4 KiB, 48-bit addresses, little-endian."""
    cdef const s1_half_t *half = &r.half[va >> 55 & 1]
    return half.form == S1_FORM_48 and half.page_shift == <int>PAGE_SHIFT and not r.big_endian


cdef inline bint neighbours(section_t *s, const group_t *b, bint usual,
                            uint64_t *ipa) noexcept nogil:
    """Stage 1 of addresses under one page of a last-level table; False if one is refused.

    `usual` is what `usual_tables` says: most tables get a loop without a question.
    """
    cdef const s1_regime_t *r = &s.two.regime
    cdef const s1_half_t *half = &r.half[b.va[0] >> 55 & 1]
    cdef const uint64_t *va = b.va
    cdef const uint64_t *table = s.leaf.table
    cdef uint64_t i, desc, frame, used = 0
    cdef uint64_t good = ~<uint64_t>0      # which no descriptor is without its address
    cdef int page_shift = <int>PAGE_SHIFT if usual else half.page_shift
    cdef uint64_t offset = (<uint64_t>1 << page_shift) - 1
    cdef int bit = s1_allow_bit(kind(b, 0), r.el, r.pan)
    for i in range(b.n):
        desc = load(table + (va[i] >> page_shift & ((1 << PIECE_BITS) - 1)))
        desc = le64(desc) if usual else descriptor(r, desc)
        # Most neighbours differ in their address alone.
        if unlikely((desc & ~S1_ADDRESS) != good):
            if (desc & (S1_VALID | S1_TABLE)) != (S1_VALID | S1_TABLE) or (
                    not free_accesses(s, half, desc, s.leaf.limits) >> bit & 1):
                return False
            good = desc & ~S1_ADDRESS
        frame = (desc & S1_ADDRESS if usual else s1_address(half, desc)) & ~offset
        used |= frame
        ipa[i] = frame | (va[i] & offset)
    return used & half.excess == 0


cdef void group_together(section_t *s, group_t *b) noexcept nogil:
    """A group under one page of a last-level table, which `leaf_table` has found."""
    cdef uint64_t ipa[GROUP]
    cdef uint16_t pic[GROUP]
    cdef bint write = kind(b, 0) == ACCESS_WRITE
    cdef uint64_t i, refused = 0
    cdef bint found
    if usual_tables(&s.two.regime, b.va[0]):
        found = neighbours(s, b, True, ipa)
    else:
        found = neighbours(s, b, False, ipa)
    if not found:
        group_alone(s, b)
        return
    if in_one_segment(ipa, b.n):
        one_segment(s.asce, write, ipa, b.pa, pic, b.n)
    else:
        any_segments(s.asce, &s.tables, write, ipa, b.pa, pic, b.n)
    for i in range(b.n):
        b.status[i] = 0
        refused += pic[i] != 0
    s.counters[TWO_COUNTER_TABLE_HITS] += b.n - refused
    if unlikely(refused):
        for i in range(b.n):
            if pic[i]:
                walk_alone(s, b, i)


# --- unrelated addresses ---------------------------------------------------------------------

# Stands for an entry that need not be read.
cdef uint64_t walk_ends_here = 0


cdef inline void note_table(section_t *s, uint64_t ipa) noexcept nogil:
    if s.tlb != NULL:
        tlb_note_table(s.tlb, ipa >> PAGE_SHIFT)


cdef bint find_piece(section_t *s, uint64_t va, uint64_t key, piece_t *piece) noexcept nogil:
    """Walk to the page of the level-2 table that maps `va`; False if there is none to read."""
    cdef const s1_regime_t *r = &s.two.regime
    cdef s1_walk_t w
    cdef uint64_t pa
    cdef int rc = s1_begin(r, va, r.el, &w)
    while rc == S1_FETCH:
        if stage2_cached(s.asce, &s.tables, w.desc_ipa, &pa):
            return False
        note_table(s, w.desc_ipa)
        if w.level == 2:
            piece.key = key
            piece.limits = w.limits
            piece.table = first_of_piece(pa, va, w.shift)
            return True
        rc = s1_step(r, &w, descriptor(r, load(<uint64_t *><uintptr_t>pa)))
    return False


cdef inline void ask_for_entry(section_t *s, lanes_t *lanes, uint64_t i) noexcept nogil:
    """Ask for the page-table entry of the frame the level-3 table of a lane is in."""
    cdef dat_walk_t walk
    cdef int rc = dat_walk_cached(s.asce, lanes.ipa[i], &s.tables, &walk)
    lanes.word[i] = walk.ptep
    note_table(s, lanes.ipa[i])
    if likely(walk.ptep != NULL):
        prefetch(walk.ptep)
    elif rc == 0:
        # A larger frame: no entry to wait for. `stage2_cached` finds it again.
        lanes.word[i] = &walk_ends_here


cdef void ask_for_leaves(section_t *s, lanes_t *lanes, const uint64_t *va) noexcept nogil:
    """Stage 1 of unrelated addresses as far as their last descriptors: asked for (`word`), or,
    where a level-2 table has them, read (`desc`)."""
    cdef const s1_regime_t *r = &s.two.regime
    cdef s1_half_t half = lanes.half[0]     # a copy, which no store below can change
    cdef bint high = lanes.half == &r.half[1]
    cdef uint64_t n = lanes.n, level_3_index = (<uint64_t>1 << half.stride) - 1
    cdef uint64_t page_mask = ~<uint64_t>0 << half.page_shift
    cdef int shift = half.page_shift + half.stride
    cdef piece_t *piece
    cdef uint64_t i, key, desc, address, pa
    for i in range(n):
        lanes.word[i] = NULL
        lanes.desc[i] = 0
        address = s1_untagged(va[lanes.index[i]], half.tbi)
        lanes.va[i] = address
        if unlikely((address ^ (<uint64_t>0 - <uint64_t>high)) & half.same):
            continue
        if unlikely(half.level > 2):
            lanes.limits[i] = 0
            lanes.ipa[i] = half.base + ((address >> half.page_shift & half.index) << 3)
            ask_for_entry(s, lanes, i)
            continue
        key = address >> (shift + PIECE_BITS) << 1 | 1
        piece = &s.pieces[(key >> 1) & (PIECES - 1)]
        if unlikely(piece.key != key) and not find_piece(s, address, key, piece):
            continue
        lanes.limits[i] = piece.limits
        lanes.word[i] = piece.table + (address >> shift & ((1 << PIECE_BITS) - 1))
        prefetch(lanes.word[i])
    # Level 2: a table, or a block.
    for i in range(n if half.level <= 2 else 0):
        if unlikely(lanes.word[i] == NULL):
            continue
        desc = descriptor(r, load(lanes.word[i]))
        lanes.word[i] = NULL
        if unlikely((desc & (S1_VALID | S1_TABLE)) != (S1_VALID | S1_TABLE)):
            if desc & S1_VALID:
                lanes.desc[i] = desc
                lanes.shift[i] = shift
            continue
        address = s1_address(&half, desc) & page_mask
        if unlikely(address & half.excess):
            continue
        if not half.hpd:
            lanes.limits[i] |= desc
        lanes.ipa[i] = address | (lanes.va[i] >> half.page_shift & level_3_index) << 3
        ask_for_entry(s, lanes, i)
    # The frame of the level-3 table.
    for i in range(n):
        if unlikely(lanes.word[i] == NULL):
            continue
        if likely(lanes.word[i] != &walk_ends_here):
            if unlikely(pte_translate(load_entry(lanes.word[i]), lanes.ipa[i], 0, False, &pa)):
                lanes.word[i] = NULL
                continue
        elif stage2_cached(s.asce, &s.tables, lanes.ipa[i], &pa):
            lanes.word[i] = NULL
            continue
        lanes.word[i] = <uint64_t *><uintptr_t>pa
        prefetch(lanes.word[i])


cdef inline void finish_lane(section_t *s, lanes_t *lanes, uint64_t i, group_t *b, bint fills,
                             uint64_t pa) noexcept nogil:
    """A lane has arrived; enter it in the TLB if it `fills`."""
    cdef int k = lanes.index[i]
    cdef unsigned int allowed
    b.pa[k] = pa
    b.status[k] = 0
    s.counters[TWO_COUNTER_WALKS] += 1
    if not fills:
        return
    allowed = lanes.allowed[i]
    if kind(b, k) != ACCESS_WRITE:
        # A read has not asked whether stage 2 would let it write.
        allowed &= ~WRITES
    tlb_fill(s.tlb, lanes.va[i],
             lanes.half.asid if lanes.desc[i] & S1_NG else <uint64_t>GLOBAL_ASID,
             lanes.ipa[i], pa, lanes.shift[i], allowed)


cdef void ask_for_frames(section_t *s, lanes_t *lanes, group_t *b, bint fills) noexcept nogil:
    """Judge the leaves, and ask for the page-table entries of the frames they map."""
    cdef const s1_regime_t *r = &s.two.regime
    cdef s1_half_t half = lanes.half[0]
    cdef uint64_t i, desc, block, address, ipa, pa
    cdef unsigned int allowed
    cdef dat_walk_t walk
    cdef int access, k, rc
    for i in range(lanes.n):
        k = lanes.index[i]
        access = kind(b, k)
        desc = lanes.desc[i]
        if likely(lanes.word[i] != NULL):
            desc = descriptor(r, load(lanes.word[i]))
            if unlikely((desc & (S1_VALID | S1_TABLE)) != (S1_VALID | S1_TABLE)):
                desc = 0
            lanes.desc[i] = desc
            lanes.shift[i] = half.page_shift
            lanes.word[i] = NULL
        if likely(desc != 0):
            block = (<uint64_t>1 << lanes.shift[i]) - 1
            address = s1_address(&half, desc) & ~block
            allowed = free_accesses(s, lanes.half, desc, lanes.limits[i])
            if likely(allowed >> s1_allow_bit(access, r.el, r.pan) & 1
                      and not address & half.excess):
                ipa = address | (lanes.va[i] & block)
                rc = dat_walk_cached(s.asce, ipa, &s.tables, &walk)
                lanes.ipa[i] = ipa
                lanes.protect[i] = walk.protect
                lanes.allowed[i] = allowed
                if likely(walk.ptep != NULL):
                    lanes.word[i] = walk.ptep
                    prefetch(walk.ptep)
                    continue
                if rc == 0 and leaf_translate(walk.crste, ipa, walk.protect,
                                              access == ACCESS_WRITE, &pa) == 0:
                    finish_lane(s, lanes, i, b, fills, pa)
                    continue
        walk_alone(s, b, k)


cdef void finish_lanes(section_t *s, lanes_t *lanes, group_t *b, bint fills) noexcept nogil:
    """Read the page-table entries, which have come by now."""
    cdef uint64_t i, pte, pa
    cdef bint write
    for i in range(lanes.n):
        if unlikely(lanes.word[i] == NULL):
            continue
        pte = load(lanes.word[i])
        write = kind(b, lanes.index[i]) == ACCESS_WRITE
        if unlikely(pte_translate(pte, lanes.ipa[i], lanes.protect[i], write, &pa)):
            walk_alone(s, b, lanes.index[i])
        else:
            finish_lane(s, lanes, i, b, fills, pa)


# --- any group -------------------------------------------------------------------------------

cdef inline bint worth_asking(section_t *s, uint64_t at) noexcept nogil:
    """The TLB helps in this stretch; looking up and filling in vain takes time."""
    return s.tlb != NULL and (
        s.asked < TRIAL or 8 * s.hits >= s.asked or at & (SAMPLE - 1) == 0)


cdef uint64_t ask_tlb(section_t *s, const group_t *b, int *missed) noexcept nogil:
    """Translate what the TLB knows; the rest is listed in `missed`."""
    cdef const s1_regime_t *r = &s.two.regime
    cdef const s1_half_t *half
    cdef tlb_entry_t *entry
    cdef uint64_t i, untagged, misses = 0
    cdef int bits[3]
    for i in range(3):
        bits[i] = s1_allow_bit(<int>i, r.el, r.pan)
    for i in range(b.n):
        half = &r.half[b.va[i] >> 55 & 1]
        untagged = s1_untagged(b.va[i], half.tbi)
        entry = tlb_find(s.tlb, untagged, half.asid, bits[kind(b, i)])
        if likely(entry != NULL):
            b.pa[i] = tlb_host(entry, untagged)
            b.status[i] = 0
        else:
            missed[misses] = <int>i
            misses += 1
    s.asked += b.n
    s.hits += b.n - misses
    s.counters[TWO_COUNTER_TLB_HITS] += b.n - misses
    return misses


cdef void group_apart(section_t *s, group_t *b) noexcept nogil:
    """Any group, stage 1 being on: what the TLB does not know, one half after the other."""
    cdef const s1_regime_t *r = &s.two.regime
    cdef lanes_t lanes
    cdef int left[GROUP]
    cdef uint64_t i, high, n = b.n
    cdef bint asks = worth_asking(s, b.at)
    if asks:
        n = ask_tlb(s, b, left)
    else:
        for i in range(n):
            left[i] = <int>i
    for high in range(2 if n else 0):
        lanes.half = &r.half[high]
        lanes.n = 0
        for i in range(n):
            lanes.index[lanes.n] = left[i]
            lanes.n += (b.va[left[i]] >> 55 & 1) == high
        if lanes.n == 0:
            continue
        if unlikely(lanes.half.fsc >= 0 or (r.el == 0 and lanes.half.fsc_el0 >= 0)):
            for i in range(lanes.n):
                walk_alone(s, b, lanes.index[i])
            continue
        ask_for_leaves(s, &lanes, b.va)
        ask_for_frames(s, &lanes, b, asks)
        finish_lanes(s, &lanes, b, asks)


cdef inline bint one_kind(const group_t *b) noexcept nogil:
    cdef uint64_t i
    for i in range(1, b.n if b.step else 1):
        if b.access[i] != b.access[0]:
            return False
    return True


cdef void group(section_t *s, group_t *b) noexcept nogil:
    cdef const s1_regime_t *r = &s.two.regime
    cdef const uint64_t *va = b.va
    cdef const s1_half_t *half = &r.half[va[0] >> 55 & 1]
    cdef uint64_t i, apart = 0
    if not s.tables_ready:
        walk_cache_clear(&s.tables)
        memset(s.pieces, 0, sizeof(s.pieces))
        memset(s.kinds, 0, sizeof(s.kinds))
        s.tables_ready = True
    s.counters[TWO_COUNTER_LOOKUPS] += b.n
    for i in range(1, b.n):
        apart |= va[0] ^ va[i]
    if not r.mmu_on:
        group_alone(s, b)
    elif b.n > 1 and not apart & (half.same | ~<uint64_t>0 << (half.page_shift + PIECE_BITS)) and (
            one_kind(b) and leaf_table(s, va[0], r.el)):
        group_together(s, b)
    else:
        group_apart(s, b)


# --- what is missing ------------------------------------------------------------------------

cdef bint resolve(section_t *s, fault_vcpu_t *vcpu, two_batch_t *b, uint64_t at) noexcept nogil:
    """Fault in what the walks of a stretch lacked at stage 2, and walk again; outside the
    section. True: a signal handler raised."""
    cdef two_t *two = s.two
    cdef uint64_t gfns[STRETCH]
    cdef uint8_t writes[STRETCH]
    cdef int32_t codes[STRETCH]
    cdef uint16_t lane[STRETCH]
    cdef fault_batch_t batch
    cdef two_walk_t w
    cdef uint64_t i, k, n
    cdef unsigned int token
    while s.n_missing:
        n = 0
        token = srcu_read_lock(&two.g.tlb)
        s.asce = load_entry(&two.g.asce)
        for i in range(s.n_missing):
            k = at + s.missing[i]
            two_walk(two, s.asce, b.va[k], two.regime.el, b.access[k * b.access_step], NULL,
                     &w)
            b.pa[k] = w.pa if w.status == 0 else 0
            b.status[k] = w.status
            if w.status & STATUS_STAGE_2:
                lane[n] = s.missing[i]
                gfns[n] = w.ipa >> PAGE_SHIFT
                writes[n] = w.writes
                n += 1
            elif w.status:
                count_fault(s, w.status)
        srcu_read_unlock(&two.g.tlb, token)
        s.n_missing = 0
        if n == 0:
            break
        memset(&batch, 0, sizeof(batch))
        batch.gfns = gfns
        batch.writes = writes
        batch.write_step = 1
        batch.n = n
        batch.codes = codes
        faultin(two.g, vcpu, &batch)
        for i in range(n):
            if codes[i] == 0:
                s.counters[TWO_COUNTER_FAULTED_IN] += 1
                s.missing[s.n_missing] = lane[i]
                s.n_missing += 1
                continue
            # The walk's own code stays, but for a frame in no slot.
            k = at + lane[i]
            if codes[i] == PIC_ADDRESSING:
                b.status[k] = stage2_status(PIC_ADDRESSING, 0, b.status[k] & STATUS_S1PTW)
            count_fault(s, b.status[k])
        if batch.interrupted:
            return True
    return False


# --- batches --------------------------------------------------------------------------------

cdef tlb_t *take_tlb(two_t *two) noexcept nogil:
    """A TLB nobody uses; NULL if there is no memory for one more."""
    cdef tlb_t *tlb
    if not two.caches:
        return NULL
    spin_lock(&two.lock)
    tlb = two.idle
    if tlb != NULL:
        two.idle = tlb.next
    spin_unlock(&two.lock)
    if tlb == NULL:
        tlb = <tlb_t *>zalloc_lines(sizeof(tlb_t))
    return tlb


cdef void give_tlb(two_t *two, tlb_t *tlb) noexcept nogil:
    if tlb == NULL:
        return
    add(&two.counters[TWO_COUNTER_FLUSHED], tlb.n_flushed)
    tlb.n_flushed = 0
    spin_lock(&two.lock)
    tlb.next = two.idle
    two.idle = tlb
    spin_unlock(&two.lock)


cdef void two_translate(two_t *two, two_batch_t *b) noexcept nogil:
    """Translate a batch. With `two.faults` it may stop early for a signal."""
    cdef section_t s
    cdef fault_vcpu_t vcpu
    cdef group_t g
    cdef uint64_t at = 0, done, end
    cdef unsigned int token
    cdef int i
    g.step = b.access_step
    s.two = two
    s.tlb = take_tlb(two)
    memset(s.counters, 0, sizeof(s.counters))
    memset(&vcpu, 0, sizeof(vcpu))
    b.interrupted = False
    while at < b.n:
        end = min(b.n, at + STRETCH)
        s.n_missing = 0
        s.tables_ready = False
        s.leaf.key = 0
        s.asked = s.hits = 0
        token = srcu_read_lock(&two.g.tlb)
        s.asce = load_entry(&two.g.asce)
        if s.tlb != NULL:
            tlb_enter(s.tlb, &two.g.shootdowns, &two.flushes)
        done = at
        while done < end:
            g.at = done - at
            g.n = min(<uint64_t>GROUP, end - done)
            g.va = b.va + done
            g.access = b.access + done * b.access_step
            g.pa = b.pa + done
            g.status = b.status + done
            group(&s, &g)
            done += g.n
        srcu_read_unlock(&two.g.tlb, token)
        b.interrupted = s.n_missing and resolve(&s, &vcpu, b, at)
        if b.interrupted:
            break
        at = end
    mmu_cache_drain(&two.g.arena, &vcpu.mc)
    give_tlb(two, s.tlb)
    for i in range(N_TWO_COUNTERS):
        if s.counters[i]:
            add(&two.counters[i], s.counters[i])


cdef void two_flush(two_t *two, uint64_t start, uint64_t end, uint32_t asid) noexcept nogil:
    """Stage 1 of pages [start, end) has changed: return when no batch uses what it was."""
    shootdown_add(&two.flushes, start, end, asid)
    synchronize_srcu(&two.g.tlb)


cdef void two_release(two_t *two) noexcept nogil:
    cdef tlb_t *tlb
    while two.idle != NULL:
        tlb = two.idle
        two.idle = tlb.next
        release(tlb)
