"""Random histories of one address space, compiled against the slow oracle, bit for bit.

After every step: every table entry and every PGSTE, leaves, table memory, counters, and the
translation of addresses around everything that is mapped.
"""

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import gmap
from gmap.reference import ReferenceGmap

MIB, GIB = 1 << 20, 1 << 30
LOG = int(gmap.SlotFlag.LOG_DIRTY_PAGES)
READONLY = int(gmap.SlotFlag.READONLY)

# Where slots begin: aligned and not, at the edges of segments, regions and address spaces.
BASES = [0, 4096, MIB, 3 * MIB + 4096, GIB, 2 * GIB - MIB, 2 * GIB, 5 * GIB + 7 * 4096,
         4 << 40, (4 << 40) - 2 * GIB, (1 << 43) + 2 * GIB]
SIZES = [4096, 5 * 4096, 255 * 4096, MIB, MIB + 4096, 3 * MIB, 2 * GIB, 4 * GIB + MIB]
WALKS = [0, 1, 2, 3, 4, 5, 8, 0x0C, 0x0D, 0x10, 0x12, 0x14, 0x1C, 0x20, 0x24, 0x22, 0x26, 0x1E]


def outcome(call):
    """What a call gives: its result, or the errno it refuses with."""
    try:
        return call()
    except gmap.ConfigError as error:
        return error.errno


