/* Integer operations of vectors, in the terms of sae_vector_lanes.h. */
#ifndef SAE_VECTOR_OPS_H
#define SAE_VECTOR_OPS_H
#include "sae_vector_lanes.h"

/* --- what is said more than once --------------------------------------------------------- */

#define ONES ((U)~(U)0)
#define SIGN ((U)((U)1 << (BITS - 1)))
/* The largest signed value, or the smallest. */
#define LIMIT(negative) ((U)((U)~SIGN + (negative)))
#define CONDITION(c) x = (U)(c)    /* in shapes with _V */
#define DISTANCE ((U)(a > b ? (U)a - (U)b : (U)b - (U)a))
/* At least as wide as int is without a sign, where narrower types would get one. */
#define PRODUCT (1u * (U)a * (U)b)

/* Saturating sums and differences. */
#define SQ_ADD(to, l, r)                                                                       \
    {                                                                                          \
        const U l_ = (U)(l), r_ = (U)(r), sum_ = (U)(l_ + r_);                                 \
        const U over_ = (U)((U)((l_ ^ sum_) & (r_ ^ sum_)) >> (BITS - 1));                     \
        q |= over_;                                                                            \
        to = over_ ? LIMIT(l_ >> (BITS - 1)) : sum_;                                           \
    }
#define SQ_SUB(to, l, r)                                                                       \
    {                                                                                          \
        const U l_ = (U)(l), r_ = (U)(r), sum_ = (U)(l_ - r_);                                 \
        const U over_ = (U)((U)((l_ ^ sum_) & (l_ ^ r_)) >> (BITS - 1));                       \
        q |= over_;                                                                            \
        to = over_ ? LIMIT(l_ >> (BITS - 1)) : sum_;                                           \
    }
/* Twice a product of elements of half the bits. */
#define SQ_DOUBLED(to)                                                                         \
    const T product_ = a * b;                                                                  \
    q = product_ == (T)1 << (BITS - 2);                                                        \
    const U to = q ? LIMIT(0) : (U)product_ * 2u
/* A value of the type T or W, brought into bounds. */
#define CLAMP(type, value, low, high)                                                          \
    {                                                                                          \
        const type value_ = (value), low_ = (type)(low), high_ = (type)(high);                 \
        const type bound_ = value_ < low_ ? low_ : value_ > high_ ? high_ : value_;            \
        q = bound_ != value_;                                                                  \
        x = (U)bound_;                                                                         \
    }

/* --- three registers -------------------------------------------------------------------- */

BHSD(MAP_V, add, u, x = a + b)
BHSD(MAP_V, sub, u, x = a - b)
#define PRODUCTS(sizes, shape)                                                                 \
    sizes(shape, mul, u, x = PRODUCT)                                                          \
    sizes(shape, mla, u, x = d + PRODUCT)                                                      \
    sizes(shape, mls, u, x = d - PRODUCT)
PRODUCTS(BHS, MAP_V)
PRODUCTS(HS, ELEMENT_V)
/* Half of a sum or a difference, without the bit it is too long. */
SU(BHS, MAP_V, hadd, x = (U)((a & b) + ((a ^ b) >> 1)))
SU(BHS, MAP_V, rhadd, x = (U)((a | b) - ((a ^ b) >> 1)))
SU(BHS, MAP_V, hsub, x = (U)(((a ^ b) >> 1) - (~a & b)))
#define CHOSEN(c, one, other) x = ((U)(one) & (U)(c)) | ((U)(other) & ~(U)(c))
SU(BHS, MAP_V, max, CHOSEN(a > b, a, b))
SU(BHS, MAP_V, min, CHOSEN(a < b, a, b))
SU(BHS, MAP, abd, x = DISTANCE)
SU(BHS, MAP, aba, x = d + DISTANCE)
BHSD(MAP_V, cmgt, s, CONDITION(a > b))
BHSD(MAP_V, cmge, s, CONDITION(a >= b))
BHSD(MAP_V, cmhi, u, CONDITION(a > b))
BHSD(MAP_V, cmhs, u, CONDITION(a >= b))
BHSD(MAP_V, cmeq, u, CONDITION(a == b))
BHSD(MAP_V, cmtst, u, CONDITION((a & b) != 0))
BHSD(PAIRS_V, addp, u, x = a + b)
SU(BHS, PAIRS_V, maxp, CHOSEN(a > b, a, b))
SU(BHS, PAIRS_V, minp, CHOSEN(a < b, a, b))

