"""The compiled walk in a user's @njit code, its section, and the examples."""

import contextlib
import gc
import io
import re
import runpy
import sys
import threading
from pathlib import Path

import numba
import numpy as np
import pytest

import gmap
from gmap._numba import dat_translate, reading

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
DOCS = ROOT / "docs" / "models.md"


@numba.njit(nogil=True)
def each(asce, gpa, write, pa, pic):
    for i in range(len(gpa)):
        pa[i], pic[i] = dat_translate(asce, gpa[i], write)


def translated(space, gpa, write):
    pa, pic = np.empty_like(gpa), np.empty(len(gpa), np.int32)
    with reading(space) as asce:
        each(asce, gpa, write, pa, pic)
    return pa, pic


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("folio", ["4k", "1m"])
def test_it_is_the_walk_of_translate(make_space, any_host, folio, write):
    space, _ = make_space(any_host, 16 << 20, base=1 << 30, folio=folio)
    rng = np.random.default_rng(1)
    gfns = rng.integers(0x40000, 0x41000, 300).astype(np.uint64)
    space.fault_in(gfns, write=gfns % np.uint64(2) == 0)
    gpa = np.concatenate(
        [
            rng.integers(1 << 30, (1 << 30) + (18 << 20), 3000).astype(np.uint64),
            np.array([0, 1 << 40, (1 << 53) - 1, 1 << 63, (1 << 64) - 1], np.uint64),
        ]
    )
    pa, pic = translated(space, gpa, write)
    expected = (space.translate_write if write else space.translate)(gpa)
    assert (pa == expected[0]).all()
    assert (pic == expected[1]).all()
    assert len(set(pic.tolist())) >= 3


def test_it_can_be_called_from_python(make_space, host):
    space, _ = make_space(host)
    space.fault_in(np.uint64(5))
    with reading(space) as asce:
        assert asce == space.asce
        assert dat_translate(asce, 5 << 12, False) == (space.translate_one(5 << 12), 0)
        assert dat_translate(asce, 6 << 12, False) == (0, gmap.Pic.PAGE_TRANSLATION)


def test_a_section_is_entered_once(make_space, host):
    space, _ = make_space(host)
    section = reading(space)
    with section:
        with pytest.raises(gmap.ConfigError, match="open already"):
            section.__enter__()
        with reading(space) as asce:  # another one may nest
            assert asce == space.asce
    with section as asce:
        assert asce == space.asce
    section.__exit__(None, None, None)  # closed twice: nothing
    space.unmap(0, 16)  # does not wait for anybody


@pytest.mark.parametrize("bad", [None, 5, "g"])
def test_a_section_needs_an_address_space(bad):
    with pytest.raises(TypeError):
        reading(bad)


def test_an_unmapping_waits_for_the_section(make_space, host):
    space, _ = make_space(host)
    space.fault_in(np.arange(16, dtype=np.uint64))
    done = threading.Event()

    def unmap():
        space.unmap(0, 16)
        done.set()

    thread = threading.Thread(target=unmap)
    with reading(space):
        thread.start()
        assert not done.wait(0.2)
    assert done.wait(10)
    thread.join()


def test_a_section_that_is_dropped_is_left(make_space, host):
    space, _ = make_space(host)
    section = reading(space)
    section.__enter__()
    del section
    gc.collect()
    space.unmap(0, 16)


def test_a_section_outlives_its_address_space(make_space, host):
    space, _ = make_space(host)
    space.fault_in(np.uint64(1))
    expected = space.translate_one(1 << 12)
    with reading(space) as asce:
        del space
        gc.collect()
        assert dat_translate(asce, 1 << 12, False) == (expected, 0)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_run(path, tmp_path, monkeypatch, capsys):
    """In this process, where the kernels are compiled already."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path)])
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_the_documentation_runs():
    """Its examples print what the comments beside them say."""
    for block in re.findall(r"```python\n(.*?)```", DOCS.read_text(), flags=re.DOTALL):
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            exec(compile(block, str(DOCS), "exec"), {})
        assert shown.getvalue().splitlines() == re.findall(r"print\(.*\)\s+# (.*)", block)
