"""From a spec to its address space: the pages it touches, the tables they need. Floor 4.

The tables are counted before anything is built, exactly, so that what does not fit is refused
with a number. Then the slots are made and the pages faulted in, some at a time.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gmap._defs import (
    CRST_BYTES,
    PAGE_SHIFT,
    PAGE_SIZE,
    PT_BYTES,
    REGION3_PAGES,
    SEGMENT_PAGES,
    Folio,
)
from gmap._space import Gmap
from gmap._synthetic import SyntheticHost
from gmap.errors import AddressError, ConfigError, GmapError, TraceFormatError
from gmap.ipa import gmap_type
from gmap.layout._geometries import gmap_geometry
from gmap.layout._spans import count_tables, merge_runs
from gmap.layout._spec import Spec, SpecError

__all__ = ["TIMELINE", "Built", "Estimate", "Pages", "available_bytes", "build", "build_all"]

#: One point of a fault timeline: after so many pages touched, the faults that mapped something
#: and the minor ones so far, the bytes mapped and the bytes of tables.
TIMELINE: Final = np.dtype(
    [
        ("touched_pages", np.uint64),
        ("faults", np.uint64),
        ("minor_faults", np.uint64),
        ("mapped_bytes", np.uint64),
        ("table_bytes", np.uint64),
    ]
)

U64: TypeAlias = NDArray[np.uint64]
Progress: TypeAlias = Callable[[int, int], None]

_POINTS: Final = 96  # of a timeline
_CHUNK: Final = 1 << 20  # pages faulted in by one call
_BLOCKS: Final = 1 << 20  # blocks looked up at a time
_AREA_PAGES: Final = 512  # a trace's pages move to the slots in areas of 2 MiB
_BYTES_OF_A_RUN: Final = 64  # of a touched set, while it is sorted and counted
_LEAST_LIST: Final = 64 << 20  # a small limit on tables is none on the list
_SHARE: Final = 0.75  # of what memory is available, by default


# --- pages ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pages:
    """What is touched: runs of guest frames in the order of their first touch.

    `writes` tells it for every page, where a trace does; else `write` of all are writes.
    """

    start: U64
    count: U64
    writes: NDArray[np.bool_] | None = None
    write: float = 1.0
    seed: int = 0

    def __len__(self) -> int:
        return int(self.count.sum())

    def chunks(self, size: int = _CHUNK) -> Iterator[tuple[U64, NDArray[np.bool_]]]:
        """Yield frames and which of the accesses are writes, `size` of them at a time."""
        ends = np.cumsum(self.count, dtype=np.uint64)
        total = int(ends[-1]) if len(ends) else 0
        rng = np.random.default_rng(self.seed)
        for begin in range(0, total, size):
            end = min(begin + size, total)
            i = int(np.searchsorted(ends, np.uint64(begin), side="right"))
            j = int(np.searchsorted(ends, np.uint64(end), side="left")) + 1
            start, count = self.start[i:j].copy(), self.count[i:j].copy()
            skipped = np.uint64(begin) - (ends[i] - self.count[i])
            start[0] += skipped
            count[0] -= skipped
            count[-1] -= ends[j - 1] - np.uint64(end)
            gfns = _expand(start, count)
            if self.writes is not None:
                yield gfns, self.writes[begin:end]
            elif self.write >= 1:
                yield gfns, np.ones(len(gfns), np.bool_)
            else:
                yield gfns, rng.random(len(gfns)) < self.write

    def sorted_runs(self) -> tuple[U64, U64]:
        """Return the frames as ascending runs, none overlapping: first frames and counts."""
        order = np.argsort(self.start, kind="stable")
        start, count, _ = merge_runs(self.start[order], self.count[order])
        return start, count


def _expand(start: U64, count: U64) -> U64:
    """Return all frames of runs, in order."""
    if len(start) == 1:
        return np.arange(start[0], start[0] + count[0], dtype=np.uint64)
    before = np.cumsum(count, dtype=np.uint64) - count
    offset = np.arange(int(count.sum()), dtype=np.uint64)
    return np.repeat(start - before, count.astype(np.int64)) + offset


def pages_of(spec: Spec, limit: int | None = None) -> Pages:
    """Return the pages a spec touches.

    Raises
    ------
    SpecError
        The trace cannot be read or has more pages than the slots, there are fewer pages than
        asked for, or the list of them would take more than `limit` bytes.
    """
    touched = spec.touched
    if touched.trace is not None:
        return _pages_of_trace(spec, touched.trace)
    total = spec.memory_bytes >> PAGE_SHIFT
    n = total
    if touched.pages is not None:
        n = touched.pages
    elif touched.fraction is not None:
        n = round(touched.fraction * total)
    _check_list(spec, n, limit)
    rng = np.random.default_rng(touched.seed)
    if touched.pattern in ("all", "sequential"):
        index, count = np.array([0], np.uint64), np.array([n], np.uint64)
    elif touched.pattern == "strided":
        step = touched.stride >> PAGE_SHIFT
        steps = -(-total // step)
        if touched.fraction is None and touched.pages is None:
            n = steps
        if n > steps:
            raise SpecError(
                f"{spec.file}: [touched] stride = {touched.stride}: {n} pages are asked for, and "
                f"the slots have {steps} steps; use a smaller stride or fewer pages"
            )
        index = np.arange(n, dtype=np.uint64) * np.uint64(step)
        count = np.ones(n, np.uint64)
    elif touched.pattern == "clustered":
        size = touched.cluster >> PAGE_SHIFT
        index, count = _clusters(rng, total, n, size)
    else:
        index, count = _distinct(rng, total, n), np.ones(n, np.uint64)
    keep = count > 0
    start, count = _in_slots(spec, index[keep], count[keep])
    return Pages(start, count, None, touched.write, touched.seed)


def _check_list(spec: Spec, n: int, limit: int | None) -> None:
    """Refuse a list of runs that is too large; the patterns "all" and "sequential" have one."""
    touched = spec.touched
    runs = {"random": n, "clustered": n // (touched.cluster >> PAGE_SHIFT)}
    runs["strided"] = min(n, -(-spec.memory_bytes // touched.stride))
    need = _BYTES_OF_A_RUN * runs.get(touched.pattern, 1)
    if limit is not None and need > limit:
        amount = f"pages = {n}" if touched.pages is not None else f"fraction = {touched.fraction}"
        raise SpecError(
            f"{spec.file}: [touched] {amount}: to list what pattern {touched.pattern!r} touches "
            f"takes {need:,} bytes, and the limit is {limit:,}: touch fewer pages, or whole "
            "clusters of them"
        )


def _clusters(rng: np.random.Generator, total: int, n: int, size: int) -> tuple[U64, U64]:
    """Runs of `size` pages at distinct places, `n` pages in all; the last ones may be cut."""
    places = -(-total // size)
    wanted = min(-(-n // size) + 1, places)  # one more: the piece at the end may be short
    index = _distinct(rng, places, wanted) * np.uint64(size)
    count = np.minimum(np.uint64(size), np.uint64(total) - index)
    over = np.cumsum(count, dtype=np.uint64)
    spare = np.where(over > np.uint64(n), over - np.uint64(n), np.uint64(0))
    return index, count - np.minimum(count, spare)


def _distinct(rng: np.random.Generator, total: int, n: int) -> U64:
    """`n` different numbers below `total`, in random order."""
    if n > total // 2:
        if total <= 1 << 27:
            return rng.permutation(total)[:n].astype(np.uint64)
        absent = np.sort(_distinct(rng, total, total - n))
        mask = np.ones(total, np.bool_)
        mask[absent] = False
        found = np.flatnonzero(mask).astype(np.uint64)
    else:
        found = np.empty(0, np.uint64)
        while len(found) < n:
            more = rng.integers(0, total, int((n - len(found)) * 1.1) + 16, dtype=np.uint64)
            found = _unique(np.concatenate([found, more]))
        return rng.permutation(found)[:n]
    rng.shuffle(found)
    return found


def _unique(values: U64) -> U64:
    """Sorted, each once. NumPy's own hashes, which is slower for this many."""
    values = np.sort(values)
    keep = np.ones(len(values), np.bool_)
    keep[1:] = values[1:] != values[:-1]
    return values[keep]


