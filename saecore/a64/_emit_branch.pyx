"""Branches, to operations. Floor 7.

A conditional branch behind an instruction that sets the flags becomes one operation with it.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from saecore._defs cimport FEATURE_BTI
from saecore._pe cimport X_SINK, op_t
from saecore.a64._codes cimport (
    ENC_B, ENC_B_COND, ENC_BL, ENC_BLR, ENC_CBNZ, ENC_CBZ, ENC_RET, ENC_TBZ, N_OPS, OP_b, OP_bl,
    OP_blr, OP_blr_btype2, OP_br, OP_br_btype1, OP_br_btype3, OP_cbnz_w, OP_cbnz_x,
    OP_cbz_w, OP_cbz_x, OP_ret, OP_tbnz, OP_tbz,
)
from saecore.a64._emit cimport EMIT_END, bits, builder_t, emit, signed_bits, source

from saecore.a64.encodings import OPS
from saecore.a64.encodings.branches import COMPARED, FUSED
from saecore.a64.encodings.data import CONDITIONS


cdef enum:
    AL = 14     # conditions that always hold

cdef int B_COND[14]
cdef uint16_t FUSED_WITH[N_OPS][14]     # 0: no operation for the two
cdef uint16_t COMPARED_WITH[N_OPS][14]


def fill_families():
    """Look the codes up by name."""
    codes = {name: code for code, name in enumerate(OPS)}
    for cond, suffix in enumerate(CONDITIONS):
        B_COND[cond] = codes[f"b_{suffix}"]
        for name in FUSED:
            FUSED_WITH[codes[name]][cond] = codes[f"{name}_b_{suffix}"]
            COMPARED_WITH[codes[name]][cond] = codes[f"{COMPARED.get(name, name)}_b_{suffix}"]


fill_families()


cdef void emit_conditional(builder_t *b, unsigned int cond) noexcept nogil:
    cdef op_t *op
    if b.insn:
        op = &b.ops[b.n_ops - 1]
        if op.insn + 1 == b.insn and FUSED_WITH[op.code][cond]:
            if op.rd == X_SINK:
                op.code = COMPARED_WITH[op.code][cond]
            else:
                op.code = FUSED_WITH[op.code][cond]
            return
    emit(b, B_COND[cond])


cdef int register_branch(const builder_t *b, uint32_t rn, bint link) noexcept nogil:
    if not b.features & FEATURE_BTI:
        return OP_blr if link else OP_br
    if link:
        return OP_blr_btype2
    # X16 and X17 are what linkers use between a call and its target.
    return OP_br_btype3 if b.guarded and rn != 16 and rn != 17 else OP_br_btype1


cdef int emit_branch(builder_t *b, uint32_t insn, int enc) noexcept nogil:
    cdef op_t *op
    cdef bint wide = bits(insn, 31, 31)
    b.taken = b.pc + 4
    b.falls = False
    if enc == ENC_B or enc == ENC_BL:
        b.taken = b.pc + <uint64_t>(4 * signed_bits(insn, 25, 0))
        op = emit(b, OP_bl if enc == ENC_BL else OP_b)
        op.imm = b.pc + 4
    elif enc == ENC_B_COND:
        b.taken = b.pc + <uint64_t>(4 * signed_bits(insn, 23, 5))
        if bits(insn, 3, 0) >= AL:
            emit(b, OP_b)
        else:
            b.falls = True
            emit_conditional(b, bits(insn, 3, 0))
    elif enc == ENC_CBZ or enc == ENC_CBNZ:
        b.taken = b.pc + <uint64_t>(4 * signed_bits(insn, 23, 5))
        b.falls = True
        if enc == ENC_CBZ:
            op = emit(b, OP_cbz_x if wide else OP_cbz_w)
        else:
            op = emit(b, OP_cbnz_x if wide else OP_cbnz_w)
        op.rn = source(bits(insn, 4, 0))
    elif bits(insn, 30, 25) == 0b011011:
        b.taken = b.pc + <uint64_t>(4 * signed_bits(insn, 18, 5))
        b.falls = True
        op = emit(b, OP_tbz if enc == ENC_TBZ else OP_tbnz)
        op.rn = source(bits(insn, 4, 0))
        op.rm = <uint8_t>(bits(insn, 31, 31) << 5 | bits(insn, 23, 19))
    else:
        op = emit(b, OP_ret if enc == ENC_RET
                  else register_branch(b, bits(insn, 9, 5), enc == ENC_BLR))
        op.rn = source(bits(insn, 9, 5))
        op.imm = b.pc + 4
    return EMIT_END
