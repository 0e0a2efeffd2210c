"""What a user's type checker must make of `gmap`: checked by mypy --strict, and it runs.

Part of `.ci/run types`; pytest does not collect it. An `assert_type` that fails means that a
stub has changed. A `type: ignore` that is not needed any more is an error, too, so the lines that
have one show what the stubs refuse.
"""

from contextlib import suppress
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import gmap
from gmap import ipa

# Hosts and regions.
host = gmap.SyntheticHost(seed=1, fragmentation=0.25, hamaxpow=48)
region = host.map(1 << 30, folio="1m")
assert_type(region, gmap.HostRegion)
assert_type(region.hva, int)
assert_type(host.regions, dict[int, gmap.HostRegion])
with gmap.BufferHost() as memory:
    assert_type(memory, gmap.BufferHost)
    assert_type(memory.map(4096).array, NDArray[np.uint8])
with suppress(gmap.ConfigError):
    host.map(4096, folio="64k")  # type: ignore[arg-type]
with suppress(AttributeError):
    region.nbytes = 8192  # type: ignore[misc]
host.answer(region.hva, 4096, "needs_io", times=1)
host.answer(region.hva, 4096, "ok")
assert_type(host.lookup(region.hva), np.void)
assert_type(host.lookup([region.hva, region.hva + 4096]), NDArray[np.void])

# An address space.
space = gmap.Gmap(host, 40, allow_2g=True, quirks=["age-loses-dirty"])
space.set_memory_region(0, 1 << 30, region.nbytes, region.hva, gmap.SlotFlag.LOG_DIRTY_PAGES)
assert_type(space.asce, int)
assert_type(space.memslots, list[gmap.MemslotInfo])
assert_type(space.stats(), dict[str, int])
with suppress(TypeError):
    gmap.Gmap(host, 40, True, False, True)  # type: ignore[call-arg]

# Faults: an integer gives an int, an array an array.
gfns = np.arange(1 << 18, (1 << 18) + 64, dtype=np.uint64)
assert_type(space.fault_in(1 << 18), int)
assert_type(space.fault_in(np.uint64(1 << 18), write=True), int)
assert_type(space.fault_in(gfns, errors="status"), NDArray[np.int32])
assert_type(space.fault_in(range(1 << 18, 1 << 19), write=True), NDArray[np.int32])
assert_type(space.fault_in(gfns, write=gfns % 2 == 0), NDArray[np.int32])
masked = space.fault_in(gfns, errors="mask")
assert_type(masked, np.ma.MaskedArray[Any, np.dtype[np.int32]])
codes, histogram = space.fault_latency(gfns)
assert_type(codes, NDArray[np.int32])
assert_type(histogram, NDArray[np.void])
with suppress(gmap.AddressTypeError):
    space.fault_in(1.5)  # type: ignore[call-overload]
floats = np.array([1.5], dtype=np.float64)
with suppress(gmap.AddressTypeError):
    space.fault_in(floats)  # type: ignore[arg-type]
try:
    space.fault_in(0)
except gmap.FaultError as error:
    assert_type(error.code, int)

vcpu = gmap.FaultContext(space, id=3, async_limit=8)
vcpu.pc = 0x8000
assert_type(vcpu.fault_in(gfns), NDArray[np.int32])
assert_type(vcpu.take_async(), NDArray[np.uint64])
with space.get_guest_pages(1 << 18, 4) as pages:
    assert_type(pages, gmap.GuestPages)
    assert_type(pages.pfn, NDArray[np.uint64])

# Translation.
gpa = gfns << np.uint64(12)
assert_type(space.translate(gpa), tuple[NDArray[np.uint64], NDArray[np.uint16]])
assert_type(space.translate(1 << 30), tuple[np.uint64, np.uint16])
assert_type(space.translate_write(np.uint64(1 << 30)), tuple[np.uint64, np.uint16])
pa, pic = np.empty_like(gpa), np.empty(gpa.shape, dtype=np.uint16)
assert_type(
    space.translate(gpa, out=(pa, pic), where=gpa > 1 << 30),
    tuple[NDArray[np.uint64], NDArray[np.uint16]],
)
assert_type(space.translate(gpa, pa, pic), tuple[NDArray[np.uint64], NDArray[np.uint16]])
assert_type(space.translate_one(1 << 30), int)
ufunc: np.ufunc = space.translate
try:
    space.translate_one(0)
except gmap.TranslationError as error:
    assert_type(error.level, gmap.Level)

# The rest of an address space.
assert_type(space.age(1 << 18, 64), bool)
with space.invalidating(1 << 18, 64):
    assert_type(space.leaves(1 << 30), NDArray[np.void])
assert_type(space.split(1 << 18), int)
assert_type(space.split(gfns), NDArray[np.int32])
walk = space.walk(1 << 18, gmap.Level.SEGMENT, gmap.Walk.LEAF | gmap.Walk.IGN_HOLES)
assert_type(walk.crste, int | None)
log = space.get_dirty_log(0, clear=False)
assert_type(log, NDArray[np.uint64])
space.clear_dirty_log(0, 0, 64, log)
assert_type(space.tables(), dict[tuple[int, int], NDArray[np.uint64]])
space.set_limit(0)

# Guards, sizes, configuration.
assert_type(gmap.as_addr([0x1000]), NDArray[np.uint64])
with suppress(gmap.AddressTypeError):
    gmap.as_addr("0x1000")  # type: ignore[arg-type]
assert_type(gmap.ipa_shift(40, ipa_limit=48), int)
assert_type(ipa.gmap_type([32, 40]), NDArray[np.int8])
assert_type(ipa.gmap_type(40), gmap.Level)
assert_type(ipa.vtcr_el2(40, parange=2), int)
assert_type(gmap.show_config(mode="dicts"), dict[str, Any])
assert_type(gmap.get_include(), str)
