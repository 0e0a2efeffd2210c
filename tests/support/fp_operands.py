"""Operands of floating point that hurt, as bit patterns."""

import numpy as np

#: Bits of the fraction.
FRACTION = {16: 10, 32: 23, 64: 52}
_FLOAT = {16: "f2", 32: "f4", 64: "f8"}
FPCR_FZ16, FPCR_FZ, FPCR_DN, FPCR_AHP = 1 << 19, 1 << 24, 1 << 25, 1 << 26
IOC, DZC, OFC, UFC, IXC, IDC = 1, 2, 4, 8, 16, 128


def modes(alternative=False):
    """Every rounding mode with every other bit of FPCR that computing depends on."""
    others = [FPCR_FZ, FPCR_DN, FPCR_FZ16, *([FPCR_AHP] if alternative else [])]
    return [
        rmode << 22 | sum(bit for at, bit in enumerate(others) if some >> at & 1)
        for some in range(1 << len(others))
        for rmode in range(4)
    ]


def specials(bits):
    """Zeros, denormals, numbers at the edges and around one, infinities, NaNs; of both signs."""
    frac = FRACTION[bits]
    top = (1 << bits - 1 - frac) - 1
    bias, one = top >> 1, 1 << frac
    values = [0, 1, 2, 3, one // 2, one // 4, one // 4 - 1, one - 1, one, one + 1, 2 * one]
    values += [top * one - 1, top * one - 2, top * one, top * one + 1, top * one + one // 2]
    values += [top * one + one // 2 + 5, top * one + one // 2 - 1, top * one + one - 1]
    for power in (-2, -1, 0, 1, 2, 7, 8, 15, 16, 30, 31, 32, 52, 53, 62, 63, 64, frac, frac + 1):
        if power + bias < top:
            at = (power + bias) * one
            values += [at, at - 1, at + 1, at + one // 2, at + one // 2 + 1]
            # A unit more or less than the power, and half of one.
            values += [at + (one >> power) for power in (power,) if 0 <= power <= frac]
            values += [at + (one >> power + 1) for power in (power,) if 0 <= power < frac]
            values += [at - (one >> power) for power in (power,) if 0 <= power <= frac]
    values += [exp * one + 5 for exp in (2 * bias - 2, 2 * bias - 1, 2 * bias)]
    values = np.unique(np.array(values, "u8"))
    return np.concatenate([values, values | np.uint64(1 << bits - 1)])


def _plain(rng, count, bits):
    """Numbers of sparse fractions, of all exponents or of those around one."""
    frac = FRACTION[bits]
    top = (1 << bits - 1 - frac) - 1
    few = np.uint64(1) << rng.integers(0, frac, (3, count), dtype="u8")
    fraction = np.bitwise_xor.reduce(few) * (rng.random(count) < 0.8)
    fraction ^= np.where(rng.random(count) < 0.4, np.uint64((1 << frac) - 1), np.uint64(0))
    wide = rng.integers(0, top, count, dtype="u8")
    spread = min(2 * frac + 6, top >> 1)
    near = rng.integers((top >> 1) - spread, (top >> 1) + spread, count, dtype="u8")
    exp = np.where(rng.random(count) < 0.5, wide, near)
    sign = rng.integers(0, 2, count, dtype="u8")
    return sign << np.uint64(bits - 1) | exp << np.uint64(frac) | fraction


def draw(rng, count, bits):
    """Three columns of operands that depend on each other now and then; (count, 3) of uint64."""
    mask, frac = np.uint64((1 << bits) - 1), np.uint64(FRACTION[bits])
    sign = np.uint64(1 << bits - 1)
    hard = specials(bits)
    columns = []
    for _ in range(3):
        kind = rng.random(count)
        column = np.where(kind < 0.4, rng.choice(hard, count), _plain(rng, count, bits))
        column = np.where(kind > 0.85, rng.integers(0, 1 << 64, count, dtype="u8") & mask, column)
        columns.append(column)
    a, b, c = columns
    # The second close to the first; or their product close to the smallest or largest number.
    kind = rng.random(count)
    close = a + rng.integers(-3, 4, count).astype("u8") ^ (sign * rng.integers(0, 2, count, "u8"))
    b = np.where(kind < 0.1, close & mask, b)
    top = np.uint64((1 << bits - 1 - int(frac)) - 1)
    bias = top >> np.uint64(1)
    edge = np.where(rng.random(count) < 0.6, np.uint64(1), top - np.uint64(1))
    edge = edge + rng.integers(-3, 4, count).astype("u8")
    partner = edge + bias - (a >> frac & top)
    fits = (kind > 0.85) & (partner < top)
    b = np.where(fits, b & ~(top << frac) | partner << frac, b)
    # The third close to the product of the first two, which it may cancel.
    kind = rng.random(count)
    with np.errstate(all="ignore"):
        kinds = f"u{bits // 8}", _FLOAT[bits]
        product = (a.astype(kinds[0]).view(kinds[1]) * b.astype(kinds[0]).view(kinds[1])).view(
            kinds[0]
        )
    near = product.astype("u8") + rng.integers(-2, 3, count).astype("u8") ^ sign
    c = np.where(kind < 0.25, near & mask, c)
    return np.stack([a, b, c], axis=1)


def integers(rng, count):
    """Integers at and around powers of two, and sparse ones."""
    power = np.uint64(1) << rng.integers(0, 64, count, dtype="u8")
    offset = rng.integers(-3, 4, count).astype("u8") * rng.integers(0, 2, count, dtype="u8")
    few = np.bitwise_xor.reduce(np.uint64(1) << rng.integers(0, 64, (3, count), dtype="u8"))
    value = np.where(rng.random(count) < 0.5, power + offset, few)
    value = np.where(rng.random(count) < 0.5, value, np.uint64(0) - value)
    return np.where(rng.random(count) < 0.2, rng.integers(0, 1 << 64, count, dtype="u8"), value)
