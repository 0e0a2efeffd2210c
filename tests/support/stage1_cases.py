"""Random stage-1 tables, registers and addresses, made to reach every way a walk can end.

One batch is one piece of guest memory full of descriptors that point back into it, so that
every table may be any level of any walk, and a list of register sets with addresses for each.
Most fields are sensible most of the time: a walk of four levels has to survive four of them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

DOCS = Path(__file__).parents[2] / "docs"

TABLE = 1 << 16  # one table of the largest granule
TABLES = 16
BYTES = TABLE * TABLES

#: ID_AA64MMFR0_EL1 to ID_AA64MMFR2_EL1 of CPUs worth asking.
CPUS = {
    # PARange 48 bits, every granule, hardware AF and dirty state, HPD, PAN with EPAN, ST.
    "default": (0x5 | 1 << 20, 0x2 | 1 << 12 | 3 << 20, 1 << 28),
    # The same with E0PD, 52-bit LPA and LVA, LPA2 for 4K and 16K.
    "52-bit": (0x6 | 2 << 20 | 1 << 28, 0x2 | 1 << 12 | 3 << 20, 1 << 28 | 1 << 16 | 1 << 60),
    # LPA without LVA and LPA2; the access flag only; PAN without EPAN.
    "lpa": (0x6 | 1 << 20, 0x1 | 1 << 12 | 2 << 20, 0),
    # As little as there is: 40 bits, 64K tables alone, none of the extensions.
    "small": (0x2 | 0xF << 28, 0, 0),
    # Unicorn's "max": 44 bits, HPD, PAN. It walks 16K tables without announcing them.
    "unicorn": (0x4 | 1 << 20, 1 << 12 | 2 << 20, 0),
}

PA_BITS = [32, 36, 40, 42, 44, 48, 52, 56]
TG0 = {12: 0, 14: 2, 16: 1}
TG1 = {12: 2, 14: 1, 16: 3}
MAIR_BYTES = [0x00, 0x04, 0x08, 0x0C, 0x44, 0x4F, 0xBB, 0xFF, 0xFF, 0xFF, 0xEE, 0xAA, 0x77, 0xF4]
REGISTERS = ("ttbr0", "ttbr1", "tcr", "mair", "sctlr", "pan")


@dataclass(frozen=True)
class Batch:
    """Guest memory, and what to ask of it.

    Attributes
    ----------
    base : int
        IPA of the memory; outside it reads give 0.
    words : ndarray of uint64
        The memory, as little-endian words.
    registers : list of dict
        Values for ``Stage1Regime``: ttbr0, ttbr1, tcr, mair, sctlr, pan.
    vas : ndarray of uint64, shape (registers, addresses)
    mmfr : dict
        mmfr0, mmfr1 and mmfr2 for ``Stage1Regime``.
    """

    base: int
    words: np.ndarray
    registers: list
    vas: np.ndarray
    mmfr: dict

    def rows(self):
        """Each register set with the list of its addresses."""
        return zip(self.registers, self.vas.tolist(), strict=True)


class Memory:
    """The memory of a batch as a table walker wants it. Outside, words are 0 and stay 0."""

    def __init__(self, batch):
        self.base = batch.base
        self.words = batch.words.tolist()

    def read(self, ipa):
        index = (ipa - self.base) >> 3
        return self.words[index] if 0 <= index < len(self.words) else 0

    def cas(self, ipa, old, new):
        if self.read(ipa) != old:
            return False
        self.words[(ipa - self.base) >> 3] = new
        return True


def make(seed, cpu="default", registers=64, addresses=16):
    """A batch from a seed; the same seed gives the same batch."""
    rng = np.random.default_rng(seed)
    mmfr = dict(zip(("mmfr0", "mmfr1", "mmfr2"), CPUS[cpu], strict=True))
    layout = _layout(rng, mmfr)
    base = _base(rng, layout)
    words = _descriptors(rng, base, layout)
    big_endian = rng.random() < 0.15
    sets = [_registers(rng, base, layout, big_endian) for _ in range(registers)]
    vas = np.array([[_address(rng, s, layout) for _ in range(addresses)] for s in sets], "u8")
    return Batch(base, words.byteswap() if big_endian else words, sets, vas, mmfr)


def _pick(rng, values):
    """One of some Python integers, which may be too large for NumPy's choice."""
    return values[rng.integers(len(values))]


