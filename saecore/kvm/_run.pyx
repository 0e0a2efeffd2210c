"""KVM_RUN: enter the guest until userspace is needed. Floor 9.

Source: fact sheet sae.md sections 8 and 9.

Signals: the guest runs in slices of some milliseconds; between two of them Python's signal
handlers run. To know whether one did, a long run has Python write signal numbers into a pipe of
this module (`signal.set_wakeup_fd`), and hands them on to whoever listened before. Signals that
the thread blocks and KVM_SET_SIGNAL_MASK lets in are looked for among those pending, and stay so.
"""

import os
import signal

from cpython.exc cimport PyErr_Fetch, PyErr_Restore
from cpython.object cimport PyObject
from libc.errno cimport EINTR, EINVAL
from libc.stdint cimport uint64_t
from libc.string cimport memcpy
from posix.signal cimport (
    SIG_BLOCK, SIG_SETMASK, sigaddset, sigemptyset, sigismember, sigpending, sigset_t,
)
from posix.time cimport nanosleep, timespec
from posix.unistd cimport read, write

from gmap._atomic cimport exchange, load, store
from saecore._defs cimport (
    EC_DABT_LOW, EC_HVC64, EC_IABT_LOW, EC_SYS64, ESR_EC_SHIFT, ICPTD_ESR_ELZ, ICPTD_VIR,
    ICPTR_GUEST_ADDRESS_SIZE, ICPTR_HOST_ACCESS_EXCEPTION, ICPTR_SPURIOUS,
    ICPTR_SYNCHRONOUS_EXCEPTION, ICPTR_VALIDITY, REG_ELR_EL1, REG_SPSR_EL1,
)
from saecore._loop cimport processor_code_changed, sae_execute, sae_lasrm, trace_is_full
from saecore._pe cimport vreg_t
from saecore.kvm._abort cimport handle_guest_abort
from saecore.kvm._hypercall cimport handle_hvc
from saecore.kvm._inject cimport adjust_pc, inject_undefined
from saecore.kvm._mmio cimport finish_mmio
from saecore.kvm._state cimport (
    REQ_SLEEP, RUN_ANEW, RUN_BUDGET, RUN_ON, RUN_RAISED, UNBOUNDED, icptd16, icptd64, spend,
)
from saecore.kvm._trace cimport Recorder
from saecore.kvm._trap cimport handle_sys_reg
from saecore.kvm._uapi cimport EXIT_INTR, EXIT_MMIO, MP_STATE_STOPPED

cdef extern from "Python.h":
    # Declared without its exception, which `Vcpu.run` lets out.
    int check_signals "PyErr_CheckSignals"()

cdef extern from "<signal.h>" nogil:
    int pthread_sigmask(int how, const sigset_t *wanted, sigset_t *before)


cdef enum:
    # Instructions before the first look for signals. What comes earlier counts as before the
    # run; without this, every short run would pay for the watch.
    FIRST_SLICE = 20000
    BRIEFLY = 512           # instructions a run may do without letting go of Python's lock
    TURNS = 1024            # interceptions between two looks
    NAP_NS = 1000000        # of a stopped vCPU
    N_SIGNALS = 64


cdef int pipe_read = -1
cdef int pipe_write = -1


def _open_pipe():
    global pipe_read, pipe_write
    pipe_read, pipe_write = os.pipe()
    os.set_blocking(pipe_read, False)
    os.set_blocking(pipe_write, False)


_open_pipe()
# A child would wake its parent.
os.register_at_fork(after_in_child=_open_pipe)


cdef bint drain(watch_t *watch) noexcept nogil:
    """Take what signals wrote; True if there was something."""
    cdef char numbers[64]
    cdef Py_ssize_t n = read(pipe_read, numbers, sizeof(numbers))
    if n <= 0:
        return False
    if watch.old >= 0:
        write(watch.old, numbers, n)
    return True


cdef int listen(int fd) noexcept:
    """Have signal numbers written to `fd`; returns where they went before."""
    try:
        return signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
    except ValueError:
        # The one before has been closed, or this is not the main interpreter.
        return -1


