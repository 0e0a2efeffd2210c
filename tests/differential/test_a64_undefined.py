"""Random words: this processor and Unicorn agree on which are instructions."""

from collections import Counter

import numpy as np
import pytest
from a64_models import MODELS
from a64_sae import Ours
from a64_state import SETUPS, Image
from a64_undefined import THEIRS_ONLY, compare, random_words
from a64_unicorn import Theirs
from a64_words import Rows

from saecore.a64.encodings import ENCODINGS

ROWS = Rows(ENCODINGS)
MAX_ONLY = {"sve", "half-size", "half-immediate", "later"}


def machines(cpu, ours=Ours):
    image, setup = Image(), SETUPS["open"]
    return ours(setup, image, **MODELS[cpu]), Theirs(cpu, setup, image)


def spaces(cpu):
    """An Armv8.0 processor has to know exactly what Unicorn's Cortex-A57 does."""
    return [s for s in THEIRS_ONLY if cpu == "max" or s.name not in MAX_ONLY]


@pytest.mark.parametrize("cpu", MODELS)
@pytest.mark.parametrize("el", [0, 1])
def test_random_words(cpu, el):
    words = random_words(np.random.default_rng(5 + el), ROWS, 6_000)
    _, left = compare(*machines(cpu), words, el, spaces(cpu))
    assert not left, [(hex(word), undefined) for word, undefined in left[:20]]


@pytest.mark.campaign
@pytest.mark.parametrize("cpu", MODELS)
@pytest.mark.parametrize("el", [0, 1])
def test_campaign_of_words(cpu, el):
    """Ten million in all."""
    pair, total = machines(cpu), Counter()
    for seed in range(25):
        words = random_words(np.random.default_rng([6, el, seed]), ROWS, 100_000)
        explained, left = compare(*pair, words, el, spaces(cpu))
        assert not left, [(hex(word), undefined) for word, undefined in left[:20]]
        total += explained
    print(total)
    assert cpu != "max" or set(total) >= MAX_ONLY - {"later"}


class KnowsTooMuch(Ours):
    """Takes one unallocated word for NOP."""

    def load(self, address, words):
        words = np.asarray(words, "u4").copy()
        words[words & np.uint32(0xFF000000) == 0x4B000000] = 0xD503201F
        super().load(address, words)


def test_a_word_too_many_is_found():
    words = np.arange(0x4B00_8000, 0x4B00_9000, 16, dtype="u4")  # SUB, shifted by 32 and more
    assert not compare(*machines("a57"), words, 1)[1]
    assert compare(*machines("a57", KnowsTooMuch), words, 1)[1]
