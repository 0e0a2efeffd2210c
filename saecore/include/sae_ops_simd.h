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

/* 16 bytes: one access. They are copied as one value, too: a function that reads the register
 * behind a load would wait for two stores of half of it. */
#define READ_Q(va, value)                                                                      \
    do {                                                                                       \
        uint64_t va_ = (va);                                                                   \
        const page_t *page_ = PAGE_OF(pe->tlb, va_);                                           \
        if (SAE_LIKELY(page_->read == PAGE_TAG(va_ + 15))) {                                   \
            memcpy(&(value), (const void *)(uintptr_t)(va_ + page_->delta), 16);               \
        } else {                                                                               \
            vreg_t slow_;                                                                      \
            if (pe->calls->read(pe, op, va_, 16, ACCESS_PLAIN, &slow_))                        \
                goto leave;                                                                    \
            (value) = slow_;                                                                   \
        }                                                                                      \
        (value) = sae_q(value);                                                                \
    } while (0)
#define WRITE_Q(va, value)                                                                     \
    do {                                                                                       \
        uint64_t va_ = (va);                                                                   \
        const vreg_t raw_ = sae_q(value);                                                      \
        const page_t *page_ = PAGE_OF(pe->tlb, va_);                                           \
        if (SAE_LIKELY(page_->write == PAGE_TAG(va_ + 15))) {                                  \
            memcpy((void *)(uintptr_t)(va_ + page_->delta), &raw_, 16);                        \
        } else {                                                                               \
            vreg_t slow_ = raw_;                                                               \
            if (pe->calls->write(pe, op, va_, 16, ACCESS_PLAIN, &slow_))                       \
                goto leave;                                                                    \
        }                                                                                      \
    } while (0)

#define VLOAD_Q(va, bytes)                                                                     \
    vreg_t value;                                                                              \
    READ_Q(va, value);                                                                         \
    pe->v[op->rd] = value;
#define VSTORE_Q(va, bytes) WRITE_Q(va, pe->v[op->rd]);
/* Two of them are mostly in one page. */
#define VLOAD_PAIR_Q(va, bytes)                                                                \
    uint64_t at = (va);                                                                        \
    const page_t *page = PAGE_OF(pe->tlb, at);                                                 \
    vreg_t first, second;                                                                      \
    if (SAE_LIKELY(page->read == PAGE_TAG(at + 2 * bytes - 1))) {                              \
        const uint8_t *host = (const uint8_t *)(uintptr_t)(at + page->delta);                  \
        memcpy(&first, host, 16);                                                              \
        memcpy(&second, host + 16, 16);                                                        \
        pe->v[op->rd] = sae_q(first);                                                          \
        pe->v[op->rm] = sae_q(second);                                                         \
    } else {                                                                                   \
        READ_Q(at, first);                                                                     \
        READ_Q(at + bytes, second);                                                            \
        pe->v[op->rd] = first;                                                                 \
        pe->v[op->rm] = second;                                                                \
    }
#define VSTORE_PAIR_Q(va, bytes)                                                               \
    uint64_t at = (va);                                                                        \
    const page_t *page = PAGE_OF(pe->tlb, at);                                                 \
    if (SAE_LIKELY(page->write == PAGE_TAG(at + 2 * bytes - 1))) {                             \
        uint8_t *host = (uint8_t *)(uintptr_t)(at + page->delta);                              \
        const vreg_t first = sae_q(pe->v[op->rd]), second = sae_q(pe->v[op->rm]);              \
        memcpy(host, &first, 16);                                                              \
        memcpy(host + 16, &second, 16);                                                        \
    } else {                                                                                   \
        WRITE_Q(at, pe->v[op->rd]);                                                            \
        WRITE_Q(at + bytes, pe->v[op->rm]);                                                    \
    }

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

/* `bytes` of memory in elements, each an access of its own where they are in two pages, as words
 * (sae_vector.h). */
#define READ_WORDS(va, bytes, log2, words)                                                     \
    uint64_t at = (va);                                                                        \
    const page_t *page = PAGE_OF(pe->tlb, at);                                                 \
    unsigned done;                                                                             \
    if (SAE_LIKELY(page->read == PAGE_TAG(at + (bytes) - 1))) {                                \
        memcpy(words, (const void *)(uintptr_t)(at + page->delta), bytes);                     \
    } else {                                                                                   \
        for (done = 0; done < (bytes); done += 1u << (log2)) {                                 \
            page = PAGE_OF(pe->tlb, at + done);                                                \
            if (page->read == PAGE_TAG(at + done + (1u << (log2)) - 1))                        \
                memcpy((uint8_t *)words + done,                                                \
                       (const void *)(uintptr_t)(at + done + page->delta), 1u << (log2));      \
            else if (pe->calls->read(pe, op, at + done, 1u << (log2), ACCESS_PLAIN,            \
                                     (uint8_t *)words + done))                                 \
                goto leave;                                                                    \
        }                                                                                      \
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
        for (done = 0; done < (bytes); done += 1u << (log2)) {                                 \
            page = PAGE_OF(pe->tlb, at + done);                                                \
            if (page->write == PAGE_TAG(at + done + (1u << (log2)) - 1))                       \
                memcpy((void *)(uintptr_t)(at + done + page->delta),                           \
                       (const uint8_t *)words + done, 1u << (log2));                           \
            else if (pe->calls->write(pe, op, at + done, 1u << (log2), ACCESS_PLAIN,           \
                                      (uint8_t *)words + done))                                \
                goto leave;                                                                    \
        }                                                                                      \
    }

