"""AT instructions and fetches in Unicorn: a judge of stage 1 that nobody here wrote.

A small guest program runs at EL2, where its own fetches need no tables. It sets the EL1
registers of one case after another and asks every address with six AT instructions; what
PAR_EL1 said is read back as one array.

No AT instruction asks about fetches. For those the CPU returns from EL3 straight to the address;
it either arrives there or takes a prefetch abort.
"""

import struct

import numpy as np
import unicorn
from unicorn import arm64_const as arm

#: The instructions asked, in the order of the answers: name, EL, access, PSTATE.PAN counts.
QUESTIONS = [
    ("S1E1R", 1, 0, False),
    ("S1E1W", 1, 1, False),
    ("S1E0R", 0, 0, False),
    ("S1E0W", 0, 1, False),
    ("S1E1RP", 1, 0, True),
    ("S1E1WP", 1, 1, True),
]

# Where no table of a batch is likely to point: what is here is not 0.
_CODE, _CASES, _ANSWERS, _ROOM = 0x7A5_1000_0000, 0x7A5_1100_0000, 0x7A5_1200_0000, 1 << 24
_SCR_NS_RW = 1 | 1 << 10
_HCR_RW = 1 << 31
_EL0T, _EL1H, _EL2H, _EL3H = 0x1C0, 0x1C5, 0x3C9, 0x3CD  # EL0, EL1: debug exceptions too

# System registers and instructions: op0, op1, CRn, CRm, op2.
_TTBR0, _TTBR1, _TCR = (3, 0, 2, 0, 0), (3, 0, 2, 0, 1), (3, 0, 2, 0, 2)
_MAIR, _SCTLR, _PAN = (3, 0, 10, 2, 0), (3, 0, 1, 0, 0), (3, 0, 4, 2, 3)
_PAR = (3, 0, 7, 4, 0)
_SCR_EL3, _HCR_EL2 = (3, 6, 1, 1, 0), (3, 4, 1, 1, 0)
_SPSR_EL3 = (3, 6, 4, 0, 0)
_MDSCR_EL1, _STEP = (2, 0, 0, 2, 2), 1 << 15 | 1 << 13 | 1  # MDE, KDE, SS
_ELR_EL1, _ELR_EL2, _ELR_EL3 = (3, 0, 4, 0, 1), (3, 4, 4, 0, 1), (3, 6, 4, 0, 1)
_AT = [(1, 0, 7, 8, 0), (1, 0, 7, 8, 1), (1, 0, 7, 8, 2), (1, 0, 7, 8, 3), (1, 0, 7, 9, 0),
       (1, 0, 7, 9, 1)]

_ERET, _ISB = 0xD69F03E0, 0xD5033FDF
_UNDEFINED_OR_STEP, _PREFETCH_ABORT = 1, 3  # QEMU's numbers
_NOWHERE = 2  # not a multiple of 4: no instruction is there


def _system(register, rt, read=False):
    """MSR, MRS or SYS."""
    op0, op1, crn, crm, op2 = register
    return (0xD5000000 | read << 21 | op0 << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5
            | rt)


def _load(rt, base):
    """LDR Xt, [Xn], #8"""
    return 0xF8408400 | base << 5 | rt


def _store(rt, base):
    """STR Xt, [Xn], #8"""
    return 0xF8008400 | base << 5 | rt


def _again(counter, here, target):
    """SUBS Xn, Xn, #1 and then B.NE to an earlier instruction."""
    offset = target - (here + 1)
    return [0xF1000400 | counter << 5 | counter, 0x54000001 | (offset & 0x7FFFF) << 5]


def _program():
    """X0 cases, X1 answers, X2 how many cases, X10 addresses each."""
    code = [_ERET]
    case = len(code)
    for register in (_TTBR0, _TTBR1, _TCR, _MAIR, _SCTLR, _PAN):
        code += [_load(3, 0), _system(register, 3)]
    code += [_ISB, 0xAA0A03E9]  # MOV X9, X10
    address = len(code)
    code.append(_load(4, 0))
    for question in _AT:
        code += [_system(question, 4), _system(_PAR, 5, read=True), _store(5, 1)]
    code += _again(9, len(code), address)
    code += _again(2, len(code), case)
    return code


def instruction_at(va):
    """An aligned address in the same 8 bytes, and never the first of a page.

    There Unicorn, which stops before it has decoded anything, looks at the page before as well.
    """
    return va & ~7 | 4


