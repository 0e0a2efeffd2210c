"""Host memory behind the memory slots. Floor 2.

A host hands out regions of host virtual addresses, answers lookups the way
get_user_pages does, and tells whoever maps its memory before the backing of a range
changes (fact sheet faultin.md sections 3 and 5). `SyntheticHost` has frames but no bytes;
`BufferHost` (`_buffer.pyx`) has frames that are memory of this process. What sits above
cannot tell them apart.
"""

from libc.errno cimport EFAULT, EINVAL, ENOMEM
from libc.stdint cimport int64_t, uint8_t, uint64_t, uintptr_t
from libc.string cimport memset

import numpy as np

from gmap._address cimport as_u64, as_u64_array
from gmap._atomic cimport (
    cas, load, load8, load_ptr, or8, or_acquire, store, store8, store_ptr,
)
from gmap._defs cimport (
    FOLIO_ORDER_1M, FOLIO_ORDER_2G, FOLIO_ORDER_4K, PAGE_SHIFT, PAGE_SIZE, PFN_ERR_FAULT,
    PFN_ERR_HWPOISON, PFN_ERR_NEEDS_IO, PFN_ERR_SIGPENDING, REGION3_PAGES, REGION3_SIZE,
    SEGMENT_PAGES,
)
from gmap._memory cimport release, zalloc
from gmap._sync cimport (
    mutex_destroy, mutex_init, mutex_lock, mutex_unlock, spin_lock, spin_unlock, synchronize_srcu,
)

from gmap.dtypes import LOOKUP
from gmap.errors import AddressError, ClosedError, ConfigError, HostMemoryError

# Host addresses of synthetic regions start here; nothing is mapped there.
cdef uint64_t SYNTHETIC_BASE = <uint64_t>1 << 44
cdef uint64_t HVA_ALIGN = 2 << 20

FOLIO_ORDERS = {"4k": FOLIO_ORDER_4K, "1m": FOLIO_ORDER_1M, "2g": FOLIO_ORDER_2G}

cdef enum:
    ANSWER_OK
    ANSWER_NEEDS_IO
    ANSWER_NEEDS_IO_ALWAYS
    ANSWER_SIGNAL
    ANSWER_READ_ONLY
    ANSWER_HWPOISON
    ANSWER_NO_MAPPING

_ANSWERS = {
    "ok": ANSWER_OK,
    "needs_io": ANSWER_NEEDS_IO,
    "needs_io_always": ANSWER_NEEDS_IO_ALWAYS,
    "signal": ANSWER_SIGNAL,
    "read_only": ANSWER_READ_ONLY,
    "hwpoison": ANSWER_HWPOISON,
    "no_mapping": ANSWER_NO_MAPPING,
}


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


cdef inline uint64_t scatter_hash(uint64_t salt, uint64_t index) noexcept nogil:
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


