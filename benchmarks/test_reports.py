"""The commands in this folder: the speed table, and the comparison of two runs."""

import json
import sys
from dataclasses import replace

import _growth
import _measure
import _rows
import compare
import numpy as np
import pytest
import speed

from gmap.bench.phases import Guest
from gmap.bench.workloads import workload

MIB = 1 << 20
TINY = _measure.Scale(
    guest=4 * MIB, shared=8 * MIB, buffer=MIB, translated=16 * MIB, nested=16 * MIB,
    others=4 * MIB, other_calls=64, lookups=1 << 12,
    lookup_sample=1 << 11, calls=64, host=MIB, growth=(4 * MIB, 8 * MIB), sparse_pages=256,
    rounds=2, growth_rounds=1,
)  # fmt: skip


def forget(name):
    """A row that has nothing to give."""
    raise _measure.NotMeasured(name)
    yield


# --- speed.py -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def speed_json(tmp_path_factory):
    path = tmp_path_factory.mktemp("speed") / "speed.json"
    assert speed.main(["--json", str(path)], TINY) == 0
    return path


def test_every_row_is_measured_or_says_why(speed_json):
    document = json.loads(speed_json.read_text())
    assert document["schema"] == "gmap-speed/1"
    rows = {row["name"]: row for row in document["rows"]}
    assert set(rows) == {row.name for row in _rows.ROWS}
    for row in rows.values():
        if row["status"] == "not measured":
            assert row["reason"]
        else:
            assert row["low"] <= row["high"]
            assert all(ours and peer for ours, peer in row["pairs"])
    assert rows["tables/accounted"]["value"] == 1
    assert rows["tables/accounted"]["status"] == "met"


def test_the_curve_has_every_point(speed_json):
    growth = json.loads(speed_json.read_text())["growth"]
    assert [point["label"] for point in growth] == ["4 MiB", "8 MiB", "16 TiB sparse"]
    for point in growth:
        assert len(point["curves"]) == len(_growth.CURVES)
        assert point["table_bytes"] > 0


def test_a_missed_target_fails_only_a_check(monkeypatch, capsys):
    row = replace(
        _rows.ROWS[0], source=lambda scale: (_measure.Pair(2.0, 1.0) for _ in range(99))
    )  # fmt: skip
    sections = (replace(_rows.SECTIONS[0], rows=(row,)),)
    monkeypatch.setattr(speed, "SECTIONS", sections)
    arguments = ["--only", "first-touch/*"]
    assert speed.main(arguments, TINY) == 0
    assert speed.main([*arguments, "--check"], TINY) == 1
    assert "1 missed" in capsys.readouterr().out


def test_what_is_not_measured_is_no_miss(monkeypatch, capsys):
    row = replace(_rows.ROWS[0], source=lambda scale: forget("one CPU"))
    sections = (replace(_rows.SECTIONS[0], rows=(row,)),)
    monkeypatch.setattr(speed, "SECTIONS", sections)
    assert speed.main(["--only", "first-touch/*", "--check"], TINY) == 0
    assert "not measured: one CPU" in capsys.readouterr().out


def test_plot(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "growth.svg"
    scale = replace(TINY, growth=(MIB,))
    assert speed.main(["--only", "growth", "--plot", str(path)], scale) == 0
    assert "</svg>" in path.read_text()


def test_a_plot_without_matplotlib_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.backend_bases", None)
    with pytest.raises(SystemExit):
        speed.main(["--plot", "growth.svg"], TINY)
    assert "pip install 'gmap[plot]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--only", "translte/*"],
        ["--json", "no/such/folder.json"],
        ["--only", "call/*", "--plot", "growth.svg"],
        ["--plot", "growth.xyz"],
    ],
)
def test_what_would_fail_after_minutes_fails_now(arguments, capsys):
    pytest.importorskip("matplotlib")
    with pytest.raises(SystemExit) as refused:
        speed.main(arguments, TINY)
    assert refused.value.code == 2
    assert arguments[-1] in capsys.readouterr().err or "growth" in arguments[-1]


def test_targets():
    assert _rows.Target("at least", 2).met_by(2)
    assert not _rows.Target("at least", 2).met_by(1.9)
    assert _rows.Target("at most", 2).met_by(1.9)
    assert not _rows.Target("exactly", 1).met_by(1.001)


