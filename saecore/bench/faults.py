"""`sae bench faults`: demand paging as a guest lives it, and exits. Floor 10.

The report is that of `gmap bench faults`; a row times a guest's accesses, each of which is
intercepted, faulted in and resumed.
"""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, Final

import numpy as np

from gmap.bench.faults import Options, Report, Row
from gmap.bench.phases import PHASES, Faults, Phase, phases_for
from gmap.bench.timing import HostFaults
from gmap.bench.workloads import Workload, workload
from gmap.errors import ConfigError
from saecore import kvm
from saecore.bench._guest import VmGuest, run_to_exit
from saecore.bench._words import assemble

__all__ = ["SCHEMA", "ExitLoop", "ExitRow", "GuestReport", "exit_ns", "exit_rates", "run"]

SCHEMA: Final = "sae-bench-faults/1"
#: Phases a guest's own accesses can show, with memory in 4 KiB folios.
GUEST_PHASES: Final = tuple(name for name, phase in PHASES.items() if "4k" in phase.backings)
_NBYTES: Final = 64 << 20
_PATTERNS: Final = ("sequential", "random")
_EXITS: Final = 20_000
_PSCI_VERSION: Final = 0x8400_0000
_CODE: Final = 0x4000_0000
_NOWHERE: Final = 0x0900_0000


@dataclass(frozen=True)
class ExitRow:
    """What one kind of exit takes.

    Attributes
    ----------
    kind : str
        "mmio-write" and "mmio-read": to Python and back; "hvc": answered by the run loop.
    exits : int
        Of one run.
    ns_per_exit, exits_per_s : float
        The median over the runs.
    """

    kind: str
    exits: int
    ns_per_exit: float
    exits_per_s: float