BHSD(MAP_Q, sqadd, s, SQ_ADD(x, a, b))
BHSD(MAP_Q, sqsub, s, SQ_SUB(x, a, b))
BHSD(MAP_Q, uqadd, u, const U sum = a + b; q = sum < a; x = q ? ONES : sum)
BHSD(MAP_Q, uqsub, u, q = a < b; x = q ? 0 : a - b)

/* The upper half of a doubled product, which saturates if both are the smallest numbers there
 * are; rounded; added to or taken from what was there. */
#define DOUBLED_HIGH(rounding)                                                                 \
    const W product_ = (W)a * b;                                                               \
    q = product_ == (W)1 << (2 * BITS - 2);                                                    \
    x = q ? LIMIT(0) : (U)((product_ + (rounding)) >> (BITS - 1))
#define ROUNDING ((W)1 << (BITS - 2))
#define DOUBLED_SUM(product)                                                                   \
    CLAMP(W, ((T)d * ((W)1 << (BITS - 1)) + (product) + ROUNDING) >> (BITS - 1), (T)LIMIT(1),  \
          LIMIT(0))
#define DOUBLED_PRODUCTS(shape)                                                                \
    HS(shape, sqdmulh, s, DOUBLED_HIGH(0))                                                     \
    HS(shape, sqrdmulh, s, DOUBLED_HIGH(ROUNDING))                                             \
    HS(shape, sqrdmlah, s, DOUBLED_SUM((W)a * b))                                              \
    HS(shape, sqrdmlsh, s, DOUBLED_SUM(-((W)a * b)))
DOUBLED_PRODUCTS(MAP_Q)
DOUBLED_PRODUCTS(ELEMENT_Q)

/* Four products of bytes each, of which either may be signed. */
#define DOT(n_bytes, m_bytes)                                                                  \
    x = d;                                                                                     \
    for (unsigned byte = 4 * i; byte < 4 * i + 4; byte++)                                      \
        x += (U)(n.n_bytes[byte] * m.m_bytes[byte])
#define DOTS(shape)                                                                            \
    shape(sdot, u, 32, DOT(sb, sb))                                                            \
    shape(udot, u, 32, DOT(b, b))                                                              \
    shape(usdot, u, 32, DOT(b, sb))
DOTS(MAP)
DOTS(ELEMENT)
ELEMENT(sudot, u, 32, DOT(sb, b))
/* The product of matrices: two rows of eight bytes, and two columns. */
#define MATRICES(n_bytes, m_bytes)                                                             \
    const unsigned row = LANE(i, 32) >> 1, column = LANE(i, 32) & 1;                           \
    x = d;                                                                                     \
    for (unsigned byte = 0; byte < 8; byte++)                                                  \
        x += (U)(n.n_bytes[8 * row + byte] * m.m_bytes[8 * column + byte])
MAP(smmla, u, 32, MATRICES(sb, sb))
MAP(ummla, u, 32, MATRICES(b, b))
MAP(usmmla, u, 32, MATRICES(b, sb))

/* Polynomials over {0, 1}. */
#define POLYNOMIAL                                                                             \
    x = 0;                                                                                     \
    for (int bit = 0; bit < 8; bit++)                                                          \
        x ^= (U)((U)(a << bit) & -(U)(b >> bit & 1))
MAP(pmul, u, 8, POLYNOMIAL)
LONG(pmull, u, 8, POLYNOMIAL)

static void sae_v_pmull_64(pe_t *pe, const op_t *op)
{
    const uint64_t n = RN.d[IS_Q(op)], m = RM.d[IS_Q(op)];
    uint128_t multiple[16] = { 0, n }, x = 0;
    for (int i = 2; i < 16; i++)
        multiple[i] = multiple[i / 2] << 1 ^ (i & 1 ? n : 0);
    for (int bit = 60; bit >= 0; bit -= 4)
        x = x << 4 ^ multiple[m >> bit & 15];
    RD = (vreg_t){ { (uint64_t)x, (uint64_t)(x >> 64) } };
}

/* --- long, wide and narrow -------------------------------------------------------------- */

SU(BHS, LONG_V, addl, x = (U)(a + b))
SU(BHS, LONG_V, subl, x = (U)(a - b))
SU(BHS, WIDE_V, addw, x = (U)a + (U)b)
SU(BHS, WIDE_V, subw, x = (U)a - (U)b)
SU(BHS, LONG, abdl, x = DISTANCE)
SU(BHS, LONG, abal, x = d + DISTANCE)
#define LONG_PRODUCTS(sizes, shape)                                                            \
    SU(sizes, shape, mull, x = PRODUCT)                                                        \
    SU(sizes, shape, mlal, x = d + PRODUCT)                                                    \
    SU(sizes, shape, mlsl, x = d - PRODUCT)
