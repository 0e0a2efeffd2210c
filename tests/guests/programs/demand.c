/* Touches pages of memory nobody has touched before: the host takes a fault for each. Written,
 * then read again in another order. */
#include "guest.h"

const char guest_name[] = "demand";

enum { PAGE = 4096, PAGES = 2048 };

uint64_t guest_main(void)
{
    extern char free_end[];
    /* The end of memory, from which the tables of the runtime are far away. */
    volatile uint64_t *base = (volatile uint64_t *)(free_end - (uint64_t)PAGES * PAGE);
    uint64_t sum = 0;

    for (uint64_t i = 0; i < PAGES; i++) {
        uint64_t page = i * 1021 % PAGES;
        CHECK(base[page * PAGE / 8] == 0);
        base[page * PAGE / 8 + page % 512] = page * 0x9e3779b97f4a7c15u + 1;
    }
    for (uint64_t page = 0; page < PAGES; page++) {
        uint64_t value = base[page * PAGE / 8 + page % 512];
        CHECK(value == page * 0x9e3779b97f4a7c15u + 1);
        sum = sum * 31 + value;
    }
    return sum;
}
