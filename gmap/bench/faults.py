"""`gmap bench faults`: the throughput and latency of the fault-in path. Floor 4.

::

    Options -> cases (host x backing x pattern x threads x phase)
                  |
    Workload -> Guest -> prepare -> threads x Gmap.fault_in      -> time of a fault
                                 -> threads x Gmap.fault_latency -> percentiles
    AnonymousMemory.touch, again and again                       -> the machine's own fault

docs/benchmarking.md says what each figure includes.
"""

import math
import os
import platform
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gmap._defs import PAGE_SIZE
from gmap._host import FOLIO_ORDERS
from gmap.bench.phases import HOSTS, PHASES, Faults, Guest, Phase, check, phases_for
from gmap.bench.timing import HostFaults, together
from gmap.bench.workloads import PATTERNS, TRACE, Backing, Workload, workload
from gmap.errors import ConfigError
from gmap.trace import bundled

__all__ = ["SCHEMA", "Options", "Report", "Row", "run"]

SCHEMA: Final = "gmap-bench-faults/1"
_MIB: Final = 1 << 20
#: Guest memory where none is asked for: enough faults to time, and minutes at most.
_SIZES: Final = {
    ("synthetic", "4k"): 1024 * _MIB,
    ("synthetic", "1m"): 65536 * _MIB,
    ("synthetic", "2g"): 4194304 * _MIB,
    ("buffer", "4k"): 128 * _MIB,
    ("buffer", "1m"): 512 * _MIB,
    ("buffer", "2g"): 4096 * _MIB,
}
#: Patterns a default run leaves out where they would tell little more.
_DEFAULT_PATTERNS: Final = {
    ("synthetic", "4k"): ("sequential", "random", "strided", "zipf"),
    ("synthetic", "1m"): ("sequential", "random"),
    ("synthetic", "2g"): ("sequential", "random"),
    ("buffer", "4k"): ("sequential", "random"),
}


@dataclass(frozen=True)
class Options:
    """What to measure. An empty tuple means the default selection.

    Attributes
    ----------
    hosts : tuple of str
        "synthetic", "buffer".
    backings : tuple of str
        "4k", "1m", "2g".
    patterns : tuple of str
        As `workload` takes them; "trace" is every bundled trace.
    phases : tuple of str
        Names of `PHASES`.
    threads : tuple of int
        Numbers of threads.
    nbytes : int, optional
        Guest memory of the patterns, for all threads together.
    seed : int
    repeat : int
        How often each phase is timed; the median counts.

    >>> Options(backings=("3k",))
    Traceback (most recent call last):
    ...
    gmap.errors.ConfigError: backing '3k': use one of 4k, 1m, 2g
    """

    hosts: tuple[str, ...] = ()
    backings: tuple[Backing, ...] = ()
    patterns: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    threads: tuple[int, ...] = ()
    nbytes: int | None = None
    seed: int = 0
    repeat: int = 5

    def __post_init__(self) -> None:
        choices: dict[str, tuple[tuple[str, ...], Any]] = {
            "host": (self.hosts, HOSTS),
            "backing": (self.backings, ("4k", "1m", "2g")),
            "phase": (self.phases, PHASES),
        }
        for what, (given, known) in choices.items():
            for name in given:
                if name not in known:
                    raise ConfigError(f"{what} {name!r}: use one of {', '.join(known)}")
        for name in self.patterns:
            if name not in PATTERNS and name != "trace" and not name.startswith(TRACE):
                raise ConfigError(
                    f"pattern {name!r}: use one of {', '.join(PATTERNS)}, trace, {TRACE}NAME"
                )
        for what, number in [*(("threads", n) for n in self.threads), ("repeat", self.repeat)]:
            if not 1 <= number <= 1024:
                raise ConfigError(f"{what} {number} is out of range: use 1 to 1024")
        if self.nbytes is not None and not 0 < self.nbytes <= 1 << 46:
            raise ConfigError(f"size {self.nbytes:#x} is out of range: use 4k to 64T")


@dataclass(frozen=True)
class Case:
    """A phase, and everything it is measured under."""

    host: str
    backing: Backing
    pattern: str
    threads: int
    phase: Phase
    host_populates: bool
    nbytes: int


