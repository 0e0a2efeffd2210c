"""Imports and cimports only ever point down the floors of docs/design.md."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Floor of every module; packages stand for all that is in them.
FLOORS = {
    "gmap._defs": 0,
    "gmap.errors": 0,
    "gmap.dtypes": 0,
    "gmap._address": 0,
    "gmap._arguments": 0,
    "gmap._atomic": 0,
    "gmap._config": 0,
    "gmap._geometry": 0,
    "gmap._histogram": 0,
    "gmap._ipa": 0,
    "gmap._memory": 0,
    "gmap._native": 0,
    "gmap._sync": 0,
    "gmap.ipa": 0,
    "gmap._status": 0,
    "gmap._walk": 1,
    "gmap._walk_batch": 1,
    "gmap._stage1": 1,
    "gmap._ufunc": 1,
    "gmap._tlb": 2,
    "gmap._tables": 2,
    "gmap._slots": 2,
    "gmap._regions": 2,
    "gmap._host": 2,
    "gmap._synthetic": 2,
    "gmap._buffer": 2,
    "gmap._gmap": 3,
    "gmap._memslots": 3,
    "gmap._faultin": 3,
    "gmap._faults": 3,
    "gmap._inspect": 3,
    "gmap._translate": 3,
    "gmap._space": 3,
    "gmap._explain": 3,
    "gmap._nested": 3,
    "gmap._nested_batch": 3,
    "gmap._readable": 3,
    "gmap._runs": 3,
    "gmap._snapshot": 3,
    "gmap._capi": 3,
    "gmap.snapshot": 3,
    "gmap": 4,
    "gmap.reference": 4,
    "gmap.layout": 4,
    "gmap.dumps": 4,
    "gmap.profiling": 4,
    "gmap.explaining": 4,
    "gmap._numba": 4,
    "gmap.models": 4,
    "gmap.trace": 4,
    "gmap.bench": 4,
    "gmap.__main__": 5,
    "gmap._command": 5,
    "gmap.cli": 5,
    "gmap.trace.cli": 5,
    "gmap.trace._progress": 5,
    "gmap.dumps.cli": 5,
    "gmap.explaining.cli": 5,
    "gmap.models.cli": 5,
    "gmap.profiling.cli": 5,
    "gmap.bench.cli": 5,
    "saecore._defs": 6,
    "saecore._layout": 6,
    "saecore._block": 6,
    "saecore._cpu": 6,
    "saecore._idregs": 6,
    "saecore._pe": 6,
    "saecore._processor": 6,
    "saecore._sysregs": 6,
    "saecore._sysreg_codes": 6,
    "saecore.a64": 7,
    "saecore._bti": 7,
    "saecore._debug": 7,
    "saecore._exceptions": 7,
    "saecore._mmu": 7,
    "saecore._pauth": 7,
    "saecore._system": 7,
    "saecore._timer": 7,
    "saecore._loop": 8,
    "saecore._sae": 8,
    "saecore": 8,
    "saecore.kvm": 9,
    "saecore.machine": 10,
    "saecore.bench": 10,
    "saecore.cli": 10,
}

CIMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+c?import\s+(.*)|c?import\s+([\w.]+))")


def floor_of(module):
    """Floor of a module or of something in it; None outside the two packages."""
    if module.split(".")[0] not in ("gmap", "saecore"):
        return None
    name = module
    while name not in FLOORS:
        name, _, _ = name.rpartition(".")
    # A module of a package is placed with the package, but not by the bare "gmap".
    assert name != "gmap" or module == "gmap" or not (ROOT / "gmap" / module.split(".")[1]).is_dir()
    return FLOORS[name]


def is_module(dotted):
    path = ROOT.joinpath(*dotted.split("."))
    return path.is_dir() or any(path.with_suffix(s).exists() for s in (".py", ".pyx", ".pxd"))


def imports_of(path):
    """Modules a source names, `from package import module` resolved to the module."""
    found = set()
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                found.update(m if is_module(m) else node.module for m in inner)
        return found
    for line in path.read_text().splitlines():
        match = CIMPORT.match(line)
        if match and match[3]:
            found.add(match[3])
        elif match:
            names = re.findall(r"\w+", match[2])
            inner = [f"{match[1]}.{name}" for name in names]
            modules = [m for m in inner if is_module(m)]
            found.update(modules or [match[1]])
    return found


def sources():
    for package in ("gmap", "saecore"):
        for path in sorted((ROOT / package).rglob("*.p*")):
            if path.suffix in (".py", ".pyx", ".pxd") and "__pycache__" not in path.parts:
                yield path


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", list(sources()), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    here = module_of(path)
    up = {
        module: floor_of(module)
        for module in imports_of(path)
        if (floor_of(module) or 0) > floor_of(here)
    }
    assert not up, f"{here} is on floor {floor_of(here)} and imports {up}"


def test_every_module_has_a_floor():
    missing = [
        module_of(path)
        for path in sources()
        if path.parent == ROOT / "gmap" and module_of(path) not in FLOORS
    ]
    assert not missing, f"give these modules a floor in {Path(__file__).name}: {missing}"


def test_an_import_that_points_up_is_found(tmp_path):
    source = tmp_path / "climber.pyx"
    source.write_text('"""\n>>> from gmap import cli\n"""\nfrom gmap._space cimport Gmap\n')
    assert imports_of(source) == {"gmap._space"}
    assert floor_of("gmap._space") > floor_of("gmap._tables")
