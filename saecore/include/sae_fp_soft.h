/* Floating point of every format in integer arithmetic: exact, slow. What is quick is in sae_fp.h.
 *
 * One function does an operation for all formats. They are inlined where the format is a constant,
 * so each format has code of its own in the end.
 *
 * Source: Arm ARM (DDI 0487), J1.3 shared/functions/float: FPUnpack, FPRound, FPProcessNaNs and
 * the functions of the operations; IEEE 754. */
#ifndef SAE_FP_SOFT_H
#define SAE_FP_SOFT_H
#include <stdint.h>

#define FP_INLINE static inline __attribute__((always_inline))

#define FPSR_IOC (UINT64_C(1) << 0)     /* invalid operation */
#define FPSR_DZC (UINT64_C(1) << 1)     /* division by zero */
#define FPSR_OFC (UINT64_C(1) << 2)     /* overflow */
#define FPSR_UFC (UINT64_C(1) << 3)     /* underflow */
#define FPSR_IXC (UINT64_C(1) << 4)     /* inexact */
#define FPSR_IDC (UINT64_C(1) << 7)     /* a denormal operand was taken as zero */
#define FPSR_QC (UINT64_C(1) << 27)     /* saturated */
#define FPCR_FZ16 (UINT64_C(1) << 19)   /* flush to zero, half precision */
#define FPCR_RMODE (UINT64_C(3) << 22)  /* rounding mode */
#define FPCR_FZ (UINT64_C(1) << 24)     /* flush to zero, the other formats */
#define FPCR_DN (UINT64_C(1) << 25)     /* every NaN is the default one */
#define FPCR_AHP (UINT64_C(1) << 26)    /* halves have no infinities and NaNs, when converted */

/* Rounding: the modes of FPCR.RMode, and those only instructions ask for. (<math.h> has an
 * FP_ZERO of its own.) */
enum {
    FP_TIEEVEN,
    FP_POSINF,
    FP_NEGINF,
    FP_ZERO_MODE,
    FP_TIEAWAY,
    FP_ODD,
};

typedef unsigned __int128 fp_wide_t;

/* A format: how many bits it has, and how many of them are the fraction. */
typedef struct {
    unsigned bits, frac;
} fp_format_t;
#define FP_HALF ((fp_format_t){ 16, 10 })
#define FP_SINGLE ((fp_format_t){ 32, 23 })
#define FP_DOUBLE ((fp_format_t){ 64, 52 })
#define FP_BFLOAT ((fp_format_t){ 16, 7 })

/* What an operation goes by, and the exceptions it finds. */
typedef struct {
    uint64_t fpcr, fpsr;
} fp_env_t;

/* Kinds in the order in which an operand decides what the result is. */
enum {
    FP_IS_ZERO,
    FP_IS_FINITE,
    FP_IS_INFINITE,
    FP_IS_QUIET,
    FP_IS_SIGNALLING,
};

/* A number taken apart. A finite one is sig * 2^exp, sig having its highest bit set. */
typedef struct {
    int kind, sign, exp;
    uint64_t sig, bits;
} fp_number_t;

/* --- parts of a format ------------------------------------------------------------------ */

FP_INLINE int fp_top_exp(fp_format_t f) { return (1 << (f.bits - 1 - f.frac)) - 1; }
FP_INLINE int fp_bias(fp_format_t f) { return fp_top_exp(f) >> 1; }
FP_INLINE uint64_t fp_sign_bit(fp_format_t f) { return UINT64_C(1) << (f.bits - 1); }
FP_INLINE uint64_t fp_infinity(fp_format_t f) { return (uint64_t)fp_top_exp(f) << f.frac; }
FP_INLINE uint64_t fp_quiet_bit(fp_format_t f) { return UINT64_C(1) << (f.frac - 1); }
FP_INLINE uint64_t fp_default_nan(fp_format_t f) { return fp_infinity(f) | fp_quiet_bit(f); }
FP_INLINE uint64_t fp_signed(fp_format_t f, int sign, uint64_t magnitude)
{
    return (uint64_t)sign << (f.bits - 1) | magnitude;
}
/* 2^power, or 1.5 * 2^power. */
FP_INLINE uint64_t fp_power(fp_format_t f, int power, int and_half)
{
    return ((uint64_t)(fp_bias(f) + power) << f.frac) + (and_half ? fp_quiet_bit(f) : 0);
}
FP_INLINE uint64_t fp_magnitude(fp_format_t f, uint64_t a) { return a & (fp_sign_bit(f) - 1); }
FP_INLINE int fp_is_nan(fp_format_t f, uint64_t a) { return fp_magnitude(f, a) > fp_infinity(f); }

