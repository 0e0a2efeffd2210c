"""Where devices are: guest addresses to the device behind them. Floor 10."""

from dataclasses import dataclass
from typing import Protocol

from gmap.errors import ConfigError

__all__ = ["Bus", "Device"]


class Device(Protocol):
    """What answers the accesses to some guest addresses.

    Attributes
    ----------
    name : str
        For messages and the device tree's node.
    nbytes : int
        How many bytes of guest addresses it takes.
    """

    name: str
    nbytes: int

    def read(self, offset: int, size: int) -> int:
        """Answer a read of `size` bytes, as an unsigned integer."""

    def write(self, offset: int, size: int, value: int) -> None:
        """Take a write of `size` bytes."""


@dataclass(frozen=True)
class _Place:
    start: int
    end: int
    device: Device


class Bus:
    """Devices by guest address.

    >>> from saecore.machine import Pl031
    >>> bus = Bus()
    >>> bus.attach(0x9010000, Pl031(clock=lambda: 5))
    >>> bus.read(0x9010000, 4)
    5
    >>> bus.find(0x1234) is None
    True
    """

    def __init__(self) -> None:
        self._places: list[_Place] = []

    def attach(self, address: int, device: Device) -> None:
        """Put a device somewhere, where no other is.

        Raises
        ------
        ConfigError
            Another device is there.
        """
        end = address + device.nbytes
        for place in self._places:
            if address < place.end and place.start < end:
                raise ConfigError(
                    f"{device.name} at {address:#x} is in the way of {place.device.name} at "
                    f"{place.start:#x}: choose another address"
                )
        self._places.append(_Place(address, end, device))

    def devices(self) -> list[tuple[int, Device]]:
        """Return the devices and where they are, in the order they were attached."""
        return [(place.start, place.device) for place in self._places]

    def find(self, address: int) -> tuple[Device, int] | None:
        """Return the device at an address, and the offset in it."""
        for place in self._places:
            if place.start <= address < place.end:
                return place.device, address - place.start
        return None

    def read(self, address: int, size: int) -> int | None:
        """Read from the device at an address; None if there is none."""
        found = self.find(address)
        return None if found is None else found[0].read(found[1], size) & ((1 << 8 * size) - 1)

    def write(self, address: int, size: int, value: int) -> bool:
        """Write to the device at an address; whether there is one."""
        found = self.find(address)
        if found is not None:
            found[0].write(found[1], size, value)
        return found is not None
