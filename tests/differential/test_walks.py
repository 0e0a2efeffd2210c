"""Entry walks with every flag, over frames in every state, against the reference.

The random histories do all there is and so come to each walk seldom; here there is little
else. Each history begins with large frames that have been read, written, aged and logged.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gmap
from gmap.reference import ReferenceGmap

MIB = 1 << 20
GIB = 1 << 30
FLAGS = [sum(bits) for bits in ((a, b) for a in range(16) for b in (0, 0x10, 0x20, 0x30))]
#: Frames of two 2 GiB folios, four 1 MiB folios, pages, and of nothing.
FRAMES = [0, 300, (1 << 19) + 5, 1 << 20, (1 << 20) + 256, (1 << 20) + 700, (1 << 20) + 1023,
          (1 << 21), (1 << 21) + 3, 3 << 19, 1 << 22, 1 << 30]

frames = st.sampled_from(FRAMES)
uses = st.lists(st.tuples(st.sampled_from("rrwwasu"), frames), max_size=12)
walks = st.lists(
    st.tuples(frames, st.sampled_from(list(gmap.Level)), st.sampled_from(FLAGS)),
    min_size=1, max_size=12,
)


def both_spaces(allow_2g):
    host = gmap.SyntheticHost(hamaxpow=63)
    spaces = [kind(host, 43, allow_2g=allow_2g) for kind in (gmap.Gmap, ReferenceGmap)]
    for slot, (base, size, folio, log) in enumerate([
        (0, 4 * GIB, "2g", 0), (4 * GIB, 4 * MIB, "1m", 1), (8 * GIB, MIB + 4096, "4k", 0),
    ]):
        region = host.map(size, folio=folio)
        for space in spaces:
            space.set_memory_region(slot, base, size, region.hva, log)
    return host, spaces


def same(fast, slow):
    tables = slow.tables()
    for key, table in fast.tables().items():
        assert table.tolist() == tables[key], key
    assert fast.tables().keys() == tables.keys()


@pytest.mark.parametrize("allow_2g", [False, True])
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(uses=uses, walks=walks)
def test_walks(allow_2g, uses, walks):
    _host, (fast, slow) = both_spaces(allow_2g)
    for what, gfn in uses:
        if what in "rw":
            assert fast.fault_in(gfn, what == "w", "status") == slow.fault_in(gfn, what == "w")
        elif what == "s":
            bits = np.unpackbits(fast.get_dirty_log(1).view(np.uint8), bitorder="little")
            assert np.flatnonzero(bits).tolist() == slow.get_dirty_log(1, clear=True)
        else:
            for space in (fast, slow):
                (space.age if what == "a" else space.unmap)(gfn, 1)
    same(fast, slow)
    for gfn, level, flags in walks:
        found = fast.walk(gfn, level, flags)
        rc, crste, pte = slow.walk(gfn, level, flags)
        assert (found.rc, found.pte) == (rc, pte)
        assert (found.crste is None) == (crste is None)
        same(fast, slow)
