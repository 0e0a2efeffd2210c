"""The vCPU file descriptor. Floor 9.

Source: fact sheets uapi.md sections 1.3, 3, 5 and 10, sae.md section 7.
"""

import errno
import os
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, SupportsIndex

from gmap.errors import AddressError
from saecore.kvm import _onereg, uapi
from saecore.kvm._vcpu import VcpuState
from saecore.kvm.errors import KvmError
from saecore.kvm.stats import VCPU_STATS, StatsFd

if TYPE_CHECKING:
    from saecore.kvm._bus import VmState
    from saecore.kvm.vm import Vm

_VALID_FEATURES = (1 << len(uapi.VcpuFeature)) - 1
#: Feature bits this machine can have; SVE and pointer authentication wait for a CPU with them.
_SUPPORTED_FEATURES = 0


class VcpuInit(NamedTuple):
    """`struct kvm_vcpu_init`: the target, and seven words of feature bits.

    >>> VcpuInit(5).with_features(uapi.VcpuFeature.SVE).features[0]
    16
    """

    target: int
    features: tuple[int, ...] = (0,) * uapi.N_FEATURE_WORDS

    def with_features(self, *bits: int) -> "VcpuInit":
        """The same with features added, by their bit numbers."""
        words = list(self.features)
        for bit in bits:
            words[bit // 32] |= 1 << bit % 32
        return self._replace(features=tuple(words))


class Vcpu(VcpuState):
    """A vCPU, made by `Vm.create_vcpu`; its methods are the ioctls of its file descriptor.

    Attributes
    ----------
    id : int
    vm : Vm

    >>> from saecore import kvm
    >>> vm = kvm.System().create_vm()
    >>> vcpu = vm.create_vcpu(0)
    >>> vcpu.init(vm.preferred_target())
    >>> vcpu.set_one_reg(kvm.reg.X(0), 7)
    >>> vcpu.get_one_reg(kvm.reg.X(0)), hex(vcpu.get_one_reg(kvm.reg.PSTATE))
    (7, '0x3c5')
    """

    def __init__(self, state: "VmState", id: int, features: int, vm: "Vm") -> None:
        self.id = id
        self.vm = vm
        self.features: tuple[int, ...] | None = None

    def __repr__(self) -> str:
        return f"<Vcpu {self.id} pc={int(self.regs.pc):#x}>"

    # --- life --------------------------------------------------------------------------------

    def init(self, init: VcpuInit) -> None:
        """KVM_ARM_VCPU_INIT: choose features, and reset.

        Parameters
        ----------
        init : VcpuInit
            From `Vm.preferred_target`.

        Raises
        ------
        KvmError
            EINVAL another target, a feature this machine does not have (POWER_OFF too), or
            other features than the first time; ENOENT a feature nobody knows.

        Notes
        -----
        A second call resets again. Revisions before v4 accepted POWER_OFF and ignored it.

        >>> from saecore import kvm
        >>> vm = kvm.System().create_vm()
        >>> vm.create_vcpu(0).init(kvm.VcpuInit(4))
        Traceback (most recent call last):
            ...
        saecore.kvm.errors.KvmError: [Errno 22] KVM_ARM_VCPU_INIT: EINVAL: target 4: use 5, what
        vm.preferred_target() says
        """
        name = "KVM_ARM_VCPU_INIT"
        self.check_alive(name, initialized=False)
        features = tuple(init.features)
        if len(features) != uapi.N_FEATURE_WORDS:
            raise ValueError(f"{len(features)} feature words: use {uapi.N_FEATURE_WORDS}")
        if init.target != uapi.TARGET_GENERIC_V8:
            raise KvmError(name, errno.EINVAL,
                           f"target {init.target}: use 5, what vm.preferred_target() says")
        if features[0] & ~_VALID_FEATURES or any(features[1:]):
            raise KvmError(name, errno.ENOENT, f"features {features}: there are no such bits")
        if features[0] & ~_SUPPORTED_FEATURES:
            missing = [f.name for f in uapi.VcpuFeature if features[0] >> f & 1]
            raise KvmError(name, errno.EINVAL,
                           f"features {', '.join(missing)}: this machine has none of them")
        if self.vm.vcpu_features not in (None, features):
            raise KvmError(name, errno.EINVAL, "the features differ from those of the first init")
        self.vm.vcpu_features = self.features = features
        self.reset(self.vm.saved_values(self.id), self.vm.epoch)

    def finalize(self, feature: SupportsIndex) -> None:
        """KVM_ARM_VCPU_FINALIZE: settle a feature's configuration. Only SVE (4) has one.

        Raises
        ------
        KvmError
            ENOEXEC not initialised; EINVAL without SVE, or another feature.

        >>> from saecore import kvm
        >>> vm = kvm.System().create_vm()
        >>> vcpu = vm.create_vcpu(0)
        >>> vcpu.init(vm.preferred_target())
        >>> vcpu.finalize(kvm.uapi.VcpuFeature.SVE)
        Traceback (most recent call last):
            ...
        saecore.kvm.errors.KvmError: [Errno 22] KVM_ARM_VCPU_FINALIZE: EINVAL: feature 4: this
        machine has no SVE, and nothing else is finalized
        """
        self.check_alive("KVM_ARM_VCPU_FINALIZE")
        raise KvmError("KVM_ARM_VCPU_FINALIZE", errno.EINVAL,
                       f"feature {int(feature)}: this machine has no SVE, and nothing else is "
                       "finalized")

    def get_mp_state(self) -> uapi.MpState:
        """KVM_GET_MP_STATE: RUNNABLE, or STOPPED after the guest has switched itself off.

        >>> from saecore import kvm
        >>> kvm.System().create_vm().create_vcpu(0).get_mp_state().name
        'RUNNABLE'
        """
        self.check_alive("KVM_GET_MP_STATE", initialized=False)
        return uapi.MpState(self.mp_state_)

    # --- registers ---------------------------------------------------------------------------

    def get_one_reg(self, id: SupportsIndex) -> int:
        """KVM_GET_ONE_REG: a register by its id (`kvm.reg`).

        Returns
        -------
        int
            Of the register's size; vector registers have 128 bits.

        Raises
        ------
        KvmError
            ENOEXEC not initialised; ENOENT no such register; EINVAL a malformed id.

        Notes
        -----
        System registers are those of the newest published table: without ESR_EL1, FAR_EL1,
        TPIDR_EL0 and others (upcoming.md 1.1). FPSR and FPCR are plain 32-bit values; the
        published code copies the wrong half of its 64-bit slots.

        >>> from saecore import kvm
        >>> vm = kvm.System().create_vm()
        >>> vcpu = vm.create_vcpu(0)
        >>> vcpu.init(vm.preferred_target())
        >>> hex(vcpu.get_one_reg(kvm.reg.SCTLR_EL1))
        '0xc50078'
        """
        self.check_alive("KVM_GET_ONE_REG")
        return _onereg.get(self, _id_of(id, "KVM_GET_ONE_REG"))

    def set_one_reg(self, id: SupportsIndex, value: SupportsIndex) -> None:
        """KVM_SET_ONE_REG: set a register by its id.

        Raises
        ------
        KvmError
            As `get_one_reg`; and EINVAL for a value the register cannot take (a PSTATE mode that
            is not EL0t, EL1t or EL1h, an ID register's fixed field); EBUSY for an ID register
            changed after the first run.
        AddressError
            The value does not fit.

        >>> from saecore import kvm
        >>> vm = kvm.System().create_vm()
        >>> vcpu = vm.create_vcpu(0)
        >>> vcpu.init(vm.preferred_target())
        >>> vcpu.set_one_reg(kvm.reg.V(1), 1 << 100)
        >>> vcpu.get_one_reg(kvm.reg.V(1)) == 1 << 100
        True
        """
        self.check_alive("KVM_SET_ONE_REG")
        _onereg.set(self, _id_of(id, "KVM_SET_ONE_REG"), value)

    def get_reg_list(self, n: int | None = None) -> list[int]:
        """KVM_GET_REG_LIST: ids of the registers `get_one_reg` knows.

        Parameters
        ----------
        n : int, optional
            Room the caller has, as in `struct kvm_reg_list`.

        Raises
        ------
        KvmError
            ENOEXEC not initialised; E2BIG too little room.

        Notes
        -----
        Core, firmware, system registers by encoding, CCSIDR last. Revisions up to v4 answer the
        count where later ones, and native KVM, answer 0.

        >>> from saecore import kvm
        >>> vm = kvm.System().create_vm()
        >>> vcpu = vm.create_vcpu(0)
        >>> vcpu.init(vm.preferred_target())
        >>> ids = vcpu.get_reg_list()
        >>> kvm.reg.PC in ids, all(isinstance(vcpu.get_one_reg(id), int) for id in ids)
        (True, True)
        """
        self.check_alive("KVM_GET_REG_LIST")
        ids = _onereg.reg_list()
        if n is not None and n < len(ids):
            raise KvmError("KVM_GET_REG_LIST", errno.E2BIG,
                           f"room for {n} ids: there are {len(ids)}")
        return ids

    # --- the rest ----------------------------------------------------------------------------

    @property
    def coalesced_mmio_ring(self) -> Any:
        """The VM's ring of coalesced writes: page 1 of a vCPU's mapping."""
        return self.vm.coalesced_mmio_ring

    def stats(self) -> dict[str, int]:
        """What KVM_GET_STATS_FD counts of a vCPU, by name.

        >>> from saecore import kvm
        >>> kvm.System().create_vm().create_vcpu(0).stats()["mmio_exit_user"]
        0
        """
        return dict(self.stats_)

    def get_stats_fd(self) -> StatsFd:
        """KVM_GET_STATS_FD: the counters in KVM's binary format.

        >>> from saecore import kvm
        >>> fd = kvm.System().create_vm().create_vcpu(0).get_stats_fd()
        >>> fd.name, fd.header["name_size"]
        ('kvm-vcpu-stats:0', np.uint32(48))
        """
        self.check_alive("KVM_GET_STATS_FD", initialized=False)
        return StatsFd(f"kvm-vcpu-stats:{self.id}", f"kvm-{os.getpid()}/vcpu-{self.id}",
                       VCPU_STATS, self.stats)

    def set_signal_mask(self, mask: SupportsIndex | None) -> None:
        """KVM_SET_SIGNAL_MASK: kept, and without effect: Python's handlers are what interrupts.

        >>> from saecore import kvm
        >>> kvm.System().create_vm().create_vcpu(0).set_signal_mask(None)
        """
        self.check_alive("KVM_SET_SIGNAL_MASK", initialized=False)

    def pre_fault_memory(self, gpa: int, size: int, flags: int = 0) -> NoReturn:
        """KVM_PRE_FAULT_MEMORY: refused in the newest revision; `vm.gmap.fault_in` does it."""
        self.check_alive("KVM_PRE_FAULT_MEMORY", initialized=False)
        raise KvmError("KVM_PRE_FAULT_MEMORY", errno.EOPNOTSUPP,
                       "not on s390: use vm.gmap.fault_in()")


def _id_of(id: SupportsIndex, ioctl: str) -> int:
    number = id.__index__()
    if not 0 <= number < 1 << 64:
        raise AddressError(f"register id {number:#x}: use 64 bits (kvm.reg names them)")
    return number


# Ioctls the real module refuses, each with its errno and what to do instead.
_REFUSED = {
    "get_regs": ("GET_REGS", errno.EINVAL, "use vcpu.regs or get_one_reg()"),
    "set_regs": ("SET_REGS", errno.EINVAL, "use vcpu.regs or set_one_reg()"),
    "get_sregs": ("GET_SREGS", errno.EINVAL, "use get_one_reg()"),
    "set_sregs": ("SET_SREGS", errno.EINVAL, "use set_one_reg()"),
    "get_fpu": ("GET_FPU", errno.EINVAL, "use vcpu.regs or get_one_reg()"),
    "set_fpu": ("SET_FPU", errno.EINVAL, "use vcpu.regs or set_one_reg()"),
    "translate": ("TRANSLATE", errno.EINVAL, "use gmap.TwoLevel"),
    "interrupt": ("INTERRUPT", errno.EINVAL, "there is no interrupt controller yet"),
    "set_mp_state": ("SET_MP_STATE", errno.EINVAL, "not on s390; init() makes it runnable"),
    "set_guest_debug": ("SET_GUEST_DEBUG", errno.EINVAL,
                        "not on s390; run(max_insns=1) steps a guest"),
    "get_vcpu_events": ("GET_VCPU_EVENTS", errno.EINVAL, "not on s390"),
    "set_vcpu_events": ("SET_VCPU_EVENTS", errno.EINVAL, "not on s390"),
    "set_device_attr": ("SET_DEVICE_ATTR", errno.ENXIO, "no vCPU attribute exists on s390"),
    "get_device_attr": ("GET_DEVICE_ATTR", errno.ENXIO, "no vCPU attribute exists on s390"),
    "has_device_attr": ("HAS_DEVICE_ATTR", errno.ENXIO, "no vCPU attribute exists on s390"),
}


def _refusal(method: str, ioctl: str, code: int, remedy: str) -> Any:
    def refuse(self: Vcpu, *args: object) -> NoReturn:
        self.check_alive(f"KVM_{ioctl}", initialized=False)
        raise KvmError(f"KVM_{ioctl}", code, f"refused by the s390 module: {remedy}")

    refuse.__name__ = method
    refuse.__qualname__ = f"Vcpu.{method}"
    refuse.__doc__ = (f"KVM_{ioctl}: refused with {errno.errorcode[code]} on s390; {remedy}.")
    return refuse


for _method, (_ioctl, _code, _remedy) in _REFUSED.items():
    setattr(Vcpu, _method, _refusal(_method, _ioctl, _code, _remedy))
