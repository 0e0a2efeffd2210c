from collections.abc import Callable
from errno import EEXIST as EEXIST
from errno import EINVAL as EINVAL
from typing import Final

NOTHING: Final[int]
CREATE: Final[int]
DELETE: Final[int]
MOVE: Final[int]
FLAGS_ONLY: Final[int]

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
