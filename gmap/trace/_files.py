"""Bytes in and out of trace files: decompression, and writing all of a file or none. Floor 4.

Reading goes piece by piece, so that what stands before a fault in a compressed file has
been read, and counted in lines, when the fault is met.
"""

import errno
import os
import secrets
import stat
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self, cast

from gmap.errors import ConfigError, TraceFormatError
from gmap.trace._errors import TraceDependencyError, write_error

__all__ = ["BrokenStreamError", "Output", "Source", "compressing"]

PIECE = 1 << 20
_GZIP = b"\x1f\x8b"
_XZ = b"\xfd7zXZ\x00"
# No trace needs more than a 192 MiB dictionary; a damaged header could ask for 4 GiB.
_XZ_MEMORY = 256 << 20


class BrokenStreamError(Exception):
    """Compressed data is cut off or damaged. Readers add the file and the line."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gunzip:
    """zlib's decompressor with the interface lzma's has."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        result = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        self.needs_input = not self._zlib.unconsumed_tail and len(result) < max_length
        return result


def _unxz() -> _Decompressor:
    try:
        import lzma
    except ImportError:
        raise TraceDependencyError(
            "this Python was built without xz support (module lzma): decompress the file with "
            "xz -d, or use a Python that has it"
        ) from None
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


def _decompressed(raw: BinaryIO, head: bytes, make: Callable[[], _Decompressor]) -> Iterator[bytes]:
    """Yield what one or more compressed streams, one after another, hold."""
    data = head
    while True:
        unpack = make()
        while not unpack.eof:
            if not data and unpack.needs_input:
                data = raw.read(PIECE)
                if not data:
                    raise BrokenStreamError("the compressed data ends early, the file is truncated")
            try:
                piece = unpack.decompress(data, PIECE)
            except Exception as error:  # zlib.error or lzma.LZMAError, which may not be importable
                raise BrokenStreamError(f"the compressed data is damaged ({error})") from None
            data = b""
            if piece:
                yield piece
        # Zeros between and after streams are padding, of both formats.
        data = unpack.unused_data.lstrip(b"\0")
        while not data:
            data = raw.read(PIECE)
            if not data:
                return
            data = data.lstrip(b"\0")


def _plain(raw: BinaryIO, head: bytes) -> Iterator[bytes]:
    if head:
        yield head
    while piece := raw.read(PIECE):
        yield piece


class Source:
    """A trace file being read, decompressed if need be. `-` is standard input.

    Attributes
    ----------
    name : str
        What to call the file in an error.
    raw : BinaryIO
        The file as it is stored.
    compressed : bool
        Whether that is gzip or xz data.
    offset : int
        Bytes handed out, after decompression; where reading goes on.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.fsdecode(path)
        self.offset = 0
        self._copy: BinaryIO | None = None
        self._is_stdin = self.name == "-"
        self.raw: BinaryIO = sys.stdin.buffer if self._is_stdin else open(path, "rb")  # noqa: SIM115
        try:
            head = self.raw.read(PIECE)
        except OSError:
            self.close()
            raise
        self.compressed = head.startswith((_GZIP, _XZ))
        if self.compressed:
            make: Callable[[], _Decompressor] = _Gunzip if head.startswith(_GZIP) else _unxz
            self._pieces = _decompressed(self.raw, head, make)
        else:
            self._pieces = _plain(self.raw, head)
        self._peeked = b""

    @property
    def seekable(self) -> bool:
        """Whether a later byte can be had without reading the ones before it."""
        return not self.compressed and not self._is_stdin and self.raw.seekable()

    def peek(self) -> bytes:
        """Return the next piece without using it up; empty at the end or before damaged data."""
        if not self._peeked:
            try:
                self._peeked = next(self._pieces, b"")
            except BrokenStreamError as error:
                self._pieces = _failing(error)
        return self._peeked

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces; `BrokenStreamError` once the sound ones have been handed out."""
        while True:
            piece = self._peeked or next(self._pieces, b"")
            if not piece:
                return
            self._peeked = b""
            self.offset += len(piece)
            yield piece

    def seek(self, offset: int) -> None:
        """Go on `offset` bytes from the start, which lie ahead unless the file is seekable.

        Compressed data before it are read and dropped.
        """
        if self.seekable:
            if offset > self.raw.seek(0, os.SEEK_END):
                raise self._too_short(offset)
            self.raw.seek(offset)
            self._pieces, self._peeked, self.offset = _plain(self.raw, b""), b"", offset
        try:
            for piece in self if self.offset < offset else ():
                if self.offset >= offset:
                    self._peeked = piece[len(piece) - (self.offset - offset) :]
                    self.offset = offset
                    break
        except BrokenStreamError as error:
            raise TraceFormatError(f"{self.name}: before byte {offset}: {error}") from None
        if self.offset < offset:
            raise self._too_short(offset)

    def _too_short(self, offset: int) -> ConfigError:
        return ConfigError(
            f"{self.name}: the position is at byte {offset}, beyond the end: give the file it "
            "was made from"
        )

    def seekable_file(self) -> BinaryIO:
        """Return the file, or what is in it in a nameless file on the disk, for random access."""
        if self.seekable:
            return self.raw
        copy = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115
        self._copy = copy
        for piece in self:
            copy.write(piece)
        return copy

    def fraction(self) -> float | None:
        """Return how much of the file has been read, or None if its size is not known."""
        try:
            info = os.fstat(self.raw.fileno())
            if not stat.S_ISREG(info.st_mode) or not info.st_size:
                return None
            return min(1.0, self.raw.tell() / info.st_size)
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        for file in (self._copy, None if self._is_stdin else self.raw):
            if file is not None:
                file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _failing(error: BrokenStreamError) -> Iterator[bytes]:
    raise error
    yield b""


