/* Floating point as instructions see it: bit patterns in and out, FPCR and FPSR of the processor.
 * fp16_, fp32_ and fp64_ functions each; the exact work is in sae_fp_soft.h and its parts, and what
 * the host computes alike is left to the host.
 *
 * The host rounds to nearest and keeps denormals. While FPCR asks for that rounding, a result of
 * the host that is a normal number is the right one, but for denormal operands that are flushed.
 * What is left to find out is whether it is exact, and only until IXC is set. */
#ifndef SAE_FP_H
#define SAE_FP_H
#include <float.h>
#include <math.h>
#include <string.h>
#include "sae_pe.h"
#include "sae_fp_soft.h"
#include "sae_fp_convert.h"
#include "sae_fp_estimate.h"

/* Hosts that compute with more precision than asked for are of no use. */
#define FP_HOST_EXACT (FLT_EVAL_METHOD == 0)

#define FP_FORMAT_16 FP_HALF
#define FP_FORMAT_32 FP_SINGLE
#define FP_FORMAT_64 FP_DOUBLE
/* Expands to X(bits) of every format, or X(bits, type) of those the host has, too. */
#define FP_EACH(X) X(16) X(32) X(64)
#define FP_EACH_HOST(X) X(32, float) X(64, double)

static inline int fp_rounding(const pe_t *pe) { return (int)((pe->fpcr & FPCR_RMODE) >> 22); }

/* What instructions that compute go by, and those that convert between formats. */
FP_INLINE fp_env_t fp_begin(const pe_t *pe) { return (fp_env_t){ pe->fpcr & ~FPCR_AHP, 0 }; }
FP_INLINE fp_env_t fp_begin_convert(const pe_t *pe)
{
    return (fp_env_t){ pe->fpcr & ~FPCR_FZ16, 0 };
}

/* --- in integers ------------------------------------------------------------------------ */

#define FP_SOFT(F, name, parameters, ...)                                                      \
    static __attribute__((noinline)) uint##F##_t fp##F##_##name parameters                     \
    {                                                                                          \
        fp_env_t env = fp_begin(pe);                                                           \
        uint##F##_t result = (uint##F##_t)(__VA_ARGS__);                                       \
        pe->fpsr |= env.fpsr;                                                                  \
        return result;                                                                         \
    }
#define FP_PATTERN_1(F) (pe_t *pe, uint##F##_t a)
#define FP_PATTERN_2(F) (pe_t *pe, uint##F##_t a, uint##F##_t b)
#define FP_PATTERN_3(F) (pe_t *pe, uint##F##_t c, uint##F##_t a, uint##F##_t b)

