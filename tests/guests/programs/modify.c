/* Code that writes code: an instruction changed again and again, a function written at run time
 * across two pages, and a loop that changes its own next instruction. */
#include "guest.h"

const char guest_name[] = "modify";

enum { NOP = 0xd503201f, RET = 0xd65f03c0 };

/* mov x0, #value */
static uint32_t mov_x0(uint32_t value)
{
    return 0xd2800000u | value << 5;
}

/* add x0, x0, #value */
static uint32_t add_x0(uint32_t value)
{
    return 0x91000000u | value << 10;
}

/* What the architecture asks for before new instructions may be run. */
static void publish(volatile uint32_t *at)
{
    __asm__ volatile("dc cvau, %0\n dsb ish\n ic ivau, %0\n dsb ish\n isb" ::"r"(at) : "memory");
}

static void write_code(volatile uint32_t *at, uint32_t word)
{
    *at = word;
    publish(at);
}

uint64_t guest_main(void)
{
    uint64_t sum = 0;
    uint32_t *code = take_memory(4 * GRANULE);
    for (int page = 0; page < 4; page++)
        remap_page((uint64_t)code + (uint64_t)page * GRANULE,
                   (uint64_t)code + (uint64_t)page * GRANULE, PAGE_DATA & ~PAGE_XN);
    uint64_t (*function)(void) = (uint64_t (*)(void))code;

    /* One instruction, many times: each call must see the last value. */
    write_code(&code[1], RET);
    for (uint32_t i = 0; i < 2000; i++) {
        write_code(&code[0], mov_x0(i));
        CHECK(function() == i);
        sum += i;
    }

    /* A function over the edge of a page, longer each time. */
    uint32_t *edge = code + 2 * GRANULE / 4 - 3;
    function = (uint64_t (*)(void))edge;
    for (uint32_t n = 1; n <= 64; n++) {
        write_code(&edge[0], mov_x0(n));
        for (uint32_t i = 1; i < n; i++)
            write_code(&edge[i], add_x0(i));
        write_code(&edge[n], RET);
        CHECK(function() == n + (uint64_t)n * (n - 1) / 2);
        sum = sum * 3 + function();
    }

    /* A loop that turns its own next instruction from NOP into an addition, and back.
     * x0: sum, x1: rounds, x2: the word to change, x3: the new word, x4: the other one. */
    uint32_t *loop = code + 3 * GRANULE / 4;
    static const uint32_t words[] = {
        0xb9000043, /* str w3, [x2] */
        0xd50b7b22, /* dc cvau, x2 */
        0xd5033b9f, /* dsb ish */
        0xd50b7522, /* ic ivau, x2 */
        0xd5033b9f, /* dsb ish */
        0xd5033fdf, /* isb */
        NOP,        /* x2 points here */
        0xca040063, /* eor x3, x3, x4: NOP to ADD to NOP */
        0xf1000421, /* subs x1, x1, #1 */
        0x54fffee1, /* b.ne to the first */
        RET,
    };
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        write_code(&loop[i], words[i]);
    register uint64_t x0 __asm__("x0") = 0;
    register uint64_t x1 __asm__("x1") = 1001;
    register uint64_t x2 __asm__("x2") = (uint64_t)&loop[6];
    register uint64_t x3 __asm__("x3") = add_x0(7);
    register uint64_t x4 __asm__("x4") = NOP ^ add_x0(7);
    __asm__ volatile("blr %5"
                     : "+r"(x0), "+r"(x1), "+r"(x3)
                     : "r"(x2), "r"(x4), "r"(loop)
                     : "x30", "cc", "memory");
    CHECK(x0 == 501 * 7);
    return sum + x0;
}