@dataclass
class GuestReport(Report):
    """The report of `gmap bench faults`, and rows about exits."""

    exits: list[ExitRow] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the document ``sae bench faults --json`` prints."""
        document = super().to_dict()
        return document | {"schema": SCHEMA, "exits": [asdict(row) for row in self.exits]}


class ExitLoop:
    """A guest that does nothing but exit."""

    def __init__(self, system: Any, kind: str) -> None:
        vm = system.create_vm(ipa_bits=40)
        region = vm.host.map(1 << 20)
        code = np.frombuffer(assemble(kind), np.uint8)
        region.array[: len(code)] = code
        vm.set_user_memory_region(
            slot=0, guest_phys_addr=_CODE, memory_size=region.nbytes, userspace_addr=region.hva
        )
        self._vcpu = vm.create_vcpu(0)
        self._vcpu.init(vm.preferred_target())
        self._vcpu.set_one_reg(kvm.reg.PC, _CODE)
        self._vcpu.set_one_reg(kvm.reg.X(4), _NOWHERE)
        self._vcpu.set_one_reg(kvm.reg.X(9), _PSCI_VERSION)
        self.time = self._time_hvcs if kind == "hvc" else self._time_mmio

    def _time_mmio(self, exits: int) -> int:
        run = self._vcpu.run
        start = time.perf_counter_ns()
        for _ in range(exits):
            run()
        return time.perf_counter_ns() - start

    def _time_hvcs(self, exits: int) -> int:
        self._vcpu.set_one_reg(kvm.reg.X(5), exits)
        start = time.perf_counter_ns()
        run_to_exit(self._vcpu)
        return time.perf_counter_ns() - start


def exit_ns(kind: str, exits: int, repeat: int = 1) -> float:
    """Return the nanoseconds of one exit; the median over the runs.

    >>> exit_ns("mmio-read", 100) > 0
    True
    """
    with kvm.System() as system:
        loop = ExitLoop(system, kind)
        loop.time(exits // 10 + 1)
        return statistics.median(loop.time(exits) for _ in range(repeat)) / exits


def exit_rates(repeat: int = 5, exits: int = _EXITS) -> list[ExitRow]:
    """Time every kind of exit; `hvc`, which is faster, ten times as often.

    >>> [row.kind for row in exit_rates(1, 100)]
    ['mmio-write', 'mmio-read', 'hvc']
    """
    rows = []
    for kind, n in (("mmio-write", exits), ("mmio-read", exits), ("hvc", 10 * exits)):
        ns = exit_ns(kind, n, repeat)
        rows.append(ExitRow(kind, n, ns, 1e9 / ns))
    return rows


def _prepared(
    system: Any, phase: Phase, load: Workload, populates: bool
) -> Callable[[], tuple[VmGuest, Faults]]:
    """Return what makes the guest ready for one more run of a phase."""
    guests: list[VmGuest] = []

    def ready() -> tuple[VmGuest, Faults]:
        if phase.fresh or not guests:
            if guests:
                guests.pop().close()
            guests.append(VmGuest(system, load, populate=not populates))
            if not phase.fresh:
                guests[0].fault(load.gfns, load.writes)
        return guests[0], phase.prepare(guests[0])

    return ready


def measure(phase: Phase, load: Workload, repeat: int, *, populates: bool = False) -> Row:
    """Time one phase of a workload; the ratio is for whoever knows the machine's own faults.

    >>> row = measure(PHASES["first-touch"], workload("random", "4k", 1 << 20), 1)
    >>> row.faults, row.major
    (256, 256)
    """
    with kvm.System() as system:
        ready = _prepared(system, phase, load, populates)
        times, setups = [], []
        for _ in range(repeat):
            guest, faults = ready()
            before = guest.g.stats()
            times.append(guest.touch(faults))
            after = guest.g.stats()
            setups.append(faults.setup_ns)
        guest, faults = ready()
        spread = np.quantile(guest.touch_latency(faults), (0.5, 0.9, 0.99, 1.0))
        guest.close()
    n = len(faults.gfns)
    ns_per_fault = statistics.median(times) / n
    known = [ns for ns in setups if ns is not None]
    p50, p90, p99, largest = map(float, spread)
    return Row(
        phase=phase.name,
        pattern=load.name,
        backing=load.backing,
        host="buffer",
        threads=1,
        host_populates=populates,
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


def run(
    options: Options, progress: Callable[[str, int, int], None] | None = None
) -> GuestReport:
    """Measure.

    Parameters
    ----------
    options : Options
        Of `gmap.bench`: patterns, phases, nbytes, seed and repeat count. There is one vCPU, and
        its memory is this process's own.
    progress : callable, optional
        Called as ``progress(what, done, total)`` before each case, and at the end.

    Raises
    ------
    ConfigError
        A pattern does not fit the size.
    BenchError
        The guest did something else than to touch its pages.

    >>> report = run(Options(patterns=("random",), phases=("refault",), nbytes=1 << 20, repeat=1))
    >>> [row.phase for row in report.rows], len(report.exits)
    (['refault'], 3)
    """
    for name in options.phases:
        if name not in GUEST_PHASES:
            raise ConfigError(f"phase {name!r}: a guest shows {', '.join(GUEST_PHASES)}")
    loads = lru_cache(1)(partial(workload, seed=options.seed))
    report = GuestReport(options, HostFaults())
    wanted = [
        (pattern, phase, populates)
        for pattern in options.patterns or _PATTERNS
        for phase in phases_for(list(options.phases or GUEST_PHASES), "4k")
        for populates in ((True, False) if phase.fresh else (False,))
    ]
    for done, (pattern, phase, populates) in enumerate(wanted):
        if progress is not None:
            progress(f"{pattern} {phase.name}", done, len(wanted))
        load = loads(pattern, "4k", options.nbytes or _NBYTES)
        report.host_faults.sample(1)
        report.rows.append(measure(phase, load, options.repeat, populates=populates))
    report.rows = [
        replace(row, ratio_vs_host=report.host_faults.ns(1) / row.ns_per_fault)
        for row in report.rows
    ]
    report.exits = exit_rates(options.repeat)
    if progress is not None:
        progress("done", len(wanted), len(wanted))
    return report
