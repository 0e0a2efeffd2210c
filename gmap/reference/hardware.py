"""What the machine makes of the tables when a guest uses an address.

The hardware knows nothing of tokens, young or soft-dirty. It looks at the invalid and the
protection bits, the table types and the origins, and interrupts with a code that names the
level it got stuck at.

Source: fact sheets dat-gmap.md sections 1 and 2, ipa.md section 4, faultin.md section 7.2.
"""

from typing import Final

from gmap._defs import CRSTE_P, PAGE_SHIFT, PAGE_SIZE, PTE_I, PTE_P, PTE_Z, Level, Pic
from gmap.reference.entries import (
    crste_level,
    entry_gfns,
    entry_index,
    frame_mask,
    invalid_bit,
    is_leaf,
)
from gmap.reference.tables import Tables

_PIC_OF_LEVEL: Final = {
    Level.REGION1: Pic.REGION_FIRST_TRANS,
    Level.REGION2: Pic.REGION_SECOND_TRANS,
    Level.REGION3: Pic.REGION_THIRD_TRANS,
    Level.SEGMENT: Pic.SEGMENT_TRANSLATION,
    Level.PAGE: Pic.PAGE_TRANSLATION,
}


def translate(tables: Tables, gpa: int, write: bool) -> tuple[int, int]:
    """Translate a guest address as the hardware does.

    Table lengths are not compared: every table here has its full length.

    Returns
    -------
    pa, pic : int
        The host address and 0, or 0 and a program interruption code.
    """
    gfn = gpa >> PAGE_SHIFT
    if gfn >= tables.end:
        return 0, Pic.ASCE_TYPE
    table = tables.top
    protected = 0  # one protection bit on the way is enough
    for level in (Level(n) for n in range(tables.level, Level.PAGE, -1)):
        entry = table[entry_index(gfn, level)]
        if entry & invalid_bit(level):
            return 0, _PIC_OF_LEVEL[level]
        if crste_level(entry) != level:
            return 0, Pic.TRANSLATION_SPEC
        protected |= entry & CRSTE_P
        if is_leaf(entry):
            return _access(entry, level, gpa, write, bool(protected))
        table = tables.below(entry)
    pte = table[entry_index(gfn, Level.PAGE)]
    if pte & PTE_I:
        return 0, Pic.PAGE_TRANSLATION
    if pte & PTE_Z:
        return 0, Pic.TRANSLATION_SPEC
    return _access(pte, Level.PAGE, gpa, write, bool(protected | pte & PTE_P))


def _access(entry: int, level: Level, gpa: int, write: bool, protected: bool) -> tuple[int, int]:
    """Use a valid leaf: the frame from the entry, the rest of the address from the guest."""
    if write and protected:
        return 0, Pic.PROTECTION
    return entry & frame_mask(level) | gpa % (entry_gfns(level) * PAGE_SIZE), 0
