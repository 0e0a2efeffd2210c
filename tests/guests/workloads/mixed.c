/* Integer arithmetic of every kind: multiply, divide, shift, rotate, select, count bits, and a
 * small table. n: rounds. */
#include "workload.h"

static uint64_t table[256];

static uint64_t rotate(uint64_t value, unsigned by)
{
    return value >> (by & 63) | value << (-by & 63);
}

uint64_t work(uint64_t n)
{
    uint64_t x = 88172645463325252u, sum = 0;
    for (int i = 0; i < 256; i++)
        table[i] = (uint64_t)i * 0x9e3779b97f4a7c15u;
    for (uint64_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint64_t y = table[x & 255];
        sum += rotate(x, (unsigned)i) ^ y;
        sum += (x > y ? x - y : y - x) / ((i & 1023) + 3);
        sum ^= (uint64_t)(((__int128)x * (int64_t)y) >> 64);
        sum += (uint64_t)__builtin_clzll(x | 1) << (i & 31);
        sum = (int64_t)sum < 0 ? ~sum : sum + (uint32_t)x * 3;
        table[i & 255] = sum;
    }
    return sum;
}
