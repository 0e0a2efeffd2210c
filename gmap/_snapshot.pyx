"""A saved address space, and tables as arrays without pointers. Floor 3.

The flat form: one array of words for each level, a row a table, in the order of the addresses
they cover. Where an entry leads to a table, the number of its row in the next array stands in
place of the origin. So the n-th such entry of an array has the number n, and no two entries
lead to the same table.
"""

from libc.stdint cimport int64_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset

from typing import NamedTuple

import numpy as np

from gmap._address cimport as_u64
from gmap._atomic cimport load
from gmap._defs cimport (
    ASCE_ORIGIN, CRST_ENTRIES, CRSTE_ORIGIN, LEVEL_PAGE, LEVEL_SEGMENT, PAGE_SHIFT, PT_BYTES,
    PT_ENTRIES, SEGMENT_PTO,
)
from gmap._geometry cimport level_shift
from gmap._gmap cimport gmap_t
from gmap._memory cimport release, zalloc_lines
from gmap._sync cimport srcu_destroy, srcu_init, write_lock, write_unlock
from gmap._tables cimport (
    KIND_CRST, KIND_PT, alloc_table, arena_destroy, arena_init, arena_mapped_bytes,
    mmu_cache_drain, mmu_cache_t, mmu_cache_topup,
)
from gmap._translate cimport make_translate
from gmap._walk cimport asce_dt, crste_leaf, crste_table

from gmap._defs import Level, Walk
from gmap._space import MemslotInfo
from gmap.errors import ConfigError, HostMemoryError, SnapshotFormatError


cdef Py_ssize_t PT_WORDS = 2 * PT_ENTRIES    # PTEs, then PGSTEs
#: Log2 of the largest guest there is, as `Gmap` has it.
MOST_IPA_BITS = 63


class Flat(NamedTuple):
    """Tables without pointers, top level first (`_snapshot` tells of the form).

    `asce_bits` is the ASCE without its origin. `words` has arrays of shape (n, 2048), the last
    (n, 512), and `gfns` the first frame each of their rows covers.
    """

    asce_bits: int
    words: tuple
    gfns: tuple


cdef inline uint64_t origin_mask(int level) noexcept nogil:
    """Where an entry of this level has the origin of the table it leads to."""
    return SEGMENT_PTO if level == LEVEL_SEGMENT else CRSTE_ORIGIN


# --- tables to arrays -----------------------------------------------------------------------

cdef struct gather_t:
    uint64_t *words[2]      # by kind
    uint64_t *at[2]         # addresses of the tables
    uint64_t *gfns[2]
    uint64_t n[2]
    uint64_t room[2]
    uint64_t first[6]       # number of the first table of a level, among its kind, by level + 1


cdef bint found_table(gather_t *g, int kind, uint64_t origin, uint64_t gfn) noexcept nogil:
    """Note a table to copy; True if there is no room for it."""
    if g.n[kind] == g.room[kind]:
        return True
    g.at[kind][g.n[kind]] = origin
    g.gfns[kind][g.n[kind]] = gfn
    g.n[kind] += 1
    return False


cdef bint gather(uint64_t asce, gather_t *g) noexcept nogil:
    """Copy all tables, level by level; True if there is no room."""
    cdef int level = asce_dt(asce)
    cdef uint64_t row, end, i, entry, number
    cdef uint64_t *table
    g.n[KIND_CRST] = g.n[KIND_PT] = 0
    if found_table(g, KIND_CRST, asce & ASCE_ORIGIN, 0):
        return True
    end = 0
    while level >= LEVEL_SEGMENT:
        row = g.first[level + 1] = end
        end = g.n[KIND_CRST]
        number = 0
        while row < end:
            table = <uint64_t *><uintptr_t>g.at[KIND_CRST][row]
            for i in range(CRST_ENTRIES):
                entry = load(&table[i])
                if crste_table(entry, level):
                    if found_table(g, KIND_PT if level == LEVEL_SEGMENT else KIND_CRST,
                                   entry & origin_mask(level), g.gfns[KIND_CRST][row]
                                   + (i << (level_shift(level) - <int>PAGE_SHIFT))):
                        return True
                    entry = (entry & ~origin_mask(level)) | number << PAGE_SHIFT
                    number += 1
                g.words[KIND_CRST][row * CRST_ENTRIES + i] = entry
            row += 1
        level -= 1
    g.first[LEVEL_PAGE + 1] = 0
    for row in range(g.n[KIND_PT]):
        memcpy(g.words[KIND_PT] + row * PT_WORDS, <void *><uintptr_t>g.at[KIND_PT][row],
               PT_BYTES)
    return False


