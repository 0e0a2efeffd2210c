"""The numbers and layouts of the KVM API as an arm64 program sees them: the one table. Floor 9.

`setup.py` writes `_uapi.pxd` and `include/kvm_uapi.h` from this file: members of enumerations
become ``CLASS_MEMBER``, and each list of `VIEWS` a C struct. Nothing compiled is imported here.

An s390's own ``asm/kvm.h`` has another `struct kvm_run` (its exit union begins at 0x30);
programs for /dev/kvm-arm64 use the arm64 headers, and so does this.

Source: fact sheet uapi.md sections 1 to 4.

>>> hex(Ioctl.SET_USER_MEMORY_REGION), int(Exit.MMIO), RUN.itemsize
('0x4020ae46', 6, 2352)
"""

from enum import IntEnum, IntFlag
from typing import Any, Final

import numpy as np

from saecore._layout import Field, field

API_VERSION: Final = 12
VCPU_MMAP_SIZE: Final = 8192
MAX_SLOTS: Final = 32767
MAX_IRQ_ROUTES: Final = 4096
MAX_IOBUS_DEVICES: Final = 1000
COALESCED_MMIO_MAX: Final = 170


def _io(direction: int, nr: int, size: int = 0) -> int:
    """Number of an ioctl; direction 1: the caller writes, 2: reads, 3: both."""
    return direction << 30 | size << 16 | 0xAE << 8 | nr


class Ioctl(IntEnum):
    """The ioctls of arm64 KVM by their names without ``KVM_``.

    `ARM_SET_DEVICE_ADDR` (VM) and `GET_ONE_REG` (vCPU) are the same number.
    """

    # System.
    GET_API_VERSION = _io(0, 0x00)
    CREATE_VM = _io(0, 0x01)
    CHECK_EXTENSION = _io(0, 0x03)
    GET_VCPU_MMAP_SIZE = _io(0, 0x04)
    # VM.
    CREATE_VCPU = _io(0, 0x41)
    GET_DIRTY_LOG = _io(1, 0x42, 16)
    SET_USER_MEMORY_REGION = _io(1, 0x46, 32)
    SET_USER_MEMORY_REGION2 = _io(1, 0x49, 160)
    CREATE_IRQCHIP = _io(0, 0x60)
    IRQ_LINE = _io(1, 0x61, 8)
    IRQ_LINE_STATUS = _io(3, 0x67, 8)
    REGISTER_COALESCED_MMIO = _io(1, 0x67, 16)
    UNREGISTER_COALESCED_MMIO = _io(1, 0x68, 16)
    SET_GSI_ROUTING = _io(1, 0x6A, 8)
    IRQFD = _io(1, 0x76, 32)
    IOEVENTFD = _io(1, 0x79, 64)
    ENABLE_CAP = _io(1, 0xA3, 104)
    SIGNAL_MSI = _io(1, 0xA5, 32)
    ARM_SET_DEVICE_ADDR = _io(1, 0xAB, 16)
    ARM_PREFERRED_TARGET = _io(2, 0xAF, 32)
    SET_PMU_EVENT_FILTER = _io(1, 0xB2, 8)
    ARM_MTE_COPY_TAGS = _io(2, 0xB4, 48)
    ARM_SET_COUNTER_OFFSET = _io(1, 0xB5, 16)
    ARM_GET_REG_WRITABLE_MASKS = _io(2, 0xB6, 64)
    CLEAR_DIRTY_LOG = _io(3, 0xC0, 24)
    RESET_DIRTY_RINGS = _io(0, 0xC7)
    GET_STATS_FD = _io(0, 0xCE)
    SET_MEMORY_ATTRIBUTES = _io(1, 0xD2, 32)
    CREATE_GUEST_MEMFD = _io(3, 0xD4, 64)
    CREATE_DEVICE = _io(3, 0xE0, 12)
    SET_DEVICE_ATTR = _io(1, 0xE1, 24)
    GET_DEVICE_ATTR = _io(1, 0xE2, 24)
    HAS_DEVICE_ATTR = _io(1, 0xE3, 24)
    # vCPU.
    RUN = _io(0, 0x80)
    GET_REGS = _io(2, 0x81, 0x360)
    SET_REGS = _io(1, 0x82, 0x360)
    GET_SREGS = _io(2, 0x83)
    SET_SREGS = _io(1, 0x84)
    TRANSLATE = _io(3, 0x85, 24)
    INTERRUPT = _io(1, 0x86, 4)
    SET_SIGNAL_MASK = _io(1, 0x8B, 4)
    GET_FPU = _io(2, 0x8C)
    SET_FPU = _io(1, 0x8D)
    GET_MP_STATE = _io(2, 0x98, 4)
    SET_MP_STATE = _io(1, 0x99, 4)
    SET_GUEST_DEBUG = _io(1, 0x9B, 520)
    GET_VCPU_EVENTS = _io(2, 0x9F, 64)
    SET_VCPU_EVENTS = _io(1, 0xA0, 64)
    GET_ONE_REG = _io(1, 0xAB, 16)
    SET_ONE_REG = _io(1, 0xAC, 16)
    ARM_VCPU_INIT = _io(1, 0xAE, 32)
    GET_REG_LIST = _io(3, 0xB0, 8)
    ARM_VCPU_FINALIZE = _io(1, 0xC2, 4)
    PRE_FAULT_MEMORY = _io(3, 0xD5, 64)


