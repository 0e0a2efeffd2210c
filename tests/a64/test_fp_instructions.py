"""Scalar floating point: registers, features, FPCR and FPSR, and what is no instruction."""

import ctypes
import ctypes.util
import struct

import numpy as np
import pytest
from bare_guest import END, SYNC_CURRENT, BareGuest, mrs, msr, word
from fp_guest import START, XD, Ours, fill

from saecore import cpu_model
from saecore.a64.encodings import ENCODINGS

OPEN = {"CPACR_EL1": 3 << 20}
FZ16 = 1 << 19


def bits(value):
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def record(a=0, b=0, c=0, x=0, nzcv=0):
    found = np.zeros(1, START)
    found["v"][0, :3, 0] = a, b, c
    found["v"][0, :, 1] = found["v"][0, 3] = 0xAAAA_AAAA_AAAA_AAAA
    found["x"], found["nzcv"] = x, nzcv << 28
    return found


@pytest.fixture(scope="module")
def guest():
    return Ours()


def test_upper_part_is_cleared(guest):
    came = guest.run(fill("fadd_scalar_s"), 0, record(0x3F80_0000, 0x3F80_0000))
    assert came["v"][0].tolist() == [0x4000_0000, 0]


def test_result_may_be_an_operand(guest):
    starts = record()
    starts["v"][0, 3] = bits(3.0), 7
    came = guest.run(fill("fmul_scalar_d", n=3, m=3), 0, starts)
    assert came["v"][0].tolist() == [bits(9.0), 0]
    came = guest.run(fill("fmadd_d", n=3, m=3, a=3), 0, starts)
    assert came["v"][0].tolist() == [bits(12.0), 0]


@pytest.mark.parametrize(("cond", "holds"), [(0, True), (1, False), (14, True), (15, True)])
def test_select(guest, cond, holds):
    came = guest.run(fill("fcsel_d", c=cond), 0, record(bits(1.0), bits(2.0), nzcv=4))
    assert came["v"][0, 0] == bits(1.0 if holds else 2.0)


@pytest.mark.parametrize(
    ("a", "b", "nzcv"),
    [(1.0, 2.0, 8), (2.0, 1.0, 2), (0.0, -0.0, 6), (float("nan"), 1.0, 3), (1.0, -1.0, 2)],
)
def test_compare(guest, a, b, nzcv):
    came = guest.run(fill("fcmp_d"), 0, record(bits(a), bits(b), nzcv=15))
    assert (came["nzcv"][0] >> 28, came["fpsr"][0]) == (nzcv, 0)
    came = guest.run(fill("fcmpe_d"), 0, record(bits(a), bits(b), nzcv=15))
    assert (came["nzcv"][0] >> 28, came["fpsr"][0]) == (nzcv, int(a != a))
    # The condition EQ does not hold, so NZCV is as the instruction says.
    came = guest.run(fill("fccmpe_d", c=0, f=5), 0, record(bits(a), bits(b)))
    assert (came["nzcv"][0] >> 28, came["fpsr"][0]) == (5, 0)


@pytest.mark.parametrize(
    ("value", "result", "exact"),
    [
        (1.0, 1, True),
        (-1.0, 0xFFFF_FFFF, True),
        (0.0, 0, True),
        (-0.0, 0, False),
        (1.5, 1, False),
        (2.0**31, 0x8000_0000, False),
        (-(2.0**31), 0x8000_0000, True),
        (2.0**32 + 5, 5, False),
        (-(2.0**63) - 2.0**12, 0xFFFF_F000, False),
        (2.0**84 + 2.0**32, 0, False),
        (float("inf"), 0, False),
        (float("nan"), 0, False),
    ],
)
def test_javascript(guest, value, result, exact):
    came = guest.run(fill("fjcvtzs", d=XD), 0, record(bits(value), nzcv=15))
    assert (came["x"][0], came["nzcv"][0] >> 28) == (result, 4 * exact)


def test_zero_register():
    guest = BareGuest()
    program = [fill("scvtf_scalar_x_d", n=31, d=0), fill("fcvtzs_scalar_x_d", n=1, d=31),
               fill("fmov_x_d", n=0, d=1)]  # fmt: skip
    outcome = guest.run(program, x={1: 5}, regs=OPEN)
    assert outcome.hvc == END
    assert outcome.x[1] == 0


