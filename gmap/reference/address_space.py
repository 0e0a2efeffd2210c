"""One guest address space: mapping on demand, taking back, ageing and dirty logging.

How a write is noticed: a clean mapping is protected, so the first store faults and the fault
clears the protection. Reading the dirty log protects again. What has been written since then
is therefore what is not protected, or, where the protection was set again for another reason
(ageing), what has soft-dirty.

Source: fact sheets dat-gmap.md section 11, faultin.md sections 2, 5 and 9.
"""

from collections.abc import Collection, Iterable, Iterator
from errno import EAGAIN, EBUSY, EFAULT, EFBIG, EINTR, EINVAL, ENOENT, EOPNOTSUPP
from typing import Any, Final, NamedTuple, Protocol

from gmap._defs import (
    MEM_SLOTS_NUM,
    PAGE_SHIFT,
    PAGE_SIZE,
    PFN_ERR_MASK,
    PFN_ERR_NEEDS_IO,
    PFN_ERR_RO_FAULT,
    PFN_ERR_SIGPENDING,
    PFN_NOSLOT,
    PTE_EMPTY,
    TOKEN_HOLE,
    TOKEN_NONE,
    Folio,
    GmapFlag,
    Level,
    Pic,
    SlotFlag,
    Walk,
)
from gmap.errors import ConfigError
from gmap.reference import hardware
from gmap.reference.entries import (
    LeafBits,
    asce_end,
    entry_gfns,
    frame_mask,
    leaf,
    level_for_limit,
    token_entry,
    without_origin,
)
from gmap.reference.slots import (
    Change,
    MemorySlot,
    check_limits,
    classify,
    make_request,
    overlap,
)
from gmap.reference.tables import Place, Tables

_MIN_IPA_BITS: Final = 32
_MAX_IPA_BITS: Final = 63
_LOG_ALIGN: Final = 64  # pages: the dirty log is cleared in whole words
_QUIRKS: Final = frozenset({"age-loses-dirty", "unmap-loses-dirty"})

#: The leaves larger than a page, largest first: level, order of the folio, flag that allows it.
_LARGE_LEAVES: Final = (
    (Level.REGION3, Folio.ORDER_2G, GmapFlag.ALLOW_HPAGE_2G),
    (Level.SEGMENT, Folio.ORDER_1M, GmapFlag.ALLOW_HPAGE_1M),
)


class HostRecord(Protocol):
    """A host's answer: fields pfn (or an error frame number), order, writable and page."""

    def __getitem__(self, field: str, /) -> Any: ...


class Host(Protocol):
    """Whatever can say which frame is behind a host address."""

    def lookup(self, hva: int, write: bool = False) -> HostRecord: ...


class HostPage(NamedTuple):
    """A host's answer in plain types, as the gmap takes it (faultin.md 5)."""

    pfn: int  # the frame, or an error frame number
    order: int = 0  # of the folio the page belongs to
    writable: bool = False
    page: bool = False  # a struct page exists


