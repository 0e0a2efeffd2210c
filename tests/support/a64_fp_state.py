"""Values for SIMD&FP registers, FPCR and FPSR that are built to hurt.

Registers are filled element by element: floating-point numbers of every width (zeros, denormals,
infinities, NaNs of both kinds with payloads, neighbours, halfway cases of conversions, exponents
near each other and at their ends), integers at the boundaries of every width, and plain bits.
"""

from typing import NamedTuple

import numpy as np

FPCR_AHP, FPCR_DN, FPCR_FZ, FPCR_FZ16 = 1 << 26, 1 << 25, 1 << 24, 1 << 19
FPCR_RMODE = 3 << 22
FPCR_BITS = FPCR_AHP | FPCR_DN | FPCR_FZ | FPCR_RMODE | FPCR_FZ16
FPSR_QC, FPSR_IDC, FPSR_IXC = 1 << 27, 1 << 7, 1 << 4
FPSR_BITS = FPSR_QC | FPSR_IDC | 0x1F


def combinations(mask):
    """Every value that has no bits but those of the mask."""
    values = [0]
    for bit in range(mask.bit_length()):
        if mask >> bit & 1:
            values += [value | 1 << bit for value in values]
    return values


class Format(NamedTuple):
    """An IEEE 754 format."""

    width: int
    fraction: int
    name: str

    @property
    def uint(self):
        return np.dtype(f"u{self.width // 8}")

    @property
    def bias(self):
        return (1 << self.width - self.fraction - 2) - 1

    @property
    def infinity(self):
        return (2 * self.bias + 1) << self.fraction


FORMATS = [Format(16, 10, "f2"), Format(32, 23, "f4"), Format(64, 52, "f8")]


def _numbers():
    """Numbers whose neighbours matter to some conversion, as doubles."""
    found = [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 0.25, 0.75, 100.5, 65504.0, 65520.0, 65519.0]
    found += [2.0**power for power in (7, 8, 10, 11, 15, 16, 23, 24, 31, 32, 52, 53, 63, 64)]
    found += [2.0**power - 0.5 for power in (7, 8, 15, 16, 31, 32, 10, 23, 51)]
    found += [2.0**power - 1 for power in (7, 8, 15, 16, 31, 32, 52)]
    # The smallest numbers of the formats, and half of them; the largest and what rounds to more.
    found += [2.0**power for power in (-14, -15, -24, -25, -126, -127, -149, -150, -1022)]
    found += [3 * 2.0**power for power in (-25, -26, -150, -151)]
    found += [2.0**128 - 2.0**104, 2.0**128 - 2.0**103, 2.0**127, 2.0**112, 2.0**1023]
    return np.array(found)


def _numbers_of(form):
    """Bits of a format's interesting numbers."""
    with np.errstate(all="ignore"):
        values = _numbers().astype(form.name).view(form.uint).astype(object).tolist()
    inf, top = form.infinity, (1 << form.fraction) - 1
    values += [n + step for n in values for step in (-1, 1)]
    values += [0, 1, 2, top - 1, top, top + 1, top + 2, inf - 1, inf - 2, inf]
    quiet = 1 << form.fraction - 1
    values += [inf | quiet, inf | quiet | 1, inf | top, inf | quiet | 0x15]
    values += [inf | 1, inf | quiet - 1, inf | 0x2A, inf | quiet >> 1]
    values = {value for value in values if 0 <= value < 1 << form.width - 1}
    sign = 1 << form.width - 1
    return np.array(sorted(values) + [value | sign for value in sorted(values)], form.uint)


def _integers(width):
    """Integers at the boundaries of this width and of smaller ones, and shift counts."""
    values = {0, 1, 2, 3, -1, -2, -3, 0x55, 0xAA}
    for size in (8, 16, 24, 32, 53, 64):
        if size <= width:
            half = 1 << size - 1
            values |= {half, half - 1, half + 1, -half, 1 - half, -half - 1, 2 * half, 2 * half - 1}
            values |= {half >> 1, half | half >> 1, 2 * half + 1, size, -size, size - 1, 1 - size}
    return np.array([value % (1 << width) for value in sorted(values)], f"u{width // 8}")


_POOLS = {form.width: _numbers_of(form) for form in FORMATS}
_EDGES = {width: _integers(width) for width in (8, 16, 32, 64)}


