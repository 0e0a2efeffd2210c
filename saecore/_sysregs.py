"""The system registers and system instructions of the processor: one table. Floor 6.

Nothing here may import anything compiled: `setup.py` runs this file and writes the table in C
(`include/sae_sysregs.h`, `_sysreg_codes.pxd`), by which the emitters find a register and
`_system.pyx` reads and writes it. The save area, the facade's ONE_REG list and the tests take
their names from here too.

Sources: fact sheets upcoming.md 1.1 and 1.3, sae.md 7.3 and 7.4, guest-usage.md 5; encodings,
fields and access rules of the Arm architecture (Armv8-A, D17 to D24).
"""

import re
from enum import IntEnum, IntFlag
from typing import NamedTuple

from saecore import _defs
from saecore._defs import HCR_GUEST, Changed, Feature

#: What native KVM fills registers with whose reset value is unknown (uapi.md 3.7).
UNKNOWN = 0x1DE7EC7EDBADC0DE
ALL_ONES = 0xFFFF_FFFF_FFFF_FFFF

#: The counter runs at 1 GHz: a tick is a nanosecond.
COUNTER_HZ = 1_000_000_000
N_BREAKPOINTS = 6
N_WATCHPOINTS = 4
#: Of the breakpoints, the last two compare CONTEXTIDR_EL1.
N_CONTEXT_BREAKPOINTS = 2


class Home(IntEnum):
    """Where a register's value is."""

    ZERO = 0  # nowhere: it reads as zero and ignores writes
    SAVED = 1  # pe.regs[REG_name]: in the save area while not loaded
    SPECIAL = 2  # computed, or a field of pe_t
    INSTRUCTION = 3  # no register: an instruction of the SYS space


class Right(IntFlag):
    """What an exception level may do with a register. An instruction is written."""

    NONE = 0
    R = 1
    W = 2
    RW = 3


class Gate(IntEnum):
    """What EL1 can deny EL0. The access is then trapped to EL1 with EC 0x18."""

    OPEN = 0
    UCT = 1  # SCTLR_EL1.UCT
    UMA = 2  # SCTLR_EL1.UMA
    DZE = 3  # SCTLR_EL1.DZE
    UCI = 4  # SCTLR_EL1.UCI
    COUNTER_P = 5  # CNTKCTL_EL1.EL0PCTEN
    COUNTER_V = 6  # CNTKCTL_EL1.EL0VCTEN
    COUNTER_ANY = 7  # either
    TIMER_P = 8  # CNTKCTL_EL1.EL0PTEN
    TIMER_V = 9  # CNTKCTL_EL1.EL0VTEN
    DCC = 10  # MDSCR_EL1.TDCC clear


class Special(IntEnum):
    """How `_system.pyx` reads or writes what is more than a word; of a saved one, how it is
    written."""

    NONE = 0
    NZCV = 1
    DAIF = 2
    CURRENT_EL = 3
    SPSEL = 4
    PSTATE_BIT = 5  # PAN, UAO, DIT, SSBS: `mask` is the bit
    SP_EL0 = 6
    FPCR = 7
    FPSR = 8
    SCTLR = 9
    CONTEXTIDR = 10
    CCSIDR = 11
    DCZID = 12
    ISR = 13
    COUNTER = 14
    CNTP_CTL = 15
    CNTV_CTL = 16
    CNTP_TVAL = 17
    CNTV_TVAL = 18
    OSLAR = 19
    CLAIM_SET = 20
    CLAIM_CLEAR = 21
    # Instructions.
    NOTHING = 22
    IC_ALL = 23
    IC_VA = 24
    DC_VA = 25
    DC_VA_WRITE = 26
    DC_ZVA = 27
    AT = 28
    TLBI_ALL = 29
    TLBI_VA = 30
    TLBI_VA_ANY = 31
    TLBI_ASID = 32


class Sysreg(NamedTuple):
    """A system register, or an instruction of the SYS space.

    `mask` are the bits a write changes; the others read as zero. A write with an `effect` ends
    its block, and pe.changed tells the loop of the effect if there is one to follow. `trap` is
    the HCR_EL2 bit that hands the access to the hypervisor. `one_reg` says whether
    KVM_GET_ONE_REG knows it. `model` marks values that the CPU model gives (`_cpu.py`).
    """

    name: str
    op0: int
    op1: int
    crn: int
    crm: int
    op2: int
    home: Home
    el1: Right
    el0: Right
    mask: int
    reset: int
    special: Special
    effect: Changed
    gate: Gate
    trap: int
    feature: Feature
    one_reg: bool
    model: bool

    @property
    def key(self) -> int:
        """Op0, Op1, CRn, CRm and Op2 in 16 bits, as ONE_REG ids, SASR and MRS have them."""
        return self.op0 << 14 | self.op1 << 11 | self.crn << 7 | self.crm << 3 | self.op2


