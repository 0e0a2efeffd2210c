# Emitter of the system instructions. Floor 7.
from libc.stdint cimport uint32_t, uint64_t

from saecore._pe cimport op_t
from saecore.a64._emit cimport builder_t


cdef enum:
    # What `system_instruction` (saecore/_system.pyx) is asked for.
    SYSTEM_ACCESS           # MRS, MSR, SYS of a row of the register table
    SYSTEM_UNKNOWN_ACCESS   # of an implementation defined encoding that is in no row
    SYSTEM_SVC
    SYSTEM_HVC
    SYSTEM_SMC
    SYSTEM_BRK
    SYSTEM_ERET
    SYSTEM_WFE
    SYSTEM_WFI
    SYSTEM_SEV
    SYSTEM_ISB
    SYSTEM_PSTATE_BIT       # MSR PAN, UAO, SSBS, DIT, #imm
    SYSTEM_SPSEL
    SYSTEM_DAIF_SET
    SYSTEM_DAIF_CLEAR
    SYSTEM_PAUTH            # its row says what (_emit_pauth.pxd)


# op.imm of `sys` and `sys_next`: the instruction word, what it asks for, the row of the table.
# (op.imm2 is the link of an operation that ends its block.)
cdef inline uint32_t system_word(const op_t *op) noexcept nogil:
    return <uint32_t>op.imm


cdef inline int system_what(const op_t *op) noexcept nogil:
    return <int>(op.imm >> 32 & 0xFF)


cdef inline int system_row(const op_t *op) noexcept nogil:
    return <int>(op.imm >> 48)


# An operation that leaves it to `system_instruction`; `ends` says that the block ends with it.
cdef int call(builder_t *b, uint32_t insn, int what, int row, bint ends) noexcept nogil
cdef int emit_system(builder_t *b, uint32_t insn, int enc) noexcept nogil
