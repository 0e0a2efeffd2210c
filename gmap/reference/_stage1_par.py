"""What an AT instruction leaves in PAR_EL1, given how the walk ended.

Source: the public Arm Architecture Reference Manual, PAR_EL1 and the pseudocode of AT.
"""

from typing import Final

from gmap.reference._stage1_fields import SCTLR_C, SCTLR_I, SCTLR_M, bit, bits
from gmap.reference.stage1 import Access, Stage1Regime, Walk

#: After a success bit 9 (NS) is unknown outside Secure state and bit 10 is the
#: implementation's own; after a fault bits 63:48 are.
PAR_UNSPECIFIED: Final = 0x600
PAR_FAULT_UNSPECIFIED: Final = 0xFFFF << 48
PAR_F: Final = 1
PAR_SH: Final = 3 << 7
PAR_ATTR: Final = 0xFF << 56
PAR_PA: Final = (1 << 52) - (1 << 12)

_RES1: Final = 1 << 11
_S: Final = 1 << 9
_PTW: Final = 1 << 8

_NON_CACHEABLE: Final = 0x44
_OUTER: Final = 0b10


def effective_attributes(
    regime: Stage1Regime, walk: Walk, access: int = Access.READ
) -> tuple[int, int]:
    """Memory attributes and shareability with the cache enables of SCTLR_EL1 applied.

    Device memory, and normal memory that is not cached at all, are outer shareable whatever
    the descriptor says, and so is here the reserved shareability 1. Reserved encodings of the
    attributes are left as they are.

    >>> effective_attributes(Stage1Regime(sctlr=1), Walk(ipa=0, attr=0xFF, sh=3))
    (68, 2)
    """
    attr, sh = walk.attr, walk.sh
    cached = bit(regime.sctlr, SCTLR_I if access == Access.FETCH else SCTLR_C)
    device = bits(attr, 7, 4) == 0
    if bit(regime.sctlr, SCTLR_M):
        uncached = access == Access.FETCH if device else not cached
        attr = _NON_CACHEABLE if uncached else attr
    if bits(attr, 7, 4) == 0 or attr == _NON_CACHEABLE or sh == 1:
        sh = _OUTER
    return attr, sh


def par_el1(regime: Stage1Regime, walk: Walk) -> int:
    """PAR_EL1 after AT; the bits the architecture leaves open are 0.

    >>> hex(par_el1(Stage1Regime(), Walk(fsc=0x07, level=3)))
    '0x80f'
    """
    if walk.ipa is None:
        return PAR_F | walk.fsc << 1 | walk.s1ptw * _PTW | (walk.stage == 2) * _S | _RES1
    attr, sh = effective_attributes(regime, walk)
    return walk.ipa & PAR_PA | attr << 56 | sh << 7 | _RES1
