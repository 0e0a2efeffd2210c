"""Specs: every field with a bad value, every rule, and what is built from them."""

import tomllib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gmap
from gmap.layout import spec as specs
from gmap.layout._build import _CHUNK, Pages, build_all, pages_of
from gmap.layout.spec import SpecError, build, parse_bytes, parse_spec, read_spec

GOOD = """
[guest]
ipa_bits = 40
[[memslot]]
guest_phys_addr = "0x4000_0000"
size = "64MiB"
"""


def with_table(table, line):
    """The good spec with one more line, or with a line in place of the one it has."""
    key = line.split("=")[0].strip()
    text = [old for old in GOOD.splitlines() if not old.startswith(f"{key} =")]
    header = {"memslot": "[[memslot]]"}.get(table, f"[{table}]")
    if header in text:
        text.insert(text.index(header) + 1, line)
    else:
        text = [line, *text] if not table else [*text, header, line]
    return "\n".join(text)


def refusal(text):
    with pytest.raises(SpecError) as caught:
        build(parse_spec(text, file="my.toml"))
    message = str(caught.value)
    assert message.startswith("my.toml: ")
    assert "\n" not in message
    return message


BAD = {
    ("", "name"): ["1", '""', '"two\\nlines"', "true"],
    ("", "description"): ["1", '" "', '"\\u0007"'],
    ("guest", "ipa_bits"): ["31", "64", '"40"', "40.0", "true", "0", "-1"],
    ("guest", "allow_1m"): ["1", '"yes"'],
    ("guest", "allow_2g"): ["0", "[]"],
    ("memslot", "guest_phys_addr"): ["1", "-4096", '"4096 bytes"', "1.0", "true",
                                     '"0x1_0000_0000_0000_0000"', '"0xg"', '"_1"', '"0x_"'],
    ("memslot", "size"): ["0", '"0"', '"4KB"', '"1gib"', "4097", '""', "[]", '"32EiB"'],
    ("memslot", "flags"): ["1", '["dirty"]', "[1]", '"log_dirty_pages"', '["log_dirty_page"]'],
    ("memslot", "folio"): ['"2m"', "4096", '"4K"'],
    ("memslot", "hva_offset"): ["1", '"1KiB"', "-4096"],
    ("host", "kind"): ['"buffer"', "1"],
    ("host", "seed"): ["-1", "1.5", str(1 << 63)],
    ("host", "fragmentation"): ["-0.1", "1.5", "nan", '"half"', "true"],
    ("host", "hamaxpow"): ["-1", "256", '"48"'],
    ("touched", "pattern"): ['"zigzag"', "1", '"rondom"'],
    ("touched", "fraction"): ["2", '"all"', "inf"],
    ("touched", "pages"): ["-1", "1.5", "20000", '"10"'],
    ("touched", "seed"): ["-1", "true"],
    ("touched", "write"): ["1.01", '"half"'],
    ("touched", "cluster"): ["0", '"4KB"', "4097"],
    ("touched", "stride"): ["0", '"1K"'],
    ("touched", "trace"): ["1", '""', '"no such trace"'],
}  # fmt: skip


def test_every_field_has_bad_values():
    fields = {(table, name) for table, fields in specs.FIELDS.items() for name in fields}
    assert fields == set(BAD)


@pytest.mark.parametrize(
    ("table", "name", "value"),
    [(table, name, value) for (table, name), values in BAD.items() for value in values],
)
def test_bad_values(table, name, value):
    message = refusal(with_table(table, f"{name} = {value}"))
    assert name in message
    if table:
        assert f"[{table}]" in message
    assert repr(tomllib.loads(f"x = {value}")["x"]) in message


@pytest.mark.parametrize(
    ("line", "near"),
    [("ipa_bit = 40", "'ipa_bits'"), ("alow_2g = true", "'allow_2g'"), ("zzz = 1", "ipa_bits")],
)
def test_unknown_fields(line, near):
    message = refusal(with_table("guest", line))
    assert "[guest]" in message
    assert near in message


