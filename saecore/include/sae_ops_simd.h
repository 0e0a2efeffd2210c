/* Loads, stores and moves of SIMD&FP registers. Part of sae_run.h, behind sae_ops_memory.h, whose
 * forms of addresses these use too. Whatever writes less than a register clears the rest of it,
 * but for lanes. */

#define VD pe->v[op->rd].d
#define VN pe->v[op->rn].d
#define VM pe->v[op->rm].d

OP(fp_check)    /* before the first of these in a block */
    if (SAE_UNLIKELY(pe->fp_trap)) {
        pe->calls->fp_fault(pe, op);
        goto leave;
    }
    NEXT;

/* --- one register, two registers -------------------------------------------------------- */

#define VLOAD(va, bits)                                                                        \
    uint##bits##_t value;                                                                      \
    LOAD(bits, pe->tlb, va, ACCESS_PLAIN, value);                                              \
    VD[0] = value;                                                                             \
    VD[1] = 0;
#define VSTORE(va, bits) STORE(bits, pe->tlb, va, ACCESS_PLAIN, VD[0]);
/* If both are the same register, the second wins. */
#define VLOAD_PAIR(va, bits)                                                                   \
    READ_PAIR(va, bits)                                                                        \
    VD[0] = pair[0];                                                                           \
    VD[1] = 0;                                                                                 \
    VM[0] = pair[1];                                                                           \
    VM[1] = 0;
#define VSTORE_PAIR(va, bits) WRITE_PAIR(va, bits, VD[0], VM[0])

/* 16 bytes: one access, even if it is two words here. */
#define READ_Q(va, low, high)                                                                  \
    do {                                                                                       \
        uint64_t va_ = (va), raw_[2];                                                          \
        const page_t *page_ = PAGE_OF(pe->tlb, va_);                                           \
        if (SAE_LIKELY(page_->read == PAGE_TAG(va_ + 15))) {                                   \
            memcpy(raw_, (const void *)(uintptr_t)(va_ + page_->delta), 16);                   \
            (low) = SAE_LE64(raw_[0]);                                                         \
            (high) = SAE_LE64(raw_[1]);                                                        \
        } else {                                                                               \
            uint64_t slow_[2];                                                                 \
            if (pe->calls->read(pe, op, va_, 16, ACCESS_PLAIN, slow_))                         \
                goto leave;                                                                    \
            (low) = SAE_LE64(slow_[0]);                                                        \
            (high) = SAE_LE64(slow_[1]);                                                       \
        }                                                                                      \
    } while (0)
#define WRITE_Q(va, d)                                                                         \
    do {                                                                                       \
        uint64_t va_ = (va), raw_[2] = { SAE_LE64((d)[0]), SAE_LE64((d)[1]) };                 \
        const page_t *page_ = PAGE_OF(pe->tlb, va_);                                           \
        if (SAE_LIKELY(page_->write == PAGE_TAG(va_ + 15))) {                                  \
            memcpy((void *)(uintptr_t)(va_ + page_->delta), raw_, 16);                         \
        } else {                                                                               \
            uint64_t slow_[2] = { raw_[0], raw_[1] };                                          \
            if (pe->calls->write(pe, op, va_, 16, ACCESS_PLAIN, slow_))                        \
                goto leave;                                                                    \
        }                                                                                      \
    } while (0)

#define VLOAD_Q(va, bytes)                                                                     \
    uint64_t low, high;                                                                        \
    READ_Q(va, low, high);                                                                     \
    VD[0] = low;                                                                               \
    VD[1] = high;
#define VSTORE_Q(va, bytes) WRITE_Q(va, VD);
#define VLOAD_PAIR_Q(va, bytes)                                                                \
    uint64_t at = (va), words[4];                                                              \
    READ_Q(at, words[0], words[1]);                                                            \
    READ_Q(at + bytes, words[2], words[3]);                                                    \
    VD[0] = words[0];                                                                          \
    VD[1] = words[1];                                                                          \
    VM[0] = words[2];                                                                          \
    VM[1] = words[3];
