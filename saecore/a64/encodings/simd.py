"""Loads, stores and moves of SIMD&FP registers, and the operations of `sae_ops_simd.h`.

Source: Arm ARM (DDI 0487), "Loads and Stores", "Data Processing -- Scalar Floating-Point and
Advanced SIMD", C4.1 and C7.2.
"""

from saecore._defs import Feature
from saecore.a64.encodings import memory
from saecore.a64.encodings._row import Encoding


def _row(mnemonic: str, form: str, registers: str, pattern: str) -> Encoding:
    name = memory.of_form(mnemonic, form)
    title = f"{name} ({memory.TITLES[form]}), SIMD&FP"
    return _named(f"{name}_{form}_{registers}".lower(), title, pattern)


def _named(key: str, title: str, pattern: str) -> Encoding:
    return Encoding(key, title, pattern, "simd", Feature.FP)


def _single() -> list[Encoding]:
    """B, H, S and D, and Q, whose size bits are those of B."""
    rows = [
        _row(name, form, registers, f"{size} 111 1 {bits.replace('OO', opc)} nnnnn ttttt")
        for name, load in (("STR", 0), ("LDR", 1))
        for form, bits in memory.FORMS.items()
        for registers, size, opc in (("v", "zz", f"0{load}"), ("q", "00", f"1{load}"))
    ]
    for registers, opc in (("v", "0z"), ("q", "10")):
        pattern = f"{opc} 011 1 00 iiiiiiiiiiiiiiiiiii ttttt"
        rows.append(_row("LDR", "literal", registers, pattern))
        rows += [
            _row(name, form, registers, f"{opc} 101 1 0 {bits} {load} iiiiiii uuuuu nnnnn ttttt")
            for name, load in (("STP", 0), ("LDP", 1))
            for form, bits in memory.PAIR_FORMS.items()
        ]
    return rows


#: Structures of 1 to 4 elements: the opcode and size bits of LDn and STn (multiple).
_MULTIPLE = [
    ("1x4", "0010 zz"),
    ("1x3", "0110 zz"),
    ("1x2", "1010 zz"),
    ("1x1", "0111 zz"),
    ("2", "1000"),
    ("3", "0100"),
    ("4", "0000"),
]
#: Lanes: the opcode (its last bit and R say how many registers), S and size bits.
_LANES = {
    "b": "00c S zz",
    "h": "01c S z0",
    "s": "10c S 00",
    "d": "10c 0 01",
}


def _structures() -> list[Encoding]:
    rows = []
    for post, post_title, middle in (("", "", "00000"), ("_post", ", post-index", "mmmmm")):
        index = "1" if post else "0"
        for name, load in (("ST", "0"), ("LD", "1")):
            for count, bits in _MULTIPLE:
                # Two or more elements of 64 bits need Q: .1D is not an arrangement of theirs.
                arrangements = [("", "q", bits)]
                if " " not in bits:
                    arrangements = [("", "q", f"{bits} 0z"), ("_h", "q", f"{bits} 10")]
                    arrangements += [("_d", "1", f"{bits} 11")]
                rows += [
                    _named(
                        f"{name}{count}{suffix}{post}".lower(),
                        f"{name}{count[0]} (multiple structures{post_title})",
                        f"0 {q} 001100 {index} {load} 0 {middle} {rest} nnnnn ttttt",
                    )
                    for suffix, q, rest in arrangements
                ]
            rows += [
                _named(
                    f"{name}_lane_{lane}{post}".lower(),
                    f"{name}1 to {name}4 (single structure{post_title})",
                    f"0 q 001101 {index} {load} R {middle} {bits} nnnnn ttttt",
                )
                for lane, bits in _LANES.items()
            ]
        rows.append(
            _named(
                f"ld_replicate{post}",
                f"LD1R to LD4R (single structure, replicated{post_title})",
                f"0 q 001101 {index} 1 R {middle} 11c 0 zz nnnnn ttttt",
            )
        )
    return rows


#: Which element: the imm5 bits of an element of 8, 16, 32 and 64 bits.
_ELEMENTS = {"b": "iiii1", "h": "iii10", "s": "ii100", "d": "i1000"}


def _moves() -> list[Encoding]:
    """Between registers, by element."""

    def rows(name: str, title: str, pattern: str, elements: str) -> list[Encoding]:
        return [
            _named(f"{name}_{size}", title, pattern.replace("IMM5", _ELEMENTS[size]))
            for size in elements
        ]

    found = []
    for key, title, imm4 in (("element", "element", "0000"), ("general", "general", "0001")):
        pattern = f"001110000 IMM5 0 {imm4} 1 nnnnn ddddd"
        found += rows(f"dup_{key}", f"DUP ({title})", f"0 q {pattern}", "bhs")
        found += rows(f"dup_{key}", f"DUP ({title})", f"0 1 {pattern}", "d")
    scalar = "01 0 11110000 IMM5 0 0000 1 nnnnn ddddd"
    found += rows("dup_scalar", "DUP (element), scalar", scalar, "bhsd")
    for key, q, imm4, elements in (
        ("smov_w", 0, "0101", "bh"),
        ("smov_x", 1, "0101", "bhs"),
        ("umov_w", 0, "0111", "bhs"),
        ("umov_x", 1, "0111", "d"),
    ):
        pattern = f"0 {q} 001110000 IMM5 0 {imm4} 1 nnnnn ddddd"
        found += rows(key, key[:4].upper(), pattern, elements)
    found += rows("ins_general", "INS (general)", "0 1 001110000 IMM5 0 0011 1 nnnnn ddddd", "bhsd")
    found += rows("ins_element", "INS (element)", "0 1 101110000 IMM5 0 jjjj 1 nnnnn ddddd", "bhsd")
    return found


