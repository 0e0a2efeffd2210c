"""Sizes and limits of guest memory on s390: what KVM allows, and what its tables cost. Floor 0.

Fact sheet ipa.md sections 1 to 5 and 8 to 11. The rules themselves are in `_ipa.pxd`; the
revisions, and what the functions share in arguments, answers and errors, are explained in
`ipa.py`.
"""

cimport cython
from libc.stdint cimport int8_t, int32_t, uint32_t, uint64_t as u64

import warnings

import numpy as np

from gmap._arguments cimport (
    answer, as_choice, as_integers, as_integers_within, plain, records, refuse,
)
from gmap._defs cimport LEVEL_REGION1
from gmap._geometry cimport level_shift, table_shift, type_asce_control, type_last_address

from gmap._defs import Level
from gmap.errors import ConfigError

__all__ = [
    "DAT_LEVELS", "REVISIONS", "VM_LIMITS", "asce_control_bits", "asce_last_address",
    "cap_ipa_size", "fault_limit", "gmap_type", "guest_phys_size", "ipa_limit", "ipa_shift",
    "max_guest_address", "msl_intercept", "slot_fits", "table_bytes", "table_type", "vm_limits",
]

_CODE_OF_REVISION = {
    "v1": REVISION_V1, "v4": REVISION_V4, "queued": REVISION_QUEUED, "sysreg": REVISION_SYSREG,
}
_CODE_OF_MEANING = {"exclusive": MSL_EXCLUSIVE, "inclusive": MSL_INCLUSIVE, "block": MSL_BLOCK}
# What the [AS] kernel makes of ID_AA64MMFR0_EL1.PARange; it takes anything wider for 48.
_PA_RANGES = tuple([PARANGE_BITS[field] for field in range(PARANGE_48 + 1)])

#: The revisions of the kernel series that differ here, oldest first.
REVISIONS = tuple(_CODE_OF_REVISION)

#: The limits of one VM (`vm_limits`), all bytes. `mem_limit` bounds memory slots, `msl` and `mso`
#: are fields of the SAE block, the fault limits are the first addresses refused (`fault_limit`).
VM_LIMITS = np.dtype([
    (name, np.uint64)
    for name in ("guest_phys_size", "mem_limit", "msl", "mso", "fault_limit_1", "fault_limit_2")
])


def _dat_levels():
    """The rows of `DAT_LEVELS`: a table resolves the bits from its entries' size to its own."""
    for level in sorted(Level, reverse=True):
        low, high = level_shift(level), table_shift(level)
        yield level, high - 1, low, 2 ** (high - low), 2 ** low


#: The five levels of s390 DAT tables, top first: which bits of an address index them (0 is the
#: least significant), entries of a table, bytes one entry covers (ipa.md section 8).
DAT_LEVELS = np.array(list(_dat_levels()), dtype=[
    ("level", np.int8), ("high_bit", np.int64), ("low_bit", np.int64), ("entries", np.int64),
    ("covers", np.int64),
])
DAT_LEVELS.flags.writeable = False


# --- guards ---------------------------------------------------------------------------------

def _revision(revision, pa_range):
    """Code of a revision, and the physical address bits if it is the one that asks for them."""
    code = as_choice(revision, "revision", _CODE_OF_REVISION)
    if revision != "sysreg":
        if pa_range is not None:
            raise ConfigError(f"revision {revision!r} knows no pa_range: pass revision='sysreg'")
        return code, np.uint64(0)
    if pa_range is None:
        raise ConfigError(f"revision 'sysreg' needs pa_range: pass one of {_PA_RANGES}")
    bits = as_integers(pa_range, "pa_range")
    refuse(_parange_of(bits) < 0,
           lambda n: f"pa_range {n}: use one of {_PA_RANGES}; wider ones count as 48", (bits,))
    return code, bits


def _hamaxpow(value):
    return as_integers(value, "hamaxpow", 255)


def _vm_bits(value, code):
    """Log2 of a guest size. Up to v4 a host with too small a hamaxpow lets in every byte (I4)."""
    return as_integers_within(
        value, "ipa_bits", MIN_IPA_BITS, 255 if code < REVISION_QUEUED else 63)


def _levels(result):
    return result if np.ndim(result) else Level(result)


# --- the rules as NumPy loops, which release the GIL ----------------------------------------

