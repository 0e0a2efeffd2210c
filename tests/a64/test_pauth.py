"""Pointer authentication.

Judges: the test vector of the QARMA paper, Unicorn, and the rules of AddPAC and Auth written out
here a second time.
"""

import numpy as np
import pytest
from bare_guest import (
    CODE,
    DATA,
    EL0T,
    EL1H,
    MMU,
    SYNC_CURRENT,
    BareGuest,
    esr,
    mrs,
    msr,
    word,
)
from hypothesis import given
from hypothesis import strategies as st

from saecore import Icptr
from saecore._cpu import cpu_model
from saecore._defs import HCR_API, HCR_APK, SCTLR_PAUTH
from saecore._pauth import compute_pac
from saecore.a64._blocks import operations
from saecore.a64.encodings import ENCODINGS

RW = 1 << 31
OPEN = RW | HCR_API | HCR_APK
NAMES = ("IA", "IB", "DA", "DB")
ENABLE = dict(zip(NAMES, (1 << 31, 1 << 30, 1 << 27, 1 << 13), strict=True))
KEYS = {f"AP{name}Key{half}_EL1": 0x0123_4567_89AB_CDEF * (2 * at + (half == "Hi") + 1) % 2**64
        for at, name in enumerate((*NAMES, "GA")) for half in ("Lo", "Hi")}  # fmt: skip
TBI = 3 << 37
TBID = 3 << 51
TCR = 16 | 16 << 16 | 2 << 30 | 5 << 32


@pytest.fixture(scope="module")
def guest():
    guest = BareGuest(cpu_model("max"))
    guest.map_flat()
    return guest


def run(guest, *program, tcr=TCR, hcr=OPEN, sctlr=SCTLR_PAUTH, regs=None, **more):
    """Run with all keys set, and what enables them; stage 1 is off."""
    registers = {"TCR_EL1": tcr, "HCR_EL2": hcr, "SCTLR_EL1": 0x30D0_0800 | sctlr}
    return guest.run(program, regs=registers | KEYS | (regs or {}), **more)


def key_of(name):
    return KEYS[f"AP{name}KeyHi_EL1"], KEYS[f"AP{name}KeyLo_EL1"]


def signed(pointer, modifier, name, tcr):
    """AddPAC, for 48-bit halves: J1.1 of the Arm ARM, bit by bit."""
    data = name[0] == "D"
    tbi = [bool(tcr >> 37 + n & 1) and (data or not tcr >> 51 + n & 1) for n in (0, 1)]
    side = pointer >> (55 if any(tbi) else 63) & 1
    top = 55 if tbi[pointer >> 55 & 1] else 63
    extension = range(48, top + 1)
    plain = pointer
    for bit in extension:
        plain = plain & ~(1 << bit) | side << bit
    pac = compute_pac(plain, modifier, *key_of(name))
    if len({pointer >> bit & 1 for bit in extension}) > 1:
        pac ^= 1 << top - 1
    result = pointer
    for bit in extension:
        result = result & ~(1 << bit) | (pac >> bit & 1) << bit
    return result & ~(1 << 55) | side << 55


def encoding(action, name, zero=False):
    return f"{action}{name[0]}{'z' if zero else ''}{name[1]}".lower()


# --- values ---------------------------------------------------------------------------------

sixty_four = st.integers(0, 2**64 - 1)
pointers = st.one_of(
    st.integers(0, 2**48 - 1),
    st.integers(2**64 - 2**48, 2**64 - 1),
    sixty_four,
    st.builds(lambda low, tag: low | tag << 56, st.integers(0, 2**48 - 1), st.integers(0, 255)),
)


def test_the_vector_of_the_paper():
    """With five rounds and sigma 2; key w0 is the high half."""
    w0, k0 = 0x84BE85CE9804E94B, 0xEC2802D4E0A488E9
    assert compute_pac(0xFB623599DA6E8127, 0x477D469DEC0B8762, w0, k0) == 0xC003B93999B33765


