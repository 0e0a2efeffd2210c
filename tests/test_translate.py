"""Translation: the ufunc, the scalar form, and the hardware's rules for every outcome."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gmap

PAGE = np.uint64(4096)


def scalar(space, gpa, write=False):
    """(pa, pic) by way of `translate_one`."""
    try:
        return space.translate_one(int(gpa), write), 0
    except gmap.TranslationError as caught:
        error = caught
    assert error.address == gpa
    return 0, error.pic


@pytest.fixture
def mixed(host):
    """4 KiB, 1 MiB and 2 GiB leaves, clean and dirty, old ones, holes and empty entries."""
    space = gmap.Gmap(host, ipa_bits=44, allow_2g=True)
    for slot, (base, nbytes, folio) in enumerate(
        [(0, 4 << 30, "2g"), (8 << 30, 64 << 20, "1m"), (1 << 40, 64 << 20, "4k")]
    ):
        region = host.map(nbytes, folio=folio)
        space.set_memory_region(slot, base, nbytes, region.hva)
    space.fault_in(0, write=True)
    space.fault_in([(8 << 18) + 256 * i for i in range(0, 64, 3)])
    space.fault_in([(8 << 18) + 256 * i for i in range(1, 64, 3)], write=True)
    space.fault_in((1 << 28) + np.arange(0, 16384, 3), write=True)
    space.fault_in((1 << 28) + np.arange(1, 16384, 3))
    space.age(8 << 18, 2048)
    space.age((1 << 28) + 512, 700)
    return space


def addresses(space):
    rng = np.random.default_rng(1)
    pools = [
        rng.integers(0, 5 << 30, 500),
        (8 << 30) + rng.integers(-(1 << 21), 66 << 20, 500),
        (1 << 40) + rng.integers(-(1 << 21), 66 << 20, 2000),
        rng.integers(0, 1 << 62, 50) * 4,
        np.array([0, 4095, (1 << 42) - 1, 1 << 42, 1 << 44, (1 << 53) - 1, 1 << 53, 2**63 - 1]),
    ]
    found = np.concatenate([p.astype(np.uint64) for p in pools])
    return np.append(found, np.uint64(2**64 - 1))


@pytest.mark.parametrize("write", [False, True])
def test_vector_is_scalar(mixed, write):
    gpa = addresses(mixed)
    ufunc = mixed.translate_write if write else mixed.translate
    pa, pic = ufunc(gpa)
    expected = [scalar(mixed, a, write) for a in gpa.tolist()]
    assert list(zip(pa.tolist(), pic.tolist(), strict=True)) == expected
    wanted = {0, 0x10, 0x11, 0x38, 0x3A, 0x3B} | ({4} if write else set())
    assert set(pic.tolist()) == wanted


@pytest.mark.parametrize("ipa_bits", [32, 42, 43, 53, 54, 63])
def test_codes_by_level(ipa_bits):
    """The first invalid entry names its level (ipa.md section 4)."""
    host = gmap.SyntheticHost(hamaxpow=63)
    space = gmap.Gmap(host, ipa_bits=ipa_bits)
    top = {42: 0x3B, 53: 0x3A, 63: 0x39}[next(n for n in (42, 53, 63) if ipa_bits <= n)]
    assert int(space.translate(np.uint64(0))[1]) == top
    region = host.map(1 << 20)
    space.set_memory_region(0, 0, 1 << 20, region.hva)
    assert space.translate(np.uint64(0))[1] == 0x10
    space.fault_in(1)
    codes = [int(space.translate(np.uint64(a))[1]) for a in (0, 4096, 1 << 20, 1 << 31)]
    assert codes == [0x11, 0, 0x10, 0x3B]
    end = {42: 1 << 42, 53: 1 << 53}.get(next(n for n in (42, 53, 63) if ipa_bits <= n))
    if end:
        assert space.translate(np.uint64(end))[1] == 0x38
        assert space.translate(np.uint64(end - 1))[1] == top
    else:
        assert space.translate(np.uint64(2**64 - 1))[1] == top


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_strides_shapes_and_where(data):
    host = gmap.SyntheticHost()
    region = host.map(4 << 20)
    space = gmap.Gmap(host)
    space.set_memory_region(0, 0, 4 << 20, region.hva)
    space.fault_in(np.arange(0, 1024, 2))
    shapes = [(0,), (1,), (63,), (64,), (65,), (7, 9), (4097,), (3, 5, 7)]
    shape = data.draw(st.sampled_from(shapes))
    step = data.draw(st.sampled_from([1, 2, -1]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    size = int(np.prod(shape))
    local = data.draw(st.booleans())
    wide = rng.integers(0, 1 << 20 if local else 5 << 20, 2 * size + 1).astype(np.uint64)
    taken = wide[::step][:size] if step > 0 else wide[size - 1 :: -1][:size]
    gpa = taken.reshape(shape)
    expected = [scalar(space, a) for a in gpa.reshape(-1).tolist()]
    pa, pic = space.translate(gpa)
    assert pa.shape == pic.shape == shape
    assert pa.dtype == np.uint64
    assert pic.dtype == np.uint16
    assert list(zip(pa.reshape(-1).tolist(), pic.reshape(-1).tolist(), strict=True)) == expected
    # out= with strides of its own
    room = np.zeros((size, 3), dtype=np.uint64)
    codes = np.zeros(2 * size, dtype=np.uint16)[::2]
    space.translate(gpa.reshape(-1), out=(room[:, 1], codes))
    assert (room[:, 1] == pa.reshape(-1)).all()
    assert not room[:, [0, 2]].any()
    assert (codes == pic.reshape(-1)).all()
    # where=
    chosen = rng.integers(0, 2, size).astype(bool)
    kept = (np.full(size, 77, dtype=np.uint64), np.full(size, 77, dtype=np.uint16))
    space.translate(gpa.reshape(-1), out=kept, where=chosen)
    assert (kept[0] == np.where(chosen, pa.reshape(-1), 77)).all()


def test_is_a_ufunc(mixed):
    assert isinstance(mixed.translate, np.ufunc)
    assert (mixed.translate.nin, mixed.translate.nout) == (1, 2)
    assert mixed.translate.__name__ == "translate"
    assert mixed.translate_write.__name__ == "translate_write"
    assert "uint64" in mixed.translate.__doc__


def test_integers_of_every_kind(mixed):
    expected = mixed.translate(np.uint64(0x3000))
    for value in (0x3000, np.int64(0x3000), np.uint32(0x3000), np.int16(0x3000), [0x3000],
                  np.array([0x3000], dtype=">u8"), np.array([0x3000], dtype=object)):
        pa, pic = mixed.translate(value)
        assert (pa, pic) == expected
    assert mixed.translate(2**63)[1] == 0x38


@pytest.mark.parametrize(
    ("bad", "kind", "shown"),
    [
        (-1, gmap.AddressError, "-1"),
        (2**64, gmap.AddressError, str(2**64)),
        (1.5, gmap.AddressTypeError, "1.5"),
        (float("nan"), gmap.AddressTypeError, "nan"),
        (np.array([4096, -4096]), gmap.AddressError, "-4096"),
        (np.array([1.0]), gmap.AddressTypeError, "1.0"),
        (np.float32(3), gmap.AddressTypeError, "3.0"),
        ([2**63, 1], gmap.AddressTypeError, "9.22"),
        (True, gmap.AddressTypeError, "bool"),
        (1j, gmap.AddressTypeError, "complex"),
        ("0x1000", gmap.AddressTypeError, "str"),
        (None, gmap.AddressTypeError, "None"),
        ([None, 1], gmap.AddressTypeError, "None"),
    ],
)
def test_what_is_not_an_address(mixed, bad, kind, shown):
    for ufunc in (mixed.translate, mixed.translate_write):
        with pytest.raises(kind, match=shown.replace("+", r"\+")):
            ufunc(bad)


def test_scalar_form_refuses(mixed):
    for bad in (-1, 2**64, 1.5, float("nan"), True, "1", None, np.array([1]), np.float64(4096)):
        with pytest.raises(gmap.AddressError):
            mixed.translate_one(bad)
    assert mixed.translate_one(np.uint64(0x1000)) == mixed.translate_one(0x1000)


def test_scalar_error_tells_all(mixed):
    with pytest.raises(gmap.TranslationError) as caught:
        mixed.translate_one(2 << 40)
    assert caught.value.level is gmap.Level.REGION3
    with pytest.raises(gmap.TranslationError, match="write=True") as caught:
        mixed.translate_one((1 << 40) + 4096, write=True)
    error = caught.value
    assert (error.pic, error.level) == (gmap.Pic.PROTECTION, gmap.Level.PAGE)
    assert error.entry == mixed.walk((1 << 28) + 1).pte
    with pytest.raises(gmap.TranslationError, match="ASCE type") as caught:
        mixed.translate_one(1 << 60)
    assert caught.value.entry == 0


def test_other_threads_run(mixed):
    """The global lock is released: a counter advances while a long translation runs."""
    gpa = np.zeros(40_000_000, dtype=np.uint64)
    ticks = 0
    stop = threading.Event()

    def tick():
        nonlocal ticks
        while not stop.is_set():
            ticks += 1

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        before = ticks
        mixed.translate(gpa)
        during = ticks - before
    finally:
        stop.set()
        thread.join()
    # One switch interval would give a few thousand; holding the lock gives none.
    assert during > 0


def test_each_space_has_its_own(host, make_space):
    first, _ = make_space(host)
    second, _ = make_space(host)
    first.fault_in(0)
    assert first.translate(np.uint64(0))[1] == 0
    assert second.translate(np.uint64(0))[1] == 0x10


@pytest.mark.parametrize("write", [False, True])
def test_results_in_place_of_the_addresses(mixed, write):
    gpa = addresses(mixed)
    ufunc = mixed.translate_write if write else mixed.translate
    pa, pic = ufunc(gpa)
    for order in (np.arange(len(gpa)), np.argsort(gpa), np.random.default_rng(3).permutation(
            len(gpa))):
        here = gpa[order]
        codes = np.empty(len(here), np.uint16)
        ufunc(here, out=(here, codes))
        assert (here == pa[order]).all()
        assert (codes == pic[order]).all()


@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 128, 255, 256, 257, 4095, 4096, 4097, 9000])
@pytest.mark.parametrize("step", [1, -1, 3])
def test_lengths_and_gaps(mixed, n, step):
    """The kernel works in groups, stretches and buffers: none of their edges shows."""
    pool = addresses(mixed)
    gpa = np.resize(np.concatenate([pool, np.arange(1 << 40, (1 << 40) + 5000 * 4096, 4096,
                                                    dtype=np.uint64)]), n * abs(step))[::step]
    pa, pic = mixed.translate(gpa)
    one_by_one = [mixed.translate(np.uint64(a)) for a in gpa.tolist()]
    assert list(zip(pa.tolist(), pic.tolist(), strict=True)) == one_by_one
    spread_pa = np.zeros((len(gpa), 2), np.uint64)
    spread_pic = np.zeros((len(gpa), 3), np.uint16)
    mixed.translate(gpa, out=(spread_pa[:, 1], spread_pic[:, 2]))
    assert (spread_pa[:, 1] == pa).all()
    assert (spread_pic[:, 2] == pic).all()
    assert not spread_pa[:, 0].any()
    assert not spread_pic[:, :2].any()
