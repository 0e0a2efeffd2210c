"""Reading dumps: of four formats, from real machines and our own."""

import gzip
import io
import lzma
import random
import sys

import numpy as np
import pytest

import gmap
from gmap.layout import Kind
from gmap.layout._from_gmap import layout_of

from .conftest import guest, size_text

# As ptdump.md section 2.3 has it.
STAGE2_A = """\
---[ Guest IPA ]---
0x0000000000000000-0x0000000040000000           1G 1
0x0000000040000000-0x0000000040200000           2M 2   R W X AF BLK
0x0000000040200000-0x0000000040201000           4K 3   R W X AF    \n\
0x0000000040201000-0x0000000040400000        2044K 3
0x0000000040400000-0x0000000080000000        1020M 2
"""


def line(start, end, level, attributes="", blanks="   "):
    """One line by the printf formats of ptdump.md; an end of 2**64 is 0."""
    size = size_text((end - start) % 2**64)
    return f"0x{start:016x}-0x{end % 2**64:016x}{blanks}{size} {level}{attributes}\n"


def arm64(valid=" ", usr="   ", ro="RW", pxn="NX", shd="SHD", af="AF", ng="  ", con="   ",
          blk="   ", uxn="UXN", gp="  ", mem="MEM/NORMAL"):  # fmt: skip
    """The attributes of a line of arm64's kernel_page_tables."""
    columns = [valid, usr, ro, pxn, shd, af, ng, con, blk, uxn, gp, mem]
    return "".join(f" {text}" for text in columns if text is not None)


K, M, G, T = 1 << 10, 1 << 20, 1 << 30, 1 << 40
LOW, HIGH = 0xFFFF << 48, 0xFFFF8 << 44
ARM64 = "".join(
    [
        "---[ Linear Mapping start ]---\n",
        line(LOW, LOW + 2 * M, "PMD", arm64(blk="BLK")),
        line(LOW + 2 * M, LOW + 2 * M + 64 * K, "PTE", arm64(con="CON", mem="MEM/NORMAL-TAGGED")),
        line(LOW + 2 * M + 64 * K, LOW + 2 * M + 68 * K, "PTE", arm64(ro="ro", pxn="x ", gp="GP")),
        line(LOW + 2 * M + 68 * K, LOW + 4 * M, "PTE"),
        line(LOW + 4 * M, LOW + G, "PMD"),
        line(LOW + G, LOW + 2 * G, "PUD", arm64(blk="BLK")),
        line(LOW + 2 * G, LOW + 512 * G, "PUD"),
        line(LOW + 512 * G, HIGH, "PGD"),
        "---[ Linear Mapping end ]---\n",
        "---[ vmalloc() area ]---\n",
        line(HIGH, HIGH + 4 * K, "PTE", arm64(shd="   ", mem="DEVICE/nGnRE")),
        line(HIGH + 4 * K, HIGH + 2 * M, "PTE", arm64(valid="F", ro="ro", shd="   ", mem=None)),
        line(HIGH + 2 * M, HIGH + G, "PMD"),
        line(HIGH + G, HIGH + 512 * G, "PUD"),
        line(HIGH + 512 * G, 1 << 64, "PGD"),
    ]
)


def s390(start, end, level, attributes):
    return line(start, end, level, f" {attributes}", blanks=" ")


COPY = 0x1BFFFFFFFFF << 12
S390 = "".join(
    [
        "---[ Kernel Virtual Address Space ]---\n",
        "---[ Identity Mapping Start ]---\n",
        s390(0, 4 * K, "PTE", "RW NX"),
        s390(4 * K, M, "PTE", "RO X"),
        s390(M, 2 * G, "PMD", "RW NX"),
        s390(2 * G, 4 * G, "PUD", "RO NX"),
        "---[ Identity Mapping End ]---\n",
        s390(4 * G, 4 * T, "PUD", "I"),
        s390(4 * T, COPY - (4 * T - 4 * K), "PGD", "I"),
        s390(COPY - (4 * T - 4 * K), COPY, "PTE", "I"),
        "---[ Real Memory Copy Area Start ]---\n",
        s390(COPY, COPY + 4 * K, "PTE", "RW NX"),
        "---[ Real Memory Copy Area End ]---\n",
        "---[ Kasan Shadow Start ]---\n",
        s390(COPY + 4 * K, COPY + 4 * K + 8 * G, "PMD", "RW X"),
        s390(COPY + 4 * K + 8 * G, 1 << 53, "PGD", "I"),
        "---[ Kasan Shadow End ]---\n",
    ]
)


