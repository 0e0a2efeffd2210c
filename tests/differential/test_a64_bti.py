"""Branch target identification, by this processor and by Unicorn.

Programs of branches between small cells of instructions, most of which begin with a landing, in
pages that are guarded and pages that are not, several of them the same memory. They run at EL0 and
EL1, under both bits of SCTLR_EL1, from any BTYPE, for any number of instructions; GP bits change
under them, with TLBI.
"""

from collections import Counter

import numpy as np
import pytest
from a64_models import MODELS
from a64_rules import Rule
from a64_sae import Ours, mistaking
from a64_state import CODE, MODES, PAGE, SETUPS, STATE, STAY, Image
from a64_unicorn import Theirs
from bare_guest import word

from saecore._defs import ESR_IL, PSTATE_BTYPE, PSTATE_BTYPE_SHIFT, PSTATE_DAIF, SCTLR_BTI, Ec

_AF, _EL0, _RO, _PAGE, _GP = 1 << 10, 1 << 6, 1 << 7, 3, 1 << 50
_LEAF = _AF | _EL0 | _RO | _PAGE
#: Memory the pages are of, how many of them there are, cells in each, and instructions in a cell:
#: few enough that most of what is run has been run before, when its page was another.
FRAMES, PAGES, CELLS, CELL = 2, 8, 16, 4
VA = 0x6000_0000
#: A program that flushes: X1 is what to write to SCTLR_EL1.
FLUSH_AT = CODE + 8 * PAGE
FLUSH = [0xD5033B9F, 0xD508871F, 0xD5033B9F, 0xD5181001, 0xD5033FDF]  # DSB TLBI DSB MSR ISB

LANDINGS = [
    *(word("bti", q=q) for q in range(4)), word("paciasp"), word("pacibsp"), 0xD503201F,
    word("paciaz_lr"), word("brk", i=1), word("hlt", i=1), 0, word("ADD_IMM", i=1, d=31, n=31),
    word("svc", i=2),
]  # fmt: skip
#: How often each of them is taken; what takes any branch is the most frequent.
WEIGHTS = np.array([1, 14, 14, 50, 6, 6, 3, 1, 2, 1, 1, 2, 2])
BRANCHES = ["BR", "BR", "BR", "BLR", "BLR", "BLR", "RET", "braa", "braaz", "blraa", "blraaz"]


def _syndrome(ours, theirs):
    if int(ours["esr"]) ^ ESR_IL == int(theirs["esr"]) and int(ours["esr"]) >> 26 == Ec.BTI:
        theirs["esr"] |= ESR_IL
        return True
    return False


def _fetch(ours, theirs):
    ec, pc = int(theirs["esr"]) >> 26, int(ours["state"]["pc"])
    there = int(theirs["far"]) == int(theirs["state"]["pc"]) == pc
    if theirs["took"] and not ours["took"] and there and ec in (Ec.IABT_LOW, Ec.IABT_CUR):
        theirs["took"] = theirs["esr"] = theirs["far"] = 0
        return True
    return False


#: Each makes of Unicorn's outcome what the architecture says, if it recognises it.
RULES = [
    Rule("IL of a Branch Target exception", "leaves it clear",
         "is set: the instruction has 32 bits", "Arm ARM, ESR_EL1.IL", _syndrome),
    Rule("the end of a run", "fetches one instruction more than were asked for",
         "says nothing of where a run stops", "", _fetch),
]  # fmt: skip


class Pair:
    """Both machines under one setting of SCTLR_EL1.BT0 and BT1."""

    def __init__(self, bt, ours=Ours):
        self.image = Image()
        self.tables = [self.image.descriptor(VA + page * PAGE) for page in range(PAGES)]
        setup = SETUPS["open"]._replace(sctlr=SETUPS["open"].sctlr | bt)
        self.sctlr = setup.sctlr
        self.machines = (
            ours(setup, self.image, **MODELS["max"]),
            Theirs("max", setup, self.image),
        )

    def fill(self, rng):
        """New instructions."""
        count = FRAMES * CELLS
        cells = np.full((count, CELL), 0xD503201F, "u4")
        cells[:, 0] = rng.choice(LANDINGS, count, p=WEIGHTS / WEIGHTS.sum())
        cells[:, 1] = rng.choice([0xD503201F, word("ADD_IMM", i=1, d=29, n=29)], count)
        for cell in cells:
            row = BRANCHES[rng.integers(0, len(BRANCHES))]
            fields = {"n": int(rng.choice([*range(29), 30, 16, 17, 30]))}
            if row.endswith("a"):
                fields["m"] = int(rng.integers(0, 32))
            if "a" in row:
                fields["k"] = int(rng.integers(0, 2))
            cell[int(rng.integers(1, CELL))] = word(row, **fields)
        for machine in self.machines:
            for frame, words in enumerate(cells.reshape(FRAMES, -1)):
                machine.load(CODE + frame * PAGE, words)

    def change(self, rng):
        """Map pages anew, some guarded, and flush."""
        for table in self.tables:
            if rng.random() < 0.5:
                leaf = CODE + int(rng.integers(0, FRAMES)) * PAGE | _LEAF
                leaf |= _GP if rng.random() < 0.6 else 0
                for machine in self.machines:
                    machine.at(table, 8).view("u8")[0] = leaf
        state = np.zeros((), STATE)
        state["pc"], state["pstate"] = FLUSH_AT, MODES["el1h"] | PSTATE_DAIF
        state["x"][1] = self.sctlr
        for machine in self.machines:
            machine.budget = len(FLUSH)
            machine.load(FLUSH_AT, [*FLUSH, STAY])
            machine.prepare(state[None], [FLUSH_AT + 4 * len(FLUSH)])
            machine.step(0)
            assert not machine.outcomes()["took"][0]

    def run(self, states, insns):
        """What both make of states, for so many instructions each."""
        for machine in self.machines:
            machine.prepare(states, [0] * len(states))
            for number, count in enumerate(insns):
                machine.budget = int(count)
                machine.step(number)
        ours, theirs = (machine.outcomes() for machine in self.machines)
        for out in (ours, theirs):
            # ELR, SPSR, ESR and FAR are told by the outcome.
            out["state"]["system"][out["took"] != 0] = 0
        return ours, theirs


