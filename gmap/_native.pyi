# Types of `_native.pyx`, whose docstrings are the manual; the overloads are as in `_ipa.pyi`.
from typing import Final, overload

import numpy as np
from numpy.typing import NDArray

from gmap._arguments import _Array, _Either, _Errors, _Int

__all__ = [
    "STAGE2_GEOMETRY",
    "VTCR_FIELDS",
    "decode_vtcr",
    "native_ipa_limit",
    "stage2_geometry",
    "vtcr_el2",
]

STAGE2_GEOMETRY: Final[np.dtype[np.void]]
VTCR_FIELDS: Final[dict[str, tuple[int, int]]]

VTCR_T0SZ_SHIFT: Final[int]
VTCR_SL0_SHIFT: Final[int]
VTCR_IRGN0_SHIFT: Final[int]
VTCR_ORGN0_SHIFT: Final[int]
VTCR_SH0_SHIFT: Final[int]
VTCR_TG0_SHIFT: Final[int]
VTCR_PS_SHIFT: Final[int]
VTCR_VS_SHIFT: Final[int]
VTCR_HA_SHIFT: Final[int]
VTCR_RES1_SHIFT: Final[int]
VTCR_DS_SHIFT: Final[int]
VTCR_RGN_WBWA: Final[int]
VTCR_SH_INNER: Final[int]
VTCR_TG0_4K: Final[int]
VTCR_TG0_64K: Final[int]
VTCR_TG0_16K: Final[int]

@overload
def native_ipa_limit(
    parange: _Int,
    *,
    page_size: _Int = 4096,
    lpa2: bool = False,
    tgran_stage2: _Int = 0,
    errors: _Errors = "raise",
) -> int: ...
@overload
def native_ipa_limit(
    parange: _Array,
    *,
    page_size: _Either = 4096,
    lpa2: bool = False,
    tgran_stage2: _Either = 0,
    errors: _Errors = "raise",
) -> NDArray[np.int32]: ...
@overload
def native_ipa_limit(
    parange: _Either,
    *,
    page_size: _Either = 4096,
    lpa2: bool = False,
    tgran_stage2: _Either = 0,
    errors: _Errors = "raise",
) -> int | NDArray[np.int32]: ...
@overload
def stage2_geometry(ipa_bits: _Int, granule: _Int = 4096) -> np.void: ...
@overload
def stage2_geometry(ipa_bits: _Array, granule: _Either = 4096) -> NDArray[np.void]: ...
@overload
def stage2_geometry(ipa_bits: _Either, granule: _Array) -> NDArray[np.void]: ...
@overload
def vtcr_el2(
    ipa_bits: _Int,
    granule: _Int = 4096,
    *,
    parange: _Int,
    vmid16: bool = False,
    hw_af: bool = False,
    lpa2: bool = False,
) -> int: ...
@overload
def vtcr_el2(
    ipa_bits: _Array,
    granule: _Either = 4096,
    *,
    parange: _Either,
    vmid16: bool = False,
    hw_af: bool = False,
    lpa2: bool = False,
) -> NDArray[np.uint64]: ...
@overload
def vtcr_el2(
    ipa_bits: _Either,
    granule: _Either = 4096,
    *,
    parange: _Either,
    vmid16: bool = False,
    hw_af: bool = False,
    lpa2: bool = False,
) -> int | NDArray[np.uint64]: ...
@overload
def decode_vtcr(value: _Int) -> dict[str, int]: ...
@overload
def decode_vtcr(value: _Array) -> dict[str, NDArray[np.uint64]]: ...
