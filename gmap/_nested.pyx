"""Two-level translation as Python has it. Floor 3."""

cimport numpy as cnp
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t

import numpy as np

from gmap._address cimport as_u64, as_u64_array
from gmap._atomic cimport load, load_entry
from gmap._buffer import BufferHost
from gmap._defs cimport (
    ACCESS_READ, ACCESS_WRITE, LEVEL_PAGE, PAGE_SHIFT, STATUS_STAGE_1,
)
from gmap._memory cimport release, zalloc_lines
from gmap._nested_batch cimport two_batch_t, two_flush, two_release, two_translate
from gmap._stage1 cimport (
    S1_DONE, S1_FETCH, Stage1, s1_allow_bit, s1_allowance, s1_attributes, s1_begin, s1_check,
    s1_shareability, s1_step, s1_untagged, s1_walk_t,
)
from gmap._readable cimport AddressSpace
from gmap._sync cimport srcu_read_lock, srcu_read_unlock
from gmap._tlb cimport AND_GLOBAL, ANY_ASID
from gmap._ufunc cimport make_access_ufunc, make_address_ufunc
from gmap._walk cimport (
    asce_dt, dat_translate, dat_walk, dat_walk_t,
)

from gmap._defs import Access, TwoCounter
from gmap._explain import Explanation, Step, describe_descriptor, describe_entry
from gmap.errors import AddressError, AddressTypeError, ConfigError, HostMemoryError

cnp.import_array()

ALL_ONES = 0xFFFF_FFFF_FFFF_FFFF


cdef enum:
    GAPS = 256      # addresses taken at once from an array that is not contiguous


# --- the loops NumPy calls ------------------------------------------------------------------

cdef void run_loop(two_t *two, char *va, cnp.npy_intp va_step, char *access,
                   cnp.npy_intp access_step, char *pa, cnp.npy_intp pa_step, char *status,
                   cnp.npy_intp status_step, cnp.npy_intp n) noexcept nogil:
    """A batch of any strides; `access_step` 0 is one kind for all."""
    cdef uint64_t vas[GAPS]
    cdef uint8_t kinds[GAPS]
    cdef uint64_t pas[GAPS]
    cdef uint32_t codes[GAPS]
    cdef two_batch_t batch
    cdef cnp.npy_intp at = 0, i
    if va_step == sizeof(uint64_t) and access_step in (0, 1) and pa_step == sizeof(uint64_t) and (
            status_step == sizeof(uint32_t)):
        batch.va = <const uint64_t *>va
        batch.access = <const uint8_t *>access
        batch.access_step = <uint64_t>access_step
        batch.pa = <uint64_t *>pa
        batch.status = <uint32_t *>status
        batch.n = <uint64_t>n
        two_translate(two, &batch)
        return
    batch.va = vas
    batch.access = kinds
    batch.access_step = 1
    batch.pa = pas
    batch.status = codes
    while at < n:
        batch.n = <uint64_t>min(<cnp.npy_intp>GAPS, n - at)
        for i in range(<cnp.npy_intp>batch.n):
            vas[i] = (<const uint64_t *>(va + (at + i) * va_step))[0]
            kinds[i] = (<const uint8_t *>(access + (at + i) * access_step))[0]
        two_translate(two, &batch)
        if batch.interrupted:
            return      # NumPy raises what the handler did
        for i in range(<cnp.npy_intp>batch.n):
            (<uint64_t *>(pa + (at + i) * pa_step))[0] = pas[i]
            (<uint32_t *>(status + (at + i) * status_step))[0] = codes[i]
        at += <cnp.npy_intp>batch.n


cdef void read_loop(char **args, const cnp.npy_intp *dims, const cnp.npy_intp *steps,
                    void *data) noexcept nogil:
    cdef uint8_t read = ACCESS_READ
    run_loop(<two_t *>data, args[0], steps[0], <char *>&read, 0, args[1], steps[1], args[2],
             steps[2], dims[0])


cdef void access_loop(char **args, const cnp.npy_intp *dims, const cnp.npy_intp *steps,
                      void *data) noexcept nogil:
    run_loop(<two_t *>data, args[0], steps[0], args[1], steps[1], args[2], steps[2], args[3],
             steps[3], dims[0])


