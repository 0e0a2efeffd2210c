/* How integer operations of vectors are written: what one element of the result is, once for each
 * operation, in a loop over the elements that the compiler vectorises.
 *
 * Every operation is a function (op_fn) that finds in `op`
 *   rd, rn, rm  registers;
 *   ra          how much of the result counts, as the logarithm of its bytes: the rest is zero;
 *   imm         bit 0: Q, which in long and narrow forms says which half of a register; above it
 *               the number of bits to shift by, or of an element.
 *
 * What an element is, is said by a statement. It sees
 *   a, b        the elements of Rn and Rm, of the type T;
 *   d           what was in Rd, of the type U;
 *   k           the number in `imm`;
 *   x           the result, of the type U, which it sets;
 *   q           which it sets to 1 if the result is saturated;
 *   T, U, BITS  the type of the elements, the same unsigned, and its bits;
 *   W           a type of twice the bits. */
#ifndef SAE_VECTOR_LANES_H
#define SAE_VECTOR_LANES_H
#include <string.h>
#include "sae_arith.h"
#include "sae_fp_estimate.h"
#include "sae_pe.h"
#include "sae_vector.h"

typedef __int128 int128_t;
typedef unsigned __int128 uint128_t;
#define TYPE_s(bits) int##bits##_t
#define TYPE_u(bits) uint##bits##_t
#define TYPE(sign, bits) TYPE_##sign(bits)
/* The elements of a vreg_t. */
#define LANES_s8 sb
#define LANES_s16 sh
#define LANES_s32 ss
#define LANES_s64 sd
#define LANES_u8 b
#define LANES_u16 h
#define LANES_u32 s
#define LANES_u64 d
#define LANES_OF(sign, bits) LANES_##sign##bits
#define LANES(sign, bits) LANES_OF(sign, bits)
#define DOUBLE_8 16
#define DOUBLE_16 32
#define DOUBLE_32 64
#define DOUBLE_64 128
#define DOUBLE(bits) DOUBLE_##bits
#define LOG2_8 0
#define LOG2_16 1
#define LOG2_32 2
#define LOG2_64 3

#define RD pe->v[op->rd]
#define RN pe->v[op->rn]
#define RM pe->v[op->rm]
#define IS_Q(op) ((unsigned)((op)->imm & 1))
#define NUMBER(op) ((unsigned)((op)->imm >> 1))

/* In front of short loops: what is unrolled before it is vectorised may not be. */
#if defined(__GNUC__) && !defined(__clang__)
#define EACH _Pragma("GCC unroll 1")
#else
#define EACH
#endif
/* Only two of 64 bits are better off so. */
#define EACH_8
#define EACH_16
#define EACH_32
#define EACH_64 EACH
#define EACH_OF(bits) EACH_##bits
#define EACH_LANE(bits) EACH_OF(bits)

/* --- halves of elements ----------------------------------------------------------------- */

/* Of all elements of two registers. */
#define SAE_V_HALVES(bits)                                                                     \
    static inline vreg_t sae_v_halves_##bits(const vreg_t *two, int upper)                     \
    {                                                                                          \
        TYPE(u, DOUBLE(bits)) wide[128 / bits];                                                \
        vreg_t r;                                                                              \
        memcpy(wide, two, sizeof(wide));                                                       \
        EACH for (unsigned i = 0; i < 128 / bits; i++)                                         \
            r.LANES(u, bits)[LANE(i, bits)] =                                                  \
                (TYPE(u, bits))(wide[LANE(i, DOUBLE(bits))] >> (upper ? bits : 0));            \
        return r;                                                                              \
    }
SAE_V_HALVES(8)
SAE_V_HALVES(16)
SAE_V_HALVES(32)
static inline vreg_t sae_v_halves_64(const vreg_t *two, int upper)
{
    return (vreg_t){ { two[0].d[upper], two[1].d[upper] } };
}

/* --- results ---------------------------------------------------------------------------- */

/* What counts of a result of 1, 2, 4, 8 and 16 bytes. */
static const vreg_t sae_v_counts[] = {
    { { 0xFF, 0 } }, { { 0xFFFF, 0 } }, { { 0xFFFFFFFF, 0 } }, { { UINT64_MAX, 0 } },
    { { UINT64_MAX, UINT64_MAX } },
};

