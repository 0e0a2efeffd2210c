from types import TracebackType
from typing import Self, final

from gmap._space import Gmap

@final
class reading:
    def __new__(cls, space: Gmap) -> Self: ...
    def __enter__(self) -> int: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
        /,
    ) -> None: ...
