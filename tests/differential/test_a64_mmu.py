"""Permission changes, TLBI and faults, in sequence: this processor against Unicorn.

Both keep translations. Descriptors change, exactly the TLBI that architecture asks for follows,
and accesses of every kind go to changed and unchanged pages, at EL0 and EL1, PAN on and off.
"""

from collections import Counter

import numpy as np
import pytest
from a64_models import MODELS
from a64_sae import Ours
from a64_state import (
    CODE,
    DATA,
    DATA_PAGES,
    DATA_VA,
    HIGH,
    PAGE,
    SETUPS,
    STATE,
    STAY,
    Image,
)
from a64_unicorn import Theirs

from saecore._defs import MODE_EL0T, MODE_EL1H, PSTATE_DAIF, PSTATE_PAN, PSTATE_UAO

_AF, _NG, _PXN, _UXN = 1 << 10, 1 << 11, 1 << 53, 1 << 54
_DSB, _ISB, _RET = 0xD5033B9F, 0xD5033FDF, 0xD65F03C0
#: Accesses of X2 (and X3) at the address in X1.
ACCESSES = {
    "LDR": 0xF9400022, "STR": 0xF9000022, "LDRB": 0x39400022, "STRB": 0x39000022,
    "LDTR": 0xF8400822, "STTR": 0xF8000822, "LDP": 0xA9400C22, "STP": 0xA9000C22,
    "LDR pre": 0xF8410C22, "LDXR": 0xC85F7C22, "LDAR": 0xC8DFFC22, "STLR": 0xC89FFC22,
    "LDADD": 0xF8230022, "CAS": 0xC8A27C23, "SWP": 0xF8238022, "LDR q": 0x3DC00022,
    "STR q": 0x3D800022, "DC ZVA": 0xD50B7421, "BR": 0xD61F0020,
}  # fmt: skip
#: TLBI by address: last level or any, this ASID or any, here or in the inner shareable domain.
BY_ADDRESS = [0xD5088000 | crm << 8 | op2 << 5 for crm in (3, 7) for op2 in (1, 3, 5, 7)]
ALL = [0xD508871F, 0xD508831F]  # VMALLE1, VMALLE1IS


class Pair:
    """Both machines, and what is done to both of them."""

    def __init__(self, setup="open"):
        self.image, setup = Image(), SETUPS[setup]
        self.machines = (
            Ours(setup, self.image, **MODELS["max"]),
            Theirs("max", setup, self.image),
        )

    def set_word(self, address, value):
        for machine in self.machines:
            machine.at(address, 8).view("u8")[0] = value

    def run(self, words, state):
        """What came of a few instructions, by both, and whether memory is the same."""
        end = CODE + 4 * len(words)
        outcomes = []
        for machine in self.machines:
            machine.load(CODE, [*words, STAY])
            machine.prepare(state[None], [end])
            machine.step(0)
            outcome = machine.outcomes()[0]
            if outcome["took"]:
                # ELR, SPSR, ESR and FAR are told by the outcome.
                outcome["state"]["system"] = 0
            outcomes.append(outcome)
        size = DATA_PAGES * PAGE
        same = [m.at(DATA, size).tobytes() for m in self.machines]
        return outcomes, same[0] == same[1]


def descriptor(rng, page):
    """A random leaf for a data page: mostly one that allows something."""
    if rng.random() < 0.1:
        return 0
    word = (DATA + page * PAGE) | 3 | int(rng.integers(0, 4)) << 6
    for bit, chance in ((_AF, 0.9), (_NG, 0.5), (_PXN, 0.5), (_UXN, 0.5)):
        word |= bit if rng.random() < chance else 0
    return word


def state_for(rng, pstate, address):
    state = np.zeros((), STATE)
    state["x"] = rng.integers(0, 1 << 64, 31, dtype="u8")
    state["x"][1], state["x"][30] = address, CODE + 8  # behind the access
    state["v"] = rng.integers(0, 1 << 64, (32, 2), dtype="u8")
    state["pc"], state["pstate"] = CODE, pstate | PSTATE_DAIF
    state["sp_el0"] = state["sp_el1"] = DATA_VA
    return state