def flatten(AddressSpace space not None):
    """The tables of an address space as a `Flat`, all of one moment.

    Raises
    ------
    HostMemoryError
        No memory for a copy of the tables.

    >>> import gmap
    >>> flat = flatten(gmap.Gmap(gmap.SyntheticHost()))
    >>> hex(flat.asce_bits), [words.shape for words in flat.words]
    ('0x1c7', [(1, 2048), (0, 2048), (0, 512)])
    """
    cdef gmap_t *c = space.tables_of()
    cdef gather_t g
    cdef uint64_t asce = 0
    cdef bint short = True
    cdef int level, kind
    cdef uint64_t[::1] view
    arrays = []
    while short:
        arrays.clear()
        for kind in (KIND_CRST, KIND_PT):
            g.room[kind] = load(&c.arena.live[kind]) + 16
            try:
                each = [np.empty(g.room[kind] * (CRST_ENTRIES if kind == KIND_CRST else PT_WORDS),
                                 np.uint64),
                        np.empty(g.room[kind], np.uint64), np.empty(g.room[kind], np.uint64)]
            except MemoryError:
                raise HostMemoryError(
                    f"no memory to copy {space.table_bytes()} bytes of tables") from None
            view = each[0]
            g.words[kind] = &view[0]
            view = each[1]
            g.at[kind] = &view[0]
            view = each[2]
            g.gfns[kind] = &view[0]
            arrays.append(each)
        with nogil:
            # For write: entries change under read locks. Translations go on.
            write_lock(&c.mmu_lock)
            asce = load(&c.asce)
            short = gather(asce, &g)
            write_unlock(&c.mmu_lock)
    words, gfns = [], []
    for level in range(asce_dt(asce), LEVEL_SEGMENT - 1, -1):
        rows = slice(g.first[level + 1],
                     g.first[level] if level > LEVEL_SEGMENT else g.n[KIND_CRST])
        words.append(arrays[KIND_CRST][0].reshape(-1, CRST_ENTRIES)[rows])
        gfns.append(arrays[KIND_CRST][2][rows])
    words.append(arrays[KIND_PT][0].reshape(-1, PT_WORDS)[:g.n[KIND_PT]])
    gfns.append(arrays[KIND_PT][2][:g.n[KIND_PT]])
    return Flat(asce & ~<uint64_t>ASCE_ORIGIN, tuple(words), tuple(gfns))


def entry_places(const uint64_t[:, ::1] words, int level, *, bint leaves=False):
    """Where in a level's array the entries are that lead to tables, or that map frames.

    Parameters
    ----------
    words : uint64 array of shape (n, 2048)
    level : Level
        SEGMENT to REGION1.
    leaves : bool
        Entries that map frames, aged ones too, instead of those that lead to tables.

    Returns
    -------
    int64 array
        Indices into the flattened array, ascending.

    >>> words = np.full((1, 2048), 0x20, dtype=np.uint64)
    >>> words[0, 7] = 0x1000
    >>> entry_places(words, Level.SEGMENT)
    array([7])
    """
    cdef uint64_t i, n = 0
    cdef uint64_t total = words.shape[0] * words.shape[1]
    cdef const uint64_t *flat
    cdef int64_t[::1] places
    if total == 0:
        return np.empty(0, np.int64)
    flat = &words[0, 0]
    with nogil:
        for i in range(total):
            n += is_place(flat[i], level, leaves)
    found = np.empty(n, np.int64)
    if n:
        places = found
        n = 0
        with nogil:
            for i in range(total):
                if is_place(flat[i], level, leaves):
                    places[n] = i
                    n += 1
    return found


cdef inline bint is_place(uint64_t entry, int level, bint leaves) noexcept nogil:
    if leaves:
        return crste_leaf(entry) and asce_dt(entry) == level
    return crste_table(entry, level)


# --- arrays to tables -----------------------------------------------------------------------

