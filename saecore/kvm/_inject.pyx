"""Exceptions for the guest, and skipped instructions. Floor 9.

Source: fact sheet sae.md sections 8 and 10. ESR_EL1 and FAR_EL1 are written when an exception is
injected; the rest changes in `adjust_pc`, before the guest runs on or userspace looks.
"""

from libc.stdint cimport uint64_t

from saecore._defs cimport (
    EC_DABT_CUR, EC_IABT_CUR, EC_IABT_LOW, EC_UNKNOWN, ESR_EC_SHIFT, ESR_FSC, ESR_IL, ESR_S1PTW,
    FSC_SEA, FSC_SEA_TTW, ICPTD_ESR_ELZ, ICPTD_FAR_ELZ, ICPTD_GLTL, MODE_EL1H, MODE_EL1T,
    PSTATE_BTYPE, PSTATE_DAIF, PSTATE_DIT, PSTATE_EL, PSTATE_MODE, PSTATE_NZCV,
    PSTATE_PAN, PSTATE_SP, PSTATE_SS, PSTATE_SSBS, REG_ESR_EL1, REG_FAR_EL1, REG_SCTLR_EL1,
    REG_VBAR_EL1, SCTLR_DSSBS, SCTLR_SPAN,
)
from saecore.kvm._state cimport (
    INCREMENT_PC, PENDING_EXCEPTION, icptd64, saved_register, spend, vcpu_t,
)


cdef enum:
    # Offsets of vectors by where the exception comes from.
    VECTOR_CURRENT_SP0 = 0x000
    VECTOR_CURRENT_SPX = 0x200
    VECTOR_LOWER_64 = 0x400


cdef void pend(vcpu_t *v, uint64_t esr) noexcept nogil:
    saved_register(v, REG_ESR_EL1)[0] = esr
    v.flags = (v.flags & ~<uint64_t>INCREMENT_PC) | PENDING_EXCEPTION


cdef inline uint64_t trapping_il(vcpu_t *v) noexcept nogil:
    return icptd64(v.block, ICPTD_ESR_ELZ) & ESR_IL


cdef void inject_undefined(vcpu_t *v) noexcept nogil:
    """The instruction that trapped is UNDEFINED."""
    pend(v, <uint64_t>EC_UNKNOWN << ESR_EC_SHIFT | trapping_il(v))


cdef uint64_t abort_class(vcpu_t *v, bint iabt) noexcept nogil:
    cdef uint64_t ec = EC_IABT_CUR if v.block.pstate & PSTATE_EL else EC_IABT_LOW
    if not iabt:
        ec |= EC_DABT_CUR & ~EC_IABT_CUR
    return ec << ESR_EC_SHIFT


cdef void inject_abort(vcpu_t *v, bint iabt, uint64_t address) noexcept nogil:
    """A synchronous external abort, on a table walk if the abort that trapped was on one."""
    cdef uint64_t fsc = FSC_SEA
    if icptd64(v.block, ICPTD_ESR_ELZ) & ESR_S1PTW:
        fsc = FSC_SEA_TTW + (<unsigned char *>v.block)[ICPTD_GLTL]
    saved_register(v, REG_FAR_EL1)[0] = address
    pend(v, abort_class(v, iabt) | trapping_il(v) | (fsc & ESR_FSC))


cdef void inject_size_fault(vcpu_t *v, uint64_t ipa) noexcept nogil:
    """An address size fault of level 0 at a guest physical page."""
    cdef uint64_t esr = icptd64(v.block, ICPTD_ESR_ELZ)
    cdef bint iabt = <int>(esr >> ESR_EC_SHIFT) == EC_IABT_LOW
    inject_abort(v, iabt, ipa | (icptd64(v.block, ICPTD_FAR_ELZ) & 0xFFF))
    saved_register(v, REG_ESR_EL1)[0] &= ~<uint64_t>ESR_FSC


cdef void enter_exception(vcpu_t *v) noexcept nogil:
    """Take a synchronous exception to EL1h."""
    cdef uint64_t old = v.block.pstate
    cdef uint64_t mode = old & PSTATE_MODE
    cdef uint64_t sctlr = saved_register(v, REG_SCTLR_EL1)[0]
    cdef uint64_t new = old & (PSTATE_NZCV | PSTATE_DIT | PSTATE_PAN)
    cdef uint64_t offset
    if mode == MODE_EL1H:
        offset = VECTOR_CURRENT_SPX
    elif (mode & ~<uint64_t>PSTATE_SP) == MODE_EL1T:
        offset = VECTOR_CURRENT_SP0
    else:
        offset = VECTOR_LOWER_64
    if not sctlr & SCTLR_SPAN:
        new |= PSTATE_PAN
    if sctlr & SCTLR_DSSBS:
        new |= PSTATE_SSBS
    v.context.elr_el1 = v.block.pc
    v.context.spsr[0] = old
    v.block.pc = saved_register(v, REG_VBAR_EL1)[0] + offset
    v.block.pstate = new | PSTATE_DAIF | MODE_EL1H


cdef void adjust_pc(vcpu_t *v) noexcept nogil:
    """Do what is pending: an exception, or the skip of the instruction that was emulated.

    Either counts as an instruction, as in the processor, so that a budget bounds both.
    """
    if not v.flags & (PENDING_EXCEPTION | INCREMENT_PC):
        return
    if v.flags & PENDING_EXCEPTION:
        enter_exception(v)
    else:
        v.block.pc += 4
        v.block.pstate &= ~<uint64_t>(PSTATE_BTYPE | PSTATE_SS)
    v.processor.n_insns += 1
    spend(v, 1)
    v.flags &= ~<uint64_t>(PENDING_EXCEPTION | INCREMENT_PC)