class Cap(IntEnum):
    """Capabilities (uapi.md 4.1)."""

    IRQCHIP = 0
    USER_MEMORY = 3
    NR_VCPUS = 9
    NR_MEMSLOTS = 10
    MP_STATE = 14
    COALESCED_MMIO = 15
    SYNC_MMU = 16
    DESTROY_MEMORY_REGION_WORKS = 21
    SET_GUEST_DEBUG = 23
    IRQ_ROUTING = 25
    JOIN_MEMORY_REGIONS_WORKS = 30
    IRQFD = 32
    IOEVENTFD = 36
    INTERNAL_ERROR_DATA = 40
    VCPU_EVENTS = 41
    MAX_VCPUS = 66
    ONE_REG = 70
    SIGNAL_MSI = 77
    READONLY_MEM = 81
    IRQFD_RESAMPLE = 82
    ARM_PSCI = 87
    ARM_SET_DEVICE_ADDR = 88
    DEVICE_CTRL = 89
    ARM_EL1_32BIT = 93
    ENABLE_CAP_VM = 98
    IOEVENTFD_NO_LENGTH = 100
    VM_ATTRIBUTES = 101
    ARM_PSCI_0_2 = 102
    CHECK_EXTENSION_VM = 105
    GUEST_DEBUG_HW_BPS = 119
    GUEST_DEBUG_HW_WPS = 120
    IOEVENTFD_ANY_LENGTH = 122
    ARM_PMU_V3 = 126
    VCPU_ATTRIBUTES = 127
    MAX_VCPU_ID = 128
    MSI_DEVID = 131
    IMMEDIATE_EXIT = 136
    ARM_USER_IRQ = 144
    ARM_INJECT_SERROR_ESR = 158
    COALESCED_PIO = 162
    ARM_VM_IPA_SIZE = 165
    MANUAL_DIRTY_LOG_PROTECT2 = 168
    ARM_SVE = 170
    ARM_PTRAUTH_ADDRESS = 171
    ARM_PTRAUTH_GENERIC = 172
    ARM_IRQ_LINE_LAYOUT_2 = 174
    ARM_NISV_TO_USER = 177
    ARM_INJECT_EXT_DABT = 178
    HALT_POLL = 182
    STEAL_TIME = 187
    DIRTY_LOG_RING = 192
    SET_GUEST_DEBUG2 = 195
    PTP_KVM = 198
    BINARY_STATS_FD = 203
    ARM_MTE = 205
    SYSTEM_EVENT_DATA = 215
    ARM_SYSTEM_SUSPEND = 216
    DIRTY_LOG_RING_ACQ_REL = 223
    DIRTY_LOG_RING_WITH_BITMAP = 225
    COUNTER_OFFSET = 227
    ARM_EAGER_SPLIT_CHUNK_SIZE = 228
    ARM_SUPPORTED_BLOCK_SIZES = 229
    ARM_SUPPORTED_REG_MASK_RANGES = 230
    USER_MEMORY2 = 231
    MEMORY_FAULT_INFO = 232
    MEMORY_ATTRIBUTES = 233
    GUEST_MEMFD = 234
    VM_TYPES = 235
    PRE_FAULT_MEMORY = 236
    ARM_WRITABLE_IMP_ID_REGS = 239
    ARM_EL2 = 240
    ARM_EL2_E2H0 = 241
    ARM_CACHEABLE_PFNMAP_SUPPORTED = 243
    GUEST_MEMFD_FLAGS = 244
    ARM_SEA_TO_USER = 245
    ARM_PMU_V3_STRICT = 251


class Exit(IntEnum):
    """`kvm_run.exit_reason` (uapi.md 2.1)."""

    UNKNOWN = 0
    HYPERCALL = 3
    DEBUG = 4
    MMIO = 6
    FAIL_ENTRY = 9
    INTR = 10
    INTERNAL_ERROR = 17
    SYSTEM_EVENT = 24
    ARM_NISV = 28
    DIRTY_RING_FULL = 31
    MEMORY_FAULT = 39
    ARM_SEA = 41
    ARM_LDST64B = 42