_DOC = b"""translate(va, /, out=None, *, where=True) -> (pa, status)

Translate guest virtual addresses for reading.

Parameters
----------
va : array_like of uint64
    Guest virtual addresses in bytes. Signed and Python integers are looked at first: a negative
    one is refused, as are floats.

Returns
-------
pa : uint64 array
    Host addresses in bytes, 0 where the translation failed.
status : uint32 array
    0 where it succeeded; `gmap.describe_status` takes the others apart.

Notes
-----
A NumPy ufunc of this pair: it broadcasts, takes out= and where=, and lets other threads run.
"""


# --- the pair -------------------------------------------------------------------------------

cdef class Pair:
    """Owner of the C side; what the ufuncs keep alive."""

    cdef two_t *c
    cdef AddressSpace space

    def __dealloc__(self):
        if self.c != NULL:
            two_release(self.c)
            release(self.c)


cdef class TwoLevel:
    """Both levels of an arm64 guest's translation: stage 1 in guest memory, the gmap under it.

    Parameters
    ----------
    stage1 : Stage1
        The guest's registers.
    gmap : Gmap or Snapshot
        Its stage 2. The tables of stage 1 are read from host memory, so it must be a `Gmap` over
        a `BufferHost`, unless stage 1 is off (SCTLR.M clear).
    fault_in : bool
        False: a probe. Nothing changes; a descriptor whose access flag hardware would set counts
        as if it were set. True: accesses as a processor makes them. What stage 2 lacks is
        faulted in, and hardware's updates of descriptors (HAFDBS) are made.
    tlb : bool
        Keep translations between calls. A change of the guest's tables then shows after `flush`,
        as on hardware; a change of the gmap always shows.

    Attributes
    ----------
    translate : numpy.ufunc
        uint64 virtual addresses to (uint64 host addresses, uint32 status), for reads.
    stage1, gmap

    Raises
    ------
    ConfigError
        Stage 1 over a host without bytes, or faults in a `Snapshot`.

    Notes
    -----
    Every access to a stage-1 table goes through the gmap, and so does the result: with n and m
    levels and nothing cached a walk is (n+1)(m+1)-1 memory references, which `explain` counts.
    Any number of threads may translate and flush at once.

    >>> import gmap
    >>> host = gmap.BufferHost()
    >>> ram = host.map(1 << 20)
    >>> g = gmap.Gmap(host)
    >>> g.set_memory_region(0, 0, ram.nbytes, ram.hva)
    >>> table = ram.array.view(np.uint64)
    >>> table[0x1000 // 8] = 0x2003                     # level 1: a table at 0x2000
    >>> table[0x2000 // 8] = 0x3003                     # level 2: a table at 0x3000
    >>> table[0x3000 // 8 + 5] = 0x7000 | 1 << 10 | 3   # level 3: page 5 is at 0x7000
    >>> s1 = gmap.Stage1(ttbr0=0x1000, tcr=25 | 5 << 32)
    >>> two = gmap.TwoLevel(s1, g, fault_in=True)
    >>> pa, status = two.translate(np.uint64(0x5123))
    >>> hex(int(pa) - ram.hva), int(status)
    ('0x7123', 0)
    >>> print(gmap.describe_status(two.translate(np.uint64(0x6000))[1]))
    stage 1 translation fault, level 3 (FSC 0x07)
    """

    def __cinit__(self, Stage1 stage1 not None, AddressSpace gmap not None, *,
                  bint fault_in=False, bint tlb=True):
        cdef Pair pair = Pair()
        cdef object host = getattr(gmap, "host", gmap)
        pair.space = gmap
        if stage1.c.mmu_on and not isinstance(host, BufferHost):
            raise ConfigError(
                f"stage 1 needs its tables in memory, which {type(host).__name__} does not "
                "have: use a gmap over a BufferHost, or sctlr with M (bit 0) clear")
        if fault_in and host is gmap:
            raise ConfigError("a snapshot cannot be faulted in: use fault_in=False, or a Gmap")
        pair.c = <two_t *>zalloc_lines(sizeof(two_t))
        if pair.c == NULL:
            raise HostMemoryError("no memory for a two-level translation")
        pair.c.regime = stage1.c
        pair.c.g = gmap.tables_of()
        pair.c.faults = fault_in
        pair.c.caches = tlb
        self.pair = pair
        self.c = pair.c
        self.stage1 = stage1
        self.gmap = gmap
        self.fault_in = fault_in
        self.translate = make_address_ufunc(<void *>read_loop, self.c, pair, b"translate", _DOC,
                                            cnp.NPY_UINT32)
        self.by_access = make_access_ufunc(<void *>access_loop, self.c, pair,
                                           b"translate_access", _DOC, cnp.NPY_UINT32)

    def __repr__(self):
        return f"<TwoLevel {self.stage1!r} over {self.gmap!r}>"

    def translate_access(self, va, access, out=None, *, where=True):
        """Translate guest virtual addresses for accesses of different kinds.

        Parameters
        ----------
        va : array_like of uint64
            Guest virtual addresses in bytes.
        access : array_like of int
            0 read, 1 write, 2 fetch (`gmap.Access`); broadcast with `va`.
        out, where
            As of a ufunc.

        Returns
        -------
        pa : uint64 array
        status : uint32 array
            As from `translate`.

        Raises
        ------
        AddressError, AddressTypeError
            An address that is no unsigned 64-bit integer, or another kind of access.

        >>> import gmap
        >>> off = gmap.Stage1(sctlr=0)
        >>> two = gmap.TwoLevel(off, gmap.Gmap(gmap.SyntheticHost()))
        >>> pa, status = two.translate_access(0x1000, [0, 1])
        >>> [gmap.describe_status(code).pic for code in status]
        [59, 59]
        """
        given = np.asarray(access)
        if given.size and given.dtype.kind not in "ui":
            raise AddressTypeError(f"access must be integers, got dtype {given.dtype}: use 0 "
                                   "(read), 1 (write) and 2 (fetch)")
        if given.size and not (0 <= given.min() and given.max() <= max(Access)):
            wrong = given.min() if given.min() < 0 else given.max()
            raise AddressError(f"access {wrong}: use 0 (read), 1 (write) or 2 (fetch)")
        return self.by_access(as_u64_array(va, "va", ALL_ONES), given.astype(np.uint8),
                              out=(None, None) if out is None else out, where=where)

    def flush(self, va=None, nbytes=1, *, asid=None, bint last_level=False):
        """Drop translations after a change of stage 1: what the guest's TLBI does.

        Parameters
        ----------
        va : int, optional
            The first address of a range of `nbytes`; without it, everything. A page of a
            block goes with any other.
        nbytes : int
            Bytes of the range.
        asid : int, optional
            Of this address space only; with `va` also of global pages.
        last_level : bool
            Only the last level has changed. What is kept between calls is whole translations, so
            this changes nothing.

        Raises
        ------
        AddressError, AddressTypeError
            A value out of range.

        Notes
        -----
        Returns when no translation under way in another thread still uses what was dropped.
        Without arguments TLBI VMALLE1, with `asid` ASIDE1, with `va` VAAE1, with both VAE1.

        >>> import gmap
        >>> two = gmap.TwoLevel(gmap.Stage1(sctlr=0), gmap.Gmap(gmap.SyntheticHost()))
        >>> two.flush(); two.flush(0x1000, asid=5)
        """
        cdef uint32_t owner = ANY_ASID
        cdef uint64_t start = 0, end = <uint64_t>1 << (64 - PAGE_SHIFT), first, n
        if asid is not None:
            owner = <uint32_t>as_u64(asid, "asid", 0xFFFF)
            if va is not None:
                owner |= AND_GLOBAL
        if va is not None:
            # Bit 55 decides the half, whatever tag the address carries.
            first = s1_untagged(as_u64(va, "va", ALL_ONES), True)
            n = as_u64(nbytes, "nbytes", ALL_ONES)
            if n == 0:
                return
            start = first >> PAGE_SHIFT
            if n - 1 <= ~first:
                end = ((first + (n - 1)) >> PAGE_SHIFT) + 1
        with nogil:
            two_flush(self.c, start, end, owner)

    def stats(self):
        """What has been counted, as {name: int} (`gmap.TwoCounter`, names in lower case).

        `lookups` = `tlb_hits` + `table_hits` + `walks` while nothing is under way.

        >>> import gmap
        >>> two = gmap.TwoLevel(gmap.Stage1(sctlr=0), gmap.Gmap(gmap.SyntheticHost()))
        >>> _ = two.translate([0x1000, 0x2000])
        >>> stats = two.stats()
        >>> stats["lookups"], stats["walks"], stats["stage2_faults"]
        (2, 2, 2)
        """
        return {counter.name.lower(): load(&self.c.counters[<int>counter])
                for counter in TwoCounter}

    # --- one address, whole ------------------------------------------------------------------

    def explain(self, va, access=0):
        """Translate one address and tell every step; nothing changes.

        Parameters
        ----------
        va : int
            A guest virtual address.
        access : int
            0 read, 1 write, 2 fetch.

        Returns
        -------
        Explanation
            `.steps`, `.ipa`, `.pa`, `.refs`, `.status`, `.fault`, attributes and rights; `str()`
            gives a page to read.

        Raises
        ------
        AddressError, AddressTypeError
            A value out of range.

        >>> import gmap
        >>> two = gmap.TwoLevel(gmap.Stage1(sctlr=0), gmap.Gmap(gmap.SyntheticHost()))
        >>> story = two.explain(0x1000)
        >>> story.refs, story.pa, story.fault.kind, hex(story.ipa)
        (1, None, 'translation', '0x1000')
        """
        cdef uint64_t address = as_u64(va, "va", ALL_ONES)
        cdef int kind = <int>as_u64(access, "access", 2)
        cdef int el = self.c.regime.el
        cdef s1_walk_t w
        cdef uint64_t pa, desc
        cdef int rc
        cdef list steps = []
        cdef unsigned int token = srcu_read_lock(&self.c.g.tlb)
        cdef uint64_t asce = load_entry(&self.c.g.asce)
        cdef uint32_t status
        try:
            rc = s1_begin(&self.c.regime, address, el, &w)
            while rc == S1_FETCH:
                status = self.tell_stage2(steps, asce, w.desc_ipa, False, True, &pa)
                if status:
                    return Explanation(address, kind, el, tuple(steps), w.desc_ipa, None, status)
                desc = descriptor(&self.c.regime, load(<uint64_t *><uintptr_t>pa))
                steps.append(Step(1, w.level, w.desc_ipa, desc,
                                  describe_descriptor(w.level, desc)))
                rc = s1_step(&self.c.regime, &w, desc)
            if rc != S1_DONE:
                return Explanation(address, kind, el, tuple(steps), None, None,
                                   <uint32_t>rc | STATUS_STAGE_1)
            story = {
                "attr": s1_attributes(&self.c.regime, &w, kind),
                "sh": s1_shareability(&w),
                "size": 0 if w.half == NULL else 1 << w.shift,
                "rights": ({} if w.half == NULL else
                           rights(s1_allowance(&self.c.regime, &w), self.c.regime.pan)),
            }
            rc = s1_check(&self.c.regime, &w, s1_allow_bit(kind, el, self.c.regime.pan))
            if rc != S1_DONE:
                return Explanation(address, kind, el, tuple(steps), None, None,
                                   <uint32_t>rc | STATUS_STAGE_1, **story)
            status = self.tell_stage2(steps, asce, w.out, kind == ACCESS_WRITE, False, &pa)
            return Explanation(address, kind, el, tuple(steps), w.out,
                               None if status else pa, status, **story)
        finally:
            srcu_read_unlock(&self.c.g.tlb, token)

    cdef uint32_t tell_stage2(self, list steps, uint64_t asce, uint64_t ipa, bint write,
                              bint s1ptw, uint64_t *pa):
        """Translate one intermediate physical address, noting every entry; the status."""
        cdef dat_walk_t walk
        cdef int level, pic = dat_translate(asce, ipa, write, pa, &walk)
        cdef uint64_t pte
        if walk.crstep != NULL or walk.ptep != NULL:
            for level in range(asce_dt(asce), LEVEL_PAGE, -1):
                dat_walk(asce, ipa, level, &walk)
                if walk.crstep == NULL or walk.level != level:
                    break
                steps.append(Step(2, level, <uint64_t><uintptr_t>walk.crstep, walk.crste,
                                  describe_entry(level, walk.crste)))
            dat_walk(asce, ipa, LEVEL_PAGE, &walk)
            if walk.ptep != NULL:
                pte = load(walk.ptep)
                steps.append(Step(2, LEVEL_PAGE, <uint64_t><uintptr_t>walk.ptep, pte,
                                  describe_entry(LEVEL_PAGE, pte)))
        return stage2_status(pic, walk.level, s1ptw) if pic else 0


cdef dict rights(unsigned int allowed, bint pan):
    """An allowance as text."""
    cdef unsigned int el1 = allowed >> 3 & 7
    if pan:
        el1 = allowed >> 6 & 3 | el1 & 4
    return {name: "".join(letter if bits >> i & 1 else "-" for i, letter in enumerate("rwx"))
            for name, bits in (("el0", allowed & 7), ("el1", el1))}
