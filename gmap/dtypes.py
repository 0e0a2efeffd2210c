"""Structured dtypes of the arrays this package returns. Floor 0.

All fields are host-endian. Tables themselves are host-endian 64-bit words in memory, too;
only an export for an s390 is big-endian.
"""

import numpy as np

__all__ = ["HISTOGRAM", "LEAF", "LOOKUP", "PFAULT_EVENT"]

#: One leaf of the DAT tables, or a run of equal neighbours (`Gmap.leaves`, `Gmap.regions`).
#: `gpa` and `pa` are byte addresses, `size` is bytes, `level` a `gmap.Level`, `entry` the exact
#: 64-bit value. `writable`, `dirty` and `young` are the gmap's software bits; `protected` is the
#: hardware's DAT-protection bit.
LEAF = np.dtype(
    [
        ("gpa", np.uint64),
        ("pa", np.uint64),
        ("size", np.uint64),
        ("entry", np.uint64),
        ("level", np.int8),
        ("writable", np.bool_),
        ("dirty", np.bool_),
        ("young", np.bool_),
        ("protected", np.bool_),
    ],
    align=True,
)

#: A host's answer to a lookup (`Host.lookup`): the frame or the error frame number, the order of
#: the folio that backs it, whether the mapping may be writable, whether a struct page exists.
LOOKUP = np.dtype(
    [
        ("pfn", np.uint64),
        ("order", np.uint8),
        ("writable", np.bool_),
        ("page", np.bool_),
    ],
    align=True,
)

#: The trace event kvm_s390_major_guest_pfault (faultin.md 6), one row an event.
PFAULT_EVENT = np.dtype(
    [("id", np.int32), ("pstate", np.uint64), ("pc", np.uint64), ("gfn", np.uint64)],
    align=True,
)

#: One bucket of a log2 latency histogram: values in [low_ns, high_ns).
HISTOGRAM = np.dtype([("low_ns", np.uint64), ("high_ns", np.uint64), ("count", np.uint64)])
