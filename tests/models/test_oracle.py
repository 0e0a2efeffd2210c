"""The compiled models against plain Python ones, access by access, on random models and traces."""

from collections import OrderedDict, deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmap.models import Model, Replacement, Simulation, Tlb, Walk, WalkCache
from gmap.trace import ACCESS

# --- one cache, each rule in the words of a textbook ---------------------------------------


class LruSet:
    """The least recently used goes."""

    def __init__(self, ways, _random):
        self.ways, self.held = ways, OrderedDict()

    def find(self, tag):
        if tag not in self.held:
            return False
        self.held.move_to_end(tag)
        return True

    def fill(self, tag):
        victim = self.held.popitem(last=False)[0] if len(self.held) == self.ways else None
        self.held[tag] = True
        return victim

    def remove(self, tag):
        return self.held.pop(tag, None) is not None


class FifoSet:
    """The oldest goes."""

    def __init__(self, ways, _random):
        self.held = deque()
        self.ways = ways

    def find(self, tag):
        return tag in self.held

    def fill(self, tag):
        victim = self.held.popleft() if len(self.held) == self.ways else None
        self.held.append(tag)
        return victim

    def remove(self, tag):
        if tag not in self.held:
            return False
        self.held.remove(tag)
        return True


class SlotSet:
    """Ways with places; the last empty one is filled first."""

    def __init__(self, ways, random):
        self.slots, self.random = [None] * ways, random

    def find(self, tag):
        if tag not in self.slots:
            return False
        self.used(self.slots.index(tag))
        return True

    def fill(self, tag):
        empty = [i for i, held in enumerate(self.slots) if held is None]
        slot = empty[-1] if empty else self.choose()
        victim, self.slots[slot] = self.slots[slot], tag
        self.used(slot)
        return victim

    def remove(self, tag):
        if tag not in self.slots:
            return False
        slot = self.slots.index(tag)
        self.slots[slot] = None
        self.forget(slot)
        return True

    def used(self, slot):
        pass

    def forget(self, slot):
        pass


class RandomSet(SlotSet):
    def choose(self):
        return self.random.below(len(self.slots))


class NruSet(SlotSet):
    """The first not used since all others were."""

    def __init__(self, ways, random):
        super().__init__(ways, random)
        self.recent = set()

    def choose(self):
        return min(set(range(len(self.slots))) - self.recent, default=0)

    def used(self, slot):
        self.recent.add(slot)
        if len(self.recent) == len(self.slots):
            self.recent = {slot}

    def forget(self, slot):
        self.recent.discard(slot)


class PlruSet(SlotSet):
    """A tree of pointers, made of tuples of ways."""

    def __init__(self, ways, random):
        super().__init__(ways, random)
        self.points_right = {}

    def choose(self):
        ways = tuple(range(len(self.slots)))
        while len(ways) > 1:
            half = len(ways) // 2
            ways = ways[half:] if self.points_right.get(ways) else ways[:half]
        return ways[0]

    def used(self, slot):
        ways = tuple(range(len(self.slots)))
        while len(ways) > 1:
            half = len(ways) // 2
            left = slot in ways[:half]
            self.points_right[ways] = left
            ways = ways[:half] if left else ways[half:]


SETS = {
    Replacement.LRU: LruSet,
    Replacement.FIFO: FifoSet,
    Replacement.RANDOM: RandomSet,
    Replacement.PLRU: PlruSet,
    Replacement.NRU: NruSet,
}


