"""The figures of a profile, compared with counting page by page, and with their own sums."""

import itertools
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gmap
from gmap.layout import RANGE, Kind, Layout
from gmap.layout._geometries import arm64_stage1_geometry, arm64_stage2_geometry, gmap_geometry
from gmap.layout._spans import leaf_ranges
from gmap.layout.spec import build_all, bundled_specs, read_spec
from gmap.profiling import profile
from gmap.profiling._reach import random_hit_ratio, tlb_reach, walk_cache_reach
from gmap.profiling._sources import source_of
from gmap.profiling._whatif import blocks

MIB, GIB = 1 << 20, 1 << 30


def space(slots, touched, *, folio="4k", fragmentation=0.0, **options):
    """An address space of slots (gfn, pages, pages of offset in their region), touched at gfns."""
    host = gmap.SyntheticHost(5, fragmentation)
    g = gmap.Gmap(host, **options)
    for number, (gfn, pages, offset) in enumerate(slots):
        region = host.map((pages + offset) << 12, folio)
        g.set_memory_region(number, gfn << 12, pages << 12, region.hva + (offset << 12))
    g.fault_in(np.array(touched, np.uint64), write=True, errors="status")
    return g


# --- conservation -----------------------------------------------------------------------------


def check_sums(document):
    """Sums over levels, sizes, bins and blocks are the totals."""
    totals = document["totals"]
    levels, sizes = document["levels"], document["leaf_sizes"]
    for level in levels:
        parts = ("leaf", "table", "none", "hole", "unknown")
        assert level["entries"] == sum(level[f"{part}_entries"] for part in parts)
        for part in ("young", "dirty", "writable"):
            assert level[f"{part}_entries"] <= level["leaf_entries"]
        assert level["tables_full"] <= level["tables_with_memory"] <= max(level["tables"], 1)
    for below, above in itertools.pairwise(levels):
        assert above["table_entries"] == below["tables"]
    assert totals["tables"] == sum(level["tables"] for level in levels)
    assert totals["table_bytes"] == sum(level["table_bytes"] for level in levels)
    assert totals["entries"] == sum(level["entries"] for level in levels)
    assert totals["leaves"] == sum(level["leaf_entries"] for level in levels)
    assert totals["leaves"] == sum(size["leaves"] for size in sizes)
    assert totals["mapped_bytes"] == sum(size["mapped_bytes"] for size in sizes)
    assert totals["mapped_bytes"] == sum(s["leaves"] * s["leaf_bytes"] for s in sizes)
    if totals["mapped_bytes"]:
        assert sum(size["mapped_ratio"] for size in sizes) == pytest.approx(1)
        mean = sum(s["mapped_bytes"] * s["walk_reads"] for s in sizes) / totals["mapped_bytes"]
        assert document["walk"]["mean_reads"] == pytest.approx(mean)
    for view in document["address_map"].values():
        filled = sum(sum(row["mapped_bytes_by_height"].values()) for row in view)
        assert filled == totals["mapped_bytes"] or not view
    if totals["slot_bytes"]:
        linear = document["address_map"]["linear"]
        assert sum(row["slot_bytes"] for row in linear) == totals["slot_bytes"]
        unmapped = totals["slot_bytes"] - totals["mapped_bytes"]
        assert document["holes"]["unmapped_slot_bytes"] == unmapped
    holes = document["holes"]
    assert holes["holes"] == sum(row["holes"] for row in holes["sizes"])
    assert holes["hole_bytes"] == sum(row["hole_bytes"] for row in holes["sizes"])
    for row in document["what_if"]["blocks"]:
        reasons = ("large", "possible", "partial", "fragmented", "slot_misaligned", "slot_edge")
        assert row["blocks"] == sum(row[reason] for reason in reasons)
    for row in document["what_if"]["page_sizes"]:
        assert row["leaves"] == sum(row["leaves_by_size"].values())
    for row in document["reach"]["tlb"]:
        assert row["in_order_bytes"] <= row["best_bytes"] <= totals["mapped_bytes"]
        assert 0 <= row["random_hit_ratio"] <= 1
    for row in document["reach"]["walk_cache"]:
        assert row["mean_bytes"] <= row["best_bytes"] + 1 <= totals["mapped_bytes"] + 1