@cython.ufunc
cdef int32_t _parange_of(u64 pa_bits) noexcept nogil:
    return parange_of(pa_bits)


@cython.ufunc
cdef int32_t _vm_type_shift(u64 vm_type, u64 limit) noexcept nogil:
    return vm_type_shift(vm_type, limit)


@cython.ufunc
cdef u64 _power_of_two(u64 shift) noexcept nogil:
    return power_of_two(shift)


@cython.ufunc
cdef u64 _host_max_address(u64 hamaxpow, u64 pa_bits, u64 revision) noexcept nogil:
    return host_max_address(hamaxpow, pa_bits, revision)


@cython.ufunc
cdef uint32_t _host_ipa_limit(u64 hamaxpow, u64 pa_bits, u64 revision) noexcept nogil:
    return host_ipa_limit(hamaxpow, pa_bits, revision)


@cython.ufunc
cdef int8_t _limit_to_type(u64 limit_gfns) noexcept nogil:
    return limit_to_type(limit_gfns)


@cython.ufunc
cdef int8_t _vm_table_type(u64 ipa_bits, u64 revision) noexcept nogil:
    return vm_table_type(ipa_bits, revision)


@cython.ufunc
cdef u64 _type_last_address(u64 table_type) noexcept nogil:
    return type_last_address(<int>table_type)


@cython.ufunc
cdef u64 _type_asce_control(u64 table_type) noexcept nogil:
    return type_asce_control(<int>table_type)


@cython.ufunc
cdef (u64, u64) _vm_limits(u64 ipa_bits, u64 hamaxpow, u64 pa_bits, u64 revision) noexcept nogil:
    return (vm_mem_limit(ipa_bits, hamaxpow, pa_bits, revision),
            vm_fault_limit_1(hamaxpow, pa_bits, revision))


@cython.ufunc
cdef int32_t _fault_check(
    u64 ipa, u64 ipa_bits, u64 hamaxpow, u64 pa_bits, u64 revision
) noexcept nogil:
    return fault_check(ipa, ipa_bits, hamaxpow, pa_bits, revision)


@cython.ufunc
cdef int32_t _slot_check(
    u64 base, u64 nbytes, u64 ipa_bits, u64 hamaxpow, u64 pa_bits, u64 revision
) noexcept nogil:
    return slot_check(base, nbytes, ipa_bits, hamaxpow, pa_bits, revision)


@cython.ufunc
cdef int32_t _msl_check(u64 ipa, u64 msl, u64 meaning) noexcept nogil:
    return msl_check(ipa, msl, meaning)


@cython.ufunc
cdef u64 _vm_table_bytes(u64 nbytes, u64 ipa_bits, u64 revision) noexcept nogil:
    return mapped_table_bytes(nbytes, vm_table_type(ipa_bits, revision))


# --- the VM type and the host (1, 2, 5) -----------------------------------------------------

# The kernel warns about a refused default once; this is that once.
_warned_of_default = False


def _warn_of_default():
    """Warn, the first time in this process, that the default size was asked for and refused."""
    global _warned_of_default
    if not _warned_of_default:
        _warned_of_default = True
        warnings.warn(
            f"VM type 0 uses the default IPA size of {DEFAULT_IPA_BITS} bits, which this host does "
            "not support: upgrade your VMM, or have it pass the size",
            RuntimeWarning,
        )


def _refused_vm_type(vm_type, limit):
    """Why KVM_CREATE_VM refuses this type, and what it would take."""
    remedy = f"pass {MIN_IPA_BITS} to {min(limit, 255)}, the log2 of the guest's size"
    if limit < MIN_IPA_BITS:
        remedy = f"a limit of {limit} allows no VM at all"
    if vm_type > VM_TYPE_IPA_SIZE_MASK:
        problem = f"has bits outside {VM_TYPE_IPA_SIZE_MASK:#x}"
        if vm_type >> 31 & 1:
            problem += " (bit 31, protected VM, is for native arm64 hosts)"
    elif not vm_type:
        problem = f"asks for the default of {DEFAULT_IPA_BITS} bits, above the limit of {limit}"
    elif vm_type < MIN_IPA_BITS:
        problem = f"asks for {vm_type} bits, fewer than {MIN_IPA_BITS}"
    else:
        problem = f"asks for {vm_type} bits, above the limit of {limit}"
    return f"VM type {vm_type:#x} {problem}: {remedy}"


