"""Instructions of the system group that are no register accesses, as a guest sees them.

Judge: the Arm architecture's rules and syndrome formats, written out here as numbers.
"""

import numpy as np
import pytest
from bare_guest import (
    ABOVE,
    CODE,
    DATA,
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
    VECTORS,
    BareGuest,
    esr,
    hvc,
    mrs,
    msr,
    sys,
    word,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from saecore._cpu import cpu_model
from saecore._defs import HCR_GUEST, Icptr
from saecore._sysregs import SYSREGS

RW = 1 << 31
SCTLR = 0x30D0_0800


@pytest.fixture(scope="module")
def guest():
    return BareGuest()


@pytest.fixture(scope="module")
def base_guest():
    return BareGuest(cpu_model("base"))


@pytest.fixture(scope="module")
def mapped(guest):
    guest.map_flat()
    return guest


# --- exceptions by instruction --------------------------------------------------------------


def test_svc(guest):
    for pstate, vector in [(EL1H, SYNC_CURRENT), (EL1T, SYNC_CURRENT_SP0), (EL0T, SYNC_LOWER)]:
        out = guest.run([NOP, word("svc", i=0x1234)], pstate=pstate | 0xA << 28)
        assert (out.hvc, out.regs["ESR_EL1"]) == (vector, esr(0x15, 0x1234))
        assert (out.regs["ELR_EL1"], out.regs["SPSR_EL1"]) == (out.code + 8, pstate | 0xA << 28)
        assert out.insns == 3


def test_brk(guest):
    out = guest.run([NOP, word("brk", i=0xABCD)])
    assert (out.hvc, out.regs["ESR_EL1"]) == (SYNC_CURRENT, esr(0x3C, 0xABCD))
    assert out.regs["ELR_EL1"] == out.code + 4


def test_hvc_and_smc(guest):
    out = guest.run([NOP, hvc(7)])
    assert (out.esr, out.pc, out.insns) == (esr(0x16, 7), out.code + 8, 2)
    out = guest.run([NOP, word("smc", i=9)], regs={"HCR_EL2": HCR_GUEST})
    assert (out.esr, out.pc) == (esr(0x17, 9), out.code + 4)
    out = guest.run([NOP, word("smc", i=9)])
    assert out.regs["ESR_EL1"] == esr(0)


@pytest.mark.parametrize("key", ["hvc", "smc", "eret", "msr_pan", "msr_uao", "msr_spsel"])
def test_el1_instructions_are_undefined_at_el0(guest, key):
    out = guest.run([word(key)], pstate=EL0T, regs={"HCR_EL2": HCR_GUEST})
    assert (out.hvc, out.regs["ESR_EL1"]) == (SYNC_LOWER, esr(0))


@pytest.mark.parametrize("key", ["hlt", "dcps1", "dcps2", "dcps3", "drps"])
@pytest.mark.parametrize("pstate", [EL1H, EL0T])
def test_debug_state_instructions_are_undefined(guest, key, pstate):
    assert guest.run([word(key)], pstate=pstate).regs["ESR_EL1"] == esr(0)


@pytest.mark.parametrize("key", ["msr_pan", "msr_uao", "msr_ssbs", "msr_dit", "sb"])
def test_newer_instructions_need_their_feature(base_guest, guest, key):
    assert base_guest.run([word(key)]).regs["ESR_EL1"] == esr(0)
    assert guest.run([word(key)]).hvc == END


# --- ERET -----------------------------------------------------------------------------------

KEPT = 0xF << 28 | 0xF << 6 | 1 << 24 | 1 << 23 | 1 << 22 | 1 << 12


@pytest.mark.parametrize("mode", range(32))
def test_exception_return(guest, mode):
    """Every mode of SPSR: three are legal, the others set IL and stay."""
    spsr = KEPT | mode
    out = guest.run([ERET, NOP, NOP, NOP], regs={"SPSR_EL1": spsr, "ELR_EL1": guest.code + 12})
    if mode in (0, 4, 5):
        # The program's end: HVC, or at EL0 undefined.
        assert out.hvc == (END if mode else SYNC_LOWER)
        seen = out.pstate if mode else out.regs["SPSR_EL1"]
        assert seen == spsr
    else:
        assert (out.hvc, out.regs["ESR_EL1"]) == (SYNC_CURRENT, esr(0x0E))
        assert out.regs["ELR_EL1"] == out.code + 12
        # NZCV, PAN and DAIF come back all the same.
        assert out.regs["SPSR_EL1"] == 0xF << 28 | 1 << 22 | 1 << 20 | 0x3C5


def test_exception_return_with_il_set(guest):
    out = guest.run([ERET, NOP], regs={"SPSR_EL1": 0x3C5 | 1 << 20, "ELR_EL1": guest.code + 4})
    assert (out.hvc, out.regs["ESR_EL1"]) == (SYNC_CURRENT, esr(0x0E))


def test_exception_return_drops_what_is_not_implemented(base_guest):
    out = base_guest.run([ERET, NOP], regs={"SPSR_EL1": 0xFFFF_FFFF & ~0x10001A | 5,
                                            "ELR_EL1": base_guest.code + 4})  # fmt: skip
    assert out.pstate == 0xF << 28 | 0x3C5


# --- waiting --------------------------------------------------------------------------------


def test_wfi_waits(guest):
    out = guest.run([NOP, word("wfi")])
    assert (out.icptr, out.pc) == (Icptr.SPURIOUS, out.code + 4)


def test_wfi_does_not_wait_for_what_is_there(guest):
    for bit in (6, 7, 8):
        assert guest.run([word("wfi")], regs={"HCR_EL2": RW | 1 << bit}).hvc == END


def test_wfe_takes_an_event(guest):
    for key in ("sev", "sevl"):
        out = guest.run([word(key), word("wfe"), word("wfe")])
        assert out.hvc == END  # without an event it is a yield


@pytest.mark.parametrize(("key", "bit", "event"), [("wfi", 16, 0), ("wfe", 18, 1)])
def test_waiting_at_el0(guest, key, bit, event):
    # An ERET sets the event register; WFE takes it first.
    first = [word("wfe")] if event else []
    out = guest.run([*first, word(key)], pstate=EL0T,
                    regs={"SCTLR_EL1": SCTLR & ~(1 << bit)})  # fmt: skip
    assert (out.hvc, out.regs["ESR_EL1"]) == (SYNC_LOWER, esr(0x01, 0x1E << 20 | event))


@pytest.mark.parametrize(("key", "bit", "event"), [("wfi", 13, 0), ("wfe", 14, 1)])
def test_waiting_trapped_by_the_hypervisor(guest, key, bit, event):
    out = guest.run([word(key)] * 2, regs={"HCR_EL2": RW | 1 << bit})
    assert out.esr == esr(0x01, 0x1E << 20 | event)
    assert out.pc in (out.code, out.code + 4)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 15), st.integers(0, 7))
