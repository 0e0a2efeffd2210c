"""Loads, stores and moves of SIMD&FP registers: from instructions to operations. Floor 7.

What a word is was settled by the encoding table, and operations are numbered in the order of
`encodings/simd.py`: as in `_emit_memory.pyx`, whose addresses these have too.

Source: Arm ARM (DDI 0487), "Loads and Stores", "Data Processing -- Scalar Floating-Point and
Advanced SIMD", C4.1 and C7.2; AdvSIMDExpandImm and VFPExpandImm, J1.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from saecore._pe cimport X_ZERO, op_t
from saecore.a64._codes cimport (
    OP_add_base,
    OP_smov,
    OP_umov,
    OP_vand,
    OP_vand_imm,
    OP_vbic,
    OP_vdup,
    OP_vdup_x,
    OP_vins,
    OP_vins_x,
    OP_vld8_imm,
    OP_vld_lane,
    OP_vld_multiple,
    OP_vld_replicate,
    OP_vldp32_imm,
    OP_vorr_imm,
    OP_vscalar,
    OP_vscalar_x,
    OP_vset,
    OP_vst8_imm,
    OP_vst_lane,
    OP_vst_multiple,
    OP_vstp32_imm,
    OP_vstp64_imm,
)
from saecore.a64._emit cimport EMIT_NEXT, bits, builder_t, emit, or_sp, source, target
from saecore.a64._emit_call cimport emit_fp_check
from saecore.a64._emit_memory cimport emit_check_sp, emit_pair, emit_single


cdef extern from "sae_vector.h" nogil:
    uint64_t sae_replicate(uint64_t value, unsigned int log2)


cdef enum:
    # Sizes of elements, as logarithms of bytes.
    BYTE = 0
    HALF = 1
    WORD = 2
    DOUBLE = 3
    QUAD = 4


cdef inline uint64_t upper(uint32_t insn) noexcept nogil:
    """What stays of the upper half of a result: all of it if Q is set."""
    return <uint64_t>0 - bits(insn, 30, 30)


# --- loads and stores -----------------------------------------------------------------------

cdef void emit_transfer(builder_t *b, uint32_t insn) noexcept nogil:
    """One register."""
    cdef bint load = True
    cdef int log2
    if bits(insn, 29, 27) == 0b011:
        log2 = WORD + <int>bits(insn, 31, 30)
    else:
        log2 = QUAD if bits(insn, 23, 23) else <int>bits(insn, 31, 30)
        load = bits(insn, 22, 22)
    emit_single(
        b, insn, OP_vst8_imm + (2 * log2 + load) * (OP_vld8_imm - OP_vst8_imm), log2,
        <uint8_t>bits(insn, 4, 0),
    )


cdef void emit_vector_pair(builder_t *b, uint32_t insn) noexcept nogil:
    cdef int opc = <int>bits(insn, 31, 30)
    emit_pair(
        b, insn,
        OP_vstp32_imm + opc * (OP_vstp64_imm - OP_vstp32_imm)
        + <int>bits(insn, 22, 22) * (OP_vldp32_imm - OP_vstp32_imm),
        WORD + opc, <uint8_t>bits(insn, 4, 0), <uint8_t>bits(insn, 14, 10),
    )


cdef op_t *structure(
    builder_t *b, uint32_t insn, int code, int log2, int registers, unsigned int n_bytes
) noexcept nogil:
    """An operation on memory at its base, and the one that writes the base if there is one."""
    cdef uint32_t base = bits(insn, 9, 5)
    cdef uint32_t index = bits(insn, 20, 16)
    cdef op_t *op
    cdef op_t *writeback
    emit_check_sp(b, base)
    op = emit(b, code)
    op.rd = <uint8_t>bits(insn, 4, 0)
    op.rn = or_sp(base)
    op.rm = <uint8_t>log2
    op.ra = <uint8_t>registers
    op.imm = n_bytes
    if bits(insn, 23, 23):
        writeback = emit(b, OP_add_base)
        writeback.rn = op.rn
        writeback.rm = source(index)
        writeback.imm = n_bytes if index == X_ZERO else 0
    return op


cdef void emit_multiple(builder_t *b, uint32_t insn) noexcept nogil:
    cdef int code = OP_vld_multiple if bits(insn, 22, 22) else OP_vst_multiple
    cdef uint32_t opcode = bits(insn, 15, 12)
    # LD1 has bit 1 set; the others' registers alternate.
    cdef bint alternate = not opcode & 2
    cdef int registers
    if opcode == 0b0010 or opcode == 0b0000:
        registers = 4
    elif opcode == 0b0110 or opcode == 0b0100:
        registers = 3
    elif opcode == 0b0111:
        registers = 1
    else:
        registers = 2
    structure(
        b, insn, code, <int>bits(insn, 11, 10), registers, registers * (8 << bits(insn, 30, 30))
    ).imm2 = alternate


cdef void emit_lane(builder_t *b, uint32_t insn) noexcept nogil:
    cdef bint load = bits(insn, 22, 22)
    cdef int registers = 1 + 2 * <int>bits(insn, 13, 13) + <int>bits(insn, 21, 21)
    cdef int log2 = <int>bits(insn, 15, 14)
    # Q:S:size is the element's number; of larger ones, without its last bits.
    cdef uint32_t index = bits(insn, 30, 30) << 3 | bits(insn, 12, 10)
    cdef op_t *op
    if log2 == 3:
        log2 = <int>bits(insn, 11, 10)
        op = structure(b, insn, OP_vld_replicate, log2, registers, registers << log2)
        op.imm2 = <int64_t>upper(insn)
        return
    if log2 == WORD and bits(insn, 10, 10):
        log2 = DOUBLE
    op = structure(
        b, insn, OP_vld_lane if load else OP_vst_lane, log2, registers, registers << log2
    )
    op.imm2 = index >> log2


# --- moves ----------------------------------------------------------------------------------

cdef inline op_t *emit_numbered(builder_t *b, int code, int log2, uint8_t index) noexcept nogil:
    """An operation that finds an element by its number."""
    cdef op_t *op = emit(b, code)
    op.ra = <uint8_t>log2
    op.rm = index
    return op


cdef void emit_element(builder_t *b, uint32_t insn) noexcept nogil:
    """DUP, INS, UMOV, SMOV."""
    cdef uint32_t imm5 = bits(insn, 20, 16)
    cdef uint32_t imm4 = bits(insn, 14, 11)
    cdef uint32_t rd = bits(insn, 4, 0)
    cdef int log2 = BYTE
    cdef uint8_t index
    cdef op_t *op
    while not imm5 >> log2 & 1:
        log2 += 1
    index = <uint8_t>(imm5 >> (log2 + 1))
    if bits(insn, 29, 29):
        op = emit_numbered(b, OP_vins, log2, <uint8_t>(imm4 >> log2))
        op.imm = index
    elif bits(insn, 28, 28):
        op = emit_element_of(b, OP_vscalar, log2, index)
    elif imm4 == 0b0000:
        op = emit_numbered(b, OP_vdup, log2, index)
        op.imm = upper(insn)
    elif imm4 == 0b0001:
        op = emit_numbered(b, OP_vdup_x, log2, index)
        op.imm = upper(insn)
    elif imm4 == 0b0011:
        op = emit_numbered(b, OP_vins_x, log2, index)
    elif imm4 == 0b0101:
        op = emit_numbered(b, OP_smov, log2, index)
        op.imm = upper(insn) | <uint32_t>0xFFFFFFFF
        rd = target(rd)
    else:
        op = emit_element_of(b, OP_umov, log2, index)
        rd = target(rd)
    op.rd = <uint8_t>rd
    op.rn = <uint8_t>bits(insn, 9, 5)


cdef inline uint64_t expand_float(uint32_t imm8, bint double) noexcept nogil:
    """A sign, an exponent near 0 and four bits of fraction."""
    cdef uint64_t sign = imm8 >> 7
    cdef uint64_t big = imm8 >> 6 & 1
    cdef uint64_t rest = imm8 & 0x3F
    if double:
        return sign << 63 | (big ^ 1) << 62 | (0xFF * big) << 54 | rest << 48
    return sign << 31 | (big ^ 1) << 30 | (0x1F * big) << 25 | rest << 19


cdef void emit_fmov(builder_t *b, uint32_t insn) noexcept nogil:
    """FMOV but for vectors."""
    cdef uint32_t rd = bits(insn, 4, 0)
    cdef bint double = bits(insn, 22, 22)
    cdef bint lane = bits(insn, 19, 19)     # V.D[1]; of those with a general register
    cdef op_t *op
    if bits(insn, 12, 12):
        op = emit(b, OP_vset)
        op.imm = expand_float(bits(insn, 20, 13), double)
        op.rd = <uint8_t>rd
        return
    if bits(insn, 14, 10) == 0b10000:
        op = emit_element_of(b, OP_vscalar, DOUBLE if double else WORD, 0)
    elif not bits(insn, 16, 16):
        op = emit_element_of(b, OP_umov, DOUBLE if bits(insn, 31, 31) else WORD, lane)
        rd = target(rd)
    elif lane:
        op = emit_numbered(b, OP_vins_x, DOUBLE, 1)
    else:
        op = emit(b, OP_vscalar_x)
        op.imm = (<uint64_t>0 - double) | <uint32_t>0xFFFFFFFF
    op.rd = <uint8_t>rd
    op.rn = <uint8_t>bits(insn, 9, 5)


cdef uint64_t expand_immediate(uint32_t insn) noexcept nogil:
    """The constant of a modified immediate, before it is inverted."""
    cdef uint32_t imm8 = bits(insn, 18, 16) << 5 | bits(insn, 9, 5)
    cdef uint32_t cmode = bits(insn, 15, 12)
    cdef bint op = bits(insn, 29, 29)
    cdef uint64_t result = 0
    cdef int bit
    if cmode < 8:
        return sae_replicate(<uint64_t>imm8 << 8 * (cmode >> 1), WORD)
    if cmode < 12:
        return sae_replicate(<uint64_t>imm8 << 8 * (cmode >> 1 & 1), HALF)
    if cmode < 14:
        bit = 16 if cmode & 1 else 8
        return sae_replicate(<uint64_t>imm8 << bit | ((<uint64_t>1 << bit) - 1), WORD)
    if cmode == 15:
        return expand_float(imm8, True) if op else sae_replicate(expand_float(imm8, False), WORD)
    if not op:
        return sae_replicate(imm8, BYTE)
    for bit in range(8):
        if imm8 >> bit & 1:
            result |= <uint64_t>0xFF << 8 * bit
    return result


cdef void emit_immediate(builder_t *b, uint32_t insn) noexcept nogil:
    """MOVI, MVNI, ORR, BIC and FMOV of vectors."""
    cdef uint32_t cmode = bits(insn, 15, 12)
    cdef uint64_t value = expand_immediate(insn)
    cdef bint inverted = bits(insn, 29, 29) and cmode < 14
    cdef op_t *op
    if inverted:
        value = ~value
    if cmode < 12 and cmode & 1:
        op = emit(b, OP_vand_imm if inverted else OP_vorr_imm)
        op.imm = value
        op.imm2 = <int64_t>upper(insn)
    else:
        op = emit(b, OP_vset)
        op.imm = value
        op.imm2 = value & upper(insn)
    op.rd = <uint8_t>bits(insn, 4, 0)


cdef void emit_bitwise(builder_t *b, uint32_t insn) noexcept nogil:
    cdef uint32_t which = bits(insn, 29, 29) << 2 | bits(insn, 23, 22)
    cdef op_t *op = emit(b, OP_vand + <int>which * (OP_vbic - OP_vand))
    op.rd = <uint8_t>bits(insn, 4, 0)
    op.rn = <uint8_t>bits(insn, 9, 5)
    op.rm = <uint8_t>bits(insn, 20, 16)
    if not upper(insn):
        op = emit(b, OP_vand_imm)
        op.rd = <uint8_t>bits(insn, 4, 0)
        op.imm = ~<uint64_t>0


cdef int emit_simd(builder_t *b, uint32_t insn, int enc) noexcept nogil:
    emit_fp_check(b)
    if bits(insn, 25, 25):
        # Not a load or store.
        if bits(insn, 28, 24) == 0b11110 and not bits(insn, 30, 30):
            emit_fmov(b, insn)
        elif bits(insn, 28, 24) == 0b01111:
            emit_immediate(b, insn)
        elif bits(insn, 21, 21):
            emit_bitwise(b, insn)
        else:
            emit_element(b, insn)
    elif bits(insn, 29, 25) == 0b00110:
        if bits(insn, 24, 24):
            emit_lane(b, insn)
        else:
            emit_multiple(b, insn)
    elif bits(insn, 29, 27) == 0b101:
        emit_vector_pair(b, insn)
    else:
        emit_transfer(b, insn)
    return EMIT_NEXT
