"""Scalar floating point: from instructions to operations. Floor 7.

Which function does an instruction stands in the tables of `sae_fp_ops.h`, by the fields of its
encoding; what a word is was settled by the encoding table.

Source: Arm ARM (DDI 0487), C4.1 and C7.2.
"""

from libc.stdint cimport uint8_t, uint32_t

from saecore._pe cimport op_fn, op_t, pe_t
from saecore.a64._codes cimport OP_umov, OP_vscalar, OP_vscalar_x, OP_vset
from saecore.a64._emit cimport EMIT_NEXT, bits, builder_t, emit, source, target
from saecore.a64._emit_call cimport emit_call, emit_fp_check
from saecore.a64._emit_simd cimport emit_element_of


cdef extern from "sae_fp_ops.h" nogil:
    enum:
        FP_TYPES
        FP_TIEAWAY
        FP_ONE_CODES
    op_fn *const fp_two_source[FP_TYPES][9]
    op_fn *const fp_three_source[FP_TYPES][4]
    op_fn *const fp_one_source[FP_TYPES][FP_ONE_CODES]
    op_fn *const fp_compare_op[FP_TYPES][4]
    op_fn *const fp_cond_compare[FP_TYPES][2]
    op_fn *const fp_select[FP_TYPES]
    op_fn *const fp_to_integer[FP_TYPES][4]
    op_fn *const fp_from_integer[FP_TYPES][4]
    void fp_op_jcvt(pe_t *pe, const op_t *op)


cdef enum:
    HALF = 1        # size of an element, as a logarithm of bytes


cdef void emit_move(builder_t *b, uint32_t insn) noexcept nogil:
    """FMOV of halves."""
    cdef op_t *op
    cdef uint32_t rd = bits(insn, 4, 0)
    emit_fp_check(b)
    if bits(insn, 12, 12):
        op = emit(b, OP_vset)
        op.imm = expand_half(bits(insn, 20, 13))
    elif bits(insn, 14, 14):
        op = emit_element_of(b, OP_vscalar, HALF, 0)
    elif bits(insn, 16, 16):
        op = emit(b, OP_vscalar_x)
        op.imm = 0xFFFF
    else:
        op = emit_element_of(b, OP_umov, HALF, 0)
        rd = target(rd)
    op.rd = <uint8_t>rd
    op.rn = <uint8_t>bits(insn, 9, 5)


cdef void emit_integer(builder_t *b, uint32_t insn) noexcept nogil:
    """To and from integers, and fixed point."""
    cdef uint32_t format = bits(insn, 23, 22)
    cdef uint32_t rounding = bits(insn, 20, 19)
    cdef uint32_t opcode = bits(insn, 18, 16)
    cdef uint32_t which = bits(insn, 31, 31) << 1 | bits(insn, 16, 16)
    cdef uint32_t rd = bits(insn, 4, 0)
    cdef op_t *op
    if opcode == 0b010 or opcode == 0b011:
        op = emit_call(b, fp_from_integer[format][which])
        op.rd = <uint8_t>rd
    else:
        op = emit_call(b, fp_op_jcvt if opcode == 0b110 else fp_to_integer[format][which])
        op.rm = FP_TIEAWAY if opcode & 0b100 else <uint8_t>rounding
        op.rd = target(rd)
    op.ra = 0 if bits(insn, 21, 21) else <uint8_t>(64 - bits(insn, 15, 10))
    op.rn = source(bits(insn, 9, 5))


cdef int emit_fp(builder_t *b, uint32_t insn, int enc) noexcept nogil:
    cdef uint32_t format = bits(insn, 23, 22)
    cdef uint32_t opcode
    cdef op_t *op
    # Behind the first two, the lowest bits from bit 10 on tell classes apart.
    if bits(insn, 24, 24):
        op = emit_call(b, fp_three_source[format][bits(insn, 21, 21) << 1 | bits(insn, 15, 15)])
        op.ra = <uint8_t>bits(insn, 14, 10)
    elif not bits(insn, 21, 21):
        emit_integer(b, insn)
        return EMIT_NEXT
    elif bits(insn, 11, 10) == 0b01:
        op = emit_call(b, fp_cond_compare[format][bits(insn, 4, 4)])
        op.imm = bits(insn, 3, 0) << 28
        op.ra = <uint8_t>bits(insn, 15, 12)
    elif bits(insn, 11, 10) == 0b10:
        op = emit_call(b, fp_two_source[format][bits(insn, 15, 12)])
    elif bits(insn, 11, 10) == 0b11:
        op = emit_call(b, fp_select[format])
        op.ra = <uint8_t>bits(insn, 15, 12)
    elif bits(insn, 12, 12):
        emit_move(b, insn)
        return EMIT_NEXT
    elif bits(insn, 13, 13):
        op = emit_call(b, fp_compare_op[format][bits(insn, 4, 3)])
    elif bits(insn, 14, 14):
        opcode = bits(insn, 20, 15)
        if opcode == 0:
            emit_move(b, insn)
            return EMIT_NEXT
        op = emit_call(b, fp_one_source[format][opcode])
    elif bits(insn, 18, 17) == 0b11 and format == 3:
        emit_move(b, insn)
        return EMIT_NEXT
    else:
        emit_integer(b, insn)
        return EMIT_NEXT
    op.rd = <uint8_t>bits(insn, 4, 0)
    op.rn = <uint8_t>bits(insn, 9, 5)
    op.rm = <uint8_t>bits(insn, 20, 16)
    return EMIT_NEXT
