"""`sae info`. Floor 10."""

import argparse
import json
from collections import Counter
from typing import Any

from gmap import show_config
from saecore._cpu import FEATURES, MODELS
from saecore.a64.encodings import ENCODINGS, GROUPS

__all__ = ["add_parser", "describe"]


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


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add `info` to a command line; the namespace's `run` does what was asked.

    Parameters
    ----------
    subparsers : object
        What `ArgumentParser.add_subparsers` returned.
    """
    brief = "what this copy can do, and how it was built"
    parser: argparse.ArgumentParser = subparsers.add_parser("info", help=brief, description=brief)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=_run)
    return parser


def _run(args: argparse.Namespace) -> int:
    found = describe()
    if args.json:
        print(json.dumps(found, indent=2))
        return 0
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
        print(f"{group:<8} {count:>5} encodings")
    print(f"{'all':<8} {sum(found['encodings'].values()):>5} encodings")
    return 0
