# Durations, and log2 histograms of them. Floor 0.
from libc.stdint cimport uint64_t

cdef extern from "<time.h>" nogil:
    ctypedef struct timespec_t "struct timespec":
        long tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec_t *now)
    int CLOCK_MONOTONIC


cdef enum:
    # Nanoseconds, eight buckets an octave.
    BUCKET_BITS = 3
    N_BUCKETS = 512


cdef inline uint64_t now_ns() noexcept nogil:
    cdef timespec_t now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <uint64_t>now.tv_sec * 1000000000 + <uint64_t>now.tv_nsec


cdef inline int bucket_of(uint64_t ns) noexcept nogil:
    """Index of the bucket a duration belongs to."""
    cdef int octave = 0
    cdef uint64_t rest = ns
    while rest >= 2 << BUCKET_BITS:
        rest >>= 1
        octave += 1
    return (octave << BUCKET_BITS) + <int>rest


cdef inline uint64_t bucket_low(int i) noexcept nogil:
    """Smallest duration of a bucket."""
    cdef int octave = (i >> BUCKET_BITS) - 1
    if octave <= 0:
        return <uint64_t>i
    return <uint64_t>((i & ((1 << BUCKET_BITS) - 1)) + (1 << BUCKET_BITS)) << octave
