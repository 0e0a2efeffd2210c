"""Self-hosted debug: breakpoints, watchpoints, software step. Floor 7.

All debug exceptions go to EL1. Source: the Arm architecture, chapters on self-hosted debug,
breakpoint, watchpoint and software step exceptions. Where it leaves a choice: a breakpoint or
watchpoint with reserved values never matches, one linked to a breakpoint that does not compare
contexts neither; the address reported for a watchpoint is the lowest watched byte of the access.
"""

from libc.stdint cimport uint32_t, uint64_t

from saecore._defs cimport (
    EC_BREAKPT_CUR, EC_BREAKPT_LOW, EC_SOFTSTP_CUR, EC_SOFTSTP_LOW, EC_WATCHPT_CUR,
    EC_WATCHPT_LOW, ESR_CM, ESR_ISV, ESR_WNR, FSC_DEBUG, MDSCR_KDE, MDSCR_MDE, MDSCR_SS,
    OSLSR_OSLK, PSTATE_D, PSTATE_SS, REG_DBGBCR0_EL1, REG_DBGBVR0_EL1, REG_DBGPRCR_EL1,
    REG_DBGWCR0_EL1, REG_DBGWVR0_EL1, REG_MDSCR_EL1, REG_OSDLR_EL1, REG_OSLSR_EL1,
)
from saecore._exceptions cimport esr_of, take_exception, take_exception_far
from saecore._pe cimport ACCESS_USER, OP_PC, PE_OK, op_t, pe_t
from saecore._sysreg_codes cimport N_BREAKPOINTS, N_CONTEXT_BREAKPOINTS, N_WATCHPOINTS


cdef enum:
    # DBGBCR and DBGWCR. The four bits BT[3:0] are the kind of breakpoint.
    ENABLE = 1
    HMC = 1 << 13
    LINKED_WATCHPOINT = 1 << 20
    BT_LINKED = 1           # bit 0 of a kind: linked
    BT_ADDRESS = 0
    BT_CONTEXT = 2
    STEP_EX = 1 << 6        # ISS of a software step: it was a load-exclusive
    ADDRESS_BITS = 53       # compared; a 48-bit address has its sign in the others


cdef inline uint64_t breakpoint_control(const pe_t *pe, int n) noexcept nogil:
    return pe.regs[<int>REG_DBGBCR0_EL1 + 2 * n]


cdef inline uint64_t breakpoint_value(const pe_t *pe, int n) noexcept nogil:
    return pe.regs[<int>REG_DBGBVR0_EL1 + 2 * n]


cdef inline uint64_t watchpoint_control(const pe_t *pe, int n) noexcept nogil:
    return pe.regs[<int>REG_DBGWCR0_EL1 + 2 * n]


cdef inline uint64_t watchpoint_value(const pe_t *pe, int n) noexcept nogil:
    return pe.regs[<int>REG_DBGWVR0_EL1 + 2 * n]


cdef bint enabled_from(pe_t *pe, uint64_t el, bint masked) noexcept nogil:
    """Can debug exceptions other than BRK be taken from a level, with PSTATE.D as given?"""
    if pe.regs[<int>REG_OSLSR_EL1] & OSLSR_OSLK:
        return False
    # The double lock holds while no debugger asks to keep the power on.
    if pe.regs[<int>REG_OSDLR_EL1] & 1 and not pe.regs[<int>REG_DBGPRCR_EL1] & 1:
        return False
    return el == 0 or (pe.regs[<int>REG_MDSCR_EL1] & MDSCR_KDE and not masked)


cdef inline bint enabled_here(pe_t *pe) noexcept nogil:
    return enabled_from(pe, pe.el, pe.pstate & PSTATE_D)


cdef bint debug_active(pe_t *pe) noexcept nogil:
    cdef uint64_t mdscr = pe.regs[<int>REG_MDSCR_EL1]
    cdef int n
    # Not the level, nor PSTATE.D: the answer holds until registers are written.
    if not mdscr & (MDSCR_SS | MDSCR_MDE) or not enabled_from(pe, 0, False):
        return False
    if mdscr & MDSCR_SS:
        return True
    for n in range(N_BREAKPOINTS):
        if breakpoint_control(pe, n) & ENABLE:
            return True
    for n in range(N_WATCHPOINTS):
        if watchpoint_control(pe, n) & ENABLE:
            return True
    return False


# --- what breakpoints and watchpoints have in common ----------------------------------------

cdef bint context_matches(pe_t *pe, int n) noexcept nogil:
    """Is breakpoint n one that others may link to, and does its context match?"""
    cdef uint64_t control = breakpoint_control(pe, n)
    return (n >= N_BREAKPOINTS - N_CONTEXT_BREAKPOINTS and control & ENABLE
            and control >> 20 & 15 == BT_CONTEXT | BT_LINKED
            and <uint32_t>breakpoint_value(pe, n) == <uint32_t>pe.contextidr)


cdef bint state_matches(pe_t *pe, uint64_t control, bint linked, uint64_t el) noexcept nogil:
    """Do level, security state and linked breakpoint match (HMC, SSC, PMC or PAC, LBN)?"""
    cdef int ssc = control >> 14 & 3
    cdef int levels = control >> 1 & 3
    # EL2 and EL3 are not there, and everything is Non-secure.
    if ssc == 2 or (ssc == 3 and not control & HMC):
        return False
    if not levels >> (0 if el else 1) & 1:
        return False
    return not linked or context_matches(pe, <int>(control >> 16 & 15))


