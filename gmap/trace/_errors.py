"""The exceptions of traces beside `gmap.errors.TraceFormatError`. Floor 4."""

import errno
import os

from gmap.errors import GmapError

__all__ = ["RecordError", "TraceDependencyError", "TraceWriteError", "write_error"]


class RecordError(GmapError, RuntimeError):
    """A program could not be recorded; the message says what to install or to do."""


class TraceDependencyError(GmapError, ImportError):
    """A format needs a package that is not installed; the message names the remedy."""


class TraceWriteError(GmapError, OSError):
    """A trace could not be written; nothing is left under its name that was not there before."""


_REMEDY = {
    errno.ENOSPC: "free some space or write to another disk",
    errno.EDQUOT: "free some of your quota or write to another disk",
    errno.EFBIG: "raise the limit of the file size (ulimit -f) or write less",
    errno.EACCES: "choose a file or directory you may write to",
    errno.EPERM: "choose a file or directory you may write to",
    errno.EROFS: "choose a directory that is not read-only",
    errno.ENOENT: "make the directory first",
    errno.ENOTDIR: "choose a directory that exists",
    errno.EISDIR: "name a file, not a directory",
}


def write_error(name: str, error: OSError) -> TraceWriteError:
    """Return the error to raise when writing the trace `name` fails.

    >>> str(write_error("t.csv", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    't.csv: No space left on device; no trace was written: free some space or write to another disk'
    """
    number = error.errno or 0
    reason = os.strerror(number) if number else str(error)
    remedy = _REMEDY.get(number, "write it elsewhere")
    result = TraceWriteError(f"{name}: {reason}; no trace was written: {remedy}")
    result.errno = error.errno  # and no filename: with one, OSError words the message itself
    return result
