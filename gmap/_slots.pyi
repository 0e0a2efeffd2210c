from collections.abc import Callable

NOTHING: int
CREATE: int
DELETE: int
MOVE: int
FLAGS_ONLY: int

def classify(
    slot: int,
    guest_phys_addr: int,
    memory_size: int,
    userspace_addr: int,
    flags: int,
    *,
    existing: tuple[int, int, int, int] | None,
    overlapping: Callable[[int, int], int | None],
    readonly_mem: bool,
    guest_phys_size: int,
    asce_bytes: int,
) -> int: ...
