/* Data processing on general registers. Part of sae_run().
 *
 * `_w` operations take and give 32-bit values; a result is zero-extended by its assignment to a
 * 64-bit register. Shift amounts are in `ra`, immediates in `imm`.
 */

/* --- flags of arithmetic ---------------------------------------------------------------- */

/* `v` has the sign V is to have. */
#define FLAGS_x(r, c, v) sae_settled_flags(pe, r, r, c, v)
#define FLAGS_w(r, c, v)                                                                       \
    sae_settled_flags(pe, (uint64_t)(r) << 32, r, c, (uint64_t)(uint32_t)(v) << 32)
#define LAZY_x(kind, a, b) sae_lazy_flags(pe, kind, a, b)
#define LAZY_w(kind, a, b) sae_lazy_flags(pe, kind, (uint64_t)(a) << 32, (uint64_t)(b) << 32)

/* `r` becomes a + b, and so on; flags as AddWithCarry gives them. */
#define ADD_FLAGS(w, type, a, b, r)                                                            \
    type a_ = (a), b_ = (b), r = a_ + b_;                                                      \
    FLAGS_##w(r, r < a_, (a_ ^ r) & (b_ ^ r))
#define SUB_FLAGS(w, type, a, b, r)                                                            \
    type a_ = (a), b_ = (b), r = a_ - b_;                                                      \
    LAZY_##w(LAZY_SUB, a_, b_)
#define AND_FLAGS(w, type, a, b, r)                                                            \
    type r = (a) & (b);                                                                        \
    LAZY_##w(LAZY_LOGIC, r, 0)

#define N_w WN
#define N_x XN
#define A_w ((uint32_t)acc)
#define A_x acc
#define M_w WM
#define M_x XM
#define TYPE_w uint32_t
#define TYPE_x uint64_t
#define STYPE_w int32_t
#define STYPE_x int64_t

#define do_add(w, type, a, b) do { SET((type)((a) + (b))); } while (0)
#define do_sub(w, type, a, b) do { SET((type)((a) - (b))); } while (0)
#define do_and(w, type, a, b) do { SET((type)((a) & (b))); } while (0)
#define do_orr(w, type, a, b) do { SET((type)((a) | (b))); } while (0)
#define do_eor(w, type, a, b) do { SET((type)((a) ^ (b))); } while (0)
#define do_bic(w, type, a, b) do { SET((type)((a) & ~(b))); } while (0)
#define do_orn(w, type, a, b) do { SET((type)((a) | ~(b))); } while (0)
#define do_eon(w, type, a, b) do { SET((type)((a) ^ ~(b))); } while (0)
#define do_adds(w, type, a, b) do { ADD_FLAGS(w, type, a, b, r_); SET(r_); } while (0)
#define do_subs(w, type, a, b) do { SUB_FLAGS(w, type, a, b, r_); SET(r_); } while (0)
#define do_ands(w, type, a, b) do { AND_FLAGS(w, type, a, b, r_); SET(r_); } while (0)
#define do_bics(w, type, a, b) do { AND_FLAGS(w, type, a, ~(b), r_); SET(r_); } while (0)

#define shifted_lsl(type, v, n) ((type)((v) << (n)))
#define shifted_lsr(type, v, n) ((type)((v) >> (n)))
#define shifted_asr(type, v, n) ((type)((s##type)(v) >> (n)))
#define shifted_ror(type, v, n) (sizeof(type) == 8 ? sae_ror64(v, n) : sae_ror32(v, n))
typedef int32_t suint32_t;
typedef int64_t suint64_t;

