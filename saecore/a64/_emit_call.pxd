# Operations of SIMD&FP registers that a function does. Floor 7.
from saecore._pe cimport op_fn, op_t
from saecore.a64._codes cimport OP_call, OP_fp_check
from saecore.a64._emit cimport builder_t, emit


cdef inline void emit_fp_check(builder_t *b) noexcept nogil:
    """In front of a block's first use of SIMD&FP: the test whether CPACR_EL1 traps it."""
    if not b.fp_checked:
        emit(b, OP_fp_check)
        b.fp_checked = True


cdef inline op_t *emit_call(builder_t *b, op_fn *fn) noexcept nogil:
    """The operation `fn` does; its `imm2` is taken."""
    cdef op_t *op
    emit_fp_check(b)
    op = emit(b, OP_call)
    op.fn = fn
    return op
