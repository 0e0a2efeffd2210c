from typing import Literal, TypeAlias, overload, type_check_only

import numpy as np
from numpy.typing import NDArray

from gmap._arguments import _Array, _Either, _Int

_Pa: TypeAlias = NDArray[np.uint64]
_Pic: TypeAlias = NDArray[np.uint16]
_Where: TypeAlias = bool | NDArray[np.bool_]
_Order: TypeAlias = Literal["K", "A", "C", "F"]

# What `Gmap.translate` is: a ufunc of one input and two outputs. NumPy says ufunc is final, and
# makes the same exception for its own.
@type_check_only
class _Translate(np.ufunc):  # type: ignore[misc]
    @overload
    def __call__(
        self, gpa: _Int, /, *, where: Literal[True] = True
    ) -> tuple[np.uint64, np.uint16]: ...
    @overload
    def __call__(
        self,
        gpa: _Array,
        /,
        *,
        out: tuple[_Pa | None, _Pic | None] | None = None,
        where: _Where = True,
        order: _Order = "K",
        subok: bool = True,
    ) -> tuple[_Pa, _Pic]: ...
    @overload
    def __call__(
        self,
        gpa: _Either,
        /,
        *,
        out: tuple[_Pa, _Pic],
        where: _Where = True,
        order: _Order = "K",
        subok: bool = True,
    ) -> tuple[_Pa, _Pic]: ...
    @overload
    def __call__(
        self,
        gpa: _Either,
        pa: _Pa | None,
        pic: _Pic,
        /,
        *,
        where: _Where = True,
        order: _Order = "K",
        subok: bool = True,
    ) -> tuple[_Pa, _Pic]: ...