def ipa_shift(vm_type, *, ipa_limit=48, errors="raise"):
    """Log2 of the guest size that a KVM_CREATE_VM argument asks for.

    Parameters
    ----------
    vm_type : int or array of int
        The ioctl's argument, 64 bits; 0 asks for the default of 40 bits.
    ipa_limit : int or array of int
        Bits of the largest guest, 32 bits wide: what `ipa_limit` or `native_ipa_limit` says.
    errors : {"raise", "status"}
        Whether a refused type raises, or is -EINVAL in the result.

    Returns
    -------
    int or numpy.ndarray of int32

    Raises
    ------
    ConfigError, AddressError, AddressTypeError
        A type is refused; not an unsigned integer of 64 (`ipa_limit`: 32) bits.

    Warns
    -----
    RuntimeWarning
        Once in a process, when the default is refused.

    Notes
    -----
    ipa.md section 1, the same in every revision. Bit 31, a protected VM on native pKVM hosts,
    is refused: the model is of the s390 module.

    >>> ipa_shift(0x28), ipa_shift(0)
    (40, 40)
    >>> ipa_shift([0, 31, 32, 45], ipa_limit=44, errors="status")
    array([ 40, -22,  32, -22], dtype=int32)
    >>> ipa_shift(45, ipa_limit=44)
    Traceback (most recent call last):
        ...
    gmap.errors.ConfigError: VM type 0x2d asks for 45 bits, above the limit of 44: pass 32 to 44, \
the log2 of the guest's size
    """
    vm_types = as_integers(vm_type, "vm_type")
    limits = as_integers(ipa_limit, "ipa_limit", 0xFFFFFFFF)
    shifts = _vm_type_shift(vm_types, limits)
    if ((vm_types == 0) & (shifts < 0)).any():
        _warn_of_default()
    return answer(shifts, errors, _refused_vm_type, (vm_types, limits))


def guest_phys_size(shift, *, revision="queued"):
    """Bytes of a guest of 2**shift: the first address that is not its memory.

    Parameters
    ----------
    shift : int or array of int
        32 to 63, as `ipa_shift` gives it; up to 255 in revisions v1 and v4.
    revision : str
        One of `REVISIONS`.

    Returns
    -------
    int or numpy.ndarray of uint64

    Raises
    ------
    ConfigError, AddressError, AddressTypeError
        Another size or revision; not an unsigned integer of 64 bits.

    Notes
    -----
    ipa.md sections 1 and 10. A hamaxpow below 30 lets v1 to v4 create VMs with a shift of 64 and
    more (I4). C leaves 1 << 64 undefined; here, as on s390, only the low six bits count.

    >>> hex(guest_phys_size(40)), guest_phys_size(72, revision="v4")
    ('0x10000000000', 256)
    """
    code = as_choice(revision, "revision", _CODE_OF_REVISION)
    return plain(_power_of_two(_vm_bits(shift, code)))


def max_guest_address(hamaxpow, *, revision="queued", pa_range=None):
    """The last byte a guest on this host can address, inclusive.

    Parameters
    ----------
    hamaxpow : int or array of int
        Log2 of the host's addresses as SCLP reports it, 0 to 255; 0 and 64 up are unlimited.
    revision : str
        One of `REVISIONS`.
    pa_range : int or array of int, optional
        Physical address bits the host's ID_AA64MMFR0_EL1 grants, 32 to 48; sysreg only.

    Returns
    -------
    int or numpy.ndarray of uint64

    Raises
    ------
    ConfigError, AddressError, AddressTypeError
        Another revision; `pa_range` missing, superfluous or impossible; not an integer of 8 bits.

    Notes
    -----
    ipa.md section 2. Rounded down to a GiB, hence an unlimited host loses its topmost. Below
    30 bits v1 and v4 round down to nothing and underflow to 2**64 - 1 (I4); later revisions
    start from one GiB at least.

    >>> hex(max_guest_address(44)), hex(max_guest_address(0))
    ('0xfffffffffff', '0xffffffffbfffffff')
    >>> hex(max_guest_address(29)), hex(max_guest_address(29, revision="v4"))
    ('0x3fffffff', '0xffffffffffffffff')
    >>> hex(max_guest_address(0, revision="sysreg", pa_range=48))
    '0xffffffffffff'
    """
    code, pa_bits = _revision(revision, pa_range)
    return plain(_host_max_address(_hamaxpow(hamaxpow), pa_bits, code))


