"""The story of one translation, for people. Floor 3."""

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from gmap import _defs as d
from gmap._status import Status, describe_status

__all__ = ["Explanation", "Step", "describe_descriptor", "describe_entry"]


class Step(NamedTuple):
    """One table entry a walk read.

    Attributes
    ----------
    stage : int
        1 (arm64, in guest memory) or 2 (the gmap).
    level : int
        Of a stage-1 descriptor -1 to 3; of a DAT table entry its `Level`.
    address : int
        Where it was read: an intermediate physical address for stage 1, a host address for
        stage 2.
    entry : int
        The 64-bit value, for stage 1 with the guest's byte order undone.
    text : str
        What it says.
    """

    stage: int
    level: int
    address: int
    entry: int
    text: str


def describe_entry(level: int, entry: int) -> str:
    """What an entry of a DAT table says, in one phrase.

    >>> describe_entry(-1, 0x8000_0223)
    'page at 0x80000000, protected, soft: present, writable, soft-dirty'
    """
    if level == d.Level.PAGE:
        return _describe_pte(entry)
    if entry & d.CRSTE_I:
        hole = (entry & ~d.CRSTE_TT) == (d.CRSTE_HOLE & ~d.CRSTE_TT)
        if hole:
            return "invalid: a hole, in no memory slot"
        if not entry & d.CRSTE_FC:
            return "invalid: nothing mapped yet"
    if not entry & d.CRSTE_FC:
        what = "page table" if level == d.Level.SEGMENT else "table"
        mask = d.SEGMENT_PTO if level == d.Level.SEGMENT else d.CRSTE_ORIGIN
        text = f"{what} at {entry & mask:#x}"
        return text + (", protected" if entry & d.CRSTE_P else "")
    segment = level == d.Level.SEGMENT
    frame = entry & (d.SEGMENT_FRAME if segment else d.REGION3_FRAME)
    soft = {
        "present": d.CRSTE_SW_PR, "writable": d.CRSTE_SW_W, "dirty": d.CRSTE_SW_D,
        "young": d.CRSTE_SW_Y, "special": d.CRSTE_SW_S, "soft-dirty": d.CRSTE_SW_SD,
    }  # fmt: skip
    flags = {"invalid (old)": d.CRSTE_I, "protected": d.CRSTE_P}
    return _join(f"{'1M' if segment else '2G'} frame at {frame:#x}", entry, flags, soft)


def _describe_pte(entry: int) -> str:
    if entry & d.PTE_I and not entry & d.PTE_PR:
        return "invalid: nothing mapped yet"
    soft = {
        "present": d.PTE_PR, "writable": d.PTE_W, "dirty": d.PTE_D, "young": d.PTE_Y,
        "special": d.PTE_S, "soft-dirty": d.PTE_SD,
    }  # fmt: skip
    flags = {"invalid (old)": d.PTE_I, "protected": d.PTE_P}
    return _join(f"page at {entry & d.PTE_PFRA:#x}", entry, flags, soft)


def _join(text: str, entry: int, flags: dict[str, int], soft: dict[str, int]) -> str:
    parts = [text, *(name for name, bit in flags.items() if entry & bit)]
    names = [name for name, bit in soft.items() if entry & bit]
    return ", ".join(parts) + (f", soft: {', '.join(names)}" if names else "")


