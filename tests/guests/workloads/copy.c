/* Copies of every length and alignment by vector registers, as a C library's memcpy does them.
 * n: rounds of 64 copies. */
#include "workload.h"

enum { BYTES = 16 << 10 };
static uint8_t from[BYTES + 64], to[BYTES + 4160];

#if defined(__ARM_NEON)
#include <arm_neon.h>

__attribute__((noinline)) static void copy(uint8_t *into, const uint8_t *source, uint64_t n)
{
    if (n < 16) {
        for (; n--; into++, source++)
            *into = *source;
        return;
    }
    uint8x16_t last = vld1q_u8(source + n - 16);
    uint8_t *end = into + n - 16;
    for (; n >= 64; n -= 64, into += 64, source += 64) {
        uint8x16x4_t part = vld1q_u8_x4(source);
        vst1q_u8_x4(into, part);
    }
    for (; n >= 16; n -= 16, into += 16, source += 16)
        vst1q_u8(into, vld1q_u8(source));
    vst1q_u8(end, last);
}

#else

static void copy(uint8_t *into, const uint8_t *source, uint64_t n)
{
    for (; n--; into++, source++)
        *into = *source;
}

#endif

uint64_t work(uint64_t n)
{
    uint64_t sum = 0;
    for (int i = 0; i < BYTES + 64; i++)
        from[i] = (uint8_t)(i * 131 ^ i >> 7);
    for (uint64_t i = 0; i < n; i++) {
        for (uint64_t k = 0; k < 64; k++) {
            uint64_t length = k & 1 ? k * 7 : (i * 64 + k) * 37 % 4000;
            copy(to + k * 3 + length % 5, from + (k * 211 + i) % 8192, length);
        }
        sum = sum * 31 + to[i * 97 % 4096] + to[100] + to[190];
    }
    return sum;
}
