/* The inner loop: runs the operations of blocks until something is left to the outer loop
 * (saecore/_loop.pyx). Included once, by _loop.pyx.
 *
 * Every operation is a label, and jumps to the next one itself (GNU C's computed goto): one
 * indirect jump an operation, each with its own place in the host's branch predictor. The
 * operations are in the sae_ops_*.h files, which say what A64 does; this file says how they
 * are strung together.
 */
#ifndef SAE_RUN_H
#define SAE_RUN_H
#include <string.h>
#include "sae_pe.h"
#include "sae_a64.h"
#include "sae_flags.h"

/* --- what operations are written with --------------------------------------------------- */

#define OP(name) L_##name:
#define NEXT                                                                                   \
    do {                                                                                       \
        op++;                                                                                  \
        goto *op->run;                                                                         \
    } while (0)

/* Registers: D is written, N, M and A are read. A W register is read as its low half, and what
 * is written to one fills the upper half with zeros. */
#define XD pe->x[op->rd]
#define XN pe->x[op->rn]
#define XM pe->x[op->rm]
#define XA pe->x[op->ra]
#define WN ((uint32_t)XN)
#define WM ((uint32_t)XM)
#define WA ((uint32_t)XA)
#define IMM op->imm
/* Write D, and leave the value where the next operation finds it sooner than in D (`_a` forms). */
#define SET(value) XD = acc = (value)

/* Go on with another block, from the operation that ends this one: its `ra` is how many
 * instructions the block has run, its `link` where it goes, and that of the operation behind it
 * where it goes if a condition fails. */
#define GO(where)                                                                              \
    do {                                                                                       \
        const op_t *from_ = op;                                                                \
        op = (where);                                                                          \
        if (SAE_UNLIKELY((left -= from_->ra) < 0))                                             \
            goto slice_over;                                                                   \
        goto *op->run;                                                                         \
    } while (0)
#define TAKE GO(op->link)
#define FALL GO(op[1].link)
/* The same for an address only known now; PSTATE.BTYPE is `btype` until the branch has landed,
 * which it has if the address is found. */
#define GO_PC(where, btype)                                                                    \
    do {                                                                                       \
        uint64_t pc_ = (where);                                                                \
        const jump_t *jump_ = &pe->jumps[JUMP_AT(pc_)];                                        \
        if (SAE_UNLIKELY((left -= op->ra) < 0 || jump_[(btype) * JUMPS].va != pc_)) {          \
            pe->pc = pc_;                                                                      \
            pe->pstate |= (uint64_t)(btype) << PSTATE_BTYPE_SHIFT;                             \
            goto lookup;                                                                       \
        }                                                                                      \
        op = jump_[(btype) * JUMPS].op;                                                        \
        goto *op->run;                                                                         \
    } while (0)

/* Variables that most operations use. The compiler would rather keep them in memory, as they live
 * through calls; any registers that calls preserve will do. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define SAE_IN(name) __asm__(name)
#else
#define SAE_IN(name)
#endif

/* --- guest memory ----------------------------------------------------------------------- */

#define PAGE_OF(through, va) (&(through)[(va) >> 12 & (TLB0_PAGES - 1)])
#define PAGE_TAG(va) ((va) & ~UINT64_C(0xFFF))

/* Read a little-endian integer of 8, 16, 32 or 64 bits at `va`, through a TLB (pe->tlb, or
 * pe->tlb_user with ACCESS_USER among the flags); `use` is what to do with `value_` (uintBITS_t), on
 * either path. An access that crosses a page never matches a tag. Leaves the block if the access
 * faults. */
#define LOAD_THEN(bits, through, va, flags, use)                                               \
    do {                                                                                       \
        uint64_t va_ = (va);                                                                   \
        const page_t *page_ = PAGE_OF(through, va_);                                           \
        if (SAE_LIKELY(page_->read == PAGE_TAG(va_ + bits / 8 - 1))) {                         \
            uint##bits##_t value_;                                                             \
            memcpy(&value_, (const void *)(uintptr_t)(va_ + page_->delta), bits / 8);          \
            value_ = SAE_LE##bits(value_);                                                     \
            use;                                                                               \
        } else {                                                                               \
            uint##bits##_t value_;                                                             \
            if (pe->calls->read(pe, op, va_, bits / 8, flags, &value_))                        \
                goto leave;                                                                    \
            value_ = SAE_LE##bits(value_);                                                     \
            use;                                                                               \
        }                                                                                      \
    } while (0)