@pytest.fixture
def read(tmp_path):
    """Read a text as a dump, through a file."""

    def read(text, **options):
        path = tmp_path / "dump"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return gmap.read_ptdump(path, **options)

    return read


def rows(layout, *names):
    return layout.ranges[list(names)].tolist()


def flags(layout):
    letters = zip(("readable", "writable", "executable", "young"), "RWXY", strict=True)
    columns = [np.where(layout.ranges[name], letter, "-") for name, letter in letters]
    return ["".join(each) for each in zip(*columns, strict=True)]


def kinds(layout):
    return [Kind(int(kind)).name for kind in layout.ranges["kind"]]


# --- each format ----------------------------------------------------------------------------


def test_stage2(read):
    layout = read(STAGE2_A)
    assert layout.name == "arm64 stage2_page_tables"
    assert layout.geometry.name.startswith("arm64 stage 2, 4K granule")
    assert kinds(layout) == ["NONE", "LEAF", "LEAF", "NONE", "NONE"]
    assert layout.ranges["height"].tolist() == [2, 1, 0, 0, 1]
    assert flags(layout) == ["----", "RWXY", "RWXY", "----", "----"]
    assert layout.markers == ((0, "Guest IPA"),)
    assert (layout.start, layout.end) == (0, 1 << 31)
    # B has its X where execution is forbidden; nothing in a dump tells the two apart.
    assert flags(read(STAGE2_A, revision="B"))[1:3] == ["RW-Y", "RW-Y"]
    assert "40-bit" in read(STAGE2_A, address_bits=40).geometry.name


def test_newest_stage2(read):
    attributes = {
        "  R W px ux  AF BLK": "RWXY",
        "  R   PXNux  AF BLK": "R-XY",
        "    W PXNUXN AF BLK": "-W-Y",
        "  R   px UXN    BLK": "R-X-",
    }
    text = "---[ Guest IPA ]---\n"
    for n, each in enumerate(attributes):
        start = n << 21
        text += f"0x{start:016x}-0x{start + (1 << 21):016x}   {size_text(1 << 21)} 2 {each}\n"
    assert flags(read(text)) == list(attributes.values())
    # Something invalid with bits in it (an owner's mark) is nothing mapped.
    other = text.replace("2   R W px ux  AF BLK", "2 F R W px ux        ")
    assert kinds(read(other)) == ["NONE", "LEAF", "LEAF", "LEAF"]


def test_missing_last_range_is_not_known(read):
    """The kernel does not print it: the dump ends where a mapping does."""
    layout = read("".join(STAGE2_A.splitlines(True)[:4]))
    assert layout.end == 0x40201000
    assert layout.ranges["size"].sum() == layout.end


def test_left_over_line(read):
    """The stale state of a large dump: no header, and a range that ends below its start."""
    size = size_text((0x40000000 - 0xC0000000) % 2**64)
    left = f"0x00000000c0000000-0x0000000040000000   {size} 1\n"
    body = "".join(STAGE2_A.splitlines(True)[2:])
    layout = read(left + body)
    assert rows(layout, "start", "size", "height") == rows(
        read(STAGE2_A), "start", "size", "height")  # fmt: skip
    assert layout.markers == ()
    # When the first range says something else, the line ends at 0 and holds nothing.
    nothing = f"0x00000000c0000000-0x0000000000000000   {size_text(-0xC0000000 % 2**64)} 1\n"
    layout = read(nothing + "".join(STAGE2_A.splitlines(True)[1:]))
    assert rows(layout, "start", "size") == rows(read(STAGE2_A), "start", "size")
    with pytest.raises(gmap.DumpFormatError, match="not above its start"):
        read(STAGE2_A.splitlines(True)[0] + left + body)


def test_arm64_kernel(read):
    layout = read(ARM64)
    assert layout.name == "arm64 kernel_page_tables"
    assert layout.geometry.name == "arm64 stage 1, 4K granule, 48-bit VA"
    assert layout.ranges["height"].tolist() == [1, 0, 0, 0, 1, 2, 2, 3, 0, 0, 1, 2, 3]
    assert kinds(layout)[:6] == ["LEAF"] * 3 + ["NONE"] * 2 + ["LEAF"]
    assert kinds(layout)[-5:] == ["LEAF"] + ["NONE"] * 4
    assert flags(layout)[:3] == ["RW-Y", "RW-Y", "R-XY"]
    assert [name for _, name in layout.markers] == [
        "Linear Mapping start", "Linear Mapping end", "vmalloc() area"]  # fmt: skip
    assert layout.markers[1][0] == 0xFFFF800000000000
    assert (layout.start, layout.end) == (0xFFFF000000000000, 1 << 64)


