"""The SAE instructions as functions: SAE, LASRM, STIASRM, QAAF, SASR, EASR. Floor 8.

What the facade's run loop does in C, one instruction at a time: to try the architecture out, and
to test it. Source: fact sheet sae.md sections 1 to 6, upcoming.md 1.5.
"""

import mmap

import numpy as np

from libc.stdint cimport uint64_t, uintptr_t

from gmap._address cimport as_u64
from gmap._space cimport Gmap
from saecore._block cimport sae_block_t, save_area_t
from saecore._defs cimport SAE_SAS_VALID
from saecore._loop cimport (
    processor_code_changed, processor_free, processor_new, sae_execute, sae_lasrm, sae_stiasrm,
)
from saecore._processor cimport processor_t

from gmap.errors import ConfigError, HostMemoryError

from saecore._block import BLOCK_DTYPE, ICPTD_DTYPE, SAVE_AREA_DTYPE
from saecore._cpu import CpuModel, cpu_model
from saecore._defs import PSTATE_RESET, Icptr
from saecore._sysregs import SYSREGS, saved_names

cdef uint64_t UNLIMITED = <uint64_t>-1
cdef uint64_t PAGE = 4096

SASR_MEMORY = 8     # flag M4 of SASR and EASR: the registers are those of a save area
QAAF_CAPABILITIES = 1
QAAF_SAVE_AREA = 2

_PLACES = {name: at for at, name in enumerate(saved_names())}
_KEYS = {row.key: row.name for row in SYSREGS if row.name in _PLACES}
# QAAF numbers of registers outside the ID space (upcoming.md 1.5).
_NUMBERS = {"CNTFRQ_EL0": 0x42, "CTR_EL0": 0x43, "AIDR_EL1": 0x44}


def _place(register):
    """Where a register is in a save area."""
    name = register if isinstance(register, str) else _KEYS.get(register)
    if name not in _PLACES:
        shown = register if isinstance(register, str) else hex(register)
        raise ConfigError(f"no save area holds system register {shown}: use a name or the 16 bits "
                          "Op0:Op1:CRn:CRm:Op2 of one in saecore._sysregs.saved_names()")
    return _PLACES[name]


def qaaf(int function, model=None, *, bint by_number=False):
    """QAAF: what the processor can do.

    Parameters
    ----------
    function : {1, 2}
        1 queries model capabilities, 2 the initial save area.
    model : CpuModel, optional
        Of the processor asked; the default model.
    by_number : bool
        Where register number n of function 1 is: at 0x10 + 8 n, as the kernel's structure has
        it, or at 8 n (sae.md 6 leaves open which one machines do).

    Returns
    -------
    bytes
        4096 of them, big-endian.

    Raises
    ------
    ConfigError
        There is no such function.

    Examples
    --------
    >>> from saecore import qaaf
    >>> qaaf(1)[0x10 + 8 * 0x3a:][:8].hex()     # ID_AA64MMFR0_EL1, number 0x3a
    '0000000000100025'
    """
    model = cpu_model() if model is None else model
    if function == QAAF_SAVE_AREA:
        area = np.zeros((), SAVE_AREA_DTYPE)
        fill_save_area(area, model)
        return _big_endian(area)
    if function != QAAF_CAPABILITIES:
        raise ConfigError(f"QAAF function {function}: use 1 (capabilities) or 2 (save area)")
    page = bytearray(4096)
    page[0x008] = page[0x00A] = 1      # format 0, of both
    for row in SYSREGS:
        number = _NUMBERS.get(row.name)
        if number is None and row.op0 == 3 and row.op1 == 0 and row.crn == 0:
            number = 2 + (row.crm << 3 | row.op2)
        at = 8 * (number or 0) + (0 if by_number else 0x10)
        if number is not None and at + 8 <= len(page):
            value = model.registers.get(row.name, row.reset)
            page[at:at + 8] = value.to_bytes(8, "big")
    return bytes(page)


def _big_endian(record):
    from saecore._block import to_bytes

    return to_bytes(record)


def fill_save_area(area, model):
    """Set a save area to the reset values of a CPU model, valid, and of no control block.

    >>> import numpy as np
    >>> from saecore import SAVE_AREA_DTYPE, cpu_model, fill_save_area
    >>> area = np.zeros((), SAVE_AREA_DTYPE)
    >>> fill_save_area(area, cpu_model("base"))
    >>> int(area["sas"])
    1
    """
    area[...] = np.zeros((), SAVE_AREA_DTYPE)
    area["sas"] = SAE_SAS_VALID
    for name, value in model.reset_values().items():
        area["regs"][_PLACES[name]] = value


