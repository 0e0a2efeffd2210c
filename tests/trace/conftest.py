"""A stand-in for Valgrind, so that recording is tested where there is none."""

import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the module beside this one

# It says what lackey says, runs the program, and misbehaves as FAKE tells it to.
FAKE_VALGRIND = r"""#!{python} -IS
import itertools, os, signal, subprocess, sys, time

if "--version" in sys.argv:
    print("valgrind-0.0.fake")
    sys.exit()
options = list(itertools.takewhile(lambda arg: arg.startswith("--"), sys.argv[1:]))
command = sys.argv[1 + len(options):]
assert "--tool=lackey" in options and "--trace-mem=yes" in options
log = next(int(arg[9:]) for arg in options if arg.startswith("--log-fd="))
mode = os.environ.get("FAKE", "")

def say(text):
    data = text.encode()
    while data:
        data = data[os.write(log, data):]

if mode == "refuses":
    say("==1== Fatal error: cannot run this\n")
    sys.exit(3)
say(f"==1== Lackey, an example Valgrind tool\n==1== Command: {{' '.join(command)}}\n")
for page in range(1000):
    say(f"I  {{0x400000:08x}},4\n L {{0x10000000 + page * 4096:08x}},8\n M 1fff000ff8,8\n")
if mode == "rubbish":
    say("this is no trace\n")
if mode == "half":
    say("I  0040")
    sys.exit(0)
if mode == "crash":
    say("I  0040")
    os.kill(os.getpid(), signal.SIGSEGV)
if mode == "endless":
    page = 1 << 20
    while True:
        page += 1
        say(f" S {{page * 4096:08x}},8\n")
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say("==1== waiting\n")
    time.sleep(600)
if mode == "interrupted":
    os.kill(os.getppid(), getattr(signal, os.environ["FAKE_SIGNAL"]))
    time.sleep(600)
if mode == "exec":
    # The program becomes another one: the trace ends, and the program does not.
    os.close(log)
    time.sleep(600)
if mode == "daemon":
    # A child that outlives the program and keeps the pipe open.
    if os.fork() == 0:
        os.close(1), os.close(2)
        time.sleep(20)
        os._exit(0)
code = subprocess.run(command).returncode
say("==1== \n==1== Exit code: 0\n")
sys.exit(code)
"""


@pytest.fixture(autouse=True)
def usual_signals() -> Iterator[None]:
    """What signals do in a terminal, also where the tests run in the background."""
    usual: dict[signal.Signals, Any] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, usual[number]) for number in usual}
    yield
    for number in before:
        signal.signal(number, before[number])


@pytest.fixture
def fake_valgrind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with nothing but a fake valgrind, first on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "valgrind"
    script.write_text(FAKE_VALGRIND.format(python=sys.executable))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An empty folder for what is written."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def misbehave(fake_valgrind: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Tell the fake valgrind how to misbehave."""
    return lambda mode: monkeypatch.setenv("FAKE", mode)
