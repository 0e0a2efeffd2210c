"""The table of system registers and the CPU models, without running anything.

Judges: the list of registers one Linux kernel touches (guest-usage.md 5), capstone's names for
encodings, and the manual's numbers written out again here.
"""

import errno
import re

import capstone
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gmap
from saecore import _cpu, _idregs, _sysregs
from saecore._cpu import FEATURES, MODELS, cpu_model, flags_of
from saecore._defs import HCR_GUEST, N_SAVED_REGS, Changed, Feature
from saecore._sysregs import SYSREGS, Gate, Home, Right, Special, find, saved_names
from saecore.a64.encodings import system

#: What a kernel boot touches and this processor has (guest-usage.md 5, expanded).
_TOUCHED_TEXT = """
SCTLR_EL1 TCR_EL1 TTBR0_EL1 TTBR1_EL1 MAIR_EL1 VBAR_EL1 CONTEXTIDR_EL1 CPACR_EL1 ESR_EL1 FAR_EL1
ELR_EL1 SPSR_EL1 SP_EL0 TPIDR_EL0 TPIDR_EL1 TPIDRRO_EL0 CurrentEL DAIF FPCR FPSR MIDR_EL1
MPIDR_EL1 REVIDR_EL1 CTR_EL0 DCZID_EL0 CLIDR_EL1 CNTFRQ_EL0 CNTKCTL_EL1 CNTVCT_EL0 CNTV_CTL_EL0
CNTV_CVAL_EL0 CNTV_TVAL_EL0 CNTPCT_EL0 CNTP_CTL_EL0 CNTP_CVAL_EL0 CNTP_TVAL_EL0 MDSCR_EL1
OSLAR_EL1 OSDLR_EL1 DBGBCR0_EL1 DBGBCR1_EL1 DBGBCR2_EL1 DBGBCR3_EL1 DBGBCR4_EL1 DBGBCR5_EL1
DBGBVR0_EL1 DBGBVR1_EL1 DBGBVR2_EL1 DBGBVR3_EL1 DBGBVR4_EL1 DBGBVR5_EL1 DBGWCR0_EL1 DBGWCR1_EL1
DBGWCR2_EL1 DBGWCR3_EL1 DBGWVR0_EL1 DBGWVR1_EL1 DBGWVR2_EL1 DBGWVR3_EL1 ID_AA64PFR0_EL1
ID_AA64PFR1_EL1 ID_AA64ZFR0_EL1 ID_AA64SMFR0_EL1 ID_AA64DFR0_EL1 ID_AA64DFR1_EL1
ID_AA64ISAR0_EL1 ID_AA64ISAR1_EL1 ID_AA64ISAR2_EL1 ID_AA64MMFR0_EL1 ID_AA64MMFR1_EL1
ID_AA64MMFR2_EL1 ID_DFR1_EL1 ID_PFR0_EL1 ID_PFR1_EL1 ID_PFR2_EL1 ID_DFR0_EL1 ID_MMFR0_EL1
ID_MMFR1_EL1 ID_MMFR2_EL1 ID_MMFR3_EL1 ID_MMFR4_EL1 ID_MMFR5_EL1 ID_ISAR0_EL1 ID_ISAR1_EL1
ID_ISAR2_EL1 ID_ISAR3_EL1 ID_ISAR4_EL1 ID_ISAR5_EL1 ID_ISAR6_EL1 MVFR0_EL1 MVFR1_EL1 MVFR2_EL1
"""
TOUCHED = re.findall(r"\w+", _TOUCHED_TEXT)
#: What it touches only where ID registers say that it is there, and here they do not.
ABSENT = {
    "PMUSERENR_EL0": "S3_3_C9_C14_0",
    "PMCR_EL0": "S3_3_C9_C12_0",
    "ICC_SRE_EL1": "S3_0_C12_C12_5",
    "ICC_IAR1_EL1": "S3_0_C12_C12_0",
    "ICC_PMR_EL1": "S3_0_C4_C6_0",
    "DISR_EL1": "S3_0_C12_C1_1",
    "ZCR_EL1": "S3_0_C1_C2_0",
}
#: By the kernel under their generic names: (CRm, Op2) of S3_0_C0_Cm_op2.
RESERVED_READS = [(4, 2), (4, 7), (6, 3), (7, 3), (7, 4)]


def key_of(code):
    op0, op1, crn, crm, op2 = map(int, re.findall(r"\d+", code))
    return op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2


BY_KEY = {row.key: row for row in SYSREGS}


def test_every_touched_register_is_there():
    assert not [name for name in TOUCHED if name not in _sysregs.BY_NAME]


@pytest.mark.parametrize("name", ABSENT)
def test_what_is_not_implemented_is_not_there(name):
    assert name not in _sysregs.BY_NAME
    assert key_of(ABSENT[name]) not in BY_KEY