/* The `_a` forms (FORWARDED in saecore/a64/encodings/data.py). */
#define OP_SHIFT_A(name, w, type, kind)                                                        \
    OP(name##_##w##_##kind##_a)                                                                \
    do_##name(w, type, A_##w, shifted_##kind(type, M_##w, op->ra));                            \
    NEXT;
#define OP_REG_A(name, w)                                                                      \
    OP(name##_##w##_reg_a)                                                                     \
    do_##name(w, TYPE_##w, A_##w, M_##w);                                                      \
    NEXT;
#define OP_IMM_A(name, w)                                                                      \
    OP(name##_##w##_imm_a)                                                                     \
    do_##name(w, TYPE_##w, A_##w, (TYPE_##w)IMM);                                              \
    NEXT;
#define EACH_A(name, w, type)                                                                  \
    OP_REG_A(name, w)                                                                          \
    OP_SHIFT_A(name, w, type, lsl)                                                             \
    OP_SHIFT_A(name, w, type, lsr)                                                             \
    OP_SHIFT_A(name, w, type, asr)
#define EACH_WIDTH_A(w, type)                                                                  \
    EACH_A(add, w, type)                                                                       \
    EACH_A(sub, w, type)                                                                       \
    EACH_A(and, w, type)                                                                       \
    EACH_A(orr, w, type)                                                                       \
    EACH_A(eor, w, type)                                                                       \
    OP_REG_A(subs, w)                                                                          \
    OP_IMM_A(add, w)                                                                           \
    OP_IMM_A(subs, w)                                                                          \
    OP_IMM_A(and, w)                                                                           \
    OP_IMM_A(orr, w)                                                                           \
    OP_IMM_A(eor, w)
EACH_WIDTH_A(w, uint32_t)
EACH_WIDTH_A(x, uint64_t)

#define OP_SHIFT(name, w, type, kind)                                                          \
    OP(name##_##w##_##kind)                                                                    \
    do_##name(w, type, N_##w, shifted_##kind(type, M_##w, op->ra));                            \
    NEXT;
#define OP_REG(name, w)                                                                        \
    OP(name##_##w##_reg)                                                                       \
    do_##name(w, TYPE_##w, N_##w, M_##w);                                                      \
    NEXT;
#define OP_IMM(name, w)                                                                        \
    OP(name##_##w##_imm)                                                                       \
    do_##name(w, TYPE_##w, N_##w, (TYPE_##w)IMM);                                              \
    NEXT;

#define EACH_ARITHMETIC(name, w, type)                                                         \
    OP_REG(name, w)                                                                            \
    OP_SHIFT(name, w, type, lsl)                                                               \
    OP_SHIFT(name, w, type, lsr)                                                               \
    OP_SHIFT(name, w, type, asr)
#define EACH_BITWISE(name, w, type)                                                            \
    EACH_ARITHMETIC(name, w, type)                                                             \
    OP_SHIFT(name, w, type, ror)
#define EACH_WIDTH(w, type)                                                                    \
    EACH_ARITHMETIC(add, w, type)                                                              \
    EACH_ARITHMETIC(sub, w, type)                                                              \
    EACH_ARITHMETIC(adds, w, type)                                                             \
    EACH_ARITHMETIC(subs, w, type)                                                             \
    EACH_BITWISE(and, w, type)                                                                 \
    EACH_BITWISE(orr, w, type)                                                                 \
    EACH_BITWISE(eor, w, type)                                                                 \
    EACH_BITWISE(ands, w, type)                                                                \
    EACH_BITWISE(bic, w, type)                                                                 \
    EACH_BITWISE(orn, w, type)                                                                 \
    EACH_BITWISE(eon, w, type)                                                                 \
    EACH_BITWISE(bics, w, type)                                                                \
    OP_IMM(add, w)                                                                             \
    OP_IMM(adds, w)                                                                            \
    OP_IMM(subs, w)                                                                            \
    OP_IMM(and, w)                                                                             \
    OP_IMM(orr, w)                                                                             \
    OP_IMM(eor, w)                                                                             \
    OP_IMM(ands, w)
EACH_WIDTH(w, uint32_t)
EACH_WIDTH(x, uint64_t)

/* --- moves and fields ------------------------------------------------------------------- */

OP(undefined)
    pe->calls->undefined(pe, op);
    goto leave;
OP(mov_imm) SET(IMM); NEXT;
OP(mov_reg) SET(XM); NEXT;
OP(mov_w) SET(WM); NEXT;
OP(movk_w)
OP(movk_x) XD = (XD & (uint64_t)op->imm2) | IMM; NEXT;
/* The operand of an extended-register form, into D: kind in rn, amount in ra. */
OP(extend) XD = sae_extend(XM, op->rn) << op->ra; NEXT;
OP(add_x_uxtw) XD = XN + ((uint64_t)WM << op->ra); NEXT;
OP(add_x_sxtw) XD = XN + ((uint64_t)(int64_t)(int32_t)WM << op->ra); NEXT;
OP(sub_x_uxtw) XD = XN - ((uint64_t)WM << op->ra); NEXT;
OP(sub_x_sxtw) XD = XN - ((uint64_t)(int64_t)(int32_t)WM << op->ra); NEXT;

OP(lsl_imm_w) SET(WN << op->ra); NEXT;
OP(lsl_imm_w_a) SET(A_w << op->ra); NEXT;
OP(lsl_imm_x) SET(XN << op->ra); NEXT;
OP(lsl_imm_x_a) SET(A_x << op->ra); NEXT;
OP(lsr_imm_w) SET(WN >> op->ra); NEXT;
OP(lsr_imm_w_a) SET(A_w >> op->ra); NEXT;
OP(lsr_imm_x) SET(XN >> op->ra); NEXT;
OP(lsr_imm_x_a) SET(A_x >> op->ra); NEXT;
OP(ubfx) SET(XN >> op->ra & IMM); NEXT;
OP(ubfx_a) SET(A_x >> op->ra & IMM); NEXT;
OP(ubfiz) SET((XN & IMM) << op->ra); NEXT;
OP(ubfiz_a) SET((A_x & IMM) << op->ra); NEXT;
/* A signed field: up by `ra`, down by `rm`. */
OP(sbf_w) SET((uint32_t)((int32_t)(WN << op->ra) >> op->rm)); NEXT;
OP(sbf_w_a) SET((uint32_t)((int32_t)(A_w << op->ra) >> op->rm)); NEXT;
OP(sbf_x) SET((uint64_t)((int64_t)(XN << op->ra) >> op->rm)); NEXT;
OP(sbf_x_a) SET((uint64_t)((int64_t)(A_x << op->ra) >> op->rm)); NEXT;
OP(bfm_w) XD = (uint32_t)((XD & ~IMM) | (sae_ror32(WN, op->ra) & IMM)); NEXT;
OP(bfm_x) XD = (XD & ~IMM) | (sae_ror64(XN, op->ra) & IMM); NEXT;
OP(extr_w) XD = (uint32_t)(((uint64_t)WN << 32 | WM) >> op->ra); NEXT;
OP(extr_x) XD = XM >> op->ra | XN << 1 << (63 - op->ra); NEXT;
OP(lslv_w) XD = WN << (WM & 31); NEXT;
OP(lslv_x) XD = XN << (XM & 63); NEXT;
OP(lsrv_w) XD = WN >> (WM & 31); NEXT;
OP(lsrv_x) XD = XN >> (XM & 63); NEXT;
OP(asrv_w) XD = (uint32_t)((int32_t)WN >> (WM & 31)); NEXT;
OP(asrv_x) XD = (uint64_t)((int64_t)XN >> (XM & 63)); NEXT;
OP(rorv_w) XD = sae_ror32(WN, WM & 31); NEXT;
OP(rorv_x) XD = sae_ror64(XN, XM & 63); NEXT;

OP(rbit_w) XD = sae_rbit64(WN) >> 32; NEXT;
OP(rbit_x) XD = sae_rbit64(XN); NEXT;
OP(rev16_w) XD = sae_rev16(WN); NEXT;
OP(rev16_x) XD = sae_rev16(XN); NEXT;
OP(rev_w) XD = __builtin_bswap32(WN); NEXT;
OP(rev_x) XD = __builtin_bswap64(XN); NEXT;
OP(rev32) XD = sae_ror64(__builtin_bswap64(XN), 32); NEXT;
OP(clz_w) XD = sae_clz32(WN); NEXT;
OP(clz_x) XD = sae_clz64(XN); NEXT;
OP(cls_w) XD = sae_clz32((WN ^ (uint32_t)((int32_t)WN >> 31)) << 1 | 1); NEXT;
OP(cls_x) XD = sae_clz64((XN ^ (uint64_t)((int64_t)XN >> 63)) << 1 | 1); NEXT;

#define OP_CRC(name, which, type, bytes)                                                       \
    OP(name) XD = sae_crc(which, WN, (type)XM, bytes); NEXT;
OP_CRC(crc32b, 0, uint8_t, 1)
OP_CRC(crc32h, 0, uint16_t, 2)
OP_CRC(crc32w, 0, uint32_t, 4)
OP_CRC(crc32x, 0, uint64_t, 8)
OP_CRC(crc32cb, 1, uint8_t, 1)
OP_CRC(crc32ch, 1, uint16_t, 2)
OP_CRC(crc32cw, 1, uint32_t, 4)
OP_CRC(crc32cx, 1, uint64_t, 8)

/* --- multiply and divide ---------------------------------------------------------------- */

OP(mul_w) SET(WN * WM); NEXT;
OP(mul_w_a) SET(A_w * WM); NEXT;
OP(mul_x) SET(XN * XM); NEXT;
OP(mul_x_a) SET(A_x * XM); NEXT;
OP(madd_w) XD = (uint32_t)(WA + WN * WM); NEXT;
OP(madd_x) XD = XA + XN * XM; NEXT;
OP(msub_w) XD = (uint32_t)(WA - WN * WM); NEXT;
OP(msub_x) XD = XA - XN * XM; NEXT;
OP(umaddl) XD = XA + (uint64_t)WN * WM; NEXT;
OP(umsubl) XD = XA - (uint64_t)WN * WM; NEXT;
OP(smaddl) XD = XA + (uint64_t)((int64_t)(int32_t)WN * (int32_t)WM); NEXT;
OP(smsubl) XD = XA - (uint64_t)((int64_t)(int32_t)WN * (int32_t)WM); NEXT;
OP(umulh) XD = (uint64_t)((unsigned __int128)XN * XM >> 64); NEXT;
OP(smulh) XD = (uint64_t)((__int128)(int64_t)XN * (int64_t)XM >> 64); NEXT;
OP(udiv_w) XD = WM ? WN / WM : 0; NEXT;
OP(udiv_x) XD = XM ? XN / XM : 0; NEXT;
OP(sdiv_w) XD = (uint32_t)sae_sdiv32((int32_t)WN, (int32_t)WM); NEXT;
OP(sdiv_x) XD = (uint64_t)sae_sdiv64((int64_t)XN, (int64_t)XM); NEXT;

/* --- with carry, and conditional --------------------------------------------------------- */

#define OP_CARRY(w, type)                                                                      \
    OP(adc_##w) XD = (type)(N_##w + M_##w + (type)sae_carry(pe)); NEXT;                               \
    OP(sbc_##w) XD = (type)(N_##w + (type)~M_##w + (type)sae_carry(pe)); NEXT;                        \
    OP(adcs_##w)                                                                               \
    {                                                                                          \
        type a = N_##w, b = M_##w, c = (type)sae_carry(pe), r = a + b + c;                            \
        FLAGS_##w(r, r < a || (c && r == a), (a ^ r) & (b ^ r));                               \
        XD = r;                                                                                \
    }                                                                                          \
    NEXT;                                                                                      \
    OP(sbcs_##w)                                                                               \
    {                                                                                          \
        type a = N_##w, b = (type)~M_##w, c = (type)sae_carry(pe), r = a + b + c;                     \
        FLAGS_##w(r, r < a || (c && r == a), (a ^ r) & (b ^ r));                               \
        XD = r;                                                                                \
    }                                                                                          \
    NEXT;
OP_CARRY(w, uint32_t)
OP_CARRY(x, uint64_t)

/* Compare if the condition in `ra` holds, else set the flags to `rd`. */
#define OP_CCMP(name, w, type, FLAGS, form, value)                                             \
    OP(name##_##form##_##w)                                                                    \
    if (sae_condition(pe, op->ra)) {                                                           \
        FLAGS(w, type, N_##w, (type)(value), r_);                                              \
        (void)r_;                                                                              \
    } else {                                                                                   \
        sae_set_nzcv(pe, (uint64_t)op->rd << 28);                                              \
    }                                                                                          \
    NEXT;
OP_CCMP(ccmp, w, uint32_t, SUB_FLAGS, reg, WM)
OP_CCMP(ccmp, x, uint64_t, SUB_FLAGS, reg, XM)
OP_CCMP(ccmp, w, uint32_t, SUB_FLAGS, imm, IMM)
OP_CCMP(ccmp, x, uint64_t, SUB_FLAGS, imm, IMM)
OP_CCMP(ccmn, w, uint32_t, ADD_FLAGS, reg, WM)
OP_CCMP(ccmn, x, uint64_t, ADD_FLAGS, reg, XM)
OP_CCMP(ccmn, w, uint32_t, ADD_FLAGS, imm, IMM)
OP_CCMP(ccmn, x, uint64_t, ADD_FLAGS, imm, IMM)

/* Not a branch: which one it is, is often hard to foresee. */
#define SELECT(cond, type, n, m)                                                               \
    do {                                                                                       \
        type n_ = (n), m_ = (m);                                                               \
        XD = (type)(m_ ^ ((n_ ^ m_) & (0 - (type)sae_holds_##cond(pe))));                      \
    } while (0)
#define OP_SELECT(cond, COND, w, type)                                                         \
    OP(csel_##w##_##cond) SELECT(cond, type, N_##w, M_##w); NEXT;                              \
    OP(csinc_##w##_##cond) SELECT(cond, type, N_##w, M_##w + 1); NEXT;                         \
    OP(csinv_##w##_##cond) SELECT(cond, type, N_##w, ~M_##w); NEXT;                            \
    OP(csneg_##w##_##cond) SELECT(cond, type, N_##w, 0 - M_##w); NEXT;
EACH_CONDITION(OP_SELECT, w, uint32_t)
EACH_CONDITION(OP_SELECT, x, uint64_t)