cdef class Host:
    """Host memory: what `SyntheticHost` and `BufferHost` have in common.

    Every change of what backs a range first has each address space on this host drop its
    translations of it; when the call returns, nobody uses the old ones any more.

    Attributes
    ----------
    hamaxpow : int
        Log2 of the highest guest address the machine supports; 0 is unlimited.
    regions : dict
        What is mapped, `HostRegion` by host address.
    closed : bool

    >>> import gmap
    >>> host = gmap.BufferHost()
    >>> region = host.map(4096)
    >>> isinstance(host, Host), list(host.regions) == [region.hva]
    (True, True)
    """

    def __cinit__(self, *args, **kwargs):
        memset(&self.c, 0, sizeof(host_t))
        mutex_init(&self.c.lock, NULL)

    def __init__(self, *, hamaxpow=48):
        if type(self) is Host:
            raise TypeError("Host is abstract: use SyntheticHost or BufferHost")
        if isinstance(hamaxpow, bool) or not isinstance(hamaxpow, int) or not 0 <= hamaxpow < 256:
            raise ConfigError(f"hamaxpow {hamaxpow!r}: use 0 to 255, log2 of the host's addresses")
        self.hamaxpow = hamaxpow
        self.regions = {}

    def __dealloc__(self):
        cdef uint64_t i
        if self.c.table != NULL:
            for i in range(self.c.table.n):
                self.free_backing(self.c.table.regions[i])
                free_region(self.c.table.regions[i])
            release(self.c.table)
        release(self.c.answers)
        mutex_destroy(&self.c.lock)

    # What the kinds of host do differently.

    cdef int make_backing(self, region_t *region) except -1:
        """Give a new region its address and frames."""
        raise NotImplementedError

    cdef void free_backing(self, region_t *region) noexcept nogil:
        pass

    cdef int change_frames(self, region_t *region, uint64_t index, uint64_t npages,
                           int why) noexcept nogil:
        """Back one piece by other frames. 0 or -ENOMEM, and then nothing has changed."""
        return -EINVAL

    cdef void forget_region(self, object region):
        self.regions.pop(region.hva, None)

    @property
    def closed(self):
        """The host has been closed."""
        return bool(load(&self.c.closed))

    def _open(self):
        if load(&self.c.closed):
            raise ClosedError("this host has been closed: make a new one and map memory again")

    def map(self, nbytes, folio="4k", writable=True, *, pfnmap=False):
        """A new region of host memory.

        Parameters
        ----------
        nbytes : int
            Multiple of 4096.
        folio : {"4k", "1m", "2g"}
            The size of folio the host tries to back it with; what is left over at the end is
            backed by smaller ones.
        writable : bool
            False answers every write with -EFAULT, as a read-only VMA does.
        pfnmap : bool
            A device mapping: frames without struct pages, always mapped in 4 KiB, "special".

        Returns
        -------
        HostRegion

        Raises
        ------
        ConfigError
            A size or folio that makes no sense.
        HostMemoryError
            The machine gave no memory for it.

        >>> from gmap import SyntheticHost
        >>> host = SyntheticHost()
        >>> region = host.map(1 << 30, folio="1m")
        >>> region.nbytes
        1073741824
        """
        cdef region_t *region
        cdef uint64_t size = as_u64(nbytes, "nbytes", <uint64_t>1 << 62)
        cdef uint64_t n_chunks
        cdef int rc
        self._open()
        if not size or size & (PAGE_SIZE - 1):
            raise ConfigError(f"nbytes {size:#x} is not a positive multiple of 4096")
        if folio not in FOLIO_ORDERS:
            raise ConfigError(f"folio {folio!r}: use one of {', '.join(map(repr, FOLIO_ORDERS))}")
        n_chunks = (size + REGION3_SIZE - 1) >> 31
        region = <region_t *>zalloc(sizeof(region_t))
        if region != NULL:
            region.chunks = <chunk_t *>zalloc(n_chunks * sizeof(chunk_t))
        if region == NULL or region.chunks == NULL:
            release(region)
            raise HostMemoryError(f"no memory to describe a region of {size:#x} bytes")
        region.nbytes = size
        region.order = FOLIO_ORDERS[folio]
        region.prot = PROT_RW if writable else PROT_RO
        region.flags = REGION_PFNMAP if pfnmap else 0
        try:
            self.make_backing(region)
        except BaseException:
            free_region(region)
            raise
        with nogil:
            mutex_lock(&self.c.lock)
            rc = replace_table(&self.c, region, NULL)
            mutex_unlock(&self.c.lock)
            if rc:
                self.free_backing(region)
        if rc:
            free_region(region)
            raise HostMemoryError("no memory for the table of regions")
        return self._made(region.hva, size, folio, writable, pfnmap)

    def _made(self, hva, nbytes, folio, writable, pfnmap):
        result = HostRegion(self, hva, nbytes, folio, bool(writable), bool(pfnmap))
        self.regions[hva] = result
        return result

    def unmap(self, region):
        """Take a region away, as munmap does; its addresses then have no mapping.

        Raises `ConfigError` for a region of another host or one already gone.

        >>> from gmap import SyntheticHost
        >>> host = SyntheticHost()
        >>> region = host.map(4096)
        >>> host.unmap(region)
        >>> region.closed, len(host.regions)
        (True, 0)
        """
        cdef region_t *gone = NULL
        cdef uint64_t hva
        cdef int rc
        if not isinstance(region, HostRegion) or self.regions.get(region.hva) is not region:
            raise ConfigError(f"{region!r} is not a region of this host: pass what map() returned")
        hva = region.hva
        with nogil:
            mutex_lock(&self.c.lock)
            gone = find_region(&self.c, hva)
            invalidate_start(&self.c, gone.hva, gone.hva + gone.nbytes)
            rc = replace_table(&self.c, NULL, gone)
            if rc:
                invalidate_end(&self.c, gone.hva, gone.hva + gone.nbytes)
            else:
                self.free_backing(gone)
            mutex_unlock(&self.c.lock)
        if rc:
            raise HostMemoryError("no memory for the table of regions; the region is still there")
        free_region(gone)
        self.forget_region(region)
        (<HostRegion>region)._closed = True

    def close(self):
        """Unmap every region; address spaces on this host refuse to fault from then on.

        >>> from gmap import SyntheticHost
        >>> with SyntheticHost() as host:
        ...     region = host.map(4096)
        >>> host.closed, region.closed
        (True, True)
        """
        store(&self.c.closed, 1)
        for region in list(self.regions.values()):
            self.unmap(region)

    def __enter__(self):
        self._open()
        return self

    def __exit__(self, *exc_info):
        self.close()

    cdef int change(self, uint64_t hva, uint64_t nbytes, int what, int argument,
                    int64_t times) noexcept nogil:
        """Do one kind of change to a range under the invalidation protocol."""
        cdef region_t *region
        cdef uint64_t index, end, npages
        cdef uint64_t largest = REGION3_PAGES
        cdef answer_t *answers = NULL
        cdef int rc = 0
        if what == CHANGE_FOLIO and argument < FOLIO_ORDER_2G:
            largest = SEGMENT_PAGES
        mutex_lock(&self.c.lock)
        region = find_region(&self.c, hva)
        if region == NULL or region.hva + region.nbytes - hva < nbytes:
            mutex_unlock(&self.c.lock)
            return -EFAULT
        index = (hva - region.hva) >> PAGE_SHIFT
        end = index + (nbytes >> PAGE_SHIFT)
        if what == CHANGE_FOLIO:
            # A folio is broken up or made whole, never half.
            if argument == FOLIO_ORDER_4K:
                index &= ~<uint64_t>(SEGMENT_PAGES - 1)
                end = (end + SEGMENT_PAGES - 1) & ~<uint64_t>(SEGMENT_PAGES - 1)
                hva = region.hva + (index << PAGE_SHIFT)
                nbytes = (end - index) << PAGE_SHIFT
            elif (index | end) & ((<uint64_t>1 << argument) - 1):
                mutex_unlock(&self.c.lock)
                return -EINVAL
        if what == CHANGE_ANSWER:
            answers = <answer_t *>zalloc((self.c.n_answers + 1) * sizeof(answer_t))
            rc = 0 if answers != NULL else -ENOMEM
        else:
            rc = prepare_overrides(region, index, end, largest)
        if rc == 0:
            invalidate_start(&self.c, hva, hva + nbytes)
            if what == CHANGE_ANSWER:
                add_answer(&self.c, answers, hva, hva + nbytes, argument, times)
                index = end
            while index < end and rc == 0:
                npages = piece(index, end, largest)
                if what == CHANGE_PROT:
                    override_prot(region, index, npages, <uint8_t>argument)
                elif what == CHANGE_FOLIO:
                    rc = self.change_folio(region, index, npages, argument)
                else:
                    rc = self.change_frames(region, index, npages, what)
                index += npages
            invalidate_end(&self.c, hva, hva + nbytes)
        mutex_unlock(&self.c.lock)
        return rc

    cdef int change_folio(self, region_t *region, uint64_t index, uint64_t npages,
                          int order) noexcept nogil:
        cdef chunk_t *chunk = &region.chunks[index >> FOLIO_ORDER_2G]
        cdef uint8_t *flags
        cdef int rc
        if order == FOLIO_ORDER_4K:
            store8(&chunk.flags, BACKING_BROKEN)
            store8(&block_of(region, index).flags, BACKING_BROKEN)
            return 0
        if not contiguous(region, index, npages):
            rc = self.change_frames(region, index, npages, CHANGE_MOVE)
            if rc:
                return rc
        if order == FOLIO_ORDER_2G:
            flags = &chunk.flags
            rc = mixed_chunk(chunk)
        else:
            store8(&chunk.flags, BACKING_BROKEN)
            flags = &block_of(region, index).flags
            rc = mixed_block(block_of(region, index))
        store8(flags, BACKING_BROKEN if rc else BACKING_HUGE)
        return 0

    def _change(self, hva, nbytes, int what, int argument, int64_t times=0):
        cdef uint64_t start = as_u64(hva, "hva", 0xFFFFFFFFFFFFFFFF)
        cdef uint64_t size = as_u64(nbytes, "nbytes", <uint64_t>1 << 62)
        cdef int rc
        self._open()
        if (start | size) & (PAGE_SIZE - 1) or not size:
            raise AddressError(
                f"host range {start:#x} + {size:#x} bytes: both must be multiples of 4096, "
                "the size positive")
        with nogil:
            rc = self.change(start, size, what, argument, times)
        if rc == -EFAULT:
            raise AddressError(
                f"host range {start:#x} + {size:#x} bytes is not inside one mapped region")
        if rc == -EINVAL:
            raise AddressError(
                f"host range {start:#x} + {size:#x} bytes is not made of whole folios of the "
                "size asked for")
        if rc:
            raise HostMemoryError(
                f"no memory to finish changing host range {start:#x} + {size:#x} bytes; each page "
                "of it is either changed or as it was")

    def discard(self, hva, nbytes):
        """Drop the contents of a range, as MADV_DONTNEED does: it comes back zero, in new frames.

        Raises `AddressError` unless the range is page aligned and inside one region.

        >>> from gmap import SyntheticHost
        >>> host = SyntheticHost()
        >>> region = host.map(1 << 20)
        >>> before = host.lookup(region.hva)["pfn"]
        >>> host.discard(region.hva, 4096)
        >>> bool(host.lookup(region.hva)["pfn"] == before)
        False
        """
        self._change(hva, nbytes, CHANGE_DISCARD, 0)

    def protect(self, hva, nbytes, writable):
        """Allow or forbid writing a range, as mprotect does.

        A forbidden write faults with -EFAULT; reads are mapped unwritable. The modelled host's
        permission only: `HostRegion.array` stays writable to this process.

        >>> from gmap import SyntheticHost
        >>> host = SyntheticHost()
        >>> region = host.map(8192)
        >>> host.protect(region.hva, 4096, False)
        >>> [bool(w) for w in host.lookup([region.hva, region.hva + 4096])["writable"]]
        [False, True]
        """
        self._change(hva, nbytes, CHANGE_PROT, PROT_RW if writable else PROT_RO)

    def move(self, hva, nbytes):
        """Put the contents of a range into other frames, as page migration does.

        Host addresses and contents stay. On a `BufferHost`, what this process itself writes to
        the range while the call runs may be lost.

        >>> from gmap import SyntheticHost
        >>> host = SyntheticHost()
        >>> region = host.map(1 << 20)
        >>> before = host.lookup(region.hva)["pfn"]
        >>> host.move(region.hva, 1 << 20)
        >>> bool(host.lookup(region.hva)["pfn"] == before)
        False
        """
        self._change(hva, nbytes, CHANGE_MOVE, 0)

    def reback(self, hva, nbytes, folio):
        """Back a range by folios of another size, contents kept.

        "1m" and "2g" collapse: the range must be made of whole folios of that size, and moves
        to other frames where they were scattered. "4k" breaks up every folio it touches. A
        folio whose pages differ in permission stays broken up.

        >>> from gmap import SyntheticHost
        >>> host = SyntheticHost()
        >>> region = host.map(2 << 20)
        >>> host.reback(region.hva, 1 << 20, "1m")
        >>> [int(order) for order in host.lookup([region.hva, region.hva + (1 << 20)])["order"]]
        [8, 0]
        """
        if folio not in FOLIO_ORDERS:
            raise ConfigError(f"folio {folio!r}: use one of {', '.join(map(repr, FOLIO_ORDERS))}")
        self._change(hva, nbytes, CHANGE_FOLIO, FOLIO_ORDERS[folio])

    def answer(self, hva, nbytes, outcome, times=None):
        """Make lookups in a range end the way a real host's can (faultin.md section 5).

        Parameters
        ----------
        hva, nbytes : int
            Page-aligned range inside one region. Translations of it are dropped.
        outcome : str
            "needs_io" refuses lookups that may not wait, "needs_io_always" refuses all;
            "signal"; "read_only"; "hwpoison"; "no_mapping"; "ok" takes earlier answers back.
        times : int, optional
            Answer so many lookups this way, then normally. Without it: until "ok".

        >>> from gmap import SyntheticHost
        >>> host = SyntheticHost()
        >>> region = host.map(4096)
        >>> host.answer(region.hva, 4096, "hwpoison", times=1)
        >>> [f'{host.lookup(region.hva)["pfn"]:#x}' for _ in range(2)]
        ['0x7ff0000000000001', '0x80000']
        """
        cdef int64_t limit = -1
        if outcome not in _ANSWERS:
            raise ConfigError(f"outcome {outcome!r}: use one of {', '.join(map(repr, _ANSWERS))}")
        if times is not None:
            limit = <int64_t>as_u64(times, "times", <uint64_t>1 << 62)
        self._change(hva, nbytes, CHANGE_ANSWER, _ANSWERS[outcome], limit)

    def lookup(self, hva, write=False):
        """What the fault-in path would be told about a host address, without side effects on maps.

        Counts against `answer(..., times=)`, and on a `BufferHost` gives the page memory, as
        a real lookup does.

        Returns
        -------
        numpy.ndarray or record
            `gmap.dtypes.LOOKUP`: `pfn` (or an error frame number), `order`, `writable`, `page`.

        >>> from gmap import SyntheticHost
        >>> host = SyntheticHost()
        >>> f'{host.lookup(0x1000)["pfn"]:#x}'
        '0x7ff0000000000000'
        """
        cdef uint64_t[::1] addresses
        cdef host_page_t page
        cdef region_t *hint = NULL
        cdef int foll = FOLL_WRITE if write else 0
        cdef uint64_t i
        array = as_u64_array(hva, "hva", 0xFFFFFFFFFFFFFFFF)
        result = np.zeros(array.size, dtype=LOOKUP)
        addresses = np.ascontiguousarray(array).reshape(-1)
        cdef uint64_t[:] pfn = result["pfn"]
        cdef uint8_t[:] order = result["order"]
        cdef uint8_t[:] writable = result["writable"].view(np.uint8)
        cdef uint8_t[:] has_page = result["page"].view(np.uint8)
        with nogil:
            mutex_lock(&self.c.lock)
            for i in range(<uint64_t>addresses.shape[0]):
                host_lookup(&self.c, &hint, addresses[i], foll, &page)
                pfn[i] = page.pfn
                order[i] = <uint8_t>page.order
                writable[i] = page.writable
                has_page[i] = page.page
            mutex_unlock(&self.c.lock)
        result = result.reshape(array.shape)
        return result[()] if array.ndim == 0 else result


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


