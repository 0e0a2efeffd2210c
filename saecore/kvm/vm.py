"""The VM file descriptor. Floor 9.

Source: fact sheets uapi.md sections 1.2, 4 and 5, ipa.md, faultin.md sections 8 to 12.
"""

import errno
import operator
import os
import time
from typing import Any, Literal, NoReturn, SupportsIndex

import numpy as np
from numpy.typing import NDArray

import gmap
from gmap.errors import ConfigError, HostMemoryError
from saecore._cpu import CpuModel
from saecore.kvm import uapi
from saecore.kvm._arguments import as_word
from saecore.kvm._bus import VmState
from saecore.kvm._irqfd import Irqfds
from saecore.kvm._refused import Refused
from saecore.kvm._trace import Recorder
from saecore.kvm.errors import KvmError
from saecore.kvm.stats import VM_STATS, StatsFd
from saecore.kvm.uapi import Cap, MemFlag
from saecore.kvm.vcpu import Vcpu, VcpuInit

_MASK64 = (1 << 64) - 1
_PSCI_LATEST = 0x10003
_NO_IRQS = "the s390 module has no interrupt controller yet"
_NO_ATTRIBUTES = "a VM has no attributes on s390"

#: What generic code and the newest published module answer; all else is 0.
_CAPS = {
    **dict.fromkeys((
        Cap.USER_MEMORY, Cap.DESTROY_MEMORY_REGION_WORKS, Cap.JOIN_MEMORY_REGIONS_WORKS,
        Cap.INTERNAL_ERROR_DATA, Cap.CHECK_EXTENSION_VM, Cap.ENABLE_CAP_VM, Cap.HALT_POLL,
        Cap.IOEVENTFD_ANY_LENGTH, Cap.BINARY_STATS_FD, Cap.SYSTEM_EVENT_DATA, Cap.USER_MEMORY2,
        Cap.DEVICE_CTRL, Cap.SYNC_MMU, Cap.SIGNAL_MSI, Cap.IRQFD, Cap.COALESCED_MMIO,
        Cap.COALESCED_PIO, Cap.IOEVENTFD, Cap.NR_VCPUS, Cap.MAX_VCPUS, Cap.MAX_VCPU_ID,
    ), 1),
    Cap.IRQ_ROUTING: uapi.MAX_IRQ_ROUTES,
    Cap.NR_MEMSLOTS: uapi.MAX_SLOTS,
}  # fmt: skip


def answer_capability(cap: SupportsIndex, ipa_limit: int) -> int:
    """What KVM_CHECK_EXTENSION says on /dev/kvm-arm64.

    >>> answer_capability(uapi.Cap.ARM_VM_IPA_SIZE, 48), answer_capability(uapi.Cap.ONE_REG, 48)
    (48, 0)
    """
    number = operator.index(cap)
    if number == Cap.ARM_VM_IPA_SIZE:
        return ipa_limit
    return _CAPS.get(number, 0)  # type: ignore[call-overload, no-any-return]


