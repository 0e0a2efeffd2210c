"""`gmap explain`: guests from memory images, snapshots, and what is refused."""

import json

import numpy as np
import pytest
from guest import MIB, TCR_4K, Guest

import gmap
from gmap.cli import main
from gmap.explaining import GuestImage, MemoryImage


@pytest.fixture
def image(tmp_path):
    """A guest with one page mapped, its memory in a file, and its registers as options."""
    guest = Guest(nbytes=MIB, base=0x4000_0000)
    guest.map(0x5000, 0x4000_7000)
    path = tmp_path / "ram.bin"
    guest.ram.array.tofile(path)
    options = ["--memory", f"{path}@0x40000000", "--ttbr0", hex(guest.root), "--tcr", hex(TCR_4K)]
    return guest, options


def test_both_walks_of_an_image(image, capsys):
    guest, options = image
    assert main(["explain", "0x5123", *options]) == 0
    text = capsys.readouterr().out
    assert "page at 0x40007000, EL0, AF, attr 0" in text
    assert "ipa 0x40007123" in text
    assert text.rstrip().endswith("19 memory references; ok")
    # Without the host's addresses it is what the same guest in memory gives.
    guest.fault_in_all()
    story = gmap.TwoLevel(guest.stage1(), guest.g).explain(0x5123)
    steps = [step for step in story.steps if step.stage == 1]
    assert all(f"{step.entry:#018x}  {step.text}" in text for step in steps)


def test_a_fault_is_told_and_is_the_exit_code(image, capsys):
    _, options = image
    assert main(["explain", "0x6000", *options, "--access", "write", "--el", "0"]) == 1
    text = capsys.readouterr().out
    assert text.startswith("write of 0x6000 at EL0")
    assert "stage 1 translation fault, level 3 (FSC 0x07)" in text


def test_json(image, capsys):
    _, options = image
    assert main(["explain", "0x5000", *options, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["refs"] == len(document["steps"]) == 19
    assert document["fault"]["kind"] == "ok"
    assert document["rights"] == {"el0": "rwx", "el1": "rw-"}
    assert document["ipa"] == 0x4000_7000


def test_the_gmap_of_a_snapshot_and_of_a_spec(tmp_path, capsys):
    host = gmap.SyntheticHost()
    ram = host.map(MIB)
    g = gmap.Gmap(host)
    g.set_memory_region(0, 0, MIB, ram.hva)
    g.fault_in(3)
    path = tmp_path / "space.npz"
    g.save(path)
    assert main(["explain", "0x3010", str(path)]) == 0
    text = capsys.readouterr().out
    assert f"host address {int(g.translate(np.uint64(0x3010))[0]):#x}" in text
    assert main(["explain", "0x4000", str(path)]) == 1
    assert "PIC 0x11 (page translation)" in capsys.readouterr().out
    spec = tmp_path / "space.toml"
    spec.write_text('[guest]\nipa_bits = 40\n[[memslot]]\nguest_phys_addr = "0"\nsize = "1MiB"\n')
    assert main(["explain", "0x4000", str(spec)]) in (0, 1)


def test_an_image_that_is_no_whole_number_of_pages(tmp_path):
    path = tmp_path / "ram.bin"
    path.write_bytes(b"\xff" * 5000)
    guest = GuestImage([MemoryImage(path, 0x1000)])
    (region,) = guest.host.regions.values()
    assert region.array[4999] == 0xFF
    assert not region.array[5000:].any()
    assert len(region.array) == 8192


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ([], 2, "give a snapshot or spec, or --memory"),
        (["x.npz", "--ttbr0", "0x1000"], 2, "--ttbr0 needs the guest's tables"),
        (["--memory", "ram.bin"], 1, "use FILE@IPA"),
        (["--memory", "ram.bin@12"], 1, "multiple of 4096"),
        (["--memory", "ram.bin@-4096"], 1, "multiple of 4096"),
        (["--memory", "nothing.bin@0"], 2, "nothing.bin"),
        (["nothing.npz"], 2, "nothing.npz"),
        (["--memory", "empty.bin@0"], 1, "empty.bin is empty"),
        (["--memory", "page.bin@0", "--memory", "page.bin@0"], 1, "overlaps"),
        (["--memory", "page.bin@0", "--tcr", "-1"], 1, "tcr"),
        (["dump.txt"], 1, "text dump"),
    ],
)
def test_what_is_refused(tmp_path, monkeypatch, capsys, options, code, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.bin").write_bytes(b"")
    (tmp_path / "page.bin").write_bytes(bytes(4096))
    (tmp_path / "dump.txt").write_text(gmap.ptdump(gmap.Gmap(gmap.SyntheticHost())))
    assert main(["explain", "0x1000", *options]) == code
    said = capsys.readouterr()
    assert message in said.err
    assert len(said.err.splitlines()) == 1
    assert not said.out


@pytest.mark.parametrize("address", ["hello", "1.5"])
def test_an_address_that_is_none(address, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["explain", address, "x"])
    assert stop.value.code == 2


def test_an_address_that_is_too_large(image, capsys):
    _, options = image
    assert main(["explain", hex(1 << 64), *options]) == 1
    assert "va" in capsys.readouterr().err
