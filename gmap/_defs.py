"""Every constant of the DAT tables and the gmap, each defined once.

Floor 0. Nothing here may import anything of this package: `setup.py` runs this file
on its own and writes `_defs.pxd` and `include/gmap_defs.h` from it, so that Python,
Numba, Cython and C all see the same values under the same names.

Masks are written the way the manuals count bits: for the z/Architecture MSB0, where bit 0
is the most significant of 64 (`bit`, `field`), for Arm LSB0 (`bits`). Plain names become
``uint64_t`` constants in Cython; members of the enumerations become ``int`` constants called
``CLASS_MEMBER`` in upper case (`Level.PAGE` is ``LEVEL_PAGE``, `GmapFlag.SHADOW` is
``GMAP_FLAG_SHADOW``).

Source: fact sheet dat-gmap.md sections 1 to 4 and 10, faultin.md section 5; for stage 1 the
Arm architecture's register and descriptor definitions (VMSAv8-64).
"""

from enum import IntEnum, IntFlag
from typing import Final


def bit(n: int) -> int:
    """The mask of bit `n`, counted from the most significant of 64."""
    return 1 << (63 - n)


def field(first: int, last: int) -> int:
    """The mask of bits `first` to `last` inclusive, counted from the most significant of 64."""
    return ((1 << (last - first + 1)) - 1) << (63 - last)


def bits(high: int, low: int) -> int:
    """The mask of bits `high` to `low` inclusive, counted from the least significant."""
    return ((1 << (high - low + 1)) - 1) << low


# --- geometry (dat-gmap.md 1) -------------------------------------------------------------
PAGE_SHIFT: Final = 12
PAGE_SIZE: Final = 1 << PAGE_SHIFT
SEGMENT_SHIFT: Final = 20
REGION3_SHIFT: Final = 31
REGION2_SHIFT: Final = 42
REGION1_SHIFT: Final = 53
SEGMENT_SIZE: Final = 1 << SEGMENT_SHIFT
REGION3_SIZE: Final = 1 << REGION3_SHIFT
CRST_BITS: Final = 11  # index bits of a region or segment table
CRST_ENTRIES: Final = 1 << CRST_BITS
CRST_BYTES: Final = 8 * CRST_ENTRIES
PT_BITS: Final = 8  # index bits of a page table
PT_ENTRIES: Final = 1 << PT_BITS
PT_BYTES: Final = 4096  # 256 PTEs, then their 256 PGSTEs
SEGMENT_PAGES: Final = 1 << (SEGMENT_SHIFT - PAGE_SHIFT)
REGION3_PAGES: Final = 1 << (REGION3_SHIFT - PAGE_SHIFT)

VA_RFX: Final = field(0, 10)
VA_RSX: Final = field(11, 21)
VA_RTX: Final = field(22, 32)
VA_SX: Final = field(33, 43)
VA_PX: Final = field(44, 51)
VA_BX: Final = field(52, 63)

# --- address-space-control element (2.1) --------------------------------------------------
ASCE_ORIGIN: Final = field(0, 51)
ASCE_G: Final = bit(54)
ASCE_P: Final = bit(55)
ASCE_S: Final = bit(56)
ASCE_X: Final = bit(57)
ASCE_R: Final = bit(58)
ASCE_DT: Final = field(60, 61)
ASCE_TL: Final = field(62, 63)

# --- region- and segment-table entries, hardware view (2.2 to 2.4) ------------------------
CRSTE_ORIGIN: Final = field(0, 51)
CRSTE_FC: Final = bit(53)  # format control: this entry maps a frame (region-3, segment)
CRSTE_P: Final = bit(54)
CRSTE_IEP: Final = bit(55)
CRSTE_TF: Final = field(56, 57)
CRSTE_I: Final = bit(58)
CRSTE_CR: Final = bit(59)  # common region (region-3) or common segment
CRSTE_TT: Final = field(60, 61)
CRSTE_TL: Final = field(62, 63)
CRSTE_AV: Final = bit(47)
CRSTE_ACC: Final = field(48, 51)
CRSTE_F: Final = bit(52)
REGION3_FRAME: Final = field(0, 32)
SEGMENT_FRAME: Final = field(0, 43)
SEGMENT_PTO: Final = field(0, 52)

