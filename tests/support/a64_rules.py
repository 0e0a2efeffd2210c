"""What Unicorn does otherwise than the architecture says, rule by rule.

Unicorn 2.1 executes A64 by the rules of QEMU 5.0. A rule recognises a case, shrunk to as few
instructions as show it, and says which section of the Arm ARM speaks for this processor. A rule
that is about one exception more says nothing of the rest: state up to the exception is compared
by running Unicorn only to where it was taken.
"""

from typing import NamedTuple

from a64_sae import EXCEPTION, TOOK
from a64_state import DATA_VA, SYSTEM_REGISTERS
from a64_words import MAX_INSNS, NOP, START

from saecore._defs import ESR_CM, ESR_IL, ESR_WNR, PSTATE_BTYPE, PSTATE_IL, PSTATE_PAN, Ec

EC_SVE = 0x19  # no class of this processor's
ERET = 0xD69F03E0


class Rule(NamedTuple):
    """One difference: what Unicorn does, what the architecture says, and how it is recognised."""

    name: str
    unicorn: str
    architecture: str
    source: str
    recognise: object
    #: It needs the fewest instructions that still differ, or it would excuse other differences.
    shrunk: bool = False

    def explains(self, case, bench, pristine):
        return self.recognise(case, bench, pristine)


def stopped_at(bench, case, pristine, pc):
    """What Unicorn makes of a case up to an address."""
    bench.data(bench.theirs)[:] = pristine
    bench.theirs.load(case.start - 4 * START, case.words)
    bench.theirs.prepare(case.state[None], [pc])
    bench.theirs.step(0)
    return bench.theirs.outcomes()[0]


def exception_class(outcome):
    return int(outcome["esr"]) >> 26 if outcome["took"] else None


def _word(case):
    """The instruction our exception is of."""
    at = (int(case.ours["state"]["pc"]) - case.start) // 4 + 2
    return int(case.words[at]) if 0 <= at < len(case.words) else None


def same_before(case, bench, pristine):
    """Do both agree on all of the state in front of the instruction that took our exception?"""
    there = stopped_at(bench, case, pristine, int(case.ours["state"]["pc"]))
    ours, theirs = case.ours["state"].copy(), there["state"].copy()
    written = [list(SYSTEM_REGISTERS).index(name) for name in EXCEPTION]
    ours["system"][written] = theirs["system"][written] = 0
    return ours.tobytes() == theirs.tobytes()


def _sp_alignment(case, bench, pristine):
    if case.ours["took"] != TOOK or exception_class(case.ours) != Ec.SP_ALIGN:
        return False
    word, state = _word(case), case.ours["state"]
    sp = int(state["sp_el1"] if int(state["pstate"]) & 1 else state["sp_el0"])
    memory = word is not None and word & 0x0A000000 == 0x08000000 and word >> 5 & 31 == 31
    return memory and sp & 15 and same_before(case, bench, pristine)


def _pc_alignment(case, bench, pristine):
    ours, there = case.ours, case.theirs["state"].copy()
    pc = int(ours["state"]["pc"])
    # It may have executed something of no effect, which leaves no BTYPE.
    there["pc"] = pc
    kept = int(ours["state"]["pstate"]) & PSTATE_BTYPE
    there["pstate"] = int(there["pstate"]) & ~PSTATE_BTYPE | kept
    return (
        ours["took"] == case.theirs["took"] == TOOK
        and exception_class(ours) == Ec.PC_ALIGN
        and pc & 3 != 0
        and int(ours["far"]) == pc
        and ours["state"].tobytes() == there.tobytes()
    )


def _scalable(case, bench, pristine):
    """A word of FEAT_SVE, met where a branch leads into data."""
    ours, theirs = case.ours, case.theirs
    return (
        ours["took"] == theirs["took"] == TOOK
        and exception_class(ours) == Ec.UNKNOWN
        and exception_class(theirs) == EC_SVE
        and ours["state"].tobytes() == theirs["state"].tobytes()
    )


