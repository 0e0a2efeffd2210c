"""Specs: TOML files that describe an address space to build. Floor 4.

A spec names the guest, its memory slots and what backs them, the modelled host, and the pages
that are touched. `read_spec` reads and checks one, `build` makes the address space and faults
the pages in. docs/profile.md lists every field; `bundled_specs` the ones that come with this
package.

>>> spec = parse_spec('''
... [guest]
... ipa_bits = 40
... [[memslot]]
... guest_phys_addr = "0x4000_0000"
... size = "64MiB"
... [touched]
... pattern = "sequential"
... fraction = 0.5
... ''')
>>> g = build(spec)
>>> g.stats()["major"], g.table_bytes()
(8192, 163840)
"""

from gmap.layout._build import build, build_all
from gmap.layout._spec import (
    FIELDS,
    PATTERNS,
    Field,
    Guest,
    HostModel,
    Memslot,
    Spec,
    SpecError,
    Touched,
    bundled_specs,
    locate_spec,
    parse_bytes,
    parse_spec,
    read_spec,
)

__all__ = [
    "FIELDS",
    "PATTERNS",
    "Field",
    "Guest",
    "HostModel",
    "Memslot",
    "Spec",
    "SpecError",
    "Touched",
    "build",
    "build_all",
    "bundled_specs",
    "locate_spec",
    "parse_bytes",
    "parse_spec",
    "read_spec",
]