_NO_EFFECT = Changed(0)
_NO_FEATURE = Feature(0)


def _row(
    name: str,
    code: str,
    home: Home = Home.SAVED,
    *,
    el1: Right = Right.RW,
    el0: Right = Right.NONE,
    mask: int = ALL_ONES,
    reset: int = 0,
    special: Special = Special.NONE,
    effect: Changed = _NO_EFFECT,
    gate: Gate = Gate.OPEN,
    trap: int = 0,
    feature: Feature = _NO_FEATURE,
    one_reg: bool = False,
    model: bool = False,
) -> Sysreg:
    found = re.fullmatch(r"S(\d)_(\d)_C(\d+)_C(\d+)_(\d)", code)
    assert found, f"{name}: {code} is no encoding"
    op0, op1, crn, crm, op2 = map(int, found.groups())
    return Sysreg(
        name, op0, op1, crn, crm, op2, home, el1, el0, mask, reset, special, effect, gate, trap,
        feature, one_reg, model,
    )  # fmt: skip


def _id(name: str, code: str, trap: int = _defs.HCR_TID3, **more: bool) -> Sysreg:
    """An identification register whose value the CPU model gives."""
    one_reg = more.get("one_reg", True)
    return _row(name, code, el1=Right.R, trap=trap, one_reg=one_reg, model=True)


def _special(name: str, code: str, special: Special, **more: object) -> Sysreg:
    return _row(name, code, Home.SPECIAL, special=special, **more)  # type: ignore[arg-type]


def _zero(name: str, code: str, **more: object) -> Sysreg:
    return _row(name, code, Home.ZERO, **more)  # type: ignore[arg-type]


def _do(name: str, code: str, special: Special, **more: object) -> Sysreg:
    return _row(name, code, Home.INSTRUCTION, el1=Right.W, special=special, **more)  # type: ignore[arg-type]


def _bits(*numbers: int) -> int:
    return sum(1 << number for number in numbers)


#: SCTLR_EL1 bits that hold what is written: those that mean something to a processor with every
#: feature here (`_system.pyx` takes out what features lack), and those that should be one. Not
#: EE and E0E: there is no big-endian data, as ID_AA64MMFR0_EL1 says.
SCTLR_WRITABLE = (
    _bits(0, 1, 2, 3, 4, 9, 12, 13, 14, 15, 16, 18, 19, 23, 26, 27, 30, 31, 35, 36, 44, 57)
    | _bits(5, 6, 7, 8, 11, 20, 22, 28, 29)
)  # fmt: skip

_TRANSLATION = [
    _row("SCTLR_EL1", "S3_0_C1_C0_0", mask=SCTLR_WRITABLE, reset=0x00C5_0078,
         special=Special.SCTLR, effect=Changed.TRANSLATION, one_reg=True),
    _row("TTBR0_EL1", "S3_0_C2_C0_0", effect=Changed.TRANSLATION, one_reg=True),
    _row("TTBR1_EL1", "S3_0_C2_C0_1", effect=Changed.TRANSLATION, one_reg=True),
    _row("TCR_EL1", "S3_0_C2_C0_2", effect=Changed.TRANSLATION, one_reg=True),
    _row("MAIR_EL1", "S3_0_C10_C2_0", reset=UNKNOWN, effect=Changed.TRANSLATION, one_reg=True),
    _zero("AMAIR_EL1", "S3_0_C10_C3_0"),
    _row("PAR_EL1", "S3_0_C7_C4_0"),
]  # fmt: skip

_EXCEPTIONS = [
    _row("VBAR_EL1", "S3_0_C12_C0_0", mask=ALL_ONES & ~0x7FF, one_reg=True),
    _row("ESR_EL1", "S3_0_C5_C2_0"),
    _row("FAR_EL1", "S3_0_C6_C0_0"),
    _row("ELR_EL1", "S3_0_C4_C0_1"),
    _row("SPSR_EL1", "S3_0_C4_C0_0"),
    _row("AFSR0_EL1", "S3_0_C5_C1_0"),
    _row("AFSR1_EL1", "S3_0_C5_C1_1"),
    _special("ISR_EL1", "S3_0_C12_C1_0", Special.ISR, el1=Right.R),
]

