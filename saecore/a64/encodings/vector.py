"""Advanced SIMD on integers: vectors, single elements of them, and vectors by one element.

What an encoding does is in `include/sae_vector_table.h`, an entry for each key here. A size of
elements that an instruction does not have is missing there; here the row has a note.

Source: Arm ARM (DDI 0487), C4.1 and C7.2.
"""

from saecore._defs import Feature
from saecore.a64.encodings._row import Encoding

#: The size bits of elements of 8 (B), 16 (H), 32 (S) and 64 (D) bits. Where no pattern says it
#: exactly, the row has a note.
_SIZES = {
    "B": "00",
    "H": "01",
    "S": "10",
    "D": "11",
    "BH": "0z",
    "HS": "zz",
    "BHS": "zz",
    "BHSD": "zz",
}
#: Families: opcode, name with U=0 and with U=1, sizes of the elements of vectors, and of those
#: that are also done one at a time. First, three registers of one arrangement.
_SAME = [
    ("00000", "SHADD UHADD", "BHS", ""),
    ("00001", "SQADD UQADD", "BHSD", "BHSD"),
    ("00010", "SRHADD URHADD", "BHS", ""),
    ("00100", "SHSUB UHSUB", "BHS", ""),
    ("00101", "SQSUB UQSUB", "BHSD", "BHSD"),
    ("00110", "CMGT CMHI", "BHSD", "D"),
    ("00111", "CMGE CMHS", "BHSD", "D"),
    ("01000", "SSHL USHL", "BHSD", "D"),
    ("01001", "SQSHL UQSHL", "BHSD", "BHSD"),
    ("01010", "SRSHL URSHL", "BHSD", "D"),
    ("01011", "SQRSHL UQRSHL", "BHSD", "BHSD"),
    ("01100", "SMAX UMAX", "BHS", ""),
    ("01101", "SMIN UMIN", "BHS", ""),
    ("01110", "SABD UABD", "BHS", ""),
    ("01111", "SABA UABA", "BHS", ""),
    ("10000", "ADD SUB", "BHSD", "D"),
    ("10001", "CMTST CMEQ", "BHSD", "D"),
    ("10010", "MLA MLS", "BHS", ""),
    ("10011", "MUL -", "BHS", ""),
    ("10011", "- PMUL", "B", ""),
    ("10100", "SMAXP UMAXP", "BHS", ""),
    ("10101", "SMINP UMINP", "BHS", ""),
    ("10110", "SQDMULH SQRDMULH", "HS", "HS"),
    ("10111", "ADDP -", "BHSD", ""),
]
#: Three registers, where elements are twice as wide in one or two of them. Sizes are of the
#: narrow ones, here and below.
_DIFFERENT = [
    ("0000", "SADDL UADDL", "BHS", ""),
    ("0001", "SADDW UADDW", "BHS", ""),
    ("0010", "SSUBL USUBL", "BHS", ""),
    ("0011", "SSUBW USUBW", "BHS", ""),
    ("0100", "ADDHN RADDHN", "BHS", ""),
    ("0101", "SABAL UABAL", "BHS", ""),
    ("0110", "SUBHN RSUBHN", "BHS", ""),
    ("0111", "SABDL UABDL", "BHS", ""),
    ("1000", "SMLAL UMLAL", "BHS", ""),
    ("1001", "SQDMLAL -", "HS", "HS"),
    ("1010", "SMLSL UMLSL", "BHS", ""),
    ("1011", "SQDMLSL -", "HS", "HS"),
    ("1100", "SMULL UMULL", "BHS", ""),
    ("1101", "SQDMULL -", "HS", "HS"),
    ("1110", "PMULL -", "B", ""),
]
_TWO = [
    ("00000", "REV64 -", "BHS", ""),
    ("00000", "- REV32", "BH", ""),
    ("00001", "REV16 -", "B", ""),
    ("00010", "SADDLP UADDLP", "BHS", ""),
    ("00011", "SUQADD USQADD", "BHSD", "BHSD"),
    ("00100", "CLS CLZ", "BHS", ""),
    ("00101", "CNT NOT", "B", ""),
    ("00101", "- RBIT", "H", ""),
    ("00110", "SADALP UADALP", "BHS", ""),
    ("00111", "SQABS SQNEG", "BHSD", "BHSD"),
    ("01000", "CMGT_zero CMGE_zero", "BHSD", "D"),
    ("01001", "CMEQ_zero CMLE_zero", "BHSD", "D"),
    ("01010", "CMLT_zero -", "BHSD", "D"),
    ("01011", "ABS NEG", "BHSD", "D"),
    ("10010", "XTN -", "BHS", ""),
    ("10010", "- SQXTUN", "BHS", "BHS"),
    ("10011", "- SHLL", "BHS", ""),
    ("10100", "SQXTN UQXTN", "BHS", "BHS"),
    ("11100", "URECPE URSQRTE", "S", ""),
]
#: A register and a number of bits, whose first set bit is the size.
_SHIFTS = [
    ("00000", "SSHR USHR", "BHSD", "D"),
    ("00010", "SSRA USRA", "BHSD", "D"),
    ("00100", "SRSHR URSHR", "BHSD", "D"),
    ("00110", "SRSRA URSRA", "BHSD", "D"),
    ("01000", "- SRI", "BHSD", "D"),
    ("01010", "SHL SLI", "BHSD", "D"),
    ("01100", "- SQSHLU", "BHSD", "BHSD"),
    ("01110", "SQSHL UQSHL", "BHSD", "BHSD"),
    ("10000", "SHRN -", "BHS", ""),
    ("10000", "- SQSHRUN", "BHS", "BHS"),
    ("10001", "RSHRN -", "BHS", ""),
    ("10001", "- SQRSHRUN", "BHS", "BHS"),
    ("10010", "SQSHRN UQSHRN", "BHS", "BHS"),
    ("10011", "SQRSHRN UQRSHRN", "BHS", "BHS"),
    ("10100", "SSHLL USHLL", "BHS", ""),
]
#: All elements of a register.
_ACROSS = [
    ("00011", "SADDLV UADDLV", "BHS", ""),
    ("01010", "SMAXV UMAXV", "BHS", ""),
    ("11010", "SMINV UMINV", "BHS", ""),
    ("11011", "ADDV -", "BHS", ""),
]
#: By one element of the third register.
_ELEMENT = [
    ("0000", "- MLA", "HS", ""),
    ("0100", "- MLS", "HS", ""),
    ("1000", "MUL -", "HS", ""),
    ("0010", "SMLAL UMLAL", "HS", ""),
    ("0110", "SMLSL UMLSL", "HS", ""),
    ("1010", "SMULL UMULL", "HS", ""),
    ("0011", "SQDMLAL -", "HS", "HS"),
    ("0111", "SQDMLSL -", "HS", "HS"),
    ("1011", "SQDMULL -", "HS", "HS"),
    ("1100", "SQDMULH -", "HS", "HS"),
    ("1101", "SQRDMULH -", "HS", "HS"),
]
_ELEMENT_RDM = [
    ("1101", "- SQRDMLAH", "HS", "HS"),
    ("1111", "- SQRDMLSH", "HS", "HS"),
]
_SAME_RDM = [
    ("0000", "- SQRDMLAH", "HS", "HS"),
    ("0001", "- SQRDMLSH", "HS", "HS"),
]


