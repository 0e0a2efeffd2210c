"""Native arm64, to compare s390 with: limit on guest sizes, stage-2 tables, VTCR_EL2. Floor 0.

Fact sheet ipa.md sections 6 and 7. The rules themselves are in `_native.pxd`; what the functions
share in arguments, answers and errors is explained in `ipa.py`.
"""

cimport cython
from libc.stdint cimport int32_t, uint64_t

import numpy as np

from gmap._arguments cimport answer, as_integers, as_integers_within, plain, records, refuse
from gmap._ipa cimport MIN_IPA_BITS, PARANGE_52, PARANGE_BITS

__all__ = [
    "STAGE2_GEOMETRY",
    "VTCR_FIELDS",
    "decode_vtcr",
    "native_ipa_limit",
    "stage2_geometry",
    "vtcr_el2",
]

#: The shape of native stage-2 tables (`stage2_geometry`). `granule` and `pgd_bytes` are bytes;
#: `start_index_bits` is what the start level resolves, all its `concatenated` tables together.
STAGE2_GEOMETRY = np.dtype([
    ("ipa_bits", np.int64),
    ("granule", np.int64),
    ("levels", np.int64),
    ("start_level", np.int64),
    ("start_index_bits", np.int64),
    ("concatenated", np.int64),
    ("pgd_bytes", np.int64),
])

#: First bit and width of each field of VTCR_EL2 that KVM sets.
VTCR_FIELDS = {
    "t0sz": (VTCR_T0SZ_SHIFT, 6),
    "sl0": (VTCR_SL0_SHIFT, 2),
    "irgn0": (VTCR_IRGN0_SHIFT, 2),
    "orgn0": (VTCR_ORGN0_SHIFT, 2),
    "sh0": (VTCR_SH0_SHIFT, 2),
    "tg0": (VTCR_TG0_SHIFT, 2),
    "ps": (VTCR_PS_SHIFT, 3),
    "vs": (VTCR_VS_SHIFT, 1),
    "ha": (VTCR_HA_SHIFT, 1),
    "res1": (VTCR_RES1_SHIFT, 1),
    "ds": (VTCR_DS_SHIFT, 1),
}


# --- the rules as NumPy loops, which release the GIL ----------------------------------------

@cython.ufunc
cdef int32_t _granule_shift(uint64_t granule) noexcept nogil:
    return granule_shift(granule)


@cython.ufunc
cdef int32_t _native_limit(
    uint64_t parange, uint64_t page_shift, uint64_t lpa2, uint64_t tgran_2
) noexcept nogil:
    return native_limit(parange, <int>page_shift, lpa2 != 0, tgran_2)


@cython.ufunc
cdef int32_t _stage2_levels(uint64_t ipa_bits, uint64_t page_shift) noexcept nogil:
    return stage2_levels(<int>ipa_bits, <int>page_shift)


@cython.ufunc
cdef int32_t _stage2_start_bits(uint64_t ipa_bits, uint64_t page_shift) noexcept nogil:
    return stage2_start_bits(<int>ipa_bits, <int>page_shift)


@cython.ufunc
cdef int32_t _stage2_concatenated(uint64_t ipa_bits, uint64_t page_shift) noexcept nogil:
    return stage2_concatenated(<int>ipa_bits, <int>page_shift)


@cython.ufunc
cdef uint64_t _vtcr_value(
    uint64_t ipa_bits, uint64_t page_shift, uint64_t parange, uint64_t vmid16, uint64_t hw_af,
    uint64_t lpa2
) noexcept nogil:
    return vtcr_value(<int>ipa_bits, <int>page_shift, parange, vmid16 != 0, hw_af != 0, lpa2 != 0)


# --- guards ---------------------------------------------------------------------------------

def _page_shift(value, what):
    """Log2 of a granule given in bytes."""
    granule = as_integers(value, what)
    shift = _granule_shift(granule)
    refuse(shift < 0, lambda n: f"{what} {n}: use 4096, 16384 or 65536", (granule,))
    return shift.astype(np.uint64)


def _ipa_bits(value):
    """Log2 of a guest size, no more than the widest PARange."""
    return as_integers_within(value, "ipa_bits", MIN_IPA_BITS, PARANGE_BITS[PARANGE_52])


# --- the limit and the tables ---------------------------------------------------------------

def native_ipa_limit(
    parange, *, page_size=4096, lpa2=False, tgran_stage2=0, errors="raise"
):
    """Bits of the largest guest on a native arm64 host.

    Parameters
    ----------
    parange : int or array of int
        The PARange field of ID_AA64MMFR0_EL1, 0 to 15; values above 6 count as 6, 52 bits.
    page_size : int or array of int
        The host kernel's, in bytes: 4096, 16384 or 65536.
    lpa2 : bool
        The host has FEAT_LPA2 in use: 52 bits with 4 and 16 KiB pages. 64 KiB pages do not
        need it.
    tgran_stage2 : int or array of int
        The field TGRAN4_2, TGRAN16_2 or TGRAN64_2 that belongs to `page_size`, 0 to 15.
    errors : {"raise", "status"}
        Whether a host without such pages at stage 2 raises, or is -EINVAL in the result.

    Returns
    -------
    int or numpy.ndarray of int32

    Raises
    ------
    ConfigError
        KVM would not start, for stage 2 has no such pages; or no host has this `page_size`.
    AddressError, AddressTypeError
        Not an unsigned integer of 4 bits (`page_size`: 64).

    Notes
    -----
    ipa.md section 6. The fact sheet leaves the field's values open: 1 is none, 0 defers to the
    stage-1 field and is accepted as is, 2 to 7 are support, the rest is unknown and refused.
    Kernels built before 52-bit physical addresses became unconditional reached 52 bits with
    64 KiB pages only if configured so.

    >>> native_ipa_limit(5), native_ipa_limit(6), native_ipa_limit(6, lpa2=True)
    (48, 48, 52)
    >>> native_ipa_limit([0, 2, 6], page_size=65536)
    array([32, 40, 52], dtype=int32)
    """
    fields = as_integers(tgran_stage2, "tgran_stage2", 15)
    pages = _page_shift(page_size, "page_size")
    limit = _native_limit(
        as_integers(parange, "parange", 15), pages, np.uint64(bool(lpa2)), fields)
    return answer(
        limit, errors,
        lambda field, shift: f"tgran_stage2 {field}: stage 2 has no pages of {1 << shift} bytes, "
                             "so KVM does not start; use 0 or 2 to 7, or another page_size",
        (fields, pages),
    )


