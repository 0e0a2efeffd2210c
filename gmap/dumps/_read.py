"""Reading dumps of page tables: of a guest's stage 2, of a kernel's own. Floor 4.

Four formats, told apart by their lines: arm64 `stage2_page_tables` (a gmap's dump in this style,
too), arm64 `kernel_page_tables`, s390 `kernel_page_tables`, and the gmap's own. What a line may
say is in `_grammar`; here is what it means.

Source: fact sheet ptdump.md sections 2 to 5.
"""

import os
import re
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from gmap._defs import PAGE_SHIFT
from gmap.dumps._geometry import Edges, gmap_of, s390_of, stage1_of, stage2_of
from gmap.dumps._grammar import (
    ARM64_KERNEL,
    ARM64_MEMORY_TYPES,
    GMAP,
    GMAP_DETAILS,
    GUEST_IPA,
    STAGE2,
    UNITS,
    Column,
    columns,
    size_and_unit,
)
from gmap.errors import ConfigError, DumpFormatError
from gmap.layout import RANGE, Geometry, Kind, Layout
from gmap.layout._from_gmap import merge_neighbours
from gmap.trace._files import BrokenStreamError, Source

__all__ = ["FORMATS", "is_dump", "read_ptdump"]

Path: TypeAlias = str | os.PathLike[str]

#: The formats there are, as `Layout.name` has them.
FORMATS: Final = (
    "arm64 stage2_page_tables",
    "arm64 kernel_page_tables",
    "s390 kernel_page_tables",
    "gmap",
)
_STAGE2, _ARM64, _S390, _GMAP = FORMATS
_HEADER: Final = re.compile(r"---\[ (.+) \]---")
_LINE: Final = re.compile(
    r"0x([0-9a-f]{16})-0x([0-9a-f]{16})( +\d+)([" + UNITS + r"]) ([A-Z0-9]+|-1)(.*)"
)
_MOST_LINE: Final = 1 << 12  # bytes; no line has a tenth of it
_S390_SEPARATOR: Final = " "  # before the nine places of the size
_SEPARATOR: Final = "   "
_END: Final = 1 << 64
_LAST_LEVEL: Final = 3

_ROOT: Final = 99  # a level of arm64 that is the top one, whichever that is
_ARM64_HEIGHTS: Final = {"PTE": 0, "PMD": 1, "PUD": 2, "P4D": 3, "PGD": _ROOT}
_S390_HEIGHTS: Final = {"PTE": 0, "PMD": 1, "PUD": 2, "PGD": 3, "ASCE": 4}
_GMAP_HEIGHTS: Final = {"PTE": 0, "SEG": 1, "RG3": 2, "RG2": 3, "RG1": 4}
_STAGE2_HEIGHTS: Final = {str(_LAST_LEVEL - height): height for height in range(5)}


class _Says(NamedTuple):
    """What the end of a line says of a range, in the order of the fields of RANGE, and more."""

    kind: Kind
    readable: bool = False
    writable: bool = False
    executable: bool = False
    young: bool = False
    dirty: bool = False
    valid: bool = True  # of a leaf


class _BadLineError(Exception):
    """A line is not what belongs there; the message tells what does."""


def is_dump(head: bytes) -> bool:
    """Tell whether a file that begins like this may be a dump.

    >>> is_dump(b"---[ Guest IPA ]---\\n"), is_dump(b"PK")
    (True, False)
    """
    return head.startswith((b"---[ ", b"0x"))


