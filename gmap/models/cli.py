"""`gmap replay`. Floor 5: the command line calls this.

Exit codes: 0 done; 1 a file is malformed or could not be written; 2 the command line asks for
what is not there. A failure is one line on standard error.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from os import fspath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gmap._command import run_command
from gmap.errors import ConfigError
from gmap.models._config import Model
from gmap.models._errors import ModelDependencyError
from gmap.models._presets import PRESETS, presets
from gmap.models._replay import Simulation
from gmap.models._result import Replay, Where
from gmap.trace import Access, TraceDependencyError, chunks
from gmap.trace._bundled import locate
from gmap.trace._files import Output

__all__ = ["add_parser"]

_WIDTH: Final = 132  # of tables that go to a file
_HELP: Final = """\
Replay a trace through a model of TLBs, page-walk caches and table walks, and count what happens.
TRACE is a bundled trace (gmap trace info lists them), a file, or '-'. docs/models.md tells what is
counted and how to write a model.

  gmap replay triad
  gmap replay paths --model guest --page-size 1M
  gmap replay my.csv.xz --model mine.toml --json
"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add `replay` to a command line; `run` then does what was asked.

    Parameters
    ----------
    subparsers : object
        What `ArgumentParser.add_subparsers` returned.
    """
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "replay",
        help="replay a trace through a model of TLBs and walks",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("trace", metavar="TRACE", nargs="?", help="without it: list the models")
    parser.add_argument(
        "--model", default="server", metavar="NAME", help=f"{', '.join(PRESETS)}, or a TOML file"
    )
    parser.add_argument(
        "--page-size", metavar="SIZE", help="one size for every page, such as 4K, 1M, 2G"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--per-access", metavar="FILE", help="write a row for each access to a Parquet file"
    )
    parser.add_argument(
        "--perfetto", metavar="FILE", help="write a timeline for ui.perfetto.dev (.json, .json.gz)"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    return parser


def run(args: argparse.Namespace) -> int:
    """Do what the command line asks for; the exit code."""
    return run_command(
        "replay",
        lambda: _run(args),
        asked_wrongly=(ConfigError, ModelDependencyError, TraceDependencyError),
    )


def _run(args: argparse.Namespace) -> int:
    if args.trace is None:
        _list_models(as_json=args.json)
        return 0
    result = _replay(args)
    if args.perfetto is not None:
        result.write_perfetto(args.perfetto)
    if args.json:
        print(json.dumps({"trace": args.trace, **result.to_dict()}, indent=2))
    else:
        _print(args.trace, result)
    return 0


def _replay(args: argparse.Namespace) -> Replay:
    simulation = Simulation(args.model, page_size=args.page_size)
    if args.perfetto is not None and not args.perfetto.endswith((".json", ".json.gz")):
        raise ConfigError(f"{args.perfetto}: end the name in .json or .json.gz")
    with _rows(args.per_access) as sink, _progress(quiet=args.quiet) as progress:
        for chunk in chunks(locate(args.trace)):
            simulation.feed(chunk, sink or False)
            progress(len(chunk))
    return simulation.result()


# --- files and progress ---------------------------------------------------------------------

Sink = Callable[[NDArray[np.void], NDArray[np.void]], None]


@contextmanager
def _rows(path: str | None) -> Iterator[Sink | None]:
    """Write the rows of the accesses to a Parquet file as they come; whole or not at all."""
    if path is None:
        yield None
        return
    if not path.lower().endswith((".parquet", ".pq")):
        raise ConfigError(f"{path}: rows of accesses go to a .parquet file")
    try:
        pa, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise ModelDependencyError(
            "Parquet files need pyarrow: pip install pyarrow"
        ) from None
    kinds, places = pa.array([kind.name for kind in Access]), pa.array([w.name for w in Where])
    text = pa.dictionary(pa.uint8(), pa.string())
    schema = pa.schema(
        {
            "page": pa.uint64(),
            "access": text,
            "order": pa.uint8(),
            "where": text,
            "refs": pa.uint8(),
        }
    )

    with (
        Output(fspath(path)) as output,
        parquet.ParquetWriter(pa.PythonFile(output, "w"), schema, compression="zstd") as writer,
    ):

        def write(records: NDArray[np.void], outcome: NDArray[np.void]) -> None:
            def column(array: NDArray[np.void], name: str, labels: Any = None) -> Any:
                values = np.ascontiguousarray(array[name])
                if labels is None:
                    return pa.array(values)
                return pa.DictionaryArray.from_arrays(values, labels)

            columns = [
                column(records, "page"),
                column(records, "access", kinds),
                column(records, "order"),
                column(outcome, "where", places),
                column(outcome, "refs"),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))

        yield write


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Show accesses and their rate on standard error, if somebody is looking."""
    if quiet or not sys.stderr.isatty():
        yield lambda n: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} accesses"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda n: progress.advance(task, n)


# --- tables ---------------------------------------------------------------------------------


def _describe(model: Model) -> str:
    levels = {"L1": model.l1, "L1I": model.l1i, "L2": model.l2}
    sizes = [
        f"{name} {'+'.join(str(tlb.entries) for tlb in tlbs)}"
        for name, tlbs in levels.items()
        if tlbs
    ]
    walk = model.walk
    dimensions = f"{len(walk.stage1)} by {len(walk.stage2)}" if walk.stage1 else len(walk.stage2)
    return f"{', '.join(sizes)}; walks of {dimensions} levels, {walk.references} references"


def _list_models(*, as_json: bool) -> None:
    if as_json:
        document = {name: _describe(model) for name, model in presets().items()}
        print(json.dumps({"schema": "gmap-models/1", "models": document}, indent=2))
        return
    for name, model in presets().items():
        print(f"{name:8} {_describe(model)}")


def _print(trace: str, result: Replay) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    name = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in trace)
    title = escape(f"{name} through {result.model.name}")
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
    style: dict[str, Any] = {"title_justify": "left", "title_style": "bold", "box": None}
    c = result.counters
    table = Table(title=title, pad_edge=False, **style)
    table.add_column("counter")
    for heading in ("count", "per 1000 accesses"):
        table.add_column(heading, justify="right", no_wrap=True)
    unused = [] if result.model.walk.nested else ["nested_hits", "nested_misses"]
    for name, count in c.items():
        if name not in unused and (name != "unmapped" or count):
            share = f"{1000 * count / c['accesses']:,.2f}" if c["accesses"] else "-"
            table.add_row(name.replace("_", " "), f"{count:,}", share)
    console.print(table)
    caches = Table(title="\ncaches", pad_edge=False, **style)
    for heading in ("level", "name"):
        caches.add_column(heading)
    columns = ("entries", "occupied", "hits", "misses", "evictions", "removals")
    for heading in columns:
        caches.add_column(heading, justify="right", no_wrap=True)
    for row in result.caches:
        numbers = (f"{int(row[name]):,}" for name in columns)
        caches.add_row(row["level"], escape(row["name"]), *numbers)
    console.print(caches)
    compiled = result.compile_seconds
    console.print(
        f"\n{result.accesses_per_second / 1e6:,.1f} million accesses/s"
        + (f", after {compiled:.1f} s of compiling" if compiled else "")
    )
