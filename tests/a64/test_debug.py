"""Breakpoints, watchpoints and software step, as a guest's own debugger sees them.

Judge: the Arm architecture's rules, as a table of cases, and for watchpoints a model that lists
watched bytes one by one.
"""

import pytest
from bare_guest import (
    CODE,
    DATA,
    EL0T,
    EL1H,
    END,
    ERET,
    NOP,
    SYNC_CURRENT,
    SYNC_LOWER,
    BareGuest,
    esr,
    msr,
    word,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from saecore._defs import Icptr

SS, KDE, MDE = 1, 1 << 13, 1 << 15
PSTATE_SS = 1 << 21
EL1_UNMASKED = 0x1C5  # EL1h with PSTATE.D clear
#: DBGBCR: enabled, all bytes, for EL1 or EL0; HMC and SSC clear.
BP_EL1, BP_EL0 = 1 | 1 << 1 | 0xF << 5, 1 | 2 << 1 | 0xF << 5
LINKED, CONTEXT, LINKED_CONTEXT = 1 << 20, 2 << 20, 3 << 20


def ldr(rt, rn):
    return 0xF9400000 | rn << 5 | rt


def str_(rt, rn):
    return 0xF9000000 | rn << 5 | rt


def ldrb(rt, rn):
    return 0x39400000 | rn << 5 | rt


LDXR, LDXP, STP, LDTR = 0xC85F7C41, 0xC87F0C41, 0xA9000041, 0xF8400841  # x1 (, x3 or x0), [x2]


@pytest.fixture(scope="module")
def guest():
    return BareGuest()


def run_to_breakpoint(guest, pstate=EL1_UNMASKED, mdscr=KDE | MDE, at=4, extra=None, **pairs):
    """Three instructions and a breakpoint at the second."""
    regs = {"MDSCR_EL1": mdscr, **(extra or {})}
    contextidr = pairs.pop("contextidr_el1", 0)
    for name, value in pairs.items():
        regs[f"{name.upper()}_EL1"] = guest.code + at if value is None else value
    return guest.run([NOP, NOP, NOP], pstate=pstate, regs=regs, contextidr_el1=contextidr)


# --- breakpoints ----------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(6))
@pytest.mark.parametrize(
    ("pstate", "control", "ec"), [(EL1_UNMASKED, BP_EL1, 0x31), (EL0T, BP_EL0, 0x30)]
)
def test_breakpoint(guest, n, pstate, control, ec):
    out = run_to_breakpoint(guest, pstate, **{f"dbgbvr{n}": None, f"dbgbcr{n}": control})
    assert out.hvc == (SYNC_CURRENT if pstate & 4 else SYNC_LOWER)
    assert (out.regs["ESR_EL1"], out.regs["ELR_EL1"]) == (esr(ec, 0x22), out.code + 4)
    assert out.regs["FAR_EL1"] == 0


QUIET = {
    "MDE clear": {"mdscr": KDE},
    "KDE clear": {"mdscr": MDE},
    "D masked": {"pstate": EL1H},
    "OS lock": {"extra": {"OSLSR_EL1": 10}},
    "double lock": {"extra": {"OSDLR_EL1": 1}},
    "not enabled": {"dbgbcr0": BP_EL1 & ~1},
    "for EL0": {"dbgbcr0": BP_EL0},
    "for neither": {"dbgbcr0": 1 | 0xF << 5},
    "Secure only": {"dbgbcr0": BP_EL1 | 2 << 14},
    "another address": {"at": 64},
    "linked to nothing": {"dbgbcr0": BP_EL1 | LINKED | 5 << 16},
    "linked to an address": {"dbgbcr0": BP_EL1 | LINKED | 2 << 16, "dbgbcr2": BP_EL1 | 0},
    "context on breakpoint 0": {"dbgbcr0": BP_EL1 | CONTEXT, "dbgbvr0": 0},
    "reserved kind": {"dbgbcr0": BP_EL1 | 15 << 20},
}


@pytest.mark.parametrize("why", QUIET)
def test_no_breakpoint(guest, why):
    out = run_to_breakpoint(guest, **({"dbgbvr0": None, "dbgbcr0": BP_EL1} | QUIET[why]))
    assert out.hvc == END


def test_el0_is_debugged_whatever_kde_and_d_say(guest):
    out = run_to_breakpoint(guest, EL0T | 1 << 9, mdscr=MDE, dbgbvr0=None, dbgbcr0=BP_EL0)
    assert out.regs["ESR_EL1"] == esr(0x30, 0x22)


def test_double_lock_with_power_kept(guest):
    out = run_to_breakpoint(guest, extra={"OSDLR_EL1": 1, "DBGPRCR_EL1": 1}, dbgbvr0=None,
                            dbgbcr0=BP_EL1)  # fmt: skip
    assert out.regs["ESR_EL1"] == esr(0x31, 0x22)


@pytest.mark.parametrize(("context", "hits"), [(0x1234, True), (0x1235, False)])
@pytest.mark.parametrize("n", [4, 5])
def test_linked_breakpoint(guest, n, context, hits):
    out = run_to_breakpoint(
        guest, dbgbvr0=None, dbgbcr0=BP_EL1 | LINKED | n << 16, contextidr_el1=context,
        **{f"dbgbvr{n}": 0x1234, f"dbgbcr{n}": BP_EL1 | LINKED_CONTEXT},
    )  # fmt: skip
    assert out.hvc == (SYNC_CURRENT if hits else END)
    if hits:
        assert out.regs["ELR_EL1"] == out.code + 4


@pytest.mark.parametrize(("context", "hits"), [(0x1234, True), (0x1235, False)])
def test_context_breakpoint(guest, context, hits):
    out = run_to_breakpoint(guest, dbgbvr5=0x1234, dbgbcr5=BP_EL1 | CONTEXT,
                            contextidr_el1=context)  # fmt: skip
    assert out.hvc == (SYNC_CURRENT if hits else END)
    if hits:
        assert out.regs["ELR_EL1"] == out.code


def test_breakpoints_written_by_the_guest_count_at_once(guest):
    target = guest.code + 16
    out = guest.run(
        [msr("DBGBVR0_EL1", 1), msr("DBGBCR0_EL1", 2), msr("MDSCR_EL1", 3), word("isb"), NOP, NOP],
        pstate=EL1_UNMASKED, x={1: target, 2: BP_EL1, 3: KDE | MDE},
    )  # fmt: skip
    assert (out.regs["ESR_EL1"], out.regs["ELR_EL1"]) == (esr(0x31, 0x22), target)


def test_brk_ignores_all_locks_and_masks(guest):
    out = guest.run([word("brk", i=1)], regs={"OSLSR_EL1": 10, "OSDLR_EL1": 1})
    assert out.regs["ESR_EL1"] == esr(0x3C, 1)


# --- watchpoints ----------------------------------------------------------------------------


def wcr(pac=1, lsc=3, bas=0xFF, mask=0, enabled=1, link=0):
    return enabled | pac << 1 | lsc << 3 | bas << 5 | mask << 24 | link


def watched(value, control):
    """Every byte that DBGWVR and DBGWCR select, near DATA."""
    bas, mask = control >> 5 & 0xFF, control >> 24 & 31
    if mask:
        if mask < 3 or bas != 0xFF:
            return set()
        start = value & ~((1 << mask) - 1)
        return set(range(start, start + (1 << mask)))
    if value & 4:
        return {(value & ~3) + i for i in range(4) if bas >> i & 1}
    return {(value & ~7) + i for i in range(8) if bas >> i & 1}


ACCESSES = [
    (ldr(1, 2), 8, "load"),
    (ldrb(1, 2), 1, "load"),
    (str_(1, 2), 8, "store"),
    (LDXR, 8, "load"),
]


mostly_both = st.sampled_from([0, 1, 2, 3, 3, 3, 3])


@settings(max_examples=250, deadline=None)
@given(
    st.integers(0, 15),
    st.sampled_from(ACCESSES),
    mostly_both,
    mostly_both,
    st.integers(0, 0xFF) | st.just(0xFF),
    st.sampled_from([0, 0, 0, 3, 4, 5, 1]),
    st.sampled_from([0, 4, 8, 12]),
    st.sampled_from([EL1_UNMASKED, EL0T]),
)
def test_watchpoints_against_a_list_of_bytes(guest, at, access, pac, lsc, bas, mask, base, pstate):
    instruction, size, kind = access
    if size == 8:
        at &= ~7  # the MMU is off, and memory is Device memory
    value, control = DATA + base, wcr(pac, lsc, bas, mask)
    out = guest.run(
        [instruction],
        pstate=pstate,
        x={2: DATA + at},
        regs={"MDSCR_EL1": KDE | MDE, "DBGWVR2_EL1": value, "DBGWCR2_EL1": control},
    )
    seen = sorted(set(range(DATA + at, DATA + at + size)) & watched(value, control))
    level = 1 if pstate & 4 else 2
    if seen and pac & level and lsc & (1 if kind == "load" else 2):
        iss = 0x22 | (kind == "store") << 6
        assert out.regs["ESR_EL1"] == esr(0x35 if pstate & 4 else 0x34, iss)
        assert (out.regs["FAR_EL1"], out.regs["ELR_EL1"]) == (seen[0], out.code)
    elif pstate & 4:
        assert out.hvc == END
    else:
        assert out.regs["ESR_EL1"] == esr(0x15, END)


def test_a_watched_store_stores_nothing(guest):
    guest.ram.array[DATA - CODE :][:16] = 0x55
    out = guest.run(
        [STP],
        pstate=EL1_UNMASKED,
        x={0: 1, 1: 2, 2: DATA},
        regs={"MDSCR_EL1": KDE | MDE, "DBGWVR0_EL1": DATA, "DBGWCR0_EL1": wcr()},
    )
    assert out.regs["ESR_EL1"] == esr(0x35, 0x62)
    assert (guest.ram.array[DATA - CODE :][:16] == 0x55).all()


def test_unprivileged_accesses_are_those_of_el0(guest):
    for pac, hits in [(1, False), (2, True)]:
        out = guest.run([LDTR], pstate=EL1_UNMASKED, x={2: DATA},
                        regs={"MDSCR_EL1": KDE | MDE, "DBGWVR0_EL1": DATA,
                              "DBGWCR0_EL1": wcr(pac=pac)})  # fmt: skip
        assert out.hvc == (SYNC_CURRENT if hits else END)


@pytest.mark.parametrize(("context", "hits"), [(7, True), (8, False)])
def test_linked_watchpoint(guest, context, hits):
    out = guest.run(
        [ldr(1, 2)], pstate=EL1_UNMASKED, x={2: DATA}, contextidr_el1=context,
        regs={"MDSCR_EL1": KDE | MDE, "DBGWVR3_EL1": DATA,
              "DBGWCR3_EL1": wcr(link=1 << 20 | 4 << 16),
              "DBGBVR4_EL1": 7, "DBGBCR4_EL1": BP_EL1 | LINKED_CONTEXT},
    )  # fmt: skip
    assert out.hvc == (SYNC_CURRENT if hits else END)


# --- software step --------------------------------------------------------------------------

STEP, STEP_PLAIN, STEP_EXCLUSIVE = 0x22, 0x22 | 1 << 24, 0x22 | 1 << 24 | 1 << 6


@pytest.mark.parametrize(
    ("instruction", "iss", "offset"),
    [(NOP, STEP_PLAIN, 4), (0x14000003, STEP_PLAIN, 12), (ldr(1, 2), STEP_PLAIN, 4),
     (LDXR, STEP_EXCLUSIVE, 4), (LDXP, STEP_EXCLUSIVE, 4)],
)  # fmt: skip
@pytest.mark.parametrize("pstate", [EL0T, EL1_UNMASKED])
def test_one_step(guest, instruction, iss, offset, pstate):
    out = guest.run([instruction, NOP, NOP, NOP], pstate=pstate | PSTATE_SS, x={2: DATA},
                    regs={"MDSCR_EL1": SS | KDE})  # fmt: skip
    assert out.regs["ESR_EL1"] == esr(0x33 if pstate & 4 else 0x32, iss)
    assert out.regs["ELR_EL1"] == out.code + offset
    assert out.regs["SPSR_EL1"] == pstate


def test_a_step_that_is_pending_comes_first(guest):
    out = guest.run([0, NOP], pstate=EL0T, regs={"MDSCR_EL1": SS})
    assert (out.regs["ESR_EL1"], out.regs["ELR_EL1"]) == (esr(0x32, STEP), out.code)


@pytest.mark.parametrize("why", ["SS clear", "D masked", "KDE clear", "OS lock"])
def test_no_step(guest, why):
    regs = {"MDSCR_EL1": SS | KDE}
    pstate = EL1_UNMASKED
    if why == "SS clear":
        regs["MDSCR_EL1"] = KDE
    elif why == "D masked":
        pstate = EL1H
    elif why == "KDE clear":
        regs["MDSCR_EL1"] = SS
    else:
        regs["OSLSR_EL1"] = 10
    assert guest.run([NOP, NOP], pstate=pstate, regs=regs).hvc == END


def test_a_system_call_is_a_step_that_is_over(guest):
    out = guest.run([word("svc", i=5)], pstate=EL0T | PSTATE_SS, regs={"MDSCR_EL1": SS})
    assert (out.regs["ESR_EL1"], out.regs["SPSR_EL1"]) == (esr(0x15, 5), EL0T)


def test_a_fault_is_not_a_step(guest):
    out = guest.run([0], pstate=EL0T | PSTATE_SS, regs={"MDSCR_EL1": SS})
    assert (out.regs["ESR_EL1"], out.regs["SPSR_EL1"]) == (esr(0), EL0T | PSTATE_SS)


def test_what_the_host_resolves_is_not_a_step(guest):
    out = guest.run([ldr(1, 2)], pstate=EL0T | PSTATE_SS, x={2: 0x0900_0000},
                    regs={"MDSCR_EL1": SS})  # fmt: skip
    assert (out.icptr, out.pc) == (Icptr.HOST_ACCESS_EXCEPTION, out.code)
    assert out.pstate == EL0T | PSTATE_SS


@pytest.mark.parametrize("ss", [0, PSTATE_SS])
def test_stepping_begins_with_a_return(guest, ss):
    """ERET to EL0 with SPSR.SS: one instruction of it, or none."""
    target = guest.code + 8
    out = guest.run([ERET, NOP, NOP, NOP], regs={"MDSCR_EL1": SS, "SPSR_EL1": EL0T | ss,
                                                 "ELR_EL1": target})  # fmt: skip
    assert out.regs["ESR_EL1"] == esr(0x32, STEP_PLAIN if ss else STEP)
    assert out.regs["ELR_EL1"] == target + (4 if ss else 0)


def test_a_return_from_where_stepping_is_active_does_not_begin_it_again(guest):
    out = guest.run([ERET, NOP, NOP], pstate=EL1_UNMASKED | PSTATE_SS,
                    regs={"MDSCR_EL1": SS | KDE, "SPSR_EL1": EL1_UNMASKED | PSTATE_SS,
                          "ELR_EL1": guest.code + 4})  # fmt: skip
    assert out.regs["ESR_EL1"] == esr(0x33, STEP_PLAIN)
    assert out.regs["ELR_EL1"] == out.code + 4


def test_a_return_without_stepping_drops_ss(guest):
    out = guest.run([ERET, NOP], regs={"SPSR_EL1": EL1H | PSTATE_SS, "ELR_EL1": guest.code + 4})
    assert (out.hvc, out.pstate) == (END, EL1H)


def test_stepping_a_whole_program(guest):
    """A debugger at EL1 that steps EL0 until its system call: HVC 1 and ERET at each step."""
    target = guest.code + 64
    program = [ERET] + [NOP] * 15 + [NOP, NOP, ldr(1, 2), NOP, word("svc", i=3)]
    out = guest.run(
        program,
        end=False,
        x={2: DATA},
        regs={"MDSCR_EL1": SS, "SPSR_EL1": EL0T | PSTATE_SS, "ELR_EL1": target},
    )
    elrs = []
    processor = guest.last
    while out.hvc == SYNC_LOWER and out.regs["ESR_EL1"] >> 26 == 0x32 and len(elrs) < 9:
        elrs.append(out.regs["ELR_EL1"] - target)
        # As a debugger returns: SPSR.SS set, back to where it was.
        out = guest.resume(processor, pc=out.code, spsr=EL0T | PSTATE_SS)
    assert elrs == [4, 8, 12, 16]
    assert out.regs["ESR_EL1"] == esr(0x15, 3)
