"""Address spaces outside this process: snapshot files, and the bytes an s390 would hold. Floor 3.

`save` and `load` keep an address space in a file without pointers; `to_bytes` and `from_bytes`
are the tables as they would lie in the memory of an s390. docs/dumps.md has both formats.
"""

from gmap._snapshot import Snapshot
from gmap.snapshot._file import load, save
from gmap.snapshot._image import from_bytes, to_bytes

__all__ = ["Snapshot", "from_bytes", "load", "save", "to_bytes"]
