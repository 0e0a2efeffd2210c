"""Replays through the models, beside the least a loop over as many accesses can take."""

import numpy as np
import pytest

from gmap.models import Simulation, presets
from gmap.trace import PageTrace, load

N = 1 << 18
RNG = np.random.default_rng(0)


def again(trace):
    """A bundled trace over and over. It is filtered: few of its accesses hit in a small TLB."""
    index = np.arange(N) % len(trace)
    return PageTrace(trace.pages[index], trace.access[index], trace.order[index])


def reads(pages):
    return PageTrace(pages.astype(np.uint64), np.zeros(N, np.uint8))


SEQUENTIAL = np.arange(N) // 64  # a page is 64 lines of 64 bytes
RANDOM = RNG.integers(0, 1 << 18, N)  # 1 GiB

TRACES = {
    "triad": lambda: again(load("triad")),
    "paths": lambda: again(load("paths")),
    "sequential": lambda: reads(SEQUENTIAL),
    "mix": lambda: reads(np.where(RNG.random(N) < 0.1, RANDOM, (1 << 20) + SEQUENTIAL)),
    "random": lambda: reads(RANDOM),
}


@pytest.mark.parametrize("model", [name for name in presets() if name != "bare"])
@pytest.mark.parametrize("trace", TRACES)
def test_replay(benchmark, note, trace, model):
    benchmark.group = f"models/{trace}"
    given = TRACES[trace]()
    simulation = Simulation(model)
    simulation.feed(given)  # compiles the kernels, and fills the caches
    compile_seconds = simulation.result().compile_seconds
    benchmark(simulation.feed, given)
    c = simulation.result().counters
    assert c["accesses"] >= 2 * N
    assert c["accesses"] == c["l1_hits"] + c["l2_hits"] + c["walks"]
    note(N, "access")
    benchmark.extra_info |= {
        "compile_seconds": compile_seconds,
        **{name: c[name] / c["accesses"] for name in ("l1_hits", "l2_hits", "walks", "references")},
    }


@pytest.mark.parametrize("trace", TRACES)
def test_take(benchmark, note, trace):
    """The floor: look each page up in an array, one word a page of 1 GiB."""
    benchmark.group = f"models/{trace}"
    index = (TRACES[trace]().pages % np.uint64(1 << 18)).astype(np.intp)
    words, taken = np.arange(1 << 18, dtype=np.uint64), np.empty(N, np.uint64)
    benchmark(lambda: np.take(words, index, out=taken, mode="clip"))
    assert (taken == index).all()
    note(N, "access", peer=True)
