"""Replays: the laws of the counters, exact references, page sizes, inputs, time."""

import json
import re

import numpy as np
import pytest

import gmap
from gmap.models import (
    OUTCOME,
    TIMELINE,
    Model,
    Simulation,
    Tlb,
    Walk,
    WalkCache,
    presets,
    replay,
)
from gmap.trace import ACCESS, PageTrace, load, write

SHIFTS = (12, 20, 31, 42, 53)


def pages(numbers, order=0, kind=0):
    n = len(numbers)
    return PageTrace(np.array(numbers, np.uint64), np.full(n, kind), np.full(n, order))


def check_laws(result):
    """What holds for every replay, whatever the model."""
    c, caches = result.counters, result.caches
    assert c["accesses"] == c["reads"] + c["writes"] + c["fetches"]
    assert c["accesses"] == c["l1_hits"] + c["l1_misses"]
    assert c["l1_misses"] == c["l2_hits"] + c["l2_misses"]
    assert c["walks"] == c["l2_misses"]
    assert c["references"] == c["stage1_references"] + c["stage2_references"]
    assert c["stage1_references"] == result.stage1_reads.sum()
    assert c["stage2_references"] == result.stage2_reads.sum()
    level = caches["level"]
    # Every cache counts for itself: these are not the same counters.
    first = np.isin(level, ("l1", "l1i"))
    assert caches["hits"][first].sum() == c["l1_hits"]
    assert caches["misses"][first].sum() <= c["l1_misses"]
    assert caches["hits"][level == "l2"].sum() == c["l2_hits"]
    assert (caches["occupied"] <= caches["entries"]).all()
    if result.model.walk.nested:
        # One translation for each stage-1 entry, and one for the page.
        looked_up = c["nested_hits"] + c["nested_misses"]
        assert looked_up == c["stage1_references"] + c["walks"]
    # A walk that begins below the top was saved by exactly one cache.
    begun = c["walks"] if not result.model.walk.stage1 else None
    if begun is not None:
        at_top = result.stage2_reads[-1]
        assert begun == at_top + c["walk_cache_hits"]
    timeline = result.timeline(7)
    for name in ("accesses", "l1_hits", "l2_hits", "walks", "references"):
        assert timeline[name].sum() == c[name]


@pytest.mark.parametrize("name", presets())
@pytest.mark.parametrize("trace", ["triad", "paths"])
def test_the_laws_hold(trace, name):
    result = replay(load(trace), name)
    assert result.counters["accesses"] == len(load(trace))
    check_laws(result)


@pytest.mark.parametrize("n", range(6))
@pytest.mark.parametrize("m", range(1, 6))
def test_references_with_nothing_cached(n, m):
    """(n+1)(m+1)-1, where n is 0 for walks of one dimension."""
    walk = Walk(stage2=SHIFTS[:m], stage1=SHIFTS[:n])
    model = Model("bare", Tlb(1, 1), walk=walk)
    result = replay(pages([1, 1 << 40, 2]), model, per_access=True)
    assert result.per_access["refs"].tolist() == [(n + 1) * (m + 1) - 1] * 3
    assert walk.references == (n + 1) * (m + 1) - 1
    assert result.stage1_reads.tolist() == [3] * n
    assert result.stage2_reads.tolist() == [3 * (n + 1)] * m


@pytest.mark.parametrize(("order", "references"), [(0, 4), (4, 4), (8, 3), (9, 3), (19, 2)])
def test_large_pages_make_short_walks(order, references):
    result = replay(pages([1 << 30], order), Model("x", Tlb(1, 1)))
    assert result.counters["references"] == references


def test_guest_pages_make_short_walks():
    """A 2 MiB page of the guest: three stage-1 entries; the host's pages are still 4 KiB."""
    walk = Walk(stage1=(12, 21, 30, 39), guest_page="2M")
    assert replay(pages([5]), Model("x", Tlb(1, 1), walk=walk)).counters["references"] == 19
    walk = Walk(stage1=(12, 21, 30, 39), guest_page="2M", table_page="1M")
    assert replay(pages([5]), Model("x", Tlb(1, 1), walk=walk)).counters["references"] == 16


def test_walk_caches_spare_the_upper_levels():
    caches = [WalkCache(1, 1, 1), WalkCache(2, 1, 1), WalkCache(3, 1, 1)]
    model = Model("x", Tlb(1, 1), walk=Walk(stage2_caches=caches))
    # The same segment, the same 2 GiB, the same 4 TiB, nothing in common.
    numbers = [0, 1, 1 << 8, 1 << 19, 1 << 30]
    result = replay(pages(numbers), model, per_access=True)
    assert result.per_access["refs"].tolist() == [4, 1, 2, 3, 4]


def test_a_size_that_no_tlb_holds_always_misses():
    model = Model("x", Tlb(1, 4, ["1M"]), l2=Tlb(1, 4, ["1M"]))
    result = replay(pages([1, 1, 1]), model)
    assert result.counters["walks"] == 3
    assert result.caches["misses"].sum() == 0
    assert replay(pages([1, 1, 1], order=8), model).counters["walks"] == 1


