"""Reader of what `perf script` prints of samples with a data address. Floor 4.

perf prints the fields it is asked for in an order of its own: program, thread, cpu, `time:`,
period, `event:`, address, what it symbolises to, data_src, weights, ip, physical address, page
sizes. Those before the time are passed over, since a program's name may hold anything.
"""

from libc.stdint cimport uint8_t, uint64_t

from gmap._defs cimport PAGE_SHIFT
from gmap.trace._lines cimport (
    BAD_ADDRESS, BAD_EVENT, BAD_KIND, BAD_TIME, FINE, NO_MEMORY, read_decimal, read_end,
    read_hex, skip_blanks, skip_line, skip_word, starts_with,
)
from gmap.trace._scanner cimport PageScanner
from gmap.trace._window cimport (
    ACCESS_R, ACCESS_W, ACCESS_X, MAX_ORDER, TAG_ORDER_SHIFT, window_touch,
)

cdef enum:
    NOT_SAID = 4        # after the codes of accesses: the text does not tell
    NO_ACCESS = 5       # a prefetch, or a sample of something else

WORDS = {
    BAD_TIME: "time: expected seconds and a colon, such as 12.345678:, as perf script "
              "-F comm,tid,time,event,addr prints",
    BAD_EVENT: "event: expected the event's name and a colon after the time",
    BAD_ADDRESS: "addr: expected 1 to 16 hexadecimal digits after the event: add addr to the "
                 "fields (-F), and -d to perf record",
    BAD_KIND: "kind: neither data_src (|OP LOAD or |OP STORE) nor the event's name (load, store) "
              "says what kind of access it is: add data_src to the fields, or use perf mem record",
}


cdef inline bint is_time(const uint8_t *p, const uint8_t *end) noexcept nogil:
    """Whether a word is digits, a dot, digits and a colon."""
    cdef uint64_t number
    p = read_decimal(p, &number)
    if p == NULL or p[0] != c".":
        return False
    p = read_decimal(p + 1, &number)
    return p != NULL and p[0] == c":" and p + 1 == end


cdef inline bint names(const uint8_t *p, const uint8_t *end, const char *word) noexcept nogil:
    """Whether a word is in the text between, in small letters or capitals."""
    cdef int i
    while p < end:
        i = 0
        while word[i] and (p[i] | 32) == <uint8_t>word[i]:
            i += 1
        if word[i] == 0:
            return True
        p += 1
    return False


cdef inline uint8_t kind_of_event(const uint8_t *p, const uint8_t *end) noexcept nogil:
    cdef bint loads = names(p, end, "load")
    cdef bint stores = names(p, end, "store")
    if loads == stores:
        return NOT_SAID
    return ACCESS_W if stores else ACCESS_R


cdef inline uint8_t kind_of_op(const uint8_t *p) noexcept nogil:
    """What the text after `|OP ` in a data_src says."""
    if starts_with(p, "LOAD"):
        return ACCESS_R
    if starts_with(p, "STORE"):
        return ACCESS_W
    if starts_with(p, "EXEC"):
        return ACCESS_X
    return NO_ACCESS


cdef inline uint8_t page_order(const uint8_t *p, const uint8_t *end) noexcept nogil:
    """The order of a page size as perf prints it (4K, 2M, 1G); above MAX_ORDER for other words."""
    cdef uint64_t number
    cdef int shift
    p = read_decimal(p, &number)
    if p == NULL or p + 1 != end or number == 0 or number & (number - 1):
        return MAX_ORDER + 1
    if p[0] == c"K":
        shift = 10
    elif p[0] == c"M":
        shift = 20
    elif p[0] == c"G":
        shift = 30
    elif p[0] == c"T":
        shift = 40
    else:
        return MAX_ORDER + 1
    while number > 1:
        number >>= 1
        shift += 1
    shift -= <int>PAGE_SHIFT
    return <uint8_t>shift if 0 <= shift <= MAX_ORDER else MAX_ORDER + 1


cdef class PerfScanner(PageScanner):
    """Reads the samples in a `perf script` in pieces, and filters them.

    Parameters are those of `PageScanner`.

    Attributes
    ----------
    lines, accesses : int
        Lines read and page accesses seen.
    samples, skipped : int
        Samples, and how many of them were no access: a prefetch, or without an address.

    Examples
    --------
    >>> from gmap.trace._perf import PerfScanner
    >>> PerfScanner().feed(b" ls 7 1.500000: 1 cpu/mem-stores/P: 7ffd12345678 5080144 "
    ...     b"|OP STORE|LVL L1 hit|SNP N/A 0 401136 main (ls)\\n").tolist()
    [(34356667205, 1, 0)]
    """

    cdef readonly uint64_t samples
    cdef readonly uint64_t skipped

    def __cinit__(self, str name="<perf>", window=64, uint64_t lines=0, bytes state=b""):
        self.words = WORDS

    cdef int scan(self, const uint8_t *p, const uint8_t *end) noexcept nogil:
        cdef const uint8_t *word
        cdef uint64_t address, period
        cdef uint8_t access, order, found
        while p < end:
            self.bad_line = p
            # Empty lines, perf's own header, and the lines of a call chain.
            if read_end(p) != NULL or p[0] == c"#" or p[0] == c"\t":
                p = skip_line(p, end)
                self.lines += 1
                continue
            while True:
                word = skip_blanks(p)
                p = skip_word(word)
                if p == word:
                    return BAD_TIME
                if is_time(word, p):
                    break
            word = skip_blanks(p)
            p = skip_word(word)
            if read_decimal(word, &period) == p:
                word = skip_blanks(p)
                p = skip_word(word)
            if p < word + 2 or (p - 1)[0] != c":":
                return BAD_EVENT
            access = kind_of_event(word, p)
            word = skip_blanks(p)
            p = skip_word(word)
            if read_hex(word, &address) != p:
                return BAD_ADDRESS
            order = 0
            while read_end(p) == NULL:
                word = skip_blanks(p)
                p = skip_word(word)
                if word[0] - <unsigned>48 <= 9 and order == 0:
                    found = page_order(word, p)
                    if found <= MAX_ORDER:
                        order = found
                elif word[0] == c"|" and starts_with(word, "|OP "):
                    access = kind_of_op(word + 4)
            p = read_end(p)
            if access == NOT_SAID:
                return BAD_KIND
            self.lines += 1
            self.samples += 1
            if access == NO_ACCESS or address == 0:     # perf prints 0 for no address
                self.skipped += 1
                continue
            if window_touch(&self.window, address >> PAGE_SHIFT,
                            access | order << TAG_ORDER_SHIFT) < 0:
                return NO_MEMORY
        return FINE