def test_hints_do_nothing(guest, crm, op2):
    if crm == 0 and op2 in (2, 3):
        return
    before = guest.run([])
    out = guest.run([word("hint", m=crm, q=op2)])
    assert (out.hvc, out.x, out.pstate) == (END, before.x, before.pstate)


def test_barriers_do_nothing_visible(guest):
    program = [word("dsb", m=15), word("dmb", m=11), word("isb"), word("clrex"), word("sb")]
    out = guest.run([*program, word("dsb"), word("dsb", m=4)])
    assert out.hvc == END


# --- caches and addresses -------------------------------------------------------------------


@pytest.mark.parametrize("pstate", [EL1H, EL0T])
def test_dc_zva(mapped, pstate):
    data = mapped.ram.array[DATA - CODE :][:256]
    data[:] = 0xAA
    out = mapped.run([sys("DC ZVA", 1)], pstate=pstate, x={1: DATA + ABOVE + 64 + 17},
                     regs=MMU | {"SCTLR_EL1": MMU["SCTLR_EL1"] | 1 << 14})  # fmt: skip
    assert out.hvc == (END if pstate & 4 else SYNC_LOWER)
    expected = np.full(256, 0xAA, np.uint8)
    expected[64:128] = 0
    assert (data == expected).all()


def test_dc_zva_faults(mapped):
    # On Device memory, as all is with the MMU off: an alignment fault, of a write.
    out = mapped.run([sys("DC ZVA", 1)], x={1: DATA + 8})
    assert (out.regs["ESR_EL1"], out.regs["FAR_EL1"]) == (esr(0x25, 0x61), DATA + 8)
    # Where it may not write: a permission fault at level 1.
    out = mapped.run([sys("DC ZVA", 1)], x={1: DATA + 8}, regs=MMU)
    assert (out.regs["ESR_EL1"], out.regs["FAR_EL1"]) == (esr(0x25, 0x4D), DATA + 8)


