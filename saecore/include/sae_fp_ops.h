/* Scalar floating point: the functions that do the instructions (op_fn), and the tables their
 * emitter takes them from. Included by saecore/a64/_emit_fp.pyx alone.
 *
 * Formats are in the order of the ftype field: single, double, none, half.
 *
 * Source: Arm ARM (DDI 0487), C7.2. */
#ifndef SAE_FP_OPS_H
#define SAE_FP_OPS_H
#include "sae_flags.h"
#include "sae_fp.h"

#define FP_OP(F, name, ...)                                                                    \
    static void fp##F##_op_##name(pe_t *pe, const op_t *op) { __VA_ARGS__; }
enum { FP_TYPES = 4 };
#define FP_BY_TYPE(X) { X(32), X(64), { 0 }, X(16) }

#define FP_REG(F, number) ((uint##F##_t)pe->v[number].d[0])
#define FP_N(F) FP_REG(F, op->rn)
#define FP_M(F) FP_REG(F, op->rm)
#define FP_A(F) FP_REG(F, op->ra)

/* What writes a scalar clears the rest of the register. */
static inline void fp_write(pe_t *pe, const op_t *op, uint64_t value)
{
    pe->v[op->rd].d[0] = value;
    pe->v[op->rd].d[1] = 0;
}

/* --- two and three operands ------------------------------------------------------------- */

#define FP_TWO(F, name) FP_OP(F, name, fp_write(pe, op, fp##F##_##name(pe, FP_N(F), FP_M(F))))
#define FP_TWO_ALL(F)                                                                          \
    FP_TWO(F, mul) FP_TWO(F, div) FP_TWO(F, add) FP_TWO(F, sub) FP_TWO(F, max)                 \
    FP_TWO(F, min) FP_TWO(F, maxnm) FP_TWO(F, minnm) FP_TWO(F, nmul)
FP_EACH(FP_TWO_ALL)

