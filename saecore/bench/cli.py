"""`sae bench`. Floor 10."""

import argparse
import json
import sys
from typing import Any, Final

from gmap._command import run_command
from gmap.bench.cli import names, progress_bar, size
from gmap.bench.faults import Options
from gmap.bench.phases import BenchError
from gmap.bench.workloads import PATTERNS
from gmap.trace import bundled
from saecore.bench.faults import GUEST_PHASES, ExitRow, GuestReport, run
from saecore.kvm import KvmError

__all__ = ["add_parser"]

_WIDTH: Final = 132  # of tables that go to a file
_HELP: Final = """\
Time demand paging as a guest lives it: a small program touches pages through its own MMU, and
each touch is intercepted, faulted in and resumed. The report is that of 'gmap bench faults', and
exits a second to Python (MMIO) and to the run loop (HVC) are added.

  sae bench faults
  sae bench faults --pattern trace:triad --json > faults.json
"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add `bench` and its command to a command line; the namespace's `run` does what was asked.

    Parameters
    ----------
    subparsers : object
        What `ArgumentParser.add_subparsers` returned.
    """
    brief = "measure the model as its guests see it"
    parser: argparse.ArgumentParser = subparsers.add_parser("bench", help=brief, description=brief)
    commands = parser.add_subparsers(dest="bench_command", metavar="faults", required=True)
    faults = commands.add_parser(
        "faults",
        help="page faults and exits of a guest",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = faults.add_argument
    add("--pattern", type=names, default=(), metavar="NAME,...",
        help=f"{', '.join(PATTERNS)}, trace (the bundled ones), trace:NAME or FILE")  # fmt: skip
    add("--phase", type=names, default=(), metavar="NAME,...", help=f"{', '.join(GUEST_PHASES)}")
    add("--size", type=size, metavar="BYTES", help="memory the patterns touch (default: 64M)")
    add("--seed", type=int, default=0, metavar="N", help="of the patterns")
    add("--repeat", type=int, default=5, metavar="N", help="runs of a phase; their median counts")
    add("--json", action="store_true", help="print one JSON document")
    faults.set_defaults(run=_run)
    return parser


def _run(args: argparse.Namespace) -> int:
    return run_command(
        "bench", lambda: _run_faults(args), malformed=(BenchError, KvmError), program="sae"
    )


def _run_faults(args: argparse.Namespace) -> int:
    patterns = [
        name
        for given in args.pattern
        for name in ([f"trace:{trace}" for trace in bundled()] if given == "trace" else [given])
    ]
    options = Options(
        hosts=("buffer",), backings=("4k",), patterns=tuple(patterns), phases=args.phase,
        threads=(1,), nbytes=args.size, seed=args.seed, repeat=args.repeat,
    )  # fmt: skip
    with progress_bar() as progress:
        report = run(options, progress)
    if args.json:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        _print(report)
    return 0


def _print(report: GuestReport) -> None:
    from rich.console import Console

    from gmap.bench.report import print_report

    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    print_report(report, console)
    console.print()
    for row in report.exits:
        console.print(exit_line(row), highlight=False)


def exit_line(row: ExitRow) -> str:
    """Return a line about one kind of exit.

    >>> exit_line(ExitRow("hvc", 1000, 250.0, 4e6))
    'hvc: 250 ns, 4000000 exits a second, answered by the run loop'
    """
    where = "answered by the run loop" if row.kind == "hvc" else "to Python and back"
    return f"{row.kind}: {row.ns_per_exit:.3g} ns, {row.exits_per_s:.0f} exits a second, {where}"
