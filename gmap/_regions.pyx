"""Regions of host memory: lookups, what changed since they were mapped, notifiers. Floor 2.

The host's VMAs and page tables in one, as the gmap sees them (fact sheet faultin.md
sections 3 and 5). A region says what it was mapped as; chunks of 2 GiB, blocks of 1 MiB
and pages below them only what differs from that.
"""

from libc.errno cimport ENOMEM
from libc.stdint cimport int64_t, uint64_t, uint8_t, uintptr_t

from gmap._atomic cimport load, load8, load_ptr, or8, or_acquire, store, store8, store_ptr
from gmap._defs cimport (
    FOLIO_ORDER_1M, FOLIO_ORDER_2G, FOLIO_ORDER_4K, PAGE_SHIFT, PFN_ERR_FAULT, PFN_ERR_HWPOISON,
    PFN_ERR_NEEDS_IO, PFN_ERR_SIGPENDING, REGION3_PAGES, REGION3_SIZE, SEGMENT_PAGES,
)
from gmap._memory cimport release, zalloc
from gmap._sync cimport mutex_lock, mutex_unlock, spin_lock, spin_unlock, synchronize_srcu


# --- lookup ---------------------------------------------------------------------------------

cdef region_t *find_region(host_t *host, uint64_t hva) noexcept nogil:
    """The region that holds `hva`, or NULL."""
    cdef region_table_t *table = <region_table_t *>load_ptr(<void **>&host.table)
    cdef uint64_t low = 0, high, middle
    cdef region_t *region
    if table == NULL:
        return NULL
    high = table.n
    while low < high:
        middle = (low + high) >> 1
        region = table.regions[middle]
        if hva < region.hva:
            high = middle
        elif hva - region.hva >= region.nbytes:
            low = middle + 1
        else:
            return region
    return NULL


cdef uint64_t scatter_hash(uint64_t salt, uint64_t index) noexcept nogil:
    """splitmix64 of an index: decides what is fragmented, and how it is scattered."""
    cdef uint64_t z = salt + (index + 1) * <uint64_t>0x9E3779B97F4A7C15
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)


cdef inline uint64_t scatter(uint64_t hashed, uint64_t index, uint64_t size) noexcept nogil:
    """A permutation of [0, size), size a power of two, chosen by a hash."""
    return (index * (hashed | 1) + (hashed >> 32)) & (size - 1)


cdef void touched_page(region_t *region, uint64_t index, host_page_t *page) noexcept nogil:
    """`region_page` for a page that may differ from its neighbours."""
    cdef chunk_t *chunk = &region.chunks[index >> FOLIO_ORDER_2G]
    cdef block_t *block = <block_t *>load_ptr(<void **>&chunk.blocks)
    cdef pages_t *pages = NULL
    cdef uint64_t page_index = index & (SEGMENT_PAGES - 1)
    cdef uint64_t block_index = (index >> FOLIO_ORDER_1M) & (BLOCKS_PER_CHUNK - 1)
    cdef uint64_t frame = load(&chunk.frame)
    cdef uint64_t hashed
    cdef uint8_t prot = load8(&chunk.prot)
    cdef uint8_t block_flags = 0
    cdef bint chunk_scattered = False, block_scattered = False
    if frame:
        page.pfn = frame + (index & (REGION3_PAGES - 1))
    else:
        hashed = scatter_hash(region.salt, index >> FOLIO_ORDER_2G)
        chunk_scattered = hashed < region.broken_below
        if chunk_scattered:
            block_index = scatter(hashed, block_index, BLOCKS_PER_CHUNK)
        hashed = scatter_hash(~region.salt, index >> FOLIO_ORDER_1M)
        block_scattered = hashed < region.broken_below and (
            chunk_scattered or region.order < FOLIO_ORDER_2G)
        if block_scattered:
            page_index = scatter(hashed, page_index, SEGMENT_PAGES)
        page.pfn = (region.frame + (index & ~<uint64_t>(REGION3_PAGES - 1))
                    + block_index * SEGMENT_PAGES + page_index)
    if block != NULL:
        block += (index >> FOLIO_ORDER_1M) & (BLOCKS_PER_CHUNK - 1)
        block_flags = load8(&block.flags)
        frame = load(&block.frame)
        if frame:
            page.pfn = frame + (index & (SEGMENT_PAGES - 1))
            block_scattered = False
        prot = load8(&block.prot) or prot
        pages = <pages_t *>load_ptr(<void **>&block.pages)
        if pages != NULL:
            frame = load(&pages.frame[index & (SEGMENT_PAGES - 1)])
            if frame:
                page.pfn = frame
            prot = load8(&pages.prot[index & (SEGMENT_PAGES - 1)]) or prot
    page.writable = (prot or region.prot) == PROT_RW
    page.page = not region.flags & REGION_PFNMAP
    page.order = FOLIO_ORDER_4K
    if page.page:
        if folio_possible(region, index, FOLIO_ORDER_2G, load8(&chunk.flags), chunk_scattered):
            page.order = FOLIO_ORDER_2G
        elif folio_possible(region, index, FOLIO_ORDER_1M, block_flags, block_scattered):
            page.order = FOLIO_ORDER_1M


