/* AES, SHA, SM3 and SM4 instructions: each a function of type op_fn. Included by
 * saecore/a64/_emit_crypto.pyx alone.
 *
 * D, N, M and A are the registers op->rd, rn, rm and ra; op->imm is bits 15 to 10 of the
 * instruction. All is computed from copies: D may be any of the others.
 *
 * Sources: Arm ARM (DDI 0487), C7.2 and J1.3, functions/crypto; FIPS 180-4, FIPS 197, GB/T 32905
 * and GB/T 32907 for what the pieces are.
 */
#ifndef SAE_CRYPTO_OPS_H
#define SAE_CRYPTO_OPS_H
#include <stddef.h>
#include "sae_a64.h"
#include "sae_pe.h"
#include "sae_vector.h"

#define CRYPTO(name) static void crypto_##name(pe_t *pe, const op_t *op)
#define VD pe->v[op->rd]
#define VN pe->v[op->rn]
#define VM pe->v[op->rm]
#define VA pe->v[op->ra]

/* A register as words, element 0 first, on hosts of either byte order. */
typedef struct { uint32_t w[4]; } words_t;

static inline words_t words_of(const vreg_t *v)
{
    words_t x;
    for (int i = 0; i < 4; i++)
        x.w[i] = v->s[LANE(i, 32)];
    return x;
}

/* Stored as a whole, as what reads it whole would wait for parts. */
static inline void put_words(vreg_t *v, words_t x)
{
    sae_put(v, (sae_pair_t){ x.w[0] | (uint64_t)x.w[1] << 32, x.w[2] | (uint64_t)x.w[3] << 32 });
}

/* `by` is 1 to one less than the width. */
#define rol32(x, by) ((x) << (by) | (x) >> (32 - (by)))
#define ror32(x, by) ((x) >> (by) | (x) << (32 - (by)))
static inline uint64_t ror64(uint64_t x, unsigned by) { return x >> by | x << (64 - by); }

static inline uint32_t choose(uint32_t x, uint32_t y, uint32_t z) { return ((y ^ z) & x) ^ z; }
static inline uint32_t majority(uint32_t x, uint32_t y, uint32_t z)
{
    return (x & y) | ((x | y) & z);
}
static inline uint32_t parity(uint32_t x, uint32_t y, uint32_t z) { return x ^ y ^ z; }

/* --- tables, which sae_crypto_fill computes once ----------------------------------------- */

static uint8_t aes_sbox[256], aes_inverse[256], sm4_sbox[256];
/* Table r of a byte in row r of a column: what it adds to the column (row 0 in the low byte) by
 * SubBytes and MixColumns together, or by their inverses. */
static uint32_t aes_enc[4][256], aes_dec[4][256];

/* Of the polynomials of GF(2**8), `poly` without x**8. */
static uint8_t gf_mul(uint8_t a, uint8_t b, uint8_t poly)
{
    uint8_t sum = 0;
    for (; b; b >>= 1) {
        if (b & 1)
            sum ^= a;
        a = (uint8_t)(a << 1 ^ (a >> 7) * poly);
    }
    return sum;
}

static uint8_t gf_inverse(uint8_t a, uint8_t poly)
{
    uint8_t power = 1;
    for (int i = 0; i < 254; i++)
        power = gf_mul(power, a, poly);
    return power;
}

/* Bit i of the result is the parity of `row` rotated left by i, and the argument. */
static uint8_t circulant(uint8_t row, uint8_t x)
{
    uint8_t y = 0;
    for (unsigned i = 0; i < 8; i++) {
        uint8_t turned = (uint8_t)(row << i | row >> (8 - i) % 8);
        y |= (uint8_t)(__builtin_parity(turned & x) << i);
    }
    return y;
}

/* MixColumns of one column, as SubBytes leaves it. */
static inline uint32_t twice(uint32_t x)
{
    return (x & 0x7F7F7F7F) << 1 ^ (x >> 7 & 0x01010101) * 0x1B;
}
static inline uint32_t mixed(uint32_t x)
{
    return twice(x ^ ror32(x, 8)) ^ ror32(x, 8) ^ ror32(x, 16) ^ ror32(x, 24);
}
static inline uint32_t unmixed(uint32_t x)
{
    return mixed(x ^ twice(twice(x ^ ror32(x, 16))));
}