def read_ptdump(
    path: Path,
    *,
    granule: int | None = None,
    address_bits: int | None = None,
    revision: str | None = None,
    tables: str | None = None,
) -> Layout:
    """Read a page-table dump of a real machine or of a gmap.

    Parameters
    ----------
    path : str or path-like
        A file as the kernel's debugfs gives it, plain, .gz or .xz; "-" is standard input.
    granule : {4096, 16384, 65536}, optional
        Of arm64 tables. By default the one the boundaries of the ranges point to.
    address_bits : int, optional
        Of arm64: bits of an IPA, or of a kernel's virtual address. By default as few as the
        dump needs.
    revision : {"A", "B", "C"}, optional
        Of stage2_page_tables. C is recognised. B, whose X means that execution is forbidden,
        cannot be told from A, which is the default.
    tables : {"arm64", "gmap"}, optional
        Whose tables stage2_page_tables shows. By default arm64's, if the ranges can be.

    Returns
    -------
    Layout
        `name` is the format, `markers` are the headers with the address of the line that
        follows. `writable` is False for what takes a fault to write. A dump tells nothing of
        dirty pages, unless a gmap's has details.

    Raises
    ------
    DumpFormatError
        Naming the file and the line: no dump, a malformed line, ranges out of order; or no
        geometry fits.
    ConfigError
        Another option than those above.
    OSError
        The file cannot be read.

    Notes
    -----
    The kernel does not print the last range of a stage 2, so nothing is known of it. A dump
    larger than 4096 bytes may begin with a line left over from an attempt at it, without a
    header and ending below its start: what it tells of the addresses from 0 on is kept.

    >>> import gmap, os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "dump")
    ...     with open(path, "w") as file:
    ...         file.writelines(gmap.ptdump_lines(gmap.Gmap(gmap.SyntheticHost()), "s390"))
    ...     layout = read_ptdump(path)
    >>> layout.name, layout.geometry.depth, len(layout.ranges)
    ('gmap', 3, 1)
    """
    if granule not in (None, 4096, 16384, 65536):
        raise ConfigError(f"granule {granule!r}: use 4096, 16384 or 65536")
    if revision is not None and revision not in STAGE2:
        raise ConfigError(f"revision {revision!r}: use one of {', '.join(STAGE2)}")
    if tables not in (None, "arm64", "gmap"):
        raise ConfigError(f"tables {tables!r}: use 'arm64' or 'gmap'")
    if address_bits is not None and not 17 <= address_bits <= 52:
        raise ConfigError(f"address_bits {address_bits!r}: use 17 to 52")
    with Source(path) as source:
        reader = _Reader(source.name, revision)
        for number, line in _lines(source):
            try:
                reader.line(line)
            except _BadLineError as error:
                raise DumpFormatError(f"{source.name}:{number}: {error}") from None
    return reader.layout(granule, address_bits, tables)


