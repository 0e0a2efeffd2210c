"""An executable model of the gmap: how an s390 host maps the memory of an arm64 guest.

>>> import numpy as np
>>> import gmap
>>> host = gmap.SyntheticHost()
>>> region = host.map(1 << 30)
>>> g = gmap.Gmap(host, ipa_bits=40)
>>> g.set_memory_region(0, 0x4000_0000, region.nbytes, region.hva)
>>> g.fault_in(np.arange(0x40000, 0x40100, dtype=np.uint64), write=True).any()
np.False_
>>> pa, pic = g.translate(np.uint64(0x4000_1234))
>>> hex(pa)
'0x80001234'

Floors, each importing only what is below it: 0 `_defs`, `_ipa`, `errors`, `dtypes`; 1 `_walk`;
2 `_tables`, `_slots`, `_regions`, `_host`; 3 `_gmap`, `_faultin`, `_translate`, `Gmap`;
4 `trace`, `bench`, `reference`; 5 `cli`. docs/design.md tells why.
"""

from importlib import import_module as _import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from gmap import ipa
from gmap._address import as_addr
from gmap._buffer import BufferHost
from gmap._config import get_include, show_config
from gmap._defs import Access, Counter, Folio, GmapFlag, Level, Pic, SlotFlag, Walk
from gmap._explain import Explanation, Step
from gmap._faults import FaultContext, GuestPages
from gmap._host import Host, HostRegion
from gmap._ipa import ipa_limit, ipa_shift
from gmap._nested import TwoLevel
from gmap._readable import AddressSpace, EntryWalk
from gmap._snapshot import Snapshot
from gmap._space import Gmap, MemslotInfo
from gmap._stage1 import Stage1
from gmap._status import Status, describe_status
from gmap._synthetic import SyntheticHost
from gmap.errors import (
    AddressError,
    AddressTypeError,
    ClosedError,
    ConfigError,
    DumpFormatError,
    FaultError,
    GmapError,
    HostMemoryError,
    SnapshotFormatError,
    TraceFormatError,
    TranslationError,
)
from gmap.snapshot import from_bytes, load

if _TYPE_CHECKING:
    from gmap.dumps import diff, ptdump, ptdump_lines, read_ptdump
    from gmap.models import replay
    from gmap.profiling import Profile, profile

__version__ = _version("gmap")

__all__ = [
    "Access",
    "AddressError",
    "AddressSpace",
    "AddressTypeError",
    "BufferHost",
    "ClosedError",
    "ConfigError",
    "Counter",
    "DumpFormatError",
    "EntryWalk",
    "Explanation",
    "FaultContext",
    "FaultError",
    "Folio",
    "Gmap",
    "GmapError",
    "GmapFlag",
    "GuestPages",
    "Host",
    "HostMemoryError",
    "HostRegion",
    "Level",
    "MemslotInfo",
    "Pic",
    "Profile",
    "SlotFlag",
    "Snapshot",
    "SnapshotFormatError",
    "Stage1",
    "Status",
    "Step",
    "SyntheticHost",
    "TraceFormatError",
    "TranslationError",
    "TwoLevel",
    "Walk",
    "as_addr",
    "describe_status",
    "diff",
    "from_bytes",
    "get_include",
    "ipa",
    "ipa_limit",
    "ipa_shift",
    "load",
    "profile",
    "ptdump",
    "ptdump_lines",
    "read_ptdump",
    "replay",
    "show_config",
]

# What needs more than NumPy, or is not of every use, is loaded when it is first asked for.
_LATER = {
    "Profile": "gmap.profiling",
    "diff": "gmap.dumps",
    "profile": "gmap.profiling",
    "ptdump": "gmap.dumps",
    "ptdump_lines": "gmap.dumps",
    "read_ptdump": "gmap.dumps",
    "replay": "gmap.models",
}


def __getattr__(name: str) -> _Any:
    if name in _LATER:
        return getattr(_import_module(_LATER[name]), name)
    raise AttributeError(f"module 'gmap' has no attribute {name!r}")
