"""The KVM API of /dev/kvm-arm64 on s390, in Python. Floor 9.

A class for each kind of file descriptor, a method for each ioctl, a class for each exit; numbers
and layouts are in `uapi`, register ids in `reg`. See docs/kvm.md.

>>> from saecore import kvm
>>> vm = kvm.System().create_vm(ipa_bits=40)
>>> vcpu = vm.create_vcpu(0)
>>> vcpu.init(vm.preferred_target())
>>> hex(vcpu.get_one_reg(kvm.reg.PSTATE))
'0x3c5'
"""

from saecore.kvm import reg, uapi
from saecore.kvm._exits import (
    ArmLdst64b,
    ArmNisv,
    Budget,
    Debug,
    Exit,
    FailEntry,
    Hypercall,
    InternalError,
    Intr,
    MemoryFault,
    Mmio,
    SystemEvent,
    Unknown,
)
from saecore.kvm.errors import KvmError
from saecore.kvm.stats import StatsFd
from saecore.kvm.system import System
from saecore.kvm.vcpu import Vcpu, VcpuInit
from saecore.kvm.vm import Vm

__all__ = [
    "ArmLdst64b",
    "ArmNisv",
    "Budget",
    "Debug",
    "Exit",
    "FailEntry",
    "Hypercall",
    "InternalError",
    "Intr",
    "KvmError",
    "MemoryFault",
    "Mmio",
    "StatsFd",
    "System",
    "SystemEvent",
    "Unknown",
    "Vcpu",
    "VcpuInit",
    "Vm",
    "reg",
    "uapi",
]
