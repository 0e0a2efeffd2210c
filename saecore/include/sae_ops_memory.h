/* Loads and stores of general registers. Part of sae_run.h.
 *
 * An operation is named after its bits, its extension and the form of its address. All of an
 * instruction's registers are written after its last access, so one that faults has changed
 * none; what a pair or a structure has stored by then it stores again.
 */

/* --- addresses -------------------------------------------------------------------------- */

OP(check_sp)    /* before accesses based on SP whose own operation does not look */
    CHECK_SP(XN);
    NEXT;
OP(add_base)    /* writeback behind accesses whose own operation has none */
    XN += IMM + XM;
    NEXT;

/* The forms of an address; `access(va, ...)` is what to do there. `wb` is pre- and post-index:
 * imm is added before the access and imm2 is what the base grows by; ra is 15 if it is SP. In the
 * register forms ra is the shift. Literals are `imm` forms of the zero register. */
#define FORM_IMM(name, access, ...)                                                            \
    OP(name##_imm) {                                                                           \
        access(XN + IMM, __VA_ARGS__)                                                          \
    }                                                                                          \
    NEXT;
#define FORM_SP(name, access, ...)                                                             \
    OP(name##_sp) {                                                                            \
        CHECK_SP(XN);                                                                          \
        access(XN + IMM, __VA_ARGS__)                                                          \
    }                                                                                          \
    NEXT;
#define FORM_WB(name, access, ...)                                                             \
    OP(name##_wb) {                                                                            \
        uint64_t base = XN;                                                                    \
        CHECK_SP(base & op->ra);                                                               \
        access(base + IMM, __VA_ARGS__)                                                        \
        XN = base + op->imm2;                                                                  \
    }                                                                                          \
    NEXT;
#define FORM_INDEX(name, index, access, ...)                                                   \
    OP(name) {                                                                                 \
        access(XN + ((uint64_t)(index) << op->ra), __VA_ARGS__)                                \
    }                                                                                          \
    NEXT;

#define PAIR_FORMS(name, ...)                                                                  \
    FORM_IMM(name, __VA_ARGS__)                                                                \
    FORM_SP(name, __VA_ARGS__)                                                                 \
    FORM_WB(name, __VA_ARGS__)
