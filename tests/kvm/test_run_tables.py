"""Every row of the decision tables of the run loop, with interceptions played back
(faultin.md 7.2, 7.3 and 14; sae.md 3, 9 to 11; upcoming.md 1.2)."""

import errno
import os

import pytest

from saecore import kvm
from saecore._defs import Ec, Icptr
from saecore.kvm import reg
from saecore.kvm._playback import Playback

RAM = 0x4000_0000
PC = 0x1234_5670
VBAR = 0x8_0000
FAR = 0xFFFF_0000_0000_0ABC
IL, ISV, SSE, SF, CM, S1PTW, WNR = 1 << 25, 1 << 24, 1 << 21, 1 << 15, 1 << 8, 1 << 7, 1 << 6
DABT, IABT = Ec.DABT_LOW << 26 | IL, Ec.IABT_LOW << 26 | IL
STORE, FETCH = 1 << 10, 2 << 10
HOLE = 0x0900_0000
TRANSLATION = {"asce type": 0x38, "region first": 0x39, "region second": 0x3A,
               "region third": 0x3B, "segment": 0x10, "page": 0x11}  # fmt: skip


@pytest.fixture
def vcpu(machine):
    m = machine()
    m.vcpu.set_one_reg(reg.PC, PC)
    m.vcpu.set_one_reg(reg.VBAR_EL1, VBAR)
    return m.vcpu


def abort(esr, pic, ipa, fsi=0, icptr=Icptr.HOST_ACCESS_EXCEPTION, far=FAR, **more):
    return {"icptr": icptr, "esr": esr, "pic": pic, "teid": ipa | fsi, "far": far, **more}


def play(vcpu, *steps, insns=1):
    """What KVM_RUN makes of interceptions, if the guest then executes `insns` instructions."""
    with Playback(vcpu, [*steps, {"icptr": 0, "insns": insns}]):
        return vcpu.run(max_insns=insns)


def injected(vcpu, esr, far=None):
    """The guest took this exception from EL1h."""
    assert vcpu.read_saved("ESR_EL1") == esr
    if far is not None:
        assert vcpu.read_saved("FAR_EL1") == far
    assert vcpu.get_one_reg(reg.PC) == VBAR + 0x200
    assert vcpu.get_one_reg(reg.ELR_EL1) == PC
    assert vcpu.get_one_reg(reg.PSTATE) & 0x3DF == 0x3C5


def fails(vcpu, code, *steps):
    with Playback(vcpu, steps), pytest.raises(kvm.KvmError) as caught:
        vcpu.run()
    assert (caught.value.errno, caught.value.ioctl) == (code, "KVM_RUN"), caught.value
    return str(caught.value)


# --- interception codes (sae.md 3) ------------------------------------------------------------

def test_spurious(vcpu):
    assert play(vcpu, {"icptr": Icptr.SPURIOUS}) == kvm.Budget()
    assert vcpu.get_one_reg(reg.PC) == PC


def test_validity(vcpu):
    assert "MSO_ALIGN" in fails(vcpu, errno.EINVAL, {"icptr": Icptr.VALIDITY, "esr": 8})


@pytest.mark.parametrize("icptr", [4, 5, 7, 8, 9, 10, 11, 255])
def test_interceptions_nobody_handles(icptr, vcpu):
    assert f"interception {icptr}" in fails(vcpu, errno.EINVAL, {"icptr": icptr})


@pytest.mark.parametrize(
    "ec", sorted(set(range(64)) - {Ec.HVC64, Ec.IABT_LOW, Ec.DABT_LOW, Ec.SYS64})
)
def test_unknown_classes_are_undefined(ec, vcpu):
    play(vcpu, {"icptr": Icptr.SYNCHRONOUS_EXCEPTION, "esr": ec << 26 | IL})
    injected(vcpu, IL)


def test_il_is_copied(vcpu):
    play(vcpu, {"icptr": Icptr.SYNCHRONOUS_EXCEPTION, "esr": Ec.WFX << 26})
    injected(vcpu, 0)


