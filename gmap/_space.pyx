"""The address space: the Python face of everything below. Floor 3, top.

`Gmap` guards what comes in, calls a kernel, and turns codes into exceptions; nothing is
decided here.
"""

from cpython.long cimport PyLong_CheckExact
from libc.errno cimport EBUSY, EINVAL
from libc.stdint cimport int32_t, uint64_t
from libc.string cimport memset

import contextlib
from typing import NamedTuple

import numpy as np

from gmap._address cimport as_u64, as_u64_array
from gmap._atomic cimport load
from gmap._defs cimport (
    GMAP_FLAG_ALLOW_HPAGE_1M, GMAP_FLAG_ALLOW_HPAGE_2G, GMAP_FLAG_OWNS_PAGETABLES,
    GMAP_FLAG_PFAULT_ENABLED, LEVEL_PAGE, PAGE_SHIFT, WALK_SPLIT_ALLOC,
)
from gmap._faults cimport Space, fault_in, guest_pages, histogram_array, timed_faults
from gmap._geometry cimport limit_to_type
from gmap._gmap cimport (
    N_EVENTS, QUIRK_AGE_LOSES_DIRTY, QUIRK_UNMAP_LOSES_DIRTY, asce_end, fault_from_tables, gmap_age,
    gmap_init, gmap_invalidate_end, gmap_invalidate_start, gmap_replace_asce, gmap_set_limit,
    gmap_split_huge_pages, gmap_t, gmap_unmap,
)
from gmap._histogram cimport N_BUCKETS, bucket_of, now_ns
from gmap._host cimport Host
from gmap._memory cimport release, zalloc_lines
from gmap._memslots cimport Memslots
from gmap._readable cimport AddressSpace, locked_walk
from gmap._sync cimport spin_lock, spin_unlock, write_lock, write_unlock
from gmap._tables cimport (
    KIND_CRST, KIND_PT, arena_mapped_bytes, mmu_cache_drain, mmu_cache_t,
)
from gmap._translate cimport make_translate
from gmap._walk cimport dat_walk_t

from gmap import _ipa
from gmap._defs import Counter
from gmap.dtypes import PFAULT_EVENT
from gmap.errors import ClosedError, ConfigError, HostMemoryError

# Last frame number an address of 64 bits has.
cdef uint64_t LAST_GFN = (<uint64_t>1 << 52) - 1

_QUIRKS = {
    "age-loses-dirty": QUIRK_AGE_LOSES_DIRTY,
    "unmap-loses-dirty": QUIRK_UNMAP_LOSES_DIRTY,
}


class MemslotInfo(NamedTuple):
    """One memory slot, as `Gmap.memslots` lists it; bytes throughout."""

    slot: int
    guest_phys_addr: int
    memory_size: int
    userspace_addr: int
    flags: int


