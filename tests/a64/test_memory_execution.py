"""Loads and stores where Unicorn is no judge: faults and their syndromes, alignment, the monitor,
and minimums of signed numbers, of which it compares those below 64 bits without their signs.

What these should do is written down here by the manual's rules. Instructions are made from the
encoding table, whose own test has Capstone name them.
"""

import itertools

import numpy as np
import pytest
from guest import AF, READ_ONLY, TCR_4K, Guest

from saecore import Processor, cpu_model
from saecore._defs import Feature, Icptr
from saecore._sysregs import saved_names
from saecore.a64.encodings import ENCODINGS

ROWS = {row.key: row for row in ENCODINGS}
CODE, VECTORS, DATA = 0x1000, 0x2000, 0x10000
LAST = DATA + 0x3000  # the last page of data, read-only; nothing is mapped behind
NOTHING, ELSEWHERE = DATA + 0x4000, 0x4000_0000  # not mapped; mapped to where no memory is
X = [DATA + 0x100 * n for n in range(31)]
MMFR0_48_BITS = 5
SCTLR_M, SCTLR_SA = 1 << 0, 1 << 3
EC_FP, EC_DABT, EC_SP = 0x07, 0x25, 0x26
ALIGNMENT, TRANSLATION_3, PERMISSION_3 = 0x21, 0x07, 0x0F
WNR = 1 << 6
BRANCH_TO_SELF = 0x14000000


def word(key: str, **fields: int) -> int:
    """An instruction: a row of the table and values for letters of its pattern."""
    row = ROWS[key]
    value = row.value
    for letter, number in fields.items():
        high, low = row.fields[letter]
        assert 0 <= number < 2 << high - low
        value |= number << low
    return value


class Machine:
    """A processor at EL1 with an identity mapping of a few pages."""

    def __init__(self) -> None:
        self.guest = Guest(2 << 20)
        for page in (CODE, VECTORS, DATA, DATA + 0x1000, DATA + 0x2000):
            self.guest.map(page, page, AF)
        self.guest.map(LAST, LAST, AF | READ_ONLY)
        self.guest.map(ELSEWHERE, ELSEWHERE, AF)
        self.guest.fault_in_all()
        self.memory = self.guest.ram.array
        for offset in range(0, 0x800, 0x80):
            self.put(VECTORS + offset, BRANCH_TO_SELF, 4)
        self.processor = Processor(self.guest.g, cpu_model()._replace(flags=~Feature(0)))
        self.sp = DATA + 0x800
        self.registers = {
            "TTBR0_EL1": self.guest.root,
            "TTBR1_EL1": self.guest.root,
            "TCR_EL1": TCR_4K,
            "MAIR_EL1": 0xFF,
            "SCTLR_EL1": SCTLR_M,
            "VBAR_EL1": VECTORS,
            "CPACR_EL1": 3 << 20,
            "ID_AA64MMFR0_EL1": MMFR0_48_BITS,
        }

    def put(self, address: int, value: int, nbytes: int) -> None:
        self.memory[address : address + nbytes] = np.frombuffer(
            value.to_bytes(nbytes, "little"), np.uint8
        )

    def get(self, address: int, nbytes: int) -> int:
        return int.from_bytes(self.memory[address : address + nbytes].tobytes(), "little")

    def run(self, *words: int, x: dict[int, int] | None = None, **registers: int) -> Icptr:
        """Execute instructions; registers are X[n] but for those given."""
        for n, value in enumerate(words):
            self.put(CODE + 4 * n, value, 4)
        p = self.processor
        names = saved_names()
        for name, value in (self.registers | registers).items():
            p.save_area["regs"][names.index(name)] = value
        p.block["gpr"] = [(x or {}).get(n, X[n]) for n in range(31)]
        p.block["pc"], p.block["sp_el1"], p.block["pstate"] = CODE, self.sp, 0x3C5
        p.lasrm()
        p.sae(max_insns=len(words))
        icptr = Icptr(int(p.block["icptr"]))
        p.stiasrm()
        self.x = [int(value) for value in p.block["gpr"]]
        self.saved = dict(zip(names, map(int, p.save_area["regs"]), strict=False))
        self.pc = int(p.block["pc"])
        return icptr

    def result(self, *words: int, **options) -> list[int]:
        """The registers behind instructions that do not fault."""
        assert self.run(*words, **options) == Icptr.SPURIOUS
        assert self.pc == CODE + 4 * len(words), hex(self.saved["ESR_EL1"])
        return self.x

    def fault(self, *words: int, **options) -> tuple[int, int]:
        """ESR_EL1 and FAR_EL1 of an exception that the last one takes."""
        self.run(*words, **options)
        assert self.pc == VECTORS + 0x200
        assert self.saved["ELR_EL1"] == CODE + 4 * (len(words) - 1)
        return self.saved["ESR_EL1"], self.saved["FAR_EL1"]


