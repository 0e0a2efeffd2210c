"""Two-level translation: what it answers, counts, changes and refuses."""

import pickle
import signal
import threading

import numpy as np
import pytest
from guest import AF, DBM, EL0, MIB, NG, PAGE, READ_ONLY, TCR_4K, Guest

import gmap
from gmap import Access, describe_status


def one(two, va, access=0):
    pa, status = two.translate_access(np.uint64(va), access)
    return int(pa), describe_status(int(status))


# --- what a walk costs ------------------------------------------------------------------------


@pytest.mark.parametrize(("ipa_bits", "gmap_levels"), [(32, 3), (40, 3), (44, 4), (53, 4), (54, 5)])
@pytest.mark.parametrize("granule_levels", [1, 2, 3, 4])
def test_an_uncached_walk_makes_n_plus_1_times_m_plus_1_minus_1_references(
    ipa_bits, gmap_levels, granule_levels
):
    guest = Guest(ipa_bits=ipa_bits)
    guest.map(0x5000, 0x7000)
    guest.fault_in_all()
    # Begin at a lower table by making the address shorter.
    root = guest.root
    for _ in range(4 - granule_levels):
        root = guest.word(root) & 0xFFFF_FFFF_F000
    t0sz = 64 - (12 + 9 * granule_levels)
    s1 = guest.stage1(ttbr0=root, tcr=TCR_4K & ~63 | t0sz)
    assert s1.start_level(0) == 4 - granule_levels
    story = gmap.TwoLevel(s1, guest.g).explain(0x5123)
    assert story.status == 0
    assert story.pa == guest.hva(0x7123)
    assert story.refs == (granule_levels + 1) * (gmap_levels + 1) - 1
    assert [step.stage for step in story.steps].count(1) == granule_levels


def test_large_frames_and_blocks_shorten_the_walk():
    guest = Guest(nbytes=8 * MIB, folio="1m")
    guest.map(0x20_0000, 0x20_0000, level=2)
    guest.fault_in_all()
    story = gmap.TwoLevel(guest.stage1(), guest.g).explain(0x20_1234)
    # Three tables, and stage 2 ends at the segment table: two references each time.
    assert (story.refs, story.size, story.pa) == (3 * 3 + 2, 2 * MIB, guest.hva(0x20_1234))


# --- probe and real accesses ------------------------------------------------------------------


def test_a_probe_changes_nothing():
    guest = Guest()
    guest.map(0x5000, 0x7000, attributes=EL0 | READ_ONLY | DBM)
    guest.fault_in_all(write=False)
    s1 = guest.stage1(tcr=TCR_4K | 3 << 39)
    two = gmap.TwoLevel(s1, guest.g)
    before = guest.words.copy(), guest.g.stats(), guest.g.leaves()
    pa, status = one(two, 0x5008, Access.READ)
    assert (pa, status.kind) == (guest.hva(0x7008), "ok")
    # The page is not writable at stage 2 yet, and a probe leaves it so.
    assert one(two, 0x5008, Access.WRITE)[1].pic == gmap.Pic.PROTECTION
    two.explain(0x5008, Access.WRITE)
    assert np.array_equal(before[0], guest.words)
    assert before[1] == guest.g.stats()
    assert np.array_equal(before[2], guest.g.leaves())


def test_a_real_access_faults_in_and_keeps_the_descriptor_up_to_date():
    guest = Guest()
    guest.map(0x5000, 0x7000, attributes=EL0 | READ_ONLY | DBM)
    at = guest.descriptor(0x5000)
    two = gmap.TwoLevel(guest.stage1(tcr=TCR_4K | 3 << 39), guest.g, fault_in=True)
    assert one(two, 0x5008, Access.READ) == (guest.hva(0x7008), describe_status(0))
    assert guest.word(at) == 0x7000 | EL0 | READ_ONLY | DBM | AF | 3
    assert one(two, 0x5008, Access.WRITE)[0] == guest.hva(0x7008)
    assert guest.word(at) == 0x7000 | EL0 | DBM | AF | 3
    # Four tables, and the page; the updates needed the last table to be writable.
    assert two.stats()["faulted_in"] >= 5
    dirty = {int(leaf["gpa"]) for leaf in guest.g.leaves() if leaf["dirty"]}
    assert dirty == {0x7000, at & ~(PAGE - 1)}


