/* Start-up with the MMU on, for the granule it was built for: translation as AT sees it, a page
 * that moves, a page that may not be written to. */
#include "guest.h"

const char guest_name[] = "granule";

enum { PAR_F = 1, FSC_PERMISSION = 3, EC_DATA_ABORT_SAME_EL = 0x25 };
#define NOWHERE 0x7f0000000000ul

static volatile uint64_t faults, last_esr, last_far;

void on_exception(struct frame *frame, uint64_t kind)
{
    CHECK(kind == KIND_EL1_SYNC);
    faults++;
    last_esr = READ_SYSREG(esr_el1);
    last_far = READ_SYSREG(far_el1);
    frame->elr += 4;
}

/* PAR_EL1 of a read or a write at EL1. */
static uint64_t ask(uint64_t va, int write)
{
    if (write)
        __asm__ volatile("at s1e1w, %0" ::"r"(va) : "memory");
    else
        __asm__ volatile("at s1e1r, %0" ::"r"(va) : "memory");
    ISB();
    return READ_SYSREG(par_el1);
}

uint64_t guest_main(void)
{
    uint64_t window = 0x123450000000ul + GRANULE, sum = 0;
    volatile uint64_t *one = take_memory(GRANULE), *two = take_memory(GRANULE);
    volatile uint64_t *seen = (volatile uint64_t *)(window + 8);

    put_decimal(GRANULE);
    put(" bytes a page\n");
    CHECK((READ_SYSREG(sctlr_el1) & 1) == 1);
    CHECK(READ_SYSREG(currentel) == 1 << 2);
    CHECK(ask(NOWHERE, 0) & PAR_F);

    /* A page, at two places, by break before make. */
    one[1] = 0x1111, two[1] = 0x2222;
    map(window, (uint64_t)one, GRANULE, PAGE_DATA);
    ISB();
    CHECK((ask(window + 8, 1) & 0xfffffffff000 & -GRANULE) == (uint64_t)one);
    sum += *seen;
    *seen = 0x3333;
    remap_page(window, (uint64_t)two, PAGE_DATA);
    sum += *seen;
    CHECK(one[1] == 0x3333);

    /* Read-only: the write faults, at level 3, and changes nothing. */
    remap_page(window, (uint64_t)two, PAGE_DATA | PAGE_READ_ONLY);
    CHECK(!(ask(window, 0) & PAR_F));
    CHECK(ask(window, 1) & PAR_F);
    *seen = 0x4444;
    CHECK(faults == 1 && last_far == window + 8 && two[1] == 0x2222);
    CHECK(last_esr >> 26 == EC_DATA_ABORT_SAME_EL);
    CHECK((last_esr & 0x3f) == (FSC_PERMISSION << 2 | 3) && (last_esr & 1 << 6));

    /* Gone. */
    unmap_page(window);
    (void)*seen;
    CHECK(faults == 2 && !(last_esr & 1 << 6) && (last_esr & 0x3f) == (1 << 2 | 3));
    return sum + faults;
}
