# Branch target identification (FEAT_BTI): where a branch may land. Floor 7.
from libc.stdint cimport uint32_t

from saecore._pe cimport pe_t


# Land at pe.pc, where the instruction is `word`; False if that is a Branch Target exception, which
# is taken. PSTATE.BTYPE is 0 then, unless the instruction is one whose exception still shows it.
cdef bint bti_lands(pe_t *pe, uint32_t word, bint guarded) noexcept nogil
