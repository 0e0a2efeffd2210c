"""Text in pieces of any size, cut into whole lines for a compiled scanner. Floor 4.

A scanner is a subclass with a `scan` that reads whole lines, a `take` that hands out what
they meant, and `words` for what `scan` may complain about. Errors name the file, the line
and the field.
"""

from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from gmap.trace._lines cimport memchr

from gmap.errors import HostMemoryError, TraceFormatError

cdef extern from *:
    """
    #include <string.h>
    static const unsigned char *gmap_last_newline(const unsigned char *p, const unsigned char *end)
    {
        while (end > p)
            if (*--end == 10)
                return end;
        return NULL;
    }
    """
    const uint8_t *gmap_last_newline(const uint8_t *p, const uint8_t *end) nogil

SHOWN = 60      # bytes of a bad line an error shows


cdef class LineScanner:
    """Reads a text in pieces; see the subclasses.

    Attributes
    ----------
    lines : int
        Lines read.
    held : int
        Bytes at the end of what was fed that make no whole line yet.
    """

    @property
    def held(self):
        """Bytes at the end of what was fed that make no whole line yet."""
        return self.n_carry

    def __dealloc__(self):
        free(self.carry)

    cdef int scan(self, const uint8_t *p, const uint8_t *end) noexcept nogil:
        """Read whole lines, counting them; FINE, or a complaint about `bad_line`."""
        return FINE

    cdef object take(self, bint final):
        """The records that are ready, or all of them."""
        raise NotImplementedError

    cdef int scan_all(self, const uint8_t *p, const uint8_t *end) noexcept nogil:
        """Read what came, together with what was carried over."""
        cdef const uint8_t *newline
        cdef int complaint
        if self.n_carry:
            newline = <const uint8_t *>memchr(p, 10, end - p)
            if newline == NULL:
                return self.carry_over(p, end - p)
            complaint = self.carry_over(p, newline + 1 - p)
            if complaint == FINE:
                complaint = self.scan(self.carry, self.carry + self.n_carry)
            if complaint != FINE:
                return complaint
            self.n_carry = 0
            p = newline + 1
        newline = gmap_last_newline(p, end)
        if newline != NULL:
            complaint = self.scan(p, newline + 1)
            if complaint != FINE:
                return complaint
            p = newline + 1
        return self.carry_over(p, end - p)

    cdef int carry_over(self, const uint8_t *p, uint64_t n) noexcept nogil:
        cdef void *grown
        if n == 0:
            return FINE
        if self.n_carry + n > self.carry_room:
            grown = realloc(self.carry, 2 * (self.n_carry + n))
            if grown == NULL:
                return NO_MEMORY
            self.carry = <uint8_t *>grown
            self.carry_room = 2 * (self.n_carry + n)
        memcpy(self.carry + self.n_carry, p, n)
        self.n_carry += n
        return FINE

    cdef int fail(self, int complaint, const uint8_t *end) except -1:
        """Raise what `complaint` stands for; `end` is where the text of `bad_line` ends."""
        cdef const uint8_t *stop = end
        cdef const uint8_t *newline
        if complaint == NO_MEMORY:
            raise HostMemoryError(f"no memory for the records of {self.name}: read it in chunks")
        newline = <const uint8_t *>memchr(self.bad_line, 10, end - self.bad_line)
        if newline != NULL:
            stop = newline
        text = self.bad_line[:min(stop - self.bad_line, <ptrdiff_t>SHOWN)]
        raise TraceFormatError(
            f"{self.name}: line {self.lines + 1}: {self.words[complaint]}; the line is {text!r}"
        )

    cdef int scan_rest(self, bint needs_newline) except -1:
        """Read a last line that has no line end, or refuse it."""
        cdef int complaint
        if self.n_carry == 0:
            return 0
        if needs_newline:
            text = self.carry[:min(self.n_carry, <uint64_t>SHOWN)]
            raise TraceFormatError(
                f"{self.name}: line {self.lines + 1}: the file ends inside this line, it is "
                f"truncated; the line is {text!r}"
            )
        complaint = self.carry_over(b"\n", 1)
        if complaint == FINE:
            complaint = self.scan(self.carry, self.carry + self.n_carry)
        if complaint != FINE:
            self.fail(complaint, self.carry + self.n_carry)
        self.n_carry = 0
        return 0

    def finish(self):
        """Return the records still held back, once all of the text has been fed."""
        self.scan_rest(True)
        return self.take(True)

    def feed(self, const uint8_t[::1] data not None):
        """Return the records that the next piece of the text completes.

        Parameters
        ----------
        data : bytes-like
            Any number of bytes; a line may be spread over pieces.

        Returns
        -------
        numpy.ndarray
            Records, dtype `gmap.trace.ACCESS`.

        Raises
        ------
        TraceFormatError
            A malformed line; the scanner is of no use after it.
        """
        cdef const uint8_t *p
        cdef const uint8_t *end
        cdef int complaint
        if data.shape[0] == 0:
            return self.take(False)
        p = &data[0]
        end = p + data.shape[0]
        with nogil:
            complaint = self.scan_all(p, end)
        if complaint != FINE:
            # What was carried over is read first, and is forgotten once it has been read.
            if self.n_carry:
                end = self.carry + self.n_carry
            self.fail(complaint, end)
        if self.n_carry > MAX_LINE:
            raise TraceFormatError(
                f"{self.name}: line {self.lines + 1}: longer than {MAX_LINE} bytes, this is no "
                "text of a trace"
            )
        return self.take(False)
