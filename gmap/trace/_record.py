"""Recording a real program with Valgrind's lackey. Floor 4.

Lackey prints a line an instruction and a line an access: gigabytes a second of program time.
They go through a pipe into the compiled scanner and filter; only what that keeps reaches the
disk, first into a nameless file beside the target, and from there into the target.
"""

import os
import platform
import select
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import TypeAlias

from gmap.errors import AddressError, ConfigError
from gmap.trace._errors import RecordError
from gmap.trace._format_text import lackey_meta
from gmap.trace._formats import writer_of
from gmap.trace._io import write_chunks
from gmap.trace._lackey import LackeyScanner
from gmap.trace._model import DEFAULT_WINDOW, Records
from gmap.trace._reader import Path
from gmap.trace._signals import held_back
from gmap.trace._spool import Spool

__all__ = ["MAX_RECORDS", "Progress", "Recording", "record"]

MAX_RECORDS = 50_000_000
Process: TypeAlias = subprocess.Popen[bytes]

_PIPE_BYTES = 1 << 20
_SMALL_PIECE = 1 << 16
_PAUSE_SECONDS = 0.005
_F_SETPIPE_SZ = 1031  # fcntl.F_SETPIPE_SZ, where there is one
_GRACE_SECONDS = 2.0  # from SIGTERM to SIGKILL

NO_VALGRIND = (
    "recording needs Valgrind, and no valgrind is on PATH: install it (Debian, Ubuntu: apt install "
    "valgrind; Fedora: dnf install valgrind; macOS: no current package, record in a Linux virtual "
    "machine or container), or do without: use a bundled trace (gmap trace info lists them) or a "
    "CSV file of your own (lines of page,access)"
)


@dataclass(frozen=True)
class Progress:
    """How far a recording is.

    Attributes
    ----------
    seconds : float
        Since the program was started.
    accesses : int
        Page accesses the program has made.
    records : int
        Records kept.
    phase : str
        "recording" or "writing".
    """

    seconds: float
    accesses: int
    records: int
    phase: str


@dataclass(frozen=True)
class Recording:
    """What became of a recording.

    Attributes
    ----------
    path : str
        The trace.
    records, accesses : int
        Records kept, and page accesses the program made.
    seconds : float
        How long the program ran.
    exit_code : int
        Of the program; -N if signal N ended it.
    stopped : str
        Why it was ended early: "", "max-seconds", "max-records" or "interrupted".
    """

    path: str
    records: int
    accesses: int
    seconds: float
    exit_code: int
    stopped: str

    def ending(self) -> str:
        """Return how the program ended, in words.

        >>> Recording("t.csv", 1, 1, 0.5, -11, "").ending()
        'the program was ended by SIGSEGV'
        """
        if self.stopped == "interrupted":
            return "the recording was interrupted"
        if self.stopped:
            return f"the program was stopped by --{self.stopped}"
        if self.exit_code >= 0:
            return f"the program exited with {self.exit_code}"
        return f"the program was ended by {_signal_name(-self.exit_code)}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def find_valgrind() -> str:
    """Return the path of valgrind, or say what to install."""
    found = shutil.which("valgrind")
    if found is None:
        raise RecordError(NO_VALGRIND)
    return found


def _find_program(command: Sequence[str]) -> None:
    if not command:
        raise ConfigError("no command to record: gmap trace record -o FILE -- COMMAND [ARGS]")
    if shutil.which(command[0]) is None:
        raise RecordError(f"{command[0]}: no such program on PATH, or it is not executable")


def _valgrind_version(valgrind: str) -> str:
    try:
        said = subprocess.run(
            [valgrind, "--version"], capture_output=True, text=True, timeout=30, check=False
        ).stdout.strip()
    except (OSError, ValueError, subprocess.TimeoutExpired):
        said = ""
    return said.split("\n", 1)[0] or "valgrind"


def _pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with suppress(ImportError, OSError):
        import fcntl

        fcntl.fcntl(writing, _F_SETPIPE_SZ, _PIPE_BYTES)
    return reading, writing