def test_trapped():
    outcome = BareGuest().run([fill("fadd_scalar_d")], regs={"CPACR_EL1": 0})
    assert outcome.hvc == SYNC_CURRENT
    assert outcome.regs["ESR_EL1"] >> 26 == 0x07


@pytest.mark.parametrize(("model", "writable"), [("max", 0x07C8_0000), ("base", 0x07C0_0000)])
def test_control_registers(model, writable):
    """Of FPCR, trap enables and what AArch32 uses are RES0; FZ16 comes with half precision."""
    program = [msr("FPCR", 1), mrs(2, "FPCR"), msr("FPSR", 1), mrs(3, "FPSR")]
    outcome = BareGuest(cpu_model(model)).run(program, x={1: 2**64 - 1}, regs=OPEN)
    assert (outcome.x[2], outcome.x[3]) == (writable, 0x0800_009F)


def test_flags_add_up():
    program = [word("fmov_imm_d", d=0, i=0x70), fill("fdiv_scalar_d", n=0, m=1),
               fill("fsqrt_scalar_d", n=2)]  # fmt: skip
    outcome = BareGuest().run(program, regs=OPEN, fpsr=1 << 27)
    assert outcome.block["fpsr"] == 1 << 27 | 2


def host_roundings(libm):
    """The host's rounding modes but the usual one, by the numbers this C library gives them."""
    usual, found = libm.fegetround(), []
    for mode in {bits << shift for shift in range(24) for bits in (1, 3)} - {usual}:
        if libm.fesetround(mode) == 0 and libm.fegetround() == mode:
            found.append(mode)
    libm.fesetround(usual)
    return found


def test_the_host_may_round_otherwise(guest):
    """Whatever it does, the guest rounds as FPCR says, and the host goes on as it did."""
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    starts = np.zeros(256, START)
    starts["v"][:, :2, 0] = np.random.default_rng(5).uniform(1, 2, (256, 2)).view("u8")
    starts["fpsr"] = 1 << 4  # IXC: the host may compute what is inexact
    usual, insn = libm.fegetround(), fill("fdiv_scalar_d")
    expected = guest.run(insn, 0, starts)
    roundings = host_roundings(libm)
    assert roundings
    for rounding in roundings:
        try:
            assert libm.fesetround(rounding) == 0
            came = guest.run(insn, 0, starts)
            still = libm.fegetround()
        finally:
            libm.fesetround(usual)
        assert came.tobytes() == expected.tobytes()
        assert still == rounding


@pytest.mark.parametrize(
    "row", [row for row in ENCODINGS if row.group == "fp"], ids=lambda row: row.key
)
def test_features(row):
    """Undefined without its feature, defined with it."""
    fields = {"s": 0} if "s" in row.fields else {}
    insn = fill(row.key, **fields)
    for model in (cpu_model("base"), cpu_model("max")):
        outcome = BareGuest(model).run([insn], regs=OPEN)
        assert (outcome.hvc == END) == bool(row.feature & model.flags), model


@pytest.mark.parametrize(
    "insn",
    [
        0x1EA1_2800,  # FADD, ftype 10
        0x1E61_9800,  # two operands, opcode 1001
        0x1FA1_0800,  # FMADD, ftype 10
        0x1E22_4000,  # FCVT, S to S
        0x1E23_4000,  # BFCVT, but of S
        0x1EE3_C000,  # FCVT, H to H
        0x1E66_C000,  # one operand, opcode 001101
        0x1EE8_4000,  # FRINT32Z of H
        0x1E6A_4000,  # one operand, opcode 010100
        0x1E20_2001,  # FCMP, opcode2 00001
        0x1E20_6000,  # FCMP, op 01
        0x1E60_1020,  # FMOV immediate, imm5 00001
        0x3E61_2800,  # S 1
        0x9E61_2800,  # M 1
        0x1E02_0000,  # SCVTF, fixed, W, scale 0
        0x1E0A_8000,  # SCVTF, fixed, rmode 01
        0x1E2A_0000,  # SCVTF, rmode 01
        0x9E7E_0000,  # FJCVTZS to X
        0x1E3E_0000,  # FJCVTZS of S
        0x1E66_0000,  # FMOV, D to W
        0x9EA6_0000,  # FMOV, X, ftype 10 without rmode 01
    ],
    ids=hex,
)
def test_unallocated(insn):
    outcome = BareGuest(cpu_model("max")).run([insn], regs=OPEN)
    assert outcome.hvc == SYNC_CURRENT
    assert outcome.regs["ESR_EL1"] >> 26 == 0
