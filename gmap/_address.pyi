import numpy as np
from numpy.typing import NDArray

from gmap._arguments import _Either

def as_addr(values: _Either, what: str = "address") -> NDArray[np.uint64]: ...
