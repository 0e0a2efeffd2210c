# The stage-1 walk of an arm64 guest, EL1&0 regime: the only one in this project. Floor 1.
#
# Inline, noexcept, nogil, no objects, and no memory: `s1_begin` names the first descriptor
# to fetch, `s1_step` takes its value and names the next, and `s1_check` says whether the
# access is allowed. Who fetches, and through what, is the caller's business; so a scalar
# walk, a batch with many walks under way and the guest's processor share every rule.
#
# Source: Arm architecture, VMSAv8-64 translation process; docs/stage1.md lists the choices
# made where the architecture leaves one.
from libc.stdint cimport uint8_t, uint16_t, uint64_t

from gmap._defs cimport (
    ACCESS_FETCH, ACCESS_WRITE, FSC_ACCESS_FLAG, FSC_ADDRESS_SIZE, FSC_ADDRESS_SIZE_LEVEL_MINUS_1,
    FSC_PERMISSION, FSC_TRANSLATION, FSC_TRANSLATION_LEVEL_MINUS_1, S1_ADDRESS, S1_ADDRESS_DS,
    S1_AF, S1_AP_EL0, S1_AP_RO, S1_AP_TABLE_EL0, S1_AP_TABLE_RO, S1_ATTRINDX, S1_DBM,
    S1_HIGH_64K, S1_NG, S1_PXN, S1_PXN_TABLE, S1_SH, S1_TABLE, S1_UXN, S1_UXN_TABLE, S1_VALID,
)


cdef enum:
    # What a step may answer beside a fault status code, which is 0 or more.
    S1_FETCH = -1       # fetch the descriptor at `desc_ipa`
    S1_DONE = -2        # `out` is the answer

    # How a descriptor holds address bits 51:48.
    S1_FORM_48 = 0      # not at all
    S1_FORM_64K = 1     # in bits 15:12
    S1_FORM_DS = 2      # bits 49:48 in place, 51:50 in bits 9:8

    # Bits of an allowance: an access (Access) of EL0, of EL1, and of EL1 with PAN set.
    S1_ALLOW_EL1 = 3
    S1_ALLOW_PAN = 6    # reads and writes; a fetch is as without


# What one of the two TTBRs maps.
ctypedef struct s1_half_t:
    uint64_t base           # of the first table, ipa
    uint64_t excess         # address bits the output size leaves no room for
    uint64_t same           # va bits that must all equal bit 55
    uint64_t index          # mask of the first table's index
    int fsc                 # S1_FETCH, or how every access ends (EPD, a base too large)
    int fsc_el0             # the same for EL0 (E0PD)
    int level               # of the first table
    int page_shift
    int stride              # index bits of a whole table
    int form
    int blocks              # bit level + 1: that level may map blocks
    bint hpd                # table descriptors limit nothing
    bint tbi                # the top byte is no part of the address
    uint64_t sh             # with DS, what descriptors have no room for
    uint16_t asid


ctypedef struct s1_regime_t:
    s1_half_t half[2]       # by bit 55 of the address
    uint64_t flat_excess[2]  # with the MMU off: bits that must be 0, by bit 55
    uint64_t mair
    int el                  # of an access, unless it says otherwise
    bint mmu_on
    bint wxn
    bint big_endian
    bint pan
    bint epan
    bint ha                 # hardware sets the access flag
    bint hd                 # hardware clears AP[2] where DBM is set
    bint icache             # SCTLR.I


ctypedef struct s1_walk_t:
    const s1_half_t *half   # NULL with the MMU off
    uint64_t va             # without a tag
    uint64_t desc_ipa       # of the descriptor to fetch
    uint64_t desc           # the last one fetched
    uint64_t limits         # the *_TABLE bits of the tables on the way
    uint64_t out            # ipa
    int level               # of the descriptor to fetch, then of the last
    int shift               # log2 of what the last one maps


cdef inline int s1_fsc(int code, int level) noexcept nogil:
    """A fault status code with its level."""
    if level < 0:
        return (FSC_ADDRESS_SIZE_LEVEL_MINUS_1 if code == FSC_ADDRESS_SIZE
                else FSC_TRANSLATION_LEVEL_MINUS_1)
    return code + level