@dataclass(frozen=True)
class Row:
    """What was measured of one case.

    Attributes
    ----------
    phase, pattern, backing, host : str
    threads : int
    host_populates : bool
        The time includes the host finding and zeroing the memory of each page.
    faults : int
        Faults of one run.
    ns_per_fault, faults_per_s : float
        The median over the runs; all threads together.
    p50_ns, p90_ns, p99_ns, max_ns : float
        Percentiles of single faults, from a run of its own that reads the clock after each.
    ratio_vs_host : float
        The machine's own first-touch fault with as many threads, by `ns_per_fault`.
    setup_ns_per_fault : float or None
        What bringing the guest into its state took: the re-protection, ageing or unmapping.
    minor, major : int
        Faults of one run that the tables alone resolved, and that needed the host.
    """

    phase: str
    pattern: str
    backing: str
    host: str
    threads: int
    host_populates: bool
    faults: int
    ns_per_fault: float
    faults_per_s: float
    p50_ns: float
    p90_ns: float
    p99_ns: float
    max_ns: float
    ratio_vs_host: float
    setup_ns_per_fault: float | None
    minor: int
    major: int


@dataclass
class Report:
    """The rows of a run, and what they are compared with."""

    options: Options
    host_faults: HostFaults
    rows: list[Row] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the document `gmap bench faults --json` prints."""
        from gmap import __version__

        host = {
            "first_touch_ns": {str(n): self.host_faults.ns(n) for n in self.host_faults.samples},
            "first_touch_samples": {str(n): s for n, s in self.host_faults.samples.items()},
            "cpus": os.cpu_count(),
            "machine": platform.machine(),
            "system": f"{platform.system()} {platform.release()}",
            "python": platform.python_version(),
            "numpy": np.__version__,
            "gmap": __version__,
        }
        options = asdict(self.options)
        return {
            "schema": SCHEMA,
            "host": host,
            "options": options,
            "results": [asdict(row) for row in self.rows],
        }


# --- what to measure ------------------------------------------------------------------------


def _patterns(options: Options, host: str, backing: str) -> Iterator[str]:
    default = (*_DEFAULT_PATTERNS.get((host, backing), ("sequential", "random")), "trace")
    for name in options.patterns or default:
        if name != "trace":
            yield name
        elif backing != "2g" or options.patterns:
            yield from (TRACE + trace for trace in bundled())


def _default_backings(host: str, nbytes: int | None) -> tuple[Backing, ...]:
    """The backings worth seeing whose folios fit the size."""
    larger: tuple[Backing, ...] = () if host == "buffer" else ("1m", "2g")
    return (
        "4k",
        *(name for name in larger if not (nbytes or 0) % (PAGE_SIZE << FOLIO_ORDERS[name])),
    )


def cases(options: Options) -> list[Case]:
    """Return what a run measures, in order.

    >>> {case.backing for case in cases(Options(hosts=("synthetic",)))} == {"4k", "1m", "2g"}
    True
    """
    found = []
    for host in options.hosts or tuple(HOSTS):
        for backing in options.backings or _default_backings(host, options.nbytes):
            phases = phases_for(list(options.phases or PHASES), backing)
            for pattern in _patterns(options, host, backing):
                for threads in options.threads or tuple(sorted({1, min(2, os.cpu_count() or 1)})):
                    for phase in phases:
                        for populates in _populating(host, phase):
                            found.append(
                                Case(
                                    host,
                                    backing,
                                    pattern,
                                    threads,
                                    phase,
                                    populates,
                                    options.nbytes or _SIZES[host, backing],
                                )
                            )
    return found


def _populating(host: str, phase: Phase) -> tuple[bool, ...]:
    """Buffer memory is measured twice where it matters: found by the faults, and before them."""
    return (True, False) if host == "buffer" and phase.fresh else (False,)


# --- measuring ------------------------------------------------------------------------------


def _shares(gfns: NDArray[np.uint64], threads: int) -> list[NDArray[np.bool_]]:
    """Divide faults among threads: neighbouring parts of the guest, the order kept."""
    frames = np.sort(gfns)
    bounds = frames[[len(frames) * t // threads for t in range(threads)]]
    owner = np.searchsorted(bounds, gfns, side="right") - 1
    return [owner == t for t in range(threads)]


def _split_among(faults: Faults, threads: int) -> list[tuple[NDArray[np.uint64], Any]]:
    if threads == 1:
        return [(faults.gfns, faults.writes)]
    writes = np.broadcast_to(np.asarray(faults.writes), faults.gfns.shape)
    return [
        (faults.gfns[mine], np.ascontiguousarray(writes[mine]))
        for mine in _shares(faults.gfns, threads)
    ]


def _prepared(case: Case, load: Workload) -> Callable[[], tuple[Guest, Faults]]:
    """Return what makes the guest ready for one more run of a phase."""
    guests: list[Guest] = []

    def ready() -> tuple[Guest, Faults]:
        if case.phase.fresh or not guests:
            if guests:
                guests.pop().close()
            guests.append(Guest(case.host, load, populate=not case.host_populates))
            if not case.phase.fresh:
                guests[0].fault(load.gfns, load.writes)
        return guests[0], case.phase.prepare(guests[0])

    return ready


def _throughput(guest: Guest, phase: Phase) -> Callable[..., Any]:
    """The vector call a phase times."""
    if phase.splits:
        return lambda gfns, writes: guest.g.split(gfns)
    return partial(guest.g.fault_in, errors="status")


def _latency(guest: Guest, phase: Phase) -> Callable[..., tuple[NDArray[np.int32], Any]]:
    """The same work, the clock read after each piece of it."""
    if phase.splits:
        return lambda gfns, writes: guest.g.split_latency(gfns)
    return guest.g.fault_latency


def measure(case: Case, load: Workload, repeat: int) -> Row:
    """Time one case; the ratio is for whoever knows the machine's own faults."""
    ready = _prepared(case, load)
    times, setups = [], []
    for _ in range(repeat):
        guest, faults = ready()
        parts = _split_among(faults, case.threads)
        call = _throughput(guest, case.phase)
        before = guest.g.stats()
        ns, codes = together([partial(call, *part) for part in parts])
        after = guest.g.stats()
        for status in codes:
            check(status)
        times.append(ns)
        setups.append(faults.setup_ns)
    guest, faults = ready()
    parts = _split_among(faults, case.threads)
    _, runs = together([partial(_latency(guest, case.phase), *part) for part in parts])
    guest.close()
    n = len(faults.gfns)
    ns_per_fault = statistics.median(times) / n
    p50, p90, p99, largest = percentiles([histogram for _, histogram in runs])
    known = [ns for ns in setups if ns is not None]
    return Row(
        phase=case.phase.name,
        pattern=case.pattern,
        backing=case.backing,
        host=case.host,
        threads=case.threads,
        host_populates=case.host_populates,
        faults=n,
        ns_per_fault=ns_per_fault,
        faults_per_s=1e9 / ns_per_fault,
        p50_ns=p50,
        p90_ns=p90,
        p99_ns=p99,
        max_ns=largest,
        ratio_vs_host=math.nan,
        setup_ns_per_fault=statistics.median(known) / n if known else None,
        minor=after["minor"] - before["minor"],
        major=after["major"] - before["major"],
    )


