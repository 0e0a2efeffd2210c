"""What a machine takes for a program, where it puts it, and what it refuses."""

import gzip
import struct

import fdt
import numpy as np
import pytest
from guest_programs import build
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gmap.errors import ConfigError, GmapError
from saecore import kvm
from saecore.machine import (
    MEMORY,
    Extent,
    Machine,
    Pl011,
    Pl031,
    Program,
    ProgramError,
    Segment,
    build_tree,
    read_program,
)  # fmt: skip

START = 0x4000_0000
MIB = 1 << 20


@pytest.fixture
def write(tmp_path):
    def write(data, name="program"):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


def elf(*, machine=183, kind=2, entry=0x40080000, segments=((0x40080000, 0x40080000, b"code", 8),),
        bits=2, order=1):  # fmt: skip
    """An ELF file with program headers only: (vaddr, paddr, bytes, size in memory)."""
    sign = "<" if order == 1 else ">"
    at = 64 + 56 * len(segments)
    head = b"\x7fELF" + bytes([bits, order, 1]) + bytes(9)
    head += struct.pack(sign + "HHIQQQIHHHHHH", kind, machine, 1, entry, 64, 0, 0, 64, 56,
                        len(segments), 64, 0, 0)  # fmt: skip
    body = b""
    for vaddr, paddr, data, size in segments:
        head += struct.pack(sign + "IIQQQQQQ", 1, 7, at + len(body), vaddr, paddr, len(data), size,
                            4096)  # fmt: skip
        body += data
    return head + body


def image(*, text_offset=0, size=0x3000, flags=0xA, code=b"\x00" * 64):
    head = struct.pack("<IIQQQQQQ4sI", 0x14000010, 0, text_offset, size, flags, 0, 0, 0,
                       b"ARM\x64", 0)  # fmt: skip
    return head + code


# --- what is read ---------------------------------------------------------------------------


def test_elf_by_physical_addresses(write):
    """A kernel's virtual addresses are elsewhere: its entry is translated."""
    high = 0xFFFF_8000_0008_0000
    data = elf(entry=high + 4, segments=(
        (high, 0x40080000, b"text", 8), (high + 0x1000, 0x40200000, b"", 0x100),
        (high + 0x2000, 0x40300000, b"", 0),
    ))  # fmt: skip
    program = read_program(write(data), START)
    assert program == Program("elf", 0x40080004, (
        Segment(0x40080000, b"text", 8), Segment(0x40200000, b"", 0x100),
    ))  # fmt: skip
    assert (program.start, program.end) == (0x40080000, 0x40200100)


def test_position_independent_elf(write):
    data = elf(kind=3, entry=0x10, segments=((0, 0, b"text", 4), (0x1000, 0x1000, b"data", 4)))
    data = data.replace(struct.pack("<Q", 0x10), struct.pack("<Q", 0), 1)
    program = read_program(write(data), START, load_address=0x4100_0000)
    assert program.entry == 0x4100_0000
    assert [segment.address for segment in program.segments] == [0x4100_0000, 0x4100_1000]


def test_compiled_elf(write):
    path = build("crc")
    program = read_program(path, START)
    assert (program.kind, program.entry) == ("elf", 0x40080000)
    assert read_program(write(gzip.compress(path.read_bytes())), START) == program


@pytest.mark.parametrize(
    ("text_offset", "load_address", "expected"),
    [
        (0, None, 0x4020_0000),
        (0x80000, None, 0x4028_0000),
        (0, 0x4400_0000, 0x4400_0000),
        (0x80000, 0x4408_0000, 0x4408_0000),
    ],
)
def test_image(write, text_offset, load_address, expected):
    data = image(text_offset=text_offset)
    program = read_program(write(data), START, load_address=load_address)
    assert program == Program("image", expected, (Segment(expected, data, 0x3000),))


def test_image_before_it_said_its_size(write):
    program = read_program(write(image(size=0)), START)
    assert program.segments[0].nbytes == 128
    assert program.entry == 0x4028_0000


def test_flat_binary(write):
    path = write(b"\x1f\x20\x03\xd5" * 3)
    assert read_program(path, START) == Program(
        "flat", 0x40080000, (Segment(0x40080000, path.read_bytes(), 12),)
    )
    program = read_program(path, START, load_address=0x4100_0000, entry=0x4100_0008)
    assert (program.start, program.entry) == (0x4100_0000, 0x4100_0008)


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (b"", {}, "empty"),
        (elf(machine=62), {}, "EM_X86_64"),
        (elf(order=2), {}, "big-endian"),
        (elf(kind=1), {}, "ET_REL"),
        (elf(), {"load_address": 0x40000000}, "says itself where it goes"),
        (elf(segments=()), {}, "no segment"),
        (elf(entry=0x40080008), {}, "has nothing"),
        (elf()[:90], {}, "damaged"),
        (elf()[:-2], {}, "ends outside"),
        (elf(segments=((0, 0, b"12345678", 4),)), {}, "ends outside"),
        (b"\x7fELF", {}, "damaged"),
        (image(flags=1), {}, "big-endian"),
        (image(size=1 << 40), {}, "damaged Image header"),
        (image(), {"load_address": 0x4000_1000}, "multiple of 2 MiB"),
        (b"\x1f\x8b\x08nothing", {}, "gzip"),
        (gzip.compress(b"x" * 1000)[:-12], {}, "gzip"),
        (b"code", {"entry": 0x40080002}, "no instruction"),
    ],
)
def test_a_file_that_is_no_program(write, data, options, message):
    with pytest.raises(ProgramError, match=message):
        read_program(write(data), START, **options)


