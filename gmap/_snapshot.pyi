from collections.abc import Sequence
from typing import Final, NamedTuple, Self, SupportsIndex

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from gmap._readable import AddressSpace
from gmap._space import MemslotInfo

MOST_IPA_BITS: Final[int]

class Flat(NamedTuple):
    asce_bits: int
    words: tuple[NDArray[np.uint64], ...]
    gfns: tuple[NDArray[np.uint64], ...]

def flatten(space: AddressSpace) -> Flat: ...
def entry_places(
    words: NDArray[np.uint64], level: int, *, leaves: bool = False
) -> NDArray[np.int64]: ...
@disjoint_base
class Tables: ...

@disjoint_base
class Snapshot(AddressSpace):
    def __new__(
        cls,
        asce_bits: SupportsIndex,
        words: Sequence[NDArray[np.uint64]],
        *,
        ipa_bits: SupportsIndex,
        memslots: Sequence[tuple[int, int, int, int, int]] = (),
        host_regions: Sequence[tuple[int, int]] = (),
    ) -> Self: ...
    @property
    def memslots(self) -> tuple[MemslotInfo, ...]: ...
    @property
    def host_regions(self) -> tuple[tuple[int, int], ...]: ...
    def stats(self) -> dict[str, int]: ...
