"""System registers and system instructions: what is not fast. Floor 7.

Which registers there are, and who may name them, was decided when the block was made, from the
table of `_sysregs.py`; here is what depends on control registers, and what registers do.
Order of the checks: what EL1 denies EL0 (EC 0x18 to EL1), then what HCR_EL2 hands to the
hypervisor (SAE ends at the instruction, EC 0x18), then the access.

Source: the Arm architecture's pseudocode of the accessors, ISS encodings of EC 0x01 and 0x18;
fact sheets sae.md 7.4 and 9, upcoming.md 1.2 and 2.2.
"""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from gmap._defs cimport ACCESS_READ, ACCESS_WRITE, SCTLR_EPAN, TCR_AS
from gmap._tlb cimport AND_GLOBAL, ANY_ASID
from saecore._debug cimport debug_advance, debug_return_ss
from saecore._defs cimport (
    CHANGED_CODE, CHANGED_MODE, CNTKCTL_EL0PCTEN, CNTKCTL_EL0PTEN,
    CNTKCTL_EL0VCTEN, CNTKCTL_EL0VTEN, EC_BRK64, EC_HVC64,
    EC_SMC64, EC_SVC64, EC_SYS64, EC_WFX, EVENT_LOOKUP, EVENT_SLICE, EVENT_WAIT,
    FEATURE_BTI, FEATURE_DIT, FEATURE_FP16, FEATURE_PAN, FEATURE_PAUTH, FEATURE_SSBS,
    FEATURE_UAO, HCR_APK, HCR_TIDCP, HCR_TSC, HCR_TWE, HCR_TWI, HCR_VF, HCR_VI, HCR_VSE,
    MDSCR_TDCC, MODE_EL0T, MODE_EL1H, MODE_EL1T, OSLSR_OSLK, PSTATE_BTYPE, PSTATE_DAIF,
    PSTATE_DIT, PSTATE_IL, PSTATE_MODE, PSTATE_NZCV, PSTATE_PAN, PSTATE_SP,
    PSTATE_SSBS, PSTATE_UAO, REG_CNTKCTL_EL1, REG_CNTP_CVAL_EL0, REG_CNTV_CVAL_EL0,
    REG_CPACR_EL1, REG_CSSELR_EL1, REG_CTR_EL0, REG_DBGCLAIMCLR_EL1, REG_ELR_EL1, REG_HCR_EL2,
    REG_ID_AA64MMFR1_EL1, REG_MDSCR_EL1, REG_OSLSR_EL1, REG_PAR_EL1, REG_SPSR_EL1, REG_TCR_EL1,
    SCTLR_BTI, SCTLR_DSSBS, SCTLR_DZE, SCTLR_NTWE, SCTLR_NTWI, SCTLR_PAUTH, SCTLR_SPAN,
    SCTLR_UCI, SCTLR_UCT, SCTLR_UMA,
)
from saecore._exceptions cimport (
    esr_of, intercept_trap, mode_follow, pstate_read, pstate_write, take_exception,
    take_fp_fault, take_undefined,
)
from saecore._mmu cimport (
    mmu_cache_check, mmu_flush_all, mmu_flush_asid, mmu_flush_va, mmu_probe, mmu_zero,
)
from saecore._pauth cimport pauth_instruction
from saecore._pe cimport OP_PC, PE_LEFT, PE_OK, op_t, pe_t, sae_branch_address
from saecore._processor cimport processor_t
from saecore._sysreg_codes cimport (
    GATE_COUNTER_ANY, GATE_COUNTER_P, GATE_COUNTER_V, GATE_DZE, GATE_OPEN,
    GATE_TIMER_P, GATE_TIMER_V, GATE_UCI, GATE_UCT, GATE_UMA, HOME_INSTRUCTION, HOME_SAVED,
    HOME_ZERO, SPECIAL_AT, SPECIAL_CCSIDR, SPECIAL_CLAIM_CLEAR, SPECIAL_CLAIM_SET,
    SPECIAL_CNTP_CTL, SPECIAL_CNTP_TVAL, SPECIAL_CNTV_CTL, SPECIAL_CNTV_TVAL,
    SPECIAL_CONTEXTIDR, SPECIAL_COUNTER, SPECIAL_DAIF, SPECIAL_DCZID, SPECIAL_DC_VA,
    SPECIAL_DC_VA_WRITE, SPECIAL_DC_ZVA, SPECIAL_FPCR, SPECIAL_FPSR, SPECIAL_IC_VA, SPECIAL_ISR,
    SPECIAL_OSLAR, SPECIAL_PSTATE_BIT, SPECIAL_SCTLR, SPECIAL_SPSEL, SPECIAL_SP_EL0,
    SPECIAL_TLBI_ALL, SPECIAL_TLBI_ASID, SPECIAL_TLBI_VA, SPECIAL_TLBI_VA_ANY, sae_sysregs,
    sysreg_t,
)
from saecore._timer cimport counter, timer_control
from saecore.a64._emit_system cimport (
    SYSTEM_ACCESS, SYSTEM_BRK, SYSTEM_DAIF_CLEAR, SYSTEM_DAIF_SET, SYSTEM_ERET, SYSTEM_HVC,
    SYSTEM_ISB, SYSTEM_PAUTH, SYSTEM_PSTATE_BIT, SYSTEM_SEV, SYSTEM_SMC, SYSTEM_SPSEL,
    SYSTEM_UNKNOWN_ACCESS, SYSTEM_WFE, SYSTEM_WFI, system_row, system_what, system_word,
)


