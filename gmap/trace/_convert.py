"""From any format this package reads to one it writes, in bounded memory. Floor 4."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

from gmap.errors import ConfigError
from gmap.trace._formats import writer_of
from gmap.trace._io import TraceFile, write_chunks
from gmap.trace._model import Records
from gmap.trace._position import Position
from gmap.trace._reader import CHUNK_RECORDS, Path
from gmap.trace._signals import held_back
from gmap.trace._spool import Spool

__all__ = ["Conversion", "Meter", "ReadProgress", "convert", "next_token"]

_EVERY_SECONDS = 0.1


@dataclass(frozen=True)
class ReadProgress:
    """How far the reading of a trace is.

    Attributes
    ----------
    phase : str
        "reading", or "writing" once all has been read.
    records : int
        Records so far in this phase.
    seconds : float
        Since it began.
    fraction : float or None
        How much of the phase is done, 0 to 1; None if that is not known.
    """

    phase: str
    records: int
    seconds: float
    fraction: float | None


@dataclass(frozen=True)
class Conversion:
    """What became of a conversion.

    Attributes
    ----------
    path : str
        The trace written.
    records : int
        Records in it.
    seconds : float
        How long it took.
    stopped : str
        Why it ended early: "", "max-records" or "interrupted".
    position : Position
        Where it ended in the file it was made from.
    """

    path: str
    records: int
    seconds: float
    stopped: str
    position: Position


class Meter:
    """Reports progress now and then."""

    def __init__(self, progress: Callable[[ReadProgress], None] | None) -> None:
        self._progress = progress
        self._began = self._reported = time.monotonic()

    def restart(self) -> None:
        self._began = time.monotonic()

    def report(self, phase: str, records: int, fraction: float | None) -> None:
        now = time.monotonic()
        if self._progress is not None and now - self._reported >= _EVERY_SECONDS:
            self._reported = now
            self._progress(ReadProgress(phase, records, now - self._began, fraction))


def next_token(path: Path) -> str:
    """Return the token with which an unfinished conversion that wrote `path` can be gone on with.

    Raises
    ------
    ConfigError
        The trace holds none: it is whole.
    """
    with TraceFile(path) as file:
        token = file.meta.get("next")
    if token is None:
        raise ConfigError(f"{file.name}: its metadata has no 'next': nothing is left to convert")
    return token


def _written(spool: Spool, meter: Meter, check: Callable[[], None]) -> Iterator[Records]:
    """Yield what was read, as it is being written."""
    n = 0
    for part in spool.chunks():
        yield part
        check()
        n += len(part)
        meter.report("writing", n, n / spool.records)


def convert(
    source: Path,
    target: Path,
    *,
    format: str | None = None,
    window: int | None = None,
    start: Position | str | None = None,
    max_records: int | None = None,
    progress: Callable[[ReadProgress], None] | None = None,
) -> Conversion:
    """Write the trace in one file to another, in the format that one's name says.

    Memory stays bounded; the disk holds 16 bytes a record until the trace is complete, and
    then it appears under its name. A KeyboardInterrupt ends the reading: what was read until
    then is written, and its metadata has the key `next`, the token to go on with. One that comes
    while the trace is being written is raised, and nothing is written.

    Parameters
    ----------
    source : path-like
        Any trace; `-` is standard input.
    target : path-like
        .csv, .csv.gz, .csv.xz or .parquet.
    format, window, start
        As for `TraceFile`. A window given for CSV or Parquet filters these too.
    max_records : int, optional
        End after so many records; `next` is then in the metadata, too.
    progress : callable, optional
        Called some ten times a second.

    Returns
    -------
    Conversion

    Raises
    ------
    TraceFormatError, TraceWriteError, TraceDependencyError, ConfigError, OSError
        As for `read` and `write`; nothing has been written then.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from gmap.trace import bundled, read
    >>> with TemporaryDirectory() as folder:
    ...     first = convert(bundled()["triad"].path, f"{folder}/1.csv", max_records=1000)
    ...     rest = convert(bundled()["triad"].path, f"{folder}/2.csv", start=first.position)
    ...     first.stopped, len(read(f"{folder}/1.csv")), len(read(f"{folder}/2.csv"))
    ('max-records', 1000, 137001)
    """
    writer_of(target)
    if max_records is not None and max_records < 1:
        raise ConfigError(f"max_records must be at least 1, got {max_records}")
    began = time.monotonic()
    meter = Meter(progress)
    stopped = ""
    with (
        held_back() as check,
        TraceFile(source, window=window, format=format, start=start) as file,
        closing(Spool(target)) as spool,
    ):
        try:
            for part in file.chunks(CHUNK_RECORDS, max_records):
                spool.append(part)
                check()
                meter.report("reading", spool.records, file.fraction())
            if max_records == spool.records:
                stopped = "max-records"
        except KeyboardInterrupt:
            stopped = "interrupted"
        position = file.position
        meta = {key: file.meta[key] for key in file.meta if key not in ("next", "stopped")}
        if stopped:
            meta |= {"stopped": stopped, "next": position.token()}
        meter.restart()
        parts = _written(spool, meter, check)
        write_chunks(target, parts, meta, n=spool.records, order=spool.order)
    seconds = time.monotonic() - began
    return Conversion(os.fsdecode(target), spool.records, seconds, stopped, position)
