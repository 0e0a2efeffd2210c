from typing import ClassVar, SupportsIndex

from typing_extensions import Buffer, disjoint_base

from saecore.kvm.uapi import Exit as Reason
from saecore.kvm.uapi import SystemEventType

class Exit:
    __match_args__: ClassVar[tuple[str, ...]]
    reason: ClassVar[Reason | None]

@disjoint_base
class Mmio(Exit):
    data: bytes
    def __init__(
        self, phys_addr: SupportsIndex, data: bytes, len: int, is_write: bool
    ) -> None: ...
    @property
    def phys_addr(self) -> int: ...
    @property
    def len(self) -> int: ...
    @property
    def is_write(self) -> bool: ...
    @property
    def value(self) -> int: ...
    def reply(self, data: SupportsIndex | Buffer) -> None: ...

class Intr(Exit): ...
class Budget(Exit): ...

class SystemEvent(Exit):
    type: SystemEventType
    data: tuple[int, ...]
    def __init__(self, type: SystemEventType, data: tuple[int, ...]) -> None: ...

class Hypercall(Exit):
    nr: int
    args: tuple[int, ...]
    ret: int
    flags: int
    def __init__(self, nr: int, args: tuple[int, ...], ret: int, flags: int) -> None: ...

class Debug(Exit):
    hsr: int
    far: int
    def __init__(self, hsr: int, far: int) -> None: ...

class FailEntry(Exit):
    fault_reason: int
    cpu: int
    def __init__(self, fault_reason: int, cpu: int) -> None: ...

class InternalError(Exit):
    suberror: int
    data: tuple[int, ...]
    def __init__(self, suberror: int, data: tuple[int, ...]) -> None: ...

class MemoryFault(Exit):
    flags: int
    gpa: int
    size: int
    def __init__(self, flags: int, gpa: int, size: int) -> None: ...

class ArmNisv(Exit):
    esr_iss: int
    fault_ipa: int
    def __init__(self, esr_iss: int, fault_ipa: int) -> None: ...

class ArmLdst64b(Exit):
    esr_iss: int
    fault_ipa: int
    def __init__(self, esr_iss: int, fault_ipa: int) -> None: ...

class Unknown(Exit):
    hardware_exit_reason: int
    def __init__(self, hardware_exit_reason: int) -> None: ...
