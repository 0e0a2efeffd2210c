"""The memory slots of one address space: changing them, and their dirty logs. Floor 3.

Source: fact sheet faultin.md sections 8 and 9. Differences from the kernel:

* Everything a change needs is allocated before anything changes. The kernel paints the
  tables after the new slots are published, and if it runs out of memory there, reports
  success and leaves frames that fault for ever.
* The old range of a deleted or moved slot is unmapped while the slot is still there, marked
  INVALID. The kernel does it after the slot has gone from the published table: what the
  host changes in between finds no slot to unmap, and the guest goes on using the old frames.
* Moving a slot first takes what was written under its old addresses into its dirty log.
"""

import threading
from errno import EFAULT, EINVAL, ENOENT

from libc.stdint cimport uint64_t
from libc.string cimport memset

import numpy as np

from gmap._address cimport as_u64_array
from gmap._atomic cimport exchange, fetch_and, load
from gmap._defs cimport (
    CRSTE_EMPTY, CRSTE_HOLE, MEM_SLOTS_NUM, PAGE_SHIFT, PAGE_SIZE, SLOT_FLAG_INVALID,
    SLOT_FLAG_LOG_DIRTY_PAGES,
)
from gmap._gmap cimport (
    asce_end, gmap_publish_slots, gmap_shoot_down, gmap_sync_dirty_log, keeps_log,
)
from gmap._memory cimport release, zalloc
from gmap._slots cimport memslot_t, memslots_overlap, memslots_t, memslots_with
from gmap._sync cimport write_lock, write_unlock
from gmap._tables cimport dat_set_slot, mmu_cache_drain, mmu_cache_t, mmu_cache_topup

from gmap._slots import CREATE, DELETE, MOVE, NOTHING, classify
from gmap.errors import ConfigError, HostMemoryError


cdef class SlotRef:
    """Owner of one published slot; freed once nobody can be looking at it."""

    def __dealloc__(self):
        if self.c != NULL and self.owns_bitmap:
            release(self.c.dirty_bitmap)
        release(self.c)


cdef SlotRef make_slot(id, base_gfn, npages, userspace_addr, flags, SlotRef old):
    """A slot to publish; the dirty log of `old` goes on in it if both keep one."""
    cdef SlotRef ref = SlotRef()
    ref.c = <memslot_t *>zalloc(sizeof(memslot_t))
    if ref.c == NULL:
        raise HostMemoryError(f"slot {id}: no memory to describe it")
    ref.c.id = id
    ref.c.base_gfn = base_gfn
    ref.c.npages = npages
    ref.c.userspace_addr = userspace_addr
    ref.c.flags = flags
    if flags & SLOT_FLAG_LOG_DIRTY_PAGES:
        if old is not None and old.c.dirty_bitmap != NULL:
            ref.c.dirty_bitmap = old.c.dirty_bitmap
        else:
            ref.c.dirty_bitmap = <uint64_t *>zalloc(((ref.c.npages + 63) >> 6) * sizeof(uint64_t))
            if ref.c.dirty_bitmap == NULL:
                raise HostMemoryError(f"slot {id}: no memory for the dirty log of {npages} pages")
            ref.owns_bitmap = True
    return ref


