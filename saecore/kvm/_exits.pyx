"""Why `Vcpu.run` returned: a class for every exit of arm64 KVM, for isinstance and match. Floor 9.

>>> from saecore import kvm
>>> exit = kvm.Mmio(0x0900_0000, b"A", 1, True)
>>> match exit:
...     case kvm.Mmio(phys_addr=0x0900_0000, data=data, is_write=True):
...         print(data.decode())
A
"""

cimport cython
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from gmap._address cimport as_u64
from gmap._atomic cimport le64
from saecore.kvm._state cimport MMIO_NEEDED
from saecore.kvm._uapi cimport (
    EXIT_ARM_LDST64B, EXIT_ARM_NISV, EXIT_SYSTEM_EVENT, kvm_arm_nisv_t, kvm_hw_t, kvm_mmio_t,
    kvm_system_event_t,
)

from saecore.kvm.uapi import SystemEventType
from saecore.kvm.uapi import Exit as Reason


cdef class Exit:
    """Base of all exits.

    Attributes
    ----------
    reason : saecore.kvm.uapi.Exit or None
        The UAPI's number; None of a `Budget`, which is not in the UAPI.

    Two exits are equal if they are of one class and say the same.

    >>> Intr() == Intr(), Intr() == Budget()
    (True, False)
    """

    __match_args__ = ()
    reason = None

    def _said(self):
        return tuple([getattr(self, name) for name in self.__match_args__])

    def __eq__(self, other):
        if type(self) is not type(other):
            return NotImplemented
        return self._said() == other._said()

    def __hash__(self):
        return hash((type(self).__name__, self._said()))

    def __repr__(self):
        said = [f"{name}={value:#x}" if type(value) is int else f"{name}={value!r}"
                for name, value in zip(self.__match_args__, self._said(), strict=True)]
        return f"{type(self).__name__}({', '.join(said)})"


@cython.no_gc
cdef class Mmio(Exit):
    """The guest accessed an address no memory slot holds.

    Attributes
    ----------
    phys_addr : int
    data : bytes
        What a write wrote, `len` bytes in guest memory order (little-endian). Of a read: what
        the guest will get; set it, or call `reply`, before the next `run()`. Zero until then.
    value : int
        The same as an unsigned integer.
    len : int
        1, 2, 4 or 8.
    is_write : bool

    Notes
    -----
    The truth is `vcpu.kvm_run.mmio`; `data` of a read writes to it. The register is loaded when the
    guest is run again.

    >>> from saecore import kvm
    >>> kvm.Mmio(0x0900_0018, b"\\x90\\0\\0\\0", 4, False).value
    144
    """

    __match_args__ = ("phys_addr", "data", "len", "is_write")
    reason = Reason.MMIO

    def __init__(self, phys_addr, data, len, is_write):
        cdef bytes given = bytes(data)
        self.phys_addr = as_u64(phys_addr, "phys_addr", 0xFFFFFFFFFFFFFFFF)
        if len not in (1, 2, 4, 8):
            raise ValueError(f"len {len}: use 1, 2, 4 or 8")
        self.len = len
        if given.__len__() != self.len:
            raise ValueError(f"{given.__len__()} bytes of data for an access of {len}")
        self.value_ = int.from_bytes(given, "little")
        self.is_write = is_write

    @property
    def data(self):
        cdef uint64_t little = le64(self.value_)
        return (<char *>&little)[:self.len]

    @data.setter
    def data(self, data):
        self.reply(data)

    @property
    def value(self):
        return self.value_

    def reply(self, data):
        """Answer a read.

        Parameters
        ----------
        data : int or bytes
            An unsigned integer of `len` bytes, or the bytes in guest memory order.

        Raises
        ------
        ValueError
            It does not fit, the access is a write, or the guest has been run since.

        >>> from saecore import kvm
        >>> exit = kvm.Mmio(0x0900_0018, bytes(4), 4, False)
        >>> exit.reply(0x90)
        >>> exit.data
        b'\\x90\\x00\\x00\\x00'
        """
        cdef uint64_t value
        cdef kvm_mmio_t *mmio
        if self.is_write:
            raise ValueError(f"the guest wrote to {self.phys_addr:#x}: a write takes no answer")
        if isinstance(data, (bytes, bytearray, memoryview)):
            if len(data) != self.len:
                raise ValueError(f"{len(data)} bytes answer a read of {self.len}")
            data = int.from_bytes(data, "little")
        value = as_u64(data, "data", 0xFFFFFFFFFFFFFFFF >> (64 - 8 * self.len))
        if self.vcpu != NULL:
            if self.number != self.vcpu.exits or not self.vcpu.flags & MMIO_NEEDED:
                raise ValueError(f"the read of {self.phys_addr:#x} is over: the guest has been "
                                 "run since")
            mmio = <kvm_mmio_t *>self.vcpu.run
            mmio_store(mmio, value, self.len)
        self.value_ = value


cdef void mmio_store(kvm_mmio_t *mmio, uint64_t value, int nbytes) noexcept nogil:
    value = le64(value)
    memcpy(mmio.data, &value, nbytes)


cdef Mmio mmio_exit(object owner, vcpu_t *vcpu):
    """The exit kvm_run describes."""
    cdef Mmio self = Mmio.__new__(Mmio)
    cdef kvm_mmio_t *mmio = <kvm_mmio_t *>vcpu.run
    cdef uint64_t value = 0
    memcpy(&value, mmio.data, mmio.len)
    self.owner = owner
    self.vcpu = vcpu
    self.number = vcpu.exits
    self.value_ = le64(value)
    self.phys_addr = mmio.phys_addr
    self.len = mmio.len
    self.is_write = mmio.is_write
    return self


