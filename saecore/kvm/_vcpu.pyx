"""A vCPU: its memory, its processor, and KVM_RUN. Floor 9.

`saecore.kvm.vcpu.Vcpu` adds the ioctls to this. The pages of a vCPU are one array: control block,
save area, what KVM keeps beside them, and `struct kvm_run`; the views of it keep it alive.
"""

import errno
import threading

cimport cython
from libc.errno cimport EINTR
from libc.stdint cimport uint64_t, uintptr_t
from libc.string cimport memset
from posix.types cimport sigset_t

import numpy as np

from gmap._address cimport as_u64
from gmap._atomic cimport load, load_entry, store
from gmap._space cimport Gmap
from gmap._tables cimport mmu_cache_drain, mmu_cache_topup
from saecore._block cimport sae_block_t, save_area_t
from saecore._defs cimport PSTATE_RESET, SAE_SAF_FORMAT_0, SAE_SAS_VALID, SAE_SD_FORMAT_0
from saecore._loop cimport processor_free, processor_new, sae_execute, sae_stiasrm
from saecore.kvm._bus cimport VmState
from saecore.kvm._exits cimport mmio_exit, other_exit, the_budget, the_intr
from saecore.kvm._run cimport (
    block_signals, unblock_signals, vcpu_run, vcpu_run_briefly, watch_end,
)
from saecore.kvm._state cimport N_SPSR, RUN_BUDGET, RUN_ON, RUN_RAISED, context_t
from saecore.kvm._trace cimport Recorder
from saecore.kvm._uapi cimport EXIT_MMIO, MP_STATE_RUNNABLE, kvm_run_t

from saecore import _layout, _sysregs
from saecore._block import BLOCK_DTYPE
from saecore._defs import Vir
from saecore.kvm import uapi
from saecore.kvm.errors import KvmError

cdef extern from "pythread.h":
    unsigned long PyThread_get_thread_ident()


cdef enum:
    PAGE = 4096
    BLOCK_PAGE = 0
    AREA_PAGE = 1
    CONTEXT_PAGE = 2
    RUN_PAGE = 3
    N_PAGES = 4


cdef size_t context_offset(const context_t *context, const void *member):
    """Where a member of a context_t is in the pages of a vCPU."""
    return CONTEXT_PAGE * PAGE + <size_t>(<const char *>member - <const char *>context)


def _regs_dtype():
    """The core registers, each where the run loop keeps it."""
    cdef context_t context
    fields = {field.name: field.offset for field in _layout.BLOCK}
    places = {
        "x": ("u8", (31,), fields["gpr"]),
        "sp": ("u8", (), fields["sp_el0"]),
        "pc": ("u8", (), fields["pc"]),
        "pstate": ("u8", (), fields["pstate"]),
        "sp_el1": ("u8", (), fields["sp_el1"]),
        "elr_el1": ("u8", (), context_offset(&context, &context.elr_el1)),
        "spsr": ("u8", (N_SPSR,), context_offset(&context, &context.spsr)),
        "vregs": ("u8", (32, 2), context_offset(&context, &context.vregs)),
        "fpsr": ("u8", (), fields["fpsr"]),
        "fpcr": ("u8", (), fields["fpcr"]),
    }
    return np.dtype({
        "names": list(places),
        "formats": [(base, shape) for base, shape, _ in places.values()],
        "offsets": [offset for _, _, offset in places.values()],
        "itemsize": N_PAGES * PAGE,
    })


#: `Vcpu.regs`; a record of all pages of a vCPU.
REGS = _regs_dtype()
_SAVED = {name: at for at, name in enumerate(_sysregs.saved_names())}


