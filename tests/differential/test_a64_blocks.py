"""Random programs on this processor and on Unicorn: the same state comes out, or a rule says why.

The long form runs 20 million instructions; the short one reaches every row of the table.
"""

import a64_rules
import numpy as np
import pytest
from a64_judge import Bench, Tally
from a64_models import MODELS
from a64_sae import Ours, mistaking
from a64_state import SETUPS, SLOTS, Image
from a64_unicorn import Theirs
from a64_words import Rows

from saecore.a64.encodings import ENCODINGS

#: Rows no program executes: Unicorn halts, emulates firmware or asks a debugger. Their tests are
#: those of system instructions and of hypercalls.
NOT_EXECUTED = {"hvc", "smc", "hlt", "wfe", "wfi"}
#: SIMD&FP has tests of its own (test_a64_simd.py), but for loads, stores and moves; so has
#: pointer authentication (test_a64_options.py), which is off here: no key is enabled.
ELSEWHERE = ("fp", "vector", "vector_fp", "crypto", "pauth")
TABLE = [row for row in ENCODINGS if row.group not in ELSEWHERE]
ROWS = Rows(TABLE)


def bench(cpu="max", setup="open", ours=Ours, rows=ROWS):
    image = Image()
    setup = SETUPS[setup]
    without = (*MODELS[cpu].get("without", ()), "PAUTH")
    mine = ours(setup, image, **MODELS[cpu] | {"without": without})
    return Bench(mine, Theirs(cpu, setup, image), rows, a64_rules.RULES)


def campaign(judge, seed, insns, tally=None):
    """Run batches until so many instructions were executed, or something is unexplained."""
    tally, rng = tally or Tally(), np.random.default_rng(seed)
    wanted = tally.insns + insns
    while tally.insns < wanted and not tally.unexplained:
        judge.batch(rng, tally, 4 * SLOTS)
    return tally


def test_every_row_is_executed_and_agrees():
    judge, rows = bench(), {row.key for row in TABLE}
    tally = campaign(judge, 1, 20_000)
    for more in range(8):  # the rare ones
        if rows - set(tally.rows) > NOT_EXECUTED:
            tally = campaign(judge, [1, more], 5_000, tally)
    assert not tally.unexplained, tally.report()
    assert rows - set(tally.rows) == NOT_EXECUTED
    # Data aborts, SVC, BRK and undefined ones were taken, from EL0 and EL1.
    assert {0x00, 0x15, 0x24, 0x25, 0x3C} <= set(tally.classes), tally.report()


@pytest.mark.parametrize(("cpu", "setup"), [("a57", "open"), ("max", "closed")])
def test_other_processors_and_what_el0_may_not_do(cpu, setup):
    tally = campaign(bench(cpu, setup), 2, 5_000)
    assert not tally.unexplained, tally.report()


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("cpu", "setup", "insns"),
    [("max", "open", 12_000_000), ("max", "closed", 4_000_000), ("a57", "open", 2_000_000),
     ("a72", "closed", 2_000_000)],
)
def test_campaign(cpu, setup, insns):
    """Twenty million instructions in all."""
    judge, tally = bench(cpu, setup), None
    for seed in range(insns // 1_000_000):
        tally = campaign(judge, [1000, seed], 1_000_000, tally)
        assert not tally.unexplained, tally.report()
    print(tally.report())
    assert {row.key for row in TABLE} - set(tally.rows) == NOT_EXECUTED


# --- the judge judges ---------------------------------------------------------------------

#: Instructions mistaken for others: mask, value, and the bits that turn one into the other.
MISTAKES = {
    "ADD for SUB": (0x7F800000, 0x11000000, 0x40000000),
    "ADCS for SBCS": (0x7FE0FC00, 0x3A000000, 0x40000000),
    "CSEL for CSINC": (0x7FE00C00, 0x1A800000, 0x00000400),
    "CCMP: another condition": (0x7FE00C10, 0x7A400000, 0x00001000),
    "CCMP: other flags": (0x7FE00C10, 0x7A400000, 0x00000001),
    "UMULH for SMULH": (0xFFE08000, 0x9BC00000, 0x00800000),
    "LDRSB for LDRB": (0xFFC00000, 0x39800000, 0x00C00000),
    "pre for post-index": (0xFFE00C00, 0xF8400400, 0x00000800),
    "TBZ for TBNZ": (0x7F000000, 0x36000000, 0x01000000),
    "LDADD for LDEOR": (0x3F20FC00, 0x38200000, 0x00002000),
    "ST1 of another lane": (0xBFFFF400, 0x0D008000, 0x40000000),
    "DUP from another lane": (0xFFE1FC00, 0x4E010400, 0x00020000),
    "MRS of another register": (0xFFFFFFE0, 0xD53BD040, 0x00000060),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found(name):
    mask, value, flipped = MISTAKES[name]
    hit = [row for row in TABLE if (row.value ^ value) & row.mask & mask == 0]
    rows = [*hit, *(row for row in TABLE if row.group == "data")][: 2 * len(hit) + 4]
    judge = bench(ours=mistaking(mask, value, flipped), rows=Rows(rows))
    tally = Tally()
    judge.batch(np.random.default_rng(3), tally, 100)
    assert tally.unexplained


def test_a_seed_is_a_campaign():
    one, again = (campaign(bench(), 4, 1) for _ in range(2))
    assert (one.insns, one.rows, one.classes) == (again.insns, again.rows, again.classes)
