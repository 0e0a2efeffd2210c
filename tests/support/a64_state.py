"""What two A64 processors start from and what they come to: one record, and one small machine.

The machine is the same for both: two megabytes of memory with stage-1 tables, pages of programs,
an exception vector of endless loops, and a window of data pages of every permission.
"""

from typing import NamedTuple

import numpy as np

from saecore._defs import (
    MODE_EL0T,
    MODE_EL1H,
    MODE_EL1T,
    PSTATE_DAIF,
    PSTATE_DIT,
    PSTATE_NZCV,
    PSTATE_PAN,
    PSTATE_SP,
    SCTLR_DSSBS,
    SCTLR_SPAN,
)

#: System registers that instructions may read and write here, and that are compared. Writing
#: any of them changes nothing else of what a program does.
SYSTEM_REGISTERS = {
    "ELR_EL1": (3, 0, 4, 0, 1),
    "SPSR_EL1": (3, 0, 4, 0, 0),
    "ESR_EL1": (3, 0, 5, 2, 0),
    "FAR_EL1": (3, 0, 6, 0, 0),
    "TPIDR_EL0": (3, 3, 13, 0, 2),
    "TPIDRRO_EL0": (3, 3, 13, 0, 3),
    "TPIDR_EL1": (3, 0, 13, 0, 4),
}
#: Parts of PSTATE that have a name of their own; those programs may read and write, too.
PSTATE_REGISTERS = {
    "NZCV": (3, 3, 4, 2, 0),
    "DAIF": (3, 3, 4, 2, 1),
    "CurrentEL": (3, 0, 4, 2, 2),
    "SPSel": (3, 0, 4, 2, 0),
    "SP_EL0": (3, 0, 4, 1, 0),
}

STATE = np.dtype(
    [
        ("x", "u8", 31),
        ("sp_el0", "u8"),
        ("sp_el1", "u8"),
        ("pc", "u8"),
        ("pstate", "u8"),
        ("fpcr", "u8"),
        ("fpsr", "u8"),
        ("v", "u8", (32, 2)),
        ("system", "u8", len(SYSTEM_REGISTERS)),
    ]
)
#: Where a program came to. With `took` it is the state in which it took an exception to EL1, pc
#: being the preferred return address; esr, and far if the class has one, are its syndrome.
OUTCOME = np.dtype([("state", STATE), ("took", "u1"), ("esr", "u8"), ("far", "u8")])

# --- memory -------------------------------------------------------------------------------
PAGE = 4096
RAM = 0x4000_0000
RAM_BYTES = 2 << 20
SETUP, VECTORS, CODE, DATA, TABLES = (RAM + offset for offset in (0, 0x1000, 0x1_0000, 0x2_0000,
                                                                  0x10_0000))
SLOT = 128  # bytes a program has
SLOTS = (DATA - CODE) // SLOT - 1
DATA_PAGES = 16
#: Virtual address of the data pages; the upper half of the address space has them, too.
DATA_VA = 0x7FF0_0000
HIGH = 0xFFFF_0000_0000_0000
STAY = 0x14000000  # B .

_AF, _EL0, _RO, _PAGE = 1 << 10, 1 << 6, 1 << 7, 3
#: Attributes of data pages that are not plain.
_ODD_PAGES = {1: _AF | _EL0 | _RO, 2: _AF, 4: _EL0, 12: None, 14: _AF | _RO}


