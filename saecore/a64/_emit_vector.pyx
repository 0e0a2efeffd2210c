"""Advanced SIMD on integers: from instructions to operations. Floor 7.

Which function does an instruction, and what it takes, says `include/sae_vector_table.h`.

Source: Arm ARM (DDI 0487), C4.1 and C7.2.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from saecore._pe cimport op_fn, op_t
from saecore.a64._codes cimport ENC_shadd_vector
from saecore.a64._emit cimport EMIT_NEXT, EMIT_UNDEFINED, bits, builder_t
from saecore.a64._emit_call cimport emit_call


cdef extern from "sae_vector_table.h" nogil:
    enum:
        RESULT_SAME
        RESULT_WIDE
        RESULT_NARROW
        RESULT_ONE
        RESULT_ONE_WIDE
        NUMBER_NONE
        NUMBER_RIGHT
        NUMBER_LEFT
        NUMBER_INDEX
        NUMBER_INDEX_S
        NUMBER_SIZE
        NUMBER_BYTE
        NUMBER_TABLE

    ctypedef struct sae_vector_t:
        op_fn *by_size[4]
        uint8_t result
        uint8_t number

    const sae_vector_t sae_vectors[]
    uint16_t sae_v_operation(op_fn *fn, unsigned int log2)


cdef enum:
    # Sizes of elements, as logarithms of bytes.
    WORD = 2
    DOUBLE = 3
    QUAD = 4


cdef inline int size_of_shift(uint32_t insn) noexcept nogil:
    """The first set bit of immh, or -1."""
    cdef uint32_t immh = bits(insn, 22, 19)
    cdef int size = DOUBLE
    while size >= 0 and not immh >> size & 1:
        size -= 1
    return size


cdef inline int result_size(int result, int size, bint q, bint scalar) noexcept nogil:
    """How many bytes of a result count, as a logarithm."""
    if result == RESULT_WIDE:
        return size + 1 if scalar else QUAD
    if result == RESULT_ONE_WIDE:
        return size + 1
    if scalar or result == RESULT_ONE:
        return size
    return QUAD if q else DOUBLE


cdef inline uint32_t index_of(uint32_t insn, int size) noexcept nogil:
    """The number of the element of Rm: H:L, and M where it is not a bit of Rm."""
    cdef uint32_t high = bits(insn, 11, 11) << 1 | bits(insn, 21, 21)
    return high if size == WORD else high << 1 | bits(insn, 20, 20)


cdef int emit_vector(builder_t *b, uint32_t insn, int enc) noexcept nogil:
    cdef const sae_vector_t *what = &sae_vectors[enc - ENC_shadd_vector]
    cdef bint scalar = bits(insn, 28, 28)
    cdef bint q = bits(insn, 30, 30)
    cdef bint shift = what.number == NUMBER_RIGHT or what.number == NUMBER_LEFT
    cdef int size = size_of_shift(insn) if shift else <int>bits(insn, 23, 22)
    cdef uint32_t rm = bits(insn, 20, 16)
    cdef uint32_t number = 0
    cdef op_t *op
    if size < 0 or what.by_size[size] == NULL:
        return EMIT_UNDEFINED
    # There are no vectors of one element of 64 bits, nor results of all elements of two.
    if not q and not scalar and (
        size == DOUBLE and what.result == RESULT_SAME
        or size == WORD and what.result >= RESULT_ONE
    ):
        return EMIT_UNDEFINED
    if what.number == NUMBER_RIGHT:
        number = (16 << size) - bits(insn, 22, 16)
    elif what.number == NUMBER_LEFT:
        number = bits(insn, 22, 16) - (8 << size)
    elif what.number == NUMBER_INDEX_S:
        number = index_of(insn, WORD)
    elif what.number == NUMBER_INDEX:
        number = index_of(insn, size)
        if size != WORD:
            rm &= 15
    elif what.number == NUMBER_SIZE:
        number = 8 << size
    elif what.number == NUMBER_BYTE:
        number = bits(insn, 14, 11)
    elif what.number == NUMBER_TABLE:
        number = bits(insn, 14, 13)
    op = emit_call(b, what.by_size[size])
    op.rd = <uint8_t>bits(insn, 4, 0)
    op.rn = <uint8_t>bits(insn, 9, 5)
    op.rm = <uint8_t>rm
    op.ra = <uint8_t>result_size(what.result, size, q, scalar)
    op.code = sae_v_operation(what.by_size[size], op.ra)
    # Single elements are in lower halves.
    if scalar and what.result < RESULT_ONE:
        q = False
    op.imm = <uint64_t>number << 32 | q
    return EMIT_NEXT
