"""Options of the instruction set on this processor and on Unicorn: crypto, pointer
authentication with keys and all of its enables, flags, ordered loads and stores."""

import a64_rules
import numpy as np
import pytest
from a64_judge import Bench, Tally
from a64_sae import Ours
from a64_state import SETUPS, SLOTS, TCR, Image, Setup
from a64_unicorn import Theirs
from a64_words import Rows

from saecore._defs import SCTLR_PAUTH, Feature
from saecore.a64.encodings import ENCODINGS

_FLAGS_AND_ORDER = Feature.FLAGM | Feature.FLAGM2 | Feature.LRCPC2
GROUPS = {
    "crypto": Rows([row for row in ENCODINGS if row.group == "crypto"]),
    # ADD changes what is signed.
    "pauth": Rows([row for row in ENCODINGS if row.group == "pauth" or row.key == "ADD_IMM"]),
    "others": Rows([row for row in ENCODINGS if (row.feature or Feature(0)) & _FLAGS_AND_ORDER]),
}
#: What no program ends with unless it goes where nobody counts.
_UNCOUNTED = {"braa", "braaz", "blraa", "blraaz", "retaa", "eretaa"}
#: Of both halves: where only one has tags, Unicorn looks at bit 63 of some pointers for bit 55.
TAGS = {"no tags": 0, "tags": 3 << 37, "tags of data": 3 << 37 | 3 << 51}


class WithKeys(Setup):
    """Keys in all ten registers."""

    def registers(self, root):
        values = np.random.default_rng(5).integers(0, 1 << 64, 10, dtype="u8").tolist()
        places = [(3, 0, 2, crm, op2) for crm, n in ((1, 4), (2, 4), (3, 2)) for op2 in range(n)]
        return [*zip(places, values, strict=True), *super().registers(root)]


class Pointers(Bench):
    """Most registers hold what can be an address: of what is signed else, Unicorn says too much."""

    def run(self, programs, states, pristine):
        states = states.copy()
        for number in set(range(31)) - {7}:
            values = states["x"][:, number]
            values[:] = (values.view("i8") << 16 >> 16).view("u8")
        return super().run(programs, states, pristine)


def bench(rows, tags=0):
    image = Image()
    setup = WithKeys(sctlr=SETUPS["open"].sctlr | SCTLR_PAUTH, tcr=TCR | tags)
    ours = Ours(setup, image, "max", without=("SSBS", "DIT", "EPAN", "LVA"))
    kind = Pointers if rows is GROUPS["pauth"] else Bench
    return kind(ours, Theirs("max", setup, image), rows, a64_rules.RULES)


def campaign(judge, seed, insns):
    tally, rng = Tally(), np.random.default_rng(seed)
    while tally.insns < insns and not tally.unexplained:
        length = 2 if isinstance(judge, Pointers) else None
        judge.batch(rng, tally, SLOTS, length=length)
    assert not tally.unexplained, tally.report()
    assert set(tally.rows) | _UNCOUNTED >= {row.key for row in judge.rows.rows}
    return tally


@pytest.mark.parametrize("group", ["crypto", "others"])
def test_programs_agree(group):
    campaign(bench(GROUPS[group]), 1, 2_000)


@pytest.mark.parametrize("tags", TAGS)
def test_signed_pointers_agree(tags):
    campaign(bench(GROUPS["pauth"], TAGS[tags]), 2, 2_000)


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("group", "tags", "insns"),
    [("crypto", "no tags", 3_000_000), ("others", "no tags", 1_000_000),
     *(("pauth", tags, 500_000) for tags in TAGS)],
)  # fmt: skip
def test_campaign(group, tags, insns):
    """More than five million instructions in all."""
    print(campaign(bench(GROUPS[group], TAGS[tags]), 1000, insns).report())