def _row(
    name: str, form: str, pattern: str, note: str = "", feature: Feature = Feature.FP
) -> Encoding:
    key = f"{name}_{form.replace(' ', '_')}".lower()
    return Encoding(key, f"{name.replace('_', ' ')} ({form})", pattern, "vector", feature, note)


def _family(
    members: list[tuple[str, str, str, str]],
    rest: str,
    kind: str = "",
    feature: Feature = Feature.FP,
) -> list[Encoding]:
    """Rows of a family whose bits below U are `rest`; `kind` goes into their names."""
    rows = []
    for opcode, names, *all_sizes in members:
        for u, name in enumerate(names.split()):
            for form, top, x, sizes in zip(
                ("vector", "scalar"), ("0 q", "01"), "01", all_sizes, strict=True
            ):
                if name == "-" or not sizes:
                    continue
                notes = [f"elements of {', '.join(sizes)}"] * (sizes in ("HS", "BHS"))
                notes += ["no .1D"] * (form == "vector" and sizes == "BHSD")
                bits = rest.replace("X", x).replace("OPCODE", opcode)
                pattern = f"{top} {u} {bits.replace('SIZE', _SIZES[sizes])}"
                rows.append(_row(name + kind, form, pattern, "; ".join(notes), feature))
    return rows


_BY_ELEMENT = "X1111 SIZE l mmmmm OPCODE h 0 nnnnn ddddd"

