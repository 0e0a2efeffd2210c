from typing_extensions import disjoint_base

from gmap._arguments import _Int

DEFAULT_MMFR0: int
DEFAULT_MMFR1: int
DEFAULT_MMFR2: int
ALL_ONES: int

@disjoint_base
class Stage1:
    def __new__(
        cls,
        ttbr0: _Int = 0,
        ttbr1: _Int = 0,
        tcr: _Int = 0,
        mair: _Int = 0,
        sctlr: _Int = 1,
        el: _Int = 1,
        *,
        pan: bool = False,
        mmfr0: _Int | None = None,
        mmfr1: _Int | None = None,
        mmfr2: _Int | None = None,
    ) -> Stage1: ...
    @property
    def ttbr0(self) -> int: ...
    @property
    def ttbr1(self) -> int: ...
    @property
    def tcr(self) -> int: ...
    @property
    def mair(self) -> int: ...
    @property
    def sctlr(self) -> int: ...
    @property
    def el(self) -> int: ...
    @property
    def pan(self) -> bool: ...
    @property
    def mmfr0(self) -> int: ...
    @property
    def mmfr1(self) -> int: ...
    @property
    def mmfr2(self) -> int: ...
    @property
    def asid(self) -> int: ...
    def va_bits(self, half: _Int) -> int: ...
    def page_shift(self, half: _Int) -> int: ...
    def start_level(self, half: _Int) -> int: ...
