"""The encodings of loads, stores and moves, and the operations they become.

Judges: Capstone names what the rows describe; Unicorn says which words are instructions; the C
preprocessor says which operations the headers have.
"""

import itertools
import random
import re
import subprocess
import sysconfig
from pathlib import Path

import capstone
import pytest
import unicorn
from unicorn import arm64_const as arm

from saecore._defs import Feature
from saecore.a64.encodings import OPS, Encoding, memory, simd

INCLUDE = Path(__file__).parents[2] / "saecore" / "include"
ROWS = [*memory.ENCODINGS, *simd.ENCODINGS]
ALL_FEATURES = Feature.FP | Feature.LSE | Feature.LOR | Feature.LRCPC

#: Aliases a disassembler prefers to the names of our rows.
ALIASES = {
    "DUP": ("mov",),
    "INS": ("mov",),
    "UMOV": ("mov",),
    "ORR": ("mov",),
    **{f"LD{op}": (f"st{op.lower()}",) for op in ("ADD", "CLR", "EOR", "SET")},
    **{f"LD{op}": (f"st{op.lower()}",) for op in ("SMAX", "SMIN", "UMAX", "UMIN")},
    # Exclusives and atomics have letters for order in the middle of their names.
    "LDXR": ("ldaxr",),
    "LDXP": ("ldaxp",),
    "STXR": ("stlxr",),
    "STXP": ("stlxp",),
}


#: With what is costly to ask a row for.
FIXED = [(row.mask, row.value, row) for row in ROWS]
LOADS = [entry for entry in FIXED if entry[1] >> 25 & 5 == 4]  # bits 27 and 25: loads, stores


def find(word: int, features: Feature = ALL_FEATURES) -> list[str]:
    """The rows a word matches."""
    return [
        row.key
        for mask, value, row in FIXED
        if word & mask == value and not (row.feature or Feature(0)) & ~features
    ]


def instance(mask: int, value: int, rng: random.Random) -> int:
    return value | rng.getrandbits(32) & ~mask


def names(row: Encoding) -> list[str]:
    """How a mnemonic of the row begins; LD1 to LD4 share rows."""
    name = re.match(r"[A-Z]+", row.title)[0]
    span = re.match(r"([A-Z]+)(\d)(R?) to \w+?(\d)", row.title)
    if span:
        stem, first, replicate, last = span.groups()
        return [f"{stem}{n}{replicate}".lower() for n in range(int(first), int(last) + 1)]
    return [name.lower(), *ALIASES.get(name, ())]


def test_rows_are_well_formed():
    keys = [row.key for row in ROWS]
    assert len(keys) == len(set(keys))
    for row in ROWS:
        assert re.fullmatch(r"[01.a-zA-Z]{32}", row.bits), row.key
        assert row.key.isidentifier()
        assert row.feature == Feature.FP or row.group == "memory"


def test_no_word_matches_two_rows():
    for (mask, value, one), (also, other_value, other) in itertools.combinations(FIXED, 2):
        assert (value ^ other_value) & mask & also, (one.key, other.key)


@pytest.mark.parametrize("seed", range(4))
def test_capstone_gives_the_same_names(seed):
    rng = random.Random(seed)
    disassembler = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
    silent = set()
    for mask, value, row in FIXED:
        spoken = 0
        should_be_one = int("".join("1" if c == "." else "0" for c in row.bits), 2)
        for _ in range(30):
            word = instance(mask, value, rng) | should_be_one
            for insn in disassembler.disasm(word.to_bytes(4, "little"), 0):
                spoken += 1
                assert insn.mnemonic.startswith(tuple(names(row))), (row.key, hex(word), insn)
        if not spoken:
            silent.add(row.key)
    assert not silent


class Judge:
    """A processor of Unicorn that executes single words and says which are UNDEFINED."""

    _CODE, _BYTES = 0x10_0000, 0x1000
    _UNDEFINED = 1

    def __init__(self, model: int) -> None:
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        self.uc.ctl_set_cpu_model(model)
        self.uc.mem_map(self._CODE, self._BYTES)
        self.uc.reg_write(arm.UC_ARM64_REG_CPACR_EL1, 3 << 20)
        self.uc.hook_add(unicorn.UC_HOOK_INTR, self._interrupt)
        self._seen: int | None = None

    def _interrupt(self, uc: unicorn.Uc, number: int, _data: object) -> None:
        self._seen = number
        uc.emu_stop()

    def undefined(self, word: int) -> bool:
        pc = self._CODE
        self.uc.mem_write(pc, word.to_bytes(4, "little"))
        self.uc.ctl_remove_cache(pc, pc + 4)
        self._seen = None
        try:
            self.uc.emu_start(pc, pc + 4, count=1)
        except unicorn.UcError:
            return False  # there is no memory at its address, but it is an instruction
        return self._seen == self._UNDEFINED