ENCODINGS: list[Encoding] = [
    *_family(_SAME, "X1110 SIZE 1 mmmmm OPCODE 1 nnnnn ddddd"),
    *_family(_SAME_RDM, "X1110 SIZE 0 mmmmm 1 OPCODE 1 nnnnn ddddd", feature=Feature.RDM),
    *_family(_DIFFERENT, "X1110 SIZE 1 mmmmm OPCODE 00 nnnnn ddddd"),
    *_family(_TWO, "X1110 SIZE 10000 OPCODE 10 nnnnn ddddd"),
    *_family(_SHIFTS, "X11110 iiiiiii OPCODE 1 nnnnn ddddd", "_imm"),
    *_family(_ACROSS, "X1110 SIZE 11000 OPCODE 10 nnnnn ddddd"),
    *_family(_ELEMENT, _BY_ELEMENT, "_element"),
    *_family(_ELEMENT_RDM, _BY_ELEMENT, "_element", Feature.RDM),
    _row("PMULL", "1Q", "0 q 0 01110 11 1 mmmmm 1110 00 nnnnn ddddd", "", Feature.PMULL),
    _row("ADDP", "scalar", "01 0 11110 11 11000 11011 10 nnnnn ddddd"),
    *(
        _row(name, "vector", f"0 q 0 01110 zz 0 mmmmm 0 {opcode} 10 nnnnn ddddd", "no .1D")
        for name, opcode in (
            ("UZP1", "001"), ("TRN1", "010"), ("ZIP1", "011"),
            ("UZP2", "101"), ("TRN2", "110"), ("ZIP2", "111"),
        )
    ),
    _row("EXT", "8B", "0 0 1 01110 000 mmmmm 0 0iii 0 nnnnn ddddd"),
    _row("EXT", "16B", "0 1 1 01110 000 mmmmm 0 iiii 0 nnnnn ddddd"),
    *(
        _row(name, "vector", f"0 q 0 01110 000 mmmmm 0 ll {op} 00 nnnnn ddddd")
        for name, op in (("TBL", "0"), ("TBX", "1"))
    ),
    *(
        _row(name, "vector", f"0 {bits} nnnnn ddddd", "", feature)
        for name, bits, feature in (
            ("SDOT", "q 0 01110 10 0 mmmmm 1 0010 1", Feature.DP),
            ("UDOT", "q 1 01110 10 0 mmmmm 1 0010 1", Feature.DP),
            ("USDOT", "q 0 01110 10 0 mmmmm 1 0011 1", Feature.I8MM),
            ("SMMLA", "1 0 01110 10 0 mmmmm 1 0100 1", Feature.I8MM),
            ("UMMLA", "1 1 01110 10 0 mmmmm 1 0100 1", Feature.I8MM),
            ("USMMLA", "1 0 01110 10 0 mmmmm 1 0101 1", Feature.I8MM),
        )
    ),
    *(
        _row(name, "element", f"0 q {u} 01111 {size} l mmmmm {opcode} h 0 nnnnn ddddd", "", feature)
        for name, u, size, opcode, feature in (
            ("SDOT", 0, "10", "1110", Feature.DP),
            ("UDOT", 1, "10", "1110", Feature.DP),
            ("SUDOT", 0, "00", "1111", Feature.I8MM),
            ("USDOT", 0, "10", "1111", Feature.I8MM),
        )
    ),
]  # fmt: skip

#: All of it is done by functions, `sae_v_` and these names. Of what compilers use most, where it
#: makes so many bytes (as a logarithm), the loop has a copy, which saves the call.
INLINED: dict[str, int] = {
    **{f"{name}_{size}": 4 for name in ("add", "sub", "cmeq") for size in (8, 16, 32, 64)},
    **{f"{name}_{size}": 4 for name in ("mul", "mla", "mul_element") for size in (16, 32)},
    **{f"{name}_32": 4 for name in ("cmgt", "smax", "smin", "umax", "umin", "mla_element")},
    **{f"{name}_{size}": 4 for name in ("cmhi", "cmhs") for size in (8, 32)},
    **{f"{name}_{size}": 4 for name in ("ushr", "sshr", "shl", "usra") for size in (32, 64)},
    **{f"{name}_8": 4 for name in ("cmeq_zero", "umax", "umin", "addp", "ext")},
    **{f"{name}_{size}": 4 for name in ("uzp1", "zip1", "zip2") for size in (8, 16, 32, 64)},
    **{f"{name}_8": 4 for name in ("ushll", "sshll", "uaddw")},
    **{f"{name}_16": 4 for name in ("ushll", "sshll", "uaddw", "umull", "umlal")},
    "shrn_8": 3, "xtn_8": 3, "xtn_16": 3,
}
OPS: list[str] = [f"v_{name}" for name in INLINED]