def test_older_arm64_kernel(read):
    """No column for guarded pages, and another device type."""
    start = 0xFFFFFFC010000000
    text = line(start, start + 64 * K, "PTE", arm64(gp=None, mem="DEVICE/GRE"))
    layout = read("---[ vmalloc() area ]---\n" + text)
    assert flags(layout) == ["RW-Y"]
    assert read(text, address_bits=39, granule=4096).geometry.name.endswith("39-bit VA")
    assert [level.name for level in read(text, address_bits=42, granule=65536).geometry.levels] == [
        "PTE", "PGD"]  # fmt: skip


def test_s390_kernel(read):
    layout = read(S390)
    assert layout.name == "s390 kernel_page_tables"
    assert layout.geometry.name == "s390 kernel, region-2 table"
    assert layout.ranges["height"].tolist() == [0, 0, 1, 2, 2, 3, 0, 0, 1, 3]
    assert flags(layout)[:4] == ["RW--", "R-X-", "RW--", "R---"]
    assert layout.end == 1 << 53
    assert layout.markers[-1] == (1 << 53, "Kasan Shadow End")
    assert [at for at, _ in layout.markers[:3]] == [0, 0, 4 * G]
    # The sample of ptdump.md section 4, as it is there.
    sample = (
        "---[ Real Memory Copy Area Start ]---\n"
        "0x001bfffffffff000-0x001c000000000000         4K PTE I\n"
        "---[ Real Memory Copy Area End ]---\n"
        "---[ Kasan Shadow Start ]---\n"
        "0x001c000000000000-0x001c000200000000         8G PMD RW NX\n"
    )
    layout = read(sample)
    assert rows(layout, "start", "size") == [(0x1BFFFFFFFFF000, 4096), (0x1C << 48, 8 << 30)]
    assert layout.geometry.depth == 4


# --- our own --------------------------------------------------------------------------------


@pytest.mark.parametrize("ipa_bits", [33, 40, 43, 55])
def test_round_trips(ipa_bits, read):
    space = guest(ipa_bits if ipa_bits > 33 else 34)
    exact = layout_of(space)

    def agree(layout, *names):
        a, b = (np.unique(each.ranges[["start", *names]]) for each in (layout, exact))
        # Ranges of `exact` that only differ in what the format does not hold are one there.
        starts = np.isin(b["start"], a["start"])
        assert (a == b[starts]).all()
        for row, start in zip(b, b["start"], strict=True):
            at = np.searchsorted(a["start"], start, side="right") - 1
            assert list(a[at])[1:] == list(row)[1:]

    for details, held in ((True, ("dirty",)), (False, ())):
        layout = read(gmap.ptdump(space, "s390", details=details))
        assert layout.name == "gmap"
        assert layout.geometry == exact.geometry
        assert (layout.start, layout.end) == (exact.start, exact.end)
        agree(layout, "height", "kind", "readable", "writable", "executable", "young", *held)
        if details:
            assert (layout.ranges == exact.ranges).all()
    for revision in "ABC":
        dump = gmap.ptdump(space, revision=revision)
        layout = read(dump, tables="gmap", revision=revision)
        assert layout.geometry == exact.geometry
        agree(layout, "height", "readable", "writable", "executable", "young")
        assert kinds(layout).count("LEAF") > 100
        assert set(kinds(layout)) == {"LEAF", "NONE"}
        # Segments of 1 MiB are not arm64's.
        assert read(dump, revision=revision).geometry == exact.geometry
        with pytest.raises(gmap.DumpFormatError, match="no arm64 tables"):
            read(dump, tables="arm64")


@pytest.mark.parametrize("first_gfn", [0x40000, 0x80000, 0x200400])
def test_a_sparse_gmap_is_told_from_arm64(read, first_gfn):
    """Not by its sizes: 4K pages alone. By tables that arm64 would not have kept."""
    host = gmap.SyntheticHost()
    ram = host.map(64 << 20)
    space = gmap.Gmap(host)
    space.set_memory_region(0, first_gfn << 12, ram.nbytes, ram.hva)
    space.fault_in(np.arange(first_gfn, first_gfn + 2000, 3, dtype=np.uint64), write=True)
    exact = layout_of(space)
    layout = read(gmap.ptdump(space))
    assert layout.geometry == exact.geometry
    assert gmap.profile(layout).to_dict()["levels"][0]["leaf_entries"] == 667
    assert read(gmap.ptdump(space), tables="arm64").geometry.name.startswith("arm64 stage 2")


