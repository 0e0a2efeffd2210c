"""Scalar floating point against exact arithmetic: results bit for bit, and FPSR."""

import fp_exact
import fp_operands
import numpy as np
import pytest
from fp_exact import BFLOAT, DOUBLE, FORMATS, HALF, SINGLE, Unit
from fp_guest import END, START, XD, XN, Ours, fill

KINDS = {"s": SINGLE, "d": DOUBLE, "h": HALF}
#: Rounding modes by the letter of an instruction; those of FPCR: its mode.
MODES = dict(zip("NPMZA", (fp_exact.EVEN, fp_exact.UP, fp_exact.DOWN, fp_exact.ZERO,
                           fp_exact.AWAY), strict=True))  # fmt: skip


def neg(form, pattern):
    return pattern ^ 1 << form.bits - 1


#: What the operands a, b, c in V0, V1, V2 come to.
ARITHMETIC = {
    "fadd_scalar": lambda u, f, a, b, c: u.add(f, a, b),
    "fsub_scalar": lambda u, f, a, b, c: u.sub(f, a, b),
    "fmul_scalar": lambda u, f, a, b, c: u.mul(f, a, b),
    "fnmul_scalar": lambda u, f, a, b, c: neg(f, u.mul(f, a, b)),
    "fdiv_scalar": lambda u, f, a, b, c: u.div(f, a, b),
    "fsqrt_scalar": lambda u, f, a, b, c: u.sqrt(f, a),
    "fmadd": lambda u, f, a, b, c: u.fma(f, c, a, b),
    "fmsub": lambda u, f, a, b, c: u.fma(f, c, neg(f, a), b),
    "fnmadd": lambda u, f, a, b, c: u.fma(f, neg(f, c), neg(f, a), b),
    "fnmsub": lambda u, f, a, b, c: u.fma(f, neg(f, c), a, b),
    **{
        f"frint{letter.lower()}_scalar": lambda u, f, a, b, c, mode=mode: u.round_int(f, a, mode)
        for letter, mode in MODES.items()
    },
    "frinti_scalar": lambda u, f, a, b, c: u.round_int(f, a, u.mode),
    "frintx_scalar": lambda u, f, a, b, c: u.round_int(f, a, u.mode, exact=True),
}


@pytest.fixture(scope="module")
def guest():
    return Ours()


def starts(rng, count, bits):
    """Records of operands of a format; what is above them in a register does not count."""
    found = np.zeros(count, START)
    found["v"] = rng.integers(0, 1 << 64, found["v"].shape, dtype="u8")
    mask = np.uint64((1 << bits) - 1)
    found["v"][:, :3, 0] = found["v"][:, :3, 0] & ~mask | fp_operands.draw(rng, count, bits)
    found["x"] = fp_operands.integers(rng, count)
    # Where "inexact" is set already, the host may do the work.
    found["fpsr"] = rng.choice(np.array([0, fp_operands.IXC, 0x0800_009F], "u4"), count)
    return found


def operands(record, bits):
    return [int(v) & (1 << bits) - 1 for v in record["v"][:3, 0]]


def check(guest, insn, fpcr, records, expect, to_x=False):
    """`expect` says of a unit and a record what the result is."""
    came = guest.run(insn, fpcr, records)
    assert came is not None, hex(insn)
    wanted = np.zeros(len(records), END)
    for want, record in zip(wanted, records, strict=True):
        unit = Unit(fpcr)
        result = expect(unit, record)
        if to_x:
            want["x"], want["v"] = result, record["v"][3]
        else:
            want["v"][0] = result
        want["fpsr"] = int(record["fpsr"]) | unit.fpsr
    for at in np.nonzero(came != wanted)[0]:
        pytest.fail(
            f"{insn:#x} fpcr {fpcr:#x} {[hex(v) for v in records[at]['v'][:3, 0].tolist()]} "
            f"x {int(records[at]['x']):#x}: {came[at]}, not {wanted[at]}"
        )


def batches(seed, bits, count, alternative=False, step=1):
    """Records for every FPCR, or every `step`-th."""
    rng = np.random.default_rng(seed)
    for fpcr in fp_operands.modes(alternative)[::step]:
        yield fpcr, starts(rng, count, bits)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic(guest, name, kind):
    arithmetic(guest, name, kind, 10)


