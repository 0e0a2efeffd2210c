"""What a user would otherwise install to translate addresses: drgn and volatility3.

Each gets the memory of a guest with four levels of tables of 4 KiB pages, made here, in the
format it reads: an arm64 crash dump for drgn, x86-64 memory for volatility3. Both translate one
address a call, which is all they offer.
"""

import importlib
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from _peers import NotMeasured

__all__ = ["TRANSLATORS", "Translate", "four_levels"]

Translate: TypeAlias = Callable[[int], int]

_PAGE: Final = 4096
_ENTRIES: Final = _PAGE // 8
_ROOT: Final = _PAGE  # of the tables; 0 stays free
_ARM64_TABLE: Final = 3
_ARM64_PAGE: Final = 3 | 1 << 10  # accessed
_X86_TABLE: Final = 3
_X86_PAGE: Final = 3 | 1 << 5 | 1 << 6  # accessed, dirty

# ELF, as in elf.h.
_ET_CORE: Final = 4
_EM_AARCH64: Final = 183
_PT_LOAD: Final = 1
_PT_NOTE: Final = 4
_ELF64: Final = b"\x7fELF\x02\x01\x01"
_EHDR: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_PHDR: Final = struct.Struct("<IIQQQQQQ")
_VMCOREINFO: Final = b"""OSRELEASE=6.12.0
PAGESIZE=4096
SYMBOL(swapper_pg_dir)=ffff800080000000
NUMBER(VA_BITS)=48
NUMBER(TCR_EL1_T1SZ)=0x10
KERNELOFFSET=0
"""


def four_levels(nbytes: int, table: int, page: int) -> bytes:
    """Return memory whose tables map each page of `nbytes` to the frame of its number.

    Parameters
    ----------
    nbytes : int
        Mapped from virtual address 0; at most 512 GiB.
    table, page : int
        Low bits of an entry for a table and for a page.

    >>> len(four_levels(2 << 20, 3, 3)) // 4096  # four tables behind a free page
    5
    """
    counts = [1, 1, -(-nbytes // (1 << 30)), -(-nbytes // (1 << 21))]
    firsts = np.cumsum([0, *counts])
    words = np.zeros((firsts[-1], _ENTRIES), dtype="<u8").reshape(-1)
    below = [*counts[1:], nbytes // _PAGE]
    for level, entries in enumerate(below):
        at = firsts[level] * _ENTRIES
        first = _ROOT + firsts[level + 1] * _PAGE | table if level < 3 else page
        words[at : at + entries] = np.arange(entries) * _PAGE + first
    return bytes(_ROOT) + words.tobytes()


def crash_dump(memory: bytes, nbytes: int) -> bytes:
    """Return an arm64 crash dump of `nbytes` whose memory begins as given and goes on with 0."""
    name = b"VMCOREINFO\0\0"  # 11 bytes, padded to words
    info = _VMCOREINFO.ljust(-(-len(_VMCOREINFO) // 4) * 4, b"\0")
    note = struct.pack("<III", 11, len(_VMCOREINFO), 0) + name + info
    at = _EHDR.size + 2 * _PHDR.size
    header = _EHDR.pack(_ELF64, _ET_CORE, _EM_AARCH64, 1, 0, _EHDR.size, 0, 0, _EHDR.size,
                        _PHDR.size, 2, 0, 0, 0)  # fmt: skip
    notes = _PHDR.pack(_PT_NOTE, 0, at, 0, 0, len(note), len(note), 4)
    load = _PHDR.pack(_PT_LOAD, 7, at + len(note), 0, 0, len(memory), nbytes, 0)
    return header + notes + load + note + memory


def installed(package: str, *modules: str) -> list[Any]:
    """Import modules of a package, or say how to install it."""
    try:
        return [importlib.import_module(name) for name in modules]
    except ImportError:
        raise NotMeasured(f"not installed: pip install {package}") from None


@contextmanager
def drgn(nbytes: int) -> Iterator[Translate]:
    """Give drgn's translation through the tables of an arm64 crash dump.

    The function is private: the public one needs the symbols of a kernel.
    """
    package, compiled = installed("drgn", "drgn", "_drgn")
    follow = getattr(compiled, "_linux_helper_follow_phys", None)
    if follow is None:
        raise NotMeasured("this drgn has no _linux_helper_follow_phys: pip install drgn==0.3.0")
    memory = four_levels(nbytes, _ARM64_TABLE, _ARM64_PAGE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vmcore")
        path.write_bytes(crash_dump(memory, nbytes))
        program = package.Program()
        program.set_core_dump(path)
        yield lambda address: follow(program, _ROOT, address)


@contextmanager
def volatility3(nbytes: int) -> Iterator[Translate]:
    """Give volatility3's translation through the tables of an x86-64 machine."""
    modules = ("contexts", "layers.intel", "layers.physical")
    contexts, intel, physical = installed(
        "volatility3", *(f"volatility3.framework.{name}" for name in modules)
    )
    context = contexts.Context()
    tables = four_levels(nbytes, _X86_TABLE, _X86_PAGE)
    memory = bytearray(nbytes)  # a frame must be there to be an answer
    memory[: len(tables)] = tables
    context.add_layer(physical.BufferDataLayer(context, "memory", "memory", memory))
    context.config["guest.memory_layer"] = "memory"
    context.config["guest.page_map_offset"] = _ROOT
    translate = intel.Intel32e(context, "guest", "guest").translate
    yield lambda address: translate(address)[0]


#: Name to a context manager that takes the bytes of a guest and gives address -> address.
TRANSLATORS: Final = {"drgn": drgn, "volatility3": volatility3}
