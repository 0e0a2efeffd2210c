"""Replaying traces through a model, block by block. Floor 4. Needs Numba, and imports it late."""

import os
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gmap.errors import ConfigError
from gmap.models._config import Model
from gmap.models._errors import ModelDependencyError
from gmap.models._orders import orders_from
from gmap.models._presets import model as find_model
from gmap.models._result import CACHE, OUTCOME, Replay
from gmap.trace import ACCESS, PageTrace, chunks
from gmap.trace._bundled import locate
from gmap.trace._model import check_records

if TYPE_CHECKING:
    from gmap.models._build import Machine

__all__ = ["Simulation", "Source", "replay"]

Records: TypeAlias = NDArray[np.void]
Source: TypeAlias = PageTrace | Records | Iterable[Records] | str | os.PathLike[str]
#: Called with the records of a block, their orders as they were used, and an `OUTCOME` a record.
Sink: TypeAlias = Callable[[Records, NDArray[np.void]], None]

BLOCK: Final = 1 << 16  # accesses of one call of the kernel
FIRST_INTERVAL: Final = 1 << 6
MOST_TICKS: Final = 1 << 12


def _machine(model: Model) -> "Machine":
    try:
        from gmap.models._build import build
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("numba", "llvmlite"):
            raise
        raise ModelDependencyError(
            f"replaying a trace needs numba, which is not there ({error}): pip install numba"
        ) from None
    return build(model)


