"""`gmap trace record` and `gmap trace info`, as a person or a script meets them."""

import json
import lzma
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gmap.cli import main
from gmap.trace import PageTrace, read, write

MAIN = "import sys; from gmap.cli import main; sys.exit(main())"


@pytest.fixture
def trace(out: Path) -> Path:
    path = out / "demo.csv"
    meta = {"program": "demo", "command": "demo \x1b[31m \udcff", "note": "two\nlines"}
    write(path, PageTrace([0x400, 0x401, 0x7F0, 0x400], [2, 2, 1, 2], meta=meta))
    return path


def failure(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error; nothing is on standard output."""
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("gmap trace: ")
    assert shown.err.count("\n") == 1
    return shown.err


# --- info -----------------------------------------------------------------------------------


def test_info(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "info", str(trace)]) == 0
    shown = capsys.readouterr().out
    assert "records    4 (0 reads, 1 writes, 3 fetches)" in shown
    assert "footprint  3 pages, 0.0 MiB (1 written, 2 fetched from)" in shown
    assert "addresses  0x400000 to 0x7f0fff, 2 regions" in shown
    assert "\x1b" not in shown
    assert "two\\nlines" in shown


def test_info_as_json(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "info", "--json", str(trace)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "gmap-trace-info/1"
    assert (document["records"], document["footprint_pages"]) == (4, 3)
    assert document["largest_regions"][0] == {"page": 0x400, "pages": 2}
    assert document["meta"]["program"] == "demo"


def test_info_lists_the_bundled_traces(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "info"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert main(["trace", "info", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "gmap-trace-list/1"
    assert len(document["traces"]) == len(listed) == 2
    for name in document["traces"]:
        assert main(["trace", "info", name]) == 0
        assert "footprint" in capsys.readouterr().out


def test_info_filters_lackey_text(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = out / "log"
    path.write_text(" L 1000,4\n" * 9)
    for window, records in (("0", 9), ("64", 1)):
        assert main(["trace", "info", "--json", "--filter", window, str(path)]) == 0
        assert json.loads(capsys.readouterr().out)["records"] == records


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("page,access\n1,Q\n", 1, "bad.csv: line 2: access"),
        (None, 2, "bad.csv: No such file"),
    ],
)
def test_info_on_a_bad_file(
    out: Path, capsys: pytest.CaptureFixture[str], text: str | None, code: int, message: str
) -> None:
    if text is not None:
        (out / "bad.csv").write_text(text)
    assert main(["trace", "info", str(out / "bad.csv")]) == code
    assert message in failure(capsys)


def test_info_on_a_truncated_file(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = trace.with_suffix(".csv.xz")
    packed.write_bytes(lzma.compress(trace.read_bytes())[:-20])
    assert main(["trace", "info", str(packed)]) == 1
    assert re.search(r"demo\.csv\.xz: line \d+: .*truncated", failure(capsys))


def test_info_without_pyarrow(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(out / "t.parquet", PageTrace([1], [0]))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["trace", "info", str(out / "t.parquet")]) == 2
    assert "pip install pyarrow" in failure(capsys)


def test_an_empty_trace_has_no_addresses(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(out / "e.csv", PageTrace([], []))
    assert main(["trace", "info", str(out / "e.csv")]) == 0
    assert "addresses" not in capsys.readouterr().out


def test_a_reader_that_has_seen_enough(trace: Path) -> None:
    command = f"{sys.executable} -P -c '{MAIN}' trace info {trace} | true"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


# --- record ---------------------------------------------------------------------------------


def test_record(fake_valgrind: Path, out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = out / "t.csv.xz"
    assert main(["trace", "record", "-o", str(path), "--", "echo", "-n", "--", "hi"]) == 0
    shown = capfd.readouterr()
    assert shown.out == "-- hi"
    trace = read(path)
    assert f"{len(trace):,} records of 3,000 page accesses" in shown.err
    assert "exited with 0" in shown.err
    assert trace.footprint() == 1002
    assert trace.meta["command"] == "echo -n -- hi"


def test_record_without_the_dashes_and_without_a_name(
    fake_valgrind: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(out)
    assert main(["trace", "record", "-q", "--filter", "0", "--note", "n", "true"]) == 0
    assert os.listdir() == ["true.csv.xz"]
    assert len(read("true.csv.xz")) == 3000
    assert read("true.csv.xz").meta["note"] == "n"


def test_the_exit_code_tells_of_a_failed_program(
    fake_valgrind: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trace", "record", "-o", str(out / "t.csv"), "--", "false"]) == 1
    assert "the program exited with 1" in failure(capsys)
    assert (out / "t.csv").exists()


def test_a_limit_is_no_failure(
    misbehave: Callable[[str], None], out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    misbehave("endless")
    arguments = ["-o", str(out / "t.csv"), "--max-seconds", "9", "--max-records", "100", "true"]
    assert main(["trace", "record", *arguments]) == 0
    assert "t.csv: 100 records" in failure(capsys)


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_an_interruption(
    misbehave: Callable[[str], None],
    out: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    code: int,
) -> None:
    misbehave("interrupted")
    monkeypatch.setenv("FAKE_SIGNAL", name)
    handler = signal.getsignal(signal.SIGTERM)
    arguments = ["trace", "record", "-o", str(out / "t.csv")]
    assert main([*arguments, "true"]) == code
    assert f"ended by {name}, no trace was written" in failure(capsys)
    assert os.listdir(out) == []
    assert main([*arguments, "--keep-partial", "true"]) == 1
    assert "interrupted" in failure(capsys)
    assert os.listdir(out) == ["t.csv"]
    assert signal.getsignal(signal.SIGTERM) == handler


def test_a_signal_that_is_ignored_ends_nothing(
    misbehave: Callable[[str], None],
    out: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As under nohup, when the terminal is closed."""
    misbehave("interrupted")
    monkeypatch.setenv("FAKE_SIGNAL", "SIGHUP")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    arguments = ["trace", "record", "-o", str(out / "t.csv"), "--max-seconds", "2"]
    assert main([*arguments, "true"]) == 0
    assert "stopped by --max-seconds" in failure(capsys)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_record_without_valgrind(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["trace", "record", "-o", str(out / "t.csv"), "--", sys.executable]) == 2
    assert "apt install valgrind" in failure(capsys)


def test_record_on_a_full_disk(fake_valgrind: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if os.path.exists("/dev/full"):
        assert main(["trace", "record", "-o", "/dev/full", "--", "true"]) == 1
        assert "/dev/full: No space left on device" in failure(capsys)
    assert main(["trace", "record", "-o", "/missing/t.csv", "--", "true"]) == 1
    assert "make the directory first" in failure(capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--filter", "-1", "true"],
        ["--filter", "65537", "true"],
        ["--max-seconds", "0", "true"],
        ["--max-seconds", "nan", "true"],
        ["--max-records", "0", "true"],
        ["-o", "t.txt", "true"],
        ["-o", "t.csv", "no-such-program"],
    ],
)
def test_usage_errors(
    fake_valgrind: Path,
    out: Path,
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(out)
    try:
        code = main(["trace", "record", *arguments])
    except SystemExit as stop:
        code = int(str(stop.code))
    assert code == 2
    assert capsys.readouterr().err != ""
    assert os.listdir(out) == []


def test_progress_on_a_terminal(misbehave: Callable[[str], None], out: Path) -> None:
    """Standard error is a terminal here, so a line moves on it."""
    import pty

    misbehave("endless")
    ours, theirs = pty.openpty()
    arguments = ["trace", "record", "-o", str(out / "t.csv"), "--max-seconds", "2", "true"]
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", MAIN, *arguments],
        stderr=theirs,
        stdout=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        seen += piece
    os.close(ours)
    assert process.communicate()[0] == b""
    assert process.returncode == 0
    assert b"recording: " in seen


@pytest.mark.parametrize("command", [["trace"], ["trace", "record"], ["trace", "info"]])
def test_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    assert "trace" in capsys.readouterr().out
