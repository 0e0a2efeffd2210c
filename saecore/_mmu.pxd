# Guest memory as instructions reach it: two TLBs, both stages, and the faults. Floor 7.
#
# All of it runs inside a section of the gmap's readers.
from libc.stdint cimport uint64_t

from saecore._pe cimport op_t, pe_t
from saecore._processor cimport processor_t


# The slow paths of pe_calls_t.
cdef int mmu_read(pe_t *pe, const op_t *op, uint64_t va, unsigned int size, unsigned int flags,
                  void *to) noexcept nogil
cdef int mmu_write(pe_t *pe, const op_t *op, uint64_t va, unsigned int size, unsigned int flags,
                   const void *source) noexcept nogil
cdef int mmu_pointer(pe_t *pe, const op_t *op, uint64_t va, unsigned int size,
                     unsigned int flags, void **host) noexcept nogil
# The host address of an instruction, and whether its page is guarded (FEAT_BTI); PE_LEFT if the
# fetch faults.
cdef int mmu_fetch(pe_t *pe, uint64_t pc, uint64_t *host, bint *guarded) noexcept nogil

# TLB maintenance of the guest. `asid` may be gmap._tlb's ANY_ASID, or AND_GLOBAL with one.
cdef void mmu_flush_all(pe_t *pe) noexcept nogil
cdef void mmu_flush_va(pe_t *pe, uint64_t va, unsigned int asid) noexcept nogil
cdef void mmu_flush_asid(pe_t *pe, unsigned int asid) noexcept nogil
# PAR_EL1 of an address translation instruction. PE_LEFT: stage 2 must be asked first, SAE ends.
cdef int mmu_probe(pe_t *pe, const op_t *op, uint64_t va, int el, int access, bint pan,
                   uint64_t *par) noexcept nogil
# DC ZVA; and the check of a cache operation by address (DC, IC), which may fault.
cdef int mmu_zero(pe_t *pe, const op_t *op, uint64_t va) noexcept nogil
cdef int mmu_cache_check(pe_t *pe, const op_t *op, uint64_t va, bint write) noexcept nogil

# Follow a change of translation registers; the first level is dropped, the second if it must be.
cdef void mmu_configure(processor_t *p) noexcept nogil
# Drop the first level.
cdef void mmu_drop_pages(processor_t *p) noexcept nogil
# Take back the permission to write a host page that now holds decoded code.
cdef void mmu_protect_code(processor_t *p, uint64_t host) noexcept nogil
# Do what the gmap's invalidations say, in a new section.
cdef bint mmu_catch_up(processor_t *p) noexcept nogil
