"""An address space as one reads it: translations, walks, and what its tables hold. Floor 3.

What `Gmap` and `Snapshot` have in common: nothing here changes an entry, but for a walk that
is asked to.
"""

cimport cython
from libc.errno cimport ENOMEM
from libc.stdint cimport uint64_t
from libc.string cimport memset

from typing import NamedTuple

from gmap._address cimport as_u64
from gmap._atomic cimport likely, load
from gmap._defs cimport CRST_BYTES, PAGE_SHIFT, PT_BYTES
from gmap._inspect cimport leaf_array, table_dict
from gmap._runs cimport run_array
from gmap._sync cimport read_lock, read_unlock, srcu_read_lock, srcu_read_unlock
from gmap._tables cimport (
    KIND_CRST, KIND_PT, dat_entry_walk, mmu_cache_drain, mmu_cache_t, mmu_cache_topup, pgste_slot,
)
from gmap._walk cimport asce_dt, dat_translate, dat_walk_t

from gmap._defs import Level, Walk
from gmap.errors import TranslationError

# Last frame number an address of 64 bits has.
cdef uint64_t LAST_GFN = (<uint64_t>1 << 52) - 1


class EntryWalk(NamedTuple):
    """Where `Gmap.walk` ended: its code, the level of the last entry, and what was there.

    `crste` is the last region- or segment-table entry visited, `pte` and `pgste` the page's;
    None where the walk did not get so far.
    """

    rc: int
    level: Level
    crste: int | None
    pte: int | None
    pgste: int | None


