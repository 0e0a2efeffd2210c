"""The growth curve: what a fault and a translation cost as the guest gets larger.

Each point is a guest mapped in 4K, and beside it the host kernel's own first touch and
`np.take` over one entry a page, at the same time. The last point is a sparse guest: nearly
every page has a page table, and a cache line, of its own.
"""

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from _measure import (
    GIB,
    TIB,
    Lookups,
    Pair,
    Scale,
    architected_bytes,
    fault_ns,
    need_memory,
    sparse_workload,
)
from _peers import NotMeasured

from gmap.bench.phases import PHASES, Guest
from gmap.bench.timing import host_first_touch
from gmap.bench.workloads import Workload, workload

__all__ = ["CURVES", "Point", "check_plot", "growth", "plot"]

ORDERS: Final = ("sequential", "random")


class Curve(NamedTuple):
    """One quantity of every point: its name, and what it is compared with."""

    metric: str
    order: str
    peer: str

    @property
    def name(self) -> str:
        """As in JSON."""
        return f"{self.metric}/{self.order}"


CURVES: Final = tuple(
    Curve(metric, order, peer)
    for metric, peer in (
        ("first-touch", "host first touch"),
        ("minor", "host first touch"),
        ("translate", "np.take at random"),
    )
    for order in ORDERS
)


@dataclass
class Point:
    """A guest, and pairs of what was measured with it by the name of the curve."""

    label: str
    nbytes: int
    pages: int = 0
    table_bytes: int = 0
    pairs: dict[str, list[Pair]] = field(default_factory=dict)
    reason: str = ""

    def ns(self, curve: Curve) -> float:
        """Return the median of an item."""
        return statistics.median(pair.ours for pair in self.pairs[curve.name])

    def peer_ns(self, curve: Curve) -> float:
        """Return the median of the peer's."""
        return statistics.median(pair.peer for pair in self.pairs[curve.name])

    def ratio(self, curve: Curve) -> float:
        """Return the median ratio: the peer's time by ours for faults, the inverse for lookups."""
        ratios = [pair.peer / pair.ours for pair in self.pairs[curve.name]]
        median = statistics.median(ratios)
        return 1 / median if curve.metric == "translate" else median

    def to_dict(self) -> dict[str, Any]:
        """Return the point of the JSON document."""
        return {
            "label": self.label,
            "guest_bytes": self.nbytes,
            "pages": self.pages,
            "table_bytes": self.table_bytes,
            "reason": self.reason,
            "curves": [
                {
                    "name": f"growth/{curve.name}/{self.label}",
                    "better": "less" if curve.metric == "translate" else "more",
                    "value": self.ratio(curve),
                    "ours": self.ns(curve),
                    "peer": self.peer_ns(curve),
                    "peer_name": curve.peer,
                }
                for curve in CURVES
                if curve.name in self.pairs
            ],
        }


def label_of(nbytes: int) -> str:
    """Return a size as text: 256 MiB, 64 GiB, 16 TiB."""
    for unit, size in (("TiB", TIB), ("GiB", GIB)):
        if nbytes >= size:
            return f"{nbytes / size:g} {unit}"
    return f"{nbytes >> 20} MiB"


def _guests(scale: Scale) -> Iterator[tuple[Point, Callable[[str], Workload]]]:
    for nbytes in scale.growth:
        yield Point(label_of(nbytes), nbytes), partial(workload, backing="4k", nbytes=nbytes)
    sparse = Point(f"{label_of(scale.sparse)} sparse", scale.sparse)
    yield (
        sparse,
        lambda order: sparse_workload(
            scale.sparse, scale.sparse_pages, ascending=order == "sequential"
        ),
    )


def _measure_guest(point: Point, load: Workload, order: str, scale: Scale) -> None:
    """One guest of a point: its first faults, minor ones, and translations in that order."""

    def keep(metric: str, ours: float, peer: float) -> None:
        point.pairs.setdefault(f"{metric}/{order}", []).append(Pair(ours, peer))

    with closing(Guest("synthetic", load)) as guest:
        host_ns = host_first_touch(scale.host)
        keep("first-touch", fault_ns(guest, PHASES["first-touch"].prepare(guest)), host_ns)
        host_ns = host_first_touch(scale.host)
        keep("minor", fault_ns(guest, PHASES["minor-young"].prepare(guest)), host_ns)
        lookups = Lookups(guest, np.sort(load.gfns), scale)
        for _ in range(scale.lookups // lookups.n):
            keep("translate", lookups.translate_ns(order), lookups.take_ns())
        point.pages = len(load.gfns)
        point.table_bytes = guest.g.table_bytes()


def growth(scale: Scale, progress: Callable[[str], None] = lambda what: None) -> Iterator[Point]:
    """Measure the points of the curve, smallest guest first."""
    for point, make in _guests(scale):
        try:
            for order in ORDERS:
                progress(f"growth: {point.label}, {order}")
                load = make(order)
                tables = architected_bytes(load.gfns)
                need_memory(tables + tables // 4 + 8 * load.gfns.nbytes)
                for _ in range(scale.growth_rounds):
                    _measure_guest(point, load, order, scale)
        except NotMeasured as missing:
            point.reason = str(missing)
        yield point


# --- the plot -------------------------------------------------------------------------------


def check_plot(path: str) -> None:
    """Refuse a plot that could not be written.

    Raises
    ------
    NotMeasured
        matplotlib is not installed, or does not know the format.
    """
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError:
        raise NotMeasured("--plot needs matplotlib: pip install 'gmap[plot]'") from None
    formats = FigureCanvasBase.get_supported_filetypes()
    if Path(path).suffix.removeprefix(".") not in formats:
        raise NotMeasured(f"{path}: end the name in .png or .svg")


def plot(points: Sequence[Point], path: str) -> None:
    """Draw the curves; the suffix of the name decides the format."""
    from matplotlib.figure import Figure

    points = [point for point in points if not point.reason]
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    faults, lookups = figure.subplots(1, 2)
    _draw(faults, points, [c for c in CURVES if c.metric != "translate"])
    _draw(lookups, points, [c for c in CURVES if c.metric == "translate"])
    faults.set_title("Faults, tables only; the kernel also zeroes the page")
    lookups.set_title("Translation, beside one entry a page")
    figure.savefig(path)


def _draw(axes: Any, points: Sequence[Point], curves: Sequence[Curve]) -> None:
    x = range(len(points))
    for curve in curves:
        style = "--" if curve.order == "random" else "-"
        label = f"{curve.metric}, {curve.order}"
        axes.plot(x, [point.ns(curve) for point in points], "o" + style, label=label)
    peer = curves[-1]
    axes.plot(x, [point.peer_ns(peer) for point in points], "k:", label=peer.peer)
    axes.set_xticks(x, [point.label for point in points])
    axes.set_xlabel("guest memory, mapped in 4K")
    axes.set_ylabel("ns")
    axes.set_yscale("log")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
