"""SAE, LASRM, STIASRM, QAAF, SASR, EASR (sae.md 3 to 6)."""

import numpy as np
import pytest

import gmap
import saecore
from saecore import Icptr, Vir
from saecore._sysregs import saved_names

RAM = 0x4000_0000
HVC = 0xD4000002
ADD_X0_1 = 0x91000400


class Machine:
    """A processor with a megabyte of memory that is there."""

    def __init__(self, words=(HVC,), **options):
        self.ram = (host := gmap.BufferHost()).map(1 << 20)
        self.g = gmap.Gmap(host, ipa_bits=40)
        self.g.set_memory_region(0, RAM, self.ram.nbytes, self.ram.hva)
        self.g.fault_in(np.arange(256, dtype=np.uint64) + (RAM >> 12), True)
        self.write(words)
        self.p = saecore.Processor(self.g, **options)
        self.p.block["pc"] = RAM

    def write(self, words, at=0):
        self.ram.array.view(np.uint32)[at : at + len(words)] = words


@pytest.fixture
def machine():
    return Machine()


def test_a_guest_runs_until_it_is_intercepted():
    m = Machine([ADD_X0_1] * 100 + [HVC])
    m.p.lasrm()
    assert m.p.sae() == Icptr.SYNCHRONOUS_EXCEPTION
    assert m.p.block["gpr"][0] == 100
    assert m.p.icptd["esr_elz"] >> 26 == saecore.Ec.HVC64
    assert m.p.block["pc"] == RAM + 4 * 101
    assert m.p.n_insns == 101


@pytest.mark.parametrize("n", [1, 2, 59, 60, 61, 64, 65, 1000, 16383, 16384, 16449, 100_000])
def test_a_budget_is_exact(n):
    m = Machine([ADD_X0_1, 0x17FFFFFF])  # add; b to it
    m.p.lasrm()
    while m.p.n_insns < n:
        assert m.p.sae(max_insns=n - m.p.n_insns) == Icptr.SPURIOUS
    assert m.p.n_insns == n
    assert m.p.block["gpr"][0] == (n + 1) // 2
    assert m.p.block["pc"] == RAM + 4 * (n % 2)


def test_host_access_exceptions_carry_what_the_host_needs():
    # str w1, [x0]; outside of memory, and with a syndrome that says how to emulate it.
    m = Machine([0xB9000001])
    m.p.block["gpr"][0] = 0x0900_0018
    m.p.lasrm()
    assert m.p.sae() == Icptr.HOST_ACCESS_EXCEPTION
    esr = int(m.p.icptd["esr_elz"])
    assert esr >> 26 == saecore.Ec.DABT_LOW
    assert esr & 1 << 24  # ISV
    assert esr >> 22 & 3 == 2  # SAS: a word
    assert esr >> 16 & 31 == 1  # SRT
    assert esr & 1 << 6  # WnR
    assert int(m.p.icptd["teid"]) == 0x0900_0000 | 1 << 10  # page, and a store
    assert m.p.icptd["far_elz"] == 0x0900_0018
    assert m.p.icptd["pic"] == gmap.Pic.SEGMENT_TRANSLATION  # it shares a region with the memory
    assert m.p.block["pc"] == RAM


def test_beyond_the_main_storage_limit():
    m = Machine([0xB9000001])
    m.p.block["msl"] = 0x5000_0000
    m.p.block["gpr"][0] = 0x5000_0000
    m.p.lasrm()
    assert m.p.sae() == Icptr.GUEST_ADDRESS_SIZE


@pytest.mark.parametrize(
    ("field", "value", "vir"),
    [
        ("sdf", 1, Vir.UNSUPP_FORMAT),
        ("save_area", 0, Vir.UNSUPP_FORMAT),
        ("mso", 0x1000, Vir.MSO_ALIGN),
        ("mso", 1 << 50, Vir.MSO_BOUNDS),
        ("msl", 0, Vir.MSLA),
        ("scad", 8, Vir.SCA),
        ("hbasce", 0x1234_5000, Vir.HOST_CONTROL),
        ("pstate", 0x3C9, Vir.INVAL_SYSREG),  # EL2h
        ("pstate", 0x1D3, Vir.INVAL_SYSREG),  # AArch32
    ],
)
def test_validity(machine, field, value, vir):
    p = machine.p
    p.block[field] = value
    before = p.block.tobytes()
    p.lasrm()
    assert p.sae() == Icptr.VALIDITY
    assert p.icptd["vir"] == vir
    p.block["icptr"] = 0
    p.block["icptd"] = 0
    assert p.block.tobytes() == before  # nothing else has changed
    assert p.n_insns == 0


def test_a_save_area_of_another_block_is_invalid(machine):
    machine.p.save_area["sdo"] = 0
    machine.p.lasrm()
    assert machine.p.sae() == Icptr.VALIDITY
    assert machine.p.icptd["vir"] == Vir.HOST_CONTROL


