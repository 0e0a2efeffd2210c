"""CPU models: what a processor implements, and the ID registers that say so. Floor 6.

A model is data: a set of features, each with the fields of the ID registers that advertise it.
Features with a bit in `saecore._defs.Feature` also decide what the decoder knows; the others
belong to the MMU, which reads them from the registers (`gmap/_stage1.pyx`).

Sources: Arm architecture, ID registers and the features' own descriptions; fact sheets
guest-usage.md 2 and upcoming.md 1.3 to 1.5.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from saecore._defs import HCR_API, HCR_APK, Feature
from saecore._idregs import get_field, put_field
from saecore._sysregs import (
    N_BREAKPOINTS,
    N_CONTEXT_BREAKPOINTS,
    N_WATCHPOINTS,
    SYSREGS,
    saved_names,
)

_PFR0, _PFR1 = "ID_AA64PFR0_EL1", "ID_AA64PFR1_EL1"
_ISAR0, _ISAR1 = "ID_AA64ISAR0_EL1", "ID_AA64ISAR1_EL1"
_MMFR0, _MMFR1, _MMFR2 = "ID_AA64MMFR0_EL1", "ID_AA64MMFR1_EL1", "ID_AA64MMFR2_EL1"


class CpuFeature(NamedTuple):
    """A feature: its fields of ID registers as (register, field, value), and what it needs."""

    name: str
    doc: str
    fields: tuple[tuple[str, str, int], ...]
    needs: tuple[str, ...] = ()

    @property
    def flag(self) -> Feature:
        """The feature's bit of pe_t.features; none if it is the MMU's alone."""
        return Feature.__members__.get(self.name, Feature(0))


FEATURES: Final[dict[str, CpuFeature]] = {
    feature.name: feature
    for feature in (
        CpuFeature("FP", "floating point and Advanced SIMD",
                   ((_PFR0, "FP", 0), (_PFR0, "AdvSIMD", 0))),
        CpuFeature("FP16", "half-precision arithmetic",
                   ((_PFR0, "FP", 1), (_PFR0, "AdvSIMD", 1)), ("FP",)),
        CpuFeature("CRC32", "CRC32 instructions", ((_ISAR0, "CRC32", 1),)),
        CpuFeature("LSE", "atomic instructions", ((_ISAR0, "Atomic", 2),)),
        CpuFeature("RDM", "rounding doubling multiply accumulate", ((_ISAR0, "RDM", 1),), ("FP",)),
        CpuFeature("DP", "dot products of 8-bit integers", ((_ISAR0, "DP", 1),), ("FP",)),
        CpuFeature("FHM", "half-precision multiplies added to single-precision numbers",
                   ((_ISAR0, "FHM", 1),), ("FP16",)),
        CpuFeature("FCMA", "complex numbers", ((_ISAR1, "FCMA", 1),), ("FP",)),
        CpuFeature("JSCVT", "the conversion JavaScript needs", ((_ISAR1, "JSCVT", 1),), ("FP",)),
        CpuFeature("FRINTTS", "rounding to integers of 32 and 64 bits",
                   ((_ISAR1, "FRINTTS", 1),), ("FP",)),
        CpuFeature("BF16", "BFloat16 dot products, matrices and conversions",
                   ((_ISAR1, "BF16", 1),), ("FP",)),
        CpuFeature("I8MM", "matrices of 8-bit integers", ((_ISAR1, "I8MM", 1),), ("FP",)),
        CpuFeature("AES", "AES instructions", ((_ISAR0, "AES", 1),), ("FP",)),
        CpuFeature("PMULL", "polynomial multiplies of 64 bits", ((_ISAR0, "AES", 2),), ("AES",)),
        CpuFeature("SHA1", "SHA-1 instructions", ((_ISAR0, "SHA1", 1),), ("FP",)),
        CpuFeature("SHA256", "SHA-256 instructions", ((_ISAR0, "SHA2", 1),), ("SHA1",)),
        CpuFeature("SHA3", "SHA-3 instructions", ((_ISAR0, "SHA3", 1),), ("SHA256",)),
        CpuFeature("SHA512", "SHA-512 instructions", ((_ISAR0, "SHA2", 2),), ("SHA3",)),
        CpuFeature("SM3", "SM3 instructions", ((_ISAR0, "SM3", 1),), ("FP",)),
        CpuFeature("SM4", "SM4 instructions", ((_ISAR0, "SM4", 1),), ("SM3",)),
        CpuFeature("FLAGM", "instructions that change flags", ((_ISAR0, "TS", 1),)),
        CpuFeature("FLAGM2", "flags of another format", ((_ISAR0, "TS", 2),), ("FLAGM",)),
        CpuFeature("LRCPC", "load-acquire RCpc", ((_ISAR1, "LRCPC", 1),)),
        CpuFeature("LRCPC2", "load-acquire RCpc and store-release with offsets",
                   ((_ISAR1, "LRCPC", 2),), ("LRCPC",)),
        CpuFeature("PAUTH", "pointer authentication, by QARMA5",
                   ((_ISAR1, "APA", 1), (_ISAR1, "GPA", 1))),
        CpuFeature("BTI", "branch target identification", ((_PFR1, "BT", 1),)),
        CpuFeature("DPB", "DC CVAP", ((_ISAR1, "DPB", 1),)),
        CpuFeature("SB", "speculation barrier", ((_ISAR1, "SB", 1),)),
        CpuFeature("SSBS", "speculative store bypass safe", ((_PFR1, "SSBS", 2),)),
        CpuFeature("DIT", "data independent timing", ((_PFR0, "DIT", 1),)),
        CpuFeature("LOR", "limited ordering regions; none of them", ((_MMFR1, "LO", 1),)),
        CpuFeature("PAN", "privileged access never, and AT S1E1RP, S1E1WP", ((_MMFR1, "PAN", 2),)),
        CpuFeature("EPAN", "PAN for execute-only pages", ((_MMFR1, "PAN", 3),), ("PAN",)),
        CpuFeature("UAO", "user access override", ((_MMFR2, "UAO", 1),)),
        CpuFeature("HAFDBS", "access flag and dirty state by hardware", ((_MMFR1, "HAFDBS", 2),)),
        CpuFeature("HPDS", "hierarchical permission disable", ((_MMFR1, "HPDS", 1),)),
        CpuFeature("TTST", "small translation tables", ((_MMFR2, "ST", 1),)),
        CpuFeature("TTCNP", "common not private translations", ((_MMFR2, "CnP", 1),)),
        CpuFeature("E0PD", "halves of the address space closed to EL0", ((_MMFR2, "E0PD", 1),)),
        CpuFeature("LVA", "52-bit virtual addresses with 64K pages", ((_MMFR2, "VARange", 1),)),
        CpuFeature("LPA", "52-bit physical addresses with 64K pages", ((_MMFR0, "PARange", 6),)),
        CpuFeature("LPA2", "52-bit addresses with 4K and 16K pages",
                   ((_MMFR0, "TGran4", 1), (_MMFR0, "TGran16", 2)), ("LPA", "LVA")),
    )
}  # fmt: skip

_BASE = ("FP",)
#: What a system may have to be told to use: FEAT_LVA, LPA and LPA2; or what costs time: signing
#: pointers.
_ONLY_MAX = ("LVA", "LPA", "LPA2", "PAUTH")
#: The features of each named model.
MODELS: Final[dict[str, tuple[str, ...]]] = {
    "base": _BASE,
    "default": tuple(name for name in FEATURES if name not in _ONLY_MAX),
    "max": tuple(FEATURES),
}

#: Implementer 0 (reserved for software), architecture 15 (see the ID registers), part 0x051.
MIDR: Final = 0x000F_0510
#: Lines of 64 bytes, exclusives and write-back granules too; PIPT; no cleaning to the point of
#: unification needed (IDC), but instructions must be invalidated there (no DIC).
CTR: Final = 1 << 31 | 1 << 28 | 4 << 24 | 4 << 20 | 4 << 16 | 3 << 14 | 4

#: What holds in every model, before features.
_FIXED: Final[dict[str, int]] = {
    "MIDR_EL1": MIDR,
    "CTR_EL0": CTR,
    # DC ZVA clears 2**4 words.
    "DCZID_EL0": 4,
    # EL0 and EL1 in AArch64 only, no FP; branch prediction and speculation leak nothing.
    _PFR0: 1 | 1 << 4 | 0xFF << 16 | 1 << 56 | 1 << 60,
    "ID_AA64DFR0_EL1": (
        6 | (N_BREAKPOINTS - 1) << 12 | (N_WATCHPOINTS - 1) << 20
        | (N_CONTEXT_BREAKPOINTS - 1) << 28
    ),
    # 48-bit physical addresses, 16-bit ASIDs, all granules, little-endian only.
    _MMFR0: 5 | 2 << 4 | 1 << 20,
}  # fmt: skip


def clidr_of(ctr: int) -> int:
    """CLIDR_EL1 as KVM makes it up from CTR_EL0.

    Without DIC there is an instruction cache at level 1, with IDC the data cache is a unified
    one behind it.

    Examples
    --------
    >>> from saecore._cpu import CTR, clidr_of
    >>> hex(clidr_of(CTR))
    '0x2000021'
    """
    idc, dic = ctr >> 28 & 1, ctr >> 29 & 1
    loc = 2 if idc and not dic else 1
    clidr = loc << 24
    if not idc:
        clidr |= 1 << 27 | 1 << 21  # LoUU, LoUIS
    if not dic:
        clidr |= 1
    # A unified cache (4); at level 1 beside an instruction cache it is a separate data cache.
    if loc == 1 and clidr & 1:
        return clidr | 3
    return clidr | 4 << 3 * (loc - 1)


def mpidr_of(vcpu_id: int) -> int:
    """MPIDR_EL1 of a vCPU, as KVM numbers them: 16 to a cluster, 256 clusters to the next level.

    Raises
    ------
    ValueError
        A number that does not fit the affinity fields, which have 20 bits.

    Examples
    --------
    >>> from saecore._cpu import mpidr_of
    >>> hex(mpidr_of(0)), hex(mpidr_of(0x123))
    ('0x80000000', '0x80001203')
    """
    if not 0 <= vcpu_id < 1 << 20:
        raise ValueError(f"vCPU id {vcpu_id} is not in 0 to 0xfffff, which MPIDR_EL1 can show")
    return 1 << 31 | vcpu_id >> 12 << 16 | (vcpu_id >> 4 & 0xFF) << 8 | vcpu_id & 15


class CpuModel(NamedTuple):
    """A processor to model.

    Attributes
    ----------
    name : str
        The named model it was made from.
    features : frozenset of str
        Names of `FEATURES`.
    flags : Feature
        The same for ``pe_t.features``.
    registers : dict of str to int
        The ID registers that are not zero in every model, by name.
    """

    name: str
    features: frozenset[str]
    flags: Feature
    registers: dict[str, int]

    def reset_values(self, vcpu_id: int = 0) -> dict[str, int]:
        """The reset value of every register of a vCPU's save area, in its order.

        Examples
        --------
        >>> from saecore._cpu import cpu_model
        >>> values = cpu_model().reset_values()
        >>> hex(values["SCTLR_EL1"]), hex(values["MIDR_EL1"])
        ('0xc50078', '0xf0510')
        """
        reset = {row.name: row.reset for row in SYSREGS}
        reset |= self.registers | {"MPIDR_EL1": mpidr_of(vcpu_id)}
        if Feature.PAUTH in self.flags:
            reset["HCR_EL2"] |= HCR_API | HCR_APK
        return {name: reset[name] for name in saved_names()}


def _known(names: Iterable[str], role: str) -> set[str]:
    found = {names} if isinstance(names, str) else set(names)
    for name in sorted(found - FEATURES.keys()):
        raise ValueError(f"{role} names no feature {name!r}; there are {', '.join(FEATURES)}")
    return found


def _registers(features: frozenset[str]) -> dict[str, int]:
    values = {row.name: _FIXED.get(row.name, 0) for row in SYSREGS if row.model}
    values["CLIDR_EL1"] = clidr_of(values["CTR_EL0"])
    for feature in FEATURES.values():
        if feature.name in features:
            for register, field, number in feature.fields:
                values[register] = put_field(register, field, values[register], number)
    return values


def cpu_model(
    name: str = "default", *, without: Iterable[str] = (), with_: Iterable[str] = ()
) -> CpuModel:
    """A named CPU model, with features switched on or off.

    Parameters
    ----------
    name : {"base", "default", "max"}
        "base" is Armv8.0-A; "default" has what guests profit from: everything but 52-bit
        addresses and pointer authentication; "max" has those, too.
    without, with_ : iterable of str
        Features to take out or put in, by the names of `FEATURES`. Taking one out takes out
        those that need it, putting one in puts in those it needs.

    Returns
    -------
    CpuModel

    Raises
    ------
    ValueError
        An unknown model or feature, or features that are to be both in and out.

    Notes
    -----
    FEAT_FP and FEAT_AdvSIMD are advertised together by "FP". FEAT_SVE and FEAT_MTE are not there,
    and not advertised; hints of theirs are NOPs. Pointers are signed by QARMA5 (FEAT_PACQARMA5),
    and one that fails its authentication is corrupted (no FEAT_FPAC). FEAT_BTI does not need
    "PAUTH" here, though Armv8.5 has both: KVM shows guests the one without the other, too. HCR_EL2
    of a model that has PAUTH lets the guest use it, as native KVM does for a vCPU with pointer
    authentication; the s390 module's value (fact sheet sae.md 7.4) does not know of it.

    Examples
    --------
    >>> from saecore._cpu import cpu_model
    >>> hex(cpu_model("base").registers["ID_AA64ISAR0_EL1"])
    '0x0'
    >>> hex(cpu_model("base", with_=["CRC32"]).registers["ID_AA64ISAR0_EL1"])
    '0x10000'
    """
    if name not in MODELS:
        raise ValueError(f"no CPU model {name!r}; there are {', '.join(MODELS)}")
    out, into = _known(without, "without"), _known(with_, "with_")
    # FEATURES lists what is needed before what needs it.
    for feature in FEATURES.values():
        if out & set(feature.needs):
            out.add(feature.name)
    for feature in reversed(FEATURES.values()):
        if feature.name in into:
            into.update(feature.needs)
    if out & into:
        both = ", ".join(sorted(out & into))
        raise ValueError(f"{both}: both in with_ and in without, or needed there; drop one")
    features = frozenset((set(MODELS[name]) | into) - out)
    return CpuModel(name, features, flags_of(_registers(features)), _registers(features))


def flags_of(registers: dict[str, int]) -> Feature:
    """The features of `pe_t.features` that ID registers advertise.

    A VMM may have changed the registers (KVM_SET_ONE_REG), so they decide, not the model.

    Examples
    --------
    >>> from saecore._cpu import cpu_model, flags_of
    >>> flags_of(cpu_model("base").registers)
    <Feature.FP: 1>
    """
    flags = Feature(0)
    for feature in FEATURES.values():
        if feature.flag and all(
            _at_least(get_field(register, field, registers[register]), number)
            for register, field, number in feature.fields
        ):
            flags |= feature.flag
    return flags


def _at_least(number: int, wanted: int) -> bool:
    """A field means what smaller values mean as well, but for 15, which is "not there"."""
    return wanted <= number < 15
