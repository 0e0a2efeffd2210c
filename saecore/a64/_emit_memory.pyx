"""Loads and stores of general registers: from instructions to operations. Floor 7.

What a word is was settled by the encoding table: no field is checked here that it has checked.
Operations are numbered in the order of `encodings/memory.py`; those of one kind are that of its
first plus multiples of a difference between two neighbours, which the compiler knows.

Source: Arm ARM (DDI 0487), "Loads and Stores", C4.1 and C6.2; ISS encoding for a Data Abort, D24.2.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from saecore._defs cimport ESR_AR, ESR_ISV, ESR_SAS_SHIFT, ESR_SF, ESR_SRT_SHIFT, ESR_SSE
from saecore._pe cimport X_SP, X_TEMP, op_t
from saecore.a64._codes cimport (
    OP_add_x_imm,
    OP_cas8,
    OP_casp32,
    OP_casp64,
    OP_check_sp,
    OP_lda8,
    OP_ldadd8,
    OP_ld8_imm,
    OP_ldclr8,
    OP_ldp32_imm,
    OP_ldp32s64_imm,
    OP_ldp64_imm,
    OP_ldx8,
    OP_ldxp32,
    OP_ldxp64,
    OP_sbf_w,
    OP_sbf_x,
    OP_st8_imm,
    OP_st8_reg,
    OP_st8_sp,
    OP_st8_sxtw,
    OP_st8_user,
    OP_st8_uxtw,
    OP_st8_wb,
    OP_stl8,
    OP_stp32_imm,
    OP_stp64_imm,
    OP_stx8,
    OP_stxp32,
    OP_stxp64,
    OP_swp8,
)
from saecore.a64._emit cimport (
    EMIT_NEXT,
    bits,
    builder_t,
    emit,
    or_sp,
    signed_bits,
    source,
    target,
)


cdef enum:
    # Bits 11 and 10 of the forms with imm9.
    IMM9_UNSCALED = 0
    IMM9_POST = 1
    IMM9_UNPRIVILEGED = 2
    IMM9_PRE = 3
    # Bits 24 and 23 of pairs.
    PAIR_POST = 1
    PAIR_PRE = 3
    # The extension of a register offset.
    OPTION_UXTW = 2
    OPTION_SXTW = 6


cdef inline bint is_literal(uint32_t insn) noexcept nogil:
    return bits(insn, 29, 27) == 0b011


cdef inline bint is_exclusive(uint32_t insn) noexcept nogil:
    """Exclusive or ordered, or CAS or CASP."""
    return bits(insn, 29, 24) == 0b001000


cdef inline bint is_ordered_offset(uint32_t insn) noexcept nogil:
    return bits(insn, 29, 24) == 0b011001


cdef inline bint is_register_offset(uint32_t insn) noexcept nogil:
    return bits(insn, 24, 24) == 0 and bits(insn, 21, 21) and bits(insn, 11, 10) == 0b10


cdef inline bint is_atomic(uint32_t insn) noexcept nogil:
    """LD<op>, SWP, LDAPR; of a word that is neither literal, exclusive nor a pair."""
    return bits(insn, 24, 24) == 0 and bits(insn, 21, 21) and bits(insn, 11, 10) == 0


cdef inline bint is_authenticated(uint32_t insn) noexcept nogil:
    """LDRAA and LDRAB, of the same words."""
    return (not is_literal(insn) and bits(insn, 24, 24) == 0 and bits(insn, 21, 21)
            and bits(insn, 10, 10))


cdef inline bint is_imm9(uint32_t insn) noexcept nogil:
    return bits(insn, 24, 24) == 0 and bits(insn, 21, 21) == 0


cdef void emit_check_sp(builder_t *b, uint32_t base) noexcept nogil:
    if or_sp(base) == X_SP:
        emit(b, OP_check_sp).rn = X_SP


cdef op_t *based(builder_t *b, int code, uint32_t base, int64_t offset) noexcept nogil:
    """The form of a base and an offset."""
    cdef op_t *op = emit(b, code)
    op.rn = or_sp(base)
    op.imm = <uint64_t>offset
    if op.rn == X_SP:
        op.code += OP_st8_sp - OP_st8_imm
    return op


cdef op_t *written_back(
    builder_t *b, int code, uint32_t base, int64_t offset, bint pre
) noexcept nogil:
    """The form that writes its base."""
    cdef op_t *op = emit(b, code + OP_st8_wb - OP_st8_imm)
    op.rn = or_sp(base)
    op.imm = <uint64_t>offset if pre else 0
    op.imm2 = offset
    op.ra = 15 if op.rn == X_SP else 0
    return op


cdef op_t *indexed(builder_t *b, int code, uint32_t insn, int log2) noexcept nogil:
    """The forms of a base and another register."""
    cdef uint32_t option = bits(insn, 15, 13)
    cdef op_t *op
    emit_check_sp(b, bits(insn, 9, 5))
    if option == OPTION_UXTW:
        code += OP_st8_uxtw - OP_st8_imm
    elif option == OPTION_SXTW:
        code += OP_st8_sxtw - OP_st8_imm
    else:
        code += OP_st8_reg - OP_st8_imm
    op = emit(b, code)
    op.rn = or_sp(bits(insn, 9, 5))
    op.rm = source(bits(insn, 20, 16))
    op.ra = <uint8_t>log2 if bits(insn, 12, 12) else 0
    return op


cdef void emit_single(
    builder_t *b, uint32_t insn, int code, int log2, uint8_t data
) noexcept nogil:
    cdef uint32_t base = bits(insn, 9, 5)
    cdef uint32_t form = bits(insn, 11, 10)
    cdef op_t *op
    if is_literal(insn):
        op = emit(b, code)
        op.imm = b.pc + <uint64_t>(signed_bits(insn, 23, 5) * 4)
    elif is_register_offset(insn):
        op = indexed(b, code, insn, log2)
    elif not is_imm9(insn):
        op = based(b, code, base, <int64_t>bits(insn, 21, 10) << log2)
    elif form == IMM9_POST or form == IMM9_PRE:
        op = written_back(b, code, base, signed_bits(insn, 20, 12), form == IMM9_PRE)
    elif form == IMM9_UNPRIVILEGED and b.el:
        emit_check_sp(b, base)
        op = emit(b, code + OP_st8_user - OP_st8_imm)
        op.rn = or_sp(base)
        op.imm = <uint64_t>signed_bits(insn, 20, 12)
    else:
        op = based(b, code, base, signed_bits(insn, 20, 12))
    op.rd = data


cdef void emit_pair(
    builder_t *b, uint32_t insn, int code, int log2, uint8_t first, uint8_t second
) noexcept nogil:
    cdef uint32_t base = bits(insn, 9, 5)
    cdef uint32_t form = bits(insn, 24, 23)
    cdef int64_t offset = signed_bits(insn, 21, 15) * (<int64_t>1 << log2)
    cdef op_t *op
    if form == PAIR_POST or form == PAIR_PRE:
        op = written_back(b, code, base, offset, form == PAIR_PRE)
    else:
        op = based(b, code, base, offset)
    op.rd = first
    op.rm = second


cdef inline int size_of(uint32_t insn) noexcept nogil:
    """The logarithm of its bytes, of an instruction with one register."""
    if is_literal(insn):
        return 3 if bits(insn, 31, 30) == 1 else 2
    return <int>bits(insn, 31, 30)


cdef inline int kind_of(uint32_t insn) noexcept nogil:
    """0 store, 1 load, 2 load with sign to 64 bits, 3 load with sign to 32 bits."""
    if is_literal(insn):
        return 2 if bits(insn, 31, 30) == 2 else 1
    return <int>bits(insn, 23, 22)


cdef inline bint is_prefetch(uint32_t insn) noexcept nogil:
    """Of a word that is neither an exclusive, an atomic nor a pair."""
    return bits(insn, 31, 30) == 3 and (is_literal(insn) or bits(insn, 23, 22) == 2)


cdef void emit_transfer(builder_t *b, uint32_t insn) noexcept nogil:
    """One register."""
    cdef int log2 = size_of(insn)
    cdef int kind = kind_of(insn)
    cdef uint32_t data = bits(insn, 4, 0)
    # 8 and 16 bits have four kinds, 32 bits have three.
    cdef int number = 4 * log2 + kind - (log2 == 3)
    cdef int code = OP_st8_imm + number * (OP_ld8_imm - OP_st8_imm)
    emit_single(b, insn, code, log2, target(data) if kind else source(data))


cdef void emit_register_pair(builder_t *b, uint32_t insn) noexcept nogil:
    """LDP, STP, LDNP, STNP, LDPSW."""
    cdef uint32_t opc = bits(insn, 31, 30)
    cdef uint32_t first = bits(insn, 4, 0)
    cdef uint32_t second = bits(insn, 14, 10)
    cdef int log2 = 3 if opc == 2 else 2
    if not bits(insn, 22, 22):
        emit_pair(
            b, insn, OP_stp64_imm if opc == 2 else OP_stp32_imm, log2,
            source(first), source(second),
        )
    else:
        emit_pair(
            b, insn,
            OP_ldp64_imm if opc == 2 else OP_ldp32s64_imm if opc == 1 else OP_ldp32_imm, log2,
            target(first), target(second),
        )


cdef void emit_exclusive(builder_t *b, uint32_t insn) noexcept nogil:
    cdef int size = <int>bits(insn, 31, 30)
    cdef bint ordered = bits(insn, 23, 23)
    cdef bint load = bits(insn, 22, 22)
    cdef bint pair = bits(insn, 21, 21)
    cdef uint32_t status = bits(insn, 20, 16)
    cdef uint32_t data = bits(insn, 4, 0)
    cdef uint32_t second = bits(insn, 14, 10)
    cdef op_t *op
    emit_check_sp(b, bits(insn, 9, 5))
    if ordered and pair:
        op = emit(b, OP_cas8 + size)
        op.rd, op.ra, op.rm = target(status), source(status), source(data)
    elif ordered:
        op = emit(b, (OP_lda8 if load else OP_stl8) + size)
        op.rd = target(data) if load else source(data)
    elif pair and size < 2:
        op = emit(b, OP_casp64 if size else OP_casp32)
        op.rd, op.ra, op.rm = source(status), target(status + 1), source(data)
    elif load:
        if pair:
            op = emit(b, OP_ldxp64 if size == 3 else OP_ldxp32)
            op.rm = target(second)
        else:
            op = emit(b, OP_ldx8 + size)
        op.rd = target(data)
    else:
        if pair:
            op = emit(b, OP_stxp64 if size == 3 else OP_stxp32)
            op.ra = source(second)
        else:
            op = emit(b, OP_stx8 + size)
        op.rd, op.rm = target(status), source(data)
    op.rn = or_sp(bits(insn, 9, 5))


cdef void emit_atomic(builder_t *b, uint32_t insn) noexcept nogil:
    cdef int size = <int>bits(insn, 31, 30)
    cdef int which = <int>bits(insn, 14, 12)
    cdef op_t *op
    emit_check_sp(b, bits(insn, 9, 5))
    if not bits(insn, 15, 15):
        op = emit(b, OP_ldadd8 + which * (OP_ldclr8 - OP_ldadd8) + size)
    else:
        op = emit(b, (OP_swp8 if which == 0 else OP_lda8) + size)  # or LDAPR
    op.rd = target(bits(insn, 4, 0))
    op.rm = source(bits(insn, 20, 16))
    op.rn = or_sp(bits(insn, 9, 5))


cdef void emit_ordered_offset(builder_t *b, uint32_t insn) noexcept nogil:
    """LDAPUR, STLUR and their like."""
    cdef int size = <int>bits(insn, 31, 30)
    cdef int kind = <int>bits(insn, 23, 22)
    cdef uint32_t data = bits(insn, 4, 0)
    cdef op_t *op
    emit_check_sp(b, bits(insn, 9, 5))
    op = emit(b, OP_add_x_imm)
    op.rd = X_TEMP
    op.rn = or_sp(bits(insn, 9, 5))
    op.imm = <uint64_t>signed_bits(insn, 20, 12)
    op = emit(b, (OP_lda8 if kind else OP_stl8) + size)
    op.rd = target(data) if kind else source(data)
    op.rn = X_TEMP
    if kind >= 2:
        op = emit(b, OP_sbf_x if kind == 2 else OP_sbf_w)
        op.rd = op.rn = target(data)
        op.ra = op.rm = <uint8_t>((64 if kind == 2 else 32) - (8 << size))


cdef int emit_memory(builder_t *b, uint32_t insn, int enc) noexcept nogil:
    if is_ordered_offset(insn):
        emit_ordered_offset(b, insn)
    elif is_exclusive(insn):
        emit_exclusive(b, insn)
    elif bits(insn, 29, 27) == 0b101:
        emit_register_pair(b, insn)
    elif not is_literal(insn) and is_atomic(insn):
        emit_atomic(b, insn)
    elif not is_prefetch(insn):
        emit_transfer(b, insn)
    return EMIT_NEXT


cdef uint64_t isv_syndrome(uint32_t insn) noexcept nogil:
    cdef int size, kind
    cdef bint ordered = False
    if is_exclusive(insn):
        # LDAR and its like; not exclusives, CAS and CASP.
        if not bits(insn, 23, 23) or bits(insn, 21, 21):
            return 0
        size, kind, ordered = <int>bits(insn, 31, 30), <int>bits(insn, 22, 22), True
    elif bits(insn, 29, 27) not in (0b011, 0b111) or bits(insn, 26, 26):
        return 0
    elif is_ordered_offset(insn):
        size, kind, ordered = <int>bits(insn, 31, 30), <int>bits(insn, 23, 22), True
    elif is_authenticated(insn):
        if bits(insn, 11, 11):
            return 0
        size, kind = 3, 1
    else:
        size, kind = size_of(insn), kind_of(insn)
        if not is_literal(insn):
            if is_imm9(insn) and bits(insn, 10, 10):
                return 0
            if is_atomic(insn):
                if bits(insn, 15, 12) != 0b1100:
                    return 0
                kind, ordered = 1, True  # LDAPR
    return (
        ESR_ISV
        | <uint64_t>size << ESR_SAS_SHIFT
        | (ESR_SSE if kind >= 2 else 0)
        | <uint64_t>bits(insn, 4, 0) << ESR_SRT_SHIFT
        | (ESR_SF if size == 3 or kind == 2 else 0)
        | (ESR_AR if ordered else 0)
    )
