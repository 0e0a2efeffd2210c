"""Timelines for Perfetto and speedscope, held to what their formats ask for."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmap.errors import AddressError, AddressTypeError, ConfigError
from gmap.trace import COUNTER, EVENT, TraceWriteError, write_perfetto, write_speedscope

NAMES = ["walk", 'a "quoted"\nname', "façade"]
EVENTS = np.array([(0, 1000, 500, 2), (1, 1500, 0, 2), (2, 1, 2, 0)], EVENT)


def loaded(path: Path) -> Any:
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


def check_trace_events(document: Any) -> list[Any]:
    """What the Trace Event Format asks of each phase used here; the events with a duration."""
    assert set(document) == {"displayTimeUnit", "otherData", "traceEvents"}
    assert document["displayTimeUnit"] in ("ms", "ns")
    for event in document["traceEvents"]:
        assert isinstance(event["name"], str)
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        fields = {"ph", "pid", "tid", "name"}
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name")
            assert set(event) == fields | {"args"}
            assert set(event["args"]) == {"name"}
        elif event["ph"] == "C":
            assert set(event) == fields | {"ts", "args"}
            assert all(isinstance(value, int | float) for value in event["args"].values())
        else:
            assert event["ph"] == "X"
            assert set(event) == fields | {"ts", "dur"}
            assert event["ts"] >= 0
            assert event["dur"] >= 0
    return [event for event in document["traceEvents"] if event["ph"] == "X"]


def check_speedscope(document: Any) -> None:
    """What speedscope's schema and its comments ask for."""
    assert document["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert set(document) == {"$schema", "name", "exporter", "shared", "profiles"}
    frames = document["shared"]["frames"]
    assert all(set(frame) == {"name"} and isinstance(frame["name"], str) for frame in frames)
    for profile in document["profiles"]:
        fields = {"type", "name", "unit", "startValue", "endValue", "events"}
        assert set(profile) == fields
        assert profile["type"] == "evented"
        assert profile["unit"] in ("none", "nanoseconds")
        assert profile["startValue"] <= profile["endValue"]
        at, stack = profile["startValue"], []
        for event in profile["events"]:
            assert set(event) == {"type", "frame", "at"}
            assert at <= event["at"] <= profile["endValue"]
            assert 0 <= event["frame"] < len(frames)
            at = event["at"]
            if event["type"] == "O":
                stack.append(event["frame"])
            else:
                assert event["type"] == "C"
                assert stack.pop() == event["frame"]
        assert stack == []


# --- Perfetto -------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".json", ".json.gz"])
def test_perfetto(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    counters = np.array([(0, 1, 0.5), (0, 2500, 3)], COUNTER)
    write_perfetto(path, EVENTS, NAMES, tracks={2: "vCPU 2"}, counters=counters, title="demo")
    document = loaded(path)
    spans = check_trace_events(document)
    assert [(span["name"], span["ts"], span["dur"], span["tid"]) for span in spans] == [
        (NAMES[0], 1.0, 0.5, 2),
        (NAMES[1], 1.5, 0, 2),
        (NAMES[2], 0.001, 0.002, 0),
    ]
    meta = [event["args"]["name"] for event in document["traceEvents"] if event["ph"] == "M"]
    assert meta == ["demo", "vCPU 2"]
    values = [(e["ts"], e["args"]["value"]) for e in document["traceEvents"] if e["ph"] == "C"]
    assert values == [(0.001, 0.5), (2.5, 3)]


def test_perfetto_takes_events_as_they_come(tmp_path: Path) -> None:
    def parts() -> Any:
        for start in range(0, 10_000, 1000):
            part = np.zeros(1000, EVENT)
            part["start"] = np.arange(start, start + 1000)
            yield part

    write_perfetto(tmp_path / "t.json", parts(), NAMES, unit="accesses")
    spans = check_trace_events(loaded(tmp_path / "t.json"))
    assert [span["ts"] for span in spans] == list(range(10_000))
    write_perfetto(tmp_path / "t.json", [], NAMES)
    assert check_trace_events(loaded(tmp_path / "t.json")) == []


def test_times_are_written_to_the_last_digit(tmp_path: Path) -> None:
    events = np.array([(0, (1 << 64) - 2, 1, 0)], EVENT)
    write_perfetto(tmp_path / "t.json", events, NAMES)
    assert '"ts":18446744073709551.614,"dur":0.001' in (tmp_path / "t.json").read_text()


# --- speedscope -----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".json", ".json.gz"])
def test_speedscope(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    write_speedscope(path, EVENTS, NAMES, tracks={2: "vCPU 2"}, title="demo")
    document = loaded(path)
    check_speedscope(document)
    assert document["name"] == "demo"
    assert [frame["name"] for frame in document["shared"]["frames"]] == NAMES
    assert [profile["name"] for profile in document["profiles"]] == ["track 0", "vCPU 2"]
    events = document["profiles"][1]["events"]
    assert [(e["type"], e["at"], e["frame"]) for e in events] == [
        ("O", 1000, 0),
        ("C", 1500, 0),
        ("O", 1500, 1),
        ("C", 1500, 1),
    ]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(*[st.integers(0, 12)] * 2, st.integers(0, 1)), max_size=8), st.data())
def test_any_nested_events(spans: list[tuple[int, int, int]], data: st.DataObject) -> None:
    """Either they are nested and the profile is sound, or two that overlap are named."""
    events = np.array([(0, start, length, track) for start, length, track in spans], EVENT)
    path = Path(data.draw(st.just(os.devnull)))
    overlap = any(
        a[2] == b[2] and a[0] < b[0] < a[0] + a[1] < b[0] + b[1] for a in spans for b in spans
    )
    if overlap:
        with pytest.raises(ConfigError, match="overlap in part on tracks of their own"):
            write_speedscope(path, events, NAMES)
    else:
        write_speedscope(path, events, NAMES)


def test_many_events(tmp_path: Path) -> None:
    events = np.zeros(10_000, EVENT)
    events["start"] = np.repeat(np.arange(5000) * 10, 2)
    events["duration"] = np.tile([8, 3], 5000)
    events["name"] = np.tile([0, 1], 5000)
    shuffled = np.random.default_rng(1).permutation(events)
    write_speedscope(tmp_path / "t.json", shuffled, NAMES, unit="accesses")
    document = loaded(tmp_path / "t.json")
    check_speedscope(document)
    assert len(document["profiles"][0]["events"]) == 20_000
    assert document["profiles"][0]["unit"] == "none"
    write_speedscope(tmp_path / "t.json", events[:0], NAMES)
    assert loaded(tmp_path / "t.json")["profiles"] == []


# --- bad input ------------------------------------------------------------------------------

BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"events": np.zeros(2)}, AddressTypeError, "dtype gmap.trace.EVENT, got float64"),
    ({"events": np.zeros((2, 2), EVENT)}, AddressTypeError, "one-dimensional"),
    ({"events": np.array([(3, 0, 0, 0)], EVENT)}, AddressError, "name 3 is out of range: 3 were"),
    ({"events": np.array([(0, 2, (1 << 64) - 1, 0)], EVENT)}, AddressError, "beyond 2"),
    ({"names": "walk"}, ConfigError, "names must be a sequence of str"),
    ({"names": ["a", 1, 2]}, ConfigError, "names must be a sequence of str"),
    ({"tracks": {65536: "a"}}, ConfigError, "track 65536 must be an integer from 0 to 65535"),
    ({"tracks": {"1": "a"}}, ConfigError, "track '1' must be an integer"),
    ({"tracks": {1: 2}}, ConfigError, "names of tracks must be a sequence of str"),
    ({"unit": "ms"}, ConfigError, "unit 'ms' is not known: use one of ns, accesses"),
    ({"path": "t.txt"}, ConfigError, r"t.txt: end the name in \.json or \.json\.gz"),
    ({"path": "missing/t.json"}, TraceWriteError, "make the directory first"),
]


@pytest.mark.parametrize(("changes", "kind", "message"), BAD)
@pytest.mark.parametrize("write", [write_perfetto, write_speedscope])
def test_bad_input_leaves_no_file(
    write: Any,
    changes: dict[str, Any],
    kind: type[Exception],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = {"path": "t.json", "events": EVENTS, "names": NAMES, **changes}
    with pytest.raises(kind, match=message):
        write(**arguments)
    assert os.listdir() == []


def test_a_counter_that_is_no_number(tmp_path: Path) -> None:
    counters = np.array([(0, 1, 2.0), (0, 1, np.nan)], COUNTER)
    with pytest.raises(AddressError, match="counter 1: the value nan is not finite"):
        write_perfetto(tmp_path / "t.json", EVENTS, NAMES, counters=counters)
    assert os.listdir(tmp_path) == []
