"""Both stages: a guest virtual address through the guest's tables and the gmap, in plain Python.

Every table of stage 1 is guest memory. To read one of its descriptors the walker needs a host
address, so stage 2 is walked first; to set an access flag it needs to be allowed to write there.
The address that comes out goes through stage 2 once more:

=================== ==============================================
what                memory references, nothing cached
=================== ==============================================
n descriptors       n * m to find them, n to read them
the final address   m
together            n * (m + 1) + m = (n + 1) * (m + 1) - 1
=================== ==============================================

with n levels at stage 1 and m at stage 2. The guest's own access is not counted, and neither is
an update of a descriptor, which has just been read.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from gmap._defs import ASCE_DT, PAGE_SHIFT, Level, Walk
from gmap.errors import ConfigError
from gmap.reference._stage1_fields import stage2_status
from gmap.reference.entries import crste_level, invalid_bit, is_leaf
from gmap.reference.stage1 import Access, Stage1Regime, Stage2Fault
from gmap.reference.stage1 import Walk as Stage1Walk

__all__ = ["Space", "Stage2Step", "Stage2Walk", "TwoLevelReference", "TwoLevelWalk"]

#: Look at an entry, whatever it is, and change nothing.
_LOOK: Final = Walk.ANY | Walk.IGN_HOLES

ReadWord = Callable[[int], bytes]
Exchange = Callable[[int, bytes, bytes], bool]


class Space(Protocol):
    """Stage 2: what is needed of `gmap.reference.ReferenceGmap`."""

    @property
    def asce(self) -> int: ...

    def translate(self, gpa: int, write: bool = False, /) -> tuple[int, int]: ...

    def walk(
        self, gfn: int, level: int, flags: int = 0, /
    ) -> tuple[int, int | None, int | None]: ...


class Stage2Step(NamedTuple):
    """One DAT entry that was read; origins of tables are invented."""

    level: Level
    entry: int


class Stage2Walk(NamedTuple):
    """One guest physical address through stage 2; pa is None and pic not 0 after a fault."""

    gpa: int
    write: bool
    pa: int | None
    pic: int
    steps: tuple[Stage2Step, ...]


@dataclass(frozen=True)
class TwoLevelWalk:
    """How a translation through both stages ended.

    Attributes
    ----------
    pa : int or None
        The host address; None after a fault.
    stage : int
        0 without a fault, else the stage at fault: 1 or 2.
    fsc, level : int
        The fault status code and its level, -1 to 3. An address size fault at level 0 has the
        code 0: `stage` tells it from success. Without a fault the level is that of the
        stage-1 leaf.
    s1ptw : bool
        Stage 2 failed for a table of stage 1, not for the final address.
    pic : int
        The program interruption code of a stage-2 fault.
    stage1 : gmap.reference.stage1.Walk
        The stage-1 walk.
    stage2 : tuple of Stage2Walk
        The stage-2 walks in order: one for each descriptor, one with `write` if a
        descriptor was updated, one for the final address.
    refs : int
        Memory references with nothing cached.
    """

    pa: int | None
    stage: int
    fsc: int
    level: int
    s1ptw: bool
    pic: int
    stage1: Stage1Walk
    stage2: tuple[Stage2Walk, ...]
    refs: int


class TwoLevelReference:
    """Stage-1 registers over an address space.

    Parameters
    ----------
    regime : Stage1Regime
    space : Space
        Stage 2, as `ReferenceGmap` is.
    read : callable
        The 8 bytes of host memory at a host address.
    exchange : callable, optional
        ``exchange(pa, old, new)`` puts 8 bytes in the place of 8 others and says whether it
        found those. Needed where hardware sets access flags.

    Examples
    --------
    >>> from gmap import SyntheticHost
    >>> from gmap.reference import ReferenceGmap
    >>> host = SyntheticHost()
    >>> space = ReferenceGmap(host, ipa_bits=40, allow_1m=False)
    >>> space.set_memory_region(0, 0, 1 << 20, host.map(1 << 20, folio="4k").hva)
    >>> [space.fault_in(gfn) for gfn in (1, 2, 3, 4, 5)]
    [0, 0, 0, 0, 0]

    A stage-1 table in which every entry leads to the next page, and one 4K page at the end:

    >>> tables = {1: 0x2003, 2: 0x3003, 3: 0x4003, 4: 0x5403}
    >>> frames = {space.translate(gfn << 12)[0]: word for gfn, word in tables.items()}
    >>> regime = Stage1Regime(ttbr0=0x1000, tcr=16 | 5 << 32)
    >>> two = TwoLevelReference(regime, space, lambda pa: frames[pa].to_bytes(8, "little"))
    >>> walk = two.translate(0x123)
    >>> walk.pa == space.translate(0x5123)[0], walk.refs == (4 + 1) * (3 + 1) - 1
    (True, True)
    """

    def __init__(
        self,
        regime: Stage1Regime,
        space: Space,
        read: ReadWord,
        exchange: Exchange | None = None,
    ) -> None:
        self.regime = regime
        self._space = space
        self._read = read
        self._exchange = exchange

    def translate(self, va: int, access: int = Access.READ, *, probe: bool = False) -> TwoLevelWalk:
        """Take one virtual address to a host address.

        Parameters
        ----------
        va, access, probe
            As for `Stage1Regime.walk`. Stage 2 is never changed.

        Raises
        ------
        AddressError
            `va` does not fit into 64 bits.
        ConfigError
            Another kind of access; or an access flag has to be set without `exchange`.
        """
        tables = _Tables(self._space, self._read, self._exchange)
        stage1 = self.regime.walk(va, access, tables, probe=probe)
        walks, refs = tables.walks, tables.refs
        stage, fsc, level, s1ptw, pic = 0, 0, stage1.level, False, 0
        pa = None
        if stage1.ipa is None:
            stage, fsc, s1ptw, pic = stage1.stage, stage1.fsc, stage1.s1ptw, stage1.pic
        else:
            last = _stage2(self._space, stage1.ipa, access == Access.WRITE)
            walks.append(last)
            refs += len(last.steps)
            pa, pic = last.pa, last.pic
            if pa is None:
                stage = 2
                fsc, level = _status(last)
        return TwoLevelWalk(pa, stage, fsc, level, s1ptw, pic, stage1, tuple(walks), refs)


class _Tables:
    """Guest memory for the stage-1 walker: every access goes through stage 2."""

    def __init__(self, space: Space, read: ReadWord, exchange: Exchange | None) -> None:
        self._space = space
        self._read_host = read
        self._exchange = exchange
        self.walks: list[Stage2Walk] = []
        self.refs = 0

    def read(self, ipa: int) -> int:
        walk = self._walk(ipa, write=False)
        self.refs += len(walk.steps)
        pa = _found(walk)
        self.refs += 1
        return int.from_bytes(self._read_host(pa), "little")

    def cas(self, ipa: int, old: int, new: int) -> bool:
        if self._exchange is None:
            raise ConfigError(
                f"the descriptor at IPA {ipa:#x} has to be written: give `exchange`, or probe"
            )
        pa = _found(self._walk(ipa, write=True))
        return self._exchange(pa, old.to_bytes(8, "little"), new.to_bytes(8, "little"))

    def _walk(self, ipa: int, write: bool) -> Stage2Walk:
        walk = _stage2(self._space, ipa, write)
        self.walks.append(walk)
        return walk


def _found(walk: Stage2Walk) -> int:
    if walk.pa is None:
        raise Stage2Fault(walk.pic, *_status(walk))
    return walk.pa


def _stage2(space: Space, gpa: int, write: bool) -> Stage2Walk:
    """What the hardware makes of a guest address, and the entries it read on the way."""
    pa, pic = space.translate(gpa, write)
    steps = tuple(_entries(space, gpa >> PAGE_SHIFT))
    return Stage2Walk(gpa, write, None if pic else pa, pic, steps)


def _entries(space: Space, gfn: int) -> Iterator[Stage2Step]:
    """The entries from the highest table down to the one at which the walk ends."""
    for level in map(Level, range(crste_level(space.asce & ASCE_DT), Level.PAGE - 1, -1)):
        _, crste, pte = space.walk(gfn, level, _LOOK)
        entry = pte if level == Level.PAGE else crste
        if entry is None:  # beyond the end of the address space: nothing is read
            return
        yield Stage2Step(level, entry)
        if level == Level.PAGE or entry & invalid_bit(level) or is_leaf(entry):
            return


def _status(walk: Stage2Walk) -> tuple[int, int]:
    """The fault status code and level of a stage-2 walk that failed."""
    return stage2_status(walk.pic, walk.steps[-1].level if walk.steps else Level.PAGE)
