# Sizes and limits of guest memory: the rules, each written once. Floor 0.
#
# Inline, noexcept, nogil, no objects: `_ipa.pyx` makes NumPy loops of them and other Cython
# modules cimport them. Arguments are trusted here; `_ipa.pyx` is where they are checked.
#
# Source: fact sheet ipa.md, whose section stands beside each group.
from libc.errno cimport EINVAL
from libc.stdint cimport int32_t, uint32_t, uint64_t

from gmap._defs cimport (
    CRST_BYTES, LEVEL_SEGMENT, MEM_MAX_NR_PAGES, PAGE_SHIFT, PAGE_SIZE, PT_BYTES, SEGMENT_SHIFT,
    SEGMENT_SIZE,
)
from gmap._geometry cimport limit_to_type, table_shift, type_end

cdef extern from *:
    """
    /* Physical address bits of each value of ID_AA64MMFR0_EL1.PARange. */
    static const unsigned char gmap_parange_bits[] = {32, 36, 40, 42, 44, 48, 52};
    """
    const unsigned char PARANGE_BITS "gmap_parange_bits"[7]
    int clz "__builtin_clzll"(unsigned long long value) nogil

# The published revisions of the kernel series, oldest first: rules compare them by order.
cdef enum:
    REVISION_V1         # v1 and v2
    REVISION_V4         # v3 and v4
    REVISION_QUEUED
    REVISION_SYSREG

cdef enum:
    VM_TYPE_IPA_SIZE_MASK = 0xFF
    DEFAULT_IPA_BITS = 40
    MIN_IPA_BITS = 32
    GIB_SHIFT = 30

# What the main-storage limit of the SAE block could mean; which one it is is not public.
cdef enum:
    MSL_EXCLUSIVE       # the first byte out of reach
    MSL_INCLUSIVE       # the last byte within reach
    MSL_BLOCK           # anywhere in the last 1 MiB within reach, as SIE has it
    ICPTR_GUEST_ADDRESS_SIZE = 6

cdef enum:
    PARANGE_48 = 5
    PARANGE_52 = 6

# --- numbers --------------------------------------------------------------------------------

cdef inline int highest_bit(uint64_t value) noexcept nogil:
    """Index of the highest bit set, -1 if none is: the kernel's fls64() - 1."""
    return 63 - clz(value) if value else -1


cdef inline uint64_t power_of_two(uint64_t shift) noexcept nogil:
    """1 << shift as s390 hardware does it: only the low six bits of the shift count (I4)."""
    return <uint64_t>1 << (shift & 63)


cdef inline uint64_t divide_up(uint64_t value, int shift) noexcept nogil:
    """How many blocks of 2**shift bytes the first `value` bytes touch."""
    return ((value - 1) >> shift) + 1 if value else 0


# --- the VM type (1) and the host (2) -------------------------------------------------------

cdef inline int vm_type_shift(uint64_t vm_type, uint64_t ipa_limit) noexcept nogil:
    """Log2 of the guest size KVM_CREATE_VM's argument asks for, or -EINVAL."""
    cdef uint64_t shift = vm_type if vm_type else DEFAULT_IPA_BITS
    if vm_type & ~<uint64_t>VM_TYPE_IPA_SIZE_MASK or not MIN_IPA_BITS <= shift <= ipa_limit:
        return -EINVAL
    return <int>shift


cdef inline int parange_of(uint64_t pa_bits) noexcept nogil:
    """The ID_AA64MMFR0_EL1.PARange that means so many bits, -1 if none up to 48 does."""
    cdef int field
    for field in range(PARANGE_48 + 1):
        if PARANGE_BITS[field] == pa_bits:
            return field
    return -1


cdef inline uint64_t host_max_address(
    uint64_t hamaxpow, uint64_t pa_bits, uint64_t revision
) noexcept nogil:
    """The last guest address this host can have; `pa_bits` counts for REVISION_SYSREG only."""
    cdef uint64_t last = <uint64_t>0 - PAGE_SIZE        # TASK_SIZE_MAX
    cdef uint64_t gib = power_of_two(GIB_SHIFT)
    if 0 < hamaxpow < 64:
        last = min(last, power_of_two(hamaxpow) - 1)
    if revision >= REVISION_SYSREG:
        # One more than the last byte, unlike its neighbours; rounding down to a GiB hides it.
        last = min(last, power_of_two(pa_bits))
    if revision >= REVISION_QUEUED:
        last = max(last, gib - 1)
    return ((last + 1) & ~(gib - 1)) - 1


