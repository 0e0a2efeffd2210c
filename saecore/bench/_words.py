"""The instructions the benchmark's guests are made of, as words. Floor 10.

The guests are a few instructions each, so nothing has to be compiled to run them. A test has an
assembler make the same words from the text beside each.

Source: Arm Architecture Reference Manual, section C6.2. Registers are numbers, 0 to 30.
"""

__all__ = ["GUESTS", "assemble"]

# x0: where the list is      x4: an address where nothing is     x10: TTBR0   x13: SCTLR
# x1: how many               x7: where times go                  x11: TCR     x9: a function id
# x2, x3, x6: free           x5: free, or how many HVCs          x12: MAIR

_MMU_ON = (
    (0xD518200A, "msr ttbr0_el1, x10"),
    (0xD518204B, "msr tcr_el1, x11"),
    (0xD518A20C, "msr mair_el1, x12"),
    (0xD5033FDF, "isb"),
    (0xD518100D, "msr sctlr_el1, x13"),
    (0xD5033FDF, "isb"),
)
_EXIT = ((0xB9000081, "str w1, [x4]"),)
# An item of the list is an address, plus 1 if it is to be written to.
_ACCESS = (
    (0x36000062, "tbz w2, #0, #12"),
    (0xF81FF041, "stur x1, [x2, #-1]"),
    (0x14000002, "b #8"),
    (0xF9400043, "ldr x3, [x2]"),
)
_NEXT_ITEM = (0xF8408402, "ldr x2, [x0], #8")
_COUNT = (0xF1000421, "subs x1, x1, #1")

#: Every guest, as words and the text they are made from.
GUESTS = {
    # Access every item of the list.
    "touch": (
        *_MMU_ON,
        *_EXIT,
        _NEXT_ITEM,
        *_ACCESS,
        _COUNT,
        (0x54FFFF41, "b.ne #-24"),
        *_EXIT,
    ),
    # The same, and write down what each access took by the virtual counter.
    "time": (
        *_MMU_ON,
        *_EXIT,
        _NEXT_ITEM,
        (0xD53BE045, "mrs x5, cntvct_el0"),
        *_ACCESS,
        (0xD53BE046, "mrs x6, cntvct_el0"),
        (0xCB0500C6, "sub x6, x6, x5"),
        (0xF80084E6, "str x6, [x7], #8"),
        _COUNT,
        (0x54FFFEC1, "b.ne #-40"),
        *_EXIT,
    ),
    # Exit again and again.
    "mmio-write": (
        (0xB9000081, "str w1, [x4]"),
        (0x17FFFFFF, "b #-4"),
    ),
    "mmio-read": (
        (0xB9400083, "ldr w3, [x4]"),
        (0x17FFFFFF, "b #-4"),
    ),
    # Call the hypervisor, which answers by itself, in x0 to x3; exit, and again.
    "hvc": (
        (0xAA0903E0, "mov x0, x9"),
        (0xD4000002, "hvc #0"),
        (0xF10004A5, "subs x5, x5, #1"),
        (0x54FFFFA1, "b.ne #-12"),
        *_EXIT,
        (0x17FFFFFB, "b #-20"),
    ),
}


def assemble(name: str) -> bytes:
    """Return a guest as it lies in memory.

    >>> assemble("mmio-write").hex()
    '810000b9ffffff17'
    """
    return b"".join(word.to_bytes(4, "little") for word, _ in GUESTS[name])
