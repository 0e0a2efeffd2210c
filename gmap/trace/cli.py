"""`gmap trace record`, `info` and `convert`. Floor 5: the command line calls this.

Exit codes: 0 done; 1 done or found, but not as it should be (the program failed, a file is
malformed, the disk is full); 2 the command line asks for what is not there. 129, 130 and 143:
ended by a SIGHUP, an interruption or a SIGTERM. A failure is one line on standard error.
"""

import argparse
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

from gmap._command import fail, run_command
from gmap.errors import ConfigError, TraceFormatError
from gmap.trace._bundled import bundled, locate
from gmap.trace._convert import Meter, convert, next_token
from gmap.trace._errors import RecordError, TraceDependencyError, TraceWriteError
from gmap.trace._formats import FORMATS
from gmap.trace._io import TraceFile
from gmap.trace._model import DEFAULT_WINDOW, MAX_WINDOW
from gmap.trace._progress import reading_shown
from gmap.trace._record import MAX_RECORDS, Progress, Recording, record
from gmap.trace._summary import Summary

__all__ = ["add_parser", "run"]

INFO_SCHEMA = "gmap-trace-info/1"
LIST_SCHEMA = "gmap-trace-list/1"

_RECORD_HELP = """\
Run COMMAND under Valgrind's lackey and write the pages it accesses to FILE. The program keeps
its standard input, output and error; its child processes are not recorded. Expect it to run
some thousand times slower than by itself.

  gmap trace record -o sort.csv.xz -- sort words.txt
  gmap trace info sort.csv.xz
"""
_INFO_HELP = """\
Describe a trace of any format, as it is or in .gz or .xz; '-' is standard input. FILE may also
name a bundled trace; without FILE these are listed.
"""
_CONVERT_HELP = """\
Write the trace IN, of any format, to OUT: .csv.xz, .csv.gz, .csv or .parquet. '-' is standard
input. Memory stays bounded whatever the size. After Ctrl-C or --max-records, OUT holds what was
read until then, and where that ended; the rest goes to another file:

  gmap trace convert big.champsimtrace.xz part1.parquet --max-records 1000000
  gmap trace convert big.champsimtrace.xz part2.parquet --from part1.parquet
"""


class _TerminatedError(KeyboardInterrupt):
    """A SIGTERM or SIGHUP came."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _window(text: str) -> int:
    value = int(text)
    if not 0 <= value <= MAX_WINDOW:
        raise argparse.ArgumentTypeError(f"{text} is out of range: use 0 to {MAX_WINDOW}")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is out of range: use 1 or more")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is out of range: use a time above 0")
    return value


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add `trace` and its commands to a command line; `run` then does what was asked.

    Parameters
    ----------
    subparsers : object
        What `ArgumentParser.add_subparsers` returned.
    """
    brief = "record page traces of real programs, describe and convert them"
    parser: argparse.ArgumentParser = subparsers.add_parser("trace", help=brief, description=brief)
    parser.set_defaults(run=run)
    commands = parser.add_subparsers(
        dest="trace_command", metavar="record|info|convert", required=True
    )
    _add_record(commands)
    _add_info(commands)
    _add_convert(commands)
    return parser


def _add_record(commands: Any) -> None:
    parser = commands.add_parser(
        "record",
        help="record a program",
        description=_RECORD_HELP,
        usage="gmap trace record [options] -- COMMAND [ARGS]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="the trace: .csv.xz, .csv.gz, .csv or .parquet; default PROGRAM.csv.xz",
    )
    parser.add_argument(
        "--filter",
        type=_window,
        default=DEFAULT_WINDOW,
        metavar="N",
        help="drop what a list of the N pages used last absorbs; 0 keeps every access "
        "(default %(default)s)",
    )
    parser.add_argument(
        "--max-seconds",
        type=_seconds,
        metavar="S",
        help="end the program after S seconds, and keep what was recorded",
    )
    parser.add_argument(
        "--max-records",
        type=_count,
        default=MAX_RECORDS,
        metavar="N",
        help="end the program after N records, and keep these (default %(default)s)",
    )
    parser.add_argument(
        "--keep-partial",
        action="store_true",
        help="on an interruption, too, keep what was recorded",
    )
    parser.add_argument("--note", default="", help="a line for the trace's metadata")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress, no summary")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")