def _bits(rng, shape, width):
    return rng.integers(0, 1 << width, shape, f"u{width // 8}")


def _close(rng, shape, form):
    """Numbers that interact: exponents near to each other, or all at an end; few bits, or all."""
    fraction = _bits(rng, shape, form.width) & form.uint.type((1 << form.fraction) - 1)
    shift = rng.integers(0, form.fraction + 1, shape).astype(form.uint)
    kind = rng.random(shape)
    fraction = np.where(kind < 0.3, fraction >> shift << shift, fraction)
    fraction = np.where(kind > 0.8, fraction >> shift, fraction)
    top = 2 * form.bias
    centre = np.array([form.bias] * 4 + [1, form.fraction, top, form.bias // 2, form.bias * 3 // 2])
    spread = min(form.fraction + 4, form.bias)
    exponent = rng.choice(centre, (*shape[:-1], 1)) + rng.integers(-spread, spread + 1, shape)
    exponent = exponent.clip(0, top).astype(form.uint)
    sign = rng.integers(0, 2, shape).astype(form.uint) << form.uint.type(form.width - 1)
    return sign | exponent << form.uint.type(form.fraction) | fraction


def _elements(rng, count, width, floating):
    """`count` registers of elements of one width."""
    shape = (count, 128 // width)
    pool = (_POOLS if floating else _EDGES)[width]
    value = rng.choice(pool, shape)
    other = _bits(rng, shape, width)
    if floating:
        form = next(form for form in FORMATS if form.width == width)
        other = np.where(rng.random(shape) < 0.85, _close(rng, shape, form), other)
    value = np.where(rng.random((count, 1)) < 0.5, value, other)
    # Some registers hold what others do, or nearly.
    near = rng.random(count) < 0.15
    value[near] = np.roll(value, 1, axis=0)[near]
    value[near] += rng.integers(-1, 2, (int(near.sum()), 1)).astype(value.dtype)
    if rng.random() < 0.5:
        value[near] ^= value.dtype.type(1 << width - 1)
    return value.astype(value.dtype.newbyteorder("<")).view("<u8")


_KINDS = [(16, True), (32, True), (64, True), (8, False), (16, False), (32, False), (64, False)]


def vectors(rng, count):
    """SIMD&FP registers of `count` programs: (count, 32, 2). A program is of one kind mostly."""
    value = np.zeros((count * 32, 2), "u8")
    kind = rng.choice(len(_KINDS), (count, 1), p=(0.12, 0.23, 0.25, 0.1, 0.1, 0.1, 0.1))
    kind = np.where(rng.random((count, 32)) < 0.9, kind, rng.integers(0, len(_KINDS), (count, 32)))
    for number, (width, floating) in enumerate(_KINDS):
        at = np.nonzero(kind.ravel() == number)[0]
        value[at] = _elements(rng, len(at), width, floating)
    return value.reshape(count, 32, 2)


def generals(rng, shape):
    """64-bit values for X registers that conversions and moves take."""
    pools = np.concatenate([_EDGES[64], _POOLS[64], *(p.astype("u8") for p in _POOLS.values())])
    value = rng.choice(pools, shape)
    # Integers with a bit just below what a fraction holds: halfway, or next to it.
    top = rng.integers(10, 64, shape, dtype="u8")
    odd = np.uint64(1) << top
    for digits in (11, 24, 53):
        below = np.where(top >= digits, top - np.uint64(digits), np.uint64(0))
        odd |= (rng.integers(0, 4, shape, dtype="u8") << below) * (rng.random(shape) < 0.5)
    odd = np.where(rng.random(shape) < 0.3, odd + rng.integers(0, 3, shape, "u8"), odd)
    value = np.where(rng.random(shape) < 0.4, odd, value)
    return np.where(rng.random(shape) < 0.2, ~value + np.uint64(1), value)


def controls(rng, count, fp16):
    """FPCR and FPSR of `count` programs."""
    fpcr = rng.choice(np.array(combinations(FPCR_BITS if fp16 else FPCR_BITS & ~FPCR_FZ16)), count)
    fpcr[rng.random(count) < 0.25] &= FPCR_RMODE
    fpsr = rng.choice(np.array(combinations(FPSR_BITS)), count)
    kind = rng.random(count)
    fpsr[kind < 0.4] = 0
    fpsr[kind > 0.7] = FPSR_IXC  # inexact results need not be noticed then
    return fpcr, fpsr
