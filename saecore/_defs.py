"""Every constant of the SAE architecture and of A64 that more than one module needs. Floor 6.

Nothing here may import anything compiled: `setup.py` runs this file and writes `_defs.pxd` and
`include/sae_defs.h` from it, as it does for `gmap/_defs.py`. Plain names become ``uint64_t``
constants in Cython and C; members of the enumerations become ``int`` constants called
``CLASS_MEMBER`` in upper case (`Icptr.VALIDITY` is ``ICPTR_VALIDITY``).

Source: fact sheet sae.md sections 1 to 9; the Arm architecture's PSTATE, SPSR and ESR layouts.
"""

from enum import IntEnum, IntFlag
from typing import Final

# --- the control block and the save area (sae.md 1, 2) --------------------------------------
SAE_SD_FORMAT_0: Final = 0
SAE_SAF_FORMAT_0: Final = 0
SAE_SAS_VALID: Final = 1
N_SAVED_REGS: Final = 508


class Icptr(IntEnum):
    """Interception codes (sae.md 3)."""

    SPURIOUS = 0
    VALIDITY = 1
    HOST_ACCESS_EXCEPTION = 2
    SYNCHRONOUS_EXCEPTION = 3
    TIMER = 4
    PE_INTERCOMM = 5
    GUEST_ADDRESS_SIZE = 6
    STOP = 7
    MIO_ADDRESS = 8
    PMU = 9
    MAINTENANCE = 10


class Vir(IntEnum):
    """Reasons of a validity interception (sae.md 3.1)."""

    UNKNOWN = 0
    UNSUPP_FORMAT = 1
    MSO_BOUNDS = 2
    MSLA = 3
    MGPAS = 4
    INVAL_SYSREG = 5
    HOST_CONTROL = 6
    SCA = 7
    MSO_ALIGN = 8
    HLC = 9
    IRPTC = 10


class Fsi(IntEnum):
    """Fetch/store indication of a TEID (sae.md 5), in place."""

    UNKNOWN = 0
    STORE = 1
    FETCH = 2


TEID_FSI_SHIFT: Final = 10
TIR_VIRT: Final = 0x40
TIR_PHYS: Final = 0x80


# --- PSTATE, in SPSR_ELx layout -------------------------------------------------------------
PSTATE_N: Final = 1 << 31
PSTATE_Z: Final = 1 << 30
PSTATE_C: Final = 1 << 29
PSTATE_V: Final = 1 << 28
PSTATE_NZCV: Final = 0xF << 28
PSTATE_TCO: Final = 1 << 25
PSTATE_DIT: Final = 1 << 24
PSTATE_UAO: Final = 1 << 23
PSTATE_PAN: Final = 1 << 22
PSTATE_SS: Final = 1 << 21
PSTATE_IL: Final = 1 << 20
PSTATE_SSBS: Final = 1 << 12
PSTATE_BTYPE: Final = 3 << 10
PSTATE_BTYPE_SHIFT: Final = 10
PSTATE_D: Final = 1 << 9
PSTATE_A: Final = 1 << 8
PSTATE_I: Final = 1 << 7
PSTATE_F: Final = 1 << 6
PSTATE_DAIF: Final = 0xF << 6
PSTATE_NRW: Final = 1 << 4
PSTATE_MODE: Final = 0x1F
PSTATE_EL: Final = 3 << 2
PSTATE_SP: Final = 1
MODE_EL0T: Final = 0
MODE_EL1T: Final = 4
MODE_EL1H: Final = 5
PSTATE_RESET: Final = 0x3C5  # EL1h, DAIF masked (sae.md 7.3)

