"""The command `gmap explain`. Floor 5."""

import argparse
import json
from typing import Any

from gmap import Access, AddressSpace, Explanation, Stage1, TwoLevel
from gmap._command import fail, run_command
from gmap.dumps.cli import open_source
from gmap.errors import ConfigError
from gmap.explaining._guest import GuestImage, MemoryImage

__all__ = ["add_parser"]

_REGISTERS = ("ttbr0", "ttbr1", "tcr", "mair", "sctlr")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `explain`.

    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> hex(parser.parse_args(["explain", "0x1000", "--ttbr0", "0x2000"]).ttbr0)
    '0x2000'
    """
    parser = commands.add_parser(
        "explain",
        help="how one guest address is translated, entry by entry",
        description="Show every step of the walk of one guest address: through the gmap of a "
        "snapshot or spec, or, given an image of the guest's memory and its registers, through "
        "both stages. Exit code 1: the address does not translate.",
    )
    parser.add_argument("address", type=_number, metavar="ADDR", help="guest address")
    parser.add_argument("source", nargs="?", help="snapshot, or spec of an address space")
    parser.add_argument(
        "--memory", action="append", default=[], metavar="FILE@IPA",
        help="raw guest memory and where it begins; may be repeated",
    )  # fmt: skip
    for name in _REGISTERS:
        parser.add_argument(
            f"--{name}", type=_number, metavar="VALUE", help=f"{name.upper()}_EL1 of the guest"
        )
    parser.add_argument("--el", type=int, choices=(0, 1), default=1, help="exception level")
    parser.add_argument("--pan", action="store_true", help="PSTATE.PAN is set")
    parser.add_argument(
        "--access", choices=[access.name.lower() for access in Access], default="read"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=_run)


def _number(text: str) -> int:
    return int(text, 0)


def _run(args: argparse.Namespace) -> int:
    return run_command("explain", lambda: _tell(args), asked_wrongly=())


def _tell(args: argparse.Namespace) -> int:
    given = {name: getattr(args, name) for name in _REGISTERS if getattr(args, name) is not None}
    if bool(args.memory) == bool(args.source):
        return fail("explain", "give a snapshot or spec, or --memory FILE@IPA", 2)
    if given and not args.memory:
        register = next(iter(given))
        return fail("explain", f"--{register} needs the guest's tables: give --memory FILE@IPA", 2)
    story = _explain(args, given)
    print(json.dumps(story.to_dict(), indent=2) if args.json else story)
    return int(story.status != 0)


def _explain(args: argparse.Namespace, registers: dict[str, Any]) -> Explanation:
    access = Access[args.access.upper()]
    if args.source:
        space = open_source(args.source)
        if not isinstance(space, AddressSpace):
            raise ConfigError(
                f"{args.source} is a text dump, which holds no tables: use a snapshot or a spec"
            )
        return TwoLevel(Stage1(sctlr=0), space).explain(args.address, access)
    guest = GuestImage([MemoryImage.parse(text) for text in args.memory])
    if not registers:
        registers = {"sctlr": 0}
    stage1 = Stage1(**registers, el=args.el, pan=args.pan)
    return TwoLevel(stage1, guest.gmap).explain(args.address, access)
