"""Two profiles side by side."""

import json

import pytest

import gmap
from gmap.profiling import compare, profile


@pytest.fixture(scope="module")
def pair():
    return profile("fragmented"), profile("huge")


def rows_of(comparison):
    return {
        (section["title"], row["row"], row["figure"]): row
        for section in comparison.to_dict()["sections"]
        for row in section["rows"]
    }


def test_changes_are_the_differences(pair):
    a, b = (p.to_dict() for p in pair)
    rows = rows_of(compare(*pair))
    row = rows["Summary", "", "table memory"]
    assert (row["a"], row["b"]) == (a["totals"]["table_bytes"], b["totals"]["table_bytes"])
    for row in rows.values():
        assert row["changed"] == (row["a"] != row["b"])
        if row["a"] is not None and row["b"] is not None:
            assert row["change"] == row["b"] - row["a"]
            assert row["change_ratio"] is None or row["change_ratio"] * row["a"] == pytest.approx(
                row["change"]
            )
        else:
            assert row["change"] is None


def test_rows_meet_by_their_names(pair):
    """What one of the two lacks has no value there: a level, a guest size, a hole of a size."""
    host = gmap.SyntheticHost()
    region = host.map(1 << 20)
    g = gmap.Gmap(host, ipa_bits=44)
    g.set_memory_region(0, 0, 1 << 20, region.hva)
    g.fault_in([0, 5])
    rows = rows_of(compare(pair[0], profile(g)))
    assert rows["Leaf sizes", "1M", "leaves"]["b"] == 0
    assert rows["TLB reach", "16", "largest leaves"]["a"] == 16 << 20
    level = rows["Tables and entries by level", "RG2", "tables"]
    assert (level["a"], level["b"], level["changed"], level["change"]) == (None, 1, True, None)


def test_turned_around(pair):
    there, back = rows_of(compare(*pair)), rows_of(compare(*pair[::-1]))
    assert set(there) == set(back)
    for key, row in there.items():
        assert (row["a"], row["b"]) == (back[key]["b"], back[key]["a"])


def test_the_same(pair):
    same = compare(pair[0], pair[0])
    assert same.to_dict()["changed"] == 0
    assert "No figure differs." in str(same)


def test_text_shows_what_changed(pair):
    text = str(compare(*pair))
    assert "A fragmented    B huge" in text
    assert "table memory" in text
    assert "memory slots" not in text  # the same in both


def test_json(pair):
    comparison = compare(*pair)
    assert json.loads(comparison.to_json()) == comparison.to_dict()
