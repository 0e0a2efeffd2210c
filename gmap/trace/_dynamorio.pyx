"""Reader of DynamoRIO's traces as text. Floor 4.

Three tools write them, and each line tells which one it is from: drcachesim's view tool
(`12 5: 2765542 read 8 byte(s) @ 0x... by PC 0x...`), the sample memtrace_simple (`0x...: 8, w`)
and the sample memtrace_x86 (`0x...,w,8,0x...`: instruction, kind, size, data).
"""

from libc.stdint cimport uint8_t, uint64_t

from gmap.trace._lines cimport (
    BAD_ADDRESS, BAD_END, BAD_KIND, BAD_PREFIX, BAD_SIZE, FINE, hex_digit,
    read_decimal, read_end, read_hex, skip_blanks, skip_line, skip_word, starts_with,
)
from gmap.trace._scanner cimport MAX_SIZE, PageScanner, touch_pages
from gmap.trace._window cimport ACCESS_R, ACCESS_W, ACCESS_X

WORDS = {
    BAD_PREFIX: "record: expected a number, a colon and a thread (the view tool), or 0x and an "
                "address (memtrace); keep what the program itself prints out of the file",
    BAD_KIND: "kind: expected ifetch, read, write, r, w or an opcode",
    BAD_SIZE: "size: expected 0 to 65536 in decimal, inside the address space",
    BAD_ADDRESS: "address: expected '@ 0x' or 0x, and 1 to 16 hexadecimal digits",
    BAD_END: "more on the line than its fields",
}


cdef inline bint is_noise(const uint8_t *p) noexcept nogil:
    """A head, a divider, the view tool's last words, or an empty line."""
    return (read_end(p) != NULL or starts_with(p, "----") or starts_with(p, "Format: <")
            or starts_with(p, "Output format:") or starts_with(p, "<--record#")
            or starts_with(p, "<record#>") or starts_with(p, "View tool results:"))


cdef inline const uint8_t *read_thread(const uint8_t *p) noexcept nogil:
    """Read a thread: 12, T12 or W1.T12. Where it ends, or NULL."""
    cdef uint64_t number
    if p[0] == c"W":
        p = read_decimal(p + 1, &number)
        if p == NULL or p[0] != c"." or p[1] != c"T":
            return NULL
        p += 1
    if p[0] == c"T":
        p += 1
    return read_decimal(p, &number)


cdef inline const uint8_t *read_prefix(const uint8_t *p) noexcept nogil:
    """Read `record [instruction]: thread` before the details. Where these start, or NULL."""
    cdef uint64_t number
    p = read_decimal(skip_blanks(p), &number)
    if p == NULL:
        return NULL
    if p[0] != c":":
        p = skip_blanks(p)
        if p[0] != c":":                # "12 : total instructions" has no second number
            p = read_decimal(p, &number)
            if p == NULL or p[0] != c":":
                return NULL
    p = read_thread(skip_blanks(p + 1))
    if p == NULL or (p[0] != 32 and read_end(p) == NULL):
        return NULL
    return skip_blanks(p)


cdef inline bint is_total(const uint8_t *p) noexcept nogil:
    """Whether this is the view tool's last line, `123 : total instructions`."""
    cdef uint64_t number
    p = read_decimal(skip_blanks(p), &number)
    return p != NULL and starts_with(p, " : total instructions")


cdef inline bint is_passed_over(const uint8_t *p) noexcept nogil:
    """Details that are no access: a marker, a flush, a prefetch, more bytes of an instruction."""
    cdef const uint8_t *end = skip_word(p)
    if (p[0] == c"<" or starts_with(p, "iflush ") or starts_with(p, "dflush ")
            or starts_with(p, "pref ") or starts_with(p, "pref-")):
        return True
    if p == end or (end - p) % 2 or end - p > 8:
        return False
    while p < end:
        if hex_digit(p[0]) > 15:
            return False
        p += 1
    return True


