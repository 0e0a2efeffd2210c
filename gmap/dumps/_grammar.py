"""The grammar of page-table dumps: lines, sizes, attributes. Floor 4.

Writers and readers both work from the tables below, so that neither knows a column the other
does not. Source: fact sheet ptdump.md sections 2 to 5.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gmap._runs import EntryBit

__all__ = [
    "ARM64_DESCRIPTOR",
    "ARM64_KERNEL",
    "ARM64_MEMORY_TYPES",
    "GMAP",
    "GMAP_DETAILS",
    "GUEST_IPA",
    "STAGE2",
    "UNITS",
    "Attribute",
    "Column",
    "Descriptor",
    "columns",
    "header_line",
    "mask_of",
    "range_lines",
    "render",
    "size_and_unit",
]

GUEST_IPA: Final = "Guest IPA"
UNITS: Final = "KMGTPE"


@dataclass(frozen=True)
class Attribute:
    """What is printed of an entry: `set` where ``entry & mask == value``, else `clear`.

    Without a `clear` nothing is printed; neighbours of the same mask then share a column.

    >>> Attribute("writable", 0x80, 0x80, "W", " ").text(0x81)
    'W'
    """

    name: str
    mask: int
    value: int
    set: str
    clear: str | None

    def text(self, entry: int) -> str | None:
        """Return what is printed of an entry."""
        return self.set if entry & self.mask == self.value else self.clear


def mask_of(attributes: Sequence[Attribute]) -> int:
    """Return the bits of an entry that a line is about.

    >>> hex(mask_of(STAGE2["A"]))
    '0x400000000004c3'
    """
    mask = 0
    for attribute in attributes:
        mask |= attribute.mask
    return mask


def render(entry: int, attributes: Sequence[Attribute]) -> str:
    """Return the attributes of an entry as a line ends with them.

    >>> render(0x7fd, STAGE2["A"])
    '   R W X AF BLK'
    """
    texts = [attribute.text(entry) for attribute in attributes]
    return "".join(f" {text}" for text in texts if text is not None)


@dataclass(frozen=True)
class Column:
    """Where on a line an attribute stands, and what may stand there.

    `texts` gives each text its meaning: the name of the attribute that is set, or "".
    """

    name: str
    start: int
    width: int
    texts: dict[str, str]


def columns(attributes: Sequence[Attribute]) -> tuple[list[Column], int]:
    """Return the columns of a list of attributes, and their width together.

    >>> found, width = columns(STAGE2["C"])
    >>> [column.name for column in found], [column.start for column in found], width
    (['valid', 'readable', 'writable', 'execute', 'young', 'block'], [1, 3, 5, 7, 14, 17], 20)
    """
    found: list[Column] = []
    at = 0
    for attribute in attributes:
        meaning = attribute.name
        if attribute.clear is None:
            column_name, _, meaning = attribute.name.partition(":")
            if found and found[-1].name == column_name:
                found[-1].texts[attribute.set] = meaning
                continue
            texts = {attribute.set: meaning}
            name = column_name
        else:
            texts = {attribute.set: meaning, attribute.clear: ""}
            name = meaning
        found.append(Column(name, at + 1, len(attribute.set), texts))
        at += 1 + len(attribute.set)
    return found, at


# --- lines ----------------------------------------------------------------------------------


def header_line(name: str) -> str:
    """Return the line that begins an area.

    >>> header_line("Guest IPA")
    '---[ Guest IPA ]---'
    """
    return f"---[ {name} ]---"


def size_and_unit(nbytes: int) -> tuple[int, str]:
    """Return a size in the largest unit that divides it.

    >>> size_and_unit(2046 << 20), size_and_unit(1 << 42)
    ((2046, 'M'), (4, 'T'))
    """
    size, unit = nbytes >> 10, 0
    while size and not size % 1024 and unit < len(UNITS) - 1:
        size >>= 10
        unit += 1
    return size, UNITS[unit]


def range_lines(
    starts: NDArray[np.uint64],
    sizes: NDArray[np.uint64],
    texts: Sequence[str],
    which: NDArray[np.int64],
) -> Iterator[str]:
    """Yield the lines of ranges, as arm64 and the gmap print them.

    `texts` are the levels and what follows them, `which` has the number of each range's.

    >>> list(range_lines(np.uint64([0]), np.uint64([1 << 30]), ["1"], np.array([0])))
    ['0x0000000000000000-0x0000000040000000           1G 1']
    """
    counts = sizes >> np.uint64(10)
    units = np.zeros(len(sizes), dtype=np.int8)
    for _ in UNITS[1:]:
        whole = counts % np.uint64(1024) == 0
        if not whole.any():
            break
        counts = np.where(whole, counts >> np.uint64(10), counts)
        units += whole
    rows = zip(
        starts.tolist(),
        (starts + sizes).tolist(),
        counts.tolist(),
        units.tolist(),
        which.tolist(),
        strict=True,
    )
    for start, end, count, unit, text in rows:
        yield f"0x{start:016x}-0x{end:016x}   {count:9d}{UNITS[unit]} {texts[text]}"


# --- arm64 stage 2 --------------------------------------------------------------------------


@dataclass(frozen=True)
class Descriptor:
    """The bits of a VMSAv8-64 stage-2 descriptor that a dump shows."""

    valid: int = 1 << 0
    page: int = 1 << 1  # of a valid page descriptor; a block has it clear
    readable: int = 1 << 6  # S2AP[0]
    writable: int = 1 << 7  # S2AP[1]
    young: int = 1 << 10  # AF
    xn: int = 1 << 54
    xn_low: int = 1 << 53  # with FEAT_XNX; 54:53 say who may not execute


_D: Final = Descriptor()
ARM64_DESCRIPTOR: Final = _D
_TYPE: Final = _D.valid | _D.page
_XNX: Final = _D.xn | _D.xn_low


def _with_valid(name: str, bit: int, text: str) -> Attribute:
    return Attribute(name, bit | _D.valid, bit | _D.valid, text, " " * len(text))


_VALID: Final = Attribute("valid", _D.valid, _D.valid, " ", "F")
_OLD_XN: Final = (_D.xn | _D.valid, _D.valid)

#: The attributes of stage2_page_tables by revision. A and B print alike but for the X: B, the
#: first to be merged, has it where execution is forbidden.
STAGE2: Final[dict[str, tuple[Attribute, ...]]] = {
    "A": (
        _VALID,
        _with_valid("readable", _D.readable, "R"),
        _with_valid("writable", _D.writable, "W"),
        Attribute("executable", *_OLD_XN, "X", " "),
        _with_valid("young", _D.young, "AF"),
        Attribute("block", _TYPE, _D.valid, "BLK", "   "),
    ),
    "B": (
        _VALID,
        _with_valid("readable", _D.readable, "R"),
        _with_valid("writable", _D.writable, "W"),
        Attribute("executable", *_OLD_XN, " ", "X"),
        _with_valid("young", _D.young, "AF"),
        Attribute("block", _D.page | _D.valid, _D.valid, "BLK", "   "),
    ),
    "C": (
        _VALID,
        Attribute("readable", _D.readable, _D.readable, "R", " "),
        Attribute("writable", _D.writable, _D.writable, "W", " "),
        Attribute("execute:px ux", _XNX, 0, "px ux ", None),
        Attribute("execute:ux", _XNX, _D.xn_low, "PXNux ", None),
        Attribute("execute:", _XNX, _D.xn, "PXNUXN", None),
        Attribute("execute:px", _XNX, _XNX, "px UXN", None),
        Attribute("young", _D.young, _D.young, "AF", "  "),
        Attribute("block", _TYPE, _D.valid, "BLK", "   "),
    ),
}

# --- the gmap's own form --------------------------------------------------------------------


def _leaf(name: str, bit: EntryBit, text: str) -> Attribute:
    """An attribute of what is valid: blank where it is not."""
    return Attribute(name, EntryBit.INVALID | bit, bit, text, " " * len(text))


#: What the s390-flavoured dump prints of an entry's `EntryBit`s.
GMAP: Final[tuple[Attribute, ...]] = (
    Attribute("valid", EntryBit.INVALID, 0, " ", "F"),
    _leaf("readable", EntryBit.PRESENT, "R"),
    Attribute(
        "writable",
        EntryBit.INVALID | EntryBit.WRITABLE | EntryBit.PROTECT,
        EntryBit.WRITABLE,
        "W",
        " ",
    ),
    Attribute(
        "executable",
        EntryBit.INVALID | EntryBit.LEAF | EntryBit.NOEXEC,
        EntryBit.LEAF,
        "X",
        " ",
    ),
    _leaf("young", EntryBit.YOUNG, "AF"),
    _leaf("block", EntryBit.BLOCK, "BLK"),
)

#: What it prints after them if details are asked for.
GMAP_DETAILS: Final[tuple[Attribute, ...]] = (
    _leaf("dirty", EntryBit.DIRTY, "D"),
    _leaf("soft dirty", EntryBit.SOFT_DIRTY, "SD"),
    _leaf("special", EntryBit.SPECIAL, "S"),
    _leaf("protected", EntryBit.PROTECT, "P"),
    _leaf("prefix", EntryBit.PREFIX, "PN"),
    _leaf("vsie", EntryBit.VSIE, "VS"),
)

# --- arm64 kernel_page_tables ---------------------------------------------------------------

#: The attributes of arm64's kernel_page_tables, without the memory type at the end. Older and
#: newer lists differ in the bits behind BLK alone, which read the same.
ARM64_KERNEL: Final[tuple[Attribute, ...]] = (
    _VALID,
    Attribute("user", 1 << 6, 1 << 6, "USR", "   "),
    Attribute("read-only", 1 << 7, 1 << 7, "ro", "RW"),
    Attribute("pxn", 1 << 53, 1 << 53, "NX", "x "),
    Attribute("shared", 0x300, 0x300, "SHD", "   "),
    Attribute("young", 1 << 10, 1 << 10, "AF", "  "),
    Attribute("not global", 1 << 11, 1 << 11, "NG", "  "),
    Attribute("contiguous", 1 << 52, 1 << 52, "CON", "   "),
    Attribute("block", _TYPE, _D.valid, "BLK", "   "),
    Attribute("uxn", 1 << 54, 1 << 54, "UXN", "   "),
    Attribute("guarded", 1 << 50, 1 << 50, "GP", "  "),
)

#: What the memory type of a line may be; none is printed for an attribute index of another use.
ARM64_MEMORY_TYPES: Final = (
    "DEVICE/nGnRnE",
    "DEVICE/nGnRE",
    "DEVICE/GRE",  # older kernels
    "MEM/NORMAL-NC",
    "MEM/NORMAL",
    "MEM/NORMAL-TAGGED",
)