class Machine:
    """A CPU with every feature this Unicorn has."""

    def __init__(self):
        self._uc = uc = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        uc.ctl_set_cpu_model(arm.UC_CPU_ARM64_MAX)
        for start in (_CODE, _CASES, _ANSWERS):
            uc.mem_map(start, _ROOM)
        code = _program()
        self._end = _CODE + 4 * len(code)
        uc.mem_write(_CODE, struct.pack(f"<{len(code)}I", *code))
        self._write(_SCR_EL3, _SCR_NS_RW)
        self._write(_HCR_EL2, _HCR_RW)
        self._memory = None

    def _write(self, register, value):
        op0, op1, crn, crm, op2 = register
        self._uc.reg_write(arm.UC_ARM64_REG_CP_REG, (crn, crm, op0, op1, op2, value))

    def id_register(self, number):
        """ID_AA64MMFR0_EL1 to ID_AA64MMFR2_EL1."""
        return self._uc.reg_read(arm.UC_ARM64_REG_CP_REG, (0, 7, 3, 0, number))

    def ask(self, batch):
        """PAR_EL1 for every register set, address and question of a batch.

        Returns
        -------
        ndarray of uint64, shape (register sets, addresses, questions)
        """
        uc = self._uc
        self._map(batch)
        count, addresses = batch.vas.shape
        cases = np.empty((count, 6 + addresses), "<u8")
        cases[:, :6] = [
            [s["ttbr0"], s["ttbr1"], s["tcr"], s["mair"], s["sctlr"], s["pan"] << 22]
            for s in batch.registers
        ]
        cases[:, 6:] = batch.vas
        uc.mem_write(_CASES, cases.tobytes())
        for register, value in (
            (arm.UC_ARM64_REG_X0, _CASES), (arm.UC_ARM64_REG_X1, _ANSWERS),
            (arm.UC_ARM64_REG_X2, count), (arm.UC_ARM64_REG_X10, addresses),
        ):
            uc.reg_write(register, value)
        self._return_to(_CODE + 4, _EL2H)
        uc.emu_start(_CODE, self._end)
        if uc.reg_read(arm.UC_ARM64_REG_PC) != self._end:
            raise RuntimeError("the guest program did not reach its end")
        shape = (count, addresses, len(QUESTIONS))
        answers = uc.mem_read(_ANSWERS, int(np.prod(shape)) * 8)
        return np.frombuffer(answers, "<u8").reshape(shape).astype("u8")

    def _map(self, batch):
        if self._memory:
            self._uc.mem_unmap(*self._memory)
        self._memory = (batch.base, batch.words.nbytes)
        self._uc.mem_map(*self._memory)
        self._uc.mem_write(batch.base, batch.words.tobytes())

    def _return_to(self, address, state):
        """Prepare the exception return at the head of the program.

        It is what makes Unicorn notice that the exception level is a new one, and it takes the
        address from the level Unicorn still believes in.
        """
        self._uc.reg_write(arm.UC_ARM64_REG_PSTATE, _EL3H)
        self._write(_SPSR_EL3, state)
        for register in (_ELR_EL1, _ELR_EL2, _ELR_EL3):
            self._write(register, address)


class Fetcher(Machine):
    """A machine for fetches.

    Software step is on, and pending on arrival: the CPU fetches, and takes the step exception
    before it would decode what it fetched, which is a random word.
    """

    def __init__(self):
        super().__init__()
        self._write(_MDSCR_EL1, _STEP)
        self._taken = []
        self._uc.hook_add(unicorn.UC_HOOK_INTR, self._at_exception)

    def _at_exception(self, uc, number, data):
        self._taken.append(number)
        uc.emu_stop()

    def fetch(self, batch, addresses=4):
        """Whether EL0 and EL1 may fetch from the first addresses of each register set.

        What is fetched is `instruction_at` each address.

        Returns
        -------
        ndarray of bool, shape (register sets, addresses, 2)
        """
        self._map(batch)
        may = np.zeros((len(batch.registers), addresses, 2), bool)
        for row, registers in enumerate(batch.registers):
            for name, register in (
                ("ttbr0", _TTBR0), ("ttbr1", _TTBR1), ("tcr", _TCR), ("mair", _MAIR),
                ("sctlr", _SCTLR),
            ):
                self._write(register, registers[name])
            for column in range(addresses):
                va = instruction_at(int(batch.vas[row, column]))
                may[row, column] = self._arrives(va, _EL0T), self._arrives(va, _EL1H)
        return may

    def _arrives(self, va, state):
        """Return to an address: True at its first instruction, False at a prefetch abort."""
        self._taken.clear()
        self._uc.ctl(unicorn.UC_CTL_TLB_FLUSH, unicorn.UC_CTL_IO_WRITE)
        self._return_to(va, state)
        try:
            self._uc.emu_start(_CODE, _NOWHERE)
        except unicorn.UcError as error:
            if error.errno != unicorn.UC_ERR_FETCH_UNMAPPED:
                raise
            return True  # translated, to where this machine has no memory
        if self._taken not in ([_UNDEFINED_OR_STEP], [_PREFETCH_ABORT]):
            raise RuntimeError(f"fetch from {va:#x}: {self._taken}")
        return self._taken != [_PREFETCH_ABORT]
