from typing import Literal, SupportsIndex, overload, type_check_only

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from gmap._arguments import _Array, _Either, _Int
from gmap._explain import Explanation
from gmap._readable import AddressSpace
from gmap._stage1 import Stage1
from gmap._translate import _Order, _Pa, _Where

ALL_ONES: int

_Status = NDArray[np.uint32]

# As `_Translate`, with 32-bit codes.
@type_check_only
class _TranslateTwo(np.ufunc):  # type: ignore[misc]
    @overload
    def __call__(
        self, va: _Int, /, *, where: Literal[True] = True
    ) -> tuple[np.uint64, np.uint32]: ...
    @overload
    def __call__(
        self,
        va: _Array,
        /,
        *,
        out: tuple[_Pa | None, _Status | None] | None = None,
        where: _Where = True,
        order: _Order = "K",
        subok: bool = True,
    ) -> tuple[_Pa, _Status]: ...
    @overload
    def __call__(
        self,
        va: _Either,
        /,
        *,
        out: tuple[_Pa, _Status],
        where: _Where = True,
        order: _Order = "K",
        subok: bool = True,
    ) -> tuple[_Pa, _Status]: ...

@disjoint_base
class Pair: ...

@disjoint_base
class TwoLevel:
    def __new__(
        cls, stage1: Stage1, gmap: AddressSpace, *, fault_in: bool = False, tlb: bool = True
    ) -> TwoLevel: ...
    @property
    def stage1(self) -> Stage1: ...
    @property
    def gmap(self) -> AddressSpace: ...
    @property
    def fault_in(self) -> bool: ...
    @property
    def translate(self) -> _TranslateTwo: ...
    def translate_access(
        self,
        va: _Either,
        access: _Either,
        out: tuple[_Pa | None, _Status | None] | None = None,
        *,
        where: _Where = True,
    ) -> tuple[_Pa, _Status]: ...
    def flush(
        self,
        va: _Int | None = None,
        nbytes: _Int = 1,
        *,
        asid: _Int | None = None,
        last_level: bool = False,
    ) -> None: ...
    def stats(self) -> dict[str, int]: ...
    def explain(self, va: SupportsIndex, access: SupportsIndex = 0) -> Explanation: ...
