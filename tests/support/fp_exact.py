"""Floating point in exact arithmetic: slow, plain, and nothing of it shared with the processor.

Numbers are fractions; only `Unit.round` knows that a format is finite. Written from IEEE 754 and
what the Arm ARM (DDI 0487) adds to it: NaNs, flushing to zero, and when an exception is told.
"""

import math
from fractions import Fraction
from typing import NamedTuple


class Format(NamedTuple):
    """A format, by the bits of its exponent and of its fraction."""

    exponent: int
    fraction: int

    @property
    def bits(self):
        return 1 + self.exponent + self.fraction

    @property
    def bias(self):
        return 2 ** (self.exponent - 1) - 1

    @property
    def infinity(self):
        return (2**self.exponent - 1) << self.fraction

    @property
    def quiet(self):
        return 1 << self.fraction - 1


HALF, SINGLE, DOUBLE, BFLOAT = Format(5, 10), Format(8, 23), Format(11, 52), Format(8, 7)
FORMATS = {16: HALF, 32: SINGLE, 64: DOUBLE}
EVEN, UP, DOWN, ZERO, AWAY, ODD = range(6)
INFINITE, NAN = "infinite", "nan"


class Invalid(Exception):
    """An operation that has no result."""


def log2(size):
    """The largest power of two that is not above a positive fraction, by its exponent."""
    exp = size.numerator.bit_length() - size.denominator.bit_length()
    exp -= size < Fraction(2) ** exp
    assert Fraction(2) ** exp <= size < Fraction(2) ** (exp + 1)
    return exp


