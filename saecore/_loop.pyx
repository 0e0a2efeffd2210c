"""SAE: the processor runs until something is left to the host. Floor 8.

The inner loop (include/sae_run.h) runs blocks of operations; this one finds the blocks, and looks
between slices of instructions for what others want: the gmap's invalidations, a request to stop,
the host's tick. `sae_execute` is the instruction itself, from the control block and back.

Source: fact sheet sae.md sections 1 to 6, 8.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset

from gmap._atomic cimport likely, load, load_entry, store, unlikely
from gmap._gmap cimport gmap_t
from gmap._histogram cimport now_ns
from gmap._memory cimport release, zalloc_lines
from gmap._stage1 cimport s1_cpu_read
from gmap._sync cimport srcu_read_lock, srcu_read_unlock
from gmap._tlb cimport tlb_clear
from saecore._block cimport sae_block_t, save_area_t
from saecore._bti cimport bti_lands
from saecore._debug cimport (
    debug_active, debug_check_fetch, debug_step_after, debug_step_before, debug_stepping,
)
from saecore._defs cimport (
    CHANGED_CODE, CHANGED_DEBUG, CHANGED_TRANSLATION, EC_ILLEGAL, EC_PC_ALIGN, EVENT_CHANGED,
    EVENT_INTERCEPT, EVENT_LOOKUP, EVENT_SLICE, EVENT_WAIT, FEATURE_BTI, ICPTD_ESR_ELZ,
    ICPTD_FAR_ELZ, ICPTD_GLTL, ICPTD_PIC, ICPTD_TEID, ICPTD_VIR, ICPTR_SPURIOUS, ICPTR_VALIDITY,
    MODE_EL0T, MODE_EL1H, MODE_EL1T, PSTATE_BTYPE, PSTATE_BTYPE_SHIFT, PSTATE_IL, PSTATE_MODE,
    PSTATE_SP,
    REG_ID_AA64MMFR0_EL1, REG_ID_AA64MMFR1_EL1, REG_ID_AA64MMFR2_EL1, SAE_SAF_FORMAT_0,
    SAE_SD_FORMAT_0, VIR_HOST_CONTROL, VIR_INVAL_SYSREG, VIR_MSLA, VIR_MSO_ALIGN,
    VIR_MSO_BOUNDS, VIR_SCA, VIR_UNSUPP_FORMAT,
)
from saecore._exceptions cimport (
    esr_of, mode_follow, pstate_read, pstate_write, take_exception, take_exception_far,
    take_fp_fault, take_sp_fault, take_undefined_call,
)
from saecore._mmu cimport (
    mmu_catch_up, mmu_configure, mmu_drop_pages, mmu_fetch, mmu_pointer, mmu_read, mmu_write,
)
from saecore._pe cimport (
    BLOCK_SLOTS, CAREFUL_DEBUG, JUMP_AT, SAE_LE32, TLB0_PAGES, X_SP, X_ZERO, block_t, jump_t, op_t,
    page_t, pe_calls_t, pe_t,
)
from saecore._processor cimport processor_t, trace_t
from saecore._system cimport system_instruction
from saecore.a64._blocks cimport (
    code_block, code_free, code_init, code_link, code_new_epoch, code_set_labels, code_single,
    place_t,
)

cdef extern from "sae_host_fp.h" nogil:
    ctypedef struct sae_host_fp_t:
        pass
    sae_host_fp_t sae_host_fp_enter()
    void sae_host_fp_leave(sae_host_fp_t found)

cdef extern from "sae_run.h" nogil:
    const void *const *sae_run(pe_t *pe, const op_t *op)
    void sae_crc_init()

cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int nanosleep(const timespec *request, timespec *remain)


cdef enum:
    SLICE = 16384           # instructions between looks at what others want
    LONGEST_BLOCK = 64      # a slice with fewer left is finished one by one
    EVENTS_AN_INSN = 80     # accesses of one instruction, at most
    TICK_NS = 5000000       # SAE ends at least this often, as by a host's interrupt
    NAP_NS = 200000         # of a processor that waits
    NO_TAG = 2              # of an empty page_t


cdef uint64_t NO_LIMIT = <uint64_t>-1   # a budget

cdef pe_calls_t CALLS
CALLS.read = mmu_read
CALLS.write = mmu_write
CALLS.pointer = mmu_pointer
CALLS.system = system_instruction
CALLS.sp_fault = take_sp_fault
CALLS.undefined = take_undefined_call
CALLS.fp_fault = take_fp_fault
sae_crc_init()
code_set_labels(sae_run(NULL, NULL))


# --- a processor ----------------------------------------------------------------------------

cdef processor_t *processor_new(gmap_t *gmap, uint64_t features) noexcept nogil:
    """NULL: no memory."""
    cdef processor_t *p = <processor_t *>zalloc_lines(sizeof(processor_t))
    cdef page_t *pages
    cdef int i, k
    if p == NULL:
        return NULL
    p.gmap = gmap
    p.budget = NO_LIMIT
    p.pe.features = features
    p.pe.calls = &CALLS
    p.mmu.two.g = gmap
    p.mmu.two.faults = True
    p.mmu.two.caches = True
    pages = <page_t *>zalloc_lines(4 * TLB0_PAGES * sizeof(page_t))
    p.pe.tlbs[0] = pages
    if pages == NULL or code_init(p):
        processor_free(p)
        return NULL
    for i in range(4 * TLB0_PAGES):
        pages[i].read = pages[i].write = pages[i].aligned = NO_TAG
    for k in range(3):
        p.pe.tlbs[k] = pages + k * TLB0_PAGES
        p.mmu.lists[k].pages = p.pe.tlbs[k]
    p.pe.no_tlb = pages + 3 * TLB0_PAGES
    p.pe.x[<int>X_ZERO] = 0
    return p


cdef void processor_free(processor_t *p) noexcept nogil:
    if p == NULL:
        return
    release(p.pe.tlbs[0])
    code_free(p)
    release(p)


cdef void processor_code_changed(processor_t *p) noexcept nogil:
    code_new_epoch(p)


cdef void sae_lasrm(processor_t *p, const save_area_t *area) noexcept nogil:
    cdef pe_t *pe = &p.pe
    cdef uint64_t ids[3]
    ids[0] = pe.regs[<int>REG_ID_AA64MMFR0_EL1]
    ids[1] = pe.regs[<int>REG_ID_AA64MMFR1_EL1]
    ids[2] = pe.regs[<int>REG_ID_AA64MMFR2_EL1]
    memcpy(pe.regs, area.regs, sizeof(pe.regs))
    if (ids[0] != pe.regs[<int>REG_ID_AA64MMFR0_EL1]
            or ids[1] != pe.regs[<int>REG_ID_AA64MMFR1_EL1]
            or ids[2] != pe.regs[<int>REG_ID_AA64MMFR2_EL1] or not p.mmu.seen[5]):
        s1_cpu_read(&p.mmu.cpu, pe.regs[<int>REG_ID_AA64MMFR0_EL1],
                    pe.regs[<int>REG_ID_AA64MMFR1_EL1], pe.regs[<int>REG_ID_AA64MMFR2_EL1])
        p.mmu.seen[5] = 0
    pe.changed |= CHANGED_DEBUG


cdef void sae_stiasrm(processor_t *p, save_area_t *area) noexcept nogil:
    memcpy(area.regs, p.pe.regs, sizeof(p.pe.regs))


# --- running --------------------------------------------------------------------------------

cdef inline void count_from(processor_t *p) noexcept nogil:
    """Let the counter of instructions (_timer.pyx) go on from here, as pe.left goes down."""
    p.pe.ticks = p.n_insns + <uint64_t>p.pe.left


cdef inline void account(processor_t *p, uint64_t n) noexcept nogil:
    p.n_insns += n
    if p.budget != NO_LIMIT:
        p.budget -= min(n, p.budget)
    count_from(p)


cdef void follow_changes(processor_t *p) noexcept nogil:
    """Do what system registers, or cache maintenance, have changed."""
    cdef pe_t *pe = &p.pe
    if pe.changed & CHANGED_TRANSLATION:
        mmu_configure(p)
    if pe.changed & CHANGED_CODE:
        code_new_epoch(p)
    if pe.changed & CHANGED_DEBUG:
        pe.careful &= ~<uint64_t>CAREFUL_DEBUG
        if debug_active(pe):
            pe.careful |= CAREFUL_DEBUG
    pe.changed = 0
    mode_follow(pe)


cdef bint find_code(processor_t *p, place_t *at) noexcept nogil:
    """Where the next instruction is; False if there is an exception or interception instead, as
    pe.event says."""
    cdef pe_t *pe = &p.pe
    at.va = pe.pc
    at.btype = <unsigned int>((pe.pstate & PSTATE_BTYPE) >> PSTATE_BTYPE_SHIFT)
    if unlikely(pe.pc & 3):
        take_exception_far(pe, esr_of(EC_PC_ALIGN, 0), pe.pc, pe.pc)
    elif unlikely(pe.pstate & PSTATE_IL):
        take_exception(pe, esr_of(EC_ILLEGAL, 0), pe.pc)
    elif likely(mmu_fetch(pe, pe.pc, &at.host, &at.guarded) == 0):
        if not (pe.careful & CAREFUL_DEBUG and debug_check_fetch(pe, pe.pc)) and bti_lands(
                pe, SAE_LE32((<const uint32_t *><uintptr_t>at.host)[0]), at.guarded):
            return True
    # An exception counts as an instruction, so that a budget bounds them as well.
    pe.left -= pe.retired
    pe.retired = 0
    return False


cdef void run_blocks(processor_t *p, int64_t n) noexcept nogil:
    """Run up to `n` instructions, at least LONGEST_BLOCK fewer; pe.event says how it ended."""
    cdef pe_t *pe = &p.pe
    cdef uint64_t epoch
    cdef place_t at
    cdef op_t *from_ = NULL
    cdef block_t *block
    cdef jump_t *jump
    pe.left = n - LONGEST_BLOCK
    count_from(p)
    while True:
        jump = &pe.jumps[JUMP_AT(pe.pc)]
        if jump.va == pe.pc and not pe.pstate & (PSTATE_IL | PSTATE_BTYPE):
            block = <block_t *>(jump.op - BLOCK_SLOTS)
        elif find_code(p, &at):
            epoch = p.code.epoch
            block = code_block(p, &at)
            if p.code.epoch != epoch:
                from_ = NULL
        else:
            if pe.event != EVENT_LOOKUP or pe.left < 0:
                break
            from_ = NULL
            continue
        if from_ != NULL:
            code_link(p, from_, block)
        sae_run(pe, <op_t *>block + BLOCK_SLOTS)
        from_ = pe.from_
        if pe.changed:
            from_ = NULL
            follow_changes(p)
            if pe.careful:
                break
        if pe.event > EVENT_LOOKUP and pe.event != EVENT_CHANGED:
            break
        if pe.left < 0 or pe.event == EVENT_SLICE:
            break
    account(p, <uint64_t>(n - LONGEST_BLOCK - pe.left))


cdef bint trace_is_full(const trace_t *trace) noexcept nogil:
    return trace != NULL and trace.n + EVENTS_AN_INSN > trace.room


cdef void step(processor_t *p) noexcept nogil:
    """Run one instruction, or take the exception that comes in its place."""
    cdef pe_t *pe = &p.pe
    cdef bint steps = False
    cdef place_t at
    cdef block_t *block
    pe.left = 0
    count_from(p)
    pe.event = EVENT_SLICE
    if pe.careful & CAREFUL_DEBUG:
        if debug_step_before(pe):
            pe.left = -1
            return
        steps = debug_stepping(pe)
    if not find_code(p, &at):
        return
    block = code_single(p, &at)
    sae_run(pe, <op_t *>block + BLOCK_SLOTS)
    if steps and pe.event != EVENT_INTERCEPT:
        debug_step_after(pe, SAE_LE32(block.words[0]))


cdef void run_singly(processor_t *p, int64_t n) noexcept nogil:
    """Run exactly `n` instructions one by one, or fewer if something else ends it."""
    cdef pe_t *pe = &p.pe
    cdef uint64_t n_events = 0
    while n > 0 and not trace_is_full(p.trace):
        if p.trace != NULL:
            n_events = p.trace.n
        step(p)
        if p.trace != NULL and pe.left == 0 and (
                pe.event != EVENT_WAIT or p.budget == NO_LIMIT):
            # What was intercepted is recorded when it happens.
            p.trace.n = n_events
        pe.retired = 0
        account(p, <uint64_t>-pe.left)
        n += pe.left
        if pe.changed:
            follow_changes(p)
        if pe.event == EVENT_INTERCEPT or pe.event == EVENT_WAIT:
            return


cdef void nap(processor_t *p, uint64_t tick) noexcept nogil:
    """Sleep until somebody wants something, or the tick."""
    cdef timespec time
    time.tv_sec = 0
    time.tv_nsec = NAP_NS
    while not load(&p.request) and now_ns() < tick:
        nanosleep(&time, NULL)


cdef void run(processor_t *p, unsigned int *token) noexcept nogil:
    """Run until something is intercepted; inside a section of the gmap's readers, which is left
    and entered again where others wait for it."""
    cdef pe_t *pe = &p.pe
    cdef uint64_t tick = 0
    cdef uint64_t n
    while True:
        if unlikely(load(&p.request)):
            store(&p.request, 0)
            pe.icptr = ICPTR_SPURIOUS
            return
        if p.budget == 0 or trace_is_full(p.trace):
            pe.icptr = ICPTR_SPURIOUS
            return
        if unlikely(load(&p.gmap.shootdowns.seq) != p.mmu.tlb.frames_seq):
            srcu_read_unlock(&p.gmap.tlb, token[0])
            token[0] = srcu_read_lock(&p.gmap.tlb)
            mmu_catch_up(p)
        n = min(p.once if p.once else <uint64_t>SLICE, p.budget)
        if pe.careful or n <= LONGEST_BLOCK:
            run_singly(p, <int64_t>n)
        else:
            run_blocks(p, <int64_t>n)
        if pe.event == EVENT_INTERCEPT:
            p.once = 0
            return
        if pe.event == EVENT_WAIT and p.budget != NO_LIMIT:
            # A bounded run does not wait: WFI may end for no reason.
            pe.pc += 4
            account(p, 1)
        elif pe.event == EVENT_WAIT and not p.once:
            srcu_read_unlock(&p.gmap.tlb, token[0])
            nap(p, (tick if tick else now_ns() + TICK_NS))
            token[0] = srcu_read_lock(&p.gmap.tlb)
            mmu_catch_up(p)
            pe.icptr = ICPTR_SPURIOUS
            return
        if p.once:
            p.once = 0
            pe.icptr = ICPTR_SPURIOUS
            return
        if tick == 0:
            tick = now_ns() + TICK_NS
        elif now_ns() >= tick:
            pe.icptr = ICPTR_SPURIOUS
            return


# --- the instruction ------------------------------------------------------------------------

cdef int invalid(processor_t *p, sae_block_t *block) noexcept nogil:
    """Why a control block cannot be run (Vir), or -1."""
    cdef const save_area_t *area = <const save_area_t *>block.save_area
    cdef uint64_t mode = block.pstate & PSTATE_MODE
    if block.sdf != SAE_SD_FORMAT_0 or area == NULL or area.saf != SAE_SAF_FORMAT_0:
        return VIR_UNSUPP_FORMAT
    if block.mso & 0xFFFFF:
        return VIR_MSO_ALIGN
    if block.mso > block.msl:
        return VIR_MSO_BOUNDS
    if block.msl == 0:
        return VIR_MSLA
    if block.scad:
        return VIR_SCA
    # Guest real storage begins at host address 0 of the gmap, and only its tables are known.
    if block.mso or block.hbasce != load_entry(&p.gmap.asce) or area.sdo != <uint64_t>block:
        return VIR_HOST_CONTROL
    if mode != MODE_EL0T and mode != MODE_EL1T and mode != MODE_EL1H:
        return VIR_INVAL_SYSREG
    return -1


cdef inline void *data_at(sae_block_t *block, int offset) noexcept nogil:
    return <char *>block + offset


cdef void load_block(processor_t *p, sae_block_t *block) noexcept nogil:
    cdef pe_t *pe = &p.pe
    memcpy(pe.x, block.gpr, sizeof(block.gpr))
    pe.pc = block.pc
    pe.sp[0] = block.sp_el0
    pe.sp[1] = block.sp_el1
    # Seen from nowhere: no SP is in use yet.
    pe.pstate = block.pstate & PSTATE_SP
    pe.x[<int>X_SP] = pe.sp[block.pstate & PSTATE_SP]
    pe.fpcr = block.fpcr
    pe.fpsr = block.fpsr
    pe.contextidr = block.contextidr_el1
    pe.cntp_ctl = block.cntp_ctl
    pe.cntv_ctl = block.cntv_ctl
    pe.gpto = block.gpto
    pe.icptr = ICPTR_SPURIOUS
    pe.retired = 0
    if p.mmu.asce != block.hbasce or p.mmu.msl != block.msl:
        p.mmu.asce = block.hbasce
        p.mmu.msl = block.msl
        tlb_clear(&p.mmu.tlb)
        mmu_drop_pages(p)
        code_new_epoch(p)
    pstate_write(pe, block.pstate if pe.features & FEATURE_BTI
                 else block.pstate & ~PSTATE_BTYPE)


cdef void store_block(processor_t *p, sae_block_t *block) noexcept nogil:
    cdef pe_t *pe = &p.pe
    pe.sp[pe.pstate & PSTATE_SP] = pe.x[<int>X_SP]
    memcpy(block.gpr, pe.x, sizeof(block.gpr))
    block.pc = pe.pc
    block.pstate = pstate_read(pe)
    block.sp_el0 = pe.sp[0]
    block.sp_el1 = pe.sp[1]
    block.fpcr = pe.fpcr
    block.fpsr = pe.fpsr
    block.contextidr_el1 = pe.contextidr
    block.cntp_ctl = <uint32_t>pe.cntp_ctl
    block.cntv_ctl = <uint32_t>pe.cntv_ctl
    block.icptr = pe.icptr
    if pe.icptr != ICPTR_SPURIOUS:
        memset(block.icptd, 0, sizeof(block.icptd))
        (<uint64_t *>data_at(block, ICPTD_ESR_ELZ))[0] = pe.esr
        (<uint64_t *>data_at(block, ICPTD_FAR_ELZ))[0] = pe.far
        (<uint64_t *>data_at(block, ICPTD_TEID))[0] = pe.teid
        (<uint16_t *>data_at(block, ICPTD_PIC))[0] = pe.pic
        (<uint8_t *>data_at(block, ICPTD_GLTL))[0] = pe.gltl


cdef void sae_execute(processor_t *p, sae_block_t *block) noexcept nogil:
    cdef sae_host_fp_t host_fp
    cdef unsigned int token
    cdef int vir = invalid(p, block)
    if vir >= 0:
        memset(block.icptd, 0, sizeof(block.icptd))
        (<uint16_t *>data_at(block, ICPTD_VIR))[0] = <uint16_t>vir
        block.icptr = ICPTR_VALIDITY
        return
    token = srcu_read_lock(&p.gmap.tlb)
    load_block(p, block)
    mmu_catch_up(p)
    p.pe.changed |= CHANGED_TRANSLATION
    follow_changes(p)
    host_fp = sae_host_fp_enter()
    run(p, &token)
    sae_host_fp_leave(host_fp)
    srcu_read_unlock(&p.gmap.tlb, token)
    store_block(p, block)
