# The fault-in path. Floor 3.
#
# Source: fact sheet faultin.md sections 1, 2, 4 and 6.
from libc.stdint cimport int32_t, uint8_t, uint64_t

from gmap._gmap cimport gmap_t, guest_fault_t
from gmap._regions cimport region_t
from gmap._slots cimport memslot_t, memslots_t, slot_cache_t
from gmap._tables cimport mmu_cache_t


# What a vCPU brings to a fault: its caches, and the asynchronous page faults it takes.
ctypedef struct fault_vcpu_t:
    mmu_cache_t mc
    slot_cache_t slots
    int id
    uint64_t async_limit        # faults it may have pending; 0: never asynchronous
    uint64_t n_async
    uint64_t *async_gfns        # room for async_limit of them
    uint64_t pstate             # for the trace event
    uint64_t pc


# What one srcu section has found out already.
ctypedef struct lookup_hints_t:
    memslots_t *slots
    memslot_t *slot
    region_t *region


# A batch of faults.
ctypedef struct fault_batch_t:
    const uint64_t *gfns
    const uint8_t *writes
    Py_ssize_t write_step       # 0: one write flag for all
    uint64_t n
    bint attempt_pfault
    int32_t *codes
    uint64_t *histogram         # NULL, or N_BUCKETS counts: then faults run one at a time
    bint interrupted            # out: a signal handler raised; the rest got -EINTR


cdef void faultin(gmap_t *g, fault_vcpu_t *vcpu, fault_batch_t *batch) noexcept nogil
cdef int get_guest_page(gmap_t *g, lookup_hints_t *hints, guest_fault_t *f) noexcept nogil
