"""What integer instructions of vectors come to, on Python's integers: nothing overflows here.

Formulas are those of the Arm ARM (DDI 0487), C7.2: an exact result, which is then wrapped, or
brought into the bounds of its type.
"""

from math import isqrt


def elements(value, bits, signed=False, count=None):
    """The elements of a register, the least significant first."""
    found = [value >> at & (1 << bits) - 1 for at in range(0, 128, bits)][:count]
    return [e - (e >> bits - 1 << bits) for e in found] if signed else found


def register(found, bits):
    return sum((e & (1 << bits) - 1) << at * bits for at, e in enumerate(found))


def bounded(value, bits, signed):
    low, high = (-1 << bits - 1, (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return min(max(value, low), high)


def _su(name, formula, saturates=False):
    """A formula for signed and for unsigned elements."""
    return {f"{sign}{name}": (sign == "S", saturates, formula) for sign in "SU"}


def _shift(a, by, rounding=0):
    return a << by if by >= 0 else a + (rounding << -by - 1) >> -by


def _signed_byte(b):
    return (b & 0xFF) - 2 * (b & 0x80)


def _clmul(a, b):
    return _xor(a << bit for bit in range(64) if b >> bit & 1)


def _xor(values):
    total = 0
    for value in values:
        total ^= value
    return total


#: Name: whether the elements are signed, whether the result is brought into bounds, and what it is
#: made of: elements of Rn, Rm and Rd, and their bits.
SAME = {
    **_su("HADD", lambda a, b, d, n: a + b >> 1),
    **_su("RHADD", lambda a, b, d, n: a + b + 1 >> 1),
    **_su("HSUB", lambda a, b, d, n: a - b >> 1),
    **_su("QADD", lambda a, b, d, n: a + b, True),
    **_su("QSUB", lambda a, b, d, n: a - b, True),
    **_su("SHL", lambda a, b, d, n: _shift(a, _signed_byte(b))),
    **_su("RSHL", lambda a, b, d, n: _shift(a, _signed_byte(b), 1)),
    **_su("QSHL", lambda a, b, d, n: _shift(a, _signed_byte(b)), True),
    **_su("QRSHL", lambda a, b, d, n: _shift(a, _signed_byte(b), 1), True),
    **_su("MAX", lambda a, b, d, n: max(a, b)),
    **_su("MIN", lambda a, b, d, n: min(a, b)),
    **_su("ABD", lambda a, b, d, n: abs(a - b)),
    **_su("ABA", lambda a, b, d, n: d + abs(a - b)),
    "ADD": (False, False, lambda a, b, d, n: a + b),
    "SUB": (False, False, lambda a, b, d, n: a - b),
    "MUL": (False, False, lambda a, b, d, n: a * b),
    "MLA": (False, False, lambda a, b, d, n: d + a * b),
    "MLS": (False, False, lambda a, b, d, n: d - a * b),
    "PMUL": (False, False, lambda a, b, d, n: _clmul(a, b)),
    "CMGT": (True, False, lambda a, b, d, n: -(a > b)),
    "CMGE": (True, False, lambda a, b, d, n: -(a >= b)),
    "CMHI": (False, False, lambda a, b, d, n: -(a > b)),
    "CMHS": (False, False, lambda a, b, d, n: -(a >= b)),
    "CMEQ": (False, False, lambda a, b, d, n: -(a == b)),
    "CMTST": (False, False, lambda a, b, d, n: -(a & b != 0)),
    "CMLE": (True, False, lambda a, b, d, n: -(a <= b)),
    "CMLT": (True, False, lambda a, b, d, n: -(a < b)),
    "SQDMULH": (True, True, lambda a, b, d, n: 2 * a * b >> n),
    "SQRDMULH": (True, True, lambda a, b, d, n: 2 * a * b + (1 << n - 1) >> n),
    "SQRDMLAH": (True, True, lambda a, b, d, n: (d << n) + 2 * a * b + (1 << n - 1) >> n),
    "SQRDMLSH": (True, True, lambda a, b, d, n: (d << n) - 2 * a * b + (1 << n - 1) >> n),
    # Two registers.
    "ABS": (True, False, lambda a, b, d, n: abs(a)),
    "NEG": (True, False, lambda a, b, d, n: -a),
    "SQABS": (True, True, lambda a, b, d, n: abs(a)),
    "SQNEG": (True, True, lambda a, b, d, n: -a),
    "CLS": (True, False, lambda a, b, d, n: n - 1 - (a if a >= 0 else ~a).bit_length()),
    "CLZ": (False, False, lambda a, b, d, n: n - a.bit_length()),
    "CNT": (False, False, lambda a, b, d, n: a.bit_count()),
    "NOT": (False, False, lambda a, b, d, n: ~a),
    "RBIT": (False, False, lambda a, b, d, n: int(f"{a:08b}"[::-1], 2)),
    "URECPE": (False, False, lambda a, b, d, n: _estimate(a, 31, _reciprocal)),
    "URSQRTE": (False, False, lambda a, b, d, n: _estimate(a, 30, _reciprocal_root)),
}
#: Shifts, `k` being the number of bits, and `d` as wide as the result.
SHIFTS = {
    **_su("SHR", lambda a, k, d, n: a >> k),
    **_su("SRA", lambda a, k, d, n: d + (a >> k)),
    **_su("RSHR", lambda a, k, d, n: _shift(a, -k, 1)),
    **_su("RSRA", lambda a, k, d, n: d + _shift(a, -k, 1)),
    **_su("QSHL", lambda a, k, d, n: a << k, True),
    "SHL": (False, False, lambda a, k, d, n: a << k),
    "SLI": (False, False, lambda a, k, d, n: a << k | d & (1 << k) - 1),
    "SRI": (False, False, lambda a, k, d, n: a >> k | d >> n - k << n - k),
}
#: Products and sums of narrow elements.
LONG = {
    **_su("ADDL", lambda a, b, d, n: a + b),
    **_su("SUBL", lambda a, b, d, n: a - b),
    **_su("ABDL", lambda a, b, d, n: abs(a - b)),
    **_su("ABAL", lambda a, b, d, n: d + abs(a - b)),
    **_su("MULL", lambda a, b, d, n: a * b),
    **_su("MLAL", lambda a, b, d, n: d + a * b),
    **_su("MLSL", lambda a, b, d, n: d - a * b),
    "PMULL": (False, False, lambda a, b, d, n: _clmul(a, b)),
    "SQDMULL": (True, True, lambda a, b, d, n: 2 * a * b),
}
#: Narrow results of wide elements; `n` is the bits of the result.
NARROW = {
    "ADDHN": lambda a, b, n: a + b >> n,
    "RADDHN": lambda a, b, n: a + b + (1 << n - 1) >> n,
    "SUBHN": lambda a, b, n: a - b >> n,
    "RSUBHN": lambda a, b, n: a - b + (1 << n - 1) >> n,
}


def _reciprocal(a):
    """1/x to the nearest 1/256, of the middle of those numbers x that begin like a/512."""
    return ((1 << 19) // (2 * a + 1) + 1) // 2


def _reciprocal_root(a):
    a = 2 * a + 1 if a < 256 else 2 * (a | 1)
    return (isqrt(((1 << 28) - 1) // a) + 1) // 2


def _estimate(a, bit, formula):
    return formula(a >> 23) << 23 if a >> bit else 0xFFFF_FFFF


# --- instructions ---------------------------------------------------------------------------


class Word:
    """An instruction of a row, its fields, and the registers it finds."""

    def __init__(self, row, word, v):
        self.row, self.word, self.v = row, word, v
        # As in "SSHR imm (vector)".
        self.name, _, form = row.title.partition(" (")
        self.name, _, self.kind = self.name.partition(" ")
        self.form = form.rstrip(")")
        self.scalar = bool(self.bits(28))
        self.q = self.bits(30)
        self.size = self.bits(22, 2)
        if self.kind == "imm":
            self.size = self.bits(19, 4).bit_length() - 1
        elif self.name == "RBIT":
            self.size = 0
        elif self.name in ("SDOT", "UDOT", "USDOT", "SUDOT", "SMMLA", "UMMLA", "USMMLA"):
            self.size = 2
        self.rd, self.rn, self.rm = self.bits(0, 5), self.bits(5, 5), self.bits(16, 5)

    def bits(self, low, width=1):
        return self.word >> low & (1 << width) - 1

    @property
    def undefined(self):
        if self.size < 0:
            return True
        letter = "BHSD"[self.size]
        note = self.row.note
        if "elements of" in note and letter not in note.partition("elements of ")[2].split(";")[0]:
            return True
        if self.kind == "imm" and self.scalar and self.name in ONLY_D:
            return letter != "D"
        if "no .1D" in note and not self.q and letter == "D":
            return True
        return self.name in ACROSS and not self.scalar and not self.q and letter == "S"

    @property
    def number(self):
        """Of bits to shift by."""
        value, n = self.bits(16, 7), 8 << self.size
        return value - n if self.name in TO_LEFT else 2 * n - value

    def operands(self, bits, signed, part=None, rm=True):
        """Elements of Rn and Rm: all, or of half a register; or the one element of Rm."""
        half = 0 if part is None else 64 * part
        count = None if part is None else 64 // bits
        a = elements(self.v[self.rn] >> half, bits, signed, count)
        if self.kind == "zero" or not rm:
            return a, [0] * len(a)
        if self.kind != "element":
            return a, elements(self.v[self.rm] >> half, bits, signed, count)
        index = self.bits(11) << 1 | self.bits(21)
        number = self.rm
        if self.size == 1:
            index, number = index << 1 | number >> 4, number & 15
        return a, [elements(self.v[number], bits, signed)[index]] * len(a)


ONLY_D = {"SSHR", "USHR", "SSRA", "USRA", "SRSHR", "URSHR", "SRSRA", "URSRA", "SRI", "SHL", "SLI"}
TO_LEFT = {"SHL", "SLI", "SQSHL", "UQSHL", "SQSHLU", "SSHLL", "USHLL"}
ACROSS = {"SADDLV", "UADDLV", "SMAXV", "UMAXV", "SMINV", "UMINV", "ADDV"}


def expected(row, word, v):
    """What Rd holds after an instruction, and whether something was saturated; None if it is
    UNDEFINED. `v` are the 32 registers."""
    w = Word(row, word, v)
    if w.undefined:
        return None
    n = 8 << w.size
    for names, formula in _WAYS:
        if w.name in names and (names is not SHIFTS or w.kind == "imm"):
            return formula(w, n)
    raise KeyError(w.name)


def _finish(w, values, bits, signed=False, saturates=False, counted=None):
    """Exact elements as a register, of which so many bits count: those of one element, or those of
    the vector."""
    if counted is None:
        counted = 128 if w.q else 64
    if w.scalar:
        counted = bits
    values = values[: counted // bits]
    inside = [bounded(value, bits, signed) for value in values] if saturates else values
    return register(inside, bits), inside != values


def _same(w, n):
    signed, saturates, formula = SAME[w.name]
    a, b = w.operands(n, signed)
    d = elements(w.v[w.rd], n, signed)
    values = [formula(*each, n) for each in zip(a, b, d, strict=True)]
    return _finish(w, values, n, signed, saturates)


def _shifts(w, n):
    signed, saturates, formula = SHIFTS[w.name]
    a, _ = w.operands(n, signed, rm=False)
    d = elements(w.v[w.rd], n)
    values = [formula(x, w.number, y, n) for x, y in zip(a, d, strict=True)]
    return _finish(w, values, n, signed, saturates)


def _shift_unsigned(w, n):
    values = [a << w.number for a in elements(w.v[w.rn], n, True)]
    return _finish(w, values, n, False, True)


def _long(w, n):
    signed, saturates, formula = LONG[w.name]
    a, b = w.operands(n, signed, 0 if w.scalar else w.q)
    d = elements(w.v[w.rd], 2 * n)
    values = [formula(*each, n) for each in zip(a, b, d, strict=True)]
    return _finish(w, values, 2 * n, signed, saturates, 128)


def _long_twice(w, n):
    """SQDMLAL and SQDMLSL: both the product and the sum may be saturated."""
    a, b = w.operands(n, True, 0 if w.scalar else w.q)
    products = [2 * x * y for x, y in zip(a, b, strict=True)][: 1 if w.scalar else None]
    inside = [bounded(product, 2 * n, True) for product in products]
    sign = 1 if w.name == "SQDMLAL" else -1
    sums = [d + sign * p for d, p in zip(elements(w.v[w.rd], 2 * n, True), inside, strict=False)]
    value, saturated = _finish(w, sums, 2 * n, True, True, 128)
    return value, saturated or inside != products


def _wide(w, n):
    signed = w.name[0] == "S"
    a = elements(w.v[w.rn], 2 * n, signed)
    _, b = w.operands(n, signed, w.q)
    sign = 1 if "ADD" in w.name else -1
    return register([x + sign * y for x, y in zip(a, b, strict=True)], 2 * n), False


def _shift_long(w, n):
    k = n if w.name == "SHLL" else w.number
    a, _ = w.operands(n, w.name[0:2] == "SS", w.q, rm=False)
    return register([x << k for x in a], 2 * n), False


def _into_half(w, values, n, signed=False, saturates=False):
    value, saturated = _finish(w, values, n, signed, saturates, 64)
    if w.q and not w.scalar:
        value = value << 64 | w.v[w.rd] & (1 << 64) - 1
    return value, saturated


def _narrow(w, n):
    a, b = elements(w.v[w.rn], 2 * n), elements(w.v[w.rm], 2 * n)
    return _into_half(w, [NARROW[w.name](x, y, n) for x, y in zip(a, b, strict=True)], n)


def _narrow_shift(w, n):
    """XTN and SHRN, and what saturates of them."""
    by = -w.number if w.kind == "imm" else 0
    saturates, rounding = "Q" in w.name, "RSHR" in w.name
    signed = saturates and w.name[0] == "S"
    values = [_shift(a, by, rounding) for a in elements(w.v[w.rn], 2 * n, signed)]
    return _into_half(w, values, n, signed and not w.name.endswith("UN"), saturates)


def _saturating_sum(w, n):
    """SUQADD and USQADD."""
    signed = w.name == "SUQADD"
    a, d = elements(w.v[w.rn], n, not signed), elements(w.v[w.rd], n, signed)
    values = [x + y for x, y in zip(a, d, strict=True)]
    return _finish(w, values, n, signed, True)


def _pairs(w, n):
    """ADDP, SMAXP and so on; the scalar ADDP has but one pair."""
    formula = sum if w.name == "ADDP" else max if "MAX" in w.name else min
    signed = w.name[0] == "S"
    half = (128 if w.q else 64) // n
    both = [e for reg in (w.rn, w.rm) for e in elements(w.v[reg], n, signed)[:half]]
    return _finish(w, [formula(both[at : at + 2]) for at in range(0, len(both), 2)], n)


def _add_pairs(w, n):
    a = elements(w.v[w.rn], n, w.name[0] == "S")
    sums = [sum(a[at : at + 2]) for at in range(0, len(a), 2)]
    if w.name[1:] == "ADALP":
        sums = [x + y for x, y in zip(sums, elements(w.v[w.rd], 2 * n), strict=True)]
    return _finish(w, sums, 2 * n)


def _across(w, n):
    a = elements(w.v[w.rn], n, w.name[0] == "S")[: (128 if w.q else 64) // n]
    formula = sum if "ADD" in w.name else max if "MAX" in w.name else min
    return register([formula(a)], 2 * n if w.name.endswith("LV") else n), False


def _reverse(w, n):
    many = int(w.name[3:]) // n
    a = elements(w.v[w.rn], n)
    return _finish(w, [a[at ^ many - 1] for at in range(len(a))], n)


def _permute(w, n):
    count = (128 if w.q else 64) // n
    a, b = elements(w.v[w.rn], n)[:count], elements(w.v[w.rm], n)[:count]
    part = int(w.name[3]) - 1
    if w.name[:3] == "UZP":
        values = (a + b)[part::2]
    elif w.name[:3] == "TRN":
        values = [x for pair in zip(a[part::2], b[part::2], strict=True) for x in pair]
    else:
        both = [x for pair in zip(a, b, strict=True) for x in pair]
        values = both[part * count :][:count]
    return register(values, n), False


def _extract(w, n):
    count = 16 if w.q else 8
    both = elements(w.v[w.rn], 8)[:count] + elements(w.v[w.rm], 8)[:count]
    return register(both[w.bits(11, 4) :][:count], 8), False


def _table(w, n):
    table = [b for at in range(w.bits(13, 2) + 1) for b in elements(w.v[w.rn + at & 31], 8)]
    beyond = elements(w.v[w.rd], 8) if w.name == "TBX" else [0] * 16
    indices = zip(elements(w.v[w.rm], 8), beyond, strict=True)
    return _finish(w, [table[i] if i < len(table) else x for i, x in indices], 8)


def _signs(name):
    """Of the operands of dot products."""
    return {"SU": (True, False), "US": (False, True)}.get(name[:2], (name[0] == "S",) * 2)


def _dot(w, n):
    n_signed, m_signed = _signs(w.name)
    a = elements(w.v[w.rn], 8, n_signed)
    m = w.v[w.rm]
    if w.form == "element":
        m = register([elements(m, 32)[w.bits(11) << 1 | w.bits(21)]] * 4, 32)
    products = [x * y for x, y in zip(a, elements(m, 8, m_signed), strict=True)]
    d = elements(w.v[w.rd], 32)
    return _finish(w, [d[i] + sum(products[4 * i :][:4]) for i in range(4)], 32)


def _matrix(w, n):
    n_signed, m_signed = _signs(w.name)
    a, b = elements(w.v[w.rn], 8, n_signed), elements(w.v[w.rm], 8, m_signed)
    d = elements(w.v[w.rd], 32)
    for i in range(4):
        row, column = a[8 * (i // 2) :][:8], b[8 * (i % 2) :][:8]
        d[i] += sum(x * y for x, y in zip(row, column, strict=True))
    return register(d, 32), False


#: Names, and what is done for them.
_WAYS = [
    (SHIFTS, _shifts),
    ({"SQSHLU"}, _shift_unsigned),
    ({"SSHLL", "USHLL", "SHLL"}, _shift_long),
    (SAME, _same),
    (LONG, _long),
    ({"SQDMLAL", "SQDMLSL"}, _long_twice),
    ({"SADDW", "UADDW", "SSUBW", "USUBW"}, _wide),
    (NARROW, _narrow),
    ({"XTN", "SQXTN", "UQXTN", "SQXTUN", "SHRN", "SQSHRN", "UQSHRN", "SQSHRUN"}, _narrow_shift),
    ({"RSHRN", "SQRSHRN", "UQRSHRN", "SQRSHRUN"}, _narrow_shift),
    ({"SUQADD", "USQADD"}, _saturating_sum),
    ({"ADDP", "SMAXP", "UMAXP", "SMINP", "UMINP"}, _pairs),
    ({"SADDLP", "UADDLP", "SADALP", "UADALP"}, _add_pairs),
    (ACROSS, _across),
    ({"REV64", "REV32", "REV16"}, _reverse),
    ({f"{name}{part}" for name in ("UZP", "TRN", "ZIP") for part in "12"}, _permute),
    ({"EXT"}, _extract),
    ({"TBL", "TBX"}, _table),
    ({"SDOT", "UDOT", "USDOT", "SUDOT"}, _dot),
    ({"SMMLA", "UMMLA", "USMMLA"}, _matrix),
]
