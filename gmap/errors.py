"""The exceptions this package raises. Floor 0: imports nothing of the package.

Kernels return codes; only the Python surface raises. Every message names the value that
was refused and what to do about it.

Source of the codes: fact sheets faultin.md section 2.1 and ipa.md section 1.
"""

import errno as _errno

from gmap._defs import Level, Pic

__all__ = [
    "AddressError",
    "AddressTypeError",
    "ClosedError",
    "ConfigError",
    "DumpFormatError",
    "FaultError",
    "GmapError",
    "HostMemoryError",
    "SnapshotFormatError",
    "TraceFormatError",
    "TranslationError",
    "describe_code",
]

_PIC_TEXT = {
    Pic.PROTECTION: "protection",
    Pic.ADDRESSING: "addressing: no memory slot holds this frame",
    Pic.SEGMENT_TRANSLATION: "segment translation",
    Pic.PAGE_TRANSLATION: "page translation",
    Pic.TRANSLATION_SPEC: "translation specification",
    Pic.ASCE_TYPE: "ASCE type: beyond the end of the address space",
    Pic.REGION_FIRST_TRANS: "region-first translation",
    Pic.REGION_SECOND_TRANS: "region-second translation",
    Pic.REGION_THIRD_TRANS: "region-third translation",
}


def describe_code(code: int) -> str:
    """One phrase for a fault-in or translation result: 0, a PIC, or a negative errno.

    >>> describe_code(0x11)
    'PIC 0x11 (page translation)'
    >>> describe_code(-12)
    '-ENOMEM'
    """
    if code == 0:
        return "ok"
    if code < 0:
        return f"-{_errno.errorcode.get(-code, str(-code))}"
    try:
        return f"PIC {code:#04x} ({_PIC_TEXT[Pic(code)]})"
    except (KeyError, ValueError):
        return f"PIC {code:#04x}"


class GmapError(Exception):
    """Base of everything this package raises on purpose."""


class AddressError(GmapError, ValueError, OverflowError):
    """An address, frame number or count is out of range."""


class AddressTypeError(AddressError, TypeError):
    """An address, frame number or count is not an unsigned integer."""


class ConfigError(GmapError, ValueError):
    """A request breaks a rule of configuration; `errno` is what the kernel answers.

    Attributes
    ----------
    errno : int
        Positive errno, for example ``errno.EINVAL``.
    """

    def __init__(self, message: str, errno: int = _errno.EINVAL) -> None:
        super().__init__(message)
        self.errno = errno


class ClosedError(GmapError, ValueError):
    """The host memory behind an object has been closed."""


class HostMemoryError(GmapError, MemoryError):
    """The machine this runs on could not give memory for a table or a page."""


class TranslationError(GmapError, LookupError):
    """An address does not translate.

    Attributes
    ----------
    address : int
        The guest address.
    pic : int
        The program interruption code.
    level : Level
        The table level the walk ended at.
    entry : int
        The 64-bit entry it ended on; 0 when it ended before the first table.
    """

    def __init__(self, address: int, pic: int, level: int, entry: int) -> None:
        self.address = address
        self.pic = pic
        self.level = Level(level)
        self.entry = entry
        if pic == Pic.PROTECTION:
            remedy = "fault the page in for writing: fault_in(gfn, write=True)"
        elif pic == Pic.ASCE_TYPE:
            remedy = "use an address inside the address space"
        else:
            remedy = "fault the page in first: fault_in(gfn)"
        super().__init__(
            f"address {address:#x}: {describe_code(pic)} at level {self.level.name}, "
            f"entry {entry:#018x}; {remedy}"
        )


class FaultError(GmapError, LookupError):
    """A fault-in did not end with a mapping.

    Attributes
    ----------
    gfn : int
        The guest frame (of the first failure, for a batch).
    code : int
        A PIC (positive) or a negative errno.
    """

    def __init__(self, gfn: int, code: int, detail: str = "") -> None:
        self.gfn = gfn
        self.code = code
        message = f"gfn {gfn:#x} (address {gfn << 12:#x}): {describe_code(code)}"
        super().__init__(message + (f"; {detail}" if detail else ""))


class TraceFormatError(GmapError, ValueError):
    """A trace file is malformed; the message names the file, the line and the field."""


class SnapshotFormatError(GmapError, ValueError):
    """A snapshot or an image of tables is malformed; the message names the part and the remedy."""


class DumpFormatError(GmapError, ValueError):
    """A page-table dump is malformed; the message names the file, the line and what belongs."""