cdef class AddressSpace:
    """A guest address space to read: what `Gmap` and `Snapshot` share. Make one of those.

    Attributes
    ----------
    translate, translate_write : numpy.ufunc
        uint64 guest addresses to (uint64 host addresses, uint16 interruption codes).
    ipa_bits : int
        Log2 of the guest's physical size.

    >>> import gmap
    >>> isinstance(gmap.Gmap(gmap.SyntheticHost()), AddressSpace)
    True
    """

    @cython.final
    cdef gmap_t *tables_of(self) except NULL:
        """The C side; an object that is none of the two classes has none."""
        if self.c == NULL:
            raise TypeError(f"{type(self).__name__} has no tables: make a gmap.Gmap or load a "
                            "gmap.Snapshot")
        return self.c

    # --- what it is --------------------------------------------------------------------------

    @property
    def asce(self):
        """The address-space-control element, as int."""
        return load(&self.tables_of().asce)

    @property
    def guest_phys_size(self):
        """Bytes of guest physical address space."""
        return (<object>1) << self.ipa_bits     # of Python: 64 bits are possible

    def table_bytes(self):
        """Bytes of the tables in use: 16384 a region or segment table, 4096 a page table.

        >>> import gmap
        >>> gmap.Gmap(gmap.SyntheticHost()).table_bytes()
        16384
        """
        cdef gmap_t *g = self.tables_of()
        return load(&g.arena.live[KIND_CRST]) * CRST_BYTES + (
            load(&g.arena.live[KIND_PT]) * PT_BYTES)

    # --- translation -------------------------------------------------------------------------

    def translate_one(self, gpa, bint write=False):
        """The host address of one guest address, as int: the fast scalar form of `translate`.

        Raises
        ------
        TranslationError
            With `.address`, `.pic`, `.level` and `.entry`.

        >>> import gmap
        >>> gmap.Gmap(gmap.SyntheticHost()).translate_one(0x1000)
        Traceback (most recent call last):
            ...
        gmap.errors.TranslationError: address 0x1000: PIC 0x3b (region-third translation) at \
level REGION3, entry 0x0001000500000024; fault the page in first: fault_in(gfn)
        """
        cdef gmap_t *g = self.tables_of()
        cdef uint64_t address = as_u64(gpa, "gpa", 0xFFFFFFFFFFFFFFFF)
        cdef uint64_t pa
        cdef dat_walk_t walk
        cdef unsigned int token = srcu_read_lock(&g.tlb)
        cdef uint64_t entry
        cdef int pic = dat_translate(load(&g.asce), address, write, &pa, &walk)
        entry = load(walk.ptep) if walk.ptep != NULL else walk.crste
        srcu_read_unlock(&g.tlb, token)
        if likely(pic == 0):
            return pa
        raise TranslationError(address, pic, walk.level, entry)

    # --- looking -----------------------------------------------------------------------------

    def walk(self, gfn, level=Level.PAGE, flags=0):
        """Find the entry of a gfn at a level, by the rules of the kernel's dat_entry_walk.

        Parameters
        ----------
        gfn : int
        level : Level
        flags : Walk
            ALLOC and SPLIT may install tables on the way.

        Returns
        -------
        EntryWalk
            `rc` is 0, a PIC from a hole's token, -EFAULT, -EINVAL, -EFBIG, -ENOENT or -ENOMEM.

        >>> import gmap
        >>> g = gmap.Gmap(gmap.SyntheticHost())
        >>> walk = g.walk(0, gmap.Level.REGION3, gmap.Walk.IGN_HOLES)
        >>> walk.rc, walk.level.name, hex(walk.crste)
        (0, 'REGION3', '0x1000500000024')
        """
        cdef uint64_t frame = as_u64(gfn, "gfn", LAST_GFN)
        cdef int wanted = Level(level)
        cdef int bits = Walk(flags)
        cdef int rc = 0
        cdef dat_walk_t walk
        cdef mmu_cache_t mc
        cdef gmap_t *g = self.tables_of()
        memset(&mc, 0, sizeof(mc))
        with nogil:
            rc = locked_walk(g, &mc, frame, bits, wanted, &walk)
            mmu_cache_drain(&g.arena, &mc)
        if walk.ptep != NULL:
            return EntryWalk(rc, Level.PAGE, walk.crste, load(walk.ptep),
                             load(pgste_slot(walk.ptep)))
        if walk.crstep != NULL:
            return EntryWalk(rc, Level(walk.level), walk.crste, None, None)
        return EntryWalk(rc, Level(asce_dt(load(&g.asce))), None, None, None)

    def leaves(self, start=0, end=None):
        """What is mapped, one row an entry.

        Parameters
        ----------
        start, end : int
            Guest addresses in bytes; entries that overlap [start, end) are listed. `end` is the
            end of the address space by default.

        Returns
        -------
        numpy.ndarray
            `gmap.dtypes.LEAF`, ascending. Aged mappings are listed, with `young` False.

        >>> import gmap
        >>> host = gmap.SyntheticHost()
        >>> region = host.map(1 << 20)
        >>> g = gmap.Gmap(host)
        >>> g.set_memory_region(0, 0, region.nbytes, region.hva)
        >>> g.fault_in([2, 3], write=True)
        array([0, 0], dtype=int32)
        >>> [(hex(leaf["gpa"]), hex(leaf["entry"])) for leaf in g.leaves()]
        [('0x2000', '0x8000202d'), ('0x3000', '0x8000302d')]
        """
        return self._leaves(start, end, False)

    def regions(self, start=0, end=None):
        """What is mapped, neighbours of the same kind that map neighbouring frames merged.

        Rows as from `leaves`; `size` is that of the run and `entry` the first one's.

        >>> import gmap
        >>> host = gmap.SyntheticHost()
        >>> region = host.map(1 << 20)
        >>> g = gmap.Gmap(host)
        >>> g.set_memory_region(0, 0, region.nbytes, region.hva)
        >>> g.fault_in(range(256)).any()
        np.False_
        >>> g.regions()["size"]
        array([1048576], dtype=uint64)
        """
        return self._leaves(start, end, True)

    def _leaves(self, start, end, merge):
        cdef uint64_t first = as_u64(start, "start", 0xFFFFFFFFFFFFFFFF)
        cdef uint64_t last = LAST_GFN + 1
        if end is not None:
            last = as_u64(end, "end", 0xFFFFFFFFFFFFFFFF)
            last = (last >> PAGE_SHIFT) + (last & 0xFFF != 0)
        return leaf_array(self.tables_of(), first >> PAGE_SHIFT, last, merge)

    def tables(self):
        """Every table as {(level, first gfn): uint64 array}, for tests and for export.

        Entries that point to a lower table have their origin zeroed; a page table has its 256
        PTEs, then its 256 PGSTEs. Nothing else may use the address space meanwhile.

        >>> import gmap
        >>> tables = gmap.Gmap(gmap.SyntheticHost()).tables()
        >>> {(level, gfn): table.size for (level, gfn), table in tables.items()}
        {(1, 0): 2048}
        """
        return table_dict(self.tables_of())

    # --- keeping -----------------------------------------------------------------------------

    def save(self, path):
        """Save the address space to a file that `gmap.load` reads.

        Parameters
        ----------
        path : str or path-like
            The file appears, or replaces another one, once it is complete.

        Raises
        ------
        ConfigError
            The slots, or the host behind them, change meanwhile.
        HostMemoryError
            No memory for a copy of the tables.
        OSError
            The file cannot be written; what was there before still is.

        Notes
        -----
        The same address space gives the same bytes in any process. Frames of a `BufferHost`,
        which are pointers, become places in regions (`gmap.Snapshot.host_regions`).

        >>> import gmap, tempfile
        >>> g = gmap.Gmap(gmap.SyntheticHost())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     g.save(f"{folder}/empty.npz")
        ...     gmap.load(f"{folder}/empty.npz").ipa_bits
        40
        """
        from gmap.snapshot import save
        save(self, path)

    def to_bytes(self, base=None):
        """The tables as an s390 would hold them, big-endian: `gmap.from_bytes` reads them.

        Parameters
        ----------
        base : int, optional
            The absolute address the bytes are for, a multiple of 4096; by default the origin of
            `asce`.

        Returns
        -------
        bytes
            The top-level table first, so the ASCE that goes with another base is
            ``base | g.asce & 0xfff``; then the other region and segment tables, 16 KiB each,
            then the page tables, 4 KiB each.

        Raises
        ------
        AddressError
            A base that is no multiple of 4096, or too high for the image.
        HostMemoryError
            No memory for a copy of the tables.

        >>> import gmap
        >>> g = gmap.Gmap(gmap.SyntheticHost())
        >>> gmap.from_bytes(g.to_bytes(), g.asce).table_bytes()
        16384
        """
        from gmap.snapshot import to_bytes
        return to_bytes(self, base)

    def _runs(self, start, end, most):
        """Runs of neighbouring entries that say the same, absent ones too (`_runs.run_array`).

        At most `most` of them from gfn `start` up to gfn `end`, and the gfn to go on at.
        """
        return run_array(self.tables_of(), as_u64(start, "start", LAST_GFN + 1),
                         as_u64(end, "end", LAST_GFN + 1), as_u64(most, "most", 1 << 24))


cdef int locked_walk(gmap_t *g, mmu_cache_t *mc, uint64_t gfn, int flags, int level,
                     dat_walk_t *walk) noexcept nogil:
    """An entry walk under the mmu_lock, topping the cache up as often as it takes."""
    cdef int rc
    while True:
        read_lock(&g.mmu_lock)
        rc = dat_entry_walk(&g.arena, mc, gfn, load(&g.asce), flags, level, walk)
        read_unlock(&g.mmu_lock)
        if rc != -ENOMEM or mmu_cache_topup(&g.arena, mc):
            return rc
