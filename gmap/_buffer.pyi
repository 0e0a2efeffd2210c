from collections.abc import Buffer
from typing import SupportsIndex

from gmap._host import Host

class Mapping(Buffer): ...

class BufferHost(Host):
    def __init__(self, *, hamaxpow: int = 48) -> None: ...
    def populate(self, hva: SupportsIndex, nbytes: SupportsIndex) -> None: ...
