"""Page-granular traces of real programs. Floor 4.

::

    gmap trace record, write -> file -> TraceFile -> chunks of records -> PageTrace
                                            |
             FORMATS: lackey text (page filter), CSV, Parquet; each may be .gz or .xz

`read` gives a whole trace, `chunks` its records a piece at a time, `load` a bundled one by
name; `record` makes one from a program. docs/traces.md describes the formats and what the
filter of a recorded stream preserves.

Examples
--------
>>> import gmap.trace
>>> trace = gmap.trace.load("triad")
>>> trace.footprint() == len(trace.first_touches())
True
"""

from gmap.trace._bundled import Bundled, bundled, load
from gmap.trace._errors import RecordError, TraceDependencyError, TraceWriteError
from gmap.trace._filter import PageFilter
from gmap.trace._formats import (
    FORMATS,
    Format,
    TraceFile,
    chunks,
    read,
    write,
    write_chunks,
)
from gmap.trace._lackey import LackeyScanner
from gmap.trace._model import ACCESS, DEFAULT_WINDOW, LAST_PAGE, MAX_ORDER, Access, PageTrace
from gmap.trace._record import MAX_RECORDS, Progress, Recording, record

__all__ = [
    "ACCESS",
    "DEFAULT_WINDOW",
    "FORMATS",
    "LAST_PAGE",
    "MAX_ORDER",
    "MAX_RECORDS",
    "Access",
    "Bundled",
    "Format",
    "LackeyScanner",
    "PageFilter",
    "PageTrace",
    "Progress",
    "RecordError",
    "Recording",
    "TraceDependencyError",
    "TraceFile",
    "TraceWriteError",
    "bundled",
    "chunks",
    "load",
    "read",
    "record",
    "write",
    "write_chunks",
]
