"""Standard input for a guest's console. Floor 10."""

import io
import os
import select
import time
from typing import Final, TextIO

__all__ = ["Input"]

_PAUSE_NS: Final = 1_000_000  # a guest that waits asks all the time


class Input:
    """What can be read from a file now, without waiting; nothing once it has ended.

    Parameters
    ----------
    file : text file
        One without a descriptor of its own has nothing to read.

    >>> reading, writing = os.pipe()
    >>> _ = os.write(writing, b"text")
    >>> with open(reading) as file:
    ...     Input(file).read()
    b'text'
    >>> os.close(writing)
    """

    def __init__(self, file: TextIO) -> None:
        self._asked = 0
        self._fd: int | None
        try:
            self._fd = file.fileno()
        except (io.UnsupportedOperation, AttributeError, ValueError):
            self._fd = None

    def read(self) -> bytes:
        """Return what is there; looked for once a millisecond at most.

        >>> Input(io.StringIO("a text without a descriptor")).read()
        b''
        """
        now = time.monotonic_ns()
        if self._fd is None or now < self._asked + _PAUSE_NS:
            return b""
        self._asked = now
        ready, _, _ = select.select([self._fd], [], [], 0)
        if not ready:
            return b""
        data = os.read(self._fd, 4096)
        if not data:
            self._fd = None
        return data
