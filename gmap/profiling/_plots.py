"""The plots of a profile: where leaves are, levels, reach, faults. Floor 4; needs matplotlib."""

import re
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gmap.profiling._export import need
from gmap.profiling._format import shown_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PLOTS", "figure", "inline_svg", "overview", "write_plots"]

# Seen well on white and on black; leaves from the bottom level up.
_LEAVES: Final = ("#3f83c4", "#d98324", "#3f9a5b", "#a45ec0", "#8a6d4b")
_STATES: Final = {
    "leaf": "#3f83c4",
    "table": "#d98324",
    "none": "#9aa5b1",
    "hole": "#c9707a",
    "unknown": "#7f7f7f55",
}
_SLOT: Final = "#9aa5b144"
_GRID: Final = "#80808055"
# Inches: all plots have the same margins, so that their axes stand in line.
_WIDTH: Final = 11.0
_BELOW, _ABOVE = 0.5, 0.32
_LEFT, _RIGHT = 0.17, 0.81  # shares of the width; labels of levels left, legends right
_SPARSE: Final = 25.0  # per cent: below this the axis of a map ends earlier
#: Stands for the colour of text until a page's own colour is known.
_INK: Final = "#010203"


def _scale(largest: float) -> tuple[float, str]:
    """The unit an axis of bytes gets: what to divide by, and its name."""
    for unit, shift in (("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if largest >= 4 << shift or shift == 10:
            return float(1 << shift), unit
    return 1.0, "B"


def _heights(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Key, name and colour of each leaf size."""
    return [
        (str(row["height"]), row["name"], _LEAVES[row["height"] % len(_LEAVES)])
        for row in document["leaf_sizes"]
    ]


def _nothing(axes: "Axes", text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)
    axes.set_xticks([])
    axes.set_yticks([])


def _draw_map(axes: "Axes", document: dict[str, Any], view: str) -> None:
    bins = document["address_map"][view]
    titles = {
        "linear": "Address space by leaf size",
        "mapped": "Mapped memory alone, in address order, by leaf size",
    }
    axes.set_title(titles[view])
    if not bins:
        _nothing(axes, "nothing is mapped")
        return
    end = bins[-1]["first_byte"] + bins[-1]["bin_bytes"]
    unit, name = _scale(end)
    edges = [*(row["first_byte"] / unit for row in bins), end / unit]
    if view == "linear" and any(row["slot_bytes"] for row in bins):
        share = [100 * row["slot_bytes"] / row["bin_bytes"] for row in bins]
        axes.stairs(share, edges, fill=True, color=_SLOT, lw=0, label="memory slots")
    bottom = [0.0] * len(bins)
    for key, size, colour in _heights(document):
        share = [100 * row["mapped_bytes_by_height"][key] / row["bin_bytes"] for row in bins]
        if any(share):
            top = [low + more for low, more in zip(bottom, share, strict=True)]
            axes.stairs(top, edges, baseline=bottom, fill=True, color=colour, lw=0, label=size)
            bottom = top
    axes.set_xlim(edges[0], edges[-1])
    # A sparse layout would be a line at the bottom.
    axes.set_ylim(0, 100 if max(bottom) >= _SPARSE else 1.25 * max(bottom) or 100)
    axes.set_ylabel("mapped, %")
    axes.set_xlabel(f"guest address, {name}" if view == "linear" else f"mapped bytes, {name}")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def _draw_levels(axes: "Axes", document: dict[str, Any]) -> None:
    rows = document["levels"]
    axes.set_title("What the entries of each level are")
    for index, row in enumerate(rows):
        left = 0.0
        for state, colour in _STATES.items():
            if row["entries"]:
                width = 100 * row[f"{state}_entries"] / row["entries"]
                axes.barh(index, width, 0.66, left, color=colour)
                left += width
    names = {"leaf": "leaves", "table": "to tables", "hole": "holes"}
    for state, colour in _STATES.items():
        axes.barh(0, 0, color=colour, label=names.get(state, state))
    axes.set_yticks(
        range(len(rows)),
        [
            f"{row['level']}\n{row['tables']:,} table{'s' * (row['tables'] != 1)}, "
            f"{shown_bytes(row['table_bytes'])}"
            for row in rows
        ],
    )
    axes.set_xlim(0, 100)
    axes.set_xlabel("entries, %")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def _draw_reach(axes: "Axes", document: dict[str, Any]) -> None:
    axes.set_title("Reach of a TLB and of cached table entries")
    mapped = document["totals"]["mapped_bytes"]
    if not mapped:
        _nothing(axes, "nothing is mapped")
        return
    rows = document["reach"]["tlb"]
    x = [row["entries"] for row in rows]
    lines = [
        ("TLB, neighbours (mean)", [row["in_order_bytes"] for row in rows], "o-", _LEAVES[0]),
        ("TLB, largest leaves", [row["best_bytes"] for row in rows], "o--", _LEAVES[0]),
    ]
    by_level: dict[str, list[dict[str, Any]]] = {}
    for row in document["reach"]["walk_cache"]:
        by_level.setdefault(row["level"], []).append(row)
    for index, (level, reach) in enumerate(by_level.items()):
        if reach[0]["tables"]:
            colour = _LEAVES[(index + 1) % len(_LEAVES)]
            lines.append(
                (f"{level} entries (mean)", [r["mean_bytes"] for r in reach], ".-", colour)
            )
    for label, values, style, colour in lines:
        axes.plot(x, values, style, color=colour, label=label, ms=4)
    axes.axhline(mapped, color=_GRID, ls=":", lw=2, label="all that is mapped")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xticks(x, [str(n) for n in x])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda value, position: shown_bytes(value))
    axes.set_xlabel("entries")
    axes.set_ylabel("mapped memory reached")
    axes.grid(True, color=_GRID, lw=0.6)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def _draw_timeline(axes: "Axes", document: dict[str, Any]) -> None:
    axes.set_title("Faults and table memory as pages are touched")
    rows = document["timeline"]
    if not rows or rows[-1]["touched_pages"] == 0:
        _nothing(axes, "not known: the layout was not built here")
        return
    x = [row["touched_pages"] for row in rows]
    factor, suffix = _thousands(max(x))
    x = [value / factor for value in x]
    faults = [row["faults"] / factor for row in rows]
    axes.plot(x, faults, color=_LEAVES[0], label="faults that map")
    axes.plot(x, [row["minor_faults"] / factor for row in rows], color=_LEAVES[0], ls=":",
              label="minor faults")  # fmt: skip
    axes.set_xlabel(f"pages touched{suffix}")
    axes.set_ylabel(f"faults{suffix}")
    axes.set_xlim(0, x[-1])
    axes.set_ylim(bottom=0)
    other = axes.twinx()
    unit, name = _scale(rows[-1]["table_bytes"])
    other.plot(x, [row["table_bytes"] / unit for row in rows], color=_LEAVES[1],
               label="table memory (right)")  # fmt: skip
    other.set_ylim(bottom=0)
    other.set_ylabel(f"table memory, {name}")
    lines = [*axes.get_lines(), *other.get_lines()]
    other.legend(lines, [str(line.get_label()) for line in lines], frameon=False)
    axes.grid(True, color=_GRID, lw=0.6)


def _thousands(largest: float) -> tuple[float, str]:
    """What counts are divided by, and how an axis says so."""
    for factor, name in ((1e9, "billions"), (1e6, "millions"), (1e3, "thousands")):
        if largest >= 5 * factor:
            return factor, f", {name}"
    return 1.0, ""


#: The plots by name: what draws them, their title for a reader who cannot see them, and height.
PLOTS: Final[dict[str, tuple[Callable[["Axes", dict[str, Any]], None], str, float]]] = {
    "linear-map": (
        lambda axes, document: _draw_map(axes, document, "linear"),
        "Share of each part of the address space that is mapped, by leaf size",
        2.4,
    ),
    "mapped-map": (
        lambda axes, document: _draw_map(axes, document, "mapped"),
        "Leaf sizes along the mapped memory in address order",
        2.0,
    ),
    "levels": (_draw_levels, "What the entries of each table level are", 2.4),
    "reach": (_draw_reach, "Bytes reached by so many TLB or walk-cache entries", 3.2),
    "timeline": (_draw_timeline, "Faults and table memory as pages are touched", 3.0),
}


def _style(ink: str) -> Any:
    keys = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    return {
        **dict.fromkeys(keys, ink),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "font.size": 9,
        "svg.fonttype": "none",
        "font.family": "sans-serif",
    }


def overview(document: dict[str, Any]) -> "Figure":
    """Return all plots, one below the other."""
    need("matplotlib")
    import matplotlib
    from matplotlib.figure import Figure

    heights = [height for _, _, height in PLOTS.values()]
    with matplotlib.rc_context(_style("black")):
        total = sum(heights)
        whole = Figure(figsize=(_WIDTH, total), facecolor="white")
        whole.subplots_adjust(_LEFT, _BELOW / total, _RIGHT, 1 - _ABOVE / total, hspace=0.45)
        grid = whole.subplots(len(PLOTS), 1, height_ratios=heights)
        for axes, (draw, _, _) in zip(grid, PLOTS.values(), strict=True):
            draw(axes, document)
    return whole


def figure(name: str, document: dict[str, Any]) -> "Figure":
    """Return one plot by its name in `PLOTS`."""
    from matplotlib.figure import Figure

    draw, _, height = PLOTS[name]
    one = Figure(figsize=(_WIDTH, height))
    one.subplots_adjust(_LEFT, _BELOW / height, _RIGHT, 1 - _ABOVE / height)
    draw(one.subplots(), document)
    return one


def inline_svg(name: str, document: dict[str, Any]) -> str:
    """Return a plot as an SVG element for a page, in the page's own text colour.

    The same profile gives the same text: no date, and ids from the plot's name.
    """
    need("matplotlib")
    import io

    import matplotlib

    stream = io.StringIO()
    with matplotlib.rc_context(_style(_INK) | {"svg.hashsalt": name}):
        figure(name, document).savefig(
            stream, format="svg", transparent=True, metadata={"Date": None}
        )
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg\b[^>]*?) height="[^"]*"([^>]*?) width="[^"]*"', r"\1\2", text, count=1)
    # Ids of all plots share one page.
    text = re.sub(r'\b(id=")', rf"\1{name}-", text)
    text = re.sub(r'((?:xlink:)?href="#|url\(#)', rf"\1{name}-", text)
    label = f'role="img" aria-label="{PLOTS[name][1]}"'
    return text.replace(_INK, "currentColor").replace("<svg", f"<svg {label}", 1)


def write_plots(
    document: dict[str, Any], directory: str | PathLike[str], suffix: str
) -> list[Path]:
    """Write every plot to a directory, as "png" or "svg"; the files written."""
    need("matplotlib")
    import matplotlib

    base = Path(directory)
    base.mkdir(parents=True, exist_ok=True)
    written = []
    for name in PLOTS:
        if name == "timeline" and not document["timeline"]:
            continue
        path = base / f"{name}.{suffix}"
        with matplotlib.rc_context(_style("black") | {"svg.hashsalt": name}):
            metadata = {"Date": None} if suffix == "svg" else None
            one = figure(name, document)
            one.savefig(path, dpi=150, facecolor="white", metadata=metadata)
        written.append(path)
    return written