class Unit:
    """Does operations as FPCR says, and collects the exceptions."""

    def __init__(self, fpcr):
        self.fpcr = fpcr
        self.exceptions = set()

    @property
    def fpsr(self):
        bits = {"IO": 0, "DZ": 1, "OF": 2, "UF": 3, "IX": 4, "ID": 7}
        return sum(1 << bits[name] for name in self.exceptions)

    @property
    def mode(self):
        return self.fpcr >> 22 & 3

    def _flag(self, bit):
        return bool(self.fpcr >> bit & 1)

    def flushes(self, form):
        return self._flag(19 if form is HALF else 24)

    # --- patterns and numbers ---------------------------------------------------------------
    def number(self, form, pattern, *, flush=True, alternative=False):
        """Sign (1 or -1) and magnitude of a pattern: a fraction, INFINITE or NAN."""
        sign = -1 if pattern >> form.bits - 1 else 1
        exp = pattern >> form.fraction & 2**form.exponent - 1
        rest = Fraction(pattern & 2**form.fraction - 1, 2**form.fraction)
        if exp == 2**form.exponent - 1 and not alternative:
            return sign, NAN if rest else INFINITE
        if exp:
            return sign, (1 + rest) * Fraction(2) ** (exp - form.bias)
        if rest and flush and self.flushes(form):
            if form is not HALF:
                self.exceptions.add("ID")
            return sign, Fraction(0)
        return sign, rest * Fraction(2) ** (1 - form.bias)

    def zero(self, form, sign):
        return (sign < 0) << form.bits - 1

    def infinite(self, form, sign):
        return self.zero(form, sign) | form.infinity

    def nan(self, form, patterns):
        """The NaN that comes of operands of which one is a NaN."""
        nans = [p for p in patterns if p & 2 ** (form.bits - 1) - 1 > form.infinity]
        signalling = [p for p in nans if not p & form.quiet]
        if signalling:
            self.exceptions.add("IO")
        if self._flag(25):
            return form.infinity | form.quiet
        return (signalling or nans)[0] | form.quiet

    def round(self, form, value, mode=None, *, flush=True, alternative=False):
        """The pattern of a number that is not zero."""
        mode = self.mode if mode is None else mode
        sign, size = (1, value) if value > 0 else (-1, -value)
        exp = log2(size)
        least = 1 - form.bias
        if exp < least and flush and self.flushes(form):
            self.exceptions.add("UF")
            return self.zero(form, sign)
        units = size / Fraction(2) ** (max(exp, least) - form.fraction)
        count, rest = units.numerator // units.denominator, units % 1
        if rest and exp < least:
            self.exceptions.add("UF")
        count += {
            EVEN: rest > Fraction(1, 2) or (rest == Fraction(1, 2) and count % 2),
            AWAY: rest >= Fraction(1, 2),
            UP: rest and sign > 0,
            DOWN: rest and sign < 0,
            ZERO: False,
            ODD: rest and count % 2 == 0,
        }[mode] != 0
        rounded = count * Fraction(2) ** (max(exp, least) - form.fraction)
        limit = Fraction(2) ** (form.bias + 1 + alternative)
        if rounded >= limit:
            if alternative:
                self.exceptions.add("IO")
                return self.zero(form, sign) | 0x7FFF
            self.exceptions |= {"OF", "IX"}
            to_infinity = mode in (EVEN, AWAY, UP if sign > 0 else DOWN)
            return self.infinite(form, sign) - (not to_infinity)
        if rest:
            self.exceptions.add("IX")
        return self.zero(form, sign) | self._pattern(form, rounded)

    def _pattern(self, form, size):
        """Of a number the format has."""
        if size < Fraction(2) ** (1 - form.bias):
            return int(size * 2 ** (form.bias - 1 + form.fraction))
        exp = log2(size)
        rest = size / Fraction(2) ** exp - 1
        return (exp + form.bias << form.fraction) + int(rest * 2**form.fraction)

    def _or_zero(self, form, value, sign):
        return self.round(form, value) if value else self.zero(form, sign)

    def _compute(self, form, patterns, what):
        numbers = [self.number(form, pattern) for pattern in patterns]
        if any(size is NAN for _, size in numbers):
            return self.nan(form, patterns)
        try:
            return what(*numbers)
        except Invalid:
            self.exceptions.add("IO")
            return form.infinity | form.quiet

    # --- operations -------------------------------------------------------------------------
    def _sum(self, form, a, b):
        (sign_a, a), (sign_b, b) = a, b
        if INFINITE in (a, b):
            if a == b and sign_a != sign_b:
                raise Invalid
            return self.infinite(form, sign_a if a is INFINITE else sign_b)
        value = sign_a * a + sign_b * b
        sign = sign_a if sign_a == sign_b else -1 if self.mode == DOWN else 1
        return self._or_zero(form, value, sign)

    def _product(self, a, b):
        (sign_a, a), (sign_b, b) = a, b
        if INFINITE in (a, b):
            if 0 in (a, b):
                raise Invalid
            return sign_a * sign_b, INFINITE
        return sign_a * sign_b, a * b

    def add(self, form, a, b):
        return self._compute(form, (a, b), lambda a, b: self._sum(form, a, b))

    def sub(self, form, a, b):
        return self._compute(form, (a, b), lambda a, b: self._sum(form, a, (-b[0], b[1])))

    def mul(self, form, a, b):
        def what(a, b):
            sign, size = self._product(a, b)
            if size is INFINITE:
                return self.infinite(form, sign)
            return self._or_zero(form, sign * size, sign)

        return self._compute(form, (a, b), what)

    def div(self, form, a, b):
        def what(a, b):
            sign, (a, b) = a[0] * b[0], (a[1], b[1])
            if a == b and (a is INFINITE or a == 0):
                raise Invalid
            if a is INFINITE:
                return self.infinite(form, sign)
            if b is INFINITE or a == 0:
                return self.zero(form, sign)
            if b == 0:
                self.exceptions.add("DZ")
                return self.infinite(form, sign)
            return self.round(form, sign * a / b)

        return self._compute(form, (a, b), what)

    def sqrt(self, form, a):
        def what(a):
            sign, size = a
            if size == 0:
                return self.zero(form, sign)
            if sign < 0:
                raise Invalid
            if size is INFINITE:
                return self.infinite(form, 1)
            # Many more bits than the format has, and a half if that is not all.
            scale = 4 ** (form.bias + 2 * form.fraction)
            n = size * scale
            root = math.isqrt(n.numerator // n.denominator)
            value = Fraction(2 * root + (root * root != n), 2 * math.isqrt(scale))
            return self.round(form, value)

        return self._compute(form, (a,), what)

    def fma(self, form, addend, a, b):
        """a * b + addend"""
        quiet_addend = addend & 2 ** (form.bits - 1) - 1 >= form.infinity | form.quiet
        if quiet_addend:
            x, y = self.number(form, a), self.number(form, b)
            if NAN not in (x[1], y[1]):
                try:
                    self._product(x, y)
                except Invalid:
                    self.exceptions.add("IO")
                    return form.infinity | form.quiet
        return self._compute(
            form, (addend, a, b), lambda c, a, b: self._sum(form, c, self._product(a, b))
        )

    def round_int(self, form, a, mode, exact=False):
        """To an integer of the format."""

        def what(a):
            sign, size = a
            if size is INFINITE:
                return self.infinite(form, sign)
            whole, inexact = self._integer(sign * size, mode)
            if inexact and exact:
                self.exceptions.add("IX")
            return self.zero(form, sign) | self._pattern(form, Fraction(abs(whole)))

        return self._compute(form, (a,), what)

    @staticmethod
    def _integer(value, mode):
        below = math.floor(value)
        rest = value - below
        half = Fraction(1, 2)
        up = {
            EVEN: rest > half or (rest == half and below % 2),
            AWAY: rest > half or (rest == half and value > 0),
            UP: rest > 0,
            DOWN: False,
            ZERO: rest > 0 and value < 0,
        }[mode]
        return below + bool(up), rest != 0

    def to_fixed(self, form, a, fbits, signed, width, mode):
        """To an integer of `width` bits, as unsigned."""
        sign, size = self.number(form, a)
        low, high = (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if signed else (0, 2**width - 1)
        if size is NAN:
            self.exceptions.add("IO")
            return 0
        if size is INFINITE:
            self.exceptions.add("IO")
            return (high if sign > 0 else low) % 2**width
        whole, inexact = self._integer(sign * size * 2**fbits, mode)
        if not low <= whole <= high:
            self.exceptions.add("IO")
        elif inexact:
            self.exceptions.add("IX")
        return min(max(whole, low), high) % 2**width

    def from_fixed(self, form, value, fbits, signed, width):
        value %= 2**width
        if signed and value >> width - 1:
            value -= 2**width
        return self._or_zero(form, Fraction(value, 2**fbits), 1)

    def convert(self, source, form, a):
        """To another format. FZ16 has no say, and halves may be of the alternative kind."""
        alternative = self._flag(26)
        sign, size = self.number(
            source, a, flush=source is not HALF, alternative=alternative and source is HALF
        )
        alternative = alternative and form is HALF
        if size is NAN:
            signalling = not a & source.quiet
            if signalling or alternative:
                self.exceptions.add("IO")
            if alternative:
                return self.zero(form, sign)
            if self._flag(25):
                return form.infinity | form.quiet
            payload = a & source.quiet - 1
            shift = form.fraction - source.fraction
            payload = payload << shift if shift > 0 else payload >> -shift
            return self.infinite(form, sign) | form.quiet | payload
        if size is INFINITE:
            if not alternative:
                return self.infinite(form, sign)
            self.exceptions.add("IO")
            return self.zero(form, sign) | 0x7FFF
        if size == 0:
            return self.zero(form, sign)
        return self.round(form, sign * size, flush=form is not HALF, alternative=alternative)
