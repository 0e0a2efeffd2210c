/* Devices: every width of access, sign extension, and what the registers of a PL031 clock and of
 * a PL011 UART answer. */
#include "guest.h"

const char guest_name[] = "mmio";

enum { RTC_DR = 0x00, RTC_MR = 0x04, RTC_CR = 0x0c, RTC_PERIPH_ID = 0xfe0 };
enum { UART_FR = 0x18, UART_IBRD = 0x24, UART_FBRD = 0x28, UART_CR = 0x30, UART_PERIPH_ID = 0xfe0 };

static volatile uint32_t *rtc(uint64_t offset)
{
    return (volatile uint32_t *)(RTC + offset);
}

static volatile uint32_t *uart(uint64_t offset)
{
    return (volatile uint32_t *)(UART + offset);
}

static uint64_t identity(uint64_t first)
{
    uint64_t value = 0;
    for (uint64_t i = 0; i < 8; i++)
        value |= (uint64_t)(*(volatile uint32_t *)(first + 4 * i) & 0xff) << 8 * i;
    return value;
}

#define LOAD(instruction, type, address)                                                       \
    ({                                                                                         \
        type value_;                                                                           \
        __asm__ volatile(instruction : "=r"(value_) : "r"(address) : "memory");                \
        value_;                                                                                \
    })

uint64_t guest_main(void)
{
    uint64_t match = RTC + RTC_MR, sum = 0;

    /* A register that keeps what it is given, read in every way that has a syndrome. */
    *rtc(RTC_MR) = 0x80f1a2c3;
    CHECK(LOAD("ldr %w0, [%1]", uint64_t, match) == 0x80f1a2c3);
    CHECK(LOAD("ldrsw %0, [%1]", uint64_t, match) == 0xffffffff80f1a2c3);
    CHECK(LOAD("ldrh %w0, [%1]", uint64_t, match) == 0xa2c3);
    CHECK(LOAD("ldrsh %w0, [%1]", uint64_t, match) == 0xffffa2c3);
    CHECK(LOAD("ldrsh %0, [%1]", uint64_t, match) == 0xffffffffffffa2c3);
    CHECK(LOAD("ldrb %w0, [%1]", uint64_t, match) == 0xc3);
    CHECK(LOAD("ldrsb %w0, [%1]", uint64_t, match) == 0xffffffc3);
    CHECK(LOAD("ldrsb %0, [%1]", uint64_t, match) == 0xffffffffffffffc3);
    CHECK(LOAD("ldrb %w0, [%1, #3]", uint64_t, match) == 0x80);
    CHECK(LOAD("ldr %w0, [%1]\n", uint64_t, match) == 0x80f1a2c3);

    /* Writes of a part of it; the zero register as the source, and as the target. */
    __asm__ volatile("strb %w0, [%1, #1]\n strh wzr, [%1, #2]" ::"r"(0x55ul), "r"(match) : "memory");
    CHECK(*rtc(RTC_MR) == 0x000055c3);
    __asm__ volatile("ldr wzr, [%0]" ::"r"(match) : "memory");
    __asm__ volatile("str wzr, [%0]" ::"r"(match) : "memory");
    CHECK(*rtc(RTC_MR) == 0);
    /* The base register of a plain offset is left alone. */
    uint64_t base = match;
    __asm__ volatile("str %w1, [%0]" : "+r"(base) : "r"(0x1234ul) : "memory");
    CHECK(base == match && *rtc(RTC_MR) == 0x1234);

    /* What the devices say of themselves. */
    CHECK(*rtc(RTC_CR) == 1);
    CHECK(*rtc(RTC_DR) <= *rtc(RTC_DR));
    CHECK(identity(RTC + RTC_PERIPH_ID) == 0xb105f00d00041031);
    CHECK(identity(UART + UART_PERIPH_ID) == 0xb105f00d00341011);
    *uart(UART_IBRD) = 0x1234;
    *uart(UART_FBRD) = 0x15;
    CHECK(*uart(UART_IBRD) == 0x1234 && *uart(UART_FBRD) == 0x15);
    CHECK((*uart(UART_FR) & 0x80) == 0x80);     /* the transmitter is empty */

    /* Many exits: as many as one can count on to be exact. */
    for (uint32_t i = 0; i < 1000; i++) {
        *rtc(RTC_MR) = i * 2654435761u;
        sum = sum * 31 + *rtc(RTC_MR);
    }
    return sum;
}