LONG_PRODUCTS(BHS, LONG_V)
LONG_PRODUCTS(HS, LONG_ELEMENT_V)
#define LONG_DOUBLED_PRODUCTS(shape)                                                           \
    HS(shape, sqdmull, s, SQ_DOUBLED(doubled); x = doubled)                                    \
    HS(shape, sqdmlal, s, SQ_DOUBLED(doubled); SQ_ADD(x, d, doubled))                          \
    HS(shape, sqdmlsl, s, SQ_DOUBLED(doubled); SQ_SUB(x, d, doubled))
LONG_DOUBLED_PRODUCTS(LONG_Q)
LONG_DOUBLED_PRODUCTS(LONG_ELEMENT_Q)

#define UPPER(value) x = (U)(value) >> BITS / 2
#define HALF_ONE ((U)((U)1 << (BITS / 2 - 1)))
BHS(NARROW_V, addhn, u, UPPER(a + b))
BHS(NARROW_V, subhn, u, UPPER(a - b))
BHS(NARROW, raddhn, u, UPPER(a + b + HALF_ONE))
BHS(NARROW, rsubhn, u, UPPER(a - b + HALF_ONE))

/* The bounds of elements of half the bits. */
#define CLAMP_S(value) CLAMP(T, value, -(T)HALF_ONE, HALF_ONE - 1)
#define CLAMP_U(value) CLAMP(T, value, 0, 2 * (T)HALF_ONE - 1)
BHS(NARROW_V, xtn, u, x = a)
BHS(NARROW_Q, sqxtn, s, CLAMP_S(a))
BHS(NARROW_Q, uqxtn, u, CLAMP_U(a))
BHS(NARROW_Q, sqxtun, s, CLAMP_U(a))

/* --- two registers ---------------------------------------------------------------------- */

#define NEGATIVE ((U)(0 - (U)a))
BHSD(ZERO_V, cmgt, s, CONDITION(a > b))
BHSD(ZERO_V, cmge, s, CONDITION(a >= b))
BHSD(ZERO_V, cmeq, s, CONDITION(a == b))
BHSD(ZERO_V, cmle, s, CONDITION(a <= b))
BHSD(ZERO_V, cmlt, s, CONDITION(a < b))
BHSD(MAP, abs, s, x = a < 0 ? NEGATIVE : (U)a)
BHSD(MAP_V, neg, s, x = -(U)a)
BHSD(MAP_Q, sqabs, s, q = (U)a == SIGN; x = q ? LIMIT(0) : a < 0 ? NEGATIVE : (U)a)
BHSD(MAP_Q, sqneg, s, q = (U)a == SIGN; x = q ? LIMIT(0) : NEGATIVE)
/* A signed number and one without a sign: as if both were that, moved up. */
BHSD(MAP_Q, suqadd, u,
     const U up = d ^ SIGN, sum = up + a;
     q = sum < up;
     x = (q ? ONES : sum) ^ SIGN)
BHSD(MAP_Q, usqadd, s,
     const U sum = d + (U)a;
     q = a < 0 ? sum > d : sum < d;
     x = !q ? sum : a < 0 ? 0 : ONES)
/* Bits counted from the top, up to one that is put behind the last. */
#define LEADING(value) x = (U)sae_clz64((uint64_t)(U)(value) << (64 - BITS) | BEHIND)
#define BEHIND (UINT64_C(1) << (63 - BITS))
BHS(MAP, clz, u, LEADING(a))
BHS(MAP, cls, s, LEADING(a ^ a >> 1) - 1)
MAP(cnt, u, 8,
    const unsigned pairs = a - (a >> 1 & 0x55);
    const unsigned fours = (pairs & 0x33) + (pairs >> 2 & 0x33);
    x = (fours + (fours >> 4)) & 0x0F)
MAP_V(not, u, 8, x = ~a)
MAP(rbit, u, 8,
    const unsigned fours = a >> 4 | a << 4;
    const unsigned pairs = (fours >> 2 & 0x33) | (fours & 0x33) << 2;
    x = (pairs >> 1 & 0x55) | (pairs & 0x55) << 1)
/* Parts of elements of 64, 32 or 16 bits, in the opposite order: first neighbours change places,
 * then neighbours of twice the size. */