cdef extern from "sae_fp_soft.h" nogil:
    const uint64_t FPCR_FZ16


cdef enum:
    DCZID_DZP = 1 << 4      # DC ZVA is not allowed here
    WFX_ISS = 0x1E << 20    # CV 1, COND 14: always, as from A64


cdef inline uint64_t hcr(pe_t *pe) noexcept nogil:
    return pe.regs[<int>REG_HCR_EL2]


cdef uint64_t interrupts_pending(pe_t *pe) noexcept nogil:
    # The bits have the same positions in HCR_EL2.
    return hcr(pe) & (HCR_VSE | HCR_VI | HCR_VF)


# --- trapped accesses -----------------------------------------------------------------------

cdef inline uint64_t access_esr(uint32_t insn) noexcept nogil:
    """ESR of a trapped MSR, MRS or SYS: its fields, and whether it is a read."""
    return esr_of(EC_SYS64, (
        (insn >> 19 & 3) << 20 | (insn >> 5 & 7) << 17 | (insn >> 16 & 7) << 14
        | (insn >> 12 & 15) << 10 | (insn & 31) << 5 | (insn >> 8 & 15) << 1 | (insn >> 21 & 1)))


cdef bint gate_open(pe_t *pe, int gate) noexcept nogil:
    """Does EL1 let EL0 do this?"""
    cdef uint64_t cntkctl = pe.regs[<int>REG_CNTKCTL_EL1]
    if gate == GATE_OPEN:
        return True
    if gate == GATE_UCT:
        return (pe.sctlr & SCTLR_UCT) != 0
    if gate == GATE_UMA:
        return (pe.sctlr & SCTLR_UMA) != 0
    if gate == GATE_DZE:
        return (pe.sctlr & SCTLR_DZE) != 0
    if gate == GATE_UCI:
        return (pe.sctlr & SCTLR_UCI) != 0
    if gate == GATE_COUNTER_P:
        return (cntkctl & CNTKCTL_EL0PCTEN) != 0
    if gate == GATE_COUNTER_V:
        return (cntkctl & CNTKCTL_EL0VCTEN) != 0
    if gate == GATE_COUNTER_ANY:
        return (cntkctl & (CNTKCTL_EL0PCTEN | CNTKCTL_EL0VCTEN)) != 0
    if gate == GATE_TIMER_P:
        return (cntkctl & CNTKCTL_EL0PTEN) != 0
    if gate == GATE_TIMER_V:
        return (cntkctl & CNTKCTL_EL0VTEN) != 0
    return not pe.regs[<int>REG_MDSCR_EL1] & MDSCR_TDCC     # GATE_DCC


# --- PSTATE ---------------------------------------------------------------------------------

