"""The guest programs of `tests/guests`, built by zig's C compiler, which pip installs.

`build` makes an ELF file for a guest; `native` runs the same C on this machine. `build_hosted` and
`native_hosted` do so for a program with a C library, built as anybody would build it. `assembled`
gives the words of some instructions.
"""

import functools
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from elftools.elf.elffile import ELFFile

ROOT = Path(__file__).parent.parent / "guests"
#: Workloads, and how much each does in a test: some million instructions.
WORKLOADS = {
    "crc": 40_000, "sort": 2, "chase": 20_000, "mixed": 20_000, "bytes": 2, "fib": 22,
}  # fmt: skip
#: The same of those that compute with floating-point and vector registers.
VECTOR_WORKLOADS = {
    "nbody": 400, "ints": 20, "doubles": 20, "aes": 12, "sha256": 12, "copy": 40, "strlen": 20,
}  # fmt: skip
#: Programs of Linux that compute and print.
HOSTED = ("strings", "maths", "compress", "json", "linear")
#: The same in C++, whose library the compiler takes minutes to build.
HOSTED_CPP = ("containers",)
PROGRAMS = ("granule", "tasks", "demand", "pager", "modify", "mmio")
GRANULES = {"4k": 12, "16k": 14, "64k": 16}

_COMMON = ["-Wall", "-Wextra", "-Werror", "-fno-sanitize=all", "-fno-stack-protector", "-g0"]
_TARGET = ["-target", "aarch64-freestanding-none"]
_GUEST = [
    *_TARGET,
    "-ffreestanding", "-nostdlib", "-static", "-fno-pic", "-Wl,--build-id=none",
    f"-Wl,-T,{ROOT / 'runtime' / 'link.ld'}",
]  # fmt: skip
#: A kernel leaves vector registers to its tasks; the MMU is off in its first instructions.
_INTEGER = ["-O2", "-mcpu=generic-neon-fp_armv8", "-mstrict-align"]
#: All that vectors can be made of, with the crypto extension; square roots set no errno.
_VECTOR = ["-O3", "-fno-math-errno", "-mcpu=generic+aes+sha2"]
_SOURCES = {".c", ".cpp", ".h", ".S", ".ld"}
_RUNTIME = [ROOT / "runtime" / "start.S", ROOT / "runtime" / "runtime.c"]


class NoToolchain(Exception):
    """zig's compiler is not installed."""


@functools.cache
def _directory():
    """Where what is built goes: one directory a user, so that a second run need not build."""
    found = Path(tempfile.gettempdir(), f"gmap-guests-{os.getuid()}")
    found.mkdir(mode=0o700, exist_ok=True)
    return found


@functools.cache
def _sources_digest():
    digest = hashlib.sha256()
    sources = (path for path in ROOT.rglob("*.*") if path.suffix in _SOURCES)
    for path in sorted([*sources, Path(__file__)]):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _compile(sources, arguments, embedded=b""):
    """Compile, unless that was done before; the file. `embedded`: what else goes into it."""
    try:
        import ziglang
    except ImportError:
        raise NoToolchain("building guests needs the package ziglang") from None
    command = [str(argument) for argument in [*arguments, *sources]]
    driver = "c++" if sources[0].suffix == ".cpp" else "cc"
    version = getattr(ziglang, "__file__", "")
    key = hashlib.sha256("\0".join([_sources_digest(), version, *command]).encode() + embedded)
    target = _directory() / f"{sources[0].stem}-{key.hexdigest()[:16]}"
    if not target.exists():
        unfinished = target.with_suffix(f".{os.getpid()}")
        done = subprocess.run(
            [sys.executable, "-m", "ziglang", driver, *command, "-o", str(unfinished)],
            capture_output=True, text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}:\n{done.stderr}")
        unfinished.rename(target)
    return target


def _includes(*folders):
    return [part for folder in folders for part in ("-I", ROOT / folder)]


def build(name, *, scale=None, granule="4k"):
    """Return the ELF file of a guest program or a workload.

    Parameters
    ----------
    name : str
        One of `PROGRAMS`, `WORKLOADS` or `VECTOR_WORKLOADS`.
    scale : int, optional
        How much a workload does; 0 or left out: as in its table.
    granule : str
        "4k", "16k" or "64k": of its stage-1 tables.
    """
    arguments = [*_COMMON, *_GUEST, f"-DGRANULE_SHIFT={GRANULES[granule]}"]
    arguments += _VECTOR if name in VECTOR_WORKLOADS else _INTEGER
    if name in PROGRAMS:
        sources = [ROOT / "programs" / f"{name}.c"]
    else:
        folder = ROOT / "workloads"
        sources = [folder / f"{name}.c", folder / "guest_glue.c"]
        arguments += [f'-DNAME="{name}"', f"-DSCALE={_scale(name, scale)}"]
    return _compile([*sources, *_RUNTIME], [*arguments, *_includes("runtime", "workloads")])


def assembled(lines):
    """The words of instructions, a line of assembly each."""
    text = "".join(f"{line}\n" for line in lines)
    source = _directory() / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.s"
    source.write_text(text)
    with _compile([source], [*_TARGET, "-c"]).open("rb") as file:
        code = ELFFile(file).get_section_by_name(".text").data()
    return [int.from_bytes(code[at : at + 4], "little") for at in range(0, len(code), 4)]


def _scale(name, scale):
    return scale or (WORKLOADS | VECTOR_WORKLOADS)[name]


def _output(program):
    """What a program of this machine prints."""
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout


@functools.cache
def native(name, scale=None):
    """Return what a workload answers on this machine, in 16 hexadecimal digits."""
    folder = ROOT / "workloads"
    sources = [folder / f"{name}.c", folder / "native_glue.c"]
    arguments = [*_COMMON, "-O2", f"-DSCALE={_scale(name, scale)}", *_includes("workloads")]
    return _output(_compile(sources, [*arguments, "-lm"])).strip()


def _hosted(name):
    return ROOT / "hosted" / (f"{name}.cpp" if name in HOSTED_CPP else f"{name}.c")


def build_hosted(name, *flags):
    """Return the ELF file of a guest that runs a program of `HOSTED` under a small kernel.

    Nothing but `flags` tells the compiler how to build the program; its C library is the
    compiler's own, which it builds when it is first asked for it: that takes a minute.
    """
    program = _compile([_hosted(name)], ["-target", "aarch64-linux-musl", "-static", *flags])
    sources = [ROOT / "hosted" / "kernel.c", ROOT / "hosted" / "image.S", *_RUNTIME]
    arguments = [*_COMMON, *_GUEST, *_INTEGER, *_includes("runtime"), f'-DIMAGE="{program}"']
    return _compile(sources, arguments, program.read_bytes())


@functools.cache
def native_hosted(name, *flags):
    """Return what a program of `HOSTED` prints on this machine."""
    return _output(_compile([_hosted(name)], [*flags, "-lm"]))
