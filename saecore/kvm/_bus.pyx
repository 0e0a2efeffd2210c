"""Writes that do not leave the kernel: ioeventfds and coalesced MMIO. Floor 9.

Source: fact sheet faultin.md sections 11 and 12, sae.md section 11.
"""

import os
from errno import EBADF, EEXIST, EINVAL, ENOENT, ENOMEM, ENOSPC

cimport cython
from libc.errno cimport EOPNOTSUPP
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memmove, memset
from posix.unistd cimport write

import numpy as np

from gmap._atomic cimport load, load_acquire, store, store_release
from gmap._memory cimport release, zalloc
from gmap._space cimport Gmap
from gmap._sync cimport mutex_destroy, mutex_init, mutex_lock, mutex_unlock
from saecore._system cimport cache_size
from saecore.kvm._state cimport BUS_CCW, BUS_MMIO, BUS_PIO, N_CSSELR, device_t, ring_t
from saecore.kvm._uapi cimport COALESCED_MMIO_MAX, kvm_coalesced_t

from saecore.kvm import uapi
from saecore.kvm.errors import KvmError
from saecore.kvm.uapi import IoeventfdFlag


cdef extern from *:
    """
    /* The ring's indices are shared with whoever reads it. */
    static inline uint32_t ring_load(const uint32_t *p)
    {
        return __atomic_load_n(p, __ATOMIC_ACQUIRE);
    }
    static inline void ring_store(uint32_t *p, uint32_t v)
    {
        __atomic_store_n(p, v, __ATOMIC_RELEASE);
    }
    """
    uint32_t ring_load(const uint32_t *p) noexcept nogil
    void ring_store(uint32_t *p, uint32_t value) noexcept nogil


# --- what the run loop calls ----------------------------------------------------------------

cdef uint64_t as_s390_reads(const uint8_t *data, uint64_t nbytes) noexcept nogil:
    """The integer an s390 loads from the buffer, whose bytes are in guest order: the trap that
    an ioeventfd's datamatch is byte-swapped there (sae.md 11)."""
    cdef uint64_t value = 0
    cdef uint64_t i
    for i in range(nbytes):
        value = value << 8 | data[i]
    return value


cdef bint signals(device_t *device, uint64_t addr, uint64_t nbytes,
                  const uint8_t *data) noexcept nogil:
    """The write is the one an ioeventfd waits for."""
    cdef uint64_t one = 1
    if device.addr != addr or (device.nbytes and device.nbytes != nbytes):
        return False
    if not device.wildcard and as_s390_reads(data, nbytes) != device.datamatch:
        return False
    write(device.fd, &one, sizeof(one))
    return True


cdef bint coalesces(ring_t *ring, device_t *device, uint64_t addr, uint64_t nbytes,
                    const uint8_t *data) noexcept nogil:
    """The write lies in a zone and the ring has room: it is in the ring now."""
    cdef uint32_t insert = ring_load(&ring.last)
    cdef kvm_coalesced_t *entry
    if addr < device.addr or nbytes > device.nbytes or (
            addr - device.addr > device.nbytes - nbytes):
        return False
    # The page is the user's to write: its indices may be anything.
    if insert >= COALESCED_MMIO_MAX or (insert + 1) % COALESCED_MMIO_MAX == ring_load(&ring.first):
        return False
    entry = &ring.entries[insert]
    entry.phys_addr = addr
    entry.len = <uint32_t>nbytes
    entry.pio = 0
    memcpy(entry.data, data, nbytes)
    ring_store(&ring.last, (insert + 1) % COALESCED_MMIO_MAX)
    return True


cdef int bus_write(vm_t *vm, uint64_t addr, uint64_t nbytes, const uint8_t *data) noexcept nogil:
    """Offer a write of the guest to the devices: 0 if one took it, else -EOPNOTSUPP."""
    cdef uint64_t i
    cdef device_t *device
    cdef int rc = -EOPNOTSUPP
    if not load_acquire(&vm.bus.n):
        return rc
    mutex_lock(&vm.bus.lock)
    for i in range(vm.bus.n):
        device = &vm.bus.devices[i]
        if device.addr > addr:
            break
        if device.bus != BUS_MMIO:
            continue
        if (signals(device, addr, nbytes, data) if device.fd >= 0
                else coalesces(vm.ring, device, addr, nbytes, data)):
            rc = 0
            break
    mutex_unlock(&vm.bus.lock)
    return rc


# --- what userspace calls -------------------------------------------------------------------

