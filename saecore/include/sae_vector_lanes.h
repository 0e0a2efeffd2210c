/* How integer operations of vectors are written: what one element of the result is, once for each
 * operation, of all elements at once or in a loop over them that the compiler vectorises.
 *
 * Every operation is a function (op_fn) that finds in `op`
 *   rd, rn, rm  registers;
 *   ra          how much of the result counts, as the logarithm of its bytes: the rest is zero;
 *   imm         bit 0: Q, which in long and narrow forms says which half of a register; the upper
 *               half: the number of bits to shift by, or of an element.
 *
 * What an element is, is said by a statement. It sees
 *   a, b        the elements of Rn and Rm, of the type T;
 *   d           what was in Rd, of the type U;
 *   k           the number in `imm`, and `last`, the one before it;
 *   x           the result, of the type U, which it sets;
 *   q           which it sets to 1 if the result is saturated;
 *   T, U, BITS  the type of the elements, the same unsigned, and its bits;
 *   W           a type of twice the bits.
 * In shapes with _V all of these are whole vectors (GNU C's), for a statement that C allows of
 * them; there is no q and no W. They do not depend on the compiler to find out that a loop is a
 * vector's, and elements of less than 32 bits are no ints as soon as they are shifted. */
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

#define RD pe->v[op->rd]
#define RN pe->v[op->rn]
#define RM pe->v[op->rm]
#define ALL_N sae_get(&RN)
#define ALL_M sae_get(&RM)
#define IS_Q(op) ((unsigned)((op)->imm & 1))
#define NUMBER(op) ((unsigned)((op)->imm >> 32))

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

/* --- elements made half as wide, and twice ------------------------------------------------ */

/* The words of a register so that the elements of both are in one order, up or down. */
static inline sae_pair_t sae_v_in_order(sae_pair_t v)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return (sae_pair_t){ v[1], v[0] };
#else
    return v;
#endif
}

/* The lower halves of elements. */
#define SAE_V_HALF(bits)                                                                       \
    typedef TYPE(u, DOUBLE(bits)) sae_v_wide_##bits __attribute__((vector_size(16)));          \
    typedef TYPE(u, bits) sae_v_half_##bits __attribute__((vector_size(8)));                   \
    static inline uint64_t sae_v_narrow_##bits(sae_pair_t from)                                \
    {                                                                                          \
        const sae_v_wide_##bits wide = (sae_v_wide_##bits)sae_v_in_order(from);                \
        const sae_v_half_##bits half = __builtin_convertvector(wide, sae_v_half_##bits);       \
        uint64_t word;                                                                         \
        memcpy(&word, &half, 8);                                                               \
        return word;                                                                           \
    }                                                                                          \
    static inline uint64_t sae_v_upper_##bits(sae_pair_t from)                                 \
    {                                                                                          \
        return sae_v_narrow_##bits((sae_pair_t)((sae_v_wide_##bits)from >> bits));             \
    }
SAE_V_HALF(8)
SAE_V_HALF(16)
SAE_V_HALF(32)
static inline uint64_t sae_v_narrow_64(sae_pair_t from) { return from[0]; }
static inline uint64_t sae_v_upper_64(sae_pair_t from) { return from[1]; }

/* Elements of a word. */
#define SAE_V_WIDEN(sign, bits)                                                                \
    static inline sae_pair_t sae_v_widen_##sign##bits(uint64_t word)                           \
    {                                                                                          \
        typedef TYPE(sign, DOUBLE(bits)) wide_t __attribute__((vector_size(16)));              \
        TYPE(sign, bits) half __attribute__((vector_size(8)));                                 \
        memcpy(&half, &word, 8);                                                               \
        return sae_v_in_order((sae_pair_t)__builtin_convertvector(half, wide_t));              \
    }
SAE_V_WIDEN(s, 8)
SAE_V_WIDEN(s, 16)
SAE_V_WIDEN(s, 32)
SAE_V_WIDEN(u, 8)
SAE_V_WIDEN(u, 16)
SAE_V_WIDEN(u, 32)

/* --- results ---------------------------------------------------------------------------- */

/* What counts of a result of 1, 2, 4, 8 and 16 bytes. */
static const vreg_t sae_v_counts[] = {
    { { 0xFF, 0 } }, { { 0xFFFF, 0 } }, { { 0xFFFFFFFF, 0 } }, { { UINT64_MAX, 0 } },
    { { UINT64_MAX, UINT64_MAX } },
};

static inline void sae_v_put(pe_t *pe, const op_t *op, sae_pair_t r, sae_pair_t q)
{
    (void)q;
    sae_put(&RD, r & sae_get(&sae_v_counts[op->ra]));
}

/* `q` is not zero where elements are saturated. */
static inline void sae_v_put_q(pe_t *pe, const op_t *op, sae_pair_t r, sae_pair_t q)
{
    q &= sae_get(&sae_v_counts[op->ra]);
    if (q[0] | q[1])
        pe->fpsr |= FPSR_QC;
    sae_v_put(pe, op, r, q);
}

