"""Memory slots: which guest frames are memory, and where in the host's memory they are.

Source: fact sheet faultin.md section 8 (the rules, in their order), ipa.md section 3 (the limit).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from errno import EEXIST, EINVAL
from typing import Final

from gmap._defs import MEM_MAX_NR_PAGES, MEM_SLOTS_NUM, PAGE_SHIFT, PAGE_SIZE, SlotFlag
from gmap.errors import ConfigError

_ADDRESSES: Final = 1 << 64
_ID_BITS: Final = 16  # of a slot number; the bits above are the address space, of which one exists


@dataclass
class MemorySlot:
    """A range of guest frames backed by a range of host addresses of the same size."""

    id: int
    base_gfn: int
    npages: int
    hva: int
    flags: int
    dirty: set[int] | None = None  # the dirty bitmap, as the offsets of its set bits

    @property
    def end_gfn(self) -> int:
        """The first frame beyond the slot."""
        return self.base_gfn + self.npages

    @property
    def end_hva(self) -> int:
        """The first host address beyond the slot."""
        return self.hva + self.npages * PAGE_SIZE

    def hva_of(self, gfn: int) -> int:
        """The host address behind a guest frame."""
        return self.hva + (gfn - self.base_gfn) * PAGE_SIZE

    def log(self, gfn: int, end: int) -> None:
        """Set the bits of the frames [gfn, end) if the slot logs writes at all."""
        if self.dirty is not None:
            self.dirty.update(range(gfn - self.base_gfn, end - self.base_gfn))


class Change(Enum):
    """What setting a memory region amounts to."""

    NOTHING = auto()
    CREATE = auto()
    DELETE = auto()
    MOVE = auto()
    FLAGS_ONLY = auto()


def make_request(
    slot: int, guest_phys_addr: int, memory_size: int, userspace_addr: int, flags: int, known: int
) -> MemorySlot:
    """Check what can be checked of a request alone: rules 0 to 5.

    Parameters
    ----------
    slot, guest_phys_addr, memory_size, userspace_addr, flags : int
        As in `kvm_userspace_memory_region`.
    known : SlotFlag
        The flags this machine supports.

    Raises
    ------
    ConfigError
        With the errno of the first rule broken.
    """
    slot_id = slot % (1 << _ID_BITS)
    npages = memory_size >> PAGE_SHIFT
    # rules 0 and 3, the slot number
    _require(slot_id < MEM_SLOTS_NUM, f"slot {slot_id} is beyond {MEM_SLOTS_NUM - 1}")
    _require(slot >> _ID_BITS == 0, f"slot {slot:#x} names an address space other than 0")
    # rule 1
    _require(not flags & ~known, f"flags {flags:#x} are not all supported")
    # rule 2
    _require(memory_size % PAGE_SIZE == 0, f"size {memory_size:#x} is not whole pages")
    _require(guest_phys_addr % PAGE_SIZE == 0, f"guest address {guest_phys_addr:#x} is unaligned")
    _require(userspace_addr % PAGE_SIZE == 0, f"host address {userspace_addr:#x} is unaligned")
    _require(userspace_addr + memory_size <= _ADDRESSES, "the host range wraps")
    # rule 4
    _require(guest_phys_addr + memory_size < _ADDRESSES, "the guest range wraps")
    # rule 5
    _require(npages <= MEM_MAX_NR_PAGES, f"{npages} pages are more than {MEM_MAX_NR_PAGES}")
    return MemorySlot(slot_id, guest_phys_addr >> PAGE_SHIFT, npages, userspace_addr, flags)


def classify(new: MemorySlot, slots: Mapping[int, MemorySlot]) -> Change:
    """Find out what a request changes, and refuse what cannot be changed: rules 6 to 11."""
    old = slots.get(new.id)
    if new.npages == 0:
        _require(old is not None, f"slot {new.id} does not exist: nothing to delete")
        return Change.DELETE
    change = Change.CREATE if old is None else _modification(old, new)
    if change in (Change.CREATE, Change.MOVE):
        for other in slots.values():
            if other.id != new.id and overlap(other, new.base_gfn, new.end_gfn):
                raise ConfigError(f"slot {new.id} would overlap slot {other.id}", EEXIST)
    return change


def _modification(old: MemorySlot, new: MemorySlot) -> Change:
    """Rules 9 and 10: a slot can move and change its logging, all else is fixed."""
    _require(new.hva == old.hva, f"slot {old.id}: the host address cannot change")
    _require(new.npages == old.npages, f"slot {old.id}: the size cannot change")
    read_only_toggled = (new.flags ^ old.flags) & SlotFlag.READONLY
    _require(not read_only_toggled, f"slot {old.id}: READONLY cannot change")
    if new.base_gfn != old.base_gfn:
        return Change.MOVE
    return Change.FLAGS_ONLY if new.flags != old.flags else Change.NOTHING


def check_limits(new: MemorySlot, guest_phys_size: int, asce_end_gfn: int) -> None:
    """Rule 13, s390's own, for CREATE and MOVE: the slot ends inside the guest's addresses."""
    _require(new.end_gfn * PAGE_SIZE <= guest_phys_size, f"slot {new.id} ends beyond the IPA size")
    _require(new.end_gfn <= asce_end_gfn, f"slot {new.id} ends beyond the address space")


def overlap(slot: MemorySlot, start: int, end: int) -> bool:
    """The slot has a frame in [start, end)."""
    return slot.base_gfn < end and start < slot.end_gfn


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ConfigError(otherwise, EINVAL)
