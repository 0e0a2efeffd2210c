"""The status of a two-level translation, taken apart. Floor 0."""

from dataclasses import dataclass

from gmap._address import as_addr
from gmap._defs import (
    STATUS_FSC,
    STATUS_PIC_SHIFT,
    STATUS_S1PTW,
    STATUS_STAGE_1,
    STATUS_STAGE_2,
    Fsc,
    Pic,
)
from gmap.errors import AddressError, describe_code

__all__ = ["Status", "describe_status"]

_KINDS = {
    Fsc.ADDRESS_SIZE: "address size",
    Fsc.TRANSLATION: "translation",
    Fsc.ACCESS_FLAG: "access flag",
    Fsc.PERMISSION: "permission",
}
_BELOW_ZERO = {
    Fsc.ADDRESS_SIZE_LEVEL_MINUS_1: "address size",
    Fsc.TRANSLATION_LEVEL_MINUS_1: "translation",
}


@dataclass(frozen=True)
class Status:
    """What the status of a two-level translation says.

    Attributes
    ----------
    stage : int
        The stage that refused the access: 1 or 2; 0 if none did.
    fsc : int
        The 6-bit fault status code (ESR_ELx.ISS.FSC, PAR_EL1.FST), its level included. At stage 2
        the level is that of the gmap's entry as an arm64 stage 2 counts: 3 for a page, 2 for a
        segment. 0 without a fault, and for an address-size fault of level 0: `kind` tells.
    level : int
        -1 to 3.
    s1ptw : bool
        The refused access was one to a stage-1 table.
    pic : int
        The program interruption code of the gmap's walk; 0 for stage 1.
    kind : str
        "ok", "translation", "permission", "access flag" or "address size".

    >>> status = describe_status(0x11 << 16 | 0x187)
    >>> status.stage, status.s1ptw, hex(status.pic)
    (2, True, '0x11')
    """

    stage: int
    fsc: int
    level: int
    s1ptw: bool
    pic: int
    kind: str

    def __str__(self) -> str:
        if self.stage == 0:
            return "ok"
        text = f"stage {self.stage} {self.kind} fault, level {self.level} (FSC {self.fsc:#04x})"
        if self.s1ptw:
            text += ", on a stage-1 table"
        if self.pic:
            text += f": {describe_code(self.pic)}"
        return text


def describe_status(status: int) -> Status:
    """Take apart a status `TwoLevel.translate` returned.

    Parameters
    ----------
    status : int
        One value of its second output; 0 is success.

    Raises
    ------
    AddressError
        No status of a translation.

    Examples
    --------
    >>> status = describe_status(0x47)
    >>> status.stage, status.fsc, status.level, status.kind
    (1, 7, 3, 'translation')
    >>> print(describe_status(0x47))
    stage 1 translation fault, level 3 (FSC 0x07)
    """
    value = int(as_addr(status))
    stage = 1 if value & STATUS_STAGE_1 else 2 if value & STATUS_STAGE_2 else 0
    fsc = value & STATUS_FSC
    pic = value >> STATUS_PIC_SHIFT
    if value == 0:
        return Status(0, 0, 0, False, 0, "ok")
    kind = _BELOW_ZERO.get(fsc) or _KINDS.get(fsc & ~3)  # type: ignore[call-overload]
    known = STATUS_FSC | STATUS_STAGE_1 | STATUS_STAGE_2 | STATUS_S1PTW
    if (
        kind is None
        or stage == 0
        or (value & STATUS_STAGE_1
        and value & ~(STATUS_FSC | STATUS_STAGE_1))
        or value & ~known & ((1 << STATUS_PIC_SHIFT) - 1)
        or pic not in set(Pic)
    ):
        raise AddressError(
            f"status {value:#x} is none of a translation: pass one value of the second output"
        )
    level = -1 if fsc in _BELOW_ZERO else fsc & 3
    return Status(stage, fsc, level, bool(value & STATUS_S1PTW), pic, kind)
