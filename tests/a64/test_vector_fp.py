"""Advanced SIMD on floating point where no emulator here is a judge.

Capstone names what the rows describe. The products of bfloat16 numbers, which Unicorn does not
know, are compared with exact fractions; what is by element, widened or complex with plain
instructions on operands laid out by hand; what halves of registers and unused elements do is
written down by the manual's rules.
"""

import itertools
import random
import re
from fractions import Fraction

import capstone
import fp_guest
import numpy as np
import pytest
from bare_guest import BareGuest
from fp_guest import BATCH, RD, RM, RN, START, fill
from fp_operands import DZC, FPCR_DN, FPCR_FZ, FPCR_FZ16, IDC, IOC, IXC, OFC, UFC, draw, modes

from saecore import cpu_model
from saecore._defs import Feature
from saecore.a64.encodings import ENCODINGS, vector_fp

ROWS = {row.key: row for row in vector_fp.ENCODINGS}
BITS = {"h": 16, "s": 32, "d": 64}
_CAPSTONE = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_LITTLE_ENDIAN)


class Everything(fp_guest.Ours):
    """A processor with all features."""

    def __init__(self):
        self.guest = BareGuest(cpu_model()._replace(flags=~Feature(0)))


@pytest.fixture(scope="module")
def ours():
    return Everything()


def starts(registers, fpsr=0):
    """Records to start from; `registers` maps numbers to columns of 128 bits as bytes."""
    count = len(next(iter(registers.values())))
    found = np.zeros(count, START)
    for number, value in registers.items():
        found["v"][:, number] = (
            np.ascontiguousarray(value).reshape(count, -1).view("<u8").reshape(count, 2)
        )
    found["fpsr"] = fpsr
    return found


def lanes(rng, count, bits):
    """Three columns of registers whose elements hurt: (count, lanes) of unsigned integers."""
    width = 128 // bits
    drawn = draw(rng, count * width, bits).astype(f"<u{bits // 8}")
    return list(np.moveaxis(drawn.reshape(count, width, 3), 2, 0).copy())


def results(ends, bits):
    return ends["v"].copy().view(f"<u{bits // 8}")


# --- the rows -------------------------------------------------------------------------------


def instances(row, rng, count=24):
    return [row.value | rng.getrandbits(32) & ~row.mask for _ in range(count)]


def disassemble(word):
    found = list(_CAPSTONE.disasm(word.to_bytes(4, "little"), 0))
    return found[0].mnemonic if found else ""


def test_capstone_names_every_row():
    for row in vector_fp.ENCODINGS:
        names = [name.lower() for name in re.findall(r"[A-Z]+[0-9]*[A-Z]*", row.title)]
        for word in instances(row, random.Random(row.key)):
            assert disassemble(word) in names, f"{row.key} {word:08x}"


def test_no_word_matches_two_rows():
    table = [(row.mask, row.value, row.key, row.group) for row in ENCODINGS]
    for (mask, value, key, _), (other, its_value, its_key, group) in itertools.combinations(
        sorted(table, key=lambda entry: entry[3] != "vector_fp"), 2
    ):
        if key not in ROWS:
            break
        assert (value ^ its_value) & mask & other, (key, its_key, group)


def test_every_word_capstone_knows_has_a_row():
    """Of Advanced SIMD's words, those whose mnemonics are of floating point."""
    rng = random.Random(2)
    table = [(row.mask, row.value) for row in vector_fp.ENCODINGS]
    existing = {f"fmov_vector_imm_{size}" for size in "sd"}
    table += [(row.mask, row.value) for row in ENCODINGS if row.key in existing]
    for _ in range(15_000):
        word = rng.choice((0, 2, 4, 5, 6, 7)) << 28 | 7 << 25 | rng.getrandbits(25)
        name = disassemble(word)
        if re.match(r"f|bf|[su]cvtf", name):
            assert any(word & mask == value for mask, value in table), f"{word:08x} {name}"


# --- bfloat16 -------------------------------------------------------------------------------

NAN, INFINITY = 0x7FC0_0000, 0x7F80_0000


def value_of(single):
    """A single whose denormals are zero: a fraction, or None if it is not finite."""
    exponent, fraction = single >> 23 & 0xFF, single & 0x7FFFFF
    if exponent == 0xFF:
        return None
    if exponent == 0:
        return Fraction(0)
    value = Fraction((1 << 23) + fraction) * Fraction(2) ** (exponent - 150)
    return -value if single >> 31 else value


