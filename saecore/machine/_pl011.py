"""PL011: the console. Floor 10.

Source: Arm DDI 0183, section 3.3, of which this is what the SBSA's generic UART has (data, flags,
interrupt mask and status) and what drivers set before they use it.
"""

from collections.abc import Callable
from typing import Final

from saecore.machine._registers import PrimeCell

__all__ = ["Pl011"]

_DR, _RSR, _FR, _IBRD, _FBRD, _LCR, _CR = 0x00, 0x04, 0x18, 0x24, 0x28, 0x2C, 0x30
_IFLS, _IMSC, _RIS, _MIS, _ICR, _DMACR = 0x34, 0x38, 0x3C, 0x40, 0x44, 0x48
_FR_TXFE: Final = 1 << 7
_FR_RXFE: Final = 1 << 4
_INT_RX: Final = 1 << 4
_INT_TX: Final = 1 << 5
_RESET: Final = {_IBRD: 0, _FBRD: 0, _LCR: 0, _CR: 0x300, _IFLS: 0x12, _IMSC: 0, _DMACR: 0}
_WIDTHS: Final = {_IBRD: 0xFFFF, _FBRD: 0x3F, _LCR: 0xFF, _CR: 0xFF87, _IFLS: 0x3F, _IMSC: 0x7FF,
                  _DMACR: 0x7}  # fmt: skip


class Pl011(PrimeCell):
    """A UART whose transmitter never fills, and which raises no interrupts.

    Parameters
    ----------
    output : callable
        Gets each byte the guest sends, as bytes.
    receive : callable, optional
        Returns bytes for the guest, b"" if there are none now. Asked when the guest looks and
        has read all there were.

    >>> sent = bytearray()
    >>> uart = Pl011(sent.extend, receive=iter([b"a", b"", b"", b"", b""]).__next__)
    >>> uart.write(0x00, 4, ord("x"))
    >>> bytes(sent), uart.read(0x18, 4) & 1 << 4, chr(uart.read(0x00, 4))
    (b'x', 0, 'a')
    >>> uart.read(0x18, 4) == 1 << 7 | 1 << 4        # nothing to send, nothing received
    True
    """

    def __init__(
        self, output: Callable[[bytes], object], receive: Callable[[], bytes] = lambda: b""
    ) -> None:
        super().__init__("uart", (0x11, 0x10, 0x34, 0x00))
        self._output = output
        self._receive = receive
        self._received = bytearray()
        self._registers = dict(_RESET)

    def load(self, offset: int) -> int:
        """Return what a register holds; reading the data register takes a byte.

        >>> Pl011(print).load(0x18) & 1 << 7
        128
        """
        if offset == _DR:
            return self._received.pop(0) if self._has_received() else 0
        if offset == _FR:
            return _FR_TXFE | (0 if self._has_received() else _FR_RXFE)
        if offset in (_RIS, _MIS):
            raised = _INT_TX | (_INT_RX if self._has_received() else 0)
            return raised & (self._registers[_IMSC] if offset == _MIS else raised)
        return self._registers.get(offset, 0)

    def kept(self, offset: int) -> int:
        """Return what is left of a register that is written in part: of the data nothing.

        >>> Pl011(print).kept(0x00)
        0
        """
        return 0 if offset == _DR else self.load(offset)

    def store(self, offset: int, value: int) -> None:
        """Set a register; writing the data register sends a byte.

        >>> Pl011(print).store(0x00, ord("x"))
        b'x'
        """
        if offset == _DR:
            self._output(bytes([value & 0xFF]))
        elif offset in self._registers:
            self._registers[offset] = value & _WIDTHS[offset]

    def _has_received(self) -> bool:
        if not self._received:
            self._received += self._receive()
        return bool(self._received)
