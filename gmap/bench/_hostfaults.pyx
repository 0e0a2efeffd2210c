"""The yardstick: the machine's own first-touch page faults. Floor 4."""

from libc.stdint cimport uint64_t
from posix.mman cimport (
    MAP_ANONYMOUS, MAP_FAILED, MAP_NORESERVE, MAP_PRIVATE, PROT_READ, PROT_WRITE, madvise, mmap,
    munmap,
)

import mmap as _mmap

from gmap._address cimport as_u64

from gmap.errors import ClosedError, HostMemoryError

cdef extern from *:
    """
    #include <sys/mman.h>
    #ifndef MADV_NOHUGEPAGE
    #define MADV_NOHUGEPAGE 15
    #endif
    """
    int MADV_NOHUGEPAGE
    ctypedef char volatile_char "volatile char"


cdef class AnonymousMemory:
    """Private anonymous memory of this process, every page of it untouched.

    The kernel is asked not to use huge pages, so that each page is one fault.

    Parameters
    ----------
    nbytes : int
        How much.

    >>> with AnonymousMemory(1 << 20) as memory:
    ...     memory.touch()
    256
    """

    cdef char *base
    cdef readonly uint64_t nbytes

    def __init__(self, nbytes):
        cdef uint64_t n = as_u64(nbytes, "nbytes", 1 << 46)
        cdef void *base
        self.close()
        base = mmap(NULL, n, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        if base == MAP_FAILED:
            raise HostMemoryError(f"the machine has no {n:#x} bytes of address space: use less")
        madvise(base, n, MADV_NOHUGEPAGE)
        self.base = <char *>base
        self.nbytes = n

    def touch(self):
        """Write a byte to each page; how many there are. The GIL is released."""
        cdef uint64_t page = _mmap.PAGESIZE
        cdef uint64_t at = 0
        if self.base == NULL:
            raise ClosedError("this memory has been closed: make another")
        with nogil:
            while at < self.nbytes:
                (<volatile_char *>self.base)[at] = 1
                at += page
        return self.nbytes // page

    def close(self):
        """Give the memory back; a second time does nothing."""
        if self.base != NULL:
            munmap(self.base, self.nbytes)
            self.base = NULL

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    def __dealloc__(self):
        if self.base != NULL:
            munmap(self.base, self.nbytes)
