"""The fault-in path: from a guest frame to a mapping. Floor 3.

The state machine of fact sheet faultin.md section 2, run for a batch of faults at a time:
each state is passed by all of a batch before the next, so that one hold of the mmu_lock,
one read of the sequence count and one look at a table serve many. A batch leaves the
tables as if its faults had been taken one after the other; only the host may have been
asked twice for a frame that is in it twice.

Differences from the kernel:

* Between turns of the loop the srcu section is left and entered again. The kernel stays
  inside, so a fault that waits for a slot's commit and a slot change that waits for
  readers wait for each other.
* The loop looks for signals, so that Ctrl-C ends a fault that would wait for ever.
"""

from libc.errno cimport EAGAIN, EFAULT, EINTR, EINVAL, ENOMEM, EOPNOTSUPP
from libc.stdint cimport int32_t, uint64_t
from libc.string cimport memset

from gmap._atomic cimport (
    add, backoff, likely, load, load_acquire, load_ptr, prefetch_write, unlikely,
)
from gmap._defs cimport (
    COUNTER_ASYNC, COUNTER_ERROR_ADDRESSING, COUNTER_ERROR_EAGAIN, COUNTER_ERROR_EFAULT,
    COUNTER_ERROR_EINTR, COUNTER_ERROR_EINVAL, COUNTER_ERROR_ENOMEM, COUNTER_ERROR_EOPNOTSUPP,
    COUNTER_LOOKUPS, COUNTER_MAJOR, COUNTER_MINOR, COUNTER_PAGES_PINNED, COUNTER_PAGES_RELEASED,
    COUNTER_PFAULT_SYNC, COUNTER_RETRIES, COUNTER_TABLES_FREED, GMAP_FLAG_PFAULT_ENABLED,
    LEVEL_PAGE, PAGE_SHIFT, PFN_ERR_MASK, PFN_ERR_NEEDS_IO, PFN_ERR_RO_FAULT, PFN_ERR_SIGPENDING,
    PFN_NOSLOT, PIC_ADDRESSING, PT_BITS, PT_ENTRIES, PTE_EMPTY, SLOT_FLAG_INVALID,
    SLOT_FLAG_READONLY,
)
from gmap._gmap cimport (
    N_COUNTERS, fault_walk, gmap_link, invalidate_quiet, invalidate_retry_folio,
    invalidate_retry_gfn, link_level, link_pte, log_pfault, try_fixup_minor,
)
from gmap._histogram cimport bucket_of, now_ns
from gmap._regions cimport FOLL_NOWAIT, FOLL_WRITE, host_lookup, no_page
from gmap._slots cimport find_memslot
from gmap._sync cimport read_lock, read_unlock, srcu_read_lock, srcu_read_unlock
from gmap._tables cimport mmu_cache_drain, mmu_cache_topup, pgste_slot
from gmap._walk cimport walk_cache_clear, walk_cache_t

cdef extern from "Python.h":
    # Declared without its exception, which is to stay raised until the batch has ended.
    int check_signals "PyErr_CheckSignals"()


cdef enum:
    BATCH = 64
    IDLE_TURNS = 4096       # of the loop without progress before a look for signals
    FOUND = 1 << 20         # a lookup gave a frame to link


# The faults of one batch, and which of them are not over.
cdef struct state_t:
    guest_fault_t f[BATCH]
    memslot_t *slot[BATCH]
    int32_t rc[BATCH]
    int pending[BATCH]
    int n_pending
    bint attempt_pfault
    bint keeps_walks        # enough faults to be worth a cache
    walk_cache_t walks
    uint64_t tables_freed   # when the cache was begun
    uint64_t counters[N_COUNTERS]


# The page table the last walk ended in: it serves the neighbours of that gfn.
cdef struct neighbour_t:
    uint64_t segment
    uint64_t *table
    uint64_t *crstep


# --- one lookup (S4 and S5) -----------------------------------------------------------------

cdef inline int pfn_error(uint64_t pfn) noexcept nogil:
    """The code of an error frame number (S5b), FOUND for a frame."""
    if not pfn & (PFN_ERR_MASK | PFN_NOSLOT):
        return FOUND
    if pfn & PFN_NOSLOT:
        return PIC_ADDRESSING
    if pfn == PFN_ERR_SIGPENDING:
        return -EINTR
    if pfn == PFN_ERR_RO_FAULT:
        return -EOPNOTSUPP
    return -EFAULT


cdef inline memslot_t *slot_of(lookup_hints_t *hints, fault_vcpu_t *vcpu,
                               uint64_t gfn) noexcept nogil:
    """The slot of `gfn`, if it has one that is not on its way out."""
    cdef memslot_t *slot = hints.slot
    if slot == NULL or gfn - slot.base_gfn >= slot.npages:
        if hints.slots == NULL:
            return NULL
        slot = find_memslot(hints.slots, gfn, NULL if vcpu == NULL else &vcpu.slots)
        if slot == NULL or slot.flags & SLOT_FLAG_INVALID:
            return NULL
        hints.slot = slot
    return slot


