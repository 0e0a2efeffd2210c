"""A line on standard error that tells how far the reading of a trace is. Floor 5."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gmap.trace._convert import ReadProgress

__all__ = ["reading_shown"]

_LINE_SECONDS = 2.0


def _left(now: ReadProgress) -> str:
    """Return the time left, in words; empty if it is not known.

    >>> _left(ReadProgress("reading", 10, 30.0, 0.25))
    '0:01:30 left'
    """
    if not now.fraction:
        return ""
    seconds = round(now.seconds * (1 - now.fraction) / now.fraction)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} left"


def _facts(now: ReadProgress) -> str:
    """Return records and rate, in words.

    >>> _facts(ReadProgress("reading", 1000, 2.0, None))
    '1,000 records, 500 a second'
    """
    rate = now.records / now.seconds if now.seconds else 0
    return f"{now.records:,} records, {rate:,.0f} a second"


@contextmanager
def reading_shown(
    *, asked: bool, quiet: bool = False
) -> Iterator[Callable[[ReadProgress], None] | None]:
    """Give a function that shows progress: a bar on a terminal, lines elsewhere if asked for.

    >>> with reading_shown(asked=False, quiet=True) as show:
    ...     print(show)
    None
    """
    if quiet or not (asked or sys.stderr.isatty()):
        yield None
    elif not sys.stderr.isatty():
        yield _Lines().show
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[facts]}"),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("reading", total=None, facts="")

            def show(now: ReadProgress) -> None:
                words = ", ".join(part for part in (_facts(now), _left(now)) if part)
                total = None if now.fraction is None else 1.0
                bar.update(
                    task,
                    description=now.phase,
                    total=total,
                    completed=now.fraction or 0.0,
                    facts=words,
                )

            yield show


class _Lines:
    """A line now and then, for a log."""

    def __init__(self) -> None:
        self._shown = time.monotonic() - _LINE_SECONDS

    def show(self, now: ReadProgress) -> None:
        if time.monotonic() - self._shown < _LINE_SECONDS:
            return
        self._shown = time.monotonic()
        done = "" if now.fraction is None else f"{now.fraction:.1%}, "
        words = ", ".join(part for part in (_facts(now), _left(now)) if part)
        print(f"gmap trace: {now.phase}: {done}{words}", file=sys.stderr, flush=True)
