"""Advanced SIMD on floating point: from instructions to operations. Floor 7.

What a word is was settled by the encoding table; what is left is which function does it
(`sae_vector_fp_ops.h`), on how many elements, and what else that function wants to know.

Source: Arm ARM (DDI 0487), C4.1 and C7.2.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from saecore._pe cimport op_fn, op_t, pe_t
from saecore.a64._codes cimport OP_vset
from saecore.a64._emit cimport EMIT_NEXT, EMIT_UNDEFINED, bits, builder_t, emit
from saecore.a64._emit_call cimport emit_call, emit_fp_check
from saecore.a64._emit_fp cimport expand_half


cdef extern from "sae_vector.h" nogil:
    uint64_t sae_replicate(uint64_t value, unsigned int log2)


cdef extern from "sae_vector_fp_ops.h" nogil:
    enum:
        FP_ZERO_MODE
        FP_TIEAWAY
    op_fn *vfp_three[3][32]
    op_fn *vfp_element[3][8]
    op_fn *vfp_three_all[2][32]
    op_fn *vfp_element_all[2][8]
    op_fn *vfp_two[3][64]
    op_fn *vfp_across[2][4]
    op_fn *vfp_resize[16]
    op_fn *vfp_long[2][2]
    op_fn *vfp_fcadd[3]
    op_fn *vfp_fcmla[3]
    op_fn *vfp_fcmla_element[2]
    void vfp_fabs(pe_t *pe, const op_t *op)
    void vfp_fneg(pe_t *pe, const op_t *op)
    void vfp_bfdot_32(pe_t *pe, const op_t *op)
    void vfp_bfdot_element_32(pe_t *pe, const op_t *op)
    void vfp_bfmmla(pe_t *pe, const op_t *op)
    void vfp_bfmlal(pe_t *pe, const op_t *op)
    void vfp_bfmlal_element(pe_t *pe, const op_t *op)


cdef enum:
    # Sizes of elements, as the tables have them.
    HALF = 0
    SINGLE = 1
    DOUBLE = 2


cdef inline int lanes_of(uint32_t insn, int size) noexcept nogil:
    """How many elements of a size an instruction has: one of a scalar."""
    return 1 if bits(insn, 28, 28) else (4 << <int>bits(insn, 30, 30)) >> size


cdef inline bint is_whole(int lanes, int size) noexcept nogil:
    """Whole registers of single or double may have functions of their own."""
    return size != HALF and lanes << size == 8


cdef int emit_lanes(
    builder_t *b, uint32_t insn, op_fn *fn, int lanes, uint64_t imm
) noexcept nogil:
    cdef op_t *op
    if fn == NULL:
        return EMIT_UNDEFINED
    op = emit_call(b, fn)
    op.rd = <uint8_t>bits(insn, 4, 0)
    op.rn = <uint8_t>bits(insn, 9, 5)
    op.rm = <uint8_t>bits(insn, 20, 16)
    op.ra = <uint8_t>lanes
    op.imm = imm
    return EMIT_NEXT


# --- three registers ------------------------------------------------------------------------

cdef int emit_three(builder_t *b, uint32_t insn) noexcept nogil:
    cdef uint32_t u = bits(insn, 29, 29)
    cdef uint32_t a = bits(insn, 23, 23)
    cdef uint32_t opcode = bits(insn, 13, 11)
    cdef int size = SINGLE + <int>bits(insn, 22, 22) if bits(insn, 21, 21) else HALF
    cdef int lanes = lanes_of(insn, size)
    cdef uint32_t at = u << 4 | a << 3 | opcode
    if size != HALF and opcode == (1 if u else 5):
        # FMLAL, FMLSL: of the lower or upper halves.
        return emit_lanes(b, insn, vfp_long[0][a], lanes, u * lanes * 0x101)
    if is_whole(lanes, size) and vfp_three_all[size - 1][at] != NULL:
        return emit_lanes(b, insn, vfp_three_all[size - 1][at], lanes, 0)
    return emit_lanes(b, insn, vfp_three[size][at], lanes, 0)


cdef int emit_complex_or_bfloat(builder_t *b, uint32_t insn) noexcept nogil:
    cdef uint32_t opcode = bits(insn, 14, 11)
    cdef uint32_t size = bits(insn, 23, 22)
    cdef int lanes = lanes_of(insn, <int>size - 1)
    if opcode == 0b1111 and size == 0b01:
        return emit_lanes(b, insn, vfp_bfdot_32, lanes_of(insn, SINGLE), 0)
    if opcode == 0b1111:
        return emit_lanes(b, insn, vfp_bfmlal, 4, bits(insn, 30, 30))
    if opcode == 0b1101:
        return emit_lanes(b, insn, vfp_bfmmla, 4, 0)
    if opcode & 0b0100:
        return emit_lanes(b, insn, vfp_fcadd[size - 1], lanes, opcode & 2 | 1)
    return emit_lanes(b, insn, vfp_fcmla[size - 1], lanes, opcode & 3)


cdef int emit_by_element(builder_t *b, uint32_t insn) noexcept nogil:
    cdef uint32_t u = bits(insn, 29, 29)
    cdef uint32_t opcode = bits(insn, 15, 12)
    cdef uint32_t high = bits(insn, 11, 11)
    cdef uint32_t low = bits(insn, 21, 20)
    cdef uint32_t at = u << 2 | opcode >> 2
    cdef uint32_t index
    cdef int size = <int>bits(insn, 23, 22)
    if u and opcode & 0b1001 == 0b0001:
        # FCMLA: M's element is a pair.
        index = high << 1 | low >> 1 if size == 0b01 else high
        return emit_lanes(
            b, insn, vfp_fcmla_element[size - 1], lanes_of(insn, size - 1),
            index << 9 | opcode >> 1,
        )
    if opcode == 0b1111 and size == 0b01:
        index = high << 1 | low >> 1
        return emit_lanes(b, insn, vfp_bfdot_element_32, lanes_of(insn, SINGLE), index)
    if opcode == 0b1111 or size == 0b00 or opcode & 0b0011 == 0:
        # Elements of 16 bits are of V0 to V15.
        index = high << 2 | low
        insn &= ~(<uint32_t>1 << 20)
        if opcode == 0b1111:
            return emit_lanes(b, insn, vfp_bfmlal_element, 4, bits(insn, 30, 30) | index << 8)
        if size != 0b00:
            return emit_lanes(
                b, insn, vfp_long[1][opcode >> 2 & 1], lanes_of(insn, SINGLE),
                u * lanes_of(insn, SINGLE) | index << 8,
            )
        size = HALF
    elif size == 0b10:
        index = high << 1 | low >> 1
        size = SINGLE
    else:
        index = high
        size = DOUBLE
    if is_whole(lanes_of(insn, size), size) and vfp_element_all[size - 1][at] != NULL:
        return emit_lanes(b, insn, vfp_element_all[size - 1][at], lanes_of(insn, size), index)
    return emit_lanes(b, insn, vfp_element[size][at], lanes_of(insn, size), index)


# --- two registers --------------------------------------------------------------------------

cdef int emit_two(builder_t *b, uint32_t insn) noexcept nogil:
    cdef uint32_t u = bits(insn, 29, 29)
    cdef uint32_t a = bits(insn, 23, 23)
    cdef uint32_t opcode = bits(insn, 16, 12)
    cdef int size = HALF if bits(insn, 19, 19) else SINGLE + <int>bits(insn, 22, 22)
    # Of those that have a mode of their own.
    cdef int rounding = <int>(a | (opcode & 1) << 1)
    if opcode & 0b11110 == 0b10110:
        # The elements of the other size are in half a register.
        return emit_lanes(
            b, insn, vfp_resize[u << 3 | a << 2 | bits(insn, 22, 22) << 1 | opcode & 1],
            1 if bits(insn, 28, 28) else 8 >> size,
            0 if bits(insn, 28, 28) else bits(insn, 30, 30),
        )
    if opcode == 0b01111:
        return emit_lanes(
            b, insn, vfp_fneg if u else vfp_fabs, <int>bits(insn, 30, 30),
            sae_replicate(<uint64_t>1 << ((16 << size) - 1), 1 + size),
        )
    if opcode == 0b11100 or (u and opcode == 0b11000):
        rounding = FP_TIEAWAY
    return emit_lanes(
        b, insn, vfp_two[size][u << 5 | a << 4 | (opcode >> 1 & 8) | (opcode & 7)],
        lanes_of(insn, size), <uint64_t>rounding,
    )


cdef int emit_within(builder_t *b, uint32_t insn) noexcept nogil:
    """A pair, or all elements of a register."""
    cdef uint32_t u = bits(insn, 29, 29)
    cdef uint32_t a = bits(insn, 23, 23)
    cdef uint32_t opcode = bits(insn, 13, 12)
    if bits(insn, 28, 28):
        return emit_lanes(
            b, insn,
            vfp_three[SINGLE + bits(insn, 22, 22) if u else HALF][16 | a << 3 | opcode << 1],
            1, 0,
        )
    return emit_lanes(
        b, insn, vfp_across[u][a << 1 | opcode >> 1], lanes_of(insn, SINGLE if u else HALF), 0
    )


# --- immediates -----------------------------------------------------------------------------

cdef int emit_fixed(builder_t *b, uint32_t insn) noexcept nogil:
    """To and from fixed point: a conversion with more to know."""
    cdef uint32_t immediate = bits(insn, 22, 16)
    cdef int size = DOUBLE if immediate >> 6 else SINGLE if immediate >> 5 else HALF
    cdef bint from_float = bits(insn, 12, 12)
    return emit_lanes(
        b, insn,
        vfp_two[size][bits(insn, 29, 29) << 5 | (10 if from_float else 13)],
        lanes_of(insn, size), <uint64_t>FP_ZERO_MODE | ((32 << size) - immediate) << 8,
    )


cdef int emit_fmov(builder_t *b, uint32_t insn) noexcept nogil:
    """An immediate half in every element; 1 is the logarithm of its bytes."""
    cdef op_t *op
    emit_fp_check(b)
    op = emit(b, OP_vset)
    op.rd = <uint8_t>bits(insn, 4, 0)
    op.imm = sae_replicate(expand_half(bits(insn, 18, 16) << 5 | bits(insn, 9, 5)), 1)
    op.imm2 = <int64_t>op.imm if bits(insn, 30, 30) else 0
    return EMIT_NEXT


cdef int emit_vector_fp(builder_t *b, uint32_t insn, int enc) noexcept nogil:
    if bits(insn, 24, 24):
        if not bits(insn, 10, 10):
            return emit_by_element(b, insn)
        if bits(insn, 22, 19):
            return emit_fixed(b, insn)
        return emit_fmov(b, insn)
    if bits(insn, 10, 10):
        if bits(insn, 21, 21) or not bits(insn, 15, 15):
            return emit_three(b, insn)
        return emit_complex_or_bfloat(b, insn)
    if bits(insn, 20, 17) == 0b1000:
        return emit_within(b, insn)
    return emit_two(b, insn)
