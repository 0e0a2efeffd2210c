# The page filter's window, handed out as arrays and put aside as bytes.
from gmap.trace._window cimport window_t

cdef object take_records(window_t *w, bint final)
cdef bytes save_window(const window_t *w)
cdef int open_window(window_t *w, object size, bytes state) except -1


cdef class PageFilter:
    cdef window_t window
