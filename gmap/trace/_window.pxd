# The page filter: which accesses of a stream are kept. Inline, noexcept, nogil, no objects.
#
# An item is a page together with the way it is used: fetched from, or loaded and stored.
# The window is the N items used last, in order of their last use. Kept are
#   - the access that brings an item into the window (every first touch is one),
#   - the first write since then, if that access was none,
#   - when an item leaves the window: for each item that stays and whose newest kept access is
#     older than that of the one leaving, the newest access so far, in its own place.
# The third rule is what makes the kept stream lead an LRU list of N items through the same
# arrivals and departures as the whole stream did, and these alone decide what any longer LRU
# list does (Kaplan, Smaragdakis and Wilson, "Flexible reference trace reduction for VM
# simulations", ACM TOMACS 2003, whose OLR this is, restricted to accesses that really happened).
# docs/traces.md says what a reader may rely on.
from libc.errno cimport ENOMEM
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memmove

cdef enum:
    ACCESS_R = 0
    ACCESS_W = 1
    ACCESS_X = 2
    ACCESS_MASK = 3         # of a tag: its low bits are the access, the others the order
    TAG_ORDER_SHIFT = 2
    MAX_ORDER = 40          # 4 KiB << 40 is the whole of a 52-bit address space

cdef extern from *:
    """
    #include <stdint.h>
    #define GMAP_NO_ITEM UINT64_MAX     /* page numbers have 52 bits, items 53 */
    """
    const uint64_t NO_ITEM "GMAP_NO_ITEM"


# One record as Python sees it: gmap.trace.ACCESS.
ctypedef struct record_t:
    uint64_t page
    uint8_t access
    uint8_t order


# One kept access and its place in the whole stream.
ctypedef struct kept_t:
    uint64_t time
    uint64_t page
    uint8_t tag


ctypedef struct window_t:
    uint64_t size           # N; 0 keeps everything
    uint64_t used
    uint64_t now            # accesses seen
    uint64_t *item          # of each slot: page << 1 | is a fetch
    uint64_t *last          # of each slot: time of its newest access
    uint64_t *kept          # of each slot: time of its newest kept access
    uint8_t *tag            # of each slot: tag of its newest access
    uint8_t *written        # of each slot: a write has been kept since it came in
    uint32_t *buckets       # open addressing: slot + 1, or 0
    uint64_t mask
    uint64_t recent[2]      # the newest load/store item and the newest fetch item ...
    uint64_t recent_slot[2]     # ... and where they are
    kept_t *out
    uint64_t n_out
    uint64_t room


cdef inline void window_free(window_t *w) noexcept nogil:
    free(w.item)
    free(w.last)
    free(w.kept)
    free(w.tag)
    free(w.written)
    free(w.buckets)
    free(w.out)


cdef inline int window_init(window_t *w, uint64_t size) noexcept nogil:
    """Make an empty window in zeroed memory. 0, or -ENOMEM with `window_free` still to be called.
    """
    cdef uint64_t n_buckets = 16
    while n_buckets < 4 * size:
        n_buckets *= 2
    w.size = size
    w.mask = n_buckets - 1
    w.recent[0] = w.recent[1] = NO_ITEM
    w.room = 4096 + 2 * size
    w.item = <uint64_t *>malloc((size + 1) * sizeof(uint64_t))
    w.last = <uint64_t *>malloc((size + 1) * sizeof(uint64_t))
    w.kept = <uint64_t *>malloc((size + 1) * sizeof(uint64_t))
    w.tag = <uint8_t *>malloc(size + 1)
    w.written = <uint8_t *>malloc(size + 1)
    w.buckets = <uint32_t *>calloc(n_buckets, sizeof(uint32_t))
    w.out = <kept_t *>malloc(w.room * sizeof(kept_t))
    if (w.item == NULL or w.last == NULL or w.kept == NULL or w.tag == NULL or w.written == NULL
            or w.buckets == NULL or w.out == NULL):
        return -ENOMEM
    return 0


cdef inline uint64_t window_bucket(const window_t *w, uint64_t item) noexcept nogil:
    return (item * <uint64_t>0x9E3779B97F4A7C15 >> 40) & w.mask


cdef inline uint64_t window_find(const window_t *w, uint64_t item) noexcept nogil:
    """The slot of `item`, or NO_ITEM."""
    cdef uint64_t bucket = window_bucket(w, item)
    while w.buckets[bucket]:
        if w.item[w.buckets[bucket] - 1] == item:
            return w.buckets[bucket] - 1
        bucket = (bucket + 1) & w.mask
    return NO_ITEM


cdef inline void window_enter(window_t *w, uint64_t item, uint64_t slot) noexcept nogil:
    cdef uint64_t bucket = window_bucket(w, item)
    while w.buckets[bucket]:
        bucket = (bucket + 1) & w.mask
    w.buckets[bucket] = <uint32_t>(slot + 1)