static void sae_crypto_fill(void)
{
    for (int i = 0; i < 256; i++) {
        uint8_t x = (uint8_t)i;
        aes_sbox[i] = circulant(0xF1, gf_inverse(x, 0x1B)) ^ 0x63;
        aes_inverse[aes_sbox[i]] = x;
        sm4_sbox[i] = circulant(0xA7, gf_inverse(circulant(0xA7, x) ^ 0xD3, 0xF5)) ^ 0xD3;
    }
    for (int i = 0; i < 256; i++)
        for (unsigned row = 0; row < 4; row++) {
            aes_enc[row][i] = mixed((uint32_t)aes_sbox[i] << 8 * row);
            aes_dec[row][i] = unmixed((uint32_t)aes_inverse[i] << 8 * row);
        }
}

/* --- AES ---------------------------------------------------------------------------------- */

/* The byte of row r that ShiftRows (turn 1) or its inverse (turn 3) moves to column c. */
#define SHIFTED(x, c, r, turn) ((x).w[((c) + (r) * (turn)) & 3] >> 8 * (r) & 0xFF)

static inline words_t aes_round(words_t x, unsigned turn, const uint8_t *sbox)
{
    words_t y;
    for (unsigned c = 0; c < 4; c++)
        y.w[c] = (uint32_t)sbox[SHIFTED(x, c, 0, turn)]
                 | (uint32_t)sbox[SHIFTED(x, c, 1, turn)] << 8
                 | (uint32_t)sbox[SHIFTED(x, c, 2, turn)] << 16
                 | (uint32_t)sbox[SHIFTED(x, c, 3, turn)] << 24;
    return y;
}

static inline words_t aes_mixed_round(words_t x, unsigned turn, uint32_t (*table)[256])
{
    words_t y;
    for (unsigned c = 0; c < 4; c++)
        y.w[c] = table[0][SHIFTED(x, c, 0, turn)] ^ table[1][SHIFTED(x, c, 1, turn)]
                 ^ table[2][SHIFTED(x, c, 2, turn)] ^ table[3][SHIFTED(x, c, 3, turn)];
    return y;
}

static inline words_t with_key(const pe_t *pe, const op_t *op)
{
    words_t x = words_of(&VD), key = words_of(&VN);
    for (int i = 0; i < 4; i++)
        x.w[i] ^= key.w[i];
    return x;
}

CRYPTO(aese) { put_words(&VD, aes_round(with_key(pe, op), 1, aes_sbox)); }
CRYPTO(aesd) { put_words(&VD, aes_round(with_key(pe, op), 3, aes_inverse)); }
CRYPTO(aesmc)
{
    vreg_t x = VN;
    for (int i = 0; i < 4; i++)
        x.s[i] = mixed(x.s[i]);
    VD = x;
}
CRYPTO(aesimc)
{
    vreg_t x = VN;
    for (int i = 0; i < 4; i++)
        x.s[i] = unmixed(x.s[i]);
    VD = x;
}
/* AESE and the AESMC behind it, AESD and AESIMC, all on D. */
CRYPTO(aese_aesmc) { put_words(&VD, aes_mixed_round(with_key(pe, op), 1, aes_enc)); }
CRYPTO(aesd_aesimc) { put_words(&VD, aes_mixed_round(with_key(pe, op), 3, aes_dec)); }

/* --- SHA-1 -------------------------------------------------------------------------------- */

#define SHA1_ROUNDS(name, f)                                                                   \
    CRYPTO(name)                                                                               \
    {                                                                                          \
        words_t x = words_of(&VD), w = words_of(&VM);                                          \
        uint32_t a = x.w[0], b = x.w[1], c = x.w[2], d = x.w[3], e = VN.s[LANE(0, 32)];        \
        for (int i = 0; i < 4; i++) {                                                          \
            uint32_t next = rol32(a, 5) + f(b, c, d) + e + w.w[i];                             \
            e = d;                                                                             \
            d = c;                                                                             \
            c = rol32(b, 30);                                                                  \
            b = a;                                                                             \
            a = next;                                                                          \
        }                                                                                      \
        put_words(&VD, (words_t){{a, b, c, d}});                                               \
    }
SHA1_ROUNDS(sha1c, choose)
SHA1_ROUNDS(sha1p, parity)
SHA1_ROUNDS(sha1m, majority)