@given(pointers, sixty_four, st.sampled_from(NAMES), st.sampled_from([0, TBI, TBI | TBID, 1 << 37]))
def test_a_pointer_is_signed_and_authenticated(guest, pointer, modifier, name, tags):
    tcr = TCR | tags
    pac, aut = word(encoding("pac", name), d=0, n=1), word(encoding("aut", name), d=2, n=1)
    keep = word("ADD_IMM", f=1, h=0, i=0, n=0, d=2)
    out = run(guest, pac, keep, aut, tcr=tcr, x={0: pointer, 1: modifier})
    assert out.x[0] == signed(pointer, modifier, name, tcr)
    top = 54 if tcr >> 37 + (out.x[0] >> 55 & 1) & 1 and (name[0] == "D" or not tcr & TBID) else 63
    good = {pointer >> bit & 1 for bit in range(48, top + 1)} | {pointer >> 55 & 1}
    if len(good) == 1:
        assert out.x[2] == pointer
    # Stripped, it is a pointer again, whatever was signed.
    strip = word("xpacd" if name[0] == "D" else "xpaci", d=0)
    stripped = run(guest, strip, tcr=tcr, x={0: out.x[0]}).x[0]
    assert {stripped >> bit & 1 for bit in range(48, top + 1)} == {out.x[0] >> 55 & 1}
    assert stripped & 2**48 - 1 == pointer & 2**48 - 1


@given(st.integers(0, 2**48 - 1), st.sampled_from(NAMES), st.booleans(), st.booleans())
def test_a_wrong_pointer_is_corrupted(guest, pointer, name, upper, tagged):
    tcr = TCR | (TBI if tagged else 0)
    pointer |= 0xFFFF << 48 if upper else 0
    bad = signed(pointer, 0, name, tcr) ^ 1 << 50
    out = run(guest, word(encoding("aut", name, True), d=0), tcr=tcr, x={0: bad}).x[0]
    error, at = (2 if name[1] == "B" else 1), (53 if tagged else 61)
    assert out == pointer & ~(3 << at) | error << at


def test_a_generic_code(guest):
    out = run(guest, word("pacga", d=0, n=1, m=2), x={1: 0x1234, 2: 0x5678})
    assert out.x[0] == compute_pac(0x1234, 0x5678, *key_of("GA")) >> 32 << 32
    out = run(guest, word("pacga", d=0, n=1, m=31), sp_el1=DATA, x={1: 0x1234}, sctlr=0)
    assert out.x[0] == compute_pac(0x1234, DATA, *key_of("GA")) >> 32 << 32


@pytest.mark.parametrize("name", ["IA", "IB"])
def test_hints_use_fixed_registers(guest, name):
    def one(form, **more):
        return run(guest, word(form.format("pac", name.lower())), **more)

    assert one("{}{}1716", x={17: CODE, 16: 9}).x[17] == signed(CODE, 9, name, TCR)
    assert one("{}{}z_lr", x={30: CODE}).x[30] == signed(CODE, 0, name, TCR)
    assert one("{}{}sp", x={30: CODE}, sp_el1=DATA).x[30] == signed(CODE, DATA, name, TCR)
    out = run(guest, word("xpaclri"), x={30: signed(CODE, 7, name, TCR)})
    assert out.x[30] == CODE


def test_without_its_enable_a_key_does_nothing(guest):
    for name, bit in ENABLE.items():
        for action in ("pac", "aut"):
            code = word(encoding(action, name, True), d=0)
            out = run(guest, code, sctlr=SCTLR_PAUTH & ~bit, x={0: 5 << 50 | CODE})
            assert out.x[0] == 5 << 50 | CODE
            changed = run(guest, code, sctlr=bit, x={0: 5 << 50 | CODE})
            assert changed.x[0] != 5 << 50 | CODE


# --- branches and loads ---------------------------------------------------------------------


@pytest.mark.parametrize("k", [0, 1])
@pytest.mark.parametrize("key", ["braaz", "braa", "blraaz", "blraa", "retaa"])
def test_branches(guest, key, k):
    name, target = ("IA", "IB")[k], guest.code + 12
    modifier = DATA if key == "retaa" else 0 if key.endswith("z") else 77
    fields = {} if key == "retaa" else {"n": 30}
    if modifier == 77:
        fields["m"] = 1
    program = [word(key, k=k, **fields), 0, 0, word("MOVZ_X", h=0, i=3, d=5)]
    x = {30: signed(target, modifier, name, TCR), 1: 77}
    out = run(guest, *program, x=x, sp_el1=DATA)
    assert out.x[5] == 3
    assert out.x[30] == (out.code + 4 if key.startswith("bl") else x[30])


def test_a_branch_to_a_corrupted_pointer_faults(guest):
    regs = MMU | {"SCTLR_EL1": MMU["SCTLR_EL1"] | SCTLR_PAUTH, "HCR_EL2": OPEN}
    out = guest.run([word("retaa", k=0)], regs=regs, x={30: CODE})
    assert out.hvc == SYNC_CURRENT
    assert out.regs["ESR_EL1"] >> 26 == 0x21
    assert out.regs["FAR_EL1"] == out.regs["ELR_EL1"] == CODE | 1 << 61