def make_states(rng, count):
    """Registers that point at cells, rarely elsewhere."""
    states = np.zeros(count, STATE)
    shape = (count, 31)
    cells = VA + rng.integers(0, PAGES, shape) * PAGE + rng.integers(0, CELLS, shape) * 4 * CELL
    cells += np.where(rng.random(shape) < 0.02, 4, 0)
    cells[rng.random(shape) < 0.005] = VA + PAGES * PAGE    # not mapped
    states["x"] = cells
    states["pc"] = cells[:, 7] + rng.integers(0, CELL, count) * 4
    states["sp_el0"] = states["sp_el1"] = VA
    states["pstate"] = rng.choice(list(MODES.values()), count) | PSTATE_DAIF
    btypes = rng.choice(4, count, p=(0.7, 0.1, 0.1, 0.1)).astype("u8")
    states["pstate"] |= btypes << PSTATE_BTYPE_SHIFT
    return states


def agree(ours, theirs, seen):
    """Whether two outcomes are the same, but for what rules explain."""
    theirs = theirs.copy()
    seen.update(rule.name for rule in RULES if rule.recognise(ours, theirs))
    return ours.tobytes() == theirs.tobytes()


def campaign(pair, seed, insns, each=64):
    """Run so many instructions at least; what was seen, and the first outcomes that differ."""
    rng, seen = np.random.default_rng(seed), Counter()
    pair.fill(rng)
    while seen["instructions"] < insns:
        if rng.random() < 0.2:
            pair.fill(rng)
        pair.change(rng)
        states = make_states(rng, each)
        # Blocks run where more than 64 are wanted; fewer are run one by one.
        counts = np.where(rng.random(each) < 0.3, rng.integers(1, 8, each),
                          rng.integers(8, 300, each))  # fmt: skip
        ours, theirs = pair.run(states, counts)
        for number in range(each):
            if not agree(ours[number], theirs[number], seen):
                return seen, (states[number], int(counts[number]), ours[number], theirs[number])
        took = ours["took"] != 0
        # Of those that took an exception nobody counts how far they came.
        seen["instructions"] += int(counts[~took].sum()) + int(took.sum())
        kept = (ours["state"]["pstate"][~took] & PSTATE_BTYPE) != 0
        seen["stopped with BTYPE"] += int(kept.sum())
        seen.update((ours["esr"][took] >> 26).astype(int).tolist())
    return seen, None


SETTINGS = {"neither": 0, "bt0": 1 << 35, "bt1": 1 << 36, "both": SCTLR_BTI}


@pytest.mark.parametrize("bt", SETTINGS)
def test_programs_agree(bt):
    seen, different = campaign(Pair(SETTINGS[bt]), 1, 80_000)
    assert different is None, different
    assert {Ec.BTI, Ec.BRK64, Ec.UNKNOWN, Ec.SVC64} <= set(seen)
    assert seen["stopped with BTYPE"] > 10


@pytest.mark.parametrize("flipped", [1 << 6, 1 << 7])
def test_a_mistaken_landing_is_found(flipped):
    """BTI c as BTI, BTI j as BTI jc, and so on."""
    ours = mistaking(0xFFFF_FF3F, word("bti"), flipped)
    assert campaign(Pair(0, ours), 1, 10_000)[1] is not None


@pytest.mark.campaign
@pytest.mark.parametrize("bt", SETTINGS)
def test_campaign(bt):
    """Two million instructions and more, in all."""
    seen, different = campaign(Pair(SETTINGS[bt]), 1000, 500_000)
    assert different is None, different
    print(seen)
