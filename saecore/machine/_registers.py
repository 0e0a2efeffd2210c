"""What Arm's peripherals have in common: 32-bit registers, eight of them an identity. Floor 10."""

from collections.abc import Sequence

__all__ = ["PrimeCell"]

_FIRST_ID = 0xFE0
_CELL_ID = (0x0D, 0xF0, 0x05, 0xB1)


class PrimeCell:
    """A peripheral of 4 KiB with registers of 32 bits, each of which may be accessed in parts.

    A subclass says what its registers hold, by offset: `load` and `store`.

    Parameters
    ----------
    name : str
    part : sequence of int
        The four values of PeriphID0 to PeriphID3.

    >>> PrimeCell("nothing", (0x31, 0x10, 0x04, 0x00)).read(0xFE0, 4)
    49
    """

    nbytes = 0x1000

    def __init__(self, name: str, part: Sequence[int]) -> None:
        self.name = name
        self._id = (*part, *_CELL_ID)

    def load(self, offset: int) -> int:
        """Return what a register holds. One that is not there holds 0.

        >>> PrimeCell("nothing", (0, 0, 0, 0)).load(0)
        0
        """
        return 0

    def store(self, offset: int, value: int) -> None:
        """Set a register. One that is not there, or is only for reading, stays as it is.

        >>> PrimeCell("nothing", (0, 0, 0, 0)).store(0, 1)
        """

    def read(self, offset: int, size: int) -> int:
        """Answer a read of 1 to 8 bytes; one of 8 has the next register in its upper half.

        >>> hex(PrimeCell("nothing", (0x31, 0x10, 0x04, 0x00)).read(0xFE0, 8))
        '0x1000000031'
        """
        first = offset & ~3
        word = self._word(first)
        if offset + size > first + 4:
            word |= self._word(first + 4) << 32
        return word >> 8 * (offset & 3) & ((1 << 8 * size) - 1)

    def write(self, offset: int, size: int, value: int) -> None:
        """Take a write of 1 to 8 bytes; of a register it covers in part the rest is kept.

        >>> PrimeCell("nothing", (0, 0, 0, 0)).write(0, 1, 0xff)
        """
        shift = 8 * (offset & 3)
        mask, value = ((1 << 8 * size) - 1) << shift, value << shift
        for at in range(offset & ~3, offset + size, 4):
            part = mask & 0xFFFFFFFF
            if part == 0xFFFFFFFF:
                self.store(at, value & part)
            else:
                self.store(at, self.kept(at) & ~part | value & part)
            mask, value = mask >> 32, value >> 32

    def kept(self, offset: int) -> int:
        """Return what a write of a part of a register leaves of it: reading it may do something.

        >>> PrimeCell("nothing", (0, 0, 0, 0)).kept(0)
        0
        """
        return self.load(offset)

    def _word(self, offset: int) -> int:
        if offset >= _FIRST_ID:
            return self._id[(offset - _FIRST_ID) // 4]
        return self.load(offset)
