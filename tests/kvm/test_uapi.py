"""Numbers and layouts against the published tables (uapi.md sections 1 to 4)."""

import pytest

from saecore.kvm import reg, uapi

IOCTLS = {
    "GET_API_VERSION": 0xAE00, "CREATE_VM": 0xAE01, "CHECK_EXTENSION": 0xAE03,
    "GET_VCPU_MMAP_SIZE": 0xAE04, "CREATE_VCPU": 0xAE41, "GET_DIRTY_LOG": 0x4010AE42,
    "SET_USER_MEMORY_REGION": 0x4020AE46, "SET_USER_MEMORY_REGION2": 0x40A0AE49,
    "CREATE_IRQCHIP": 0xAE60, "IRQ_LINE": 0x4008AE61, "IRQ_LINE_STATUS": 0xC008AE67,
    "REGISTER_COALESCED_MMIO": 0x4010AE67, "UNREGISTER_COALESCED_MMIO": 0x4010AE68,
    "SET_GSI_ROUTING": 0x4008AE6A, "IRQFD": 0x4020AE76, "IOEVENTFD": 0x4040AE79,
    "SIGNAL_MSI": 0x4020AEA5, "ARM_SET_DEVICE_ADDR": 0x4010AEAB,
    "SET_PMU_EVENT_FILTER": 0x4008AEB2, "ARM_MTE_COPY_TAGS": 0x8030AEB4,
    "ARM_SET_COUNTER_OFFSET": 0x4010AEB5, "ARM_GET_REG_WRITABLE_MASKS": 0x8040AEB6,
    "CLEAR_DIRTY_LOG": 0xC018AEC0, "RESET_DIRTY_RINGS": 0xAEC7, "GET_STATS_FD": 0xAECE,
    "SET_MEMORY_ATTRIBUTES": 0x4020AED2, "CREATE_GUEST_MEMFD": 0xC040AED4,
    "CREATE_DEVICE": 0xC00CAEE0, "SET_DEVICE_ATTR": 0x4018AEE1, "GET_DEVICE_ATTR": 0x4018AEE2,
    "HAS_DEVICE_ATTR": 0x4018AEE3, "ENABLE_CAP": 0x4068AEA3, "ARM_PREFERRED_TARGET": 0x8020AEAF,
    "RUN": 0xAE80, "GET_REGS": 0x8360AE81, "SET_REGS": 0x4360AE82, "GET_SREGS": 0x8000AE83,
    "SET_SREGS": 0x4000AE84, "GET_FPU": 0x8000AE8C, "SET_FPU": 0x4000AE8D,
    "TRANSLATE": 0xC018AE85, "SET_SIGNAL_MASK": 0x4004AE8B, "GET_MP_STATE": 0x8004AE98,
    "SET_MP_STATE": 0x4004AE99, "SET_GUEST_DEBUG": 0x4208AE9B, "GET_VCPU_EVENTS": 0x8040AE9F,
    "SET_VCPU_EVENTS": 0x4040AEA0, "GET_ONE_REG": 0x4010AEAB, "SET_ONE_REG": 0x4010AEAC,
    "ARM_VCPU_INIT": 0x4020AEAE, "GET_REG_LIST": 0xC008AEB0, "ARM_VCPU_FINALIZE": 0x4004AEC2,
    "PRE_FAULT_MEMORY": 0xC040AED5, "INTERRUPT": 0x4004AE86,
}  # fmt: skip


def test_ioctl_numbers():
    assert {name: int(value) for name, value in uapi.Ioctl.__members__.items()} == IOCTLS


@pytest.mark.parametrize(
    ("path", "offset", "size"),
    [
        ("immediate_exit", 0x01, 1), ("exit_reason", 0x08, 4), ("flags", 0x0E, 2),
        ("kvm_valid_regs", 0x120, 8), ("kvm_dirty_regs", 0x128, 8),
        ("device_irq_level", 0x130, 8), ("hypercall.nr", 0x20, 8), ("hypercall.args", 0x28, 48),
        ("hypercall.ret", 0x58, 8), ("hypercall.flags", 0x60, 8), ("debug.hsr", 0x20, 4),
        ("debug.hsr_high", 0x24, 4), ("debug.far", 0x28, 8), ("mmio.phys_addr", 0x20, 8),
        ("mmio.data", 0x28, 8), ("mmio.len", 0x30, 4), ("mmio.is_write", 0x34, 1),
        ("fail_entry.reason", 0x20, 8), ("fail_entry.cpu", 0x28, 4),
        ("internal.suberror", 0x20, 4), ("internal.ndata", 0x24, 4),
        ("internal.data", 0x28, 128), ("system_event.type", 0x20, 4),
        ("system_event.ndata", 0x24, 4), ("system_event.data", 0x28, 128),
        ("arm_nisv.esr_iss", 0x20, 8), ("arm_nisv.fault_ipa", 0x28, 8),
        ("memory_fault.flags", 0x20, 8), ("memory_fault.gpa", 0x28, 8),
        ("memory_fault.size", 0x30, 8), ("arm_sea.esr", 0x28, 8), ("arm_sea.gpa", 0x38, 8),
        ("hw.hardware_exit_reason", 0x20, 8),
    ],
)  # fmt: skip
def test_kvm_run_layout(path, offset, size):
    dtype, at = uapi.RUN, 0
    for name in path.split("."):
        dtype, step = dtype.fields[name][:2]
        at += step
    assert (at, dtype.itemsize) == (offset, size)