_STATE = [
    _special("NZCV", "S3_3_C4_C2_0", Special.NZCV, el0=Right.RW),
    _special("DAIF", "S3_3_C4_C2_1", Special.DAIF, el0=Right.RW, gate=Gate.UMA,
             effect=Changed.MODE),
    _special("CurrentEL", "S3_0_C4_C2_2", Special.CURRENT_EL, el1=Right.R),
    _special("SPSel", "S3_0_C4_C2_0", Special.SPSEL, mask=_defs.PSTATE_SP),
    _special("PAN", "S3_0_C4_C2_3", Special.PSTATE_BIT, mask=_defs.PSTATE_PAN,
             feature=Feature.PAN),
    _special("UAO", "S3_0_C4_C2_4", Special.PSTATE_BIT, mask=_defs.PSTATE_UAO,
             feature=Feature.UAO),
    _special("DIT", "S3_3_C4_C2_5", Special.PSTATE_BIT, mask=_defs.PSTATE_DIT, el0=Right.RW,
             feature=Feature.DIT),
    _special("SSBS", "S3_3_C4_C2_6", Special.PSTATE_BIT, mask=_defs.PSTATE_SSBS, el0=Right.RW,
             feature=Feature.SSBS),
    _special("SP_EL0", "S3_0_C4_C1_0", Special.SP_EL0),
    _special("FPCR", "S3_3_C4_C4_0", Special.FPCR, el0=Right.RW, mask=0x07C8_0000,
             feature=Feature.FP),
    _special("FPSR", "S3_3_C4_C4_1", Special.FPSR, el0=Right.RW, mask=0x0800_009F,
             feature=Feature.FP),
]  # fmt: skip

_CONTROL = [
    _row("CPACR_EL1", "S3_0_C1_C0_2", mask=3 << 20, effect=Changed.MODE, one_reg=True),
    _zero("ACTLR_EL1", "S3_0_C1_C0_1"),
    _row("TPIDR_EL0", "S3_3_C13_C0_2", el0=Right.RW),
    _row("TPIDRRO_EL0", "S3_3_C13_C0_3", el0=Right.R),
    _row("TPIDR_EL1", "S3_0_C13_C0_4", reset=UNKNOWN, one_reg=True),
    _special("CONTEXTIDR_EL1", "S3_0_C13_C0_1", Special.CONTEXTIDR, mask=0xFFFF_FFFF,
             effect=Changed.DEBUG),
    # No LORegions: LORID_EL1 is zero, and so is the rest.
    _zero("LORSA_EL1", "S3_0_C10_C4_0", trap=_defs.HCR_TLOR, feature=Feature.LOR),
    _zero("LOREA_EL1", "S3_0_C10_C4_1", trap=_defs.HCR_TLOR, feature=Feature.LOR),
    _zero("LORN_EL1", "S3_0_C10_C4_2", trap=_defs.HCR_TLOR, feature=Feature.LOR),
    _zero("LORC_EL1", "S3_0_C10_C4_3", trap=_defs.HCR_TLOR, feature=Feature.LOR),
    _zero("LORID_EL1", "S3_0_C10_C4_7", el1=Right.R, trap=_defs.HCR_TLOR, feature=Feature.LOR),
    # The hypervisor's; the guest has no EL2.
    _row("HCR_EL2", "S3_4_C1_C1_0", el1=Right.NONE, reset=HCR_GUEST),
]  # fmt: skip

#: The keys of pointer authentication. Accesses are trapped while HCR_EL2.APK is clear.
_KEYS = [
    _row(f"AP{key}Key{half}_EL1", f"S3_0_C2_C{crm}_{op2 + low}", trap=_defs.HCR_APK,
         feature=Feature.PAUTH)
    for key, crm, op2 in (("IA", 1, 0), ("IB", 1, 2), ("DA", 2, 0), ("DB", 2, 2), ("GA", 3, 0))
    for low, half in enumerate(("Lo", "Hi"))
]  # fmt: skip

