# Loads, stores and moves of SIMD&FP registers to operations. Floor 7.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from saecore._pe cimport op_t
from saecore.a64._emit cimport builder_t, emit


cdef int emit_simd(builder_t *b, uint32_t insn, int enc) noexcept nogil


cdef inline op_t *emit_element_of(builder_t *b, int code, int log2,
                                  unsigned int index) noexcept nogil:
    """An operation on an element that is where `rm`, `ra` and `imm` say."""
    cdef op_t *op = emit(b, code)
    cdef unsigned int bit = index << (log2 + 3)
    op.rm = <uint8_t>(bit >> 6)
    op.ra = <uint8_t>(bit & 63)
    op.imm = ~<uint64_t>0 >> (64 - (8 << log2))
    return op
