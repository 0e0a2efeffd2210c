"""Data processing on general registers, to operations. Floor 7.

The table has made sure that reserved fields hold what they must; what is left to find out here
is in the immediates of bitwise instructions.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from saecore._pe cimport X_TEMP, X_ZERO, op_fn, op_t
from saecore.a64._codes cimport (
    ENC_CFINV, OP_call, OP_add_x_sxtw, OP_add_x_uxtw, OP_ccmn_imm_w, OP_ccmn_imm_x, OP_ccmn_reg_w,
    OP_ccmn_reg_x, OP_ccmp_imm_w, OP_ccmp_imm_x, OP_ccmp_reg_w, OP_ccmp_reg_x, OP_extend,
    OP_extr_w, OP_extr_x, OP_lsl_imm_w, OP_lsl_imm_x, OP_lsr_imm_w, OP_lsr_imm_x, OP_mov_imm,
    OP_mov_reg, OP_mov_w, OP_movk_w, OP_movk_x, OP_sbf_w, OP_sbf_x, OP_bfm_w, OP_bfm_x,
    OP_smaddl, OP_smsubl, OP_smulh, OP_sub_x_sxtw, OP_sub_x_uxtw, OP_ubfiz, OP_ubfx, OP_umaddl,
    OP_umsubl, OP_umulh,
)
from saecore.a64._emit cimport (
    EMIT_NEXT, EMIT_UNDEFINED, bits, builder_t, emit, or_sp, signed_bits, source, target,
)

from saecore.a64.encodings import OPS
from saecore.a64.encodings.data import CONDITIONS, SHIFTS


cdef extern from "sae_flag_ops.h" nogil:
    const int FIRST_FLAGS
    op_fn **sae_flag_fns


cdef enum:
    FORM_REG = 4
    FORM_IMM = 5
    AL = 14     # conditions that always hold

    ADD = 0
    ADDS = 1
    SUB = 2
    SUBS = 3


# Codes of operations that come in families, by width (0: 32 bits), name and form.
cdef int ARITHMETIC[2][4][6]
cdef int BITWISE[2][8][6]
cdef int SELECT[2][4][14]
cdef int CARRY[2][4]
cdef int TWO_SOURCES[2][32]
cdef int ONE_SOURCE[2][8]
cdef int CRC[8]
cdef int MULTIPLY[2][3]


def fill_families():
    """Look the codes up by name."""
    codes = {name: code for code, name in enumerate(OPS)}
    forms = (*SHIFTS, "reg", "imm")
    for width, w in enumerate("wx"):
        for at, name in enumerate(("add", "adds", "sub", "subs")):
            for form, suffix in enumerate(forms):
                ARITHMETIC[width][at][form] = codes.get(f"{name}_{w}_{suffix}", 0)
        # As opc and N number them.
        for at, name in enumerate(("and", "bic", "orr", "orn", "eor", "eon", "ands", "bics")):
            for form, suffix in enumerate(forms):
                BITWISE[width][at][form] = codes.get(f"{name}_{w}_{suffix}", 0)
        for at, name in enumerate(("csel", "csinc", "csinv", "csneg")):
            for cond, suffix in enumerate(CONDITIONS):
                SELECT[width][at][cond] = codes[f"{name}_{w}_{suffix}"]
        for at, name in enumerate(("adc", "adcs", "sbc", "sbcs")):
            CARRY[width][at] = codes[f"{name}_{w}"]
        for opcode, name in ((2, "udiv"), (3, "sdiv"), (8, "lslv"), (9, "lsrv"), (10, "asrv"),
                             (11, "rorv")):
            TWO_SOURCES[width][opcode] = codes[f"{name}_{w}"]
        for opcode, name in ((0, "rbit"), (1, "rev16"), (2, "rev"), (4, "clz"), (5, "cls")):
            ONE_SOURCE[width][opcode] = codes[f"{name}_{w}"]
        for at, name in enumerate(("mul", "madd", "msub")):
            MULTIPLY[width][at] = codes[f"{name}_{w}"]
    ONE_SOURCE[1][2] = codes["rev32"]
    ONE_SOURCE[1][3] = codes["rev_x"]
    for at, name in enumerate(("crc32b", "crc32h", "crc32w", "crc32x", "crc32cb", "crc32ch",
                               "crc32cw", "crc32cx")):
        CRC[at] = codes[name]


fill_families()


cdef inline op_t *emit_dnm(builder_t *b, int code, uint8_t rd, uint8_t rn,
                           uint8_t rm) noexcept nogil:
    cdef op_t *op = emit(b, code)
    op.rd = rd
    op.rn = rn
    op.rm = rm
    return op


cdef inline void emit_constant(builder_t *b, uint8_t rd, uint64_t value) noexcept nogil:
    cdef op_t *op = emit(b, OP_mov_imm)
    op.rd = rd
    op.imm = value


cdef inline uint64_t ones(unsigned int n) noexcept nogil:
    """`n` ones, up to 64."""
    return ~<uint64_t>0 >> (64 - n) if n else 0


cdef inline uint64_t rotated(uint64_t value, unsigned int by, unsigned int size) noexcept nogil:
    """The low `size` bits of a value, rotated right."""
    if by == 0:
        return value
    return (value >> by | value << (size - by)) & ones(size)


cdef bint bit_mask(uint32_t insn, uint64_t *mask) noexcept nogil:
    """The immediate of a bitwise instruction, replicated to 64 bits; False if it is reserved."""
    cdef unsigned int immr = bits(insn, 21, 16)
    cdef unsigned int imms = bits(insn, 15, 10)
    cdef unsigned int size = 64
    cdef unsigned int n
    cdef uint64_t value
    if not bits(insn, 22, 22):
        # The position of the highest zero in imms is the size of an element.
        size = 32
        while size > 1 and imms & size:
            size >>= 1
        if size == 1:
            return False
    n = imms & (size - 1)
    if n == size - 1:
        return False
    value = rotated(ones(n + 1), immr & (size - 1), size)
    while size < 64:
        value |= value << size
        size *= 2
    mask[0] = value
    return True


cdef int emit_bitfield(builder_t *b, uint32_t insn) noexcept nogil:
    cdef bint wide = bits(insn, 31, 31)
    cdef unsigned int size = 64 if wide else 32
    cdef unsigned int r = bits(insn, 21, 16)
    cdef unsigned int s = bits(insn, 15, 10)
    cdef unsigned int opc = bits(insn, 30, 29)
    cdef unsigned int lsb = (size - r) & (size - 1)
    cdef op_t *op = emit(b, 0)
    op.rd = target(bits(insn, 4, 0))
    op.rn = source(bits(insn, 9, 5))
    if opc == 0:
        # A signed field: up until its sign is the top bit, then down to its place.
        op.code = OP_sbf_x if wide else OP_sbf_w
        op.ra = <uint8_t>(size - 1 - s)
        op.rm = <uint8_t>(op.ra + r if s >= r else op.ra - lsb)
    elif opc == 1:
        op.code = OP_bfm_x if wide else OP_bfm_w
        op.ra = <uint8_t>r
        op.imm = ones(s - r + 1) if s >= r else ones(s + 1) << lsb
    elif s >= r:
        op.ra = <uint8_t>r
        op.imm = ones(s - r + 1)
        op.code = OP_ubfx
        if s == size - 1:
            op.code = OP_lsr_imm_x if wide else OP_lsr_imm_w
    else:
        op.ra = <uint8_t>lsb
        op.imm = ones(s + 1)
        op.code = OP_ubfiz
        if s + 1 + lsb == size:
            op.code = OP_lsl_imm_x if wide else OP_lsl_imm_w
    return EMIT_NEXT


cdef int emit_immediate(builder_t *b, uint32_t insn) noexcept nogil:
    cdef bint wide = bits(insn, 31, 31)
    cdef unsigned int kind = bits(insn, 25, 23)
    cdef unsigned int opc = bits(insn, 30, 29)
    cdef uint32_t rd = bits(insn, 4, 0)
    cdef uint32_t rn = bits(insn, 9, 5)
    cdef uint64_t imm
    cdef unsigned int shift
    cdef op_t *op
    if kind <= 1:       # ADR, ADRP
        imm = <uint64_t>(signed_bits(insn, 23, 5) << 2 | bits(insn, 30, 29))
        if wide:
            emit_constant(b, target(rd), (b.pc & ~<uint64_t>0xFFF) + (imm << 12))
        else:
            emit_constant(b, target(rd), b.pc + imm)
    elif kind == 2:     # add and subtract
        imm = <uint64_t>bits(insn, 21, 10) << (12 if bits(insn, 22, 22) else 0)
        op = emit(b, ARITHMETIC[wide][ADD if opc == SUB else opc][FORM_IMM])
        op.rd = target(rd) if opc & 1 else or_sp(rd)
        op.rn = or_sp(rn)
        op.imm = 0 - imm if opc == SUB else imm
    elif kind == 4:     # bitwise
        if not bit_mask(insn, &imm):
            return EMIT_UNDEFINED
        op = emit(b, BITWISE[wide][2 * opc][FORM_IMM])
        op.rd = target(rd) if opc == 3 else or_sp(rd)
        op.rn = source(rn)
        op.imm = imm if wide else imm & <uint64_t>0xFFFFFFFF
        if opc == 1 and rn == X_ZERO:
            op.code = OP_mov_imm
    elif kind == 5:     # MOVN, MOVZ, MOVK
        shift = 16 * bits(insn, 22, 21)
        imm = <uint64_t>bits(insn, 20, 5) << shift
        if opc == 3:
            op = &b.ops[b.n_ops - 1]
            if b.insn and op.code == OP_mov_imm and op.rd == rd and op.insn + 1 == b.insn:
                # The constant of the instruction before goes on here.
                op.imm = (op.imm & ~(<uint64_t>0xFFFF << shift)) | imm
                if not wide:
                    op.imm &= <uint64_t>0xFFFFFFFF
                return EMIT_NEXT
            op = emit(b, OP_movk_x if wide else OP_movk_w)
            op.rd = target(rd)
            op.imm = imm
            imm = ~(<uint64_t>0xFFFF << shift)
            op.imm2 = <int64_t>(imm if wide else imm & <uint64_t>0xFFFFFFFF)
        else:
            imm = ~imm if opc == 0 else imm
            emit_constant(b, target(rd), imm if wide else imm & <uint64_t>0xFFFFFFFF)
    elif kind == 6:
        return emit_bitfield(b, insn)
    else:
        op = emit_dnm(b, OP_extr_x if wide else OP_extr_w, target(rd), source(rn),
                      source(bits(insn, 20, 16)))
        op.ra = <uint8_t>bits(insn, 15, 10)
    return EMIT_NEXT


cdef void emit_extended(builder_t *b, uint32_t insn) noexcept nogil:
    cdef bint wide = bits(insn, 31, 31)
    cdef unsigned int name = bits(insn, 30, 29)
    cdef unsigned int kind = bits(insn, 15, 13)
    cdef uint8_t rm = source(bits(insn, 20, 16))
    cdef uint8_t rn = or_sp(bits(insn, 9, 5))
    cdef uint8_t rd = target(bits(insn, 4, 0)) if name & 1 else or_sp(bits(insn, 4, 0))
    cdef op_t *op
    if wide and (kind == 2 or kind == 6) and not name & 1:
        if name == ADD:
            op = emit_dnm(b, OP_add_x_uxtw if kind == 2 else OP_add_x_sxtw, rd, rn, rm)
        else:
            op = emit_dnm(b, OP_sub_x_uxtw if kind == 2 else OP_sub_x_sxtw, rd, rn, rm)
        op.ra = <uint8_t>bits(insn, 12, 10)
        return
    if kind & 3 == 3 or (not wide and kind & 3 == 2):
        # Nothing to extend: a shift at most.
        op = emit_dnm(b, ARITHMETIC[wide][name][0 if bits(insn, 12, 10) else FORM_REG],
                      rd, rn, rm)
        op.ra = <uint8_t>bits(insn, 12, 10)
        return
    op = emit_dnm(b, OP_extend, X_TEMP, <uint8_t>kind, rm)
    op.ra = <uint8_t>bits(insn, 12, 10)
    emit_dnm(b, ARITHMETIC[wide][name][FORM_REG], rd, rn, X_TEMP)


cdef void emit_shifted(builder_t *b, uint32_t insn) noexcept nogil:
    cdef bint wide = bits(insn, 31, 31)
    cdef bint arithmetic = bits(insn, 24, 24)
    cdef unsigned int name = bits(insn, 30, 29)
    cdef unsigned int amount = bits(insn, 15, 10)
    cdef unsigned int form = bits(insn, 23, 22) if amount else FORM_REG
    cdef uint8_t rn = source(bits(insn, 9, 5))
    cdef uint8_t rm = source(bits(insn, 20, 16))
    cdef op_t *op
    if arithmetic:
        op = emit(b, ARITHMETIC[wide][name][form])
    else:
        name = 2 * name + bits(insn, 21, 21)
        op = emit(b, BITWISE[wide][name][form])
        if name == 2 and rn == X_ZERO and form == FORM_REG:
            op.code = OP_mov_reg if wide else OP_mov_w
    op.rd = target(bits(insn, 4, 0))
    op.rn = rn
    op.rm = rm
    op.ra = <uint8_t>amount


cdef void emit_three_sources(builder_t *b, uint32_t insn) noexcept nogil:
    cdef bint wide = bits(insn, 31, 31)
    cdef bint subtract = bits(insn, 15, 15)
    cdef unsigned int kind = bits(insn, 23, 21)
    cdef uint8_t ra = source(bits(insn, 14, 10))
    cdef int code
    cdef op_t *op
    if kind == 0:
        code = MULTIPLY[wide][2 if subtract else 0 if ra == X_ZERO else 1]
    elif kind == 1:
        code = OP_smsubl if subtract else OP_smaddl
    elif kind == 5:
        code = OP_umsubl if subtract else OP_umaddl
    else:
        code = OP_smulh if kind == 2 else OP_umulh
    op = emit_dnm(b, code, target(bits(insn, 4, 0)), source(bits(insn, 9, 5)),
                  source(bits(insn, 20, 16)))
    op.ra = ra


cdef void emit_compare(builder_t *b, uint32_t insn) noexcept nogil:
    """CCMP and CCMN."""
    cdef bint wide = bits(insn, 31, 31)
    cdef op_t *op = emit(b, 0)
    if bits(insn, 11, 11):
        op.imm = bits(insn, 20, 16)
        if bits(insn, 30, 30):
            op.code = OP_ccmp_imm_x if wide else OP_ccmp_imm_w
        else:
            op.code = OP_ccmn_imm_x if wide else OP_ccmn_imm_w
    else:
        op.rm = source(bits(insn, 20, 16))
        if bits(insn, 30, 30):
            op.code = OP_ccmp_reg_x if wide else OP_ccmp_reg_w
        else:
            op.code = OP_ccmn_reg_x if wide else OP_ccmn_reg_w
    op.rn = source(bits(insn, 9, 5))
    op.ra = <uint8_t>bits(insn, 15, 12)
    op.rd = <uint8_t>bits(insn, 3, 0)


cdef void emit_flags(builder_t *b, uint32_t insn, int enc) noexcept nogil:
    """CFINV, XAFLAG, AXFLAG, RMIF, SETF8 and SETF16."""
    cdef op_t *op = emit(b, OP_call)
    op.fn = sae_flag_fns[enc - FIRST_FLAGS]
    op.rn = source(bits(insn, 9, 5))
    op.imm = bits(insn, 20, 15)
    op.ra = <uint8_t>bits(insn, 3, 0)


cdef int emit_data(builder_t *b, uint32_t insn, int enc) noexcept nogil:
    cdef bint wide = bits(insn, 31, 31)
    cdef uint8_t rd = target(bits(insn, 4, 0))
    cdef uint8_t rn = source(bits(insn, 9, 5))
    cdef uint8_t rm = source(bits(insn, 20, 16))
    cdef unsigned int kind = bits(insn, 24, 21)
    cdef unsigned int opcode = bits(insn, 15, 10)
    if enc >= ENC_CFINV:
        emit_flags(b, insn, enc)
        return EMIT_NEXT
    if bits(insn, 28, 26) == 4:
        return emit_immediate(b, insn)
    if not bits(insn, 28, 28):
        if bits(insn, 24, 24) and bits(insn, 21, 21):
            emit_extended(b, insn)
        else:
            emit_shifted(b, insn)
    elif bits(insn, 24, 24):
        emit_three_sources(b, insn)
    elif kind == 0:
        emit_dnm(b, CARRY[wide][bits(insn, 30, 29)], rd, rn, rm)
    elif kind == 2:
        emit_compare(b, insn)
    elif kind == 4:
        opcode = bits(insn, 15, 12)
        if opcode >= AL:
            emit_dnm(b, OP_mov_reg if wide else OP_mov_w, rd, rn, rn)
        else:
            emit_dnm(b, SELECT[wide][2 * bits(insn, 30, 30) + bits(insn, 10, 10)][opcode],
                     rd, rn, rm)
    elif bits(insn, 30, 30):
        emit_dnm(b, ONE_SOURCE[wide][opcode], rd, rn, rn)
    elif opcode >= 16:
        emit_dnm(b, CRC[opcode & 7], rd, rn, rm)
    else:
        emit_dnm(b, TWO_SOURCES[wide][opcode], rd, rn, rm)
    return EMIT_NEXT
