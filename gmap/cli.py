"""The command `gmap`. Floor 5."""

import argparse
import os
import sys
from collections.abc import Sequence

from gmap import __version__, show_config
from gmap.bench import cli as bench
from gmap.dumps import cli as dumps
from gmap.explaining import cli as explaining
from gmap.models import cli as models
from gmap.profiling import cli as profiling
from gmap.trace import cli as trace

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code.

    >>> main(["trace", "info", "triad"])  # doctest: +ELLIPSIS
    file ...
    0
    """
    parser = argparse.ArgumentParser(
        prog="gmap", description="A model of the gmap: how an s390 host maps an arm64 guest."
    )
    parser.add_argument("--version", action="version", version=f"gmap {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    bench.add_parser(commands)
    profiling.add_parser(commands)
    dumps.add_parser(commands)
    explaining.add_parser(commands)
    trace.add_parser(commands)
    models.add_parser(commands)
    config = commands.add_parser("config", help="how this copy was built, for a bug report")
    config.set_defaults(run=_config)
    args = parser.parse_args(argv)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(f"gmap {args.command}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read the output has seen enough. Python would complain again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _config(args: argparse.Namespace) -> int:
    show_config()
    return 0