_TIMERS = [
    _row("CNTFRQ_EL0", "S3_3_C14_C0_0", el1=Right.R, el0=Right.R, gate=Gate.COUNTER_ANY,
         reset=COUNTER_HZ, one_reg=True),
    _special("CNTPCT_EL0", "S3_3_C14_C0_1", Special.COUNTER, el1=Right.R, el0=Right.R,
             gate=Gate.COUNTER_P, one_reg=True),
    _special("CNTVCT_EL0", "S3_3_C14_C0_2", Special.COUNTER, el1=Right.R, el0=Right.R,
             gate=Gate.COUNTER_V, one_reg=True),
    _special("CNTP_TVAL_EL0", "S3_3_C14_C2_0", Special.CNTP_TVAL, el0=Right.RW,
             gate=Gate.TIMER_P, effect=Changed.TIMER),
    _special("CNTP_CTL_EL0", "S3_3_C14_C2_1", Special.CNTP_CTL, el0=Right.RW, mask=3,
             gate=Gate.TIMER_P, effect=Changed.TIMER, one_reg=True),
    _row("CNTP_CVAL_EL0", "S3_3_C14_C2_2", el0=Right.RW, gate=Gate.TIMER_P,
         effect=Changed.TIMER, one_reg=True),
    _special("CNTV_TVAL_EL0", "S3_3_C14_C3_0", Special.CNTV_TVAL, el0=Right.RW,
             gate=Gate.TIMER_V, effect=Changed.TIMER),
    _special("CNTV_CTL_EL0", "S3_3_C14_C3_1", Special.CNTV_CTL, el0=Right.RW, mask=3,
             gate=Gate.TIMER_V, effect=Changed.TIMER, one_reg=True),
    _row("CNTV_CVAL_EL0", "S3_3_C14_C3_2", el0=Right.RW, gate=Gate.TIMER_V,
         effect=Changed.TIMER, one_reg=True),
    _row("CNTKCTL_EL1", "S3_0_C14_C1_0", mask=0x3FF),
]  # fmt: skip

_IDENTITY = [
    _id("MIDR_EL1", "S3_0_C0_C0_0", trap=0),
    _row("MPIDR_EL1", "S3_0_C0_C0_5", el1=Right.R, reset=1 << 31, one_reg=True),
    _id("REVIDR_EL1", "S3_0_C0_C0_6", trap=_defs.HCR_TID1),
    _id("AIDR_EL1", "S3_1_C0_C0_7", trap=_defs.HCR_TID1),
    _id("ID_AA64PFR0_EL1", "S3_0_C0_C4_0"),
    _id("ID_AA64PFR1_EL1", "S3_0_C0_C4_1"),
    _id("ID_AA64DFR0_EL1", "S3_0_C0_C5_0"),
    _id("ID_AA64ISAR0_EL1", "S3_0_C0_C6_0"),
    _id("ID_AA64ISAR1_EL1", "S3_0_C0_C6_1"),
    _id("ID_AA64MMFR0_EL1", "S3_0_C0_C7_0"),
    _id("ID_AA64MMFR1_EL1", "S3_0_C0_C7_1"),
    _id("ID_AA64MMFR2_EL1", "S3_0_C0_C7_2"),
    _row("CTR_EL0", "S3_3_C0_C0_1", el1=Right.R, el0=Right.R, gate=Gate.UCT,
         trap=_defs.HCR_TID2, one_reg=True, model=True),
    _row("DCZID_EL0", "S3_3_C0_C0_7", Home.SAVED, el1=Right.R, el0=Right.R,
         special=Special.DCZID, model=True),
    _id("CLIDR_EL1", "S3_1_C0_C0_1", trap=_defs.HCR_TID2 | _defs.HCR_TID4),
    _special("CCSIDR_EL1", "S3_1_C0_C0_0", Special.CCSIDR, el1=Right.R,
             trap=_defs.HCR_TID2 | _defs.HCR_TID4),
    _row("CSSELR_EL1", "S3_2_C0_C0_0", mask=0xF, reset=UNKNOWN,
         trap=_defs.HCR_TID2 | _defs.HCR_TID4, one_reg=True),
]  # fmt: skip

