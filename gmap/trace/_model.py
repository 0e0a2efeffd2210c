"""What a trace is: records, and what is known about them. Floor 4; reads no files."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gmap._defs import PAGE_SHIFT
from gmap.errors import AddressError, AddressTypeError, ConfigError

__all__ = ["ACCESS", "DEFAULT_WINDOW", "LAST_PAGE", "MAX_ORDER", "Access", "PageTrace"]

#: One access to one page: the page number (address >> 12), an `Access` code, and the order of
#: the mapping it went through where the source knows it (2**order pages of 4 KiB; 0 otherwise).
ACCESS: Final = np.dtype(
    [("page", np.uint64), ("access", np.uint8), ("order", np.uint8)], align=True
)
LAST_PAGE: Final = (1 << (64 - PAGE_SHIFT)) - 1
MAX_ORDER: Final = 40
DEFAULT_WINDOW: Final = 64
MAX_WINDOW: Final = 65536

Records: TypeAlias = NDArray[np.void]
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


class Access(IntEnum):
    """Kinds of access. A store that also loads, such as an increment in memory, is `W`.

    >>> Access.W, Access.X.name
    (<Access.W: 1>, 'X')
    """

    R = 0
    W = 1
    X = 2


def check_window(window: object) -> int:
    """Return the size of a filter's window, refusing what is no count or too large."""
    if isinstance(window, bool) or not isinstance(window, int | np.integer):
        raise AddressTypeError(f"filter window must be an integer, got {window!r}")
    if not 0 <= window <= MAX_WINDOW:
        raise AddressError(f"filter window {window} is out of range: use 0 to {MAX_WINDOW}")
    return int(window)


