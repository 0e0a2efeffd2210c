"""One SIMD&FP instruction on many operands: a loop in a guest, the same for every processor.

The instruction reads V0, V1, V2 and X4, and writes V3 (or reads that, too), X5, NZCV and FPSR.
What it starts from and comes to are records in memory.
"""

import numpy as np
import unicorn
from bare_guest import CODE, DATA, ROWS, BareGuest, Outcome, execute, word
from bare_guest import END as END_OF_PROGRAM
from unicorn import arm64_const as arm

from saecore import Icptr, cpu_model

START = np.dtype([("v", "u8", (4, 2)), ("x", "u8"), ("fpsr", "u4"), ("nzcv", "u4")])
END = np.dtype([("v", "u8", 2), ("x", "u8"), ("nzcv", "u4"), ("fpsr", "u4")])
RD, RN, RM, RA, XD, XN = 3, 0, 1, 2, 5, 4
#: How many operands go through one run.
BATCH = 4096
_IN = DATA + 0x3_0000
_OUT = _IN + BATCH * START.itemsize
_OPEN = 3 << 20  # CPACR_EL1.FPEN
_MSR_FPCR, _ISB = 0xD51B4409, 0xD5033FDF


def program(insn):
    """X0: records to read, X1: to write, X2: how many, X9: FPCR."""
    loop = [
        0xAD400400,  # LDP Q0, Q1, [X0]
        0xAD410C02,  # LDP Q2, Q3, [X0, #32]
        0xA9441804,  # LDP X4, X6, [X0, #64]
        0x91014000,  # ADD X0, X0, #80
        0xD360FCC7,  # LSR X7, X6, #32
        0xD51B4426,  # MSR FPSR, X6
        0xD51B4207,  # MSR NZCV, X7
        insn,
        0xD53B4207,  # MRS X7, NZCV
        0xD53B4428,  # MRS X8, FPSR
        0x3D800023,  # STR Q3, [X1]
        0xF9000825,  # STR X5, [X1, #16]
        0x29032027,  # STP W7, W8, [X1, #24]
        0x91008021,  # ADD X1, X1, #32
        0xD1000442,  # SUB X2, X2, #1
    ]
    return [_MSR_FPCR, _ISB, *loop, 0xB5000002 | (-len(loop) & 0x7FFFF) << 5]  # CBNZ X2


def fill(encoding, **fields):
    """The instruction of a row, on the registers of the loop but for the fields given."""
    registers = {"m": RM, "n": RN, "a": RA, "d": RD} | fields
    known = ROWS[encoding].fields
    return word(encoding, **{name: registers[name] for name in known if name in registers})


class Ours:
    """The processor under test."""

    def __init__(self, model="max"):
        self.guest = BareGuest(cpu_model(model))

    def run(self, insn, fpcr, starts):
        """What comes of the starting records; `None` if the instruction is none."""
        memory = self.guest.ram.array[_IN - CODE :]
        memory[: starts.nbytes] = starts.view("u1")
        outcome = self.guest.run(
            program(insn),
            x={0: _IN, 1: _OUT, 2: len(starts), 9: fpcr},
            regs={"CPACR_EL1": _OPEN},
        )
        while outcome.icptr is Icptr.SPURIOUS:
            self.guest.last.lasrm()
            outcome = Outcome(self.guest.last, 0, *execute(self.guest.last))
        if outcome.hvc != END_OF_PROGRAM:
            return None
        at = _OUT - _IN
        return memory[at : at + len(starts) * END.itemsize].view(END).copy()


class Theirs:
    """Unicorn."""

    def __init__(self, cpu=arm.UC_CPU_ARM64_MAX):
        self.uc = uc = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        uc.ctl_set_cpu_model(cpu)
        uc.mem_map(CODE, 1 << 20)
        uc.reg_write(arm.UC_ARM64_REG_CPACR_EL1, _OPEN)

    def run(self, insn, fpcr, starts):
        uc, code = self.uc, np.array(program(insn), "<u4")
        uc.mem_write(CODE, code.tobytes())
        uc.ctl_flush_tb()
        uc.mem_write(_IN, starts.tobytes())
        for register, value in ((0, _IN), (1, _OUT), (2, len(starts)), (5, 0), (9, fpcr)):
            uc.reg_write(arm.UC_ARM64_REG_X0 + register, value)
        try:
            uc.emu_start(CODE, CODE + code.nbytes)
        except unicorn.UcError:
            return None
        return np.frombuffer(uc.mem_read(_OUT, len(starts) * END.itemsize), END)
