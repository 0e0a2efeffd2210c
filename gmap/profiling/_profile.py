"""The profile of a layout: every figure, and the forms it comes in. Floor 4."""

import json
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gmap.layout._model import Geometry, Kind
from gmap.layout._spans import choose_leaves, count_entries, spans_filled, table_shift
from gmap.profiling._costs import (
    GUESTS,
    leaf_sizes,
    mean_reads,
    nested_reads,
    ratio,
    size_name,
    stage1_levels,
    table_bytes_of,
)
from gmap.profiling._export import SECTIONS, need
from gmap.profiling._map import address_map, holes
from gmap.profiling._native import native_rows
from gmap.profiling._reach import tlb_reach, walk_cache_reach
from gmap.profiling._sources import Source, source_of
from gmap.profiling._whatif import blocks, ipa_sizes, is_gmap, is_stage2, page_sizes, slots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SCHEMA", "SECTIONS", "Profile", "profile"]

SCHEMA: Final = "gmap-profile/1"


class Profile:
    """What a layout costs. Made by `gmap.profile`.

    >>> import gmap
    >>> from gmap.profiling import profile
    >>> p = profile(gmap.Gmap(gmap.SyntheticHost()))
    >>> p.to_dict()["totals"]["table_bytes"]
    16384
    >>> p
    <Profile gmap: 0 bytes mapped by 0 leaves, 16384 bytes of tables>
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def __repr__(self) -> str:
        totals = self._document["totals"]
        return (
            f"<Profile {self.name}: {totals['mapped_bytes']} bytes mapped by {totals['leaves']} "
            f"leaves, {totals['table_bytes']} bytes of tables>"
        )

    def __str__(self) -> str:
        from gmap.profiling._text import as_text

        return as_text(self)

    @property
    def name(self) -> str:
        """What reports call it."""
        return str(self._document["name"])

    def to_dict(self) -> dict[str, Any]:
        """Return every figure as plain values, ready for JSON; units are in the names.

        >>> import gmap
        >>> from gmap.profiling import profile
        >>> profile(gmap.Gmap(gmap.SyntheticHost())).to_dict()["schema"]
        'gmap-profile/1'
        """
        copy: dict[str, Any] = json.loads(self.to_json())
        return copy

    def to_json(self, *, indent: int | None = None) -> str:
        """Return `to_dict` as JSON text.

        >>> import gmap
        >>> from gmap.profiling import profile
        >>> profile(gmap.Gmap(gmap.SyntheticHost())).to_json().startswith('{"schema"')
        True
        """
        return json.dumps(self._document, indent=indent, allow_nan=False)

    def to_arrow(self) -> dict[str, Any]:
        """Return one Arrow table for each section that has rows (`SECTIONS`), and `totals`.

        >>> import gmap
        >>> from gmap.profiling import profile
        >>> tables = profile(gmap.Gmap(gmap.SyntheticHost())).to_arrow()
        >>> tables["levels"].column("tables").to_pylist()
        [0, 0, 1]
        """
        from gmap.profiling._export import arrow_tables

        return arrow_tables(self._document)

    def to_pandas(self) -> dict[str, Any]:
        """Return the tables of `to_arrow` as data frames; needs pandas.

        >>> import gmap
        >>> from gmap.profiling import profile
        >>> frames = profile(gmap.Gmap(gmap.SyntheticHost())).to_pandas()
        >>> int(frames["levels"]["tables"].sum())
        1
        """
        need("pandas")
        return {name: table.to_pandas() for name, table in self.to_arrow().items()}

    def to_parquet(self, directory: str | PathLike[str]) -> list[Path]:
        """Write each table of `to_arrow` to a Parquet file of its name; the files written.

        >>> import gmap, tempfile
        >>> from gmap.profiling import profile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     files = profile(gmap.Gmap(gmap.SyntheticHost())).to_parquet(directory)
        >>> "levels.parquet" in [file.name for file in files]
        True
        """
        from gmap.profiling._export import write_parquet

        return write_parquet(self.to_arrow(), directory)

    def to_html(self, path: str | PathLike[str] | None = None) -> str:
        """Return the report as one self-contained page, and write it to `path` if one is given.

        >>> import gmap
        >>> from gmap.profiling import profile
        >>> profile(gmap.Gmap(gmap.SyntheticHost())).to_html()[:15]
        '<!DOCTYPE html>'
        """
        from gmap.profiling._html import write_html

        return write_html(self, path)

    def plot(self) -> "Figure":
        """Return the plots as one matplotlib figure.

        >>> import gmap
        >>> from gmap.profiling import profile
        >>> len(profile(gmap.Gmap(gmap.SyntheticHost())).plot().axes) > 3
        True
        """
        from gmap.profiling._plots import overview

        return overview(self._document)

    def _repr_html_(self) -> str:
        from gmap.profiling._html import notebook_html

        return notebook_html(self)


def profile(
    obj: Any,
    *,
    name: str | None = None,
    limit_bytes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Profile:
    """Tell what a layout costs.

    Parameters
    ----------
    obj : Gmap, Snapshot, Layout, Spec, str or path
        A live address space, a saved one, what a dump says, or a spec, which is built; a path
        names a file of any of these, or a bundled spec.
    name : str, optional
        What the reports call it.
    limit_bytes : int, optional
        For a spec: refuse if its tables would be larger (`gmap.layout.spec.build`).
    progress : callable, optional
        For a spec: called with (pages touched, pages to touch).

    Returns
    -------
    Profile

    Raises
    ------
    ConfigError
        Nothing that can be profiled; a spec or a size that is refused.
    TraceFormatError, OSError
        A file is malformed, or cannot be read.

    Notes
    -----
    docs/profile.md says what each figure is. A live address space is read in several steps;
    if others change it meanwhile, the figures are those of different moments.

    >>> from gmap.profiling import profile
    >>> p = profile("microvm")
    >>> p.to_dict()["totals"]["table_bytes"]
    786432
    """
    return Profile(_document(source_of(obj, name=name, limit_bytes=limit_bytes, progress=progress)))


# --- the figures ----------------------------------------------------------------------------


def _document(source: Source) -> dict[str, Any]:
    """Return all sections."""
    layout = source.layout
    geometry = layout.geometry
    tables, entries = count_entries(layout)
    leaves = source.leaves()
    sizes = leaf_sizes(geometry, leaves)
    mapped = int(leaves["size"].sum())
    table_bytes = table_bytes_of(geometry, tables)
    reads = mean_reads(geometry, leaves)
    kinds = layout.ranges["kind"]
    protected = _protected(source)
    levels = []
    for height, (level, n, of) in enumerate(zip(geometry.levels, tables, entries, strict=True)):
        below = leaves[leaves["height"] <= height]
        fill = spans_filled(below["start"], below["size"], table_shift(geometry, height))
        levels.append(
            {
                "height": height,
                "level": level.name,
                "entry_bytes": 1 << level.shift,
                "tables": n,
                "table_bytes": n * level.table_bytes,
                "entries": n * level.entries,
                **{f"{key}_entries": value for key, value in of._asdict().items()},
                "protected_entries": protected[height] if protected is not None else None,
                "tables_with_memory": fill.full + len(fill.partial),
                "tables_full": fill.full,
                "mapped_ratio": ratio(int(below["size"].sum()), n << table_shift(geometry, height)),
            }
        )
    timeline = source.timeline
    pages = page_sizes(source, tables)
    found = holes(source)
    return {
        "schema": SCHEMA,
        "name": source.name,
        "description": source.description,
        "source": source.kind,
        "guest": {
            "ipa_bits": source.ipa_bits,
            "slots": slots(source),
        },
        "geometry": {
            "name": geometry.name,
            "levels": geometry.depth,
            "root_tables": geometry.root_tables,
            "start": layout.start,
            "end": layout.end,
        },
        "totals": {
            "mapped_bytes": mapped,
            "slot_bytes": found["slot_bytes"],
            "leaves": sum(row["leaves"] for row in sizes),
            "tables": sum(tables),
            "table_bytes": table_bytes,
            "entries": sum(row["entries"] for row in levels),
            "table_ratio": ratio(table_bytes, mapped),
            "none_bytes": int(layout.ranges["size"][kinds == Kind.NONE].sum(dtype=np.uint64)),
            "outside_slots_bytes": int(
                layout.ranges["size"][kinds == Kind.HOLE].sum(dtype=np.uint64)
            ),
        },
        "levels": levels,
        "leaf_sizes": sizes,
        "holes": found,
        "walk": _walks(geometry, sizes, reads),
        "faults": _faults(source, sizes, entries),
        "reach": {
            "tlb": tlb_reach(geometry, leaves),
            "walk_cache": walk_cache_reach(geometry, leaves),
        },
        "what_if": {
            "frames_known": source.frames is not None,
            "blocks": blocks(source),
            "page_sizes": pages,
            "ipa_sizes": ipa_sizes(source),
        },
        "native": [{**pages[0], "name": "as it is"}, *native_rows(source)]
        if _is_guest(source)
        else [],
        "address_map": address_map(source),
        "timeline": None if timeline is None else _rows(timeline),
    }


def _is_guest(source: Source) -> bool:
    """Whether the layout is that of a guest, which a native host could have."""
    return is_gmap(source.layout.geometry) or is_stage2(source.layout.geometry)


def _rows(array: Any) -> list[dict[str, int]]:
    """Return the rows of a structured array of integers as dicts."""
    return [dict(zip(array.dtype.names, row, strict=True)) for row in array.tolist()]


def _protected(source: Source) -> list[int] | None:
    """Leaf entries of each height with the hardware's protection bit, where frames are known."""
    if source.frames is None:
        return None
    rows = source.frames[source.frames["protected"]]
    return [
        int((rows["size"][rows["level"] + 1 == height] >> np.uint64(level.shift)).sum())
        for height, level in enumerate(source.layout.geometry.levels)
    ]


