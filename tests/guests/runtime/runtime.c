/* The console, stage-1 tables, and the way in and out. */
#include "guest.h"

/* --- the console: a PL011, polled ------------------------------------------------------- */

enum { UART_DR = 0x00, UART_FR = 0x18, FR_TXFF = 1 << 5 };

void put_char(char c)
{
    while (*(volatile uint32_t *)(UART + UART_FR) & FR_TXFF)
        ;
    *(volatile uint32_t *)(UART + UART_DR) = (uint8_t)c;
}

void put(const char *text)
{
    while (*text)
        put_char(*text++);
}

void put_hex(uint64_t value)
{
    for (int shift = 60; shift >= 0; shift -= 4)
        put_char("0123456789abcdef"[value >> shift & 15]);
}

void put_decimal(uint64_t value)
{
    char text[21];
    int at = sizeof text - 1;
    text[at] = 0;
    do
        text[--at] = (char)('0' + value % 10);
    while (value /= 10);
    put(text + at);
}

/* --- off, by PSCI ----------------------------------------------------------------------- */

_Noreturn void power_off(void)
{
    register uint64_t x0 __asm__("x0") = 0x84000008; /* SYSTEM_OFF */
    __asm__ volatile("hvc #0" : "+r"(x0)::"memory");
    for (;;)
        __asm__ volatile("wfi");
}

_Noreturn void fail(const char *text)
{
    put("FAIL: ");
    put(text);
    put("\n");
    power_off();
}

_Noreturn void unexpected_exception(const struct frame *frame, uint64_t kind)
{
    put("exception ");
    put_decimal(kind);
    put(": esr ");
    put_hex(READ_SYSREG(esr_el1));
    put(" far ");
    put_hex(READ_SYSREG(far_el1));
    put(" elr ");
    put_hex(frame->elr);
    put("\n");
    fail("unexpected exception");
}

__attribute__((weak)) void on_exception(struct frame *frame, uint64_t kind)
{
    unexpected_exception(frame, kind);
}

/* --- memory ----------------------------------------------------------------------------- */

extern char text_start[], text_end[], free_start[], free_end[];

static uint64_t next_free;

void *take_memory(uint64_t bytes)
{
    uint64_t here = next_free, end = here + ((bytes + GRANULE - 1) & -GRANULE);
    if (end > (uint64_t)free_end)
        fail("out of memory");
    for (uint64_t *word = (uint64_t *)here; word < (uint64_t *)end; word++)
        *word = 0;
    next_free = end;
    return (void *)here;
}

/* --- stage 1: 48-bit addresses, any granule --------------------------------------------- */

enum { VA_BITS = 48, INDEX_BITS = GRANULE_SHIFT - 3, VALID_TABLE_OR_PAGE = 3 };
#define ADDRESS_MASK (((1ul << 48) - 1) & -GRANULE)

static uint64_t *root;

static int root_level(void)
{
    int levels = (VA_BITS - GRANULE_SHIFT + INDEX_BITS - 1) / INDEX_BITS;
    return 4 - levels;
}

volatile uint64_t *descriptor_of(uint64_t va)
{
    uint64_t *table = root;
    for (int level = root_level();; level++) {
        int shift = GRANULE_SHIFT + INDEX_BITS * (3 - level);
        uint64_t *entry = &table[va >> shift & ((1ul << INDEX_BITS) - 1)];
        if (level == 3)
            return entry;
        if (!*entry)
            *entry = (uint64_t)take_memory(GRANULE) | VALID_TABLE_OR_PAGE;
        table = (uint64_t *)(*entry & ADDRESS_MASK);
    }
}

void map(uint64_t va, uint64_t pa, uint64_t bytes, uint64_t attributes)
{
    for (uint64_t at = 0; at < bytes; at += GRANULE)
        *descriptor_of(va + at) = (pa + at) | attributes | VALID_TABLE_OR_PAGE;
    DSB();
}

static void set_descriptor(uint64_t va, uint64_t descriptor)
{
    *descriptor_of(va) = descriptor;
    DSB();
    __asm__ volatile("tlbi vaae1is, %0" ::"r"(va >> 12) : "memory");
    DSB();
    ISB();
}

void unmap_page(uint64_t va)
{
    set_descriptor(va, 0);
}

void change_page(uint64_t va, uint64_t set, uint64_t clear)
{
    set_descriptor(va, (*descriptor_of(va) | set) & ~clear);
}

void remap_page(uint64_t va, uint64_t pa, uint64_t attributes)
{
    unmap_page(va);
    map(va, pa, GRANULE, attributes);
    ISB();
}

static void mmu_on(void)
{
    static const uint64_t tg0[] = {[12] = 0, [14] = 2, [16] = 1};
    uint64_t ram = (uint64_t)text_start & ~0xffffful;
    root = take_memory(GRANULE);
    map(ram, ram, (uint64_t)text_start - ram, PAGE_DATA);
    map((uint64_t)text_start, (uint64_t)text_start, text_end - text_start, PAGE_CODE);
    map((uint64_t)text_end, (uint64_t)text_end, free_end - text_end, PAGE_DATA);
    map(UART, UART, 0x10000, PAGE_DEVICE | PAGE_ACCESSED | PAGE_XN);
    map(RTC, RTC, 0x10000, PAGE_DEVICE | PAGE_ACCESSED | PAGE_XN);
    WRITE_SYSREG(mair_el1, 0x00ff);
    /* T0SZ, write-back inner shareable walks, no TTBR1, the granule, 40-bit addresses */
    WRITE_SYSREG(tcr_el1, (64 - VA_BITS) | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23
                              | tg0[GRANULE_SHIFT] << 14 | 2ul << 30 | 2ul << 32);
    WRITE_SYSREG(ttbr0_el1, root);
    DSB();
    __asm__ volatile("tlbi vmalle1" ::: "memory");
    DSB();
    ISB();
    /* The bits that are 1 in Armv8.0, then I, SA0, SA, C and M. */
    WRITE_SYSREG(sctlr_el1, 0x30d00800 | 1 << 12 | 1 << 4 | 1 << 3 | 1 << 2 | 1);
    ISB();
}

void runtime_main(void)
{
    next_free = (uint64_t)free_start;
    mmu_on();
    put(guest_name);
    put(": start\n");
    uint64_t result = guest_main();
    put(guest_name);
    put(": ");
    put_hex(result);
    put("\n");
    power_off();
}

/* What the compiler may call. */
void *memset(void *to, int byte, unsigned long n)
{
    for (volatile char *at = to; n--; at++)
        *at = (char)byte;
    return to;
}

void *memcpy(void *to, const void *from, unsigned long n)
{
    volatile char *at = to;
    for (const char *source = from; n--;)
        *at++ = *source++;
    return to;
}
