"""The page: every figure on it is that of the JSON, it loads nothing, and needs no script."""

import json
import re
from html.parser import HTMLParser

import pytest

from gmap.profiling import compare, profile

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

UNITS = {"B": 1} | {f"{u}iB": 1 << 10 * (i + 1) for i, u in enumerate("KMGTPE")}
VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Collect figures, cells, attributes and the embedded JSON."""

    def __init__(self, text):
        super().__init__()
        self.stack, self.figures, self.cells, self.attributes = [], [], [], []
        self.loose, self.scripts = [], []
        self.feed(text)
        self.close()
        assert not self.stack, "elements are left open"

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.attributes += [(tag, key, value) for key, value in attributes]
        if tag == "script":
            self.scripts.append([found, ""])
        if "data-key" in found:
            self.figures.append([found["data-key"], found["data-value"], ""])
        if tag not in VOID:
            self.stack.append((tag, found))

    def handle_startendtag(self, tag, attributes):
        self.attributes += [(tag, key, value) for key, value in attributes]

    def handle_endtag(self, tag):
        assert self.stack.pop()[0] == tag

    def handle_data(self, data):
        tags = [tag for tag, _ in self.stack]
        if "script" in tags:
            self.scripts[-1][1] += data
        elif self.stack and "data-key" in self.stack[-1][1]:
            self.figures[-1][2] += data
        elif "td" in tags or "b" in tags:
            self.loose.append(data.strip())


def value_at(document, path):
    for part in path.split("/"):
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def read(text):
    """The number a person reads; the test's own reading, not the code's writing."""
    text = text.replace(",", "").removeprefix("+")
    if text in ("yes", "no"):
        return text == "yes"
    if text.startswith("0x"):
        return int(text, 16)
    number, _, unit = text.partition(" ")
    scale = 0.01 if unit in ("%", "points") else UNITS.get(unit, 1)
    assert unit in ("", "%", "points", *UNITS)
    return float(number) * scale


@pytest.fixture(scope="module")
def reports():
    a, b = profile("microvm"), profile("misaligned")
    return {"profile": a, "dense": b, "comparison": compare(a, b)}


@pytest.fixture(scope="module", params=["profile", "dense", "comparison"])
def page(request, reports):
    report = reports[request.param]
    text = report.to_html()
    return report, text, Page(text)


def test_every_figure_is_that_of_the_json(page):
    report, _, parsed = page
    document = report.to_dict()
    assert len(parsed.figures) > 100
    for path, value, text in parsed.figures:
        exact = value_at(document, path)
        assert json.loads(value) == exact, path
        assert read(text) == pytest.approx(exact, rel=0.006, abs=0.0006), path


def test_no_figure_is_written_beside_them(page):
    """What is in cells and tiles and has no path is a label: a name of the JSON, or text."""
    report, _, parsed = page
    names = set()

    def collect(part):
        if isinstance(part, str):
            names.add(part)
        elif isinstance(part, dict):
            names.update(part)
            for value in part.values():
                collect(value)
        elif isinstance(part, list):
            for value in part:
                collect(value)

    collect(report.to_dict())
    numbers = [text for text in parsed.loose if re.search(r"\d", text) and text not in names]
    assert not numbers


def test_the_json_is_in_the_page(page):
    report, _, parsed = page
    ((attributes, text),) = parsed.scripts
    assert attributes == {"type": "application/json", "id": "profile"}
    assert json.loads(text) == report.to_dict()


def test_nothing_is_loaded(page):
    _, text, parsed = page
    for tag, key, value in parsed.attributes:
        assert tag not in ("link", "img", "iframe", "object", "embed", "audio", "video", "base")
        assert key != "src"
        assert not key.startswith("on")
        if key in ("href", "xlink:href"):
            assert value.startswith("#")
        if value and "url(" in value:
            assert re.fullmatch(r".*url\(#[\w-]+\).*", value)
        if value and "//" in value:
            assert key.startswith("xmlns")
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_ids_are_unique_and_found(page):
    _, text, parsed = page
    ids = [value for _, key, value in parsed.attributes if key == "id"]
    assert len(ids) == len(set(ids))
    used = re.findall(r"url\(#([\w-]+)\)", text)
    used += [value[1:] for _, key, value in parsed.attributes if key in ("href", "xlink:href")]
    assert used
    assert set(used) <= set(ids)


def test_it_fits_light_and_dark(page):
    _, text, _ = page
    assert "color-scheme: light dark" in text
    assert "#010203" not in text
    assert "currentColor" in text
    # No text of a plot keeps a colour of its own.
    for style in re.findall(r"<text[^>]*style=\"([^\"]*)\"", text):
        assert "fill" not in style or "currentColor" in style


def test_the_same_profile_gives_the_same_page(reports):
    assert reports["profile"].to_html() == profile("microvm").to_html()


def test_names_cannot_break_out():
    name = "</script><script>alert(1)</script>&\"'"
    text = profile("microvm", name=name).to_html()
    parsed = Page(text)
    assert len(parsed.scripts) == 1
    assert json.loads(parsed.scripts[0][1])["name"] == name
    assert "<script>alert" not in text


def test_it_is_written_whole_or_not_at_all(tmp_path, monkeypatch, reports):
    monkeypatch.setattr("gmap.profiling._html.profile_html", lambda report: f"{report!r} \xe9")
    path = tmp_path / "report.html"
    before = reports["profile"].to_html(path)
    assert path.read_text("utf-8") == before

    def full(source, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        reports["dense"].to_html(path)
    assert path.read_text("utf-8") == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_a_notebook_shows_the_page(reports):
    text = reports["profile"]._repr_html_()
    assert text.startswith("<iframe srcdoc=")
    assert 'sandbox=""' in text
    assert "<script>" not in text
