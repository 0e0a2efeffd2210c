# The counter and the two timers of a processor. Floor 7.
from libc.stdint cimport uint64_t

from saecore._pe cimport pe_t


# CNTVCT_EL0 and CNTPCT_EL0, which are the same: COUNTER_HZ ticks a second, or an instruction each.
cdef uint64_t counter(pe_t *pe) noexcept nogil
# CNTx_CTL_EL0 as the guest reads it, for a stored control and compare value.
cdef uint64_t timer_control(pe_t *pe, uint64_t ctl, uint64_t cval) noexcept nogil
# TIR_ bits of the timers whose interrupt is on its way now.
cdef unsigned int timers_due(pe_t *pe) noexcept nogil
# The count at which the next timer will be due; all ones if none will.
cdef uint64_t timers_next(pe_t *pe) noexcept nogil
