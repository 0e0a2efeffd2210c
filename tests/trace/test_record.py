"""Recording programs: with a fake Valgrind everywhere, and with a real one where there is one."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gmap.errors import AddressError, ConfigError, TraceFormatError
from gmap.trace import (
    Access,
    LackeyScanner,
    Progress,
    RecordError,
    TraceDependencyError,
    TraceWriteError,
    _model,
    _record,
    read,
    record,
)

REAL_VALGRIND = shutil.which("valgrind")


@pytest.fixture(params=["fake", *(["real"] if REAL_VALGRIND else [])])
def valgrind(request: pytest.FixtureRequest) -> str:
    """Each Valgrind there is; the fake one is always there."""
    if request.param == "fake":
        request.getfixturevalue("fake_valgrind")
    return str(request.param)


def test_a_tiny_program(valgrind: str, out: Path) -> None:
    result = record(["true", "-x"], out / "t.csv.xz", note="nothing")
    trace = read(out / "t.csv.xz")
    assert os.listdir(out) == ["t.csv.xz"]
    assert (result.exit_code, result.stopped) == (0, "")
    assert result.ending() == "the program exited with 0"
    assert result.records == len(trace) > 0
    assert trace.only(Access.X).footprint() > 0
    assert trace.only(Access.W).footprint() > 0
    meta = trace.meta
    assert (meta["program"], meta["command"], meta["note"]) == ("true", "true -x", "nothing")
    assert (meta["exit"], meta["filter"]) == ("0", "64")
    assert meta["tool"].startswith("valgrind-")
    assert int(meta["accesses"]) == result.accesses >= len(trace)
    assert int(meta["instructions"]) > 0
    assert "stopped" not in meta


def test_the_program_keeps_its_streams(valgrind: str, out: Path) -> None:
    """Through a process of its own, so that the streams are real ones."""
    code = (
        "from gmap.trace import record; import sys; "
        f"sys.exit(record(['cat', '-', '/missing'], {str(out / 't.csv')!r}).exit_code)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], input=b"in and out", capture_output=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == b"in and out"
    assert b"/missing" in done.stderr
    assert read(out / "t.csv").meta["exit"] == "1"


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".csv.xz", ".parquet"])
def test_every_format(fake_valgrind: Path, out: Path, suffix: str) -> None:
    record(["true"], out / f"t{suffix}", window=2)
    trace = read(out / f"t{suffix}")
    assert trace.footprint() == 1002
    assert trace.meta["filter"] == "2"
    assert trace.meta["accesses"] == "3000"
    assert trace.meta["modifies"] == "1000"
    assert trace.pages[:3].tolist() == [0x400, 0x10000, 0x1FFF000]


def test_a_window_of_zero_keeps_every_access(fake_valgrind: Path, out: Path) -> None:
    assert record(["true"], out / "t.csv", window=0).records == 3000


def test_a_program_that_fails(fake_valgrind: Path, out: Path) -> None:
    result = record([sys.executable, "-c", "raise SystemExit(7)"], out / "t.csv")
    assert result.exit_code == 7
    assert read(out / "t.csv").meta["exit"] == "7"


def test_a_program_that_crashes(misbehave: Callable[[str], None], out: Path) -> None:
    misbehave("crash")
    result = record(["true"], out / "t.csv")
    assert result.exit_code == -signal.SIGSEGV
    assert result.ending() == "the program was ended by SIGSEGV"
    assert read(out / "t.csv").meta["exit"] == "SIGSEGV"
    assert read(out / "t.csv").footprint() == 1002


def test_a_real_crash(valgrind: str, out: Path) -> None:
    if valgrind == "real":
        command = ["sh", "-c", "kill -SEGV $$"]
        assert record(command, out / "t.csv").exit_code == -signal.SIGSEGV
    else:
        assert record(["false"], out / "t.csv").exit_code == 1


def test_max_seconds(misbehave: Callable[[str], None], out: Path) -> None:
    misbehave("endless")
    started = time.monotonic()
    result = record(["true"], out / "t.csv", max_seconds=1.5)
    assert 1.5 <= time.monotonic() - started < 20
    assert result.stopped == read(out / "t.csv").meta["stopped"] == "max-seconds"
    assert result.ending() == "the program was stopped by --max-seconds"
    assert len(read(out / "t.csv")) > 1000


def test_max_records(misbehave: Callable[[str], None], out: Path) -> None:
    misbehave("endless")
    result = record(["true"], out / "t.csv", max_records=5000)
    assert result.records == len(read(out / "t.csv")) == 5000
    assert result.stopped == "max-records"
    pages = read(out / "t.csv").pages
    assert len(np.unique(pages)) > 4000


def test_a_program_that_ignores_sigterm(
    misbehave: Callable[[str], None], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    misbehave("stubborn")
    monkeypatch.setattr(_record, "_GRACE_SECONDS", 0.2)
    result = record(["true"], out / "t.csv", max_seconds=1.5)
    assert result.exit_code == -signal.SIGKILL
    assert len(read(out / "t.csv")) > 1000


def test_a_child_that_keeps_the_pipe_open(misbehave: Callable[[str], None], out: Path) -> None:
    misbehave("daemon")
    started = time.monotonic()
    assert record(["true"], out / "t.csv").exit_code == 0
    assert time.monotonic() - started < 15
    assert read(out / "t.csv").footprint() == 1002


def test_an_interruption_leaves_nothing(
    misbehave: Callable[[str], None], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    misbehave("interrupted")
    monkeypatch.setenv("FAKE_SIGNAL", "SIGINT")
    with pytest.raises(KeyboardInterrupt):
        record(["true"], out / "t.csv")
    assert os.listdir(out) == []
    result = record(["true"], out / "t.csv", keep_partial=True)
    assert result.stopped == read(out / "t.csv").meta["stopped"] == "interrupted"
    assert result.ending() == "the recording was interrupted"


class InterruptedScanner(LackeyScanner):
    """A scanner that is interrupted with records in its hands."""

    times = 0

    def feed(self, data: bytes | bytearray | memoryview) -> _model.Records:
        records = super().feed(data)
        while self.accesses and InterruptedScanner.times:
            InterruptedScanner.times -= 1
            signal.raise_signal(signal.SIGINT)
        return records


def test_an_interruption_loses_nothing_that_was_read(
    fake_valgrind: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(["true"], out / "whole.csv", window=0)
    whole = read(out / "whole.csv").records()
    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(_record, "LackeyScanner", InterruptedScanner)
    monkeypatch.setattr(InterruptedScanner, "times", 1)
    result = record(["true"], out / "t.csv", window=0, keep_partial=True)
    assert result.stopped == "interrupted"
    kept = read(out / "t.csv").records()
    assert result.accesses == result.records == len(kept) > 0
    assert kept.tolist() == whole[: len(kept)].tolist()
    assert signal.getsignal(signal.SIGINT) == handler


def test_a_second_interruption_gives_up(
    misbehave: Callable[[str], None], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    misbehave("stubborn")
    monkeypatch.setattr(_record, "LackeyScanner", InterruptedScanner)
    monkeypatch.setattr(InterruptedScanner, "times", 2)
    with pytest.raises(KeyboardInterrupt):
        record(["true"], out / "t.csv", keep_partial=True)
    assert os.listdir(out) == []


def test_an_interruption_while_the_trace_is_written(
    fake_valgrind: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(now: Progress) -> None:
        if now.phase == "writing":
            signal.raise_signal(signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        record(["true"], out / "t.csv.xz", keep_partial=True, progress=interrupt)
    assert os.listdir(out) == []
    assert signal.getsignal(signal.SIGINT) == handler


def test_recording_in_another_thread(fake_valgrind: Path, out: Path) -> None:
    thread = threading.Thread(target=record, args=(["true"], out / "t.csv"))
    thread.start()
    thread.join()
    assert read(out / "t.csv").footprint() == 1002


def test_a_program_that_becomes_another_one(
    misbehave: Callable[[str], None], out: Path
) -> None:
    misbehave("exec")
    started = time.monotonic()
    result = record(["true"], out / "t.csv", max_seconds=1.5)
    assert time.monotonic() - started < 20
    assert result.stopped == "max-seconds"
    assert read(out / "t.csv").footprint() == 1002


@pytest.mark.parametrize(
    ("mode", "error", "message"),
    [
        ("rubbish", TraceFormatError, "lackey's output: line 3003: kind"),
        ("half", TraceFormatError, "lackey's output: line 3003: .*truncated"),
        ("refuses", RecordError, "no access .*exited with 3.*cannot run this"),
    ],
)
def test_a_valgrind_that_fails(
    misbehave: Callable[[str], None],
    out: Path,
    mode: str,
    error: type[Exception],
    message: str,
) -> None:
    misbehave(mode)
    with pytest.raises(error, match=message):
        record(["true"], out / "t.csv")
    assert os.listdir(out) == []


def test_without_valgrind(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true = shutil.which("true")
    assert true is not None
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RecordError) as caught:
        record([true], out / "t.csv")
    message = str(caught.value)
    for remedy in ("apt install", "dnf install", "macOS", "bundled", "CSV"):
        assert remedy in message
    assert "\n" not in message
    assert os.listdir(out) == []


def test_what_cannot_work_is_refused_before_the_program_runs(
    fake_valgrind: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = out / "ran"
    command = ["touch", str(ran)]
    with pytest.raises(RecordError, match="missing-program: no such program"):
        record(["missing-program"], out / "t.csv")
    with pytest.raises(ConfigError, match="no command"):
        record([], out / "t.csv")
    with pytest.raises(ConfigError, match="end the name in"):
        record(command, out / "t.txt")
    with pytest.raises(TraceWriteError, match="make the directory first"):
        record(command, out / "missing" / "t.csv")
    with pytest.raises(AddressError, match="max_records"):
        record(command, out / "t.csv", max_records=0)
    for bad in (0, -1, float("nan")):
        with pytest.raises(AddressError, match="max_seconds"):
            record(command, out / "t.csv", max_seconds=bad)
    with pytest.raises(AddressError, match="window"):
        record(command, out / "t.csv", window=-1)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(TraceDependencyError, match="pip install"):
        record(command, out / "t.parquet")
    assert os.listdir(out) == []


class FullSpool:
    """A temporary file on a disk that is full."""

    def __init__(self, **_: Any) -> None:
        self.closed = False

    def write(self, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        self.closed = True


def test_a_disk_that_fills_up(
    misbehave: Callable[[str], None], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    misbehave("endless")
    monkeypatch.setattr(tempfile, "TemporaryFile", FullSpool)
    with pytest.raises(TraceWriteError, match=r"t\.csv: No space left on device") as caught:
        record(["true"], out / "t.csv")
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(out) == []


def test_a_limit_of_file_sizes(fake_valgrind: Path, out: Path) -> None:
    """A real failure of the file system, in a process of its own that it stays in."""
    code = (
        "import resource, sys; from gmap.cli import main; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); "
        f"sys.exit(main(['trace', 'record', '-o', {str(out / 't.csv')!r}, '--', 'true']))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, check=False, text=True
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"gmap trace: {out / 't.csv'}: File too large; no trace was written: raise the limit of "
        "the file size (ulimit -f) or write less\n"
    )
    assert os.listdir(out) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a full device")
def test_a_full_device(fake_valgrind: Path) -> None:
    with pytest.raises(TraceWriteError, match="/dev/full: No space left on device"):
        record(["true"], "/dev/full")
    assert not os.path.isfile("/dev/full")


def test_progress(misbehave: Callable[[str], None], out: Path) -> None:
    misbehave("endless")
    seen: list[Progress] = []
    record(["true"], out / "t.csv", max_seconds=1.5, progress=seen.append)
    assert [now.phase for now in seen[-2:]] == ["recording", "writing"]
    assert 3 <= len(seen) < 20
    assert seen[0].records < seen[-1].records
    assert seen[0].accesses <= seen[-1].accesses


def test_progress_that_raises_leaves_nothing(misbehave: Callable[[str], None], out: Path) -> None:
    misbehave("endless")

    def stop(now: Progress) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        record(["true"], out / "t.csv", progress=stop)
    assert os.listdir(out) == []


def test_no_child_and_no_pipe_is_left(
    fake_valgrind: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def popen(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(real(*args, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", popen)
    before = set(os.listdir("/dev/fd"))
    record(["true"], out / "t.csv")
    assert set(os.listdir("/dev/fd")) == before
    assert [process.returncode for process in started] == [0, 0]  # its version, and the program
