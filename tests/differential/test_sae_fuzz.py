"""Guests that do anything at all: the host is not hurt, nothing hangs, and twice is the same.

Random code, random system registers and random translation tables, in one guest of a megabyte.
Its memory lies between guard bytes, and beside it lies memory that the guest was never given.
`tests/kvm/test_fuzz.py` does the same through the facade, with the user misbehaving too.
"""

import hashlib

import numpy as np
import pytest
from fuzz_guest import NAMES, fill, registers, values

import gmap
from saecore._cpu import cpu_model
from saecore._defs import MODE_EL0T, MODE_EL1H, MODE_EL1T, PSTATE_DAIF, Icptr
from saecore._sae import Processor

RAM, NBYTES = 0x4000_0000, 1 << 20
GUARD = 1 << 16
BUDGET = 2_000
#: What SAE may end with: the budget, a trap, a fault of stage 2, an address beyond the limit.
DOCUMENTED = {
    Icptr.SPURIOUS, Icptr.SYNCHRONOUS_EXCEPTION, Icptr.HOST_ACCESS_EXCEPTION,
    Icptr.GUEST_ADDRESS_SIZE,
}


class Guest:
    """A guest between guards, whose first half is code and whose second may be tables."""

    def __init__(self, rng, model="default"):
        self.rng = rng
        self.host = gmap.BufferHost(hamaxpow=0)
        self.region = self.host.map(NBYTES + 2 * GUARD)
        self.memory = self.region.array
        self.gmap = gmap.Gmap(self.host, ipa_bits=40)
        self.gmap.set_memory_region(0, RAM, NBYTES, self.region.hva + GUARD)
        self.gmap.fault_in(np.arange(RAM >> 12, (RAM + NBYTES) >> 12, dtype="u8"), True)
        self.processor = Processor(self.gmap, cpu_model(model))
        self.memory[:] = 0xA5
        self.inside = self.memory[GUARD:-GUARD]
        self.fill()

    def fill(self):
        fill(self.rng, self.inside, RAM)

    def registers(self):
        area = self.processor.save_area["regs"]
        for name, value in registers(self.rng, RAM, NBYTES).items():
            area[NAMES.index(name)] = value

    def _values(self, count):
        return values(self.rng, count, RAM, NBYTES)

    def run(self):
        """One random start; how SAE ended."""
        rng, p = self.rng, self.processor
        block = p.block
        self.registers()
        block["gpr"] = self._values(31)
        block["pc"] = RAM + (int(rng.integers(0, NBYTES // 2)) & ~3)
        block["sp_el0"], block["sp_el1"] = self._values(2) & ~np.uint64(15)
        block["pstate"] = int(rng.choice([MODE_EL0T, MODE_EL1T, MODE_EL1H])) | PSTATE_DAIF
        block["pstate"] |= int(rng.integers(0, 16)) << 28
        p.lasrm()
        before = p.n_insns
        code = p.sae(BUDGET)
        executed = p.n_insns - before
        p.stiasrm()
        assert executed <= BUDGET
        return code, executed

    def digest(self):
        """Of all that the guest sees. (Beside that a control block holds addresses of the host.)"""
        block = self.processor.block
        seen = [self.memory, *(block[name] for name in ("gpr", "pc", "pstate", "sp_el0", "sp_el1"))]
        return hashlib.sha256(b"".join(part.tobytes() for part in seen)).hexdigest()

    def check(self):
        assert (self.memory[:GUARD] == 0xA5).all()
        assert (self.memory[-GUARD:] == 0xA5).all()


def fuzz(seed, rounds, model="default"):
    guest, ended, insns = Guest(np.random.default_rng(seed), model), {}, 0
    for number in range(rounds):
        code, executed = guest.run()
        assert code in DOCUMENTED, f"seed {seed}, round {number}: {code!r}"
        ended[code] = ended.get(code, 0) + 1
        insns += executed
        if number % 256 == 255:
            guest.check()
            guest.fill()
    guest.check()
    return guest, ended, insns


@pytest.mark.parametrize("model", ["default", "base"])
def test_nothing_outside_is_touched_and_it_ends(model):
    _, ended, insns = fuzz([1, model == "base"], 600, model)
    assert {Icptr.SPURIOUS, Icptr.HOST_ACCESS_EXCEPTION} <= set(ended)
    assert insns > 100_000


def test_page_zero_belongs_to_nobody():
    """Nothing is mapped at virtual address 0, whatever the state of the first-level TLB."""
    guest = Guest(np.random.default_rng(2))
    p = guest.processor
    for word in (0xF9000020, 0xF9400020, 0x39000020, 0x885F7C20, 0xC89FFC20, 0x3D800020):
        p.block["pc"], p.block["pstate"] = RAM, MODE_EL1H | PSTATE_DAIF
        guest.inside[:4].view("u4")[0] = word
        p.save_area["regs"][NAMES.index("CPACR_EL1")] = 3 << 20
        for address in (0, 0x10, 0xFF0):
            p.block["pc"], p.block["gpr"][1] = RAM, address
            p.lasrm()
            assert p.sae(10) == Icptr.HOST_ACCESS_EXCEPTION
            p.stiasrm()
            assert int(p.icptd["far_elz"]) == address


def test_twice_is_the_same():
    one, ended, insns = fuzz(3, 200)
    again, ended_again, insns_again = fuzz(3, 200)
    assert (ended, insns) == (ended_again, insns_again)
    assert one.digest() == again.digest()


@pytest.mark.campaign
def test_campaign_of_fuzzing():
    """An hour or so; run it under AddressSanitizer as well."""
    total = {}
    for seed in range(3_000):
        _, ended, _ = fuzz([4, seed], 2_000, ("default", "base")[seed & 1])
        for code, count in ended.items():
            total[code] = total.get(code, 0) + count
    print(total)
    assert set(total) == DOCUMENTED