def rounded(value, sign):
    """To odd; no denormals, and overflow is infinite."""
    value = abs(value)
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    exponent -= value < Fraction(2) ** exponent
    if exponent < -126:
        return sign << 31
    if exponent > 127:
        return sign << 31 | INFINITY
    scaled = value / Fraction(2) ** (exponent - 23)
    kept = scaled.numerator // scaled.denominator
    kept |= kept != scaled
    return sign << 31 | (exponent + 127) << 23 | kept & 0x7FFFFF


def is_nan(single):
    return single & 0x7FFFFFFF > INFINITY


def bf_mul(a, b):
    sign = (a ^ b) >> 31
    x, y = value_of(a), value_of(b)
    if is_nan(a) or is_nan(b) or (None in (x, y) and 0 in (x, y)):
        return NAN
    if x is None or y is None:
        return sign << 31 | INFINITY
    return rounded(x * y, sign) if x * y else sign << 31


def bf_add(a, b):
    x, y = value_of(a), value_of(b)
    if is_nan(a) or is_nan(b) or (x is None and y is None and a != b):
        return NAN
    if x is None or y is None:
        return a if x is None else b
    if x + y:
        return rounded(x + y, int(x + y < 0))
    # Two zeros, or a sum that is exactly zero.
    return a & b & 1 << 31 if x == 0 else 0


def bf_dot(total, n, m):
    """n and m are pairs of bfloat16."""
    pair = [bf_mul(int(a) << 16, int(b) << 16) for a, b in zip(n, m, strict=True)]
    return bf_add(int(total), bf_add(*pair))


def bfloats(rng, count):
    """D of singles, N and M of bfloat16, some of them such that sums cancel."""
    d, n, m = lanes(rng, count, 32)
    n, m = (column.view("<u2").reshape(count, 4, 2) for column in (n, m))
    # What was the low half of a single becomes a number as well.
    for column in (n, m):
        column[:, :, 0] = lanes(rng, count, 32)[0] >> 16
    same = rng.random(count) < 0.2
    n[same, :, 0] = n[same, :, 1] ^ 0x8000
    m[same, :, 0] = m[same, :, 1]
    return d, n, m


def run_bf(ours, key, d, n, m, fpcr=0, **fields):
    begin = starts({RD: d, RN: n, RM: m})
    ends = ours.run(fill(key, **fields), fpcr, begin)
    assert not ends["fpsr"].any()
    return results(ends, 32)


@pytest.mark.parametrize("fpcr", [0, 2 << 22 | FPCR_FZ | FPCR_FZ16, 1 << 22 | FPCR_DN])
@pytest.mark.parametrize("q", [0, 1])
def test_bfdot_is_exact_arithmetic(ours, fpcr, q):
    d, n, m = bfloats(np.random.default_rng([fpcr, q]), 400)
    found = run_bf(ours, "bfdot_vector", d, n, m, fpcr, q=q)
    for i in range(2 + 2 * q):
        want = [bf_dot(*args) for args in zip(d[:, i], n[:, i], m[:, i], strict=True)]
        assert found[:, i].tolist() == want
    assert q or not found[:, 2:].any()
    for index in range(4):
        found = run_bf(ours, "bfdot_element", d, n, m, fpcr, q=q, i=index & 1, j=index >> 1)
        same = np.repeat(m[:, index : index + 1], 4, axis=1)
        assert (found == run_bf(ours, "bfdot_vector", d, n, same, fpcr, q=q)).all()


def test_bfmmla_is_exact_arithmetic(ours):
    d, n, m = bfloats(np.random.default_rng(5), 300)
    found = run_bf(ours, "bfmmla", d, n, m)
    for case in range(len(d)):
        for i, j in itertools.product(range(2), range(2)):
            total = d[case, 2 * i + j]
            for pair in range(2):
                total = bf_dot(total, n[case, 2 * i + pair], m[case, 2 * j + pair])
            assert found[case, 2 * i + j] == total


