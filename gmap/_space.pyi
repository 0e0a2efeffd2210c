from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Literal, NamedTuple, Self, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from gmap._arguments import _Array, _Either, _Int
from gmap._faults import GuestPages, Space, _Codes, _Masked, _Write
from gmap._host import Host
from gmap._readable import AddressSpace
from gmap.dtypes import PFAULT_EVENT as PFAULT_EVENT

class MemslotInfo(NamedTuple):
    slot: int
    guest_phys_addr: int
    memory_size: int
    userspace_addr: int
    flags: int

@disjoint_base
class Gmap(AddressSpace):
    def __new__(
        cls,
        host: Host,
        ipa_bits: _Int = 40,
        allow_1m: bool = True,
        allow_2g: bool = False,
        *,
        readonly_mem: bool = False,
        pfault: bool = False,
        quirks: Iterable[Literal["age-loses-dirty", "unmap-loses-dirty"]] = (),
    ) -> Self: ...
    @property
    def space(self) -> Space: ...
    @property
    def host(self) -> Host: ...
    @property
    def memslots(self) -> list[MemslotInfo]: ...
    def stats(self) -> dict[str, int]: ...
    def set_memory_region(
        self,
        slot: SupportsIndex,
        guest_phys_addr: SupportsIndex,
        memory_size: SupportsIndex,
        userspace_addr: SupportsIndex,
        flags: SupportsIndex = 0,
    ) -> None: ...
    def get_dirty_log(self, slot: SupportsIndex, *, clear: bool = True) -> NDArray[np.uint64]: ...
    def clear_dirty_log(
        self,
        slot: SupportsIndex,
        first_page: SupportsIndex,
        num_pages: SupportsIndex,
        bitmap: _Array,
    ) -> None: ...
    @overload
    def fault_in(
        self,
        gfn: _Int,
        write: bool | np.bool_ = False,
        errors: Literal["raise", "status", "mask"] = "raise",
        *,
        pfault: bool = False,
    ) -> int: ...
    @overload
    def fault_in(
        self,
        gfn: _Array,
        write: _Write = False,
        errors: _Codes = "raise",
        *,
        pfault: bool = False,
    ) -> NDArray[np.int32]: ...
    @overload
    def fault_in(
        self,
        gfn: _Array,
        write: _Write = False,
        *,
        errors: Literal["mask"],
        pfault: bool = False,
    ) -> _Masked: ...
    @overload
    def fault_in(
        self, gfn: _Array, write: _Write, errors: Literal["mask"], *, pfault: bool = False
    ) -> _Masked: ...
    def fault_latency(
        self, gfn: _Either, write: _Write = False
    ) -> tuple[NDArray[np.int32], NDArray[np.void]]: ...
    def get_guest_pages(
        self, gfn: SupportsIndex, n: SupportsIndex = 1, write: bool = False
    ) -> GuestPages: ...
    def unmap(self, gfn: SupportsIndex, ngfns: SupportsIndex) -> None: ...
    def invalidating(
        self, gfn: SupportsIndex, ngfns: SupportsIndex
    ) -> AbstractContextManager[None]: ...
    def age(self, gfn: SupportsIndex, ngfns: SupportsIndex) -> bool: ...
    def test_age(self, gfn: SupportsIndex, ngfns: SupportsIndex) -> bool: ...
    def split_huge_pages(self) -> None: ...
    @overload
    def split(self, gfn: _Int) -> int: ...
    @overload
    def split(self, gfn: _Array) -> NDArray[np.int32]: ...
    def split_latency(self, gfn: _Either) -> tuple[NDArray[np.int32], NDArray[np.void]]: ...
    def replace_asce(self) -> None: ...
    def set_limit(self, limit: SupportsIndex) -> None: ...
    def pfault_events(self) -> NDArray[np.void]: ...
