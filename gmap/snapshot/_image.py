"""Tables as they lie in the memory of an s390: big-endian, with absolute origins. Floor 3.

An image is not trusted. Every origin is checked against its bounds before it is followed; a
table that several entries lead to becomes one table for each of them, up to a limit.

Source: fact sheet dat-gmap.md sections 1 and 2.
"""

from typing import Any, Final, SupportsIndex, cast

import numpy as np
from numpy.typing import NDArray

from gmap._address import as_addr
from gmap._defs import (
    ASCE_DT,
    ASCE_ORIGIN,
    ASCE_R,
    CRST_BYTES,
    CRST_ENTRIES,
    CRSTE_EMPTY,
    CRSTE_ORIGIN,
    CRSTE_TF,
    CRSTE_TL,
    PAGE_SHIFT,
    PAGE_SIZE,
    PT_BYTES,
    PT_ENTRIES,
    SEGMENT_PTO,
    Level,
)
from gmap._ipa import asce_last_address
from gmap._readable import AddressSpace
from gmap._snapshot import MOST_IPA_BITS, Snapshot, entry_places, flatten
from gmap.errors import AddressError, AddressTypeError, ConfigError, SnapshotFormatError

__all__ = ["from_bytes", "to_bytes"]

Buffer = bytes | bytearray | memoryview | NDArray[np.uint8]

_BIG: Final = np.dtype(">u8")
_WORD_BYTES: Final = 8
_DT_SHIFT: Final = 2
_TF_SHIFT: Final = 6
# A quarter of a table: the unit of table offsets and lengths.
_QUARTER: Final = CRST_BYTES // 4
_QUARTER_ENTRIES: Final = CRST_ENTRIES // 4
_PTES_BYTES: Final = _WORD_BYTES * PT_ENTRIES
# How many tables beyond those there is room for sharing may bring about.
_MOST_SHARED: Final = 4096


def _origin_mask(level: int) -> np.uint64:
    return np.uint64(SEGMENT_PTO if level == Level.SEGMENT else CRSTE_ORIGIN)


# --- out ------------------------------------------------------------------------------------


