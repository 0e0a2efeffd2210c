/* The length of strings, 16 bytes at a time. n: rounds over 256 strings. */
#include "workload.h"

enum { STRINGS = 256, BYTES = 64 << 10 };
static uint8_t text[BYTES + 16] __attribute__((aligned(16)));
static uint32_t starts[STRINGS];

#if defined(__ARM_NEON)
#include <arm_neon.h>

__attribute__((noinline)) static uint64_t length(const uint8_t *string)
{
    const uint8_t *at = (const uint8_t *)((uintptr_t)string & -16ul);
    uint64_t skip = (uint64_t)(string - at) * 4;
    for (uint64_t zeros = ~0ul << skip;; zeros = ~0ul) {    /* four bits for each byte */
        uint16x8_t found = vreinterpretq_u16_u8(vceqzq_u8(vld1q_u8(at)));
        zeros &= vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(found, 4)), 0);
        if (zeros)
            return (uint64_t)(at - string) + ((uint64_t)__builtin_ctzll(zeros) >> 2);
        at += 16;
    }
}

#else

static uint64_t length(const uint8_t *string)
{
    uint64_t n = 0;
    while (string[n])
        n++;
    return n;
}

#endif

uint64_t work(uint64_t n)
{
    uint64_t sum = 0, at = 0;
    for (int i = 0; i < BYTES; i++)
        text[i] = (uint8_t)(i % 255 + 1);
    for (uint64_t i = 0; i < STRINGS; i++) {
        starts[i] = (uint32_t)at;
        at += i * i % 211 + 1 + (i % 16 == 7 ? 500 : 0);
        text[at++] = 0;
    }
    for (uint64_t i = 0; i < n; i++)
        for (int k = 0; k < STRINGS; k++)
            sum = sum * 3 + length(text + starts[k]);
    return sum;
}