def test_names_and_encodings_are_unique():
    assert len(BY_KEY) == len(SYSREGS) == len(_sysregs.BY_NAME)


@pytest.mark.parametrize("crm", range(1, 8))
@pytest.mark.parametrize("op2", range(8))
def test_identification_space_can_be_read(crm, op2):
    row = BY_KEY[key_of(f"S3_0_C0_C{crm}_{op2}")]
    assert row.el1 is Right.R
    assert row.el0 is Right.NONE
    if (crm, op2) in RESERVED_READS:
        assert row.home is Home.ZERO


def test_capstone_names_the_encodings_alike():
    decoder = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
    compared = 0
    for row in SYSREGS:
        if row.op0 == 1:
            word = 0xD5080000 | (row.key & 0x3FFF) << 5
        elif row.el1 & Right.R:
            word = 0xD5300000 | (row.key & 0x7FFF) << 5
        else:
            word = 0xD5100000 | (row.key & 0x7FFF) << 5
        found = next(decoder.disasm(word.to_bytes(4, "little"), 0), None)
        assert found is not None, row.name
        text = f"{found.mnemonic} {found.op_str}".upper().replace(",", "")
        # Registers newer than capstone come out by their encoding.
        if not re.search(r"S\d_\d_C\d+_C\d+_\d|^SYS ", text):
            name = "DBGDTRRX_EL0" if row.name == "DBGDTRTX_EL0" else row.name
            assert name.upper() in text, (row.name, text)
            compared += 1
    assert compared > 120


def test_save_area_holds_what_is_saved():
    names = saved_names()
    assert len(names) <= N_SAVED_REGS
    for name in ["SCTLR_EL1", "ELR_EL1", "SPSR_EL1", "HCR_EL2", "ID_AA64MMFR2_EL1", "MDSCR_EL1"]:
        assert name in names
    # _debug.pyx finds the registers of a pair, and the pairs, by their distance.
    at = names.index("DBGBVR0_EL1")
    pairs = [f"DBGB{kind}R{n}_EL1" for n in range(6) for kind in "VC"]
    pairs += [f"DBGW{kind}R{n}_EL1" for n in range(4) for kind in "VC"]
    assert names[at : at + len(pairs)] == pairs


def test_reset_values():
    expected = {
        "SCTLR_EL1": 0x00C50078, "CPACR_EL1": 0, "TTBR0_EL1": 0, "TCR_EL1": 0, "VBAR_EL1": 0,
        "MAIR_EL1": 0x1DE7EC7EDBADC0DE, "CNTFRQ_EL0": 0x3B9ACA00, "OSLSR_EL1": 8,
        "CNTP_CTL_EL0": 0, "CNTV_CVAL_EL0": 0, "MPIDR_EL1": 0x80000000,
        "HCR_EL2": 0x0402000C801F003C,
    }  # fmt: skip
    assert {name: find(name).reset for name in expected} == expected
    assert expected["HCR_EL2"] == HCR_GUEST


def test_traps_of_the_guest_hcr():
    """What kvm_handle_sys_reg is asked for: identification and LORegions, no more."""
    trapped = {row.name for row in SYSREGS if row.trap & HCR_GUEST}
    for name in ["REVIDR_EL1", "AIDR_EL1", "CTR_EL0", "CCSIDR_EL1", "CLIDR_EL1", "CSSELR_EL1",
                 "ID_AA64PFR0_EL1", "ID_PFR0_EL1", "ID_DFR1_EL1", "LORID_EL1"]:  # fmt: skip
        assert name in trapped
    for name in ["SCTLR_EL1", "CPACR_EL1", "MAIR_EL1", "TPIDR_EL0", "MIDR_EL1", "MPIDR_EL1",
                 "CNTVCT_EL0", "CNTV_CTL_EL0", "DC ZVA", "TLBI VMALLE1"]:  # fmt: skip
        assert name not in trapped


def test_one_reg_shows_what_the_newest_table_does():
    shown = {row.name for row in SYSREGS if row.one_reg}
    text = """OSLSR_EL1 MIDR_EL1 MPIDR_EL1 REVIDR_EL1 AIDR_EL1 SCTLR_EL1 CPACR_EL1 TTBR0_EL1
        TTBR1_EL1 TCR_EL1 MAIR_EL1 VBAR_EL1 TPIDR_EL1 CLIDR_EL1 CSSELR_EL1 CTR_EL0 CNTFRQ_EL0
        CNTPCT_EL0 CNTVCT_EL0 CNTP_CTL_EL0 CNTP_CVAL_EL0 CNTV_CTL_EL0 CNTV_CVAL_EL0"""
    listed = set(re.findall(r"\w+", text))
    ids = {row.name for row in SYSREGS if (row.op0, row.op1, row.crn) == (3, 0, 0) and row.crm}
    assert shown == listed | ids
    assert len(ids) == 56


