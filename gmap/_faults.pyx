"""Faults as Python asks for them: arrays in, codes or exceptions out. Floor 3."""

cimport cython
from libc.stdint cimport int32_t, uint8_t, uint64_t
from libc.string cimport memset

import numpy as np

from gmap._address cimport as_u64, as_u64_array
from gmap._atomic cimport add, load, load_acquire, load_ptr
from gmap._defs cimport COUNTER_PAGES_RELEASED
from gmap._faultin cimport (
    fault_batch_t, fault_vcpu_t, faultin, get_guest_page, lookup_hints_t,
)
from gmap._gmap cimport gmap_destroy, guest_fault_t, invalidate_retry_gfn
from gmap._histogram cimport N_BUCKETS, bucket_low
from gmap._memory cimport release, zalloc
from gmap._slots cimport memslots_t
from gmap._sync cimport (
    read_lock, read_unlock, srcu_read_lock, srcu_read_unlock,
)
from gmap._tables cimport mmu_cache_drain, mmu_cache_topup

from gmap.dtypes import HISTOGRAM
from gmap.errors import ClosedError, ConfigError, FaultError, HostMemoryError, describe_code

cdef uint64_t LAST_GFN = (<uint64_t>1 << 52) - 1


@cython.no_gc_clear     # the host must outlive the address space
cdef class Space:
    """Owner of an address space's C side."""

    cdef int check_open(self) except -1:
        if load(&self.host.c.closed):
            raise ClosedError("the host behind this address space has been closed: make new ones")
        return 0

    def __dealloc__(self):
        if self.c != NULL:
            gmap_destroy(self.c)
            release(self.c)


# --- batches --------------------------------------------------------------------------------

cdef bint let_out(bint raised) except True:
    """Let the exception a signal handler raised inside a kernel come out."""
    return raised


cdef object report(object gfns, object status, str errors):
    """Codes the way the caller asked for them."""
    if errors == "status":
        return status
    failed = status != 0
    if errors == "mask":
        return np.ma.array(status, mask=failed)
    if not failed.any():
        return status
    first = np.argmax(failed)
    codes, counts = np.unique(status[failed], return_counts=True)
    summary = ", ".join(f"{n} of {describe_code(int(code))}"
                        for code, n in zip(codes, counts, strict=True))
    raise FaultError(int(gfns.flat[first]), int(status.flat[first]),
                     f"{failed.sum()} of {status.size} frames failed: {summary}; "
                     "errors='status' returns the codes instead")


cdef object run(Space space, fault_vcpu_t *vcpu, object gfns, object write, bint pfault,
                uint64_t *histogram):
    """Fault in an array of guarded gfns; the codes, in its shape."""
    cdef fault_batch_t batch
    cdef const uint64_t[::1] flat
    cdef const uint8_t[::1] writes
    cdef int32_t[::1] codes
    kinds = np.asarray(write)
    if kinds.dtype != np.bool_:
        raise ConfigError(f"write must be a bool or an array of bool, got dtype {kinds.dtype}")
    if kinds.ndim and kinds.shape != gfns.shape:
        raise ConfigError(f"write has shape {kinds.shape}, gfn has {gfns.shape}: make them equal")
    space.check_open()
    status = np.empty(gfns.shape, dtype=np.int32)
    if not gfns.size:
        return status
    flat = np.ascontiguousarray(gfns).reshape(-1)
    writes = np.ascontiguousarray(kinds).reshape(-1).view(np.uint8)
    codes = status.reshape(-1)
    batch.gfns = &flat[0]
    batch.writes = &writes[0]
    batch.write_step = 1 if kinds.ndim else 0
    batch.n = <uint64_t>flat.shape[0]
    batch.codes = &codes[0]
    batch.attempt_pfault = pfault
    batch.histogram = histogram
    with nogil:
        faultin(space.c, vcpu, &batch)
    let_out(batch.interrupted)
    return status


