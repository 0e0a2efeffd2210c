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

/* In front of what newer instructions of the host do much faster: it is made with them and without,
 * and the C library takes the right one. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)           \
    && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SAE_CLONES(isa) __attribute__((target_clones(isa, "default")))
#else
#define SAE_CLONES(isa)
#endif

/* Both halves as one value. What is read as 16 bytes has to be stored as 16 bytes: a function that
 * reads a register behind two stores of half of it waits until they have left the processor. */
typedef uint64_t sae_pair_t __attribute__((vector_size(16)));

static inline sae_pair_t sae_get(const vreg_t *from)
{
    sae_pair_t value;
    memcpy(&value, from, 16);
    return value;
}

/* Two of the four words of x and y. */
#if defined(__clang__)
#define SAE_PAIR_OF(x, y, first, second) __builtin_shufflevector(x, y, first, second)
#else
#define SAE_PAIR_OF(x, y, first, second) __builtin_shuffle(x, y, (sae_pair_t){ first, second })
#endif

static inline void sae_put(vreg_t *to, sae_pair_t value)
{
    memcpy(to, &value, 16);
}

/* 16 bytes of memory as a register, or the other way. */
static inline vreg_t sae_q(vreg_t raw)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    raw.d[0] = SAE_LE64(raw.d[0]);
    raw.d[1] = SAE_LE64(raw.d[1]);
#endif
    return raw;
}

/* Elements in turn: element e of register r is at e * n + r of `words`. */
#define ALTERNATE(bits, member)                                                                \
    for (unsigned r = 0; r < n; r++)                                                           \
        for (unsigned e = 0; e < bytes * 8 / bits / n; e++)                                    \
            EACH(bits, member, e *n + r, r, e)
#define ALTERNATE_SIZES                                                                        \
    switch (log2) {                                                                            \
    case 0:                                                                                    \
        ALTERNATE(8, b)                                                                        \
        break;                                                                                 \
    case 1:                                                                                    \
        ALTERNATE(16, h)                                                                       \
        break;                                                                                 \
    case 2:                                                                                    \
        ALTERNATE(32, s)                                                                       \
        break;                                                                                 \
    default:                                                                                   \
        ALTERNATE(64, d)                                                                       \
        break;                                                                                 \
    }

/* `bytes`, in the order of memory, to `n` registers from `first` on (behind V31 comes V0): element
 * by element in turn (LD2 to LD4), or register by register (LD1). */
static inline void sae_to_structures(vreg_t *v, unsigned first, unsigned n, int alternate,
                                     unsigned log2, unsigned bytes, const uint64_t *words)
{
    const int whole = bytes == 16 * n;
    vreg_t found[4] = { { { 0 } } }, in[4];
    memcpy(in, words, sizeof in);
    if (alternate) {
#define EACH(bits, member, from, r, e)                                                         \
    found[r].member[LANE(e, bits)] =                                                           \
        in[(from) / (128 / bits)].member[LANE((from) % (128 / bits), bits)];
        ALTERNATE_SIZES
#undef EACH
    } else {
        for (unsigned r = 0; r < n; r++) {
            if (whole)
                found[r] = in[r];
            else
                found[r].d[0] = words[r];
        }
    }
    for (unsigned r = 0; r < n; r++)
        v[(first + r) & 31] = found[r];
}

static inline void sae_from_structures(const vreg_t *v, unsigned first, unsigned n, int alternate,
                                       unsigned log2, unsigned bytes, uint64_t *words)
{
    const int whole = bytes == 16 * n;
    vreg_t from[4], out[4] = { { { 0 } } };
    for (unsigned r = 0; r < n; r++)
        from[r] = v[(first + r) & 31];
    if (alternate) {
#define EACH(bits, member, to, r, e)                                                           \
    out[(to) / (128 / bits)].member[LANE((to) % (128 / bits), bits)] =                         \
        from[r].member[LANE(e, bits)];
        ALTERNATE_SIZES
#undef EACH
        memcpy(words, out, sizeof out);
    } else {
        for (unsigned r = 0; r < n; r++) {
            if (whole)
                memcpy(words + 2 * r, &from[r], 16);
            else
                words[r] = from[r].d[0];
        }
    }
}

#endif
