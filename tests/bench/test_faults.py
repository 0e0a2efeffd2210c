"""`gmap bench faults`: what is measured is what is said."""

import itertools
import json

import numpy as np
import pytest

import gmap
from gmap.bench import PATTERNS, PHASES, BenchError, Guest, Options, from_trace, run, workload
from gmap.bench.faults import _shares, cases, percentiles
from gmap.bench.phases import check
from gmap.bench.workloads import FIRST_GFN
from gmap.cli import main
from gmap.dtypes import HISTOGRAM
from gmap.errors import ConfigError
from gmap.trace import PageTrace

KEYS = {
    "phase", "pattern", "backing", "threads", "faults", "ns_per_fault", "faults_per_s", "p50_ns",
    "p99_ns", "ratio_vs_host",
}
FOLIO_PAGES = {"4k": 1, "1m": 256, "2g": 1 << 19}


# --- workloads ------------------------------------------------------------------------------


@pytest.mark.parametrize("backing", FOLIO_PAGES)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_touches_whole_folios_once(pattern, backing):
    n, step = 1000, FOLIO_PAGES[backing]
    load = workload(pattern, backing, n * step << 12, seed=3)
    index = (load.gfns - np.uint64(FIRST_GFN)) // np.uint64(step)
    assert ((load.gfns - np.uint64(FIRST_GFN)) % np.uint64(step) == 0).all()
    assert len(np.unique(index)) == len(index)
    assert index.max() < n
    assert load.writes.all()
    if pattern != "zipf":
        assert len(index) == n
    assert load.areas.tolist() == [[FIRST_GFN, n * step]]
    assert load.pages == n * step


def test_patterns_are_what_they_are_called():
    def index(pattern):
        return (workload(pattern, "4k", 4096 << 12, seed=1).gfns - np.uint64(FIRST_GFN)).tolist()

    assert index("sequential") == list(range(4096))
    assert index("strided")[:17] == [*range(0, 4096, 256), 1]
    assert index("random") != sorted(index("random"))
    # A skewed stream comes back to what it knows: far fewer pages than accesses.
    assert 0.1 * 4096 < len(index("zipf")) < 0.5 * 4096


def test_seeds():
    def gfns(pattern, seed):
        return workload(pattern, "4k", 1 << 20, seed=seed).gfns.tolist()

    for pattern in ("random", "zipf"):
        assert gfns(pattern, 1) == gfns(pattern, 1) != gfns(pattern, 2)


def test_a_trace_faults_first_touches_and_first_writes():
    rng = np.random.default_rng(5)
    pages = rng.choice(rng.integers(0, 1 << 36, 300), 3000).astype(np.uint64)
    access = rng.choice([0, 0, 0, 1, 2], 3000).astype(np.uint8)
    for backing, order in (("4k", 0), ("1m", 8), ("2g", 19)):
        load = from_trace(PageTrace(pages, access), "trace:t", backing)
        seen, written, expected = set(), set(), []
        for page, kind in zip(pages.tolist(), access.tolist(), strict=True):
            folio = page >> order
            if folio not in seen or (kind == 1 and folio not in written):
                expected.append((page, kind == 1))
            seen.add(folio)
            if kind == 1:
                written.add(folio)
        assert list(zip(load.gfns.tolist(), load.writes.tolist(), strict=True)) == expected
        assert {g >> order for g in load.touched.tolist()} == seen
        assert {g >> order for g in load.written.tolist()} == written
        block = 1 << max(order, 9)
        for first, n in load.areas.tolist():
            assert first % block == n % block == 0
        inside = [any(a <= p < a + n for a, n in load.areas.tolist()) for p in pages.tolist()[:99]]
        assert all(inside)


@pytest.mark.parametrize("bundled", gmap.trace.bundled())
def test_bundled_traces_run(bundled):
    load = workload(f"trace:{bundled}", "4k", 0)
    guest = Guest("synthetic", load)
    guest.fault(load.gfns, load.writes)
    stats = guest.g.stats()
    assert stats["major"] == len(load.touched)
    assert stats["minor"] == len(load.gfns) - len(load.touched)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("walk", "4k", 1 << 20), "pattern 'walk'"),
        (("random", "3k", 1 << 20), "backing '3k'"),
        (("random", "1m", 4096), "no whole number of 1m folios"),
        (("random", "4k", 0), "one or more"),
        (("trace:no-such", "4k", 0), "no-such"),
    ],
)
def test_no_such_workload(arguments, message):
    with pytest.raises((ConfigError, OSError), match=message):
        workload(*arguments)