def _lines(source: Source) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file, numbered, without what is blank at their ends."""
    number, rest = 0, b""
    try:
        for piece in source:
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                number += 1
                yield number, line.decode("latin-1").rstrip("\r\t ")
            if len(rest) > _MOST_LINE:
                raise DumpFormatError(
                    f"{source.name}:{number + 1}: more than {_MOST_LINE} bytes without an end of "
                    "line: this is no page-table dump"
                )
    except BrokenStreamError as error:
        raise DumpFormatError(f"{source.name}:{number + 1}: {error}") from None
    if rest:
        yield number + 1, rest.decode("latin-1").rstrip("\r\t ")


# --- attributes -----------------------------------------------------------------------------


def _meanings(text: str, layout: tuple[list[Column], int]) -> dict[str, str]:
    """Take the attributes of a line apart: for each column, what is set there."""
    found, width = layout
    text = text.ljust(width)
    if len(text) > width:
        raise _BadLineError(f"{text[width:]!r} behind the attributes: nothing belongs there")
    meanings = {}
    for column in found:
        separator = text[column.start - 1]
        shown = text[column.start : column.start + column.width]
        if separator != " " or shown not in column.texts:
            one_of = " or ".join(repr(text) for text in column.texts)
            raise _BadLineError(
                f"{separator + shown!r} where a blank and then {one_of} belongs ({column.name})"
            )
        meanings[column.name] = column.texts[shown]
    return meanings


_STAGE2_COLUMNS: Final = {name: columns(attributes) for name, attributes in STAGE2.items()}
_NEW_EXECUTE: Final = next(c for c in _STAGE2_COLUMNS["C"][0] if c.name == "execute")
_NEW_STARTS: Final = tuple({text[:2] for text in _NEW_EXECUTE.texts})


class _Stage2:
    """Attributes of stage2_page_tables. An F is remembered: whose tables they are decides."""

    def __init__(self, revision: str | None) -> None:
        self.revision = revision

    def __call__(self, text: str) -> _Says:
        if not text:
            return _Says(Kind.NONE)
        if self.revision is None:
            newest = text[_NEW_EXECUTE.start :].startswith(_NEW_STARTS)
            self.revision = "C" if newest else "A"
        meanings = _meanings(text, _STAGE2_COLUMNS[self.revision])
        if not meanings["valid"]:
            return _Says(Kind.LEAF, valid=False)
        if self.revision == "C":
            executable = meanings["execute"] != ""
        else:
            executable = bool(meanings["executable"])
        return _Says(
            Kind.LEAF,
            bool(meanings["readable"]),
            bool(meanings["writable"]),
            executable,
            bool(meanings["young"]),
        )


_KERNEL_COLUMNS: Final = columns(ARM64_KERNEL)
_OLD_KERNEL_COLUMNS: Final = columns(ARM64_KERNEL[:-1])  # before guarded pages
_MEMORY_TYPE: Final = re.compile(
    " (" + "|".join(sorted(map(re.escape, ARM64_MEMORY_TYPES), key=len, reverse=True)) + ")$"
)


def _arm64_says(text: str) -> _Says:
    """Return what a line of arm64's kernel_page_tables says."""
    if not text:
        return _Says(Kind.NONE)
    layout = _KERNEL_COLUMNS
    memory_type = _MEMORY_TYPE.search(text)
    if memory_type:
        text = text[: memory_type.start()]
        if len(text) == _OLD_KERNEL_COLUMNS[1]:
            layout = _OLD_KERNEL_COLUMNS
    meanings = _meanings(text, layout)
    if not meanings["valid"]:
        return _Says(Kind.NONE)
    return _Says(
        Kind.LEAF, True, not meanings["read-only"], not meanings["pxn"], bool(meanings["young"])
    )


_S390_SAYS: Final = {
    " I": _Says(Kind.NONE),
    " RO NX": _Says(Kind.LEAF, readable=True),
    " RO X": _Says(Kind.LEAF, readable=True, executable=True),
    " RW NX": _Says(Kind.LEAF, readable=True, writable=True),
    " RW X": _Says(Kind.LEAF, readable=True, writable=True, executable=True),
}


def _s390_says(text: str) -> _Says:
    """Return what a line of s390's kernel_page_tables says."""
    if text not in _S390_SAYS:
        one_of = ", ".join(repr(known.strip()) for known in _S390_SAYS)
        raise _BadLineError(f"{text!r} behind the level, where one of {one_of} belongs")
    return _S390_SAYS[text]


_GMAP_COLUMNS: Final = columns(GMAP)
_DETAILED_COLUMNS: Final = columns(GMAP + GMAP_DETAILS)
_TOKENS: Final = {" HOLE": Kind.HOLE, " NONE": Kind.NONE, " BAD": Kind.NONE}


def _gmap_says(text: str) -> _Says:
    """Return what a line of the gmap's own dump says."""
    kind = Kind.LEAF
    for token, meaning in _TOKENS.items():
        if text.endswith(token):
            text, kind = text[: -len(token)], meaning
            break
    detailed = len(text) > _GMAP_COLUMNS[1]
    meanings = _meanings(text, _DETAILED_COLUMNS if detailed else _GMAP_COLUMNS)
    if kind != Kind.LEAF:
        return _Says(kind)
    flags = ("readable", "writable", "executable", "young", "dirty")
    return _Says(kind, *(bool(meanings.get(flag)) for flag in flags))