@pytest.mark.parametrize("name", [name for name in bundled_specs() if name != "sparse-16t"])
def test_sums_of_the_bundled_specs(name):
    document = profile(name).to_dict()
    check_sums(document)
    now = document["what_if"]["page_sizes"][0]
    assert now["table_bytes"] == document["totals"]["table_bytes"]
    assert document["faults"]["seen_major"] == document["totals"]["leaves"]


@pytest.mark.campaign
def test_sums_of_16_tib():
    built = build_all(read_spec("sparse-16t"))
    document = profile(built.space).to_dict()
    check_sums(document)
    assert document["totals"]["leaves"] == built.estimate.touched_pages == 42949673
    assert document["totals"]["table_bytes"] == built.space.table_bytes()


PLACES = st.lists(
    st.tuples(st.integers(0, 1500), st.integers(1, 700), st.sampled_from([0, 1, 128, 256])),
    min_size=1,
    max_size=3,
)


@st.composite
def small_spaces(draw):
    slots, at = [], draw(st.sampled_from([0, 77, 256, 1 << 19]))
    for gap, pages, offset in draw(PLACES):
        at += gap
        slots.append((at, pages, offset))
        at += pages
    every = [gfn for gfn, pages, _ in slots for gfn in range(gfn, gfn + pages)]
    first = draw(st.integers(0, len(every) - 1))
    touched = every[first : first + draw(st.integers(0, len(every)))]
    if draw(st.booleans()):
        touched = touched[:: draw(st.integers(1, 5))]
    g = space(
        slots,
        touched,
        folio=draw(st.sampled_from(["4k", "1m"])),
        fragmentation=draw(st.sampled_from([0.0, 0.6])),
        ipa_bits=40,
    )
    return g, slots


def pages_with_frames(g):
    """The frame number behind every mapped page, and the level of its leaf."""
    return {
        (int(leaf["gpa"]) >> 12) + i: ((int(leaf["pa"]) >> 12) + i, int(leaf["level"]))
        for leaf in g.leaves()
        for i in range(int(leaf["size"]) >> 12)
    }


def classify(block, order, pages, slots, hvas):
    """Why a block of 2**order pages is no single leaf, by the rules of `blocks`."""
    first, n = block << order, 1 << order
    inside = [gfn for gfn in range(first, first + n) if gfn in pages]
    if pages[inside[0]][1] + 1 >= (1 if order == 8 else 2):
        return "large"
    slot = next(s for s in range(len(slots)) if slots[s][0] <= inside[0] < sum(slots[s][:2]))
    gfn, size, _ = slots[slot]
    if first < gfn or first + n > gfn + size:
        return "slot_edge"
    if (gfn ^ (hvas[slot] >> 12)) % n:
        return "slot_misaligned"
    if len(inside) < n:
        return "partial"
    frame = pages[first][0]
    if frame % n or any(pages[first + i][0] != frame + i for i in range(n)):
        return "fragmented"
    return "possible"


@settings(max_examples=40, deadline=None)
@given(small_spaces())
def test_blocks_one_by_one(made):
    g, slots = made
    document = profile(g).to_dict()
    check_sums(document)
    pages = pages_with_frames(g)
    hvas = [slot.userspace_addr for slot in sorted(g.memslots, key=lambda slot: slot.slot)]
    row = document["what_if"]["blocks"][0]
    expected = Counter(
        classify(block, 8, pages, slots, hvas) for block in {gfn >> 8 for gfn in pages}
    )
    found = {key: row[key] for key in row if key not in ("name", "block_bytes", "blocks")}
    assert found == {key: expected[key] for key in found}
    where_frames_allow = document["what_if"]["page_sizes"][2]
    assert where_frames_allow["leaves_by_size"].get("1M", 0) == row["large"] + row["possible"]


