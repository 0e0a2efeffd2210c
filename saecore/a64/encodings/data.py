"""Data processing on general registers, immediate and register forms."""

from saecore._defs import Feature
from saecore.a64.encodings._row import Encoding

CONDITIONS = ("eq", "ne", "cs", "cc", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le")
SHIFTS = ("lsl", "lsr", "asr", "ror")
ADD_SUB = {"ADD": "00", "ADDS": "01", "SUB": "10", "SUBS": "11"}
LOGICAL_IMM = {"AND": "00", "ORR": "01", "EOR": "10", "ANDS": "11"}
LOGICAL = {  # opc, N
    "AND": "00 0", "BIC": "00 1", "ORR": "01 0", "ORN": "01 1",
    "EOR": "10 0", "EON": "10 1", "ANDS": "11 0", "BICS": "11 1",
}
WIDTHS = {"W": "0", "X": "1"}


def _row(key: str, title: str, pattern: str, feature: Feature | None = None) -> Encoding:
    return Encoding(key, title, pattern, "data", feature)


def _immediate() -> list[Encoding]:
    rows = [
        _row("ADR", "ADR", "0ll10000 iiiiiiiiiiiiiiiiiii ddddd"),
        _row("ADRP", "ADRP", "1ll10000 iiiiiiiiiiiiiiiiiii ddddd"),
    ]
    for name, op in ADD_SUB.items():
        rows.append(_row(f"{name}_IMM", f"{name} (immediate)",
                         f"f{op} 100010 h iiiiiiiiiiii nnnnn ddddd"))
    for name, opc in LOGICAL_IMM.items():
        rows.append(_row(f"{name}_IMM_W", f"{name} (immediate), 32-bit",
                         f"0{opc} 100100 0 rrrrrr ssssss nnnnn ddddd"))
        rows.append(_row(f"{name}_IMM_X", f"{name} (immediate), 64-bit",
                         f"1{opc} 100100 N rrrrrr ssssss nnnnn ddddd"))
    for name, opc in {"MOVN": "00", "MOVZ": "10", "MOVK": "11"}.items():
        rows.append(_row(f"{name}_W", f"{name}, 32-bit",
                         f"0{opc} 100101 0h iiiiiiiiiiiiiiii ddddd"))
        rows.append(_row(f"{name}_X", f"{name}, 64-bit",
                         f"1{opc} 100101 hh iiiiiiiiiiiiiiii ddddd"))
    for name, opc in {"SBFM": "00", "BFM": "01", "UBFM": "10"}.items():
        rows.append(_row(f"{name}_W", f"{name}, 32-bit",
                         f"0{opc} 100110 0 0rrrrr 0sssss nnnnn ddddd"))
        rows.append(_row(f"{name}_X", f"{name}, 64-bit",
                         f"1{opc} 100110 1 rrrrrr ssssss nnnnn ddddd"))
    rows.append(_row("EXTR_W", "EXTR, 32-bit", "000 100111 00 mmmmm 0sssss nnnnn ddddd"))
    rows.append(_row("EXTR_X", "EXTR, 64-bit", "100 100111 10 mmmmm ssssss nnnnn ddddd"))
    return rows


def _shifted() -> list[Encoding]:
    rows = []
    for width, sf in WIDTHS.items():
        amount = "0iiiii" if width == "W" else "iiiiii"
        for name, code in LOGICAL.items():
            opc, negate = code.split()
            rows.append(_row(f"{name}_SHIFTED_{width}", f"{name} (shifted register), {width}",
                             f"{sf}{opc} 01010 tt {negate} mmmmm {amount} nnnnn ddddd"))
        for name, op in ADD_SUB.items():
            # ROR is reserved here.
            for suffix, shift in {"LSX": "0t", "ASR": "10"}.items():
                rows.append(_row(f"{name}_{suffix}_{width}",
                                 f"{name} (shifted register), {width}",
                                 f"{sf}{op} 01011 {shift} 0 mmmmm {amount} nnnnn ddddd"))
    for name, op in ADD_SUB.items():
        for suffix, amount in {"": "0aa", "_4": "100"}.items():
            rows.append(_row(f"{name}_EXTENDED{suffix}", f"{name} (extended register)",
                             f"f{op} 01011 001 mmmmm eee {amount} nnnnn ddddd"))
    return rows


def _registers() -> list[Encoding]:
    rows = _shifted()
    for name, op in {"ADC": "00", "ADCS": "01", "SBC": "10", "SBCS": "11"}.items():
        rows.append(_row(name, name, f"f{op} 11010000 mmmmm 000000 nnnnn ddddd"))
    for name, op in {"CCMN": "0", "CCMP": "1"}.items():
        rows.append(_row(f"{name}_REG", f"{name} (register)",
                         f"f{op}1 11010010 mmmmm cccc 00 nnnnn 0 zzzz"))
        rows.append(_row(f"{name}_IMM", f"{name} (immediate)",
                         f"f{op}1 11010010 iiiii cccc 10 nnnnn 0 zzzz"))
    for name, code in {"CSEL": "0 0", "CSINC": "0 1", "CSINV": "1 0", "CSNEG": "1 1"}.items():
        op, low = code.split()
        rows.append(_row(name, name, f"f{op}0 11010100 mmmmm cccc 0{low} nnnnn ddddd"))
    for name, o0 in {"MADD": "0", "MSUB": "1"}.items():
        rows.append(_row(name, name, f"f00 11011 000 mmmmm {o0} aaaaa nnnnn ddddd"))
    for sign, u in {"S": "0", "U": "1"}.items():
        for name, o0 in {"MADDL": "0", "MSUBL": "1"}.items():
            rows.append(_row(sign + name, sign + name,
                             f"100 11011 {u}01 mmmmm {o0} aaaaa nnnnn ddddd"))
        rows.append(_row(f"{sign}MULH", f"{sign}MULH",
                         f"100 11011 {u}10 mmmmm 0 ..... nnnnn ddddd"))
    two = {"UDIV": "000010", "SDIV": "000011", "LSLV": "001000", "LSRV": "001001",
           "ASRV": "001010", "RORV": "001011"}
    for name, opcode in two.items():
        rows.append(_row(name, name, f"f00 11010110 mmmmm {opcode} nnnnn ddddd"))
    for name, c in {"CRC32": "0", "CRC32C": "1"}.items():
        for size, sz in {"B": "00", "H": "01", "W": "10"}.items():
            rows.append(_row(name + size, name + size,
                             f"000 11010110 mmmmm 010{c}{sz} nnnnn ddddd", Feature.CRC32))
        rows.append(_row(f"{name}X", f"{name}X",
                         f"100 11010110 mmmmm 010{c}11 nnnnn ddddd", Feature.CRC32))
    one = {"RBIT": "000000", "REV16": "000001", "REV_W": "000010", "CLZ": "000100",
           "CLS": "000101"}
    for name, opcode in one.items():
        sf = "0" if name == "REV_W" else "f"
        rows.append(_row(name, name.replace("_W", ", 32-bit"),
                         f"{sf}10 11010110 00000 {opcode} nnnnn ddddd"))
    rows.append(_row("REV32", "REV32", "110 11010110 00000 000010 nnnnn ddddd"))
    rows.append(_row("REV_X", "REV, 64-bit", "110 11010110 00000 000011 nnnnn ddddd"))
    return rows


def _flags() -> list[Encoding]:
    """What makes flags, in the order of `sae_flag_ops.h`."""
    # CRm should be zero: what it means otherwise is the processor's choice, and this is none.
    state = "1101 0101 0000 0000 0100 0000 {} 1 1111"
    return [
        _row("CFINV", "CFINV", state.format("000"), Feature.FLAGM),
        _row("XAFLAG", "XAFLAG", state.format("001"), Feature.FLAGM2),
        _row("AXFLAG", "AXFLAG", state.format("010"), Feature.FLAGM2),
        _row("RMIF", "RMIF", "101 11010000 iiiiii 00001 nnnnn 0 zzzz", Feature.FLAGM),
        _row("SETF8", "SETF8", "001 11010000 000000 00010 nnnnn 0 1101", Feature.FLAGM),
        _row("SETF16", "SETF16", "001 11010000 000000 10010 nnnnn 0 1101", Feature.FLAGM),
    ]


ENCODINGS: list[Encoding] = [*_immediate(), *_registers(), *_flags()]

_ARITHMETIC = ("add", "sub", "adds", "subs")
_BITWISE = ("and", "orr", "eor", "ands", "bic", "orn", "eon", "bics")
_BOTH = [
    "movk", "lsl_imm", "lsr_imm", "sbf", "bfm", "extr", "madd", "msub", "mul", "udiv", "sdiv",
    "lslv", "lsrv", "asrv", "rorv", "rbit", "rev16", "rev", "clz", "cls", "adc", "adcs", "sbc",
    "sbcs", "ccmp_reg", "ccmp_imm", "ccmn_reg", "ccmn_imm",
]

#: Operations; `_w` and `_x` are the 32-bit and the 64-bit form.
OPS: list[str] = [
    "mov_imm", "mov_reg", "mov_w", "extend", "undefined",
    "ubfx", "ubfiz", "rev32", "smaddl", "smsubl", "umaddl", "umsubl", "smulh", "umulh",
    *(f"{crc}{size}" for crc in ("crc32", "crc32c") for size in "bhwx"),
    "add_x_uxtw", "add_x_sxtw", "sub_x_uxtw", "sub_x_sxtw",
]
for _w in ("_w", "_x"):
    OPS += [name + _w for name in _BOTH]
    OPS += [f"{name}{_w}_imm" for name in ("add", "adds", "subs", "and", "orr", "eor", "ands")]
    OPS += [f"{name}{_w}_reg" for name in (*_ARITHMETIC, *_BITWISE)]
    OPS += [f"{name}{_w}_{s}" for name in _ARITHMETIC for s in SHIFTS[:3]]
    OPS += [f"{name}{_w}_{s}" for name in _BITWISE for s in SHIFTS]
    OPS += [f"{name}{_w}_{c}" for name in ("csel", "csinc", "csinv", "csneg") for c in CONDITIONS]

#: Operations with a form, `_a`, that takes N from the operation before, which has just made it:
#: from a host register, where the others wait for what was stored to be read again.
FORWARDED: tuple[str, ...] = (
    *(f"{name}_{w}_imm" for w in "wx" for name in ("add", "subs", "and", "orr", "eor")),
    *(
        f"{name}_{w}_{form}"
        for w in "wx"
        for name in ("add", "sub", "and", "orr", "eor")
        for form in ("reg", *SHIFTS[:3])
    ),
    *(f"{name}_{w}" for w in "wx" for name in ("lsl_imm", "lsr_imm", "sbf", "mul")),
    "ubfx", "ubfiz", "subs_w_reg", "subs_x_reg",
    "ld8_imm", "ld16_imm", "ld32_imm", "ld64_imm", "ld8_reg", "ld32_reg", "ld64_reg",
)  # fmt: skip
#: Of these, operations whose N and M may be exchanged.
COMMUTATIVE: tuple[str, ...] = (
    "mul_w", "mul_x",
    *(f"{name}_{w}_reg" for w in "wx" for name in ("add", "and", "orr", "eor")),
)  # fmt: skip
#: What leaves its result for the next operation: every one above, and these.
LEAVES: tuple[str, ...] = ("mov_imm", "mov_reg", "mov_w")
