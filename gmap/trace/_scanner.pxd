# A line scanner whose lines are accesses, which go through the page filter.
from libc.stdint cimport uint8_t, uint64_t

from gmap._defs cimport PAGE_SHIFT
from gmap.trace._lines cimport FINE, NO_MEMORY, LineScanner
from gmap.trace._window cimport window_t, window_touch

cdef enum:
    MAX_SIZE = 65536


cdef inline int touch_pages(window_t *w, uint64_t address, uint64_t size,
                            uint8_t tag) noexcept nogil:
    """One access of `size` bytes, to each page it touches; its end must not wrap round."""
    cdef uint64_t page = address >> PAGE_SHIFT
    cdef uint64_t last = (address + (size - 1)) >> PAGE_SHIFT
    while page <= last:
        if window_touch(w, page, tag) < 0:
            return NO_MEMORY
        page += 1
    return FINE


cdef class PageScanner(LineScanner):
    cdef window_t window