cdef class HostRegion:
    """A mapping of host memory, made by `Host.map`.

    Attributes
    ----------
    host : Host
    hva : int
        Host virtual address of its first byte: the `userspace_addr` of a memory slot.
    nbytes : int
    folio : str
    writable : bool
        As mapped; `Host.protect` does not change it.
    pfnmap : bool
    closed : bool
        It has been unmapped.

    >>> import gmap
    >>> region = gmap.BufferHost().map(8192)
    >>> region.array.size, region.folio, region.closed
    (8192, '4k', False)
    """

    def __init__(self, host, hva, nbytes, folio, writable, pfnmap, mapping=None):
        self.host = host
        self.hva = hva
        self.nbytes = nbytes
        self.folio = folio
        self.writable = writable
        self.pfnmap = pfnmap
        self.mapping = mapping
        self._closed = False

    @property
    def closed(self):
        return self._closed

    @property
    def array(self):
        """The bytes, as a writable uint8 array (`BufferHost` only); stays valid after `close`."""
        if self.mapping is None:
            raise ConfigError("a synthetic region has frames but no bytes: use BufferHost")
        return np.frombuffer(self.mapping, dtype=np.uint8)

    def close(self):
        """Unmap the region; a second time does nothing.

        >>> import gmap
        >>> region = gmap.SyntheticHost().map(4096)
        >>> region.close()
        >>> region.closed
        True
        """
        if not self._closed:
            self.host.unmap(self)

    def __repr__(self):
        state = ", closed" if self._closed else ""
        return (f"<{type(self).__name__} hva={self.hva:#x} nbytes={self.nbytes:#x} "
                f"folio={self.folio!r}{state}>")


