"""`sae run`. Floor 10.

Exit codes: 0 the guest went off; 1 it ended in another way, or a file is malformed; 2 the command
line asks for what is not there; 3 it was stopped by --max-insns; 130 interrupted.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Final

from gmap._command import run_command
from gmap.errors import ConfigError
from gmap.layout._spec import parse_bytes
from gmap.trace import DEFAULT_WINDOW, RecordError
from saecore.kvm import KvmError
from saecore.machine._input import Input
from saecore.machine._machine import MEMORY, Machine, Outcome
from saecore.machine._pl011 import Pl011
from saecore.machine._pl031 import Pl031
from saecore.machine._recording import Recording
from saecore.machine.cpu import parse_cpu
from saecore.machine.devicetree import Extent
from saecore.machine.errors import MachineError, ProgramError
from saecore.machine.program import MAX_PROGRAM_BYTES, read_program

__all__ = ["add_parser"]

UART: Final = 0x0900_0000
RTC: Final = 0x0901_0000

_STOPPED: Final = 3
_TRACE_SLICE: Final = 100_000  # instructions between two visits to the recorder
_SUFFIXES: Final = {"K": "KiB", "M": "MiB", "G": "GiB", "T": "TiB"}
_HELP: Final = """\
Run a program: an ELF file for AArch64, a Linux Image, or a flat binary. Its console, a PL011 at
0x9000000, is standard input and output. It ends when the guest calls PSCI SYSTEM_OFF (HVC, X0 =
0x84000008).

  sae run program.elf
  sae run Image --mem 512M --bootargs 'console=ttyAMA0' --initrd rootfs.cpio.gz
  sae run program.bin --load-address 0x40000000 --max-insns 1000000 --stats
  sae run program.elf --trace program.csv.xz && gmap replay program.csv.xz --model guest
  sae run program.elf --snapshot program.npz && gmap profile program.npz
"""


def _memory(text: str) -> Extent:
    """Memory as ``SIZE`` or ``SIZE@ADDRESS``.

    >>> _memory("64M@0x80000000")
    Extent(start=2147483648, nbytes=67108864)
    """
    size, _, start = text.partition("@")
    try:
        return Extent(
            parse_bytes(start) if start else MEMORY.start,
            parse_bytes(size[:-1] + _SUFFIXES.get(size[-1:].upper(), size[-1:])),
        )
    except ConfigError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: use SIZE@ADDRESS; {error}") from None


def _address(text: str) -> int:
    try:
        return parse_bytes(text)
    except ConfigError:
        raise argparse.ArgumentTypeError(f"{text!r}: use an address such as 0x40080000") from None


def _count(text: str) -> int:
    if not text.replace("_", "").isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: use a number, 1 or more")
    return int(text)


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add `run` to a command line; the namespace's `run` does what was asked.

    Parameters
    ----------
    subparsers : object
        What `ArgumentParser.add_subparsers` returned.
    """
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "run",
        help="run an arm64 program",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("file", metavar="FILE", help="the program")
    add("--mem", type=_memory, default=MEMORY, metavar="SIZE[@ADDRESS]",
        help="guest memory (default: 64M@0x40000000)")  # fmt: skip
    add("--cpu", default="default", metavar="MODEL[,+F][,-F]",
        help="CPU model, and features with or without which; 'sae info' lists them")  # fmt: skip
    add("--clock", choices=("host", "insns"), default="host",
        help="what the guest's counter counts; with insns every run is the same")  # fmt: skip
    add("--load-address", type=_address, metavar="ADDRESS", help="of a flat binary or an Image")
    add("--entry", type=_address, metavar="ADDRESS", help="start there")
    add("--bootargs", default="", metavar="TEXT", help="the kernel's command line")
    add("--initrd", metavar="FILE", help="the kernel's initial memory disk")
    add("--no-fdt", action="store_true", help="make no device tree: X0 is 0")
    add("--max-insns", type=_count, metavar="N", help="stop after exactly N instructions")
    add("--trace", metavar="FILE",
        help="write the pages it accesses: .csv.xz, .csv.gz, .csv, .parquet")  # fmt: skip
    add("--filter", type=int, default=DEFAULT_WINDOW, metavar="N",
        help="of the trace, as in 'gmap trace record' (default: %(default)s)")  # fmt: skip
    add("--snapshot", metavar="FILE", help="save the gmap as it is at the end: .npz")
    add("--stats", action="store_true", help="say at the end what it took, on standard error")
    parser.set_defaults(run=_run)
    return parser


