"""`gmap replay`, as a person or a script meets it."""

import argparse
import json

import numpy as np
import pytest

from gmap.models import cli, replay
from gmap.trace import load


def main(*argv):
    parser = argparse.ArgumentParser(prog="gmap")
    cli.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["replay", *map(str, argv)])
    return args.run(args)


def failure(capsys):
    """The one line on standard error; nothing is on standard output."""
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("gmap replay: ")
    assert shown.err.count("\n") == 1
    return shown.err


def test_a_table_of_counters(capsys):
    assert main("triad", "--model", "guest") == 0
    shown = capsys.readouterr().out
    c = replay("triad", "guest").counters
    for name in ("accesses", "l1 misses", "walks", "references", "nested hits"):
        (line,) = [line for line in shown.splitlines() if line.startswith(name + " ")]
        assert f"{c[name.replace(' ', '_')]:,}" in line.split()
    assert "million accesses/s" in shown


def test_json(capsys):
    assert main("triad", "--page-size", "1M", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    expected = replay("triad", "server", page_size="1M")
    assert document["schema"] == "gmap-replay/1"
    assert document["trace"] == "triad"
    assert document["counters"] == expected.counters
    assert document["timeline"]["walks"] == expected.timeline()["walks"].tolist()


def test_a_model_of_ones_own(tmp_path, capsys):
    path = tmp_path / "mine.toml"
    path.write_text('name = "[red]mine"\n[[l1]]\nsets = 1\nways = 2\n')
    assert main("triad", "--model", path) == 0
    assert "triad through [red]mine" in capsys.readouterr().out


def test_the_models_are_listed(capsys):
    assert main() == 0
    listed = capsys.readouterr().out.splitlines()
    assert main("--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [line.split()[0] for line in listed] == list(document["models"])


def test_rows_of_accesses(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    assert main("paths", "--model", "guest", "--per-access", path) == 0
    trace, expected = load("paths"), replay("paths", "guest", per_access=True)
    table = parquet.read_table(path)
    assert (table["page"].to_numpy() == trace.pages).all()
    where = np.array(["L1", "L2", "WALK"])[expected.per_access["where"]]
    assert table["where"].to_pylist() == where.tolist()
    assert (table["refs"].to_numpy() == expected.per_access["refs"]).all()


def test_a_timeline_for_perfetto(tmp_path):
    path = tmp_path / "t.json"
    assert main("triad", "--perfetto", path) == 0
    assert json.loads(path.read_text())["traceEvents"]


@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        (["no-such"], 2, "no-such: No such file"),
        (["triad", "--model", "huge"], 2, "no model 'huge'"),
        (["triad", "--model", "no-such.toml"], 2, "no-such.toml: No such file"),
        (["triad", "--page-size", "5"], 2, "page size '5'"),
        (["triad", "--perfetto", "t.txt"], 2, "end the name in .json"),
        (["triad", "--per-access", "t.csv"], 2, ".parquet"),
        (["triad", "--per-access", "no/such/t.parquet"], 1, "make the directory first"),
        (["triad", "--perfetto", "no/such/t.json"], 1, "make the directory first"),
    ],
)
def test_failures_are_one_line(argv, code, text, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(*argv) == code
    assert text in failure(capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [("bad.toml", "x = ["), ("bad.csv", "page,access\n1,R\n2,Q\n")],
)
def test_a_malformed_file_is_exit_code_1(name, text, capsys, tmp_path):
    path = tmp_path / name
    path.write_text(text)
    rows = tmp_path / "rows.parquet"
    argv = ("triad", "--model", path) if name == "bad.toml" else (path, "--per-access", rows)
    assert main(*argv) == 1
    assert name in failure(capsys)
    assert not rows.exists()