cdef object fault_in(Space space, fault_vcpu_t *vcpu, object gfn, object write, str errors,
                     bint pfault):
    if errors not in ("raise", "status", "mask"):
        raise ConfigError(f"errors={errors!r}: use 'raise', 'status' or 'mask'")
    gfns = as_u64_array(gfn, "gfn", LAST_GFN)
    status = run(space, vcpu, gfns, write, pfault, NULL)
    if gfns.ndim:
        return report(gfns, status, errors)
    code = int(status)
    if code and errors == "raise":
        raise FaultError(int(gfns), code)
    return code


cdef object timed_faults(Space space, object gfn, object write):
    cdef uint64_t counts[N_BUCKETS]
    memset(counts, 0, sizeof(counts))
    status = run(space, NULL, as_u64_array(gfn, "gfn", LAST_GFN), write, False, counts)
    return status, histogram_array(counts)


cdef object histogram_array(const uint64_t *counts):
    """The buckets that are not empty."""
    rows = [(bucket_low(i), bucket_low(i + 1), counts[i]) for i in range(N_BUCKETS) if counts[i]]
    return np.array(rows, dtype=HISTOGRAM)


# --- a vCPU's side --------------------------------------------------------------------------

@cython.no_gc_clear
cdef class FaultContext:
    """What a vCPU brings to its faults: table and slot caches, asynchronous page faults.

    Parameters
    ----------
    gmap : Gmap
    id : int
        The vCPU's number, for the trace event.
    async_limit : int
        How many faults may be pending with the host. Counts only where the address space was
        made with `pfault=True`.

    Attributes
    ----------
    pstate, pc : int
        The guest's state, for the trace event.

    Notes
    -----
    One thread at a time may use a context. Faults asked for with `pfault=True` do not wait for
    I/O: where the host needs some, the fault is recorded as pending and 0 returned; where that
    is not possible, it is counted (`pfault_sync`) and resolved waiting (faultin.md S5a).

    >>> import gmap
    >>> host = gmap.SyntheticHost()
    >>> region = host.map(1 << 20)
    >>> g = gmap.Gmap(host, pfault=True)
    >>> g.set_memory_region(0, 0, region.nbytes, region.hva)
    >>> host.answer(region.hva, 4096, "needs_io", times=1)
    >>> vcpu = gmap.FaultContext(g, async_limit=8)
    >>> vcpu.fault_in(0, pfault=True), vcpu.take_async()
    (0, array([0], dtype=uint64))
    """

    cdef fault_vcpu_t c
    cdef readonly Space space

    def __cinit__(self, gmap, id=0, async_limit=0):
        cdef Space space = gmap.space
        self.c.id = <int>as_u64(id, "id", 0x7FFFFFFF)
        self.c.async_limit = as_u64(async_limit, "async_limit", 1 << 16)
        self.c.async_gfns = <uint64_t *>zalloc((self.c.async_limit + 1) * sizeof(uint64_t))
        if self.c.async_gfns == NULL or mmu_cache_topup(&space.c.arena, &self.c.mc):
            mmu_cache_drain(&space.c.arena, &self.c.mc)
            raise HostMemoryError("no memory for the caches of a vCPU")
        self.space = space

    def __dealloc__(self):
        if self.space is not None:
            mmu_cache_drain(&self.space.c.arena, &self.c.mc)
        release(self.c.async_gfns)

    @property
    def id(self):
        return self.c.id

    @property
    def pstate(self):
        return self.c.pstate

    @pstate.setter
    def pstate(self, value):
        self.c.pstate = as_u64(value, "pstate", 0xFFFFFFFFFFFFFFFF)

    @property
    def pc(self):
        return self.c.pc

    @pc.setter
    def pc(self, value):
        self.c.pc = as_u64(value, "pc", 0xFFFFFFFFFFFFFFFF)

    def fault_in(self, gfn, write=False, str errors="raise", *, bint pfault=False):
        """As `Gmap.fault_in`, with this vCPU's caches and asynchronous faults."""
        return fault_in(self.space, &self.c, gfn, write, errors, pfault)

    def take_async(self):
        """The gfns pending with the host since the last call, as a uint64 array."""
        result = np.array([self.c.async_gfns[i] for i in range(self.c.n_async)], dtype=np.uint64)
        self.c.n_async = 0
        return result


