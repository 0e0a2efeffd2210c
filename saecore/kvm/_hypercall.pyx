"""HVC: PSCI and SMCCC. Floor 9.

Source: fact sheet upcoming.md section 4, sae.md 9.1. The published stub knows SYSTEM_OFF alone
and writes X0 alone; this follows native KVM, for the functions a machine needs to be switched off
and identified. All others answer NOT_SUPPORTED.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from saecore.kvm._state cimport REQ_SLEEP, vcpu_t
from saecore.kvm._uapi cimport (
    EXIT_SYSTEM_EVENT, MP_STATE_STOPPED, SYSTEM_EVENT_TYPE_RESET, SYSTEM_EVENT_TYPE_SHUTDOWN,
    kvm_system_event_t,
)


cdef enum:
    SMCCC_VERSION = 0x80000000
    PSCI_VERSION = 0x84000000
    PSCI_SYSTEM_OFF = 0x84000008
    PSCI_SYSTEM_RESET = 0x84000009
    PSCI_FEATURES = 0x8400000A
    SMCCC_1_1 = 0x10001
    NOT_SUPPORTED = -1
    INTERNAL_FAILURE = -6


cdef void set_results(vcpu_t *v, uint64_t x0) noexcept nogil:
    v.block.gpr[0] = x0
    memset(&v.block.gpr[1], 0, 3 * sizeof(uint64_t))


cdef bint has_function(uint32_t function) noexcept nogil:
    """What PSCI_FEATURES says yes to."""
    return (function == PSCI_VERSION or function == PSCI_SYSTEM_OFF
            or function == PSCI_SYSTEM_RESET or function == PSCI_FEATURES
            or function == SMCCC_VERSION)


cdef int system_event(vcpu_t *v, int type) noexcept nogil:
    """Stop the machine and tell userspace; the guest finds an error if it is run on."""
    cdef kvm_system_event_t *event = <kvm_system_event_t *>v.run
    v.mp_state = MP_STATE_STOPPED
    v.requests |= REQ_SLEEP
    memset(&event.data, 0, sizeof(event.data))
    event.type = type
    event.ndata = 1
    v.run.exit_reason = EXIT_SYSTEM_EVENT
    set_results(v, <uint64_t>INTERNAL_FAILURE)
    return 0


cdef int handle_hvc(vcpu_t *v) noexcept nogil:
    """Do the function in W0; the pc is behind the HVC already. 1: go on; 0: to userspace."""
    cdef uint32_t function = <uint32_t>v.block.gpr[0]
    v.stats.hvc_exit_stat += 1
    if function == PSCI_SYSTEM_OFF:
        return system_event(v, SYSTEM_EVENT_TYPE_SHUTDOWN)
    if function == PSCI_SYSTEM_RESET:
        return system_event(v, SYSTEM_EVENT_TYPE_RESET)
    if function == PSCI_VERSION:
        set_results(v, v.vm.psci_version)
    elif function == PSCI_FEATURES and has_function(<uint32_t>v.block.gpr[1]):
        set_results(v, 0)
    elif function == SMCCC_VERSION:
        set_results(v, SMCCC_1_1)
    else:
        set_results(v, <uint64_t>NOT_SUPPORTED)
    return 1
