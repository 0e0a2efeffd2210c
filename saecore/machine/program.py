"""Programs: ELF files, Linux images and flat binaries, and where in memory they go. Floor 10.

::

    file -> read_program -> Program(kind, entry, segments)

Sources: the ELF specification and its AArch64 supplement; Documentation/arch/arm64/booting.rst
for the header of an Image.
"""

import gzip
import io
import os
import struct
import zlib
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from saecore.machine.errors import ProgramError

__all__ = ["MAX_PROGRAM_BYTES", "Kind", "Program", "Segment", "read_program"]

Kind = Literal["elf", "image", "flat"]
#: No program is larger than this, unpacked or not.
MAX_PROGRAM_BYTES: Final = 1 << 32

_IMAGE_MAGIC: Final = b"ARM\x64"
_IMAGE_HEADER: Final = struct.Struct("<8xQQQ24x4s4x")  # text_offset, image_size, flags, magic
_BIG_ENDIAN: Final = 1
_GZIP_MAGIC: Final = b"\x1f\x8b"
_IMAGE_ALIGNMENT: Final = 2 << 20
#: From the start of memory to where a flat binary goes: there is room for a device tree below.
_FLAT_OFFSET: Final = 0x80000


class Segment(NamedTuple):
    """Bytes for guest memory, and how much memory they are the beginning of; the rest is zero."""

    address: int
    data: bytes
    nbytes: int


@dataclass(frozen=True)
class Program:
    """What a file puts into memory, and where it starts.

    Attributes
    ----------
    kind : str
        "elf", "image" or "flat".
    entry : int
        Guest physical address of the first instruction.
    segments : tuple of Segment
    """

    kind: Kind
    entry: int
    segments: tuple[Segment, ...]

    @property
    def start(self) -> int:
        """The first address that is used.

        >>> Program("flat", 0x40080000, (Segment(0x40080000, bytes(4), 16),)).start == 0x40080000
        True
        """
        return min(segment.address for segment in self.segments)

    @property
    def end(self) -> int:
        """The address behind the last one that is used.

        >>> hex(Program("flat", 0x40080000, (Segment(0x40080000, bytes(4), 16),)).end)
        '0x40080010'
        """
        return max(segment.address + segment.nbytes for segment in self.segments)


def read_program(
    path: str | os.PathLike[str],
    memory_start: int,
    *,
    load_address: int | None = None,
    entry: int | None = None,
) -> Program:
    """Read a program.

    Parameters
    ----------
    path : path-like
        An ELF file for AArch64, a Linux Image (gzip or not), or anything else: a flat binary.
    memory_start : int
        Where guest memory begins.
    load_address : int, optional
        Where a flat binary or an Image goes, or what is added to the addresses of a
        position-independent ELF file. Left out, 512 KiB above the start of memory; for an Image
        the first multiple of 2 MiB that leaves room below.
    entry : int, optional
        Where to start, instead of where the file says.

    Raises
    ------
    ProgramError
        The file is broken, or for another machine; or a load address is given for an ELF file
        that says itself where it goes.
    OSError
        It cannot be read.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(bytes.fromhex("000080d2")), file.flush()     # mov x0, #0
    ...     program = read_program(file.name, 0x4000_0000)
    >>> program.kind, hex(program.entry)
    ('flat', '0x40080000')
    """
    with open(path, "rb") as file:
        data = file.read(MAX_PROGRAM_BYTES + 1)
    name = os.fspath(path)
    if data.startswith(_GZIP_MAGIC):
        data = _unpacked(name, data)
    if not data:
        raise ProgramError(f"{name} is empty: no program")
    if len(data) > MAX_PROGRAM_BYTES:
        raise ProgramError(f"{name} has more than {MAX_PROGRAM_BYTES >> 30} GiB: no program")
    if data.startswith(b"\x7fELF"):
        program = _elf(name, data, load_address)
    elif data[56:60] == _IMAGE_MAGIC:
        program = _image(name, data, memory_start, load_address)
    else:
        start = memory_start + _FLAT_OFFSET if load_address is None else load_address
        program = Program("flat", start, (Segment(start, data, len(data)),))
    if entry is not None:
        program = Program(program.kind, entry, program.segments)
    if program.entry % 4:
        raise ProgramError(f"{name} starts at {program.entry:#x}, where no instruction can be")
    return program


def _unpacked(name: str, data: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            return packed.read(MAX_PROGRAM_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ProgramError(f"{name} is a damaged gzip file: {error}") from None


def _elf(name: str, data: bytes, load_address: int | None) -> Program:
    try:
        file = ELFFile(io.BytesIO(data))
        machine, elf_type, first = file["e_machine"], file["e_type"], file["e_entry"]
        if machine != "EM_AARCH64" or file.elfclass != 64 or not file.little_endian:
            raise ProgramError(
                f"{name} is an ELF file for {machine}, {file.elfclass} bits, "
                f"{'little' if file.little_endian else 'big'}-endian: "
                "only AArch64 of 64 bits, little-endian, runs here"
            )
        if elf_type not in ("ET_EXEC", "ET_DYN"):
            raise ProgramError(f"{name} is {elf_type}: link it to a program first")
        if elf_type == "ET_EXEC" and load_address is not None:
            raise ProgramError(
                f"{name} says itself where it goes: leave the load address out, or link it "
                "as a position-independent program"
            )
        bias = load_address or 0
        headers = [s.header for s in file.iter_segments() if s["p_type"] == "PT_LOAD"]
    except (ELFError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise ProgramError(f"{name} is a damaged ELF file: {error}") from None
    segments = []
    entry: int | None = None
    for head in headers:
        offset, size = head["p_offset"], head["p_filesz"]
        if offset + size > len(data) or size > head["p_memsz"]:
            raise ProgramError(f"{name} is a damaged ELF file: a segment ends outside of it")
        if head["p_memsz"]:
            where = head["p_paddr"] + bias
            segments.append(Segment(where, data[offset : offset + size], head["p_memsz"]))
        if 0 <= first - head["p_vaddr"] < head["p_memsz"]:
            entry = first - head["p_vaddr"] + head["p_paddr"] + bias
    if not segments:
        raise ProgramError(f"{name} has no segment to load")
    if entry is None:
        raise ProgramError(f"{name} starts at {first:#x}, where it has nothing")
    return Program("elf", entry, tuple(segments))


def _image(name: str, data: bytes, memory_start: int, load_address: int | None) -> Program:
    if len(data) < _IMAGE_HEADER.size:
        raise ProgramError(f"{name} ends within the header of a Linux Image")
    text_offset, image_size, flags, _ = _IMAGE_HEADER.unpack_from(data)
    if flags & _BIG_ENDIAN:
        raise ProgramError(f"{name} is a big-endian Linux Image: only little-endian ones run here")
    if image_size == 0:  # before Linux 3.17 the header did not say
        text_offset, image_size = _FLAT_OFFSET, len(data)
    if text_offset >= MAX_PROGRAM_BYTES or image_size > MAX_PROGRAM_BYTES:
        raise ProgramError(f"{name} has a damaged Image header: {image_size:#x} bytes")
    if load_address is None:
        below = memory_start + _IMAGE_ALIGNMENT
        start = -(-below // _IMAGE_ALIGNMENT) * _IMAGE_ALIGNMENT + text_offset
    else:
        start = load_address
        if (start - text_offset) % _IMAGE_ALIGNMENT:
            raise ProgramError(
                f"{name} must lie {text_offset:#x} bytes behind a multiple of 2 MiB, "
                f"not at {start:#x}"
            )
    return Program("image", start, (Segment(start, data, max(image_size, len(data))),))
