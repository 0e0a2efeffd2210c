# Regions of host virtual addresses, the frames that back them, and the notifiers that hear
# when that changes. Floor 2.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from gmap._atomic cimport likely, load, unlikely
from gmap._defs cimport (
    FOLIO_ORDER_1M, FOLIO_ORDER_2G, FOLIO_ORDER_4K, PAGE_SHIFT, PFN_ERR_FAULT, PFN_ERR_RO_FAULT,
)
from gmap._sync cimport mutex_t, srcu_t


cdef enum:
    FOLL_WRITE = 1
    FOLL_NOWAIT = 2

    # What Host.change does to a range.
    CHANGE_DISCARD = 0
    CHANGE_MOVE = 1
    CHANGE_PROT = 2
    CHANGE_FOLIO = 3
    CHANGE_ANSWER = 4

    # Permission of a page, block or chunk; INHERIT means what the level above says.
    PROT_INHERIT = 0
    PROT_RO = 1
    PROT_RW = 2

    # Folios. BROKEN: pages differ, no folio of this size. HUGE: one, whatever the region asked.
    BACKING_BROKEN = 1
    BACKING_HUGE = 2

    HVA_ALIGN = 2 << 20     # of a region, and the least gap between synthetic ones

    REGION_PFNMAP = 1       # no struct pages behind it
    REGION_BUFFER = 2       # the frames are memory of this process

    BLOCKS_PER_CHUNK = 2048

    # What Host.answer has lookups say.
    ANSWER_OK
    ANSWER_NEEDS_IO
    ANSWER_NEEDS_IO_ALWAYS
    ANSWER_SIGNAL
    ANSWER_READ_ONLY
    ANSWER_HWPOISON
    ANSWER_NO_MAPPING


# 1 MiB that differs page by page. A frame of 0 means "what the block says".
ctypedef struct pages_t:
    uint64_t frame[256]
    uint8_t prot[256]


# 1 MiB. A frame of 0 means "what the chunk says".
ctypedef struct block_t:
    uint64_t frame
    pages_t *pages
    uint8_t prot
    uint8_t flags


# 2 GiB. A frame of 0 means "what the region was given when it was mapped".
ctypedef struct chunk_t:
    uint64_t touched        # anything in it differs from what was mapped
    uint64_t frame
    block_t *blocks
    uint8_t prot
    uint8_t flags


# A mapping of the host: the kernel's VMA and page tables in one. Overrides are made while
# the range is being invalidated, so a lookup that sees half of one is retried.
ctypedef struct region_t:
    uint64_t hva
    uint64_t nbytes
    uint64_t frame          # of its first page, before anything moved
    uint64_t salt           # of its scatter
    uint64_t broken_below   # a block or chunk whose hash is below this is fragmented
    int order               # of the folios asked for
    int flags
    uint8_t prot
    chunk_t *chunks
    uint64_t *populated     # buffer: one bit a page; the machine has given it memory


ctypedef struct region_table_t:
    uint64_t n
    region_t **regions      # ascending by hva


ctypedef struct answer_t:
    uint64_t start          # hva
    uint64_t end
    int outcome
    int64_t times           # how often it still answers; negative: until taken back


# Somebody who maps this host's memory (KVM's mmu notifier).
ctypedef struct mmu_notifier_t:
    mmu_notifier_t *next
    void *priv
    void (*invalidate_start)(void *priv, uint64_t start, uint64_t end) noexcept nogil
    void (*invalidate_end)(void *priv, uint64_t start, uint64_t end) noexcept nogil
    srcu_t *srcu            # the sections its lookups run in


ctypedef struct host_t:
    mutex_t lock            # regions, notifiers, and every change of backing
    region_table_t *table
    mmu_notifier_t *notifiers
    uint64_t next_frame     # synthetic frames given out so far
    uint32_t answers_lock
    uint64_t n_answers
    answer_t *answers
    uint64_t closed


ctypedef struct host_page_t:
    uint64_t pfn            # or an error frame number
    int order
    bint writable
    bint page               # a struct page exists


cdef region_t *find_region(host_t *host, uint64_t hva) noexcept nogil
cdef void touched_page(region_t *region, uint64_t index, host_page_t *page) noexcept nogil
cdef int host_answer(host_t *host, uint64_t hva, int foll, uint64_t *pfn) noexcept nogil
cdef void populate(region_t *region, uint64_t index, int order) noexcept nogil
cdef void notifier_register(host_t *host, mmu_notifier_t *notifier) noexcept nogil
cdef void notifier_unregister(host_t *host, mmu_notifier_t *notifier) noexcept nogil


