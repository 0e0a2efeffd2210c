/* CRC-32, bit by bit: nearly all of it in registers. n: bytes. */
#include "workload.h"

enum { BUFFER = 4096 };
static uint8_t buffer[BUFFER];

uint64_t work(uint64_t n)
{
    uint32_t crc = ~0u;
    for (int i = 0; i < BUFFER; i++)
        buffer[i] = (uint8_t)(i * 167 + (i >> 8));
    for (uint64_t i = 0; i < n; i++) {
        crc ^= buffer[i % BUFFER];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (0xedb88320u & -(crc & 1));
    }
    return ~crc;
}
