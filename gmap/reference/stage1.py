"""VMSAv8-64 stage 1 as EL1 and EL0 see it: a guest's own tables, in plain Python.

A guest virtual address is cut into indices, one for each level of tables. Level 3 is the last;
how many come before it depends on the granule (the size of a table and of a page) and on how
many address bits TCR_EL1 asks for:

======= ================= ============ ============================ =====================
granule index bits a level start levels blocks (with 52-bit address) contiguous entries
======= ================= ============ ============================ =====================
4K      9                 -1 to 3      levels 1, 2 (0)              16
16K     11                0 to 3       level 2 (1)                  32 blocks, 128 pages
64K     13                1 to 3       level 2 (1)                  32
======= ================= ============ ============================ =====================

The order in which a walk may fail is part of the architecture, and of this file: the size in
TCR_EL1, the address against that size, E0PD, EPD, the table base, then each descriptor (its
type, then the address in it), then the access flag, then the permissions.

Where the architecture leaves a choice, this is what is done here:

- TxSZ outside its limits: translation fault, level 0 (never clamped);
- TG0 or TG1 reserved, or of a granule that is not implemented: the smallest implemented one;
- IPS reserved or larger than the implemented size: the implemented size;
- bits of a TTBR below the alignment of its table: ignored;
- the contiguous bit is a hint for TLBs and changes no result, even where it is misused;
- nT in a block is ignored;
- a fetch from Device memory that may be executed does not fault;
- hardware sets the access flag only if the access is permitted;
- an access flag and a dirty state are written by one exchange.

Nothing here depends on compiled code. EL2 is off or leaves stage 1 alone (HCR_EL2.DC, TGE, NV1
are 0). Not modelled: 128-bit descriptors, permission indirection and overlays, MTE, PAuth,
hardware AF in table descriptors, security states.

Source: the public Arm Architecture Reference Manual, chapter D8, and its pseudocode
(AArch64.S1Translate and below).
"""

from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from typing import Final, NamedTuple

from gmap.errors import AddressError, ConfigError
from gmap.reference._stage1_fields import (
    ADDRESS_BITS,
    DESC_AF,
    DESC_AP1,
    DESC_AP2,
    DESC_AP_TABLE0,
    DESC_AP_TABLE1,
    DESC_CONTIGUOUS,
    DESC_DBM,
    DESC_NG,
    DESC_PXN,
    DESC_PXN_TABLE,
    DESC_TABLE,
    DESC_UXN,
    DESC_UXN_TABLE,
    DESC_VALID,
    FINAL_LEVEL,
    SCTLR_EE,
    SCTLR_EPAN,
    SCTLR_I,
    SCTLR_M,
    SCTLR_WXN,
    TCR_DS,
    TCR_HA,
    TCR_HD,
    TG0_GRANULE,
    TG1_GRANULE,
    FaultKind,
    Features,
    Half,
    bit,
    bits,
    fault_status,
    features,
    lower_half,
    upper_half,
)
from gmap.reference._stage1_results import (
    ALL_RIGHTS,
    Access,
    Memory,
    Rights,
    Stage2Fault,
    Step,
    Walk,
)

__all__ = ["Access", "Memory", "Rights", "Stage1Regime", "Stage2Fault", "Step", "Walk"]

#: A CPU with 48-bit addresses, every granule, hardware AF and dirty state, hierarchical
#: permission disables, PAN with EPAN, and small translation tables.
DEFAULT_MMFR0: Final = 0x5 | 1 << 20  # PARange 48, TGran16; TGran4 and TGran64 are there at 0
DEFAULT_MMFR1: Final = 0x2 | 1 << 12 | 3 << 20  # HAFDBS, HPDS, PAN
DEFAULT_MMFR2: Final = 1 << 28  # ST

_DEVICE_NGNRNE: Final = 0x00
_NORMAL_NON_CACHEABLE: Final = 0x44
_NORMAL_WRITE_THROUGH: Final = 0xAA
_OUTER_SHAREABLE: Final = 0b10
_FLAT_PAGE: Final = 4096  # without tables there are no pages; callers want some size


