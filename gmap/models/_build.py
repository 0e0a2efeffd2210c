"""From the description of a model to the arrays its kernels run on. Floor 4; needs Numba."""

from typing import NamedTuple

import numpy as np

from gmap._defs import PAGE_SHIFT
from gmap._numba._kernel import Words
from gmap._numba.state import NOBODY, NONE, Fixed, LevelColumn, Plan, Row, Total
from gmap.models._config import MAX_LEVELS, MAX_ORDER, Model, Tlb, WalkCache, page_order

__all__ = ["LARGEST_LEAF", "Machine", "Place", "build"]

#: Height of the largest entry that maps memory: 2 GiB of the gmap, 1 GiB of arm64.
LARGEST_LEAF = 2
ORDERS = 64  # rows of the tables by order: a power of two above MAX_ORDER
_GOLDEN = 0x9E37_79B9_7F4A_7C15  # 2**64 over the golden ratio: spreads seeds
_MASK64 = (1 << 64) - 1


class Place(NamedTuple):
    """Where a cache of the model is: its row, and what it is called.

    >>> Place("l1", "L1D", 64).level
    'l1'
    """

    level: str  # "l1", "l1i", "l2", "stage 1", "stage 2", "nested"
    name: str
    entries: int


class Machine(NamedTuple):
    """A model that runs: the arrays of `gmap._numba.state`, in the order its kernel takes them.

    >>> Machine._fields
    ('rows', 'sets', 'plan', 'levels', 'fixed', 'outcomes', 'totals', 'places')
    """

    rows: Words
    sets: Words
    plan: Words
    levels: Words
    fixed: Words
    outcomes: Words
    totals: Words
    places: tuple[Place, ...]  # one a row


class _Shelf:
    """Gives each cache its row and its sets."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._words = 0
        self.places: list[Place] = []
        self._rows: list[list[int]] = []

    def add(self, level: str, name: str, cache: Tlb | WalkCache) -> int:
        n = len(self._rows)
        random = (self._seed + (n + 1) * _GOLDEN) & _MASK64
        row = {
            Row.FIRST: self._words,
            Row.MASK: cache.sets - 1,
            Row.WAYS: cache.ways,
            Row.POLICY: int(cache.replacement),
            Row.LATEST: int(NOBODY),
            Row.RANDOM: random or _GOLDEN,  # the generator must not begin with 0
        }
        self._rows.append([row.get(column, 0) for column in Row])
        self._words += cache.sets * (cache.ways + 1)
        self.places.append(Place(level, name, cache.sets * cache.ways))
        return n

    def rows(self) -> Words:
        return np.array(self._rows, np.uint64).reshape(-1, len(Row))

    def sets(self) -> Words:
        words = np.full(self._words, NOBODY)
        for row in self._rows:
            first, n_sets, ways = row[Row.FIRST], row[Row.MASK] + 1, row[Row.WAYS]
            words[first : first + n_sets * (ways + 1) : ways + 1] = 0  # no marks
        return words


def _by_order(
    tlbs: tuple[Tlb, ...], index: list[int], largest: int = ORDERS - 1
) -> tuple[Words, Words]:
    """For each order of a page: the TLB that holds it, and the order of the entry it takes.

    A page above the order `largest` takes what one of that order does.
    """
    cache, size = np.full(ORDERS, NONE), np.zeros(ORDERS, np.uint64)
    held = sorted((order, i) for tlb, i in zip(tlbs, index, strict=True) for order in tlb.orders)
    for order, i in held:  # ascending: the largest that is not above the page's wins
        cache[order:] = i
        size[order:] = order
    cache[largest:] = cache[largest]
    size[largest:] = size[largest]
    return cache, size


def leaf_height(shifts: tuple[int, ...], order: int) -> int:
    """Return the height of the entry that maps a page of an order.

    >>> [leaf_height((12, 20, 31, 42), order) for order in (0, 7, 8, 18, 19, 40)]
    [0, 0, 1, 1, 2, 2]
    """
    fitting = [h for h, shift in enumerate(shifts) if shift <= order + PAGE_SHIFT]
    return min(max(fitting, default=0), LARGEST_LEAF)


def build(model: Model) -> Machine:
    """Return a machine of a model, with nothing in its caches.

    >>> from gmap.models import presets
    >>> build(presets()["small"]).places[1]
    Place(level='l2', name='L2', entries=256)
    """
    walk = model.walk
    shelf = _Shelf(model.seed)
    index = {
        level: [shelf.add(level, tlb.name, tlb) for tlb in getattr(model, level)]
        for level in ("l1", "l1i", "l2")
    }
    plan = np.zeros((ORDERS, len(Plan)), np.uint64)
    # An entry of a two-dimensional TLB holds no more than the smaller of both pages.
    guest_order = page_order(walk.guest_page)
    largest = guest_order if walk.stage1 else ORDERS - 1
    sides = {
        Plan.DATA_CACHE: "l1",
        Plan.FETCH_CACHE: "l1i" if model.l1i else "l1",
        Plan.L2_CACHE: "l2",
    }
    for column, level in sides.items():
        tlbs: tuple[Tlb, ...] = getattr(model, level)
        plan[:, column], plan[:, column + 1] = _by_order(tlbs, index[level], largest)

    levels = np.zeros((2, MAX_LEVELS, len(LevelColumn)), np.uint64)
    levels[:, :, LevelColumn.CACHE] = NONE
    for stage, shifts, caches in (
        (1, walk.stage1, walk.stage1_caches),
        (2, walk.stage2, walk.stage2_caches),
    ):
        levels[stage - 1, : len(shifts), LevelColumn.SHIFT] = [s - PAGE_SHIFT for s in shifts]
        for cache in caches:
            row = shelf.add(f"stage {stage}", f"height {cache.height}", cache)
            levels[stage - 1, cache.height, LevelColumn.CACHE] = row

    nested = () if walk.nested is None else (walk.nested,)
    rows = [shelf.add("nested", tlb.name, tlb) for tlb in nested]
    plan[:, Plan.NESTED_CACHE], plan[:, Plan.NESTED_SIZE] = _by_order(nested, rows)
    plan[:, Plan.LEAF] = [leaf_height(walk.stage2, min(o, MAX_ORDER)) for o in range(ORDERS)]

    fixed = np.zeros(len(Fixed), np.uint64)
    fixed[Fixed.INCLUSIVE] = model.inclusive
    fixed[Fixed.LEVELS1] = len(walk.stage1)
    fixed[Fixed.LEVELS2] = len(walk.stage2)
    fixed[Fixed.LEAF1] = leaf_height(walk.stage1, guest_order)
    fixed[Fixed.TABLE_ORDER] = page_order(walk.table_page)
    return Machine(
        shelf.rows(),
        shelf.sets(),
        plan,
        levels,
        fixed,
        np.zeros((ORDERS, 3, 3), np.uint64),
        np.zeros(len(Total), np.uint64),
        tuple(shelf.places),
    )
