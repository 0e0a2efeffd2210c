"""The page filter for arrays of accesses. Floor 4."""

from typing import Self

from typing_extensions import disjoint_base

from gmap.trace._model import ACCESS as ACCESS
from gmap.trace._model import LAST_PAGE as LAST_PAGE
from gmap.trace._model import MAX_ORDER as MAX_ORDER
from gmap.trace._model import Records

@disjoint_base
class PageFilter:
    def __new__(cls, window: int = 64, state: bytes = b"") -> Self: ...
    @property
    def accesses(self) -> int: ...
    def state(self) -> bytes: ...
    def feed(self, records: Records) -> Records: ...
    def finish(self) -> Records: ...
