/* A workload as a program of the host, which prints what the guest should. */
#include <inttypes.h>
#include <stdio.h>
#include "workload.h"

int main(void)
{
    printf("%016" PRIx64 "\n", work(SCALE));
    return 0;
}