def test_unknown_tables_and_wrong_shapes():
    assert "'touched'" in refusal(GOOD + "[touchd]\n")
    assert "'memslot'" in refusal(GOOD + "[[memslots]]\n")
    assert "[guest] = 1" in refusal(GOOD.replace("[guest]\nipa_bits = 40", "guest = 1"))
    assert "[[memslot]] is missing" in refusal("[guest]\nipa_bits = 40\n")
    assert "[[memslot]] is missing" in refusal(GOOD.replace("[[memslot]]", "[memslot]"))
    assert "ipa_bits is missing" in refusal(GOOD.replace("ipa_bits = 40", ""))
    assert "guest_phys_addr is missing" in refusal(GOOD + "[[memslot]]\nsize = 4096\n")
    assert "[[memslot]] 1 size is missing" in refusal(GOOD + "[[memslot]]\nguest_phys_addr = 0\n")
    assert "not TOML" in refusal("[guest")
    assert "nested too deeply" in refusal("x = " + "[" * 100_000)


@pytest.mark.parametrize(
    ("touched", "words"),
    [
        ('fraction = 0.5\npages = 3\npattern = "random"', "fraction = 0.5 and pages = 3"),
        ("fraction = 0.5", 'pattern "all"'),
        ('pattern = "random"\nstride = 4096', 'only with pattern = "strided"'),
        ("cluster = 4096", 'only with pattern = "clustered"'),
        ('trace = "triad"\npattern = "random"', "the trace says"),
        ('trace = "triad"\nwrite = 0.5', "the trace says"),
        ('trace = "paths"', "add memory"),
        ('pattern = "strided"\nstride = "1MiB"\npages = 65', "smaller stride"),
    ],
)
def test_fields_that_do_not_go_together(touched, words):
    small = GOOD.replace("64MiB", "8MiB") if "paths" in touched else GOOD
    assert words in refusal(f"{small}[touched]\n{touched}\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD + GOOD.split("40\n")[1], "[[memslot]] 1: slot 1"),
        (GOOD.replace("0x4000_0000", "0x100_0000_0000"), "[[memslot]] 0"),
        (GOOD.replace("= 40", "= 52"), "ipa_bits = 52"),
        (GOOD.replace("64MiB", "8TiB"), "[[memslot]] 0"),
    ],
)
def test_what_the_address_space_refuses(text, words):
    assert words in refusal(text)


def test_what_does_not_fit_is_refused_before_it_is_built():
    with pytest.raises(SpecError, match=r"64 page tables and 2 others, 294,912 bytes") as caught:
        build(parse_spec(GOOD), limit_bytes=294_911)
    assert "limit is 294,911" in str(caught.value)
    assert build(parse_spec(GOOD), limit_bytes=294_912).table_bytes() == 294_912
    with pytest.raises(gmap.AddressError):
        build(parse_spec(GOOD), limit_bytes=-1)


@pytest.mark.parametrize("pattern", ["random", "strided", "clustered"])
def test_a_touched_set_that_does_not_fit_is_refused(pattern):
    text = GOOD.replace("64MiB", "2TiB").replace("= 40", "= 44")
    text += f'[touched]\npattern = "{pattern}"\npages = 400_000_000\n'
    text += {"strided": "stride = 4096\n", "clustered": "cluster = 4096\n"}.get(pattern, "")
    with pytest.raises(SpecError, match=r"pages = 400000000.*limit is 1,073,741,824"):
        build(parse_spec(text), limit_bytes=1 << 30)


