/* Arithmetic the host has no operator for. */
#ifndef SAE_ARITH_H
#define SAE_ARITH_H
#include <stdint.h>

static inline uint32_t sae_ror32(uint32_t v, unsigned n) { return v >> (n & 31) | v << (-n & 31); }
static inline uint64_t sae_ror64(uint64_t v, unsigned n) { return v >> (n & 63) | v << (-n & 63); }

static inline uint64_t sae_rbit64(uint64_t v)
{
    v = (v >> 1 & 0x5555555555555555) | (v & 0x5555555555555555) << 1;
    v = (v >> 2 & 0x3333333333333333) | (v & 0x3333333333333333) << 2;
    v = (v >> 4 & 0x0F0F0F0F0F0F0F0F) | (v & 0x0F0F0F0F0F0F0F0F) << 4;
    return __builtin_bswap64(v);
}

static inline uint64_t sae_rev16(uint64_t v)
{
    return (v >> 8 & 0x00FF00FF00FF00FF) | (v & 0x00FF00FF00FF00FF) << 8;
}

static inline unsigned sae_clz64(uint64_t v) { return v ? (unsigned)__builtin_clzll(v) : 64; }
static inline unsigned sae_clz32(uint32_t v) { return v ? (unsigned)__builtin_clz(v) : 32; }

/* Division: by zero it is zero, and the one that overflows wraps. */
static inline int64_t sae_sdiv64(int64_t n, int64_t m)
{
    return m == 0 ? 0 : m == -1 ? (int64_t)(0 - (uint64_t)n) : n / m;
}
static inline int32_t sae_sdiv32(int32_t n, int32_t m)
{
    return m == 0 ? 0 : m == -1 ? (int32_t)(0 - (uint32_t)n) : n / m;
}

/* The operand of an extended-register form: UXTB, UXTH, UXTW, UXTX, SXTB, SXTH, SXTW, SXTX. */
static inline uint64_t sae_extend(uint64_t v, unsigned kind)
{
    switch (kind & 7) {
    case 0: return (uint8_t)v;
    case 1: return (uint16_t)v;
    case 2: return (uint32_t)v;
    case 4: return (uint64_t)(int64_t)(int8_t)v;
    case 5: return (uint64_t)(int64_t)(int16_t)v;
    case 6: return (uint64_t)(int64_t)(int32_t)v;
    default: return v;
    }
}

/* CRC-32 and CRC-32C, bits reflected as the instructions have them, a byte at a time. The tables
 * are made when the module is loaded. */
static uint32_t sae_crc_table[2][256];

static void sae_crc_init(void)
{
    static const uint32_t polynomials[2] = { 0xEDB88320, 0x82F63B78 };
    for (int which = 0; which < 2; which++)
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint32_t crc = byte;
            for (int bit = 0; bit < 8; bit++)
                crc = crc >> 1 ^ (crc & 1 ? polynomials[which] : 0);
            sae_crc_table[which][byte] = crc;
        }
}

static inline uint32_t sae_crc(int which, uint32_t crc, uint64_t data, unsigned bytes)
{
    while (bytes--) {
        crc = crc >> 8 ^ sae_crc_table[which][(crc ^ data) & 0xFF];
        data >>= 8;
    }
    return crc;
}

#endif
