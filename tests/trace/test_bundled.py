"""The traces that come with this package: real ones, small ones, and as they are described."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gmap.trace import Access, PageTrace, TraceFile, bundled, load, read, write
from gmap.trace._bundled import DATA

NAMES = ["paths", "triad"]
LARGEST = 300_000  # bytes
README = (DATA / "README.md").read_text()


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_what_there_is() -> None:
    assert list(bundled()) == NAMES
    for known in bundled().values():
        assert known.path.stat().st_size <= LARGEST
        assert len(known.description) > 20


def test_a_program_that_did_its_job_was_recorded_whole(name: str) -> None:
    trace = load(name)
    assert trace == read(bundled()[name].path)
    assert trace.meta["exit"] == "0"
    assert "stopped" not in trace.meta
    assert trace.meta["tool"].startswith("valgrind-3.")
    assert int(trace.meta["accesses"]) > 1000 * len(trace)
    assert 5_000 < trace.footprint() < 50_000
    for kind in Access:
        assert trace.only(kind).footprint() > 5


def test_nothing_tells_of_the_machine_it_was_made_on(name: str) -> None:
    meta = load(name).meta
    assert meta["command"] in ("./triad", "python3 -IS paths.py")
    assert not any("/" in meta[key] for key in meta if key != "command" and key != "note")
    assert not re.search(r"/(home|root|tmp|usr|work)\b", " ".join(meta.values()))


def test_the_readme_tells_the_figures(name: str) -> None:
    trace = load(name)
    facts = trace.summary()
    row = next(line for line in README.splitlines() if line.startswith(f"| {name} |"))
    assert [cell.strip() for cell in row.strip("|").split("|")[1:]] == [
        trace.meta["filter"],
        f"{len(trace):,}",
        f"{facts['footprint_pages']:,}",
        f"{facts['pages_written']:,}",
        f"{int(trace.meta['accesses']):,}",
        f"{int(trace.meta['instructions']):,}",
        f"{bundled()[name].path.stat().st_size:,}",
    ]
    assert trace.meta["recorded"][:10] in README
    for command in (trace.meta["command"], f'--note "{trace.meta["note"]}"'):
        assert command in README


def neighbours(trace: PageTrace) -> float:
    """How many of the data pages follow one of the last few records' pages in memory."""
    pages = trace.only(Access.R, Access.W).pages
    nearby = np.zeros(len(pages), bool)
    for back in range(1, 7):
        nearby[back:] |= pages[back:] == pages[:-back] + np.uint64(1)
    return float(nearby.mean())


def test_one_streams_and_one_follows_pointers() -> None:
    assert neighbours(load("triad")) > 0.8
    assert neighbours(load("paths")) < 0.5


def test_the_program_that_was_recorded_still_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-IS", "paths.py"], cwd=DATA, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert re.fullmatch(r"([0-9.]+ minutes\n){3}", done.stdout)


def test_the_c_program_still_compiles(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None or not (DATA / "triad.c").exists():
        pytest.skip("needs a C compiler and the sources")
    program = tmp_path / "triad"
    subprocess.run([compiler, "-O2", "-Wall", "-o", program, DATA / "triad.c"], check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=True)
    assert done.stdout == "7.0 10485757.0\n"


def test_a_bundled_name_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine = PageTrace([1], [0])
    write("paths.csv", mine)
    Path("paths.csv").rename("paths")
    assert load("paths") != mine
    assert load("./paths") == load(tmp_path / "paths") == mine
    with pytest.raises(FileNotFoundError):
        load("no-such-trace")


def test_the_first_records_are_there_before_the_last(name: str) -> None:
    with TraceFile(bundled()[name].path) as file:
        first = next(file.chunks(10))
    assert first["access"][0] == Access.X
    assert len(first) == 10
