"""The processor under test in the same harness as Unicorn: a guest run by SAE."""

import ctypes

import numpy as np
from a64_state import (
    OUTCOME,
    RAM,
    RAM_BYTES,
    SETUP,
    SYSTEM_REGISTERS,
    VECTORS,
    entered,
    has_far,
    setup_program,
)

import gmap
from saecore._block import BLOCK_DTYPE, SAVE_AREA_DTYPE
from saecore._cpu import cpu_model
from saecore._defs import Feature, Icptr
from saecore._sae import Processor
from saecore._sysregs import saved_names

#: Instructions a program may take: more than any has.
BUDGET = 64
_NAMES = list(SYSTEM_REGISTERS)
#: What taking an exception writes.
EXCEPTION = ("ELR_EL1", "SPSR_EL1", "ESR_EL1", "FAR_EL1")
_SAVED = [saved_names().index(name) for name in SYSTEM_REGISTERS]


class Ours:
    """One guest with the machine of `a64_state`."""

    #: Instructions a program may take.
    budget = BUDGET

    def __init__(self, setup, image, cpu="default", **features):
        self.setup = setup
        self.model = cpu_model(cpu, **features)
        self.host = gmap.BufferHost(hamaxpow=0)
        self.region = self.host.map(RAM_BYTES)
        self.memory = self.region.array
        self.gmap = gmap.Gmap(self.host, ipa_bits=40)
        self.gmap.set_memory_region(0, RAM, RAM_BYTES, self.region.hva)
        self.gmap.fault_in(np.arange(RAM >> 12, (RAM + RAM_BYTES) >> 12, dtype="u8"), True)
        self.processor = p = Processor(self.gmap, self.model)
        self.memory[:] = image.bytes
        self.load(SETUP, setup_program(setup, image.root))
        p.block["pc"] = SETUP
        p.lasrm()
        p.sae(1000)
        p.stiasrm()
        self._block, self._area = p.block.ctypes.data, p.save_area.ctypes.data
        self._booted = p.block.copy(), p.save_area.copy()

    def at(self, address, size):
        """The bytes of guest-physical memory there."""
        return self.memory[address - RAM : address - RAM + size]

    def load(self, address, words):
        """Write instructions."""
        words = np.asarray(words, "<u4")
        self.at(address, words.nbytes)[:] = words.view("u1")

    def prepare(self, states, ends):
        """Take states to start from. They end where the budget ends, in an endless loop."""
        count = len(states)
        self._blocks = np.zeros(count, BLOCK_DTYPE)
        self._areas = np.zeros(count, SAVE_AREA_DTYPE)
        self._blocks[:], self._areas[:] = self._booted
        self._vregs = states["v"].copy()
        for name, field in (("gpr", "x"), *((same, same) for same in _IN_BLOCK)):
            self._blocks[name] = states[field]
        self._areas["regs"][:, _SAVED] = states["system"]
        self._codes = np.zeros(count, "i8")

    def step(self, number):
        """Run one of the states."""
        p = self.processor
        block = self._blocks.ctypes.data + number * BLOCK_DTYPE.itemsize
        area = self._areas.ctypes.data + number * SAVE_AREA_DTYPE.itemsize
        ctypes.memmove(self._block, block, BLOCK_DTYPE.itemsize)
        ctypes.memmove(self._area, area, SAVE_AREA_DTYPE.itemsize)
        p.vregs[:] = self._vregs[number]
        p.lasrm()
        self._codes[number] = p.sae(self.budget)
        p.stiasrm()
        self._vregs[number] = p.vregs
        ctypes.memmove(block, self._block, BLOCK_DTYPE.itemsize)
        ctypes.memmove(area, self._area, SAVE_AREA_DTYPE.itemsize)

    def outcomes(self):
        """What came of the states; an exception is told as the state it was taken in."""
        out = np.zeros(len(self._blocks), OUTCOME)
        state = out["state"]
        for name, field in (("gpr", "x"), *((same, same) for same in _IN_BLOCK)):
            state[field] = self._blocks[name]
        state["v"] = self._vregs
        state["system"] = self._areas["regs"][:, _SAVED]
        elr, spsr, esr, far = (state["system"][:, _NAMES.index(name)] for name in EXCEPTION)
        offset = state["pc"] - np.uint64(VECTORS)
        took = (offset < 0x800) & (self._codes == Icptr.SPURIOUS)
        pan = Feature.PAN in self.model.flags
        wanted = [entered(int(pstate), self.setup.sctlr, pan) for pstate in spsr[took]]
        came = zip(state["pstate"][took].tolist(), offset[took].tolist(), strict=True)
        out["took"][took] = [
            TOOK if have == want else ENTERED_WRONGLY
            for have, want in zip(came, wanted, strict=True)
        ]
        out["esr"][took] = esr[took]
        out["far"][took] = np.where(has_far(esr), far, 0)[took]
        state["pc"][took], state["pstate"][took] = elr[took], spsr[took]
        out["took"][self._codes != Icptr.SPURIOUS] = INTERCEPTED
        return out


_IN_BLOCK = ("pc", "pstate", "sp_el0", "sp_el1", "fpcr", "fpsr")
#: What `took` says of an outcome here; Unicorn's is 0 or 1.
TOOK, ENTERED_WRONGLY, INTERCEPTED = 1, 2, 3


def mistaking(mask, value, flipped):
    """This processor, if it took words of a pattern for others: those with `flipped` bits."""

    class Mistaken(Ours):
        def load(self, address, words):
            words = np.asarray(words, "u4").copy()
            words[words & np.uint32(mask) == value] ^= np.uint32(flipped)
            super().load(address, words)

    return Mistaken