# --- ESR (sae.md 9) -------------------------------------------------------------------------
ESR_EC_SHIFT: Final = 26
ESR_IL: Final = 1 << 25
ESR_ISV: Final = 1 << 24
ESR_SAS_SHIFT: Final = 22
ESR_SSE: Final = 1 << 21
ESR_SRT_SHIFT: Final = 16
ESR_SF: Final = 1 << 15
ESR_AR: Final = 1 << 14
ESR_EA: Final = 1 << 9
ESR_CM: Final = 1 << 8
ESR_S1PTW: Final = 1 << 7
ESR_WNR: Final = 1 << 6
ESR_FSC: Final = 0x3F
FSC_ALIGNMENT: Final = 0x21
FSC_DEBUG: Final = 0x22
FSC_SEA: Final = 0x10
FSC_SEA_TTW: Final = 0x14
FSC_EXCLUSIVE: Final = 0x35  # exclusive or atomic access to memory that cannot do it


class Ec(IntEnum):
    """Exception classes."""

    UNKNOWN = 0x00
    WFX = 0x01
    FP_ASIMD = 0x07
    PAUTH = 0x09
    BTI = 0x0D
    ILLEGAL = 0x0E
    SVC64 = 0x15
    HVC64 = 0x16
    SMC64 = 0x17
    SYS64 = 0x18
    SVE = 0x19
    FPAC = 0x1C
    IABT_LOW = 0x20
    IABT_CUR = 0x21
    PC_ALIGN = 0x22
    DABT_LOW = 0x24
    DABT_CUR = 0x25
    SP_ALIGN = 0x26
    FP64 = 0x2C
    SERROR = 0x2F
    BREAKPT_LOW = 0x30
    BREAKPT_CUR = 0x31
    SOFTSTP_LOW = 0x32
    SOFTSTP_CUR = 0x33
    WATCHPT_LOW = 0x34
    WATCHPT_CUR = 0x35
    BRK64 = 0x3C


# --- HCR (sae.md 7.4) -----------------------------------------------------------------------
HCR_VM: Final = 1 << 0
HCR_PTW: Final = 1 << 2
HCR_FMO: Final = 1 << 3
HCR_IMO: Final = 1 << 4
HCR_AMO: Final = 1 << 5
HCR_VF: Final = 1 << 6
HCR_VI: Final = 1 << 7
HCR_VSE: Final = 1 << 8
HCR_TWI: Final = 1 << 13
HCR_TWE: Final = 1 << 14
HCR_TID1: Final = 1 << 16
HCR_TID2: Final = 1 << 17
HCR_TID3: Final = 1 << 18
HCR_TSC: Final = 1 << 19
HCR_TIDCP: Final = 1 << 20
HCR_RW: Final = 1 << 31
HCR_E2H: Final = 1 << 34
HCR_TLOR: Final = 1 << 35
# These two let be what a clear bit hands to the hypervisor.
HCR_APK: Final = 1 << 40
HCR_API: Final = 1 << 41
HCR_TID4: Final = 1 << 49
HCR_TID5: Final = 1 << 58
HCR_GUEST: Final = (
    HCR_E2H | HCR_RW | HCR_PTW | HCR_TSC | HCR_TID1 | HCR_TID2 | HCR_TID3 | HCR_TID4 | HCR_TID5
    | HCR_TIDCP | HCR_AMO | HCR_IMO | HCR_FMO | HCR_TLOR
)

# --- SCTLR_EL1, beside those of gmap/_defs.py -----------------------------------------------
SCTLR_A: Final = 1 << 1
SCTLR_C: Final = 1 << 2
SCTLR_SA: Final = 1 << 3
SCTLR_SA0: Final = 1 << 4
SCTLR_UMA: Final = 1 << 9
SCTLR_ENDB: Final = 1 << 13
SCTLR_DZE: Final = 1 << 14
SCTLR_UCT: Final = 1 << 15
SCTLR_NTWI: Final = 1 << 16
SCTLR_NTWE: Final = 1 << 18
SCTLR_SPAN: Final = 1 << 23
SCTLR_UCI: Final = 1 << 26
SCTLR_ENDA: Final = 1 << 27
SCTLR_ENIB: Final = 1 << 30
SCTLR_ENIA: Final = 1 << 31
SCTLR_BT0: Final = 1 << 35
SCTLR_BT1: Final = 1 << 36
SCTLR_DSSBS: Final = 1 << 44
#: What needs FEAT_PAuth.
SCTLR_PAUTH: Final = SCTLR_ENDB | SCTLR_ENDA | SCTLR_ENIB | SCTLR_ENIA
#: What needs FEAT_BTI.
SCTLR_BTI: Final = SCTLR_BT0 | SCTLR_BT1

