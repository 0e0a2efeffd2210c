"""System and VM file descriptors: capabilities, sizes, slots, devices, and the errno of every
ioctl that is refused (uapi.md, ipa.md)."""

import errno
import gc
import os

import numpy as np
import pytest

from saecore import kvm
from saecore.kvm.uapi import Cap, Ioctl, IoeventfdFlag, IrqfdFlag, MemFlag, VcpuFeature


def refused(code, function, *args, **options):
    with pytest.raises(kvm.KvmError) as caught:
        function(*args, **options)
    assert caught.value.errno == code, caught.value
    assert caught.value.ioctl.startswith("KVM_")
    return caught.value


@pytest.fixture
def vm():
    return kvm.System().create_vm()


# --- capabilities (uapi.md 4.2, the s390 column) ----------------------------------------------

ONES = [
    "USER_MEMORY", "DESTROY_MEMORY_REGION_WORKS", "JOIN_MEMORY_REGIONS_WORKS",
    "INTERNAL_ERROR_DATA", "CHECK_EXTENSION_VM", "ENABLE_CAP_VM", "HALT_POLL",
    "IOEVENTFD_ANY_LENGTH", "BINARY_STATS_FD", "SYSTEM_EVENT_DATA", "USER_MEMORY2",
    "DEVICE_CTRL", "SYNC_MMU", "SIGNAL_MSI", "IRQFD", "COALESCED_MMIO", "COALESCED_PIO",
    "NR_VCPUS", "MAX_VCPUS", "MAX_VCPU_ID", "IOEVENTFD",
]  # fmt: skip
CAPS = {
    **dict.fromkeys(ONES, 1),
    "IRQ_ROUTING": 4096, "NR_MEMSLOTS": 32767, "ARM_VM_IPA_SIZE": 48,
}  # fmt: skip


@pytest.mark.parametrize("cap", Cap, ids=lambda cap: cap.name)
def test_capability(cap, vm):
    expected = CAPS.get(cap.name, 0)
    assert kvm.System().check_extension(cap) == expected
    assert vm.check_extension(cap) == expected


def test_unknown_capability():
    assert kvm.System().check_extension(9999) == 0


# --- KVM_CREATE_VM (ipa.md section 11) --------------------------------------------------------

@pytest.mark.parametrize(
    ("type", "hamaxpow", "bits"),
    [(0, 44, 40), (32, 44, 32), (44, 44, 44), (36, 36, 36), (33, 48, 33), (48, 48, 48),
     (48, 0, 48)],
)
def test_create_vm(type, hamaxpow, bits):
    vm = kvm.System(hamaxpow=hamaxpow).create_vm(type)
    assert vm.gmap.ipa_bits == bits
    assert vm.gmap.asce & 0xFFF == (0x1C7 if bits <= 42 else 0x1CB)


@pytest.mark.parametrize(
    ("type", "hamaxpow"),
    [(31, 44), (45, 44), (0x128, 48), (0x8000_0028, 48), (49, 0)],
)
def test_create_vm_refuses(type, hamaxpow):
    refused(errno.EINVAL, kvm.System(hamaxpow=hamaxpow).create_vm, type)


@pytest.mark.filterwarnings("ignore:VM type 0 uses the default")
def test_default_size_on_a_small_machine():
    refused(errno.EINVAL, kvm.System(hamaxpow=36).create_vm, 0)


def test_device_names():
    with pytest.raises(kvm.KvmError, match="kvm-arm64") as caught:
        kvm.System("kvm-x86")
    assert caught.value.errno == errno.ENOENT


def test_both_devices_side_by_side():
    arm, s390 = kvm.System("kvm-arm64").create_vm(), kvm.System("kvm").create_vm()
    for vm in (arm, s390):
        region = vm.host.map(1 << 20)
        vm.set_user_memory_region(0, 0, region.nbytes, region.hva)
        assert vm.gmap.fault_in(5, write=True) == 0
    error = refused(errno.EINVAL, s390.create_vcpu, 0)
    assert "do not run" in str(error)
    assert s390.vcpus == {}
    assert kvm.System("kvm").check_extension(Cap.NR_MEMSLOTS) == 32766
    refused(errno.EINVAL, s390.set_user_memory_region, 32766, 0, 0, 0)
    refused(errno.EINVAL, kvm.System("kvm").create_vm, 40)


def test_closed():
    system = kvm.System()
    vm = system.create_vm()
    system.close()
    refused(errno.EBADF, system.get_api_version)
    vm.close()
    refused(errno.EBADF, vm.create_vcpu, 0)


# --- ioctls that are refused (uapi.md 1.2, 1.3, 5) --------------------------------------------

