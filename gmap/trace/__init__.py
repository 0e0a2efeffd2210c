"""Page-granular traces of real programs. Floor 4.

::

    gmap trace record, write -> file -> TraceFile -> chunks of records -> PageTrace
                                            |
     FORMATS: CSV, Parquet; lackey, perf script and DynamoRIO text and ChampSim's binary
              records, which go through the page filter; each may be .gz or .xz

`read` gives a whole trace, `chunks` its records a piece at a time and from any `Position` on,
`convert` writes them in another format, `load` reads a bundled trace by name; `record` makes
one from a program. `write_perfetto` and `write_speedscope` write what a replay did over time.
docs/traces.md describes the formats and what the filter of a recorded stream preserves.

Examples
--------
>>> import gmap.trace
>>> trace = gmap.trace.load("triad")
>>> trace.footprint() == len(trace.first_touches())
True
"""

from gmap.trace._bundled import Bundled, bundled, load
from gmap.trace._convert import Conversion, ReadProgress, convert
from gmap.trace._dynamorio import DynamorioScanner
from gmap.trace._errors import RecordError, TraceDependencyError, TraceWriteError
from gmap.trace._events import COUNTER, EVENT
from gmap.trace._filter import PageFilter
from gmap.trace._formats import FORMATS, Format
from gmap.trace._io import Chunks, TraceFile, chunks, read, write, write_chunks
from gmap.trace._lackey import LackeyScanner
from gmap.trace._model import ACCESS, DEFAULT_WINDOW, LAST_PAGE, MAX_ORDER, Access, PageTrace
from gmap.trace._perf import PerfScanner
from gmap.trace._perfetto import write_perfetto
from gmap.trace._position import Position
from gmap.trace._record import MAX_RECORDS, Progress, Recording, record
from gmap.trace._speedscope import write_speedscope
from gmap.trace._summary import Summary

__all__ = [
    "ACCESS",
    "COUNTER",
    "DEFAULT_WINDOW",
    "EVENT",
    "FORMATS",
    "LAST_PAGE",
    "MAX_ORDER",
    "MAX_RECORDS",
    "Access",
    "Bundled",
    "Chunks",
    "Conversion",
    "DynamorioScanner",
    "Format",
    "LackeyScanner",
    "PageFilter",
    "PageTrace",
    "PerfScanner",
    "Position",
    "Progress",
    "ReadProgress",
    "RecordError",
    "Recording",
    "Summary",
    "TraceDependencyError",
    "TraceFile",
    "TraceWriteError",
    "bundled",
    "chunks",
    "convert",
    "load",
    "read",
    "record",
    "write",
    "write_chunks",
    "write_perfetto",
    "write_speedscope",
]