# --- TCR_EL1, beside those of gmap/_defs.py --------------------------------------------------
TCR_TBID_SHIFT: Final = 51  # TBID0; TBID1 is the next

# --- MDSCR_EL1, debug registers -------------------------------------------------------------
MDSCR_SS: Final = 1 << 0
MDSCR_TDCC: Final = 1 << 12
MDSCR_KDE: Final = 1 << 13
MDSCR_MDE: Final = 1 << 15
OSLSR_OSLK: Final = 1 << 1

# --- timers: CNTx_CTL_EL0 -------------------------------------------------------------------
CNT_ENABLE: Final = 1 << 0
CNT_IMASK: Final = 1 << 1
CNT_ISTATUS: Final = 1 << 2

# CNTKCTL_EL1
CNTKCTL_EL0PCTEN: Final = 1 << 0
CNTKCTL_EL0VCTEN: Final = 1 << 1
CNTKCTL_EL0VTEN: Final = 1 << 8
CNTKCTL_EL0PTEN: Final = 1 << 9

#: Bytes one DC ZVA clears (DCZID_EL0.BS = 4: 2**4 words).
ZVA_BYTES: Final = 64


class Feature(IntFlag):
    """What a modelled processor has beyond Armv8.0-A; a bit each of ``pe_t.features``.

    An encoding that needs a feature the processor lacks is UNDEFINED, or a NOP in the hint
    space. The ID registers follow (`saecore/_cpu.py`).
    """

    FP = 1 << 0  # FEAT_FP and FEAT_AdvSIMD
    CRC32 = 1 << 1
    LSE = 1 << 2
    PAN = 1 << 3
    UAO = 1 << 4
    SSBS = 1 << 5
    DPB = 1 << 6  # DC CVAP
    LOR = 1 << 7
    RDM = 1 << 8
    LRCPC = 1 << 9
    SB = 1 << 10
    DIT = 1 << 11
    FP16 = 1 << 12  # also for vectors
    DP = 1 << 13  # SDOT, UDOT
    FHM = 1 << 14
    FCMA = 1 << 15
    JSCVT = 1 << 16
    FRINTTS = 1 << 17
    BF16 = 1 << 18
    I8MM = 1 << 19
    AES = 1 << 20
    PMULL = 1 << 21
    SHA1 = 1 << 22
    SHA256 = 1 << 23
    SHA512 = 1 << 24
    SHA3 = 1 << 25
    SM3 = 1 << 26
    SM4 = 1 << 27
    LRCPC2 = 1 << 28
    FLAGM = 1 << 29
    FLAGM2 = 1 << 30
    PAUTH = 1 << 31
    BTI = 1 << 32


class Event(IntEnum):
    """Why the loop of the processor stopped; the outer loop decides what that means."""

    SLICE = 0  # the slice is used up
    LOOKUP = 1  # no block is known for pe.pc
    INTERCEPT = 2  # pe.icptr and the interception data are set
    WAIT = 3  # WFI
    CHANGED = 4  # registers that blocks or translation depend on have changed


class Changed(IntFlag):
    """What a system instruction changed, for the outer loop to follow."""

    TRANSLATION = 1  # translation registers, or a TLBI
    CODE = 2  # instruction memory (IC)
    DEBUG = 4  # breakpoints, watchpoints, stepping
    MODE = 8  # interrupt masks
    TIMER = 16  # a timer's condition
