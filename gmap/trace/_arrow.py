"""Traces as Arrow columns: what Parquet files and Arrow tables share. Floor 4."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from gmap.errors import ConfigError, TraceFormatError
from gmap.trace._errors import TraceDependencyError
from gmap.trace._format_csv import VERSION, decode
from gmap.trace._model import ACCESS, LAST_PAGE, MAX_ORDER, Access, Records, check_meta

__all__ = [
    "arrow_schema",
    "batch_of",
    "pyarrow",
    "read_table",
    "records_of",
    "schema_meta",
    "wanted_columns",
]

_OURS = b"gmap."  # prefix of this package's keys in a schema's metadata


def pyarrow(module: str = "pyarrow") -> Any:
    """Return pyarrow, or a module of it, once it is needed."""
    try:
        import_module("pyarrow")
        return import_module(module)
    except ImportError:
        raise TraceDependencyError(
            "Parquet and Arrow need pyarrow: pip install pyarrow, or use CSV"
        ) from None


def arrow_schema(meta: Mapping[str, str], order: bool) -> Any:
    """Return the schema of a trace with this metadata, the file's own keys included."""
    pa = pyarrow()
    fields = {"page": pa.uint64(), "access": pa.dictionary(pa.uint8(), pa.string())}
    if order:
        fields["order"] = pa.uint8()
    texts = {"format": VERSION, **meta}
    ours = {_OURS + key.encode(): texts[key].encode("utf-8", "surrogateescape") for key in texts}
    return pa.schema(fields, metadata=ours)


def batch_of(records: Records, schema: Any) -> Any:
    """Return records as a table of that schema."""
    pa = pyarrow()
    letters = pa.array(Access._member_names_)
    columns = [
        pa.array(np.ascontiguousarray(records["page"])),
        pa.DictionaryArray.from_arrays(np.ascontiguousarray(records["access"]), letters),
    ]
    if "order" in schema.names:
        columns.append(pa.array(np.ascontiguousarray(records["order"])))
    return pa.Table.from_arrays(columns, schema=schema)


def schema_meta(name: str, schema: Any) -> dict[str, str]:
    """Return the metadata of a schema, its format checked; `records` is among them if given."""
    meta = {}
    for key, value in (schema.metadata or {}).items():
        if key.startswith(_OURS):
            meta[decode(key.removeprefix(_OURS))] = decode(value)
    version = meta.pop("format", VERSION)
    if version != VERSION:
        raise TraceFormatError(
            f"{name}: format {version[:60]!r}: this version of gmap reads {VERSION}"
        )
    try:
        check_meta(meta)
    except ConfigError as error:
        raise TraceFormatError(f"{name}: {error}") from None
    return meta


def wanted_columns(name: str, schema: Any) -> list[str]:
    """Return the columns to read, having checked their types."""
    pa = pyarrow()
    wanted = ["page", "access", *(["order"] if "order" in schema.names else [])]
    for column in wanted:
        if schema.names.count(column) != 1:
            raise TraceFormatError(
                f"{name}: expected one column {column!r}, the columns are {schema.names}"
            )
        kind = schema.field(column).type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        texts = (pa.string(), pa.large_string(), pa.string_view()) if column == "access" else ()
        if not pa.types.is_integer(kind) and kind not in texts:
            raise TraceFormatError(f"{name}: column {column!r} has type {kind}, expected integers")
    return wanted


def records_of(name: str, batch: Any, row: int) -> Records:
    """Return a record batch as records; `row` rows came before it."""
    pa = pyarrow()
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    for column, values in columns.items():
        if pa.types.is_dictionary(values.type):
            columns[column] = values.dictionary_decode()
    result: Records = np.zeros(len(columns["page"]), ACCESS)
    limits = {"page": LAST_PAGE, "access": max(Access), "order": MAX_ORDER}
    for column, given in columns.items():
        values = given
        if not pa.types.is_integer(values.type):
            letters = pa.array(Access._member_names_, values.type)
            values = pyarrow("pyarrow.compute").index_in(values, letters)
        numbers = values.to_numpy(zero_copy_only=False)
        bad = values.is_null().to_numpy(zero_copy_only=False)
        if not bad.any():
            bad = (numbers < 0) | (numbers > limits[column])
        if bad.any():
            at = int(np.argmax(bad))
            expected = f"expected 0 to {limits[column]:#x}"
            if column == "access":
                expected = "expected R, W or X, or their codes 0, 1 and 2"
            raise TraceFormatError(
                f"{name}: row {row + at + 1}: {column}: {expected}, got {given[at].as_py()!r}"
            )
        result[column] = numbers
    return result


def read_table(given: Any) -> tuple[Records, dict[str, str]]:
    """Return the records and the metadata of an Arrow table."""
    pa = pyarrow()
    name = "Arrow table"
    try:
        table = given if isinstance(given, pa.Table) else pa.table(given)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise TraceFormatError(
            f"{name}: expected a table with columns page and access, got a "
            f"{type(given).__name__}: {error}"
        ) from None
    meta = schema_meta(name, table.schema)
    meta.pop("records", None)
    table = table.select(wanted_columns(name, table.schema))
    parts: list[Records] = [np.empty(0, ACCESS)]
    row = 0
    for batch in table.to_batches():
        parts.append(records_of(name, batch, row))
        row += batch.num_rows
    return np.concatenate(parts), meta