def _illegal_state(case, bench, pristine):
    """Behind an ERET that sets IL, whose PAN differs as well if it is an illegal one."""
    ours, theirs = case.ours["state"].copy(), case.theirs["state"].copy()
    illegal = exception_class(case.ours) == Ec.ILLEGAL and int(theirs["pstate"]) & PSTATE_IL
    ours["pc"] = theirs["pc"]
    ours["pstate"] = int(ours["pstate"]) & ~PSTATE_PAN | int(theirs["pstate"]) & PSTATE_PAN
    written = [list(SYSTEM_REGISTERS).index(name) for name in EXCEPTION]
    ours["system"][written] = theirs["system"][written] = 0
    return illegal and ERET in case.words and ours.tobytes() == theirs.tobytes()


def _ordered_unaligned(case, bench, pristine):
    """LDAR, STLR, LDAPR and their like fault where LSE2 is not there."""
    if case.ours["took"] != TOOK or exception_class(case.ours) not in (Ec.DABT_LOW, Ec.DABT_CUR):
        return False
    word = _word(case)
    ordered = word is not None and (
        word & 0x3F800000 == 0x08800000
        or word & 0x3FFFFC00 == 0x38BFC000
        or word & 0x3F200C00 == 0x19000000  # LDAPUR, STLUR
    )
    size = 1 << (word >> 30) if word is not None else 1
    return (
        ordered
        and int(case.ours["esr"]) & 0x3F == 0x21
        and int(case.ours["far"]) & (size - 1) != 0
        and same_before(case, bench, pristine)
    )


def _multiple(word):
    """Whether a word loads or stores several registers, or a structure of them."""
    size_16 = word & 0x04800000 == 0x04800000
    return (
        word & 0x3A000000 == 0x28000000  # pairs
        or word & 0xBE000000 == 0x0C000000  # structures
        or word & 0x3F200000 == 0x08200000  # exclusive pairs
        or (word & 0x3A000000 == 0x38000000 and size_16)  # Q registers
    )


def _partly_done(case, bench, pristine):
    """Both take the same abort; what differs is what the instruction had done before."""
    ours, theirs = case.ours, case.theirs
    word = _word(case)
    if word is None or not _multiple(word):
        return False
    if exception_class(ours) not in (Ec.DABT_LOW, Ec.DABT_CUR):
        return False
    if any(ours[name] != theirs[name] for name in ("took", "esr", "far")):
        return False
    one, other = ours["state"].copy(), theirs["state"].copy()
    if word & 1 << 26:
        targets = [(word + n) & 31 for n in range(4)] + [word >> 10 & 31]
        one["v"][targets] = other["v"][targets] = 0
    else:
        targets = [n for n in (word & 31, word >> 10 & 31) if n != 31]
        one["x"][targets] = other["x"][targets] = 0
    near = not case.memory or max(case.memory) - min(case.memory) < 64
    return one.tobytes() == other.tobytes() and near


def _cache_line(case, bench, pristine):
    """DC and IC by address, where the address may not be used that way."""
    word = _word(case)
    if case.ours["took"] != TOOK or word is None or word & 0xFFF8F000 != 0xD5087000:
        return False
    va = int(case.ours["state"]["x"][word & 31]) if word & 31 != 31 else 0
    return (
        exception_class(case.ours) in (Ec.DABT_LOW, Ec.DABT_CUR)
        and int(case.ours["esr"]) & 0x1FFFFC0 == ESR_CM | ESR_WNR
        and int(case.ours["far"]) == va
        and same_before(case, bench, pristine)
    )


def _daif_trap(case, bench, pristine):
    """MSR DAIFSet and DAIFClr at EL0 without SCTLR_EL1.UMA."""
    ours, theirs, word = case.ours, case.theirs, _word(case)
    if word is None or word & 0xFFFFF0DF != 0xD50340DF or ours["took"] != theirs["took"]:
        return False
    op2, imm = word >> 5 & 7, word >> 8 & 15
    iss = op2 << 17 | 3 << 14 | 4 << 10 | 31 << 5 | imm << 1
    return (
        int(ours["esr"]) == Ec.SYS64 << 26 | ESR_IL | iss
        and int(theirs["esr"]) == 0
        and ours["state"].tobytes() == theirs["state"].tobytes()
    )


