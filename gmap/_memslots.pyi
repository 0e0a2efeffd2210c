from errno import EFAULT as EFAULT
from errno import EINVAL as EINVAL
from errno import ENOENT as ENOENT

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from gmap._arguments import _Array
from gmap._slots import (
    CREATE as CREATE,
)
from gmap._slots import (
    DELETE as DELETE,
)
from gmap._slots import (
    FLAGS_ONLY as FLAGS_ONLY,
)
from gmap._slots import (
    MOVE as MOVE,
)
from gmap._slots import (
    NOTHING as NOTHING,
)

@disjoint_base
class SlotRef: ...

@disjoint_base
class Memslots:
    def __init__(self, readonly_mem: bool) -> None: ...
    def describe(self) -> list[tuple[int, int, int, int, int]]: ...
    def highest_gfn(self) -> int: ...
    def set(
        self, slot: int, guest_phys_addr: int, memory_size: int, userspace_addr: int, flags: int
    ) -> None: ...
    def install(self, change: int, old: SlotRef | None, new: SlotRef | None) -> None: ...
    def get_dirty_log(self, slot: int, clear: bool) -> NDArray[np.uint64]: ...
    def clear_dirty_log(
        self, slot: int, first_page: int, num_pages: int, bitmap: _Array
    ) -> None: ...
