"""AES, SHA, SM3 and SM4 instructions: from instructions to operations. Floor 7.

An AESMC behind its AESE, and their like, become one operation with it.

Source: Arm ARM (DDI 0487), C4.1 and C7.2.
"""

from libc.stdint cimport uint8_t, uint32_t

from saecore._pe cimport op_fn, op_t
from saecore.a64._codes cimport ENC_sha256h2, OP_call
from saecore.a64._emit cimport EMIT_NEXT, bits, builder_t
from saecore.a64._emit_call cimport emit_call


cdef extern from "sae_crypto_ops.h" nogil:
    const int FIRST_CRYPTO
    op_fn **sae_crypto_fns
    op_fn *crypto_pair(op_fn *first, int next)
    void sae_crypto_fill()


sae_crypto_fill()


cdef bint join(builder_t *b, uint32_t insn, int enc) noexcept nogil:
    """Let the operation of the instruction before do this one, too, if the two go together."""
    cdef op_t *op
    cdef op_fn *fn
    cdef uint8_t rd = <uint8_t>bits(insn, 4, 0)
    cdef uint8_t rn = <uint8_t>bits(insn, 9, 5)
    if not b.insn:
        return False
    op = &b.ops[b.n_ops - 1]
    if op.code != OP_call or op.insn + 1 != b.insn:
        return False
    fn = crypto_pair(op.fn, enc)
    if fn == NULL:
        return False
    if enc == ENC_sha256h2:
        # Of different registers; A is what has been copied from D, no more.
        if rd != op.rn or bits(insn, 20, 16) != op.rm or rd == op.rd or op.rm == op.rd \
                or op.rm == rd or rn == op.rd or rn == rd:
            return False
        op.ra = rn
    elif rd != op.rd or rn != op.rd:
        return False
    op.fn = fn
    return True


cdef int emit_crypto(builder_t *b, uint32_t insn, int enc) noexcept nogil:
    cdef op_t *op
    if join(b, insn, enc):
        return EMIT_NEXT
    op = emit_call(b, sae_crypto_fns[enc - FIRST_CRYPTO])
    op.rd = <uint8_t>bits(insn, 4, 0)
    op.rn = <uint8_t>bits(insn, 9, 5)
    op.rm = <uint8_t>bits(insn, 20, 16)
    op.ra = <uint8_t>bits(insn, 14, 10)
    op.imm = bits(insn, 15, 10)
    return EMIT_NEXT