def test_files(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    assert read_spec(path).name == "mine"
    path.write_bytes(b"\xff" + GOOD.encode())
    with pytest.raises(SpecError, match="byte 0 is not UTF-8"):
        read_spec(path)
    path.write_text("#" * (1 << 20) + "\n")
    with pytest.raises(SpecError, match="this is no spec"):
        read_spec(path)
    with pytest.raises(FileNotFoundError):
        read_spec(tmp_path / "none.toml")


@pytest.mark.parametrize("name", specs.bundled_specs())
def test_bundled_specs(name):
    spec = read_spec(name)
    assert spec.name == name
    assert spec.description
    if name != "sparse-16t":  # the benchmark builds that one
        built = build_all(spec)
        assert built.estimate.table_bytes == built.space.table_bytes()


@pytest.mark.parametrize(
    ("text", "value"),
    [("4096", 4096), ("0x10_00", 4096), ("1 KiB", 1024), ("3B", 3), (7, 7), ("2PiB", 2 << 50)],
)
def test_sizes(text, value):
    assert parse_bytes(text) == value


# --- what is touched --------------------------------------------------------------------------


def touched(lines, slots=("0x4000_0000",), size="4MiB"):
    text = "[guest]\nipa_bits = 40\n"
    for base in slots:
        text += f'[[memslot]]\nguest_phys_addr = "{base}"\nsize = "{size}"\n'
    pages = pages_of(parse_spec(f"{text}[touched]\n{lines}"))
    chunks = [chunk for chunk, _ in pages.chunks(100)]
    return np.concatenate(chunks) if chunks else np.empty(0, np.uint64)


def test_patterns():
    base = 0x40000
    assert touched("").tolist() == list(range(base, base + 1024))
    assert touched('pattern = "sequential"\npages = 5').tolist() == list(range(base, base + 5))
    assert touched('pattern = "strided"').tolist() == [base, base + 256, base + 512, base + 768]
    assert len(touched('pattern = "random"\nfraction = 0.0')) == 0
    for fraction in (0.1, 0.5, 0.9, 1.0):
        pages = touched(f'pattern = "random"\nfraction = {fraction}')
        assert len(pages) == len(set(pages.tolist())) == round(1024 * fraction)
        assert pages.min() >= base
        assert pages.max() < base + 1024
    assert touched('pattern = "random"\npages = 9').tolist() != sorted(
        touched('pattern = "random"\npages = 9').tolist()
    )
    again = touched('pattern = "random"\npages = 9\nseed = 1')
    assert again.tolist() != touched('pattern = "random"\npages = 9').tolist()


@given(st.integers(1, 1024), st.sampled_from([1, 3, 64, 700]), st.integers(0, 50))
def test_clusters(pages, cluster, seed):
    found = touched(
        f'pattern = "clustered"\npages = {pages}\ncluster = {cluster * 4096}\nseed = {seed}'
    ).tolist()
    assert len(found) == len(set(found)) == pages
    blocks = {(page - 0x40000) // cluster for page in found}
    assert len(blocks) <= -(-pages // cluster) + 1


def test_pages_go_through_the_slots_in_order_of_address():
    pages = touched('pattern = "sequential"\npages = 1500', ("0x8000_0000", "0x4000_0000"))
    assert pages.tolist() == [*range(0x40000, 0x40400), *range(0x80000, 0x80000 + 476)]


def test_a_run_of_pages_over_a_slot_edge_stays_in_order():
    found = touched(
        'pattern = "clustered"\npages = 2048\ncluster = "3MiB"', ("0x0", "0x4000_0000")
    )
    assert sorted(found.tolist()) == [*range(1024), *range(0x40000, 0x40400)]


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 50)), max_size=9),
       st.integers(1, 60))  # fmt: skip
def test_chunks_are_the_whole_in_pieces(runs, size):
    start = np.array([run[0] for run in runs], np.uint64)
    count = np.array([run[1] for run in runs], np.uint64)
    expected = [page for first, n in runs for page in range(first, first + n)]
    pages = Pages(start, count, None, 0.5, 7)
    pieces = list(pages.chunks(size))
    assert [page for chunk, _ in pieces for page in chunk.tolist()] == expected
    assert all(len(chunk) == size for chunk, _ in pieces[:-1])
    whole = list(pages.chunks(_CHUNK))
    if whole:
        assert np.concatenate([w for _, w in pieces]).tolist() == whole[0][1].tolist()


