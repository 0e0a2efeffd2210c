/* A compute workload: plain C, the same for the guest and for the host that checks it. */
#ifndef WORKLOAD_H
#define WORKLOAD_H
#include <stdint.h>

/* `n` says how much there is to do; the answer depends on all of it. */
uint64_t work(uint64_t n);

/* Of doubles, answers are the same to the bit: nothing is fused but what says so. Compilers for
 * arm64 fuse wherever they can, those for x86-64 only if told to. */
#pragma STDC FP_CONTRACT OFF
#define FUSED(a, b, c) __builtin_fma(a, b, c)

static inline uint64_t bits_of(double value)
{
    uint64_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits;
}

#endif
