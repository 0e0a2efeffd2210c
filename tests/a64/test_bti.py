"""Branch target identification.

Judge: the tables of the Arm ARM, written out here a second time; Unicorn in
`tests/differential/test_a64_bti`.
"""

import numpy as np
import pytest
from bare_guest import (
    ABOVE,
    BYTES,
    CODE,
    EL0T,
    EL1H,
    EL1T,
    END,
    ERET,
    MMU,
    NOP,
    SYNC_CURRENT,
    SYNC_CURRENT_SP0,
    SYNC_LOWER,
    TABLE,
    BareGuest,
    Outcome,
    esr,
    execute,
    mrs,
    msr,
    sys,
    word,
)
from hypothesis import given
from hypothesis import strategies as st

from saecore._cpu import cpu_model
from saecore._defs import SCTLR_BTI, Icptr
from saecore.a64._blocks import operations

NG, GP = 1 << 11, 1 << 50
#: The same memory once more, in a block of its own; and a second table, for the same addresses.
AGAIN = 2 << 30
OTHER_TABLE = TABLE + 0x1000
RET, BRK, HLT, SVC = word("RET", n=30), word("brk", i=5), word("hlt", i=5), word("svc", i=END)
DSB, ISB, STR = 0xD5033F9F, 0xD5033FDF, 0xF90000E6  # STR X6, [X7]

#: Landings, and the BTYPEs they are compatible with: C6.2.41 BTI, PACIASP, BRK, HLT.
LANDINGS = {
    "bti": (word("bti", q=0), ()),
    "bti c": (word("bti", q=1), (1, 2)),
    "bti j": (word("bti", q=2), (1, 3)),
    "bti jc": (word("bti", q=3), (1, 2, 3)),
    "paciasp": (word("paciasp"), (1, 2, 3)),
    "pacibsp": (word("pacibsp"), (1, 2, 3)),
    "brk": (BRK, (1, 2, 3)),
    "hlt": (HLT, (1, 2, 3)),
    # The like, which are not.
    "nop": (NOP, ()),
    "paciaz": (word("paciaz_lr"), ()),
    "autiasp": (word("autiasp"), ()),
    "hint 33": (word("hint", m=4, q=1), ()),
    "udf": (0, ()),
    "svc": (SVC, ()),
    "add": (word("ADD_IMM", d=0, n=0), ()),
}
#: Branches to X9 (or X16, X17), and the BTYPE they set: from a page that is guarded, from others.
BRANCHES = {
    "br": (word("BR", n=9), 3, 1),
    "br x16": (word("BR", n=16), 1, 1),
    "br x17": (word("BR", n=17), 1, 1),
    "blr": (word("BLR", n=9), 2, 2),
    "blr x16": (word("BLR", n=16), 2, 2),
    "ret": (word("RET", n=9), 0, 0),
    "braa": (word("braa", k=0, n=9, m=1), 3, 1),
    "brab x16": (word("braa", k=1, n=16, m=1), 1, 1),
    "braaz x17": (word("braaz", k=0, n=17), 1, 1),
    "brabz": (word("braaz", k=1, n=9), 3, 1),
    "blraa": (word("blraa", k=0, n=9, m=1), 2, 2),
    "blrabz x17": (word("blraaz", k=1, n=17), 2, 2),
    "b": (0x14000001, 0, 0),
}


@pytest.fixture(scope="module", params=["default", "max"])
def guest(request):
    guest = BareGuest(cpu_model(request.param))
    guest.map_flat()
    entries = guest.entries(TABLE)
    entries[1] |= NG
    entries[3] = entries[1] | GP
    guest.entries(OTHER_TABLE)[:4] = [0, entries[1] | GP, entries[2], 0]
    return guest


def btype_of(pstate):
    return pstate >> 10 & 3


