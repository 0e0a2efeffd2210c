"""A bare guest: a few instructions, a vector table that calls the hypervisor, nothing else."""

import numpy as np

import gmap
from saecore import Icptr, Processor, _sysregs, cpu_model
from saecore.a64.encodings import ENCODINGS

CODE = 0x4000_0000
VECTORS = 0x4001_0000
DATA = 0x4002_0000
BYTES = 1 << 20
EL1H, EL1T, EL0T = 0x3C5, 0x3C4, 0
#: HVC immediates: of the program's end, and of vector n, VECTOR + n.
END, VECTOR = 0xFFFF, 0x100
SYNC_CURRENT_SP0, SYNC_CURRENT, SYNC_LOWER = VECTOR, VECTOR + 4, VECTOR + 8
NOP, ERET = 0xD503201F, 0xD69F03E0

#: Registers that use the tables of `BareGuest.map_flat`.
TABLE = 0x4004_0000
ABOVE = 1 << 30
MMU = {
    "TCR_EL1": 25 | 25 << 16 | 2 << 30 | 5 << 32,
    "MAIR_EL1": 0xFF,
    "TTBR0_EL1": TABLE,
    "SCTLR_EL1": 0x30D0_0801,
}

ROWS = {row.key: row for row in ENCODINGS}


def word(encoding, **fields):
    """The instruction of a row of the encoding table, with its fields filled in."""
    row = ROWS[encoding]
    value = row.value
    for letter, number in fields.items():
        high, low = row.fields[letter]
        assert 0 <= number < 2 << high - low, (encoding, letter, number)
        value |= number << low
    return value


def _fields(name):
    row = _sysregs.find(name)
    return {"p": row.op1, "n": row.crn, "m": row.crm, "q": row.op2}, row.op0


def mrs(rt, name):
    fields, op0 = _fields(name)
    return word("mrs", o=op0 - 2, t=rt, **fields)


def msr(name, rt):
    fields, op0 = _fields(name)
    return word("msr", o=op0 - 2, t=rt, **fields)


def sys(name, rt=31):
    return word("sys", t=rt, **_fields(name)[0])


def hvc(imm):
    return word("hvc", i=imm)


def esr(ec, iss=0):
    return ec << 26 | 1 << 25 | iss


def execute(processor, max_insns=None):
    """SAE: why it ended, and how many instructions it executed."""
    before = processor.n_insns
    return processor.sae(max_insns), processor.n_insns - before


class Outcome:
    """What is left when SAE has ended."""

    def __init__(self, processor, code, icptr, insns):
        #: Where the program began.
        self.code = code
        processor.stiasrm()
        self.icptr = icptr
        self.insns = insns
        self.x = [int(v) for v in processor.block["gpr"]]
        self.block = {
            name: int(processor.block[name])
            for name in ("pc", "pstate", "sp_el0", "sp_el1", "fpcr", "fpsr", "contextidr_el1",
                         "cntp_ctl", "cntv_ctl")
        }  # fmt: skip
        self.esr = int(processor.icptd["esr_elz"])
        self.regs = dict(
            zip(_sysregs.saved_names(), (int(v) for v in processor.save_area["regs"]), strict=False)
        )

    @property
    def hvc(self):
        """The immediate of the HVC that ended it; None if that was something else."""
        if self.icptr is Icptr.SYNCHRONOUS_EXCEPTION and self.esr >> 26 == 0x16:
            return self.esr & 0xFFFF
        return None

    @property
    def pc(self):
        return self.block["pc"]

    @property
    def pstate(self):
        return self.block["pstate"]


class BareGuest:
    """One vCPU on a megabyte of memory, MMU off unless registers say otherwise."""

    def __init__(self, model=None):
        self.model = model or cpu_model()
        host = gmap.BufferHost(hamaxpow=0)
        self.ram = host.map(BYTES)
        self.gmap = gmap.Gmap(host, ipa_bits=40)
        self.gmap.set_memory_region(0, CODE, BYTES, self.ram.hva)
        self.gmap.fault_in(np.arange(CODE >> 12, (CODE + BYTES) >> 12, dtype=np.uint64), True)
        self.code = VECTORS
        self.words = self.ram.array.view("<u4")
        self.move()
        for n in range(16):
            self.words[(VECTORS - CODE + 0x80 * n) // 4] = hvc(VECTOR + n)

    def map_flat(self):
        """Two maps of a gigabyte of Normal memory: at CODE as it is, read-only, so that both
        levels may execute it; ABOVE it for both to write."""
        entries = self.entries(TABLE)
        block = CODE | 1 << 10 | 3 << 8 | 1
        entries[1], entries[2] = block | 3 << 6, block | 1 << 6

    def entries(self, table):
        """The descriptors of a translation table of 4K."""
        return self.ram.array[table - CODE :][:4096].view("<u8")

    def move(self):
        """Where the next program goes: `code`. A processor never sees one place change, for it
        may know the instructions that were there."""
        self.code += 256
        if self.code >= VECTORS:
            self.code = CODE
            self.processor = Processor(self.gmap, self.model)

    def run(self, program, *, pstate=EL1H, x=None, regs=None, end=True, max_insns=None, **block):
        """Run a program from fresh registers; `end` puts an HVC behind it, or at EL0 an SVC."""
        program = list(program)
        if end:
            program.append(hvc(END) if pstate & 4 else word("svc", i=END))
        at, processor = self.code, self.processor
        self.words[(at - CODE) // 4 :][: len(program)] = program
        values = self.model.reset_values()
        values.update({"VBAR_EL1": VECTORS, "HCR_EL2": 1 << 31} | (regs or {}))
        processor.save_area["regs"][: len(values)] = list(values.values())
        for name in ("sp_el0", "sp_el1", "fpcr", "fpsr", "contextidr_el1", "cntp_ctl", "cntv_ctl",
                     "gpto"):  # fmt: skip
            processor.block[name] = block.get(name, 0)
        processor.block["gpr"] = 0
        for number, value in (x or {}).items():
            processor.block["gpr"][number] = value
        processor.block["pc"] = at
        processor.block["pstate"] = pstate
        processor.lasrm()
        outcome = Outcome(processor, at, *execute(processor, max_insns))
        self.last = processor
        self.move()
        return outcome

    def resume(self, processor, pc, spsr):
        """Go on after a run, at EL1h and `pc`, with another SPSR_EL1."""
        processor.save_area["regs"][_sysregs.saved_names().index("SPSR_EL1")] = spsr
        processor.block["pc"], processor.block["pstate"] = pc, EL1H
        processor.lasrm()
        return Outcome(processor, pc, *execute(processor))
