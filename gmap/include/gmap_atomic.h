/*
 * Atomic access to table words, and the few hints Cython cannot say.
 *
 * Table entries are read without locks and change under the rules of dat-gmap.md
 * section 9, so every access to one goes through here: a plain C access would let the
 * compiler read twice or tear.
 */
#ifndef GMAP_ATOMIC_H
#define GMAP_ATOMIC_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

static inline uint64_t gmap_load(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline uint64_t gmap_load_acquire(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }

/*
 * An entry whose origin is about to be followed: the address dependency orders what is
 * read through it. ThreadSanitizer does not know dependencies, so it gets an acquire.
 */
static inline uint64_t gmap_load_entry(const uint64_t *p)
{
#ifdef __SANITIZE_THREAD__
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
#else
    return __atomic_load_n(p, __ATOMIC_RELAXED);
#endif
}

static inline void gmap_store(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static inline void gmap_store_release(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline void gmap_add(uint64_t *p, uint64_t v) { __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }
static inline uint64_t gmap_or_acquire(uint64_t *p, uint64_t v) { return __atomic_fetch_or(p, v, __ATOMIC_ACQUIRE); }

static inline uint64_t gmap_exchange(uint64_t *p, uint64_t v) { return __atomic_exchange_n(p, v, __ATOMIC_ACQ_REL); }
static inline uint64_t gmap_and(uint64_t *p, uint64_t v) { return __atomic_fetch_and(p, v, __ATOMIC_ACQ_REL); }

static inline bool gmap_cas(uint64_t *p, uint64_t old, uint64_t new_)
{
    return __atomic_compare_exchange_n(p, &old, new_, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static inline void *gmap_load_ptr(void *const *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void gmap_store_ptr(void **p, void *v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline uint8_t gmap_load8(const uint8_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline void gmap_store8(uint8_t *p, uint8_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static inline uint8_t gmap_or8(uint8_t *p, uint8_t v) { return __atomic_fetch_or(p, v, __ATOMIC_RELAXED); }
static inline int64_t gmap_dec_if_positive(int64_t *p)
{
    int64_t v = __atomic_load_n(p, __ATOMIC_RELAXED);
    while (v > 0 && !__atomic_compare_exchange_n(p, &v, v - 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    return v;
}

/* A doubleword of a little-endian guest, and the same in a big-endian one. */
static inline uint64_t gmap_le64(uint64_t v)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap64(v);
#else
    return v;
#endif
}
static inline uint64_t gmap_be64(uint64_t v) { return __builtin_bswap64(gmap_le64(v)); }

static inline void gmap_prefetch(const void *p) { __builtin_prefetch(p, 0, 3); }
static inline void gmap_prefetch_write(const void *p) { __builtin_prefetch(p, 1, 3); }
#define gmap_likely(x) __builtin_expect(!!(x), 1)
#define gmap_unlikely(x) __builtin_expect(!!(x), 0)

static inline void gmap_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

/* Wait a little; give the processor away once spinning has not helped. */
static inline void gmap_backoff(unsigned *spins)
{
    if (++*spins < 64)
        gmap_pause();
    else
        sched_yield();
}

#endif
