"""System registers and exception returns, against Unicorn at EL1."""

import pytest
from bare_guest import CODE, END, ERET, BareGuest, mrs, msr
from hypothesis import given, settings
from hypothesis import strategies as st
from unicorn import UC_ARCH_ARM64, UC_HOOK_INTR, UC_MODE_ARM, Uc, arm64_const

from saecore._cpu import cpu_model
from saecore._defs import HCR_API, HCR_APK, HCR_RW, MDSCR_SS
from saecore._sysregs import SYSREGS, Home, Right, Special

#: Registers this processor has and Unicorn's "max" has not.
UNKNOWN_TO_UNICORN = {
    "DIT", "SSBS", "DBGPRCR_EL1", "DBGCLAIMSET_EL1", "DBGCLAIMCLR_EL1", "DBGDTR_EL0",
    "DBGDTRTX_EL0", "OSDTRRX_EL1", "OSDTRTX_EL1", "OSECCR_EL1",
}  # fmt: skip
#: Registers the two hold differently, each for a reason.
NOT_COMPARED = {
    # Unicorn ignores them: an MRS leaves Xt as it was.
    "OSDLR_EL1", "MDCCINT_EL1",
    # Implementation defined: zero there, storage here.
    "AFSR0_EL1", "AFSR1_EL1",
    # They count, or are computed from what counts; Unicorn has no timers.
    "CNTP_TVAL_EL0", "CNTV_TVAL_EL0", "CNTP_CTL_EL0", "CNTV_CTL_EL0", "CNTP_CVAL_EL0",
    "CNTV_CVAL_EL0",
    # Writing them at random changes what the next instruction is.
    "SCTLR_EL1", "TCR_EL1", "SPSel", "SP_EL0",
}  # fmt: skip
WRITABLE = [
    row for row in SYSREGS if row.el1 is Right.RW and row.op0 != 1 and row.name not in NOT_COMPARED
]


class Unicorn:
    """Unicorn with the same instructions, each program at a place of its own."""

    def __init__(self):
        self.restart()

    def restart(self):
        self.uc = Uc(UC_ARCH_ARM64, UC_MODE_ARM)
        self.uc.ctl_set_cpu_model(arm64_const.UC_CPU_ARM64_MAX)
        self.uc.mem_map(CODE, 1 << 16)
        # EL1 is in AArch64 (HCR_EL2.RW, SCR_EL3.RW) and Non-secure: without, ERET to it is illegal.
        # Neither traps the keys of pointer authentication.
        hcr, scr = HCR_RW | HCR_API | HCR_APK, 1 << 10 | 1 | 3 << 16
        for key, value in (((1, 1, 3, 4, 0), hcr), ((1, 1, 3, 6, 0), scr)):
            self.uc.reg_write(arm64_const.UC_ARM64_REG_CP_REG, (*key, value))
        self.uc.hook_add(UC_HOOK_INTR, self.interrupted)
        self.at = CODE

    def interrupted(self, uc, number, _):
        self.exception = number
        uc.emu_stop()

    def run(self, program, **registers):
        """The exception of a program, or None."""
        if self.at >= CODE + (1 << 16) - 256:
            self.restart()
        self.at += 64
        self.exception = None
        code = b"".join(word.to_bytes(4, "little") for word in program)
        self.uc.mem_write(self.at, code)
        for name, value in registers.items():
            self.write(name, value)
        self.uc.emu_start(self.at, self.at + len(code), count=len(program))
        return self.exception

    def write(self, name, value):
        self.uc.reg_write(getattr(arm64_const, f"UC_ARM64_REG_{name}"), value)

    def read(self, name):
        return self.uc.reg_read(getattr(arm64_const, f"UC_ARM64_REG_{name}"))


@pytest.fixture(scope="module")
def ours():
    return BareGuest(cpu_model(with_=["PAUTH"]))


@pytest.fixture(scope="module")
def theirs():
    return Unicorn()


# Addresses in breakpoints have 49 bits and their sign.
values = st.integers(-(2**48), 2**48 - 1).map(lambda n: n % 2**64)


@pytest.mark.parametrize("row", WRITABLE, ids=lambda row: row.name)
@settings(max_examples=4, deadline=None)
@given(values)
def test_a_register_reads_back_alike(ours, theirs, row, value):
    if row.name == "MDSCR_EL1":
        value &= ~MDSCR_SS  # Unicorn would step at once, and from then on
    program = [msr(row.name, 1), mrs(2, row.name)]
    exception = theirs.run(program, X1=value, X2=7)
    assert (exception is not None) == (row.name in UNKNOWN_TO_UNICORN)
    if exception is not None:
        return
    regs = {"CPACR_EL1": 3 << 20, "HCR_EL2": HCR_RW | HCR_APK}
    out = ours.run(program, x={1: value, 2: 7}, regs=regs)
    assert out.hvc == END
    mask = {Special.NZCV: 0xF << 28, Special.DAIF: 0xF << 6}.get(row.special, row.mask)
    if row.name.startswith("DBGBCR"):
        mask &= ~(0xF << 5)  # BAS should be ones; Unicorn has AArch32, and uses it
    assert out.x[2] & mask == (0 if row.home is Home.ZERO else theirs.read("X2") & mask)


#: PSTATE bits of SPSR that both implement: NZCV, UAO, PAN, IL, DAIF, mode.
COMPARED = 0xF << 28 | 1 << 23 | 1 << 22 | 1 << 20 | 0xF << 6 | 0x1F


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**32 - 1).map(lambda n: n & ~(1 << 4)))
def test_exception_returns_alike(ours, theirs, spsr):
    """Not to AArch32, which Unicorn has."""
    theirs.restart()
    program = [msr("SPSR_EL1", 1), msr("ELR_EL1", 2), ERET]
    assert theirs.run(program, X1=spsr, X2=CODE + 0x800) is None
    out = ours.run([ERET], regs={"SPSR_EL1": spsr, "ELR_EL1": CODE + 0x800}, max_insns=1)
    assert out.pc == theirs.read("PC") == CODE + 0x800
    # An illegal return takes PAN from SPSR (SetPSTATEFromPSR); Unicorn leaves it.
    compared = COMPARED & ~(1 << 22) if spsr & 0x1F not in (0, 4, 5) else COMPARED
    # Unicorn sees to the flags by themselves.
    pstate = theirs.read("PSTATE") & ~(0xF << 28) | theirs.read("NZCV") & 0xF << 28
    assert out.pstate & compared == pstate & compared
