"""`sae`, as a person or a script meets it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from guest_programs import assembled, build, native

import gmap.trace
from gmap.bench.faults import Row
from saecore._defs import Feature
from saecore.a64.encodings import ENCODINGS
from saecore.bench._words import GUESTS
from saecore.cli import main

MAIN = "import sys; from saecore.cli import main; sys.exit(main())"
UART = 0x0900_0000
START = 0x4000_0000


def words(*instructions):
    return b"".join(word.to_bytes(4, "little") for word in instructions)


MOV_UART = 0xD2A12000  # mov x0, #0x9000000
#: PSCI calls: mov w0, #function; hvc #0.
OFF = (0x52800100, 0x72B08000, 0xD4000002)
RESET = (0x52800120, 0x72B08000, 0xD4000002)
FOREVER = 0x14000000  # b .
STORE = 0xB9000001  # str w1, [x0]


def letter(character):
    """mov w1, #character; str w1, [x0]"""
    return 0x52800001 | ord(character) << 5, STORE


@pytest.fixture
def program(tmp_path):
    def write(*instructions, name="program.bin"):
        path = tmp_path / name
        path.write_bytes(words(*instructions))
        return str(path)

    return write


@pytest.fixture
def guest():
    def find(name):
        return str(build(name))

    return find


def failure(capsys, command="run"):
    """The one line on standard error; nothing is on standard output."""
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"sae {command}: ")
    assert shown.err.count("\n") == 1
    return shown.err