cdef void set_masks(pe_t *pe, uint64_t daif) noexcept nogil:
    """DAIF. The loop wants to know of an interrupt let in."""
    cdef uint64_t before = pe.pstate
    pe.pstate = before & ~PSTATE_DAIF | daif
    if before & ~daif & interrupts_pending(pe):
        pe.changed |= CHANGED_MODE


cdef void set_bit(pe_t *pe, uint64_t bit, bint on) noexcept nogil:
    """PAN, UAO, DIT or SSBS."""
    pe.pstate = pe.pstate | bit if on else pe.pstate & ~bit
    mode_follow(pe)


cdef void select_sp(pe_t *pe, uint64_t sp) noexcept nogil:
    pstate_write(pe, pstate_read(pe) & ~PSTATE_SP | sp)


# --- registers that are more than a word ----------------------------------------------------

cdef int read_special(pe_t *pe, const op_t *op, const sysreg_t *reg,
                      uint64_t *value) noexcept nogil:
    cdef int special = reg.special
    if special == SPECIAL_DAIF:
        value[0] = pe.pstate & PSTATE_DAIF
    elif special == SPECIAL_PSTATE_BIT or special == SPECIAL_SPSEL:
        value[0] = pe.pstate & reg.mask
    elif special == SPECIAL_SP_EL0:
        if not pe.pstate & PSTATE_SP:
            return take_undefined(pe, op)
        value[0] = pe.sp[0]
    elif special == SPECIAL_FPCR or special == SPECIAL_FPSR:
        if pe.fp_trap:
            take_fp_fault(pe, op)
            return PE_LEFT
        value[0] = pe.fpcr if special == SPECIAL_FPCR else pe.fpsr
    elif special == SPECIAL_CONTEXTIDR:
        value[0] = pe.contextidr
    elif special == SPECIAL_CCSIDR:
        value[0] = cache_size(pe.regs[<int>REG_CTR_EL0], pe.regs[<int>REG_CSSELR_EL1])
    elif special == SPECIAL_ISR:
        value[0] = interrupts_pending(pe)
    elif special == SPECIAL_COUNTER:
        value[0] = counter(pe)
    elif special == SPECIAL_CNTP_CTL:
        value[0] = timer_control(pe, pe.cntp_ctl, pe.regs[<int>REG_CNTP_CVAL_EL0])
    elif special == SPECIAL_CNTV_CTL:
        value[0] = timer_control(pe, pe.cntv_ctl, pe.regs[<int>REG_CNTV_CVAL_EL0])
    elif special == SPECIAL_CNTP_TVAL:
        value[0] = <uint32_t>(pe.regs[<int>REG_CNTP_CVAL_EL0] - counter(pe))
    elif special == SPECIAL_CNTV_TVAL:
        value[0] = <uint32_t>(pe.regs[<int>REG_CNTV_CVAL_EL0] - counter(pe))
    elif special == SPECIAL_CLAIM_SET:
        value[0] = reg.mask     # the tags there are
    return PE_OK


cdef uint64_t cache_size(uint64_t ctr, uint64_t csselr) noexcept nogil:
    """CCSIDR_EL1: one set of one way, with lines as CTR_EL0 has them, as KVM makes it up."""
    cdef uint64_t words = ctr & 15 if csselr & 1 else ctr >> 16 & 15
    # Both are logarithms: of words there, of 16 bytes here.
    return max(words, 2) - 2