class SystemEventType(IntEnum):
    """Type of a `SYSTEM_EVENT` exit."""

    SHUTDOWN = 1
    RESET = 2
    CRASH = 3
    WAKEUP = 4
    SUSPEND = 5


class MpState(IntEnum):
    """`struct kvm_mp_state`."""

    RUNNABLE = 0
    STOPPED = 5
    SUSPENDED = 10


class MemFlag(IntFlag):
    """Flags of a memory region."""

    LOG_DIRTY_PAGES = 1
    READONLY = 2
    GUEST_MEMFD = 4


class IoeventfdFlag(IntFlag):
    """Flags of KVM_IOEVENTFD."""

    DATAMATCH = 1
    PIO = 2
    DEASSIGN = 4
    VIRTIO_CCW_NOTIFY = 8


class IrqfdFlag(IntFlag):
    """Flags of KVM_IRQFD."""

    DEASSIGN = 1
    RESAMPLE = 2


class VcpuFeature(IntEnum):
    """Bit numbers of `kvm_vcpu_init.features`."""

    POWER_OFF = 0
    EL1_32BIT = 1
    PSCI_0_2 = 2
    PMU_V3 = 3
    SVE = 4
    PTRAUTH_ADDRESS = 5
    PTRAUTH_GENERIC = 6
    HAS_EL2 = 7
    HAS_EL2_E2H0 = 8
    PMU_V3_STRICT = 9


class DeviceType(IntEnum):
    """Types of KVM_CREATE_DEVICE."""

    VFIO = 4
    ARM_VGIC_V2 = 5
    FLIC = 6
    ARM_VGIC_V3 = 7
    ARM_VGIC_ITS = 8
    ARM_PV_TIME = 10


TARGET_GENERIC_V8: Final = 5
N_FEATURE_WORDS: Final = 7
CREATE_DEVICE_TEST: Final = 1

# --- structures -----------------------------------------------------------------------------

RUN_BYTES: Final = 2352
#: `struct kvm_run`: what every exit has, and the members of its union, at absolute offsets.
VIEWS: dict[str, tuple[int, list[Field]]] = {
    "run": (RUN_BYTES, [
        field("request_interrupt_window", 0x00, 1, "unused on arm64"),
        field("immediate_exit", 0x01, 1, "KVM_RUN returns -EINTR at once; read at its entry"),
        field("exit_reason", 0x08, 4, "Exit"),
        field("ready_for_interrupt_injection", 0x0C, 1, "unused on arm64"),
        field("if_flag", 0x0D, 1, "unused on arm64"),
        field("flags", 0x0E, 2, "0 here"),
        field("cr8", 0x10, 8, "unused on arm64"),
        field("apic_base", 0x18, 8, "unused on arm64"),
        field("kvm_valid_regs", 0x120, 8, "0 on arm64"),
        field("kvm_dirty_regs", 0x128, 8, "unused on arm64"),
        field("device_irq_level", 0x130, 8, "timers and PMU of a user's interrupt controller"),
    ]),
    "hw": (RUN_BYTES, [field("hardware_exit_reason", 0x20, 8, "of UNKNOWN")]),
    "hypercall": (RUN_BYTES, [
        field("nr", 0x20, 8, "function"),
        field("args", 0x28, 8, "unused on arm64", 6),
        field("ret", 0x58, 8, "unused on arm64"),
        field("flags", 0x60, 8, "1: by SMC"),
    ]),
    "debug": (RUN_BYTES, [
        field("hsr", 0x20, 4, "ESR, low half"),
        field("hsr_high", 0x24, 4, "ESR, high half"),
        field("far", 0x28, 8, "FAR of a watchpoint"),
    ]),
    "mmio": (RUN_BYTES, [
        field("phys_addr", 0x20, 8, "guest physical address"),
        field("data", 0x28, 1, "in guest memory order: little-endian", 8),
        field("len", 0x30, 4, "bytes: 1, 2, 4 or 8"),
        field("is_write", 0x34, 1, "the guest wrote"),
    ]),
    "fail_entry": (RUN_BYTES, [
        field("reason", 0x20, 8, "hardware_entry_failure_reason"),
        field("cpu", 0x28, 4, "host CPU"),
    ]),
    "internal": (RUN_BYTES, [
        field("suberror", 0x20, 4, "what went wrong"),
        field("ndata", 0x24, 4, "words of data"),
        field("data", 0x28, 8, "about it", 16),
    ]),
    "system_event": (RUN_BYTES, [
        field("type", 0x20, 4, "SystemEventType"),
        field("ndata", 0x24, 4, "words of data"),
        field("data", 0x28, 8, "of a shutdown or reset: flags", 16),
    ]),
    "arm_nisv": (RUN_BYTES, [
        field("esr_iss", 0x20, 8, "syndrome, sanitised"),
        field("fault_ipa", 0x28, 8, "guest physical address"),
    ]),
    "memory_fault": (RUN_BYTES, [
        field("flags", 0x20, 8, "8: private"),
        field("gpa", 0x28, 8, "guest physical address"),
        field("size", 0x30, 8, "bytes"),
    ]),
    "arm_sea": (RUN_BYTES, [
        field("flags", 0x20, 8, "1: gpa is valid"),
        field("esr", 0x28, 8, "syndrome"),
        field("gva", 0x30, 8, "guest virtual address"),
        field("gpa", 0x38, 8, "guest physical address"),
    ]),
}

