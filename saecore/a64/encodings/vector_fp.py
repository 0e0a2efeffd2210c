"""Advanced SIMD on floating point.

Source: Arm ARM (DDI 0487), C4.1 "Data Processing -- Scalar Floating-Point and Advanced SIMD" and
C7.2. A vector of one double is none, so those of doubles have Q set.
"""

from collections.abc import Iterator, Mapping

from saecore._defs import Feature
from saecore.a64.encodings._row import Encoding

_SIZES = {"h": Feature.FP16, "s": Feature.FP, "d": Feature.FP}


def _row(key: str, title: str, pattern: str, feature: Feature = Feature.FP) -> Encoding:
    return Encoding(key.lower(), title, pattern, "vector_fp", feature)


def _sizes(full: str, half: str) -> dict[str, str]:
    """Patterns by size of element; bit 22, Z in `full`, tells single and double apart."""
    return {"h": half, "s": full.replace("Z", "0"), "d": full.replace("Z", "1")}


def _rows(
    name: str,
    form: str,
    u: str,
    rest: Mapping[str, str],
    features: Mapping[str, Feature] = _SIZES,
) -> Iterator[Encoding]:
    """An instruction's rows in one of its forms; `rest` has the patterns by size of element, from
    bit 27 on."""
    for size, pattern in rest.items():
        q = "1" if size == "d" else "q"
        head = f"01 {u} 1" if form.startswith("scalar") else f"0 {q} {u} 0"
        key = "_".join((name, *form.replace(",", "").split(), size))
        yield _row(key, f"{name} ({form}), {size.upper()}", f"{head} {pattern}", features[size])


#: Three registers: U, a, and the last three bits of the opcode.
_THREE = {
    "FMAXNM": "0 0 000",
    "FMLA": "0 0 001",
    "FADD": "0 0 010",
    "FMULX": "0 0 011",
    "FCMEQ": "0 0 100",
    "FMAX": "0 0 110",
    "FRECPS": "0 0 111",
    "FMINNM": "0 1 000",
    "FMLS": "0 1 001",
    "FSUB": "0 1 010",
    "FMIN": "0 1 110",
    "FRSQRTS": "0 1 111",
    "FMAXNMP": "1 0 000",
    "FADDP": "1 0 010",
    "FMUL": "1 0 011",
    "FCMGE": "1 0 100",
    "FACGE": "1 0 101",
    "FMAXP": "1 0 110",
    "FDIV": "1 0 111",
    "FMINNMP": "1 1 000",
    "FABD": "1 1 010",
    "FCMGT": "1 1 100",
    "FACGT": "1 1 101",
    "FMINP": "1 1 110",
}
#: Those that are there for scalars as well.
_THREE_SCALAR = (
    "FMULX", "FCMEQ", "FRECPS", "FRSQRTS", "FCMGE", "FACGE", "FABD", "FCMGT", "FACGT",
)  # fmt: skip

