"""`gmap bench`. Floor 5: the command line calls this."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from gmap.bench.faults import Options, run
from gmap.bench.phases import HOSTS, PHASES
from gmap.bench.workloads import PATTERNS
from gmap.errors import GmapError

__all__ = ["add_parser", "names", "progress_bar", "size"]

_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_WIDTH: Final = 132  # of tables that go to a file

_FAULTS_HELP = """\
Time the fault-in path of the modelled gmap: on the page traces of real programs that come with
this package, and on the patterns of the KVM selftests. By default everything worth seeing, in
less than two minutes. The machine's own page faults are timed between the rows.

  gmap bench faults
  gmap bench faults --pattern random --size 4G --threads 1,2,4
  gmap bench faults --pattern trace:my.csv.xz --backing 4k,1m --json > faults.json
"""


def size(text: str) -> int:
    """A number of bytes: 4096, 64k, 1G, 2GiB.

    >>> size("64k"), size("2GiB")
    (65536, 2147483648)
    """
    number = text.lower().removesuffix("ib").removesuffix("b")
    unit = number[-1:] if number[-1:] in "kmgt" else ""
    digits = number.removesuffix(unit) if unit else number
    if not digits.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no size: use a number and k, M, G or T")
    return int(digits) * _UNITS[unit]


def names(text: str) -> tuple[str, ...]:
    """Names with commas between them.

    >>> names("a,b")
    ('a', 'b')
    """
    return tuple(name for name in text.split(",") if name)


def _numbers(text: str) -> tuple[int, ...]:
    if not all(part.isdecimal() for part in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r}: use numbers with commas between them")
    return tuple(int(part) for part in text.split(","))


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add `bench` and its commands to a command line; the namespace's `run` does what was asked.

    Parameters
    ----------
    subparsers : object
        What `ArgumentParser.add_subparsers` returned.
    """
    brief = "measure the model, beside the machine it runs on"
    parser: argparse.ArgumentParser = subparsers.add_parser("bench", help=brief, description=brief)
    commands = parser.add_subparsers(dest="bench_command", metavar="faults", required=True)
    faults = commands.add_parser(
        "faults",
        help="throughput and latency of page faults",
        description=_FAULTS_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    faults.set_defaults(run=_run_faults)
    lists = {
        "pattern": f"{', '.join(PATTERNS)}, trace (the bundled ones), trace:NAME, trace:FILE",
        "backing": "4k, 1m, 2g: the folios behind the guest's memory",
        "host": f"{', '.join(HOSTS)}: where the frames come from",
        "phase": f"{', '.join(PHASES)}",
    }
    for name, text in lists.items():
        faults.add_argument(f"--{name}", type=names, default=(), metavar="NAME,...", help=text)
    faults.add_argument(
        "--threads", type=_numbers, default=(), metavar="N,...", help="numbers of vCPUs"
    )
    faults.add_argument(
        "--size", type=size, metavar="BYTES", help="guest memory, for all threads together"
    )
    faults.add_argument("--seed", type=int, default=0, metavar="N", help="of the patterns")
    faults.add_argument(
        "--repeat", type=int, default=5, metavar="N", help="runs of a phase; their median counts"
    )
    faults.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


def _run_faults(args: argparse.Namespace) -> int:
    try:
        options = Options(
            hosts=args.host,
            backings=args.backing,
            patterns=args.pattern,
            phases=args.phase,
            threads=args.threads,
            nbytes=args.size,
            seed=args.seed,
            repeat=args.repeat,
        )
        with progress_bar() as progress:
            report = run(options, progress)
    except (GmapError, OSError) as error:
        print(f"gmap bench: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("gmap bench: interrupted, nothing is reported", file=sys.stderr)
        return 130
    if args.json:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        from rich.console import Console

        from gmap.bench.report import print_report

        print_report(report, Console(width=None if sys.stdout.isatty() else _WIDTH))
    return 0


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None] | None]:
    """A bar on a terminal, and nothing anywhere else."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeLeft())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def report(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield report
