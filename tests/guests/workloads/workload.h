/* A compute workload: plain C, the same for the guest and for the host that checks it. */
#ifndef WORKLOAD_H
#define WORKLOAD_H
#include <stdint.h>

/* `n` says how much there is to do; the answer depends on all of it. */
uint64_t work(uint64_t n);

#endif