@cache
def _compiled() -> float:
    """Compile the kernels, once a process; the seconds it took."""
    start = perf_counter()
    Simulation("bare")._run(*_columns(np.zeros(1, ACCESS)), False)
    return perf_counter() - start


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only view: Numba compiles once for these and once for others."""
    view = array.view()
    view.flags.writeable = False
    return view


def _columns(records: Records) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    page, access, order = (np.ascontiguousarray(records[name]) for name in ACCESS.names or ())
    return page, access, order


class Simulation:
    """A model that accesses are fed to; its caches stay as they are between two calls.

    Parameters
    ----------
    model : Model, str or PathLike
        A model, the name of a preset, or a TOML file.
    space : Gmap, snapshot, or array of dtype `gmap.dtypes.LEAF`, optional
        What maps the pages of the trace: each access uses the size of its leaf, as the space is
        now. Page numbers of the trace are then guest frames.
    page_size : str or int, optional
        One size for every page. With neither, the trace's own `order` counts.

    Raises
    ------
    ConfigError
        If the model or the page sizes are not what they should be.
    ModelDependencyError
        If Numba is not installed.

    Notes
    -----
    One thread at a time may feed it; other threads run meanwhile.

    Examples
    --------
    >>> from gmap.trace import PageTrace
    >>> simulation = Simulation("small")
    >>> for _ in range(3):
    ...     simulation.feed(PageTrace([1, 2, 3], [0, 0, 0]))
    >>> simulation.result()
    <Replay small: 9 accesses, 3 L1 misses, 3 walks, 12 references>
    """

    def __init__(
        self,
        model: Model | str | os.PathLike[str],
        *,
        space: Any = None,
        page_size: str | int | None = None,
    ) -> None:
        self.model = find_model(model)
        self._orders = orders_from(space, page_size)
        self._machine = _machine(self.model)
        self._ticks = np.zeros((MOST_TICKS, 4), np.uint64)
        self._n_ticks = 0
        self._interval = FIRST_INTERVAL
        self._seconds = 0.0
        self._compile_seconds = 0.0

    @property
    def accesses(self) -> int:
        """How many accesses were fed so far."""
        return int(self._machine.totals[0])

    def feed(
        self, trace: PageTrace | Records, per_access: bool | Sink = False
    ) -> NDArray[np.void] | None:
        """Replay accesses.

        Parameters
        ----------
        trace : PageTrace or array of dtype `gmap.trace.ACCESS`
        per_access : bool or callable
            True: return an array of dtype `OUTCOME`, a row an access. A callable gets the
            records (with the orders that were used) and the outcomes of each block instead, so
            that memory stays bounded.

        Raises
        ------
        AddressError
            If a record is none; nothing was replayed then.

        >>> from gmap.trace import PageTrace
        >>> Simulation("small").feed(PageTrace([1, 1], [0, 2]), per_access=True).tolist()
        [(2, 4), (0, 0)]
        """
        columns: tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
        if isinstance(trace, PageTrace):
            columns = (trace.pages, trace.access, trace.order)
        else:
            if not isinstance(trace, np.ndarray):
                raise ConfigError(f"a trace is a PageTrace or an array of records, got {trace!r}")
            columns = _columns(check_records(trace))
        if not callable(per_access) and not isinstance(per_access, bool | np.bool_):
            raise ConfigError(f"per_access must be True, False or callable, got {per_access!r}")
        before = _compiled.cache_info().misses
        seconds = _compiled()
        if _compiled.cache_info().misses > before:
            self._compile_seconds = seconds
        keep = bool(per_access)
        parts = []
        for start in range(0, len(columns[0]), BLOCK):
            block = slice(start, start + BLOCK)
            page, access, order = columns[0][block], columns[1][block], columns[2][block]
            used = self._orders(page, order)
            outcome = self._run(page, access, used, keep)
            if callable(per_access):
                records = np.empty(len(page), ACCESS)
                records["page"], records["access"], records["order"] = page, access, used
                per_access(records, outcome)
            elif keep:
                parts.append(outcome)
        if callable(per_access) or not keep:
            return None
        return np.concatenate(parts) if parts else np.empty(0, OUTCOME)

    def _run(
        self, page: NDArray[Any], access: NDArray[Any], order: NDArray[Any], keep: bool
    ) -> NDArray[np.void]:
        """Give one block to the kernel."""
        from gmap._numba.tlb import replay_block

        machine = self._machine
        n = len(page)
        while (self.accesses + n) // self._interval > MOST_TICKS:
            # Half as many marks, twice as far apart: a long trace takes no more memory.
            self._n_ticks //= 2
            self._ticks[: self._n_ticks] = self._ticks[1 : 2 * self._n_ticks : 2].copy()
            self._interval *= 2
        outcome = np.empty((n if keep else 0, 2), np.uint8)
        start = perf_counter()
        self._n_ticks += replay_block(
            *machine[:-1],
            _frozen(page),
            _frozen(access),
            _frozen(order),
            outcome,
            self._ticks[self._n_ticks :],
            np.uint64(self._interval),
        )
        self._seconds += perf_counter() - start
        return outcome.view(OUTCOME)[:, 0]

    def result(self, per_access: NDArray[np.void] | None = None) -> Replay:
        """Return the counters so far, as a copy that stays as it is.

        >>> Simulation("small").result().counters["walks"]
        0
        """
        machine, walk = self._machine, self.model.walk
        reads = machine.levels[:, :, 2].copy()  # LevelColumn.READS
        return Replay(
            model=self.model,
            outcomes=machine.outcomes.copy(),
            stage1_reads=reads[0, : len(walk.stage1)],
            stage2_reads=reads[1, : len(walk.stage2)],
            caches=_cache_table(machine),
            ticks=self._ticks[: self._n_ticks].copy(),
            interval=self._interval,
            unmapped=self._orders.unmapped,
            per_access=per_access,
            seconds=self._seconds,
            compile_seconds=self._compile_seconds,
        )


def _cache_table(machine: "Machine") -> NDArray[np.void]:
    from gmap._numba.state import Row

    table: NDArray[np.void] = np.zeros(len(machine.places), CACHE)
    for i, (row, place) in enumerate(zip(machine.rows, machine.places, strict=True)):
        hits, misses, evictions, removals = row[Row.HITS :].tolist()
        occupied = misses - evictions - removals
        table[i] = (*place, hits, misses, evictions, removals, occupied)
    return table


def _pieces(source: Source) -> Iterator[PageTrace | Records]:
    """Yield what a replay may be given, in pieces that can be fed."""
    if isinstance(source, PageTrace | np.ndarray):
        yield source
    elif isinstance(source, str | os.PathLike):
        yield from chunks(locate(source))
    elif isinstance(source, Iterable):
        yield from source
    else:
        raise ConfigError(
            f"a trace is a PageTrace, records, chunks of them or a file, got {source!r}"
        )


def replay(
    trace: Source,
    model: Model | str | os.PathLike[str] = "server",
    *,
    space: Any = None,
    page_size: str | int | None = None,
    per_access: bool | Sink = False,
) -> Replay:
    """Replay a trace through a model of TLBs and page-table walks.

    Parameters
    ----------
    trace : PageTrace, array or iterable of arrays of dtype `gmap.trace.ACCESS`, str or PathLike
        A name is that of a bundled trace or of a file, which is read in chunks: memory stays
        bounded, and the result is the same however a trace is cut.
    model : Model, str or PathLike
        A model, the name of a preset (`gmap.models.presets`), or a TOML file.
    space : Gmap, snapshot, or array of dtype `gmap.dtypes.LEAF`, optional
        What maps the pages of the trace; see `Simulation`.
    page_size : str or int, optional
        One size for every page.
    per_access : bool or callable
        See `Simulation.feed`; with True the rows are in the result, 2 bytes an access.

    Returns
    -------
    Replay

    Raises
    ------
    ConfigError, AddressError, ModelFileError, ModelDependencyError
        If the request is wrong.
    TraceFormatError, OSError
        If a file is malformed or cannot be read.

    Examples
    --------
    >>> import gmap.trace
    >>> result = replay(gmap.trace.load("paths"), "server")
    >>> result.counters["accesses"] == result.counters["l1_hits"] + result.counters["l1_misses"]
    True
    >>> replay("paths", "server", page_size="1M").counters["walks"] < result.counters["walks"]
    True
    """
    simulation = Simulation(model, space=space, page_size=page_size)
    parts = []
    for piece in _pieces(trace):
        outcome = simulation.feed(piece, per_access)
        if outcome is not None:
            parts.append(outcome)
    rows = None
    if per_access and not callable(per_access):
        rows = np.concatenate(parts) if parts else np.empty(0, OUTCOME)
    return simulation.result(rows)
