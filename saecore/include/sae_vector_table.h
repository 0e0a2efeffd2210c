/* Which function does what encodings/vector.py describes, by the size of its elements. */
#ifndef SAE_VECTOR_TABLE_H
#define SAE_VECTOR_TABLE_H
#include "sae_a64.h"
#include "sae_vector_ops.h"

/* How much of the result counts. */
enum {
    RESULT_SAME,    /* as many bytes as the operands have: 8, 16, or those of one element */
    RESULT_WIDE,    /* 16, or a wide element */
    RESULT_NARROW,  /* 8, or an element */
    RESULT_ONE,     /* an element, of a whole vector */
    RESULT_ONE_WIDE,
};
/* What number the operation takes from the instruction. */
enum {
    NUMBER_NONE,
    NUMBER_RIGHT,   /* by how much to shift */
    NUMBER_LEFT,
    NUMBER_INDEX,   /* of an element of Rm */
    NUMBER_INDEX_S, /* of one of 32 bits, whatever the size bits are */
    NUMBER_SIZE,    /* the bits of an element */
    NUMBER_BYTE,    /* of the first byte of EXT */
    NUMBER_TABLE,   /* of registers behind the first of a table */
};

typedef struct {
    op_fn *by_size[4];      /* NULL: no such instruction */
    uint8_t result, number;
} sae_vector_t;