def arithmetic(guest, name, kind, count):
    form, insn = KINDS[kind], fill(f"{name}_{kind}")
    step = 3 if name.startswith("frint") else 1
    for fpcr, records in batches(1, form.bits, count, step=step):
        check(guest, insn, fpcr, records,
              lambda u, r: ARITHMETIC[name](u, form, *operands(r, form.bits)))  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("register", ["w", "x"])
@pytest.mark.parametrize("sign", ["s", "u"])
@pytest.mark.parametrize("letter", MODES)
def test_to_integers(guest, letter, sign, register, kind):
    form, width = KINDS[kind], 32 if register == "w" else 64
    insn = fill(f"fcvt{letter}{sign}_scalar_{register}_{kind}".lower(), d=XD)
    for fpcr, records in batches(2, form.bits, 20, step=5):
        check(guest, insn, fpcr, records,
              lambda u, r: u.to_fixed(form, operands(r, form.bits)[0], 0, sign == "s", width,
                                      MODES[letter]), to_x=True)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("register", ["w", "x"])
@pytest.mark.parametrize("sign", ["s", "u"])
def test_fixed_point(guest, sign, register, kind):
    form, width = KINDS[kind], 32 if register == "w" else 64
    for number, (fpcr, records) in enumerate(batches(3, form.bits, 10, step=3)):
        fbits = (1, 7, width // 2, width)[number % 4]
        scale = 64 - fbits & width - 1
        insn = fill(f"fcvtz{sign}_fixed_{register}_{kind}", d=XD, s=scale)
        check(guest, insn, fpcr, records,
              lambda u, r, n=fbits: u.to_fixed(form, operands(r, form.bits)[0], n, sign == "s",
                                               width, fp_exact.ZERO), to_x=True)  # fmt: skip
        insn = fill(f"{sign}cvtf_fixed_{register}_{kind}", n=XN, s=scale)
        check(
            guest,
            insn,
            fpcr,
            records,
            lambda u, r, n=fbits: u.from_fixed(form, int(r["x"]), n, sign == "s", width),
        )
        insn = fill(f"{sign}cvtf_scalar_{register}_{kind}", n=XN)
        check(guest, insn, fpcr, records,
              lambda u, r: u.from_fixed(form, int(r["x"]), 0, sign == "s", width))  # fmt: skip


@pytest.mark.parametrize(("source", "to"), [(a, b) for a in KINDS for b in KINDS if a != b])
def test_between_formats(guest, source, to):
    form = KINDS[source]
    for fpcr, records in batches(4, form.bits, 30, alternative=True, step=3):
        check(guest, fill(f"fcvt_to_{to}_{source}"), fpcr, records,
              lambda u, r: u.convert(form, KINDS[to], operands(r, form.bits)[0]))  # fmt: skip


def test_bfloat(guest):
    for fpcr, records in batches(5, 32, 40, alternative=True):
        check(guest, fill("bfcvt"), fpcr, records,
              lambda u, r: u.convert(SINGLE, BFLOAT, operands(r, 32)[0]))  # fmt: skip


@pytest.mark.campaign
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic_long(guest, name, kind):
    arithmetic(guest, name, kind, 200)


@pytest.mark.parametrize("bits", FORMATS)
def test_judge_against_host(bits):
    """The judge itself: NumPy's arithmetic is that of FPCR 0, but for NaNs."""
    form, pattern = FORMATS[bits], f"u{bits // 8}"
    a, b, _ = fp_operands.draw(np.random.default_rng(6), 500, bits).T.astype(pattern)
    x, y = a.view(f"f{bits // 8}"), b.view(f"f{bits // 8}")
    with np.errstate(all="ignore"):
        wanted = {"add": x + y, "sub": x - y, "mul": x * y, "div": x / y, "sqrt": np.sqrt(x)}
    for name, values in wanted.items():
        many = (a,) if name == "sqrt" else (a, b)
        came = [
            getattr(Unit(0), name)(form, *some) for some in zip(*map(np.ndarray.tolist, many),
                                                                strict=True)
        ]  # fmt: skip
        number = ~np.isnan(values)
        assert (np.array(came, pattern) == values.view(pattern))[number].all(), name
        assert np.isnan(np.array(came, pattern).view(values.dtype)[~number]).all(), name
