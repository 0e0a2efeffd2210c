"""System instructions to operations. Floor 7.

What the level, the features and the register table decide is decided here, once a block; what
depends on control registers (SCTLR.UCT, HCR.TID3 and so on) is left to `_system.pyx`.
"""

from saecore._defs cimport PSTATE_DAIF
from saecore._pe cimport op_t
from saecore._sysreg_codes cimport (
    GATE_OPEN, HOME_SAVED, HOME_ZERO, KEY_DIT, KEY_PAN, KEY_SSBS, KEY_UAO, N_SYSREGS, RIGHT_R,
    RIGHT_W, SPECIAL_CURRENT_EL,
    SPECIAL_DAIF, SPECIAL_DCZID, SPECIAL_NONE, SPECIAL_NZCV, SPECIAL_SP_EL0, sae_sysregs,
    sysreg_t,
)
from saecore.a64._codes cimport (
    ENC_brk, ENC_bti, ENC_clrex, ENC_dcps1, ENC_dcps2, ENC_dcps3, ENC_dmb, ENC_drps, ENC_dsb,
    ENC_eret, ENC_hint, ENC_hlt, ENC_hvc, ENC_isb, ENC_mrs, ENC_msr, ENC_msr_daifclr,
    ENC_msr_daifset, ENC_msr_dit, ENC_msr_spsel, ENC_msr_ssbs, ENC_msr_uao, ENC_sb, ENC_sev,
    ENC_sevl, ENC_smc, ENC_svc, ENC_sys, ENC_sysl, ENC_wfe, ENC_wfi, OP_clrex, OP_daif_set,
    OP_fence, OP_mrs_const, OP_mrs_daif, OP_mrs_nzcv, OP_mrs_saved, OP_mrs_sp_el0, OP_msr_nzcv,
    OP_msr_saved, OP_msr_sp_el0, OP_sys, OP_sys_next,
)
from saecore.a64._emit cimport (
    EMIT_END, EMIT_NEXT, EMIT_UNDEFINED, bits, emit, source, target,
)


cdef int find_row(uint32_t key) noexcept nogil:
    """The row of a register by its encoding, or -1."""
    cdef int low = 0
    cdef int high = N_SYSREGS
    cdef int middle
    while low < high:
        middle = (low + high) >> 1
        if sae_sysregs[middle].key < key:
            low = middle + 1
        else:
            high = middle
    return low if low < N_SYSREGS and sae_sysregs[low].key == key else -1


cdef int call(builder_t *b, uint32_t insn, int what, int row, bint ends) noexcept nogil:
    """Leave it to `system_instruction`."""
    cdef op_t *op = emit(b, OP_sys if ends else OP_sys_next)
    op.rd = target(insn & 31)
    op.rn = source(insn & 31)
    op.imm = <uint64_t>row << 48 | <uint64_t>what << 32 | insn
    return EMIT_END if ends else EMIT_NEXT


cdef int read_special(builder_t *b, uint32_t insn, const sysreg_t *reg) noexcept nogil:
    """The operation of its own that reads a register, or -1."""
    if reg.special == SPECIAL_NZCV:
        return OP_mrs_nzcv
    if reg.special == SPECIAL_CURRENT_EL:
        return OP_mrs_const
    if reg.special == SPECIAL_DAIF and b.el:
        return OP_mrs_daif
    if reg.special == SPECIAL_SP_EL0:
        return OP_mrs_sp_el0
    return -1


