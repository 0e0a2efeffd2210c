"""Dumps of an address space, column by column."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gmap
from gmap.dumps import ipa_range, stage2_levels
from gmap.dumps._grammar import size_and_unit
from gmap.layout import Kind
from gmap.layout._from_gmap import layout_of, merge_neighbours, runs_of

from .conftest import entries, guest, slow_dump, slow_kernel, slow_s390

MIB = 1 << 20


def test_the_proposed_form():
    """The example of ptdump.md section 5, to the last blank."""
    host = gmap.SyntheticHost()
    space = gmap.Gmap(host, 40)
    large, small = host.map(MIB, folio="1m"), host.map(MIB)
    space.set_memory_region(0, 0, MIB, large.hva)
    space.set_memory_region(1, MIB, MIB, small.hva)
    space.fault_in(0, write=True)
    space.fault_in([256, 257])
    space.age(257, 1)
    assert gmap.ptdump(space, "s390").splitlines() == [
        "---[ Guest IPA ]---",
        "0x0000000000000000-0x0000000000100000           1M SEG   R W X AF BLK",
        "0x0000000000100000-0x0000000000101000           4K PTE   R   X AF    ",
        "0x0000000000101000-0x0000000000102000           4K PTE F             ",
        "0x0000000000102000-0x0000000000200000        1016K PTE F              NONE",
        "0x0000000000200000-0x0000000080000000        2046M SEG F              HOLE",
        "0x0000000080000000-0x0000010000000000        1022G RG3 F              HOLE",
    ]
    assert gmap.ptdump(space, "s390", details=True).splitlines()[1:5] == [
        "0x0000000000000000-0x0000000000100000           1M SEG   R W X AF BLK D" + 13 * " ",
        "0x0000000000100000-0x0000000000101000           4K PTE   R   X AF" + 12 * " " + "P      ",
        "0x0000000000101000-0x0000000000102000           4K PTE F" + 28 * " ",
        "0x0000000000102000-0x0000000000200000        1016K PTE F" + 28 * " " + " NONE",
    ]
    kernel = [
        "---[ Guest IPA ]---",
        "0x0000000000000000-0x0000000000100000           1M 2   R W px ux  AF BLK",
        "0x0000000000100000-0x0000000000101000           4K 3   R   px ux  AF    ",
        "0x0000000000101000-0x0000000000102000           4K 3 F R   px ux        ",
        "0x0000000000102000-0x0000000000200000        1016K 3",
        "0x0000000000200000-0x0000000080000000        2046M 2",
        "0x0000000080000000-0x0000010000000000        1022G 1",
    ]
    assert gmap.ptdump(space).splitlines() == kernel
    assert gmap.ptdump(space, "kernel", revision="C").splitlines() == kernel
    assert gmap.ptdump(space, revision="A").splitlines()[1:4] == [
        "0x0000000000000000-0x0000000000100000           1M 2   R W X AF BLK",
        "0x0000000000100000-0x0000000000101000           4K 3   R   X AF    ",
        "0x0000000000101000-0x0000000000102000           4K 3 F             ",
    ]
    assert gmap.ptdump(space, revision="B").splitlines()[1:4] == [
        "0x0000000000000000-0x0000000000100000           1M 2   R W   AF BLK",
        "0x0000000000100000-0x0000000000101000           4K 3   R     AF    ",
        "0x0000000000101000-0x0000000000102000           4K 3 F     X       ",
    ]


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (4 << 10, "        4K"),
        (1 << 20, "        1M"),
        (1020 << 10, "     1020K"),
        (2 << 30, "        2G"),
        (2046 << 20, "     2046M"),
        (1022 << 30, "     1022G"),
        (4 << 40, "        4T"),
        (2**64 - 0xFFFF_FFFF_FE00_0000, "       32M"),
        (1 << 63, "        8E"),
    ],
)
def test_sizes(nbytes, text):
    """The worked examples of ptdump.md section 6."""
    assert "{:9d}{}".format(*size_and_unit(nbytes)) == text


@pytest.mark.parametrize("ipa_bits", [36, 40, 43, 55])
def test_every_line_is_what_the_entries_say(ipa_bits):
    space = guest(ipa_bits)
    for details in (False, True):
        dump = gmap.ptdump(space, "s390", details=details)
        assert dump == slow_dump(space, slow_s390(details))
    for revision in "ABC":
        assert gmap.ptdump(space, revision=revision) == slow_dump(space, slow_kernel(revision))
    assert len(dump.splitlines()) > 500


HISTORY = st.lists(
    st.tuples(
        st.sampled_from(["fault", "write", "age", "unmap", "split", "log", "delete", "set"]),
        st.integers(0, 6 << 8),
        st.integers(1, 700),
    ),
    max_size=12,
)


@given(HISTORY, st.sampled_from([32, 41, 53]))
@settings(max_examples=15, deadline=None)
def test_any_history(history, ipa_bits):
    check_history(history, ipa_bits)


@pytest.mark.campaign
@given(HISTORY, st.sampled_from([32, 41, 53]))
@settings(max_examples=2000, deadline=None)
def test_many_histories(history, ipa_bits):
    check_history(history, ipa_bits)


def check_history(history, ipa_bits):
    """All dumps are what the entries say, and the layout covers everything."""
    host = gmap.SyntheticHost(hamaxpow=63, seed=1, fragmentation=0.2)
    space = gmap.Gmap(host, ipa_bits)
    regions = [host.map(2 * MIB, folio=folio) for folio in ("1m", "4k", "1m")]
    for slot, region in enumerate(regions):
        space.set_memory_region(slot, 2 * slot * MIB, 2 * MIB, region.hva, 1)
    for action, gfn, n in history:
        slot = gfn // 512
        match action:
            case "fault" | "write":
                space.fault_in(np.arange(gfn, gfn + n), action == "write", errors="status")
            case "age":
                space.age(gfn, n)
            case "unmap":
                space.unmap(gfn, n)
            case "split":
                space.split(gfn)
            case "log" if any(each.slot == slot for each in space.memslots):
                space.get_dirty_log(slot)
            case "delete" if any(each.slot == slot for each in space.memslots):
                space.set_memory_region(slot, 0, 0, 0)
            case "set" if slot < 3 and all(each.slot != slot for each in space.memslots):
                space.set_memory_region(slot, 2 * slot * MIB, MIB, regions[slot].hva, 1)
    assert gmap.ptdump(space, "s390", details=True) == slow_dump(space, slow_s390(True))
    assert gmap.ptdump(space, "s390") == slow_dump(space, slow_s390(False))
    assert gmap.ptdump(space) == slow_dump(space, slow_kernel("C"))
    check_layout(space)
    snapshot = gmap.from_bytes(space.to_bytes(), space.asce, ipa_bits=ipa_bits)
    assert gmap.ptdump(snapshot, "s390", details=True) == gmap.ptdump(
        space, "s390", details=True)  # fmt: skip


def check_layout(space):
    """A layout covers everything once, and says of each leaf what `leaves` says."""
    layout = layout_of(space)
    ranges = layout.ranges
    assert ranges["start"][0] == 0
    assert (ranges["start"][1:] == (ranges["start"] + ranges["size"])[:-1]).all()
    assert int(ranges["start"][-1] + ranges["size"][-1]) == layout.end
    leaves = space.leaves()
    rows = ranges[np.searchsorted(ranges["start"], leaves["gpa"], side="right") - 1]
    assert (rows["kind"] == Kind.LEAF).all()
    assert (rows["height"] == leaves["level"] + 1).all()
    # Every mapped byte is a leaf's, and every entry that is none is absent.
    assert ranges["size"][ranges["kind"] == Kind.LEAF].sum() == leaves["size"].sum()
    young = leaves["young"]
    assert (rows["young"] == young).all()
    assert (rows["writable"] == (young & leaves["writable"] & ~leaves["protected"])).all()
    assert (rows["dirty"] == (young & leaves["dirty"])).all()
    holes = sum(end - start for start, end, level, entry, _ in entries(space)
                if entry & (0x400 if level < 0 else 0x20) and entry >> 48)  # fmt: skip
    assert ranges["size"][ranges["kind"] == Kind.HOLE].sum() == holes


def test_layout(mixed):
    check_layout(mixed)


def test_runs_in_pieces(mixed):
    """However few rows an array may have, they are the same."""
    whole = np.concatenate(list(runs_of(mixed)))
    assert len(whole) > 500
    for chunk in (1, 2, 7, 100, len(whole)):
        pieces = list(runs_of(mixed, chunk))
        assert max(map(len, pieces)) <= chunk
        assert (merge_neighbours(np.concatenate(pieces)) == whole).all()


def test_lines_in_pieces(mixed, monkeypatch):
    whole = gmap.ptdump(mixed, "s390")
    monkeypatch.setattr(
        "gmap.dumps._write.runs_of", lambda space, each=runs_of: each(space, 3)
    )
    assert gmap.ptdump(mixed, "s390") == whole
    file = io.StringIO()
    file.writelines(gmap.ptdump_lines(mixed, "s390"))
    assert file.getvalue() == whole


def test_empty_spaces():
    space = gmap.Gmap(gmap.SyntheticHost(hamaxpow=63), 63)
    assert gmap.ptdump(space) == (
        "---[ Guest IPA ]---\n0x0000000000000000-0x8000000000000000           8E -1\n"
    )
    assert gmap.ptdump(space, "s390").splitlines()[1].split()[-3:] == ["RG1", "F", "HOLE"]
    assert layout_of(space).end == 1 << 63


def test_small_files():
    host = gmap.SyntheticHost(hamaxpow=63)
    for ipa_bits, levels in [(32, 3), (42, 3), (43, 4), (53, 4), (63, 5)]:
        space = gmap.Gmap(host, ipa_bits)
        assert (ipa_range(space), stage2_levels(space)) == (f"{ipa_bits}\n", f"{levels}\n")
        assert len(layout_of(space).geometry.levels) == levels


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("arm",), {}, "style 'arm'"),
        ((), {"revision": "D"}, "revision 'D'"),
        ((), {"details": True}, "details"),
        (("s390",), {"revision": None}, "revision None"),
    ],
)
def test_bad_options(mixed, arguments, options, message):
    for function in (gmap.ptdump, gmap.ptdump_lines):
        with pytest.raises(gmap.ConfigError, match=message):
            function(mixed, *arguments, **options)


def test_not_an_address_space():
    for function in (gmap.ptdump, layout_of):
        with pytest.raises(gmap.ConfigError, match="has no tables"):
            function("a string")
