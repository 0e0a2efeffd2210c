"""The registers of a stage-1 regime, made ready for walks. Floor 1.

Every rule that depends on registers alone is decided here, once; `_stage1.pxd` has what
depends on addresses and descriptors.
"""

from gmap._address cimport as_u64
from gmap._defs cimport (
    FSC_ADDRESS_SIZE, FSC_TRANSLATION, SCTLR_EE, SCTLR_EPAN, SCTLR_I, SCTLR_M, SCTLR_WXN, TCR_A1,
    TCR_AS, TCR_DS, TCR_E0PD0, TCR_E0PD1, TCR_EPD0, TCR_EPD1, TCR_HA, TCR_HD, TCR_HPD0, TCR_HPD1,
    TCR_IPS, TCR_SH0, TCR_SH1, TCR_T0SZ, TCR_T1SZ, TCR_TBI0, TCR_TBI1, TCR_TG0, TCR_TG1,
    TTBR_ASID, TTBR_BADDR, TTBR_BADDR_HIGH,
)

from gmap.errors import ConfigError

#: 48-bit addresses, granules of 4K, 16K and 64K, 16-bit ASIDs.
DEFAULT_MMFR0 = 0x0000_0000_0010_0025
#: HAFDBS with dirty state, HPDS, PAN with EPAN.
DEFAULT_MMFR1 = 0x0000_0000_0030_1002
#: Small translation tables; 48-bit virtual addresses.
DEFAULT_MMFR2 = 0x0000_0000_1000_0000

ALL_ONES = 0xFFFF_FFFF_FFFF_FFFF


cdef enum:
    PAGE_4K = 12
    PAGE_16K = 14
    PAGE_64K = 16


cdef inline int address_bits(uint64_t code) noexcept nogil:
    """An address size as PARange and TCR.IPS code it; what is reserved means the largest."""
    if code < 3:
        return 32 + 4 * <int>code
    if code < 5:
        return 42 if code == 3 else 44
    if code < 7:
        return 48 if code == 5 else 52
    return 56


cdef void s1_cpu_read(s1_cpu_t *cpu, uint64_t mmfr0, uint64_t mmfr1,
                      uint64_t mmfr2) noexcept nogil:
    """What ID_AA64MMFR0_EL1, ID_AA64MMFR1_EL1 and ID_AA64MMFR2_EL1 say."""
    cpu.pa_bits = address_bits(mmfr0 & 15)
    cpu.asid16 = (mmfr0 >> 4 & 15) == 2
    cpu.granule[0] = (mmfr0 >> 28 & 15) <= 1
    cpu.granule[1] = (mmfr0 >> 20 & 15) in (1, 2)
    cpu.granule[2] = (mmfr0 >> 24 & 15) == 0
    cpu.granule_52[0] = (mmfr0 >> 28 & 15) == 1
    cpu.granule_52[1] = (mmfr0 >> 20 & 15) == 2
    cpu.granule_52[2] = cpu.granule[2] and cpu.pa_bits >= 52
    cpu.hafdbs = <int>(mmfr1 & 15)
    cpu.hpds = (mmfr1 >> 12 & 15) != 0
    cpu.pan = <int>(mmfr1 >> 20 & 15)
    cpu.lva = (mmfr2 >> 16 & 15) != 0
    cpu.small_tables = (mmfr2 >> 28 & 15) != 0
    cpu.e0pd = (mmfr2 >> 60) != 0


cdef inline int page_shift_of(const s1_cpu_t *cpu, bint upper, uint64_t tg) noexcept nogil:
    """The granule of a half. A reserved code or one the processor lacks means the smallest it
    has."""
    cdef int shift
    if upper:
        shift = PAGE_16K if tg == 1 else PAGE_4K if tg == 2 else PAGE_64K if tg == 3 else 0
    else:
        shift = PAGE_4K if tg == 0 else PAGE_64K if tg == 1 else PAGE_16K if tg == 2 else 0
    if shift and cpu.granule[(shift - PAGE_4K) >> 1]:
        return shift
    return PAGE_4K if cpu.granule[0] else PAGE_16K if cpu.granule[1] else PAGE_64K


cdef inline int start_level(int ia_bits, int page_shift) noexcept nogil:
    return 3 - (ia_bits - 1 - page_shift) // (page_shift - 3)


