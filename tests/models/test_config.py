"""Models in Python and in TOML: what is refused, and that both say the same."""

import re
import tomllib
from pathlib import Path

import pytest

from gmap.errors import ConfigError
from gmap.models import (
    Model,
    ModelFileError,
    Replacement,
    Tlb,
    Walk,
    WalkCache,
    model,
    model_from_dict,
    presets,
    read_model,
    replay,
)

DOCS = Path(__file__).parent.parent.parent / "docs" / "models.md"

WHOLE = """
name = "whole"
inclusive = true
seed = 7

[[l1]]
name = "D"
sets = 16
ways = 4
pages = ["4K", 65536]
replacement = "plru"

[[l1i]]
sets = 8
ways = 4
pages = ["4K", "64K"]

[[l2]]
sets = 128
ways = 12
pages = ["64K", "4K"]
replacement = "nru"

[walk]
stage1 = [12, 21, 30, 39]
stage2 = [12, 20, 31]
guest_page = "2M"
table_page = "1M"
nested = { sets = 1, ways = 8, pages = ["4K"], replacement = "fifo" }
stage2_caches = [{ height = 2, sets = 1, ways = 2 }, { height = 1, sets = 1, ways = 16 }]

[[walk.stage1_caches]]
height = 1
sets = 2
ways = 2
replacement = "random"
"""


def test_a_file_says_what_python_says(tmp_path):
    path = tmp_path / "whole.toml"
    path.write_text(WHOLE)
    expected = Model(
        "whole",
        l1=Tlb(16, 4, ["4K", "64K"], "plru", "D"),
        l1i=Tlb(8, 4, ["4K", "64K"], name="l1i"),
        l2=Tlb(128, 12, ["4K", "64K"], Replacement.NRU, "l2"),
        walk=Walk(
            stage1=(12, 21, 30, 39),
            stage2=[12, 20, 31],
            guest_page="2M",
            table_page=1 << 20,
            nested=Tlb(1, 8, ["4K"], "fifo", "nested"),
            stage2_caches=[WalkCache(1, 1, 16), WalkCache(2, 1, 2)],
            stage1_caches=WalkCache(1, 2, 2, "random"),
        ),
        inclusive=True,
        seed=7,
    )
    assert read_model(path) == model(str(path)) == model(path) == expected
    assert hash(expected) == hash(read_model(path))
    assert replay("triad", path).model == expected


def test_the_documented_file_is_a_model():
    (text,) = re.findall(r"```toml\n(.*?)```", DOCS.read_text(), flags=re.DOTALL)
    assert model_from_dict(tomllib.loads(text)).walk.nested is not None


