"""Timing of work that several threads do at once, and the machine's own faults. Floor 4."""

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TypeVar

from gmap.bench._hostfaults import AnonymousMemory

__all__ = ["HostFaults", "host_first_touch", "together"]

Result = TypeVar("Result")


def together(work: Sequence[Callable[[], Result]]) -> tuple[int, list[Result]]:
    """Call each of `work` in a thread of its own, at once; the nanoseconds, and what they gave.

    The time is from the first start to the last end. A single piece of work is called here.

    >>> ns, results = together([lambda: 1, lambda: 2])
    >>> ns > 0, results
    (True, [1, 2])
    """
    gate = threading.Barrier(len(work))

    def timed(call: Callable[[], Result]) -> tuple[int, int, Result]:
        gate.wait()
        start = time.perf_counter_ns()
        result = call()
        return start, time.perf_counter_ns(), result

    if len(work) == 1:
        runs = [timed(work[0])]
    else:
        with ThreadPoolExecutor(len(work)) as pool:
            runs = list(pool.map(timed, work))
    ns = max(end for _, end, _ in runs) - min(start for start, _, _ in runs)
    return ns, [result for *_, result in runs]


def host_first_touch(nbytes: int, threads: int = 1) -> float:
    """Return the nanoseconds of one first-touch fault of this machine's kernel.

    Each thread writes to every 4 KiB page of private anonymous memory of its own; the kernel
    finds, zeroes and maps each page. With several threads the figure is the wall-clock time
    by the faults of all of them.

    Parameters
    ----------
    nbytes : int
        Memory for all threads together, in bytes.
    threads : int

    >>> host_first_touch(1 << 20) > 0
    True
    """
    with ExitStack() as stack:
        areas = [stack.enter_context(AnonymousMemory(nbytes // threads)) for _ in range(threads)]
        ns, faults = together([area.touch for area in areas])
    return ns / sum(faults)


@dataclass
class HostFaults:
    """The machine's first-touch faults, sampled again and again through a run.

    >>> host = HostFaults(nbytes=1 << 20)
    >>> host.sample(1)
    >>> host.ns(1) > 0
    True
    """

    nbytes: int = 64 << 20
    samples: dict[int, list[float]] = field(default_factory=dict)

    def sample(self, threads: int) -> None:
        """Measure once more."""
        self.samples.setdefault(threads, []).append(host_first_touch(self.nbytes, threads))

    def ns(self, threads: int) -> float:
        """Return the median so far, in nanoseconds a fault."""
        return statistics.median(self.samples[threads])