def test_structure_sizes():
    assert uapi.RUN.itemsize == 2352
    assert uapi.COALESCED.itemsize == 24
    assert uapi.RING.itemsize == 4096
    assert uapi.RING.fields["coalesced_mmio"][1] == 8
    assert uapi.COALESCED_MMIO_MAX == (4096 - 8) // 24


@pytest.mark.parametrize(
    ("id", "expected"),
    [
        (reg.X(0), 0x6030000000100000), (reg.X(30), 0x603000000010003C),
        (reg.SP, 0x603000000010003E), (reg.PC, 0x6030000000100040),
        (reg.PSTATE, 0x6030000000100042), (reg.SP_EL1, 0x6030000000100044),
        (reg.ELR_EL1, 0x6030000000100046), (reg.SPSR_EL1, 0x6030000000100048),
        (reg.SPSR_ABT, 0x603000000010004A), (reg.SPSR_UND, 0x603000000010004C),
        (reg.SPSR_IRQ, 0x603000000010004E), (reg.SPSR_FIQ, 0x6030000000100050),
        (reg.V(0), 0x6040000000100054), (reg.V(31), 0x60400000001000D0),
        (reg.FPSR, 0x60200000001000D4), (reg.FPCR, 0x60200000001000D5),
        (reg.TIMER_CTL, 0x603000000013DF19), (reg.TIMER_CVAL, 0x603000000013DF02),
        (reg.TIMER_CNT, 0x603000000013DF1A), (reg.PTIMER_CTL, 0x603000000013DF11),
        (reg.PTIMER_CVAL, 0x603000000013DF12), (reg.PTIMER_CNT, 0x603000000013DF01),
        (reg.PSCI_VERSION, 0x6030000000140000), (reg.CCSIDR(13), 0x602000000011000D),
    ],
)  # fmt: skip
def test_register_ids(id, expected):
    assert id == expected


SYSREG_IDS = {
    "MIDR_EL1": 0x13C000, "MPIDR_EL1": 0x13C005, "REVIDR_EL1": 0x13C006,
    "ID_AA64PFR0_EL1": 0x13C020, "ID_AA64DFR0_EL1": 0x13C028, "ID_AA64ISAR0_EL1": 0x13C030,
    "ID_AA64MMFR0_EL1": 0x13C038, "ID_AA64MMFR2_EL1": 0x13C03A, "SCTLR_EL1": 0x13C080,
    "CPACR_EL1": 0x13C082, "TTBR0_EL1": 0x13C100, "TTBR1_EL1": 0x13C101, "TCR_EL1": 0x13C102,
    "ESR_EL1": 0x13C290, "FAR_EL1": 0x13C300, "PAR_EL1": 0x13C3A0, "MAIR_EL1": 0x13C510,
    "VBAR_EL1": 0x13C600, "CONTEXTIDR_EL1": 0x13C681, "TPIDR_EL1": 0x13C684,
    "CNTKCTL_EL1": 0x13C708, "CLIDR_EL1": 0x13C801, "CSSELR_EL1": 0x13D000,
    "CTR_EL0": 0x13D801, "TPIDR_EL0": 0x13DE82, "MDSCR_EL1": 0x138012, "OSLSR_EL1": 0x13808C,
    "CNTFRQ_EL0": 0x13DF00,
}  # fmt: skip


@pytest.mark.parametrize("name", SYSREG_IDS)
def test_system_register_ids(name):
    assert getattr(reg, name) == 0x6030_0000_0000_0000 | SYSREG_IDS[name]


def test_register_names():
    with pytest.raises(ValueError, match="use 0 to 30"):
        reg.X(31)
    with pytest.raises(ValueError, match="use 0 to 31"):
        reg.V(32)
    with pytest.raises(AttributeError, match="FOO_EL1"):
        _ = reg.FOO_EL1
    assert reg.name_of(reg.VBAR_EL1) == "VBAR_EL1"
