"""Memory slots and dirty logs (faultin.md sections 8 and 9, dat-gmap.md section 7)."""

import errno

import numpy as np
import pytest

import gmap

LOG = gmap.SlotFlag.LOG_DIRTY_PAGES
READONLY = gmap.SlotFlag.READONLY


@pytest.fixture
def region(host):
    return host.map(1 << 30)


@pytest.fixture
def space(host, region):
    space = gmap.Gmap(host)
    space.set_memory_region(0, 1 << 30, 1 << 20, region.hva)
    return space


def unchanged(space, action):
    """Run an action that must be refused; the address space must be as it was."""
    before = (space.tables(), space.memslots, space.stats())
    with pytest.raises(gmap.GmapError) as caught:
        action()
    after = (space.tables(), space.memslots, space.stats())
    assert before[0].keys() == after[0].keys()
    for key, table in before[0].items():
        assert (table == after[0][key]).all()
    assert before[1:] == after[1:]
    return caught.value


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        # (slot, guest_phys_addr, memory_size, userspace_addr offset, flags) in KVM's order
        ((1, 0, 4096, 0, 4), errno.EINVAL, "flags 0x4"),
        ((1, 0, 4096, 0, READONLY), errno.EINVAL, "flags 0x2"),
        ((1, 0, 4097, 0, 0), errno.EINVAL, "memory_size 0x1001"),
        ((1, 1, 4096, 0, 0), errno.EINVAL, "guest_phys_addr 0x1 "),
        ((1, 0, 4096, 1, 0), errno.EINVAL, "userspace_addr"),
        ((32767, 0, 4096, 0, 0), errno.EINVAL, "slot 32767"),
        ((1 << 16, 0, 4096, 0, 0), errno.EINVAL, "slot 65536"),
        ((1, 2**64 - 4096, 8192, 0, 0), errno.EINVAL, "wraps"),
        ((1, 0, 1 << 43, 0, 0), errno.EINVAL, "2147483648 pages"),
        ((1, 0, 0, 0, 0), errno.EINVAL, "does not exist"),
        ((0, 1 << 30, 8192, 0, 0), errno.EINVAL, "exists"),
        ((0, 1 << 30, 1 << 20, 4096, 0), errno.EINVAL, "exists"),
        ((1, (1 << 30) + 4096, 4096, 0, 0), errno.EEXIST, "overlaps slot 0"),
        ((1, (1 << 30) - 4096, 8192, 0, 0), errno.EEXIST, "overlaps slot 0"),
        ((1, 1 << 40, 4096, 0, 0), errno.EINVAL, "beyond guest memory"),
        ((1, (1 << 40) - 4096, 8192, 0, 0), errno.EINVAL, "beyond guest memory"),
        ((1, 1 << 42, 4096, 0, 0), errno.EINVAL, "beyond guest memory"),
    ],
)
def test_first_broken_rule_decides(space, region, arguments, code, message):
    slot, gpa, size, offset, flags = arguments
    error = unchanged(
        space, lambda: space.set_memory_region(slot, gpa, size, region.hva + offset, flags))
    assert isinstance(error, gmap.ConfigError)
    assert error.errno == code
    assert message in str(error)


def test_order_of_the_rules(space, region):
    """Flags before alignment before existence before overlap."""
    error = unchanged(space, lambda: space.set_memory_region(1, 1, 1, region.hva, 4))
    assert "flags" in str(error)
    error = unchanged(space, lambda: space.set_memory_region(0, 1 << 30, 1, region.hva))
    assert "memory_size" in str(error)


def test_userspace_address_outside_user_space(space):
    error = unchanged(space, lambda: space.set_memory_region(1, 0, 8192, 2**64 - 4096))
    assert error.errno == errno.EINVAL
    space.set_memory_region(1, 0, 8192, 2**64 - 8192)
    assert space.fault_in(0, errors="status") == -errno.EFAULT


@pytest.mark.parametrize("method", ["unmap", "age", "test_age"])
def test_empty_ranges_do_nothing(host, method):
    """The kernel's walk visits the entries around an empty range."""
    region = host.map(4 << 20, folio="1m")
    space = gmap.Gmap(host)
    space.set_memory_region(0, 0, 4 << 20, region.hva)
    space.fault_in([0, 256, 512])
    assert not getattr(space, method)(300, 0)
    assert space.leaves()["young"].tolist() == [True] * 3


def test_log_switched_on_by_a_move(host, region):
    """What was written before there was a log is not in it."""
    space = gmap.Gmap(host)
    space.set_memory_region(0, 0, 1 << 20, region.hva)
    space.fault_in(5, write=True)
    space.set_memory_region(0, 1 << 30, 1 << 20, region.hva, LOG)
    assert not space.get_dirty_log(0).any()


def test_slot_up_to_the_end_of_guest_memory(space, region):
    """The queued revision's limit is exclusive; v1 to v4 refuse this one (ipa.md I1)."""
    space.set_memory_region(1, (1 << 40) - (1 << 20), 1 << 20, region.hva)
    assert space.fault_in((1 << 28) - 1) == 0


