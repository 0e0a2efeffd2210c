"""Unicorn and icicle-emu as machines for the same guests.

Unicorn runs a guest as it is: with its MMU on, by its own tables, its console a region of MMIO.
icicle has no MMU and no devices, so it is only given the function that does the work, at the
addresses the guest has it.
"""

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from _peers import NotMeasured
from elftools.elf.elffile import ELFFile

__all__ = ["GuestFile", "IcicleWork", "UnicornGuest", "UnicornLoop", "icicle_faults", "load",
           "unicorn_faults"]  # fmt: skip

RAM: Final = 0x4000_0000
RAM_BYTES: Final = 64 << 20
UART: Final = 0x0900_0000
_PAGE: Final = 4096
_DR, _FR, _TX_EMPTY_RX_EMPTY = 0x00, 0x18, 0x90
# op0, op1, CRn, CRm, op2 are given as CRn, CRm, op0, op1, op2.
_SCR_EL3, _SCR_NS_RW = (1, 1, 3, 6, 0), 0x401
_HCR_EL2, _HCR_RW = (1, 1, 3, 4, 0), 1 << 31
#: The function a workload's guest calls, and where icicle's stack is and its return goes.
_WORK: Final = "work"
_STACK: Final = RAM + RAM_BYTES - _PAGE
_RETURN: Final = 0x1000


class GuestFile:
    """A guest's ELF file: what goes where, and where its functions are."""

    def __init__(self, path: Path) -> None:
        file = ELFFile(io.BytesIO(path.read_bytes()))
        self.entry: int = file["e_entry"]
        self.segments = [
            (segment["p_paddr"], segment.data())
            for segment in file.iter_segments()
            if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]
        ]
        symbols = file.get_section_by_name(".symtab")
        self.functions = {s.name: s["st_value"] for s in symbols.iter_symbols()} if symbols else {}


def load(name: str) -> Any:
    """Import a peer, or say what is missing."""
    try:
        return __import__(name)
    except ImportError:
        package = {"icicle": "icicle-emu"}.get(name, name)
        raise NotMeasured(f"not installed: pip install {package}") from None


class UnicornGuest:
    """A guest in Unicorn, with its MMU.

    Attributes
    ----------
    console : bytearray
        What it has printed.
    """

    def __init__(self, guest: GuestFile) -> None:
        unicorn = load("unicorn")
        arm = unicorn.arm64_const
        self.entry = guest.entry
        self.console = bytearray()
        self._work = [0, 0]
        self._uc = uc = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        uc.ctl_set_cpu_model(arm.UC_CPU_ARM64_A72)
        for register, value in ((_SCR_EL3, _SCR_NS_RW), (_HCR_EL2, _HCR_RW)):
            uc.reg_write(arm.UC_ARM64_REG_CP_REG, (*register, value))
        uc.mem_map(RAM, RAM_BYTES)
        for address, data in guest.segments:
            uc.mem_write(address, bytes(data))
        uc.mmio_map(UART, _PAGE, self._read, None, self._write, None)
        uc.hook_add(unicorn.UC_HOOK_INTR, lambda uc, number, data: uc.emu_stop())

    def _read(self, uc: Any, offset: int, size: int, data: Any) -> int:
        return _TX_EMPTY_RX_EMPTY if offset == _FR else 0

    def _write(self, uc: Any, offset: int, size: int, value: int, data: Any) -> None:
        if offset != _DR:
            return
        if self.console.count(b"\n") == 1:  # the work was between this byte and the one before
            self._work[1] = self._work[1] or time.perf_counter_ns()
        self.console.append(value & 0xFF)
        if value == 0x0A:
            self._work[0] = self._work[0] or time.perf_counter_ns()

    def work_ns(self) -> int:
        """Run the guest to its end; the nanoseconds between "start" and its answer."""
        self._uc.emu_start(self.entry, 0)
        return self._work[1] - self._work[0]


