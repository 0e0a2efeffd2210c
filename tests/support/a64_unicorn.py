"""Unicorn as a judge of A64: it runs a program from a state, and says what came of it.

Unicorn takes no exceptions: it stops, and keeps what the exception would be in its own state,
which it gives away as bytes (a context). So a whole state goes in and out in one call, and the
syndrome can be read. Where things are in those bytes is found out here, by writing registers.
"""

import contextlib
import ctypes
import struct

import numpy as np
import unicorn
from a64_fp_state import FPCR_BITS, FPSR_BITS, combinations
from a64_state import (
    CODE,
    OUTCOME,
    RAM,
    RAM_BYTES,
    SETUP,
    SYSTEM_REGISTERS,
    has_far,
    setup_program,
)
from unicorn import arm64_const as arm

from saecore._defs import (
    HCR_API,
    HCR_APK,
    HCR_RW,
    MODE_EL1H,
    PSTATE_BTYPE_SHIFT,
    PSTATE_DAIF,
    PSTATE_NZCV,
    Ec,
)

CPUS = {
    "a57": arm.UC_CPU_ARM64_A57,
    "a72": arm.UC_CPU_ARM64_A72,
    "max": arm.UC_CPU_ARM64_MAX,
}
_ERET = 0xD69F03E0
# Unicorn may still believe in the level it was reset to, and takes the address from that one's.
_ELRS = (3, 0, 4, 0, 1), (3, 4, 4, 0, 1), (3, 6, 4, 0, 1)
_SPSR = (3, 0, 4, 0, 0)
_SP_EL0, _SP_EL1 = (3, 0, 4, 1, 0), (3, 4, 4, 1, 0)
# NS, RW, and pointer authentication for those below.
_SCR_EL3, _HCR_EL2, _NS_RW = (3, 6, 1, 1, 0), (3, 4, 1, 1, 0), 1 | 1 << 10 | 3 << 16
#: Exceptions that show PSTATE.BTYPE of the branch before them.
_SHOW_BTYPE = [Ec.BTI, Ec.BRK64, Ec.IABT_LOW, Ec.IABT_CUR, Ec.PC_ALIGN, Ec.ILLEGAL]
_MARK = 0x5A5A_0F1E_2D3C_4B00
_STOPS = {0, unicorn.UC_ERR_EXCEPTION, unicorn.UC_ERR_INSN_INVALID}
#: Exceptions as a unit notes them (an output flushed to zero is one of its own), and their bits
#: of FPSR.
_INPUT_DENORMAL = 0x40
_FLAGS = {0x01: 0, 0x04: 1, 0x08: 2, 0x90: 3, 0x20: 4, _INPUT_DENORMAL: 7}


