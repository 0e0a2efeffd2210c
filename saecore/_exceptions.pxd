# Exceptions to EL1, and what is left to the host instead. Floor 7.
#
# Each answers PE_LEFT, so that a slow path may return what they return.
from libc.stdint cimport uint64_t

from saecore._pe cimport op_t, pe_t


# Take a synchronous exception to EL1h: ELR is `return_pc`. FAR is only written by the second.
cdef int take_exception(pe_t *pe, uint64_t esr, uint64_t return_pc) noexcept nogil
cdef int take_exception_far(pe_t *pe, uint64_t esr, uint64_t far, uint64_t return_pc) noexcept nogil
# The instruction of `op` is UNDEFINED: EC 0, ELR is its own address.
cdef int take_undefined(pe_t *pe, const op_t *op) noexcept nogil
# Leave SAE with icptr SYNCHRONOUS_EXCEPTION; the pc the host sees is `pc`.
cdef int intercept_trap(pe_t *pe, uint64_t esr, uint64_t pc) noexcept nogil
# ESR value of an exception class and its syndrome, IL set (all A64 instructions have 32 bits).
cdef uint64_t esr_of(int ec, uint64_t iss) noexcept nogil
# PSTATE as SPSR_EL1 would have it, flags included; and set all of it, for an exception return or
# an entry: the SP in use, EL and flags follow, and pe.changed says so.
cdef uint64_t pstate_read(pe_t *pe) noexcept nogil
cdef void pstate_write(pe_t *pe, uint64_t pstate) noexcept nogil
# Let the TLB in use, and what is trapped, follow PSTATE and CPACR_EL1.
cdef void mode_follow(pe_t *pe) noexcept nogil
# What pe_calls_t wants.
cdef void take_undefined_call(pe_t *pe, const op_t *op) noexcept nogil
cdef void take_sp_fault(pe_t *pe, const op_t *op) noexcept nogil
cdef void take_fp_fault(pe_t *pe, const op_t *op) noexcept nogil