def test_rows_make_sense():
    for row in SYSREGS:
        assert (row.op0 == 1) == (row.home is Home.INSTRUCTION), row.name
        assert not row.el0 & ~row.el1, f"{row.name}: EL0 may do more than EL1"
        if row.home is Home.SPECIAL:
            assert row.special is not Special.NONE, row.name
        if row.home is Home.SAVED and row.special is Special.NONE and row.el1 & Right.W:
            assert not row.reset & ~row.mask or row.reset == _sysregs.UNKNOWN, row.name
        if row.gate is not Gate.OPEN:
            assert row.el0, f"{row.name}: nothing to deny"
        if row.model:
            assert row.home is Home.SAVED, row.name
        if row.effect & Changed.TRANSLATION and row.op0 == 3:
            assert row.home is Home.SAVED, row.name


def test_encoding_patterns():
    keys = [row.key for row in system.ENCODINGS]
    assert len(set(keys)) == len(keys)
    for row in system.ENCODINGS:
        assert len(row.bits) == 32, row.key
        assert row.group == "system"
    # The patterns overlap where a special case comes before the general one, and only there.
    overlaps = {
        (one.key, other.key)
        for i, one in enumerate(system.ENCODINGS)
        for other in system.ENCODINGS[i + 1 :]
        if not (one.value ^ other.value) & one.mask & other.mask
    }
    assert overlaps == {(key, "hint") for key in ("wfe", "wfi", "sev", "sevl", "bti")}


# --- CPU models -----------------------------------------------------------------------------


def test_identification_of_the_models():
    base, default = cpu_model("base").registers, cpu_model().registers
    assert base["ID_AA64PFR0_EL1"] & 0xFFFFFFFF == 0x00000011  # FP and AdvSIMD are there
    assert base["ID_AA64ISAR0_EL1"] == base["ID_AA64ISAR1_EL1"] == 0
    assert base["ID_AA64MMFR1_EL1"] == base["ID_AA64MMFR2_EL1"] == 0
    assert default["ID_AA64DFR0_EL1"] == 0x10305006
    assert default["ID_AA64ISAR0_EL1"] & 0x0FFFFF00 == 0x00212100  # SHA1, SHA2, CRC32, Atomic
    assert default["ID_AA64MMFR0_EL1"] == 0x00100025
    assert default["ID_AA64MMFR1_EL1"] == 0x00311002
    assert default["ID_AA64MMFR2_EL1"] == 0x1000000010000011
    assert default["MIDR_EL1"] >> 24 == 0
    assert default["CTR_EL0"] >> 31 == 1
    assert cpu_model(without=["FP"]).registers["ID_AA64PFR0_EL1"] >> 16 & 0xFF == 0xFF
    assert set(MODELS) == {"base", "default", "max"}


features = st.sets(st.sampled_from(sorted(FEATURES)))


@given(st.sampled_from(sorted(MODELS)), features, features)
def test_registers_advertise_the_features(name, out, into):
    needed = set(into)
    for feature in reversed(FEATURES.values()):
        if feature.name in needed:
            needed.update(feature.needs)
    if out & needed:
        with pytest.raises(ValueError, match="both"):
            cpu_model(name, without=out, with_=into)
        return
    model = cpu_model(name, without=out, with_=into)
    assert into <= model.features
    assert not out & model.features
    for feature in model.features:
        assert set(FEATURES[feature].needs) <= model.features
    flags = {member.name for member in Feature if member in model.flags}
    assert flags == {name for name in model.features if FEATURES[name].flag}
    assert flags_of(model.registers) == model.flags


@given(features)
def test_each_field_is_of_one_model_state(into):
    """Every register differs from the base model only in fields of the features put in."""
    base, model = cpu_model("base"), cpu_model("base", with_=into)
    fields = {
        (register, field) for name in model.features for register, field, _ in FEATURES[name].fields
    }
    for register, value in model.registers.items():
        allowed = sum({_idregs.field_mask(*pair) for pair in fields if pair[0] == register})
        assert not (value ^ base.registers[register]) & ~allowed


@pytest.mark.parametrize("without", [[], ["HAFDBS"], ["PAN"], ["E0PD"], ["TTST"]])
def test_the_mmu_takes_the_model(without):
    """gmap's stage 1 reads the same registers: what it is told is what it does."""
    registers = cpu_model(without=without).registers
    mmfr = {f"mmfr{n}": registers[f"ID_AA64MMFR{n}_EL1"] for n in range(3)}
    small = 16 + 25
    stage1 = gmap.Stage1(tcr=small | small << 16 | 2 << 30, **mmfr)
    assert stage1.va_bits(0) == (48 if "TTST" in without else 64 - small)


