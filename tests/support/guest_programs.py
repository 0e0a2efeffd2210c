"""The guest programs of `tests/guests`, built by zig's C compiler, which pip installs.

`build` makes an ELF file for a guest; `native` runs the same C on this machine.
"""

import functools
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent / "guests"
#: Workloads, and how much each does in a test: some million instructions.
WORKLOADS = {
    "crc": 40_000, "sort": 2, "chase": 20_000, "mixed": 20_000, "bytes": 2, "fib": 22,
}  # fmt: skip
PROGRAMS = ("granule", "tasks", "demand", "pager", "modify", "mmio")
GRANULES = {"4k": 12, "16k": 14, "64k": 16}

_COMMON = ["-O2", "-Wall", "-Wextra", "-Werror", "-fno-sanitize=all", "-fno-stack-protector", "-g0"]
_GUEST = [
    "-target", "aarch64-freestanding-none", "-mcpu=generic-neon-fp_armv8",
    "-ffreestanding", "-nostdlib", "-static", "-fno-pic", "-Wl,--build-id=none",
    f"-Wl,-T,{ROOT / 'runtime' / 'link.ld'}",
]  # fmt: skip


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
    for path in sorted([*ROOT.rglob("*.[chS]"), *ROOT.rglob("*.ld"), Path(__file__)]):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _compile(sources, arguments):
    """Compile, unless that was done before; the file."""
    try:
        import ziglang
    except ImportError:
        raise NoToolchain("building guests needs the package ziglang") from None
    command = [str(argument) for argument in [*_COMMON, *arguments, *sources]]
    version = getattr(ziglang, "__file__", "")
    key = hashlib.sha256("\0".join([_sources_digest(), version, *command]).encode())
    target = _directory() / f"{sources[0].stem}-{key.hexdigest()[:16]}"
    if not target.exists():
        unfinished = target.with_suffix(f".{os.getpid()}")
        done = subprocess.run(
            [sys.executable, "-m", "ziglang", "cc", *command, "-o", str(unfinished)],
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
        One of `PROGRAMS` or `WORKLOADS`.
    scale : int, optional
        How much a workload does; 0 or left out: as in `WORKLOADS`.
    granule : str
        "4k", "16k" or "64k": of its stage-1 tables.
    """
    runtime = [ROOT / "runtime" / "start.S", ROOT / "runtime" / "runtime.c"]
    arguments = [*_GUEST, f"-DGRANULE_SHIFT={GRANULES[granule]}", "-mstrict-align"]
    if name in WORKLOADS:
        folder = ROOT / "workloads"
        sources = [folder / f"{name}.c", folder / "guest_glue.c"]
        arguments += [f'-DNAME="{name}"', f"-DSCALE={scale or WORKLOADS[name]}"]
    else:
        sources = [ROOT / "programs" / f"{name}.c"]
    return _compile([*sources, *runtime], [*arguments, *_includes("runtime", "workloads")])


@functools.cache
def native(name, scale=None):
    """Return what a workload answers on this machine, in 16 hexadecimal digits."""
    folder = ROOT / "workloads"
    sources = [folder / f"{name}.c", folder / "native_glue.c"]
    arguments = [f"-DSCALE={scale or WORKLOADS[name]}", *_includes("workloads")]
    program = _compile(sources, arguments)
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout.strip()
