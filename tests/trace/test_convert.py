"""`convert`, and `gmap trace convert` and `info`, as a person or a script meets them."""

import json
import os
import re
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from trace_samples import MAKERS, PACKERS, SINGLE, csv, made_file, sample

from gmap.cli import main
from gmap.errors import ConfigError, TraceFormatError
from gmap.trace import (
    PageTrace,
    Position,
    ReadProgress,
    Summary,
    TraceWriteError,
    chunks,
    convert,
    read,
    write,
)
from gmap.trace import _convert as module
from gmap.trace._progress import reading_shown

QUICK = "from gmap.trace import _convert; _convert._EVERY_SECONDS = 0"
MAIN = "import sys; from gmap.cli import main; sys.exit(main())"


def failure(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error; nothing is on standard output."""
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("gmap trace: ")
    assert shown.err.count("\n") == 1
    return shown.err


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C comes while the second chunk of 100 records is being put aside."""
    monkeypatch.setattr(module, "CHUNK_RECORDS", 100)
    real = module.Spool.append

    def append(self: module.Spool, records: object) -> None:
        real(self, records)  # type: ignore[arg-type]
        if self.records == 200:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(module.Spool, "append", append)


# --- the function ---------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["o.csv", "o.csv.gz", "o.csv.xz", "o.parquet"])
@pytest.mark.parametrize("kind", MAKERS)
def test_what_is_converted_is_what_is_read(tmp_path: Path, kind: str, target: str) -> None:
    path, _ = made_file(tmp_path, kind)
    result = convert(path, tmp_path / target)
    trace = read(tmp_path / target)
    assert trace == read(path)
    assert (result.records, result.stopped) == (len(trace), "")
    assert sorted(os.listdir(tmp_path)) == sorted([path.name, target])


@pytest.mark.parametrize("packed", ["", *PACKERS])
@pytest.mark.parametrize("kind", MAKERS)
def test_parts_make_the_whole(tmp_path: Path, kind: str, packed: str) -> None:
    path, _ = made_file(tmp_path, kind, 300, packed)
    parts: list[PageTrace] = []
    token: str | None = None
    while token is not None or not parts:
        result = convert(path, tmp_path / "part.csv", start=token, max_records=50)
        parts.append(read(tmp_path / "part.csv"))
        token = parts[-1].meta.get("next")
        assert (token is None) == (result.stopped == "")
        assert token is None or Position.from_token(token) == result.position
    assert len(parts) > 2
    assert all(len(part) == 50 for part in parts[:-1])
    whole = PageTrace.from_chunks([part.records() for part in parts])
    assert whole.records().tolist() == read(path).records().tolist()
    assert "next" not in parts[-1].meta


def test_orders_are_kept(tmp_path: Path) -> None:
    csv(tmp_path, " a 1.5: mem-loads: 7f00 2M\n", "t.perf")
    convert(tmp_path / "t.perf", tmp_path / "t.csv")
    assert read(tmp_path / "t.csv").records().tolist() == [(7, 0, 9)]


def test_a_page_trace_is_filtered_if_asked(tmp_path: Path) -> None:
    csv(tmp_path, "page,access\n" + "1,R\n" * 9)
    assert convert(tmp_path / "t.csv", tmp_path / "a.csv").records == 9
    assert convert(tmp_path / "t.csv", tmp_path / "b.csv", window=1).records == 1
    assert read(tmp_path / "b.csv").meta["filter"] == "1"


def test_an_interruption_keeps_what_was_read(tmp_path: Path, interrupted: None) -> None:
    path, _ = made_file(tmp_path, "lackey", 900)
    whole = read(path, window=0)
    result = convert(path, tmp_path / "a.csv", window=0)
    assert (result.stopped, result.records, result.position.records) == ("interrupted", 200, 200)
    first = read(tmp_path / "a.csv")
    assert first.meta["stopped"] == "interrupted"
    rest = PageTrace.from_chunks(list(chunks(path, start=first.meta["next"])))
    assert first.pages.tolist() + rest.pages.tolist() == whole.pages.tolist()


def test_a_second_interruption_leaves_nothing(
    tmp_path: Path, interrupted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = made_file(tmp_path, "csv", 900)
    real = module.Spool.chunks

    def again(self: module.Spool) -> object:
        os.kill(os.getpid(), signal.SIGINT)
        return real(self)

    monkeypatch.setattr(module.Spool, "chunks", again)
    (tmp_path / "a.csv").write_text("what was there")
    with pytest.raises(KeyboardInterrupt):
        convert(path, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "what was there"
    assert sorted(os.listdir(tmp_path)) == ["a.csv", path.name]


@pytest.mark.parametrize("kind", SINGLE)
def test_a_damaged_file_leaves_nothing(tmp_path: Path, kind: str) -> None:
    path, _ = made_file(tmp_path, kind)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(TraceFormatError):
        convert(path, tmp_path / "o.csv")
    assert os.listdir(tmp_path) == [path.name]


def test_what_cannot_work_is_refused(tmp_path: Path) -> None:
    path, _ = made_file(tmp_path, "csv")
    with pytest.raises(ConfigError, match="end the name in"):
        convert(path, tmp_path / "o.lackey")
    with pytest.raises(ConfigError, match="max_records must be at least 1, got 0"):
        convert(path, tmp_path / "o.csv", max_records=0)
    with pytest.raises(ConfigError, match="expected a token"):
        convert(path, tmp_path / "o.csv", start="here")
    with pytest.raises(TraceWriteError, match="make the directory first"):
        convert(path, tmp_path / "missing" / "o.csv")
    with pytest.raises(FileNotFoundError):
        convert(tmp_path / "missing.csv", tmp_path / "o.csv")
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("kind", ["lackey", "parquet", "champsim"])
def test_progress_goes_from_nothing_to_all(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_RECORDS", 100)
    monkeypatch.setattr(module, "_EVERY_SECONDS", 0)
    path, _ = made_file(tmp_path, kind, 1000)
    seen: list[ReadProgress] = []
    convert(path, tmp_path / "o.csv", progress=seen.append)
    for phase in ("reading", "writing"):
        steps = [now for now in seen if now.phase == phase]
        assert steps[-1].records == len(read(tmp_path / "o.csv"))
        assert steps[-1].fraction == 1.0
        assert all(a.records < b.records for a, b in pairwise(steps))
        assert all(a.seconds <= b.seconds for a, b in pairwise(steps))


# --- the command ----------------------------------------------------------------------------


def test_convert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, _ = made_file(tmp_path, "view", 300, ".gz")
    out = tmp_path / "o.parquet"
    assert main(["trace", "convert", str(path), str(out)]) == 0
    assert re.search(r"o\.parquet: \d+ records in \d+\.\d s\n$", failure(capsys))
    assert read(out) == read(path)
    assert main(["trace", "convert", "-q", "triad", str(out), "--max-records", "9"]) == 0
    assert capsys.readouterr().err == ""
    assert len(read(out)) == 9


@pytest.mark.parametrize("by", ["file", "token"])
def test_the_rest_by_a_part_or_by_its_token(
    tmp_path: Path, by: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = made_file(tmp_path, "lackey", 900)
    one, two = tmp_path / "1.csv", tmp_path / "2.csv"
    assert main(["trace", "convert", str(path), str(one), "--max-records", "300"]) == 0
    assert f"the rest: gmap trace convert {path} NEXT --from {one}\n" in failure(capsys)
    start = str(one) if by == "file" else read(one).meta["next"]
    assert main(["trace", "convert", str(path), str(two), "--from", start]) == 0
    parts = [read(one).records(), read(two).records()]
    whole = read(path).records().tolist()
    assert PageTrace.from_chunks(parts).records().tolist() == whole


def test_an_interruption_says_how_to_go_on(
    tmp_path: Path, interrupted: None, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = made_file(tmp_path, "csv", 900)
    out = tmp_path / "o.csv"
    assert main(["trace", "convert", str(path), str(out)]) == 130
    said = failure(capsys)
    assert "ended by SIGINT" in said
    assert f"gmap trace convert {path} NEXT --from {out}" in said
    token = re.search(r"\(token (\S+)\)", said)
    assert token is not None
    assert Position.from_token(token[1]).records == 200
    assert len(read(out)) == 200


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["missing.csv", "o.csv"], 2, "missing.csv: No such file"),
        (["t.csv", "o.txt"], 2, "end the name in"),
        (["t.csv", "missing/o.csv"], 1, "make the directory first"),
        (["bad.csv", "o.csv"], 1, "bad.csv: line 2: access"),
        (["t.csv", "o.csv", "--from", "nowhere"], 2, "expected a token"),
        (["t.csv", "o.csv", "--from", "t.csv"], 2, "no 'next': nothing is left"),
        (["t.csv", "o.csv", "--format", "champsim"], 1, "record 1 (byte 0)"),
    ],
)
def test_failures_of_convert(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write("t.csv", sample())
    csv(tmp_path, "page,access\n1,Q\n", "bad.csv")
    assert main(["trace", "convert", *arguments]) == code
    assert message in failure(capsys)
    assert sorted(os.listdir()) == ["bad.csv", "t.csv"]


@pytest.mark.parametrize(
    "arguments",
    [[], ["t.csv"], ["t.csv", "o.csv", "--filter", "-1"], ["t.csv", "o.csv", "--format", "gem5"]],
)
def test_usage_errors_of_convert(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["trace", "convert", *arguments])
    assert stop.value.code == 2
    assert "usage" in capsys.readouterr().err


# --- info, in pieces ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MAKERS)
def test_info_of_every_format(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = made_file(tmp_path, kind)
    assert main(["trace", "info", "--json", str(path)]) == 0
    document = json.loads(capsys.readouterr().out)
    trace = read(path)
    assert document["meta"] == dict(trace.meta)
    assert {key: document[key] for key in trace.summary()} == trace.summary()


def test_a_summary_is_that_of_the_whole() -> None:
    trace = sample(3000)
    summary = Summary()
    for start in range(0, 3000, 7):
        summary.add(trace.records()[start : start + 7])
    facts = summary.facts()
    assert facts == trace.summary()
    assert facts["footprint_pages"] == len(set(trace.pages.tolist()))
    written = trace.pages[trace.access == 1]
    assert facts["pages_written"] == len(set(written.tolist()))
    assert facts["fetches"] == trace.access.tolist().count(2)


# --- progress -------------------------------------------------------------------------------


def test_lines_of_progress_where_there_is_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with reading_shown(asked=False) as show:
        assert show is None
    with reading_shown(asked=True, quiet=True) as show:
        assert show is None
    with reading_shown(asked=True) as show:
        assert show is not None
        show(ReadProgress("reading", 5_000_000, 10.0, 0.25))
        show(ReadProgress("reading", 5_000_001, 10.0, 0.25))
    expected = "gmap trace: reading: 25.0%, 5,000,000 records, 500,000 a second, 0:00:30 left\n"
    assert capsys.readouterr().err == expected


def test_a_bar_on_a_terminal(tmp_path: Path) -> None:
    import pty

    path, _ = made_file(tmp_path, "champsim", 100)
    path.write_bytes(path.read_bytes() * 2000)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", f"{QUICK}; {MAIN}", "trace", "info", str(path)],
        stderr=theirs,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
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
    assert process.wait() == 0
    assert b"a second" in seen
    assert b" left" in seen
