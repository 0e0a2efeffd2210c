import numpy as np
from numpy.typing import ArrayLike, NDArray

def as_addr(values: ArrayLike, what: str = "address") -> NDArray[np.uint64]: ...