cdef inline uint64_t s1_untagged(uint64_t va, bint tbi) noexcept nogil:
    """The address without its tag: the top byte becomes copies of bit 55."""
    if tbi:
        if va >> 55 & 1:
            return va | <uint64_t>0xFF << 56
        return va & ~(<uint64_t>0xFF << 56)
    return va


cdef inline uint64_t s1_address(const s1_half_t *half, uint64_t desc) noexcept nogil:
    """The address in a table, block or page descriptor, low bits not yet cleared."""
    if half.form == S1_FORM_48:
        return desc & S1_ADDRESS
    if half.form == S1_FORM_64K:
        return desc & S1_ADDRESS & ~S1_HIGH_64K | (desc & S1_HIGH_64K) << 36
    return desc & S1_ADDRESS_DS | (desc & S1_SH) << 42


cdef inline int s1_level_shift(const s1_half_t *half, int level) noexcept nogil:
    """Log2 of what one descriptor at `level` covers."""
    return half.page_shift + half.stride * (3 - level)


cdef inline int s1_begin(const s1_regime_t *r, uint64_t va, int el, s1_walk_t *w) noexcept nogil:
    """Begin a walk: S1_FETCH, S1_DONE with the MMU off, or a fault status code."""
    cdef int high = <int>(va >> 55 & 1)
    cdef const s1_half_t *half = &r.half[high]
    w.va = s1_untagged(va, half.tbi)
    w.limits = 0
    w.desc = 0
    w.level = 0
    w.out = 0
    if not r.mmu_on:
        w.half = NULL
        w.shift = 12
        if va & r.flat_excess[high]:
            return FSC_ADDRESS_SIZE
        w.out = va & (<uint64_t>-1 >> 8 if half.tbi else <uint64_t>-1)
        return S1_DONE
    w.half = half
    if (w.va ^ (<uint64_t>0 - <uint64_t>high)) & half.same:
        return FSC_TRANSLATION
    if el == 0 and half.fsc_el0 >= 0:
        return half.fsc_el0
    if half.fsc >= 0:
        return half.fsc
    w.level = half.level
    w.shift = s1_level_shift(half, half.level)
    w.desc_ipa = half.base + ((w.va >> w.shift & half.index) << 3)
    return S1_FETCH


cdef inline int s1_step(const s1_regime_t *r, s1_walk_t *w, uint64_t desc) noexcept nogil:
    """Take a descriptor: S1_FETCH, S1_DONE (then `s1_check`), or a fault status code."""
    cdef const s1_half_t *half = w.half
    cdef uint64_t address
    w.desc = desc
    if not desc & S1_VALID:
        return s1_fsc(FSC_TRANSLATION, w.level)
    address = s1_address(half, desc)
    if w.level < 3 and desc & S1_TABLE:
        address &= ~<uint64_t>0 << half.page_shift
        if address & half.excess:
            return s1_fsc(FSC_ADDRESS_SIZE, w.level)
        if not half.hpd:
            w.limits |= desc
        w.level += 1
        w.shift -= half.stride
        w.desc_ipa = address | (w.va >> w.shift & ((<uint64_t>1 << half.stride) - 1)) << 3
        return S1_FETCH
    if w.level == 3:
        if not desc & S1_TABLE:
            return FSC_TRANSLATION + 3
    elif not half.blocks >> (w.level + 1) & 1:
        return s1_fsc(FSC_TRANSLATION, w.level)
    address &= ~<uint64_t>0 << w.shift
    if address & half.excess:
        return s1_fsc(FSC_ADDRESS_SIZE, w.level)
    w.out = address | (w.va & ((<uint64_t>1 << w.shift) - 1))
    return S1_DONE


cdef inline unsigned int s1_allowance(const s1_regime_t *r, const s1_walk_t *w) noexcept nogil:
    """Which accesses the tables allow, one bit each."""
    cdef bint ro, el0, u_read, u_write, u_exec, p_write, p_exec, pan
    if w.half == NULL:
        return 0xFF
    ro = (w.desc & S1_AP_RO) != 0 and not (r.hd and w.desc & S1_DBM)
    ro = ro or (w.limits & S1_AP_TABLE_RO) != 0
    el0 = (w.desc & S1_AP_EL0) != 0 and not w.limits & S1_AP_TABLE_EL0
    u_read = el0
    u_write = el0 and not ro
    p_write = not ro
    u_exec = not w.desc & S1_UXN and not w.limits & S1_UXN_TABLE
    # What EL0 may write, EL1 never fetches.
    p_exec = not w.desc & S1_PXN and not w.limits & S1_PXN_TABLE and not u_write
    pan = u_read or (r.epan and u_exec)
    if r.wxn:
        u_exec = u_exec and not u_write
        p_exec = p_exec and not p_write
    return (<unsigned int>u_read | <unsigned int>u_write << 1 | <unsigned int>u_exec << 2
            | 1 << 3 | <unsigned int>p_write << 4 | <unsigned int>p_exec << 5
            | <unsigned int>(not pan) << 6 | <unsigned int>(p_write and not pan) << 7)