cdef inline uint32_t host_ipa_limit(
    uint64_t hamaxpow, uint64_t pa_bits, uint64_t revision
) noexcept nogil:
    """Bits of the largest guest. Where the maximum underflowed, -1 as the u32 it is (I4)."""
    return <uint32_t>highest_bit(host_max_address(hamaxpow, pa_bits, revision) + 1)


# --- the gmap's table type (4) --------------------------------------------------------------

cdef inline int vm_table_type(uint64_t ipa_bits, uint64_t revision) noexcept nogil:
    """The type a VM's gmap is made with. v1 and v2 passed bytes for frames (I2)."""
    cdef uint64_t size = power_of_two(ipa_bits)
    return limit_to_type(size if revision < REVISION_V4 else size >> PAGE_SHIFT)


# --- limits of a VM (3) ---------------------------------------------------------------------

cdef inline uint64_t vm_mem_limit(
    uint64_t ipa_bits, uint64_t hamaxpow, uint64_t pa_bits, uint64_t revision
) noexcept nogil:
    """kvm->arch.mem_limit and the SAE block's msl: the host's last byte, later the VM's end."""
    if revision < REVISION_QUEUED:
        return host_max_address(hamaxpow, pa_bits, revision)
    return power_of_two(ipa_bits)


cdef inline uint64_t vm_fault_limit_1(
    uint64_t hamaxpow, uint64_t pa_bits, uint64_t revision
) noexcept nogil:
    """First address the fault handler answers with an address-size fault."""
    if revision < REVISION_SYSREG:
        return power_of_two(host_ipa_limit(hamaxpow, pa_bits, revision))
    return power_of_two(pa_bits)


cdef inline int fault_check(
    uint64_t ipa, uint64_t ipa_bits, uint64_t hamaxpow, uint64_t pa_bits, uint64_t revision
) noexcept nogil:
    """Which limit of the fault handler refuses an address: 1, 2, or 0 for neither."""
    if ipa >= vm_fault_limit_1(hamaxpow, pa_bits, revision):
        return 1
    return 2 if ipa >= power_of_two(ipa_bits) else 0


cdef inline int slot_check(
    uint64_t base, uint64_t nbytes, uint64_t ipa_bits, uint64_t hamaxpow, uint64_t pa_bits,
    uint64_t revision
) noexcept nogil:
    """0 or -EINVAL: the address rules of a new or moved memory slot."""
    cdef uint64_t end = base + nbytes
    # KVM's own: whole pages, at least one, no more than a slot holds, no wrap-around.
    if (base | nbytes) & (PAGE_SIZE - 1) or end <= base or nbytes >> PAGE_SHIFT > MEM_MAX_NR_PAGES:
        return -EINVAL
    # v1 and v2 still had the old rule of s390 guests.
    if revision < REVISION_V4 and nbytes & (SEGMENT_SIZE - 1):
        return -EINVAL
    # Up to v4 the limit is a last byte, so that a slot may not end right behind it (I1).
    if end > vm_mem_limit(ipa_bits, hamaxpow, pa_bits, revision):
        return -EINVAL
    if revision >= REVISION_V4 and (end - 1) >> PAGE_SHIFT >= type_end(
            vm_table_type(ipa_bits, revision)):
        return -EINVAL
    return 0


cdef inline int msl_check(uint64_t ipa, uint64_t msl, uint64_t meaning) noexcept nogil:
    """The interception of an access the main-storage limit stops, 0 if it does not."""
    cdef bint stopped
    if meaning == MSL_BLOCK:
        stopped = ipa >> SEGMENT_SHIFT > msl >> SEGMENT_SHIFT
    else:
        stopped = ipa > msl or (meaning == MSL_EXCLUSIVE and ipa == msl)
    return ICPTR_GUEST_ADDRESS_SIZE if stopped else 0


# --- table memory (8, 9) --------------------------------------------------------------------

cdef inline uint64_t mapped_table_bytes(uint64_t nbytes, int top) noexcept nogil:
    """Bytes of the tables that map the first `nbytes` in 4 KiB pages, from type `top` down."""
    cdef uint64_t crsts = 1             # the top table is there before anything is mapped
    cdef int table_type
    for table_type in range(LEVEL_SEGMENT, top):
        crsts += divide_up(nbytes, table_shift(table_type))
    return crsts * CRST_BYTES + divide_up(nbytes, SEGMENT_SHIFT) * PT_BYTES
