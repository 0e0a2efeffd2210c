"""Snapshots: files that say the same in any process, and images as an s390 would hold them."""

import json
import random
import struct
import subprocess
import sys
import threading
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gmap
from gmap._memory import failing_allocation, live_allocations
from gmap._readable import AddressSpace
from gmap._snapshot import Snapshot, flatten
from gmap.snapshot import load, save

MIB = 1 << 20


def mixed(host, **options):
    """Leaves of all kinds, aged, clean and dirty, holes and empty entries."""
    space = gmap.Gmap(host, **options)
    large = host.map(32 * MIB, folio="1m")
    small = host.map(8 * MIB)
    space.set_memory_region(3, 4 * MIB, 16 * MIB, large.hva + 4 * MIB, 1)
    space.set_memory_region(0, 3 << 31, 8 * MIB, small.hva)
    space.fault_in(np.arange(1024, 1024 + 2048), write=np.arange(2048) % 512 < 256)
    space.fault_in((3 << 19) + np.arange(0, 2048, 5), write=True)
    space.fault_in((3 << 19) + np.arange(1, 2048, 7))
    space.age(1024, 300)
    space.age((3 << 19) + 100, 100)
    return space


def equal(a, b):
    left, right = a.tables(), b.tables()
    return left.keys() == right.keys() and all((left[key] == right[key]).all() for key in left)


@pytest.fixture
def small(host, tmp_path):
    space = mixed(host)
    path = tmp_path / "guest.npz"
    space.save(path)
    return space, path


# --- files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("ipa_bits", [32, 40, 44, 54])
def test_round_trip(ipa_bits, tmp_path):
    host = gmap.SyntheticHost(seed=5, fragmentation=0.3, hamaxpow=63)
    space = mixed(host, ipa_bits=ipa_bits) if ipa_bits > 32 else gmap.Gmap(host, ipa_bits)
    space.save(tmp_path / "guest.npz")
    loaded = gmap.load(tmp_path / "guest.npz")
    assert equal(space, loaded)
    assert (space.leaves() == loaded.leaves()).all()
    assert (space.regions() == loaded.regions()).all()
    assert loaded.memslots == tuple(space.memslots)
    assert loaded.host_regions == ()
    for name in ("ipa_bits", "guest_phys_size"):
        assert getattr(loaded, name) == getattr(space, name)
    assert loaded.asce & 0xFFF == space.asce & 0xFFF
    assert loaded.table_bytes() == space.table_bytes() == loaded.stats()["table_bytes"]
    rng = np.random.default_rng(1)
    addresses = np.concatenate(
        [
            rng.integers(0, 32 * MIB, 2000, dtype=np.uint64),
            np.uint64(3 << 31) + rng.integers(0, 9 * MIB, 2000, dtype=np.uint64),
            rng.integers(0, 2**63, 500, dtype=np.uint64),
        ]
    )
    for name in ("translate", "translate_write"):
        pa, pic = getattr(space, name)(addresses)
        pa_loaded, pic_loaded = getattr(loaded, name)(addresses)
        assert (pa == pa_loaded).all()
        assert (pic == pic_loaded).all()
        assert len(set(pic.tolist())) > 1
    for gfn in (0, 1024, 1300, 3 << 19, (3 << 19) + 3, (1 << 28) - 1):
        for level in gmap.Level:
            ours, its = space.walk(gfn, level), loaded.walk(gfn, level)
            assert (ours.rc, ours.level, ours.pte, ours.pgste) == (
                its.rc, its.level, its.pte, its.pgste)  # fmt: skip


def test_addresses_of_a_buffer_host_become_places(tmp_path):
    host = gmap.BufferHost()
    space = mixed(host)
    small = host.regions[space.memslots[1].userspace_addr]
    host.move(small.hva + MIB, MIB)  # its frames are elsewhere now, its addresses are not
    space.fault_in((3 << 19) + np.arange(256, 512))
    space.save(tmp_path / "guest.npz")
    loaded = gmap.load(tmp_path / "guest.npz")
    assert loaded.host_regions == ((1 << 31, 32 * MIB), (2 << 31, 8 * MIB))
    assert [slot.userspace_addr for slot in loaded.memslots] == [(1 << 31) + 4 * MIB, 2 << 31]
    ours, its = space.leaves(), loaded.leaves()
    assert len(ours) == len(its) > 256
    for name in ("gpa", "size", "level", "writable", "dirty", "young", "protected"):
        assert (ours[name] == its[name]).all(), name
    # Slot, offset in the slot: that is where a page is, wherever its frame.
    low = its["gpa"] < 1 << 31
    assert (its["pa"][low] == (1 << 31) + its["gpa"][low]).all()
    assert (its["pa"][~low] == (2 << 31) + its["gpa"][~low] - (3 << 31)).all()
    frame = np.where(ours["level"] == -1, ~np.uint64(0xFFF), ~np.uint64(0xFFFFF))
    assert ((ours["entry"] & ~frame) == (its["entry"] & ~frame)).all()


