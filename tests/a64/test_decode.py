"""The encoding table: well formed, and what the random instructions of the tests are drawn from."""

import a64_words
import capstone
import numpy as np
import pytest

from saecore.a64.encodings import ENCODINGS, GROUPS, OPS

ROWS = a64_words.Rows(ENCODINGS)


def first_match(words):
    """The number of the row that a word is of: the first in the table, or -1."""
    found = np.full(len(words), -1)
    for number in reversed(range(len(ENCODINGS))):
        row = ENCODINGS[number]
        found[(words & np.uint32(row.mask)) == np.uint32(row.value)] = number
    return found


@pytest.mark.parametrize("row", ENCODINGS, ids=lambda row: row.key)
def test_a_row_is_well_formed(row):
    assert len(row.bits) == 32
    assert row.group in GROUPS
    # A field is one run of bits.
    for letter, (high, low) in row.fields.items():
        assert row.bits.count(letter) == high - low + 1


def test_names_are_unique():
    assert len({row.key for row in ENCODINGS}) == len(ENCODINGS)
    assert len(set(OPS)) == len(OPS)


def test_every_row_can_be_reached():
    """No row is hidden by those before it."""
    which = np.repeat(np.arange(len(ENCODINGS)), 40)
    found = first_match(ROWS.words(np.random.default_rng(1), which))
    assert set(found) == set(range(len(ENCODINGS)))


def test_random_words_are_of_their_rows():
    which = np.repeat(np.arange(len(ENCODINGS)), 10)
    words = ROWS.words(np.random.default_rng(2), which)
    masks = np.array([row.mask for row in ENCODINGS], "u4")[which]
    values = np.array([row.value for row in ENCODINGS], "u4")[which]
    assert ((words & masks) == values).all()


def test_edge_words_differ_by_one_fixed_bit():
    words = a64_words.edge_words(np.random.default_rng(3), ROWS, 2_000)
    masks = np.array([row.mask for row in ENCODINGS], "u4")
    values = np.array([row.value for row in ENCODINGS], "u4")
    distance = np.bitwise_count((words[:, None] ^ values) & masks)
    assert (distance == 1).any(axis=1).all()


def test_a_disassembler_knows_most_of_it():
    """Of words with a row, few are unknown to Capstone: fields that are reserved together."""
    engine = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_LITTLE_ENDIAN)
    which = np.repeat(np.arange(len(ENCODINGS)), 20)
    words = ROWS.words(np.random.default_rng(4), which)
    known = np.array([any(engine.disasm(int(w).to_bytes(4, "little"), 0)) for w in words])
    share = known.reshape(len(ENCODINGS), 20).any(axis=1)
    unknown = [row.key for row, ok in zip(ENCODINGS, share, strict=True) if not ok]
    assert not unknown