def run(guest, *program, bt=0, regs=None, guarded=True, x=None, **more):
    """Run a program behind a RET to it, in a guarded page or not; X9, X16 and X17 point at what
    follows its first instruction, in a guarded page."""
    landing = guest.code + 8 + AGAIN
    registers = MMU | {"SCTLR_EL1": MMU["SCTLR_EL1"] | bt} | (regs or {})
    x = {8: guest.code + 4 + (AGAIN if guarded else 0), 9: landing, 16: landing, 17: landing,
         30: landing + 4} | (x or {})  # fmt: skip
    return guest.run([word("RET", n=8), *program], regs=registers, x=x, **more)


def taken(out):
    """Where an exception came from: ESR, ELR in that page, SPSR.BTYPE."""
    assert out.hvc in (SYNC_CURRENT_SP0, SYNC_CURRENT, SYNC_LOWER)
    return out.regs["ESR_EL1"], out.regs["ELR_EL1"] % AGAIN, btype_of(out.regs["SPSR_EL1"])


def check_landing(out, name, btype, good):
    at = out.code + 8
    if not good:
        assert taken(out) == (esr(0x0D, btype), at, btype)
        assert btype_of(out.pstate) == 0
        assert out.regs["FAR_EL1"] == 0
    elif name == "brk":
        assert taken(out) == (esr(0x3C, 5), at, btype)
    elif name in ("hlt", "udf"):
        assert taken(out) == (esr(0), at, 0)
    else:
        assert out.hvc == END or out.regs["ESR_EL1"] == esr(0x15, END)


@pytest.mark.parametrize("steps", [None, 40], ids=["blocks", "singly"])
@pytest.mark.parametrize("pstate", [EL0T, EL1H, EL1T], ids=["el0", "el1h", "el1t"])
@pytest.mark.parametrize("bt", [0, 1 << 35, 1 << 36, SCTLR_BTI], ids=["", "bt0", "bt1", "both"])
@pytest.mark.parametrize("name", LANDINGS)
def test_landings(guest, name, bt, pstate, steps):
    """Every BTYPE, landing, level and both bits of SCTLR_EL1."""
    insn, compatible = LANDINGS[name]
    strict = name.startswith("paci") and name.endswith("sp")
    strict = strict and bt >> (35 if pstate == EL0T else 36) & 1
    for branch, guarded in (("ret", True), ("br", False), ("blr", True), ("br", True)):
        code, inside, outside = BRANCHES[branch]
        btype = inside if guarded else outside
        out = run(guest, code, insn, bt=bt, guarded=guarded, pstate=pstate, max_insns=steps)
        good = btype == 0 or (btype in compatible and not (strict and btype == 3))
        check_landing(out, name, btype, good)


@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("branch", BRANCHES)
def test_branches(guest, branch, guarded):
    """What a branch leaves: seen by BRK, which lands from everywhere, and where a run stops."""
    insn, inside, outside = BRANCHES[branch]
    if "a" in branch and guest.model.name != "max":
        return
    btype = inside if guarded else outside
    for to in (0, AGAIN):
        x = dict.fromkeys((9, 16, 17), guest.code + 8 + to)
        out = run(guest, insn, BRK, guarded=guarded, x=x)
        assert taken(out) == (esr(0x3C, 5), out.code + 8, btype)
    x = dict.fromkeys((9, 16, 17), guest.code + 8)
    out = run(guest, insn, NOP, guarded=guarded, max_insns=2, x=x)
    assert (out.icptr, out.pc % AGAIN) == (Icptr.SPURIOUS, out.code + 8)
    assert btype_of(out.pstate) == btype


def test_nothing_is_guarded_without_its_bit(guest):
    """Nor with stage 1 off."""
    for branch, (insn, _, _) in BRANCHES.items():
        if "a" in branch and guest.model.name != "max":
            continue
        x = dict.fromkeys((9, 16, 17), guest.code + 8)
        for regs in ({}, {"SCTLR_EL1": 0x30D0_0800}):
            out = run(guest, insn, NOP, guarded=False, x=x | {30: 0}, regs=regs, pstate=EL1H)
            assert out.hvc == END, branch
            assert btype_of(out.pstate) == 0


