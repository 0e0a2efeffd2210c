"""Reader of what `perf script` prints of samples with a data address. Floor 4."""

from typing import Self

from typing_extensions import disjoint_base

from gmap.trace._scanner import PageScanner

WORDS: dict[int, str]

@disjoint_base
class PerfScanner(PageScanner):
    def __new__(
        cls, name: str = "<perf>", window: int = 64, lines: int = 0, state: bytes = b""
    ) -> Self: ...
    @property
    def samples(self) -> int: ...
    @property
    def skipped(self) -> int: ...
