/* A compression round trip: repeats are found as in LZ77, and everything is coded by an adaptive
 * binary range coder. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 12 << 10, SHORTEST = 3, LONGEST = 258, HASH_BITS = 12, TRIES = 8 };
enum { PROBABILITY_BITS = 11, ADAPTS = 5 };

/* --- the range coder --------------------------------------------------------------------- */

struct coder {
    uint8_t *at, *end;
    uint64_t low;
    uint32_t range, code;
    int decodes;
};

/* Probabilities of a zero. */
struct model {
    uint16_t is_match, literal[256], length[256], distance[32];
};

static void model_init(struct model *model)
{
    uint16_t *all = (uint16_t *)model;
    for (size_t i = 0; i < sizeof *model / sizeof *all; i++)
        all[i] = 1 << (PROBABILITY_BITS - 1);
}

static uint8_t next_byte(struct coder *coder)
{
    return coder->at < coder->end ? *coder->at++ : 0;
}

static void carry(struct coder *coder)
{
    for (uint8_t *at = coder->at; ++*--at == 0;)
        ;
}

static void narrow(struct coder *coder, uint32_t bound, int bit)
{
    uint32_t from = bit ? bound : 0;
    coder->range = bit ? coder->range - bound : bound;
    if (coder->decodes) {
        coder->code -= from;
    } else {
        coder->low += from;
        if (coder->low >> 32) {
            carry(coder);
            coder->low &= UINT32_MAX;
        }
    }
    while (coder->range < 1u << 24) {
        coder->range <<= 8;
        if (coder->decodes) {
            coder->code = coder->code << 8 | next_byte(coder);
        } else {
            *coder->at++ = (uint8_t)(coder->low >> 24);
            coder->low = (coder->low << 8) & UINT32_MAX;
        }
    }
}

/* Code a bit, or decode and return one. */
static int code_bit(struct coder *coder, uint16_t *probability, int bit)
{
    uint32_t bound = (coder->range >> PROBABILITY_BITS) * *probability;
    if (coder->decodes)
        bit = coder->code >= bound;
    narrow(coder, bound, bit);
    if (bit)
        *probability -= *probability >> ADAPTS;
    else
        *probability += (uint16_t)(((1 << PROBABILITY_BITS) - *probability) >> ADAPTS);
    return bit;
}

static unsigned code_tree(struct coder *coder, uint16_t *tree, int bits, unsigned value)
{
    unsigned node = 1;
    while (bits--)
        node = node << 1 | (unsigned)code_bit(coder, &tree[node], (int)(value >> bits & 1));
    return node & 0xff;
}

/* The number of bits by a tree, then the bits below the first, evenly. */
static unsigned code_distance(struct coder *coder, uint16_t *tree, unsigned value)
{
    int bits = value ? 31 - __builtin_clz(value) : 0;
    bits = (int)code_tree(coder, tree, 4, (unsigned)bits) & 15;
    unsigned found = 1;
    while (bits--) {
        uint16_t even = 1 << (PROBABILITY_BITS - 1);
        found = found << 1 | (unsigned)code_bit(coder, &even, (int)(value >> bits & 1));
    }
    return found;
}

static void start(struct coder *coder, uint8_t *bytes, size_t n, int decodes)
{
    *coder = (struct coder){bytes, bytes + n, 0, UINT32_MAX, 0, decodes};
    for (int i = 0; decodes && i < 4; i++)
        coder->code = coder->code << 8 | next_byte(coder);
}

/* --- repeats ----------------------------------------------------------------------------- */

static int heads[1 << HASH_BITS], older[BYTES];

/* Remember what begins here; the last place where the same began. */
static int enter(const uint8_t *text, int n, int here)
{
    if (here + SHORTEST > n)
        return -1;
    uint32_t hash = (text[here] | text[here + 1] << 8 | (uint32_t)text[here + 2] << 16);
    int *head = &heads[hash * 2654435761u >> (32 - HASH_BITS)];
    older[here] = *head;
    *head = here;
    return older[here];
}