def _store_exclusive_aborts(case):
    """Only Unicorn takes an alignment fault, of a store-exclusive: it finds its monitor open."""
    theirs, words = case.theirs, case.words.tolist()
    at = (int(theirs["state"]["pc"]) - case.start) // 4 + START
    return (
        theirs["took"] == TOOK
        and case.ours["took"] != TOOK
        and int(theirs["esr"]) & 0x3F == 0x21
        and 0 <= at < len(words)
        and words[at] & 0x3F400000 == 0x08000000
    )


def _other_exclusive(case, bench, pristine):
    """A store-exclusive behind a load-exclusive of another size: ours fails."""
    exclusive = [w for w in case.words.tolist() if w & 0x3F800000 == 0x08000000]
    sizes = {(w >> 30) + (w >> 21 & 1) for w in exclusive}
    loads = {w >> 22 & 1 for w in exclusive}
    same = case.ours["took"] == case.theirs["took"] or _store_exclusive_aborts(case)
    return len(sizes) > 1 and loads == {0, 1} and same


def _closed_at_the_end(case, bench, pristine):
    """A store-exclusive at the address that stands for a closed monitor there."""
    return _store_exclusive_aborts(case) and int(case.theirs["far"]) == (1 << 64) - 1


def _signed(value, size):
    value &= (1 << 8 * size) - 1
    return value - (value >> 8 * size - 1 << 8 * size)


def _signed_extremes(case, bench, pristine):
    """LDSMAX and LDSMIN of less than 64 bits: the first of a program is done again by hand."""
    for position, word in enumerate(case.words.tolist()):
        if word & 0x3F20EC00 != 0x38204000 or word >> 30 == 3:
            continue
        state = stopped_at(bench, case, pristine, case.start + 4 * (position - START))["state"]
        size, rs, rn = 1 << (word >> 30), word >> 16 & 31, word >> 5 & 31
        sp = int(state["sp_el1"] if int(state["pstate"]) & 1 else state["sp_el0"])
        va = sp if rn == 31 else int(state["x"][rn])
        offset = (va & (1 << 48) - 1) - DATA_VA
        alone = case.words.copy()
        alone[START + 1 : START + 1 + MAX_INSNS] = NOP
        alone[START + 1] = word
        state["pc"] = case.start
        bench.one(alone, state, case.start - 4 * START, pristine)
        old = int.from_bytes(pristine[offset : offset + size].tobytes(), "little")
        other = 0 if rs == 31 else int(state["x"][rs])
        pick = min if word & 0x1000 else max
        wanted = pick(_signed(old, size), _signed(other, size)) & (1 << 8 * size) - 1
        got = int.from_bytes(bench.data(bench.ours)[offset : offset + size].tobytes(), "little")
        return got == wanted
    return False


def _signs(word):
    """PACIA and its like, and those of the hint space."""
    return word & 0xFFFFD000 == 0xDAC10000 or word & 0xFFFFFC9F == 0xD503201F


def _first_difference(case, bench, pristine, kind):
    """A case up to the first instruction of a kind that makes a difference, or None."""
    for position, word in enumerate(case.words.tolist()):
        if kind(word):
            part = case.words.copy()
            part[position + 1 : START + 1 + MAX_INSNS] = NOP
            found = bench.one(part, case.state.copy(), case.start - 4 * START, pristine)
            if found.differs:
                return found
    return None


def _no_pointer(case, bench, pristine):
    """What differs is the bit of a PAC that says it was no pointer, and Unicorn's for it: bit 63,
    or 55, which is no PAC's."""
    first = _first_difference(case, bench, pristine, _signs)
    if first is None:
        return False
    ours, theirs = first.ours["state"].copy(), first.theirs["state"].copy()
    apart = set((ours["x"] ^ theirs["x"]).tolist()) - {0}
    theirs["x"] = ours["x"]
    return apart in ({3 << 62}, {1 << 54}) and ours.tobytes() == theirs.tobytes()


def _loads_authenticated(word):
    return word & 0xFF200400 == 0xF8200400


