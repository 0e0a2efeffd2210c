from types import TracebackType
from typing import Any, Literal, Self, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

FolioSize = Literal["4k", "1m", "2g"]
Outcome = Literal[
    "ok", "needs_io", "needs_io_always", "signal", "read_only", "hwpoison", "no_mapping"
]
FOLIO_ORDERS: dict[str, int]

class Host:
    hamaxpow: int
    regions: dict[int, HostRegion]
    @property
    def closed(self) -> bool: ...
    def __init__(self, *, hamaxpow: int = 48) -> None: ...
    def map(
        self,
        nbytes: SupportsIndex,
        folio: FolioSize = "4k",
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
    def reback(self, hva: SupportsIndex, nbytes: SupportsIndex, folio: FolioSize) -> None: ...
    def answer(
        self,
        hva: SupportsIndex,
        nbytes: SupportsIndex,
        outcome: Outcome,
        times: SupportsIndex | None = None,
    ) -> None: ...
    def lookup(self, hva: ArrayLike, write: bool = False) -> Any: ...

class HostRegion:
    host: Host
    hva: int
    nbytes: int
    folio: FolioSize
    writable: bool
    pfnmap: bool
    def __init__(
        self,
        host: Host,
        hva: int,
        nbytes: int,
        folio: str,
        writable: bool,
        pfnmap: bool,
        mapping: object | None = None,
    ) -> None: ...
    @property
    def closed(self) -> bool: ...
    @property
    def array(self) -> NDArray[np.uint8]: ...
    def close(self) -> None: ...

class SyntheticHost(Host):
    def __init__(
        self, seed: SupportsIndex = 0, fragmentation: float = 0.0, *, hamaxpow: int = 48
    ) -> None: ...