# --- the guest abort handler (faultin.md 7.2) -------------------------------------------------

@pytest.mark.parametrize("name", TRANSLATION)
def test_pic_translation(name, vcpu):
    play(vcpu, abort(DABT, TRANSLATION[name], RAM))
    assert vcpu.vm.gmap.translate(RAM)[1] == 0
    play(vcpu, abort(DABT | 0x4, TRANSLATION[name], 1 << 40))
    injected(vcpu, 0x25 << 26 | IL | 0x10, 1 << 40 | 0xABC)


def test_pic_protection_has_no_range_check(vcpu):
    exit = play(vcpu, abort(DABT | ISV | WNR, 0x04, 1 << 50))
    assert isinstance(exit, kvm.Mmio)


def test_pic_none_kills_the_vm(vcpu):
    fails(vcpu, errno.EFAULT, abort(DABT, 0, RAM))
    with pytest.raises(kvm.KvmError) as caught:
        vcpu.get_one_reg(reg.PC)
    assert caught.value.errno == errno.EIO
    with pytest.raises(kvm.KvmError, match="EIO"):
        vcpu.vm.preferred_target()
    with pytest.raises(kvm.KvmError, match="EIO"):
        vcpu.run()


@pytest.mark.parametrize("pic", [0x05, 0x3D, 0x12])
def test_pic_unexpected_kills_the_vm(pic, vcpu):
    fails(vcpu, errno.EFAULT, abort(DABT, pic, RAM))
    with pytest.raises(kvm.KvmError, match="EIO"):
        vcpu.vm.get_dirty_log(0)


def test_size_interception_is_a_translation(vcpu):
    play(vcpu, abort(DABT, 0, 1 << 40, icptr=Icptr.GUEST_ADDRESS_SIZE))
    injected(vcpu, 0x25 << 26 | IL | 0x10, 1 << 40 | 0xABC)


# --- the decision table (faultin.md 7.3) ------------------------------------------------------

@pytest.mark.parametrize(("esr", "ec"), [(DABT, 0x25), (IABT, 0x21)], ids=["dabt", "iabt"])
def test_row_1_beyond_the_physical_range(esr, ec, vcpu):
    play(vcpu, abort(esr | 0x7, 0x38, 1 << 48))
    injected(vcpu, ec << 26 | IL, 1 << 48 | 0xABC)


@pytest.mark.parametrize("ipa", [1 << 40, (1 << 48) - 4096], ids=hex)
@pytest.mark.parametrize(("esr", "ec"), [(DABT, 0x25), (IABT, 0x21)], ids=["dabt", "iabt"])
def test_row_2_beyond_guest_memory(ipa, esr, ec, vcpu):
    play(vcpu, abort(esr | 0x7, 0x3B, ipa))
    injected(vcpu, ec << 26 | IL | 0x10, ipa | 0xABC)


def test_row_2_last_page_is_inside(vcpu):
    assert isinstance(play(vcpu, abort(DABT | ISV, 0x3B, (1 << 40) - 4096)), kvm.Mmio)


def test_row_3_fetch_outside_memory(vcpu):
    play(vcpu, abort(IABT | 0x7, 0x11, HOLE, FETCH))
    injected(vcpu, 0x21 << 26 | IL | 0x10, FAR)


@pytest.mark.parametrize("level", range(4))
def test_row_4_table_outside_memory(level, vcpu):
    play(vcpu, abort(DABT | S1PTW, 0x11, HOLE, gltl=level))
    injected(vcpu, 0x25 << 26 | IL | 0x14 + level, FAR)


def test_row_3_before_4_fetch_through_a_table_outside(vcpu):
    play(vcpu, abort(IABT | S1PTW, 0x11, HOLE, gltl=2))
    injected(vcpu, 0x21 << 26 | IL | 0x16, FAR)


@pytest.mark.parametrize("wnr", [0, WNR])
def test_row_5_cache_maintenance_outside(wnr, vcpu):
    vcpu.regs.pstate = 0x3C5 | 0xC00 | 1 << 21
    play(vcpu, abort(DABT | CM | wnr, 0x11, HOLE), insns=2)
    assert vcpu.get_one_reg(reg.PC) == PC + 4
    assert vcpu.get_one_reg(reg.PSTATE) == 0x3C5    # BTYPE and SS are gone


