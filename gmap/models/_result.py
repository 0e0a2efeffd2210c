"""What a replay found: counters, a timeline, perhaps one row an access. Floor 4."""

from dataclasses import dataclass
from enum import IntEnum
from os import PathLike
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gmap._defs import PAGE_SHIFT
from gmap.errors import AddressError
from gmap.models._config import Model, integer
from gmap.trace import COUNTER, EVENT, Access, write_perfetto

__all__ = ["CACHE", "EVENT_NAMES", "OUTCOME", "TIMELINE", "Replay", "Where"]


class Where(IntEnum):
    """Where an access found its translation.

    >>> Where(2).name
    'WALK'
    """

    L1 = 0
    L2 = 1
    WALK = 2


#: One access of a replay: a `Where`, and the table entries read for it.
OUTCOME: Final = np.dtype([("where", np.uint8), ("refs", np.uint8)])

#: A stretch of a replay: the number of its first access, and what happened in it.
TIMELINE: Final = np.dtype(
    [
        ("start", np.uint64),
        ("accesses", np.uint64),
        ("l1_hits", np.uint64),
        ("l2_hits", np.uint64),
        ("walks", np.uint64),
        ("references", np.uint64),
    ]
)

#: One cache of a model. `entries` is its size, `occupied` how many hold something at the end.
CACHE: Final = np.dtype(
    [
        ("level", "U12"),
        ("name", "U32"),
        ("entries", np.uint64),
        ("hits", np.uint64),
        ("misses", np.uint64),
        ("evictions", np.uint64),
        ("removals", np.uint64),
        ("occupied", np.uint64),
    ]
)

#: What the names of `Replay.events` and `Replay.rates` are indices into.
EVENT_NAMES: Final = (
    "L1 hits",
    "L2 hits",
    "walks",
    "L1 misses per 1000",
    "walks per 1000",
    "references per 1000",
)

SCHEMA: Final = "gmap-replay/1"