def ipa_limit(hamaxpow, *, revision="queued", pa_range=None):
    """Bits of the largest guest on this host.

    Parameters
    ----------
    hamaxpow, revision, pa_range
        As for `max_guest_address`.

    Returns
    -------
    int or numpy.ndarray of uint32

    Raises
    ------
    ConfigError, AddressError, AddressTypeError
        As `max_guest_address`.

    Notes
    -----
    ipa.md section 2: 63 for an unlimited host, not 64 (I3). Below a hamaxpow of 30, v1 and v4
    say 0xffffffff, -1 as the u32 it is kept in (I4); the later ones 30, which allows no VM.

    >>> ipa_limit(44), ipa_limit(0), hex(ipa_limit(29, revision="v1"))
    (44, 63, '0xffffffff')
    """
    code, pa_bits = _revision(revision, pa_range)
    return plain(_host_ipa_limit(_hamaxpow(hamaxpow), pa_bits, code))


def cap_ipa_size(hamaxpow, *, revision="queued", pa_range=None):
    """What KVM_CHECK_EXTENSION answers for KVM_CAP_ARM_VM_IPA_SIZE, on any fd.

    Parameters
    ----------
    hamaxpow, revision, pa_range
        As for `max_guest_address`.

    Returns
    -------
    int or numpy.ndarray of int32
        The limit, or a negative errno.

    Raises
    ------
    ConfigError, AddressError, AddressTypeError
        As `max_guest_address`.

    Notes
    -----
    ipa.md sections 2 and 5. The ioctl returns `ipa_limit` as an int, so that the underflow of
    v1 and v4 (I4) arrives in user space as -1: EPERM.

    >>> cap_ipa_size(44), cap_ipa_size(29, revision="v4")
    (44, -1)
    """
    code, pa_bits = _revision(revision, pa_range)
    return plain(_host_ipa_limit(_hamaxpow(hamaxpow), pa_bits, code).astype(np.int32))


# --- the gmap's table type (4) --------------------------------------------------------------

def table_type(limit_gfns):
    """The lowest table type that suffices for a gmap of so many guest frames.

    Parameters
    ----------
    limit_gfns : int or array of int
        Guest frames of 4 KiB; 0 is no limit.

    Returns
    -------
    Level or numpy.ndarray of int8

    Raises
    ------
    AddressError, AddressTypeError
        Not an unsigned integer of 64 bits.

    Notes
    -----
    ipa.md section 4.

    >>> table_type(1 << 28), table_type([1 << 19, (1 << 41) + 1, 0])
    (<Level.REGION3: 1>, array([0, 3, 3], dtype=int8))
    """
    return _levels(_limit_to_type(as_integers(limit_gfns, "limit_gfns")))


def gmap_type(ipa_bits, *, revision="queued"):
    """The table type of the gmap a VM gets; it never changes afterwards.

    Parameters
    ----------
    ipa_bits, revision
        Log2 of the guest size, and the rest, as for `guest_phys_size`.

    Returns
    -------
    Level or numpy.ndarray of int8

    Raises
    ------
    ConfigError, AddressError, AddressTypeError
        As `guest_phys_size`.

    Notes
    -----
    ipa.md section 4. v1 and v2 pass bytes where frames are meant, which costs a level (I2).

    >>> gmap_type(42), gmap_type(43), gmap_type(40, revision="v1")
    (<Level.REGION3: 1>, <Level.REGION2: 2>, <Level.REGION2: 2>)
    """
    code = as_choice(revision, "revision", _CODE_OF_REVISION)
    return _levels(_vm_table_type(_vm_bits(ipa_bits, code), code))


def asce_control_bits(table_type):
    """Everything but the table origin in the ASCE of a fresh arm64 gmap.

    Parameters
    ----------
    table_type : Level or array of int
        0 (segment) to 3 (region-1); a page table cannot be the top one.

    Returns
    -------
    int or numpy.ndarray of uint64

    Raises
    ------
    AddressError, AddressTypeError
        Not a table type.

    Notes
    -----
    ipa.md section 4: P, S and X, the full table length, and the type in the DT field.

    >>> hex(asce_control_bits(gmap_type(40)))
    '0x1c7'
    """
    return plain(_type_asce_control(as_integers(table_type, "table type", LEVEL_REGION1)))


