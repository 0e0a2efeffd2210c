"""A profile or a comparison as text for a terminal. Floor 4."""

import io
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table as RichTable

from gmap.profiling._format import shown, shown_change
from gmap.profiling._sections import FACTS, Column, Table, at_path, present

if TYPE_CHECKING:
    from gmap.profiling._compare import Comparison
    from gmap.profiling._profile import Profile

__all__ = ["as_text", "print_comparison", "print_profile"]

_WIDTH: Final = 150
_FEW_ENTRIES: Final = (16, 256, 4096)  # rows of the long tables that a terminal gets


def _cell(column: Column, row: dict[str, Any]) -> str:
    value = row.get(column.key)
    if isinstance(value, dict):
        return ", ".join(f"{key} {number:,}" for key, number in value.items()) or "-"
    return shown(column.key, value)


def _new(title: str, caption: str = "") -> RichTable:
    return RichTable(
        title=title,
        title_justify="left",
        title_style="bold",
        caption=caption or None,
        caption_justify="left",
        box=None,
        pad_edge=False,
    )


def _rows_for_terminal(table: Table, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out most of the long tables; JSON and HTML have all of it."""
    if table.name in ("tlb", "walk_cache"):
        return [row for row in rows if row["entries"] in _FEW_ENTRIES]
    if table.name == "nested_walks":
        return [row for row in rows if row["stage2_leaf"] == "mean"]
    return rows


def print_profile(profile: "Profile", console: Console) -> None:
    """Print the tables of a profile."""
    document = profile.to_dict()
    console.print(f"[bold]{document['name']}[/]: {document['geometry']['name']}", highlight=False)
    if document["description"]:
        console.print(document["description"], style="dim", highlight=False, markup=False)
    console.print()
    for facts in FACTS:
        grid = _new(facts.title)
        grid.show_header = False
        grid.add_column("")
        grid.add_column("", justify="right")
        for heading, path in facts.rows:
            value = at_path(document, path)
            if value is not None:
                grid.add_row(heading, shown(path.rpartition("/")[2], value))
        console.print(grid)
        console.print()
    for table, rows in present(document):
        out = _new(table.title, table.note)
        for index, column in enumerate(table.columns):
            left = index < table.labels or column.key in ("leaves_by_size", "geometry")
            out.add_column(column.heading, justify="left" if left else "right", overflow="fold")
        for row in _rows_for_terminal(table, rows):
            out.add_row(*(_cell(column, row) for column in table.columns))
        console.print(out)
        console.print()


def print_comparison(comparison: "Comparison", console: Console) -> None:
    """Print what changed from one profile to the other."""
    document = comparison.to_dict()
    a, b = document["a"], document["b"]
    console.print(f"[bold]A[/] {a}    [bold]B[/] {b}", highlight=False)
    console.print()
    for section in document["sections"]:
        changed = [row for row in section["rows"] if row["changed"]]
        if not changed or section["folded"]:
            continue
        same = len(section["rows"]) - len(changed)
        out = _new(section["title"], f"{same} more are the same" if same else "")
        for heading in ("", "figure"):
            out.add_column(heading)
        for heading in ("A", "B", "change", "relative"):
            out.add_column(heading, justify="right")
        for row in changed:
            key = row["key"]
            out.add_row(
                row["row"],
                row["figure"],
                shown(key, row["a"]),
                shown(key, row["b"]),
                "-" if row["change"] is None else shown_change(key, row["change"]),
                "-"
                if row["change_ratio"] is None
                else shown_change("change_ratio", row["change_ratio"]),
            )
        console.print(out)
        console.print()
    if not document["changed"]:
        console.print("No figure differs.")


def as_text(what: Any) -> str:
    """Return the report as plain text.

    >>> from gmap.profiling import profile
    >>> as_text(profile("microvm")).splitlines()[0]
    'microvm: s390 gmap, region-3 table'
    """
    from gmap.profiling._compare import Comparison

    stream = io.StringIO()
    console = Console(file=stream, width=_WIDTH, color_system=None)
    if isinstance(what, Comparison):
        print_comparison(what, console)
    else:
        print_profile(what, console)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"
