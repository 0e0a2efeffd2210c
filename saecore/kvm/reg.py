"""Ids of KVM_GET_ONE_REG and KVM_SET_ONE_REG by name. Floor 9.

Core registers are constants and functions, system registers are found by `sysreg`, or by the
name of a register this machine has: ``reg.SCTLR_EL1``.

Source: fact sheet uapi.md section 3.

>>> hex(X(1)), hex(PC), hex(V(31)), hex(sysreg(3, 0, 1, 0, 0))
('0x6030000000100002', '0x6030000000100040', '0x60400000001000d0', '0x603000000013c080')
>>> name_of(0x603000000013df1a)
'TIMER_CNT'
"""

import operator
from typing import Final, SupportsIndex

from saecore import _sysregs
from saecore.kvm import uapi

ARM64: Final = 0x6000_0000_0000_0000
SIZE_SHIFT: Final = 52
SIZE_MASK: Final = 0xF << SIZE_SHIFT
COPROC_MASK: Final = 0x0FFF_0000
CORE: Final = 0x0010_0000
DEMUX: Final = 0x0011_0000
SYSREG: Final = 0x0013_0000
FW: Final = 0x0014_0000
SVE: Final = 0x0015_0000


def size_of(id: int) -> int:
    """Bytes of a register, by its id.

    >>> size_of(FPSR), size_of(V(0))
    (4, 16)
    """
    return 1 << ((id & SIZE_MASK) >> SIZE_SHIFT)


def make_id(coproc: int, index: int, size: int) -> int:
    """An id from its parts; `size` in bytes, a power of two.

    >>> make_id(CORE, 0x40, 8) == PC
    True
    """
    return ARM64 | (size.bit_length() - 1) << SIZE_SHIFT | coproc | index


_CORE = {
    f"{field.name}{n}" if field.length > 1 else field.name: (
        make_id(CORE, (field.offset + n * field.size) // 4, field.size)
    )
    for field in uapi.REGS_LAYOUT
    for n in range(field.length)
}


def _indexed(field: str, letter: str, count: int, n: SupportsIndex) -> int:
    number = operator.index(n)
    if not 0 <= number < count:
        raise ValueError(f"{letter}({number}): use 0 to {count - 1}")
    return _CORE[f"{field}{number}"]


def X(n: SupportsIndex) -> int:
    """Id of a general register, 0 to 30.

    >>> hex(X(30))
    '0x603000000010003c'
    """
    return _indexed("regs", "X", 31, n)


def V(n: SupportsIndex) -> int:
    """Id of a vector register, 0 to 31: 128 bits.

    >>> hex(V(0))
    '0x6040000000100054'
    """
    return _indexed("vregs", "V", 32, n)


SP: Final = _CORE["sp"]
PC: Final = _CORE["pc"]
PSTATE: Final = _CORE["pstate"]
SP_EL1: Final = _CORE["sp_el1"]
ELR_EL1: Final = _CORE["elr_el1"]
SPSR_EL1: Final = _CORE["spsr0"]
SPSR_ABT: Final = _CORE["spsr1"]
SPSR_UND: Final = _CORE["spsr2"]
SPSR_IRQ: Final = _CORE["spsr3"]
SPSR_FIQ: Final = _CORE["spsr4"]
FPSR: Final = _CORE["fpsr"]
FPCR: Final = _CORE["fpcr"]


def sysreg(op0: int, op1: int, crn: int, crm: int, op2: int) -> int:
    """Id of a system register by its encoding.

    >>> hex(sysreg(3, 3, 14, 0, 0))
    '0x603000000013df00'
    """
    return make_id(SYSREG, op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2, 8)


#: The timers' ids. CVAL and CNT of the virtual timer carry each other's encoding: an accident
#: that is permanent.
TIMER_CTL: Final = sysreg(3, 3, 14, 3, 1)
TIMER_CVAL: Final = sysreg(3, 3, 14, 0, 2)
TIMER_CNT: Final = sysreg(3, 3, 14, 3, 2)
PTIMER_CTL: Final = sysreg(3, 3, 14, 2, 1)
PTIMER_CVAL: Final = sysreg(3, 3, 14, 2, 2)
PTIMER_CNT: Final = sysreg(3, 3, 14, 0, 1)

#: Firmware registers.
PSCI_VERSION: Final = make_id(FW, 0, 8)
ARCH_WORKAROUND_1: Final = make_id(FW, 1, 8)
ARCH_WORKAROUND_2: Final = make_id(FW, 2, 8)
ARCH_WORKAROUND_3: Final = make_id(FW, 3, 8)


_BY_NAME = {
    row.name: sysreg(row.op0, row.op1, row.crn, row.crm, row.op2)
    for row in _sysregs.SYSREGS
    if row.home != _sysregs.Home.INSTRUCTION
}
_NAMES = {
    **{id: name for name, id in _BY_NAME.items()},
    **{X(n): f"X{n}" for n in range(31)},
    **{V(n): f"V{n}" for n in range(32)},
    **{
        id: name
        for name, id in globals().copy().items()
        if name.isupper() and isinstance(id, int) and id >> 56 == ARM64 >> 56 and id != ARM64
    },
}


def name_of(id: int) -> str:
    """The name of a register, by its id.

    Raises `KeyError` for one this module has no name for.

    >>> name_of(PC), name_of(X(3)), name_of(sysreg(3, 0, 1, 0, 0))
    ('PC', 'X3', 'SCTLR_EL1')
    """
    return _NAMES[id]


def __getattr__(name: str) -> int:
    """The id of a system register by its name."""
    if name in _BY_NAME:
        return _BY_NAME[name]
    raise AttributeError(f"no register {name!r}: use sysreg(op0, op1, crn, crm, op2)")


def CCSIDR(n: SupportsIndex) -> int:
    """Id of CCSIDR_EL1 under one value of CSSELR_EL1, 0 to 13: 32 bits.

    >>> hex(CCSIDR(2))
    '0x6020000000110002'
    """
    number = operator.index(n)
    if not 0 <= number < 14:
        raise ValueError(f"CCSIDR({number}): use 0 to 13")
    return make_id(DEMUX, number, 4)