cdef void block_signals(vcpu_t *v, sigset_t *before) noexcept nogil:
    """Block what the vCPU's mask has, beside what the thread blocks already."""
    cdef sigset_t wanted
    cdef int n
    sigemptyset(&wanted)
    for n in range(N_SIGNALS):
        if v.sigmask >> n & 1:
            sigaddset(&wanted, n + 1)
    pthread_sigmask(SIG_BLOCK, &wanted, before)


cdef void unblock_signals(const sigset_t *before) noexcept nogil:
    pthread_sigmask(SIG_SETMASK, before, NULL)


cdef bint signal_waits(vcpu_t *v) noexcept nogil:
    """The thread blocks a signal that the vCPU's mask lets in, and it is pending."""
    cdef sigset_t pending
    cdef int n
    sigemptyset(&pending)
    sigpending(&pending)
    for n in range(N_SIGNALS):
        if not v.sigmask >> n & 1 and sigismember(&pending, n + 1) == 1:
            return True
    return False


cdef int interrupted(vcpu_t *v) noexcept nogil:
    v.run.exit_reason = EXIT_INTR
    v.stats.signal_exits += 1
    return -EINTR


cdef int look_for_signals(vcpu_t *v, watch_t *watch) noexcept nogil:
    """1: nothing; -EINTR: a handler has run and returned, or a signal waits for the end of the
    run; RUN_RAISED: a handler raised."""
    cdef int raised
    if v.masks and signal_waits(v):
        return interrupted(v)
    if watch == NULL:
        return 1
    with gil:
        if not watch.on:
            watch.on = True
            watch.old = listen(pipe_write)
        raised = check_signals()
    if raised:
        return RUN_RAISED
    if drain(watch):
        return interrupted(v)
    return 1


cdef void watch_end(watch_t *watch) noexcept:
    """Give the wake-up descriptor back; an exception that is raised stays raised."""
    cdef PyObject *kind
    cdef PyObject *value
    cdef PyObject *traceback
    PyErr_Fetch(&kind, &value, &traceback)
    listen(watch.old)
    PyErr_Restore(kind, value, traceback)
    drain(watch)
    watch.on = False


# --- exits of the guest ---------------------------------------------------------------------

cdef int handle_trap(vcpu_t *v) noexcept nogil:
    """By the class of the exception (sae.md 9)."""
    cdef int ec = <int>(icptd64(v.block, ICPTD_ESR_ELZ) >> ESR_EC_SHIFT & 0x3F)
    if ec == EC_DABT_LOW or ec == EC_IABT_LOW:
        return handle_guest_abort(v, False)
    if ec == EC_HVC64:
        return handle_hvc(v)
    if ec == EC_SYS64:
        return handle_sys_reg(v)
    inject_undefined(v)
    return 1


cdef int handle_exit(vcpu_t *v) noexcept nogil:
    """1: run on; 0: to userspace; or an error.

    GUEST_ADDRESS_SIZE goes to the abort handler, which knows it; the published switch does not
    (sae.md 3).
    """
    cdef int icptr = v.block.icptr
    if icptr == ICPTR_HOST_ACCESS_EXCEPTION or icptr == ICPTR_SYNCHRONOUS_EXCEPTION or (
            icptr == ICPTR_GUEST_ADDRESS_SIZE):
        return handle_trap(v)
    if icptr == ICPTR_SPURIOUS:
        return 1
    if icptr == ICPTR_VALIDITY:
        v.vir = icptd16(v.block, ICPTD_VIR)
    return -EINVAL


# --- the loop -------------------------------------------------------------------------------

cdef inline void enter_guest(vcpu_t *v, uint64_t budget) noexcept nogil:
    cdef uint64_t before = v.processor.n_insns
    v.block.icptr = ICPTR_SPURIOUS
    v.processor.budget = budget
    v.processor.pe.regs[REG_ELR_EL1] = v.context.elr_el1
    v.processor.pe.regs[REG_SPSR_EL1] = v.context.spsr[0]
    v.execute(v.processor, v.block)
    v.context.elr_el1 = v.processor.pe.regs[REG_ELR_EL1]
    v.context.spsr[0] = v.processor.pe.regs[REG_SPSR_EL1]
    spend(v, v.processor.n_insns - before)


