"""Host addresses made independent of the process they were taken in. Floor 3.

Frames of a `BufferHost` are pointers. A page of a guest is told by its slot to be at some offset
of some region of the host, wherever the host has put its frame. Regions get new addresses in
the order of the slots that show them first, each at a multiple of 2 GiB, so that frames of all
sizes stay aligned.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gmap._buffer import BufferHost
from gmap._defs import (
    PAGE_SHIFT,
    PT_ENTRIES,
    PTE_PFRA,
    PTE_PR,
    REGION3_FRAME,
    REGION3_SHIFT,
    REGION3_SIZE,
    SEGMENT_FRAME,
    SEGMENT_SHIFT,
    Level,
)
from gmap._readable import AddressSpace
from gmap._snapshot import Flat, Snapshot, entry_places, flatten
from gmap._space import Gmap, MemslotInfo
from gmap.errors import ConfigError

__all__ = ["Taken", "take"]

# How often an address space is read again because its slots changed meanwhile.
_ATTEMPTS: Final = 8
_LEAVES: Final = {Level.SEGMENT: SEGMENT_FRAME, Level.REGION3: REGION3_FRAME}
_CRST_SHIFT: Final = {Level.SEGMENT: SEGMENT_SHIFT, Level.REGION3: REGION3_SHIFT}


class Taken(NamedTuple):
    """An address space of one moment, with nothing in it that means something here alone."""

    flat: Flat
    memslots: tuple[MemslotInfo, ...]
    host_regions: tuple[tuple[int, int], ...]


class _Spans:
    """Stretches of host addresses, and the addresses they are given instead."""

    def __init__(self, host: BufferHost, memslots: Sequence[MemslotInfo]) -> None:
        regions = sorted((region.hva, region.nbytes) for region in host.regions.values())
        self.new: dict[int, tuple[int, int]] = {}  # old start -> (new start, bytes)
        self._next = REGION3_SIZE
        for slot in memslots:
            start, end = slot.userspace_addr, slot.userspace_addr + slot.memory_size
            shown = [(hva, n) for hva, n in regions if hva < end and start < hva + n]
            if not shown or start < shown[0][0]:
                # No host memory where the slot begins: nothing is mapped there.
                gap_end = shown[0][0] if shown else end
                self._add(start, gap_end - start)
            for hva, nbytes in shown:
                self._add(hva, nbytes)
        self._starts = np.array(sorted(self.new), dtype=np.uint64)
        self._bases = np.array([self.new[int(start)][0] for start in self._starts], np.uint64)
        self._sizes = np.array([self.new[int(start)][1] for start in self._starts], np.uint64)

    def _add(self, start: int, nbytes: int) -> None:
        if start not in self.new:
            self.new[start] = (self._next, nbytes)
            self._next += -(-nbytes // REGION3_SIZE) * REGION3_SIZE

    def rebased(self, hva: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return what stands for host addresses, each of which lies in a stretch."""
        which = np.searchsorted(self._starts, hva, side="right") - 1
        offset = hva - self._starts[which]
        if (which < 0).any() or (offset >= self._sizes[which]).any():
            raise ConfigError(
                "a mapped page has no host memory behind it: do not close regions "
                "while their guest is being saved"
            )
        return self._bases[which] + offset


def take(space: AddressSpace) -> Taken:
    """Return the tables, slots and host regions of an address space.

    Parameters
    ----------
    space : Gmap or Snapshot

    Raises
    ------
    ConfigError
        No address space; or one whose slots or host keep changing.
    HostMemoryError
        No memory for a copy of the tables.

    >>> import gmap
    >>> take(gmap.Gmap(gmap.SyntheticHost())).memslots
    ()
    """
    if isinstance(space, Snapshot):
        return Taken(flatten(space), space.memslots, space.host_regions)
    if not isinstance(space, Gmap):
        raise ConfigError(f"{space!r} has no tables: give a gmap.Gmap or a gmap.Snapshot")
    for _ in range(_ATTEMPTS):
        memslots = tuple(space.memslots)
        flat = flatten(space)
        if memslots == tuple(space.memslots):
            break
    else:
        raise ConfigError("the memory slots keep changing: save while nothing sets them")
    if not isinstance(space.host, BufferHost):
        return Taken(flat, memslots, ())
    spans = _Spans(space.host, memslots)
    _rebase(flat, memslots, spans)
    starts = np.array([slot.userspace_addr for slot in memslots], dtype=np.uint64)
    moved = spans.rebased(starts).tolist() if memslots else []
    slots = tuple(
        slot._replace(userspace_addr=hva) for slot, hva in zip(memslots, moved, strict=True)
    )
    return Taken(flat, slots, tuple(spans.new.values()))


def _rebase(flat: Flat, memslots: Sequence[MemslotInfo], spans: _Spans) -> None:
    """Give every entry that maps a frame the address that stands for its page."""
    top = len(flat.words) - 2
    for level, frame in _LEAVES.items():
        if level > top:
            continue
        words, gfns = flat.words[top - level], flat.gfns[top - level]
        places = entry_places(words, level, leaves=True)
        rows, index = np.divmod(places, words.shape[1])
        gpas = _addresses(gfns[rows], index, _CRST_SHIFT[level])
        _replace(words.reshape(-1), places, frame, _hvas(gpas, memslots), spans)
    words, gfns = flat.words[-1], flat.gfns[-1]
    # Row by row: the pages of a large guest, as arrays of their own, are many.
    for row, gfn in zip(words, gfns, strict=True):
        places = np.flatnonzero(row[:PT_ENTRIES] & np.uint64(PTE_PR))
        gpas = _addresses(gfn, places, PAGE_SHIFT)
        _replace(row, places, PTE_PFRA, _hvas(gpas, memslots), spans)


def _addresses(
    gfn: NDArray[np.uint64] | np.uint64, index: NDArray[np.int64], shift: int
) -> NDArray[np.uint64]:
    """Return the guest addresses of entries, by index in tables that begin at `gfn`."""
    first: NDArray[np.uint64] | np.uint64 = gfn << np.uint64(PAGE_SHIFT)
    return first + (index.astype(np.uint64) << np.uint64(shift))


def _hvas(gpas: NDArray[np.uint64], memslots: Sequence[MemslotInfo]) -> NDArray[np.uint64]:
    """Return the host addresses that guest addresses have by their slots."""
    starts = np.array([slot.guest_phys_addr for slot in memslots], dtype=np.uint64)
    hvas = np.array([slot.userspace_addr for slot in memslots], dtype=np.uint64)
    which = np.searchsorted(starts, gpas, side="right") - 1
    return hvas[which] + (gpas - starts[which]) if len(gpas) else gpas


def _replace(
    words: NDArray[np.uint64],
    places: NDArray[np.int64],
    frame: int,
    hvas: NDArray[np.uint64],
    spans: _Spans,
) -> None:
    if len(places):
        words[places] = words[places] & ~np.uint64(frame) | spans.rebased(hvas)
