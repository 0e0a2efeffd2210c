"""SIMD&FP instructions on this processor and on Unicorn: results, FPSR and NZCV are the same.

Programs are of the rows of one group, started with registers and FPCR that are built to hurt,
and read and clear FPSR on their way. The long form runs 50 million instructions.
"""

import a64_rules
import a64_rules_fp
import numpy as np
import pytest
from a64_judge import Bench, Tally
from a64_models import MODELS
from a64_sae import Ours, mistaking
from a64_state import SETUPS, SLOTS, Image
from a64_unicorn import Theirs
from a64_words import Rows

from saecore.a64.encodings import ENCODINGS

GROUPS = ("fp", "vector", "vector_fp", "crypto")
RULES = a64_rules_fp.RULES + a64_rules.RULES


def bench(cpu="max", setup="open", groups=GROUPS, ours=Ours, keys=None):
    """Both processors, for the rows of some groups that the model knows."""
    image, setup = Image(), SETUPS[setup]
    mine = ours(setup, image, **MODELS[cpu])
    has = mine.model.flags
    rows = [
        row
        for row in ENCODINGS
        if row.group in groups
        and (row.feature is None or row.feature in has)
        and (keys is None or row.key in keys)
    ]
    return Bench(mine, Theirs(cpu, setup, image), Rows(rows, a64_rules_fp.RARE), RULES)


def campaign(judge, seed, insns, tally=None):
    """Run batches until so many instructions were executed, or something is unexplained."""
    tally, rng = tally or Tally(), np.random.default_rng(seed)
    wanted = tally.insns + insns
    while tally.insns < wanted and not tally.unexplained:
        judge.batch(rng, tally, 4 * SLOTS, watched=True)
    return tally


def judged():
    """Rows that Unicorn can judge: its "max" has their feature."""
    without = set(MODELS["max"]["without"])
    return [
        row
        for row in ENCODINGS
        if row.group in GROUPS and (row.feature is None or row.feature.name not in without)
    ]


@pytest.mark.parametrize("group", GROUPS)
def test_every_row_is_executed_and_agrees(group):
    tally = campaign(bench(groups=(group,)), 1, 25_000)
    assert not tally.unexplained, tally.report()
    assert {row.key for row in judged() if row.group == group} == set(tally.rows)


@pytest.mark.parametrize("cpu", ["a57", "a72"])
def test_processors_without_options(cpu):
    judge = bench(cpu)
    assert not judge.fp16
    tally = campaign(judge, 2, 5_000)
    assert not tally.unexplained, tally.report()


def test_el0_is_trapped():
    tally = Tally()
    bench(setup="trapped").batch(np.random.default_rng(3), tally, 60, watched=True)
    assert not tally.unexplained, tally.report()
    assert tally.excused["fp-not-trapped"] > 15


#: Fifty million in all: parts for one processor each, of so many instructions.
CAMPAIGN = [
    ("max", "open", ("fp",), 10_000_000),
    ("max", "open", ("vector",), 14_000_000),
    ("max", "open", ("vector_fp",), 14_000_000),
    ("max", "open", ("crypto",), 3_000_000),
    ("max", "closed", GROUPS, 5_000_000),
    ("a57", "open", GROUPS, 2_000_000),
    ("a72", "closed", GROUPS, 2_000_000),
]


@pytest.mark.campaign
@pytest.mark.parametrize(("cpu", "setup", "groups", "insns"), CAMPAIGN)
def test_campaign(cpu, setup, groups, insns):
    judge, tally = bench(cpu, setup, groups), None
    for seed in range(insns // 1_000_000):
        tally = campaign(judge, [5000, seed], 1_000_000, tally)
        assert not tally.unexplained, tally.report()
    rows = judge.rows.rows
    print(f"\n{cpu} {setup}\n{tally.table(rows)}\n{tally.report()}")
    print("never executed:", sorted({row.key for row in rows} - set(tally.rows)))
    assert {row.key for row in rows} == set(tally.rows)


# --- the judge judges ---------------------------------------------------------------------

#: Instructions mistaken for others: mask, value, and the bits that turn one into the other.
MISTAKES = {
    "FADD for FSUB": (0xFF20FC00, 0x1E202800, 0x00001000),
    "FMAX for FMAXNM": (0xFF20FC00, 0x1E204800, 0x00002000),
    "FCMP for FCMPE": (0xFF20FC17, 0x1E202000, 0x00000010),
    "FNMADD for FMADD": (0xFF208000, 0x1F000000, 0x00200000),
    "FCVTAS for FCVTNS": (0x7F3FFC00, 0x1E200000, 0x00040000),
    "FRINTX for FRINTI": (0xFF3FFC00, 0x1E274000, 0x00008000),
    "SQADD for ADD": (0xBF20FC00, 0x0E200C00, 0x00008800),
    "SRSHR for SSHR": (0xBF80FC00, 0x0F000400, 0x00002000),
    "TBX for TBL": (0xBFE0FC00, 0x0E000000, 0x00001000),
    "FMLA, vector, for FMLS": (0xBFA0FC00, 0x0E20CC00, 0x00800000),
    "AESD for AESE": (0xFFFFFC00, 0x4E284800, 0x00001000),
    "SHA256SU1 for SHA256H2": (0xFFE0FC00, 0x5E005000, 0x00003000),
}


def meeting(mask, value):
    """Keys of the rows that have words of a pattern."""
    return {row.key for row in judged() if (row.value ^ value) & row.mask & mask == 0}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found(name):
    mask, value, flipped = MISTAKES[name]
    judge = bench(ours=mistaking(mask, value, flipped), keys=meeting(mask, value))
    tally = Tally()
    judge.batch(np.random.default_rng(3), tally, 100, watched=True)
    assert tally.unexplained


@pytest.mark.parametrize(
    ("register", "bit"), [("fpsr", 4), ("fpsr", 7), ("fpsr", 27), ("fpcr", 22)]
)
def test_a_lost_bit_is_found(register, bit):
    class Forgetful(Ours):
        def outcomes(self):
            out = super().outcomes()
            out["state"][register] &= np.uint64(0xFFFF_FFFF ^ 1 << bit)
            return out

    tally = Tally()
    bench(ours=Forgetful).batch(np.random.default_rng(4), tally, 100, watched=True)
    assert tally.unexplained
