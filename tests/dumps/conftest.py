"""Address spaces with entries of all kinds, and a writer that goes entry by entry."""

import numpy as np
import pytest

import gmap

MIB = 1 << 20


def guest(ipa_bits=40, allow_2g=True, log=True, host=None):
    """4 KiB, 1 MiB and 2 GiB leaves, clean, dirty and aged, empty entries and holes."""
    host = host or gmap.SyntheticHost(hamaxpow=63)
    space = gmap.Gmap(host, ipa_bits, allow_2g=allow_2g)
    slots = [(0, 4 << 30, "2g"), (6 << 30, 64 * MIB, "1m"), (10 << 30, 8 * MIB + 4096, "4k")]
    for slot, (base, nbytes, folio) in enumerate(slots):
        region = host.map(nbytes, folio=folio)
        space.set_memory_region(slot, base, nbytes, region.hva, int(log))
    space.fault_in(0)
    space.fault_in([(6 << 18) + 256 * n for n in range(0, 64, 3)])
    space.fault_in([(6 << 18) + 256 * n for n in range(1, 64, 3)], write=True)
    space.fault_in((10 << 18) + np.arange(0, 2049, 3), write=True)
    space.fault_in((10 << 18) + np.arange(1, 2049, 3))
    space.age(6 << 18, 2048)
    space.age((10 << 18) + 512, 700)
    space.get_dirty_log(2)
    return space


@pytest.fixture(scope="module")
def mixed():
    return guest()


# --- the slow way ---------------------------------------------------------------------------


def entries(space):
    """(start, end, level, entry, pgste) of every entry that leads to no table, ascending."""
    tables = space.tables()
    top = max(level for level, _ in tables)

    def below(level, gfn):
        table = tables[level, gfn].tolist()
        if level < 0:
            for i in range(256):
                yield gfn + i, gfn + i + 1, level, table[i], table[256 + i]
            return
        size = 256 * 2048**level
        for i, entry in enumerate(table):
            start = gfn + i * size
            leaf = entry & 0x400 and level <= 1
            if (level - 1, start) in tables and not entry & 0x20 and not leaf:
                yield from below(level - 1, start)
            else:
                yield start, start + size, level, entry, 0

    last = space.guest_phys_size >> 12
    for start, end, level, entry, pgste in below(top, 0):
        if start < last:
            yield start << 12, min(end, last) << 12, level, entry, pgste


def bits_of(level, entry, pgste):
    """The bits of an entry by the names of ptdump.md section 5, or None of an absent one."""
    if level < 0:
        places = {"i": 0x400, "p": 0x200, "iep": 0x100, "s": 0x40, "w": 0x20, "d": 8, "y": 4,
                  "sd": 2, "pr": 1}  # fmt: skip
        fc = 0
    else:
        places = {"i": 0x20, "p": 0x200, "iep": 0x100, "s": 0x8000, "w": 0x4000, "d": 0x1000,
                  "y": 0x800, "sd": 2, "pr": 1}  # fmt: skip
        fc = entry & 0x400
    bits = {name: bool(entry & mask) for name, mask in places.items()}
    bits["fc"] = bool(fc)
    if bits["i"] and not fc and not bits["pr"]:
        return None
    return bits


def size_text(nbytes):
    units = ["K", "M", "G", "T", "P", "E"]
    size = nbytes // 1024
    while size % 1024 == 0 and len(units) > 1:
        size //= 1024
        units.pop(0)
    return f"{size:>9}{units[0]}"


def slow_dump(space, line_of):
    """A dump, `line_of(level, entry, pgste)` giving (what must agree to merge, text)."""
    lines = []
    for start, end, level, entry, pgste in entries(space):
        key, text = line_of(level, entry, pgste)
        if lines and lines[-1][2] == (level, key):
            lines[-1][1] = end
        else:
            lines.append([start, end, (level, key), text])
    out = ["---[ Guest IPA ]---"]
    out += [f"0x{start:016x}-0x{end:016x}   {size_text(end - start)} {text}"
            for start, end, _, text in lines]  # fmt: skip
    return "\n".join(out) + "\n"


def slow_s390(details):
    names = ["PTE", "SEG", "RG3", "RG2", "RG1"]

    def line_of(level, entry, pgste):
        name = names[level + 1]
        bits = bits_of(level, entry, pgste)
        if bits is None:
            token = "HOLE" if entry >> 48 else "NONE"
            blank = " " * (13 + 15 * details)
            return (token, entry >> 32), f"{name} F{blank} {token}"
        usable = not bits["i"]
        columns = [
            ("R", usable and bits["pr"]),
            ("W", usable and bits["w"] and not bits["p"]),
            ("X", usable and not bits["iep"]),
            ("AF", usable and bits["y"]),
            ("BLK", usable and bits["fc"]),
        ]
        if details:
            prefix = pgste & 0x4000 if level < 0 else entry & 0x80
            vsie = pgste & 0x2000 if level < 0 else entry & 0x40
            columns += [
                ("D", usable and bits["d"]),
                ("SD", usable and bits["sd"]),
                ("S", usable and bits["s"]),
                ("P", usable and bits["p"]),
                ("PN", usable and prefix),
                ("VS", usable and vsie),
            ]
        text = "".join(" " + (word if set_ else " " * len(word)) for word, set_ in columns)
        seen = ["i", "pr", "w", "p", "iep", "y", "fc"] + ["d", "sd", "s"] * details
        return tuple(bits[name] for name in seen), f"{name} {' ' if usable else 'F'}{text}"

    return line_of


def slow_kernel(revision):
    def line_of(level, entry, pgste):
        name = str(2 - level)
        bits = bits_of(level, entry, pgste)
        if bits is None:
            return None, name
        valid = not bits["i"]
        r, w, x, af = bits["pr"], bits["w"] and not bits["p"], not bits["iep"], bits["y"]
        blk = bits["fc"] and valid
        if revision != "C":
            text = ["R" if r and valid else " ", "W" if w and valid else " "]
            allowed, forbidden = ("X", " ") if revision == "A" else (" ", "X")
            text += [allowed if x and valid else forbidden, "AF" if af and valid else "  "]
        else:
            text = ["R" if r else " ", "W" if w else " ", "px ux " if x else "PXNUXN"]
            text += ["AF" if af else "  "]
        text += ["BLK" if blk else "   "]
        key = (valid, r, w, x, af, bits["fc"])
        return key, " ".join([name, " " if valid else "F", *text])

    return line_of
