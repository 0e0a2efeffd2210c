"""Looking at the tables, beside copying as many rows, or beside a call that does nothing."""

import numpy as np
import pytest
from _measure import TIB, sparse_workload

from gmap.bench.workloads import workload

LOADS = {
    "dense": lambda: workload("sequential", "4k", 1 << 28),
    "sparse": lambda: sparse_workload(TIB, 1 << 12, ascending=True),
}


@pytest.mark.parametrize("shape", LOADS)
@pytest.mark.parametrize("name", ["leaves", "regions"])
def test_rows(benchmark, note, make_guest, name, shape):
    benchmark.group = f"inspect/{shape}"
    guest = make_guest("synthetic", LOADS[shape](), mapped=True)
    rows = benchmark(getattr(guest.g, name))
    assert rows["size"].sum() == len(guest.workload.gfns) << 12
    note(len(guest.workload.gfns), "page")


@pytest.mark.parametrize("shape", LOADS)
def test_copy(benchmark, note, make_guest, shape):
    """The floor: the rows are there and only have to be written."""
    benchmark.group = f"inspect/{shape}"
    rows = make_guest("synthetic", LOADS[shape](), mapped=True).g.leaves()
    benchmark(np.copy, rows)
    note(len(rows), "page", peer=True)


def test_one_region_of_many(benchmark, note, make_guest):
    """A small range of a large guest costs what is in the range."""
    benchmark.group = "call/inspect"
    guest = make_guest("synthetic", LOADS["sparse"](), mapped=True)
    gpa = int(guest.workload.gfns[0]) << 12
    assert len(benchmark(guest.g.leaves, gpa, gpa + 4096)) == 1
    note(1, "call")


@pytest.mark.parametrize("name", ["stats", "table_bytes"])
def test_one_call(benchmark, note, make_guest, name):
    benchmark.group = "call/inspect"
    guest = make_guest("synthetic", LOADS["dense"](), mapped=True)
    assert benchmark(getattr(guest.g, name))
    note(1, "call")


def test_empty_call(benchmark, note, empty):
    benchmark.group = "call/inspect"
    benchmark(empty)
    note(1, "call", peer=True)
