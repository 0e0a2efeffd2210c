"""A flame graph over time in speedscope's own format. Floor 4.

Format: https://www.speedscope.app/file-format-schema.json. Each track is an evented profile,
whose events open and close frames in the order of time, one inside another.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from os import PathLike
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gmap.errors import ConfigError
from gmap.trace._events import (
    EVENT,
    check_names,
    check_rows,
    check_tracks,
    check_unit,
    json_file,
)

__all__ = ["write_speedscope"]

SCHEMA: Final = "https://www.speedscope.app/file-format-schema.json"
_UNITS = {"ns": "nanoseconds", "accesses": "none"}
_LINES = 4096


def write_speedscope(
    path: str | PathLike[str],
    events: NDArray[np.void],
    names: Sequence[str],
    *,
    tracks: Mapping[int, str] | None = None,
    unit: str = "ns",
    title: str = "gmap",
) -> None:
    """Write events as a profile for www.speedscope.app: a flame graph for each track.

    Parameters
    ----------
    path : path-like
        .json or .json.gz; written whole or not at all.
    events : array
        dtype `gmap.trace.EVENT`, in any order. Two events of a track lie one inside the other,
        or one after the other.
    names : sequence of str
        What the names of events are indices into.
    tracks : mapping of int to str, optional
        Names of tracks.
    unit : str
        What times are counted in: "ns" or "accesses".
    title : str
        Name of the profile.

    Raises
    ------
    ConfigError
        Two events of a track overlap in part; another unit or file name.
    AddressError, AddressTypeError
        A name without text, a time beyond 2**64, another dtype.
    TraceWriteError
        The file could not be written.

    Examples
    --------
    >>> import json
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> events = np.array([(0, 100, 50, 0), (1, 110, 20, 0)], EVENT)
    >>> with TemporaryDirectory() as folder:
    ...     write_speedscope(f"{folder}/t.json", events, ["miss", "walk"])
    ...     profile = json.loads(Path(folder, "t.json").read_text())["profiles"][0]
    >>> [(event["type"], event["at"]) for event in profile["events"]]
    [('O', 100), ('O', 110), ('C', 130), ('C', 150)]
    """
    texts = check_names(names, "names")
    check_rows(events, EVENT, len(texts))
    value_unit = _UNITS[check_unit(unit)]
    named = check_tracks(tracks)
    # By track, then by time, and an event before those inside it.
    order = np.lexsort(
        (np.iinfo(np.uint64).max - events["duration"], events["start"], events["track"])
    )
    events = events[order]
    numbers, firsts = np.unique(events["track"], return_index=True)
    with json_file(path) as file:
        shared = json.dumps({"frames": [{"name": name} for name in texts]})
        head = f'{{"$schema":"{SCHEMA}","name":{json.dumps(title)},"exporter":"gmap",'
        file.write(f'{head}"shared":{shared},"profiles":['.encode())
        groups = np.split(events, firsts[1:]) if len(events) else []
        for i, (number, rows) in enumerate(zip(numbers.tolist(), groups, strict=True)):
            name = json.dumps(named.get(number, f"track {number}"))
            ends = rows["start"] + rows["duration"]
            file.write(
                f'{"," if i else ""}\n{{"type":"evented","name":{name},"unit":"{value_unit}",'
                f'"startValue":{int(rows["start"][0])},"endValue":{int(ends.max())},'
                '"events":[\n'.encode()
            )
            first = True
            lines = _lines(rows, number)
            while some := list(islice(lines, _LINES)):
                file.write((("" if first else ",\n") + ",\n".join(some)).encode())
                first = False
            file.write(b"\n]}")
        file.write(b"\n]}\n")


def _lines(rows: NDArray[np.void], track: int) -> Iterator[str]:
    """Yield the opening and closing of each event of one track."""
    open_frames: list[tuple[int, int]] = []
    for name, start, duration, _ in rows.tolist():
        end = start + duration
        while open_frames and open_frames[-1][0] <= start:
            at, frame = open_frames.pop()
            yield f'{{"type":"C","frame":{frame},"at":{at}}}'
        if open_frames and open_frames[-1][0] < end:
            raise ConfigError(
                f"track {track}: an event from {start} to {end} begins inside one that ends at "
                f"{open_frames[-1][0]}: put events that overlap in part on tracks of their own"
            )
        open_frames.append((end, name))
        yield f'{{"type":"O","frame":{name},"at":{start}}}'
    for at, frame in reversed(open_frames):
        yield f'{{"type":"C","frame":{frame},"at":{at}}}'