cdef inline void faultin_pfn(gmap_t *g, lookup_hints_t *hints, memslot_t *slot, guest_fault_t *f,
                             int foll) noexcept nogil:
    """Ask the host for the frame behind a gfn (section 5)."""
    if slot == NULL:
        no_page(&f.host, PFN_NOSLOT)
    elif slot.flags & SLOT_FLAG_READONLY and foll & FOLL_WRITE:
        no_page(&f.host, PFN_ERR_RO_FAULT)
    else:
        host_lookup(g.host, &hints.region,
                    slot.userspace_addr + ((f.gfn - slot.base_gfn) << PAGE_SHIFT), foll, &f.host)
        if slot.flags & SLOT_FLAG_READONLY:
            f.host.writable = False


cdef int needs_io(gmap_t *g, fault_vcpu_t *vcpu, lookup_hints_t *hints, memslot_t *slot,
                  guest_fault_t *f, int foll, uint64_t *counters) noexcept nogil:
    """S5a: the host would have to wait for this frame. FOUND, or the code it ends with."""
    if not foll & FOLL_NOWAIT:
        return -EAGAIN
    if vcpu == NULL:
        return -EINVAL
    log_pfault(g, vcpu.id, vcpu.pstate, vcpu.pc, f.gfn)
    if g.flags & GMAP_FLAG_PFAULT_ENABLED and vcpu.n_async < vcpu.async_limit:
        vcpu.async_gfns[vcpu.n_async] = f.gfn
        vcpu.n_async += 1
        return 0
    counters[COUNTER_PFAULT_SYNC] += 1
    faultin_pfn(g, hints, slot, f, foll & ~FOLL_NOWAIT)
    return pfn_error(f.host.pfn)


cdef int get_guest_page(gmap_t *g, lookup_hints_t *hints, guest_fault_t *f) noexcept nogil:
    """A frame for batched callers, nothing linked (section 4). 0 and f.valid, or the code.

    Unlike the fault path every error but no-slot, signal and I/O is -EFAULT, a write to a
    read-only page included.
    """
    cdef int rc
    f.valid = False
    faultin_pfn(g, hints, slot_of(hints, NULL, f.gfn), f, FOLL_WRITE if f.write_attempt else 0)
    rc = pfn_error(f.host.pfn)
    if rc == FOUND:
        f.valid = True
        if f.host.page:
            add(&g.counters[COUNTER_PAGES_PINNED], 1)
        return 0
    if f.host.pfn == PFN_ERR_NEEDS_IO:
        return -EAGAIN
    if rc == -EOPNOTSUPP:
        return -EFAULT
    return rc


# --- the states -----------------------------------------------------------------------------

cdef inline walk_cache_t *walk_cache(gmap_t *g, state_t *s) noexcept nogil:
    """The cache for walks under this hold of the mmu_lock: tables die only between holds."""
    cdef uint64_t freed
    if not s.keeps_walks:
        return NULL
    freed = load(&g.counters[COUNTER_TABLES_FREED])
    if s.tables_freed != freed:
        walk_cache_clear(&s.walks)
        s.tables_freed = freed
    return &s.walks


cdef inline bint walk_from(uint64_t asce, walk_cache_t *cache, guest_fault_t *f,
                           neighbour_t *last) noexcept nogil:
    """Walk to the page of a fault. True if the page table was at hand from the walk before."""
    if f.gfn >> PT_BITS == last.segment:
        f.ptep = last.table + (f.gfn & (PT_ENTRIES - 1))
        f.crstep = last.crstep
        return True
    fault_walk(asce, cache, f)
    if f.ptep != NULL:
        last.segment = f.gfn >> PT_BITS
        last.table = f.ptep - <Py_ssize_t>(f.gfn & (PT_ENTRIES - 1))
        last.crstep = f.crstep
    return False


cdef void fix_minor(gmap_t *g, state_t *s, int n) noexcept nogil:
    """S1: resolve what the tables alone can; the rest becomes pending."""
    cdef uint64_t asce
    cdef neighbour_t last = neighbour_t(<uint64_t>-1, NULL, NULL)
    cdef guest_fault_t *f
    cdef walk_cache_t *cache
    cdef int i, n_pending = 0
    read_lock(&g.mmu_lock)
    asce = load(&g.asce)
    cache = walk_cache(g, s)
    for i in range(n):
        f = &s.f[i]
        if not walk_from(asce, cache, f, &last) and f.ptep != NULL:
            prefetch_write(f.ptep)
            prefetch_write(pgste_slot(f.ptep))
    for i in range(n):
        s.rc[i] = try_fixup_minor(g, &s.f[i], s.counters)
        s.pending[n_pending] = i
        n_pending += s.rc[i]
    read_unlock(&g.mmu_lock)
    s.n_pending = n_pending
    s.counters[COUNTER_MINOR] += n - n_pending