cdef inline bint same(uint64_t one, uint64_t other, int lowest) noexcept nogil:
    """Equal in the bits that are compared, from `lowest` on."""
    return (one ^ other) << (64 - ADDRESS_BITS) >> (64 - ADDRESS_BITS) >> lowest == 0


# --- breakpoints ----------------------------------------------------------------------------

cdef bint breakpoint_matches(pe_t *pe, int n, uint64_t pc) noexcept nogil:
    cdef uint64_t control = breakpoint_control(pe, n)
    cdef int kind = control >> 20 & 15
    if not control & ENABLE:
        return False
    if kind & ~BT_LINKED == BT_ADDRESS:
        if not same(breakpoint_value(pe, n), pc, 2):
            return False
        return state_matches(pe, control, kind & BT_LINKED, pe.el)
    # A linked context breakpoint only serves others.
    return (kind == BT_CONTEXT and n >= N_BREAKPOINTS - N_CONTEXT_BREAKPOINTS
            and <uint32_t>breakpoint_value(pe, n) == <uint32_t>pe.contextidr
            and state_matches(pe, control, False, pe.el))


cdef int debug_check_fetch(pe_t *pe, uint64_t pc) noexcept nogil:
    cdef int n
    if not pe.regs[<int>REG_MDSCR_EL1] & MDSCR_MDE or not enabled_here(pe):
        return PE_OK
    for n in range(N_BREAKPOINTS):
        if breakpoint_matches(pe, n, pc):
            return take_exception(
                pe, esr_of(EC_BREAKPT_CUR if pe.el else EC_BREAKPT_LOW, FSC_DEBUG), pc)
    return PE_OK


# --- watchpoints ----------------------------------------------------------------------------

cdef bint watches_byte(uint64_t control, uint64_t value, uint64_t va) noexcept nogil:
    """Is a byte among those that DBGWVR, BAS and MASK select?"""
    cdef int mask = control >> 24 & 31
    cdef int bas = control >> 5 & 0xFF
    cdef int lowest = 2 if value & 4 else 3
    if mask:
        # The mask replaces the byte select, which should be all ones; 1 and 2 are reserved.
        return mask >= 3 and bas == 0xFF and same(value, va, mask)
    return bas >> (va & ((1 << lowest) - 1)) & 1 and same(value, va, lowest)


cdef int debug_check_access(pe_t *pe, const op_t *op, uint64_t va, unsigned int size,
                            bint write, unsigned int flags, bint cache) noexcept nogil:
    cdef uint64_t control, value, iss
    cdef uint64_t el = 0 if flags & ACCESS_USER else pe.el
    cdef unsigned int i
    cdef int n
    if not pe.regs[<int>REG_MDSCR_EL1] & MDSCR_MDE or not enabled_here(pe):
        return PE_OK
    for n in range(N_WATCHPOINTS):
        control = watchpoint_control(pe, n)
        value = watchpoint_value(pe, n)
        if not control & ENABLE or not control >> (4 if write else 3) & 1:
            continue
        if not state_matches(pe, control, control & LINKED_WATCHPOINT, el):
            continue
        for i in range(size):
            if watches_byte(control, value, va + i):
                iss = FSC_DEBUG | (ESR_WNR if write else 0) | (ESR_CM if cache else 0)
                return take_exception_far(
                    pe, esr_of(EC_WATCHPT_CUR if pe.el else EC_WATCHPT_LOW, iss), va + i,
                    OP_PC(op))
    return PE_OK


# --- software step --------------------------------------------------------------------------

cdef bint debug_stepping(pe_t *pe) noexcept nogil:
    return (pe.regs[<int>REG_MDSCR_EL1] & MDSCR_SS) != 0 and enabled_here(pe)


cdef int debug_step_before(pe_t *pe) noexcept nogil:
    cdef uint64_t iss = FSC_DEBUG
    cdef uint64_t stepped = pe.stepped
    pe.stepped = DEBUG_STEPPED_NONE
    if not debug_stepping(pe) or pe.pstate & PSTATE_SS:
        return PE_OK
    if stepped != DEBUG_STEPPED_NONE:
        iss |= ESR_ISV
    if stepped == DEBUG_STEPPED_EXCLUSIVE:
        iss |= STEP_EX
    return take_exception(pe, esr_of(EC_SOFTSTP_CUR if pe.el else EC_SOFTSTP_LOW, iss), pe.pc)


cdef inline bint is_load_exclusive(uint32_t insn) noexcept nogil:
    # LDXR, LDAXR of all sizes; LDXP, LDAXP (bit 21) of 32 and 64 bits.
    return (insn & 0x3FC00000) == 0x08400000 and (not insn & 1 << 21 or insn >> 31)


cdef void debug_step_after(pe_t *pe, uint32_t insn) noexcept nogil:
    pe.pstate &= ~PSTATE_SS
    pe.stepped = (DEBUG_STEPPED_EXCLUSIVE if is_load_exclusive(insn) else DEBUG_STEPPED_PLAIN)


cdef void debug_advance(pe_t *pe) noexcept nogil:
    if pe.regs[<int>REG_MDSCR_EL1] & MDSCR_SS:
        pe.pstate &= ~PSTATE_SS


cdef uint64_t debug_return_ss(pe_t *pe, uint64_t spsr, bint illegal) noexcept nogil:
    """SS is taken from SPSR where stepping begins: not active here, but at the target."""
    cdef uint64_t el = pe.el if illegal else spsr >> 2 & 3
    if not pe.regs[<int>REG_MDSCR_EL1] & MDSCR_SS or enabled_here(pe):
        return 0
    return spsr & PSTATE_SS if enabled_from(pe, el, spsr & PSTATE_D) else 0
