# Self-hosted debug: breakpoints, watchpoints, software step. Floor 7.
#
# The loop asks `debug_active` when pe.changed has CHANGED_DEBUG. While it is true it runs one
# instruction at a time, without TLB: debug_step_before, the fetch, debug_check_fetch, the
# instruction (with debug_check_access behind the translation of each access), and, if stepping
# was active before it and SAE did not end at it, debug_step_after.
from libc.stdint cimport uint32_t, uint64_t

from saecore._pe cimport op_t, pe_t


cdef enum:
    # pe.stepped: what the software step exception to come says of the instruction stepped.
    DEBUG_STEPPED_NONE = 0
    DEBUG_STEPPED_PLAIN = 1
    DEBUG_STEPPED_EXCLUSIVE = 2     # a load-exclusive


# May a breakpoint, watchpoint or step exception happen at EL0 or EL1, as registers are?
cdef bint debug_active(pe_t *pe) noexcept nogil
# Takes the exception of a breakpoint that matches the instruction at `pc`.
cdef int debug_check_fetch(pe_t *pe, uint64_t pc) noexcept nogil
# Takes the exception of a watchpoint that matches. `flags` are ACCESS_ ones; `cache` says that
# it is a cache maintenance instruction.
cdef int debug_check_access(pe_t *pe, const op_t *op, uint64_t va, unsigned int size,
                            bint write, unsigned int flags, bint cache) noexcept nogil
# Takes the software step exception that is pending, if one is.
cdef int debug_step_before(pe_t *pe) noexcept nogil
# Is stepping active at this level? Of the instruction of this word, which was executed then.
cdef bint debug_stepping(pe_t *pe) noexcept nogil
cdef void debug_step_after(pe_t *pe, uint32_t insn) noexcept nogil
# What SVC and HVC do first: the step is over, and SPSR shows it.
cdef void debug_advance(pe_t *pe) noexcept nogil
# PSTATE.SS of an exception return with this SPSR.
cdef uint64_t debug_return_ss(pe_t *pe, uint64_t spsr, bint illegal) noexcept nogil
