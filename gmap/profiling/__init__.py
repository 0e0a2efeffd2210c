"""What a layout costs: its tables, its walks, and what would change them. Floor 4.

::

    Gmap, Snapshot, Layout, Spec, file -> Source -> Profile -> text, JSON, Arrow, HTML, plots
                                                       |
                                          compare -> Comparison -> the same

`profile` makes a `Profile`, `compare` sets two side by side. All figures come from the runs of
a layout by exact counting (`gmap.layout._spans`); docs/profile.md defines each.

>>> p = profile("microvm")
>>> p.to_dict()["levels"][0]["tables"]
184
"""

from gmap.profiling._compare import Comparison, compare
from gmap.profiling._profile import SCHEMA, SECTIONS, Profile, profile

__all__ = ["SCHEMA", "SECTIONS", "Comparison", "Profile", "compare", "profile"]
