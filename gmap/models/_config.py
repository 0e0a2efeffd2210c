"""What a model is made of: frozen descriptions, checked when they are made. Floor 4.

Nothing here runs; `gmap.models._build` turns a `Model` into the arrays of the kernels.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, Final, TypeVar

from gmap._defs import PAGE_SHIFT, PAGE_SIZE, REGION2_SHIFT, REGION3_SHIFT, SEGMENT_SHIFT
from gmap.errors import ConfigError

__all__ = ["PAGE_SIZES", "Model", "Replacement", "Tlb", "Walk", "WalkCache", "page_bytes"]

#: Names of page sizes. Any power of two from 4096 on will do, too.
PAGE_SIZES: Final = {
    "4K": 1 << 12,
    "16K": 1 << 14,
    "64K": 1 << 16,
    "1M": 1 << 20,
    "2M": 1 << 21,
    "32M": 1 << 25,
    "512M": 1 << 29,
    "1G": 1 << 30,
    "2G": 1 << 31,
}
#: Entry shifts of the gmap's tables with a region-second table at the top: four levels.
GMAP_SHIFTS: Final = (PAGE_SHIFT, SEGMENT_SHIFT, REGION3_SHIFT, REGION2_SHIFT)

MAX_ENTRIES: Final = 1 << 24  # of one cache: far above any machine, far below this one's memory
MAX_MARKED_WAYS: Final = 32  # PLRU and NRU keep their bits of a set in one word
MAX_LEVELS: Final = 6
MAX_SHIFT: Final = 57
MAX_ORDER: Final = 40


class Replacement(IntEnum):
    """Which entry of a full set makes room. The numbers are those of `gmap._numba.caches`.

    >>> Replacement["PLRU"]
    <Replacement.PLRU: 3>
    """

    LRU = 0  # the one used longest ago
    FIFO = 1  # the one that came first
    RANDOM = 2  # any, by the cache's own random numbers
    PLRU = 3  # a binary tree of bits, each away from the half used last
    NRU = 4  # the first that was not used since all others were


# --- guards ---------------------------------------------------------------------------------


def integer(value: object, what: str, low: int, high: int) -> int:
    """Return an integer within bounds, refusing everything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{what} must be an integer, got {value!r}")
    if not low <= value <= high:
        raise ConfigError(f"{what} {value} is out of range: use {low} to {high}")
    return value


def power_of_two(value: object, what: str, low: int, high: int) -> int:
    """Return a power of two within bounds."""
    number = integer(value, what, low, high)
    if number & (number - 1):
        raise ConfigError(f"{what} {number} is no power of two")
    return number


def page_bytes(value: object, what: str = "page size") -> int:
    """Return a page size in bytes, given as a name (`PAGE_SIZES`) or as bytes.

    >>> page_bytes("1M"), page_bytes(65536)
    (1048576, 65536)
    """
    if isinstance(value, str):
        if value.upper() not in PAGE_SIZES:
            raise ConfigError(f"{what} {value!r}: use {', '.join(PAGE_SIZES)}, or bytes")
        return PAGE_SIZES[value.upper()]
    return power_of_two(value, what, PAGE_SIZE, PAGE_SIZE << MAX_ORDER)


def page_order(nbytes: int) -> int:
    """Return the order of a page: it has 2**order pages of 4 KiB."""
    return nbytes.bit_length() - 1 - PAGE_SHIFT


def _replacement(value: object, what: str) -> Replacement:
    if isinstance(value, Replacement):
        return value
    names = [rule.name.lower() for rule in Replacement]
    if not isinstance(value, str) or value.lower() not in names:
        raise ConfigError(f"{what}: replacement {value!r}: use {', '.join(names)}")
    return Replacement[value.upper()]


