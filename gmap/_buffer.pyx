"""A host whose frames are memory of this process. Floor 2.

A region is a private anonymous mapping and, to begin with, its own frames: page frame
number = host address >> 12, so that a translated address is a pointer. Pages that move
get frames from a pool of shared memory that is mapped twice: at its frame address, for
good, and at the host address of the page that lives there.
"""

from cpython.buffer cimport PyBuffer_FillInfo
from libc.errno cimport ENOMEM
from libc.stdint cimport uint64_t, uintptr_t
from libc.string cimport memcpy, memset
from posix.mman cimport (
    MAP_ANONYMOUS, MAP_FAILED, MAP_FIXED, MAP_NORESERVE, MAP_PRIVATE, MAP_SHARED, PROT_NONE,
    PROT_READ, PROT_WRITE, madvise, mmap, munmap,
)
from posix.unistd cimport close, ftruncate

import os
import tempfile

from gmap._atomic cimport fetch_and, or_acquire
from gmap._defs cimport (
    PAGE_SHIFT, PAGE_SIZE, REGION3_PAGES, REGION3_SIZE, SEGMENT_PAGES,
)
from gmap._host cimport Host, HostRegion
from gmap._memory cimport release, zalloc
from gmap._regions cimport (
    CHANGE_DISCARD, REGION_BUFFER, contiguous, host_page_t, override_frame, region_alignment,
    region_page, region_t,
)

from gmap.errors import HostMemoryError

cdef extern from *:
    """
    #include <sys/mman.h>
    #ifndef MADV_HUGEPAGE
    #define MADV_HUGEPAGE 14
    #define MADV_NOHUGEPAGE 15
    #endif
    #ifndef MADV_REMOVE
    #define MADV_REMOVE 9
    #endif
    #ifndef MADV_DONTNEED
    #define MADV_DONTNEED 4
    #endif
    """
    int MADV_HUGEPAGE
    int MADV_NOHUGEPAGE
    int MADV_REMOVE
    int MADV_DONTNEED


cdef enum:
    # Every move splits a mapping of this process; Linux allows 65530 of them.
    MAX_MOVES = 16384
    POOL_SHIFT = 38     # of the addresses reserved for pooled frames
    POISON = 0xA5       # in pooled frames, so that a stale translation shows


cdef class Mapping:
    """Owner of a region's addresses: unmapped when the region and all its arrays are gone."""

    cdef void *base
    cdef Py_ssize_t nbytes

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.base, self.nbytes, False, flags)

    def __dealloc__(self):
        if self.base != NULL:
            munmap(self.base, self.nbytes)