BUFFER_PROGRAM = """
import sys, numpy as np, gmap
keep = bytearray(int(sys.argv[2]))          # so that addresses differ
host = gmap.BufferHost()
if int(sys.argv[2]):
    host.map(1 << 26)
space = gmap.Gmap(host)
regions = [host.map(8 << 20, folio="1m"), host.map(4 << 20)]
if int(sys.argv[2]):
    regions = [host.map(8 << 20, folio="1m"), host.map(4 << 20)]
space.set_memory_region(0, 1 << 21, 4 << 20, regions[1].hva)
space.set_memory_region(1, 1 << 30, 8 << 20, regions[0].hva)
space.fault_in(np.arange(512, 1536, 3), write=True)
space.fault_in((1 << 18) + np.arange(2048))
space.age(512, 100)
space.save(sys.argv[1])
"""


def test_the_same_bytes_in_any_process(tmp_path):
    for name, waste in (("a", "0"), ("b", "30000000")):
        done = subprocess.run(
            [sys.executable, "-P", "-c", BUFFER_PROGRAM, str(tmp_path / name), waste],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    first = (tmp_path / "a").read_bytes()
    assert first == (tmp_path / "b").read_bytes()
    gmap.load(tmp_path / "a").save(tmp_path / "c")
    assert first == (tmp_path / "c").read_bytes()


def test_numpy_opens_the_file(small):
    space, path = small
    with np.load(path, allow_pickle=False) as arrays:
        assert arrays["page"].shape == (space.stats()["page_tables"], 512)
        assert arrays["region3"].shape == (1, 2048)


def test_a_snapshot_does_not_change(small):
    loaded = gmap.load(small[1])
    assert not hasattr(loaded, "fault_in")
    for flags in (gmap.Walk.ALLOC, gmap.Walk.SPLIT, gmap.Walk.SPLIT_ALLOC | gmap.Walk.ANY):
        with pytest.raises(gmap.ConfigError, match="does not change"):
            loaded.walk(0, gmap.Level.PAGE, flags)
    with pytest.raises(AttributeError):
        loaded.memslots = ()


def test_ufunc_outlives_its_snapshot(small):
    space, path = small
    translate = gmap.load(path).translate
    gpa = space.leaves()["gpa"]
    assert (translate(gpa)[0] == space.translate(gpa)[0]).all()


def test_saving_while_others_fault(host, tmp_path):
    """What is saved is of one moment: the guest's memory is mapped from one end."""
    region = host.map(256 * MIB)
    space = gmap.Gmap(host)
    space.set_memory_region(0, 0, region.nbytes, region.hva)
    stop = threading.Event()

    def fault():
        for gfn in range(1 << 16):
            space.fault_in(gfn)
            if stop.is_set():
                return

    thread = threading.Thread(target=fault)
    thread.start()
    try:
        for i in range(20):
            space.save(tmp_path / "guest.npz")
            leaves = gmap.load(tmp_path / "guest.npz").leaves()
            assert (leaves["gpa"] == np.arange(len(leaves)) << 12).all(), i
    finally:
        stop.set()
        thread.join()


def test_a_file_appears_whole_or_not_at_all(small, monkeypatch):
    space, path = small
    before = path.read_bytes()

    def fail(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gmap.snapshot._file._npy_header", fail)
    space.unmap(0, 1 << 28)
    with pytest.raises(OSError, match="No space"):
        space.save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(FileNotFoundError):
        space.save(path.parent / "no" / "such" / "folder")
    with pytest.raises(gmap.ConfigError, match="no tables"):
        save(object(), path)
    assert path.read_bytes() == before


def attempt(path):
    """The snapshot in a file, or the refusal."""
    try:
        return gmap.load(path)
    except gmap.SnapshotFormatError as error:
        assert str(path) in str(error)  # noqa: PT017
        return None


def test_every_cut_is_refused(small, tmp_path):
    data = small[1].read_bytes()
    path = tmp_path / "cut.npz"
    rng = random.Random(1)
    for length in {0, 1, 4, len(data) - 1, *rng.sample(range(len(data)), 60)}:
        path.write_bytes(data[:length])
        assert attempt(path) is None, length
    with pytest.raises(FileNotFoundError):
        gmap.load(tmp_path / "nothing.npz")


def test_a_changed_byte_is_refused_or_means_nothing(small, tmp_path):
    space, original = small
    data = bytearray(original.read_bytes())
    path = tmp_path / "changed.npz"
    rng = random.Random(2)
    refused = 0
    for place in rng.sample(range(len(data)), min(400, len(data))):
        old = data[place]
        data[place] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        loaded = attempt(path)
        refused += loaded is None
        assert loaded is None or equal(space, loaded), place
        data[place] = old
    assert refused > 200


def rewrite(path, to, *, header=(), drop=(), add=(), words=None):
    """A copy of a snapshot file with something else in it."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(to, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            if info.filename == "snapshot.json":
                content = {**json.loads(data), **dict(header)}
                data = json.dumps({k: v for k, v in content.items() if v is not None}).encode()
            if info.filename in drop:
                continue
            if words and info.filename in words:
                with new.open(info.filename, "w") as member:
                    np.lib.format.write_array(member, words[info.filename], version=(1, 0))
                continue
            new.writestr(info.filename, data)
        for name in add:
            new.writestr(name, b"")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"format": "other"}, "no snapshot"),
        ({"format": None}, "no snapshot"),
        ({"version": 2}, "a newer one may read it"),
        ({"version": True}, "version True"),
        ({"version": None}, "version None"),
        ({"asce_bits": -1}, "asce_bits is -1, not an unsigned integer"),
        ({"asce_bits": 0x11C7}, "asce_bits"),
        ({"asce_bits": 0x1CB}, "belong"),
        ({"asce_bits": "0x1c7"}, "asce_bits is '0x1c7', not an unsigned integer"),
        ({"ipa_bits": 64}, "ipa_bits 64 is out of range"),
        ({"ipa_bits": 3}, "use 12 to 63"),
        ({"ipa_bits": None}, "ipa_bits is None, not an unsigned integer"),
        ({"ipa_bits": True}, "ipa_bits is True"),
        ({"ipa_bits": 40.0}, "ipa_bits is 40.0"),
        ({"memslots": {}}, "memslots is {}, not a list"),
        ({"memslots": [[1, 2, 3, 4]]}, "5 unsigned integers"),
        ({"memslots": [[1, 2, 3, 4, -5]]}, "5 unsigned integers"),
        ({"host_regions": [[1, 2**64]]}, "2 unsigned integers"),
        ({"host_regions": [[1, 2.0]]}, "2 unsigned integers"),
    ],
)
def test_bad_headers(small, tmp_path, header, message):
    rewrite(small[1], tmp_path / "bad.npz", header=header)
    with pytest.raises(gmap.SnapshotFormatError, match=message):
        gmap.load(tmp_path / "bad.npz")


def test_bad_archives(small, tmp_path):
    path = tmp_path / "bad.npz"
    for changes, message in [
        ({"drop": ["snapshot.json"]}, "so no snapshot"),
        ({"drop": ["page.npy"]}, "belong"),
        ({"add": ["extra"]}, "belong"),
        ({"words": {"page.npy": np.zeros((2, 512), "<u8")}}, "damaged"),
        ({"words": {"page.npy": np.zeros((2, 512), ">u8")}}, "shape \\(n, 512\\)"),
        ({"words": {"page.npy": np.zeros((2, 512), object)}}, "shape \\(n, 512\\)"),
        ({"words": {"page.npy": np.zeros(512, "<u8")}}, "shape \\(n, 512\\)"),
        ({"words": {"region3.npy": np.zeros((2, 2048), "<u8")}}, "2 top-level tables"),
        ({"words": {"region3.npy": np.full((1, 2048), 4, "<u8")}}, "number of the next table"),
        ({"words": {"region3.npy": np.full((1, 2048), 0x24, "<u8")}}, "fewer entries"),
    ]:
        rewrite(small[1], path, **changes)
        with pytest.raises(gmap.SnapshotFormatError, match=message):
            gmap.load(path)
    path.write_bytes(b"PK\x03\x04 and then nothing")
    assert attempt(path) is None


def test_bad_arguments(small):
    flat = flatten(small[0])
    make = lambda **changes: Snapshot(  # noqa: E731
        **{"asce_bits": flat.asce_bits, "words": flat.words, "ipa_bits": 40, **changes}
    )
    assert equal(make(), small[0])
    for words in (flat.words[:2], flat.words + flat.words[:1], [w.T for w in flat.words],
                  [w.astype(np.int64) for w in flat.words]):  # fmt: skip
        with pytest.raises(gmap.SnapshotFormatError):
            make(words=words)
    for changes in ({"asce_bits": -1}, {"asce_bits": 1 << 12}, {"ipa_bits": 64}, {"ipa_bits": 1.5},
                    {"ipa_bits": 11}):  # fmt: skip
        with pytest.raises((gmap.AddressError, gmap.ConfigError)):
            make(**changes)


def test_an_address_space_without_tables():
    for kind in (AddressSpace, type("Mine", (AddressSpace,), {})):
        empty = kind()
        for call in (empty.table_bytes, empty.leaves, empty.tables, empty.to_bytes,
                     lambda e=empty: e.asce, lambda e=empty: e.translate_one(0),
                     lambda e=empty: e.walk(0)):  # fmt: skip
            with pytest.raises(TypeError, match="has no tables"):
                call()


def test_no_memory(small):
    path = small[1]
    load(path)
    before = live_allocations()
    n, failures = 1, 0
    while True:
        with failing_allocation(n) as happened:
            try:
                loaded = gmap.load(path)
                assert not happened()
                break
            except gmap.HostMemoryError:
                failures += 1
        assert live_allocations() == before
        n += 1
    assert failures > 3
    assert equal(loaded, small[0])


# --- images ---------------------------------------------------------------------------------


def walk_image(image, base, asce, address):
    """(pa, pic): z/Architecture DAT on big-endian bytes, independent of the package."""

    def word(at):
        at -= base
        return struct.unpack_from(">Q", image, at)[0]

    level = asce >> 2 & 3
    if level < 3 and address >> (31 + 11 * level):
        return 0, 0x38
    origin, first, last = asce & ~0xFFF, 0, asce & 3
    pics = {3: 0x39, 2: 0x3A, 1: 0x3B, 0: 0x10}
    while True:
        shift = 20 + 11 * level
        index = address >> shift & 0x7FF
        if not first <= index >> 9 <= last:
            return 0, pics[level]
        entry = word(origin + 8 * index)
        if entry & 0x20:
            return 0, pics[level]
        if entry >> 2 & 3 != level:
            return 0, 0x12
        if entry & 0x400 and level <= 1:
            mask = (1 << shift) - 1
            return entry >> shift << shift | address & mask, 0
        if level == 0:
            pte = word((entry & ~0x7FF) + 8 * (address >> 12 & 0xFF))
            if pte & 0x400:
                return 0, 0x11
            if pte & 0x800:
                return 0, 0x12
            return pte & ~0xFFF | address & 0xFFF, 0
        origin, first, last = entry & ~0xFFF, entry >> 6 & 3, entry & 3
        level -= 1


def check_walks(space, image, base, asce, addresses):
    pa, pic = space.translate(np.array(addresses, dtype=np.uint64))
    expected = [walk_image(image, base, asce, a) for a in addresses]
    assert list(zip(pa.tolist(), pic.tolist(), strict=True)) == expected
    return {pic for _, pic in expected}


@pytest.mark.parametrize("ipa_bits", [40, 44, 54])
def test_image_round_trip(ipa_bits):
    host = gmap.SyntheticHost(hamaxpow=63)
    space = mixed(host, ipa_bits=ipa_bits)
    control = space.asce & 0xFFF
    leaves = space.leaves()["gpa"].tolist()
    addresses = [*leaves[::7], *[a + 0x1234 for a in leaves[::11]], 0, 1 << 41, 2**64 - 1]
    data = space.to_bytes()
    assert len(data) == space.table_bytes()
    first = gmap.from_bytes(data, space.asce)
    assert equal(first, space)
    assert first.memslots == ()
    for base in (0, 0x1000, 0x7FFF_F000, (1 << 64) - (len(data) + 0xFFF & ~0xFFF)):
        image = space.to_bytes(base=base)
        again = gmap.from_bytes(image, base | control, base=base)
        assert equal(again, space)
        assert 0 in check_walks(again, image, base, base | control, addresses)
        if base == 0:
            assert equal(gmap.from_bytes(memoryview(image), control), space)
            assert equal(gmap.from_bytes(bytearray(image + b"rest"), control), space)
    assert first.to_bytes(base=0) == space.to_bytes(base=0)


def test_bits_of_an_image(host):
    """The very bytes: dat-gmap.md sections 2.1 to 2.8, counted by hand."""
    region = host.map(MIB)
    space = gmap.Gmap(host)
    space.set_memory_region(0, 0, MIB, region.hva)
    space.fault_in(2, write=True)
    image = space.to_bytes(base=0x10_0000)
    assert len(image) == 16384 + 16384 + 4096
    words = struct.unpack(f">{len(image) // 8}Q", image)
    assert words[0] == 0x10_4000 | 0x07  # region-3 entry: the segment table, tt 1, tl 3
    assert words[1] == 0x0001000500000024  # a hole
    assert words[2048] == 0x10_8000  # segment entry: the page table
    assert words[2049] == 0x0001000500000020
    assert words[4096] == 0x400  # empty
    assert words[4098] == space.translate_one(0x2000) | 0x2D  # w, d, y, pr
    assert set(words[4096 + 256 :]) == {0}  # PGSTEs


CRST = struct.Struct(">2048Q")


def image_of(**tables):
    """An image: name -> (address, {index: entry}); a crst is empty of the type given."""
    size = max(address + len(data) for address, data in tables.values())
    image = bytearray(size)
    for address, data in tables.values():
        image[address : address + len(data)] = data
    return bytes(image)


def crst(level, entries, default=None):
    words = [default if default is not None else 0x20 | level << 2] * 2048
    for index, entry in entries.items():
        words[index] = entry
    return CRST.pack(*words)


def page_table(entries):
    words = [0x400] * 256 + [0] * 256
    for index, entry in entries.items():
        words[index] = entry
    return struct.pack(">512Q", *words)


def test_short_tables():
    """TL of the ASCE, TF and TL of an entry: what is left out is never read, here or there."""
    top = crst(1, {0: 0x4000 | 4 | 1 << 6 | 2, 600: 0x8000 | 4 | 3 << 6 | 1})
    segment = crst(0, {600: 0x77000400, 1500: 0x66600400, 10: 0x55500400, 2000: 0x44400400})
    # Of the segment table only quarters 1 and 2 are in the image; of the top, 0 and 1.
    image = top[:8192] + bytes(8192) + bytes(4096) + segment[4096 : 3 * 4096]
    asce = 0x4 | 1
    space = gmap.from_bytes(image, asce)
    addresses = [n << 20 for n in (0, 10, 511, 512, 600, 1500, 1535, 1536, 2000)]
    addresses += [n << 31 for n in (1, 600, 1023, 1024, 2047)] + [1 << 42]
    assert check_walks(space, image, 0, asce, addresses) == {0, 0x10, 0x3B, 0x38}
    assert (space.leaves()["gpa"] >> 20).tolist() == [600, 1500]
    assert gmap.from_bytes(space.to_bytes(), space.asce).to_bytes(base=0) == space.to_bytes(base=0)


def test_wrong_types_and_self_references():
    top = crst(1, {0: 0x4000 | 7, 1: 0x0000 | 7, 2: 0x4000 | 0xB, 3: 0x4000 | 3, 4: 0x80000424})
    segment = crst(0, {0: 0x8000, 1: 0x8004, 2: 0x500404, 3: 0x4000, 4: 0x900424})
    pages = page_table({0: 0x1000, 1: 0x1800, 2: 0x400 | 0x2000, 3: 0x3001})
    image = image_of(top=(0, top), segment=(0x4000, segment), pages=(0x8000, pages))
    space = gmap.from_bytes(image, 7)
    rng = random.Random(3)
    addresses = [r << 31 | s << 20 | p << 12 | 5 for r in range(6) for s in range(6)
                 for p in (0, 1, 2, 3, 255)]  # fmt: skip
    addresses += [rng.randrange(1 << 43) for _ in range(500)]
    assert check_walks(space, image, 0, 7, addresses) >= {0, 0x10, 0x11, 0x12, 0x3B, 0x38}
    # Nothing that walks ranges follows them, either.
    assert {level for level, _ in space.tables()} == {-1, 0, 1}
    assert (space.leaves()["gpa"] < 6 << 31).all()
    assert "BAD" in gmap.ptdump(space, "s390")
    assert space.walk(1 << 8).rc == -22
    with pytest.raises(gmap.TranslationError) as caught:
        space.translate_one(1 << 20)
    assert (caught.value.pic, caught.value.entry) == (0x12, 0x8004)


def test_sharing_has_a_limit():
    """Every entry of every level leads to the one table below: 2**52 pages in 68 KiB."""
    levels = [crst(level, {}, default=(4 - level) * 0x4000 | level << 2 | (3 if level else 0))
              for level in (3, 2, 1, 0)]  # fmt: skip
    pages = page_table(dict.fromkeys(range(256), 0x1001))
    image = b"".join([*levels, pages])
    with pytest.raises(gmap.SnapshotFormatError, match="shared too often"):
        gmap.from_bytes(image, 0xF)
    # A few are fine, and each entry gets a table of its own.
    top = crst(0, dict.fromkeys(range(100), 0x4000))
    space = gmap.from_bytes(top + pages, 0x3)
    assert len(space.leaves()) == 25600
    assert space.stats()["page_tables"] == 100
    assert len(space.to_bytes()) == 16384 + 100 * 4096


@pytest.mark.parametrize(
    ("tables", "asce", "options", "message"),
    [
        (b"", 0x7, {}, "the ASCE, 0x7, leads to a region3 table at"),
        (bytes(16383), 0x7, {}, "outside the image"),
        (crst(1, {5: 0x8000 | 7}), 0x7, {}, r"entry 0x0000000000008007 at 0x28 leads to a segment"),
        (crst(0, {5: 0x4000}), 0x3, {}, r"entry 0x0000000000004000 at 0x28 leads to a page table"),
        (crst(0, {5: 0x3C00}), 0x3, {"base": 0x1000}, "outside the image"),
        (crst(1, {0: 0xFFFFFFFFFFFFF007}), 0x7, {}, "outside the image"),
        (crst(1, {}), 0x27, {}, "real space"),
        ("text", 0x7, {}, "give bytes"),
        (np.zeros(4096, dtype=object), 0x7, {}, "give bytes"),
        (np.zeros((4096, 8), np.uint8)[:, ::2], 0x7, {}, "give bytes"),
    ],
)
def test_bad_images(tables, asce, options, message):
    with pytest.raises(gmap.SnapshotFormatError, match=message):
        gmap.from_bytes(tables, asce, **options)


@pytest.mark.parametrize("base", [1, -4096, 2**64, 1.5, (1 << 64) - 4096, "0", [0]])
def test_bad_bases(host, base):
    space = gmap.Gmap(host)
    with pytest.raises(gmap.AddressError):
        space.to_bytes(base=base)
    if base != (1 << 64) - 4096:
        with pytest.raises(gmap.AddressError):
            gmap.from_bytes(space.to_bytes(), space.asce, base=base)


@pytest.mark.parametrize("asce", [-1, 2**64, 1.0, None, [7]])
def test_bad_asces(asce):
    with pytest.raises(gmap.AddressError):
        gmap.from_bytes(bytes(16384), asce)


def test_ipa_bits_of_an_image():
    assert gmap.from_bytes(crst(1, {}), 0x7).ipa_bits == 42
    assert gmap.from_bytes(crst(3, {}), 0xF).ipa_bits == 63
    assert gmap.from_bytes(crst(1, {}), 0x7, ipa_bits=36).guest_phys_size == 1 << 36
    with pytest.raises(gmap.AddressError):
        gmap.from_bytes(crst(1, {}), 0x7, ipa_bits=64)


def test_page_table_without_pgstes():
    """At an odd 2 KiB, or where the image ends, there are PTEs alone."""
    pages = page_table({7: 0x5000})[:2048]
    image = crst(0, {0: 0x4800, 1: 0x5000}) + bytes(2048) + pages + pages
    space = gmap.from_bytes(image, 0x3)
    assert space.translate_one(0x7000) == space.translate_one(0x107000) == 0x5000
    assert all(not table[256:].any() for (level, _), table in space.tables().items() if level < 0)


ABSENT = [0x20, 0x24, 0x28, 0x2C, 0x400, 0x0001000500000020, 0x0001000500000420]
FRAME_BITS = [0x400, 0x404, 0x408, 0x424, 0x600, 0x5C03, 0x1, 0x2D, 0x200, 0x800, 0xA00, 0x0]


@st.composite
def images(draw):
    """Tables that mostly fit together: every block of 16 KiB is a table of one level."""
    seed = draw(st.integers(0, 2**32))
    rng = random.Random(seed)
    top = draw(st.integers(0, 3))
    base = draw(st.sampled_from([0, 0x3000, 1 << 40]))
    levels = [top, *[rng.randrange(-1, top + 1) for _ in range(draw(st.integers(1, 9)))]]

    def entry(level):
        kind = rng.random()
        if kind < 0.25 and level < 2:
            return rng.randrange(1 << 40) << 12 | rng.choice(FRAME_BITS) | 0x400 | level << 2
        wanted = level - 1 if kind < 0.9 else rng.randrange(-1, 4)
        fitting = [n for n, each in enumerate(levels) if each == wanted] or range(len(levels))
        origin = base + rng.choice(fitting) * 0x4000
        if wanted < 0:
            origin += rng.choice([0, 0x800, 0x1000, 0x3000])
        if kind > 0.9995:
            origin ^= 1 << rng.randrange(12, 52)
        type_bits = level if kind < 0.85 else rng.randrange(4)
        length = rng.choice([3, 3, 3, 0xC1, 0x43, 0x82, 0x1]) if level else 0
        return origin | type_bits << 2 | length | (0x200 if rng.random() < 0.1 else 0)

    words = []
    for level in levels:
        if level < 0:
            block = [rng.choice(ABSENT) if rng.random() < 0.4 else
                     rng.randrange(1 << 52) << 12 | rng.choice(FRAME_BITS)
                     for _ in range(2048)]  # fmt: skip
        else:
            block = [rng.choice(ABSENT)] * 2048
            for index in rng.sample(range(2048), 12):
                block[index] = entry(level)
            for index in (0, 511, 512, 2047):
                block[index] = entry(level)
        words += block
    asce = base | top << 2 | rng.choice([3, 3, 3, 2, 1, 0])
    data = struct.pack(f">{len(words)}Q", *words)
    return data[: len(data) - draw(st.sampled_from([0, 0, 0, 8, 0x1800]))], base, asce, seed


def check_image(case):
    """It is refused, or translates as the bytes say, and comes back from its own image."""
    image, base, asce, seed = case
    try:
        space = gmap.from_bytes(image, asce, base=base)
    except gmap.SnapshotFormatError as error:
        assert "outside the image" in str(error) or "shared too often" in str(error)  # noqa: PT017
        return
    rng = random.Random(seed)
    level = asce >> 2 & 3
    addresses = [rng.randrange(1 << 64) for _ in range(20)]
    addresses += [rng.randrange(1 << (31 + 11 * level)) for _ in range(100)]
    # Where the entries are that lead on: indices of each level, by what the tables say.
    for (depth, gfn), table in space.tables().items():
        if depth >= 0:
            places = np.flatnonzero((table & np.uint64(0x20)) == 0)[:20].tolist()
            addresses += [gfn << 12 | place << (20 + 11 * depth) for place in places]
        else:
            addresses += [gfn << 12 | place << 12 for place in range(0, 256, 17)]
    check_walks(space, image, base, asce, addresses)
    space.leaves()
    again = gmap.from_bytes(space.to_bytes(), space.asce)
    assert equal(space, again)
    assert gmap.ptdump(again, "s390") == gmap.ptdump(space, "s390")


@given(images())
@settings(max_examples=50, deadline=None)
def test_random_images(case):
    check_image(case)


@pytest.mark.campaign
@given(images())
@settings(max_examples=5000, deadline=None)
def test_many_random_images(case):
    check_image(case)
