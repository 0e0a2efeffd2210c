/* Branches. Part of sae_run(). Where they go is in the `go` operations behind them. */

OP(b) TAKE;
OP(bl) pe->x[30] = IMM; TAKE;
OP(br)
OP(ret) GO_PC(XN, 0);
OP(br_btype1) GO_PC(XN, 1);
OP(br_btype3) GO_PC(XN, 3);
#define OP_BLR(name, btype)                                                                    \
    OP(name)                                                                                   \
    {                                                                                          \
        uint64_t to = XN;                                                                      \
        pe->x[30] = IMM;                                                                       \
        GO_PC(to, btype);                                                                      \
    }
OP_BLR(blr, 0)
OP_BLR(blr_btype2, 2)
OP(cbz_w) if (WN == 0) TAKE; FALL;
OP(cbz_x) if (XN == 0) TAKE; FALL;
OP(cbnz_w) if (WN != 0) TAKE; FALL;
OP(cbnz_x) if (XN != 0) TAKE; FALL;
OP(tbz) if (!(XN >> op->rm & 1)) TAKE; FALL;
OP(tbnz) if (XN >> op->rm & 1) TAKE; FALL;

#define OP_B_COND(cond, COND, ...)                                                             \
    OP(b_##cond)                                                                               \
    if (SAE_LIKELY(pe->lazy == LAZY_SUB)) {                                                    \
        if (SUB_##COND(uint64_t, int64_t, pe->fa, pe->fb))                                     \
            TAKE;                                                                              \
        FALL;                                                                                  \
    }                                                                                          \
    if (sae_holds_##cond(pe))                                                                  \
        TAKE;                                                                                  \
    FALL;
EACH_CONDITION(OP_B_COND, )

/* An operation that sets the flags together with the conditional branch behind it; `cmp`
 * writes no register. */
#define OP_CMP(cond, COND, w, form, value)                                                     \
    OP(cmp_##w##_##form##_b_##cond)                                                            \
    {                                                                                          \
        TYPE_##w a = N_##w, b = (TYPE_##w)(value);                                             \
        LAZY_##w(LAZY_SUB, a, b);                                                              \
        if (SUB_##COND(TYPE_##w, STYPE_##w, a, b))                                             \
            TAKE;                                                                              \
        FALL;                                                                                  \
    }                                                                                          \
    OP(subs_##w##_##form##_b_##cond)                                                           \
    {                                                                                          \
        TYPE_##w a = N_##w, b = (TYPE_##w)(value);                                             \
        LAZY_##w(LAZY_SUB, a, b);                                                              \
        XD = (TYPE_##w)(a - b);                                                                \
        if (SUB_##COND(TYPE_##w, STYPE_##w, a, b))                                             \
            TAKE;                                                                              \
        FALL;                                                                                  \
    }
#define OP_TST(cond, COND, w, form, value)                                                     \
    OP(ands_##w##_##form##_b_##cond)                                                           \
    {                                                                                          \
        TYPE_##w r = N_##w & (TYPE_##w)(value);                                                \
        LAZY_##w(LAZY_LOGIC, r, 0);                                                            \
        XD = r;                                                                                \
        if (LOGIC_##COND(TYPE_##w, STYPE_##w, r, 0))                                           \
            TAKE;                                                                              \
        FALL;                                                                                  \
    }
EACH_CONDITION(OP_CMP, w, imm, IMM)
EACH_CONDITION(OP_CMP, w, reg, WM)
EACH_CONDITION(OP_CMP, x, imm, IMM)
EACH_CONDITION(OP_CMP, x, reg, XM)
EACH_CONDITION(OP_TST, w, imm, IMM)
EACH_CONDITION(OP_TST, w, reg, WM)
EACH_CONDITION(OP_TST, x, imm, IMM)
EACH_CONDITION(OP_TST, x, reg, XM)
