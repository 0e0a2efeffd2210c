"""The SAE instructions as Python has them. Floor 8."""

import mmap

import numpy as np

from libc.stdint cimport uint64_t, uintptr_t

from gmap._space cimport Gmap
from saecore._block cimport sae_block_t, save_area_t
from saecore._loop cimport (
    processor_free, processor_new, sae_execute, sae_lasrm, sae_stiasrm,
)
from saecore._processor cimport processor_t

from gmap.errors import HostMemoryError

from saecore._block import BLOCK_DTYPE, ICPTD_DTYPE, SAVE_AREA_DTYPE
from saecore._defs import PSTATE_RESET, Icptr


cdef class Processor:
    cdef processor_t *c
    cdef sae_block_t *block_c
    cdef save_area_t *area_c
    cdef readonly Gmap gmap
    cdef readonly object block
    cdef readonly object icptd
    cdef readonly object save_area
    cdef object memory

    def __init__(self, Gmap gmap not None, uint64_t features=0xFFFF):
        self.gmap = gmap
        self.memory = mmap.mmap(-1, 8192)
        self.block = np.frombuffer(self.memory, BLOCK_DTYPE, 1)[0:1].reshape(())
        self.icptd = np.frombuffer(self.memory, ICPTD_DTYPE, 1).reshape(())
        self.save_area = np.frombuffer(self.memory, SAVE_AREA_DTYPE, 1, 4096).reshape(())
        self.block_c = <sae_block_t *><uintptr_t><object>self.block.ctypes.data
        self.area_c = <save_area_t *><uintptr_t><object>self.save_area.ctypes.data
        self.c = processor_new(gmap.space.c, features)
        if self.c == NULL:
            raise HostMemoryError("no memory for a processor")
        self.block["pstate"] = PSTATE_RESET
        self.block["msl"] = gmap.guest_phys_size
        self.block["hbasce"] = gmap.asce
        self.block["save_area"] = self.save_area.ctypes.data
        self.save_area["sdo"] = self.block.ctypes.data

    def __dealloc__(self):
        processor_free(self.c)

    def lasrm(self):
        sae_lasrm(self.c, self.area_c)

    def stiasrm(self):
        sae_stiasrm(self.c, self.area_c)

    def sae(self, max_insns=None):
        cdef uint64_t before = self.c.n_insns
        self.c.budget = <uint64_t>-1 if max_insns is None else <uint64_t>max_insns
        with nogil:
            sae_execute(self.c, self.block_c)
        return Icptr(self.block_c.icptr), self.c.n_insns - before