static int longest(const uint8_t *text, int n, int here, int *where)
{
    int best = 0, candidate = enter(text, n, here);
    for (int i = 0; i < TRIES && candidate >= 0; i++, candidate = older[candidate]) {
        int length = 0;
        while (length < LONGEST && here + length < n
               && text[candidate + length] == text[here + length])
            length++;
        if (length > best) {
            best = length;
            *where = candidate;
        }
    }
    return best >= SHORTEST ? best : 0;
}

static size_t compress(const uint8_t *text, int n, uint8_t *into)
{
    struct coder coder;
    struct model model;
    model_init(&model);
    memset(heads, -1, sizeof heads);
    start(&coder, into, 2 * BYTES, 0);
    for (int here = 0; here < n;) {
        int where = 0, length = longest(text, n, here, &where);
        code_bit(&coder, &model.is_match, length != 0);
        if (!length) {
            code_tree(&coder, model.literal, 8, text[here++]);
            continue;
        }
        code_tree(&coder, model.length, 8, (unsigned)(length - SHORTEST));
        code_distance(&coder, model.distance, (unsigned)(here - where));
        for (int end = here++ + length; here < end; here++)
            enter(text, n, here);
    }
    for (int i = 0; i < 4; i++)
        *coder.at++ = (uint8_t)(coder.low >> (24 - 8 * i));
    return (size_t)(coder.at - into);
}

static void expand(uint8_t *packed, size_t n_packed, uint8_t *text, int n)
{
    struct coder coder;
    struct model model;
    model_init(&model);
    start(&coder, packed, n_packed, 1);
    for (int here = 0; here < n;) {
        if (!code_bit(&coder, &model.is_match, 0)) {
            text[here++] = (uint8_t)code_tree(&coder, model.literal, 8, 0);
            continue;
        }
        int length = (int)code_tree(&coder, model.length, 8, 0) + SHORTEST;
        int distance = (int)code_distance(&coder, model.distance, 0);
        if (distance > here || here + length > n)
            return;
        for (; length--; here++)
            text[here] = text[here - distance];
    }
}

/* --- texts ------------------------------------------------------------------------------- */

static uint32_t seed = 7;

static uint32_t draw(void)
{
    return (seed = seed * 1664525u + 1013904223u) >> 16;
}

static void make(uint8_t *text, int kind)
{
    static const char *const words[] = {"the ", "page ", "table ", "of ", "a ", "guest ", "is ",
                                        "walked, ", "entry ", "by ", "entry.\n"};
    for (int i = 0; i < BYTES;) {
        if (kind == 0) {
            const char *word = words[draw() % 11];
            while (*word && i < BYTES)
                text[i++] = (uint8_t)*word++;
        } else if (kind == 1) {
            text[i++] = (uint8_t)draw();
        } else {
            text[i] = (uint8_t)(i / 97 * (i % 5));
            i++;
        }
    }
}

int main(void)
{
    uint8_t *text = malloc(BYTES), *packed = malloc(2 * BYTES), *again = calloc(1, BYTES);
    int wrong = 0;
    for (int kind = 0; kind < 3; kind++) {
        make(text, kind);
        size_t n = compress(text, BYTES, packed);
        uint64_t digest = 0;
        for (size_t i = 0; i < n; i++)
            digest = digest * 31 + packed[i];
        memset(again, 0, BYTES);
        expand(packed, n, again, BYTES);
        int same = memcmp(text, again, BYTES) == 0;
        wrong += !same;
        printf("%d bytes in %zu (%.2f %%), %016" PRIx64 ", %s\n", BYTES, n,
               100.0 * (double)n / BYTES, digest, same ? "and back" : "not back");
    }
    free(text);
    free(packed);
    free(again);
    return wrong;
}
