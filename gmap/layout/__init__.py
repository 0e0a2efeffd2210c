"""Layouts of address spaces: what is mapped where, by which entries of which tables. Floor 4.

A `Layout` is the common form of a live address space, a snapshot, a real machine's page-table
dump and an invented one: ranges of equal entries, and the geometry of the tables they are in.
"""

from gmap.layout._from_gmap import layout_of
from gmap.layout._model import RANGE, Geometry, Kind, Layout, TableLevel

__all__ = ["RANGE", "Geometry", "Kind", "Layout", "TableLevel", "layout_of"]
