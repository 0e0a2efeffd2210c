"""Every encoding of scalar floating point against Unicorn: registers, flags and FPSR."""

import fp_operands
import numpy as np
import pytest
from fp_guest import START, XD, XN, Ours, Theirs, fill

from saecore.a64.encodings import ENCODINGS

ROWS = [row for row in ENCODINGS if row.group == "fp"]
#: Unicorn 2.1.4 does not know it; test_fp_exact.py judges it alone.
UNKNOWN = {"bfcvt"}
#: FPSR has no more bits here; those of AArch32 are RES0.
FPSR = 0x0800_009F


@pytest.fixture(scope="module")
def processors():
    return Ours(), Theirs()


def operand_bits(key):
    return {"s": 32, "h": 16}.get(key.rsplit("_", 1)[-1], 64)


def instruction(rng, row):
    """The row on registers of the right kind, its other fields drawn."""
    fields = {
        letter: int(rng.integers(0, 2 << high - low))
        for letter, (high, low) in row.fields.items()
        if letter not in "mnad"
    }
    if row.key.startswith(("scvtf", "ucvtf", "fmov_from")):
        fields["n"] = XN
    elif row.key == "fjcvtzs" or row.key.startswith(
        ("fcvtn", "fcvtp", "fcvtm", "fcvtz", "fcvta", "fmov_to")
    ):
        fields["d"] = XD
    return fill(row.key, **fields)


def records(rng, count, bits):
    found = np.zeros(count, START)
    found["v"] = rng.integers(0, 1 << 64, found["v"].shape, dtype="u8")
    mask = np.uint64((1 << bits) - 1)
    found["v"][:, :3, 0] = found["v"][:, :3, 0] & ~mask | fp_operands.draw(rng, count, bits)
    found["x"] = fp_operands.integers(rng, count)
    found["fpsr"] = rng.choice(np.array([0, fp_operands.IXC, FPSR], "u4"), count)
    found["nzcv"] = rng.integers(0, 16, count) << 28
    return found


def explained(row, fpcr, starts, theirs):
    """What Unicorn has wrong, put right.

    FJCVTZS: a denormal that is flushed to zero is not exact (FPToFixedJS, J1.3).
    """
    theirs["fpsr"] &= FPSR
    if row.key == "fjcvtzs" and fpcr & fp_operands.FPCR_FZ:
        size = starts["v"][:, 0, 0] & np.uint64((1 << 63) - 1)
        theirs["nzcv"][(size > 0) & (size < 1 << 52)] = 0


def compare(processors, rng, row, fpcr, count):
    ours, theirs = processors
    insn = instruction(rng, row)
    starts = records(rng, count, operand_bits(row.key))
    have, want = ours.run(insn, fpcr, starts), theirs.run(insn, fpcr, starts)
    assert have is not None, f"{row.key} {insn:#x} is undefined here"
    assert want is not None, f"{row.key} {insn:#x} is undefined in Unicorn"
    explained(row, fpcr, starts, want)
    for at in np.nonzero(have != want)[0]:
        pytest.fail(f"{row.key} {insn:#x} fpcr {fpcr:#x} {starts[at]}: {have[at]}, not {want[at]}")


def campaign(processors, seed, rows, n_modes, count):
    rng = np.random.default_rng(seed)
    for row in rows:
        modes = fp_operands.modes(alternative="fcvt_to" in row.key)
        # Most programs leave FPCR alone.
        for fpcr in [0, *rng.choice(modes, n_modes).tolist()]:
            compare(processors, rng, row, fpcr, count)


@pytest.mark.parametrize("part", range(4))
def test_every_row(processors, part):
    rows = [row for row in ROWS if row.key not in UNKNOWN]
    campaign(processors, part, rows[part::4], 3, 256)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(4))
def test_every_row_long(processors, seed):
    rows = [row for row in ROWS if row.key not in UNKNOWN]
    campaign(processors, 100 + seed, rows, 15, 4096)