#define FP_SOFT_ALL(F, prefix)                                                                 \
    FP_SOFT(F, prefix##add, FP_PATTERN_2(F), fp_add(&env, FP_FORMAT_##F, a, b))                \
    FP_SOFT(F, prefix##sub, FP_PATTERN_2(F), fp_sub(&env, FP_FORMAT_##F, a, b))                \
    FP_SOFT(F, prefix##mul, FP_PATTERN_2(F), fp_mul(&env, FP_FORMAT_##F, 0, a, b))             \
    FP_SOFT(F, prefix##mulx, FP_PATTERN_2(F), fp_mul(&env, FP_FORMAT_##F, 1, a, b))            \
    FP_SOFT(F, prefix##div, FP_PATTERN_2(F), fp_div(&env, FP_FORMAT_##F, a, b))                \
    FP_SOFT(F, prefix##sqrt, FP_PATTERN_1(F), fp_sqrt(&env, FP_FORMAT_##F, a))                 \
    FP_SOFT(F, prefix##fma, FP_PATTERN_3(F), fp_fma(&env, FP_FORMAT_##F, c, a, b))
FP_SOFT_ALL(16, )
FP_SOFT_ALL(32, soft_)
FP_SOFT_ALL(64, soft_)

/* --- by the host ------------------------------------------------------------------------ */

/* May the host compute, if the result is a normal number? `denormal`: whether an operand is one,
 * which matters in flush-to-zero mode alone. */
#define FP_HOST_MAY(pe, denormal)                                                              \
    (FP_HOST_EXACT && (!((pe)->fpcr & (FPCR_FZ | FPCR_RMODE))                                  \
                       || (!((pe)->fpcr & FPCR_RMODE) && !(denormal))))

#define FP_HOST(F, type)                                                                       \
    FP_INLINE type fp##F##_value(uint##F##_t bits)                                             \
    {                                                                                          \
        type value;                                                                            \
        memcpy(&value, &bits, sizeof(value));                                                  \
        return value;                                                                          \
    }                                                                                          \
    FP_INLINE uint##F##_t fp##F##_bits(type value)                                             \
    {                                                                                          \
        uint##F##_t bits;                                                                      \
        memcpy(&bits, &value, sizeof(bits));                                                   \
        return bits;                                                                           \
    }                                                                                          \
    FP_INLINE int fp##F##_is_zero(uint##F##_t a) { return (uint##F##_t)(a << 1) == 0; }        \
    FP_INLINE int fp##F##_is_denormal(uint##F##_t a)                                           \
    {                                                                                          \
        return fp_magnitude(FP_FORMAT_##F, a) - 1 < (UINT64_C(1) << FP_FORMAT_##F.frac) - 1;   \
    }                                                                                          \
    FP_INLINE int fp##F##_is_finite(uint##F##_t a)                                             \
    {                                                                                          \
        return fp_magnitude(FP_FORMAT_##F, a) < fp_infinity(FP_FORMAT_##F);                    \
    }                                                                                          \
    /* Finite, and so large that nothing that rounds to it is below the normal numbers. */     \
    FP_INLINE int fp##F##_is_plain(uint##F##_t a)                                              \
    {                                                                                          \
        const uint64_t least = UINT64_C(2) << FP_FORMAT_##F.frac;                              \
        return fp_magnitude(FP_FORMAT_##F, a) - least < fp_infinity(FP_FORMAT_##F) - least;    \
    }
FP_EACH_HOST(FP_HOST)

/* Is a sum inexact? What is lost by adding is a number of the format, too. */
#define FP_SUM_LOST(F, type)                                                                   \
    FP_INLINE int fp##F##_sum_lost(type a, type b, type sum)                                   \
    {                                                                                          \
        type rest = sum - a;                                                                   \
        return (a - (sum - rest)) + (b - rest) != 0;                                           \
    }
FP_EACH_HOST(FP_SUM_LOST)
/* Is a * b another number than c? They differ by less than a unit of c; where that might be too
 * small for a number, the answer is yes. */
FP_INLINE int fp32_differs(float a, float b, float c) { return (double)a * b != (double)c; }
FP_INLINE int fp64_differs(double a, double b, double c)
{
    return fabs(c) < 0x1p-800 || fma(a, b, -c) != 0;
}

/* `exact` says which results r other than plain ones are right, `lost` which plain ones are
 * inexact. */
#define FP_BY_HOST(F, type, name, parameters, arguments, denormal, expression, exact, lost)    \
    static inline uint##F##_t fp##F##_##name parameters                                        \
    {                                                                                          \
        if (SAE_LIKELY(FP_HOST_MAY(pe, denormal))) {                                           \
            type value = (expression);                                                         \
            uint##F##_t r = fp##F##_bits(value);                                               \
            if (SAE_LIKELY(fp##F##_is_plain(r))) {                                             \
                if (SAE_LIKELY(pe->fpsr & FPSR_IXC) || !(lost))                                \
                    return r;                                                                  \
            } else if ((exact) && (!(pe->fpcr & FPCR_FZ) || fp##F##_is_zero(r))) {             \
                return r;                                                                      \
            }                                                                                  \
        }                                                                                      \
        return fp##F##_soft_##name arguments;                                                  \
    }
#define FP_DENORMAL_1(F) fp##F##_is_denormal(a)
#define FP_DENORMAL_2(F) (fp##F##_is_denormal(a) || fp##F##_is_denormal(b))
#define FP_DENORMAL_3(F) (FP_DENORMAL_2(F) || fp##F##_is_denormal(c))
#define FP_X(F) fp##F##_value(a)
#define FP_Y(F) fp##F##_value(b)
#define FP_ZERO_FACTOR(F)                                                                      \
    (fp##F##_is_finite(r) && (fp##F##_is_zero(a) || fp##F##_is_zero(b)))
#define FP_BY_HOST_2(F, type, name, ...)                                                       \
    FP_BY_HOST(F, type, name, FP_PATTERN_2(F), (pe, a, b), FP_DENORMAL_2(F), __VA_ARGS__)
#define FP_BY_HOST_ALL(F, type)                                                                \
    FP_BY_HOST_2(F, type, add, FP_X(F) + FP_Y(F), fp##F##_is_finite(r),                        \
                 fp##F##_sum_lost(FP_X(F), FP_Y(F), value))                                    \
    FP_BY_HOST_2(F, type, sub, FP_X(F) - FP_Y(F), fp##F##_is_finite(r),                        \
                 fp##F##_sum_lost(FP_X(F), -FP_Y(F), value))                                   \
    FP_BY_HOST_2(F, type, mul, FP_X(F) * FP_Y(F), FP_ZERO_FACTOR(F),                           \
                 fp##F##_differs(FP_X(F), FP_Y(F), value))                                     \
    FP_BY_HOST_2(F, type, mulx, FP_X(F) * FP_Y(F), FP_ZERO_FACTOR(F),                          \
                 fp##F##_differs(FP_X(F), FP_Y(F), value))                                     \
    FP_BY_HOST_2(F, type, div, FP_X(F) / FP_Y(F), fp##F##_is_finite(r) && fp##F##_is_zero(a),  \
                 fp##F##_differs(value, FP_Y(F), FP_X(F)))
FP_EACH_HOST(FP_BY_HOST_ALL)
FP_BY_HOST(32, float, sqrt, FP_PATTERN_1(32), (pe, a), FP_DENORMAL_1(32), sqrtf(FP_X(32)),
           fp32_is_zero(a), fp32_differs(value, value, FP_X(32)))
FP_BY_HOST(64, double, sqrt, FP_PATTERN_1(64), (pe, a), FP_DENORMAL_1(64), sqrt(FP_X(64)),
           fp64_is_zero(a), fp64_differs(value, value, FP_X(64)))
FP_BY_HOST(64, double, fma, FP_PATTERN_3(64), (pe, c, a, b), FP_DENORMAL_3(64),
           fma(FP_X(64), FP_Y(64), fp64_value(c)), FP_ZERO_FACTOR(64), 1)

/* A product of floats is exact as a double. The sum with the third is, rounded again, the right
 * one unless it is halfway between two floats by the first rounding. */
static inline uint32_t fp32_fma(pe_t *pe, uint32_t c, uint32_t a, uint32_t b)
{
    if (SAE_LIKELY(FP_HOST_MAY(pe, FP_DENORMAL_3(32)))) {
        double product = (double)FP_X(32) * FP_Y(32), addend = fp32_value(c);
        double sum = product + addend;
        uint32_t r = fp32_bits((float)sum);
        if (SAE_LIKELY(fp32_is_plain(r) && (fp64_bits(sum) & 0x1FFFFFFF) != 0x10000000)
            && ((pe->fpsr & FPSR_IXC)
                || !(fp64_sum_lost(product, addend, sum) || (float)sum != sum)))
            return r;
    }
    return fp32_soft_fma(pe, c, a, b);
}

/* --- all formats ------------------------------------------------------------------------ */

/* Operations that are quick as they are, or not worth more. */
#define FP_QUICK(F, type, name, parameters, ...)                                               \
    static inline type fp##F##_##name parameters                                               \
    {                                                                                          \
        fp_env_t env = fp_begin(pe);                                                           \
        type result = (type)(__VA_ARGS__);                                                     \
        pe->fpsr |= env.fpsr;                                                                  \
        return result;                                                                         \
    }
#define FP_CHOICE(F, name, ...) FP_QUICK(F, uint##F##_t, name, FP_PATTERN_2(F), __VA_ARGS__)
#define FP_COMPARED(F) (pe_t *pe, uint##F##_t a, uint##F##_t b, int signal)
#define FP_TO_FIXED(F)                                                                         \
    (pe_t *pe, uint##F##_t a, int fbits, int is_unsigned, int width, int rounding)
#define FP_FROM_FIXED                                                                          \
    (pe_t *pe, uint64_t value, int fbits, int is_unsigned, int width, int rounding)

#define FP_OPERATIONS(F)                                                                       \
    static inline uint##F##_t fp##F##_neg(uint##F##_t a)                                       \
    {                                                                                          \
        return (uint##F##_t)fp_negated(FP_FORMAT_##F, a);                                      \
    }                                                                                          \
    static inline uint##F##_t fp##F##_abs(uint##F##_t a)                                       \
    {                                                                                          \
        return (uint##F##_t)fp_magnitude(FP_FORMAT_##F, a);                                    \
    }                                                                                          \
    static inline uint##F##_t fp##F##_nmul FP_PATTERN_2(F)                                     \
    {                                                                                          \
        return fp##F##_neg(fp##F##_mul(pe, a, b));                                             \
    }                                                                                          \
    FP_CHOICE(F, max, fp_choose(&env, FP_FORMAT_##F, 1, a, b))                                 \
    FP_CHOICE(F, min, fp_choose(&env, FP_FORMAT_##F, 0, a, b))                                 \
    FP_CHOICE(F, maxnm, fp_choose_number(&env, FP_FORMAT_##F, 1, a, b))                        \
    FP_CHOICE(F, minnm, fp_choose_number(&env, FP_FORMAT_##F, 0, a, b))                        \
    FP_SOFT(F, recpe, FP_PATTERN_1(F), fp_recpe(&env, FP_FORMAT_##F, a))                       \
    FP_SOFT(F, recpx, FP_PATTERN_1(F), fp_recpx(&env, FP_FORMAT_##F, a))                       \
    FP_SOFT(F, recps, FP_PATTERN_2(F), fp_recps(&env, FP_FORMAT_##F, a, b))                    \
    FP_SOFT(F, rsqrte, FP_PATTERN_1(F), fp_rsqrte(&env, FP_FORMAT_##F, a))                     \
    FP_SOFT(F, rsqrts, FP_PATTERN_2(F), fp_rsqrts(&env, FP_FORMAT_##F, a, b))                  \
    FP_SOFT(F, round_int, (pe_t *pe, uint##F##_t a, int rounding, int exact),                  \
            fp_round_int(&env, FP_FORMAT_##F, rounding, exact, a))                             \
    FP_SOFT(F, round_int_n, (pe_t *pe, uint##F##_t a, int rounding, int width),                \
            fp_round_int_n(&env, FP_FORMAT_##F, rounding, width, a))                           \
    FP_QUICK(F, unsigned, soft_compare, FP_COMPARED(F),                                        \
             fp_compare(&env, FP_FORMAT_##F, signal, a, b))                                    \
    FP_QUICK(F, uint64_t, soft_to_fixed, FP_TO_FIXED(F),                                       \
             fp_to_fixed(&env, FP_FORMAT_##F, fbits, is_unsigned, width, rounding, a))         \
    FP_QUICK(F, uint##F##_t, soft_from_fixed, FP_FROM_FIXED,                                   \
             fp_from_fixed(&env, FP_FORMAT_##F, fbits, is_unsigned, width, rounding, value))
FP_EACH(FP_OPERATIONS)

/* What follows needs no flags of the host, and so any rounding mode. */
#define FP_BY_HOST_EXACT(F, type)                                                              \
    /* NZCV, in four bits; `signal`: a quiet NaN is invalid, too. */                           \
    static inline unsigned fp##F##_compare FP_COMPARED(F)                                      \
    {                                                                                          \
        type x = FP_X(F), y = FP_Y(F);                                                         \
        unsigned nzcv = (unsigned)(x < y) << 3 | (x == y ? 6 : 0) | (unsigned)(x > y) << 1;    \
        if (SAE_LIKELY(nzcv && !(pe->fpcr & FPCR_FZ)))                                         \
            return nzcv;                                                                       \
        return fp##F##_soft_compare(pe, a, b, signal);                                         \
    }                                                                                          \
    static inline uint64_t fp##F##_to_fixed FP_TO_FIXED(F)                                     \
    {                                                                                          \
        const uint64_t limit = fp_power(FP_FORMAT_##F, 62, 0);                                 \
        if (SAE_LIKELY(fbits == 0 && rounding == FP_ZERO_MODE && !(pe->fpcr & FPCR_FZ)         \
                       && fp_magnitude(FP_FORMAT_##F, a) < limit)) {                           \
            int64_t r = (int64_t)FP_X(F);                                                      \
            uint64_t mask = UINT64_MAX >> (64 - width);                                        \
            if (SAE_LIKELY(is_unsigned ? ((uint64_t)r & ~mask) == 0 && r >= 0                  \
                                       : width == 64 || r == (int32_t)r)) {                    \
                if ((type)r != FP_X(F))                                                        \
                    pe->fpsr |= FPSR_IXC;                                                      \
                return (uint64_t)r & mask;                                                     \
            }                                                                                  \
        }                                                                                      \
        return fp##F##_soft_to_fixed(pe, a, fbits, is_unsigned, width, rounding);              \
    }                                                                                          \
    static inline uint##F##_t fp##F##_from_fixed FP_FROM_FIXED                                 \
    {                                                                                          \
        int64_t n = is_unsigned || width == 64 ? (int64_t)value : (int32_t)value;              \
        const int64_t all = INT64_C(1) << FP_FORMAT_##F.frac;                                  \
        if (is_unsigned && width == 32)                                                        \
            n = (uint32_t)value;                                                               \
        if (SAE_LIKELY(FP_HOST_EXACT && fbits == 0 && n <= all && n >= -all                    \
                       && (n >= 0 || !is_unsigned)))                                           \
            return fp##F##_bits((type)n);                                                      \
        return fp##F##_soft_from_fixed(pe, value, fbits, is_unsigned, width, rounding);        \
    }
FP_EACH_HOST(FP_BY_HOST_EXACT)
#define fp16_compare fp16_soft_compare
#define fp16_to_fixed fp16_soft_to_fixed
#define fp16_from_fixed fp16_soft_from_fixed

#define FP_HOLDS(F, name, signal, ...)                                                         \
    static inline int fp##F##_##name FP_PATTERN_2(F)                                           \
    {                                                                                          \
        unsigned nzcv = fp##F##_compare(pe, a, b, signal);                                     \
        return __VA_ARGS__;                                                                    \
    }
#define FP_COMPARISONS(F)                                                                      \
    FP_HOLDS(F, eq, 0, nzcv == 6) FP_HOLDS(F, gt, 1, nzcv == 2)                                \
    FP_HOLDS(F, ge, 1, nzcv == 6 || nzcv == 2)
FP_EACH(FP_COMPARISONS)

/* --- between formats -------------------------------------------------------------------- */

#define FP_CONVERT(from, bits, name, format)                                                   \
    static __attribute__((noinline)) uint##bits##_t fp_##from##_to_##name(                     \
        pe_t *pe, uint##from##_t a, int rounding)                                              \
    {                                                                                          \
        fp_env_t env = fp_begin_convert(pe);                                                   \
        uint64_t result = fp_convert(&env, FP_FORMAT_##from, format, rounding, a);             \
        pe->fpsr |= env.fpsr;                                                                  \
        return (uint##bits##_t)result;                                                         \
    }
FP_CONVERT(16, 32, 32, FP_SINGLE)
FP_CONVERT(16, 64, 64, FP_DOUBLE)
FP_CONVERT(32, 16, 16, FP_HALF)
FP_CONVERT(32, 16, bf16, FP_BFLOAT)
FP_CONVERT(32, 64, soft_64, FP_DOUBLE)
FP_CONVERT(64, 16, 16, FP_HALF)
FP_CONVERT(64, 32, soft_32, FP_SINGLE)

static inline uint64_t fp_32_to_64(pe_t *pe, uint32_t a, int rounding)
{
    if (SAE_LIKELY(fp32_is_plain(a) || fp32_is_zero(a)))
        return fp64_bits(fp32_value(a));
    return fp_32_to_soft_64(pe, a, rounding);
}

static inline uint32_t fp_64_to_32(pe_t *pe, uint64_t a, int rounding)
{
    if (SAE_LIKELY(FP_HOST_MAY(pe, fp64_is_denormal(a)) && rounding == FP_TIEEVEN)) {
        float value = (float)fp64_value(a);
        uint32_t r = fp32_bits(value);
        if (SAE_LIKELY(fp32_is_plain(r) && ((pe->fpsr & FPSR_IXC) || value == fp64_value(a))))
            return r;
    }
    return fp_64_to_soft_32(pe, a, rounding);
}

#endif