class Vm:
    """A virtual machine, made by `System.create_vm`; its methods are the ioctls of its file.

    Attributes
    ----------
    gmap : gmap.Gmap
        The address space: stage 2.
    host : gmap.BufferHost
        The process's memory: `host.map(n)` gives a region to put into a slot.
    cpu : saecore._cpu.CpuModel
    vcpus : dict
        By id.
    coalesced_mmio_ring : uapi.Record
        `uapi.RING`, live.

    >>> from saecore import kvm
    >>> vm = kvm.System().create_vm(ipa_bits=40)
    >>> region = vm.host.map(1 << 20)
    >>> vm.set_user_memory_region(slot=0, guest_phys_addr=0x4000_0000,
    ...                           memory_size=region.nbytes, userspace_addr=region.hva)
    >>> vm.gmap.memslots[0].guest_phys_addr == 0x4000_0000
    True
    """

    def __init__(self, system: Any, host: gmap.BufferHost, ipa_bits: int, *, cpu: CpuModel,
                 arm64: bool, clock: Literal["host", "insns"], manual_dirty_log: bool) -> None:
        self.host = host
        self.cpu = cpu
        self.arm64 = arm64
        self.gmap = gmap.Gmap(host, ipa_bits, allow_1m=arm64, pfault=not arm64)
        self.vcpus: dict[int, Vcpu] = {}
        self.vcpu_features: tuple[int, ...] | None = None
        self.id_values: dict[str, int] = {}
        self._system = system
        self._state = VmState(self.gmap, cpu.registers["CTR_EL0"])
        self._irqfds = Irqfds()
        self._closed = False
        self._manual_possible = manual_dirty_log
        self._manual = False
        self._clock = clock
        # The guest's counter begins at 0.
        self.epoch = 0 if clock == "insns" else -time.monotonic_ns() & _MASK64
        self._state.psci_version = _PSCI_LATEST
        self._state.parange = system.pa_range

    def __repr__(self) -> str:
        return f"<Vm ipa_bits={self.gmap.ipa_bits} vcpus={len(self.vcpus)}>"

    def __enter__(self) -> "Vm":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file descriptor. The VM itself goes with its last vCPU."""
        self._closed = True

    def _check(self, ioctl: str) -> None:
        if self._closed:
            raise KvmError(ioctl, errno.EBADF, "the VM is closed: make another")
        if self._state.dead:
            raise KvmError(ioctl, errno.EIO, "the VM is dead after a bug: make another")

    def _refuse(self, ioctl: str, code: int, why: str, *args: object) -> NoReturn:
        self._check(ioctl)
        raise KvmError(ioctl, code, why)

    # --- vCPUs -------------------------------------------------------------------------------

    def create_vcpu(self, id: SupportsIndex) -> Vcpu:
        """KVM_CREATE_VCPU. There is one vCPU, 0, until the module can do more.

        Raises
        ------
        KvmError
            EINVAL another id, a second vCPU, or a VM of /dev/kvm.

        >>> from saecore import kvm
        >>> kvm.System().create_vm().create_vcpu(1)
        Traceback (most recent call last):
            ...
        saecore.kvm.errors.KvmError: [Errno 22] KVM_CREATE_VCPU: EINVAL: vCPU 1: this module has
        one vCPU, 0
        """
        self._check("KVM_CREATE_VCPU")
        number = operator.index(id)
        if not self.arm64:
            raise KvmError("KVM_CREATE_VCPU", errno.EINVAL,
                           "VMs of /dev/kvm are modelled for their memory alone, and do not run: "
                           'use System("kvm-arm64")')
        if number != 0 or self.vcpus:
            raise KvmError("KVM_CREATE_VCPU", errno.EINVAL,
                           f"vCPU {number}: this module has one vCPU, 0"
                           + (", which exists" if self.vcpus else ""))
        vcpu = Vcpu(self._state, number, int(self.cpu.flags), self)
        vcpu.use_instruction_clock(self._clock == "insns")
        self.vcpus[number] = vcpu
        return vcpu

    def trace(self, room: int = 1 << 16) -> Recorder:
        """A recorder of what the guest accesses; accesses are recorded while it is open.

        Parameters
        ----------
        room : int
            Events it sets aside at a time, 1024 or more.

        Returns
        -------
        Recorder
            A context manager. Its `take()` gives the events so far.

        >>> from saecore import kvm
        >>> vm = kvm.System().create_vm()
        >>> with vm.trace() as recorder:
        ...     len(recorder.take())
        0
        """
        return Recorder(self, room)

    def preferred_target(self) -> VcpuInit:
        """KVM_ARM_PREFERRED_TARGET: what to pass to `Vcpu.init`.

        >>> from saecore import kvm
        >>> kvm.System().create_vm().preferred_target().target
        5
        """
        self._check("KVM_ARM_PREFERRED_TARGET")
        return VcpuInit(uapi.TARGET_GENERIC_V8)

    # What the vCPU keeps here.

    @property
    def has_run(self) -> bool:
        """A vCPU has entered KVM_RUN: ID registers are settled."""
        return self._state.has_run

    @property
    def psci_version(self) -> int:
        """What PSCI_VERSION answers: major << 16 | minor."""
        return self._state.psci_version

    @psci_version.setter
    def psci_version(self, value: int) -> None:
        self._state.psci_version = value

    @property
    def coalesced_mmio_ring(self) -> Any:
        """The ring of coalesced writes."""
        return self._state.ring

    def saved_values(self, id: int) -> list[int]:
        """The save area of a vCPU after a reset: the template, and what was written before.

        >>> from saecore import kvm
        >>> len(kvm.System().create_vm().saved_values(0)) > 20
        True
        """
        values = self.cpu.reset_values() | self.id_values
        values["MPIDR_EL1"] = 1 << 31 | id & 0xF | (id >> 4 & 0xFF) << 8 | (id >> 12 & 0xFF) << 16
        return list(values.values())

    def counter_now(self, vcpu: Vcpu) -> int:
        """What the guest's counter counts, before its offset: ns, or instructions."""
        return vcpu.n_insns if self._clock == "insns" else time.monotonic_ns()

    def ccsidr(self, n: int) -> int:
        """CCSIDR_EL1 under one value of CSSELR_EL1, 0 to 13."""
        return self._state.ccsidr(as_word(n, "CSSELR_EL1", 4))

    def set_ccsidr(self, n: int, value: int) -> None:
        """Set it."""
        self._state.set_ccsidr(as_word(n, "CSSELR_EL1", 4), as_word(value, "value"))

    # --- memory ------------------------------------------------------------------------------

    def set_user_memory_region(
        self, slot: SupportsIndex, guest_phys_addr: SupportsIndex, memory_size: SupportsIndex,
        userspace_addr: SupportsIndex, flags: SupportsIndex = 0,
    ) -> None:
        """KVM_SET_USER_MEMORY_REGION: create, move, delete (size 0) or re-flag a slot.

        Parameters
        ----------
        slot, guest_phys_addr, memory_size, userspace_addr : int
            As in `struct kvm_userspace_memory_region`; addresses and size in bytes.
        flags : MemFlag
            LOG_DIRTY_PAGES. No s390 host has READONLY.

        Raises
        ------
        KvmError
            EINVAL, EEXIST, ENOMEM: of the first rule broken (faultin.md section 8).

        >>> from saecore import kvm
        >>> vm = kvm.System().create_vm()
        >>> vm.set_user_memory_region(0, 0, 4096, 123)
        Traceback (most recent call last):
            ...
        saecore.kvm.errors.KvmError: [Errno 22] KVM_SET_USER_MEMORY_REGION: EINVAL: slot 0:
        userspace_addr 0x7b is not a multiple of 4096
        """
        name = "KVM_SET_USER_MEMORY_REGION"
        known = int(MemFlag.LOG_DIRTY_PAGES | MemFlag.READONLY)
        if operator.index(flags) & ~known:
            self._refuse(name, errno.EINVAL,
                         f"flags {operator.index(flags):#x}: use LOG_DIRTY_PAGES (1)")
        self._set_region(name, slot, guest_phys_addr, memory_size, userspace_addr, flags)

    def set_user_memory_region2(
        self, slot: SupportsIndex, guest_phys_addr: SupportsIndex, memory_size: SupportsIndex,
        userspace_addr: SupportsIndex, flags: SupportsIndex = 0,
        guest_memfd_offset: SupportsIndex = 0, guest_memfd: SupportsIndex = 0,
    ) -> None:
        """KVM_SET_USER_MEMORY_REGION2: the same; guest_memfd does not exist on s390.

        >>> from saecore import kvm
        >>> vm = kvm.System().create_vm()
        >>> region = vm.host.map(1 << 20)
        >>> vm.set_user_memory_region2(0, 0, region.nbytes, region.hva)
        >>> len(vm.gmap.memslots)
        1
        """
        self._set_region("KVM_SET_USER_MEMORY_REGION2", slot, guest_phys_addr, memory_size,
                         userspace_addr, flags)

    def _set_region(self, name: str, slot: SupportsIndex, *rest: SupportsIndex) -> None:
        self._check(name)
        limit = uapi.MAX_SLOTS if self.arm64 else uapi.MAX_SLOTS - 1
        if operator.index(slot) & 0xFFFF >= limit:
            raise KvmError(name, errno.EINVAL, f"slot {operator.index(slot)}: use 0 to {limit - 1}")
        try:
            self.gmap.set_memory_region(slot, *rest)
        except ConfigError as error:
            raise KvmError(name, error.errno, str(error)) from None
        except HostMemoryError as error:
            raise KvmError(name, errno.ENOMEM, str(error)) from None

    def get_dirty_log(self, slot: SupportsIndex) -> NDArray[np.uint64]:
        """KVM_GET_DIRTY_LOG: pages of a slot written since the last call, which this clears.

        Returns
        -------
        numpy.ndarray
            Little-endian uint64 words: page n is bit n % 64 of word n // 64, and the bytes are
            those KVM fills in.

        Raises
        ------
        KvmError
            EINVAL a slot out of range; ENOENT one that does not exist or logs nothing.

        >>> from saecore import kvm
        >>> vm = kvm.System().create_vm()
        >>> region = vm.host.map(1 << 20)
        >>> vm.set_user_memory_region(0, 0, region.nbytes, region.hva, kvm.uapi.MemFlag(1))
        >>> vm.gmap.fault_in(3, write=True)
        0
        >>> int(vm.get_dirty_log(0)[0])
        8
        """
        self._check("KVM_GET_DIRTY_LOG")
        try:
            words = self.gmap.get_dirty_log(slot, clear=not self._manual)
        except ConfigError as error:
            raise KvmError("KVM_GET_DIRTY_LOG", error.errno, str(error)) from None
        return words.astype("<u8", copy=False)

    def clear_dirty_log(self, slot: SupportsIndex, first_page: SupportsIndex,
                        num_pages: SupportsIndex, bitmap: Any) -> None:
        """KVM_CLEAR_DIRTY_LOG: EINVAL on s390, unless made with `manual_dirty_log`.

        Raises
        ------
        KvmError
            EINVAL, ENOENT, EFAULT (bitmap too short), as on native arm64.

        >>> from saecore import kvm
        >>> vm = kvm.System().create_vm(manual_dirty_log=True)
        >>> region = vm.host.map(1 << 20)
        >>> vm.set_user_memory_region(0, 0, region.nbytes, region.hva, kvm.uapi.MemFlag(1))
        >>> vm.enable_cap(kvm.uapi.Cap.MANUAL_DIRTY_LOG_PROTECT2, 1)
        >>> vm.gmap.fault_in(3, write=True)
        0
        >>> vm.clear_dirty_log(0, 0, 256, vm.get_dirty_log(0))
        >>> int(vm.get_dirty_log(0)[0])
        0
        """
        self._check("KVM_CLEAR_DIRTY_LOG")
        if not self._manual_possible:
            raise KvmError("KVM_CLEAR_DIRTY_LOG", errno.EINVAL,
                           "not on s390, where get_dirty_log() clears: pass "
                           "manual_dirty_log=True to create_vm()")
        try:
            self.gmap.clear_dirty_log(slot, first_page, num_pages, bitmap)
        except ConfigError as error:
            raise KvmError("KVM_CLEAR_DIRTY_LOG", error.errno, str(error)) from None

    # --- devices on the bus ------------------------------------------------------------------

    def ioeventfd(self, fd: int, addr: SupportsIndex, len: SupportsIndex,
                  datamatch: SupportsIndex | None = None, flags: SupportsIndex = 0) -> None:
        """KVM_IOEVENTFD: signal an eventfd when the guest writes to an address.

        Parameters
        ----------
        fd : int
            From `os.eventfd`.
        addr : int
            Guest physical address.
        len : int
            1, 2, 4 or 8 bytes; 0 hears every length.
        datamatch : int, optional
            Signal for this value alone (adds DATAMATCH).
        flags : IoeventfdFlag
            DEASSIGN takes back what was assigned with the same arguments.

        Raises
        ------
        KvmError
            EINVAL, EBADF, EEXIST, ENOENT (DEASSIGN of what is not there).

        Notes
        -----
        The written bytes are compared as an integer in the host's order, and the host is an
        s390: for a guest's 32-bit write of 1 the datamatch is 0x0100_0000.

        >>> import os
        >>> from saecore import kvm
        >>> vm = kvm.System().create_vm()
        >>> fd = os.eventfd(0)
        >>> vm.ioeventfd(fd, 0x0A00_0050, 4, datamatch=0x0100_0000)
        >>> vm.ioeventfd(fd, 0x0A00_0050, 4, 0x0100_0000, kvm.uapi.IoeventfdFlag.DEASSIGN)
        >>> os.close(fd)
        """
        self._check("KVM_IOEVENTFD")
        bits = as_word(flags, "flags", 32)
        match = None if datamatch is None else operator.index(datamatch) & _MASK64
        if match is not None:
            bits |= uapi.IoeventfdFlag.DATAMATCH
        elif bits & uapi.IoeventfdFlag.DATAMATCH:
            match = 0
        self._state.ioeventfd(operator.index(fd), as_word(addr, "addr"), as_word(len, "len", 32),
                              match, bits)

    def irqfd(self, fd: int, gsi: SupportsIndex, flags: SupportsIndex = 0,
              resamplefd: int = -1) -> None:
        """KVM_IRQFD: have an eventfd raise an interrupt. On s390 it never does.

        Parameters
        ----------
        fd : int
            From `os.eventfd`.
        gsi : int
            Number of the interrupt, 32 bits; nothing checks it, as there is no controller.
        flags : IrqfdFlag
            DEASSIGN takes back what was assigned with this fd and gsi, and is content if
            nothing was; RESAMPLE.
        resamplefd : int
            Another eventfd, for RESAMPLE.

        Raises
        ------
        KvmError
            EINVAL other flags, or no eventfd; EBADF not open; EBUSY an eventfd that is assigned.

        >>> import os
        >>> from saecore import kvm
        >>> vm = kvm.System().create_vm()
        >>> fd = os.eventfd(0)
        >>> vm.irqfd(fd, gsi=33)
        >>> vm.irqfd(fd, gsi=34)
        Traceback (most recent call last):
            ...
        saecore.kvm.errors.KvmError: [Errno 16] KVM_IRQFD: EBUSY: the eventfd raises interrupt
        33 already: deassign that
        >>> vm.irqfd(fd, 33, kvm.uapi.IrqfdFlag.DEASSIGN)
        >>> os.close(fd)
        """
        self._check("KVM_IRQFD")
        self._irqfds.change(operator.index(fd), as_word(gsi, "gsi", 32),
                            as_word(flags, "flags", 32), operator.index(resamplefd))

    def register_coalesced_mmio(self, addr: SupportsIndex, size: SupportsIndex,
                                pio: SupportsIndex = 0) -> None:
        """KVM_REGISTER_COALESCED_MMIO: writes in a zone go to a ring and do not exit.

        Raises `KvmError`: EINVAL for a `pio` that is not 0 or 1, ENOSPC for too many zones.

        >>> from saecore import kvm
        >>> vm = kvm.System().create_vm()
        >>> vm.register_coalesced_mmio(0x0900_0000, 4096)
        >>> int(vm.coalesced_mmio_ring.last)
        0
        """
        self._check("KVM_REGISTER_COALESCED_MMIO")
        self._state.register_zone(as_word(addr, "addr"), as_word(size, "size", 32),
                                    as_word(pio, "pio", 32))

    def unregister_coalesced_mmio(self, addr: SupportsIndex, size: SupportsIndex,
                                  pio: SupportsIndex = 0) -> None:
        """KVM_UNREGISTER_COALESCED_MMIO: forget every zone that holds all of this one.

        >>> from saecore import kvm
        >>> vm = kvm.System().create_vm()
        >>> vm.unregister_coalesced_mmio(0x0900_0000, 4096)
        """
        self._check("KVM_UNREGISTER_COALESCED_MMIO")
        self._state.unregister_zone(as_word(addr, "addr"), as_word(size, "size", 32),
                                      as_word(pio, "pio", 32))

    def drain_coalesced_mmio(self) -> list[tuple[int, bytes]]:
        """Take the writes out of the ring: (address, bytes), oldest first.

        >>> from saecore import kvm
        >>> kvm.System().create_vm().drain_coalesced_mmio()
        []
        """
        ring = self.coalesced_mmio_ring
        taken = []
        while ring.first != ring.last:
            entry = ring.coalesced_mmio[int(ring.first) % uapi.COALESCED_MMIO_MAX]
            taken.append((int(entry["phys_addr"]), entry["data"].tobytes()[:int(entry["len"])]))
            ring.first = (int(ring.first) + 1) % uapi.COALESCED_MMIO_MAX
        return taken

    # --- the rest ----------------------------------------------------------------------------

    def check_extension(self, cap: SupportsIndex) -> int:
        """KVM_CHECK_EXTENSION; unknown capabilities are 0.

        >>> from saecore import kvm
        >>> vm = kvm.System().create_vm()
        >>> vm.check_extension(kvm.uapi.Cap.MAX_VCPUS)
        1
        """
        self._check("KVM_CHECK_EXTENSION")
        if self._manual_possible and operator.index(cap) == Cap.MANUAL_DIRTY_LOG_PROTECT2:
            return 3
        return int(self._system.check_extension(cap))

    def enable_cap(self, cap: SupportsIndex, arg: SupportsIndex = 0,
                   flags: SupportsIndex = 0) -> None:
        """KVM_ENABLE_CAP. HALT_POLL (accepted, without effect); on s390 nothing else.

        Raises `KvmError` EINVAL.

        >>> from saecore import kvm
        >>> kvm.System().create_vm().enable_cap(kvm.uapi.Cap.HALT_POLL, 0)
        """
        self._check("KVM_ENABLE_CAP")
        number, value = operator.index(cap), operator.index(arg)
        if not operator.index(flags):
            if number == Cap.HALT_POLL and value < 1 << 32:
                return
            if (self._manual_possible and number == Cap.MANUAL_DIRTY_LOG_PROTECT2
                    and value in (0, 1, 3)):
                self._manual = bool(value & 1)
                return
        raise KvmError("KVM_ENABLE_CAP", errno.EINVAL,
                       f"capability {number} with argument {value:#x}: not on s390")

    def stats(self) -> dict[str, int]:
        """What KVM_GET_STATS_FD counts of a VM. `gmap.stats()` has the address space's.

        >>> from saecore import kvm
        >>> kvm.System().create_vm().stats()
        {'remote_tlb_flush': 0, 'remote_tlb_flush_requests': 0}
        """
        return {stat.name: 0 for stat in VM_STATS}

    def get_stats_fd(self) -> StatsFd:
        """KVM_GET_STATS_FD: the counters in KVM's binary format.

        >>> from saecore import kvm
        >>> kvm.System().create_vm().get_stats_fd().name
        'kvm-vm-stats'
        """
        self._check("KVM_GET_STATS_FD")
        return StatsFd("kvm-vm-stats", f"kvm-{os.getpid()}", VM_STATS, self.stats)

    def set_gsi_routing(self, entries: Any = ()) -> None:
        """KVM_SET_GSI_ROUTING: an empty table is accepted; no entry is (EINVAL).

        >>> from saecore import kvm
        >>> kvm.System().create_vm().set_gsi_routing()
        """
        self._check("KVM_SET_GSI_ROUTING")
        if len(entries):
            raise KvmError("KVM_SET_GSI_ROUTING", errno.EINVAL,
                           "no interrupt controller takes routes yet")

    def create_device(self, type: SupportsIndex, flags: SupportsIndex = 0) -> NoReturn:
        """KVM_CREATE_DEVICE: ENODEV for every type until interrupts are modelled.

        >>> from saecore import kvm
        >>> kvm.System().create_vm().create_device(kvm.uapi.DeviceType.ARM_VGIC_V3)
        Traceback (most recent call last):
            ...
        saecore.kvm.errors.KvmError: [Errno 19] KVM_CREATE_DEVICE: ENODEV: device type 7: the
        module has none
        """
        self._refuse("KVM_CREATE_DEVICE", errno.ENODEV,
                     f"device type {operator.index(type)}: the module has none")

    # --- refused -----------------------------------------------------------------------------

    create_irqchip = Refused(errno.EINVAL, _NO_IRQS)
    irq_line = Refused(errno.EINVAL, _NO_IRQS + "; up to v4 it was dropped silently")
    irq_line_status = Refused(errno.EINVAL, _NO_IRQS)
    signal_msi = Refused(errno.EINVAL, _NO_IRQS)
    arm_set_device_addr = Refused(errno.EINVAL, _NO_IRQS)
    set_pmu_event_filter = Refused(errno.EINVAL, "there is no PMU")
    arm_mte_copy_tags = Refused(errno.EINVAL, "there is no MTE")
    arm_set_counter_offset = Refused(
        errno.EINVAL, "set the counter by kvm.reg.TIMER_CNT instead")
    arm_get_reg_writable_masks = Refused(
        errno.EINVAL, "set_one_reg() tells what is fixed")
    reset_dirty_rings = Refused(errno.EINVAL, "there are no dirty rings; use get_dirty_log()")
    set_memory_attributes = Refused(errno.EINVAL, "memory has no attributes")
    create_guest_memfd = Refused(errno.EINVAL, "memory is the host's: use set_user_memory_region()")
    set_device_attr = Refused(errno.EINVAL, _NO_ATTRIBUTES)
    get_device_attr = Refused(errno.EINVAL, _NO_ATTRIBUTES)
    has_device_attr = Refused(errno.EINVAL, _NO_ATTRIBUTES)
