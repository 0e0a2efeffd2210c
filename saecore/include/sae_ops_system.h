/* System instructions: the few that are worth an operation of their own, and the two by which
 * all others reach saecore/_system.pyx. A part of sae_run() in sae_run.h. */

/* Both give the counter of instructions the place they are at (pe->ticks). */
#define CALL_SYSTEM                                                                            \
    do {                                                                                       \
        pe->left = left - op->insn;                                                            \
        if (pe->calls->system(pe, op))                                                         \
            goto leave;                                                                        \
    } while (0)

OP(sys)         /* ends its block, and may change what blocks depend on */
    CALL_SYSTEM;
    if (SAE_UNLIKELY(pe->changed))
        goto changed;
    TAKE;
OP(sys_next)    /* changes nothing of the kind */
    CALL_SYSTEM;
    NEXT;

OP(mrs_saved) XD = pe->regs[IMM]; NEXT;
OP(msr_saved) pe->regs[IMM] = XN; NEXT;
OP(mrs_const) XD = IMM; NEXT;
OP(mrs_nzcv) XD = sae_nzcv(pe); NEXT;
OP(msr_nzcv) sae_set_nzcv(pe, XN); NEXT;
OP(mrs_daif) XD = pe->pstate & PSTATE_DAIF; NEXT;
OP(daif_set) pe->pstate |= IMM; NEXT;
/* SP_EL0 cannot be named while it is the SP in use. */
OP(mrs_sp_el0)
    if (SAE_UNLIKELY(!(pe->pstate & PSTATE_SP)))
        CALL_SYSTEM;
    else
        XD = pe->sp[0];
    NEXT;
OP(msr_sp_el0)
    if (SAE_UNLIKELY(!(pe->pstate & PSTATE_SP)))
        CALL_SYSTEM;
    else
        pe->sp[0] = XN;
    NEXT;
OP(clrex) pe->excl_size = 0; NEXT;
OP(fence) __atomic_thread_fence(__ATOMIC_SEQ_CST); NEXT;
#undef CALL_SYSTEM
