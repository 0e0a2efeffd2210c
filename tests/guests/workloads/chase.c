/* A chain of pointers through 8 MiB in random order: every hop misses caches and TLBs. n: hops. */
#include "workload.h"

enum { LINE = 64, NODES = (8 << 20) / LINE };
static struct node {
    uint32_t next;
    uint32_t value;
    uint8_t rest[LINE - 8];
} nodes[NODES];

uint64_t work(uint64_t n)
{
    uint64_t seed = 1, sum = 0;
    uint32_t at = 0;
    for (uint32_t i = 0; i < NODES; i++) {
        nodes[i].next = i;
        nodes[i].value = i * 2654435761u;
    }
    for (uint32_t i = NODES - 1; i > 0; i--) { /* one cycle through all of them */
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint32_t j = (uint32_t)((seed >> 32) % i), t = nodes[i].next;
        nodes[i].next = nodes[j].next;
        nodes[j].next = t;
    }
    for (uint64_t hop = 0; hop < n; hop++) {
        sum += nodes[at].value;
        at = nodes[at].next;
    }
    return sum ^ at;
}
