"""System registers the hypervisor answers for (EC 0x18). Floor 9.

Source: fact sheet upcoming.md section 1.2. Which registers there are, and where their values live,
says `saecore._sysregs`; this adds how KVM answers.
"""

from libc.stdint cimport uint16_t, uint64_t

from saecore._defs cimport (
    ICPTD_ESR_ELZ, REG_CSSELR_EL1, REG_ID_AA64MMFR1_EL1, REG_OSLSR_EL1,
)
from saecore.kvm._inject cimport inject_undefined
from saecore.kvm._state cimport (
    INCREMENT_PC, N_CSSELR, icptd64, read_gpr, saved_register, vcpu_t, write_gpr,
)

from saecore import _defs, _sysregs

cdef enum:
    MAX_ROWS = 128
    # How an access is answered.
    ANSWER_VALUE = 0        # reads the saved register; a write is UNDEFINED
    ANSWER_ZERO = 1         # the same, of zero
    ANSWER_RW = 2
    ANSWER_IGNORE = 3       # reads as zero, ignores writes
    ANSWER_LOR = 4
    ANSWER_CCSIDR = 5
    ANSWER_CSSELR = 6
    ANSWER_OSLAR = 7

    MMFR1_LO_SHIFT = 16     # LORegions
    OSLSR_OSLK = 2
    LORID_OP2 = 7
    CSSELR_LEVELS = 0xF


cdef struct row_t:
    uint16_t key
    uint16_t reg
    int answer


cdef row_t rows[MAX_ROWS]
cdef int n_rows = 0

#: Registers with an access function of their own; the others that can trap are read-only.
_ANSWERS = {
    **dict.fromkeys(["TTBR0_EL1", "TTBR1_EL1", "TCR_EL1", "VBAR_EL1"], ANSWER_RW),
    **dict.fromkeys(["LORSA_EL1", "LOREA_EL1", "LORN_EL1", "LORC_EL1", "LORID_EL1"], ANSWER_LOR),
    "CCSIDR_EL1": ANSWER_CCSIDR,
    "CSSELR_EL1": ANSWER_CSSELR,
    "OSLAR_EL1": ANSWER_OSLAR,
    "OSLSR_EL1": ANSWER_VALUE,
    "PMMIR_EL1": ANSWER_IGNORE,
}


def _fill():
    """Lay the rows down for the kernel, ascending by encoding."""
    global n_rows
    saved = {name: at for at, name in enumerate(_sysregs.saved_names())}
    # Keys of pointer authentication trap where the guest is to have none: they are UNDEFINED.
    found = [row for row in _sysregs.SYSREGS if row.home != _sysregs.Home.INSTRUCTION
             and (row.name in _ANSWERS or row.trap & ~_defs.HCR_APK)]
    assert len(found) <= MAX_ROWS, "make MAX_ROWS larger"
    for row in sorted(found, key=lambda row: row.key):
        rows[n_rows].key = row.key
        rows[n_rows].reg = saved.get(row.name, 0)
        rows[n_rows].answer = _ANSWERS.get(
            row.name, ANSWER_VALUE if row.name in saved else ANSWER_ZERO)
        n_rows += 1


_fill()


cdef row_t *find_row(uint16_t key) noexcept nogil:
    cdef int low = 0, high = n_rows, middle
    while low < high:
        middle = (low + high) >> 1
        if rows[middle].key < key:
            low = middle + 1
        else:
            high = middle
    return &rows[low] if low < n_rows and rows[low].key == key else NULL


cdef bint perform(vcpu_t *v, row_t *row, bint is_read, uint64_t *value) noexcept nogil:
    """Do one access; False if it is UNDEFINED after all."""
    cdef uint64_t *saved = saved_register(v, row.reg)
    cdef uint64_t selected
    if row.answer == ANSWER_RW or row.answer == ANSWER_CSSELR:
        if is_read:
            value[0] = saved[0]
        else:
            saved[0] = value[0] & (CSSELR_LEVELS if row.answer == ANSWER_CSSELR else ~<uint64_t>0)
        return True
    if row.answer == ANSWER_IGNORE or row.answer == ANSWER_LOR:
        if row.answer == ANSWER_LOR and (
                not saved_register(v, REG_ID_AA64MMFR1_EL1)[0] >> MMFR1_LO_SHIFT & 0xF
                or (not is_read and row.key & 7 == LORID_OP2)):
            return False
        value[0] = 0 if is_read else value[0]
        return True
    if row.answer == ANSWER_OSLAR:
        if is_read:
            return False
        saved = saved_register(v, REG_OSLSR_EL1)
        saved[0] = (saved[0] & ~<uint64_t>OSLSR_OSLK) | (OSLSR_OSLK if value[0] & 1 else 0)
        return True
    if not is_read:
        return False
    if row.answer == ANSWER_CCSIDR:
        selected = saved_register(v, REG_CSSELR_EL1)[0] & CSSELR_LEVELS
        value[0] = v.vm.ccsidr[selected] if selected < N_CSSELR else 0
    else:
        value[0] = saved[0] if row.answer == ANSWER_VALUE else 0
    return True


cdef int handle_sys_reg(vcpu_t *v) noexcept nogil:
    """Emulate MRS or MSR, or tell the guest there is no such register."""
    cdef uint64_t esr = icptd64(v.block, ICPTD_ESR_ELZ)
    cdef uint64_t op0 = esr >> 20 & 3
    cdef uint16_t key = <uint16_t>(op0 << 14 | (esr >> 14 & 7) << 11 | (esr >> 10 & 15) << 7
                                   | (esr >> 1 & 15) << 3 | (esr >> 17 & 7))
    cdef int rt = esr >> 5 & 31
    cdef bint is_read = esr & 1
    cdef uint64_t value = read_gpr(v, rt)
    cdef row_t *row = find_row(key) if op0 >= 2 else NULL
    if row != NULL and perform(v, row, is_read, &value):
        v.flags |= INCREMENT_PC
    else:
        inject_undefined(v)
    if is_read:
        write_gpr(v, rt, value)
    return 1