def _check_cache(cache: Any, what: str) -> None:
    """Check what all caches have: sets, ways and a rule of replacement."""
    set_ = object.__setattr__  # the dataclasses are frozen for everybody else
    set_(cache, "sets", power_of_two(cache.sets, f"{what}: sets", 1, MAX_ENTRIES))
    set_(cache, "ways", integer(cache.ways, f"{what}: ways", 1, MAX_ENTRIES))
    set_(cache, "replacement", _replacement(cache.replacement, what))
    if cache.sets * cache.ways > MAX_ENTRIES:
        raise ConfigError(
            f"{what}: {cache.sets} sets of {cache.ways} ways: use at most {MAX_ENTRIES} entries"
        )
    if cache.replacement in (Replacement.PLRU, Replacement.NRU) and cache.ways > MAX_MARKED_WAYS:
        raise ConfigError(
            f"{what}: {cache.replacement.name.lower()} takes at most {MAX_MARKED_WAYS} ways, "
            f"got {cache.ways}"
        )
    if cache.replacement == Replacement.PLRU:
        power_of_two(cache.ways, f"{what}: plru ways", 1, MAX_MARKED_WAYS)


_T = TypeVar("_T")


def _tuple_of(values: object, kind: type[_T], what: str) -> tuple[_T, ...]:
    if isinstance(values, kind):
        return (values,)
    if not isinstance(values, Iterable) or isinstance(values, str | bytes):
        raise ConfigError(f"{what} must be a sequence of {kind.__name__}, got {values!r}")
    found = tuple(values)
    for value in found:
        if not isinstance(value, kind):
            raise ConfigError(f"{what} must hold {kind.__name__} only, got {value!r}")
    return found


def _shifts(values: object, what: str, least: int) -> tuple[int, ...]:
    if not isinstance(values, Sequence) or isinstance(values, str | bytes):
        raise ConfigError(f"{what} must be a sequence of shifts, got {values!r}")
    if not least <= len(values) <= MAX_LEVELS:
        raise ConfigError(f"{what} has {len(values)} levels: use {least} to {MAX_LEVELS}")
    found = tuple(integer(value, what, PAGE_SHIFT, MAX_SHIFT) for value in values)
    if list(found) != sorted(set(found)):
        raise ConfigError(f"{what} {list(found)}: the shifts must rise from the pages to the root")
    return found


# --- the parts ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tlb:
    """One TLB.

    Parameters
    ----------
    sets : int
        Number of sets, a power of two; 1 makes it fully associative.
    ways : int
        Entries of a set.
    pages : sequence of str or int
        The page sizes it holds, such as ``("4K", "1M")``. A page between two of them takes
        entries of the smaller one; a page below all of them is not held.
    replacement : Replacement or str
    name : str
        What to call it in a result.

    Raises
    ------
    ConfigError
        Naming what was refused.

    >>> Tlb(sets=16, ways=4, pages=["4K", "64K"]).orders
    (0, 4)
    """

    sets: int
    ways: int
    pages: tuple[int, ...] = (PAGE_SIZE,)
    replacement: Replacement = Replacement.LRU
    name: str = "TLB"

    def __init__(
        self,
        sets: int,
        ways: int,
        pages: Iterable[str | int] = (PAGE_SIZE,),
        replacement: Replacement | str = Replacement.LRU,
        name: str = "TLB",
    ) -> None:
        set_ = object.__setattr__
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise ConfigError(f"the name of a TLB must be a printable text, got {name!r}")
        if isinstance(pages, str) or not isinstance(pages, Iterable):
            raise ConfigError(f"{name}: pages must be a list of page sizes, got {pages!r}")
        sizes = sorted(page_bytes(size, f"{name}: page size") for size in pages)
        if not sizes or len(set(sizes)) != len(sizes):
            raise ConfigError(f"{name}: pages must name one or more different sizes")
        set_(self, "sets", sets)
        set_(self, "ways", ways)
        set_(self, "pages", tuple(sizes))
        set_(self, "replacement", replacement)
        set_(self, "name", name)
        _check_cache(self, name)

    @property
    def orders(self) -> tuple[int, ...]:
        """The page sizes as orders, ascending."""
        return tuple(page_order(size) for size in self.pages)

    @property
    def entries(self) -> int:
        """How many translations it can hold."""
        return self.sets * self.ways


