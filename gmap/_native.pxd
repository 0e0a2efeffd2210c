# Native arm64 stage 2: the limit on guest sizes, the shape of the tables, VTCR_EL2. Floor 0.
#
# Inline, noexcept, nogil, no objects. Arguments are trusted here; `_native.pyx` is where they
# are checked.
#
# Source: fact sheet ipa.md sections 6 and 7, also against the arm64 kernel of mid 2025.
from libc.errno cimport EINVAL
from libc.stdint cimport uint64_t

from gmap._ipa cimport PARANGE_48, PARANGE_52, PARANGE_BITS

# A stage-2 granule field of ID_AA64MMFR0_EL1: 0 defers to the stage-1 field, 2 to 7 say yes.
cdef enum:
    TGRAN_2_NONE = 1
    TGRAN_2_LAST = 7

# Where the fields of VTCR_EL2 start.
cpdef enum:
    VTCR_T0SZ_SHIFT = 0
    VTCR_SL0_SHIFT = 6
    VTCR_IRGN0_SHIFT = 8
    VTCR_ORGN0_SHIFT = 10
    VTCR_SH0_SHIFT = 12
    VTCR_TG0_SHIFT = 14
    VTCR_PS_SHIFT = 16
    VTCR_VS_SHIFT = 19
    VTCR_HA_SHIFT = 21
    VTCR_RES1_SHIFT = 31
    VTCR_DS_SHIFT = 32

# What KVM puts into them.
cpdef enum:
    VTCR_RGN_WBWA = 1   # write-back, write-allocate: IRGN0 and ORGN0
    VTCR_SH_INNER = 3
    VTCR_TG0_4K = 0
    VTCR_TG0_64K = 1
    VTCR_TG0_16K = 2


# --- the limit (6) --------------------------------------------------------------------------

cdef inline int granule_shift(uint64_t granule) noexcept nogil:
    """Log2 of a page size arm64 has, -1 for any other."""
    if granule == 4096:
        return 12
    if granule == 16384:
        return 14
    return 16 if granule == 65536 else -1


cdef inline uint64_t usable_parange(uint64_t parange, int page_shift, bint lpa2) noexcept nogil:
    """PARange as far as KVM can use it: 52 bits take LPA2 or 64 KiB pages."""
    return min(parange, <uint64_t>(PARANGE_52 if lpa2 or page_shift == 16 else PARANGE_48))


cdef inline int native_limit(
    uint64_t parange, int page_shift, bint lpa2, uint64_t tgran_2
) noexcept nogil:
    """kvm_ipa_limit of an arm64 host, or -EINVAL if stage 2 cannot have pages of this size."""
    if tgran_2 == TGRAN_2_NONE or tgran_2 > TGRAN_2_LAST:
        return -EINVAL
    return PARANGE_BITS[usable_parange(parange, page_shift, lpa2)]


# --- tables (7) -----------------------------------------------------------------------------

cdef inline int level_bits(int page_shift) noexcept nogil:
    """Address bits one table of a page resolves; an entry is 8 bytes."""
    return page_shift - 3


cdef inline int stage2_levels(int ipa_bits, int page_shift) noexcept nogil:
    """Levels of a stage-2 walk: all the address needs above the page, rounded up, less 4 bits.

    Those four are what up to 16 tables side by side resolve at the start level. Two levels at
    least, so that stage 2 need not split the host's huge pages.
    """
    cdef int bits = ipa_bits - 4 - page_shift
    return max(2, (bits + level_bits(page_shift) - 1) // level_bits(page_shift))


cdef inline int stage2_start_bits(int ipa_bits, int page_shift) noexcept nogil:
    """Address bits the start level resolves."""
    cdef int levels_below = stage2_levels(ipa_bits, page_shift) - 1
    return ipa_bits - page_shift - levels_below * level_bits(page_shift)


cdef inline int stage2_concatenated(int ipa_bits, int page_shift) noexcept nogil:
    """Tables side by side at the start level."""
    return 1 << max(0, stage2_start_bits(ipa_bits, page_shift) - level_bits(page_shift))


# --- VTCR_EL2 (7) ---------------------------------------------------------------------------

cdef inline uint64_t vtcr_value(
    int ipa_bits, int page_shift, uint64_t parange, bint vmid16, bint hw_af, bint lpa2
) noexcept nogil:
    """VTCR_EL2 as KVM computes it for a VM."""
    cdef int tg0 = VTCR_TG0_4K, sl0_of_level_0 = 2
    if page_shift != 12:
        tg0 = VTCR_TG0_16K if page_shift == 14 else VTCR_TG0_64K
        sl0_of_level_0 = 3
    cdef uint64_t sl0 = sl0_of_level_0 - (4 - stage2_levels(ipa_bits, page_shift))
    return (
        <uint64_t>(64 - ipa_bits) << VTCR_T0SZ_SHIFT
        | sl0 << VTCR_SL0_SHIFT
        | <uint64_t>VTCR_RGN_WBWA << VTCR_IRGN0_SHIFT
        | <uint64_t>VTCR_RGN_WBWA << VTCR_ORGN0_SHIFT
        | <uint64_t>VTCR_SH_INNER << VTCR_SH0_SHIFT
        | <uint64_t>tg0 << VTCR_TG0_SHIFT
        | usable_parange(parange, page_shift, lpa2) << VTCR_PS_SHIFT
        | <uint64_t>vmid16 << VTCR_VS_SHIFT
        | <uint64_t>hw_af << VTCR_HA_SHIFT
        | <uint64_t>1 << VTCR_RES1_SHIFT
        | <uint64_t>(lpa2 and page_shift != 16) << VTCR_DS_SHIFT
    )