def test_bad_entries_are_read(read):
    image = b"".join(n.to_bytes(8, "big") for n in [0x4] + [0x20] * 2047)
    space = gmap.from_bytes(image, 0x3, ipa_bits=31)
    dump = gmap.ptdump(space, "s390")
    assert dump.splitlines()[1].endswith("1M SEG                BAD")
    assert kinds(read(dump)) == ["NONE"]


# --- granules -------------------------------------------------------------------------------


def random_dump(rng, granule, ipa_bits):
    """A native stage 2 that is walked from its root: random entries, random depth."""
    page_shift = granule.bit_length() - 1
    bits = page_shift - 3
    shape = gmap.ipa.stage2_geometry(ipa_bits, granule)
    lines, expected = [], []

    def table(level, start, size):
        shift = page_shift + (3 - level) * bits
        at = start
        while at < start + size:
            step = 1 << shift
            if level < 3 and rng.random() < (0.9 if at == start and len(lines) < 50 else 0.05):
                table(level + 1, at, step)
            else:
                most = (start + size - at) >> shift
                step *= rng.randrange(1, most + 1)
                leaf = level >= (1 if granule == 4096 else 2) and rng.random() < 0.6
                text = ("   R   X AF " + ("BLK" if level < 3 else "   ")) if leaf else ""
                if not lines or lines[-1][2:] != [level, text]:
                    lines.append([at, at + step, level, text])
                lines[-1][1] = at + step
            at += step

    table(int(shape["start_level"]), 0, 1 << ipa_bits)
    text = "---[ Guest IPA ]---\n"
    for start, end, level, attributes in lines:
        text += f"0x{start:016x}-0x{end:016x}   {size_text(end - start)} {level}{attributes}\n"
        expected.append((start, end - start, 3 - level, Kind.LEAF if attributes else Kind.NONE))
    return text, expected


@pytest.mark.parametrize("granule", [4096, 16384, 65536])
@pytest.mark.parametrize("ipa_bits", [32, 36, 40, 44, 48])
def test_granules(granule, ipa_bits, read):
    rng = random.Random(granule + ipa_bits)
    for _ in range(20):
        text, expected = random_dump(rng, granule, ipa_bits)
        layout = read(text, granule=granule, address_bits=ipa_bits)
        assert rows(layout, "start", "size", "height", "kind") == expected
        assert layout.geometry.levels[0].shift == granule.bit_length() - 1
        assert layout.end == 1 << ipa_bits
        if any(height == 0 and size % (1 << 20) for _, size, height, _ in expected):
            guessed = read(text)
            assert guessed.geometry == layout.geometry


# --- files ----------------------------------------------------------------------------------


def test_compressed(tmp_path, mixed, monkeypatch):
    dump = gmap.ptdump(mixed, "s390").encode()
    paths = {"plain": dump, "a.gz": gzip.compress(dump), "a.xz": lzma.compress(dump)}
    found = []
    for name, data in paths.items():
        (tmp_path / name).write_bytes(data)
        found.append(gmap.read_ptdump(tmp_path / name).ranges)
    assert all((each == found[0]).all() for each in found)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(paths["a.gz"])))
    assert (gmap.read_ptdump("-").ranges == found[0]).all()
    (tmp_path / "cut.gz").write_bytes(paths["a.gz"][:-20])
    with pytest.raises(gmap.DumpFormatError, match=r"cut.gz:\d+: .*truncated"):
        gmap.read_ptdump(tmp_path / "cut.gz")


