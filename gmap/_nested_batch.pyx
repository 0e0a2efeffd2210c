"""Many two-level translations at once. Floor 3.

A batch goes through in stretches, each inside one section of the address space's readers,
and a stretch in groups of 64 addresses:

* A group whose addresses share one last-level table reads its descriptors side by side.
* For any other group the TLB is asked first. The rest walk together: each phase takes one
  memory access of every walk and asks for the next, so that the cache misses of all of them
  are under way at once. Tables above level 2 are remembered for the length of the stretch.

Both end with the gmap's own kernels for stage 2 (`_walk_batch.pxd`). Whatever does not
succeed on this way is walked again alone (`two_walk`), which knows every code; so there is
one place that decides about faults.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memset

from gmap._atomic cimport add, likely, load, load_entry, prefetch, unlikely
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
    S1_FETCH, s1_address, s1_allow_bit, s1_allowance, s1_begin, s1_half_t,
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
    dat_walk_cached, dat_walk_t, pte_translate, walk_cache_clear, walk_cache_t,
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


# Walks under way together.
cdef struct lanes_t:
    uint64_t n
    int index[GROUP]            # in the group
    uint64_t va[GROUP]          # without tags
    uint64_t limits[GROUP]      # the *_TABLE bits of the tables above
    uint64_t *word[GROUP]       # the descriptor or entry to read; NULL: over
    uint64_t table_ipa[GROUP]   # of the descriptor at level 3
    uint64_t desc[GROUP]        # the leaf's; 0: none was found, walk alone
    int shift[GROUP]            # log2 of what it maps


# Leaves of one group on their way through stage 2, all for writing or none.
cdef struct leaves_t:
    uint64_t n
    int lane[GROUP]
    uint64_t ipa[GROUP]
    unsigned int allowed[GROUP]


# --- stage 2 of a group ---------------------------------------------------------------------

cdef inline void stage2_group(section_t *s, bint write, const uint64_t *ipa, uint64_t *pa,
                              uint16_t *pic, uint64_t n) noexcept nogil:
    if in_one_segment(ipa, n):
        one_segment(s.asce, write, ipa, pa, pic, n)
        return
    any_segments(s.asce, &s.tables, write, ipa, pa, pic, n)


# --- groups in one last-level table ---------------------------------------------------------

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


# --- unrelated addresses --------------------------------------------------------------------

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
    cdef int rc = dat_walk_cached(s.asce, lanes.table_ipa[i], &s.tables, &walk)
    lanes.word[i] = walk.ptep
    note_table(s, lanes.table_ipa[i])
    if likely(walk.ptep != NULL):
        prefetch(walk.ptep)
    elif rc == 0:
        # A larger frame: no entry to wait for. `stage2_cached` finds it again.
        lanes.word[i] = &walk_ends_here


# Stands for an entry that need not be read.
cdef uint64_t walk_ends_here = 0


cdef void scattered(section_t *s, lanes_t *lanes, const uint64_t *va, int el) noexcept nogil:
    """Stage 1 of unrelated addresses as far as their leaves; what they allow is left open."""
    cdef const s1_regime_t *r = &s.two.regime
    cdef const s1_half_t *half
    cdef piece_t *piece
    cdef uint64_t i, key, desc, address, pa
    cdef int high, shift
    for i in range(lanes.n):
        lanes.word[i] = NULL
        lanes.desc[i] = 0
        address = va[lanes.index[i]]
        high = <int>(address >> 55 & 1)
        half = &r.half[high]
        address = s1_untagged(address, half.tbi)
        lanes.va[i] = address
        if unlikely((address ^ (<uint64_t>0 - <uint64_t>high)) & half.same or half.fsc >= 0
                    or (el == 0 and half.fsc_el0 >= 0)):
            continue
        if unlikely(half.level > 2):
            lanes.limits[i] = 0
            lanes.table_ipa[i] = half.base + ((address >> half.page_shift & half.index) << 3)
            ask_for_entry(s, lanes, i)
            continue
        key = piece_key(half, 2, address)
        piece = &s.pieces[(key >> 1) & (PIECES - 1)]
        if unlikely(piece.key != key) and not find_piece(s, address, key, piece):
            continue
        shift = half.page_shift + half.stride
        lanes.limits[i] = piece.limits
        lanes.word[i] = piece.table + (address >> shift & ((1 << PIECE_BITS) - 1))
        prefetch(lanes.word[i])
    # Level 2: a table, or a block.
    for i in range(lanes.n):
        half = &r.half[lanes.va[i] >> 55 & 1]
        if lanes.word[i] == NULL or half.level > 2:
            continue
        desc = descriptor(r, load(lanes.word[i]))
        lanes.word[i] = NULL
        if unlikely((desc & (S1_VALID | S1_TABLE)) != (S1_VALID | S1_TABLE)):
            if desc & S1_VALID:
                lanes.desc[i] = desc
                lanes.shift[i] = half.page_shift + half.stride
            continue
        address = s1_address(half, desc) & ~<uint64_t>0 << half.page_shift
        if unlikely(address & half.excess):
            continue
        if not half.hpd:
            lanes.limits[i] |= desc
        lanes.table_ipa[i] = address | (
            lanes.va[i] >> half.page_shift & ((<uint64_t>1 << half.stride) - 1)) << 3
        ask_for_entry(s, lanes, i)
    # The frame of the level-3 table.
    for i in range(lanes.n):
        if lanes.word[i] == NULL:
            continue
        if likely(lanes.word[i] != &walk_ends_here):
            if unlikely(pte_translate(load_entry(lanes.word[i]), lanes.table_ipa[i], 0, False,
                                      &pa)):
                lanes.word[i] = NULL
                continue
        elif stage2_cached(s.asce, &s.tables, lanes.table_ipa[i], &pa):
            lanes.word[i] = NULL
            continue
        lanes.word[i] = <uint64_t *><uintptr_t>pa
        prefetch(lanes.word[i])
    # Level 3.
    for i in range(lanes.n):
        if lanes.word[i] == NULL:
            continue
        desc = descriptor(r, load(lanes.word[i]))
        if likely((desc & (S1_VALID | S1_TABLE)) == (S1_VALID | S1_TABLE)):
            lanes.desc[i] = desc
            lanes.shift[i] = r.half[lanes.va[i] >> 55 & 1].page_shift


# --- one group ------------------------------------------------------------------------------

cdef void walk_alone(section_t *s, uint64_t at, uint64_t va, int access, uint64_t *pa,
                     uint32_t *status) noexcept nogil:
    """Walk one address, whatever becomes of it; `at` is its offset in the stretch."""
    cdef two_walk_t w
    two_walk(s.two, s.asce, va, s.two.regime.el, access, &w)
    pa[0] = w.pa if w.status == 0 else 0
    status[0] = w.status
    s.counters[TWO_COUNTER_WALKS] += 1
    if w.status & STATUS_STAGE_2 and s.two.faults:
        s.missing[s.n_missing] = <uint16_t>at
        s.n_missing += 1
    elif w.status:
        count_fault(s, w.status)


cdef inline void count_fault(section_t *s, uint32_t status) noexcept nogil:
    if status & STATUS_STAGE_1:
        s.counters[TWO_COUNTER_STAGE1_FAULTS] += 1
    else:
        s.counters[TWO_COUNTER_STAGE2_FAULTS] += 1


cdef bint neighbours(section_t *s, const uint64_t *va, int bit, uint64_t *ipa,
                     uint64_t n) noexcept nogil:
    """Stage 1 of addresses under one page of a last-level table; False if one is refused."""
    cdef const s1_regime_t *r = &s.two.regime
    cdef const s1_half_t *half = &r.half[va[0] >> 55 & 1]
    cdef uint64_t i, desc, frame
    cdef uint64_t good = ~<uint64_t>0      # which no descriptor is without its address
    cdef uint64_t offset = (<uint64_t>1 << half.page_shift) - 1
    cdef int shift = half.page_shift
    for i in range(n):
        desc = descriptor(r, load(s.leaf.table + (va[i] >> shift & ((1 << PIECE_BITS) - 1))))
        # Most neighbours differ in their address alone.
        if unlikely((desc & ~S1_ADDRESS) != good):
            if (desc & (S1_VALID | S1_TABLE)) != (S1_VALID | S1_TABLE) or (
                    not free_accesses(s, half, desc, s.leaf.limits) >> bit & 1):
                return False
            good = desc & ~S1_ADDRESS
        frame = s1_address(half, desc) & ~offset
        if unlikely(frame & half.excess):
            return False
        ipa[i] = frame | (va[i] & offset)
    return True


cdef void group_together(section_t *s, uint64_t at, const uint64_t *va, int access, uint64_t *pa,
                         uint32_t *status, uint64_t n) noexcept nogil:
    """A group under one page of a last-level table, which `leaf_table` has found."""
    cdef uint64_t ipa[GROUP]
    cdef uint16_t pic[GROUP]
    cdef uint64_t i, refused = 0
    if not neighbours(s, va, s1_allow_bit(access, s.two.regime.el, s.two.regime.pan), ipa, n):
        for i in range(n):
            walk_alone(s, at + i, va[i], access, &pa[i], &status[i])
        return
    stage2_group(s, access == ACCESS_WRITE, ipa, pa, pic, n)
    for i in range(n):
        status[i] = 0
        refused += pic[i] != 0
    s.counters[TWO_COUNTER_TABLE_HITS] += n - refused
    if unlikely(refused):
        for i in range(n):
            if pic[i]:
                walk_alone(s, at + i, va[i], access, &pa[i], &status[i])


cdef inline int kind(const uint8_t *access, uint64_t step, uint64_t i) noexcept nogil:
    return access[i * step]


cdef void finish_leaves(section_t *s, lanes_t *lanes, leaves_t *leaves, bint write, bint fills,
                        uint64_t at, const uint64_t *va, const uint8_t *access, uint64_t step,
                        uint64_t *pa, uint32_t *status) noexcept nogil:
    """Stage 2 of leaves, and their TLB entries if it `fills`."""
    cdef uint64_t hosts[GROUP]
    cdef uint16_t pic[GROUP]
    cdef uint64_t i, asid
    cdef unsigned int allowed
    cdef const s1_half_t *half
    cdef int lane, k
    stage2_group(s, write, leaves.ipa, hosts, pic, leaves.n)
    for i in range(leaves.n):
        lane = leaves.lane[i]
        k = lanes.index[lane]
        if unlikely(pic[i]):
            walk_alone(s, at + k, va[k], kind(access, step, k), &pa[k], &status[k])
            continue
        pa[k] = hosts[i]
        status[k] = 0
        s.counters[TWO_COUNTER_WALKS] += 1
        if fills:
            half = &s.two.regime.half[lanes.va[lane] >> 55 & 1]
            asid = half.asid if lanes.desc[lane] & S1_NG else <uint64_t>GLOBAL_ASID
            # A read has not asked whether stage 2 would let it write.
            allowed = leaves.allowed[i] if write else leaves.allowed[i] & ~WRITES
            tlb_fill(s.tlb, lanes.va[lane], asid, leaves.ipa[i], hosts[i], lanes.shift[lane],
                     allowed)


cdef inline bint worth_asking(section_t *s, uint64_t at) noexcept nogil:
    """The TLB helps in this stretch: looking up and filling in vain costs a walk's half."""
    return s.tlb != NULL and (
        s.asked < TRIAL or 8 * s.hits >= s.asked or at & (SAMPLE - 1) == 0)


