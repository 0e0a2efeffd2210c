"""To test what the run loop does: interceptions played back, and races made to happen. Floor 9.

A processor only ever makes the interceptions it should; the decision tables have rows for others.
"""

from libc.stdint cimport uint64_t, uintptr_t
from libc.string cimport memset

import numpy as np

from gmap._atomic cimport load
from gmap._space cimport Gmap
from gmap._sync cimport srcu_read_lock, srcu_read_unlock
from saecore._block cimport sae_block_t
from saecore._defs cimport (
    ICPTD_ESR_ELZ, ICPTD_FAR_ELZ, ICPTD_GLTL, ICPTD_PIC, ICPTD_TEID, ICPTR_STOP,
)
from saecore._loop cimport sae_execute
from saecore._processor cimport processor_t
from saecore.kvm._vcpu cimport VcpuState

#: One interception: `insns` instructions are executed before it. The fields of the interception
#: data are those of sae.md section 4; `esr` holds a validity reason as well.
STEP = np.dtype([
    (name, "u8") for name in ("icptr", "esr", "pic", "teid", "far", "gltl", "insns")
])


cdef struct step_t:
    uint64_t icptr
    uint64_t esr
    uint64_t pic
    uint64_t teid
    uint64_t far
    uint64_t gltl
    uint64_t insns


cdef step_t *steps = NULL
cdef uint64_t n_steps = 0
cdef uint64_t at = 0


cdef void play(processor_t *p, sae_block_t *block) noexcept nogil:
    """In the place of `sae_execute`; STOP when there is nothing left."""
    global at
    cdef char *base = <char *>block
    cdef step_t *step
    if at >= n_steps:
        block.icptr = ICPTR_STOP
        return
    step = &steps[at]
    at += 1
    memset(block.icptd, 0, sizeof(block.icptd))
    (<uint64_t *>(base + ICPTD_ESR_ELZ))[0] = step.esr
    (<uint64_t *>(base + ICPTD_FAR_ELZ))[0] = step.far
    (<uint64_t *>(base + ICPTD_TEID))[0] = step.teid
    (<unsigned short *>(base + ICPTD_PIC))[0] = <unsigned short>step.pic
    (base + ICPTD_GLTL)[0] = <char>step.gltl
    p.n_insns += step.insns
    block.icptr = <unsigned char>step.icptr


class Playback:
    """Have a vCPU's interceptions come from a list, while in a ``with`` block; one at a time.

    Parameters
    ----------
    vcpu : Vcpu
    steps : iterable of dict
        Fields of `STEP`; 0 where missing.

    Behind the last one SAE is stopped, which the run loop does not handle.

    >>> from saecore import kvm
    >>> vm = kvm.System().create_vm()
    >>> vcpu = vm.create_vcpu(0)
    >>> vcpu.init(vm.preferred_target())
    >>> with Playback(vcpu, [{"icptr": 0, "insns": 3}]):
    ...     vcpu.run(max_insns=3)
    Budget()
    """

    def __init__(self, vcpu, played):
        rows = [tuple(step.get(name, 0) for name in STEP.names) for step in played]
        self.vcpu = vcpu
        self.array = np.array(rows, dtype=STEP)

    def __enter__(self):
        global steps, n_steps, at
        cdef VcpuState state = self.vcpu
        steps = <step_t *><uintptr_t>self.array.ctypes.data
        n_steps = len(self.array)
        at = 0
        state.c.execute = play
        return self

    def __exit__(self, *exc_info):
        global n_steps
        cdef VcpuState state = self.vcpu
        n_steps = 0
        state.c.execute = sae_execute


class SlotReader:
    """Be where a fault that reads the memory slots is, while in a ``with`` block: who changes
    slots has published them, and waits before painting the tables.

    Parameters
    ----------
    space : gmap.Gmap

    Do not change slots in the thread that is in it, which would wait for ever.

    >>> import gmap
    >>> with SlotReader(gmap.Gmap(gmap.SyntheticHost())):
    ...     pass
    """

    def __init__(self, space):
        self.space = space

    def __enter__(self):
        cdef Gmap space = self.space
        self.token = srcu_read_lock(&space.c.srcu)

    def __exit__(self, *exc_info):
        cdef Gmap space = self.space
        srcu_read_unlock(&space.c.srcu, self.token)


def last_fault(vcpu):
    """PC of the last fault that the tables alone could not resolve; from any thread.

    >>> from saecore import kvm
    >>> last_fault(kvm.System().create_vm().create_vcpu(0))
    0
    """
    cdef VcpuState state = vcpu
    return load(&state.c.faults.pc)
