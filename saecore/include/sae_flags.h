/* N, Z, C and V. Most flags that are set are never read, or by the next branch alone: what sets
 * them by a subtraction or bit by bit leaves its operands here, and who reads them compares
 * these. pe->lazy says how things stand:
 *
 * LAZY_NONE    N is the sign of nf, Z is set iff zf is 0, C is cf (0 or 1), V the sign of vf
 * LAZY_SUB     they are those of fa - fb; operands of 32 bits are in the upper halves
 * LAZY_LOGIC   the same with fb 0, but that C is clear
 */
#ifndef SAE_FLAGS_H
#define SAE_FLAGS_H
#include "sae_pe.h"

static inline void sae_lazy_flags(pe_t *pe, uint64_t kind, uint64_t a, uint64_t b)
{
    pe->fa = a;
    pe->fb = b;
    pe->lazy = kind;
}

static inline void sae_settled_flags(pe_t *pe, uint64_t n, uint64_t z, uint64_t c, uint64_t v)
{
    pe->nf = n;
    pe->zf = z;
    pe->cf = c;
    pe->vf = v;
    pe->lazy = LAZY_NONE;
}

/* From LAZY_SUB or LAZY_LOGIC to LAZY_NONE. */
static __attribute__((noinline, unused)) void sae_settle(pe_t *pe)
{
    uint64_t a = pe->fa, b = pe->fb, r = a - b;
    sae_settled_flags(pe, r, r, pe->lazy == LAZY_SUB && a >= b, (a ^ b) & (a ^ r));
}

static inline void sae_settle_lazy(pe_t *pe)
{
    if (pe->lazy)
        sae_settle(pe);
}

static inline uint64_t sae_nzcv(pe_t *pe)
{
    sae_settle_lazy(pe);
    return (pe->nf >> 63) << 31 | (uint64_t)(pe->zf == 0) << 30 | pe->cf << 29
           | (pe->vf >> 63) << 28;
}

static inline void sae_set_nzcv(pe_t *pe, uint64_t nzcv)
{
    sae_settled_flags(pe, nzcv << 32, ~nzcv >> 30 & 1, nzcv >> 29 & 1, nzcv << 35);
}

static inline uint64_t sae_carry(pe_t *pe)
{
    sae_settle_lazy(pe);
    return pe->cf;
}

/* Conditions of `a - b`, of unsigned type `u`, whose signed type is `s`. */
#define SUB_EQ(u, s, a, b) ((a) == (b))
#define SUB_NE(u, s, a, b) ((a) != (b))
#define SUB_CS(u, s, a, b) ((a) >= (b))
#define SUB_CC(u, s, a, b) ((a) < (b))
#define SUB_MI(u, s, a, b) ((s)((a) - (b)) < 0)
#define SUB_PL(u, s, a, b) ((s)((a) - (b)) >= 0)
#define SUB_VS(u, s, a, b) ((s)(((a) ^ (b)) & ((a) ^ ((a) - (b)))) < 0)
#define SUB_VC(u, s, a, b) ((s)(((a) ^ (b)) & ((a) ^ ((a) - (b)))) >= 0)
#define SUB_HI(u, s, a, b) ((a) > (b))
#define SUB_LS(u, s, a, b) ((a) <= (b))
#define SUB_GE(u, s, a, b) ((s)(a) >= (s)(b))
#define SUB_LT(u, s, a, b) ((s)(a) < (s)(b))
#define SUB_GT(u, s, a, b) ((s)(a) > (s)(b))
#define SUB_LE(u, s, a, b) ((s)(a) <= (s)(b))
/* Of a result `a` with C and V clear. */
#define LOGIC_EQ SUB_EQ
#define LOGIC_NE SUB_NE
#define LOGIC_CS(u, s, a, b) 0
#define LOGIC_CC(u, s, a, b) 1
#define LOGIC_MI SUB_MI
#define LOGIC_PL SUB_PL
#define LOGIC_VS(u, s, a, b) 0
#define LOGIC_VC(u, s, a, b) 1
#define LOGIC_HI(u, s, a, b) 0
#define LOGIC_LS(u, s, a, b) 1
#define LOGIC_GE SUB_GE
#define LOGIC_LT SUB_LT
#define LOGIC_GT SUB_GT
#define LOGIC_LE SUB_LE
/* Of flags that are settled. Without && and ||: whether a flag is set is hard to foresee. */
#define N_SET ((int64_t)pe->nf < 0)
#define N_IS_V ((int64_t)(pe->nf ^ pe->vf) >= 0)
#define FLAG_EQ (pe->zf == 0)
#define FLAG_NE (pe->zf != 0)
#define FLAG_CS (pe->cf != 0)
#define FLAG_CC (pe->cf == 0)
#define FLAG_MI N_SET
#define FLAG_PL (!N_SET)
#define FLAG_VS ((int64_t)pe->vf < 0)
#define FLAG_VC ((int64_t)pe->vf >= 0)
#define FLAG_HI (FLAG_CS & FLAG_NE)
#define FLAG_LS (FLAG_CC | FLAG_EQ)
#define FLAG_GE N_IS_V
#define FLAG_LT (!N_IS_V)
#define FLAG_GT (N_IS_V & FLAG_NE)
#define FLAG_LE (!N_IS_V | FLAG_EQ)

/* Every condition but AL: its name in operations, and in the macros above; in the order of their
 * numbers. */
#define EACH_CONDITION(M, ...)                                                                 \
    M(eq, EQ, __VA_ARGS__) M(ne, NE, __VA_ARGS__) M(cs, CS, __VA_ARGS__)                       \
    M(cc, CC, __VA_ARGS__) M(mi, MI, __VA_ARGS__) M(pl, PL, __VA_ARGS__)                       \
    M(vs, VS, __VA_ARGS__) M(vc, VC, __VA_ARGS__) M(hi, HI, __VA_ARGS__)                       \
    M(ls, LS, __VA_ARGS__) M(ge, GE, __VA_ARGS__) M(lt, LT, __VA_ARGS__)                       \
    M(gt, GT, __VA_ARGS__) M(le, LE, __VA_ARGS__)

/* sae_holds_eq(pe) and so on. Those that look at C are not the same for both lazy kinds. */
#define SAE_HOLDS(name, NAME, _)                                                               \
    static inline uint64_t sae_holds_##name(pe_t *pe)                                               \
    {                                                                                          \
        if (SAE_LIKELY(pe->lazy == LAZY_SUB))                                                  \
            return SUB_##NAME(uint64_t, int64_t, pe->fa, pe->fb);                              \
        if (pe->lazy)                                                                          \
            return LOGIC_##NAME(uint64_t, int64_t, pe->fa, 0);                                 \
        return FLAG_##NAME;                                                                    \
    }
EACH_CONDITION(SAE_HOLDS, )

/* Does a condition given by its number hold? */
static inline int sae_condition(pe_t *pe, unsigned cond)
{
    switch (cond) {
    case 0: return sae_holds_eq(pe);
    case 1: return sae_holds_ne(pe);
    case 2: return sae_holds_cs(pe);
    case 3: return sae_holds_cc(pe);
    case 4: return sae_holds_mi(pe);
    case 5: return sae_holds_pl(pe);
    case 6: return sae_holds_vs(pe);
    case 7: return sae_holds_vc(pe);
    case 8: return sae_holds_hi(pe);
    case 9: return sae_holds_ls(pe);
    case 10: return sae_holds_ge(pe);
    case 11: return sae_holds_lt(pe);
    case 12: return sae_holds_gt(pe);
    case 13: return sae_holds_le(pe);
    default: return 1;
    }
}

#endif