cdef void configure_half(s1_half_t *half, const s1_cpu_t *cpu, bint upper, uint64_t ttbr,
                         uint64_t tcr) noexcept nogil:
    cdef uint64_t tg = (tcr & TCR_TG1) >> 30 if upper else (tcr & TCR_TG0) >> 14
    cdef int txsz = <int>((tcr & TCR_T1SZ) >> 16 if upper else tcr & TCR_T0SZ)
    cdef int page_shift = page_shift_of(cpu, upper, tg)
    cdef int granule = (page_shift - PAGE_4K) >> 1
    cdef bint ds = (tcr & TCR_DS) != 0 and page_shift != PAGE_64K and cpu.granule_52[granule]
    cdef bint wide = ds or (page_shift == PAGE_64K and cpu.granule_52[2])
    cdef int least = 12 if ds or (page_shift == PAGE_64K and cpu.lva) else 16
    cdef int most = 39
    cdef int ia_bits, oa_bits, table_bits
    cdef bint legal
    if cpu.small_tables:
        most = 47 if page_shift == PAGE_64K else 48
    legal = least <= txsz <= most
    ia_bits = 64 - (txsz if legal else 16)
    oa_bits = min(min(address_bits((tcr & TCR_IPS) >> 32), cpu.pa_bits), 52 if wide else 48)
    half.page_shift = page_shift
    half.stride = page_shift - 3
    half.level = start_level(ia_bits, page_shift)
    half.same = ~<uint64_t>0 << ia_bits
    half.excess = ((<uint64_t>1 << 52) - 1) & ~((<uint64_t>1 << oa_bits) - 1)
    half.form = S1_FORM_DS if ds else S1_FORM_64K if wide else S1_FORM_48
    half.tbi = (tcr & (TCR_TBI1 if upper else TCR_TBI0)) != 0
    half.hpd = cpu.hpds and (tcr & (TCR_HPD1 if upper else TCR_HPD0)) != 0
    half.sh = (tcr & TCR_SH1) >> 28 if upper else (tcr & TCR_SH0) >> 12
    # Level 2 maps blocks with every granule, level 1 with 4K, and one level more where
    # addresses have 52 bits (bit level + 1).
    half.blocks = 1 << 3 | (1 << 2 if page_shift == PAGE_4K or wide else 0)
    if page_shift == PAGE_4K and wide:
        half.blocks |= 1 << 1
    table_bits = ia_bits - (page_shift + half.stride * (3 - half.level))
    half.index = (<uint64_t>1 << table_bits) - 1
    half.base = ttbr & TTBR_BADDR
    table_bits += 3
    if ds or (wide and oa_bits == 52):
        table_bits = max(table_bits, 6)
        half.base |= (ttbr & TTBR_BADDR_HIGH) << 46
    half.base &= ~<uint64_t>0 << table_bits
    half.fsc_el0 = FSC_TRANSLATION if cpu.e0pd and tcr & (TCR_E0PD1 if upper else TCR_E0PD0) else -1
    half.fsc = -1
    if not legal or tcr & (TCR_EPD1 if upper else TCR_EPD0):
        half.fsc = FSC_TRANSLATION
    elif half.base & half.excess:
        half.fsc = FSC_ADDRESS_SIZE


cdef void s1_configure(s1_regime_t *r, const s1_cpu_t *cpu, uint64_t ttbr0, uint64_t ttbr1,
                       uint64_t tcr, uint64_t mair, uint64_t sctlr, int el,
                       bint pan) noexcept nogil:
    """Make a regime ready; nothing in it survives from before."""
    cdef uint64_t asid = (ttbr1 if tcr & TCR_A1 else ttbr0) & TTBR_ASID
    cdef int i
    configure_half(&r.half[0], cpu, False, ttbr0, tcr)
    configure_half(&r.half[1], cpu, True, ttbr1, tcr)
    asid >>= 48
    if not (tcr & TCR_AS and cpu.asid16):
        asid &= 0xFF
    r.mmu_on = (sctlr & SCTLR_M) != 0
    for i in range(2):
        r.half[i].asid = <uint16_t>asid
        r.flat_excess[i] = ~<uint64_t>0 << cpu.pa_bits
        if r.half[i].tbi:
            r.flat_excess[i] &= ~<uint64_t>0 >> 8
    r.mair = mair
    r.el = el
    r.wxn = (sctlr & SCTLR_WXN) != 0
    r.big_endian = (sctlr & SCTLR_EE) != 0
    r.icache = (sctlr & SCTLR_I) != 0
    r.pan = pan and cpu.pan != 0
    r.epan = cpu.pan >= 3 and (sctlr & SCTLR_EPAN) != 0
    r.ha = cpu.hafdbs >= 1 and (tcr & TCR_HA) != 0
    r.hd = r.ha and cpu.hafdbs >= 2 and (tcr & TCR_HD) != 0


