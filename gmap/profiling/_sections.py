"""The tables of a report: which figures, in which order, under which headings. Floor 4.

Text, HTML and comparisons all follow this list, so none shows what the others do not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["FACTS", "TABLES", "Column", "Facts", "Table", "at_path", "present"]


@dataclass(frozen=True)
class Column:
    """One column: its heading, and the name of the figure."""

    heading: str
    key: str


@dataclass(frozen=True)
class Table:
    """A list of rows at a path of the document; the first `labels` columns name a row."""

    name: str
    title: str
    path: str
    columns: tuple[Column, ...]
    labels: int = 1
    note: str = ""
    folded: bool = False  # long: the page shows it on demand


@dataclass(frozen=True)
class Facts:
    """Single figures: a heading and a path each."""

    title: str
    rows: tuple[tuple[str, str], ...]


def _columns(*pairs: tuple[str, str]) -> tuple[Column, ...]:
    return tuple(Column(heading, key) for heading, key in pairs)


_COST: Final = (
    ("levels", "levels"),
    ("tables", "tables"),
    ("table bytes", "table_bytes"),
    ("mapped", "mapped_bytes"),
    ("tables / mapped", "table_ratio"),
    ("leaves", "leaves"),
    ("by size", "leaves_by_size"),
    ("reads", "mean_walk_reads"),
    ("nested reads", "mean_nested_reads"),
)

FACTS: Final = (
    Facts(
        "Summary",
        (
            ("memory slots", "totals/slot_bytes"),
            ("mapped", "totals/mapped_bytes"),
            ("leaves", "totals/leaves"),
            ("tables", "totals/tables"),
            ("table memory", "totals/table_bytes"),
            ("tables / mapped", "totals/table_ratio"),
            ("table entries", "totals/entries"),
            ("levels of a walk", "walk/levels"),
            ("reads of a TLB miss, mean", "walk/mean_reads"),
            ("in slots, not mapped", "holes/unmapped_slot_bytes"),
            ("holes between mapped runs", "holes/holes"),
            ("bytes of these holes", "holes/hole_bytes"),
            ("largest hole", "holes/largest_hole_bytes"),
            ("runs of mapped memory", "holes/mapped_runs"),
        ),
    ),
    Facts(
        "Faults to warm up",
        (
            ("first touches (one a leaf)", "faults/first_touch"),
            ("first writes still to come (clean leaves)", "faults/first_write"),
            ("seen: faults that mapped", "faults/seen_major"),
            ("seen: minor faults", "faults/seen_minor"),
        ),
    ),
)

TABLES: Final = (
    Table(
        "levels",
        "Tables and entries by level",
        "levels",
        _columns(
            ("level", "level"),
            ("an entry covers", "entry_bytes"),
            ("tables", "tables"),
            ("table bytes", "table_bytes"),
            ("entries", "entries"),
            ("leaves", "leaf_entries"),
            ("to tables", "table_entries"),
            ("none", "none_entries"),
            ("holes", "hole_entries"),
            ("unknown", "unknown_entries"),
            ("mapped below", "mapped_ratio"),
        ),
        note="none: nothing mapped there; holes: outside every slot; unknown: the source does "
        "not tell, or beyond the guest's size.",
    ),
    Table(
        "states",
        "Leaves by state",
        "levels",
        _columns(
            ("level", "level"),
            ("leaves", "leaf_entries"),
            ("young", "young_entries"),
            ("dirty", "dirty_entries"),
            ("writable now", "writable_entries"),
            ("protected", "protected_entries"),
        ),
    ),
    Table(
        "leaf_sizes",
        "Leaf sizes",
        "leaf_sizes",
        _columns(
            ("size", "name"),
            ("leaves", "leaves"),
            ("mapped", "mapped_bytes"),
            ("share", "mapped_ratio"),
            ("runs", "runs"),
            ("reads of a walk", "walk_reads"),
        ),
    ),
    Table(
        "blocks",
        "Large pages: what each block would need",
        "what_if/blocks",
        _columns(
            ("size", "name"),
            ("blocks with memory", "blocks"),
            ("mapped so", "large"),
            ("possible", "possible"),
            ("not all mapped", "partial"),
            ("frames fragmented", "fragmented"),
            ("slot misaligned", "slot_misaligned"),
            ("slot edge", "slot_edge"),
        ),
        note="possible: addresses and frames are aligned and all of it is mapped; only the folios "
        "of the host or the settings of the guest keep it in smaller pages.",
    ),
    Table(
        "page_sizes",
        "The same memory in other pages",
        "what_if/page_sizes",
        _columns(("mapped as", "name"), *_COST),
        note="Nested reads: of a guest with four levels of its own, nothing cached.",
    ),
    Table(
        "ipa_sizes",
        "The same leaves in guests of other sizes",
        "what_if/ipa_sizes",
        _columns(("guest size", "name"), ("now", "now"), ("geometry", "geometry"), *_COST),
        folded=True,
    ),
    Table(
        "native",
        "The same memory in other stage-2 tables",
        "native",
        _columns(
            ("tables", "name"),
            ("start level", "start_level"),
            ("root tables", "root_tables"),
            *_COST,
            ("VTCR_EL2", "vtcr_el2"),
        ),
        note="Granules above 4 KiB map whole pages around what is mapped. Blocks need addresses "
        "and, where they are known, frames aligned.",
    ),
    Table(
        "nested_walks",
        "Two-dimensional walks, nothing cached",
        "walk/nested",
        _columns(
            ("guest", "guest"),
            ("stage-2 leaf", "stage2_leaf"),
            ("stage-1 levels", "stage1_levels"),
            ("stage-2 levels", "stage2_levels"),
            ("memory reads", "nested_reads"),
        ),
        labels=2,
        folded=True,
        note="(n + 1)(m + 1) - 1 with n stage-1 and m stage-2 levels, 48-bit virtual addresses; "
        "the mean is over the mapped bytes.",
    ),
    Table(
        "tlb",
        "TLB reach",
        "reach/tlb",
        _columns(
            ("entries", "entries"),
            ("neighbours, mean", "in_order_bytes"),
            ("largest leaves", "best_bytes"),
            ("hits, random accesses", "random_hit_ratio"),
        ),
        folded=True,
    ),
    Table(
        "walk_cache",
        "Walk-cache reach",
        "reach/walk_cache",
        _columns(
            ("level", "level"),
            ("entries", "entries"),
            ("tables with memory", "tables"),
            ("mean", "mean_bytes"),
            ("fullest tables", "best_bytes"),
        ),
        labels=2,
        folded=True,
        note="Mapped bytes below as many cached entries of a level, which each lead to a table.",
    ),
    Table(
        "faults",
        "Faults that fill the slots",
        "faults/whole_slots",
        _columns(("largest page", "largest_page"), ("faults", "faults")),
    ),
    Table(
        "holes",
        "Holes by size",
        "holes/sizes",
        _columns(
            ("from", "from_bytes"),
            ("below", "below_bytes"),
            ("holes", "holes"),
            ("together", "hole_bytes"),
        ),
        labels=2,
        folded=True,
    ),
    Table(
        "slots",
        "Memory slots",
        "guest/slots",
        _columns(
            ("slot", "slot"),
            ("guest address", "guest_phys_addr"),
            ("size", "slot_bytes"),
            ("host address", "userspace_addr"),
            ("alike modulo", "alignment_bytes"),
            ("largest page", "largest_page"),
        ),
    ),
)


def at_path(document: Any, path: str) -> Any:
    """Return what is at a path: names and indexes with `/` between them.

    >>> at_path({"a": [{"b": 1}]}, "a/0/b")
    1
    """
    for part in path.split("/"):
        document = document[int(part) if isinstance(document, list) else part]
    return document


def present(document: dict[str, Any]) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
    """Yield the tables that have rows, and these."""
    for table in TABLES:
        rows = at_path(document, table.path)
        if rows:
            yield table, rows
