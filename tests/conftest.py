"""What most tests start from."""

import importlib.util
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import gmap


@pytest.fixture(params=[gmap.SyntheticHost, gmap.BufferHost], ids=["synthetic", "buffer"])
def any_host(request):
    """One host of each kind: what is above cannot tell them apart."""
    return request.param()


@pytest.fixture
def host():
    return gmap.SyntheticHost()


@pytest.fixture
def make_space():
    """Make an address space with one slot over the whole of a region; returns both."""

    def make(host, nbytes=8 << 20, *, base=0, folio="4k", flags=0, pfnmap=False, **options):
        region = host.map(nbytes, folio=folio, pfnmap=pfnmap)
        space = gmap.Gmap(host, **options)
        space.set_memory_region(0, base, nbytes, region.hva, flags)
        return space, region

    return make


@pytest.fixture
def check_laws():
    """Assert the conservation laws of an address space's counters."""

    def check(space):
        s = space.stats()
        errors = sum(value for key, value in s.items() if key.startswith("error_"))
        assert s["lookups"] == s["minor"] + s["major"] + s["async"] + errors
        assert s["pages_pinned"] == s["pages_released"]
        assert s["tables_allocated"] - s["tables_freed"] == s["crst_tables"] + s["page_tables"]
        level = space.leaves()["level"]
        assert (level == 1).sum() == s["linked_2g"] - s["removed_2g"] - s["split_2g"]
        assert (level == 0).sum() == (
            s["linked_1m"] + 2048 * s["split_2g"] - s["removed_1m"] - s["split_1m"]
        )
        assert (level == -1).sum() == s["linked_4k"] + 256 * s["split_1m"] - s["removed_4k"]
        assert s["table_bytes"] == 16384 * s["crst_tables"] + 4096 * s["page_tables"]

    return check


@pytest.fixture(scope="session")
def agree():
    """Assert that each case alone and all at once give what an oracle says."""

    def check(function, oracle, cases, **options):
        expected = [oracle(*case) for case in cases]
        scalars = [function(*map(int, case), **options) for case in cases]
        assert scalars == expected
        assert all(isinstance(value, int) for value in scalars)
        columns = (np.array(column, dtype=np.uint64) for column in zip(*cases, strict=True))
        assert function(*columns, **options).tolist() == expected

    return check


@pytest.fixture(scope="session")
def outside(tmp_path_factory):
    """`cython_api/outside.pyx` built as a user would, away from this checkout."""
    source = Path(__file__).parent / "cython_api" / "outside.pyx"
    build = tmp_path_factory.mktemp("outside")
    (build / "outside.pyx").write_text(source.read_text())
    (build / "setup.py").write_text(
        textwrap.dedent("""
        import gmap, numpy
        from Cython.Build import cythonize
        from setuptools import Extension, setup
        setup(name="outside", ext_modules=cythonize([Extension("outside", ["outside.pyx"],
            include_dirs=[gmap.get_include(), numpy.get_include()])]))
        """)
    )
    done = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--inplace"],
        cwd=build, capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (library,) = build.glob("outside.*.so")
    spec = importlib.util.spec_from_file_location("outside", library)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