cdef class Stage1:
    """The stage-1 translation regime of a guest at EL1 or EL0: its registers, read once.

    Parameters
    ----------
    ttbr0, ttbr1, tcr, mair, sctlr : int
        Values of TTBR0_EL1, TTBR1_EL1, TCR_EL1, MAIR_EL1 and SCTLR_EL1. With SCTLR.M clear an
        address is its own ipa.
    el : int
        The exception level of the accesses, 0 or 1.
    pan : bool
        PSTATE.PAN.
    mmfr0, mmfr1, mmfr2 : int, optional
        ID_AA64MMFR0_EL1, ID_AA64MMFR1_EL1 and ID_AA64MMFR2_EL1: what the processor implements.
        By default 48-bit addresses, all three granules, HAFDBS, HPDS, PAN with EPAN and small
        translation tables. LPA is PARange 6 (with mmfr2.VARange for LVA), LPA2 besides TGran4 1
        and TGran16 2, used with TCR.DS.

    Raises
    ------
    AddressError, AddressTypeError
        A register that is no unsigned 64-bit value.
    ConfigError
        An exception level other than 0 and 1, or a processor without a granule or with a
        reserved address size.

    Notes
    -----
    Source: Arm architecture, VMSAv8-64. docs/stage1.md tells what is done where it leaves a
    choice: with TxSZ out of range every address faults, a reserved granule counts as the smallest
    the processor has, a reserved address size as the largest.

    Examples
    --------
    >>> import gmap
    >>> s1 = gmap.Stage1(ttbr0=0x4000_0000, tcr=25 | 25 << 16 | 2 << 30, mair=0xff)
    >>> s1.asid, s1.start_level(0), s1.va_bits(0)
    (0, 1, 39)
    """

    def __cinit__(self, ttbr0=0, ttbr1=0, tcr=0, mair=0, sctlr=1, el=1, *, pan=False,
                  mmfr0=None, mmfr1=None, mmfr2=None):
        self.ttbr0 = as_u64(ttbr0, "ttbr0", ALL_ONES)
        self.ttbr1 = as_u64(ttbr1, "ttbr1", ALL_ONES)
        self.tcr = as_u64(tcr, "tcr", ALL_ONES)
        self.mair = as_u64(mair, "mair", ALL_ONES)
        self.sctlr = as_u64(sctlr, "sctlr", ALL_ONES)
        self.mmfr0 = DEFAULT_MMFR0 if mmfr0 is None else as_u64(mmfr0, "mmfr0", ALL_ONES)
        self.mmfr1 = DEFAULT_MMFR1 if mmfr1 is None else as_u64(mmfr1, "mmfr1", ALL_ONES)
        self.mmfr2 = DEFAULT_MMFR2 if mmfr2 is None else as_u64(mmfr2, "mmfr2", ALL_ONES)
        if isinstance(el, bool) or el not in (0, 1):
            raise ConfigError(f"el {el!r}: a guest runs at 0 or 1")
        self.el = el
        self.pan = bool(pan)
        s1_cpu_read(&self.cpu, self.mmfr0, self.mmfr1, self.mmfr2)
        if self.mmfr0 & 15 > 7:
            raise ConfigError(f"mmfr0 {self.mmfr0:#x}: PARange (bits 3:0) must be 0 to 7")
        if not (self.cpu.granule[0] or self.cpu.granule[1] or self.cpu.granule[2]):
            raise ConfigError(f"mmfr0 {self.mmfr0:#x} has no translation granule: set TGran4, "
                              "TGran16 or TGran64")
        s1_configure(&self.c, &self.cpu, self.ttbr0, self.ttbr1, self.tcr, self.mair, self.sctlr,
                     self.el, self.pan)

    def __reduce__(self):
        return _remake, (self.ttbr0, self.ttbr1, self.tcr, self.mair, self.sctlr, self.el,
                         self.pan, self.mmfr0, self.mmfr1, self.mmfr2)

    def __repr__(self):
        return (f"Stage1(ttbr0={self.ttbr0:#x}, ttbr1={self.ttbr1:#x}, tcr={self.tcr:#x}, "
                f"mair={self.mair:#x}, sctlr={self.sctlr:#x}, el={self.el}, pan={self.pan})")

    @property
    def asid(self):
        """The address space identifier TCR.A1 selects, as int."""
        return self.c.half[0].asid

    def va_bits(self, half):
        """The bits of the addresses of one TTBR, 0 or 1, as int.

        >>> Stage1(tcr=16 | 25 << 16).va_bits(1)
        39
        """
        return (~self.c.half[check_half(half)].same).bit_length()

    def page_shift(self, half):
        """Log2 of the granule of one TTBR, 0 or 1, as int.

        >>> Stage1(tcr=1 << 14).page_shift(0)
        16
        """
        return self.c.half[check_half(half)].page_shift

    def start_level(self, half):
        """The level of the first table of one TTBR, 0 or 1, as int: -1 to 3.

        >>> Stage1(tcr=16).start_level(0)
        0
        """
        return self.c.half[check_half(half)].level


def _remake(ttbr0, ttbr1, tcr, mair, sctlr, el, pan, mmfr0, mmfr1, mmfr2):
    return Stage1(ttbr0, ttbr1, tcr, mair, sctlr, el, pan=pan, mmfr0=mmfr0, mmfr1=mmfr1,
                  mmfr2=mmfr2)


cdef int check_half(half) except -1:
    if isinstance(half, bool) or half not in (0, 1):
        raise ConfigError(f"half {half!r}: 0 for TTBR0, 1 for TTBR1")
    return half