def start(*arguments, **options):
    command = [sys.executable, "-P", "-c", MAIN, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


# --- run ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["crc", "tasks", "pager"])
def test_a_compiled_program(guest, capfdbinary, name):
    assert main(["run", guest(name)]) == 0
    shown = capfdbinary.readouterr()
    assert shown.out.startswith(f"{name}: start\n".encode())
    assert b"FAIL" not in shown.out
    if name == "crc":
        assert shown.out == f"crc: start\ncrc: {native('crc')}\n".encode()
    assert shown.err == b""


def test_a_flat_binary(program, capfdbinary):
    path = program(MOV_UART, *letter("h"), *letter("i"), *OFF)
    assert main(["run", path]) == 0
    assert capfdbinary.readouterr() == (b"hi", b"")


def test_bytes_go_out_as_they_are(program, capfdbinary):
    path = program(MOV_UART, 0x52800001 | 0xFF << 5, STORE, *letter("\n"), *OFF)
    assert main(["run", path]) == 0
    assert capfdbinary.readouterr().out == b"\xff\n"


def test_where_it_is_loaded_and_starts(program, capfdbinary):
    path = program(FOREVER, MOV_UART, *letter("x"), *OFF)
    arguments = ["--mem", "1M@0x80000000", "--load-address", "0x80001000", "--entry", "0x80001004"]
    assert main(["run", path, *arguments]) == 0
    assert capfdbinary.readouterr().out == b"x"


def test_a_linux_image(tmp_path, capfdbinary):
    """Its code says whether X0 has the device tree: the magic's first byte is 0xd0."""
    code = words(0x14000010, *[0] * 13) + b"ARM\x64" + bytes(4)
    body = words(0x39400003, 0xD2A12000, 0xB9000003, *OFF)  # ldrb w3, [x0]; ...; str w3, [x0]
    path = tmp_path / "Image"
    path.write_bytes(code + body)
    assert main(["run", str(path)]) == 0
    assert capfdbinary.readouterr().out == b"\xd0"


def test_what_comes_through_a_pipe(program):
    """An echo, until a full stop."""
    path = program(
        MOV_UART,
        0xB9401802,  # wait: ldr w2, [x0, #24]
        0x3727FFE2,  # tbnz w2, #4, wait
        0xB9400001,  # ldr w1, [x0]
        STORE,
        0x7100B83F,  # cmp w1, #'.'
        0x54FFFF61,  # b.ne wait
        *OFF,
    )
    with start("run", path, stdin=subprocess.PIPE) as process:
        out, err = process.communicate(b"text.", timeout=60)
    assert (out, err, process.returncode) == (b"text.", b"", 0)


def test_a_reset_is_told(program, capsys):
    assert main(["run", program(*RESET)]) == 1
    assert "reset" in failure(capsys)


def test_a_budget(program, capsys):
    assert main(["run", program(FOREVER), "--max-insns", "1000"]) == 3
    assert failure(capsys) == "sae run: stopped after 1000 instructions\n"


def test_stats(program, capsys):
    assert main(["run", program(0xD503201F, *OFF), "--stats"]) == 0
    said = dict(line.split(":", 1) for line in capsys.readouterr().err.splitlines())
    assert said["instructions"].strip() == "4"
    assert said["exits"].strip() == "SystemEvent 1"
    assert "1 major" in said["faults"]


def test_features_can_be_left_out(program, capfdbinary):
    """CRC32B is UNDEFINED without the feature: the guest goes round in its empty vectors."""
    path = program(0x1AC24020, *OFF)  # crc32b w0, w1, w2
    memory = ["--mem", "1M@0x0"]  # where the vectors are after reset, too
    assert main(["run", path, *memory]) == 0
    assert main(["run", path, *memory, "--cpu", "default,-crc32", "--max-insns", "100"]) == 3
    capfdbinary.readouterr()


def test_an_interrupted_run(program):
    with start("run", program(MOV_UART, *letter("x"), *letter("\n"), FOREVER)) as process:
        assert process.stdout.read(2) == b"x\n"
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert (err, process.returncode) == (b"sae run: interrupted\n", 130)


# --- trace ----------------------------------------------------------------------------------


def test_trace(program, tmp_path, capfdbinary):
    """Two stores to two pages, from one page of code."""
    path = program(
        0xD2A80202,  # mov x2, #0x40100000
        0xF9000041,  # str x1, [x2]
        0xF9400043,  # ldr x3, [x2]
        0xF9080041,  # str x1, [x2, #4096]
        *OFF,
    )
    out = tmp_path / "guest.csv"
    assert main(["run", path, "--trace", str(out), "--filter", "0"]) == 0
    trace = gmap.trace.read(out)
    kinds = gmap.trace.Access
    data = [(page, kind) for page, kind in zip(trace.pages.tolist(), trace.access.tolist(),
                                               strict=True) if kind != kinds.X]  # fmt: skip
    assert data == [(0x40100, kinds.W), (0x40100, kinds.R), (0x40101, kinds.W)]
    assert set(trace.pages[trace.access == kinds.X].tolist()) == {0x40080}
    assert trace.meta["program"] == "program.bin"
    assert capfdbinary.readouterr().err == b""


def test_a_trace_is_the_same_twice(guest, tmp_path, capfdbinary):
    for name in ("one.csv", "two.csv"):
        assert main(["run", guest("pager"), "--trace", str(tmp_path / name)]) == 0
    one, two = (gmap.trace.read(tmp_path / name) for name in ("one.csv", "two.csv"))
    assert one == two
    assert one.footprint() > 64
    capfdbinary.readouterr()


def test_a_trace_of_a_part(program, tmp_path, capfdbinary):
    out = tmp_path / "part.csv"
    assert main(["run", program(FOREVER), "--trace", str(out), "--max-insns", "250000"]) == 3
    trace = gmap.trace.read(out)
    assert trace.meta["stopped"] == "budget"
    assert set(trace.pages.tolist()) == {0x40080}
    capfdbinary.readouterr()


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere.elf"], 2, "nowhere.elf: No such file"),
        (["--initrd", "nowhere", "FILE"], 2, "nowhere: No such file"),
        (["--mem", "4K", "FILE"], 2, "use more memory"),
        (["--mem", "4097", "FILE"], 2, "whole pages"),
        (["--mem", "1M@0xfffffffff000", "FILE"], 2, "2**48"),
        (["--load-address", "0x1000", "FILE"], 2, "the program"),
        (["--entry", "0x40080002", "FILE"], 1, "no instruction"),
        (["--bootargs", "caf\xe9", "FILE"], 2, "ASCII"),
        (["--trace", "out.txt", "FILE"], 2, "out.txt"),
        (["--trace", "nowhere/out.csv", "FILE"], 1, "nowhere"),
        (["--cpu", "z900", "FILE"], 2, "z900"),
        (["--cpu", "default,+nothing", "FILE"], 2, "nothing"),
        (["--cpu", "default,lse", "FILE"], 2, "lse"),
    ],
)
def test_bad_arguments(program, tmp_path, monkeypatch, capsys, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    path = program(*OFF)
    filled = [path if argument == "FILE" else argument for argument in arguments]
    assert main(["run", *filled]) == code
    assert message in failure(capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--mem", "lots", "FILE"], ["--mem", "1M@there", "FILE"], ["--max-insns", "0", "FILE"],
        ["--max-insns", "-1", "FILE"], ["--load-address", "-4", "FILE"], [],
    ],
)  # fmt: skip
def test_bad_usage(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main(["run", *arguments])
    assert ended.value.code == 2
    assert "usage: sae run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("instructions", "message"),
    [
        ((0xD2A14000, STORE), "wrote 4 bytes at 0xa000000"),  # mov x0, #0xa000000
        ((0xD2A14000, 0x39400001), "read 1 byte at 0xa000000"),  # ldrb w1, [x0]
        ((MOV_UART, 0xA9400402), "pc 0x40080004"),  # ldp x2, x1, [x0]: no syndrome
    ],
)
def test_a_guest_that_goes_astray(program, capsys, instructions, message):
    assert main(["run", program(*instructions)]) == 1
    assert message in failure(capsys)


