"""The same trace over two layouts of one guest: how much do the host's 1 MiB folios save?

    python examples/layouts_and_misses.py
"""

import numpy as np

import gmap
from gmap.models import replay
from gmap.trace import load


def main():
    trace = load("triad")
    first, last = int(trace.pages.min()), int(trace.pages.max())
    for folio in ("4k", "1m"):
        host = gmap.SyntheticHost(seed=1)
        g = gmap.Gmap(host, ipa_bits=40)
        size = (last - first + 0x200) * 4096 // (1 << 20) * (1 << 20)
        ram = host.map(size, folio=folio)
        base = first * 4096 // (1 << 20) * (1 << 20)
        g.set_memory_region(0, base, size, ram.hva)
        g.fault_in(np.unique(trace.pages), write=True)
        result = replay(trace, "server", space=g)
        c = result.counters
        print(f"{folio} folios: {c['walks']:7,} walks, {c['references']:7,} table entries read")


if __name__ == "__main__":
    main()
