"""The 64-bit values of DAT tables: what their bits say and how they are made.

Source: fact sheet dat-gmap.md sections 1, 2 and 6.
"""

from errno import EFAULT
from typing import Final, NamedTuple

from gmap._defs import (
    CRST_BITS,
    CRST_ENTRIES,
    CRSTE_FC,
    CRSTE_I,
    CRSTE_ORIGIN,
    CRSTE_P,
    CRSTE_SW_D,
    CRSTE_SW_PR,
    CRSTE_SW_PREFIX_NOTIF,
    CRSTE_SW_S,
    CRSTE_SW_SD,
    CRSTE_SW_VSIE_NOTIF,
    CRSTE_SW_W,
    CRSTE_SW_Y,
    CRSTE_TL,
    CRSTE_TT,
    PAGE_SHIFT,
    PAGE_SIZE,
    PGSTE_PREFIX_NOTIF,
    PGSTE_VSIE_GMEM,
    PGSTE_VSIE_NOTIF,
    PT_BITS,
    PT_ENTRIES,
    PTE_D,
    PTE_I,
    PTE_P,
    PTE_PFRA,
    PTE_PR,
    PTE_S,
    PTE_SD,
    PTE_W,
    PTE_Y,
    REGION3_FRAME,
    SEGMENT_FRAME,
    SEGMENT_SIZE,
    TOKEN_NONE,
    TOKEN_PAR,
    TOKEN_PAR_SHIFT,
    TOKEN_PIC,
    TOKEN_TYPE,
    TOKEN_TYPE_SHIFT,
    Level,
)

#: The table type of level 1 in place; the type of level n is n times that.
_TT_UNIT: Final = CRSTE_TT // Level.REGION1


# --- geometry (1) -------------------------------------------------------------------------


def entry_gfns(level: int) -> int:
    """How many guest frames one entry of a table of this level covers.

    >>> [entry_gfns(level) for level in (Level.PAGE, Level.SEGMENT, Level.REGION3)]
    [1, 256, 524288]
    """
    return 1 if level == Level.PAGE else 1 << (PT_BITS + CRST_BITS * level)


def asce_end(level: int) -> int:
    """The first guest frame beyond an address space whose highest table has this level."""
    return entry_gfns(level + 1)


def entry_index(gfn: int, level: int) -> int:
    """Which entry of its table of this level a guest frame belongs to."""
    entries = PT_ENTRIES if level == Level.PAGE else CRST_ENTRIES
    return gfn // entry_gfns(level) % entries


def level_for_limit(gfns: int) -> Level:
    """The lowest level of highest table that covers so many frames; 0 is no limit (8)."""
    for level in (Level.SEGMENT, Level.REGION3, Level.REGION2):
        if 0 < gfns <= asce_end(level):
            return level
    return Level.REGION1


# --- entries that point to a table, and invalid ones (2.2 to 2.4, 2.8) --------------------


def type_bits(level: int) -> int:
    """A table level as the TT field of an entry (and the DT field of an ASCE) holds it."""
    return level * _TT_UNIT