#: Names of the identification registers that are zero in every model; those of op2 without a
#: name are reserved, and zero as well.
_ZERO_ID_NAMES = {
    1: ["ID_PFR0", "ID_PFR1", "ID_DFR0", "ID_AFR0", "ID_MMFR0", "ID_MMFR1", "ID_MMFR2",
        "ID_MMFR3"],
    2: ["ID_ISAR0", "ID_ISAR1", "ID_ISAR2", "ID_ISAR3", "ID_ISAR4", "ID_ISAR5", "ID_MMFR4",
        "ID_ISAR6"],
    3: ["MVFR0", "MVFR1", "MVFR2", "", "ID_PFR2", "ID_DFR1", "ID_MMFR5", ""],
    4: ["", "", "ID_AA64PFR2", "", "ID_AA64ZFR0", "ID_AA64SMFR0", "", "ID_AA64FPFR0"],
    5: ["", "ID_AA64DFR1", "ID_AA64DFR2", "", "ID_AA64AFR0", "ID_AA64AFR1", "", ""],
    6: ["", "", "ID_AA64ISAR2", "ID_AA64ISAR3", "", "", "", ""],
    7: ["", "", "", "ID_AA64MMFR3", "ID_AA64MMFR4", "", "", ""],
}  # fmt: skip


def _zero_ids() -> list[Sysreg]:
    taken = {row.key for row in _IDENTITY}
    rows = []
    for crm, names in _ZERO_ID_NAMES.items():
        for op2, name in enumerate(names):
            code = f"S3_0_C0_C{crm}_{op2}"
            row = _zero(f"{name}_EL1" if name else code, code, el1=Right.R, trap=_defs.HCR_TID3,
                        one_reg=True)  # fmt: skip
            rows += [row] if row.key not in taken else []
    return rows


def _debug_pairs(value: str, control: str, op2: int, count: int, control_mask: int) -> list[Sysreg]:
    rows = []
    for n in range(count):
        low = 0 if value == "DBGBVR" else 3  # a context breakpoint compares all 32 bits
        rows.append(_row(f"{value}{n}_EL1", f"S2_0_C0_C{n}_{op2}", mask=ALL_ONES & ~low,
                         effect=Changed.DEBUG))  # fmt: skip
        rows.append(_row(f"{control}{n}_EL1", f"S2_0_C0_C{n}_{op2 + 1}", mask=control_mask,
                         effect=Changed.DEBUG))  # fmt: skip
    return rows


_DEBUG = [
    # HDE and the transfer bits belong to halting debug, which is not there: they read as zero.
    _row("MDSCR_EL1", "S2_0_C0_C2_2", effect=Changed.DEBUG,
         mask=_defs.MDSCR_SS | _defs.MDSCR_TDCC | _defs.MDSCR_KDE | _defs.MDSCR_MDE),
    *_debug_pairs("DBGBVR", "DBGBCR", 4, N_BREAKPOINTS, 0x00FF_E1E7),
    *_debug_pairs("DBGWVR", "DBGWCR", 6, N_WATCHPOINTS, 0x1F1F_FFFF),
    _special("OSLAR_EL1", "S2_0_C1_C0_4", Special.OSLAR, el1=Right.W, effect=Changed.DEBUG),
    _row("OSLSR_EL1", "S2_0_C1_C1_4", el1=Right.R, reset=0x8, one_reg=True),
    _row("OSDLR_EL1", "S2_0_C1_C3_4", mask=1, effect=Changed.DEBUG),
    _row("DBGPRCR_EL1", "S2_0_C1_C4_4", mask=1, effect=Changed.DEBUG),
    _special("DBGCLAIMSET_EL1", "S2_0_C7_C8_6", Special.CLAIM_SET, mask=0xFF),
    _row("DBGCLAIMCLR_EL1", "S2_0_C7_C9_6", special=Special.CLAIM_CLEAR, mask=0xFF),
    _zero("DBGAUTHSTATUS_EL1", "S2_0_C7_C14_6", el1=Right.R),
    _zero("MDRAR_EL1", "S2_0_C1_C0_0", el1=Right.R),
    # The debug communications channel leads nowhere.
    _zero("MDCCSR_EL0", "S2_3_C0_C1_0", el1=Right.R, el0=Right.R, gate=Gate.DCC),
    _zero("MDCCINT_EL1", "S2_0_C0_C2_0"),
    _zero("DBGDTR_EL0", "S2_3_C0_C4_0", el0=Right.RW, gate=Gate.DCC),
    _zero("DBGDTRTX_EL0", "S2_3_C0_C5_0", el0=Right.RW, gate=Gate.DCC),
    _zero("OSDTRRX_EL1", "S2_0_C0_C0_2"),
    _zero("OSDTRTX_EL1", "S2_0_C0_C3_2"),
    _zero("OSECCR_EL1", "S2_0_C0_C6_2"),
]  # fmt: skip