cdef inline bint asleep(vcpu_t *v) noexcept nogil:
    """Stopped by SYSTEM_OFF or SYSTEM_RESET. Initialising the vCPU again wakes it."""
    if v.mp_state == MP_STATE_STOPPED:
        return True
    v.requests &= ~<uint64_t>REQ_SLEEP
    return False


cdef int run_loop(vcpu_t *v, watch_t *watch) noexcept nogil:
    cdef uint64_t turns = 0, longest = FIRST_SLICE
    cdef timespec nap = timespec(0, NAP_NS)
    cdef bint look
    cdef int ret = look_for_signals(v, NULL)
    while ret == 1:
        if exchange(&v.kicked, 0):
            return interrupted(v)
        if v.entered:
            # There is an exit already.
            v.entered = False
            ret = handle_exit(v)
            continue
        adjust_pc(v)
        if v.left == 0:
            return RUN_BUDGET
        if v.requests & REQ_SLEEP and asleep(v):
            if v.left != <uint64_t>UNBOUNDED:
                return RUN_BUDGET
            nanosleep(&nap, NULL)
            look = True
        else:
            enter_guest(v, min(v.left, longest))
            if v.processor.trace != NULL and trace_is_full(v.processor.trace):
                with gil:
                    (<Recorder>v.processor.trace.owner).drain()
            ret = handle_exit(v)
            turns += 1
            look = v.block.icptr == ICPTR_SPURIOUS or turns % TURNS == 0
        if look and ret == 1 and v.left:
            longest = <uint64_t>UNBOUNDED
            ret = look_for_signals(v, watch)
    return ret


cdef size_t VREGS_BYTES = sizeof(vreg_t) * 32


cdef inline void copy_vregs(vreg_t *to, const vreg_t *source) noexcept nogil:
    """What the compiler makes of a copy whose size it knows takes several times as long."""
    memcpy(to, source, VREGS_BYTES)


cdef void run_begin(vcpu_t *v) noexcept nogil:
    if not v.resumes:
        # Userspace has had its time to change instructions; after an MMIO it is the guest's
        # business to tell the processor, as after any device's write.
        processor_code_changed(v.processor)
    if v.run.exit_reason == EXIT_MMIO:
        finish_mmio(v)
    if not load(&v.vm.has_run):
        store(&v.vm.has_run, 1)
    if not v.loaded:
        sae_lasrm(v.processor, v.area)
        v.loaded = True
    copy_vregs(v.processor.pe.v, v.context.vregs)
    v.entered = False


cdef void run_end(vcpu_t *v, int ret) noexcept nogil:
    v.resumes = ret == 0 and v.run.exit_reason == EXIT_MMIO
    adjust_pc(v)
    copy_vregs(v.context.vregs, v.processor.pe.v)


cdef int vcpu_run_briefly(vcpu_t *v, bint immediate) noexcept nogil:
    """Begin to run a vCPU that is initialised: 0 if its first instructions end in an MMIO exit,
    else RUN_ON, and `vcpu_run` goes on. It waits for nobody, so that between two exits Python's
    lock need not change hands."""
    cdef int ret
    run_begin(v)
    if immediate or load(&v.kicked) or v.requests or v.masks or v.processor.trace != NULL or (
            v.execute != sae_execute):
        return RUN_ON
    adjust_pc(v)
    v.processor.once = BRIEFLY
    enter_guest(v, v.left)
    v.processor.once = 0
    ret = handle_guest_abort(v, True)
    if ret == RUN_ANEW:
        v.entered = True
    if ret == RUN_ANEW or ret == 1:
        return RUN_ON
    run_end(v, ret)
    return ret


cdef int vcpu_run(vcpu_t *v, watch_t *watch, bint immediate) noexcept nogil:
    """Go on with a vCPU that is begun. 0: kvm_run says why it ended; RUN_BUDGET; RUN_RAISED; or
    -errno.

    `watch` is NULL on a thread that does not run Python's signal handlers.
    """
    cdef int ret = -EINTR if immediate else run_loop(v, watch)
    run_end(v, ret)
    return ret