# --- measuring ------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_shares_are_a_partition_into_ranges(threads):
    gfns = np.random.default_rng(1).permutation(1000).astype(np.uint64)
    shares = _shares(gfns, threads)
    assert (np.sum(shares, axis=0) == 1).all()
    parts = [np.sort(gfns[mine]) for mine in shares]
    assert all(a[-1] < b[0] for a, b in itertools.pairwise(parts))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_percentiles_of_joined_histograms():
    one = np.array([(10, 20, 50), (40, 50, 50)], HISTOGRAM)
    two = np.array([(10, 20, 100)], HISTOGRAM)
    p50, p75, p100 = percentiles([one, two], (0.5, 0.75, 1.0))
    assert p50 == pytest.approx(10 + 10 * 100 / 150)
    assert p75 == pytest.approx(20)
    assert p100 == 50


def test_a_failed_fault_is_no_measurement():
    load = workload("sequential", "4k", 1 << 20)
    guest = Guest("synthetic", load)
    guest.host.answer(guest.region.hva, 4096, "hwpoison")
    with pytest.raises(BenchError, match="-EFAULT"):
        guest.fault(load.gfns, True)
    check(np.zeros(3, np.int32))


EXPECTED_MINOR = {
    "first-touch": 0, "minor-young": 1, "minor-dirty": 1, "dirty-log-write": 1, "refault": 0,
    "huge-link": 0,
}


# A folio of 2 GiB of a buffer host is 2 GiB of this machine, zeroed: not for a test.
@pytest.mark.parametrize(
    ("host", "backing"),
    [("synthetic", "4k"), ("synthetic", "1m"), ("synthetic", "2g"), ("buffer", "4k"),
     ("buffer", "1m")],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_phases_take_the_faults_they_are_named_after(host, backing, threads):
    nbytes = 96 * FOLIO_PAGES[backing] << 12
    options = Options((host,), (backing,), ("random",), (), (threads,), nbytes, repeat=2)
    report = run(options)
    assert {row.phase for row in report.rows} == {case.phase.name for case in cases(options)}
    for row in report.rows:
        assert row.faults == 96
        if row.phase in EXPECTED_MINOR:
            minor = EXPECTED_MINOR[row.phase] * row.faults
            assert (row.minor, row.major) == (minor, row.faults - minor)
        assert 0 < row.p50_ns <= row.p90_ns <= row.p99_ns <= row.max_ns
        assert row.faults_per_s == pytest.approx(1e9 / row.ns_per_fault)


# --- the command ----------------------------------------------------------------------------


SMALL = ["bench", "faults", "--size", "4m", "--repeat", "1", "--pattern", "sequential,trace"]


def test_json(capsys):
    assert main([*SMALL, "--json", "--threads", "1,2", "--backing", "4k,1m"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "gmap-bench-faults/1"
    assert set(document["host"]["first_touch_ns"]) == {"1", "2"}
    rows = document["results"]
    assert all(set(row) >= KEYS for row in rows)
    for key, values in {
        "phase": set(PHASES),
        "backing": {"4k", "1m"},
        "threads": {1, 2},
        "host": {"synthetic", "buffer"},
        "pattern": {"sequential", *(f"trace:{name}" for name in gmap.trace.bundled())},
    }.items():
        assert {row[key] for row in rows} == values
    for row in rows:
        host_ns = document["host"]["first_touch_ns"][str(row["threads"])]
        assert row["ratio_vs_host"] == pytest.approx(host_ns / row["ns_per_fault"], rel=1e-9)
    # Buffer memory both ways, and said which.
    touches = [row for row in rows if row["phase"] == "first-touch" and row["host"] == "buffer"]
    assert {row["host_populates"] for row in touches} == {True, False}


def test_table(capsys):
    assert main([*SMALL, "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert "Overall demand paging rate: " in out
    assert "synthetic host, 4k backing, 1 thread" in out
    assert "finding and zeroing each page" in out
    assert "tables only" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pattern", "walk"], "pattern 'walk': use one of"),
        (["--backing", "8k"], "backing '8k'"),
        (["--host", "xen"], "host 'xen'"),
        (["--phase", "third-touch"], "phase 'third-touch'"),
        (["--threads", "0"], "threads 0"),
        (["--size", "5000", "--backing", "4k"], "no whole number of 4k folios"),
        (["--size", "0"], "size 0x0"),
        (["--pattern", "trace:nowhere"], "nowhere"),
    ],
)
def test_refusals(capsys, arguments, message):
    assert main(["bench", "faults", *arguments]) == 1
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


@pytest.mark.parametrize("size", ["4x", "-1", "", "1.5g"])
def test_sizes_that_are_none(capsys, size):
    with pytest.raises(SystemExit):
        main(["bench", "faults", f"--size={size}"])
    assert "is no size" in capsys.readouterr().err