/* The lower halves of elements, for the lower half of a register; or, if all of its 16 bytes count,
 * for its upper one, which leaves the other alone. */
static inline void sae_v_put_half(pe_t *pe, const op_t *op, uint64_t half)
{
    half &= sae_v_counts[op->ra].d[0];
    sae_put(&RD, op->ra == 4 ? (sae_pair_t){ RD.d[0], half } : (sae_pair_t){ half, 0 });
}
#define SAE_V_NARROW(bits)                                                                     \
    static inline void sae_v_put_narrow_##bits(pe_t *pe, const op_t *op, sae_pair_t r,         \
                                               sae_pair_t q)                                   \
    {                                                                                          \
        (void)q;                                                                               \
        sae_v_put_half(pe, op, sae_v_narrow_##bits(r));                                        \
    }                                                                                          \
    static inline void sae_v_put_narrow_q_##bits(pe_t *pe, const op_t *op, sae_pair_t r,       \
                                                 sae_pair_t q)                                 \
    {                                                                                          \
        if (sae_v_narrow_##bits(q) & sae_v_counts[op->ra].d[0])                                \
            pe->fpsr |= FPSR_QC;                                                               \
        sae_v_put_half(pe, op, sae_v_narrow_##bits(r));                                        \
    }
SAE_V_NARROW(8)
SAE_V_NARROW(16)
SAE_V_NARROW(32)

/* --- operands --------------------------------------------------------------------------- */

/* One element of Rm, everywhere. */
#define SAE_V_ELEMENT(bits)                                                                    \
    static inline sae_pair_t sae_v_element_##bits(const pe_t *pe, const op_t *op)              \
    {                                                                                          \
        TYPE(u, bits) all __attribute__((vector_size(16))) = { 0 };                            \
        return (sae_pair_t)(all + RM.LANES(u, bits)[LANE(NUMBER(op), bits)]);                  \
    }
SAE_V_ELEMENT(16)
SAE_V_ELEMENT(32)

/* Every other element of Rn and Rm, as if they were one register: those with an even number, or
 * those with an odd one. */
#define SAE_V_EVERY_OTHER(bits)                                                                \
    static inline sae_pair_t sae_v_every_other_##bits(const pe_t *pe, const op_t *op, int odd) \
    {                                                                                          \
        const sae_pair_t first = { RN.d[0], IS_Q(op) ? RN.d[1] : RM.d[0] }, second = ALL_M;    \
        return odd ? (sae_pair_t){ sae_v_upper_##bits(first), sae_v_upper_##bits(second) }     \
                   : (sae_pair_t){ sae_v_narrow_##bits(first), sae_v_narrow_##bits(second) };  \
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
        const unsigned k = NUMBER(op), last = k - 1;                                           \
        const vreg_t old = RD;                                                                 \
        vreg_t n, m, r, saturated;                                                             \
        sae_put(&n, N);                                                                        \
        sae_put(&m, M);                                                                        \
        EACH_LANE(lane) for (unsigned i = 0; i < 128 / lane; i++) {                            \
            const T a = n.LANES(sign, lane)[i], b = m.LANES(sign, lane)[i];                    \
            const U d = old.LANES(u, lane)[i];                                                 \
            U x, q = 0;                                                                        \
            (void)a, (void)b, (void)d, (void)last, (void)sizeof(W);                            \
            __VA_ARGS__;                                                                       \
            r.LANES(u, lane)[i] = x;                                                           \
            saturated.LANES(u, lane)[i] = q;                                                   \
        }                                                                                      \
        PUT(pe, op, sae_get(&r), sae_get(&saturated));                                         \
    }

/* The same, all at once. */
#define SAE_V_V(name, bits, sign, lane, N, M, PUT, ...)                                        \
    static void sae_v_##name##_##bits(pe_t *pe, const op_t *op)                                \
    {                                                                                          \
        typedef TYPE(sign, lane) T __attribute__((vector_size(16)));                           \
        typedef TYPE(u, lane) U __attribute__((vector_size(16)));                              \
        enum { BITS = lane };                                                                  \
        const TYPE(u, lane) k = (TYPE(u, lane))NUMBER(op), last = (TYPE(u, lane))(k - 1);      \
        const T a = (T)(N), b = (T)(M);                                                        \
        const U d = (U)sae_get(&RD);                                                           \
        U x;                                                                                   \
        (void)a, (void)b, (void)d, (void)last, (void)BITS;                                     \
        __VA_ARGS__;                                                                           \
        PUT(pe, op, (sae_pair_t)x, (sae_pair_t){ 0, 0 });                                      \
    }

/* Elements at the same place. Shapes with _Q are of operations that saturate. */
#define MAP_BY(V, name, sign, bits, ...)                                                       \
    V(name, bits, sign, bits, ALL_N, ALL_M, sae_v_put, __VA_ARGS__)
#define MAP(...) MAP_BY(SAE_V, __VA_ARGS__)
#define MAP_V(...) MAP_BY(SAE_V_V, __VA_ARGS__)
#define MAP_Q(name, sign, bits, ...)                                                           \
    SAE_V(name, bits, sign, bits, ALL_N, ALL_M, sae_v_put_q, __VA_ARGS__)
/* A register and zero. */
#define ZERO_V(name, sign, bits, ...)                                                          \
    SAE_V_V(name##_zero, bits, sign, bits, ALL_N, ((sae_pair_t){ 0, 0 }), sae_v_put, __VA_ARGS__)
/* With the same element of Rm each. */
#define ELEMENT_BY(V, PUT, name, sign, bits, ...)                                              \
    V(name##_element, bits, sign, bits, ALL_N, sae_v_element_##bits(pe, op), PUT, __VA_ARGS__)
#define ELEMENT(...) ELEMENT_BY(SAE_V, sae_v_put, __VA_ARGS__)
#define ELEMENT_V(...) ELEMENT_BY(SAE_V_V, sae_v_put, __VA_ARGS__)
#define ELEMENT_Q(...) ELEMENT_BY(SAE_V, sae_v_put_q, __VA_ARGS__)
/* Neighbours in a register. */
#define PAIRS_BY(V, name, sign, bits, ...)                                                     \
    V(name, bits, sign, bits, sae_v_every_other_##bits(pe, op, 0),                             \
      sae_v_every_other_##bits(pe, op, 1), sae_v_put, __VA_ARGS__)
#define PAIRS(...) PAIRS_BY(SAE_V, __VA_ARGS__)
#define PAIRS_V(...) PAIRS_BY(SAE_V_V, __VA_ARGS__)
/* A register of wide elements and half of another. */
#define WIDE_V(name, sign, bits, ...)                                                          \
    SAE_V_V(name, bits, sign, DOUBLE(bits), ALL_N, sae_v_widen_##sign##bits(RM.d[IS_Q(op)]),   \
            sae_v_put, __VA_ARGS__)
/* Halves of both, to wide elements; or of the first and one element. */
#define LONG_BY(V, M, PUT, name, sign, bits, ...)                                              \
    V(name, bits, sign, DOUBLE(bits), sae_v_widen_##sign##bits(RN.d[IS_Q(op)]),                \
      sae_v_widen_##sign##bits(M), PUT, __VA_ARGS__)
#define LONG(...) LONG_BY(SAE_V, RM.d[IS_Q(op)], sae_v_put, __VA_ARGS__)
#define LONG_V(...) LONG_BY(SAE_V_V, RM.d[IS_Q(op)], sae_v_put, __VA_ARGS__)
#define LONG_Q(...) LONG_BY(SAE_V, RM.d[IS_Q(op)], sae_v_put_q, __VA_ARGS__)
#define LONG_ELEMENT_V(name, sign, bits, ...)                                                  \
    LONG_BY(SAE_V_V, sae_v_element_##bits(pe, op)[0], sae_v_put, name##_element, sign, bits,   \
            __VA_ARGS__)
#define LONG_ELEMENT_Q(name, sign, bits, ...)                                                  \
    LONG_BY(SAE_V, sae_v_element_##bits(pe, op)[0], sae_v_put_q, name##_element, sign, bits,   \
            __VA_ARGS__)
/* Wide elements, of whose result the lower half counts. */
#define NARROW_BY(V, name, sign, bits, ...)                                                    \
    V(name, bits, sign, DOUBLE(bits), ALL_N, ALL_M, sae_v_put_narrow_##bits, __VA_ARGS__)
#define NARROW(...) NARROW_BY(SAE_V, __VA_ARGS__)
#define NARROW_V(...) NARROW_BY(SAE_V_V, __VA_ARGS__)
#define NARROW_Q(name, sign, bits, ...)                                                        \
    SAE_V(name, bits, sign, DOUBLE(bits), ALL_N, ALL_M, sae_v_put_narrow_q_##bits, __VA_ARGS__)
/* Wide elements, whose halves are a pair. */
#define HALVES(name, sign, bits, ...)                                                          \
    SAE_V(name, bits, sign, DOUBLE(bits), ALL_N, ALL_M, sae_v_put, __VA_ARGS__)
/* Elements that are parts of wider ones, which are of `lane` bits. */
#define PARTS(name, bits, lane, ...)                                                           \
    SAE_V(name, bits, u, lane, ALL_N, ALL_M, sae_v_put, __VA_ARGS__)
/* Elements of halves of both in turn, which are the halves of wide elements. */
#define ZIP_V(name, half, PUT, bits)                                                           \
    SAE_V_V(name, bits, u, DOUBLE(bits), sae_v_widen_u##bits(RN.d[half]),                      \
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
