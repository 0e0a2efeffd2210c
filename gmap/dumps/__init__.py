"""Page-table dumps: writing a gmap's, reading those of real machines, comparing. Floor 4.

`ptdump` prints an address space as the kernel's `stage2_page_tables` does, or in a form that
shows what is s390's own; `read_ptdump` reads these, the arm64 and the s390 kernel's
`kernel_page_tables`; `diff` tells two layouts apart. docs/dumps.md has the grammars.
"""

from gmap.dumps._diff import CHANGE, Change, diff
from gmap.dumps._read import read_ptdump
from gmap.dumps._write import ipa_range, ptdump, ptdump_lines, stage2_levels

__all__ = [
    "CHANGE",
    "Change",
    "diff",
    "ipa_range",
    "ptdump",
    "ptdump_lines",
    "read_ptdump",
    "stage2_levels",
]