def _run(args: argparse.Namespace) -> int:
    return run_command(
        "run",
        lambda: _run_program(args),
        malformed=(ProgramError, MachineError, KvmError, RecordError),
        program="sae",
    )


def _run_program(args: argparse.Namespace) -> int:
    program = read_program(
        args.file, args.mem.start, load_address=args.load_address, entry=args.entry
    )
    initrd = b""
    if args.initrd:
        with open(args.initrd, "rb") as file:
            initrd = file.read(MAX_PROGRAM_BYTES)
    with ExitStack() as stack:
        recording = None
        if args.trace:
            recording = stack.enter_context(Recording(args.trace, window=args.filter))
        machine = stack.enter_context(Machine(args.mem, cpu=parse_cpu(args.cpu), clock=args.clock))
        machine.bus.attach(UART, Pl011(_print, Input(sys.stdin).read))
        machine.bus.attach(RTC, Pl031())
        machine.load(program, bootargs=args.bootargs, initrd=initrd, tree=not args.no_fdt)
        try:
            if recording is None:
                outcome = machine.run(args.max_insns)
            else:
                outcome = _run_recorded(machine, recording, args)
        finally:
            sys.stdout.flush()
        if args.snapshot:
            machine.vm.gmap.save(args.snapshot)
        if args.stats:
            _print_stats(machine, outcome)
    return _exit_code(outcome)


def _run_recorded(machine: Machine, recording: Recording, args: argparse.Namespace) -> Outcome:
    """Run, and write what was accessed, of an interrupted run too."""
    meta = {"program": os.path.basename(args.file), "command": shlex.join(sys.argv)}
    with machine.vm.trace() as recorder:
        ended: Mapping[str, str] = {"stopped": "interrupted"}
        try:
            outcome = machine.run(
                args.max_insns,
                each=lambda: recording.feed(recorder.take()),
                slice_insns=_TRACE_SLICE,
            )
            ended = {} if outcome.reason == "off" else {"stopped": outcome.reason}
        finally:
            recording.feed(recorder.take())
            recording.write({**meta, **ended})
    return outcome


def _print(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    if data == b"\n" or sys.stdout.isatty():
        sys.stdout.buffer.flush()


def _exit_code(outcome: Outcome) -> int:
    if outcome.reason == "off":
        return 0
    said = {
        "reset": "the guest asked for a reset",
        "crash": "the guest reported a crash",
        "budget": f"stopped after {outcome.insns} instructions",
    }[outcome.reason]
    print(f"sae run: {said}", file=sys.stderr)
    return _STOPPED if outcome.reason == "budget" else 1


def _print_stats(machine: Machine, outcome: Outcome) -> None:
    def line(name: str, text: str) -> None:
        print(f"{name + ':':<14} {text}", file=sys.stderr)

    stats = machine.vm.gmap.stats()
    line("instructions", f"{outcome.insns:,}")
    line("seconds", f"{outcome.seconds:.3f}")
    line("MIPS", f"{outcome.mips:.1f}")
    line("exits", ", ".join(f"{name} {n:,}" for name, n in outcome.exits.items()) or "none")
    line("faults", f"{stats['major']:,} major, {stats['minor']:,} minor")
    line("tables", f"{stats['table_bytes'] >> 10:,} KiB")