cdef void override_frame(region_t *region, uint64_t index, uint64_t npages,
                         uint64_t frame) noexcept nogil
cdef void add_answer(host_t *host, answer_t *grown, uint64_t start, uint64_t end, int outcome,
                     int64_t times) noexcept nogil
cdef block_t *block_of(region_t *region, uint64_t index) noexcept nogil
cdef void free_region(region_t *region) noexcept nogil
cdef void invalidate_end(host_t *host, uint64_t start, uint64_t end) noexcept nogil
cdef void invalidate_start(host_t *host, uint64_t start, uint64_t end) noexcept nogil
cdef bint mixed_block(block_t *block) noexcept nogil
cdef bint mixed_chunk(chunk_t *chunk) noexcept nogil
cdef void override_prot(region_t *region, uint64_t index, uint64_t npages,
                        uint8_t prot) noexcept nogil
cdef uint64_t piece(uint64_t index, uint64_t end, uint64_t largest) noexcept nogil
cdef int prepare_overrides(region_t *region, uint64_t index, uint64_t end,
                           uint64_t largest) noexcept nogil
cdef int replace_table(host_t *host, region_t *added, region_t *removed) noexcept nogil
cdef uint64_t scatter_hash(uint64_t salt, uint64_t index) noexcept nogil
cdef bint contiguous(region_t *region, uint64_t index, uint64_t npages) noexcept nogil
cdef uint64_t region_alignment(uint64_t nbytes) noexcept nogil


cdef inline bint whole(region_t *region, uint64_t index, uint64_t npages) noexcept nogil:
    """The naturally aligned `npages` around page `index` are all inside the region."""
    return (index | (npages - 1)) < region.nbytes >> PAGE_SHIFT


cdef inline bint folio_possible(
    region_t *region, uint64_t index, int order, uint8_t flags, bint fragmented
) noexcept nogil:
    if flags & BACKING_BROKEN or not whole(region, index, <uint64_t>1 << order):
        return False
    return flags & BACKING_HUGE or (region.order >= order and not fragmented)


cdef inline void region_page(region_t *region, uint64_t index, host_page_t *page) noexcept nogil:
    """The frame, folio order and permission of one page of a region."""
    cdef chunk_t *chunk = &region.chunks[index >> FOLIO_ORDER_2G]
    if likely(not load(&chunk.touched) and not region.broken_below):
        page.pfn = region.frame + index
        page.writable = region.prot == PROT_RW
        page.page = not region.flags & REGION_PFNMAP
        page.order = FOLIO_ORDER_4K
        if region.order and page.page:
            if folio_possible(region, index, FOLIO_ORDER_2G, 0, False):
                page.order = FOLIO_ORDER_2G
            elif folio_possible(region, index, FOLIO_ORDER_1M, 0, False):
                page.order = FOLIO_ORDER_1M
    else:
        touched_page(region, index, page)


cdef inline void no_page(host_page_t *page, uint64_t error) noexcept nogil:
    page.pfn = error
    page.writable = False
    page.page = False
    page.order = FOLIO_ORDER_4K


cdef inline void host_lookup(
    host_t *host, region_t **hint, uint64_t hva, int foll, host_page_t *page
) noexcept nogil:
    """What get_user_pages answers for one host address (faultin.md section 5).

    `hint` is a region found before in the same srcu section, or NULL.
    """
    cdef region_t *region = hint[0]
    cdef uint64_t error = 0
    cdef uint64_t index
    cdef bint read_only = False
    if region == NULL or hva - region.hva >= region.nbytes:
        region = find_region(host, hva)
        if region == NULL:
            no_page(page, PFN_ERR_FAULT)
            return
        hint[0] = region
    if unlikely(load(&host.n_answers)):
        read_only = host_answer(host, hva, foll, &error)
        if error:
            no_page(page, error)
            return
    index = (hva - region.hva) >> PAGE_SHIFT
    region_page(region, index, page)
    if read_only:
        page.writable = False
    if foll & FOLL_WRITE and not page.writable:
        no_page(page, PFN_ERR_FAULT if page.page and not read_only else PFN_ERR_RO_FAULT)
        return
    if region.flags & REGION_BUFFER:
        if not (load(&region.populated[index >> 6]) >> (index & 63)) & 1:
            populate(region, index, page.order)
