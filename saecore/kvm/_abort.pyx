"""Stage-2 aborts: which are memory to fault in, which MMIO, which the guest's own fault. Floor 9.

Source: fact sheet faultin.md section 7, the column of the newest published revision. Where it
differs visibly: v1 to v4 and the queued tree return -ENOEXEC from KVM_RUN where this injects
an abort.
"""

from libc.errno cimport EFAULT
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint64_t

from gmap._atomic cimport load_ptr, store
from gmap._defs cimport (
    PAGE_SHIFT, PIC_ADDRESSING, PIC_ASCE_TYPE, PIC_PAGE_TRANSLATION, PIC_PROTECTION,
    PIC_REGION_FIRST_TRANS, PIC_REGION_SECOND_TRANS, PIC_REGION_THIRD_TRANS,
    PIC_SEGMENT_TRANSLATION, SLOT_FLAG_INVALID, SLOT_FLAG_READONLY,
)
from gmap._faultin cimport fault_batch_t, faultin
from gmap._gmap cimport fault_from_tables, gmap_t
from gmap._slots cimport find_memslot, memslot_t, memslots_t
from gmap._sync cimport srcu_read_lock, srcu_read_unlock
from saecore._defs cimport (
    EC_IABT_LOW, ESR_CM, ESR_EC_SHIFT, ESR_ISV, ESR_S1PTW, ESR_WNR, FSI_STORE, ICPTD_ESR_ELZ,
    ICPTD_FAR_ELZ, ICPTD_PIC, ICPTD_TEID, ICPTR_GUEST_ADDRESS_SIZE,
    ICPTR_HOST_ACCESS_EXCEPTION, TEID_FSI_SHIFT,
)
from saecore.kvm._inject cimport inject_abort, inject_size_fault
from saecore.kvm._mmio cimport io_mem_abort
from saecore.kvm._state cimport INCREMENT_PC, RUN_ANEW, RUN_RAISED, icptd16, icptd64, vcpu_t


cdef enum:
    PIC_MASK = 0x7F         # of the code; 0x80 is PER

    # What user memory holds at a gfn.
    MEMORY_NONE = 0
    MEMORY_READ = 1
    MEMORY_WRITE = 2


cdef inline int memory_at(vcpu_t *v, uint64_t gfn) noexcept nogil:
    """What the memory slot of a frame allows; MEMORY_NONE without one."""
    cdef gmap_t *g = v.vm.gmap
    cdef unsigned int token = srcu_read_lock(&g.srcu)
    cdef memslots_t *slots = <memslots_t *>load_ptr(<void **>&g.memslots)
    cdef memslot_t *slot = NULL
    cdef int found = MEMORY_NONE
    if slots != NULL:
        slot = find_memslot(slots, gfn, &v.faults.slots)
    if slot != NULL and not slot.flags & SLOT_FLAG_INVALID:
        found = MEMORY_READ if slot.flags & SLOT_FLAG_READONLY else MEMORY_WRITE
    srcu_read_unlock(&g.srcu, token)
    return found


cdef int user_mem_abort(vcpu_t *v, uint64_t gfn, bint write) noexcept nogil:
    """Fault a frame in: 1, or a negative errno, or RUN_RAISED."""
    cdef fault_batch_t batch
    cdef uint8_t flag = write
    cdef int32_t code = 0
    if fault_from_tables(v.vm.gmap, gfn, write):
        return 1
    v.faults.pstate = v.block.pstate
    v.faults.pc = v.block.pc
    batch.gfns = &gfn
    batch.writes = &flag
    batch.write_step = 0
    batch.n = 1
    batch.attempt_pfault = False
    batch.codes = &code
    batch.histogram = NULL
    faultin(v.vm.gmap, &v.faults, &batch)
    if batch.interrupted:
        return RUN_RAISED
    if code == 0:
        return 1
    if code == PIC_ADDRESSING:
        # The slot went away after it was found.
        inject_size_fault(v, gfn << PAGE_SHIFT)
        return 1
    return code


cdef int bug(vcpu_t *v, const char *what) noexcept nogil:
    """What cannot happen has: this VM is over. (The kernel also sends itself a SIGSEGV for an
    unexpected code.)"""
    v.bug = what
    store(&v.vm.dead, 1)
    return -EFAULT


cdef inline bint translation_of(int pic) noexcept nogil:
    """Is something of the address not mapped?"""
    return (pic == PIC_ASCE_TYPE or pic == PIC_REGION_FIRST_TRANS
            or pic == PIC_REGION_SECOND_TRANS or pic == PIC_REGION_THIRD_TRANS
            or pic == PIC_SEGMENT_TRANSLATION or pic == PIC_PAGE_TRANSLATION)


cdef int handle_guest_abort(vcpu_t *v, bint only_mmio) noexcept nogil:
    """1: run on; 0: to userspace; or a negative errno, or RUN_RAISED.

    With `only_mmio`, whatever would not go to userspace as an access outside memory is left as
    it is: RUN_ANEW.
    """
    cdef uint64_t esr = icptd64(v.block, ICPTD_ESR_ELZ)
    cdef uint64_t far = icptd64(v.block, ICPTD_FAR_ELZ)
    cdef uint64_t teid = icptd64(v.block, ICPTD_TEID)
    cdef uint64_t ipa = teid & ~<uint64_t>0xFFF
    cdef uint16_t raw_pic = icptd16(v.block, ICPTD_PIC)
    cdef int pic = raw_pic & PIC_MASK
    cdef bint iabt = <int>(esr >> ESR_EC_SHIFT) == EC_IABT_LOW
    cdef bint translation = v.block.icptr == ICPTR_GUEST_ADDRESS_SIZE
    cdef bint write
    cdef int memory
    if only_mmio and (iabt or not translation_of(pic) or v.vm.bus.n or not esr & ESR_ISV
                      or esr & ESR_S1PTW or ipa >= v.vm.guest_phys_size
                      or v.block.icptr != ICPTR_HOST_ACCESS_EXCEPTION):
        return RUN_ANEW
    if not translation:
        if translation_of(pic):
            translation = True
        elif pic == 0:
            return bug(v, b"host access exception without a program interruption code")
        elif pic != PIC_PROTECTION:
            return bug(v, b"host access exception with an unexpected program interruption code")
    if translation:
        if ipa >= v.vm.parange_limit:
            inject_size_fault(v, ipa)
            return 1
        if ipa >= v.vm.guest_phys_size:
            inject_abort(v, iabt, ipa | (far & 0xFFF))
            return 1
    if esr & ESR_S1PTW:
        write = pic == PIC_PROTECTION
    else:
        write = not iabt and (esr & ESR_WNR) != 0
    memory = memory_at(v, ipa >> PAGE_SHIFT)
    if only_mmio and memory != MEMORY_NONE:
        return RUN_ANEW
    if memory == MEMORY_NONE or (write and memory == MEMORY_READ):
        if iabt or esr & ESR_S1PTW:
            inject_abort(v, iabt, far)
            return 1
        if memory == MEMORY_NONE and esr & ESR_CM:
            v.flags |= INCREMENT_PC
            return 1
        return io_mem_abort(v, ipa | (far & 0xFFF))
    return user_mem_abort(v, ipa >> PAGE_SHIFT,
                          raw_pic == PIC_PROTECTION or (teid >> TEID_FSI_SHIFT & 3) == FSI_STORE)