def test_row_6_mmio(vcpu):
    vcpu.regs.x[3] = 0x1122_3344_5566_7788
    exit = play(vcpu, abort(DABT | ISV | 2 << 22 | 3 << 16 | WNR, 0x11, HOLE))
    assert exit == kvm.Mmio(HOLE | 0xABC, b"\x88\x77\x66\x55", 4, True)
    assert vcpu.kvm_run.exit_reason == 6
    assert vcpu.get_one_reg(reg.PC) == PC


@pytest.mark.parametrize("icptr", [Icptr.HOST_ACCESS_EXCEPTION, Icptr.SYNCHRONOUS_EXCEPTION])
def test_row_6_no_syndrome(icptr, vcpu):
    message = fails(vcpu, errno.ENOSYS, abort(DABT | WNR, 0x11, HOLE, icptr=icptr))
    assert "no syndrome" in message
    assert vcpu.get_one_reg(reg.PC) == PC


def test_row_6_64_bytes(vcpu):
    esr = DABT | ISV | 1 << 11 | 0x07
    assert play(vcpu, abort(esr, 0x11, HOLE)) == kvm.ArmLdst64b(esr & ~0x3F, HOLE | 0xABC)


def dirty(vcpu, gfn):
    return vcpu.vm.gmap.translate_write(gfn << 12)[1] == 0


@pytest.mark.parametrize(
    ("esr", "pic", "fsi", "writes"),
    [
        (DABT, 0x11, 0, False),
        (DABT, 0x11, FETCH, False),
        (IABT, 0x11, FETCH, False),
        (DABT | WNR, 0x11, STORE, True),
        (DABT | WNR, 0x11, 0, False),       # linked clean; the guest faults again, with pic 4
        (DABT, 0x11, STORE, True),
        (DABT, 0x04, 0, True),              # protection is a store, whatever the syndrome says
        (DABT | WNR, 0x84, 0, False),       # PER in the raw code hides it
        (DABT | WNR, 0x84, STORE, True),
        (DABT | S1PTW, 0x11, 0, False),
        (DABT | S1PTW, 0x04, 0, True),
    ],
)
def test_row_8_memory(esr, pic, fsi, writes, vcpu):
    play(vcpu, abort(esr, pic, RAM + 0x3000, fsi))
    assert vcpu.vm.gmap.translate(RAM + 0x3000)[1] == 0
    assert dirty(vcpu, (RAM >> 12) + 3) == writes
    assert vcpu.get_one_reg(reg.PC) == PC


def test_vector_store_after_fetch(vcpu):
    """faultin.md 14: linked clean by a fetch, then minor by the store, without a lookup."""
    space = vcpu.vm.gmap
    play(vcpu, abort(IABT, 0x11, RAM, FETCH))
    before = space.stats()
    play(vcpu, abort(DABT | WNR, 0x04, RAM, STORE))
    after = space.stats()
    assert (after["minor"] - before["minor"], after["major"] - before["major"]) == (1, 0)
    assert dirty(vcpu, RAM >> 12)


@pytest.mark.parametrize(
    ("outcome", "code"),
    [("hwpoison", errno.EFAULT), ("no_mapping", errno.EFAULT), ("read_only", errno.EOPNOTSUPP),
     ("needs_io_always", errno.EAGAIN)],
)
def test_host_errors_come_back(outcome, code, vcpu):
    region = next(iter(vcpu.vm.host.regions.values()))
    vcpu.vm.host.answer(region.hva, 4096, outcome)
    fails(vcpu, code, abort(DABT | WNR, 0x11, RAM, STORE))
    vcpu.vm.host.answer(region.hva, 4096, "ok")
    play(vcpu, abort(DABT | WNR, 0x11, RAM, STORE))