VM_REFUSED = {
    "create_irqchip": errno.EINVAL, "irq_line": errno.EINVAL, "irq_line_status": errno.EINVAL,
    "signal_msi": errno.EINVAL, "arm_set_device_addr": errno.EINVAL,
    "set_pmu_event_filter": errno.EINVAL, "arm_mte_copy_tags": errno.EINVAL,
    "arm_set_counter_offset": errno.EINVAL, "arm_get_reg_writable_masks": errno.EINVAL,
    "reset_dirty_rings": errno.EINVAL, "set_memory_attributes": errno.EINVAL,
    "create_guest_memfd": errno.EINVAL, "set_device_attr": errno.EINVAL,
    "get_device_attr": errno.EINVAL, "has_device_attr": errno.EINVAL,
}  # fmt: skip


@pytest.mark.parametrize("method", VM_REFUSED)
def test_vm_ioctl_refused(method, vm):
    error = refused(VM_REFUSED[method], getattr(vm, method), 0, 0)
    assert error.ioctl == f"KVM_{method.upper()}"


VCPU_REFUSED = {
    **dict.fromkeys(
        ("get_regs", "set_regs", "get_sregs", "set_sregs", "get_fpu", "set_fpu", "translate",
         "interrupt", "set_mp_state", "set_guest_debug", "get_vcpu_events", "set_vcpu_events"),
        errno.EINVAL,
    ),
    **dict.fromkeys(("set_device_attr", "get_device_attr", "has_device_attr"), errno.ENXIO),
}  # fmt: skip


@pytest.mark.parametrize("method", VCPU_REFUSED)
def test_vcpu_ioctl_refused(method, vm):
    error = refused(VCPU_REFUSED[method], getattr(vm.create_vcpu(0), method), 0)
    assert error.ioctl == f"KVM_{method.upper()}"


#: What a method is called where it is not the ioctl's name in small letters.
NAMES = {"ARM_PREFERRED_TARGET": "preferred_target", "ARM_VCPU_INIT": "init",
         "ARM_VCPU_FINALIZE": "finalize"}  # fmt: skip


@pytest.mark.parametrize("name", Ioctl.__members__)
def test_every_ioctl_is_a_method_with_an_example(name):
    method = NAMES.get(name, name.lower())
    found = [getattr(fd, method) for fd in (kvm.System, kvm.Vm, kvm.Vcpu) if hasattr(fd, method)]
    assert found
    for each in found:
        assert f"KVM_{name}" in each.__doc__ or name == "RUN"
        assert ">>>" in each.__doc__


def test_irqfd(vm):
    """Generic code's errors; what is registered never fires (uapi.md A16)."""
    fd, other = os.eventfd(0, os.EFD_NONBLOCK), os.eventfd(0)
    pipe = os.pipe()
    closed = 1_000_000
    vm.irqfd(fd, 33)
    refused(errno.EBUSY, vm.irqfd, fd, 34)
    refused(errno.EBUSY, vm.irqfd, os.dup(fd), 33)      # the same eventfd
    refused(errno.EINVAL, vm.irqfd, fd, 33, 4)
    refused(errno.EINVAL, vm.irqfd, pipe[0], 33)
    refused(errno.EBADF, vm.irqfd, closed, 33)
    refused(errno.EBADF, vm.irqfd, closed, 33, IrqfdFlag.DEASSIGN)
    refused(errno.EBADF, vm.irqfd, other, 33, IrqfdFlag.RESAMPLE, closed)
    vm.irqfd(other, 1 << 31, IrqfdFlag.RESAMPLE, fd)
    vm.irqfd(fd, 99, IrqfdFlag.DEASSIGN)                # of nothing
    refused(errno.EBUSY, vm.irqfd, fd, 33)
    vm.irqfd(fd, 33, IrqfdFlag.DEASSIGN)
    vm.irqfd(fd, 33)
    os.eventfd_write(fd, 1)
    assert os.eventfd_read(fd) == 1                     # nobody has taken it
    vm.close()
    refused(errno.EBADF, vm.irqfd, fd, 33)


def test_irqfds_go_with_the_vm():
    fd = os.eventfd(0)
    vm = kvm.System().create_vm()
    vm.irqfd(fd, 33)
    (_, kept), = vm._irqfds._assigned.values()
    os.fstat(kept)
    del vm
    gc.collect()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(kept)
    os.close(fd)


def test_there_are_no_dirty_rings(vm):
    """faultin.md 10: the s390 module selects none."""
    for cap in (Cap.DIRTY_LOG_RING, Cap.DIRTY_LOG_RING_ACQ_REL):
        assert vm.check_extension(cap) == 0
        refused(errno.EINVAL, vm.enable_cap, cap, 4096)
    refused(errno.EINVAL, vm.reset_dirty_rings)


