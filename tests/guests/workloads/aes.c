/* AES-128 in CBC mode, there and back: by its instructions where there are any, otherwise in
 * plain C from the standard. n: passes over 4 KiB. */
#include "workload.h"

enum { BYTES = 4096, ROUNDS = 10 };
static uint8_t sbox[256], inverse_sbox[256], keys[ROUNDS + 1][16], text[BYTES], coded[BYTES];

static uint8_t twice(uint8_t value)
{
    return (uint8_t)(value << 1 ^ (value >> 7) * 0x1b);
}

static uint8_t product(uint8_t a, uint8_t b)
{
    uint8_t found = 0;
    for (; b; b >>= 1, a = twice(a))
        if (b & 1)
            found ^= a;
    return found;
}

static void make_sbox(void)
{
    for (int i = 0; i < 256; i++) {
        uint8_t inverse = 1, value;
        for (int k = 0; k < 254; k++)   /* the inverse is the 254th power */
            inverse = product(inverse, (uint8_t)i);
        value = inverse;
        for (int k = 1; k < 5; k++)
            value ^= (uint8_t)(inverse << k | inverse >> (8 - k));
        sbox[i] = value ^ 0x63;
        inverse_sbox[sbox[i]] = (uint8_t)i;
    }
}

static void expand_key(const uint8_t *key)
{
    uint8_t *words = keys[0], constant = 1;
    for (int i = 0; i < 16; i++)
        words[i] = key[i];
    for (int i = 16; i < 16 * (ROUNDS + 1); i++) {
        uint8_t last = words[i - 4];
        if (i % 16 < 4)
            last = sbox[words[i % 16 == 3 ? i - 7 : i - 3]];
        if (i % 16 == 0) {
            last ^= constant;
            constant = twice(constant);
        }
        words[i] = words[i - 16] ^ last;
    }
}

#if defined(__ARM_FEATURE_AES)
#include <arm_neon.h>

static uint8x16_t encrypt(uint8x16_t block)
{
    for (int i = 0; i < ROUNDS - 1; i++)
        block = vaesmcq_u8(vaeseq_u8(block, vld1q_u8(keys[i])));
    return veorq_u8(vaeseq_u8(block, vld1q_u8(keys[ROUNDS - 1])), vld1q_u8(keys[ROUNDS]));
}

static uint8x16_t decrypt(uint8x16_t block)
{
    block = vaesdq_u8(block, vld1q_u8(keys[ROUNDS]));
    for (int i = ROUNDS - 1; i > 0; i--)
        block = vaesdq_u8(vaesimcq_u8(block), vaesimcq_u8(vld1q_u8(keys[i])));
    return veorq_u8(block, vld1q_u8(keys[0]));
}

static void code(uint8_t *chain)
{
    uint8x16_t last = vld1q_u8(chain);
    for (int i = 0; i < BYTES; i += 16) {
        last = encrypt(veorq_u8(vld1q_u8(text + i), last));
        vst1q_u8(coded + i, last);
    }
}

static void decode(const uint8_t *chain)
{
    uint8x16_t last = vld1q_u8(chain);
    for (int i = 0; i < BYTES; i += 16) {
        uint8x16_t block = vld1q_u8(coded + i);
        vst1q_u8(text + i, veorq_u8(decrypt(block), last));
        last = block;
    }
}

#else

static void add(uint8_t *block, const uint8_t *other)
{
    for (int i = 0; i < 16; i++)
        block[i] ^= other[i];
}

/* Byte i of a block is row i % 4, column i / 4; row r moves by r columns. */
static void substitute(uint8_t *block, const uint8_t *box, int direction)
{
    uint8_t moved[16];
    for (int i = 0; i < 16; i++)
        moved[i] = box[block[(i + direction * 4 * (i % 4)) & 15]];
    for (int i = 0; i < 16; i++)
        block[i] = moved[i];
}

static void mix(uint8_t *block, const uint8_t *factors)
{
    for (int column = 0; column < 16; column += 4) {
        uint8_t mixed[4] = {0};
        for (int i = 0; i < 4; i++)
            for (int k = 0; k < 4; k++)
                mixed[i] ^= product(block[column + k], factors[(k - i) & 3]);
        for (int i = 0; i < 4; i++)
            block[column + i] = mixed[i];
    }
}

static void encrypt(uint8_t *block)
{
    static const uint8_t factors[] = {2, 3, 1, 1};
    for (int i = 0; i < ROUNDS; i++) {
        add(block, keys[i]);
        substitute(block, sbox, 1);
        if (i < ROUNDS - 1)
            mix(block, factors);
    }
    add(block, keys[ROUNDS]);
}

static void decrypt(uint8_t *block)
{
    static const uint8_t factors[] = {14, 11, 13, 9};
    add(block, keys[ROUNDS]);
    for (int i = ROUNDS; i-- > 0;) {
        substitute(block, inverse_sbox, -1);
        add(block, keys[i]);
        if (i)
            mix(block, factors);
    }
}

static void code(uint8_t *chain)
{
    for (int i = 0; i < BYTES; i += 16) {
        for (int k = 0; k < 16; k++)
            coded[i + k] = text[i + k];
        add(coded + i, chain);
        encrypt(coded + i);
        chain = coded + i;
    }
}

static void decode(const uint8_t *chain)
{
    for (int i = 0; i < BYTES; i += 16) {
        for (int k = 0; k < 16; k++)
            text[i + k] = coded[i + k];
        decrypt(text + i);
        add(text + i, chain);
        chain = coded + i;
    }
}

#endif

uint64_t work(uint64_t n)
{
    uint64_t sum = 0;
    uint8_t chain[16];
    make_sbox();
    for (int i = 0; i < BYTES; i++)
        text[i] = (uint8_t)(i * 131 ^ i >> 5);
    for (int i = 0; i < 16; i++)
        chain[i] = (uint8_t)(i * 17);
    expand_key(chain);
    for (uint64_t pass = 0; pass < n; pass++) {
        code(chain);
        for (int i = 0; i < 16; i++) {
            chain[i] = coded[BYTES - 16 + i];
            sum = sum * 31 + chain[i];
        }
        if (pass % 2) {     /* what was coded, and by another start of the chain not quite */
            decode(chain);
            for (int i = 0; i < 32; i++)
                sum = sum * 31 + text[i];
        }
    }
    return sum;
}
