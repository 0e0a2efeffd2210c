"""`gmap dump` and `gmap diff`: output, exit codes, one line for each failure."""

import json
import os
import subprocess
import sys

import pytest

import gmap
from gmap.cli import main

from .conftest import guest


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = guest()
    space.save("a.npz")
    with open("a.txt", "w") as file:
        file.writelines(gmap.ptdump_lines(space))
    space.fault_in((10 << 18) + 2, write=True)
    space.unmap(10 << 18, 1)
    space.save("b.npz")
    with open("b.txt", "w") as file:
        file.writelines(gmap.ptdump_lines(space, "s390"))
    return tmp_path


def test_dump(files, capsys):
    space = gmap.load("a.npz")
    for arguments, text in [
        ([], gmap.ptdump(space)),
        (["--revision", "B"], gmap.ptdump(space, revision="B")),
        (["--style", "s390"], gmap.ptdump(space, "s390")),
        (["--style", "s390", "--details"], gmap.ptdump(space, "s390", details=True)),
    ]:
        assert main(["dump", "a.npz", *arguments]) == 0
        assert capsys.readouterr().out == text
        assert main(["dump", "a.npz", *arguments, "-o", "out"]) == 0
        assert capsys.readouterr().out == ""
        with open("out") as file:
            assert file.read() == text


def test_a_bundled_spec_becomes_a_snapshot(files, capsys):
    assert main(["dump", "microvm", "--save", "vm.npz"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["diff", "vm.npz", "microvm"]) == 0


def test_diff(files, capsys):
    assert main(["diff", "a.npz", "a.npz"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["diff", "a.npz", "b.npz"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "0x0000000280000000-0x0000000280001000         4K removed"
        "              leaf 4K R-XYD -> none 4K",
        "0x0000000280002000-0x0000000280003000         4K added"
        "                none 4K -> leaf 4K RWXYD",
    ]
    assert main(["diff", "--json", "a.npz", "b.npz"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "gmap-diff/1"
    assert [row["change"] for row in document["changes"]] == [["removed"], ["added"]]
    assert document["changes"][0] == {
        "start": 10 << 30,
        "end": (10 << 30) + 4096,
        "change": ["removed"],
        "before": {"kind": "leaf", "entry_bytes": 4096, "readable": True, "writable": False,
                   "executable": True, "young": True, "dirty": True},
        "after": {"kind": "none", "entry_bytes": 4096},
    }  # fmt: skip
    # A dump and the snapshot it is of do not differ in what the dump tells.
    for pair in (["a.txt", "a.npz"], ["b.npz", "b.txt"]):
        assert main(["diff", *pair]) == 0
        assert capsys.readouterr().out == ""
    assert main(["diff", "a.txt", "b.txt"]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert main(["diff", "a.npz", "b.npz", "--ignore", "table"]) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["dump", "nothing"], 2, "nothing: No such file"),
        (["dump", "."], 2, ".: Is a directory"),
        (["dump", "a.txt"], 2, "a dump already"),
        (["dump", "text"], 1, "neither a snapshot nor a page-table dump"),
        (["dump", "cut.npz"], 1, "cut.npz: no snapshot, or a damaged one"),
        (["dump", "a.npz", "--details"], 2, "only with --style s390"),
        (["dump", "a.npz", "-o", "no/such"], 2, "No such file"),
        (["diff", "a.npz", "nothing"], 2, "nothing: No such file"),
        (["diff", "a.npz", "bad.txt"], 1, "bad.txt:2: "),
    ],
)
def test_failures(files, capsys, arguments, code, message):
    (files / "text").write_text("hello")
    (files / "cut.npz").write_bytes((files / "a.npz").read_bytes()[:-9])
    (files / "bad.txt").write_text("---[ Guest IPA ]---\nhello\n")
    before = set(os.listdir())
    assert main(arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith(f"gmap {arguments[0]}: ")
    assert message in err
    assert set(os.listdir()) == before


@pytest.mark.parametrize("arguments", [["dump"], ["diff", "a"], ["dump", "a", "--style", "x"],
                                       ["diff", "a", "b", "--ignore", "wet"]])  # fmt: skip
def test_bad_usage(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: gmap" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough(files):
    command = [sys.executable, "-m", "gmap", "dump", "a.npz"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as done:
        assert done.stdout.readline() == b"---[ Guest IPA ]---\n"
        done.stdout.close()
        assert done.stderr.read() == b""
    assert done.returncode == 0
