"""The control block and the save area, byte for byte: the one definition of both. Floor 6.

`setup.py` writes the C structs and their Cython declarations from these lists, `_block.pyx`
makes the structured dtypes of them. Words are kept in the host's byte order, as the tables of
the gmap are; `to_bytes` gives what an s390 would hold.

Source: fact sheet sae.md sections 1, 2 and 4.
"""

from typing import NamedTuple


class Field(NamedTuple):
    """A field: its byte offset, the bytes of an element, how many elements, and what it holds."""

    name: str
    offset: int
    size: int
    length: int
    doc: str


def field(name: str, offset: int, size: int, doc: str, length: int = 1) -> Field:
    return Field(name, offset, size, length, doc)


BLOCK_BYTES = 4096
BLOCK = [
    field("icptr", 0x080, 1, "interception code"),
    field("scad", 0x088, 8, "system-control-area designation; 0"),
    field("cntp_ctl", 0x110, 4, "CNTP_CTL_EL0"),
    field("cntv_ctl", 0x114, 4, "CNTV_CTL_EL0"),
    field("irq_ctl", 0x118, 1, "interrupt control; no bit has a published name"),
    field("ich_hcr_el2", 0x120, 8, "GIC hypervisor control"),
    field("ich_vmcr_el2", 0x128, 8, "GIC virtual machine control"),
    field("ich_ap0r0_el2", 0x130, 8, "active priorities, group 0"),
    field("ich_ap1r0_el2", 0x138, 8, "active priorities, group 1"),
    field("ich_lrn_el2", 0x150, 8, "list registers", 4),
    field("contextidr_el1", 0x1F0, 8, "CONTEXTIDR_EL1"),
    field("wip", 0x1F8, 4, "has a name only"),
    field("sdf", 0x200, 1, "format of this block; 0"),
    field("mso", 0x208, 8, "main-storage origin"),
    field("msl", 0x210, 8, "main-storage limit, exclusive"),
    field("hbasce", 0x218, 8, "host base ASCE: the guest's stage 2"),
    field("gpto", 0x228, 8, "guest physical time offset"),
    field("ic", 0x230, 8, "interception controls; has a name only"),
    field("ec", 0x238, 8, "execution controls; has a name only"),
    field("save_area", 0x240, 8, "absolute address of the save area"),
    field("lrcpua", 0x286, 2, "has a name only"),
    field("pstate", 0x288, 8, "PSTATE, as in SPSR_EL1"),
    field("pc", 0x290, 8, "PC"),
    field("sp_el0", 0x298, 8, "SP_EL0"),
    field("sp_el1", 0x2A0, 8, "SP_EL1"),
    field("fpcr", 0x2B0, 8, "FPCR"),
    field("fpsr", 0x2B8, 8, "FPSR"),
    field("sve_pregs", 0x2C0, 2, "P0 to P15", 16),
    field("sve_ffr", 0x2E0, 2, "FFR"),
    field("gpr", 0x300, 8, "X0 to X30", 31),
    field("icptd", 0x400, 8, "interception data", 8),
]

#: The views of the interception data: offsets are those of the block.
ICPTD = [
    field("vir", 0x400, 2, "reason of a validity interception"),
    field("esr_elz", 0x400, 8, "ESR as a hypervisor sees it"),
    field("pic", 0x40E, 2, "program interruption code"),
    field("teid", 0x410, 8, "translation-exception identification"),
    field("far_elz", 0x418, 8, "faulting guest virtual address"),
    field("vaddr", 0x420, 8, "has a name only"),
    field("suppl", 0x428, 8, "has a name only"),
    field("gltl", 0x430, 1, "guest translation-table level of a walk that failed"),
    field("tir", 0x400, 1, "timers that expired"),
]

SAVE_AREA_BYTES = 4096
SAVE_AREA = [
    field("saf", 0x000, 1, "format of this area; 0"),
    field("sas", 0x006, 2, "status: 1 if valid"),
    field("sdo", 0x008, 8, "absolute address of the control block"),
    field("regs", 0x020, 8, "system registers; the order is this model's", 508),
]
