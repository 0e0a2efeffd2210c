"""What Unicorn does otherwise than the architecture says, rule by rule.

Unicorn 2.1 walks tables by the rules of QEMU 5.0, and QEMU has learnt since. Each rule here is
that behaviour, put into the reference, so that a case it excuses still has to come out exactly
as the rule says. Nothing is excused by leaving it out.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from gmap.reference._stage1_par import PAR_ATTR, PAR_PA, PAR_SH
from gmap.reference.stage1 import FINAL_LEVEL, Stage1Regime


class Rule(NamedTuple):
    """One difference: what Unicorn does, and what the architecture says about it."""

    name: str
    unicorn: str
    architecture: str
    source: str


RULES = [
    Rule(
        "block-at-any-level",
        "bits 1:0 = 01 are a block at every level but 3",
        "only at the levels of its granule; elsewhere a translation fault",
        "AArch64.BlockDescSupported",
    ),
    Rule(
        "block-low-bits",
        "address bits of a block below its size are or'ed into the result",
        "they are RES0 and ignored",
        "AArch64.LeafBase",
    ),
    Rule(
        "sizes-not-checked",
        "with stage 1 on, addresses in TTBRs and descriptors are not compared with TCR_EL1.IPS",
        "address size fault: level 0 for the TTBR, else that of the descriptor",
        "AArch64.OAOutOfRange",
    ),
    Rule(
        "txsz-clamped",
        "TxSZ is brought between 16 and 39",
        "the CPU chooses: clamp, or translation fault at level 0 as here",
        "AArch64.S1TxSZFaults",
    ),
    Rule(
        "tg0-reserved",
        "TG0 = 3 is 64K",
        "the CPU chooses one of its granules; here the smallest",
        "AArch64.S1DecodeTG0",
    ),
    Rule(
        "sh-as-in-descriptor",
        "PAR_EL1.SH is the descriptor's, and 0 with stage 1 off",
        "outer shareable for Device and for non-cacheable memory; 1 is reserved",
        "PAREncodeShareability",
    ),
    Rule(
        "cache-off-ignored",
        "PAR_EL1.ATTR is the byte of MAIR_EL1 whatever SCTLR_EL1.C says",
        "the CPU chooses to report that, or the attributes that result, as here",
        "AArch64.S1Translate, PAR_EL1.ATTR",
    ),
]
NAMES = frozenset(rule.name for rule in RULES)
#: The rules that are about what PAR_EL1 says of a walk, not about the walk.
OF_THE_REPORT = frozenset({"block-low-bits", "sh-as-in-descriptor", "cache-off-ignored"})
OF_THE_WALK = NAMES - OF_THE_REPORT
#: No two granules have blocks of the same size.
GRANULE_OF_BLOCK = {
    1 << granule + (granule - 3) * (FINAL_LEVEL - level): 1 << granule
    for granule in (12, 14, 16)
    for level in range(FINAL_LEVEL)
}


@dataclass(frozen=True)
class AsUnicorn(Stage1Regime):
    """The reference with some of Unicorn's rules instead of its own."""

    rules: frozenset = field(default=OF_THE_WALK, kw_only=True)

    def _params(self, upper):
        params = super()._params(upper)
        if "tg0-reserved" in self.rules and not upper and params.half.tg == 3:
            params = params._replace(granule=16)
        if "sizes-not-checked" in self.rules:
            params = params._replace(out_bits=64)
        if "txsz-clamped" in self.rules:
            half = params.half._replace(txsz=min(max(params.half.txsz, 16), 39))
            params = params._replace(half=half)
        return params

    def _may_be_block(self, params, level):
        if "block-at-any-level" in self.rules:
            return level < FINAL_LEVEL
        return super()._may_be_block(params, level)


def reported(par, walk, rules):
    """PAR_EL1 as Unicorn words the result of a walk, by those of the rules that are about it."""
    if walk.ipa is None:
        return par
    if "block-low-bits" in rules and walk.steps:
        granule = walk.size - 1 if walk.level == FINAL_LEVEL else GRANULE_OF_BLOCK[walk.size] - 1
        par |= walk.steps[-1].descriptor & (walk.size - 1) & ~granule & PAR_PA
    if "cache-off-ignored" in rules:
        par = par & ~PAR_ATTR | walk.attr << 56
    if "sh-as-in-descriptor" in rules:
        par = par & ~PAR_SH | (walk.sh if walk.steps else 0) << 7
    return par