cdef int host_answer(host_t *host, uint64_t hva, int foll, uint64_t *pfn) noexcept nogil:
    """What the test told the host to answer here. Sets an error frame; 1 means read-only."""
    cdef uint64_t i
    cdef answer_t *answer
    cdef int outcome = ANSWER_OK
    spin_lock(&host.answers_lock)
    for i in range(host.n_answers):
        answer = &host.answers[i]
        if not answer.start <= hva < answer.end or answer.times == 0:
            continue
        outcome = answer.outcome
        if answer.times > 0:
            answer.times -= 1
        break
    spin_unlock(&host.answers_lock)
    if outcome == ANSWER_NEEDS_IO_ALWAYS or (outcome == ANSWER_NEEDS_IO and foll & FOLL_NOWAIT):
        pfn[0] = PFN_ERR_NEEDS_IO
    elif outcome == ANSWER_SIGNAL:
        pfn[0] = PFN_ERR_SIGPENDING
    elif outcome == ANSWER_HWPOISON:
        pfn[0] = PFN_ERR_HWPOISON
    elif outcome == ANSWER_NO_MAPPING:
        pfn[0] = PFN_ERR_FAULT
    return outcome == ANSWER_READ_ONLY


cdef void add_answer(host_t *host, answer_t *grown, uint64_t start, uint64_t end, int outcome,
                     int64_t times) noexcept nogil:
    """Put an answer before those there are, dropping the ones it covers; the host is locked."""
    cdef answer_t *old = host.answers
    cdef uint64_t i, n = 1
    grown[0].start = start
    grown[0].end = end
    grown[0].outcome = outcome
    grown[0].times = times
    for i in range(host.n_answers):
        if not (start <= old[i].start and old[i].end <= end):
            grown[n] = old[i]
            n += 1
    if n == 1 and outcome == ANSWER_OK:
        n = 0
    spin_lock(&host.answers_lock)
    host.answers = grown
    store(&host.n_answers, n)
    spin_unlock(&host.answers_lock)
    release(old)


cdef void populate(region_t *region, uint64_t index, int order) noexcept nogil:
    """Have the machine back a page or its whole folio with memory, contents kept."""
    cdef uint64_t page = index & ~((<uint64_t>1 << order) - 1)
    cdef uint64_t end = page + (<uint64_t>1 << order)
    cdef uint64_t bit
    while page < end:
        bit = <uint64_t>1 << (page & 63)
        if not load(&region.populated[page >> 6]) & bit:
            or8(<uint8_t *><uintptr_t>(region.hva + (page << PAGE_SHIFT)), 0)
            or_acquire(&region.populated[page >> 6], bit)
        page += 1


# --- overrides ------------------------------------------------------------------------------

cdef block_t *block_of(region_t *region, uint64_t index) noexcept nogil:
    return &region.chunks[index >> FOLIO_ORDER_2G].blocks[
        (index >> FOLIO_ORDER_1M) & (BLOCKS_PER_CHUNK - 1)]


cdef uint64_t piece(uint64_t index, uint64_t end, uint64_t largest) noexcept nogil:
    """Pages of the largest naturally aligned piece at `index` that ends by `end`."""
    cdef uint64_t npages = REGION3_PAGES
    while npages > 1 and (npages > largest or index & (npages - 1) or end - index < npages):
        npages = SEGMENT_PAGES if npages == REGION3_PAGES else 1
    return npages