cdef uint64_t ask_tlb(section_t *s, const uint64_t *va, const uint8_t *access, uint64_t step,
                      uint64_t *pa, uint32_t *status, uint64_t n, int *missed) noexcept nogil:
    """Translate what the TLB knows; the rest is listed in `missed`."""
    cdef const s1_regime_t *r = &s.two.regime
    cdef const s1_half_t *half
    cdef tlb_entry_t *entry
    cdef uint64_t i, untagged, misses = 0
    cdef int bits[3]
    for i in range(3):
        bits[i] = s1_allow_bit(<int>i, r.el, r.pan)
    for i in range(n):
        half = &r.half[va[i] >> 55 & 1]
        untagged = s1_untagged(va[i], half.tbi)
        entry = tlb_find(s.tlb, untagged, half.asid, bits[kind(access, step, i)])
        if likely(entry != NULL):
            pa[i] = tlb_host(entry, untagged)
            status[i] = 0
        else:
            missed[misses] = <int>i
            misses += 1
    s.asked += n
    s.hits += n - misses
    s.counters[TWO_COUNTER_TLB_HITS] += n - misses
    return misses


cdef void group_apart(section_t *s, uint64_t at, const uint64_t *va, const uint8_t *access,
                      uint64_t step, uint64_t *pa, uint32_t *status, uint64_t n) noexcept nogil:
    """Any group, stage 1 being on."""
    cdef const s1_regime_t *r = &s.two.regime
    cdef const s1_half_t *half
    cdef lanes_t lanes
    cdef leaves_t leaves[2]     # read or fetched, and written
    cdef leaves_t *mine
    cdef uint64_t i, desc, address, block
    cdef unsigned int allowed
    cdef int access_of, write, k
    cdef bint asks = worth_asking(s, at)
    if asks:
        lanes.n = ask_tlb(s, va, access, step, pa, status, n, lanes.index)
        if lanes.n == 0:
            return
    else:
        lanes.n = n
        for i in range(n):
            lanes.index[i] = <int>i
    scattered(s, &lanes, va, r.el)
    leaves[0].n = leaves[1].n = 0
    for i in range(lanes.n):
        k = lanes.index[i]
        access_of = kind(access, step, k)
        half = &r.half[lanes.va[i] >> 55 & 1]
        desc = lanes.desc[i]
        if likely(desc != 0):
            block = (<uint64_t>1 << lanes.shift[i]) - 1
            address = s1_address(half, desc) & ~block
            allowed = free_accesses(s, half, desc, lanes.limits[i])
            if likely(allowed >> s1_allow_bit(access_of, r.el, r.pan) & 1
                      and not address & half.excess):
                write = access_of == ACCESS_WRITE
                mine = &leaves[write]
                mine.lane[mine.n] = <int>i
                mine.ipa[mine.n] = address | (lanes.va[i] & block)
                mine.allowed[mine.n] = allowed
                mine.n += 1
                continue
        walk_alone(s, at + k, va[k], access_of, &pa[k], &status[k])
    for write in range(2):
        if leaves[write].n:
            finish_leaves(s, &lanes, &leaves[write], write, asks, at, va, access, step, pa, status)


