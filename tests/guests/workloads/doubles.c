/* Loops over doubles that a compiler makes vectors of: scaled sums, a stencil, square roots and
 * quotients, bounds, conversions. n: passes over 2048 elements. */
#include "workload.h"

enum { ELEMENTS = 2048 };
static double x[ELEMENTS], y[ELEMENTS], z[ELEMENTS];

uint64_t work(uint64_t n)
{
    uint64_t total = 0;
    for (int i = 0; i < ELEMENTS; i++) {
        x[i] = i * 0.37 - 100;
        y[i] = 1000.0 / (i + 1);
    }
    for (uint64_t pass = 0; pass < n; pass++) {
        double scale = 1.0 / (double)(pass % 7 + 2), sums[4] = {0};
        for (int i = 0; i < ELEMENTS; i++)
            y[i] = FUSED(scale, x[i], y[i]);
        for (int i = 1; i < ELEMENTS - 1; i++)
            z[i] = 0.25 * y[i - 1] + 0.5 * y[i] + 0.25 * y[i + 1];
        for (int i = 0; i < ELEMENTS; i++) {
            double value = z[i] > x[i] ? z[i] - x[i] : x[i];
            y[i] = value < 1e6 ? value : 1e6;
        }
        if (pass % 4 == 0)
            for (int i = 0; i < ELEMENTS; i++)
                z[i] = __builtin_sqrt(__builtin_fabs(y[i])) / (1 + x[i] * x[i]);
        for (int i = 0; i < ELEMENTS; i += 4)
            for (int k = 0; k < 4; k++)
                sums[k] += z[i + k] * y[i + k];
        for (int i = 0; i < ELEMENTS; i++)
            x[i] = FUSED(-0.5, x[i], (double)(int64_t)y[i]);
        total = total * 31 + bits_of(sums[0] + sums[1] + sums[2] + sums[3]);
    }
    for (int i = 0; i < ELEMENTS; i++)
        total = total * 31 + bits_of(x[i]);
    return total;
}