def _slot_columns(spec: Spec) -> tuple[U64, U64]:
    """First frames and pages of the slots, ascending by guest address."""
    rows = sorted((s.guest_phys_addr >> PAGE_SHIFT, s.size >> PAGE_SHIFT) for s in spec.memslots)
    columns = np.array(rows, dtype=np.uint64).reshape(-1, 2)
    return np.ascontiguousarray(columns[:, 0]), np.ascontiguousarray(columns[:, 1])


def _in_slots(spec: Spec, index: U64, count: U64) -> tuple[U64, U64]:
    """Frames of runs of slot pages, which are numbered through all slots; cut at their ends."""
    base, pages = _slot_columns(spec)
    ends = np.cumsum(pages, dtype=np.uint64)
    starts, counts, orders = [], [], []
    order = np.arange(len(index))
    while len(index):
        slot = np.searchsorted(ends, index, side="right")
        here = np.minimum(count, ends[slot] - index)
        starts.append(base[slot] + index - (ends[slot] - pages[slot]))
        counts.append(here)
        orders.append(order)
        rest = count > here
        index, count, order = (index + here)[rest], (count - here)[rest], order[rest]
    if not starts:
        return np.empty(0, np.uint64), np.empty(0, np.uint64)
    first = np.argsort(np.concatenate(orders), kind="stable")  # pieces of a run stay together
    return np.concatenate(starts)[first], np.concatenate(counts)[first]


