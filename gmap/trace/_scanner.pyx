"""Text whose lines are accesses, and the page filter they go through. Floor 4."""

from libc.stdint cimport uint64_t

from gmap.trace._filter cimport open_window, save_window, take_records
from gmap.trace._lines cimport LineScanner
from gmap.trace._window cimport window_free


cdef class PageScanner(LineScanner):
    """Reads accesses in text, in pieces, and filters them; see the subclasses.

    Each page an access touches counts, so one that straddles a page boundary counts twice.

    Parameters
    ----------
    name : str
        The file, for errors.
    window : int
        The window of the page filter, as for `PageFilter`.
    lines : int
        Lines before the first one, where reading goes on in the middle.
    state : bytes
        What `state` gave there.

    Attributes
    ----------
    lines : int
        Lines read.
    accesses : int
        Page accesses seen.
    """

    def __cinit__(self, str name="<text>", window=64, uint64_t lines=0, bytes state=b""):
        self.name = name
        self.lines = lines
        open_window(&self.window, window, state)

    def __dealloc__(self):
        window_free(&self.window)

    @property
    def accesses(self):
        """Page accesses seen."""
        return self.window.now

    def state(self):
        """Return what another scanner needs to go on where this one is, after whole lines."""
        return save_window(&self.window)

    cdef object take(self, bint final):
        return take_records(&self.window, final)

    def finish(self, *, bint cut_off=False):
        """Return the records still held back, once all of the text has been fed.

        Parameters
        ----------
        cut_off : bool
            The program was ended: an unfinished last line is no error, and is left out.
        """
        if cut_off:
            self.n_carry = 0
        self.scan_rest(True)
        return self.take(True)
