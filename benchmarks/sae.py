"""The processor's speed table: what SAE reaches, beside what it has to.

::

    python benchmarks/sae.py
    python benchmarks/sae.py --quick --only 'workload/*/unicorn,start'
    python benchmarks/sae.py --json sae.json

Every figure is measured beside a peer in the same run, pair by pair; docs/benchmarking.md tells
how. The exit code is 0 unless ``--check`` is given and a target is missed.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from _measure import usable_cpus
from _rows import Result, Section, measure
from _sae_measure import FULL, QUICK, SaeScale, instructions
from _sae_rows import MEANS, SECTIONS, means, mips
from rich.console import Console
from rich.table import Table
from speed import SIGNS, STYLES, WIDTH, new_table, progress_status, section_table

import gmap

__all__ = ["SCHEMA", "main"]

SCHEMA: Final = "gmap-sae-speed/1"


def run(
    scale: SaeScale, wanted: Callable[[str], bool], progress: Callable[[str], None]
) -> list[tuple[Section, list[Result]]]:
    """Measure the rows whose names are wanted, and what is made of several."""
    found = []
    for section in SECTIONS:
        results = []
        for row in section.rows:
            if wanted(row.name):
                progress(row.name)
                results.append(measure(row, scale))  # type: ignore[arg-type]
        if section is SECTIONS[0] and any(map(wanted, MEANS)):
            results += means(results)
        if results:
            found.append((section, results))
    return found


def workload_table(section: Section, results: Sequence[Result], scale: SaeScale) -> Table:
    """Return the table of the workloads: rates, and how many instructions each takes."""
    ours, peer = section.headings
    headings = ("", "target", "measured", "middle half", ours, peer.split(",")[0], "M insns", "")
    table = new_table(f"{section.title}\n[not bold]{section.ratio}; MIPS", headings)
    for result in results:
        target = result.row.target
        bound = f"{SIGNS[target.direction]}{target.bound:.3g}" if target else ""
        if not result.pairs:
            table.add_row(result.row.text, bound, *[""] * 5, f"not measured: {result.reason}")
            continue
        low, high = result.spread
        amount = dict(scale.work).get(result.row.text)
        table.add_row(
            result.row.text, bound, f"{result.value:.3g}", f"{low:.3g} to {high:.3g}",
            f"{mips(result.median('ours')):.0f}", f"{mips(result.median('peer')):.0f}",
            "" if amount is None else f"{instructions(result.row.text, amount) / 1e6:.1f}",
            result.status, style=STYLES.get(result.status),
        )  # fmt: skip
    return table


def print_report(
    sections: Sequence[tuple[Section, list[Result]]], scale: SaeScale, console: Console
) -> None:
    """Print everything."""
    config = gmap.show_config(mode="dicts")
    console.print(
        f"gmap {config['gmap']}, {config['compiler']} {config['flags']}; "
        f"{platform.system()} {platform.release()} {config['machine']}, {usable_cpus()} CPUs"
    )
    if scale != FULL:
        console.print("Not the full sizes: the targets are stated for those.", style="yellow")
    for section, results in sections:
        console.print()
        if section.rows[0].name.startswith("workload/"):
            console.print(workload_table(section, results, scale))
        else:
            console.print(section_table(section, results))
        for note in section.notes:
            console.print(note, style="dim")
    console.print()
    found = [result.status for _, results in sections for result in results]
    counts = {status: found.count(status) for status in ("met", "missed", "not measured")}
    console.print("targets: " + ", ".join(f"{n} {status}" for status, n in counts.items()))


def to_dict(
    sections: Sequence[tuple[Section, list[Result]]], scale: SaeScale
) -> dict[str, Any]:
    """Return the JSON document."""
    machine = {
        "cpus": os.cpu_count(),
        "usable_cpus": usable_cpus(),
        "system": f"{platform.system()} {platform.release()}",
        **gmap.show_config(mode="dicts"),
    }
    rows = [result.to_dict() for _, results in sections for result in results]
    return {"schema": SCHEMA, "machine": machine, "scale": asdict(scale), "rows": rows}


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", metavar="FILE", help="write everything, sample by sample")
    parser.add_argument("--quick", action="store_true", help="less work, fewer samples")
    parser.add_argument("--only", metavar="NAME,...", default="*", help="rows, with * for any text")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    return parser


def main(argv: Sequence[str] | None = None, scale: SaeScale | None = None) -> int:
    """Run the command; the exit code."""
    options = parser()
    args = options.parse_args(argv)
    patterns: list[str] = args.only.split(",")
    names = [*(row.name for section in SECTIONS for row in section.rows), *MEANS]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            options.error(f"--only {pattern}: there are {', '.join(names)}")
    if args.json and not Path(args.json).parent.is_dir():
        options.error(f"{args.json}: there is no such folder")

    def wanted(name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in patterns)

    chosen = scale or (QUICK if args.quick else FULL)
    try:
        with progress_status() as status:
            sections = run(chosen, wanted, lambda what: status.update(what))
    except KeyboardInterrupt:
        print("sae: interrupted, nothing is reported", file=sys.stderr)
        return 130
    width = None if sys.stdout.isatty() else WIDTH
    print_report(sections, chosen, Console(width=width, highlight=False))
    if args.json:
        Path(args.json).write_text(json.dumps(to_dict(sections, chosen), indent=1) + "\n")
    missed = any(result.status == "missed" for _, results in sections for result in results)
    return int(args.check and missed)


if __name__ == "__main__":
    sys.exit(main())