static inline void sae_v_put(pe_t *pe, const op_t *op, const vreg_t *r, const vreg_t *q)
{
    const vreg_t *counts = &sae_v_counts[op->ra];
    vreg_t counted;
    (void)q;
    for (int i = 0; i < 4; i++)
        counted.s[i] = r->s[i] & counts->s[i];
    RD = counted;
}

/* `q` is not zero where elements are saturated. */
static inline void sae_v_put_q(pe_t *pe, const op_t *op, const vreg_t *r, const vreg_t *q)
{
    const vreg_t *counts = &sae_v_counts[op->ra];
    if ((q->d[0] & counts->d[0]) | (q->d[1] & counts->d[1]))
        pe->fpsr |= FPSR_QC;
    sae_v_put(pe, op, r, q);
}

/* The lower halves of elements, for the lower half of a register, or for its upper one, which
 * leaves the other alone. Made twice, so that all are a vector's. */
#define SAE_V_NARROW(bits)                                                                     \
    static inline uint64_t sae_v_narrow_##bits(const vreg_t *wide)                             \
    {                                                                                          \
        const vreg_t twice[2] = { *wide, *wide };                                              \
        return sae_v_halves_##bits(twice, 0).d[0];                                             \
    }                                                                                          \
    static inline void sae_v_put_narrow_##bits(pe_t *pe, const op_t *op, const vreg_t *r,      \
                                               const vreg_t *q)                                \
    {                                                                                          \
        const uint64_t half = sae_v_narrow_##bits(r) & sae_v_counts[op->ra].d[0];              \
        const vreg_t upper = { { RD.d[0], half } }, lower = { { half, 0 } };                   \
        (void)q;                                                                               \
        RD = IS_Q(op) ? upper : lower;                                                         \
    }                                                                                          \
    static inline void sae_v_put_narrow_q_##bits(pe_t *pe, const op_t *op, const vreg_t *r,    \
                                                 const vreg_t *q)                              \
    {                                                                                          \
        if (sae_v_narrow_##bits(q) & sae_v_counts[op->ra].d[0])                                \
            pe->fpsr |= FPSR_QC;                                                               \
        sae_v_put_narrow_##bits(pe, op, r, q);                                                 \
    }
SAE_V_NARROW(8)
SAE_V_NARROW(16)
SAE_V_NARROW(32)

/* --- operands --------------------------------------------------------------------------- */

/* Elements of a word, each made twice as wide: as many again, so that all are a vector's. */
#define SAE_V_WIDEN(sign, bits)                                                                \
    static inline vreg_t sae_v_widen_##sign##bits(uint64_t word)                               \
    {                                                                                          \
        const vreg_t half = { { word, word } };                                                \
        TYPE(sign, DOUBLE(bits)) wide[128 / bits];                                             \
        vreg_t r;                                                                              \
        EACH for (unsigned i = 0; i < 128 / bits; i++)                                         \
            wide[i] = half.LANES(sign, bits)[LANE(LANE(i, DOUBLE(bits)), bits)];               \
        memcpy(&r, wide, sizeof(r));                                                           \
        return r;                                                                              \
    }
SAE_V_WIDEN(s, 8)
SAE_V_WIDEN(s, 16)
SAE_V_WIDEN(s, 32)
SAE_V_WIDEN(u, 8)
SAE_V_WIDEN(u, 16)
SAE_V_WIDEN(u, 32)

/* One element of Rm, everywhere. */
static inline vreg_t sae_v_element(const pe_t *pe, const op_t *op, unsigned log2)
{
    uint64_t word = sae_replicate(sae_element(RM.d, log2, NUMBER(op)), log2);
    return (vreg_t){ { word, word } };
}

/* Every other element of Rn and Rm, as if they were one register: those with an even number, or
 * those with an odd one. */
#define SAE_V_EVERY_OTHER(bits)                                                                \
    static inline vreg_t sae_v_every_other_##bits(const pe_t *pe, const op_t *op, int odd)     \
    {                                                                                          \
        const vreg_t both[2] = { IS_Q(op) ? RN : (vreg_t){ { RN.d[0], RM.d[0] } }, RM };       \
        return sae_v_halves_##bits(both, odd);                                                 \
    }
SAE_V_EVERY_OTHER(8)
SAE_V_EVERY_OTHER(16)
SAE_V_EVERY_OTHER(32)
SAE_V_EVERY_OTHER(64)

/* --- shapes ----------------------------------------------------------------------------- */

/* The function `name` of elements that have `bits` in the name of the operation, and are done as
 * `lane` bits. */
#define SAE_V(name, bits, sign, lane, N, M, PUT, ...)                                          \
    static void sae_v_##name##_##bits(pe_t *pe, const op_t *op)                                \
    {                                                                                          \
        typedef TYPE(sign, lane) T;                                                            \
        typedef TYPE(u, lane) U;                                                               \
        typedef TYPE(sign, DOUBLE(lane)) W;                                                    \
        enum { BITS = lane };                                                                  \
        const unsigned k = NUMBER(op);                                                         \
        const vreg_t n = N, m = M, old = RD;                                                   \
        vreg_t r, saturated;                                                                   \
        EACH_LANE(lane) for (unsigned i = 0; i < 128 / lane; i++) {                            \
            const T a = n.LANES(sign, lane)[i], b = m.LANES(sign, lane)[i];                    \
            const U d = old.LANES(u, lane)[i];                                                 \
            U x, q = 0;                                                                        \
            (void)a, (void)b, (void)d, (void)k, (void)sizeof(W);                               \
            __VA_ARGS__;                                                                       \
            r.LANES(u, lane)[i] = x;                                                           \
            saturated.LANES(u, lane)[i] = q;                                                   \
        }                                                                                      \
        PUT(pe, op, &r, &saturated);                                                           \
    }

/* Elements at the same place. Shapes with _Q are of operations that saturate. */
#define MAP(name, sign, bits, ...) SAE_V(name, bits, sign, bits, RN, RM, sae_v_put, __VA_ARGS__)
#define MAP_Q(name, sign, bits, ...)                                                           \
    SAE_V(name, bits, sign, bits, RN, RM, sae_v_put_q, __VA_ARGS__)
/* A register and zero. */
#define ZERO(name, sign, bits, ...)                                                            \
    SAE_V(name##_zero, bits, sign, bits, RN, { { 0 } }, sae_v_put, __VA_ARGS__)
/* With the same element of Rm each. */
#define ELEMENT(name, sign, bits, ...)                                                         \
    SAE_V(name##_element, bits, sign, bits, RN, sae_v_element(pe, op, LOG2_##bits), sae_v_put, \
          __VA_ARGS__)
#define ELEMENT_Q(name, sign, bits, ...)                                                       \
    SAE_V(name##_element, bits, sign, bits, RN, sae_v_element(pe, op, LOG2_##bits),            \
          sae_v_put_q, __VA_ARGS__)
/* Neighbours in a register. */
#define PAIRS(name, sign, bits, ...)                                                           \
    SAE_V(name, bits, sign, bits, sae_v_every_other_##bits(pe, op, 0),                         \
          sae_v_every_other_##bits(pe, op, 1), sae_v_put, __VA_ARGS__)
/* A register of wide elements and half of another. */
#define WIDE(name, sign, bits, ...)                                                            \
    SAE_V(name, bits, sign, DOUBLE(bits), RN, sae_v_widen_##sign##bits(RM.d[IS_Q(op)]),        \
          sae_v_put, __VA_ARGS__)
/* Halves of both, to wide elements. */
#define SAE_V_LONG(name, sign, bits, M, PUT, ...)                                              \
    SAE_V(name, bits, sign, DOUBLE(bits), sae_v_widen_##sign##bits(RN.d[IS_Q(op)]),            \
          sae_v_widen_##sign##bits(M), PUT, __VA_ARGS__)
#define LONG(name, sign, bits, ...)                                                            \
    SAE_V_LONG(name, sign, bits, RM.d[IS_Q(op)], sae_v_put, __VA_ARGS__)
#define LONG_ELEMENT(name, sign, bits, ...)                                                    \
    SAE_V_LONG(name##_element, sign, bits, sae_v_element(pe, op, LOG2_##bits).d[0], sae_v_put, \
               __VA_ARGS__)
#define LONG_Q(name, sign, bits, ...)                                                          \
    SAE_V_LONG(name, sign, bits, RM.d[IS_Q(op)], sae_v_put_q, __VA_ARGS__)
#define LONG_ELEMENT_Q(name, sign, bits, ...)                                                  \
    SAE_V_LONG(name##_element, sign, bits, sae_v_element(pe, op, LOG2_##bits).d[0],            \
               sae_v_put_q, __VA_ARGS__)
/* Wide elements, of whose result the lower half counts. */
#define NARROW(name, sign, bits, ...)                                                          \
    SAE_V(name, bits, sign, DOUBLE(bits), RN, RM, sae_v_put_narrow_##bits, __VA_ARGS__)
#define NARROW_Q(name, sign, bits, ...)                                                        \
    SAE_V(name, bits, sign, DOUBLE(bits), RN, RM, sae_v_put_narrow_q_##bits, __VA_ARGS__)
/* Wide elements, whose halves are a pair. */
#define HALVES(name, sign, bits, ...)                                                          \
    SAE_V(name, bits, sign, DOUBLE(bits), RN, RM, sae_v_put, __VA_ARGS__)
/* Elements that are parts of wider ones, which are of `lane` bits. */
#define PARTS(name, bits, lane, ...)                                                           \
    SAE_V(name, bits, u, lane, RN, RM, sae_v_put, __VA_ARGS__)
/* Elements of halves of both in turn, which are the halves of wide elements. */
#define ZIP(name, half, PUT, bits)                                                             \
    SAE_V(name, bits, u, DOUBLE(bits), sae_v_widen_u##bits(RN.d[half]),                        \
          sae_v_widen_u##bits(RM.d[half]), PUT, x = a | b << BITS / 2)

/* All elements of Rn, one after the other, into `acc`, which begins as `first`. */
#define SAE_V_ACROSS(name, sign, bits, lane, first, ...)                                       \
    static void sae_v_##name##_##bits(pe_t *pe, const op_t *op)                                \
    {                                                                                          \
        const vreg_t *n = &RN;                                                                 \
        const unsigned count = (64 / bits) << IS_Q(op);                                        \
        TYPE(sign, lane) acc = first;                                                          \
        for (unsigned i = 0; i < count; i++) {                                                 \
            const TYPE(sign, bits) a = n->LANES(sign, bits)[i];                                \
            __VA_ARGS__;                                                                       \
        }                                                                                      \
        RD = (vreg_t){ { (uint64_t)acc & sae_v_counts[op->ra].d[0], 0 } };                     \
    }
#define ACROSS(name, sign, bits, ...)                                                          \
    SAE_V_ACROSS(name, sign, bits, bits, n->LANES(sign, bits)[0], __VA_ARGS__)
#define ACROSS_SUM(name, sign, bits, ...)                                                      \
    SAE_V_ACROSS(name, sign, bits, bits, 0, __VA_ARGS__)
#define ACROSS_LONG(name, sign, bits, ...)                                                     \
    SAE_V_ACROSS(name, sign, bits, DOUBLE(bits), 0, __VA_ARGS__)

/* The same for elements of all sizes there are. */
#define HS(shape, name, sign, ...)                                                             \
    shape(name, sign, 16, __VA_ARGS__) shape(name, sign, 32, __VA_ARGS__)
#define BHS(shape, name, sign, ...)                                                            \
    shape(name, sign, 8, __VA_ARGS__) HS(shape, name, sign, __VA_ARGS__)
#define BHSD(shape, name, sign, ...)                                                           \
    BHS(shape, name, sign, __VA_ARGS__) shape(name, sign, 64, __VA_ARGS__)
/* And signed and unsigned. */
#define SU(sizes, shape, name, ...)                                                            \
    sizes(shape, s##name, s, __VA_ARGS__) sizes(shape, u##name, u, __VA_ARGS__)

#endif