@cython.no_gc_clear     # the processor goes before the tables it looks at
cdef class VcpuState:
    """The state of one vCPU; users make `Vcpu` by `Vm.create_vcpu`.

    Attributes
    ----------
    regs : uapi.Record
        The core registers, live: x (31), sp, pc, pstate, sp_el1, elr_el1, spsr (5), vregs
        (32 of two words, the low one first), fpsr, fpcr; all uint64. Read and write it while
        the vCPU is not running.
    kvm_run : uapi.Record
        `struct kvm_run`, live: `uapi.RUN`.

    >>> from saecore import kvm
    >>> vcpu = kvm.System().create_vm().create_vcpu(0)
    >>> vcpu.regs.x[3] = 5
    >>> vcpu.regs.x.shape, int(vcpu.regs.x[3]), vcpu.kvm_run.exit_reason
    ((31,), 5, np.uint32(0))
    """

    def __cinit__(self, VmState state not None, int id, uint64_t features, *args):
        cdef Gmap space = state.gmap
        cdef char *pages
        self.state = state
        self.space = space.space
        array = np.zeros((N_PAGES + 1) * PAGE, dtype=np.uint8)
        skip = -array.ctypes.data % PAGE
        self.memory = array[skip:skip + N_PAGES * PAGE]
        pages = <char *><uintptr_t>self.memory.ctypes.data
        self.c.block = <sae_block_t *>(pages + BLOCK_PAGE * PAGE)
        self.c.area = <save_area_t *>(pages + AREA_PAGE * PAGE)
        self.c.context = <context_t *>(pages + CONTEXT_PAGE * PAGE)
        self.c.run = <kvm_run_t *>(pages + RUN_PAGE * PAGE)
        self.c.vm = &state.c
        self.c.execute = sae_execute
        self.c.left = <uint64_t>-1
        self.c.faults.id = id
        self.c.processor = processor_new(space.c, features)
        if self.c.processor == NULL or mmu_cache_topup(&space.c.arena, &self.c.faults.mc):
            raise KvmError("KVM_CREATE_VCPU", errno.ENOMEM, "no memory for a vCPU")
        self.regs = self.memory.view((uapi.Record, REGS))[0]
        run = self.memory[RUN_PAGE * PAGE:RUN_PAGE * PAGE + uapi.RUN_BYTES]
        self.kvm_run = run.view((uapi.Record, uapi.RUN))[0]
        self.main_thread = threading.main_thread().ident
        # What KVM_CREATE_VCPU does (sae.md 7.1).
        self.c.block.sdf = SAE_SD_FORMAT_0
        self.c.block.hbasce = load_entry(&space.c.asce)
        self.c.block.msl = state.c.guest_phys_size
        self.c.block.save_area = <uint64_t>self.c.area

    def __dealloc__(self):
        if self.space is not None:
            processor_free(self.c.processor)
            mmu_cache_drain(&self.space.c.arena, &self.c.faults.mc)

    # --- running -----------------------------------------------------------------------------

    def run(self, max_insns=None):
        """Run the guest until userspace is needed: KVM_RUN.

        Parameters
        ----------
        max_insns : int, optional
            Execute at most so many instructions. Exact; an instruction emulated outside the
            processor counts when it is finished.

        Returns
        -------
        Exit
            `Mmio`, `SystemEvent`, `Intr`, `Budget`, ...; `kvm_run` has the raw form.

        Raises
        ------
        KvmError
            ENOEXEC not initialised; EFAULT, EINVAL, ENOMEM, EOPNOTSUPP memory that cannot be
            mapped; ENOSYS an access outside memory without a syndrome; EINVAL an interception
            nobody handles; EIO a dead VM; EBUSY running on another thread.
        BaseException
            What a signal handler raised, as KeyboardInterrupt. The vCPU can be run again.

        Notes
        -----
        Other threads run meanwhile. A signal whose handler returns ends the call with `Intr`, as
        on real KVM; one that arrives in its first microseconds may be handled as before it. A
        vCPU stopped by SYSTEM_OFF or SYSTEM_RESET waits until it is kicked, if it is run again
        without initialising it; with `max_insns` it executes nothing.

        >>> from saecore import kvm
        >>> vcpu = kvm.System().create_vm().create_vcpu(0)
        >>> vcpu.run()
        Traceback (most recent call last):
            ...
        saecore.kvm.errors.KvmError: [Errno 8] KVM_RUN: ENOEXEC: the vCPU is not initialised:
        call init(vm.preferred_target())
        """
        cdef int ret
        cdef bint watches, immediate
        cdef sigset_t before
        if max_insns is None:
            self.c.left = <uint64_t>-1
        else:
            self.c.left = as_u64(max_insns, "max_insns", (<uint64_t>1 << 63) - 1)
            if not self.c.left:
                raise ValueError("max_insns 0: use 1 or more")
        if self.running or not self.c.initialized or load(&self.c.vm.dead):
            self.refuse_run()
        watches = PyThread_get_thread_ident() == self.main_thread
        self.running = True
        immediate = self.c.run.immediate_exit != 0
        if self.c.masks:
            block_signals(&self.c, &before)
        ret = vcpu_run_briefly(&self.c, immediate)
        if ret == RUN_ON:
            with nogil:
                ret = vcpu_run(&self.c, &self.watch if watches else NULL, immediate)
        if self.c.masks:
            unblock_signals(&before)
        self.running = False
        self.c.exits += 1
        if self.watch.on:
            watch_end(&self.watch)
        if ret == 0 and self.c.run.exit_reason == EXIT_MMIO:
            return mmio_exit(self, &self.c)
        return self.outcome(ret)

    cdef object outcome(self, int ret):
        if ret == RUN_RAISED:
            reraise()
        if ret == 0:
            return other_exit(&self.c)
        if ret == RUN_BUDGET:
            return the_budget
        if ret == -EINTR:
            return the_intr
        raise KvmError("KVM_RUN", -ret, self._why(-ret))

    def _why(self, code):
        pc = f"pc {self.c.block.pc:#x}"
        if self.c.vir:
            vir, self.c.vir = self.c.vir, 0
            return (f"{pc}: validity interception {Vir(vir).name}: the control block cannot be "
                    "run as it is; initialise the vCPU again")
        if self.c.bug != NULL:
            return f"{pc}: {self.c.bug.decode()}: the VM is dead; make another"
        if code == errno.ENOSYS:
            return (f"{pc}: an access outside memory slots by an instruction that cannot be "
                    "emulated (no syndrome): give it memory, or change the guest")
        if code == errno.EINVAL:
            return f"{pc}: interception {self.c.block.icptr}, which nobody handles"
        return f"{pc}: guest memory could not be mapped: see vm.gmap.memslots and vm.host"

    def refuse_run(self):
        if load(&self.c.vm.dead):
            raise KvmError("KVM_RUN", errno.EIO, "the VM is dead after a bug: make another")
        if self.running:
            raise KvmError("KVM_RUN", errno.EBUSY, "the vCPU is running: kick() it first")
        raise KvmError("KVM_RUN", errno.ENOEXEC,
                       "the vCPU is not initialised: call init(vm.preferred_target())")

    def kick(self):
        """Have `run` return `Intr` soon, now or the next time; from any thread.

        >>> from saecore import kvm
        >>> vm = kvm.System().create_vm()
        >>> vcpu = vm.create_vcpu(0)
        >>> vcpu.init(vm.preferred_target())
        >>> vcpu.kick()
        >>> vcpu.run()
        Intr()
        """
        store(&self.c.kicked, 1)
        store(&self.c.processor.request, 1)

    @property
    def immediate_exit(self):
        """`kvm_run.immediate_exit`: the next `run` finishes what is pending and returns `Intr`."""
        return bool(self.c.run.immediate_exit)

    @immediate_exit.setter
    def immediate_exit(self, value):
        self.c.run.immediate_exit = bool(value)

    @property
    def n_insns(self):
        """Instructions executed so far."""
        return self.c.processor.n_insns

    def record(self, Recorder recorder):
        """Let a recorder (`Vm.trace`) hear of all accesses; None: no longer."""
        self.check_alive("KVM_RUN", initialized=False)
        if recorder is not None:
            recorder.attach(self.c.processor)
        elif self.recorder is not None:
            self.recorder.detach(self.c.processor)
        self.recorder = recorder

    # --- for the ioctls ----------------------------------------------------------------------

    cdef int put(self) except -1:
        """Unload the save area, so that it is the truth (STIASRM)."""
        if self.running:
            raise KvmError("KVM_RUN", errno.EBUSY, "the vCPU is running: kick() it first")
        if self.c.loaded:
            sae_stiasrm(self.c.processor, self.c.area)
            self.c.loaded = False
        return 0

    @property
    def initialized(self):
        """KVM_ARM_VCPU_INIT has succeeded."""
        return bool(self.c.initialized)

    @property
    def mp_state_(self):
        return self.c.mp_state

    @property
    def stats_(self):
        """Counters of this vCPU by name."""
        return self.c.stats

    def check_alive(self, ioctl, initialized=True):
        """What every vCPU ioctl checks first."""
        if load(&self.c.vm.dead):
            raise KvmError(ioctl, errno.EIO, "the VM is dead after a bug: make another")
        if self.running:
            raise KvmError(ioctl, errno.EBUSY, "the vCPU is running: kick() it first")
        if initialized and not self.c.initialized:
            raise KvmError(ioctl, errno.ENOEXEC,
                           "the vCPU is not initialised: call init(vm.preferred_target())")

    def reset(self, saved, gpto):
        """Core reset, and the save area from its template (sae.md 7.3)."""
        cdef int i
        self.put()
        memset(self.c.block.gpr, 0, sizeof(self.c.block.gpr))
        memset(self.c.context, 0, sizeof(context_t))
        self.c.block.pc = self.c.block.sp_el0 = self.c.block.sp_el1 = 0
        self.c.block.fpcr = self.c.block.fpsr = 0
        self.c.block.contextidr_el1 = 0
        self.c.block.cntp_ctl = self.c.block.cntv_ctl = 0
        self.c.block.pstate = PSTATE_RESET
        self.c.block.gpto = gpto
        self.c.area.saf = SAE_SAF_FORMAT_0
        self.c.area.sas = SAE_SAS_VALID
        self.c.area.sdo = <uint64_t>self.c.block
        for i in range(len(saved)):
            self.c.area.regs[i] = saved[i]
        self.c.flags = 0
        self.c.requests = 0
        self.c.mp_state = MP_STATE_RUNNABLE
        self.c.initialized = True

    def read_saved(self, name):
        """A register of the save area."""
        self.put()
        return self.c.area.regs[<int>_SAVED[name]]

    def write_saved(self, name, uint64_t value):
        """Set one. The block and the core registers are written through `regs`."""
        self.put()
        self.c.area.regs[<int>_SAVED[name]] = value

    def mask_signals(self, bint on, uint64_t mask):
        """Block signals while the guest runs: bit n - 1 is signal n."""
        self.c.masks = on
        self.c.sigmask = mask

    def use_instruction_clock(self, bint on):
        """Have the counter count instructions."""
        self.c.processor.pe.clock = on

    def block_word(self, name):
        """A field of the control block."""
        return int(self.block[name])

    def set_block_word(self, name, value):
        self.block[name] = value

    @property
    def block(self):
        """The SAE control block as it is in memory, a record (sae.md 1), live and writable."""
        return self.memory[:PAGE].view((uapi.Record, BLOCK_DTYPE))[0]

    @property
    def save_area(self):
        """The save area, 4096 bytes (sae.md 2), live; unloaded first."""
        self.put()
        return self.memory[AREA_PAGE * PAGE:(AREA_PAGE + 1) * PAGE]


cdef int reraise() except -1:
    """Let out the exception a signal handler raised."""
    return -1
