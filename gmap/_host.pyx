"""Host memory behind the memory slots. Floor 2.

A host hands out regions of host virtual addresses, answers lookups the way
get_user_pages does, and tells whoever maps its memory before the backing of a range
changes (fact sheet faultin.md sections 3 and 5). `SyntheticHost` (`_synthetic.pyx`) has
frames but no bytes; `BufferHost` (`_buffer.pyx`) has frames that are memory of this
process. What sits above cannot tell them apart.
"""

from libc.errno cimport EFAULT, EINVAL, ENOMEM
from libc.stdint cimport int64_t, uint64_t, uint8_t
from libc.string cimport memset

import numpy as np

from gmap._address cimport as_u64, as_u64_array
from gmap._atomic cimport load, store, store8
from gmap._defs cimport (
    FOLIO_ORDER_1M, FOLIO_ORDER_2G, FOLIO_ORDER_4K, PAGE_SHIFT, PAGE_SIZE, REGION3_PAGES,
    REGION3_SIZE, SEGMENT_PAGES,
)
from gmap._memory cimport release, zalloc
from gmap._regions cimport (
    ANSWER_HWPOISON, ANSWER_NEEDS_IO, ANSWER_NEEDS_IO_ALWAYS, ANSWER_NO_MAPPING, ANSWER_OK,
    ANSWER_READ_ONLY, ANSWER_SIGNAL, BACKING_BROKEN, BACKING_HUGE, CHANGE_ANSWER,
    CHANGE_DISCARD, CHANGE_FOLIO, CHANGE_MOVE, CHANGE_PROT, FOLL_WRITE, PROT_RO, PROT_RW,
    REGION_PFNMAP, add_answer, answer_t, block_of, chunk_t, contiguous, find_region,
    free_region, host_lookup, host_page_t, host_t, invalidate_end, invalidate_start,
    mixed_block, mixed_chunk, override_prot, piece, prepare_overrides, region_t, replace_table,
)
from gmap._sync cimport mutex_destroy, mutex_init, mutex_lock, mutex_unlock

from gmap.dtypes import LOOKUP
from gmap.errors import AddressError, ClosedError, ConfigError, HostMemoryError

FOLIO_ORDERS = {"4k": FOLIO_ORDER_4K, "1m": FOLIO_ORDER_1M, "2g": FOLIO_ORDER_2G}

_ANSWERS = {
    "ok": ANSWER_OK,
    "needs_io": ANSWER_NEEDS_IO,
    "needs_io_always": ANSWER_NEEDS_IO_ALWAYS,
    "signal": ANSWER_SIGNAL,
    "read_only": ANSWER_READ_ONLY,
    "hwpoison": ANSWER_HWPOISON,
    "no_mapping": ANSWER_NO_MAPPING,
}


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
        if self.regions is not None:
            raise TypeError("a host is set up once")
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
        cdef const uint64_t[::1] addresses
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
