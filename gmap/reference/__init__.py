"""The slow oracle: the gmap in plain Python, written from the fact sheets alone.

Nothing here is fast and nothing is shared with the compiled kernels except the constants
of `gmap._defs`. It is their judge: the differential tests drive both sides with the same
calls and compare every table entry. It is also the place to learn what a gmap is.

A *gmap* is the second translation stage of a guest: s390 DAT (dynamic address translation)
tables that lead from guest addresses to host addresses. Up to five levels of tables are
indexed by successive pieces of the address:

======== ============== ====================== =============================
level    table          one entry covers       an entry is either
======== ============== ====================== =============================
REGION1  2048 entries   8 PiB                  a pointer or invalid
REGION2  2048 entries   4 TiB                  a pointer or invalid
REGION3  2048 entries   2 GiB                  a pointer, a frame or invalid
SEGMENT  2048 entries   1 MiB                  a pointer, a frame or invalid
PAGE     256 entries    4 KiB                  a frame or invalid
======== ============== ====================== =============================

The ASCE (address-space-control element) points to the highest table in use. An entry of any
level but PAGE is called a CRSTE, an entry of a page table a PTE. "Invalid" comes in three
kinds: EMPTY (inside a memory slot, nothing mapped yet), HOLE (no memory here) and *old*
(a mapping that was made invalid to see whether it is used again).

Read in this order, each module by itself:

- `entries`: the 64-bit values, their bits, how one becomes several (dat-gmap.md 1, 2, 6);
- `tables`: trees of them, and the two ways to walk one (dat-gmap.md 4, 5, 7, 8);
- `hardware`: what the machine makes of a table when the guest runs;
- `slots`: which guest addresses are memory (faultin.md 8);
- `address_space`: mapping on demand, ageing, dirty logging (dat-gmap.md 11, faultin.md 2, 9);
- and for the guest's own tables `stage1` (VMSAv8-64) and `two_level` (both stages at once).

Everything is single-threaded: where the kernel retries after losing a race, nothing can be
lost here.
"""

from gmap.reference.address_space import ReferenceGmap

__all__ = ["ReferenceGmap"]