cdef inline int s1_allow_bit(int access, int el, bint pan) noexcept nogil:
    """The bit of an allowance that decides about an access."""
    if el == 0:
        return access
    if pan and access != ACCESS_FETCH:
        return S1_ALLOW_PAN + access
    return S1_ALLOW_EL1 + access


cdef inline int s1_check(const s1_regime_t *r, const s1_walk_t *w, int bit) noexcept nogil:
    """After S1_DONE: S1_DONE if the access is allowed, or the access-flag or permission fault."""
    if w.half == NULL:
        return S1_DONE
    if not w.desc & S1_AF and not r.ha:
        return s1_fsc(FSC_ACCESS_FLAG, w.level)
    if not s1_allowance(r, w) >> bit & 1:
        return s1_fsc(FSC_PERMISSION, w.level)
    return S1_DONE


cdef inline uint64_t s1_updated(const s1_regime_t *r, const s1_walk_t *w,
                                int access) noexcept nogil:
    """The descriptor as hardware leaves it after an allowed access (HAFDBS)."""
    cdef uint64_t desc = w.desc
    if w.half == NULL or not r.ha:
        return desc
    desc |= S1_AF
    if access == ACCESS_WRITE and r.hd and desc & S1_DBM:
        desc &= ~S1_AP_RO
    return desc


cdef inline uint8_t s1_attributes(const s1_regime_t *r, const s1_walk_t *w,
                                  int access) noexcept nogil:
    """The memory attributes of a finished walk, as in PAR_EL1.ATTR."""
    if w.half == NULL:
        if access != ACCESS_FETCH:
            return 0x00             # Device-nGnRnE
        return 0xAA if r.icache else 0x44
    return <uint8_t>(r.mair >> ((w.desc & S1_ATTRINDX) << 1))


cdef inline int s1_shareability(const s1_walk_t *w) noexcept nogil:
    """The shareability of a finished walk, as the descriptor says; what memory attributes
    make of it is left to whoever reports it."""
    if w.half == NULL:
        return 2
    if w.half.form == S1_FORM_DS:
        return <int>w.half.sh
    return <int>((w.desc & S1_SH) >> 8)


cdef inline bint s1_not_global(const s1_walk_t *w) noexcept nogil:
    return w.half != NULL and (w.desc & S1_NG) != 0


# --- registers ------------------------------------------------------------------------------

# What the ID registers say the processor has.
ctypedef struct s1_cpu_t:
    int pa_bits
    bint granule[3]         # 4K, 16K, 64K
    bint granule_52[3]      # with 52-bit addresses (LPA2 for 4K and 16K, LPA for 64K)
    bint lva                # 52-bit virtual addresses with 64K
    bint small_tables       # TxSZ up to 48
    bint hpds
    bint e0pd
    bint asid16
    int hafdbs              # 1: access flag, 2: and dirty state
    int pan                 # 3: and EPAN


cdef void s1_cpu_read(s1_cpu_t *cpu, uint64_t mmfr0, uint64_t mmfr1, uint64_t mmfr2) noexcept nogil
cdef void s1_configure(s1_regime_t *r, const s1_cpu_t *cpu, uint64_t ttbr0, uint64_t ttbr1,
                       uint64_t tcr, uint64_t mair, uint64_t sctlr, int el,
                       bint pan) noexcept nogil


cdef class Stage1:
    cdef s1_regime_t c
    cdef s1_cpu_t cpu
    cdef readonly object ttbr0
    cdef readonly object ttbr1
    cdef readonly object tcr
    cdef readonly object mair
    cdef readonly object sctlr
    cdef readonly int el
    cdef readonly bint pan
    cdef readonly object mmfr0
    cdef readonly object mmfr1
    cdef readonly object mmfr2