# --- the gmap's software bits in an entry that maps a frame (2.5) -------------------------
CRSTE_SW_S: Final = bit(48)  # special: no struct page behind the frame
CRSTE_SW_W: Final = bit(49)  # writable in the host
CRSTE_SW_R: Final = bit(50)  # never set by the gmap
CRSTE_SW_D: Final = bit(51)  # dirty
CRSTE_SW_Y: Final = bit(52)  # young
CRSTE_SW_PREFIX_NOTIF: Final = bit(56)
CRSTE_SW_VSIE_NOTIF: Final = bit(57)
CRSTE_SW_SD: Final = bit(62)  # soft-dirty
CRSTE_SW_PR: Final = bit(63)  # present

# --- page-table entry (2.6) ---------------------------------------------------------------
PTE_PFRA: Final = field(0, 51)
PTE_Z: Final = bit(52)
PTE_I: Final = bit(53)
PTE_P: Final = bit(54)
PTE_IEP: Final = bit(55)
PTE_SW: Final = field(56, 63)  # the byte that may change without an invalidation
PTE_U: Final = bit(56)
PTE_S: Final = bit(57)
PTE_W: Final = bit(58)
PTE_R: Final = bit(59)
PTE_D: Final = bit(60)
PTE_Y: Final = bit(61)
PTE_SD: Final = bit(62)
PTE_PR: Final = bit(63)

# --- page status table entry (2.7) --------------------------------------------------------
PGSTE_ACC: Final = field(0, 3)
PGSTE_FP: Final = bit(4)
PGSTE_PCL: Final = bit(8)  # the lock
PGSTE_HR: Final = bit(9)
PGSTE_HC: Final = bit(10)
PGSTE_GR: Final = bit(13)
PGSTE_GC: Final = bit(14)
PGSTE_VAL16: Final = field(16, 31)
PGSTE_ZERO: Final = bit(32)
PGSTE_NODAT: Final = bit(33)
PGSTE_USAGE: Final = field(38, 39)
PGSTE_CMMA_D: Final = bit(48)
PGSTE_PREFIX_NOTIF: Final = bit(49)
PGSTE_VSIE_NOTIF: Final = bit(50)
PGSTE_VSIE_GMEM: Final = bit(51)

# --- tokens: invalid entries that carry a reason (2.8) ------------------------------------
TOKEN_TYPE: Final = field(0, 15)
TOKEN_PAR: Final = field(16, 31)
TOKEN_TYPE_SHIFT: Final = 48
TOKEN_PAR_SHIFT: Final = 32
TOKEN_NONE: Final = 0
TOKEN_PIC: Final = 1
# The token of "no memory here": a program interruption 5 (addressing).
TOKEN_HOLE: Final = TOKEN_PIC << TOKEN_TYPE_SHIFT | 5 << TOKEN_PAR_SHIFT
PTE_EMPTY: Final = PTE_I
PTE_HOLE: Final = TOKEN_HOLE | PTE_I
CRSTE_EMPTY: Final = CRSTE_I  # plus the table type
CRSTE_HOLE: Final = TOKEN_HOLE | CRSTE_I  # plus the table type

# --- sizes of the mmu cache (3) -----------------------------------------------------------
MMU_CACHE_CRSTS: Final = 6
MMU_CACHE_PTS: Final = 2

# --- memslots (faultin.md 8) --------------------------------------------------------------
MEM_SLOTS_NUM: Final = 32767
MEM_MAX_NR_PAGES: Final = (1 << 31) - 1

# --- host frame numbers that are errors (faultin.md 5) ------------------------------------
PFN_ERR_MASK: Final = 0x7FF0_0000_0000_0000
PFN_ERR_FAULT: Final = PFN_ERR_MASK
PFN_ERR_HWPOISON: Final = PFN_ERR_MASK + 1
PFN_ERR_RO_FAULT: Final = PFN_ERR_MASK + 2
PFN_ERR_SIGPENDING: Final = PFN_ERR_MASK + 3
PFN_ERR_NEEDS_IO: Final = PFN_ERR_MASK + 4
PFN_NOSLOT: Final = 1 << 63


