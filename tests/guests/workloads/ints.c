/* Loops over 32-bit integers that a compiler makes vectors of: sums, products, bounds, shifts,
 * comparisons, bytes widened. n: passes over 4096 elements. */
#include "workload.h"

enum { ELEMENTS = 4096 };
static int32_t a[ELEMENTS], b[ELEMENTS];
static uint8_t bytes[ELEMENTS];

uint64_t work(uint64_t n)
{
    uint64_t total = 0;
    for (int i = 0; i < ELEMENTS; i++) {
        a[i] = (int32_t)((uint32_t)i * 2654435761u);
        bytes[i] = (uint8_t)(i * 167 >> 3);
    }
    for (uint64_t pass = 0; pass < n; pass++) {
        uint32_t factor = (uint32_t)pass * 2 + 3, sum = 0, above = 0;
        int32_t least = INT32_MAX;
        for (int i = 0; i < ELEMENTS; i++) {
            uint32_t value = (uint32_t)a[i] * factor + bytes[i];
            b[i] = (int32_t)(value ^ value >> 15);
        }
        for (int i = 0; i < ELEMENTS; i++) {
            int32_t value = b[i] > a[i] ? b[i] - (a[i] >> 3) : a[i];
            least = value < least ? value : least;
            above += b[i] > 1 << 28;
            sum += (uint32_t)value;
        }
        for (int i = 0; i < ELEMENTS; i++)
            bytes[i] = (uint8_t)((uint32_t)b[i] >> 24 > bytes[i] ? bytes[i] + 1 : bytes[i] ^ 0x55);
        for (int i = 0; i < ELEMENTS; i++)
            a[i] = (int32_t)((uint32_t)a[i] + (uint32_t)b[i]);
        total = total * 31 + sum + above + (uint32_t)least;
    }
    return total;
}
