"""A host whose frames have no bytes: as large and as fragmented as a test wants. Floor 2."""

from libc.errno cimport ENOMEM
from libc.stdint cimport uint64_t

from gmap._address cimport as_u64
from gmap._atomic cimport cas, load
from gmap._defs cimport PAGE_SHIFT, REGION3_PAGES, REGION3_SIZE
from gmap._host cimport Host
from gmap._regions cimport (
    HVA_ALIGN, host_t, override_frame, region_alignment, region_t, scatter_hash,
)

from gmap.errors import ConfigError, HostMemoryError

# Host addresses of synthetic regions start here; nothing is mapped there.
cdef uint64_t SYNTHETIC_BASE = <uint64_t>1 << 44


cdef uint64_t take_frames(host_t *host, uint64_t npages, uint64_t alignment) noexcept nogil:
    """Synthetic frames never used before; 0 when the 52 bits of frame numbers are used up."""
    cdef uint64_t old, first
    while True:
        old = load(&host.next_frame)
        first = (old + alignment - 1) & ~(alignment - 1)
        if first + npages > <uint64_t>1 << 52:
            return 0
        if cas(&host.next_frame, old, first + npages):
            return first


cdef class SyntheticHost(Host):
    """Frames of a modelled host, no bytes behind them: terabytes cost nothing.

    Parameters
    ----------
    seed : int
        Decides what is fragmented and how; the same seed and calls give the same frames.
    fragmentation : float
        0 to 1, the share of 2 GiB and of 1 MiB blocks the host could not back by one folio.
        The blocks of a fragmented 2 GiB, and the pages of a fragmented 1 MiB, are scattered.
    hamaxpow : int
        Log2 of the highest guest address the machine supports, as SCLP reports it; 0 is
        unlimited (ipa.md section 2).

    Frames that come back after `discard` or `move` are new ones, so that an old translation
    can be told from a fresh one.

    >>> host = SyntheticHost(seed=1, fragmentation=0.5)
    >>> region = host.map(8 << 20, folio="1m")
    >>> [int(host.lookup(region.hva + (i << 20))["order"]) for i in range(8)]
    [8, 0, 0, 8, 8, 0, 0, 8]
    """

    def __init__(self, seed=0, fragmentation=0.0, *, hamaxpow=48):
        super().__init__(hamaxpow=hamaxpow)
        self._seed = as_u64(seed, "seed", 0xFFFFFFFFFFFFFFFF)
        if isinstance(fragmentation, bool) or not isinstance(fragmentation, (int, float)) or (
                not 0 <= fragmentation <= 1):
            raise ConfigError(f"fragmentation {fragmentation!r}: use a number from 0 to 1")
        self._broken_below = min(int(fragmentation * 2.0**64), 2**64 - 1)
        self._next_hva = SYNTHETIC_BASE
        self._n_regions = 0
        self.c.next_frame = REGION3_PAGES

    cdef int make_backing(self, region_t *region) except -1:
        cdef uint64_t alignment = region_alignment(region.nbytes)
        cdef uint64_t npages = (region.nbytes + REGION3_SIZE - 1) >> PAGE_SHIFT
        region.hva = (self._next_hva + alignment - 1) & ~(alignment - 1)
        region.frame = take_frames(&self.c, npages & ~<uint64_t>(REGION3_PAGES - 1), REGION3_PAGES)
        if not region.frame or region.hva + region.nbytes > <uint64_t>1 << 63:
            raise HostMemoryError(
                f"a region of {region.nbytes:#x} bytes does not fit what the host has left")
        self._next_hva = region.hva + region.nbytes + HVA_ALIGN     # a gap, so none adjoin
        region.salt = scatter_hash(self._seed, self._n_regions)
        region.broken_below = self._broken_below
        self._n_regions += 1
        return 0

    cdef int change_frames(self, region_t *region, uint64_t index, uint64_t npages,
                           int why) noexcept nogil:
        cdef uint64_t frame = take_frames(&self.c, npages, npages)
        if not frame:
            return -ENOMEM
        override_frame(region, index, npages, frame)
        return 0