FP_INLINE int fp_flushes(const fp_env_t *env, fp_format_t f)
{
    return (env->fpcr & (f.frac == FP_HALF.frac ? FPCR_FZ16 : FPCR_FZ)) != 0;
}
FP_INLINE int fp_mode(const fp_env_t *env) { return (int)((env->fpcr & FPCR_RMODE) >> 22); }
FP_INLINE int fp_alternative(const fp_env_t *env, fp_format_t f)
{
    return f.frac == FP_HALF.frac && (env->fpcr & FPCR_AHP);
}

/* --- taking apart, and rounding --------------------------------------------------------- */

/* A denormal operand is zero in flush-to-zero mode; only halves do not tell. */
FP_INLINE uint64_t fp_flushed(fp_env_t *env, fp_format_t f, uint64_t a)
{
    uint64_t magnitude = fp_magnitude(f, a);
    if (!fp_flushes(env, f) || magnitude == 0 || magnitude >> f.frac)
        return a;
    if (f.frac != FP_HALF.frac)
        env->fpsr |= FPSR_IDC;
    return a & fp_sign_bit(f);
}

FP_INLINE fp_number_t fp_unpack(fp_env_t *env, fp_format_t f, uint64_t a)
{
    fp_number_t n = { .kind = FP_IS_FINITE };
    uint64_t frac;
    unsigned zeros;
    n.bits = a = fp_flushed(env, f, a);
    n.sign = (int)(a >> (f.bits - 1) & 1);
    n.exp = (int)(a >> f.frac) & fp_top_exp(f);
    frac = a & ((UINT64_C(1) << f.frac) - 1);
    if (n.exp == fp_top_exp(f) && !fp_alternative(env, f)) {
        n.kind = !frac ? FP_IS_INFINITE : a & fp_quiet_bit(f) ? FP_IS_QUIET : FP_IS_SIGNALLING;
    } else if (n.exp) {
        n.sig = UINT64_C(1) << 63 | frac << (63 - f.frac);
        n.exp -= fp_bias(f) + 63;
    } else if (frac) {
        zeros = (unsigned)__builtin_clzll(frac);
        n.sig = frac << zeros;
        n.exp = 1 - fp_bias(f) - (int)f.frac - (int)zeros;
    } else {
        n.kind = FP_IS_ZERO;
    }
    return n;
}

FP_INLINE uint64_t fp_invalid(fp_env_t *env, fp_format_t f)
{
    env->fpsr |= FPSR_IOC;
    return fp_default_nan(f);
}

/* The result of an operation on a NaN. */
FP_INLINE uint64_t fp_quieted(fp_env_t *env, fp_format_t f, const fp_number_t *a)
{
    if (a->kind == FP_IS_SIGNALLING)
        env->fpsr |= FPSR_IOC;
    return env->fpcr & FPCR_DN ? fp_default_nan(f) : a->bits | fp_quiet_bit(f);
}

/* The operand that decides if one is a NaN: the first signalling one, or the first. */
FP_INLINE const fp_number_t *fp_first_nan(const fp_number_t *a, const fp_number_t *b)
{
    return b->kind > a->kind ? b : a;
}

/* Is the number rounded away from zero? `rest` is what is lost, 2^63 being half of a unit. */
FP_INLINE int fp_rounds_up(int rounding, int sign, int odd, uint64_t rest)
{
    const uint64_t half = UINT64_C(1) << 63;
    switch (rounding) {
    case FP_TIEEVEN: return rest > half || (rest == half && odd);
    case FP_TIEAWAY: return rest >= half;
    case FP_POSINF: return rest != 0 && !sign;
    case FP_NEGINF: return rest != 0 && sign;
    default: return 0;
    }
}

