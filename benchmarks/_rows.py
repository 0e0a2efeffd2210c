"""The rows of the speed table: what is measured, against what, and what it has to reach."""

import statistics
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Final, Literal

from _measure import (
    Pair,
    Pairs,
    Scale,
    control,
    first_touch,
    minor,
    one_call,
    table_memory,
    translate,
    two_threads,
)
from _peers import NotMeasured
from _two_level import against_others, against_scalar, against_single_stage, against_take

__all__ = ["ROWS", "SECTIONS", "Result", "Row", "Section", "Target", "measure"]

Direction = Literal["at least", "at most", "exactly"]
Status = Literal["met", "missed", "no target", "not measured"]


@dataclass(frozen=True)
class Target:
    """A bound on a ratio."""

    direction: Direction
    bound: float

    def met_by(self, value: float) -> bool:
        """Say whether a ratio reaches it."""
        if self.direction == "exactly":
            return value == self.bound
        return value >= self.bound if self.direction == "at least" else value <= self.bound


def speed_up(pair: Pair) -> float:
    """How many times as fast as its peer: more is better."""
    return pair.peer / pair.ours


def share(pair: Pair) -> float:
    """How much of what its peer takes: less is better."""
    return pair.ours / pair.peer


def share_of_four_calls(pair: Pair) -> float:
    """How much of four calls' time plus 100 ns."""
    return pair.ours / (4 * pair.peer + 100)


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes
    ----------
    name : str
        As in JSON, in gates.toml and for ``--only``.
    text : str
        What is measured.
    source : callable
        From a `Scale` to pairs without end, or `NotMeasured`.
    ratio : callable
        Of one pair: `speed_up`, or one of the shares.
    target : Target, optional
    rounds : callable
        Pairs to take.
    summary : callable
        Of the ratios: their median, or the worst.
    unit : str
        Of what is compared.
    """

    name: str
    text: str
    source: Callable[[Scale], Pairs]
    ratio: Callable[[Pair], float] = speed_up
    target: Target | None = None
    rounds: Callable[[Scale], int] = lambda scale: scale.rounds
    summary: Callable[[Sequence[float]], float] = statistics.median
    unit: Literal["ns", "bytes"] = "ns"

    @property
    def better(self) -> Literal["more", "less"]:
        """Which way the ratio improves."""
        return "more" if self.ratio is speed_up else "less"


@dataclass(frozen=True)
class Section:
    """Rows with the same peer, and what is to be known about the comparison.

    Attributes
    ----------
    title : str
    ratio : str
        What the ratios are of.
    headings : tuple of str
        Of what gmap took, and of what its peer took.
    rows : tuple of Row
    notes : tuple of str
    """

    title: str
    ratio: str
    headings: tuple[str, str]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """A row that was measured, or the reason why not."""

    row: Row
    pairs: tuple[Pair, ...] = ()
    reason: str = ""

    @property
    def ratios(self) -> list[float]:
        """One ratio a pair."""
        return [self.row.ratio(pair) for pair in self.pairs]

    @property
    def value(self) -> float:
        """The ratio that counts."""
        return self.row.summary(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        """The quartiles of the ratios."""
        return quartiles(self.ratios)

    @property
    def status(self) -> Status:
        """Met, missed, or neither."""
        if not self.pairs:
            return "not measured"
        if self.row.target is None:
            return "no target"
        return "met" if self.row.target.met_by(self.value) else "missed"

    def median(self, which: Literal["ours", "peer"]) -> float:
        """Return the median of one half of the pairs."""
        at = Pair._fields.index(which)
        return statistics.median(pair[at] for pair in self.pairs)

    def to_dict(self) -> dict[str, Any]:
        """Return the row of the JSON document."""
        row, target = self.row, self.row.target
        document: dict[str, Any] = {
            "name": row.name,
            "text": row.text,
            "better": row.better,
            "unit": row.unit,
            "target": target and {"direction": target.direction, "bound": target.bound},
            "status": self.status,
        }
        if not self.pairs:
            return document | {"reason": self.reason}
        low, high = self.spread
        return document | {
            "value": self.value,
            "low": low,
            "high": high,
            "ours": self.median("ours"),
            "peer": self.median("peer"),
            "pairs": [list(pair) for pair in self.pairs],
        }


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """Return the lower and the upper quartile.

    >>> quartiles([1, 2, 3, 4, 5]), quartiles([7])
    ((2.0, 4.0), (7, 7))
    """
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def measure(row: Row, scale: Scale) -> Result:
    """Measure a row. The first pair is for the caches and is not kept."""
    rounds = row.rounds(scale)
    try:
        with closing(row.source(scale)) as pairs:
            return Result(row, tuple(islice(pairs, 1, rounds + 1)))
    except NotMeasured as missing:
        return Result(row, reason=str(missing))


# --- the table ------------------------------------------------------------------------------

#: Names of what is behind the pages; what `first_touch` calls it.
_BACKINGS: Final = {
    "tables-only": ("tables only", "synthetic", False),
    "populated": ("buffer, pages there before", "buffer", True),
    "host-populates": ("buffer, host populates", "buffer", False),
}


def _first_touch(pattern: str, backing: str, bound: float | None = None) -> Row:
    text, host, populate = _BACKINGS[backing]
    return Row(
        f"first-touch/{pattern}/{backing}",
        f"first touch, {pattern}: {text}",
        partial(first_touch, pattern=pattern, host=host, populate=populate),
        target=None if bound is None else Target("at least", bound),
    )


def _minor(pattern: str) -> Row:
    return Row(
        f"minor/{pattern}/tables-only",
        f"minor (young), {pattern}: tables only",
        partial(minor, pattern=pattern),
        target=Target("at least", 60),
    )


def _threads(phase: str, pattern: str) -> Row:
    return Row(
        f"threads/{phase}/{pattern}",
        f"{phase}, {pattern}",
        partial(two_threads, phase=phase, pattern=pattern),
        target=Target("at least", 1.7),
        rounds=lambda scale: 2 * scale.rounds,
    )


def _translate(pattern: str, bound: float) -> Row:
    return Row(
        f"translate/{pattern}",
        f"translate, {pattern} pages",
        partial(translate, pattern=pattern),
        ratio=share,
        target=Target("at most", bound),
        rounds=lambda scale: 5 * scale.rounds,
    )


def _against(package: str, stages: str, pattern: str, bound: float) -> Row:
    where = "random pages of 16 GiB, cold" if pattern == "cold" else f"{pattern} pages"
    return Row(
        f"against/{package}/{stages}/{pattern}",
        f"{package}; gmap: {stages}, {where}",
        partial(against_others, package=package, stages=stages, pattern=pattern),
        target=Target("at least", bound),
    )


def farthest_from_one(ratios: Sequence[float]) -> float:
    """Return the ratio that is wrong by most, above or below."""
    return max(ratios, key=lambda ratio: abs(ratio - 1))


def _tables(what: str, text: str, target: Target) -> Row:
    return Row(
        f"tables/{what}",
        text,
        partial(table_memory, what=what),
        ratio=share,
        target=target,
        rounds=lambda scale: 3,  # one a guest
        summary=farthest_from_one,
        unit="bytes",
    )


SECTIONS: Final = (
    Section(
        "Page faults, 4K, one thread, vector entry",
        "times the host kernel's own first-touch rate",
        ("gmap", "host kernel"),
        (
            _first_touch("sequential", "tables-only", 40),
            _first_touch("random", "tables-only", 20),
            _first_touch("sequential", "populated"),
            _first_touch("random", "populated"),
            _first_touch("sequential", "host-populates"),
            _first_touch("random", "host-populates"),
            _minor("sequential"),
            _minor("random"),
        ),
        (
            "The kernel finds and zeroes a page in each of its faults. The rows 'tables only' "
            "do neither: their pages have no memory.",
            "Like for like are the rows 'host populates': the same work, and the gmap's on top.",
        ),
    ),
    Section(
        "Two threads on halves of one gmap, 4K, tables only",
        "times the rate of one thread",
        ("two", "one"),
        (
            _threads("first-touch", "sequential"),
            _threads("first-touch", "random"),
            _threads("minor-young", "sequential"),
            _threads("minor-young", "random"),
            Row(
                "threads/control",
                "control: SHA-256 of 4 KiB",
                control,
                rounds=lambda scale: 2 * scale.rounds,
            ),
        ),
        ("The control shares nothing: what it misses of 2, this machine did not give.",),
    ),
    Section(
        "One call from Python",
        "of the time of 4 empty Cython method calls plus 100 ns",
        ("fault_in", "empty call"),
        (
            Row(
                "call/fault_in/minor",
                "fault_in of one gfn, minor",
                one_call,
                ratio=share_of_four_calls,
                target=Target("at most", 1),
                rounds=lambda scale: 5 * scale.rounds,
            ),
        ),
        ("The loop around the calls is in neither time.",),
    ),
    Section(
        "Translation of a guest mapped in 4K",
        "of the time of np.take at random, one 8-byte entry a page",
        ("translate", "np.take"),
        (_translate("random", 1.5), _translate("sequential", 2.5 / 9)),
        ("Both write to arrays that are there. np.take reads at random in both rows.",),
    ),
    Section(
        "Two levels of translation, 4K on 4K, a guest of 16 GiB, vector",
        "of the time of the peer",
        ("two levels", "peer"),
        (
            Row(
                "two-level/sequential",
                "sequential, TLB on; peer: translate, sequential",
                partial(against_single_stage, pattern="sequential"),
                ratio=share,
                target=Target("at most", 2.5),
                rounds=lambda scale: 5 * scale.rounds,
            ),
            Row(
                "two-level/random/single-stage",
                "random, TLB on; peer: translate, random",
                partial(against_single_stage, pattern="random"),
                ratio=share,
            ),
            Row(
                "two-level/random/take",
                "random, TLB flushed; peer: np.take, random",
                against_take,
                ratio=share,
            ),
        ),
        ("np.take reads one 8-byte entry a page, and writes to an array that is there.",),
    ),
    Section(
        "Two levels of translation, random pages of 16 GiB, caches cold",
        "times the rate of the same walks one after another, in C, with the same checks",
        ("vector", "scalar"),
        (
            Row(
                "two-level/random/scalar",
                "TLB flushed before each call",
                against_scalar,
                target=Target("at least", 2.5),
            ),
        ),
        ("All answers of both are compared once, and with those that are right.",),
    ),
    Section(
        "Against what one would otherwise install: one call an address",
        "times the rate of the package",
        ("gmap", "package"),
        tuple(
            _against(package, stages, pattern, bound)
            for package, bound in (("drgn", 50), ("volatility3", 300))
            for stages in ("two-level", "single-stage")
            for pattern in ("sequential", "random", "cold")
        ),
        (
            "The packages: one stage of four levels, 256 MiB, all of it seen before. gmap: as "
            "much, or 16 GiB with the TLB flushed before each call.",
            "drgn reads each table entry from a crash dump, by a system call. Its function is a "
            "private one: the public one needs a kernel's symbols.",
        ),
    ),
    Section(
        "Table memory",
        "of the architecture's: 16 KiB a region or segment table, 4 KiB a page table",
        ("gmap", "architecture"),
        (
            _tables("accounted", "table_bytes()", Target("exactly", 1)),
            _tables("resident", "what a process grows by", Target("at most", 1.05)),
        ),
        ("The worst of three guests: small, large, and sparse.",),
    ),
)
ROWS: Final = tuple(row for section in SECTIONS for row in section.rows)
