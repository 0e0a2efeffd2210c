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
    Space("pauth", 0xFFFF0000, 0xDAC10000, "FEAT_PAuth, one source"),
    Space("pauth", 0xFFE0FC00, 0x9AC03000, "FEAT_PAuth, PACGA"),
    Space("pauth", 0xFE9FF800, 0xD61F0800, "FEAT_PAuth, BRAAZ, BLRAAZ, RETAA, ERETAA"),
    Space("pauth", 0xFE9FF800, 0xD69F0800, "FEAT_PAuth, ERETAA"),
    Space("pauth", 0xFFDFF800, 0xD71F0800, "FEAT_PAuth, BRAA, BLRAA"),
    Space("pauth", 0xFF200400, 0xF8200400, "FEAT_PAuth, LDRAA"),
    Space("lrcpc2", 0x3F200C00, 0x19000000, "FEAT_LRCPC2"),
    Space("flagm", 0xFFE07C10, 0xBA000400, "FEAT_FlagM, RMIF"),
    Space("flagm", 0xFFFFBC1F, 0x3A00080D, "FEAT_FlagM, SETF8"),
    Space("flagm", 0xFFFFF01F, 0xD500401F, "FEAT_FlagM, CFINV, XAFLAG, AXFLAG"),
    Space("sve", 0xFFDFFFE0, 0xD5181200, "FEAT_SVE, ZCR_EL1"),
    Space("pauth", 0xFFDFF000, 0xD5182000, "FEAT_PAuth, keys"),
    Space("later", 0xFFFFFF80, 0xD50B7380, "FEAT_SPECRES: CFP, DVP, CPP RCTX"),
    Space("later", 0xFFFFFFE0, 0xD50B7D20, "FEAT_DPB2: DC CVADP"),
    Space("later", 0xFFFFFFC0, 0xD53B2400, "FEAT_RNG: RNDR, RNDRRS"),
    Space("secure-timer", 0xFFDFFF00, 0xD51FE200, "CNTPS_*: there is no Secure EL1 here"),
    Space("pmu", 0xFFDFF000, 0xD51B9000, "FEAT_PMUv3: ID_AA64DFR0_EL1.PMUVer is 0 here"),
    Space("pmu", 0xFFDFF000, 0xD5189000, "FEAT_PMUv3"),
    Space("pmu", 0xFFDFF800, 0xD51BE800, "FEAT_PMUv3"),
    Space("debug", 0xFFD80000, 0xD5100000, "debug registers that QEMU 5.0 has not", False),
]


#: SIMD&FP data processing. What is not known there is the next step's; Unicorn is not asked, as
#: some of it makes it abort.
NOT_YET = Space("fp-arithmetic", 0x0E000000, 0x0E000000, "SIMD&FP data processing: not yet here")


def _alone(machine, word, el):
    """Is a word undefined with no other beside it, which may have stored into its program?"""
    return bool(judge(machine, np.array([word], "u4"), el).undefined[0])


def compare(ours, theirs, words, el, spaces=THEIRS_ONLY):
    """Ask both. Counts of what the spaces explain, and the words nothing does."""
    mine = judge(ours, words, el)
    not_yet = mine.undefined & NOT_YET.has(words)
    other = judge(theirs, np.where(not_yet, np.uint32(NOP), words), el)
    explained, left = Counter({NOT_YET.name: int(not_yet.sum())}), []
    differ = (mine.undefined != other.undefined) & ~not_yet
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
