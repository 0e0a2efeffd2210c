/* What every guest program has at hand. */
#ifndef GUEST_H
#define GUEST_H
#include <stdint.h>

#ifndef GRANULE_SHIFT
#define GRANULE_SHIFT 12
#endif
#define GRANULE (1ul << GRANULE_SHIFT)

#define UART 0x09000000ul
#define RTC 0x09010000ul

#define READ_SYSREG(name)                                                                      \
    ({                                                                                         \
        uint64_t value_;                                                                       \
        __asm__ volatile("mrs %0, " #name : "=r"(value_)::"memory");                           \
        value_;                                                                                \
    })
#define WRITE_SYSREG(name, value)                                                              \
    __asm__ volatile("msr " #name ", %0" ::"r"((uint64_t)(value)) : "memory")
#define ISB() __asm__ volatile("isb" ::: "memory")
#define DSB() __asm__ volatile("dsb sy" ::: "memory")

/* --- what runtime.c offers -------------------------------------------------------------- */

void put_char(char c);
void put(const char *text);
void put_hex(uint64_t value);
void put_decimal(uint64_t value);
/* "FAIL: text", and off. */
_Noreturn void fail(const char *text);
_Noreturn void power_off(void);
#define CHECK(what)                                                                            \
    do {                                                                                       \
        if (!(what))                                                                           \
            fail(#what);                                                                       \
    } while (0)

/* Stage 1. Attributes of a page, as in its descriptor. */
enum {
    PAGE_NORMAL = 3ul << 8,         /* index 0 of MAIR, inner shareable */
    PAGE_DEVICE = 1ul << 2,         /* index 1 */
    PAGE_USER = 1ul << 6,
    PAGE_READ_ONLY = 1ul << 7,
    PAGE_ACCESSED = 1ul << 10,
};
#define PAGE_XN (1ul << 54 | 1ul << 53)
#define PAGE_DATA (PAGE_NORMAL | PAGE_ACCESSED | PAGE_XN)
#define PAGE_CODE (PAGE_NORMAL | PAGE_ACCESSED | PAGE_READ_ONLY)

/* The descriptor of a page; tables above it are made where there are none. */
volatile uint64_t *descriptor_of(uint64_t va);
/* Map [va, va + bytes) to pa onwards, page by page, without a TLBI. */
void map(uint64_t va, uint64_t pa, uint64_t bytes, uint64_t attributes);
/* Take a page out, or change it by break-before-make. */
void unmap_page(uint64_t va);
void remap_page(uint64_t va, uint64_t pa, uint64_t attributes);
/* Change what may be done with a page, and nothing else about it, while it is in use. */
void change_page(uint64_t va, uint64_t set, uint64_t clear);
/* Memory nobody else has, zeroed, aligned to a granule. */
void *take_memory(uint64_t bytes);

/* What an exception saved. `kind` is which of the 16 vectors. */
struct frame {
    uint64_t x[31], elr, spsr, sp_el0;
};
enum { KIND_EL1_SYNC = 4, KIND_EL0_SYNC = 8 };
/* Print an exception, and off. */
_Noreturn void unexpected_exception(const struct frame *frame, uint64_t kind);

/* What the compiler may call. */
void *memset(void *to, int byte, unsigned long n);
void *memcpy(void *to, const void *from, unsigned long n);

/* --- what a guest defines --------------------------------------------------------------- */

/* Its name and its work; what it returns is printed. */
extern const char guest_name[];
uint64_t guest_main(void);
/* Left out: every exception is printed, and ends the guest. */
void on_exception(struct frame *frame, uint64_t kind);

#endif
