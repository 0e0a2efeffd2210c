"""Programs with a C library, built by an unmodified compiler: what they print is what they print
natively.

Nothing tells the compiler what the machine can do. Their C library is a whole one (musl); the
kernel under them is in `hosted/kernel.c`. The workloads of the vector rows of the speed table are
here as well, whose answers are those of the same C run natively.
"""

import capstone
import pytest
from elftools.elf.elffile import ELFFile
from guest_programs import (
    HOSTED,
    HOSTED_CPP,
    VECTOR_WORKLOADS,
    build,
    build_hosted,
    native,
    native_hosted,
)

from saecore.machine import Machine, Pl011, read_program

UART = 0x0900_0000
LIMIT = 1_000_000_000
#: Mnemonics that say a compiler has made vectors, or used the crypto extension.
EXPECTED = {
    "nbody": {"fmadd", "fdiv", "fsqrt"},
    "ints": {"smin", "cmgt", "uaddw"},
    "doubles": {"fmla", "fsqrt", "fcmgt", "fcvtzs", "scvtf"},
    "aes": {"aese", "aesmc", "aesd", "aesimc"},
    "sha256": {"sha256h", "sha256h2", "sha256su0", "sha256su1"},
    "copy": {"ld1", "st1"},
    "strlen": {"cmeq", "shrn"},
}


def run(path):
    """Run a guest to its end; what it printed."""
    printed = bytearray()
    with Machine() as machine:
        machine.bus.attach(UART, Pl011(printed.extend))
        machine.load(read_program(path, machine.memory.start))
        outcome = machine.run(LIMIT)
    assert outcome.reason == "off", bytes(printed)
    return printed.decode()


def mnemonics(path):
    """The instructions of a workload's `work`, and what it calls."""
    with path.open("rb") as file:
        text = ELFFile(file).get_section_by_name(".text")
        words, where = text.data(), text["sh_addr"]
    engine = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
    engine.skipdata = True
    return {insn[2] for insn in engine.disasm_lite(words, where)}


@pytest.mark.parametrize("flags", [(), ("-O2",)], ids=["plain", "O2"])
@pytest.mark.parametrize("name", HOSTED)
def test_program(name, flags):
    printed = run(build_hosted(name, *flags))
    assert printed == f"hosted: start\n{native_hosted(name, *flags)}hosted: {0:016x}\n"


@pytest.mark.campaign
@pytest.mark.parametrize("name", HOSTED_CPP)
def test_program_in_cpp(name):
    test_program(name, ("-O2",))


@pytest.mark.parametrize("name", VECTOR_WORKLOADS)
def test_workload(name):
    assert run(build(name)) == f"{name}: start\n{name}: {native(name)}\n"


@pytest.mark.parametrize("name", VECTOR_WORKLOADS)
def test_the_compiler_made_vectors(name):
    """Or the workload would not measure what it is there for."""
    assert mnemonics(build(name)) >= EXPECTED[name]
