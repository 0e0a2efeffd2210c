"""The console and the clock, register by register."""

import io
import os

import pytest

from gmap.errors import ConfigError
from saecore.machine import Bus, Pl011, Pl031, PrimeCell
from saecore.machine._input import Input

DR, FR, IBRD, IMSC, RIS, MIS = 0x00, 0x18, 0x24, 0x38, 0x3C, 0x40
TX_EMPTY, RX_EMPTY, RX_INTERRUPT, TX_INTERRUPT = 1 << 7, 1 << 4, 1 << 4, 1 << 5


class Keeps(PrimeCell):
    """Registers that keep what they are given, and count their reads."""

    def __init__(self):
        super().__init__("keeps", (0x11, 0x22, 0x33, 0x44))
        self.words = {}

    def load(self, offset):
        return self.words.get(offset, 0)

    def store(self, offset, value):
        self.words[offset] = value


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_every_width_sees_the_same_bytes(size):
    """As if it were memory, two registers long."""
    cell, memory = Keeps(), bytearray(16)
    for at in range(0, 16, size):
        value = 0x8182838485868788 >> 8 * (8 - size) ^ at
        cell.write(at, size, value)
        memory[at : at + size] = value.to_bytes(size, "little")
    for width in (1, 2, 4, 8):
        for at in range(0, 16, width):
            expected = int.from_bytes(memory[at : at + width], "little")
            assert cell.read(at, width) == expected, (at, width)


def test_identity():
    assert [Keeps().read(0xFE0 + 4 * i, 4) for i in range(8)] == [
        0x11, 0x22, 0x33, 0x44, 0x0D, 0xF0, 0x05, 0xB1,
    ]  # fmt: skip


def test_what_a_guest_sends():
    sent = []
    uart = Pl011(sent.append)
    for size in (1, 2, 4):
        uart.write(DR, size, 0x141 & ((1 << 8 * size) - 1))
    assert sent == [b"A", b"A", b"A"]


def test_what_a_guest_receives():
    """Bytes come in order; flags and interrupt status follow."""
    pieces = iter([b"", b"ab", b"c", b""])
    uart = Pl011(lambda data: None, lambda: next(pieces, b""))
    assert uart.read(FR, 4) == TX_EMPTY | RX_EMPTY
    assert uart.read(FR, 4) == TX_EMPTY
    assert [uart.read(DR, 4) for _ in range(2)] == [ord("a"), ord("b")]
    uart.write(IMSC, 4, RX_INTERRUPT)
    assert (uart.read(RIS, 4), uart.read(MIS, 4)) == (RX_INTERRUPT | TX_INTERRUPT, RX_INTERRUPT)
    assert uart.read(DR, 1) == ord("c")
    assert (uart.read(DR, 4), uart.read(RIS, 4)) == (0, TX_INTERRUPT)


def test_only_the_bits_there_are_stay():
    uart = Pl011(lambda data: None)
    uart.write(IBRD, 4, 0xFFFFFFFF)
    uart.write(0x800, 4, 0xFFFFFFFF)
    assert (uart.read(IBRD, 4), uart.read(0x800, 4)) == (0xFFFF, 0)


def test_the_clock():
    now = [100.9]
    rtc = Pl031(clock=lambda: now[0])
    assert rtc.read(0, 4) == 100
    rtc.write(8, 4, 0xFFFFFFFF)
    assert rtc.read(0, 4) == 0xFFFFFFFF
    now[0] += 2
    assert rtc.read(0, 4) == 1
    rtc.write(0, 4, 77)
    assert rtc.read(0, 4) == 1


def test_a_bus_finds_what_is_there():
    bus, first, second = Bus(), Keeps(), Keeps()
    bus.attach(0x1000, first)
    bus.attach(0x2000, second)
    bus.write(0x1FFC, 4, 1)
    bus.write(0x2000, 4, 2)
    assert (first.words, second.words) == ({0xFFC: 1}, {0: 2})
    assert bus.read(0xFFF, 1) is None
    assert bus.read(0x3000, 1) is None
    assert not bus.write(0x3000, 1, 0)


@pytest.mark.parametrize("address", [0x1, 0xFFF, 0x1000, 0x1FFF])
def test_two_devices_cannot_be_in_one_place(address):
    bus = Bus()
    bus.attach(0x1000, Keeps())
    with pytest.raises(ConfigError, match="keeps at 0x1000"):
        bus.attach(address, Keeps())
    assert len(bus.devices()) == 1


def test_input_comes_as_it_is_written(monkeypatch):
    """Not waited for, and over at the end of the file."""
    monkeypatch.setattr("saecore.machine._input._PAUSE_NS", 0)
    reading, writing = os.pipe()
    with open(reading) as file:
        read = Input(file).read
        assert read() == b""
        os.write(writing, b"one")
        assert read() == b"one"
        os.write(writing, b"two")
        os.close(writing)
        assert [read(), read(), read()] == [b"two", b"", b""]


def test_a_text_is_no_input():
    assert Input(io.StringIO("text")).read() == b""


def test_a_closed_file_is_no_input():
    reading, writing = os.pipe()
    os.close(writing)
    file = open(reading)  # noqa: SIM115
    file.close()
    assert Input(file).read() == b""