_FMOV = [
    _named("fmov_s", "FMOV (register), S", "00011110 00 1 0000 00 10000 nnnnn ddddd"),
    _named("fmov_d", "FMOV (register), D", "00011110 01 1 0000 00 10000 nnnnn ddddd"),
    _named("fmov_w_s", "FMOV (general), S to W", "00011110 00 1 00 110 000000 nnnnn ddddd"),
    _named("fmov_s_w", "FMOV (general), W to S", "00011110 00 1 00 111 000000 nnnnn ddddd"),
    _named("fmov_x_d", "FMOV (general), D to X", "10011110 01 1 00 110 000000 nnnnn ddddd"),
    _named("fmov_d_x", "FMOV (general), X to D", "10011110 01 1 00 111 000000 nnnnn ddddd"),
    _named("fmov_x_v", "FMOV (general), V.D[1] to X", "10011110 10 1 01 110 000000 nnnnn ddddd"),
    _named("fmov_v_x", "FMOV (general), X to V.D[1]", "10011110 10 1 01 111 000000 nnnnn ddddd"),
    _named("fmov_imm_s", "FMOV (scalar, immediate), S", "00011110 00 1 iiiiiiii 100 00000 ddddd"),
    _named("fmov_imm_d", "FMOV (scalar, immediate), D", "00011110 01 1 iiiiiiii 100 00000 ddddd"),
]

#: Vectors of a modified immediate: key, Q, op, cmode.
_IMMEDIATE = [
    ("MOVI", "32", "q", "0", "0ss0"),
    ("ORR", "32", "q", "0", "0ss1"),
    ("MVNI", "32", "q", "1", "0ss0"),
    ("BIC", "32", "q", "1", "0ss1"),
    ("MOVI", "16", "q", "0", "10s0"),
    ("ORR", "16", "q", "0", "10s1"),
    ("MVNI", "16", "q", "1", "10s0"),
    ("BIC", "16", "q", "1", "10s1"),
    ("MOVI", "ones", "q", "0", "110s"),
    ("MVNI", "ones", "q", "1", "110s"),
    ("MOVI", "8", "q", "0", "1110"),
    ("MOVI", "64", "q", "1", "1110"),
    ("FMOV", "s", "q", "0", "1111"),
    ("FMOV", "d", "1", "1", "1111"),
]
#: Three registers, bit by bit: U and size.
_BITWISE = {
    "AND": "0 01110 00",
    "BIC": "0 01110 01",
    "ORR": "0 01110 10",
    "ORN": "0 01110 11",
    "EOR": "1 01110 00",
    "BSL": "1 01110 01",
    "BIT": "1 01110 10",
    "BIF": "1 01110 11",
}

ENCODINGS: list[Encoding] = [
    *_single(),
    *_structures(),
    *_moves(),
    *_FMOV,
    *(
        _named(
            f"{name}_vector_imm_{kind}".lower(),
            f"{name} (vector, immediate)",
            f"0 {q} {op} 0111100000 hhh {cmode} 0 1 lllll ddddd",
        )
        for name, kind, q, op, cmode in _IMMEDIATE
    ),
    *(
        _named(
            f"{name}_vector".lower(),
            f"{name} (vector, register)",
            f"0 q {bits} 1 mmmmm 000111 nnnnn ddddd",
        )
        for name, bits in _BITWISE.items()
    ),
]

# The emitters count on the order of all that follows.
_SINGLE_OPS = [f"{name}{size}" for size in (8, 16, 32, 64, 128) for name in ("vst", "vld")]
_PAIR_OPS = [f"{name}{size}" for size in (32, 64, 128) for name in ("vstp", "vldp")]
OPS: list[str] = [
    "fp_check",
    *(f"{name}_{form}" for name in _SINGLE_OPS for form in memory.OP_FORMS),
    *(f"{name}_{form}" for name in _PAIR_OPS for form in memory.PAIR_OP_FORMS),
    *("vst_multiple", "vld_multiple", "vst_lane", "vld_lane", "vld_replicate"),
    *("vset", "vorr_imm", "vand_imm"),
    *(f"v{name.lower()}" for name in _BITWISE),
    *("vdup", "vdup_x", "vscalar", "vscalar_x", "vins", "vins_x", "umov", "smov"),
]
