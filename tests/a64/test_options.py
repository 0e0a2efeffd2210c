"""FEAT_FlagM, FEAT_FlagM2 and FEAT_LRCPC2.

Judges: the Arm ARM's pseudocode, written out here on whole numbers; Unicorn in
`tests/differential`.
"""

import numpy as np
import pytest
from bare_guest import ABOVE, CODE, DATA, MMU, SYNC_CURRENT, BareGuest, esr, word
from hypothesis import given
from hypothesis import strategies as st

from saecore.a64._blocks import operations

nzcv = st.integers(0, 15)
sixty_four = st.integers(0, 2**64 - 1)


@pytest.fixture(scope="module")
def guest():
    guest = BareGuest()
    guest.map_flat()
    return guest


def flags_after(guest, program, before, x=0):
    out = guest.run([program], pstate=0x3C5 | before << 28, x={1: x})
    return out.pstate >> 28


# --- flags ----------------------------------------------------------------------------------


@pytest.mark.parametrize("before", range(16))
def test_flags_of_flags(guest, before):
    n, z, c, v = (before >> bit & 1 for bit in (3, 2, 1, 0))
    wanted = {
        "CFINV": (n, z, c ^ 1, v),
        "AXFLAG": (0, z | v, c & (v ^ 1), 0),
        "XAFLAG": ((c | z) ^ 1, z & c, c | z, (c ^ 1) & z),
    }
    for key, bits in wanted.items():
        n, z, c, v = bits
        assert flags_after(guest, word(key), before) == n << 3 | z << 2 | c << 1 | v, key


@given(sixty_four, st.integers(0, 63), st.integers(0, 15), nzcv)
def test_rmif(guest, x, by, mask, before):
    turned = (x >> by | x << 64 - by) & 15
    after = flags_after(guest, word("RMIF", i=by, n=1, z=mask), before, x)
    assert after == turned & mask | before & ~mask


@given(sixty_four, st.sampled_from([8, 16]), nzcv)
def test_setf(guest, x, size, before):
    n, above = x >> size - 1 & 1, x >> size & 1
    zero = x & (1 << size) - 1 == 0
    after = flags_after(guest, word(f"SETF{size}", n=1), before, x)
    assert after == n << 3 | zero << 2 | before & 2 | n ^ above


@pytest.mark.parametrize("key", ["CFINV", "AXFLAG", "XAFLAG", "RMIF", "SETF8", "SETF16"])
def test_undefined_without_the_feature(key):
    base = operations(np.array([word(key)], "u4"), 0, 1, 1)
    assert base[0] == (0, "undefined")


# --- ordered loads and stores at an offset ---------------------------------------------------

#: Key, size field, W bit: bytes, and how wide the result is extended.
LOADS = [
    ("ldapur", {"z": 0}, 1, None), ("ldapur", {"z": 1}, 2, None), ("ldapur", {"z": 2}, 4, None),
    ("ldapur", {"z": 3}, 8, None), ("ldapursb", {"w": 0}, 1, 64), ("ldapursb", {"w": 1}, 1, 32),
    ("ldapursh", {"w": 0}, 2, 64), ("ldapursh", {"w": 1}, 2, 32), ("ldapursw", {}, 4, 64),
]  # fmt: skip


@pytest.mark.parametrize(("key", "fields", "size", "extend"), LOADS)
@pytest.mark.parametrize("offset", [-256, -8, 0, 248])
@pytest.mark.parametrize("value", [0x8182838485868788, 0x0102030405060708])
def test_loads(guest, key, fields, size, extend, offset, value):
    guest.ram.array[DATA - CODE + offset :][:8].view("<u8")[:] = value
    wanted = value & (1 << 8 * size) - 1
    if extend and wanted >> 8 * size - 1:
        wanted = wanted - (1 << 8 * size) & (1 << extend) - 1
    program = word(key, i=offset & 511, n=1, t=2, **fields)
    assert guest.run([program], x={1: DATA, 2: 5}).x[2] == wanted
    same = word(key, i=offset & 511, n=1, t=1, **fields)
    assert guest.run([same], x={1: DATA}).x[1] == wanted


@pytest.mark.parametrize("size", range(4))
@pytest.mark.parametrize("offset", [-256, 248])
def test_stores(guest, size, offset):
    at = guest.ram.array[DATA - CODE + offset :][:8]
    at[:] = 0xEE
    out = guest.run(
        [word("stlur", z=size, i=offset & 511, n=31, t=2)], sp_el1=DATA, x={2: 2**64 - 2}
    )
    assert out.hvc == 0xFFFF
    wanted = (2**64 - 2).to_bytes(8, "little")[: 1 << size]
    assert bytes(at) == wanted + b"\xee" * (8 - len(wanted))


def test_they_must_be_aligned(guest):
    """There is no FEAT_LSE2; MMU on, as without it all memory is Device memory."""
    for program, wnr in ((word("ldapur", z=1, i=1, n=1, t=2), 0),
                         (word("stlur", z=3, i=4, n=1, t=2), 1 << 6)):  # fmt: skip
        out = guest.run([program], regs=MMU, x={1: ABOVE + DATA})
        assert out.hvc == SYNC_CURRENT
        assert out.regs["ESR_EL1"] == esr(0x25, 0x21 | wnr)
    # SP is looked at before the offset is added.
    regs = MMU | {"SCTLR_EL1": MMU["SCTLR_EL1"] | 8}
    out = guest.run([word("ldapur", z=0, i=8, n=31, t=2)], regs=regs, sp_el1=ABOVE + DATA + 8)
    assert out.regs["ESR_EL1"] == esr(0x26)