#: Two registers: U, a, and the opcode.
_TWO = {
    "FRINTN": "0 0 11000",
    "FRINTM": "0 0 11001",
    "FCVTNS": "0 0 11010",
    "FCVTMS": "0 0 11011",
    "FCVTAS": "0 0 11100",
    "SCVTF": "0 0 11101",
    "FCMGT": "0 1 01100",
    "FCMEQ": "0 1 01101",
    "FCMLT": "0 1 01110",
    "FABS": "0 1 01111",
    "FRINTP": "0 1 11000",
    "FRINTZ": "0 1 11001",
    "FCVTPS": "0 1 11010",
    "FCVTZS": "0 1 11011",
    "FRECPE": "0 1 11101",
    "FRECPX": "0 1 11111",
    "FRINTA": "1 0 11000",
    "FRINTX": "1 0 11001",
    "FCVTNU": "1 0 11010",
    "FCVTMU": "1 0 11011",
    "FCVTAU": "1 0 11100",
    "UCVTF": "1 0 11101",
    "FCMGE": "1 1 01100",
    "FCMLE": "1 1 01101",
    "FNEG": "1 1 01111",
    "FRINTI": "1 1 11001",
    "FCVTPU": "1 1 11010",
    "FCVTZU": "1 1 11011",
    "FRSQRTE": "1 1 11101",
    "FSQRT": "1 1 11111",
}
#: Those that are there for scalars as well begin like this; FRECPX is for scalars only.
_TWO_SCALAR = ("FCM", "FCVT", "SCVT", "UCVT", "FRECP", "FRSQRT")
#: To integers of fewer bits, the same.
_TO_SMALLER = {
    "FRINT32Z": "0 0 11110",
    "FRINT64Z": "0 0 11111",
    "FRINT32X": "1 0 11110",
    "FRINT64X": "1 0 11111",
}
#: Two elements of a scalar pair, or all elements of a vector: a and the opcode.
_PAIR = {
    "FMAXNMP": "0 01100",
    "FADDP": "0 01101",
    "FMAXP": "0 01111",
    "FMINNMP": "1 01100",
    "FMINP": "1 01111",
}
_ACROSS = {f"{name[:-1]}V": bits for name, bits in _PAIR.items() if name != "FADDP"}
#: By element: U and the opcode.
_ELEMENT = {"FMLA": "0 0001", "FMLS": "0 0101", "FMUL": "0 1001", "FMULX": "1 1001"}
#: To and from fixed point: U and the opcode.
_FIXED = {"SCVTF": "0 11100", "FCVTZS": "0 11111", "UCVTF": "1 11100", "FCVTZU": "1 11111"}
#: To elements of another size: the larger one, U, a, Z and the opcode.
_RESIZED = {
    "FCVTN_s": "0 0 0 10110",
    "FCVTN_d": "0 0 1 10110",
    "FCVTL_s": "0 0 0 10111",
    "FCVTL_d": "0 0 1 10111",
    "FCVTXN_d": "1 0 1 10110",
    "BFCVTN_s": "0 1 0 10110",
}
#: Products of halves: U, a, the opcode, and that of those by element.
_LONG = {
    "FMLAL": "0 0 11101 0000",
    "FMLSL": "0 1 11101 0100",
    "FMLAL2": "1 0 11001 1000",
    "FMLSL2": "1 1 11001 1100",
}


def _three_registers() -> Iterator[Encoding]:
    for name, bits in _THREE.items():
        u, a, op = bits.split()
        tail = f"{op} 1 nnnnn ddddd"
        rest = _sizes(f"1110 {a} Z 1 mmmmm 11{tail}", f"1110 {a} 10 mmmmm 00{tail}")
        yield from _rows(name, "vector", u, rest)
        if name in _THREE_SCALAR:
            yield from _rows(name, "scalar", u, rest)


def _two_registers() -> Iterator[Encoding]:
    for name, bits in _TWO.items():
        u, a, op = bits.split()
        tail = f"{op} 10 nnnnn ddddd"
        rest = _sizes(f"1110 {a} Z 10000 {tail}", f"1110 {a} 111100 {tail}")
        zero = ", zero" if name.startswith("FCM") else ""
        if name != "FRECPX":
            yield from _rows(name, f"vector{zero}", u, rest)
        if name.startswith(_TWO_SCALAR):
            yield from _rows(name, f"scalar{zero}", u, rest)
    for name, bits in _TO_SMALLER.items():
        u, a, op = bits.split()
        rest = _sizes(f"1110 {a} Z 10000 {op} 10 nnnnn ddddd", "")
        del rest["h"]
        yield from _rows(name, "vector", u, rest, dict.fromkeys("sd", Feature.FRINTTS))


def _within() -> Iterator[Encoding]:
    """Elements of one register with each other. Half has its own U."""
    for name, bits in _PAIR.items():
        a, op = bits.split()
        tail = f"11000 {op} 10 nnnnn ddddd"
        for size, pattern in _sizes(f"1 11110 {a} Z {tail}", f"0 11110 {a} 0 {tail}").items():
            title = f"{name} (scalar), {size.upper()}"
            yield _row(f"{name}_scalar_{size}", title, f"01 {pattern}", _SIZES[size])
    for name, bits in _ACROSS.items():
        a, op = bits.split()
        for size, head in (("h", "0 q 0"), ("s", "0 1 1")):
            pattern = f"{head} 01110 {a} 0 11000 {op} 10 nnnnn ddddd"
            yield _row(f"{name}_{size}", f"{name}, {size.upper()}", pattern, _SIZES[size])


