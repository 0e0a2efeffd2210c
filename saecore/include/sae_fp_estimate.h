/* Estimates of reciprocals and of reciprocal square roots, and the steps that refine them: the
 * part of sae_fp_soft.h for FRECPE, FRECPS, FRECPX, FRSQRTE and FRSQRTS.
 *
 * Source: Arm ARM (DDI 0487), J1.3: FPRecipEstimate, RecipEstimate, FPRSqrtEstimate,
 * RecipSqrtEstimate, FPRecpX, FPRecipStepFused, FPRSqrtStepFused. */
#ifndef SAE_FP_ESTIMATE_H
#define SAE_FP_ESTIMATE_H
#include "sae_fp_soft.h"

/* 2^17 / a for a from 256 to 511, that is 2/a of numbers from 0.5 up to 1: 256 to 511. */
static inline unsigned fp_recip_estimate(unsigned a)
{
    return ((1u << 19) / (2 * a + 1) + 1) / 2;
}

/* The same of 1/sqrt(a), a from 128 to 511: a number from 0.25 up to 1. */
static inline unsigned fp_rsqrt_estimate(unsigned a)
{
    unsigned b = 512, step;
    a = a < 256 ? 2 * a + 1 : ((a & ~1u) + 1) * 2;
    /* The largest b of which a * b * b is below 2^28. */
    for (step = 256; step; step >>= 1)
        if (a * (b + step) * (b + step) < 1u << 28)
            b += step;
    return (b + 1) / 2;
}

/* The biased exponent a finite number would have if there were no denormals. */
FP_INLINE int fp_biased(fp_format_t f, const fp_number_t *a) { return a->exp + 63 + fp_bias(f); }

FP_INLINE uint64_t fp_recpe(fp_env_t *env, fp_format_t f, uint64_t bits)
{
    fp_number_t a = fp_unpack(env, f, bits);
    int mode = fp_mode(env), exp;
    uint64_t frac;
    if (a.kind >= FP_IS_QUIET)
        return fp_quieted(env, f, &a);
    if (a.kind == FP_IS_INFINITE)
        return fp_signed(f, a.sign, 0);
    if (a.kind == FP_IS_ZERO) {
        env->fpsr |= FPSR_DZC;
        return fp_signed(f, a.sign, fp_infinity(f));
    }
    /* Below -1 the reciprocal is too large; above the other bound it is denormal. */
    exp = fp_biased(f, &a);
    if (exp < -1) {
        env->fpsr |= FPSR_OFC | FPSR_IXC;
        return fp_signed(f, a.sign, fp_infinity(f)
                         - !(mode == FP_TIEEVEN || mode == (a.sign ? FP_NEGINF : FP_POSINF)));
    }
    exp = 2 * fp_bias(f) - 1 - exp;
    if (exp <= 0 && fp_flushes(env, f)) {
        env->fpsr |= FPSR_UFC;
        return fp_signed(f, a.sign, 0);
    }
    frac = (uint64_t)fp_recip_estimate((unsigned)(a.sig >> 55)) << (f.frac - 8);
    if (exp <= 0) {
        frac >>= 1 - exp;
        exp = 0;
    } else {
        exp -= 1;   /* the first bit of frac adds one */
    }
    return fp_signed(f, a.sign, ((uint64_t)exp << f.frac) + frac);
}

FP_INLINE uint64_t fp_rsqrte(fp_env_t *env, fp_format_t f, uint64_t bits)
{
    fp_number_t a = fp_unpack(env, f, bits);
    int exp;
    unsigned estimate;
    if (a.kind >= FP_IS_QUIET)
        return fp_quieted(env, f, &a);
    if (a.kind == FP_IS_ZERO) {
        env->fpsr |= FPSR_DZC;
        return fp_signed(f, a.sign, fp_infinity(f));
    }
    if (a.sign)
        return fp_invalid(env, f);
    if (a.kind == FP_IS_INFINITE)
        return 0;
    exp = fp_biased(f, &a);
    estimate = fp_rsqrt_estimate((unsigned)(a.sig >> (exp & 1 ? 56 : 55)));
    exp = (3 * fp_bias(f) - 1 - exp) / 2;
    return ((uint64_t)exp << f.frac) | (uint64_t)(estimate & 0xFF) << (f.frac - 8);
}

/* A number whose exponent is about the opposite. */
FP_INLINE uint64_t fp_recpx(fp_env_t *env, fp_format_t f, uint64_t bits)
{
    fp_number_t a = fp_unpack(env, f, bits);
    uint64_t exp = bits & fp_infinity(f);
    if (a.kind >= FP_IS_QUIET)
        return fp_quieted(env, f, &a);
    exp = exp ? exp ^ fp_infinity(f) : fp_infinity(f) - (UINT64_C(1) << f.frac);
    return fp_signed(f, a.sign, exp);
}

/* (addend - a * b) * 2^scale, rounded once; zero times infinity counts as zero. */
FP_INLINE uint64_t fp_step(fp_env_t *env, fp_format_t f, int scale, uint64_t addend,
                           uint64_t bits_a, uint64_t bits_b)
{
    fp_number_t c = fp_unpack(env, f, addend), a = fp_unpack(env, f, fp_negated(f, bits_a)),
                b = fp_unpack(env, f, bits_b);
    const fp_number_t *nan = fp_first_nan(&a, &b);
    if (nan->kind >= FP_IS_QUIET)
        return fp_quieted(env, f, nan);
    if (fp_zero_times_infinity(&a, &b))
        return scale ? fp_power(f, 0, 1) : c.bits;
    return fp_mul_sum(env, f, scale, &c, &a, &b);
}

FP_INLINE uint64_t fp_recps(fp_env_t *env, fp_format_t f, uint64_t a, uint64_t b)
{
    return fp_step(env, f, 0, fp_power(f, 1, 0), a, b);     /* 2 - a * b */
}

FP_INLINE uint64_t fp_rsqrts(fp_env_t *env, fp_format_t f, uint64_t a, uint64_t b)
{
    return fp_step(env, f, -1, fp_power(f, 1, 1), a, b);    /* (3 - a * b) / 2 */
}

#endif
