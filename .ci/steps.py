"""Everything a change must pass, on a fresh copy of the tree, as a new user would do it.

    .ci/run                 all steps
    .ci/run lint types      some of them
    .ci/run --list          what the steps are

Steps run in the order of the list, each in an environment of its own making: what git tracks is
copied to a temporary directory (as it is in the working tree, changes included), and everything
happens there. The commands of `main`, `jobs` and `tests` are those of README.md, taken from its
blocks of shell that are marked <!-- ci: main --> and so on. Nothing is left behind.

Stops at the first command that fails, with its exit status; 2 means it was asked wrongly.
"""

import argparse
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SWITCHES = ("GMAP_DEBUG", "GMAP_NATIVE", "GMAP_SANITIZE", "GMAP_ANNOTATE")
README_BLOCK = re.compile(r"<!-- ci: (\w+) -->\s*```sh\n(.*?)```", re.DOTALL)


class Failure(Exception):
    """A command has failed; its exit status is the second argument."""


# --- the copy ---------------------------------------------------------------------------------


def git(*arguments: str) -> list[str]:
    # Whoever owns the tree: a copy made by another user is still ours to test.
    command = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), *arguments, "-z"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"{shlex.join(command)}: {done.stderr.strip()}", 2)
    return [name for name in done.stdout.split("\0") if name]


def copy_tree(to: Path) -> None:
    """Copy what git tracks, so that built and forgotten files do not help."""
    if not (ROOT / ".git").exists():  # an unpacked archive: all of it is the project
        built = shutil.ignore_patterns(".venv", "build", "*.so", "__pycache__", "*.egg-info")
        shutil.copytree(ROOT, to, ignore=built, dirs_exist_ok=True)
        return
    for name in git("ls-files", "--cached"):
        source = ROOT / name
        if source.is_symlink() or source.is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, to / name, follow_symlinks=False)


def readme_commands(tree: Path, name: str) -> list[str]:
    """The commands of the README's blocks of one mark, continued lines joined."""
    blocks = README_BLOCK.findall((tree / "README.md").read_text())
    text = "".join(block for marked, block in blocks if marked == name)
    if not text:
        raise Failure(f"README.md has no block of ```sh after <!-- ci: {name} -->", 2)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


# --- steps ------------------------------------------------------------------------------------


class Workspace:
    """A copy of the tree with a virtual environment in it, both made when they are first needed."""

    def __init__(self, directory: Path, python: str) -> None:
        self.directory = directory
        self.python = python
        self.tree = directory / "tree"
        self.extras: set[str] = set()
        self.timings: list[tuple[str, float]] = []
        self.environment = {
            key: value
            for key, value in os.environ.items()
            if key not in SWITCHES and not key.startswith(("PYTHON", "VIRTUAL_ENV"))
        }
        self.environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"

    def prepare(self) -> None:
        if self.tree.exists():
            return
        self.tree.mkdir(parents=True)
        copy_tree(self.tree)
        # The README says `python`: let it be the one asked for.
        binaries = self.directory / "bin"
        binaries.mkdir()
        for name in ("python", "python3"):
            launcher = binaries / name
            launcher.write_text(f'#!/bin/sh\nexec {shlex.quote(self.python)} "$@"\n')
            launcher.chmod(0o755)
        path = self.environment.get("PATH", os.defpath)
        self.environment["PATH"] = f"{binaries}{os.pathsep}{path}"

    def shell(self, step: str, command: str, *, cwd: Path | None = None, switch: str = "") -> None:
        """Run one line of shell and note how long it took; a switch is one variable, set to 1."""
        shown = f"{switch}=1 {command}" if switch else command
        print(f"\n[{step}] $ {shown}", flush=True)
        begin = time.monotonic()
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=cwd or self.tree,
            env={**self.environment, switch: "1"} if switch else self.environment,
            check=False,
        )
        seconds = time.monotonic() - begin
        self.timings.append((f"[{step}] {shown}", seconds))
        if done.returncode:
            raise Failure(
                f"[{step}] failed with status {done.returncode} after {seconds:.0f} s: {shown}",
                done.returncode,
            )
        print(f"[{step}] ok, {seconds:.1f} s", flush=True)

    def venv(self, step: str) -> None:
        """Have a virtual environment."""
        self.prepare()
        if not (self.tree / ".venv").exists():
            self.shell(step, "python -m venv .venv")

    def install(self, step: str, extra: str, *, switch: str = "") -> None:
        """Have the package and an extra of it in the virtual environment."""
        self.venv(step)
        self.shell(step, f'.venv/bin/pip install -q ".[{extra}]"', switch=switch)
        self.extras.add(extra)

    def install_tools(self, step: str) -> None:
        """Have what the extra `lint` adds to `test`, without building the package again."""
        self.venv(step)
        project = tomllib.loads((self.tree / "pyproject.toml").read_text())["project"]
        own = re.compile(rf"{project['name']}\b")
        tools = [tool for tool in project["optional-dependencies"]["lint"] if not own.match(tool)]
        self.shell(step, f".venv/bin/pip install -q {shlex.join(tools)}")


def run_main(work: Workspace) -> None:
    """the README's first block: install, and the main job"""
    work.prepare()
    for command in readme_commands(work.tree, "main"):
        work.shell("main", command)


