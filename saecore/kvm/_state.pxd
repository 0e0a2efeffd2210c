# The state of a VM and of a vCPU as the run loop sees them. Floor 9.
#
# Source: fact sheet sae.md sections 7 to 11.
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from gmap._faultin cimport fault_vcpu_t
from gmap._gmap cimport gmap_t
from gmap._sync cimport mutex_t
from saecore._block cimport sae_block_t, save_area_t
from saecore._loop cimport processor_t
from saecore._pe cimport vreg_t
from saecore.kvm._uapi cimport kvm_coalesced_t, kvm_run_t


cdef enum:
    N_CSSELR = 14           # values of CSSELR_EL1 that a CLIDR_EL1 of seven levels can have
    N_SPSR = 5

    # vcpu_t.flags. The first two never are set together.
    PENDING_EXCEPTION = 1   # a synchronous exception to EL1, its ESR and FAR already written
    INCREMENT_PC = 2        # the instruction was emulated: skip it
    MMIO_NEEDED = 4         # and `mmio` says of what

    # vcpu_t.requests
    REQ_SLEEP = 1

    # What ends vcpu_run beside 0 (kvm_run.exit_reason says) and negative errnos.
    RUN_BUDGET = 2          # max_insns are used up
    RUN_ON = 1              # it has not ended
    RUN_RAISED = 3          # a signal handler raised a Python exception
    RUN_ANEW = 4            # not yet handled

    UNBOUNDED = -1          # vcpu_t.left

    # bus_t: which accesses a device hears.
    BUS_MMIO = 0
    BUS_PIO = 1
    BUS_CCW = 2


# Something on the bus that takes writes: an ioeventfd, or a coalesced zone (fd negative).
ctypedef struct device_t:
    uint64_t addr
    uint64_t nbytes
    int bus
    int fd
    bint wildcard           # any data
    uint64_t datamatch
    uint64_t context        # which eventfd it is


ctypedef struct ring_t:
    uint32_t first
    uint32_t last
    kvm_coalesced_t entries[170]


ctypedef struct bus_t:
    mutex_t lock
    uint64_t n
    device_t *devices       # ascending by address


ctypedef struct vm_t:
    gmap_t *gmap
    uint64_t guest_phys_size
    uint64_t dead           # KVM_BUG: every later ioctl is -EIO
    uint64_t has_run
    uint64_t psci_version
    uint64_t parange_limit  # 2**PARange of ID_AA64MMFR0_EL1: the first address refused
    uint64_t ccsidr[N_CSSELR]
    bus_t bus
    ring_t *ring


# What KVM keeps of a vCPU beside the block and the save area.
ctypedef struct context_t:
    vreg_t vregs[32]
    uint64_t elr_el1
    uint64_t spsr[N_SPSR]


ctypedef struct decoded_mmio_t:
    uint64_t fault_ipa
    int rt
    int nbytes
    bint is_write
    bint sign_extend
    bint sixty_four


ctypedef struct vcpu_stats_t:
    uint64_t hvc_exit_stat
    uint64_t wfe_exit_stat
    uint64_t wfi_exit_stat
    uint64_t mmio_exit_user
    uint64_t mmio_exit_kernel
    uint64_t signal_exits
    uint64_t exits
    uint64_t pfault_sync


ctypedef struct vcpu_t:
    processor_t *processor
    sae_block_t *block
    save_area_t *area
    context_t *context
    kvm_run_t *run
    vm_t *vm
    void (*execute)(processor_t *processor, sae_block_t *block) noexcept nogil
    fault_vcpu_t faults
    decoded_mmio_t mmio
    uint64_t flags
    uint64_t requests
    uint64_t kicked         # by another thread, or by a signal handler
    uint64_t left           # instructions of the budget
    bint masks              # KVM_SET_SIGNAL_MASK: block `sigmask`, bit n - 1 signal n
    uint64_t sigmask
    uint64_t exits          # to userspace: tells a stale exit object
    bint loaded             # the processor holds the save area's registers
    bint initialized
    bint resumes            # the last exit was an MMIO
    bint entered            # SAE has been executed, and its interception not looked at
    int mp_state
    uint32_t vir            # of the last validity interception
    const char *bug         # why the VM died
    vcpu_stats_t stats


cdef inline uint64_t *saved_register(vcpu_t *v, int reg) noexcept nogil:
    """A register of the save area, wherever it is now (SASR and EASR, M4 0 or 8)."""
    return &v.processor.pe.regs[reg] if v.loaded else &v.area.regs[reg]


cdef inline uint64_t icptd64(sae_block_t *block, int offset) noexcept nogil:
    """A doubleword of the interception data, by its offset in the block."""
    return (<uint64_t *>(<char *>block + offset))[0]


cdef inline uint16_t icptd16(sae_block_t *block, int offset) noexcept nogil:
    return (<uint16_t *>(<char *>block + offset))[0]


cdef inline void spend(vcpu_t *v, uint64_t n_insns) noexcept nogil:
    """Take instructions that were executed from the budget, if there is one."""
    if v.left != <uint64_t>UNBOUNDED:
        v.left -= min(n_insns, v.left)


cdef inline uint64_t read_gpr(vcpu_t *v, int reg) noexcept nogil:
    """X0 to X30, and XZR as 31."""
    return v.block.gpr[reg] if reg < 31 else 0


cdef inline void write_gpr(vcpu_t *v, int reg, uint64_t value) noexcept nogil:
    if reg < 31:
        v.block.gpr[reg] = value
