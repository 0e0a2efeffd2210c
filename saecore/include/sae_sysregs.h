/* Written by setup.py from saecore/_sysregs.py: change it there. */
#ifndef SAE_SYSREGS_H
#define SAE_SYSREGS_H
#include "sae_defs.h"
enum {
    HOME_ZERO = 0,
    HOME_SAVED = 1,
    HOME_SPECIAL = 2,
    HOME_INSTRUCTION = 3,
    RIGHT_NONE = 0,
    RIGHT_R = 1,
    RIGHT_W = 2,
    RIGHT_RW = 3,
    GATE_OPEN = 0,
    GATE_UCT = 1,
    GATE_UMA = 2,
    GATE_DZE = 3,
    GATE_UCI = 4,
    GATE_COUNTER_P = 5,
    GATE_COUNTER_V = 6,
    GATE_COUNTER_ANY = 7,
    GATE_TIMER_P = 8,
    GATE_TIMER_V = 9,
    GATE_DCC = 10,
    SPECIAL_NONE = 0,
    SPECIAL_NZCV = 1,
    SPECIAL_DAIF = 2,
    SPECIAL_CURRENT_EL = 3,
    SPECIAL_SPSEL = 4,
    SPECIAL_PSTATE_BIT = 5,
    SPECIAL_SP_EL0 = 6,
    SPECIAL_FPCR = 7,
    SPECIAL_FPSR = 8,
    SPECIAL_SCTLR = 9,
    SPECIAL_CONTEXTIDR = 10,
    SPECIAL_CCSIDR = 11,
    SPECIAL_DCZID = 12,
    SPECIAL_ISR = 13,
    SPECIAL_COUNTER = 14,
    SPECIAL_CNTP_CTL = 15,
    SPECIAL_CNTV_CTL = 16,
    SPECIAL_CNTP_TVAL = 17,
    SPECIAL_CNTV_TVAL = 18,
    SPECIAL_OSLAR = 19,
    SPECIAL_CLAIM_SET = 20,
    SPECIAL_CLAIM_CLEAR = 21,
    SPECIAL_NOTHING = 22,
    SPECIAL_IC_ALL = 23,
    SPECIAL_IC_VA = 24,
    SPECIAL_DC_VA = 25,
    SPECIAL_DC_VA_WRITE = 26,
    SPECIAL_DC_ZVA = 27,
    SPECIAL_AT = 28,
    SPECIAL_TLBI_ALL = 29,
    SPECIAL_TLBI_VA = 30,
    SPECIAL_TLBI_VA_ANY = 31,
    SPECIAL_TLBI_ASID = 32,
    N_BREAKPOINTS = 6,
    N_WATCHPOINTS = 4,
    N_CONTEXT_BREAKPOINTS = 2,
    COUNTER_HZ = 1000000000,
    KEY_PAN = 0xc213,
    KEY_UAO = 0xc214,
    KEY_DIT = 0xda15,
    KEY_SSBS = 0xda16,
    N_SYSREGS = 179,
};
typedef struct {
    uint16_t key;
    uint8_t home, el1, el0, gate, special, effect;
    int reg;
    uint64_t mask, trap, feature;
} sysreg_t;
static const sysreg_t sae_sysregs[] = {
    {0x4388, 3, 2, 0, 0, 23, 2, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* IC IALLUIS */
    {0x43a8, 3, 2, 0, 0, 23, 2, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* IC IALLU */
    {0x43b1, 3, 2, 0, 0, 26, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* DC IVAC */
    {0x43b2, 3, 2, 0, 0, 22, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* DC ISW */
    {0x43c0, 3, 2, 0, 0, 28, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* AT S1E1R */
    {0x43c1, 3, 2, 0, 0, 28, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* AT S1E1W */
    {0x43c2, 3, 2, 0, 0, 28, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* AT S1E0R */
    {0x43c3, 3, 2, 0, 0, 28, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* AT S1E0W */
    {0x43c8, 3, 2, 0, 0, 28, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x8}, /* AT S1E1RP */
    {0x43c9, 3, 2, 0, 0, 28, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x8}, /* AT S1E1WP */
    {0x43d2, 3, 2, 0, 0, 22, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* DC CSW */
    {0x43f2, 3, 2, 0, 0, 22, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* DC CISW */
    {0x4418, 3, 2, 0, 0, 29, 1, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* TLBI VMALLE1IS */
    {0x4419, 3, 2, 0, 0, 30, 1, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* TLBI VAE1IS */
    {0x441a, 3, 2, 0, 0, 32, 1, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* TLBI ASIDE1IS */
    {0x441b, 3, 2, 0, 0, 31, 1, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* TLBI VAAE1IS */
    {0x441d, 3, 2, 0, 0, 30, 1, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* TLBI VALE1IS */
    {0x441f, 3, 2, 0, 0, 31, 1, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* TLBI VAALE1IS */
    {0x4438, 3, 2, 0, 0, 29, 1, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* TLBI VMALLE1 */
    {0x4439, 3, 2, 0, 0, 30, 1, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* TLBI VAE1 */
    {0x443a, 3, 2, 0, 0, 32, 1, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* TLBI ASIDE1 */
    {0x443b, 3, 2, 0, 0, 31, 1, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* TLBI VAAE1 */
    {0x443d, 3, 2, 0, 0, 30, 1, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* TLBI VALE1 */
    {0x443f, 3, 2, 0, 0, 31, 1, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* TLBI VAALE1 */
    {0x5ba1, 3, 2, 2, 3, 27, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* DC ZVA */
    {0x5ba9, 3, 2, 2, 4, 24, 2, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* IC IVAU */
    {0x5bd1, 3, 2, 2, 4, 25, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* DC CVAC */
    {0x5bd9, 3, 2, 2, 4, 25, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* DC CVAU */
    {0x5be1, 3, 2, 2, 4, 25, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x40}, /* DC CVAP */
    {0x5bf1, 3, 2, 2, 4, 25, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* DC CIVAC */
    {0x8002, 0, 3, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* OSDTRRX_EL1 */
    {0x8004, 1, 3, 0, 0, 0, 4, REG_DBGBVR0_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* DBGBVR0_EL1 */
    {0x8005, 1, 3, 0, 0, 0, 4, REG_DBGBCR0_EL1, UINT64_C(0xffe1e7), UINT64_C(0x0), 0x0}, /* DBGBCR0_EL1 */
    {0x8006, 1, 3, 0, 0, 0, 4, REG_DBGWVR0_EL1, UINT64_C(0xfffffffffffffffc), UINT64_C(0x0), 0x0}, /* DBGWVR0_EL1 */
    {0x8007, 1, 3, 0, 0, 0, 4, REG_DBGWCR0_EL1, UINT64_C(0x1f1fffff), UINT64_C(0x0), 0x0}, /* DBGWCR0_EL1 */
    {0x800c, 1, 3, 0, 0, 0, 4, REG_DBGBVR1_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* DBGBVR1_EL1 */
    {0x800d, 1, 3, 0, 0, 0, 4, REG_DBGBCR1_EL1, UINT64_C(0xffe1e7), UINT64_C(0x0), 0x0}, /* DBGBCR1_EL1 */
    {0x800e, 1, 3, 0, 0, 0, 4, REG_DBGWVR1_EL1, UINT64_C(0xfffffffffffffffc), UINT64_C(0x0), 0x0}, /* DBGWVR1_EL1 */
    {0x800f, 1, 3, 0, 0, 0, 4, REG_DBGWCR1_EL1, UINT64_C(0x1f1fffff), UINT64_C(0x0), 0x0}, /* DBGWCR1_EL1 */
    {0x8010, 0, 3, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* MDCCINT_EL1 */
    {0x8012, 1, 3, 0, 0, 0, 4, REG_MDSCR_EL1, UINT64_C(0xb001), UINT64_C(0x0), 0x0}, /* MDSCR_EL1 */
    {0x8014, 1, 3, 0, 0, 0, 4, REG_DBGBVR2_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* DBGBVR2_EL1 */
    {0x8015, 1, 3, 0, 0, 0, 4, REG_DBGBCR2_EL1, UINT64_C(0xffe1e7), UINT64_C(0x0), 0x0}, /* DBGBCR2_EL1 */
    {0x8016, 1, 3, 0, 0, 0, 4, REG_DBGWVR2_EL1, UINT64_C(0xfffffffffffffffc), UINT64_C(0x0), 0x0}, /* DBGWVR2_EL1 */
    {0x8017, 1, 3, 0, 0, 0, 4, REG_DBGWCR2_EL1, UINT64_C(0x1f1fffff), UINT64_C(0x0), 0x0}, /* DBGWCR2_EL1 */
    {0x801a, 0, 3, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* OSDTRTX_EL1 */
    {0x801c, 1, 3, 0, 0, 0, 4, REG_DBGBVR3_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* DBGBVR3_EL1 */
    {0x801d, 1, 3, 0, 0, 0, 4, REG_DBGBCR3_EL1, UINT64_C(0xffe1e7), UINT64_C(0x0), 0x0}, /* DBGBCR3_EL1 */
    {0x801e, 1, 3, 0, 0, 0, 4, REG_DBGWVR3_EL1, UINT64_C(0xfffffffffffffffc), UINT64_C(0x0), 0x0}, /* DBGWVR3_EL1 */
    {0x801f, 1, 3, 0, 0, 0, 4, REG_DBGWCR3_EL1, UINT64_C(0x1f1fffff), UINT64_C(0x0), 0x0}, /* DBGWCR3_EL1 */
    {0x8024, 1, 3, 0, 0, 0, 4, REG_DBGBVR4_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* DBGBVR4_EL1 */
    {0x8025, 1, 3, 0, 0, 0, 4, REG_DBGBCR4_EL1, UINT64_C(0xffe1e7), UINT64_C(0x0), 0x0}, /* DBGBCR4_EL1 */
    {0x802c, 1, 3, 0, 0, 0, 4, REG_DBGBVR5_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* DBGBVR5_EL1 */
    {0x802d, 1, 3, 0, 0, 0, 4, REG_DBGBCR5_EL1, UINT64_C(0xffe1e7), UINT64_C(0x0), 0x0}, /* DBGBCR5_EL1 */
    {0x8032, 0, 3, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* OSECCR_EL1 */
    {0x8080, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* MDRAR_EL1 */
    {0x8084, 2, 2, 0, 0, 19, 4, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* OSLAR_EL1 */
    {0x808c, 1, 1, 0, 0, 0, 0, REG_OSLSR_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* OSLSR_EL1 */
    {0x809c, 1, 3, 0, 0, 0, 4, REG_OSDLR_EL1, UINT64_C(0x1), UINT64_C(0x0), 0x0}, /* OSDLR_EL1 */
    {0x80a4, 1, 3, 0, 0, 0, 4, REG_DBGPRCR_EL1, UINT64_C(0x1), UINT64_C(0x0), 0x0}, /* DBGPRCR_EL1 */
    {0x83c6, 2, 3, 0, 0, 20, 0, -1, UINT64_C(0xff), UINT64_C(0x0), 0x0}, /* DBGCLAIMSET_EL1 */
    {0x83ce, 1, 3, 0, 0, 21, 0, REG_DBGCLAIMCLR_EL1, UINT64_C(0xff), UINT64_C(0x0), 0x0}, /* DBGCLAIMCLR_EL1 */
    {0x83f6, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* DBGAUTHSTATUS_EL1 */
    {0x9808, 0, 1, 1, 10, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* MDCCSR_EL0 */
    {0x9820, 0, 3, 3, 10, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* DBGDTR_EL0 */
    {0x9828, 0, 3, 3, 10, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* DBGDTRTX_EL0 */
    {0xc000, 1, 1, 0, 0, 0, 0, REG_MIDR_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* MIDR_EL1 */
    {0xc005, 1, 1, 0, 0, 0, 0, REG_MPIDR_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* MPIDR_EL1 */
    {0xc006, 1, 1, 0, 0, 0, 0, REG_REVIDR_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x10000), 0x0}, /* REVIDR_EL1 */
    {0xc008, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_PFR0_EL1 */
    {0xc009, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_PFR1_EL1 */
    {0xc00a, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_DFR0_EL1 */
    {0xc00b, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_AFR0_EL1 */
    {0xc00c, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_MMFR0_EL1 */
    {0xc00d, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_MMFR1_EL1 */
    {0xc00e, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_MMFR2_EL1 */
    {0xc00f, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_MMFR3_EL1 */
    {0xc010, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_ISAR0_EL1 */
    {0xc011, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_ISAR1_EL1 */
    {0xc012, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_ISAR2_EL1 */
    {0xc013, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_ISAR3_EL1 */
    {0xc014, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_ISAR4_EL1 */
    {0xc015, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_ISAR5_EL1 */
    {0xc016, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_MMFR4_EL1 */
    {0xc017, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_ISAR6_EL1 */
    {0xc018, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* MVFR0_EL1 */
    {0xc019, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* MVFR1_EL1 */
    {0xc01a, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* MVFR2_EL1 */
    {0xc01b, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* S3_0_C0_C3_3 */
    {0xc01c, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_PFR2_EL1 */
    {0xc01d, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_DFR1_EL1 */
    {0xc01e, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_MMFR5_EL1 */
    {0xc01f, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* S3_0_C0_C3_7 */
    {0xc020, 1, 1, 0, 0, 0, 0, REG_ID_AA64PFR0_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_AA64PFR0_EL1 */
    {0xc021, 1, 1, 0, 0, 0, 0, REG_ID_AA64PFR1_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_AA64PFR1_EL1 */
    {0xc022, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_AA64PFR2_EL1 */
    {0xc023, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* S3_0_C0_C4_3 */
    {0xc024, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_AA64ZFR0_EL1 */
    {0xc025, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_AA64SMFR0_EL1 */
    {0xc026, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* S3_0_C0_C4_6 */
    {0xc027, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_AA64FPFR0_EL1 */
    {0xc028, 1, 1, 0, 0, 0, 0, REG_ID_AA64DFR0_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_AA64DFR0_EL1 */
    {0xc029, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_AA64DFR1_EL1 */
    {0xc02a, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_AA64DFR2_EL1 */
    {0xc02b, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* S3_0_C0_C5_3 */
    {0xc02c, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_AA64AFR0_EL1 */
    {0xc02d, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_AA64AFR1_EL1 */
    {0xc02e, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* S3_0_C0_C5_6 */
    {0xc02f, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* S3_0_C0_C5_7 */
    {0xc030, 1, 1, 0, 0, 0, 0, REG_ID_AA64ISAR0_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_AA64ISAR0_EL1 */
    {0xc031, 1, 1, 0, 0, 0, 0, REG_ID_AA64ISAR1_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_AA64ISAR1_EL1 */
    {0xc032, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_AA64ISAR2_EL1 */
    {0xc033, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_AA64ISAR3_EL1 */
    {0xc034, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* S3_0_C0_C6_4 */
    {0xc035, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* S3_0_C0_C6_5 */
    {0xc036, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* S3_0_C0_C6_6 */
    {0xc037, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* S3_0_C0_C6_7 */
    {0xc038, 1, 1, 0, 0, 0, 0, REG_ID_AA64MMFR0_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_AA64MMFR0_EL1 */
    {0xc039, 1, 1, 0, 0, 0, 0, REG_ID_AA64MMFR1_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_AA64MMFR1_EL1 */
    {0xc03a, 1, 1, 0, 0, 0, 0, REG_ID_AA64MMFR2_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_AA64MMFR2_EL1 */
    {0xc03b, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_AA64MMFR3_EL1 */
    {0xc03c, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* ID_AA64MMFR4_EL1 */
    {0xc03d, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* S3_0_C0_C7_5 */
    {0xc03e, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* S3_0_C0_C7_6 */
    {0xc03f, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x40000), 0x0}, /* S3_0_C0_C7_7 */
    {0xc080, 1, 3, 0, 0, 9, 1, REG_SCTLR_EL1, UINT64_C(0x200100034dddbff), UINT64_C(0x0), 0x0}, /* SCTLR_EL1 */
    {0xc081, 0, 3, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* ACTLR_EL1 */
    {0xc082, 1, 3, 0, 0, 0, 8, REG_CPACR_EL1, UINT64_C(0x300000), UINT64_C(0x0), 0x0}, /* CPACR_EL1 */
    {0xc100, 1, 3, 0, 0, 0, 1, REG_TTBR0_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* TTBR0_EL1 */
    {0xc101, 1, 3, 0, 0, 0, 1, REG_TTBR1_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* TTBR1_EL1 */
    {0xc102, 1, 3, 0, 0, 0, 1, REG_TCR_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* TCR_EL1 */
    {0xc200, 1, 3, 0, 0, 0, 0, REG_SPSR_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* SPSR_EL1 */
    {0xc201, 1, 3, 0, 0, 0, 0, REG_ELR_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* ELR_EL1 */
    {0xc208, 2, 3, 0, 0, 6, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* SP_EL0 */
    {0xc210, 2, 3, 0, 0, 4, 0, -1, UINT64_C(0x1), UINT64_C(0x0), 0x0}, /* SPSel */
    {0xc212, 2, 1, 0, 0, 3, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* CurrentEL */
    {0xc213, 2, 3, 0, 0, 5, 0, -1, UINT64_C(0x400000), UINT64_C(0x0), 0x8}, /* PAN */
    {0xc214, 2, 3, 0, 0, 5, 0, -1, UINT64_C(0x800000), UINT64_C(0x0), 0x10}, /* UAO */
    {0xc288, 1, 3, 0, 0, 0, 0, REG_AFSR0_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* AFSR0_EL1 */
    {0xc289, 1, 3, 0, 0, 0, 0, REG_AFSR1_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* AFSR1_EL1 */
    {0xc290, 1, 3, 0, 0, 0, 0, REG_ESR_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* ESR_EL1 */
    {0xc300, 1, 3, 0, 0, 0, 0, REG_FAR_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* FAR_EL1 */
    {0xc3a0, 1, 3, 0, 0, 0, 0, REG_PAR_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* PAR_EL1 */
    {0xc510, 1, 3, 0, 0, 0, 1, REG_MAIR_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* MAIR_EL1 */
    {0xc518, 0, 3, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* AMAIR_EL1 */
    {0xc520, 0, 3, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x800000000), 0x80}, /* LORSA_EL1 */
    {0xc521, 0, 3, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x800000000), 0x80}, /* LOREA_EL1 */
    {0xc522, 0, 3, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x800000000), 0x80}, /* LORN_EL1 */
    {0xc523, 0, 3, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x800000000), 0x80}, /* LORC_EL1 */
    {0xc527, 0, 1, 0, 0, 0, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x800000000), 0x80}, /* LORID_EL1 */
    {0xc600, 1, 3, 0, 0, 0, 0, REG_VBAR_EL1, UINT64_C(0xfffffffffffff800), UINT64_C(0x0), 0x0}, /* VBAR_EL1 */
    {0xc608, 2, 1, 0, 0, 13, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* ISR_EL1 */
    {0xc681, 2, 3, 0, 0, 10, 4, -1, UINT64_C(0xffffffff), UINT64_C(0x0), 0x0}, /* CONTEXTIDR_EL1 */
    {0xc684, 1, 3, 0, 0, 0, 0, REG_TPIDR_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* TPIDR_EL1 */
    {0xc708, 1, 3, 0, 0, 0, 0, REG_CNTKCTL_EL1, UINT64_C(0x3ff), UINT64_C(0x0), 0x0}, /* CNTKCTL_EL1 */
    {0xc800, 2, 1, 0, 0, 11, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x2000000020000), 0x0}, /* CCSIDR_EL1 */
    {0xc801, 1, 1, 0, 0, 0, 0, REG_CLIDR_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x2000000020000), 0x0}, /* CLIDR_EL1 */
    {0xc807, 1, 1, 0, 0, 0, 0, REG_AIDR_EL1, UINT64_C(0xffffffffffffffff), UINT64_C(0x10000), 0x0}, /* AIDR_EL1 */
    {0xd000, 1, 3, 0, 0, 0, 0, REG_CSSELR_EL1, UINT64_C(0xf), UINT64_C(0x2000000020000), 0x0}, /* CSSELR_EL1 */
    {0xd801, 1, 1, 1, 1, 0, 0, REG_CTR_EL0, UINT64_C(0xffffffffffffffff), UINT64_C(0x20000), 0x0}, /* CTR_EL0 */
    {0xd807, 1, 1, 1, 0, 12, 0, REG_DCZID_EL0, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* DCZID_EL0 */
    {0xda10, 2, 3, 3, 0, 1, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* NZCV */
    {0xda11, 2, 3, 3, 2, 2, 8, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* DAIF */
    {0xda15, 2, 3, 3, 0, 5, 0, -1, UINT64_C(0x1000000), UINT64_C(0x0), 0x800}, /* DIT */
    {0xda16, 2, 3, 3, 0, 5, 0, -1, UINT64_C(0x1000), UINT64_C(0x0), 0x20}, /* SSBS */
    {0xda20, 2, 3, 3, 0, 7, 0, -1, UINT64_C(0x7c00000), UINT64_C(0x0), 0x1}, /* FPCR */
    {0xda21, 2, 3, 3, 0, 8, 0, -1, UINT64_C(0x800009f), UINT64_C(0x0), 0x1}, /* FPSR */
    {0xde82, 1, 3, 3, 0, 0, 0, REG_TPIDR_EL0, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* TPIDR_EL0 */
    {0xde83, 1, 3, 1, 0, 0, 0, REG_TPIDRRO_EL0, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* TPIDRRO_EL0 */
    {0xdf00, 1, 1, 1, 7, 0, 0, REG_CNTFRQ_EL0, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* CNTFRQ_EL0 */
    {0xdf01, 2, 1, 1, 5, 14, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* CNTPCT_EL0 */
    {0xdf02, 2, 1, 1, 6, 14, 0, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* CNTVCT_EL0 */
    {0xdf10, 2, 3, 3, 8, 17, 16, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* CNTP_TVAL_EL0 */
    {0xdf11, 2, 3, 3, 8, 15, 16, -1, UINT64_C(0x3), UINT64_C(0x0), 0x0}, /* CNTP_CTL_EL0 */
    {0xdf12, 1, 3, 3, 8, 0, 16, REG_CNTP_CVAL_EL0, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* CNTP_CVAL_EL0 */
    {0xdf18, 2, 3, 3, 9, 18, 16, -1, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* CNTV_TVAL_EL0 */
    {0xdf19, 2, 3, 3, 9, 16, 16, -1, UINT64_C(0x3), UINT64_C(0x0), 0x0}, /* CNTV_CTL_EL0 */
    {0xdf1a, 1, 3, 3, 9, 0, 16, REG_CNTV_CVAL_EL0, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* CNTV_CVAL_EL0 */
    {0xe088, 1, 0, 0, 0, 0, 0, REG_HCR_EL2, UINT64_C(0xffffffffffffffff), UINT64_C(0x0), 0x0}, /* HCR_EL2 */
};
#endif