def test_all_flags_have_a_feature():
    assert {feature.flag for feature in FEATURES.values() if feature.flag} == set(Feature)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "cortex-a57"}, "no CPU model 'cortex-a57'"),
        ({"without": ["SVE"]}, "no feature 'SVE'"),
        ({"with_": "LPA3"}, "no feature 'LPA3'"),
        ({"with_": ["EPAN"], "without": ["PAN"]}, "EPAN, PAN: both"),
        ({"with_": ["LSE"], "without": ["LSE"]}, "LSE: both"),
    ],
)
def test_bad_models_are_refused(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        cpu_model(**arguments)


def test_unknown_register_is_refused():
    with pytest.raises(KeyError, match="no system register 'SCTLR'"):
        find("SCTLR")


@pytest.mark.parametrize(
    ("ctr", "clidr"),
    [
        (0, 0x09200003),  # cleaning and invalidating: separate caches at level 1
        (1 << 28, 0x02000021),
        (1 << 29, 0x09200004),
        (3 << 28, 0x01000004),
    ],
)
def test_cache_levels_follow_ctr(ctr, clidr):
    assert _cpu.clidr_of(ctr) == clidr


HOST = cpu_model().registers


@pytest.mark.parametrize(
    ("register", "change", "result"),
    [
        ("ID_AA64MMFR0_EL1", {"PARange": 2}, 0),
        ("ID_AA64MMFR0_EL1", {"PARange": 6}, errno.EINVAL),
        ("ID_AA64MMFR0_EL1", {"ASIDBits": 0}, errno.EINVAL),
        ("ID_AA64PFR0_EL1", {"EL2": 1}, 0),
        ("ID_AA64PFR0_EL1", {"EL0": 0}, errno.EINVAL),
        ("ID_AA64PFR0_EL1", {"EL1": 0}, errno.EINVAL),
        ("ID_AA64PFR0_EL1", {"FP": 15}, errno.EINVAL),
        ("ID_AA64PFR1_EL1", {"SSBS": 0}, 0),
        ("ID_AA64PFR1_EL1", {"MTE": 2}, errno.EINVAL),
        ("ID_AA64DFR0_EL1", {"DebugVer": 8}, 0),
        ("ID_AA64DFR0_EL1", {"DebugVer": 5}, errno.EINVAL),
        ("ID_AA64DFR0_EL1", {"BRPs": 1}, errno.EINVAL),
        ("ID_AA64ISAR0_EL1", {"CRC32": 0}, 0),
        ("ID_AA64ISAR0_EL1", {"RES0": 1}, errno.EINVAL),
        ("ID_AA64ISAR1_EL1", {"APA": 1}, errno.EINVAL),
        ("ID_AA64MMFR2_EL1", {"IDS": 1}, errno.EINVAL),
        ("ID_AA64MMFR2_EL1", {"UAO": 0}, 0),
        ("CTR_EL0", {"IDC": 0}, 0),
        ("CTR_EL0", {"ERG": 0}, errno.EINVAL),
        ("CTR_EL0", {"L1Ip": 2}, 0),
        ("CTR_EL0", {"L1Ip": 1}, errno.EINVAL),
    ],
    ids=str,
)
def test_writing_identification(register, change, result):
    new = HOST[register]
    for field, number in change.items():
        new = _idregs.put_field(register, field, new, number)
    assert new != HOST[register]
    assert _idregs.write_errno(register, HOST[register], new, HOST[register]) == result


def test_vipt_caches_cannot_be_called_pipt():
    vipt = _idregs.put_field("CTR_EL0", "L1Ip", HOST["CTR_EL0"], 2)
    assert _idregs.write_errno("CTR_EL0", vipt, HOST["CTR_EL0"], vipt) == errno.EINVAL


@pytest.mark.parametrize(
    ("vcpu_id", "mpidr"),
    [(0, 0x80000000), (15, 0x8000000F), (16, 0x80000100), (0xFFF, 0x8000FF0F),
     (0x1000, 0x80010000), (0xFFFFF, 0x80FFFF0F)],
)  # fmt: skip
def test_affinity(vcpu_id, mpidr):
    assert _cpu.mpidr_of(vcpu_id) == mpidr
    assert cpu_model().reset_values(vcpu_id)["MPIDR_EL1"] == mpidr


@pytest.mark.parametrize("vcpu_id", [-1, 1 << 20])
def test_affinity_has_bounds(vcpu_id):
    with pytest.raises(ValueError, match="vCPU id"):
        _cpu.mpidr_of(vcpu_id)


def test_reset_values_of_a_model_fill_the_save_area():
    values = cpu_model("base").reset_values()
    assert list(values) == saved_names()
    assert values["ID_AA64MMFR1_EL1"] == 0
    assert values["CNTFRQ_EL0"] == 1_000_000_000
