"""KVM_ARM_VCPU_INIT, FINALIZE, ONE_REG and the register list (uapi.md sections 3 and 5)."""

import errno
import time

import pytest

from gmap.errors import AddressError
from saecore import _sysregs, kvm
from saecore.kvm import reg
from saecore.kvm.uapi import VcpuFeature


def refused(code, function, *args):
    with pytest.raises(kvm.KvmError) as caught:
        function(*args)
    assert caught.value.errno == code, caught.value


@pytest.fixture
def vcpu():
    vm = kvm.System().create_vm()
    vcpu = vm.create_vcpu(0)
    vcpu.init(vm.preferred_target())
    return vcpu


# --- init and finalize (sae.md 7.2, 7.3, 7.5) -------------------------------------------------

@pytest.mark.parametrize(
    ("code", "init"),
    [
        (errno.EINVAL, kvm.VcpuInit(0)),
        (errno.EINVAL, kvm.VcpuInit(4)),
        (errno.EINVAL, kvm.VcpuInit(4, (1 << 10, 0, 0, 0, 0, 0, 0))),
        (errno.ENOENT, kvm.VcpuInit(5, (1 << 10, 0, 0, 0, 0, 0, 0))),
        (errno.ENOENT, kvm.VcpuInit(5, (0, 1, 0, 0, 0, 0, 0))),
        (errno.ENOENT, kvm.VcpuInit(5, (0, 0, 0, 0, 0, 0, 1))),
        *[(errno.EINVAL, kvm.VcpuInit(5).with_features(bit)) for bit in VcpuFeature],
    ],
)
def test_init_refuses(code, init):
    vcpu = kvm.System().create_vm().create_vcpu(0)
    refused(code, vcpu.init, init)
    refused(errno.ENOEXEC, vcpu.run)


@pytest.mark.parametrize("method", ["run", "get_reg_list", "finalize", "get_one_reg"])
def test_needs_init(method):
    vcpu = kvm.System().create_vm().create_vcpu(0)
    arguments = {"finalize": (4,), "get_one_reg": (reg.PC,)}.get(method, ())
    refused(errno.ENOEXEC, getattr(vcpu, method), *arguments)


@pytest.mark.parametrize("feature", [0, 4, 5, 99])
def test_finalize(feature, vcpu):
    refused(errno.EINVAL, vcpu.finalize, feature)


def test_reset_values(vcpu):
    for n in range(31):
        vcpu.set_one_reg(reg.X(n), n + 1)
    vcpu.set_one_reg(reg.V(3), 5)
    vcpu.set_one_reg(reg.VBAR_EL1, 0x8000)
    vcpu.set_one_reg(reg.FPCR, 1 << 22)
    vcpu.init(vcpu.vm.preferred_target())
    zero = [reg.X(n) for n in range(31)] + [reg.V(n) for n in range(32)]
    zero += [reg.PC, reg.SP, reg.SP_EL1, reg.ELR_EL1, reg.SPSR_EL1, reg.FPSR, reg.FPCR]
    zero += [reg.TTBR0_EL1, reg.TTBR1_EL1, reg.TCR_EL1, reg.VBAR_EL1, reg.CPACR_EL1]
    zero += [reg.TIMER_CTL, reg.TIMER_CVAL, reg.PTIMER_CTL, reg.PTIMER_CVAL]
    assert {reg.name_of(id): vcpu.get_one_reg(id) for id in zero} == {
        reg.name_of(id): 0 for id in zero
    }
    assert vcpu.get_one_reg(reg.PSTATE) == 0x3C5
    assert vcpu.get_one_reg(reg.SCTLR_EL1) == 0x00C50078
    assert vcpu.get_one_reg(reg.CNTFRQ_EL0) == 1_000_000_000
    assert vcpu.get_one_reg(reg.MPIDR_EL1) == 0x8000_0000
    assert vcpu.get_one_reg(reg.OSLSR_EL1) == 8


# --- ids --------------------------------------------------------------------------------------

@pytest.mark.parametrize(
    ("code", "id"),
    [
        (errno.EINVAL, 0x4030000000100000),     # not arm64
        (errno.EINVAL, 0x6030001000100000),     # bits 51:32
        (errno.EINVAL, 0),
        (errno.ENOENT, 0x60300000F0100000),     # bits 31:28, core
        (errno.ENOENT, 0x60300000F013C080),     # and a system register
        (errno.ENOENT, 0x6030000000100000 | 216),
        (errno.ENOENT, 0x6030000000100000 | 214),
        (errno.EINVAL, 0x6020000000100000),     # X0 as 32 bits
        (errno.EINVAL, 0x6030000000100001),     # not aligned
        (errno.EINVAL, 0x6030000000100054),     # V0 as 64 bits
        (errno.EINVAL, 0x6030000000100052),     # the padding
        (errno.ENOENT, 0x60300000001000D6),     # behind FPCR, 8 bytes: beyond the end
        (errno.EINVAL, 0x60200000001000D6),
        (errno.ENOENT, 0x602000000013C080),     # SCTLR as 32 bits
        (errno.ENOENT, reg.sysreg(3, 0, 15, 0, 0)),
        (errno.ENOENT, 0x602000000011000E),     # CCSIDR 14
        (errno.ENOENT, 0x6030000000140009),
        (errno.ENOENT, 0x6030000000160000),
        (errno.ENOENT, 0x606000000015FFFF),
        *[(errno.ENOENT, getattr(reg, name)) for name in (
            "ESR_EL1", "FAR_EL1", "PAR_EL1", "CONTEXTIDR_EL1", "TPIDR_EL0", "TPIDRRO_EL0",
            "CNTKCTL_EL1", "MDSCR_EL1", "OSLAR_EL1", "CCSIDR_EL1")],
    ],
    ids=lambda value: f"{value:#x}",
)  # fmt: skip
def test_bad_ids(code, id, vcpu):
    refused(code, vcpu.get_one_reg, id)
    refused(code, vcpu.set_one_reg, id, 0)


