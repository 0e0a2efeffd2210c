/* A workload as a guest program. */
#include "guest.h"
#include "workload.h"

const char guest_name[] = NAME;

uint64_t guest_main(void)
{
    return work(SCALE);
}
