"""Two-level translation against the reference, and the TLB against translations without one."""

from collections import Counter

import numpy as np
import pytest
import stage1_cases as cases
from guest import AF, EL0, MIB, NG, PAGE, READ_ONLY, Guest

import gmap
from gmap import Pic, describe_status
from gmap.reference.stage1 import Stage1Regime
from gmap.reference.two_level import TwoLevelReference

# --- every outcome, against the reference -----------------------------------------------------


class Machine:
    """The memory of a batch of cases under a gmap, and the reference's eyes on it."""

    def __init__(self, batch, folio="4k"):
        self.host = gmap.BufferHost(hamaxpow=0)
        self.ram = self.host.map(cases.BYTES, folio=folio)
        self.words = self.ram.array.view(np.uint64)
        self.words[:] = batch.words
        self.g = gmap.Gmap(self.host, ipa_bits=53)
        self.g.set_memory_region(0, batch.base, cases.BYTES, self.ram.hva)
        first = batch.base // PAGE
        gfns = np.arange(first, first + cases.BYTES // PAGE, dtype=np.uint64)
        # Some pages are missing at stage 2, some not writable.
        gone = np.random.default_rng(batch.base).random(len(gfns)) < 0.03
        self.g.fault_in(gfns[~gone], write=np.arange(len(gfns))[~gone] % 16 != 3)

    @property
    def asce(self):
        return self.g.asce

    def translate(self, gpa, write=False):
        pa, pic = (self.g.translate_write if write else self.g.translate)(np.uint64(gpa))
        return int(pa), int(pic)

    def walk(self, gfn, level, flags=0):
        found = self.g.walk(gfn, level, flags)
        return found.level, found.crste, found.pte

    def read(self, pa):
        at = (pa - self.ram.hva) // 8
        return int(self.words[at]).to_bytes(8, "little")

    def exchange(self, pa, old, new):
        found = self.read(pa) == old
        if found:
            self.words[(pa - self.ram.hva) // 8] = int.from_bytes(new, "little")
        return found


def expected_of(walk):
    return (walk.pa or 0, walk.stage, walk.fsc, walk.level if walk.stage else 0, walk.s1ptw,
            walk.pic)  # fmt: skip


def got_of(pa, status):
    said = describe_status(status)
    return pa, said.stage, said.fsc, said.level, said.s1ptw, said.pic


def compare_probes(seed, cpu, registers, kinds):
    """Every address of a batch of cases, for every kind of access and exception level."""
    batch = cases.make(seed, cpu, registers=registers)
    machine = Machine(batch)
    for values, vas in zip(batch.registers, batch.vas, strict=True):
        for el in (0, 1):
            s1 = gmap.Stage1(**values, el=el, **batch.mmfr)
            regime = Stage1Regime(**values, el=el, **batch.mmfr)
            reference = TwoLevelReference(regime, machine, machine.read)
            two = gmap.TwoLevel(s1, machine.g)
            for access in range(3):
                want = [expected_of(reference.translate(va, access, probe=True))
                        for va in vas.tolist()]  # fmt: skip
                # Together, then alone and with a TLB that knows some of them.
                together = two.translate_access(vas, access)
                alone = [two.translate_access(va, access) for va in vas]
                again = two.translate_access(np.repeat(vas, 70), access)
                for i, va in enumerate(vas.tolist()):
                    assert got_of(int(together[0][i]), int(together[1][i])) == want[i], (
                        seed, cpu, values, el, access, hex(va))  # fmt: skip
                    assert got_of(int(alone[i][0]), int(alone[i][1])) == want[i]
                    assert (again[0][70 * i : 70 * i + 70] == together[0][i]).all()
                    assert (again[1][70 * i : 70 * i + 70] == together[1][i]).all()
                    kinds[want[i][1:5]] += 1


@pytest.mark.parametrize("cpu", cases.CPUS)
def test_probes_answer_as_the_reference_does(cpu):
    kinds = Counter()
    for seed in range(4):
        compare_probes(seed, cpu, registers=20, kinds=kinds)
    assert kinds[0, 0, 0, False] > 50  # successes
    assert len(kinds) > 8


@pytest.mark.campaign
@pytest.mark.parametrize("cpu", cases.CPUS)
def test_many_probes_answer_as_the_reference_does(cpu):
    kinds = Counter()
    for seed in range(1000, 1250):
        compare_probes(seed, cpu, registers=64, kinds=kinds)
    print(cpu, sum(kinds.values()), dict(sorted(kinds.items())))
    assert sum(kinds.values()) > 1_000_000


@pytest.mark.parametrize("cpu", ["default", "52-bit", "lpa"])
@pytest.mark.parametrize("seed", range(3))
def test_real_accesses_leave_memory_as_the_reference_does(cpu, seed):
    batch = cases.make(seed, cpu, registers=100)
    machine, mirror = Machine(batch), Machine(batch)
    mirror.g.fault_in(np.arange(batch.base // PAGE, (batch.base + cases.BYTES) // PAGE,
                                dtype=np.uint64), write=True)  # fmt: skip
    updates = 0
    for values, vas in zip(batch.registers, batch.vas, strict=True):
        s1 = gmap.Stage1(**values, **batch.mmfr)
        regime = Stage1Regime(**values, **batch.mmfr)
        reference = TwoLevelReference(regime, mirror, mirror.read, mirror.exchange)
        two = gmap.TwoLevel(s1, machine.g, fault_in=True, tlb=bool(seed))
        for i, va in enumerate(vas.tolist()):
            if seed:
                two.flush()  # other registers and addresses have changed the tables
            want = reference.translate(va, i % 3)
            pa, status = two.translate_access(np.uint64(va), i % 3)
            got = got_of(int(pa), int(status))
            if want.stage == 2:  # whatever can be faulted in has been
                assert got == (0, 2, 4, 0, want.s1ptw, Pic.ADDRESSING)
                continue
            assert got[1:] == expected_of(want)[1:]
            if want.pa:
                assert got[0] - machine.ram.hva == want.pa - mirror.ram.hva
            updates += want.stage1.updated
        assert np.array_equal(machine.words, mirror.words)
    assert updates > 5


def test_references_are_counted_as_the_reference_does():
    batch = cases.make(7, "default", registers=30)
    machine = Machine(batch)
    for values, vas in zip(batch.registers, batch.vas, strict=True):
        two = gmap.TwoLevel(gmap.Stage1(**values, **batch.mmfr), machine.g)
        regime = Stage1Regime(**values, **batch.mmfr)
        reference = TwoLevelReference(regime, machine, machine.read)
        for va in vas.tolist():
            story, want = two.explain(va), reference.translate(va, probe=True)
            assert story.refs == want.refs
            assert got_of(story.pa or 0, story.status) == expected_of(want)
            if want.stage == 0:
                assert (story.attr, story.sh, story.ipa) == (
                    want.stage1.attr, want.stage1.sh, want.stage1.ipa)  # fmt: skip
                letters = ["".join(letter if may else "-" for letter, may in zip("rwx", r,
                           strict=True)) for r in (want.stage1.el0, want.stage1.el1)]  # fmt: skip
                assert list(story.rights.values()) == (letters if values["sctlr"] & 1 else [])


# --- the TLB, against none --------------------------------------------------------------------

PAGES = 600


class Changing:
    """A guest whose tables, gmap and host memory change while translations are kept."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.guest = Guest(nbytes=16 * MIB, folio=["4k", "1m"][seed % 2])
        # A table for every few pages, so that groups are of both kinds.
        self.vas = np.array([(i // 7 << 21) + (i % 7 << 12) for i in range(PAGES)], np.uint64)
        self.vas[PAGES // 2 :] |= np.uint64(0xFFFF << 48)
        for i in range(PAGES):
            self.remap(i)
        self.guest.fault_in_all()
        s1 = self.guest.stage1(ttbr0=self.guest.root | 9 << 48)
        self.two = gmap.TwoLevel(s1, self.guest.g)
        self.bare = gmap.TwoLevel(s1, self.guest.g, tlb=False)
        self.compared = self.failed = 0

    def remap(self, i):
        choices = [AF | EL0, AF | EL0 | READ_ONLY, AF | NG | EL0, AF, EL0]
        attributes = choices[self.rng.choice(5, p=[0.4, 0.2, 0.2, 0.15, 0.05])]
        ipa = int(self.rng.integers(0, 1024)) * PAGE
        self.guest.map(int(self.vas[i]) & (1 << 48) - 1, ipa, attributes)

    def gfns(self):
        """A range of frames, of pages mostly, sometimes of tables."""
        first = int(self.rng.integers(0, 1024))
        if self.rng.random() < 0.3:
            first = int(self.rng.integers(self.guest.free, 16 * MIB)) // PAGE
        return first, int(self.rng.integers(1, 40))

    def change(self):
        """One change of anything; its kind."""
        guest, rng = self.guest, self.rng
        kind = str(rng.choice(["remap", "unmap", "age", "discard", "protect", "log", "move",
                               "flush", "fault", "slot"]))  # fmt: skip
        first, n = self.gfns()
        n = min(n, 16 * MIB // PAGE - first)
        hva, nbytes = guest.hva(first * PAGE), n * PAGE
        if kind == "remap":
            i = int(rng.integers(PAGES))
            self.remap(i)
            va = int(self.vas[i])
            forms = [{}, {"va": va}, {"va": va, "asid": 9}, {"va": va, "nbytes": PAGE},
                     {"va": va - PAGE, "nbytes": 3 * PAGE, "last_level": True}]  # fmt: skip
            self.two.flush(**forms[rng.integers(len(forms))])
        elif kind == "unmap":
            guest.g.unmap(first, n)
        elif kind == "age":
            guest.g.age(first, n)
        elif kind == "discard" and first * PAGE + nbytes < guest.free:
            guest.host.discard(hva, nbytes)
        elif kind == "protect" and first * PAGE + nbytes < guest.free:
            guest.host.protect(hva, nbytes, bool(rng.integers(2)))
        elif kind == "move":
            guest.host.move(hva, nbytes)
        elif kind == "log":
            flags = gmap.SlotFlag.LOG_DIRTY_PAGES
            guest.g.set_memory_region(0, 0, guest.ram.nbytes, guest.ram.hva, flags)
            guest.g.get_dirty_log(0)
        elif kind == "slot" and rng.random() < 0.2:
            guest.g.set_memory_region(0, 0, 0, guest.ram.hva)
            guest.g.set_memory_region(0, 0, guest.ram.nbytes, guest.ram.hva)
        elif kind == "flush":
            self.two.flush(asid=int(rng.choice([0, 9])))
        guest.g.fault_in(rng.integers(0, 4096, 300, dtype=np.uint64), rng.random() < 0.7,
                         errors="status")  # protected frames refuse writes
        return kind

    def compare(self):
        pick = self.rng.integers(0, PAGES, 500)
        va = self.vas[pick] + self.rng.integers(0, PAGE, 500, dtype=np.uint64)
        access = self.rng.integers(0, 3, 500)
        if self.rng.random() < 0.5:
            access[:] = access[0]
        got, want = (two.translate_access(va, access) for two in (self.two, self.bare))
        assert np.array_equal(got[1], want[1])
        assert np.array_equal(got[0], want[0])
        self.compared += 500
        self.failed += int((want[1] != 0).sum())


def run_history(seed, steps):
    changing = Changing(seed)
    for _ in range(steps):
        changing.change()
        for _ in range(2):
            changing.compare()
    stats = changing.two.stats()
    # It was of use, things were invalidated, and both outcomes were compared.
    assert stats["tlb_hits"] > changing.compared // 50
    assert stats["flushed"] > 0
    assert 0 < changing.failed < changing.compared


@pytest.mark.parametrize("seed", range(6))
def test_the_tlb_is_never_stale(seed):
    run_history(seed, steps=60)


@pytest.mark.campaign
def test_the_tlb_is_never_stale_for_long():
    for seed in range(100, 220):
        run_history(seed, steps=200)
