"""Scalar floating point.

Source: Arm ARM (DDI 0487), "Data Processing -- Scalar Floating-Point and Advanced SIMD", C4.1 and
C7.2. Moves of single and double precision are in `simd.py`.
"""

from saecore._defs import Feature
from saecore.a64.encodings._row import Encoding

#: Formats: the ftype field, and what an instruction on them needs.
_TYPES = {"s": ("00", Feature.FP), "d": ("01", Feature.FP), "h": ("11", Feature.FP16)}
#: General registers: the sf bit, and the scale of fixed point.
_GENERAL = {"w": ("0", "1sssss"), "x": ("1", "ssssss")}


def _row(key: str, title: str, pattern: str, feature: Feature = Feature.FP) -> Encoding:
    return Encoding(key.lower(), title, pattern, "fp", feature)


def _typed(
    name: str, pattern: str, form: str = "", types: str = "sdh", feature: Feature | None = None
) -> list[Encoding]:
    """A row of each format, whose ftype field is TT. `form` tells rows of a mnemonic apart."""
    key = "_".join([name, *form.replace(",", "").split()])
    title = f"{name} ({form})" if form else name
    return [
        _row(
            f"{key}_{kind}", f"{title}, {kind.upper()}", pattern.replace("TT", bits), feature or own
        )
        for kind, (bits, own) in _TYPES.items()
        if kind in types
    ]


def _two_source() -> list[Encoding]:
    names = ("FMUL", "FDIV", "FADD", "FSUB", "FMAX", "FMIN", "FMAXNM", "FMINNM", "FNMUL")
    return [
        row
        for opcode, name in enumerate(names)
        for row in _typed(name, f"00011110 TT 1 mmmmm {opcode:04b} 10 nnnnn ddddd", "scalar")
    ]


def _three_source() -> list[Encoding]:
    return [
        row
        for name, o1, o0 in (("FMADD", 0, 0), ("FMSUB", 0, 1), ("FNMADD", 1, 0), ("FNMSUB", 1, 1))
        for row in _typed(name, f"00011111 TT {o1} mmmmm {o0} aaaaa nnnnn ddddd")
    ]


#: One operand: the opcode.
_ONE = {"FABS": 1, "FNEG": 2, "FSQRT": 3}
_ONE |= {f"FRINT{mode}": 8 + at for at, mode in enumerate("NPMZA")} | {"FRINTX": 14, "FRINTI": 15}
_ONE_N = {"FRINT32Z": 16, "FRINT32X": 17, "FRINT64Z": 18, "FRINT64X": 19}


def _one_source() -> list[Encoding]:
    def pattern(opcode: int) -> str:
        return f"00011110 TT 1 {opcode:06b} 10000 nnnnn ddddd"

    rows = [row for name, code in _ONE.items() for row in _typed(name, pattern(code), "scalar")]
    for name, opcode in _ONE_N.items():
        rows += _typed(name, pattern(opcode), "scalar", "sd", Feature.FRINTTS)
    for to, opcode in (("s", 4), ("d", 5), ("h", 7)):
        # Halves need no FEAT_FP16 here.
        types = "sdh".replace(to, "")
        rows += _typed("FCVT", pattern(opcode), f"to {to.upper()}", types, Feature.FP)
    rows.append(_row("bfcvt", "BFCVT", pattern(6).replace("TT", "01"), Feature.BF16))
    return rows


def _comparisons() -> list[Encoding]:
    rows = []
    for name, signal in (("FCMP", 0), ("FCMPE", 1)):
        rows += _typed(name, f"00011110 TT 1 mmmmm 00 1000 nnnnn {signal}0000")
        rows += _typed(name, f"00011110 TT 1 ..... 00 1000 nnnnn {signal}1000", "zero")
    for name, signal in (("FCCMP", 0), ("FCCMPE", 1)):
        rows += _typed(name, f"00011110 TT 1 mmmmm cccc 01 nnnnn {signal} ffff")
    return [*rows, *_typed("FCSEL", "00011110 TT 1 mmmmm cccc 11 nnnnn ddddd")]


def _integers() -> list[Encoding]:
    """To and from integers and fixed point: rmode and opcode are the middle."""
    conversions = [
        (f"FCVT{mode}{sign}", f"{rmode:02b} {opcode + at:03b}", mode == "Z")
        for mode, rmode, opcode in (("N", 0, 0), ("P", 1, 0), ("M", 2, 0), ("Z", 3, 0), ("A", 0, 4))
        for at, sign in enumerate("SU")
    ]
    conversions += [("SCVTF", "00 010", True), ("UCVTF", "00 011", True)]
    rows = []
    for register, (sf, scale) in _GENERAL.items():
        for name, middle, fixed in conversions:
            rows += _typed(
                name,
                f"{sf} 0011110 TT 1 {middle} 000000 nnnnn ddddd",
                f"scalar, {register.upper()}",
            )
            if fixed:
                pattern = f"{sf} 0011110 TT 0 {middle} {scale} nnnnn ddddd"
                rows += _typed(name, pattern, f"fixed, {register.upper()}")
    jcvt = "0 0011110 01 1 11 110 000000 nnnnn ddddd"
    return [*rows, _row("fjcvtzs", "FJCVTZS", jcvt, Feature.JSCVT)]


def _moves() -> list[Encoding]:
    """FMOV of halves."""
    rows = _typed("FMOV", "00011110 TT 1 0000 00 10000 nnnnn ddddd", "register", "h")
    rows += _typed("FMOV", "00011110 TT 1 iiiiiiii 100 00000 ddddd", "immediate", "h")
    for register, (sf, _) in _GENERAL.items():
        for opcode, form in (
            ("110", f"to {register.upper()}"),
            ("111", f"from {register.upper()}"),
        ):
            rows += _typed("FMOV", f"{sf} 0011110 TT 1 00 {opcode} 000000 nnnnn ddddd", form, "h")
    return rows


ENCODINGS: list[Encoding] = [
    *_two_source(),
    *_three_source(),
    *_one_source(),
    *_comparisons(),
    *_integers(),
    *_moves(),
]

OPS: list[str] = []
