# Types of `_ipa.pyx`, whose docstrings are the manual.
#
# Each function has an overload for integers, one for arrays, and, where an option may be an
# array as well, one that cannot tell which it will be.
from typing import Final, Literal, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from gmap._arguments import _Array, _Either, _Errors, _Int
from gmap._defs import Level

__all__ = [
    "DAT_LEVELS",
    "REVISIONS",
    "VM_LIMITS",
    "asce_control_bits",
    "asce_last_address",
    "cap_ipa_size",
    "fault_limit",
    "gmap_type",
    "guest_phys_size",
    "ipa_limit",
    "ipa_shift",
    "max_guest_address",
    "msl_intercept",
    "slot_fits",
    "table_bytes",
    "table_type",
    "vm_limits",
]

_Revision: TypeAlias = Literal["v1", "v4", "queued", "sysreg"]
_Meaning: TypeAlias = Literal["exclusive", "inclusive", "block"]

REVISIONS: Final[tuple[str, ...]]
VM_LIMITS: Final[np.dtype[np.void]]
DAT_LEVELS: Final[NDArray[np.void]]

# --- the VM type and the host ---------------------------------------------------------------

@overload
def ipa_shift(vm_type: _Int, *, ipa_limit: _Int = 48, errors: _Errors = "raise") -> int: ...
@overload
def ipa_shift(
    vm_type: _Array, *, ipa_limit: _Either = 48, errors: _Errors = "raise"
) -> NDArray[np.int32]: ...
@overload
def ipa_shift(
    vm_type: _Either, *, ipa_limit: _Either = 48, errors: _Errors = "raise"
) -> int | NDArray[np.int32]: ...
@overload
def guest_phys_size(shift: _Int, *, revision: _Revision = "queued") -> int: ...
@overload
def guest_phys_size(shift: _Array, *, revision: _Revision = "queued") -> NDArray[np.uint64]: ...
@overload
def max_guest_address(
    hamaxpow: _Int, *, revision: _Revision = "queued", pa_range: _Int | None = None
) -> int: ...
@overload
def max_guest_address(
    hamaxpow: _Array, *, revision: _Revision = "queued", pa_range: _Either | None = None
) -> NDArray[np.uint64]: ...
@overload
def max_guest_address(
    hamaxpow: _Either, *, revision: _Revision = "queued", pa_range: _Either | None = None
) -> int | NDArray[np.uint64]: ...
@overload
def ipa_limit(
    hamaxpow: _Int, *, revision: _Revision = "queued", pa_range: _Int | None = None
) -> int: ...
@overload
def ipa_limit(
    hamaxpow: _Array, *, revision: _Revision = "queued", pa_range: _Either | None = None
) -> NDArray[np.uint32]: ...
@overload
def ipa_limit(
    hamaxpow: _Either, *, revision: _Revision = "queued", pa_range: _Either | None = None
) -> int | NDArray[np.uint32]: ...
@overload
def cap_ipa_size(
    hamaxpow: _Int, *, revision: _Revision = "queued", pa_range: _Int | None = None
) -> int: ...
@overload
def cap_ipa_size(
    hamaxpow: _Array, *, revision: _Revision = "queued", pa_range: _Either | None = None
) -> NDArray[np.int32]: ...
@overload
def cap_ipa_size(
    hamaxpow: _Either, *, revision: _Revision = "queued", pa_range: _Either | None = None
) -> int | NDArray[np.int32]: ...

# --- the gmap's table type ------------------------------------------------------------------

@overload
def table_type(limit_gfns: _Int) -> Level: ...
@overload
def table_type(limit_gfns: _Array) -> NDArray[np.int8]: ...
@overload
def gmap_type(ipa_bits: _Int, *, revision: _Revision = "queued") -> Level: ...
@overload
def gmap_type(ipa_bits: _Array, *, revision: _Revision = "queued") -> NDArray[np.int8]: ...
@overload
def asce_control_bits(table_type: _Int) -> int: ...
@overload
def asce_control_bits(table_type: _Array) -> NDArray[np.uint64]: ...
@overload
def asce_last_address(table_type: _Int) -> int: ...
@overload
def asce_last_address(table_type: _Array) -> NDArray[np.uint64]: ...

