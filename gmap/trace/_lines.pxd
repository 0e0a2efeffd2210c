# Text in pieces of any size, cut into whole lines for a compiled scanner.
from libc.stdint cimport uint8_t, uint64_t

cdef extern from *:
    const void *memchr(const void *p, int c, size_t n) nogil

cdef enum:
    MAX_LINE = 1 << 22      # a longer line is no trace; keeps a file without newlines from memory


# What a scanner's `scan` found wrong; the scanner's `words` say it.
cdef enum complaint_t:
    FINE
    NO_MEMORY
    BAD_KIND
    BAD_ADDRESS
    BAD_SIZE
    BAD_PAGE
    BAD_ACCESS
    BAD_ORDER
    BAD_END
    BAD_TIME
    BAD_EVENT
    BAD_PREFIX


cdef inline int hex_digit(uint8_t c) noexcept nogil:
    """The value of a hexadecimal digit; 16 or more for anything else."""
    if c - <unsigned>48 <= 9:
        return c - 48
    c |= 32
    if c - <unsigned>97 <= 5:
        return c - 87
    return 16


cdef inline const uint8_t *read_hex(const uint8_t *p, uint64_t *value) noexcept nogil:
    """Read 1 to 16 hexadecimal digits. Where they end, or NULL."""
    cdef const uint8_t *start = p
    cdef uint64_t result = 0
    cdef int digit = hex_digit(p[0])
    while digit < 16:
        result = result << 4 | <uint64_t>digit
        p += 1
        digit = hex_digit(p[0])
    value[0] = result
    return p if 0 < p - start <= 16 else NULL


cdef inline const uint8_t *read_decimal(const uint8_t *p, uint64_t *value) noexcept nogil:
    """Read 1 to 19 decimal digits. Where they end, or NULL."""
    cdef const uint8_t *start = p
    cdef uint64_t result = 0
    while p[0] - <unsigned>48 <= 9:
        result = result * 10 + (p[0] - 48)
        p += 1
    value[0] = result
    return p if 0 < p - start <= 19 else NULL


cdef inline const uint8_t *read_end(const uint8_t *p) noexcept nogil:
    """Read a line end, LF or CR LF. Where the next line starts, or NULL."""
    if p[0] == 10:
        return p + 1
    if p[0] == 13 and p[1] == 10:
        return p + 2
    return NULL


cdef inline const uint8_t *skip_blanks(const uint8_t *p) noexcept nogil:
    """Where the next word of the line, or its end, is."""
    while p[0] == 32 or p[0] == 9:
        p += 1
    return p


cdef inline const uint8_t *skip_word(const uint8_t *p) noexcept nogil:
    """Where the word at `p` ends."""
    while p[0] != 32 and p[0] != 9 and p[0] != 10 and not (p[0] == 13 and p[1] == 10):
        p += 1
    return p


cdef inline const uint8_t *skip_line(const uint8_t *p, const uint8_t *end) noexcept nogil:
    """Where the next line starts; whole lines always have an end before `end`."""
    return <const uint8_t *>memchr(p, 10, end - p) + 1


cdef inline bint starts_with(const uint8_t *p, const char *text) noexcept nogil:
    """Whether the line goes on with `text`, which has no line end in it."""
    while text[0] and p[0] == <uint8_t>text[0]:
        p += 1
        text += 1
    return text[0] == 0


cdef class LineScanner:
    cdef readonly str name          # the file, for errors
    cdef readonly uint64_t lines    # read so far
    cdef dict words                 # of each complaint
    cdef const uint8_t *bad_line
    cdef uint8_t *carry             # the start of a line whose end has not come yet
    cdef uint64_t n_carry
    cdef uint64_t carry_room

    cdef int scan(self, const uint8_t *p, const uint8_t *end) noexcept nogil
    cdef object take(self, bint final)
    cdef int scan_all(self, const uint8_t *p, const uint8_t *end) noexcept nogil
    cdef int carry_over(self, const uint8_t *p, uint64_t n) noexcept nogil
    cdef int fail(self, int complaint, const uint8_t *end) except -1
    cdef int scan_rest(self, bint needs_newline) except -1
