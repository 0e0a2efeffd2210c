"""The accesses of ChampSim's records, and the page filter they go through. Floor 4."""

from libc.stdint cimport uint64_t

from gmap._defs cimport PAGE_SHIFT
from gmap.trace._filter cimport open_window, save_window, take_records
from gmap.trace._window cimport (
    ACCESS_R, ACCESS_W, ACCESS_X, window_free, window_t, window_touch,
)

from gmap.errors import HostMemoryError

# A record as words: the instruction's address, flags and registers, stores, loads.
cdef enum:
    IP = 0
    FIRST_STORE = 2
    FIRST_LOAD = 4
    N_WORDS = 8


cdef class ChampsimScanner:
    """Reads records in pieces: for each its fetch, its loads and its stores, then the filter.

    Parameters
    ----------
    window : int
        The window of the page filter, as for `PageFilter`.
    state : bytes
        What `state` of another one gave: go on where that one was.

    Attributes
    ----------
    accesses : int
        Page accesses seen.
    fetches, loads, stores : int
        Those of each kind in what was fed.

    Examples
    --------
    >>> import numpy as np
    >>> from gmap.trace._champsim import ChampsimScanner
    >>> record = np.array([[0x401000, 0, 0, 0, 0x7ff000, 0, 0, 0]], np.uint64)
    >>> ChampsimScanner(0).feed(record).tolist()
    [(1025, 2, 0), (2047, 0, 0)]
    """

    cdef window_t window
    cdef readonly uint64_t fetches
    cdef readonly uint64_t loads
    cdef readonly uint64_t stores

    def __cinit__(self, window=64, bytes state=b""):
        open_window(&self.window, window, state)

    def __dealloc__(self):
        window_free(&self.window)

    @property
    def accesses(self):
        """Page accesses seen."""
        return self.window.now

    def state(self):
        """Return what another scanner needs to go on where this one is."""
        return save_window(&self.window)

    cdef int scan(self, const uint64_t[:, ::1] words) noexcept nogil:
        """Whether there was memory for all of them."""
        cdef Py_ssize_t i
        cdef int k, error
        for i in range(words.shape[0]):
            error = window_touch(&self.window, words[i, IP] >> PAGE_SHIFT, ACCESS_X)
            self.fetches += 1
            for k in range(FIRST_LOAD, N_WORDS):
                if words[i, k]:
                    error |= window_touch(&self.window, words[i, k] >> PAGE_SHIFT, ACCESS_R)
                    self.loads += 1
            for k in range(FIRST_STORE, FIRST_LOAD):
                if words[i, k]:
                    error |= window_touch(&self.window, words[i, k] >> PAGE_SHIFT, ACCESS_W)
                    self.stores += 1
            if error:
                return False
        return True

    def feed(self, const uint64_t[:, ::1] words not None):
        """Return the kept accesses that are certain once these records have followed.

        Parameters
        ----------
        words : numpy.ndarray
            Shape (n, 8), dtype uint64: n records of 64 bytes.

        Returns
        -------
        numpy.ndarray
            Records, dtype `gmap.trace.ACCESS`.

        Raises
        ------
        ValueError
            Another shape or dtype.
        """
        cdef bint fine
        if words.shape[1] != N_WORDS:
            raise ValueError(f"expected records of {N_WORDS} words, got {words.shape[1]}")
        with nogil:
            fine = self.scan(words)
        if not fine:
            raise HostMemoryError("no memory for the records: feed fewer at a time")
        return take_records(&self.window, False)

    def finish(self):
        """Return the kept accesses still held back, at the end of the records."""
        return take_records(&self.window, True)