cdef class Tables:
    """Owner of a snapshot's C side."""

    def __cinit__(self):
        self.c = <gmap_t *>zalloc_lines(sizeof(gmap_t))
        if self.c == NULL:
            raise HostMemoryError("no memory for the tables of a snapshot")
        arena_init(&self.c.arena, self.c.counters, &self.c.tlb)
        srcu_init(&self.c.srcu)
        srcu_init(&self.c.tlb)

    def __dealloc__(self):
        if self.c != NULL:
            arena_destroy(&self.c.arena)
            srcu_destroy(&self.c.srcu)
            srcu_destroy(&self.c.tlb)
            release(self.c)


cdef int take_tables(gmap_t *c, int kind, uint64_t[::1] at) noexcept nogil:
    """Table frames for every row of a level. 0 or -ENOMEM."""
    cdef mmu_cache_t mc
    cdef uint64_t *table
    cdef Py_ssize_t i
    cdef int rc = 0
    memset(&mc, 0, sizeof(mc))
    for i in range(at.shape[0]):
        if not mc.n[kind]:
            rc = mmu_cache_topup(&c.arena, &mc)
            if rc:
                break
        table = alloc_table(&c.arena, &mc, kind)
        at[i] = <uint64_t><uintptr_t>table
    mmu_cache_drain(&c.arena, &mc)
    return rc


cdef int64_t fill_tables(const uint64_t[:, ::1] words, const uint64_t[::1] at,
                         const uint64_t[::1] below, int level) noexcept nogil:
    """Copy a level's words to its tables, numbers made origins.

    -1; or the place of the first entry whose number is not the next one, or has no table.
    """
    cdef Py_ssize_t row, i, number = 0
    cdef uint64_t entry
    cdef uint64_t *table
    for row in range(words.shape[0]):
        table = <uint64_t *><uintptr_t>at[row]
        for i in range(CRST_ENTRIES):
            entry = words[row, i]
            if crste_table(entry, level):
                if (number == below.shape[0]
                        or (entry & origin_mask(level)) != <uint64_t>number << PAGE_SHIFT):
                    return row * CRST_ENTRIES + i
                entry = (entry & ~origin_mask(level)) | below[number]
                number += 1
            table[i] = entry
    return -1 if number == below.shape[0] else words.shape[0] * CRST_ENTRIES


cdef uint64_t install(gmap_t *c, uint64_t asce_bits, list levels) except 0:
    """Make tables of the flat form; the ASCE."""
    cdef int top = asce_dt(asce_bits)
    cdef int level
    cdef int64_t bad
    cdef const uint64_t[:, ::1] words
    cdef const uint64_t[::1] source
    cdef uint64_t[::1] at, below
    cdef Py_ssize_t row
    addresses = []
    for level in range(top, LEVEL_PAGE - 1, -1):
        n = len(levels[top - level])
        each = np.zeros(n, np.uint64)
        at = each
        if n and take_tables(c, KIND_CRST if level > LEVEL_PAGE else KIND_PT, at):
            raise HostMemoryError(f"no memory for {n} tables of level {Level(level).name}")
        addresses.append(each)
    for level in range(top, LEVEL_PAGE, -1):
        words = levels[top - level]
        at = addresses[top - level]
        below = addresses[top - level + 1]
        bad = fill_tables(words, at, below, level)
        if bad == len(levels[top - level]) * <int64_t>CRST_ENTRIES:
            raise SnapshotFormatError(
                f"level {Level(level).name}: fewer entries lead to tables than the next level "
                f"has, {len(levels[top - level + 1])}: the snapshot is damaged, save it again")
        if bad >= 0:
            raise SnapshotFormatError(
                f"level {Level(level).name}: entry {bad % CRST_ENTRIES} of table "
                f"{bad // CRST_ENTRIES}, {words[bad // CRST_ENTRIES, bad % CRST_ENTRIES]:#x}, "
                "has not the number of the next table: the snapshot is damaged, save it again")
    words = levels[top + 1]
    at = addresses[top + 1]
    for row in range(words.shape[0]):
        source = words[row]
        memcpy(<void *><uintptr_t>at[row], &source[0], PT_BYTES)
    return asce_bits | <uint64_t>addresses[0][0]