#define FP_TWO_ROW(F)                                                                          \
    { fp##F##_op_mul, fp##F##_op_div, fp##F##_op_add, fp##F##_op_sub, fp##F##_op_max,          \
      fp##F##_op_min, fp##F##_op_maxnm, fp##F##_op_minnm, fp##F##_op_nmul }
/* By ftype and opcode. */
static op_fn *const fp_two_source[FP_TYPES][9] = FP_BY_TYPE(FP_TWO_ROW);

/* The product or the addend is negated, NaNs too. */
#define FP_THREE(F, name, addend, n)                                                           \
    FP_OP(F, name, fp_write(pe, op, fp##F##_fma(pe, addend(F), n(F), FP_M(F))))
#define FP_N_NEG(F) fp##F##_neg(FP_N(F))
#define FP_A_NEG(F) fp##F##_neg(FP_A(F))
#define FP_THREE_ALL(F)                                                                        \
    FP_THREE(F, madd, FP_A, FP_N) FP_THREE(F, msub, FP_A, FP_N_NEG)                            \
    FP_THREE(F, nmadd, FP_A_NEG, FP_N_NEG) FP_THREE(F, nmsub, FP_A_NEG, FP_N)
FP_EACH(FP_THREE_ALL)
#define FP_THREE_ROW(F)                                                                        \
    { fp##F##_op_madd, fp##F##_op_msub, fp##F##_op_nmadd, fp##F##_op_nmsub }
/* By ftype, and o1:o0. */
static op_fn *const fp_three_source[FP_TYPES][4] = FP_BY_TYPE(FP_THREE_ROW);

/* --- one operand ------------------------------------------------------------------------ */

#define FP_ROUND(F, name, rounding, exact)                                                     \
    FP_OP(F, name, fp_write(pe, op, fp##F##_round_int(pe, FP_N(F), rounding, exact)))
#define FP_ONE_ALL(F)                                                                          \
    FP_OP(F, abs, fp_write(pe, op, fp##F##_abs(FP_N(F))))                                      \
    FP_OP(F, neg, fp_write(pe, op, fp##F##_neg(FP_N(F))))                                      \
    FP_OP(F, sqrt, fp_write(pe, op, fp##F##_sqrt(pe, FP_N(F))))                                \
    FP_ROUND(F, rintn, FP_TIEEVEN, 0)                                                          \
    FP_ROUND(F, rintp, FP_POSINF, 0)                                                           \
    FP_ROUND(F, rintm, FP_NEGINF, 0)                                                           \
    FP_ROUND(F, rintz, FP_ZERO_MODE, 0)                                                        \
    FP_ROUND(F, rinta, FP_TIEAWAY, 0)                                                          \
    FP_ROUND(F, rintx, fp_rounding(pe), 1)                                                     \
    FP_ROUND(F, rinti, fp_rounding(pe), 0)
FP_EACH(FP_ONE_ALL)
#define FP_ROUND_N(F, name, rounding, width)                                                   \
    FP_OP(F, name, fp_write(pe, op, fp##F##_round_int_n(pe, FP_N(F), rounding, width)))
#define FP_ROUND_N_ALL(F, _)                                                                   \
    FP_ROUND_N(F, rint32z, FP_ZERO_MODE, 32) FP_ROUND_N(F, rint32x, fp_rounding(pe), 32)       \
    FP_ROUND_N(F, rint64z, FP_ZERO_MODE, 64) FP_ROUND_N(F, rint64x, fp_rounding(pe), 64)
FP_EACH_HOST(FP_ROUND_N_ALL)
#define FP_BETWEEN(from, to)                                                                   \
    FP_OP(from, to_##to, fp_write(pe, op, fp_##from##_to_##to(pe, FP_N(from), fp_rounding(pe))))
FP_BETWEEN(16, 32)
FP_BETWEEN(16, 64)
FP_BETWEEN(32, 16)
FP_BETWEEN(32, 64)
FP_BETWEEN(32, bf16)
FP_BETWEEN(64, 16)
FP_BETWEEN(64, 32)

/* Opcodes: FMOV is 0, and no function; then FCVT to single, double and half, or BFCVT. */
enum {
    FP_ONE_FCVT = 4,
    FP_ONE_BFCVT = 6,
    FP_ONE_RINT = 8,
    FP_ONE_RINT_FPCR = 14,
    FP_ONE_RINT_N = 16,
    FP_ONE_CODES = 20,
};
#define FP_ONE_ROW(F)                                                                          \
    [1] = fp##F##_op_abs, fp##F##_op_neg, fp##F##_op_sqrt,                                     \
    [FP_ONE_RINT] = fp##F##_op_rintn, fp##F##_op_rintp, fp##F##_op_rintm, fp##F##_op_rintz,    \
    fp##F##_op_rinta,                                                                          \
    [FP_ONE_RINT_FPCR] = fp##F##_op_rintx, fp##F##_op_rinti
#define FP_RINT_N_ROW(F)                                                                       \
    [FP_ONE_RINT_N] = fp##F##_op_rint32z, fp##F##_op_rint32x, fp##F##_op_rint64z,              \
    fp##F##_op_rint64x
/* By ftype and opcode. */
static op_fn *const fp_one_source[FP_TYPES][FP_ONE_CODES] = {
    { FP_ONE_ROW(32), FP_RINT_N_ROW(32), [FP_ONE_FCVT + 1] = fp32_op_to_64,
      [FP_ONE_FCVT + 3] = fp32_op_to_16 },
    { FP_ONE_ROW(64), FP_RINT_N_ROW(64), [FP_ONE_FCVT] = fp64_op_to_32,
      [FP_ONE_BFCVT] = fp32_op_to_bf16, [FP_ONE_FCVT + 3] = fp64_op_to_16 },
    { 0 },
    { FP_ONE_ROW(16), [FP_ONE_FCVT] = fp16_op_to_32, [FP_ONE_FCVT + 1] = fp16_op_to_64 },
};

/* --- comparing and choosing ------------------------------------------------------------- */

/* `ra` is a condition; if it does not hold, NZCV is imm. */
#define FP_SET_FLAGS(F, second, signal)                                                        \
    sae_set_nzcv(pe, (uint64_t)fp##F##_compare(pe, FP_N(F), second, signal) << 28)
#define FP_COMPARE_ALL(F)                                                                      \
    FP_OP(F, cmp, FP_SET_FLAGS(F, FP_M(F), 0))                                                 \
    FP_OP(F, cmpe, FP_SET_FLAGS(F, FP_M(F), 1))                                                \
    FP_OP(F, cmp_zero, FP_SET_FLAGS(F, 0, 0))                                                  \
    FP_OP(F, cmpe_zero, FP_SET_FLAGS(F, 0, 1))                                                 \
    FP_OP(F, ccmp, if (sae_condition(pe, op->ra)) FP_SET_FLAGS(F, FP_M(F), 0);                 \
          else sae_set_nzcv(pe, op->imm))                                                      \
    FP_OP(F, ccmpe, if (sae_condition(pe, op->ra)) FP_SET_FLAGS(F, FP_M(F), 1);                \
          else sae_set_nzcv(pe, op->imm))                                                      \
    FP_OP(F, csel, fp_write(pe, op, sae_condition(pe, op->ra) ? FP_N(F) : FP_M(F)))
FP_EACH(FP_COMPARE_ALL)
#define FP_COMPARE_ROW(F)                                                                      \
    { fp##F##_op_cmp, fp##F##_op_cmp_zero, fp##F##_op_cmpe, fp##F##_op_cmpe_zero }
#define FP_COND_COMPARE_ROW(F) { fp##F##_op_ccmp, fp##F##_op_ccmpe }
/* By ftype, and whether a quiet NaN is invalid; fp_compare_op: and whether the other is zero. */
static op_fn *const fp_compare_op[FP_TYPES][4] = FP_BY_TYPE(FP_COMPARE_ROW);
static op_fn *const fp_cond_compare[FP_TYPES][2] = FP_BY_TYPE(FP_COND_COMPARE_ROW);
static op_fn *const fp_select[FP_TYPES] = { fp32_op_csel, fp64_op_csel, 0, fp16_op_csel };

/* --- integers and fixed point ----------------------------------------------------------- */

/* `ra` bits of fraction; to an integer, `rm` is the rounding. */
#define FP_FIXED(F, name, is_unsigned, width)                                                  \
    FP_OP(F, to_##name,                                                                        \
          pe->x[op->rd] = fp##F##_to_fixed(pe, FP_N(F), op->ra, is_unsigned, width, op->rm))   \
    FP_OP(F, from_##name,                                                                      \
          fp_write(pe, op, fp##F##_from_fixed(pe, pe->x[op->rn], op->ra, is_unsigned, width,   \
                                              fp_rounding(pe))))
#define FP_FIXED_ALL(F)                                                                        \
    FP_FIXED(F, s32, 0, 32) FP_FIXED(F, u32, 1, 32) FP_FIXED(F, s64, 0, 64)                    \
    FP_FIXED(F, u64, 1, 64)
FP_EACH(FP_FIXED_ALL)
#define FP_TO_ROW(F)                                                                           \
    { fp##F##_op_to_s32, fp##F##_op_to_u32, fp##F##_op_to_s64, fp##F##_op_to_u64 }
#define FP_FROM_ROW(F)                                                                         \
    { fp##F##_op_from_s32, fp##F##_op_from_u32, fp##F##_op_from_s64, fp##F##_op_from_u64 }
/* By ftype, and sf:U. */
static op_fn *const fp_to_integer[FP_TYPES][4] = FP_BY_TYPE(FP_TO_ROW);
static op_fn *const fp_from_integer[FP_TYPES][4] = FP_BY_TYPE(FP_FROM_ROW);

/* FJCVTZS: Z says whether the result is exact. */
static void fp_op_jcvt(pe_t *pe, const op_t *op)
{
    fp_env_t env = fp_begin(pe);
    int exact;
    pe->x[op->rd] = fp_to_int32_js(&env, FP_N(64), &exact);
    pe->fpsr |= env.fpsr;
    sae_set_nzcv(pe, (uint64_t)exact << 30);
}

#endif