class XorShift:
    """xorshift64*, as published; whole numbers below n from the upper half of the product."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        full = 2**64
        x = self.state
        x ^= x // 2**12
        x ^= x * 2**25 % full
        x ^= x // 2**27
        self.state = x
        return (x * 0x2545F4914F6CDD1D % full // 2**32) * n // 2**32


class Cache:
    def __init__(self, config, seed, number):
        random = XorShift((seed + (number + 1) * 0x9E3779B97F4A7C15) % 2**64 or 0x9E3779B97F4A7C15)
        self.sets = [SETS[config.replacement](config.ways, random) for _ in range(config.sets)]
        self.hits = self.misses = self.evictions = self.removals = 0

    def use(self, unit, tag=None):
        """Look up, fill on a miss; returns (hit, victim)."""
        tag = unit if tag is None else tag
        held = self.sets[unit % len(self.sets)]
        if held.find(tag):
            self.hits += 1
            return True, None
        self.misses += 1
        victim = held.fill(tag)
        self.evictions += victim is not None
        return False, victim

    def drop(self, unit, tag):
        self.removals += self.sets[unit % len(self.sets)].remove(tag)

    def counts(self):
        return [self.hits, self.misses, self.evictions, self.removals]


# --- the hierarchy --------------------------------------------------------------------------


class SlowModel:
    def __init__(self, model):
        self.model, self.walk = model, model.walk
        self.caches = []
        self.l1, self.l1i, self.l2 = (self.level(t) for t in (model.l1, model.l1i, model.l2))
        self.pwc = [
            {c.height: self.new(c) for c in caches}
            for caches in (self.walk.stage1_caches, self.walk.stage2_caches)
        ]
        self.nested = self.level((self.walk.nested,) if self.walk.nested else ())
        self.reads = [[0] * len(self.walk.stage1), [0] * len(self.walk.stage2)]

    def new(self, config):
        self.caches.append(Cache(config, self.model.seed, len(self.caches)))
        return self.caches[-1]

    def level(self, tlbs):
        """(bytes of an entry, cache) for each size, the largest first."""
        return sorted(
            ((size, cache) for t in tlbs for cache in [self.new(t)] for size in t.pages),
            key=lambda pair: -pair[0],
        )

    @staticmethod
    def fitting(level, nbytes):
        return next(((size, cache) for size, cache in level if size <= nbytes), None)

    def use(self, level, address, nbytes):
        """None: the level holds no such page. Else (hit, victim)."""
        found = self.fitting(level, nbytes)
        if found is None:
            return None
        size, cache = found
        return cache.use(address // size, (size, address // size))

    def access(self, page, kind, order):
        address, leaf = page * 4096, 4096 << order
        entry = min(leaf, self.walk.guest_page) if self.walk.stage1 else leaf
        first = self.l1i if kind == 2 and self.l1i else self.l1
        used = self.use(first, address, entry)
        if used and used[0]:
            return 0, 0
        used = self.use(self.l2, address, entry)
        if used and used[0]:
            return 1, 0
        if used and used[1] is not None and self.model.inclusive:
            size, unit = used[1]
            for level in (self.l1, self.l1i):
                for held, cache in level:
                    if held == size:
                        cache.drop(unit, used[1])
        return 2, self.references(address, leaf)

    def references(self, address, leaf):
        if not self.walk.stage1:
            return self.stage2(address, leaf)
        reads = 0
        for height in self.heights(0, self.walk.stage1, address, self.walk.guest_page):
            entry = address >> self.walk.stage1[height]
            table = (height + 1 << 64) + entry * 8 // 4096 * 4096
            reads += self.through_nested(table, self.walk.table_page) + 1
            self.reads[0][height] += 1
        return reads + self.through_nested(address, leaf)

    def through_nested(self, address, leaf):
        used = self.use(self.nested, address, leaf)
        return 0 if used and used[0] else self.stage2(address, leaf)

    def stage2(self, address, leaf):
        heights = self.heights(1, self.walk.stage2, address, leaf)
        for height in heights:
            self.reads[1][height] += 1
        return len(heights)

    def heights(self, stage, shifts, address, leaf):
        """The heights whose entries are read, from the top down."""
        last = max(h for h in range(len(shifts)) if h == 0 or (1 << shifts[h] <= leaf and h <= 2))
        heights = []
        for height in range(last, len(shifts)):
            cache = self.pwc[stage].get(height)
            if height > last and cache and cache.use(address >> shifts[height])[0]:
                break
            heights.append(height)
        return heights[::-1]


# --- random models and traces ---------------------------------------------------------------

RULES = st.sampled_from(Replacement)
PAGES = st.sampled_from(["4K", "64K", "1M", "2M", "2G"])


@st.composite
def caches(draw, make, **fields):
    rule = draw(RULES)
    ways = draw(st.sampled_from([1, 2, 4]) if rule == Replacement.PLRU else st.integers(1, 5))
    return make(sets=draw(st.sampled_from([1, 2, 4])), ways=ways, replacement=rule, **fields)


@st.composite
def levels(draw, sizes):
    """TLBs of one level that share the sizes out among them."""
    groups = {}
    for size in sizes:
        groups.setdefault(draw(st.integers(0, 1)), []).append(size)
    return [draw(caches(Tlb, pages=group)) for group in groups.values()]


@st.composite
def walks(draw):
    shifts = [draw(st.sampled_from([(12, 20, 31, 42), (12, 21, 30, 39), (12, 20), (16, 29, 42)]))]
    shifts.append(draw(st.sampled_from([(), (12, 21, 30, 39), (12, 21), (14, 25, 36, 47)])))
    found = []
    for levels_of in shifts:
        heights = [h for h in range(1, len(levels_of)) if draw(st.booleans())]
        found.append([draw(caches(WalkCache, height=height)) for height in heights])
    more = {}
    if shifts[1]:
        more = {"guest_page": draw(PAGES), "table_page": draw(PAGES)}
        if draw(st.booleans()):
            sizes = draw(st.sets(PAGES, min_size=1))
            more["nested"] = draw(caches(Tlb, pages=sizes))
    return Walk(*shifts, stage2_caches=found[0], stage1_caches=found[1], **more)


@st.composite
def models(draw):
    sizes = draw(st.sets(PAGES, min_size=1))
    inclusive = draw(st.booleans())
    other = st.just(sizes) if inclusive else st.sets(PAGES, min_size=1)
    return Model(
        "random",
        l1=draw(levels(draw(other))),
        l1i=draw(levels(draw(other))) if draw(st.booleans()) else (),
        l2=draw(levels(sizes)) if inclusive or draw(st.booleans()) else (),
        walk=draw(walks()),
        inclusive=inclusive,
        seed=draw(st.integers(0, 2**64 - 1)),
    )


@st.composite
def traces(draw):
    """Some pages near each other and some far away, used again and again."""
    near = st.integers(0, 40)
    far = st.integers(0, 2**52 - 1)
    pool = draw(st.lists(st.one_of(near, near, far), min_size=1, max_size=24))
    seed, n = draw(st.integers(0, 2**32)), draw(st.integers(0, 400))
    rng = np.random.default_rng(seed)
    records = np.empty(n, ACCESS)
    records["page"] = rng.choice(np.array(pool, np.uint64), n)
    records["access"] = rng.integers(0, 3, n)
    orders = draw(st.lists(st.sampled_from([0, 4, 8, 9, 18, 19, 40]), min_size=1, max_size=3))
    records["order"] = rng.choice(np.array(orders, np.uint8), n)
    return records


def agree(model, records, cuts):
    slow, fast = SlowModel(model), Simulation(model)
    expected = [slow.access(*record) for record in records.tolist()]
    parts = [fast.feed(part, per_access=True) for part in np.split(records, sorted(cuts))]
    assert np.concatenate(parts).tolist() == expected
    result = fast.result()
    table = result.caches[["hits", "misses", "evictions", "removals"]]
    assert [list(row) for row in table.tolist()] == [cache.counts() for cache in slow.caches]
    assert [result.stage1_reads.tolist(), result.stage2_reads.tolist()] == slow.reads
    kinds, where = records["access"], [w for w, _ in expected]
    counted = np.zeros((64, 3, 3), int)
    np.add.at(counted, (records["order"].astype(int), kinds.astype(int), where), 1)
    assert (result.outcomes == counted).all()


@settings(max_examples=120, deadline=None)
@given(model=models(), records=traces(), data=st.data())
def test_a_model_does_what_the_plain_one_does(model, records, data):
    cuts = data.draw(st.lists(st.integers(0, len(records)), max_size=3))
    agree(model, records, cuts)


@pytest.mark.campaign
@settings(max_examples=5000, deadline=None)
@given(model=models(), records=traces())
def test_many_models_do_what_the_plain_ones_do(model, records):
    agree(model, records, [len(records) // 2])


@pytest.mark.parametrize("rule", Replacement, ids=lambda rule: rule.name)
def test_each_rule_on_a_long_trace(rule):
    """More pages than ways, so that every fill has to choose."""
    rng = np.random.default_rng(int(rule))
    records = np.zeros(4000, ACCESS)
    records["page"] = rng.zipf(1.3, 4000) % 64
    model = Model(
        "long", Tlb(2, 8, replacement=rule), l2=Tlb(2, 16, replacement=rule), inclusive=True, seed=9
    )
    agree(model, records, [1000, 1001])
    simulation = Simulation(model)
    simulation.feed(records)
    assert (simulation.result().caches["evictions"] > 100).all()
