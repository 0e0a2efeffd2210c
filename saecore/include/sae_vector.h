/* Elements of vector registers, and of what structure loads and stores move. Part of sae_run.h.
 * Everything is a row of 64-bit words, least significant element first, on hosts of both byte
 * orders; sizes are logarithms of bytes. */
#ifndef SAE_VECTOR_H
#define SAE_VECTOR_H

static inline uint64_t sae_element_mask(unsigned log2)
{
    return UINT64_MAX >> (64 - (8u << log2));
}

static inline uint64_t sae_element(const uint64_t *words, unsigned log2, unsigned index)
{
    unsigned bit = index << (log2 + 3);
    return words[bit >> 6] >> (bit & 63) & sae_element_mask(log2);
}

static inline void sae_set_element(uint64_t *words, unsigned log2, unsigned index, uint64_t value)
{
    unsigned bit = index << (log2 + 3);
    uint64_t mask = sae_element_mask(log2) << (bit & 63);
    words[bit >> 6] = (words[bit >> 6] & ~mask) | (value << (bit & 63) & mask);
}

/* A word full of one element. */
static inline uint64_t sae_replicate(uint64_t value, unsigned log2)
{
    static const uint64_t ones[] = { UINT64_C(0x0101010101010101), UINT64_C(0x0001000100010001),
                                     UINT64_C(0x0000000100000001), 1 };
    return (value & sae_element_mask(log2)) * ones[log2];
}

/* Move `bytes` between `words`, in the order of memory, and `n` registers from `first` on (behind
 * V31 comes V0): element by element in turn (LD2 to LD4), or register by register (LD1). */
static void sae_structures(vreg_t *v, unsigned first, unsigned n, int interleaved, unsigned log2,
                           unsigned bytes, uint64_t *words, int load)
{
    unsigned index, reg, element, per_register = (bytes / n) >> log2;
    for (index = 0; load && index < n; index++)
        v[(first + index) & 31].d[1] = 0;
    for (index = 0; index < bytes >> log2; index++) {
        reg = interleaved ? index % n : index / per_register;
        element = interleaved ? index / n : index % per_register;
        if (load)
            sae_set_element(v[(first + reg) & 31].d, log2, element,
                            sae_element(words, log2, index));
        else
            sae_set_element(words, log2, index,
                            sae_element(v[(first + reg) & 31].d, log2, element));
    }
}

#endif
