# Scalar floating point: instructions to operations. Floor 7.
from libc.stdint cimport uint32_t, uint64_t

from saecore.a64._emit cimport builder_t


cdef inline uint64_t expand_half(uint32_t imm8) noexcept nogil:
    """The half-precision number of an immediate: a sign, an exponent near 0, four bits."""
    cdef uint64_t big = imm8 >> 6 & 1
    return <uint64_t>(imm8 >> 7) << 15 | (big ^ 1) << 14 | (3 * big) << 12 | (imm8 & 0x3F) << 6


cdef int emit_fp(builder_t *b, uint32_t insn, int enc) noexcept nogil