REGS_BYTES: Final = 864
#: `struct kvm_regs`: the ids of core registers are offsets in it (`saecore.kvm.reg`).
REGS_LAYOUT = [
    field("regs", 0x000, 8, "X0 to X30", 31),
    field("sp", 0x0F8, 8, "SP_EL0"),
    field("pc", 0x100, 8, "PC"),
    field("pstate", 0x108, 8, "PSTATE"),
    field("sp_el1", 0x110, 8, "SP_EL1"),
    field("elr_el1", 0x118, 8, "ELR_EL1"),
    field("spsr", 0x120, 8, "SPSR of EL1, abt, und, irq, fiq", 5),
    field("vregs", 0x150, 16, "V0 to V31", 32),
    field("fpsr", 0x350, 4, "FPSR"),
    field("fpcr", 0x354, 4, "FPCR"),
]

RING_BYTES: Final = 4096
#: `struct kvm_coalesced_mmio_ring`, and one of its entries.
RING_LAYOUT = [
    field("first", 0, 4, "the reader's index"),
    field("last", 4, 4, "the writer's index"),
]
COALESCED_BYTES: Final = 24
COALESCED_LAYOUT = [
    field("phys_addr", 0, 8, "guest physical address"),
    field("len", 8, 4, "bytes"),
    field("pio", 12, 4, "0 on arm64"),
    field("data", 16, 1, "in guest memory order", 8),
]

#: The structs `setup.py` makes for C, beside the views of `struct kvm_run`.
STRUCTS = {
    **{f"kvm_{name}_t": view for name, view in VIEWS.items()},
    "kvm_coalesced_t": (COALESCED_BYTES, COALESCED_LAYOUT),
}


class Record(np.record):  # type: ignore[misc]
    """A record whose fields are attributes even where NumPy has attributes of that name, as
    `data` and `flags`.

    >>> bytes(np.zeros(1, np.dtype((Record, RUN)))[0].mmio.data)[:2]
    b'\\x00\\x00'
    """

    def __getattribute__(self, name: str) -> Any:
        fields = np.void.__getattribute__(self, "dtype").fields
        if fields is None or name not in fields:
            return super().__getattribute__(name)
        found = self[name]
        if isinstance(found, np.void) and found.dtype.names:
            return found.view(np.dtype((type(self), found.dtype)))
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


def record(size: int, fields: list[Field]) -> np.dtype[np.void]:
    """The structured dtype of a list of fields."""
    def format_of(f: Field) -> object:
        base = f"u{f.size}" if f.size <= 8 else f"V{f.size}"
        return (base, (f.length,)) if f.length > 1 else base

    return np.dtype({
        "names": [f.name for f in fields],
        "formats": [format_of(f) for f in fields],
        "offsets": [f.offset for f in fields],
        "itemsize": size,
    })


def _union() -> np.dtype[np.void]:
    """`struct kvm_run` whole: its common fields, and each member of the union as a record."""
    size, common = VIEWS["run"]
    formats: list[object] = []
    names, offsets = [], []
    plain = record(size, common)
    for name in plain.names or ():
        names.append(name)
        formats.append(plain.fields[name][0])  # type: ignore[index]
        offsets.append(plain.fields[name][1])  # type: ignore[index]
    for name, (_, fields) in VIEWS.items():
        if name == "run":
            continue
        shifted = [f._replace(offset=f.offset - 0x20) for f in fields]
        end = max(f.offset + f.size * f.length for f in shifted)
        names.append(name)
        formats.append(record(end, shifted))
        offsets.append(0x20)
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})


RUN = _union()
COALESCED = record(COALESCED_BYTES, COALESCED_LAYOUT)
RING = np.dtype({
    "names": [f.name for f in RING_LAYOUT] + ["coalesced_mmio"],
    "formats": ["u4"] * len(RING_LAYOUT) + [(COALESCED, (COALESCED_MMIO_MAX,))],
    "offsets": [f.offset for f in RING_LAYOUT] + [8],
    "itemsize": RING_BYTES,
})
