"""What other pages, other slots and another guest size would change. Floor 4."""

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gmap._defs import PT_BITS
from gmap.ipa import gmap_type
from gmap.layout._geometries import arm64_stage2_geometry, gmap_geometry
from gmap.layout._model import Geometry
from gmap.layout._spans import choose_leaves, leaf_ranges, merge_runs
from gmap.profiling._costs import cost_row, round_out, size_name
from gmap.profiling._sources import Source

__all__ = ["blocks", "ipa_sizes", "is_gmap", "is_stage2", "page_sizes", "slots"]

U64: TypeAlias = NDArray[np.uint64]
Ranges: TypeAlias = NDArray[np.void]

_IPA_BITS: Final = (32, 36, 40, 42, 44, 48, 52, 54)
_ARM64_IPA_MAX: Final = 52
_ONE: Final = np.uint64(1)


def is_gmap(geometry: Geometry) -> bool:
    """Whether these are s390 tables."""
    return geometry.levels[0].bits == PT_BITS


def is_stage2(geometry: Geometry) -> bool:
    """Whether these are arm64 stage-2 tables, whose levels have numbers for names."""
    return all(level.name.isdecimal() for level in geometry.levels)


def large_heights(geometry: Geometry) -> list[int]:
    """Heights above 0 whose entries may map memory."""
    return [height for height, level in enumerate(geometry.levels) if level.leaf and height]


# --- why a block is no large page -------------------------------------------------------------


def blocks(source: Source) -> list[dict[str, Any]]:
    """For each large size: the blocks that hold mapped memory, and what each would need.

    The first that applies counts: the block is mapped by such an entry or a larger one
    (`large`), reaches out of its slot (`slot_edge`), has guest and host addresses that differ
    modulo its size (`slot_misaligned`), is not all mapped (`partial`), lies in frames that are
    not one aligned piece (`fragmented`); else only the host's folios or the guest's settings
    keep it from being one (`possible`). Without slots or frames the rules on them are not
    looked at.
    """
    geometry = source.layout.geometry
    leaves = source.leaves()
    start, size, delta = source.frame_runs()
    return [
        {
            "name": size_name(1 << geometry.levels[height].shift),
            "block_bytes": 1 << geometry.levels[height].shift,
            **_classify(source, start, size, delta, leaves, geometry.levels[height].shift, height),
        }
        for height in large_heights(geometry)
    ]


def _classify(
    source: Source,
    start: U64,
    size: U64,
    delta: U64 | None,
    leaves: Ranges,
    shift: int,
    height: int,
) -> dict[str, int]:
    unit = np.uint64(1 << shift)
    low = unit - _ONE
    large = int((leaves["size"][leaves["height"] >= height] >> np.uint64(shift)).sum())
    # Blocks one run covers, counted run by run; the pieces of all others, one by one.
    first = (start + low) & ~low
    last = (start + size) & ~low
    whole = (last > first) & (first >= start)
    n_whole = np.where(whole, (last - first) >> np.uint64(shift), np.uint64(0))
    aligned = np.ones(len(start), np.bool_) if delta is None else (delta & low) == 0
    fits, offset = _slot_facts(source, start, size, low)
    counts = {
        "large": large,
        "slot_edge": 0,
        "slot_misaligned": int(n_whole[~fits].sum()),
        "partial": 0,
        "fragmented": int(n_whole[fits & ~aligned].sum()),
        "possible": int(n_whole[fits & aligned].sum()) - large,
    }
    block, filled, run = _pieces(start, size, shift)
    if len(block):
        at = np.flatnonzero(np.concatenate([[True], block[1:] != block[:-1]]))
        total = np.add.reduceat(filled, at)
        run, block = run[at], block[at]
        outside = np.zeros(len(at), np.bool_)
        if source.slots:
            slot_start, slot_size, _ = source.slot_runs()
            begin = block << np.uint64(shift)
            room = slot_size[offset[run]]
            inner = begin - slot_start[offset[run]]
            outside = (begin < slot_start[offset[run]]) | (inner + low >= room)
        misaligned = ~outside & ~fits[run]
        partial = ~outside & ~misaligned & (total < unit)
        counts["slot_edge"] += int(np.count_nonzero(outside))
        counts["slot_misaligned"] += int(np.count_nonzero(misaligned))
        counts["partial"] += int(np.count_nonzero(partial))
        counts["fragmented"] += int(np.count_nonzero(~outside & ~misaligned & ~partial))
    return {"blocks": sum(counts.values()), **counts}


def _slot_facts(source: Source, start: U64, size: U64, low: np.uint64) -> tuple[Any, Any]:
    """For each run: whether its slot has both addresses alike modulo a size, and which it is."""
    if not source.slots:
        return np.ones(len(start), np.bool_), np.zeros(len(start), np.intp)
    slot_start, _, slot_delta = source.slot_runs()
    slot = np.maximum(np.searchsorted(slot_start, start, side="right") - 1, 0)
    return (slot_delta[slot] & low) == 0, slot


