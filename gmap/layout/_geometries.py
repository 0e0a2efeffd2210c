"""The geometries of the address spaces this project knows. Floor 4.

s390 tables come from the constants of `gmap._defs`, native stage 2 from `gmap.ipa`; a stage 1 is
counted out here. Sources: fact sheets dat-gmap.md section 1, ipa.md section 7, ptdump.md
sections 2 to 4; public VMSAv8-64 rules for block sizes.
"""

import operator
from typing import Final, SupportsIndex

from gmap import ipa
from gmap._defs import (
    CRST_BITS,
    CRST_BYTES,
    PAGE_SHIFT,
    PT_BITS,
    PT_BYTES,
    PT_ENTRIES,
    REGION1_SHIFT,
    REGION2_SHIFT,
    REGION3_SHIFT,
    SEGMENT_SHIFT,
    Level,
)
from gmap.errors import AddressTypeError, ConfigError
from gmap.layout._model import Geometry, TableLevel

__all__ = [
    "arm64_stage1_geometry",
    "arm64_stage2_geometry",
    "gmap_geometry",
    "s390_geometry",
]

_CRST_SHIFTS: Final = (SEGMENT_SHIFT, REGION3_SHIFT, REGION2_SHIFT, REGION1_SHIFT)
_TABLES: Final = ("segment", "region-3", "region-2", "region-1")
_GMAP_NAMES: Final = ("PTE", "SEG", "RG3", "RG2", "RG1")
# What the kernels' dumps call their levels, from the bottom.
_S390_NAMES: Final = ("PTE", "PMD", "PUD", "PGD", "ASCE")
_ARM64_NAMES: Final = ("PTE", "PMD", "PUD", "P4D")

# Granule: log2 of it, and how many levels from the bottom may map memory, as Linux uses them:
# blocks of 2 MiB and 1 GiB, of 32 MiB, of 512 MiB. Larger ones need 52-bit addresses.
_GRANULES: Final = {4096: (12, 3), 16384: (14, 2), 65536: (16, 2)}
_ARM64_LAST_LEVEL: Final = 3
_VA_BITS_MAX: Final = 52


def _s390(name: str, asce_type: SupportsIndex, names: tuple[str, ...], pt_bytes: int) -> Geometry:
    try:
        top = Level(operator.index(asce_type))
    except (TypeError, ValueError):
        top = Level.PAGE
    if top == Level.PAGE:
        raise ConfigError(f"asce_type {asce_type!r}: use 0 (segment) to 3 (region-1)")
    levels = [TableLevel(names[0], PAGE_SHIFT, PT_BITS, pt_bytes, leaf=True)]
    for level in range(top + 1):
        levels.append(
            TableLevel(
                names[level + 1],
                _CRST_SHIFTS[level],
                CRST_BITS,
                CRST_BYTES,
                leaf=level <= Level.REGION3,
            )
        )
    return Geometry(f"{name}, {_TABLES[top]} table", tuple(levels))


def gmap_geometry(asce_type: SupportsIndex) -> Geometry:
    """Return the levels of a gmap: s390 DAT tables with PGSTEs behind the PTEs.

    Parameters
    ----------
    asce_type : Level or int
        Type of the top-level table: 0 (segment table) to 3 (region-first table).

    Raises
    ------
    ConfigError
        Another type.

    >>> geometry = gmap_geometry(Level.REGION3)
    >>> [(level.name, level.shift, level.table_bytes) for level in geometry.levels]
    [('PTE', 12, 4096), ('SEG', 20, 16384), ('RG3', 31, 16384)]
    """
    return _s390("s390 gmap", asce_type, _GMAP_NAMES, PT_BYTES)


def s390_geometry(asce_type: SupportsIndex) -> Geometry:
    """Return the levels of an s390 kernel's own tables, under the names its dump uses.

    Parameters
    ----------
    asce_type : Level or int
        As `gmap_geometry` has it. The dump's levels PGD and ASCE are region-second and
        region-first tables.

    Raises
    ------
    ConfigError
        Another type.

    >>> [level.name for level in s390_geometry(Level.REGION2).levels]
    ['PTE', 'PMD', 'PUD', 'PGD']
    """
    return _s390("s390 kernel", asce_type, _S390_NAMES, 8 * PT_ENTRIES)


