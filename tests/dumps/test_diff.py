"""What is different between two layouts, against a comparison address by address."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gmap
from gmap.dumps import CHANGE, Change
from gmap.layout import RANGE, Geometry, Kind, Layout, TableLevel
from gmap.layout._geometries import gmap_geometry

from .conftest import guest

FLAGS = ("readable", "writable", "executable", "young", "dirty")
UNKNOWN = 255


def layout(*rows, geometry=None):
    """A layout of (start, size, height, kind, flags...) rows, in pages."""
    ranges = np.zeros(len(rows), dtype=RANGE)
    for n, (start, size, height, kind, *flags) in enumerate(rows):
        ranges[n] = (start << 12, size << 12, height, kind, *flags)
    return Layout("test", geometry or gmap_geometry(1), ranges)


@st.composite
def layouts(draw):
    at, rows = 0, []
    for _ in range(draw(st.integers(0, 5))):
        at += draw(st.integers(0, 2))
        size = draw(st.integers(1, 3))
        kind = draw(st.sampled_from(list(Kind)))
        flags = draw(st.lists(st.booleans(), min_size=5, max_size=5))
        rows.append((at, size, draw(st.integers(0, 2)), kind,
                     *(flags if kind == Kind.LEAF else [False] * 5)))  # fmt: skip
        at += size
    return layout(*rows)


def side(source, address):
    """What a layout says of one address."""
    for row in source.ranges:
        if row["start"] <= address < row["start"] + row["size"]:
            return (int(row["kind"]), source.geometry.levels[row["height"]].shift,
                    *(bool(row[name]) for name in FLAGS))  # fmt: skip
    return (UNKNOWN, 0, *[False] * 5)


def change(before, after, ignore):
    found = Change(0)
    was, now = before[0] == Kind.LEAF, after[0] == Kind.LEAF
    if was != now:
        return Change.ADDED if now else Change.REMOVED
    resized = before[1] != after[1]
    if was:
        found |= Change.SIZE if resized else Change(0)
        for n, name in enumerate(FLAGS):
            if before[2 + n] != after[2 + n] and name not in ignore:
                found |= Change.PERMISSION if n < 3 else Change.STATE
    elif UNKNOWN not in (before[0], after[0]):
        if before[0] != after[0] and "hole" not in ignore:
            found |= Change.STATE
        if resized and "table" not in ignore:
            found |= Change.TABLE
    return found


@given(layouts(), layouts(), st.sets(st.sampled_from([*FLAGS, "hole", "table"])))
@settings(max_examples=80, deadline=None)
def test_address_by_address(a, b, ignore):
    changes = gmap.diff(a, b, ignore=ignore)
    assert changes.dtype == CHANGE
    covered = 0
    for page in range(30):
        address = page << 12
        rows = [r for r in changes if r["start"] <= address < r["start"] + r["size"]]
        expected = change(side(a, address), side(b, address), ignore)
        assert len(rows) == (expected != 0)
        if rows:
            covered += 1
            assert Change(int(rows[0]["change"])) == expected
            for name, source in (("before", a), ("after", b)):
                shown = rows[0][name].tolist()
                exact = side(source, address)
                assert shown[:2] == exact[:2]
                assert all(flag == (was and name not in ignore) for flag, was, name in
                           zip(shown[2:], exact[2:], FLAGS, strict=True))  # fmt: skip
    assert covered << 12 == changes["size"].sum()
    ends = changes["start"] + changes["size"]
    assert (changes["start"][1:] >= ends[:-1]).all()
    assert len(gmap.diff(a, a)) == len(gmap.diff(b, b)) == 0


def test_up_to_the_last_byte():
    high = 1 << 52
    a = layout((high - 2, 2, 0, Kind.LEAF, True, True, True, True, False))
    b = layout((high - 1, 1, 0, Kind.NONE, *[False] * 5))
    changes = gmap.diff(a, b)
    assert changes["start"].tolist() == [(high - 2) << 12, (high - 1) << 12]
    assert changes["size"].tolist() == [4096, 4096]
    assert changes["change"].tolist() == [Change.REMOVED, Change.REMOVED]
    assert gmap.diff(layout(), layout()).size == 0


def test_geometries_compare_by_bytes():
    row = (0, 256, 1, Kind.LEAF, True, True, True, True, False)
    other = Geometry("other", (TableLevel("A", 12, 8, 4096, leaf=True),
                               TableLevel("B", 21, 9, 4096, leaf=True)))  # fmt: skip
    changes = gmap.diff(layout(row), layout(row, geometry=other))
    assert changes["change"].tolist() == [Change.SIZE]
    assert (changes["before"]["shift"].tolist(), changes["after"]["shift"].tolist()) == ([20], [21])


def test_a_guest_that_lives(tmp_path):
    space = guest()
    space.save(tmp_path / "before.npz")
    before = gmap.load(tmp_path / "before.npz")
    assert gmap.diff(before, space).size == 0
    space.unmap(10 << 18, 6)
    space.split((6 << 18) + 300)  # aged before: it stays so
    space.fault_in((10 << 18) + 700, write=True)
    space.set_memory_region(0, 0, 0, 0)
    names = {}
    for row in gmap.diff(before, space):
        names.setdefault(Change(int(row["change"])).name, []).append(int(row["start"]))
    assert [at for at in names["REMOVED"] if at >= 10 << 30] == [
        (10 << 30) + 4096 * n for n in (0, 1, 3, 4)]  # fmt: skip
    assert names["SIZE"] == [(6 << 30) + (1 << 20)]
    assert (10 << 30) + 700 * 4096 in [
        at for name, found in names.items() if name != "REMOVED" for at in found]  # fmt: skip


@pytest.mark.parametrize("ignore", ["dirty", ["wet"], {"dirty", "cold"}])
def test_bad_ignores(ignore):
    with pytest.raises(gmap.ConfigError, match="use some of"):
        gmap.diff(layout(), layout(), ignore=ignore)


def test_not_a_layout():
    with pytest.raises(gmap.ConfigError, match="b 'path'"):
        gmap.diff(layout(), "path")
    with pytest.raises(gmap.ConfigError, match="a 3"):
        gmap.diff(3, layout())