def test_same_again_is_nothing(space, region):
    space.fault_in(1 << 18)
    space.set_memory_region(0, 1 << 30, 1 << 20, region.hva)
    assert len(space.leaves()) == 1


def test_delete(space, check_laws):
    space.fault_in(range(1 << 18, (1 << 18) + 256), write=True)
    space.set_memory_region(0, 0, 0, 0)
    assert space.memslots == []
    assert len(space.leaves()) == 0
    assert space.fault_in(1 << 18, errors="status") == gmap.Pic.ADDRESSING
    walk = space.walk(1 << 18)
    assert walk.rc == gmap.Pic.ADDRESSING
    check_laws(space)


def test_move_keeps_host_memory(space, region):
    space.fault_in(1 << 18)
    before = space.translate_one(1 << 30)
    space.set_memory_region(0, 1 << 31, 1 << 20, region.hva)
    assert space.translate(1 << 30)[1] == gmap.Pic.SEGMENT_TRANSLATION
    assert space.fault_in(1 << 19) == 0
    assert space.translate_one(1 << 31) == before


def test_move_onto_itself(space, region, check_laws):
    """Old and new range may overlap."""
    space.fault_in(range(1 << 18, (1 << 18) + 256))
    space.set_memory_region(0, (1 << 30) + (1 << 19), 1 << 20, region.hva)
    assert len(space.leaves()) == 0
    codes = space.fault_in(range(1 << 18, (1 << 18) + 512), errors="status")
    assert codes.tolist() == [5] * 128 + [0] * 256 + [5] * 128
    check_laws(space)


def test_flags_only_keeps_mappings(space, region):
    space.fault_in(1 << 18)
    space.set_memory_region(0, 1 << 30, 1 << 20, region.hva, LOG)
    assert len(space.leaves()) == 1
    assert space.memslots[0].flags == LOG


def test_read_only_flag_cannot_change(host, region):
    space = gmap.Gmap(host, readonly_mem=True)
    space.set_memory_region(0, 0, 1 << 20, region.hva, READONLY)
    with pytest.raises(gmap.ConfigError, match="read-only flag cannot change"):
        space.set_memory_region(0, 0, 1 << 20, region.hva, 0)


def test_all_the_slots_there_are(host):
    """32767 of them, in an order that makes each insertion somewhere else."""
    region = host.map(4096)
    space = gmap.Gmap(host)
    order = np.random.default_rng(3).permutation(32767).tolist()
    for slot in order[:4000]:
        space.set_memory_region(slot, slot << 13, 4096, region.hva)
    codes = space.fault_in(np.arange(0, 2 * 32767), errors="status")
    expected = np.full(2 * 32767, 5)
    expected[2 * np.array(order[:4000])] = 0
    assert (codes == expected).all()
    for slot in order[:4000]:
        space.set_memory_region(slot, 0, 0, 0)
    assert space.memslots == []
    assert len(space.leaves()) == 0


