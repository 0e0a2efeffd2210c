"""Pointer authentication (FEAT_PAuth): what signs, authenticates and strips pointers. Floor 7.

The architecture leaves the algorithm open; here it is QARMA5 (ID_AA64ISAR1_EL1.APA and GPA are 1),
as on most processors that announce theirs. A pointer that fails is corrupted, and faults when
it is used (no FEAT_FPAC). Where a PAC lies depends on TCR_EL1: from the top of the address space
that TxSZ leaves up to bit 54, and in bits 63 to 56 if they are no tag. A TxSZ out of range counts
as 16, as it does for translation.

Source: Arm ARM (DDI 0487), J1.1 AddPAC, Auth, Strip, ComputePAC, CalculateBottomPACBit.
"""

from libc.stdint cimport uint64_t

from saecore._defs cimport (
    EC_PAUTH, HCR_API, REG_APDAKeyHi_EL1, REG_APDAKeyLo_EL1, REG_APDBKeyHi_EL1, REG_APDBKeyLo_EL1,
    REG_APGAKeyHi_EL1, REG_APGAKeyLo_EL1, REG_APIAKeyHi_EL1, REG_APIAKeyLo_EL1, REG_APIBKeyHi_EL1,
    REG_APIBKeyLo_EL1, REG_HCR_EL2, SCTLR_ENDA, SCTLR_ENDB, SCTLR_ENIA, SCTLR_ENIB,
)
from saecore._exceptions cimport esr_of, intercept_trap
from saecore._pe cimport OP_PC, PE_OK, op_t, pe_t
from saecore._processor cimport processor_t
from saecore.a64._emit_pauth cimport (
    PAUTH_ADD, PAUTH_GENERIC, PAUTH_IB, PAUTH_DA, PAUTH_DB, PAUTH_STRIP, pauth_action, pauth_key,
)


cdef extern from "sae_qarma.h" nogil:
    void qarma_fill()
    uint64_t qarma64(uint64_t p, uint64_t tweak, uint64_t w0, uint64_t k0)


qarma_fill()

# By key: its registers, and the bit of SCTLR_EL1 that enables it.
cdef int[5] KEY_HIGH = [REG_APIAKeyHi_EL1, REG_APIBKeyHi_EL1, REG_APDAKeyHi_EL1,
                        REG_APDBKeyHi_EL1, REG_APGAKeyHi_EL1]
cdef int[5] KEY_LOW = [REG_APIAKeyLo_EL1, REG_APIBKeyLo_EL1, REG_APDAKeyLo_EL1,
                       REG_APDBKeyLo_EL1, REG_APGAKeyLo_EL1]
cdef uint64_t[4] ENABLE = [SCTLR_ENIA, SCTLR_ENIB, SCTLR_ENDA, SCTLR_ENDB]


cpdef uint64_t compute_pac(uint64_t data, uint64_t modifier, uint64_t key_high, uint64_t key_low):
    """ComputePAC: QARMA-64 with five rounds, of which a PAC is some bits.

    Parameters
    ----------
    data, modifier : int
        What is signed, and the tweak; 64 bits each.
    key_high, key_low : int
        The two registers of a key; 64 bits each.

    Returns
    -------
    int

    Notes
    -----
    Source: Arm ARM, ComputePAC; the example is the test vector of the QARMA paper.

    Examples
    --------
    >>> from saecore._pauth import compute_pac
    >>> hex(compute_pac(0xFB623599DA6E8127, 0x477D469DEC0B8762, 0x84BE85CE9804E94B,
    ...                 0xEC2802D4E0A488E9))
    '0xc003b93999b33765'
    """
    return qarma64(data, modifier, key_high, key_low)


cdef inline uint64_t pac_of(pe_t *pe, uint64_t data, uint64_t modifier, int key) noexcept nogil:
    return qarma64(data, modifier, pe.regs[KEY_HIGH[key]], pe.regs[KEY_LOW[key]])


cdef inline bint tagged(pe_t *pe, bint upper, bint data) noexcept nogil:
    """Is the top byte of such an address a tag?"""
    if data:
        return (<processor_t *>pe).mmu.two.regime.half[upper].tbi
    return pe.tbi >> <int>upper & 1


cdef inline uint64_t place(pe_t *pe, bint upper, bint tag) noexcept nogil:
    """The bits of a PAC, and bit 55, which no PAC has but extensions do."""
    cdef uint64_t above = (<processor_t *>pe).mmu.two.regime.half[upper].same
    return above & ~(<uint64_t>0xFF << 56) if tag else above


cdef inline uint64_t extended(uint64_t pointer, bint upper, uint64_t where) noexcept nogil:
    """The pointer as it is without a PAC."""
    return pointer | where if upper else pointer & ~where


cdef uint64_t add(pe_t *pe, uint64_t pointer, uint64_t modifier, int key) noexcept nogil:
    cdef bint data = key >= PAUTH_DA
    cdef bint any_tags = tagged(pe, False, data) or tagged(pe, True, data)
    cdef bint upper = pointer >> (55 if any_tags else 63) & 1
    cdef bint tag = tagged(pe, pointer >> 55 & 1, data)
    cdef uint64_t where = place(pe, upper, tag)
    cdef uint64_t pac = pac_of(pe, extended(pointer, upper, where), modifier, key)
    cdef uint64_t side = <uint64_t>1 << 55
    # One that was no pointer will not become one.
    if pointer & where and ~pointer & where:
        pac ^= <uint64_t>1 << (54 if tag else 62)
    return pointer & ~where | pac & where & ~side | (side if upper else 0)


cdef uint64_t authenticate(pe_t *pe, uint64_t pointer, uint64_t modifier, int key) noexcept nogil:
    cdef bint upper = pointer >> 55 & 1
    cdef bint tag = tagged(pe, upper, key >= PAUTH_DA)
    cdef uint64_t where = place(pe, upper, tag)
    cdef uint64_t plain = extended(pointer, upper, where)
    cdef uint64_t error = 2 if key == PAUTH_IB or key == PAUTH_DB else 1
    cdef int at = 53 if tag else 61
    if not (pac_of(pe, plain, modifier, key) ^ pointer) & where & ~(<uint64_t>1 << 55):
        return plain
    return plain & ~(<uint64_t>3 << at) | error << at


cdef uint64_t strip(pe_t *pe, uint64_t pointer, int key) noexcept nogil:
    cdef bint upper = pointer >> 55 & 1
    return extended(pointer, upper, place(pe, upper, tagged(pe, upper, key >= PAUTH_DA)))


cdef int pauth_instruction(pe_t *pe, const op_t *op) noexcept nogil:
    cdef int action = pauth_action(op)
    cdef int key = pauth_key(op)
    cdef uint64_t value = pe.x[op.rn]
    cdef uint64_t modifier = pe.x[op.rm]
    if action == PAUTH_STRIP:
        value = strip(pe, value, key)
    elif action == PAUTH_GENERIC or pe.sctlr & ENABLE[key]:
        if not pe.regs[<int>REG_HCR_EL2] & HCR_API:
            return intercept_trap(pe, esr_of(EC_PAUTH, 0), OP_PC(op))
        if action == PAUTH_GENERIC:
            value = pac_of(pe, value, modifier, key) & ~<uint64_t>0 << 32
        elif action == PAUTH_ADD:
            value = add(pe, value, modifier, key)
        else:
            value = authenticate(pe, value, modifier, key)
    pe.x[op.rd] = value
    return PE_OK