def _walks(geometry: Geometry, sizes: list[dict[str, Any]], reads: float | None) -> dict[str, Any]:
    """Return the table reads of walks with nothing cached."""
    nested = []
    for name, granule, height in GUESTS:
        n = stage1_levels(granule, height)
        for row in sizes:
            nested.append(
                {
                    "guest": name,
                    "stage1_levels": n,
                    "stage2_leaf": row["name"],
                    "stage2_levels": row["walk_reads"],
                    "nested_reads": int(nested_reads(n, row["walk_reads"])),
                }
            )
        nested.append(
            {
                "guest": name,
                "stage1_levels": n,
                "stage2_leaf": "mean",
                "stage2_levels": reads,
                "nested_reads": None if reads is None else nested_reads(n, reads),
            }
        )
    return {"levels": geometry.depth, "mean_reads": reads, "nested": nested}


def _faults(source: Source, sizes: list[dict[str, Any]], entries: list[Any]) -> dict[str, Any]:
    """Return the faults that made the layout, and those that fill its slots."""
    geometry = source.layout.geometry
    whole = []
    if source.slots:
        start, size, delta = source.slot_runs()
        for height, level in enumerate(geometry.levels):
            if level.leaf:
                leaves = choose_leaves(geometry, start, size, delta, largest=height)
                each = [1 << geometry.levels[h].shift for h in range(geometry.depth)]
                n = (leaves["size"] // np.array(each, dtype=np.uint64)[leaves["height"]]).sum()
                whole.append({"largest_page": size_name(1 << level.shift), "faults": int(n)})
    stats = source.stats
    return {
        "first_touch": sum(row["leaves"] for row in sizes),
        "first_touch_by_size": {row["name"]: row["leaves"] for row in sizes},
        # A dump does not tell what is dirty.
        "first_write": None if source.frames is None else sum(of.leaf - of.dirty for of in entries),
        "seen_major": stats["major"] if stats else None,
        "seen_minor": stats["minor"] if stats else None,
        "whole_slots": whole,
    }