#define VSTORE_PAIR_Q(va, bytes)                                                               \
    uint64_t at = (va);                                                                        \
    WRITE_Q(at, VD);                                                                           \
    WRITE_Q(at + bytes, VM);

FORMS(vst8, VSTORE, 8)
FORMS(vld8, VLOAD, 8)
FORMS(vst16, VSTORE, 16)
FORMS(vld16, VLOAD, 16)
FORMS(vst32, VSTORE, 32)
FORMS(vld32, VLOAD, 32)
FORMS(vst64, VSTORE, 64)
FORMS(vld64, VLOAD, 64)
FORMS(vst128, VSTORE_Q, 16)
FORMS(vld128, VLOAD_Q, 16)
PAIR_FORMS(vstp32, VSTORE_PAIR, 32)
PAIR_FORMS(vldp32, VLOAD_PAIR, 32)
PAIR_FORMS(vstp64, VSTORE_PAIR, 64)
PAIR_FORMS(vldp64, VLOAD_PAIR, 64)
PAIR_FORMS(vstp128, VSTORE_PAIR_Q, 16)
PAIR_FORMS(vldp128, VLOAD_PAIR_Q, 16)

/* --- structures ------------------------------------------------------------------------- */

/* `bytes` of memory in elements, each an access of its own where the slow path is taken, as words
 * (sae_vector.h). */
#define READ_WORDS(va, bytes, log2, words)                                                     \
    uint64_t at = (va);                                                                        \
    const page_t *page = PAGE_OF(pe->tlb, at);                                                 \
    unsigned done;                                                                             \
    if (SAE_LIKELY(page->read == PAGE_TAG(at + (bytes) - 1))) {                                \
        memcpy(words, (const void *)(uintptr_t)(at + page->delta), bytes);                     \
    } else {                                                                                   \
        for (done = 0; done < (bytes); done += 1u << (log2))                                   \
            if (pe->calls->read(pe, op, at + done, 1u << (log2), ACCESS_PLAIN,                 \
                                (uint8_t *)words + done))                                      \
                goto leave;                                                                    \
    }                                                                                          \
    for (done = 0; done < sizeof(words) / 8; done++)                                           \
        words[done] = SAE_LE64(words[done]);
#define WRITE_WORDS(va, bytes, log2, words)                                                    \
    uint64_t at = (va);                                                                        \
    const page_t *page = PAGE_OF(pe->tlb, at);                                                 \
    unsigned done;                                                                             \
    for (done = 0; done < sizeof(words) / 8; done++)                                           \
        words[done] = SAE_LE64(words[done]);                                                   \
    if (SAE_LIKELY(page->write == PAGE_TAG(at + (bytes) - 1))) {                               \
        memcpy((void *)(uintptr_t)(at + page->delta), words, bytes);                           \
    } else {                                                                                   \
        for (done = 0; done < (bytes); done += 1u << (log2))                                   \
            if (pe->calls->write(pe, op, at + done, 1u << (log2), ACCESS_PLAIN,                \
                                 (uint8_t *)words + done))                                     \
                goto leave;                                                                    \
    }

/* imm bytes of elements of log2 size rm, ra registers from D on. Their writeback is an operation
 * of its own (add_base). imm2 says whether elements of several registers alternate. */
OP(vst_multiple) {
    uint64_t words[8] = { 0 };
    sae_structures(pe->v, op->rd, op->ra, op->imm2 != 0, op->imm2 ? op->rm : 3, IMM, words, 0);
    WRITE_WORDS(XN, IMM, op->rm, words)
}
NEXT;
OP(vld_multiple) {
    uint64_t words[8] = { 0 };
    READ_WORDS(XN, IMM, op->rm, words)
    sae_structures(pe->v, op->rd, op->ra, op->imm2 != 0, op->imm2 ? op->rm : 3, IMM, words, 1);
}
NEXT;

