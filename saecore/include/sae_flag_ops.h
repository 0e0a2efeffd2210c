/* FEAT_FlagM and FEAT_FlagM2: instructions that make flags of something else, each a function of
 * type op_fn. Included by saecore/a64/_emit_data.pyx alone.
 *
 * Source: Arm ARM (DDI 0487), C6.2. sae_flags.h says how the flags are kept.
 */
#ifndef SAE_FLAG_OPS_H
#define SAE_FLAG_OPS_H
#include "sae_a64.h"
#include "sae_flags.h"

/* A function that finds the flags settled. */
#define FLAGS(name)                                                                            \
    static inline void set_##name(pe_t *pe, const op_t *op);                                   \
    static void flags_##name(pe_t *pe, const op_t *op)                                         \
    {                                                                                          \
        sae_settle_lazy(pe);                                                                   \
        set_##name(pe, op);                                                                    \
    }                                                                                          \
    static inline void set_##name(pe_t *pe, const op_t *op)

FLAGS(cfinv)
{
    (void)op;
    pe->cf ^= 1;
}

/* From what a comparison of floating-point numbers leaves to what others leave, and back. */
FLAGS(axflag)
{
    uint64_t v = pe->vf >> 63;
    (void)op;
    pe->zf = pe->zf != 0 && !v;
    pe->cf &= ~v;
    pe->nf = pe->vf = 0;
}
FLAGS(xaflag)
{
    uint64_t z = pe->zf == 0, c = pe->cf;
    (void)op;
    pe->nf = (uint64_t)(!c && !z) << 63;
    pe->zf = !(z && c);
    pe->cf = c | z;
    pe->vf = (uint64_t)(!c && z) << 63;
}

/* N rotated by the immediate: the flags that the mask in A names. */
FLAGS(rmif)
{
    uint64_t x = pe->x[op->rn];
    unsigned by = op->imm & 63;
    uint64_t nzcv = x >> by | x << (-by & 63);
    if (op->ra & 8)
        pe->nf = nzcv << 60;
    if (op->ra & 4)
        pe->zf = ~nzcv >> 2 & 1;
    if (op->ra & 2)
        pe->cf = nzcv >> 1 & 1;
    if (op->ra & 1)
        pe->vf = nzcv << 63;
}

/* N as a number of so many bits. */
#define FLAGS_OF(bits)                                                                         \
    FLAGS(setf##bits)                                                                          \
    {                                                                                          \
        uint64_t x = pe->x[op->rn] << (63 - bits);                                             \
        pe->vf = x ^ x << 1;                                                                   \
        pe->nf = pe->zf = x << 1;                                                              \
    }
FLAGS_OF(8)
FLAGS_OF(16)

#define FIRST_FLAGS ENC_CFINV
static op_fn *const sae_flag_fns[] = {
    [ENC_CFINV - FIRST_FLAGS] = flags_cfinv,
    [ENC_XAFLAG - FIRST_FLAGS] = flags_xaflag,
    [ENC_AXFLAG - FIRST_FLAGS] = flags_axflag,
    [ENC_RMIF - FIRST_FLAGS] = flags_rmif,
    [ENC_SETF8 - FIRST_FLAGS] = flags_setf8,
    [ENC_SETF16 - FIRST_FLAGS] = flags_setf16,
};

#undef FLAGS
#undef FLAGS_OF
#endif
