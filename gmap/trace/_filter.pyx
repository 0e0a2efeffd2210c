"""The page filter for arrays of accesses. Floor 4. The rules are in `_window.pxd`."""

from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

import numpy as np

from gmap.trace._window cimport (
    TAG_ORDER_SHIFT, kept_t, record_t, window_enter, window_free, window_init,
    window_ready, window_t, window_take, window_touch,
)

from gmap.errors import ConfigError, HostMemoryError
from gmap.trace._model import ACCESS, LAST_PAGE, MAX_ORDER, Access, check_records, check_window

# A window put aside: these four numbers, then the columns of its slots, then the kept accesses
# nobody has taken yet. Little-endian, so that it may move to another machine.
_HEAD = ("size", "used", "now", "n_out")
_SLOTS = (("item", "<u8"), ("last", "<u8"), ("kept", "<u8"), ("tag", "u1"), ("written", "u1"))
_KEPT = np.dtype([("time", np.uint64), ("page", np.uint64), ("tag", np.uint8)], align=True)
_SAVED = np.dtype([("time", "<u8"), ("page", "<u8"), ("tag", "u1")])


cdef object take_records(window_t *w, bint final):
    """The kept accesses that are certain, or all of them, as an array."""
    cdef uint64_t n = window_ready(w, final)
    cdef record_t[::1] view
    result = np.empty(n, ACCESS)
    if n:
        view = result
        window_take(w, &view[0], n)
    return result


cdef bytes save_window(const window_t *w):
    """All that decides what a window keeps from here on."""
    cdef uint64_t n = w.used
    cdef bytes words = (<const char *>w.item)[:8 * n] + (<const char *>w.last)[:8 * n] \
        + (<const char *>w.kept)[:8 * n]
    kept = np.frombuffer((<const char *>w.out)[:w.n_out * sizeof(kept_t)], _KEPT)
    return (
        np.array([w.size, n, w.now, w.n_out], "<u8").tobytes()
        + np.frombuffer(words, np.uint64).astype("<u8").tobytes()
        + (<const char *>w.tag)[:n] + (<const char *>w.written)[:n]
        + kept.astype(_SAVED).tobytes()
    )


def _check(bint fine):
    if not fine:
        raise ConfigError("the position holds no state of the page filter: it was changed")


def _saved(size, bytes state):
    """The parts of a saved window, each refused if no window can have it."""
    _check(len(state) >= 8 * len(_HEAD))
    head = dict(zip(_HEAD, np.frombuffer(state, "<u8", len(_HEAD)).tolist(), strict=True))
    n, at = head["used"], 8 * len(_HEAD)
    _check(head["size"] == size and n <= size and head["now"] < 1 << 63)
    _check(head["n_out"] < 1 << 40)
    _check(len(state) == at + 26 * n + _SAVED.itemsize * head["n_out"])
    slots = {}
    for name, dtype in _SLOTS:
        slots[name] = np.frombuffer(state, dtype, n, at)
        at += slots[name].nbytes
    kept = np.frombuffer(state, _SAVED, head["n_out"], at)
    tags = np.concatenate([slots["tag"], kept["tag"]])
    _check(len(np.unique(slots["item"])) == n and not (slots["item"] > 2 * LAST_PAGE + 1).any())
    _check(not (slots["last"] > head["now"]).any() and not (slots["kept"] > slots["last"]).any())
    _check(not ((tags & 3) > max(Access)).any() and not ((tags >> 2) > MAX_ORDER).any())
    _check(not (kept["page"] > LAST_PAGE).any() and not (kept["time"] > head["now"]).any())
    _check(not (np.diff(kept["time"].astype(np.int64)) < 0).any())
    _check(not (slots["written"] > 1).any())
    return head, slots, kept.astype(_KEPT)


cdef int open_window(window_t *w, object size, bytes state) except -1:
    """Make a window: an empty one, or with a state that was put aside."""
    cdef uint64_t i, room
    cdef const uint8_t[::1] data
    cdef void *out
    if window_init(w, check_window(size)) < 0:
        raise HostMemoryError("no memory for the window of the page filter")
    if not state:
        return 0
    head, slots, kept = _saved(size, state)
    room = w.room + <uint64_t>head["n_out"]
    out = malloc(room * sizeof(kept_t))
    if out == NULL:
        raise HostMemoryError("no memory for the records the position holds")
    free(w.out)
    w.out = <kept_t *>out
    w.room = room
    w.now = head["now"]
    if head["n_out"]:
        data = kept.view(np.uint8)
        memcpy(w.out, &data[0], data.shape[0])
        w.n_out = head["n_out"]
    for i in range(<uint64_t>head["used"]):
        w.item[i] = slots["item"][i]
        w.last[i] = slots["last"][i]
        w.kept[i] = slots["kept"][i]
        w.tag[i] = slots["tag"][i]
        w.written[i] = slots["written"][i]
        window_enter(w, w.item[i], i)
    w.used = head["used"]
    return 0


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
    state : bytes
        What `state` of another filter with this window gave: go on where that one was.

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

    def __cinit__(self, window=64, bytes state=b""):
        open_window(&self.window, window, state)

    def __dealloc__(self):
        window_free(&self.window)

    @property
    def accesses(self):
        """Accesses seen."""
        return self.window.now

    def state(self):
        """Return what a later filter needs to go on exactly where this one is.

        >>> first = PageFilter(0)
        >>> PageFilter(0, first.state()).accesses
        0
        """
        return save_window(&self.window)

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
        return take_records(&self.window, False)

    def finish(self):
        """Return the kept accesses still held back, at the end of the stream."""
        return take_records(&self.window, True)