/* sig * 2^exp in the format. sig is not zero, and its last bit is set if anything was lost. */
FP_INLINE uint64_t fp_round(fp_env_t *env, fp_format_t f, int rounding, int sign, int exp,
                            fp_wide_t sig)
{
    uint64_t high = (uint64_t)(sig >> 64), top = (uint64_t)sig, kept, rest;
    int biased, drop = 63 - (int)f.frac, zeros, inexact, to_infinity;
    if (high) {
        zeros = __builtin_clzll(high);
        sig <<= zeros;
        top = (uint64_t)(sig >> 64) | ((uint64_t)sig != 0);
        exp += 64 - zeros;
    } else {
        zeros = __builtin_clzll(top);
        top <<= zeros;
        exp -= zeros;
    }
    biased = exp + 63 + fp_bias(f);
    if (biased < 1) {
        /* Flushing goes by the value before it is rounded, and does not count as inexact. */
        if (fp_flushes(env, f)) {
            env->fpsr |= FPSR_UFC;
            return fp_signed(f, sign, 0);
        }
        drop += 1 - biased;
        biased = 0;
    }
    if (drop < 64) {
        kept = top >> drop;
        rest = top << (64 - drop);
    } else {
        kept = 0;
        rest = drop == 64 ? top : 1;
    }
    inexact = rest != 0;
    if (!biased && inexact)
        env->fpsr |= FPSR_UFC;
    kept += (uint64_t)fp_rounds_up(rounding, sign, kept & 1, rest);
    if (rounding == FP_ODD)
        kept |= (uint64_t)inexact;
    /* The bit above the fraction, and a carry of the rounding, add to the exponent. */
    if (biased)
        kept += (uint64_t)(biased - 1) << f.frac;
    if (fp_alternative(env, f)) {
        if (kept >= fp_sign_bit(f)) {
            env->fpsr |= FPSR_IOC;
            return fp_signed(f, sign, fp_sign_bit(f) - 1);
        }
    } else if (kept >= fp_infinity(f)) {
        env->fpsr |= FPSR_OFC | FPSR_IXC;
        to_infinity = rounding == FP_TIEEVEN || rounding == FP_TIEAWAY
                      || rounding == (sign ? FP_NEGINF : FP_POSINF);
        return fp_signed(f, sign, fp_infinity(f) - !to_infinity);
    }
    if (inexact)
        env->fpsr |= FPSR_IXC;
    return fp_signed(f, sign, kept);
}

/* --- arithmetic ------------------------------------------------------------------------- */

/* v / 2^n, the last bit set if anything was lost. */
FP_INLINE fp_wide_t fp_jam(fp_wide_t v, int n)
{
    if (n == 0)
        return v;
    if (n > 127)
        return v != 0;
    return v >> n | (v << (128 - n) != 0);
}

/* a + b, each sig * 2^exp with a sign, sig below 2^127, and at least 16 zeros below what it
 * holds; the sum times 2^scale. */
FP_INLINE uint64_t fp_sum(fp_env_t *env, fp_format_t f, int scale, int sign_a, int exp_a,
                          fp_wide_t a, int sign_b, int exp_b, fp_wide_t b)
{
    int rounding = fp_mode(env);
    if (a == 0)
        exp_a = exp_b;
    if (b == 0)
        exp_b = exp_a;
    if (exp_a < exp_b) {
        a = fp_jam(a, exp_b - exp_a);
        exp_a = exp_b;
    } else {
        b = fp_jam(b, exp_a - exp_b);
    }
    if (sign_a == sign_b) {
        a += b;
    } else if (a >= b) {
        a -= b;
    } else {
        a = b - a;
        sign_a = sign_b;
    }
    if (a == 0)
        return fp_signed(f, sign_a == sign_b ? sign_a : rounding == FP_NEGINF, 0);
    return fp_round(env, f, rounding, sign_a, exp_a + scale, a);
}

FP_INLINE uint64_t fp_add(fp_env_t *env, fp_format_t f, uint64_t bits_a, uint64_t bits_b)
{
    fp_number_t a = fp_unpack(env, f, bits_a), b = fp_unpack(env, f, bits_b);
    const fp_number_t *nan = fp_first_nan(&a, &b);
    if (nan->kind >= FP_IS_QUIET)
        return fp_quieted(env, f, nan);
    if (nan->kind == FP_IS_INFINITE) {
        if (a.kind == b.kind && a.sign != b.sign)
            return fp_invalid(env, f);
        return nan->bits;
    }
    return fp_sum(env, f, 0, a.sign, a.exp - 63, (fp_wide_t)a.sig << 63, b.sign, b.exp - 63,
                  (fp_wide_t)b.sig << 63);
}