def test_there_is_no_sve(vm):
    assert vm.check_extension(Cap.ARM_SVE) == 0
    vcpu = vm.create_vcpu(0)
    wanted = vm.preferred_target().with_features(VcpuFeature.SVE)
    refused(errno.EINVAL, vcpu.init, wanted)
    refused(errno.ENOEXEC, vcpu.finalize, VcpuFeature.SVE)
    vcpu.init(vm.preferred_target())
    refused(errno.EINVAL, vcpu.finalize, VcpuFeature.SVE)


def test_the_rest_of_the_vm(vm):
    refused(errno.ENODEV, vm.create_device, 7)
    vm.set_gsi_routing([])
    refused(errno.EINVAL, vm.set_gsi_routing, [1])
    vm.enable_cap(Cap.HALT_POLL, 1000)
    refused(errno.EINVAL, vm.enable_cap, Cap.HALT_POLL, 1 << 32)
    refused(errno.EINVAL, vm.enable_cap, Cap.MANUAL_DIRTY_LOG_PROTECT2, 1)
    refused(errno.EINVAL, vm.enable_cap, Cap.HALT_POLL, 0, 1)
    refused(errno.EINVAL, vm.create_vcpu, 1)
    vcpu = vm.create_vcpu(0)
    refused(errno.EINVAL, vm.create_vcpu, 0)
    refused(errno.EOPNOTSUPP, vcpu.pre_fault_memory, 0, 4096)
    assert vcpu.get_mp_state() == 0


@pytest.mark.parametrize("bad", [None, 1.5, "1", b"", [], -1, 1 << 64, 1 << 200])
@pytest.mark.parametrize(
    "call",
    ["ioeventfd", "irqfd", "register_coalesced_mmio", "unregister_coalesced_mmio", "create_vcpu",
     "create_device", "enable_cap", "get_dirty_log", "set_user_memory_region", "ccsidr",
     "set_ccsidr", "get_one_reg", "set_one_reg", "finalize", "set_signal_mask"],
)
def test_bad_arguments(call, bad, vm):
    vcpu = vm.create_vcpu(0)
    vcpu.init(vm.preferred_target())
    counts = {"set_user_memory_region": 4, "ioeventfd": 3, "irqfd": 2, "set_ccsidr": 2,
              "register_coalesced_mmio": 2, "unregister_coalesced_mmio": 2,
              "set_one_reg": 2}  # fmt: skip
    function = getattr(vm if hasattr(vm, call) else vcpu, call)
    if call == "set_signal_mask" and bad in (None, b"", []):
        return      # no signals
    with pytest.raises((TypeError, ValueError, IndexError, kvm.KvmError)):
        function(*[bad] * counts.get(call, 1))
    assert vcpu.run(max_insns=1) == kvm.Budget()


# --- memory -----------------------------------------------------------------------------------

def test_memory_regions(vm):
    region = vm.host.map(1 << 20)
    put = vm.set_user_memory_region
    put(slot=0, guest_phys_addr=0, memory_size=1 << 20, userspace_addr=region.hva)
    refused(errno.EEXIST, put, 1, 4096, 4096, region.hva)
    refused(errno.EINVAL, put, 1, 0, 0, 0)
    refused(errno.EINVAL, put, 1, 4096 * 300, 4096, region.hva, MemFlag.READONLY)
    refused(errno.EINVAL, put, 1, 4096 * 300, 4096, region.hva, MemFlag.GUEST_MEMFD)
    refused(errno.EINVAL, put, 32767, 4096 * 300, 4096, region.hva)
    refused(errno.EINVAL, put, 1 << 16, 4096 * 300, 4096, region.hva)
    refused(errno.EINVAL, put, 1, 1 << 40, 4096, region.hva)
    error = refused(errno.EINVAL, vm.set_user_memory_region2, 1, 4096 * 300, 4096, region.hva, 4)
    assert error.ioctl == "KVM_SET_USER_MEMORY_REGION2"
    put(0, 0, 0, 0)
    assert vm.gmap.memslots == []


def test_dirty_log(vm):
    region = vm.host.map(1 << 20)
    put = vm.set_user_memory_region
    put(0, 0, 1 << 20, region.hva)
    refused(errno.ENOENT, vm.get_dirty_log, 0)
    refused(errno.ENOENT, vm.get_dirty_log, 1)
    refused(errno.EINVAL, vm.get_dirty_log, 1 << 16)
    put(0, 0, 1 << 20, region.hva, MemFlag.LOG_DIRTY_PAGES)
    vm.gmap.fault_in(65, write=True)
    assert vm.get_dirty_log(0).tobytes() == bytes(8) + b"\2" + bytes(23)
    assert not vm.get_dirty_log(0).any()
    refused(errno.EINVAL, vm.clear_dirty_log, 0, 0, 64, [0])


