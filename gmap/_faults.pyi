from types import TracebackType
from typing import Literal, Self, SupportsIndex, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmap._host import Host
from gmap._space import Gmap

Errors = Literal["raise", "status", "mask"]

class Space:
    host: Host

class FaultContext:
    space: Space
    pstate: int
    pc: int
    def __init__(
        self, gmap: Gmap, id: SupportsIndex = 0, async_limit: SupportsIndex = 0
    ) -> None: ...
    @property
    def id(self) -> int: ...
    @overload
    def fault_in(
        self,
        gfn: SupportsIndex,
        write: bool = False,
        errors: Errors = "raise",
        *,
        pfault: bool = False,
    ) -> int: ...
    @overload
    def fault_in(
        self,
        gfn: ArrayLike,
        write: bool | NDArray[np.bool_] = False,
        errors: Errors = "raise",
        *,
        pfault: bool = False,
    ) -> NDArray[np.int32]: ...
    def take_async(self) -> NDArray[np.uint64]: ...

class GuestPages:
    gfn: int
    pfn: NDArray[np.uint64]
    writable: NDArray[np.bool_]
    def need_retry(self) -> bool: ...
    def release(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None: ...
