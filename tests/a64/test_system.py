"""System instructions as a guest sees them.

Judge: the Arm architecture's access tables and syndrome formats, written out here as numbers;
what another emulator says of the same is in tests/differential.
"""

import pytest
from bare_guest import (
    ABOVE,
    DATA,
    EL0T,
    EL1H,
    EL1T,
    END,
    MMU,
    NOP,
    SYNC_CURRENT,
    SYNC_CURRENT_SP0,
    SYNC_LOWER,
    BareGuest,
    esr,
    mrs,
    msr,
    sys,
    word,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saecore._cpu import cpu_model
from saecore._defs import HCR_APK, HCR_GUEST, Feature, Icptr
from saecore._sysregs import SYSREGS, Gate, Home, Right, Special, find

RW = 1 << 31
SCTLR = 0x30D0_0800
ALL_ONES = 2**64 - 1


@pytest.fixture(scope="module")
def guest():
    return BareGuest(cpu_model(with_=["PAUTH"]))


@pytest.fixture(scope="module")
def base_guest():
    return BareGuest(cpu_model("base"))


@pytest.fixture(scope="module")
def mapped(guest):
    guest.map_flat()
    return guest


def iss(name, rt, read):
    """The syndrome of a trapped access, field by field."""
    row = find(name)
    return (row.op0 << 20 | row.op2 << 17 | row.op1 << 14 | row.crn << 10 | rt << 5
            | row.crm << 1 | read)  # fmt: skip


# --- registers ------------------------------------------------------------------------------

#: Writing these at random ends the run, or changes what running means.
_NOT_AT_RANDOM = {"SCTLR_EL1", "TTBR0_EL1", "TTBR1_EL1", "TCR_EL1", "MDSCR_EL1", "OSDLR_EL1",
                  "DBGPRCR_EL1", "VBAR_EL1", "SPSel", "HCR_EL2"}  # fmt: skip
WORDS = [row for row in SYSREGS if row.home is Home.SAVED and row.el1 is Right.RW
         and row.special is Special.NONE and row.name not in _NOT_AT_RANDOM]  # fmt: skip


@pytest.mark.parametrize("row", WORDS, ids=lambda row: row.name)
def test_a_register_keeps_what_its_mask_says(guest, row):
    for value in (ALL_ONES, 0x0123_4567_89AB_CDEF, 0):
        # What HCR_EL2 does not let be, it traps.
        regs = {"HCR_EL2": 1 << 31 | HCR_APK}
        out = guest.run([msr(row.name, 1), mrs(2, row.name)], x={1: value, 2: 7}, regs=regs)
        assert out.hvc == END
        assert out.x[2] == out.regs[row.name] == value & row.mask


ZEROS = [row for row in SYSREGS if row.home is Home.ZERO and row.el1 & Right.R]


@pytest.mark.parametrize("row", ZEROS, ids=lambda row: row.name)
def test_a_register_without_a_home_reads_zero(guest, row):
    program = [msr(row.name, 1)] if row.el1 & Right.W else []
    out = guest.run([*program, mrs(2, row.name)], x={1: ALL_ONES, 2: 7})
    assert (out.hvc, out.x[2]) == (END, 0)


MODEL = [row for row in SYSREGS if row.model]


@pytest.mark.parametrize("row", MODEL, ids=lambda row: row.name)
@pytest.mark.parametrize("name", ["base", "default"])
def test_identification_comes_from_the_model(guest, base_guest, name, row):
    which = guest if name == "default" else base_guest
    out = which.run([mrs(2, row.name)], x={2: 7})
    assert (out.hvc, out.x[2]) == (END, which.model.registers[row.name])


@pytest.mark.parametrize("row", [r for r in SYSREGS if not r.el1 & Right.W], ids=lambda r: r.name)
def test_what_cannot_be_written_is_undefined(guest, row):
    if row.op0 == 1:
        return
    out = guest.run([NOP, msr(row.name, 1)])
    assert (out.hvc, out.regs["ESR_EL1"]) == (SYNC_CURRENT, esr(0))
    assert out.regs["ELR_EL1"] == out.code + 4


@pytest.mark.parametrize("row", [r for r in SYSREGS if not r.el0], ids=lambda r: r.name)
def test_what_is_not_for_el0_is_undefined_there(guest, row):
    rights = row.el1
    instruction = sys(row.name) if row.op0 == 1 else (
        mrs(1, row.name) if rights & Right.R else msr(row.name, 1))  # fmt: skip
    # HCR traps do not come before that.
    out = guest.run([instruction], pstate=EL0T, regs={"HCR_EL2": HCR_GUEST})
    assert (out.hvc, out.regs["ESR_EL1"]) == (SYNC_LOWER, esr(0))


GATES = {
    Gate.UCT: ("SCTLR_EL1", 1 << 15),
    Gate.UMA: ("SCTLR_EL1", 1 << 9),
    Gate.DZE: ("SCTLR_EL1", 1 << 14),
    Gate.UCI: ("SCTLR_EL1", 1 << 26),
    Gate.COUNTER_P: ("CNTKCTL_EL1", 1),
    Gate.COUNTER_V: ("CNTKCTL_EL1", 2),
    Gate.COUNTER_ANY: ("CNTKCTL_EL1", 2),
    Gate.TIMER_P: ("CNTKCTL_EL1", 1 << 9),
    Gate.TIMER_V: ("CNTKCTL_EL1", 1 << 8),
    Gate.DCC: ("MDSCR_EL1", 1 << 12),
}


@pytest.mark.parametrize("row", [r for r in SYSREGS if r.gate], ids=lambda r: r.name)
def test_el1_opens_and_shuts_gates_for_el0(mapped, row):
    register, bit = GATES[row.gate]
    read = bool(row.el0 & Right.R)
    rt = 5
    instruction = sys(row.name, rt) if row.op0 == 1 else (
        mrs(rt, row.name) if read else msr(row.name, rt))  # fmt: skip
    for is_set in (False, True):
        is_open = is_set != (row.gate is Gate.DCC)
        values = MMU | {register: MMU.get(register, 0) | (bit if is_set else 0)}
        out = mapped.run([instruction], pstate=EL0T, regs=values, x={rt: DATA + ABOVE})
        assert out.hvc == SYNC_LOWER
        expected = esr(0x15, END) if is_open else esr(0x18, iss(row.name, rt, read))
        assert out.regs["ESR_EL1"] == expected
        assert out.regs["ELR_EL1"] == out.code + (8 if is_open else 0)


@pytest.mark.parametrize("row", [r for r in SYSREGS if r.trap], ids=lambda r: r.name)
def test_hcr_hands_accesses_to_the_hypervisor(guest, row):
    out = guest.run([NOP, mrs(9, row.name)], x={9: 7}, regs={"HCR_EL2": HCR_GUEST})
    assert out.icptr is Icptr.SYNCHRONOUS_EXCEPTION
    assert (out.esr, out.pc, out.x[9]) == (esr(0x18, iss(row.name, 9, True)), out.code + 4, 7)
    assert out.insns == 1


def test_el0_reads_of_ctr_trap_as_well(guest):
    out = guest.run([mrs(3, "CTR_EL0")], pstate=EL0T,
                    regs={"HCR_EL2": HCR_GUEST, "SCTLR_EL1": SCTLR | 1 << 15})  # fmt: skip
    assert out.icptr is Icptr.SYNCHRONOUS_EXCEPTION
    assert out.esr == esr(0x18, iss("CTR_EL0", 3, True))


@pytest.mark.parametrize(("encoding", "op0"), [("sys", 1), ("sysl", 1), ("msr", 3), ("mrs", 3)])
def test_implementation_defined_space(guest, encoding, op0):
    fields = {"p": 3, "n": 11, "m": 2, "q": 5, "t": 4}
    if op0 == 3:
        fields["o"] = 1
    trapped = guest.run([word(encoding, **fields)], regs={"HCR_EL2": HCR_GUEST})
    read = encoding in ("sysl", "mrs")
    syndrome = op0 << 20 | 5 << 17 | 3 << 14 | 11 << 10 | 4 << 5 | 2 << 1 | read
    assert (trapped.esr, trapped.pc) == (esr(0x18, syndrome), trapped.code)
    for pstate, hcr, vector in [(EL1H, RW, SYNC_CURRENT), (EL0T, HCR_GUEST, SYNC_LOWER)]:
        out = guest.run([word(encoding, **fields)], pstate=pstate, regs={"HCR_EL2": hcr})
        assert (out.hvc, out.regs["ESR_EL1"]) == (vector, esr(0))


#: Op0, Op1, CRn, CRm, Op2 of encodings without a register.
encodings = st.tuples(st.integers(2, 3), st.integers(0, 7), st.integers(0, 15),
                      st.integers(0, 15), st.integers(0, 7))  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(encodings, st.sampled_from(["mrs", "msr"]), st.sampled_from([EL1H, EL0T]))
def test_what_is_in_no_table_is_undefined(guest, code, encoding, pstate):
    op0, op1, crn, crm, op2 = code
    key = op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2
    if any(row.key == key for row in SYSREGS):
        return
    out = guest.run([word(encoding, o=op0 - 2, p=op1, n=crn, m=crm, q=op2, t=1)], pstate=pstate)
    assert out.regs["ESR_EL1"] == esr(0)
    assert out.hvc == (SYNC_CURRENT if pstate & 4 else SYNC_LOWER)


@pytest.mark.parametrize("row", [r for r in SYSREGS if r.feature], ids=lambda r: r.name)
def test_without_the_feature_it_is_undefined(base_guest, row):
    needs_fp = row.feature & Feature.FP
    which = BareGuest(cpu_model("base", without=["FP"])) if needs_fp else base_guest
    out = which.run([sys(row.name) if row.op0 == 1 else mrs(1, row.name)])
    assert (out.hvc, out.regs["ESR_EL1"]) == (SYNC_CURRENT, esr(0))


# --- special registers ----------------------------------------------------------------------


def test_nzcv(guest):
    for nzcv in range(16):
        out = guest.run([msr("NZCV", 1), mrs(2, "NZCV"), msr("NZCV", 3), mrs(4, "NZCV")],
                        x={1: nzcv << 28 | 0xFFF_FFFF, 3: (15 - nzcv) << 28})  # fmt: skip
        assert (out.x[2], out.x[4]) == (nzcv << 28, (15 - nzcv) << 28)
        assert out.pstate >> 28 == 15 - nzcv


@pytest.mark.parametrize(("pstate", "level"), [(EL1H, 4), (EL1T, 4)])
def test_current_el(guest, pstate, level):
    assert guest.run([mrs(1, "CurrentEL")], pstate=pstate).x[1] == level


def test_daif(guest):
    out = guest.run([
        mrs(1, "DAIF"), word("msr_daifclr", m=15), mrs(2, "DAIF"), word("msr_daifset", m=5),
        mrs(3, "DAIF"), word("msr_daifclr", m=4), mrs(4, "DAIF"), msr("DAIF", 5), mrs(6, "DAIF"),
    ], x={5: ALL_ONES})  # fmt: skip
    assert out.x[1:5] == [0x3C0, 0, 0x140, 0x40]
    assert out.x[6] == 0x3C0


def test_daif_from_el0(guest):
    program = [word("msr_daifset", m=3), mrs(1, "DAIF"), word("msr_daifclr", m=1), mrs(2, "DAIF")]
    out = guest.run(program, pstate=EL0T, regs={"SCTLR_EL1": SCTLR | 1 << 9})
    assert (out.x[1], out.x[2]) == (0xC0, 0x80)
    for at, (instruction, op2) in enumerate([(program[0], 6), (program[2], 7)]):
        out = guest.run([NOP] * at + [instruction], pstate=EL0T, regs={"SCTLR_EL1": SCTLR})
        crm = 3 if op2 == 6 else 1
        syndrome = op2 << 17 | 3 << 14 | 4 << 10 | 31 << 5 | crm << 1
        assert out.regs["ESR_EL1"] == esr(0x18, syndrome)


@pytest.mark.parametrize(
    ("name", "bit", "levels"),
    [("PAN", 22, (EL1H,)), ("UAO", 23, (EL1H,)), ("DIT", 24, (EL1H, EL0T)),
     ("SSBS", 12, (EL1H, EL0T))],
)  # fmt: skip
def test_pstate_bits(guest, name, bit, levels):
    on, off = word(f"msr_{name.lower()}", m=1), word(f"msr_{name.lower()}", m=0)
    for pstate in levels:
        out = guest.run([on, mrs(1, name), off, mrs(2, name), msr(name, 3), mrs(4, name),
                         msr(name, 5), mrs(6, name)], pstate=pstate,
                        x={3: ALL_ONES, 5: ~(1 << bit) & ALL_ONES})  # fmt: skip
        assert [out.x[n] for n in (1, 2, 4, 6)] == [1 << bit, 0, 1 << bit, 0]
        assert out.hvc == (END if pstate & 4 else SYNC_LOWER)


def test_stack_pointers(guest):
    out = guest.run([mrs(1, "SP_EL0"), msr("SP_EL0", 2), mrs(3, "SP_EL0"), mrs(4, "SPSel")],
                    x={2: 0x8000}, sp_el0=0x7000, sp_el1=0x9000)  # fmt: skip
    assert (out.x[1], out.x[3], out.x[4]) == (0x7000, 0x8000, 1)
    assert (out.block["sp_el0"], out.block["sp_el1"]) == (0x8000, 0x9000)
    # MOV X1, SP and MOV SP, X2 around a change of the one in use.
    mov_from, mov_to = 0x910003E1, 0x9100005F
    out = guest.run([word("msr_spsel", m=0), mov_from, mov_to, mrs(4, "SPSel"), msr("SPSel", 5)],
                    x={2: 0x100, 5: ALL_ONES}, sp_el0=0x7000, sp_el1=0x9000)  # fmt: skip
    assert (out.x[1], out.x[4]) == (0x7000, 0)
    assert (out.block["sp_el0"], out.block["sp_el1"], out.pstate & 1) == (0x100, 0x9000, 1)


@pytest.mark.parametrize("instruction", [mrs(1, "SP_EL0"), msr("SP_EL0", 1)])
def test_the_stack_pointer_in_use_has_no_name(guest, instruction):
    out = guest.run([instruction], pstate=EL1T, sp_el0=0x7000)
    assert (out.hvc, out.regs["ESR_EL1"]) == (SYNC_CURRENT_SP0, esr(0))
    assert out.block["sp_el0"] == 0x7000


def test_floating_point_control(guest):
    program = [msr("FPCR", 1), mrs(2, "FPCR"), msr("FPSR", 1), mrs(3, "FPSR")]
    out = guest.run(program, x={1: ALL_ONES}, regs={"CPACR_EL1": 3 << 20})
    assert (out.x[2], out.x[3]) == (0x07C8_0000, 0x0800_009F)
    assert (out.block["fpcr"], out.block["fpsr"]) == (0x07C8_0000, 0x0800_009F)


@pytest.mark.parametrize("fpen", range(4))
@pytest.mark.parametrize("pstate", [EL1H, EL0T])
@pytest.mark.parametrize("instruction", [mrs(1, "FPCR"), msr("FPSR", 1)])
def test_cpacr_traps_floating_point_control(guest, fpen, pstate, instruction):
    out = guest.run([instruction], pstate=pstate, regs={"CPACR_EL1": fpen << 20})
    trapped = fpen != 3 and (fpen != 1 or pstate == EL0T)
    if trapped:
        assert out.regs["ESR_EL1"] == esr(0x07, 0x1E << 20)
    elif pstate == EL0T:
        assert out.regs["ESR_EL1"] == esr(0x15, END)
    else:
        assert out.hvc == END


def test_writing_cpacr_counts_at_once(guest):
    out = guest.run([msr("CPACR_EL1", 1), word("isb"), mrs(2, "FPCR"), msr("CPACR_EL1", 31),
                     word("isb"), mrs(2, "FPCR")], x={1: 3 << 20})  # fmt: skip
    assert (out.hvc, out.regs["ELR_EL1"]) == (SYNC_CURRENT, out.code + 20)


def test_sctlr_keeps_only_what_the_processor_has(guest, base_guest):
    # Not the MMU, and no alignment checks.
    value = ALL_ONES & ~(1 | 2)
    for which, ssbs_epan, span in [(guest, 1 << 44 | 1 << 57, 0), (base_guest, 0, 1 << 23)]:
        out = which.run([msr("SCTLR_EL1", 1), mrs(2, "SCTLR_EL1")], x={1: value})
        assert out.x[2] & (1 << 44 | 1 << 57) == ssbs_epan
        assert not out.x[2] & (1 << 24 | 1 << 25)
        out = which.run([msr("SCTLR_EL1", 31), mrs(2, "SCTLR_EL1")])
        assert out.x[2] == span


def test_dczid_tells_el0_whether_it_may(guest):
    for dze in (0, 1):
        out = guest.run([mrs(1, "DCZID_EL0")], pstate=EL0T,
                        regs={"SCTLR_EL1": SCTLR | dze << 14})  # fmt: skip
        assert out.x[1] == (4 if dze else 0x14)
    assert guest.run([mrs(1, "DCZID_EL0")]).x[1] == 4


def test_cache_sizes(guest):
    out = guest.run([msr("CSSELR_EL1", 1), mrs(2, "CCSIDR_EL1"), msr("CSSELR_EL1", 3),
                     mrs(4, "CCSIDR_EL1")], x={1: 0, 3: 1})  # fmt: skip
    assert (out.x[2], out.x[4]) == (2, 2)


def test_claim_tags(guest):
    program = [
        mrs(1, "DBGCLAIMSET_EL1"), msr("DBGCLAIMSET_EL1", 2), mrs(3, "DBGCLAIMCLR_EL1"),
        msr("DBGCLAIMCLR_EL1", 4), mrs(5, "DBGCLAIMCLR_EL1"),
    ]  # fmt: skip
    out = guest.run(program, x={2: 0x1F0F, 4: 0x3})
    assert (out.x[1], out.x[3], out.x[5]) == (0xFF, 0x0F, 0x0C)


def test_os_lock(guest):
    out = guest.run([mrs(1, "OSLSR_EL1"), msr("OSLAR_EL1", 2), mrs(3, "OSLSR_EL1"),
                     msr("OSLAR_EL1", 31), mrs(4, "OSLSR_EL1")], x={2: 1})  # fmt: skip
    assert (out.x[1], out.x[3], out.x[4]) == (8, 10, 8)


def test_contextidr(guest):
    out = guest.run([msr("CONTEXTIDR_EL1", 1), mrs(2, "CONTEXTIDR_EL1")], x={1: ALL_ONES})
    assert (out.x[2], out.block["contextidr_el1"]) == (0xFFFF_FFFF, 0xFFFF_FFFF)


@pytest.mark.parametrize(("bit", "isr"), [(6, 1 << 6), (7, 1 << 7), (8, 1 << 8)])
def test_isr_shows_virtual_interrupts(guest, bit, isr):
    assert guest.run([mrs(1, "ISR_EL1")], regs={"HCR_EL2": RW | 1 << bit}).x[1] == isr


# --- timers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["CNTP", "CNTV"])
def test_timer_registers(guest, name):
    program = [
        msr(f"{name}_CVAL_EL0", 1), msr(f"{name}_CTL_EL0", 2), mrs(3, f"{name}_CTL_EL0"),
        msr(f"{name}_CVAL_EL0", 4), mrs(5, f"{name}_CTL_EL0"), mrs(6, f"{name}_TVAL_EL0"),
        msr(f"{name}_TVAL_EL0", 7), mrs(8, f"{name}_CVAL_EL0"), mrs(9, "CNTVCT_EL0"),
    ]  # fmt: skip
    out = guest.run(program, x={1: ALL_ONES, 2: 7, 4: 0, 7: 0xFFFF_FFFF})
    # ISTATUS is not stored, and follows the compare value whatever ENABLE says.
    assert (out.x[3], out.x[5]) == (3, 7)
    assert out.x[6] <= 0xFFFF_FFFF
    # TVAL is signed: minus one is a compare value in the past.
    assert 0 <= out.x[9] - out.x[8] < 10**10
    assert out.block[f"{name.lower()}_ctl"] == 3


def test_counters_agree_and_follow_the_offset(guest):
    out = guest.run([mrs(1, "CNTVCT_EL0"), mrs(2, "CNTPCT_EL0"), mrs(3, "CNTVCT_EL0")])
    assert out.x[1] <= out.x[2] <= out.x[3] < out.x[1] + 10**9
    moved = guest.run([mrs(1, "CNTVCT_EL0")], gpto=1 << 60)
    assert 0 < moved.x[1] - (1 << 60) - out.x[1] < 10**12
