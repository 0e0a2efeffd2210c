"""The processor beside Unicorn and icicle-emu: workloads, exits, faults; and the speed table."""

import json
from contextlib import closing

import guest_programs
import pytest
from _peers import NotMeasured
from _sae_measure import QUICK, SaeGuest, SaeScale, guest_file, instructions
from _sae_peers import IcicleWork, UnicornGuest
from _sae_rows import VECTOR_WORKLOADS, WORKLOADS, means
from sae import SCHEMA, main

from gmap.bench.phases import PHASES
from gmap.bench.workloads import workload
from saecore import kvm
from saecore.bench._guest import VmGuest
from saecore.bench.faults import ExitLoop

#: A second for everything.
TINY = SaeScale(
    work=(("crc", 20_000), ("sort", 1), ("chase", 2_000), ("mixed", 5_000), ("bytes", 1),
          ("fib", 18), ("nbody", 20), ("ints", 1), ("doubles", 1), ("aes", 1), ("sha256", 1),
          ("copy", 2), ("strlen", 1)),
    exits=200, peer_exits=20, pages=64, icicle_pages=16, unicorn_pages=16, rounds=1,
)  # fmt: skip


@pytest.fixture
def guest(request):
    """A workload's file and its parsed form; skipped where it cannot be built."""

    def find(name):
        scale = QUICK if request.config.getoption("benchmark_enable", False) else TINY
        try:
            return (*guest_file(name, dict(scale.work)[name]), dict(scale.work)[name])
        except NotMeasured as missing:
            pytest.skip(str(missing))

    return find


@pytest.mark.parametrize("name", [*WORKLOADS, *VECTOR_WORKLOADS])
def test_workload(benchmark, note, guest, name):
    benchmark.group = f"workload/{name}"
    path, _, scale = guest(name)
    machines = []

    def setup():
        machines.append(SaeGuest(path))
        return (machines[-1],), {}

    benchmark.pedantic(SaeGuest.work_ns, setup=setup, rounds=3)
    note(instructions(name, scale), "insn")
    for machine in machines:
        machine.close()


@pytest.mark.parametrize("name", [*WORKLOADS, *VECTOR_WORKLOADS])
def test_workload_in_unicorn(benchmark, note, guest, name):
    benchmark.group = f"workload/{name}"
    _, file, scale = guest(name)
    try:
        machine = benchmark.pedantic(
            UnicornGuest.work_ns, setup=lambda: ((UnicornGuest(file),), {}), rounds=3
        )
    except NotMeasured as missing:
        pytest.skip(str(missing))
    assert machine > 0
    note(instructions(name, scale), "insn", peer=True)


@pytest.mark.parametrize("kind", ["mmio-write", "mmio-read", "hvc"])
def test_exits(benchmark, note, kind):
    benchmark.group = "exits"
    with kvm.System() as system:
        loop = ExitLoop(system, kind)
        benchmark(loop.time, 1000)
    note(1000, "exit")


@pytest.mark.parametrize("pattern", ["sequential", "random"])
def test_first_touches(benchmark, note, pattern):
    benchmark.group = "guest faults"
    load = workload(pattern, "4k", 4 << 20)
    with kvm.System() as system:

        def setup():
            guest = VmGuest(system, load, populate=True)
            return (guest, PHASES["first-touch"].prepare(guest)), {}

        benchmark.pedantic(VmGuest.touch, setup=setup, rounds=3)
    note(len(load.gfns), "fault")


# --- the table ------------------------------------------------------------------------------


def test_all_three_answer_the_same(guest):
    """Ours, Unicorn's and icicle's answers are those of the native program."""
    for name in WORKLOADS:
        path, file, scale = guest(name)
        with closing(SaeGuest(path)) as ours:
            ours.work_ns()
            answer = ours.answer()
        assert answer == f"{int(answer, 16):016x}"
        try:
            unicorn, icicle = UnicornGuest(file), IcicleWork(file, scale)
        except NotMeasured as missing:
            pytest.skip(str(missing))
        unicorn.work_ns()
        icicle.work_ns()
        assert unicorn.console.decode().split()[-1] == answer
        assert f"{icicle.answer:016x}" == answer
        # Ours has the call and the console's first instructions as well.
        assert 0 <= ours.insns - icicle.insns < 100


def test_unicorn_answers_the_same(guest):
    """`instructions` compares ours with the native program."""
    for name in VECTOR_WORKLOADS:
        _, file, scale = guest(name)
        assert instructions(name, scale) > 0
        unicorn = UnicornGuest(file)
        unicorn.work_ns()
        assert unicorn.console.decode().split()[-1] == guest_programs.native(name, scale)


def test_the_table(tmp_path, capsys):
    path = tmp_path / "sae.json"
    assert main(["--json", str(path)], scale=TINY) == 0
    shown = capsys.readouterr().out
    assert "geometric mean" in shown
    document = json.loads(path.read_text())
    assert document["schema"] == SCHEMA
    rows = {row["name"]: row for row in document["rows"]}
    assert {f"workload/{name}/unicorn" for name in [*WORKLOADS, *VECTOR_WORKLOADS]} < set(rows)
    for row in rows.values():
        assert row["status"] == "not measured" or row["value"] > 0
        if row["status"] != "not measured":
            assert len(row["pairs"]) >= 1


def test_one_row(capsys):
    assert main(["--only", "exit/mmio/ns"], scale=TINY) == 0
    assert "Integer" not in capsys.readouterr().out


def test_no_such_row(capsys):
    with pytest.raises(SystemExit):
        main(["--only", "workload/nothing"])
    assert "workload/nothing" in capsys.readouterr().err


def test_no_mean_of_a_part():
    assert {result.status for result in means([])} == {"not measured"}
