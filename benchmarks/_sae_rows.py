"""The rows of the processor's speed table: what is measured, against what, and what to reach."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from _measure import Pair
from _rows import Result, Row, Section, Target
from _sae_measure import demand_faults, interrupts, mmio_exits, start_time, workload_row

__all__ = ["MEANS", "SECTIONS", "VECTOR_WORKLOADS", "WORKLOADS", "means", "mips"]

#: In the order of the table; those whose time is not the memory's.
WORKLOADS: Final = ("crc", "sort", "chase", "mixed", "bytes", "fib")
#: Those of floating-point and vector registers; AES and SHA-256 by their instructions.
VECTOR_WORKLOADS: Final = ("nbody", "ints", "doubles", "aes", "sha256", "copy", "strlen")
_COMPUTE: Final = tuple(name for name in WORKLOADS if name != "chase")
#: Of Unicorn's rate on crc. The bound is meant as 0.6 where that is 2.8, in thousand MIPS.
_COMPUTE_SHARE: Final = 0.6 / 2.8


def mips(ns: float) -> float:
    """Million instructions a second, from the nanoseconds of one.

    >>> mips(2.0)
    500.0
    """
    return 1000 / ns


def itself(pair: Pair) -> float:
    """What ours takes: a bound on a time."""
    return pair.ours


def milliseconds(pair: Pair) -> float:
    """What ours takes, in milliseconds."""
    return pair.ours / 1e6


def seconds(pair: Pair) -> float:
    """What ours takes, in seconds."""
    return pair.ours / 1e9


def _workload(name: str, peer: str, reach: float | None = None) -> Row:
    bound = None if reach is None else Target("at least", reach)
    return Row(f"workload/{name}/{peer}", name, partial(workload_row, name=name, peer=peer),
               target=bound, rounds=lambda scale: scale.rounds)  # fmt: skip


SECTIONS: Final = (
    *(Section(
        f"Integer workloads beside {title}",
        "times its rate",
        ("SAE", title),
        tuple(_workload(name, peer, reach) for name in WORKLOADS),
        notes,
    )
    for peer, title, reach, notes in (
        ("unicorn", "Unicorn, guest MMU on with 4K pages in both", 0.3, ()),
        ("icicle", "icicle-emu, which has no MMU", None,
         ("icicle gets the function that does the work, in flat memory.",)),
    )),
    Section(
        "Floating-point, vector and crypto workloads beside Unicorn",
        "times its rate",
        ("SAE", "Unicorn"),
        tuple(_workload(name, "unicorn", 2) for name in VECTOR_WORKLOADS),
    ),
    Section(
        "An exit to Python and back, by MMIO, through the facade",
        "times the rate of Unicorn stopped and started again; or nanoseconds",
        ("SAE", "Unicorn"),
        (
            Row("exit/mmio/unicorn", "times as fast", mmio_exits, target=Target("at least", 20)),
            Row("exit/mmio/ns", "nanoseconds", mmio_exits, ratio=itself,
                target=Target("at most", 400)),
        ),
    ),
    Section(
        "A Ctrl-C, from the signal to the exception in Python",
        "milliseconds",
        ("SAE", "a loop of Python's"),
        (
            Row("exit/signal/ms", "a guest that spins", interrupts, ratio=milliseconds,
                target=Target("at most", 50)),
        ),
    ),
    Section(
        "A guest's first touch of a page, interception to resume, tables only",
        "times the peer's rate; or nanoseconds",
        ("SAE", "peer"),
        (
            Row("fault/icicle", "icicle-emu, unmapped exception and mem_map",
                partial(demand_faults, peer="icicle"), target=Target("at least", 4)),
            Row("fault/unicorn", "Unicorn, unmapped hook and mem_map",
                partial(demand_faults, peer="unicorn"), target=Target("at least", 40)),
            Row("fault/ns", "nanoseconds (peer: icicle-emu)",
                partial(demand_faults, peer="icicle"), ratio=itself,
                target=Target("at most", 500)),
        ),
        ("The memory is there before, for SAE; the peers get theirs from the host as they map it.",
         "Unicorn's time for a page grows with the pages it has: few are measured."),
    ),
    Section(
        "Python, import, a VM with 64 MiB, the first instruction, and the end of the process",
        "seconds",
        ("SAE", "Unicorn"),
        (
            Row("start", "a process", start_time, ratio=seconds, target=Target("at most", 0.5)),
        ),
    ),
)  # fmt: skip

#: Figures over several workloads: their name, text, the workloads, and the target.
MEANS: Final[Mapping[str, tuple[str, tuple[str, ...], Target]]] = {
    "mean/unicorn": ("geometric mean", WORKLOADS, Target("at least", 1.2)),
    "mean/compute": (
        "without chase, to Unicorn's crc", _COMPUTE, Target("at least", _COMPUTE_SHARE),
    ),
}  # fmt: skip


def _mean(values: Sequence[float]) -> float:
    """The geometric mean.

    >>> _mean([1, 4])
    2.0
    """
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def means(results: Sequence[Result]) -> list[Result]:
    """Return the figures over several workloads, from rows measured beside Unicorn.

    A pair of one is made of the pairs of all its workloads that were measured in the same turn.
    """
    measured: dict[str, Any] = {result.row.text: result.pairs for result in results}
    found = []
    for name, (text, workloads, target) in MEANS.items():
        row = Row(name, text, lambda scale: iter(()), target=target)  # type: ignore[arg-type]
        if not all(measured.get(workload) for workload in workloads):
            found.append(Result(row, reason="not all workloads were measured"))
            continue
        turns = zip(*(measured[workload] for workload in workloads), strict=True)
        pairs = [
            Pair(_mean([pair.ours for pair in turn]), _mean([pair.peer for pair in turn]))
            for turn in turns
        ]
        if name == "mean/compute":
            pairs = [Pair(p.ours, crc.peer) for p, crc in zip(pairs, measured["crc"], strict=True)]
        found.append(Result(row, tuple(pairs)))
    return found