@settings(max_examples=25, deadline=None)
@given(small_spaces())
def test_native_tables_page_by_page(made):
    """Tables of native arm64 with pages only: one for each span that holds a page."""
    g, _ = made
    document = profile(g).to_dict()
    gfns = set(pages_with_frames(g))
    for row in document["native"][1:]:
        shape = gmap.ipa.stage2_geometry(40, row["granule_bytes"])
        assert row["start_level"] == shape["start_level"]
        assert row["root_tables"] == shape["concatenated"]
        assert row["root_bytes"] == shape["pgd_bytes"]
        fields = gmap.ipa.decode_vtcr(row["vtcr_el2"])
        assert row["vtcr_fields"] == fields
        assert fields["t0sz"] == 24
        if not row["name"].endswith("pages"):
            continue
        shift = row["granule_bytes"].bit_length() - 1
        pages = {gfn >> (shift - 12) for gfn in gfns}
        bits = shift - 3
        tables = [len({page >> bits * (h + 1) for page in pages}) for h in range(row["levels"] - 1)]
        assert row["tables"] == sum(tables) + row["root_tables"]
        assert row["table_bytes"] == row["tables"] * row["granule_bytes"]
        assert row["mapped_bytes"] == len(pages) << shift
        assert row["mean_walk_reads"] in (None, row["levels"])


def test_native_blocks():
    """1 GiB at 1 GiB: a block of each granule, if the frames are aligned as well."""
    g = space([(1 << 18, 1 << 18, 0)], range(1 << 18, 1 << 19), ipa_bits=40)
    rows = {row["name"]: row["leaves_by_size"] for row in profile(g).to_dict()["native"]}
    assert rows == {
        "as it is": {"4K": 1 << 18},
        "arm64 4K, pages": {"4K": 1 << 18},
        "arm64 4K, blocks": {"1G": 1},
        "arm64 16K, pages": {"16K": 1 << 16},
        "arm64 16K, blocks": {"32M": 32},
        "arm64 64K, pages": {"64K": 1 << 14},
        "arm64 64K, blocks": {"512M": 2},
    }


def test_a_whole_gib_by_the_formula():
    """The tables of gmap.ipa.table_bytes, which counts them in closed form."""
    g = space([(0, 1 << 18, 0)], range(1 << 18), ipa_bits=44)
    document = profile(g).to_dict()
    assert document["totals"]["table_bytes"] == gmap.ipa.table_bytes(GIB, 44)
    assert document["walk"]["mean_reads"] == 4
    sizes = {row["ipa_bits"]: row for row in document["what_if"]["ipa_sizes"]}
    for bits, row in sizes.items():
        assert row["table_bytes"] == gmap.ipa.table_bytes(GIB, bits)
        assert row["levels"] == 2 + gmap.ipa.gmap_type(bits)
        assert row["now"] == (bits == 44)
    nested = {(r["guest"], r["stage2_leaf"]): r["nested_reads"] for r in document["walk"]["nested"]}
    assert nested["4K guest, pages", "4K"] == (4 + 1) * (4 + 1) - 1
    assert nested["64K guest, pages", "1M"] == (3 + 1) * (3 + 1) - 1
    assert nested["64K guest, blocks", "mean"] == (2 + 1) * (4 + 1) - 1


def test_other_sizes_of_the_guest_are_what_these_guests_have():
    touched = [*range(300), *range(1000, 1700)]
    slots = [(0, 1800, 0), (5000, 77, 0)]
    document = profile(space(slots, touched, ipa_bits=40)).to_dict()
    for row in document["what_if"]["ipa_sizes"]:
        if row["ipa_bits"] <= 48:
            other = space(slots, touched, ipa_bits=row["ipa_bits"])
            assert row["table_bytes"] == other.table_bytes()