def test_host_signal_is_eintr(vcpu):
    region = next(iter(vcpu.vm.host.regions.values()))
    vcpu.vm.host.answer(region.hva, 4096, "signal", times=1)
    assert play(vcpu, abort(DABT, 0x11, RAM)) == kvm.Intr()
    assert vcpu.kvm_run.exit_reason == 0


def test_a_deleted_slot_is_no_memory(vcpu):
    play(vcpu, abort(DABT, 0x11, RAM))
    vcpu.vm.set_user_memory_region(0, 0, 0, 0)
    assert isinstance(play(vcpu, abort(DABT | ISV, 0x11, RAM)), kvm.Mmio)


# --- injection (sae.md 10) --------------------------------------------------------------------

@pytest.mark.parametrize(("mode", "vector", "ec"), [(5, 0x200, 0x25), (4, 0, 0x25),
                                                    (0, 0x400, 0x24)])  # fmt: skip
@pytest.mark.parametrize(
    ("sctlr", "new"),
    [(0x00C5_0078, 0), (0x0045_0078, 1 << 22), (1 << 44 | 0x00C5_0078, 1 << 12)],
    ids=["plain", "no SPAN", "DSSBS"],
)
def test_exception_entry(mode, vector, ec, sctlr, new, vcpu):
    old = mode | 0xF000_0000 | 1 << 24 | 1 << 23 | 1 << 21 | 1 << 20 | 3 << 10
    vcpu.regs.pstate = old
    vcpu.set_one_reg(reg.SCTLR_EL1, sctlr)
    play(vcpu, abort(DABT | 0x7, 0x11, 1 << 40))
    assert vcpu.get_one_reg(reg.PC) == VBAR + vector
    assert vcpu.get_one_reg(reg.SPSR_EL1) == old
    assert vcpu.get_one_reg(reg.PSTATE) == 0xF000_03C5 | 1 << 24 | new
    assert vcpu.read_saved("ESR_EL1") == ec << 26 | IL | 0x10


# --- MMIO completion (sae.md 11) --------------------------------------------------------------

@pytest.mark.parametrize("sas", range(4))
@pytest.mark.parametrize("sign", [0, SSE])
@pytest.mark.parametrize("wide", [0, SF])
def test_mmio_reads(sas, sign, wide, vcpu):
    nbytes = 1 << sas
    data = bytes([0x80 + k for k in range(8 - nbytes, 8)])
    vcpu.regs.x[7] = 0x5555_5555_5555_5555
    exit = play(vcpu, abort(DABT | ISV | sas << 22 | sign | 7 << 16 | wide, 0x11, HOLE))
    assert exit == kvm.Mmio(HOLE | 0xABC, bytes(nbytes), nbytes, False)
    exit.data = data
    assert vcpu.kvm_run.mmio.data.tobytes()[:nbytes] == data
    play(vcpu, insns=2)
    value = int.from_bytes(data, "little", signed=bool(sign)) & (1 << 64) - 1
    assert vcpu.regs.x[7] == (value if wide else value & 0xFFFF_FFFF)
    assert vcpu.get_one_reg(reg.PC) == PC + 4
    with pytest.raises(ValueError, match="over"):
        exit.reply(0)


@pytest.mark.parametrize("sas", range(4))
def test_mmio_writes(sas, vcpu):
    vcpu.regs.x[30] = 0x8877_6655_4433_2211
    for rt, value in ((30, 0x8877_6655_4433_2211), (31, 0)):
        exit = play(vcpu, abort(DABT | ISV | sas << 22 | rt << 16 | WNR, 0x11, HOLE), insns=2)
        assert exit.data == value.to_bytes(8, "little")[: 1 << sas]
        assert exit.value == value & (1 << (8 << sas)) - 1
        with pytest.raises(ValueError, match="takes no answer"):
            exit.reply(0)


def test_a_read_into_xzr_is_dropped(vcpu):
    play(vcpu, abort(DABT | ISV | 31 << 16, 0x11, HOLE)).reply(0xFF)
    play(vcpu, insns=2)
    assert not vcpu.regs.x.any()
    assert vcpu.get_one_reg(reg.PC) == PC + 4