def broken(change):
    document = tomllib.loads(WHOLE)
    change(document)
    return document


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d: d.pop("name"), "the model lacks the field 'name'"),
        (lambda d: d.pop("l1"), "the model lacks the field 'l1'"),
        (lambda d: d.update(name=""), "name of a model"),
        (lambda d: d.update(name=5), "name of a model"),
        (lambda d: d.update(l3=[]), "has no field 'l3'"),
        (lambda d: d.update(l1=[]), "l1 has no TLB"),
        (lambda d: d.update(l1={"sets": 1, "ways": 1}), "l1 must be an array of tables"),
        (lambda d: d.update(l1=[5]), "l1[0] must be a table"),
        (lambda d: d.update(seed=-1), "seed -1 is out of range"),
        (lambda d: d.update(seed=1.5), "seed must be an integer"),
        (lambda d: d.update(inclusive=1), "inclusive must be"),
        (lambda d: d.update(walk=5), "walk must be a table"),
        (lambda d: d["l1"][0].pop("sets"), "l1[0] lacks the field 'sets'"),
        (lambda d: d["l1"][0].update(sets=3), "D: sets 3 is no power of two"),
        (lambda d: d["l1"][0].update(sets=0), "D: sets 0 is out of range"),
        (lambda d: d["l1"][0].update(sets=1 << 40), "is out of range"),
        (lambda d: d["l1"][0].update(sets=True), "must be an integer"),
        (lambda d: d["l1"][0].update(ways=0), "D: ways 0 is out of range"),
        (lambda d: d["l1"][0].update(ways=2.0), "ways must be an integer"),
        (lambda d: d["l1"][0].update(ways=3), "plru ways 3 is no power of two"),
        (lambda d: d["l1"][0].update(ways=64), "plru takes at most 32 ways"),
        (lambda d: d["l1"][0].update(colour=1), "l1[0] has no field 'colour'"),
        (lambda d: d["l1"][0].update(pages=[]), "D: pages must name"),
        (lambda d: d["l1"][0].update(pages="4K"), "D: pages must be a list"),
        (lambda d: d["l1"][0].update(pages=["4K", 4096]), "different sizes"),
        (lambda d: d["l1"][0].update(pages=["5K"]), "page size '5K'"),
        (lambda d: d["l1"][0].update(pages=[12345]), "12345 is no power of two"),
        (lambda d: d["l1"][0].update(name="\n"), "printable text"),
        (lambda d: d["l1"][0].update(replacement="mru"), "replacement 'mru'"),
        (lambda d: d["l1"][0].update(replacement=0), "replacement 0"),
        (lambda d: d["l1"].append(d["l1"][0]), "held by two TLBs"),
        (lambda d: d["l1"][0].update(sets=1 << 20, ways=32), "at most 16777216 entries"),
        (lambda d: d["l2"][0].update(pages=["4K"]), "holds the same page sizes"),
        (lambda d: d.pop("l2"), "holds the same page sizes"),
        (lambda d: d["walk"].update(stage2=[]), "stage2 has 0 levels"),
        (lambda d: d["walk"].update(stage2=[12] * 7), "stage2 has 7 levels"),
        (lambda d: d["walk"].update(stage2=[20, 12]), "must rise"),
        (lambda d: d["walk"].update(stage2=[12, 12]), "must rise"),
        (lambda d: d["walk"].update(stage2=[11, 20]), "stage2 11 is out of range"),
        (lambda d: d["walk"].update(stage2=[12, 58]), "stage2 58 is out of range"),
        (lambda d: d["walk"].update(stage2="12"), "sequence of shifts"),
        (lambda d: d["walk"].update(stage1=[]), "stage1_caches need stage1"),
        (lambda d: d["walk"].update(stage1=[], stage1_caches=[]), "nested TLB needs stage1"),
        (lambda d: d["walk"].update(guest_page="1"), "guest_page '1'"),
        (lambda d: d["walk"].update(speed=1), "walk has no field 'speed'"),
        (lambda d: d["walk"]["nested"].update(sets=5), "walk.nested: nested: sets 5"),
        (lambda d: d["walk"].update(nested=5), "walk.nested"),
        (lambda d: d["walk"]["stage2_caches"][0].update(height=3), "height 3: stage2 has 3 levels"),
        (lambda d: d["walk"]["stage2_caches"][0].update(height=1), "height 1: stage2 has"),
        (lambda d: d["walk"]["stage2_caches"][0].update(height=0), "height 0 is out of range"),
        (lambda d: d["walk"]["stage2_caches"][0].update(ways=0), "walk cache of height 2: ways 0"),
    ],
)
def test_what_is_no_model_is_refused(change, text):
    with pytest.raises(ConfigError, match=re.escape(text)):
        model_from_dict(broken(change))


def test_walks_of_one_dimension_have_no_guest_pages():
    with pytest.raises(ConfigError, match="need stage1"):
        Walk(guest_page="2M")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"name = ", "no TOML"),
        (b"\xff\xfe", "UTF-8"),
        (b"", "lacks the field 'name'"),
        (b"x = " + b"[" * 5000, "bad.toml"),
        (b"#" * (1 << 21), "more than 1048576 bytes"),
        (b"name = 'a'\n[[l1]]\nsets = 3\nways = 1\n", "sets 3"),
    ],
)
def test_a_malformed_file_is_named(tmp_path, data, text):
    path = tmp_path / "bad.toml"
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match=re.escape(text)) as caught:
        read_model(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("field", ["l1", "l1i", "l2", "walk"])
@pytest.mark.parametrize("value", [5, "text", [5], [Walk()]])
def test_parts_of_the_wrong_kind_are_refused(field, value):
    with pytest.raises(ConfigError):
        Model(**{"name": "x", "l1": Tlb(1, 1), field: value})


def test_a_description_is_frozen():
    for part in (Tlb(1, 1), WalkCache(1, 1, 1), Walk(), presets()["server"]):
        with pytest.raises(AttributeError):
            part.sets = 4


def test_presets_are_what_their_names_say():
    for name, preset in presets().items():
        assert preset.name == name
        assert model(name) is preset
    assert presets()["guest"].walk.references == 24
