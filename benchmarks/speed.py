"""The speed table: what gmap reaches, beside what it has to.

::

    python benchmarks/speed.py
    python benchmarks/speed.py --json speed.json --plot growth.svg
    python benchmarks/speed.py --quick --only 'translate/*,call/*'

Every figure is a ratio to a peer timed in the same run, pair by pair; docs/benchmarking.md
tells how. The exit code is 0 unless ``--check`` is given and a target is missed.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from _growth import CURVES, Curve, Point, check_plot, growth, plot
from _measure import FULL, QUICK, Scale, usable_cpus
from _peers import NotMeasured
from _rows import SECTIONS, Result, Section, measure
from rich.console import Console
from rich.table import Table

import gmap

__all__ = ["SCHEMA", "Report", "main"]

SCHEMA: Final = "gmap-speed/1"
WIDTH: Final = 132  # of tables that go to a file
STYLES: Final = {"met": "green", "missed": "bold red"}
SIGNS: Final = {"at least": "≥ ", "at most": "≤ ", "exactly": ""}


class Report:
    """What was measured."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        self.sections: list[tuple[Section, list[Result]]] = []
        self.points: list[Point] = []

    @property
    def results(self) -> list[Result]:
        """All rows."""
        return [result for _, results in self.sections for result in results]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document."""
        machine = {
            "cpus": os.cpu_count(),
            "usable_cpus": usable_cpus(),
            "system": f"{platform.system()} {platform.release()}",
            **gmap.show_config(mode="dicts"),
        }
        return {
            "schema": SCHEMA,
            "machine": machine,
            "scale": asdict(self.scale),
            "rows": [result.to_dict() for result in self.results],
            "growth": [point.to_dict() for point in self.points],
        }


def run(scale: Scale, wanted: Callable[[str], bool], progress: Callable[[str], None]) -> Report:
    """Measure the rows whose names are wanted, and the curve if "growth" is."""
    report = Report(scale)
    for section in SECTIONS:
        results = []
        for row in section.rows:
            if wanted(row.name):
                progress(row.name)
                results.append(measure(row, scale))
        if results:
            report.sections.append((section, results))
    if wanted("growth"):
        report.points = list(growth(scale, progress))
    return report


# --- for people -----------------------------------------------------------------------------


def amount(value: float, unit: str) -> str:
    """Return a time or a size with three digits.

    >>> amount(2613, "ns"), amount(4.1, "ns"), amount(16384, "bytes")
    ('2.61 us', '4.1 ns', '16 KiB')
    """
    steps, base = {
        "ns": (("ns", "us", "ms", "s"), 1000),
        "bytes": (("bytes", "KiB", "MiB", "GiB"), 1024),
    }[unit]
    power = 0
    while value >= base and power < len(steps) - 1:
        value /= base
        power += 1
    return f"{value:.4g} {steps[power]}" if base == 1024 else f"{value:.3g} {steps[power]}"


def new_table(title: str, headings: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column, heading in enumerate(headings):
        figures = column and heading
        table.add_column(heading, justify="right" if figures else "left", no_wrap=True)
    return table


def section_table(section: Section, results: Sequence[Result]) -> Table:
    """Return the table of a section."""
    headings = ("", "target", "measured", "middle half", *section.headings, "")
    table = new_table(f"{section.title}\n[not bold]{section.ratio}", headings)
    for result in results:
        target = result.row.target
        bound = f"{SIGNS[target.direction]}{target.bound:.3g}" if target else ""
        if not result.pairs:
            table.add_row(result.row.text, bound, "", "", "", "", f"not measured: {result.reason}")
            continue
        low, high = result.spread
        table.add_row(
            result.row.text,
            bound,
            f"{result.value:.3g}",
            f"{low:.3g} to {high:.3g}",
            amount(result.median("ours"), result.row.unit),
            amount(result.median("peer"), result.row.unit),
            result.status,
            style=STYLES.get(result.status),
        )
    return table


def _growth_cell(point: Point, curve: Curve) -> str:
    if curve.name not in point.pairs:
        return ""
    return f"{amount(point.ns(curve), 'ns')} ({point.ratio(curve):.3g})"


def growth_table(points: Sequence[Point]) -> Table:
    """Return the curve as a table: the time of an item, and its ratio to the peer."""
    table = new_table(
        "Growth, guests mapped in 4K, tables only\n[not bold]time, and ratio: faults are times "
        "the host kernel's first-touch rate, translations of the time of np.take",
        ("", *(point.label for point in points)),
    )
    for curve in CURVES:
        cells = [_growth_cell(point, curve) for point in points]
        table.add_row(f"{curve.metric}, {curve.order}", *cells)
    table.add_row("tables", *(amount(point.table_bytes, "bytes") for point in points))
    table.add_row("bytes of tables a page", *(
        f"{point.table_bytes / point.pages:.4g}" if point.pages else "" for point in points
    ))  # fmt: skip
    return table


def print_report(report: Report, console: Console) -> None:
    """Print everything."""
    config = gmap.show_config(mode="dicts")
    console.print(
        f"gmap {config['gmap']}, {config['compiler']} {config['flags']}; "
        f"{platform.system()} {platform.release()} {config['machine']}, {usable_cpus()} CPUs"
    )
    if report.scale != FULL:
        console.print("Not the full sizes: the targets are stated for those.", style="yellow")
    for section, results in report.sections:
        console.print()
        console.print(section_table(section, results))
        for note in section.notes:
            console.print(note, style="dim")
    if report.points:
        console.print()
        console.print(growth_table(report.points))
        for point in report.points:
            if point.reason:
                console.print(f"{point.label}: not measured: {point.reason}")
    console.print()
    found = [result.status for result in report.results]
    counts = {status: found.count(status) for status in ("met", "missed", "not measured")}
    console.print("targets: " + ", ".join(f"{n} {status}" for status, n in counts.items()))


# --- the command ----------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", metavar="FILE", help="write everything, sample by sample")
    parser.add_argument("--plot", metavar="FILE", help="draw the growth curve: .png, .svg, .pdf")
    parser.add_argument("--quick", action="store_true", help="smaller guests, fewer samples")
    parser.add_argument("--only", metavar="NAME,...", default="*", help="rows, with * for any text")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    return parser


def check_arguments(parser: argparse.ArgumentParser, args: argparse.Namespace) -> list[str]:
    """Refuse now what would fail after minutes; the patterns of ``--only``."""
    patterns: list[str] = args.only.split(",")
    names = [*(row.name for section in SECTIONS for row in section.rows), "growth"]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            parser.error(f"--only {pattern}: there are {', '.join(names)}")
    for path in filter(None, (args.json, args.plot)):
        if not Path(path).parent.is_dir():
            parser.error(f"{path}: there is no such folder")
    if args.plot and not any(fnmatchcase("growth", pattern) for pattern in patterns):
        parser.error("--plot draws the growth curve: add 'growth' to --only")
    if args.plot:
        try:
            check_plot(args.plot)
        except NotMeasured as missing:
            parser.error(str(missing))
    return patterns


def main(argv: Sequence[str] | None = None, scale: Scale | None = None) -> int:
    """Run the command; the exit code."""
    options = parser()
    args = options.parse_args(argv)
    patterns = check_arguments(options, args)

    def wanted(name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in patterns)

    try:
        with progress_status() as status:
            chosen = scale or (QUICK if args.quick else FULL)
            report = run(chosen, wanted, lambda what: status.update(what))
    except KeyboardInterrupt:
        print("speed: interrupted, nothing is reported", file=sys.stderr)
        return 130
    print_report(report, Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False))
    if args.json:
        Path(args.json).write_text(json.dumps(report.to_dict(), indent=1) + "\n")
    if args.plot:
        plot(report.points, args.plot)
    missed = any(result.status == "missed" for result in report.results)
    return int(args.check and missed)


def progress_status() -> AbstractContextManager[Any]:
    """A line on a terminal that says what is being measured, nothing anywhere else."""
    return Console(stderr=True).status("starting")


if __name__ == "__main__":
    sys.exit(main())
