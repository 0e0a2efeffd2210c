"""`gmap dump` and `gmap diff`. Floor 5: the command line calls this.

Exit codes: 0 done, no difference; 1 there are differences, or a file is malformed or cannot be
written; 2 the command line asks for what is not there. A failure is one line on standard error.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import numpy as np

from gmap._command import run_command
from gmap._readable import AddressSpace
from gmap.dumps._diff import UNKNOWN, Change, diff
from gmap.dumps._grammar import STAGE2, size_and_unit
from gmap.dumps._read import FORMATS, is_dump, read_ptdump
from gmap.dumps._write import NEWEST_REVISION, STYLES, ptdump_lines
from gmap.errors import ConfigError, DumpFormatError
from gmap.layout import Kind, Layout
from gmap.layout.spec import build, locate_spec, read_spec
from gmap.snapshot._file import is_snapshot, load

__all__ = ["add_parser", "open_source", "run"]

DIFF_SCHEMA: Final = "gmap-diff/1"
_HEAD_BYTES: Final = 8
_COMPRESSED: Final = (b"\x1f\x8b", b"\xfd7zXZ")
_FLAGS: Final = ("readable", "writable", "executable", "young", "dirty")
# What the formats of dumps do not tell.
_UNTOLD: Final = {
    "arm64 stage2_page_tables": ("dirty", "hole"),
    "arm64 kernel_page_tables": ("dirty", "hole"),
    "s390 kernel_page_tables": ("young", "dirty", "hole"),
    "gmap": ("dirty",),
}

_DUMP_HELP = """\
Print the stage-2 tables of a snapshot, or of the guest a specification (.toml) describes.

  gmap dump guest.npz
  gmap dump --style s390 --details guest.npz
