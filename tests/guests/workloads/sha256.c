/* SHA-256: by its instructions where there are any, otherwise in plain C from the standard.
 * n: messages of 4 KiB, each of which goes on from the state after the one before. */
#include "workload.h"

enum { BYTES = 4096, BLOCK = 64 };
static uint32_t constants[64], state[8];
static uint8_t message[BYTES];

/* The first 32 bits behind the point of a prime's square or cube root. */
static uint32_t fraction(unsigned prime, int cube)
{
    uint64_t root = 0;
    for (uint64_t bit = 1ull << 36; bit; bit >>= 1) {
        unsigned __int128 more = root | bit;
        if (more * more * (cube ? more : 1) <= (unsigned __int128)prime << (cube ? 96 : 64))
            root |= bit;
    }
    return (uint32_t)root;
}

static void make_constants(void)
{
    unsigned prime = 1;
    for (int i = 0; i < 64; i++) {
        for (unsigned by = 0; by != prime;) {
            prime++;
            for (by = 2; prime % by; by++)
                ;
        }
        constants[i] = fraction(prime, 1);
        if (i < 8)
            state[i] = fraction(prime, 0);
    }
}

#if defined(__ARM_FEATURE_SHA2)
#include <arm_neon.h>

static void add_block(const uint8_t *block)
{
    uint32x4_t words[4], abcd = vld1q_u32(state), efgh = vld1q_u32(state + 4);
    uint32x4_t first = abcd, second = efgh;
    for (int i = 0; i < 4; i++)
        words[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(block + 16 * i)));
    for (int i = 0; i < 16; i++) {
        uint32x4_t sum = vaddq_u32(words[i % 4], vld1q_u32(constants + 4 * i)), before = abcd;
        abcd = vsha256hq_u32(abcd, efgh, sum);
        efgh = vsha256h2q_u32(efgh, before, sum);
        words[i % 4] = vsha256su1q_u32(vsha256su0q_u32(words[i % 4], words[(i + 1) % 4]),
                                       words[(i + 2) % 4], words[(i + 3) % 4]);
    }
    vst1q_u32(state, vaddq_u32(abcd, first));
    vst1q_u32(state + 4, vaddq_u32(efgh, second));
}

#else

static uint32_t rotate(uint32_t value, int by)
{
    return value >> by | value << (32 - by);
}

static void add_block(const uint8_t *block)
{
    uint32_t words[64], s[8];
    for (int i = 0; i < 8; i++)
        s[i] = state[i];
    for (int i = 0; i < 16; i++)
        words[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16
                   | (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = words[i - 15], b = words[i - 2];
        words[i] = words[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + words[i - 7]
                   + (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    for (int i = 0; i < 64; i++) {
        uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
        uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
        uint32_t one = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) + choice
                       + constants[i] + words[i];
        uint32_t two = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) + majority;
        for (int k = 7; k > 0; k--)
            s[k] = s[k - 1];
        s[4] += one;
        s[0] = one + two;
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

#endif

uint64_t work(uint64_t n)
{
    make_constants();
    for (int i = 0; i < BYTES; i++)
        message[i] = (uint8_t)(i * 167 + (i >> 8));
    for (uint64_t i = 0; i < n; i++) {
        message[i % BYTES] ^= (uint8_t)i;
        for (int at = 0; at < BYTES; at += BLOCK)
            add_block(message + at);
    }
    return (uint64_t)(state[0] ^ state[2] ^ state[4]) << 32 | (state[1] ^ state[3] ^ state[7]);
}