# --- batched callers ------------------------------------------------------------------------

@cython.no_gc_clear
cdef class GuestPages:
    """Host frames of neighbouring gfns, held until released; a context manager.

    The canonical use (faultin.md section 4): get the pages, do the work, and if `need_retry` then
    says so undo it and begin again; release them in any case.

    Attributes
    ----------
    gfn : int
        The first frame number.
    pfn : uint64 array
    writable : bool array

    >>> import gmap
    >>> host = gmap.SyntheticHost()
    >>> region = host.map(1 << 20)
    >>> g = gmap.Gmap(host)
    >>> g.set_memory_region(0, 0, region.nbytes, region.hva)
    >>> pages = g.get_guest_pages(0, 2)
    >>> host.discard(region.hva, 4096)
    >>> pages.need_retry()
    True
    >>> pages.release()
    """

    cdef Space space
    cdef uint64_t seq
    cdef uint64_t n_pages       # with a struct page behind them
    cdef readonly object gfn
    cdef readonly object pfn
    cdef readonly object writable

    def __init__(self):
        raise TypeError("GuestPages come from Gmap.get_guest_pages()")

    def need_retry(self):
        """The host has changed, or is changing, one of the frames since they were looked up."""
        cdef uint64_t i, first = self.gfn
        cdef uint64_t n = len(self.pfn)
        cdef bint stale = False
        with nogil:
            read_lock(&self.space.c.mmu_lock)
            for i in range(n):
                stale |= invalidate_retry_gfn(self.space.c, self.seq, first + i)
            read_unlock(&self.space.c.mmu_lock)
        return bool(stale)

    def release(self):
        """Give the frames back; a second time does nothing."""
        if self.n_pages:
            add(&self.space.c.counters[COUNTER_PAGES_RELEASED], self.n_pages)
            self.n_pages = 0

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.release()

    def __dealloc__(self):
        if self.space is not None:
            add(&self.space.c.counters[COUNTER_PAGES_RELEASED], self.n_pages)


cdef object guest_pages(Space space, object gfn, object n, object write):
    cdef uint64_t first = as_u64(gfn, "gfn", LAST_GFN)
    cdef uint64_t count = as_u64(n, "n", LAST_GFN + 1 - first)
    cdef GuestPages pages = GuestPages.__new__(GuestPages)
    cdef lookup_hints_t hints
    cdef guest_fault_t f
    cdef uint64_t[::1] pfn
    cdef uint8_t[::1] writable
    cdef uint64_t i
    cdef unsigned int token
    cdef int rc = 0
    space.check_open()
    pages.space = space
    pages.gfn = first
    pages.pfn = np.empty(count, dtype=np.uint64)
    pages.writable = np.empty(count, dtype=np.bool_)
    pfn = pages.pfn
    writable = pages.writable.view(np.uint8)
    memset(&f, 0, sizeof(f))
    memset(&hints, 0, sizeof(hints))
    f.write_attempt = bool(write)
    pages.seq = load_acquire(&space.c.invalidate_seq)
    with nogil:
        token = srcu_read_lock(&space.c.srcu)
        hints.slots = <memslots_t *>load_ptr(<void **>&space.c.memslots)
        for i in range(count):
            f.gfn = first + i
            rc = get_guest_page(space.c, &hints, &f)
            if rc:
                break
            pfn[i] = f.host.pfn
            writable[i] = f.host.writable
            pages.n_pages += f.host.page
        srcu_read_unlock(&space.c.srcu, token)
    if rc:
        pages.release()
        raise FaultError(f.gfn, rc)
    return pages
