"""Accesses to memory that is not there: decode, the bus, completion. Floor 9.

Source: fact sheet sae.md section 11. Data are in guest memory order in every buffer, so
little-endian, whatever the host is.
"""

from libc.errno cimport ENOSYS, EOPNOTSUPP
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from gmap._atomic cimport le64
from saecore._defs cimport (
    ESR_FSC, ESR_ISV, ESR_SAS_SHIFT, ESR_SF, ESR_SRT_SHIFT, ESR_SSE, ESR_WNR, ICPTD_ESR_ELZ,
)
from saecore.kvm._bus cimport bus_write
from saecore.kvm._state cimport (
    INCREMENT_PC, MMIO_NEEDED, icptd64, read_gpr, vcpu_t, write_gpr,
)
from saecore.kvm._uapi cimport (
    EXIT_ARM_LDST64B, EXIT_MMIO, kvm_arm_nisv_t, kvm_mmio_t,
)


cdef inline bint is_ldst64b(uint64_t esr) noexcept nogil:
    """A 64-byte load or store: its kind is where other aborts have LST."""
    cdef uint64_t fsc = esr & ESR_FSC
    return (0x04 <= fsc <= 0x0F or 0x2A <= fsc <= 0x2B) and (esr >> 11 & 3) != 0


cdef int io_mem_abort(vcpu_t *v, uint64_t ipa) noexcept nogil:
    """Emulate an access outside memory: 1 done, 0 left to userspace, or a negative errno."""
    cdef uint64_t esr = icptd64(v.block, ICPTD_ESR_ELZ)
    cdef kvm_mmio_t *mmio = <kvm_mmio_t *>v.run
    cdef kvm_arm_nisv_t *nisv = <kvm_arm_nisv_t *>v.run
    cdef uint64_t value
    cdef uint8_t data[8]
    cdef int rc = -EOPNOTSUPP
    if not esr & ESR_ISV:
        return -ENOSYS
    if is_ldst64b(esr):
        nisv.esr_iss = esr & ~<uint64_t>ESR_FSC
        nisv.fault_ipa = ipa
        v.run.exit_reason = EXIT_ARM_LDST64B
        return 0
    v.mmio.fault_ipa = ipa
    v.mmio.is_write = (esr & ESR_WNR) != 0
    v.mmio.nbytes = 1 << (esr >> ESR_SAS_SHIFT & 3)
    v.mmio.rt = esr >> ESR_SRT_SHIFT & 31
    v.mmio.sign_extend = (esr & ESR_SSE) != 0
    v.mmio.sixty_four = (esr & ESR_SF) != 0
    if v.mmio.is_write:
        value = le64(read_gpr(v, v.mmio.rt))
        memcpy(data, &value, 8)
        rc = bus_write(v.vm, ipa, v.mmio.nbytes, data)
    mmio.is_write = v.mmio.is_write
    mmio.phys_addr = ipa
    mmio.len = v.mmio.nbytes
    v.flags |= MMIO_NEEDED
    if rc == 0:
        v.stats.mmio_exit_kernel += 1
        finish_mmio(v)
        return 1
    if v.mmio.is_write:
        memcpy(mmio.data, data, v.mmio.nbytes)
    else:
        # What a user who answers nothing gives the guest; the kernel leaves the last data.
        memset(mmio.data, 0, sizeof(data))
    v.stats.mmio_exit_user += 1
    v.run.exit_reason = EXIT_MMIO
    return 0


cdef void finish_mmio(vcpu_t *v) noexcept nogil:
    """Finish the instruction with the data in kvm_run; once."""
    cdef kvm_mmio_t *mmio = <kvm_mmio_t *>v.run
    cdef uint64_t value = 0
    cdef int unused
    if not v.flags & MMIO_NEEDED:
        return
    v.flags &= ~<uint64_t>MMIO_NEEDED
    if not v.mmio.is_write:
        memcpy(&value, mmio.data, v.mmio.nbytes)
        value = le64(value)
        unused = 64 - 8 * v.mmio.nbytes
        if v.mmio.sign_extend:
            value = <uint64_t>(<int64_t>(value << unused) >> unused)
        if not v.mmio.sixty_four:
            value = <uint32_t>value
        write_gpr(v, v.mmio.rt, value)
    v.flags |= INCREMENT_PC