CRYPTO(sha1h)
{
    uint32_t x = rol32(VN.s[LANE(0, 32)], 30);
    VD.d[0] = x;
    VD.d[1] = 0;
}
CRYPTO(sha1su0)
{
    vreg_t d = VD, n = VN, m = VM;
    VD.d[0] = d.d[1] ^ d.d[0] ^ m.d[0];
    VD.d[1] = n.d[0] ^ d.d[1] ^ m.d[1];
}
CRYPTO(sha1su1)
{
    words_t x = words_of(&VD), n = words_of(&VN);
    for (int i = 0; i < 3; i++)
        x.w[i] = rol32(x.w[i] ^ n.w[i + 1], 1);
    x.w[3] = rol32(x.w[3], 1) ^ rol32(x.w[0], 1);
    put_words(&VD, x);
}

/* --- SHA-256 ------------------------------------------------------------------------------ */

typedef struct { words_t x, y; } sha256_t;

static inline sha256_t sha256_rounds(words_t x, words_t y, words_t w)
{
    uint32_t a = x.w[0], b = x.w[1], c = x.w[2], d = x.w[3];
    uint32_t e = y.w[0], f = y.w[1], g = y.w[2], h = y.w[3];
    for (int i = 0; i < 4; i++) {
        /* What the next round waits for, is added last. */
        uint32_t early = h + w.w[i] + choose(e, f, g);
        uint32_t late = ror32(e, 6) ^ ror32(e, 11) ^ ror32(e, 25);
        uint32_t two = majority(a, b, c) + (ror32(a, 2) ^ ror32(a, 13) ^ ror32(a, 22));
        h = g;
        g = f;
        f = e;
        e = d + early + late;
        d = c;
        c = b;
        b = a;
        a = two + early + late;
    }
    return (sha256_t){{{a, b, c, d}}, {{e, f, g, h}}};
}

CRYPTO(sha256h)
{
    put_words(&VD, sha256_rounds(words_of(&VD), words_of(&VN), words_of(&VM)).x);
}
CRYPTO(sha256h2)
{
    put_words(&VD, sha256_rounds(words_of(&VN), words_of(&VD), words_of(&VM)).y);
}
/* SHA256H D, N, M and behind it SHA256H2 N, A, M, whose A mostly is what D was: then the rounds
 * are the same, and done once. */
SAE_CLONES("bmi2") CRYPTO(sha256h_sha256h2)   /* which rotate without a copy */
{
    words_t w = words_of(&VM), y = words_of(&VN);
    sha256_t both = sha256_rounds(words_of(&VD), y, w);
    if (SAE_UNLIKELY(VA.d[0] != VD.d[0] || VA.d[1] != VD.d[1]))
        both.y = sha256_rounds(words_of(&VA), y, w).y;
    put_words(&VD, both.x);
    put_words(&VN, both.y);
}
/* Four words at once, and the words of two registers from the second on. */
typedef uint32_t four_t __attribute__((vector_size(16)));
static inline four_t behind_first(sae_pair_t x, sae_pair_t y)
{
    return (four_t)(x >> 32 | SAE_PAIR_OF(x, y, 1, 2) << 32);
}
CRYPTO(sha256su0)
{
    four_t next = behind_first(sae_get(&VD), sae_get(&VN));
    four_t sum = (four_t)sae_get(&VD) + (ror32(next, 7) ^ ror32(next, 18) ^ next >> 3);
    sae_put(&VD, (sae_pair_t)sum);
}
static inline four_t sha256_sigma(sae_pair_t words)
{
    four_t x = (four_t)words;
    return ror32(x, 17) ^ ror32(x, 19) ^ x >> 10;
}
CRYPTO(sha256su1)   /* the upper half of the sum takes the lower one */
{
    const sae_pair_t m = sae_get(&VM), zero = { 0, 0 };
    four_t sum = (four_t)sae_get(&VD) + behind_first(sae_get(&VN), m);
    sum += sha256_sigma(SAE_PAIR_OF(m, zero, 1, 2));
    sum += sha256_sigma(SAE_PAIR_OF(zero, (sae_pair_t)sum, 0, 2));
    sae_put(&VD, (sae_pair_t)sum);
}

/* --- SHA-512 ------------------------------------------------------------------------------ */

static inline uint64_t choose64(uint64_t x, uint64_t y, uint64_t z) { return ((y ^ z) & x) ^ z; }
static inline uint64_t majority64(uint64_t x, uint64_t y, uint64_t z)
{
    return (x & y) | ((x | y) & z);
}