def run_jobs(work: Workspace) -> None:
    """the README's other jobs"""
    if not (work.tree / ".venv").exists():
        work.venv("jobs")
        work.shell("jobs", ".venv/bin/pip install -q .")
    for command in readme_commands(work.tree, "jobs"):
        work.shell("jobs", command)


def run_tests(work: Workspace) -> None:
    """the README's second block: the test suite against the installed package"""
    work.venv("tests")
    for command in readme_commands(work.tree, "tests"):
        work.shell("tests", command)
    work.extras.add("test")


def run_lint(work: Workspace) -> None:
    """ruff and cython-lint"""
    work.install_tools("lint")
    work.shell("lint", ".venv/bin/ruff check --no-cache .")
    # It looks for pycodestyle on the path.
    work.shell("lint", 'PATH="$PWD/.venv/bin:$PATH" cython-lint gmap saecore')


def run_types(work: Workspace) -> None:
    """mypy --strict, stubtest on every compiled module, and a user's program"""
    if "test" in work.extras:
        work.install_tools("types")
    else:
        work.install("types", "lint")
    work.shell("types", ".venv/bin/mypy --strict gmap saecore .ci/steps.py")
    # The rest is about the installed package: run it where the sources are not found.
    python = shlex.quote(str(work.tree / ".venv" / "bin" / "python"))
    elsewhere = work.directory / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    modules = shlex.join(compiled_modules(work.tree))
    allow = shlex.quote(str(work.tree / ".ci" / "stubtest-allow.txt"))
    config = shlex.quote(str(work.tree / "pyproject.toml"))
    usage = shlex.quote(str(work.tree / "tests" / "typing" / "usage.py"))
    options = f"--allowlist {allow} --mypy-config-file {config}"
    work.shell("types", f"{python} -m mypy.stubtest {options} {modules}", cwd=elsewhere)
    work.shell("types", f"{python} -m mypy --config-file {config} {usage}", cwd=elsewhere)
    work.shell("types", f"{python} {usage}", cwd=elsewhere)


def run_debug(work: Workspace) -> None:
    """the tests of the kernels on a build with bounds, wraparound and initialisation checks"""
    work.install("debug", "test", switch="GMAP_DEBUG")
    check = "import gmap; assert gmap.show_config('dicts')['debug']"
    work.shell("debug", f".venv/bin/python -P -c {shlex.quote(check)}")
    # What is plain Python above the kernels, or plain C below them, has been tested already.
    above = ("bench", "dumps", "models", "profile", "reference", "guests/test_real*")
    below = ("a64/test_fp*", "a64/test_vector*", "differential/test_a64_simd*")
    ignored = " ".join(f"--ignore-glob 'tests/{name}'" for name in above + below)
    work.shell("debug", f".venv/bin/pytest -q tests {ignored}")


def compiled_modules(tree: Path) -> Iterator[str]:
    """The modules that have stubs because they are compiled."""
    for package in ("gmap", "saecore"):
        for source in sorted((tree / package).rglob("*.pyx")):
            yield ".".join(source.relative_to(tree).with_suffix("").parts)


# A step, and the workspace it runs in: steps that share one share what is installed.
STEPS: dict[str, tuple[Callable[[Workspace], None], str]] = {
    "main": (run_main, "plain"),
    "jobs": (run_jobs, "plain"),
    "tests": (run_tests, "plain"),
    "lint": (run_lint, "plain"),
    "types": (run_types, "plain"),
    "debug": (run_debug, "debug"),
}


# --- all of it --------------------------------------------------------------------------------


def run(names: list[str], directory: Path, python: str) -> None:
    if (ROOT / ".git").exists():
        untracked = git("ls-files", "--others", "--exclude-standard")
        if untracked:
            print(f"not part of this run, git does not track them: {', '.join(untracked)}")
    workspaces: dict[str, Workspace] = {}
    timings: list[tuple[str, float]] = []
    try:
        for name, (step, where) in STEPS.items():
            if name in names:
                if where not in workspaces:
                    workspaces[where] = Workspace(directory / where, python)
                work = workspaces[where]
                before = len(work.timings)
                try:
                    step(work)
                finally:
                    timings += work.timings[before:]
    finally:
        print("\n  seconds")
        for label, seconds in timings:
            print(f"{seconds:9.1f}  {label if len(label) < 100 else label[:97] + '...'}")
        print(f"{sum(seconds for _, seconds in timings):9.1f}  in all", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog=".ci/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"one of {', '.join(STEPS)}")
    parser.add_argument("--list", action="store_true", help="say what the steps are")
    parser.add_argument("--python", default=sys.executable, help="the interpreter to test with")
    options = parser.parse_args()
    if options.list:
        for name, (step, _) in STEPS.items():
            print(f"{name:8} {step.__doc__}")
        return 0
    unknown = [name for name in options.steps if name not in STEPS]
    if unknown:
        parser.error(f"no step {', '.join(unknown)}: use {', '.join(STEPS)}")
    python = shutil.which(options.python)
    if python is None:
        parser.error(f"no interpreter {options.python}")
    # A job started in the background ignores Ctrl-C, and so would the tests of it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="gmap-ci-") as directory:
            run(options.steps or list(STEPS), Path(directory), python)
    except Failure as failure:
        print(f"\nFAILED: {failure.args[0]}", file=sys.stderr)
        return failure.args[1] if 0 < failure.args[1] < 256 else 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    print("\nall passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
