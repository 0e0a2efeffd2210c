"""The body of a CSV trace, read and written. Floor 4. The head is for `_format_csv.py`."""

from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

import numpy as np

from gmap.trace._lines cimport (
    BAD_ACCESS, BAD_END, BAD_ORDER, BAD_PAGE, FINE, NO_MEMORY, LineScanner, read_decimal,
    read_end, read_hex,
)
from gmap.trace._window cimport ACCESS_R, ACCESS_W, ACCESS_X, MAX_ORDER, record_t

from gmap.errors import HostMemoryError
from gmap.trace._model import ACCESS

cdef uint64_t LAST_PAGE = 0xFFFFFFFFFFFFF

cdef enum:
    LONGEST = 24        # bytes of a line: 0x, 13 digits, a letter, an order, commas, the end

WORDS = {
    BAD_PAGE: "page: expected decimal or 0x and hexadecimal, at most 0xfffffffffffff",
    BAD_ACCESS: "access: expected R, W or X",
    BAD_ORDER: "order: expected 0 to 40",
    BAD_END: "more on the line than its fields",
}


cdef class CsvScanner(LineScanner):
    """Reads the lines of a CSV trace after its header, in pieces.

    Parameters
    ----------
    name : str
        The file, for errors.
    lines : int
        Lines before the first one.
    order : bool
        Whether lines are `page,access,order` rather than `page,access`.
    records : int
        Records before the first one, where reading goes on in the middle.

    Attributes
    ----------
    lines, records : int
        Lines and records read.

    Examples
    --------
    >>> from gmap.trace._csv import CsvScanner
    >>> CsvScanner().feed(b"0x10,R\\n17,W\\n").tolist()
    [(16, 0, 0), (17, 1, 0)]
    """

    cdef record_t *out
    cdef readonly uint64_t records
    cdef uint64_t n_out
    cdef uint64_t room
    cdef bint has_order

    def __cinit__(self, str name="<csv>", uint64_t lines=0, bint order=False, uint64_t records=0):
        self.name = name
        self.words = WORDS
        self.lines = lines
        self.records = records
        self.has_order = order

    def __dealloc__(self):
        free(self.out)

    cdef int grow(self) noexcept nogil:
        cdef uint64_t room = 2 * self.room + 1024
        cdef void *grown = realloc(self.out, room * sizeof(record_t))
        if grown == NULL:
            return NO_MEMORY
        self.out = <record_t *>grown
        self.room = room
        return FINE

    cdef int scan(self, const uint8_t *p, const uint8_t *end) noexcept nogil:
        cdef uint64_t page, order = 0
        cdef record_t *record
        while p < end:
            self.bad_line = p
            if read_end(p) != NULL:     # an empty line
                p = read_end(p)
                self.lines += 1
                continue
            if p[0] == c"0" and (p[1] == c"x" or p[1] == c"X"):
                p = read_hex(p + 2, &page)
            else:
                p = read_decimal(p, &page)
            if p == NULL or p[0] != c"," or page > LAST_PAGE:
                return BAD_PAGE
            if self.n_out == self.room and self.grow() != FINE:
                return NO_MEMORY
            record = &self.out[self.n_out]
            record.page = page
            if p[1] == c"R":
                record.access = ACCESS_R
            elif p[1] == c"W":
                record.access = ACCESS_W
            elif p[1] == c"X":
                record.access = ACCESS_X
            else:
                return BAD_ACCESS
            p += 2
            if self.has_order:
                if p[0] != c",":
                    return BAD_ORDER
                p = read_decimal(p + 1, &order)
                if p == NULL or order > MAX_ORDER:
                    return BAD_ORDER
            record.order = <uint8_t>order
            p = read_end(p)
            if p == NULL:
                return BAD_END
            self.n_out += 1
            self.records += 1
            self.lines += 1
        return FINE

    cdef object take(self, bint final):
        cdef record_t[::1] view
        result = np.empty(self.n_out, ACCESS)
        if self.n_out:
            view = result
            memcpy(&view[0], self.out, self.n_out * sizeof(record_t))
            self.n_out = 0
        return result

    def finish(self):
        """Return the last record; its line may lack a newline."""
        self.scan_rest(False)
        return self.take(True)


cdef inline uint8_t *write_hex(uint8_t *p, uint64_t value) noexcept nogil:
    """Write 0x and the digits of `value`. Where they end."""
    cdef int shift = 0
    while shift < 60 and value >> shift >= 16:
        shift += 4
    p[0] = c"0"
    p[1] = c"x"
    p += 2
    while shift >= 0:
        p[0] = b"0123456789abcdef"[value >> shift & 15]
        p += 1
        shift -= 4
    return p


def csv_lines(const record_t[::1] records not None, bint order):
    """Return records as lines of a CSV trace.

    Parameters
    ----------
    records : numpy.ndarray
        dtype `gmap.trace.ACCESS`, with values `check_records` has seen.
    order : bool
        Whether lines have an order.

    Returns
    -------
    bytes

    Examples
    --------
    >>> csv_lines(np.array([(0x7f, 1, 9), (0, 2, 10)], ACCESS), True)
    b'0x7f,W,9\\n0x0,X,10\\n'
    """
    cdef Py_ssize_t i, n = records.shape[0]
    cdef uint8_t *start = <uint8_t *>malloc(n * LONGEST + 1)
    cdef uint8_t *p = start
    if start == NULL:
        raise HostMemoryError("no memory for the lines of a trace: write fewer at a time")
    try:
        with nogil:
            for i in range(n):
                p = write_hex(p, records[i].page)
                p[0] = c","
                p[1] = b"RWX"[records[i].access % 3]
                p += 2
                if order:
                    p[0] = c","
                    p += 1
                    if records[i].order >= 10:
                        p[0] = 48 + records[i].order // 10 % 10
                        p += 1
                    p[0] = 48 + records[i].order % 10
                    p += 1
                p[0] = c"\n"
                p += 1
        return start[:p - start]
    finally:
        free(start)
