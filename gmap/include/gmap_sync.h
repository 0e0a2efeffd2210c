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

/* --- lines ----------------------------------------------------------------------------
 *
 * Readers count themselves in cache lines of their own, so that they do not wait for each
 * other. A thread keeps its line, within one compiled module: what is locked there is
 * unlocked there. Threads that begin together have different lines.
 */

#define GMAP_LINES 16

static inline unsigned gmap_line(void)
{
    static unsigned given;
    static _Thread_local unsigned mine; /* the line, plus one */
    if (!mine)
        mine = __atomic_fetch_add(&given, 1, __ATOMIC_RELAXED) % GMAP_LINES + 1;
    return mine - 1;
}

/* --- spin lock ----------------------------------------------------------------------- */

static inline void gmap_spin_lock(uint32_t *l)
{
    unsigned spins = 0;
    while (__atomic_exchange_n(l, 1, __ATOMIC_ACQUIRE))
        gmap_backoff(&spins);
}

static inline void gmap_spin_unlock(uint32_t *l) { __atomic_store_n(l, 0, __ATOMIC_RELEASE); }

/* --- read-write spin lock, writers first -------------------------------------------
 *
 * A reader counts itself and then looks for writers, a writer counts itself and then looks
 * for readers: in the one order of sequentially consistent operations, one sees the other.
 */

typedef struct {
    uint64_t readers;
    uint64_t pad[7];
} gmap_readers_t;

typedef struct {
    uint32_t writers; /* waiting or holding: readers keep out */
    uint32_t held;    /* by one of them */
    uint64_t pad[7];
    gmap_readers_t line[GMAP_LINES];
} gmap_rwlock_t;

static inline void gmap_read_unlock(gmap_rwlock_t *l)
{
    __atomic_fetch_sub(&l->line[gmap_line()].readers, 1, __ATOMIC_RELEASE);
}

static inline bool gmap_read_trylock(gmap_rwlock_t *l)
{
    if (__atomic_load_n(&l->writers, __ATOMIC_RELAXED))
        return false;
    __atomic_fetch_add(&l->line[gmap_line()].readers, 1, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&l->writers, __ATOMIC_SEQ_CST))
        return true;
    gmap_read_unlock(l);
    return false;
}

static inline void gmap_read_lock(gmap_rwlock_t *l)
{
    unsigned spins = 0;
    while (!gmap_read_trylock(l))
        gmap_backoff(&spins);
}

static inline void gmap_write_lock(gmap_rwlock_t *l)
{
    __atomic_fetch_add(&l->writers, 1, __ATOMIC_SEQ_CST);
    gmap_spin_lock(&l->held);
    for (unsigned line = 0; line < GMAP_LINES; line++) {
        unsigned spins = 0;
        while (__atomic_load_n(&l->line[line].readers, __ATOMIC_SEQ_CST))
            gmap_backoff(&spins);
    }
}

static inline void gmap_write_unlock(gmap_rwlock_t *l)
{
    gmap_spin_unlock(&l->held);
    __atomic_fetch_sub(&l->writers, 1, __ATOMIC_RELEASE);
}

/* --- sleepable RCU ---------------------------------------------------------------------
 *
 * Readers count themselves in one of two counters of their line. A grace period drains the
 * counters that are not in use, makes new readers use them, and drains the others: after
 * it, every reader that began before it has left.
 */

typedef struct {
    uint64_t readers[2];
    uint64_t pad[6];
} gmap_srcu_line_t;

typedef struct {
    gmap_srcu_line_t line[GMAP_LINES];
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
    unsigned line = gmap_line();
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
    for (unsigned line = 0; line < GMAP_LINES; line++) {
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