def _pages_of_trace(spec: Spec, name: str) -> Pages:
    """First touches and first writes of a trace, its 2 MiB areas packed into the slots."""
    from gmap.bench.workloads import from_trace
    from gmap.trace import load

    try:
        load_of_trace = from_trace(load(name), name, "4k")
    except (GmapError, TraceFormatError, OSError) as error:
        raise SpecError(
            f"{spec.file}: [touched] trace = {name!r}: {error}; name a bundled trace or a file"
        ) from error
    area = np.uint64(_AREA_PAGES)
    areas, packed = np.unique(load_of_trace.gfns // area, return_inverse=True)
    index = packed.astype(np.uint64) * area + load_of_trace.gfns % area
    total = spec.memory_bytes >> PAGE_SHIFT
    if len(index) and int(index.max()) >= total:
        raise SpecError(
            f"{spec.file}: [touched] trace = {name!r}: its {len(areas)} areas of 2 MiB need "
            f"{len(areas) * 2} MiB of memory slots, and there are {total >> 8} MiB; add memory"
        )
    start, count = _in_slots(spec, index, np.ones(len(index), np.uint64))
    return Pages(start, count, load_of_trace.writes)


# --- what it will take ----------------------------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    """The tables an address space will have, counted before it is built."""

    touched_pages: int
    crst_tables: int
    page_tables: int

    @property
    def table_bytes(self) -> int:
        """Bytes of all tables."""
        return self.crst_tables * CRST_BYTES + self.page_tables * PT_BYTES


def available_bytes() -> int:
    """Return the bytes of memory this machine can still give; 2**63 - 1 if it does not tell."""
    try:
        with open("/proc/meminfo") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) << 10
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return (1 << 63) - 1


