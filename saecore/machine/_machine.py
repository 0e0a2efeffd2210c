"""A board with one processor: memory, devices, a program; and the loop over its exits. Floor 10.

::

    Machine(memory) -> attach(devices) -> load(program) -> run() -> Outcome
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from gmap.errors import ConfigError
from saecore import kvm
from saecore._cpu import CpuModel
from saecore.machine._bus import Bus
from saecore.machine.devicetree import Extent, build_tree
from saecore.machine.errors import MachineError
from saecore.machine.program import Program

__all__ = ["MEMORY", "Machine", "Outcome"]

#: Memory of a machine where none is asked for.
MEMORY: Final = Extent(0x4000_0000, 64 << 20)

_SYSTEM_SHUTDOWN, _SYSTEM_RESET = 1, 2  # KVM_SYSTEM_EVENT_*
_TREE_BLOCK: Final = 2 << 20  # a kernel maps the device tree by blocks of this size

Reason = Literal["off", "reset", "crash", "budget"]


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes
    ----------
    reason : str
        "off" or "reset" (the guest asked for it), "crash" (it said it had one), or "budget".
    insns : int
        Instructions executed.
    seconds : float
        Wall-clock time.
    exits : mapping of str to int
        Exits to Python by their class.
    """

    reason: Reason
    insns: int
    seconds: float
    exits: Mapping[str, int] = field(default_factory=dict)

    @property
    def mips(self) -> float:
        """Million instructions a second.

        >>> Outcome("off", 3_000_000, 0.5).mips
        6.0
        """
        return self.insns / self.seconds / 1e6 if self.seconds else 0.0


