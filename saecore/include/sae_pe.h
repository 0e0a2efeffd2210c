/* The processor: its state, the operations of a decoded block, and what the two share with the
 * Cython modules around them (saecore/_pe.pxd declares the same to Cython). */
#ifndef SAE_PE_H
#define SAE_PE_H
#include <stdint.h>
#include "sae_defs.h"

#define SAE_LIKELY(c) __builtin_expect(!!(c), 1)
#define SAE_UNLIKELY(c) __builtin_expect(!!(c), 0)

/* Guest memory is little-endian. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define SAE_LE16(v) __builtin_bswap16(v)
#define SAE_LE32(v) __builtin_bswap32(v)
#define SAE_LE64(v) __builtin_bswap64(v)
#else
#define SAE_LE16(v) (v)
#define SAE_LE32(v) (v)
#define SAE_LE64(v) (v)
#endif
#define SAE_LE8(v) (v)

/* Register numbers of an operation: 0 to 30 are X0 to X30. */
enum {
    X_ZERO = 31,  /* reads as zero; never written */
    X_SINK = 32,  /* takes results nobody wants */
    X_SP = 33,    /* the SP in use */
    X_TEMP = 34,  /* what one operation of an instruction leaves to the next */
    N_X = 35,
};

typedef struct pe pe_t;
typedef struct op op_t;
/* An operation done by a function: nothing it does can fault. */
typedef void op_fn(pe_t *pe, const op_t *op);

/* One operation. A block is an array of them, of which the first is its header (block_t);
 * 32 bytes, no pointers but `run`, `link` and `fn`. */
struct op {
    const void *run;    /* the label of `code` in the loop */
    uint8_t rd, rn, rm, ra;
    uint8_t insn;       /* which instruction of the block this is, or begins with */
    uint8_t slot;       /* index in the block's array */
    uint16_t code;      /* an OP_ constant */
    uint64_t imm;
    union {
        op_t *link;     /* of a branch: where to go on */
        int64_t imm2;
        op_fn *fn;      /* of OP_call: the function that does it */
    };
};

/* The header takes two slots of the array. */
typedef struct block {
    uint64_t va;        /* of its first instruction */
    uint64_t host;      /* the same as a host pointer */
    struct block *next; /* of the same hash */
    uint64_t epoch;     /* in which its instructions were last compared with memory */
    uint16_t el;        /* EL0 or EL1: the level it was decoded for */
    uint16_t guarded;   /* whether it was decoded for a guarded page (FEAT_BTI) */
    uint16_t n_insns;
    uint16_t n_ops;
    uint32_t *words;    /* the instructions as they were decoded */
    struct block *same_page;
    uint64_t ipa;
} block_t;

#define BLOCK_SLOTS (sizeof(block_t) / sizeof(op_t))
#define OP_BLOCK(op) ((block_t *)((op) - (op)->slot))
#define OP_PC(op) (OP_BLOCK(op)->va + 4u * (op)->insn)

/* An entry of the first-level TLB: a page of guest virtual addresses to host memory. A tag is
 * the page's address, or 2, which no page has. */
typedef struct {
    uint64_t read;
    uint64_t write;
    uint64_t delta;     /* host address minus guest virtual address */
    uint64_t aligned;   /* tag of a page that takes only aligned accesses; bit 0: also writes */
} page_t;

enum { TLB0_BITS = 12, TLB0_PAGES = 1 << TLB0_BITS, JUMP_BITS = 11, JUMPS = 1 << JUMP_BITS,
       BTYPES = 4 };

/* A block found by virtual address. Each exception level has a table of its own for each value of
 * PSTATE.BTYPE: an address has no bit to spare for them, as any value may be branched to. A block is
 * only in tables whose BTYPE may land there, so a branch that finds it need not ask. An empty entry
 * holds an address that belongs to another entry, so nothing that is looked for here equals it. */
typedef struct {
    uint64_t va;
    op_t *op;
} jump_t;
#define JUMP_AT(va) ((va) >> 2 & (JUMPS - 1))
#define JUMP_EMPTY(at) ((at) == JUMPS - 1 ? UINT64_C(0) : ~UINT64_C(0))

/* How an access differs from a plain one. */
enum {
    ACCESS_PLAIN = 0,
    ACCESS_USER = 1,        /* as if at EL0 (LDTR, STTR) */
    ACCESS_ALIGNED = 2,     /* must be aligned (exclusives, LSE) */
    ACCESS_ORDERED = 4,     /* acquire or release */
    ACCESS_ATOMIC = 8,      /* read and written: needs write permission, read faults first */
    ACCESS_STORE = 32,      /* `pointer`: is only written (store-exclusive) */
    ACCESS_NO_ISV = 16,     /* its syndrome does not say how to emulate it */
};

