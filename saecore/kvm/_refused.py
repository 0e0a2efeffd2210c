"""Ioctls the s390 module refuses. Floor 9."""

import errno
from collections.abc import Callable
from functools import partial
from typing import NoReturn, Protocol, overload

__all__ = ["Refused"]


class Descriptor(Protocol):
    """A file descriptor of KVM's."""

    def _refuse(self, ioctl: str, code: int, why: str, *args: object) -> NoReturn:
        """Raise what every ioctl may raise on this descriptor, or else `KvmError`."""


#: How the examples get a descriptor.
_MAKE = {"Vm": "kvm.System().create_vm()", "Vcpu": "kvm.System().create_vm().create_vcpu(0)"}


class Refused:
    """A method for an ioctl that is refused, whatever it is given; its name gives the ioctl's.

    Parameters
    ----------
    code : int
        The errno.
    why : str
        Why, or what to do instead.

    >>> from saecore import kvm
    >>> kvm.System().create_vm().signal_msi(0x0802_0040, 0, 33)
    Traceback (most recent call last):
        ...
    saecore.kvm.errors.KvmError: [Errno 22] KVM_SIGNAL_MSI: EINVAL: the s390 module has no
    interrupt controller yet
    """

    __name__: str

    def __init__(self, code: int, why: str) -> None:
        self.code = code
        self.why = why

    def __set_name__(self, owner: type, name: str) -> None:
        self.__name__ = name
        self.__qualname__ = f"{owner.__qualname__}.{name}"
        self.__module__ = owner.__module__
        self.ioctl = f"KVM_{name.upper()}"
        symbol = errno.errorcode[self.code]
        self.__doc__ = f"""{self.ioctl}: refused with {symbol} on s390: {self.why}.

        >>> from saecore import kvm
        >>> {_MAKE[owner.__name__]}.{name}()
        Traceback (most recent call last):
            ...
        saecore.kvm.errors.KvmError: [Errno {self.code}] {self.ioctl}: {symbol}: {self.why}
        """

    @overload
    def __get__(self, fd: None, owner: type) -> "Refused": ...
    @overload
    def __get__(self, fd: Descriptor, owner: type) -> Callable[..., NoReturn]: ...
    def __get__(self, fd: Descriptor | None, owner: type) -> "Refused | Callable[..., NoReturn]":
        if fd is None:
            return self
        return partial(fd._refuse, self.ioctl, self.code, self.why)