class Layout:
    """Where in the bytes of a context things are."""

    def __init__(self, theirs):
        self._theirs = theirs
        uc = theirs.uc
        self.x = self._find(lambda v: uc.reg_write(arm.UC_ARM64_REG_X0, v))
        # 31 X registers, the SP in use, PC, PSTATE without the flags.
        self.sp, self.pc, self.pstate = (self.x + 8 * n for n in (31, 32, 33))
        self.v = [
            self._find(lambda v, n=n: uc.reg_write(arm.UC_ARM64_REG_Q0 + n, v)) for n in range(32)
        ]
        self.system = [
            self._find(lambda v, r=r: theirs.write(r, v)) for r in SYSTEM_REGISTERS.values()
        ]
        self.sp_el0 = self._find(lambda v: theirs.write(_SP_EL0, v))
        self.sp_el1 = self._find(lambda v: theirs.write(_SP_EL1, v))
        flags = self._changed(arm.UC_ARM64_REG_NZCV, 0, 0x9 << 28)
        carry = self._changed(arm.UC_ARM64_REG_NZCV, 0, 0x2 << 28)[0]
        self.cf, self.vf, self.nf, self.zf = (carry + 4 * n for n in range(4))
        if {at & ~3 for at in flags} != {self.vf, self.nf}:
            raise RuntimeError("the flags are not where this Unicorn is known to have them")
        known = range(self.x, self.zf + 4)
        masks = self._changed(arm.UC_ARM64_REG_PSTATE, 0x5, 0x3C5)
        self.daif = next(place for place in masks if place not in known)
        self._find_fp()
        self.syndrome = self._find_syndrome()
        self.far = self.syndrome + 8

    def _find(self, write):
        before = self._theirs.refresh().copy()
        write(_MARK)
        wanted = struct.pack("<Q", _MARK)
        found = _positions(self._theirs.refresh(), wanted)
        self._theirs.replace(before)
        if len(found) != 1:
            raise RuntimeError(f"a register is at {found} in Unicorn's context")
        return found[0]

    def _changed(self, register, one, other):
        uc = self._theirs.uc
        before = self._theirs.refresh().copy()
        uc.reg_write(register, one)
        first = self._theirs.refresh().copy()
        uc.reg_write(register, other)
        found = np.nonzero(first != self._theirs.refresh())[0]
        self._theirs.replace(before)
        return [int(at) for at in found]

    def _find_fp(self):
        """FPCR is kept as itself and in what follows from it, FPSR as flags of two units."""
        control, status = arm.UC_ARM64_REG_FPCR, arm.UC_ARM64_REG_FPSR
        fractions = self._changed(control, 0, 1 << 22)  # FPCR.RMode: of itself, then of each unit
        self.fpcr = fractions[0] - 2
        self.fp_flags = [at + 1 for at in fractions[1:]]
        self.qc = self._changed(status, 0, 1 << 27)[0] - 3
        if self._changed(status, 0, 1) != self.fp_flags[:1]:
            raise RuntimeError("FPSR is not where this Unicorn is known to have it")
        self.fp_control = self._values(control, FPCR_BITS)
        self.fp_status = self._values(status, FPSR_BITS)

    def _values(self, register, mask):
        """Places that writing a register changes, and what each value of it puts there."""
        uc = self._theirs.uc
        before = self._theirs.refresh().copy()
        contents = []
        values = combinations(mask)
        for value in values:
            uc.reg_write(register, value)
            contents.append(self._theirs.refresh().copy())
        self._theirs.replace(before)
        contents = np.stack(contents)
        places = np.nonzero((contents != contents[0]).any(axis=0))[0]
        order = np.argsort(values)
        return places, np.array(values, "u8")[order], contents[order][:, places]

    def _find_syndrome(self):
        uc = self._theirs.uc
        uc.mem_write(SETUP, struct.pack("<I", 0xD4000001 | 0x1234 << 5))  # SVC
        with contextlib.suppress(unicorn.UcError):
            uc.emu_start(SETUP, SETUP + 4)
        found = _positions(self._theirs.refresh(), struct.pack("<I", 0x5600_1234))
        if len(found) != 1:
            raise RuntimeError(f"the syndrome is at {found} in Unicorn's context")
        return found[0]


def _positions(data, wanted):
    text, found = data.tobytes(), []
    at = text.find(wanted)
    while at >= 0:
        found.append(at)
        at = text.find(wanted, at + 1)
    return found


