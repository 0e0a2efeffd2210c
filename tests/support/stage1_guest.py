"""A guest for the tests of the stage-1 reference: register bits and memory as a dict."""

from gmap import Pic
from gmap.reference.stage1 import DEFAULT_MMFR2, Stage1Regime, Stage2Fault

READ, WRITE, FETCH = range(3)
IPS48, IPS52 = 5 << 32, 6 << 32
AF, DBM, UXN, PXN = 1 << 10, 1 << 51, 1 << 54, 1 << 53
HA, HD, DS = 1 << 39, 1 << 40, 1 << 59
TG16K, TG64K = 2 << 14, 1 << 14
WXN, EE, EPAN = 1 << 19, 1 << 25, 1 << 57
MMFR0_52 = 6 | 2 << 20 | 1 << 28  # LPA, LPA2 for 4K and 16K
WIDE = {"mmfr0": MMFR0_52, "mmfr2": DEFAULT_MMFR2 | 1 << 16}


class Words(dict):
    """Memory as a dict; where there is nothing, stage 2 has nothing."""

    def __init__(self, *args, read_only=(), losing=0):
        super().__init__(*args)
        self.read_only, self.losing, self.writes = read_only, losing, []

    def read(self, ipa):
        if ipa not in self:
            raise Stage2Fault(Pic.PAGE_TRANSLATION)
        return self[ipa]

    def cas(self, ipa, old, new):
        if ipa in self.read_only:
            raise Stage2Fault(Pic.PROTECTION)
        if self.losing:  # somebody else was faster
            self.losing -= 1
            self[ipa] |= 1 << 55
            return False
        assert self[ipa] == old
        self[ipa] = new
        self.writes.append((ipa, new))
        return True


class Zeros(Words):
    """Invalid descriptors everywhere."""

    def read(self, ipa):
        return self.get(ipa, 0)


def one_page(leaf, **registers):
    """A regime and memory in which address 0 is one 4K page of a single level-3 table."""
    registers.setdefault("tcr", 0)
    registers["tcr"] |= 48 | IPS48
    return Stage1Regime(ttbr0=0x1000, **registers), Words({0x1000: leaf})
