"""docs/traces.md: what it shows runs as printed, and what it lists is what there is."""

import argparse
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gmap.trace import FORMATS, read, record
from gmap.trace.cli import add_parser

TEXT = (Path(__file__).parents[2] / "docs" / "traces.md").read_text()


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL))
def test_examples_run_as_printed(block: str, tmp_path: Path) -> None:
    """A comment after print() says what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == re.findall(r"print\(.*?\)  # (.*)", block)


def test_all_metadata_of_a_recording_are_listed(
    misbehave: Callable[[str], None], tmp_path: Path
) -> None:
    misbehave("endless")
    record(["true"], tmp_path / "t.csv", max_records=10, note="x")
    listed = set(re.findall(r"`([a-z]+)`", TEXT.split("## Metadata")[1].split("## Errors")[0]))
    assert set(read(tmp_path / "t.csv").meta) <= listed


def test_all_options_and_formats_are_listed() -> None:
    parser = argparse.ArgumentParser()
    trace = add_parser(parser.add_subparsers())
    (commands,) = (a for a in trace._actions if isinstance(a, argparse._SubParsersAction))
    for name in ("record", "convert"):
        for action in commands.choices[name]._actions:
            for option in action.option_strings:
                assert f"`{option}" in TEXT or option in ("-h", "--help", "--output", "--quiet")
    for known in FORMATS:
        assert f"`{known.name}`" in TEXT
        for suffix in known.suffixes:
            assert f"`{suffix}`" in TEXT
