"""The system file descriptor: /dev/kvm-arm64, or /dev/kvm. Floor 9.

Source: fact sheets uapi.md sections 1.1 and 4, ipa.md sections 1, 2 and 5, sae.md section 12.
"""

import errno
import operator
from typing import Literal, SupportsIndex

import gmap
from gmap import ipa
from gmap.errors import ConfigError
from saecore._cpu import CpuModel, cpu_model
from saecore._idregs import get_field
from saecore.kvm import uapi
from saecore.kvm.errors import KvmError
from saecore.kvm.uapi import Cap
from saecore.kvm.vm import Vm, answer_capability

_DEVICES = ("kvm-arm64", "kvm")
#: ID_AA64MMFR0_EL1.PARange in bits; the module stops at 48 (ipa.md section 2).
_PA_BITS = (32, 36, 40, 42, 44, 48, 48)


class System:
    """An open KVM device.

    Parameters
    ----------
    device : {"kvm-arm64", "kvm"}
        "kvm-arm64" has VMs that run arm64 guests. "kvm" has VMs of s390 guests, of which
        only memory management is modelled: slots, faults, dirty log. They have no vCPUs.
    hamaxpow : int
        Log2 of the highest guest address of the machine (`gmap.BufferHost`).
    cpu : str or saecore._cpu.CpuModel
        The processor of the machine.

    Raises
    ------
    KvmError
        ENOENT, another device name.

    >>> from saecore import kvm
    >>> with kvm.System() as system:
    ...     system.get_api_version(), system.check_extension(kvm.uapi.Cap.ARM_VM_IPA_SIZE)
    (12, 48)
    """

    def __init__(self, device: Literal["kvm-arm64", "kvm"] = "kvm-arm64", *, hamaxpow: int = 48,
                 cpu: str | CpuModel = "default") -> None:
        if device not in _DEVICES:
            raise KvmError("open", errno.ENOENT, f'/dev/{device}: use "kvm-arm64" or "kvm"')
        self.device = device
        self.hamaxpow = hamaxpow
        self.cpu = cpu_model(cpu) if isinstance(cpu, str) else cpu
        self._closed = False
        field = get_field("ID_AA64MMFR0_EL1", "PARange", self.cpu.registers["ID_AA64MMFR0_EL1"])
        self.pa_range = _PA_BITS[min(field, len(_PA_BITS) - 1)]
        if self.arm64:
            limit = ipa.ipa_limit(hamaxpow, revision="sysreg", pa_range=self.pa_range)
        else:
            limit = ipa.ipa_limit(hamaxpow)
        self.ipa_limit = int(limit)

    @property
    def arm64(self) -> bool:
        """This is /dev/kvm-arm64."""
        return self.device == "kvm-arm64"

    def __repr__(self) -> str:
        return f"<System /dev/{self.device} cpu={self.cpu.name}>"

    def __enter__(self) -> "System":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file descriptor; VMs made with it live on."""
        self._closed = True

    def _check(self, ioctl: str) -> None:
        if self._closed:
            raise KvmError(ioctl, errno.EBADF, "the device is closed: open another System")

    def get_api_version(self) -> int:
        """KVM_GET_API_VERSION: 12.

        >>> System().get_api_version()
        12
        """
        self._check("KVM_GET_API_VERSION")
        return uapi.API_VERSION

    def get_vcpu_mmap_size(self) -> int:
        """KVM_GET_VCPU_MMAP_SIZE: `struct kvm_run`, and the coalesced ring behind it.

        >>> System().get_vcpu_mmap_size()
        8192
        """
        self._check("KVM_GET_VCPU_MMAP_SIZE")
        return uapi.VCPU_MMAP_SIZE

    def check_extension(self, cap: SupportsIndex) -> int:
        """KVM_CHECK_EXTENSION: what a capability is worth, 0 for one this module does not have.

        Notes
        -----
        ONE_REG, MP_STATE, IMMEDIATE_EXIT and others that native KVM answers 1 are 0 here though
        they work: programs must not depend on them (uapi.md A4).

        >>> system = System()
        >>> system.check_extension(Cap.NR_MEMSLOTS), system.check_extension(Cap.ONE_REG)
        (32767, 0)
        """
        self._check("KVM_CHECK_EXTENSION")
        if not self.arm64:
            slots = uapi.MAX_SLOTS - 1
            return {Cap.NR_MEMSLOTS: slots, Cap.USER_MEMORY: 1}.get(operator.index(cap), 0)  # type: ignore[call-overload, no-any-return]
        return answer_capability(cap, self.ipa_limit)

    def create_vm(self, ipa_bits: SupportsIndex = 0, *, host: gmap.BufferHost | None = None,
                  clock: Literal["host", "insns"] = "host",
                  manual_dirty_log: bool = False) -> Vm:
        """KVM_CREATE_VM.

        Parameters
        ----------
        ipa_bits : int
            The machine type: log2 of guest memory, 32 to what ARM_VM_IPA_SIZE says; 0 is 40.
            The type of a VM of "kvm" is 0.
        host : gmap.BufferHost, optional
            Memory to share with other VMs; one of its own without.
        clock : {"host", "insns"}
            What the guest's counter counts: nanoseconds, or executed instructions, with which
            the same guest runs the same way every time.
        manual_dirty_log : bool
            Have KVM_CLEAR_DIRTY_LOG, as native arm64 does and s390 does not.

        Raises
        ------
        KvmError
            EINVAL for a type this machine cannot have (ipa.md section 1).

        >>> from saecore import kvm
        >>> system = kvm.System()
        >>> system.create_vm(ipa_bits=48).gmap.ipa_bits
        48
        >>> system.create_vm(ipa_bits=31)
        Traceback (most recent call last):
            ...
        saecore.kvm.errors.KvmError: [Errno 22] KVM_CREATE_VM: EINVAL: ipa_bits 31: use 32 to 48,
        or 0 for 40
        """
        self._check("KVM_CREATE_VM")
        type = operator.index(ipa_bits)
        if clock not in ("host", "insns"):
            raise ValueError(f'clock {clock!r}: use "host" or "insns"')
        if self.arm64:
            try:
                bits = int(ipa.ipa_shift(type, ipa_limit=self.ipa_limit))
            except ConfigError as error:
                raise KvmError("KVM_CREATE_VM", error.errno,
                               f"ipa_bits {type}: use 32 to {self.ipa_limit}, or 0 for 40"
                               ) from None
        elif type:
            raise KvmError("KVM_CREATE_VM", errno.EINVAL, f"type {type:#x}: use 0 on /dev/kvm")
        else:
            bits = self.ipa_limit
        if host is None:
            host = gmap.BufferHost(hamaxpow=self.hamaxpow)
        elif host.hamaxpow != self.hamaxpow:
            raise ValueError(f"host.hamaxpow {host.hamaxpow}: the machine's is {self.hamaxpow}")
        return Vm(self, host, bits, cpu=self.cpu, arm64=self.arm64, clock=clock,
                  manual_dirty_log=manual_dirty_log)
