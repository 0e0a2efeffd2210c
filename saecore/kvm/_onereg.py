"""KVM_GET_ONE_REG, KVM_SET_ONE_REG and the register list. Floor 9.

Source: fact sheets uapi.md section 3 and upcoming.md sections 1.1 and 1.4.
"""

import errno
import operator
from typing import TYPE_CHECKING, SupportsIndex

from gmap.errors import AddressError
from saecore import _defs, _idregs, _sysregs
from saecore.kvm import reg
from saecore.kvm.errors import KvmError
from saecore.kvm.uapi import REGS_BYTES, REGS_LAYOUT

if TYPE_CHECKING:
    from saecore.kvm.vcpu import Vcpu

_GET, _SET = "KVM_GET_ONE_REG", "KVM_SET_ONE_REG"
_MODES = (_defs.MODE_EL0T, _defs.MODE_EL1T, _defs.MODE_EL1H)
_MASK64 = (1 << 64) - 1
_KVM_SLOTS = REGS_BYTES // 4
_LATEST_PSCI = 0x10003
_PSCI_VERSIONS = (2, 0x10000, 0x10001, 0x10002, _LATEST_PSCI)
_NOT_REQUIRED = 2
_NOT_REQUIRED_2 = 3
_CCSIDR_RES0 = 0xF000_0000
_OSLK = 2

#: id -> (field of Vcpu.regs, index or None)
_CORE: dict[int, tuple[str, int | None]] = {
    reg.make_id(reg.CORE, (field.offset + n * field.size) // 4, field.size): (
        "x" if field.name == "regs" else field.name, n if field.length > 1 else None
    )
    for field in REGS_LAYOUT
    for n in range(field.length)
}
#: Encoding -> row of the table, for what ONE_REG knows. The virtual timer's two ids are swapped.
_SYSREGS = {row.key: row for row in sorted(_sysregs.SYSREGS, key=lambda row: row.key)
            if row.one_reg}
_CVAL, _CNT = reg.TIMER_CVAL & 0xFFFF, reg.TIMER_CNT & 0xFFFF
_SYSREGS[_CVAL], _SYSREGS[_CNT] = _SYSREGS[_CNT], _SYSREGS[_CVAL]
#: Write-once identities: writable only with KVM_CAP_ARM_WRITABLE_IMP_ID_REGS, which is 0.
_IMPLEMENTATION = ("MIDR_EL1", "REVIDR_EL1", "AIDR_EL1")
_IDS = {row.name for row in _SYSREGS.values() if row.crn == 0 and row.op0 == 3}
_FW = (reg.PSCI_VERSION, reg.ARCH_WORKAROUND_1, reg.ARCH_WORKAROUND_2, reg.ARCH_WORKAROUND_3)


def reg_list() -> list[int]:
    """Every id, in KVM's order."""
    rows = [reg.make_id(reg.SYSREG, key, 8) for key in sorted(_SYSREGS)]
    return [*_CORE, *_FW, *rows, *(reg.CCSIDR(n) for n in range(14))]


def _missing(ioctl: str, id: int) -> KvmError:
    return KvmError(ioctl, errno.ENOENT,
                    f"register {id:#018x}: not in get_reg_list(); kvm.reg names the ids")


def _core(ioctl: str, id: int) -> tuple[str, int | None]:
    """The field of a core id, after the checks in their order."""
    offset, size = id & 0xF000_FFFF, reg.size_of(id)
    if offset >= _KVM_SLOTS or offset + size // 4 >= _KVM_SLOTS:
        raise _missing(ioctl, id)
    if id not in _CORE:
        raise KvmError(ioctl, errno.EINVAL,
                       f"core register {id:#018x}: wrong size or alignment; kvm.reg names the ids")
    return _CORE[id]


def _check(ioctl: str, id: int) -> int:
    """The coprocessor of a well-formed id."""
    if (id & ~reg.SIZE_MASK) >> 32 != reg.ARM64 >> 32:
        raise KvmError(ioctl, errno.EINVAL, f"register {id:#018x}: not an arm64 id")
    return id & reg.COPROC_MASK


def _sysreg(ioctl: str, id: int) -> _sysregs.Sysreg:
    row = _SYSREGS.get(id & 0xFFFF)
    if row is None or id != reg.make_id(reg.SYSREG, id & 0xFFFF, 8):
        raise _missing(ioctl, id)
    return row


def get(vcpu: "Vcpu", id: int) -> int:
    """The value of a register."""
    coproc = _check(_GET, id)
    if coproc == reg.CORE:
        name, n = _core(_GET, id)
        if name == "vregs":
            low, high = vcpu.regs.vregs[n]
            return int(low) | int(high) << 64
        return int(vcpu.regs[name] if n is None else vcpu.regs[name][n])
    if coproc == reg.SYSREG:
        return _get_sysreg(vcpu, _sysreg(_GET, id))
    if coproc == reg.DEMUX:
        return vcpu.vm.ccsidr(_ccsidr_index(_GET, id))
    if id == reg.PSCI_VERSION:
        return vcpu.vm.psci_version
    if id in _FW:
        return _NOT_REQUIRED_2 if id == reg.ARCH_WORKAROUND_2 else _NOT_REQUIRED
    raise _missing(_GET, id)


