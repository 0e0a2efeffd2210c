"""What can be profiled, in one form: a layout, and what more its source knows. Floor 4."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gmap._space import Gmap, MemslotInfo
from gmap.errors import ConfigError
from gmap.layout._from_gmap import layout_of
from gmap.layout._model import Kind, Layout
from gmap.layout._spans import leaf_ranges, merge_runs
from gmap.layout.spec import Spec, SpecError, build_all, locate_spec, read_spec

__all__ = ["Source", "source_of"]

U64: TypeAlias = NDArray[np.uint64]
Progress: TypeAlias = Callable[[int, int], None]

_ZIP_MAGIC: Final = b"PK\x03\x04"  # of a snapshot, which is an .npz
_PEEK: Final = 4096
_READING: Final = ("asce", "memslots", "regions", "table_bytes", "tables")


@dataclass(frozen=True)
class Source:
    """A layout, and what else is known about it.

    Attributes
    ----------
    name, kind : str
        What reports call it; "gmap", "snapshot", "layout" or "spec".
    layout : Layout
    frames : LEAF array or None
        Runs of leaves with their frames (`Gmap.regions`); None if the source has no frames.
    slots : tuple of MemslotInfo
    ipa_bits, asce : int or None
    stats : dict or None
        `Gmap.stats`, of a live address space.
    timeline : TIMELINE array or None
        How its faults went, if it was built here.
    """

    name: str
    kind: str
    layout: Layout
    frames: NDArray[np.void] | None = None
    slots: tuple[MemslotInfo, ...] = ()
    ipa_bits: int | None = None
    asce: int | None = None
    stats: dict[str, int] | None = None
    timeline: NDArray[np.void] | None = None
    description: str = ""

    def leaves(self) -> NDArray[np.void]:
        """Leaves as `RANGE`, neighbours of one height joined whatever their flags."""
        rows = self.layout.ranges[self.layout.ranges["kind"] == Kind.LEAF]
        parts = []
        for height in np.unique(rows["height"]):
            same = rows[rows["height"] == height]
            start, size, _ = merge_runs(same["start"], same["size"])
            parts.append(leaf_ranges(start, size, height))
        joined = np.concatenate(parts) if parts else leaf_ranges([], [], [])
        return joined[np.argsort(joined["start"], kind="stable")]

    def frame_runs(self) -> tuple[U64, U64, U64 | None]:
        """Runs of mapped memory, cut at slot edges: starts, sizes, frame minus address or None."""
        if self.frames is None:
            rows = self.layout.ranges[self.layout.ranges["kind"] == Kind.LEAF]
            return merge_runs(rows["start"], rows["size"])
        gpa, size = self.frames["gpa"], self.frames["size"]
        start, size, delta = merge_runs(gpa, size, self.frames["pa"] - gpa)
        return self.cut(start, size, delta)

    def edges(self) -> U64:
        """Addresses where slots begin or end."""
        edges = {s.guest_phys_addr for s in self.slots}
        edges |= {s.guest_phys_addr + s.memory_size for s in self.slots}
        return np.array(sorted(edge for edge in edges if edge < 1 << 64), dtype=np.uint64)

    def cut(self, start: U64, size: U64, delta: U64 | None) -> tuple[U64, U64, U64 | None]:
        """Cut runs where slots begin or end."""
        edges = self.edges()
        if not len(start) or not len(edges):
            return start, size, delta
        run = np.searchsorted(start, edges, side="right") - 1
        inside = (run >= 0) & (edges > start[run]) & (edges - start[run] < size[run])
        if not inside.any():
            return start, size, delta
        begins = np.sort(np.concatenate([start, edges[inside]]))
        of = np.searchsorted(start, begins, side="right") - 1
        ends = start[of] + size[of]
        same = of[1:] == of[:-1]
        ends[:-1][same] = begins[1:][same]
        return begins, ends - begins, None if delta is None else delta[of]

    def slot_runs(self) -> tuple[U64, U64, U64]:
        """The slots: starts, sizes, and host address minus guest address."""
        rows = [(s.guest_phys_addr, s.memory_size, s.userspace_addr) for s in self.slots]
        columns = np.array(sorted(rows), dtype=np.uint64).reshape(-1, 3)
        start, size = columns[:, 0].copy(), columns[:, 1].copy()
        return start, size, columns[:, 2] - start


def source_of(
    obj: Any,
    *,
    name: str | None = None,
    limit_bytes: int | None = None,
    progress: Progress | None = None,
) -> Source:
    """Bring what `gmap.profile` was given into one form.

    Raises
    ------
    ConfigError
        It is nothing that can be profiled.
    SpecError, TraceFormatError, OSError
        A file is malformed or cannot be read.
    """
    if isinstance(obj, str | PathLike):
        path, obj = obj, _open(obj)
        if name is None and not isinstance(obj, Spec):
            name = Path(path).name
    if isinstance(obj, Spec):
        built = build_all(obj, limit_bytes=limit_bytes, progress=progress)
        found = _of_space(built.space, obj.name, "spec")
        found = replace(found, timeline=built.timeline, description=obj.description)
    elif isinstance(obj, Layout):
        found = Source(obj.name or "layout", "layout", obj)
    elif all(hasattr(obj, attribute) for attribute in _READING):
        kind = "gmap" if isinstance(obj, Gmap) else "snapshot"
        found = _of_space(obj, kind, kind)
    else:
        raise ConfigError(
            f"{type(obj).__name__} cannot be profiled: give a Gmap, a Snapshot, a Layout, a Spec, "
            "or the path of a spec, a snapshot or a dump"
        )
    return found if name is None else replace(found, name=name)


def _of_space(space: Any, name: str, kind: str) -> Source:
    """Return the source of a live address space or a snapshot."""
    return Source(
        name,
        kind,
        layout_of(space),
        space.regions(),
        tuple(space.memslots),
        space.ipa_bits,
        space.asce,
        space.stats() if kind != "snapshot" and hasattr(space, "stats") else None,
    )


def _open(path: str | PathLike[str]) -> Any:
    """Tell a spec, a snapshot and a dump apart by what is in the file, and read it."""
    file = locate_spec(path)
    with open(file, "rb") as stream:
        head = stream.read(_PEEK)
    if head.startswith(_ZIP_MAGIC):
        from gmap.snapshot import load

        return load(file)
    if _is_dump(head):
        from gmap.dumps import read_ptdump

        return read_ptdump(file)
    if not head.strip():
        raise SpecError(f"{file}: the file is empty: give a spec, a snapshot or a dump")
    if b"\0" in head:
        raise SpecError(f"{file}: neither a TOML spec, nor a snapshot, nor a page-table dump")
    return read_spec(Path(file))


def _is_dump(head: bytes) -> bool:
    """Whether text, perhaps compressed, is a page-table dump: a header or a range comes first."""
    if head.startswith((b"\x1f\x8b", b"\xfd7zXZ\x00")):
        return True
    first = next((line for line in head.splitlines() if line.strip()), b"")
    return first.startswith(b"---[") or (first.startswith(b"0x") and b"-0x" in first)
