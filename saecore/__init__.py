"""The machine that runs arm64 guests on s390: the SAE instruction, and the KVM API over it.

>>> from saecore import Icptr, qaaf
>>> len(qaaf(1)), Icptr(2).name
(4096, 'HOST_ACCESS_EXCEPTION')

Floors, above those of gmap: 6 `_block`, `_sysregs`, `_cpu`; 7 `a64`, `_mmu`, `_exceptions`,
`_system`; 8 `_loop`, `Processor`; 9 `kvm`; 10 `machine`, `cli`. docs/design.md tells why.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from saecore._block import BLOCK_DTYPE, ICPTD_DTYPE, SAVE_AREA_DTYPE, to_bytes
from saecore._cpu import CpuModel, cpu_model
from saecore._defs import Ec, Feature, Icptr, Vir

if _TYPE_CHECKING:
    from saecore._sae import Processor, fill_save_area, qaaf

__all__ = [
    "BLOCK_DTYPE",
    "ICPTD_DTYPE",
    "SAVE_AREA_DTYPE",
    "CpuModel",
    "Ec",
    "Feature",
    "Icptr",
    "Processor",
    "Vir",
    "cpu_model",
    "fill_save_area",
    "qaaf",
    "to_bytes",
]


def __getattr__(name: str) -> _Any:
    # What is compiled comes late: setup.py imports this package before anything is.
    if name in ("Processor", "fill_save_area", "qaaf"):
        from saecore import _sae

        return getattr(_sae, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