@given(data=st.binary(max_size=400), where=st.integers(0, 200), base=st.sampled_from(
    [elf(), elf(segments=((0, 0, b"a", 1),) * 3), image()]))  # fmt: skip
@settings(max_examples=100, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
def test_a_damaged_file_is_refused_or_a_program(write, base, data, where):
    """Whatever the bytes: a program, or the documented error."""
    path = write(base[:where] + data + base[where + len(data) :])
    try:
        program = read_program(path, START)
    except ProgramError:
        return
    with Machine(Extent(START, MIB)) as machine:
        try:
            machine.load(program)
        except GmapError:
            return
        assert machine.vcpu.get_one_reg(kvm.reg.PC) == program.entry


# --- what goes into memory ------------------------------------------------------------------


def load(program, **options):
    machine = Machine()
    machine.bus.attach(0x0900_0000, Pl011(lambda data: None))
    machine.bus.attach(0x0901_0000, Pl031())
    machine.ram[:] = 0xEE
    machine.load(program, **options)
    return machine


def tree_of(machine):
    at = machine.vcpu.get_one_reg(kvm.reg.X(0)) - START
    return fdt.parse_dtb(machine.ram[at:].tobytes())


def test_the_state_at_the_entry():
    program = Program("flat", 0x40080010, (Segment(0x40080000, b"data", 12),))
    with load(program, initrd=b"disk", bootargs="quiet") as machine:
        assert machine.ram[0x80000:0x80010].tobytes() == b"data" + bytes(8) + b"\xee" * 4
        assert machine.ram[0x81000:0x81005].tobytes() == b"disk\xee"
        assert machine.vcpu.get_one_reg(kvm.reg.PC) == 0x40080010
        assert machine.vcpu.get_one_reg(kvm.reg.PSTATE) == 0x3C5
        assert machine.vcpu.get_one_reg(kvm.reg.X(0)) == START
        tree = tree_of(machine)
    assert tree.get_property("bootargs", "/chosen").value == "quiet"
    assert list(tree.get_property("linux,initrd-start", "/chosen")) == [0, 0x40081000]
    assert list(tree.get_property("linux,initrd-end", "/chosen")) == [0, 0x40081004]
    assert list(tree.get_property("reg", "/memory@40000000")) == [0, START, 0, MEMORY.nbytes]
    path = tree.get_property("stdout-path", "/chosen").value
    assert tree.get_property("compatible", path).value == "arm,sbsa-uart"
    assert list(tree.get_property("reg", path)) == [0, 0x0900_0000, 0, 0x1000]
    assert tree.get_property("method", "/psci").value == "hvc"


def test_a_program_at_the_start_of_memory():
    """The device tree goes behind it, where a kernel can map it by one block of 2 MiB."""
    for nbytes, where in ((3 * MIB + 1, 3 * MIB + 8), (4 * MIB - 9, 4 * MIB)):
        with load(Program("flat", START, (Segment(START, b"data", nbytes),))) as machine:
            assert machine.vcpu.get_one_reg(kvm.reg.X(0)) == START + where
            assert tree_of(machine).exist_node("/cpus/cpu@0")


def test_no_tree():
    with load(Program("flat", START, (Segment(START, b"data", 4),)), tree=False) as machine:
        assert machine.vcpu.get_one_reg(kvm.reg.X(0)) == 0
        assert (machine.ram[4:] == 0xEE).all()


@pytest.mark.parametrize(
    ("segment", "options", "message"),
    [
        (Segment(START - 4, b"12345678", 8), {}, "the program"),
        (Segment(START + 64 * MIB - 4, b"12", 8), {}, "the program"),
        (Segment(1 << 63, b"", 1 << 63), {}, "the program"),
        (Segment(START, b"", 64 * MIB), {}, "the device tree"),
        (Segment(START, b"", 64 * MIB), {"initrd": b"1", "tree": False}, "the initrd"),
        (Segment(START, b"1", 1), {"bootargs": "caf\xe9"}, "ASCII"),
    ],
)
def test_what_does_not_fit(segment, options, message):
    with Machine() as machine, pytest.raises(ConfigError, match=message):
        machine.load(Program("flat", START, (segment,)), **options)


@pytest.mark.parametrize(
    "memory",
    [Extent(START, 0), Extent(START, 4095), Extent(START + 1, 4096), Extent(-4096, 4096),
     Extent((1 << 48) - 4096, 8192)],
)  # fmt: skip
def test_memory_that_cannot_be(memory):
    with pytest.raises(ConfigError, match="memory"):
        Machine(memory)


def test_high_memory():
    with Machine(Extent((1 << 44) - MIB, MIB)) as machine:
        machine.write((1 << 44) - 4, b"last")
        assert machine.ram[-4:].tobytes() == b"last"


def test_a_tree_is_what_another_library_reads():
    libfdt = pytest.importorskip("libfdt")
    tree = libfdt.Fdt(build_tree([Extent(START, MIB)], [], bootargs="a b", cpus=3))
    cpus = tree.path_offset("/cpus")
    assert tree.getprop(cpus, "#address-cells").as_uint32() == 1
    assert tree.getprop(tree.path_offset("/cpus/cpu@2"), "reg").as_uint32() == 2
    memory = tree.getprop(tree.path_offset("/memory@40000000"), "reg")
    assert np.frombuffer(bytes(memory), ">u8").tolist() == [START, MIB]
    assert tree.getprop(tree.path_offset("/chosen"), "bootargs").as_str() == "a b"
