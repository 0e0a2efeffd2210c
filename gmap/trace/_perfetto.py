"""A timeline in the Trace Event Format, which Perfetto and Chrome show. Floor 4.

Format: "Trace Event Format" (the Chromium project); https://ui.perfetto.dev opens it. Complete
events have phase X, counters C, names of tracks M. Times are microseconds with decimals.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from gmap.trace._events import (
    COUNTER,
    EVENT,
    arrays_of,
    check_names,
    check_tracks,
    check_unit,
    json_file,
)

__all__ = ["write_perfetto"]

_PID = 1
_LINES = 4096


def _in_ns(time: int) -> str:
    return f"{time // 1000}.{time % 1000:03}"


def write_perfetto(
    path: str | PathLike[str],
    events: NDArray[np.void] | Iterable[NDArray[np.void]],
    names: Sequence[str],
    *,
    tracks: Mapping[int, str] | None = None,
    counters: NDArray[np.void] | Iterable[NDArray[np.void]] = (),
    unit: str = "ns",
    title: str = "gmap",
) -> None:
    """Write events and counters as a timeline for ui.perfetto.dev or chrome://tracing.

    Parameters
    ----------
    path : path-like
        .json or .json.gz; written whole or not at all.
    events : array or iterable of arrays
        dtype `gmap.trace.EVENT`. Arrays are written one after another, so that any number of
        events takes bounded memory.
    names : sequence of str
        What the names of events and counters are indices into.
    tracks : mapping of int to str, optional
        Names of tracks.
    counters : array or iterable of arrays
        dtype `gmap.trace.COUNTER`.
    unit : str
        What times are counted in: "ns", or "accesses", which are shown as microseconds since
        viewers know nothing else.
    title : str
        Name of the process that is shown.

    Raises
    ------
    AddressError, AddressTypeError, ConfigError
        A name without text, a time beyond 2**64, another dtype, unit or file name.
    TraceWriteError
        The file could not be written.

    Examples
    --------
    >>> import json
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from gmap.trace import EVENT
    >>> events = np.array([(0, 1500, 250, 1)], EVENT)
    >>> with TemporaryDirectory() as folder:
    ...     write_perfetto(f"{folder}/t.json", events, ["walk"], tracks={1: "vCPU 0"})
    ...     json.loads(Path(folder, "t.json").read_text())["traceEvents"][-1]
    {'ph': 'X', 'pid': 1, 'tid': 1, 'name': 'walk', 'ts': 1.5, 'dur': 0.25}
    """
    texts = [json.dumps(name) for name in check_names(names, "names")]
    time = _in_ns if check_unit(unit) == "ns" else str
    lines = _lines(texts, events, check_tracks(tracks), counters, time, title)
    with json_file(path) as file:
        other = json.dumps({"unit": unit})
        file.write(f'{{"displayTimeUnit":"ns","otherData":{other},"traceEvents":[\n'.encode())
        file.write(next(lines).encode())
        while some := list(islice(lines, _LINES)):
            file.write((",\n" + ",\n".join(some)).encode())
        file.write(b"\n]}\n")


def _lines(
    texts: list[str],
    events: NDArray[np.void] | Iterable[NDArray[np.void]],
    tracks: Mapping[int, str],
    counters: NDArray[np.void] | Iterable[NDArray[np.void]],
    time: Callable[[int], str],
    title: str,
) -> Iterator[str]:
    """Yield the JSON of one event after another; the first one is always there."""
    for kind, tid, name in (
        ("process_name", 0, title),
        *(("thread_name", track, tracks[track]) for track in tracks),
    ):
        args = {"name": name}
        yield json.dumps({"ph": "M", "pid": _PID, "tid": tid, "name": kind, "args": args})
    for array in arrays_of(counters, COUNTER, len(texts)):
        for index, at, value in array.tolist():
            yield (
                f'{{"ph":"C","pid":{_PID},"tid":0,"name":{texts[index]},"ts":{time(at)},'
                f'"args":{{"value":{value!r}}}}}'
            )
    for array in arrays_of(events, EVENT, len(texts)):
        for index, start, duration, track in array.tolist():
            yield (
                f'{{"ph":"X","pid":{_PID},"tid":{track},"name":{texts[index]},'
                f'"ts":{time(start)},"dur":{time(duration)}}}'
            )
