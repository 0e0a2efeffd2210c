"""System instructions, exception generation and return, hints and barriers.

`mrs`, `msr`, `sys` and `sysl` cover every system register and every DC, IC, TLBI and AT
instruction; which of them there are is said by `saecore/_sysregs.py`. What is not in either table
(FEAT_WFxT, FEAT_XS and later) is UNDEFINED. All of the hint space that has no effect here is one
row, `hint`; BTI stands in front of it, and pointer authentication has its part of it in `pauth.py`.
The flags of FEAT_FlagM are in `data.py`.
"""

from saecore._defs import Feature
from saecore.a64.encodings._row import Encoding


def _row(key: str, title: str, pattern: str, feature: Feature | None = None,
         note: str = "") -> Encoding:  # fmt: skip
    return Encoding(key, title, pattern, "system", feature, note)


_NO_DEBUG_STATE = "UNDEFINED: there is no Debug state"
_EL1 = "UNDEFINED at EL0"
_LISTED = "UNDEFINED unless saecore/_sysregs.py has it for this exception level"

# p is op1, n is CRn, m is CRm, q is op2, t is Rt, i an immediate.
ENCODINGS: list[Encoding] = [
    _row("svc", "SVC", "1101 0100 000i iiii iiii iiii iii0 0001"),
    _row("hvc", "HVC", "1101 0100 000i iiii iiii iiii iii0 0010", note=_EL1),
    _row("smc", "SMC", "1101 0100 000i iiii iiii iiii iii0 0011", note=_EL1),
    _row("brk", "BRK", "1101 0100 001i iiii iiii iiii iii0 0000"),
    _row("hlt", "HLT", "1101 0100 010i iiii iiii iiii iii0 0000", note=_NO_DEBUG_STATE),
    _row("dcps1", "DCPS1", "1101 0100 101i iiii iiii iiii iii0 0001", note=_NO_DEBUG_STATE),
    _row("dcps2", "DCPS2", "1101 0100 101i iiii iiii iiii iii0 0010", note=_NO_DEBUG_STATE),
    _row("dcps3", "DCPS3", "1101 0100 101i iiii iiii iiii iii0 0011", note=_NO_DEBUG_STATE),
    _row("eret", "ERET", "1101 0110 1001 1111 0000 0011 1110 0000", note=_EL1),
    _row("drps", "DRPS", "1101 0110 1011 1111 0000 0011 1110 0000", note=_NO_DEBUG_STATE),
    _row("wfe", "WFE", "1101 0101 0000 0011 0010 0000 0101 1111"),
    _row("wfi", "WFI", "1101 0101 0000 0011 0010 0000 0111 1111"),
    _row("sev", "SEV", "1101 0101 0000 0011 0010 0000 1001 1111"),
    _row("sevl", "SEVL", "1101 0101 0000 0011 0010 0000 1011 1111"),
    _row("bti", "BTI", "1101 0101 0000 0011 0010 0100 qq01 1111", Feature.BTI),
    _row("hint", "HINT", "1101 0101 0000 0011 0010 mmmm qqq1 1111"),
    _row("clrex", "CLREX", "1101 0101 0000 0011 0011 .... 0101 1111"),
    _row("dsb", "DSB", "1101 0101 0000 0011 0011 mmmm 1001 1111"),
    _row("dmb", "DMB", "1101 0101 0000 0011 0011 mmmm 1011 1111"),
    _row("isb", "ISB", "1101 0101 0000 0011 0011 .... 1101 1111"),
    _row("sb", "SB", "1101 0101 0000 0011 0011 0000 1111 1111", Feature.SB),
    _row("msr_uao", "MSR UAO, #imm", "1101 0101 0000 0000 0100 mmmm 0111 1111", Feature.UAO, _EL1),
    _row("msr_pan", "MSR PAN, #imm", "1101 0101 0000 0000 0100 mmmm 1001 1111", Feature.PAN, _EL1),
    _row("msr_spsel", "MSR SPSel, #imm", "1101 0101 0000 0000 0100 mmmm 1011 1111", note=_EL1),
    _row("msr_ssbs", "MSR SSBS, #imm", "1101 0101 0000 0011 0100 mmmm 0011 1111", Feature.SSBS),
    _row("msr_dit", "MSR DIT, #imm", "1101 0101 0000 0011 0100 mmmm 0101 1111", Feature.DIT),
    _row("msr_daifset", "MSR DAIFSet, #imm", "1101 0101 0000 0011 0100 mmmm 1101 1111"),
    _row("msr_daifclr", "MSR DAIFClr, #imm", "1101 0101 0000 0011 0100 mmmm 1111 1111"),
    _row("sys", "SYS", "1101 0101 0000 1ppp nnnn mmmm qqqt tttt", note=_LISTED),
    _row("sysl", "SYSL", "1101 0101 0010 1ppp nnnn mmmm qqqt tttt", note=_LISTED),
    _row("msr", "MSR (register)", "1101 0101 0001 oppp nnnn mmmm qqqt tttt", note=_LISTED),
    _row("mrs", "MRS", "1101 0101 0011 oppp nnnn mmmm qqqt tttt", note=_LISTED),
]

OPS: list[str] = [
    "sys", "sys_next", "mrs_saved", "msr_saved", "mrs_const", "mrs_nzcv", "msr_nzcv", "mrs_daif",
    "daif_set", "mrs_sp_el0", "msr_sp_el0", "clrex", "fence",
]  # fmt: skip