cdef void look_up(gmap_t *g, fault_vcpu_t *vcpu, lookup_hints_t *hints,
                  state_t *s) noexcept nogil:
    """S4 and S5 for what is pending; what ends here leaves the list."""
    cdef guest_fault_t *f
    cdef int k, i, rc, foll, kept = 0
    for k in range(s.n_pending):
        i = s.pending[k]
        f = &s.f[i]
        f.valid = False
        foll = FOLL_WRITE if f.write_attempt else 0
        if s.attempt_pfault:
            foll |= FOLL_NOWAIT
        s.slot[i] = slot_of(hints, vcpu, f.gfn)
        faultin_pfn(g, hints, s.slot[i], f, foll)
        rc = pfn_error(f.host.pfn)
        if unlikely(f.host.pfn == PFN_ERR_NEEDS_IO):
            rc = needs_io(g, vcpu, hints, s.slot[i], f, foll, s.counters)
        if likely(rc == FOUND):
            s.counters[COUNTER_PAGES_PINNED] += f.host.page
            s.pending[kept] = i
            kept += 1
            continue
        s.rc[i] = rc
        s.counters[error_counter(rc)] += 1
    s.n_pending = kept


cdef bint may_be_stale(gmap_t *g, uint64_t seq, state_t *s) noexcept nogil:
    """One of the frames found may have changed since `seq` was read (S6; section 4)."""
    cdef int k
    if likely(invalidate_quiet(g, seq)):
        return False
    for k in range(s.n_pending):
        if invalidate_retry_gfn(g, seq, s.f[s.pending[k]].gfn):
            return True
    return False


cdef inline int link_one(gmap_t *g, mmu_cache_t *mc, state_t *s, int i, uint64_t asce,
                         walk_cache_t *cache, neighbour_t *last) noexcept nogil:
    """Map one frame. An earlier fault of the batch may have done it, or another thread: then
    this one is a minor fault, as if it had come later. 1: minor; 0: linked; else the code."""
    cdef guest_fault_t *f = &s.f[i]
    walk_from(asce, cache, f, last)
    if f.ptep == NULL or load(f.ptep) != PTE_EMPTY:
        if try_fixup_minor(g, f, s.counters) == 0:
            return 1
    if f.ptep != NULL and (not f.host.order or link_level(g, f, s.slot[i]) == LEVEL_PAGE):
        return link_pte(f, s.counters)
    last.segment = <uint64_t>-1
    return gmap_link(g, mc, f, s.slot[i], asce, s.counters)


cdef bint link_found(gmap_t *g, mmu_cache_t *mc, uint64_t seq, state_t *s) noexcept nogil:
    """S7: link what was found, unless it may be stale. True if the cache ran out."""
    cdef uint64_t asce
    cdef neighbour_t last = neighbour_t(<uint64_t>-1, NULL, NULL)
    cdef guest_fault_t *f
    cdef walk_cache_t *cache
    cdef bint quiet, out_of_tables = False
    cdef int k, i, rc, kept = 0
    read_lock(&g.mmu_lock)
    asce = load(&g.asce)
    cache = walk_cache(g, s)
    quiet = invalidate_quiet(g, seq)
    for k in range(s.n_pending):
        i = s.pending[k]
        f = &s.f[i]
        rc = -EAGAIN
        if quiet or not invalidate_retry_folio(g, seq, f):
            f.valid = True
            rc = link_one(g, mc, s, i, asce, cache, &last)
        s.rc[i] = rc
        if unlikely(rc < 0 and rc != -EINVAL):
            out_of_tables |= rc == -ENOMEM
            s.pending[kept] = i
            kept += 1
        elif rc == 0:
            s.counters[COUNTER_MAJOR] += 1
        elif rc > 0:
            s.counters[COUNTER_MINOR] += 1
            s.rc[i] = 0
        else:
            s.counters[COUNTER_ERROR_EINVAL] += 1
    read_unlock(&g.mmu_lock)
    s.n_pending = kept
    return out_of_tables


cdef inline int error_counter(int rc) noexcept nogil:
    """Which counter a finished fault belongs to; 0 here means the host took it over."""
    if rc == 0:
        return COUNTER_ASYNC
    if rc == PIC_ADDRESSING:
        return COUNTER_ERROR_ADDRESSING
    if rc == -EINTR:
        return COUNTER_ERROR_EINTR
    if rc == -EOPNOTSUPP:
        return COUNTER_ERROR_EOPNOTSUPP
    if rc == -EFAULT:
        return COUNTER_ERROR_EFAULT
    if rc == -ENOMEM:
        return COUNTER_ERROR_ENOMEM
    if rc == -EAGAIN:
        return COUNTER_ERROR_EAGAIN
    return COUNTER_ERROR_EINVAL