class _Fault(Exception):
    """Ends a walk with a stage-1 fault."""

    def __init__(self, kind: FaultKind, level: int) -> None:
        super().__init__(kind, level)
        self.kind = kind
        self.level = level


class _Params(NamedTuple):
    """One half of the address space, with every field as it takes effect."""

    half: Half
    upper: bool
    ttbr: int
    granule: int  # log2 of the bytes of a table and of a page
    wide: bool  # the CPU can do 52-bit addresses with this granule
    ds: bool  # 52-bit addresses in the descriptors of 4K and 16K tables
    out_bits: int  # an address with a bit at or above this one is a fault

    @property
    def stride(self) -> int:
        """Address bits each level resolves: a table is a granule of 8-byte descriptors."""
        return self.granule - 3

    @property
    def va_bits(self) -> int:
        return 64 - self.half.txsz

    @property
    def start_level(self) -> int:
        return FINAL_LEVEL - (self.va_bits - 1 - self.granule) // self.stride

    def shift(self, level: int) -> int:
        """Log2 of the bytes one descriptor of a level covers."""
        return self.granule + (FINAL_LEVEL - level) * self.stride


class _Leaf(NamedTuple):
    """A page or block descriptor and what the tables above it take away."""

    step: Step
    el0_denied: bool
    write_denied: bool
    uxn: bool
    pxn: bool


