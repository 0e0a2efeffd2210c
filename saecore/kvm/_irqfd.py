"""Eventfds that are to raise interrupts: KVM_IRQFD. Floor 9.

The s390 module has no interrupt controller: generic code registers them, and none ever raises
an interrupt.

Source: fact sheet uapi.md sections 1.2, 2.4 and 10 (A16).
"""

import errno
import os
import weakref

from saecore.kvm._bus import eventfd_id
from saecore.kvm.errors import KvmError
from saecore.kvm.uapi import IrqfdFlag

_IOCTL = "KVM_IRQFD"
_KNOWN = int(IrqfdFlag.DEASSIGN | IrqfdFlag.RESAMPLE)


class Irqfds:
    """The irqfds of one VM.

    >>> import os
    >>> irqfds, fd = Irqfds(), os.eventfd(0)
    >>> irqfds.change(fd, 33, 0, -1)
    >>> len(irqfds)
    1
    >>> irqfds.change(fd, 33, IrqfdFlag.DEASSIGN, -1)
    >>> os.close(fd)
    """

    def __init__(self) -> None:
        # By eventfd: its number, and a descriptor of its own, as the user may close theirs.
        self._assigned: dict[int, tuple[int, int]] = {}
        weakref.finalize(self, _close, self._assigned)

    def __len__(self) -> int:
        return len(self._assigned)

    def change(self, fd: int, gsi: int, flags: int, resamplefd: int) -> None:
        """Assign or deassign one, with generic code's checks in their order."""
        if flags & ~_KNOWN:
            raise KvmError(_IOCTL, errno.EINVAL, f"flags {flags:#x}: use IrqfdFlag")
        eventfd = eventfd_id(_IOCTL, fd)
        if flags & IrqfdFlag.DEASSIGN:
            # What is not there is no error.
            if self._assigned.get(eventfd, (None,))[0] == gsi:
                os.close(self._assigned.pop(eventfd)[1])
            return
        if flags & IrqfdFlag.RESAMPLE:
            eventfd_id(_IOCTL, resamplefd)
        if eventfd in self._assigned:
            raise KvmError(
                _IOCTL,
                errno.EBUSY,
                f"the eventfd raises interrupt {self._assigned[eventfd][0]} already: deassign that",
            )
        self._assigned[eventfd] = gsi, os.dup(fd)


def _close(assigned: dict[int, tuple[int, int]]) -> None:
    for _, fd in assigned.values():
        os.close(fd)