cdef int emit_access(builder_t *b, uint32_t insn) noexcept nogil:
    """MRS, MSR, SYS, SYSL."""
    cdef uint32_t key = bits(insn, 20, 5)
    cdef bint read = bits(insn, 21, 21)
    cdef int row = find_row(key)
    cdef uint32_t crn = bits(insn, 15, 12)
    cdef const sysreg_t *reg
    cdef bint plain
    cdef int code = -1
    cdef op_t *op
    if row < 0:
        # HCR.TIDCP wants to know of implementation defined encodings.
        if b.el and bits(insn, 20, 19) != 2 and (crn == 11 or crn == 15):
            return call(b, insn, SYSTEM_UNKNOWN_ACCESS, 0, False)
        return EMIT_UNDEFINED
    reg = &sae_sysregs[row]
    if not (reg.el1 if b.el else reg.el0) & (RIGHT_R if read else RIGHT_W):
        return EMIT_UNDEFINED
    if reg.feature & ~b.features:
        return EMIT_UNDEFINED
    # Nothing but a move, whatever control registers say?
    plain = not reg.trap and (b.el or reg.gate == GATE_OPEN)
    if plain and read:
        if reg.home == HOME_SAVED and reg.special != SPECIAL_DCZID:
            code = OP_mrs_saved
        elif reg.home == HOME_ZERO:
            code = OP_mrs_const
        else:
            code = read_special(b, insn, reg)
    elif plain:
        if reg.special == SPECIAL_NZCV:
            code = OP_msr_nzcv
        elif reg.special == SPECIAL_SP_EL0:
            code = OP_msr_sp_el0
        elif reg.home == HOME_ZERO and reg.special == SPECIAL_NONE:
            return EMIT_NEXT
        elif reg.home == HOME_SAVED and reg.special == SPECIAL_NONE and not reg.effect \
                and not ~reg.mask:
            code = OP_msr_saved
    if code < 0:
        return call(b, insn, SYSTEM_ACCESS, row, not read and reg.effect)
    op = emit(b, code)
    op.rd = target(insn & 31)
    op.rn = source(insn & 31)
    if code == OP_mrs_saved or code == OP_msr_saved:
        op.imm = <uint64_t>reg.reg
    elif code == OP_mrs_sp_el0 or code == OP_msr_sp_el0:
        op.imm = <uint64_t>row << 48 | <uint64_t>SYSTEM_ACCESS << 32 | insn
    elif reg.special == SPECIAL_CURRENT_EL:
        op.imm = b.el << 2
    return EMIT_NEXT


cdef int emit_daif(builder_t *b, uint32_t insn, bint set) noexcept nogil:
    """MSR DAIFSet and DAIFClr, with an immediate."""
    cdef uint32_t imm = bits(insn, 11, 8)
    cdef op_t *op
    # A mask taken off may let an interrupt in: the loop looks between blocks.
    if b.el and set:
        op = emit(b, OP_daif_set)
        op.imm = imm << 6 & PSTATE_DAIF
        return EMIT_NEXT
    return call(b, insn, SYSTEM_DAIF_SET if set else SYSTEM_DAIF_CLEAR, 0, True)


cdef int emit_bit(builder_t *b, uint32_t insn, int enc) noexcept nogil:
    """MSR PAN, UAO, SSBS, DIT, with an immediate: the write of the register of that name."""
    cdef uint32_t key = KEY_PAN
    if enc == ENC_msr_uao:
        key = KEY_UAO
    elif enc == ENC_msr_ssbs:
        key = KEY_SSBS
    elif enc == ENC_msr_dit:
        key = KEY_DIT
    return call(b, insn, SYSTEM_PSTATE_BIT, find_row(key), False)


cdef int emit_system(builder_t *b, uint32_t insn, int enc) noexcept nogil:
    """The operations of one instruction."""
    if enc == ENC_mrs or enc == ENC_msr or enc == ENC_sys or enc == ENC_sysl:
        return emit_access(b, insn)
    if enc == ENC_hint or enc == ENC_bti:
        return EMIT_NEXT    # BTI matters to who looks for the target of a branch (_bti.pyx)
    if enc == ENC_dmb or enc == ENC_dsb or enc == ENC_sb:
        emit(b, OP_fence)
        return EMIT_NEXT
    if enc == ENC_clrex:
        emit(b, OP_clrex)
        return EMIT_NEXT
    if enc == ENC_msr_daifset or enc == ENC_msr_daifclr:
        return emit_daif(b, insn, enc == ENC_msr_daifset)
    if enc == ENC_isb:
        return call(b, insn, SYSTEM_ISB, 0, True)
    if enc == ENC_svc:
        return call(b, insn, SYSTEM_SVC, 0, True)
    if enc == ENC_brk:
        return call(b, insn, SYSTEM_BRK, 0, True)
    if enc == ENC_wfe:
        return call(b, insn, SYSTEM_WFE, 0, True)
    if enc == ENC_wfi:
        return call(b, insn, SYSTEM_WFI, 0, True)
    if enc == ENC_sev or enc == ENC_sevl:
        return call(b, insn, SYSTEM_SEV, 0, False)
    if enc == ENC_msr_ssbs or enc == ENC_msr_dit:
        return emit_bit(b, insn, enc)
    if enc == ENC_hlt or enc == ENC_dcps1 or enc == ENC_dcps2 or enc == ENC_dcps3 \
            or enc == ENC_drps or b.el == 0:
        return EMIT_UNDEFINED
    if enc == ENC_eret:
        return call(b, insn, SYSTEM_ERET, 0, True)
    if enc == ENC_hvc:
        return call(b, insn, SYSTEM_HVC, 0, True)
    if enc == ENC_smc:
        return call(b, insn, SYSTEM_SMC, 0, True)
    if enc == ENC_msr_spsel:
        return call(b, insn, SYSTEM_SPSEL, 0, False)
    return emit_bit(b, insn, enc)
