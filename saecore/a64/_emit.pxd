# What emitters use to turn an instruction into operations of a block. Floor 7.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from saecore._pe cimport X_SINK, X_SP, X_ZERO, op_t


cdef enum:
    # What an emitter answers.
    EMIT_NEXT = 0           # the block may go on
    EMIT_END = 1            # the block ends behind this instruction
    EMIT_UNDEFINED = -1     # not an instruction after all


# A block in the making.
ctypedef struct builder_t:
    op_t *ops               # the array, header included
    unsigned int n_ops      # slots in use
    unsigned int insn       # index of the instruction being decoded
    uint64_t pc             # its address
    uint64_t el
    uint64_t features
    bint guarded            # its page is (FEAT_BTI)
    bint fp_checked         # the block has tested for the trap of SIMD&FP
    # For EMIT_END: where the block goes on, and if that depends on a condition that may fail.
    uint64_t taken
    bint falls


cdef inline op_t *emit(builder_t *b, int code) noexcept nogil:
    """The next operation, its fields zero but for what tells where it belongs."""
    cdef op_t *op = &b.ops[b.n_ops]
    op.code = <uint16_t>code
    op.rd = op.rn = op.rm = op.ra = X_ZERO
    op.insn = <uint8_t>b.insn
    op.slot = <uint8_t>b.n_ops
    op.imm = 0
    op.imm2 = 0
    b.n_ops += 1
    return op


cdef inline uint32_t bits(uint32_t insn, int high, int low) noexcept nogil:
    return insn >> low & ((<uint32_t>1 << (high - low + 1)) - 1)


cdef inline int64_t signed_bits(uint32_t insn, int high, int low) noexcept nogil:
    cdef int width = high - low + 1
    return <int64_t>(<uint64_t>bits(insn, high, low) << (64 - width)) >> (64 - width)


cdef inline uint8_t source(uint32_t number) noexcept nogil:
    """A register that is read, where 31 is the zero register."""
    return <uint8_t>number


cdef inline uint8_t target(uint32_t number) noexcept nogil:
    """A register that is written, where 31 throws the result away."""
    return X_SINK if number == X_ZERO else <uint8_t>number


cdef inline uint8_t or_sp(uint32_t number) noexcept nogil:
    """A register, read or written, where 31 is SP."""
    return X_SP if number == X_ZERO else <uint8_t>number
