"""The control block and the save area against the fact sheet's table (sae.md 1, 2, 4)."""

import numpy as np
import pytest

from saecore import BLOCK_DTYPE, ICPTD_DTYPE, SAVE_AREA_DTYPE, to_bytes

# Written from the table again, so that a slip in saecore/_layout.py shows.
BLOCK = """
080 1 icptr; 088 8 scad; 110 4 cntp_ctl; 114 4 cntv_ctl; 118 1 irq_ctl; 120 8 ich_hcr_el2;
128 8 ich_vmcr_el2; 130 8 ich_ap0r0_el2; 138 8 ich_ap1r0_el2; 150 32 ich_lrn_el2;
1f0 8 contextidr_el1; 1f8 4 wip; 200 1 sdf; 208 8 mso; 210 8 msl; 218 8 hbasce; 228 8 gpto;
230 8 ic; 238 8 ec; 240 8 save_area; 286 2 lrcpua; 288 8 pstate; 290 8 pc; 298 8 sp_el0;
2a0 8 sp_el1;
2b0 8 fpcr; 2b8 8 fpsr; 2c0 32 sve_pregs; 2e0 2 sve_ffr; 300 248 gpr; 400 64 icptd
"""
ICPTD = """
400 2 vir; 400 8 esr_elz; 40e 2 pic; 410 8 teid; 418 8 far_elz; 420 8 vaddr; 428 8 suppl;
430 1 gltl; 400 1 tir
"""
SAVE_AREA = "000 1 saf; 006 2 sas; 008 8 sdo; 020 4064 regs"


@pytest.mark.parametrize(
    ("dtype", "table"), [(BLOCK_DTYPE, BLOCK), (ICPTD_DTYPE, ICPTD), (SAVE_AREA_DTYPE, SAVE_AREA)]
)
def test_layout(dtype, table):
    rows = [row.split() for row in table.split(";")]
    assert dtype.itemsize == 4096
    assert {(name, offset, field.itemsize) for name, (field, offset) in dtype.fields.items()} == {
        (name, int(offset, 16), int(size)) for offset, size, name in rows
    }


def test_bytes_are_those_of_an_s390():
    rng = np.random.default_rng(1)
    block = np.frombuffer(rng.bytes(4096), BLOCK_DTYPE).reshape(()).copy()
    data = to_bytes(block)
    for name, (field, offset) in BLOCK_DTYPE.fields.items():
        width = field.base.itemsize
        values = np.atleast_1d(block[name]).tolist()
        expected = b"".join(value.to_bytes(width, "big") for value in values)
        assert data[offset : offset + field.itemsize] == expected


def test_bytes_of_something_else_are_refused():
    with pytest.raises(TypeError, match="neither BLOCK_DTYPE nor SAVE_AREA_DTYPE"):
        to_bytes(np.zeros((), "u8"))