def _slot_table(g: Gmap) -> tuple[U64, U64, U64]:
    """First frames, ends and host addresses of the slots of an address space, ascending."""
    rows = [(s.guest_phys_addr, s.memory_size, s.userspace_addr) for s in g.memslots]
    columns = np.array(rows, dtype=np.uint64).reshape(-1, 3)
    first = columns[:, 0] >> np.uint64(PAGE_SHIFT)
    return first, first + (columns[:, 1] >> np.uint64(PAGE_SHIFT)), columns[:, 2]


def _heights(g: Gmap, gfns: U64, spec: Spec) -> NDArray[np.int8]:
    """Heights of the leaves that faults at frames would make (dat-gmap.md 11.2)."""
    first, end, hva = _slot_table(g)
    slot = np.searchsorted(first, gfns, side="right") - 1
    offset = (gfns - first[slot]) << np.uint64(PAGE_SHIFT)
    found = g.host.lookup(hva[slot] + offset)
    height = np.zeros(len(gfns), np.int8)
    sizes = [(1, SEGMENT_PAGES, Folio.ORDER_1M, spec.guest.allow_1m),
             (2, REGION3_PAGES, Folio.ORDER_2G, spec.guest.allow_2g)]  # fmt: skip
    for level, pages, order, allowed in sizes:
        low = np.uint64(pages - 1)
        fits = (found["order"] >= order) & (((gfns ^ found["pfn"]) & low) == 0)
        fits &= (first[slot] <= gfns & ~low) & (end[slot] >= (gfns | low) + np.uint64(1))
        height[fits & allowed] = level
    return height


def _estimate(g: Gmap, pages: Pages, spec: Spec) -> Estimate:
    """Count the tables for what will be touched; the slots of `g` are made, nothing else."""
    start, count = pages.sorted_runs()
    geometry = gmap_geometry(gmap_type(spec.guest.ipa_bits))
    edges = slot_edges(g)
    if all(slot.folio == "4k" for slot in spec.memslots):
        runs = [(start, count, np.zeros(len(start), np.int8))]
    else:
        runs = list(_large_runs(g, start, count, spec))
    gfn = np.concatenate([run[0] for run in runs]) if runs else start
    size = np.concatenate([run[1] for run in runs]) if runs else count
    height = np.concatenate([run[2] for run in runs]) if runs else np.zeros(0, np.int8)
    shift = np.uint64(PAGE_SHIFT)
    tables = count_tables(geometry, gfn << shift, size << shift, height, edges)
    return Estimate(len(pages), sum(tables[1:]), tables[0])


