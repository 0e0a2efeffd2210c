"""Where in a trace reading can go on. Floor 4.

A filter carries what it has seen from one record to the next, so a place is more than an
offset: it is an offset at which a reader can start, the filter's state there, and how many of
the records that follow have been handed out already.
"""

import base64
import json
import re
import zlib
from dataclasses import dataclass, field
from typing import Final

from gmap.errors import ConfigError

__all__ = ["Position", "State"]

_MARK: Final = "gmap1-"
_NUMBERS: Final = ("records", "skip", "offset", "line", "start_records", "head_bytes", "head_crc")
_TOKEN_LIMIT = 16 << 20
HEAD_BYTES: Final = 4096


@dataclass(frozen=True)
class State:
    """Where a reader is between two pieces of its file.

    Attributes
    ----------
    offset : int
        Bytes after decompression (rows in Parquet) before it; the start of a line or record.
    line : int
        Lines before it.
    records : int
        Records handed out before it.
    kept : bytes
        State of the page filter; empty at the start and without a filter.
    """

    offset: int = 0
    line: int = 0
    records: int = 0
    kept: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Position:
    """A place in a trace file between two records, from which reading can go on.

    `Chunks.position` and `TraceFile.position` give one; `chunks`, `TraceFile` and
    `gmap.trace.convert` take one, or its token, as `start`.

    Attributes
    ----------
    format : str
        The file's format.
    window : int or None
        The window of the page filter the records went through.
    records : int
        Records before this place.
    skip : int
        How many of them come after `state`, where a reader starts.
    state : State
        Offset, line and filter there.
    head_bytes, head_crc : int
        Tell the file by its first bytes.

    Examples
    --------
    >>> from gmap.trace import bundled, chunks
    >>> path = bundled()["triad"].path
    >>> reading = chunks(path, 1000)
    >>> first = next(reading)
    >>> rest = chunks(path, 1000, start=reading.position.token())
    >>> (next(rest) == next(reading)).all(), rest.position.records
    (np.True_, 2000)
    """

    format: str
    window: int | None
    records: int = 0
    skip: int = 0
    state: State = State()
    head_bytes: int = 0
    head_crc: int = 0

    def token(self) -> str:
        """Return the position as text without blanks, for a file, a message or a command line."""
        state = self.state
        numbers = [self.records, self.skip, state.offset, state.line, state.records]
        head = json.dumps([self.format, self.window, *numbers, self.head_bytes, self.head_crc])
        packed = zlib.compress(head.encode() + b"\0" + state.kept, 9)
        return _MARK + base64.urlsafe_b64encode(packed).decode().rstrip("=")

    @classmethod
    def from_token(cls, token: str) -> "Position":
        """Return the position a token stands for.

        Raises
        ------
        ConfigError
            The text is no token, or not all of one.

        Examples
        --------
        >>> Position.from_token("middle")
        Traceback (most recent call last):
            ...
        gmap.errors.ConfigError: position 'middle': expected a token (gmap1-...), whole and \
unchanged
        """
        wrong = ConfigError(
            f"position {str(token)[:40]!r}: expected a token ({_MARK}...), whole and unchanged"
        )
        if not isinstance(token, str) or not re.fullmatch(_MARK + "[A-Za-z0-9_-]+", token):
            raise wrong
        try:
            text = token.removeprefix(_MARK)
            packed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            unpack = zlib.decompressobj()
            data = unpack.decompress(packed, _TOKEN_LIMIT)
            if not unpack.eof or unpack.unused_data:
                raise ValueError
            head, kept = data.split(b"\0", 1)
            name, window, *numbers = json.loads(head)
            named = dict(zip(_NUMBERS, numbers, strict=True))
        except (ValueError, TypeError, zlib.error, RecursionError):
            raise wrong from None
        integers = [*numbers, *([] if window is None else [window])]
        if not isinstance(name, str) or not all(
            type(number) is int and 0 <= number < 1 << 63 for number in integers
        ):
            raise wrong
        state = State(named["offset"], named["line"], named["start_records"], kept)
        return cls(name, window, named["records"], named["skip"], state, *numbers[-2:]).checked(
            wrong
        )

    def checked(self, wrong: ConfigError) -> "Position":
        """Return this, or raise `wrong` if its numbers contradict each other."""
        if self.records != self.state.records + self.skip or self.head_bytes > HEAD_BYTES:
            raise wrong
        return self


def check_head(name: str, head: bytes, start: Position) -> None:
    """Refuse a position that was taken in another file than the one with this head."""
    seen = head[: start.head_bytes]
    if len(seen) < start.head_bytes or zlib.crc32(seen) != start.head_crc:
        raise ConfigError(f"{name}: the position is one of another file, or this file has changed")
