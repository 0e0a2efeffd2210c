"""Advanced SIMD on integers: from instructions to operations. Floor 7.

Source: Arm ARM (DDI 0487), C4.1 and C7.2.
"""

from libc.stdint cimport uint32_t

from saecore.a64._emit cimport EMIT_UNDEFINED, builder_t


cdef int emit_vector(builder_t *b, uint32_t insn, int enc) noexcept nogil:
    return EMIT_UNDEFINED
