from types import TracebackType
from typing import Any, Final, Literal, Self, SupportsIndex, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from gmap._arguments import _Array, _Int
from gmap.dtypes import LOOKUP as LOOKUP

_FolioSize: TypeAlias = Literal["4k", "1m", "2g"]
_Outcome: TypeAlias = Literal[
    "ok", "needs_io", "needs_io_always", "signal", "read_only", "hwpoison", "no_mapping"
]

FOLIO_ORDERS: Final[dict[str, int]]

@disjoint_base
class Host:
    # Abstract: for its subclasses alone.
    def __init__(self, *, hamaxpow: int = 48) -> None: ...
    @property
    def hamaxpow(self) -> int: ...
    @property
    def regions(self) -> dict[int, HostRegion]: ...
    @property
    def closed(self) -> bool: ...
    def map(
        self,
        nbytes: SupportsIndex,
        folio: _FolioSize = "4k",
        writable: bool = True,
        *,
        pfnmap: bool = False,
    ) -> HostRegion: ...
    def unmap(self, region: HostRegion) -> None: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None: ...
    def discard(self, hva: SupportsIndex, nbytes: SupportsIndex) -> None: ...
    def protect(self, hva: SupportsIndex, nbytes: SupportsIndex, writable: bool) -> None: ...
    def move(self, hva: SupportsIndex, nbytes: SupportsIndex) -> None: ...
    def reback(self, hva: SupportsIndex, nbytes: SupportsIndex, folio: _FolioSize) -> None: ...
    def answer(
        self,
        hva: SupportsIndex,
        nbytes: SupportsIndex,
        outcome: _Outcome,
        times: SupportsIndex | None = None,
    ) -> None: ...
    @overload
    def lookup(self, hva: _Int, write: bool = False) -> np.void: ...
    @overload
    def lookup(self, hva: _Array, write: bool = False) -> NDArray[np.void]: ...

@disjoint_base
class HostRegion:
    def __init__(
        self,
        host: Host,
        hva: int,
        nbytes: int,
        folio: _FolioSize,
        writable: bool,
        pfnmap: bool,
        mapping: Any = None,
    ) -> None: ...
    @property
    def host(self) -> Host: ...
    @property
    def hva(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def folio(self) -> _FolioSize: ...
    @property
    def writable(self) -> bool: ...
    @property
    def pfnmap(self) -> bool: ...
    @property
    def closed(self) -> bool: ...
    @property
    def array(self) -> NDArray[np.uint8]: ...
    def close(self) -> None: ...
