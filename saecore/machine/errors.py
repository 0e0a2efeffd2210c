"""What a machine may raise. Floor 10."""

from gmap.errors import GmapError

__all__ = ["MachineError", "ProgramError"]


class ProgramError(GmapError):
    """A file is no program this machine can run; the message says why."""


class MachineError(GmapError):
    """The guest did what this machine cannot go on from; the message says what, and where."""
