"""Every encoding this processor knows, and every operation they decode to: the one table. Floor 7.

It is data: the decoder is generated from it, the list of what is covered is printed from it, and
the tests draw instructions from it. Order decides where patterns overlap: the first one that
matches is meant.
"""

from saecore.a64.encodings import (
    branches,
    crypto,
    data,
    fp,
    memory,
    pauth,
    simd,
    system,
    vector,
    vector_fp,
)
from saecore.a64.encodings._row import Encoding as Encoding

_PARTS = (data, branches, memory, pauth, system, simd, fp, vector, vector_fp, crypto)
#: What an encoding's `group` may be; each has an emitter (saecore/a64/_emit_*.pyx).
GROUPS = (
    "data", "branch", "memory", "pauth", "system", "simd", "fp", "vector", "vector_fp", "crypto",
)  # fmt: skip
ENCODINGS: tuple[Encoding, ...] = tuple(row for part in _PARTS for row in part.ENCODINGS)
OPS: tuple[str, ...] = (
    "go",
    "call",
    *(name for part in _PARTS for name in part.OPS),
    *(f"{name}_a" for name in data.FORWARDED),
)
