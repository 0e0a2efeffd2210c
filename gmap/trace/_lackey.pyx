"""Reader of what `valgrind --tool=lackey --trace-mem=yes` prints, with the page filter. Floor 4.

A traced program makes lines by the billion, so text goes in and kept records come out
without a Python object for a line.
"""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

from gmap.trace._lines cimport (
    BAD_ADDRESS, BAD_KIND, BAD_SIZE, FINE, NO_MEMORY, read_decimal, read_end, read_hex, skip_line,
)
from gmap.trace._scanner cimport MAX_SIZE, PageScanner, touch_pages
from gmap.trace._window cimport ACCESS_R, ACCESS_W, ACCESS_X

cdef enum:
    NOISE_ROOM = 4096
    NEWLINE = 10

WORDS = {
    BAD_KIND: "kind: a line starts with 'I  ', ' L ', ' S ', ' M ', '==', '--' or '**'",
    BAD_ADDRESS: "address: expected 1 to 16 hexadecimal digits and a comma",
    BAD_SIZE: "size: expected 1 to 65536 in decimal, inside the address space",
}


cdef inline bint is_noise(const uint8_t *p) noexcept nogil:
    """What Valgrind says besides the trace, a superblock entry, or an empty line."""
    if p[0] == c"=" or p[0] == c"-" or p[0] == c"*":
        return p[1] == p[0]
    return p[0] == NEWLINE or (p[0] == 13 and p[1] == NEWLINE) or (
        p[0] == c"S" and p[1] == c"B" and p[2] == c" ")


cdef class LackeyScanner(PageScanner):
    """Reads lackey's text in pieces, and filters what it says.

    A modify (a load and a store in one) is a write. Parameters are those of `PageScanner`.

    Attributes
    ----------
    lines, accesses : int
        Lines read and page accesses seen.
    fetches, loads, stores, modifies : int
        Lines of each kind; fetches are instructions.
    banner, noise : str
        What Valgrind said before the first access, and the newest of what it said.

    Examples
    --------
    >>> from gmap.trace import LackeyScanner
    >>> scanner = LackeyScanner("demo")
    >>> scanner.feed(b"I  04001000,3\\n S 1fff000ffc,8\\n").tolist()
    [(16385, 2, 0), (33550336, 1, 0), (33550337, 1, 0)]
    >>> scanner.feed(b" L zzz,8\\n")
    Traceback (most recent call last):
        ...
    gmap.errors.TraceFormatError: demo: line 3: address: expected 1 to 16 hexadecimal digits \
and a comma; the line is b' L zzz,8'
    """

    cdef readonly uint64_t fetches
    cdef readonly uint64_t loads
    cdef readonly uint64_t stores
    cdef readonly uint64_t modifies
    cdef uint8_t banner_text[NOISE_ROOM]
    cdef uint64_t n_banner
    cdef uint8_t noise_text[NOISE_ROOM]
    cdef uint64_t n_noise

    def __cinit__(self, str name="<lackey>", window=64, uint64_t lines=0, bytes state=b""):
        self.words = WORDS

    @property
    def banner(self):
        """What Valgrind said before the first access: its version, the program."""
        return self.banner_text[:self.n_banner].decode("utf-8", "replace")

    @property
    def noise(self):
        """The newest of what Valgrind said; it explains a failure."""
        return self.noise_text[:self.n_noise].decode("utf-8", "replace")

    cdef void note_noise(self, const uint8_t *p, uint64_t n) noexcept nogil:
        if n > NOISE_ROOM:
            n = NOISE_ROOM
        if self.n_noise + n > NOISE_ROOM:
            self.n_noise = 0
        memcpy(self.noise_text + self.n_noise, p, n)
        self.n_noise += n
        if self.window.now == 0 and self.n_banner + n <= NOISE_ROOM:
            memcpy(self.banner_text + self.n_banner, p, n)
            self.n_banner += n

    cdef int scan(self, const uint8_t *p, const uint8_t *end) noexcept nogil:
        cdef const uint8_t *q
        cdef uint64_t address, size
        cdef uint64_t *counter
        cdef uint8_t access
        while p < end:
            self.bad_line = p
            if p[0] == c"I" and p[1] == c" " and p[2] == c" ":
                access = ACCESS_X
                counter = &self.fetches
            elif p[0] == c" " and p[1] == c"L" and p[2] == c" ":
                access = ACCESS_R
                counter = &self.loads
            elif p[0] == c" " and p[1] == c"S" and p[2] == c" ":
                access = ACCESS_W
                counter = &self.stores
            elif p[0] == c" " and p[1] == c"M" and p[2] == c" ":
                access = ACCESS_W
                counter = &self.modifies
            elif is_noise(p):
                q = skip_line(p, end)
                self.note_noise(p, q - p)
                self.lines += 1
                p = q
                continue
            else:
                return BAD_KIND
            p = read_hex(p + 3, &address)
            if p == NULL or p[0] != c",":
                return BAD_ADDRESS
            p = read_decimal(p + 1, &size)
            if p == NULL or size - 1 >= MAX_SIZE or address + (size - 1) < address:
                return BAD_SIZE
            p = read_end(p)
            if p == NULL:
                return BAD_SIZE
            self.lines += 1
            counter[0] += 1
            if touch_pages(&self.window, address, size, access) != FINE:
                return NO_MEMORY
        return FINE
