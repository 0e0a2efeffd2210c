"""Host memory: regions, folios, fragmentation, changes of backing, of both kinds."""

import ctypes
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gmap

MASK = 2**64 - 1
FAULT, HWPOISON, RO_FAULT, SIGPENDING, NEEDS_IO = (0x7FF0_0000_0000_0000 + i for i in range(5))


def frames(host, region, first=0, n=None):
    n = region.nbytes // 4096 - first if n is None else n
    return host.lookup(region.hva + (np.arange(first, first + n) << 12))


def test_regions_do_not_touch(any_host):
    regions = [any_host.map(n << 12, folio=f) for n in (1, 600, 1 << 19) for f in ("4k", "1m")]
    spans = sorted((r.hva, r.hva + r.nbytes) for r in regions)
    assert all(end < start for (_, end), (start, _) in itertools.pairwise(spans))
    pfn = np.concatenate([frames(any_host, r, n=min(r.nbytes >> 12, 1000))["pfn"]
                          for r in regions])
    assert np.unique(pfn).size == pfn.size
    for region in regions:
        for hva in (region.hva - 1, region.hva + region.nbytes):
            assert any_host.lookup(hva)["pfn"] == FAULT


@pytest.mark.parametrize(("folio", "order"), [("4k", 0), ("1m", 8), ("2g", 19)])
def test_folios(any_host, folio, order):
    region = any_host.map((2 << 30) + (3 << 20) + 4096, folio=folio)
    probe = any_host.lookup(region.hva + np.array([0, 1 << 20, (2 << 30) + (1 << 20),
                                                   (2 << 30) + (3 << 20)]))
    tail = min(order, 8)
    assert probe["order"].tolist() == [order, order, tail, 0]
    assert (probe["pfn"][:2] - probe["pfn"][0]).tolist() == [0, 256]
    assert probe["pfn"][0] % (1 << order) == 0


