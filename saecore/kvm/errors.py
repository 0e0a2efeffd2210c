"""What the facade raises. Floor 9."""

import errno as _errno


class KvmError(OSError):
    """An ioctl was refused.

    Attributes
    ----------
    ioctl : str
        Its name, for example ``"KVM_SET_ONE_REG"``.
    errno : int
        Positive, as from the kernel.

    >>> raise KvmError("KVM_CREATE_VM", 22, "ipa_bits 31: use 32 to 48")
    Traceback (most recent call last):
        ...
    saecore.kvm.errors.KvmError: [Errno 22] KVM_CREATE_VM: EINVAL: ipa_bits 31: use 32 to 48
    """

    ioctl: str

    def __init__(self, ioctl: str, errno: int, message: str) -> None:
        name = _errno.errorcode.get(errno, str(errno))
        super().__init__(errno, f"{ioctl}: {name}: {message}")
        self.ioctl = ioctl

    def __reduce__(self) -> tuple[type["KvmError"], tuple[str, int, str]]:
        message = str(self.strerror).split(": ", 2)[2]
        return type(self), (self.ioctl, int(self.errno or 0), message)