FP_INLINE uint64_t fp_negated(fp_format_t f, uint64_t a) { return a ^ fp_sign_bit(f); }

/* A NaN is not negated before it is the result. */
FP_INLINE uint64_t fp_sub(fp_env_t *env, fp_format_t f, uint64_t a, uint64_t b)
{
    return fp_add(env, f, a, fp_is_nan(f, b) ? b : fp_negated(f, b));
}

FP_INLINE int fp_zero_times_infinity(const fp_number_t *a, const fp_number_t *b)
{
    return (a->kind == FP_IS_ZERO && b->kind == FP_IS_INFINITE)
           || (a->kind == FP_IS_INFINITE && b->kind == FP_IS_ZERO);
}

/* `extended`: zero times infinity is 2 (FMULX). */
FP_INLINE uint64_t fp_mul(fp_env_t *env, fp_format_t f, int extended, uint64_t bits_a,
                          uint64_t bits_b)
{
    fp_number_t a = fp_unpack(env, f, bits_a), b = fp_unpack(env, f, bits_b);
    const fp_number_t *nan = fp_first_nan(&a, &b);
    int sign = a.sign ^ b.sign;
    if (nan->kind >= FP_IS_QUIET)
        return fp_quieted(env, f, nan);
    if (fp_zero_times_infinity(&a, &b))
        return extended ? fp_signed(f, sign, fp_power(f, 1, 0)) : fp_invalid(env, f);
    if (nan->kind == FP_IS_INFINITE)
        return fp_signed(f, sign, fp_infinity(f));
    if (a.kind == FP_IS_ZERO || b.kind == FP_IS_ZERO)
        return fp_signed(f, sign, 0);
    return fp_round(env, f, fp_mode(env), sign, a.exp + b.exp, (fp_wide_t)a.sig * b.sig);
}

FP_INLINE uint64_t fp_div(fp_env_t *env, fp_format_t f, uint64_t bits_a, uint64_t bits_b)
{
    fp_number_t a = fp_unpack(env, f, bits_a), b = fp_unpack(env, f, bits_b);
    const fp_number_t *nan = fp_first_nan(&a, &b);
    int sign = a.sign ^ b.sign;
    fp_wide_t high, quotient;
    if (nan->kind >= FP_IS_QUIET)
        return fp_quieted(env, f, nan);
    if (a.kind == b.kind && a.kind != FP_IS_FINITE)
        return fp_invalid(env, f);
    if (a.kind == FP_IS_INFINITE || b.kind == FP_IS_ZERO) {
        if (a.kind == FP_IS_FINITE)
            env->fpsr |= FPSR_DZC;
        return fp_signed(f, sign, fp_infinity(f));
    }
    if (a.kind == FP_IS_ZERO || b.kind == FP_IS_INFINITE)
        return fp_signed(f, sign, 0);
    high = (fp_wide_t)a.sig << 62;
    quotient = high / b.sig;
    return fp_round(env, f, fp_mode(env), sign, a.exp - b.exp - 63,
                    quotient << 1 | (quotient * b.sig != high));
}

