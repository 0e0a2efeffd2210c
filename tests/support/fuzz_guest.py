"""What guests that do anything at all are made of: random code, tables and system registers."""

import numpy as np
from a64_words import Rows

from saecore._sysregs import SYSREGS, Home, saved_names
from saecore.a64.encodings import ENCODINGS

ROWS = Rows(ENCODINGS)
NAMES = saved_names()
#: Registers a guest can set; a host sets the others.
SETTABLE = [
    row for row in SYSREGS
    if row.home is Home.SAVED and row.name in NAMES and row.op1 != 4
    and not row.name.startswith("ID_")
]  # fmt: skip


def fill(rng, memory, base):
    """Make guest memory at `base` half code and half what may be translation tables."""
    nbytes = memory.size
    words = memory.view("u4")[: nbytes // 8]
    which = ROWS.choose(rng, words.size)
    words[:] = ROWS.words(rng, which)
    random = rng.random(words.size) < 0.05
    words[random] = rng.integers(0, 1 << 32, int(random.sum()), dtype="u4")
    # Descriptors: addresses of this memory, mostly valid, with any attributes.
    half = memory[nbytes // 2 :].view("u8")
    pages = rng.integers(base >> 12, (base + nbytes) >> 12, half.size, dtype="u8") << 12
    half[:] = pages | rng.integers(0, 1 << 12, half.size, dtype="u8") | 1 << 10
    half |= rng.choice(np.array([3, 3, 3, 1, 0], "u8"), half.size)
    half |= rng.integers(0, 1 << 12, half.size, dtype="u8") << 52


def values(rng, count, base, nbytes):
    """Random words, more often than not addresses in this memory."""
    value = rng.integers(0, 1 << 64, count, dtype="u8")
    near = base + rng.integers(0, nbytes, count, dtype="u8")
    return np.where(rng.random(count) < 0.6, near & ~np.uint64(3), value)


def registers(rng, base, nbytes):
    """Values for some of the system registers, of which some make sense together."""
    found = {}
    for row in SETTABLE:
        if rng.random() < 0.5:
            found[row.name] = int(values(rng, 1, base, nbytes)[0]) & row.mask
    table = base + nbytes // 2 + (int(rng.integers(0, nbytes // 2)) & ~0xFFF)
    sane = {"TTBR0_EL1": table, "TTBR1_EL1": table, "VBAR_EL1": base,
            "TCR_EL1": 16 | 16 << 16 | 2 << 30 | 5 << 32, "MDSCR_EL1": 0}  # fmt: skip
    found |= {name: value for name, value in sane.items() if rng.random() < 0.8}
    if rng.random() < 0.5:
        found["SCTLR_EL1"] = found.get("SCTLR_EL1", 0x00C5_0078) & ~1
    found["CPACR_EL1"] = int(rng.choice([0, 1, 3])) << 20
    return found
