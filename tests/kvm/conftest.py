"""A machine to run things on."""

import numpy as np
import pytest

from saecore import kvm

RAM = 0x4000_0000


class Machine:
    """A VM with memory at 1 GiB and a vCPU that starts there."""

    def __init__(self, code=(), *, nbytes=8 << 20, slot_flags=0, cpu="default", **options):
        self.system = kvm.System(cpu=cpu)
        self.vm = self.system.create_vm(**options)
        self.region = self.vm.host.map(nbytes)
        self.vm.set_user_memory_region(
            slot=0, guest_phys_addr=RAM, memory_size=nbytes, userspace_addr=self.region.hva,
            flags=slot_flags,
        )
        self.vcpu = self.vm.create_vcpu(0)
        self.vcpu.init(self.vm.preferred_target())
        self.vcpu.set_one_reg(kvm.reg.PC, RAM)
        self.load(code)

    def load(self, code, at=RAM):
        """Put instructions into memory."""
        words = np.array(code, dtype="<u4").view(np.uint8)
        self.region.array[at - RAM : at - RAM + words.size] = words


@pytest.fixture(name="machine")
def make_machine():
    return Machine
