"""Fields of the identification registers, and which of them a VMM may write. Floor 6.

Sources: Arm architecture, ID registers; fact sheet upcoming.md 1.4.
"""

from errno import EINVAL
from typing import Final

#: Lowest bit of each field that something here needs by name. Fields have four bits unless
#: `WIDTHS` says otherwise.
FIELDS: Final[dict[str, dict[str, int]]] = {
    "ID_AA64PFR0_EL1": {
        "EL0": 0, "EL1": 4, "EL2": 8, "EL3": 12, "FP": 16, "AdvSIMD": 20, "GIC": 24, "RAS": 28,
        "SVE": 32, "SEL2": 36, "MPAM": 40, "AMU": 44, "DIT": 48, "RME": 52, "CSV2": 56,
        "CSV3": 60,
    },
    "ID_AA64PFR1_EL1": {
        "BT": 0, "SSBS": 4, "MTE": 8, "RAS_frac": 12, "MPAM_frac": 16, "RES0": 20, "SME": 24,
        "RNDR_trap": 28, "CSV2_frac": 32, "NMI": 36, "MTE_frac": 40, "GCS": 44, "THE": 48,
        "MTEX": 52, "DF2": 56, "PFAR": 60,
    },
    "ID_AA64PFR2_EL1": {"MTEPERM": 0, "MTESTOREONLY": 4, "MTEFAR": 8, "GCIE": 12, "FPMR": 32},
    "ID_AA64ZFR0_EL1": {
        "SVEver": 0, "AES": 4, "EltPerm": 12, "BitPerm": 16, "BF16": 20, "B16B16": 24,
        "SHA3": 32, "SM4": 40, "I8MM": 44, "F16MM": 48, "F32MM": 52, "F64MM": 56,
    },
    "ID_AA64FPFR0_EL1": {
        "F8E5M2": 0, "F8E4M3": 1, "F8MM4": 26, "F8MM8": 27, "F8DP2": 28, "F8DP4": 29,
        "F8FMA": 30, "F8CVT": 31,
    },
    "ID_AA64DFR0_EL1": {
        "DebugVer": 0, "TraceVer": 4, "PMUVer": 8, "BRPs": 12, "PMSS": 16, "WRPs": 20,
        "SEBEP": 24, "CTX_CMPs": 28, "PMSVer": 32, "DoubleLock": 36,
    },
    "ID_AA64ISAR0_EL1": {
        "RES0": 0, "AES": 4, "SHA1": 8, "SHA2": 12, "CRC32": 16, "Atomic": 20, "TME": 24,
        "RDM": 28, "SHA3": 32, "SM3": 36, "SM4": 40, "DP": 44, "FHM": 48, "TS": 52, "TLB": 56,
        "RNDR": 60,
    },
    "ID_AA64ISAR1_EL1": {
        "DPB": 0, "APA": 4, "API": 8, "JSCVT": 12, "FCMA": 16, "LRCPC": 20, "GPA": 24,
        "GPI": 28, "FRINTTS": 32, "SB": 36, "SPECRES": 40, "BF16": 44, "DGH": 48, "I8MM": 52,
        "XS": 56, "LS64": 60,
    },
    "ID_AA64ISAR2_EL1": {"GPA3": 8, "APA3": 12, "RES0": 44},
    "ID_AA64ISAR3_EL1": {"FAMINMAX": 4, "FPRCVT": 28},
    "ID_AA64MMFR0_EL1": {
        "PARange": 0, "ASIDBits": 4, "BigEnd": 8, "SNSMem": 12, "BigEndEL0": 16, "TGran16": 20,
        "TGran64": 24, "TGran4": 28, "TGran16_2": 32, "TGran64_2": 36, "TGran4_2": 40,
        "ExS": 44, "RES0": 48, "FGT": 56, "ECV": 60,
    },
    "ID_AA64MMFR1_EL1": {
        "HAFDBS": 0, "VMIDBits": 4, "VH": 8, "HPDS": 12, "LO": 16, "PAN": 20, "SpecSEI": 24,
        "XNX": 28, "TWED": 32, "ETS": 36, "HCX": 40, "AFP": 44, "nTLBPA": 48, "TIDCP1": 52,
        "CMOVW": 56, "ECBHB": 60,
    },
    "ID_AA64MMFR2_EL1": {
        "CnP": 0, "UAO": 4, "LSM": 8, "IESB": 12, "VARange": 16, "CCIDX": 20, "NV": 24, "ST": 28,
        "AT": 32, "IDS": 36, "FWB": 40, "RES0": 44, "TTL": 48, "BBM": 52, "EVT": 56, "E0PD": 60,
    },
    "ID_AA64MMFR3_EL1": {"TCRX": 0, "S1PIE": 8, "S1POE": 16},
    "ID_AA64MMFR4_EL1": {"NV_frac": 20},
    "CTR_EL0": {"IminLine": 0, "L1Ip": 14, "DminLine": 16, "ERG": 20, "CWG": 24, "IDC": 28,
                "DIC": 29},
}  # fmt: skip
WIDTHS: Final[dict[tuple[str, str], int]] = {
    ("CTR_EL0", "L1Ip"): 2,
    ("CTR_EL0", "IDC"): 1,
    ("CTR_EL0", "DIC"): 1,
    ("ID_AA64MMFR0_EL1", "RES0"): 8,
    **{("ID_AA64FPFR0_EL1", name): 1 for name in FIELDS["ID_AA64FPFR0_EL1"]},
}

_ALL_ONES = 0xFFFF_FFFF_FFFF_FFFF


