# Scalar floating point: instructions to operations. Floor 7.
from libc.stdint cimport uint32_t

from saecore.a64._emit cimport builder_t


cdef int emit_fp(builder_t *b, uint32_t insn, int enc) noexcept nogil