@pytest.mark.parametrize("fpcr", modes())
def test_bfmlal_is_fmla_of_singles(ours, fpcr):
    d, n, m = bfloats(np.random.default_rng(fpcr), 200)
    for top in range(2):
        wide = [column[:, :, top].astype("<u4") << 16 for column in (n, m)]
        want = ours.run(fill("fmla_vector_s", q=1), fpcr, starts({RD: d, RN: wide[0], RM: wide[1]}))
        found = ours.run(fill("bfmlal_vector", t=top), fpcr, starts({RD: d, RN: n, RM: m}))
        assert found.tobytes() == want.tobytes()
        for index in (0, 5, 7):
            one = m.reshape(-1, 8)[:, index : index + 1].astype("<u4") << 16
            begin = starts({RD: d, RN: wide[0], RM: np.repeat(one, 4, axis=1)})
            want = ours.run(fill("fmla_vector_s", q=1), fpcr, begin)
            insn = fill("bfmlal_element", t=top, i=index & 3, j=index >> 2)
            found = ours.run(insn, fpcr, starts({RD: d, RN: n, RM: m}))
            assert found.tobytes() == want.tobytes()


def to_bfloat(single, mode):
    """A finite single as bfloat16 in a rounding mode of FPCR, and the flags."""
    sign, exponent = single >> 31, max(single >> 23 & 0xFF, 1)
    fraction = single & 0x7FFFFF | (0x800000 if single >> 23 & 0xFF else 0)
    exact = Fraction(fraction, 1 << 16)
    kept, rest = divmod(fraction, 1 << 16)
    up = {
        0: rest > 0x8000 or (rest == 0x8000 and kept & 1),
        1: rest and not sign,
        2: rest and sign,
        3: False,
    }[mode]
    flags = IXC if rest else 0
    if rest and exact < 128:
        flags |= UFC
    found = (exponent - 1 << 7) + kept + bool(up)
    if found >= 0x7F80:
        flags |= OFC | IXC
        found = 0x7F80 if mode == 0 or mode == 1 + sign else 0x7F7F
    return sign << 15 | found, flags


@pytest.mark.parametrize("mode", range(4))
@pytest.mark.parametrize("q", [0, 1])
def test_bfcvtn(ours, mode, q):
    """Of one number at a time, so that the flags are its own; the other elements are zeros."""
    values = lanes(np.random.default_rng(mode), 2000, 32)[0]
    values[:, 1:] = 0
    values = values[values[:, 0] & INFINITY != INFINITY]
    before = np.full((len(values), 2), 0x0123_4567_89AB_CDEF, "<u8")
    ends = ours.run(fill("bfcvtn_s", q=q), mode << 22, starts({RD: before, RN: values}))
    want = [to_bfloat(int(value), mode) for value in values[:, 0]]
    assert ends["v"][:, q].tolist() == [bits for bits, _ in want]
    assert (ends["v"][:, 1 - q] == (before[:, 0] if q else 0)).all()
    assert ends["fpsr"].tolist() == [flags for _, flags in want]


# --- as other instructions ------------------------------------------------------------------