@dataclass(frozen=True, eq=False)
class Replay:
    """The result of a replay. docs/models.md says what each counter counts.

    Attributes
    ----------
    model : Model
    outcomes : uint64 array, shape (64, 3, 3)
        Accesses by order of the page, `gmap.trace.Access` and `Where`.
    stage1_reads, stage2_reads : uint64 arrays
        Table entries read, by height from the bottom.
    caches : array of dtype `CACHE`
        Every TLB, walk cache and nested TLB.
    ticks : uint64 array, shape (n, 4)
        Accesses, L2 hits, walks and entries read, in all, after each `interval` accesses.
    interval : int
    unmapped : int
        Accesses to pages that the `space` does not map.
    per_access : array of dtype `OUTCOME`, or None
    seconds, compile_seconds : float
        Time in the kernels, and time to compile them before, which is 0 when they were there.

    Examples
    --------
    >>> import gmap.trace
    >>> from gmap.models import replay
    >>> result = replay(gmap.trace.PageTrace([1, 2, 1, 1], [0, 0, 1, 2]), "server")
    >>> result.counters["l1_hits"], result.counters["walks"], result.counters["references"]
    (1, 2, 5)
    """

    model: Model
    outcomes: NDArray[np.uint64]
    stage1_reads: NDArray[np.uint64]
    stage2_reads: NDArray[np.uint64]
    caches: NDArray[np.void]
    ticks: NDArray[np.uint64]
    interval: int
    unmapped: int = 0
    per_access: NDArray[np.void] | None = None
    seconds: float = 0.0
    compile_seconds: float = 0.0

    def __repr__(self) -> str:
        c = self.counters
        return (
            f"<Replay {self.model.name}: {c['accesses']} accesses, {c['l1_misses']} L1 misses, "
            f"{c['walks']} walks, {c['references']} references>"
        )

    @property
    def counters(self) -> dict[str, int]:
        """The sums, by name.

        >>> from gmap.models import replay
        >>> list(replay([], "server").counters)[:4]
        ['accesses', 'reads', 'writes', 'fetches']
        """
        where = self.outcomes.sum(axis=(0, 1)).tolist()
        kinds = self.outcomes.sum(axis=(0, 2)).tolist()
        accesses = sum(where)
        stage1, stage2 = int(self.stage1_reads.sum()), int(self.stage2_reads.sum())
        walk_caches = np.isin(self.caches["level"], ("stage 1", "stage 2"))
        nested = self.caches["level"] == "nested"
        return {
            "accesses": accesses,
            "reads": kinds[Access.R],
            "writes": kinds[Access.W],
            "fetches": kinds[Access.X],
            "l1_hits": where[Where.L1],
            "l1_misses": accesses - where[Where.L1],
            "l2_hits": where[Where.L2],
            "l2_misses": accesses - where[Where.L1] - where[Where.L2],
            "walks": where[Where.WALK],
            "references": stage1 + stage2,
            "stage1_references": stage1,
            "stage2_references": stage2,
            "walk_cache_hits": int(self.caches["hits"][walk_caches].sum()),
            "walk_cache_misses": int(self.caches["misses"][walk_caches].sum()),
            "nested_hits": int(self.caches["hits"][nested].sum()),
            "nested_misses": int(self.caches["misses"][nested].sum()),
            "unmapped": self.unmapped,
        }

    @property
    def accesses_per_second(self) -> float:
        """How fast the kernels were; compiling them is not part of it."""
        return self.counters["accesses"] / self.seconds if self.seconds else 0.0

    def by_kind(self) -> dict[str, dict[str, int]]:
        """Return where the loads, stores and fetches ended.

        >>> from gmap.models import replay
        >>> replay([], "server").by_kind()["W"]
        {'L1': 0, 'L2': 0, 'WALK': 0}
        """
        table = self.outcomes.sum(axis=0)
        return {k.name: {w.name: int(table[k, w]) for w in Where} for k in Access}

    def by_page_size(self) -> dict[int, dict[str, int]]:
        """Return where the accesses ended, by the bytes of the page; sizes that occur only.

        >>> from gmap.models import replay
        >>> from gmap.trace import PageTrace
        >>> replay(PageTrace([1], [0]), "server").by_page_size()
        {4096: {'L1': 0, 'L2': 0, 'WALK': 1}}
        """
        table = self.outcomes.sum(axis=1)
        return {
            1 << (PAGE_SHIFT + order): {w.name: int(table[order, w]) for w in Where}
            for order in np.flatnonzero(table.sum(axis=1)).tolist()
        }

    def timeline(self, bins: int = 200) -> NDArray[np.void]:
        """Return what happened when, in at most `bins` stretches of equal length.

        Parameters
        ----------
        bins : int
            1 or more. A replay remembers its state after each `interval` accesses, so there may
            be fewer; the last stretch may be shorter.

        Returns
        -------
        array of dtype `TIMELINE`
            The sums of the columns are the counters.

        Raises
        ------
        AddressError
            If `bins` is no count.

        >>> from gmap.models import replay
        >>> from gmap.trace import load
        >>> timeline = replay(load("triad"), "small").timeline(10)
        >>> len(timeline), int(timeline["accesses"].sum())
        (10, 138001)
        """
        if isinstance(bins, bool) or not isinstance(bins, int | np.integer) or bins < 1:
            raise AddressError(f"bins must be a count of 1 or more, got {bins!r}")
        c = self.counters
        end = [c["accesses"], c["l2_hits"], c["walks"], c["references"]]
        # Whole intervals a bin, so that all bins but the last are equal.
        step = max(1, -(-c["accesses"] // (self.interval * int(bins))))
        marks = [np.zeros((1, 4), np.uint64), self.ticks[step - 1 :: step]]
        if c["accesses"] % (step * self.interval):
            marks.append(np.array([end], np.uint64))
        table = np.concatenate(marks)
        width = np.diff(table, axis=0)
        result: NDArray[np.void] = np.zeros(len(width), TIMELINE)
        result["start"] = table[:-1, 0]
        for i, name in enumerate(("accesses", "l2_hits", "walks", "references")):
            result[name] = width[:, i]
        result["l1_hits"] = result["accesses"] - result["l2_hits"] - result["walks"]
        return result

    def events(self, bins: int = 200) -> NDArray[np.void]:
        """Return the timeline as slices for a trace viewer, dtype `gmap.trace.EVENT`.

        Each of the three tracks has a slice a stretch: it begins with the stretch and lasts as
        many accesses as ended there, so that the filled part of a track is their share.

        >>> from gmap.models import replay
        >>> from gmap.trace import PageTrace
        >>> replay(PageTrace([1, 1, 1], [0, 0, 0]), "server").events().tolist()
        [(0, 0, 2, 0), (2, 0, 1, 2)]
        """
        timeline = self.timeline(bins)
        parts = []
        for track, name in enumerate(("l1_hits", "l2_hits", "walks")):
            some = timeline[timeline[name] > 0]
            part = np.zeros(len(some), EVENT)
            part["name"] = part["track"] = track
            part["start"] = some["start"]
            part["duration"] = some[name]
            parts.append(part)
        result: NDArray[np.void] = np.concatenate(parts)
        return result

    def rates(self, bins: int = 200) -> NDArray[np.void]:
        """Return what happened per 1000 accesses over time, dtype `gmap.trace.COUNTER`.

        >>> from gmap.models import replay
        >>> from gmap.trace import PageTrace
        >>> replay(PageTrace([1, 1], [0, 0]), "server").rates().tolist()
        [(3, 0, 500.0), (4, 0, 500.0), (5, 0, 2000.0)]
        """
        timeline = self.timeline(bins)
        result: NDArray[np.void] = np.zeros((len(timeline), 3), COUNTER)
        misses = timeline["accesses"] - timeline["l1_hits"]
        for i, column in enumerate((misses, timeline["walks"], timeline["references"])):
            result["name"][:, i] = 3 + i  # of EVENT_NAMES
            result["time"][:, i] = timeline["start"]
            result["value"][:, i] = 1000 * column / timeline["accesses"]
        return result.reshape(-1)

    def write_perfetto(self, path: str | PathLike[str], bins: int = 1000) -> None:
        """Write the timeline for ui.perfetto.dev; an access is shown as a microsecond.

        Parameters
        ----------
        path : path-like
            .json or .json.gz.
        bins : int
            Of the timeline.

        Raises
        ------
        ConfigError, TraceWriteError
            The name ends in neither, or the file could not be written.

        >>> import tempfile
        >>> from gmap.models import replay
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     replay("triad", "small").write_perfetto(f"{folder}/triad.json")
        """
        write_perfetto(
            path,
            self.events(bins),
            EVENT_NAMES,
            tracks=dict(enumerate(EVENT_NAMES[:3])),
            counters=self.rates(bins),
            unit="accesses",
            title=f"gmap replay: {self.model.name}",
        )

    def to_dict(self, bins: int = 200) -> dict[str, Any]:
        """Return everything but the rows of the accesses, as plain values for JSON.

        >>> from gmap.models import replay
        >>> replay([], "server").to_dict()["schema"]
        'gmap-replay/1'
        """
        timeline = self.timeline(integer(bins, "bins", 1, 1 << 20))
        names = CACHE.names or ()
        return {
            "schema": SCHEMA,
            "model": self.model.name,
            "counters": self.counters,
            "by_kind": self.by_kind(),
            "by_page_size": {str(size): row for size, row in self.by_page_size().items()},
            "stage1_reads": self.stage1_reads.tolist(),
            "stage2_reads": self.stage2_reads.tolist(),
            "caches": [dict(zip(names, row, strict=True)) for row in self.caches.tolist()],
            "timeline": {name: timeline[name].tolist() for name in TIMELINE.names or ()},
            "seconds": self.seconds,
            "compile_seconds": self.compile_seconds,
        }
