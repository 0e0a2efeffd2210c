"""A guest for tests: memory, and stage-1 tables written into it."""

import numpy as np

import gmap

MIB = 1 << 20
PAGE = 4096
TCR_4K = 16 | 16 << 16 | 2 << 30 | 5 << 32  # 48-bit halves, 4K granules, 48-bit IPS
AF = 1 << 10
EL0 = 1 << 6
READ_ONLY = 1 << 7
NG = 1 << 11
DBM = 1 << 51


class Guest:
    """Guest memory at 0, with an allocator of table pages at its end and 4K tables of 4 levels.

    `g` maps it, `words` is its content, `root` the first table.
    """

    def __init__(self, nbytes=8 * MIB, ipa_bits=40, folio="4k", base=0, **options):
        self.host = gmap.BufferHost(hamaxpow=0)
        self.ram = self.host.map(nbytes, folio=folio)
        self.base = base
        self.g = gmap.Gmap(self.host, ipa_bits=ipa_bits, **options)
        self.g.set_memory_region(0, base, nbytes, self.ram.hva)
        self.words = self.ram.array.view(np.uint64)
        self.free = base + nbytes
        self.root = self.table()

    def table(self):
        self.free -= PAGE
        return self.free

    def word(self, ipa):
        return int(self.words[(ipa - self.base) >> 3])

    def set_word(self, ipa, value):
        self.words[(ipa - self.base) >> 3] = value

    def descriptor(self, va, level=3):
        """The ipa of the descriptor of `va`; tables above it are made."""
        table = self.root
        for at in range(level):
            here = table + 8 * (va >> (39 - 9 * at) & 511)
            if not self.word(here):
                self.set_word(here, self.table() | 3)
            table = self.word(here) & 0xFFFF_FFFF_F000
        return table + 8 * (va >> (39 - 9 * level) & 511)

    def map(self, va, ipa, attributes=AF | EL0, level=3):
        """Map a page or block."""
        self.set_word(self.descriptor(va, level), ipa | attributes | (3 if level == 3 else 1))

    def stage1(self, **registers):
        options = {"ttbr0": self.root, "ttbr1": self.root, "tcr": TCR_4K, "mair": 0xFF}
        return gmap.Stage1(**{**options, **registers})

    def fault_in_all(self, write=True):
        first = self.base // PAGE
        self.g.fault_in(np.arange(first, first + self.ram.nbytes // PAGE, dtype=np.uint64), write)

    def hva(self, ipa):
        return self.ram.hva + ipa - self.base