# --- limits of a VM -------------------------------------------------------------------------

@overload
def vm_limits(
    ipa_bits: _Int,
    *,
    hamaxpow: _Int = 48,
    revision: _Revision = "queued",
    pa_range: _Int | None = None,
) -> np.void: ...
@overload
def vm_limits(
    ipa_bits: _Array,
    *,
    hamaxpow: _Either = 48,
    revision: _Revision = "queued",
    pa_range: _Either | None = None,
) -> NDArray[np.void]: ...
@overload
def vm_limits(
    ipa_bits: _Either,
    *,
    hamaxpow: _Either = 48,
    revision: _Revision = "queued",
    pa_range: _Either | None = None,
) -> np.void | NDArray[np.void]: ...
@overload
def slot_fits(
    base_gpa: _Int,
    nbytes: _Int,
    *,
    ipa_bits: _Int,
    hamaxpow: _Int = 48,
    revision: _Revision = "queued",
    pa_range: _Int | None = None,
) -> int: ...
@overload
def slot_fits(
    base_gpa: _Array,
    nbytes: _Either,
    *,
    ipa_bits: _Either,
    hamaxpow: _Either = 48,
    revision: _Revision = "queued",
    pa_range: _Either | None = None,
) -> NDArray[np.int32]: ...
@overload
def slot_fits(
    base_gpa: _Either,
    nbytes: _Array,
    *,
    ipa_bits: _Either,
    hamaxpow: _Either = 48,
    revision: _Revision = "queued",
    pa_range: _Either | None = None,
) -> NDArray[np.int32]: ...
@overload
def slot_fits(
    base_gpa: _Either,
    nbytes: _Either,
    *,
    ipa_bits: _Either,
    hamaxpow: _Either = 48,
    revision: _Revision = "queued",
    pa_range: _Either | None = None,
) -> int | NDArray[np.int32]: ...
@overload
def fault_limit(
    ipa: _Int,
    *,
    ipa_bits: _Int,
    hamaxpow: _Int = 48,
    revision: _Revision = "queued",
    pa_range: _Int | None = None,
    translation: bool = True,
) -> int: ...
@overload
def fault_limit(
    ipa: _Array,
    *,
    ipa_bits: _Either,
    hamaxpow: _Either = 48,
    revision: _Revision = "queued",
    pa_range: _Either | None = None,
    translation: bool = True,
) -> NDArray[np.int32]: ...
@overload
def fault_limit(
    ipa: _Either,
    *,
    ipa_bits: _Either,
    hamaxpow: _Either = 48,
    revision: _Revision = "queued",
    pa_range: _Either | None = None,
    translation: bool = True,
) -> int | NDArray[np.int32]: ...
@overload
def msl_intercept(ipa: _Int, msl: _Int, *, meaning: _Meaning = "exclusive") -> int: ...
@overload
def msl_intercept(
    ipa: _Array, msl: _Either, *, meaning: _Meaning = "exclusive"
) -> NDArray[np.int32]: ...
@overload
def msl_intercept(
    ipa: _Either, msl: _Array, *, meaning: _Meaning = "exclusive"
) -> NDArray[np.int32]: ...

# --- table memory ---------------------------------------------------------------------------

@overload
def table_bytes(nbytes: _Int, ipa_bits: _Int, *, revision: _Revision = "queued") -> int: ...
@overload
def table_bytes(
    nbytes: _Array, ipa_bits: _Either, *, revision: _Revision = "queued"
) -> NDArray[np.uint64]: ...
@overload
def table_bytes(
    nbytes: _Either, ipa_bits: _Array, *, revision: _Revision = "queued"
) -> NDArray[np.uint64]: ...
