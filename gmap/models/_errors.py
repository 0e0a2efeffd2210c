"""The exceptions of models beside `gmap.errors.ConfigError`. Floor 4."""

from gmap.errors import GmapError

__all__ = ["ModelDependencyError", "ModelFileError"]


class ModelDependencyError(GmapError, ImportError):
    """Replaying needs a package that is not installed; the message names the remedy."""


class ModelFileError(GmapError, ValueError):
    """A file that describes a model is malformed; the message names the file and the field."""