@pytest.mark.parametrize("branch", ["br", "br x16", "blr"])
def test_a_run_that_stops_there_goes_on(guest, branch):
    insn, btype, _ = BRANCHES[branch]
    for landing, (_, compatible) in LANDINGS.items():
        out = run(guest, insn, LANDINGS[landing][0], max_insns=2)
        assert btype_of(out.pstate) == btype
        processor = guest.last
        processor.lasrm()
        check_landing(
            Outcome(processor, out.code, *execute(processor)), landing, btype, btype in compatible
        )


@pytest.mark.parametrize("btype", range(4))
def test_exception_return(guest, btype):
    for landing in ("nop", "bti c", "bti j", "bti jc", "brk"):
        insn, compatible = LANDINGS[landing]
        at = guest.code + 8 + AGAIN
        regs = {"ELR_EL1": at, "SPSR_EL1": EL0T | btype << 10}
        out = run(guest, ERET, insn, SVC, regs=regs)
        check_landing(out, landing, btype, btype == 0 or btype in compatible)


def test_an_illegal_return_comes_first(guest):
    """IL of SPSR: EC 0x0E, and BTYPE kept; a return to no mode at all leaves it 0."""
    at = guest.code + 8 + AGAIN
    out = run(guest, ERET, NOP, regs={"ELR_EL1": at, "SPSR_EL1": EL1H | 1 << 20 | 2 << 10})
    assert taken(out) == (esr(0x0E), at % AGAIN, 2)
    at = guest.code + 8 + AGAIN
    out = run(guest, ERET, NOP, regs={"ELR_EL1": at, "SPSR_EL1": 0xD | 2 << 10})
    assert taken(out) == (esr(0x0E), at % AGAIN, 0)


def test_what_comes_before(guest):
    """A misaligned PC and an instruction abort; both keep BTYPE for the return."""
    branch, btype, _ = BRANCHES["blr"]
    out = run(guest, branch, x={9: CODE + AGAIN + 2})
    assert (out.regs["ESR_EL1"] >> 26, btype_of(out.regs["SPSR_EL1"])) == (0x22, btype)
    out = run(guest, branch, x={9: 4 * ABOVE})
    assert (out.regs["ESR_EL1"] >> 26, btype_of(out.regs["SPSR_EL1"])) == (0x21, btype)


def test_the_host_is_asked_first(guest):
    """A landing that stage 2 does not have: SAE ends, and PSTATE keeps BTYPE."""
    branch, btype, _ = BRANCHES["blr"]
    out = run(guest, branch, x={9: CODE + BYTES + AGAIN})
    assert out.icptr is Icptr.HOST_ACCESS_EXCEPTION
    assert (out.pc, btype_of(out.pstate)) == (CODE + BYTES + AGAIN, btype)


@pytest.mark.parametrize("landing", ["nop", "bti jc"])
def test_debugging(guest, landing):
    """A breakpoint there is hit first, and software step shows BTYPE; then it goes on."""
    branch, btype, _ = BRANCHES["blr"]
    insn, compatible = LANDINGS[landing]
    regs = {"MDSCR_EL1": 1 << 15, "DBGBCR0_EL1": 1 | 2 << 1 | 0xF << 5,
            "DBGBVR0_EL1": guest.code + 8 + AGAIN}  # fmt: skip
    out = run(guest, branch, insn, regs=regs, pstate=EL0T)
    assert taken(out) == (esr(0x30, 0x22), out.code + 8, btype)
    # One step for RET, one for the branch; then what is at the landing.
    regs = {"MDSCR_EL1": 1, "VBAR_EL1": CODE + 0x18000}
    step_again = [mrs(20, "SPSR_EL1"), 0xB26B0294, msr("SPSR_EL1", 20), ERET]  # ORR SS
    place = (0x18000 + 0x400) // 4
    guest.words[place : place + 5] = [0xF1000673, 0x54000040, 0x14000002, word("hvc", i=END), NOP]
    guest.words[place + 4 : place + 8] = step_again
    good = btype in compatible
    for steps, ec, seen in ((2, 0x32, btype), (3, 0x32 if good else 0x0D, 0 if good else btype)):
        out = run(guest, branch, insn, regs=regs, x={19: steps}, pstate=EL0T | 1 << 21)
        assert out.hvc == END
        assert out.regs["ESR_EL1"] >> 26 == ec
        assert btype_of(out.regs["SPSR_EL1"]) == seen