@dataclass(frozen=True)
class WalkCache:
    """A cache of table entries of one height, which spares a walk the levels above.

    Parameters
    ----------
    height : int
        1 for the entries that name the lowest tables, 2 for those above, and so on.
    sets, ways : int
        As for `Tlb`.
    replacement : Replacement or str

    Raises
    ------
    ConfigError
        Naming what was refused.

    >>> WalkCache(height=1, sets=1, ways=32, replacement="plru").replacement.name
    'PLRU'
    """

    height: int
    sets: int
    ways: int
    replacement: Replacement = Replacement.LRU

    def __init__(
        self, height: int, sets: int, ways: int, replacement: Replacement | str = Replacement.LRU
    ) -> None:
        set_ = object.__setattr__
        set_(self, "height", integer(height, "walk cache: height", 1, MAX_LEVELS - 1))
        set_(self, "sets", sets)
        set_(self, "ways", ways)
        set_(self, "replacement", replacement)
        _check_cache(self, f"walk cache of height {height}")


@dataclass(frozen=True)
class Walk:
    """How a TLB miss is served.

    Parameters
    ----------
    stage2 : sequence of int
        For each level of the gmap, from the bottom, log2 of the bytes that an entry covers.
    stage1 : sequence of int
        The same of the guest's own tables; empty: the trace is of guest-physical pages.
    stage2_caches, stage1_caches : sequence of WalkCache
        At most one a height.
    nested : Tlb, optional
        Translations of guest-physical pages that two-dimensional walks use.
    guest_page : str or int
        The size of the guest's own pages (two dimensions only).
    table_page : str or int
        The size of the host's pages behind the guest's tables (two dimensions only).

    Raises
    ------
    ConfigError
        Naming what was refused.

    >>> Walk().references, Walk(stage1=(12, 21, 30, 39)).references
    (4, 24)
    """

    stage2: tuple[int, ...] = GMAP_SHIFTS
    stage1: tuple[int, ...] = ()
    stage2_caches: tuple[WalkCache, ...] = ()
    stage1_caches: tuple[WalkCache, ...] = ()
    nested: Tlb | None = None
    guest_page: int = PAGE_SIZE
    table_page: int = PAGE_SIZE

    def __init__(
        self,
        stage2: Sequence[int] = GMAP_SHIFTS,
        stage1: Sequence[int] = (),
        stage2_caches: Iterable[WalkCache] = (),
        stage1_caches: Iterable[WalkCache] = (),
        nested: Tlb | None = None,
        guest_page: str | int = PAGE_SIZE,
        table_page: str | int = PAGE_SIZE,
    ) -> None:
        set_ = object.__setattr__
        set_(self, "stage2", _shifts(stage2, "stage2", 1))
        set_(self, "stage1", _shifts(stage1, "stage1", 0))
        for stage, caches in (("stage2", stage2_caches), ("stage1", stage1_caches)):
            found = _tuple_of(caches, WalkCache, f"{stage}_caches")
            levels = len(getattr(self, stage))
            if found and not levels:
                raise ConfigError(f"{stage}_caches need {stage}: the guest's own levels")
            heights = [cache.height for cache in found]
            for height in heights:
                if height >= levels or heights.count(height) > 1:
                    raise ConfigError(
                        f"{stage}_caches: height {height}: {stage} has {levels} levels, give each "
                        f"height from 1 to {levels - 1} one cache or none"
                    )
            set_(self, f"{stage}_caches", tuple(sorted(found, key=lambda cache: cache.height)))
        if nested is not None and not isinstance(nested, Tlb):
            raise ConfigError(f"nested must be a Tlb, got {nested!r}")
        if nested is not None and not self.stage1:
            raise ConfigError("a nested TLB needs stage1: walks of one dimension do not use it")
        set_(self, "nested", nested)
        set_(self, "guest_page", page_bytes(guest_page, "guest_page"))
        set_(self, "table_page", page_bytes(table_page, "table_page"))
        if not self.stage1 and (self.guest_page, self.table_page) != (PAGE_SIZE, PAGE_SIZE):
            raise ConfigError("guest_page and table_page need stage1: the guest's own levels")

    @property
    def references(self) -> int:
        """Entries a walk to a 4 KiB page reads with nothing cached: (n+1)(m+1)-1."""
        return (len(self.stage1) + 1) * (len(self.stage2) + 1) - 1