class IcicleWork:
    """A workload's function in icicle's JIT."""

    def __init__(self, guest: GuestFile, scale: int) -> None:
        icicle = load("icicle")
        self._vm = vm = icicle.Icicle("aarch64")
        both = icicle.MemoryProtection.ExecuteReadWrite
        vm.mem_map(RAM, RAM_BYTES, both)
        for address, data in guest.segments:
            vm.mem_write(address, bytes(data))
        vm.reg_write("x0", scale)
        vm.reg_write("x30", _RETURN)
        vm.sp = _STACK
        vm.pc = guest.functions[_WORK]

    def work_ns(self) -> int:
        """Run the function; the nanoseconds it takes."""
        start = time.perf_counter_ns()
        self._vm.run()  # to where it returns to: nothing is there
        ns = time.perf_counter_ns() - start
        if self._vm.pc != _RETURN:
            raise NotMeasured(f"icicle stopped at {self._vm.pc:#x}: {self._vm.exception_code}")
        return ns

    @property
    def answer(self) -> int:
        """What it returned."""
        return int(self._vm.reg_read("x0"))

    @property
    def insns(self) -> int:
        """Instructions it took."""
        return int(self._vm.icount)


class UnicornLoop:
    """A guest in Unicorn that writes to a device in a loop; each write stops Unicorn.

    Unicorn leaves PC at the write, though that is done: it is read, and the guest is started
    behind it. That is what a monitor has to do whose devices are not callbacks.
    """

    def __init__(self, code: bytes, device: int) -> None:
        unicorn = load("unicorn")
        self._arm = arm = unicorn.arm64_const
        self._uc = uc = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        uc.mem_map(RAM, _PAGE)
        uc.mem_write(RAM, code)
        uc.mmio_map(device, _PAGE, None, None, lambda uc, *rest: uc.emu_stop(), None)
        uc.reg_write(arm.UC_ARM64_REG_X4, device)
        uc.emu_start(RAM, 0)

    def exits_ns(self, n: int) -> int:
        """The nanoseconds of n exits."""
        uc, pc = self._uc, self._arm.UC_ARM64_REG_PC
        start = time.perf_counter_ns()
        for _ in range(n):
            uc.emu_start(uc.reg_read(pc) + 4, 0)
        return time.perf_counter_ns() - start


def unicorn_faults(code: bytes, pages: int) -> float:
    """The nanoseconds of a first touch of each of `pages` pages that a hook maps."""
    unicorn = load("unicorn")
    arm = unicorn.arm64_const
    uc = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
    uc.mem_map(RAM, _PAGE)
    uc.mem_write(RAM, code)
    first = RAM + (1 << 30)

    def lazily(uc: Any, access: int, address: int, size: int, value: int, data: Any) -> bool:
        uc.mem_map(address & -_PAGE, _PAGE)
        return True

    uc.hook_add(unicorn.UC_HOOK_MEM_UNMAPPED, lazily)
    uc.reg_write(arm.UC_ARM64_REG_X0, first)
    uc.reg_write(arm.UC_ARM64_REG_X1, pages)
    start = time.perf_counter_ns()
    uc.emu_start(RAM, RAM + len(code))
    ns = time.perf_counter_ns() - start
    if uc.reg_read(arm.UC_ARM64_REG_X1):
        raise NotMeasured("Unicorn did not reach the end of the loop")
    return ns / pages


def icicle_faults(code: bytes, pages: int) -> float:
    """The same in icicle: it stops at each page, which is mapped from Python."""
    icicle = load("icicle")
    vm = icicle.Icicle("aarch64")
    both = icicle.MemoryProtection.ReadWrite
    vm.mem_map(RAM, _PAGE, icicle.MemoryProtection.ExecuteReadWrite)
    vm.mem_write(RAM, code)
    vm.reg_write("x0", RAM + (1 << 30))
    vm.reg_write("x1", pages)
    vm.pc = RAM
    end = RAM + len(code)
    run: Callable[[], Any] = vm.run
    start = time.perf_counter_ns()
    for _ in range(pages):
        run()
        vm.mem_map(vm.exception_value & -_PAGE, _PAGE, both)
    run()
    ns = time.perf_counter_ns() - start
    if vm.pc != end:
        raise NotMeasured(f"icicle stopped at {vm.pc:#x}: {vm.exception_code}")
    return ns / pages
