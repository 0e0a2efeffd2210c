"""Walk the tables of an address space from your own compiled code.

`dat_translate` is the walk behind `Gmap.translate`, callable from any function that Numba compiles.
Here it measures how much of a guest is mapped and how scattered that is on the host, without an
array of addresses.

    python examples/njit_walk.py
"""

import numba
import numpy as np

import gmap
from gmap._numba import dat_translate, reading

PAGE = 4096


@numba.njit(nogil=True)
def survey(asce, first, n_pages):
    """Count the pages mapped from `first` on, and their runs of adjacent host frames."""
    mapped = 0
    runs = 0
    expected = np.uint64(0)
    for gfn in range(first, first + n_pages):
        pa, pic = dat_translate(asce, gfn * PAGE, False)
        if pic == 0:
            mapped += 1
            runs += pa != expected
            expected = pa + np.uint64(PAGE)
        else:
            expected = np.uint64(0)
    return mapped, runs


def main():
    host = gmap.SyntheticHost(seed=1, fragmentation=0.2)
    ram = host.map(64 << 20, folio="4k")
    g = gmap.Gmap(host)
    g.set_memory_region(0, 0x4000_0000, ram.nbytes, ram.hva)
    g.fault_in(np.arange(0x40000, 0x42000, dtype=np.uint64))
    survey(0, 0, 0)  # compiles; walks nothing

    # No table may be freed while the loop runs: it stays inside the section.
    with reading(g) as asce:
        mapped, runs = survey(asce, 0x40000, ram.nbytes // PAGE)

    print(f"{mapped} of {ram.nbytes // PAGE} pages mapped, in {runs} runs on the host")
    assert mapped == len(g.leaves()) == 0x2000


if __name__ == "__main__":
    main()
