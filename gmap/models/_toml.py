"""Models in TOML files. Floor 4. docs/models.md describes the file."""

import tomllib
from collections.abc import Callable, Mapping
from inspect import signature
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypeVar

from gmap.errors import ConfigError
from gmap.models._config import Model, Tlb, Walk, WalkCache
from gmap.models._errors import ModelFileError

__all__ = ["model_from_dict", "read_model"]

T = TypeVar("T")

MAX_BYTES = 1 << 20  # a model takes a few hundred


def _table(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where} must be a table, got {value!r}")
    return value


def _make(kind: Callable[..., T], given: object, where: str) -> T:
    """Call a description's constructor with a table, refusing keys it does not know."""
    fields = _table(given, where)
    known = signature(kind).parameters
    for key in fields:
        if key not in known:
            raise ConfigError(f"{where} has no field {key!r}: use {', '.join(known)}")
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in fields:
            raise ConfigError(f"{where} lacks the field {name!r}")
    try:
        return kind(**fields)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _each(kind: Callable[..., T], given: object, where: str) -> list[T]:
    """Make one description of each table of an array."""
    if isinstance(given, Mapping) or not isinstance(given, list):
        raise ConfigError(f"{where} must be an array of tables, [[{where}]], got {given!r}")
    return [_make(kind, table, f"{where}[{i}]") for i, table in enumerate(given)]


def model_from_dict(document: Mapping[str, Any]) -> Model:
    """Return the model a TOML document describes.

    Raises
    ------
    ConfigError
        Naming the field and what is wrong with it.

    >>> model_from_dict({"name": "one", "l1": [{"sets": 1, "ways": 8}]}).l1[0].ways
    8
    """
    fields = dict(_table(document, "a model"))
    for level in ("l1", "l1i", "l2"):
        if level in fields:
            # A TLB without a name is called after its level.
            tables = fields[level]
            if isinstance(tables, list) and all(isinstance(table, Mapping) for table in tables):
                tables = [{"name": level, **table} for table in tables]
            fields[level] = _each(Tlb, tables, level)
    if "walk" in fields:
        walk = dict(_table(fields["walk"], "walk"))
        for caches in ("stage2_caches", "stage1_caches"):
            if caches in walk:
                walk[caches] = _each(WalkCache, walk[caches], f"walk.{caches}")
        if "nested" in walk:
            nested = {"name": "nested", **_table(walk["nested"], "walk.nested")}
            walk["nested"] = _make(Tlb, nested, "walk.nested")
        fields["walk"] = _make(Walk, walk, "walk")
    return _make(Model, fields, "the model")


def read_model(path: str | PathLike[str]) -> Model:
    """Read a model from a TOML file.

    Parameters
    ----------
    path : str or PathLike

    Raises
    ------
    ModelFileError
        If the file is no TOML, or describes no model: the message names the file, and the line
        or the field.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "mine.toml")
    ...     _ = path.write_text('name = "mine"\\n[[l1]]\\nsets = 16\\nways = 4\\n')
    ...     read_model(path).l1[0].entries
    64
    """
    name = fspath(path)
    with Path(path).open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ModelFileError(f"{name}: more than {MAX_BYTES} bytes: this is no model")
    try:
        return model_from_dict(tomllib.loads(data.decode()))
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{name}: byte {error.start}: a model is UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ModelFileError(f"{name}: this is no TOML: {error}") from None
    except RecursionError:
        raise ModelFileError(f"{name}: tables inside tables without end") from None
    except ConfigError as error:
        raise ModelFileError(f"{name}: {error}") from None
