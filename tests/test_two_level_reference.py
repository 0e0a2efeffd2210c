"""The reference for both stages: references counted by the formula, faults of either stage."""

import itertools

import pytest

from gmap import ConfigError, Level, Pic, SyntheticHost
from gmap.reference import ReferenceGmap
from gmap.reference.stage1 import Stage1Regime
from gmap.reference.two_level import TwoLevelReference

READ, WRITE, FETCH = range(3)
PAGE = 4096
IPS48 = 5 << 32
HA, HD = 1 << 39, 1 << 40
AF, RO, DBM = 1 << 10, 1 << 7, 1 << 51
#: T0SZ of a 4K granule whose walk has so many levels.
TXSZ = {1: 48, 2: 34, 3: 25, 4: 16}


class Frames(dict):
    """Host memory: words by host address."""

    def read(self, pa):
        return self[pa].to_bytes(8, "little")

    def exchange(self, pa, old, new):
        found = self.read(pa) == old
        if found:
            self[pa] = int.from_bytes(new, "little")
        return found


def make_space(levels, folio="4k"):
    """An address space whose DAT walk has so many levels, 64 pages of memory at 0."""
    host = SyntheticHost(hamaxpow=63)
    space = ReferenceGmap(host, {2: 32, 3: 40, 4: 44, 5: 54}[levels], allow_1m=folio == "1m")
    if levels == 2:
        space.set_limit(1 << 31)
    size = 64 * PAGE if folio == "4k" else 1 << 20
    space.set_memory_region(0, 0, size, host.map(size, folio=folio).hva)
    return space


