"""Every guest program says what it should.

What that is comes from elsewhere: for the workloads from the same C run natively, for the others
from the few lines of Python beside each.
"""

import numpy as np
import pytest
from guest_programs import GRANULES, WORKLOADS, build, native

from saecore import kvm
from saecore.machine import Machine, Pl011, Pl031, read_program

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
UART, RTC = 0x0900_0000, 0x0901_0000
LIMIT = 500_000_000


def run(name, **options):
    """Run a guest; what it prints, the machine, and how it ended."""
    path = build(name, **options)
    printed = bytearray()
    with Machine() as machine:
        machine.bus.attach(UART, Pl011(printed.extend))
        machine.bus.attach(RTC, Pl031(clock=lambda: 1000))
        machine.load(read_program(path, machine.memory.start))
        outcome = machine.run(LIMIT)
        faults = machine.vm.gmap.stats()["major"]
    assert outcome.reason == "off", bytes(printed)
    return printed.decode(), faults, outcome


def said(name, result, *lines):
    """What a guest prints when all is well."""
    return "".join(f"{line}\n" for line in (f"{name}: start", *lines, f"{name}: {result:016x}"))


@pytest.mark.parametrize("name", WORKLOADS)
def test_workload(name):
    printed, _, _ = run(name)
    assert printed == said(name, int(native(name), 16))


@pytest.mark.parametrize("granule", GRANULES)
def test_start_up(granule):
    printed, _, _ = run("granule", granule=granule)
    assert printed == said("granule", 0x1111 + 0x2222 + 2, f"{1 << GRANULES[granule]} bytes a page")


@pytest.mark.parametrize("granule", GRANULES)
def test_tasks(granule):
    """Task 1 ("b") is ended in its third turn, after it has added 202."""
    printed, _, _ = run("tasks", granule=granule)
    total = sum(100 + i for i in range(4)) + sum(200 + i for i in range(3))
    total += sum(300 + i for i in range(4))
    assert printed == said("tasks", total, "abcabcab!cac")


@pytest.mark.parametrize("granule", GRANULES)
def test_demand_paging(granule):
    expected = 0
    for page in range(2048):
        expected = (expected * 31 + (page * GOLDEN + 1)) & MASK
    printed, faults, outcome = run("demand", granule=granule)
    assert printed == said("demand", expected)
    # One for each page, and those of the program and its tables; all without an exit to Python.
    assert 2048 < faults < 2048 + 400
    assert set(outcome.exits) == {"Mmio", "SystemEvent"}


def pager(granule_bytes):
    """The guest pager as a model: what it counts, and its result."""
    pages, frames, words = 64, 16, granule_bytes // 8
    memory = np.zeros((pages, words), np.uint64)
    resident, used, dirty = [], set(), set()
    count = dict.fromkeys(("missing", "unused", "clean", "written back"), 0)

    def touch(page, write):
        if page not in resident:
            count["missing"] += 1
            if len(resident) == frames:
                out = resident.pop(0)
                count["written back"] += out in dirty
                used.discard(out)
                dirty.discard(out)
            resident.append(page)
        if page not in used:
            count["unused"] += 1
            used.add(page)
        if write and page not in dirty:
            count["clean"] += 1
            dirty.add(page)

    total = 0
    for turn in range(1, 4):
        for page in range(pages):
            touch(page, False)
            if page % 4 == 0:
                total += int(memory[page, 1])
            else:
                touch(page, True)
                memory[page, turn] += np.uint64(page * turn + int(memory[page, turn - 1]))
    for page in reversed(range(pages)):
        touch(page, False)
        for i in range(4):
            total = (total * 31 + int(memory[page, i])) & MASK
    return ", ".join(f"{what} {n}" for what, n in count.items()), total


@pytest.mark.parametrize("granule", GRANULES)
def test_paging_by_the_guest(granule):
    printed, _, _ = run("pager", granule=granule)
    line, total = pager(1 << GRANULES[granule])
    assert printed == said("pager", total, line)


def test_self_modifying_code():
    expected = sum(range(2000))
    for n in range(1, 65):
        expected = (expected * 3 + n + n * (n - 1) // 2) & MASK
    printed, _, _ = run("modify")
    assert printed == said("modify", expected + 501 * 7)


def test_devices():
    expected = 0
    for i in range(1000):
        expected = (expected * 31 + (i * 2654435761 & 0xFFFFFFFF)) & MASK
    printed, _, outcome = run("mmio")
    assert printed == said("mmio", expected)
    assert outcome.exits["Mmio"] > 2000


def test_the_same_run_twice():
    """The same instructions, exits and output; and a run in pieces is the same again."""
    first, second = run("pager"), run("pager")
    assert first[0] == second[0]
    assert (first[2].insns, first[2].exits) == (second[2].insns, second[2].exits)
    printed = bytearray()
    with Machine() as machine:
        machine.bus.attach(UART, Pl011(printed.extend))
        machine.load(read_program(build("pager"), machine.memory.start))
        insns, reason = 0, "budget"
        while reason == "budget":
            outcome = machine.run(7001)
            insns, reason = insns + outcome.insns, outcome.reason
    assert (printed.decode(), insns) == (first[0], first[2].insns)


def test_a_budget_is_exact():
    with Machine() as machine:
        machine.bus.attach(UART, Pl011(lambda data: None))
        machine.load(read_program(build("fib"), machine.memory.start))
        for n in (1, 2, 3, 1000, 12345):
            outcome = machine.run(n)
            assert (outcome.reason, outcome.insns) == ("budget", n)
        assert isinstance(machine.vcpu.run(max_insns=1), kvm.Budget)