typedef union {
    uint64_t d[2];      /* least significant half first, on every host */
    /* Smaller elements; element i is at index LANE(i, its size in bits). */
    int64_t sd[2];
    uint32_t s[4];
    int32_t ss[4];
    uint16_t h[8];
    int16_t sh[8];
    uint8_t b[16];
    int8_t sb[16];
} vreg_t;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LANE(i, bits) ((i) ^ (64 / (bits) - 1))
#else
#define LANE(i, bits) (i)
#endif

/* What pe->lazy may be (sae_flags.h). */
enum { LAZY_NONE = 0, LAZY_SUB = 1, LAZY_LOGIC = 2 };

/* Why the processor is careful. */
enum {
    CAREFUL_DEBUG = 1,      /* breakpoints, watchpoints or software step are active */
    CAREFUL_TRACE = 2,      /* accesses are recorded */
};

/* What the slow paths answer. */
enum {
    PE_OK = 0,
    PE_LEFT = 1,        /* the instruction did not finish; pe->pc and pe->event say what is next */
};

/* What the operations call for all that is not fast. Every one of them gets the operation, and
 * through it the pc and the instruction word. */
typedef struct {
    int (*read)(pe_t *pe, const op_t *op, uint64_t va, unsigned size, unsigned flags, void *to);
    int (*write)(pe_t *pe, const op_t *op, uint64_t va, unsigned size, unsigned flags,
                 const void *from);
    /* A host pointer for an aligned access of at most 16 bytes. */
    int (*pointer)(pe_t *pe, const op_t *op, uint64_t va, unsigned size, unsigned flags,
                   void **host);
    /* Any other instruction; op->imm is its word, op->imm2 what its emitter put there. */
    int (*system)(pe_t *pe, const op_t *op);
    /* Take the exception of a misaligned SP, of an instruction that is none, of SIMD&FP while
     * CPACR_EL1 traps it. */
    void (*sp_fault)(pe_t *pe, const op_t *op);
    void (*undefined)(pe_t *pe, const op_t *op);
    void (*fp_fault)(pe_t *pe, const op_t *op);
} pe_calls_t;

struct pe {
    /* What operations use most, within reach of a short displacement. */
    uint64_t fa, fb, lazy;  /* the flags, or where they come from (sae_flags.h) */
    page_t *tlb;            /* of the current EL and PAN */
    jump_t *jumps;          /* of the current EL: a table for each BTYPE */
    uint64_t el;            /* 0 or 1 */
    const pe_calls_t *calls;
    uint64_t x[N_X];
    uint64_t nf, zf, cf, vf;
    page_t *tlb_user;       /* of LDTR and STTR */
    int64_t left;           /* instructions left of the slice, between blocks */
    uint64_t sctlr;         /* SCTLR_EL1 */
    uint64_t tbi;           /* TCR_EL1.TBI0 and TBI1: addresses have a tag */
    uint64_t fp_trap;       /* CPACR_EL1 traps SIMD&FP at this level */
    op_t *from;             /* EVENT_LOOKUP: the `go` to link, or NULL */
    unsigned retired;       /* PE_LEFT: 1 if the instruction counts as executed */
    vreg_t v[32];
    uint64_t pc;            /* outside a block: of the next instruction */
    uint64_t pstate;        /* all but NZCV */
    uint64_t fpcr, fpsr;
    /* The local exclusive monitor: what was read where; size 0: open. */
    uint64_t excl_va, excl_size, excl_value[2];
    uint64_t sp[2];         /* SP_EL0, SP_EL1; the one in use is x[X_SP] */
    uint64_t features;      /* FEATURE_ bits */
    page_t *tlbs[3];        /* of EL0, of EL1, of EL1 with PAN: what `tlb` may be */
    jump_t *jumps_of[2];    /* by EL */
    page_t *no_tlb;         /* one that never has a page */
    uint64_t careful;       /* CAREFUL_ bits: one instruction at a time, no TLB */
    uint64_t clock;         /* 0: the counter follows the host's, 1: the instructions */
    uint64_t ticks;         /* instructions executed, when a block ends */
    uint64_t sev;           /* the event register of WFE */
    uint64_t stepped;       /* DEBUG_STEPPED_: what the last step was (_debug.pyx) */
    int event;              /* EVENT_ constant of what stopped the loop */
    unsigned changed;       /* CHANGED_ bits */
    /* Interception data, until the control block takes them. */
    uint8_t icptr;
    uint8_t gltl;
    uint16_t pic;
    uint64_t esr, far, teid;
    /* The loaded system registers, in the order of the save area (REG_ constants), and those the
     * control block holds. */
    uint64_t regs[N_SAVED_REGS];
    uint64_t contextidr, cntp_ctl, cntv_ctl, gpto;
};

/* Where a branch to an address goes: without its tag, if the address has one. */
static inline uint64_t sae_branch_address(const pe_t *pe, uint64_t pc)
{
    if (!(pe->tbi >> (pc >> 55 & 1) & 1))
        return pc;
    return (uint64_t)((int64_t)(pc << 8) >> 8);
}

#endif