def eventfd_id(ioctl, fd):
    """A number that tells one eventfd from another, however many descriptors it has."""
    try:
        kind = os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        raise KvmError(ioctl, EBADF, f"fd {fd} is not open: use os.eventfd()") from None
    if kind != "anon_inode:[eventfd]":
        raise KvmError(ioctl, EINVAL, f"fd {fd} is {kind}, not an eventfd: use os.eventfd()")
    with open(f"/proc/self/fdinfo/{fd}") as info:
        for line in info:
            name, _, value = line.partition(":")
            if name == "eventfd-id":
                return int(value) + 1
    return fd


@cython.no_gc_clear     # vCPUs and the bus look at it to the last
cdef class VmState:
    """The C side of a VM: its bus, its coalesced ring, its ID registers.

    >>> import gmap
    >>> state = VmState(gmap.Gmap(gmap.BufferHost()), 0x8444_C004)
    >>> state.n_devices
    0
    """

    def __cinit__(self, Gmap space not None, uint64_t ctr):
        cdef int n
        memset(&self.c, 0, sizeof(self.c))
        mutex_init(&self.c.bus.lock, NULL)
        self.gmap = space
        self.c.gmap = space.c
        self.c.guest_phys_size = <uint64_t>1 << space.ipa_bits
        for n in range(N_CSSELR):
            self.c.ccsidr[n] = cache_size(ctr, n)
        self.ring_array = np.zeros((), dtype=uapi.RING)
        self.c.ring = <ring_t *><uintptr_t>self.ring_array.ctypes.data

    def __dealloc__(self):
        cdef uint64_t i
        for i in range(self.c.bus.n):
            if self.c.bus.devices[i].fd >= 0:
                os.close(self.c.bus.devices[i].fd)
        release(self.c.bus.devices)
        mutex_destroy(&self.c.bus.lock)

    @property
    def n_devices(self):
        """How many devices the bus has."""
        return self.c.bus.n

    @property
    def ring(self):
        """The ring of coalesced writes, a live record of `uapi.RING`."""
        return self.ring_array.reshape(1).view((uapi.Record, uapi.RING))[0]

    @property
    def dead(self):
        """KVM found a bug in itself and stopped this VM."""
        return bool(load(&self.c.dead))

    def kill(self):
        """Stop the VM for good: every later ioctl fails with EIO."""
        store(&self.c.dead, 1)

    @property
    def has_run(self):
        return bool(load(&self.c.has_run))

    @property
    def psci_version(self):
        return self.c.psci_version

    @psci_version.setter
    def psci_version(self, uint64_t value):
        self.c.psci_version = value

    @property
    def parange(self):
        """Log2 of the first physical address the processor does not have."""
        return (<uint64_t>self.c.parange_limit).bit_length() - 1

    @parange.setter
    def parange(self, int value):
        self.c.parange_limit = <uint64_t>1 << value

    def ccsidr(self, n):
        """CCSIDR_EL1 under one value of CSSELR_EL1; at first what CTR_EL0 says."""
        return self.c.ccsidr[<int>range(N_CSSELR)[n]]

    def set_ccsidr(self, n, uint64_t value):
        self.c.ccsidr[<int>range(N_CSSELR)[n]] = value

    cdef insert(self, uint64_t addr, uint64_t nbytes, int bus, int fd, datamatch,
                uint64_t context):
        """Put a device on the bus; the caller holds the interpreter's lock."""
        cdef device_t *grown = <device_t *>zalloc((self.c.bus.n + 1) * sizeof(device_t))
        cdef device_t *old = self.c.bus.devices
        cdef device_t *device
        cdef uint64_t at = 0
        if grown == NULL:
            raise KvmError("KVM_IOEVENTFD", ENOMEM, "no memory for a device")
        while at < self.c.bus.n and (old[at].addr, old[at].nbytes) <= (addr, nbytes):
            at += 1
        if at:
            memcpy(grown, old, at * sizeof(device_t))
        device = &grown[at]
        device.addr = addr
        device.nbytes = nbytes
        device.bus = bus
        device.fd = fd
        device.wildcard = datamatch is None
        device.datamatch = 0 if datamatch is None else datamatch
        device.context = context
        if at < self.c.bus.n:
            memcpy(&grown[at + 1], &old[at], (self.c.bus.n - at) * sizeof(device_t))
        mutex_lock(&self.c.bus.lock)
        self.c.bus.devices = grown
        store_release(&self.c.bus.n, self.c.bus.n + 1)
        mutex_unlock(&self.c.bus.lock)
        release(old)

    cdef int remove(self, uint64_t index) except -1:
        cdef int fd = self.c.bus.devices[index].fd
        mutex_lock(&self.c.bus.lock)
        memmove(&self.c.bus.devices[index], &self.c.bus.devices[index + 1],
                (self.c.bus.n - index - 1) * sizeof(device_t))
        store_release(&self.c.bus.n, self.c.bus.n - 1)
        mutex_unlock(&self.c.bus.lock)
        if fd >= 0:
            os.close(fd)
        return 0

    # --- coalesced MMIO ----------------------------------------------------------------------

    def register_zone(self, uint64_t addr, uint64_t nbytes, uint64_t pio):
        """Coalesce writes to [addr, addr + nbytes)."""
        cdef uint64_t i, zones = 0
        if pio > 1:
            raise KvmError("KVM_REGISTER_COALESCED_MMIO", EINVAL, f"pio {pio}: use 0 or 1")
        for i in range(self.c.bus.n):
            zones += self.c.bus.devices[i].fd < 0 and self.c.bus.devices[i].bus == <int>pio
        if zones >= uapi.MAX_IOBUS_DEVICES:
            raise KvmError("KVM_REGISTER_COALESCED_MMIO", ENOSPC,
                           f"the bus has {zones} zones already: unregister some")
        self.insert(addr, nbytes, <int>pio, -1, None, 0)

    def unregister_zone(self, uint64_t addr, uint64_t nbytes, uint64_t pio):
        """Forget every zone of that kind that holds all of [addr, addr + nbytes)."""
        cdef uint64_t i = 0
        cdef device_t *device
        if pio > 1:
            raise KvmError("KVM_UNREGISTER_COALESCED_MMIO", EINVAL, f"pio {pio}: use 0 or 1")
        while i < self.c.bus.n:
            device = &self.c.bus.devices[i]
            if (device.fd < 0 and device.bus == <int>pio and device.addr <= addr
                    and nbytes <= device.nbytes
                    and addr - device.addr <= device.nbytes - nbytes):
                self.remove(i)
            else:
                i += 1

    # --- ioeventfds --------------------------------------------------------------------------

    def ioeventfd(self, fd, uint64_t addr, uint64_t nbytes, datamatch, flags):
        """KVM_IOEVENTFD, with its checks in their order."""
        cdef int bus = BUS_MMIO
        cdef uint64_t context
        if flags & IoeventfdFlag.PIO:
            bus = BUS_PIO
        elif flags & IoeventfdFlag.VIRTIO_CCW_NOTIFY:
            bus = BUS_CCW
        matches = bool(flags & IoeventfdFlag.DATAMATCH)
        if flags & IoeventfdFlag.DEASSIGN:
            context = eventfd_id("KVM_IOEVENTFD", fd)
            self._deassign(bus, context, addr, nbytes, datamatch if matches else None)
            return
        if nbytes not in (0, 1, 2, 4, 8):
            raise KvmError("KVM_IOEVENTFD", EINVAL, f"len {nbytes}: use 0, 1, 2, 4 or 8")
        if int(addr) + int(nbytes) >= 2**64:
            raise KvmError("KVM_IOEVENTFD", EINVAL, f"addr {addr:#x} + len {nbytes} wraps")
        if flags & ~0x1F:
            raise KvmError("KVM_IOEVENTFD", EINVAL, f"flags {flags:#x}: use IoeventfdFlag")
        if not nbytes and matches:
            raise KvmError("KVM_IOEVENTFD", EINVAL, "len 0 hears any length: no datamatch then")
        context = eventfd_id("KVM_IOEVENTFD", fd)
        if self._collides(bus, addr, nbytes, datamatch if matches else None):
            raise KvmError("KVM_IOEVENTFD", EEXIST,
                           f"an ioeventfd at {addr:#x} already takes such writes: deassign it")
        # Its own descriptor: the user may close theirs.
        self.insert(addr, nbytes, bus, os.dup(fd), datamatch if matches else None, context)

    def _collides(self, int bus, uint64_t addr, uint64_t nbytes, datamatch):
        cdef uint64_t i
        cdef device_t *device
        for i in range(self.c.bus.n):
            device = &self.c.bus.devices[i]
            if device.fd < 0 or device.bus != bus or device.addr != addr:
                continue
            if not device.nbytes or not nbytes:
                return True
            if device.nbytes == nbytes and (
                    device.wildcard or datamatch is None or device.datamatch == datamatch):
                return True
        return False

    def _deassign(self, int bus, uint64_t context, uint64_t addr, uint64_t nbytes, datamatch):
        cdef uint64_t i
        cdef device_t *device
        for i in range(self.c.bus.n):
            device = &self.c.bus.devices[i]
            if (device.fd >= 0 and device.bus == bus and device.context == context
                    and device.addr == addr and device.nbytes == nbytes
                    and device.wildcard == (datamatch is None)
                    and (datamatch is None or device.datamatch == datamatch)):
                self.remove(i)
                return
        raise KvmError("KVM_IOEVENTFD", ENOENT,
                       f"no ioeventfd at {addr:#x} of {nbytes} bytes with this fd and datamatch")
