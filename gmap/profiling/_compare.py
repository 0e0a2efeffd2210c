"""Two profiles side by side: what changed, absolute and relative. Floor 4."""

import json
from os import PathLike
from typing import Any, Final

from gmap.profiling._profile import Profile
from gmap.profiling._sections import FACTS, TABLES, at_path

__all__ = ["SCHEMA", "Comparison", "compare"]

SCHEMA: Final = "gmap-profile-comparison/1"


class Comparison:
    """How profile B differs from profile A. Made by `compare`.

    >>> from gmap.profiling import compare, profile
    >>> p = profile("microvm")
    >>> compare(p, p)
    <Comparison microvm, microvm: 0 figures differ>
    """

    def __init__(self, a: Profile, b: Profile) -> None:
        self.a = a
        self.b = b
        sections = list(_sections(a.to_dict(), b.to_dict()))
        self._document: dict[str, Any] = {
            "schema": SCHEMA,
            "a": a.name,
            "b": b.name,
            "changed": sum(row["changed"] for section in sections for row in section["rows"]),
            "sections": sections,
        }

    def __repr__(self) -> str:
        changed = self._document["changed"]
        return f"<Comparison {self.a.name}, {self.b.name}: {changed} figures differ>"

    def __str__(self) -> str:
        from gmap.profiling._text import as_text

        return as_text(self)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures of both, ready for JSON: sections of rows with `a`, `b`, `change`
        (b - a) and `change_ratio` (of a); None where one of the two has no such row.

        >>> from gmap.profiling import compare, profile
        >>> p = profile("microvm")
        >>> compare(p, p).to_dict()["changed"]
        0
        """
        copy: dict[str, Any] = json.loads(self.to_json())
        return copy

    def to_json(self, *, indent: int | None = None) -> str:
        """Return `to_dict` as JSON text.

        >>> from gmap.profiling import compare, profile
        >>> p = profile("microvm")
        >>> compare(p, p).to_json()[:36]
        '{"schema": "gmap-profile-comparison/'
        """
        return json.dumps(self._document, indent=indent, allow_nan=False)

    def to_html(self, path: str | PathLike[str] | None = None) -> str:
        """Return the comparison as one self-contained page; write it to `path` if one is given.

        >>> from gmap.profiling import compare, profile
        >>> p = profile("microvm")
        >>> "No figure differs" in compare(p, p).to_html()
        True
        """
        from gmap.profiling._html import write_html

        return write_html(self, path)


def compare(a: Profile, b: Profile) -> Comparison:
    """Set two profiles side by side.

    Parameters
    ----------
    a, b : Profile

    >>> from gmap.profiling import compare, profile
    >>> small = compare(profile("microvm"), profile("program"))
    >>> rows = small.to_dict()["sections"][0]["rows"]
    >>> [(row["a"], row["b"], row["change"]) for row in rows if row["figure"] == "leaves"]
    [(13107, 12464, -643)]
    """
    return Comparison(a, b)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _row(row: str, figure: str, key: str, a: Any, b: Any) -> dict[str, Any]:
    """Return one line; what has no number on one side has no change."""
    both = _number(a) and _number(b)
    return {
        "row": row,
        "figure": figure,
        "key": key,
        "a": a,
        "b": b,
        "changed": a != b,
        "change": b - a if both else None,
        "change_ratio": (b - a) / a if both and a else None,
    }


def _sections(a: dict[str, Any], b: dict[str, Any]) -> Any:
    """Yield the sections in the order of the reports."""
    for facts in FACTS:
        rows = [
            _row("", heading, path.rpartition("/")[2], at_path(a, path), at_path(b, path))
            for heading, path in facts.rows
        ]
        yield {"title": facts.title, "folded": False, "rows": rows}
    for table in TABLES:
        names = [column.key for column in table.columns[: table.labels]]
        left = {_label(row, names): row for row in at_path(a, table.path)}
        right = {_label(row, names): row for row in at_path(b, table.path)}
        rows = []
        for label in [*left, *(label for label in right if label not in left)]:
            for column in table.columns[table.labels :]:
                values = [side.get(label, {}).get(column.key) for side in (left, right)]
                if any(_number(value) for value in values):
                    rows.append(_row(label, column.heading, column.key, *values))
        if rows:
            yield {"title": table.title, "folded": table.folded, "rows": rows}


def _label(row: dict[str, Any], names: list[str]) -> str:
    from gmap.profiling._format import shown

    return ", ".join(shown(name, row[name]) for name in names)