def make_guest(space, levels, leaf=0x9403, write=False):
    """Tables in guest pages 1 and up, each pointing to the next; the last one's entry is `leaf`."""
    words = {PAGE * n: PAGE * (n + 1) | 3 for n in range(1, levels)}
    words[PAGE * levels] = leaf
    frames = Frames()
    for gpa, word in words.items():
        assert space.fault_in(gpa // PAGE, write) == 0
        frames[space.translate(gpa)[0]] = word
    return frames


def make(n, m=3, leaf=0x9403, tcr=0, final=True, write=False, **registers):
    space = make_space(m)
    frames = make_guest(space, n, leaf, write)
    if final:
        assert space.fault_in(leaf >> 12 & 0xFF) == 0
    regime = Stage1Regime(ttbr0=PAGE, tcr=TXSZ[n] | IPS48 | tcr, **registers)
    return TwoLevelReference(regime, space, frames.read, frames.exchange), space, frames


@pytest.mark.parametrize(("n", "m"), [*itertools.product(range(1, 5), range(2, 6))])
def test_references(n, m):
    two, space, _ = make(n, m)
    walk = two.translate(0x123)
    assert walk.pa == space.translate(0x9123)[0]
    assert (walk.stage, walk.fsc, walk.pic, walk.level) == (0, 0, 0, 3)
    assert len(walk.stage1.steps) == n
    assert [len(stage2.steps) for stage2 in walk.stage2] == [m] * (n + 1)
    assert walk.refs == (n + 1) * (m + 1) - 1


@pytest.mark.parametrize("m", range(2, 6))
def test_references_with_stage_1_off(m):
    space = make_space(m)
    space.fault_in(5)
    two = TwoLevelReference(Stage1Regime(sctlr=0), space, Frames().read)
    walk = two.translate(0x5123)
    assert (walk.pa, walk.refs) == (space.translate(0x5123)[0], m)


def test_a_large_leaf_at_stage_2_saves_a_reference_each_time():
    space = make_space(3, folio="1m")
    frames = make_guest(space, 4)
    regime = Stage1Regime(ttbr0=PAGE, tcr=TXSZ[4] | IPS48)
    walk = TwoLevelReference(regime, space, frames.read).translate(0)
    assert {tuple(step.level for step in w.steps) for w in walk.stage2} == {
        (Level.REGION3, Level.SEGMENT)
    }
    assert walk.refs == (4 + 1) * (2 + 1) - 1


def test_a_block_at_stage_1_saves_a_table():
    two, space, _ = make(1, leaf=0x9403)
    two.regime = Stage1Regime(ttbr0=PAGE, tcr=TXSZ[2] | IPS48)
    space.fault_in(1)
    frames = Frames({space.translate(PAGE)[0]: 0x401})
    walk = TwoLevelReference(two.regime, space, frames.read).translate(0x1008)
    assert (walk.stage1.level, walk.refs) == (2, (1 + 1) * (3 + 1) - 1)


def test_steps_are_the_entries_of_the_tables():
    two, space, _ = make(2)
    walk = two.translate(0)
    tables = space.tables()
    final = walk.stage2[-1]
    assert final.gpa == 0x9000
    gfn = 9
    for step in final.steps:
        size = 1 if step.level == Level.PAGE else 256 << 11 * step.level
        entries = 256 if step.level == Level.PAGE else 2048
        table = tables[step.level, gfn // (size * entries) * size * entries]
        bits = ~0 if step.level == Level.PAGE else 0xFFF
        assert table[gfn // size % entries] & bits == step.entry & bits


@pytest.mark.parametrize("missing", [1, 2, 3, 4])
def test_a_table_stage_2_does_not_have(missing):
    two, space, _ = make(4)
    space.unmap(missing, 1)
    walk = two.translate(0)
    assert (walk.pa, walk.stage, walk.s1ptw) == (None, 2, True)
    assert (walk.pic, walk.fsc, walk.level) == (Pic.PAGE_TRANSLATION, 0x07, 3)
    assert len(walk.stage1.steps) == missing - 1
    assert walk.refs == (missing - 1) * (3 + 1) + 3


def test_a_final_address_stage_2_does_not_have():
    two, _, _ = make(4, final=False)
    walk = two.translate(0)
    assert (walk.stage, walk.s1ptw, walk.pic) == (2, False, Pic.PAGE_TRANSLATION)
    assert (walk.fsc, walk.stage1.ipa) == (0x07, 0x9000)
    assert walk.refs == 5 * 4 - 1


@pytest.mark.parametrize(
    ("leaf", "pic", "fsc", "entries"),
    [
        # Outside every slot the table has a hole, at the level where it was not needed.
        (0x100_0403, Pic.SEGMENT_TRANSLATION, 0x06, 2),
        (0x1_0000_0403, Pic.REGION_THIRD_TRANS, 0x05, 1),
        (0x800_0000_0403, Pic.ASCE_TYPE, 0x04, 0),
    ],
)
def test_a_final_address_that_is_no_memory(leaf, pic, fsc, entries):
    two, _, _ = make(4, leaf=leaf, final=False)
    walk = two.translate(0)
    assert (walk.stage, walk.pic, walk.fsc, walk.s1ptw) == (2, pic, fsc, False)
    assert len(walk.stage2[-1].steps) == entries


def test_stage_1_faults_before_stage_2():
    two, _, _ = make(4, leaf=0x9003, final=False)  # no access flag
    walk = two.translate(0)
    assert (walk.stage, walk.fsc, walk.pic, walk.s1ptw) == (1, 0x0B, 0, False)
    assert walk.refs == 4 * 4


def test_an_address_size_fault_at_level_0_is_not_success():
    walk = TwoLevelReference(Stage1Regime(sctlr=0), make_space(3), Frames().read).translate(1 << 60)
    assert (walk.pa, walk.stage, walk.fsc, walk.refs) == (None, 1, 0, 0)


def test_a_write_to_a_clean_page():
    two, space, _ = make(4)
    assert two.translate(0, READ).stage == 0
    walk = two.translate(0, WRITE)
    assert (walk.stage, walk.pic, walk.fsc, walk.level) == (2, Pic.PROTECTION, 0x0F, 3)
    assert space.fault_in(9, True) == 0
    assert two.translate(0, WRITE).pa == space.translate(0x9000)[0]


def test_a_protected_large_leaf_faults_at_its_level():
    space = make_space(3, folio="1m")
    space.fault_in(1)
    two = TwoLevelReference(Stage1Regime(sctlr=0), space, Frames().read)
    walk = two.translate(0x1000, WRITE)
    assert (walk.pic, walk.fsc, walk.level) == (Pic.PROTECTION, 0x0E, 2)


def test_an_access_flag_needs_a_page_it_can_be_written_to():
    two, space, frames = make(2, leaf=0x9003, tcr=HA)
    pa = space.translate(2 * PAGE)[0]
    walk = two.translate(0)
    assert (walk.stage, walk.s1ptw, walk.pic, walk.fsc) == (2, True, Pic.PROTECTION, 0x0F)
    assert (walk.stage2[-1].write, frames[pa]) == (True, 0x9003)
    assert two.translate(0, probe=True).pa == space.translate(0x9000)[0]

    space.fault_in(2, True)
    walk = two.translate(0)
    assert (walk.stage, frames[pa]) == (0, 0x9403)
    assert [w.write for w in walk.stage2] == [False, False, True, False]
    assert walk.refs == (2 + 1) * (3 + 1) - 1  # the update is not counted
    assert not two.translate(0).stage1.updated


def test_dirty_state_is_written_before_the_final_address_is_known():
    two, space, frames = make(2, leaf=0x9003 | RO | DBM, tcr=HA | HD, write=True)
    walk = two.translate(0, WRITE)
    assert (walk.stage, walk.s1ptw, walk.pic) == (2, False, Pic.PROTECTION)
    assert walk.stage1.updated
    assert frames[space.translate(2 * PAGE)[0]] == 0x9003 | DBM | AF


def test_without_exchange_only_a_probe_may_meet_an_update():
    two, space, frames = make(2, leaf=0x9003, tcr=HA)
    reader = TwoLevelReference(two.regime, space, frames.read)
    assert reader.translate(0, probe=True).stage == 0
    with pytest.raises(ConfigError, match="0x2000 has to be written"):
        reader.translate(0)