def test_answers_are_checked(vcpu):
    exit = play(vcpu, abort(DABT | ISV | 1 << 22, 0x11, HOLE))
    for bad in (b"1", b"123", -1, 1 << 16, 1.5):
        with pytest.raises((ValueError, TypeError)):
            exit.reply(bad)
    exit.reply(0x1234)
    assert exit.data == b"\x34\x12"


def test_immediate_exit_finishes_the_access(vcpu):
    play(vcpu, abort(DABT | ISV | 3 << 16, 0x11, HOLE)).reply(9)
    vcpu.immediate_exit = True
    assert vcpu.run() == kvm.Intr()
    assert vcpu.regs.x[3] == 9
    assert vcpu.get_one_reg(reg.PC) == PC + 4
    assert vcpu.kvm_run.exit_reason == 6        # untouched
    assert vcpu.run() == kvm.Intr()             # and finished once only
    assert vcpu.get_one_reg(reg.PC) == PC + 4


# --- the bus ----------------------------------------------------------------------------------

def store(nbytes, value, address=HOLE):
    size = nbytes.bit_length() - 1
    return abort(DABT | ISV | size << 22 | 1 << 16 | WNR, 0x11, address & ~0xFFF,
                 far=address & 0xFFF), value  # fmt: skip


@pytest.mark.parametrize(
    ("nbytes", "datamatch", "value", "rings"),
    [
        (4, None, 7, True),
        (4, 0x0100_0000, 1, True),      # the s390 trap: compared in the host's order
        (4, 1, 1, False),
        (2, 0x3412, 0x1234, True),
        (1, 0x12, 0x12, True),
        (8, 0x0807_0605_0403_0201, 0x0102_0304_0506_0708, True),
    ],
)
def test_ioeventfd(nbytes, datamatch, value, rings, vcpu):
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    vcpu.vm.ioeventfd(fd, HOLE + 0x50, nbytes, datamatch)
    step, vcpu.regs.x[1] = store(nbytes, value, HOLE + 0x50)
    exit = play(vcpu, step, insns=2)
    assert isinstance(exit, kvm.Mmio) != rings
    if rings:
        assert os.eventfd_read(fd) == 1
        assert vcpu.stats()["mmio_exit_kernel"] == 1
        assert vcpu.get_one_reg(reg.PC) == PC + 4
    os.close(fd)


@pytest.mark.parametrize(("registered", "written", "at", "rings"),
                         [(0, 1, 0, True), (0, 8, 0, True), (4, 2, 0, False), (4, 4, 4, False)])
def test_ioeventfd_length_and_address(registered, written, at, rings, vcpu):
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    vcpu.vm.ioeventfd(fd, HOLE, registered)
    step, vcpu.regs.x[1] = store(written, 1, HOLE + at)
    assert isinstance(play(vcpu, step, insns=2), kvm.Mmio) != rings
    os.close(fd)


def test_coalesced_ring(vcpu):
    vm = vcpu.vm
    vm.register_coalesced_mmio(HOLE, 0x10)
    vm.register_coalesced_mmio(HOLE, 0x1000, pio=1)
    step, vcpu.regs.x[1] = store(2, 0xABCD, HOLE + 0xE)
    play(vcpu, step, insns=2)
    assert vm.drain_coalesced_mmio() == [(HOLE + 0xE, b"\xcd\xab")]
    step, _ = store(4, 0, HOLE + 0xE)       # leaves the zone
    assert isinstance(play(vcpu, step), kvm.Mmio)


def test_a_full_ring_exits(vcpu):
    vm = vcpu.vm
    vm.register_coalesced_mmio(HOLE, 0x1000)
    step, _ = store(4, 0)
    assert play(vcpu, *[step] * 169, insns=170) == kvm.Budget()
    assert isinstance(play(vcpu, step, insns=2), kvm.Mmio)
    assert len(vm.drain_coalesced_mmio()) == 169
    for index in (170, 2**32 - 1):          # the page is the user's to spoil
        vm.coalesced_mmio_ring.last = index
        assert isinstance(play(vcpu, step, insns=2), kvm.Mmio)


