"""Interruptions that wait for a moment when they do no harm. Floor 4."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

__all__ = ["held_back"]

_INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def held_back() -> Iterator[Callable[[], None]]:
    """Hold interruptions back; the function given lets one act where that does no harm.

    Raised anywhere, a KeyboardInterrupt could part a record in two, lose records that others
    follow, or leave a program running.
    """
    pending: list[int] = []
    handlers: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        pending.append(number)

    def check() -> None:
        while pending:
            number = pending.pop(0)
            handlers[number](number, None)

    try:
        with suppress(ValueError):  # not the main thread: no interruption is raised in it
            for number in _INTERRUPTIONS:
                handler = signal.getsignal(number)
                if callable(handler):
                    handlers[number] = handler
                    signal.signal(number, note)
        yield check
    finally:
        with suppress(ValueError):
            for caught in reversed(handlers):  # one that is restored can raise at once
                signal.signal(caught, handlers[caught])
        check()
