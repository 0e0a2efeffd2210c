# Exits to userspace as objects. Floor 9.
from libc.stdint cimport uint64_t

from saecore.kvm._state cimport vcpu_t


cdef class Exit:
    pass


cdef class Mmio(Exit):
    cdef object owner           # keeps `vcpu` alive; None of one made by hand
    cdef vcpu_t *vcpu
    cdef uint64_t number        # of the exit: vcpu.exits while it is the current one
    cdef uint64_t value_
    cdef readonly object phys_addr
    cdef readonly int len
    cdef readonly bint is_write


cdef Mmio mmio_exit(object owner, vcpu_t *vcpu)
cdef object other_exit(vcpu_t *vcpu)
cdef object the_intr, the_budget
