"""Random A64 instructions drawn from the encoding table, and programs and states made of them.

Everything is built to hurt: field values at their edges, register 31 and the same register
twice, addresses at the ends of pages. What would make a program of several instructions useless
is bent afterwards: bases of loads and stores mostly hold addresses of data, branches go forwards
or to the program's own end, nothing loops.
"""

import functools
from dataclasses import dataclass

import numpy as np
from a64_fp_state import controls, generals, vectors
from a64_state import (
    CLREX,
    CODE,
    DATA_VA,
    HIGH,
    PAGE,
    PSTATE_REGISTERS,
    SLOT,
    SLOTS,
    STATE,
    STAY,
    SYSTEM_REGISTERS,
)

from saecore._defs import MODE_EL0T, MODE_EL1H, MODE_EL1T, PSTATE_DAIF
from saecore._sysregs import SYSREGS, Home
from saecore.a64._blocks import operations

MAX_INSNS = 16
START = 2  # words of a slot before a program's first; where backward branches go
END = 28
#: Registers that hold addresses of data, offsets, and an address in the program's slot.
POINTERS, OFFSETS, TARGET = (1, 9, 17, 28, 31), (2, 10), 16
CONTROL = 29  # holds a value for FPCR
_KEPT = (*POINTERS, *OFFSETS, TARGET, CONTROL)
_GENERAL = np.array([n for n in range(31) if n not in _KEPT], "u4")
NOP = 0xD503201F
MRS_FPSR, MSR_FPSR, MSR_FPCR = 0xD53B4420, 0xD51B4420, 0xD51B4400
EDGES = np.array(
    [0, 1, 2, 3, 4, 7, 8, 31, 32, 63, 64, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF,
     0x8000_0000, 0xFFFF_FFFF, 0x1_0000_0000, 0x7FFF_FFFF_FFFF_FFFF, 1 << 63, (1 << 64) - 1,
     (1 << 64) - 2, 0xFFFF_FFFF_8000_0000, 0xAAAA_AAAA_AAAA_AAAA, 0x0123_4567_89AB_CDEF],
    "u8",
)


#: Most programs are long: what a case costs does not depend on it.
_LENGTHS = np.array([*range(1, 17), *range(9, 17), *range(12, 17), 16, 16])
_RARE = {"svc", "brk", "hvc", "smc", "hlt", "dcps1", "dcps2", "dcps3", "drps", "eret", "wfi",
         "wfe", "msr_ssbs", "msr_dit", "sysl"}
#: TLBI, DC, IC and AT, in place.
_INSTRUCTIONS = np.array(
    [row.key << 5 for row in SYSREGS if row.home is Home.INSTRUCTION], "u4"
)


def _matches(words, mask, value):
    return (words & np.uint32(mask)) == np.uint32(value)


@functools.cache
def _masks(rows):
    """Fixed bits of rows, and what they are."""
    return np.array([(row.mask, row.value) for row in rows], "u4").T


def name_of(rows, word):
    """The key of the row a word is of, if it is of one; `rows` is a tuple."""
    masks, values = _masks(rows)
    found = np.flatnonzero((masks & np.uint32(word)) == values)
    return rows[found[0]].key if len(found) else None