def to_bytes(space: AddressSpace, base: SupportsIndex | None = None) -> bytes:
    """Return the tables of an address space as an s390 would hold them.

    Parameters
    ----------
    space : Gmap or Snapshot
    base : int, optional
        The absolute address the image is for, a multiple of 4096. The origin of the address
        space's own ASCE by default.

    Returns
    -------
    bytes
        Big-endian. The top-level table first, so its origin is `base` and the matching ASCE
        ``base | g.asce & 0xfff``; then the other region and segment tables, 16 KiB each, then
        the page tables, 4 KiB each: 256 PTEs, 256 PGSTEs.

    Raises
    ------
    AddressError
        A base that is no multiple of 4096, or too high for the image.
    ConfigError
        Something that has no tables.
    HostMemoryError
        No memory for a copy of the tables.

    >>> import gmap
    >>> g = gmap.Gmap(gmap.SyntheticHost())
    >>> data = to_bytes(g, base=0)
    >>> len(data), data[:8].hex()
    (16384, '0001000500000024')
    >>> from_bytes(data, g.asce & 0xfff).tables()[1, 0].size
    2048
    """
    if not isinstance(space, AddressSpace):
        raise ConfigError(f"{space!r} has no tables: give a gmap.Gmap or a gmap.Snapshot")
    flat = flatten(space)
    top = len(flat.words) - 2
    crsts = sum(len(words) for words in flat.words[:-1])
    size = crsts * CRST_BYTES + len(flat.words[-1]) * PT_BYTES
    start = _base(space.asce & ASCE_ORIGIN if base is None else base, size)
    image = np.empty(size // _WORD_BYTES, dtype=_BIG)
    row = 0
    for level, words in zip(range(top, Level.PAGE, -1), flat.words, strict=False):
        places = entry_places(words, level)
        if level > Level.SEGMENT:
            first, stride = row + len(words), CRST_BYTES
        else:
            first, stride = crsts, PT_BYTES
        origins = np.uint64(start + first * CRST_BYTES) + np.arange(
            len(places), dtype=np.uint64
        ) * np.uint64(stride)
        linear = words.reshape(-1)
        linear[places] = linear[places] & ~_origin_mask(level) | origins
        image[row * CRST_ENTRIES : (row + len(words)) * CRST_ENTRIES] = linear
        row += len(words)
    image[crsts * CRST_ENTRIES :] = flat.words[-1].reshape(-1)
    return image.tobytes()


def _integer(value: SupportsIndex, what: str) -> int:
    """Guard one unsigned integer of 64 bits."""
    found = as_addr(cast(int, value), what)
    if found.ndim:
        raise AddressTypeError(f"{what} {value!r}: give one integer")
    return int(found)


def _base(base: SupportsIndex, size: int) -> int:
    value = _integer(base, "base")
    if value % PAGE_SIZE or value + size > 1 << 64:
        raise AddressError(
            f"base {value:#x}: use a multiple of {PAGE_SIZE:#x}, {(1 << 64) - size:#x} at most"
        )
    return value


# --- in -------------------------------------------------------------------------------------


def from_bytes(
    data: Buffer,
    asce: SupportsIndex,
    *,
    base: SupportsIndex | None = None,
    ipa_bits: SupportsIndex | None = None,
) -> Snapshot:
    """Return the address space that an image of tables and an ASCE describe.

    Parameters
    ----------
    data : bytes-like
        Memory of an s390, big-endian.
    asce : int
        The address-space-control element. A table offset or length that leaves entries out is
        respected: such entries read as empty in `tables`, and end a walk as the architecture
        says.
    base : int, optional
        Absolute address of the first byte. Default: 0 if the ASCE's origin lies inside `data`,
        else that origin.
    ipa_bits : int, optional
        Log2 of the guest's physical size; by default what the ASCE covers, 63 at most.

    Returns
    -------
    Snapshot
        With no memory slots. Frames are as the entries have them.

    Raises
    ------
    SnapshotFormatError
        A real-space ASCE; a table that is not wholly inside `data`; tables that are shared so
        often that there is no end of them.
    AddressError
        An ASCE or a base that is no unsigned integer of 64 bits.

    Notes
    -----
    A valid entry whose table type does not fit its table leads nowhere and is kept as it is: a
    walk ends there with a translation-specification exception, as on the machine.

    >>> import gmap
    >>> host = gmap.SyntheticHost()
    >>> region = host.map(1 << 20)
    >>> g = gmap.Gmap(host)
    >>> g.set_memory_region(0, 0, region.nbytes, region.hva)
    >>> g.fault_in(3)
    0
    >>> hex(from_bytes(to_bytes(g), g.asce).translate_one(0x3123))
    '0x80003123'
    """
    control = _integer(asce, "asce")
    origin = control & ASCE_ORIGIN
    if control & ASCE_R:
        raise SnapshotFormatError(
            f"asce {control:#x} designates real space, which has no tables: clear bit {ASCE_R:#x}"
        )
    try:
        view = memoryview(cast(bytes, data))
        if view.format == "O":
            raise TypeError("Python objects, not bytes")
        image = np.frombuffer(view.cast("B"), dtype=np.uint8)
    except (TypeError, ValueError, BufferError) as error:
        raise SnapshotFormatError(f"data {type(data).__name__}: {error}; give bytes") from None
    words = image[: image.size & -_WORD_BYTES].view(_BIG)
    inside = origin < words.size * _WORD_BYTES
    start = (0 if inside else origin) if base is None else _base(base, 0)
    top = (control & ASCE_DT) >> _DT_SHIFT
    most = min(MOST_IPA_BITS, asce_last_address(top).bit_length())
    reader = _Reader(words, start)
    return Snapshot(
        control & ~ASCE_ORIGIN,
        reader.levels(control, top),
        ipa_bits=most if ipa_bits is None else ipa_bits,
    )


class _Reader:
    """Tables read from an image, level by level."""

    def __init__(self, image: NDArray[Any], base: int) -> None:
        self.image = image
        self.base = base
        self.nbytes = image.size * _WORD_BYTES
        self.room = self.nbytes // _PTES_BYTES + _MOST_SHARED
        self.tables = 0

    def levels(self, asce: int, top: int) -> list[NDArray[np.uint64]]:
        """Return the flat form of the tables below an ASCE."""
        # The entries that lead to the tables of a level, and where they were found. An ASCE
        # has no table offset.
        leading = np.array([asce & ~CRSTE_TF], dtype=np.uint64)
        found = np.array([-1])
        origins = leading & _origin_mask(Level.REGION1)
        result = []
        for level in range(top, Level.PAGE, -1):
            words, addresses = self._crsts(level, leading, origins, found)
            places = entry_places(words, level)
            flat = words.reshape(-1)
            leading = flat[places]
            found = addresses[places // CRST_ENTRIES] + places % CRST_ENTRIES * _WORD_BYTES
            origins = leading & _origin_mask(level)
            numbers = np.arange(len(places), dtype=np.uint64) << np.uint64(PAGE_SHIFT)
            flat[places] = leading & ~_origin_mask(level) | numbers
            result.append(words)
        result.append(self._page_tables(leading, origins, found))
        return result

    def _check(
        self,
        level: int,
        leading: NDArray[np.uint64],
        found: NDArray[np.int64],
        first: NDArray[np.uint64],
        nbytes: NDArray[np.uint64],
    ) -> NDArray[np.int64]:
        """Refuse tables that are not in the image; return where in it their bytes begin."""
        name = Level(level).name.lower() if level > Level.PAGE else "page"
        self.tables += len(leading)
        if self.tables > self.room:
            raise SnapshotFormatError(
                f"{_entry(leading[-1], found[-1], self.base)} leads to {name} table "
                f"{self.tables}, more than the image has room for: tables are shared too often; "
                "give each entry a table of its own"
            )
        offset = first - np.uint64(self.base)  # wraps below the base, to beyond the end
        outside = (nbytes > 0) & (
            (nbytes > self.nbytes) | (offset > np.uint64(self.nbytes) - nbytes)
        )
        if outside.any():
            bad = int(np.argmax(outside))
            raise SnapshotFormatError(
                f"{_entry(leading[bad], found[bad], self.base)} leads to a {name} table at "
                f"[{int(first[bad]):#x}, {int(first[bad]) + int(nbytes[bad]):#x}), outside the "
                f"image, which is [{self.base:#x}, {self.base + self.nbytes:#x}): give more of "
                "the memory, or the right base"
            )
        return offset.astype(np.int64)

    def _crsts(
        self,
        level: int,
        leading: NDArray[np.uint64],
        origins: NDArray[np.uint64],
        found: NDArray[np.int64],
    ) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Return the tables of a level, and the offset in the image of each one's origin."""
        first = ((leading & np.uint64(CRSTE_TF)) >> np.uint64(_TF_SHIFT)).astype(np.int64)
        last = (leading & np.uint64(CRSTE_TL)).astype(np.int64)
        quarters = np.maximum(last + 1 - first, 0)
        offsets = self._check(
            level,
            leading,
            found,
            origins + (first * _QUARTER).astype(np.uint64),
            (quarters * _QUARTER).astype(np.uint64),
        )
        empty = CRSTE_EMPTY | level << _DT_SHIFT
        words = np.full((len(leading), CRST_ENTRIES), empty, dtype=np.uint64)
        for row, skip, n, offset in zip(
            words, first.tolist(), quarters.tolist(), offsets.tolist(), strict=True
        ):
            if n:
                at, count = skip * _QUARTER_ENTRIES, n * _QUARTER_ENTRIES
                begin = offset // _WORD_BYTES
                row[at : at + count] = self.image[begin : begin + count]
        return words, offsets - first * _QUARTER

    def _page_tables(
        self,
        leading: NDArray[np.uint64],
        origins: NDArray[np.uint64],
        found: NDArray[np.int64],
    ) -> NDArray[np.uint64]:
        sizes = np.full(len(leading), _PTES_BYTES, dtype=np.uint64)
        offsets = self._check(Level.PAGE, leading, found, origins, sizes)
        words = np.zeros((len(leading), 2 * PT_ENTRIES), dtype=np.uint64)
        # PGSTEs follow the PTEs in the frame of a page table that has a whole one.
        whole = (origins % np.uint64(PT_BYTES) == 0) & (offsets <= self.nbytes - PT_BYTES)
        counts = np.where(whole, 2 * PT_ENTRIES, PT_ENTRIES)
        for row, n, offset in zip(words, counts.tolist(), offsets.tolist(), strict=True):
            row[:n] = self.image[offset // _WORD_BYTES : offset // _WORD_BYTES + n]
        return words


def _entry(entry: np.uint64, found: np.int64, base: int) -> str:
    """Name an entry in an error; the place of the ASCE is -1."""
    if found == -1:
        return f"the ASCE, {int(entry):#x},"
    return f"entry {int(entry):#018x} at {base + int(found):#x}"
