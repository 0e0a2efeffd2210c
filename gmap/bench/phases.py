"""What is timed: a guest in a known state, and the faults it then takes. Floor 4.

Each phase brings the guest into its state first, which is not part of the time; what that
took is kept where it is of interest (the re-protection of a dirty log, an unmapping).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gmap._buffer import BufferHost
from gmap._defs import PAGE_SHIFT, SlotFlag
from gmap._host import Host, HostRegion
from gmap._space import Gmap
from gmap._synthetic import SyntheticHost
from gmap.bench.workloads import Workload
from gmap.errors import ConfigError, GmapError, describe_code

__all__ = ["HOSTS", "PHASES", "BenchError", "Faults", "Guest", "Phase"]

HOSTS: Final[dict[str, Callable[[], Host]]] = {"synthetic": SyntheticHost, "buffer": BufferHost}
_IPA_BITS: Final = 48


class BenchError(GmapError):
    """A fault that was to be timed failed: what was measured would mean nothing."""


class Guest:
    """A guest with empty tables, for the faults of a workload.

    Parameters
    ----------
    host : str
        "synthetic" or "buffer".
    workload : Workload
    populate : bool
        Have the host give every page memory now, so that no fault has to wait for that.

    >>> from gmap.bench.workloads import workload
    >>> guest = Guest("synthetic", workload("sequential", "4k", 1 << 20))
    >>> guest.g.table_bytes() > 0, len(guest.g.memslots)
    (True, 1)
    """

    def __init__(self, host: str, workload: Workload, *, populate: bool = False) -> None:
        self.workload = workload
        self.host = HOSTS[host]()
        self.region: HostRegion = self.host.map(workload.pages << PAGE_SHIFT, workload.backing)
        self.g = Gmap(self.host, ipa_bits=_IPA_BITS, allow_1m=True, allow_2g=True)
        self.set_slots()
        if populate and isinstance(self.host, BufferHost):
            self.host.populate(self.region.hva, self.region.nbytes)

    def set_slots(self, flags: int = 0) -> None:
        """Create the memory slots, or change their flags."""
        hva = self.region.hva
        for slot, (gfn, npages) in enumerate(self.workload.areas.tolist()):
            nbytes = npages << PAGE_SHIFT
            self.g.set_memory_region(slot, gfn << PAGE_SHIFT, nbytes, hva, flags)
            hva += nbytes

    def fault(self, gfns: NDArray[np.uint64], writes: NDArray[np.bool_] | bool) -> None:
        """Take faults that are part of no measurement."""
        check(self.g.fault_in(gfns, writes, errors="status"))

    def for_each_area(self, change: Callable[[int, int], object]) -> None:
        """Call `change(gfn, npages)` for all guest memory."""
        for gfn, npages in self.workload.areas.tolist():
            change(gfn, npages)

    def close(self) -> None:
        """Give the memory back."""
        self.host.close()


def check(codes: NDArray[np.int32]) -> None:
    """Refuse codes other than 0."""
    if codes.any():
        code = int(codes[codes != 0][0])
        raise BenchError(f"a fault ended with {describe_code(code)}: nothing was measured")


class Faults(NamedTuple):
    """What a phase is about to time: frames, which accesses write, and the set-up's time."""

    gfns: NDArray[np.uint64]
    writes: NDArray[np.bool_] | bool
    setup_ns: int | None = None


# --- the phases: bring a guest whose frames are all mapped into the state to be measured ------


def _first_touch(guest: Guest) -> Faults:
    return Faults(guest.workload.gfns, guest.workload.writes)


def _minor_young(guest: Guest) -> Faults:
    start = time.perf_counter_ns()
    guest.for_each_area(guest.g.age)
    return Faults(guest.workload.touched, False, time.perf_counter_ns() - start)


def _minor_dirty(guest: Guest) -> Faults:
    guest.for_each_area(guest.g.unmap)
    gfns = guest.workload.written
    guest.fault(gfns, False)
    return Faults(gfns, True)


def _dirty_log_write(guest: Guest) -> Faults:
    guest.set_slots(SlotFlag.LOG_DIRTY_PAGES)
    gfns = guest.workload.written
    guest.fault(gfns, True)
    start = time.perf_counter_ns()
    for slot in range(len(guest.workload.areas)):
        guest.g.get_dirty_log(slot)
    return Faults(gfns, True, time.perf_counter_ns() - start)


def _refault(guest: Guest) -> Faults:
    start = time.perf_counter_ns()
    guest.for_each_area(guest.g.unmap)
    setup_ns = time.perf_counter_ns() - start
    return Faults(guest.workload.gfns, guest.workload.writes, setup_ns)


def _huge_split(guest: Guest) -> Faults:
    guest.for_each_area(guest.g.unmap)
    guest.fault(guest.workload.gfns, guest.workload.writes)
    return Faults(guest.workload.touched, False)


@dataclass(frozen=True)
class Phase:
    """One kind of fault.

    Attributes
    ----------
    name : str
    text : str
        What is timed, in a line.
    prepare : callable
        Brings a guest into the state to be measured; the faults it then takes.
    backings : tuple of str
        The backings it makes sense for.
    fresh : bool
        The guest's tables are empty before, not full.
    splits : bool
        What is timed is not faults but the splitting of what they mapped.
    """

    name: str
    text: str
    prepare: Callable[[Guest], Faults]
    backings: tuple[str, ...] = ("4k", "1m", "2g")
    fresh: bool = False
    splits: bool = False


PHASES: Final[dict[str, Phase]] = {
    phase.name: phase
    for phase in (
        Phase("first-touch", "faults of a guest with empty tables", _first_touch, fresh=True),
        Phase("minor-young", "reads, after all of memory was aged", _minor_young),
        Phase("minor-dirty", "first writes to what was only read", _minor_dirty),
        Phase(
            "dirty-log-write",
            "writes, after the dirty log was read and so all of it write-protected",
            _dirty_log_write,
        ),
        Phase("refault", "faults, after all of memory was unmapped", _refault, ("4k",)),
        Phase("huge-link", "faults that link folios into tables there", _refault, ("1m", "2g")),
        Phase(
            "huge-split",
            "replacing linked folios by tables of pages",
            _huge_split,
            ("1m", "2g"),
            splits=True,
        ),
    )
}


def phases_for(names: list[str], backing: str) -> list[Phase]:
    """Return the phases of these names that make sense for a backing, in their order.

    >>> [phase.name for phase in phases_for(["refault", "huge-link"], "1m")]
    ['huge-link']
    """
    for name in names:
        if name not in PHASES:
            raise ConfigError(f"phase {name!r}: use one of {', '.join(PHASES)}")
    return [PHASES[name] for name in PHASES if name in names and backing in PHASES[name].backings]