class AddressSpaces(RuleBasedStateMachine):
    """The same calls to both; whatever they answer must be equal."""

    @initialize(
        seed=st.integers(0, 99),
        fragmentation=st.sampled_from([0.0, 0.3]),
        ipa_bits=st.sampled_from([32, 40, 42, 43, 44, 54]),
        allow_1m=st.booleans(),
        allow_2g=st.booleans(),
        readonly_mem=st.booleans(),
        quirks=st.sampled_from([(), (), ("age-loses-dirty",), ("unmap-loses-dirty",)]),
        flags=st.lists(st.sampled_from([0, LOG]), min_size=3, max_size=3),
    )
    def make(self, seed, fragmentation, ipa_bits, quirks, flags, **options):
        self.host = gmap.SyntheticHost(seed, fragmentation, hamaxpow=63)
        self.regions = [
            self.host.map(size, folio=folio, writable=writable, pfnmap=pfnmap)
            for size, folio, writable, pfnmap in [
                (8 * GIB, "2g", True, False),
                (8 * GIB, "1m", True, False),
                (64 * MIB, "4k", True, False),
                (64 * MIB, "4k", False, False),
                (64 * MIB, "1m", True, True),
            ]
        ]
        self.fast = gmap.Gmap(self.host, ipa_bits, quirks=quirks, **options)
        self.slow = ReferenceGmap(self.host, ipa_bits, quirks=quirks, **options)
        # Something to begin with: frames of every size, and one slot that fits none.
        for slot, (region, base, size) in enumerate(
            [(1, 0, 3 * MIB), (0, 2 * GIB - GIB // 2, 5 * GIB // 2), (2, GIB, MIB + 5 * 4096)]
        ):
            hva = self.regions[region].hva
            hva += base % (2 * GIB) if region == 0 else 0
            if slot < len(flags) and base + size <= 1 << ipa_bits:
                request = (slot, base, size, hva, flags[slot])
                self.both(lambda g, request=request: g.set_memory_region(*request))

    def both(self, call):
        fast, slow = outcome(lambda: call(self.fast)), outcome(lambda: call(self.slow))
        assert fast == slow
        return fast

    # --- memory slots ------------------------------------------------------------------------

    @rule(
        slot=st.integers(0, 5),
        base=st.sampled_from(BASES),
        size=st.sampled_from(SIZES),
        region=st.integers(0, 4),
        offset=st.sampled_from([0, 0, 0, 4096, MIB, MIB + 4096]),
        flags=st.sampled_from([0, LOG, READONLY, LOG | READONLY]),
    )
    def set_slot(self, slot, base, size, region, offset, flags):
        hva = self.regions[region].hva + offset
        self.both(lambda g: g.set_memory_region(slot, base, size, hva, flags))

    @precondition(lambda self: self.fast.memslots)
    @rule(index=st.integers(0, 5), base=st.sampled_from(BASES), flags=st.sampled_from([0, LOG]),
          what=st.sampled_from(["move", "flags", "delete", "same"]))
    def change_slot(self, index, base, flags, what):
        slots = self.fast.memslots
        old = slots[index % len(slots)]
        gpa = base if what == "move" else old.guest_phys_addr
        size = 0 if what == "delete" else old.memory_size
        kept = old.flags if what == "same" else flags
        self.both(lambda g: g.set_memory_region(old.slot, gpa, size, old.userspace_addr, kept))

    # --- faults and what takes mappings back -------------------------------------------------

    def frames(self, picks):
        """Frames in and around the slots, from numbers hypothesis can shrink."""
        slots = self.fast.memslots
        found = []
        for which, where in picks:
            if not slots:
                found.append(where)
                continue
            slot = slots[which % len(slots)]
            first, n = slot.guest_phys_addr >> 12, slot.memory_size >> 12
            spots = [0, 1, 5, 255, 256, 257, n // 2, n - 257, n - 1, n, 1 << 18, (1 << 18) + 300]
            found.append(max(0, first + spots[where % len(spots)] % (n + 2)))
        return found

    picks = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 11)), min_size=1, max_size=8)

    @rule(picks=picks, writes=st.lists(st.booleans(), min_size=8, max_size=8))
    def fault(self, picks, writes):
        gfns = self.frames(picks)
        writes = writes[: len(gfns)]
        codes = self.fast.fault_in(np.array(gfns, dtype=np.uint64), np.array(writes), "status")
        assert codes.tolist() == [
            self.slow.fault_in(gfn, write) for gfn, write in zip(gfns, writes, strict=True)
        ]

    @rule(pick=st.tuples(st.integers(0, 5), st.integers(0, 11)), write=st.booleans())
    def fault_one(self, pick, write):
        (gfn,) = self.frames([pick])
        assert self.fast.fault_in(gfn, write, "status") == self.slow.fault_in(gfn, write)

    @rule(pick=st.tuples(st.integers(0, 5), st.integers(0, 11)),
          n=st.sampled_from([0, 1, 2, 255, 256, 1000, 1 << 19, 1 << 40]),
          what=st.sampled_from(["unmap", "age", "age", "test_age"]))
    def take_back(self, pick, n, what):
        (gfn,) = self.frames([pick])
        self.both(lambda g: getattr(g, what)(gfn, n))

    @rule(picks=picks, what=st.lists(st.sampled_from("rwas"), min_size=2, max_size=6))
    def use(self, picks, what):
        """What a page goes through: reads, writes, ageing, a look at the log."""
        gfns = self.frames(picks)
        for step in what:
            if step == "a":
                for gfn in gfns:
                    self.both(lambda g, gfn=gfn: g.age(gfn, 1))
            elif step == "s":
                for slot in {slot.slot for slot in self.fast.memslots if slot.flags & LOG}:
                    self.log_of(slot, True)
            else:
                codes = self.fast.fault_in(np.array(gfns, dtype=np.uint64), step == "w", "status")
                assert codes.tolist() == [self.slow.fault_in(gfn, step == "w") for gfn in gfns]
            self.same_tables()

    @rule(what=st.sampled_from(["split", "limit", "replace"]),
          limit=st.sampled_from([0, 1, 1 << 31, (1 << 31) + 1, 1 << 42, 1 << 44, 1 << 53, 1 << 60]))
    def reshape(self, what, limit):
        if what == "split":
            self.both(lambda g: g.split_huge_pages())
        elif what == "replace":
            self.replace_asce()
        else:
            self.both(lambda g: g.set_limit(limit))

    def replace_asce(self):
        """The top-level table moves, and that is all: the reference has nothing to do."""
        before = self.fast.asce
        if before & 0xC == 0:
            with pytest.raises(gmap.ConfigError, match="segment table"):
                self.fast.replace_asce()
            assert self.fast.asce == before
        else:
            self.fast.replace_asce()
            assert self.fast.asce != before
            assert self.fast.asce & 0xFFF == before & 0xFFF

    @rule(pick=st.tuples(st.integers(0, 5), st.integers(0, 11)),
          level=st.sampled_from(list(gmap.Level)), flags=st.sampled_from(WALKS))
    def walk(self, pick, level, flags):
        (gfn,) = self.frames([pick])
        fast = self.fast.walk(gfn, level, flags)
        rc, crste, pte = self.slow.walk(gfn, level, flags)
        assert (fast.rc, fast.pte) == (rc, pte)
        assert (fast.crste is None) == (crste is None)

    # --- dirty logs --------------------------------------------------------------------------

    @rule(slot=st.sampled_from([0, 1, 2, 3, 4, 5, 32767]), clear=st.booleans())
    def get_dirty_log(self, slot, clear):
        self.log_of(slot, clear)

    def log_of(self, slot, clear):
        fast = outcome(lambda: self.fast.get_dirty_log(slot, clear=clear))
        slow = outcome(lambda: self.slow.get_dirty_log(slot, clear=clear))
        if isinstance(fast, np.ndarray):
            fast = np.flatnonzero(np.unpackbits(fast.view(np.uint8), bitorder="little")).tolist()
        assert fast == slow

    @rule(slot=st.integers(0, 5), first=st.sampled_from([0, 64, 1, 256]),
          n=st.sampled_from([0, 5, 64, 255, 256]), word=st.integers(0, 2**64 - 1))
    def clear_dirty_log(self, slot, first, n, word):
        bits = [bit for bit in range(min(n, 64)) if word >> bit & 1]
        words = np.zeros(5, dtype=np.uint64)
        words[0] = sum(1 << bit for bit in bits)
        fast = outcome(lambda: self.fast.clear_dirty_log(slot, first, n, words))
        assert fast == outcome(lambda: self.slow.clear_dirty_log(slot, first, n, bits))

    # --- the host ----------------------------------------------------------------------------

    @rule(region=st.integers(0, 4), page=st.sampled_from([0, 1, 3, 255, 256, 512, 5000]),
          n=st.sampled_from([1, 2, 256, 512, 1500]),
          what=st.sampled_from(["discard", "move", "protect", "unprotect", "4k", "1m", "2g",
                                "hwpoison", "signal", "read_only", "no_mapping", "ok"]))
    def change_host(self, region, page, n, what):
        region = self.regions[region]
        if what == "2g":
            page, n = 0, 1 << 19
        elif what == "1m":
            page, n = page & ~255, (n + 255) & ~255
        if (page + n) << 12 > region.nbytes:
            return
        hva, nbytes = region.hva + (page << 12), n << 12
        if what in ("discard", "move"):
            getattr(self.host, what)(hva, nbytes)
        elif what in ("protect", "unprotect"):
            self.host.protect(hva, nbytes, what == "unprotect")
        elif what in ("4k", "1m", "2g"):
            self.host.reback(hva, nbytes, what)
            if what == "4k":    # breaks up whole blocks
                end = hva + nbytes
                hva = region.hva + ((hva - region.hva) & -MIB)
                nbytes = region.hva + ((end - region.hva + MIB - 1) & -MIB) - hva
        else:
            self.host.answer(hva, nbytes, what)
        self.slow.invalidate(hva, hva + nbytes)

    # --- what must be equal ------------------------------------------------------------------

    @invariant()
    def same_tables(self):
        fast, slow = self.fast.tables(), self.slow.tables()
        assert fast.keys() == slow.keys()
        for key, table in fast.items():
            assert table.tolist() == slow[key], key
        assert self.fast.asce & 0xFFF == self.slow.asce & 0xFFF
        assert self.fast.table_bytes() == self.slow.table_bytes()

    @rule()
    def same_leaves(self):
        """Not after every step: the oracle looks at every entry there is."""
        leaves = self.fast.leaves()
        names = leaves.dtype.names
        assert [dict(zip(names, row, strict=True)) for row in leaves.tolist()] == [
            {name: leaf[name] for name in names} for leaf in self.slow.leaves()
        ]
        assert self.fast.regions()["size"].sum() == leaves["size"].sum()

    @invariant()
    def same_translations(self):
        leaves = self.fast.leaves()
        ends = np.concatenate([leaves["gpa"][-20:], (leaves["gpa"] + leaves["size"])[-20:]])
        around = {int(end) + step & 2**64 - 1 for end in ends for step in (-1, 0, 4095)}
        around |= set(BASES) | {2**64 - 1, 1 << 31, 1 << 42, 1 << 53}
        addresses = np.array(sorted(around), dtype=np.uint64)
        for write, ufunc in ((False, self.fast.translate), (True, self.fast.translate_write)):
            pa, pic = ufunc(addresses)
            for gpa, *fast in zip(addresses.tolist(), pa.tolist(), pic.tolist(), strict=True):
                assert tuple(fast) == self.slow.translate(gpa, write), hex(gpa)

    @invariant()
    def same_counters(self):
        stats = self.fast.stats()
        stats["errors"] = sum(v for k, v in stats.items() if k.startswith("error_"))
        assert {name: stats[name] for name in self.slow.counters} == self.slow.counters
        assert stats["pages_pinned"] == stats["pages_released"]


def run(examples, steps):
    machine = type("Run", (AddressSpaces,), {})
    machine.TestCase.settings = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    machine.TestCase().runTest()


def test_random_histories():
    run(60, 25)


@pytest.mark.campaign
def test_many_random_histories():
    for _ in itertools.repeat(None, 20):
        run(200, 60)
