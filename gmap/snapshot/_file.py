"""Snapshot files: zip archives of NumPy arrays and one JSON header. Floor 3.

The same address space gives the same bytes in any process: no pointers, no times, and words of
one byte order. Nothing of a file is executed (no pickles), and its arrays are looked at as any
input is.
"""

import json
import os
import secrets
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gmap._defs import ASCE_DT, CRST_ENTRIES, PT_ENTRIES, Level
from gmap._readable import AddressSpace
from gmap._snapshot import Snapshot
from gmap._space import MemslotInfo
from gmap.errors import GmapError, HostMemoryError, SnapshotFormatError
from gmap.snapshot._frames import take

__all__ = ["FORMAT", "VERSION", "is_snapshot", "load", "save", "whole_file"]

Path: TypeAlias = str | os.PathLike[str]

FORMAT: Final = "gmap-snapshot"
VERSION: Final = 1
_HEADER: Final = "snapshot.json"
_MOST_HEADER: Final = 16 << 20  # bytes; 32767 slots take a fifth of it
_ZIP: Final = b"PK\x03\x04"
_FIELDS: Final = {
    "format": str,
    "version": int,
    "asce_bits": int,
    "ipa_bits": int,
    "memslots": list,
    "host_regions": list,
}
_KINDS: Final = {str: "a string", int: "an unsigned integer", list: "a list"}
_WORD: Final = np.dtype("<u8")
_NPY_MAGIC: Final = b"\x93NUMPY\x01\x00"  # version 1.0 of NumPy's format
_NPY_HEADER_BYTES: Final = 128
_ROWS: Final = 256  # tables written at once


def _member(level: int) -> str:
    return f"{Level(level).name.lower()}.npy"


def _npy_header(n: int, width: int) -> bytes:
    """Return what a .npy file of `n` tables begins with: one text, whatever NumPy writes it."""
    text = f"{{'descr': '{_WORD.str}', 'fortran_order': False, 'shape': ({n}, {width}), }}"
    length = _NPY_HEADER_BYTES - len(_NPY_MAGIC) - 2
    return _NPY_MAGIC + length.to_bytes(2, "little") + text.ljust(length - 1).encode() + b"\n"


