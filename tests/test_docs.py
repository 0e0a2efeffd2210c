"""Every example in a docstring and in the README runs as printed."""

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gmap
import saecore

ROOT = Path(__file__).parent.parent
SUITES = [
    name
    for package in (gmap, saecore)
    for _, name, _ in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not name.endswith("__main__")
]


def has_docstring(thing):
    return bool(getattr(thing, "__doc__", None))


def documented(module):
    """Public functions and classes defined in a module, and the public methods of the classes."""
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        if isinstance(thing, type):
            yield f"{name}", thing
            for method, inner in vars(thing).items():
                if not method.startswith("_"):
                    yield f"{name}.{method}", inner
        elif callable(thing):
            yield name, thing


@pytest.mark.parametrize("name", ["gmap", "saecore", *SUITES])
def test_examples_run(name):
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(recurse=False)
    # An example may use whatever its module has: that is what a reader of the file sees.
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    things = [(name, module), *documented(module)]
    for label, thing in things:
        if has_docstring(thing):
            for example in finder.find(thing, label, module=module, globs=dict(vars(module))):
                runner.run(example)
    assert runner.summarize(verbose=False).failed == 0


def test_public_functions_have_examples():
    """Every public callable of `gmap` shows how it is used."""
    missing = []
    for name in gmap.__all__:
        thing = getattr(gmap, name)
        if isinstance(thing, type) and issubclass(thing, BaseException):
            continue
        members = [(name, thing)]
        if isinstance(thing, type):
            members += [
                (f"{name}.{key}", value)
                for key, value in vars(thing).items()
                if not key.startswith("_") and callable(value) and key not in ("count", "index")
            ]
        own_example = ">>>" in (thing.__doc__ or "")
        for label, member in members:
            if ">>>" in (getattr(member, "__doc__", None) or ""):
                continue
            if "." in label and own_example:    # shown at work in the class's own example
                continue
            if isinstance(member, type) and issubclass(member, int | tuple):    # a table of names
                continue
            missing.append(label)
    assert not missing, f"no example in the docstring of {missing}"


def python_blocks(text):
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def test_readme_library_examples_run(tmp_path):
    """In a process of its own, as a reader would paste it."""
    blocks = python_blocks((ROOT / "README.md").read_text())
    assert blocks, "the README shows no library example"
    for block in blocks:
        done = subprocess.run(
            [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        # A comment after print() says what it prints.
        expected = re.findall(r"print\(.*\)\s+# (.*)", block)
        assert done.stdout.splitlines() == expected