cdef int write_special(pe_t *pe, const op_t *op, const sysreg_t *reg,
                       uint64_t value) noexcept nogil:
    cdef int special = reg.special
    cdef uint64_t before
    if special == SPECIAL_SCTLR:
        write_sctlr(pe, reg, value)
    elif special == SPECIAL_DAIF:
        set_masks(pe, value & PSTATE_DAIF)
    elif special == SPECIAL_PSTATE_BIT:
        set_bit(pe, reg.mask, (value & reg.mask) != 0)
    elif special == SPECIAL_SPSEL:
        select_sp(pe, value & PSTATE_SP)
    elif special == SPECIAL_SP_EL0:
        if not pe.pstate & PSTATE_SP:
            return take_undefined(pe, op)
        pe.sp[0] = value
    elif special == SPECIAL_FPCR or special == SPECIAL_FPSR:
        if pe.fp_trap:
            take_fp_fault(pe, op)
            return PE_LEFT
        if special == SPECIAL_FPCR:
            pe.fpcr = value & reg.mask
            if not pe.features & FEATURE_FP16:
                pe.fpcr &= ~FPCR_FZ16
        else:
            pe.fpsr = value & reg.mask
    elif special == SPECIAL_CONTEXTIDR:
        pe.contextidr = value & reg.mask
    elif special == SPECIAL_CNTP_CTL:
        pe.cntp_ctl = value & reg.mask
    elif special == SPECIAL_CNTV_CTL:
        pe.cntv_ctl = value & reg.mask
    elif special == SPECIAL_CNTP_TVAL:
        pe.regs[<int>REG_CNTP_CVAL_EL0] = counter(pe) + <uint64_t><int64_t><int32_t>value
    elif special == SPECIAL_CNTV_TVAL:
        pe.regs[<int>REG_CNTV_CVAL_EL0] = counter(pe) + <uint64_t><int64_t><int32_t>value
    elif special == SPECIAL_OSLAR:
        before = pe.regs[<int>REG_OSLSR_EL1]
        pe.regs[<int>REG_OSLSR_EL1] = before | OSLSR_OSLK if value & 1 else before & ~OSLSR_OSLK
    elif special == SPECIAL_CLAIM_SET:
        pe.regs[<int>REG_DBGCLAIMCLR_EL1] |= value & reg.mask
    elif special == SPECIAL_CLAIM_CLEAR:
        pe.regs[<int>REG_DBGCLAIMCLR_EL1] &= ~(value & reg.mask)
    # DAIF says itself what it changed.
    if special != SPECIAL_DAIF:
        pe.changed |= reg.effect
    return PE_OK


cdef void write_sctlr(pe_t *pe, const sysreg_t *reg, uint64_t value) noexcept nogil:
    value &= reg.mask
    if not pe.features & FEATURE_SSBS:
        value &= ~SCTLR_DSSBS
    if not pe.features & FEATURE_PAUTH:
        value &= ~SCTLR_PAUTH
    if not pe.features & FEATURE_BTI:
        value &= ~SCTLR_BTI
    if pe.regs[<int>REG_ID_AA64MMFR1_EL1] >> 20 & 15 < 3:
        value &= ~SCTLR_EPAN
    if not pe.features & FEATURE_PAN:
        value |= SCTLR_SPAN
    pe.regs[reg.reg] = value
    pe.sctlr = value


# --- system instructions --------------------------------------------------------------------

cdef inline unsigned int asid_of(pe_t *pe, uint64_t value) noexcept nogil:
    """The ASID of a TLBI operand, with as many bits as ASIDs have."""
    cdef unsigned int asid = <unsigned int>(value >> 48)
    if (<processor_t *>pe).mmu.cpu.asid16 and pe.regs[<int>REG_TCR_EL1] & TCR_AS:
        return asid
    return asid & 0xFF


cdef inline uint64_t page_of(uint64_t value) noexcept nogil:
    """The address of a TLBI operand: VA[55:12] is in bits 43 to 0, bit 55 stands for the rest."""
    return <uint64_t>(<int64_t>(value << 20) >> 8)


cdef int translate(pe_t *pe, const op_t *op, uint64_t va) noexcept nogil:
    """AT S1E1R and its like; op2 has the level and the kind of access, CRm 9 honours PAN."""
    cdef uint32_t insn = system_word(op)
    cdef uint32_t op2 = insn >> 5 & 7
    cdef bint pan = (insn >> 8 & 15) == 9 and pe.pstate & PSTATE_PAN
    return mmu_probe(pe, op, va, 0 if op2 & 2 else 1, ACCESS_WRITE if op2 & 1 else ACCESS_READ,
                     pan, &pe.regs[<int>REG_PAR_EL1])


