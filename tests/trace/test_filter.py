"""What the page filter keeps, against LRU lists written down plainly."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmap.errors import AddressError, AddressTypeError
from gmap.trace import ACCESS, Access, LackeyScanner, PageFilter

Stream = list[tuple[int, int]]

R, W, X = Access
KEYS = {
    "all": lambda page, access: page,
    "data": lambda page, access: None if access == X else page,
    "fetch": lambda page, access: page if access == X else None,
    "items": lambda page, access: (page, access == X),
}


def naive_filter(stream: Stream, window: int) -> Stream:
    """The three rules of `_window.pxd`, with lists."""
    resident: dict[Any, dict[str, Any]] = {}  # in order of last use
    kept: dict[int, tuple[int, int]] = {}
    for now, (page, access) in enumerate(stream):
        item = (page, access == X)
        if window == 0:
            kept[now] = (page, access)
            continue
        state = resident.pop(item, None)
        if state is None:
            if len(resident) == window:
                leaving = resident.pop(next(iter(resident)))
                for other, stays in resident.items():
                    if stays["kept"] < leaving["kept"]:
                        kept[stays["last"]] = (other[0], stays["access"])
                        stays["kept"] = stays["last"]
            state = {"kept": now, "written": access == W}
            kept[now] = (page, access)
        elif access == W and not state["written"]:
            state.update(kept=now, written=True)
            kept[now] = (page, access)
        resident[item] = {**state, "last": now, "access": access}
    return [kept[now] for now in sorted(kept)]


def lru_events(stream: Stream, entries: int, key: Any) -> list[tuple[str, Any]]:
    """Misses, and first writes since the miss, of a fully associative LRU TLB."""
    written: dict[Any, bool] = {}
    events: list[tuple[str, Any]] = []
    for page, access in stream:
        tag = key(page, access)
        if tag is None:
            continue
        if tag not in written:
            events.append(("miss", tag))
            if len(written) == entries:
                del written[next(iter(written))]
        was_written = written.pop(tag, False)
        if access == W and not was_written:
            events.append(("write", tag))
        written[tag] = was_written or access == W
    return events


def filtered(stream: Stream, window: int, cuts: Iterable[int] = ()) -> Stream:
    records = np.array([(page, access, 0) for page, access in stream], ACCESS)
    page_filter = PageFilter(window)
    parts = [page_filter.feed(part) for part in np.split(records, sorted(cuts))]
    parts.append(page_filter.finish())
    assert page_filter.accesses == len(stream)
    return [(page, access) for page, access, _ in np.concatenate(parts).tolist()]


def is_subsequence(short: Stream, long: Stream) -> bool:
    rest = iter(long)
    return all(record in rest for record in short)


# Few pages, some of them hot: what makes windows overflow in every way.
pages = st.one_of(st.integers(0, 2), st.integers(0, 12))
streams = st.lists(st.tuples(pages, st.sampled_from([0, 0, 1, 2])), max_size=200)
windows = st.integers(0, 6)


@settings(deadline=None)
@given(streams, windows, st.lists(st.integers(0, 200), max_size=5))
def test_kept_are_the_accesses_the_rules_keep(stream: Stream, window: int, cuts: list[int]) -> None:
    assert filtered(stream, window, cuts) == naive_filter(stream, window)


@settings(deadline=None)
@given(streams, windows)
def test_every_longer_lru_list_sees_the_same(stream: Stream, window: int) -> None:
    kept = filtered(stream, window)
    assert is_subsequence(kept, stream)
    for entries in range(max(window, 1), 15):
        for key in KEYS.values():
            assert lru_events(kept, entries, key) == lru_events(stream, entries, key)


@settings(deadline=None)
@given(streams, windows)
def test_dropped_are_hits_of_the_window(stream: Stream, window: int) -> None:
    kept = filtered(stream, window)
    assert len(kept) >= sum(
        kind == "miss" for kind, _ in lru_events(stream, max(window, 1), KEYS["items"])
    )
    assert {page for page, _ in kept} == {page for page, _ in stream}
    first = dict(reversed([(page, access) for page, access in stream]))
    assert dict(reversed(kept)) == first
    assert {page for page, access in kept if access == W} == {
        page for page, access in stream if access == W
    }


def test_window_zero_keeps_everything() -> None:
    stream = [(5, 0)] * 3 + [(5, 1)] * 3
    assert filtered(stream, 0) == stream


def test_a_hot_page_stays_hot() -> None:
    """One page between all others: an LRU list must not take it for one used long ago."""
    stream = [(page, 0) for cold in range(1, 50) for page in (0, cold)]
    kept = filtered(stream, 4)
    assert kept.count((0, 0)) > 10
    assert len(kept) < 0.75 * len(stream)
    misses = [event for event in lru_events(kept, 4, KEYS["all"]) if event == ("miss", 0)]
    assert len(misses) == 1


def test_little_is_held_back() -> None:
    page_filter = PageFilter(8)
    rng = np.random.default_rng(1)
    for _ in range(200):
        records = np.zeros(100, ACCESS)
        records["page"] = rng.integers(0, 40, 100)
        records["access"] = rng.integers(0, 3, 100)
        page_filter.feed(records)
    assert len(page_filter.finish()) <= 3 * 8


def test_orders_come_through() -> None:
    records = np.array([(1, 0, 9), (1, 1, 0), (2, 2, 40)], ACCESS)
    assert PageFilter(0).feed(records).tolist() == records.tolist()


@pytest.mark.parametrize(
    ("record", "what"), [((1 << 52, 0, 0), "page"), ((1, 3, 0), "access"), ((1, 0, 41), "order")]
)
def test_values_out_of_range_are_refused(record: tuple[int, int, int], what: str) -> None:
    with pytest.raises(AddressError, match=what):
        PageFilter().feed(np.array([record], ACCESS))


@pytest.mark.parametrize("make", [PageFilter, lambda window: LackeyScanner("x", window)])
def test_window_is_guarded(make: Any) -> None:
    for number in (-1, 65537):
        with pytest.raises(AddressError, match="window"):
            make(number)
    for other in (1.5, True, "64", None):
        with pytest.raises(AddressTypeError, match="window"):
            make(other)
    make(65536)


def test_other_dtypes_are_refused() -> None:
    with pytest.raises(AddressTypeError, match="ACCESS"):
        PageFilter().feed(np.zeros(3, np.uint64))


def test_an_instance_without_its_init_is_sound() -> None:
    assert len(PageFilter.__new__(PageFilter).finish()) == 0


def test_large_windows_and_many_pages() -> None:
    """The hash table under load, against a count of distinct pages."""
    rng = np.random.default_rng(7)
    records = np.zeros(200_000, ACCESS)
    records["page"] = rng.integers(0, 1 << 52, 5000, np.uint64)[rng.integers(0, 5000, 200_000)]
    page_filter = PageFilter(6000)
    kept = np.concatenate([page_filter.feed(records), page_filter.finish()])
    assert len(kept) == len(np.unique(records["page"]))
    assert kept["page"].tolist() == list(dict.fromkeys(records["page"].tolist()))