def _add_info(commands: Any) -> None:
    parser = commands.add_parser(
        "info",
        help="describe a trace, or list the bundled ones",
        description=_INFO_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", nargs="?", metavar="FILE", help="a file or a bundled trace")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    _add_reading(parser)


def _add_convert(commands: Any) -> None:
    parser = commands.add_parser(
        "convert",
        help="write a trace in another format, or a part of it",
        description=_CONVERT_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="IN", help="a file or a bundled trace")
    parser.add_argument("output", metavar="OUT", help=".csv.xz, .csv.gz, .csv or .parquet")
    parser.add_argument(
        "--from",
        dest="start",
        metavar="TOKEN",
        help="go on where an earlier part ended: that part, or the token in its metadata",
    )
    parser.add_argument("--max-records", type=_count, metavar="N", help="end after N records")
    _add_reading(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress, no summary")


def _add_reading(parser: argparse.ArgumentParser) -> None:
    """Add the options of what reads a trace."""
    parser.add_argument(
        "--format",
        choices=[known.name for known in FORMATS],
        help="the format of the file, if neither its name nor its content tells",
    )
    parser.add_argument(
        "--filter",
        type=_window,
        metavar="N",
        help="the page filter; 0 keeps every access (default "
        f"{DEFAULT_WINDOW}, none for CSV and Parquet)",
    )
    parser.add_argument(
        "--progress", action="store_true", help="show progress even where there is no terminal"
    )


def run(args: argparse.Namespace) -> int:
    """Do what the command line asks for; the exit code."""
    commands = {"record": _run_record, "info": _run_info, "convert": _run_convert}
    command: Callable[[argparse.Namespace], int] = commands[args.trace_command]
    return run_command(
        "trace",
        lambda: command(args),
        asked_wrongly=(RecordError, TraceDependencyError, ConfigError),
        malformed=(TraceFormatError, TraceWriteError),
    )


_fail = partial(fail, "trace")


# --- record ---------------------------------------------------------------------------------


def _run_record(args: argparse.Namespace) -> int:
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise ConfigError("no command to record: gmap trace record -o FILE -- COMMAND [ARGS]")
    output = args.output or f"{os.path.basename(command[0])}.csv.xz"
    try:
        with _terminable(), _progress(quiet=args.quiet) as progress:
            result = record(
                command,
                output,
                window=args.filter,
                max_seconds=args.max_seconds,
                max_records=args.max_records,
                keep_partial=args.keep_partial,
                note=args.note,
                progress=progress,
            )
    except KeyboardInterrupt as error:
        number = error.number if isinstance(error, _TerminatedError) else signal.SIGINT
        return _fail(
            f"ended by {signal.Signals(number).name}, no trace was written "
            "(--keep-partial keeps what was recorded)",
            128 + number,
        )
    if not args.quiet:
        print(f"gmap trace: {_outcome(result)}", file=sys.stderr)
    return 0 if result.exit_code == 0 or result.stopped.startswith("max-") else 1


def _outcome(result: Recording) -> str:
    return (
        f"{result.path}: {result.records:,} records of {result.accesses:,} page accesses in "
        f"{result.seconds:.1f} s; {result.ending()}"
    )


@contextmanager
def _terminable() -> Iterator[list[int]]:
    """Let SIGTERM and SIGHUP end things the way Ctrl-C does, unless they are ignored.

    The list given is of those that came.
    """
    came: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        came.append(number)
        raise _TerminatedError(number)

    before = {}
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
                before[number] = signal.signal(number, stop)
    except ValueError:  # not the main thread: its owner sees to signals
        pass
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A line that moves on a terminal, and nothing anywhere else."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        yield lambda now: status.update(
            f"{now.phase}: {now.records:,} records of {now.accesses:,} page accesses, "
            f"{now.seconds:.0f} s"
        )


# --- info -----------------------------------------------------------------------------------


def _run_info(args: argparse.Namespace) -> int:
    if args.file is None:
        return _list_bundled(as_json=args.json)
    summary = Summary()
    with (
        TraceFile(locate(args.file), window=args.filter, format=args.format) as file,
        reading_shown(asked=args.progress) as show,
    ):
        meter = Meter(show)
        n = 0
        for part in file.chunks():
            summary.add(part)
            n += len(part)
            meter.report("reading", n, file.fraction())
    facts = summary.facts()
    if args.json:
        document = {
            "schema": INFO_SCHEMA,
            "file": args.file,
            "format": file.format,
            **facts,
            "meta": dict(file.meta),
        }
        print(json.dumps(document, indent=2))
    else:
        _print_info(args.file, file.format, facts, file.meta)
    sys.stdout.flush()
    return 0


def _list_bundled(*, as_json: bool) -> int:
    known = bundled()
    if as_json:
        traces = {name: known[name].description for name in known}
        print(json.dumps({"schema": LIST_SCHEMA, "traces": traces}, indent=2))
    else:
        for name, trace in known.items():
            print(f"{name:10} {trace.description}")
    sys.stdout.flush()
    return 0


def _printable(text: str) -> str:
    """Return text as standard output can show it, on one line and without control characters."""
    encoding = sys.stdout.encoding or "ascii"
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def _print_info(name: str, kind: str, facts: dict[str, Any], meta: Mapping[str, str]) -> None:
    rows = {
        "file": f"{name} ({kind})",
        **meta,
        "records": f"{facts['records']:,} ({facts['reads']:,} reads, {facts['writes']:,} writes, "
        f"{facts['fetches']:,} fetches)",
        "footprint": f"{facts['footprint_pages']:,} pages, "
        f"{facts['footprint_bytes'] / (1 << 20):,.1f} MiB ({facts['pages_written']:,} written, "
        f"{facts['pages_fetched']:,} fetched from)",
    }
    if facts["records"]:
        rows["addresses"] = (
            f"{facts['first_page'] << 12:#x} to {(facts['last_page'] << 12) + 0xFFF:#x}, "
            f"{facts['regions']:,} regions"
        )
    width = max(map(len, rows))
    for key, value in rows.items():
        print(f"{key:{width}}  {_printable(value)}")
    for region in facts["largest_regions"]:
        print(f"{'':{width}}  {region['page'] << 12:#14x} {region['pages']:8,} pages")


# --- convert --------------------------------------------------------------------------------


def _run_convert(args: argparse.Namespace) -> int:
    start = args.start
    if start is not None and os.path.exists(start):
        start = next_token(start)
    try:
        with (
            _terminable() as ended_by,
            reading_shown(asked=args.progress, quiet=args.quiet) as show,
        ):
            result = convert(
                locate(args.file),
                args.output,
                format=args.format,
                window=args.filter,
                start=start,
                max_records=args.max_records,
                progress=show,
            )
    except KeyboardInterrupt as error:
        number = error.number if isinstance(error, _TerminatedError) else signal.SIGINT
        return _fail(
            f"ended by {signal.Signals(number).name} before {args.output} was complete: it is not "
            "written",
            128 + number,
        )
    goes_on = shlex.join(["gmap", "trace", "convert", args.file, "NEXT", "--from", args.output])
    if result.stopped == "interrupted":
        number = ended_by[-1] if ended_by else signal.SIGINT
        return _fail(
            f"ended by {signal.Signals(number).name}: {result.path} has the first "
            f"{result.records:,} records; the rest: {goes_on} (token "
            f"{result.position.token()})",
            128 + number,
        )
    if not args.quiet:
        rest = f"; the rest: {goes_on}" if result.stopped else ""
        print(
            f"gmap trace: {result.path}: {result.records:,} records in {result.seconds:.1f} s"
            f"{rest}",
            file=sys.stderr,
        )
    return 0
