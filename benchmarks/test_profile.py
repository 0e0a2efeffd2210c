"""Profiling a large layout, beside counting its leaves one by one.

`sparse_profile` is the row of the speed table: the bundled spec `sparse-16t`, 16 TiB of which 1 %
is touched in 4 KiB pages, built, faulted in and profiled in a process of its own.
"""

import json
import subprocess
import sys
from typing import NamedTuple

import numpy as np

from gmap.layout.spec import build, parse_spec
from gmap.profiling import profile

_CHILD = """
import json, resource, sys, time
from gmap.profiling import profile
start = time.perf_counter()
result = profile(sys.argv[1])
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
totals = result.to_dict()["totals"]
print(json.dumps([seconds, peak, totals["leaves"], totals["table_bytes"]]))
"""
_SMALL = """
[guest]
ipa_bits = 40
[[memslot]]
guest_phys_addr = "0x8000_0000"
size = "64GiB"
[touched]
pattern = "clustered"
fraction = 0.01
cluster = "4MiB"
"""


class SparseProfile(NamedTuple):
    """What profiling `sparse-16t` took, everything included but starting Python."""

    seconds: float
    peak_rss_bytes: int
    leaves: int
    table_bytes: int


def sparse_profile(spec: str = "sparse-16t") -> SparseProfile:
    """Profile a spec in a process of its own; its time and its largest resident size."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, spec], capture_output=True, text=True, check=True
    )
    return SparseProfile(*json.loads(done.stdout))


def test_profile(benchmark, note):
    """One hundredth of 64 GiB; the rows are counted, not the pages."""
    benchmark.group = "profile"
    g = build(parse_spec(_SMALL))
    totals = benchmark(profile, g).to_dict()["totals"]
    note(totals["leaves"], "leaf")


def test_list_leaves(benchmark, note):
    """The floor: list every leaf and add up their sizes."""
    benchmark.group = "profile"
    g = build(parse_spec(_SMALL))
    mapped = benchmark(lambda: np.sum(g.leaves()["size"]))
    note(int(mapped) >> 12, "leaf", peer=True)


if __name__ == "__main__":
    result = sparse_profile()
    print(f"16 TiB, 1 % in 4K leaves: {result.seconds:.1f} s (target: under 30 s), "
          f"{result.peak_rss_bytes / 2**30:.2f} GiB (target: under 4 GiB)")
