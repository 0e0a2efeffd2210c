"""Reader of the body of a CSV trace. Floor 4."""

from typing import Self

from typing_extensions import disjoint_base

from gmap.trace._lines import LineScanner
from gmap.trace._model import ACCESS as ACCESS

@disjoint_base
class CsvScanner(LineScanner):
    def __new__(cls, name: str = "<csv>", lines: int = 0, order: bool = False) -> Self: ...
    @property
    def records(self) -> int: ...