#: Instructions Unicorn's largest processor has beyond ours.
BEYOND = [
    Encoding("ldraa", "LDRAA, LDRAB", "11 111 0 00 ms1 iiiiiiiii w1 nnnnn ttttt", ""),
    Encoding("ldapur", "LDAPUR, STLUR", "zz 011 0 01 oo0 iiiiiiiii 00 nnnnn ttttt", ""),
]


MODELS = {
    "a57": (arm.UC_CPU_ARM64_A57, Feature.FP),
    "max": (arm.UC_CPU_ARM64_MAX, ALL_FEATURES),
}


def words_near(rng: random.Random, n: int):
    """Load and store words: at random, and such as differ from an instruction by a bit or two."""
    for _ in range(n):
        word = rng.getrandbits(32)
        if rng.random() < 0.8:
            word = instance(*rng.choice(LOADS)[:2], rng)
            for _ in range(rng.randrange(3)):
                word ^= 1 << rng.randrange(32)
        word = word & ~(1 << 25) | 1 << 27
        if not any(word & row.mask == row.value for row in BEYOND):
            yield word


def disagreements(model: str, seed: int, n: int) -> list[str]:
    """Words that one side takes for an instruction of this part and the other does not."""
    cpu, features = MODELS[model]
    judge = Judge(cpu)
    return [
        f"{word:#010x} {find(word, features)}"
        for word in words_near(random.Random(seed), n)
        if judge.undefined(word) == bool(find(word, features))
    ]


@pytest.mark.parametrize("model", MODELS)
def test_unicorn_agrees_what_is_undefined(model):
    assert not disagreements(model, 1, 15000)


@pytest.mark.campaign
@pytest.mark.parametrize("model", MODELS)
def test_unicorn_agrees_what_is_undefined_for_long(model):
    assert not disagreements(model, 2, 2_000_000)


def test_every_move_is_an_instruction():
    """Their neighbours are for the rows of vector arithmetic; here only what we claim counts."""
    judge = Judge(arm.UC_CPU_ARM64_A57)
    rng = random.Random(3)
    for mask, value, row in FIXED:
        if (mask, value, row) not in LOADS:
            for _ in range(20):
                word = instance(mask, value, rng)
                assert not judge.undefined(word), (row.key, hex(word))


@pytest.mark.parametrize(
    ("header", "before", "operations"),
    [
        ("sae_ops_memory.h", (), memory.OPS),
        ("sae_ops_simd.h", ("sae_ops_memory.h",), simd.OPS),
    ],
)
def test_headers_and_table_have_the_same_operations(header, before, operations, tmp_path):
    compiler = (sysconfig.get_config_var("CC") or "cc").split()
    source = tmp_path / "labels.c"
    lines = ["#define OP(name) LABEL name;", *(f'#include "{name}"' for name in before)]
    source.write_text("\n".join([*lines, "BEHIND;", f'#include "{header}"', ""]))
    text = subprocess.run(
        [*compiler, "-E", "-P", f"-I{INCLUDE}", str(source)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = re.findall(r"LABEL (\w+)", text.split("BEHIND;")[1])
    assert len(found) == len(set(found))
    assert set(operations) <= set(found) <= set(OPS)


def test_operations_are_in_the_order_the_emitters_count_on():
    def run(first: str, names: list[str]) -> None:
        at = ops.index(first)
        assert ops[at : at + len(names)] == names

    ops = memory.OPS + simd.OPS
    single = ["_imm", "_sp", "_wb", "_reg", "_uxtw", "_sxtw"]
    pair = single[:3]
    sizes = ["8", "16", "32", "64"]
    extended = ("st{}", "ld{}", "ld{}s64", "ld{}s32")
    kinds = [kind.format(bits) for bits in sizes for kind in extended]
    kinds = [kind for kind in kinds if kind not in ("ld32s32", "ld64s64", "ld64s32")]
    run("st8_imm", [kind + form for kind in kinds for form in [*single, "_user"]])
    vectors = [f"{kind}{bits}" for bits in (*sizes, "128") for kind in ("vst", "vld")]
    run("vst8_imm", [kind + form for kind in vectors for form in single])
    vectors = [f"{kind}{bits}" for bits in ("32", "64", "128") for kind in ("vstp", "vldp")]
    run("vstp32_imm", [kind + form for kind in vectors for form in pair])
    for kind in ("stp32", "ldp32", "ldp32s64", "stp64", "ldp64"):
        run(f"{kind}_imm", [kind + form for form in pair])
    for kind in ("stl", "lda", "stx", "ldx", "cas", "swp"):
        run(f"{kind}8", [kind + bits for bits in sizes])
    atomics = ["add", "clr", "eor", "set", "smax", "smin", "umax", "umin"]
    run("ldadd8", [f"ld{kind}{bits}" for kind in atomics for bits in sizes])
    run("vand", ["vand", "vbic", "vorr", "vorn", "veor", "vbsl", "vbit", "vbif"])