CRYPTO(sha512h)
{
    vreg_t w = VD, x = VN, y = VM;
    uint64_t high = y.d[1], low;
    w.d[1] += choose64(high, x.d[0], x.d[1])
              + (ror64(high, 14) ^ ror64(high, 18) ^ ror64(high, 41));
    low = w.d[1] + y.d[0];
    w.d[0] += choose64(low, high, x.d[0]) + (ror64(low, 14) ^ ror64(low, 18) ^ ror64(low, 41));
    VD = w;
}
CRYPTO(sha512h2)
{
    vreg_t w = VD, x = VN, y = VM;
    uint64_t low = y.d[0], high;
    w.d[1] += majority64(x.d[0], y.d[1], low)
              + (ror64(low, 28) ^ ror64(low, 34) ^ ror64(low, 39));
    high = w.d[1];
    w.d[0] += majority64(high, low, y.d[1])
              + (ror64(high, 28) ^ ror64(high, 34) ^ ror64(high, 39));
    VD = w;
}
CRYPTO(sha512su0)
{
    uint64_t one = VD.d[1], two = VN.d[0];
    VD.d[0] += ror64(one, 1) ^ ror64(one, 8) ^ one >> 7;
    VD.d[1] += ror64(two, 1) ^ ror64(two, 8) ^ two >> 7;
}
CRYPTO(sha512su1)
{
    vreg_t w = VD, x = VN, y = VM;
    for (int i = 0; i < 2; i++)
        w.d[i] += y.d[i] + (ror64(x.d[i], 19) ^ ror64(x.d[i], 61) ^ x.d[i] >> 6);
    VD = w;
}

/* --- SHA-3 -------------------------------------------------------------------------------- */

#define EACH_HALF(name, value)                                                                 \
    CRYPTO(name)                                                                               \
    {                                                                                          \
        vreg_t n = VN, m = VM, a = VA, d;                                                      \
        (void)a;                                                                               \
        for (int i = 0; i < 2; i++)                                                            \
            d.d[i] = (value);                                                                  \
        VD = d;                                                                                \
    }
EACH_HALF(eor3, n.d[i] ^ m.d[i] ^ a.d[i])
EACH_HALF(bcax, n.d[i] ^ (m.d[i] & ~a.d[i]))
EACH_HALF(rax1, n.d[i] ^ ror64(m.d[i], 63))
EACH_HALF(xar, (n.d[i] ^ m.d[i]) >> (op->imm & 63) | (n.d[i] ^ m.d[i]) << (-op->imm & 63))

/* --- SM3 ---------------------------------------------------------------------------------- */

CRYPTO(sm3ss1)
{
    int top = LANE(3, 32);
    uint32_t sum = rol32(VN.s[top], 12) + VM.s[top] + VA.s[top];
    VD.d[0] = 0;
    VD.d[1] = (uint64_t)rol32(sum, 7) << 32;
}

/* One step of half the state: `f` and `add` make the new word, P0 is applied to it in the second
 * half, `by` rotates the third. The index of the word of M is imm<3:2>. */
#define SM3_IDENTITY(x) (x)
#define SM3_P0(x) ((x) ^ rol32(x, 9) ^ rol32(x, 17))
#define SM3_P1(x) ((x) ^ rol32(x, 15) ^ rol32(x, 23))
#define SM3_STEP(name, f, add, p, by)                                                          \
    CRYPTO(name)                                                                               \
    {                                                                                          \
        words_t d = words_of(&VD), m = words_of(&VM);                                          \
        uint32_t n = VN.s[LANE(3, 32)];                                                        \
        uint32_t next = f(d.w[3], d.w[2], d.w[1]) + d.w[0] + (add) + m.w[op->imm >> 2 & 3];    \
        put_words(&VD, (words_t){{d.w[1], rol32(d.w[2], by), d.w[3], p(next)}});               \
    }
SM3_STEP(sm3tt1a, parity, n ^ rol32(d.w[3], 12), SM3_IDENTITY, 9)
SM3_STEP(sm3tt1b, majority, n ^ rol32(d.w[3], 12), SM3_IDENTITY, 9)
SM3_STEP(sm3tt2a, parity, n, SM3_P0, 19)
SM3_STEP(sm3tt2b, choose, n, SM3_P0, 19)