cdef class Intr(Exit):
    """KVM_RUN was interrupted (-EINTR): by a signal whose handler returned, by `kick()`, or at
    its entry by `immediate_exit`. Run again to go on.

    >>> from saecore import kvm
    >>> kvm.Intr().reason.name
    'INTR'
    """

    reason = Reason.INTR


cdef class Budget(Exit):
    """As many instructions as `run(max_insns=...)` allowed have been executed; no exit of KVM's.

    >>> from saecore import kvm
    >>> kvm.Budget()
    Budget()
    """


cdef object the_intr = Intr()
cdef object the_budget = Budget()


# The rest is rare: plain classes whose attributes are their __match_args__.

class _Plain(Exit):
    def __init__(self, *values):
        if len(values) != len(self.__match_args__):
            raise TypeError(f"{type(self).__name__} takes {', '.join(self.__match_args__)}")
        for name, value in zip(self.__match_args__, values, strict=True):
            setattr(self, name, value)


class SystemEvent(_Plain):
    """The guest asked for power-off or a reset.

    Attributes
    ----------
    type : saecore.kvm.uapi.SystemEventType
    data : tuple of int
        Flags, for a shutdown or reset.

    >>> from saecore import kvm
    >>> kvm.SystemEvent(kvm.uapi.SystemEventType.SHUTDOWN, (0,)).type.name
    'SHUTDOWN'
    """

    __match_args__ = ("type", "data")
    reason = Reason.SYSTEM_EVENT


class Hypercall(_Plain):
    """A hypercall forwarded to userspace (an SMCCC filter; not on s390 yet).

    >>> from saecore import kvm
    >>> kvm.Hypercall(0x8600_0000, (0,) * 6, 0, 0).nr == 0x8600_0000
    True
    """

    __match_args__ = ("nr", "args", "ret", "flags")
    reason = Reason.HYPERCALL


class Debug(_Plain):
    """A debug event of KVM_SET_GUEST_DEBUG (refused on s390: never seen there).

    >>> from saecore import kvm
    >>> kvm.Debug(0xF200_0000, 0).far
    0
    """

    __match_args__ = ("hsr", "far")
    reason = Reason.DEBUG


class FailEntry(_Plain):
    """The vCPU cannot run on this CPU (heterogeneous arm64 hosts; not on s390).

    >>> from saecore import kvm
    >>> kvm.FailEntry(1, 0).fault_reason
    1
    """

    __match_args__ = ("fault_reason", "cpu")
    reason = Reason.FAIL_ENTRY


class InternalError(_Plain):
    """KVM gave up on an instruction (no path on s390 reports it).

    >>> from saecore import kvm
    >>> kvm.InternalError(1, ()).suberror
    1
    """

    __match_args__ = ("suberror", "data")
    reason = Reason.INTERNAL_ERROR


class MemoryFault(_Plain):
    """Accompanies -EFAULT where KVM_CAP_MEMORY_FAULT_INFO is 1; on s390 it is 0.

    >>> from saecore import kvm
    >>> kvm.MemoryFault(0, 0x4000_0000, 4096).gpa == 0x4000_0000
    True
    """

    __match_args__ = ("flags", "gpa", "size")
    reason = Reason.MEMORY_FAULT


class ArmNisv(_Plain):
    """An access outside memory whose syndrome does not describe it.

    Takes KVM_CAP_ARM_NISV_TO_USER, which s390 does not have: there KVM_RUN fails with ENOSYS.

    >>> from saecore import kvm
    >>> hex(kvm.ArmNisv(0x40, 0x0900_0000).fault_ipa)
    '0x9000000'
    """

    __match_args__ = ("esr_iss", "fault_ipa")
    reason = Reason.ARM_NISV


class ArmLdst64b(_Plain):
    """A 64-byte load or store outside memory.

    >>> from saecore import kvm
    >>> kvm.ArmLdst64b(0x40, 0).reason.name
    'ARM_LDST64B'
    """

    __match_args__ = ("esr_iss", "fault_ipa")
    reason = Reason.ARM_LDST64B


class Unknown(_Plain):
    """Any other `kvm_run.exit_reason`.

    >>> from saecore import kvm
    >>> kvm.Unknown(0).hardware_exit_reason
    0
    """

    __match_args__ = ("hardware_exit_reason",)
    reason = Reason.UNKNOWN


cdef object other_exit(vcpu_t *vcpu):
    """The object for what kvm_run describes, if that is not an MMIO."""
    cdef int reason = vcpu.run.exit_reason
    cdef kvm_system_event_t *event = <kvm_system_event_t *>vcpu.run
    cdef kvm_arm_nisv_t *nisv = <kvm_arm_nisv_t *>vcpu.run
    if reason == EXIT_SYSTEM_EVENT:
        return SystemEvent(SystemEventType(event.type),
                           tuple([event.data[i] for i in range(min(event.ndata, 16))]))
    if reason == EXIT_ARM_NISV or reason == EXIT_ARM_LDST64B:
        kind = ArmNisv if reason == EXIT_ARM_NISV else ArmLdst64b
        return kind(nisv.esr_iss, nisv.fault_ipa)
    return Unknown((<kvm_hw_t *>vcpu.run).hardware_exit_reason)