@pytest.mark.parametrize("bad", [-1, 1 << 64])
def test_values_that_do_not_fit(bad, vcpu):
    with pytest.raises(AddressError):
        vcpu.set_one_reg(reg.X(0), bad)
    with pytest.raises(AddressError):
        vcpu.get_one_reg(bad)
    with pytest.raises(AddressError):
        vcpu.set_one_reg(reg.FPSR, 1 << 32)
    with pytest.raises(TypeError):
        vcpu.set_one_reg(reg.X(0), 1.0)


def test_core_registers_round_trip(vcpu):
    wanted = {}
    for k, id in enumerate(vcpu.get_reg_list()[:75]):
        wanted[id] = (0x0123_4567_89AB_CDEF_1122_3344_5566_7788 * (k + 1)) % (
            1 << 8 * reg.size_of(id)
        )
    wanted[reg.PSTATE] = 0x8000_0004
    for id, value in wanted.items():
        vcpu.set_one_reg(id, value)
    assert {id: vcpu.get_one_reg(id) for id in wanted} == wanted
    regs = vcpu.regs
    assert int(regs.pc) == wanted[reg.PC]
    assert [int(x) for x in regs.x] == [wanted[reg.X(n)] for n in range(31)]
    assert int(regs.vregs[7][1]) == wanted[reg.V(7)] >> 64
    assert int(regs.spsr[0]) == wanted[reg.SPSR_EL1]
    regs.x[5] = 99
    regs.vregs[2] = 1, 2
    assert vcpu.get_one_reg(reg.X(5)) == 99
    assert vcpu.get_one_reg(reg.V(2)) == 1 | 2 << 64


@pytest.mark.parametrize("mode", range(32))
def test_pstate_modes(mode, vcpu):
    if mode in (0, 4, 5):
        vcpu.set_one_reg(reg.PSTATE, mode | 0x3C0)
    else:
        refused(errno.EINVAL, vcpu.set_one_reg, reg.PSTATE, mode | 0x3C0)


@pytest.mark.parametrize(("cpu", "there"), [("default", True), ("base", False)])
def test_pstate_btype(cpu, there, machine):
    """It is seen where a run stops behind BLR, and may be set; without FEAT_BTI that is nothing."""
    m = machine([0xD63F0000, 0xD503201F, 0xD503201F], cpu=cpu)  # BLR X0
    m.vcpu.set_one_reg(reg.X(0), m.vcpu.get_one_reg(reg.PC) + 4)
    m.vcpu.run(max_insns=1)
    assert m.vcpu.get_one_reg(reg.PSTATE) == 0x3C5 | (2 << 10 if there else 0)
    m.vcpu.run(max_insns=1)
    assert m.vcpu.get_one_reg(reg.PSTATE) == 0x3C5
    m.vcpu.set_one_reg(reg.PSTATE, 0x3C5 | 1 << 10)
    assert m.vcpu.get_one_reg(reg.PSTATE) == 0x3C5 | 1 << 10
    m.vcpu.run(max_insns=1)
    assert m.vcpu.get_one_reg(reg.PSTATE) == 0x3C5


def test_reg_list(vcpu):
    ids = vcpu.get_reg_list()
    assert len(set(ids)) == len(ids)
    assert len([id for id in ids if id & reg.COPROC_MASK == reg.CORE]) == 75
    assert ids[-14:] == [reg.CCSIDR(n) for n in range(14)]
    sysregs = [id for id in ids if id & reg.COPROC_MASK == reg.SYSREG]
    assert sysregs == sorted(sysregs)
    for id in ids:
        value = vcpu.get_one_reg(id)
        assert 0 <= value < 1 << 8 * reg.size_of(id)
        vcpu.set_one_reg(id, value)
    refused(errno.E2BIG, vcpu.get_reg_list, len(ids) - 1)
    assert vcpu.get_reg_list(len(ids)) == ids


# --- timers, ID registers, firmware -----------------------------------------------------------