def _large_runs(
    g: Gmap, start: U64, count: U64, spec: Spec
) -> Iterator[tuple[U64, U64, NDArray[np.int8]]]:
    """Cut runs at every MiB and tell the height of the leaf behind each piece."""
    unit = np.uint64(SEGMENT_PAGES)
    blocks = (start + count - np.uint64(1)) // unit - start // unit + np.uint64(1)
    cuts = np.flatnonzero(np.diff(np.cumsum(blocks, dtype=np.uint64) // np.uint64(_BLOCKS))) + 1
    for part in np.split(np.arange(len(start)), cuts):
        if not len(part):
            continue
        first = _expand(start[part] // unit, blocks[part])
        of_run = np.repeat(part, blocks[part].astype(np.int64))
        low = np.maximum(first * unit, start[of_run])
        high = np.minimum((first + np.uint64(1)) * unit, start[of_run] + count[of_run])
        yield low, high - low, _heights(g, low, spec)


def slot_edges(g: Gmap) -> U64:
    """Return the guest addresses where slots begin and end, which split the tables."""
    edges = {edge for s in g.memslots for edge in (s.guest_phys_addr,
                                                   s.guest_phys_addr + s.memory_size)}  # fmt: skip
    return np.array(sorted(edge for edge in edges if edge < 1 << 64), dtype=np.uint64)


# --- building -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Built:
    """An address space made from a spec, and how its faults went."""

    space: Gmap
    spec: Spec
    estimate: Estimate
    timeline: NDArray[np.void]  # dtype TIMELINE


def build(spec: Spec, *, limit_bytes: int | None = None, progress: Progress | None = None) -> Gmap:
    """Make the address space a spec describes and touch its pages.

    Parameters
    ----------
    spec : Spec
    limit_bytes : int, optional
        Refuse if the tables would be larger than this; by default three quarters of the
        memory that is available.
    progress : callable, optional
        Called with (pages touched, pages to touch) now and then.

    Raises
    ------
    SpecError
        A slot breaks a rule, or the tables would not fit; nothing was built then.

    >>> from gmap.layout.spec import read_spec
    >>> build(read_spec("microvm")).ipa_bits
    40
    """
    return build_all(spec, limit_bytes=limit_bytes, progress=progress).space


def build_all(
    spec: Spec, *, limit_bytes: int | None = None, progress: Progress | None = None
) -> Built:
    """As `build`, and keep the estimate and the timeline.

    >>> from gmap.layout.spec import read_spec
    >>> built = build_all(read_spec("microvm"))
    >>> built.estimate.table_bytes == built.space.table_bytes()
    True
    """
    limit = int(_SHARE * available_bytes()) if limit_bytes is None else limit_bytes
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise AddressError(f"limit_bytes {limit_bytes!r}: use a number of bytes, 0 or more")
    pages = pages_of(spec, max(limit, _LEAST_LIST))
    space = _empty_space(spec)
    estimate = _estimate(space, pages, spec)
    if estimate.table_bytes > limit:
        raise SpecError(
            f"{spec.file}: [touched] {estimate.touched_pages:,} pages need "
            f"{estimate.page_tables:,} page tables and {estimate.crst_tables:,} others, "
            f"{estimate.table_bytes:,} bytes, and the limit is {limit:,}: touch fewer pages or "
            "closer ones, use larger folios, or raise the limit"
        )
    points = [_point(space, 0)]
    size = min(_CHUNK, max(1, -(-len(pages) // _POINTS)))
    step = max(1, len(pages) // _POINTS)
    done = 0
    for gfns, writes in pages.chunks(size):
        space.fault_in(gfns, writes)
        done += len(gfns)
        if done == len(pages) or done - points[-1][0] >= step:
            points.append(_point(space, done))
        if progress is not None:
            progress(done, len(pages))
    return Built(space, spec, estimate, np.array(points, dtype=TIMELINE))


def _empty_space(spec: Spec) -> Gmap:
    """The host and the slots, nothing mapped."""
    where = "[host]"
    try:
        host = SyntheticHost(spec.host.seed, spec.host.fragmentation, hamaxpow=spec.host.hamaxpow)
        where = f"[guest] ipa_bits = {spec.guest.ipa_bits}"
        guest = spec.guest
        space = Gmap(host, guest.ipa_bits, guest.allow_1m, guest.allow_2g)
        for index, slot in enumerate(spec.memslots):
            where = f"[[memslot]] {index}"
            region = host.map(slot.size + slot.hva_offset, slot.folio)  # type: ignore[arg-type]
            space.set_memory_region(
                index, slot.guest_phys_addr, slot.size, region.hva + slot.hva_offset, slot.flags
            )
    except GmapError as error:
        errno = getattr(error, "errno", None) or ConfigError("").errno
        raise SpecError(f"{spec.file}: {where}: {error}", errno) from error
    return space


def _point(space: Gmap, touched: int) -> tuple[int, ...]:
    """Return one row of a timeline."""
    s = space.stats()
    mapped = (s["linked_4k"] - s["removed_4k"]) * PAGE_SIZE
    mapped += (s["linked_1m"] - s["removed_1m"]) * SEGMENT_PAGES * PAGE_SIZE
    mapped += (s["linked_2g"] - s["removed_2g"]) * REGION3_PAGES * PAGE_SIZE
    return touched, s["major"], s["minor"], mapped, s["table_bytes"]
