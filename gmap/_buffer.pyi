# For type checkers, which know it without the package; stubs are never run.
from typing_extensions import Buffer, disjoint_base

from gmap._arguments import _Int
from gmap._host import Host

@disjoint_base
class Mapping(Buffer): ...

@disjoint_base
class BufferHost(Host):
    def __init__(self, *, hamaxpow: int = 48) -> None: ...
    def populate(self, hva: _Int, nbytes: _Int) -> None: ...
