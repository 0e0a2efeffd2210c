/* QARMA-64 with five rounds and the S-box sigma 2: what FEAT_PACQARMA5 computes. Included by
 * saecore/_pauth.pyx alone.
 *
 * Sources: R. Avanzi, "The QARMA Block Cipher Family", IACR ToSC 2017(1), whose names are used
 * here; Arm ARM (DDI 0487), ComputePAC. Cell 0 of a block is its most significant nibble.
 */
#ifndef SAE_QARMA_H
#define SAE_QARMA_H
#include <stdint.h>

enum { QARMA_ROUNDS = 5 };

/* Digits of pi, but for the first: the constants of the rounds, and that of the second half. */
static const uint64_t qarma_c[QARMA_ROUNDS] = {
    0, UINT64_C(0x13198A2E03707344), UINT64_C(0xA4093822299F31D0),
    UINT64_C(0x082EFA98EC4E6C89), UINT64_C(0x452821E638D01377),
};
static const uint64_t qarma_alpha = UINT64_C(0xC0AC29B7C97C50DD);

static const uint8_t qarma_sigma[16] = {11, 6, 8, 15, 12, 0, 9, 14, 3, 7, 4, 5, 13, 2, 1, 10};
/* Where cells come from: tau of the state, h of the tweak. */
static const uint8_t qarma_tau[16] = {0, 11, 6, 13, 10, 1, 12, 7, 5, 14, 3, 8, 15, 4, 9, 2};
static const uint8_t qarma_h[16] = {6, 5, 14, 15, 0, 1, 2, 3, 7, 12, 13, 4, 8, 9, 10, 11};
/* The cells of the tweak that step: 0, 1, 3, 4, 8, 11 and 13. */
static const uint64_t qarma_stepping = UINT64_C(0xFF0FF000F00F0F00);

/* The S-box of two cells at once, and its inverse; qarma_fill computes them. */
static uint8_t qarma_sub[256], qarma_unsub[256];

static void qarma_fill(void)
{
    for (int i = 0; i < 256; i++) {
        uint8_t pair = (uint8_t)(qarma_sigma[i >> 4] << 4 | qarma_sigma[i & 15]);
        qarma_sub[i] = pair;
        qarma_unsub[pair] = (uint8_t)i;
    }
}

static inline uint64_t qarma_substituted(uint64_t x, const uint8_t *box)
{
    uint64_t y = 0;
    for (int at = 0; at < 64; at += 8)
        y |= (uint64_t)box[x >> at & 0xFF] << at;
    return y;
}

static inline uint64_t qarma_cell(uint64_t x, int cell)
{
    return x >> (60 - 4 * cell) & 15;
}

/* Cell i of the result is cell from[i]; and the other way round. */
static inline uint64_t qarma_permuted(uint64_t x, const uint8_t *from)
{
    uint64_t y = 0;
    for (int i = 0; i < 16; i++)
        y |= qarma_cell(x, from[i]) << (60 - 4 * i);
    return y;
}
static inline uint64_t qarma_restored(uint64_t x, const uint8_t *from)
{
    uint64_t y = 0;
    for (int i = 0; i < 16; i++)
        y |= qarma_cell(x, i) << (60 - 4 * from[i]);
    return y;
}

/* Every cell rotated left by one or two. */
static inline uint64_t qarma_rot1(uint64_t x)
{
    return (x << 1 & UINT64_C(0xEEEEEEEEEEEEEEEE)) | (x >> 3 & UINT64_C(0x1111111111111111));
}
static inline uint64_t qarma_rot2(uint64_t x)
{
    return (x << 2 & UINT64_C(0xCCCCCCCCCCCCCCCC)) | (x >> 2 & UINT64_C(0x3333333333333333));
}
/* MixColumns, M = circ(0, rho, rho**2, rho): its own inverse. A row is 16 bits. */
static inline uint64_t qarma_mixed(uint64_t x)
{
    return qarma_rot1((x >> 16 | x << 48) ^ (x >> 48 | x << 16)) ^ qarma_rot2(x >> 32 | x << 32);
}

/* The tweak of the next round, and of the one before. */
static inline uint64_t qarma_next(uint64_t t)
{
    uint64_t x = qarma_permuted(t, qarma_h), steps = x & qarma_stepping;
    uint64_t feedback = (steps ^ steps >> 1) & UINT64_C(0x1111111111111111);
    return (x & ~qarma_stepping)
           | ((steps >> 1 & UINT64_C(0x7777777777777777)) | feedback << 3);
}
static inline uint64_t qarma_last(uint64_t t)
{
    uint64_t steps = t & qarma_stepping;
    uint64_t feedback = (steps ^ steps >> 3) & UINT64_C(0x1111111111111111);
    uint64_t x = (t & ~qarma_stepping) | (steps << 1 & UINT64_C(0xEEEEEEEEEEEEEEEE)) | feedback;
    return qarma_restored(x, qarma_h);
}

/* The block `p` enciphered under a tweak, with the whitening key w0 and the core key k0. */
static uint64_t qarma64(uint64_t p, uint64_t tweak, uint64_t w0, uint64_t k0)
{
    uint64_t w1 = (w0 >> 1 | w0 << 63) ^ w0 >> 63;
    uint64_t x = p ^ w0;
    for (int i = 0; i < QARMA_ROUNDS; i++) {
        x ^= k0 ^ tweak ^ qarma_c[i];
        if (i > 0)
            x = qarma_mixed(qarma_permuted(x, qarma_tau));
        x = qarma_substituted(x, qarma_sub);
        tweak = qarma_next(tweak);
    }
    x = qarma_mixed(qarma_permuted(x ^ w1 ^ tweak, qarma_tau));
    x = qarma_substituted(x, qarma_sub);
    x = qarma_mixed(qarma_permuted(x, qarma_tau));
    x = qarma_restored(x ^ k0, qarma_tau);
    x = qarma_substituted(x, qarma_unsub);
    x = qarma_restored(qarma_mixed(x), qarma_tau) ^ w0 ^ tweak;
    for (int i = QARMA_ROUNDS - 1; i >= 0; i--) {
        x = qarma_substituted(x, qarma_unsub);
        if (i > 0)
            x = qarma_restored(qarma_mixed(x), qarma_tau);
        tweak = qarma_last(tweak);
        x ^= k0 ^ tweak ^ qarma_c[i] ^ qarma_alpha;
    }
    return x ^ w1;
}

#endif
