"""Reader of DynamoRIO's traces as text. Floor 4."""

from typing import Self

from typing_extensions import disjoint_base

from gmap.trace._scanner import PageScanner

WORDS: dict[int, str]

@disjoint_base
class DynamorioScanner(PageScanner):
    def __new__(
        cls, name: str = "<dynamorio>", window: int = 64, lines: int = 0, state: bytes = b""
    ) -> Self: ...
    @property
    def fetches(self) -> int: ...
    @property
    def loads(self) -> int: ...
    @property
    def stores(self) -> int: ...
