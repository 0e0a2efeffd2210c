"""Dumps of an address space. Floor 4.

Source: fact sheet ptdump.md sections 1, 2 and 5. Unlike the kernel, which leaves it open, the
last range is printed, too.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gmap._defs import Level
from gmap._readable import AddressSpace
from gmap._runs import EntryBit
from gmap.dumps._grammar import (
    ARM64_DESCRIPTOR,
    GMAP,
    GMAP_DETAILS,
    GUEST_IPA,
    STAGE2,
    Attribute,
    header_line,
    mask_of,
    range_lines,
    render,
)
from gmap.errors import ConfigError
from gmap.layout._from_gmap import merge_neighbours, runs_of, top_level
from gmap.layout._geometries import gmap_geometry

__all__ = ["ipa_range", "ptdump", "ptdump_lines", "stage2_levels"]

STYLES: Final = ("kernel", "s390")
NEWEST_REVISION: Final = "C"
_LAST_LEVEL: Final = 3  # what arm64 calls the level of pages

#: A part of a dump: what the ranges of a line have in common.
_LINE: Final = np.dtype(
    [
        ("start", np.uint64),
        ("size", np.uint64),
        ("says", np.uint64),
        ("token", np.uint32),
        ("level", np.int8),
    ],
    align=True,
)


def ipa_range(space: AddressSpace) -> str:
    """Return what the kernel's file `ipa_range` holds: the bits of a guest address.

    >>> import gmap
    >>> ipa_range(gmap.Gmap(gmap.SyntheticHost()))
    '40\\n'
    """
    return f"{space.ipa_bits:2d}\n"


def stage2_levels(space: AddressSpace) -> str:
    """Return what the kernel's file `stage2_levels` holds: how many levels of tables.

    >>> import gmap
    >>> stage2_levels(gmap.Gmap(gmap.SyntheticHost()))
    '3\\n'
    """
    return f"{gmap_geometry(top_level(space.asce)).depth:1d}\n"


def ptdump(
    space: AddressSpace,
    style: str = "kernel",
    *,
    revision: str = NEWEST_REVISION,
    details: bool = False,
) -> str:
    """Return a dump of the tables of an address space.

    Parameters
    ----------
    space : Gmap or Snapshot
    style : {"kernel", "s390"}
        "kernel" is the grammar of the kernel's `stage2_page_tables`: every entry is shown as
        the arm64 descriptor that says the same, and levels by arm64's numbers (3 is a page, 2 a
        segment, 1 region-third). "s390" names the levels PTE, SEG, RG3, RG2 and RG1, and tells
        entries that are in a slot but empty (NONE) from those in no slot (HOLE).
    revision : {"A", "B", "C"}
        Of the kernel's dump: C is the newest; B was the first, and has its X where execution is
        forbidden; A is B put right.
    details : bool
        With style "s390" also D (dirty), SD (soft-dirty), S (special), P (protected), PN and
        VS (notifications).

    Returns
    -------
    str
        Lines, each with its newline. `ptdump_lines` gives them one by one.

    Raises
    ------
    ConfigError
        Something that has no tables, or another style or revision.

    Notes
    -----
    F marks an entry the hardware cannot use. A leaf with an F is an aged one.

    >>> import gmap
    >>> host = gmap.SyntheticHost()
    >>> region = host.map(1 << 20)
    >>> g = gmap.Gmap(host)
    >>> g.set_memory_region(0, 0, region.nbytes, region.hva)
    >>> g.fault_in(0, write=True)
    0
    >>> print(ptdump(g, "s390").replace(" \\n", "|\\n"), end="")
    ---[ Guest IPA ]---
    0x0000000000000000-0x0000000000001000           4K PTE   R W X AF   |
    0x0000000000001000-0x0000000000100000        1020K PTE F              NONE
    0x0000000000100000-0x0000000080000000        2047M SEG F              HOLE
    0x0000000080000000-0x0000010000000000        1022G RG3 F              HOLE
    """
    lines = ptdump_lines(space, style, revision=revision, details=details)
    return "".join(lines)


def ptdump_lines(
    space: AddressSpace,
    style: str = "kernel",
    *,
    revision: str = NEWEST_REVISION,
    details: bool = False,
) -> Iterator[str]:
    """Yield the lines of a dump, for tables too large for one string; arguments as `ptdump`.

    The tables are read some ten thousand ranges at a time; what changes meanwhile is seen or
    not.

    >>> import gmap
    >>> for line in ptdump_lines(gmap.Gmap(gmap.SyntheticHost())):
    ...     print(line, end="")
    ---[ Guest IPA ]---
    0x0000000000000000-0x0000010000000000           1T 1
    """
    if style not in STYLES:
        raise ConfigError(f"style {style!r}: use one of {', '.join(STYLES)}")
    if revision not in STAGE2:
        raise ConfigError(f"revision {revision!r}: use one of {', '.join(STAGE2)}")
    if details and style != "s390":
        raise ConfigError(
            f"details with style {style!r}: the kernel's grammar has no place for "
            "them; use style='s390'"
        )
    if not isinstance(space, AddressSpace):
        raise ConfigError(f"{space!r} has no tables: give a gmap.Gmap or a gmap.Snapshot")
    if style == "kernel":
        return _lines(space, _KernelStyle(STAGE2[revision]))
    return _lines(space, _GmapStyle(GMAP + GMAP_DETAILS if details else GMAP))


class _KernelStyle:
    """Entries as arm64 descriptors."""

    def __init__(self, attributes: Sequence[Attribute]) -> None:
        self.attributes = attributes
        self.mask = mask_of(attributes)
        self.names = [str(_LAST_LEVEL - height) for height in range(len(Level))]

    def says(self, bits: int) -> int:
        """Return what of an entry a line is about, of its `EntryBit`s."""
        if not bits & EntryBit.LEAF:
            return 0
        d = ARM64_DESCRIPTOR
        descriptor = d.readable if bits & EntryBit.PRESENT else 0
        if not bits & EntryBit.INVALID:
            descriptor |= d.valid
        if not bits & EntryBit.BLOCK:
            descriptor |= d.page
        if bits & (EntryBit.WRITABLE | EntryBit.PROTECT) == EntryBit.WRITABLE:
            descriptor |= d.writable
        if bits & EntryBit.YOUNG:
            descriptor |= d.young
        if bits & EntryBit.NOEXEC:
            descriptor |= d.xn
        return descriptor & self.mask

    def text(self, says: int) -> str:
        """Return the end of a line."""
        return render(says, self.attributes) if says else ""

    def keeps_tokens(self) -> bool:
        return False


class _GmapStyle:
    """Entries by their own bits."""

    def __init__(self, attributes: Sequence[Attribute]) -> None:
        self.attributes = attributes
        self.mask = mask_of(attributes) | EntryBit.LEAF | EntryBit.HOLE | EntryBit.BAD
        self.names = [level.name for level in gmap_geometry(Level.REGION1).levels]

    def says(self, bits: int) -> int:
        return bits & self.mask

    def text(self, says: int) -> str:
        token = ""
        if says & EntryBit.BAD:
            token = " BAD"
        elif says & EntryBit.HOLE:
            token = " HOLE"
        elif not says & EntryBit.LEAF:
            token = " NONE"
        return render(says, self.attributes) + token

    def keeps_tokens(self) -> bool:
        return True


def _lines(space: AddressSpace, style: _KernelStyle | _GmapStyle) -> Iterator[str]:
    yield header_line(GUEST_IPA) + "\n"
    for part in _parts(space, style.says, style.keeps_tokens()):
        kinds, which = np.unique(part["says"], return_inverse=True)
        texts = [
            f"{name}{style.text(says)}\n" for says in kinds.tolist() for name in style.names
        ]
        which = which * len(style.names) + (part["level"] - Level.PAGE)
        yield from range_lines(part["start"], part["size"], texts, which)


def _parts(
    space: AddressSpace, says: Callable[[int], int], keeps_tokens: bool
) -> Iterator[NDArray[np.void]]:
    """Yield arrays of lines: runs of which a line says the same, joined across the arrays."""
    open_line = np.zeros(0, dtype=_LINE)
    for runs in runs_of(space):
        lines = np.zeros(len(runs), dtype=_LINE)
        for name in ("start", "size", "level"):
            lines[name] = runs[name]
        kinds, which = np.unique(runs["bits"], return_inverse=True)
        lines["says"] = np.array([says(int(kind)) for kind in kinds], dtype=np.uint64)[which]
        if keeps_tokens:
            lines["token"] = runs["token"]
        merged = merge_neighbours(np.concatenate([open_line, lines]))
        open_line = merged[-1:]
        if len(merged) > 1:
            yield merged[:-1]
    yield open_line
