from typing import SupportsIndex

from gmap._host import Host

class SyntheticHost(Host):
    def __init__(
        self, seed: SupportsIndex = 0, fragmentation: float = 0.0, *, hamaxpow: int = 48
    ) -> None: ...