cdef class Memslots:
    """Slots by id, and the lock under which they change (KVM's slots_lock)."""

    def __init__(self, bint readonly_mem):
        self.by_id = {}
        self.lock = threading.Lock()
        self.readonly_mem = readonly_mem

    def describe(self):
        """(slot, guest_phys_addr, memory_size, userspace_addr, flags) of each, by address."""
        cdef SlotRef ref
        rows = []
        with self.lock:
            for ref in self.by_id.values():
                rows.append((ref.c.id, ref.c.base_gfn << PAGE_SHIFT, ref.c.npages << PAGE_SHIFT,
                             ref.c.userspace_addr, ref.c.flags))
        return sorted(rows, key=lambda row: row[1])

    def highest_gfn(self):
        """The end of the last slot, 0 without slots; the lock is held."""
        cdef SlotRef ref
        cdef uint64_t end = 0
        for ref in self.by_id.values():
            end = max(end, ref.c.base_gfn + ref.c.npages)
        return end

    def set(self, slot, guest_phys_addr, memory_size, userspace_addr, flags):
        """Create, move, delete or change a slot. Arguments have passed the guard."""
        with self.lock:
            self._set(slot, guest_phys_addr, memory_size, userspace_addr, flags)

    def _set(self, slot, guest_phys_addr, memory_size, userspace_addr, flags):
        cdef SlotRef old = self.by_id.get(slot)
        cdef memslot_t *old_c = old.c if old is not None else NULL
        cdef SlotRef new = None
        cdef memslot_t *other

        def overlapping(base_gfn, npages):
            other = memslots_overlap(self.g.memslots, base_gfn, npages, old_c)
            return None if other == NULL else other.id

        existing = None
        if old is not None:
            existing = (old_c.base_gfn, old_c.npages, old_c.userspace_addr, old_c.flags)
        change = classify(
            slot, guest_phys_addr, memory_size, userspace_addr, flags, existing=existing,
            overlapping=overlapping, readonly_mem=self.readonly_mem,
            guest_phys_size=self.g.guest_phys_size,
            asce_bytes=int(asce_end(load(&self.g.asce))) * PAGE_SIZE)   # may be 2**64
        if change == NOTHING:
            return
        if change != DELETE:
            new = make_slot(slot, guest_phys_addr >> PAGE_SHIFT, memory_size >> PAGE_SHIFT,
                            userspace_addr, flags, old)
        self.install(change, old, new)
        if old is not None and new is not None and old.c.dirty_bitmap == new.c.dirty_bitmap:
            new.owns_bitmap, old.owns_bitmap = old.owns_bitmap, False
        if new is None:
            del self.by_id[slot]
        else:
            self.by_id[slot] = new

    def install(self, int change, SlotRef old, SlotRef new):
        """Publish the slots after a change, and paint the tables."""
        cdef gmap_t *g = self.g
        cdef memslots_t *before = g.memslots
        cdef memslots_t *between = NULL
        cdef memslots_t *after
        cdef memslot_t *old_c = old.c if old is not None else NULL
        cdef memslot_t *new_c = new.c if new is not None else NULL
        cdef bint moves = change == MOVE
        cdef bint vanishes = moves or change == DELETE
        cdef bint appears = moves or change == CREATE
        cdef SlotRef leaving = None
        cdef mmu_cache_t mc
        cdef int rc = 0
        memset(&mc, 0, sizeof(mc))
        if vanishes:
            leaving = make_slot(old_c.id, old_c.base_gfn, old_c.npages, old_c.userspace_addr,
                                old_c.flags | SLOT_FLAG_INVALID, old)
            between = memslots_with(before, old_c, leaving.c)
        after = memslots_with(before, old_c, new_c)
        if after == NULL or (vanishes and between == NULL) or (
                appears and mmu_cache_topup(&g.arena, &mc)):
            release(after)
            release(between)
            mmu_cache_drain(&g.arena, &mc)
            raise HostMemoryError("no memory for the table of slots; nothing has changed")
        if between != NULL:
            after.generation = between.generation + 1
        with nogil:
            if vanishes:
                gmap_publish_slots(g, between)
                if moves and new_c.dirty_bitmap != NULL and keeps_log(g, old_c):
                    gmap_sync_dirty_log(g, old_c)
                rc = self.paint(&mc, old_c, CRSTE_HOLE)
            gmap_publish_slots(g, after)
            if appears and rc == 0:
                rc = self.paint(&mc, new_c, CRSTE_EMPTY)
            release(before)
            release(between)
            mmu_cache_drain(&g.arena, &mc)
        if rc:
            raise AssertionError(f"painting the tables of a slot failed with {rc}: a bug in gmap")

    cdef int paint(self, mmu_cache_t *mc, memslot_t *slot, uint64_t token) noexcept nogil:
        """Make the whole range of a slot empty or a hole; no translation of it survives."""
        cdef int rc
        write_lock(&self.g.mmu_lock)
        rc = dat_set_slot(&self.g.arena, mc, self.g.asce, slot.base_gfn,
                          slot.base_gfn + slot.npages, token)
        write_unlock(&self.g.mmu_lock)
        gmap_shoot_down(self.g, slot.base_gfn, slot.base_gfn + slot.npages)
        return rc

    # --- dirty log ---------------------------------------------------------------------------

    cdef SlotRef logged(self, slot):
        """The slot, if it logs dirty pages; the lock is held."""
        cdef SlotRef ref
        ref = self.by_id.get(slot)
        if ref is None or ref.c.dirty_bitmap == NULL:
            why = "does not exist" if ref is None else "does not log dirty pages"
            raise ConfigError(f"slot {slot} {why}: set it with flags=LOG_DIRTY_PAGES", ENOENT)
        return ref

    cdef int check_id(self, slot) except -1:
        if slot >= MEM_SLOTS_NUM:
            raise ConfigError(f"slot {slot}: use 0 to {MEM_SLOTS_NUM - 1}", EINVAL)
        return 0

    def get_dirty_log(self, slot, bint clear):
        cdef SlotRef ref
        cdef uint64_t[::1] words
        cdef uint64_t i, n
        self.check_id(slot)
        with self.lock:
            ref = self.logged(slot)
            n = (ref.c.npages + 63) >> 6
            result = np.zeros(n, dtype=np.uint64)
            words = result
            with nogil:
                gmap_sync_dirty_log(self.g, ref.c)
                for i in range(n):
                    if load(&ref.c.dirty_bitmap[i]):
                        words[i] = (exchange(&ref.c.dirty_bitmap[i], 0) if clear
                                    else load(&ref.c.dirty_bitmap[i]))
        return result

    def clear_dirty_log(self, slot, uint64_t first_page, uint64_t num_pages, bitmap):
        cdef SlotRef ref
        cdef const uint64_t[::1] words
        cdef uint64_t i, n, rest
        given = np.ascontiguousarray(as_u64_array(bitmap, "bitmap word", 0xFFFFFFFFFFFFFFFF))
        self.check_id(slot)
        if first_page & 63:
            raise ConfigError(f"first_page {first_page} is not a multiple of 64", EINVAL)
        with self.lock:
            ref = self.logged(slot)
            rest = ref.c.npages - first_page if first_page <= ref.c.npages else 0
            if first_page > ref.c.npages or num_pages > rest:
                raise ConfigError(
                    f"pages {first_page} to {first_page + num_pages} are not all in slot {slot} "
                    f"of {ref.c.npages} pages", EINVAL)
            if num_pages < rest and num_pages & 63:
                raise ConfigError(
                    f"num_pages {num_pages} is neither a multiple of 64 nor up to the end of the "
                    "slot", EINVAL)
            n = (num_pages + 63) >> 6
            if given.ndim != 1 or given.size < n:
                raise ConfigError(
                    f"bitmap of shape {given.shape} is too short: {n} words of 64 pages", EFAULT)
            words = given
            with nogil:
                for i in range(n):
                    if words[i]:
                        fetch_and(&ref.c.dirty_bitmap[(first_page >> 6) + i], ~words[i])
