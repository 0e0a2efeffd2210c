"""Memory slots: the rules of KVM_SET_USER_MEMORY_REGION and the published table. Floor 2.

Source: fact sheet faultin.md section 8.
"""

from errno import EEXIST, EINVAL

from libc.stdint cimport uint64_t

from gmap._defs cimport MEM_MAX_NR_PAGES, MEM_SLOTS_NUM, PAGE_SHIFT, PAGE_SIZE
from gmap._memory cimport zalloc

from gmap._defs import SlotFlag
from gmap.errors import ConfigError

# What a request does to the slots.
NOTHING, CREATE, DELETE, MOVE, FLAGS_ONLY = range(5)


cdef memslots_t *memslots_with(
    memslots_t *old, memslot_t *removed, memslot_t *added
) noexcept nogil:
    """A copy of a table without one slot and with another (either may be NULL); NULL: no memory."""
    cdef uint64_t n_old = old.n if old != NULL else 0
    cdef uint64_t i, n = 0
    cdef memslots_t *slots = <memslots_t *>zalloc(
        sizeof(memslots_t) + (n_old + 1) * sizeof(memslot_t *))
    if slots == NULL:
        return NULL
    slots.slots = <memslot_t **>(slots + 1)
    slots.generation = old.generation + 1 if old != NULL else 1
    for i in range(n_old):
        if old.slots[i] == removed:
            continue
        if added != NULL and added.base_gfn < old.slots[i].base_gfn:
            slots.slots[n] = added
            n += 1
            added = NULL
        slots.slots[n] = old.slots[i]
        n += 1
    if added != NULL:
        slots.slots[n] = added
        n += 1
    slots.n = n
    return slots


cdef memslot_t *memslots_overlap(memslots_t *slots, uint64_t base_gfn, uint64_t npages,
                                 memslot_t *ignored) noexcept nogil:
    """A slot other than `ignored` that holds some of these gfns, or NULL."""
    cdef uint64_t low = 0, high, middle
    cdef memslot_t *slot
    if slots == NULL:
        return NULL
    high = slots.n
    while low < high:       # the first slot that ends beyond base_gfn
        middle = (low + high) >> 1
        slot = slots.slots[middle]
        if slot.base_gfn + slot.npages <= base_gfn:
            low = middle + 1
        else:
            high = middle
    while low < slots.n and slots.slots[low].base_gfn < base_gfn + npages:
        if slots.slots[low] != ignored:
            return slots.slots[low]
        low += 1
    return NULL


cdef uint64_t memslots_search(memslots_t *slots, uint64_t gfn) noexcept nogil:
    """Index of the slot that holds `gfn`, or the number of slots."""
    cdef uint64_t low = 0, high = slots.n, middle
    while low < high:
        middle = (low + high) >> 1
        if gfn < slots.slots[middle].base_gfn:
            high = middle
        elif gfn - slots.slots[middle].base_gfn >= slots.slots[middle].npages:
            low = middle + 1
        else:
            return middle
    return slots.n


def _refuse(message, errno=EINVAL):
    return ConfigError(message, errno)


def classify(slot, guest_phys_addr, memory_size, userspace_addr, flags, *, existing, overlapping,
             readonly_mem, guest_phys_size, asce_bytes):
    """What a region request is, after all the checks in the kernel's order.

    Parameters
    ----------
    existing : tuple or None
        (base_gfn, npages, userspace_addr, flags) of the slot, if it exists.
    overlapping : callable
        (base_gfn, npages) -> the id of another slot that holds some of these gfns, or None.
    readonly_mem : bool
        KVM_MEM_READONLY is supported (KVM_CAP_READONLY_MEM; not on an s390 host).
    guest_phys_size, asce_bytes : int
        The two limits of the s390 arch hook: exclusive ends of guest memory and of the ASCE.

    Returns
    -------
    int
        NOTHING, CREATE, DELETE, MOVE or FLAGS_ONLY.

    Raises
    ------
    ConfigError
        With the errno of the first rule broken (faultin.md section 8, rows 1 to 13).

    Notes
    -----
    The s390 limits follow the queued revision: guest_phys_size is exclusive, so a slot may end
    exactly at it (the posted v1 to v4 reject that one, ipa.md I1).

    >>> classify(0, 0, 1 << 20, 1 << 32, 0, existing=None, readonly_mem=False,
    ...          overlapping=lambda base_gfn, npages: None,
    ...          guest_phys_size=1 << 40, asce_bytes=1 << 42) == CREATE
    True
    """
    cdef uint64_t allowed = int(
        SlotFlag.LOG_DIRTY_PAGES | (SlotFlag.READONLY if readonly_mem else 0))
    if flags & ~allowed:
        raise _refuse(f"slot {slot}: flags {flags:#x} has bits outside {allowed:#x}")
    for name, value in (("memory_size", memory_size), ("guest_phys_addr", guest_phys_addr),
                        ("userspace_addr", userspace_addr)):
        if value & (PAGE_SIZE - 1):
            raise _refuse(f"slot {slot}: {name} {value:#x} is not a multiple of 4096")
    if userspace_addr + memory_size > 2**64:    # all that access_ok can refuse on s390
        raise _refuse(f"slot {slot}: userspace_addr {userspace_addr:#x} + {memory_size:#x} wraps")
    if slot >> 16 or slot & 0xFFFF >= MEM_SLOTS_NUM:
        raise _refuse(f"slot {slot}: use 0 to {MEM_SLOTS_NUM - 1}; there is one address space")
    if guest_phys_addr + memory_size > 2**64 - 1:
        raise _refuse(f"slot {slot}: guest_phys_addr {guest_phys_addr:#x} + {memory_size:#x} wraps")
    npages = memory_size >> PAGE_SHIFT
    base_gfn = guest_phys_addr >> PAGE_SHIFT
    if npages > MEM_MAX_NR_PAGES:
        raise _refuse(f"slot {slot}: {npages} pages, at most {MEM_MAX_NR_PAGES} fit a slot: "
                      "use several")
    if not npages:
        if existing is None:
            raise _refuse(f"slot {slot} does not exist, so it cannot be deleted")
        return DELETE
    if existing is None:
        change = CREATE
    else:
        old_base, old_npages, old_hva, old_flags = existing
        if userspace_addr != old_hva or npages != old_npages or (
                (flags ^ old_flags) & SlotFlag.READONLY):
            raise _refuse(f"slot {slot} exists: its size, userspace_addr and read-only flag cannot "
                          "change; delete it first")
        if base_gfn != old_base:
            change = MOVE
        elif flags != old_flags:
            return FLAGS_ONLY
        else:
            return NOTHING
    other = overlapping(base_gfn, npages)
    if other is not None:
        raise _refuse(f"slot {slot}: [{guest_phys_addr:#x}, {guest_phys_addr + memory_size:#x}) "
                      f"overlaps slot {other}", EEXIST)
    end = guest_phys_addr + memory_size
    if end > guest_phys_size:
        raise _refuse(f"slot {slot}: ends at {end:#x}, beyond guest memory, which ends at "
                      f"{guest_phys_size:#x}: make the address space with more ipa_bits")
    if end > asce_bytes:
        raise _refuse(f"slot {slot}: ends at {end:#x}, beyond the ASCE at {asce_bytes:#x}")
    return change