def asce_last_address(table_type):
    """The last byte an ASCE of this type covers, inclusive: 16 EiB has no 64-bit number.

    Parameters
    ----------
    table_type : Level or array of int
        As for `asce_control_bits`.

    Returns
    -------
    int or numpy.ndarray of uint64

    Raises
    ------
    AddressError, AddressTypeError
        Not a table type.

    Notes
    -----
    ipa.md section 4.

    >>> hex(asce_last_address(gmap_type(40)))
    '0x3ffffffffff'
    """
    return plain(_type_last_address(as_integers(table_type, "table type", LEVEL_REGION1)))


# --- limits of a VM (3) ---------------------------------------------------------------------

def vm_limits(ipa_bits, *, hamaxpow=48, revision="queued", pa_range=None):
    """Every limit KVM derives from the size of a VM and its host.

    Parameters
    ----------
    ipa_bits, hamaxpow, revision
        Log2 of the guest size as for `guest_phys_size`; the host as for `max_guest_address`.
    pa_range : int or array of int, optional
        Physical address bits the VM's ID_AA64MMFR0_EL1 grants, 32 to 48; sysreg only.

    Returns
    -------
    numpy.void or numpy.ndarray of VM_LIMITS

    Raises
    ------
    ConfigError, AddressError, AddressTypeError
        As `guest_phys_size` and `max_guest_address`.

    Notes
    -----
    ipa.md section 3. Up to v4 `mem_limit` and `msl` are the host's last byte (inclusive), from
    queued on the VM's end (exclusive). Whether such a VM can be created, `ipa_shift` says.

    >>> limits = vm_limits(40, hamaxpow=44)
    >>> hex(limits["mem_limit"]), hex(limits["fault_limit_1"])
    ('0x10000000000', '0x100000000000')
    >>> hex(vm_limits(40, hamaxpow=44, revision="v4")["mem_limit"])
    '0xfffffffffff'
    """
    code, pa_bits = _revision(revision, pa_range)
    bits = _vm_bits(ipa_bits, code)
    size = _power_of_two(bits)
    mem_limit, fault_limit_1 = _vm_limits(bits, _hamaxpow(hamaxpow), pa_bits, code)
    return records(VM_LIMITS, {
        "guest_phys_size": size, "mem_limit": mem_limit, "msl": mem_limit, "mso": 0,
        "fault_limit_1": fault_limit_1, "fault_limit_2": size,
    })


def slot_fits(base_gpa, nbytes, *, ipa_bits, hamaxpow=48, revision="queued", pa_range=None):
    """0 if a new memory slot is within the limits, else -EINVAL.

    Parameters
    ----------
    base_gpa, nbytes : int or array of int
        First guest address of the slot and its size, in bytes.
    ipa_bits, hamaxpow, revision, pa_range
        The VM and its host, as for `vm_limits`.

    Returns
    -------
    int or numpy.ndarray of int32

    Raises
    ------
    ConfigError, AddressError, AddressTypeError
        As `vm_limits`; a slot that does not fit never raises.

    Notes
    -----
    The rules about addresses of ipa.md section 3 and faultin.md section 8: whole pages, 1 to
    2**31 - 1 of them; no wrap-around; no end beyond `mem_limit`, nor beyond the ASCE. Up to v4
    the limit is a last byte, so that the highest legal slot is refused (I1). The rule about the
    ASCE came with v4, not in every revision as the sheet has it: v1 to v3 accept such a slot
    and only log that the tables could not be made ("v4" is v4, not v3, here). v1 and v2 also
    refuse sizes (and userspace addresses, not asked for here) that are no multiple of 1 MiB.

    >>> slot_fits(0, 1 << 40, ipa_bits=40)
    0
    >>> slot_fits([1 << 39, 1 << 40], 1 << 30, ipa_bits=40, hamaxpow=44)
    array([  0, -22], dtype=int32)
    >>> slot_fits(1 << 40, 1 << 30, ipa_bits=40, hamaxpow=44, revision="v4")
    0
    """
    code, pa_bits = _revision(revision, pa_range)
    return plain(_slot_check(
        as_integers(base_gpa, "base_gpa"), as_integers(nbytes, "nbytes"),
        _vm_bits(ipa_bits, code), _hamaxpow(hamaxpow), pa_bits, code))


