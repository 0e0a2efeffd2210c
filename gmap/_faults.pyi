from collections.abc import Sequence
from types import TracebackType
from typing import Any, Literal, Self, SupportsIndex, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from gmap._arguments import _Array, _Int
from gmap._host import Host
from gmap._space import Gmap
from gmap.dtypes import HISTOGRAM as HISTOGRAM

_Codes: TypeAlias = Literal["raise", "status"]
_Masked: TypeAlias = np.ma.MaskedArray[Any, np.dtype[np.int32]]
_Write: TypeAlias = bool | np.bool_ | Sequence[bool] | NDArray[np.bool_]

@disjoint_base
class Space:
    @property
    def host(self) -> Host: ...

@disjoint_base
class FaultContext:
    def __new__(
        cls, gmap: Gmap, id: SupportsIndex = 0, async_limit: SupportsIndex = 0
    ) -> Self: ...
    @property
    def space(self) -> Space: ...
    @property
    def id(self) -> int: ...
    @property
    def pstate(self) -> int: ...
    @pstate.setter
    def pstate(self, value: SupportsIndex) -> None: ...
    @property
    def pc(self) -> int: ...
    @pc.setter
    def pc(self, value: SupportsIndex) -> None: ...
    @overload
    def fault_in(
        self,
        gfn: _Int,
        write: bool | np.bool_ = False,
        errors: Literal["raise", "status", "mask"] = "raise",
        *,
        pfault: bool = False,
    ) -> int: ...
    @overload
    def fault_in(
        self,
        gfn: _Array,
        write: _Write = False,
        errors: _Codes = "raise",
        *,
        pfault: bool = False,
    ) -> NDArray[np.int32]: ...
    @overload
    def fault_in(
        self,
        gfn: _Array,
        write: _Write = False,
        *,
        errors: Literal["mask"],
        pfault: bool = False,
    ) -> _Masked: ...
    @overload
    def fault_in(
        self, gfn: _Array, write: _Write, errors: Literal["mask"], *, pfault: bool = False
    ) -> _Masked: ...
    def take_async(self) -> NDArray[np.uint64]: ...

@disjoint_base
class GuestPages:
    # Refuses: only Gmap.get_guest_pages makes them.
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
    @property
    def gfn(self) -> int: ...
    @property
    def pfn(self) -> NDArray[np.uint64]: ...
    @property
    def writable(self) -> NDArray[np.bool_]: ...
    def need_retry(self) -> bool: ...
    def release(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None: ...
