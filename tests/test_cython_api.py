"""The installed package serves Cython modules from outside: .pxd files and headers."""

from pathlib import Path

import numpy as np

import gmap


def test_an_outside_module_translates(outside):
    host = gmap.SyntheticHost()
    region = host.map(1 << 20)
    space = gmap.Gmap(host)
    space.set_memory_region(0, 1 << 30, region.nbytes, region.hva)
    space.fault_in(np.arange(1 << 18, (1 << 18) + 128, dtype=np.uint64))
    gpa = np.arange(1 << 30, (1 << 30) + (1 << 20), 0x123, dtype=np.uint64)
    pa = np.empty_like(gpa)
    failed = outside.translate_all(space, gpa, pa)
    expected, pic = space.translate(gpa)
    assert failed == np.count_nonzero(pic) > 0
    assert (pa == expected).all()


def test_an_outside_module_sees_the_constants(outside):
    assert outside.pfra_mask() == 0xFFFF_FFFF_FFFF_F000


def test_get_include_holds_the_headers():
    headers = {path.name for path in Path(gmap.get_include()).glob("*.h")}
    assert {"gmap_defs.h", "gmap_atomic.h", "gmap_sync.h"} <= headers