class Image:
    """The memory of the machine, as 64-bit words, and its table allocator."""

    def __init__(self):
        self.words = np.zeros(RAM_BYTES // 8, "u8")
        self.bytes = self.words.view("u1")
        self._free = TABLES
        self.root = self._table()
        for page in range((DATA - RAM) // PAGE):
            self.map(RAM + page * PAGE, RAM + page * PAGE, _AF | _EL0 | _RO)
        for page in range(DATA_PAGES):
            self.map(DATA_VA + page * PAGE, DATA + page * PAGE, _ODD_PAGES.get(page, _AF | _EL0))
        self.at(VECTORS, PAGE).view("u4")[:] = STAY
        self.at(CODE, DATA - CODE).view("u4")[:] = STAY

    def at(self, address, size):
        """The bytes of guest-physical memory there."""
        return self.bytes[address - RAM : address - RAM + size]

    def _table(self):
        self._free += PAGE
        return self._free - PAGE

    def descriptor(self, va):
        """Address of the level-3 descriptor of a page; tables above it are made."""
        table = self.root
        for shift in (39, 30, 21):
            entry = self.at(table + 8 * (va >> shift & 511), 8).view("u8")
            if not entry[0]:
                entry[0] = self._table() | 3
            table = int(entry[0]) & 0xFFFF_FFFF_F000
        return table + 8 * (va >> 12 & 511)

    def map(self, va, pa, attributes):
        entry = self.at(self.descriptor(va), 8).view("u8")
        entry[0] = 0 if attributes is None else pa | attributes | _PAGE


# --- setting the machine up ---------------------------------------------------------------
TCR = 16 | 16 << 16 | 2 << 30 | 5 << 32  # 48-bit halves, 4K granules
SCTLR_ON = 1 | 1 << 2 | 1 << 12  # M, C, I
SCTLR_FIXED = 1 << 11 | 1 << 20 | 1 << 22 | 1 << 28 | 1 << 29  # RES1 in Armv8.0
SCTLR_OF_EL0 = 1 << 9 | 1 << 14 | 1 << 15 | 1 << 16 | 1 << 18 | 1 << 26  # UMA ... UCI


class Setup(NamedTuple):
    """Translation and control registers programs run under."""

    sctlr: int = SCTLR_ON | SCTLR_FIXED | SCTLR_OF_EL0 | SCTLR_SPAN | 3 << 3
    tcr: int = TCR
    cpacr: int = 3 << 20

    def registers(self, root):
        """Encoding and value of every register to write, in order."""
        return [
            ((3, 0, 10, 2, 0), 0xFF),  # MAIR: normal memory
            ((3, 0, 2, 0, 2), self.tcr),
            ((3, 0, 2, 0, 0), root),
            ((3, 0, 2, 0, 1), root),
            ((3, 0, 12, 0, 0), VECTORS),
            ((3, 0, 1, 0, 2), self.cpacr),
            ((3, 0, 1, 0, 0), self.sctlr),
        ]


#: EL0 may do what EL1 lets it; and it may not. (WFI it always may: to Unicorn the end of a run
#: is one.)
SETUPS = {
    "open": Setup(),
    "closed": Setup(sctlr=SCTLR_ON | SCTLR_FIXED | 1 << 16, tcr=TCR | 3 << 37),  # top bytes ignored
    "trapped": Setup(cpacr=1 << 20),  # SIMD&FP is for EL1 only
}


def msr(register, rt):
    """MSR register, Xt"""
    op0, op1, crn, crm, op2 = register
    return 0xD5000000 | op0 << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5 | rt


def move(rd, value):
    """MOVZ and MOVK that put a 64-bit value into Xd."""
    return [
        (0xF2800000 if part else 0xD2800000) | part << 21 | (value >> 16 * part & 0xFFFF) << 5 | rd
        for part in range(4)
    ]


ISB, CLREX = 0xD5033FDF, 0xD503305F


def setup_program(setup, root):
    """Instructions, to run at `SETUP` with stage 1 off, that set the machine up."""
    words = [0xD508871F]  # TLBI VMALLE1
    for register, value in setup.registers(root):
        words += [*move(0, value), msr(register, 0), ISB]
    return [*words, STAY]


# --- PSTATE -------------------------------------------------------------------------------
MODES = {"el0": MODE_EL0T, "el1t": MODE_EL1T, "el1h": MODE_EL1H}


def sp_in_use(pstate):
    """Name of the SP that instructions use."""
    return "sp_el1" if pstate & PSTATE_SP else "sp_el0"


def entered(pstate, sctlr, features_pan=True):
    """PSTATE when an exception has been taken to EL1 (sae.md 10), and the vector's offset."""
    new = pstate & (PSTATE_NZCV | PSTATE_DIT | PSTATE_PAN) | PSTATE_DAIF | MODE_EL1H
    if features_pan and not sctlr & SCTLR_SPAN:
        new |= PSTATE_PAN
    if sctlr & SCTLR_DSSBS:
        new |= 1 << 12
    mode = pstate & 0x1F
    offset = 0x400 if mode == MODE_EL0T else 0x000 if mode == MODE_EL1T else 0x200
    return new, offset


def has_far(esr):
    """Whether an exception of this syndrome writes FAR_EL1: aborts, and a misaligned PC."""
    return np.isin(esr >> np.uint64(26), (0x20, 0x21, 0x22, 0x24, 0x25, 0x34, 0x35))
