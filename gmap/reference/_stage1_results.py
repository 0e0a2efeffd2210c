"""What goes into a stage-1 walk and what comes out: accesses, memory, rights, results."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple, Protocol

from gmap.reference._stage1_fields import stage2_status


class Access(IntEnum):
    """What the guest does with an address."""

    READ = 0
    WRITE = 1
    FETCH = 2


class Stage2Fault(Exception):
    """Raised by a `Memory` whose second stage has nothing for a table's address.

    Attributes
    ----------
    pic : int
        The program interruption code of the DAT walk.
    fsc, level : int
        How the guest sees it, see `stage2_status`.
    """

    def __init__(self, pic: int, fsc: int | None = None, level: int | None = None) -> None:
        super().__init__(pic)
        known = stage2_status(pic)
        self.pic = pic
        self.fsc = known[0] if fsc is None else fsc
        self.level = known[1] if level is None else level


class Memory(Protocol):
    """Guest memory as the table walker sees it: 64-bit words at IPAs, little-endian."""

    def read(self, ipa: int) -> int:
        """The word at a multiple of 8, or raises `Stage2Fault`."""

    def cas(self, ipa: int, old: int, new: int) -> bool:
        """Write `new` if the word is `old`, and say whether it was; or raises `Stage2Fault`."""


class Step(NamedTuple):
    """One descriptor that was read: its level, where it is, and its value, endianness undone."""

    level: int
    ipa: int
    descriptor: int


class Rights(NamedTuple):
    """What one exception level may do with an address. Reads and writes have PAN applied."""

    read: bool
    write: bool
    execute: bool

    def allow(self, access: int) -> bool:
        """Whether a read (0), write (1) or fetch (2) is permitted.

        >>> Rights(read=True, write=False, execute=False).allow(1)
        False
        """
        return self[access]


NO_RIGHTS: Final = Rights(False, False, False)
ALL_RIGHTS: Final = Rights(True, True, True)


@dataclass(frozen=True)
class Walk:
    """How a translation ended.

    Attributes
    ----------
    ipa : int or None
        The intermediate physical address; None after a fault.
    fsc : int
        0, or the fault status code (DFSC, IFSC) with its level.
    level : int
        Of the leaf, or of the fault: -1 to 3.
    stage : int
        1, or 2 if the second stage had nothing for a table.
    s1ptw : bool
        The fault is that of a table access at stage 2.
    pic : int
        The program interruption code of that fault, else 0.
    steps : tuple of Step
        Every descriptor read, in order.
    attr : int
        The byte of MAIR_EL1 the leaf names (SCTLR_EL1.C and I not applied).
    sh : int
        Shareability as the leaf says, or TCR_EL1.SHx where descriptors have 52-bit addresses.
    el0, el1 : Rights
        Both levels' rights; none if the walk did not reach them.
    size : int
        Bytes the leaf maps; 0 after a fault before the leaf.
    contiguous, ng : bool
        The leaf's contiguous hint and non-global bit.
    updated : bool
        The walk wrote the access flag or the dirty state to the leaf.
    """

    ipa: int | None = None
    fsc: int = 0
    level: int = 0
    stage: int = 1
    s1ptw: bool = False
    pic: int = 0
    steps: tuple[Step, ...] = ()
    attr: int = 0
    sh: int = 0
    el0: Rights = NO_RIGHTS
    el1: Rights = NO_RIGHTS
    size: int = 0
    contiguous: bool = False
    ng: bool = False
    updated: bool = False

    @property
    def ok(self) -> bool:
        """No fault."""
        return self.fsc == 0 and self.ipa is not None
