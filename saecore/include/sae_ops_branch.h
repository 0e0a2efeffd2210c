/* Branches. Part of sae_run(). Where they go is in the `go` operations behind them. */

OP(b) TAKE;
OP(bl) pe->x[30] = IMM; TAKE;
OP(br)
OP(ret) GO_PC(XN);
OP(blr)
{
    uint64_t to = XN;
    pe->x[30] = IMM;
    GO_PC(to);
}
OP(cbz_w) if (WN == 0) TAKE; FALL;
OP(cbz_x) if (XN == 0) TAKE; FALL;
OP(cbnz_w) if (WN != 0) TAKE; FALL;
OP(cbnz_x) if (XN != 0) TAKE; FALL;
OP(tbz) if (!(XN >> op->rm & 1)) TAKE; FALL;
OP(tbnz) if (XN >> op->rm & 1) TAKE; FALL;

#define OP_B_COND(cond, ...) OP(b_##cond) if (holds_##cond) TAKE; FALL;
EACH_CONDITION(OP_B_COND)

/* An operation that sets the flags together with the conditional branch behind it. */
#define OP_FUSED(cond, name, w, form, value)                                                   \
    OP(name##_##w##_##form##_b_##cond)                                                         \
    do_##name(w, TYPE_##w, N_##w, (TYPE_##w)(value));                                          \
    if (holds_##cond)                                                                          \
        TAKE;                                                                                  \
    FALL;
EACH_CONDITION(OP_FUSED, subs, w, imm, IMM)
EACH_CONDITION(OP_FUSED, subs, w, reg, WM)
EACH_CONDITION(OP_FUSED, subs, x, imm, IMM)
EACH_CONDITION(OP_FUSED, subs, x, reg, XM)
EACH_CONDITION(OP_FUSED, ands, w, imm, IMM)
EACH_CONDITION(OP_FUSED, ands, w, reg, WM)
EACH_CONDITION(OP_FUSED, ands, x, imm, IMM)
EACH_CONDITION(OP_FUSED, ands, x, reg, XM)