def splitmix(salt, index):
    z = (salt + (index + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


@settings(deadline=None, max_examples=20)
@given(
    seed=st.integers(0, MASK),
    fragmentation=st.sampled_from([0.0, 0.01, 0.3, 0.7, 1.0]),
    folio=st.sampled_from(["4k", "1m", "2g"]),
)
def test_fragmentation_is_a_permutation(seed, fragmentation, folio):
    host = gmap.SyntheticHost(seed=seed, fragmentation=fragmentation)
    region = host.map(4 << 30, folio=folio)
    sample = np.unique(np.concatenate([np.arange(4096), np.arange(0, 1 << 20, 97)]))
    found = host.lookup(region.hva + (sample << 12))
    pfn = found["pfn"].astype(np.int64)
    assert np.unique(pfn).size == pfn.size
    # Frames of a folio are contiguous and aligned.
    for order in (8, 19):
        inside = found["order"] == order
        assert ((pfn[inside] ^ sample[inside]) & ((1 << order) - 1) == 0).all()
    below = min(int(fragmentation * 2.0**64), MASK)
    salt = splitmix(seed, 0)
    asked = {"4k": 0, "1m": 8, "2g": 19}[folio]
    for index, order in list(zip(sample.tolist(), found["order"].tolist(), strict=True))[::50]:
        chunk_broken = splitmix(salt, index >> 19) < below
        block_broken = splitmix(~salt & MASK, index >> 8) < below
        expected = 19 if asked == 19 and not chunk_broken else 0
        if not expected and asked >= 8 and not block_broken:
            expected = 8
        assert order == expected


def test_the_same_seed_gives_the_same_frames():
    first, second = (gmap.SyntheticHost(seed=9, fragmentation=0.4) for _ in range(2))
    a, b = (host.map(1 << 30, folio="1m") for host in (first, second))
    assert (frames(first, a) == frames(second, b)).all()
    other = gmap.SyntheticHost(seed=10, fragmentation=0.4)
    assert (frames(other, other.map(1 << 30, folio="1m")) != frames(first, a)).any()


def test_terabytes_cost_nothing():
    host = gmap.SyntheticHost()
    region = host.map(1 << 50, folio="2g")
    assert host.lookup(region.hva + (1 << 49))["order"] == 19


# --- changes of backing ----------------------------------------------------------------------


class Model:
    """What a host should answer: the frame identity and permission of each page."""

    def __init__(self, host, region):
        self.host, self.region = host, region
        self.pfn = frames(host, region)["pfn"].copy()
        self.writable = np.ones(self.pfn.size, dtype=bool)
        self.content = np.zeros(self.pfn.size, dtype=np.uint64)
        if isinstance(host, gmap.BufferHost):
            self.content[:] = np.arange(1, self.pfn.size + 1)
            region.array.view(np.uint64)[::512] = self.content

    def check(self, changed):
        found = frames(self.host, self.region)
        same = np.ones(self.pfn.size, dtype=bool)
        same[changed] = False
        assert (found["pfn"][same] == self.pfn[same]).all()
        assert (found["writable"] == self.writable).all()
        assert np.unique(found["pfn"]).size == found.size
        index = np.arange(found.size)
        for order in (8, 19):
            inside = found["order"] == order
            assert ((found["pfn"].astype(np.int64) ^ index)[inside] & ((1 << order) - 1) == 0).all()
        # No folio holds pages of different permission.
        for block in range(0, found.size, 256):
            if found["order"][block] == 8:
                assert np.unique(self.writable[block:block + 256]).size == 1
        self.pfn = found["pfn"].copy()
        if isinstance(self.host, gmap.BufferHost):
            assert (self.region.array.view(np.uint64)[::512] == self.content).all()
            for page in np.random.default_rng(0).integers(0, found.size, 16).tolist():
                address = int(found["pfn"][page]) << 12
                assert ctypes.c_uint64.from_address(address).value == self.content[page]


operations = st.lists(
    st.tuples(
        st.sampled_from(["discard", "move", "protect", "unprotect", "4k", "1m"]),
        st.integers(0, 1023),
        st.integers(1, 1024),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@settings(deadline=None, max_examples=40)
@given(kind=st.sampled_from([gmap.SyntheticHost, gmap.BufferHost]), operations=operations,
       folio=st.sampled_from(["4k", "1m"]))
def test_changes_of_backing(kind, operations, folio):
    host = kind()
    region = host.map(1024 << 12, folio=folio)
    model = Model(host, region)
    for what, first, n, aligned in operations:
        if aligned or what == "1m":
            first, n = first & ~255, (n + 255) & ~255
        n = min(n, 1024 - first)
        hva, nbytes = region.hva + (first << 12), n << 12
        pages = slice(first, first + n)
        changed = slice(0, 0)
        if what in ("discard", "move"):
            getattr(host, what)(hva, nbytes)
            changed = pages
            if what == "discard":
                model.content[pages] = 0
        elif what in ("protect", "unprotect"):
            host.protect(hva, nbytes, what == "unprotect")
            model.writable[pages] = what == "unprotect"
        else:
            host.reback(hva, nbytes, what)
            changed = pages if what == "1m" else changed
        model.check(changed)


def test_moved_pages_get_other_frames(any_host):
    region = any_host.map(2 << 20)
    before = frames(any_host, region)["pfn"].copy()
    any_host.move(region.hva + 4096, 8192)
    any_host.move(region.hva + (1 << 20), 1 << 20)
    after = frames(any_host, region)["pfn"]
    moved = np.flatnonzero(before != after)
    assert moved.tolist() == [1, 2, *range(256, 512)]


def test_discard_on_a_synthetic_host_gives_new_frames(host):
    region = host.map(4 << 30, folio="2g")
    for offset, nbytes in ((0, 2 << 30), (2 << 30, 1 << 20), ((2 << 30) + (5 << 20), 4096)):
        page = region.hva + offset
        before = host.lookup(page)["pfn"]
        host.discard(page, nbytes)
        assert host.lookup(page)["pfn"] != before
    orders = [int(host.lookup(region.hva + o)["order"])
              for o in (0, 2 << 30, (2 << 30) + (1 << 20), (2 << 30) + (5 << 20))]
    assert orders == [19, 8, 8, 0]


def test_collapse_to_2g(host):
    region = host.map(2 << 30)
    assert host.lookup(region.hva)["order"] == 0
    host.discard(region.hva + 4096, 4096)
    host.reback(region.hva, 2 << 30, "2g")
    found = host.lookup(region.hva + np.array([0, 4096, 1 << 30]))
    assert found["order"].tolist() == [19] * 3
    assert (found["pfn"] - found["pfn"][0]).tolist() == [0, 1, 1 << 18]
    host.reback(region.hva + 8192, 4096, "4k")
    assert host.lookup(region.hva + np.array([0, 1 << 20]))["order"].tolist() == [0, 0]


def test_collapse_of_mixed_permission_stays_broken(host):
    region = host.map(1 << 20)
    host.protect(region.hva, 4096, False)
    host.reback(region.hva, 1 << 20, "1m")
    assert host.lookup(region.hva)["order"] == 0


def test_pooled_frames_are_used_again():
    host = gmap.BufferHost()
    region = host.map(1 << 20)
    seen = set()
    for _ in range(40):
        host.move(region.hva, 4096)
        seen.add(int(host.lookup(region.hva)["pfn"]))
    assert len(seen) <= 3


def test_populate_gives_memory():
    host = gmap.BufferHost()
    region = host.map(4 << 20)
    host.populate(region.hva, region.nbytes)
    assert not region.array.any()


# --- answers ---------------------------------------------------------------------------------


def test_answers_stack(host):
    region = host.map(16 << 12)
    host.answer(region.hva, 8 << 12, "hwpoison")
    host.answer(region.hva + (4 << 12), 8 << 12, "signal")
    host.answer(region.hva + (6 << 12), 1 << 12, "ok")
    expected = [HWPOISON] * 4 + [SIGPENDING] * 2 + [None] + [SIGPENDING] * 5 + [None] * 4
    for found, want in zip(frames(host, region)["pfn"], expected, strict=True):
        assert found == want if want else found < 1 << 52
    host.answer(region.hva, 16 << 12, "ok")
    assert (frames(host, region)["pfn"] < 1 << 52).all()


def test_read_only_answer(host):
    region = host.map(4096)
    host.answer(region.hva, 4096, "read_only")
    read, write = host.lookup(region.hva), host.lookup(region.hva, write=True)
    assert read["pfn"] < 1 << 52
    assert not read["writable"]
    assert write["pfn"] == RO_FAULT


def test_io_answers(host):
    region = host.map(8192)
    host.answer(region.hva, 4096, "needs_io")
    host.answer(region.hva + 4096, 4096, "needs_io_always")
    pfn = host.lookup(region.hva + np.array([0, 4096]))["pfn"]
    assert pfn[0] < 1 << 52     # this lookup may wait
    assert pfn[1] == NEEDS_IO


# --- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize("nbytes", [0, 1, 4097, -4096, 2**64, 1.5, "4096", None, True])
def test_map_refuses_sizes(any_host, nbytes):
    with pytest.raises(gmap.GmapError):
        any_host.map(nbytes)
    assert not any_host.regions


@pytest.mark.parametrize("folio", ["4K", "2m", 4096, None])
def test_map_refuses_folios(any_host, folio):
    with pytest.raises(gmap.ConfigError, match="use one of '4k', '1m', '2g'"):
        any_host.map(4096, folio=folio)


def test_more_than_the_machine_has(any_host):
    with pytest.raises(gmap.HostMemoryError):
        any_host.map(1 << 62)
    assert not any_host.regions


@pytest.mark.parametrize(
    "call",
    [
        lambda host, hva: host.discard(hva + 1, 4096),
        lambda host, hva: host.discard(hva, 4095),
        lambda host, hva: host.discard(hva, 0),
        lambda host, hva: host.discard(hva, 8 << 20),
        lambda host, hva: host.discard(hva - 4096, 8192),
        lambda host, hva: host.discard(-4096, 4096),
        lambda host, hva: host.protect(0, 4096, True),
        lambda host, hva: host.move(hva + (4 << 20), 4096),
        lambda host, hva: host.reback(hva + 4096, 1 << 20, "1m"),
        lambda host, hva: host.reback(hva, 4096, "1m"),
        lambda host, hva: host.reback(hva, 1 << 20, "2g"),
        lambda host, hva: host.reback(hva, 1 << 20, "huge"),
        lambda host, hva: host.answer(hva, 4096, "maybe"),
        lambda host, hva: host.answer(hva, 4096, "signal", times=-1),
        lambda host, hva: host.answer(hva, 4097, "signal"),
        lambda host, hva: host.lookup(-1),
        lambda host, hva: host.lookup(1.5),
    ],
)
def test_refused_changes_change_nothing(any_host, make_space, call):
    space, region = make_space(any_host, 4 << 20)
    space.fault_in(range(1024))
    before = frames(any_host, region)
    with pytest.raises(gmap.GmapError):
        call(any_host, region.hva)
    assert (frames(any_host, region) == before).all()
    assert len(space.leaves()) == 1024


def test_constructor_arguments():
    for bad in (-0.1, 1.1, float("nan"), "half", True):
        with pytest.raises(gmap.ConfigError, match="fragmentation"):
            gmap.SyntheticHost(fragmentation=bad)
    for bad in (-1, 256, 1.5, None):
        with pytest.raises(gmap.ConfigError, match="hamaxpow"):
            gmap.BufferHost(hamaxpow=bad)
    with pytest.raises(gmap.AddressError, match="seed"):
        gmap.SyntheticHost(seed=-1)
    with pytest.raises(TypeError, match="SyntheticHost or BufferHost"):
        gmap.Host()


def test_synthetic_regions_have_no_bytes(host):
    with pytest.raises(gmap.ConfigError, match="use BufferHost"):
        host.map(4096).array  # noqa: B018


# --- closing ---------------------------------------------------------------------------------


def test_closed_host_refuses(any_host, make_space):
    space, region = make_space(any_host)
    space.fault_in(range(16))
    any_host.close()
    any_host.close()
    assert region.closed
    assert len(space.leaves()) == 0
    for call in (
        lambda: any_host.map(4096),
        lambda: any_host.discard(region.hva, 4096),
        lambda: space.fault_in(0),
        lambda: space.fault_in([0, 1]),
        lambda: space.get_guest_pages(0),
        lambda: space.set_memory_region(1, 1 << 30, 4096, region.hva),
        lambda: gmap.Gmap(any_host),
    ):
        with pytest.raises(gmap.ClosedError, match="closed"):
            call()
    assert space.translate(0)[1] == gmap.Pic.PAGE_TRANSLATION


def test_array_outlives_everything():
    host = gmap.BufferHost()
    array = host.map(1 << 20).array
    array[:] = 7
    host.move(next(iter(host.regions)), 8192)
    host.close()
    del host
    assert (array == 7).all()


def test_regions_of_another_host(any_host):
    region = gmap.SyntheticHost().map(4096)
    for wrong in (region, None, 4096):
        with pytest.raises(gmap.ConfigError, match="not a region of this host"):
            any_host.unmap(wrong)
    mine = any_host.map(4096)
    mine.close()
    mine.close()
    with pytest.raises(gmap.ConfigError):
        any_host.unmap(mine)


def test_address_space_keeps_its_host():
    import gc

    host = gmap.BufferHost()
    region = host.map(1 << 20)
    space = gmap.Gmap(host)
    space.set_memory_region(0, 0, region.nbytes, region.hva)
    translate = space.translate
    space.fault_in(0, write=True)
    del host, region, space
    gc.collect()
    pa, pic = translate(np.uint64(0))
    assert pic == 0
    assert ctypes.c_uint8.from_address(int(pa)).value == 0
