"""Parquet and Arrow tables, there and back, and what a damaged one is answered with."""

import os
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_samples import (
    PACKERS,
    csv,
    pages_or_message,
    parquet,
    sample,
    traces,
    without_module,
)

from gmap.errors import ConfigError, TraceFormatError
from gmap.trace import PageTrace, TraceDependencyError, read, write

# --- Parquet --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "access",
    [
        ["R", "W", "X"],
        pa.array(["R", "W", "X"], pa.large_string()),
        pa.array(["R", "W", "X"]).dictionary_encode(),
        pa.array([0, 1, 2], pa.uint8()),
        [0, 1, 2],
    ],
)
def test_parquet_by_others(tmp_path: Path, access: Any) -> None:
    columns = {"time": [0.5, 1.5, 2.5], "access": access, "page": [1, 2, (1 << 52) - 1]}
    trace = read(parquet(tmp_path, columns))
    assert trace.records().tolist() == [(1, 0, 0), (2, 1, 0), ((1 << 52) - 1, 2, 0)]
    assert dict(trace.meta) == {}


BAD_PARQUET: list[tuple[dict[str, Any], str]] = [
    ({"page": [1], "kind": ["R"]}, "'access'"),
    ({"address": [1], "access": ["R"]}, "'page'"),
    ({"page": [1.5], "access": ["R"]}, "'page' has type double"),
    ({"page": ["1"], "access": ["R"]}, "'page' has type string"),
    ({"page": [1], "access": [0.0]}, "'access' has type double"),
    ({"page": [1, -1], "access": ["R", "R"]}, "row 2: page: expected 0 to .*, got -1"),
    ({"page": [1 << 52], "access": ["R"]}, "row 1: page"),
    ({"page": [1, None], "access": ["R", "R"]}, "row 2: page: .* got None"),
    ({"page": [1, 1], "access": ["R", "w"]}, "row 2: access: .* got 'w'"),
    ({"page": [1, 1], "access": ["R", None]}, "row 2: access: .* got None"),
    ({"page": [1, 1], "access": [0, 3]}, "row 2: access: .* got 3"),
    ({"page": [1], "access": ["R"], "order": [41]}, "row 1: order"),
]


