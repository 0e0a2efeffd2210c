/* Loops over bytes: copy with a change, compare, search. n: passes over 60 KiB. */
#include "workload.h"

/* Not a power of two apart, as no two arrays of a real program are. */
enum { BYTES = 60 << 10 };
static volatile uint8_t from[BYTES], to[BYTES + 4160];

uint64_t work(uint64_t n)
{
    uint64_t sum = 0;
    for (int i = 0; i < BYTES; i++)
        from[i] = (uint8_t)(i * 131 ^ i >> 7);
    for (uint64_t pass = 0; pass < n; pass++) {
        uint8_t key = (uint8_t)(pass * 29 + 1);
        for (int i = 0; i < BYTES; i++) {
            uint8_t byte = from[i];
            to[i] = (uint8_t)(byte >= 'a' && byte <= 'z' ? byte - 32 : byte ^ key);
        }
        for (int i = 0; i < BYTES; i++)
            sum += from[i] != to[i];
        for (int i = BYTES; i-- > 0;)
            if (to[i] == key) {
                sum = sum * 31 + (uint64_t)i;
                break;
            }
    }
    return sum;
}
