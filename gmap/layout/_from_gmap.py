"""The layout of a live address space or of a snapshot. Floor 4."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gmap._defs import ASCE_DT, PAGE_SHIFT, Level
from gmap._ipa import asce_last_address
from gmap._readable import AddressSpace
from gmap._runs import EntryBit
from gmap.errors import ConfigError
from gmap.layout._geometries import gmap_geometry
from gmap.layout._model import RANGE, Kind, Layout

__all__ = ["end_of", "layout_of", "merge_neighbours", "runs_of", "top_level"]

CHUNK_RUNS: Final = 1 << 16


def top_level(asce: int) -> Level:
    """Return the type of the top-level table an ASCE names.

    >>> top_level(0x1c7).name
    'REGION3'
    """
    return Level((asce & ASCE_DT) >> 2)


def end_of(space: AddressSpace) -> int:
    """Return the end of what the tables of an address space and its guest can hold, in bytes.

    >>> import gmap
    >>> end_of(gmap.Gmap(gmap.SyntheticHost(), ipa_bits=32)) == 1 << 32
    True
    """
    return min(asce_last_address(top_level(space.asce)) + 1, space.guest_phys_size)


def merge_neighbours(rows: NDArray[np.void]) -> NDArray[np.void]:
    """Join rows that adjoin and agree in all but `start` and `size`.

    Parameters
    ----------
    rows : structured array
        With `start` and `size` in bytes, ascending and not overlapping.

    Returns
    -------
    structured array
        Of the same dtype, new.

    >>> rows = np.zeros(3, dtype=RANGE)
    >>> rows["start"], rows["size"] = [0, 4096, 16384], 4096
    >>> merge_neighbours(rows)["size"]
    array([8192, 4096], dtype=uint64)
    """
    if len(rows) < 2:
        return rows.copy()
    differs = rows["start"][1:] != rows["start"][:-1] + rows["size"][:-1]
    for name in rows.dtype.names or ():
        if name not in ("start", "size"):
            differs |= rows[name][1:] != rows[name][:-1]
    first = np.flatnonzero(np.concatenate(([True], differs)))
    merged = rows[first]
    last = np.append(first[1:], len(rows)) - 1
    merged["size"] = rows["start"][last] + rows["size"][last] - merged["start"]
    return merged


def runs_of(space: AddressSpace, chunk: int = CHUNK_RUNS) -> Iterator[NDArray[np.void]]:
    """Yield all an address space's entries as runs that say the same, in arrays of bounded size.

    Parameters
    ----------
    space : Gmap or Snapshot
        Between two arrays it may change.
    chunk : int
        Most rows of an array.

    Yields
    ------
    structured array
        dtype `gmap._runs.RUN`, ascending, without gaps from 0 to the end of guest memory. Rows
        of one array differ from their neighbours; the last of one and the first of the next
        may say the same.

    Raises
    ------
    ConfigError
        Something that has no tables.

    >>> import gmap
    >>> [(hex(run["size"]), EntryBit(int(run["bits"])).name) for runs in
    ...     runs_of(gmap.Gmap(gmap.SyntheticHost())) for run in runs]
    [('0x10000000000', 'INVALID|HOLE')]
    """
    if not isinstance(space, AddressSpace):
        raise ConfigError(f"{space!r} has no tables: give a gmap.Gmap or a gmap.Snapshot")
    at, end = 0, end_of(space) >> PAGE_SHIFT
    while at < end:
        runs, at = space._runs(at, end, chunk)
        if len(runs):
            yield runs


def layout_of(space: AddressSpace) -> Layout:
    """Return what is mapped where in an address space, and what is not.

    Parameters
    ----------
    space : Gmap or Snapshot

    Returns
    -------
    Layout
        Ranges without gaps from 0 to the end of guest memory. `writable` is what the hardware
        lets a guest do now: False for a clean page, whose first write still faults. An aged
        entry is a leaf with all flags False.

    Raises
    ------
    ConfigError
        Something that has no tables.

    >>> import gmap
    >>> host = gmap.SyntheticHost()
    >>> region = host.map(1 << 20)
    >>> g = gmap.Gmap(host)
    >>> g.set_memory_region(0, 0, region.nbytes, region.hva)
    >>> g.fault_in(0, write=True)
    0
    >>> [(hex(row["size"]), int(row["height"]), Kind(row["kind"]).name)
    ...     for row in layout_of(g).ranges]
    [('0x1000', 0, 'LEAF'), ('0xff000', 0, 'NONE'), ('0x7ff00000', 1, 'HOLE'),
     ('0xff80000000', 2, 'HOLE')]
    """
    chunks = [_ranges(runs) for runs in runs_of(space)]
    ranges = merge_neighbours(np.concatenate(chunks) if chunks else np.zeros(0, dtype=RANGE))
    return Layout(
        name="gmap",
        geometry=gmap_geometry(top_level(space.asce)),
        ranges=ranges,
        start=0,
        end=end_of(space),
    )


def _ranges(runs: NDArray[np.void]) -> NDArray[np.void]:
    """Return RUN rows as RANGE rows, those that now agree joined."""
    bits = runs["bits"]
    usable = bits & (EntryBit.LEAF | EntryBit.INVALID) == EntryBit.LEAF
    result = np.zeros(len(runs), dtype=RANGE)
    result["start"] = runs["start"]
    result["size"] = runs["size"]
    result["height"] = runs["level"] - Level.PAGE
    result["kind"] = np.select(
        [bits & EntryBit.LEAF != 0, bits & EntryBit.HOLE != 0], [Kind.LEAF, Kind.HOLE], Kind.NONE
    )
    result["readable"] = usable & (bits & EntryBit.PRESENT != 0)
    result["writable"] = usable & (
        bits & (EntryBit.WRITABLE | EntryBit.PROTECT) == EntryBit.WRITABLE
    )
    result["executable"] = usable & (bits & EntryBit.NOEXEC == 0)
    result["young"] = usable & (bits & EntryBit.YOUNG != 0)
    result["dirty"] = usable & (bits & EntryBit.DIRTY != 0)
    return merge_neighbours(result)
