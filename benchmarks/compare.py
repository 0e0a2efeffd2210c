"""Compare two runs of the benchmarks, row by row; the exit code is 1 if one got worse.

::

    python benchmarks/compare.py old.json new.json

Both files are from ``speed.py --json``, or both from ``pytest --benchmark-json``. What is
compared is each row's ratio to its peer of the same run, so that the machine may have become
faster or slower meanwhile. How much worse a row may get is in gates.toml.
"""

import argparse
import json
import statistics
import sys
import tomllib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table

GATES: Final = Path(__file__).parent / "gates.toml"


class CompareError(Exception):
    """A file is not what it should be."""


class Measured(NamedTuple):
    """A row of a run: its ratio to a peer, and which way that improves."""

    value: float
    better: str


class Change(NamedTuple):
    """A row of both runs."""

    name: str
    old: float
    new: float
    worse: float  # per cent; negative if it got better
    allowed: float

    @property
    def regressed(self) -> bool:
        """Worse than allowed; a rounding error is not."""
        return self.worse > self.allowed + 1e-6


def rows_of_speed(document: dict[str, Any]) -> dict[str, Measured]:
    """Return the rows and the curves of speed.py's document."""
    curves = [curve for point in document["growth"] for curve in point["curves"]]
    return {
        row["name"]: Measured(row["value"], row["better"])
        for row in [*document["rows"], *curves]
        if "value" in row
    }


def rows_of_pytest(document: dict[str, Any]) -> dict[str, Measured]:
    """Return the rows of pytest-benchmark's document, as ratios to the peer of their group."""
    tests = document["benchmarks"]
    peers = {
        test["group"]: test["stats"]["median"] for test in tests if test["extra_info"].get("peer")
    }
    return {
        f"{test['group']}: {test['name']}": Measured(
            test["stats"]["median"] / peers.get(test["group"], 1.0), "less"
        )
        for test in tests
        if not test["extra_info"].get("peer")
    }


def load(path: Path) -> tuple[str, dict[str, Measured]]:
    """Return the kind of a file, and its rows."""
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CompareError(f"{path}: {error}") from None
    if isinstance(document, dict) and document.get("schema") == "gmap-speed/1":
        return "speed.py", rows_of_speed(document)
    if isinstance(document, dict) and "benchmarks" in document:
        return "pytest-benchmark", rows_of_pytest(document)
    raise CompareError(f"{path}: neither from speed.py --json nor from pytest --benchmark-json")


def allowed_for(name: str, gates: Sequence[dict[str, Any]]) -> float:
    """Return the per cent a row may get worse by: the first gate that matches decides."""
    for gate in gates:
        if fnmatchcase(name, gate["rows"]):
            return float(gate["worse"])
    return 0.0


def compare(
    old: dict[str, Measured], new: dict[str, Measured], gates: Sequence[dict[str, Any]]
) -> list[Change]:
    """Return the changes of the rows both runs have."""
    changes = []
    for name, before in old.items():
        if name in new:
            after = new[name]
            low, high = sorted((before.value, after.value))
            factor = high / low if low > 0 else 1.0
            improved = (after.value > before.value) == (before.better == "more")
            worse = 100 * (1 / factor - 1 if improved else factor - 1)
            changes.append(Change(name, before.value, after.value, worse, allowed_for(name, gates)))
    return changes


def print_changes(changes: Sequence[Change], console: Console) -> None:
    """Print a line a row, the worst last, and how many there are of each kind."""
    table = Table(box=None, pad_edge=False)
    table.add_column("row", no_wrap=True)
    for heading in ("old", "new", "worse by", "allowed", ""):
        table.add_column(heading, justify="right")
    for change in sorted(changes, key=lambda change: change.worse):
        table.add_row(
            change.name.replace("[", r"\["),
            f"{change.old:.3g}",
            f"{change.new:.3g}",
            f"{change.worse:+.1f} %",
            f"{change.allowed:g} %",
            "regressed" if change.regressed else "",
            style="bold red" if change.regressed else None,
        )
    console.print(table)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--gates", type=Path, default=GATES, metavar="FILE")
    args = parser.parse_args(argv)
    try:
        (kind, old), (other, new) = load(args.old), load(args.new)
        if kind != other:
            raise CompareError(f"{args.old} is from {kind}, {args.new} from {other}")
        gates = tomllib.loads(args.gates.read_text())["gate"]
    except (CompareError, OSError, tomllib.TOMLDecodeError) as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    changes = compare(old, new, gates)
    console = Console(width=None if sys.stdout.isatty() else 132, highlight=False)
    print_changes(changes, console)
    for path, names in ((args.old, old.keys() - new.keys()), (args.new, new.keys() - old.keys())):
        for name in sorted(names):
            print(f"only in {path}: {name}")
    regressed = [change for change in changes if change.regressed]
    if changes:
        middle = statistics.median(change.worse for change in changes)
        print(f"{len(changes)} rows, {len(regressed)} regressed; median {middle:+.1f} %")
    else:
        print("no row is in both files")
    return int(bool(regressed))


if __name__ == "__main__":
    sys.exit(main())