def percentiles(
    histograms: list[NDArray[np.void]], quantiles: tuple[float, ...] = (0.5, 0.9, 0.99, 1.0)
) -> list[float]:
    """Return quantiles of joined log2 histograms, interpolated within their buckets.

    >>> from gmap.dtypes import HISTOGRAM
    >>> percentiles([np.array([(0, 8, 2), (8, 16, 2)], HISTOGRAM)], (0.5, 0.75))
    [8.0, 12.0]
    """
    joined = np.concatenate(histograms)
    low, bucket = np.unique(joined["low_ns"], return_inverse=True)
    count = np.bincount(bucket, weights=joined["count"])
    high = np.zeros_like(low)
    high[bucket] = joined["high_ns"]
    upto = np.cumsum(count)
    found = []
    for quantile in quantiles:
        rank = quantile * upto[-1]
        i = int(np.searchsorted(upto, rank))
        within = float(rank - (upto[i] - count[i])) / count[i]
        found.append(float(low[i] + within * (high[i] - low[i])))
    return found


def run(options: Options, progress: Callable[[str, int, int], None] | None = None) -> Report:
    """Measure.

    Parameters
    ----------
    options : Options
    progress : callable, optional
        Called as ``progress(what, done, total)`` before each case, and at the end.

    Raises
    ------
    ConfigError
        A pattern does not fit the size.
    BenchError
        A fault failed.

    >>> report = run(Options(("synthetic",), ("4k",), ("random",), nbytes=1 << 22, repeat=1))
    >>> sorted({row.phase for row in report.rows})
    ['dirty-log-write', 'first-touch', 'minor-dirty', 'minor-young', 'refault']
    """
    loads = lru_cache(1)(partial(workload, seed=options.seed))
    report = Report(options, HostFaults())
    wanted = cases(options)
    for done, case in enumerate(wanted):
        if progress is not None:
            progress(f"{case.host} {case.backing} {case.pattern} {case.phase.name}", done,
                     len(wanted))
        load = loads(case.pattern, case.backing, case.nbytes)
        report.host_faults.sample(case.threads)
        report.rows.append(measure(case, load, options.repeat))
    report.rows = [
        replace(row, ratio_vs_host=report.host_faults.ns(row.threads) / row.ns_per_fault)
        for row in report.rows
    ]
    if progress is not None:
        progress("done", len(wanted), len(wanted))
    return report