# --- blocks that are found again ------------------------------------------------------------

#: SUBS X19, X19, #1; B.NE to the instruction before.
AND_AGAIN = [0xF1000673, 0x54FFFFC1]


def test_a_landing_found_again_is_still_looked_at(guest):
    """BLR lands at BTI c a thousand times; that does not let BR."""
    code = [word("BLR", n=9), *AND_AGAIN, word("BR", n=9), word("bti", q=1), RET]
    out = run(guest, *code, x={9: guest.code + AGAIN + 20, 19: 1000})
    assert taken(out) == (esr(0x0D, 3), out.code + 20, 3)
    assert out.insns > 5000


@pytest.mark.parametrize("guarded_first", [True, False])
@pytest.mark.parametrize("flush", ["TLBI VMALLE1", "TLBI VAE1"])
def test_the_bit_changes(guest, guarded_first, flush):
    """A leaf's GP bit written by the guest, and TLBI: blocks and jumps follow."""
    table = guest.entries(TABLE)
    guarded = int(table[3])
    table[3], after = (guarded, guarded ^ GP) if guarded_first else (guarded ^ GP, guarded)
    where = guest.code + AGAIN
    second = where + (52 if guarded_first else 44)
    landing = "bti c" if guarded_first else "nop"
    code = [word("BLR", n=9), *AND_AGAIN, STR, DSB, sys(flush, 11), DSB, ISB,
            word("BLR", n=10), word("hvc", i=END), LANDINGS[landing][0], RET, NOP, RET]  # fmt: skip
    x = {6: after, 7: ABOVE + TABLE + 24, 9: where + 44, 10: second, 11: where >> 12, 19: 100}
    out = run(guest, *code, x=x, guarded=False, end=False)
    table[3] = guarded
    if guarded_first:
        assert out.hvc == END
    else:
        assert taken(out) == (esr(0x0D, 2), out.code + 44, 2)


@pytest.mark.parametrize("landing", [1, 2])
def test_two_tables_for_the_same_place(guest, landing):
    """The same instructions at the same address, guarded in one table alone: BR X9 sets 3 there,
    1 in the other, again and again. BTI c takes that no longer than until it is guarded."""
    ttbr = msr("TTBR0_EL1", 1)
    code = [ttbr, ISB, word("BR", n=9), word("bti", q=landing), 0xCA020021, 0xF1000673, 0x54FFFF41,
            ttbr, ISB, word("BR", n=10), word("bti", q=1)]  # fmt: skip
    at = guest.code + 4
    x = {1: TABLE | 1 << 48, 2: TABLE ^ OTHER_TABLE | 3 << 48, 9: at + 12, 10: at + 40}
    # After an even number of turns it ends where nothing is guarded.
    out = run(guest, *code, x=x | {19: 100}, guarded=False)
    if landing == 1:
        assert taken(out) == (esr(0x0D, 3), out.code + 16, 3)
        assert out.x[19] == 99
        return
    assert out.hvc == END
    x |= {n: value + guest.code - out.code for n, value in x.items() if n >= 9}
    out = run(guest, *code, x=x | {19: 101}, guarded=False)
    assert taken(out) == (esr(0x0D, 3), out.code + 44, 3)