@contextmanager
def _traced(valgrind: str, command: Sequence[str]) -> Iterator[tuple[Process, int]]:
    """Run a program under lackey; the process, and where its trace can be read."""
    reading, writing = _pipe()
    try:
        try:
            process = subprocess.Popen(
                [
                    valgrind,
                    "--tool=lackey",
                    "--trace-mem=yes",
                    "--basic-counts=no",
                    # A forked child would write its accesses among those of its parent.
                    "--child-silent-after-fork=yes",
                    f"--log-fd={writing}",
                    *command,
                ],
                pass_fds=[writing],
            )
        except OSError as error:
            raise RecordError(f"{valgrind}: {error.strerror}") from error
        finally:
            os.close(writing)
        try:
            yield process, reading
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    finally:
        os.close(reading)


def _read_piece(reading: int, timeout: float) -> bytes | None:
    """Return what the pipe holds: b"" at its end, None if nothing came in time."""
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    if not poll.poll(timeout * 1000):
        return None
    return os.read(reading, _PIPE_BYTES)


def _end(process: Process, reading: int, check: Callable[[], None]) -> None:
    """End the program, politely at first; it cannot end while its pipe is full."""
    process.terminate()
    deadline = time.monotonic() + _GRACE_SECONDS
    while process.poll() is None:
        check()
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
        else:
            _read_piece(reading, 0.05)
            # An end of the pipe is always ready to be read.
            time.sleep(0.001)


class _Recorder:
    """One recording under way."""

    def __init__(
        self,
        scanner: LackeyScanner,
        spool: Spool,
        max_seconds: float,
        progress: Callable[[Progress], None] | None,
        check: Callable[[], None],
    ) -> None:
        self.scanner = scanner
        self.spool = spool
        self.max_seconds = max_seconds
        self.check = check
        self.started = time.monotonic()
        self._progress = progress
        self._reported = 0.0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def report(self, phase: str, every: float = 0.0) -> None:
        if self._progress is None or self.seconds - self._reported < every:
            return
        self._reported = self.seconds
        self._progress(Progress(self.seconds, self.scanner.accesses, self.spool.records, phase))

    def take(self, piece: bytes) -> None:
        self.spool.append(self.scanner.feed(piece))

    def pump(self, process: Process, reading: int) -> str:
        """Read to the end of the trace or of a limit; which limit it was."""
        while True:
            self.check()
            ended = process.poll() is not None
            piece = _read_piece(reading, min(0.1, max(0.0, self.max_seconds - self.seconds)))
            if piece:
                self.take(piece)
                if len(piece) < _SMALL_PIECE:
                    # Lackey writes line by line: woken by each, we would slow it down.
                    time.sleep(_PAUSE_SECONDS)
            elif ended:
                # The end, or a child left behind that still holds the other end of the pipe.
                return ""
            elif piece is not None:
                # The trace has ended before the program, which became another one by exec.
                time.sleep(_PAUSE_SECONDS)
            if self.spool.full:
                return "max-records"
            if self.seconds >= self.max_seconds:
                return "max-seconds"
            self.report("recording", every=0.1)

    def drain(self, reading: int) -> None:
        """Read what the program had written when it was interrupted: a pipe of it, at most."""
        room = _PIPE_BYTES
        while room > 0 and (piece := _read_piece(reading, 0)):
            self.take(piece)
            room -= len(piece)

    def run(self, process: Process, reading: int, keep_partial: bool) -> str:
        """Record until something ends it: the limit, the interruption, or nothing unusual."""
        try:
            stopped = self.pump(process, reading)
            self.check()
        except KeyboardInterrupt:
            if not keep_partial:
                raise
            stopped = "interrupted"
            self.drain(reading)
        if stopped:
            _end(process, reading, self.check)
        cut_off = bool(stopped) or process.returncode < 0
        self.spool.append(self.scanner.finish(cut_off=cut_off))
        return stopped

    def written(self) -> Iterator[Records]:
        """Yield what was recorded, as it is being written."""
        for records in self.spool.chunks():
            self.check()
            yield records
        self.check()


