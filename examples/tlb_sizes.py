"""How large a second-level TLB does a program need, with pages of 4 KiB and of 1 MiB?

    python examples/tlb_sizes.py [TRACE]
"""

import sys

from gmap.models import Tlb, presets, replay
from gmap.trace import load


def main(name="paths"):
    trace = load(name)
    server = presets()["server"]
    print(f"walks per 1000 accesses of {name}")
    print("entries     4K pages   1M pages")
    for sets in (32, 64, 128, 256, 512):
        l2 = Tlb(sets, 8, ("4K", "1M"), name="L2")
        model = server.changed(name=f"L2 of {l2.entries}", l2=l2)
        row = []
        for size in ("4K", "1M"):
            counters = replay(trace, model, page_size=size).counters
            row.append(1000 * counters["walks"] / counters["accesses"])
        print(f"{l2.entries:7} {row[0]:12.1f} {row[1]:10.1f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
