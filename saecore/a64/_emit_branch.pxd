# Branches, to operations. Floor 7.
from libc.stdint cimport uint32_t

from saecore.a64._emit cimport builder_t


# The operation of BR or BLR, and their like, to a register; it sets BTYPE if there is FEAT_BTI.
cdef int register_branch(const builder_t *b, uint32_t rn, bint link) noexcept nogil
cdef int emit_branch(builder_t *b, uint32_t insn, int enc) noexcept nogil