_CACHES = [
    _do("IC IALLUIS", "S1_0_C7_C1_0", Special.IC_ALL, effect=Changed.CODE),
    _do("IC IALLU", "S1_0_C7_C5_0", Special.IC_ALL, effect=Changed.CODE),
    _do("IC IVAU", "S1_3_C7_C5_1", Special.IC_VA, el0=Right.W, gate=Gate.UCI,
        effect=Changed.CODE),
    _do("DC IVAC", "S1_0_C7_C6_1", Special.DC_VA_WRITE),
    _do("DC ISW", "S1_0_C7_C6_2", Special.NOTHING),
    _do("DC CSW", "S1_0_C7_C10_2", Special.NOTHING),
    _do("DC CISW", "S1_0_C7_C14_2", Special.NOTHING),
    _do("DC ZVA", "S1_3_C7_C4_1", Special.DC_ZVA, el0=Right.W, gate=Gate.DZE),
    _do("DC CVAC", "S1_3_C7_C10_1", Special.DC_VA, el0=Right.W, gate=Gate.UCI),
    _do("DC CVAU", "S1_3_C7_C11_1", Special.DC_VA, el0=Right.W, gate=Gate.UCI),
    _do("DC CVAP", "S1_3_C7_C12_1", Special.DC_VA, el0=Right.W, gate=Gate.UCI,
        feature=Feature.DPB),
    _do("DC CIVAC", "S1_3_C7_C14_1", Special.DC_VA, el0=Right.W, gate=Gate.UCI),
]  # fmt: skip

_ADDRESSES = [
    _do("AT S1E1R", "S1_0_C7_C8_0", Special.AT),
    _do("AT S1E1W", "S1_0_C7_C8_1", Special.AT),
    _do("AT S1E0R", "S1_0_C7_C8_2", Special.AT),
    _do("AT S1E0W", "S1_0_C7_C8_3", Special.AT),
    _do("AT S1E1RP", "S1_0_C7_C9_0", Special.AT, feature=Feature.PAN),
    _do("AT S1E1WP", "S1_0_C7_C9_1", Special.AT, feature=Feature.PAN),
]

#: Name, op2 and meaning; each has an inner shareable form (CRm 3) and a local one (CRm 7).
_TLBI_KINDS = [
    ("VMALLE1", 0, Special.TLBI_ALL),
    ("VAE1", 1, Special.TLBI_VA),
    ("ASIDE1", 2, Special.TLBI_ASID),
    ("VAAE1", 3, Special.TLBI_VA_ANY),
    ("VALE1", 5, Special.TLBI_VA),
    ("VAALE1", 7, Special.TLBI_VA_ANY),
]
_TLBI = [
    _do(f"TLBI {name}{shared}", f"S1_0_C8_C{crm}_{op2}", what, effect=Changed.TRANSLATION)
    for shared, crm in (("IS", 3), ("", 7))
    for name, op2, what in _TLBI_KINDS
]

#: Every row, in the order of the groups above; encodings are unique.
SYSREGS: tuple[Sysreg, ...] = (
    *_TRANSLATION, *_EXCEPTIONS, *_CONTROL, *_IDENTITY, *_STATE, *_TIMERS, *_DEBUG, *_KEYS,
    *_zero_ids(), *_CACHES, *_ADDRESSES, *_TLBI,
)  # fmt: skip
BY_NAME = {row.name: row for row in SYSREGS}


def find(name: str) -> Sysreg:
    """The row of a register or system instruction.

    Raises
    ------
    KeyError
        A name that is not in the table.

    Examples
    --------
    >>> from saecore._sysregs import find
    >>> hex(find("SCTLR_EL1").key), find("SCTLR_EL1").one_reg
    ('0xc080', True)
    """
    if name not in BY_NAME:
        raise KeyError(f"no system register {name!r}; saecore._sysregs.SYSREGS lists them")
    return BY_NAME[name]


def saved_names() -> list[str]:
    """The registers a save area holds, in its order.

    Examples
    --------
    >>> from saecore._sysregs import saved_names
    >>> saved_names()[:3]
    ['SCTLR_EL1', 'TTBR0_EL1', 'TTBR1_EL1']
    """
    return [row.name for row in SYSREGS if row.home is Home.SAVED]