cdef uint64_t take_frames(host_t *host, uint64_t npages, uint64_t alignment) noexcept nogil:
    """Synthetic frames never used before; 0 when the 52 bits of frame numbers are used up."""
    cdef uint64_t old, first
    while True:
        old = load(&host.next_frame)
        first = (old + alignment - 1) & ~(alignment - 1)
        if first + npages > <uint64_t>1 << 52:
            return 0
        if cas(&host.next_frame, old, first + npages):
            return first


cdef class SyntheticHost(Host):
    """Frames of a modelled host, no bytes behind them: terabytes cost nothing.

    Parameters
    ----------
    seed : int
        Decides what is fragmented and how; the same seed and calls give the same frames.
    fragmentation : float
        0 to 1, the share of 2 GiB and of 1 MiB blocks the host could not back by one folio.
        The blocks of a fragmented 2 GiB, and the pages of a fragmented 1 MiB, are scattered.
    hamaxpow : int
        Log2 of the highest guest address the machine supports, as SCLP reports it; 0 is
        unlimited (ipa.md section 2).

    Frames that come back after `discard` or `move` are new ones, so that an old translation
    can be told from a fresh one.

    >>> host = SyntheticHost(seed=1, fragmentation=0.5)
    >>> region = host.map(8 << 20, folio="1m")
    >>> [int(host.lookup(region.hva + (i << 20))["order"]) for i in range(8)]
    [8, 0, 0, 8, 8, 0, 0, 8]
    """

    def __init__(self, seed=0, fragmentation=0.0, *, hamaxpow=48):
        super().__init__(hamaxpow=hamaxpow)
        self._seed = as_u64(seed, "seed", 0xFFFFFFFFFFFFFFFF)
        if isinstance(fragmentation, bool) or not isinstance(fragmentation, (int, float)) or (
                not 0 <= fragmentation <= 1):
            raise ConfigError(f"fragmentation {fragmentation!r}: use a number from 0 to 1")
        self._broken_below = min(int(fragmentation * 2.0**64), 2**64 - 1)
        self._next_hva = SYNTHETIC_BASE
        self._n_regions = 0
        self.c.next_frame = REGION3_PAGES

    cdef int make_backing(self, region_t *region) except -1:
        cdef uint64_t alignment = region_alignment(region.nbytes)
        cdef uint64_t npages = (region.nbytes + REGION3_SIZE - 1) >> PAGE_SHIFT
        region.hva = (self._next_hva + alignment - 1) & ~(alignment - 1)
        region.frame = take_frames(&self.c, npages & ~<uint64_t>(REGION3_PAGES - 1), REGION3_PAGES)
        if not region.frame or region.hva + region.nbytes > <uint64_t>1 << 63:
            raise HostMemoryError(
                f"a region of {region.nbytes:#x} bytes does not fit what the host has left")
        self._next_hva = region.hva + region.nbytes + HVA_ALIGN     # a gap, so none adjoin
        region.salt = scatter_hash(self._seed, self._n_regions)
        region.broken_below = self._broken_below
        self._n_regions += 1
        return 0

    cdef int change_frames(self, region_t *region, uint64_t index, uint64_t npages,
                           int why) noexcept nogil:
        cdef uint64_t frame = take_frames(&self.c, npages, npages)
        if not frame:
            return -ENOMEM
        override_frame(region, index, npages, frame)
        return 0