def _pieces(start: U64, size: U64, shift: int) -> tuple[U64, U64, NDArray[np.intp]]:
    """Pieces of runs that do not fill their block: block, bytes, run; ascending by block."""
    unit = np.uint64(1 << shift)
    low = unit - _ONE
    final = start + (size - _ONE)
    first, last = start >> np.uint64(shift), final >> np.uint64(shift)
    index = np.arange(len(start))
    one = (first == last) & (size < unit)
    head = (first < last) & (start & low != 0)
    tail = (first < last) & (final & low != low)
    block = np.concatenate([first[one], first[head], last[tail]])
    filled = np.concatenate([size[one], unit - (start[head] & low), (final[tail] & low) + _ONE])
    run = np.concatenate([index[one], index[head], index[tail]])
    order = np.argsort(block, kind="stable")
    return block[order], filled[order], run[order]


# --- other pages ------------------------------------------------------------------------------


def page_sizes(source: Source, tables: list[int]) -> list[dict[str, Any]]:
    """Return the costs of the same memory in other page sizes; the first row is how it is."""
    geometry = source.layout.geometry
    edges = source.edges()
    start, size, delta = source.frame_runs()
    rows = [cost_row("as it is", geometry, source.leaves(), tables=tables)]

    def add(name: str, leaves: Ranges) -> None:
        rows.append(cost_row(name, geometry, leaves, edges=edges))

    add(f"{size_name(1 << geometry.levels[0].shift)} only", leaf_ranges(start, size, 0))
    for height in large_heights(geometry):
        name = size_name(1 << geometry.levels[height].shift)
        if delta is None:
            add(f"{name} where addresses allow", choose_leaves(
                geometry, start, size, largest=height))  # fmt: skip
            continue
        add(f"{name} where the frames allow", choose_leaves(
            geometry, start, size, delta, largest=height))  # fmt: skip
        if not source.slots:
            continue
        slot_start, _, slot_delta = source.slot_runs()
        run_start, run_size, _ = source.cut(*merge_runs(start, size))
        slot = np.searchsorted(slot_start, run_start, side="right") - 1
        add(f"{name}, host not fragmented", choose_leaves(
            geometry, run_start, run_size, slot_delta[slot], largest=height))  # fmt: skip
        add(f"{name}, and slots aligned", choose_leaves(
            geometry, run_start, run_size, largest=height))  # fmt: skip
        wide = _whole_blocks(source, start, size, 1 << geometry.levels[height].shift)
        add(f"{name}, and touched blocks whole", choose_leaves(geometry, *wide, largest=height))
    return rows


def _whole_blocks(source: Source, start: U64, size: U64, unit: int) -> tuple[U64, U64]:
    """Runs widened to whole blocks as far as the slots go."""
    first, wide, _ = merge_runs(*round_out(start, size, unit))
    slot_start, slot_size, _ = source.slot_runs()
    begins, sizes = [], []
    for low, high in zip(slot_start, slot_start + slot_size, strict=True):
        i = int(np.searchsorted(first + wide, low, side="right"))
        j = int(np.searchsorted(first, high, side="left"))
        begin = np.maximum(first[i:j], low)
        begins.append(begin)
        sizes.append(np.minimum(first[i:j] + wide[i:j], high) - begin)
    return np.concatenate(begins), np.concatenate(sizes)


# --- slots and guest sizes --------------------------------------------------------------------


def slots(source: Source) -> list[dict[str, Any]]:
    """Describe the slots and the largest page their alignment allows."""
    geometry = source.layout.geometry
    result = []
    for slot in source.slots:
        apart = (slot.guest_phys_addr ^ slot.userspace_addr) or 1 << 63
        alignment = apart & -apart
        possible = [
            1 << level.shift
            for level in geometry.levels
            if level.leaf and 1 << level.shift <= min(alignment, slot.memory_size)
        ]
        result.append(
            {
                "slot": slot.slot,
                "guest_phys_addr": slot.guest_phys_addr,
                "slot_bytes": slot.memory_size,
                "userspace_addr": slot.userspace_addr,
                "flags": int(slot.flags),
                "alignment_bytes": alignment,
                "largest_page": size_name(max(possible, default=1 << geometry.levels[0].shift)),
            }
        )
    return result


def ipa_sizes(source: Source) -> list[dict[str, Any]]:
    """Return the costs of the same leaves in guests of other sizes."""
    geometry = source.layout.geometry
    leaves, edges = source.leaves(), source.edges()
    end = max(
        [int(s["start"]) + int(s["size"]) for s in leaves[-1:]]
        + [s.guest_phys_addr + s.memory_size for s in source.slots],
        default=0,
    )
    rows = []
    for bits in _IPA_BITS:
        if end > 1 << bits:
            continue
        if is_gmap(geometry):
            other = gmap_geometry(gmap_type(bits))
        elif is_stage2(geometry) and bits <= _ARM64_IPA_MAX:
            other = arm64_stage2_geometry(bits, 1 << geometry.levels[0].shift)
        else:
            continue
        if len(leaves) and not _representable(other, leaves):
            continue
        row = cost_row(f"{bits} bits", other, leaves, edges=edges)
        rows.append({"ipa_bits": bits, "now": bits == source.ipa_bits, **row})
    return rows


def _representable(geometry: Geometry, leaves: Ranges) -> bool:
    """Whether a geometry has leaves of all these heights."""
    top = int(leaves["height"].max())
    return top < geometry.depth and geometry.levels[top].leaf
