"""The same memory under other stage-2 tables: native arm64, and s390 for an arm64 dump. Floor 4.

Pages of 4, 16 and 64 KiB, each with pages only and with blocks. A block needs the address and,
where frames are known, the frame aligned, and all of it mapped; a granule above 4 KiB maps the
whole pages around what is mapped. Facts: ipa.md section 7.
"""

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gmap import ipa
from gmap.layout._geometries import arm64_stage2_geometry, gmap_geometry
from gmap.layout._model import Geometry
from gmap.layout._spans import choose_leaves, leaf_ranges, merge_runs
from gmap.profiling._costs import cost_row, round_out
from gmap.profiling._sources import Source
from gmap.profiling._whatif import is_gmap, is_stage2

__all__ = ["native_rows"]

U64: TypeAlias = NDArray[np.uint64]
Ranges: TypeAlias = NDArray[np.void]

_GRANULES: Final = (4096, 16384, 65536)
_MIN_BITS: Final = 32
_MAX_BITS: Final = 52
_LPA2_ABOVE: Final = 48  # bits that need LPA2 with granules below 64 KiB


def _ipa_bits(source: Source) -> int:
    """The guest's size: known, or what arm64 tables cover, or what the layout needs."""
    if source.ipa_bits is not None:
        return source.ipa_bits
    geometry = source.layout.geometry
    if is_stage2(geometry):
        root = geometry.levels[-1]
        return root.shift + root.bits + geometry.root_tables.bit_length() - 1
    leaves = source.leaves()
    end = int(leaves[-1]["start"]) + int(leaves[-1]["size"]) if len(leaves) else 1
    return max(_MIN_BITS, (end - 1).bit_length())


def native_rows(source: Source) -> list[dict[str, Any]]:
    """Return the costs under native arm64, empty for a guest above 52 bits."""
    bits = _ipa_bits(source)
    if bits > _MAX_BITS:
        return []
    start, size, delta = source.frame_runs()
    rows = [] if is_gmap(source.layout.geometry) else _gmap_rows(bits, start, size)
    for granule in _GRANULES:
        geometry = arm64_stage2_geometry(bits, granule)
        shape = ipa.stage2_geometry(bits, granule)
        lpa2 = bits > _LPA2_ABOVE and granule < 65536
        parange = next(
            p for p in range(7)
            if ipa.native_ipa_limit(p, page_size=granule, lpa2=lpa2) >= bits
        )  # fmt: skip
        vtcr = ipa.vtcr_el2(bits, granule, parange=parange, lpa2=lpa2)
        for with_blocks in (False, True):
            leaves = _leaves(geometry, start, size, delta, granule, with_blocks=with_blocks)
            name = f"arm64 {granule >> 10}K, {'blocks' if with_blocks else 'pages'}"
            rows.append(
                {
                    **cost_row(name, geometry, leaves),
                    "granule_bytes": granule,
                    "start_level": int(shape["start_level"]),
                    "root_tables": int(shape["concatenated"]),
                    "root_bytes": int(shape["pgd_bytes"]),
                    "vtcr_el2": vtcr,
                    "vtcr_fields": ipa.decode_vtcr(vtcr),
                }
            )
    return rows


def _gmap_rows(bits: int, start: U64, size: U64) -> list[dict[str, Any]]:
    """The memory of an arm64 guest in a gmap, with 4 KiB pages and with 1 MiB ones."""
    geometry = gmap_geometry(ipa.gmap_type(bits))
    return [
        cost_row(f"s390 {name}", geometry, choose_leaves(geometry, start, size, largest=largest))
        for largest, name in ((0, "4K, pages"), (1, "4K, 1M blocks"))
    ]


def _leaves(
    geometry: Geometry, start: U64, size: U64, delta: U64 | None, granule: int, *, with_blocks: bool
) -> Ranges:
    """Blocks where they fit, and whole pages around what is left."""
    largest = None if with_blocks else 0
    leaves = choose_leaves(geometry, start, size, delta, largest=largest)
    pages = leaves[leaves["height"] == 0]
    first, wide, _ = merge_runs(*round_out(pages["start"], pages["size"], granule))
    result = np.concatenate([leaf_ranges(first, wide, 0), leaves[leaves["height"] > 0]])
    return result[np.argsort(result["start"], kind="stable")]
