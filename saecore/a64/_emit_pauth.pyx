"""Pointer authentication: from instructions to operations. Floor 7.

What a key signs or authenticates is left to `saecore/_pauth.pyx`; a branch or a load behind that
is an operation of its own.

Source: Arm ARM (DDI 0487), C4.1 and C6.2.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from saecore._defs cimport REG_ELR_EL1
from saecore._pe cimport X_SP, X_TEMP, X_ZERO, op_t
from saecore.a64._codes cimport (
    ENC_blraa, ENC_blraaz, ENC_braa, ENC_eretaa, ENC_ldraa, ENC_pacga, ENC_retaa,
    ENC_xpacd, ENC_xpaci, ENC_xpaclri, OP_add_x_imm, OP_ld64_imm, OP_mrs_saved,
    OP_ret, OP_sys_next,
)
from saecore.a64._emit cimport (
    EMIT_END, EMIT_NEXT, EMIT_UNDEFINED, bits, builder_t, emit, or_sp, source, target,
)
from saecore.a64._emit_branch cimport register_branch
from saecore.a64._emit_memory cimport emit_check_sp
from saecore.a64._emit_system cimport SYSTEM_ERET, SYSTEM_PAUTH, call


cdef void work(builder_t *b, uint32_t insn, int action, int key, uint8_t rd, uint8_t rn,
               uint8_t rm) noexcept nogil:
    cdef op_t *op = emit(b, OP_sys_next)
    op.rd, op.rn, op.rm = rd, rn, rm
    op.imm = <uint64_t>(action << 3 | key) << 48 | <uint64_t>SYSTEM_PAUTH << 32 | insn


cdef void emit_one_source(builder_t *b, uint32_t insn) noexcept nogil:
    """PACIA, AUTIA and their like; bit 13 says that the modifier is zero."""
    cdef uint32_t rd = bits(insn, 4, 0)
    work(b, insn, PAUTH_AUTHENTICATE if bits(insn, 12, 12) else PAUTH_ADD,
         <int>bits(insn, 11, 10), target(rd), source(rd),
         X_ZERO if bits(insn, 13, 13) else or_sp(bits(insn, 9, 5)))


cdef void emit_hint(builder_t *b, uint32_t insn) noexcept nogil:
    """Those of X17 with X16, and of X30 with zero or SP."""
    cdef uint8_t data = 17
    cdef uint8_t modifier = 16
    if bits(insn, 9, 9):
        data = 30
        modifier = X_SP if bits(insn, 5, 5) else X_ZERO
    work(b, insn, PAUTH_AUTHENTICATE if bits(insn, 7, 7) else PAUTH_ADD,
         PAUTH_IB if bits(insn, 6, 6) else PAUTH_IA, data, data, modifier)


cdef int emit_branch_to(builder_t *b, uint32_t insn, int enc) noexcept nogil:
    """BRAA, BLRAA, RETAA, ERETAA and their like."""
    cdef uint8_t rn = source(bits(insn, 9, 5))
    cdef uint8_t modifier = X_ZERO
    cdef op_t *op
    if enc == ENC_eretaa:
        op = emit(b, OP_mrs_saved)
        op.rd = rn = X_TEMP
        op.imm = REG_ELR_EL1
    if enc == ENC_retaa or enc == ENC_eretaa:
        modifier = X_SP
        if enc == ENC_retaa:
            rn = 30
    elif enc == ENC_braa or enc == ENC_blraa:
        modifier = or_sp(bits(insn, 4, 0))
    work(b, insn, PAUTH_AUTHENTICATE, PAUTH_IB if bits(insn, 10, 10) else PAUTH_IA, X_TEMP, rn,
         modifier)
    if enc == ENC_eretaa:
        return call(b, insn, SYSTEM_ERET, X_TEMP, True)
    b.taken = b.pc + 4
    b.falls = False
    op = emit(b, OP_ret if enc == ENC_retaa else
              register_branch(b, rn, enc == ENC_blraa or enc == ENC_blraaz))
    op.rn = X_TEMP
    op.imm = b.pc + 4
    return EMIT_END


cdef void emit_load(builder_t *b, uint32_t insn) noexcept nogil:
    """LDRAA and LDRAB: the base is authenticated, and written back so."""
    cdef uint32_t base = bits(insn, 9, 5)
    cdef int64_t offset = 8 * (<int64_t>bits(insn, 20, 12) - (<int64_t>bits(insn, 22, 22) << 9))
    cdef op_t *op
    emit_check_sp(b, base)
    work(b, insn, PAUTH_AUTHENTICATE, PAUTH_DB if bits(insn, 23, 23) else PAUTH_DA, X_TEMP,
         or_sp(base), X_ZERO)
    op = emit(b, OP_ld64_imm)
    op.rd = target(bits(insn, 4, 0))
    op.rn = X_TEMP
    op.imm = <uint64_t>offset
    if bits(insn, 11, 11):
        op = emit(b, OP_add_x_imm)
        op.rd = or_sp(base)
        op.rn = X_TEMP
        op.imm = <uint64_t>offset


cdef int emit_pauth(builder_t *b, uint32_t insn, int enc) noexcept nogil:
    cdef uint32_t rd = bits(insn, 4, 0)
    if enc == ENC_eretaa and b.el == 0:
        return EMIT_UNDEFINED
    if enc == ENC_ldraa:
        emit_load(b, insn)
    elif bits(insn, 31, 25) == 0b1101011:
        return emit_branch_to(b, insn, enc)
    elif enc == ENC_xpaclri:
        work(b, insn, PAUTH_STRIP, PAUTH_IA, 30, 30, X_ZERO)
    elif enc > ENC_xpaclri:
        emit_hint(b, insn)
    elif enc == ENC_pacga:
        work(b, insn, PAUTH_GENERIC, PAUTH_GA, target(rd), source(bits(insn, 9, 5)),
             or_sp(bits(insn, 20, 16)))
    elif enc == ENC_xpaci or enc == ENC_xpacd:
        work(b, insn, PAUTH_STRIP, PAUTH_DA if enc == ENC_xpacd else PAUTH_IA, target(rd),
             source(rd), X_ZERO)
    else:
        emit_one_source(b, insn)
    return EMIT_NEXT