cdef void group_flat(section_t *s, uint64_t at, const uint64_t *va, const uint8_t *access,
                     uint64_t step, uint64_t *pa, uint32_t *status, uint64_t n) noexcept nogil:
    """Any group, stage 1 being off."""
    cdef uint64_t i
    for i in range(n):
        walk_alone(s, at + i, va[i], kind(access, step, i), &pa[i], &status[i])


cdef inline bint one_kind(const uint8_t *access, uint64_t step, uint64_t n) noexcept nogil:
    cdef uint64_t i
    for i in range(1, n if step else 1):
        if access[i] != access[0]:
            return False
    return True


cdef void group(section_t *s, uint64_t at, const uint64_t *va, const uint8_t *access,
                uint64_t step, uint64_t *pa, uint32_t *status, uint64_t n) noexcept nogil:
    cdef const s1_regime_t *r = &s.two.regime
    cdef const s1_half_t *half
    cdef uint64_t i, apart = 0
    if not s.tables_ready:
        walk_cache_clear(&s.tables)
        memset(s.pieces, 0, sizeof(s.pieces))
        memset(s.kinds, 0, sizeof(s.kinds))
        s.tables_ready = True
    s.counters[TWO_COUNTER_LOOKUPS] += n
    for i in range(1, n):
        apart |= va[0] ^ va[i]
    half = &r.half[va[0] >> 55 & 1]
    if not r.mmu_on:
        group_flat(s, at, va, access, step, pa, status, n)
    elif n > 1 and not apart & (half.same | ~<uint64_t>0 << (half.page_shift + PIECE_BITS)) and (
            one_kind(access, step, n)) and leaf_table(s, va[0], r.el):
        group_together(s, at, va, access[0], pa, status, n)
    else:
        group_apart(s, at, va, access, step, pa, status, n)


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
            two_walk(two, s.asce, b.va[k], two.regime.el, kind(b.access, b.access_step, k), &w)
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
    """Translate a batch. With `two.faults` it may stop early for a signal; what is left then has
    the status its walk had."""
    cdef section_t s
    cdef fault_vcpu_t vcpu
    cdef uint64_t at = 0, done, end, n
    cdef unsigned int token
    cdef int i
    s.two = two
    s.tlb = take_tlb(two)
    memset(s.counters, 0, sizeof(s.counters))
    memset(&vcpu, 0, sizeof(vcpu))
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
            n = min(<uint64_t>GROUP, end - done)
            group(&s, done - at, b.va + done, b.access + done * b.access_step, b.access_step,
                  b.pa + done, b.status + done, n)
            done += n
        srcu_read_unlock(&two.g.tlb, token)
        if s.n_missing and resolve(&s, &vcpu, b, at):
            break
        at = end
    if at < b.n:
        for done in range(end, b.n):
            b.pa[done] = 0
            b.status[done] = STATUS_STAGE_2
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