cdef void give_up(state_t *s, int rc, bint only_enomem) noexcept nogil:
    """End what is pending with a code; or only those that ran out of tables."""
    cdef int k, i, kept = 0
    for k in range(s.n_pending):
        i = s.pending[k]
        if only_enomem and s.rc[i] != -ENOMEM:
            s.pending[kept] = i
            kept += 1
            continue
        s.rc[i] = rc
        s.counters[error_counter(rc)] += 1
    s.n_pending = kept


cdef bint signal_raised() noexcept nogil:
    """A signal handler has raised; its exception comes out in `_faults`."""
    with gil:
        return check_signals() != 0


cdef bint resolve_major(gmap_t *g, fault_vcpu_t *vcpu, mmu_cache_t *temporary,
                        state_t *s) noexcept nogil:
    """S2 to S9 for what is pending. True if a signal handler raised."""
    cdef mmu_cache_t *mc = temporary if vcpu == NULL else &vcpu.mc
    cdef lookup_hints_t hints
    cdef uint64_t seq, pinned
    cdef unsigned int token, spins = 0, idle = 0
    cdef int found
    cdef bint out_of_tables, raised = False
    if vcpu == NULL and mmu_cache_topup(&g.arena, mc):
        give_up(s, -ENOMEM, False)
        return False
    while s.n_pending:
        token = srcu_read_lock(&g.srcu)
        hints.slots = <memslots_t *>load_ptr(<void **>&g.memslots)
        hints.slot = NULL
        hints.region = NULL
        seq = load_acquire(&g.invalidate_seq)
        pinned = s.counters[COUNTER_PAGES_PINNED]
        look_up(g, vcpu, &hints, s)
        pinned = s.counters[COUNTER_PAGES_PINNED] - pinned
        found = s.n_pending
        out_of_tables = not may_be_stale(g, seq, s) and link_found(g, mc, seq, s)
        s.counters[COUNTER_PAGES_RELEASED] += pinned
        srcu_read_unlock(&g.srcu, token)
        s.counters[COUNTER_RETRIES] += s.n_pending
        if out_of_tables:
            if mmu_cache_topup(&g.arena, mc):
                give_up(s, -ENOMEM, True)
        elif s.n_pending and s.n_pending == found:
            idle += 1
            backoff(&spins)
            if idle % IDLE_TURNS == 0 and signal_raised():
                raised = True
                give_up(s, -EINTR, False)
    return raised


cdef void flush_counters(gmap_t *g, state_t *s) noexcept nogil:
    cdef int c
    for c in range(N_COUNTERS):
        if s.counters[c]:
            add(&g.counters[c], s.counters[c])
            s.counters[c] = 0


cdef void faultin(gmap_t *g, fault_vcpu_t *vcpu, fault_batch_t *batch) noexcept nogil:
    """Resolve a batch of faults. Takes no lock of the caller's; safe from any thread."""
    cdef state_t s
    cdef mmu_cache_t temporary
    cdef uint64_t at = 0, started = 0, ended, chunk = BATCH, turns = 0
    cdef guest_fault_t *f
    cdef int n, i
    memset(&temporary, 0, sizeof(temporary))
    memset(&s.counters, 0, sizeof(s.counters))
    s.attempt_pfault = batch.attempt_pfault
    s.keeps_walks = batch.n >= BATCH
    s.tables_freed = ~<uint64_t>0
    batch.interrupted = False
    if batch.histogram != NULL:
        chunk = 1
        started = now_ns()
    while at < batch.n:
        n = <int>min(chunk, batch.n - at)
        for i in range(n):
            f = &s.f[i]
            f.gfn = batch.gfns[at + i]
            f.write_attempt = batch.writes[<Py_ssize_t>(at + i) * batch.write_step] != 0
        s.counters[COUNTER_LOOKUPS] += n
        fix_minor(g, &s, n)
        if s.n_pending and resolve_major(g, vcpu, &temporary, &s):
            batch.interrupted = True
        for i in range(n):
            batch.codes[at + i] = s.rc[i]
        at += n
        if batch.histogram != NULL:
            ended = now_ns()
            batch.histogram[bucket_of(ended - started)] += 1
            started = ended
        turns += 1
        if batch.interrupted or (turns & 0xFFFF) == 0 and signal_raised():
            batch.interrupted = True
            while at < batch.n:
                batch.codes[at] = -EINTR
                at += 1
    flush_counters(g, &s)
    if temporary.n[0] or temporary.n[1]:
        mmu_cache_drain(&g.arena, &temporary)
