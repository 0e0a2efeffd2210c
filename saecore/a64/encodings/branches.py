"""Branches. Exception returns are among the system instructions."""

from saecore.a64.encodings._row import Encoding
from saecore.a64.encodings.data import CONDITIONS


def _row(key: str, title: str, pattern: str) -> Encoding:
    return Encoding(key, title, pattern, "branch")


ENCODINGS: list[Encoding] = [
    _row("B", "B", "000101 iiiiiiiiiiiiiiiiiiiiiiiiii"),
    _row("BL", "BL", "100101 iiiiiiiiiiiiiiiiiiiiiiiiii"),
    _row("B_COND", "B.cond", "01010100 iiiiiiiiiiiiiiiiiii 0 cccc"),
    _row("CBZ", "CBZ", "f011010 0 iiiiiiiiiiiiiiiiiii ttttt"),
    _row("CBNZ", "CBNZ", "f011010 1 iiiiiiiiiiiiiiiiiii ttttt"),
    _row("TBZ", "TBZ", "b011011 0 nnnnn iiiiiiiiiiiiii ttttt"),
    _row("TBNZ", "TBNZ", "b011011 1 nnnnn iiiiiiiiiiiiii ttttt"),
    _row("BR", "BR", "1101011 0000 11111 000000 nnnnn 00000"),
    _row("BLR", "BLR", "1101011 0001 11111 000000 nnnnn 00000"),
    _row("RET", "RET", "1101011 0010 11111 000000 nnnnn 00000"),
]

#: What a conditional branch is run together with, if it is the instruction before.
_FORMS = [f"{w}_{form}" for w in "wx" for form in ("imm", "reg")]
FUSED = [f"{name}_{form}" for name in ("subs", "ands") for form in _FORMS]
#: The same of those that write no register.
COMPARED = {f"subs_{form}": f"cmp_{form}" for form in _FORMS}

#: `b` also ends a block that is cut off. Operations with a BTYPE are for processors with FEAT_BTI.
OPS: list[str] = [
    "b", "bl", "br", "blr", "ret", "br_btype1", "br_btype3", "blr_btype2",
    "tbz", "tbnz", "cbz_w", "cbz_x", "cbnz_w", "cbnz_x",
    *(f"b_{c}" for c in CONDITIONS),
    *(f"{name}_b_{c}" for name in (*FUSED, *COMPARED.values()) for c in CONDITIONS),
]
