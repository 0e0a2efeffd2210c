# Locks and sleepable RCU of an address space (include/gmap_sync.h). Floor 0.
#
# Order, outermost first: slots_lock, host lock, kvm srcu (read), mmu_lock, PGSTE lock.
# Nothing that holds one of them takes Python's global lock.
from libc.stdint cimport uint32_t


cdef extern from "gmap_sync.h" nogil:
    ctypedef struct rwlock_t "gmap_rwlock_t":
        pass
    bint read_trylock "gmap_read_trylock"(rwlock_t *lock)
    void read_lock "gmap_read_lock"(rwlock_t *lock)
    void read_unlock "gmap_read_unlock"(rwlock_t *lock)
    void write_lock "gmap_write_lock"(rwlock_t *lock)
    void write_unlock "gmap_write_unlock"(rwlock_t *lock)

    void spin_lock "gmap_spin_lock"(uint32_t *lock)
    void spin_unlock "gmap_spin_unlock"(uint32_t *lock)

    ctypedef struct srcu_t "gmap_srcu_t":
        pass
    void srcu_init "gmap_srcu_init"(srcu_t *srcu)
    void srcu_destroy "gmap_srcu_destroy"(srcu_t *srcu)
    unsigned int srcu_read_lock "gmap_srcu_read_lock"(srcu_t *srcu)
    void srcu_read_unlock "gmap_srcu_read_unlock"(srcu_t *srcu, unsigned int token)
    void synchronize_srcu "gmap_synchronize_srcu"(srcu_t *srcu)

    ctypedef struct mutex_t "pthread_mutex_t":
        pass
    int mutex_init "pthread_mutex_init"(mutex_t *mutex, const void *attributes)
    int mutex_destroy "pthread_mutex_destroy"(mutex_t *mutex)
    int mutex_lock "pthread_mutex_lock"(mutex_t *mutex)
    int mutex_unlock "pthread_mutex_unlock"(mutex_t *mutex)