def crste_level(crste: int) -> Level:
    """The level a CRSTE says it belongs to."""
    return Level((crste & CRSTE_TT) // _TT_UNIT)


def invalid_bit(level: int) -> int:
    """The bit that keeps the hardware from using an entry of this level."""
    return PTE_I if level == Level.PAGE else CRSTE_I


def is_leaf(crste: int) -> bool:
    """The CRSTE maps a frame, validly or not: only regions-third and segments can."""
    return bool(crste & CRSTE_FC) and crste_level(crste) <= Level.REGION3


def is_table(crste: int) -> bool:
    """The CRSTE points to a table of the next lower level."""
    return not crste & (CRSTE_I | CRSTE_FC)


def is_hole(entry: int, level: int) -> bool:
    """The entry is an invalid one that was never a mapping and carries a reason (a token)."""
    present = LeafBits.of(level).present
    token_type = (entry & TOKEN_TYPE) >> TOKEN_TYPE_SHIFT
    return bool(entry & invalid_bit(level)) and not entry & present and token_type != TOKEN_NONE


def hole_code(entry: int) -> int:
    """What a walk answers at a hole: the program interruption code it carries, else -EFAULT."""
    if (entry & TOKEN_TYPE) >> TOKEN_TYPE_SHIFT == TOKEN_PIC:
        return (entry & TOKEN_PAR) >> TOKEN_PAR_SHIFT
    return -EFAULT


def token_entry(token: int, level: int) -> int:
    """The invalid entry of a level with a token: 0 makes it EMPTY, `TOKEN_HOLE` a HOLE.

    >>> f"{token_entry(0, Level.PAGE):#x} {token_entry(0, Level.REGION2):#x}"
    '0x400 0x28'
    """
    return token | invalid_bit(level) | (0 if level == Level.PAGE else type_bits(level))


def pointer(origin: int, level: int) -> int:
    """An entry of `level` that points to the table at `origin`, which has its full length (2.9).

    A segment entry has no length field: page tables come in one size.
    """
    return origin if level == Level.SEGMENT else origin | type_bits(level) | CRSTE_TL


# --- entries that map a frame (2.5, 2.6, 2.9) ---------------------------------------------


class LeafBits(NamedTuple):
    """The masks of the same notions in a PTE and in a CRSTE that maps a frame.

    The hardware looks at the first two only; the others are the gmap's own.
    """

    invalid: int  # the hardware must fault
    protect: int  # the hardware must fault on a store: set on every clean mapping
    special: int  # no struct page behind the frame
    writable: int  # the host allows stores
    dirty: int
    young: int  # used since it was last aged
    soft_dirty: int  # written since the dirty log was last read
    present: int  # a mapping, even if invalid

    @staticmethod
    def of(level: int) -> "LeafBits":
        """The masks for entries of a level."""
        return _PTE_BITS if level == Level.PAGE else _CRSTE_BITS


_PTE_BITS: Final = LeafBits(PTE_I, PTE_P, PTE_S, PTE_W, PTE_D, PTE_Y, PTE_SD, PTE_PR)
_CRSTE_BITS: Final = LeafBits(
    CRSTE_I, CRSTE_P, CRSTE_SW_S, CRSTE_SW_W, CRSTE_SW_D, CRSTE_SW_Y, CRSTE_SW_SD, CRSTE_SW_PR
)


def frame_mask(level: int) -> int:
    """The bits of a leaf that are the address of its frame.

    Different from the kernel: a 2 GiB frame is masked to 2 GiB, not to 1 MiB.
    """
    masks = {Level.PAGE: PTE_PFRA, Level.SEGMENT: SEGMENT_FRAME, Level.REGION3: REGION3_FRAME}
    return masks[Level(level)]


def leaf(pfn: int, level: int, *, writable: bool, dirty: bool, special: bool = False) -> int:
    """A young mapping of a host frame. A clean one is protected, so the first store faults.

    >>> f"{leaf(0x12345, Level.PAGE, writable=True, dirty=False):#x}"
    '0x12345225'
    >>> f"{leaf(0x12300, Level.SEGMENT, writable=True, dirty=True):#x}"
    '0x12305c03'
    """
    bits = LeafBits.of(level)
    entry = (pfn << PAGE_SHIFT) & frame_mask(level) | bits.young | bits.present
    entry |= bits.dirty | bits.soft_dirty if dirty else bits.protect
    entry |= bits.writable if writable else 0
    entry |= bits.special if special else 0
    return entry if level == Level.PAGE else entry | type_bits(level) | CRSTE_FC


# --- one entry becomes a table (6) --------------------------------------------------------


def split_entries(crste: int) -> list[int]:
    """The table that says about every part of its range what `crste` said about the whole.

    `crste` is invalid or a leaf. A page table is 256 PTEs and then their 256 PGSTEs.
    """
    if crste_level(crste) == Level.SEGMENT:
        ptes = _spread(crste, _pte_template(crste), PT_ENTRIES, PAGE_SIZE)
        return ptes + [_pgste_template(crste)] * PT_ENTRIES
    return _spread(crste, crste - type_bits(1), CRST_ENTRIES, SEGMENT_SIZE)


def _spread(crste: int, template: int, count: int, step: int) -> list[int]:
    """Copies of the template; those of a leaf map one part of its frame after the other."""
    return [template | n * step if is_leaf(crste) else template for n in range(count)]


def _pte_template(crste: int) -> int:
    """What a PTE takes over from its segment entry: of an invalid one, the token comes along.

    Special is not taken over: the kernel never maps special pages by a segment.
    """
    old, new = LeafBits.of(Level.SEGMENT), LeafBits.of(Level.PAGE)
    template = crste & SEGMENT_FRAME
    for name in ("invalid", "protect", "writable", "dirty", "young", "soft_dirty", "present"):
        if crste & getattr(old, name):
            template |= getattr(new, name)
    return template


def _pgste_template(crste: int) -> int:
    """The notification bits go on in the PGSTEs; never set for arm64 guests."""
    pgste = 0
    if is_leaf(crste) and crste & CRSTE_SW_PREFIX_NOTIF:
        pgste |= PGSTE_PREFIX_NOTIF
    if is_leaf(crste) and crste & CRSTE_SW_VSIE_NOTIF:
        pgste |= PGSTE_VSIE_NOTIF | PGSTE_VSIE_GMEM
    return pgste


def without_origin(crste: int) -> int:
    """A pointer as it can be compared across implementations: all but where it points to."""
    return crste & ~CRSTE_ORIGIN if is_table(crste) else crste
