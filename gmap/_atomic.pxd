# Atomic access to table words (include/gmap_atomic.h). Floor 0.
from libc.stdint cimport int64_t, uint8_t, uint64_t


cdef extern from "gmap_atomic.h" nogil:
    bint likely "gmap_likely"(bint condition)
    bint unlikely "gmap_unlikely"(bint condition)
    uint64_t load "gmap_load"(const uint64_t *p)
    uint64_t load_acquire "gmap_load_acquire"(const uint64_t *p)
    uint64_t load_entry "gmap_load_entry"(const uint64_t *p)
    void store "gmap_store"(uint64_t *p, uint64_t value)
    void store_release "gmap_store_release"(uint64_t *p, uint64_t value)
    void add "gmap_add"(uint64_t *p, uint64_t value)
    uint64_t or_acquire "gmap_or_acquire"(uint64_t *p, uint64_t value)
    uint64_t exchange "gmap_exchange"(uint64_t *p, uint64_t value)
    uint64_t fetch_and "gmap_and"(uint64_t *p, uint64_t value)
    bint cas "gmap_cas"(uint64_t *p, uint64_t old, uint64_t new)
    void *load_ptr "gmap_load_ptr"(void **p)
    void store_ptr "gmap_store_ptr"(void **p, void *value)
    uint8_t load8 "gmap_load8"(const uint8_t *p)
    void store8 "gmap_store8"(uint8_t *p, uint8_t value)
    uint8_t or8 "gmap_or8"(uint8_t *p, uint8_t value)
    int64_t dec_if_positive "gmap_dec_if_positive"(int64_t *p)
    uint64_t le64 "gmap_le64"(uint64_t value)
    uint64_t be64 "gmap_be64"(uint64_t value)
    void prefetch "gmap_prefetch"(const void *p)
    void prefetch_write "gmap_prefetch_write"(const void *p)
    void backoff "gmap_backoff"(unsigned int *spins)
