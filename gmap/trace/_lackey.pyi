"""Reader of what `valgrind --tool=lackey --trace-mem=yes` prints, with the page filter. Floor 4."""

from typing import Self

from typing_extensions import disjoint_base

from gmap.trace._scanner import PageScanner

WORDS: dict[int, str]

@disjoint_base
class LackeyScanner(PageScanner):
    def __new__(
        cls, name: str = "<lackey>", window: int = 64, lines: int = 0, state: bytes = b""
    ) -> Self: ...
    @property
    def fetches(self) -> int: ...
    @property
    def loads(self) -> int: ...
    @property
    def stores(self) -> int: ...
    @property
    def modifies(self) -> int: ...
    @property
    def banner(self) -> str: ...
    @property
    def noise(self) -> str: ...
