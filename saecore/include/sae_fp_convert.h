/* Floating point to and from integers, fixed point and other formats: the part of sae_fp_soft.h
 * that converts.
 *
 * Source: Arm ARM (DDI 0487), J1.3: FPRoundInt, FPRoundIntN, FPToFixed, FPToFixedJS, FixedToFP,
 * FPConvert, FPConvertBF. */
#ifndef SAE_FP_CONVERT_H
#define SAE_FP_CONVERT_H
#include "sae_fp_soft.h"

/* A finite number times 2^scale as an integer, and whether that is inexact. It must be less than
 * 2^64. */
FP_INLINE uint64_t fp_integer(const fp_number_t *a, int scale, int rounding, int *inexact)
{
    int drop = -(a->exp + scale);
    uint64_t kept = drop < 64 ? a->sig >> drop : 0;
    uint64_t rest = drop == 0 ? 0 : drop < 64 ? a->sig << (64 - drop) : drop == 64 ? a->sig : 1;
    *inexact = rest != 0;
    return kept + (uint64_t)fp_rounds_up(rounding, a->sign, kept & 1, rest);
}

/* `exact`: what is inexact is told. */
FP_INLINE uint64_t fp_round_int(fp_env_t *env, fp_format_t f, int rounding, int exact,
                                uint64_t bits)
{
    fp_number_t a = fp_unpack(env, f, bits);
    int inexact;
    uint64_t kept;
    if (a.kind >= FP_IS_QUIET)
        return fp_quieted(env, f, &a);
    if (a.kind != FP_IS_FINITE || a.exp >= 0)
        return a.bits;
    kept = fp_integer(&a, 0, rounding, &inexact);
    if (exact && inexact)
        env->fpsr |= FPSR_IXC;
    return kept ? fp_round(env, f, FP_ZERO_MODE, a.sign, 0, kept) : fp_signed(f, a.sign, 0);
}

/* To an integer of `width` bits; what does not fit is the most negative one. */
FP_INLINE uint64_t fp_round_int_n(fp_env_t *env, fp_format_t f, int rounding, int width,
                                  uint64_t bits)
{
    fp_number_t a = fp_unpack(env, f, bits);
    int inexact = 0;
    uint64_t kept = 0;
    if (a.kind == FP_IS_ZERO)
        return a.bits;
    if (a.kind == FP_IS_FINITE && a.exp <= 0)
        kept = fp_integer(&a, 0, rounding, &inexact);
    if (a.kind != FP_IS_FINITE || a.exp > 0
        || kept > (UINT64_C(1) << (width - 1)) - !a.sign) {
        env->fpsr |= FPSR_IOC;
        return fp_signed(f, 1, fp_power(f, width - 1, 0));
    }
    if (inexact)
        env->fpsr |= FPSR_IXC;
    return kept ? fp_round(env, f, FP_ZERO_MODE, a.sign, 0, kept) : fp_signed(f, a.sign, 0);
}

/* To an integer of `width` bits with `fbits` of fraction, saturated. */
FP_INLINE uint64_t fp_to_fixed(fp_env_t *env, fp_format_t f, int fbits, int is_unsigned, int width,
                               int rounding, uint64_t bits)
{
    fp_number_t a = fp_unpack(env, f, bits);
    uint64_t mask = UINT64_MAX >> (64 - width), kept = UINT64_MAX;
    uint64_t limit = is_unsigned ? (a.sign ? 0 : mask) : (mask >> 1) + (uint64_t)a.sign;
    int inexact = 0, fits = a.kind == FP_IS_FINITE && a.exp + fbits <= 0;
    if (a.kind == FP_IS_ZERO)
        return 0;
    if (a.kind >= FP_IS_QUIET) {
        env->fpsr |= FPSR_IOC;
        return 0;
    }
    if (fits)
        kept = fp_integer(&a, fbits, rounding, &inexact);
    if (!fits || kept > limit) {
        env->fpsr |= FPSR_IOC;
        kept = limit;
    } else if (inexact) {
        env->fpsr |= FPSR_IXC;
    }
    return (a.sign ? 0 - kept : kept) & mask;
}

FP_INLINE uint64_t fp_from_fixed(fp_env_t *env, fp_format_t f, int fbits, int is_unsigned,
                                 int width, int rounding, uint64_t value)
{
    int sign;
    value <<= 64 - width;
    sign = !is_unsigned && value >> 63;
    value = is_unsigned ? value >> (64 - width) : (uint64_t)((int64_t)value >> (64 - width));
    if (value == 0)
        return 0;
    return fp_round(env, f, rounding, sign, -fbits, sign ? 0 - value : value);
}

FP_INLINE uint64_t fp_convert(fp_env_t *env, fp_format_t from, fp_format_t to, int rounding,
                              uint64_t bits)
{
    fp_number_t a = fp_unpack(env, from, bits);
    int alternative = fp_alternative(env, to);
    if (a.kind >= FP_IS_QUIET) {
        if (a.kind == FP_IS_SIGNALLING || alternative)
            env->fpsr |= FPSR_IOC;
        if (alternative)
            return fp_signed(to, a.sign, 0);
        if (env->fpcr & FPCR_DN)
            return fp_default_nan(to);
        /* The first bits of the payload. */
        bits = bits << (64 - from.frac) >> (64 - to.frac);
        return fp_signed(to, a.sign, fp_default_nan(to) | bits);
    }
    if (a.kind == FP_IS_INFINITE) {
        if (!alternative)
            return fp_signed(to, a.sign, fp_infinity(to));
        env->fpsr |= FPSR_IOC;
        return fp_signed(to, a.sign, fp_sign_bit(to) - 1);
    }
    if (a.kind == FP_IS_ZERO)
        return fp_signed(to, a.sign, 0);
    return fp_round(env, to, rounding, a.sign, a.exp, a.sig);
}

/* As JavaScript has it: a double to the 32-bit integer it is modulo 2^32, towards zero. `exact`
 * says whether it is that integer. */
FP_INLINE uint32_t fp_to_int32_js(fp_env_t *env, uint64_t bits, int *exact)
{
    fp_number_t a = fp_unpack(env, FP_DOUBLE, bits);
    int drop = -a.exp, inexact = 0;
    uint64_t kept = 0;
    *exact = 0;
    if (a.kind == FP_IS_ZERO) {
        *exact = bits == 0;     /* not of -0, nor of what was flushed */
        return 0;
    }
    if (a.kind != FP_IS_FINITE) {
        env->fpsr |= FPSR_IOC;
        return 0;
    }
    if (drop >= 0)
        kept = fp_integer(&a, 0, FP_ZERO_MODE, &inexact);
    else if (drop > -32)
        kept = a.sig << -drop;
    if (drop < 0 || kept > UINT64_C(0x7FFFFFFF) + (uint64_t)a.sign)
        env->fpsr |= FPSR_IOC;
    else if (inexact)
        env->fpsr |= FPSR_IXC;
    else
        *exact = 1;
    return (uint32_t)(a.sign ? 0 - kept : kept);
}

#endif