class Rows:
    """Random words of the rows of an encoding table."""

    def __init__(self, encodings, rare=()):
        self.rows = tuple(encodings)
        self.groups = np.array([row.group for row in self.rows])
        weights = np.where([row.key in _RARE for row in self.rows], 0.2, 1.0)
        weights[[row.key in rare for row in self.rows]] = 0.1
        self._chances = weights / weights.sum()

    def choose(self, rng, shape):
        """Numbers of rows; those that end a program come less often."""
        return rng.choice(len(self.rows), shape, p=self._chances)

    def words(self, rng, which):
        """One word for each number of a row in the array `which`."""
        words = np.zeros(which.size, "u4")
        order = np.argsort(which, axis=None)
        counts = np.bincount(which.ravel(), minlength=len(self.rows))
        for row, at in zip(self.rows, np.split(order, np.cumsum(counts)[:-1]), strict=True):
            n = len(at)
            if not n:
                continue
            value = np.full(n, row.value, "u4")
            # Bits that should be zero, or should be one: all of them are, or any.
            should = sum(1 << 31 - at for at, letter in enumerate(row.bits) if letter == ".")
            kinds = np.stack([np.zeros(n), np.full(n, 0xFFFFFFFF), rng.integers(0, 1 << 32, n)])
            pick = rng.choice(3, n, p=(0.45, 0.45, 0.1))
            value |= kinds[pick, np.arange(n)].astype("u4") & np.uint32(should)
            for high, low in row.fields.values():
                value |= self._field(rng, n, high, low) << np.uint32(low)
            words[at] = value
        return words.reshape(which.shape)

    @staticmethod
    def _field(rng, n, high, low):
        width = high - low + 1
        top = (1 << width) - 1
        value = rng.integers(0, top + 1, n, dtype="u4")
        edges = np.array([0, 1, top, top - 1, top >> 1, (top >> 1) + 1], "i8").clip(0, top)
        odd = rng.random(n) < 0.3
        value[odd] = rng.choice(edges, int(odd.sum()))
        if width == 5 and low in (0, 5, 16, 10):
            base = rng.random(n) < 0.15
            value[base] = rng.choice(np.array(POINTERS + OFFSETS), int(base.sum()))
        return value


@dataclass
class Programs:
    """Programs, and where they go.

    `words` are whole slots (n, 32); `lengths` says how many random instructions each has, behind
    its first, and `which` the rows of the table they are of. `starts` and `ends` are addresses.
    """

    words: np.ndarray
    lengths: np.ndarray
    which: np.ndarray
    base: int

    @property
    def slots(self):
        return self.base + SLOT * (np.arange(len(self.lengths)) % SLOTS)

    @property
    def starts(self):
        return self.slots + 4 * START

    @property
    def ends(self):
        return self.slots + 4 * END


#: Instructions that end a program: what comes behind them is not reached, or it was before.
ENDING = [
    (0xFFE0001F, 0xD4000001),  # SVC
    (0xFFE0001F, 0xD4200000),  # BRK
    (0xFE000000, 0xD6000000),  # branches to registers, exception returns
]
#: No judge for these: Unicorn halts, asks semihosting, or emulates firmware.
UNJUDGED = [
    (0xFFFFFFFF, 0xD503203F),  # YIELD
    (0xFFFFFFFF, 0xD503205F),  # WFE
    (0xFFFFFFFF, 0xD503207F),  # WFI
    (0xFFE0001F, 0xD4000002),  # HVC
    (0xFFE0001F, 0xD4000003),  # SMC
    (0xFFE0001F, 0xD4400000),  # HLT
]