def sequence(pair, seed, rounds):
    """Changes and accesses; how they went, and the first that differs."""
    rng, seen = np.random.default_rng(seed), Counter()
    names = list(ACCESSES)
    for page in range(DATA_PAGES):
        # Code for those who branch there: RET.
        for machine in pair.machines:
            machine.at(DATA + page * PAGE, PAGE).view("u4")[:] = _RET
    for number in range(rounds):
        flushes = []
        for page in rng.choice(DATA_PAGES, int(rng.integers(0, 4)), replace=False):
            va = DATA_VA + int(page) * PAGE
            pair.set_word(pair.image.descriptor(va), descriptor(rng, int(page)))
            flushes += [va, HIGH | va]
        state = state_for(rng, MODE_EL1H, 0)
        if flushes and (rng.random() < 0.2 or len(flushes) > 6):
            words = [_DSB, int(rng.choice(ALL)), _DSB, _ISB]
        else:
            state["x"][: len(flushes)] = [va >> 12 & (1 << 44) - 1 for va in flushes]
            words = [_DSB, *(int(rng.choice(BY_ADDRESS)) | n for n in range(len(flushes))), _DSB,
                     _ISB]
        (ours, theirs), _ = pair.run(words, state)
        assert not ours["took"]
        assert not theirs["took"]
        for _ in range(int(rng.integers(1, 5))):
            name = names[rng.integers(0, len(names))]
            va = DATA_VA + int(rng.integers(0, DATA_PAGES)) * PAGE + int(rng.integers(0, 63)) * 64
            if name in ("LDR", "STR") and rng.random() < 0.2:
                va += int(rng.choice([1, 4, PAGE - 4 - va % PAGE]))
            va += 32 if name == "BR" else 0  # no store goes there
            va |= HIGH if rng.random() < 0.3 else 0
            pstate = int(rng.choice([MODE_EL0T, MODE_EL1H]))
            if pstate == MODE_EL1H:
                pstate |= int(rng.choice([0, PSTATE_PAN, PSTATE_UAO]))
            words = [0xD503305F, ACCESSES[name], *([_ISB] if name != "BR" else [])]
            (ours, theirs), same = pair.run(words, state_for(rng, pstate, va))
            if ours.tobytes() != theirs.tobytes() or not same:
                return seen, (number, name, hex(va), hex(pstate), ours, theirs, same)
            fault = int(ours["esr"]) >> 26 & 63, int(ours["esr"]) & 63
            seen[fault if ours["took"] else "done"] += 1
    return seen, None


@pytest.mark.parametrize("setup", ["open", "closed"])
def test_changes_and_faults(setup):
    seen, different = sequence(Pair(setup), 1, 500)
    assert different is None, different
    kinds = {ec for ec, _ in set(seen) - {"done"}}
    assert {0x20, 0x21, 0x24, 0x25} <= kinds
    assert {0x07, 0x0B, 0x0F} <= {fsc for _, fsc in set(seen) - {"done"}}
    assert seen["done"] > 200


@pytest.mark.campaign
def test_campaign_of_changes():
    pair, total = Pair(), Counter()
    for seed in range(100):
        seen, different = sequence(pair, [2, seed], 1_000)
        assert different is None, (seed, different)
        total += seen
    print(total)


class NeverFlushed(Ours):
    """Ignores TLBI by address."""

    def load(self, address, words):
        words = np.asarray(words, "u4").copy()
        words[np.isin(words & np.uint32(0xFFFFFFE0), BY_ADDRESS)] = 0xD503201F
        super().load(address, words)


def test_a_missing_tlbi_is_found():
    pair = Pair()
    pair.machines = (
        NeverFlushed(SETUPS["open"], pair.image, **MODELS["max"]),
        pair.machines[1],
    )
    assert sequence(pair, 3, 500)[1] is not None