@pytest.mark.parametrize("name", ["DC CVAU", "DC CIVAC", "DC IVAC", "IC IVAU"])
def test_maintenance_by_address_faults(mapped, name):
    """Without a translation all do, as writes of a cache operation; IVAC needs to write."""
    nowhere = mapped.run([sys(name, 1)], x={1: 0xC000_0040}, regs=MMU)
    assert nowhere.regs["FAR_EL1"] == 0xC000_0040
    assert nowhere.regs["ESR_EL1"] == esr(0x25, 1 << 8 | 1 << 6 | 0x05)
    read_only = mapped.run([sys(name, 1)], x={1: DATA}, regs=MMU)
    if name == "DC IVAC":
        assert read_only.regs["ESR_EL1"] == esr(0x25, 1 << 8 | 1 << 6 | 0x0D)
    else:
        assert read_only.hvc == END


@pytest.mark.parametrize("row", [r for r in SYSREGS if r.op0 == 1], ids=lambda r: r.name)
def test_every_system_instruction_runs(mapped, row):
    out = mapped.run([sys(row.name, 1), NOP], x={1: DATA + ABOVE}, regs=MMU)
    assert out.hvc == END
    assert out.x[1] == DATA + ABOVE


def test_at_with_the_mmu_off(guest):
    out = guest.run([sys("AT S1E1R", 1), mrs(2, "PAR_EL1")], x={1: DATA + 0x123})
    assert out.x[2] & 1 == 0
    assert out.x[2] & 0x0000_FFFF_FFFF_F000 == DATA