def test_share_of_writes():
    g = build(parse_spec(GOOD + "[touched]\nwrite = 0.25\n"))
    dirty = int(g.leaves()["dirty"].sum())
    assert 0.23 < dirty / 16384 < 0.27
    assert build(parse_spec(GOOD + "[touched]\nwrite = 0\n")).leaves()["dirty"].sum() == 0


def test_a_trace_moves_into_the_slots():
    from gmap.trace import load

    built = build_all(read_spec("program"))
    trace = load("triad")
    assert built.space.stats()["major"] == trace.footprint()
    leaves = built.space.leaves()
    assert leaves["gpa"].min() >= 0x4000_0000
    # What was near each other still is: the pages of a 2 MiB area share theirs.
    area = np.unique(trace.pages // np.uint64(512))
    assert len(np.unique(leaves["gpa"] >> np.uint64(21))) == len(area)


# --- what is built ----------------------------------------------------------------------------

MIB = 1 << 20


@st.composite
def spec_texts(draw):
    text = f"[guest]\nipa_bits = {draw(st.sampled_from([32, 40, 43]))}\n"
    text += f"allow_1m = {draw(st.sampled_from(['true', 'false']))}\n"
    text += f"allow_2g = {draw(st.sampled_from(['true', 'false']))}\n"
    at = draw(st.integers(0, 300)) * 4096
    for _ in range(draw(st.integers(1, 3))):
        size = draw(st.integers(1, 2000)) * 4096
        folio = draw(st.sampled_from(["4k", "1m", "2g"]))
        offset = draw(st.sampled_from([0, 4096, MIB // 2, MIB]))
        text += f'[[memslot]]\nguest_phys_addr = {at}\nsize = {size}\nfolio = "{folio}"\n'
        text += f"hva_offset = {offset}\n"
        at += size + draw(st.sampled_from([0, 0, 4096, MIB, 77 * MIB]))
    text += f"[host]\nfragmentation = {draw(st.sampled_from([0.0, 0.5]))}\n"
    text += f'[touched]\npattern = "{draw(st.sampled_from(["clustered", "random"]))}"\n'
    text += f"fraction = {draw(st.sampled_from([0, 0.01, 0.3, 1]))}\nwrite = 0.5\n"
    return text


@settings(max_examples=60, deadline=None)
@given(spec_texts())
def test_the_estimate_is_what_is_built(text):
    built = build_all(parse_spec(text))
    stats = built.space.stats()
    assert built.estimate.page_tables == stats["page_tables"]
    assert built.estimate.crst_tables == stats["crst_tables"]
    check_timeline(built)


def test_the_estimate_with_2g_frames():
    text = """
    [guest]
    ipa_bits = 40
    allow_2g = true
    [[memslot]]
    guest_phys_addr = "0x8000_0000"
    size = "9GiB"
    folio = "2g"
    """
    built = build_all(parse_spec(text + '[touched]\npattern = "strided"\nstride = "512KiB"\n'))
    assert built.estimate.table_bytes == built.space.table_bytes()
    assert built.space.stats()["linked_2g"] == 4
    assert built.space.stats()["linked_1m"] == 1024


def check_timeline(built):
    """It starts at nothing, never falls, and ends at what is there."""
    line = built.timeline
    assert line["touched_pages"][0] == 0
    for name in line.dtype.names:
        assert (np.diff(line[name].astype(np.int64)) >= 0).all(), name
    last = line[-1]
    assert last["touched_pages"] == built.estimate.touched_pages
    assert last["faults"] + last["minor_faults"] == last["touched_pages"]
    assert last["mapped_bytes"] == built.space.leaves()["size"].sum()
    assert last["table_bytes"] == built.space.table_bytes()


def test_progress():
    seen = []
    build(parse_spec(GOOD), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (16384, 16384)
    assert seen == sorted(seen)