def fault_limit(ipa, *, ipa_bits, hamaxpow=48, revision="queued", pa_range=None, translation=True):
    """Which limit of the fault handler refuses an address: 1, 2, or 0 for neither.

    Parameters
    ----------
    ipa : int or array of int
        The faulting guest address.
    ipa_bits, hamaxpow, revision, pa_range
        The VM and its host, as for `vm_limits`.
    translation : bool
        The fault is a translation exception; a protection exception never meets the limits.

    Returns
    -------
    int or numpy.ndarray of int32
        1 is the host's limit (with sysreg the VM's physical address range), 2 the VM's size.

    Raises
    ------
    ConfigError, AddressError, AddressTypeError
        As `vm_limits`.

    Notes
    -----
    ipa.md sections 3 and 10: an address equal to a limit is refused (I7), protection faults
    pass (I8); then faultin.md section 7. The check comes before the memory slot is looked up,
    so that a slot beyond `guest_phys_size`, which v1 to v4 allow, cannot be reached.

    >>> fault_limit([0, 1 << 40, 1 << 44], ipa_bits=40, hamaxpow=44)
    array([0, 2, 1], dtype=int32)
    """
    code, pa_bits = _revision(revision, pa_range)
    limit = _fault_check(
        as_integers(ipa, "ipa"), _vm_bits(ipa_bits, code), _hamaxpow(hamaxpow), pa_bits, code)
    return plain(limit if translation else np.zeros_like(limit))


def msl_intercept(ipa, msl, *, meaning="exclusive"):
    """The SAE interception code of an access the main-storage limit stops, else 0.

    Parameters
    ----------
    ipa, msl : int or array of int
        The guest address accessed, and the field of the SAE block (`vm_limits`).
    meaning : {"exclusive", "inclusive", "block"}
        What the field names: the first byte out of reach, the last one within reach, or any
        byte of the last MiB within reach.

    Returns
    -------
    int or numpy.ndarray of int32
        6 (GUEST_ADDRESS_SIZE) or 0.

    Raises
    ------
    ConfigError, AddressError, AddressTypeError
        An unknown meaning; not an unsigned integer of 64 bits.

    Notes
    -----
    ipa.md section 3. What the hardware means by its limit is not public: queued writes an
    exclusive one, v1 to v4 wrote an inclusive one, and SIE has its own in blocks. An address
    beyond the ASCE as well may get an ASCE-type exception instead.

    >>> msl_intercept([(1 << 40) - 1, 1 << 40], vm_limits(40)["msl"])
    array([0, 6], dtype=int32)
    """
    code = as_choice(meaning, "meaning", _CODE_OF_MEANING)
    return plain(_msl_check(as_integers(ipa, "ipa"), as_integers(msl, "msl"), code))


# --- table memory (8, 9) --------------------------------------------------------------------

def table_bytes(nbytes, ipa_bits, *, revision="queued"):
    """Bytes of s390 tables for a guest whose first `nbytes` are mapped in 4 KiB pages.

    Parameters
    ----------
    nbytes : int or array of int
        Mapped bytes from guest address 0 on; a page that is begun counts whole.
    ipa_bits, revision
        The guest size, which decides the top table, as for `gmap_type`.

    Returns
    -------
    int or numpy.ndarray of uint64

    Raises
    ------
    ConfigError, AddressError, AddressTypeError
        More bytes than the guest has; else as `gmap_type`.

    Notes
    -----
    ipa.md section 9, exactly: 4 KiB for each page table (a MiB, PGSTEs included), 16 KiB for
    each segment table (2 GiB) and region table below the top one (4 TiB, 8 PiB), and 16 KiB for
    the top table, which is there before anything is mapped.

    >>> table_bytes(0, 40), table_bytes(8 << 30, 40) == 16384 + 4 * 16384 + 8192 * 4096
    (16384, True)
    """
    code = as_choice(revision, "revision", _CODE_OF_REVISION)
    mapped = as_integers(nbytes, "nbytes")
    bits = _vm_bits(ipa_bits, code)
    size = _power_of_two(bits)
    refuse(mapped > size,
           lambda n, end: f"nbytes {n:#x}: the guest has {end:#x}; map less or take more ipa_bits",
           (mapped, size))
    return plain(_vm_table_bytes(mapped, bits, code))