def test_manual_dirty_log():
    vm = kvm.System().create_vm(manual_dirty_log=True)
    region = vm.host.map(1 << 20)
    vm.set_user_memory_region(0, 0, 1 << 20, region.hva, MemFlag.LOG_DIRTY_PAGES)
    vm.enable_cap(Cap.MANUAL_DIRTY_LOG_PROTECT2, 1)
    refused(errno.EINVAL, vm.enable_cap, Cap.MANUAL_DIRTY_LOG_PROTECT2, 2)
    vm.gmap.fault_in(3, write=True)
    assert vm.get_dirty_log(0)[0] == vm.get_dirty_log(0)[0] == 8
    refused(errno.EINVAL, vm.clear_dirty_log, 0, 1, 64, [0])
    refused(errno.EINVAL, vm.clear_dirty_log, 0, 64, 256, [0, 0, 0, 0])
    refused(errno.EFAULT, vm.clear_dirty_log, 0, 0, 256, [0])
    vm.clear_dirty_log(0, 0, 256, [8, 0, 0, 0])
    assert vm.get_dirty_log(0)[0] == 0


# --- ioeventfd, coalesced MMIO (faultin.md sections 11 and 12) --------------------------------

@pytest.fixture
def eventfd():
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (errno.EINVAL, {"len": 3}),
        (errno.EINVAL, {"addr": 2**64 - 4, "len": 4}),
        (errno.EINVAL, {"flags": 32}),
        (errno.EINVAL, {"len": 0, "datamatch": 1}),
        (errno.EBADF, {"fd": 12345}),
        (errno.EINVAL, {"fd": 0}),
        (errno.ENOENT, {"flags": IoeventfdFlag.DEASSIGN}),
        (errno.EEXIST, {"addr": 0x2000}),
        (errno.EEXIST, {"addr": 0x2000, "datamatch": 1}),
        (errno.EEXIST, {"addr": 0x2000, "len": 0}),
    ],
)
def test_ioeventfd_refuses(code, arguments, vm, eventfd):
    vm.ioeventfd(eventfd, 0x2000, 4)
    call = {"fd": eventfd, "addr": 0x1000, "len": 4, **arguments}
    if call["fd"] == 0:
        with open(os.devnull) as other:
            refused(code, vm.ioeventfd, **{**call, "fd": other.fileno()})
    else:
        refused(code, vm.ioeventfd, **call)


def test_ioeventfd_deassign_matches_exactly(vm, eventfd):
    vm.ioeventfd(eventfd, 0x2000, 4, datamatch=1)
    vm.ioeventfd(eventfd, 0x2000, 4, datamatch=2)
    refused(errno.ENOENT, vm.ioeventfd, eventfd, 0x2000, 4, 3, IoeventfdFlag.DEASSIGN)
    refused(errno.ENOENT, vm.ioeventfd, eventfd, 0x2000, 4, None, IoeventfdFlag.DEASSIGN)
    other = os.dup(eventfd)     # another descriptor of the same eventfd
    vm.ioeventfd(other, 0x2000, 4, 2, IoeventfdFlag.DEASSIGN)
    os.close(other)
    vm.ioeventfd(eventfd, 0x2000, 4, 1, IoeventfdFlag.DEASSIGN)
    refused(errno.ENOENT, vm.ioeventfd, eventfd, 0x2000, 4, 1, IoeventfdFlag.DEASSIGN)


def test_coalesced_zones(vm):
    refused(errno.EINVAL, vm.register_coalesced_mmio, 0, 4096, 2)
    refused(errno.EINVAL, vm.unregister_coalesced_mmio, 0, 4096, 2)
    for n in range(1000):
        vm.register_coalesced_mmio(4096 * n, 4096)
    refused(errno.ENOSPC, vm.register_coalesced_mmio, 0, 4096)
    vm.unregister_coalesced_mmio(4096, 8)
    vm.register_coalesced_mmio(0, 4096)


# --- stats ------------------------------------------------------------------------------------

def test_stats_format(vm):
    fd = vm.create_vcpu(0).get_stats_fd()
    data = fd.read()
    header = np.frombuffer(data, kvm.stats.HEADER, 1)[0]
    desc = np.frombuffer(data, kvm.stats.DESC, header["num_desc"], header["desc_offset"])
    names = [name.decode() for name in desc["name"]]
    assert names[-8:] == ["hvc_exit_stat", "wfe_exit_stat", "wfi_exit_stat", "mmio_exit_user",
                          "mmio_exit_kernel", "signal_exits", "exits", "pfault_sync"]
    assert len(data) == header["data_offset"] + 8 * int(desc["size"].sum())
    assert list(desc["offset"]) == list(np.cumsum([0, *desc["size"][:-1]]) * 8)
    assert data[24:72].rstrip(b"\0").decode() == f"kvm-{os.getpid()}/vcpu-0"