def test_registers_go_to_the_processor_and_back(machine):
    p = machine.p
    for at, name in enumerate(saved_names()):
        p.sasr(name, at * 0x1234567, 8)
    before = p.save_area["regs"].copy()
    p.lasrm()
    p.save_area["regs"] = 0
    assert p.easr("TPIDR_EL1") == saved_names().index("TPIDR_EL1") * 0x1234567
    p.stiasrm()
    assert (p.save_area["regs"] == before).all()
    p.save_area["regs"] = 0
    p.stiasrm()  # has nothing to store now
    assert not p.save_area["regs"].any()


def test_by_number_or_name(machine):
    machine.p.sasr(0xC600, 0x800, 8)  # VBAR_EL1 is S3_0_C12_C0_0
    assert machine.p.easr("VBAR_EL1", 8) == 0x800


def test_loaded_registers_take_effect(machine):
    # mrs x0, vbar_el1; hvc
    machine.write([0xD538C000, HVC])
    machine.p.lasrm()
    machine.p.sasr("VBAR_EL1", 0x7800)
    assert machine.p.sae() == Icptr.SYNCHRONOUS_EXCEPTION
    assert machine.p.block["gpr"][0] == 0x7800


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: p.sae(), "lasrm"),
        (lambda p: p.easr("SCTLR_EL1"), "not loaded: use flags 8"),
        (lambda p: p.easr("SCTLR_EL1", 4), "flags 0x4"),
        (lambda p: p.sasr("SCTLR_EL9", 0, 8), "SCTLR_EL9"),
        (lambda p: p.sasr(0xFFFF, 0, 8), "0xffff"),
        (lambda p: saecore.qaaf(3), "function 3"),
        (lambda p: saecore.Processor(p.gmap, "max"), "cpu_model"),
    ],
)
def test_bad_operands(machine, call, message):
    with pytest.raises(gmap.errors.ConfigError, match=message):
        call(machine.p)


@pytest.mark.parametrize("value", [-1, 1 << 64])
def test_values_are_guarded(machine, value):
    with pytest.raises(gmap.errors.AddressError):
        machine.p.sasr("VBAR_EL1", value, 8)


def test_qaaf_answers_what_the_guest_reads():
    model = saecore.cpu_model()
    for offset in (True, False):
        page = saecore.qaaf(1, model, by_number=offset)
        assert len(page) == 4096
        assert page[0x008] == page[0x00A] == 1
        for name, number in {"ID_AA64PFR0_EL1": 0x22, "ID_AA64MMFR0_EL1": 0x3A, "MIDR_EL1": 2,
                             "CTR_EL0": 0x43}.items():  # fmt: skip
            at = 8 * number + (0 if offset else 0x10)
            assert int.from_bytes(page[at : at + 8], "big") == model.registers[name]


def test_the_initial_save_area():
    area = np.frombuffer(saecore.qaaf(2), saecore.SAVE_AREA_DTYPE.newbyteorder(">"))[0]
    assert area["sas"] == 1
    assert area["regs"][saved_names().index("SCTLR_EL1")] == 0x00C5_0078


@pytest.mark.parametrize("pstate", [0x3C5, 0x0], ids=["EL1", "EL0"])
@pytest.mark.parametrize("target", [0, 1, 2, 3, RAM + 1, RAM + 2, RAM + 3, 2**64 - 1, 2**64 - 4])
def test_branches_to_nowhere_are_exceptions(target, pstate):
    """Whatever the table of branch targets holds: nothing, or the same address of another level."""
    m = Machine([0xD61F0000])  # br x0
    m.p.sasr("VBAR_EL1", RAM + 0x800, 8)
    m.p.block["pc"], m.p.block["pstate"] = RAM, 0x3C5
    m.write([0xD61F0000, *[0xD503201F] * 8, HVC])
    m.write([HVC] * 1024, 0x800 // 4)
    m.p.lasrm()
    # Let EL1 know the block at RAM, then branch.
    m.p.block["gpr"][0] = RAM + 4
    assert m.p.sae() == Icptr.SYNCHRONOUS_EXCEPTION
    m.p.block["pc"], m.p.block["pstate"], m.p.block["gpr"][0] = RAM, pstate, target
    ended = m.p.sae(max_insns=50)
    if ended == Icptr.SYNCHRONOUS_EXCEPTION:  # the HVC of a vector
        aborts = {saecore.Ec.IABT_LOW, saecore.Ec.IABT_CUR}
        expected = {saecore.Ec.PC_ALIGN} if target & 3 else aborts
        assert m.p.easr("ESR_EL1") >> 26 in expected
        assert m.p.easr("FAR_EL1") == target
    else:
        assert not target & 3
        assert ended in (Icptr.HOST_ACCESS_EXCEPTION, Icptr.GUEST_ADDRESS_SIZE, Icptr.SPURIOUS)