def test_timer_ids_are_swapped(vcpu):
    vcpu.set_one_reg(reg.sysreg(3, 3, 14, 0, 2), 77)    # the encoding of CNTVCT: CVAL
    assert vcpu.read_saved("CNTV_CVAL_EL0") == 77
    vcpu.set_one_reg(reg.sysreg(3, 3, 14, 3, 2), 10**15)    # that of CNTV_CVAL: the counter
    assert vcpu.read_saved("CNTV_CVAL_EL0") == 77
    assert 0 <= vcpu.get_one_reg(reg.TIMER_CNT) - 10**15 < 10**10
    assert 0 <= vcpu.get_one_reg(reg.PTIMER_CNT) - 10**15 < 10**10
    vcpu.set_one_reg(reg.PTIMER_CNT, 5)     # ignored: one offset, set through the other
    assert vcpu.get_one_reg(reg.PTIMER_CNT) >= 10**15
    vcpu.set_one_reg(reg.TIMER_CTL, 7)
    assert vcpu.get_one_reg(reg.TIMER_CTL) == 7     # stored as it is


def test_the_counter_starts_at_zero(vcpu):
    first = vcpu.get_one_reg(reg.TIMER_CNT)
    time.sleep(0.002)
    assert 0 <= first < 10**10
    assert vcpu.get_one_reg(reg.TIMER_CNT) - first > 10**6


def test_id_registers(vcpu, machine):
    pfr0 = vcpu.get_one_reg(reg.ID_AA64PFR0_EL1)
    vcpu.set_one_reg(reg.ID_AA64PFR0_EL1, pfr0 & ~(0xF << 56))      # CSV2: writable
    assert vcpu.get_one_reg(reg.ID_AA64PFR0_EL1) == pfr0 & ~(0xF << 56)
    refused(errno.EINVAL, vcpu.set_one_reg, reg.ID_AA64PFR0_EL1, pfr0 ^ 1 << 16)    # FP
    refused(errno.EINVAL, vcpu.set_one_reg, reg.ID_AA64PFR0_EL1, pfr0 & ~0xF)       # no EL0
    mmfr0 = vcpu.get_one_reg(reg.ID_AA64MMFR0_EL1)
    vcpu.set_one_reg(reg.ID_AA64MMFR0_EL1, mmfr0 & ~0xF | 2)
    refused(errno.EINVAL, vcpu.set_one_reg, reg.ID_AA64MMFR0_EL1, mmfr0 | 0xF)
    dfr0 = vcpu.get_one_reg(reg.ID_AA64DFR0_EL1)
    refused(errno.EINVAL, vcpu.set_one_reg, reg.ID_AA64DFR0_EL1, dfr0 & ~0xF | 5)
    midr = vcpu.get_one_reg(reg.MIDR_EL1)
    vcpu.set_one_reg(reg.MIDR_EL1, midr)
    refused(errno.EINVAL, vcpu.set_one_reg, reg.MIDR_EL1, midr + 1)
    refused(errno.EINVAL, vcpu.set_one_reg, reg.sysreg(3, 0, 0, 1, 0), 1)           # RAZ
    vcpu.init(vcpu.vm.preferred_target())
    assert vcpu.get_one_reg(reg.ID_AA64PFR0_EL1) == pfr0 & ~(0xF << 56)


def test_id_registers_settle_at_the_first_run(machine):
    m = machine([0xD503201F] * 4)
    m.vcpu.run(max_insns=1)
    pfr0 = m.vcpu.get_one_reg(reg.ID_AA64PFR0_EL1)
    m.vcpu.set_one_reg(reg.ID_AA64PFR0_EL1, pfr0)
    refused(errno.EBUSY, m.vcpu.set_one_reg, reg.ID_AA64PFR0_EL1, pfr0 & ~(0xF << 56))


@pytest.mark.parametrize(
    ("id", "good", "bad"),
    [
        (reg.PSCI_VERSION, [2, 0x10000, 0x10001, 0x10002, 0x10003], [0, 1, 0x10004]),
        (reg.ARCH_WORKAROUND_1, [0, 1, 2], [3, 16]),
        (reg.ARCH_WORKAROUND_2, [0, 2, 3, 0x12], [0x10, 0x13, 0x20]),
        (reg.ARCH_WORKAROUND_3, [0, 2], [3]),
    ],
)
def test_firmware_registers(id, good, bad, vcpu):
    level = vcpu.get_one_reg(id)
    for value in good:
        vcpu.set_one_reg(id, value)
        assert vcpu.get_one_reg(id) == (value if id == reg.PSCI_VERSION else level)
    for value in bad:
        refused(errno.EINVAL, vcpu.set_one_reg, id, value)


def test_ccsidr(vcpu):
    old = vcpu.get_one_reg(reg.CCSIDR(0))
    vcpu.set_one_reg(reg.CCSIDR(0), old | 0x100)
    assert vcpu.get_one_reg(reg.CCSIDR(0)) == old | 0x100
    refused(errno.EINVAL, vcpu.set_one_reg, reg.CCSIDR(0), 1 << 28)


def test_every_visible_register_is_listed(vcpu):
    listed = {id & 0xFFFF for id in vcpu.get_reg_list() if id & reg.COPROC_MASK == reg.SYSREG}
    assert listed == {row.key for row in _sysregs.SYSREGS if row.one_reg}