/* imm bytes of elements of log2 size rm, ra registers from D on. Their writeback is an operation
 * of its own (add_base). imm2 says whether elements of several registers alternate. */
#define WHOLE_REGISTERS (!op->imm2 && IMM == 16u * op->ra)
OP(vst_multiple) {
    const page_t *page = PAGE_OF(pe->tlb, XN);
    if (WHOLE_REGISTERS && SAE_LIKELY(page->write == PAGE_TAG(XN + IMM - 1))) {
        uint8_t *host = (uint8_t *)(uintptr_t)(XN + page->delta);
        unsigned index;
        for (index = 0; index < op->ra; index++) {
            const vreg_t raw = sae_q(pe->v[(op->rd + index) & 31]);
            memcpy(host + 16 * index, &raw, 16);
        }
        NEXT;
    }
    uint64_t words[8] = { 0 };
    sae_from_structures(pe->v, op->rd, op->ra, op->imm2 != 0, op->rm, IMM, words);
    {
        WRITE_WORDS(XN, IMM, op->rm, words)
    }
}
NEXT;
OP(vld_multiple) {
    const page_t *page = PAGE_OF(pe->tlb, XN);
    if (WHOLE_REGISTERS && SAE_LIKELY(page->read == PAGE_TAG(XN + IMM - 1))) {
        const uint8_t *host = (const uint8_t *)(uintptr_t)(XN + page->delta);
        unsigned index;
        for (index = 0; index < op->ra; index++) {
            vreg_t raw;
            memcpy(&raw, host + 16 * index, 16);
            pe->v[(op->rd + index) & 31] = sae_q(raw);
        }
        NEXT;
    }
    uint64_t words[8] = { 0 };
    {
        READ_WORDS(XN, IMM, op->rm, words)
    }
    sae_to_structures(pe->v, op->rd, op->ra, op->imm2 != 0, op->rm, IMM, words);
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
        uint64_t value = sae_replicate(sae_element(words, op->rm, index), op->rm);
        sae_put(&pe->v[(op->rd + index) & 31], (sae_pair_t){ value, value & op->imm2 });
    }
}
NEXT;

/* --- immediates, bit by bit ------------------------------------------------------------- */

#define PAIR_D &pe->v[op->rd]
OP(vset)
    sae_put(PAIR_D, (sae_pair_t){ IMM, op->imm2 });
    NEXT;
OP(vorr_imm)    /* imm2 is what stays of the upper half */
    sae_put(PAIR_D, (sae_get(PAIR_D) | IMM) & (sae_pair_t){ UINT64_MAX, op->imm2 });
    NEXT;
OP(vand_imm)
    sae_put(PAIR_D, sae_get(PAIR_D) & (sae_pair_t){ IMM, IMM & op->imm2 });
    NEXT;

#define BITWISE(name, result)                                                                  \
    OP(v##name) {                                                                              \
        sae_pair_t n = sae_get(&pe->v[op->rn]), m = sae_get(&pe->v[op->rm]);                   \
        sae_pair_t d = sae_get(PAIR_D);                                                        \
        (void)d;                                                                               \
        sae_put(PAIR_D, result);                                                               \
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
    sae_put(PAIR_D, (sae_pair_t){ value, value & IMM });
}
NEXT;
OP(vdup_x) {
    uint64_t value = sae_replicate(XN, op->ra);
    sae_put(PAIR_D, (sae_pair_t){ value, value & IMM });
}
NEXT;
/* An element in its place: the half rm, up to bit ra of it; imm is a mask. */
#define ELEMENT_N (VN[op->rm] >> op->ra & IMM)
OP(vscalar)     /* alone */
    sae_put(PAIR_D, (sae_pair_t){ ELEMENT_N, 0 });
    NEXT;
OP(umov)
    XD = ELEMENT_N;
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
OP(smov) {      /* imm is what stays of the result */
    unsigned spare = 64 - (8u << op->ra);
    XD = (uint64_t)((int64_t)(sae_element(VN, op->ra, op->rm) << spare) >> spare) & IMM;
}
NEXT;
