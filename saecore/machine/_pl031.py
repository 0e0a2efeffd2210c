"""PL031: a clock that counts seconds. Floor 10.

Source: Arm DDI 0224, section 3.3.
"""

import time
from collections.abc import Callable

from saecore.machine._registers import PrimeCell

__all__ = ["Pl031"]

_DR, _MR, _LR, _CR = 0x00, 0x04, 0x08, 0x0C
_WORD = 0xFFFFFFFF


class Pl031(PrimeCell):
    """A real-time clock, without its alarm's interrupt.

    Parameters
    ----------
    clock : callable, optional
        Returns the seconds since 1970; left out, this machine's clock.

    >>> rtc = Pl031(clock=lambda: 1000)
    >>> rtc.write(0x08, 4, 5)                   # set it
    >>> rtc.read(0x00, 4)
    5
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__("rtc", (0x31, 0x10, 0x04, 0x00))
        self._clock = clock
        self._offset = 0
        self._registers = {_MR: 0, _LR: 0}

    def load(self, offset: int) -> int:
        """Return what a register holds.

        >>> Pl031(clock=lambda: 7).load(0)
        7
        """
        if offset == _DR:
            return int(self._clock()) + self._offset & _WORD
        if offset == _CR:
            return 1  # it runs, and cannot be stopped
        return self._registers.get(offset, 0)

    def store(self, offset: int, value: int) -> None:
        """Set a register: writing the load register sets the clock.

        >>> rtc = Pl031(clock=lambda: 7)
        >>> rtc.store(0x04, 9)
        >>> rtc.load(0x04)
        9
        """
        if offset in self._registers:
            self._registers[offset] = value
        if offset == _LR:
            self._offset = value - int(self._clock())
