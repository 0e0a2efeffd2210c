"""Is a word an instruction? Both processors are asked, one word at a time, at EL1 or EL0."""

from collections import Counter
from typing import NamedTuple

import numpy as np
from a64_state import CODE, DATA_VA, SLOT, SLOTS, STATE, STAY, SYSTEM_REGISTERS
from a64_words import END, NOP, START, UNJUDGED, edge_words, forwards

from saecore._defs import MODE_EL0T, MODE_EL1H, PSTATE_DAIF


class Judged(NamedTuple):
    """What a processor said of words: whether they are UNDEFINED, or handed to a hypervisor."""

    undefined: np.ndarray
    trapped: np.ndarray


def random_words(rng, rows, count):
    """Half are words of the table with one fixed bit flipped, an eighth system instructions."""
    words = rng.integers(0, 1 << 32, count, dtype="u4")
    words[::2] = edge_words(rng, rows, len(words[::2]))
    words[1::8] = words[1::8] & np.uint32(0x3FFFFF) | np.uint32(0xD5000000)
    for mask, value in UNJUDGED:
        words[(words & np.uint32(mask)) == value] = NOP
    return forwards(words)


def judge(machine, words, el):
    """Ask one processor."""
    undefined, trapped = [], []
    for first in range(0, len(words), SLOTS):
        part = words[first : first + SLOTS]
        slots = np.full((len(part), SLOT // 4), STAY, "u4")
        slots[:, :END] = STAY + END - np.arange(END)
        slots[:, START] = part
        states = np.zeros(len(part), STATE)
        base = CODE + SLOT * np.arange(len(part), dtype="u8")
        # Every register leads to a branch to the end, so that nothing is lost or loops.
        states["x"] = base[:, None]
        states["sp_el0"] = states["sp_el1"] = DATA_VA + 0x8000
        states["pc"] = base + np.uint64(4 * START)
        states["pstate"] = (MODE_EL1H if el else MODE_EL0T) | PSTATE_DAIF
        names = list(SYSTEM_REGISTERS)
        states["system"][:, names.index("ELR_EL1")] = base
        states["system"][:, names.index("SPSR_EL1")] = states["pstate"]
        machine.load(CODE, slots.ravel())
        machine.prepare(states, (base + np.uint64(4 * END)).tolist())
        for number in range(len(part)):
            machine.step(number)
        out = machine.outcomes()
        here = (out["took"] > 0) & (out["state"]["pc"] == states["pc"])
        undefined.append(here & (out["esr"] >> np.uint64(26) == 0) & (out["took"] < 3))
        trapped.append(out["took"] == 3)
    return Judged(np.concatenate(undefined), np.concatenate(trapped))


class Space(NamedTuple):
    """Words that one processor knows and the other does not, and why."""

    name: str
    mask: int
    value: int
    why: str
    ours_undefined: bool = True

    def has(self, words):
        return words & self.mask == self.value


#: What Unicorn knows and this processor does not.
THEIRS_ONLY = [
    Space("eret-rn", 0xFFFFFC1F, 0xD69F0000, "Unicorn does not look at Rn, which must be 31"),
    Space("sve", 0x1E000000, 0x04000000, "FEAT_SVE"),
    Space("sve", 0xFFDFFFE0, 0xD5181200, "FEAT_SVE, ZCR_EL1"),
    Space("later", 0xFFFFFF80, 0xD50B7380, "FEAT_SPECRES: CFP, DVP, CPP RCTX"),
    Space("later", 0xFFFFFFE0, 0xD50B7D20, "FEAT_DPB2: DC CVADP"),
    Space("later", 0xFFFFFFC0, 0xD53B2400, "FEAT_RNG: RNDR, RNDRRS"),
    Space("half-size", 0xAF7FCC00, 0x0E70C800,
          "Unicorn does not look at the lower bit of the size of FMAXP and FMAXV of halves"),
    Space("half-immediate", 0xBFF8FC00, 0x2F00FC00,
          "FMOV (vector, immediate) of halves with op set, which Unicorn does not look at"),
    Space("secure-timer", 0xFFDFFF00, 0xD51FE200, "CNTPS_*: there is no Secure EL1 here"),
    Space("pmu", 0xFFDFF000, 0xD51B9000, "FEAT_PMUv3: ID_AA64DFR0_EL1.PMUVer is 0 here"),
    Space("pmu", 0xFFDFF000, 0xD5189000, "FEAT_PMUv3"),
    Space("pmu", 0xFFDFF800, 0xD51BE800, "FEAT_PMUv3"),
    Space("mdccsr", 0xFFFFFFE0, 0xD5300100, "Unicorn has MDCCSR_EL0 at op1 = 0 as well"),
    Space("debug", 0xFFD80000, 0xD5100000, "debug registers that QEMU 5.0 has not", False),
]


#: Unallocated half-precision instructions, of which Unicorn aborts: mask and value.
UNASKED = [
    (0x9F60C400, 0x0E400400),  # three registers of the same type
    (0x8F7E0C00, 0x0E780800),  # two registers
]


def _alone(machine, word, el):
    """Is a word undefined with no other beside it, which may have stored into its program?"""
    return bool(judge(machine, np.array([word], "u4"), el).undefined[0])


def compare(ours, theirs, words, el, spaces=THEIRS_ONLY):
    """Ask both. Counts of what the spaces explain, and the words nothing does."""
    mine = judge(ours, words, el)
    unasked = np.zeros(len(words), bool)
    for mask, value in UNASKED:
        unasked |= mine.undefined & (words & np.uint32(mask) == value)
    words = np.where(unasked, np.uint32(NOP), words)
    mine.undefined[unasked] = False
    other = judge(theirs, words, el)
    explained, left = Counter({"not asked": int(unasked.sum())}), []
    differ = mine.undefined != other.undefined
    trapped = differ & mine.trapped & other.undefined
    explained["trapped by HCR_EL2"] = int(trapped.sum())
    for word, undefined in zip(
        words[differ & ~trapped].tolist(), mine.undefined[differ & ~trapped].tolist(), strict=True
    ):
        space = next((s for s in spaces if s.ours_undefined == undefined and s.has(word)), None)
        if space:
            explained[space.name] += 1
        elif _alone(ours, word, el) != _alone(theirs, word, el):
            left.append((word, undefined))
        else:
            explained["only beside others"] += 1
    return explained, left