def test_sctlr_is_followed(guest):
    """PACIASP takes BTYPE 3 until SCTLR_EL1.BT1 is set."""
    write = [mrs(1, "SCTLR_EL1"), 0xB25C0021, msr("SCTLR_EL1", 1), ISB]  # ORR BT1
    code = [word("BR", n=9), word("paciasp"), 0xF1000673, 0x54FFFFA1, *write, word("BR", n=9)]
    out = run(guest, *code, x={9: guest.code + AGAIN + 8, 19: 100})
    assert taken(out) == (esr(0x0D, 3), out.code + 8, 3)
    assert out.insns > 400


def test_a_landing_is_written_over(guest):
    """BTI c becomes NOP; a run of blocks looks at it anew after IC IVAU."""
    where = guest.code + AGAIN
    code = [word("BLR", n=9), *AND_AGAIN, 0xB90000E6, DSB, sys("IC IVAU", 9), DSB, ISB,
            word("BLR", n=9), word("bti", q=1), RET]  # fmt: skip
    x = {6: NOP, 7: ABOVE + guest.code + 40, 9: where + 40, 19: 100}
    out = run(guest, *code, x=x)
    assert taken(out) == (esr(0x0D, 2), out.code + 40, 2)


# --- without it -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain():
    guest = BareGuest(cpu_model("max", without=["BTI"]))
    guest.map_flat()
    guest.entries(TABLE)[3] = guest.entries(TABLE)[1] | GP
    return guest


@given(st.sampled_from(list(LANDINGS)), st.sampled_from(["br", "br x16", "blr", "braa", "blraa"]))
def test_without_the_feature(plain, landing, branch):
    """Every landing is good, BTYPE stays 0."""
    out = run(plain, BRANCHES[branch][0], LANDINGS[landing][0], bt=SCTLR_BTI)
    check_landing(out, landing, 0, True)
    out = run(plain, BRANCHES[branch][0], NOP, max_insns=2)
    assert btype_of(out.pstate) == 0


def test_without_the_feature_its_bits_are_res0(plain):
    out = run(plain, msr("SCTLR_EL1", 1), mrs(2, "SCTLR_EL1"), x={1: MMU["SCTLR_EL1"] | SCTLR_BTI})
    assert out.x[2] & SCTLR_BTI == 0
    # SPSR keeps what is written, as it does for all it does not know; nothing comes of it.
    at = plain.code + 8 + AGAIN
    out = run(plain, ERET, NOP, regs={"ELR_EL1": at, "SPSR_EL1": EL1H | 3 << 10})
    assert (out.hvc, btype_of(out.pstate)) == (END, 0)
    # Nor of a control block's.
    out = run(plain, NOP, pstate=EL1H | 2 << 10)
    assert (out.hvc, btype_of(out.pstate)) == (END, 0)


def test_with_the_feature_its_bits_stay(guest):
    out = run(guest, msr("SCTLR_EL1", 1), mrs(2, "SCTLR_EL1"), x={1: MMU["SCTLR_EL1"] | SCTLR_BTI})
    assert out.x[2] & SCTLR_BTI == SCTLR_BTI


def test_id_register():
    for name, wanted in (("base", 0), ("default", 1), ("max", 1)):
        assert cpu_model(name).registers["ID_AA64PFR1_EL1"] & 15 == wanted
    assert cpu_model("max", without=["BTI"]).registers["ID_AA64PFR1_EL1"] & 15 == 0


def test_operations():
    """Without the feature branches are what they were; with it only their table differs."""

    def one(insn, **more):
        return operations(np.array([insn], "u4"), 0, 1, **more)[0][1]

    without = int(cpu_model("max", without=["BTI"]).flags)
    for branch, name in (("br", "br"), ("br x16", "br"), ("blr", "blr"), ("ret", "ret")):
        assert one(BRANCHES[branch][0], features=without, guarded=True) == name
    for branch, inside, outside in (("br", "br_btype3", "br_btype1"),
                                    ("br x17", "br_btype1", "br_btype1"),
                                    ("blr", "blr_btype2", "blr_btype2"),
                                    ("ret", "ret", "ret")):  # fmt: skip
        assert one(BRANCHES[branch][0], guarded=True) == inside
        assert one(BRANCHES[branch][0]) == outside