# --- hypercalls -------------------------------------------------------------------------------

HVC = {"icptr": Icptr.SYNCHRONOUS_EXCEPTION, "esr": Ec.HVC64 << 26 | IL}
NOT_SUPPORTED = (1 << 64) - 1
INTERNAL_FAILURE = (1 << 64) - 6


@pytest.mark.parametrize(
    ("x0", "x1", "result"),
    [
        (0x8400_0000, 0, 0x10003),
        (0xFFFF_FFFF_8400_0000, 0, 0x10003),        # the low half decides
        (0x8000_0000, 0, 0x10001),
        (0x8400_000A, 0x8400_0000, 0),
        (0x8400_000A, 0x8400_0008, 0),
        (0x8400_000A, 0x8400_0009, 0),
        (0x8400_000A, 0x8400_000A, 0),
        (0x8400_000A, 0x8000_0000, 0),
        (0x8400_000A, 0xC400_0003, NOT_SUPPORTED),
        (0xC400_0003, 0, NOT_SUPPORTED),
        (0x8000_0001, 0, NOT_SUPPORTED),
        (0, 0, NOT_SUPPORTED),
    ],
)
def test_hypercalls(x0, x1, result, vcpu):
    vcpu.regs.x[:5] = x0, x1, 2, 3, 4
    play(vcpu, HVC)
    assert [int(x) for x in vcpu.regs.x[:5]] == [result, 0, 0, 0, 4]
    assert vcpu.get_one_reg(reg.PC) == PC           # it points behind the HVC already
    assert vcpu.stats()["hvc_exit_stat"] == 1


@pytest.mark.parametrize(("function", "type"), [(0x8400_0008, 1), (0x8400_0009, 2)])
def test_system_events(function, type, vcpu):
    vcpu.regs.x[0] = function
    vcpu.kvm_run.system_event.data[:] = 5
    exit = play(vcpu, HVC)
    assert exit == kvm.SystemEvent(kvm.uapi.SystemEventType(type), (0,))
    assert vcpu.kvm_run.exit_reason == 24
    assert vcpu.regs.x[0] == INTERNAL_FAILURE
    assert vcpu.get_mp_state() == kvm.uapi.MpState.STOPPED
    assert play(vcpu) == kvm.Budget()               # stopped: executes nothing
    assert vcpu.n_insns == 0
    vcpu.init(vcpu.vm.preferred_target())
    assert vcpu.get_mp_state() == kvm.uapi.MpState.RUNNABLE
    play(vcpu)
    assert vcpu.n_insns == 1


def test_smc_is_undefined(vcpu):
    play(vcpu, {"icptr": Icptr.SYNCHRONOUS_EXCEPTION, "esr": Ec.SMC64 << 26 | IL})
    injected(vcpu, IL)


# --- trapped system registers (upcoming.md 1.2) -----------------------------------------------

def access(key, rt, read):
    op0, op1, crn, crm, op2 = (key >> 14 & 3, key >> 11 & 7, key >> 7 & 15, key >> 3 & 15, key & 7)
    iss = op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | rt << 5 | crm << 1 | read
    return {"icptr": Icptr.SYNCHRONOUS_EXCEPTION, "esr": Ec.SYS64 << 26 | IL | iss}


@pytest.mark.parametrize(
    "name",
    ["ID_AA64PFR0_EL1", "ID_AA64MMFR1_EL1", "ID_PFR0_EL1", "CTR_EL0", "CLIDR_EL1", "REVIDR_EL1",
     "AIDR_EL1", "OSLSR_EL1"],
)
def test_read_only_registers(name, vcpu):
    id = getattr(reg, name)
    play(vcpu, access(id & 0xFFFF, 9, True), insns=2)
    assert vcpu.regs.x[9] == vcpu.get_one_reg(id)
    assert vcpu.get_one_reg(reg.PC) == PC + 4
    vcpu.set_one_reg(reg.PC, PC)
    play(vcpu, access(id & 0xFFFF, 9, False))
    injected(vcpu, IL)


