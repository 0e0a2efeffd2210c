"""`gmap profile`, as a person or a script meets it."""

import json
import re
import subprocess
import sys

import pytest

from gmap.cli import main
from gmap.layout.spec import bundled_specs
from gmap.profiling import profile


def failure(capsys, code, *args):
    """The one line on standard error; nothing is on standard output."""
    assert main(["profile", *args]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("gmap profile: ")
    assert shown.err.count("\n") == 1
    return shown.err


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        '[guest]\nipa_bits = 40\n[[memslot]]\nguest_phys_addr = 0\nsize = "8MiB"\n'
    )
    return path


def test_text(spec, capsys):
    assert main(["profile", str(spec)]) == 0
    shown = capsys.readouterr()
    assert shown.out == str(profile(spec))
    assert re.search(r"^table memory +64 KiB$", shown.out, re.MULTILINE)
    assert shown.err == ""
    assert "\x1b" not in shown.out


def test_json(spec, capsys):
    assert main(["profile", str(spec), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == profile(spec).to_dict()


def test_two(spec, capsys):
    assert main(["profile", str(spec), "microvm", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["a"], document["b"]) == ("mine", "microvm")


def test_list(capsys):
    assert main(["profile", "--list"]) == 0
    shown = capsys.readouterr().out
    for name, description in bundled_specs().items():
        assert re.search(rf"^{name} +{re.escape(description)}$", shown, re.MULTILINE)
    assert main(["profile", "--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["specs"] == bundled_specs()


def test_files(spec, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    pytest.importorskip("pyarrow")
    folders = {name: tmp_path / name for name in ("parquet", "png", "svg")}
    options = [part for name, folder in folders.items() for part in (f"--{name}", str(folder))]
    page = tmp_path / "report.html"
    assert main(["profile", str(spec), "-q", "--html", str(page), *options]) == 0
    assert capsys.readouterr().out == ""
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert sorted(p.stem for p in folders["png"].iterdir()) == sorted(
        p.stem for p in folders["svg"].iterdir()
    )
    assert (folders["png"] / "levels.png").read_bytes().startswith(b"\x89PNG")
    assert (folders["parquet"] / "levels.parquet").is_file()


def test_a_comparison_as_a_page(spec, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    page = tmp_path / "report.html"
    assert main(["profile", str(spec), str(spec), "-q", "--html", str(page)]) == 0
    assert "No figure differs" in page.read_text()


def test_what_is_refused(spec, tmp_path, capsys):
    assert "no layout" in failure(capsys, 2)
    assert "no bundled spec of" in failure(capsys, 2, "nothing")
    assert "limit is 1,024" in failure(capsys, 1, str(spec), "--limit", "1KiB")
    assert "name a file" in failure(capsys, 2, str(spec), "--html", str(tmp_path / "no" / "x.html"))
    assert "name a file" in failure(capsys, 2, str(spec), "--html", str(tmp_path))
    assert "name a directory" in failure(capsys, 2, str(spec), "--png", str(spec))
    assert "for one layout" in failure(capsys, 2, str(spec), str(spec), "--svg", str(tmp_path))
    assert "directory" in failure(capsys, 2, str(tmp_path))
    spec.write_text("[guest]\nipa_bits = 400\n")
    assert "mine.toml: [guest] ipa_bits = 400" in failure(capsys, 1, str(spec))
    spec.write_bytes(b"\0\1")
    assert "neither a TOML spec" in failure(capsys, 1, str(spec))


def test_a_missing_package_is_named(spec, capsys, monkeypatch):
    import gmap.profiling._export as export

    monkeypatch.setattr(export, "find_spec", lambda name: None)
    assert "needs jinja2: pip install jinja2" in failure(
        capsys, 2, str(spec), "--html", "x.html"
    )
    assert "needs pyarrow" in failure(capsys, 2, str(spec), "--parquet", "x")
    assert "needs matplotlib" in failure(capsys, 2, str(spec), "--png", "x")


@pytest.mark.parametrize("text", ["4k", "-1", "1.5GiB", ""])
def test_bad_limits(text, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["profile", "microvm", f"--limit={text}"])
    assert stop.value.code == 2
    assert "--limit" in capsys.readouterr().err


def test_importing_it_loads_no_large_library():
    code = (
        "import sys; import gmap.profiling.cli; "
        "print([m for m in ('matplotlib', 'jinja2', 'pyarrow', 'pandas') if m in sys.modules])"
    )
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
