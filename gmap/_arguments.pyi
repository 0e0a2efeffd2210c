# Nothing here is for Python but the types of such arguments, which other stubs share.
#
# NumPy's stubs give every integer array an `__index__`, so where a function takes both, an
# integer is `_Int` and not `SupportsIndex`.
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

_Int: TypeAlias = int | np.integer[Any]
_Array: TypeAlias = Sequence[_Int] | NDArray[np.integer[Any]]
_Either: TypeAlias = _Int | _Array
_Errors: TypeAlias = Literal["raise", "status"]