def _modifier_of_loads(case, bench, pristine):
    """Short PACs of nothing are right now and then, by one modifier or the other. What is wrong
    has an error code in its address, and aborts."""
    first = _first_difference(case, bench, pristine, _loads_authenticated)
    if first is None:
        return False
    aborts = {exception_class(one) for one in (first.ours, first.theirs)}
    apart = int(first.ours["far"]) ^ int(first.theirs["far"])
    return (None in aborts and len(aborts) == 2) or (
        aborts <= {Ec.DABT_LOW, Ec.DABT_CUR} and apart in (1 << 53, 1 << 54, 1 << 61, 1 << 62)
    )


RULES = [
    Rule(
        "no-pointer-signed",
        "the PAC of what is no pointer is corrupted in bit 63; beside a tag not at all",
        "in bit 62, or 54: top_bit - 1",
        "J1.1 AddPAC",
        _no_pointer,
        shrunk=True,
    ),
    Rule(
        "modifier-of-loads",
        "LDRAA and LDRAB authenticate with SP as the modifier",
        "with zero",
        "C6.2 LDRAA, LDRAB",
        _modifier_of_loads,
        shrunk=True,
    ),
    Rule(
        "sp-alignment-not-checked",
        "loads and stores with a misaligned SP as base are done",
        "SP alignment fault while SCTLR_EL1.SA or SA0 is set",
        "D1.8.2 SP alignment checking",
        _sp_alignment,
    ),
    Rule(
        "pc-alignment-after-fetch",
        "a branch to a misaligned address aborts, or executes the bytes there",
        "PC alignment fault, which has priority over the abort",
        "D1.8.1 PC alignment checking",
        _pc_alignment,
    ),
    Rule(
        "sve-trapped",
        "instructions of FEAT_SVE are trapped by CPACR_EL1.ZEN",
        "UNDEFINED: this processor has no SVE",
        "ID_AA64PFR0_EL1.SVE",
        _scalable,
    ),
    Rule(
        "illegal-state-executed",
        "what follows a return that sets PSTATE.IL is executed, and such a return leaves PAN",
        "an exception from illegal state; PAN is SPSR_EL1's whether or not the return is legal",
        "D1.8.3 Illegal Execution state, AArch64.CheckIllegalState, SetPSTATEFromPSR",
        _illegal_state,
        shrunk=True,
    ),
    Rule(
        "ordered-unaligned",
        "load-acquire and store-release may be unaligned",
        "alignment fault without FEAT_LSE2",
        "B2.5.2 Alignment of data accesses",
        _ordered_unaligned,
    ),
    Rule(
        "cache-lines-not-checked",
        "DC and IC by address do nothing, wherever the address leads",
        "they abort as an access would, with ESR_EL1.ISS.CM and WnR",
        "D5.11 Cache support, ISS encoding for a Data Abort",
        _cache_line,
    ),
    Rule(
        "daif-trap-without-syndrome",
        "MSR DAIFSet and DAIFClr that EL0 may not do leave a syndrome of zero",
        "they are trapped with EC 0x18 and the instruction's fields",
        "AArch64.CheckForDAIFTrap, ISS encoding for MSR",
        _daif_trap,
    ),
    Rule(
        "other-exclusive",
        "a store-exclusive of another size than the load-exclusive may succeed",
        "CONSTRAINED UNPREDICTABLE; here it fails",
        "B2.9.5 Load-Exclusive and Store-Exclusive instruction usage restrictions",
        _other_exclusive,
        shrunk=True,
    ),
    Rule(
        "monitor-closed-at-the-end",
        "an address of all ones stands for a closed monitor, so a store-exclusive there goes on",
        "whether it aborts while the monitor is closed is IMPLEMENTATION DEFINED; here it fails",
        "AArch64.ExclusiveMonitorsPass",
        _closed_at_the_end,
    ),
    Rule(
        "signed-extremes",
        "LDSMAX and LDSMIN of 8, 16 and 32 bits compare what is not sign-extended",
        "they compare signed integers of their size",
        "C6.2 LDSMAX, LDSMIN",
        _signed_extremes,
        shrunk=True,
    ),
    Rule(
        "partly-done",
        "a load or store of several registers that aborts has done what came before",
        "UNKNOWN what was loaded or stored; here nothing was",
        "D1.13.4 Definition of a precise exception; LDP, LD1, ST1",
        _partly_done,
    ),
]