def test_architected_bytes_are_what_the_tables_take():
    load = workload("random", "4k", 64 * MIB)
    guest = Guest("synthetic", load)
    guest.fault(load.gfns[::37], True)
    tables = sum(table.nbytes for table in guest.g.tables().values())
    assert _measure.architected_bytes(load.gfns[::37]) == tables == guest.g.table_bytes()
    guest.close()


def test_lookups_are_of_the_pages_they_say():
    load = workload("sequential", "4k", 4 * MIB)
    guest = Guest("synthetic", load)
    guest.fault(load.gfns, True)
    lookups = _measure.Lookups(guest, load.gfns, TINY)
    for pattern in ("sequential", "random"):
        assert lookups.translate_ns(pattern) > 0
    assert lookups.take_ns() > 0
    assert np.isin(lookups._taken, np.arange(len(load.gfns))).all()
    guest.close()


# --- compare.py -----------------------------------------------------------------------------


def speed_file(path, **values):
    rows = [
        {"name": name.replace("__", "/"), "value": value, "better": better}
        for name, (value, better) in values.items()
    ]
    path.write_text(json.dumps({"schema": "gmap-speed/1", "rows": rows, "growth": []}))
    return str(path)


def pytest_file(path, ours, peer):
    tests = [
        {"group": "g", "name": "test_gmap", "stats": {"median": ours}, "extra_info": {}},
        {"group": "g", "name": "np", "stats": {"median": peer}, "extra_info": {"peer": True}},
    ]
    path.write_text(json.dumps({"benchmarks": tests}))
    return str(path)


def test_a_run_is_no_worse_than_itself(speed_json, capsys):
    assert compare.main([str(speed_json), str(speed_json)]) == 0
    assert "0 regressed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("better", "old", "new", "code"),
    [
        ("more", 50, 46, 0),
        ("more", 50, 40, 1),
        ("more", 50, 500, 0),
        ("less", 1.0, 1.09, 0),
        ("less", 1.0, 1.2, 1),
        ("less", 1.0, 0.1, 0),
    ],
)
def test_ten_per_cent_are_allowed(tmp_path, better, old, new, code):
    files = [
        speed_file(tmp_path / f"{when}.json", translate__random=(value, better))
        for when, value in (("old", old), ("new", new))
    ]
    assert compare.main(files) == code


def test_gates_differ(tmp_path):
    old = speed_file(tmp_path / "old.json", tables__accounted=(1, "less"), a=(1, "less"))
    new = speed_file(tmp_path / "new.json", tables__accounted=(1.01, "less"), a=(1.01, "less"))
    assert compare.main([old, new]) == 1
    gates = tmp_path / "gates.toml"
    gates.write_text('[[gate]]\nrows = "*"\nworse = 2\n')
    assert compare.main([old, new, "--gates", str(gates)]) == 0


def test_pytest_rows_are_compared_by_their_peer(tmp_path):
    old = pytest_file(tmp_path / "old.json", 1.0, 2.0)
    slower_machine = pytest_file(tmp_path / "slower.json", 3.0, 6.0)
    slower_code = pytest_file(tmp_path / "worse.json", 3.0, 2.0)
    assert compare.main([old, slower_machine]) == 0
    assert compare.main([old, slower_code]) == 1


def test_rows_of_one_file_are_named(tmp_path, capsys):
    old = speed_file(tmp_path / "old.json", a=(1, "less"), gone=(1, "less"))
    new = speed_file(tmp_path / "new.json", a=(1, "less"), fresh=(1, "less"))
    assert compare.main([old, new]) == 0
    out = capsys.readouterr().out
    assert f"only in {old}: gone" in out
    assert f"only in {new}: fresh" in out


def test_files_that_do_not_fit(tmp_path, capsys):
    table = speed_file(tmp_path / "speed.json", a=(1, "less"))
    tests = pytest_file(tmp_path / "pytest.json", 1.0, 1.0)
    other = tmp_path / "other.json"
    other.write_text("[]")
    for files in ([table, tests], [table, str(other)], [table, str(tmp_path / "none.json")]):
        assert compare.main(files) == 2
        assert capsys.readouterr().err.startswith("compare: ")
