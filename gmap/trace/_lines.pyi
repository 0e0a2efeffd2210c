"""Text in pieces of any size, cut into whole lines for a compiled scanner. Floor 4."""

from typing_extensions import disjoint_base

from gmap.trace._model import Records

SHOWN: int

@disjoint_base
class LineScanner:
    @property
    def name(self) -> str: ...
    @property
    def lines(self) -> int: ...
    @property
    def held(self) -> int: ...
    def feed(self, data: bytes | bytearray | memoryview) -> Records: ...
    def finish(self) -> Records: ...