class Machine:
    """A machine with one vCPU, memory in one piece, and devices.

    Parameters
    ----------
    memory : Extent
        Where guest memory is, whole pages of 4 KiB.
    ipa_bits : int, optional
        The size of guest physical addresses, 32 to 48; left out, as many as the memory needs,
        40 or more.
    cpu : str or CpuModel
        The processor.
    clock : {"host", "insns"}
        What the guest's counter counts: nanoseconds, or executed instructions, with which a
        guest runs the same way every time.

    Attributes
    ----------
    vm : kvm.Vm
    vcpu : kvm.Vcpu
    bus : Bus
        The devices; what no device answers ends the run.
    memory : Extent
    ram : uint8 array
        Guest memory itself.

    Examples
    --------
    >>> from saecore.machine import Pl011, Program, Segment
    >>> words = [0xd2a12000, 0x52800d01, 0xb9000001, 0x52800100, 0x72b08000, 0xd4000002]
    >>> code = b"".join(word.to_bytes(4, "little") for word in words)
    >>> with Machine() as machine:
    ...     machine.bus.attach(0x0900_0000, Pl011(lambda data: print(data.decode())))
    ...     machine.load(Program("flat", 0x4008_0000, (Segment(0x4008_0000, code, 24),)))
    ...     outcome = machine.run()
    h
    >>> outcome.reason, outcome.exits["Mmio"]
    ('off', 1)
    """

    def __init__(
        self,
        memory: Extent = MEMORY,
        *,
        ipa_bits: int | None = None,
        cpu: str | CpuModel = "default",
        clock: Literal["host", "insns"] = "host",
    ) -> None:
        start, nbytes = memory
        if start % 4096 or nbytes % 4096 or nbytes <= 0:
            raise ConfigError(f"memory of {nbytes:#x} bytes at {start:#x}: use whole pages of 4K")
        if start < 0 or start + nbytes > 1 << 48:
            raise ConfigError(f"memory at {start:#x} ends above 2**48: use a lower address")
        if ipa_bits is None:
            ipa_bits = max(40, (start + nbytes - 1).bit_length())
        self.memory = memory
        self.bus = Bus()
        with kvm.System(cpu=cpu) as system:
            self.vm = system.create_vm(ipa_bits=ipa_bits, clock=clock)
        region = self.vm.host.map(nbytes)
        self.vm.set_user_memory_region(
            slot=0, guest_phys_addr=start, memory_size=nbytes, userspace_addr=region.hva
        )
        self.ram: NDArray[np.uint8] = region.array
        self.vcpu = self.vm.create_vcpu(0)
        self.vcpu.init(self.vm.preferred_target())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the VM; what it has goes with the last reference to it."""
        self.vm.close()

    # --- memory -----------------------------------------------------------------------------

    def write(self, address: int, data: bytes, what: str = "data") -> None:
        """Put bytes into guest memory.

        Raises
        ------
        ConfigError
            They do not lie in memory.

        >>> with Machine() as machine:
        ...     machine.write(0x4000_0000, b"abc")
        ...     bytes(machine.ram[:4])
        b'abc\\x00'
        """
        self._check_extent(address, len(data), what)
        at = address - self.memory.start
        self.ram[at : at + len(data)] = np.frombuffer(data, np.uint8)

    def _check_extent(self, address: int, nbytes: int, what: str) -> None:
        start, size = self.memory
        if address < start or address + nbytes > start + size:
            raise ConfigError(
                f"{what} takes {nbytes:#x} bytes at {address:#x}, and memory is {size:#x} bytes "
                f"at {start:#x}: use more memory or another address"
            )

    def load(
        self, program: Program, *, bootargs: str = "", initrd: bytes = b"", tree: bool = True
    ) -> None:
        """Put a program into memory and the vCPU at its entry.

        The vCPU is as the Linux boot protocol wants it: X0 holds the address of the device tree,
        or 0 where there is none, EL1h, MMU off, interrupts masked.

        Parameters
        ----------
        program : Program
        bootargs : str
            The kernel's command line, for the device tree. ASCII.
        initrd : bytes
            The kernel's initial memory disk; it goes behind the program.
        tree : bool
            Make a device tree. It goes to the start of memory, or behind the program where that
            is taken.

        Raises
        ------
        ConfigError
            Something does not fit into memory.

        >>> from saecore.machine import Program, Segment
        >>> with Machine() as machine:
        ...     machine.load(Program("flat", 0x4008_0000, (Segment(0x4008_0000, b"abcd", 4),)))
        ...     hex(machine.vcpu.get_one_reg(kvm.reg.PC)), machine.ram[:4].tobytes().hex()
        ('0x40080000', 'd00dfeed')
        """
        if not bootargs.isascii():
            raise ConfigError(f"bootargs {bootargs!r}: use ASCII")
        for segment in program.segments:
            self._check_extent(segment.address, segment.nbytes, f"the program ({program.kind})")
            self.write(segment.address, segment.data)
            at = segment.address - self.memory.start
            self.ram[at + len(segment.data) : at + segment.nbytes] = 0
        end = program.end
        disk = None
        if initrd:
            disk = Extent(-(-end // 4096) * 4096, len(initrd))
            self.write(disk.start, initrd, "the initrd")
            end = disk.start + disk.nbytes
        where = 0
        if tree:
            blob = build_tree([self.memory], self.bus.devices(), bootargs=bootargs, initrd=disk)
            where = self._room_for_tree(len(blob), program.start, end)
            self.write(where, blob, "the device tree")
        self.vcpu.set_one_reg(kvm.reg.X(0), where)
        self.vcpu.set_one_reg(kvm.reg.PC, program.entry)

    def _room_for_tree(self, nbytes: int, start: int, end: int) -> int:
        """Below or behind what lies from `start` to `end`, within one block of a kernel's map."""
        if self.memory.start + nbytes <= start:
            return self.memory.start
        where = -(-end // 8) * 8
        if where // _TREE_BLOCK != (where + nbytes - 1) // _TREE_BLOCK:
            where = -(-where // _TREE_BLOCK) * _TREE_BLOCK
        return where

    # --- running ----------------------------------------------------------------------------

    def run(
        self,
        max_insns: int | None = None,
        *,
        each: Callable[[], object] | None = None,
        slice_insns: int | None = None,
    ) -> Outcome:
        """Run until the guest is off, or has executed so many instructions.

        Parameters
        ----------
        max_insns : int, optional
            How many at most; exact.
        each : callable, optional
            Called every `slice_insns` instructions, and at the end.
        slice_insns : int, optional

        Raises
        ------
        MachineError
            The guest touched what is neither memory nor a device, or did something else this
            machine cannot go on from.
        """
        exits: Counter[str] = Counter()
        vcpu, bus = self.vcpu, self.bus
        began, first = time.perf_counter(), vcpu.n_insns
        reason: Reason | None = None
        while reason is None:
            done = vcpu.n_insns - first
            left = None if max_insns is None else max_insns - done
            if left is not None and left <= 0:
                reason = "budget"
                break
            step = left if slice_insns is None else min(slice_insns, left or slice_insns)
            exit = vcpu.run() if step is None else vcpu.run(max_insns=step)
            exits[type(exit).__name__] += 1
            match exit:
                case kvm.Mmio():
                    self._access(exit, bus)
                case kvm.Budget():
                    if each is not None:
                        each()
                case kvm.Intr():
                    pass  # a signal that Python has dealt with
                case kvm.SystemEvent():
                    reason = _REASONS.get(exit.type, "crash")
                case _:
                    raise MachineError(f"{self._where()}: no way to go on from {exit}")
        if each is not None:
            each()
        return Outcome(reason, vcpu.n_insns - first, time.perf_counter() - began, dict(exits))

    def _access(self, exit: kvm.Mmio, bus: Bus) -> None:
        address, size = exit.phys_addr, exit.len
        if exit.is_write:
            if bus.write(address, size, exit.value):
                return
        else:
            value = bus.read(address, size)
            if value is not None:
                exit.reply(value)
                return
        what = "wrote" if exit.is_write else "read"
        raise MachineError(
            f"{self._where()}: the guest {what} {size} byte{'s' * (size > 1)} at {address:#x}, "
            "where neither memory nor a device is"
        )

    def _where(self) -> str:
        return f"pc {self.vcpu.get_one_reg(kvm.reg.PC):#x}"


_REASONS: Final[Mapping[int, Reason]] = {_SYSTEM_SHUTDOWN: "off", _SYSTEM_RESET: "reset"}
