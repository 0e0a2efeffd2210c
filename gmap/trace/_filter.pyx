"""The page filter for arrays of accesses. Floor 4. The rules are in `_window.pxd`."""

from libc.stdint cimport uint64_t

import numpy as np

from gmap.trace._window cimport (
    MAX_WINDOW, TAG_ORDER_SHIFT, record_t, window_free, window_init, window_ready, window_t,
    window_take, window_touch,
)

from gmap.errors import HostMemoryError
from gmap.trace._model import ACCESS, check_records, check_window


cdef class PageFilter:
    """Drops the accesses that a list of the pages used last would absorb.

    A page that is fetched from and a page that is loaded from or stored to count as two items,
    even if they are the same page. Kept are the access that brings an item into the list of the
    `window` items used last, the first write since then, and now and then a later access, so
    that for any M >= `window` a fully associative LRU TLB of M entries (one for everything, or
    one for data or one for fetches) misses on the same pages in the same order, and each entry
    is written to for the first time at the same place. Every kept access is one that was made,
    and they stay in order. docs/traces.md has the argument.

    Parameters
    ----------
    window : int
        From 0, which keeps everything, to 65536.

    Attributes
    ----------
    accesses : int
        Accesses seen.

    Examples
    --------
    >>> import numpy as np
    >>> from gmap.trace import ACCESS, PageFilter
    >>> filter = PageFilter(2)
    >>> stream = np.array([(7, 0, 0), (7, 0, 0), (8, 0, 0), (7, 1, 0), (7, 1, 0)], ACCESS)
    >>> kept = np.concatenate([filter.feed(stream), filter.finish()])
    >>> kept["page"].tolist(), kept["access"].tolist()
    ([7, 8, 7], [0, 0, 1])
    """

    cdef window_t window

    def __cinit__(self, window=64):
        if window_init(&self.window, check_window(window, MAX_WINDOW)) < 0:
            raise HostMemoryError("no memory for the window of the page filter")

    def __dealloc__(self):
        window_free(&self.window)

    @property
    def accesses(self):
        """Accesses seen."""
        return self.window.now

    cdef object take(self, bint final):
        cdef uint64_t n = window_ready(&self.window, final)
        cdef record_t[::1] view
        result = np.empty(n, ACCESS)
        if n:
            view = result
            window_take(&self.window, &view[0], n)
        return result

    def feed(self, records not None):
        """Return the kept accesses that are certain once `records` have followed.

        Parameters
        ----------
        records : numpy.ndarray
            The next accesses, dtype `ACCESS`.

        Returns
        -------
        numpy.ndarray
            dtype `ACCESS`; a few accesses stay behind until later ones have been seen.

        Raises
        ------
        AddressError
            A page, access or order out of range.
        """
        cdef const record_t[::1] view = check_records(records)
        cdef Py_ssize_t i
        cdef int error = 0
        with nogil:
            for i in range(view.shape[0]):
                error = window_touch(&self.window, view[i].page,
                                     view[i].access | view[i].order << TAG_ORDER_SHIFT)
                if error:
                    break
        if error:
            raise HostMemoryError("no memory for the records: feed fewer at a time")
        return self.take(False)

    def finish(self):
        """Return the kept accesses still held back, at the end of the stream."""
        return self.take(True)
