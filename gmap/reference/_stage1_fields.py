"""Where the fields of VMSAv8-64 stage 1 are: registers, descriptors, fault status codes.

Bits are counted as the Arm manual does: bit 0 is the least significant.

Source: the public Arm Architecture Reference Manual, TCR_EL1, SCTLR_EL1, TTBR0_EL1,
ID_AA64MMFR0_EL1 to ID_AA64MMFR2_EL1, ISS encoding of a Data Abort, VMSAv8-64 descriptors.
"""

from enum import IntEnum
from typing import Final, NamedTuple

from gmap._defs import Level, Pic


def bits(value: int, high: int, low: int) -> int:
    """The field `high`:`low` of a value, moved down to bit 0.

    >>> bits(0b1101_0000, 7, 6)
    3
    """
    return value >> low & (1 << (high - low + 1)) - 1


def bit(value: int, n: int) -> bool:
    """Bit `n` of a value.

    >>> bit(8, 3)
    True
    """
    return bool(value >> n & 1)


# --- SCTLR_EL1, single bits ---------------------------------------------------------------
SCTLR_M: Final = 0  # stage 1 is on
SCTLR_C: Final = 2  # data accesses may be cached
SCTLR_I: Final = 12  # fetches may be cached
SCTLR_WXN: Final = 19  # what may be written may not be executed
SCTLR_EE: Final = 25  # descriptors are big-endian
SCTLR_EPAN: Final = 57  # PAN also covers what EL0 can only execute

# --- TCR_EL1, single bits -----------------------------------------------------------------
TCR_HA: Final = 39
TCR_HD: Final = 40
TCR_DS: Final = 59

# --- descriptors, single bits -------------------------------------------------------------
DESC_VALID: Final = 0
DESC_TABLE: Final = 1  # at level 3: page
DESC_AP1: Final = 6  # EL0 may use it
DESC_AP2: Final = 7  # read-only
DESC_AF: Final = 10
DESC_NG: Final = 11
DESC_DBM: Final = 51
DESC_CONTIGUOUS: Final = 52
DESC_PXN: Final = 53
DESC_UXN: Final = 54
DESC_PXN_TABLE: Final = 59
DESC_UXN_TABLE: Final = 60
DESC_AP_TABLE0: Final = 61  # no EL0 access below
DESC_AP_TABLE1: Final = 62  # no writes below

FINAL_LEVEL: Final = 3


class Half(NamedTuple):
    """What TCR_EL1 says about one half of the address space, as the register holds it.

    The lower half is that of TTBR0, the upper that of TTBR1.
    """

    txsz: int
    epd: bool
    sh: int
    tg: int
    tbi: bool
    hpd: bool
    e0pd: bool


def lower_half(tcr: int) -> Half:
    """The fields of TTBR0's half."""
    return Half(
        txsz=bits(tcr, 5, 0), epd=bit(tcr, 7), sh=bits(tcr, 13, 12), tg=bits(tcr, 15, 14),
        tbi=bit(tcr, 37), hpd=bit(tcr, 41), e0pd=bit(tcr, 55),
    )  # fmt: skip


def upper_half(tcr: int) -> Half:
    """The fields of TTBR1's half."""
    return Half(
        txsz=bits(tcr, 21, 16), epd=bit(tcr, 23), sh=bits(tcr, 29, 28), tg=bits(tcr, 31, 30),
        tbi=bit(tcr, 38), hpd=bit(tcr, 42), e0pd=bit(tcr, 56),
    )  # fmt: skip


#: TG0 and TG1 spell the granules differently; the value is log2 of the granule's bytes.
TG0_GRANULE: Final = {0b00: 12, 0b10: 14, 0b01: 16}
TG1_GRANULE: Final = {0b10: 12, 0b01: 14, 0b11: 16}

#: TCR_EL1.IPS and ID_AA64MMFR0_EL1.PARange: address bits.
ADDRESS_BITS: Final = {0: 32, 1: 36, 2: 40, 3: 42, 4: 44, 5: 48, 6: 52, 7: 56}


