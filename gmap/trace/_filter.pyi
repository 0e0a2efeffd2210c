"""The page filter for arrays of accesses. Floor 4."""

from typing import Self

from typing_extensions import disjoint_base

from gmap.trace._model import ACCESS as ACCESS
from gmap.trace._model import Records

@disjoint_base
class PageFilter:
    def __new__(cls, window: int = 64) -> Self: ...
    @property
    def accesses(self) -> int: ...
    def feed(self, records: Records) -> Records: ...
    def finish(self) -> Records: ...