def _ccsidr_index(ioctl: str, id: int) -> int:
    n = id & 0xFFFF
    if n >= 14 or id != reg.CCSIDR(n):
        raise _missing(ioctl, id)
    return n


def _counter(vcpu: "Vcpu") -> int:
    """The guest's counter now."""
    return (vcpu.vm.counter_now(vcpu) + int(vcpu.block_word("gpto"))) & _MASK64


def _get_sysreg(vcpu: "Vcpu", row: _sysregs.Sysreg) -> int:
    if row.home == _sysregs.Home.SAVED:
        return vcpu.read_saved(row.name)
    if row.name in ("CNTPCT_EL0", "CNTVCT_EL0"):
        return _counter(vcpu)
    if row.name in ("CNTP_CTL_EL0", "CNTV_CTL_EL0"):
        return vcpu.block_word(row.name[:8].lower())
    return 0


def _sized(id: int, value: SupportsIndex) -> int:
    number = operator.index(value)
    size = reg.size_of(id)
    if not 0 <= number < 1 << 8 * size:
        raise AddressError(f"value {number:#x} of register {id:#018x}: use {8 * size} bits")
    return number


def set(vcpu: "Vcpu", id: int, value: SupportsIndex) -> None:
    """Set a register."""
    coproc = _check(_SET, id)
    if coproc == reg.CORE:
        name, n = _core(_SET, id)
        number = _sized(id, value)
        if name == "vregs":
            vcpu.regs.vregs[n] = number & _MASK64, number >> 64
        elif n is not None:
            vcpu.regs[name][n] = number
        elif id == reg.PSTATE and number & _defs.PSTATE_MODE not in _MODES:
            raise KvmError(_SET, errno.EINVAL,
                           f"PSTATE {number:#x}: use mode 0 (EL0t), 4 (EL1t) or 5 (EL1h)")
        else:
            vcpu.regs[name] = number
    elif coproc == reg.SYSREG:
        row = _sysreg(_SET, id)
        _set_sysreg(vcpu, row, _sized(id, value))
    elif coproc == reg.DEMUX:
        n = _ccsidr_index(_SET, id)
        number = _sized(id, value)
        if number & _CCSIDR_RES0 or number & 7 < vcpu.vm.ccsidr(n) & 7:
            raise KvmError(_SET, errno.EINVAL, f"CCSIDR {number:#x}: lines too short, or RES0 set")
        vcpu.vm.set_ccsidr(n, number)
    elif id in _FW:
        _set_firmware(vcpu, id, _sized(id, value))
    else:
        raise _missing(_SET, id)


def _set_firmware(vcpu: "Vcpu", id: int, value: int) -> None:
    """The s390 module has no feature bit for PSCI 0.2: its versions are there from the start."""
    if id == reg.PSCI_VERSION:
        fine = value in _PSCI_VERSIONS
        if fine:
            vcpu.vm.psci_version = value
    elif id == reg.ARCH_WORKAROUND_2:
        fine = not value & ~0x1F and not (value & 0x10 and value & 0xF != 2)
    else:
        fine = value <= _NOT_REQUIRED
    if not fine:
        raise KvmError(_SET, errno.EINVAL, f"firmware register {id:#x}: no such value {value:#x}")


def _set_sysreg(vcpu: "Vcpu", row: _sysregs.Sysreg, value: int) -> None:
    name = row.name
    if name in _IDS and name not in ("MPIDR_EL1", "CSSELR_EL1"):
        _set_id(vcpu, row, value)
    elif name == "CNTVCT_EL0":
        vcpu.vm.epoch = (value - vcpu.vm.counter_now(vcpu)) & _MASK64
        vcpu.set_block_word("gpto", vcpu.vm.epoch)
    elif name == "CNTPCT_EL0":
        pass  # one offset serves both counters, and CNTVCT sets it
    elif name in ("CNTP_CTL_EL0", "CNTV_CTL_EL0"):
        vcpu.set_block_word(name[:8].lower(), value & 0xFFFF_FFFF)
    elif name == "OSLSR_EL1":
        if (value ^ row.reset) & ~_OSLK:
            raise KvmError(_SET, errno.EINVAL, f"OSLSR_EL1 {value:#x}: only OSLK (2) can change")
        vcpu.write_saved(name, value)
    else:
        vcpu.write_saved(name, value & row.mask)


def _set_id(vcpu: "Vcpu", row: _sysregs.Sysreg, value: int) -> None:
    """Identification registers belong to the VM, and settle when it first runs."""
    old = _get_sysreg(vcpu, row)
    if value == old:
        return
    if vcpu.vm.has_run:
        raise KvmError(_SET, errno.EBUSY, f"{row.name}: the VM has run; set it before")
    host = vcpu.vm.cpu.registers.get(row.name, 0)
    if (row.home != _sysregs.Home.SAVED or row.name in (*_IMPLEMENTATION, "CLIDR_EL1")
            or _idregs.write_errno(row.name, old, value, host)):
        raise KvmError(_SET, errno.EINVAL,
                       f"{row.name}: {value:#x} changes fields that are fixed at {old:#x}")
    vcpu.write_saved(row.name, value)
    vcpu.vm.id_values[row.name] = value
