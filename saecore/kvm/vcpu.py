"""The vCPU file descriptor. Floor 9.

Source: fact sheets uapi.md sections 1.3, 3, 5 and 10, sae.md section 7.
"""

import errno
import operator
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, SupportsIndex

from saecore.kvm import _onereg, uapi
from saecore.kvm._arguments import as_word
from saecore.kvm._refused import Refused
from saecore.kvm._vcpu import VcpuState
from saecore.kvm.errors import KvmError
from saecore.kvm.stats import VCPU_STATS, StatsFd

if TYPE_CHECKING:
    from saecore.kvm._bus import VmState
    from saecore.kvm.vm import Vm

_N_SIGNALS = 64
_NO_EVENTS = "there is no SError to pend or to take back"
_NO_ATTRIBUTES = "a vCPU has no attributes on s390"
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
        return _onereg.get(self, as_word(id, "register id"))

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
        _onereg.set(self, as_word(id, "register id"), value)

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

    def set_signal_mask(self, mask: Iterable[int] | None) -> None:
        """KVM_SET_SIGNAL_MASK: the signals blocked while the guest runs.

        Parameters
        ----------
        mask : iterable of int, or None
            Signal numbers, as for `signal.pthread_sigmask`. None: the thread's own mask, as at
            first.

        Raises
        ------
        ValueError
            No signal number.

        Notes
        -----
        A signal in the mask waits until `run` has returned. One that the thread blocks and the
        mask does not ends `run` with `Intr`, on any thread, and stays pending: take it with
        `signal.sigtimedwait`. So a signal that comes between a last look and `run` is not lost.

        >>> import signal
        >>> from saecore import kvm
        >>> vm = kvm.System().create_vm()
        >>> vcpu = vm.create_vcpu(0)
        >>> vcpu.init(vm.preferred_target())
        >>> vcpu.set_signal_mask([])
        >>> before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        >>> signal.raise_signal(signal.SIGUSR1)
        >>> vcpu.run()
        Intr()
        >>> signal.sigwait([signal.SIGUSR1]).name
        'SIGUSR1'
        >>> _ = signal.pthread_sigmask(signal.SIG_SETMASK, before)
        """
        self.check_alive("KVM_SET_SIGNAL_MASK", initialized=False)
        if mask is None:
            self.mask_signals(False, 0)
            return
        bits = 0
        for number in map(operator.index, mask):
            if not 1 <= number <= _N_SIGNALS:
                raise ValueError(f"signal {number}: use 1 to {_N_SIGNALS}")
            bits |= 1 << number - 1
        self.mask_signals(True, bits)

    # --- refused -----------------------------------------------------------------------------

    def _refuse(self, ioctl: str, code: int, why: str, *args: object) -> NoReturn:
        self.check_alive(ioctl, initialized=False)
        raise KvmError(ioctl, code, why)

    pre_fault_memory = Refused(errno.EOPNOTSUPP, "use vm.gmap.fault_in()")
    get_regs = Refused(errno.EINVAL, "use vcpu.regs or get_one_reg()")
    set_regs = Refused(errno.EINVAL, "use vcpu.regs or set_one_reg()")
    get_sregs = Refused(errno.EINVAL, "use get_one_reg()")
    set_sregs = Refused(errno.EINVAL, "use set_one_reg()")
    get_fpu = Refused(errno.EINVAL, "use vcpu.regs or get_one_reg()")
    set_fpu = Refused(errno.EINVAL, "use vcpu.regs or set_one_reg()")
    translate = Refused(errno.EINVAL, "use gmap.TwoLevel")
    interrupt = Refused(errno.EINVAL, "there is no interrupt controller yet")
    set_mp_state = Refused(errno.EINVAL, "init() makes the vCPU runnable")
    set_guest_debug = Refused(errno.EINVAL, "run(max_insns=1) steps a guest")
    get_vcpu_events = Refused(errno.EINVAL, _NO_EVENTS)
    set_vcpu_events = Refused(errno.EINVAL, _NO_EVENTS)
    set_device_attr = Refused(errno.ENXIO, _NO_ATTRIBUTES)
    get_device_attr = Refused(errno.ENXIO, _NO_ATTRIBUTES)
    has_device_attr = Refused(errno.ENXIO, _NO_ATTRIBUTES)
