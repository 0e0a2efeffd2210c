"""A report for people: tables, and lines as the KVM selftests print them. Floor 4."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from gmap.bench.faults import Report, Row
from gmap.bench.phases import PHASES

__all__ = ["print_report"]

_NOTES = {
    "synthetic": "Synthetic host: tables only. No page has memory, so nothing is zeroed.",
    "buffer": "Buffer host: frames are this process's own pages.",
}
_FEW = 1000
_POPULATES = "the time includes the host finding and zeroing each page"
_POPULATED = "the host's pages were there before"


def _ns(value: float) -> str:
    """A duration with three digits.

    >>> _ns(64.21), _ns(2613.0), _ns(1.2e6)
    ('64.2 ns', '2.61 us', '1.2 ms')
    """
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g} ns"


def _rate(per_second: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if per_second >= size:
            return f"{per_second / size:.3g} {unit}"
    return f"{per_second:.3g}"


def _groups(rows: Iterable[Row]) -> dict[tuple[str, str, int], list[Row]]:
    groups: dict[tuple[str, str, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.host, row.backing, row.threads), []).append(row)
    return groups


def _table(title: str, rows: Sequence[Row], *, host_ns: float) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("phase")
    table.add_column("pattern")
    for heading in ("faults", "per fault", "faults/s", "p50", "p90", "p99", "max", "vs host"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.phase + (" *" if row.host_populates else ""),
            row.pattern,
            f"{row.faults:,}",
            _ns(row.ns_per_fault),
            _rate(row.faults_per_s),
            *(_ns(ns) for ns in (row.p50_ns, row.p90_ns, row.p99_ns, row.max_ns)),
            f"{row.ratio_vs_host:.3g}x",
        )
    table.add_section()
    table.add_row(
        "host kernel", "first touch, 4k", "", _ns(host_ns), _rate(1e9 / host_ns), style="dim"
    )
    return table


def print_report(report: Report, console: Console) -> None:
    """Print the tables of a report, what they mean, and the selftests' lines."""
    for (host, backing, threads), rows in _groups(report.rows).items():
        title = f"{host} host, {backing} backing, {threads} thread{'s' * (threads > 1)}"
        console.print(_table(title, rows, host_ns=report.host_faults.ns(threads)))
        if any(row.host_populates for row in rows):
            console.print(f"* {_POPULATES}; in all other rows {_POPULATED}.", style="dim")
        console.print()
    for host in dict.fromkeys(row.host for row in report.rows):
        console.print(_NOTES[host])
    console.print(
        "vs host: the machine's own first-touch fault on anonymous 4 KiB memory, timed between "
        "the rows with as many threads. The kernel finds and zeroes a page in each of these "
        "faults; only the rows marked * do the same work."
    )
    if any(row.faults < _FEW for row in report.rows):
        console.print(
            f"Rows with fewer than {_FEW} faults are mostly the cost of one call from Python; "
            "their percentiles are not."
        )
    used = {row.phase for row in report.rows}
    for phase in PHASES.values():
        if phase.name in used:
            console.print(f"  {phase.name:16} {phase.text}")
    console.print()
    for line in selftest_lines(report.rows):
        console.print(line, highlight=False)


def selftest_lines(rows: Iterable[Row]) -> list[str]:
    """Return the rates as demand_paging_test and dirty_log_perf_test print them."""
    lines = []
    for row in rows:
        where = f"({row.host}, {row.backing}, {row.pattern}, {row.threads} vCPU)"
        seconds = row.ns_per_fault * row.faults / 1e9
        if row.phase == "first-touch" and not row.host_populates:
            per_vcpu = row.faults_per_s / row.threads
            lines += [
                f"Total guest execution time: {seconds:.9f}s {where}",
                f"Per-vcpu demand paging rate: {per_vcpu:.6f} pgs/sec/vcpu",
                f"Overall demand paging rate: {row.faults_per_s:.6f} pgs/sec",
            ]
        elif row.phase == "dirty-log-write":
            log = (row.setup_ns_per_fault or 0) * row.faults / 1e9
            lines += [
                f"Get dirty log time: {log:.9f}s {where}",
                f"Dirty memory time: {seconds:.9f}s",
            ]
    return lines