def test_a_large_page_takes_entries_of_a_size_that_is_held():
    model = Model("x", Tlb(1, 8, ["4K", "64K"]))
    result = replay(pages([0, 15, 16, 0], order=8), model, per_access=True)
    assert result.per_access["where"].tolist() == [2, 0, 2, 0]


def test_fetches_have_a_side_of_their_own():
    model = Model("x", Tlb(1, 1), l1i=Tlb(1, 1), l2=Tlb(1, 4))
    trace = PageTrace([1, 2, 1, 2], [0, 2, 1, 2])
    result = replay(trace, model, per_access=True)
    assert result.per_access["where"].tolist() == [2, 2, 0, 0]
    assert result.by_kind()["X"] == {"L1": 1, "L2": 0, "WALK": 1}
    assert replay(trace, Model("y", Tlb(1, 1))).counters["walks"] == 4


# --- page sizes -----------------------------------------------------------------------------


def test_sizes_from_an_address_space(make_space):
    space, _ = make_space(gmap.SyntheticHost(), 4 << 20, base=1 << 30, folio="1m")
    space.fault_in(np.arange(0x40000, 0x40200, dtype=np.uint64))
    trace = pages([0x40000, 0x400FF, 0x40100, 0x40300, 0x3FFFF])
    result = replay(trace, "server", space=space)
    assert result.by_page_size() == {
        4096: {"L1": 0, "L2": 0, "WALK": 2},
        1 << 20: {"L1": 1, "L2": 0, "WALK": 2},
    }
    assert result.counters["unmapped"] == 2
    again = replay(trace, "server", space=space.leaves())
    assert (again.outcomes == result.outcomes).all()


def test_sizes_are_those_of_the_leaves(make_space):
    """Each access against the leaf that `leaves` says it has."""
    space, _ = make_space(gmap.SyntheticHost(seed=3), 32 << 20, folio="1m")
    rng = np.random.default_rng(5)
    space.fault_in(rng.integers(0, 8192, 40).astype(np.uint64))
    space.split(np.arange(2048, dtype=np.uint64))
    trace = pages(rng.integers(0, 9000, 2000))
    seen = []
    simulation = Simulation("small", space=space)
    simulation.feed(trace, lambda records, outcome: seen.append(records["order"].copy()))
    expected = np.zeros(2000, int)
    for leaf in space.leaves():
        end = leaf["gpa"] + leaf["size"]
        inside = (trace.pages << 12 >= leaf["gpa"]) & (trace.pages << 12 < end)
        expected[inside] = {-1: 0, 0: 8, 1: 19}[int(leaf["level"])]
    assert {0, 8} <= set(expected.tolist())
    assert np.concatenate(seen).tolist() == expected.tolist()


def test_an_empty_space_maps_nothing(make_space):
    space, _ = make_space(gmap.SyntheticHost())
    assert replay(pages([1, 2]), "server", space=space).counters["unmapped"] == 2


def test_one_size_for_all():
    trace = load("triad")
    one = replay(trace, "server", page_size="1M")
    assert list(one.by_page_size()) == [1 << 20]
    with_orders = PageTrace(trace.pages, trace.access, np.full(len(trace), 8))
    assert (replay(with_orders, "server").outcomes == one.outcomes).all()


# --- what a trace may be --------------------------------------------------------------------


def test_a_trace_in_any_form_gives_the_same(tmp_path):
    trace = load("triad")
    path = tmp_path / "triad.parquet"
    write(path, trace)
    records = trace.records()
    expected = replay(trace, "guest")
    forms = (records, np.array_split(records, 9), iter([trace]), path, str(path), "triad")
    for form in forms:
        result = replay(form, "guest")
        assert result.counters == expected.counters
        assert (result.ticks == expected.ticks).all()
        assert (result.timeline(50) == expected.timeline(50)).all()


def test_a_strided_chunk_is_replayed():
    records = np.repeat(load("triad").records(), 2)[::2]
    assert not records.flags.c_contiguous
    assert replay(records, "small").counters == replay("triad", "small").counters


def test_nothing_is_replayed_of_a_bad_chunk():
    simulation = Simulation("small")
    bad = np.zeros(3, ACCESS)
    bad["access"][2] = 3
    with pytest.raises(gmap.AddressError, match="access 0x3 is out of range"):
        simulation.feed(bad)
    assert simulation.accesses == 0
    assert simulation.result().counters["walks"] == 0