def test_exception_return(guest):
    target = guest.code + 12
    program = [word("eretaa", k=1), 0, 0, word("MOVZ_X", h=0, i=3, d=5)]
    elr = signed(target, DATA, "IB", TCR)
    out = run(guest, *program, regs={"ELR_EL1": elr, "SPSR_EL1": EL1H}, sp_el1=DATA)
    assert out.x[5] == 3
    assert out.regs["ELR_EL1"] == elr
    out = run(guest, word("eretaa", k=1), pstate=EL0T)
    assert out.regs["ESR_EL1"] == esr(0)


@pytest.mark.parametrize("k", [0, 1])
@pytest.mark.parametrize(("s", "i", "w"), [(0, 2, 0), (1, 511, 0), (0, 1, 1), (1, 510, 1)])
def test_loads(guest, k, s, i, w):
    offset = 8 * (i - 512 * s)
    guest.ram.array[DATA - CODE + offset :][:8].view("<u8")[:] = 0x1122334455667788
    base = signed(DATA, 0, ("DA", "DB")[k], TCR)
    out = run(guest, word("ldraa", k=k, s=s, i=i, w=w, n=1, t=2), x={1: base})
    assert out.x[2] == 0x1122334455667788
    assert out.x[1] == (DATA + offset if w else base)
    on_stack = run(guest, word("ldraa", k=k, s=s, i=i, w=w, n=31, t=2), sp_el1=base, sctlr=0)
    assert on_stack.hvc == SYNC_CURRENT  # nothing was authenticated: no address
    assert on_stack.block["sp_el1"] == base


def test_addresses_of_instructions_may_have_no_tag(guest):
    """TCR_EL1.TBIDx: a tag is one of data only."""
    branch = [word("BR", n=0), 0, 0, word("MOVZ_X", h=0, i=3, d=5)]
    for tbid, fine in ((0, True), (TBID, False)):
        regs = MMU | {"TCR_EL1": MMU["TCR_EL1"] | TBI | tbid, "HCR_EL2": OPEN}
        to = guest.code + 12 | 0x5A << 56
        out = guest.run(branch, regs=regs, x={0: to})
        assert (out.x[5] == 3) == fine
        if not fine:
            assert out.regs["ESR_EL1"] == esr(0x21, 4)
            assert out.regs["FAR_EL1"] == to


# --- who may ---------------------------------------------------------------------------------


def test_the_hypervisor_may_want_to_know(guest):
    """HCR_EL2.API and APK clear: EC 9 for instructions with a key, EC 0x18 for its registers."""
    for key in ("pacia", "autdb", "pacga", "paciasp", "retaa", "ldraa"):
        out = run(guest, word(key), hcr=RW | HCR_APK)
        assert out.icptr is Icptr.SYNCHRONOUS_EXCEPTION
        assert (out.esr, out.pc) == (esr(0x09), out.code)
    assert run(guest, word("xpaci", d=0), hcr=RW).hvc is not None
    assert run(guest, word("pacia"), hcr=RW, sctlr=0).hvc is not None
    for name in KEYS:
        for access in (mrs(0, name), msr(name, 0)):
            out = run(guest, access, hcr=RW | HCR_API)
            assert (out.icptr, out.esr >> 26) == (Icptr.SYNCHRONOUS_EXCEPTION, 0x18)
            out = run(guest, access, pstate=EL0T)
            assert out.regs["ESR_EL1"] == esr(0)


def test_keys_keep_their_values(guest):
    program = []
    for name in KEYS:
        program += [msr(name, 1), mrs(2, name)]
        assert run(guest, *program[-2:], x={1: 2**64 - 3}).x[2] == 2**64 - 3


def test_the_processor_lets_it_be_used_by_itself():
    """What a model with PAUTH starts with."""
    for name, wanted in (("max", HCR_API | HCR_APK), ("default", 0), ("base", 0)):
        values = cpu_model(name).reset_values()
        assert values["HCR_EL2"] & (HCR_API | HCR_APK) == wanted


def test_without_the_feature():
    """Hints are NOPs, the rest is UNDEFINED, and SCTLR_EL1 has no enables."""
    plain = BareGuest(cpu_model("base"))
    for row in ENCODINGS:
        if row.group == "pauth":
            first = operations(np.array([row.value], "u4"), 0, 1, 1)[0][1]
            assert (first == "undefined") == (row.value >> 12 != 0xD5032), row.key
    out = plain.run([msr("SCTLR_EL1", 0), mrs(1, "SCTLR_EL1")], x={0: 0x30D0_0800 | SCTLR_PAUTH})
    assert not out.x[1] & SCTLR_PAUTH
    for name in KEYS:
        assert plain.run([mrs(0, name)]).regs["ESR_EL1"] == esr(0)