def test_a_file_that_is_no_program(tmp_path, capsys):
    path = tmp_path / "broken.elf"
    path.write_bytes(b"\x7fELF" + bytes(10))
    assert main(["run", str(path)]) == 1
    assert "broken.elf" in failure(capsys)


def test_a_reader_that_has_seen_enough(program):
    with start("run", program(MOV_UART, *letter("y"), 0x17FFFFFF)) as process:
        assert process.stdout.read(4) == b"yyyy"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 0


# --- info and bench -------------------------------------------------------------------------


def test_info(capsys):
    assert main(["info"]) == 0
    shown = capsys.readouterr().out
    assert "gmap" in shown
    assert f"{len(ENCODINGS):>5} encodings" in shown
    assert main(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert sum(found["encodings"].values()) == len(ENCODINGS)
    assert {feature.name for feature in Feature} <= set(found["features"])
    assert set(found["cpu_models"]["default"]) <= set(found["features"])
    assert "LSE" not in found["cpu_models"]["base"]


def test_info_of_a_cpu(capsys):
    assert main(["info", "--cpu"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("CPU model default\n")
    assert "ID_AA64ISAR0_EL1" in shown
    assert main(["info", "--json", "--cpu", "base,+lse"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [name for name, feature in found["features"].items() if feature["on"]] == ["FP", "LSE"]
    assert found["features"]["LSE"]["fields"] == ["ID_AA64ISAR0_EL1.Atomic = 2"]
    assert found["registers"]["ID_AA64ISAR0_EL1"] == 2 << 20
    counts = [
        (feature, count)
        for features in found["encodings"].values()
        for feature, count in features.items()
    ]
    assert sum(count["table"] for _, count in counts) == len(ENCODINGS)
    for feature, count in counts:
        assert count["known"] == (count["table"] if feature in ("Armv8.0", "FP", "LSE") else 0)
    assert main(["info", "--cpu", "cortex-a57"]) == 2
    assert "no CPU model 'cortex-a57'" in capsys.readouterr().err


def test_bench_faults(capsys):
    arguments = ["bench", "faults", "--pattern", "random", "--size", "1M", "--repeat", "1"]
    assert main([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["schema"] == "sae-bench-faults/1"
    rows = {(row["phase"], row["host_populates"]): row for row in report["results"]}
    assert list(rows[("first-touch", False)]) == list(Row.__dataclass_fields__)
    for row in rows.values():
        assert row["faults"] == 256
        assert 0 < row["p50_ns"] <= row["p99_ns"] <= row["max_ns"]
        assert row["minor"] + row["major"] == 256
    assert rows["first-touch", False]["major"] == 256
    assert rows["minor-young", False]["minor"] == 256
    assert [row["kind"] for row in report["exits"]] == ["mmio-write", "mmio-read", "hvc"]
    assert main([*arguments, "--phase", "refault"]) == 0
    shown = capsys.readouterr().out
    assert "Overall demand paging rate" not in shown
    assert "hvc: " in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pattern", "sideways"], "sideways"),
        (["--phase", "huge-split"], "huge-split"),
        (["--size", "5000"], "0x1388"),
        (["--repeat", "0"], "repeat 0"),
        (["--pattern", "trace:nowhere.csv"], "nowhere.csv"),
    ],
)
def test_bench_refuses(capsys, arguments, message):
    assert main(["bench", "faults", *arguments]) == 2
    assert message in failure(capsys, "bench")


@pytest.mark.parametrize("name", GUESTS)
def test_words_are_what_an_assembler_makes(name):
    lines = [text for _, text in GUESTS[name]]
    assert dict(zip(lines, assembled(lines), strict=True)) == {t: w for w, t in GUESTS[name]}


def test_the_script_is_installed():
    pyproject = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    assert 'sae = "saecore.cli:main"' in pyproject
