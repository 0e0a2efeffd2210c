"""The body of a CSV trace, read and written. Floor 4."""

from typing import Self

from typing_extensions import disjoint_base

from gmap.trace._lines import LineScanner
from gmap.trace._model import ACCESS as ACCESS
from gmap.trace._model import Records

WORDS: dict[int, str]

@disjoint_base
class CsvScanner(LineScanner):
    def __new__(
        cls, name: str = "<csv>", lines: int = 0, order: bool = False, records: int = 0
    ) -> Self: ...
    @property
    def records(self) -> int: ...

def csv_lines(records: Records, order: bool) -> bytes: ...