def _column(values: ArrayLike, what: str, last: int, dtype: type[np.unsignedinteger[Any]]) -> Any:
    """Return a column as a read-only one-dimensional array, refusing what would change."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise AddressError(f"{what} must be one-dimensional, got shape {array.shape}")
    if array.size and array.dtype.kind not in "ui":
        raise AddressTypeError(f"{what} must be unsigned integers, got dtype {array.dtype}")
    for value in (array.min(), array.max()) if array.size else ():
        if not 0 <= int(value) <= last:
            raise AddressError(f"{what} {int(value):#x} is out of range: use 0 to {last:#x}")
    column = array.astype(dtype, copy=False).view()
    column.flags.writeable = False
    return column


def check_records(records: Records) -> Records:
    """Return records in the `ACCESS` layout, refusing values that are none."""
    if records.dtype != ACCESS:
        raise AddressTypeError(f"records must have dtype gmap.trace.ACCESS, got {records.dtype}")
    _column(records["page"], "page", LAST_PAGE, np.uint64)
    _column(records["access"], "access", max(Access), np.uint8)
    _column(records["order"], "order", MAX_ORDER, np.uint8)
    return np.ascontiguousarray(records)


def check_meta(meta: Mapping[str, str]) -> Mapping[str, str]:
    """Return a read-only copy of metadata, refusing what no format can carry."""
    for key, value in meta.items():
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise ConfigError(f"metadata key {key!r}: use letters, digits, '_', '-' and '.'")
        if not isinstance(value, str):
            raise ConfigError(f"metadata {key}: the value must be a str, got {value!r}")
    return MappingProxyType(dict(meta))


def runs_of(pages: NDArray[np.uint64]) -> NDArray[np.void]:
    """Return the runs of neighbours among distinct pages in order: their first, and how many."""
    starts = np.flatnonzero(np.diff(pages, prepend=pages[:1] - np.uint64(2)) != 1)
    result = np.empty(len(starts), [("page", np.uint64), ("n_pages", np.uint64)])
    result["page"] = pages[starts]
    result["n_pages"] = np.diff(np.append(starts, len(pages)))
    return result


@dataclass(frozen=True, eq=False)
class PageTrace:
    """A page-granular trace of a program.

    Parameters
    ----------
    pages : array of unsigned integers
        Virtual page numbers: addresses >> 12.
    access : array of unsigned integers
        `Access` codes.
    order : array of unsigned integers, optional
        Orders of the mappings the accesses went through: 2**order pages of 4 KiB.
        Left out, they are 0: not known, or 4 KiB.
    meta : mapping of str to str, optional
        Where the trace comes from; docs/traces.md lists the keys `gmap trace record` writes.

    Notes
    -----
    The arrays are read-only views. A recorded stream is filtered: `meta["filter"]` is the
    window, and docs/traces.md says what it preserves.

    Examples
    --------
    >>> trace = PageTrace([0x400, 0x7f0, 0x400, 0x7f0], [2, 0, 2, 1], meta={"program": "demo"})
    >>> trace.n_accesses, trace.footprint()
    (4, 2)
    >>> trace.first_touches().pages
    array([1024, 2032], dtype=uint64)
    """

    pages: NDArray[np.uint64]
    access: NDArray[np.uint8]
    order: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    meta: Mapping[str, str] = field(default_factory=dict)

    def __init__(
        self,
        pages: ArrayLike,
        access: ArrayLike,
        order: ArrayLike | None = None,
        meta: Mapping[str, str] | None = None,
    ) -> None:
        columns = {
            "pages": _column(pages, "page", LAST_PAGE, np.uint64),
            "access": _column(access, "access", max(Access), np.uint8),
        }
        n = len(columns["pages"])
        columns["order"] = _column(
            np.zeros(n, np.uint8) if order is None else order, "order", MAX_ORDER, np.uint8
        )
        for name, column in columns.items():
            if len(column) != n:
                raise ConfigError(f"{n} pages, but {name} has {len(column)} values")
            object.__setattr__(self, name, column)
        object.__setattr__(self, "meta", check_meta(meta or {}))

    @classmethod
    def from_records(cls, records: Records, meta: Mapping[str, str] | None = None) -> "PageTrace":
        """Return the trace of records (dtype `ACCESS`), such as joined chunks.

        >>> PageTrace.from_records(np.array([(5, 1, 0)], ACCESS)).pages
        array([5], dtype=uint64)
        """
        check_records(records)
        # Columns of their own: a strided view would keep the records alive beside them.
        columns = [np.ascontiguousarray(records[name]) for name in ("page", "access", "order")]
        return cls(columns[0], columns[1], columns[2], meta)

    @classmethod
    def from_chunks(
        cls, chunks: Iterable[Records], meta: Mapping[str, str] | None = None
    ) -> "PageTrace":
        """Return the trace of all chunks, one after another.

        >>> PageTrace.from_chunks([np.array([(5, 1, 0)], ACCESS), np.array([(6, 0, 0)], ACCESS)])
        <PageTrace unnamed: 2 records, 2 pages>
        """
        parts = list(chunks)
        return cls.from_records(np.concatenate(parts) if parts else np.empty(0, ACCESS), meta)

    def __len__(self) -> int:
        return len(self.pages)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PageTrace):
            return NotImplemented
        return self.meta == other.meta and all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("pages", "access", "order")
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        program = self.meta.get("program", "unnamed")
        return f"<PageTrace {program}: {len(self)} records, {self.footprint()} pages>"

    @property
    def n_accesses(self) -> int:
        """Accesses in this trace; `meta["accesses"]` says how many the program made."""
        return len(self.pages)

    def records(self) -> Records:
        """Return the trace as one structured array, dtype `ACCESS`."""
        result: Records = np.empty(len(self), ACCESS)
        result["page"] = self.pages
        result["access"] = self.access
        result["order"] = self.order
        return result

    def footprint(self) -> int:
        """Return the number of distinct pages."""
        return len(np.unique(self.pages))

    def first_touches(self) -> "PageTrace":
        """Return the first access to each page, in the order they were made.

        Replayed as faults, these are the faults that fill an empty address space.
        """
        index = np.sort(np.unique(self.pages, return_index=True)[1])
        return PageTrace(self.pages[index], self.access[index], self.order[index], self.meta)

    def only(self, *kinds: Access) -> "PageTrace":
        """Return the accesses of these kinds: what a data TLB or a fetch TLB sees.

        >>> PageTrace([1, 2, 3], [2, 0, 1]).only(Access.R, Access.W).pages
        array([2, 3], dtype=uint64)
        """
        wanted = np.isin(self.access, [int(Access(kind)) for kind in kinds])
        return PageTrace(self.pages[wanted], self.access[wanted], self.order[wanted], self.meta)

    def regions(self) -> NDArray[np.void]:
        """Return the runs of neighbouring pages touched, in address order.

        >>> PageTrace([7, 8, 8, 3], [0, 0, 1, 2]).regions().tolist()
        [(3, 1), (7, 2)]
        """
        return runs_of(np.unique(self.pages))

    def summary(self) -> dict[str, Any]:
        """Return what `gmap trace info` tells, as plain values.

        >>> summary = PageTrace([1, 1, 2], [0, 1, 2]).summary()
        >>> summary["records"], summary["footprint_pages"], summary["pages_written"]
        (3, 2, 1)
        """
        from gmap.trace._summary import Summary

        summary = Summary()
        summary.add(self.records())
        return summary.facts()

    def to_arrow(self) -> Any:
        """Return the trace as a `pyarrow.Table`, metadata included.

        Columns `page` (uint64), `access` (a dictionary of R, W and X) and, if there are any,
        `order` (uint8), as in a Parquet trace.

        Raises
        ------
        TraceDependencyError
            There is no pyarrow.

        Examples
        --------
        >>> PageTrace([7, 8], [0, 1]).to_arrow().column("access").to_pylist()
        ['R', 'W']
        """
        from gmap.trace._arrow import arrow_schema, batch_of

        return batch_of(self.records(), arrow_schema(self.meta, bool(self.order.any())))

    @classmethod
    def from_arrow(cls, table: Any) -> "PageTrace":
        """Return the trace in a `pyarrow.Table`, or in what offers Arrow's stream interface.

        Columns are those of `to_arrow`; `access` may also be strings or the codes 0 to 2, and
        other columns are left alone.

        Raises
        ------
        TraceFormatError
            A column is missing or holds what is no record; the message names column and row.
        TraceDependencyError
            There is no pyarrow.

        Examples
        --------
        >>> trace = PageTrace([7, 8], [0, 1], meta={"program": "demo"})
        >>> PageTrace.from_arrow(trace.to_arrow()) == trace
        True
        """
        from gmap.trace._arrow import read_table

        records, meta = read_table(table)
        return cls.from_records(records, meta)

    def to_pandas(self) -> Any:
        """Return the trace as a `pandas.DataFrame`, by way of `to_arrow`; needs pandas.

        >>> PageTrace([7, 8], [0, 1]).to_pandas().shape
        (2, 2)
        """
        return self.to_arrow().to_pandas()