@pytest.mark.parametrize("folio", ["1m", "2g"])
def test_other_pages_are_what_such_folios_give(folio):
    """The row 'touched blocks whole' is a guest whose host has these folios."""
    slots = [(0, 1 << 19, 0), ((1 << 20) + 256, 2560, 0)]
    touched = [5, 1000, (1 << 20) + 300]
    document = profile(space(slots, touched, ipa_bits=40)).to_dict()
    rows = {row["name"]: row for row in document["what_if"]["page_sizes"]}
    other = space(slots, touched, folio=folio, ipa_bits=40, allow_2g=True)
    row = rows[f"{folio.upper()}, and touched blocks whole"]
    if folio == "1m":
        assert row["table_bytes"] == other.table_bytes()
        assert row["mapped_bytes"] == other.leaves()["size"].sum()
    else:  # a 2 GiB block that leaves its slot is filled by 1 MiB ones, all of them
        assert row["leaves_by_size"] == {"2G": 1, "1M": 10}


def test_slot_alignment():
    document = profile("misaligned").to_dict()
    apart, alike = document["guest"]["slots"]
    assert (apart["alignment_bytes"], apart["largest_page"]) == (512 << 10, "4K")
    assert alike["largest_page"] == "1M"
    assert document["what_if"]["blocks"][0]["slot_misaligned"] == 1024
    rows = {row["name"]: row["leaves_by_size"] for row in document["what_if"]["page_sizes"]}
    assert rows["1M, host not fragmented"] == {"4K": 262144, "1M": 1024}
    assert rows["1M, and slots aligned"] == {"1M": 2048}


def test_a_fragmented_host():
    document = profile("fragmented").to_dict()
    (row, _) = document["what_if"]["blocks"]
    assert row["fragmented"] > 1000
    assert row["large"] + row["fragmented"] + row["partial"] == row["blocks"]
    assert row["partial"] <= 2  # of the cluster that was cut


def test_frames_in_one_piece_that_is_not_aligned():
    """No host of this package has such frames, but a table can say so."""
    source = source_of(space([(0, 1024, 0)], range(1024)))
    frames = source.frames.copy()
    frames["pa"] += 4096
    (row, _) = blocks(replace(source, frames=frames))
    assert (row["fragmented"], row["possible"]) == (4, 0)
    assert blocks(source)[0]["possible"] == 4


def test_faults():
    g = space([(0, 512, 0)], [], folio="1m")
    g.fault_in(np.arange(256, dtype=np.uint64))
    faults = profile(g).to_dict()["faults"]
    assert (faults["first_touch"], faults["first_write"]) == (1, 1)
    assert faults["whole_slots"] == [
        {"largest_page": "4K", "faults": 512},
        {"largest_page": "1M", "faults": 2},
        {"largest_page": "2G", "faults": 2},
    ]


def test_states():
    g = space([(0, 512, 0)], [1, 2, 3])
    g.fault_in(4)
    g.age(1, 1)
    level = profile(g).to_dict()["levels"][0]
    assert (level["leaf_entries"], level["young_entries"], level["dirty_entries"]) == (4, 3, 2)
    assert level["writable_entries"] == 2
    assert level["protected_entries"] == 2


# --- reach ------------------------------------------------------------------------------------

LEAF_RUNS = st.lists(st.tuples(st.integers(0, 1), st.integers(1, 40)), min_size=1, max_size=6)


