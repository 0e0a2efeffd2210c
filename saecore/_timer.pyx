"""The counter and the two timers of a processor. Floor 7.

One offset (`gpto` of the control block) moves both counters, so the virtual and the physical one
show the same. Source: fact sheet upcoming.md 2.1 and 2.2; Arm architecture, Generic Timer.
"""

from libc.stdint cimport uint64_t
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from saecore._defs cimport (
    CNT_ENABLE, CNT_IMASK, CNT_ISTATUS, REG_CNTP_CVAL_EL0, REG_CNTV_CVAL_EL0, TIR_PHYS, TIR_VIRT,
)
from saecore._pe cimport pe_t
from saecore._sysreg_codes cimport COUNTER_HZ


cdef uint64_t counter(pe_t *pe) noexcept nogil:
    cdef timespec now
    cdef uint64_t count
    if pe.clock:
        # What the slice began with and its length, less what is left of it.
        count = pe.ticks - <uint64_t>pe.left
    else:
        clock_gettime(CLOCK_MONOTONIC, &now)
        count = <uint64_t>now.tv_sec * <uint64_t>COUNTER_HZ + <uint64_t>now.tv_nsec
    return count + pe.gpto


cdef uint64_t timer_control(pe_t *pe, uint64_t ctl, uint64_t cval) noexcept nogil:
    ctl &= CNT_ENABLE | CNT_IMASK
    return ctl | CNT_ISTATUS if counter(pe) >= cval else ctl


cdef inline bint enabled(uint64_t ctl) noexcept nogil:
    return ctl & (CNT_ENABLE | CNT_IMASK) == CNT_ENABLE


cdef unsigned int timers_due(pe_t *pe) noexcept nogil:
    cdef unsigned int due = 0
    cdef uint64_t now
    # No timer is the common case, and the clock costs something.
    if not (enabled(pe.cntp_ctl) or enabled(pe.cntv_ctl)):
        return 0
    now = counter(pe)
    if enabled(pe.cntp_ctl) and pe.regs[<int>REG_CNTP_CVAL_EL0] <= now:
        due |= TIR_PHYS
    if enabled(pe.cntv_ctl) and pe.regs[<int>REG_CNTV_CVAL_EL0] <= now:
        due |= TIR_VIRT
    return due


cdef uint64_t timers_next(pe_t *pe) noexcept nogil:
    cdef uint64_t first = ~<uint64_t>0
    if enabled(pe.cntp_ctl):
        first = pe.regs[<int>REG_CNTP_CVAL_EL0]
    if enabled(pe.cntv_ctl):
        first = min(first, pe.regs[<int>REG_CNTV_CVAL_EL0])
    return first