cdef class Processor:
    """A processor that executes SAE, with one control block and one save area of its own.

    Parameters
    ----------
    gmap : Gmap
        Stage 2, over a BufferHost.
    model : CpuModel, optional
        What it implements; the default model.

    Attributes
    ----------
    block, icptd, save_area : record
        The control block (`BLOCK_DTYPE`), its interception data (`ICPTD_DTYPE`, the same bytes)
        and the save area (`SAVE_AREA_DTYPE`), live. They begin as after a reset.
    vregs : (32, 2) ndarray of uint64
        V0 to V31, least significant half first, live.
    loaded : bool
        The system registers are in the processor (LASRM), not in the save area.

    Examples
    --------
    A guest that adds, and asks the host for nothing (HVC #0):

    >>> import gmap, numpy as np, saecore
    >>> host = gmap.BufferHost()
    >>> ram = host.map(1 << 20)
    >>> g = gmap.Gmap(host, ipa_bits=40)
    >>> g.set_memory_region(0, 0x4000_0000, ram.nbytes, ram.hva)
    >>> ram.array[:8].view(np.uint32)[:] = 0x91000400, 0xD4000002
    >>> p = saecore.Processor(g)
    >>> p.block["pc"], p.block["gpr"][0] = 0x4000_0000, 41
    >>> p.lasrm()
    >>> p.sae()                             # its code is not there yet
    <Icptr.HOST_ACCESS_EXCEPTION: 2>
    >>> hex(p.icptd["pic"]), g.fault_in(0x40000)
    ('0x10', 0)
    >>> p.sae(), hex(p.icptd["esr_elz"]), int(p.block["gpr"][0])
    (<Icptr.SYNCHRONOUS_EXCEPTION: 3>, '0x5a000000', 42)
    """

    cdef processor_t *c
    cdef sae_block_t *block_c
    cdef save_area_t *area_c
    cdef readonly Gmap gmap
    cdef readonly object model
    cdef readonly object block
    cdef readonly object icptd
    cdef readonly object save_area
    cdef readonly object vregs
    cdef readonly bint loaded

    def __cinit__(self, Gmap gmap not None, model=None):
        model = cpu_model() if model is None else model
        if not isinstance(model, CpuModel):
            raise ConfigError(f"model must be a CpuModel (saecore.cpu_model), got {model!r}")
        self.gmap = gmap
        self.model = model
        memory = mmap.mmap(-1, 2 * PAGE)        # the records keep it alive
        self.block = np.frombuffer(memory, BLOCK_DTYPE, 1).reshape(())
        self.icptd = np.frombuffer(memory, ICPTD_DTYPE, 1).reshape(())
        self.save_area = np.frombuffer(memory, SAVE_AREA_DTYPE, 1, PAGE).reshape(())
        self.block_c = <sae_block_t *><uintptr_t><object>self.block.ctypes.data
        self.area_c = <save_area_t *><uintptr_t><object>self.save_area.ctypes.data
        self.c = processor_new(gmap.space.c, <uint64_t>int(model.flags))
        if self.c == NULL:
            raise HostMemoryError("no memory for a processor")
        self.vregs = np.asarray(<uint64_t[:32, :2]><uint64_t *>self.c.pe.v)
        self.block["pstate"] = PSTATE_RESET
        self.block["msl"] = gmap.guest_phys_size
        self.block["hbasce"] = gmap.asce
        self.block["save_area"] = self.save_area.ctypes.data
        fill_save_area(self.save_area, model)
        self.save_area["sdo"] = self.block.ctypes.data

    def __dealloc__(self):
        processor_free(self.c)

    @property
    def n_insns(self):
        """Instructions executed so far: completed, or ended by an exception to EL1."""
        return self.c.n_insns

    def lasrm(self):
        """LASRM: load the system registers from the save area."""
        sae_lasrm(self.c, self.area_c)
        self.loaded = True

    def stiasrm(self):
        """STIASRM: store the system registers in the save area, and have them no longer."""
        if self.loaded:
            sae_stiasrm(self.c, self.area_c)
        self.loaded = False

    def sae(self, max_insns=None):
        """SAE: run the guest of the control block until it is intercepted.

        Parameters
        ----------
        max_insns : int, optional
            End, with SPURIOUS, when so many instructions have been executed.

        Returns
        -------
        Icptr
            The interception code, which is in the control block, too. SPURIOUS also comes
            every few milliseconds, as by an interrupt of the host: run it again.

        Raises
        ------
        ConfigError
            The system registers are not loaded.
        """
        if not self.loaded:
            raise ConfigError("SAE needs the system registers loaded: lasrm() first")
        self.c.budget = UNLIMITED
        if max_insns is not None:
            self.c.budget = as_u64(max_insns, "max_insns", UNLIMITED - 1)
        self.gmap.space.check_open()
        processor_code_changed(self.c)
        with nogil:
            sae_execute(self.c, self.block_c)
        return Icptr(self.block_c.icptr)

    def sasr(self, register, value, int flags=0):
        """SASR: set a system register.

        Parameters
        ----------
        register : str or int
            By name, or as Op0:Op1:CRn:CRm:Op2 in 16 bits.
        value : int
        flags : {0, 8}
            8: in the save area, which is not loaded. 0: in the processor, which is.

        Raises
        ------
        ConfigError
            No save area holds the register, or the flags do not fit what is loaded.

        Examples
        --------
        >>> import gmap, saecore
        >>> g = gmap.Gmap(gmap.BufferHost(), ipa_bits=40)
        >>> p = saecore.Processor(g)
        >>> p.sasr("VBAR_EL1", 0x4000_0800, 8)
        >>> p.lasrm()
        >>> hex(p.easr("VBAR_EL1"))
        '0x40000800'
        """
        place = _place(register)
        self.check_flags(flags)
        if flags:
            self.area_c.regs[<int>place] = as_u64(value, "value", UNLIMITED)
        else:
            # As a host would: what depends on the register follows when the area is loaded.
            sae_stiasrm(self.c, self.area_c)
            self.area_c.regs[<int>place] = as_u64(value, "value", UNLIMITED)
            sae_lasrm(self.c, self.area_c)

    def easr(self, register, int flags=0):
        """EASR: extract a system register; operands as those of `sasr`."""
        place = _place(register)
        self.check_flags(flags)
        if not flags:
            sae_stiasrm(self.c, self.area_c)
        return int(self.area_c.regs[<int>place])

    cdef int check_flags(self, int flags) except -1:
        if flags not in (0, SASR_MEMORY):
            raise ConfigError(f"flags {flags:#x}: use 0 (loaded) or 8 (the save area)")
        if self.loaded == (flags != 0):
            raise ConfigError("the registers are loaded: use flags 0" if self.loaded else
                              "the registers are not loaded: use flags 8, or lasrm() first")
        return 0