@pytest.mark.parametrize("base", [0, 4096, 1 << 20, (1 << 31) - 4096])
@pytest.mark.parametrize("npages", [1, 255, 256, 257, (1 << 19) + 1])
def test_painting_is_exact(host, base, npages):
    """EMPTY inside the slot, HOLE outside, at every edge."""
    region = host.map(npages << 12)
    space = gmap.Gmap(host)
    space.set_memory_region(0, base, npages << 12, region.hva)
    first, end = base >> 12, (base >> 12) + npages

    def code(gfn):
        return space.walk(gfn, gmap.Level.PAGE, gmap.Walk.ANY).rc

    for gfn in (first, end - 1, (first + end) // 2):
        assert code(gfn) == 0
    assert code(end) == gmap.Pic.ADDRESSING
    if first:
        assert code(first - 1) == gmap.Pic.ADDRESSING
    space.set_memory_region(0, 0, 0, 0)
    for gfn in (first, end - 1, end):
        assert code(gfn) == gmap.Pic.ADDRESSING


# --- dirty log ------------------------------------------------------------------------------


@pytest.fixture
def logged(host):
    region = host.map(1 << 20)
    space = gmap.Gmap(host)
    space.set_memory_region(0, 1 << 30, 1 << 20, region.hva, LOG)
    return space


def pages_of(bitmap):
    return np.flatnonzero(np.unpackbits(bitmap.view(np.uint8), bitorder="little")).tolist()


def gfns(*pages):
    return [(1 << 18) + page for page in pages]


def test_log_tells_what_was_written(logged):
    logged.fault_in(gfns(1, 64, 255), write=True)
    logged.fault_in(gfns(2, 3))
    assert pages_of(logged.get_dirty_log(0)) == [1, 64, 255]
    assert pages_of(logged.get_dirty_log(0)) == []
    logged.fault_in(gfns(64, 3), write=True)
    assert pages_of(logged.get_dirty_log(0)) == [3, 64]


def test_collected_pages_are_protected_and_still_dirty(logged):
    logged.fault_in(gfns(1), write=True)
    logged.get_dirty_log(0)
    (leaf,) = logged.leaves()
    assert (leaf["protected"], leaf["dirty"]) == (True, True)
    logged.fault_in(gfns(1), write=True)
    assert logged.stats()["minor"] == 1


def test_aged_write_is_not_lost(logged):
    """The kernel loses it (dat-gmap.md 11.4)."""
    logged.fault_in(gfns(1), write=True)
    logged.age(1 << 18, 256)
    assert pages_of(logged.get_dirty_log(0)) == [1]


def test_unmapped_write_is_not_lost(logged):
    logged.fault_in(gfns(1), write=True)
    logged.unmap(1 << 18, 256)
    assert pages_of(logged.get_dirty_log(0)) == [1]


def test_upstream_losses_on_request(host):
    region = host.map(1 << 20)
    space = gmap.Gmap(host, quirks=["age-loses-dirty", "unmap-loses-dirty"])
    space.set_memory_region(0, 0, 1 << 20, region.hva, LOG)
    space.fault_in([1, 2], write=True)
    space.age(1, 1)
    space.unmap(2, 1)
    assert pages_of(space.get_dirty_log(0)) == []


def test_large_frame_is_logged_whole(host):
    region = host.map(4 << 20, folio="1m")
    space = gmap.Gmap(host)
    space.set_memory_region(0, 0, 4 << 20, region.hva, LOG)
    space.fault_in(300, write=True)
    space.fault_in(0)
    assert pages_of(space.get_dirty_log(0)) == list(range(256, 512))
    space.fault_in(700, write=True)
    space.split_huge_pages()
    assert len(space.leaves()) == 0
    assert pages_of(space.get_dirty_log(0)) == list(range(512, 768))


def test_log_moves_with_the_slot(logged, host):
    hva = logged.memslots[0].userspace_addr
    logged.fault_in(gfns(5), write=True)
    logged.set_memory_region(0, 1 << 31, 1 << 20, hva, LOG)
    assert pages_of(logged.get_dirty_log(0)) == [5]


def test_log_switched_off_and_on(logged):
    hva = logged.memslots[0].userspace_addr
    logged.fault_in(gfns(5), write=True)
    logged.set_memory_region(0, 1 << 30, 1 << 20, hva, 0)
    with pytest.raises(gmap.ConfigError) as caught:
        logged.get_dirty_log(0)
    assert caught.value.errno == errno.ENOENT
    logged.set_memory_region(0, 1 << 30, 1 << 20, hva, LOG)
    assert pages_of(logged.get_dirty_log(0)) == [5]


def test_size_of_the_bitmap(host):
    region = host.map(100 << 12)
    space = gmap.Gmap(host)
    space.set_memory_region(0, 0, 65 << 12, region.hva, LOG)
    assert space.get_dirty_log(0).shape == (2,)


@pytest.mark.parametrize(("slot", "code"), [(1, errno.ENOENT), (32767, errno.EINVAL),
                                            (1 << 16, errno.EINVAL)])
def test_slots_without_a_log(logged, slot, code):
    with pytest.raises(gmap.ConfigError) as caught:
        logged.get_dirty_log(slot)
    assert caught.value.errno == code


def test_clear_by_hand(logged):
    logged.fault_in(gfns(1, 64, 65, 130), write=True)
    seen = logged.get_dirty_log(0, clear=False)
    assert pages_of(seen) == [1, 64, 65, 130]
    logged.fault_in(gfns(65), write=True)       # after the look: must stay reported
    logged.clear_dirty_log(0, 64, 64, seen[1:2])
    assert pages_of(logged.get_dirty_log(0, clear=False)) == [1, 65, 130]
    logged.clear_dirty_log(0, 0, 256, np.full(4, 2**64 - 1, dtype=np.uint64))
    assert pages_of(logged.get_dirty_log(0)) == []


@pytest.mark.parametrize(
    ("first", "count", "words", "code"),
    [
        (1, 64, 1, errno.EINVAL),
        (64, 63, 1, errno.EINVAL),
        (320, 0, 1, errno.EINVAL),
        (0, 320, 5, errno.EINVAL),
        (192, 128, 2, errno.EINVAL),
        (0, 256, 3, errno.EFAULT),
    ],
)
def test_clear_rules(logged, first, count, words, code):
    logged.fault_in(gfns(1), write=True)
    bitmap = np.zeros(words, dtype=np.uint64)
    with pytest.raises(gmap.ConfigError) as caught:
        logged.clear_dirty_log(0, first, count, bitmap)
    assert caught.value.errno == code
    assert pages_of(logged.get_dirty_log(0)) == [1]


def test_clear_up_to_an_odd_end(host):
    region = host.map(1 << 20)
    space = gmap.Gmap(host)
    space.set_memory_region(0, 0, 100 << 12, region.hva, LOG)
    space.fault_in(range(100), write=True)
    space.get_dirty_log(0, clear=False)
    space.clear_dirty_log(0, 64, 36, np.array([2**36 - 1], dtype=np.uint64))
    assert pages_of(space.get_dirty_log(0)) == list(range(64))