def _layout(rng, mmfr):
    """Where descriptors of this batch keep address bits 51:48, and which granules fit that."""
    pa_bits = PA_BITS[mmfr["mmfr0"] & 15]
    tgran4, tgran16 = mmfr["mmfr0"] >> 28 & 15, mmfr["mmfr0"] >> 20 & 15
    granules = [16] + [12] * (tgran4 < 2) + [14] * (tgran16 in (1, 2))
    layouts = [("48", [g for g in granules if g != 16 or pa_bits < 52] or granules)]
    if pa_bits >= 52:
        layouts.append(("64K", [16]))
    if tgran4 == 1 or tgran16 == 2:
        layouts.append(("ds", [12] * (tgran4 == 1) + [14] * (tgran16 == 2)))
    name, granules = _pick(rng, layouts)
    return {
        "name": name,
        "pa_bits": pa_bits if name != "48" else min(pa_bits, 48),
        "granules": granules,
        "small_tables": bool(mmfr["mmfr2"] >> 28 & 15),
        "lva": bool(mmfr["mmfr2"] >> 16 & 15),
    }


def _base(rng, layout):
    """Low memory mostly; else just below an output size, or anywhere."""
    top = 1 << layout["pa_bits"]
    sizes = [1 << n for n in PA_BITS if 1 << n <= top]
    kind = rng.random()
    if kind < 0.55:
        return 0x4000_0000
    if kind < 0.8:
        return _pick(rng, sizes) - BYTES
    return int(rng.integers(0x100, top // TABLE - TABLES)) * TABLE


def _descriptors(rng, base, layout):
    """Words for all of the memory, little-endian values."""
    n = BYTES // 8
    chance = rng.random(n)
    address = np.uint64(base) + rng.integers(0, TABLES, n, dtype="u8") * np.uint64(TABLE)
    inside = rng.integers(0, 16, n, dtype="u8") << np.uint64(12)  # 4K and 16K tables
    address += np.where(rng.random(n) < 0.3, inside, np.uint64(0))
    anywhere = rng.integers(0, 1 << layout["pa_bits"], n, dtype="u8") >> rng.integers(
        0, layout["pa_bits"] - 12, n, dtype="u8"
    )
    address = np.where(chance < 0.1, anywhere, address)
    too_high = np.uint64(1) << rng.integers(30, 52, n, dtype="u8")
    address |= np.where(chance > 0.96, too_high, np.uint64(0))

    word = _packed(rng, address, layout)
    kinds = rng.choice(np.array([3, 1, 0, 2], "u8"), n, p=[0.74, 0.14, 0.08, 0.04])
    low = rng.integers(0, 1 << 10, n, dtype="u8") << np.uint64(2)
    if layout["name"] == "ds":
        low &= ~np.uint64(3 << 8)
    else:  # the reserved shareability less often
        low |= np.where(rng.random(n) < 0.8, np.uint64(2 << 8), np.uint64(0))
    low |= np.where(rng.random(n) < 0.75, np.uint64(1 << 10), np.uint64(0))
    high = np.zeros(n, "u8")
    for bit, p in [(50, 0.1), (51, 0.4), (52, 0.2), (53, 0.25), (54, 0.25), (55, 0.5), (58, 0.2),
                   (59, 0.12), (60, 0.12), (61, 0.12), (62, 0.12), (63, 0.2)]:
        high |= np.where(rng.random(n) < p, np.uint64(1) << np.uint64(bit), np.uint64(0))
    return word | kinds | low | high


def _packed(rng, address, layout):
    """An address as descriptors hold it; now and then a reserved bit beside it."""
    word = address & np.uint64((1 << 48) - (1 << 12))
    top = address >> np.uint64(48) & np.uint64(15)
    if layout["name"] == "64K":
        return word & ~np.uint64(0xF000) | top << np.uint64(12)
    if layout["name"] == "ds":
        return word | (top & np.uint64(3)) << np.uint64(48) | (top >> np.uint64(2)) << np.uint64(8)
    stray = rng.integers(0, 4, len(word), dtype="u8") << np.uint64(48)
    return word | np.where(rng.random(len(word)) < 0.05, stray, np.uint64(0))


def _registers(rng, base, layout, big_endian):
    def flag(p):
        return int(rng.random() < p)

    wide = layout["name"] != "48"
    enough = next(n for n, size in enumerate(PA_BITS) if base + BYTES <= 1 << size)
    if wide and rng.random() < 0.8:
        enough = 6
    tcr = (enough if rng.random() < 0.7 else int(rng.integers(0, 8))) << 32
    for shift, tg in ((0, TG0), (16, TG1)):
        granule = _pick(rng, layout["granules"] if rng.random() < 0.93 else [12, 14, 16])
        code = tg[granule] if rng.random() < 0.97 else int(rng.integers(0, 4))
        tcr |= _txsz(rng, granule, layout) << shift
        tcr |= flag(0.02) << shift + 7
        tcr |= int(rng.integers(0, 64)) << shift + 8  # IRGN, ORGN, SH
        tcr |= code << shift + 14
        upper = shift // 16
        tcr |= flag(0.4) << 37 + upper | flag(0.3) << 41 + upper | flag(0.1) << 55 + upper
    tcr |= flag(0.5) << 39 | flag(0.6) << 40 | flag(0.5) << 36 | flag(0.5) << 22
    tcr |= int(rng.integers(0, 256)) << 43 if flag(0.2) else 0  # HWU: ignored here
    tcr |= flag(0.95 if layout["name"] == "ds" else 0.05) << 59

    sctlr = flag(0.96) | flag(0.85) << 2 | flag(0.7) << 12 | flag(0.3) << 19 | flag(0.5) << 23
    sctlr |= (big_endian ^ flag(0.03)) << 25 | flag(0.4) << 57
    mair = sum(
        (_pick(rng, MAIR_BYTES) if rng.random() < 0.9 else int(rng.integers(0, 256))) << 8 * n
        for n in range(8)
    )
    return {
        "ttbr0": _ttbr(rng, base, wide),
        "ttbr1": _ttbr(rng, base, wide),
        "tcr": tcr,
        "mair": mair,
        "sctlr": sctlr,
        "pan": bool(flag(0.5)),
    }


def _txsz(rng, granule, layout):
    """A size, often one at which the start level changes, sometimes one that is not allowed."""
    least = 12 if layout["name"] == "ds" or (granule == 16 and layout["lva"]) else 16
    most = (48 - (granule == 16)) if layout["small_tables"] else 39
    kind = rng.random()
    if kind < 0.06:
        return _pick(rng, [0, 5, least - 1, most + 1, 48, 49, 63])
    if kind < 0.35:
        stride = granule - 3
        changes = [64 - granule - stride * n + off for n in range(1, 6) for off in (0, 1)]
        inside = [size for size in (*changes, least, most) if least <= size <= most]
        return _pick(rng, inside)
    return int(rng.integers(least, most + 1))


def _ttbr(rng, base, wide):
    address = base + int(rng.integers(0, TABLES)) * TABLE
    kind = rng.random()
    if kind < 0.3:
        address += int(rng.integers(0, TABLE >> 6)) << 6
    elif kind < 0.34:
        address |= 1 << int(rng.integers(32, 52))
    ttbr = address & ((1 << 48) - 1) | int(rng.integers(0, 1 << 16)) << 48  # ASID
    if wide:
        ttbr |= address >> 48 << 2
    elif kind > 0.95:
        ttbr |= int(rng.integers(0, 64))
    return ttbr | int(rng.integers(0, 2))  # CnP


def _address(rng, registers, layout):
    """An address of either half, usually inside it, often at one of its edges."""
    upper = int(rng.integers(0, 2))
    txsz = registers["tcr"] >> 16 * upper & 63
    kind = rng.random()
    if not registers["sctlr"] & 1 and kind < 0.7:
        upper = int(kind < 0.1)
        txsz = 64 - layout["pa_bits"]
    va = int(rng.integers(0, 1 << 64, dtype="u8"))
    inside = (1 << 64 - txsz) - 1
    if kind > 0.97:
        return va & (1 << 64) - 1
    va &= inside
    if kind > 0.93:
        va = _pick(rng, [0, inside, inside - 7, inside >> 1])
    elif kind > 0.9:
        va |= 1 << int(rng.integers(0, 64))  # outside, if it is above the size
    if upper:
        va |= ~inside & ((1 << 64) - 1)
    if rng.random() < (0.5 if registers["tcr"] >> 37 + upper & 1 else 0.03):
        va ^= int(rng.integers(0, 256)) << 56  # a tag, which TBI makes harmless
    return va & (1 << 64) - 1