class Features(NamedTuple):
    """What a CPU can do, of what stage 1 asks about."""

    pa_bits: int
    granules: tuple[int, ...]  # log2, smallest first
    granules_52: tuple[int, ...]  # with 52-bit addresses by LPA2 (4K, 16K) or LPA (64K)
    lva: bool
    small_tables: bool
    access_flag: bool
    dirty_state: bool
    hpd: bool
    pan: bool
    epan: bool
    e0pd: bool


def features(mmfr0: int, mmfr1: int, mmfr2: int) -> Features:
    """Read the three ID registers.

    >>> f = features(0x00100005, 0x302001, 1 << 28)
    >>> f.pa_bits, f.granules, f.granules_52, f.access_flag, f.dirty_state
    (48, (12, 14, 16), (), True, False)
    """
    pa_bits = ADDRESS_BITS.get(bits(mmfr0, 3, 0), 0)
    tgran4, tgran16, tgran64 = bits(mmfr0, 31, 28), bits(mmfr0, 23, 20), bits(mmfr0, 27, 24)
    granules = ((12, tgran4 in (0, 1)), (14, tgran16 in (1, 2)), (16, tgran64 == 0))
    wide = ((12, tgran4 == 1), (14, tgran16 == 2), (16, tgran64 == 0 and pa_bits >= 52))
    hafdbs, pan = bits(mmfr1, 3, 0), bits(mmfr1, 23, 20)
    return Features(
        pa_bits=pa_bits,
        granules=tuple(size for size, has in granules if has),
        granules_52=tuple(size for size, has in wide if has),
        lva=bits(mmfr2, 19, 16) >= 1,
        small_tables=bits(mmfr2, 31, 28) >= 1,
        access_flag=hafdbs >= 1,
        dirty_state=hafdbs >= 2,
        hpd=bits(mmfr1, 15, 12) >= 1,
        pan=pan >= 1,
        epan=pan >= 3,
        e0pd=bits(mmfr2, 63, 60) >= 1,
    )


class FaultKind(IntEnum):
    """Bits 5:2 of a fault status code; bits 1:0 are the level."""

    ADDRESS_SIZE = 0b0000
    TRANSLATION = 0b0001
    ACCESS_FLAG = 0b0010
    PERMISSION = 0b0011


#: Level -1 does not fit into two bits and has codes of its own.
_FSC_BELOW_ZERO: Final = {FaultKind.ADDRESS_SIZE: 0b101001, FaultKind.TRANSLATION: 0b101011}


def fault_status(kind: FaultKind, level: int) -> int:
    """The fault status code (DFSC, IFSC, PAR_EL1.FST) of a fault at a level, -1 to 3.

    >>> [hex(fault_status(FaultKind.TRANSLATION, level)) for level in (3, -1)]
    ['0x7', '0x2b']
    """
    return _FSC_BELOW_ZERO[kind] if level < 0 else kind << 2 | level


#: The DAT table that has nothing for an address, as the Arm level at the same depth: the page
#: table is level 3. Without a table level (no memory slot, beyond the end of the address
#: space, a malformed table), level 0.
_LEVEL_OF_PIC: Final = {
    Pic.PAGE_TRANSLATION: 3,
    Pic.SEGMENT_TRANSLATION: 2,
    Pic.REGION_THIRD_TRANS: 1,
    Pic.REGION_SECOND_TRANS: 0,
    Pic.REGION_FIRST_TRANS: -1,
}


def arm_level(level: int) -> int:
    """The Arm lookup level at the depth of a DAT level: a page table is level 3.

    >>> arm_level(Level.PAGE), arm_level(Level.REGION1)
    (3, -1)
    """
    return FINAL_LEVEL - (level - Level.PAGE)


def stage2_status(pic: int, leaf_level: int = Level.PAGE) -> tuple[int, int]:
    """Fault status code and level with which a guest sees a DAT interruption.

    A protection exception becomes a permission fault at the level of the leaf, anything else a
    translation fault.

    >>> [hex(fsc) for fsc, _ in map(stage2_status, (0x04, 0x05, 0x10, 0x11, 0x39))]
    ['0xf', '0x4', '0x6', '0x7', '0x2b']
    """
    if pic == Pic.PROTECTION:
        level = arm_level(leaf_level)
        return fault_status(FaultKind.PERMISSION, level), level
    level = _LEVEL_OF_PIC.get(pic, 0)  # type: ignore[call-overload]
    return fault_status(FaultKind.TRANSLATION, level), level
