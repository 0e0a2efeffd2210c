/*
 * Locks of the address space: a read-write spin lock (KVM's mmu_lock) and sleepable RCU
 * (KVM's srcu, and the domain translations run in).
 *
 * Both are made for short sections that never take Python's global lock.
 */
#ifndef GMAP_SYNC_H
#define GMAP_SYNC_H

#include <pthread.h>
#include <string.h>

#include "gmap_atomic.h"

/* --- read-write spin lock, writers first ------------------------------------------- */

typedef struct {
    uint32_t state;   /* GMAP_WRITER, or the number of readers */
    uint32_t writers; /* writers waiting or holding */
} gmap_rwlock_t;

#define GMAP_WRITER 0x80000000u

static inline bool gmap_read_trylock(gmap_rwlock_t *l)
{
    if (__atomic_load_n(&l->writers, __ATOMIC_RELAXED))
        return false;
    if (!(__atomic_fetch_add(&l->state, 1, __ATOMIC_ACQUIRE) & GMAP_WRITER))
        return true;
    __atomic_fetch_sub(&l->state, 1, __ATOMIC_RELAXED);
    return false;
}

static inline void gmap_read_lock(gmap_rwlock_t *l)
{
    unsigned spins = 0;
    while (!gmap_read_trylock(l))
        gmap_backoff(&spins);
}

static inline void gmap_read_unlock(gmap_rwlock_t *l) { __atomic_fetch_sub(&l->state, 1, __ATOMIC_RELEASE); }

static inline void gmap_write_lock(gmap_rwlock_t *l)
{
    unsigned spins = 0;
    uint32_t expected = 0;
    __atomic_fetch_add(&l->writers, 1, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&l->state, &expected, GMAP_WRITER, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED)) {
        expected = 0;
        gmap_backoff(&spins);
    }
}

static inline void gmap_write_unlock(gmap_rwlock_t *l)
{
    __atomic_fetch_sub(&l->state, GMAP_WRITER, __ATOMIC_RELEASE);
    __atomic_fetch_sub(&l->writers, 1, __ATOMIC_RELAXED);
}

/* --- spin lock ----------------------------------------------------------------------- */

static inline void gmap_spin_lock(uint32_t *l)
{
    unsigned spins = 0;
    while (__atomic_exchange_n(l, 1, __ATOMIC_ACQUIRE))
        gmap_backoff(&spins);
}

static inline void gmap_spin_unlock(uint32_t *l) { __atomic_store_n(l, 0, __ATOMIC_RELEASE); }

/* --- sleepable RCU ---------------------------------------------------------------------
 *
 * Readers count themselves in one of two counters of one of sixteen lines, chosen by
 * thread. A grace period drains the counters that are not in use, makes new readers use
 * them, and drains the others: after it, every reader that began before it has left.
 */

#define GMAP_SRCU_LINES 16

typedef struct {
    uint64_t readers[2];
    uint64_t pad[6];
} gmap_srcu_line_t;

typedef struct {
    gmap_srcu_line_t line[GMAP_SRCU_LINES];
    uint32_t idx;
    pthread_mutex_t grace; /* one grace period at a time */
} gmap_srcu_t;

static inline void gmap_full_fence(void)
{
#if defined(__x86_64__)
    __asm__ volatile("" ::: "memory"); /* the locked instruction before it is a full fence */
#elif !defined(__SANITIZE_THREAD__)
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

static inline void gmap_srcu_init(gmap_srcu_t *s)
{
    memset(s, 0, sizeof(*s));
    pthread_mutex_init(&s->grace, NULL);
}

static inline void gmap_srcu_destroy(gmap_srcu_t *s) { pthread_mutex_destroy(&s->grace); }

/* Enter; the result goes to gmap_srcu_read_unlock. Sections of one thread may nest. */
static inline unsigned gmap_srcu_read_lock(gmap_srcu_t *s)
{
    uint64_t self = (uint64_t)(uintptr_t)pthread_self();
    unsigned line = (unsigned)((self * UINT64_C(0x9E3779B97F4A7C15)) >> 60);
    unsigned idx = __atomic_load_n(&s->idx, __ATOMIC_RELAXED) & 1;
    __atomic_fetch_add(&s->line[line].readers[idx], 1, __ATOMIC_SEQ_CST);
    gmap_full_fence();
    return line << 1 | idx;
}

static inline void gmap_srcu_read_unlock(gmap_srcu_t *s, unsigned token)
{
    __atomic_fetch_sub(&s->line[token >> 1].readers[token & 1], 1, __ATOMIC_RELEASE);
}

static inline void gmap_srcu_drain(gmap_srcu_t *s, unsigned idx)
{
    for (unsigned line = 0; line < GMAP_SRCU_LINES; line++) {
        unsigned spins = 0;
        while (__atomic_load_n(&s->line[line].readers[idx], __ATOMIC_SEQ_CST))
            gmap_backoff(&spins);
    }
}

/* Wait for every section that began before the call. Never call it from within one. */
static inline void gmap_synchronize_srcu(gmap_srcu_t *s)
{
    pthread_mutex_lock(&s->grace);
    unsigned idx = __atomic_load_n(&s->idx, __ATOMIC_RELAXED) & 1;
#if defined(__x86_64__) || defined(__SANITIZE_THREAD__)
    __atomic_fetch_add(&s->idx, 0, __ATOMIC_SEQ_CST);
#endif
    gmap_full_fence();
    gmap_srcu_drain(s, idx ^ 1);
    __atomic_store_n(&s->idx, idx ^ 1, __ATOMIC_SEQ_CST);
    gmap_full_fence();
    gmap_srcu_drain(s, idx);
    pthread_mutex_unlock(&s->grace);
}

#endif