def field_mask(register: str, field: str) -> int:
    """The bits of a field, in place.

    Examples
    --------
    >>> from saecore._idregs import field_mask
    >>> hex(field_mask("CTR_EL0", "L1Ip"))
    '0xc000'
    """
    width = WIDTHS.get((register, field), 4)
    return ((1 << width) - 1) << FIELDS[register][field]


def get_field(register: str, field: str, value: int) -> int:
    """A field of a register's value."""
    return (value & field_mask(register, field)) >> FIELDS[register][field]


def put_field(register: str, field: str, value: int, number: int) -> int:
    """The value with a field replaced."""
    placed = number << FIELDS[register][field]
    return value & ~field_mask(register, field) | placed & field_mask(register, field)


def _only(register: str, *fields: str) -> int:
    return sum(field_mask(register, field) for field in fields)


def _all_but(register: str, *fields: str) -> int:
    return _ALL_ONES & ~_only(register, *fields)


#: Bits of each ID register that KVM_SET_ONE_REG may change; those of a register that is not
#: here are all fixed. MIDR_EL1, REVIDR_EL1 and AIDR_EL1 can be written as a whole, but only
#: with KVM_CAP_ARM_WRITABLE_IMP_ID_REGS.
WRITABLE: Final[dict[str, int]] = {
    "ID_AA64PFR0_EL1": _all_but(
        "ID_AA64PFR0_EL1", "AMU", "MPAM", "SVE", "RAS", "GIC", "AdvSIMD", "FP"),
    "ID_AA64PFR1_EL1": _all_but(
        "ID_AA64PFR1_EL1", "PFAR", "DF2", "MTEX", "THE", "GCS", "MTE_frac", "NMI", "RNDR_trap",
        "SME", "RES0", "MPAM_frac", "RAS_frac", "MTE"),
    "ID_AA64PFR2_EL1": _only("ID_AA64PFR2_EL1", "FPMR", "MTEFAR", "MTESTOREONLY", "GCIE"),
    "ID_AA64ZFR0_EL1": _only("ID_AA64ZFR0_EL1", *FIELDS["ID_AA64ZFR0_EL1"]),
    "ID_AA64FPFR0_EL1": _only("ID_AA64FPFR0_EL1", *FIELDS["ID_AA64FPFR0_EL1"]),
    "ID_AA64ISAR0_EL1": _all_but("ID_AA64ISAR0_EL1", "RES0"),
    "ID_AA64DFR0_EL1": _only("ID_AA64DFR0_EL1", "DoubleLock", "WRPs", "PMUVer", "DebugVer"),
    "ID_AA64ISAR1_EL1": _all_but("ID_AA64ISAR1_EL1", "GPI", "GPA", "API", "APA"),
    "ID_AA64ISAR2_EL1": _all_but("ID_AA64ISAR2_EL1", "RES0", "APA3", "GPA3"),
    "ID_AA64ISAR3_EL1": _only("ID_AA64ISAR3_EL1", "FPRCVT", "FAMINMAX"),
    "ID_AA64MMFR0_EL1": _all_but("ID_AA64MMFR0_EL1", "RES0", "ASIDBits"),
    "ID_AA64MMFR1_EL1": _all_but("ID_AA64MMFR1_EL1", "HCX", "TWED", "XNX", "VH", "VMIDBits"),
    "ID_AA64MMFR2_EL1": _all_but(
        "ID_AA64MMFR2_EL1", "RES0", "EVT", "FWB", "IDS", "NV", "CCIDX"),
    "ID_AA64MMFR3_EL1": _only("ID_AA64MMFR3_EL1", "TCRX", "S1PIE", "S1POE"),
    "ID_AA64MMFR4_EL1": _only("ID_AA64MMFR4_EL1", "NV_frac"),
    "CTR_EL0": _only("CTR_EL0", "DIC", "IDC", "DminLine", "L1Ip", "IminLine"),
}  # fmt: skip


def write_errno(register: str, old: int, new: int, host: int) -> int:
    """Why KVM_SET_ONE_REG may not change an ID register, as an errno, or 0.

    Parameters
    ----------
    register : str
        Name in the table of system registers.
    old, new : int
        The present value and the one to be.
    host : int
        The value of the processor itself, before anyone wrote it.

    Returns
    -------
    int
        0 or ``errno.EINVAL``. That a register cannot change after the first run (-EBUSY) is
        the vCPU's to say.

    Notes
    -----
    Source: fact sheet upcoming.md 1.4; all of these reach userspace as -EINVAL.

    Examples
    --------
    >>> from saecore._idregs import write_errno
    >>> write_errno("ID_AA64ZFR0_EL1", 0, 0, 0), write_errno("ID_PFR0_EL1", 0, 1, 0)
    (0, 22)
    """
    if (old ^ new) & ~WRITABLE.get(register, 0):
        return EINVAL
    fine = True
    if register == "ID_AA64MMFR0_EL1":
        fine = get_field(register, "PARange", new) <= get_field(register, "PARange", host)
    elif register == "ID_AA64PFR0_EL1":
        fine = bool(get_field(register, "EL0", new) and get_field(register, "EL1", new))
    elif register == "ID_AA64DFR0_EL1":
        fine = get_field(register, "DebugVer", new) >= 6
    elif register == "CTR_EL0":
        # 2 is VIPT, 3 is PIPT; what is virtually tagged cannot be said to be otherwise.
        policy = get_field(register, "L1Ip", new)
        fine = policy >= 2 and not (policy == 3 and get_field(register, "L1Ip", host) == 2)
    return 0 if fine else EINVAL