cdef class DynamorioScanner(PageScanner):
    """Reads DynamoRIO's text in pieces, and filters the accesses in it.

    Parameters are those of `PageScanner`. A size of 0 counts as one byte. The view tool's
    markers, flushes and prefetches are passed over.

    Attributes
    ----------
    lines, accesses : int
        Lines read and page accesses seen.
    fetches, loads, stores : int
        Lines of each kind; fetches are instructions.

    Examples
    --------
    >>> from gmap.trace._dynamorio import DynamorioScanner
    >>> scanner = DynamorioScanner()
    >>> scanner.feed(b"  7  3:  99 write  8 byte(s) @ 0x00007ffc0ffc by PC 0x00401000\\n").tolist()
    [(524224, 1, 0), (524225, 1, 0)]
    >>> scanner.feed(b"0x401000:  5, call\\n").tolist()
    [(1025, 2, 0)]
    """

    cdef readonly uint64_t fetches
    cdef readonly uint64_t loads
    cdef readonly uint64_t stores

    def __cinit__(self, str name="<dynamorio>", window=64, uint64_t lines=0, bytes state=b""):
        self.words = WORDS

    cdef int count(self, uint64_t address, uint64_t size, uint8_t access) noexcept nogil:
        """One access, its size still to be checked."""
        if size == 0:
            size = 1
        if size > MAX_SIZE or address + (size - 1) < address:
            return BAD_SIZE
        if access == ACCESS_X:
            self.fetches += 1
        elif access == ACCESS_W:
            self.stores += 1
        else:
            self.loads += 1
        return touch_pages(&self.window, address, size, access)

    cdef int view(self, const uint8_t *p) noexcept nogil:
        """A line of the view tool, from its details on."""
        cdef uint64_t address, size
        cdef uint8_t access
        if starts_with(p, "ifetch "):
            access = ACCESS_X
        elif starts_with(p, "read "):
            access = ACCESS_R
        elif starts_with(p, "write "):
            access = ACCESS_W
        else:
            return BAD_KIND
        p = read_decimal(skip_blanks(skip_word(p)), &size)
        if p == NULL or not starts_with(p, " byte(s) "):
            return BAD_SIZE
        p += 9
        if not starts_with(p, "@ 0x"):
            return BAD_ADDRESS
        p = read_hex(p + 4, &address)
        if p == NULL or (p[0] != 32 and read_end(p) == NULL):
            return BAD_ADDRESS
        return self.count(address, size, access)

    cdef int memtrace(self, const uint8_t *p) noexcept nogil:
        """A line of memtrace_simple or memtrace_x86, after its 0x."""
        cdef uint64_t address, size, pc
        cdef uint8_t access
        cdef int complaint
        p = read_hex(p, &address)
        if p == NULL:
            return BAD_ADDRESS
        if p[0] == c":":
            p = read_decimal(skip_blanks(p + 1), &size)
            if p == NULL or p[0] != c",":
                return BAD_SIZE
            p = skip_blanks(p + 1)
            access = ACCESS_X
            if p[0] == c"r" and read_end(p + 1) != NULL:
                access = ACCESS_R
            elif p[0] == c"w" and read_end(p + 1) != NULL:
                access = ACCESS_W
            if skip_word(p) == p:
                return BAD_KIND
            return self.count(address, size, access) if read_end(skip_word(p)) else BAD_END
        if p[0] != c",":
            return BAD_ADDRESS
        if (p[1] != c"r" and p[1] != c"w") or p[2] != c",":
            return BAD_KIND
        access = ACCESS_W if p[1] == c"w" else ACCESS_R
        pc = address
        p = read_decimal(p + 3, &size)
        if p == NULL or p[0] != c",":
            return BAD_SIZE
        if not starts_with(p + 1, "0x"):
            return BAD_ADDRESS
        p = read_hex(p + 3, &address)
        if p == NULL:
            return BAD_ADDRESS
        if read_end(p) == NULL:
            return BAD_END
        complaint = self.count(pc, 1, ACCESS_X)
        return self.count(address, size, access) if complaint == FINE else complaint

    cdef int scan(self, const uint8_t *p, const uint8_t *end) noexcept nogil:
        cdef const uint8_t *details
        cdef int complaint
        while p < end:
            self.bad_line = p
            if p[0] == c"0" and p[1] == c"x":
                complaint = self.memtrace(p + 2)
            elif is_noise(p):
                complaint = FINE
            else:
                details = read_prefix(p)
                if details == NULL:
                    complaint = FINE if is_total(p) else BAD_PREFIX
                elif is_passed_over(details):
                    complaint = FINE
                else:
                    complaint = self.view(details)
            if complaint != FINE:
                return complaint
            p = skip_line(p, end)
            self.lines += 1
        return FINE
