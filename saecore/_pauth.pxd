# Pointer authentication: what signs, authenticates and strips pointers. Floor 7.
from libc.stdint cimport uint64_t

from saecore._pe cimport op_t, pe_t


# An operation of SYSTEM_PAUTH; like all system instructions it may leave.
cdef int pauth_instruction(pe_t *pe, const op_t *op) noexcept nogil
# PACGA's function of two words, for tests.
cpdef uint64_t compute_pac(uint64_t data, uint64_t modifier, uint64_t key_high, uint64_t key_low)