@pytest.mark.parametrize("size", "hsd")
@pytest.mark.parametrize("name", ["fmla", "fmls", "fmul", "fmulx"])
def test_by_element_is_by_a_vector_of_it(ours, name, size):
    bits = BITS[size]
    d, n, m = lanes(np.random.default_rng(bits), 300, bits)
    for index in range(128 // bits):
        high, low = {"h": divmod(index, 4), "s": divmod(index, 2), "d": (index, 0)}[size]
        fields = {"j": high, "q": 1} | ({"i": low} if size != "d" else {})
        same = np.repeat(m[:, index : index + 1], 128 // bits, axis=1)
        want = ours.run(fill(f"{name}_vector_{size}", q=1), 0, starts({RD: d, RN: n, RM: same}))
        found = ours.run(fill(f"{name}_element_{size}", **fields), 0, starts({RD: d, RN: n, RM: m}))
        assert found.tobytes() == want.tobytes()


HALVES = [
    key
    for key, row in ROWS.items()
    if re.search(r"_(vector|element)_[hs]$", key) and "q" in row.fields
]


@pytest.mark.parametrize("key", HALVES)
def test_half_a_register(ours, key):
    """Q clear: the upper half is cleared, and what is in the upper halves that are read, a
    denormal, a signalling NaN and zero, raises nothing."""
    bits, one, nan = {"h": (16, 0x3C00, 0x7C01), "s": (32, 0x3F80_0000, 0x7F80_0001)}[key[-1]]
    half = 64 // bits
    lower = np.full((1, half), one, f"<u{bits // 8}")
    registers = {
        number: np.concatenate([lower, np.full_like(lower, above)], axis=1)
        for number, above in ((RD, 1), (RN, nan), (RM, 0))
    }
    plain = dict.fromkeys(registers, np.concatenate([lower, lower], axis=1))
    found, want = (ours.run(fill(key, q=0), 0, starts(some)) for some in (registers, plain))
    assert found.tobytes() == want.tobytes()
    assert not found["v"][:, 1].any()


def test_unused_elements_by_hand(ours):
    """FDIV V3.2S of 1/1 and 1/0, where 0/0 is above."""
    n = np.array([[0x3F80_0000, 0x3F80_0000, 0, 0]], "<u4")
    m = np.array([[0x3F80_0000, 0, 0, 0]], "<u4")
    ends = ours.run(fill("fdiv_vector_s", q=0), 0, starts({RN: n, RM: m}))
    assert results(ends, 32).tolist() == [[0x3F80_0000, INFINITY, 0, 0]]
    assert ends["fpsr"] == DZC
    ends = ours.run(fill("fdiv_vector_s", q=1), 0, starts({RN: n, RM: m}))
    assert ends["fpsr"] == DZC | IOC


def test_fcmla_of_one_half_register_tells_of_its_elements_only(ours):
    """Unicorn computes the upper half as well, and keeps its flags."""
    one, inf = 0x3C00, 0x7C00
    n = np.array([[one] * 4 + [inf] * 4], "<u2")
    m = np.array([[one, one, 0, 0] + [0] * 4], "<u2")
    for rotation in range(4):
        insn = fill("fcmla_element_h4", r=rotation, i=0)
        ends = ours.run(insn, 0, starts({RD: n, RN: n, RM: m}))
        assert ends["fpsr"] == 0


def test_fixed_point_of_a_scalar_half_clears_the_rest(ours):
    """FCVTZS H3, H0, #1 of -1.5; Unicorn has 32 bits of sign there."""
    ends = ours.run(
        fill("fcvtzs_scalar_fixed_point_h", i=15), 0, starts({RN: np.array([[0xBE00] * 8], "<u2")})
    )
    assert ends["v"].tolist() == [[0xFFFD, 0]]


def test_flushed_denormals_are_told_of_all_elements(ours):
    n = np.array([[1, 1 << 52]], "<u8")
    for number in range(2):
        begin = starts({RN: np.roll(n, number, axis=1), RM: np.roll(n, number, axis=1)})
        ends = ours.run(fill("fadd_vector_d", q=1), FPCR_FZ, begin)
        assert results(ends, 64)[0, number] == 0
        assert ends["fpsr"] == IDC


@pytest.mark.parametrize("key", ["fadd", "fsub", "fmul", "fmulx", "fdiv", "fabd"])
@pytest.mark.parametrize("size", "sd")
def test_whole_registers_and_halves_of_them_agree(ours, key, size):
    """By the host all at once (IXC is set already), and one by one."""
    bits = BITS[size]
    d, n, m = lanes(np.random.default_rng(bits), BATCH // 2, bits)
    whole, seen = [], []
    for fpsr in (IXC, 0):
        begin = starts({RD: d, RN: n, RM: m}, fpsr)
        ends = ours.run(fill(f"{key}_vector_{size}", q=1), 0, begin)
        whole.append(ends["v"].tobytes())
        seen.append(ends["fpsr"] | IXC)
    assert whole[0] == whole[1]
    assert (seen[0] == seen[1]).all()


# --- immediates, features -------------------------------------------------------------------


def test_fmov_of_halves(ours):
    for imm8 in range(256):
        for q in range(2):
            insn = fill("fmov_vector_imm_h", h=imm8 >> 5, l=imm8 & 31, q=q)
            ends = ours.run(insn, 0, starts({RD: np.full((1, 2), 1 << 40, "<u8")}))
            value = (1 + (imm8 & 15) / 16) * 2.0 ** ((imm8 >> 4 & 7 ^ 4) - 3)
            half = int(np.float16(-value if imm8 >> 7 else value).view("u2"))
            assert results(ends, 16).tolist() == [[half] * 4 + [half * q] * 4]


@pytest.mark.parametrize("name", ["FP16", "FHM", "FCMA", "FRINTTS", "BF16"])
def test_without_a_feature_its_rows_are_undefined(name):
    flag = Feature[name]
    guest = Everything()
    guest.guest = BareGuest(cpu_model()._replace(flags=~Feature(0) & ~flag))
    begin = starts({RN: np.zeros((1, 2), "<u8")})
    rng = random.Random(name)
    for row in vector_fp.ENCODINGS:
        defined = guest.run(instances(row, rng, 1)[0] & ~31 | RD, 0, begin) is not None
        assert defined == (not row.feature & flag), row.key