cdef inline void window_forget(window_t *w, uint64_t item) noexcept nogil:
    """Take `item` out of the buckets, moving up the ones that had to make way for it."""
    cdef uint64_t hole = window_bucket(w, item)
    cdef uint64_t bucket, home
    while w.item[w.buckets[hole] - 1] != item:
        hole = (hole + 1) & w.mask
    bucket = (hole + 1) & w.mask
    while w.buckets[bucket]:
        home = window_bucket(w, w.item[w.buckets[bucket] - 1])
        if ((bucket - home) & w.mask) >= ((bucket - hole) & w.mask):
            w.buckets[hole] = w.buckets[bucket]
            hole = bucket
        bucket = (bucket + 1) & w.mask
    w.buckets[hole] = 0


cdef inline void window_keep(window_t *w, uint64_t time, uint64_t item,
                             uint8_t tag) noexcept nogil:
    """Put an access in its place. Only accesses since the last eviction can lie behind it."""
    cdef uint64_t at = w.n_out
    while at > 0 and w.out[at - 1].time > time:
        w.out[at] = w.out[at - 1]
        at -= 1
    w.out[at].time = time
    w.out[at].page = item >> 1
    w.out[at].tag = tag
    w.n_out += 1


cdef inline uint64_t window_evict(window_t *w) noexcept nogil:
    """Free the slot of the item used longest ago, after keeping what puts it last in order."""
    cdef uint64_t slot, victim = 0
    cdef uint64_t oldest = w.last[0]
    for slot in range(1, w.size):
        if w.last[slot] < oldest:
            oldest = w.last[slot]
            victim = slot
    oldest = w.kept[victim]
    for slot in range(w.size):
        if w.kept[slot] < oldest:
            window_keep(w, w.last[slot], w.item[slot], w.tag[slot])
            w.kept[slot] = w.last[slot]
    window_forget(w, w.item[victim])
    for slot in range(2):
        if w.recent_slot[slot] == victim:
            w.recent[slot] = NO_ITEM
    return victim


cdef inline int window_admit(window_t *w, uint64_t item, uint8_t tag) noexcept nogil:
    """An access to an item outside the window: its slot, or -ENOMEM."""
    cdef uint64_t slot
    cdef void *grown
    if w.n_out + 2 * w.size + 2 > w.room:   # an eviction, and a first write before the next one
        grown = realloc(w.out, 2 * w.room * sizeof(kept_t))
        if grown == NULL:
            return -ENOMEM
        w.out = <kept_t *>grown
        w.room *= 2
    if w.size == 0:
        window_keep(w, w.now, item, tag)
        return 0
    if w.used < w.size:
        slot = w.used
        w.used += 1
    else:
        slot = window_evict(w)
    w.item[slot] = item
    w.kept[slot] = w.now
    w.written[slot] = (tag & ACCESS_MASK) == ACCESS_W
    window_enter(w, item, slot)
    window_keep(w, w.now, item, tag)
    return <int>slot


cdef inline int window_touch(window_t *w, uint64_t page, uint8_t tag) noexcept nogil:
    """One access. 0, or -ENOMEM."""
    cdef uint64_t is_fetch = (tag & ACCESS_MASK) == ACCESS_X
    cdef uint64_t item = page << 1 | is_fetch
    cdef uint64_t slot
    cdef int admitted
    w.now += 1
    if item == w.recent[is_fetch]:
        slot = w.recent_slot[is_fetch]
    else:
        slot = window_find(w, item)
        if slot == NO_ITEM:
            admitted = window_admit(w, item, tag)
            if admitted < 0 or w.size == 0:
                return admitted
            slot = admitted
        w.recent[is_fetch] = item
        w.recent_slot[is_fetch] = slot
    w.last[slot] = w.now
    w.tag[slot] = tag
    if (tag & ACCESS_MASK) == ACCESS_W and not w.written[slot]:
        w.written[slot] = True
        w.kept[slot] = w.now
        window_keep(w, w.now, item, tag)
    return 0


cdef inline uint64_t window_ready(const window_t *w, bint final) noexcept nogil:
    """How many kept accesses nothing can be put before any more."""
    cdef uint64_t slot, ready = w.n_out
    cdef uint64_t horizon = NO_ITEM
    if final:
        return ready
    for slot in range(w.used):
        if w.last[slot] > w.kept[slot] and w.last[slot] < horizon:
            horizon = w.last[slot]
    while ready > 0 and w.out[ready - 1].time > horizon:
        ready -= 1
    return ready


cdef inline void window_take(window_t *w, record_t *records, uint64_t n) noexcept nogil:
    """Move the first `n` kept accesses out."""
    cdef uint64_t i
    for i in range(n):
        records[i].page = w.out[i].page
        records[i].access = w.out[i].tag & ACCESS_MASK
        records[i].order = w.out[i].tag >> TAG_ORDER_SHIFT
    w.n_out -= n
    memmove(w.out, w.out + n, w.n_out * sizeof(kept_t))
