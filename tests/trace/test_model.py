"""PageTrace: what it refuses, and what it counts."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmap.errors import AddressError, AddressTypeError, ConfigError
from gmap.trace import ACCESS, Access, PageTrace

rows = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2), st.integers(0, 40)))


@settings(deadline=None)
@given(rows)
def test_counts_against_sets(records: list[tuple[int, int, int]]) -> None:
    trace = PageTrace.from_records(np.array(records, ACCESS))
    assert trace.records().tolist() == records
    assert trace.n_accesses == len(trace) == len(records)
    touched = [page for page, _, _ in records]
    assert trace.footprint() == len(set(touched))
    assert trace.first_touches().pages.tolist() == list(dict.fromkeys(touched))
    covered = [page for start, n in trace.regions().tolist() for page in range(start, start + n)]
    assert covered == sorted(set(touched))
    starts = {start for start, _ in trace.regions().tolist()}
    assert all(start - 1 not in set(touched) for start in starts)
    facts = trace.summary()
    assert facts["records"] == facts["reads"] + facts["writes"] + facts["fetches"]
    assert facts["pages_written"] == len({p for p, a, _ in records if a == Access.W})


def test_first_touches_keep_their_access_and_order() -> None:
    trace = PageTrace([4, 4, 3], [1, 0, 2], [9, 0, 1], {"program": "x"})
    first = trace.first_touches()
    assert first.records().tolist() == [(4, 1, 9), (3, 2, 1)]
    assert first.meta == trace.meta


@pytest.mark.parametrize("bad", [[-1], [1 << 52], [1 << 64]])
def test_pages_out_of_range(bad: list[int]) -> None:
    with pytest.raises((AddressError, OverflowError), match="page"):
        PageTrace(bad, [0])


@pytest.mark.parametrize("bad", [[1.0], ["1"], np.array([True])])
def test_pages_that_are_no_integers(bad: Any) -> None:
    with pytest.raises(AddressTypeError, match="page"):
        PageTrace(bad, [0])


def test_other_columns_are_guarded() -> None:
    with pytest.raises(AddressError, match="access"):
        PageTrace([1], [3])
    with pytest.raises(AddressError, match="order"):
        PageTrace([1], [0], [41])
    with pytest.raises(ConfigError, match="access has 2"):
        PageTrace([1], [0, 0])
    with pytest.raises(AddressError, match="one-dimensional"):
        PageTrace([[1]], [0])
    with pytest.raises(ConfigError, match="key"):
        PageTrace([1], [0], meta={"a b": "c"})
    with pytest.raises(ConfigError, match="str"):
        PageTrace([1], [0], meta={"a": 1})  # type: ignore[dict-item]


def test_it_cannot_be_changed() -> None:
    pages = np.array([1, 2], np.uint64)
    meta = {"a": "b"}
    trace = PageTrace(pages, [0, 0], meta=meta)
    with pytest.raises(ValueError, match="read-only"):
        trace.pages[0] = 5
    with pytest.raises(TypeError):
        trace.meta["a"] = "c"  # type: ignore[index]
    with pytest.raises(AttributeError):
        trace.pages = pages  # type: ignore[misc]
    meta["a"] = "c"
    assert trace.meta["a"] == "b"
    assert pages.flags.writeable


def test_equality_and_repr() -> None:
    trace = PageTrace([1, 2], [0, 0], meta={"program": "ls"})
    assert trace == PageTrace([1, 2], [0, 0], meta={"program": "ls"})
    assert trace != PageTrace([1, 3], [0, 0], meta={"program": "ls"})
    assert trace != PageTrace([1, 2], [0, 0])
    assert trace != 5
    assert repr(trace) == "<PageTrace ls: 2 records, 2 pages>"
    with pytest.raises(TypeError):
        hash(trace)


def test_an_empty_trace() -> None:
    trace = PageTrace([], [])
    assert trace.footprint() == 0
    assert len(trace.first_touches()) == len(trace.regions()) == 0
    assert trace.summary()["first_page"] is None
    assert PageTrace.from_chunks([]) == trace


def test_page_zero_starts_a_region() -> None:
    assert PageTrace([0, 1], [0, 0]).regions().tolist() == [(0, 2)]
    assert PageTrace([1, 2], [0, 0]).regions().tolist() == [(1, 2)]