class ReferenceGmap:
    """A guest's address space, as an arm64 guest on s390 gets it.

    Parameters
    ----------
    host : Host
        Asked only where the fault-in state machine asks, once a turn.
    ipa_bits : int
        The guest has 2**ipa_bits bytes of addresses, 32 to 63.
    allow_1m, allow_2g : bool
        Map whole folios by one segment or region-third entry; arm64 guests get the first only.
    readonly_mem : bool
        Memory slots may be read-only; no s390 kernel allows that today.
    quirks : collection of str
        Traps of the kernel to reproduce: "age-loses-dirty", "unmap-loses-dirty".

    Attributes
    ----------
    counters : dict of str to int
        lookups (frames asked for) = minor + major + errors.

    Notes
    -----
    Where the kernel has a trap this does the right thing, and says "Different from the kernel":

    - a 2 GiB leaf is aligned and compared as one (`frame_mask`);
    - ageing, unmapping, splitting and moving lose no write (`_aged`, `_drop`,
      `set_memory_region`), unless a quirk asks for it;
    - a 2 GiB folio over a segment table without a PTE there is linked smaller (`_link`);
    - a minor fault changes its request only if its exchange succeeds (`_minor_fixed`);
    - lowering the limit cuts off no slot and leaks no table (`set_limit`).
    """

    def __init__(
        self,
        host: Host,
        ipa_bits: int = 40,
        allow_1m: bool = True,
        allow_2g: bool = False,
        *,
        readonly_mem: bool = False,
        quirks: Collection[str] = (),
    ) -> None:
        if not _MIN_IPA_BITS <= ipa_bits <= _MAX_IPA_BITS:
            raise ConfigError(f"{ipa_bits} IPA bits: use {_MIN_IPA_BITS} to {_MAX_IPA_BITS}")
        if set(quirks) - _QUIRKS:
            raise ConfigError(f"quirks {sorted(quirks)}: use {sorted(_QUIRKS)}")
        self._host = host
        self._guest_phys_size = 1 << ipa_bits
        self._flags = GmapFlag.OWNS_PAGETABLES
        self._flags |= GmapFlag.ALLOW_HPAGE_1M if allow_1m else GmapFlag(0)
        self._flags |= GmapFlag.ALLOW_HPAGE_2G if allow_2g else GmapFlag(0)
        self._slot_flags = SlotFlag.LOG_DIRTY_PAGES
        self._slot_flags |= SlotFlag.READONLY if readonly_mem else SlotFlag(0)
        self._quirks = frozenset(quirks)
        self._slots: dict[int, MemorySlot] = {}
        self._tables = Tables(level_for_limit(self._guest_phys_size >> PAGE_SHIFT), TOKEN_HOLE)
        self.counters = {"lookups": 0, "minor": 0, "major": 0, "errors": 0}

    @property
    def asce(self) -> int:
        """The address-space-control element; its origin is an invented address (2.1)."""
        return self._tables.asce

    # --- slots (dat-gmap.md 7, faultin.md 8) ----------------------------------------------

    def set_memory_region(
        self,
        slot: int,
        guest_phys_addr: int,
        memory_size: int,
        userspace_addr: int,
        flags: int = 0,
    ) -> None:
        """Create, delete (size 0), move or re-flag a memory slot, as KVM's ioctl does.

        Raises
        ------
        ConfigError
            With the errno of the first rule broken, in the order of faultin.md 8.
        """
        new = make_request(
            slot, guest_phys_addr, memory_size, userspace_addr, flags, self._slot_flags
        )
        change = classify(new, self._slots)
        if change is Change.NOTHING:
            return
        if change in (Change.CREATE, Change.MOVE):
            check_limits(new, self._guest_phys_size, self._tables.end)
        old = self._slots.pop(new.id, None)
        if old is not None and change is Change.MOVE and not self._has("unmap-loses-dirty"):
            self._sync_dirty_log(old)  # different from the kernel, which forgets these writes
        if old is not None and change in (Change.DELETE, Change.MOVE):
            self._tables.paint(old.base_gfn, old.end_gfn, TOKEN_HOLE)
        if change is Change.DELETE:
            return
        if new.flags & SlotFlag.LOG_DIRTY_PAGES:
            kept = old.dirty if old is not None else None  # also when the slot moves
            new.dirty = set() if kept is None else kept
        if change in (Change.CREATE, Change.MOVE):
            self._tables.paint(new.base_gfn, new.end_gfn, TOKEN_NONE)
        self._slots[new.id] = new

    def set_limit(self, limit_bytes: int) -> None:
        """Choose the highest table by the addresses it must cover; 0 is no limit (8).

        Part of a page counts as a page.

        Raises
        ------
        ConfigError
            EBUSY if a slot would be cut off. Different from the kernel, which would cut it off.
        """
        level = level_for_limit(-(-limit_bytes // PAGE_SIZE))
        for slot in self._slots.values():
            if slot.end_gfn > asce_end(level):
                raise ConfigError(f"slot {slot.id} ends beyond {limit_bytes:#x}", EBUSY)
        self._tables.set_level(level)

    def _slot_of(self, gfn: int) -> MemorySlot | None:
        return next((s for s in self._slots.values() if overlap(s, gfn, gfn + 1)), None)

    def _parts(self, gfn: int, ngfns: int) -> Iterator[tuple[MemorySlot, int, int]]:
        """The pieces of a range that are memory, ascending: slot, first frame, end."""
        for slot in sorted(self._slots.values(), key=lambda slot: slot.base_gfn):
            start, end = max(slot.base_gfn, gfn), min(slot.end_gfn, gfn + ngfns)
            if start < end:
                yield slot, start, end

    def _has(self, quirk: str) -> bool:
        return quirk in self._quirks

    # --- fault-in (faultin.md 2) ----------------------------------------------------------

    def fault_in(self, gfn: int, write: bool = False) -> int:
        """Make a frame usable by the guest.

        Returns
        -------
        int
            0, PIC 5 for a frame outside every slot, or a negative errno (faultin.md 2.1).
        """
        self.counters["lookups"] += 1
        if self._fix_minor(gfn, write):
            self.counters["minor"] += 1
            return 0
        rc = self._fault_in_slowly(gfn, write)
        self.counters["errors" if rc else "major"] += 1
        return rc

    def _fault_in_slowly(self, gfn: int, write: bool) -> int:
        """States S2 to S9: ask the host for the frame, then link it.

        The kernel repeats this for as long as linking answers -EAGAIN, hoping that somebody
        else changes the tables. Here there is nobody else.
        """
        slot = self._slot_of(gfn)
        page = self._host_page(slot, gfn, write)
        rc = _host_error(page.pfn)
        if rc or slot is None:
            return rc
        rc = self._link(gfn, write, page, slot)
        if rc == -EAGAIN:
            raise AssertionError(f"gfn {gfn:#x}: this fault would be retried for ever")
        return rc

    def _host_page(self, slot: MemorySlot | None, gfn: int, write: bool) -> HostPage:
        """S4: the only place the host is asked (faultin.md 5)."""
        if slot is None:
            return HostPage(PFN_NOSLOT)
        read_only = bool(slot.flags & SlotFlag.READONLY)
        if read_only and write:
            return HostPage(PFN_ERR_RO_FAULT)
        record = self._host.lookup(slot.hva_of(gfn), write=write)
        return HostPage(
            pfn=int(record["pfn"]),
            order=int(record["order"]),
            writable=bool(record["writable"]) and not read_only,
            page=bool(record["page"]),
        )

    def _fix_minor(self, gfn: int, write: bool) -> bool:
        """S1, dat-gmap.md 11.1: a fault the tables alone can resolve. False: they cannot."""
        walked = self._tables.walk(gfn, Level.PAGE, Walk.LEAF)
        place = walked.pte or walked.crste
        if walked.rc or place is None:
            return False
        fixed = _minor_fixed(place.value, place.level, write)
        if fixed is None:
            return False
        place.value = fixed
        return True

    # --- link (dat-gmap.md 11.2) ----------------------------------------------------------

    def _link(self, gfn: int, write: bool, page: HostPage, slot: MemorySlot) -> int:
        """Map a host frame in the largest way allowed: 0, -EAGAIN or -EINVAL.

        A large leaf is not made where a lower table exists already: CONTINUE goes on to it.
        """
        for level in self._levels(gfn, page, slot):
            walked = self._tables.walk(gfn, level, Walk.ALLOC_CONTINUE)
            # Different from the kernel, which answers -EAGAIN and comes back for ever: where a
            # segment table exists but leads to no PTE, try the next smaller leaf.
            if level != Level.REGION3 or walked.rc not in (-ENOENT, -EFBIG):
                break
        if walked.rc == -EINVAL:
            return -EINVAL
        place = walked.pte or walked.crste
        if walked.rc or place is None:
            return -EAGAIN
        if place.level > level:
            return -EINVAL
        linked = _linked(place, page, write)
        if linked is None:
            return -EAGAIN
        place.value = linked
        return 0

    def _levels(self, gfn: int, page: HostPage, slot: MemorySlot) -> list[Level]:
        """The levels a leaf for this frame may have, largest first."""
        large = [
            level
            for level, order, flag in _LARGE_LEAVES
            if self._flags & flag
            and level <= self._tables.level  # the kernel calls it a bug: lowered since
            and page.page
            and page.order >= order
            and _fits(gfn, page.pfn, slot, entry_gfns(level))
        ]
        return [*large, Level.PAGE]

    # --- taking mappings back (11.3, 11.6) ------------------------------------------------

    def unmap(self, gfn: int, ngfns: int) -> None:
        """Forget the mappings of every frame of a range that is memory (11.3).

        A large leaf goes as a whole even if the range covers only part of it.
        """
        for slot, start, end in self._parts(gfn, ngfns):
            for place in self._mappings(start, end):
                self._drop(place, slot)

    def invalidate(self, hva_start: int, hva_end: int) -> None:
        """The host changes a range of its addresses: unmap what any slot shows of it.

        The mmu notifier's part (faultin.md 3). Part of a page counts as a page.
        """
        for slot in self._slots.values():
            start, end = max(hva_start, slot.hva), min(hva_end, slot.end_hva)
            if start < end:
                first = slot.base_gfn + (start - slot.hva) // PAGE_SIZE
                last = slot.base_gfn + (end - 1 - slot.hva) // PAGE_SIZE
                self.unmap(first, last + 1 - first)

    def split_huge_pages(self) -> None:
        """Drop every large leaf, so that faults come and can be answered anew (11.6)."""
        for place in self._mappings(0, self._tables.end, Walk.IGN_HOLES):
            if place.level != Level.PAGE:
                self._drop(place, self._slot_of(place.gfn))

    def _drop(self, place: Place, slot: MemorySlot | None) -> None:
        """Make an entry EMPTY.

        Different from the kernel: a write not logged yet is logged first.
        """
        if slot is not None and not self._has("unmap-loses-dirty") and _written(place):
            slot.log(place.gfn, place.end)
        place.value = token_entry(TOKEN_NONE, place.level)

    def _mappings(self, start: int, end: int, flags: int = 0) -> Iterator[Place]:
        """The PTEs and leaves of a range, mapping something or not."""
        return (place for place in self._tables.visit(start, end, flags) if place.can_map)

    # --- ageing (11.4) --------------------------------------------------------------------

    def age(self, gfn: int, ngfns: int) -> bool:
        """Make mappings old: invalid, so that the next use shows. True if one was young."""
        young = False
        for _, start, end in self._parts(gfn, ngfns):
            for place in self._mappings(start, end):
                aged = _aged(place.value, place.level, self._has("age-loses-dirty"))
                if aged is not None:
                    place.value = aged
                    young = True
        return young

    def test_age(self, gfn: int, ngfns: int) -> bool:
        """A mapping of the range has been used since it was last aged."""
        return any(
            place.value & LeafBits.of(place.level).young
            for _, start, end in self._parts(gfn, ngfns)
            for place in self._mappings(start, end)
        )

    # --- dirty log (11.5, faultin.md 9) ---------------------------------------------------

    def get_dirty_log(self, slot: int, clear: bool = True) -> list[int]:
        """Offsets of the pages of a slot written since the log was last cleared, ascending.

        Raises
        ------
        ConfigError
            EINVAL for an impossible slot number, ENOENT for a slot that is not there or does
            not log.
        """
        logged = self._logging_slot(slot)
        assert logged.dirty is not None
        self._sync_dirty_log(logged)
        offsets = sorted(logged.dirty)
        if clear:
            logged.dirty.clear()
        return offsets

    def clear_dirty_log(
        self, slot: int, first_page: int, num_pages: int, bits: Iterable[int]
    ) -> None:
        """Clear bits of a slot's dirty bitmap, by the kernel's generic rules.

        The tables stay as they are: reading the log has protected the pages again.

        Parameters
        ----------
        slot, first_page, num_pages : int
            The part of the bitmap; whole words of 64, except at the end of the slot.
        bits : iterable of int
            The bits set in the caller's bitmap: bit n is page first_page + n. Those from
            num_pages on are ignored.

        Raises
        ------
        ConfigError
            EINVAL for an impossible slot number or part, ENOENT as in `get_dirty_log`.
        """
        _check_slot_number(slot)
        if first_page % _LOG_ALIGN:
            raise ConfigError(f"first page {first_page} is no multiple of {_LOG_ALIGN}", EINVAL)
        logged = self._logging_slot(slot)
        assert logged.dirty is not None
        rest = logged.npages - first_page
        if rest < 0 or num_pages > rest or (num_pages < rest and num_pages % _LOG_ALIGN):
            raise ConfigError(f"{num_pages} pages from {first_page} do not fit the slot", EINVAL)
        logged.dirty -= {first_page + bit for bit in bits if bit < num_pages}

    def _logging_slot(self, number: int) -> MemorySlot:
        _check_slot_number(number)
        slot = self._slots.get(number)
        if slot is None or slot.dirty is None:
            raise ConfigError(f"slot {number} does not exist or does not log", ENOENT)
        return slot

    def _sync_dirty_log(self, slot: MemorySlot) -> None:
        """Move what the tables know of writes into the bitmap, and protect again (11.5).

        The dirty bit stays, so the next write is a minor fault.
        """
        for place in self._mappings(slot.base_gfn, slot.end_gfn):
            if _written(place):
                bits = LeafBits.of(place.level)
                place.value = place.value & ~bits.soft_dirty | bits.protect
                slot.log(place.gfn, place.end)

    # --- looking at it --------------------------------------------------------------------

    def translate(self, gpa: int, write: bool = False) -> tuple[int, int]:
        """What the hardware makes of a guest address: host address and 0, or 0 and a PIC."""
        return hardware.translate(self._tables, gpa, write)

    def walk(self, gfn: int, level: int, flags: int = 0) -> tuple[int, int | None, int | None]:
        """Walk to an entry with all the memory for tables it may need (4).

        Returns
        -------
        rc : int
        crste, pte : int or None
            The deepest entries reached, as they are after the walk; a pointer holds an
            invented origin.
        """
        walked = self._tables.walk(gfn, level, flags)
        return (
            walked.rc,
            None if walked.crste is None else walked.crste.value,
            None if walked.pte is None else walked.pte.value,
        )

    def leaves(self) -> list[dict[str, int | bool]]:
        """Every mapping, valid or old, ascending; the fields are those of `gmap.dtypes.LEAF`."""
        return [
            _leaf_fields(place)
            for place in self._mappings(0, self._tables.end, Walk.IGN_HOLES)
            if place.value & LeafBits.of(place.level).present
        ]

    def tables(self) -> dict[tuple[int, int], list[int]]:
        """Every table by level and first frame; pointers without their origins.

        A page table is 256 PTEs and then their 256 PGSTEs.
        """
        return {
            (int(level), gfn): list(table) if level == Level.PAGE else [*map(without_origin, table)]
            for level, gfn, table in self._tables.every_table()
        }

    def table_bytes(self) -> int:
        """Memory of all the tables."""
        return self._tables.nbytes


# --- rules about one entry ----------------------------------------------------------------


def _host_error(pfn: int) -> int:
    """S5: what a frame number that is an error means to the caller; 0 for a frame.

    A host that would have to wait is -EAGAIN: nobody here waits for it.
    """
    if pfn == PFN_NOSLOT:
        return Pic.ADDRESSING
    if not pfn & PFN_ERR_MASK:
        return 0
    codes = {
        PFN_ERR_NEEDS_IO: -EAGAIN,
        PFN_ERR_SIGPENDING: -EINTR,
        PFN_ERR_RO_FAULT: -EOPNOTSUPP,
    }
    return codes.get(pfn, -EFAULT)


def _minor_fixed(entry: int, level: int, write: bool) -> int | None:
    """The entry after a minor fault; None where the host must be asked (11.1).

    For a CRSTE the kernel does not look at present: a leaf always is.
    """
    bits = LeafBits.of(level)
    if not entry & bits.invalid and not (write and entry & bits.protect):
        return entry  # somebody else was here first
    if not entry & bits.present or (write and not entry & bits.writable):
        return None
    # A read of an old large leaf that is dirty makes it as a write would. Different from the
    # kernel: the request itself becomes a write only with the exchange, which succeeds here.
    upgrade = level != Level.PAGE and entry & bits.writable and entry & bits.dirty
    fixed = entry & ~bits.invalid | bits.young
    if write or upgrade:
        fixed = fixed & ~bits.protect | bits.dirty | bits.soft_dirty
    return fixed


def _fits(gfn: int, pfn: int, slot: MemorySlot, size: int) -> bool:
    """A leaf of `size` frames can map the folio and stay inside the slot (11.2)."""
    first = gfn - gfn % size
    same_offset = (gfn ^ pfn) % size == 0
    return same_offset and slot.base_gfn <= first and first + size <= slot.end_gfn


def _linked(place: Place, page: HostPage, write: bool) -> int | None:
    """The entry that maps a host frame where `place` is; None where another frame is mapped.

    Soft-dirty comes from the old entry: a first write shows by the missing protection alone.
    """
    bits, old = LeafBits.of(place.level), place.value
    dirty = write or bool(old & bits.dirty)
    new = leaf(page.pfn, place.level, writable=page.writable, dirty=dirty, special=not page.page)
    same_frame = not (old ^ new) & frame_mask(place.level)
    if place.level == Level.PAGE:
        empty = old & ~bits.soft_dirty == PTE_EMPTY
    else:
        empty = old == token_entry(TOKEN_NONE, place.level)
    if not empty and not same_frame:
        return None
    return new & ~bits.soft_dirty | old & bits.soft_dirty


def _aged(entry: int, level: int, forget_writes: bool) -> int | None:
    """The entry after ageing; None if there is nothing to age (11.4).

    Different from the kernel: protecting a written page again leaves soft-dirty behind, so
    that the dirty log still learns of the write.
    """
    bits = LeafBits.of(level)
    old_already = entry & bits.invalid and not entry & bits.young
    if not entry & bits.present or old_already:
        return None
    aged = entry & ~(bits.young | bits.dirty) | bits.invalid | bits.protect
    if not entry & bits.protect and not forget_writes:
        aged |= bits.soft_dirty
    return aged


def _written(place: Place) -> bool:
    """The mapping was written since the dirty log last protected it (11.5)."""
    bits = LeafBits.of(place.level)
    unprotected = not place.value & bits.protect
    return bool(place.value & bits.present and (unprotected or place.value & bits.soft_dirty))


def _check_slot_number(number: int) -> None:
    if not 0 <= number < MEM_SLOTS_NUM:
        raise ConfigError(f"slot {number} is beyond {MEM_SLOTS_NUM - 1}", EINVAL)


def _leaf_fields(place: Place) -> dict[str, int | bool]:
    bits, entry = LeafBits.of(place.level), place.value
    return {
        "gpa": place.gfn * PAGE_SIZE,
        "pa": entry & frame_mask(place.level),
        "size": entry_gfns(place.level) * PAGE_SIZE,
        "entry": entry,
        "level": int(place.level),
        "writable": bool(entry & bits.writable),
        "dirty": bool(entry & bits.dirty),
        "young": bool(entry & bits.young),
        "protected": bool(entry & bits.protect),
    }