@dataclass(frozen=True)
class Stage1Regime:
    """The registers that govern stage 1, and the walk they describe.

    Parameters
    ----------
    ttbr0, ttbr1, tcr, mair, sctlr : int
        TTBR0_EL1, TTBR1_EL1, TCR_EL1, MAIR_EL1 and SCTLR_EL1, 64 bits each.
    el : int
        The exception level of the access, 0 or 1.
    pan : bool
        PSTATE.PAN. An AT instruction ignores it unless its name ends in P.
    mmfr0, mmfr1, mmfr2 : int
        ID_AA64MMFR0_EL1 to ID_AA64MMFR2_EL1: what the CPU implements.

    Raises
    ------
    AddressError
        A register does not fit into 64 bits.
    ConfigError
        Another exception level, or an ID register without a usable size or granule.

    Examples
    --------
    Four levels of 4K tables that map address 0 to 0x5000:

    >>> class Words(dict):
    ...     read = dict.__getitem__
    >>> words = Words({0x1000: 0x2003, 0x2000: 0x3003, 0x3000: 0x4003, 0x4000: 0x5403})
    >>> regime = Stage1Regime(ttbr0=0x1000, tcr=16 | 5 << 32)
    >>> walk = regime.walk(0x123, 0, words)
    >>> hex(walk.ipa), walk.level, len(walk.steps)
    ('0x5123', 3, 4)
    >>> hex(regime.walk(1 << 48, 0, words).fsc)
    '0x4'
    """

    ttbr0: int = 0
    ttbr1: int = 0
    tcr: int = 0
    mair: int = 0
    sctlr: int = 1
    el: int = 1
    _: KW_ONLY
    pan: bool = False
    mmfr0: int = DEFAULT_MMFR0
    mmfr1: int = DEFAULT_MMFR1
    mmfr2: int = DEFAULT_MMFR2

    def __post_init__(self) -> None:
        names = ("ttbr0", "ttbr1", "tcr", "mair", "sctlr", "mmfr0", "mmfr1", "mmfr2")
        for name in names:
            _check_64_bits(name, getattr(self, name))
        if not isinstance(self.el, int) or self.el not in (0, 1):
            raise ConfigError(f"exception level {self.el!r}: use 0 or 1")
        if not self.features.pa_bits:
            raise ConfigError(f"mmfr0 {self.mmfr0:#x}: PARange (bits 3:0) must be 0 to 7")
        if not self.features.granules:
            raise ConfigError(f"mmfr0 {self.mmfr0:#x} has no granule: TGran4 (bits 31:28) 0 is 4K")

    @cached_property
    def features(self) -> Features:
        """What the ID registers say."""
        return features(self.mmfr0, self.mmfr1, self.mmfr2)

    # --- the walk -------------------------------------------------------------------------

    def walk(self, va: int, access: int, memory: Memory, *, probe: bool = False) -> Walk:
        """Translate a virtual address.

        Parameters
        ----------
        va : int
            64 bits, tag included.
        access : int
            0 read, 1 write, 2 fetch.
        memory : Memory
            Holds the tables. Not used while stage 1 is off.
        probe : bool
            Change nothing, but answer as if hardware had updated the leaf.

        Returns
        -------
        Walk

        Raises
        ------
        AddressError
            `va` does not fit into 64 bits.
        ConfigError
            Another kind of access.

        Examples
        --------
        With stage 1 off an address is its own, up to the implemented size:

        >>> off = Stage1Regime(sctlr=0)
        >>> hex(off.walk(0x4000_0010, Access.READ, {}).ipa)
        '0x40000010'
        >>> off.walk(1 << 48, Access.READ, {}).ok
        False
        """
        _check_64_bits("va", va)
        if not isinstance(access, int) or access not in (0, 1, 2):
            raise ConfigError(f"access {access!r}: use 0 (read), 1 (write) or 2 (fetch)")
        steps: list[Step] = []
        try:
            if not bit(self.sctlr, SCTLR_M):
                return self._flat(va, access)
            params = self._upper if bit(va, 55) else self._lower
            self._check_address(params, va)
            while True:
                steps.clear()
                leaf = self._find_leaf(params, va, memory, steps)
                walk = self._use_leaf(params, leaf, va, access, steps)
                new = self._updated(leaf.step.descriptor, access)
                if not walk.ok or probe or new == leaf.step.descriptor:
                    return walk
                if self._exchange(memory, leaf.step, new):
                    return replace(walk, updated=True)
                # Somebody else changed the descriptor meanwhile: walk again.
        except _Fault as fault:
            fsc = fault_status(fault.kind, fault.level)
            return Walk(fsc=fsc, level=fault.level, steps=tuple(steps))
        except Stage2Fault as fault:
            return Walk(
                fsc=fault.fsc, level=fault.level, stage=2, s1ptw=True, pic=fault.pic,
                steps=tuple(steps),
            )  # fmt: skip

    def _flat(self, va: int, access: int) -> Walk:
        """Stage 1 is off: no tables, no permissions, one address-size check.

        A tagged address keeps its tag to itself only where TCR_EL1.TBIx says so, even now.
        """
        pa_bits = self.features.pa_bits
        half = upper_half(self.tcr) if bit(va, 55) else lower_half(self.tcr)
        if bits(va, _address_top(half), pa_bits):
            raise _Fault(FaultKind.ADDRESS_SIZE, 0)
        attr = _DEVICE_NGNRNE
        if access == Access.FETCH:
            cached = bit(self.sctlr, SCTLR_I)
            attr = _NORMAL_WRITE_THROUGH if cached else _NORMAL_NON_CACHEABLE
        return Walk(
            ipa=bits(va, pa_bits - 1, 0), attr=attr, sh=_OUTER_SHAREABLE,
            el0=ALL_RIGHTS, el1=ALL_RIGHTS, size=_FLAT_PAGE,
        )  # fmt: skip

    # --- before the first table -----------------------------------------------------------

    @cached_property
    def _lower(self) -> _Params:
        return self._params(upper=False)

    @cached_property
    def _upper(self) -> _Params:
        return self._params(upper=True)

    def _params(self, upper: bool) -> _Params:
        """Half of TCR_EL1 and what is implemented. Bit 55 of an address chooses the half."""
        has = self.features
        half = upper_half(self.tcr) if upper else lower_half(self.tcr)
        granule = (TG1_GRANULE if upper else TG0_GRANULE).get(half.tg)
        if granule not in has.granules:
            granule = has.granules[0]
        wide = granule in has.granules_52
        return _Params(
            half=half,
            upper=upper,
            ttbr=self.ttbr1 if upper else self.ttbr0,
            granule=granule,
            wide=wide,
            ds=wide and granule != 16 and bit(self.tcr, TCR_DS),
            out_bits=min(
                ADDRESS_BITS[bits(self.tcr, 34, 32)], 52 if wide else 48, has.pa_bits
            ),
        )

    def _check_address(self, params: _Params, va: int) -> None:
        """The faults that need no table; all of them say translation, level 0."""
        has, half = self.features, params.half
        smallest = 12 if params.ds or (params.granule == 16 and has.lva) else 16
        largest = 39
        if has.small_tables:
            largest = 47 if params.granule == 16 else 48
        outside = not smallest <= half.txsz <= largest
        if not outside:
            rest = bits(va, _address_top(half), params.va_bits)
            ones = bits(~0, _address_top(half), params.va_bits)
            outside = rest != (ones if params.upper else 0)
        e0pd = self.el == 0 and half.e0pd and has.e0pd
        if outside or e0pd or half.epd:
            raise _Fault(FaultKind.TRANSLATION, 0)

    def _table_base(self, params: _Params) -> int:
        """The first table: as large as the address needs it, and aligned to that size."""
        base = bits(params.ttbr, 47, 1) << 1
        size = params.va_bits - params.shift(params.start_level) + 3
        if params.ds or (params.granule == 16 and params.out_bits == 52):
            base = bits(params.ttbr, 47, 6) << 6 | bits(params.ttbr, 5, 2) << 48
        return base >> size << size

    # --- through the tables ---------------------------------------------------------------

    def _find_leaf(
        self, params: _Params, va: int, memory: Memory, steps: list[Step]
    ) -> _Leaf:
        """Read descriptors from the start level down to a page or a block."""
        level = params.start_level
        top = params.va_bits - 1  # the first index may be shorter, and ignores the bits above
        table = self._table_base(params)
        if table >> params.out_bits:
            raise _Fault(FaultKind.ADDRESS_SIZE, 0)
        el0_denied = write_denied = uxn = pxn = False
        while True:
            step = self._read(memory, level, table | bits(va, top, params.shift(level)) << 3)
            steps.append(step)
            descriptor = step.descriptor
            if not bit(descriptor, DESC_VALID):
                raise _Fault(FaultKind.TRANSLATION, level)
            points_on = bit(descriptor, DESC_TABLE)
            if not points_on and not self._may_be_block(params, level):
                raise _Fault(FaultKind.TRANSLATION, level)
            if not points_on or level == FINAL_LEVEL:
                return _Leaf(step, el0_denied, write_denied, uxn, pxn)
            table = _address_field(params, descriptor, params.granule)
            if table >> params.out_bits:
                raise _Fault(FaultKind.ADDRESS_SIZE, level)
            if not (params.half.hpd and self.features.hpd):
                el0_denied |= bit(descriptor, DESC_AP_TABLE0)
                write_denied |= bit(descriptor, DESC_AP_TABLE1)
                uxn |= bit(descriptor, DESC_UXN_TABLE)
                pxn |= bit(descriptor, DESC_PXN_TABLE)
            top = params.shift(level) - 1
            level += 1

    def _may_be_block(self, params: _Params, level: int) -> bool:
        """The levels at which a descriptor may map a block."""
        if params.granule == 12:
            return level in (1, 2) or (level == 0 and params.ds)
        if params.granule == 14:
            return level == 2 or (level == 1 and params.ds)
        return level == 2 or (level == 1 and self.features.pa_bits >= 52)

    def _read(self, memory: Memory, level: int, ipa: int) -> Step:
        return Step(level, ipa, self._ordered(memory.read(ipa)))

    def _exchange(self, memory: Memory, step: Step, new: int) -> bool:
        return memory.cas(step.ipa, self._ordered(step.descriptor), self._ordered(new))

    def _ordered(self, word: int) -> int:
        """A little-endian word of memory as the descriptor it is, and back."""
        if not bit(self.sctlr, SCTLR_EE):
            return word
        return int.from_bytes(word.to_bytes(8, "little"), "big")

    # --- the leaf -------------------------------------------------------------------------

    def _use_leaf(
        self, params: _Params, leaf: _Leaf, va: int, access: int, steps: list[Step]
    ) -> Walk:
        """Address size, then access flag, then permissions: all at the level of the leaf."""
        level, _, descriptor = leaf.step
        shift = params.shift(level)
        base = _address_field(params, descriptor, shift)
        if base >> params.out_bits:
            raise _Fault(FaultKind.ADDRESS_SIZE, level)
        if not bit(descriptor, DESC_AF) and not self._hardware_af:
            raise _Fault(FaultKind.ACCESS_FLAG, level)
        el0, el1 = self._rights(leaf)
        index = bits(descriptor, 4, 2)
        walk = Walk(
            ipa=base | bits(va, shift - 1, 0),
            level=level,
            steps=tuple(steps),
            attr=bits(self.mair, 8 * index + 7, 8 * index),
            sh=params.half.sh if params.ds else bits(descriptor, 9, 8),
            el0=el0,
            el1=el1,
            size=1 << shift,
            # The largest blocks of each granule have no contiguous bit.
            contiguous=bit(descriptor, DESC_CONTIGUOUS)
            and level > (0 if params.granule == 12 else 1),
            ng=bit(descriptor, DESC_NG),
        )
        if (el1 if self.el else el0).allow(access):
            return walk
        return replace(walk, ipa=None, fsc=fault_status(FaultKind.PERMISSION, level))

    @property
    def _hardware_af(self) -> bool:
        return self.features.access_flag and bit(self.tcr, TCR_HA)

    @property
    def _hardware_dirty(self) -> bool:
        return self._hardware_af and self.features.dirty_state and bit(self.tcr, TCR_HD)

    def _rights(self, leaf: _Leaf) -> tuple[Rights, Rights]:
        """The rights of EL0 and EL1.

        With hardware dirty state, DBM makes a read-only leaf one that is clean but writable.
        """
        descriptor = leaf.step.descriptor
        clean = self._hardware_dirty and bit(descriptor, DESC_DBM)
        writable = (clean or not bit(descriptor, DESC_AP2)) and not leaf.write_denied
        read0 = bit(descriptor, DESC_AP1) and not leaf.el0_denied
        write0 = read0 and writable
        execute0 = not (bit(descriptor, DESC_UXN) or leaf.uxn)
        # What EL0 can write EL1 never executes.
        execute1 = not (bit(descriptor, DESC_PXN) or leaf.pxn or write0)
        data1 = not self._pan_denies(read0, execute0)
        if bit(self.sctlr, SCTLR_WXN):
            execute0 = execute0 and not write0
            execute1 = execute1 and not writable
        return Rights(read0, write0, execute0), Rights(data1, data1 and writable, execute1)

    def _pan_denies(self, read0: bool, execute0: bool) -> bool:
        """PAN keeps EL1 from the data of EL0; with EPAN also from its execute-only pages."""
        epan = self.features.epan and bit(self.sctlr, SCTLR_EPAN)
        return self.pan and self.features.pan and (read0 or (epan and execute0))

    def _updated(self, descriptor: int, access: int) -> int:
        """The leaf as hardware leaves it after an access it permits."""
        if self._hardware_af:
            descriptor |= 1 << DESC_AF
        if self._hardware_dirty and bit(descriptor, DESC_DBM) and access == Access.WRITE:
            descriptor &= ~(1 << DESC_AP2)
        return descriptor


def _address_top(half: Half) -> int:
    """The highest bit of an address that counts: with TBI the top byte is a tag."""
    return 55 if half.tbi else 63


def _address_field(params: _Params, descriptor: int, low: int) -> int:
    """The address in a descriptor, of which the bits below `low` are other fields.

    52-bit addresses have their bits 51:48 where the granule leaves room: in 64K descriptors
    below the address, in others beside it and in the place of the shareability.
    """
    address = bits(descriptor, 47, low) << low
    if params.granule == 16 and params.wide:
        return address | bits(descriptor, 15, 12) << 48
    if params.ds:
        return address | bits(descriptor, 49, 48) << 48 | bits(descriptor, 9, 8) << 50
    return address


def _check_64_bits(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 64:
        raise AddressError(f"{name} {value!r}: use an integer from 0 to 2**64 - 1")