cdef class Gmap(AddressSpace):
    """A guest address space: s390 DAT tables that map guest frames to host frames.

    Parameters
    ----------
    host : SyntheticHost or BufferHost
        The memory its slots point into.
    ipa_bits : int
        Log2 of the guest's physical size, 32 up to what the host's `hamaxpow` allows.
    allow_1m, allow_2g : bool
        Map folios of that size by one entry where alignment and slot permit. arm64 guests
        have 1 MiB frames and no 2 GiB ones.
    readonly_mem : bool
        Accept read-only slots (KVM_CAP_READONLY_MEM). No s390 host does.
    pfault : bool
        Faults may be resolved asynchronously (`FaultContext`). arm64 guests do not.
    quirks : iterable of str
        Behave as the kernel does where this model knows better: "age-loses-dirty",
        "unmap-loses-dirty".

    Raises
    ------
    ConfigError
        An unknown quirk, or a size the host does not support (`.errno` as from KVM_CREATE_VM).
    ClosedError
        The host has been closed.

    Attributes
    ----------
    translate, translate_write : numpy.ufunc
        uint64 guest addresses to (uint64 host addresses, uint16 interruption codes).
    ipa_bits : int

    Notes
    -----
    A fresh gmap of the newest published revision: table type by the size in frames, the whole
    top-level table a hole, 1 MiB frames allowed (ipa.md section 4). Any number of threads may
    use one address space at once.

    >>> import gmap
    >>> host = gmap.SyntheticHost()
    >>> region = host.map(1 << 30)
    >>> g = gmap.Gmap(host)
    >>> g.set_memory_region(0, 0x4000_0000, region.nbytes, region.hva)
    >>> g.fault_in(0x40000)
    0
    >>> pa, pic = g.translate(np.uint64(0x4000_0123))
    >>> hex(pa), int(pic)
    ('0x80000123', 0)
    """

    # Not __init__, which a subclass may forget: nothing here works without its tables.
    def __cinit__(self, Host host not None, ipa_bits=40, allow_1m=True, allow_2g=False, *,
                  readonly_mem=False, pfault=False, quirks=()):
        cdef uint64_t flags = GMAP_FLAG_OWNS_PAGETABLES
        cdef uint64_t size
        cdef int asce_type
        if load(&host.c.closed):
            raise ClosedError("the host has been closed: make a new one")
        if not ipa_bits:
            raise ConfigError("ipa_bits 0: name a size, 32 or more")
        self.ipa_bits = _ipa.ipa_shift(ipa_bits, ipa_limit=_ipa.ipa_limit(host.hamaxpow))
        size = <uint64_t>1 << self.ipa_bits
        asce_type = limit_to_type(size >> PAGE_SHIFT)
        flags |= GMAP_FLAG_ALLOW_HPAGE_1M if allow_1m else 0
        flags |= GMAP_FLAG_ALLOW_HPAGE_2G if allow_2g else 0
        flags |= GMAP_FLAG_PFAULT_ENABLED if pfault else 0
        quirks = frozenset(quirks)
        unknown = quirks - _QUIRKS.keys()
        if unknown:
            raise ConfigError(f"quirks {sorted(unknown)}: use {sorted(_QUIRKS)}")
        self.space = Space()
        self.c = <gmap_t *>zalloc_lines(sizeof(gmap_t))
        if self.c == NULL or gmap_init(self.c, &host.c, size, asce_type, flags):
            release(self.c)
            raise HostMemoryError("no memory for the tables of an address space")
        self.space.c = self.c
        self.space.host = host
        for quirk in quirks:
            self.c.quirks |= _QUIRKS[quirk]
        self.space.slots = Memslots(readonly_mem)
        self.space.slots.g = self.c
        self.translate = make_translate(self.c, False, self.space)
        self.translate_write = make_translate(self.c, True, self.space)

    def __repr__(self):
        return (f"<Gmap ipa_bits={self.ipa_bits} asce={self.asce:#x} "
                f"slots={len(self.space.slots.by_id)}>")

    # --- what it is --------------------------------------------------------------------------

    @property
    def host(self):
        """The host whose memory it maps."""
        return self.space.host

    @property
    def memslots(self):
        """The memory slots, by guest address, as `MemslotInfo`."""
        return [MemslotInfo(*row) for row in self.space.slots.describe()]

    def stats(self):
        """Counters of `gmap.Counter` by name in lower case, and the table memory, as a dict.

        Also `table_bytes` (in use), `crst_tables`, `page_tables`, and `table_bytes_mapped`
        (what this process holds for tables, spares included).

        >>> import gmap
        >>> gmap.Gmap(gmap.SyntheticHost()).stats()["lookups"]
        0
        """
        result = {counter.name.lower(): load(&self.c.counters[counter]) for counter in Counter}
        result["crst_tables"] = load(&self.c.arena.live[KIND_CRST])
        result["page_tables"] = load(&self.c.arena.live[KIND_PT])
        result["table_bytes"] = self.table_bytes()
        result["table_bytes_mapped"] = arena_mapped_bytes(&self.c.arena)
        return result

    # --- memory slots ------------------------------------------------------------------------

    def set_memory_region(self, slot, guest_phys_addr, memory_size, userspace_addr, flags=0):
        """Create, move, delete (size 0) or re-flag a memory slot: KVM_SET_USER_MEMORY_REGION.

        Parameters
        ----------
        slot : int
            0 to 32766.
        guest_phys_addr, memory_size, userspace_addr : int
            Bytes, multiples of 4096; `userspace_addr` is a host address, usually a region's.
        flags : int or SlotFlag
            LOG_DIRTY_PAGES; READONLY where the address space allows it.

        Raises
        ------
        ConfigError
            With the errno of KVM's first rule that is broken; nothing has changed then.
        HostMemoryError
            No memory; nothing has changed.

        >>> import gmap
        >>> host = gmap.SyntheticHost()
        >>> region = host.map(1 << 20)
        >>> g = gmap.Gmap(host)
        >>> g.set_memory_region(0, 0, region.nbytes, region.hva)
        >>> g.set_memory_region(1, 4096, 4096, region.hva)
        Traceback (most recent call last):
            ...
        gmap.errors.ConfigError: slot 1: [0x1000, 0x2000) overlaps slot 0
        """
        cdef uint64_t last = 0xFFFFFFFFFFFFFFFF
        self.space.check_open()
        self.space.slots.set(
            as_u64(slot, "slot", last), as_u64(guest_phys_addr, "guest_phys_addr", last),
            as_u64(memory_size, "memory_size", last),
            as_u64(userspace_addr, "userspace_addr", last), as_u64(flags, "flags", last))

    def get_dirty_log(self, slot, *, bint clear=True):
        """Which pages of a slot were written since the last call: KVM_GET_DIRTY_LOG.

        Parameters
        ----------
        slot : int
            One that has LOG_DIRTY_PAGES.
        clear : bool
            False leaves the log as it is (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2): clear it with
            `clear_dirty_log`.

        Returns
        -------
        numpy.ndarray
            uint64, one bit a page: page n is bit n % 64 of word n // 64.

        Raises
        ------
        ConfigError
            errno EINVAL for a slot number out of range, ENOENT for one that logs nothing.

        >>> import gmap
        >>> host = gmap.SyntheticHost()
        >>> region = host.map(1 << 20)
        >>> g = gmap.Gmap(host)
        >>> g.set_memory_region(0, 0, region.nbytes, region.hva, gmap.SlotFlag.LOG_DIRTY_PAGES)
        >>> g.fault_in(3, write=True)
        0
        >>> g.get_dirty_log(0)
        array([8, 0, 0, 0], dtype=uint64)
        """
        return self.space.slots.get_dirty_log(as_u64(slot, "slot", 0xFFFFFFFF), clear)

    def clear_dirty_log(self, slot, first_page, num_pages, bitmap):
        """Clear bits of a slot's dirty log: KVM_CLEAR_DIRTY_LOG.

        Parameters
        ----------
        slot : int
        first_page : int
            Multiple of 64.
        num_pages : int
            Multiple of 64, or up to the end of the slot.
        bitmap : array_like of uint64
            Bit n set: clear page first_page + n.

        Raises
        ------
        ConfigError
            errno EINVAL, ENOENT, or EFAULT for a bitmap too short.

        Notes
        -----
        The rules are the generic ones; the s390 module does not have this ioctl (faultin.md
        section 9). The pages were write-protected again when they were collected, so clearing
        touches the bitmap alone, and what was written since stays to be reported.

        >>> import gmap
        >>> host = gmap.SyntheticHost()
        >>> region = host.map(1 << 20)
        >>> g = gmap.Gmap(host)
        >>> g.set_memory_region(0, 0, region.nbytes, region.hva, gmap.SlotFlag.LOG_DIRTY_PAGES)
        >>> g.fault_in(3, write=True)
        0
        >>> seen = g.get_dirty_log(0, clear=False)
        >>> g.clear_dirty_log(0, 0, 256, seen)
        >>> g.get_dirty_log(0).any()
        np.False_
        """
        self.space.slots.clear_dirty_log(
            as_u64(slot, "slot", 0xFFFFFFFF), as_u64(first_page, "first_page", LAST_GFN),
            as_u64(num_pages, "num_pages", LAST_GFN), bitmap)

    # --- faults ------------------------------------------------------------------------------

    def fault_in(self, gfn, write=False, str errors="raise", *, bint pfault=False):
        """Map guest frames, as the fault handler does.

        Parameters
        ----------
        gfn : int or array_like of uint64
            Guest frame numbers (address >> 12).
        write : bool or array of bool
            The access that faulted was a write; an array has the shape of `gfn`.
        errors : {"raise", "status", "mask"}
            "raise" raises for the first frame that failed (the others are mapped), "status"
            returns the codes, "mask" a masked array.
        pfault : bool
            The lookup may not wait; see `FaultContext` for a vCPU that takes such faults.

        Returns
        -------
        int or int32 array
            0, or a program interruption code (5: no slot), or a negative errno: -EINTR,
            -EOPNOTSUPP (write to a read-only slot or frame), -EFAULT (no or bad host memory),
            -ENOMEM, -EAGAIN and -EINVAL (the host needs I/O and may not wait).

        Raises
        ------
        FaultError
            With `.gfn` and `.code`.
        AddressError
            A frame number above 2**52 - 1 or not an unsigned integer; nothing was mapped.

        Notes
        -----
        faultin.md section 2. Arrays go through the state machine in batches, with the result of
        one fault after the other, and let other threads run.

        >>> import gmap
        >>> host = gmap.SyntheticHost()
        >>> region = host.map(1 << 20)
        >>> g = gmap.Gmap(host)
        >>> g.set_memory_region(0, 0, region.nbytes, region.hva)
        >>> g.fault_in([0, 1, 2], write=True)
        array([0, 0, 0], dtype=int32)
        >>> g.fault_in(np.arange(255, 258, dtype=np.uint64), errors="status")
        array([0, 5, 5], dtype=int32)
        """
        if PyLong_CheckExact(gfn) and (write is False or write is True) and not pfault:
            # Without letting go of the interpreter.
            if fault_from_tables(self.c, as_u64(gfn, "gfn", LAST_GFN), write is True):
                return 0
        return fault_in(self.space, NULL, gfn, write, errors, pfault)

    def fault_latency(self, gfn, write=False):
        """Fault frames in one at a time and measure each.

        Parameters
        ----------
        gfn : array_like of uint64
        write : bool or array of bool

        Returns
        -------
        codes : int32 array
        histogram : structured array
            `gmap.dtypes.HISTOGRAM`: eight buckets an octave of nanoseconds, empty ones left out.
            Each time includes one reading of the clock.

        >>> import gmap
        >>> host = gmap.SyntheticHost()
        >>> region = host.map(1 << 20)
        >>> g = gmap.Gmap(host)
        >>> g.set_memory_region(0, 0, region.nbytes, region.hva)
        >>> codes, histogram = g.fault_latency(range(256))
        >>> int(histogram["count"].sum())
        256
        """
        return timed_faults(self.space, gfn, write)

    def get_guest_pages(self, gfn, n=1, write=False):
        """Frames of neighbouring gfns for a caller that maps them itself; nothing is linked.

        Parameters
        ----------
        gfn, n : int
        write : bool

        Returns
        -------
        GuestPages

        Raises
        ------
        FaultError
            The first frame that has none; those before it have been released. A read-only
            frame is -EFAULT here (faultin.md section 4).

        >>> import gmap
        >>> host = gmap.SyntheticHost()
        >>> region = host.map(1 << 20)
        >>> g = gmap.Gmap(host)
        >>> g.set_memory_region(0, 0, region.nbytes, region.hva)
        >>> with g.get_guest_pages(0, 2) as pages:
        ...     pages.need_retry(), [hex(pfn) for pfn in pages.pfn]
        (False, ['0x80000', '0x80001'])
        """
        return guest_pages(self.space, gfn, n, write)

    # --- what the host's notifiers do --------------------------------------------------------

    def unmap(self, gfn, ngfns):
        """Unmap the frames of a range that are in a slot; translations of them are over.

        Parameters
        ----------
        gfn, ngfns : int
            Guest frame numbers, [gfn, gfn + ngfns).

        >>> import gmap
        >>> host = gmap.SyntheticHost()
        >>> region = host.map(1 << 20)
        >>> g = gmap.Gmap(host)
        >>> g.set_memory_region(0, 0, region.nbytes, region.hva)
        >>> g.fault_in(0)
        0
        >>> g.unmap(0, 256)
        >>> int(g.translate(np.uint64(0))[1])
        17
        """
        cdef uint64_t first, end
        first, end = gfn_range(gfn, ngfns)
        with nogil:
            gmap_unmap(self.c, first, end)

    @contextlib.contextmanager
    def invalidating(self, gfn, ngfns):
        """Keep a range unmapped while the body runs, as a notifier does around a host's change.

        Faults in the range wait until the body is left (faultin.md section 3), in whatever
        thread they are; so do not fault there from the body itself.

        >>> import gmap
        >>> host = gmap.SyntheticHost()
        >>> region = host.map(1 << 20)
        >>> g = gmap.Gmap(host)
        >>> g.set_memory_region(0, 0, region.nbytes, region.hva)
        >>> g.fault_in(0)
        0
        >>> with g.invalidating(0, 16):
        ...     len(g.leaves())
        0
        """
        cdef uint64_t first, end
        first, end = gfn_range(gfn, ngfns)
        with nogil:
            write_lock(&self.c.mmu_lock)
            gmap_invalidate_start(self.c, first, end)
            write_unlock(&self.c.mmu_lock)
            gmap_unmap(self.c, first, end)
        try:
            yield
        finally:
            with nogil:
                write_lock(&self.c.mmu_lock)
                gmap_invalidate_end(self.c)
                write_unlock(&self.c.mmu_lock)

    def age(self, gfn, ngfns):
        """Make the mappings of a range old; True if one of them was young.

        >>> import gmap
        >>> host = gmap.SyntheticHost()
        >>> region = host.map(1 << 20)
        >>> g = gmap.Gmap(host)
        >>> g.set_memory_region(0, 0, region.nbytes, region.hva)
        >>> g.fault_in(0)
        0
        >>> g.age(0, 256), g.age(0, 256)
        (True, False)
        """
        cdef uint64_t first, end
        cdef bint young
        first, end = gfn_range(gfn, ngfns)
        with nogil:
            young = gmap_age(self.c, first, end, False)
        return bool(young)

    def test_age(self, gfn, ngfns):
        """True if a mapping in a range is young; changes nothing.

        >>> import gmap
        >>> gmap.Gmap(gmap.SyntheticHost()).test_age(0, 1 << 20)
        False
        """
        cdef uint64_t first, end
        cdef bint young
        first, end = gfn_range(gfn, ngfns)
        with nogil:
            young = gmap_age(self.c, first, end, True)
        return bool(young)

    # --- changing the tables -----------------------------------------------------------------

    def split_huge_pages(self):
        """Drop every mapping larger than 4 KiB; faults bring pages back (dat-gmap.md 11.6).

        >>> import gmap
        >>> gmap.Gmap(gmap.SyntheticHost()).split_huge_pages()
        """
        with nogil:
            gmap_split_huge_pages(self.c)

    def split(self, gfn):
        """Replace the larger frames that map given gfns by tables of pages, mappings kept.

        Parameters
        ----------
        gfn : int or array_like of uint64

        Returns
        -------
        int or int32 array
            Codes of the entry walk with SPLIT and ALLOC, all or nothing for each gfn: 0, 5 in a
            hole, -ENOMEM.

        >>> import gmap
        >>> host = gmap.SyntheticHost()
        >>> region = host.map(1 << 20, folio="1m")
        >>> g = gmap.Gmap(host)
        >>> g.set_memory_region(0, 0, region.nbytes, region.hva)
        >>> g.fault_in(0), len(g.leaves()), g.split(0), len(g.leaves())
        (0, 1, 0, 256)
        """
        codes = self.split_each(as_u64_array(gfn, "gfn", LAST_GFN), NULL)
        return codes if codes.ndim else int(codes)

    def split_latency(self, gfn):
        """As `split`, and measure each.

        Returns
        -------
        codes : int32 array
        histogram : structured array
            As `fault_latency` gives it.

        >>> import gmap
        >>> codes, histogram = gmap.Gmap(gmap.SyntheticHost()).split_latency([0, 1])
        >>> codes.tolist(), int(histogram["count"].sum())
        ([5, 5], 2)
        """
        cdef uint64_t counts[N_BUCKETS]
        memset(counts, 0, sizeof(counts))
        codes = self.split_each(as_u64_array(gfn, "gfn", LAST_GFN), counts)
        return codes, histogram_array(counts)

    cdef object split_each(self, object gfn, uint64_t *histogram):
        """Split at each of the guarded gfns; the codes, in their shape."""
        cdef const uint64_t[::1] gfns = np.ascontiguousarray(gfn).reshape(-1)
        cdef int32_t[::1] codes
        cdef uint64_t i, started = 0, ended
        cdef dat_walk_t walk
        cdef mmu_cache_t mc
        result = np.empty(gfn.shape, dtype=np.int32)
        codes = result.reshape(-1)
        memset(&mc, 0, sizeof(mc))
        with nogil:
            if histogram != NULL:
                started = now_ns()
            for i in range(<uint64_t>gfns.shape[0]):
                codes[i] = locked_walk(self.c, &mc, gfns[i], WALK_SPLIT_ALLOC, LEVEL_PAGE, &walk)
                if histogram != NULL:
                    ended = now_ns()
                    histogram[bucket_of(ended - started)] += 1
                    started = ended
            mmu_cache_drain(&self.c.arena, &mc)
        return result

    def set_limit(self, limit):
        """Change the size of the address space: gmap_set_limit (dat-gmap.md section 8).

        Parameters
        ----------
        limit : int
            Bytes; 0 is no limit. The table type that covers it is taken; the guest's physical
            size is not changed.

        Raises
        ------
        ConfigError
            errno EBUSY: a slot lies beyond the new end.

        Notes
        -----
        arm64 guests never do this: their ASCE is in the SAE block (ipa.md section 4). Shrinking
        stops early where a 2 GiB frame is mapped at address 0.

        >>> import gmap
        >>> g = gmap.Gmap(gmap.SyntheticHost())
        >>> g.set_limit(1 << 44)
        >>> hex(g.asce & 0xfff)
        '0x1cb'
        """
        cdef uint64_t nbytes = as_u64(limit, "limit", 0xFFFFFFFFFFFFFFFF)
        cdef int new_type = limit_to_type((nbytes >> PAGE_SHIFT) + (nbytes & 0xFFF != 0))
        cdef int rc = 0
        with self.space.slots.lock:
            end = self.space.slots.highest_gfn()
            if end > asce_end(<uint64_t>new_type << 2):
                raise ConfigError(
                    f"limit {nbytes:#x}: a memory slot ends at {end << PAGE_SHIFT:#x}; delete it "
                    "first", EBUSY)
            with nogil:
                rc = gmap_set_limit(self.c, new_type)
        if rc:
            raise HostMemoryError("no memory for larger tables; nothing has changed")

    def replace_asce(self):
        """Go on with a copy of the top-level table: s390_replace_asce (dat-gmap.md section 10).

        Nothing changes but where the table is, so `asce` does. The kernel leaves the old table
        to whoever may still use it; here it is freed once no translation does.

        Raises
        ------
        ConfigError
            errno EINVAL: the top-level table is a segment table.

        >>> import gmap
        >>> g = gmap.Gmap(gmap.SyntheticHost())
        >>> before = g.asce
        >>> g.replace_asce()
        >>> g.asce != before, g.asce & 0xfff == before & 0xfff
        (True, True)
        """
        cdef int rc
        with nogil:
            rc = gmap_replace_asce(self.c)
        if rc == -EINVAL:
            raise ConfigError("the top-level table is a segment table: raise the limit first",
                              EINVAL)
        if rc:
            raise HostMemoryError("no memory for another table; nothing has changed")

    # --- looking -----------------------------------------------------------------------------

    def pfault_events(self):
        """The last trace events kvm_s390_major_guest_pfault, as `gmap.dtypes.PFAULT_EVENT`.

        >>> import gmap
        >>> len(gmap.Gmap(gmap.SyntheticHost()).pfault_events())
        0
        """
        cdef uint64_t n, i
        cdef gmap_t *g = self.c
        spin_lock(&g.events_lock)
        n = g.n_events
        rows = [(g.events[i % N_EVENTS].id, g.events[i % N_EVENTS].pstate,
                 g.events[i % N_EVENTS].pc, g.events[i % N_EVENTS].gfn)
                for i in range(n - N_EVENTS if n > N_EVENTS else 0, n)]
        spin_unlock(&g.events_lock)
        return np.array(rows, dtype=PFAULT_EVENT)


cdef (uint64_t, uint64_t) gfn_range(object gfn, object ngfns) except *:
    """Guard a range of frames: (first, end)."""
    cdef uint64_t first = as_u64(gfn, "gfn", LAST_GFN)
    cdef uint64_t n = as_u64(ngfns, "ngfns", LAST_GFN + 1 - first)
    return first, first + n