def make_programs(
    rng, rows, count=SLOTS, which=None, length=None, watched=False, features=None
):
    """`count` programs of 1 to 16 instructions, at slots of their own.

    `which` says which rows the instructions are of (count, 16); `length` how many there are. A
    `watched` program reads and clears FPSR now and then: its flags would soon all be set. With
    `features` nearly all instructions are such as a processor with these knows.
    """
    if which is None:
        which = rows.choose(rng, (count, MAX_INSNS))
    lengths = rng.choice(_LENGTHS, count) if length is None else np.full(count, length)
    body = rows.words(rng, which)
    _bend_overlaps(rng, body)
    system = rows.groups[which] == "system"
    _bend_bases(rng, body)
    _bend_targets(rng, body)
    _bend_system(rng, body, system)
    _bend_branches(rng, body)
    if features is not None:
        _define(rng, rows, body, which, features)
    if watched:
        which = _watch(rng, body, which)
    for mask, value in UNJUDGED:
        body[_matches(body, mask, value)] = NOP
    beyond = np.arange(MAX_INSNS) >= lengths[:, None]
    last = np.arange(MAX_INSNS) == lengths[:, None] - 1
    ending = np.zeros(body.shape, bool)
    for mask, value in ENDING:
        ending |= _matches(body, mask, value)
    body[ending & ~last & ~beyond & (rng.random(body.shape) < 0.9)] = NOP
    # What goes to a register must not find there where it has been: that would be a loop.
    indirect = _matches(body, 0xFE000000, 0xD6000000) & ~beyond
    body[indirect & (np.cumsum(indirect, axis=1) > 1)] = NOP
    knows = _matches(body, 0xFC000000, 0x94000000) | _matches(body, 0x1F000000, 0x10000000)
    body[knows & indirect.any(axis=1)[:, None]] = NOP
    position = np.broadcast_to(START + 1 + np.arange(MAX_INSNS), body.shape)
    body[beyond] = (STAY + END - position)[beyond]
    slots = np.full((count, SLOT // 4), STAY, "u4")
    slots[:, 0] = STAY + END
    slots[:, 1] = STAY + END - 1
    slots[:, START] = CLREX
    slots[:, START + 1 : START + 1 + MAX_INSNS] = body
    behind = np.arange(START + 1 + MAX_INSNS, END)
    slots[:, behind] = STAY + END - behind
    # Now and then a program lies across two pages.
    return Programs(slots, lengths, which, CODE + int(rng.choice([0, SLOT // 2])))


def _define(rng, rows, words, which, features):
    """Draw words anew that are UNDEFINED, of the same rows; what still is becomes NOP mostly."""
    for last in (False, False, True):
        undefined = np.zeros(words.shape, bool)
        for number, program in enumerate(words.copy()):
            found = operations(program, 0, 1, features)
            while found[-3][1] == "undefined":
                undefined[number, found[-3][0]] = True
                program[found[-3][0]] = NOP
                found = operations(program, 0, 1, features)
        if last:
            words[undefined & (rng.random(words.shape) < 0.98)] = NOP
        else:
            words[undefined] = rows.words(rng, which[undefined])


def _watch(rng, words, which):
    """Put MRS X, FPSR and MSR FPSR, XZR into programs, and MSR FPCR; `which` is then -1."""
    period = rng.choice(np.array([3, 4, 4, 6, 99]), (len(words), 1))
    phase = np.arange(MAX_INSNS) % period
    reads, clears = phase == period - 2, phase == period - 1
    words[reads] = MRS_FPSR | rng.choice(_GENERAL, int(reads.sum()))
    words[clears] = MSR_FPSR | 31
    control = ~(reads | clears) & (rng.random(words.shape) < 0.04)
    words[control] = MSR_FPCR | CONTROL
    return np.where(reads | clears | control, -1, which)


def loads_and_stores(words):
    """Whether words are in the group of loads and stores."""
    return _matches(words, 0x0A000000, 0x08000000)


def _set_field(words, at, low, values):
    words[at] = words[at] & ~np.uint32(31 << low) | values.astype("u4") << np.uint32(low)


def _bend_overlaps(rng, words):
    """Let SIMD&FP instructions often write what they read, and read a register twice."""
    simd = _matches(words, 0x0E000000, 0x0E000000)
    for low, source, chance in ((5, 16, 0.08), (0, 5, 0.12), (0, 16, 0.08)):
        at = simd & (rng.random(words.shape) < chance)
        _set_field(words, at, low, words[at] >> np.uint32(source) & np.uint32(31))


def _bend_bases(rng, words):
    """Give loads and stores bases that hold addresses, and small offsets."""
    memory = loads_and_stores(words)
    literal = _matches(words, 0x3B000000, 0x18000000)
    at = memory & ~literal & (rng.random(words.shape) < 0.97)
    # TARGET least of all: writeback could send a branch into another program.
    at |= memory & ~literal & (words >> np.uint32(5) & np.uint32(31) == TARGET)
    _set_field(words, at, 5, rng.choice(np.array(POINTERS), int(at.sum())))
    at = _matches(words, 0x3B200C00, 0x38200800) & (rng.random(words.shape) < 0.9)
    _set_field(words, at, 16, rng.choice(np.array(OFFSETS), int(at.sum())))
    at = _matches(words, 0x3B000000, 0x39000000) & (rng.random(words.shape) < 0.9)
    words[at] &= ~np.uint32(0xFC0 << 10)
    # Writeback keeps SP aligned.
    stack = _matches(words, 0x3E0, 0x3E0) & (rng.random(words.shape) < 0.95)
    words[stack & _matches(words, 0x3B200400, 0x38000400)] &= ~np.uint32(0xF << 12)
    words[stack & _matches(words, 0x3A800000, 0x28800000)] &= ~np.uint32(0x3 << 15)
    at = literal & memory & (rng.random(words.shape) < 0.9)
    words[at] &= ~np.uint32(0x7FE00 << 5)


def _bend_targets(rng, words):
    """Mostly leave registers alone that hold addresses."""
    kept = np.zeros(32, bool)
    kept[list(_KEPT)] = True
    kept[31] = False
    places = {0: np.ones(words.shape, bool)}
    memory = loads_and_stores(words)
    places[10] = memory & (_matches(words, 0x38000000, 0x28000000)
                           | _matches(words, 0x3F000000, 0x08000000))  # Rt2
    places[16] = _matches(words, 0x3F000000, 0x08000000)  # Rs
    # SP is a result of these; it should mostly stay aligned, and a pointer.
    to_sp = (
        _matches(words, 0x3F000000, 0x11000000)
        | _matches(words, 0x1F800000, 0x12000000) & ~_matches(words, 0x60000000, 0x60000000)
        | _matches(words, 0x3F200000, 0x0B200000)
    ) & _matches(words, 0x1F, 0x1F) & (rng.random(words.shape) < 0.95)
    _set_field(words, to_sp, 0, rng.choice(_GENERAL, int(to_sp.sum())))
    branches = _matches(words, 0x1C000000, 0x14000000)
    for low, where in places.items():
        number = words >> np.uint32(low) & np.uint32(31)
        at = where & ~branches & kept[number] & (rng.random(words.shape) < 0.9)
        _set_field(words, at, low, rng.choice(_GENERAL, int(at.sum())))


def _bend_system(rng, words, system):
    """Let MSR and MRS name registers that both machines have."""
    registers = np.array(
        [op0 << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5
         for op0, op1, crn, crm, op2 in (*SYSTEM_REGISTERS.values(), *PSTATE_REGISTERS.values())],
        "u4",
    )
    at = system & _matches(words, 0xFFD00000, 0xD5100000)
    number = rng.choice(registers, int(at.sum()))
    words[at] = words[at] & np.uint32(0xFFE0001F) | number
    at = system & _matches(words, 0xFFD80000, 0xD5080000)
    words[at] = words[at] & np.uint32(0xFFE0001F) | rng.choice(_INSTRUCTIONS, int(at.sum()))
    # An address for cache maintenance should often be one.
    at &= rng.random(words.shape) < 0.9
    _set_field(words, at, 0, rng.choice(np.array(POINTERS), int(at.sum())))


def _bend_branches(rng, words):
    """Send direct branches forwards, to the start of the slot, or where nothing is mapped."""
    position = np.broadcast_to(START + 1 + np.arange(MAX_INSNS), words.shape)
    forward = rng.integers(0, 1 << 30, words.shape) % (END - position) + 1
    offset = np.where(rng.random(words.shape) < 0.15, -position, forward).astype("i8")
    far = rng.random(words.shape) < 0.03
    kinds = [
        (0x7C000000, 0x14000000, 0, 26),  # B, BL
        (0xFE000000, 0x54000000, 5, 19),  # B.cond
        (0x7E000000, 0x34000000, 5, 19),  # CBZ, CBNZ
        (0x7E000000, 0x36000000, 5, 14),  # TBZ, TBNZ: they do not get that far
    ]
    for mask, value, low, width in kinds:
        at = _matches(words, mask, value)
        field = np.uint32(((1 << width) - 1) << low)
        away = rng.choice([-1, 1], words.shape) * (1 << width - 2) if width > 14 else offset
        target = np.where(far, away, offset)[at].astype("i8")
        words[at] = words[at] & ~field | (target << low).astype("u4") & field
    at = _matches(words, 0xFF800000, 0xD6000000) & (rng.random(words.shape) < 0.95)
    _set_field(words, at, 5, np.full(int(at.sum()), TARGET))


def make_states(rng, programs, levels=("el0", "el1h", "el1t"), fp16=True):
    """A state for each program to start from."""
    count = len(programs.lengths)
    states = np.zeros(count, STATE)
    states["x"] = _values(rng, (count, 31))
    states["v"] = vectors(rng, count)
    states["fpcr"], states["fpsr"] = controls(rng, count, fp16)
    states["x"][:, CONTROL] = controls(rng, count, fp16)[0]
    states["system"] = _values(rng, (count, len(SYSTEM_REGISTERS)))
    for number in POINTERS[:-1]:
        states["x"][:, number] = _pointers(rng, count)
    for number in OFFSETS:
        small = rng.integers(-64, 64, count)
        states["x"][:, number] = np.where(rng.random(count) < 0.97, small, small << 28)
    sp = _pointers(rng, (count, 2)) & ~np.uint64(15)
    states["sp_el0"], states["sp_el1"] = sp.T
    first = programs.slots.astype("u8")
    states["x"][:, TARGET] = first + np.uint64(4) * rng.integers(0, 2, count, dtype="u8")
    states["pc"] = first + np.uint64(4 * START)
    modes = np.array([{"el0": MODE_EL0T, "el1t": MODE_EL1T, "el1h": MODE_EL1H}[name]
                      for name in levels])
    mode = modes[np.arange(count) * len(modes) // count]
    states["pstate"] = mode | PSTATE_DAIF | rng.integers(0, 16, count) << 28
    # Exception returns: to where the program may go, in a state there is.
    names = list(SYSTEM_REGISTERS)
    fine = rng.random(count) < 0.9
    elr, spsr = names.index("ELR_EL1"), names.index("SPSR_EL1")
    states["system"][fine, elr] = states["x"][fine, TARGET]
    states["system"][:, spsr] = states["system"][:, spsr] & np.uint64(0xF << 28)
    states["system"][:, spsr] |= rng.choice(modes, count).astype("u8") | np.uint64(PSTATE_DAIF)
    return states


def _values(rng, shape):
    value = rng.integers(0, 1 << 64, shape, dtype="u8", endpoint=False)
    value >>= rng.integers(0, 64, shape, dtype="u8") * (rng.random(shape) < 0.3)
    odd = rng.random(shape) < 0.4
    value[odd] = rng.choice(EDGES, int(odd.sum()))
    odd = rng.random(shape) < 0.2
    value[odd] = generals(rng, int(odd.sum()))
    return value


def _pointers(rng, shape):
    """Addresses of data: anywhere in the middle pages, aligned, and at the ends of pages."""
    value = rng.integers(DATA_VA + 7 * PAGE, DATA_VA + 10 * PAGE, shape, dtype="u8")
    value = np.where(rng.random(shape) < 0.8, value & ~np.uint64(15), value)
    edge = DATA_VA + PAGE * rng.integers(1, 16, shape) + rng.integers(-17, 2, shape)
    value = np.where(rng.random(shape) < 0.06, edge.astype("u8"), value)
    return np.where(rng.random(shape) < 0.1, value | np.uint64(HIGH), value)


def edge_words(rng, rows, count):
    """Words of rows with one of the fixed bits flipped."""
    which = rng.integers(0, len(rows.rows), count)
    words = rows.words(rng, which)
    masks = np.array([row.mask for row in rows.rows], "u4")[which]
    bits = np.uint32(1) << np.arange(32, dtype="u4")
    fixed = (masks[:, None] & bits) != 0
    pick = np.argmax(np.where(fixed, rng.random(fixed.shape), -1.0), axis=1)
    return words ^ bits[pick]


def forwards(words):
    """The same words, but direct branches go to the next instruction."""
    words = words.copy()
    for mask, value, low, width in (
        (0x7C000000, 0x14000000, 0, 26), (0xFE000000, 0x54000000, 5, 19),
        (0x7E000000, 0x34000000, 5, 19), (0x7E000000, 0x36000000, 5, 14),
    ):
        at = _matches(words, mask, value)
        field = np.uint32(((1 << width) - 1) << low)
        words[at] = words[at] & ~field | np.uint32(1 << low)
    return words