def _granule(granule: SupportsIndex) -> tuple[int, int, int]:
    """Return the bytes of a granule, log2 of them, and the levels that may map memory."""
    try:
        size = operator.index(granule)
        shift, leaf_levels = _GRANULES[size]
    except TypeError:
        raise AddressTypeError(
            f"granule {granule!r} is not an integer: use 4096, 16384 or 65536"
        ) from None
    except KeyError:
        raise ConfigError(f"granule {granule!r}: use 4096, 16384 or 65536") from None
    return size, shift, leaf_levels


def _arm64(
    name: str, names: tuple[str, ...], root_bits: int, granule: SupportsIndex, root_tables: int = 1
) -> Geometry:
    size, page_shift, leaf_levels = _granule(granule)
    bits = page_shift - 3
    levels = tuple(
        TableLevel(
            level_name,
            page_shift + height * bits,
            root_bits if height == len(names) - 1 else bits,
            size,
            leaf=height < leaf_levels,
        )
        for height, level_name in enumerate(names)
    )
    return Geometry(name, levels, root_tables)


def arm64_stage2_geometry(ipa_bits: SupportsIndex, granule: SupportsIndex = 4096) -> Geometry:
    """Return the levels of a native arm64 stage 2, as KVM builds it (`gmap.ipa.stage2_geometry`).

    Parameters
    ----------
    ipa_bits : int
        Log2 of the guest size, 32 to 52.
    granule : int
        Page size in bytes: 4096, 16384 or 65536.

    Returns
    -------
    Geometry
        Levels under their architectural numbers; up to 16 root tables side by side.

    Raises
    ------
    ConfigError
        Another size or granule.

    >>> geometry = arm64_stage2_geometry(40)
    >>> [(level.name, level.shift, level.bits) for level in geometry.levels]
    [('3', 12, 9), ('2', 21, 9), ('1', 30, 9)]
    >>> geometry.root_tables
    2
    """
    size = _granule(granule)[0]
    shape = ipa.stage2_geometry(operator.index(ipa_bits), size)
    levels = int(shape["levels"])
    root_tables = int(shape["concatenated"])
    root_bits = int(shape["start_index_bits"]) - (root_tables.bit_length() - 1)
    names = tuple(str(_ARM64_LAST_LEVEL - height) for height in range(levels))
    name = f"arm64 stage 2, {size >> 10}K granule, {int(shape['ipa_bits'])}-bit IPA"
    return _arm64(name, names, root_bits, size, root_tables)


def arm64_stage1_geometry(va_bits: SupportsIndex, granule: SupportsIndex = 4096) -> Geometry:
    """Return the levels of an arm64 stage 1, under the names Linux gives them.

    Parameters
    ----------
    va_bits : int
        Width of the virtual addresses of one half: one more than log2 of the granule, up to 52.
    granule : int
        Page size in bytes: 4096, 16384 or 65536.

    Raises
    ------
    ConfigError
        Another width or granule.

    >>> geometry = arm64_stage1_geometry(48)
    >>> [(level.name, level.shift) for level in geometry.levels]
    [('PTE', 12), ('PMD', 21), ('PUD', 30), ('PGD', 39)]
    >>> arm64_stage1_geometry(42, 65536).depth
    2
    """
    size, page_shift, _ = _granule(granule)
    bits = page_shift - 3
    width = operator.index(va_bits)
    if not page_shift < width <= _VA_BITS_MAX:
        raise ConfigError(f"va_bits {width}: use {page_shift + 1} to {_VA_BITS_MAX}")
    depth = -(-(width - page_shift) // bits)
    names = (*_ARM64_NAMES[: depth - 1], "PGD")
    root_bits = width - page_shift - (depth - 1) * bits
    return _arm64(f"arm64 stage 1, {size >> 10}K granule, {width}-bit VA", names, root_bits, size)
