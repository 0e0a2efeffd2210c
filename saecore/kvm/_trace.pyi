from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

EVENT: np.dtype[np.void]

@disjoint_base
class Recorder:
    def __init__(self, vm: Any, room: int = 65536) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    @property
    def lost(self) -> int: ...
    def take(self) -> NDArray[np.void]: ...
