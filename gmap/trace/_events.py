"""What happened in a replay, as rows for a timeline viewer. Floor 4."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gmap.errors import AddressError, AddressTypeError, ConfigError
from gmap.trace._files import Output, compressing

__all__ = ["COUNTER", "EVENT", "UNITS"]

#: One event: an index into the names, when it began and how long it took (in ns, or counted in
#: accesses), and the track it is shown on.
EVENT: Final = np.dtype(
    [("name", np.uint32), ("start", np.uint64), ("duration", np.uint64), ("track", np.uint16)],
    align=True,
)
#: One value of a counter: an index into the names, the time, and the value from then on.
COUNTER: Final = np.dtype(
    [("name", np.uint32), ("time", np.uint64), ("value", np.float64)], align=True
)
#: What start and duration are counted in.
UNITS: Final = ("ns", "accesses")


def check_unit(unit: str) -> str:
    """Return the unit, refusing one no viewer can be told of."""
    if unit not in UNITS:
        raise ConfigError(f"unit {unit!r} is not known: use one of {', '.join(UNITS)}")
    return unit


def check_names(names: Sequence[str], what: str) -> list[str]:
    """Return names as a list, refusing what is no text."""
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{what} must be a sequence of str, got {names!r}")
    return list(names)


def check_tracks(tracks: Mapping[int, str] | None) -> dict[int, str]:
    """Return names by track, refusing numbers no event can have."""
    last = np.iinfo(EVENT["track"]).max
    for number in tracks or {}:
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= last:
            raise ConfigError(f"track {number!r} must be an integer from 0 to {last}")
    check_names(list((tracks or {}).values()), "names of tracks")
    return dict(tracks or {})


def check_rows(rows: NDArray[np.void], dtype: np.dtype[np.void], n_names: int) -> NDArray[np.void]:
    """Return events or counters, refusing another dtype, unknown names and times beyond 2**64."""
    kind = "EVENT" if dtype == EVENT else "COUNTER"
    if not isinstance(rows, np.ndarray) or rows.dtype != dtype or rows.ndim != 1:
        got = getattr(rows, "dtype", type(rows).__name__)
        raise AddressTypeError(
            f"expected a one-dimensional array of dtype gmap.trace.{kind}, got {got}"
        )
    if len(rows) and int(rows["name"].max()) >= n_names:
        raise AddressError(f"name {int(rows['name'].max())} is out of range: {n_names} were given")
    if dtype == EVENT:
        wraps = rows["start"] + rows["duration"] < rows["start"]
        if wraps.any():
            at = int(np.argmax(wraps))
            raise AddressError(
                f"event {at}: start {int(rows['start'][at])} and duration "
                f"{int(rows['duration'][at])} end beyond 2**64"
            )
    elif not np.isfinite(rows["value"]).all():
        at = int(np.argmin(np.isfinite(rows["value"])))
        raise AddressError(f"counter {at}: the value {rows['value'][at]} is not finite")
    return rows


def arrays_of(
    rows: NDArray[np.void] | Iterable[NDArray[np.void]], dtype: np.dtype[np.void], n_names: int
) -> Iterator[NDArray[np.void]]:
    """Yield what may be one array or many, each checked."""
    for array in (rows,) if isinstance(rows, np.ndarray) else rows:
        yield check_rows(array, dtype, n_names)


@contextmanager
def json_file(path: str | PathLike[str]) -> Iterator[Any]:
    """Open a file for JSON, compressed if its name ends in .gz; whole or not at all."""
    name = os.fsdecode(path)
    if not name.lower().endswith((".json", ".json.gz")) and (
        os.path.isfile(path) or not os.path.exists(path)
    ):
        raise ConfigError(f"{name}: end the name in .json or .json.gz")
    with Output(path) as output:
        stream = compressing(output)
        yield stream
        if stream is not output:
            stream.close()