class Level(IntEnum):
    """Table type of an entry; `PAGE` is a level without a table-type code of its own."""

    PAGE = -1
    SEGMENT = 0
    REGION3 = 1
    REGION2 = 2
    REGION1 = 3


class Pic(IntEnum):
    """Program interruption codes that translation and fault-in produce."""

    NONE = 0x00
    PROTECTION = 0x04
    ADDRESSING = 0x05
    SEGMENT_TRANSLATION = 0x10
    PAGE_TRANSLATION = 0x11
    TRANSLATION_SPEC = 0x12
    ASCE_TYPE = 0x38
    REGION_FIRST_TRANS = 0x39
    REGION_SECOND_TRANS = 0x3A
    REGION_THIRD_TRANS = 0x3B


class Walk(IntFlag):
    """Flags of the entry walk (dat-gmap.md 4)."""

    LEAF = 0x01
    ANY = 0x02
    ALLOC = 0x04
    SPLIT = 0x08
    IGN_HOLES = 0x10
    CONTINUE = 0x20
    USES_SKEYS = 0x40
    LEAF_ALLOC = LEAF | ALLOC
    SPLIT_ALLOC = SPLIT | ALLOC
    ALLOC_CONTINUE = ALLOC | CONTINUE


class GmapFlag(IntFlag):
    """Flags of a gmap, by the kernel's bit numbers (dat-gmap.md 10)."""

    SHADOW = 1 << 0
    OWNS_PAGETABLES = 1 << 1
    IS_UCONTROL = 1 << 2
    ALLOW_HPAGE_1M = 1 << 3
    ALLOW_HPAGE_2G = 1 << 4
    PFAULT_ENABLED = 1 << 5
    USES_SKEYS = 1 << 6
    USES_CMM = 1 << 7
    EXPORT_ON_UNMAP = 1 << 8


class SlotFlag(IntFlag):
    """Flags of a memory slot; `INVALID` is the kernel's own mark for a slot being removed."""

    LOG_DIRTY_PAGES = 1 << 0
    READONLY = 1 << 1
    INVALID = 1 << 16


class Folio(IntEnum):
    """Orders of the folios a host hands out: 2**order pages."""

    ORDER_4K = 0
    ORDER_1M = 8
    ORDER_2G = 19


class Counter(IntEnum):
    """What an address space counts; `Gmap.stats` reports them under these names in lower case.

    Conservation laws, checked by the tests: LOOKUPS = MINOR + MAJOR + ASYNC + every ERROR_*;
    PAGES_PINNED = PAGES_RELEASED once no batch is under way; present leaves of a size =
    LINKED + MADE by splits - REMOVED.
    """

    LOOKUPS = 0  # frames asked for
    MINOR = 1  # resolved from the tables alone
    MAJOR = 2  # resolved by a host lookup and a link
    ASYNC = 3  # handed to the host to resolve later
    ERROR_ADDRESSING = 4
    ERROR_EINTR = 5
    ERROR_EOPNOTSUPP = 6
    ERROR_EFAULT = 7
    ERROR_ENOMEM = 8
    ERROR_EAGAIN = 9
    ERROR_EINVAL = 10
    RETRIES = 11  # turns of the fault loop beyond the first
    PFAULT_SYNC = 12
    PAGES_PINNED = 13
    PAGES_RELEASED = 14
    HOST_DIRTIED = 15  # host pages marked dirty
    LINKED_4K = 16
    LINKED_1M = 17
    LINKED_2G = 18
    REMOVED_4K = 19
    REMOVED_1M = 20
    REMOVED_2G = 21
    SPLIT_1M = 22  # 1 MiB leaves made into 256 pages
    SPLIT_2G = 23
    AGED = 24
    DIRTY_LOGGED = 25  # frames set in a dirty bitmap
    INVALIDATIONS = 26
    TOPUPS = 27
    TABLES_ALLOCATED = 28
    TABLES_FREED = 29