"""
_DIFF_HELP = """\
Tell what is different between two snapshots, specifications or page-table dumps: what is mapped
in only one of them, or by entries of another size, with other permissions, in another state.
What one of the two cannot tell (a kernel's dump knows no dirty pages) is not compared. The exit
code is 0 if nothing is different, 1 if something is.
"""


def add_parser(subparsers: Any) -> None:
    """Add `dump` and `diff` to a command line.

    Parameters
    ----------
    subparsers : object
        What `ArgumentParser.add_subparsers` returned.
    """
    dump = subparsers.add_parser(
        "dump",
        help="print stage-2 tables as the kernel does",
        description=_DUMP_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    dump.add_argument("source", metavar="SNAPSHOT|SPEC.toml")
    dump.add_argument("--style", choices=STYLES, default="kernel", help="default %(default)s")
    dump.add_argument(
        "--revision",
        choices=sorted(STAGE2),
        default=NEWEST_REVISION,
        help="of the kernel's grammar (default %(default)s, the newest)",
    )
    dump.add_argument(
        "--details", action="store_true", help="with --style s390: more of each entry"
    )
    dump.add_argument("-o", "--output", metavar="FILE", help="write there")
    dump.add_argument("--save", metavar="FILE", help="print nothing, write a snapshot")
    dump.set_defaults(run=run, act=_dump)
    compare = subparsers.add_parser(
        "diff",
        help="compare two address spaces",
        description=_DIFF_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    compare.add_argument("a", metavar="A")
    compare.add_argument("b", metavar="B")
    compare.add_argument(
        "--ignore",
        action="append",
        default=[],
        choices=[*_FLAGS, "hole", "table"],
        help="do not compare this; may be given more than once",
    )
    compare.add_argument("--json", action="store_true", help="print one JSON document")
    compare.set_defaults(run=run, act=_diff)


def run(args: argparse.Namespace) -> int:
    """Do what the command line asks for; the exit code."""
    act: Callable[[argparse.Namespace], int] = args.act
    return run_command(args.command, lambda: act(args))


def open_source(path: str) -> AddressSpace | Layout:
    """Return what a file holds: a snapshot, the layout of a dump, or a specification's guest.

    Parameters
    ----------
    path : str
        Or the name of a bundled specification; "-" is a dump from standard input.

    Raises
    ------
    SnapshotFormatError, DumpFormatError
        A malformed file, or one of no such kind.
    ConfigError
        A specification that is refused.
    OSError
        It cannot be read.

    >>> import gmap, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     gmap.Gmap(gmap.SyntheticHost()).save(f"{folder}/empty.npz")
    ...     open_source(f"{folder}/empty.npz").ipa_bits
    40
    """
    if path == "-":
        return read_ptdump(path)
    path = locate_spec(path)
    if path.endswith(".toml"):
        space: AddressSpace = build(read_spec(path))
        return space
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
    if is_snapshot(head):
        return load(path)
    if is_dump(head) or head.startswith(_COMPRESSED):
        return read_ptdump(path)
    raise DumpFormatError(
        f"{path}: neither a snapshot nor a page-table dump; a specification ends in .toml"
    )


# --- dump -----------------------------------------------------------------------------------


def _dump(args: argparse.Namespace) -> int:
    if args.details and args.style != "s390":
        raise ConfigError("--details: only with --style s390")
    space = open_source(args.source)
    if isinstance(space, Layout):
        raise ConfigError(f"{args.source}: this is a dump already; give a snapshot")
    if args.save is not None:
        space.save(args.save)
        return 0
    lines = ptdump_lines(space, args.style, revision=args.revision, details=args.details)
    if args.output is None:
        sys.stdout.writelines(lines)
        sys.stdout.flush()
    else:
        _write(args.output, lines)
    return 0


def _write(path: str, lines: Iterable[str]) -> None:
    from gmap.snapshot._file import whole_file

    with whole_file(path) as file:
        for line in lines:
            file.write(line.encode())


# --- diff -----------------------------------------------------------------------------------


def _diff(args: argparse.Namespace) -> int:
    sources = open_source(args.a), open_source(args.b)
    ignore = set(args.ignore)
    for source in sources:
        if isinstance(source, Layout):
            ignore.update(_UNTOLD[source.name] if source.name in FORMATS else ())
    rows = list(_described(diff(*sources, ignore=ignore)))
    if args.json:
        document = {
            "schema": DIFF_SCHEMA,
            "a": args.a,
            "b": args.b,
            "ignored": sorted(ignore),
            "changes": rows,
        }
        print(json.dumps(document, indent=2))
    else:
        for row in rows:
            size, unit = size_and_unit(row["end"] - row["start"])
            change = ",".join(row["change"])
            print(
                f"0x{row['start']:016x}-0x{row['end']:016x} {size:9d}{unit} {change:<20} "
                f"{_side(row['before'])} -> {_side(row['after'])}"
            )
    sys.stdout.flush()
    return 1 if rows else 0


def _described(changes: np.ndarray[Any, np.dtype[np.void]]) -> Iterator[dict[str, Any]]:
    for row in changes:
        yield {
            "start": int(row["start"]),
            "end": int(row["start"]) + int(row["size"]),
            "change": [c.name.lower() for c in Change if c & int(row["change"]) and c.name],
            "before": _fields(row["before"]),
            "after": _fields(row["after"]),
        }


def _fields(side: np.void) -> dict[str, Any]:
    kind = int(side["kind"])
    if kind == UNKNOWN:
        return {"kind": "unknown"}
    fields: dict[str, Any] = {
        "kind": Kind(kind).name.lower(),
        "entry_bytes": 1 << int(side["shift"]),
    }
    if kind == Kind.LEAF:
        fields.update({flag: bool(side[flag]) for flag in _FLAGS})
    return fields


def _side(fields: dict[str, Any]) -> str:
    """Return a side as text: its kind, the size of its entries, and a letter for each flag."""
    if "entry_bytes" not in fields:
        return str(fields["kind"])
    size, unit = size_and_unit(fields["entry_bytes"])
    text = f"{fields['kind']} {size}{unit}"
    if fields["kind"] == "leaf":
        letters = zip(_FLAGS, "RWXYD", strict=True)
        text += " " + "".join(letter if fields[flag] else "-" for flag, letter in letters)
    return text