#define EXCHANGED(value, by, mask)                                                             \
    (U)(((value) & (U)UINT64_C(mask)) << (by) | ((value) >> (by) & (U)UINT64_C(mask)))
#define BYTES(value) EXCHANGED(value, 8, 0x00FF00FF00FF00FF)
#define PAIRS_OF_BYTES(value) EXCHANGED(value, 16, 0x0000FFFF0000FFFF)
#define WORDS(value) EXCHANGED(value, 32, 0x00000000FFFFFFFF)
PARTS(rev16, 8, 16, x = BYTES(a))
PARTS(rev32, 8, 32, const U y = BYTES(a); x = PAIRS_OF_BYTES(y))
PARTS(rev32, 16, 32, x = PAIRS_OF_BYTES(a))
PARTS(rev64, 8, 64, const U z = BYTES(a), y = PAIRS_OF_BYTES(z); x = WORDS(y))
PARTS(rev64, 16, 64, const U y = PAIRS_OF_BYTES(a); x = WORDS(y))
PARTS(rev64, 32, 64, x = WORDS(a))

/* A wide element's lower half and its upper one. */
#define PAIR_SUM ((U)((T)(U)((U)a << BITS / 2) >> BITS / 2) + (U)(a >> BITS / 2))
SU(BHS, HALVES, addlp, x = PAIR_SUM)
SU(BHS, HALVES, adalp, x = d + PAIR_SUM)

MAP(urecpe, u, 32, x = a >> 31 ? fp_recip_estimate(a >> 23) << 23 : ONES)
MAP(ursqrte, u, 32, x = a >> 30 ? fp_rsqrt_estimate(a >> 23) << 23 : ONES)

/* --- shifts ----------------------------------------------------------------------------- */

/* To the right by k, which is from 1 to BITS. */
#define SHIFTED ((U)((T)(a >> last) >> 1))
#define ROUNDED ((U)(SHIFTED + (U)(a >> last & 1)))
SU(BHSD, MAP_V, shr, x = SHIFTED)
SU(BHSD, MAP_V, sra, x = d + SHIFTED)
SU(BHSD, MAP_V, rshr, x = ROUNDED)
SU(BHSD, MAP_V, rsra, x = d + ROUNDED)
BHSD(MAP, sri, u, x = SHIFTED | (d & ~(ONES >> last >> 1)))
BHS(NARROW_V, shrn, u, x = SHIFTED)
BHS(NARROW_V, rshrn, u, x = ROUNDED)
BHS(NARROW_Q, sqshrn, s, CLAMP_S((T)SHIFTED))
BHS(NARROW_Q, uqshrn, u, CLAMP_U(SHIFTED))
BHS(NARROW_Q, sqshrun, s, CLAMP_U((T)SHIFTED))
BHS(NARROW_Q, sqrshrn, s, CLAMP_S((T)ROUNDED))
BHS(NARROW_Q, uqrshrn, u, CLAMP_U(ROUNDED))
BHS(NARROW_Q, sqrshrun, s, CLAMP_U((T)ROUNDED))

/* To the left by less than BITS. */
BHSD(MAP_V, shl, u, x = a << k)
BHSD(MAP, sli, u, x = a << k | (d & (((U)1 << k) - 1)))
SU(BHS, LONG_V, shll, x = (U)a << k)

/* To the left by any number, and what saturates. */
#define TO_LEFT(by) ((by) < BITS ? (U)((U)a << (by)) : (U)0)
#define SQ_TO_LEFT(by)                                                                         \
    const U left_ = TO_LEFT(by);                                                               \
    q = (by) < BITS ? (T)((T)left_ >> (by)) != a : a != 0;                                     \
    x = !q ? left_ : (T)-1 < 0 ? LIMIT(a < 0) : ONES
SU(BHSD, MAP_Q, qshl_imm, SQ_TO_LEFT(k))
BHSD(MAP_Q, sqshlu, s,
     const U left = TO_LEFT(k);
     q = a < 0 || (U)(left >> k) != (U)a;
     x = !q ? left : a < 0 ? 0 : ONES)

/* By a signed byte: to the right if it is negative, maybe by more than BITS. */
#define SHIFT(rounding, LEFT)                                                                  \
    const int by = (int8_t)b;                                                                  \
    if (by < 0) {                                                                              \
        const T all_but_one = -by <= BITS ? a >> (-by - 1) : a < 0 ? -1 : 0;                   \
        x = (U)(all_but_one >> 1) + (U)(all_but_one & rounding);                               \
    } else {                                                                                   \
        LEFT;                                                                                  \
    }
