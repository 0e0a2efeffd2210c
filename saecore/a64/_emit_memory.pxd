# Loads and stores of general registers to operations, and what those of vector registers share
# with them. Floor 7.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from saecore.a64._emit cimport builder_t


cdef int emit_memory(builder_t *b, uint32_t insn, int enc) noexcept nogil
# Operations whose base may be SP, but do not look at it themselves, come behind this.
cdef void emit_check_sp(builder_t *b, uint32_t base) noexcept nogil
# One register of 2**log2 bytes, or a pair: `code` is the `imm` form of the operation.
cdef void emit_single(
    builder_t *b, uint32_t insn, int code, int log2, uint8_t data
) noexcept nogil
cdef void emit_pair(
    builder_t *b, uint32_t insn, int code, int log2, uint8_t first, uint8_t second
) noexcept nogil
# What the syndrome of a data abort says about the instruction: ISV, SAS, SSE, SRT, SF and AR; 0
# for all but loads and stores of one general register without writeback.
cdef uint64_t isv_syndrome(uint32_t insn) noexcept nogil
