"""Exceptions to EL1, and what is left to the host instead. Floor 7.

Source: the Arm architecture's AArch64.TakeException and SPSR layout; fact sheet sae.md 10.
"""

from libc.stdint cimport uint64_t

from saecore._defs cimport (
    EC_FP_ASIMD, EC_SP_ALIGN, EC_UNKNOWN, ESR_EC_SHIFT, ESR_IL, EVENT_INTERCEPT, EVENT_LOOKUP,
    FEATURE_PAN, FEATURE_SSBS, ICPTR_SYNCHRONOUS_EXCEPTION, MODE_EL1H,
    PSTATE_DAIF, PSTATE_DIT, PSTATE_NZCV, PSTATE_PAN, PSTATE_SP, PSTATE_SSBS,
    PSTATE_UAO, REG_CPACR_EL1, REG_ELR_EL1, REG_ESR_EL1, REG_FAR_EL1,
    REG_SPSR_EL1, REG_VBAR_EL1, SCTLR_DSSBS, SCTLR_SPAN,
)
from saecore._pe cimport OP_PC, PE_LEFT, X_SP, op_t, pe_t, sae_nzcv, sae_set_nzcv


cdef uint64_t pstate_read(pe_t *pe) noexcept nogil:
    return pe.pstate | sae_nzcv(pe)


cdef void mode_follow(pe_t *pe) noexcept nogil:
    """Let the TLB in use, and what is trapped, follow the level, PAN and UAO."""
    cdef uint64_t fpen = pe.regs[<int>REG_CPACR_EL1] >> 20 & 3
    pe.el = pe.pstate >> 2 & 3
    pe.tlb_user = pe.tlbs[0]
    pe.jumps = pe.jumps_of[pe.el]
    if pe.el == 0:
        pe.tlb = pe.tlbs[0]
    else:
        pe.tlb = pe.tlbs[2 if pe.pstate & PSTATE_PAN else 1]
        if pe.pstate & PSTATE_UAO:
            pe.tlb_user = pe.tlb
    if pe.careful:
        pe.tlb = pe.tlb_user = pe.no_tlb
    # 1 traps EL0 alone, 3 nothing, the others both.
    pe.fp_trap = fpen != 3 and (fpen != 1 or pe.el == 0)


cdef void pstate_write(pe_t *pe, uint64_t pstate) noexcept nogil:
    pe.sp[pe.pstate & PSTATE_SP] = pe.x[<int>X_SP]
    pe.pstate = pstate & ~PSTATE_NZCV
    pe.x[<int>X_SP] = pe.sp[pstate & PSTATE_SP]
    sae_set_nzcv(pe, pstate)
    mode_follow(pe)


cdef uint64_t esr_of(int ec, uint64_t iss) noexcept nogil:
    return <uint64_t>ec << ESR_EC_SHIFT | ESR_IL | iss


cdef int take_exception(pe_t *pe, uint64_t esr, uint64_t return_pc) noexcept nogil:
    cdef uint64_t old = pstate_read(pe)
    cdef uint64_t new = old & (PSTATE_NZCV | PSTATE_DIT | PSTATE_PAN)
    cdef uint64_t offset
    if pe.el == 0:
        offset = 0x400
    else:
        offset = 0x200 if old & PSTATE_SP else 0
    if pe.features & FEATURE_PAN and not pe.sctlr & SCTLR_SPAN:
        new |= PSTATE_PAN
    if pe.features & FEATURE_SSBS and pe.sctlr & SCTLR_DSSBS:
        new |= PSTATE_SSBS
    pe.regs[<int>REG_ELR_EL1] = return_pc
    pe.regs[<int>REG_SPSR_EL1] = old
    pe.regs[<int>REG_ESR_EL1] = esr
    pstate_write(pe, new | PSTATE_DAIF | MODE_EL1H)
    pe.pc = pe.regs[<int>REG_VBAR_EL1] + offset
    pe.excl_size = 0
    pe.retired = 1      # it counts as executed, so that a budget bounds exceptions as well
    pe.event = EVENT_LOOKUP
    return PE_LEFT


cdef int take_exception_far(pe_t *pe, uint64_t esr, uint64_t far,
                            uint64_t return_pc) noexcept nogil:
    pe.regs[<int>REG_FAR_EL1] = far
    return take_exception(pe, esr, return_pc)


cdef int take_undefined(pe_t *pe, const op_t *op) noexcept nogil:
    return take_exception(pe, esr_of(EC_UNKNOWN, 0), OP_PC(op))


cdef void take_undefined_call(pe_t *pe, const op_t *op) noexcept nogil:
    take_exception(pe, esr_of(EC_UNKNOWN, 0), OP_PC(op))


cdef void take_sp_fault(pe_t *pe, const op_t *op) noexcept nogil:
    take_exception(pe, esr_of(EC_SP_ALIGN, 0), OP_PC(op))


cdef void take_fp_fault(pe_t *pe, const op_t *op) noexcept nogil:
    # CV 1, COND 14: always, as from A64.
    take_exception(pe, esr_of(EC_FP_ASIMD, 0x1E << 20), OP_PC(op))


cdef int intercept_trap(pe_t *pe, uint64_t esr, uint64_t pc) noexcept nogil:
    pe.icptr = ICPTR_SYNCHRONOUS_EXCEPTION
    pe.esr = esr
    pe.far = 0
    pe.pic = 0
    pe.teid = 0
    pe.gltl = 0
    pe.pc = pc
    pe.event = EVENT_INTERCEPT
    return PE_LEFT
