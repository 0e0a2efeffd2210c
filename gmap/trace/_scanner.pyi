"""Text whose lines are accesses, and the page filter they go through. Floor 4."""

from typing import Self

from typing_extensions import disjoint_base

from gmap.trace._lines import LineScanner
from gmap.trace._model import Records

@disjoint_base
class PageScanner(LineScanner):
    def __new__(
        cls, name: str = "<text>", window: int = 64, lines: int = 0, state: bytes = b""
    ) -> Self: ...
    @property
    def accesses(self) -> int: ...
    def state(self) -> bytes: ...
    def finish(self, *, cut_off: bool = False) -> Records: ...