def _level(tlbs: object, what: str) -> tuple[Tlb, ...]:
    """Return the TLBs of one level; no size may have two of them."""
    found = _tuple_of(tlbs, Tlb, what)
    sizes = [size for tlb in found for size in tlb.pages]
    for size in sizes:
        if sizes.count(size) > 1:
            raise ConfigError(f"{what}: pages of {size} bytes are held by two TLBs: keep one")
    return found


@dataclass(frozen=True)
class Model:
    """A hierarchy of TLBs and what stands behind it.

    Parameters
    ----------
    name : str
    l1 : sequence of Tlb
        First level; one or more, each with sizes of its own.
    l1i : sequence of Tlb
        First level of instruction fetches; empty: `l1` serves them.
    l2 : sequence of Tlb
        Second level, for everything; may be empty.
    walk : Walk
    inclusive : bool
        What leaves the second level leaves the first, too. Both must hold the same sizes.
    seed : int
        Of the random replacement.

    Raises
    ------
    ConfigError
        Naming what was refused.

    Examples
    --------
    >>> model = Model("tiny", l1=[Tlb(sets=1, ways=4)], l2=[Tlb(sets=4, ways=2)])
    >>> model.l1[0].entries, model.walk.references
    (4, 4)
    """

    name: str
    l1: tuple[Tlb, ...]
    l1i: tuple[Tlb, ...] = ()
    l2: tuple[Tlb, ...] = ()
    walk: Walk = field(default_factory=Walk)
    inclusive: bool = False
    seed: int = 0

    def __init__(
        self,
        name: str,
        l1: Tlb | Iterable[Tlb],
        l1i: Tlb | Iterable[Tlb] = (),
        l2: Tlb | Iterable[Tlb] = (),
        walk: Walk | None = None,
        inclusive: bool = False,
        seed: int = 0,
    ) -> None:
        set_ = object.__setattr__
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise ConfigError(f"the name of a model must be a printable text, got {name!r}")
        set_(self, "name", name)
        for what, tlbs in (("l1", l1), ("l1i", l1i), ("l2", l2)):
            set_(self, what, _level(tlbs, what))
        if not self.l1:
            raise ConfigError("l1 has no TLB: give it one or more")
        if walk is not None and not isinstance(walk, Walk):
            raise ConfigError(f"walk must be a Walk, got {walk!r}")
        set_(self, "walk", Walk() if walk is None else walk)
        if not isinstance(inclusive, bool):
            raise ConfigError(f"inclusive must be True or False, got {inclusive!r}")
        set_(self, "inclusive", inclusive)
        set_(self, "seed", integer(seed, "seed", 0, (1 << 64) - 1))
        if inclusive:
            self._check_inclusive()

    def _check_inclusive(self) -> None:
        levels = {"l1": self.l1, "l2": self.l2} | ({"l1i": self.l1i} if self.l1i else {})
        sizes = {what: {size for t in tlbs for size in t.pages} for what, tlbs in levels.items()}
        for what, held in sizes.items():
            if held != sizes["l2"]:
                raise ConfigError(
                    f"an inclusive model holds the same page sizes at each level: {what} holds "
                    f"{sorted(held)}, l2 {sorted(sizes['l2'])} bytes"
                )

    def changed(self, **fields: Any) -> "Model":
        """Return a copy with other fields, checked again.

        >>> Model("a", l1=Tlb(1, 4)).changed(name="b", seed=7).seed
        7
        """
        return replace(self, **fields)
