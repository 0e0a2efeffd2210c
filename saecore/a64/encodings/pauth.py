"""Pointer authentication (FEAT_PAuth).

Source: Arm ARM (DDI 0487), C4.1 and C6.2. The rows in the hint space are NOPs without the feature,
and stand in front of `hint`.
"""

from saecore._defs import Feature
from saecore.a64.encodings._row import Encoding

_KEYS = {"IA": "00", "IB": "01", "DA": "10", "DB": "11"}
_ACTIONS = {"PAC": "0", "AUT": "1"}


def _row(name: str, pattern: str, note: str = "") -> Encoding:
    return Encoding(name.lower(), name, pattern, "pauth", Feature.PAUTH, note)


def _registers() -> list[Encoding]:
    rows = []
    for name, action in _ACTIONS.items():
        for key, bits in _KEYS.items():
            code = f"110 11010110 00001 00 Z {action} {bits}"
            rows.append(_row(name + key, f"{code.replace('Z', '0')} nnnnn ddddd"))
            zero = f"{name}{key[0]}Z{key[1]}"
            rows.append(_row(zero, f"{code.replace('Z', '1')} 11111 ddddd"))
    return [
        *rows,
        _row("XPACI", "110 11010110 00001 010000 11111 ddddd"),
        _row("XPACD", "110 11010110 00001 010001 11111 ddddd"),
        _row("PACGA", "100 11010110 mmmmm 001100 nnnnn ddddd"),
    ]


def _hints() -> list[Encoding]:
    """Those of fixed registers; CRm and op2 say which."""
    hint = "1101 0101 0000 0011 0010 {} {} 1 1111"
    rows = [_row("XPACLRI", hint.format("0000", "111"))]
    for name, action in _ACTIONS.items():
        for key, bit in (("IA", "0"), ("IB", "1")):
            rows += [
                _row(f"{name}{key}1716", hint.format("0001", f"{action}{bit}0")),
                _row(f"{name}{key}Z_LR", hint.format("0011", f"{action}{bit}0"))._replace(
                    title=f"{name}{key}Z"
                ),
                _row(f"{name}{key}SP", hint.format("0011", f"{action}{bit}1")),
            ]
    return rows


# k is 0 for key A and 1 for key B.
ENCODINGS: list[Encoding] = [
    *_registers(),
    *_hints(),
    _row("BRAAZ", "1101011 0 0 00 11111 00001 k nnnnn 11111"),
    _row("BRAA", "1101011 1 0 00 11111 00001 k nnnnn mmmmm"),
    _row("BLRAAZ", "1101011 0 0 01 11111 00001 k nnnnn 11111"),
    _row("BLRAA", "1101011 1 0 01 11111 00001 k nnnnn mmmmm"),
    _row("RETAA", "1101011 0 0 10 11111 00001 k 11111 11111"),
    _row("ERETAA", "1101011 0 1 00 11111 00001 k 11111 11111", "UNDEFINED at EL0"),
    _row("LDRAA", "11 111 0 00 k s 1 iiiiiiiii w 1 nnnnn ttttt"),
]

OPS: list[str] = []
