"""`sae info`. Floor 10."""

import argparse
import json
from collections import Counter
from typing import Any

from gmap import show_config
from gmap._command import run_command
from saecore._cpu import FEATURES, MODELS, CpuModel
from saecore.a64.encodings import ENCODINGS, GROUPS
from saecore.machine.cpu import parse_cpu

__all__ = ["add_parser", "describe", "describe_cpu"]

#: What encodings that need no feature are counted under.
ALWAYS = "Armv8.0"


def describe() -> dict[str, Any]:
    """Return what `sae info` prints: the build, CPU models, features, encodings by group.

    >>> sorted(describe())
    ['config', 'cpu_models', 'encodings', 'features']
    """
    counts = Counter(row.group for row in ENCODINGS)
    return {
        "config": show_config(mode="dicts"),
        "cpu_models": {name: list(features) for name, features in MODELS.items()},
        "features": {name: feature.doc for name, feature in FEATURES.items()},
        "encodings": {group: counts[group] for group in GROUPS},
    }


def describe_cpu(model: CpuModel) -> dict[str, Any]:
    """Return what `sae info --cpu` prints of a CPU model.

    Parameters
    ----------
    model : CpuModel

    Returns
    -------
    dict
        ``model``, the name of the model it was made from. ``features``: by name, whether the
        processor has it (``on``), what it is (``doc``) and the fields of ID registers that say
        so (``fields``, of strings). ``registers``: the ID registers by name, as integers.
        ``encodings``: by group and feature, how many encodings the table has (``table``) and
        how many of them the processor knows (``known``).

    Examples
    --------
    >>> from saecore import cpu_model
    >>> found = describe_cpu(cpu_model("base"))
    >>> found["features"]["CRC32"]["on"], found["encodings"]["data"]["CRC32"]
    (False, {'table': 8, 'known': 0})
    """
    counts = Counter((row.group, row.feature) for row in ENCODINGS)
    encodings: dict[str, dict[str, dict[str, int]]] = {group: {} for group in GROUPS}
    for (group, feature), count in counts.items():
        known = count if feature is None or feature in model.flags else 0
        name = ALWAYS if feature is None else str(feature.name)
        encodings[group][name] = {"table": count, "known": known}
    return {
        "model": model.name,
        "features": {
            name: {
                "on": name in model.features,
                "doc": feature.doc,
                "fields": [
                    f"{register}.{field} = {number}" for register, field, number in feature.fields
                ],
            }
            for name, feature in FEATURES.items()
        },
        "registers": model.registers,
        "encodings": encodings,
    }


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add `info` to a command line; the namespace's `run` does what was asked.

    Parameters
    ----------
    subparsers : object
        What `ArgumentParser.add_subparsers` returned.
    """
    brief = "what this copy can do, and how it was built"
    parser: argparse.ArgumentParser = subparsers.add_parser("info", help=brief, description=brief)
    parser.add_argument(
        "--cpu", nargs="?", const="default", metavar="MODEL",
        help="a CPU model's features, ID registers and encodings; default, or as for `sae run`",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=_run)
    return parser


def _run(args: argparse.Namespace) -> int:
    return run_command("info", lambda: _print(args), program="sae")


def _print(args: argparse.Namespace) -> int:
    found = describe() if args.cpu is None else describe_cpu(parse_cpu(args.cpu))
    if args.json:
        print(json.dumps(found, indent=2))
    elif args.cpu is None:
        _print_all(found)
    else:
        _print_cpu(found)
    return 0


def _print_all(found: dict[str, Any]) -> None:
    for key, value in found["config"].items():
        print(f"{key + ':':<10} {value}")
    print()
    for name, features in found["cpu_models"].items():
        print(f"CPU model {name}: Armv8.0-A, {', '.join(features)}")
    print()
    for name, doc in found["features"].items():
        print(f"{name:<8} {doc}")
    print()
    for group, count in found["encodings"].items():
        print(f"{group:<9} {count:>5} encodings")
    print(f"{'all':<9} {sum(found['encodings'].values()):>5} encodings")


def _print_cpu(found: dict[str, Any]) -> None:
    print(f"CPU model {found['model']}\n")
    for name, feature in found["features"].items():
        print(f"{name:<8} {'on' if feature['on'] else 'off':<4} {feature['doc']}")
    print()
    for name, value in found["registers"].items():
        print(f"{name:<17} {value:#018x}")
    print()
    total: Counter[str] = Counter()
    for group, features in found["encodings"].items():
        for feature, count in features.items():
            total.update(count)
            print(f"{group:<9} {feature:<8} {count['known']:>5} of {count['table']:>5} encodings")
    print(f"{'all':<9} {'':<8} {total['known']:>5} of {total['table']:>5} encodings")
