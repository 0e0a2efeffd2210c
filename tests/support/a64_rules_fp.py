"""What Unicorn does otherwise than the architecture says, for SIMD&FP instructions.

Rules see one instruction alone. They say what Unicorn makes of it instead of excusing whatever
it makes: a difference of another kind stays one.
"""

from a64_fp_state import FPCR_FZ
from a64_rules import Rule, exception_class, same_before
from a64_words import START

from saecore._defs import ESR_IL, PSTATE_Z, Ec

#: Rows that a rule here is about: they come up less, as it costs time to explain them.
RARE = ("fjcvtzs", "fcvtzs_scalar_fixed_point_h", "fcvtzu_scalar_fixed_point_h", "fcmla_element_h4")


def _only(case, **changes):
    """Are the outcomes the same, once fields of theirs are changed?"""
    theirs = case.theirs.copy()
    for name, value in changes.items():
        theirs["state"][name] = value
    return case.ours.tobytes() == theirs.tobytes() and not case.memory


def _javascript_denormal(case, bench, pristine):
    word = int(case.words[START + 1])
    if word & 0xFFFFFC00 != 0x1E7E0000 or not int(case.state["fpcr"]) & FPCR_FZ:
        return False
    operand = int(case.state["v"][word >> 5 & 31][0])
    denormal = operand & 0x7FF << 52 == 0 and operand & (1 << 52) - 1
    return denormal and _only(case, pstate=int(case.theirs["state"]["pstate"]) & ~PSTATE_Z)


def _half_fixed(case, bench, pristine):
    word = int(case.words[START + 1])
    if word & 0xDFF0FC00 != 0x5F10FC00:
        return False
    vectors = case.theirs["state"]["v"].copy()
    low = vectors[word & 31]
    extended = int(low[0]) >> 16 == 0xFFFF and not low[1]
    low[0] &= 0xFFFF
    return extended and _only(case, v=vectors)


def _upper_half(case, bench, pristine):
    """With the lower halves in the upper ones too, both agree on what ours says of the whole."""
    word = int(case.words[START + 1])
    if word & 0xFFC09400 != 0x2F401000 or not _only(case, fpsr=int(case.ours["state"]["fpsr"])):
        return False
    state = case.state.copy()
    state["v"][:, 1] = state["v"][:, 0]
    other = bench.one(case.words, state, case.start - 4 * START, pristine)
    return not other.differs and other.ours["state"]["fpsr"] == case.ours["state"]["fpsr"]


def _trapped(case, bench, pristine):
    el0 = int(case.state["pstate"]) >> 2 & 3 == 0
    fpen = bench.ours.setup.cpacr >> 20 & 3
    return (
        exception_class(case.ours) == Ec.FP_ASIMD
        and int(case.ours["esr"]) == Ec.FP_ASIMD << 26 | ESR_IL | 0x1E << 20
        and (fpen in (0, 2) or (fpen == 1 and el0))
        and same_before(case, bench, pristine)
    )


RULES = [
    Rule(
        "fp-not-trapped",
        "CPACR_EL1 is not looked at",
        "SIMD&FP is trapped with EC 0x07 where CPACR_EL1.FPEN says so",
        "AArch64.CheckFPAdvSIMDEnabled",
        _trapped,
    ),
    Rule(
        "javascript-denormal",
        "FJCVTZS of a denormal that is flushed to zero sets Z",
        "Z is cleared: the operand was not converted exactly",
        "shared/functions/float/fptofixedjs/FPToFixedJS",
        _javascript_denormal,
        shrunk=True,
    ),
    Rule(
        "half-to-fixed-sign",
        "a negative result of FCVTZS (scalar, fixed-point) of a half is extended to 32 bits",
        "what is above the 16 bits of the result is zero",
        "C7.2 FCVTZS (vector, fixed-point), scalar",
        _half_fixed,
        shrunk=True,
    ),
    Rule(
        "complex-upper-half",
        "FCMLA by element of a 64-bit vector sets flags for its upper half too",
        "elements that are not there raise no exceptions",
        "C7.2 FCMLA (by element)",
        _upper_half,
        shrunk=True,
    ),
]
