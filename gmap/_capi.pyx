"""The compiled walk and its section, for Numba and others that call C by address. Floor 3.

`dat_translate_one` is in this module's `__pyx_capi__` (it is declared in `_capi.pxd`), where
`numba.extending.get_cython_function_address` finds it; `gmap._numba.dat_translate` is that. It is
`_walk.dat_translate` and nothing else, so there is still one walk.
"""

cimport cython
from libc.stdint cimport uint64_t

from gmap._atomic cimport load_entry
from gmap._space cimport Gmap
from gmap._sync cimport srcu_read_lock, srcu_read_unlock
from gmap._walk cimport dat_translate, dat_walk_t

from gmap.errors import ConfigError


cdef int dat_translate_one(uint64_t asce, uint64_t gpa, int write, uint64_t *pa) noexcept nogil:
    """Translate one address: 0 and `pa`, or the program interruption code and pa 0."""
    cdef dat_walk_t walk
    return dat_translate(asce, gpa, write != 0, pa, &walk)


@cython.final
@cython.no_gc_clear     # leaving the section needs the address space
cdef class reading:
    """Hold the tables of an address space still for code that walks them.

    A context manager that gives the ASCE to walk from. While it is open no table is freed and no
    frame is given away: whoever unmaps, discards or changes a slot waits until it is closed.

    Parameters
    ----------
    space : Gmap

    Raises
    ------
    ConfigError
        If it is entered a second time while it is open.

    Notes
    -----
    Keep it short, and only walk inside: a change of the address space or its host, or a fault-in,
    could wait for the section, and in the same thread that is for ever. Leave it in the thread
    that entered. Entries may change under it, as they may under a running guest.

    Examples
    --------
    >>> import numpy as np
    >>> import gmap
    >>> from gmap._numba import dat_translate
    >>> host = gmap.SyntheticHost()
    >>> ram = host.map(1 << 20)
    >>> g = gmap.Gmap(host)
    >>> g.set_memory_region(0, 0, ram.nbytes, ram.hva)
    >>> g.fault_in(np.uint64(3))
    0
    >>> with reading(g) as asce:
    ...     pa, pic = dat_translate(asce, 0x3123, False)
    >>> pa == g.translate_one(0x3123), pic
    (True, 0)
    """

    cdef Gmap space
    cdef unsigned int token
    cdef bint open

    def __cinit__(self, Gmap space not None):
        self.space = space
        self.open = False

    def __enter__(self):
        if self.open:
            raise ConfigError("this section is open already: make another with reading(space)")
        self.token = srcu_read_lock(&self.space.c.tlb)
        self.open = True
        return load_entry(&self.space.c.asce)

    def __exit__(self, *_):
        self.leave()

    cdef void leave(self) noexcept:
        if self.open:
            self.open = False
            srcu_read_unlock(&self.space.c.tlb, self.token)

    def __dealloc__(self):
        self.leave()