cdef void *map_aligned(uint64_t nbytes, uint64_t alignment) noexcept nogil:
    """Addresses with nothing behind them; NULL if there are none left."""
    cdef char *base = <char *>mmap(NULL, nbytes + alignment, PROT_NONE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    cdef char *aligned
    if <void *>base == MAP_FAILED:
        return NULL
    aligned = <char *>((<uintptr_t>base + alignment - 1) & ~<uintptr_t>(alignment - 1))
    if aligned > base:
        munmap(base, aligned - base)
    munmap(aligned + nbytes, base + alignment - aligned)
    return aligned


cdef bint map_private(void *at, uint64_t nbytes, int order) noexcept nogil:
    """Fresh zero pages at an address; True if it failed."""
    cdef void *base = mmap(at, nbytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0)
    if base == MAP_FAILED:
        return True
    madvise(base, nbytes, MADV_HUGEPAGE if order else MADV_NOHUGEPAGE)
    return False


# Frames nobody uses, of one order.
cdef struct pool_t:
    uint64_t *frames
    uint64_t n
    uint64_t capacity


cdef class BufferHost(Host):
    """Frames that are this process's own memory: a translated address is a usable pointer.

    Parameters
    ----------
    hamaxpow : int
        Log2 of the highest guest address the machine supports; 0 is unlimited.

    Notes
    -----
    A lookup gives the page memory if it has none yet, as a real host's does: that costs the
    machine's own page fault. `populate` does it beforehand.

    >>> host = BufferHost()
    >>> region = host.map(1 << 20)
    >>> region.array[:5] = list(b"hello")
    >>> bytes(region.array[:5])
    b'hello'
    >>> int(host.lookup(region.hva)["pfn"]) == region.hva >> 12
    True
    """

    cdef dict mappings          # hva -> Mapping
    cdef int fd
    cdef char *pool_base
    cdef uint64_t pool_bytes
    cdef pool_t pools[3]        # by pool_of
    cdef uint64_t n_moves

    def __cinit__(self, *args, **kwargs):
        self.fd = -1

    def __init__(self, *, hamaxpow=48):
        super().__init__(hamaxpow=hamaxpow)
        self.mappings = {}
        if hasattr(os, "memfd_create"):
            self.fd = os.memfd_create("gmap-frames", os.MFD_CLOEXEC)
        else:
            with tempfile.TemporaryFile() as file:
                self.fd = os.dup(file.fileno())

    def __dealloc__(self):
        cdef int i
        if self.pool_base != NULL:
            munmap(self.pool_base, <uint64_t>1 << POOL_SHIFT)
        for i in range(3):
            release(self.pools[i].frames)
        if self.fd >= 0:
            close(self.fd)

    def populate(self, hva, nbytes):
        """Give every page of a range memory now, as MAP_POPULATE does.

        >>> host = BufferHost()
        >>> region = host.map(1 << 20)
        >>> host.populate(region.hva, region.nbytes)
        """
        self.lookup(range(hva, hva + nbytes, int(PAGE_SIZE)))

    cdef int make_backing(self, region_t *region) except -1:
        cdef Mapping mapping = Mapping()
        cdef uint64_t n_words = (region.nbytes >> (PAGE_SHIFT + 6)) + 1
        region.populated = <uint64_t *>zalloc(n_words * sizeof(uint64_t))
        mapping.base = map_aligned(region.nbytes, region_alignment(region.nbytes))
        mapping.nbytes = region.nbytes
        if region.populated == NULL or mapping.base == NULL or map_private(
                mapping.base, region.nbytes, region.order):
            raise HostMemoryError(
                f"the machine has no {region.nbytes:#x} bytes of address space: map less, or use "
                "a SyntheticHost")
        region.hva = <uint64_t><uintptr_t>mapping.base
        region.frame = region.hva >> PAGE_SHIFT
        region.flags |= REGION_BUFFER
        self.mappings[region.hva] = mapping
        return 0

    def _made(self, hva, nbytes, folio, writable, pfnmap):
        result = HostRegion(self, hva, nbytes, folio, bool(writable), bool(pfnmap),
                            self.mappings[hva])
        self.regions[hva] = result
        return result

    cdef void forget_region(self, object region):
        Host.forget_region(self, region)
        self.mappings.pop(region.hva, None)

    # --- the pool of frames ------------------------------------------------------------------

    cdef uint64_t grow(self, uint64_t npages) noexcept nogil:
        """More shared memory, naturally aligned: its first frame, or 0."""
        cdef uint64_t nbytes = npages << PAGE_SHIFT
        cdef uint64_t offset = (self.pool_bytes + nbytes - 1) & ~(nbytes - 1)
        if self.pool_base == NULL:
            self.pool_base = <char *>map_aligned(<uint64_t>1 << POOL_SHIFT, REGION3_SIZE)
        if (self.pool_base == NULL or offset + nbytes > <uint64_t>1 << POOL_SHIFT
                or ftruncate(self.fd, offset + nbytes)
                or self.map_pooled(self.pool_base + offset, offset, nbytes)):
            return 0
        self.pool_bytes = offset + nbytes
        return <uint64_t><uintptr_t>(self.pool_base + offset) >> PAGE_SHIFT

    cdef bint map_pooled(self, void *at, uint64_t offset, uint64_t nbytes) noexcept nogil:
        """Show pooled memory at an address, in place of what is there; True if it failed."""
        return mmap(at, nbytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
                    self.fd, offset) == MAP_FAILED

    cdef bint reserve(self, pool_t *pool, uint64_t more) noexcept nogil:
        """Room for `more` frames in a pool; True if there is no memory for it."""
        cdef uint64_t capacity = pool.n + more
        cdef uint64_t *grown
        if capacity <= pool.capacity:
            return False
        capacity *= 2
        grown = <uint64_t *>zalloc(capacity * sizeof(uint64_t))
        if grown == NULL:
            return True
        if pool.n:
            memcpy(grown, pool.frames, pool.n * sizeof(uint64_t))
        release(pool.frames)
        pool.frames = grown
        pool.capacity = capacity
        return False

    cdef uint64_t take(self, uint64_t npages) noexcept nogil:
        """A run of pooled frames, naturally aligned, or 0."""
        cdef pool_t *pool = &self.pools[pool_of(npages)]
        cdef uint64_t first, i
        if pool.n == 0:
            if self.reserve(pool, SEGMENT_PAGES):
                return 0
            if npages > 1:
                return self.grow(npages)
            first = self.grow(SEGMENT_PAGES)
            if not first:
                return 0
            for i in range(SEGMENT_PAGES):
                pool.frames[i] = first + SEGMENT_PAGES - 1 - i
            pool.n = SEGMENT_PAGES
        pool.n -= 1
        return pool.frames[pool.n]

    cdef void put(self, uint64_t frame, uint64_t npages) noexcept nogil:
        """Give a run of frames back; there is room for it."""
        cdef pool_t *pool = &self.pools[pool_of(npages)]
        cdef void *memory = <void *><uintptr_t>(frame << PAGE_SHIFT)
        if npages == REGION3_PAGES:
            madvise(memory, REGION3_SIZE, MADV_REMOVE)
        else:
            memset(memory, POISON, npages << PAGE_SHIFT)
        pool.frames[pool.n] = frame
        pool.n += 1

    # --- changing frames ---------------------------------------------------------------------

    cdef int change_frames(self, region_t *region, uint64_t index, uint64_t npages,
                           int why) noexcept nogil:
        cdef char *at = <char *><uintptr_t>(region.hva + (index << PAGE_SHIFT))
        cdef char *pooled
        cdef uint64_t nbytes = npages << PAGE_SHIFT
        cdef uint64_t frame = 0
        cdef host_page_t old
        cdef bint one_run = contiguous(region, index, npages)
        # Room to give the old frames back, before anything is done.
        if self.reserve(&self.pools[pool_of(npages)], 1) or (
                not one_run and self.reserve(&self.pools[0], npages)):
            return -ENOMEM
        region_page(region, index, &old)
        if why == CHANGE_DISCARD:
            if one_run and old.pfn == region.frame + index:
                madvise(at, nbytes, MADV_DONTNEED)
            elif map_private(at, nbytes, region.order):
                return -ENOMEM
        else:
            if self.n_moves >= MAX_MOVES:
                return -ENOMEM
            frame = self.take(npages)
            if not frame:
                return -ENOMEM
            pooled = <char *><uintptr_t>(frame << PAGE_SHIFT)
            memcpy(pooled, at, nbytes)
            if self.map_pooled(at, pooled - self.pool_base, nbytes):
                self.put(frame, npages)
                return -ENOMEM
            self.n_moves += 1
        self.put_back(region, index, npages, one_run)
        override_frame(region, index, npages, frame if frame else region.frame + index)
        mark_populated(region, index, npages, frame != 0)
        return 0

    cdef void put_back(self, region_t *region, uint64_t index, uint64_t npages,
                       bint one_run) noexcept nogil:
        """Give back the pooled frames a piece had."""
        cdef uint64_t step = npages if one_run else 1
        cdef uint64_t page = index
        cdef host_page_t old
        while page < index + npages:
            region_page(region, page, &old)
            if old.pfn != region.frame + page:
                self.put(old.pfn, step)
                self.n_moves -= self.n_moves > 0
            page += step


cdef void mark_populated(region_t *region, uint64_t index, uint64_t npages,
                         bint populated) noexcept nogil:
    cdef uint64_t i = index
    cdef uint64_t bits
    while i < index + npages:
        bits = ~<uint64_t>0 if npages >= 64 else <uint64_t>1 << (i & 63)
        if populated:
            or_acquire(&region.populated[i >> 6], bits)
        else:
            fetch_and(&region.populated[i >> 6], ~bits)
        i += 64 if npages >= 64 else 1


cdef inline int pool_of(uint64_t npages) noexcept nogil:
    return 0 if npages == 1 else 1 if npages == SEGMENT_PAGES else 2
