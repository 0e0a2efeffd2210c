"""Branch target identification (FEAT_BTI): where a branch may land. Floor 7.

An indirect branch leaves its kind in PSTATE.BTYPE, and so does an exception return: 1 for BR from
a page that is not guarded, or by X16 or X17; 2 for BLR; 3 for other BRs; 0 is no such branch. In a
guarded page the instruction it lands at must be compatible with that. Every other instruction
leaves 0.

Branches that are known to land well find their block in the tables of jumps (JUMPS) and come by
here no more. What an exception other than BRK's shows of BTYPE, once it has landed, the
architecture leaves open: 0.

Source: Arm ARM (DDI 0487), C6.2 (BR, BLR, BTI, PACIASP, BRK, HLT), "PSTATE.BTYPE"; J1.1
BTypeCompatible_BTI, BTypeCompatible_PACIXSP, AArch64.BranchTargetException, AArch64.TakeException.
"""

from libc.stdint cimport uint32_t, uint64_t

from saecore._defs cimport EC_BTI, PSTATE_BTYPE, PSTATE_BTYPE_SHIFT, SCTLR_BT0, SCTLR_BT1
from saecore._exceptions cimport esr_of, take_exception
from saecore._pe cimport pe_t


cdef enum:
    # PSTATE.BTYPE.
    JUMP = 1
    CALL = 2
    PLAIN_JUMP = 3

    # Instructions, and the bits of them that differ.
    BTI = 0xD503241F        # HINT 32
    BTI_TARGETS = 3 << 6
    PACIASP = 0xD503233F    # PACIBSP has bit 6 set as well
    KEY_B = 1 << 6
    BRK = 0xD4200000
    HLT = 0xD4400000
    IMM16 = 0xFFFF << 5


cdef inline bint is_brk(uint32_t word) noexcept nogil:
    return word & ~<uint32_t>IMM16 == <uint32_t>BRK


cdef bint compatible(const pe_t *pe, uint32_t word, unsigned int btype) noexcept nogil:
    """May a branch of a kind land at an instruction of a guarded page?"""
    cdef uint32_t targets
    if word & ~<uint32_t>BTI_TARGETS == <uint32_t>BTI:
        targets = word >> 6 & 3     # 1: calls (c), 2: jumps (j); X16 and X17 may do both
        return targets != 0 and (
            btype == JUMP or targets >> (0 if btype == CALL else 1) & 1)
    if word & ~<uint32_t>KEY_B == <uint32_t>PACIASP:
        return btype != PLAIN_JUMP or not pe.sctlr & (SCTLR_BT1 if pe.el else SCTLR_BT0)
    return is_brk(word) or word & ~<uint32_t>IMM16 == <uint32_t>HLT


cdef bint bti_lands(pe_t *pe, uint32_t word, bint guarded) noexcept nogil:
    cdef unsigned int btype = <unsigned int>((pe.pstate & PSTATE_BTYPE) >> PSTATE_BTYPE_SHIFT)
    if btype == 0:
        return True
    if guarded and not compatible(pe, word, btype):
        take_exception(pe, esr_of(EC_BTI, <uint64_t>btype), pe.pc)
        return False
    if not is_brk(word):
        pe.pstate &= ~PSTATE_BTYPE
    return True
