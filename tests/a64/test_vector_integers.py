"""Integer instructions of vectors against exact integers, every row of the table, every size."""

import a64_integers
import numpy as np
import pytest
from a64_words import Rows
from bare_guest import CODE, DATA, EL1H, BareGuest

from saecore import cpu_model
from saecore._defs import Feature
from saecore.a64.encodings import ENCODINGS

ROWS = [row for row in ENCODINGS if row.group == "vector"]
FPSR_QC = 1 << 27
WORDS = 40
EDGES = {
    bits: np.array([0, 1, 2, top, top - 1, top >> 1, (top >> 1) + 1, (top >> 1) + 2], "u8")
    for bits, top in ((bits, (1 << bits) - 1) for bits in (8, 16, 32, 64))
}


def registers(rng, count):
    """`count` times 32 registers, most elements at the edges of their types: (count, 32, 2)."""
    value = rng.integers(0, 1 << 64, (count, 32, 2), "u8", endpoint=False)
    for number, (bits, edges) in enumerate(EDGES.items()):
        shape = (count, 32, 2, 64 // bits)
        places = np.arange(0, 64, bits, dtype="u8")
        found = (rng.choice(edges, shape) << places).sum(axis=3, dtype="u8")
        at = rng.integers(0, 5, (count, 32)) == number
        value[at] = found[at]
    # Shifts of registers are by signed bytes: mostly near the elements' sizes.
    by = rng.integers(-66, 67, (count, 32, 2, 4)).astype("u8") & np.uint64(0xFFFF)
    near = (by << np.arange(0, 64, 16, dtype="u8")).sum(axis=3, dtype="u8")
    at = rng.random((count, 32)) < 0.15
    value[at] = near[at]
    return value


class Vectors(BareGuest):
    """A processor with all features that executes instructions one by one."""

    def __init__(self):
        super().__init__(cpu_model()._replace(flags=~Feature(0)))
        self.at = DATA

    def execute(self, words, values, fpsr):
        """Registers and FPSR after each of `words` on its own; None where it is UNDEFINED."""
        first = self.at
        self.at += 4 * len(words)
        self.words[(first - CODE) // 4 :][: len(words)] = words
        p, found = self.processor, []
        reset = list(self.model.reset_values().values())
        p.save_area["regs"][: len(reset)] = reset
        p.save_area["regs"][list(self.model.reset_values()).index("CPACR_EL1")] = 3 << 20
        for number, value in enumerate(values):
            p.block["pc"], p.block["pstate"], p.block["fpsr"] = first + 4 * number, EL1H, fpsr
            p.vregs[:] = value
            p.lasrm()
            p.sae(1)
            p.stiasrm()
            fine = int(p.block["pc"]) == first + 4 * number + 4
            found.append((p.vregs.copy(), int(p.block["fpsr"])) if fine else None)
        return found


@pytest.fixture(scope="module")
def vectors():
    return Vectors()


def own_words(rng, row, count):
    """Words that are of no row in front of this one."""
    words = Rows([row]).words(rng, np.zeros(count, int))
    for before in ENCODINGS[: ENCODINGS.index(row)]:
        words = words[(words & np.uint32(before.mask)) != np.uint32(before.value)]
    return words


def whole(value):
    return [int(low) | int(high) << 64 for low, high in value]


def check(vectors, row, seed, count):
    rng = np.random.default_rng([seed, *row.key.encode()])
    words = own_words(rng, row, count)
    values = registers(rng, len(words))
    fpsr = int(rng.choice([0, 0x9F]))
    defined = 0
    for word, value, came in zip(
        words.tolist(), values, vectors.execute(words, values, fpsr), strict=True
    ):
        before = whole(value)
        wanted = a64_integers.expected(row, word, before)
        if wanted is None:
            assert came is None, f"{word:#x} should be UNDEFINED"
            continue
        defined += 1
        before[word & 31] = wanted[0]
        assert came is not None, f"{word:#x} should be defined"
        assert whole(came[0]) == before, hex(word)
        assert came[1] == fpsr | FPSR_QC * wanted[1], hex(word)
    assert defined > count // 20


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_against_exact_integers(vectors, row):
    check(vectors, row, 7, WORDS)


@pytest.mark.campaign
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_campaign_against_exact_integers(row):
    check(Vectors(), row, 8, 100 * WORDS)


def test_saturation_is_remembered(vectors):
    """Nothing but MSR clears FPSR.QC."""
    add = 0x4E208400  # ADD V0.16B, V0.16B, V0.16B
    [(_, fpsr)] = vectors.execute([add], np.zeros((1, 32, 2), "u8"), FPSR_QC)
    assert fpsr == FPSR_QC
