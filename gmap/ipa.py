"""How large guest memory can be and what its tables cost: on s390, and on native arm64.

>>> from gmap import ipa
>>> ipa.ipa_shift(40, ipa_limit=ipa.ipa_limit(44))
40
>>> ipa.gmap_type([32, 40, 44, 54])
array([1, 1, 2, 3], dtype=int8)
>>> ipa.slot_fits(1 << 40, 1 << 30, ipa_bits=40, hamaxpow=44)
-22
>>> ipa.table_bytes(1 << 40, 40) / 2**40 < 0.004
True
>>> int(ipa.stage2_geometry(40)["levels"])
3

The s390 side is what a host offers (`max_guest_address`, `ipa_limit`, `cap_ipa_size`), what a
VM asks for (`ipa_shift`, `guest_phys_size`), the tables it gets (`gmap_type`, `table_type`,
`asce_control_bits`, `asce_last_address`, `DAT_LEVELS`, `table_bytes`) and where its memory ends
(`vm_limits`, `slot_fits`, `fault_limit`, `msl_intercept`). Native arm64 is there to compare it
with: `native_ipa_limit`, `stage2_geometry`, `vtcr_el2` and `decode_vtcr`.

Every function takes integers or integer arrays, which broadcast against each other (or raise
NumPy's ValueError). Integers give a plain int or one record, arrays an array of the same values.
What is no unsigned integer of the width an argument has raises AddressError or
AddressTypeError; any other value that is refused raises ConfigError, whose `errno` is EINVAL and
which, for arrays, names the first one and counts them.

The kernel series exists in several revisions, and `revision=` chooses one of `REVISIONS`:

* ``"v1"``: v1 and v2 as posted.
* ``"v4"``: v3 and v4.
* ``"queued"``: the maintainers' tree. The default everywhere: the newest revision that asks
  for no input besides `hamaxpow`.
* ``"sysreg"``: the system-register series on top of it. It needs `pa_range` as well, and
  because nothing can stand in for that it is never chosen unasked.

Bugs of a revision are modelled only where that revision is asked for.
"""

from gmap._ipa import (
    DAT_LEVELS,
    REVISIONS,
    VM_LIMITS,
    asce_control_bits,
    asce_last_address,
    cap_ipa_size,
    fault_limit,
    gmap_type,
    guest_phys_size,
    ipa_limit,
    ipa_shift,
    max_guest_address,
    msl_intercept,
    slot_fits,
    table_bytes,
    table_type,
    vm_limits,
)
from gmap._native import (
    STAGE2_GEOMETRY,
    VTCR_FIELDS,
    decode_vtcr,
    native_ipa_limit,
    stage2_geometry,
    vtcr_el2,
)

__all__ = [
    "DAT_LEVELS",
    "REVISIONS",
    "STAGE2_GEOMETRY",
    "VM_LIMITS",
    "VTCR_FIELDS",
    "asce_control_bits",
    "asce_last_address",
    "cap_ipa_size",
    "decode_vtcr",
    "fault_limit",
    "gmap_type",
    "guest_phys_size",
    "ipa_limit",
    "ipa_shift",
    "max_guest_address",
    "msl_intercept",
    "native_ipa_limit",
    "slot_fits",
    "stage2_geometry",
    "table_bytes",
    "table_type",
    "vm_limits",
    "vtcr_el2",
]
