"""Trees of DAT tables: the walk to one entry, the walk over a range, slots, and the limit.

Source: fact sheet dat-gmap.md sections 4, 5, 7 and 8.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from errno import EFBIG, EINVAL, ENOENT
from typing import Final

from gmap._defs import (
    ASCE_DT,
    ASCE_ORIGIN,
    ASCE_P,
    ASCE_S,
    ASCE_TL,
    ASCE_X,
    CRST_BYTES,
    CRST_ENTRIES,
    CRSTE_I,
    CRSTE_ORIGIN,
    PT_BYTES,
    TOKEN_HOLE,
    Level,
    Pic,
    Walk,
)
from gmap.reference.entries import (
    asce_end,
    crste_level,
    entry_gfns,
    entry_index,
    hole_code,
    is_hole,
    is_leaf,
    is_table,
    pointer,
    split_entries,
    token_entry,
    type_bits,
)

#: Where the invented table addresses begin.
_FIRST_ORIGIN: Final = 0x1000_0000


@dataclass
class Place:
    """One entry of one table: where it is, what it covers, and through `value` what it holds."""

    table: list[int]
    index: int
    level: Level
    gfn: int  # the first frame the entry covers

    @property
    def value(self) -> int:
        return self.table[self.index]

    @value.setter
    def value(self, entry: int) -> None:
        self.table[self.index] = entry

    @property
    def end(self) -> int:
        """The first frame beyond the entry."""
        return self.gfn + entry_gfns(self.level)

    @property
    def can_map(self) -> bool:
        """The entry is of the kind that maps a frame: any PTE, or a leaf."""
        return self.level == Level.PAGE or is_leaf(self.value)


@dataclass
class Walked:
    """How a walk ended: its code and the deepest entries it reached (section 4)."""

    rc: int
    crste: Place | None = None
    pte: Place | None = None


class Tables:
    """An ASCE and every table below it, at invented addresses.

    Parameters
    ----------
    level : Level
        Of the highest table.
    token : int
        What its entries say: 0 for EMPTY, `TOKEN_HOLE` for HOLE.
    """

    def __init__(self, level: Level, token: int = TOKEN_HOLE) -> None:
        self._at: dict[int, list[int]] = {}
        self._next_origin = _FIRST_ORIGIN
        origin = self._install([token_entry(token, level)] * CRST_ENTRIES)
        self.asce = origin | ASCE_P | ASCE_S | ASCE_X | ASCE_TL | type_bits(level)

    @property
    def level(self) -> Level:
        """The level of the highest table."""
        return crste_level(self.asce & ASCE_DT)

    @property
    def end(self) -> int:
        """The first frame beyond the address space."""
        return asce_end(self.level)

    @property
    def top(self) -> list[int]:
        """The highest table."""
        return self._at[self.asce & ASCE_ORIGIN]

    def below(self, crste: int) -> list[int]:
        """The table an entry points to."""
        return self._at[crste & CRSTE_ORIGIN]

    @property
    def nbytes(self) -> int:
        """Memory of all the tables (section 1)."""
        return sum(
            PT_BYTES if level == Level.PAGE else CRST_BYTES for level, _, _ in self.every_table()
        )

    def every_table(self) -> Iterator[tuple[Level, int, list[int]]]:
        """Level, first frame and entries of every table, a table before those below it."""
        return self._tables_from(self.top, self.level, 0)

    def _tables_from(
        self, table: list[int], level: Level, gfn: int
    ) -> Iterator[tuple[Level, int, list[int]]]:
        yield level, gfn, table
        if level == Level.PAGE:
            return
        for index, entry in enumerate(table):
            if is_table(entry):
                first = gfn + index * entry_gfns(level)
                yield from self._tables_from(self.below(entry), Level(level - 1), first)

    # --- the memory of tables -------------------------------------------------------------

    def _install(self, entries: list[int]) -> int:
        """Put a table into memory; its address."""
        origin = self._next_origin
        self._next_origin += CRST_BYTES
        self._at[origin] = entries
        return origin

    def _free_below(self, crste: int) -> None:
        """Free every table an entry leads to, if it leads to any."""
        if not is_table(crste):
            return
        if crste_level(crste) != Level.SEGMENT:
            for entry in self.below(crste):
                self._free_below(entry)
        del self._at[crste & CRSTE_ORIGIN]

    def split(self, place: Place) -> None:
        """Replace a leaf or an invalid CRSTE by a table that says the same (section 6)."""
        if is_table(place.value):
            return
        origin = self._install(split_entries(place.value))
        place.value = pointer(origin, place.level)

    # --- the walk to one entry (4) --------------------------------------------------------

    def walk(self, gfn: int, level: int, flags: int = 0) -> Walked:
        """Go to the entry of `level` that covers a frame.

        Parameters
        ----------
        gfn, level : int
            The frame, and the level to stop at.
        flags : Walk
            ALLOC installs tables that are missing on the way, SPLIT breaks up leaves that are
            in the way, LEAF accepts a leaf above `level`, ANY accepts whatever is there,
            IGN_HOLES takes holes for normal entries. CONTINUE goes on down to the page table
            if the entry at `level` already points to a table, but installs no more.

        Returns
        -------
        Walked
            rc is 0, the PIC of a hole (5 beyond the end of the address space), or an errno:
            -EFAULT at a hole without PIC, -EINVAL for a level or a table that does not fit,
            -EFBIG for a leaf in the way, -ENOENT for a table that is missing. The kernel's
            -ENOMEM cannot happen here.
        """
        wanted = Walk(flags)
        alloc = bool(wanted & Walk.ALLOC)
        if level > self.level:
            return Walked(-EINVAL)
        if gfn >= self.end:
            return Walked(Pic.ADDRESSING)
        table = self.top
        place = None
        for current in _downwards(self.level):
            place = _place_of(table, gfn, current)
            entry = place.value
            if crste_level(entry) != current:
                return Walked(-EINVAL, place)
            if is_hole(entry, current) and not wanted & Walk.IGN_HOLES:
                return Walked(hole_code(entry), place)
            if wanted & Walk.CONTINUE and is_table(entry) and _may_continue(current, level):
                level, alloc = Level.PAGE, False
            if level == current or (is_leaf(entry) and wanted & (Walk.LEAF | Walk.ANY)):
                return Walked(0, place)
            if is_leaf(entry):  # valid or old: in the way
                if not wanted & Walk.SPLIT:
                    return Walked(-EFBIG, place)
                self.split(place)
            elif entry & CRSTE_I:  # absent
                if not alloc:
                    return Walked(0 if wanted & Walk.ANY else -ENOENT, place)
                self.split(place)
            table = self.below(place.value)
        pte = _place_of(table, gfn, Level.PAGE)
        if is_hole(pte.value, Level.PAGE) and not wanted & Walk.IGN_HOLES:
            return Walked(hole_code(pte.value), place, pte)
        return Walked(0, place, pte)

    # --- the walk over a range (5) --------------------------------------------------------

    def visit(self, start: int, end: int, flags: int = 0) -> Iterator[Place]:
        """Every entry that covers a frame of [start, end), ascending, a table's before its parts.

        The entry is looked at again after it was handed out, so a table installed there
        meanwhile is visited too, and one removed is not.

        Parameters
        ----------
        start, end : int
            Entries that reach beyond the range are handed out whole.
        flags : Walk
            A hole ends the visit; with IGN_HOLES it is passed over, with ANY besides it is
            handed out like any entry.
        """
        if start < self.end:
            yield from self._visit(self.top, start, min(end, self.end), Walk(flags))

    def _visit(
        self, table: list[int], start: int, end: int, flags: Walk
    ) -> Generator[Place, None, bool]:
        """The part of a visit inside one CRST; the value says whether to go on after it."""
        level = crste_level(table[0])
        for gfn in range(start - start % entry_gfns(level), end, entry_gfns(level)):
            place = _place_of(table, gfn, level)
            go_on = yield from _hand_out(place, flags)
            if not go_on:
                return False
            if not is_table(place.value):
                continue
            below = self.below(place.value)
            first, last = max(start, place.gfn), min(end, place.end)
            if level == Level.SEGMENT:
                for page in range(first, last):
                    go_on = yield from _hand_out(_place_of(below, page, Level.PAGE), flags)
                    if not go_on:
                        return False
            elif not (yield from self._visit(below, first, last, flags)):
                return False
        return True

    # --- painting slots (7) ---------------------------------------------------------------

    def paint(self, start: int, end: int, token: int) -> None:
        """Make every entry of a range say the same token, and free the tables that replaces.

        A CRSTE that reaches beyond the range is split, so that its other part stays.
        """
        for place in self.visit(start, end, Walk.IGN_HOLES | Walk.ANY):
            old, new = place.value, token_entry(token, place.level)
            if place.level == Level.PAGE:
                place.value = new
            elif old == new:
                continue
            elif start <= place.gfn and place.end <= end:
                place.value = new
                self._free_below(old)
            else:
                self.split(place)

    # --- the limit (8) --------------------------------------------------------------------

    def set_level(self, level: Level) -> None:
        """Make the highest table one of `level`, by taking tables off the top or putting them on.

        A 2 GiB leaf at address 0 cannot become a segment table: the lowering ends there.
        """
        while self.level > level and not is_leaf(self.top[0]):
            self._lower()
        while self.level < level:
            self._raise()

    def _lower(self) -> None:
        """Keep what entry 0 of the highest table covers.

        Different from the kernel: the tables below the other entries are freed.
        """
        old_origin, first = self.asce & ASCE_ORIGIN, self.top[0]
        for entry in self.top[1:]:
            self._free_below(entry)
        if is_table(first):
            del self._at[old_origin]
            self._point_asce(first & CRSTE_ORIGIN, self.level - 1)
        else:
            self._at[old_origin][:] = [first - type_bits(1)] * CRST_ENTRIES
            self._point_asce(old_origin, self.level - 1)

    def _raise(self) -> None:
        """A new highest table whose entry 0 leads to the old one; all else is HOLE."""
        level = Level(self.level + 1)
        table = [token_entry(TOKEN_HOLE, level)] * CRST_ENTRIES
        table[0] = pointer(self.asce & ASCE_ORIGIN, level)
        self._point_asce(self._install(table), level)

    def _point_asce(self, origin: int, level: int) -> None:
        self.asce = self.asce & ~(ASCE_ORIGIN | ASCE_DT) | origin | type_bits(level)


def _downwards(level: Level) -> list[Level]:
    """The levels of CRSTs from this one down."""
    return [Level(n) for n in range(level, Level.PAGE, -1)]


def _place_of(table: list[int], gfn: int, level: Level) -> Place:
    """The entry of a table of this level that covers a frame."""
    return Place(table, entry_index(gfn, level), level, gfn - gfn % entry_gfns(level))


def _may_continue(current: Level, asked: int) -> bool:
    """Step 3 of section 4: where CONTINUE turns a walk into one to the page table."""
    return current == Level.SEGMENT or current == asked == Level.REGION3


def _hand_out(place: Place, flags: Walk) -> Generator[Place, None, bool]:
    """Hand out an entry unless it is a hole that the flags do not want; False ends the visit."""
    if is_hole(place.value, place.level):
        if not flags & Walk.IGN_HOLES:
            return False
        if not flags & Walk.ANY:
            return True
    yield place
    return True