cdef int prepare_overrides(region_t *region, uint64_t index, uint64_t end,
                           uint64_t largest) noexcept nogil:
    """Allocate what overriding [index, end) needs, so that doing it cannot fail."""
    cdef uint64_t npages
    cdef chunk_t *chunk
    cdef block_t *block
    cdef void *memory
    while index < end:
        npages = piece(index, end, largest)
        chunk = &region.chunks[index >> FOLIO_ORDER_2G]
        store(&chunk.touched, 1)
        if npages < REGION3_PAGES and chunk.blocks == NULL:
            memory = zalloc(BLOCKS_PER_CHUNK * sizeof(block_t))
            if memory == NULL:
                return -ENOMEM
            store_ptr(<void **>&chunk.blocks, memory)
        if npages == 1:
            block = block_of(region, index)
            if block.pages == NULL:
                memory = zalloc(sizeof(pages_t))
                if memory == NULL:
                    return -ENOMEM
                store_ptr(<void **>&block.pages, memory)
        index += npages
    return 0


cdef bint clear_block_frames(block_t *block) noexcept nogil:
    """Forget the frames of a block. True if its pages differ in permission, so it stays broken."""
    cdef uint64_t i
    cdef bint mixed = False
    store(&block.frame, 0)
    if block.pages != NULL:
        for i in range(SEGMENT_PAGES):
            store(&block.pages.frame[i], 0)
            mixed |= block.pages.prot[i] != PROT_INHERIT
    store8(&block.flags, BACKING_BROKEN if mixed else 0)
    return mixed


cdef void override_frame(region_t *region, uint64_t index, uint64_t npages,
                         uint64_t frame) noexcept nogil:
    """Back one piece, as `piece` cut it, by the frames from `frame` on."""
    cdef chunk_t *chunk = &region.chunks[index >> FOLIO_ORDER_2G]
    cdef block_t *block
    cdef uint64_t i
    cdef bint mixed = False
    if npages == REGION3_PAGES:
        if chunk.blocks != NULL:
            for i in range(BLOCKS_PER_CHUNK):
                mixed |= clear_block_frames(&chunk.blocks[i])
                mixed |= chunk.blocks[i].prot != PROT_INHERIT
        store(&chunk.frame, frame)
        store8(&chunk.flags, BACKING_BROKEN if mixed else 0)
        return
    store8(&chunk.flags, BACKING_BROKEN)
    block = block_of(region, index)
    if npages == SEGMENT_PAGES:
        clear_block_frames(block)
        store(&block.frame, frame)
        return
    store8(&block.flags, BACKING_BROKEN)
    store(&block.pages.frame[index & (SEGMENT_PAGES - 1)], frame)


cdef void inherit_prot(block_t *block) noexcept nogil:
    cdef uint64_t i
    if block.pages != NULL:
        for i in range(SEGMENT_PAGES):
            store8(&block.pages.prot[i], PROT_INHERIT)


cdef void override_prot(region_t *region, uint64_t index, uint64_t npages,
                        uint8_t prot) noexcept nogil:
    """Give one piece a permission of its own."""
    cdef chunk_t *chunk = &region.chunks[index >> FOLIO_ORDER_2G]
    cdef block_t *block
    cdef uint64_t i
    if npages == REGION3_PAGES:
        if chunk.blocks != NULL:
            for i in range(BLOCKS_PER_CHUNK):
                store8(&chunk.blocks[i].prot, PROT_INHERIT)
                inherit_prot(&chunk.blocks[i])
        store8(&chunk.prot, prot)
        return
    store8(&chunk.flags, BACKING_BROKEN)
    block = block_of(region, index)
    if npages == SEGMENT_PAGES:
        inherit_prot(block)
        store8(&block.prot, prot)
        return
    store8(&block.flags, BACKING_BROKEN)
    store8(&block.pages.prot[index & (SEGMENT_PAGES - 1)], prot)


cdef bint contiguous(region_t *region, uint64_t index, uint64_t npages) noexcept nogil:
    """The pages are backed by one run of frames, aligned as a folio of that size is."""
    cdef host_page_t page
    cdef uint64_t i, first
    cdef chunk_t *chunk = &region.chunks[index >> FOLIO_ORDER_2G]
    region_page(region, index, &page)
    first = page.pfn
    if first & (npages - 1):
        return False
    if chunk.blocks == NULL and (chunk.frame or not region.broken_below):
        return True
    for i in range(1, npages):
        region_page(region, index + i, &page)
        if page.pfn != first + i:
            return False
    return True


