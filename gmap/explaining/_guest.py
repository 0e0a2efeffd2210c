"""A guest whose memory comes from files: a dump of a real machine, or of another model. Floor 4."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gmap import BufferHost, Gmap
from gmap._defs import PAGE_SIZE
from gmap.errors import AddressError, ConfigError

__all__ = ["GuestImage", "MemoryImage"]

_SMALLEST, _LARGEST = 32, 48  # bits of a guest's physical address


@dataclass(frozen=True)
class MemoryImage:
    """Raw bytes and the intermediate physical address they begin at, a multiple of 4096.

    >>> MemoryImage.parse("ram.bin@0x40000000")
    MemoryImage(path=PosixPath('ram.bin'), ipa=1073741824)
    """

    path: Path
    ipa: int

    @classmethod
    def parse(cls, text: str) -> "MemoryImage":
        """Return the image a command line names as FILE@IPA.

        Raises
        ------
        ConfigError
            No address, or none that memory can begin at.

        >>> MemoryImage.parse("ram.bin@4096").ipa
        4096
        """
        path, at, address = text.rpartition("@")
        try:
            ipa = int(address, 0)
        except ValueError:
            at = ""
        if not at or not path:
            raise ConfigError(f"memory {text!r}: use FILE@IPA, for example ram.bin@0x40000000")
        if ipa % PAGE_SIZE or not 0 <= ipa < 1 << _LARGEST:
            raise ConfigError(
                f"memory {text!r}: the address must be a multiple of {PAGE_SIZE} and below "
                f"2**{_LARGEST}"
            )
        return cls(Path(path), ipa)


class GuestImage:
    """A guest with memory from files, all of it mapped by its gmap.

    Parameters
    ----------
    images : sequence of MemoryImage
        What memory there is; none may overlap.

    Attributes
    ----------
    gmap : Gmap
    host : BufferHost

    Raises
    ------
    ConfigError
        No memory at all, an empty file, or two images that overlap.
    OSError
        A file that cannot be read.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = pathlib.Path(directory, "ram.bin")
    ...     _ = path.write_bytes(bytes(8192))
    ...     guest = GuestImage([MemoryImage(path, 0x4000_0000)])
    >>> guest.gmap.memslots[0].memory_size
    8192
    """

    def __init__(self, images: Sequence[MemoryImage]) -> None:
        if not images:
            raise ConfigError("a guest needs memory: name at least one file")
        ordered = sorted(images, key=lambda image: image.ipa)
        sizes = [_pages(image) * PAGE_SIZE for image in ordered]
        last = 0
        for image, size in zip(ordered, sizes, strict=True):
            if image.ipa < last:
                raise ConfigError(
                    f"memory {image.path} at {image.ipa:#x} overlaps the one before it, which "
                    f"ends at {last:#x}"
                )
            last = image.ipa + size
        if last > 1 << _LARGEST:
            raise AddressError(f"memory ends at {last:#x}: it must end below 2**{_LARGEST}")
        self.host = BufferHost()
        # A slot may not end with the address space.
        self.gmap = Gmap(self.host, ipa_bits=max(_SMALLEST, min(last.bit_length(), _LARGEST)))
        for slot, (image, size) in enumerate(zip(ordered, sizes, strict=True)):
            region = self.host.map(size)
            content = np.fromfile(image.path, np.uint8)
            region.array[: len(content)] = content
            self.gmap.set_memory_region(slot, image.ipa, size, region.hva)
            first = image.ipa // PAGE_SIZE
            gfns = np.arange(first, first + size // PAGE_SIZE, dtype=np.uint64)
            self.gmap.fault_in(gfns, write=True)


def _pages(image: MemoryImage) -> int:
    size = image.path.stat().st_size
    if size == 0:
        raise ConfigError(f"memory {image.path} is empty: give a raw memory image")
    return -(-size // PAGE_SIZE)
