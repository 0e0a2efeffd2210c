# System registers and system instructions: what pe_calls_t.system does. Floor 7.
from libc.stdint cimport uint64_t

from saecore._pe cimport op_t, pe_t


# An instruction of `sys` or `sys_next` (a64/_emit_system.pxd has the format of op.imm).
cdef int system_instruction(pe_t *pe, const op_t *op) noexcept nogil
# ISR_EL1: the virtual interrupts that are pending, at PSTATE's positions of A, I and F, masked
# or not.
cdef uint64_t interrupts_pending(pe_t *pe) noexcept nogil
# CCSIDR_EL1 of a processor with this CTR_EL0, under a value of CSSELR_EL1.
cdef uint64_t cache_size(uint64_t ctr, uint64_t csselr) noexcept nogil
