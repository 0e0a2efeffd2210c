"""How the commands tell of a failure: one line, and an exit code. Floor 5."""

import errno
import sys
from collections.abc import Callable

from gmap.errors import ConfigError, GmapError

__all__ = ["fail", "run_command"]

# A file that is not there is a mistake of whoever named it.
_MISNAMED = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.EACCES)


def fail(command: str, message: str, code: int, *, program: str = "gmap") -> int:
    """Print why a command of `program` failed, in one line on standard error; the exit code.

    >>> fail("profile", "no such spec", 2)
    2
    """
    print(f"{program} {command}: {' '.join(message.split())}", file=sys.stderr)
    return code


def run_command(
    command: str,
    act: Callable[[], int],
    *,
    asked_wrongly: tuple[type[Exception], ...] = (ConfigError,),
    malformed: tuple[type[Exception], ...] = (),
    program: str = "gmap",
) -> int:
    """Do what a command is for; its exit code, 1 for a malformed or unwritable file and other
    failures, 2 where the command line asks for what is not there.

    Parameters
    ----------
    command : str
        What follows the program's name.
    act : callable
        Does it, and returns the exit code.
    asked_wrongly, malformed : tuples of exception types
        Those with exit code 2; and those of them that have 1 all the same.
    program : str
        The program's name.

    >>> run_command("profile", lambda: 0)
    0
    """
    try:
        return act()
    except malformed as error:
        return fail(command, str(error), 1, program=program)
    except asked_wrongly as error:
        return fail(command, str(error), 2, program=program)
    except GmapError as error:
        return fail(command, str(error), 1, program=program)
    except BrokenPipeError:
        raise  # the reader has seen enough: `gmap.cli.main` sees to it
    except OSError as error:
        message = f"{error.filename or 'error'}: {error.strerror or error}"
        return fail(command, message, 2 if error.errno in _MISNAMED else 1, program=program)