FP_INLINE uint64_t fp_sqrt(fp_env_t *env, fp_format_t f, uint64_t bits)
{
    fp_number_t a = fp_unpack(env, f, bits);
    fp_wide_t rest, root = 0, bit = (fp_wide_t)1 << 126;
    if (a.kind >= FP_IS_QUIET)
        return fp_quieted(env, f, &a);
    if (a.kind == FP_IS_ZERO)
        return a.bits;
    if (a.sign)
        return fp_invalid(env, f);
    if (a.kind == FP_IS_INFINITE)
        return a.bits;
    /* Of an even power of two. */
    rest = (fp_wide_t)a.sig << 62;
    a.exp -= 62;
    if (a.exp & 1) {
        rest <<= 1;
        a.exp -= 1;
    }
    /* A bit of the root at a time. */
    for (; bit; bit >>= 2) {
        if (rest >= root + bit) {
            rest -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return fp_round(env, f, fp_mode(env), 0, a.exp / 2 - 1, root << 1 | (rest != 0));
}

/* addend + a * b, rounded once, times 2^scale: of numbers that are not NaNs, and not of zero times
 * infinity. */
FP_INLINE uint64_t fp_mul_sum(fp_env_t *env, fp_format_t f, int scale, const fp_number_t *addend,
                              const fp_number_t *a, const fp_number_t *b)
{
    int sign = a->sign ^ b->sign;
    int infinite = a->kind == FP_IS_INFINITE || b->kind == FP_IS_INFINITE;
    if (addend->kind == FP_IS_INFINITE) {
        if (infinite && sign != addend->sign)
            return fp_invalid(env, f);
        return addend->bits;
    }
    if (infinite)
        return fp_signed(f, sign, fp_infinity(f));
    return fp_sum(env, f, scale, addend->sign, addend->exp - 62, (fp_wide_t)addend->sig << 62,
                  sign, a->exp + b->exp + 1, (fp_wide_t)a->sig * b->sig >> 1);
}

FP_INLINE uint64_t fp_fma(fp_env_t *env, fp_format_t f, uint64_t bits_c, uint64_t bits_a,
                          uint64_t bits_b)
{
    fp_number_t c = fp_unpack(env, f, bits_c), a = fp_unpack(env, f, bits_a),
                b = fp_unpack(env, f, bits_b);
    const fp_number_t *first = fp_first_nan(&c, &a), *nan = fp_first_nan(first, &b);
    /* Invalid even if the addend is a NaN, unless a signalling one decides. */
    if (fp_zero_times_infinity(&a, &b) && c.kind != FP_IS_SIGNALLING)
        return fp_invalid(env, f);
    if (nan->kind >= FP_IS_QUIET)
        return fp_quieted(env, f, nan);
    return fp_mul_sum(env, f, 0, &c, &a, &b);
}

/* --- comparing -------------------------------------------------------------------------- */

/* Numbers in their order, -0 just before +0. */
FP_INLINE int64_t fp_key(fp_format_t f, uint64_t a)
{
    int64_t key = (int64_t)(a << (64 - f.bits));
    return key < 0 ? key ^ INT64_MAX : key;
}

/* NZCV. `signal`: a quiet NaN is invalid, too. */
FP_INLINE unsigned fp_compare(fp_env_t *env, fp_format_t f, int signal, uint64_t a, uint64_t b)
{
    a = fp_flushed(env, f, a);
    b = fp_flushed(env, f, b);
    if (fp_is_nan(f, a) || fp_is_nan(f, b)) {
        if (signal || (fp_is_nan(f, a) && !(a & fp_quiet_bit(f)))
            || (fp_is_nan(f, b) && !(b & fp_quiet_bit(f))))
            env->fpsr |= FPSR_IOC;
        return 3;
    }
    if (a == b || fp_magnitude(f, a | b) == 0)
        return 6;
    return fp_key(f, a) < fp_key(f, b) ? 8 : 2;
}

/* The larger or smaller one, +0 being larger than -0. */
FP_INLINE uint64_t fp_choose(fp_env_t *env, fp_format_t f, int larger, uint64_t a, uint64_t b)
{
    a = fp_flushed(env, f, a);
    b = fp_flushed(env, f, b);
    if (fp_is_nan(f, a) || fp_is_nan(f, b)) {
        fp_number_t first = fp_unpack(env, f, a), second = fp_unpack(env, f, b);
        return fp_quieted(env, f, fp_first_nan(&first, &second));
    }
    return (fp_key(f, a) > fp_key(f, b)) == larger ? a : b;
}

/* The same, but one quiet NaN gives way to a number. */
FP_INLINE uint64_t fp_choose_number(fp_env_t *env, fp_format_t f, int larger, uint64_t a,
                                    uint64_t b)
{
    uint64_t last = fp_signed(f, larger, fp_infinity(f));
    int quiet_a = fp_is_nan(f, a) && (a & fp_quiet_bit(f));
    int quiet_b = fp_is_nan(f, b) && (b & fp_quiet_bit(f));
    if (quiet_a != quiet_b) {
        a = quiet_a ? last : a;
        b = quiet_b ? last : b;
    }
    return fp_choose(env, f, larger, a, b);
}

#endif