@pytest.mark.parametrize(("columns", "message"), BAD_PARQUET)
def test_malformed_parquet_names_row_and_column(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(TraceFormatError, match=message) as caught:
        read(parquet(tmp_path, columns))
    assert str(caught.value).startswith(f"{tmp_path / 't.parquet'}: ")


def test_rows_are_counted_over_batches(tmp_path: Path) -> None:
    columns = {"page": [1] * 70_000 + [-1], "access": ["R"] * 70_001}
    with pytest.raises(TraceFormatError, match="row 70001: page"):
        read(parquet(tmp_path, columns))


@settings(deadline=None)
@given(data=st.data())
def test_damaged_parquet_is_found_or_harmless(data: st.DataObject, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp("pq")
    write(folder / "t.parquet", sample())
    whole = bytearray((folder / "t.parquet").read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        del whole[at:]
    else:
        whole[at] ^= data.draw(st.integers(1, 255))
    (folder / "t.parquet").write_bytes(bytes(whole))
    pages, message = pages_or_message(folder / "t.parquet")
    assert pages == sample().pages.tolist() or "t.parquet" in message


DAMAGED_FOOTERS = [
    ({"gmap.records": "3"}, "it has 2 rows, its metadata promises 2 and 3: it is damaged"),
    ({"gmap.records": "many"}, "promises 2 and many"),
    ({"gmap.a b": "c"}, "metadata key 'a b'"),
]


@pytest.mark.parametrize(("meta", "message"), DAMAGED_FOOTERS)
def test_a_damaged_footer_of_parquet(tmp_path: Path, meta: dict[str, str], message: str) -> None:
    table = pa.table({"page": [1, 2], "access": ["R", "W"]}).replace_schema_metadata(meta)
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(TraceFormatError, match=message) as caught:
        read(tmp_path / "t.parquet")
    assert str(caught.value).startswith(f"{tmp_path / 't.parquet'}: ")


def test_any_changed_byte_of_a_footer_is_found_or_harmless(tmp_path: Path) -> None:
    """Parquet has no checksum there: without a count of ours, rows could get lost."""
    write(tmp_path / "t.parquet", sample(3))
    whole = (tmp_path / "t.parquet").read_bytes()
    footer = 8 + int.from_bytes(whole[-8:-4], "little")
    for at in range(len(whole) - footer, len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 2
        (tmp_path / "t.parquet").write_bytes(damaged)
        pages, message = pages_or_message(tmp_path / "t.parquet")
        assert pages == sample(3).pages.tolist() or "t.parquet: " in message


def test_a_later_version_is_refused(tmp_path: Path) -> None:
    table = pa.table({"page": [1], "access": ["R"]}).replace_schema_metadata(
        {"gmap.format": "gmap-trace/2", "pandas": "{}"}
    )
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(TraceFormatError, match="gmap-trace/1"):
        read(tmp_path / "t.parquet")


@pytest.mark.parametrize("suffix", PACKERS)
def test_parquet_inside_a_compressed_file(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / "t.parquet", sample())
    whole = PACKERS[suffix]((tmp_path / "t.parquet").read_bytes())
    assert read(csv(tmp_path, whole, "t.parquet" + suffix)) == sample()
    with pytest.raises(TraceFormatError, match="truncated"):
        read(csv(tmp_path, whole[:-9], "t.parquet" + suffix))
    with pytest.raises(ConfigError, match="compressed already"):
        write(tmp_path / f"u.parquet{suffix}", sample())


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "t.parquet", sample())
    without_module(monkeypatch, "pyarrow")
    with pytest.raises(TraceDependencyError, match=r"pip install pyarrow"):
        read(tmp_path / "t.parquet")
    with pytest.raises(TraceDependencyError, match=r"pip install pyarrow"):
        write(tmp_path / "u.parquet", sample())
    write(tmp_path / "t.csv", sample())
    assert sorted(os.listdir(tmp_path)) == ["t.csv", "t.parquet"]


# --- Arrow ----------------------------------------------------------------------------------


@settings(deadline=None)
@given(trace=traces)
def test_arrow_there_and_back(trace: PageTrace) -> None:
    table = trace.to_arrow()
    assert table.column_names == ["page", "access", *(["order"] if trace.order.any() else [])]
    assert table["page"].to_pylist() == trace.pages.tolist()
    assert PageTrace.from_arrow(table) == trace


def test_an_arrow_table_is_what_a_parquet_trace_holds(tmp_path: Path) -> None:
    trace = sample()
    write(tmp_path / "t.parquet", trace)
    table = pq.read_table(tmp_path / "t.parquet")
    assert table.equals(trace.to_arrow())
    assert PageTrace.from_arrow(table) == trace


def test_arrow_by_others() -> None:
    chunked = pa.chunked_array([pa.array([7, 8], pa.int32()), pa.array([9], pa.int32())])
    table = pa.table({"access": [0, 1, 2], "page": chunked, "time": [0.5, 1.5, 2.5]})
    for given_ in (table, pa.RecordBatchReader.from_batches(table.schema, table.to_batches())):
        assert PageTrace.from_arrow(given_).records().tolist() == [(7, 0, 0), (8, 1, 0), (9, 2, 0)]


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        (7, "expected a table with columns page and access, got a int"),
        (pa.table({"page": [1]}), "expected one column 'access'"),
        (pa.table({"page": [1, -1], "access": [0, 0]}), "Arrow table: row 2: page: .* got -1"),
        (pa.table({"page": [1], "access": ["rw"]}), "row 1: access: expected R, W or X"),
    ],
)
def test_a_bad_arrow_table(given_: Any, message: str) -> None:
    with pytest.raises(TraceFormatError, match=message):
        PageTrace.from_arrow(given_)


def test_arrow_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    table = sample().to_arrow()
    without_module(monkeypatch, "pyarrow")
    with pytest.raises(TraceDependencyError, match=r"pip install pyarrow"):
        sample().to_arrow()
    with pytest.raises(TraceDependencyError, match=r"pip install pyarrow"):
        PageTrace.from_arrow(table)


def test_pandas_only_when_asked() -> None:
    pytest.importorskip("pandas")
    frame = sample(5).to_pandas()
    assert frame["page"].tolist() == sample(5).pages.tolist()
    assert frame["access"].tolist() == ["RWX"[kind] for kind in sample(5).access]