/* One element of each register: imm2 is which. */
#define EACH_REGISTER(index) for (index = 0; index < op->ra; index++)
#define VEACH(index) pe->v[(op->rd + index) & 31].d
OP(vst_lane) {
    uint64_t words[4] = { 0 };
    unsigned index;
    EACH_REGISTER(index)
        sae_set_element(words, op->rm, index, sae_element(VEACH(index), op->rm, op->imm2));
    WRITE_WORDS(XN, IMM, op->rm, words)
}
NEXT;
OP(vld_lane) {
    uint64_t words[4] = { 0 };
    unsigned index;
    READ_WORDS(XN, IMM, op->rm, words)
    EACH_REGISTER(index)
        sae_set_element(VEACH(index), op->rm, op->imm2, sae_element(words, op->rm, index));
}
NEXT;
/* One element to all of a register: imm2 is what stays of its upper half. */
OP(vld_replicate) {
    uint64_t words[4] = { 0 };
    unsigned index;
    READ_WORDS(XN, IMM, op->rm, words)
    EACH_REGISTER(index) {
        VEACH(index)[0] = sae_replicate(sae_element(words, op->rm, index), op->rm);
        VEACH(index)[1] = VEACH(index)[0] & op->imm2;
    }
}
NEXT;

/* --- immediates, bit by bit ------------------------------------------------------------- */

OP(vset)
    VD[0] = IMM;
    VD[1] = op->imm2;
    NEXT;
OP(vorr_imm)    /* imm2 is what stays of the upper half */
    VD[0] |= IMM;
    VD[1] = (VD[1] | IMM) & op->imm2;
    NEXT;
OP(vand_imm)
    VD[0] &= IMM;
    VD[1] &= IMM & op->imm2;
    NEXT;

/* imm is what stays of the upper half. */
#define BITWISE(name, result)                                                                  \
    OP(v##name) {                                                                              \
        uint64_t half[2];                                                                      \
        unsigned i;                                                                            \
        for (i = 0; i < 2; i++) {                                                              \
            uint64_t n = VN[i], m = VM[i], d = VD[i];                                          \
            (void)d;                                                                           \
            half[i] = (result);                                                                \
        }                                                                                      \
        VD[0] = half[0];                                                                       \
        VD[1] = half[1] & IMM;                                                                 \
    }                                                                                          \
    NEXT;

BITWISE(and, n & m)
BITWISE(bic, n & ~m)
BITWISE(orr, n | m)
BITWISE(orn, n | ~m)
BITWISE(eor, n ^ m)
BITWISE(bsl, (n & d) | (m & ~d))
BITWISE(bit, (n & m) | (d & ~m))
BITWISE(bif, (n & ~m) | (d & m))

/* --- elements --------------------------------------------------------------------------- */

/* Of log2 size ra, the one read being rm. imm is what stays of the upper half. */
OP(vdup) {
    uint64_t value = sae_replicate(sae_element(VN, op->ra, op->rm), op->ra);
    VD[0] = value;
    VD[1] = value & IMM;
}
NEXT;
OP(vdup_x) {
    uint64_t value = sae_replicate(XN, op->ra);
    VD[0] = value;
    VD[1] = value & IMM;
}
NEXT;
OP(vscalar)     /* the element alone */
    VD[0] = sae_element(VN, op->ra, op->rm);
    VD[1] = 0;
    NEXT;
OP(vscalar_x)   /* imm says how much of the register */
    VD[0] = XN & IMM;
    VD[1] = 0;
    NEXT;
OP(vins)        /* to the element imm */
    sae_set_element(VD, op->ra, IMM, sae_element(VN, op->ra, op->rm));
    NEXT;
OP(vins_x)      /* to the element rm */
    sae_set_element(VD, op->ra, op->rm, XN);
    NEXT;
OP(umov)
    XD = sae_element(VN, op->ra, op->rm);
    NEXT;
OP(smov) {      /* imm is what stays of the result */
    unsigned spare = 64 - (8u << op->ra);
    XD = (uint64_t)((int64_t)(sae_element(VN, op->ra, op->rm) << spare) >> spare) & IMM;
}
NEXT;