# --- lines ----------------------------------------------------------------------------------


def _size(start: int, end: int, separator: str) -> tuple[str, str]:
    """Return the size of a range as it must be printed, and its unit."""
    number, unit = size_and_unit((end - start) % _END)
    return f"{separator}{number:9d}", unit


def _largest_block(
    starts: np.ndarray[tuple[int], np.dtype[np.uint64]],
    lasts: np.ndarray[tuple[int], np.dtype[np.uint64]],
) -> int:
    """Return log2 of the largest aligned block that lies in one of some ranges; 0 for none."""
    for shift in range(63, PAGE_SHIFT, -1):
        rest = np.uint64((1 << shift) - 1)
        first = (starts + rest) & ~rest
        if bool(np.any((first >= starts) & (first <= lasts) & (lasts - first >= rest))):
            return shift
    return 0


@dataclass
class _Reader:
    """What has been read of a dump so far."""

    name: str
    revision: str | None
    format: str = ""
    # Of each range: first and last byte, height, number of what it says. Columns, since there
    # may be millions.
    starts: "array[int]" = field(default_factory=lambda: array("Q"))
    lasts: "array[int]" = field(default_factory=lambda: array("Q"))
    heights: "array[int]" = field(default_factory=lambda: array("B"))
    saying: "array[int]" = field(default_factory=lambda: array("L"))
    markers: list[tuple[int, str]] = field(default_factory=list)
    _names: list[str] = field(default_factory=list)  # of headers that wait for a line
    _headers: int = 0
    _end: int = 0
    _numbers: dict[str, int] = field(default_factory=dict)
    _says: list[_Says] = field(default_factory=list)
    _attributes: Callable[[str], _Says] = _s390_says
    _levels: dict[str, int] = field(default_factory=dict)
    _separator: str = _SEPARATOR

    def line(self, line: str) -> None:
        """Take the next line."""
        if not line:
            return
        header = _HEADER.fullmatch(line)
        if header:
            self._names.append(header[1])
            self._headers += 1
            return
        match = _LINE.fullmatch(line)
        if not match:
            raise _BadLineError(
                f"{line[:80]!r} is neither '---[ NAME ]---' nor "
                "'0xSTART-0xEND SIZE LEVEL ATTRIBUTES': use the file as the kernel wrote it"
            )
        start, end = int(match[1], 16), int(match[2], 16)
        size, unit, level, text = match.group(3, 4, 5, 6)
        if not self.format:
            self._recognise(level, size == _size(start, end, _S390_SEPARATOR)[0])
        wanted = _size(start, end, self._separator)
        if (size, unit) != wanted:
            raise _BadLineError(
                f"{size + unit!r} behind the range, where {''.join(wanted)!r} belongs"
            )
        height = self._levels.get(level)
        if height is None:
            raise _BadLineError(
                f"level {level!r}, where one of {', '.join(self._levels)} belongs ({self.format})"
            )
        number = self._numbers.get(text)
        if number is None:
            self._says.append(self._attributes(text))
            number = self._numbers[text] = len(self._says) - 1
        if not self.starts and not self._headers and end <= start and self.format == _STAGE2:
            # Left over from the first attempt at a large dump.
            start = 0
            if end == 0:
                return
        self._add(start, end)
        self.heights.append(height)
        self.saying.append(number)

    def _add(self, start: int, end: int) -> None:
        """Take the addresses of a range, if they are in order."""
        if end == 0 and start:
            end = _END
        if end <= start:
            raise _BadLineError(f"the range ends at {end:#x}, not above its start {start:#x}")
        if start < self._end:
            raise _BadLineError(
                f"the range starts at {start:#x}, below {self._end:#x}, where the one before it "
                "ends"
            )
        if self._names:
            self.markers += [(start, name) for name in self._names]
            self._names.clear()
        self._end = end
        self.starts.append(start)
        self.lasts.append(end - 1)

    def _recognise(self, level: str, of_s390: bool) -> None:
        """Choose the format, by the first range."""
        if level in _STAGE2_HEIGHTS:
            self.format, self._attributes = _STAGE2, _Stage2(self.revision)
            self._levels = _STAGE2_HEIGHTS
        elif of_s390:
            self.format, self._attributes = _S390, _s390_says
            self._levels, self._separator = _S390_HEIGHTS, _S390_SEPARATOR
        elif level in _GMAP_HEIGHTS and (level != "PTE" or self._names == [GUEST_IPA]):
            self.format, self._attributes = _GMAP, _gmap_says
            self._levels = _GMAP_HEIGHTS
        else:
            self.format, self._attributes = _ARM64, _arm64_says
            self._levels = _ARM64_HEIGHTS

    # --- all of it ---------------------------------------------------------------------------

    def layout(self, granule: int | None, address_bits: int | None, tables: str | None) -> Layout:
        """Return what was read, once all of it has been."""
        if not self.starts:
            raise DumpFormatError(f"{self.name}: no range in it: give a page-table dump")
        self.markers += [(self._end, name) for name in self._names]
        start = self.starts[0]
        geometry = self._geometry(self._edges(), start, granule, address_bits, tables)
        if geometry is None:
            raise DumpFormatError(
                f"{self.name}: no arm64 tables have such ranges at such levels"
                + (" with the granule or size given" if granule or address_bits else "")
                + ": give the right granule and address_bits"
            )
        aged = self.format == _GMAP or "gmap" in geometry.name
        return Layout(
            name=self.format,
            geometry=geometry,
            ranges=self._ranges(geometry, aged),
            start=start,
            end=self._end,
            markers=tuple(self.markers),
        )

    def _edges(self) -> Edges:
        """Return the boundaries of the ranges; those of arm64's root level tell nothing."""
        edges = Edges()
        edges.end = self._end
        heights = np.asarray(self.heights)
        starts = np.asarray(self.starts, dtype=np.uint64)
        lasts = np.asarray(self.lasts, dtype=np.uint64)
        maps = np.array([says.valid and says.kind == Kind.LEAF for says in self._says])
        mapped = maps[np.asarray(self.saying)]
        for height in np.unique(heights[heights != _ROOT]).tolist():
            here = heights == height
            # An end of 2**64 is 0 here, which is as aligned.
            bits = starts[here] | (lasts[here] + np.uint64(1))
            edges.add(height, int(np.bitwise_or.reduce(bits)), 0)
            absent = here & ~mapped
            edges.add_absent(height, _largest_block(starts[absent], lasts[absent]))
        return edges

    def _geometry(
        self,
        edges: Edges,
        start: int,
        granule: int | None,
        address_bits: int | None,
        tables: str | None,
    ) -> Geometry | None:
        if self.format == _S390:
            return s390_of(edges)
        if self.format == _GMAP:
            return gmap_of(edges)
        if self.format == _ARM64:
            return stage1_of(edges, start, granule, address_bits)
        return stage2_of(edges, granule, address_bits, tables)

    def _ranges(self, geometry: Geometry, aged: bool) -> np.ndarray[tuple[int], np.dtype[np.void]]:
        ranges = np.zeros(len(self.starts), dtype=RANGE)
        ranges["start"] = self.starts
        ranges["size"] = np.asarray(self.lasts) - np.asarray(self.starts) + np.uint64(1)
        ranges["height"] = np.minimum(np.asarray(self.heights), geometry.depth - 1)
        saying = np.asarray(self.saying)
        for i, name in enumerate(_Says._fields[:-1]):
            ranges[name] = np.array([says[i] for says in self._says])[saying]
        if not aged:
            # Unlike a gmap's, an invalid descriptor with something in it maps nothing.
            invalid = np.array([not says.valid for says in self._says])
            ranges["kind"][invalid[saying]] = Kind.NONE
        return merge_neighbours(ranges)
