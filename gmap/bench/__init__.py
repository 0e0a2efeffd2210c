"""Benchmarks a user runs: `gmap bench faults`. Floor 4.

>>> from gmap.bench import Options, run
>>> report = run(Options(("synthetic",), ("1m",), ("sequential",), ("first-touch",), (1,), 1 << 30))
>>> [(row.phase, row.faults) for row in report.rows]
[('first-touch', 1024)]
"""

from gmap.bench.faults import Options, Report, Row, run
from gmap.bench.phases import PHASES, BenchError, Guest
from gmap.bench.timing import HostFaults, host_first_touch
from gmap.bench.workloads import PATTERNS, Workload, from_trace, workload

__all__ = [
    "PATTERNS",
    "PHASES",
    "BenchError",
    "Guest",
    "HostFaults",
    "Options",
    "Report",
    "Row",
    "Workload",
    "from_trace",
    "host_first_touch",
    "run",
    "workload",
]
