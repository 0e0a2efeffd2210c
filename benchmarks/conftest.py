"""What the benchmarks share. A plain test run calls each of them once, as a test.

    pytest benchmarks --benchmark-enable --benchmark-only
    pytest benchmarks --benchmark-enable --benchmark-only --benchmark-json=new.json

Each group holds a peer, or a floor nothing can be faster than, with as many items.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import gmap
from gmap.bench.phases import Guest
from gmap.bench.workloads import Workload

sys.path.insert(0, str(Path(__file__).parent))  # for the modules beside this one


@pytest.fixture
def note(benchmark: Any) -> Callable[..., None]:
    """Write beside a measurement what it was of: call it after the benchmark."""

    def write(items: int, unit: str, *, peer: bool = False, nbytes: int = 0) -> None:
        info = benchmark.extra_info
        info |= {"items": items, "unit": unit, "peer": peer, **gmap.show_config(mode="dicts")}
        if benchmark.stats is not None:
            seconds = benchmark.stats.stats.median
            info[f"ns_per_{unit}"] = seconds / items * 1e9
            info[f"{unit}s_per_s"] = items / seconds
            if nbytes:
                info["MB_per_s"] = nbytes / seconds / 1e6

    return write


@pytest.fixture
def make_guest() -> Iterator[Callable[..., Guest]]:
    """Make a guest of a workload, its pages mapped if `mapped`; closed at the end."""
    with ExitStack() as stack:

        def make(host: str, load: Workload, *, mapped: bool = False, **options: bool) -> Guest:
            guest = Guest(host, load, **options)
            stack.callback(guest.close)
            if mapped:
                guest.fault(load.gfns, load.writes)
            return guest

        yield make


@pytest.fixture(scope="session")
def empty() -> Callable[[], None]:
    """A method of a Cython class that does nothing: the least a call can take."""
    from _peers import NotMeasured, empty_method

    try:
        return empty_method()
    except NotMeasured as missing:
        pytest.skip(str(missing))