def describe_descriptor(level: int, entry: int) -> str:
    """What a stage-1 descriptor says, in one phrase; addresses as with 48 bits.

    >>> describe_descriptor(2, 0x4000_0003)
    'table at 0x40000000'
    >>> describe_descriptor(3, 0x4000_1443)
    'page at 0x40001000, EL0, AF, attr 0'
    """
    if not entry & d.S1_VALID:
        return "invalid"
    address = entry & d.S1_ADDRESS
    if level < 3 and entry & d.S1_TABLE:
        limits = {
            "PXNTable": d.S1_PXN_TABLE, "UXNTable": d.S1_UXN_TABLE,
            "APTable: not EL0": d.S1_AP_TABLE_EL0, "APTable: read-only": d.S1_AP_TABLE_RO,
        }  # fmt: skip
        return _join(f"table at {address:#x}", entry, limits, {})
    if level == 3 and not entry & d.S1_TABLE:
        return "reserved"
    flags = {
        "EL0": d.S1_AP_EL0, "read-only": d.S1_AP_RO, "AF": d.S1_AF, "nG": d.S1_NG,
        "DBM": d.S1_DBM, "contiguous": d.S1_CONTIGUOUS, "PXN": d.S1_PXN, "UXN": d.S1_UXN,
    }  # fmt: skip
    text = _join(f"{'page' if level == 3 else 'block'} at {address:#x}", entry, flags, {})
    return f"{text}, attr {(entry & d.S1_ATTRINDX) >> 2}"


@dataclass(frozen=True)
class Explanation:
    """How one address was translated, or why not.

    Attributes
    ----------
    va, access, el : int
        What was asked; `access` is 0 read, 1 write, 2 fetch.
    steps : tuple of Step
        Every table entry read, in order.
    ipa : int or None
        What stage 1 gave, or None if it refused. After a fault on a stage-1 table, that table
        entry's address.
    pa : int or None
        The host address.
    status : int
        As from `TwoLevel.translate`; 0 is success.
    attr, sh : int or None
        The MAIR byte of the leaf and its shareability; None without a leaf.
    size : int
        Bytes the stage-1 leaf maps; 0 without one, and with stage 1 off.
    rights : dict
        What the tables of stage 1 allow: {"el0": "rwx", "el1": "rw-"} style, PAN applied. Empty
        without a leaf, and with stage 1 off.

    >>> import gmap
    >>> two = gmap.TwoLevel(gmap.Stage1(sctlr=0), gmap.Gmap(gmap.SyntheticHost()))
    >>> print(str(two.explain(0x1000)).splitlines()[0])
    read of 0x1000 at EL1
    """

    va: int
    access: int
    el: int
    steps: tuple[Step, ...]
    ipa: int | None
    pa: int | None
    status: int
    attr: int | None = None
    sh: int | None = None
    size: int = 0
    rights: dict[str, str] = field(default_factory=dict)

    @property
    def refs(self) -> int:
        """Memory references of the walk: (n+1)(m+1)-1 with n and m levels and nothing cached."""
        return len(self.steps)

    @property
    def fault(self) -> Status:
        """The status taken apart."""
        return describe_status(self.status)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, ready for JSON.

        >>> import gmap
        >>> two = gmap.TwoLevel(gmap.Stage1(sctlr=0), gmap.Gmap(gmap.SyntheticHost()))
        >>> two.explain(0x1000).to_dict()["fault"]["kind"]
        'translation'
        """
        fields = asdict(self)
        fields["access"] = d.Access(self.access).name.lower()
        fields["steps"] = [step._asdict() for step in self.steps]
        return {**fields, "refs": self.refs, "fault": asdict(self.fault)}

    def __str__(self) -> str:
        what = d.Access(self.access).name.lower()
        lines = [f"{what} of {self.va:#x} at EL{self.el}"]
        for step in self.steps:
            if step.stage == 1:
                lines.append(
                    f"  stage 1 level {step.level:2}  {step.address:#018x}: "
                    f"{step.entry:#018x}  {step.text}"
                )
            else:
                lines.append(
                    f"    stage 2 {d.Level(step.level).name:8} {step.address:#018x}: "
                    f"{step.entry:#018x}  {step.text}"
                )
        if self.ipa is not None:
            lines.append(f"  ipa {self.ipa:#x}")
        if self.rights:
            rights = ", ".join(f"{el} {what}" for el, what in self.rights.items())
            lines.append(f"  stage 1 allows {rights}")
        if self.pa is not None:
            lines.append(f"  host address {self.pa:#x}")
        lines.append(f"  {self.refs} memory references; {self.fault}")
        return "\n".join(lines)
