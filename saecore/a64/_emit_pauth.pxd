# Emitter of pointer authentication. Floor 7.
from libc.stdint cimport uint32_t

from saecore._pe cimport op_t
from saecore.a64._emit cimport builder_t
from saecore.a64._emit_system cimport system_row


cdef enum:
    # What SYSTEM_PAUTH does with N, by the modifier M, for D. (PACGA: N and M are the data.)
    PAUTH_ADD
    PAUTH_AUTHENTICATE
    PAUTH_STRIP
    PAUTH_GENERIC

    # Keys, in the order of their registers.
    PAUTH_IA = 0
    PAUTH_IB = 1
    PAUTH_DA = 2
    PAUTH_DB = 3
    PAUTH_GA = 4


# What an operation of SYSTEM_PAUTH has for a row.
cdef inline int pauth_action(const op_t *op) noexcept nogil:
    return system_row(op) >> 3


cdef inline int pauth_key(const op_t *op) noexcept nogil:
    return system_row(op) & 7


cdef int emit_pauth(builder_t *b, uint32_t insn, int enc) noexcept nogil