def compressing(output: "Output") -> Any:
    """Return a stream that compresses as the file's name says; close it if it is another one."""
    name = output.name.lower()
    if name.endswith(".gz"):
        import gzip

        # No name and no time inside: the same trace makes the same file.
        return gzip.GzipFile("", "wb", 6, output, mtime=0)
    if name.endswith(".xz"):
        try:
            import lzma
        except ImportError:
            raise TraceDependencyError(
                "this Python was built without xz support (module lzma): write .csv.gz instead"
            ) from None
        return lzma.LZMAFile(output, "wb", preset=6)  # type: ignore[arg-type]
    return output


class Output:
    """A file that is written whole or not at all.

    The bytes go to a file of another name in the same directory, which is renamed at the end;
    a device or a FIFO is written to as it is. Whatever fails is a `TraceWriteError`, and then
    what the file held before is still there.

    >>> with Output("/dev/null") as output:
    ...     output.write(b"page,access")
    11
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.fsdecode(path)
        self.closed = False
        self._written = 0
        self._target = os.path.realpath(self.name)
        self._temporary = ""
        try:
            self._fd = self._open()
        except OSError as error:
            raise write_error(self.name, error) from error

    def _open(self) -> int:
        try:
            mode = os.stat(self._target).st_mode
        except FileNotFoundError:
            mode = stat.S_IFREG
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            return os.open(self._target, os.O_WRONLY | os.O_CLOEXEC)
        folder, base = os.path.split(self._target)
        temporary = os.path.join(folder, f".{base[:80]}.{secrets.token_hex(6)}.part")
        # Not tempfile: a trace gets the permissions any new file gets.
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self._temporary = temporary
        return fd

    def write(self, data: bytes) -> int:
        """Write all of `data`; nothing once the file is closed, when a compressor may still try."""
        view = memoryview(data).cast("B")
        done = len(view) if self.closed else 0
        try:
            while done < len(view):
                done += os.write(self._fd, view[done:])
        except OSError as error:
            raise write_error(self.name, error) from error
        self._written += done
        return done

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """Nothing is held back here."""

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        """For writers that close what they are given: the end of the `with` block decides."""

    def commit(self) -> None:
        """Make the file appear under its name."""
        try:
            if self._temporary:
                # Some file systems find out only here that the disk is full.
                os.fsync(self._fd)
            self.closed = True
            os.close(self._fd)
            if self._temporary:
                os.replace(self._temporary, self._target)
        except OSError as error:
            self.discard()
            raise write_error(self.name, error) from error

    def discard(self) -> None:
        """Leave no trace of what was written."""
        if not self.closed:
            self.closed = True
            os.close(self._fd)
        if self._temporary and os.path.lexists(self._temporary):
            os.unlink(self._temporary)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()
