from types import TracebackType
from typing import Self, SupportsIndex

from typing_extensions import disjoint_base

@disjoint_base
class AnonymousMemory:
    nbytes: int
    def __init__(self, nbytes: SupportsIndex) -> None: ...
    def touch(self) -> int: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None: ...
