"""Numbers that ioctls are given. Floor 9."""

import operator
from typing import SupportsIndex

from gmap.errors import AddressError


def as_word(value: SupportsIndex, what: str, bits: int = 64) -> int:
    """An unsigned field of a structure.

    >>> as_word(5, "len", 32)
    5
    >>> as_word(1 << 32, "len", 32)
    Traceback (most recent call last):
        ...
    gmap.errors.AddressError: len 0x100000000: use 32 bits
    """
    number = operator.index(value)
    if not 0 <= number < 1 << bits:
        raise AddressError(f"{what} {number:#x}: use {bits} bits")
    return number