#define OF_B(name) { sae_v_##name##_8 }
#define OF_BH(name) { sae_v_##name##_8, sae_v_##name##_16 }
#define OF_HS(name) { NULL, sae_v_##name##_16, sae_v_##name##_32 }
#define OF_BHS(name) { sae_v_##name##_8, sae_v_##name##_16, sae_v_##name##_32 }
#define OF_BHSD(name)                                                                          \
    { sae_v_##name##_8, sae_v_##name##_16, sae_v_##name##_32, sae_v_##name##_64 }
#define OF_S(name) { NULL, NULL, sae_v_##name##_32 }
/* Operations of bytes and words whose size bits say otherwise. */
#define OF_H_BYTES(name) { NULL, sae_v_##name##_8 }
#define OF_B_WORDS(name) { sae_v_##name##_32 }
#define OF_D(name) { NULL, NULL, NULL, sae_v_##name##_64 }

#define ROW(key, fns, result, number)                                                          \
    [ENC_##key - ENC_shadd_vector] = { fns, RESULT_##result, NUMBER_##number },
#define VECTOR(name, sizes, result) ROW(name##_vector, OF_##sizes(name), result, NONE)
#define SCALAR(name, sizes, result) ROW(name##_scalar, OF_##sizes(name), result, NONE)
/* The same sizes too, or D only, of single elements. */
#define BOTH(name, sizes, result) VECTOR(name, sizes, result) SCALAR(name, sizes, result)
#define OR_D(name, sizes, result) VECTOR(name, sizes, result) SCALAR(name, D, result)
#define SIGNED_OR_NOT(macro, name, sizes, result)                                              \
    macro(s##name, sizes, result) macro(u##name, sizes, result)
#define SHIFT_BOTH(name, fn, sizes, scalars, result, direction)                                \
    ROW(name##_imm_vector, OF_##sizes(fn), result, direction)                                  \
    ROW(name##_imm_scalar, OF_##scalars(fn), result, direction)
#define SHIFT_VECTOR(name, result, direction)                                                  \
    ROW(name##_imm_vector, OF_BHS(name), result, direction)
#define BY_VECTOR(name, result)                                                                \
    ROW(name##_element_vector, OF_HS(name##_element), result, INDEX)
#define BY_BOTH(name, result)                                                                  \
    BY_VECTOR(name, result)                                                                    \
    ROW(name##_element_scalar, OF_HS(name##_element), result, INDEX)

static const sae_vector_t sae_vectors[] = {
    /* Three registers. */
    SIGNED_OR_NOT(VECTOR, hadd, BHS, SAME)
    SIGNED_OR_NOT(BOTH, qadd, BHSD, SAME)
    SIGNED_OR_NOT(VECTOR, rhadd, BHS, SAME)
    SIGNED_OR_NOT(VECTOR, hsub, BHS, SAME)
    SIGNED_OR_NOT(BOTH, qsub, BHSD, SAME)
    OR_D(cmgt, BHSD, SAME)
    OR_D(cmhi, BHSD, SAME)
    OR_D(cmge, BHSD, SAME)
    OR_D(cmhs, BHSD, SAME)
    SIGNED_OR_NOT(OR_D, shl, BHSD, SAME)
    SIGNED_OR_NOT(BOTH, qshl, BHSD, SAME)
    SIGNED_OR_NOT(OR_D, rshl, BHSD, SAME)
    SIGNED_OR_NOT(BOTH, qrshl, BHSD, SAME)
    SIGNED_OR_NOT(VECTOR, max, BHS, SAME)
    SIGNED_OR_NOT(VECTOR, min, BHS, SAME)
    SIGNED_OR_NOT(VECTOR, abd, BHS, SAME)
    SIGNED_OR_NOT(VECTOR, aba, BHS, SAME)
    OR_D(add, BHSD, SAME)
    OR_D(sub, BHSD, SAME)
    OR_D(cmtst, BHSD, SAME)
    OR_D(cmeq, BHSD, SAME)
    VECTOR(mla, BHS, SAME)
    VECTOR(mls, BHS, SAME)
    VECTOR(mul, BHS, SAME)
    VECTOR(pmul, B, SAME)
    SIGNED_OR_NOT(VECTOR, maxp, BHS, SAME)
    SIGNED_OR_NOT(VECTOR, minp, BHS, SAME)
    BOTH(sqdmulh, HS, SAME)
    BOTH(sqrdmulh, HS, SAME)
    BOTH(sqrdmlah, HS, SAME)
    BOTH(sqrdmlsh, HS, SAME)
    VECTOR(addp, BHSD, SAME)
    ROW(addp_scalar, OF_D(addv), ONE, NONE)
    VECTOR(sdot, S, SAME)
    VECTOR(udot, S, SAME)
    VECTOR(usdot, S, SAME)
    VECTOR(smmla, S, SAME)
    VECTOR(ummla, S, SAME)
    VECTOR(usmmla, S, SAME)
    VECTOR(uzp1, BHSD, SAME)
    VECTOR(uzp2, BHSD, SAME)
    VECTOR(trn1, BHSD, SAME)
    VECTOR(trn2, BHSD, SAME)
    VECTOR(zip1, BHSD, SAME)
    VECTOR(zip2, BHSD, SAME)
    ROW(ext_8b, OF_B(ext), SAME, BYTE)
    ROW(ext_16b, OF_B(ext), SAME, BYTE)
    ROW(tbl_vector, OF_B(tbl), SAME, TABLE)
    ROW(tbx_vector, OF_B(tbx), SAME, TABLE)

    /* Wide and narrow. */
    SIGNED_OR_NOT(VECTOR, addl, BHS, WIDE)
    SIGNED_OR_NOT(VECTOR, addw, BHS, WIDE)
    SIGNED_OR_NOT(VECTOR, subl, BHS, WIDE)
    SIGNED_OR_NOT(VECTOR, subw, BHS, WIDE)
    VECTOR(addhn, BHS, NARROW)
    VECTOR(raddhn, BHS, NARROW)
    VECTOR(subhn, BHS, NARROW)
    VECTOR(rsubhn, BHS, NARROW)
    SIGNED_OR_NOT(VECTOR, abal, BHS, WIDE)
    SIGNED_OR_NOT(VECTOR, abdl, BHS, WIDE)
    SIGNED_OR_NOT(VECTOR, mlal, BHS, WIDE)
    SIGNED_OR_NOT(VECTOR, mlsl, BHS, WIDE)
    SIGNED_OR_NOT(VECTOR, mull, BHS, WIDE)
    BOTH(sqdmlal, HS, WIDE)
    BOTH(sqdmlsl, HS, WIDE)
    BOTH(sqdmull, HS, WIDE)
    VECTOR(pmull, B, WIDE)
    ROW(pmull_1q, OF_D(pmull), WIDE, NONE)

    /* Two registers. */
    VECTOR(rev64, BHS, SAME)
    VECTOR(rev32, BH, SAME)
    VECTOR(rev16, B, SAME)
    SIGNED_OR_NOT(VECTOR, addlp, BHS, SAME)
    SIGNED_OR_NOT(VECTOR, adalp, BHS, SAME)
    BOTH(suqadd, BHSD, SAME)
    BOTH(usqadd, BHSD, SAME)
    VECTOR(cls, BHS, SAME)
    VECTOR(clz, BHS, SAME)
    VECTOR(cnt, B, SAME)
    VECTOR(not, B, SAME)
    VECTOR(rbit, H_BYTES, SAME)
    BOTH(sqabs, BHSD, SAME)
    BOTH(sqneg, BHSD, SAME)
    OR_D(cmgt_zero, BHSD, SAME)
    OR_D(cmge_zero, BHSD, SAME)
    OR_D(cmeq_zero, BHSD, SAME)
    OR_D(cmle_zero, BHSD, SAME)
    OR_D(cmlt_zero, BHSD, SAME)
    OR_D(abs, BHSD, SAME)
    OR_D(neg, BHSD, SAME)
    VECTOR(xtn, BHS, NARROW)
    BOTH(sqxtun, BHS, NARROW)
    SIGNED_OR_NOT(BOTH, qxtn, BHS, NARROW)
    ROW(shll_vector, OF_BHS(ushll), WIDE, SIZE)
    VECTOR(urecpe, S, SAME)
    VECTOR(ursqrte, S, SAME)
    SIGNED_OR_NOT(VECTOR, addlv, BHS, ONE_WIDE)
    SIGNED_OR_NOT(VECTOR, maxv, BHS, ONE)
    SIGNED_OR_NOT(VECTOR, minv, BHS, ONE)
    VECTOR(addv, BHS, ONE)

    /* Shifts by a number. */
    SHIFT_BOTH(sshr, sshr, BHSD, D, SAME, RIGHT)
    SHIFT_BOTH(ushr, ushr, BHSD, D, SAME, RIGHT)
    SHIFT_BOTH(ssra, ssra, BHSD, D, SAME, RIGHT)
    SHIFT_BOTH(usra, usra, BHSD, D, SAME, RIGHT)
    SHIFT_BOTH(srshr, srshr, BHSD, D, SAME, RIGHT)
    SHIFT_BOTH(urshr, urshr, BHSD, D, SAME, RIGHT)
    SHIFT_BOTH(srsra, srsra, BHSD, D, SAME, RIGHT)
    SHIFT_BOTH(ursra, ursra, BHSD, D, SAME, RIGHT)
    SHIFT_BOTH(sri, sri, BHSD, D, SAME, RIGHT)
    SHIFT_BOTH(shl, shl, BHSD, D, SAME, LEFT)
    SHIFT_BOTH(sli, sli, BHSD, D, SAME, LEFT)
    SHIFT_BOTH(sqshlu, sqshlu, BHSD, BHSD, SAME, LEFT)
    SHIFT_BOTH(sqshl, sqshl_imm, BHSD, BHSD, SAME, LEFT)
    SHIFT_BOTH(uqshl, uqshl_imm, BHSD, BHSD, SAME, LEFT)
    SHIFT_VECTOR(shrn, NARROW, RIGHT)
    SHIFT_VECTOR(rshrn, NARROW, RIGHT)
    SHIFT_BOTH(sqshrun, sqshrun, BHS, BHS, NARROW, RIGHT)
    SHIFT_BOTH(sqrshrun, sqrshrun, BHS, BHS, NARROW, RIGHT)
    SHIFT_BOTH(sqshrn, sqshrn, BHS, BHS, NARROW, RIGHT)
    SHIFT_BOTH(uqshrn, uqshrn, BHS, BHS, NARROW, RIGHT)
    SHIFT_BOTH(sqrshrn, sqrshrn, BHS, BHS, NARROW, RIGHT)
    SHIFT_BOTH(uqrshrn, uqrshrn, BHS, BHS, NARROW, RIGHT)
    SHIFT_VECTOR(sshll, WIDE, LEFT)
    SHIFT_VECTOR(ushll, WIDE, LEFT)

    /* By an element. */
    BY_VECTOR(mla, SAME)
    BY_VECTOR(mls, SAME)
    BY_VECTOR(mul, SAME)
    BY_VECTOR(smlal, WIDE)
    BY_VECTOR(umlal, WIDE)
    BY_VECTOR(smlsl, WIDE)
    BY_VECTOR(umlsl, WIDE)
    BY_VECTOR(smull, WIDE)
    BY_VECTOR(umull, WIDE)
    BY_BOTH(sqdmlal, WIDE)
    BY_BOTH(sqdmlsl, WIDE)
    BY_BOTH(sqdmull, WIDE)
    BY_BOTH(sqdmulh, SAME)
    BY_BOTH(sqrdmulh, SAME)
    BY_BOTH(sqrdmlah, SAME)
    BY_BOTH(sqrdmlsh, SAME)
    ROW(sdot_element, OF_S(sdot_element), SAME, INDEX_S)
    ROW(udot_element, OF_S(udot_element), SAME, INDEX_S)
    ROW(usdot_element, OF_S(usdot_element), SAME, INDEX_S)
    ROW(sudot_element, OF_B_WORDS(sudot_element), SAME, INDEX_S)
};

/* The operation that is a copy of a function, where it makes so many bytes; or OP_call. */
static inline uint16_t sae_v_operation(op_fn *fn, unsigned log2)
{
    static const struct {
        op_fn *fn;
        unsigned log2;
        uint16_t code;
    } copies[] = {
#define COPY(name, bytes) { sae_v_##name, bytes, OP_v_##name },
        SAE_EACH_INLINED(COPY)
#undef COPY
    };
    for (unsigned i = 0; i < sizeof(copies) / sizeof(*copies); i++)
        if (copies[i].fn == fn && copies[i].log2 == log2)
            return copies[i].code;
    return OP_call;
}

#endif
