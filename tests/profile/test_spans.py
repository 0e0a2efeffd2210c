"""Counting by spans, compared with counting every entry, one by one, in plain Python."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gmap
from gmap.layout import Kind
from gmap.layout._from_gmap import layout_of
from gmap.layout._geometries import arm64_stage2_geometry, gmap_geometry
from gmap.layout._spans import (
    choose_leaves,
    count_entries,
    count_spans,
    count_tables,
    gaps,
    merge_runs,
    spans_filled,
    table_shift,
)

PAGE = 4096


@st.composite
def runs(draw, unit=PAGE, largest=40):
    """Ascending runs that do not overlap, in bytes; some touch, some start far up."""
    at = draw(st.integers(0, 1 << 30)) * unit
    starts, sizes = [], []
    for _ in range(draw(st.integers(0, 8))):
        at += draw(st.sampled_from([0, 1, 3, 255, 256, 511, 2048])) * unit
        size = draw(st.integers(1, largest)) * unit
        starts.append(at)
        sizes.append(size)
        at += size
    return np.array(starts, np.uint64), np.array(sizes, np.uint64)


def pages_of(start, size, unit=PAGE):
    return [
        page
        for first, n in zip(start.tolist(), size.tolist(), strict=True)
        for page in range(first, first + n, unit)
    ]


@given(runs(), st.integers(12, 30))
def test_spans(run, shift):
    assert count_spans(*run, shift) == len({page >> shift for page in pages_of(*run)})


def test_spans_at_the_end_of_64_bits():
    start, size = np.array([(1 << 64) - 8192], np.uint64), np.array([8192], np.uint64)
    assert count_spans(start, size, 12) == 2
    assert count_spans(start, size, 64) == 1
    assert count_tables(gmap_geometry(3), start, size, np.array([0], np.int8)) == [1] * 5


@given(runs(), st.lists(st.integers(0, 1 << 31), max_size=6), st.sampled_from([1, 2, 3]))
def test_tables_with_edges(run, edge_pages, asce_type):
    """A table exists where a page is, or where an edge lies inside of what it covers."""
    geometry = gmap_geometry(asce_type)
    edges = np.array(sorted(page * PAGE for page in edge_pages), np.uint64)
    found = count_tables(geometry, *run, np.zeros(len(run[0]), np.int8), edges)
    for height in range(geometry.depth - 1):
        shift = table_shift(geometry, height)
        spans = {page >> shift for page in pages_of(*run)}
        spans |= {edge >> shift for edge in edges.tolist() if edge % (1 << shift)}
        assert found[height] == len(spans)
    assert found[-1] == 1


@given(runs(), st.integers(13, 24))
def test_fill(run, shift):
    fill = spans_filled(*run, shift)
    expected = Counter(page >> shift for page in pages_of(*run))
    partial = sorted(n * PAGE for n in expected.values() if n << 12 != 1 << shift)
    assert sorted(fill.partial.tolist()) == partial
    assert fill.full == len(expected) - len(partial)


@given(runs())
def test_merging_and_gaps(run):
    start, size, _ = merge_runs(*run)
    assert pages_of(start, size) == pages_of(*run)
    assert all(start[1:] > start[:-1] + size[:-1])
    pages = pages_of(*run)
    apart = [b - a - PAGE for a, b in itertools.pairwise(pages) if b - a > PAGE]
    assert gaps(start, size).tolist() == apart


def test_merging_overlaps_and_different_frames():
    start = np.array([0, 4, 6, 20], np.uint64)
    size = np.array([8, 2, 4, 1], np.uint64)
    assert [part.tolist() for part in merge_runs(start, size)[:2]] == [[0, 20], [10, 1]]
    delta = np.array([0, 0, 7, 7], np.uint64)
    apart = merge_runs(np.array([0, 4, 8, 12], np.uint64), np.full(4, 4, np.uint64), delta)
    assert [part.tolist() for part in apart] == [[0, 8], [8, 8], [0, 7]]


def brute_leaves(geometry, start, size, delta, largest):
    """Try the largest leaf at each address in turn."""
    found = []
    heights = [h for h, level in enumerate(geometry.levels) if level.leaf and h <= largest]
    for first, n, apart in zip(start.tolist(), size.tolist(), delta.tolist(), strict=True):
        at = first
        while at < first + n:
            for height in reversed(heights):
                unit = 1 << geometry.levels[height].shift
                fits = at % unit == 0 and at + unit <= first + n and apart % unit == 0
                if fits or height == 0:
                    found.append((at, unit, height))
                    at += unit
                    break
    return found


@given(
    runs(largest=1100),
    st.lists(st.sampled_from([0, 4096, 1 << 20, 1 << 21, 1 << 31]), min_size=8, max_size=8),
    st.sampled_from([gmap_geometry(1), arm64_stage2_geometry(48)]),
    st.integers(0, 2),
)
def test_leaves_are_the_largest_that_fit(run, apart, geometry, largest):
    start, size = run
    delta = np.array(apart[: len(start)], np.uint64)
    leaves = choose_leaves(geometry, start, size, delta, largest=largest)
    one_by_one = [
        (at, 1 << geometry.levels[row["height"]].shift, int(row["height"]))
        for row in leaves
        for at in range(
            int(row["start"]),
            int(row["start"] + row["size"]),
            1 << geometry.levels[row["height"]].shift,
        )
    ]
    assert one_by_one == brute_leaves(geometry, start, size, delta, largest)


# --- live address spaces ----------------------------------------------------------------------


def count_one_by_one(g):
    """Tables, and entries by what they are, from the words of every table."""
    tables, states = Counter(), Counter()
    for (level, _), words in g.tables().items():
        height = level + 1
        tables[height] += 1
        for word in words.tolist()[: 256 if level < 0 else 2048]:
            if level < 0:
                state = "leaf" if word & 1 else "hole" if word >> 48 else "none"
            elif level <= 1 and word & 0x400:
                state = "leaf"
            elif not word & 0x20:
                state = "table"
            else:
                state = "hole" if word >> 48 else "none"
            states[height, state] += 1
    return tables, states


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["read", "write", "unmap", "age", "split", "discard"]),
        st.integers(0, 2047),
        st.integers(1, 600),
    ),
    max_size=8,
)


@settings(max_examples=25, deadline=None)
@given(ACTIONS, st.sampled_from(["4k", "1m"]), st.sampled_from([0.0, 0.5]), st.integers(0, 3))
def test_a_live_address_space(actions, folio, fragmentation, shift):
    """After any history the layout gives the tables that are there, entry for entry."""
    host = gmap.SyntheticHost(3, fragmentation)
    region = host.map(8 << 20, folio)
    g = gmap.Gmap(host, ipa_bits=43 if shift % 2 else 32)
    g.set_memory_region(0, (1 << 20) + (shift << 18), 8 << 20, region.hva)
    base = ((1 << 20) + (shift << 18)) >> 12
    for action, at, n in actions:
        n = min(n, 2048 - at)
        if action in ("read", "write"):
            g.fault_in(np.arange(base + at, base + at + n, dtype=np.uint64), action == "write")
        elif action == "split":
            g.split(base + at)
        elif action == "discard":
            host.discard(region.hva + (at << 12), n << 12)
        else:
            getattr(g, action)(base + at, n)
    layout = layout_of(g)
    tables, entries = count_entries(layout)
    expected, states = count_one_by_one(g)
    assert tables == [expected[height] for height in range(layout.geometry.depth)]
    stats = g.stats()
    assert (sum(tables[1:]), tables[0]) == (stats["crst_tables"], stats["page_tables"])
    for height, found in enumerate(entries):
        assert found.leaf == states[height, "leaf"]
        assert found.table == states[height, "table"]
        assert found.none == states[height, "none"]
        # Beyond the guest's size there are holes which the layout does not tell about.
        assert found.hole + found.unknown == states[height, "hole"]
        assert found.unknown == 0 or height == layout.geometry.depth - 1


def test_kinds_are_as_the_model_says():
    assert [kind.name for kind in Kind] == ["NONE", "HOLE", "LEAF"]


@pytest.mark.parametrize("height", [0, 1])
def test_every_entry_of_a_table_is_counted_once(height):
    geometry = gmap_geometry(1)
    assert table_shift(geometry, height) == geometry.levels[height + 1].shift
