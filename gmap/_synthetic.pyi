from typing import SupportsIndex

from typing_extensions import disjoint_base

from gmap._host import Host

@disjoint_base
class SyntheticHost(Host):
    def __init__(
        self, seed: SupportsIndex = 0, fragmentation: float = 0.0, *, hamaxpow: int = 48
    ) -> None: ...