cdef int do_instruction(pe_t *pe, const op_t *op, const sysreg_t *reg,
                        uint64_t value) noexcept nogil:
    cdef int special = reg.special
    if special == SPECIAL_DC_ZVA:
        return mmu_zero(pe, op, value)
    if special == SPECIAL_DC_VA:
        return mmu_cache_check(pe, op, value, False)
    if special == SPECIAL_DC_VA_WRITE:
        return mmu_cache_check(pe, op, value, True)
    if special == SPECIAL_AT:
        return translate(pe, op, value)
    if special == SPECIAL_IC_VA:
        if mmu_cache_check(pe, op, value, False):
            return PE_LEFT
    elif special == SPECIAL_TLBI_ALL:
        mmu_flush_all(pe)
    elif special == SPECIAL_TLBI_VA:
        mmu_flush_va(pe, page_of(value), asid_of(pe, value) | AND_GLOBAL)
    elif special == SPECIAL_TLBI_VA_ANY:
        mmu_flush_va(pe, page_of(value), ANY_ASID)
    elif special == SPECIAL_TLBI_ASID:
        mmu_flush_asid(pe, asid_of(pe, value))
    # A flush is complete by itself; the loop follows changes of instructions.
    pe.changed |= reg.effect & CHANGED_CODE
    return PE_OK


# --- any access -----------------------------------------------------------------------------

cdef int access(pe_t *pe, const op_t *op) noexcept nogil:
    """MRS, MSR and SYS of a row of the table."""
    cdef const sysreg_t *reg = &sae_sysregs[system_row(op)]
    cdef uint32_t insn = system_word(op)
    cdef uint64_t value = 0
    if pe.el == 0 and not gate_open(pe, reg.gate):
        return take_exception(pe, access_esr(insn), OP_PC(op))
    if reg.trap & (hcr(pe) ^ HCR_APK):
        return intercept_trap(pe, access_esr(insn), OP_PC(op))
    if insn >> 21 & 1:
        if reg.home == HOME_SAVED:
            value = pe.regs[reg.reg]
            if reg.special == SPECIAL_DCZID and pe.el == 0 and not pe.sctlr & SCTLR_DZE:
                value |= DCZID_DZP
        elif reg.home != HOME_ZERO and read_special(pe, op, reg, &value):
            return PE_LEFT
        pe.x[op.rd] = value
        return PE_OK
    value = pe.x[op.rn]
    if reg.home == HOME_INSTRUCTION:
        return do_instruction(pe, op, reg, value)
    if reg.special:
        return write_special(pe, op, reg, value)
    if reg.home == HOME_ZERO:
        return PE_OK
    pe.regs[reg.reg] = value & reg.mask
    if reg.reg == <int>REG_CPACR_EL1:
        mode_follow(pe)
    else:
        pe.changed |= reg.effect
    return PE_OK


# --- waiting, calls and returns -------------------------------------------------------------

cdef int wait(pe_t *pe, const op_t *op, bint event) noexcept nogil:
    """WFE and WFI."""
    if event and pe.sev:
        pe.sev = 0
        return PE_OK
    if not event and interrupts_pending(pe):
        return PE_OK
    if pe.el == 0 and not pe.sctlr & (SCTLR_NTWE if event else SCTLR_NTWI):
        return take_exception(pe, esr_of(EC_WFX, WFX_ISS | event), OP_PC(op))
    if hcr(pe) & (HCR_TWE if event else HCR_TWI):
        return intercept_trap(pe, esr_of(EC_WFX, WFX_ISS | event), OP_PC(op))
    if event:
        # Events end waiting at any time: others get their turn, then it goes on.
        pe.retired = 1
        pe.pc = OP_PC(op) + 4
        pe.event = EVENT_SLICE
    else:
        # It counts when it ends.
        pe.pc = OP_PC(op)
        pe.event = EVENT_WAIT
    return PE_LEFT


cdef uint64_t legal_only(pe_t *pe) noexcept nogil:
    """PSTATE bits that only a legal exception return takes from SPSR."""
    cdef uint64_t kept = PSTATE_MODE | PSTATE_IL
    if pe.features & FEATURE_UAO:
        kept |= PSTATE_UAO
    if pe.features & FEATURE_SSBS:
        kept |= PSTATE_SSBS
    if pe.features & FEATURE_DIT:
        kept |= PSTATE_DIT
    if pe.features & FEATURE_BTI:
        kept |= PSTATE_BTYPE
    return kept


