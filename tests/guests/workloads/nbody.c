/* Five bodies and their gravity in doubles, one step after the other. n: steps. */
#include "workload.h"

enum { BODIES = 5 };
struct body {
    double at[3], speed[3], mass;
};

static struct body bodies[BODIES];

static void step(double time)
{
    for (int i = 0; i < BODIES; i++)
        for (int j = i + 1; j < BODIES; j++) {
            struct body *a = &bodies[i], *b = &bodies[j];
            double apart[3], square = 0;
            for (int k = 0; k < 3; k++) {
                apart[k] = a->at[k] - b->at[k];
                square = FUSED(apart[k], apart[k], square);
            }
            double pull = time / (square * __builtin_sqrt(square));
            for (int k = 0; k < 3; k++) {
                a->speed[k] = FUSED(-apart[k], b->mass * pull, a->speed[k]);
                b->speed[k] = FUSED(apart[k], a->mass * pull, b->speed[k]);
            }
        }
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++)
            bodies[i].at[k] = FUSED(time, bodies[i].speed[k], bodies[i].at[k]);
}

uint64_t work(uint64_t n)
{
    uint64_t sum = 0;
    for (int i = 0; i < BODIES; i++) {
        bodies[i].mass = i ? 0.04 / (i * i) : 39.5;
        for (int k = 0; k < 3; k++) {
            bodies[i].at[k] = i * ((i + k) % 3 - 0.9) * 3;
            bodies[i].speed[k] = i ? ((i * 7 + k) % 5 - 2.1) * 0.8 / i : 0;
        }
    }
    for (uint64_t i = 0; i < n; i++)
        step(0.001);
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++)
            sum = sum * 31 + bits_of(bodies[i].at[k]) + bits_of(bodies[i].speed[k]);
    return sum;
}