def _check_limits(max_seconds: float | None, max_records: int) -> float:
    if max_records < 1:
        raise AddressError(f"max_records must be at least 1, got {max_records}")
    if max_seconds is None:
        return float("inf")
    if not max_seconds > 0:
        raise AddressError(f"max_seconds must be above 0, got {max_seconds}")
    return max_seconds


def _gmap_version() -> str:
    try:
        return metadata.version("gmap")
    except metadata.PackageNotFoundError:
        return "unknown"


def _meta(
    command: Sequence[str], window: int, recorder: _Recorder, result: Recording, version: str
) -> dict[str, str]:
    exit_code = str(result.exit_code)
    if result.exit_code < 0:
        exit_code = _signal_name(-result.exit_code)
    learnt = lackey_meta(recorder.scanner)
    learnt.pop("command", None)  # in Valgrind's quoting, which no shell understands
    return {
        "program": os.path.basename(command[0]),
        "command": shlex.join(command),
        "recorded": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "recorder": f"gmap {_gmap_version()}",
        "machine": platform.machine(),
        "filter": str(window),
        **learnt,
        "tool": f"{version} lackey",
        "seconds": f"{result.seconds:.1f}",
        "exit": exit_code,
        **({"stopped": result.stopped} if result.stopped else {}),
    }


def record(
    command: Sequence[str],
    path: Path,
    *,
    window: int = DEFAULT_WINDOW,
    max_seconds: float | None = None,
    max_records: int = MAX_RECORDS,
    keep_partial: bool = False,
    note: str = "",
    progress: Callable[[Progress], None] | None = None,
) -> Recording:
    """Run a program under Valgrind's lackey and write the pages it accesses to a trace.

    The program keeps its standard input, output and error. Expect it to run some thousand times
    slower than by itself. Child processes are not recorded.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments.
    path : path-like
        The trace to write: .csv, .csv.gz, .csv.xz or .parquet. It appears once it is complete.
    window : int
        The window of the page filter; docs/traces.md says what it preserves.
    max_seconds : float, optional
        End the program after so long, and keep what was recorded.
    max_records : int
        End the program after so many records, and keep these.
    keep_partial : bool
        On a KeyboardInterrupt, keep what was recorded instead of raising it; another one
        before the trace is written is raised.
    note : str
        One line for the trace's metadata.
    progress : callable, optional
        Called some ten times a second.

    Returns
    -------
    Recording
        How the program ended and what was kept.

    Raises
    ------
    RecordError
        Valgrind or the program is missing, or did not run; says what to do.
    TraceWriteError
        The disk is full, or the trace could not be written for another reason.
    TraceFormatError
        Valgrind wrote what lackey does not write.
    ConfigError, AddressError
        The name ends in no format that can be written, or a limit makes no sense.

    Examples
    --------
    Not run as a test, since it needs Valgrind:

    >>> result = record(["sort", "words.txt"], "sort.csv.xz")  # doctest: +SKIP
    >>> result.ending()  # doctest: +SKIP
    'the program exited with 0'
    """
    command = list(command)
    _find_program(command)
    valgrind = find_valgrind()
    writer_of(path)
    version = _valgrind_version(valgrind)
    limit = _check_limits(max_seconds, max_records)
    scanner = LackeyScanner("lackey's output", window)
    with held_back() as check, closing(Spool(path, max_records)) as spool:
        recorder = _Recorder(scanner, spool, limit, progress, check)
        with _traced(valgrind, command) as (process, reading):
            stopped = recorder.run(process, reading, keep_partial)
        result = Recording(
            os.fsdecode(path),
            spool.records,
            scanner.accesses,
            recorder.seconds,
            process.returncode,
            stopped,
        )
        if not spool.records:
            raise _nothing_recorded(result, scanner)
        recorder.report("writing")
        meta = _meta(command, window, recorder, result, version)
        if note:
            meta["note"] = note
        write_chunks(path, recorder.written(), meta, n=spool.records)
    return result


def _nothing_recorded(result: Recording, scanner: LackeyScanner) -> RecordError:
    said = " | ".join(line.strip() for line in scanner.noise.splitlines()[-3:] if line.strip())
    return RecordError(
        f"valgrind recorded no access ({result.ending()})" + (f"; it said: {said}" if said else "")
    )