cdef bint mixed_block(block_t *block) noexcept nogil:
    """Pages of the block differ in permission."""
    cdef uint64_t i
    if block.pages != NULL:
        for i in range(SEGMENT_PAGES):
            if block.pages.prot[i] != PROT_INHERIT:
                return True
    return False


cdef bint mixed_chunk(chunk_t *chunk) noexcept nogil:
    cdef uint64_t i
    if chunk.blocks != NULL:
        for i in range(BLOCKS_PER_CHUNK):
            if chunk.blocks[i].prot != PROT_INHERIT or mixed_block(&chunk.blocks[i]):
                return True
    return False


# --- notifiers ------------------------------------------------------------------------------

cdef void notifier_register(host_t *host, mmu_notifier_t *notifier) noexcept nogil:
    mutex_lock(&host.lock)
    notifier.next = host.notifiers
    host.notifiers = notifier
    mutex_unlock(&host.lock)


cdef void notifier_unregister(host_t *host, mmu_notifier_t *notifier) noexcept nogil:
    cdef mmu_notifier_t **link
    mutex_lock(&host.lock)
    link = &host.notifiers
    while link[0] != NULL and link[0] != notifier:
        link = &link[0].next
    if link[0] != NULL:
        link[0] = notifier.next
    mutex_unlock(&host.lock)


cdef void invalidate_start(host_t *host, uint64_t start, uint64_t end) noexcept nogil:
    """Nobody maps [start, end) any more when this returns; called with the host locked."""
    cdef mmu_notifier_t *notifier = host.notifiers
    while notifier != NULL:
        notifier.invalidate_start(notifier.priv, start, end)
        notifier = notifier.next


cdef void invalidate_end(host_t *host, uint64_t start, uint64_t end) noexcept nogil:
    cdef mmu_notifier_t *notifier = host.notifiers
    while notifier != NULL:
        notifier.invalidate_end(notifier.priv, start, end)
        notifier = notifier.next


cdef void wait_for_lookups(host_t *host) noexcept nogil:
    """No lookup that began before still runs when this returns; called with the host locked."""
    cdef mmu_notifier_t *notifier = host.notifiers
    while notifier != NULL:
        synchronize_srcu(notifier.srcu)
        notifier = notifier.next


# --- regions --------------------------------------------------------------------------------

cdef void free_region(region_t *region) noexcept nogil:
    cdef uint64_t i, j
    cdef chunk_t *chunk
    if region.chunks != NULL:
        for i in range((region.nbytes + REGION3_SIZE - 1) >> 31):
            chunk = &region.chunks[i]
            if chunk.blocks != NULL:
                for j in range(BLOCKS_PER_CHUNK):
                    release(chunk.blocks[j].pages)
                release(chunk.blocks)
    release(region.chunks)
    release(region.populated)
    release(region)


cdef int replace_table(host_t *host, region_t *added, region_t *removed) noexcept nogil:
    """Publish the table of regions with one more or one less; the host is locked."""
    cdef region_table_t *old = host.table
    cdef uint64_t n_old = old.n if old != NULL else 0
    cdef uint64_t i, n = 0
    cdef region_table_t *table = <region_table_t *>zalloc(
        sizeof(region_table_t) + (n_old + 1) * sizeof(region_t *))
    if table == NULL:
        return -ENOMEM
    table.regions = <region_t **>(table + 1)
    for i in range(n_old):
        if added != NULL and added.hva < old.regions[i].hva:
            table.regions[n] = added
            n += 1
            added = NULL
        if old.regions[i] != removed:
            table.regions[n] = old.regions[i]
            n += 1
    if added != NULL:
        table.regions[n] = added
        n += 1
    table.n = n
    store_ptr(<void **>&host.table, table)
    if removed != NULL:
        invalidate_end(host, removed.hva, removed.hva + removed.nbytes)
    wait_for_lookups(host)
    release(old)
    return 0


cdef uint64_t region_alignment(uint64_t nbytes) noexcept nogil:
    """Regions that can hold a 2 GiB folio are aligned for one."""
    return REGION3_SIZE if nbytes >= REGION3_SIZE else HVA_ALIGN
