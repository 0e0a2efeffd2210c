"""Reading goes on at any place as if it had never stopped."""

import json
import os
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_samples import MAKERS, PACKERS, accesses, made_file, sample

from gmap.errors import ConfigError, TraceFormatError
from gmap.trace import ACCESS, PageFilter, Position, TraceFile, chunks, read, write
from gmap.trace import _files as files


@pytest.fixture(scope="module")
def small_pieces() -> Any:
    """Files are read 700 bytes at a time, so that small ones have many pieces."""
    before, files.PIECE = files.PIECE, 700
    yield
    files.PIECE = before


@pytest.mark.parametrize("packed", ["", *PACKERS])
@pytest.mark.parametrize("kind", MAKERS)
@settings(deadline=None, max_examples=6)
@given(
    size=st.one_of(st.integers(1, 40), st.integers(41, 500)),
    window=st.sampled_from([None, 0, 1, 5, 64]),
    stop=st.integers(1, 100),
)
def test_what_follows_is_exactly_the_rest(
    kind: str,
    packed: str,
    size: int,
    window: int | None,
    stop: int,
    small_pieces: None,
    tmp_path_factory: Any,
) -> None:
    path, _ = made_file(tmp_path_factory.mktemp("rest"), kind, 150, packed)
    whole = read(path, window=window).records()
    reading = chunks(path, size, window=window)
    assert reading.position is None
    seen = 0
    for part in islice(reading, stop):
        seen += len(part)
    position = reading.position
    assert position is not None
    assert position.records == seen
    token = json.loads(json.dumps(position.token()))
    assert Position.from_token(token) == position
    for start in (position, token):
        rest = list(chunks(path, max(1, size // 2), start=start))
        assert np.concatenate([whole[:seen], *rest]).tolist() == whole.tolist()


@pytest.mark.parametrize("kind", MAKERS)
def test_again_and_again(kind: str, tmp_path: Path) -> None:
    """A place found by reading on from a place is as good."""
    path, _ = made_file(tmp_path, kind, 200)
    whole = read(path, window=4).records()
    token, parts = None, []
    while True:
        with TraceFile(path, window=4 if token is None else None, start=token) as file:
            part = next(file.chunks(7), None)
            token = file.position.token()
            if part is None:
                break
            parts.append(part)
    assert np.concatenate(parts).tolist() == whole.tolist()
    assert [len(part) for part in parts[:-1]] == [7] * (len(parts) - 1)
    assert Position.from_token(token).records == len(whole)


def test_a_limit_ends_the_chunks_where_it_is(tmp_path: Path) -> None:
    path, _ = made_file(tmp_path, "csv", 300)
    for limit in (1, 99, 100, 250, 300, 301):
        with TraceFile(path) as file:
            n = sum(len(part) for part in file.chunks(100, limit))
            assert (n, file.position.records) == (min(limit, 300), min(limit, 300))
            rest = list(chunks(path, start=file.position))
            assert sum(map(len, rest)) == 300 - n
    with pytest.raises(ConfigError, match="limit must be at least 1, got 0"), TraceFile(path) as f:
        next(f.chunks(1, 0))


def test_lines_are_counted_from_the_start_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "t.lackey"
    text = "".join(f" L {page:x}000,4\n" for page in range(1, 1001))
    path.write_text(text + "nonsense\n")
    reading = chunks(path, 100, window=0)
    with pytest.raises(TraceFormatError, match="line 1001: kind"):
        list(reading)
    path.write_text(text)
    reading = chunks(path, 100, window=0)
    next(reading)
    assert reading.position is not None
    path.write_text(text + "nonsense\n")
    with pytest.raises(TraceFormatError, match="line 1001: kind"):
        list(chunks(path, start=reading.position))


def test_a_csv_file_is_still_counted(tmp_path: Path) -> None:
    """What the head promises is checked from the middle, too."""
    write(tmp_path / "t.csv", sample(300))
    with TraceFile(tmp_path / "t.csv") as file:
        next(file.chunks(100))
        position = file.position
    assert sum(map(len, chunks(tmp_path / "t.csv", start=position))) == 200
    whole = (tmp_path / "t.csv").read_bytes()
    (tmp_path / "t.csv").write_bytes(whole[: whole.rindex(b"0x")])
    with pytest.raises(TraceFormatError, match="promises 300"):
        list(chunks(tmp_path / "t.csv", start=position))


# --- positions that do not fit --------------------------------------------------------------


def place(path: Path, **options: Any) -> Position:
    reading = chunks(path, 50, **options)
    next(reading)
    assert reading.position is not None
    return reading.position


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("kind", MAKERS)
def test_a_position_of_another_file(kind: str, packed: str, tmp_path: Path) -> None:
    path, _ = made_file(tmp_path, kind, 300, packed)
    position = place(path)
    other, _ = made_file(tmp_path, kind, 7, packed)
    with pytest.raises(ConfigError, match="the position is one of another file"):
        list(chunks(other, start=position))


def test_a_position_beyond_the_end(tmp_path: Path, small_pieces: None) -> None:
    for kind in MAKERS:
        for packed in ("", ".xz"):
            path, _ = made_file(tmp_path, kind, 1000, packed)
            with TraceFile(path) as file:
                for _ in file.chunks(100):
                    pass
                position = file.position
            content = MAKERS[kind][1](accesses(1000))[0]
            short = content[: len(content) // 2]
            if kind != "parquet":
                path.write_bytes(PACKERS[packed](short) if packed else short)
                with pytest.raises(ConfigError, match="beyond the end: give the file"):
                    list(chunks(path, start=position))


def test_more_records_to_skip_than_there_are(tmp_path: Path) -> None:
    path, _ = made_file(tmp_path, "csv", 300)
    good = place(path)
    far = Position("csv", None, 5000, 5000, good.state, good.head_bytes, good.head_crc)
    with pytest.raises(ConfigError, match="4700 records beyond the end"):
        list(chunks(path, start=far))


def test_a_position_keeps_format_and_window(tmp_path: Path) -> None:
    path, _ = made_file(tmp_path, "lackey")
    position = place(path, window=8)
    assert (position.format, position.window) == ("lackey", 8)
    list(chunks(path, start=position, window=8, format="lackey"))
    with pytest.raises(ConfigError, match="taken with filter window 8, not 9"):
        list(chunks(path, start=position, window=9))
    with pytest.raises(ConfigError, match="taken with format lackey, not csv"):
        list(chunks(path, start=position, format="csv"))


@settings(deadline=None)
@given(data=st.data())
def test_a_changed_token_is_refused_or_harmless(data: st.DataObject, tmp_path_factory: Any) -> None:
    path, _ = made_file(tmp_path_factory.mktemp("token"), "lackey")
    token = place(path, window=4).token()
    at = data.draw(st.integers(0, len(token) - 1))
    changed = token[:at] + data.draw(st.sampled_from("aZ09-_ é")) + token[at + 1 :]
    rest = sum(map(len, chunks(path, start=token)))
    try:
        assert sum(map(len, chunks(path, start=changed))) == rest
    except ConfigError as error:
        assert "expected a token" in str(error)  # noqa: PT017


@pytest.mark.parametrize("token", ["", "gmap1-", "gmap1-AAAA", "gmap2-eJw", "x y", "gmap1-é", "-"])
def test_text_that_is_no_token(token: str) -> None:
    with pytest.raises(ConfigError, match=r"expected a token \(gmap1-"):
        Position.from_token(token)


def test_a_start_that_is_none(tmp_path: Path) -> None:
    path, _ = made_file(tmp_path, "csv")
    with pytest.raises(ConfigError, match="must be a Position or its token, got 7"):
        list(chunks(path, start=7))  # type: ignore[arg-type]


# --- the filter put aside -------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    window=st.integers(0, 6),
    stream=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2), st.sampled_from([0, 9]))),
    cut=st.integers(0, 100),
)
def test_a_filter_goes_on_where_another_was(
    window: int, stream: list[tuple[int, int, int]], cut: int
) -> None:
    records = np.array(stream, ACCESS)
    straight = PageFilter(window)
    expected = np.concatenate([straight.feed(records), straight.finish()])
    first = PageFilter(window)
    before = first.feed(records[:cut])
    second = PageFilter(window, first.state())
    assert second.state() == first.state()
    after = np.concatenate([second.feed(records[cut:]), second.finish()])
    assert np.concatenate([before, after]).tolist() == expected.tolist()
    assert second.accesses == len(stream)


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_a_changed_state_does_no_harm(data: st.DataObject) -> None:
    """It is refused, or it is the state of some other stream."""
    filter_ = PageFilter(4)
    filter_.feed(np.array([(page % 7, page % 3, 0) for page in range(50)], ACCESS))
    state = bytearray(filter_.state())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(state) - 1))
        state[at] = data.draw(st.integers(0, 255))
    try:
        other = PageFilter(4, bytes(state))
    except ConfigError as error:
        assert "state of the page filter" in str(error)  # noqa: PT017
        return
    other.feed(np.array([(page % 11, page % 3, 0) for page in range(500)], ACCESS))
    assert len(other.finish()) < 1000


def test_a_state_of_another_window_is_refused() -> None:
    state = PageFilter(4).state()
    for window, bad in ((5, state), (4, state[:-1]), (4, state + b"x"), (4, b"x")):
        with pytest.raises(ConfigError, match="it was changed"):
            PageFilter(window, bad)


def test_no_file_stays_open(tmp_path: Path) -> None:
    path, _ = made_file(tmp_path, "parquet", 100, ".gz")
    opened = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    reading = chunks(path, 10)
    next(reading)
    del reading
    assert not opened or len(os.listdir("/proc/self/fd")) == opened