CRYPTO(sm3partw1)
{
    words_t d = words_of(&VD), n = words_of(&VN), m = words_of(&VM);
    for (int i = 0; i < 4; i++) {
        uint32_t last = i < 3 ? m.w[i + 1] : d.w[0];
        uint32_t sum = d.w[i] ^ n.w[i] ^ rol32(last, 15);
        d.w[i] = SM3_P1(sum);
    }
    put_words(&VD, d);
}
CRYPTO(sm3partw2)
{
    words_t d = words_of(&VD), n = words_of(&VN), m = words_of(&VM);
    uint32_t first = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t sum = n.w[i] ^ rol32(m.w[i], 7);
        first = i ? first : rol32(sum, 15);
        d.w[i] ^= sum;
    }
    d.w[3] ^= SM3_P1(first);
    put_words(&VD, d);
}

/* --- SM4 ---------------------------------------------------------------------------------- */

static inline uint32_t sm4_substituted(uint32_t x)
{
    return (uint32_t)sm4_sbox[x & 0xFF] | (uint32_t)sm4_sbox[x >> 8 & 0xFF] << 8
           | (uint32_t)sm4_sbox[x >> 16 & 0xFF] << 16 | (uint32_t)sm4_sbox[x >> 24] << 24;
}

#define SM4_CIPHER(x) ((x) ^ rol32(x, 2) ^ rol32(x, 10) ^ rol32(x, 18) ^ rol32(x, 24))
#define SM4_KEYS(x) ((x) ^ rol32(x, 13) ^ rol32(x, 23))
/* Four rounds from `state`, with the words of `keys`. */
#define SM4_ROUNDS(name, state, keys, mix)                                                     \
    CRYPTO(name)                                                                               \
    {                                                                                          \
        words_t x = words_of(&state), key = words_of(&keys);                                   \
        for (int i = 0; i < 4; i++) {                                                          \
            uint32_t next = x.w[1] ^ x.w[2] ^ x.w[3] ^ key.w[i];                               \
            next = sm4_substituted(next);                                                      \
            next = mix(next) ^ x.w[0];                                                         \
            x = (words_t){{x.w[1], x.w[2], x.w[3], next}};                                     \
        }                                                                                      \
        put_words(&VD, x);                                                                     \
    }
SM4_ROUNDS(sm4e, VD, VN, SM4_CIPHER)
SM4_ROUNDS(sm4ekey, VN, VM, SM4_KEYS)

/* --- all of them, by encoding ------------------------------------------------------------- */

#define FIRST_CRYPTO ENC_aese
#define FUNCTION(name) [ENC_##name - FIRST_CRYPTO] = crypto_##name
static op_fn *const sae_crypto_fns[] = {
    FUNCTION(aese), FUNCTION(aesd), FUNCTION(aesmc), FUNCTION(aesimc),
    FUNCTION(sha1c), FUNCTION(sha1p), FUNCTION(sha1m), FUNCTION(sha1h),
    FUNCTION(sha1su0), FUNCTION(sha1su1),
    FUNCTION(sha256h), FUNCTION(sha256h2), FUNCTION(sha256su0), FUNCTION(sha256su1),
    FUNCTION(sha512h), FUNCTION(sha512h2), FUNCTION(sha512su0), FUNCTION(sha512su1),
    FUNCTION(eor3), FUNCTION(bcax), FUNCTION(rax1), FUNCTION(xar),
    FUNCTION(sm3ss1), FUNCTION(sm3tt1a), FUNCTION(sm3tt1b), FUNCTION(sm3tt2a),
    FUNCTION(sm3tt2b), FUNCTION(sm3partw1), FUNCTION(sm3partw2),
    FUNCTION(sm4e), FUNCTION(sm4ekey),
};

/* The function that does two instructions, or NULL: what it begins with, and what comes next. */
static op_fn *crypto_pair(op_fn *first, int next)
{
    if (first == crypto_aese && next == ENC_aesmc)
        return crypto_aese_aesmc;
    if (first == crypto_aesd && next == ENC_aesimc)
        return crypto_aesd_aesimc;
    if (first == crypto_sha256h && next == ENC_sha256h2)
        return crypto_sha256h_sha256h2;
    return NULL;
}

#undef CRYPTO
#undef VD
#undef VN
#undef VM
#undef VA
#undef SHIFTED
#undef SHA1_ROUNDS
#undef EACH_HALF
#undef SM3_STEP
#undef SM4_ROUNDS
#undef FUNCTION
#endif