class Theirs:
    """One Unicorn with the machine of `a64_state`."""

    #: Instructions a program may take; 0: any number.
    budget = 0

    def __init__(self, cpu, setup, image):
        self.cpu, self.setup = cpu, setup
        self.uc = uc = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        uc.ctl_set_cpu_model(CPUS[cpu])
        self._memory = (ctypes.c_uint8 * (RAM_BYTES + 4096))()
        start = -ctypes.addressof(self._memory) % 4096
        self.memory = np.frombuffer(self._memory, "u1")[start : start + RAM_BYTES]
        uc.mem_map_ptr(RAM, RAM_BYTES, unicorn.UC_PROT_ALL,
                       ctypes.c_void_p(ctypes.addressof(self._memory) + start))
        self._context = uc.context_save()
        data = ctypes.cast(self._context.context, ctypes.POINTER(ctypes.c_uint8))
        self._place = ctypes.addressof(data.contents)
        self._data = np.ctypeslib.as_array(data, (self._context.size,))
        self.layout = Layout(self)
        self.memory[:] = image.bytes
        self._bases = {}
        self._program = setup_program(setup, image.root)
        self._boot(self._program)
        self._btype = self._find_btype() if cpu == "max" else None

    def write(self, register, value):
        """Write a system register as Unicorn lets its users."""
        op0, op1, crn, crm, op2 = register
        self.uc.reg_write(arm.UC_ARM64_REG_CP_REG, (crn, crm, op0, op1, op2, value))

    def _find_btype(self):
        """Where BTYPE is, apart from the rest of PSTATE."""
        found = [self.base(MODE_EL1H | btype << PSTATE_BTYPE_SHIFT) for btype in range(4)]
        (place,) = np.nonzero((found[1] == 1) & (found[2] == 2) & (found[3] == 3))[0]
        return place

    def _get_btype(self, took, esr):
        """BTYPE as PSTATE has it, where it means something.

        Once a branch has landed, it is CONSTRAINED UNPREDICTABLE whether exceptions show its BTYPE
        (Arm ARM, J1.1 AArch64.TakeException, ZEROBTYPE): Unicorn's do, those here do not. Where
        a run ends at an address, the other processor has gone on from there.
        """
        btype = self._after[:, self._btype].astype("u8") << np.uint64(PSTATE_BTYPE_SHIFT)
        shows = np.where(took, np.isin(esr >> np.uint64(26), _SHOW_BTYPE), self.budget != 0)
        return np.where(shows, btype, np.uint64(0))

    def refresh(self):
        """The bytes of the state now."""
        self.uc.context_update(self._context)
        return self._data

    def replace(self, data):
        self._data[:] = data
        self.uc.context_restore(self._context)

    def at(self, address, size):
        """The bytes of guest-physical memory there. Call `forget` before new code is run."""
        return self.memory[address - RAM : address - RAM + size]

    def load(self, address, words):
        """Write instructions. Unicorn would not notice that by itself."""
        words = np.asarray(words, "<u4")
        self.at(address, words.nbytes)[:] = words.view("u1")
        self.uc.ctl_flush_tb()

    def _set_fp(self, before, states):
        for name, (places, values, contents) in (
            ("fpcr", self.layout.fp_control),
            ("fpsr", self.layout.fp_status),
        ):
            number = np.searchsorted(values, states[name])
            before[:, places] = contents[number.clip(0, len(values) - 1)]

    def _get_fp(self, state, after):
        at = self.layout
        state["fpcr"] = after[:, at.fpcr : at.fpcr + 4].view("u4")[:, 0] & FPCR_BITS
        first, half = (after[:, place].astype("u8") for place in at.fp_flags)
        flags = first | half & ~np.uint64(_INPUT_DENORMAL)
        qc = after[:, at.qc : at.qc + 16].any(axis=1).astype("u8") << 27
        for mask, bit in _FLAGS.items():
            qc |= ((flags & mask) != 0).astype("u8") << bit
        state["fpsr"] = qc

    def _boot(self, words):
        self.write(_SCR_EL3, _NS_RW)
        self.write(_HCR_EL2, HCR_RW | HCR_API | HCR_APK)
        self.load(SETUP, words)
        self.uc.emu_start(SETUP, SETUP + 4 * (len(words) - 1))
        self._booted = self.refresh().copy()

    def base(self, pstate):
        """A state with this PSTATE, without flags, got by an exception return.

        Unicorn keeps much that follows from PSTATE, and only an exception return renews it.
        """
        pstate &= ~PSTATE_NZCV
        if pstate not in self._bases:
            self.replace(self._booted)
            for register in _ELRS:
                self.write(register, CODE)
            self.write(_SPSR, pstate)
            self.load(SETUP, [_ERET])
            self.uc.emu_start(SETUP, CODE)
            self.load(SETUP, self._program)  # programs may read it
            state = self.refresh().copy()
            state[self.layout.x : self.layout.x + 8] = 0
            self._bases[pstate] = state
        return self._bases[pstate]

    def prepare(self, states, ends):
        """Take states to start from, and the addresses to end at."""
        at, count = self.layout, len(states)
        pstates = states["pstate"]
        self._starts, self._ends = states["pc"].tolist(), ends
        self._before = before = np.empty((count, len(self._data)), "u1")
        self._after = np.empty_like(before)
        self._stopped = np.zeros(count, "i4")
        bare = pstates & ~np.uint64(PSTATE_NZCV)
        for pstate in np.unique(bare):
            before[bare == pstate] = self.base(int(pstate))
        words = before[:, at.x : at.x + 256].view("u8")
        words[:, :31] = states["x"]
        words[:, 31] = np.where(pstates & 1, states["sp_el1"], states["sp_el0"])
        before[:, at.sp_el0 : at.sp_el0 + 16].view("u8")[:] = np.stack(
            [states["sp_el0"], states["sp_el1"]], axis=1
        )
        n, z, c, v = (pstates >> np.uint64(bit) & 1 for bit in (31, 30, 29, 28))
        flags = np.stack([c, v << 31, n << 31, 1 - z], axis=1)
        before[:, at.cf : at.cf + 16].view("u4")[:] = flags
        for place, values in zip(at.v, states["v"].transpose(1, 0, 2), strict=True):
            before[:, place : place + 16].view("u8")[:] = values
        for place, values in zip(at.system, states["system"].T, strict=True):
            before[:, place : place + 8].view("u8")[:, 0] = values
        self._set_fp(before, states)

    def step(self, number):
        """Run one of the states until its end, or an exception."""
        size = len(self._data)
        ctypes.memmove(self._place, self._before.ctypes.data + number * size, size)
        uc = self.uc
        uc.context_restore(self._context)
        try:
            uc.emu_start(self._starts[number], self._ends[number], count=self.budget)
        except unicorn.UcError as error:
            self._stopped[number] = error.errno
        uc.context_update(self._context)
        ctypes.memmove(self._after.ctypes.data + number * size, self._place, size)

    def outcomes(self):
        """What came of the states, once each was run."""
        at, after = self.layout, self._after
        odd = set(self._stopped.tolist()) - _STOPS
        if odd:
            raise RuntimeError(f"Unicorn stopped with {odd}")
        out = np.zeros(len(after), OUTCOME)
        state = out["state"]
        words = after[:, at.x : at.x + 264].view("u8")
        state["x"], state["pc"] = words[:, :31], words[:, 32]
        cf, vf, nf, zf = after[:, at.cf : at.cf + 16].view("u4").T.astype("u8")
        flags = nf & 1 << 31 | (zf == 0).astype("u8") << 30 | cf << 29 | vf >> 31 << 28
        pstate = after[:, at.pstate : at.pstate + 4].view("u4")[:, 0].astype("u8")
        daif = after[:, at.daif : at.daif + 8].view("u8")[:, 0] & PSTATE_DAIF
        state["pstate"] = pstate & ~np.uint64(PSTATE_NZCV | PSTATE_DAIF) | flags | daif
        sps = after[:, at.sp_el0 : at.sp_el0 + 16].view("u8")
        el1 = (pstate & 1).astype(bool)
        state["sp_el0"] = np.where(el1, sps[:, 0], words[:, 31])
        state["sp_el1"] = np.where(el1, words[:, 31], sps[:, 1])
        for number, place in enumerate(at.v):
            state["v"][:, number] = after[:, place : place + 16].view("u8")
        for number, place in enumerate(at.system):
            state["system"][:, number] = after[:, place : place + 8].view("u8")[:, 0]
        self._get_fp(state, after)
        out["took"] = self._stopped != 0
        syndrome = after[:, at.syndrome : at.syndrome + 4].view("u4")[:, 0]
        out["esr"] = np.where(out["took"], syndrome, 0)
        if self._btype is not None:
            state["pstate"] |= self._get_btype(out["took"] != 0, out["esr"])
        far = after[:, at.far : at.far + 8].view("u8")[:, 0]
        out["far"] = np.where(has_far(out["esr"]), far, 0)
        return out
