"""`gmap profile`. Floor 5: the command line calls this.

Exit codes: 0 done; 1 a file is malformed, or what it asks for cannot be; 2 the command line asks
for what is not there. A failure is one line on standard error.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from gmap._command import fail, run_command
from gmap.errors import ConfigError
from gmap.layout.spec import SpecError, bundled_specs, parse_bytes
from gmap.profiling._compare import Comparison, compare
from gmap.profiling._export import need
from gmap.profiling._profile import Profile, profile

__all__ = ["add_parser", "run"]

LIST_SCHEMA = "gmap-profile-list/1"

_HELP = """\
Tell what a layout costs: tables, walks, faults, reach; what large pages, other alignment or
another guest size would change; and the same memory under native arm64 stage 2. With two
layouts, tell what differs.

A layout is a spec in TOML, which is built; a snapshot (`Gmap.save`); a page-table dump of a real
machine; or the name of a bundled spec (--list). The kind is told by what is in the file.

  gmap profile microvm
  gmap profile fragmented huge --html report.html
  gmap profile /sys/kernel/debug/kvm/1234-12/stage2_page_tables --json
"""


def _limit(text: str) -> int:
    try:
        return parse_bytes(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from None


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add `profile` to a command line; `run` then does what was asked.

    Parameters
    ----------
    subparsers : object
        What `ArgumentParser.add_subparsers` returned.
    """
    brief = "what a layout costs, and what would change it"
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "profile",
        help=brief,
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("layout", nargs="?", metavar="LAYOUT", help="a file or a bundled spec")
    parser.add_argument("other", nargs="?", metavar="LAYOUT2", help="compare with this one")
    parser.add_argument("--list", action="store_true", help="list the bundled specs, and end")
    parser.add_argument("--json", action="store_true", help="print one JSON document, not text")
    parser.add_argument("--html", metavar="FILE", help="write the report as one page")
    parser.add_argument("--parquet", metavar="DIR", help="write the tables as Parquet files")
    parser.add_argument("--png", metavar="DIR", help="write the plots as PNG files")
    parser.add_argument("--svg", metavar="DIR", help="write the plots as SVG files")
    parser.add_argument(
        "--limit",
        type=_limit,
        metavar="SIZE",
        help="refuse a spec whose tables need more (4GiB; default: 3/4 of the free memory)",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no report and no progress")
    return parser


def run(args: argparse.Namespace) -> int:
    """Do what the command line asks for; the exit code."""
    return run_command("profile", lambda: _run(args), malformed=(SpecError,))


_fail = partial(fail, "profile")


def _list(*, as_json: bool) -> int:
    known = bundled_specs()
    if as_json:
        print(json.dumps({"schema": LIST_SCHEMA, "specs": known}, indent=2))
    else:
        for name, description in known.items():
            print(f"{name:12} {description}")
    return 0


def _run(args: argparse.Namespace) -> int:
    if args.list:
        return _list(as_json=args.json)
    if args.layout is None:
        return _fail("no layout: name a file or a bundled spec, or use --list", 2)
    if args.other is not None and (args.parquet or args.png or args.svg):
        return _fail("--parquet, --png and --svg are for one layout: profile each by itself", 2)
    _check_outputs(args)
    results = []
    for layout in (args.layout, args.other):
        if layout is None:
            continue
        with _progress(layout, quiet=args.quiet) as progress:
            try:
                results.append(profile(layout, limit_bytes=args.limit, progress=progress))
            except FileNotFoundError:
                known = ", ".join(bundled_specs())
                return _fail(f"{layout}: no such file, and no bundled spec of {known}", 2)
    report: Profile | Comparison = results[0] if len(results) == 1 else compare(*results)
    if args.html:
        report.to_html(args.html)
    if isinstance(report, Profile):
        _write_parts(report, args)
    if args.json:
        print(report.to_json(indent=2))
    elif not args.quiet:
        _print(report)
    sys.stdout.flush()
    return 0


def _check_outputs(args: argparse.Namespace) -> None:
    """Refuse before the work what could not be written after it."""
    if args.html:
        need("jinja2")
        folder = os.path.dirname(os.path.abspath(args.html))
        if os.path.isdir(args.html) or not os.path.isdir(folder):
            raise ConfigError(f"--html {args.html}: name a file in a directory that exists")
    if args.html or args.png or args.svg:
        need("matplotlib")
    if args.parquet:
        need("pyarrow")
    for option, path in (("parquet", args.parquet), ("png", args.png), ("svg", args.svg)):
        if path and os.path.exists(path) and not os.path.isdir(path):
            raise ConfigError(f"--{option} {path}: that is a file; name a directory")


def _write_parts(report: Profile, args: argparse.Namespace) -> None:
    if args.parquet:
        report.to_parquet(args.parquet)
    if args.png or args.svg:
        from gmap.profiling._plots import write_plots

        for directory, suffix in ((args.png, "png"), (args.svg, "svg")):
            if directory:
                write_plots(report.to_dict(), directory, suffix)


def _print(report: Profile | Comparison) -> None:
    """Print for a terminal as it is wide; into a file, plain text."""
    if not sys.stdout.isatty():
        print(report, end="")
        return
    from rich.console import Console

    from gmap.profiling._text import print_comparison, print_profile

    if isinstance(report, Comparison):
        print_comparison(report, Console())
    else:
        print_profile(report, Console())


@contextmanager
def _progress(name: str, *, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on a terminal, and nothing anywhere else."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"{name}: touching pages", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