def test_line_ends(read):
    plain = read(STAGE2_A)
    for text in (
        STAGE2_A.replace("\n", "\r\n"),
        "\n".join(line.rstrip() for line in STAGE2_A.splitlines()),
        "\n".join(line + "  \t" for line in STAGE2_A.splitlines()),
        STAGE2_A + "\n\n",
    ):
        assert (read(text).ranges == plain.ranges).all()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("", "[    1.0] dmesg\n", "1: .* is neither"),
        ("0x0000000040200000-", "0x40200000-", "4: .* is neither"),
        ("0x0000000040200000-", "0x00000000402FF000-", "4: .* is neither"),
        ("4K 3   R", "4k 3   R", "4: .* is neither"),
        ("4K 3   R", "4K", "4: .*(is neither|level)"),
        ("           4K", "           8K", "4: '           8K' behind the range, where"),
        ("           4K", "        4096B", "4: .* is neither"),
        ("           4K", "         4K", "4: '         4K' behind the range"),
        ("4K 3", "4K PTE", "4: level 'PTE', where one of 3, 2, 1, 0, -1 belongs"),
        ("4K 3", "4K 4", "4: level '4'"),
        ("2M 2   R W X AF BLK", "2M 2   r W X AF BLK", "3: ' r' where a blank and then 'R' or ' '"),
        ("2M 2   R W X AF BLK", "2M 2  R W X AF BLK", "3: .* where a blank"),
        ("2M 2   R W X AF BLK", "2M 2   R W X AF BLK!", "3: '!' behind the attributes"),
        ("2M 2   R W X AF BLK", "2M 2   R W X AF BLK NEW", "3: ' NEW' behind the attributes"),
        ("0x0000000040200000-0x0000000040201000           4K",
         "0x0000000040100000-0x0000000040101000           4K", "4: .* starts at 0x40100000, below"),
        ("0x0000000040200000-0x0000000040201000           4K",
         "0x0000000040200000-0x0000000040200000           0K", "4: .* not above its start"),
        ("0x0000000040200000-0x0000000040201000           4K",
         "0x0000000040200400-0x0000000040201000           3K", "no arm64 tables have such"),
    ],
)  # fmt: skip
def test_malformed_lines(read, old, new, message):
    assert old in STAGE2_A
    with pytest.raises(gmap.DumpFormatError, match=message) as caught:
        read(STAGE2_A.replace(old, new, 1))
    assert "dump" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("PTE RW NX", "PTE RW", "' RW' behind the level, where one of 'I'"),
        ("PTE RW NX", "PTE R  NX", "behind the level"),
        ("PTE RW NX", "P4D RW NX", "level 'P4D'"),
        ("      1020K PTE RO", "        1020K PTE RO", "behind the range"),
    ],
)
def test_malformed_s390_lines(read, old, new, message):
    assert old in S390
    with pytest.raises(gmap.DumpFormatError, match=message):
        read(S390.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("MEM/NORMAL-TAGGED", "MEM/STRANGE", "behind the attributes"),
        ("RW NX SHD", "RW NX SHX", r"' SHX' where a blank and then 'SHD' or '   ' belongs"),
        ("PUD       RW", "PXD       RW", "level 'PXD'"),
    ],
)
def test_malformed_arm64_lines(read, old, new, message):
    with pytest.raises(gmap.DumpFormatError, match=message):
        read(ARM64.replace(old, new, 1))


def test_no_dump_at_all(read, tmp_path):
    for text in ("", "\n", "---[ Guest IPA ]---\n"):
        with pytest.raises(gmap.DumpFormatError, match="no range"):
            read(text)
    for data in (b"\xff" * 10, b"PK\x03\x04", bytes(1 << 22), "é".encode() * 5000):
        with pytest.raises(gmap.DumpFormatError, match="dump:1: "):
            read(data)
    with pytest.raises(FileNotFoundError):
        gmap.read_ptdump(tmp_path / "nothing")


@pytest.mark.parametrize(
    "options",
    [{"granule": 8192}, {"granule": "4k"}, {"address_bits": 64}, {"address_bits": 0},
     {"revision": "D"}, {"tables": "x86"}],
)  # fmt: skip
def test_bad_options(read, options):
    with pytest.raises(gmap.ConfigError, match=next(iter(options))):
        read(STAGE2_A, **options)


@pytest.mark.parametrize("options", [{"granule": 65536}, {"address_bits": 20}, {"tables": "gmap"}])
def test_options_that_do_not_fit(read, options):
    with pytest.raises(gmap.DumpFormatError, match=r"no (arm64|s390) tables|gmap"):
        read(STAGE2_A, **options)


def test_random_damage(read, mixed):
    """Whatever happens to a line, the answer is a layout or one error that names a line."""
    rng = random.Random(4)
    sources = [STAGE2_A, ARM64, S390, gmap.ptdump(mixed, "s390")[:3000],
               gmap.ptdump(mixed)[:3000]]  # fmt: skip
    refused = 0
    for i in range(400):
        text = list(sources[i % len(sources)])
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(text))
            match rng.randrange(3):
                case 0:
                    text[at] = chr(rng.choice([0, 9, 10, 32, 45, 48, 70, 120, 233]))
                case 1:
                    del text[at]
                case 2:
                    text.insert(at, rng.choice("0x-[ ]KPTE\n"))
        try:
            read("".join(text))
        except gmap.DumpFormatError:
            refused += 1
    assert refused > 200
