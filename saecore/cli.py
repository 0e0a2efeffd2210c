"""The command `sae`. Floor 10."""

import argparse
import os
import sys
from collections.abc import Sequence

from gmap import __version__
from saecore.bench import cli as bench
from saecore.machine import info_cli, run_cli

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code.

    >>> main(["info"])  # doctest: +ELLIPSIS
    gmap: ...
    0
    """
    parser = argparse.ArgumentParser(
        prog="sae", description="A model of an s390 that runs arm64 guests: SAE, over the gmap."
    )
    parser.add_argument("--version", action="version", version=f"sae {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    run_cli.add_parser(commands)
    info_cli.add_parser(commands)
    bench.add_parser(commands)
    args = parser.parse_args(argv)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(f"sae {args.command}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read the output has seen enough. Python would complain again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code