# --- writing --------------------------------------------------------------------------------


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file that appears under its name once it is complete, or not at all.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole_file(f"{folder}/new") as file:
    ...         file.write(b"all of it"), os.path.exists(f"{folder}/new")
    (9, False)
    """
    target = os.path.realpath(os.fsdecode(path))
    folder, base = os.path.split(target)
    temporary = os.path.join(folder, f".{base[:80]}.{secrets.token_hex(6)}.part")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with open(fd, "wb") as file:
            yield file
            file.flush()
            os.fsync(fd)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def save(space: AddressSpace, path: Path) -> None:
    """Save an address space to a file that `load` reads.

    Parameters
    ----------
    space : Gmap or Snapshot
        Its tables are copied while nothing changes them; translations go on.
    path : str or path-like
        The file appears, or replaces another one, once it is complete.

    Raises
    ------
    ConfigError
        Something that has no tables, or whose slots keep changing.
    HostMemoryError
        No memory for a copy of the tables.
    OSError
        The file cannot be written; what was there before still is.

    Notes
    -----
    Frames of a `SyntheticHost` are kept as they are. Those of a `BufferHost` are pointers: its
    regions get new addresses (`Snapshot.host_regions`), and the frames go with them.

    >>> import gmap, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(gmap.Gmap(gmap.SyntheticHost()), f"{folder}/empty.npz")
    ...     load(f"{folder}/empty.npz").table_bytes()
    16384
    """
    taken = take(space)
    top = len(taken.flat.words) - 2
    header = {
        "format": FORMAT,
        "version": VERSION,
        "asce_bits": taken.flat.asce_bits,
        "ipa_bits": space.ipa_bits,
        "memslots": [[int(value) for value in slot] for slot in taken.memslots],
        "host_regions": [[int(value) for value in region] for region in taken.host_regions],
    }
    with (
        whole_file(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        archive.writestr(
            zipfile.ZipInfo(_HEADER), json.dumps(header, indent=1) + "\n", zipfile.ZIP_DEFLATED
        )
        for i, words in enumerate(taken.flat.words):
            # A ZipInfo of our own: no time of day gets into the file.
            info = zipfile.ZipInfo(_member(top - i))
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=True) as member:
                member.write(_npy_header(*words.shape))
                for at in range(0, len(words), _ROWS):
                    member.write(words[at : at + _ROWS].astype(_WORD, copy=False).tobytes())


# --- reading --------------------------------------------------------------------------------


def is_snapshot(head: bytes) -> bool:
    """Tell whether a file that begins like this may be a snapshot.

    >>> is_snapshot(b"---[ Guest IPA ]---")
    False
    """
    return head.startswith(_ZIP)


def load(path: Path) -> Snapshot:
    """Load an address space that was saved.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    Snapshot
        With equal tables, at new addresses: `asce` differs in its origin.

    Raises
    ------
    SnapshotFormatError
        No snapshot, one of a newer version, or a damaged one.
    HostMemoryError
        No memory for the tables.
    OSError
        The file cannot be read.

    >>> import gmap, tempfile
    >>> host = gmap.SyntheticHost()
    >>> region = host.map(1 << 20)
    >>> g = gmap.Gmap(host)
    >>> g.set_memory_region(0, 0, region.nbytes, region.hva)
    >>> g.fault_in(range(256)).any()
    np.False_
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(g, f"{folder}/small.npz")
    ...     s = load(f"{folder}/small.npz")
    >>> (s.leaves() == g.leaves()).all(), s.memslots[0].memory_size
    (np.True_, 1048576)
    """
    name = os.fsdecode(path)
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return _read(archive)
        except SnapshotFormatError as error:
            raise SnapshotFormatError(f"{name}: {error}") from None
        except (MemoryError, HostMemoryError):
            raise HostMemoryError(f"{name}: no memory for its tables") from None
        except GmapError as error:  # a value the snapshot's own guard refuses
            raise SnapshotFormatError(f"{name}: {error}") from None
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            ValueError,
            KeyError,
            RuntimeError,
            NotImplementedError,
            OverflowError,
        ) as error:
            raise SnapshotFormatError(
                f"{name}: no snapshot, or a damaged one ({error}): save it again"
            ) from None


def _read(archive: zipfile.ZipFile) -> Snapshot:
    header = _read_header(archive)
    top = (header["asce_bits"] & ASCE_DT) >> 2
    levels = range(top, Level.PAGE - 1, -1)
    expected = {_HEADER, *(_member(level) for level in levels)}
    names = [info.filename for info in archive.infolist()]
    if sorted(names) != sorted(expected):
        raise SnapshotFormatError(
            f"holds {', '.join(sorted(names))}, where {', '.join(sorted(expected))} belong: "
            "save it again"
        )
    words = [_read_words(archive, level) for level in levels]
    return Snapshot(
        header["asce_bits"],
        words,
        ipa_bits=header["ipa_bits"],
        memslots=[MemslotInfo(*slot) for slot in header["memslots"]],
        host_regions=[(base, nbytes) for base, nbytes in header["host_regions"]],
    )


def _read_header(archive: zipfile.ZipFile) -> dict[str, Any]:
    if _HEADER not in archive.namelist():
        raise SnapshotFormatError(f"no {_HEADER} in it, so no snapshot: save() writes them")
    if archive.getinfo(_HEADER).file_size > _MOST_HEADER:
        raise SnapshotFormatError(f"{_HEADER} is larger than {_MOST_HEADER} bytes")
    header = json.loads(archive.read(_HEADER))
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise SnapshotFormatError(f"{_HEADER} does not say format {FORMAT!r}: no snapshot")
    version = header.get("version")
    if version != VERSION or isinstance(version, bool):
        raise SnapshotFormatError(
            f"version {version!r}: this gmap reads version {VERSION}; a newer one may read it"
        )
    for field, kind in _FIELDS.items():
        value = header.get(field)
        if not isinstance(value, kind) or (kind is int and not _is_u64(value)):
            raise SnapshotFormatError(f"{_HEADER}: {field} is {value!r}, not {_KINDS[kind]}")
    for field, width in (("memslots", 5), ("host_regions", 2)):
        for row in header[field]:
            if not isinstance(row, list) or len(row) != width or not all(map(_is_u64, row)):
                raise SnapshotFormatError(
                    f"{_HEADER}: {field} has {row!r}, where {width} unsigned integers belong"
                )
    return header


def _is_u64(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64


def _read_words(archive: zipfile.ZipFile, level: int) -> NDArray[np.uint64]:
    info = archive.getinfo(_member(level))
    width = CRST_ENTRIES if level > Level.PAGE else 2 * PT_ENTRIES
    # Of what size says, not of what the array's header says: that may be anything.
    n, rest = divmod(info.file_size - _NPY_HEADER_BYTES, width * _WORD.itemsize)
    with archive.open(info) as member:
        if n < 0 or rest or member.read(_NPY_HEADER_BYTES) != _npy_header(n, width):
            raise SnapshotFormatError(
                f"{info.filename}: not an array of {_WORD.str} of shape (n, {width}): save it again"
            )
        words = np.empty((n, width), dtype=_WORD)
        _fill(member, words.reshape(-1).view(np.uint8))
        if member.read(1):  # reading to the end checks the sum, too
            raise SnapshotFormatError(f"{info.filename}: more than {n} tables: save it again")
    return words.astype(np.uint64, copy=False)


def _fill(member: IO[bytes], to: NDArray[np.uint8]) -> None:
    done = 0
    while done < len(to):
        data = member.read(min(1 << 20, len(to) - done))
        if not data:
            raise EOFError("cut off")
        to[done : done + len(data)] = np.frombuffer(data, np.uint8)
        done += len(data)