@pytest.mark.parametrize("name", ["TTBR0_EL1", "TTBR1_EL1", "TCR_EL1", "VBAR_EL1"])
def test_virtual_memory_registers(name, vcpu):
    vcpu.regs.x[2] = 0x1234_5000
    play(vcpu, access(getattr(reg, name) & 0xFFFF, 2, False), insns=2)
    assert vcpu.read_saved(name) == 0x1234_5000
    play(vcpu, access(getattr(reg, name) & 0xFFFF, 3, True), insns=2)
    assert vcpu.regs.x[3] == 0x1234_5000


def test_cache_registers(vcpu):
    vcpu.regs.x[1] = 0xFF01
    play(vcpu, access(reg.CSSELR_EL1 & 0xFFFF, 1, False), insns=2)
    assert vcpu.get_one_reg(reg.CSSELR_EL1) == 1
    play(vcpu, access(reg.CCSIDR_EL1 & 0xFFFF, 2, True), insns=2)
    assert vcpu.regs.x[2] == vcpu.get_one_reg(reg.CCSIDR(1))


def test_os_lock(vcpu):
    vcpu.regs.x[1] = 1
    play(vcpu, access(reg.OSLAR_EL1 & 0xFFFF, 1, False), insns=2)
    assert vcpu.get_one_reg(reg.OSLSR_EL1) == 8 | 2
    vcpu.set_one_reg(reg.PC, PC)
    play(vcpu, access(reg.OSLAR_EL1 & 0xFFFF, 1, True))
    injected(vcpu, IL)


@pytest.mark.parametrize(
    ("key", "read"),
    [
        (reg.sysreg(3, 0, 11, 0, 0) & 0xFFFF, True),    # IMPLEMENTATION DEFINED
        (reg.sysreg(3, 0, 15, 2, 1) & 0xFFFF, False),
        (reg.sysreg(3, 0, 12, 12, 5) & 0xFFFF, True),   # ICC_SRE_EL1
        (reg.sysreg(1, 0, 7, 8, 0) & 0xFFFF, False),    # Op0 1: system instructions
        (reg.sysreg(3, 0, 1, 0, 0) & 0xFFFF, True),     # SCTLR has no access function
    ],
)
def test_other_registers_are_undefined(key, read, vcpu):
    vcpu.regs.x[4] = 44
    play(vcpu, access(key, 4, read))
    injected(vcpu, IL)
    assert vcpu.regs.x[4] == 44


def test_rt_31(vcpu):
    play(vcpu, access(reg.CTR_EL0 & 0xFFFF, 31, True), insns=2)
    assert not vcpu.regs.x.any()


def test_lor_without_the_feature():
    vm = kvm.System(cpu="base").create_vm()
    vcpu = vm.create_vcpu(0)
    vcpu.init(vm.preferred_target())
    play(vcpu, access(reg.LORC_EL1 & 0xFFFF, 4, True))
    assert vcpu.read_saved("ESR_EL1") == IL


def test_lor(vcpu):
    vcpu.regs.x[4] = 44
    play(vcpu, access(reg.LORC_EL1 & 0xFFFF, 4, True), insns=2)
    assert vcpu.regs.x[4] == 0
    play(vcpu, access(reg.LORID_EL1 & 0xFFFF, 4, False))
    assert vcpu.read_saved("ESR_EL1") == IL


# --- KVM_RUN around them ----------------------------------------------------------------------

def test_budget_counts_emulated_instructions(vcpu):
    skip = abort(DABT | CM, 0x11, HOLE)
    with Playback(vcpu, [skip, {"icptr": 0, "insns": 2}, skip, {"icptr": 0, "insns": 5}]):
        assert vcpu.run(max_insns=4) == kvm.Budget()
    assert vcpu.n_insns == 4
    assert vcpu.get_one_reg(reg.PC) == PC + 8


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, 1 << 63])
def test_bad_budgets(bad, vcpu):
    with pytest.raises((ValueError, TypeError)):
        vcpu.run(max_insns=bad)
    assert vcpu.n_insns == 0