@pytest.mark.parametrize(
    ("trace", "error"),
    [
        (5, gmap.ConfigError),
        ([1, 2], gmap.ConfigError),
        (np.zeros(3, np.uint64), gmap.AddressTypeError),
        ([np.zeros(3, np.uint64)], gmap.AddressTypeError),
        ("no-such-trace", FileNotFoundError),
    ],
)
def test_what_is_no_trace_is_refused(trace, error):
    with pytest.raises(error):
        replay(trace, "small")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"space": 5}, "space must be a Gmap"),
        ({"space": np.zeros(3)}, "dtypes.LEAF"),
        ({"page_size": "3K"}, "page size '3K'"),
        ({"page_size": 5000}, "5000 is no power of two"),
        ({"page_size": 2048}, "2048 is out of range"),
        ({"page_size": True}, "must be an integer"),
        ({"page_size": "4K", "space": np.zeros(0, gmap.dtypes.LEAF)}, "leave one out"),
        ({"per_access": "yes"}, "per_access must be"),
        ({"model": "huge"}, "no model 'huge'"),
        ({"model": 7}, "a model is a Model"),
    ],
)
def test_options_are_checked(options, text):
    with pytest.raises(gmap.ConfigError, match=re.escape(text)):
        replay(pages([1]), **{"model": "small", **options})


def test_leaves_that_overlap_are_refused():
    leaves = np.zeros(2, gmap.dtypes.LEAF)
    leaves["size"] = 1 << 20
    with pytest.raises(gmap.ConfigError, match="overlap"):
        replay(pages([1]), "small", space=leaves)


# --- rows and time --------------------------------------------------------------------------


def test_a_row_for_each_access():
    trace = load("paths")
    result = replay(trace, "guest", per_access=True)
    rows, c = result.per_access, result.counters
    assert rows.dtype == OUTCOME
    assert np.bincount(rows["where"], minlength=3).tolist() == [
        c["l1_hits"],
        c["l2_hits"],
        c["walks"],
    ]
    assert rows["refs"].sum(dtype=int) == c["references"]
    assert replay(trace, "guest").per_access is None
    parts = []
    replay(trace, "guest", per_access=lambda records, some: parts.append((records, some)))
    assert (np.concatenate([some for _, some in parts]) == rows).all()
    assert (np.concatenate([records for records, _ in parts]) == trace.records()).all()


@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 4095, 4096, 4097])
@pytest.mark.parametrize("bins", [1, 2, 10, 10_000])
def test_a_timeline_covers_every_access(n, bins):
    result = replay(pages(np.arange(n) // 3), "small")
    timeline = result.timeline(bins)
    assert timeline.dtype == TIMELINE
    assert len(timeline) <= bins
    assert timeline["start"].tolist() == [0, *np.cumsum(timeline["accesses"])[:-1]][: len(timeline)]
    assert timeline["accesses"].sum() == n
    assert len(set(timeline["accesses"][:-1].tolist())) <= 1
    misses = [p for p in range(n) if p % 3 == 0]
    assert timeline["walks"].sum() == len(misses)
    for row in timeline:
        inside = [p for p in misses if row["start"] <= p < row["start"] + row["accesses"]]
        assert row["walks"] == len(inside)


def test_a_long_timeline_stays_small():
    simulation = Simulation("small")
    trace = pages(np.arange(1 << 16) // 64)
    for _ in range(20):
        simulation.feed(trace)
    result = simulation.result()
    assert len(result.ticks) <= 4096
    assert result.interval > 64
    assert (np.diff(result.ticks[:, 0]) == result.interval).all()
    check_laws(result)


@pytest.mark.parametrize("bins", [0, -1, 1.5, True, None])
def test_bins_are_checked(bins):
    with pytest.raises(gmap.AddressError, match="bins must be"):
        replay([], "small").timeline(bins)


def test_events_and_rates_for_a_viewer(tmp_path):
    result = replay("triad", "server")
    events, timeline = result.events(100), result.timeline(100)
    assert events["duration"].sum() == result.counters["accesses"]
    assert (events["duration"] > 0).all()
    rates = result.rates(100)
    walks = rates[rates["name"] == 4]
    assert walks["value"].tolist() == (1000 * timeline["walks"] / timeline["accesses"]).tolist()
    result.write_perfetto(tmp_path / "t.json", 100)
    document = json.loads((tmp_path / "t.json").read_text())
    kinds = [event["ph"] for event in document["traceEvents"]]
    assert (kinds.count("X"), kinds.count("C")) == (len(events), len(rates))


def test_a_result_stays_as_it_is():
    simulation = Simulation("small")
    simulation.feed(pages([1, 2]))
    before = simulation.result()
    simulation.feed(pages([3, 4, 5]))
    assert before.counters["accesses"] == 2
    assert before.caches["misses"].sum() == 4
    assert simulation.result().counters["accesses"] == 5


def test_a_result_is_plain_json():
    document = json.loads(json.dumps(replay("triad", "guest").to_dict()))
    assert document["counters"]["accesses"] == sum(document["timeline"]["accesses"])
    assert document["caches"][0]["name"] == "L1D"


def test_the_seed_decides_random_replacement():
    def walks(seed):
        model = Model("x", Tlb(4, 4, replacement="random"), seed=seed)
        return replay("paths", model).counters["walks"]

    assert walks(1) == walks(1)
    assert len({walks(seed) for seed in range(4)}) > 1
