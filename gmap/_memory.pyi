from collections.abc import Callable
from contextlib import AbstractContextManager

def failing_allocation(
    nth: int, *, forever: bool = False
) -> AbstractContextManager[Callable[[], bool]]: ...
def live_allocations() -> int: ...