cdef class Snapshot(AddressSpace):
    """A saved address space: the same reading interface as `Gmap`, and nothing that changes it.

    `gmap.load` and `gmap.from_bytes` make them.

    Parameters
    ----------
    asce_bits : int
        The ASCE without its origin.
    words : sequence of uint64 arrays
        Tables without pointers, top level first, as `gmap._snapshot.Flat` has them.
    ipa_bits : int
        Log2 of the guest's physical size, 12 to 63.
    memslots : sequence of MemslotInfo
    host_regions : sequence of (int, int)
        First address and bytes of what stands for each region of a `BufferHost`; empty if the
        frames are those of the host as they were.

    Raises
    ------
    SnapshotFormatError
        The arrays do not belong together.
    HostMemoryError
        No memory for the tables.

    Attributes
    ----------
    translate, translate_write : numpy.ufunc
        As of `Gmap`.
    memslots : tuple of MemslotInfo
    host_regions : tuple of (int, int)

    >>> import gmap
    >>> host = gmap.SyntheticHost()
    >>> region = host.map(1 << 20)
    >>> g = gmap.Gmap(host)
    >>> g.set_memory_region(0, 0, region.nbytes, region.hva)
    >>> g.fault_in(3)
    0
    >>> flat = flatten(g)
    >>> s = Snapshot(flat.asce_bits, flat.words, ipa_bits=40)
    >>> s.translate_one(0x3123) == g.translate_one(0x3123)
    True
    """

    def __cinit__(self, asce_bits, words, *, ipa_bits, memslots=(), host_regions=()):
        cdef uint64_t bits = as_u64(asce_bits, "asce_bits", ~<uint64_t>ASCE_ORIGIN)
        cdef uint64_t width = as_u64(ipa_bits, "ipa_bits", MOST_IPA_BITS)
        cdef uint64_t asce
        if width < PAGE_SHIFT:
            raise ConfigError(f"ipa_bits {width}: use {PAGE_SHIFT} to {MOST_IPA_BITS}")
        levels = [np.ascontiguousarray(each) for each in words]
        if len(levels) != asce_dt(bits) + 2:
            raise SnapshotFormatError(
                f"{len(levels)} levels of tables, but the ASCE's type asks for {asce_dt(bits) + 2}")
        for i, each in enumerate(levels):
            wanted = PT_WORDS if i == len(levels) - 1 else <Py_ssize_t>CRST_ENTRIES
            if each.dtype != np.uint64 or each.ndim != 2 or each.shape[1] != wanted:
                raise SnapshotFormatError(
                    f"level {i} from the top: {each.dtype} of shape {each.shape}, where uint64 of "
                    f"(n, {wanted}) belongs")
        if len(levels[0]) != 1:
            raise SnapshotFormatError(f"{len(levels[0])} top-level tables, where one belongs")
        self.memslots = tuple([MemslotInfo(*slot) for slot in memslots])
        self.host_regions = tuple([(int(base), int(nbytes)) for base, nbytes in host_regions])
        self.ipa_bits = <int>width
        self.owner = Tables()
        asce = install(self.owner.c, bits, levels)
        self.owner.c.asce = asce
        self.c = self.owner.c
        self.translate = make_translate(self.c, False, self.owner)
        self.translate_write = make_translate(self.c, True, self.owner)

    def __repr__(self):
        return (f"<Snapshot ipa_bits={self.ipa_bits} asce={self.asce:#x} "
                f"slots={len(self.memslots)}>")

    def stats(self):
        """The table memory, as a dict: as `Gmap.stats`, without what a live one counts.

        >>> import gmap
        >>> flat = flatten(gmap.Gmap(gmap.SyntheticHost()))
        >>> Snapshot(flat.asce_bits, flat.words, ipa_bits=40).stats()["crst_tables"]
        1
        """
        cdef gmap_t *c = self.tables_of()
        return {
            "crst_tables": load(&c.arena.live[KIND_CRST]),
            "page_tables": load(&c.arena.live[KIND_PT]),
            "table_bytes": self.table_bytes(),
            "table_bytes_mapped": arena_mapped_bytes(&c.arena),
        }

    def walk(self, gfn, level=Level.PAGE, flags=0):
        """Find the entry of a gfn at a level, as `Gmap.walk` does; nothing can be installed.

        Raises
        ------
        ConfigError
            The flags ask for ALLOC or SPLIT.

        >>> import gmap
        >>> flat = flatten(gmap.Gmap(gmap.SyntheticHost()))
        >>> Snapshot(flat.asce_bits, flat.words, ipa_bits=40).walk(0).rc
        5
        """
        if Walk(flags) & (Walk.ALLOC | Walk.SPLIT):
            raise ConfigError(f"flags {Walk(flags)!r}: a snapshot does not change; leave ALLOC and "
                              "SPLIT out")
        return AddressSpace.walk(self, gfn, level, flags)
