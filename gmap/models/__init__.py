"""Trace-driven models of TLBs and page-table walks. Floor 4.

::

    PageTrace, chunks, file ──> replay ──> Replay: counters, timeline, a row an access
                                  │
           Model (preset, TOML) ──┘  page sizes: the trace, one for all, or a space

The kernels are in `gmap._numba` and made to be edited; docs/models.md tells how, what each counter
counts, and what the presets are.

Examples
--------
>>> from gmap.models import replay
>>> result = replay("triad", "guest")
>>> result.counters["l2_misses"] == result.counters["walks"]
True
"""

from gmap.models._config import PAGE_SIZES, Model, Replacement, Tlb, Walk, WalkCache
from gmap.models._errors import ModelDependencyError, ModelFileError
from gmap.models._presets import model, presets
from gmap.models._replay import Simulation, replay
from gmap.models._result import (
    CACHE,
    EVENT_NAMES,
    OUTCOME,
    TIMELINE,
    Replay,
    Where,
)
from gmap.models._toml import model_from_dict, read_model

__all__ = [
    "CACHE",
    "EVENT_NAMES",
    "OUTCOME",
    "PAGE_SIZES",
    "TIMELINE",
    "Model",
    "ModelDependencyError",
    "ModelFileError",
    "Replacement",
    "Replay",
    "Simulation",
    "Tlb",
    "Walk",
    "WalkCache",
    "Where",
    "model",
    "model_from_dict",
    "presets",
    "read_model",
    "replay",
]