def leaf_layout(runs):
    """Runs of (height, leaves) with gaps between them, as RANGE."""
    start, rows = 0, []
    for height, n in runs:
        size = n << (12 + 8 * height)
        start = -(-start // MIB) * MIB
        rows.append((start, size, height))
        start += size + 4096 * n
    return leaf_ranges(*zip(*rows, strict=True))


@given(LEAF_RUNS, st.integers(1, 64))
def test_tlb_reach_leaf_by_leaf(runs, entries):
    geometry = gmap_geometry(1)
    sizes = [1 << (12 + 8 * height) for height, n in runs for _ in range(n)]
    (row,) = tlb_reach(geometry, leaf_layout(runs), (entries,))
    assert row["best_bytes"] == sum(sorted(sizes, reverse=True)[:entries])
    windows = [sum(sizes[i : i + entries]) for i in range(max(1, len(sizes) - entries + 1))]
    assert row["in_order_bytes"] == pytest.approx(sum(windows) / len(windows), abs=1)


@given(LEAF_RUNS, st.integers(1, 12))
def test_walk_cache_reach_table_by_table(runs, entries):
    leaves = leaf_layout(runs)
    for row in walk_cache_reach(gmap_geometry(2), leaves, (entries,)):
        shift = (20, 31, 42)[row["height"] - 1]
        filled = Counter()
        for leaf in leaves[leaves["height"] < row["height"]].tolist():
            unit = 1 << (12 + 8 * leaf[2])
            for at in range(leaf[0], leaf[0] + leaf[1], unit):
                filled[at >> shift] += unit
        assert row["tables"] == len(filled)
        assert row["best_bytes"] == sum(sorted(filled.values(), reverse=True)[:entries])
        share = min(1, entries / max(1, len(filled)))
        assert row["mean_bytes"] == pytest.approx(sum(filled.values()) * share, abs=1)


@pytest.mark.parametrize(
    ("classes", "entries"),
    [([(4096, 300)], 100), ([(4096, 400), (65536, 40)], 60), ([(4096, 256), (MIB, 8)], 16)],
)
def test_random_hits_as_an_lru_cache_has_them(classes, entries):
    rng = np.random.default_rng(1)
    share = np.array([size for size, n in classes for _ in range(n)], np.float64)
    cache, hits, accesses = {}, 0, 60_000
    for i, leaf in enumerate(rng.choice(len(share), accesses, p=share / share.sum()).tolist()):
        if leaf in cache:
            hits += i >= accesses // 4
            del cache[leaf]
        elif len(cache) >= entries:
            del cache[next(iter(cache))]
        cache[leaf] = None
    measured = hits / (accesses * 3 // 4)
    assert random_hit_ratio(classes, entries) == pytest.approx(measured, abs=0.01)


# --- other sources ----------------------------------------------------------------------------


def test_nothing_mapped():
    document = profile(gmap.Gmap(gmap.SyntheticHost())).to_dict()
    check_sums(document)
    assert document["totals"]["table_ratio"] is None
    assert document["walk"]["mean_reads"] is None
    assert document["native"][1]["tables"] == 2


def some_dump(geometry, **flags):
    """A layout as a dump gives it: leaves of two heights, and a gap nobody tells about."""
    block = 1 << geometry.levels[1].shift
    page = 1 << geometry.levels[0].shift
    rows = np.zeros(4, RANGE)
    rows["start"] = [0, block, block + 3 * page, 4 * block]
    rows["size"] = [block, 3 * page, block - 3 * page, 2 * block]
    rows["height"] = [1, 0, 0, 1]
    rows["kind"] = [Kind.LEAF, Kind.LEAF, Kind.NONE, Kind.LEAF]
    for name, value in flags.items():
        rows[name] = value
    return Layout("dump", geometry, rows)


@pytest.mark.parametrize(
    "geometry",
    [
        gmap_geometry(1),
        arm64_stage2_geometry(40),
        arm64_stage2_geometry(40, 65536),
        arm64_stage1_geometry(48),
    ],
    ids=lambda geometry: geometry.name,
)
def test_dumps(geometry):
    document = profile(some_dump(geometry, young=True)).to_dict()
    check_sums(document)
    block, page = (1 << geometry.levels[height].shift for height in (1, 0))
    assert document["totals"]["mapped_bytes"] == 3 * block + 3 * page
    assert document["levels"][0]["tables"] == 1
    assert document["levels"][1]["young_entries"] == 3
    assert document["levels"][1]["unknown_entries"] > 0
    assert document["what_if"]["frames_known"] is False
    assert document["what_if"]["blocks"][0]["partial"] == 1
    stage2 = "stage 1" not in geometry.name
    assert bool(document["what_if"]["ipa_sizes"]) == stage2
    assert document["timeline"] is None
    assert document["guest"]["slots"] == []
    names = [row["name"] for row in document["native"]]
    assert bool(names) == stage2
    assert ("s390 4K, 1M blocks" in names) == geometry.name.startswith("arm64 stage 2")


def test_a_layout_up_to_the_end_of_64_bits():
    geometry = arm64_stage1_geometry(48)
    start = (1 << 64) - (1 << 21)
    layout = Layout("kernel", geometry, leaf_ranges([start - 8192, start], [4096, 1 << 21], [0, 1]))
    document = profile(layout).to_dict()
    check_sums(document)
    assert document["totals"]["leaves"] == 2


def test_the_same_profile_of_a_file_and_of_what_is_in_it(tmp_path):
    path = tmp_path / "other.toml"
    path.write_text(Path(read_spec("microvm").file).read_text())
    found, bundled = profile(path).to_dict(), profile("microvm").to_dict()
    assert (found.pop("name"), bundled.pop("name")) == ("other", "microvm")
    assert found == bundled
    assert profile(read_spec(path)).to_dict()["totals"] == bundled["totals"]


def test_a_snapshot(tmp_path):
    """Saved and loaded, the figures are the same."""
    snapshot = pytest.importorskip("gmap.snapshot")
    g = space([(0, 3000, 0)], range(2000), folio="1m", fragmentation=0.5)
    snapshot.save(g, tmp_path / "saved.npz")
    saved = profile(tmp_path / "saved.npz", name="gmap").to_dict()
    live = profile(g).to_dict()
    for document in (saved, live):
        del document["source"], document["faults"]
    assert saved == live


@pytest.mark.parametrize("style", ["s390", "kernel"])
def test_a_dump(tmp_path, style):
    """Dumped, read and profiled: what the text holds is the same."""
    dumps = pytest.importorskip("gmap.dumps")
    g = space([(0, 3000, 0)], range(2000), folio="1m", fragmentation=0.5)
    path = tmp_path / "stage2_page_tables"
    path.write_text(dumps.ptdump(g, style=style))
    dumped, live = profile(path).to_dict(), profile(g).to_dict()
    check_sums(dumped)
    assert (dumped["source"], dumped["name"]) == ("layout", "stage2_page_tables")
    assert dumped["faults"]["first_write"] is None
    assert dumped["totals"]["mapped_bytes"] == live["totals"]["mapped_bytes"]
    if style == "s390":
        for section in ("leaf_sizes", "reach", "walk"):
            assert dumped[section] == live[section]
        for level, other in zip(dumped["levels"], live["levels"], strict=True):
            for key in ("tables", "leaf_entries", "none_entries", "hole_entries"):
                assert level[key] == other[key]


@pytest.mark.parametrize("what", [None, 1, b"x", object(), np.zeros(3), {}])
def test_what_cannot_be_profiled(what):
    with pytest.raises(gmap.ConfigError, match="cannot be profiled"):
        profile(what)


@pytest.mark.parametrize("data", [b"", b"  \n", b"\0\1\2", b"\x7fELF\0\0"])
def test_files_that_are_nothing(tmp_path, data):
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(gmap.ConfigError, match="file"):
        profile(path)


# --- forms ------------------------------------------------------------------------------------


def test_json_is_the_dict():
    p = profile("microvm")
    assert json.loads(p.to_json()) == p.to_dict()
    p.to_dict()["totals"].clear()
    assert p.to_dict()["totals"]


def test_the_same_input_gives_the_same_profile():
    assert profile("fragmented").to_json() == profile("fragmented").to_json()


def test_arrow_and_parquet(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    p = profile("microvm")
    document = p.to_dict()
    tables = p.to_arrow()
    assert tables["levels"].to_pylist() == document["levels"]
    assert tables["tlb"].to_pylist() == document["reach"]["tlb"]
    assert tables["totals"].to_pylist() == [document["totals"]]
    sizes = [json.loads(text) for text in tables["page_sizes"]["leaves_by_size"].to_pylist()]
    assert sizes == [row["leaves_by_size"] for row in document["what_if"]["page_sizes"]]
    files = p.to_parquet(tmp_path / "new" / "place")
    assert {file.stem for file in files} == set(tables)
    for file in files:
        assert parquet.read_table(file).equals(tables[file.stem])


def test_the_figure():
    pytest.importorskip("matplotlib")
    titles = [axes.get_title(loc="left") for axes in profile("microvm").plot().axes]
    assert len(titles) == 6
    assert "Faults and table memory as pages are touched" in titles