def test_translation_changes_count_at_once(guest):
    """SCTLR.M and TTBR0: the same instruction reads other memory behind each change."""
    words = guest.words
    for n, table in enumerate((0x4004_0000, 0x4005_0000)):
        # Level 1, 4K granule, 39 bits: block 1 is RAM; block 2 is too, or is not there.
        words[(table - CODE) // 4 :][:1024] = 0
        entries = guest.entries(table)
        entries[1] = 0x4000_0000 | 1 << 10 | 1
        entries[2] = (0x4000_0000 | 1 << 10 | 1) if n else 0
    registers = {"TCR_EL1": 25 | 25 << 16 | 2 << 30 | 5 << 32, "MAIR_EL1": 0xFF,
                 "TTBR0_EL1": 0x4004_0000}  # fmt: skip
    at = [sys("AT S1E1R", 5), word("isb"), mrs(6, "PAR_EL1")]
    out = guest.run(
        [*at, msr("SCTLR_EL1", 1), word("isb"), sys("AT S1E1R", 5), mrs(7, "PAR_EL1"),
         msr("TTBR0_EL1", 2), sys("TLBI VMALLE1"), word("isb"), sys("AT S1E1R", 5),
         mrs(8, "PAR_EL1")],
        x={1: SCTLR | 1, 2: 0x4005_0000, 5: 0x8000_1000}, regs=registers,
    )  # fmt: skip
    assert out.hvc == END
    frame = 0x0000_FFFF_FFFF_F000
    assert out.x[6] & frame == 0x8000_1000
    # A translation fault at level 1, then the frame.
    assert (out.x[7] & 1, out.x[7] >> 1 & 0x3F) == (1, 0x05)
    assert (out.x[8] & 1, out.x[8] & frame) == (0, 0x4000_1000)


ASID, OTHER_ASID = 0x105, 0x005
PAGE_OPERAND = (DATA + ABOVE) >> 12


@pytest.mark.parametrize("shared", ["", "IS"])
@pytest.mark.parametrize(
    ("name", "operand", "drops"),
    [
        # Without any, the TLB goes on with what it has: it can tell the others apart.
        (None, 0, False),
        ("VMALLE1", 0, True),
        ("VAE1", ASID << 48 | PAGE_OPERAND, True),
        ("VALE1", ASID << 48 | PAGE_OPERAND, True),
        ("VAE1", OTHER_ASID << 48 | PAGE_OPERAND, False),
        ("VAAE1", PAGE_OPERAND, True),
        ("VAALE1", OTHER_ASID << 48 | PAGE_OPERAND, True),
        ("VAAE1", (1 << 30 >> 12), False),
        ("ASIDE1", ASID << 48, True),
        ("ASIDE1", OTHER_ASID << 48, False),
    ],
)
def test_tlb_maintenance(guest, shared, name, operand, drops):
    """Load, clear the descriptor, TLBI, load again: does the second one fault?"""
    table = 0x4006_0000
    entries = guest.entries(table)
    block = CODE | 1 << 10 | 3 << 8 | 1
    entries[1], entries[3] = block | 3 << 6, block | 1 << 6
    entries[2] = block | 1 << 6 | 1 << 11  # not global
    load, clear = 0xF9400025, 0xF900005F  # ldr x5, [x1]; str xzr, [x2]
    program = [load, clear, word("dsb", m=15), sys(f"TLBI {name}{shared}", 3) if name else NOP,
               word("dsb", m=15), word("isb"), load]  # fmt: skip
    regs = MMU | {"TTBR0_EL1": ASID << 48 | table, "TCR_EL1": MMU["TCR_EL1"] | 1 << 36}
    x = {1: DATA + ABOVE, 2: table + 2 * ABOVE + 16, 3: operand}
    out = guest.run(program, x=x, regs=regs)
    assert out.hvc == (SYNC_CURRENT if drops else END)
    if drops:
        assert (out.regs["ESR_EL1"], out.regs["FAR_EL1"]) == (esr(0x25, 0x05), DATA + ABOVE)


def test_asids_have_eight_bits_unless_tcr_says_sixteen(guest):
    """With TCR.AS clear the upper half of a TLBI operand's ASID does not count."""
    table = 0x4006_0000
    entries = guest.entries(table)
    block = CODE | 1 << 10 | 3 << 8 | 1
    entries[1], entries[2], entries[3] = block | 3 << 6, block | 1 << 6 | 1 << 11, block | 1 << 6
    program = [0xF9400025, 0xF900005F, sys("TLBI ASIDE1", 3), word("isb"), 0xF9400025]
    x = {1: DATA + ABOVE, 2: table + 2 * ABOVE + 16, 3: OTHER_ASID << 48 | 0x7 << 56}
    out = guest.run(program, x=x, regs=MMU | {"TTBR0_EL1": OTHER_ASID << 48 | table})
    assert out.regs["ESR_EL1"] == esr(0x25, 0x05)


def test_vector_table_is_where_vbar_says(guest):
    out = guest.run([msr("VBAR_EL1", 1), word("svc")], x={1: VECTORS | 0x7FF})
    assert (out.hvc, out.regs["VBAR_EL1"]) == (SYNC_CURRENT, VECTORS)


def test_counting_is_exact(guest):
    """Whatever ends blocks, each instruction counts once."""
    program = [
        NOP, mrs(1, "SCTLR_EL1"), msr("CPACR_EL1", 31), word("msr_daifclr", m=2), word("isb"),
        msr("MAIR_EL1", 31), sys("TLBI VMALLE1"), msr("TPIDR_EL0", 1),
    ]  # fmt: skip
    assert guest.run(program).insns == len(program) + 1
    for budget in range(1, len(program)):
        out = guest.run(program, max_insns=budget)
        assert (out.insns, out.pc) == (budget, out.code + 4 * budget)