def test_without_hardware_updates_the_access_flag_faults():
    guest = Guest()
    guest.map(0x5000, 0x7000, attributes=EL0)
    for fault_in in (False, True):
        two = gmap.TwoLevel(guest.stage1(), guest.g, fault_in=fault_in)
        guest.fault_in_all()
        _, status = one(two, 0x5000)
        assert (status.stage, status.fsc, status.kind) == (1, 0xB, "access flag")


def test_a_table_outside_guest_memory_is_a_stage_2_fault_on_a_walk():
    guest = Guest()
    guest.set_word(guest.root, 0x4000_0000 | 3)
    for fault_in in (False, True):
        guest.fault_in_all()
        two = gmap.TwoLevel(guest.stage1(), guest.g, fault_in=fault_in)
        pa, status = one(two, 0x5000)
        assert (pa, status.stage, status.s1ptw, status.kind) == (0, 2, True, "translation")
        assert status.pic == (gmap.Pic.ADDRESSING if fault_in else gmap.Pic.SEGMENT_TRANSLATION)


def test_an_address_outside_guest_memory_is_a_stage_2_fault():
    guest = Guest()
    guest.map(0x5000, 0x4000_0000)
    guest.fault_in_all()
    _, status = one(gmap.TwoLevel(guest.stage1(), guest.g), 0x5000)
    assert (status.stage, status.s1ptw, status.fsc) == (2, False, 0x6)