#define FORMS(name, ...)                                                                       \
    PAIR_FORMS(name, __VA_ARGS__)                                                              \
    FORM_INDEX(name##_reg, XM, __VA_ARGS__)                                                    \
    FORM_INDEX(name##_uxtw, WM, __VA_ARGS__)                                                   \
    FORM_INDEX(name##_sxtw, (int32_t)WM, __VA_ARGS__)

/* --- one register ----------------------------------------------------------------------- */

/* `as` is the type whose extension to 64 bits is what the register gets; the outer one, if
 * there are two, is that of a W register, which is zero-extended. */
#define LOAD_AS(va, bits, through, flags, as)                                                      \
    LOAD_THEN(bits, through, va, flags, SET((uint64_t)(as value_)));
#define STORE_OF(va, bits, through, flags) STORE(bits, through, va, flags, XD);

#define LOADS(name, bits, as)                                                                  \
    FORMS(name, LOAD_AS, bits, pe->tlb, ACCESS_PLAIN, as)                                      \
    OP(name##_user) {                                                                          \
        LOAD_AS(XN + IMM, bits, pe->tlb_user, ACCESS_USER, as)                                 \
    }                                                                                          \
    NEXT;
#define STORES(name, bits)                                                                     \
    FORMS(name, STORE_OF, bits, pe->tlb, ACCESS_PLAIN)                                         \
    OP(name##_user) {                                                                          \
        STORE_OF(XN + IMM, bits, pe->tlb_user, ACCESS_USER)                                    \
    }                                                                                          \
    NEXT;

STORES(st8, 8)
LOADS(ld8, 8, (uint64_t))
LOADS(ld8s64, 8, (int8_t))
LOADS(ld8s32, 8, (uint32_t)(int8_t))
STORES(st16, 16)
LOADS(ld16, 16, (uint64_t))
LOADS(ld16s64, 16, (int16_t))
LOADS(ld16s32, 16, (uint32_t)(int16_t))
STORES(st32, 32)
LOADS(ld32, 32, (uint64_t))
LOADS(ld32s64, 32, (int32_t))
STORES(st64, 64)
LOADS(ld64, 64, (uint64_t))

/* The `_a` forms (FORWARDED in saecore/a64/encodings/data.py). */
#define LOADS_A(name, bits)                                                                    \
    OP(name##_imm_a) { LOAD_AS(acc + IMM, bits, pe->tlb, ACCESS_PLAIN, (uint64_t)) } NEXT;
#define LOADS_REG_A(name, bits)                                                                \
    LOADS_A(name, bits)                                                                        \
    OP(name##_reg_a)                                                                           \
    {                                                                                          \
        LOAD_AS(acc + (XM << op->ra), bits, pe->tlb, ACCESS_PLAIN, (uint64_t))                 \
    }                                                                                          \
    NEXT;
LOADS_REG_A(ld8, 8)
LOADS_A(ld16, 16)
LOADS_REG_A(ld32, 32)
LOADS_REG_A(ld64, 64)

/* --- pairs: D and M --------------------------------------------------------------------- */

/* One look into the TLB if both are in one page. */
#define READ_PAIR(va, bits)                                                                    \
    uint64_t at = (va);                                                                        \
    uint##bits##_t pair[2];                                                                    \
    const page_t *page = PAGE_OF(pe->tlb, at);                                                 \
    if (SAE_LIKELY(page->read == PAGE_TAG(at + bits / 4 - 1))) {                               \
        memcpy(pair, (const void *)(uintptr_t)(at + page->delta), bits / 4);                   \
        pair[0] = SAE_LE##bits(pair[0]);                                                       \
        pair[1] = SAE_LE##bits(pair[1]);                                                       \
    } else {                                                                                   \
        LOAD(bits, pe->tlb, at, ACCESS_PLAIN, pair[0]);                                        \
        LOAD(bits, pe->tlb, at + bits / 8, ACCESS_PLAIN, pair[1]);                             \
    }
#define WRITE_PAIR(va, bits, first, second)                                                    \
    uint64_t at = (va);                                                                        \
    const page_t *page = PAGE_OF(pe->tlb, at);                                                 \
    if (SAE_LIKELY(page->write == PAGE_TAG(at + bits / 4 - 1))) {                              \
        uint##bits##_t pair[2] = { SAE_LE##bits((uint##bits##_t)(first)),                      \
                                   SAE_LE##bits((uint##bits##_t)(second)) };                   \
        memcpy((void *)(uintptr_t)(at + page->delta), pair, bits / 4);                         \
    } else {                                                                                   \
        STORE(bits, pe->tlb, at, ACCESS_PLAIN, first);                                         \
        STORE(bits, pe->tlb, at + bits / 8, ACCESS_PLAIN, second);                             \
    }

/* If both are the same register, the first wins. */
#define LOAD_PAIR(va, bits, as)                                                                \
    READ_PAIR(va, bits)                                                                        \
    XM = as pair[1];                                                                           \
    XD = as pair[0];
#define STORE_PAIR(va, bits) WRITE_PAIR(va, bits, XD, XM)

PAIR_FORMS(stp32, STORE_PAIR, 32)
PAIR_FORMS(ldp32, LOAD_PAIR, 32, (uint64_t))
PAIR_FORMS(ldp32s64, LOAD_PAIR, 32, (int32_t))
PAIR_FORMS(stp64, STORE_PAIR, 64)
PAIR_FORMS(ldp64, LOAD_PAIR, 64, (uint64_t))

/* --- acquire, release ------------------------------------------------------------------- */

/* A misaligned one faults, which the slow path sees to: the fast one is kept from it. One
 * processor needs no more order than other threads of the host, devices, can see. */
#define ORDERED (ACCESS_ALIGNED | ACCESS_ORDERED)
#define LOAD_ACQUIRE(bits)                                                                     \
    OP(lda##bits) {                                                                            \
        uint##bits##_t value;                                                                  \
        if (SAE_UNLIKELY(XN & (bits / 8 - 1))) {                                               \
            pe->calls->read(pe, op, XN, bits / 8, ORDERED, &value);                            \
            goto leave;                                                                        \
        }                                                                                      \
        LOAD(bits, pe->tlb, XN, ORDERED, value);                                               \
        __atomic_thread_fence(__ATOMIC_ACQUIRE);                                               \
        XD = value;                                                                            \
    }                                                                                          \
    NEXT;
#define STORE_RELEASE(bits)                                                                    \
    OP(stl##bits) {                                                                            \
        uint##bits##_t value = SAE_LE##bits((uint##bits##_t)XD);                               \
        if (SAE_UNLIKELY(XN & (bits / 8 - 1))) {                                               \
            pe->calls->write(pe, op, XN, bits / 8, ORDERED, &value);                           \
            goto leave;                                                                        \
        }                                                                                      \
        __atomic_thread_fence(__ATOMIC_RELEASE);                                               \
        STORE(bits, pe->tlb, XN, ORDERED, XD);                                                 \
    }                                                                                          \
    NEXT;

STORE_RELEASE(8)
STORE_RELEASE(16)
STORE_RELEASE(32)
STORE_RELEASE(64)
LOAD_ACQUIRE(8)
LOAD_ACQUIRE(16)
LOAD_ACQUIRE(32)
LOAD_ACQUIRE(64)

/* --- in place: exclusives, atomics ------------------------------------------------------ */

/* A pointer to `bytes` at `va`, aligned, to be read (`tag` read) or read and written (write: who
 * may write may read). */
#define IN_PLACE(type, bytes, tag, va, flags, result)                                          \
    do {                                                                                       \
        uint64_t at_ = (va);                                                                   \
        const page_t *page_ = PAGE_OF(pe->tlb, at_);                                           \
        if (SAE_LIKELY(page_->tag == PAGE_TAG(at_) && !(at_ & ((bytes) - 1)))) {               \
            (result) = (type *)(uintptr_t)(at_ + page_->delta);                                \
        } else {                                                                               \
            void *host_;                                                                       \
            if (pe->calls->pointer(pe, op, at_, bytes, ACCESS_ALIGNED | (flags), &host_))      \
                goto leave;                                                                    \
            (result) = (type *)host_;                                                          \
        }                                                                                      \
    } while (0)
#define SWAP_IF(bits, host, expected, value)                                                   \
    __atomic_compare_exchange_n(host, expected, SAE_LE##bits(value), 0, __ATOMIC_SEQ_CST,      \
                                __ATOMIC_SEQ_CST)

/* The monitor remembers what was read, and a store succeeds if that is still there. One that
 * finds the monitor closed does not look at memory: it cannot fault. */
#define REMEMBER(bytes, low, high)                                                             \
    do {                                                                                       \
        pe->excl_va = XN;                                                                      \
        pe->excl_size = (bytes);                                                               \
        pe->excl_value[0] = (low);                                                             \
        pe->excl_value[1] = (high);                                                            \
    } while (0)
#define MONITOR_OPEN(bytes) (pe->excl_va == XN && pe->excl_size == (bytes))

#define LOAD_EXCLUSIVE(bits)                                                                   \
    OP(ldx##bits) {                                                                            \
        const uint##bits##_t *host;                                                            \
        uint##bits##_t value;                                                                  \
        IN_PLACE(const uint##bits##_t, bits / 8, read, XN, 0, host);                           \
        value = __atomic_load_n(host, __ATOMIC_ACQUIRE);                                       \
        value = SAE_LE##bits(value);                                                           \
        REMEMBER(bits / 8, value, 0);                                                          \
        XD = value;                                                                            \
    }                                                                                          \
    NEXT;
#define STORE_EXCLUSIVE(name, bits, value)  /* D is the status */                              \
    OP(name) {                                                                                 \
        uint64_t status = 1;                                                                   \
        if (SAE_LIKELY(MONITOR_OPEN(bits / 8))) {                                              \
            uint##bits##_t *host;                                                              \
            uint##bits##_t expected = SAE_LE##bits((uint##bits##_t)pe->excl_value[0]);         \
            IN_PLACE(uint##bits##_t, bits / 8, write, XN, ACCESS_STORE, host);                 \
            status = !SWAP_IF(bits, host, &expected, (uint##bits##_t)(value));                 \
        }                                                                                      \
        pe->excl_size = 0;                                                                     \
        XD = status;                                                                           \
    }                                                                                          \
    NEXT;

STORE_EXCLUSIVE(stx8, 8, XM)
STORE_EXCLUSIVE(stx16, 16, XM)
STORE_EXCLUSIVE(stx32, 32, XM)
STORE_EXCLUSIVE(stx64, 64, XM)
LOAD_EXCLUSIVE(8)
LOAD_EXCLUSIVE(16)
LOAD_EXCLUSIVE(32)
LOAD_EXCLUSIVE(64)
STORE_EXCLUSIVE(stxp32, 64, WM | XA << 32)
OP(stxp64) {    /* 16 bytes are not swapped at once: no other processor is there to see it */
    uint64_t status = 1;
    if (SAE_LIKELY(MONITOR_OPEN(16))) {
        uint64_t *host;
        IN_PLACE(uint64_t, 16, write, XN, ACCESS_STORE, host);
        if (host[0] == SAE_LE64(pe->excl_value[0]) && host[1] == SAE_LE64(pe->excl_value[1])) {
            host[0] = SAE_LE64(XM);
            host[1] = SAE_LE64(XA);
            status = 0;
        }
    }
    pe->excl_size = 0;
    XD = status;
}
NEXT;
OP(ldxp32) {
    const uint64_t *host;
    uint64_t value;
    IN_PLACE(const uint64_t, 8, read, XN, 0, host);
    value = __atomic_load_n(host, __ATOMIC_ACQUIRE);
    value = SAE_LE64(value);
    REMEMBER(8, value, 0);
    XD = (uint32_t)value;
    XM = value >> 32;
}
NEXT;
OP(ldxp64) {
    const uint64_t *host;
    uint64_t low, high;
    IN_PLACE(const uint64_t, 16, read, XN, 0, host);
    low = SAE_LE64(host[0]);
    high = SAE_LE64(host[1]);
    REMEMBER(16, low, high);
    XD = low;
    XM = high;
}
NEXT;

/* LD<op>, SWP: D gets what was there, M is the operand. All acquire and release. One loop does
 * for hosts of both byte orders, and for what a host has no instruction for. */
#define ATOMIC(name, bits, result)                                                             \
    OP(name##bits) {                                                                           \
        typedef int##bits##_t signed_t __attribute__((unused));                                \
        uint##bits##_t *host, raw, old, operand = (uint##bits##_t)XM;                          \
        IN_PLACE(uint##bits##_t, bits / 8, write, XN, ACCESS_ATOMIC, host);                    \
        raw = __atomic_load_n(host, __ATOMIC_RELAXED);                                         \
        do                                                                                     \
            old = SAE_LE##bits(raw);                                                           \
        while (!SWAP_IF(bits, host, &raw, (uint##bits##_t)(result)));                          \
        XD = old;                                                                              \
    }                                                                                          \
    NEXT;
#define ATOMICS(name, result)                                                                  \
    ATOMIC(name, 8, result)                                                                    \
    ATOMIC(name, 16, result)                                                                   \
    ATOMIC(name, 32, result)                                                                   \
    ATOMIC(name, 64, result)

ATOMICS(ldadd, old + operand)
ATOMICS(ldclr, old & ~operand)
ATOMICS(ldeor, old ^ operand)
ATOMICS(ldset, old | operand)
ATOMICS(ldsmax, (signed_t)old > (signed_t)operand ? old : operand)
ATOMICS(ldsmin, (signed_t)old < (signed_t)operand ? old : operand)
ATOMICS(ldumax, old > operand ? old : operand)
ATOMICS(ldumin, old < operand ? old : operand)
ATOMICS(swp, operand)

/* CAS: A is what to compare with, D the same register, which gets what was there; M is stored. */
#define COMPARE_AND_SWAP(bits)                                                                 \
    OP(cas##bits) {                                                                            \
        uint##bits##_t *host, value = SAE_LE##bits((uint##bits##_t)XA);                        \
        IN_PLACE(uint##bits##_t, bits / 8, write, XN, ACCESS_ATOMIC, host);                    \
        SWAP_IF(bits, host, &value, (uint##bits##_t)XM);                                       \
        XD = SAE_LE##bits(value);                                                              \
    }                                                                                          \
    NEXT;

COMPARE_AND_SWAP(8)
COMPARE_AND_SWAP(16)
COMPARE_AND_SWAP(32)
COMPARE_AND_SWAP(64)

/* CASP: D and the register behind it, and M and the one behind it; D and M are even, so the one
 * behind X30 is the zero register. A is where the second result goes. */
OP(casp32) {
    const uint64_t *compare = &XD, *value = &XM;
    uint64_t *host, seen = SAE_LE64((uint32_t)compare[0] | compare[1] << 32);
    IN_PLACE(uint64_t, 8, write, XN, ACCESS_ATOMIC, host);
    SWAP_IF(64, host, &seen, (uint32_t)value[0] | value[1] << 32);
    seen = SAE_LE64(seen);
    XA = seen >> 32;
    XD = (uint32_t)seen;
}
NEXT;
OP(casp64) {
    const uint64_t *compare = &XD, *value = &XM;
    uint64_t *host, low, high;
    IN_PLACE(uint64_t, 16, write, XN, ACCESS_ATOMIC, host);
    low = SAE_LE64(host[0]);
    high = SAE_LE64(host[1]);
    if (low == compare[0] && high == compare[1]) {
        host[0] = SAE_LE64(value[0]);
        host[1] = SAE_LE64(value[1]);
    }
    XA = high;
    XD = low;
}
NEXT;
