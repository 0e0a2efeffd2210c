/* Advanced SIMD on floating point: what OP_call does. Included by _emit_vector_fp.pyx alone.
 *
 * An operation's `ra` is how many elements of its registers are in use. Of a register it writes
 * the rest is zero, and elements not in use raise no exceptions.
 *
 * Source: Arm ARM (DDI 0487), C7.2 and J1.2; the functions of one element are in sae_fp.h. */
#ifndef SAE_VECTOR_FP_OPS_H
#define SAE_VECTOR_FP_OPS_H
#include "sae_pe.h"
#include "sae_fp.h"

#define E16(v, i) (v).h[LANE(i, 16)]
#define E32(v, i) (v).s[LANE(i, 32)]
#define E64(v, i) (v).d[LANE(i, 64)]

/* --- element by element ----------------------------------------------------------------- */

/* Element i of D and of N is d and n, element `at` of M is m; `value` is that of the result. */
#define VFP_LANES(name, bits, at, value)                                                       \
    static void vfp_##name##_##bits(pe_t *pe, const op_t *op)                                  \
    {                                                                                          \
        vreg_t result = { { 0, 0 } };                                                          \
        unsigned i;                                                                            \
        for (i = 0; i < op->ra; i++) {                                                         \
            uint##bits##_t d = E##bits(pe->v[op->rd], i), n = E##bits(pe->v[op->rn], i),       \
                           m = E##bits(pe->v[op->rm], at);                                     \
            (void)d, (void)m;                                                                  \
            E##bits(result, i) = (uint##bits##_t)(value);                                      \
        }                                                                                      \
        pe->v[op->rd] = result;                                                                \
    }