@pytest.fixture(scope="module")
def machine():
    return Machine()


def esr(ec: int, iss: int) -> int:
    return ec << 26 | 1 << 25 | iss


# --- alignment ------------------------------------------------------------------------------

ORDERED = ["ldar", "stlr", "ldlar", "stllr", "ldapr", "ldxr"]
ATOMICS = ["ldadd", "ldclr", "ldeor", "ldset", "ldsmax", "ldsmin", "ldumax", "ldumin", "swp", "cas"]


@pytest.mark.parametrize("key", ORDERED + ATOMICS)
def test_ordered_and_atomic_accesses_are_aligned(machine, key):
    machine.result(word(key, z=0, n=1, t=2), x={1: DATA + 1})
    for size in (1, 2, 3):
        instruction = word(key, z=size, n=1, t=2)
        machine.result(instruction, x={1: DATA + (1 << size)})
        at = DATA + (1 << size) // 2
        code, far = machine.fault(instruction, x={1: at})
        write = WNR if key in ("stlr", "stllr") else 0
        assert (code, far) == (esr(EC_DABT, ALIGNMENT | write), at)
        assert machine.x[2] == X[2]


@pytest.mark.parametrize(
    ("key", "z", "nbytes"), [("ldxp", 0, 8), ("ldxp", 1, 16), ("casp", 0, 8), ("casp", 1, 16)]
)
def test_pairs_in_place_are_aligned_as_a_whole(machine, key, z, nbytes):
    t = 1 if key == "casp" else 2  # of CASP a pair's number
    instruction = word(key, z=z, n=8, t=t)
    machine.result(instruction, x={8: DATA + nbytes})
    code, far = machine.fault(instruction, x={8: DATA + nbytes // 2})
    assert (code, far) == (esr(EC_DABT, ALIGNMENT), DATA + nbytes // 2)


SP = 31
BASED_ON_SP = {
    "offset": word("ldr_offset", z=1, n=SP),
    "pre": word("str_pre", z=1, n=SP, i=8),
    "post": word("ldr_post", z=1, n=SP, i=8),
    "register": word("ldr_register", z=1, n=SP, m=1, e=1, f=1),
    "unprivileged": word("ldtr_unprivileged", z=1, n=SP),
    "pair": word("ldp_offset", z=1, n=SP, u=1),
    "pair, pre": word("stp_pre", z=1, n=SP, u=1),
    "acquire": word("ldar", z=3, n=SP),
    "exclusive": word("ldxr", z=3, n=SP),
    "atomic": word("ldadd", z=3, n=SP, s=1),
    "vector": word("ldr_offset_q", n=SP),
    "structure": word("ld1x1", q=1, n=SP),
}


@pytest.mark.parametrize("form", BASED_ON_SP)
def test_sp_is_aligned_while_sctlr_says_so(form):
    machine = Machine()
    machine.guest.map(DATA, DATA, AF | 1 << 6)  # LDTR may read it
    instruction = BASED_ON_SP[form]
    machine.sp = DATA + 0x808
    machine.result(instruction, x={1: 16})
    code, _ = machine.fault(instruction, x={1: 16}, SCTLR_EL1=SCTLR_M | SCTLR_SA)
    assert code == esr(EC_SP, 0)
    machine.sp = DATA + 0x810
    machine.result(instruction, x={1: 16}, SCTLR_EL1=SCTLR_M | SCTLR_SA)


def test_a_prefetch_looks_at_neither_sp_nor_memory(machine):
    machine.sp = NOTHING + 8
    machine.result(word("prfm_offset", n=SP), SCTLR_EL1=SCTLR_M | SCTLR_SA)
    machine.sp = DATA + 0x800


# --- faults ---------------------------------------------------------------------------------


def test_what_faults_changes_no_register(machine):
    for key, at in [
        ("ldr_pre", NOTHING),
        ("ldr_post", NOTHING - 4),
        ("ldp_post", NOTHING - 8),
        ("ldpsw_pre", NOTHING - 4),
        ("ldxp", NOTHING),
        ("ldadd", NOTHING),
        ("ld4_post", NOTHING - 24),
    ]:
        wide = {"z": 1, "q": 1}
        fields = {k: v for k, v in wide.items() if k in ROWS[key].fields}
        code, far = machine.fault(word(key, n=1, t=2, **fields), x={1: at})
        assert (code, far) == (esr(EC_DABT, TRANSLATION_3), NOTHING), key
        assert machine.x == [at if n == 1 else X[n] for n in range(31)], key


def test_a_store_across_the_edge_says_where_it_stopped(machine):
    for key, fields in [
        ("str_offset", {"z": 1}),
        ("stp_offset", {"z": 1, "u": 3}),
        ("str_offset_q", {}),
        ("st2", {"q": 1}),
    ]:
        code, far = machine.fault(word(key, n=1, t=2, **fields), x={1: LAST - 4})
        assert (code, far) == (esr(EC_DABT, PERMISSION_3 | WNR), LAST), key


def test_an_atomic_needs_to_write_and_a_failed_one_too(machine):
    for key in ATOMICS:
        code, far = machine.fault(word(key, z=3, n=1, t=2), x={1: LAST})
        assert (code, far) == (esr(EC_DABT, PERMISSION_3 | WNR), LAST), key
        # Who could not even read it hears of that.
        code, far = machine.fault(word(key, z=3, n=1, t=2), x={1: NOTHING})
        assert (code, far) == (esr(EC_DABT, TRANSLATION_3), NOTHING), key


def test_unprivileged_accesses_have_the_rights_of_el0(machine):
    machine.result(word("ldur_unscaled", z=1, n=1, t=2))
    for key, write in (("ldtr_unprivileged", 0), ("sttr_unprivileged", WNR)):
        code, far = machine.fault(word(key, z=1, n=1, t=2))
        assert (code, far) == (esr(EC_DABT, PERMISSION_3 | write), X[1])


FP = [key for key, row in ROWS.items() if row.group == "simd" and row.feature == Feature.FP]


def test_every_vector_instruction_is_trapped(machine):
    for key in FP:
        code, _ = machine.fault(word(key), CPACR_EL1=0)
        assert code == esr(EC_FP, 0x1E << 20), key


def syndrome(size: int, signed: int, register: int, wide: int, ordered: int = 0) -> int:
    """ISV, SAS, SSE, SRT, SF, AR."""
    return 1 << 24 | size << 22 | signed << 21 | register << 16 | wide << 15 | ordered << 14


SYNDROMES = {
    ("strb_offset", 0): syndrome(0, 0, 3, 0),
    ("ldrb_register", 0): syndrome(0, 0, 3, 0),
    ("ldrh_offset", 0): syndrome(1, 0, 3, 0),
    ("ldr_offset", 0): syndrome(2, 0, 3, 0),
    ("ldr_offset", 1): syndrome(3, 0, 3, 1),
    ("stur_unscaled", 1): syndrome(3, 0, 3, 1),
    ("sttr_unprivileged", 0): syndrome(2, 0, 3, 0),
    ("ldrsb_offset", 0): syndrome(0, 1, 3, 1),
    ("ldrsb_offset", 1): syndrome(0, 1, 3, 0),
    ("ldrsh_offset", 0): syndrome(1, 1, 3, 1),
    ("ldrsw_offset", 0): syndrome(2, 1, 3, 1),
    ("ldar", 2): syndrome(2, 0, 3, 0, 1),
    ("stlr", 3): syndrome(3, 0, 3, 1, 1),
    ("ldapr", 1): syndrome(1, 0, 3, 0, 1),
    ("ldr_pre", 1): 0,
    ("strb_post", 0): 0,
    ("ldp_offset", 1): 0,
    ("ldxr", 3): 0,
    ("ldadd", 3): 0,
    ("cas", 2): 0,
    ("ldr_offset_q", 0): 0,
    ("ldr_offset_v", 3): 0,
    ("ld1x1", 0): 0,
}


@pytest.mark.parametrize(("key", "z"), SYNDROMES)
def test_the_syndrome_says_how_to_emulate_it(key, z):
    machine = Machine()
    machine.guest.map(ELSEWHERE, ELSEWHERE, AF | 1 << 6)  # the unprivileged get there too
    fields = {"z": z} if "z" in ROWS[key].fields else {}
    if "w" in ROWS[key].fields:
        fields = {"w": z}
    if "e" in ROWS[key].fields:
        fields |= {"e": 1, "f": 1, "m": SP}
    icptr = machine.run(word(key, n=1, t=3, **fields), x={1: ELSEWHERE})
    assert icptr == Icptr.HOST_ACCESS_EXCEPTION
    code = int(machine.processor.icptd["esr_elz"])
    stays = 1 << 24 | 0x3FF << 14
    assert code >> 26 == EC_DABT - 1  # from a lower level
    assert code & stays == SYNDROMES[key, z]
    assert bool(code & WNR) == key.startswith("st")


# --- the monitor ----------------------------------------------------------------------------


def exclusives(machine, *between: int, size: int = 3, **options) -> tuple[int, int]:
    """The status of a store-exclusive of X5 to [X1] behind a load from there, and what is
    there then."""
    machine.put(X[1], 0x1122334455667788, 8)
    load, store = word("ldxr", z=3, n=1, t=4), word("stxr", z=size, n=1, t=5, s=6)
    x = machine.result(load, *between, store, **options)
    return x[6], machine.get(X[1], 8)


def test_a_store_exclusive_succeeds_once(machine):
    assert exclusives(machine) == (0, X[5])
    again = word("stxr", z=3, n=1, t=5, s=7)
    assert exclusives(machine, again)[0] == 1
    assert machine.x[7] == 0


@pytest.mark.parametrize(
    "between",
    [
        [word("str_offset", z=1, n=1, t=8)],  # another value
        [word("stxr", z=3, n=2, t=5, s=7)],  # another address
        [word("ldxr", z=3, n=2, t=7)],
        [0xD5033F5F],  # CLREX
    ],
)
def test_a_monitor_is_lost(machine, between):
    status, there = exclusives(machine, *between)
    assert status == 1
    assert there != X[5]


def test_a_store_exclusive_that_fails_does_not_look_at_memory(machine):
    assert exclusives(machine, size=2) == (1, 0x1122334455667788)
    store = word("stxr", z=3, n=1, t=5, s=6)
    for at in (NOTHING, LAST, ELSEWHERE, DATA + 1):
        x = machine.result(0xD5033F5F, store, x={1: at})
        assert x[6] == 1


def test_a_store_exclusive_may_be_refused_to_write(machine):
    load, store = word("ldxr", z=3, n=1, t=4), word("stxr", z=3, n=1, t=5, s=6)
    code, far = machine.fault(load, store, x={1: LAST})
    assert (code, far) == (esr(EC_DABT, PERMISSION_3 | WNR), LAST)
    assert machine.x[6] == X[6]


# --- minimums and maximums ------------------------------------------------------------------


@pytest.mark.parametrize("size", range(4))
def test_minimums_and_maximums(machine, size):
    bits = 8 << size
    top, ones = 1 << bits - 1, (1 << bits) - 1
    at = X[1] + 8

    def signed(value: int) -> int:
        return value - (value >> bits - 1 << bits)

    choices = {
        "ldsmax": lambda one, other: max(one, other, key=signed),
        "ldsmin": lambda one, other: min(one, other, key=signed),
        "ldumax": max,
        "ldumin": min,
    }
    for key, choose in choices.items():
        for there, operand in itertools.product((0, 1, ones, top, top - 1), repeat=2):
            machine.put(at - 8, ~0 & 2**192 - 1, 24)
            machine.put(at, there, bits // 8)
            junk = 0x5A << bits & 2**64 - 1
            x = machine.result(word(key, z=size, n=1, s=2, t=3), x={1: at, 2: operand | junk})
            assert (x[3], machine.get(at, bits // 8)) == (there, choose(there, operand)), key
            assert machine.get(at - 8, 8) == machine.get(at + bits // 8, 8) == 2**64 - 1