SU(BHSD, MAP, shl, SHIFT(0, x = TO_LEFT(by)))
SU(BHSD, MAP, rshl, SHIFT(1, x = TO_LEFT(by)))
SU(BHSD, MAP_Q, qshl, SHIFT(0, SQ_TO_LEFT(by)))
SU(BHSD, MAP_Q, qrshl, SHIFT(1, SQ_TO_LEFT(by)))

/* --- across, permuted ------------------------------------------------------------------- */

BHSD(ACROSS_SUM, addv, u, acc += a)
SU(BHS, ACROSS_LONG, addlv, acc += a)
SU(BHS, ACROSS, maxv, acc = a > acc ? a : acc)
SU(BHS, ACROSS, minv, acc = a < acc ? a : acc)

BHSD(PAIRS_V, uzp1, u, x = a)
BHSD(PAIRS_V, uzp2, u, x = b)
/* A neighbour's number differs in bit 0. */
#define TRN(bits)                                                                              \
    MAP(trn1, u, bits, x = LANE(i, bits) & 1 ? m.LANES(u, bits)[i ^ 1] : a)                    \
    MAP(trn2, u, bits, x = LANE(i, bits) & 1 ? b : n.LANES(u, bits)[i ^ 1])
TRN(8)
TRN(16)
TRN(32)
TRN(64)

/* Without Q, ZIP2 is about the second half of what ZIP1 is with Q. */
static inline void sae_v_put_zip2(pe_t *pe, const op_t *op, sae_pair_t r, sae_pair_t q)
{
    sae_v_put(pe, op, (sae_pair_t){ IS_Q(op) ? r[0] : r[1], r[1] }, q);
}
ZIP_V(zip1, 0, sae_v_put, 8)
ZIP_V(zip1, 0, sae_v_put, 16)
ZIP_V(zip1, 0, sae_v_put, 32)
ZIP_V(zip2, IS_Q(op), sae_v_put_zip2, 8)
ZIP_V(zip2, IS_Q(op), sae_v_put_zip2, 16)
ZIP_V(zip2, IS_Q(op), sae_v_put_zip2, 32)
MAP(zip1, u, 64, x = i ? m.d[0] : a)
MAP(zip2, u, 64, x = i ? b : n.d[1])

/* Bytes of Rm:Rn from a number on. */
static void sae_v_ext_8(pe_t *pe, const op_t *op)
{
    const uint64_t words[] = { RN.d[0], IS_Q(op) ? RN.d[1] : RM.d[0], RM.d[0], RM.d[1] };
    const unsigned first = NUMBER(op) >> 3, shift = 8 * (NUMBER(op) & 7);
    sae_pair_t r;
    for (unsigned i = 0; i < 2; i++) {
        const uint64_t *word = &words[first + i];
        r[i] = shift ? word[0] >> shift | word[1] << (64 - shift) : word[0];
    }
    sae_v_put(pe, op, r, r);
}

typedef uint8_t bytes_t __attribute__((vector_size(16)));

/* The bytes of a table that an index says, by its low four bits. */
static inline bytes_t sae_v_pick(bytes_t table, bytes_t index)
{
#if defined(__GNUC__) && !defined(__clang__)
    return __builtin_shuffle(table, index ^ LANE(0, 8));
#else
    bytes_t picked;
    for (unsigned i = 0; i < 16; i++)
        picked[i] = table[LANE(index[i] & 15, 8)];
    return picked;
#endif
}

/* A table in registers, of which the number says how many follow the first; beyond it TBX leaves
 * what was there. */
static inline void sae_v_lookup(pe_t *pe, const op_t *op, const vreg_t *beyond)
{
    bytes_t index, found, table;
    memcpy(&index, &RM, 16);
    memcpy(&found, beyond, 16);
    for (unsigned i = 0; i <= NUMBER(op); i++) {
        const bytes_t here = (bytes_t)(index < 16);
        memcpy(&table, &pe->v[(op->rn + i) & 31], 16);
        found = (found & ~here) | (sae_v_pick(table, index) & here);
        index -= 16;
    }
    sae_v_put(pe, op, (sae_pair_t)found, (sae_pair_t)found);
}
SAE_CLONES("ssse3") static void sae_v_tbl_8(pe_t *pe, const op_t *op)
{
    static const vreg_t zero;
    sae_v_lookup(pe, op, &zero);
}
SAE_CLONES("ssse3") static void sae_v_tbx_8(pe_t *pe, const op_t *op) { sae_v_lookup(pe, op, &RD); }

#endif
