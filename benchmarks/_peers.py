"""What gmap is compared with: a call that does nothing, and the walk as others do it.

The host kernel's own page faults are `gmap.bench.host_first_touch`.
"""

import functools
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Final

import numpy as np
from numpy.typing import NDArray

import gmap
from gmap._defs import (
    CRST_BITS,
    CRST_ENTRIES,
    CRSTE_I,
    PAGE_SHIFT,
    PAGE_SIZE,
    PT_BITS,
    PT_ENTRIES,
    PTE_I,
    SEGMENT_SHIFT,
)

__all__ = ["LevelByLevel", "NotMeasured", "empty_method", "walk_one_by_one"]

HERE: Final = Path(__file__).parent
_SETUP: Final = """
import gmap, numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

peer = Extension(
    "_peer", ["_peer.pyx"],
    include_dirs=[gmap.get_include(), numpy.get_include()],
    define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
    extra_compile_args=gmap.show_config(mode="dicts")["flags"].split(),
)
setup(name="peer", ext_modules=cythonize([peer]))
"""


class NotMeasured(Exception):
    """Something this needs is not here; the message says what."""


@functools.cache
def compiled() -> ModuleType:
    """Return `_peer.pyx`, compiled now, with the flags of the installed package."""
    with tempfile.TemporaryDirectory() as build:
        Path(build, "_peer.pyx").write_text((HERE / "_peer.pyx").read_text())
        Path(build, "setup.py").write_text(_SETUP)
        command = [sys.executable, "setup.py", "build_ext", "--inplace"]
        done = subprocess.run(command, cwd=build, capture_output=True, text=True)
        libraries = list(Path(build).glob("_peer.*.so"))
        if done.returncode or not libraries:
            raise NotMeasured("what is compared with needs a C compiler, Cython and setuptools")
        spec = importlib.util.spec_from_file_location("_peer", libraries[0])
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def empty_method() -> Callable[[], None]:
    """Return a bound method of a Cython class that does nothing."""
    method: Callable[[], None] = compiled().Peer().empty
    return method


def walk_one_by_one() -> Callable[..., None]:
    """Return a function that translates as `TwoLevel.translate` does, one walk at a time.

    It takes the pair, the addresses, and arrays for host addresses and for statuses. The walk
    is the package's own scalar one, with every check and no TLB; nothing overlaps but what the
    processor overlaps by itself.
    """
    function: Callable[..., None] = compiled().walk_one_by_one
    return function


class LevelByLevel:
    """The walk as one writes it in NumPy: all addresses of a chunk, one level at a time.

    Works on a copy of the tables, for a guest mapped in pages of 4 KiB.

    Parameters
    ----------
    g : Gmap
    chunk : int
        Addresses taken through all levels together; 32 Ki of them stay in the cache.
    """

    def __init__(self, g: gmap.Gmap, chunk: int = 1 << 15) -> None:
        self.chunk = chunk
        tables = g.tables()
        self.top: int = max(level for level, _ in tables)
        start = dict(zip(tables, np.cumsum([0, *(t.size for t in tables.values())]), strict=False))
        self.words = np.concatenate(list(tables.values()))
        self.first = np.uint64(start[self.top, 0])
        for (level, gfn), at in start.items():
            if level < self.top:
                shift = PT_BITS + CRST_BITS * (level + 1)  # of a gfn: what the entry above covers
                span = shift + CRST_BITS
                above = start[level + 1, gfn >> span << span]
                # The origin an s390 would follow is an address; here it counts words.
                entry = above + (gfn >> shift & (CRST_ENTRIES - 1))
                self.words[entry] |= np.uint64(at << PAGE_SHIFT)

    def __call__(self, gpa: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return host addresses, 0 where nothing is mapped."""
        starts = range(0, len(gpa), self.chunk)
        return np.concatenate([self._walk(gpa[at : at + self.chunk]) for at in starts])

    def _walk(self, gpa: NDArray[np.uint64]) -> NDArray[np.uint64]:
        table = np.full(len(gpa), self.first)
        valid = np.ones(len(gpa), dtype=np.bool_)
        for level in range(self.top, -1, -1):
            shift = np.uint64(SEGMENT_SHIFT + CRST_BITS * level)
            entry = self._look_up(table, gpa >> shift & np.uint64(CRST_ENTRIES - 1))
            valid &= entry & np.uint64(CRSTE_I) == 0
            table = entry >> np.uint64(PAGE_SHIFT)
        pte = self._look_up(table, gpa >> np.uint64(PAGE_SHIFT) & np.uint64(PT_ENTRIES - 1))
        valid &= pte & np.uint64(PTE_I) == 0
        offset = np.uint64(PAGE_SIZE - 1)
        return ((pte & ~offset) | (gpa & offset)) * valid

    def _look_up(self, table: NDArray[np.uint64], index: NDArray[np.uint64]) -> NDArray[np.uint64]:
        return self.words.take((table + index).view(np.intp), mode="clip")