#define LOAD(bits, through, va, flags, result)                                                 \
    LOAD_THEN(bits, through, va, flags, (result) = value_)

/* Write one; `value` is cut to its size. */
#define STORE(bits, through, va, flags, value)                                                     \
    do {                                                                                       \
        uint64_t va_ = (va);                                                                   \
        const page_t *page_ = PAGE_OF(through, va_);                                               \
        uint##bits##_t raw_ = SAE_LE##bits((uint##bits##_t)(value));                           \
        if (SAE_LIKELY(page_->write == PAGE_TAG(va_ + bits / 8 - 1))) {                        \
            memcpy((void *)(uintptr_t)(va_ + page_->delta), &raw_, bits / 8);                  \
        } else {                                                                               \
            uint##bits##_t slow_ = raw_;                                                       \
            if (pe->calls->write(pe, op, va_, bits / 8, flags, &slow_))                        \
                goto leave;                                                                    \
        }                                                                                      \
    } while (0)

/* A host pointer of `type *` for an aligned access that must be done in place. */
#define POINTER(type, va, flags, result)                                                       \
    do {                                                                                       \
        void *host_;                                                                           \
        if (pe->calls->pointer(pe, op, (va), sizeof(type), (flags), &host_))                   \
            goto leave;                                                                        \
        (result) = (type *)host_;                                                              \
    } while (0)

/* A base register that is SP must be a multiple of 16 while SCTLR_EL1.SA says so. */
#define CHECK_SP(base)                                                                         \
    do {                                                                                       \
        if (SAE_UNLIKELY((base) & 15) && sae_sp_checked(pe))                                   \
            goto sp_misaligned;                                                                \
    } while (0)

static inline int sae_sp_checked(const pe_t *pe)
{
    return (pe->sctlr >> (pe->el ? 3 : 4)) & 1; /* SA, SA0 */
}

#include "sae_arith.h"
#include "sae_vector.h"
#include "sae_vector_ops.h"

/* --- the loop --------------------------------------------------------------------------- */

/* Runs from `op` until pe->left is below zero, or something happens (pe->event). Without a
 * processor, answers the labels of all operations. `pe->from` is the end of a block that would
 * like to be linked to the block at pe->pc, or NULL. */
#if defined(__GNUC__) && !defined(__clang__)
__attribute__((optimize("no-gcse", "no-crossjumping", "no-tree-slp-vectorize")))
#endif
static const void *const *sae_run(pe_t *pe, const op_t *op)
{
    static const void *const labels[] = { SAE_OP_LABELS };
    register int64_t left SAE_IN("r13");    /* instructions of the slice */
    register uint64_t acc SAE_IN("r14");    /* what the operation before left (SET) */
    if (pe == NULL)
        return labels;
    left = pe->left;
    acc = 0;
    goto *op->run;

#include "sae_ops_data.h"
#include "sae_ops_branch.h"
#include "sae_ops_memory.h"
#include "sae_ops_system.h"
#include "sae_ops_simd.h"

OP(call)
    op->fn(pe, op);
    NEXT;
/* Copies of such functions, for results of so many bytes. */
#define INLINED(name, log2)                                                                    \
    OP(v_##name)                                                                               \
    if (op->ra != (log2))                                                                      \
        __builtin_unreachable();                                                               \
    sae_v_##name(pe, op);                                                                      \
    NEXT;
SAE_EACH_INLINED(INLINED)
OP(go)  /* the end of a block that goes to op->imm, which is not linked yet */
    pe->pc = op->imm;
    pe->from = (op_t *)op;
    pe->event = EVENT_LOOKUP;
    goto out;
lookup:
    pe->pc = sae_branch_address(pe, pe->pc);
    pe->from = NULL;
    pe->event = EVENT_LOOKUP;
    goto out;
changed:        /* a system instruction has changed what blocks depend on */
    left -= op->ra;
    pe->pc = OP_PC(op) + 4;
    pe->from = NULL;
    pe->event = EVENT_CHANGED;
    goto out;
slice_over:     /* `op` begins a block, or is a `go` */
    pe->pc = op->code == OP_go ? op->imm : OP_BLOCK(op)->va;
    pe->from = NULL;
    pe->event = EVENT_SLICE;
    goto out;
sp_misaligned:
    pe->calls->sp_fault(pe, op);
leave:          /* the instruction of `op` did not finish here */
    left -= op->insn + pe->retired;
    pe->retired = 0;
    pe->from = NULL;
out:
    pe->left = left;
    return NULL;
}

#endif
