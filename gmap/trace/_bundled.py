"""The traces that come with this package. Floor 4. `data/README.md` tells how each was made."""

from os import PathLike, fspath
from pathlib import Path
from typing import Final, NamedTuple

from gmap.trace._io import TraceFile, read
from gmap.trace._model import PageTrace

__all__ = ["Bundled", "bundled", "load"]

DATA: Final = Path(__file__).parent / "data"
_SUFFIX = ".csv.xz"


class Bundled(NamedTuple):
    """A trace that comes with this package: where it is, and one line about it.

    >>> bundled()["triad"].path.name
    'triad.csv.xz'
    """

    path: Path
    description: str


def bundled() -> dict[str, Bundled]:
    """Return the bundled traces by name.

    >>> sorted(bundled())
    ['paths', 'triad']
    """
    found = {}
    for path in sorted(DATA.glob("*" + _SUFFIX)):
        with TraceFile(path) as file:
            found[path.name.removesuffix(_SUFFIX)] = Bundled(path, file.meta.get("note", ""))
    return found


def locate(name_or_path: str | PathLike[str]) -> str:
    """Return the path of a bundled trace, or what was given if it names none."""
    given = fspath(name_or_path)
    path = DATA / (given + _SUFFIX)
    return str(path) if given == Path(given).name and path.is_file() else given


def load(name_or_path: str | PathLike[str], *, window: int | None = None) -> PageTrace:
    """Return a bundled trace by its name, or the trace in a file; see `read`.

    A bundled name wins: write ``./paths`` for a file of that name.

    >>> load("paths").meta["program"]
    'python3'
    """
    return read(locate(name_or_path), window=window)
