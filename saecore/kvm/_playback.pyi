from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

import gmap
from saecore.kvm.vcpu import Vcpu

STEP: np.dtype[np.void]

class Playback:
    vcpu: Vcpu
    array: NDArray[np.void]
    def __init__(self, vcpu: Vcpu, played: Iterable[Mapping[str, int]]) -> None: ...
    def __enter__(self) -> Playback: ...
    def __exit__(self, *exc_info: object) -> None: ...

class SlotReader:
    space: gmap.Gmap
    def __init__(self, space: gmap.Gmap) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *exc_info: object) -> None: ...

def last_fault(vcpu: Vcpu) -> int: ...
