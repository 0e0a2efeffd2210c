"""The formats a trace may come in: how each is told, read and written. Floor 4.

To teach this package another one, write a function like `read_champsim` that makes a `Reader`,
and add a line to `FORMATS`: `read`, `chunks`, `convert` and the command line then know it.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gmap.errors import ConfigError, TraceFormatError
from gmap.trace._arrow import pyarrow
from gmap.trace._files import Output, Source
from gmap.trace._format_champsim import is_champsim, read_champsim
from gmap.trace._format_csv import is_csv, read_csv, write_csv
from gmap.trace._format_parquet import is_parquet, read_parquet, write_parquet
from gmap.trace._format_text import (
    is_dynamorio,
    is_lackey,
    is_perf,
    read_dynamorio,
    read_lackey,
    read_perf,
)
from gmap.trace._model import Records
from gmap.trace._position import State
from gmap.trace._reader import Meta, Path, Reader

__all__ = ["FORMATS", "Format"]

_COMPRESSED = (".gz", ".xz")


@dataclass(frozen=True)
class Format:
    """One format of traces.

    Attributes
    ----------
    name : str
        What `gmap trace info` calls it.
    suffixes : tuple of str
        Endings of file names, before .gz or .xz.
    recognises : callable
        Whether the first bytes of a file, decompressed, look like this format.
    read : callable
        From a source, a dict to fill with metadata, the filter's window and where to start, to
        a reader.
    single : bool
        Whether it lists single accesses, which go through the page filter as they are read;
        otherwise the window is None unless a filter is asked for.
    write : callable, optional
        Writes arrays, metadata, whether there are orders, and the number of records.

    Examples
    --------
    >>> [known.name for known in FORMATS if known.write]
    ['parquet', 'csv']
    """

    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[bytes], bool]
    read: Callable[[Source, Meta, Any, State], Reader]
    single: bool = True
    write: Callable[[Output, Iterator[Records], Mapping[str, str], bool, int], None] | None = None


FORMATS: tuple[Format, ...] = (
    Format("parquet", (".parquet", ".pq"), is_parquet, read_parquet, False, write_parquet),
    Format("csv", (".csv",), is_csv, read_csv, False, write_csv),
    Format("lackey", (".lackey",), is_lackey, read_lackey),
    Format("dynamorio", (".memtrace", ".drview"), is_dynamorio, read_dynamorio),
    Format("perf", (".perf",), is_perf, read_perf),
    # Last: it has no head, and is told by what its records cannot hold.
    Format("champsim", (".champsimtrace", ".champsim"), is_champsim, read_champsim),
)


def format_named(name: str) -> Format:
    """Return the format of that name."""
    for known in FORMATS:
        if known.name == name:
            return known
    names = ", ".join(known.name for known in FORMATS)
    raise ConfigError(f"format {name!r} is not known: use one of {names}")


def _by_suffix(path: Path) -> Format | None:
    """Return the format a file's name asks for."""
    name = str(path).lower()
    for suffix in _COMPRESSED:
        name = name.removesuffix(suffix)
    return next((known for known in FORMATS if name.endswith(known.suffixes)), None)


def format_of(source: Source) -> Format:
    """Return a source's format: by its name, and where that says nothing by its content."""
    named = _by_suffix(source.name)
    if named is not None:
        return named
    head = source.peek()
    for known in FORMATS:
        if known.recognises(head):
            return known
    for _ in source:  # a file damaged from the start says so itself
        break
    start = f"it starts with {head[:20]!r}" if head else "it is empty"
    names = ", ".join(known.name for known in FORMATS)
    raise TraceFormatError(
        f"{source.name}: line 1: this is in none of the formats {names}: {start}"
    )


def writer_of(path: Path) -> Format:
    """Return the format to write a file in, by its name, once it can be written.

    Raises
    ------
    ConfigError
        The name ends in nothing that can be written.
    TraceDependencyError
        The format needs a package that is not installed.
    """
    named = _by_suffix(path)
    if named is None and os.path.exists(path) and not os.path.isfile(path):
        # A device or a FIFO has no suffix to choose by. (A directory is refused later.)
        named = format_named("csv")
    if named is None or named.write is None:
        raise ConfigError(f"{path}: end the name in .csv.xz, .csv.gz, .csv or .parquet")
    if named.name == "parquet":
        if str(path).lower().endswith(_COMPRESSED):
            raise ConfigError(f"{path}: Parquet is compressed already, end the name in .parquet")
        pyarrow("pyarrow.parquet")
    return named
