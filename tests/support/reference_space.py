"""Address spaces of the oracle, and what tests of it do to them."""

from dataclasses import dataclass, field

import pytest

from gmap._defs import (
    Level,
    SlotFlag,
    Walk,
)
from gmap.errors import ConfigError
from gmap.reference import ReferenceGmap

PAGE, SEGMENT, REGION3, REGION2, REGION1 = (Level(n) for n in range(-1, 4))
KIB4, MIB, GIB2, TIB4 = 1 << 12, 1 << 20, 1 << 31, 1 << 42
LOG, READONLY = SlotFlag.LOG_DIRTY_PAGES, SlotFlag.READONLY
HVA = 0x7F00_0000_0000
PFN = 0x4000_0000  # frame of HVA: aligned to 2 GiB
FOREIGN = 2 << 48 | 7 << 32  # a token that is neither NONE nor PIC
CRST_LEVELS = [REGION1, REGION2, REGION3, SEGMENT]
# Software and hardware bits of entries: of a PTE, and of a CRSTE where they differ.
W, D, Y, SD, PR, P, I = 0x20, 0x08, 0x04, 0x02, 0x01, 0x200, 0x400  # noqa: E741
BIG_W, BIG_D, BIG_Y, BIG_P, BIG_I = 0x4000, 0x1000, 0x800, 0x200, 0x20
FC = 0x400


@dataclass
class FakeHost:
    """Memory from HVA on whose frames follow each other; answers can be put in front."""

    order: int = 0
    writable: bool = True
    page: bool = True
    pfn: int | None = None
    asked: list[tuple[int, bool]] = field(default_factory=list)
    next_pfns: list[int] = field(default_factory=list)

    def lookup(self, hva: int, write: bool = False) -> dict[str, int]:
        self.asked.append((hva, write))
        pfn = PFN + ((hva - HVA) >> 12) if self.pfn is None else self.pfn
        if self.next_pfns:
            pfn = self.next_pfns.pop(0)
        return {"pfn": pfn, "order": self.order, "writable": self.writable, "page": self.page}


def space_with(host=None, *, base=0, size=GIB2, flags=0, **options):
    space = ReferenceGmap(host or FakeHost(), **options)
    space.set_memory_region(0, base, size, HVA, flags)
    return space


def value(space, gfn, level=PAGE):
    """The entry at a level, or at the leaf above it."""
    rc, crste, pte = space.walk(gfn, level, Walk.LEAF | Walk.IGN_HOLES)
    assert rc == 0
    return crste if pte is None else pte


def poke(space, gfn, entry, level=PAGE):
    """Put an entry in place of the one a walk to this level ends at."""
    walked = space._tables.walk(gfn, level, Walk.ALLOC | Walk.IGN_HOLES)
    assert walked.rc == 0
    (walked.pte or walked.crste).value = entry


def refused(code, call, *args, **kwargs):
    with pytest.raises(ConfigError) as caught:
        call(*args, **kwargs)
    assert caught.value.errno == code