def _by_element_and_fixed() -> Iterator[Encoding]:
    for name, bits in _ELEMENT.items():
        u, op = bits.split()
        tail = f"{op} j 0 nnnnn ddddd"
        rest = {
            "h": f"1111 00 iimmmm {tail}",
            "s": f"1111 10 immmmm {tail}",
            "d": f"1111 11 0mmmmm {tail}",
        }
        for form in ("element", "scalar, element"):
            yield from _rows(name, form, u, rest)
    for name, bits in _FIXED.items():
        u, op = bits.split()
        rest = {
            size: f"1111 0 {immediate} {op} 1 nnnnn ddddd"
            for size, immediate in (("h", "001iiii"), ("s", "01iiiii"), ("d", "1iiiiii"))
        }
        for form in ("fixed point", "scalar, fixed point"):
            yield from _rows(name, form, u, rest)


def _resized() -> Iterator[Encoding]:
    for key, bits in _RESIZED.items():
        name, size = key.split("_")
        u, a, z, op = bits.split()
        title = f"{name}, {name}2 (vector), {size.upper()}"
        pattern = f"0 q {u} 01110 {a} {z} 10000 {op} 10 nnnnn ddddd"
        yield _row(key, title, pattern, Feature.BF16 if name == "BFCVTN" else Feature.FP)
    pattern = "01 1 11110 0 1 10000 10110 10 nnnnn ddddd"
    yield _row("fcvtxn_scalar_d", "FCVTXN (scalar), D", pattern)


def _long() -> Iterator[Encoding]:
    for name, bits in _LONG.items():
        u, a, op, element = bits.split()
        for form, rest in (
            ("vector", f"01110 {a} 0 1 mmmmm {op} 1"),
            ("element", f"01111 10 iimmmm {element} j 0"),
        ):
            pattern = f"0 q {u} {rest} nnnnn ddddd"
            yield _row(f"{name}_{form}", f"{name} ({form})", pattern, Feature.FHM)


def _complex() -> Iterator[Encoding]:
    features = dict.fromkeys(_SIZES, Feature.FCMA) | {"h": Feature.FCMA | Feature.FP16}
    for name, op in (("FCMLA", "110rr1"), ("FCADD", "111r01")):
        rest = {
            size: f"1110 {bits} 0 mmmmm {op} nnnnn ddddd"
            for size, bits in (("h", "01"), ("s", "10"), ("d", "11"))
        }
        yield from _rows(name, "vector", "1", rest, features)
    # By element, which is a pair: there are two of halves in 64 bits, four or two in 128.
    for key, q, size, high in (
        ("h4", "0", "01 i", "0"),
        ("h8", "1", "01 i", "j"),
        ("s", "1", "10 0", "j"),
    ):
        pattern = f"0 {q} 1 01111 {size} mmmmm 0rr1 {high} 0 nnnnn ddddd"
        title = f"FCMLA (element), {key.upper()}"
        yield _row(f"fcmla_element_{key}", title, pattern, features[key[0]])


def _bfloat() -> Iterator[Encoding]:
    for key, title, pattern in (
        ("bfdot_vector", "BFDOT (vector)", "0 q 1 01110 010 mmmmm 111111"),
        ("bfdot_element", "BFDOT (element)", "0 q 0 01111 01 i mmmmm 1111 j 0"),
        ("bfmmla", "BFMMLA", "0 1 1 01110 010 mmmmm 111011"),
        ("bfmlal_vector", "BFMLALB, BFMLALT (vector)", "0 t 1 01110 110 mmmmm 111111"),
        ("bfmlal_element", "BFMLALB, BFMLALT (element)", "0 t 0 01111 11 iimmmm 1111 j 0"),
    ):
        yield _row(key, title, f"{pattern} nnnnn ddddd", Feature.BF16)


ENCODINGS: list[Encoding] = [
    *_three_registers(),
    *_two_registers(),
    *_within(),
    *_by_element_and_fixed(),
    *_resized(),
    _row(
        "fmov_vector_imm_h",
        "FMOV (vector, immediate), H",
        "0 q 0 0111100000 hhh 1111 1 1 lllll ddddd",
        Feature.FP16,
    ),
    *_long(),
    *_complex(),
    *_bfloat(),
]

OPS: list[str] = []