def test_read_only_memory_refuses_the_update_of_a_descriptor():
    host = gmap.BufferHost()
    ram = host.map(MIB)
    g = gmap.Gmap(host, readonly_mem=True)
    words = ram.array.view(np.uint64)
    words[0] = 0x1000 | 3
    words[0x1000 // 8] = 0x2000 | 3
    words[0x2000 // 8] = 0x3000 | 3
    words[0x3000 // 8 + 5] = 0x7000 | EL0 | 3
    g.set_memory_region(0, 0, ram.nbytes, ram.hva, gmap.SlotFlag.READONLY)
    two = gmap.TwoLevel(gmap.Stage1(ttbr0=0, tcr=TCR_4K | 1 << 39), g, fault_in=True)
    _, status = one(two, 0x5000)
    assert (status.stage, status.s1ptw, status.kind, status.fsc) == (2, True, "permission", 0xF)
    assert words[0x3000 // 8 + 5] == 0x7000 | EL0 | 3


def test_big_endian_tables():
    guest = Guest()
    guest.map(0x5000, 0x7000, attributes=EL0)
    used = guest.words != 0
    guest.words[used] = guest.words[used].byteswap()
    two = gmap.TwoLevel(guest.stage1(sctlr=1 | 1 << 25, tcr=TCR_4K | 1 << 39), guest.g,
                        fault_in=True)  # fmt: skip
    assert one(two, 0x5000)[0] == guest.hva(0x7000)
    at = (guest.free - guest.base) // 8
    assert (0x7000 | EL0 | AF | 3) in guest.words[at:].byteswap()


def test_stage_1_off_over_a_synthetic_host():
    host = gmap.SyntheticHost()
    ram = host.map(MIB)
    g = gmap.Gmap(host)
    g.set_memory_region(0, 0, MIB, ram.hva)
    two = gmap.TwoLevel(gmap.Stage1(sctlr=0), g, fault_in=True)
    pa, status = two.translate(np.arange(0, MIB + PAGE, PAGE, dtype=np.uint64))
    assert np.array_equal(pa[:-1], g.translate(np.arange(0, MIB, PAGE, dtype=np.uint64))[0])
    assert not status[:-1].any()
    assert describe_status(status[-1]).pic == gmap.Pic.ADDRESSING


@pytest.mark.parametrize("step", [1, 2])
def test_a_signal_ends_an_access_that_waits(step):
    host = gmap.SyntheticHost()
    ram = host.map(4 * MIB)
    g = gmap.Gmap(host)
    g.set_memory_region(0, 0, 4 * MIB, ram.hva)
    two = gmap.TwoLevel(gmap.Stage1(sctlr=0), g, fault_in=True)

    def stop(*_):
        raise InterruptedError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with g.invalidating(0, 1024), pytest.raises(InterruptedError):
            two.translate((np.arange(1024, dtype=np.uint64) << np.uint64(12))[::step])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not two.translate(np.arange(0, 4 * MIB, PAGE, dtype=np.uint64))[1].any()


# --- what the vector form is ------------------------------------------------------------------


def test_the_ufunc_broadcasts_and_takes_out_where_and_strides():
    guest = Guest()
    for page in range(64):
        guest.map(page * PAGE, (63 - page) * PAGE)
    guest.fault_in_all()
    two = gmap.TwoLevel(guest.stage1(), guest.g)
    va = np.arange(64, dtype=np.uint64).reshape(8, 8) * np.uint64(PAGE)
    pa, status = two.translate(va.T[::2])
    assert pa.shape == status.shape == (4, 8)
    assert (status.dtype, pa.dtype) == (np.uint32, np.uint64)
    assert pa[1, 3] == guest.hva((63 - int(va.T[2, 3]) // PAGE) * PAGE)
    out = np.zeros((8, 8), np.uint64), np.full((8, 8), 7, np.uint32)
    where = np.zeros((8, 8), bool)
    where[2] = True
    two.translate(va, out=out, where=where)
    assert (out[1][2] == 0).all()
    assert (np.delete(out[1], 2, axis=0) == 7).all()
    assert np.array_equal(out[0][2], two.translate(va)[0][2])
    kinds = np.arange(8) % 3
    both = two.translate_access(va, kinds)
    assert both[1].shape == (8, 8)
    assert np.array_equal(both[1][:, 0], status.T.repeat(2)[:8] * 0)


def test_mixed_accesses_in_one_call_are_each_judged():
    guest = Guest()
    for page in range(300):
        guest.map(page * PAGE * 513, page * PAGE, AF | EL0 | (READ_ONLY if page % 2 else 0))
    guest.fault_in_all()
    two = gmap.TwoLevel(guest.stage1(), guest.g)
    va = np.arange(300, dtype=np.uint64) * np.uint64(PAGE * 513)
    kinds = np.arange(300) % 3
    for _ in range(3):  # the TLB answers the later ones
        _, status = two.translate_access(va, kinds)
        refused = (kinds == 1) & (np.arange(300) % 2 == 1)
        # EL1 does not fetch what EL0 may write.
        refused |= (kinds == 2) & (np.arange(300) % 2 == 0)
        assert np.array_equal(status != 0, refused)
        assert {describe_status(code).kind for code in status[refused]} == {"permission"}


@pytest.mark.parametrize("fault_in", [False, True])
def test_lookups_are_conserved(fault_in):
    guest = Guest()
    for page in range(1024):
        guest.map(page * PAGE, page * PAGE)
    guest.fault_in_all()
    two = gmap.TwoLevel(guest.stage1(), guest.g, fault_in=fault_in)
    rng = np.random.default_rng(3)
    asked = 0
    for n in (1, 5, 64, 65, 1000, 10_000):
        pages = rng.integers(0, 1200, n, dtype=np.uint64)
        for va in (pages << np.uint64(12), np.sort(pages) << np.uint64(12)):
            two.translate(va)
            asked += n
    stats = two.stats()
    assert stats["lookups"] == asked
    assert asked == stats["tlb_hits"] + stats["table_hits"] + stats["walks"]
    assert stats["tlb_hits"] > 0
    assert stats["table_hits"] > 0
    assert stats["stage1_faults"] > 0


# --- the TLB ----------------------------------------------------------------------------------


def translate_both(two, va):
    """The answer of a pair with a TLB, after that of one without has been found the same."""
    fresh = gmap.TwoLevel(two.stage1, two.gmap, tlb=False)
    for _ in range(2):
        got, expected = two.translate(va), fresh.translate(va)
        assert np.array_equal(got[0], expected[0])
        assert np.array_equal(got[1], expected[1])
    return got


def scattered_guest(pages=200, attributes=AF | EL0):
    """Pages far enough apart that each has a last-level table of its own."""
    guest = Guest(nbytes=16 * MIB)
    va = np.arange(pages, dtype=np.uint64) << np.uint64(21)
    for page, address in enumerate(va.tolist()):
        guest.map(address, page * PAGE, attributes)
    guest.fault_in_all()
    return guest, va


def test_an_old_translation_stays_until_it_is_flushed():
    guest, va = scattered_guest()
    two = gmap.TwoLevel(guest.stage1(), guest.g)
    translate_both(two, va)
    guest.map(int(va[7]), 0)
    pa, _ = two.translate(va)
    assert pa[7] == guest.hva(7 * PAGE)
    two.flush(int(va[6]))
    assert two.translate(va)[0][7] == guest.hva(7 * PAGE)
    two.flush(int(va[7]))
    assert translate_both(two, va)[0][7] == guest.hva(0)
    assert two.stats()["flushed"] == 2


def test_flush_by_asid_spares_other_address_spaces_and_global_pages():
    guest, va = scattered_guest(attributes=AF | EL0 | NG)
    for page in range(0, 200, 2):
        guest.map(int(va[page]), page * PAGE)  # global
    two = gmap.TwoLevel(guest.stage1(ttbr0=guest.root | 5 << 48), guest.g)
    assert two.stage1.asid == 5

    def flushed(**what):
        translate_both(two, va)
        before = two.stats()["flushed"]
        two.flush(**what)
        two.translate(va)
        return two.stats()["flushed"] - before

    assert flushed(asid=6) == 0
    assert flushed(asid=5) == 100
    assert flushed(va=int(va[2]), asid=6) == 1
    assert flushed(va=int(va[3]), asid=6) == 0
    assert flushed(va=int(va[3]), asid=5) == 1
    assert flushed(va=int(va[3]), nbytes=1 << 21, last_level=True) == 1
    assert flushed(va=int(va[10]), nbytes=(1 << 64) - 1) == 190
    assert flushed() == 200


def test_any_page_of_a_block_flushes_all_of_it():
    guest = Guest(nbytes=16 * MIB)
    guest.map(0, 0, level=2)
    guest.map(1 << 30, 2 * MIB, level=2)
    guest.fault_in_all()
    two = gmap.TwoLevel(guest.stage1(), guest.g)
    va = np.array([0x1000, (1 << 30) + 0x3000, 0x5000, 0x9000], np.uint64)
    translate_both(two, va)
    guest.map(0, 4 * MIB, level=2)
    two.flush(0x1F_F000)
    assert translate_both(two, va)[0][0] == guest.hva(4 * MIB + 0x1000)
    assert two.stats()["flushed"] == 3


@pytest.mark.parametrize("what", ["unmap", "age", "discard", "dirty log", "slot", "protect"])
@pytest.mark.parametrize("whose", ["page", "table"])
def test_a_change_of_the_gmap_shows_at_once(what, whose):
    guest, va = scattered_guest()
    two = gmap.TwoLevel(guest.stage1(), guest.g)
    access = 1 if what in ("dirty log", "protect") else 0
    two.translate_access(va, access)
    assert not two.translate_access(va, access)[1].any()
    ipa = 9 * PAGE if whose == "page" else guest.descriptor(int(va[9])) & ~(PAGE - 1)
    gfn = ipa // PAGE
    if what == "unmap":
        guest.g.unmap(gfn, 1)
    elif what == "age":
        guest.g.age(gfn, 1)
    elif what == "discard":
        guest.host.discard(guest.hva(ipa), PAGE)
    elif what == "protect":
        guest.host.protect(guest.hva(ipa), PAGE, False)
    elif what == "slot":
        guest.g.set_memory_region(0, 0, 0, guest.ram.hva)
    else:
        flags = gmap.SlotFlag.LOG_DIRTY_PAGES
        guest.g.set_memory_region(0, 0, guest.ram.nbytes, guest.ram.hva, flags)
        guest.g.get_dirty_log(0)
    fresh = gmap.TwoLevel(two.stage1, two.gmap, tlb=False)
    got, expected = two.translate_access(va, access), fresh.translate_access(va, access)
    assert np.array_equal(got[1], expected[1])
    assert np.array_equal(got[0], expected[0])
    assert expected[1][9]


def test_buffers_a_power_of_two_apart_share_the_tlb():
    """Two streams 2**k pages apart must not push each other out."""
    for shift in (20, 21, 22, 24, 28, 30, 32):
        guest = Guest(nbytes=32 * MIB)
        pages = 64
        for page in range(pages):
            guest.map(page << 12, page * PAGE)
            guest.map((1 << shift) + (page << 12), page * PAGE)
        guest.fault_in_all()
        two = gmap.TwoLevel(guest.stage1(), guest.g)
        one_stream = np.arange(pages, dtype=np.uint64) << np.uint64(12)
        va = np.stack([one_stream, one_stream + np.uint64(1 << shift)], axis=1).ravel()
        va = np.concatenate([va, [np.uint64(1 << 47)]])  # far away: no common table
        va = np.resize(np.roll(va, 1), 20 * len(va))
        two.translate(va)
        stats = two.stats()
        served = stats["tlb_hits"] + stats["table_hits"]
        assert served > 0.85 * stats["lookups"], (shift, stats)


def test_no_batch_elsewhere_uses_what_an_unmapping_removed():
    guest, va = scattered_guest()
    two = gmap.TwoLevel(guest.stage1(), guest.g)
    many = np.resize(va, 20_000)
    stop = threading.Event()
    wrong = []

    def translating():
        while not stop.is_set():
            pa, status = two.translate(many)
            if pa[status != 0].any():
                wrong.append("an address beside a fault")

    threads = [threading.Thread(target=translating) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(60):
            guest.fault_in_all()
            two.translate(many)
            if turn % 2:
                guest.g.unmap(0, 50)
            else:
                guest.host.discard(guest.hva(0), 50 * PAGE)
            status = two.translate(va)[1]
            assert status[:50].all()
            assert not status[50:].any()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong


# --- what is refused --------------------------------------------------------------------------


def test_bad_input_is_refused_with_the_value():
    guest = Guest()
    two = gmap.TwoLevel(guest.stage1(), guest.g)
    for bad in (-1, 1.5, "x", 1 << 64):
        with pytest.raises(gmap.AddressError):
            two.translate(bad)
        with pytest.raises(gmap.AddressError):
            two.translate_access(bad, 0)
        with pytest.raises(gmap.AddressError):
            two.explain(bad)
        with pytest.raises(gmap.AddressError):
            two.flush(bad)
        with pytest.raises(gmap.AddressError):
            gmap.Stage1(ttbr0=bad)
    with pytest.raises(gmap.AddressError, match="access 3"):
        two.translate_access(0, 3)
    with pytest.raises(gmap.AddressError, match="access -1"):
        two.translate_access(0, [0, -1])
    with pytest.raises(gmap.AddressTypeError, match="float64"):
        two.translate_access(0, 0.0)
    with pytest.raises(gmap.AddressError):
        two.explain(0, 3)
    with pytest.raises(gmap.AddressError):
        two.flush(asid=1 << 16)
    with pytest.raises(gmap.ConfigError, match="el 2"):
        gmap.Stage1(el=2)
    with pytest.raises(gmap.ConfigError, match="granule"):
        gmap.Stage1(mmfr0=0xFF00_0005)
    with pytest.raises(gmap.ConfigError, match="PARange"):
        gmap.Stage1(mmfr0=0x8)
    with pytest.raises(gmap.ConfigError, match="BufferHost"):
        gmap.TwoLevel(gmap.Stage1(), gmap.Gmap(gmap.SyntheticHost()))
    with pytest.raises(gmap.ConfigError, match="half 2"):
        gmap.Stage1().va_bits(2)
    with pytest.raises(TypeError):
        gmap.TwoLevel(None, guest.g)


@pytest.mark.parametrize("status", [0x3F, 0x40 | 1 << 16, 0x80 | 0x30, 7, 1 << 9, 1 << 40, -1])
def test_what_is_no_status_is_refused(status):
    with pytest.raises(gmap.AddressError):
        describe_status(status)


def test_registers_survive_pickling():
    s1 = gmap.Stage1(1 << 20, 2, 16, 4, 5, 0, pan=True, mmfr2=0)
    again = pickle.loads(pickle.dumps(s1))
    assert repr(again) == repr(s1)
    assert again.mmfr2 == 0


def test_explain_reads_well():
    guest = Guest()
    guest.map(0x5000, 0x7000)
    guest.fault_in_all()
    text = str(gmap.TwoLevel(guest.stage1(), guest.g).explain(0x5123, Access.WRITE))
    assert text.splitlines()[0] == "write of 0x5123 at EL1"
    assert "page at 0x7000, EL0, AF, attr 0" in text
    assert "stage 1 allows el0 rwx, el1 rw-" in text
    assert text.endswith("19 memory references; ok")