def stage2_geometry(ipa_bits, granule=4096):
    """The shape of native stage-2 tables.

    Parameters
    ----------
    ipa_bits : int or array of int
        Log2 of the guest size, 32 to 52; more than 48 takes LPA2 or 64 KiB pages.
    granule : int or array of int
        Page size in bytes: 4096, 16384 or 65536.

    Returns
    -------
    numpy.void or numpy.ndarray
        One `STAGE2_GEOMETRY` record, or an array of them.

    Raises
    ------
    ConfigError
        Another size, or no such granule.
    AddressError, AddressTypeError
        Not an unsigned integer of 64 bits.

    Notes
    -----
    ipa.md section 7. Up to 16 tables stand side by side at the start level, so that it can
    resolve four bits more than one table would.

    >>> shape = stage2_geometry(40)
    >>> int(shape["levels"]), int(shape["concatenated"]), int(shape["pgd_bytes"])
    (3, 2, 8192)
    >>> stage2_geometry([32, 44, 48], 4096)["start_level"]
    array([2, 0, 0])
    """
    bits = _ipa_bits(ipa_bits)
    pages = _page_shift(granule, "granule")
    size = np.uint64(1) << pages
    levels = _stage2_levels(bits, pages)
    concatenated = _stage2_concatenated(bits, pages)
    return records(STAGE2_GEOMETRY, {
        "ipa_bits": bits,
        "granule": size,
        "levels": levels,
        "start_level": 4 - levels,
        "start_index_bits": _stage2_start_bits(bits, pages),
        "concatenated": concatenated,
        "pgd_bytes": concatenated * size.astype(np.int64),
    })


def vtcr_el2(ipa_bits, granule=4096, *, parange, vmid16=False, hw_af=False, lpa2=False):
    """VTCR_EL2 as native KVM sets it for a VM.

    Parameters
    ----------
    ipa_bits : int or array of int
        Log2 of the guest size, 32 to what `native_ipa_limit` allows.
    granule : int or array of int
        Page size in bytes: 4096, 16384 or 65536.
    parange : int or array of int
        The PARange field of ID_AA64MMFR0_EL1, 0 to 15.
    vmid16 : bool
        The host has 16-bit VMIDs.
    hw_af : bool
        The kernel lets hardware manage the access flag.
    lpa2 : bool
        The host has FEAT_LPA2 in use; no effect with 64 KiB pages.

    Returns
    -------
    int or numpy.ndarray of uint64

    Raises
    ------
    ConfigError
        A size this host does not allow, or no such granule.
    AddressError, AddressTypeError
        Not an unsigned integer of 64 bits (`parange`: 4).

    Notes
    -----
    ipa.md section 7. The fact sheet sets DS for 52-bit guests; KVM sets it for every guest of
    a host with LPA2, because it changes the format of the tables.

    >>> hex(vtcr_el2(40, parange=5, vmid16=True, hw_af=True))
    '0x802d3558'
    >>> hex(vtcr_el2(52, parange=6, lpa2=True))
    '0x18006358c'
    """
    bits = _ipa_bits(ipa_bits)
    pages = _page_shift(granule, "granule")
    field = as_integers(parange, "parange", 15)
    large = np.uint64(bool(lpa2))
    limit = _native_limit(field, pages, large, np.uint64(0))
    refuse(bits > limit,
           lambda n, most: f"ipa_bits {n}: this host's limit is {most}; see native_ipa_limit",
           (bits, limit))
    return plain(_vtcr_value(
        bits, pages, field, np.uint64(bool(vmid16)), np.uint64(bool(hw_af)), large))


def decode_vtcr(value):
    """The fields of a VTCR_EL2, by name.

    Parameters
    ----------
    value : int or array of int
        The register, 64 bits.

    Returns
    -------
    dict of str to int or to numpy.ndarray of uint64
        The fields of `VTCR_FIELDS`, and under "other" the bits that belong to none, in place.

    Raises
    ------
    AddressError, AddressTypeError
        Not an unsigned integer of 64 bits.

    Notes
    -----
    ipa.md section 7.

    >>> fields = decode_vtcr(0x802d3558)
    >>> 64 - fields["t0sz"], fields["sl0"], fields["ps"], fields["other"]
    (40, 1, 5, 0)
    """
    values = other = as_integers(value, "value")
    fields = {}
    for name, (first, width) in VTCR_FIELDS.items():
        mask = np.uint64((1 << width) - 1)
        fields[name] = plain(values >> np.uint64(first) & mask)
        other = other & ~(mask << np.uint64(first))
    fields["other"] = plain(other)
    return fields
