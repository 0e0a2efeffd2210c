"""Memory of the kernels, with allocation failures on request. Floor 0.

Every allocation of the compiled modules passes here, so that a test can make the n-th one
fail and look at what is left.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

cdef extern from "<stdlib.h>" nogil:
    int posix_memalign(void **memory, size_t alignment, size_t nbytes)

import contextlib

from gmap._atomic cimport add, dec_if_positive, load, store

# 0: never fail. n: the n-th allocation from here fails, and so do the ones after it
# while `_keep_failing` is set.
cdef int64_t _countdown = 0
cdef uint64_t _keep_failing = 0
cdef uint64_t _failing = 0
cdef uint64_t _live = 0


cdef bint allocation_fails() noexcept nogil:
    if load(&_failing):
        return True
    if dec_if_positive(&_countdown) != 1:
        return False
    if load(&_keep_failing):
        store(&_failing, 1)
    return True


cdef void *zalloc(size_t nbytes) noexcept nogil:
    cdef void *memory = NULL
    if not allocation_fails():
        memory = calloc(1, nbytes)
        add(&_live, memory != NULL)
    return memory


cdef void *zalloc_lines(size_t nbytes) noexcept nogil:
    """Zeroed memory that begins on a cache line."""
    cdef void *memory
    if allocation_fails():
        return NULL
    if posix_memalign(&memory, 64, nbytes):
        return NULL
    add(&_live, 1)
    return memset(memory, 0, nbytes)


cdef void release(void *memory) noexcept nogil:
    if memory != NULL:
        add(&_live, <uint64_t>-1)
        free(memory)


def live_allocations():
    """How many allocations of the compiled modules have not been given back: a test aid.

    >>> live_allocations() >= 0
    True
    """
    return load(&_live)


@contextlib.contextmanager
def failing_allocation(int nth, *, bint forever=False):
    """Make the `nth` allocation (counted from 1) of the compiled modules fail.

    A test aid, process-wide. With `forever` every later one fails too. Yields a function
    that tells whether the failure has happened.

    >>> with failing_allocation(1):
    ...     pass
    """
    global _countdown
    if nth < 1:
        raise ValueError(f"nth counts from 1, got {nth}")
    store(&_keep_failing, forever)
    _countdown = nth
    try:
        yield lambda: _countdown == 0
    finally:
        _countdown = 0
        store(&_failing, 0)
