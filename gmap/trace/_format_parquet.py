"""Parquet traces: the records as columns. Floor 4."""

from collections.abc import Iterator, Mapping
from typing import Any

from gmap.errors import ConfigError, TraceFormatError
from gmap.trace._arrow import (
    arrow_schema,
    batch_of,
    pyarrow,
    records_of,
    schema_meta,
    wanted_columns,
)
from gmap.trace._files import BrokenStreamError, Output, Source
from gmap.trace._model import Records
from gmap.trace._position import State
from gmap.trace._reader import CHUNK_RECORDS, Meta, Reader, filtered, rechunked

__all__ = ["read_parquet", "write_parquet"]

_BUFFER = 1 << 20
_GROUP_RECORDS = 16 * CHUNK_RECORDS


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", 1)[0]


class ParquetReader:
    """The rows of a Parquet file."""

    def __init__(self, source: Source, meta: Meta, state: State) -> None:
        self._name = source.name
        pa, parquet = pyarrow(), pyarrow("pyarrow.parquet")
        self._faults = (pa.ArrowException, OSError, ValueError, OverflowError)
        try:
            # Left to itself it reads whole columns of a row group ahead.
            self._file: Any = parquet.ParquetFile(
                source.seekable_file(),
                page_checksum_verification=True,
                buffer_size=_BUFFER,
                pre_buffer=False,
            )
            self._columns = wanted_columns(self._name, self._file.schema_arrow)
        except BrokenStreamError as error:
            raise TraceFormatError(f"{self._name}: {error}") from None
        except TraceFormatError:
            raise
        except self._faults as error:
            raise TraceFormatError(
                f"{self._name}: this is no Parquet file, or it is truncated: {_first_line(error)}"
            ) from None
        meta.update(schema_meta(self._name, self._file.schema_arrow))
        self._rows = self._file.metadata.num_rows
        self._promised = {meta.pop("records", str(self._rows)), str(self._rows)}
        self._row = state.offset
        if self._row > self._rows:
            raise ConfigError(
                f"{self._name}: the position is at row {self._row}, beyond the end: give the "
                "file it was made from"
            )

    def _batches(self) -> Iterator[Any]:
        """Yield the batches from the row on, without reading the row groups before it."""
        groups: list[int] = []
        before = 0
        for group in range(self._file.num_row_groups):
            n_rows = self._file.metadata.row_group(group).num_rows
            if groups or before + n_rows > self._row:
                groups.append(group)
            else:
                before += n_rows
        skip = self._row - before
        if not groups:
            return
        for batch in self._file.iter_batches(
            CHUNK_RECORDS, groups, self._columns, use_threads=False
        ):
            if skip < batch.num_rows:
                yield batch.slice(skip)
            skip = max(0, skip - batch.num_rows)

    def pieces(self) -> Iterator[Records]:
        batches = self._batches()
        while True:
            try:
                batch = next(batches, None)
                if batch is None:
                    break
                records = records_of(self._name, batch, self._row)
            except TraceFormatError:
                raise
            except self._faults as error:
                raise TraceFormatError(
                    f"{self._name}: damaged after row {self._row}: {_first_line(error)}"
                ) from None
            self._row += batch.num_rows
            yield records
        # A damaged footer can hide rows without any other sign.
        if self._promised != {str(self._row)}:
            raise TraceFormatError(
                f"{self._name}: it has {self._row} rows, its metadata promises "
                f"{' and '.join(sorted(text[:60] for text in self._promised))}: it is damaged"
            )

    def state(self) -> State:
        return State(self._row, self._row, self._row)

    def fraction(self) -> float | None:
        return self._row / self._rows if self._rows else None


def read_parquet(source: Source, meta: Meta, window: int | None, state: State) -> Reader:
    """Return the records of a Parquet trace, having read its metadata."""
    return filtered(ParquetReader(source, meta, state), window, state, meta)


def is_parquet(head: bytes) -> bool:
    return head.startswith(b"PAR1")


def write_parquet(
    output: Output, arrays: Iterator[Records], meta: Mapping[str, str], order: bool, n: int
) -> None:
    """Write a Parquet trace; `n` records will come, in arrays of up to `_GROUP_RECORDS`."""
    pa, parquet = pyarrow(), pyarrow("pyarrow.parquet")
    schema = arrow_schema({**meta, "records": str(n)}, order)
    sink = pa.PythonFile(output, "w")
    # Without checksums a changed byte in a page could pass for another page number.
    options = {"compression": "zstd", "write_page_checksum": True}
    with parquet.ParquetWriter(sink, schema, **options) as writer:
        for array in rechunked(arrays, _GROUP_RECORDS):
            writer.write_table(batch_of(array, schema))