# --- stage 1: VMSAv8-64, EL1&0 regime -------------------------------------------------------
TCR_T0SZ: Final = bits(5, 0)
TCR_EPD0: Final = 1 << 7
TCR_SH0: Final = bits(13, 12)
TCR_TG0: Final = bits(15, 14)
TCR_T1SZ: Final = bits(21, 16)
TCR_A1: Final = 1 << 22
TCR_EPD1: Final = 1 << 23
TCR_SH1: Final = bits(29, 28)
TCR_TG1: Final = bits(31, 30)
TCR_IPS: Final = bits(34, 32)
TCR_AS: Final = 1 << 36
TCR_TBI0: Final = 1 << 37
TCR_TBI1: Final = 1 << 38
TCR_HA: Final = 1 << 39
TCR_HD: Final = 1 << 40
TCR_HPD0: Final = 1 << 41
TCR_HPD1: Final = 1 << 42
TCR_E0PD0: Final = 1 << 55
TCR_E0PD1: Final = 1 << 56
TCR_DS: Final = 1 << 59

SCTLR_M: Final = 1 << 0
SCTLR_I: Final = 1 << 12
SCTLR_WXN: Final = 1 << 19
SCTLR_EE: Final = 1 << 25
SCTLR_EPAN: Final = 1 << 57

TTBR_ASID: Final = bits(63, 48)
TTBR_BADDR: Final = bits(47, 1)
TTBR_BADDR_HIGH: Final = bits(5, 2)  # address bits 51:48, where addresses have 52

S1_VALID: Final = 1 << 0
S1_TABLE: Final = 1 << 1  # of a valid descriptor; at the last level, a page
S1_ATTRINDX: Final = bits(4, 2)
S1_AP_EL0: Final = 1 << 6  # AP[1]: EL0 may access
S1_AP_RO: Final = 1 << 7  # AP[2]: nobody may write
S1_SH: Final = bits(9, 8)  # with TCR.DS, address bits 51:50 instead
S1_AF: Final = 1 << 10
S1_NG: Final = 1 << 11
S1_ADDRESS: Final = bits(47, 12)
S1_ADDRESS_DS: Final = bits(49, 12)
S1_HIGH_64K: Final = bits(15, 12)  # address bits 51:48 of a 64K granule with 52
S1_GP: Final = 1 << 50  # guarded: branches land where FEAT_BTI lets them
S1_DBM: Final = 1 << 51
S1_CONTIGUOUS: Final = 1 << 52
S1_PXN: Final = 1 << 53
S1_UXN: Final = 1 << 54
S1_PXN_TABLE: Final = 1 << 59
S1_UXN_TABLE: Final = 1 << 60
S1_AP_TABLE_EL0: Final = 1 << 61  # APTable[0]: nothing below is for EL0
S1_AP_TABLE_RO: Final = 1 << 62  # APTable[1]: nothing below may be written


# --- the status of a two-level translation: Fsc, stage, S1PTW, interruption code --------------
STATUS_FSC: Final = bits(5, 0)
STATUS_STAGE_1: Final = 1 << 6
STATUS_STAGE_2: Final = 1 << 7
STATUS_S1PTW: Final = 1 << 8
STATUS_PIC_SHIFT: Final = 16


class Access(IntEnum):
    """Kinds of access of a translation."""

    READ = 0
    WRITE = 1
    FETCH = 2


class Fsc(IntEnum):
    """Fault status codes (ESR_ELx.ISS.FSC, PAR_EL1.FST); the level is added to those of level 0."""

    ADDRESS_SIZE = 0x00
    TRANSLATION = 0x04
    ACCESS_FLAG = 0x08
    PERMISSION = 0x0C
    EXTERNAL_ON_WALK = 0x14
    ADDRESS_SIZE_LEVEL_MINUS_1 = 0x29
    TRANSLATION_LEVEL_MINUS_1 = 0x2B


class TwoCounter(IntEnum):
    """What a two-level translation counts; `TwoLevel.stats` reports them in lower case.

    LOOKUPS = TLB_HITS + TABLE_HITS + WALKS once no batch is under way.
    """

    LOOKUPS = 0
    TLB_HITS = 1
    TABLE_HITS = 2  # neighbours served from one last-level table
    WALKS = 3
    STAGE1_FAULTS = 4
    STAGE2_FAULTS = 5
    FAULTED_IN = 6  # frames brought in at stage 2
    FLUSHED = 7  # TLB entries dropped