cdef int exception_return(pe_t *pe, uint64_t to) noexcept nogil:
    """ERET from EL1, to an address. A return to what is not there leaves the mode as it is and
    sets IL; of UAO, SSBS, DIT and BTYPE, which are unknown then, it leaves what they were."""
    cdef uint64_t spsr = pe.regs[<int>REG_SPSR_EL1]
    cdef uint64_t mode = spsr & PSTATE_MODE
    cdef uint64_t always = PSTATE_NZCV | PSTATE_DAIF
    # EL0t, EL1t, EL1h in AArch64: all else is above EL1, AArch32, or no mode at all.
    cdef bint illegal = mode != MODE_EL0T and mode != MODE_EL1T and mode != MODE_EL1H
    cdef uint64_t pstate
    if pe.features & FEATURE_PAN:
        always |= PSTATE_PAN
    pstate = spsr & always | debug_return_ss(pe, spsr, illegal)
    if illegal:
        pstate |= pe.pstate & legal_only(pe) | PSTATE_IL
    else:
        pstate |= spsr & legal_only(pe)
    pe.pc = sae_branch_address(pe, to)
    pstate_write(pe, pstate)
    pe.excl_size = 0
    pe.sev = 1
    pe.retired = 1
    pe.event = EVENT_LOOKUP
    return PE_LEFT


cdef int call_up(pe_t *pe, const op_t *op, int what) noexcept nogil:
    """SVC, BRK, HVC, SMC."""
    cdef uint64_t imm = system_word(op) >> 5 & 0xFFFF
    cdef uint64_t pc = OP_PC(op)
    if what == SYSTEM_SMC and not hcr(pe) & HCR_TSC:
        return take_undefined(pe, op)   # there is no EL3
    if what == SYSTEM_SMC:
        return intercept_trap(pe, esr_of(EC_SMC64, imm), pc)
    pe.retired = 1
    if what == SYSTEM_BRK:
        return take_exception(pe, esr_of(EC_BRK64, imm), pc)
    debug_advance(pe)
    if what == SYSTEM_HVC:
        return intercept_trap(pe, esr_of(EC_HVC64, imm), pc + 4)
    return take_exception(pe, esr_of(EC_SVC64, imm), pc + 4)


cdef int system_instruction(pe_t *pe, const op_t *op) noexcept nogil:
    cdef int what = system_what(op)
    cdef uint32_t insn = system_word(op)
    cdef uint64_t imm = insn >> 8 & 15      # CRm
    cdef int row
    if what == SYSTEM_ACCESS:
        return access(pe, op)
    if what == SYSTEM_UNKNOWN_ACCESS:
        if hcr(pe) & HCR_TIDCP:
            return intercept_trap(pe, access_esr(insn), OP_PC(op))
        return take_undefined(pe, op)
    if what == SYSTEM_WFE or what == SYSTEM_WFI:
        return wait(pe, op, what == SYSTEM_WFE)
    if what == SYSTEM_ERET:
        # ERETAA has authenticated where to; it names the register.
        row = system_row(op)
        return exception_return(pe, pe.x[row] if row else pe.regs[<int>REG_ELR_EL1])
    if what == SYSTEM_PAUTH:
        return pauth_instruction(pe, op)
    if what == SYSTEM_SEV:
        pe.sev = 1
    elif what == SYSTEM_PSTATE_BIT:
        set_bit(pe, sae_sysregs[system_row(op)].mask, (imm & 1) != 0)
    elif what == SYSTEM_SPSEL:
        select_sp(pe, imm & 1)
    elif what == SYSTEM_DAIF_SET or what == SYSTEM_DAIF_CLEAR:
        if pe.el == 0 and not gate_open(pe, GATE_UMA):
            return take_exception(pe, access_esr(insn), OP_PC(op))
        if what == SYSTEM_DAIF_SET:
            set_masks(pe, (pe.pstate | imm << 6) & PSTATE_DAIF)
        else:
            set_masks(pe, pe.pstate & ~(imm << 6) & PSTATE_DAIF)
    elif what != SYSTEM_ISB:
        return call_up(pe, op, what)
    return PE_OK