#define VFP_VECTOR(u, a, opcode, name, bits, value) VFP_LANES(name, bits, i, value)
#define VFP_BY_ELEMENT(u, opcode, name, bits, value)                                           \
    VFP_LANES(name##_element, bits, op->imm, value)

/* A list of operations for all sizes of elements; X is what each row becomes. */
#define VFP_SIZES(list, X) list(X, 16) list(X, 32) list(X, 64)

#define VFP_IF(condition) (0 - (uint64_t)(condition))
#define VFP_FMLA(bits) fp##bits##_fma(pe, d, n, m)
#define VFP_FMLS(bits) fp##bits##_fma(pe, d, fp##bits##_neg(n), m)
#define VFP_ABSOLUTE(bits, holds)                                                              \
    VFP_IF(fp##bits##_##holds(pe, fp##bits##_abs(n), fp##bits##_abs(m)))

/* Three registers: U, a, and the last three bits of the opcode. */
#define VFP_THREE(X, bits)                                                                     \
    X(0, 0, 0, fmaxnm, bits, fp##bits##_maxnm(pe, n, m))                                       \
    X(0, 0, 1, fmla, bits, VFP_FMLA(bits))                                                     \
    X(0, 0, 2, fadd, bits, fp##bits##_add(pe, n, m))                                           \
    X(0, 0, 3, fmulx, bits, fp##bits##_mulx(pe, n, m))                                         \
    X(0, 0, 4, fcmeq, bits, VFP_IF(fp##bits##_eq(pe, n, m)))                                   \
    X(0, 0, 6, fmax, bits, fp##bits##_max(pe, n, m))                                           \
    X(0, 0, 7, frecps, bits, fp##bits##_recps(pe, n, m))                                       \
    X(0, 1, 0, fminnm, bits, fp##bits##_minnm(pe, n, m))                                       \
    X(0, 1, 1, fmls, bits, VFP_FMLS(bits))                                                     \
    X(0, 1, 2, fsub, bits, fp##bits##_sub(pe, n, m))                                           \
    X(0, 1, 6, fmin, bits, fp##bits##_min(pe, n, m))                                           \
    X(0, 1, 7, frsqrts, bits, fp##bits##_rsqrts(pe, n, m))                                     \
    X(1, 0, 3, fmul, bits, fp##bits##_mul(pe, n, m))                                           \
    X(1, 0, 4, fcmge, bits, VFP_IF(fp##bits##_ge(pe, n, m)))                                   \
    X(1, 0, 5, facge, bits, VFP_ABSOLUTE(bits, ge))                                            \
    X(1, 0, 7, fdiv, bits, fp##bits##_div(pe, n, m))                                           \
    X(1, 1, 2, fabd, bits, fp##bits##_abs(fp##bits##_sub(pe, n, m)))                           \
    X(1, 1, 4, fcmgt, bits, VFP_IF(fp##bits##_gt(pe, n, m)))                                   \
    X(1, 1, 5, facgt, bits, VFP_ABSOLUTE(bits, gt))
VFP_SIZES(VFP_THREE, VFP_VECTOR)

/* By element, whose number is `imm`: U, and the first two bits of the opcode. */
#define VFP_ELEMENT(X, bits)                                                                   \
    X(0, 0, fmla, bits, VFP_FMLA(bits))                                                        \
    X(0, 1, fmls, bits, VFP_FMLS(bits))                                                        \
    X(0, 2, fmul, bits, fp##bits##_mul(pe, n, m))                                              \
    X(1, 2, fmulx, bits, fp##bits##_mulx(pe, n, m))
VFP_SIZES(VFP_ELEMENT, VFP_BY_ELEMENT)

/* Two registers. `imm` has the rounding mode in its first byte, in the second how many bits are a
 * fraction. */
#define VFP_TWO(name, bits, value) VFP_LANES(name, bits, i, value)
#define VFP_ROUNDING ((int)(op->imm & 0xFF))
#define VFP_FRACTION ((int)(op->imm >> 8))
#define VFP_TO_FIXED(bits, is_unsigned)                                                        \
    fp##bits##_to_fixed(pe, n, VFP_FRACTION, is_unsigned, bits, VFP_ROUNDING)
#define VFP_FROM_FIXED(bits, is_unsigned)                                                      \
    fp##bits##_from_fixed(pe, n, VFP_FRACTION, is_unsigned, bits, fp_rounding(pe))
#define VFP_TWO_ALL(bits)                                                                      \
    VFP_TWO(fcmgt_zero, bits, VFP_IF(fp##bits##_gt(pe, n, 0)))                                 \
    VFP_TWO(fcmge_zero, bits, VFP_IF(fp##bits##_ge(pe, n, 0)))                                 \
    VFP_TWO(fcmeq_zero, bits, VFP_IF(fp##bits##_eq(pe, n, 0)))                                 \
    VFP_TWO(fcmle_zero, bits, VFP_IF(fp##bits##_ge(pe, 0, n)))                                 \
    VFP_TWO(fcmlt_zero, bits, VFP_IF(fp##bits##_gt(pe, 0, n)))                                 \
    VFP_TWO(fsqrt, bits, fp##bits##_sqrt(pe, n))                                               \
    VFP_TWO(frint, bits, fp##bits##_round_int(pe, n, VFP_ROUNDING, 0))                         \
    VFP_TWO(frinti, bits, fp##bits##_round_int(pe, n, fp_rounding(pe), 0))                     \
    VFP_TWO(frintx, bits, fp##bits##_round_int(pe, n, fp_rounding(pe), 1))                     \
    VFP_TWO(fcvts, bits, VFP_TO_FIXED(bits, 0))                                                \
    VFP_TWO(fcvtu, bits, VFP_TO_FIXED(bits, 1))                                                \
    VFP_TWO(scvtf, bits, VFP_FROM_FIXED(bits, 0))                                              \
    VFP_TWO(ucvtf, bits, VFP_FROM_FIXED(bits, 1))                                              \
    VFP_TWO(frecpe, bits, fp##bits##_recpe(pe, n))                                             \
    VFP_TWO(frecpx, bits, fp##bits##_recpx(pe, n))                                             \
    VFP_TWO(frsqrte, bits, fp##bits##_rsqrte(pe, n))
VFP_TWO_ALL(16)
VFP_TWO_ALL(32)
VFP_TWO_ALL(64)
/* To integers of fewer bits. */
#define VFP_TWO_SMALL(bits)                                                                    \
    VFP_TWO(frint32z, bits, fp##bits##_round_int_n(pe, n, FP_ZERO_MODE, 32))                   \
    VFP_TWO(frint32x, bits, fp##bits##_round_int_n(pe, n, fp_rounding(pe), 32))                \
    VFP_TWO(frint64z, bits, fp##bits##_round_int_n(pe, n, FP_ZERO_MODE, 64))                   \
    VFP_TWO(frint64x, bits, fp##bits##_round_int_n(pe, n, fp_rounding(pe), 64))
VFP_TWO_SMALL(32)
VFP_TWO_SMALL(64)

/* FABS, FNEG: `imm` is the signs of one word of the register, `ra` whether both are used. */
#define VFP_SIGNS(name, operator)                                                              \
    static void vfp_##name(pe_t *pe, const op_t *op)                                           \
    {                                                                                          \
        const uint64_t *n = pe->v[op->rn].d;                                                   \
        uint64_t high = op->ra ? n[1] operator op->imm : 0;                                    \
        pe->v[op->rd].d[0] = n[0] operator op->imm;                                            \
        pe->v[op->rd].d[1] = high;                                                             \
    }
VFP_SIGNS(fabs, & ~)
VFP_SIGNS(fneg, ^)

/* --- elements of a register with each other --------------------------------------------- */

/* Pairs of N and then of M; for a scalar, the first one of N. */
#define VFP_PAIRWISE(name, bits)                                                               \
    static void vfp_##name##p_##bits(pe_t *pe, const op_t *op)                                 \
    {                                                                                          \
        vreg_t result = { { 0, 0 } };                                                          \
        unsigned i, half = (op->ra + 1u) / 2;                                                  \
        for (i = 0; i < op->ra; i++) {                                                         \
            const vreg_t *from = &pe->v[i < half ? op->rn : op->rm];                           \
            unsigned at = 2 * (i < half ? i : i - half);                                       \
            E##bits(result, i) = fp##bits##_##name(pe, E##bits(*from, at),                     \
                                                   E##bits(*from, at + 1));                    \
        }                                                                                      \
        pe->v[op->rd] = result;                                                                \
    }
#define VFP_PAIRWISE_ALL(bits)                                                                 \
    VFP_PAIRWISE(add, bits)                                                                    \
    VFP_PAIRWISE(max, bits)                                                                    \
    VFP_PAIRWISE(min, bits)                                                                    \
    VFP_PAIRWISE(maxnm, bits)                                                                  \
    VFP_PAIRWISE(minnm, bits)
VFP_PAIRWISE_ALL(16)
VFP_PAIRWISE_ALL(32)
VFP_PAIRWISE_ALL(64)

/* All of N, in pairs, and pairs of pairs. */
#define VFP_ACROSS(name, bits)                                                                 \
    static void vfp_##name##v_##bits(pe_t *pe, const op_t *op)                                 \
    {                                                                                          \
        vreg_t left = pe->v[op->rn], result = { { 0, 0 } };                                    \
        unsigned i, count;                                                                     \
        for (count = op->ra / 2u; count; count /= 2)                                           \
            for (i = 0; i < count; i++)                                                        \
                E##bits(left, i) = fp##bits##_##name(pe, E##bits(left, 2 * i),                 \
                                                     E##bits(left, 2 * i + 1));                \
        E##bits(result, 0) = E##bits(left, 0);                                                 \
        pe->v[op->rd] = result;                                                                \
    }
#define VFP_ACROSS_ALL(bits)                                                                   \
    VFP_ACROSS(max, bits)                                                                      \
    VFP_ACROSS(min, bits)                                                                      \
    VFP_ACROSS(maxnm, bits)                                                                    \
    VFP_ACROSS(minnm, bits)
VFP_ACROSS_ALL(16)
VFP_ACROSS_ALL(32)

/* --- to elements of another size -------------------------------------------------------- */

/* `imm` says which half of the register has the smaller elements. */
#define VFP_WIDEN(from, to)                                                                    \
    static void vfp_fcvtl_##to(pe_t *pe, const op_t *op)                                       \
    {                                                                                          \
        vreg_t result;                                                                         \
        unsigned i;                                                                            \
        for (i = 0; i < op->ra; i++)                                                           \
            E##to(result, i) = fp_##from##_to_##to(                                            \
                pe, E##from(pe->v[op->rn], op->imm * op->ra + i), fp_rounding(pe));            \
        pe->v[op->rd] = result;                                                                \
    }
VFP_WIDEN(16, 32)
VFP_WIDEN(32, 64)

#define VFP_NARROW(name, from, to, convert, rounding)                                          \
    static void vfp_##name##_##from(pe_t *pe, const op_t *op)                                  \
    {                                                                                          \
        vreg_t result = { { 0, 0 } };                                                          \
        unsigned i;                                                                            \
        for (i = 0; i < op->ra; i++)                                                           \
            E##to(result, i) = convert(pe, E##from(pe->v[op->rn], i), rounding);               \
        if (op->imm) {                                                                         \
            result.d[1] = result.d[0];                                                         \
            result.d[0] = pe->v[op->rd].d[0];                                                  \
        }                                                                                      \
        pe->v[op->rd] = result;                                                                \
    }
VFP_NARROW(fcvtn, 32, 16, fp_32_to_16, fp_rounding(pe))
VFP_NARROW(fcvtn, 64, 32, fp_64_to_32, fp_rounding(pe))
VFP_NARROW(fcvtxn, 64, 32, fp_64_to_32, FP_ODD)
VFP_NARROW(bfcvtn, 32, 16, fp_32_to_bf16, fp_rounding(pe))

/* --- products of halves (FHM), complex numbers (FCMA) ----------------------------------- */

/* A half as a single; a NaN stays as it is, signalling or not. */
static inline uint32_t vfp_widened(const pe_t *pe, uint32_t half)
{
    uint32_t sign = (half & 0x8000) << 16, frac = (half & 0x3FF) << 13;
    int exp = half >> 10 & 31, up;
    if (exp == 31)
        return sign | 0x7F800000 | frac;
    if (exp)
        return sign | ((uint32_t)(exp + 127 - 15) << 23 | frac);
    if (!frac || (pe->fpcr & FPCR_FZ16))
        return sign;
    up = __builtin_clz(frac) - 8;
    return sign | ((uint32_t)(127 - 14 - up) << 23 | (frac << up & 0x7FFFFF));
}

/* `imm` has the first element of N, and in its second byte the first or only one of M. */
#define VFP_LONG(name, sign, at)                                                               \
    static void vfp_##name(pe_t *pe, const op_t *op)                                           \
    {                                                                                          \
        vreg_t result = { { 0, 0 } };                                                          \
        unsigned i, first = op->imm & 0xFF, m = (unsigned)(op->imm >> 8);                      \
        for (i = 0; i < op->ra; i++)                                                           \
            E32(result, i) = fp32_fma(                                                         \
                pe, E32(pe->v[op->rd], i),                                                     \
                vfp_widened(pe, E16(pe->v[op->rn], first + i) ^ (sign)),                       \
                vfp_widened(pe, E16(pe->v[op->rm], at)));                                      \
        pe->v[op->rd] = result;                                                                \
    }
VFP_LONG(fmlal, 0, m + i)
VFP_LONG(fmlsl, 0x8000, m + i)
VFP_LONG(fmlal_element, 0, m)
VFP_LONG(fmlsl_element, 0x8000, m)

/* `imm`: the rotation, in quarters of a turn; that of FCADD is odd. */
#define VFP_FCADD(bits)                                                                        \
    static void vfp_fcadd_##bits(pe_t *pe, const op_t *op)                                     \
    {                                                                                          \
        vreg_t result = { { 0, 0 } }, m = pe->v[op->rm];                                       \
        unsigned i;                                                                            \
        for (i = 0; i < op->ra; i += 2) {                                                      \
            unsigned negated = i + (op->imm == 1);                                             \
            E##bits(m, negated) = fp##bits##_neg(E##bits(m, negated));                         \
            E##bits(result, i) =                                                               \
                fp##bits##_add(pe, E##bits(pe->v[op->rn], i), E##bits(m, i + 1));              \
            E##bits(result, i + 1) =                                                           \
                fp##bits##_add(pe, E##bits(pe->v[op->rn], i + 1), E##bits(m, i));              \
        }                                                                                      \
        pe->v[op->rd] = result;                                                                \
    }
VFP_FCADD(16)
VFP_FCADD(32)
VFP_FCADD(64)

/* The part of N the rotation chooses, times M; by element, the second byte of `imm` is the number
 * of M's first part. */
#define VFP_FCMLA(name, bits, at)                                                              \
    static void vfp_##name##_##bits(pe_t *pe, const op_t *op)                                  \
    {                                                                                          \
        vreg_t result = { { 0, 0 } };                                                          \
        unsigned i, j, rotation = op->imm & 3, odd = rotation & 1;                             \
        for (i = 0; i < op->ra; i += 2)                                                        \
            for (j = 0; j < 2; j++) {                                                          \
                uint##bits##_t m = E##bits(pe->v[op->rm], (at) + (j ^ odd));                   \
                if (j ? rotation >= 2 : rotation == 1 || rotation == 2)                        \
                    m = fp##bits##_neg(m);                                                     \
                E##bits(result, i + j) = fp##bits##_fma(pe, E##bits(pe->v[op->rd], i + j),     \
                                                        E##bits(pe->v[op->rn], i + odd), m);   \
            }                                                                                  \
        pe->v[op->rd] = result;                                                                \
    }
VFP_FCMLA(fcmla, 16, i)
VFP_FCMLA(fcmla, 32, i)
VFP_FCMLA(fcmla, 64, i)
VFP_FCMLA(fcmla_element, 16, op->imm >> 8)
VFP_FCMLA(fcmla_element, 32, op->imm >> 8)

/* --- products of bfloat16 --------------------------------------------------------------- */

/* BFDOT and BFMMLA round to odd, take denormals as zero both ways, have one NaN, tell of no
 * exceptions, and do not look at FPCR. What they add and multiply is exact as a double, or known
 * to be below or above the nearest one. */

static inline double vfp_bf_value(uint32_t single)
{
    return fp32_value(single & 0x7F800000 ? single : single & 0x80000000);
}

/* The sum `near + rest` as a single, `near` being what is nearest to it. */
static inline uint32_t vfp_bf_round(double near, double rest)
{
    uint64_t bits = fp64_bits(near), magnitude;
    uint32_t sign = (uint32_t)(bits >> 32) & 0x80000000;
    if (near != near)
        return 0x7FC00000;
    magnitude = bits << 1 >> 1;
    if (rest != 0 && !(magnitude & 1))
        magnitude += (rest > 0) == (near > 0) ? 1 : -1;
    if (magnitude < (uint64_t)(1023 - 126) << 52)
        return sign;
    if (magnitude >= (uint64_t)(1023 + 128) << 52)
        return sign | 0x7F800000;
    magnitude -= (uint64_t)(1023 - 127) << 52;
    return sign | (uint32_t)(magnitude >> 29) | ((magnitude & 0x1FFFFFFF) != 0);
}

static inline uint32_t vfp_bf_add(uint32_t a, uint32_t b)
{
    double x = vfp_bf_value(a), y = vfp_bf_value(b), sum = x + y, part = sum - x;
    return vfp_bf_round(sum, sum - sum != 0 ? 0 : (x - (sum - part)) + (y - part));
}

static inline uint32_t vfp_bf_mul(uint32_t a, uint32_t b)
{
    return vfp_bf_round(vfp_bf_value(a) * vfp_bf_value(b), 0);
}

/* What two pairs add. */
static inline uint32_t vfp_bf_dot(uint32_t sum, uint32_t n, uint32_t m)
{
    uint32_t low = vfp_bf_mul(n << 16, m << 16);
    return vfp_bf_add(sum, vfp_bf_add(low, vfp_bf_mul(n & 0xFFFF0000, m & 0xFFFF0000)));
}
VFP_LANES(bfdot, 32, i, vfp_bf_dot(d, n, m))
VFP_LANES(bfdot_element, 32, op->imm, vfp_bf_dot(d, n, m))

/* Rows of N times rows of M, two pairs each. */
static void vfp_bfmmla(pe_t *pe, const op_t *op)
{
    vreg_t result;
    const vreg_t *n = &pe->v[op->rn], *m = &pe->v[op->rm];
    unsigned i, pair;
    for (i = 0; i < 4; i++) {
        uint32_t sum = E32(pe->v[op->rd], i);
        for (pair = 0; pair < 2; pair++)
            sum = vfp_bf_dot(sum, E32(*n, (i & 2) + pair), E32(*m, 2 * (i & 1) + pair));
        E32(result, i) = sum;
    }
    pe->v[op->rd] = result;
}

/* BFMLALB, BFMLALT: `imm` is 0 or 1, with the number of the element in its second byte. */
#define VFP_BFMLAL(name, at)                                                                   \
    static void vfp_##name(pe_t *pe, const op_t *op)                                           \
    {                                                                                          \
        vreg_t result;                                                                         \
        unsigned i, top = op->imm & 0xFF;                                                      \
        for (i = 0; i < 4; i++)                                                                \
            E32(result, i) = fp32_fma(pe, E32(pe->v[op->rd], i),                               \
                                      (uint32_t)E16(pe->v[op->rn], 2 * i + top) << 16,         \
                                      (uint32_t)E16(pe->v[op->rm], at) << 16);                 \
        pe->v[op->rd] = result;                                                                \
    }
VFP_BFMLAL(bfmlal, 2 * i + top)
VFP_BFMLAL(bfmlal_element, op->imm >> 8)

/* --- whole registers, by the host ------------------------------------------------------- */

/* As in sae_fp.h, but all elements at once: if one is not plain, or may be the first inexact one,
 * they are done one by one. `doubt` has its highest bit set if the host may have been wrong. */
#define VFP_HOST(name, suffix, bits, at, result_type, value, doubt)                            \
    static void vfp_##name##_all##suffix##_##bits(pe_t *pe, const op_t *op)                    \
    {                                                                                          \
        const uint##bits##_t least = (uint##bits##_t)2 << FP_FORMAT_##bits.frac;               \
        const uint##bits##_t most = (uint##bits##_t)(fp_infinity(FP_FORMAT_##bits) - 1);       \
        uint##bits##_t wrong = 0;                                                              \
        vreg_t result;                                                                         \
        unsigned i;                                                                            \
        for (i = 0; i < 128 / bits; i++) {                                                     \
            vfp_host_##bits##_t d = fp##bits##_value(E##bits(pe->v[op->rd], i)),               \
                                n = fp##bits##_value(E##bits(pe->v[op->rn], i)),               \
                                m = fp##bits##_value(E##bits(pe->v[op->rm], at));              \
            result_type r = (value);                                                           \
            uint##bits##_t out = fp##bits##_bits((vfp_host_##bits##_t)r);                      \
            uint##bits##_t magnitude = out << 1 >> 1;                                          \
            (void)d;                                                                           \
            wrong |= (magnitude - least) | (most - magnitude) | (doubt);                       \
            E##bits(result, i) = out;                                                          \
        }                                                                                      \
        if (SAE_LIKELY(FP_HOST_MAY(pe, 1) && (pe->fpsr & FPSR_IXC)                             \
                       && !(wrong >> (bits - 1))))                                             \
            pe->v[op->rd] = result;                                                            \
        else                                                                                   \
            vfp_##name##suffix##_##bits(pe, op);                                               \
    }
typedef float vfp_host_32_t;
typedef double vfp_host_64_t;
#define VFP_HOST_SIMPLE(name, suffix, bits, at, value)                                         \
    VFP_HOST(name, suffix, bits, at, vfp_host_##bits##_t, value, 0)
/* As fp32_fma: sums as doubles, in doubt when they are halfway between two floats. */
#define VFP_HOST_FUSED(name, suffix, at, sign)                                                 \
    VFP_HOST(name, suffix, 32, at, double, (double)(sign n) * (double)m + (double)d,           \
             (uint32_t)((fp64_bits(r) & 0x1FFFFFFF) ^ 0x10000000) - 1)
#define VFP_HOST_ALL(bits)                                                                     \
    VFP_HOST_SIMPLE(fadd, , bits, i, n + m)                                                    \
    VFP_HOST_SIMPLE(fsub, , bits, i, n - m)                                                    \
    VFP_HOST_SIMPLE(fmul, , bits, i, n * m)                                                    \
    VFP_HOST_SIMPLE(fmul, _element, bits, op->imm, n * m)                                      \
    VFP_HOST_SIMPLE(fdiv, , bits, i, n / m)
VFP_HOST_ALL(32)
VFP_HOST_ALL(64)
VFP_HOST_FUSED(fmla, , i, +)
VFP_HOST_FUSED(fmls, , i, -)
VFP_HOST_FUSED(fmla, _element, op->imm, +)
VFP_HOST_FUSED(fmls, _element, op->imm, -)

/* --- which function does it ------------------------------------------------------------- */

/* By size of element (half, single, double) and what VFP_THREE says; where there is none, NULL.
 * Pairs have opcodes of their own. */
#define VFP_THREE_AT(u, a, opcode, name, bits, value)                                          \
    [(u) << 4 | (a) << 3 | (opcode)] = vfp_##name##_##bits,
#define VFP_THREE_ROW(bits)                                                                    \
    {                                                                                          \
        VFP_THREE(VFP_THREE_AT, bits)                                                          \
        VFP_THREE_AT(1, 0, 0, maxnmp, bits, )                                                  \
        VFP_THREE_AT(1, 0, 2, addp, bits, )                                                    \
        VFP_THREE_AT(1, 0, 6, maxp, bits, )                                                    \
        VFP_THREE_AT(1, 1, 0, minnmp, bits, )                                                  \
        VFP_THREE_AT(1, 1, 6, minp, bits, )                                                    \
    }
static op_fn *const vfp_three[3][32] = { VFP_THREE_ROW(16), VFP_THREE_ROW(32), VFP_THREE_ROW(64) };

/* The same by VFP_ELEMENT. */
#define VFP_ELEMENT_AT(u, opcode, name, bits, value)                                           \
    [(u) << 2 | (opcode)] = vfp_##name##_element_##bits,
static op_fn *const vfp_element[3][8] = { { VFP_ELEMENT(VFP_ELEMENT_AT, 16) },
                                          { VFP_ELEMENT(VFP_ELEMENT_AT, 32) },
                                          { VFP_ELEMENT(VFP_ELEMENT_AT, 64) } };

/* Both for whole registers of single and double, where the host does all at once. */
#define VFP_THREE_ALL(bits)                                                                    \
    VFP_THREE_AT(0, 0, 2, fadd_all, bits, )                                                    \
    VFP_THREE_AT(0, 1, 2, fsub_all, bits, )                                                    \
    VFP_THREE_AT(1, 0, 3, fmul_all, bits, )                                                    \
    VFP_THREE_AT(1, 0, 7, fdiv_all, bits, )
static op_fn *const vfp_three_all[2][32] = {
    { VFP_THREE_ALL(32) VFP_THREE_AT(0, 0, 1, fmla_all, 32, )
      VFP_THREE_AT(0, 1, 1, fmls_all, 32, ) },
    { VFP_THREE_ALL(64) },
};
static op_fn *const vfp_element_all[2][8] = {
    { VFP_ELEMENT_AT(0, 0, fmla_all, 32, ) VFP_ELEMENT_AT(0, 1, fmls_all, 32, )
      VFP_ELEMENT_AT(0, 2, fmul_all, 32, ) },
    { VFP_ELEMENT_AT(0, 2, fmul_all, 64, ) },
};

/* By U, a, and the opcode: bit 4 and the last three. */
#define VFP_TWO_AT(u, a, opcode, name, bits)                                                   \
    [(u) << 5 | (a) << 4 | ((opcode) >> 1 & 8) | ((opcode) & 7)] = vfp_##name##_##bits,
#define VFP_TWO_ROW(bits)                                                                      \
    VFP_TWO_AT(0, 0, 0x18, frint, bits)                                                        \
    VFP_TWO_AT(0, 0, 0x19, frint, bits)                                                        \
    VFP_TWO_AT(0, 0, 0x1A, fcvts, bits)                                                        \
    VFP_TWO_AT(0, 0, 0x1B, fcvts, bits)                                                        \
    VFP_TWO_AT(0, 0, 0x1C, fcvts, bits)                                                        \
    VFP_TWO_AT(0, 0, 0x1D, scvtf, bits)                                                        \
    VFP_TWO_AT(0, 1, 0x0C, fcmgt_zero, bits)                                                   \
    VFP_TWO_AT(0, 1, 0x0D, fcmeq_zero, bits)                                                   \
    VFP_TWO_AT(0, 1, 0x0E, fcmlt_zero, bits)                                                   \
    VFP_TWO_AT(0, 1, 0x18, frint, bits)                                                        \
    VFP_TWO_AT(0, 1, 0x19, frint, bits)                                                        \
    VFP_TWO_AT(0, 1, 0x1A, fcvts, bits)                                                        \
    VFP_TWO_AT(0, 1, 0x1B, fcvts, bits)                                                        \
    VFP_TWO_AT(0, 1, 0x1D, frecpe, bits)                                                       \
    VFP_TWO_AT(0, 1, 0x1F, frecpx, bits)                                                       \
    VFP_TWO_AT(1, 0, 0x18, frint, bits)                                                        \
    VFP_TWO_AT(1, 0, 0x19, frintx, bits)                                                       \
    VFP_TWO_AT(1, 0, 0x1A, fcvtu, bits)                                                        \
    VFP_TWO_AT(1, 0, 0x1B, fcvtu, bits)                                                        \
    VFP_TWO_AT(1, 0, 0x1C, fcvtu, bits)                                                        \
    VFP_TWO_AT(1, 0, 0x1D, ucvtf, bits)                                                        \
    VFP_TWO_AT(1, 1, 0x0C, fcmge_zero, bits)                                                   \
    VFP_TWO_AT(1, 1, 0x0D, fcmle_zero, bits)                                                   \
    VFP_TWO_AT(1, 1, 0x19, frinti, bits)                                                       \
    VFP_TWO_AT(1, 1, 0x1A, fcvtu, bits)                                                        \
    VFP_TWO_AT(1, 1, 0x1B, fcvtu, bits)                                                        \
    VFP_TWO_AT(1, 1, 0x1D, frsqrte, bits)                                                      \
    VFP_TWO_AT(1, 1, 0x1F, fsqrt, bits)
#define VFP_SMALL_ROW(bits)                                                                    \
    VFP_TWO_AT(0, 0, 0x1E, frint32z, bits)                                                     \
    VFP_TWO_AT(0, 0, 0x1F, frint64z, bits)                                                     \
    VFP_TWO_AT(1, 0, 0x1E, frint32x, bits)                                                     \
    VFP_TWO_AT(1, 0, 0x1F, frint64x, bits)
static op_fn *const vfp_two[3][64] = { { VFP_TWO_ROW(16) },
                                       { VFP_TWO_ROW(32) VFP_SMALL_ROW(32) },
                                       { VFP_TWO_ROW(64) VFP_SMALL_ROW(64) } };

/* By half or single, a, and bit 1 of the opcode. */
static op_fn *const vfp_across[2][4] = {
    { vfp_maxnmv_16, vfp_maxv_16, vfp_minnmv_16, vfp_minv_16 },
    { vfp_maxnmv_32, vfp_maxv_32, vfp_minnmv_32, vfp_minv_32 },
};
/* By U, a, Z, and bit 0 of the opcode. */
static op_fn *const vfp_resize[16] = {
    [0] = vfp_fcvtn_32,  [1] = vfp_fcvtl_32,  [2] = vfp_fcvtn_64,
    [3] = vfp_fcvtl_64,  [4] = vfp_bfcvtn_32, [10] = vfp_fcvtxn_64,
};
/* By whether it is by element, and whether it subtracts. */
static op_fn *const vfp_long[2][2] = { { vfp_fmlal, vfp_fmlsl },
                                       { vfp_fmlal_element, vfp_fmlsl_element } };
/* By size of element. */
static op_fn *const vfp_fcadd[3] = { vfp_fcadd_16, vfp_fcadd_32, vfp_fcadd_64 };
static op_fn *const vfp_fcmla[3] = { vfp_fcmla_16, vfp_fcmla_32, vfp_fcmla_64 };
static op_fn *const vfp_fcmla_element[2] = { vfp_fcmla_element_16, vfp_fcmla_element_32 };

#endif
